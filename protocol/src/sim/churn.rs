//! The script of a world: who comes when, who goes when, and what else happens on time. Drawn before the world begins.

use alloc::vec::Vec;

use super::{How, Scenario, ScenarioError, draws::SplitMix64};

/// The draws of arrivals and departures; other draws do not move when these do.
const CHURN: u64 = 0x6368_7572_6e73;

/// Most members of one world over its whole time: addresses hold three bytes of a member's number.
const MOST_MEMBERS: usize = 1 << 24;

/// When those on the stage come. They are in the room before its first guest.
const STAGE_COMES: u64 = 100_000_000;

/// Something that the script does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// The member of this number comes.
    Come(u32),
    /// Some listener ends.
    Depart(How),
    /// The scenario's kill of this index happens.
    Kill(usize),
    /// The scenario's partition of this index begins.
    Part(usize),
}

/// All that the script does, and for how many members.
#[derive(Debug)]
pub(super) struct Script {
    /// In order of time, in nanoseconds.
    pub(super) acts: Vec<(u64, Act)>,
    /// Members that ever come; their numbers count from 0, the host.
    pub(super) members: u32,
}

impl Script {
    pub(super) fn of(scenario: &Scenario) -> Result<Self, ScenarioError> {
        scenario.validate()?;
        let draws = &mut SplitMix64::of(scenario.seed, CHURN);
        let on_stage = scenario.on_stage();
        let mut acts = Vec::new();
        for number in 0..on_stage {
            acts.push((if number == 0 { 0 } else { STAGE_COMES }, Act::Come(number)));
        }
        let first = on_stage + scenario.listeners;
        for number in on_stage..first {
            let at = 2 * STAGE_COMES + draws.up_to(nanos(scenario.arrive));
            acts.push((at, Act::Come(number)));
        }
        let arrivals = times(scenario, scenario.churn.arrivals, draws);
        let most = MOST_MEMBERS.saturating_sub(first as usize);
        if arrivals.len() > most {
            return Err(ScenarioError {
                field: "churn",
                expected: "fewer than sixteen million members in all",
            });
        }
        let mut next = first;
        for at in arrivals {
            acts.push((at, Act::Come(next)));
            next += 1;
        }
        for at in times(scenario, scenario.churn.departures, draws) {
            let is_crash = draws.chance(scenario.churn.crashes);
            acts.push((at, Act::Depart(if is_crash { How::Crash } else { How::Leave })));
        }
        let kills = scenario.kills.iter().enumerate();
        acts.extend(kills.map(|(index, kill)| (nanos(kill.at), Act::Kill(index))));
        let partitions = scenario.partitions.iter().enumerate();
        acts.extend(partitions.map(|(index, cut)| (nanos(cut.during.start), Act::Part(index))));
        // Stable: what happens at one time happens in the order above.
        acts.sort_by_key(|(at, _)| *at);
        Ok(Self { acts, members: next })
    }
}

/// Random times after the warm-up, at a rate a minute of a share of the first listeners.
fn times(scenario: &Scenario, share: f64, draws: &mut SplitMix64) -> Vec<u64> {
    let rate = share * f64::from(scenario.listeners) / 60.0;
    let mut times = Vec::new();
    let mut at = scenario.warm_up.as_secs_f64();
    // Not above zero, NaN included: nobody ever comes.
    if rate > 0.0 {
        loop {
            at += draws.exponential(1.0 / rate);
            if at >= scenario.duration.as_secs_f64() || times.len() > MOST_MEMBERS {
                break;
            }
            times.push((at * 1e9) as u64);
        }
    }
    times
}

fn nanos(time: core::time::Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;
    use crate::sim::Churn;

    fn scenario() -> Scenario {
        Scenario {
            listeners: 1_000,
            duration: Duration::from_secs(120),
            warm_up: Duration::from_secs(60),
            churn: Churn {
                departures: 0.2,
                crashes: 0.25,
                arrivals: 0.1,
            },
            ..Scenario::default()
        }
    }

    #[test]
    fn members_come_once_each_and_leave_at_the_rate_that_was_asked_for() {
        let script = Script::of(&scenario()).expect("valid");
        let mut come: Vec<u32> = Vec::new();
        let (mut left, mut crashed) = (0, 0);
        for (at, act) in &script.acts {
            match act {
                Act::Come(number) => come.push(*number),
                Act::Depart(how) => {
                    assert!(*at >= 60_000_000_000);
                    left += u32::from(*how == How::Leave);
                    crashed += u32::from(*how == How::Crash);
                }
                Act::Kill(_) | Act::Part(_) => unreachable!("none was asked for"),
            }
        }
        come.sort_unstable();
        assert_eq!(come, (0..script.members).collect::<Vec<_>>());
        assert!((1_060..1_145).contains(&script.members), "{}", script.members);
        assert!((160..240).contains(&(left + crashed)), "{left} + {crashed}");
        assert!((30..75).contains(&crashed), "{crashed}");
        assert!(script.acts.is_sorted_by_key(|(at, _)| *at));
    }

    #[test]
    fn a_script_is_a_function_of_its_seed() {
        let script = |seed| Script::of(&Scenario { seed, ..scenario() }).expect("valid").acts;
        assert_eq!(script(1), script(1));
        assert_ne!(script(1), script(2));
    }
}
