//! The actor of one room: drives its [`Member`] and does what the member says, in order.
//!
//! It waits for one thing at a time: a message of a neighbour, a request of a handle, news of sound or of the media
//! plane, or the member's own deadline. It holds no handle of itself: when the last [`super::RoomHandle`] is dropped,
//! it leaves the room.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use libp2p::{Multiaddr, PeerId};
use majlis_protocol::{
    link::RoomLink,
    member::{CommandId, Input as MemberInput, Member, OnStage, Output as MemberOutput, Route, Side},
    neighbour::Neighbour,
    person::{Person, PersonKey},
    room::Genesis,
    signed::{Malformed, Verified},
    tree::Errand,
    wire::message::{Message, Refusal},
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::{self, MissedTickBehavior},
};

mod entering;
mod report;
mod sound;
mod storing;
mod taping;
mod telling;

use super::{
    ActError, AudiencePage, EventSender, HandInfo, KeptOut, ListenerInfo, PersonInfo, REQUESTS, ReadySeat,
    Request, RoomError, RoomHandle, RoomInfo, RulesInfo, TreeInfo,
    announcing::Announcing,
    events,
    links::{Control, Link},
    listening::{self, Listening, millis},
    mics::Mics,
    recording::Tape,
    seek::{self, Lead},
    speaking::{News, Speaking},
    treatment::Treatment,
};
use crate::{
    audio::{Input, ReadyOutput},
    event::{Event, LeftReason, Stamped, Stats},
    home::{RoomLog, Volumes},
    media::{Plane, RoomMedia, Signal},
    net::Network,
    node::Uplink,
};

/// News from links and dials that wait for the actor.
const NOTES: usize = 256;

/// Signals of the media plane that wait. More repeat themselves, or are kept there.
const SIGNALS: usize = 16;

/// How often counts are told.
const STATS_INTERVAL: Duration = Duration::from_secs(1);

/// How long leaving waits for neighbours to take what was sent to them.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(1);

/// What comes to the actor from its links and dials.
#[derive(Debug)]
pub(super) enum Note {
    /// A control substream that we wanted is open.
    Opened {
        peer: PeerId,
        control: Control,
        errand: Errand,
    },
    /// One who was called is not to be had; why, for people.
    NoAnswer {
        peer: PeerId,
        addresses: Vec<Multiaddr>,
        why: String,
    },
    /// Nobody was reached; why, for people.
    NobodyFound { errand: Errand, why: String },
    /// All who could be called have refused.
    NobodyLeft,
    /// Nobody was reached, and the room is announced for later.
    NotOpenYet,
    /// A message came.
    Message { link: Neighbour, message: Box<Message> },
    /// A message of a later version came, which may be skipped.
    Skipped { link: Neighbour },
    /// Something came that is no message.
    Malformed { link: Neighbour, error: Malformed },
    /// A substream has ended.
    LinkDown { link: Neighbour },
}

/// A peer that has said hello to the room.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) peer: PeerId,
    pub(crate) control: Control,
    pub(crate) hello: Message,
}

/// How a room is entered.
#[derive(Debug)]
pub(crate) enum Entry {
    /// As the host of a new one.
    Open(Box<Verified<Genesis>>),
    /// As the host of one that was opened before.
    OpenAgain,
    /// As anyone; with what is to be said to those who keep order, should this person be banned.
    Join { appeal: Option<String> },
}

/// What an actor starts from.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) key: Arc<PersonKey>,
    pub(crate) nick: String,
    pub(crate) max_children: usize,
    /// What the line carries up.
    pub(crate) uplink: Option<Uplink>,
    pub(crate) network: Network,
    pub(crate) plane: Plane,
    pub(crate) log: RoomLog,
    pub(crate) volumes: Volumes,
    pub(crate) link: RoomLink,
    /// How the room is entered.
    pub(crate) entry: Entry,
    pub(crate) seat: ReadySeat,
    /// Peers that say hello to this room.
    pub(crate) arrivals: mpsc::Receiver<Arrival>,
}

