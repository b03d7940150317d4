//! What came of a world: figures over all listeners, and how they went over time.

use alloc::{vec, vec::Vec};
use core::{fmt, time::Duration};

use super::{
    Scenario,
    world::{
        Cause, Causes, Heard, Record,
        tally::{SLOT, Tally},
    },
};

/// Hops that are told apart; whoever is deeper is counted here.
const DEEPEST: usize = 64;

/// The figures of one run. The same scenario gives the same ones.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Listeners that came, the honest ones, as in all that follows.
    pub listeners: u64,
    /// Those that never had a place.
    pub without_place: u64,
    /// Those that gave up: they found no way in, or back. Their frames count as lost until the end.
    pub gave_up: u64,
    /// Those that for a while had a villain for their parent and nobody honest for their standby.
    pub cornered: u64,
    /// Members that the scenario killed.
    pub killed: u64,
    /// Frames that were captured and counted, all speakers together.
    pub frames: u64,
    /// Frames that listeners should have heard, each listener counted.
    pub expected: u64,
    /// Those that came at all.
    pub delivered: u64,
    /// Those that came in time to be played.
    pub in_time: u64,
    /// Those that came within 500 ms of being captured.
    pub soon: u64,
    /// What held up the frames that were not in time, or not soon; what never came is the rest.
    pub held_up: Vec<HeldUp>,
    /// Frames that were not in time, for each listener.
    pub lost: Figures,
    /// Time from capture to arrival, in milliseconds.
    pub delay: Figures,
    /// Time from being noticed missing to arrival, in milliseconds.
    pub repair: Figures,
    /// Frames that were noticed missing and came.
    pub repaired: u64,
    /// Time from coming to the first place, in milliseconds.
    pub joining: Figures,
    /// Hops from the root, of all members at all seconds after the warm-up.
    pub depth: Figures,
    /// Parents after the first, for each member and minute.
    pub moves_a_minute: f64,
    /// Bytes of control messages that a member sends each second.
    pub control_rate: f64,
    /// Bytes of datagram items other than media that a member sends each second.
    pub signal_rate: f64,
    /// Media packets that the host sent for each frame captured, answers to pulls included.
    pub host_packets_a_frame: f64,
    /// Media packets sent after the warm-up, each receiver counted.
    pub packets: u64,
    /// Datagrams that found their sender's uplink full.
    pub dropped: u64,
    /// Honest neighbours that the honest cut off for what they did: each is a fault of the machines.
    pub misbehaved: u64,
    /// Villains that the honest cut off.
    pub caught: u64,
    /// Commands that were refused.
    pub refused: u64,
    /// Things that happened to members.
    pub events: u64,
    /// How many members are how deep at the end, from depth 0 on.
    pub depths: Vec<u64>,
    /// How it went over time.
    pub timeline: Vec<Moment>,
}

/// Median, 99th percentile and maximum.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Half are at most this.
    pub p50: u64,
    /// 99 of 100 are at most this.
    pub p99: u64,
    /// All are at most this.
    pub max: u64,
}

/// Frames that one thing held up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldUp {
    /// What did.
    pub by: &'static str,
    /// Those of them that came too late to be played.
    pub late: u64,
    /// Those of them that came more than 500 ms after being captured.
    pub slow: u64,
}

/// A tenth of a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// When it begins.
    pub at: Duration,
    /// Frames captured in it that listeners should have heard.
    pub expected: u64,
    /// Those that came in time.
    pub in_time: u64,
}

/// What the world itself counts while it runs.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub(super) killed: u64,
    /// Seconds after the warm-up that members were there, all together.
    pub(super) member_seconds: u64,
    /// Members by depth at each second after the warm-up, all seconds together.
    depths: Vec<u64>,
    /// Members by depth at the last look.
    pub(super) depths_now: Vec<u64>,
}

impl Totals {
    pub(super) fn count_depth(&mut self, depth: usize, is_counted: bool) {
        let depth = depth.min(DEEPEST);
        bump(&mut self.depths_now, depth, 1);
        if is_counted {
            bump(&mut self.depths, depth, 1);
        }
    }
}

impl Figures {
    /// Of values in any order.
    fn of(mut values: Vec<u64>) -> Self {
        values.sort_unstable();
        let at = |percent: usize| {
            let place = (values.len() * percent).div_ceil(100).saturating_sub(1);
            values.get(place).copied().unwrap_or(0)
        };
        Self {
            p50: at(50),
            p99: at(99),
            max: at(100),
        }
    }

