//! One member as its node drives it: what the machines ask for is done, and what happens is handed to them.
//!
//! This does what `src/room/actor` does in a real node, and no more: no decision about the room is taken here.

use alloc::{boxed::Box, format, sync::Arc, vec::Vec};
use core::time::Duration;

use bytes::Bytes;

use super::{
    calendar::{Event, What},
    ear::{Ear, Heard},
    mark::Mark,
    search::{self, Searches},
    shard::{Desk, IDLE, nanos},
    sound::Sound,
    space,
    talk::{Speaking, Talk},
    tally::{News, Note},
    villain::{Act, Villain},
    wire::{Sent, Wire},
};
use crate::{
    member::{Command, CommandId, Config, Event as Told, Input, Left, Member, Output, Route, Side},
    neighbour::Neighbour,
    person::PersonKey,
    sim::How,
    tree::Errand,
    wire::{
        frame::FrameReader,
        message::{Alias, Message},
    },
};

/// A place for one member of the world: before it comes, while it is there, and after.
#[derive(Debug, Default)]
pub(super) struct Node {
    life: Option<Box<Life>>,
    /// When it is woken next.
    wake: Option<u64>,
    pub(super) record: Record,
}

/// What is kept of a member for the report.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::sim) struct Record {
    /// When it came.
    pub(in crate::sim) came: Option<u64>,
    /// When it first had a place.
    pub(in crate::sim) joined: Option<u64>,
    /// Whether it ended by itself: it found no way in, or back.
    pub(in crate::sim) gave_up: bool,
    /// Whether, once the warm-up is over, it had a villain for its parent and nobody honest for its standby.
    pub(in crate::sim) cornered: bool,
    /// Parents after the first, once the warm-up is over.
    pub(in crate::sim) moves: u32,
    /// What it heard, once it has ended.
    pub(in crate::sim) heard: Option<Heard>,
}

/// A member that is there.
#[derive(Debug)]
struct Life {
    member: Member,
    sound: Sound,
    wire: Wire,
    searches: Searches,
    key: Arc<PersonKey>,
    talk: Option<Talk>,
    /// Whether it talks when it has the stage.
    speaks: bool,
    /// `None` for those on the stage and for villains, who are no audience.
    ear: Option<Ear>,
    villain: Option<Box<Villain>>,
    /// The newest entry that the member has applied.
    head: u32,
    dues: Dues,
    commands: u64,
    record: Record,
    /// Whether the driver ends it.
    is_leaving: bool,
}

/// Deadlines, each looked up only when it may have moved: a packet touches none of these.
#[derive(Debug)]
struct Dues {
    member: u64,
    talk: u64,
    search: u64,
    rename: u64,
}

impl Default for Dues {
    fn default() -> Self {
        Self {
            member: u64::MAX,
            talk: u64::MAX,
            search: u64::MAX,
            rename: u64::MAX,
        }
    }
}

impl Node {
    /// The member comes.
    pub(super) fn come(&mut self, desk: &mut Desk<'_>) {
        let mut life = Box::new(Life::new(desk));
        life.perform(desk);
        self.record = life.record;
        self.life = Some(life);
        self.after(desk);
    }

    /// The member ends, because the scenario says so.
    pub(super) fn end(&mut self, how: How, desk: &mut Desk<'_>) {
        let Some(life) = &mut self.life else { return };
        life.is_leaving = true;
        match how {
            How::Leave => life.input(Input::Leave, desk),
            How::Crash => life.wire.crash(desk),
        }
        self.bury(false, desk);
    }

    /// The person there wants something.
    pub(super) fn command(&mut self, command: Command, desk: &mut Desk<'_>) {
        if let Some(life) = &mut self.life {
            life.command(command, desk);
            life.perform(desk);
        }
        self.after(desk);
    }

    /// A partition has begun that outlasts connections: those across it die.
    pub(super) fn lose_links_across(&mut self, partition: usize, desk: &mut Desk<'_>) {
        let Some(life) = &self.life else { return };
        for end in life.wire.links() {
            if desk.shared.are_apart(partition, desk.me, end.peer) {
                desk.post(desk.me, desk.now + IDLE, end.number, What::Down);
            }
        }
    }

