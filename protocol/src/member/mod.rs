//! One member of one room: the machine that decides everything this node does there.
//!
//! It composes greeting, log, place in the tree, stage and requests. **Drive it so:**
//!
//! 1. hand it each [`Input`] with the time, as it happens: [`Member::handle`];
//! 2. drain [`Member::poll_output`] until it is `None`, and do what each [`Output`] says *in order*: an entry is stored
//!    before anything that follows it is sent;
//! 3. sleep until [`Member::poll_timeout`], or until the next input; then hand it [`Input::Timeout`] or that input.
//!
//! Time is a duration since any start that never goes back. The same machine runs in a node, in tests and in the
//! simulated world. Sound does not pass through it: it tells the media plane who may send what on which link
//! ([`Output::Route`]), and the verdicts on packets are [`crate::media`]'s.

use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet, VecDeque},
    string::{String, ToString},
    sync::Arc,
    vec::Vec,
};
use core::time::Duration;

use crate::{
    identity::{Certificate, Profile},
    link::Address,
    log::{ActionId, Log, NewestBeacon, Planned, Role, RoomClock},
    neighbour::Neighbour,
    person::{Peer, Person, PersonKey},
    reason::Reason,
    room::{Genesis, RoomId},
    signed::{Malformed, Signed, Verified},
    text::Text,
    tree::{self, Errand, Place, Tree},
    wire::message::{Alias, Candidate, Message, Refusal},
};

mod appeals;
mod audience;
mod behind;
mod branching;
mod budget;
mod chair;
mod chat;
mod command;
mod entries;
mod greeting;
mod io;
mod losses;
mod mics;
mod moderating;
mod passes;
mod place;
mod reactions;
mod record;
mod refusals;
mod relaying;
mod shares;
mod stage;
mod succession;
#[cfg(test)]
mod tests;
mod turns;
mod wanted;
mod withheld;

use budget::Conduct;
pub use command::{Command, CommandId};
pub use io::{Event, Input, Left, OnStage, Output, Route, Side, Wake};
pub use place::CHAIR_LIMIT;
pub use succession::{CHAIR_SILENCE, NEXT_IN_LINE, STEADY_FOR};

/// How long an opened substream may stay without its `hello` or `welcome`. A peer that opens streams and says nothing
/// holds one of a member's few links for this long.
pub const GREETING_TIMEOUT: Duration = Duration::from_secs(5);

pub use crate::tree::SEEK_LIMIT;

/// Links beyond those of children and standbys: its own ways up, and newcomers who say hello, ask, and are sent elsewhere
/// within a few hundred milliseconds. With fewer a crowd of a thousand a second is turned away at the door and comes back
/// for half a minute; each costs a few kilobytes while it lasts.
const SPARE_LINKS: usize = 256;

/// How late its driver must come for a member to have been asleep: a lid was closed, or the process stopped. A machine
/// that is only busy comes within this, and others have given up on our links soon after it.
const ASLEEP: Duration = Duration::from_secs(2);

/// What a member is made of.
#[derive(Debug, Clone)]
pub struct Config {
    /// The person that takes part.
    pub key: Arc<PersonKey>,
    /// The peer it takes part through.
    pub peer: Peer,
    /// What the person is called; cleaned.
    pub nick: String,
    /// Where this peer can be reached, at most eight.
    pub addresses: Vec<Address>,
    /// What datagrams to this member begin with.
    pub alias: Alias,
    /// Most children; 0 for a leaf.
    pub max_children: usize,
}

impl Config {
    fn candidate(&self) -> Candidate {
        Candidate {
            peer: self.peer,
            addresses: self.addresses.clone(),
        }
    }
}

