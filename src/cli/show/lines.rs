//! The line that an event is worth. Levels and counts are not: the status shows them.

use anstyle::{AnsiColor, Style};
use majlis::event::{Event, LeftReason, ParentReason, Stats};

use super::names::Names;

/// What a person should not miss.
const LOUD: Style = AnsiColor::Red.on_default().bold();
/// What matters.
const BOLD: Style = Style::new().bold();
/// What is good to know.
const DIM: Style = Style::new().dimmed();

/// The line of an event, or `None` when it is not for people.
pub(super) fn line(event: &Event, names: &Names) -> Option<String> {
    Some(match event {
        Event::Listening { key, addresses, .. } => {
            let addresses: String = addresses
                .iter()
                .map(|address| format!("\n    {address}"))
                .collect();
            format!(
                "{DIM}your tag is #{}; this node listens on{addresses}{DIM:#}",
                key.tag()
            )
        }
        Event::Room { link, title, .. } => {
            format!("{BOLD}{title}{BOLD:#} is open. Pass on this link:\n\n    {link}\n")
        }
        Event::Listing(listing) => super::listing(&serde_json::to_value(listing).unwrap_or_default()),
        Event::Unlisted { id } => format!("{DIM}gone: {id}{DIM:#}"),
        Event::Joined { role, depth: 0, .. } => format!("you are in, as {}", role.0),
        Event::Joined {
            role, depth, join_ms, ..
        } => {
            format!(
                "you are in, as {}, {} from the host, after {join_ms} ms",
                role.0,
                hops(*depth)
            )
        }
        Event::FirstAudio { ms, speaker, .. } => format!("you hear {} after {ms} ms", names.of(speaker)),
        Event::Parent {
            reason: ParentReason::RootMoved,
            depth: 0,
            ..
        } => "the host is gone; sound enters the room here now".to_owned(),
        Event::Parent { peer: None, .. } => "nobody passes the sound on to you right now".to_owned(),
        Event::Parent {
            reason: ParentReason::Attached,
            ..
        } => return None,
        Event::Parent { depth, .. } => {
            format!("{DIM}sound comes another way now, {} long{DIM:#}", hops(*depth))
        }
        Event::Role { key, role } => are(names, key, &format!("{} now", role.0)),
        Event::Log { .. } => format!("{DIM}{}{DIM:#}", entry(event, names)?),
        Event::Mute { key, muted: true } if names.is_own(key) => {
            format!("{LOUD}you are muted{LOUD:#}: nobody hears you until it is lifted")
        }
        Event::Mute { key, muted: false } if names.is_own(key) => {
            "you are muted no more; your microphone is closed until you open it".to_owned()
        }
        Event::Lost {
            action,
            author,
            subject,
            reason,
        } => {
            let whom = subject
                .map(|subject| format!(" {}", names.of(&subject)))
                .unwrap_or_default();
            format!(
                "{LOUD}!{LOUD:#} the room was in two parts; lost: {action}{whom} by {} ({reason})",
                names.of(author)
            )
        }
        Event::Exposed { key } => format!(
            "{LOUD}!{LOUD:#} {} has told two stories as the chair: the log holds the proof",
            names.of(key)
        ),
        Event::Hand {
            key, raised: true, ..
        } if names.is_own(key) => "your hand is up".to_owned(),
        Event::Hand {
            key, raised: false, ..
        } if names.is_own(key) => "your hand is down".to_owned(),
        Event::Hand {
            key,
            nick,
            raised: true,
        } => format!(
            "{BOLD}{nick}#{} raises a hand{BOLD:#}; `majlis ctl hands` shows the queue",
            key.tag()
        ),
        Event::Hand { key, nick, .. } => format!("{DIM}{nick}#{} lowers the hand{DIM:#}", key.tag()),
        Event::Mic { key, on } if !names.is_own(key) => {
            let is = if *on { "open" } else { "closed" };
            format!("{DIM}the microphone of {} is {is}{DIM:#}", names.of(key))
        }
        Event::Appeal { key, text, .. } => format!(
            "{LOUD}!{LOUD:#} {}, who is banned, appeals: {text}",
            names.of(key)
        ),
        Event::Reactions { counts } => {
            let counts: Vec<String> = counts
                .iter()
                .map(|(sign, count)| format!("{sign} {count}"))
                .collect();
            counts.join("  ")
        }
        Event::Chat { key, text, .. } if names.is_own(key) => format!("{BOLD}you:{BOLD:#} {text}"),
        Event::Chat { nick, tag, text, .. } => format!("{BOLD}{nick}#{tag}:{BOLD:#} {text}"),
        Event::Chair { key, .. } => are(names, key, "in the chair"),
        Event::Microphone { on: true } => {
            format!("{LOUD}● you are live{LOUD:#}: the room hears you")
        }
        Event::Microphone { on: false } => "○ you are silent: nothing of yours is sent".to_owned(),
        Event::InputEnded => "what you were playing is over".to_owned(),
        Event::Warning { text } => format!("{LOUD}!{LOUD:#} {text}"),
        Event::Left { reason } => left(*reason).to_owned(),
        Event::Summary(stats) => summary(stats, names)?,
        _ => return None,
    })
}

