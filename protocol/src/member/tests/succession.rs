//! The chair falls silent, leaves, comes back, and is claimed by those who may and those who may not.

use super::{tree::grown, *};
use crate::log::{Beacon, Entry};

const SECOND: Duration = Duration::from_secs(1);

/// A room of a host (member 0), two co-hosts (1 and 2, in this order) and so many listeners more.
pub(super) fn room(others: u8) -> World {
    let mut world = grown(2 + others, 4);
    for seed in [2, 3] {
        let (person, role) = (person(seed), Role::CoHost);
        world
            .command(0, Command::Grant { person, role })
            .expect("the host may");
    }
    world.pass(SECOND);
    world
}

impl World {
    /// Who the chair is and in which term, as a member's log says.
    pub(super) fn chair(&self, member: usize) -> (Person, u32) {
        let log = self.members[member].log().expect("a log");
        (log.state().chair(), log.term())
    }

    /// All who live agree on the chair, the term and the whole log.
    fn agrees(&self, chair: u8, term: u32) {
        let heads: Vec<_> = self.alive().map(|at| self.members[at].head()).collect();
        for at in self.alive() {
            assert_eq!(self.chair(at), (person(chair), term), "member {at}");
        }
        assert!(heads.windows(2).all(|two| two[0] == two[1]), "{heads:?}");
    }

    pub(super) fn does(&mut self, member: usize, command: Command) {
        self.command(member, command).expect("it may");
    }

    /// Cuts every link between these and the others, who cannot reach each other from now on.
    pub(super) fn part(&mut self, apart: impl IntoIterator<Item = usize>) {
        self.apart = apart.into_iter().collect();
        let links: Vec<Neighbour> = self
            .links
            .iter()
            .filter(|(link, (to, _))| {
                let from = self.owners.get(*link);
                from.is_some_and(|from| self.apart.contains(from) != self.apart.contains(to))
            })
            .map(|(link, _)| *link)
            .collect();
        for link in links {
            self.cut(link);
        }
    }

    fn lost(&self, member: usize) -> Vec<(&'static str, Reason)> {
        let events = self.events(member).into_iter();
        let lost = events.filter_map(|event| match event {
            Event::Lost { action, reason, .. } => Some((*action, *reason)),
            _ => None,
        });
        lost.collect()
    }

    /// The actions of a member's log with their authors, from a sequence on.
    fn done_since(&self, member: usize, sequence: u32) -> Vec<(&'static str, Person)> {
        let log = self.members[member].log().expect("a log");
        let entries = log.entries_after(sequence, usize::MAX).iter();
        let done = entries.map(|entry| {
            let (action, act) = crate::log::deed(entry).expect("valid");
            (act.name(), action.peek().expect("valid").author)
        });
        done.collect()
    }

    /// Has an entry come to a member from a stranger.
    fn told(&mut self, member: usize, seed: u8, entries: Vec<Signed<Entry>>) -> Neighbour {
        let link = self.stranger(member, seed);
        self.say(member, link, Message::Hello(hello(seed, |_| ())));
        let more = false;
        self.say(member, link, Message::Entries(Entries { entries, more }));
        link
    }

    fn claim_of(&self, seed: u8, term: u32) -> Signed<Entry> {
        let (key, log) = (key(seed), self.members[0].log().expect("a log"));
        let clock = log.state().clock();
        let action = Action::new(
            log.room(),
            key.person(),
            log.head(),
            clock,
            &Act::Chair { alone: false },
        );
        let action = Verified::sign(action, &key).expect("well-formed");
        let entry = Entry::new(log.room(), log.head(), term, key.person(), clock, action.signed());
        Verified::sign(entry, &key).expect("well-formed").signed().clone()
    }
}

pub(super) fn retitle(title: &str) -> Command {
    Command::Title(title.into())
}

fn ban(seed: u8) -> Command {
    Command::Ban {
        person: person(seed),
        lasts: None,
        reason: String::new(),
    }
}

fn mute(seed: u8) -> Command {
    Command::Mute {
        person: person(seed),
        reason: String::new(),
    }
}

