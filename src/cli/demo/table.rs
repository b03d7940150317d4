//! The verdict on each listener, and the table of all.

use std::path::PathBuf;

use serde::Serialize;

use super::process::{Counts, Seen};

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
    /// Frames that were played without data.
    concealed: Option<u64>,
    /// The longest time without the speaker's sound.
    longest_gap_ms: Option<u64>,
    /// To whom it turned after the speech had begun, one after the other.
    moved_to: Vec<&'static str>,
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
    pub(super) fn new(
        name: &'static str,
        pid: u32,
        seen: &Seen,
        moved_to: Vec<&'static str>,
        (matching, wav): (f32, PathBuf),
    ) -> Self {
        let counts = seen.summary;
        let is_whole = |counts: Counts| counts.expected > 0 && counts.lost + counts.concealed == 0;
        Self {
            name,
            pid,
            join_ms: seen.join_ms,
            first_audio_ms: seen.first_audio_ms,
            received: counts.map(|counts| counts.received),
            expected: counts.map(|counts| counts.expected),
            lost: counts.map(|counts| counts.lost),
            concealed: counts.map(|counts| counts.concealed),
            longest_gap_ms: counts.map(|counts| counts.longest_gap_ms),
            moved_to,
            matching,
            heard: counts.is_some_and(is_whole) && matching >= MATCH,
            wav,
        }
    }

    /// Whether it was there to its end and missed frames, as a process does that the machine holds up.
    pub(super) fn missed_frames(&self) -> bool {
        self.lost.unwrap_or(0) + self.concealed.unwrap_or(0) > 0
    }
}

/// The table for people.
pub(super) fn text(rows: &[Row]) -> String {
    let number = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
    let mut lines = vec![format!(
        "{:<14} {:>7} {:>14} {:>8} {:>5} {:>9} {:>14} {:>6}  {:<18} verdict",
        "listener",
        "join ms",
        "first audio ms",
        "received",
        "lost",
        "concealed",
        "longest gap ms",
        "match",
        "moved to"
    )];
    lines.extend(rows.iter().map(|row| {
        let moved_to = if row.moved_to.is_empty() {
            "-".to_owned()
        } else {
            row.moved_to.join(", ")
        };
        format!(
            "{:<14} {:>7} {:>14} {:>8} {:>5} {:>9} {:>14} {:>6.3}  {:<18} {}",
            row.name,
            number(row.join_ms),
            number(row.first_audio_ms),
            number(row.received),
            number(row.lost),
            number(row.concealed),
            number(row.longest_gap_ms),
            row.matching,
            moved_to,
            if row.heard { "heard" } else { "NOT HEARD" }
        )
    }));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(counts: Option<[u64; 3]>, matching: f32) -> Row {
        let summary = counts.map(|[received, lost, concealed]| Counts {
            received,
            expected: received + lost,
            lost,
            concealed,
            longest_gap_ms: 0,
        });
        let seen = Seen {
            summary,
            ..Seen::default()
        };
        Row::new("one", 1, &seen, Vec::new(), (matching, PathBuf::new()))
    }

    #[test]
    fn heard_means_every_frame_none_made_up_and_a_match_of_095() {
        assert!(row(Some([100, 0, 0]), 0.95).heard);
        assert!(!row(Some([99, 1, 0]), 1.0).heard);
        assert!(!row(Some([100, 0, 1]), 1.0).heard);
        assert!(!row(Some([100, 0, 0]), 0.94).heard);
        assert!(!row(Some([0, 0, 0]), 1.0).heard);
        assert!(!row(None, 1.0).heard);
    }

    #[test]
    fn whoever_missed_frames_is_told_from_who_is_dead_or_heard_something_else() {
        assert!(row(Some([99, 1, 0]), 1.0).missed_frames());
        assert!(row(Some([100, 0, 1]), 0.5).missed_frames());
        assert!(!row(Some([100, 0, 0]), 0.5).missed_frames());
        assert!(!row(None, 0.0).missed_frames());
    }

    #[test]
    fn what_a_dead_listener_did_not_say_is_a_dash() {
        let text = text(&[row(None, 0.0)]);
        let line = text.lines().nth(1).expect("a line");
        assert!(line.contains(" - ") && line.ends_with("NOT HEARD"), "{line}");
    }
}
