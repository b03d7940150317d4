//! The verdict on each listener, and the table of all.

use std::path::PathBuf;

use serde::Serialize;

use super::process::Seen;

/// Least share of the expected frames that must have arrived, in percent.
const FRAMES_PERCENT: u64 = 99;

/// Least match between what was heard and what was said.
const MATCH: f32 = 0.95;

/// One listener.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Row {
    /// Who.
    name: &'static str,
    /// Its process.
    pid: u32,
    /// How long joining took, from its arguments parsed.
    join_ms: Option<u64>,
    /// How long it took to the first sound.
    first_audio_ms: Option<u64>,
    /// 20 ms frames that arrived in time.
    received: Option<u64>,
    /// Frames that were sent to it.
    expected: Option<u64>,
    /// Frames that did not arrive in time.
    lost: Option<u64>,
    /// How well its WAV file matches what was said in its room.
    #[serde(rename = "match")]
    matching: f32,
    /// The verdict.
    pub(super) heard: bool,
    /// What it heard.
    wav: PathBuf,
}

impl Row {
    /// Judges a listener by its summary and by the match; without a summary it has heard nothing.
    pub(super) fn new(name: &'static str, pid: u32, seen: &Seen, matching: f32, wav: PathBuf) -> Self {
        let [received, expected, lost] = match seen.summary {
            Some(totals) => totals.map(Some),
            None => [None; 3],
        };
        let complete = received
            .zip(expected)
            .is_some_and(|(received, expected)| expected > 0 && received * 100 >= expected * FRAMES_PERCENT);
        Self {
            name,
            pid,
            join_ms: seen.join_ms,
            first_audio_ms: seen.first_audio_ms,
            received,
            expected,
            lost,
            matching,
            heard: complete && matching >= MATCH,
            wav,
        }
    }
}

/// The table for people.
pub(super) fn text(rows: &[Row]) -> String {
    let number = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
    let mut lines = vec![format!(
        "{:<15} {:>8} {:>14} {:>10} {:>10} {:>6} {:>7}  verdict",
        "listener", "join ms", "first audio ms", "received", "expected", "lost", "match"
    )];
    lines.extend(rows.iter().map(|row| {
        format!(
            "{:<15} {:>8} {:>14} {:>10} {:>10} {:>6} {:>7.3}  {}",
            row.name,
            number(row.join_ms),
            number(row.first_audio_ms),
            number(row.received),
            number(row.expected),
            number(row.lost),
            row.matching,
            if row.heard { "heard" } else { "NOT HEARD" }
        )
    }));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(summary: Option<[u64; 3]>, matching: f32) -> bool {
        let seen = Seen {
            summary,
            ..Seen::default()
        };
        Row::new("one", 1, &seen, matching, PathBuf::new()).heard
    }

    #[test]
    fn heard_means_99_percent_of_the_frames_and_a_match_of_095() {
        assert!(heard(Some([99, 100, 1]), 0.95));
        assert!(!heard(Some([98, 100, 2]), 1.0));
        assert!(!heard(Some([100, 100, 0]), 0.94));
        assert!(!heard(Some([0, 0, 0]), 1.0));
        assert!(!heard(None, 1.0));
    }

    #[test]
    fn what_a_dead_listener_did_not_say_is_a_dash() {
        let row = Row::new("dead", 7, &Seen::default(), 0.0, PathBuf::new());
        assert!(
            text(&[row])
                .lines()
                .nth(1)
                .is_some_and(|line| line.contains(" - ") && line.ends_with("NOT HEARD"))
        );
    }
}
