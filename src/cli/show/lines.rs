//! The line that an event is worth. Levels and counts are not: the status shows them.

use anstyle::{AnsiColor, Style};
use majlis::{
    clock,
    event::{Event, LeftReason, ParentReason, PlanState, Scheduled, Stats},
};
use majlis_protocol::person::Person;

use super::{deeds, names::Names};

/// What a person should not miss.
const LOUD: Style = AnsiColor::Red.on_default().bold();
/// What matters.
const BOLD: Style = Style::new().bold();
/// What is good to know.
const DIM: Style = Style::new().dimmed();

/// What a line depends on beside its event.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Scene {
    /// Whether this node is in the room: what its log tells before that is the past.
    pub(super) is_in: bool,
    /// What the person speaks with.
    pub(super) voice: Voice,
    /// Whether a console does at a key what `majlis ctl` does elsewhere.
    pub(super) has_keys: bool,
    /// Whether it was said that the room is over because nobody can take the chair.
    pub(super) is_vacant: bool,
    /// Who was put out last: their role is gone with it.
    pub(super) put_out: Option<Person>,
}

/// What a person speaks with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Voice {
    /// Nothing: they only listen.
    #[default]
    None,
    /// A microphone, which only they open; whether the Enter key does it too.
    Microphone {
        /// Whether it does.
        enter: bool,
    },
    /// A file or tone, which starts by itself.
    ByItself,
}

/// The line of an event, or `None` when it is not for people.
pub(super) fn line(event: &Event, names: &Names, scene: Scene) -> Option<String> {
    let is_past = matches!(
        event,
        Event::Log { .. }
            | Event::Role { .. }
            | Event::Mute { .. }
            | Event::Hand { .. }
            | Event::Title { .. }
    );
    if is_past && !scene.is_in {
        return None;
    }
    Some(match event {
        Event::Recording { on: true } => format!("{LOUD}●{LOUD:#} this room is being recorded by its host"),
        Event::Recording { on: false } => "this room is not recorded any more".to_owned(),
        Event::Recorded { folder } => format!("the recording is in {folder}"),
        Event::Seeking { .. } => format!("{DIM}looking for the room…{DIM:#}"),
        Event::NoAnswer {
            addresses, reason, ..
        } => {
            let place = addresses.first().map_or("someone", String::as_str);
            format!("{DIM}no answer at {}: {reason}{DIM:#}", without_peer(place))
        }
        Event::NobodyKnown { .. } => {
            "nobody who can be asked from here has heard of this room. Is the id right? \
                                      `--bootstrap ADDRESS` asks others"
                .to_owned()
        }
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
        Event::Cancelled(room) => super::cancelled(&serde_json::to_value(room).unwrap_or_default()),
        Event::Scheduled(room) => scheduled(room),
        Event::Kept {
            peer,
            address,
            kept: true,
            ..
        } => match address {
            Some(address) => format!("kept by {address}"),
            None => format!("kept by {peer}"),
        },
        Event::Kept { peer, reason, .. } => {
            let reason = reason.as_deref().unwrap_or("it does not say why");
            format!("{LOUD}!{LOUD:#} not kept by {peer}: {reason}")
        }
        Event::Waiting { title, starts, .. } => format!(
            "{BOLD}{title}{BOLD:#} is not open yet: it starts {}. Waiting; Ctrl-C stops.",
            start(*starts)
        ),
        Event::Unlisted { id } => format!("{DIM}gone: {id}{DIM:#}"),
        Event::Joined {
            title,
            role,
            depth: 0,
            ..
        } => {
            let mut text = format!("you are in {BOLD}\"{title}\"{BOLD:#}, as {}", role.0);
            if scene.voice != Voice::None {
                text += &format!("\n{}", on_the_stage(scene));
            }
            text
        }
        Event::Joined {
            title,
            role,
            depth,
            join_ms,
            on_stage,
            ..
        } => {
            format!(
                "you are in {BOLD}\"{title}\"{BOLD:#}, as {}, {} from the host, after {join_ms} ms; {on_stage} on the stage",
                role.0,
                hops(*depth)
            )
        }
        Event::FirstAudio { speaker, .. } => format!("you hear {}", names.of(speaker)),
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
        Event::Role { key, .. } if scene.put_out == Some(*key) => return None,
        Event::Stage { key, on: true } if names.is_own(key) && scene.is_in => on_the_stage(scene),
        Event::Role { key, role } => are(names, key, &format!("a {} now", role.0)),
        Event::Log {
            action,
            author,
            subject: Some(subject),
            ..
        } if action == "invite" && names.is_own(subject) && !names.is_own(author) => format!(
            "{BOLD}{} invites you to the stage{BOLD:#}: {}",
            names.of(author),
            if scene.has_keys {
                "a accepts, d declines"
            } else {
                "`majlis ctl accept` or `majlis ctl decline`"
            }
        ),
        Event::Log { .. } => format!("{DIM}{}{DIM:#}", deeds::entry(event, names)?),
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
            "{BOLD}{nick}#{} raises a hand{BOLD:#}; {} shows the queue",
            key.tag(),
            if scene.has_keys { "w" } else { "`majlis ctl hands`" }
        ),
        // By its owner, or by somebody who keeps order: it is not said by whom.
        Event::Hand { key, nick, .. } => format!("{DIM}the hand of {nick}#{} is down{DIM:#}", key.tag()),
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
        Event::Chair { key, .. } if names.is_own(key) => {
            format!("{DIM}you are in the chair, and write the room's log{DIM:#}")
        }
        Event::Chair { key, .. } => format!(
            "{DIM}{} is in the chair, and writes the room's log{DIM:#}",
            names.of(key)
        ),
        Event::Vacant => {
            "the host is gone, and nobody is there to take the chair: the room is over until its host \
                          opens it again"
                .to_owned()
        }
        Event::Microphone { on: true } => {
            format!("{LOUD}● you are live{LOUD:#}: the room hears you")
        }
        Event::Microphone { on: false } => "○ you are silent: nothing of yours is sent".to_owned(),
        Event::InputEnded => "what you were playing is over".to_owned(),
        Event::Warning { text } => warning(text),
        Event::Left { .. } if scene.is_vacant => return None,
        Event::Left { reason } => left(*reason, scene.is_in).to_owned(),
        Event::Summary(stats) => summary(stats, names)?,
        _ => return None,
    })
}

