//! `majlis ctl`: acts in the room of the node that runs in this home, through its local API.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use majlis::{
    api::{Act, ChatFor, Client, ForGuests, HandPolicy, Mic, Office, Volume},
    home::MOST_VOLUME,
};
use majlis_protocol::{
    limits::{SLOW_MODE_S, SPEAKING_TIME_S},
    room::RoomId,
    stage::{REACTIONS, Reactions},
};
use serde_json::{Value, json};

use super::{
    face::Face,
    options::{NodeFlags, Switch},
    show,
};

/// Seconds of a hundred years, which no ban needs to outlast.
const CENTURY: u64 = 36_500 * 86_400;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  majlis ctl people                 who is here, each with key and nick#tag
  majlis ctl people --audience      who listens in the whole room, 16 a page
  majlis ctl invite salma#x7f2k3ab  to the stage; she runs `majlis ctl accept`
  majlis ctl hand                   ask for the word; `hand down` takes it back
  majlis ctl hands                  who does, in order; `invite 1` for the first
  majlis ctl mic on
  majlis ctl volume salma#x7f2k3ab 150%   louder, for you alone; 0 for silence
  majlis ctl chat \"welcome, all\"   a line that everyone in the room reads
  majlis ctl react 👏                or heart laugh like dislike party fire wow
  majlis ctl policy slow-mode 30s   one line of each person in 30 s
  majlis ctl pin https://example.org/   a link for everyone to see
  majlis ctl record on              in files, one a speaker, and all are told
  majlis ctl grant salma#x7f2k3ab moderator
  majlis ctl ban noise#q3m8t2vk --for 2h --reason \"noise, three times\"
  majlis ctl lock                   nobody new comes in
  majlis ctl guests enter           only those on the list come in
  majlis ctl guests add KEY         puts one on it
  majlis ctl tree                   through whom sound comes, and who takes it
  majlis ctl --home ~/other info    the node of another home

KEY is a whole key, the number of a raised hand, or nick#tag where only one person in the room is called so. Ctrl-C of the node leaves the room.")]
pub(crate) struct CtlArgs {
    /// Which room, when the node is in several
    #[arg(long, value_name = "ID", global = true)]
    room: Option<RoomId>,
    #[command(subcommand)]
    action: CtlAction,
}