    /// Of a histogram: how many there are of each value from 0 on.
    fn of_histogram(counts: &[u64]) -> Self {
        let total: u64 = counts.iter().sum();
        let at = |percent: u64| {
            let rank = (total * percent).div_ceil(100).max(1);
            let mut seen = 0;
            let place = counts.iter().position(|count| {
                seen += count;
                seen >= rank
            });
            place.unwrap_or(0) as u64
        };
        Self {
            p50: at(50),
            p99: at(99),
            max: at(100),
        }
    }
}

impl Report {
    pub(super) fn new<'a>(
        scenario: &Scenario,
        records: &[Record],
        tallies: impl Iterator<Item = &'a Tally>,
        totals: Totals,
    ) -> Self {
        let mut tally = Tally::new();
        tallies.for_each(|part| tally.absorb(part));
        tally.spoken.sort_unstable();
        let heard: Vec<Heard> = records.iter().filter_map(|record| record.heard).collect();
        let expected = |heard: &Heard| between(&tally.spoken, heard.from, heard.until);
        let lost = heard
            .iter()
            .map(|heard| expected(heard).saturating_sub(heard.counts.in_time.into()));
        let joining = records
            .iter()
            .filter_map(|record| Some((record.joined? - record.came?) / 1_000_000));
        let moves: u64 = records.iter().map(|record| u64::from(record.moves)).sum();
        let seconds = totals.member_seconds.max(1) as f64;
        let warm_up = nanos(scenario.warm_up);
        let count = |fits: fn(&Record) -> bool| records.iter().filter(|record| fits(record)).count() as u64;
        Self {
            listeners: count(|record| record.came.is_some()),
            without_place: count(|record| record.came.is_some() && record.joined.is_none()),
            gave_up: count(|record| record.gave_up),
            cornered: count(|record| record.cornered),
            killed: totals.killed,
            frames: between(&tally.spoken, warm_up, nanos(scenario.duration)),
            expected: heard.iter().map(expected).sum(),
            delivered: heard.iter().map(|heard| u64::from(heard.counts.delivered)).sum(),
            in_time: heard.iter().map(|heard| u64::from(heard.counts.in_time)).sum(),
            soon: heard.iter().map(|heard| u64::from(heard.counts.soon)).sum(),
            held_up: held_up(&tally.causes),
            lost: Figures::of(lost.collect()),
            delay: Figures::of_histogram(tally.delays.counts()),
            repair: Figures::of_histogram(tally.repairs.counts()),
            repaired: tally.repairs.counts().iter().sum(),
            joining: Figures::of(joining.collect()),
            depth: Figures::of_histogram(&totals.depths),
            moves_a_minute: moves as f64 * 60.0 / seconds,
            control_rate: tally.control_bytes as f64 / seconds,
            signal_rate: tally.signal_bytes as f64 / seconds,
            host_packets_a_frame: tally.host_packets as f64
                / between(&tally.spoken, warm_up, u64::MAX).max(1) as f64,
            packets: tally.packets,
            dropped: tally.dropped,
            misbehaved: tally.misbehaved,
            caught: tally.caught,
            refused: tally.refused,
            events: tally.events,
            timeline: timeline(&tally, &heard),
            depths: totals.depths_now,
        }
    }

    /// Share of the expected frames that came in time, 0 to 1.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        share(self.in_time, self.expected)
    }
}

