//! A long log that is believed on its chairs' word first, by a member that comes late.

use super::{tree::welcomed, *};
use crate::{
    log::{self, Entry},
    wire::message::{Attached, Position, Slot},
};

const MS: Duration = Duration::from_millis(1);

/// More than one batch, and some hundred milliseconds of checking.
const LONG: u32 = 700;

/// A room whose host has done much, and has made 5 a co-host at first.
fn long_room() -> World {
    let mut world = World::hosted();
    let (person, role) = (person(5), Role::CoHost);
    world
        .command(0, Command::Grant { person, role })
        .expect("the host may");
    for n in 1..LONG {
        world
            .command(0, Command::Title(format!("{n}")))
            .expect("the host may");
    }
    world
}

/// Entries that 5 has written as the chair, behind all that are there: the first of them is an act that the host did not
/// do.
fn forged_history(world: &World, act: &Act) -> Vec<Signed<Entry>> {
    let mut log = world.members[0].log().expect("a host has its log").clone();
    let clock = log.state().clock() + 1;
    log.claim(&key(5), clock, false).expect("in the line");
    let mut entries = signed(&log, 0);
    let mut after = log.head();
    for n in 0..40 {
        let author = if n == 0 { key(1) } else { key(5) };
        let title = Act::Title {
            title: Text::clean(&format!("after {n}")),
        };
        let act = if n == 0 { act } else { &title };
        let action = Action::new(log.room(), author.person(), after, clock, act);
        let action = Verified::sign(action, &author).expect("valid");
        let mut action = action.signed().to_bytes().to_vec();
        if n == 0 {
            *action.last_mut().expect("not empty") ^= 1;
        }
        let action = Signed::from_bytes(&action).expect("a statement");
        let entry = Entry::new(log.room(), after, 1, person(5), clock, &action);
        let entry = Verified::sign(entry, &key(5)).expect("valid").signed().clone();
        after = Head {
            sequence: after.sequence + 1,
            hash: Entry::hash(&entry),
        };
        entries.push(entry);
    }
    entries
}

fn signed(log: &Log, after: u32) -> Vec<Signed<Entry>> {
    let entries = log.entries_after(after, usize::MAX).iter();
    entries.map(|entry| entry.signed().clone()).collect()
}

impl World {
    /// Answers a member's requests for the log of these entries, until it has them all.
    fn serve(&mut self, to: usize, link: Neighbour, entries: &[Signed<Entry>]) {
        loop {
            let wanted = self
                .said(link)
                .into_iter()
                .rev()
                .find_map(|message| match message {
                    Message::EntriesWanted { after } => Some(*after as usize),
                    _ => None,
                });
            let from = wanted.expect("it asks");
            let batch: Vec<_> = entries.iter().skip(from).take(64).cloned().collect();
            let more = from + batch.len() < entries.len();
            let entries = batch;
            self.say(to, link, Message::Entries(Entries { entries, more }));
            if !more || self.refusal_on(link).is_some() {
                return;
            }
        }
    }

    /// A newcomer that was given a place by somebody whom the test plays, and the log from there; the link.
    fn misled(&mut self, history: &[Signed<Entry>]) -> (usize, Neighbour) {
        let victim = self.newcomer(2);
        let link = welcomed(self, victim, 9);
        self.serve(victim, link, history);
        let position = Position {
            path: vec![Peer([1; 32]), Peer([9; 32])],
            elders: vec![config(1).candidate()],
            ..Position::default()
        };
        let slot = Slot::Child;
        self.dials = true;
        self.say(victim, link, Message::Attached(Attached { slot, position }));
        (victim, link)
    }

    fn verified(&self, member: usize) -> Option<u32> {
        self.events(member).into_iter().find_map(|event| match event {
            Event::Verified { entries } => Some(*entries),
            _ => None,
        })
    }

    fn confirmed(&self, member: usize) -> Option<bool> {
        self.events(member).into_iter().find_map(|event| match event {
            Event::Joined { confirmed, .. } => Some(*confirmed),
            _ => None,
        })
    }

    fn title_at(&self, member: usize) -> &str {
        self.members[member]
            .log()
            .expect("a log")
            .state()
            .title()
            .as_str()
    }

