//! The items that keep sound whole between two members: heartbeat, digest and pull (SPEC.md section 10).
//!
//! Each has one encoding: what was decoded encodes to the same bytes, and what breaks a rule is refused by name and
//! never read in part. What an item says is a claim of its sender; this module only bounds it.

use alloc::vec::Vec;

use bytes::Bytes;

use crate::{limits, media::Tag};

/// Item kind 2.
pub(super) const HEARTBEAT: u8 = 2;
/// Item kind 3.
pub(super) const DIGEST: u8 = 3;
/// Item kind 4.
pub(super) const PULL: u8 = 4;

/// The version of all three, in the low four bits of the first byte.
const VERSION: u8 = 1;

/// The only flag of a report.
const STARVING: u8 = 1;
/// The only flag of a stream.
const IN_SPURT: u8 = 1;
/// The only flag of a pull.
const LIVE: u8 = 1;

/// What a member has: a heartbeat tells it to a child, a digest to one that keeps us in reserve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What should have come down to its sender does not.
    pub starving: bool,
    /// The next comes within so many milliseconds, or a media packet does: 1 to [`limits::PROMISE_MS`].
    pub promise_ms: u16,
    /// Frames that the first push did not bring to its sender, modulo 2^16, counted since a start of its choice.
    pub missed: u16,
    /// The streams it has heard of, in ascending order of their tags, at most [`limits::STAGE`].
    pub streams: Vec<Known>,
}

/// What a member has of one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// The stay on the stage.
    pub tag: Tag,
    /// The newest epoch.
    pub epoch: u32,
    /// The sequence of its newest frame.
    pub newest: u32,
    /// More is to come without silence between.
    pub in_spurt: bool,
}

/// What a member lacks. Its receiver answers with the original media packets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pull {
    /// Send also everything new of every stream for a while.
    pub live: bool,
    /// The frames, in ascending order and none twice, at most [`limits::PULL_RUNS`] runs. Without any, `live` is set.
    pub runs: Vec<Run>,
}

/// Frames of one stream in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Run {
    /// The stay on the stage.
    pub tag: Tag,
    /// The epoch.
    pub epoch: u32,
    /// The sequence of the first frame.
    pub first: u32,
    /// How many: 1 to [`limits::PULL_FRAMES`].
    pub frames: u8,
}

/// An item is not what SPEC.md says. Its sender is at fault, or newer than we are; a retry does not help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadItem {
    /// A version that this program does not know; an update may help.
    #[error("the item has a version that this program does not know")]
    Version,
    /// It ends too early.
    #[error("the item ends too early")]
    Truncated,
    /// Something stands behind its end.
    #[error("bytes are left over in the item")]
    LeftOver,
    /// A reserved flag is set.
    #[error("the item sets a reserved flag")]
    Flags,
    /// It promises the next now, or never.
    #[error("a promise is 1 to {} ms", limits::PROMISE_MS)]
    Promise,
    /// More streams than a stage has, or more runs than a pull may.
    #[error("the item lists too much")]
    Count,
    /// Streams or runs do not ascend.
    #[error("the item is not in order")]
    Order,
    /// A run has no frames, too many, or passes the range of a `u32`.
    #[error("a run of frames is out of range")]
    Run,
    /// A pull that asks for nothing.
    #[error("the pull asks for nothing")]
    Nothing,
}

