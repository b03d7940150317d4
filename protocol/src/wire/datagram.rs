//! Datagrams: `alias ‖ item ‖ item …`, what one member sends another in one piece (SPEC.md section 10).
//!
//! A media packet is handed on without being copied. Items of a kind that this version does not know are skipped, and
//! so is one that is malformed inside; an item whose length is wrong ends the datagram, and what stood before it holds.

use alloc::vec::Vec;

use bytes::Bytes;

use super::{
    repair::{self, BadItem, Pull, Report},
    varint::{self, BadVarint},
};
use crate::limits;

/// Bytes of the alias that a datagram begins with.
const ALIAS: usize = 2;

/// Item kind 1: a media packet. Kinds stand in the high four bits of an item's first byte.
const MEDIA: u8 = 1;

/// A datagram as it came: whose room it claims, and the items, not yet looked at.
#[derive(Debug, Clone)]
pub struct Datagram {
    /// The number that the receiver gave the room on this link. An unknown one is dropped as refused.
    pub alias: u16,
    /// What it carries.
    pub items: Items,
}

/// One item of a datagram.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Item {
    /// A media packet, of whatever version: give it to the room's relay.
    Media(Bytes),
    /// What the parent, or a speaker's own peer, has and when it will say more.
    Heartbeat(Report),
    /// What the standby has.
    Digest(Report),
    /// What a child lacks: answer it from what is kept.
    Pull(Pull),
}

/// The items of one datagram, in order. After a wrong length there are no more.
#[derive(Debug, Clone)]
pub struct Items {
    rest: Bytes,
}

/// Puts items together into one datagram.
#[derive(Debug)]
pub struct Builder {
    bytes: Vec<u8>,
    capacity: usize,
}

/// A datagram is not what SPEC.md says. Its sender is at fault; a retry does not help. Counted as malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadDatagram {
    /// Longer than [`limits::DATAGRAM`].
    #[error("the datagram is longer than {} bytes", limits::DATAGRAM)]
    TooLong,
    /// Too short for its alias.
    #[error("the datagram ends inside its alias")]
    NoAlias,
    /// The length of an item is not in its shortest form, or above the range of a `u16`.
    #[error("the length of an item is not a varint in its shortest form")]
    Varint,
    /// An item has no bytes, and so no kind.
    #[error("an item is empty")]
    Empty,
    /// An item, or its length, runs past the end of the datagram.
    #[error("an item runs past the end of the datagram")]
    Truncated,
    /// An item is not laid out as its kind is. It is skipped, the others hold.
    #[error(transparent)]
    Item(#[from] BadItem),
}

impl Datagram {
    /// Reads the alias of a datagram; its items are read as they are asked for.
    ///
    /// # Errors
    /// [`BadDatagram`] when it is too long, or too short for an alias.
    pub fn parse(mut bytes: Bytes) -> Result<Self, BadDatagram> {
        if bytes.len() > limits::DATAGRAM {
            return Err(BadDatagram::TooLong);
        }
        let Some(&alias) = bytes.first_chunk::<ALIAS>() else {
            return Err(BadDatagram::NoAlias);
        };
        let rest = bytes.split_off(ALIAS);
        Ok(Self {
            alias: u16::from_be_bytes(alias),
            items: Items { rest },
        })
    }
}

impl Items {
    fn take(&mut self) -> Result<Bytes, BadDatagram> {
        let (length, prefix) = varint::take(&self.rest).map_err(|error| match error {
            BadVarint::Truncated => BadDatagram::Truncated,
            BadVarint::Form => BadDatagram::Varint,
        })?;
        let end = prefix + usize::from(length);
        if length == 0 {
            return Err(BadDatagram::Empty);
        }
        if end > self.rest.len() {
            return Err(BadDatagram::Truncated);
        }
        let mut item = self.rest.split_to(end);
        Ok(item.split_off(prefix))
    }
}

