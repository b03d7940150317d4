//! Choosing whom to take away, doing it, and following those who hung on them.

use std::time::Duration;

use serde::Serialize;

use crate::{
    live::{
        cast::Cast,
        scene::{Member, Part, Scene},
    },
    options::Options,
};

/// Longest wait for all orphans to have a parent again: what a member itself waits before it gives up, and a bit.
const REPARENTING: Duration = Duration::from_secs(35);

/// A kill, and who hung on whom was killed.
#[derive(Debug, Serialize)]
pub(crate) struct Strike {
    /// Which kill it is, from 1.
    pub(crate) number: u32,
    /// Which try of it.
    pub(crate) attempt: u32,
    pub(crate) victims: Vec<Victim>,
    /// Unix milliseconds.
    pub(crate) at_ms: u64,
    pub(crate) orphans: Vec<Orphan>,
    /// Names of all members below the victims, orphans included.
    pub(crate) behind: Vec<String>,
}

/// Who was taken away.
#[derive(Debug, Serialize)]
pub(crate) struct Victim {
    pub(crate) name: String,
    pub(crate) pid: Option<u32>,
    pub(crate) depth: u64,
}

/// A child of a victim.
#[derive(Debug, Serialize)]
pub(crate) struct Orphan {
    pub(crate) name: String,
    /// Its parent, which was taken away.
    pub(crate) parent: String,
    /// Who stood by for it.
    pub(crate) standby: Option<String>,
    /// What became of it.
    pub(crate) found: Option<Found>,
}

/// The parent that an orphan found.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Found {
    pub(crate) parent: String,
    pub(crate) reason: String,
    /// Milliseconds from the kill.
    pub(crate) ms: u64,
}

impl Strike {
    /// Takes members away, and says who hung on them.
    pub(crate) async fn at(
        cast: &mut Cast,
        names: &[String],
        (number, attempt): (u32, u32),
        gracefully: bool,
    ) -> anyhow::Result<Self> {
        let (victims, orphans, behind) = {
            let scene = cast.scene();
            let victims = names
                .iter()
                .filter_map(|name| scene.member(name))
                .map(Victim::of)
                .collect();
            let is_victim = |member: &&Member| !names.contains(&member.name);
            let orphans = names.iter().flat_map(|name| scene.children_of(name));
            let orphans: Vec<Orphan> = orphans.filter(is_victim).map(Orphan::of).collect();
            let below = names.iter().flat_map(|name| scene.below(name));
            let mut behind: Vec<String> = below
                .filter(is_victim)
                .map(|member| member.name.clone())
                .collect();
            behind.sort();
            behind.dedup();
            (victims, orphans, behind)
        };
        let mut at_ms = u64::MAX;
        for name in names {
            at_ms = at_ms.min(cast.strike(name, gracefully).await?);
        }
        Ok(Self {
            number,
            attempt,
            victims,
            at_ms,
            orphans,
            behind,
        })
    }

    /// Waits until every orphan has found a parent, and remembers which.
    pub(crate) async fn follow(&mut self, cast: &mut Cast) {
        let at_ms = self.at_ms;
        let victims: Vec<&str> = self.victims.iter().map(|victim| victim.name.as_str()).collect();
        let orphans: Vec<&str> = self.orphans.iter().map(|orphan| orphan.name.as_str()).collect();
        let all_found = |scene: &Scene| {
            let mut members = orphans.iter().filter_map(|name| scene.member(name));
            members.all(|member| !member.is_here() || found(member, at_ms, &victims).is_some())
        };
        cast.until(REPARENTING, all_found).await;
        let scene = cast.scene();
        let found: Vec<Option<Found>> = orphans
            .iter()
            .map(|name| {
                scene
                    .member(name)
                    .and_then(|member| found(member, at_ms, &victims))
            })
            .collect();
        for (orphan, found) in self.orphans.iter_mut().zip(found) {
            orphan.found = found;
        }
    }

    /// The longest that an orphan took; none when one has found nobody.
    pub(crate) fn slowest_ms(&self) -> Option<u64> {
        let times = self
            .orphans
            .iter()
            .map(|orphan| orphan.found.as_ref().map(|found| found.ms));
        times.collect::<Option<Vec<u64>>>()?.into_iter().max()
    }
}

impl Victim {
    fn of(member: &Member) -> Self {
        Self {
            name: member.name.clone(),
            pid: member.pid,
            depth: member.depth,
        }
    }
}

impl Orphan {
    fn of(member: &Member) -> Self {
        Self {
            name: member.name.clone(),
            parent: member.parent.clone().unwrap_or_default(),
            standby: member.standby.clone(),
            found: None,
        }
    }
}

/// The first parent after a time that is none of the victims. Whoever took the root's part has none, and needs none.
fn found(member: &Member, at_ms: u64, victims: &[&str]) -> Option<Found> {
    let taken = member.moves.iter().filter(|taken| taken.at_ms >= at_ms);
    taken
        .filter_map(|taken| {
            let parent = match &taken.to {
                Some(parent) => parent.clone(),
                None if taken.reason == "root-moved" => "itself, the root now".to_owned(),
                None => return None,
            };
            Some(Found {
                parent,
                reason: taken.reason.clone(),
                ms: taken.at_ms - at_ms,
            })
        })
        .find(|found| !victims.contains(&found.parent.as_str()))
}

/// Whom to take away next; none when there is nobody of whom much would be learnt.
pub(crate) fn choose(scene: &Scene, options: &Options, draw: u64) -> Option<Vec<String>> {
    if options.host {
        return Some(vec!["host".to_owned()]);
    }
    let mut choices: Vec<Vec<String>> = if options.both {
        scene.here().filter_map(|member| both(scene, member)).collect()
    } else {
        let worth = scene.here().filter(|member| is_worth_it(scene, member));
        worth.map(|member| vec![member.name.clone()]).collect()
    };
    if choices.is_empty() && !options.both {
        // A tree that has shrunk: whoever has most below.
        let relays = scene.here().filter(|member| member.part == Part::Relay);
        let busiest = relays.max_by_key(|member| scene.below(&member.name).len())?;
        choices.push(vec![busiest.name.clone()]);
    }
    let at = usize::try_from(draw % choices.len() as u64).unwrap_or(0);
    Some(choices.swap_remove(at))
}

/// A relay process with three children, and others below those.
fn is_worth_it(scene: &Scene, member: &Member) -> bool {
    let children = scene.children_of(&member.name).count();
    member.part == Part::Relay && children >= 3 && scene.below(&member.name).len() > children
}

/// The parent and the standby of a listener, where both are processes that can be taken away.
fn both(scene: &Scene, member: &Member) -> Option<Vec<String>> {
    let is_relay = |name: &String| {
        scene
            .member(name)
            .is_some_and(|at| at.part == Part::Relay && at.is_here())
    };
    let pair = [member.parent.clone()?, member.standby.clone()?];
    pair.iter().all(is_relay).then(|| pair.into())
}

/// Numbers that look drawn, the same for the same seed (Steele, Lea and Flood, "Fast splittable pseudorandom number
/// generators", 2014).
#[derive(Debug)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
