//! What one peer may make us do: a token bucket each, asked before the work is done.
//!
//! Invariant: a bucket is the peer's, not the link's, and outlives its links, so that a new substream buys no new
//! patience.

use alloc::collections::BTreeMap;
use core::time::Duration;

use crate::person::Peer;

/// Tokens that a peer gets each second. A member in a lively room sends a few messages a second; catching up on a
/// log takes a dozen in a row; and a relay whose children flood it passes up requests, hands and lines of chat, each
/// within its own bound, of which the sum must stay below this, or it would be cut off for them.
const RATE: u32 = 40;

/// Tokens that a peer may save up: joining, and all of those bursts at once.
const BURST: u32 = 200;

/// What a message costs when it makes us verify a signature.
pub(super) const SIGNED: u32 = 2;

/// What any other message costs.
pub(super) const PLAIN: u32 = 1;

/// What a message costs that we asked for, or that we answer once a peer.
pub(super) const FREE: u32 = 0;

/// Peers whose buckets are kept while most of them have no link any more. A bucket is full again after five seconds,
/// and a forgotten one is full at once: with fewer, a crowd of strangers would wipe out what one of them has spent.
const REMEMBERED: usize = 1_024;

/// The buckets of all peers of a room.
#[derive(Debug, Default)]
pub(super) struct Conduct {
    peers: BTreeMap<Peer, Account>,
}

/// One peer's account.
#[derive(Debug)]
pub(super) struct Account {
    budget: Budget,
    /// The newest log entry that was sent to it on its asking.
    entries_sent: u32,
}

/// A token bucket.
#[derive(Debug)]
pub(super) struct Budget {
    /// Tokens earned each second.
    rate: u32,
    /// Most tokens saved up.
    burst: u32,
    /// Thousandths of a token, so that short intervals count.
    millitokens: u32,
    at: Duration,
}

impl Conduct {
    /// A peer's account; a fresh one for those who were not met before.
    pub(super) fn of(&mut self, peer: Peer, now: Duration) -> &mut Account {
        if self.peers.len() >= REMEMBERED && !self.peers.contains_key(&peer) {
            self.peers.retain(|_, account| !account.budget.is_full(now));
            if self.peers.len() >= REMEMBERED {
                self.peers.pop_first();
            }
        }
        self.peers.entry(peer).or_insert_with(|| Account {
            budget: Budget::new(RATE, BURST, now),
            entries_sent: 0,
        })
    }

    /// The newest log entry that was sent to a peer on its asking.
    pub(super) fn entries_sent(&self, peer: Peer) -> u32 {
        self.peers.get(&peer).map_or(0, |account| account.entries_sent)
    }
}

impl Account {
    /// Takes tokens out; `false` when there are too few, and then none is taken.
    pub(super) fn take(&mut self, tokens: u32, now: Duration) -> bool {
        self.budget.take(tokens, now)
    }

    /// Notes up to which entry the log was sent.
    pub(super) fn sent_entries(&mut self, newest: u32) {
        self.entries_sent = self.entries_sent.max(newest);
    }
}

impl Budget {
    /// A full bucket.
    pub(super) fn new(rate: u32, burst: u32, now: Duration) -> Self {
        Self {
            rate,
            burst,
            millitokens: burst * 1000,
            at: now,
        }
    }

    /// Takes tokens out where as many as `reserve` are left behind; `false` when not, and then none is taken.
    pub(super) fn take_above(&mut self, tokens: u32, reserve: u32, now: Duration) -> bool {
        self.earned(now) >= (tokens + reserve) * 1000 && self.take(tokens, now)
    }

    fn is_full(&self, now: Duration) -> bool {
        self.earned(now) == self.burst * 1000
    }

    /// Takes tokens out; `false` when there are too few, and then none is taken.
    pub(super) fn take(&mut self, tokens: u32, now: Duration) -> bool {
        self.millitokens = self.earned(now);
        self.at = now.max(self.at);
        match self.millitokens.checked_sub(tokens * 1000) {
            Some(left) => {
                self.millitokens = left;
                true
            }
            None => false,
        }
    }

    /// What is in the bucket at `now`, in thousandths of a token.
    fn earned(&self, now: Duration) -> u32 {
        let elapsed = u32::try_from(now.saturating_sub(self.at).as_millis()).unwrap_or(u32::MAX);
        self.millitokens
            .saturating_add(elapsed.saturating_mul(self.rate))
            .min(self.burst * 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_only_the_rate() {
        let mut budget = Budget::new(RATE, BURST, Duration::ZERO);
        let taken = (0..1000).filter(|_| budget.take(PLAIN, Duration::ZERO)).count();
        assert_eq!(taken, BURST as usize);
        let later = Duration::from_secs(1);
        let taken = (0..1000).filter(|_| budget.take(PLAIN, later)).count();
        assert_eq!(taken, RATE as usize);
    }

    #[test]
    fn a_clock_that_jumps_gives_no_more_than_a_burst() {
        let mut budget = Budget::new(RATE, BURST, Duration::ZERO);
        assert!(budget.take(BURST, Duration::MAX));
        assert!(!budget.take(PLAIN, Duration::ZERO));
    }
}
