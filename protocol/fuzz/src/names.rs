//! What people type, paste and read: names in text form, and the cleaning of everything else.

use core::{fmt, str::FromStr};

use majlis_protocol::{
    limits,
    link::{Address, RoomLink},
    person::{Peer, Person},
    room::{RoomId, RoomTag},
    text::Text,
};
use unicode_normalization::{char::is_combining_mark, is_nfc};

/// Links, room ids, keys, addresses and tags: what is read is shown so that it reads back.
pub fn names(data: &[u8]) -> bool {
    let text = String::from_utf8_lossy(data);
    if let Ok(link) = text.parse::<RoomLink>() {
        let shown = link.to_string();
        let again: RoomLink = shown.parse().unwrap_or_else(|error| panic!("{error}: {shown}"));
        assert_eq!(again.room, link.room);
        assert!(link.via.starts_with(&again.via), "{shown}");
        // What a link has no space for is left out: one more address, all of it percent-encoded.
        let is_full = shown.len() + 3 * limits::ADDRESS + 5 > limits::LINK;
        assert!(is_full || again == link, "{shown}");
    }
    [
        text.parse::<RoomLink>().is_ok(),
        reads_back::<RoomId>(&text).is_some_and(|shown| shown == text.to_ascii_lowercase()),
        reads_back::<Person>(&text).is_some_and(|shown| shown == text),
        reads_back::<Peer>(&text).is_some_and(|shown| shown == text),
        reads_back::<Address>(&text).is_some_and(|shown| shown == text),
        reads_back::<RoomTag>(&text).is_some_and(|shown| shown.len() <= limits::TAG),
    ]
    .contains(&true)
}

/// How a name is shown, if it is one: as something that reads as the same.
fn reads_back<T: FromStr + PartialEq + fmt::Debug + fmt::Display>(text: &str) -> Option<String>
where
    T::Err: fmt::Debug + PartialEq,
{
    let name: T = text.parse().ok()?;
    let shown = name.to_string();
    assert_eq!(shown.parse().as_ref(), Ok(&name), "{shown}");
    Some(shown)
}

/// Cleaning: whatever comes in, what comes out deceives nobody, and is clean already.
pub fn text(data: &[u8]) -> bool {
    let raw = String::from_utf8_lossy(data);
    let clean = Text::clean(&raw);
    let shown = clean.as_str();
    assert_eq!(Text::clean(shown), clean, "cleaned again: {shown:?}");
    assert!(is_nfc(shown), "{shown:?}");
    assert_eq!(shown.trim(), shown);
    assert!(!shown.contains("  "), "{shown:?}");
    let mut marks = 0;
    for c in shown.chars() {
        assert!(c == ' ' || !c.is_whitespace(), "{c:?} in {shown:?}");
        assert!(!c.is_control() && !is_hidden(c), "{c:?} in {shown:?}");
        marks = match c {
            '\u{200c}' | '\u{200d}' => marks,
            c if is_combining_mark(c) => marks + 1,
            _ => 0,
        };
        assert!(marks <= 4, "a tower of marks in {shown:?}");
    }
    !clean.is_empty()
}

/// A choice of what SPEC.md section 4 removes.
fn is_hidden(c: char) -> bool {
    matches!(c,
        '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff0}'..='\u{fffb}' | '\u{e000}'..='\u{f8ff}' | '\u{e0000}'..='\u{e0fff}')
}