    /// The next deadline.
    pub(super) fn due(&self) -> u64 {
        self.life.as_ref().map_or(u64::MAX, |life| life.due())
    }

    /// Something happens.
    pub(super) fn handle(&mut self, event: Event, desk: &mut Desk<'_>) {
        let Event {
            at, from, link, what, ..
        } = event;
        if let What::Wake = what {
            // One that was put off has a later one behind it.
            self.wake = self.wake.filter(|wake| *wake != at);
            return;
        }
        let Some(life) = &mut self.life else {
            if let What::Open { number } = what {
                // Nobody is there any more: the other end's connection dies of idleness.
                desk.post(from, desk.now + IDLE, number, What::Down);
            }
            return;
        };
        match what {
            What::Wake => {}
            What::Item(item, mark) => life.handle_item(link, (item, mark), desk),
            What::Frame(frame) => life.handle_frame(link, &frame, desk),
            What::Down => life.handle_down(link, desk),
            What::Knock { search } => life.handle_knock(from, search, desk),
            What::Answer { search, number } => life.handle_answer(from, search, number, desk),
            What::Open { number } => life.link_up(link, (from, number), Side::Receiver, desk),
        }
        self.after(desk);
    }

    /// A deadline has come.
    pub(super) fn handle_timeout(&mut self, desk: &mut Desk<'_>) {
        let Some(life) = &mut self.life else { return };
        life.handle_timeout(desk);
        match life.villainy(desk) {
            Some(Act::ComeAnew) => self.come_anew(desk),
            _ => self.after(desk),
        }
    }

    /// The member vanishes without a word and is back at once.
    fn come_anew(&mut self, desk: &mut Desk<'_>) {
        let Some(mut before) = self.life.take() else {
            return;
        };
        before.wire.crash(desk);
        let mut life = Box::new(Life::new(desk));
        life.wire = before.wire.after();
        life.searches = before.searches.after();
        life.record = before.record;
        life.perform(desk);
        self.life = Some(life);
        self.after(desk);
    }

    /// Sees to it that the member is looked at when its deadline comes.
    pub(super) fn arm(&mut self, desk: &mut Desk<'_>) {
        let due = self.due();
        if due < u64::MAX && self.wake.is_none_or(|wake| due < wake) {
            self.wake = Some(due);
            desk.post(desk.me, due, 0, What::Wake);
        }
    }

    /// The member, while it is there.
    pub(super) fn member(&self) -> Option<&Member> {
        self.life.as_ref().map(|life| &life.member)
    }

    /// Notes whether the member has anybody honest to turn to.
    pub(super) fn look_around(&mut self, desk: &Desk<'_>) {
        if let Some(life) = &mut self.life {
            life.look_around(desk);
        }
    }

    /// The record as it is at the end of the world.
    pub(super) fn final_record(&self, desk: &mut Desk<'_>) -> Record {
        match &self.life {
            None => self.record,
            Some(life) => Record {
                heard: life.hears_until(u64::MAX, desk),
                ..life.record
            },
        }
    }

    fn after(&mut self, desk: &mut Desk<'_>) {
        if self.life.as_ref().is_some_and(|life| life.member.has_left()) {
            self.bury(true, desk);
        }
    }

    fn bury(&mut self, by_itself: bool, desk: &mut Desk<'_>) {
        let Some(life) = self.life.take() else { return };
        // Who gives up misses what is said from then on.
        let until = if by_itself { u64::MAX } else { desk.now };
        self.record = Record {
            gave_up: by_itself,
            heard: life.hears_until(until, desk),
            ..life.record
        };
        desk.tally.notes.push(Note {
            at: desk.now,
            who: desk.me,
            what: News::Ended,
        });
    }
}