/// One member of one room.
#[derive(Debug)]
pub struct Member {
    config: Config,
    room: RoomId,
    certificate: Signed<Certificate>,
    profile: Verified<Profile>,
    /// `None` until a first `welcome` has brought the genesis.
    log: Option<Log>,
    clock: RoomClock,
    beacon: NewestBeacon,
    links: BTreeMap<Neighbour, greeting::Link>,
    /// What each peer may make us do, over all its links.
    conduct: Conduct,
    /// When the chair was last heard.
    chair_heard: Duration,
    withheld: withheld::Withheld,
    behind: behind::Behind,
    tree: Tree,
    /// What the line carries up, in bits a second, where that is known.
    uplink: Option<u64>,
    refusers: BTreeSet<Peer>,
    relayed: relaying::Relayed,
    chairing: chair::Chairing,
    succession: succession::Succession,
    branches: branching::Branches,
    /// Where the entry that is being applied came from.
    bringing: Option<entries::Bringing>,
    stage_life: stage::StageLife,
    chat: chat::ChatLife,
    mics: mics::Mics,
    reactions: reactions::ReactionLife,
    losing: losses::LossLife,
    asking: audience::Asking,
    appeals: appeals::Appeals,
    passes: passes::Passes,
    requests: BTreeMap<ActionId, command::Pending>,
    profiles: BTreeMap<Person, Verified<Profile>>,
    listeners: u32,
    last_epoch: u32,
    joined: bool,
    left: bool,
    outputs: VecDeque<Output>,
}

impl Member {
    /// The host of a new room: chair and root.
    ///
    /// # Errors
    /// [`Malformed`] when the nickname is too long or the genesis is another person's.
    pub fn host(config: Config, genesis: Verified<Genesis>, now: Duration) -> Result<Self, Malformed> {
        if genesis.host != config.key.person() {
            return Err(Malformed::Invalid { what: "the host" });
        }
        let tree = Tree::root(config.candidate(), config.max_children, now);
        let mut member = Self::new(config, RoomId::of(&genesis), tree, now)?;
        member.start_log(genesis, now);
        member.start_chairing(now);
        member.announce_joined(true, now);
        Ok(member)
    }

    /// A member that is about to join a room, which it knows by its id alone, or by the log of an earlier stay.
    ///
    /// # Errors
    /// [`Malformed`] when the nickname is too long or the log is another room's.
    pub fn join(config: Config, room: RoomId, log: Option<Log>, now: Duration) -> Result<Self, Malformed> {
        let tree = Tree::seeker(config.candidate(), config.max_children, now);
        let mut member = Self::new(config, room, tree, now)?;
        if let Some(log) = log {
            if log.room() != room {
                return Err(Malformed::Invalid { what: "the log" });
            }
            member.resume_log(log, now);
        }
        member.follow_tree(now);
        Ok(member)
    }

    /// The host of a room who opens it again, with the log of before. If members of it are still there, it joins them,
    /// and takes the chair once it has been there for a while; else it is alone, and takes it at once. So it is in a room
    /// that was announced ahead and opens now.
    ///
    /// # Errors
    /// [`Malformed`] when the nickname is too long or the room is another person's.
    pub fn reopen(config: Config, log: Log, now: Duration) -> Result<Self, Malformed> {
        if log.genesis().host != config.key.person() {
            return Err(Malformed::Invalid { what: "the host" });
        }
        let room = log.room();
        if log.state().planned().is_some_and(Planned::is_pending) {
            // Nobody can be there before it opens.
            let tree = Tree::root(config.candidate(), config.max_children, now);
            let mut member = Self::new(config, room, tree, now)?;
            member.resume_log(log, now);
            member.announce_joined(true, now);
            member.take_the_chair(now);
            return Ok(member);
        }
        let mut member = Self::join(config, room, Some(log), now)?;
        member.succession.reopen(now);
        Ok(member)
    }