impl Iterator for Items {
    type Item = Result<Item, BadDatagram>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() {
            match self.take() {
                Ok(bytes) => {
                    if let Some(item) = Item::read(bytes) {
                        return Some(item.map_err(BadDatagram::Item));
                    }
                }
                Err(error) => {
                    self.rest.clear();
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

impl Item {
    /// Reads an item that has at least one byte; nothing when its kind is unknown.
    ///
    /// # Errors
    /// [`BadItem`] names what is wrong with it.
    #[must_use]
    pub fn read(bytes: Bytes) -> Option<Result<Self, BadItem>> {
        let kind = bytes.first()? >> 4;
        Some(match kind {
            MEDIA => Ok(Self::Media(bytes)),
            repair::HEARTBEAT => Report::decode(&bytes).map(Self::Heartbeat),
            repair::DIGEST => Report::decode(&bytes).map(Self::Digest),
            repair::PULL => Pull::decode(&bytes).map(Self::Pull),
            _ => return None,
        })
    }
}

impl Builder {
    /// An empty datagram for the room that the receiver calls `alias`, of at most `path` bytes: what the link
    /// carries now, and never more than [`limits::DATAGRAM`].
    #[must_use]
    pub fn new(alias: u16, path: usize) -> Self {
        let capacity = path.min(limits::DATAGRAM);
        let mut bytes = Vec::with_capacity(capacity.max(ALIAS));
        bytes.extend_from_slice(&alias.to_be_bytes());
        Self { bytes, capacity }
    }

    /// Whether it holds no item yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.len() == ALIAS
    }

    /// Appends an item, whose first byte is its kind and version. False, and nothing changes, when the item is
    /// empty or no longer fits: finish this datagram and begin another.
    #[must_use]
    pub fn push(&mut self, item: &[u8]) -> bool {
        let Ok(length) = u16::try_from(item.len()) else {
            return false;
        };
        let size = self.bytes.len() + varint::size(length) + item.len();
        if item.is_empty() || size > self.capacity {
            return false;
        }
        varint::put(&mut self.bytes, length);
        self.bytes.extend_from_slice(item);
        true
    }

    /// The datagram.
    #[must_use]
    pub fn finish(self) -> Bytes {
        self.bytes.into()
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use proptest::prelude::*;

    use super::*;

    fn read(bytes: impl Into<Bytes>) -> Result<(u16, Vec<Result<Item, BadDatagram>>), BadDatagram> {
        Datagram::parse(bytes.into()).map(|datagram| (datagram.alias, datagram.items.collect()))
    }

    fn media(bytes: &'static [u8]) -> Result<Item, BadDatagram> {
        Ok(Item::Media(Bytes::from_static(bytes)))
    }

    #[test]
    fn a_bundle_comes_apart_into_its_packets() {
        let mut builder = Builder::new(0x0102, 1200);
        assert!(builder.is_empty());
        assert!(builder.push(b"\x11one") && builder.push(b"\x11two"));
        assert!(!builder.is_empty());
        let bytes = builder.finish();
        assert_eq!(&bytes[..], b"\x01\x02\x04\x11one\x04\x11two");
        assert_eq!(
            read(bytes),
            Ok((0x0102, vec![media(b"\x11one"), media(b"\x11two")]))
        );
    }

    #[test]
    fn an_item_of_an_unknown_kind_is_skipped() {
        assert_eq!(
            read(&b"\0\0\x02\x51x\x01\x11\x03\xf7yz"[..]),
            Ok((0, vec![media(b"\x11")]))
        );
    }

    #[test]
    fn an_item_that_is_malformed_inside_is_skipped_and_the_others_hold() {
        for (bad, reason) in [
            (&b"\x02\x22x"[..], BadItem::Version),
            (b"\x01\x31", BadItem::Truncated),
            (b"\x03\x41\x00\x00", BadItem::Nothing),
        ] {
            let bytes = [&b"\0\x09\x01\x11"[..], bad, b"\x01\x11"].concat();
            let media = || media(b"\x11");
            assert_eq!(
                read(bytes),
                Ok((9, vec![media(), Err(BadDatagram::Item(reason)), media()]))
            );
        }
    }

    #[test]
    fn what_keeps_sound_whole_comes_with_it() {
        let report = Report {
            starving: false,
            promise_ms: 40,
            missed: 0,
            streams: vec![],
        };
        let pull = Pull {
            live: true,
            runs: vec![],
        };
        let mut builder = Builder::new(3, 1200);
        for item in [
            Bytes::from_static(b"\x11one"),
            report.encode_heartbeat().expect("valid"),
            report.encode_digest().expect("valid"),
            pull.encode().expect("valid"),
        ] {
            assert!(builder.push(&item));
        }
        let items = vec![
            media(b"\x11one"),
            Ok(Item::Heartbeat(report.clone())),
            Ok(Item::Digest(report)),
            Ok(Item::Pull(pull)),
        ];
        assert_eq!(read(builder.finish()), Ok((3, items)));
    }

    #[test]
    fn a_newer_media_packet_reaches_the_relay_which_refuses_it_by_name() {
        assert_eq!(read(&b"\0\0\x01\x12"[..]), Ok((0, vec![media(b"\x12")])));
    }

    #[test]
    fn a_wrong_length_ends_the_datagram_and_keeps_what_stood_before() {
        for (tail, reason) in [
            (&b"\x05\x11"[..], BadDatagram::Truncated),
            (&b"\x80"[..], BadDatagram::Truncated),
            (&b"\x81\x00\x11"[..], BadDatagram::Varint),
            (&b"\xff\xff\xff\xff"[..], BadDatagram::Varint),
            (&b"\x00\x01\x11"[..], BadDatagram::Empty),
        ] {
            let bytes = [&b"\0\x09\x01\x11"[..], tail].concat();
            assert_eq!(
                read(bytes),
                Ok((9, vec![media(b"\x11"), Err(reason)])),
                "{tail:?}"
            );
        }
    }

    #[test]
    fn what_is_too_long_or_too_short_is_refused() {
        assert_eq!(
            read(vec![0; limits::DATAGRAM + 1]).err(),
            Some(BadDatagram::TooLong)
        );
        assert_eq!(read(&[][..]).err(), Some(BadDatagram::NoAlias));
        assert_eq!(read(&[1][..]).err(), Some(BadDatagram::NoAlias));
        assert_eq!(read(&[1, 2][..]), Ok((0x0102, vec![])));
    }

    #[test]
    fn a_builder_keeps_within_the_path_and_the_limit() {
        let mut builder = Builder::new(0, 12);
        assert!(!builder.push(b"\x11234567890"));
        assert!(builder.push(b"\x1123456789"[..9].as_ref()));
        assert!(!builder.push(b"\x11"));
        assert_eq!(builder.finish().len(), 12);
        let mut builder = Builder::new(0, 9000);
        assert!(!builder.push(&[0x11; limits::DATAGRAM]));
        assert!(builder.push(&[0x11; limits::MEDIA_PACKET]));
        assert!(!builder.push(&[]));
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_items_never_reach_beyond_them(bytes: Vec<u8>) {
            if let Ok((_, items)) = read(bytes.clone()) {
                let carried: usize = items
                    .iter()
                    .map(|item| match item {
                        Ok(Item::Media(packet)) => packet.len(),
                        _ => 1,
                    })
                    .sum();
                prop_assert!(carried <= bytes.len());
                let goes_on = |item: &Result<Item, BadDatagram>| matches!(item, Ok(_) | Err(BadDatagram::Item(_)));
                prop_assert!(items.iter().rev().skip(1).all(goes_on));
            }
        }

        #[test]
        fn what_is_built_reads_back(
            alias: u16,
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..6),
        ) {
            let mut builder = Builder::new(alias, limits::DATAGRAM);
            let mut pushed = vec![];
            for body in bodies {
                let item = [&[0x11][..], &body].concat();
                if builder.push(&item) {
                    pushed.push(Ok(Item::Media(item.into())));
                }
            }
            prop_assert_eq!(read(builder.finish()), Ok((alias, pushed)));
        }
    }
}