#[test]
fn the_first_in_line_takes_a_silent_chair_within_five_seconds_and_keeps_order() {
    let mut world = room(12);
    world.kill(0);
    world.pass(4 * SECOND);
    world.agrees(2, 1);
    world.holds_together();
    world.does(2, retitle("by the second"));
    world.does(1, Command::Invite(person(9)));
    world.does(8, Command::Accept);
    world.does(2, mute(9));
    world.agrees(2, 1);
    // Whoever comes now hears of it.
    let late = world.grow(50, 4);
    world.pass(2 * SECOND);
    assert_eq!(world.chair(late), (person(2), 1));
    world.agrees(2, 1);
}

#[test]
fn whoever_is_silent_too_is_passed_over_and_a_second_death_changes_nothing() {
    let mut world = room(12);
    world.kill(0);
    world.kill(1);
    world.pass(7 * SECOND);
    world.agrees(3, 1);

    let mut world = room(12);
    world.kill(0);
    world.pass(6 * SECOND);
    world.agrees(2, 1);
    world.kill(1);
    world.pass(6 * SECOND);
    world.agrees(3, 2);
    world.holds_together();
    world.does(2, ban(9));
    world.agrees(3, 2);
}

#[test]
fn without_a_line_nobody_takes_the_chair() {
    let mut world = grown(6, 4);
    world.kill(0);
    world.pass(20 * SECOND);
    for at in world.alive() {
        assert_eq!(world.chair(at), (person(1), 0));
    }
}

#[test]
fn the_chair_is_handed_over_at_once_when_it_leaves() {
    let mut world = room(12);
    let before = world.now;
    world.members[0].handle(Input::Leave, world.now);
    world.run();
    world.pass(SECOND / 10);
    world.agrees(2, 1);
    assert_eq!(world.left(0), Some(&Left::Interrupted));
    assert!(world.now - before < SECOND);
    world.pass(5 * SECOND);
    world.holds_together();
    world.agrees(2, 1);
    assert!(world.alive().count() == 14, "nobody else left");
}

#[test]
fn a_host_that_comes_back_takes_the_chair_after_ten_seconds() {
    let mut world = room(12);
    let log = world.members[0].log().expect("a log").clone();
    world.kill(0);
    world.pass(6 * SECOND);
    world.does(1, retitle("meanwhile"));
    world
        .members
        .push(Member::reopen(config(1), log, world.now).expect("the host"));
    let host = world.members.len() - 1;
    world.run();
    world.pass(9 * SECOND);
    world.agrees(2, 1);
    assert_eq!(world.members[host].role(), Role::Host);
    world.pass(2 * SECOND);
    world.agrees(1, 2);
    world.holds_together();
    world.does(2, retitle("to the host again"));
    world.agrees(1, 2);
    // And once more under it.
    world.kill(host);
    world.pass(6 * SECOND);
    world.agrees(2, 3);
}

#[test]
fn a_former_chair_that_comes_back_reads_of_its_own_terms_and_claims_none_of_them() {
    let mut world = room(6);
    world.kill(0);
    world.pass(6 * SECOND);
    world.agrees(2, 1);
    world.kill(1);
    world.pass(6 * SECOND);
    world.agrees(3, 2);
    let again = world.grow(2, 4);
    world.pass(5 * SECOND);
    world.agrees(3, 2);
    assert!(!world.members[again].is_chair());
    // It ranks above the chair, and so it has it back like a host.
    world.pass(6 * SECOND);
    world.agrees(2, 3);
}

#[test]
fn a_host_alone_opens_its_room_again_in_a_new_term_under_the_same_id() {
    let mut world = room(0);
    let (log, id) = (
        world.members[0].log().expect("a log").clone(),
        world.members[0].room(),
    );
    for at in 0..3 {
        world.kill(at);
    }
    world.pass(20 * SECOND);
    let host = world.members.len();
    world
        .members
        .push(Member::reopen(config(1), log.clone(), world.now).expect("the host"));
    world.run();
    world.pass(3 * SECOND);
    assert!(world.events(host).is_empty(), "it looks for the others first");
    world.pass(3 * SECOND);
    assert_eq!(world.chair(host), (person(1), 1));
    assert_eq!(world.members[host].room(), id);
    let guest = world.grow(40, 4);
    world.pass(SECOND);
    assert_eq!(world.chair(guest), (person(1), 1));
    let wrong = Member::reopen(config(2), log, world.now);
    assert!(wrong.is_err(), "nobody opens another's room");
}

