//! A room to come as an entry for calendars (RFC 5545).
//!
//! One event in UTC, whose UID is the room's id and whose SEQUENCE grows with each change, so that a calendar which takes
//! the file again moves the entry it has, or strikes it out. Lines are folded at 75 octets, never within a character, and
//! text is escaped.

use std::fmt::Write as _;

use jiff::Timestamp;

use crate::event::{Cancelled, Listing, PlanState, Scheduled};

/// Most octets of a line without its break (RFC 5545, 3.1).
const LINE: usize = 75;

/// What an entry says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    /// The room's id.
    pub id: String,
    /// What to join it by; empty where there is nothing to join.
    pub link: String,
    /// What it is called.
    pub title: String,
    /// What it is about.
    pub description: String,
    /// Under which tags it is found.
    pub tags: Vec<String>,
    /// Unix seconds at which it starts.
    pub starts: u64,
    /// It grows with each change.
    pub revision: u32,
    /// Whether it was called off.
    pub is_cancelled: bool,
    /// Why it was, or nothing.
    pub reason: String,
}

impl From<&Scheduled> for Entry {
    fn from(room: &Scheduled) -> Self {
        Self {
            id: room.id.to_string(),
            link: room.link.to_string(),
            title: room.title.clone(),
            description: room.description.clone(),
            tags: room.tags.clone(),
            starts: room.starts,
            revision: room.revision,
            is_cancelled: room.state == PlanState::Cancelled,
            reason: room.reason.clone().unwrap_or_default(),
        }
    }
}

impl From<&Cancelled> for Entry {
    fn from(room: &Cancelled) -> Self {
        Self {
            id: room.id.to_string(),
            title: room.title.clone(),
            tags: room.tags.clone(),
            starts: room.starts,
            // Nothing can follow it.
            revision: i32::MAX.unsigned_abs(),
            is_cancelled: true,
            reason: room.reason.clone().unwrap_or_default(),
            ..Self::default()
        }
    }
}

impl Entry {
    /// The entry of a listed room; `None` for one that is open, which has no time to come.
    #[must_use]
    pub fn of(listing: &Listing) -> Option<Self> {
        Some(Self {
            id: listing.id.to_string(),
            link: listing.link.to_string(),
            title: listing.title.clone(),
            description: listing.description.clone(),
            tags: listing.tags.clone(),
            starts: listing.starts?,
            revision: listing.revision,
            ..Self::default()
        })
    }

    /// The whole file, as of `now` in Unix seconds.
    #[must_use]
    pub fn file(&self, now: u64) -> String {
        let mut file = String::new();
        let (method, status) = if self.is_cancelled {
            ("CANCEL", "CANCELLED")
        } else {
            ("PUBLISH", "CONFIRMED")
        };
        for (name, value) in [
            ("BEGIN", "VCALENDAR"),
            ("VERSION", "2.0"),
            (
                "PRODID",
                concat!("-//majlis//majlis ", env!("CARGO_PKG_VERSION"), "//EN"),
            ),
            ("METHOD", method),
            ("BEGIN", "VEVENT"),
        ] {
            line(&mut file, name, value);
        }
        line(&mut file, "UID", &format!("{}@majlis", self.id));
        line(&mut file, "SEQUENCE", &self.revision.to_string());
        line(&mut file, "DTSTAMP", &utc(now));
        line(&mut file, "DTSTART", &utc(self.starts));
        // Nobody knows how long a talk takes; an hour is what calendars show.
        line(&mut file, "DURATION", "PT1H");
        line(&mut file, "STATUS", status);
        line(&mut file, "SUMMARY", &escaped(&self.title));
        let about = self.about();
        if !about.is_empty() {
            line(&mut file, "DESCRIPTION", &escaped(&about));
        }
        if !self.link.is_empty() {
            line(&mut file, "URL", &self.link);
        }
        if !self.tags.is_empty() {
            let tags: Vec<String> = self.tags.iter().map(|tag| escaped(tag)).collect();
            line(&mut file, "CATEGORIES", &tags.join(","));
        }
        line(&mut file, "END", "VEVENT");
        line(&mut file, "END", "VCALENDAR");
        file
    }

