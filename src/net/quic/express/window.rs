//! Which numbers of packets came already: the sliding window of RFC 4303, section 3.4.3.
//!
//! Invariant: no number is taken twice; one that is older than the window counts as taken.

/// Numbers that the window spans. A packet is late by more than this only when some two seconds of others overtook it.
const SPAN: u64 = 128;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// The greatest number taken.
    greatest: Option<u64>,
    /// Bit `n` is set when the number `n` below the greatest was taken.
    taken: u128,
}

impl Window {
    /// Takes a number; false if it was taken before, or may have been.
    pub(super) fn take(&mut self, number: u64) -> bool {
        let greatest = *self.greatest.get_or_insert(number);
        if number > greatest {
            let shift = u32::try_from(number - greatest).unwrap_or(u32::MAX);
            self.taken = self.taken.checked_shl(shift).unwrap_or(0);
            self.greatest = Some(number);
        }
        let back = greatest.saturating_sub(number);
        if back >= SPAN {
            return false;
        }
        let bit = 1 << back;
        let is_new = self.taken & bit == 0;
        self.taken |= bit;
        is_new
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_number_may_be_any_and_the_last_ends_it() {
        let mut window = Window::default();
        assert!(window.take(700));
        assert!(window.take(699) && !window.take(699));
        assert!(
            window.take(573) && !window.take(572),
            "128 numbers are remembered"
        );
        assert!(window.take(u64::MAX) && !window.take(u64::MAX));
    }

    proptest! {
        /// Against a set that forgets nothing: what the window takes the set has not, and what it refuses the set has,
        /// or it is too old.
        #[test]
        fn no_number_is_taken_twice_and_none_that_is_recent_is_refused(
            numbers in prop::collection::vec(0_u64..400, 1..400),
        ) {
            let (mut window, mut seen, mut greatest) = (Window::default(), BTreeSet::new(), 0);
            for number in numbers {
                let is_old = greatest >= SPAN && number <= greatest - SPAN;
                let expected = !seen.contains(&number) && !is_old;
                prop_assert_eq!(window.take(number), expected);
                if expected {
                    seen.insert(number);
                    greatest = greatest.max(number);
                }
            }
        }
    }
}