#[test]
fn a_claim_while_the_chair_is_heard_is_followed_by_nobody() {
    let mut world = room(3);
    let head = world.members[0].head();
    let claim = world.claim_of(3, 1);
    let link = world.told(4, 60, vec![claim.clone()]);
    assert_eq!(world.refusal_on(link), None);
    world.pass(SECOND);
    // The chair has heard of it, and took its room back at once.
    world.agrees(1, 2);
    assert_eq!(
        world.done_since(0, head.sequence),
        [("chair", person(3)), ("chair", person(1))]
    );
    // A replay changes nothing.
    let again = world.members[0].head();
    world.told(4, 61, vec![claim]);
    world.pass(SECOND);
    assert_eq!(world.members[4].head(), again);
}

#[test]
fn a_chair_entry_of_whoever_may_not_cuts_who_brings_it() {
    for (seed, term) in [(9, 1), (4, 1), (2, 0), (2, 2)] {
        let mut world = room(3);
        let claim = world.claim_of(seed, term);
        let link = world.told(4, 60, vec![claim]);
        assert_eq!(world.refusal_on(link), Some(Reason::Malformed), "{seed} {term}");
        world.agrees(1, 0);
    }
    let mut world = room(3);
    let claim = world.claim_of(2, 1);
    world.does(0, ban(2));
    world.pass(SECOND);
    let late = world.claim_of(2, 1);
    for (n, claim) in [claim, late].into_iter().enumerate() {
        world.told(4, 60 + n as u8, vec![claim]);
        world.pass(5 * SECOND);
        assert_eq!(world.chair(4), (person(1), 0));
        assert_eq!(world.chair(0), (person(1), 0));
    }
}

#[test]
fn the_old_chairs_beacon_is_heard_by_nobody_in_a_new_term() {
    let mut world = room(3);
    world.kill(0);
    world.pass(6 * SECOND);
    let (room, head) = (world.members[1].room(), world.members[1].head());
    let beacon = Beacon::new(room, person(1), (0, 9_999), 900_000, head, Peer([1; 32]));
    let beacon = Verified::sign(beacon, &key(1)).expect("well-formed");
    let clock = world.members[4].clock_ms(world.now);
    let link = world.stranger(4, 60);
    world.say(4, link, Message::Hello(hello(60, |_| ())));
    world.say(4, link, Message::Beacon(beacon.signed().clone()));
    assert_eq!(world.members[4].clock_ms(world.now), clock);
    world.pass(2 * SECOND);
    world.agrees(2, 1);
    // Of somebody who was never the chair it is a forgery.
    let forged = Beacon::new(room, person(4), (1, 9_999), 900_000, head, Peer([1; 32]));
    let forged = Verified::sign(forged, &key(4)).expect("well-formed");
    world.say(4, link, Message::Beacon(forged.signed().clone()));
    assert_eq!(world.refusal_on(link), Some(Reason::Malformed));
}

#[test]
fn a_chair_that_gives_its_office_up_is_followed_by_the_next_in_line() {
    let mut world = room(6);
    world.kill(0);
    world.pass(6 * SECOND);
    world.agrees(2, 1);
    // Nobody ranks above a co-host but the host; it gives its office up itself.
    let (person, reason) = (person(2), String::new());
    world.does(1, Command::Revoke { person, reason });
    world.pass(3 * SECOND);
    world.agrees(3, 2);
}

