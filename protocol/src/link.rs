//! Links: how a room is passed on (SPEC.md section 6).
//!
//! `majlis:<room id>?via=<multiaddr>&via=…#<secret>`. What follows `#` is kept out of everything this type prints.

use alloc::{
    string::{String, ToString},
    vec::Vec,
};
use core::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    limits,
    person::Peer,
    room::{NotARoomId, RoomId},
};

/// What a link begins with.
const SCHEME: &str = "majlis:";

/// Where a peer may be reached: a multiaddr in text, at most 256 bytes of visible ASCII that begin with `/`.
///
/// Whether it is a multiaddr that this machine can dial is for the network to say.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Address(String);

/// The text is no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an address: expected a multiaddr like /ip4/192.0.2.1/udp/4001/quic-v1/p2p/12D3KooW…")]
pub struct NotAnAddress;

/// A room and where to find some of its members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomLink {
    /// The room.
    pub room: RoomId,
    /// At most eight, each ending in `/p2p/<PeerId>`.
    pub via: Vec<Address>,
}

/// The text is no link.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotALink {
    /// Longer than a link may be.
    #[error("the link is longer than {} bytes", limits::LINK)]
    TooLong,
    /// The room id is wrong.
    #[error(transparent)]
    Room(#[from] NotARoomId),
    /// One of the addresses is wrong.
    #[error("`via` {0}")]
    Via(NotAnAddress),
    /// An address does not say whom to expect there.
    #[error("a `via` address does not end in /p2p/<peer>")]
    NoPeer,
    /// More addresses than a link may have.
    #[error("the link has more than {} addresses", limits::ADDRESSES)]
    TooMany,
    /// A percent sign without two hexadecimal digits.
    #[error("the link has a broken percent escape")]
    Escape,
}

impl Address {
    /// The multiaddr.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is one; for addresses that were decoded from a message.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.0.len() <= limits::ADDRESS
            && self.0.starts_with('/')
            && self.0.bytes().all(|byte| byte.is_ascii_graphic())
    }

    /// The text behind the last `/p2p/`: whom to expect at the other end.
    #[must_use]
    pub fn peer(&self) -> Option<&str> {
        let (_, peer) = self.0.rsplit_once("/p2p/")?;
        (!peer.is_empty() && !peer.contains('/')).then_some(peer)
    }
}

impl FromStr for Address {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        if text.len() > limits::ADDRESS {
            return Err(NotAnAddress);
        }
        let address = Self(text.into());
        if address.is_valid() {
            Ok(address)
        } else {
            Err(NotAnAddress)
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl RoomLink {
    /// Whether it is a bare id, or says of at least one member whom to expect: a link that was cut off at its end, or
    /// written in lower case, does not.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let names_a_member =
            |address: &Address| address.peer().is_some_and(|peer| peer.parse::<Peer>().is_ok());
        self.via.is_empty() || self.via.iter().any(names_a_member)
    }
}

impl FromStr for RoomLink {
    type Err = NotALink;

    /// Reads a link, or a bare room id, which is a link without addresses.
    fn from_str(text: &str) -> Result<Self, NotALink> {
        if text.len() > limits::LINK {
            return Err(NotALink::TooLong);
        }
        // Whatever the secret is, no version 1 room has one.
        let text = text.trim().split('#').next().unwrap_or_default();
        let is_link = text
            .get(..SCHEME.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(SCHEME));
        let rest = if is_link { &text[SCHEME.len()..] } else { text };
        let (id, query) = rest.split_once('?').unwrap_or((rest, ""));
        let room = id.parse()?;
        let mut via = Vec::new();
        for value in query.split('&').filter_map(|pair| pair.strip_prefix("via=")) {
            let address: Address = percent_decoded(value)?.parse().map_err(NotALink::Via)?;
            address.peer().ok_or(NotALink::NoPeer)?;
            via.push(address);
        }
        if via.len() > limits::ADDRESSES {
            return Err(NotALink::TooMany);
        }
        Ok(Self { room, via })
    }
}

impl fmt::Display for RoomLink {
    /// With as many of its addresses as a link may have, from the first on: what is printed can be read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = alloc::format!("{SCHEME}{}", self.room);
        for (i, address) in self.via.iter().take(limits::ADDRESSES).enumerate() {
            let separator = if i == 0 { '?' } else { '&' };
            let via = alloc::format!("{separator}via={}", percent_encoded(address.as_str()));
            if text.len() + via.len() > limits::LINK {
                break;
            }
            text.push_str(&via);
        }
        f.write_str(&text)
    }
}

/// RFC 3986 section 3.4: `/`, `:` and `@` may stand in a query; `&`, `#`, `%` and `+` would be misread.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if c.is_ascii_alphanumeric() => encoded.push(c),
            '-' | '.' | '_' | '~' | '/' | ':' | '@' => encoded.push(c),
            c => {
                for byte in c.to_string().bytes() {
                    encoded.push_str(&alloc::format!("%{byte:02X}"));
                }
            }
        }
    }
    encoded
}

