//! Members in virtual time, joined by links that carry real frames.

mod appeals;
mod audience;
mod beacon;
mod behind;
mod chat;
mod door;
mod hands;
mod hostile;
mod losses;
mod mics;
mod moderation;
mod planned;
mod reactions;
mod stage;
mod succession;
mod tree;
mod withheld;

use alloc::{collections::BTreeSet, format, string::ToString, vec};

use super::*;
use crate::{
    log::{Act, Action, Head},
    tree::{Errand, Why},
    wire::{
        frame::FrameReader,
        message::{Attach, Entries, Hello, Outcome},
    },
};

const ROOM_NONCE: [u8; 16] = [7; 16];

/// Members by index, links by number, messages in flight in order.
struct World {
    now: Duration,
    members: Vec<Member>,
    /// The two ends of each link: member and neighbour number.
    links: BTreeMap<Neighbour, (usize, Neighbour)>,
    owners: BTreeMap<Neighbour, usize>,
    seen: Vec<(usize, Output)>,
    next: u64,
    /// Whether members reach whom they dial; else the test connects them.
    dials: bool,
    dialled: VecDeque<(usize, Errand, Vec<Peer>)>,
    dead: BTreeSet<usize>,
    /// Those whom the others cannot reach, nor they the others.
    apart: BTreeSet<usize>,
}

fn key(seed: u8) -> Arc<PersonKey> {
    Arc::new(PersonKey::from_seed(&[seed; 32]))
}

fn person(seed: u8) -> Person {
    key(seed).person()
}

fn config(seed: u8) -> Config {
    Config {
        key: key(seed),
        peer: Peer([seed; 32]),
        nick: format!("nick{seed}"),
        addresses: vec![
            format!("/ip4/127.0.0.1/udp/{seed}/quic-v1")
                .parse()
                .expect("an address"),
        ],
        alias: Alias(u16::from(seed)),
        max_children: 4,
    }
}

fn genesis() -> Verified<Genesis> {
    Genesis::new(person(1), "Poems", ROOM_NONCE)
        .sign(&key(1))
        .expect("valid")
}

impl World {
    /// A room whose host has seed 1 and index 0.
    fn hosted() -> Self {
        let mut world = Self {
            now: Duration::ZERO,
            members: vec![],
            links: BTreeMap::new(),
            owners: BTreeMap::new(),
            seen: vec![],
            next: 0,
            dials: false,
            dialled: VecDeque::new(),
            dead: BTreeSet::new(),
            apart: BTreeSet::new(),
        };
        world
            .members
            .push(Member::host(config(1), genesis(), Duration::ZERO).expect("a host"));
        world.run();
        world
    }

    /// Adds a member that wants to join; its index.
    fn newcomer(&mut self, seed: u8) -> usize {
        self.members
            .push(Member::join(config(seed), RoomId::of(&genesis()), None, self.now).expect("a member"));
        self.run();
        self.members.len() - 1
    }

    /// A member that has joined the host; its index and its link's number at the host.
    fn joined(&mut self, seed: u8) -> (usize, Neighbour) {
        let member = self.newcomer(seed);
        let (_, at_host) = self.connect(member, 0);
        (member, at_host)
    }

    /// Opens a link from one member to another; its number at each.
    fn connect(&mut self, from: usize, to: usize) -> (Neighbour, Neighbour) {
        let (a, b) = (Neighbour(self.next), Neighbour(self.next + 1));
        self.next += 2;
        self.links.insert(a, (to, b));
        self.links.insert(b, (from, a));
        self.owners.insert(a, from);
        self.owners.insert(b, to);
        let (from_peer, to_peer) = (self.members[from].config.peer, self.members[to].config.peer);
        self.members[to].handle(
            Input::LinkUp {
                link: b,
                peer: from_peer,
                side: Side::Receiver,
            },
            self.now,
        );
        self.members[from].handle(
            Input::LinkUp {
                link: a,
                peer: to_peer,
                side: Side::Opener,
            },
            self.now,
        );
        self.run();
        (a, b)
    }