#[test]
fn two_halves_of_a_room_have_one_log_again_and_nothing_is_lost_in_silence() {
    let mut world = room(13);
    world.does(0, Command::Invite(person(10)));
    world.does(9, Command::Accept);
    world.pass(SECOND);
    let common = world.members[0].head().sequence;
    let half: Vec<usize> = (0..world.members.len()).filter(|at| at % 2 == 1).collect();
    assert!(half.contains(&1) && half.contains(&9));
    world.part(half.clone());
    world.pass(10 * SECOND);
    assert_eq!(world.chair(1), (person(2), 1), "the half without the host");
    assert_eq!(world.chair(0), (person(1), 0), "the half with it");
    world.does(0, retitle("with the host"));
    world.does(2, ban(13));
    world.does(1, retitle("without the host"));
    world.does(1, mute(10));
    world.does(1, ban(12));
    world.pass(10 * SECOND);
    world.part([]);
    world.pass(10 * SECOND);
    for at in world.alive() {
        assert_eq!(world.members[at].head(), world.members[0].head(), "member {at}");
    }
    let done = world.done_since(0, common);
    for done_by in [("title", 1), ("ban", 3), ("title", 2), ("mute", 2), ("ban", 2)] {
        let (action, author) = (done_by.0, person(done_by.1));
        assert!(done.contains(&(action, author)), "{done_by:?}: {done:?}");
    }
    let state = world.members[0].log().expect("a log").state();
    assert!(state.mutes().contains_key(&person(10)));
    // What kept order is taken over by the chair, what else was done is sent again by its author.
    for at in half {
        assert_eq!(world.lost(at), [], "member {at}");
    }
    world.holds_together();
}

impl World {
    /// What a chair writes to some and not to others: an entry behind the present head.
    fn other_story(&self, seed: u8, title: &str) -> Signed<Entry> {
        let (key, log) = (key(seed), self.members[1].log().expect("a log"));
        let before = log.entry(log.head().sequence).expect("an entry");
        let head = Head {
            sequence: before.sequence - 1,
            hash: before.previous,
        };
        let title = Text::clean(title);
        let action = Action::new(
            log.room(),
            key.person(),
            head,
            before.clock,
            &Act::Title { title },
        );
        let action = Verified::sign(action, &key).expect("well-formed");
        let entry = Entry::new(
            log.room(),
            head,
            before.term,
            key.person(),
            before.clock,
            action.signed(),
        );
        Verified::sign(entry, &key).expect("well-formed").signed().clone()
    }
}

#[test]
fn a_chair_that_tells_two_stories_leaves_the_line_and_all_follow_one() {
    let mut world = room(6);
    world.kill(0);
    world.pass(6 * SECOND);
    world.agrees(2, 1);
    world.does(1, retitle("to all"));
    world.pass(SECOND);
    let other = world.other_story(2, "to one");
    let ours = world.members[4].head().hash;
    let smaller = ours.min(Entry::hash(&other));
    let sequence = world.members[4].head().sequence;
    world.told(4, 60, vec![other]);
    world.pass(5 * SECOND);
    world.agrees(3, 2);
    for at in world.alive() {
        let log = world.members[at].log().expect("a log");
        assert_eq!(log.hash_at(sequence), Some(smaller), "member {at}");
        assert!(log.state().exposed().contains(&person(2)), "member {at}");
        assert!(
            world.events(at).contains(&&Event::Exposed(person(2))),
            "member {at}"
        );
    }
}

impl World {
    /// A claim, and what its author writes behind it: an act of a kind that nobody knows.
    fn claim_and_unknown(&self, seed: u8, kind: u16, size: usize) -> Vec<Signed<Entry>> {
        let claim = self.claim_of(seed, 1);
        let key = key(seed);
        let first = claim.peek().expect("well-formed");
        let head = Head {
            sequence: first.sequence,
            hash: Entry::hash(&claim),
        };
        let body = vec![7; size].into();
        let act = Act::Unknown { kind, body };
        let action = Action::new(first.room, key.person(), head, first.clock, &act);
        let action = Verified::sign(action, &key).expect("well-formed");
        let behind = Entry::new(first.room, head, 1, key.person(), first.clock, action.signed());
        let behind = Verified::sign(behind, &key).expect("well-formed");
        vec![claim, behind.signed().clone()]
    }
}

#[test]
fn what_stands_behind_a_claim_while_the_chair_is_there_is_read_by_nobody() {
    // To the chair itself, to a member that hears it, and as a whole history of its own.
    for (member, kind) in [(0, 0xffff), (4, 0xffff), (0, 1), (4, 1)] {
        let mut world = room(3);
        world.pass(5 * SECOND);
        let before = world.members[0].head().sequence;
        let entries = world.claim_and_unknown(3, kind, 1_000);
        world.told(member, 60, entries);
        world.pass(3 * SECOND);
        world.agrees(1, 2);
        assert_eq!(world.left(0), None);
        assert_eq!(
            world.done_since(0, before),
            [("chair", person(3)), ("chair", person(1))],
            "{member} {kind:#x}"
        );
        assert_eq!(world.alive().count(), 6);
    }
}