    fn unverified(&self, member: usize) -> u32 {
        let log = self.members[member].log().expect("a log");
        log.head().sequence - log.verified()
    }
}

#[test]
fn a_newcomer_has_its_place_before_it_has_verified_a_long_log_and_says_so() {
    let mut world = long_room();
    let (newcomer, _) = world.joined(2);
    assert_eq!(world.members[newcomer].head().sequence, LONG);
    assert_eq!(world.confirmed(newcomer), Some(false));
    assert!(world.unverified(newcomer) > LONG / 2);
    assert_eq!(world.verified(newcomer), None);
    world.pass(1_000 * MS);
    assert_eq!(world.verified(newcomer), Some(LONG));
    assert_eq!(world.unverified(newcomer), 0);
}

#[test]
fn a_short_log_is_verified_before_the_place_is_had() {
    let mut world = World::hosted();
    for n in 0..10 {
        world
            .command(0, Command::Title(format!("{n}")))
            .expect("the host may");
    }
    let (newcomer, _) = world.joined(2);
    assert_eq!(world.confirmed(newcomer), Some(true));
}

#[test]
fn what_is_not_verified_is_not_handed_on_and_is_as_soon_as_it_is() {
    let mut world = long_room();
    let (newcomer, _) = world.joined(2);
    let stranger = world.stranger(newcomer, 60);
    world.say(newcomer, stranger, Message::Hello(hello(60, |_| ())));
    let sent = |world: &World| -> u32 {
        let said = world.said(stranger).into_iter();
        let batches = said.map(|message| match message {
            Message::Entries(batch) => batch.entries.len() as u32,
            _ => 0,
        });
        batches.sum()
    };
    world.say(newcomer, stranger, Message::EntriesWanted { after: 0 });
    assert_eq!(sent(&world), 0);
    // What comes meanwhile is not passed on either: it is no better than what it stands on.
    world
        .command(0, Command::Title("news".into()))
        .expect("the host may");
    assert_eq!(world.title_at(newcomer), "news");
    assert_eq!(sent(&world), 0);
    while world.unverified(newcomer) > 0 {
        world.pass(MS);
        let log = world.members[newcomer].log().expect("a log");
        assert!(sent(&world) <= log.verified());
    }
    assert!(sent(&world) > 0);
    assert_eq!(world.refusal_on(stranger), None);
}

#[test]
fn an_act_that_a_chair_has_forged_is_undone_and_whoever_brought_it_is_cut_off() {
    let mut world = long_room();
    let title = Act::Title {
        title: Text::clean("in the host's name"),
    };
    let history = forged_history(&world, &title);
    let (victim, link) = world.misled(&history);
    assert_eq!(world.members[victim].parent(), Some(Peer([9; 32])));
    assert_eq!(world.title_at(victim), "after 39");
    assert_eq!(world.confirmed(victim), Some(false));
    world.pass(3_000 * MS);
    assert_eq!(world.refusal_on(link), Some(Reason::Malformed));
    assert!(world.members[victim].refusers().contains(&Peer([9; 32])));
    let accused = Event::Misbehaved {
        peer: Peer([9; 32]),
        reason: Reason::Malformed,
    };
    assert!(world.events(victim).contains(&&accused));
    let undone = Event::Lost {
        action: "title",
        author: person(1),
        subject: None,
        reason: Reason::Malformed,
    };
    assert!(world.events(victim).contains(&&undone));
    assert_eq!(
        world.members[victim].parent(),
        Some(Peer([1; 32])),
        "and asks elsewhere"
    );
    // The chair entry itself was 5's own, and the host answers it.
    let (here, there) = (world.members[victim].head(), world.members[0].head());
    assert_eq!(here, there);
    assert!(!world.title_at(victim).starts_with("after"));
}

#[test]
fn nobody_leaves_for_an_end_of_the_room_that_is_forged() {
    let mut world = long_room();
    let history = forged_history(&world, &Act::End);
    let victim = world.newcomer(2);
    let link = welcomed(&mut world, victim, 9);
    world.serve(victim, link, &history);
    assert_eq!(world.left(victim), None);
    assert_eq!(world.refusal_on(link), Some(Reason::Malformed));
    assert_eq!(world.members[victim].head().sequence, LONG + 1);
}