/// Starts an actor; returns once this node is in the room.
pub(crate) async fn start(mut setup: Setup) -> Result<RoomHandle, RoomError> {
    let (events, source) = events::Source::channel();
    if let Some(early) = setup.seat.events.take() {
        // Who wanted them may be gone.
        let _ = early.try_send(source.stream());
    }
    let (requests, receiver) = mpsc::channel(REQUESTS);
    let (ready, is_ready) = oneshot::channel();
    let (id, me) = (setup.link.room, setup.key.person());
    let actor = Actor::new(setup, events, receiver, ready)?;
    tokio::spawn(actor.run());
    // An actor that ends before it is ready has been dropped with its runtime.
    let host = is_ready.await.unwrap_or(Err(RoomError::Closed))?;
    Ok(RoomHandle {
        id,
        me,
        host,
        requests,
        events: source,
        _node: None,
    })
}

struct Actor {
    member: Member,
    /// What the member's time counts from.
    epoch: Instant,
    me: Person,
    key: Arc<PersonKey>,
    link: RoomLink,
    network: Network,
    plane: Plane,
    media: Arc<RoomMedia>,
    mics: Mics,
    /// What the room was told of our microphone.
    told_on: bool,
    log: Option<RoomLog>,
    /// Records that go into it with the next that cannot wait, or with the next count.
    unstored: Vec<u8>,
    /// The newest entry, for the packets we send.
    head: Arc<AtomicU32>,
    links: BTreeMap<Neighbour, Link>,
    writers: JoinSet<()>,
    next_number: u64,
    listening: Option<Listening>,
    output: Option<ReadyOutput>,
    speaking: Option<Speaking>,
    announcing: Option<Announcing>,
    tape: Option<Tape>,
    /// Whether it was told that the room is recorded.
    told_recorded: bool,
    /// Whether a recording failed that the log still speaks of.
    is_unrecordable: bool,
    input: Option<Input>,
    repeat: bool,
    treatment: Treatment,
    volumes: Volumes,
    wait_listeners: u32,
    on_stage: Option<OnStage>,
    started: Instant,
    why_nobody: String,
    /// Whom it was told of that they do not answer, before the room was reached.
    unanswered: BTreeSet<PeerId>,
    /// The names that were told.
    named: BTreeMap<Person, String>,
    /// Whether it was told that the room is being looked for.
    is_sought: bool,
    /// Whether it was told that nobody known here has heard of the room.
    is_unheard_of: bool,
    replies: BTreeMap<CommandId, oneshot::Sender<Result<u32, Refusal>>>,
    /// Pages of the audience that are being asked for.
    pages: BTreeMap<CommandId, (u32, oneshot::Sender<Result<AudiencePage, Refusal>>)>,
    next_command: u64,
    ready: Option<oneshot::Sender<Result<Person, RoomError>>>,
    leaving: Option<(LeftReason, oneshot::Sender<Stats>)>,
    left: Option<LeftReason>,
    /// Whether the last handle is gone: no request will come.
    is_forsaken: bool,
    events: EventSender,
    requests: mpsc::Receiver<Request>,
    arrivals: mpsc::Receiver<Arrival>,
    notes: (mpsc::Sender<Note>, mpsc::Receiver<Note>),
    signals: mpsc::Receiver<Signal>,
}

impl Actor {
    fn new(
        mut setup: Setup,
        events: EventSender,
        requests: mpsc::Receiver<Request>,
        ready: oneshot::Sender<Result<Person, RoomError>>,
    ) -> Result<Self, RoomError> {
        let epoch = Instant::now();
        let (signal, signals) = mpsc::channel(SIGNALS);
        let media = setup
            .plane
            .open_room(setup.link.room, signal)
            .ok_or(RoomError::TooMany)?;
        let member = match entering::make_member(&mut setup, media.alias()) {
            Ok(member) => member,
            Err(error) => {
                setup.plane.close_room(&media);
                return Err(error);
            }
        };
        Ok(Self {
            member,
            epoch,
            me: setup.key.person(),
            key: setup.key,
            link: setup.link,
            network: setup.network,
            plane: setup.plane,
            media,
            mics: Mics::default(),
            told_on: false,
            log: Some(setup.log),
            unstored: Vec::new(),
            head: Arc::default(),
            links: BTreeMap::new(),
            writers: JoinSet::new(),
            next_number: 0,
            listening: None,
            output: Some(setup.seat.output),
            speaking: None,
            announcing: None,
            tape: None,
            told_recorded: false,
            is_unrecordable: false,
            input: Some(setup.seat.input),
            repeat: setup.seat.repeat,
            treatment: setup.seat.treatment,
            volumes: setup.volumes,
            wait_listeners: setup.seat.wait_listeners,
            on_stage: None,
            started: setup.seat.started,
            why_nobody: String::new(),
            unanswered: BTreeSet::new(),
            named: BTreeMap::new(),
            is_sought: false,
            is_unheard_of: false,
            replies: BTreeMap::new(),
            pages: BTreeMap::new(),
            next_command: 0,
            ready: Some(ready),
            leaving: None,
            left: None,
            is_forsaken: false,
            events,
            requests,
            arrivals: setup.arrivals,
            notes: mpsc::channel(NOTES),
            signals,
        })
    }