    /// A link to a member whose other end the test plays itself, and opened.
    fn stranger(&mut self, to: usize, seed: u8) -> Neighbour {
        self.played(to, seed, Side::Receiver)
    }

    /// A link that a member opened to someone whom the test plays.
    fn asked(&mut self, by: usize, seed: u8) -> Neighbour {
        self.played(by, seed, Side::Opener)
    }

    fn played(&mut self, member: usize, seed: u8, side: Side) -> Neighbour {
        let link = Neighbour(self.next);
        self.next += 1;
        self.owners.insert(link, member);
        let peer = Peer([seed; 32]);
        self.members[member].handle(Input::LinkUp { link, peer, side }, self.now);
        self.run();
        link
    }

    fn say(&mut self, to: usize, link: Neighbour, message: Message) {
        self.members[to].handle(Input::Message { link, message }, self.now);
        self.run();
    }

    fn cut(&mut self, link: Neighbour) {
        if let Some((other, theirs)) = self.links.remove(&link) {
            self.links.remove(&theirs);
            self.members[other].handle(Input::LinkDown { link: theirs }, self.now);
        }
        if let Some(owner) = self.owners.get(&link).copied() {
            self.members[owner].handle(Input::LinkDown { link }, self.now);
        }
        self.run();
    }

    fn command(&mut self, member: usize, command: Command) -> Result<u32, Refusal> {
        let id = CommandId(self.next);
        self.next += 1;
        self.members[member].handle(Input::Command { id, command }, self.now);
        self.run();
        self.outputs(member)
            .find_map(|output| match output {
                Output::Done { command, result } if *command == id => Some(result.clone()),
                _ => None,
            })
            .expect("every command is answered")
    }

    /// Moves time on, from deadline to deadline.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self
            .members
            .iter()
            .enumerate()
            .filter(|(at, _)| !self.dead.contains(at))
            .filter_map(|(_, member)| member.poll_timeout())
            .map(|(at, _)| at)
            .min()
        {
            if due > end {
                break;
            }
            self.now = self.now.max(due);
            for (at, member) in self.members.iter_mut().enumerate() {
                if self.dead.contains(&at) {
                    continue;
                }
                if member.poll_timeout().is_some_and(|(at, _)| at <= self.now) {
                    member.handle(Input::Timeout, self.now);
                }
            }
            self.run();
        }
        self.now = end;
    }

    /// Delivers messages until nobody has anything to say.
    fn run(&mut self) {
        loop {
            self.drain();
            let Some((member, errand, peers)) = self.dialled.pop_front() else {
                return;
            };
            let reached = |peer: &Peer| {
                (0..self.members.len()).find(|other| {
                    let is_near = self.apart.contains(other) == self.apart.contains(&member);
                    self.members[*other].config.peer == *peer && is_near && !self.dead.contains(other)
                })
            };
            match peers.iter().find_map(reached) {
                Some(other) => _ = self.connect(member, other),
                None => self.members[member].handle(Input::NobodyFound { errand }, self.now),
            }
        }
    }

    fn drain(&mut self) {
        while let Some((member, output)) =
            (0..self.members.len()).find_map(|at| self.members[at].poll_output().map(|output| (at, output)))
        {
            if self.dead.contains(&member) {
                continue;
            }
            match &output {
                Output::Dial { errand, candidates } if self.dials => {
                    let peers = candidates.iter().map(|candidate| candidate.peer).collect();
                    self.dialled.push_back((member, *errand, peers));
                }
                Output::Seek if self.dials => {
                    let anyone = self.members.iter().map(|member| member.config.peer);
                    let others = anyone.filter(|peer| *peer != self.members[member].config.peer);
                    self.dialled.push_back((member, Errand::Place, others.collect()));
                }
                Output::Send { to, message } => self.deliver(*to, message),
                Output::Close(link) => {
                    self.owners.remove(link);
                    if let Some((other, theirs)) = self.links.remove(link) {
                        self.links.remove(&theirs);
                        self.members[other].handle(Input::LinkDown { link: theirs }, self.now);
                    }
                }
                _ => {}
            }
            self.seen.push((member, output));
        }
    }

    fn deliver(&mut self, link: Neighbour, message: &Message) {
        let mut reader = FrameReader::default();
        reader.push(&message.encode().expect("fits a frame"));
        let frame = reader.next_frame().expect("well-formed").expect("whole");
        let message = Message::decode(&frame).expect("decodes").expect("known");
        if let Some((other, theirs)) = self.links.get(&link).copied() {
            self.members[other].handle(
                Input::Message {
                    link: theirs,
                    message,
                },
                self.now,
            );
        }
    }

    fn outputs(&self, member: usize) -> impl Iterator<Item = &Output> {
        self.seen
            .iter()
            .filter(move |(at, _)| *at == member)
            .map(|(_, output)| output)
    }

    fn events(&self, member: usize) -> Vec<&Event> {
        self.outputs(member)
            .filter_map(|output| {
                if let Output::Event(event) = output {
                    Some(event)
                } else {
                    None
                }
            })
            .collect()
    }

    /// What was said on a link whose other end the test plays.
    fn said(&self, link: Neighbour) -> Vec<&Message> {
        let sends = self.seen.iter().filter_map(|(_, output)| match output {
            Output::Send { to, message } if *to == link => Some(&**message),
            _ => None,
        });
        sends.collect()
    }

    fn refusal_on(&self, link: Neighbour) -> Option<Reason> {
        self.said(link).into_iter().find_map(|message| match message {
            Message::Refuse(refusal) => Some(refusal.reason),
            _ => None,
        })
    }

    fn left(&self, member: usize) -> Option<&Left> {
        self.events(member).into_iter().find_map(|event| {
            if let Event::Left(why) = event {
                Some(why)
            } else {
                None
            }
        })
    }
}