#[derive(Debug, Subcommand)]
enum CtlAction {
    /// Show what the room is and how it sounds here
    #[command(after_help = "Example:
  majlis ctl info")]
    Info,
    /// Call the room otherwise
    #[command(after_help = "Example:
  majlis ctl title \"Another name\"")]
    Title {
        /// How
        title: String,
    },
    /// End the room for everyone
    #[command(after_help = "Example:
  majlis ctl end")]
    End,
    /// Show who is in the room, as far as this node knows; or who listens in all of it
    #[command(after_help = "Examples:
  majlis ctl people
  majlis ctl people --audience --page 2")]
    People {
        /// Ask the room for the names of those who listen, a page of at most 16
        #[arg(long)]
        audience: bool,
        /// Which page
        #[arg(long, value_name = "N", default_value_t = 1, requires = "audience", value_parser = clap::value_parser!(u32).range(1..))]
        page: u32,
    },
    /// Raise your hand to ask for the word, or lower it; or lower that of another
    #[command(after_help = "Examples:
  majlis ctl hand
  majlis ctl hand down
  majlis ctl hand down 1            for those who keep order: the first hand")]
    Hand {
        /// Up or down
        #[arg(default_value = "up")]
        direction: Direction,
        /// Whose is to go down: a key, nick#tag, or a number of `majlis ctl hands`; yours when left out
        key: Option<String>,
    },
    /// Show who has raised a hand, in the order in which all see them; `ctl invite 1` invites the first
    #[command(after_help = "Example:
  majlis ctl hands")]
    Hands,
    /// Write a line that everyone in the room reads
    #[command(
        visible_alias = "say",
        after_help = "Example:\n  majlis ctl chat \"welcome, all\""
    )]
    Chat {
        /// The line
        text: String,
    },
    /// React: everyone sees how many did
    #[command(after_help = "Examples:\n  majlis ctl react 👏\n  majlis ctl react heart")]
    React {
        /// How: 👏 ❤️ 😂 👍 👎 🎉 🔥 😮, or clap heart laugh like dislike party fire wow
        #[arg(value_parser = reaction)]
        reaction: String,
    },
    /// Record the room in this home, which everyone in it is told, or end that
    ///
    /// Each speaker is in an Ogg Opus file of their own, as they were sent, and all are in `mix.opus`; the files begin and end
    /// together. They lie in the home, in the room's folder, under `recordings`.
    #[command(after_help = "Examples:\n  majlis ctl record on\n  majlis ctl record off")]
    Record {
        /// On or off
        switch: Switch,
    },
    /// Pin a link for everyone to see, or show those that are pinned
    #[command(after_help = "Examples:\n  majlis ctl pin\n  majlis ctl pin https://example.org/")]
    Pin {
        /// The link: of https, http or majlis
        #[arg(value_name = "URL")]
        link: Option<String>,
    },
    /// Take a pinned link off again
    #[command(after_help = "Example:\n  majlis ctl unpin https://example.org/")]
    Unpin {
        /// The link
        #[arg(value_name = "URL")]
        link: String,
    },
    /// Let in nobody who was not in the room before
    #[command(after_help = "Example:
  majlis ctl lock")]
    Lock,
    /// Let in everyone again
    #[command(after_help = "Example:
  majlis ctl unlock")]
    Unlock,
    /// Show or change the guest list
    #[command(after_help = "Examples:
  majlis ctl guests
  majlis ctl guests add salma#x7f2k3ab
  majlis ctl guests enter")]
    Guests {
        #[command(subcommand)]
        action: Option<GuestsAction>,
    },
    /// Say what the room lets people do
    #[command(subcommand)]
    #[command(after_help = "Examples:
  majlis ctl policy speakers 5
  majlis ctl policy hands nobody")]
    Policy(PolicyAction),
    /// Show the relay tree from the root down to this node, who would step in, and who hangs below
    #[command(after_help = "Example:
  majlis ctl tree")]
    Tree,
    /// Invite a person to the stage
    #[command(after_help = "Examples:
  majlis ctl invite salma#x7f2k3ab
  majlis ctl invite 1               the first of `majlis ctl hands`")]
    Invite {
        /// Whom: a key, nick#tag, or a number of `majlis ctl hands`
        key: String,
    },
    /// Accept an invitation to the stage; the microphone stays closed
    #[command(after_help = "Example:
  majlis ctl accept")]
    Accept,
    /// Decline an invitation to the stage
    #[command(after_help = "Example:
  majlis ctl decline")]
    Decline,
    /// Go back to the audience
    #[command(after_help = "Example:
  majlis ctl leave-stage")]
    LeaveStage,
    /// Open or close your microphone
    #[command(after_help = "Examples:
  majlis ctl mic on
  majlis ctl mic off")]
    Mic {
        /// Open or closed
        switch: Switch,
    },
    /// Make a person louder or softer for you alone, in every room and from now on; or show how loud they are
    #[command(after_help = "Examples:
  majlis ctl volume salma#x7f2k3ab 50%
  majlis ctl volume noise#q3m8t2vk 0    you hear nothing of them; others do
  majlis ctl volume salma#x7f2k3ab 100%   as loud as everybody")]
    Volume {
        /// Whom: a key, or nick#tag
        key: String,
        /// How loud: 0 to 400%
        #[arg(value_name = "PERCENT", value_parser = percent)]
        percent: Option<u16>,
    },
    /// Move a person from the stage to the audience
    #[command(after_help = "Example:
  majlis ctl move salma#x7f2k3ab")]
    Move {
        /// Whom: a key, or nick#tag
        key: String,
    },
    /// Say which co-hosts take the chair when the host is gone, the first one first; nobody, with none
    #[command(after_help = "Examples:
  majlis ctl line salma#x7f2k3ab amir#b2c3d4e5
  majlis ctl line                   nobody: the room waits for its host")]
    Line {
        /// Whom: keys, or nick#tag
        keys: Vec<String>,
    },
    /// Make a person a moderator or a co-host
    #[command(after_help = "Examples:
  majlis ctl grant salma#x7f2k3ab moderator
  majlis ctl grant salma#x7f2k3ab co-host")]
    Grant {
        /// Whom: a key, or nick#tag
        key: String,
        /// Which role
        role: GrantedRole,
    },
    /// Take the role of moderator or co-host back, or give up your own
    #[command(after_help = "Example:
  majlis ctl revoke salma#x7f2k3ab --reason \"thank you\"")]
    Revoke(Whom),
    /// Silence a person on the stage, at every relay, until it is lifted
    #[command(after_help = "Example:
  majlis ctl mute noise#q3m8t2vk --reason \"a tone\"")]
    Mute(Whom),
    /// Let a muted person be heard again; they open their microphone themselves
    #[command(after_help = "Example:
  majlis ctl unmute noise#q3m8t2vk")]
    Unmute(Whom),
    /// Put a person out of the room, with every role lost; they may come back as a listener after a minute
    #[command(after_help = "Example:
  majlis ctl kick noise#q3m8t2vk --reason \"cool down\"")]
    Kick(Whom),
    /// Put a person out of the room and keep them out
    #[command(after_help = "Example:
  majlis ctl ban noise#q3m8t2vk --for 2h --reason \"noise, three times\"")]
    Ban {
        #[command(flatten)]
        whom: Whom,
        /// For how long: 90s, 10m, 2h or 7d; until it is lifted when left out
        #[arg(long = "for", value_name = "TIME", value_parser = span)]
        lasts: Option<Duration>,
    },
    /// Let a person in again who was kicked or banned; `majlis ctl people` shows who is
    #[command(after_help = "Example:
  majlis ctl unban '#q3m8t2vk'      the tag that `majlis ctl people` shows")]
    Unban(Whom),
}

