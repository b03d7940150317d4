//! What the host spent: packets it sent for each frame it said, second by second, and how long it had more children
//! than places.

use std::fmt;

use serde::Serialize;

use crate::live::scene::Member;

/// Packets a frame above the fan-out that are no push to one more child: answers to pulls, and the history that a new
/// child is sent.
const TOLERANCE: f64 = 0.5;

/// What the host spent.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Pushes {
    /// Packets for each frame, in each second in which it spoke.
    pub(crate) each_second: Vec<f64>,
    /// The most of those.
    pub(crate) most: f64,
    /// How many of those seconds were above the fan-out.
    pub(crate) seconds_above: usize,
    /// How long there were more children than places, in milliseconds, and how long at a stretch.
    pub(crate) crowded_ms: u64,
    pub(crate) longest_crowded_ms: u64,
}

impl Pushes {
    /// What `host` sent from one time to another, in Unix milliseconds.
    pub(crate) fn of(host: &Member, fan_out: u32, (from, to): (u64, u64)) -> Self {
        let told: Vec<_> = host
            .sent
            .iter()
            .filter(|(at, ..)| (from..=to).contains(at))
            .collect();
        let each_second: Vec<f64> = told
            .windows(2)
            .filter_map(|pair| {
                let packets = pair[1].1.saturating_sub(pair[0].1);
                let frames = pair[1].2.saturating_sub(pair[0].2);
                // The first and the last second of speech are cut short anywhere.
                (frames >= 25).then(|| (packets as f64 / frames as f64 * 100.0).round() / 100.0)
            })
            .collect();
        let most = each_second.iter().copied().fold(0.0, f64::max);
        let limit = f64::from(fan_out) + TOLERANCE;
        let seconds_above = each_second.iter().filter(|ratio| **ratio > limit).count();
        let (crowded_ms, longest_crowded_ms) = crowded(&host.children, fan_out as usize, from, to);
        Self {
            each_second,
            most,
            seconds_above,
            crowded_ms,
            longest_crowded_ms,
        }
    }
}

impl fmt::Display for Pushes {
    /// Packets a frame to the nearest whole number, and for how many seconds: `4 for 30 s, 6 for 2 s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole: Vec<u64> = self
            .each_second
            .iter()
            .map(|pushes| pushes.round() as u64)
            .collect();
        let runs = whole.chunk_by(|a, b| a == b);
        let runs: Vec<String> = runs
            .map(|run| format!("{} for {} s", run[0], run.len()))
            .collect();
        f.write_str(&runs.join(", "))
    }
}

/// For how long a count was above a limit, together and at most at a stretch.
fn crowded(counts: &[(u64, usize)], limit: usize, from: u64, to: u64) -> (u64, u64) {
    let (mut all, mut longest, mut since) = (0, 0, None);
    let end = (to, 0);
    for (at, count) in counts.iter().chain([&end]) {
        let at = (*at).clamp(from, to);
        if let Some(began) = since.filter(|_| *count <= limit) {
            all += at - began;
            longest = longest.max(at - began);
            since = None;
        } else if *count > limit && since.is_none() {
            since = Some(at);
        }
    }
    (all, longest)
}
