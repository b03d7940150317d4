//! Rooms as this node takes part in them: one actor each, and the handle that the rest of the program holds on it.
//!
//! The actor drives a [`Member`](majlis_protocol::member::Member), which decides; it joins what else must not know of
//! each other: the network, the media plane, sound, and the room's log on disk. Nothing else does.

mod actor;
mod announcing;
mod events;
mod links;
mod listening;
mod mics;
mod recording;
mod rights;
mod seek;
mod speaking;
mod treatment;
mod tree;

use std::{path::PathBuf, sync::Arc, time::Instant};

use majlis_protocol::{
    link::RoomLink,
    log::Role,
    person::{Peer, Person},
    reason::Reason,
    room::{AudioSettings, Profile, RoomId, RoomTag, SPEECH_BITRATE, Visibility},
    signed::Malformed,
    wire::message::Refusal,
};
use serde::Serialize;
use tokio::sync::{broadcast, mpsc, oneshot};

/// What a person does in a room. Whether this person may is for the room's chair to say.
pub use majlis_protocol::member::Command as RoomAction;

pub(crate) use self::{
    actor::{Arrival, Entry, Setup, start},
    links::Control,
};
pub use self::{
    events::EventStream,
    treatment::Treatment,
    tree::{Branch, TreeInfo},
};
use crate::{
    audio::{AudioError, Channels, FileSource, Input, Output, ReadyOutput},
    event::{LeftReason, RoleName, Stamped, Stats, shown, shown_or_null},
    home::HomeError,
    node,
    planning::PlanError,
};

/// Requests that wait for a room's actor, which takes each in microseconds.
pub(crate) const REQUESTS: usize = 32;

/// A room to be opened.
#[derive(Debug)]
pub struct Hosting {
    /// What it is called, 1 to 200 bytes after cleaning.
    pub title: String,
    /// What it is about, at most 2,000 bytes.
    pub description: String,
    /// BCP 47 language, or empty.
    pub language: String,
    /// At most five.
    pub tags: Vec<RoomTag>,
    /// Who finds it.
    pub visibility: Visibility,
    /// How it sounds.
    pub audio: AudioSettings,
    /// How the host takes part.
    pub seat: Seat,
}

/// How a person takes part in a room: what is heard of it, and what it hears.
#[derive(Debug)]
pub struct Seat {
    /// What is heard of this person while it is on the stage. A microphone stays off until
    /// [`RoomHandle::microphone`] turns it on; anything else starts when the stage is had.
    pub input: Input,
    /// Where the mix goes.
    pub output: Output,
    /// A file starts over at its end.
    pub repeat: bool,
    /// What is done to sound on its way out and in.
    pub treatment: Treatment,
    /// The root's input starts once so many listeners are attached.
    pub wait_listeners: u32,
    /// What times are counted from, such as `join_ms`.
    pub started: Instant,
    /// Takes the room's events as soon as it is looked for, before it is joined. [`RoomHandle::events`] then gives those
    /// from the time of its call on. Nothing is sent where no room is left in the channel.
    pub events: Option<mpsc::Sender<EventStream>>,
}

/// A seat whose files and loudspeakers were found to work. A microphone opens only on the stage.
#[derive(Debug)]
pub(crate) struct ReadySeat {
    input: Input,
    output: ReadyOutput,
    repeat: bool,
    treatment: Treatment,
    wait_listeners: u32,
    started: Instant,
    events: Option<mpsc::Sender<EventStream>>,
}

/// Why a room was not opened or joined.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RoomError {
    /// What was asked for breaks a limit: the caller is at fault.
    #[error("{0}")]
    Malformed(#[from] Malformed),
    /// Sound could not be opened. Another `--input` or `--output` helps.
    #[error(transparent)]
    Audio(#[from] AudioError),
    /// The room's log could not be read or written.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The log of an earlier stay is damaged: nothing in it can be trusted. Moving it away helps.
    #[error("the log {path} is damaged: {reason}; move it away to join as someone new")]
    LogDamaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// This home holds no such room of its own.
    #[error(
        "this home has opened no room of that id: only its host opens a room again, with the home it was opened in"
    )]
    NotOurs,
    /// Nobody of the room was reached. A retry may help, or a newer link.
    #[error("nobody in the room could be reached{why}; ask the host for a fresh link")]
    Unreachable {
        /// What the last attempts said, or nothing.
        why: String,
    },
    /// The room did not let this node in. The reason says whether a retry helps.
    #[error("the room refused: {}; {}", text_of(.0), advice(.0.reason))]
    Refused(Refusal),
    /// The room is announced and not open yet: [`crate::node::Node::until_open`] waits for it.
    #[error("the room is not open yet; `majlis rooms` shows when it starts")]
    NotOpenYet,
    /// The room was called off before it opened.
    #[error("{title} was cancelled{why}")]
    Cancelled {
        /// What it was called.
        title: String,
        /// Why, where its host said so.
        why: String,
    },
    /// The room's time has come and gone.
    #[error("{title} did not open; ask its host for another time")]
    NotOpened {
        /// What it was called.
        title: String,
    },
    /// What is planned of a room cannot be announced or changed.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The room has ended.
    #[error("the room has ended")]
    Ended,
    /// This node is in that room already.
    #[error("this node is in that room already")]
    AlreadyThere,
    /// This node takes part in as many rooms as it can.
    #[error("this node is in too many rooms")]
    TooMany,
    /// The node is shutting down.
    #[error("the node is shutting down")]
    Closed,
}

