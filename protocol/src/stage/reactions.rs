//! Reactions: how many people clap, laugh or wonder, counted on their way and told to everyone as sums.
//!
//! Nobody signs them: a signature each would be the storm that sums avoid. They are claims of those who pass them on.

use alloc::{borrow::ToOwned, vec::Vec};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    limits,
    signed::{Malformed, decode, encode},
};

/// What there is, each at its place on the wire, with the word to type for it.
pub const REACTIONS: [(&str, &str); 8] = [
    ("👏", "clap"),
    ("❤️", "heart"),
    ("😂", "laugh"),
    ("👍", "like"),
    ("👎", "dislike"),
    ("🎉", "party"),
    ("🔥", "fire"),
    ("😮", "wow"),
];

/// How many of each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reactions([u32; REACTIONS.len()]);

/// Counts as they travel: those of kinds that a later version adds are not read.
#[derive(Serialize, Deserialize)]
struct Counts(Vec<u32>);

impl Reactions {
    /// One of this kind, by its sign or its word; `None` for what there is not.
    #[must_use]
    pub fn one(named: &str) -> Option<Self> {
        // The heart is also typed without the selector that gives it its colour.
        let plain = |sign: &str| sign.trim_end_matches('\u{fe0f}').to_owned();
        let fits = |(sign, word): &(&str, &str)| plain(sign) == plain(named) || *word == named;
        let at = REACTIONS.iter().position(fits)?;
        let mut counts = [0; REACTIONS.len()];
        counts[at] = 1;
        Some(Self(counts))
    }

    /// The signs with their counts, without those of which there is none.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, u32)> + '_ {
        let all = REACTIONS.iter().zip(self.0);
        all.filter(|(_, count)| *count > 0)
            .map(|((sign, _), count)| (*sign, count))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0 == [0; REACTIONS.len()]
    }

    /// How many in all.
    #[must_use]
    pub fn sum(&self) -> u32 {
        self.0.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Adds others, at most so many of them in all; those of the first kinds count first.
    pub fn add(&mut self, others: &Self, most: u32) {
        let mut left = most;
        for (count, more) in self.0.iter_mut().zip(others.0) {
            let more = more.min(left);
            left -= more;
            *count = count.saturating_add(more);
        }
    }

    pub(crate) fn encode(self) -> Bytes {
        let last = self.0.iter().rposition(|count| *count > 0);
        encode(&Counts(self.0[..last.map_or(0, |last| last + 1)].to_vec()))
    }

    pub(crate) fn decode(body: &[u8]) -> Result<Self, Malformed> {
        let Counts(counts) = decode(body, "reactions")?;
        if counts.len() > limits::REACTIONS {
            return Err(Malformed::TooMany {
                what: "reactions",
                max: limits::REACTIONS,
            });
        }
        let mut all = [0; REACTIONS.len()];
        for (to, count) in all.iter_mut().zip(counts) {
            *to = count;
        }
        Ok(Self(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(named: &str) -> Reactions {
        Reactions::one(named).expect("there is one")
    }

    #[test]
    fn a_reaction_is_named_by_its_sign_or_its_word() {
        for (sign, word) in REACTIONS {
            assert_eq!(one(sign), one(word));
            assert_eq!(one(sign).counts().collect::<Vec<_>>(), [(sign, 1)]);
        }
        assert_eq!(one("❤"), one("heart"));
        assert_eq!(Reactions::one("🦀"), None);
        assert_eq!(Reactions::one(""), None);
    }

    #[test]
    fn sums_are_bounded_and_read_back() {
        let mut sum = Reactions::default();
        assert!(sum.is_empty() && Reactions::decode(&sum.encode()) == Ok(sum));
        let mut many = Reactions([u32::MAX; REACTIONS.len()]);
        sum.add(&many, 10);
        assert_eq!((sum.sum(), sum.counts().next()), (10, Some(("👏", 10))));
        many.add(&sum, u32::MAX);
        assert_eq!(many.sum(), u32::MAX);
        sum.add(&one("wow"), 1);
        for counts in [sum, many] {
            assert_eq!(Reactions::decode(&counts.encode()), Ok(counts));
        }
    }

    #[test]
    fn kinds_of_a_later_version_are_passed_over_and_too_many_refused() {
        let counts = |kinds: usize| encode(&Counts([1].repeat(kinds)));
        assert_eq!(Reactions::decode(&counts(16)).map(|all| all.sum()), Ok(8));
        assert!(matches!(
            Reactions::decode(&counts(17)),
            Err(Malformed::TooMany { .. })
        ));
    }
}