#[test]
fn nobody_takes_the_chair_of_a_room_that_it_did_not_verify() {
    let mut world = long_room();
    let title = Act::Title {
        title: Text::clean("in the host's name"),
    };
    let history = forged_history(&world, &title);
    let (victim, _) = world.misled(&history);
    let forged = world.members[victim].head();
    let now = world.now;
    world.members[victim].take_the_chair(now);
    let log = world.members[victim].log().expect("a log");
    assert!(!log.holds(forged), "it looks first");
    assert!(!world.members[victim].is_chair());
}

#[test]
fn an_old_log_is_noticed_by_the_chairs_next_word() {
    let mut world = long_room();
    let log = world.members[0].log().expect("a host has its log");
    let old = signed(log, 0)[..LONG as usize - 100].to_vec();
    let (victim, link) = world.misled(&old);
    assert_eq!(world.confirmed(victim), Some(false));
    let beacon = world.members[0].beacon.get().expect("a chair's").signed().clone();
    world.say(victim, link, Message::Beacon(beacon));
    world.pass(4_000 * MS);
    assert_eq!(world.members[victim].head(), world.members[0].head());
    assert_eq!(world.members[victim].parent(), Some(Peer([1; 32])));
}

#[test]
fn who_comes_back_with_a_log_of_its_own_has_its_place_before_it_has_verified_that() {
    let mut world = long_room();
    let log = world.members[0].log().expect("a host has its log");
    let mut file = log::record(log.genesis().signed());
    for entry in signed(log, 0) {
        file.extend(log::record(&entry));
    }
    let log = log::believe(&file).expect("whole");
    assert!(!log.is_verified());
    let room = log.room();
    world
        .members
        .push(Member::join(config(2), room, Some(log), world.now).expect("a member"));
    let back = world.members.len() - 1;
    world.connect(back, 0);
    assert_eq!(world.confirmed(back), Some(false));
    world.pass(1_000 * MS);
    assert_eq!(world.verified(back), Some(LONG));
}

#[test]
fn only_the_last_batch_of_a_long_log_waits_for_the_disk() {
    let mut world = long_room();
    let (newcomer, _) = world.joined(2);
    let stored = world.outputs(newcomer).filter_map(|output| match output {
        Output::Store(_) => Some(true),
        Output::StoreLater(_) => Some(false),
        _ => None,
    });
    let stored: Vec<bool> = stored.collect();
    assert_eq!(stored.len() as u32, LONG + 1, "with the genesis");
    let waits = stored.iter().skip(1).filter(|waits| **waits).count();
    assert!((1..200).contains(&waits), "{waits}");
    assert_eq!(stored.last(), Some(&true));
}

#[test]
fn who_asks_for_the_log_for_the_first_time_is_sent_some_batches_ahead() {
    let mut world = long_room();
    let stranger = world.stranger(0, 60);
    world.say(0, stranger, Message::Hello(hello(60, |_| ())));
    let batches = |world: &World| -> Vec<u32> {
        let said = world.said(stranger).into_iter();
        let lasts = said.filter_map(|message| match message {
            Message::Entries(batch) => batch.entries.last()?.peek().ok(),
            _ => None,
        });
        lasts.map(|entry| entry.sequence).collect()
    };
    world.say(0, stranger, Message::EntriesWanted { after: 0 });
    assert_eq!(batches(&world).len(), 4);
    let mut asked = 0;
    while let Some(after) = batches(&world).get(asked).copied().filter(|last| *last < LONG) {
        world.say(0, stranger, Message::EntriesWanted { after });
        asked += 1;
        assert!(batches(&world).len() <= asked + 4);
    }
    let sent = batches(&world);
    assert!(sent.windows(2).all(|two| two[0] < two[1]), "each once: {sent:?}");
    assert_eq!(sent.last(), Some(&LONG));
    // Whoever asks again has one at a time, as often as it may.
    world.say(0, stranger, Message::EntriesWanted { after: 0 });
    let after = sent[0];
    world.say(0, stranger, Message::EntriesWanted { after });
    assert_eq!(batches(&world).len(), sent.len() + 2);
}