impl Life {
    fn new(desk: &mut Desk<'_>) -> Self {
        let (shared, number) = (desk.shared, desk.me);
        let (scenario, body) = (shared.scenario(), shared.body(number));
        let key = space::key(scenario.seed, number);
        let config = Config {
            key: Arc::clone(&key),
            peer: space::peer(scenario.seed, number),
            nick: format!("guest {number}"),
            addresses: body.addresses(number),
            alias: Alias(1),
            max_children: body.max_children(scenario, number),
        };
        let member = if number == 0 {
            Member::host(config, shared.genesis().clone(), desk.time())
        } else {
            Member::join(config, shared.room(), None, desk.time())
        };
        Self {
            member: member.expect("a short nickname and the host's own genesis make a member"),
            sound: Sound::new(shared.room()),
            wire: Wire::new(body.bits),
            searches: Searches::default(),
            key,
            talk: None,
            speaks: number != 0 || scenario.stage.host_speaks && scenario.stage.speakers > 0,
            ear: None,
            villain: space::deed(scenario, number).map(|deed| Box::new(Villain::new(deed))),
            head: 0,
            dues: Dues {
                rename: if number == 0 && !scenario.stage.renames.is_zero() {
                    desk.now + nanos(scenario.stage.renames)
                } else {
                    u64::MAX
                },
                ..Dues::default()
            },
            commands: 0,
            record: Record {
                came: Some(desk.now),
                ..Record::default()
            },
            is_leaving: false,
        }
    }

    fn due(&self) -> u64 {
        let Dues {
            member,
            talk,
            search,
            rename,
        } = self.dues;
        let sound = self.sound.due().map_or(u64::MAX, nanos);
        let villain = self.villain.as_ref().map_or(u64::MAX, |villain| villain.due());
        member.min(talk).min(search).min(rename).min(sound).min(villain)
    }

    fn hears_until(&self, until: u64, desk: &mut Desk<'_>) -> Option<Heard> {
        let ear = self.ear.as_ref()?;
        ear.finish(until, desk.shared.count_until(), desk.tally)
    }

    fn handle_item(&mut self, link: u32, item: (Bytes, Mark), desk: &mut Desk<'_>) {
        // On a link that is closed the media machine takes nothing.
        self.sound.handle_item(link, item, desk.time(), desk.wishes);
        self.grant_wishes(desk);
    }

    fn handle_frame(&mut self, link: u32, frame: &[u8], desk: &mut Desk<'_>) {
        if !self.wire.has(link) {
            return;
        }
        desk.reader.push(frame);
        let read = desk.reader.next_frame();
        if read.is_err() {
            *desk.reader = FrameReader::default();
        }
        let link = Neighbour(link.into());
        let input = match read.map(|frame| frame.map(|frame| Message::decode(&frame))) {
            Ok(Some(Ok(Some(message)))) => Input::Message { link, message },
            Ok(Some(Ok(None))) => Input::Skipped { link },
            Ok(Some(Err(error))) | Err(error) => Input::Malformed { link, error },
            Ok(None) => return,
        };
        self.input(input, desk);
    }

    fn handle_down(&mut self, link: u32, desk: &mut Desk<'_>) {
        if self.wire.forget(link) {
            let link = Neighbour(link.into());
            self.input(Input::LinkDown { link }, desk);
        }
    }

    fn handle_knock(&mut self, from: u32, search: u32, desk: &mut Desk<'_>) {
        if !desk.shared.body(desk.me).reachable || desk.shared.parted(desk.me, from, desk.now).is_some() {
            return;
        }
        let number = self.wire.number();
        let at = desk.now + desk.shared.delay(desk.me, from) + search::first_packet_lost(desk);
        desk.post(from, at, 0, What::Answer { search, number });
    }

    /// Who dialled has a connection after one round trip; the other end hears of the substream half a one later.
    fn handle_answer(&mut self, from: u32, search: u32, remote: u32, desk: &mut Desk<'_>) {
        if self.searches.handle_answer(search, from) {
            let number = self.wire.number();
            self.link_up(number, (from, remote), Side::Opener, desk);
        }
    }

    fn link_up(&mut self, number: u32, (peer, remote): (u32, u32), side: Side, desk: &mut Desk<'_>) {
        self.wire.open(number, peer, remote, desk);
        if side == Side::Opener {
            self.wire.send_open(number, desk);
        }
        let (link, peer) = (
            Neighbour(number.into()),
            space::peer(desk.shared.scenario().seed, peer),
        );
        self.input(Input::LinkUp { link, peer, side }, desk);
    }