impl Report {
    /// Reads a heartbeat or a digest, which differ in their kind alone.
    ///
    /// # Errors
    /// [`BadItem`] names the first thing that is wrong.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, BadItem> {
        let mut reader = Reader::new(bytes)?;
        let starving = reader.flag(STARVING)?;
        let promise_ms = u16::from_be_bytes(reader.array()?);
        let missed = u16::from_be_bytes(reader.array()?);
        let streams = reader.list(limits::STAGE, Reader::known)?;
        reader.end()?;
        let report = Self {
            starving,
            promise_ms,
            missed,
            streams,
        };
        report.validate()?;
        Ok(report)
    }

    /// The item that tells this to a child.
    ///
    /// # Errors
    /// [`BadItem`] when it breaks the rules of its fields.
    pub fn encode_heartbeat(&self) -> Result<Bytes, BadItem> {
        self.encode(HEARTBEAT)
    }

    /// The item that tells this to a member which keeps us in reserve.
    ///
    /// # Errors
    /// [`BadItem`] when it breaks the rules of its fields.
    pub fn encode_digest(&self) -> Result<Bytes, BadItem> {
        self.encode(DIGEST)
    }

    fn encode(&self, kind: u8) -> Result<Bytes, BadItem> {
        self.validate()?;
        let mut out = Vec::with_capacity(7 + 13 * self.streams.len());
        out.push(kind << 4 | VERSION);
        out.push(if self.starving { STARVING } else { 0 });
        out.extend_from_slice(&self.promise_ms.to_be_bytes());
        out.extend_from_slice(&self.missed.to_be_bytes());
        out.push(u8::try_from(self.streams.len()).map_err(|_| BadItem::Count)?);
        for known in &self.streams {
            out.extend_from_slice(&known.tag.0);
            out.extend_from_slice(&known.epoch.to_be_bytes());
            out.extend_from_slice(&known.newest.to_be_bytes());
            out.push(if known.in_spurt { IN_SPURT } else { 0 });
        }
        Ok(out.into())
    }

    fn validate(&self) -> Result<(), BadItem> {
        if !(1..=limits::PROMISE_MS).contains(&self.promise_ms) {
            return Err(BadItem::Promise);
        }
        if self.streams.len() > limits::STAGE {
            return Err(BadItem::Count);
        }
        if !self.streams.is_sorted_by(|one, next| one.tag < next.tag) {
            return Err(BadItem::Order);
        }
        Ok(())
    }
}

impl Pull {
    /// # Errors
    /// [`BadItem`] names the first thing that is wrong.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, BadItem> {
        let mut reader = Reader::new(bytes)?;
        let live = reader.flag(LIVE)?;
        let runs = reader.list(limits::PULL_RUNS, Reader::run)?;
        reader.end()?;
        let pull = Self { live, runs };
        pull.validate()?;
        Ok(pull)
    }

    /// The item that asks for this.
    ///
    /// # Errors
    /// [`BadItem`] when it breaks the rules of its fields.
    pub fn encode(&self) -> Result<Bytes, BadItem> {
        self.validate()?;
        let mut out = Vec::with_capacity(3 + 13 * self.runs.len());
        out.push(PULL << 4 | VERSION);
        out.push(if self.live { LIVE } else { 0 });
        out.push(u8::try_from(self.runs.len()).map_err(|_| BadItem::Count)?);
        for run in &self.runs {
            out.extend_from_slice(&run.tag.0);
            out.extend_from_slice(&run.epoch.to_be_bytes());
            out.extend_from_slice(&run.first.to_be_bytes());
            out.push(run.frames);
        }
        Ok(out.into())
    }

    fn validate(&self) -> Result<(), BadItem> {
        if self.runs.is_empty() && !self.live {
            return Err(BadItem::Nothing);
        }
        if self.runs.len() > limits::PULL_RUNS {
            return Err(BadItem::Count);
        }
        if !self.runs.iter().all(Run::is_valid) {
            return Err(BadItem::Run);
        }
        if !self.runs.is_sorted_by(Run::is_before) {
            return Err(BadItem::Order);
        }
        Ok(())
    }
}

impl Run {
    /// The sequence of its last frame.
    #[must_use]
    pub fn last(&self) -> u32 {
        self.first
            .saturating_add(u32::from(self.frames).saturating_sub(1))
    }

    fn is_valid(&self) -> bool {
        (1..=limits::PULL_FRAMES).contains(&self.frames)
            && self.first.checked_add(u32::from(self.frames) - 1).is_some()
    }

    fn is_before(&self, next: &Self) -> bool {
        (self.tag, self.epoch, self.last()) < (next.tag, next.epoch, next.first)
    }
}