    async fn run(mut self) {
        let mut stats = time::interval(STATS_INTERVAL);
        stats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.perform().await;
        while self.left.is_none() {
            let due = self
                .member
                .poll_timeout()
                .map(|(at, _)| time::Instant::from_std(self.epoch + at));
            tokio::select! {
                Some(note) = self.notes.1.recv() => self.handle_note(note),
                Some(arrival) = self.arrivals.recv() => self.handle_arrival(arrival),
                Some(signal) = self.signals.recv() => self.handle_signal(signal),
                request = self.requests.recv(), if !self.is_forsaken => self.handle_request(request).await,
                event = next_event(self.listening.as_ref()) => self.hear(event),
                news = next_news(self.speaking.as_mut()) => self.handle_own_sound(news),
                _ = stats.tick() => {
                    self.store_rest().await;
                    if self.ready.is_none() {
                        self.tell(Event::Stats(self.stats()));
                        self.announce_if_due();
                        self.follow_links();
                        self.follow_mics();
                        self.follow_losses();
                    } else {
                        self.tell_seeking();
                    }
                }
                () = sleep_until(due) => self.input(MemberInput::Timeout),
            }
            self.tell_own_microphone();
            self.perform().await;
            self.follow_recording().await;
        }
        self.finish().await;
    }

    fn handle_note(&mut self, note: Note) {
        match note {
            Note::Opened {
                peer,
                control,
                errand,
            } => {
                if self.start_link(peer, control, Side::Opener).is_none() {
                    self.why_nobody = "its key is of a kind that no member has".to_owned();
                    self.input(MemberInput::NobodyFound { errand });
                }
            }
            Note::NoAnswer { peer, addresses, why } => self.tell_no_answer(peer, &addresses, &why),
            Note::NobodyFound { errand, why } => {
                self.tell_nobody_known(&why);
                self.why_nobody = why;
                self.input(MemberInput::NobodyFound { errand });
            }
            Note::NobodyLeft => self.input(MemberInput::NobodyLeft),
            Note::NotOpenYet if self.ready.is_some() => {
                self.fail(RoomError::NotOpenYet);
                self.input(MemberInput::Leave);
            }
            Note::NotOpenYet => self.input(MemberInput::NobodyFound {
                errand: Errand::Place,
            }),
            Note::Message { link, message } => self.input(MemberInput::Message {
                link,
                message: *message,
            }),
            Note::Skipped { link } => self.input(MemberInput::Skipped { link }),
            Note::Malformed { link, error } => self.input(MemberInput::Malformed { link, error }),
            Note::LinkDown { link } => self.drop_link(link),
        }
    }

    fn handle_arrival(&mut self, arrival: Arrival) {
        if let Some(link) = self.start_link(arrival.peer, arrival.control, Side::Receiver) {
            self.input(MemberInput::Message {
                link,
                message: arrival.hello,
            });
        }
    }