/// Where a hand goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Direction {
    /// Ask for the word
    Up,
    /// Ask no more
    Down,
}

#[derive(Debug, Subcommand)]
enum GuestsAction {
    /// Put a person on the list, in the room or not
    Add {
        /// Whom: a key, or nick#tag
        key: String,
    },
    /// Take a person off it
    Remove {
        /// Whom: a key, or nick#tag
        key: String,
    },
    /// Let the list mean nothing
    Off,
    /// Let in only those on it
    Enter,
    /// Let only those on it, and those who keep order, onto the stage
    Speak,
}

#[derive(Debug, Subcommand)]
enum PolicyAction {
    /// How many people the stage takes, the host included
    Speakers {
        /// How many, 1 to 32
        #[arg(value_parser = clap::value_parser!(u8).range(1..=32))]
        most: u8,
    },
    /// Who may raise a hand
    Hands {
        /// Who
        who: MayRaise,
    },
    /// Who may write in the chat; hosts, co-hosts and moderators always may
    Chat {
        /// Who
        who: MayWrite,
    },
    /// How far apart the lines of one person must lie in the chat, but those of hosts, co-hosts and moderators
    SlowMode {
        /// How far: 30s or 5m, at most 1h; `off` for no slow mode
        #[arg(value_parser = slow_mode)]
        apart: u16,
    },
    /// How long a speaker stays on the stage, but hosts, co-hosts and moderators; the chair then moves them to the audience
    SpeakingTime {
        /// How long: 90s, 10m or 2h, from 10s to 10h; `off` for as long as they like
        #[arg(value_parser = speaking_time)]
        time: u16,
    },
}

/// Who may write in the chat.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum MayWrite {
    /// Everyone
    Anyone,
    /// The people on the stage
    Stage,
    /// Nobody else
    Nobody,
}

/// Who may raise a hand.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum MayRaise {
    /// Everyone in the audience
    Anyone,
    /// Nobody; those that are up go down
    Nobody,
}

/// Whom an act of moderation is about, and why.
#[derive(Debug, Args)]
struct Whom {
    /// Whom: a key, or nick#tag
    key: String,
    /// Why, for everyone to read in the room's log
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
}