impl fmt::Display for Report {
    /// A table, one figure a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of_expected = |count| 100.0 * share(count, self.expected);
        writeln!(
            f,
            "listeners           {} came, {} never had a place, {} gave up, {} members killed",
            self.listeners, self.without_place, self.gave_up, self.killed
        )?;
        writeln!(
            f,
            "frames              {} captured, {} expected by listeners",
            self.frames, self.expected
        )?;
        writeln!(
            f,
            "delivered           {:.4} % at all, {:.4} % in time, {:.4} % within 500 ms of capture",
            of_expected(self.delivered),
            of_expected(self.in_time),
            of_expected(self.soon)
        )?;
        for held_up in self
            .held_up
            .iter()
            .filter(|held_up| held_up.late + held_up.slow > 0)
        {
            writeln!(
                f,
                "  {:<17} {:.4} % late to be played, {:.4} % later than 500 ms",
                held_up.by,
                of_expected(held_up.late),
                of_expected(held_up.slow)
            )?;
        }
        writeln!(f, "lost per listener   {} frames", self.lost)?;
        writeln!(f, "capture to arrival  {} ms", self.delay)?;
        writeln!(
            f,
            "repair              {} ms, {} frames",
            self.repair, self.repaired
        )?;
        writeln!(f, "joining             {} ms", self.joining)?;
        writeln!(f, "depth               {} hops", self.depth)?;
        writeln!(
            f,
            "moves               {:.3} a member and minute",
            self.moves_a_minute
        )?;
        writeln!(
            f,
            "a member sends      {:.0} B/s control, {:.0} B/s heartbeats, digests and pulls apart",
            self.control_rate, self.signal_rate
        )?;
        writeln!(
            f,
            "the host sends      {:.2} packets a frame",
            self.host_packets_a_frame
        )?;
        writeln!(
            f,
            "packets             {} sent, {} datagrams dropped before an uplink",
            self.packets, self.dropped
        )?;
        writeln!(
            f,
            "faults              {} honest neighbours cut off, {} commands refused; {} times a villain was, {} listeners between villains",
            self.misbehaved, self.refused, self.caught, self.cornered
        )?;
        write!(f, "events              {}", self.events)
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p50 {}, p99 {}, max {}", self.p50, self.p99, self.max)
    }
}

/// Late frames by what held them up, in words.
fn held_up(causes: &Causes) -> Vec<HeldUp> {
    let word = |cause| match cause {
        Cause::New => "just come in",
        Cause::Orphaned => "parent gone",
        Cause::Above => "parent gone above",
        Cause::LostOften => "lost on two links",
        Cause::Lost => "lost on a link",
        Cause::Far => "long way",
    };
    Cause::ALL
        .map(|cause| HeldUp {
            by: word(cause),
            late: causes.late[cause as usize],
            slow: causes.slow[cause as usize],
        })
        .into()
}

/// How many of these, in order, lie from a time to another.
fn between(times: &[u64], from: u64, until: u64) -> u64 {
    let before = |limit: u64| times.partition_point(|time| *time < limit);
    (before(until).saturating_sub(before(from))) as u64
}

/// Sweeps over time: at each frame, all listeners expect it who have come and have not ended.
fn timeline(tally: &Tally, heard: &[Heard]) -> Vec<Moment> {
    let mut starts: Vec<u64> = heard.iter().map(|heard| heard.from).collect();
    let mut ends: Vec<u64> = heard.iter().map(|heard| heard.until).collect();
    starts.sort_unstable();
    ends.sort_unstable();
    let mut expected = vec![];
    let (mut started, mut ended) = (0_usize, 0);
    for &captured in &tally.spoken {
        while starts.get(started).is_some_and(|start| *start <= captured) {
            started += 1;
        }
        while ends.get(ended).is_some_and(|end| *end <= captured) {
            ended += 1;
        }
        bump(
            &mut expected,
            (captured / SLOT) as usize,
            started.saturating_sub(ended) as u64,
        );
    }
    let in_time = tally.in_time.iter().copied().chain(core::iter::repeat(0));
    (0..)
        .zip(expected.into_iter().zip(in_time))
        .map(|(slot, (expected, in_time))| Moment {
            at: Duration::from_nanos(slot * SLOT),
            expected,
            in_time,
        })
        .collect()
}

fn bump(counts: &mut Vec<u64>, place: usize, by: u64) {
    if place >= counts.len() {
        counts.resize(place + 1, 0);
    }
    counts[place] += by;
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        return 1.0;
    }
    part as f64 / whole as f64
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_values_and_of_their_histogram_are_the_same() {
        let values: Vec<u64> = (0..1000).map(|value| value % 100).collect();
        let mut counts = vec![];
        for value in &values {
            bump(&mut counts, *value as usize, 1);
        }
        let figures = Figures::of(values);
        assert_eq!(
            figures,
            Figures {
                p50: 49,
                p99: 98,
                max: 99
            }
        );
        assert_eq!(Figures::of_histogram(&counts), figures);
        assert_eq!(Figures::of(vec![]), Figures::default());
        assert_eq!(Figures::of_histogram(&[]), Figures::default());
    }

    #[test]
    fn frames_are_counted_from_the_first_time_to_before_the_second() {
        let times = [10, 20, 20, 30];
        assert_eq!(between(&times, 10, 30), 3);
        assert_eq!(between(&times, 11, 31), 3);
        assert_eq!(between(&times, 31, 10), 0);
    }
}