/// What was done, by whom, to whom, and why.
fn entry(event: &Event, names: &Names) -> Option<String> {
    let Event::Log {
        action,
        author,
        subject,
        role,
        lasts_ms,
        reason,
        ..
    } = event
    else {
        return None;
    };
    let mut text = format!("{}: {action}", names.of(author));
    if let Some(subject) = subject.as_ref().filter(|subject| *subject != author) {
        text += &format!(" {}", names.of(subject));
    }
    if let Some(role) = role {
        text += &format!(" as {}", role.0);
    }
    if let Some(lasts_ms) = lasts_ms {
        text += &format!(" for {}", span(*lasts_ms));
    }
    if let Some(reason) = reason {
        text += &format!(" ({reason})");
    }
    Some(text)
}

/// A time for people, in the largest unit that it fills, rounded up.
pub(super) fn span(ms: u64) -> String {
    let seconds = ms.div_ceil(1_000);
    let (size, unit) = [(86_400, "d"), (3_600, "h"), (60, "min")]
        .into_iter()
        .find(|(size, _)| seconds >= *size)
        .unwrap_or((1, "s"));
    format!("{} {unit}", seconds.div_ceil(size))
}

/// A Unix time in this machine's zone.
pub(super) fn time(unix_seconds: u64) -> String {
    i64::try_from(unix_seconds)
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .map_or_else(
            || "at an unknown time".to_owned(),
            |time| {
                time.to_zoned(jiff::tz::TimeZone::system())
                    .strftime("%Y-%m-%d %H:%M")
                    .to_string()
            },
        )
}

fn are(names: &Names, key: &majlis_protocol::person::Person, what: &str) -> String {
    let verb = if names.is_own(key) { "are" } else { "is" };
    format!("{} {verb} {what}", names.of(key))
}

fn hops(depth: u32) -> String {
    match depth {
        1 => "1 hop".to_owned(),
        depth => format!("{depth} hops"),
    }
}

fn left(reason: LeftReason) -> &'static str {
    match reason {
        LeftReason::Ended => "the host has ended the room",
        LeftReason::Duration => "the time is over; you have left",
        LeftReason::Interrupted => "you have left",
        LeftReason::Unreachable => "the room can no longer be reached",
        LeftReason::Kicked => "you were put out of the room",
        LeftReason::Banned => "you are banned from the room",
        LeftReason::Refused => "the room did not let you in",
        _ => "you are no longer in the room",
    }
}

/// How well everyone was heard; nothing when nobody was.
fn summary(stats: &Stats, names: &Names) -> Option<String> {
    let lines: Vec<String> = stats
        .streams
        .iter()
        .map(|stream| {
            format!(
                "heard {}: {} of {} frames ({} lost)",
                names.of(&stream.speaker),
                stream.received,
                stream.expected,
                stream.lost
            )
        })
        .collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use majlis_protocol::person::Person;

    use super::*;

    fn plain(event: &Event) -> Option<String> {
        line(event, &Names::default()).map(|line| anstream::adapter::strip_str(&line).to_string())
    }

    #[test]
    fn an_open_microphone_is_said_plainly() {
        let line = plain(&Event::Microphone { on: true }).expect("a line");
        assert!(line.contains("you are live"), "{line}");
    }

    #[test]
    fn a_line_of_chat_stands_behind_the_name_and_tag_of_its_author() {
        let event = Event::Chat {
            key: Person([1; 32]),
            nick: "salma".into(),
            tag: "abcdefgh".into(),
            text: "welcome".into(),
        };
        assert_eq!(plain(&event).as_deref(), Some("salma#abcdefgh: welcome"));
    }

    #[test]
    fn people_are_shown_with_their_tags() {
        let person = Person([1; 32]);
        let event = Event::Log {
            seq: 1,
            term: 1,
            action: "ban".into(),
            author: person,
            subject: Some(Person([2; 32])),
            role: None,
            lasts_ms: Some(5_400_000),
            reason: Some("spam".into()),
            carried: false,
        };
        let line = plain(&event).expect("a line");
        assert!(line.ends_with("for 2 h (spam)"), "{line}");
        assert!(
            line.contains(&person.tag()) && line.contains(&Person([2; 32]).tag()),
            "{line}"
        );
    }

    #[test]
    fn a_span_is_shown_in_the_largest_unit_that_it_fills() {
        for (ms, shown) in [
            (1, "1 s"),
            (59_000, "59 s"),
            (60_000, "1 min"),
            (3_600_000, "1 h"),
            (172_800_000, "2 d"),
        ] {
            assert_eq!(span(ms), shown);
        }
    }

    #[test]
    fn counts_and_levels_make_no_lines() {
        assert_eq!(plain(&Event::Stats(Stats::default())), None);
        assert_eq!(
            plain(&Event::Level {
                key: Person([1; 32]),
                level: 20
            }),
            None
        );
    }
}