    /// What people read below the title.
    fn about(&self) -> String {
        let join = if self.link.is_empty() || self.is_cancelled {
            String::new()
        } else {
            format!("majlis join '{}'", self.link)
        };
        let parts = [&self.reason, &self.description, &join];
        let parts: Vec<&str> = parts
            .into_iter()
            .filter(|part| !part.is_empty())
            .map(String::as_str)
            .collect();
        parts.join("\n\n")
    }
}

/// A time in UTC, as `19970714T170000Z`; one that no calendar holds is the last that any does.
fn utc(unix_seconds: u64) -> String {
    let time = i64::try_from(unix_seconds)
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .unwrap_or(Timestamp::MAX);
    time.strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// TEXT values (RFC 5545, 3.3.11).
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | ';' | ',' => escaped.extend(['\\', c]),
            '\n' => escaped.push_str("\\n"),
            c if c.is_control() => {}
            c => escaped.push(c),
        }
    }
    escaped
}

/// One content line, folded.
fn line(file: &mut String, name: &str, value: &str) {
    let mut octets = 0;
    for c in name.chars().chain([':']).chain(value.chars()) {
        if octets + c.len_utf8() > LINE {
            file.push_str("\r\n ");
            octets = 1;
        }
        octets += c.len_utf8();
        // Writing to a string cannot fail.
        let _ = file.write_char(c);
    }
    file.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        Entry {
            id: "aeaq".into(),
            link: "majlis:aeaq?via=/ip4/127.0.0.1/udp/1/quic-v1".into(),
            title: "Poems; and, more\\".into(),
            description: "line".into(),
            tags: vec!["poetry".into(), "شعر".into()],
            starts: 1_796_155_200,
            revision: 3,
            ..Entry::default()
        }
    }

    /// A file's lines as a calendar reads them.
    fn unfolded(file: &str) -> Vec<String> {
        let whole = file.replace("\r\n ", "");
        assert!(whole.ends_with("\r\n"));
        whole.lines().map(str::to_owned).collect()
    }

    #[test]
    fn an_entry_says_what_and_when_in_utc() {
        let lines = unfolded(&entry().file(1_796_000_000));
        for wanted in [
            "BEGIN:VCALENDAR",
            "VERSION:2.0",
            "METHOD:PUBLISH",
            "UID:aeaq@majlis",
            "SEQUENCE:3",
            "DTSTAMP:20261130T005320Z",
            "DTSTART:20261201T200000Z",
            "DURATION:PT1H",
            "STATUS:CONFIRMED",
            "SUMMARY:Poems\\; and\\, more\\\\",
            "DESCRIPTION:line\\n\\nmajlis join 'majlis:aeaq?via=/ip4/127.0.0.1/udp/1/quic-v1'",
            "URL:majlis:aeaq?via=/ip4/127.0.0.1/udp/1/quic-v1",
            "CATEGORIES:poetry,شعر",
            "END:VCALENDAR",
        ] {
            assert!(lines.iter().any(|line| line == wanted), "{wanted}: {lines:#?}");
        }
    }

    #[test]
    fn what_was_called_off_is_struck_out_with_its_reason() {
        let cancelled = Entry {
            is_cancelled: true,
            reason: "ill".into(),
            ..entry()
        };
        let lines = unfolded(&cancelled.file(1_796_000_000));
        for wanted in [
            "METHOD:CANCEL",
            "STATUS:CANCELLED",
            "DESCRIPTION:ill\\n\\nline",
            "UID:aeaq@majlis",
        ] {
            assert!(lines.iter().any(|line| line == wanted), "{wanted}: {lines:#?}");
        }
    }

    #[test]
    fn long_lines_are_folded_between_characters_and_come_back_whole() {
        let title = "قصائد 🎙 ".repeat(40);
        let file = Entry {
            title: title.clone(),
            ..entry()
        }
        .file(0);
        assert!(file.split("\r\n").all(|line| line.len() <= LINE), "{file}");
        assert!(!file.replace("\r\n", "").contains(['\r', '\n']));
        let summary = format!("SUMMARY:{title}");
        assert!(unfolded(&file).contains(&summary));
    }

    #[test]
    fn no_text_begins_a_line_of_its_own() {
        let entry = Entry {
            title: "x\r\nATTENDEE:mailto:evil@example.org".into(),
            ..entry()
        };
        let lines = unfolded(&entry.file(u64::MAX));
        assert!(lines.iter().all(|line| !line.starts_with("ATTENDEE")));
    }
}
