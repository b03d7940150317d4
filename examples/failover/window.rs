//! What everyone counted in a stretch of time: between two kills, before the first, after the last.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    live::{
        scene::{Counts, Scene},
        ticker::Ticker,
    },
    strike::Strike,
};

/// Everyone's counts at a moment.
#[derive(Debug)]
pub(crate) struct Snapshot {
    counts: BTreeMap<String, Counts>,
    /// How often this process was held up.
    stalls: u64,
}

/// A stretch of time.
#[derive(Debug)]
pub(crate) struct Window {
    /// The kill that it began with.
    pub(crate) strike: Option<Strike>,
    /// What each listener that was there to its end counted in it.
    pub(crate) counts: BTreeMap<String, Counts>,
    /// How often processes were held up in it.
    pub(crate) stalls: u64,
    /// It says nothing, since the machine stood still; it was repeated.
    pub(crate) is_void: bool,
}

/// A window in short.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Sum {
    /// Frames that listeners behind whom was killed lost.
    pub(crate) lost_behind: u64,
    /// Frames concealed to them.
    pub(crate) concealed_behind: u64,
    /// Frames lost by anyone.
    pub(crate) lost: u64,
    /// Frames concealed to anyone.
    pub(crate) concealed: u64,
    /// Frames that came by a pull.
    pub(crate) repaired: u64,
    /// The longest gap that a listener heard.
    pub(crate) longest_gap_ms: u64,
    /// Times that a process was held up.
    pub(crate) stalls: u64,
}

impl Snapshot {
    /// What everyone who is in the room has counted.
    pub(crate) fn of(scene: &Scene, ticker: &Ticker) -> Self {
        let counts = scene.here().map(|member| (member.name.clone(), member.counts));
        Self {
            counts: counts.collect(),
            stalls: ticker.stalls(),
        }
    }
}

impl Window {
    /// The time between two moments, as those know it who were there at its end.
    pub(crate) fn between(
        before: &Snapshot,
        after: &Snapshot,
        scene: &Scene,
        strike: Option<Strike>,
    ) -> Self {
        let since = |(name, counts): (&String, &Counts)| {
            let before = before.counts.get(name).copied().unwrap_or_default();
            (name.clone(), counts.since(&before))
        };
        let all: BTreeMap<String, Counts> = after.counts.iter().map(since).collect();
        let stalls = all.values().map(|counts| counts.stalls).sum::<u64>() + after.stalls - before.stalls;
        let is_listener = |name: &String| scene.member(name).is_some_and(|member| member.listens());
        let counts = all.into_iter().filter(|(name, _)| is_listener(name)).collect();
        Self {
            strike,
            counts,
            stalls,
            is_void: false,
        }
    }

    /// Whether anybody missed anything.
    pub(crate) fn hurt(&self) -> bool {
        let sum = self.sum();
        sum.lost + sum.concealed > 0
    }

    /// It in short.
    pub(crate) fn sum(&self) -> Sum {
        let mut sum = Sum {
            stalls: self.stalls,
            ..Sum::default()
        };
        for (name, counts) in &self.counts {
            let is_behind = self
                .strike
                .as_ref()
                .is_some_and(|strike| strike.behind.contains(name));
            if is_behind {
                sum.lost_behind += counts.lost;
                sum.concealed_behind += counts.concealed;
            }
            sum.lost += counts.lost;
            sum.concealed += counts.concealed;
            sum.repaired += counts.repaired;
            sum.longest_gap_ms = sum.longest_gap_ms.max(counts.longest_gap_ms);
        }
        sum
    }
}
