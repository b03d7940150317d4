//! The member, its driver as the contract wants it, and the chair of the room that it joins.

use core::time::Duration;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;
use majlis_protocol::{
    limits,
    log::{self, Action, Beacon, Log},
    member::{Command, CommandId, Config, Event, Input, Left, Member, Output, Route, SEEK_LIMIT, Side},
    neighbour::Neighbour,
    room::RoomId,
    signed::Signed,
    tree::Place,
    wire::{
        frame::Frame,
        message::{Alias, Attach, Entries, Message, Slot},
    },
};

use super::{
    super::{
        log::{act, genesis, key},
        script::Script,
        wire::reads_back,
    },
    HOST, JOINER, STRANGERS, empty_log, messages, peer,
};

/// Most children of the member.
const MAX_CHILDREN: usize = 3;

/// Children beyond those, in need.
const EMERGENCIES: usize = 2;

/// Links beyond the children that a member keeps; see `SPARE_LINKS` in the member.
const SPARE_LINKS: usize = 256;

pub struct World {
    member: Member,
    is_host: bool,
    now: Duration,
    /// The links that are up: whose peer is at the other end, and who opened each.
    links: BTreeMap<Neighbour, (u8, Side)>,
    next_link: u64,
    /// Links that the media plane knows.
    routed: BTreeSet<Neighbour>,
    /// The log of the room's honest chair; of a stranger's making when the member itself is the chair.
    pub chair: Log,
    beacons: u32,
    /// What the member asked of the chair.
    pub requests: Vec<Signed<Action>>,
    /// The member's log file.
    file: Vec<u8>,
    /// Commands without an answer.
    waiting: BTreeSet<CommandId>,
    next_command: u64,
    /// The person here wanted it to be over.
    may_leave: bool,
    /// A neighbour said that it is over, or that it leaves.
    was_dismissed: bool,
    left: Option<Left>,
    epoch: Option<u32>,
    reached: bool,
    /// What was said since it was last taken out.
    said: Vec<(Neighbour, Message)>,
}

impl World {
    pub fn host() -> Self {
        let member = Member::host(config(HOST), genesis().clone(), Duration::ZERO).expect("a host");
        Self::new(member, true)
    }

    pub fn joiner() -> Self {
        let room = RoomId::of(genesis());
        let member = Member::join(config(JOINER), room, None, Duration::ZERO).expect("a member");
        Self::new(member, false)
    }

    fn new(member: Member, is_host: bool) -> Self {
        let mut world = Self {
            member,
            is_host,
            now: Duration::ZERO,
            links: BTreeMap::new(),
            next_link: 0,
            routed: BTreeSet::new(),
            chair: empty_log(),
            beacons: 0,
            requests: Vec::new(),
            file: Vec::new(),
            waiting: BTreeSet::new(),
            next_command: 0,
            may_leave: false,
            was_dismissed: false,
            left: None,
            epoch: None,
            reached: false,
            said: Vec::new(),
        };
        world.drain();
        world
    }

    pub fn is_host(&self) -> bool {
        self.is_host
    }

    pub fn has_left(&self) -> bool {
        self.member.has_left()
    }

    /// The log that this member goes by, or the chair's while it has none.
    pub fn log(&self) -> &Log {
        self.member.log().unwrap_or(&self.chair)
    }

    pub fn clock_ms(&self) -> u64 {
        u64::try_from(self.now.as_millis()).unwrap_or(u64::MAX)
    }

    /// Someone else: of the strangers, or the host where the member is not the host.
    pub fn stranger(&self, script: &mut Script<'_>) -> u8 {
        let seed = STRANGERS.start + script.below(STRANGERS.end - STRANGERS.start + 1);
        if STRANGERS.contains(&seed) {
            seed
        } else if self.is_host {
            STRANGERS.start
        } else {
            HOST
        }
    }

    /// One of the links that ever were.
    pub fn link(&self, choice: u8) -> Neighbour {
        let newest = self.next_link.saturating_sub(1);
        Neighbour(newest.saturating_sub(u64::from(choice % 8)))
    }

    pub fn seed_at(&self, link: Neighbour) -> u8 {
        self.links.get(&link).map_or(STRANGERS.start, |(seed, _)| *seed)
    }

    /// Whether the member opened this link.
    pub fn opened(&self, link: Neighbour) -> bool {
        self.links
            .get(&link)
            .is_some_and(|(_, side)| *side == Side::Opener)
    }

    /// The chair's newest beacon, which is true.
    pub fn honest_beacon(&self) -> Signed<Beacon> {
        let beacon = Beacon::new(
            self.chair.room(),
            key(HOST).person(),
            (self.chair.term(), self.beacons),
            self.clock_ms(),
            self.chair.head(),
            peer(HOST),
        );
        messages::sign(beacon, &key(HOST))
    }