/// Why an action was not carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ActError {
    /// The chair, or the room's rules, refused; the text says why.
    #[error("{}", text_of(.0))]
    Refused(Refusal),
    /// There is no microphone, file or tone to turn on: the node was started without.
    #[error("this node has no input: start it with --input mic, --input file:PATH or --input tone:HZ")]
    NoInput,
    /// Somebody who keeps order has muted this person, and they alone lift it.
    #[error("you are muted; a host, co-host or moderator must unmute you first")]
    Muted,
    /// Only people on the stage speak.
    #[error(
        "not on the stage: ask for the word with `majlis ctl hand`, and accept an invitation with `majlis ctl accept`"
    )]
    NotOnStage,
    /// The microphone could not be opened; the text says why and what to do.
    #[error("{0}")]
    Device(String),
    /// The file or tone is at its end.
    #[error("what this node was to play is over; start it again to play it once more")]
    InputOver,
    /// The input was turned off before it was open.
    #[error("the microphone was closed again before it was open")]
    TurnedOff,
    /// This node has left the room.
    #[error("this node is no longer in the room")]
    Left,
}

/// What a room looks like from this node.
#[derive(Debug, Clone, Serialize)]
pub struct RoomInfo {
    /// Its id.
    #[serde(serialize_with = "shown")]
    pub id: RoomId,
    /// What to pass on.
    #[serde(serialize_with = "shown")]
    pub link: RoomLink,
    /// What it is called.
    pub title: String,
    /// Whose room it is.
    #[serde(serialize_with = "shown")]
    pub host: Person,
    /// This person's role.
    pub role: RoleName,
    /// From whom sound comes; `null` for the root.
    #[serde(serialize_with = "shown_or_null")]
    pub parent: Option<Peer>,
    /// Hops from the root.
    pub depth: u32,
    /// Sequence of the newest log entry here.
    pub head: u32,
    /// The chair's term.
    pub term: u32,
    /// The estimate of how many listen.
    pub listeners: u32,
    /// Whether sound of ours goes out.
    pub microphone: bool,
    /// Whether this person is muted by another.
    pub muted: bool,
    /// The people on the stage, those who keep order, those invited, and the others this node knows of.
    pub people: Vec<PersonInfo>,
    /// Who is kicked or banned now.
    pub kept_out: Vec<KeptOut>,
    /// Who has raised a hand, the one that waits longest first. Everyone in the room sees this order.
    pub hands: Vec<HandInfo>,
    /// Pinned links, the first one first.
    pub pins: Vec<String>,
    /// What the room lets whom do.
    pub rules: RulesInfo,
    /// Whether the host records the room.
    pub recorded: bool,
    /// What was counted.
    pub stats: Stats,
}

/// A person as this node knows it.
#[derive(Debug, Clone, Serialize)]
pub struct PersonInfo {
    /// The key.
    #[serde(serialize_with = "shown")]
    pub key: Person,
    /// The nickname, where it is known.
    pub nick: Option<String>,
    /// The tag to show with it.
    pub tag: String,
    /// The role.
    pub role: RoleName,
    /// Whether this person may speak: moderators and co-hosts are on the stage or in the audience.
    pub on_stage: bool,
    /// Whether another has muted this person.
    pub muted: bool,
    /// Whether the microphone of someone on the stage is open: they say so, or are heard. `null` in the audience.
    pub mic: Option<bool>,
    /// For how long this speaker may still be on the stage; `null` for as long as they like, and in the audience.
    pub turn_left_ms: Option<u64>,
    /// Whether an invitation to the stage is open.
    pub invited: bool,
    /// How loud this node's person wants them, in percent: 100 unless it was set, 0 where they are muted here alone.
    pub volume: u16,
    /// Whether it is this node's own person.
    pub me: bool,
}

/// A page of those who listen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AudiencePage {
    /// Which, 1 for the first.
    pub page: u32,
    /// Who is on it.
    pub people: Vec<ListenerInfo>,
    /// Whether there may be a next one.
    pub more: bool,
}

