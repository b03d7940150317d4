//! Which packets of one stay were seen: a sliding window as in RFC 4303 section 3.4.3, one per epoch.
//!
//! Only packets whose signature verified may be inserted: a jump forward is believed, and forgets what lies behind.

/// How many sequences behind the newest are still told apart from replays: ten seconds of single frames, far
/// beyond what any path reorders or any pull brings late. More costs memory per speaker; less drops repaired
/// sound as stale.
pub const WINDOW: u32 = 512;

const WORD: u32 = u64::BITS;
const WORDS: usize = (WINDOW / WORD) as usize;

/// The packets of one stay that were seen, by the sequence of their first frame.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Window {
    newest: Option<Newest>,
}

/// Why a packet is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotNew {
    /// Its epoch is over, or it lies more than [`WINDOW`] behind the newest.
    #[error("the packet is stale")]
    Stale,
    /// It was seen before.
    #[error("the packet was seen before")]
    Duplicate,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Newest {
    epoch: u32,
    sequence: u32,
    /// Bit `i`, counted from the lowest of word 0, is set when `sequence - 1 - i` was seen.
    behind: [u64; WORDS],
}

impl Window {
    /// Whether a packet would be new. Changes nothing.
    ///
    /// # Errors
    /// [`NotNew`] says why it is not.
    pub fn check(&self, epoch: u32, sequence: u32) -> Result<(), NotNew> {
        let Some(newest) = &self.newest else {
            return Ok(());
        };
        if epoch != newest.epoch {
            return if epoch > newest.epoch {
                Ok(())
            } else {
                Err(NotNew::Stale)
            };
        }
        match newest.sequence.checked_sub(sequence) {
            None => Ok(()),
            Some(0) => Err(NotNew::Duplicate),
            Some(back) if back > WINDOW => Err(NotNew::Stale),
            Some(back) if newest.saw(back) => Err(NotNew::Duplicate),
            Some(_) => Ok(()),
        }
    }

    /// Marks a verified packet as seen. A newer epoch forgets the one before.
    ///
    /// # Errors
    /// [`NotNew`] when it was not new after all; then nothing changes.
    pub fn insert(&mut self, epoch: u32, sequence: u32) -> Result<(), NotNew> {
        self.check(epoch, sequence)?;
        match &mut self.newest {
            Some(newest) if newest.epoch == epoch => newest.mark(sequence),
            _ => {
                self.newest = Some(Newest {
                    epoch,
                    sequence,
                    behind: [0; WORDS],
                })
            }
        }
        Ok(())
    }
}

impl Newest {
    /// Whether the sequence `back` (1 to [`WINDOW`]) behind the newest was seen.
    fn saw(&self, back: u32) -> bool {
        let (word, bit) = place(back);
        self.behind[word] & bit != 0
    }

    fn mark(&mut self, sequence: u32) {
        if let Some(back) = self.sequence.checked_sub(sequence) {
            let (word, bit) = place(back);
            self.behind[word] |= bit;
        } else {
            let ahead = sequence - self.sequence;
            self.shift(ahead);
            self.sequence = sequence;
            if ahead <= WINDOW {
                let (word, bit) = place(ahead);
                self.behind[word] |= bit;
            }
        }
    }

    fn shift(&mut self, ahead: u32) {
        let (words, bits) = ((ahead / WORD) as usize, ahead % WORD);
        for word in (0..WORDS).rev() {
            let from = |back: usize| word.checked_sub(back).map_or(0, |word| self.behind[word]);
            let carried = if bits == 0 {
                0
            } else {
                from(words.saturating_add(1)) >> (WORD - bits)
            };
            self.behind[word] = from(words) << bits | carried;
        }
    }
}

/// The word and bit of the sequence `back` behind the newest. `back` is 1 to [`WINDOW`].
fn place(back: u32) -> (usize, u64) {
    let index = back - 1;
    ((index / WORD) as usize, 1 << (index % WORD))
}

#[cfg(test)]
mod tests {
    use alloc::{collections::BTreeSet, vec::Vec};

    use proptest::prelude::*;

    use super::*;

    fn window(seen: &[(u32, u32)]) -> Window {
        let mut window = Window::default();
        for &(epoch, sequence) in seen {
            window.insert(epoch, sequence).expect("new");
        }
        window
    }

    #[test]
    fn the_first_packet_may_have_any_sequence() {
        for sequence in [0, 1, 511, 512, 513, u32::MAX] {
            assert_eq!(window(&[]).check(3, sequence), Ok(()));
        }
    }