    pub fn connect(&mut self, seed: u8, side: Side) -> Neighbour {
        let link = Neighbour(self.next_link);
        self.next_link += 1;
        self.links.insert(link, (seed, side));
        self.handle(Input::LinkUp {
            link,
            peer: peer(seed),
            side,
        });
        link
    }

    /// A neighbour that was asked for a place gives it.
    pub fn give_place(&mut self, link: Neighbour) {
        let asked =
            |(to, message): &(Neighbour, Message)| *to == link && matches!(message, Message::Attach(_));
        if core::mem::take(&mut self.said).iter().any(asked) {
            let attached = messages::attached(Slot::Child, vec![peer(self.seed_at(link))]);
            self.deliver(link, attached);
        }
    }

    pub fn cut(&mut self, link: Neighbour) {
        if self.links.remove(&link).is_some() {
            self.handle(Input::LinkDown { link });
        }
    }

    /// A message comes, on a link that may be gone by now.
    pub fn deliver(&mut self, link: Neighbour, message: Message) {
        let is_end = matches!(
            &message,
            Message::Refuse(_) | Message::AttachRefused(_) | Message::Leave
        );
        self.was_dismissed |= is_end;
        self.handle(Input::Message { link, message });
    }

    /// What the driver makes of a frame that came.
    pub fn deliver_frame(&mut self, link: Neighbour, kind: u16, body: Bytes) {
        match Message::decode(&Frame { kind, body }) {
            Ok(Some(message)) => self.deliver(link, message),
            Ok(None) => self.handle(Input::Skipped { link }),
            Err(error) => {
                self.handle(Input::Malformed { link, error });
                assert!(
                    !self.links.contains_key(&link) || self.has_left(),
                    "a link of noise stays"
                );
            }
        }
    }

    pub fn command(&mut self, command: Command) {
        let id = CommandId(self.next_command);
        self.next_command += 1;
        self.waiting.insert(id);
        self.may_leave |= command == Command::End;
        self.handle(Input::Command { id, command });
    }

    pub fn told_to_leave(&mut self) {
        self.may_leave = true;
    }

