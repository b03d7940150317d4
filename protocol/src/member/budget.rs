//! What one neighbour may make us do: a token bucket per link, asked before the work is done.

use core::time::Duration;

/// Tokens that a link gets each second. A member in a lively room sends a few messages a second; catching up on a
/// log takes a dozen in a row.
const RATE: u32 = 20;

/// Tokens that a link may save up: a whole catch-up at once, and no more.
const BURST: u32 = 100;

/// What a message costs when it makes us verify a signature.
pub(super) const SIGNED: u32 = 2;

/// What any other message costs.
pub(super) const PLAIN: u32 = 1;

/// The tokens of one link.
#[derive(Debug)]
pub(super) struct Budget {
    /// Thousandths of a token, so that short intervals count.
    millitokens: u32,
    at: Duration,
}

impl Budget {
    /// A full bucket.
    pub(super) fn new(now: Duration) -> Self {
        Self {
            millitokens: BURST * 1000,
            at: now,
        }
    }

    /// Takes tokens out; `false` when there are too few, and then none is taken.
    pub(super) fn take(&mut self, tokens: u32, now: Duration) -> bool {
        let elapsed = u32::try_from(now.saturating_sub(self.at).as_millis()).unwrap_or(u32::MAX);
        self.millitokens = self
            .millitokens
            .saturating_add(elapsed.saturating_mul(RATE))
            .min(BURST * 1000);
        self.at = now.max(self.at);
        match self.millitokens.checked_sub(tokens * 1000) {
            Some(left) => {
                self.millitokens = left;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_only_the_rate() {
        let mut budget = Budget::new(Duration::ZERO);
        let taken = (0..1000).filter(|_| budget.take(PLAIN, Duration::ZERO)).count();
        assert_eq!(taken, BURST as usize);
        let later = Duration::from_secs(1);
        let taken = (0..1000).filter(|_| budget.take(PLAIN, later)).count();
        assert_eq!(taken, RATE as usize);
    }

    #[test]
    fn a_clock_that_jumps_gives_no_more_than_a_burst() {
        let mut budget = Budget::new(Duration::ZERO);
        assert!(budget.take(BURST, Duration::MAX));
        assert!(!budget.take(PLAIN, Duration::ZERO));
    }
}