/// What went wrong, or was refused.
pub(super) fn warning(text: &str) -> String {
    format!("{LOUD}!{LOUD:#} {text}")
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

/// What is planned of a room of one's own.
fn scheduled(room: &Scheduled) -> String {
    let Scheduled { title, link, .. } = room;
    let when = time(room.starts);
    match room.state {
        PlanState::Cancelled => {
            let reason = room.reason.as_deref().map(|reason| format!(": {reason}"));
            format!(
                "cancelled: {title}, which was to start {when}{}",
                reason.unwrap_or_default()
            )
        }
        PlanState::Planned => format!(
            "{BOLD}{title}{BOLD:#} starts {}. Pass on this link:\n\n    {link}\n\nOpen it with `majlis host --room {}`",
            start(room.starts),
            room.id
        ),
        PlanState::Missed => format!("{title} was to start {when}, and was not opened\n    {}", room.id),
        PlanState::Ended => format!("{title} started {when}, and is over\n    {}", room.id),
        _ => format!(
            "{title} was to start {when}, and has been opened\n    {}",
            room.id
        ),
    }
}

/// A start in this machine's zone, and how long it is until then. A clock that is wrong shows so at once.
pub(super) fn start(unix_seconds: u64) -> String {
    let now = clock::unix_seconds();
    let when = time(unix_seconds);
    match unix_seconds.checked_sub(now) {
        Some(0) | None => format!("any moment: its time was {when}"),
        Some(left) => format!("in {}, {when}", span(left.saturating_mul(1_000))),
    }
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

fn are(names: &Names, key: &Person, what: &str) -> String {
    let verb = if names.is_own(key) { "are" } else { "is" };
    format!("{} {verb} {what}", names.of(key))
}

fn hops(depth: u32) -> String {
    match depth {
        1 => "1 hop".to_owned(),
        depth => format!("{depth} hops"),
    }
}

/// How many listen, as far as anyone knows.
pub(super) fn listeners(listeners: u32) -> String {
    match listeners {
        1 => format!("{DIM}1 listens{DIM:#}"),
        listeners => format!("{DIM}{listeners} listen{DIM:#}"),
    }
}

/// What whoever comes onto the stage does to be heard.
fn on_the_stage(scene: Scene) -> String {
    match scene.voice {
        Voice::Microphone { .. } if scene.has_keys => {
            "you are on the stage: m opens the microphone and closes it; Space opens it while you hold it"
        }
        Voice::Microphone { enter: true } => {
            "you are on the stage: press Enter to open the microphone, and again to close it"
        }
        Voice::Microphone { enter: false } => {
            "you are on the stage: `majlis ctl mic on` opens the microphone"
        }
        Voice::ByItself => "you are on the stage: what you play starts by itself",
        Voice::None => "you are on the stage, with nothing to speak with: join again with --input",
    }
    .to_owned()
}

/// An address for people, who cannot do much with the peer's key behind it.
fn without_peer(address: &str) -> &str {
    address.split("/p2p/").next().unwrap_or(address)
}

fn left(reason: LeftReason, was_in: bool) -> &'static str {
    match reason {
        LeftReason::Duration if !was_in => "the time is over, and the room was not reached",
        LeftReason::Interrupted if !was_in => "you have stopped looking for the room",
        LeftReason::Unreachable if !was_in => "the room was not reached",
        LeftReason::Kicked if !was_in => "you were put out of the room a moment ago",
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
    use super::*;

    fn plain(event: &Event) -> Option<String> {
        let scene = Scene {
            is_in: true,
            ..Scene::default()
        };
        said(event, &Names::default(), scene)
    }

    fn said(event: &Event, names: &Names, scene: Scene) -> Option<String> {
        line(event, names, scene).map(|line| anstream::adapter::strip_str(&line).to_string())
    }

    /// An entry of the log, by person 1.
    fn entry(action: &str, subject: Option<Person>) -> Event {
        Event::Log {
            seq: 1,
            term: 1,
            clock_ms: 0,
            action: action.into(),
            author: Person([1; 32]),
            subject,
            title: None,
            link: None,
            role: None,
            lasts_ms: None,
            reason: None,
            carried: false,
        }
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
        let mut event = entry("ban", Some(Person([2; 32])));
        if let Event::Log { lasts_ms, reason, .. } = &mut event {
            (*lasts_ms, *reason) = (Some(5_400_000), Some("spam".into()));
        }
        let line = plain(&event).expect("a line");
        assert!(line.ends_with("for 90 min (spam)"), "{line}");
        assert!(
            line.contains(&person.tag()) && line.contains(&Person([2; 32]).tag()),
            "{line}"
        );
    }

    #[test]
    fn who_is_invited_is_told_what_to_do() {
        let own = Person([2; 32]);
        let mut names = Names::default();
        names.learn(&Event::Listening {
            peer: majlis_protocol::person::Peer(own.0),
            key: own,
            addresses: Vec::new(),
        });
        let mut scene = Scene {
            is_in: true,
            voice: Voice::Microphone { enter: true },
            ..Scene::default()
        };
        let invited = said(&entry("invite", Some(own)), &names, scene).expect("a line");
        assert!(
            invited.contains("invites you to the stage: `majlis ctl accept`"),
            "{invited}"
        );
        let on = Event::Stage { key: own, on: true };
        assert!(said(&on, &names, scene).is_some_and(|line| line.contains("press Enter")));
        scene.is_in = false;
        assert_eq!(said(&entry("invite", Some(own)), &names, scene), None, "the past");
    }

    #[test]
    fn who_is_put_out_is_not_called_a_listener() {
        let role = Event::Role {
            key: Person([2; 32]),
            role: majlis_protocol::log::Role::Listener.into(),
        };
        let mut scene = Scene {
            is_in: true,
            ..Scene::default()
        };
        assert!(said(&role, &Names::default(), scene).is_some());
        scene.put_out = Some(Person([2; 32]));
        assert_eq!(said(&role, &Names::default(), scene), None);
    }

    #[test]
    fn a_room_that_was_never_reached_is_not_said_to_be_left() {
        for reason in [LeftReason::Unreachable, LeftReason::Duration] {
            let event = Event::Left { reason };
            let line = said(&event, &Names::default(), Scene::default()).expect("a line");
            assert!(line.contains("not reached"), "{line}");
            assert!(plain(&event).is_some_and(|line| !line.contains("not reached")));
        }
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
