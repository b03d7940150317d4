//! How long a speaker's sound is missing at a stretch, as its listener hears it: from the last frame that was played to
//! the next, concealment included, less what was silence by the speaker's own numbers.

use super::buffer::Place;

/// A stretch without frames, while it lasts. It begins with the first tick that is concealed: silence alone is none.
#[derive(Debug, Default)]
pub(super) struct Gap {
    /// The last frame before it, if its numbers still mean the same.
    from: Option<Place>,
    /// Ticks since then that had no frame.
    ticks: i64,
    /// Those of them that were concealed.
    concealed: i64,
}

impl Gap {
    /// A tick was concealed; `last` is the last frame that was played.
    pub(super) fn note_concealed(&mut self, last: Option<Place>) {
        if self.ticks == 0 {
            self.from = last;
        }
        self.ticks += 1;
        self.concealed += 1;
    }

    /// A tick was silent.
    pub(super) fn note_silent(&mut self) {
        if self.ticks > 0 {
            self.ticks += 1;
        }
    }

    /// The speaker's numbers begin anew: how much of what follows was silence cannot be known.
    pub(super) fn forget_place(&mut self) {
        self.from = None;
    }

    /// A frame is played: for how many ticks sound was missing before it.
    pub(super) fn end(&mut self, heard: Option<Place>) -> u32 {
        let gap = core::mem::take(self);
        let silent = match (gap.from, heard) {
            (Some(from), Some(heard)) => (heard.time - from.time) - (heard.sequence - from.sequence),
            _ => gap.ticks,
        };
        let missing = (gap.ticks - silent.max(0)).max(gap.concealed);
        u32::try_from(missing).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(sequence: i64, time: i64) -> Option<Place> {
        Some(Place { sequence, time })
    }

    fn gap(concealed: usize, silent: usize) -> Gap {
        let mut gap = Gap::default();
        (0..concealed).for_each(|_| gap.note_concealed(place(100, 200)));
        (0..silent).for_each(|_| gap.note_silent());
        gap
    }

    #[test]
    fn an_outage_lasts_from_the_last_frame_to_the_next() {
        assert_eq!(gap(5, 20).end(place(126, 226)), 25, "25 frames were lost");
        assert_eq!(gap(5, 20).end(place(101, 201)), 25, "all came, but late");
    }

    #[test]
    fn silence_of_the_speaker_is_no_gap() {
        assert_eq!(gap(0, 500).end(place(101, 700)), 0);
        assert_eq!(
            gap(5, 495).end(place(101, 701)),
            5,
            "invented where the end was lost"
        );
        assert_eq!(gap(5, 495).end(place(111, 701)), 10, "ten lost around a pause");
    }

    #[test]
    fn numbers_that_begin_anew_say_nothing_about_the_silence_between() {
        let mut gap = gap(3, 100);
        gap.forget_place();
        assert_eq!(gap.end(place(0, 0)), 3);
        assert_eq!(gap.end(place(1, 1)), 0, "it ends once");
    }
}