fn hello(seed: u8, change: impl FnOnce(&mut Certificate)) -> Hello {
    let (key, room) = (key(seed), RoomId::of(&genesis()));
    let mut certificate = Certificate::new(key.person(), Peer([seed; 32]), room);
    change(&mut certificate);
    Hello {
        room,
        certificate: Verified::sign(certificate, &key).expect("valid").signed().clone(),
        profile: Verified::sign(Profile::new(key.person(), "x", 0), &key)
            .expect("valid")
            .signed()
            .clone(),
        alias: Alias(0),
        head: Head {
            sequence: 0,
            hash: [0; 32],
        },
        addresses: vec![],
        extensions: vec![],
    }
}

#[test]
fn a_newcomer_learns_the_room_and_takes_a_place_at_the_root() {
    let mut world = World::hosted();
    let (listener, _) = world.joined(2);
    let joined = Event::Joined {
        role: Role::Listener,
        parent: Some(Peer([1; 32])),
        depth: 1,
        confirmed: true,
    };
    assert!(world.events(listener).contains(&&joined));
    assert!(world.events(0).contains(&&Event::Child {
        peer: Peer([2; 32]),
        added: true
    }));
    assert!(
        world
            .events(listener)
            .iter()
            .any(|e| matches!(e, Event::Profile(p) if p.nick.as_str() == "nick1"))
    );
    world.pass(Duration::from_secs(1));
    assert_eq!(
        (world.members[0].listeners(), world.members[listener].listeners()),
        (1, 1)
    );
}