#[test]
fn a_history_that_ends_in_a_claim_while_the_chair_is_heard_is_followed_by_nobody() {
    for member in [0, 4] {
        let mut world = room(3);
        world.does(0, retitle("a second entry"));
        world.does(0, retitle("a third"));
        world.pass(5 * SECOND);
        let log = world.members[0].log().expect("a log").clone();
        let ours = log.entries_after(0, usize::MAX).iter();
        let mut entries: Vec<_> = ours.map(|entry| entry.signed().clone()).collect();
        entries.extend(world.claim_and_unknown(3, 0xffff, 10));
        // A head that does not fit makes it a history that is asked for.
        let link = world.stranger(member, 60);
        let (sequence, hash) = (1, [9; 32]);
        let head = Head { sequence, hash };
        let hello = Hello {
            head,
            ..hello(60, |_| ())
        };
        world.say(member, link, Message::Hello(hello));
        let more = false;
        world.say(member, link, Message::Entries(Entries { entries, more }));
        world.pass(3 * SECOND);
        for at in 0..6 {
            assert_eq!(world.chair(at).0, person(1), "member {at}");
            assert_eq!(world.left(at), None, "member {at}");
        }
    }
}

#[test]
fn a_forged_entry_behind_a_claim_does_not_make_it_right() {
    let mut world = room(3);
    world.pass(5 * SECOND);
    let mut entries = world.claim_and_unknown(3, 1, 10);
    // As the host would take it back, but signed by somebody else.
    let claim = entries[0].peek().expect("well-formed");
    let head = Head {
        sequence: claim.sequence,
        hash: Entry::hash(&entries[0]),
    };
    let action = Action::new(
        claim.room,
        person(1),
        head,
        claim.clock,
        &Act::Chair { alone: false },
    );
    let action = Verified::sign(action, &key(1)).expect("well-formed");
    let back = Entry::new(claim.room, head, 2, person(1), claim.clock, action.signed());
    let back = Verified::sign(back, &key(1))
        .expect("well-formed")
        .signed()
        .clone();
    let mut forged = back.to_bytes().to_vec();
    *forged.last_mut().expect("bytes") ^= 1;
    entries[1] = Signed::from_bytes(&forged).expect("well-formed");
    world.members[4].handle(Input::Timeout, world.now);
    let before = world.chair(4);
    let link = world.stranger(4, 60);
    world.say(4, link, Message::Hello(hello(60, |_| ())));
    let message = Message::Entries(Entries {
        entries: entries.clone(),
        more: false,
    });
    let now = world.now;
    world.members[4].handle(Input::Message { link, message }, now);
    assert_eq!(world.chair(4), before);
    world.run();
    // The real one is followed at once.
    let mut world = room(3);
    world.pass(5 * SECOND);
    let claim = world.claim_of(3, 1);
    let head = Head {
        sequence: claim.peek().expect("well-formed").sequence,
        hash: Entry::hash(&claim),
    };
    let back = Entry::new(
        world.members[0].room(),
        head,
        2,
        person(1),
        claim.peek().expect("well-formed").clock,
        action.signed(),
    );
    let back = Verified::sign(back, &key(1))
        .expect("well-formed")
        .signed()
        .clone();
    let link = world.stranger(4, 60);
    world.say(4, link, Message::Hello(hello(60, |_| ())));
    let message = Message::Entries(Entries {
        entries: vec![claim, back],
        more: false,
    });
    let now = world.now;
    world.members[4].handle(Input::Message { link, message }, now);
    assert_eq!(world.chair(4).1, 2);
}