fn percent_decoded(text: &str) -> Result<String, NotALink> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(if byte == b'%' {
            let mut digit = || {
                bytes
                    .next()
                    .and_then(|digit| (digit as char).to_digit(16))
                    .ok_or(NotALink::Escape)
            };
            u8::try_from(digit()? * 16 + digit()?).map_err(|_| NotALink::Escape)?
        } else {
            byte
        });
    }
    String::from_utf8(decoded).map_err(|_| NotALink::Escape)
}

#[cfg(test)]
mod tests {
    use alloc::{format, vec};

    use proptest::prelude::*;

    use super::*;

    const VIA: &str =
        "/ip4/127.0.0.1/udp/4001/quic-v1/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";

    fn link() -> RoomLink {
        RoomLink {
            room: RoomId([3; 32]),
            via: vec![VIA.parse().expect("an address")],
        }
    }

    #[test]
    fn a_link_reads_back() {
        let text = link().to_string();
        assert!(text.ends_with(&format!("?via={VIA}")), "{text}");
        assert_eq!(text.parse(), Ok(link()));
    }

    #[test]
    fn a_link_that_lost_its_end_or_its_capitals_is_not_whole() {
        let text = link().to_string();
        let whole = |text: &str| text.parse::<RoomLink>().expect("it reads").is_whole();
        assert!(whole(&text) && whole(&RoomId([3; 32]).to_string()));
        assert!(whole(&format!("{text}&via=/later/kind/p2p/x")), "one is enough");
        for lost in 1..40 {
            assert!(!whole(&text[..text.len() - lost]), "{lost} characters less");
        }
        assert!(!whole(&text.to_lowercase()));
    }

    #[test]
    fn a_bare_id_is_a_link_without_addresses() {
        let room = RoomId([3; 32]);
        assert_eq!(room.to_string().parse(), Ok(RoomLink { room, via: vec![] }));
    }

    #[test]
    fn the_secret_and_unknown_keys_are_left_behind() {
        let text = format!("{}&later=1#secret", link());
        assert_eq!(text.parse(), Ok(link()));
        assert!(
            !text
                .parse::<RoomLink>()
                .expect("a link")
                .to_string()
                .contains("secret")
        );
    }

    #[test]
    fn what_is_wrong_with_a_link_is_named() {
        let id = RoomId([3; 32]);
        let read = |text: &str| text.parse::<RoomLink>().expect_err("not a link");
        assert_eq!(read("majlis:nope"), NotALink::Room(NotARoomId::Form));
        assert_eq!(read(&"a".repeat(3000)), NotALink::TooLong);
        assert_eq!(read(&format!("majlis:{id}?via=/ip4/%4")), NotALink::Escape);
        assert_eq!(read(&format!("majlis:{id}?via=/ip4/%ff")), NotALink::Escape);
        assert_eq!(
            read(&format!("majlis:{id}?via=nowhere")),
            NotALink::Via(NotAnAddress)
        );
        assert_eq!(
            read(&format!("majlis:{id}?via=/ip4/127.0.0.1/tcp/1")),
            NotALink::NoPeer
        );
        let many = vec![format!("via={VIA}"); 9].join("&");
        assert_eq!(read(&format!("majlis:{id}?{many}")), NotALink::TooMany);
    }

    #[test]
    fn a_link_is_printed_no_longer_than_it_may_be_read() {
        let address = |n: u8| format!("/dns/{}{n}/p2p/12D3", "<".repeat(200));
        let text = format!(
            "{}&via={}",
            RoomId([3; 32]),
            [1, 2, 3, 4, 5].map(address).join("&via=")
        );
        let link: RoomLink = text.replacen('&', "?", 1).parse().expect("a link");
        assert_eq!(link.via.len(), 5);
        let shown: RoomLink = link.to_string().parse().expect("what is printed can be read");
        assert_eq!((shown.room, &shown.via[..]), (link.room, &link.via[..3]));

        let many = RoomLink {
            via: vec![VIA.parse().expect("an address"); 9],
            ..link
        };
        assert_eq!(
            many.to_string().parse::<RoomLink>().map(|link| link.via.len()),
            Ok(8)
        );
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = text.parse::<RoomLink>();
        }

        #[test]
        fn every_address_survives_a_link(tail in "[!-~]{0,60}") {
            let Ok(address) = format!("/dns/{tail}/p2p/12D3").parse::<Address>() else { return Ok(()) };
            prop_assume!(address.peer().is_some());
            let link = RoomLink { room: RoomId([1; 32]), via: vec![address] };
            prop_assert_eq!(link.to_string().parse(), Ok(link));
        }
    }
}