    fn handle_signal(&mut self, signal: Signal) {
        match signal {
            Signal::Ahead => self.input(MemberInput::SoundAhead),
            Signal::Forger(link) => self.input(MemberInput::Forger { link }),
            Signal::Parting { link, complaint } => self.input(MemberInput::Parting { link, complaint }),
            Signal::Strained => self.input(MemberInput::Strained),
            Signal::StandbySilent(link) => self.input(MemberInput::StandbySilent { link }),
            Signal::First {
                speaker,
                epoch,
                sequence,
                arrived,
            } => {
                let ms = millis(arrived.saturating_duration_since(self.started));
                self.tell(Event::FirstPacket {
                    ms,
                    speaker,
                    epoch,
                    seq: sequence,
                });
            }
        }
    }

    /// `None` says that the last handle is gone.
    async fn handle_request(&mut self, request: Option<Request>) {
        match request {
            Some(Request::Act { action, reply }) => {
                if self.takes_the_stage_from_us(&action) {
                    self.fall_silent().await;
                }
                let id = CommandId(self.next_command);
                self.next_command += 1;
                self.replies.insert(id, reply);
                self.input(MemberInput::Command { id, command: action });
            }
            Some(Request::Microphone { on, reply }) => {
                self.turn_microphone(on, reply);
            }
            Some(Request::Volume(person)) => {
                if let Some(listening) = &self.listening {
                    listening.set_volume(person, self.volumes.of(person));
                }
            }
            Some(Request::Info { reply }) => {
                if let Some(info) = self.info() {
                    // Who asked may have stopped waiting; the same holds for every reply here.
                    let _ = reply.send(info);
                }
            }
            Some(Request::Audience { page, reply }) => {
                let id = CommandId(self.next_command);
                self.next_command += 1;
                self.pages.insert(id, (page, reply));
                let page = page.saturating_sub(1);
                self.input(MemberInput::Audience { id, page });
            }
            Some(Request::Tree { reply }) => {
                let _ = reply.send(self.tree());
            }
            Some(Request::Leave { reason, reply }) => {
                self.fall_silent_and_pass().await;
                self.leaving = Some((reason, reply));
                self.input(MemberInput::Leave);
            }
            None => {
                self.is_forsaken = true;
                self.fall_silent_and_pass().await;
                self.input(MemberInput::Leave);
            }
        }
    }

    fn input(&mut self, input: MemberInput) {
        let now = self.epoch.elapsed();
        self.member.handle(input, now);
    }

    /// Does what the member says until it says no more. What it wants stored is on disk before anything else is done, and
    /// all of it at once: a newcomer takes in a long log a batch at a time.
    async fn perform(&mut self) {
        loop {
            let (mut records, mut is_anew) = (Vec::new(), false);
            let mut outputs = Vec::new();
            while let Some(output) = self.member.poll_output() {
                match output {
                    MemberOutput::StoreLater(record) => self.unstored.extend_from_slice(&record),
                    MemberOutput::Store(record) => {
                        records.append(&mut self.unstored);
                        records.extend_from_slice(&record);
                    }
                    MemberOutput::StoreAnew(whole) => {
                        self.unstored.clear();
                        (records, is_anew) = (whole.concat(), true);
                    }
                    output => outputs.push(output),
                }
            }
            if !records.is_empty() {
                self.store(records, is_anew).await;
            }
            if outputs.is_empty() {
                return;
            }
            for output in outputs {
                self.do_output(output);
            }
        }
    }

    fn do_output(&mut self, output: MemberOutput) {
        match output {
            // Stored already.
            MemberOutput::Store(_) | MemberOutput::StoreLater(_) | MemberOutput::StoreAnew(_) => {}
            MemberOutput::StorePass(pass) => self.keep_pass(pass.to_vec()),
            MemberOutput::Send { to, message } => self.send(to, &message),
            MemberOutput::Close(link) => drop(self.links.remove(&link)),
            MemberOutput::Dial { errand, candidates } => {
                let leads = seek::leads_of_candidates(&candidates, self.member.refusers());
                self.dial(errand, leads);
            }
            MemberOutput::Seek => self.seek(),
            MemberOutput::Route(route) => self.route(route),
            MemberOutput::Stage(stage) => self.take_stage(stage),
            MemberOutput::Done { command, result } => {
                if let Some(reply) = self.replies.remove(&command) {
                    let _ = reply.send(result);
                }
            }
            MemberOutput::Audience { command, result } => {
                if let Some((page, reply)) = self.pages.remove(&command) {
                    let _ = reply.send(result.map(|found| report::audience(page, found)));
                }
            }
            MemberOutput::Event(event) => self.handle_event(event),
        }
    }