/// Somebody who listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListenerInfo {
    /// The key.
    #[serde(serialize_with = "shown")]
    pub key: Person,
    /// What that person is called.
    pub nick: String,
    /// The tag to show with it.
    pub tag: String,
}

/// A person who may not come in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeptOut {
    /// The key.
    #[serde(serialize_with = "shown")]
    pub key: Person,
    /// The nickname, where it is still known.
    pub nick: Option<String>,
    /// The tag of the key.
    pub tag: String,
    /// Whether it was a kick; else a ban.
    pub kicked: bool,
    /// For how long still; `null` until it is lifted.
    pub left_ms: Option<u64>,
    /// Why, or nothing.
    pub reason: String,
}

/// A raised hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HandInfo {
    /// Its place in the queue, 1 for the first. `ctl invite` takes it in the place of the key.
    pub place: usize,
    /// Whose.
    #[serde(serialize_with = "shown")]
    pub key: Person,
    /// What that person is called.
    pub nick: String,
    /// The tag to show with it.
    pub tag: String,
    /// For how long it has been up.
    pub waits_ms: u64,
}

/// What a room lets whom do, beside what roles allow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RulesInfo {
    /// Who may raise a hand: `anyone` or `nobody`.
    pub hands: &'static str,
    /// Whether nobody comes in who was not in the room before.
    pub locked: bool,
    /// What the guest list is for: `off`, `enter` or `speak`.
    pub guest_list: &'static str,
    /// Who stands on it.
    #[serde(serialize_with = "all_shown")]
    pub guests: Vec<Person>,
    /// How many people the stage takes.
    pub speakers: u8,
    /// Who may write in the chat: `anyone`, `stage` or `nobody`. Those who keep order always may.
    pub chat: &'static str,
    /// For how many seconds a speaker without an office stays on the stage; 0 for as long as they like.
    pub speaking_time_s: u16,
    /// How many seconds the lines of one person must lie apart in the chat; 0 for no slow mode.
    pub slow_mode_s: u16,
}

fn all_shown<S: serde::Serializer>(people: &[Person], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(people.iter().map(Person::to_string))
}

/// A handle on a room. Clones are the same room.
///
/// A handle keeps the whole node up, which greets those who come. The room is left with [`RoomHandle::leave`], or when
/// the last handle is dropped on the node and on all of its rooms.
#[derive(Debug, Clone)]
pub struct RoomHandle {
    pub(crate) id: RoomId,
    pub(crate) me: Person,
    pub(crate) host: Person,
    pub(crate) requests: mpsc::Sender<Request>,
    pub(crate) events: events::Source,
    /// Held for its drop. None in the node's own list: it does not keep itself up.
    pub(crate) _node: Option<Arc<node::Shared>>,
}

/// What a handle asks of the actor.
#[derive(Debug)]
pub(crate) enum Request {
    Act {
        action: RoomAction,
        reply: oneshot::Sender<Result<u32, Refusal>>,
    },
    Microphone {
        on: bool,
        reply: oneshot::Sender<Result<(), ActError>>,
    },
    /// How loud this person is to be has changed.
    Volume(Person),
    Info {
        reply: oneshot::Sender<RoomInfo>,
    },
    Audience {
        page: u32,
        reply: oneshot::Sender<Result<AudiencePage, Refusal>>,
    },
    Tree {
        reply: oneshot::Sender<TreeInfo>,
    },
    Leave {
        reason: LeftReason,
        reply: oneshot::Sender<Stats>,
    },
}

impl Hosting {
    /// A public room for speech with this title, and a silent seat for its host.
    #[must_use]
    pub fn titled(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            description: String::new(),
            language: String::new(),
            tags: Vec::new(),
            visibility: Visibility::Public,
            audio: AudioSettings {
                profile: Profile::Speech,
                bitrate: SPEECH_BITRATE,
            },
            seat: Seat::default(),
        }
    }

    /// The same room with another seat for its host.
    #[must_use]
    pub fn seat(self, seat: Seat) -> Self {
        Self { seat, ..self }
    }
}

impl Default for Seat {
    fn default() -> Self {
        Self {
            input: Input::None,
            output: Output::None,
            repeat: false,
            treatment: Treatment::default(),
            wait_listeners: 0,
            started: Instant::now(),
            events: None,
        }
    }
}

impl Seat {
    /// The same seat with something to be heard of it.
    #[must_use]
    pub fn input(self, input: Input) -> Self {
        Self { input, ..self }
    }

    /// The same seat with somewhere for the mix to go.
    #[must_use]
    pub fn output(self, output: Output) -> Self {
        Self { output, ..self }
    }

    /// Opens what can be opened before the room is: nobody is called, and nothing founded, in vain.
    pub(crate) fn ready(self) -> Result<ReadySeat, AudioError> {
        if let Input::File(path) = &self.input {
            FileSource::open(path, Channels::Mono, false)?;
        }
        Ok(ReadySeat {
            input: self.input,
            output: ReadyOutput::of(self.output)?,
            repeat: self.repeat,
            treatment: self.treatment,
            wait_listeners: self.wait_listeners,
            started: self.started,
            events: self.events,
        })
    }
}