    fn new(config: Config, room: RoomId, tree: Tree, now: Duration) -> Result<Self, Malformed> {
        let person = config.key.person();
        let certificate = Verified::sign(Certificate::new(person, config.peer, room), &config.key)?;
        let profile = Verified::sign(Profile::new(person, &config.nick, 0), &config.key)?;
        Ok(Self {
            certificate: certificate.signed().clone(),
            profile,
            log: None,
            clock: RoomClock::new(0, now),
            beacon: NewestBeacon::default(),
            links: BTreeMap::new(),
            conduct: Conduct::default(),
            chair_heard: now,
            withheld: withheld::Withheld::default(),
            behind: behind::Behind::default(),
            tree,
            uplink: None,
            refusers: BTreeSet::new(),
            relayed: relaying::Relayed::new(now),
            chairing: chair::Chairing::default(),
            succession: succession::Succession::new(now),
            branches: branching::Branches::default(),
            bringing: None,
            stage_life: stage::StageLife::new(now),
            chat: chat::ChatLife::new(now),
            mics: mics::Mics::new(now),
            reactions: reactions::ReactionLife::new(now),
            losing: losses::LossLife::default(),
            asking: audience::Asking::new(now),
            appeals: appeals::Appeals::new(now),
            passes: passes::Passes::default(),
            requests: BTreeMap::new(),
            profiles: BTreeMap::new(),
            listeners: 0,
            last_epoch: 0,
            joined: false,
            left: false,
            outputs: VecDeque::new(),
            config,
            room,
        })
    }

    /// The room.
    #[must_use]
    pub fn room(&self) -> RoomId {
        self.room
    }

    /// The room's log, once this member has its genesis.
    #[must_use]
    pub fn log(&self) -> Option<&Log> {
        self.log.as_ref()
    }

    /// This member's place in the tree.
    #[must_use]
    pub fn place(&self) -> &Place {
        self.tree.place()
    }

    /// This member's part of the relay tree, to look at.
    #[must_use]
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The peer that sound comes from.
    #[must_use]
    pub fn parent(&self) -> Option<Peer> {
        self.place().parent().and_then(|link| self.tree.peer(link))
    }

    /// The peer that steps in when the parent is gone.
    #[must_use]
    pub fn standby(&self) -> Option<Peer> {
        self.tree.standby().and_then(|link| self.tree.peer(link))
    }

    /// How many take sound from here.
    #[must_use]
    pub fn children(&self) -> usize {
        self.tree.children().count()
    }

    /// The estimate of how many listen in the whole room.
    #[must_use]
    pub fn listeners(&self) -> u32 {
        self.listeners
    }

    /// The room clock in milliseconds, as this member estimates it.
    #[must_use]
    pub fn clock_ms(&mut self, now: Duration) -> u64 {
        self.clock.now_ms(now)
    }

    /// This member's own role.
    #[must_use]
    pub fn role(&self) -> Role {
        let me = self.config.key.person();
        self.log
            .as_ref()
            .map_or(Role::Listener, |log| log.state().role(me))
    }

    /// What people on the stage, and this person, are called.
    #[must_use]
    pub fn profile(&self, person: Person) -> Option<&Verified<Profile>> {
        if person == self.profile.person {
            Some(&self.profile)
        } else {
            self.profiles.get(&person)
        }
    }

    /// Who is at the other end of our links to a peer, as they introduced themselves.
    #[must_use]
    pub fn profile_at(&self, peer: Peer) -> Option<&Verified<Profile>> {
        let mut links = self.links.values().filter(|link| link.peer() == peer);
        links.find_map(greeting::Link::profile)
    }