    fn handle_timeout(&mut self, desk: &mut Desk<'_>) {
        let now = desk.time();
        if self.sound.due().is_some_and(|due| due <= now) {
            self.sound.handle_timeout(now, desk.wishes);
            self.grant_wishes(desk);
        }
        if self.dues.talk <= desk.now {
            self.speak(desk);
        }
        if self.dues.rename <= desk.now {
            self.dues.rename = desk.now + nanos(desk.shared.scenario().stage.renames);
            self.command(Command::Title(format!("Minute by minute, {}", desk.now)), desk);
            self.perform(desk);
        }
        if self.dues.search <= desk.now {
            let failed = self.searches.handle_timeout(desk);
            self.dues.search = self.searches.due().unwrap_or(u64::MAX);
            for errand in failed {
                self.input(Input::NobodyFound { errand }, desk);
            }
        }
        if self.dues.member <= desk.now {
            self.input(Input::Timeout, desk);
        }
    }

    /// Does what a villain does of itself; what only the node can do is returned.
    fn villainy(&mut self, desk: &mut Desk<'_>) -> Option<Act> {
        let villain = self
            .villain
            .as_mut()
            .filter(|villain| villain.due() <= desk.now)?;
        let act = villain.act(desk)?;
        let parent = self.member.place().parent();
        match act {
            Act::Pull(pull) => {
                let links = parent.into_iter().chain(self.member.tree().standby());
                let mut items: Vec<Sent> = links
                    .map(|link| Sent {
                        to: super::wire_number(link),
                        item: pull.clone(),
                        mark: Mark::default(),
                    })
                    .collect();
                self.wire.send_items(&mut items, desk);
                None
            }
            Act::Hear(message) => {
                if let Some(link) = parent {
                    let message = *message;
                    self.input(Input::Message { link, message }, desk);
                }
                None
            }
            Act::ComeAnew => Some(Act::ComeAnew),
        }
    }

    fn speak(&mut self, desk: &mut Desk<'_>) {
        let Some(talk) = &mut self.talk else { return };
        let mut context = Speaking {
            room: desk.shared.room(),
            key: &self.key,
            stage: &desk.shared.scenario().stage,
            draws: desk.draws,
        };
        let (own, first) = talk.speak(self.head, &mut context);
        self.dues.talk = talk.due(&desk.shared.scenario().stage);
        let frames = u64::from(own.packet().frame_count());
        desk.tally
            .spoken
            .extend((0..frames).map(|frame| first + frame * super::talk::FRAME));
        self.sound.send(own, desk.time(), desk.wishes);
        self.grant_wishes(desk);
    }

    fn command(&mut self, command: Command, desk: &mut Desk<'_>) {
        self.commands += 1;
        let id = CommandId(self.commands);
        self.member.handle(Input::Command { id, command }, desk.time());
    }

    fn input(&mut self, input: Input, desk: &mut Desk<'_>) {
        self.member.handle(input, desk.time());
        self.perform(desk);
    }

    /// Does what the member says until it says no more.
    fn perform(&mut self, desk: &mut Desk<'_>) {
        while let Some(output) = self.member.poll_output() {
            match output {
                Output::Store(_)
                | Output::StoreLater(_)
                | Output::StoreAnew(_)
                | Output::StorePass(_)
                | Output::Audience { .. } => {}
                Output::Send { to, message } => self.send(to, &message, desk),
                Output::Close(link) => self.wire.close(super::wire_number(link), desk),
                Output::Dial { errand, candidates } => {
                    let leads = candidates
                        .iter()
                        .filter(|candidate| !candidate.addresses.is_empty());
                    let leads: Vec<u32> = leads.map(|candidate| space::number(candidate.peer)).collect();
                    if self.searches.dial(errand, leads.into_iter(), desk) {
                        self.member.handle(Input::NobodyFound { errand }, desk.time());
                    }
                }
                Output::Seek => {
                    if self.searches.seek(desk) {
                        let errand = Errand::Place;
                        self.member.handle(Input::NobodyFound { errand }, desk.time());
                    }
                }
                Output::Route(route) => self.route(route, desk),
                Output::Stage(stay) => {
                    let stage = &desk.shared.scenario().stage;
                    let stay = stay.filter(|_| self.speaks);
                    self.talk = stay.map(|stay| Talk::new(stay, stage, desk.draws, desk.now));
                    self.dues.talk = self.talk.as_ref().map_or(u64::MAX, |talk| talk.due(stage));
                }
                Output::Done { result, .. } => desk.tally.refused += u64::from(result.is_err()),
                Output::Event(event) => self.note(&event, desk),
            }
        }
        self.dues.member = self.member.poll_timeout().map_or(u64::MAX, |(at, _)| nanos(at));
        self.dues.search = self.searches.due().unwrap_or(u64::MAX);
    }