    fn send(&mut self, to: Neighbour, message: &Message) {
        let Some(link) = self.links.get(&to) else { return };
        if link.send(message).is_err() {
            tracing::debug!(?to, "a neighbour does not read and is cut off");
            if let Some(link) = self.links.remove(&to) {
                link.cut();
            }
            self.input(MemberInput::LinkDown { link: to });
        }
    }

    fn seek(&self) {
        tokio::spawn(seek::find(
            self.network.clone(),
            self.link.clone(),
            seek::peer_ids(self.member.refusers()),
            self.notes.0.clone(),
        ));
    }

    fn dial(&self, errand: Errand, leads: Vec<Lead>) {
        tokio::spawn(seek::dial(
            self.network.clone(),
            errand,
            leads,
            self.notes.0.clone(),
        ));
    }

    fn route(&mut self, route: Route) {
        if let Route::Head(sequence) = route {
            self.head.store(sequence, Ordering::Relaxed);
        }
        self.media.handle_route(route);
    }

    /// Opens a link on a substream; `None` when the other end is no member by its key.
    fn start_link(&mut self, peer: PeerId, control: Control, side: Side) -> Option<Neighbour> {
        let member = majlis_protocol::person::Peer::from_peer_id_bytes(&peer.to_bytes()).ok()?;
        let number = Neighbour(self.next_number);
        self.next_number += 1;
        // Those that have ended are only kept until somebody asks.
        while self.writers.try_join_next().is_some() {}
        let notes = self.notes.0.clone();
        let link = Link::start(number, (&self.network, peer), control, notes, &mut self.writers);
        self.links.insert(number, link);
        self.input(MemberInput::LinkUp {
            link: number,
            peer: member,
            side,
        });
        Some(number)
    }

    fn drop_link(&mut self, link: Neighbour) {
        self.links.remove(&link);
        self.input(MemberInput::LinkDown { link });
    }

    /// Closes everything in the order in which it can still be of use, and tells the totals.
    async fn finish(mut self) {
        self.store_rest().await;
        let reason = self.left.unwrap_or(LeftReason::Interrupted);
        let mut stats = self.stats();
        self.end_announcing();
        self.end_recording().await;
        self.speaking = None;
        self.links.clear();
        if let Some(listening) = self.listening.take() {
            // The last words of a room that is over are still in the buffers.
            let play_out = !matches!(reason, LeftReason::Interrupted | LeftReason::Duration);
            let (playback, failure) = listening.finish(play_out).await;
            stats.streams = listening::stream_stats(&playback);
            if let Some(error) = failure {
                self.tell(Event::Warning {
                    text: error.to_string(),
                });
            }
        }
        let told = async { while self.writers.join_next().await.is_some() {} };
        if time::timeout(LEAVE_TIMEOUT, told).await.is_err() {
            tracing::debug!("a neighbour did not take our last words");
        }
        if let Some(announcing) = self.announcing.take() {
            announcing.withdraw().await;
        }
        self.plane.close_room(&self.media);
        // Whoever learns from here on that the room was left may join it again at once.
        self.arrivals.close();
        self.tell(Event::Left { reason });
        self.tell(Event::Summary(stats.clone()));
        if let Some((_, reply)) = self.leaving.take() {
            let _ = reply.send(stats);
        }
    }

    fn tell(&self, event: Event) {
        // Nobody may be listening.
        let _ = self.events.send(Stamped::now(event));
    }
}

/// The next event of a playback; never, while there is none.
async fn next_event(listening: Option<&Listening>) -> Event {
    match listening {
        Some(listening) => listening.next_event().await,
        None => std::future::pending().await,
    }
}

/// What becomes next of the own sound; never anything, while there is none.
async fn next_news(speaking: Option<&mut Speaking>) -> News {
    match speaking {
        Some(speaking) => speaking.next_news().await,
        None => std::future::pending().await,
    }
}

/// Sleeps until a deadline; for ever without one.
async fn sleep_until(due: Option<time::Instant>) {
    match due {
        Some(due) => time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