#[test]
fn nothing_is_sent_before_it_is_stored() {
    let mut world = World::hosted();
    let (_, at_host) = world.joined(2);
    world
        .command(0, Command::Title("Songs".into()))
        .expect("the host may");
    let at = |wanted: &dyn Fn(&Output) -> bool| world.outputs(0).position(wanted).expect("put out");
    let stored = world
        .outputs(0)
        .enumerate()
        .filter(|(_, o)| matches!(o, Output::Store(_)))
        .map(|(at, _)| at)
        .last();
    let sent = at(
        &|o| matches!(o, Output::Send { to, message } if *to == at_host && matches!(**message, Message::Entries(_))),
    );
    assert!(stored < Some(sent));
}

#[test]
fn a_listener_becomes_a_speaker_by_invitation_and_acceptance_alone() {
    let mut world = World::hosted();
    let (guest, at_host) = world.joined(2);
    let (other, _) = world.joined(3);
    assert_eq!(
        world
            .command(guest, Command::Accept)
            .expect_err("not invited")
            .reason,
        Reason::NoSuchSubject
    );
    world
        .command(0, Command::Invite(person(2)))
        .expect("the host may");
    assert_eq!(
        world.members[guest].role(),
        Role::Listener,
        "an invitation alone gives no stage"
    );
    world.command(guest, Command::Accept).expect("invited");

    let speaker = Event::Role {
        person: person(2),
        role: Role::Speaker,
    };
    for member in [0, guest, other] {
        assert!(world.events(member).contains(&&speaker), "member {member}");
    }
    assert!(
        world
            .outputs(guest)
            .any(|output| matches!(output, Output::Stage(Some(_))))
    );
    let tag = world.members[0].log().expect("a log").state().stage()[&person(2)].tag;
    let source = Output::Route(Route::Source {
        tag,
        link: Some(at_host),
    });
    assert!(world.outputs(0).any(|output| *output == source));
    assert!(
        !world.outputs(other).any(
            |output| matches!(output, Output::Route(Route::Source { tag: t, link: Some(_) }) if *t == tag)
        )
    );
    assert!(
        world
            .events(other)
            .iter()
            .any(|e| matches!(e, Event::Profile(p) if p.nick.as_str() == "nick2"))
    );

    world.command(guest, Command::LeaveStage).expect("one's own");
    assert!(
        !world.events(other).contains(&&Event::Silenced(person(2))),
        "who leaves is heard out"
    );
    assert!(
        world
            .outputs(other)
            .any(|output| *output == Output::Route(Route::Revoke(tag)))
    );
    assert_eq!(
        world
            .outputs(guest)
            .filter(|output| **output == Output::Stage(None))
            .count(),
        1
    );
}

#[test]
fn the_chair_answers_a_forbidden_request_with_its_reason() {
    let mut world = World::hosted();
    let (listener, _) = world.joined(2);
    let refused = world
        .command(listener, Command::Title("Mine".into()))
        .expect_err("not a host");
    assert_eq!(refused.reason, Reason::NotAllowed);

    // A program without the table of permissions asks all the same.
    let link = world.stranger(0, 3);
    world.say(0, link, Message::Hello(hello(3, |_| ())));
    let room = RoomId::of(&genesis());
    let end = Action::new(room, person(3), world.members[0].head(), 0, &Act::End);
    let end = Verified::sign(end, &key(3)).expect("well-formed");
    world.say(0, link, Message::Request(end.signed().clone()));
    let verdict = world.said(link).into_iter().find_map(|message| match message {
        Message::Verdict(verdict) => Some(&verdict.outcome),
        _ => None,
    });
    assert!(
        matches!(verdict, Some(Outcome::Refused(refusal)) if refusal.reason == Reason::NotAllowed),
        "{verdict:?}"
    );
    assert_eq!(world.members[0].head().sequence, 0);
}