    /// Time passes, from deadline to deadline.
    pub fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some((due, why)) = self.member.poll_timeout().filter(|(due, _)| *due <= end) {
            self.now = self.now.max(due);
            self.handle(Input::Timeout);
            let next = self.member.poll_timeout();
            assert!(
                next.is_none_or(|(next, _)| next > self.now),
                "a driver would wake for {why:?} for ever: {next:?} at {:?}",
                self.now
            );
        }
        self.now = end;
    }

    /// The chair of the room writes down what someone does.
    pub fn chair_acts(&mut self, script: &mut Script<'_>) {
        let author = key(1 + script.below(5));
        let act = act(script, &self.chair, &author);
        let action = Action::new(
            self.chair.room(),
            author.person(),
            self.chair.head(),
            self.clock_ms(),
            &act,
        );
        self.append(&messages::sign(action, &author));
    }

    pub fn chair_takes_requests(&mut self) {
        for action in core::mem::take(&mut self.requests) {
            self.append(&action);
        }
    }

    fn append(&mut self, action: &Signed<Action>) {
        // A chair that is the member itself writes its own log.
        if !self.is_host {
            self.beacons += 1;
            let _refused = self.chair.append(action.clone(), &key(HOST), self.clock_ms());
        }
    }

    pub fn handle(&mut self, input: Input) {
        self.member.handle(input, self.now);
        self.drain();
    }

    /// Does what the member says, and checks that it may say it.
    pub fn drain(&mut self) {
        while let Some(output) = self.member.poll_output() {
            assert!(self.left.is_none(), "after the end: {output:?}");
            self.take(output);
        }
        assert_eq!(self.left.is_some(), self.member.has_left());
        assert!(self.member.children() <= MAX_CHILDREN + EMERGENCIES);
        assert!(self.links.len() <= 6 * MAX_CHILDREN + SPARE_LINKS);
        assert!(self.member.people().count() <= self.links.len());
        if self.left.is_some() {
            assert!(self.waiting.is_empty(), "a command without an answer");
            assert_eq!(self.member.poll_timeout(), None);
        }
    }

    fn take(&mut self, output: Output) {
        match output {
            Output::Store(record) | Output::StoreLater(record) => self.file.extend_from_slice(&record),
            Output::StoreAnew(records) => self.file = records.concat(),
            Output::Send { to, message } => {
                assert!(
                    self.links.contains_key(&to),
                    "said on a link that is gone: {message:?}"
                );
                reads_back(&message);
                self.has_stored(&message);
                if let Message::Request(action) = &*message {
                    self.requests.push(action.clone());
                }
                self.said.push((to, *message));
            }
            Output::Close(link) => {
                assert!(self.links.remove(&link).is_some(), "{link:?} was closed before");
            }
            Output::Dial { candidates, .. } => {
                assert!(!candidates.is_empty() && candidates.len() <= limits::CANDIDATES);
            }
            Output::Seek | Output::StorePass(_) | Output::Audience { .. } => {}
            Output::Route(route) => self.route(route),
            Output::Stage(None) => {}
            Output::Stage(Some(stage)) => {
                assert!(self.epoch < Some(stage.epoch), "an epoch again");
                self.epoch = Some(stage.epoch);
            }
            Output::Done { command, .. } => {
                assert!(self.waiting.remove(&command), "{command:?} was answered before");
            }
            Output::Event(Event::Left(left)) => self.leave(left),
            Output::Event(_) => {}
        }
    }

    fn route(&mut self, route: Route) {
        match route {
            Route::Open { link, peer: at, .. } => {
                assert!(self.routed.insert(link), "{link:?} was open");
                assert_eq!(at, peer(self.seed_at(link)));
                self.reached = true;
            }
            Route::Closed(link) => assert!(self.routed.remove(&link), "{link:?} was not open"),
            Route::Parent(Some(link))
            | Route::Standby(Some(link))
            | Route::Child { link, added: true }
            | Route::StandbyChild { link, added: true }
            | Route::Uplink { link, added: true } => {
                assert!(self.links.contains_key(&link) && self.routed.contains(&link));
            }
            Route::Grant { tag, person } => {
                let stage = self.member.log().map(|log| log.state().stay(tag));
                assert_eq!(
                    stage.flatten().map(|(on, _)| on),
                    Some(person),
                    "a grant without an entry"
                );
            }
            _ => {}
        }
    }

    /// What is said of the log was stored before.
    fn has_stored(&self, message: &Message) {
        if let Message::Entries(Entries { entries, .. }) = message {
            for entry in entries {
                let record = log::record(entry);
                assert!(
                    self.file.windows(record.len()).any(|stored| stored == record),
                    "sent before it was stored"
                );
            }
        }
    }

    /// Nobody can make a host leave its room, and a member leaves for a reason.
    fn leave(&mut self, left: Left) {
        let ended = self.member.log().is_some_and(|log| log.state().ended());
        if self.is_host {
            assert!(self.may_leave, "somebody made the host leave: {left:?}");
        }
        match &left {
            Left::Interrupted => assert!(self.may_leave),
            Left::Ended => assert!(ended || self.was_dismissed),
            _ => assert!(!self.is_host),
        }
        self.left = Some(left);
    }

    /// The end of the script: the log file holds the log, and an honest neighbour is well received.
    pub fn finish(mut self) -> bool {
        if let Some(log) = self.member.log() {
            let report = log::verify(&self.file).expect("a member's file is valid");
            assert_eq!(report.log.state(), log.state());
            assert!(!report.torn);
        }
        for link in self.links.keys().copied().collect::<Vec<_>>() {
            self.cut(link);
        }
        if !self.has_left() && self.is_host {
            self.admits();
        } else if !self.has_left() && !self.chair.state().ended() {
            self.joins();
        }
        self.reached
    }

    /// A host gives a place to someone who asks for one.
    fn admits(&mut self) {
        let link = self.connect(STRANGERS.end, Side::Receiver);
        self.deliver(link, messages::honest_greeting(self, link));
        self.deliver(link, Message::Attach(Attach::join(1)));
        assert_eq!(self.member.children(), 1, "nobody is let in any more");
    }

    /// A member that meets the host takes its place below it, at the host's newest entry.
    fn joins(&mut self) {
        let link = self.connect(HOST, Side::Opener);
        self.said.clear();
        self.deliver(link, messages::honest_greeting(self, link));
        let began = self.now;
        while let Some((to, message)) = (!self.said.is_empty()).then(|| self.said.remove(0)) {
            assert_eq!(self.now, began);
            assert_eq!(to, link);
            match message {
                Message::EntriesWanted { after } => {
                    let entries = self.chair.entries_after(after, limits::ENTRIES_BATCH);
                    let entries: Vec<_> = entries.iter().map(|entry| entry.signed().clone()).collect();
                    self.deliver(link, Message::Entries(Entries { entries, more: false }));
                }
                Message::Attach(_) => self.deliver(link, messages::attached(Slot::Child, vec![peer(HOST)])),
                _ => {}
            }
        }
        assert!(
            matches!(self.member.place(), Place::Attached { link: at, .. } if *at == link),
            "an honest host's place was not taken: {:?}",
            self.member.place()
        );
        assert_eq!(self.log().head(), self.chair.head());
        // And the room's clock goes on there.
        self.wait(SEEK_LIMIT);
        assert!(!self.has_left());
    }
}

fn config(seed: u8) -> Config {
    Config {
        key: Arc::new(key(seed)),
        peer: peer(seed),
        nick: "me".into(),
        addresses: Vec::new(),
        alias: Alias(u16::from(seed)),
        max_children: MAX_CHILDREN,
    }
}