/// Reads an item behind its kind.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8]) -> Result<Self, BadItem> {
        let (first, rest) = bytes.split_first().ok_or(BadItem::Truncated)?;
        if first & 0x0f != VERSION {
            return Err(BadItem::Version);
        }
        Ok(Self { rest })
    }

    /// A byte of flags of which one is defined.
    fn flag(&mut self, flag: u8) -> Result<bool, BadItem> {
        let [flags] = self.array()?;
        if flags & !flag == 0 {
            Ok(flags & flag != 0)
        } else {
            Err(BadItem::Flags)
        }
    }

    fn list<T>(&mut self, most: usize, item: fn(&mut Self) -> Result<T, BadItem>) -> Result<Vec<T>, BadItem> {
        let [count] = self.array()?;
        if usize::from(count) > most {
            return Err(BadItem::Count);
        }
        (0..count).map(|_| item(self)).collect()
    }

    fn known(&mut self) -> Result<Known, BadItem> {
        Ok(Known {
            tag: Tag(self.array()?),
            epoch: u32::from_be_bytes(self.array()?),
            newest: u32::from_be_bytes(self.array()?),
            in_spurt: self.flag(IN_SPURT)?,
        })
    }

    fn run(&mut self) -> Result<Run, BadItem> {
        Ok(Run {
            tag: Tag(self.array()?),
            epoch: u32::from_be_bytes(self.array()?),
            first: u32::from_be_bytes(self.array()?),
            frames: u8::from_be_bytes(self.array()?),
        })
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], BadItem> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(BadItem::Truncated)?;
        self.rest = rest;
        Ok(*array)
    }

    fn end(&self) -> Result<(), BadItem> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(BadItem::LeftOver)
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use proptest::prelude::*;

    use super::*;

    fn known(tag: u8) -> Known {
        Known {
            tag: Tag([tag, 2, 3, 4]),
            epoch: 5,
            newest: 0x0607,
            in_spurt: tag.is_multiple_of(2),
        }
    }

    fn run(tag: u8, first: u32, frames: u8) -> Run {
        Run {
            tag: Tag([tag, 0, 0, 0]),
            epoch: 5,
            first,
            frames,
        }
    }

    fn pull(runs: &[Run]) -> Pull {
        Pull {
            live: false,
            runs: runs.to_vec(),
        }
    }

    #[test]
    fn the_bytes_are_those_of_the_specification() {
        let report = Report {
            starving: true,
            promise_ms: 0x0102,
            missed: 0x0304,
            streams: vec![known(1), known(2)],
        };
        let body = b"\x01\x01\x02\x03\x04\x02\
            \x01\x02\x03\x04\0\0\0\x05\0\0\x06\x07\0\
            \x02\x02\x03\x04\0\0\0\x05\0\0\x06\x07\x01";
        assert_eq!(
            report.encode_heartbeat().expect("valid"),
            [&[0x21], &body[..]].concat()
        );
        assert_eq!(
            report.encode_digest().expect("valid"),
            [&[0x31], &body[..]].concat()
        );
        let pull = Pull {
            live: true,
            runs: vec![run(9, 0x0100, 3)],
        };
        assert_eq!(
            pull.encode().expect("valid"),
            &b"\x41\x01\x01\x09\0\0\0\0\0\0\x05\0\0\x01\0\x03"[..]
        );
    }

    #[test]
    fn the_longest_items_fit_a_datagram_and_one_more_stream_or_run_is_too_much() {
        let mut report = Report {
            starving: false,
            promise_ms: 1,
            missed: 0,
            streams: (0..32).map(known).collect(),
        };
        assert!(report.encode_digest().expect("valid").len() < limits::DATAGRAM - 4);
        report.streams.push(known(32));
        assert_eq!(report.encode_digest(), Err(BadItem::Count));
        let mut pull = pull(&(0..64).map(|tag| run(tag, 0, 100)).collect::<Vec<_>>());
        assert!(pull.encode().expect("valid").len() < limits::DATAGRAM - 4);
        pull.runs.push(run(64, 0, 1));
        assert_eq!(pull.encode(), Err(BadItem::Count));
    }

    #[test]
    fn a_report_that_breaks_a_rule_is_refused_by_name() {
        let good = b"\x21\x00\x00\x28\x00\x00\x01\x01\x02\x03\x04\0\0\0\x05\0\0\0\x06\0";
        assert!(Report::decode(good).is_ok());
        for (at, byte, reason) in [
            (0, 0x22, BadItem::Version),
            (1, 0x02, BadItem::Flags),
            (3, 0x00, BadItem::Promise),
            (2, 0x04, BadItem::Promise),
            (6, 33, BadItem::Count),
            (6, 2, BadItem::Truncated),
            (6, 0, BadItem::LeftOver),
            (19, 0x80, BadItem::Flags),
        ] {
            let mut bad = good.to_vec();
            bad[at] = byte;
            assert_eq!(Report::decode(&bad), Err(reason), "byte {at}");
        }
        for streams in [vec![known(2), known(1)], vec![known(1), known(1)]] {
            let report = Report {
                starving: false,
                promise_ms: 40,
                missed: 0,
                streams,
            };
            assert_eq!(report.encode_heartbeat(), Err(BadItem::Order));
        }
    }

    #[test]
    fn a_pull_that_breaks_a_rule_is_refused_by_name() {
        assert!(
            pull(&[run(1, 0, 100), run(1, 100, 1), run(2, 0, 1)])
                .encode()
                .is_ok()
        );
        assert!(pull(&[run(1, u32::MAX, 1)]).encode().is_ok());
        for (runs, reason) in [
            (vec![], BadItem::Nothing),
            (vec![run(1, 0, 0)], BadItem::Run),
            (vec![run(1, 0, 101)], BadItem::Run),
            (vec![run(1, u32::MAX, 2)], BadItem::Run),
            (vec![run(2, 0, 1), run(1, 0, 1)], BadItem::Order),
            (vec![run(1, 0, 10), run(1, 9, 10)], BadItem::Order),
        ] {
            assert_eq!(pull(&runs).encode(), Err(reason), "{runs:?}");
        }
        assert_eq!(Pull::decode(b"\x41\x02\x00"), Err(BadItem::Flags));
        assert_eq!(Pull::decode(b"\x41\x01\x00\x00"), Err(BadItem::LeftOver));
    }

    /// Bytes that are near enough to an item to reach behind the first checks.
    fn nearly() -> impl Strategy<Value = Vec<u8>> {
        let first = prop_oneof![Just(0x21_u8), Just(0x31), Just(0x41), any::<u8>()];
        let body = prop::collection::vec(prop_oneof![4 => 0_u8..3, 1 => any::<u8>()], 0..60);
        (first, body).prop_map(|(first, body)| [vec![first], body].concat())
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_what_is_decoded_has_one_encoding(bytes in prop_oneof![nearly(), any::<Vec<u8>>()]) {
            if let Ok(report) = Report::decode(&bytes) {
                let again = match bytes[0] >> 4 {
                    HEARTBEAT => report.encode_heartbeat(),
                    DIGEST => report.encode_digest(),
                    other => report.encode(other),
                };
                prop_assert_eq!(again, Ok(Bytes::from(bytes.clone())));
            }
            if let Ok(pull) = Pull::decode(&bytes)
                && bytes[0] >> 4 == PULL
            {
                prop_assert_eq!(pull.encode(), Ok(Bytes::from(bytes)));
            }
        }

        #[test]
        fn what_is_said_reads_back(
            starving: bool,
            promise_ms in 1_u16..=1000,
            missed: u16,
            streams in prop::collection::btree_map(any::<[u8; 4]>(), any::<(u32, u32, bool)>(), 0..=32),
            live: bool,
            runs in prop::collection::btree_map(any::<[u8; 4]>(), (any::<u32>(), 0..u32::MAX - 100, 1_u8..=100), 0..=64),
        ) {
            let streams = streams.into_iter().map(|(tag, (epoch, newest, in_spurt))| Known {
                tag: Tag(tag), epoch, newest, in_spurt,
            });
            let report = Report { starving, promise_ms, missed, streams: streams.collect() };
            let bytes = report.encode_digest().expect("valid");
            prop_assert_eq!(Report::decode(&bytes), Ok(report));
            let runs: Vec<Run> = runs.into_iter().map(|(tag, (epoch, first, frames))| Run {
                tag: Tag(tag), epoch, first, frames,
            }).collect();
            let pull = Pull { live: live || runs.is_empty(), runs };
            let bytes = pull.encode().expect("valid");
            prop_assert_eq!(Pull::decode(&bytes), Ok(pull));
        }
    }
}