#[test]
fn a_latecomer_catches_up_before_it_takes_a_place() {
    let mut world = World::hosted();
    for n in 0..300 {
        world.pass(Duration::from_millis(100));
        world
            .command(0, Command::Title(format!("{n} {}", "x".repeat(150))))
            .expect("the host may");
    }
    let (late, _) = world.joined(2);
    assert_eq!(world.members[late].head(), world.members[0].head());
    let outputs: Vec<&Output> = world.outputs(late).collect();
    let last_entry = outputs
        .iter()
        .rposition(|o| matches!(o, Output::Store(_)))
        .expect("stored");
    let attach = outputs
        .iter()
        .position(|o| matches!(o, Output::Send { message, .. } if matches!(**message, Message::Attach(_))));
    assert!(attach.expect("attached") > last_entry);
}

#[test]
fn a_room_that_nobody_answers_for_is_unreachable_after_its_limit() {
    let mut world = World::hosted();
    let lost = world.newcomer(2);
    world.members[lost].handle(
        Input::NobodyFound {
            errand: Errand::Place,
        },
        world.now,
    );
    world.pass(SEEK_LIMIT.saturating_sub(Duration::from_millis(1)));
    assert_eq!(world.left(lost), None);
    assert!(
        world
            .outputs(lost)
            .filter(|output| **output == Output::Seek)
            .count()
            >= 2
    );
    world.pass(Duration::from_millis(2));
    assert_eq!(world.left(lost), Some(&Left::Unreachable));
    assert_eq!(world.members[lost].poll_timeout(), None);
}

#[test]
fn a_lost_parent_is_looked_for_and_found_again() {
    let mut world = World::hosted();
    let (listener, at_host) = world.joined(2);
    world.cut(at_host);
    assert_eq!(world.members[listener].place(), &Place::Seeking);
    assert_eq!(world.members[0].children(), 0);
    world
        .command(0, Command::Title("Meanwhile".into()))
        .expect("the host may");
    world.connect(listener, 0);
    assert_eq!(world.members[listener].head().sequence, 1);
    let back = Event::Parent {
        peer: Some(Peer([1; 32])),
        depth: 1,
        why: Why::Failover,
    };
    assert!(world.events(listener).contains(&&back));
    assert_eq!(
        world
            .events(listener)
            .iter()
            .filter(|e| matches!(e, Event::Joined { .. }))
            .count(),
        1
    );
}

#[test]
fn the_end_of_a_room_reaches_everyone_and_nobody_enters_after_it() {
    let mut world = World::hosted();
    let (listener, _) = world.joined(2);
    world.command(0, Command::End).expect("the host may");
    assert_eq!(
        (world.left(0), world.left(listener)),
        (Some(&Left::Ended), Some(&Left::Ended))
    );
}

#[test]
fn the_end_of_a_room_makes_nobody_what_they_were_before() {
    let mut world = World::hosted();
    let (guest, _) = world.joined(2);
    world
        .command(0, Command::Invite(person(2)))
        .expect("the host may");
    world.command(guest, Command::Accept).expect("invited");
    world.command(0, Command::End).expect("the host may");
    for member in [0, guest] {
        let roles: Vec<(Person, Role)> = world
            .events(member)
            .into_iter()
            .filter_map(|event| match event {
                Event::Role { person, role } => Some((*person, *role)),
                _ => None,
            })
            .collect();
        let expected = [(person(2), Role::Speaker), (person(2), Role::Listener)];
        assert_eq!(roles, expected, "member {member}");
    }
}

#[test]
fn when_the_chair_leaves_its_listeners_know_at_once() {
    let mut world = World::hosted();
    let (listener, _) = world.joined(2);
    world.members[0].handle(Input::Leave, world.now);
    world.run();
    assert_eq!(
        (world.left(0), world.left(listener)),
        (Some(&Left::Interrupted), Some(&Left::Unreachable))
    );
}

#[test]
fn a_peer_that_opens_and_says_nothing_is_cut_off() {
    let mut world = World::hosted();
    let link = world.stranger(0, 9);
    world.pass(GREETING_TIMEOUT.saturating_sub(Duration::from_millis(1)));
    assert_eq!(world.refusal_on(link), None);
    world.pass(Duration::from_millis(1));
    assert_eq!(world.refusal_on(link), Some(Reason::NotInTheRoom));
}