impl RoomHandle {
    /// The room.
    #[must_use]
    pub fn id(&self) -> RoomId {
        self.id
    }

    /// Whether this node's person is its host.
    #[must_use]
    pub fn is_host(&self) -> bool {
        self.me == self.host
    }

    /// What happens in the room: for the first caller from the start on, for later ones from now on.
    #[must_use]
    pub fn events(&self) -> EventStream {
        self.events.stream()
    }

    /// Does something, and waits until it is in this node's log; returns the sequence of its entry.
    ///
    /// # Errors
    /// [`ActError::Refused`] with the chair's reason.
    pub async fn act(&self, action: RoomAction) -> Result<u32, ActError> {
        self.ask(|reply| Request::Act { action, reply })
            .await?
            .map_err(ActError::Refused)
    }

    /// Turns the input on or off. On, it returns once a microphone is truly open; off, nothing is sent, and a microphone
    /// is released.
    ///
    /// # Errors
    /// [`ActError`] says why nobody hears this person: among others [`ActError::Device`], when there is no microphone.
    pub async fn microphone(&self, on: bool) -> Result<(), ActError> {
        self.ask(|reply| Request::Microphone { on, reply }).await?
    }

    /// Plays a person as loud as the home has it now.
    pub(crate) async fn follow_volume(&self, person: Person) {
        // A room that has been left plays nobody.
        let _ = self.requests.send(Request::Volume(person)).await;
    }

    /// What the room looks like now; `None` once this node has left it.
    pub async fn info(&self) -> Option<RoomInfo> {
        self.ask(|reply| Request::Info { reply }).await.ok()
    }

    /// Who listens: a page of at most 16 people of the whole room, from 1. It is asked of the members of the room, each of
    /// whom knows a few.
    ///
    /// # Errors
    /// [`ActError::Refused`] when nobody answers.
    pub async fn audience(&self, page: u32) -> Result<AudiencePage, ActError> {
        self.ask(|reply| Request::Audience { page, reply })
            .await?
            .map_err(ActError::Refused)
    }

    /// The relay tree as this node knows it now; `None` once it has left the room.
    pub async fn tree(&self) -> Option<TreeInfo> {
        self.ask(|reply| Request::Tree { reply }).await.ok()
    }

    /// Leaves the room, and returns the totals once neighbours were told and files are closed; `None` when this node
    /// had left it before.
    pub async fn leave(&self, reason: LeftReason) -> Option<Stats> {
        self.ask(|reply| Request::Leave { reason, reply }).await.ok()
    }

    /// The same handle, which keeps a node up.
    pub(crate) fn holding(self, node: Arc<node::Shared>) -> Self {
        Self {
            _node: Some(node),
            ..self
        }
    }

    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Result<T, ActError> {
        let (reply, answer) = oneshot::channel();
        self.requests
            .send(request(reply))
            .await
            .map_err(|_| ActError::Left)?;
        answer.await.map_err(|_| ActError::Left)
    }
}

impl RoomError {
    /// Whether it may be that the room only is not open yet: nobody of it was found.
    #[must_use]
    pub fn may_be_early(&self) -> bool {
        match self {
            Self::NotOpenYet | Self::Unreachable { .. } => true,
            Self::Refused(refusal) => refusal.reason == Reason::UnknownRoom,
            _ => false,
        }
    }
}

impl From<Role> for RoleName {
    fn from(role: Role) -> Self {
        Self(role)
    }
}

/// Events that wait for a slow reader; it misses the oldest beyond.
pub(crate) const EVENTS: usize = 1_024;

/// The sending end of a room's events.
pub(crate) type EventSender = broadcast::Sender<Stamped>;

/// What to do when a room refused.
fn advice(reason: Reason) -> &'static str {
    match reason {
        Reason::UnknownRoom => "ask the host for a fresh link",
        Reason::Full | Reason::TooMany => "try again later",
        Reason::Locked => "join again when its host opens it",
        Reason::NotListed => "ask the host to put you on the guest list",
        Reason::Kicked => "join again then, as a listener",
        Reason::Banned => {
            "only its host, co-hosts and moderators can lift that; `majlis join LINK --appeal TEXT` asks them to, once"
        }
        Reason::Malformed | Reason::Unsupported | Reason::BadCertificate => {
            "run the newest version of the program at both ends"
        }
        _ => "ask the host",
    }
}

fn text_of(refusal: &Refusal) -> String {
    if refusal.text.is_empty() {
        refusal.reason.to_string()
    } else {
        refusal.text.to_string()
    }
}