#[test]
fn strangers_with_histories_that_never_end_do_not_keep_two_halves_apart() {
    let mut world = room(13);
    let common = world.members[0].head().sequence;
    let half: Vec<usize> = (0..world.members.len()).filter(|at| at % 2 == 1).collect();
    world.part(half);
    world.pass(10 * SECOND);
    world.does(0, ban(13));
    world.does(1, ban(12));
    // Four strangers at each member, who have the same to tell for ever.
    let members: Vec<usize> = world.alive().collect();
    let endless = |sequence: u32| Head {
        sequence,
        hash: [9; 32],
    };
    let mut strangers = Vec::new();
    for at in members {
        for n in 0..4 {
            let seed = 100 + n;
            let link = world.stranger(at, seed);
            let head = endless(common);
            world.say(
                at,
                link,
                Message::Hello(Hello {
                    head,
                    ..hello(seed, |_| ())
                }),
            );
            let entries = world.claim_and_unknown(3, 1, 10);
            world.say(at, link, Message::Entries(Entries { entries, more: true }));
            strangers.push((at, link));
        }
    }
    world.part([]);
    for _ in 0..20 {
        for (at, link) in &strangers {
            if world.refusal_on(*link).is_none() {
                let entries = Vec::new();
                world.say(*at, *link, Message::Entries(Entries { entries, more: true }));
            }
        }
        world.pass(SECOND);
    }
    for at in world.alive() {
        assert_eq!(world.members[at].head(), world.members[0].head(), "member {at}");
    }
}

#[test]
fn what_was_lifted_or_has_run_out_in_the_other_half_is_not_carried() {
    let mut world = room(13);
    for seed in [10, 12] {
        world.does(0, Command::Invite(person(seed)));
        world.does(usize::from(seed) - 1, Command::Accept);
    }
    world.pass(SECOND);
    let half: Vec<usize> = (0..world.members.len()).filter(|at| at % 2 == 1).collect();
    world.part(half);
    world.pass(6 * SECOND);
    assert_eq!(world.chair(1), (person(2), 1));
    world.does(0, retitle("with the host"));
    world.does(1, mute(10));
    let (person_10, person_14) = (person(10), person(14));
    world.does(
        1,
        Command::Unmute {
            person: person_10,
            reason: String::new(),
        },
    );
    world.does(1, mute(12));
    world.does(
        1,
        Command::Ban {
            person: person_14,
            lasts: Some(2 * SECOND),
            reason: String::new(),
        },
    );
    world.pass(6 * SECOND);
    world.part([]);
    world.pass(10 * SECOND);
    let state = world.members[0].log().expect("a log").state();
    assert!(!state.mutes().contains_key(&person_10), "lifted");
    assert!(state.mutes().contains_key(&person(12)), "still in force");
    let clock = state.clock();
    assert!(state.exclusion(person_14, clock).is_none(), "over");
    world.holds_together();
}

#[test]
fn a_host_that_opened_its_room_alone_looks_on_and_undoes_nothing_of_what_was_done_without_it() {
    let mut world = room(12);
    let log = world.members[0].log().expect("a log").clone();
    world.kill(0);
    world.pass(6 * SECOND);
    world.agrees(2, 1);
    world.does(1, Command::Invite(person(10)));
    world.does(9, Command::Accept);
    // For a while the host reaches nobody.
    let host = world.members.len();
    world.apart = [host].into();
    world
        .members
        .push(Member::reopen(config(1), log, world.now).expect("the host"));
    world.run();
    world.pass(20 * SECOND);
    assert_eq!(world.chair(host), (person(1), 1), "alone");
    assert_eq!(world.chair(1), (person(2), 1), "without it");
    world.apart = [].into();
    world.pass(30 * SECOND);
    let term = world.chair(host).1;
    world.agrees(1, term);
    assert_eq!(
        world
            .alive()
            .filter(|at| *world.members[*at].place() == Place::Root)
            .count(),
        1
    );
    let log = world.members[1].log().expect("a log");
    assert!(
        log.state().stage().contains_key(&person(10)),
        "who was seated stays so"
    );
}

#[test]
fn a_co_host_that_was_cut_off_for_a_moment_is_not_alone_for_ever() {
    let mut world = room(12);
    world.kill(0);
    world.part([2]);
    world.pass(12 * SECOND);
    assert_eq!(world.chair(2).0, person(3), "alone, and the chair of nobody");
    world.part([]);
    world.pass(30 * SECOND);
    let (chair, term) = world.chair(5);
    assert_eq!(chair, person(2));
    world.agrees(2, term);
    world.holds_together();
}