#[test]
fn nothing_is_heard_before_hello() {
    let mut world = World::hosted();
    let link = world.stranger(0, 9);
    world.say(0, link, Message::Attach(Attach::join(0)));
    assert_eq!(world.refusal_on(link), Some(Reason::NotInTheRoom));
    assert_eq!(world.members[0].children(), 0);
}

#[test]
fn borrowed_and_forged_certificates_open_nothing() {
    for (name, change) in [
        (
            "another peer's",
            (|c| c.peer = Peer([8; 32])) as fn(&mut Certificate),
        ),
        ("another room's", |c| c.room = RoomId([8; 32])),
    ] {
        let mut world = World::hosted();
        let link = world.stranger(0, 9);
        world.say(0, link, Message::Hello(hello(9, change)));
        assert_eq!(world.refusal_on(link), Some(Reason::BadCertificate), "{name}");
    }
    let mut world = World::hosted();
    let link = world.stranger(0, 9);
    let forged = Hello {
        certificate: hello(8, |c| c.peer = Peer([9; 32])).certificate,
        ..hello(9, |_| ())
    };
    world.say(0, link, Message::Hello(forged));
    assert_eq!(
        world.refusal_on(link),
        Some(Reason::BadCertificate),
        "a certificate and another's profile"
    );
}

#[test]
fn another_room_is_unknown_here() {
    let mut world = World::hosted();
    let link = world.stranger(0, 9);
    world.say(
        0,
        link,
        Message::Hello(Hello {
            room: RoomId([3; 32]),
            ..hello(9, |_| ())
        }),
    );
    assert_eq!(world.refusal_on(link), Some(Reason::UnknownRoom));
}

#[test]
fn a_provider_that_is_not_in_the_room_is_noticed() {
    let mut world = World::hosted();
    let seeker = world.newcomer(2);
    let impostor = key(3);
    let other = Genesis::new(impostor.person(), "Elsewhere", [1; 16])
        .sign(&impostor)
        .expect("valid");
    world
        .members
        .push(Member::host(config(3), other, world.now).expect("a host"));
    world.connect(seeker, 2);
    assert_eq!(world.members[seeker].place(), &Place::Seeking);
    assert!(world.members[seeker].log().is_none());
}

#[test]
fn a_flood_of_messages_ends_the_link_and_nobody_elses() {
    let mut world = World::hosted();
    let (listener, _) = world.joined(2);
    let link = world.stranger(0, 9);
    world.say(0, link, Message::Hello(hello(9, |_| ())));
    for _ in 0..500 {
        world.say(0, link, Message::EntriesWanted { after: 0 });
    }
    assert_eq!(world.refusal_on(link), Some(Reason::TooMany));
    assert!(world.said(link).len() < 300, "a flood is not answered in full");
    world.pass(Duration::from_secs(2));
    assert_eq!(world.members[listener].parent(), Some(Peer([1; 32])));
}

#[test]
fn more_links_than_places_are_turned_away() {
    let mut world = World::hosted();
    let links: Vec<Neighbour> = (0..400).map(|_| world.stranger(0, 9)).collect();
    let refused = links
        .iter()
        .filter(|link| world.refusal_on(**link) == Some(Reason::Full))
        .count();
    assert_eq!(refused, 400 - world.members[0].max_links());
}

#[test]
fn a_forged_entry_cuts_the_link_and_changes_nothing() {
    let mut world = World::hosted();
    world
        .command(0, Command::Title("True".into()))
        .expect("the host may");
    let (listener, _) = world.joined(2);
    let head = world.members[listener].head();
    let link = world.stranger(listener, 9);
    world.say(listener, link, Message::Hello(hello(9, |_| ())));

    let (key, room) = (key(9), RoomId::of(&genesis()));
    let title = Act::Title {
        title: Text::clean("False"),
    };
    let action = Verified::sign(Action::new(room, key.person(), head, 0, &title), &key).expect("well-formed");
    let entry = crate::log::Entry::new(room, head, 0, key.person(), 1, action.signed());
    let entry = Verified::sign(entry, &key).expect("well-formed");
    world.say(
        listener,
        link,
        Message::Entries(Entries {
            entries: vec![entry.signed().clone()],
            more: false,
        }),
    );
    assert_eq!(world.refusal_on(link), Some(Reason::Malformed));
    assert_eq!(world.members[listener].head(), head);
}