/// A role that is granted.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum GrantedRole {
    /// Invites, moves, mutes, kicks and bans those below
    Moderator,
    /// Does what the host does, but end the room
    CoHost,
}

pub(crate) async fn run(args: CtlArgs, flags: &NodeFlags) -> anyhow::Result<()> {
    let client = Client::of(&flags.home()?)?;
    let mut face = Face::new(flags.json);
    let room = room(&client, args.room).await?;
    let path = format!("/v1/room/{room}");
    let act = match args.action {
        CtlAction::Info => {
            let info = client.get(&path).await?;
            return Ok(face.result("info", &info, &show::room::info(&info))?);
        }
        CtlAction::People { audience: true, page } => {
            let audience = client.get(&format!("{path}/audience?page={page}")).await?;
            return Ok(face.result("audience", &audience, &show::room::audience(&audience))?);
        }
        CtlAction::People { .. } => {
            let info = client.get(&path).await?;
            let people = json!({ "room": room, "people": info["people"], "kept_out": info["kept_out"] });
            return Ok(face.result("people", &people, &show::room::people(&info))?);
        }
        CtlAction::Tree => {
            let tree = client.get(&format!("{path}/tree")).await?;
            return Ok(face.result("tree", &tree, &show::tree::tree(&tree))?);
        }
        CtlAction::Hands => {
            let info = client.get(&path).await?;
            let hands = json!({ "room": room, "hands": info["hands"] });
            return Ok(face.result("hands", &hands, &show::room::hands(&info))?);
        }
        CtlAction::Hand {
            direction: Direction::Up,
            key: Some(_),
        } => {
            let text = "nobody raises the hand of another; `majlis ctl invite KEY` brings them to the stage";
            anyhow::bail!(text);
        }
        CtlAction::Hand { key: Some(key), .. } => {
            client
                .post(&format!("{path}/act"), &Act::LowerHand { key })
                .await?;
            let done = json!({ "room": room, "action": "lower-hand" });
            return Ok(face.result("done", &done, "the hand is down")?);
        }
        CtlAction::Hand { direction, key: None } => {
            let raised = direction == Direction::Up;
            let answer = client.post(&format!("{path}/act"), &Act::Hand { raised }).await?;
            let place = &answer["place"];
            let text = if raised {
                format!("your hand is up, at place {place}")
            } else {
                "your hand is down".to_owned()
            };
            let done = json!({ "room": room, "action": "hand", "raised": raised, "place": place });
            return Ok(face.result("done", &done, &text)?);
        }
        CtlAction::Chat { text } => {
            client.post(&format!("{path}/act"), &Act::Chat { text }).await?;
            let done = json!({ "room": room, "action": "chat" });
            return Ok(face.result("done", &done, "said")?);
        }
        CtlAction::React { reaction } => {
            let act = Act::React { reaction };
            client.post(&format!("{path}/act"), &act).await?;
            let done = json!({ "room": room, "action": "react" });
            return Ok(face.result("done", &done, "seen")?);
        }
        CtlAction::Mic { switch } => {
            let on = switch == Switch::On;
            let answer = client.post(&format!("{path}/mic"), &Mic { on }).await?;
            let text = if on {
                "the microphone is open: you are live"
            } else {
                "the microphone is closed"
            };
            return Ok(face.result("mic", &answer, text)?);
        }
        CtlAction::Volume { key, percent } => {
            let volume = Volume { key, percent };
            let answer = client.post(&format!("{path}/volume"), &volume).await?;
            let text = match answer["percent"].as_u64().unwrap_or(0) {
                0 => "muted here; everyone else hears them".to_owned(),
                percent => format!("{percent} % here"),
            };
            let done = json!({ "room": room, "key": answer["key"], "percent": answer["percent"] });
            return Ok(face.result("volume", &done, &text)?);
        }
        CtlAction::Title { title } => Act::Title { title },
        CtlAction::End => Act::End,
        CtlAction::Line { keys } => Act::Line { keys },
        CtlAction::Guests { action: None } => {
            let rules = &client.get(&path).await?["rules"];
            let guests = json!({ "room": room, "list": rules["guest_list"], "guests": rules["guests"] });
            return Ok(face.result("guests", &guests, &show::room::guests(rules))?);
        }
        CtlAction::Guests { action: Some(action) } => match action {
            GuestsAction::Add { key } => Act::Guest { key, listed: true },
            GuestsAction::Remove { key } => Act::Guest { key, listed: false },
            GuestsAction::Off => Act::GuestList { list: ForGuests::Off },
            GuestsAction::Enter => Act::GuestList {
                list: ForGuests::Enter,
            },
            GuestsAction::Speak => Act::GuestList {
                list: ForGuests::Speak,
            },
        },
        CtlAction::Lock => Act::Lock,
        CtlAction::Unlock => Act::Unlock,
        CtlAction::Policy(PolicyAction::Speakers { most }) => Act::Speakers { most },
        CtlAction::Policy(PolicyAction::Hands { who }) => Act::Hands {
            who: match who {
                MayRaise::Anyone => HandPolicy::Anyone,
                MayRaise::Nobody => HandPolicy::Nobody,
            },
        },
        CtlAction::Policy(PolicyAction::Chat { who }) => Act::ChatPolicy {
            who: match who {
                MayWrite::Anyone => ChatFor::Anyone,
                MayWrite::Stage => ChatFor::Stage,
                MayWrite::Nobody => ChatFor::Nobody,
            },
        },
        CtlAction::Policy(PolicyAction::SlowMode { apart }) => Act::SlowMode { seconds: apart },
        CtlAction::Policy(PolicyAction::SpeakingTime { time }) => Act::SpeakingTime { seconds: time },
        CtlAction::Record { switch } => Act::Record {
            on: switch == Switch::On,
        },
        CtlAction::Pin { link: None } => {
            let pins = json!({ "room": room, "pins": client.get(&path).await?["pins"] });
            return Ok(face.result("pins", &pins, &show::room::pins(&pins))?);
        }
        CtlAction::Pin { link: Some(link) } => Act::Pin { link },
        CtlAction::Unpin { link } => Act::Unpin { link },
        CtlAction::Invite { key } => Act::Invite { key },
        CtlAction::Accept => Act::Accept,
        CtlAction::Decline => Act::Decline,
        CtlAction::LeaveStage => Act::LeaveStage,
        CtlAction::Move { key } => Act::Move { key },
        CtlAction::Grant { key, role } => Act::Grant {
            key,
            role: match role {
                GrantedRole::Moderator => Office::Moderator,
                GrantedRole::CoHost => Office::CoHost,
            },
        },
        CtlAction::Revoke(Whom { key, reason }) => Act::Revoke { key, reason },
        CtlAction::Mute(Whom { key, reason }) => Act::Mute { key, reason },
        CtlAction::Unmute(Whom { key, reason }) => Act::Unmute { key, reason },
        CtlAction::Kick(Whom { key, reason }) => Act::Kick { key, reason },
        CtlAction::Ban { whom, lasts } => Act::Ban {
            key: whom.key,
            seconds: lasts.map(|lasts| lasts.as_secs()),
            reason: whom.reason,
        },
        CtlAction::Unban(Whom { key, reason }) => Act::Unban { key, reason },
    };
    let answer = client.post(&format!("{path}/act"), &act).await?;
    let seq = answer["seq"].as_u64();
    let action = serde_json::to_value(&act)?["action"].clone();
    let text = format!(
        "done: {} is entry {} of the room's log",
        action.as_str().unwrap_or("it"),
        seq.unwrap_or(0)
    );
    Ok(face.result(
        "done",
        &json!({ "room": room, "action": action, "seq": seq }),
        &text,
    )?)
}