    /// Who is at the other ends, as they introduced themselves.
    pub fn people(&self) -> impl Iterator<Item = &Verified<Profile>> + '_ {
        self.links.values().filter_map(greeting::Link::profile)
    }

    /// Whether it is over: [`Event::Left`] was put out, and nothing will follow.
    #[must_use]
    pub fn has_left(&self) -> bool {
        self.left
    }

    /// Tells what this machine's line carries up, in bits a second: there are no more places for children than it
    /// carries at the room's bitrate, as soon as that is known.
    pub fn set_uplink(&mut self, uplink: u64, now: Duration) {
        self.uplink = Some(uplink);
        self.limit_places(now);
    }

    /// Takes in what happened.
    pub fn handle(&mut self, input: Input, now: Duration) {
        if self.left {
            return;
        }
        match input {
            Input::LinkUp { link, peer, side } => self.handle_link_up(link, peer, side, now),
            Input::LinkDown { link } => self.forget_link(link, now),
            Input::Message { link, message } => self.handle_message(link, message, now),
            Input::Skipped { link } => drop(self.charge(link, budget::PLAIN, now)),
            Input::Malformed { link, error } => self.cut(link, error.reason(), &error.to_string(), now),
            Input::Forger { link } => self.cut(link, Reason::Malformed, "forged media packets", now),
            Input::SoundAhead => self.handle_sound_ahead(now),
            Input::NobodyFound {
                errand: Errand::Place,
            }
            | Input::NobodyLeft
                if self.is_reopening() =>
            {
                self.handle_nobody_there(now);
            }
            Input::NobodyFound { errand } => self.tree.handle_nobody_found(errand, now),
            Input::NobodyLeft => self.handle_nobody_left(now),
            Input::Parting { link, complaint } => self.tree.handle_complaint(link, complaint, now),
            Input::Strained => self.tree.handle_strain(now),
            Input::StandbySilent { link } => self.tree.handle_standby_silent(link, now),
            Input::Command { id, command } => self.handle_command(id, command, now),
            Input::Audience { id, page } => self.handle_audience_command(id, page, now),
            Input::Microphone { on } => self.handle_microphone(on, now),
            Input::Hearing(grade) => self.handle_hearing(grade, now),
            Input::Addresses(addresses) => {
                self.config.addresses = addresses;
                self.tree.set_addresses(self.config.candidate(), now);
            }
            Input::Leave => self.handle_leaving(now),
            Input::Timeout => self.handle_timeout(now),
        }
        self.follow_tree(now);
    }

    /// The next thing to do; `None` when all is done.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to hand in [`Input::Timeout`], and why.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Duration, Wake)> {
        if self.left {
            return None;
        }
        let greeting = self.links.values().filter_map(greeting::Link::deadline).min();
        let command = self.requests.values().map(command::Pending::deadline).min();
        [
            greeting.map(|at| (at, Wake::Greeting)),
            self.tree.poll_timeout().map(|at| (at, Wake::Tree)),
            self.chairing.due().map(|at| (at, Wake::Beacon)),
            command.map(|at| (at, Wake::Command)),
            self.chairless_due().map(|at| (at, Wake::Chair)),
            self.withheld.due().map(|at| (at, Wake::Log)),
            self.behind.due().map(|at| (at, Wake::Behind)),
            self.succession_due().map(|at| (at, Wake::Succession)),
            self.branches.due().map(|at| (at, Wake::Succession)),
            self.look_due().map(|at| (at, Wake::Succession)),
            self.stage_due().map(|at| (at, Wake::Stage)),
            self.passes_due().map(|at| (at, Wake::Stage)),
            self.mics.due().map(|at| (at, Wake::Stage)),
            self.reactions.due().map(|at| (at, Wake::Stage)),
            self.losing.due().map(|at| (at, Wake::Tree)),
            self.asking.due().map(|at| (at, Wake::Command)),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn handle_message(&mut self, link: Neighbour, message: Message, now: Duration) {
        let Some(from) = self.links.get(&link) else {
            return;
        };
        let is_open = from.is_open();
        if !self.charge(link, self.cost(link, from, &message), now) {
            return;
        }
        let greets = matches!(
            message,
            Message::Hello(_) | Message::Welcome(_) | Message::Refuse(_) | Message::Leave
        );
        if !greets && !is_open {
            return self.cut(link, Reason::NotInTheRoom, "say hello first", now);
        }
        match message {
            Message::Hello(hello) => self.handle_hello(link, hello, now),
            Message::Welcome(welcome) => self.handle_welcome(link, welcome, now),
            Message::Refuse(refusal) => self.handle_refuse(link, refusal, now),
            Message::Leave => self.handle_leave(link, now),
            Message::EntriesWanted { after } => self.handle_entries_wanted(link, after, now),
            Message::Entries(entries) => self.handle_entries(link, entries, now),
            Message::Beacon(beacon) => self.handle_beacon(link, beacon, now),
            Message::Tick(tick) => self.handle_tick(link, tick, now),
            Message::Request(action) => self.handle_request(link, action, now),
            Message::Verdict(verdict) => self.handle_verdict(link, verdict),
            Message::Attach(attach) => self.handle_attach(link, attach, now),
            Message::Attached(attached) => self.tree.handle_attached(link, attached, now),
            Message::Redirect(redirect) => self.tree.handle_redirect(link, redirect, now),
            Message::AttachRefused(refusal) => self.tree.handle_attach_refused(link, refusal, now),
            Message::Position(position) => self.tree.handle_position(link, position, now),
            Message::Report(report) => self.tree.handle_report(link, report, now),
            Message::Profiles(profiles) => self.handle_profiles(link, profiles),
            Message::Census { listeners } => self.handle_census(link, listeners),
            Message::Note(note) => self.handle_note(link, note, now),
            Message::Hands(list) => self.handle_hand_list(link, list, now),
            Message::PassWanted(people) => self.handle_pass_wanted(link, people, now),
            Message::Passes(passes) => self.handle_passes(link, passes, now),
            Message::Reactions(sum) => self.handle_reactions(link, &sum, now),
            Message::Losses(losses) => self.handle_losses(link, losses, now),
            Message::AudienceWanted(wanted) => self.handle_audience_wanted(link, wanted, now),
            Message::Audience(audience) => self.handle_audience(link, audience, now),
        }
    }

    fn handle_timeout(&mut self, now: Duration) {
        if let Some((due, _)) = self.poll_timeout().filter(|(due, _)| *due + ASLEEP <= now) {
            self.wake_from_sleep(now - due, now);
        }
        let late: Vec<Neighbour> = self
            .links
            .iter()
            .filter(|(_, link)| link.deadline().is_some_and(|at| at <= now))
            .map(|(n, _)| *n)
            .collect();
        for link in late {
            self.cut_late(link, now);
        }
        self.tree.handle_timeout(now);
        self.expire_commands(now);
        self.leave_who_withholds(now);
        self.verify_if_due(now);
        self.succeed_if_due(now);
        self.tell_lost(now);
        self.look_if_due(now);
        if self.left {
            return;
        }
        self.stage_if_due(now);
        self.passes_if_due(now);
        self.mics_if_due(now);
        self.reactions_if_due(now);
        self.losses_if_due(now);
        self.forget_late_audience(now);
        self.end_turns(now);
        self.beacon_if_due(now);
        self.leave_if_chairless(now);
    }

    /// Nothing was heard while this member slept, and that is nobody's fault: whoever was silent has as long again.
    fn wake_from_sleep(&mut self, slept: Duration, now: Duration) {
        self.chair_heard = (self.chair_heard + slept).min(now);
        self.withheld.forgive(slept);
        self.succession.note_slept();
        self.tree.wake_from_sleep(slept);
    }

    /// Takes what a message costs from the budget of the peer that sent it. `false` when there was too little left,
    /// and the link was cut.
    fn charge(&mut self, link: Neighbour, tokens: u32, now: Duration) -> bool {
        let Some(peer) = self.links.get(&link).map(greeting::Link::peer) else {
            return false;
        };
        let may = self.conduct.of(peer, now).take(tokens, now);
        if !may {
            self.cut(link, Reason::TooMany, "slow down", now);
        }
        may
    }

    /// The person leaves: the chair says so to all, and stays until another one has taken it; and a relay serves its
    /// children until they have moved.
    fn handle_leaving(&mut self, now: Duration) {
        self.lower_own_hand(now);
        if self.hand_over(now) {
            return;
        }
        if !self.tree.leave(now) {
            self.leave(Left::Interrupted);
        }
    }

    /// Leaves: tells every neighbour, and puts out the last event.
    fn leave(&mut self, why: Left) {
        let links: Vec<Neighbour> = self.links.keys().copied().collect();
        for link in links {
            if self.links.get(&link).is_some_and(greeting::Link::is_open) {
                self.send(link, Message::Leave);
            }
            self.outputs.push_back(Output::Close(link));
        }
        self.links.clear();
        if self.joined {
            self.outputs.push_back(Output::Stage(None));
        }
        self.fail_commands();
        self.left = true;
        self.event(Event::Left(why));
    }

    /// Says why, and closes a link whose other end broke the rules.
    fn cut(&mut self, link: Neighbour, reason: Reason, text: &str, now: Duration) {
        let Some(peer) = self.links.get(&link).map(greeting::Link::peer) else {
            return;
        };
        self.note_refusal(link, reason, now);
        self.refuse(link, reason, text, now);
        self.event(Event::Misbehaved { peer, reason });
    }

    /// Says why, and closes a link.
    fn refuse(&mut self, link: Neighbour, reason: Reason, text: &str, now: Duration) {
        self.send(link, Message::Refuse(refusal(reason, text)));
        self.close(link, now);
    }

    fn close(&mut self, link: Neighbour, now: Duration) {
        self.outputs.push_back(Output::Close(link));
        self.forget_link(link, now);
    }

    fn send(&mut self, to: Neighbour, message: Message) {
        self.outputs.push_back(Output::Send {
            to,
            message: Box::new(message),
        });
    }

    fn send_to_children(&mut self, message: &Message) {
        let sends = self.tree.children().map(|to| Output::Send {
            to,
            message: Box::new(message.clone()),
        });
        self.outputs.extend(sends);
    }

    /// Sends what the chair has said to those on the tree who do not have it from where it came: `None` says that it is
    /// this member's own. It goes down; and up where it came from below, since the chair need not be the root.
    fn pass_on(&mut self, message: &Message, from: Option<Neighbour>) {
        for to in self.onward(from) {
            self.send(to, message.clone());
        }
    }

    /// Whom what the chair has said is passed on to.
    fn onward(&self, from: Option<Neighbour>) -> Vec<Neighbour> {
        let children: Vec<Neighbour> = self.tree.children().collect();
        let parent = self.place().parent();
        let is_from_below = from.is_none_or(|from| children.contains(&from));
        let up = parent.filter(|_| is_from_below);
        let all = children.into_iter().chain(up);
        all.filter(|to| Some(*to) != from).collect()
    }

    fn route(&mut self, route: Route) {
        self.outputs.push_back(Output::Route(route));
    }

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    /// Lowers the places for children to what the uplink carries.
    fn limit_places(&mut self, now: Duration) {
        let bitrate = self.log.as_ref().map(|log| log.genesis().audio.bitrate);
        if let (Some(uplink), Some(bitrate)) = (self.uplink, bitrate) {
            self.tree.limit_capacity(tree::places(uplink, bitrate), now);
        }
    }

    fn max_links(&self) -> usize {
        // A child, its emergency, and its share of standbys.
        self.config
            .max_children
            .saturating_mul(6)
            .saturating_add(SPARE_LINKS)
    }
}

/// A refusal whose text fits its limit.
fn refusal(reason: Reason, text: &str) -> Refusal {
    let mut text = text;
    while text.len() > crate::limits::REASON {
        text = text.char_indices().next_back().map_or("", |(at, _)| &text[..at]);
    }
    Refusal {
        reason,
        text: Text::clean(text),
    }
}