    #[test]
    fn out_of_order_is_new_once() {
        let mut window = window(&[(1, 10), (1, 13)]);
        assert_eq!(window.insert(1, 12), Ok(()));
        assert_eq!(window.insert(1, 11), Ok(()));
        for sequence in 10..=13 {
            assert_eq!(window.insert(1, sequence), Err(NotNew::Duplicate), "{sequence}");
        }
    }

    #[test]
    fn five_hundred_and_twelve_behind_is_new_and_one_more_is_stale() {
        let window = window(&[(1, 1000)]);
        assert_eq!(window.check(1, 488), Ok(()));
        assert_eq!(window.check(1, 487), Err(NotNew::Stale));
    }

    #[test]
    fn a_jump_keeps_what_is_still_within_the_window() {
        for ahead in [1, 63, 64, 65, 127, 128, 500, 511, 512] {
            let mut window = window(&[(1, 1000)]);
            window.insert(1, 1000 + ahead).expect("a jump forward is fine");
            assert_eq!(window.check(1, 1000), Err(NotNew::Duplicate), "after {ahead}");
            assert_eq!(window.check(1, 1000 + ahead - 1).is_ok(), ahead > 1);
        }
        let window = window(&[(1, 1000), (1, 1513)]);
        assert_eq!(window.check(1, 1000), Err(NotNew::Stale));
        assert_eq!(window.check(1, 1001), Ok(()));
    }

    #[test]
    fn a_newer_epoch_begins_anew_and_an_older_one_is_stale() {
        let mut window = window(&[(5, 90_000)]);
        assert_eq!(window.check(4, 90_001), Err(NotNew::Stale));
        window.insert(6, 0).expect("a newer epoch");
        assert_eq!(window.check(5, 90_001), Err(NotNew::Stale));
        assert_eq!(window.check(6, 0), Err(NotNew::Duplicate));
        assert_eq!(window.check(6, 1), Ok(()));
    }

    #[test]
    fn the_end_of_the_numbers_is_no_way_around() {
        let mut window = window(&[(u32::MAX, 0), (u32::MAX, u32::MAX)]);
        assert_eq!(window.check(u32::MAX, 0), Err(NotNew::Stale));
        assert_eq!(window.check(0, 0), Err(NotNew::Stale));
        assert_eq!(window.insert(u32::MAX, u32::MAX), Err(NotNew::Duplicate));
        assert_eq!(window.insert(u32::MAX, u32::MAX - 512), Ok(()));
        assert_eq!(window.insert(u32::MAX, u32::MAX - 513), Err(NotNew::Stale));
    }

    #[test]
    fn a_refused_packet_changes_nothing() {
        let mut window = window(&[(2, 600)]);
        let before = window.clone();
        for (epoch, sequence) in [(1, 900), (2, 600), (2, 3)] {
            assert!(window.insert(epoch, sequence).is_err());
        }
        assert_eq!(window, before);
    }

    /// Remembers everything, and looks it up.
    #[derive(Default)]
    struct Naive {
        seen: BTreeSet<(u32, u32)>,
    }

    impl Naive {
        fn insert(&mut self, epoch: u32, sequence: u32) -> Result<(), NotNew> {
            if let Some(&(newest_epoch, newest)) = self.seen.last() {
                let behind = i64::from(newest) - i64::from(sequence);
                if epoch < newest_epoch || epoch == newest_epoch && behind > 512 {
                    return Err(NotNew::Stale);
                }
            }
            if self.seen.insert((epoch, sequence)) {
                Ok(())
            } else {
                Err(NotNew::Duplicate)
            }
        }
    }

    fn steps() -> impl Strategy<Value = Vec<(u32, u32)>> {
        let near = |start: u32| (0_u32..3, start..=start.saturating_add(1500));
        let start = prop_oneof![Just(0), Just(5000), Just(u32::MAX - 1500)];
        start.prop_flat_map(move |start| prop::collection::vec(near(start), 0..200))
    }

    proptest! {
        #[test]
        fn it_answers_as_one_who_remembers_everything(steps in steps()) {
            let (mut window, mut naive) = (Window::default(), Naive::default());
            for (epoch, sequence) in steps {
                prop_assert_eq!(window.check(epoch, sequence), window.clone().insert(epoch, sequence));
                prop_assert_eq!(window.insert(epoch, sequence), naive.insert(epoch, sequence));
            }
        }
    }
}