    fn send(&mut self, to: Neighbour, message: &Message, desk: &mut Desk<'_>) {
        let spoiled = match &self.villain {
            Some(villain) => villain.spoil(message, desk),
            None => None,
        };
        let message = match (&self.villain, &spoiled) {
            (Some(_), None) => return,
            (_, Some(spoiled)) => spoiled,
            (None, None) => message,
        };
        let frame = message.encode().expect("a member's messages fit a frame");
        self.wire.send_frame(super::wire_number(to), frame, desk);
    }

    fn route(&mut self, route: Route, desk: &mut Desk<'_>) {
        if let Route::Head(sequence) = route {
            self.head = sequence;
        }
        if let Route::Parent(Some(link)) | Route::Standby(Some(link)) = route
            && let Some(delay) = self.wire.delay(super::wire_number(link))
        {
            self.sound.set_rtt(link, 2 * Duration::from_nanos(delay));
        }
        self.sound.handle_route(route, desk.time(), desk.wishes);
        self.look_around(desk);
        self.grant_wishes(desk);
    }

    fn look_around(&mut self, desk: &Desk<'_>) {
        let scenario = desk.shared.scenario();
        if scenario.villains.is_empty() || !desk.is_counted() {
            return;
        }
        let is_villain = |link| {
            let peer = self.wire.peer(super::wire_number(link));
            peer.is_some_and(|peer| space::deed(scenario, peer).is_some())
        };
        let parent = self.member.place().parent();
        let standby = self.member.tree().standby();
        self.record.cornered |= parent.is_some_and(is_villain) && standby.is_none_or(is_villain);
    }

    /// Does what the media machine says.
    fn grant_wishes(&mut self, desk: &mut Desk<'_>) {
        let mut wishes = core::mem::take(desk.wishes);
        if let Some(ear) = &mut self.ear
            && !wishes.heard.is_empty()
        {
            let delay = self.sound.delay();
            wishes.heard.iter().for_each(|heard| ear.hear(heard, delay, desk));
        }
        if let Some(villain) = &mut self.villain {
            wishes.heard.iter().for_each(|heard| villain.hear(&heard.packet));
            villain.spoil_items(&mut wishes.items);
        }
        wishes.heard.clear();
        self.wire.send_items(&mut wishes.items, desk);
        wishes.items.clear();
        let signals = core::mem::take(&mut wishes.signals);
        *desk.wishes = wishes;
        for signal in signals {
            self.input(signal, desk);
        }
    }

    fn note(&mut self, event: &Told, desk: &mut Desk<'_>) {
        match event {
            Told::Joined { .. } => {
                self.record.joined = Some(desk.now);
                if let Some(villain) = &mut self.villain {
                    villain.note_joined(desk.now);
                } else if desk.me >= desk.shared.scenario().on_stage() {
                    let warm_up = nanos(desk.shared.scenario().warm_up);
                    self.ear = Some(Ear::new(desk.now, warm_up));
                }
                desk.tally.notes.push(Note {
                    at: desk.now,
                    who: desk.me,
                    what: News::Joined,
                });
            }
            Told::Parent { peer: Some(_), .. } => self.record.moves += u32::from(desk.is_counted()),
            Told::Entry {
                action: "invite",
                subject,
                ..
            } if *subject == Some(self.key.person()) => self.command(Command::Accept, desk),
            Told::Misbehaved { peer, .. } if self.villain.is_none() => {
                let is_villain = space::deed(desk.shared.scenario(), space::number(*peer)).is_some();
                desk.tally.caught += u64::from(is_villain);
                desk.tally.misbehaved += u64::from(!is_villain);
            }
            Told::Left(Left::Interrupted) => debug_assert!(self.is_leaving, "nobody leaves unasked"),
            _ => {}
        }
    }
}