/// The room that was named, or the only one that the node is in.
async fn room(client: &Client, named: Option<RoomId>) -> anyhow::Result<String> {
    if let Some(room) = named {
        return Ok(room.to_string());
    }
    let info = client.get("/v1/info").await?;
    let rooms: Vec<&str> = info["rooms"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    match rooms[..] {
        [room] => Ok(room.to_owned()),
        [] => anyhow::bail!("the node of this home is in no room; `majlis host` and `majlis join` enter one"),
        _ => anyhow::bail!(
            "the node is in several rooms; choose one with --room: {}",
            rooms.join(", ")
        ),
    }
}

/// A reaction as people type it.
fn reaction(text: &str) -> Result<String, String> {
    match Reactions::one(text) {
        Some(_) => Ok(text.to_owned()),
        None => {
            let all = REACTIONS.map(|(sign, word)| format!("{sign} {word}"));
            Err(format!("there is: {}", all.join(", ")))
        }
    }
}

/// A volume as people type it: 50% or 50.
fn percent(text: &str) -> Result<u16, String> {
    let number = text.strip_suffix('%').unwrap_or(text).parse().ok();
    number
        .filter(|percent| *percent <= MOST_VOLUME)
        .ok_or_else(|| format!("a volume is from 0 to {MOST_VOLUME}%, for example 50%"))
}

/// The seconds of a speaking time as people type it.
fn speaking_time(text: &str) -> Result<u16, String> {
    if text == "off" {
        return Ok(0);
    }
    let seconds = u16::try_from(span(text)?.as_secs()).ok();
    seconds
        .filter(|seconds| SPEAKING_TIME_S.contains(seconds))
        .ok_or_else(|| "a speaking time is from 10s to 10h".to_owned())
}

/// The seconds of a slow mode as people type it.
fn slow_mode(text: &str) -> Result<u16, String> {
    if text == "off" {
        return Ok(0);
    }
    let seconds = u16::try_from(span(text)?.as_secs()).ok();
    seconds
        .filter(|seconds| *seconds <= SLOW_MODE_S)
        .ok_or_else(|| "a slow mode has at most 1h".to_owned())
}

/// A time as people type it: a number and a unit, at least a second and below a century.
pub(crate) fn span(text: &str) -> Result<Duration, String> {
    let usage = || format!("'{text}' is not a time: write 90s, 10m, 2h or 7d");
    let unit = text.chars().next_back().ok_or_else(usage)?;
    let size: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(usage()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| usage())?;
    let seconds = number
        .checked_mul(size)
        .filter(|seconds| (1..CENTURY).contains(seconds));
    let range = || format!("'{text}' is not from 1s to 36499d; leave --for out for a ban without an end");
    seconds.map(Duration::from_secs).ok_or_else(range)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_mode_is_a_time_of_at_most_an_hour_or_off() {
        assert_eq!((slow_mode("off"), slow_mode("30s")), (Ok(0), Ok(30)));
        assert_eq!(slow_mode("1h"), Ok(3_600));
        for text in ["61m", "1d", "30", "0s"] {
            assert!(slow_mode(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_volume_is_a_share_with_or_without_its_sign() {
        assert_eq!(
            (percent("50%"), percent("0"), percent("400")),
            (Ok(50), Ok(0), Ok(400))
        );
        for text in ["", "%", "-1", "401%", "50 %", "loud", "1.5"] {
            assert!(percent(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_speaking_time_is_from_ten_seconds_to_ten_hours_or_off() {
        assert_eq!((speaking_time("off"), speaking_time("10m")), (Ok(0), Ok(600)));
        assert_eq!((speaking_time("10s"), speaking_time("10h")), (Ok(10), Ok(36_000)));
        for text in ["9s", "11h", "1d", "ten"] {
            assert!(speaking_time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_time_is_a_number_with_its_unit() {
        for (text, seconds) in [("90s", 90), ("10m", 600), ("2h", 7_200), ("7d", 604_800)] {
            assert_eq!(span(text), Ok(Duration::from_secs(seconds)));
        }
        for text in [
            "",
            "10",
            "h",
            "-1h",
            "1.5h",
            "0s",
            "10 m",
            "1w",
            "٣h",
            "36500d",
            "99999999999999999999d",
        ] {
            assert!(span(text).is_err(), "{text}");
        }
    }
}