#[test]
fn a_rejoining_speaker_is_on_the_stage_again_with_a_newer_epoch() {
    let mut world = World::hosted();
    let (guest, at_host) = world.joined(2);
    world
        .command(0, Command::Invite(person(2)))
        .expect("the host may");
    world.command(guest, Command::Accept).expect("invited");
    world.cut(at_host);
    world.pass(Duration::from_secs(3));
    let (again, _) = world.joined(2);
    let epoch = |member: usize| {
        world.outputs(member).find_map(|output| match output {
            Output::Stage(Some(stage)) => Some(stage.epoch),
            _ => None,
        })
    };
    assert!(epoch(again) > epoch(guest));
}

#[test]
fn a_refusal_text_is_cut_at_its_limit() {
    assert_eq!(
        refusal(Reason::Refused, &"é".repeat(300)).text.to_string(),
        "é".repeat(100)
    );
}

#[test]
fn a_member_that_comes_back_goes_on_with_its_log() {
    let mut world = World::hosted();
    world
        .command(0, Command::Title("Songs".into()))
        .expect("the host may");
    let (first, at_host) = world.joined(2);
    let log = world.members[first].log().expect("a log").clone();
    world.cut(at_host);
    world
        .command(0, Command::Title("More songs".into()))
        .expect("the host may");

    let room = RoomId::of(&genesis());
    world
        .members
        .push(Member::join(config(3), room, Some(log), world.now).expect("a member"));
    let back = world.members.len() - 1;
    world.connect(back, 0);
    assert_eq!(world.members[back].head(), world.members[0].head());
    let stored = world
        .outputs(back)
        .filter(|output| matches!(output, Output::Store(_)))
        .count();
    assert_eq!(stored, 1, "only what is new is stored");

    let elsewhere = Genesis::new(person(1), "Elsewhere", [1; 16])
        .sign(&key(1))
        .expect("valid");
    let other = Log::new(elsewhere);
    assert!(Member::join(config(4), room, Some(other), world.now).is_err());
}

#[test]
fn sound_ahead_of_the_log_makes_a_member_ask_for_it() {
    let mut world = World::hosted();
    let (listener, _) = world.joined(2);
    world.members[listener].handle(Input::SoundAhead, world.now);
    world.run();
    assert!(world.outputs(listener).any(
        |output| matches!(output, Output::Send { message, .. } if matches!(**message, Message::EntriesWanted { .. }))
    ));
}

#[test]
fn a_neighbour_that_forges_sound_is_cut_off() {
    let mut world = World::hosted();
    let (listener, at_host) = world.joined(2);
    world.members[0].handle(Input::Forger { link: at_host }, world.now);
    world.run();
    assert!(world.events(0).contains(&&Event::Misbehaved {
        peer: Peer([2; 32]),
        reason: Reason::Malformed
    }));
    assert_eq!(world.members[listener].place(), &Place::Seeking);
}

#[test]
fn who_is_taken_off_the_stage_is_silenced_at_once() {
    let mut world = World::hosted();
    let (guest, _) = world.joined(2);
    let (other, _) = world.joined(3);
    world
        .command(0, Command::Invite(person(2)))
        .expect("the host may");
    world.command(guest, Command::Accept).expect("invited");
    world.command(0, Command::Move(person(2))).expect("the host may");
    assert!(world.events(other).contains(&&Event::Silenced(person(2))));
}
