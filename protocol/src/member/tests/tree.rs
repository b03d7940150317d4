//! Whole trees of members in virtual time: they find their places, lose relays and roots, and find them again.

use super::*;
use crate::{
    media::Complaint,
    wire::message::{Attached, Position, Redirect, Slot, Welcome},
};

const SECOND: Duration = Duration::from_secs(1);

/// A room of a host with this many places, and so many members with as many, who reach each other.
pub(super) fn grown(members: u8, places: usize) -> World {
    let mut world = World::hosted();
    world.dials = true;
    world.members.clear();
    world.seen.clear();
    let host = Config {
        max_children: places,
        ..config(1)
    };
    world
        .members
        .push(Member::host(host, genesis(), Duration::ZERO).expect("a host"));
    world.run();
    for seed in 2..2 + members {
        world.grow(seed, places);
    }
    world.pass(5 * SECOND);
    world
}

impl World {
    pub(super) fn grow(&mut self, seed: u8, places: usize) -> usize {
        let config = Config {
            max_children: places,
            ..config(seed)
        };
        let room = RoomId::of(&genesis());
        self.members
            .push(Member::join(config, room, None, self.now).expect("a member"));
        self.run();
        self.pass(SECOND / 10);
        self.members.len() - 1
    }

    fn at(&self, peer: Peer) -> usize {
        self.members
            .iter()
            .position(|member| member.config.peer == peer)
            .expect("a member")
    }

    pub(super) fn alive(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.members.len()).filter(|at| !self.dead.contains(at) && !self.members[*at].has_left())
    }

    fn children(&self, parent: usize) -> Vec<usize> {
        let peer = self.members[parent].config.peer;
        self.alive()
            .filter(|at| self.members[*at].parent() == Some(peer))
            .collect()
    }

    /// Ends a member without a word; its links are gone at once.
    pub(super) fn kill(&mut self, member: usize) {
        self.dead.insert(member);
        let links: Vec<Neighbour> = self
            .owners
            .iter()
            .filter(|(_, owner)| **owner == member)
            .map(|(link, _)| *link)
            .collect();
        for link in links {
            self.cut(link);
        }
    }

    /// Every member that lives hangs below the root, on paths that are true.
    pub(super) fn holds_together(&self) {
        let root = self
            .alive()
            .find(|at| *self.members[*at].place() == Place::Root)
            .expect("a root");
        for at in self.alive().filter(|at| *at != root) {
            let (mut up, mut hops) = (at, 0);
            while up != root {
                let parent = self.members[up].parent();
                up = self.at(parent.unwrap_or_else(|| panic!("member {up} hangs nowhere")));
                hops += 1;
                assert!(hops <= self.members.len(), "a loop above {at}");
            }
            assert_eq!(
                self.members[at].place().depth() as usize,
                hops,
                "the path of {at}"
            );
        }
    }

    fn last_parent(&self, member: usize) -> Option<&Event> {
        let events = self.events(member);
        events
            .into_iter()
            .rfind(|event| matches!(event, Event::Parent { .. }))
    }
}

#[test]
fn sixty_members_of_four_places_stand_within_four_hops_and_no_place_is_exceeded() {
    let world = grown(60, 4);
    world.holds_together();
    for at in world.alive() {
        assert!(world.members[at].children() <= 4, "member {at}");
        assert!(world.members[at].place().depth() <= 4, "member {at}");
    }
    assert_eq!(world.members[0].children(), 4);
    assert_eq!(world.members[0].tree().members(), 61);
    assert_eq!(world.members[0].listeners(), 60);
    let everywhere = world
        .alive()
        .filter(|at| world.members[*at].listeners() >= 55)
        .count();
    assert_eq!(everywhere, 61, "the census reaches all");
}

#[test]
fn each_members_standby_is_neither_below_it_nor_below_its_parent() {
    let world = grown(40, 4);
    let mut stood_by = BTreeMap::<Peer, usize>::new();
    for at in world.alive() {
        let member = &world.members[at];
        if member.place().depth() < 2 {
            continue;
        }
        let standby = member
            .standby()
            .unwrap_or_else(|| panic!("member {at} has no standby"));
        *stood_by.entry(standby).or_default() += 1;
        let path = world.members[world.at(standby)].place().path();
        assert!(!path.contains(&member.config.peer) && !path.contains(&member.parent().expect("a parent")));
    }
    assert!(stood_by.values().all(|count| *count <= 16), "{stood_by:?}");
}

#[test]
fn the_children_of_a_relay_that_dies_turn_to_their_standbys_at_once() {
    let mut world = grown(40, 4);
    let relay = world
        .alive()
        .filter(|at| *at != 0)
        .max_by_key(|at| world.children(*at).len())
        .expect("a relay");
    let orphans = world.children(relay);
    assert!(orphans.len() >= 3);
    let standbys: Vec<Option<Peer>> = orphans.iter().map(|at| world.members[*at].standby()).collect();
    world.kill(relay);
    for (orphan, standby) in orphans.iter().zip(standbys) {
        assert_eq!(
            world.members[*orphan].parent(),
            standby,
            "without waiting for anything"
        );
        let event = world.last_parent(*orphan);
        assert!(
            matches!(
                event,
                Some(Event::Parent {
                    why: Why::Failover,
                    ..
                })
            ),
            "{event:?}"
        );
    }
    world.holds_together();
    world.pass(10 * SECOND);
    world.holds_together();
    for at in world.alive() {
        let excess = world.members[at].children().saturating_sub(4);
        assert_eq!(excess, 0, "member {at} still has an emergency");
    }
}

#[test]
fn a_parent_that_falls_silent_is_left_for_the_standby_without_a_break() {
    let mut world = grown(20, 4);
    let child = world
        .alive()
        .find(|at| world.members[*at].standby().is_some() && world.members[*at].place().depth() > 1)
        .expect("a child with a standby");
    let standby = world.members[child].standby();
    let link = world.members[child].place().parent().expect("a parent");
    let old = world.members[child].parent().expect("a parent");
    let complaint = Complaint::Silent;
    world.members[child].handle(Input::Parting { link, complaint }, world.now);
    world.run();
    assert_eq!(world.members[child].parent(), standby);
    assert!(
        world
            .outputs(child)
            .all(|output| *output != Output::Route(Route::Parent(None))),
        "it was never without a parent"
    );
    assert!(
        world.members[world.at(old)]
            .people()
            .any(|p| p.person == person(child as u8 + 1)),
        "kept for a moment"
    );
    world.pass(SECOND);
    world.holds_together();
    assert!(!world.children(world.at(old)).contains(&child));
}

#[test]
fn who_leaves_goes_on_serving_until_its_children_have_moved() {
    let mut world = grown(20, 4);
    let relay = world
        .alive()
        .filter(|at| *at != 0)
        .max_by_key(|at| world.children(*at).len())
        .expect("a relay");
    let children = world.children(relay);
    assert!(!children.is_empty());
    world.members[relay].handle(Input::Leave, world.now);
    world.run();
    assert_eq!(world.left(relay), None, "the former parent is kept for a moment");
    world.pass(SECOND);
    assert_eq!(world.left(relay), Some(&Left::Interrupted));
    for child in children {
        let event = world.last_parent(child);
        assert!(
            matches!(
                event,
                Some(Event::Parent {
                    peer: Some(_),
                    why: Why::Left,
                    ..
                })
            ),
            "{event:?}"
        );
        let gaps = world
            .outputs(child)
            .filter(|output| **output == Output::Route(Route::Parent(None)));
        assert_eq!(gaps.count(), 0, "without a moment without a parent");
    }
    world.holds_together();
}

#[test]
fn who_leaves_does_not_wait_for_children_that_will_not_go() {
    let mut world = World::hosted();
    let (relay, _) = world.joined(2);
    let link = world.stranger(relay, 9);
    world.say(relay, link, Message::Hello(hello(9, |_| ())));
    world.say(relay, link, Message::Attach(Attach::join(0)));
    world.members[relay].handle(Input::Leave, world.now);
    world.run();
    assert_eq!(world.left(relay), None);
    assert!(
        world
            .said(link)
            .iter()
            .any(|message| matches!(message, Message::Redirect(Redirect { leaving: true, .. })))
    );
    world.pass(2 * SECOND);
    assert_eq!(world.left(relay), Some(&Left::Interrupted));
}

#[test]
fn when_the_root_dies_its_heir_takes_its_part_and_all_hang_below_it() {
    let mut world = grown(20, 4);
    let heir = world.members[0].chairing.fallback.expect("an heir");
    world.kill(0);
    world.pass(2 * SECOND);
    let heir = world.at(heir);
    assert_eq!(world.members[heir].place(), &Place::Root);
    world.holds_together();
    let moved = Event::Root(world.members[heir].config.peer);
    for at in world.alive() {
        assert!(world.events(at).contains(&&moved), "member {at}");
        assert_eq!(world.left(at), None);
    }
}

#[test]
fn no_parent_makes_a_member_its_own_root_by_a_lie() {
    let mut world = World::hosted();
    let victim = world.newcomer(2);
    let link = welcomed(&mut world, victim, 9);
    let position = Position {
        path: vec![Peer([9; 32])],
        fallback: Some(config(2).candidate()),
        ..Position::default()
    };
    let slot = Slot::Child;
    world.say(victim, link, Message::Attached(Attached { slot, position }));
    assert_eq!(world.members[victim].parent(), Some(Peer([9; 32])));
    world.cut(link);
    assert_eq!(world.members[victim].place(), &Place::Seeking);
}

#[test]
fn two_that_are_sent_to_each_other_make_no_loop_and_neither_is_ever_without_a_parent() {
    let mut world = grown(20, 4);
    let parent = world
        .alive()
        .find(|at| *at != 0 && world.children(*at).len() >= 2)
        .expect("a parent");
    let pair = [world.children(parent)[0], world.children(parent)[1]];
    let from = world.seen.len();
    for (child, other) in [(pair[0], pair[1]), (pair[1], pair[0])] {
        let link = world.members[child].place().parent().expect("a parent");
        let candidates = vec![world.members[other].config.candidate()];
        let redirect = Redirect {
            candidates,
            leaving: false,
        };
        world.members[child].handle(
            Input::Message {
                link,
                message: Message::Redirect(redirect),
            },
            world.now,
        );
    }
    world.run();
    world.pass(2 * SECOND);
    world.holds_together();
    let gaps = world.seen[from..]
        .iter()
        .filter(|(_, output)| *output == Output::Route(Route::Parent(None)));
    assert_eq!(gaps.count(), 0);
}

#[test]
fn a_path_that_turns_into_a_loop_is_left() {
    let mut world = grown(20, 4);
    let child = world
        .alive()
        .find(|at| world.members[*at].place().depth() == 2)
        .expect("a child");
    let link = world.members[child].place().parent().expect("a parent");
    let parent = world.members[child].parent().expect("a parent");
    let position = Position {
        path: vec![Peer([1; 32]), world.members[child].config.peer, parent],
        ..Position::default()
    };
    world.say(child, link, Message::Position(position));
    assert_ne!(world.members[child].parent(), Some(parent));
    world.pass(2 * SECOND);
    world.holds_together();
}

#[test]
fn a_room_of_leaves_has_the_hosts_places_and_no_more() {
    let world = grown(4, 0);
    assert_eq!(world.members[0].children(), 0, "a host without places");
    let mut world = World::hosted();
    world.dials = true;
    for seed in 2..=5 {
        world.grow(seed, 0);
    }
    let late = world.grow(6, 0);
    world.pass(SEEK_LIMIT + 2 * SECOND);
    assert!(world.members[0].children() <= 4 + 2);
    let left = world.left(late);
    assert!(left.is_none_or(|left| matches!(left, Left::Refused(refusal) if refusal.reason == Reason::Full)));
}

#[test]
fn a_listener_deep_in_the_tree_is_invited_accepts_and_feeds_the_root_and_its_heir() {
    let mut world = grown(20, 3);
    let deep = world
        .alive()
        .max_by_key(|at| world.members[*at].place().depth())
        .expect("members");
    assert!(world.members[deep].place().depth() >= 2);
    let guest = world.members[deep].config.key.person();
    world.command(0, Command::Invite(guest)).expect("the host may");
    world.command(deep, Command::Accept).expect("invited");
    assert_eq!(world.members[deep].role(), Role::Speaker);
    world.pass(SECOND);
    let heir = world.members[0].chairing.fallback.expect("an heir");
    let mut fed: BTreeMap<Neighbour, Peer> = BTreeMap::new();
    for output in world.outputs(deep) {
        if let Output::Route(Route::Uplink { link, added }) = output {
            let peer = world.members[deep].tree().peer(*link);
            match (added, peer) {
                (true, Some(peer)) => _ = fed.insert(*link, peer),
                _ => _ = fed.remove(link),
            }
        }
    }
    let fed: BTreeSet<Peer> = fed.into_values().collect();
    let expected: BTreeSet<Peer> = [Peer([1; 32]), heir]
        .into_iter()
        .filter(|peer| *peer != world.members[deep].config.peer)
        .collect();
    assert_eq!(fed, expected);
    let tag = world.members[0].log().expect("a log").state().stage()[&guest].tag;
    for root in [0, world.at(heir)] {
        let sourced = |output: &&Output| matches!(output, Output::Route(Route::Source { tag: t, link: Some(_) }) if *t == tag);
        assert!(
            world.outputs(root).any(|output| sourced(&output)) || root == deep,
            "root {root}"
        );
    }
    world.holds_together();
}

#[test]
fn the_chairs_farewell_reaches_everyone_at_once() {
    let mut world = grown(20, 3);
    world.members[0].handle(Input::Leave, world.now);
    world.run();
    for at in 1..world.members.len() {
        assert_eq!(world.left(at), Some(&Left::Unreachable), "member {at}");
    }
}

#[test]
fn with_someone_else_on_the_stage_the_room_goes_on_without_its_chair() {
    let mut world = grown(10, 3);
    let guest = world.members[5].config.key.person();
    world.command(0, Command::Invite(guest)).expect("the host may");
    world.command(5, Command::Accept).expect("invited");
    world.members[0].handle(Input::Leave, world.now);
    world.run();
    world.dead.insert(0);
    world.pass(3 * SECOND);
    for at in 1..world.members.len() {
        assert_eq!(world.left(at), None, "member {at}");
    }
    world.holds_together();
    world.pass(CHAIR_LIMIT);
    for at in 1..world.members.len() {
        assert_eq!(world.left(at), Some(&Left::Unreachable), "not for ever");
    }
}

#[test]
fn a_place_that_falls_free_near_the_root_is_taken_from_below() {
    let mut world = grown(20, 3);
    let relay = world.children(0)[0];
    world.kill(relay);
    world.pass(15 * SECOND);
    world.holds_together();
    assert_eq!(world.members[0].children(), 3, "the root has no free place");
}

#[test]
fn a_relay_that_has_proven_itself_takes_the_place_of_a_leaf() {
    let mut world = World::hosted();
    world.dials = true;
    for seed in 2..=4 {
        world.grow(seed, 0);
    }
    // They are no newcomers any more, whose places are anybody's who brings some.
    world.pass(31 * SECOND);
    // One relay at the host, below it another, below that one a listener.
    let first = world.grow(5, 1);
    let second = world.grow(6, 4);
    let third = world.grow(7, 0);
    assert_eq!(
        world.members[second].parent(),
        Some(world.members[first].config.peer)
    );
    assert_eq!(
        world.members[third].parent(),
        Some(world.members[second].config.peer)
    );
    world.pass(90 * SECOND);
    assert_eq!(
        world.members[second].parent(),
        Some(Peer([1; 32])),
        "it stands at the host now"
    );
    let event = world.last_parent(second);
    assert!(
        matches!(event, Some(Event::Parent { why: Why::Better, .. })),
        "{event:?}"
    );
    assert!(world.members[0].children() <= 4);
    world.holds_together();
}

/// A link that a member opened to a stranger, who has welcomed it.
pub(super) fn welcomed(world: &mut World, member: usize, seed: u8) -> Neighbour {
    let link = world.asked(member, seed);
    let greeting = hello(seed, |_| ());
    let welcome = Welcome {
        genesis: genesis().signed().clone(),
        certificate: greeting.certificate,
        profile: greeting.profile,
        alias: Alias(0),
        head: world.members[0].head(),
        beacon: None,
        addresses: vec![],
        extensions: vec![],
    };
    world.say(member, link, Message::Welcome(welcome));
    link
}

#[test]
fn who_moved_into_a_loop_goes_back_to_the_parent_that_it_had() {
    let mut world = grown(20, 4);
    let child = world
        .alive()
        .find(|at| world.members[*at].place().depth() == 2)
        .expect("a child");
    let me = world.members[child].config.peer;
    let (before, link) = (
        world.members[child].parent(),
        world.members[child].place().parent(),
    );
    let redirect = Redirect {
        candidates: vec![config(99).candidate()],
        leaving: false,
    };
    // The test itself is whom it dials.
    world.dials = false;
    world.say(child, link.expect("a parent"), Message::Redirect(redirect));
    let stranger = welcomed(&mut world, child, 99);
    let mut position = Position {
        path: vec![Peer([1; 32]), Peer([99; 32])],
        ..Position::default()
    };
    let slot = Slot::Child;
    world.say(
        child,
        stranger,
        Message::Attached(Attached {
            slot,
            position: position.clone(),
        }),
    );
    assert_eq!(world.members[child].parent(), Some(Peer([99; 32])));
    position.path.insert(1, me);
    world.say(child, stranger, Message::Position(position));
    assert_eq!(world.members[child].parent(), before);
    world.dials = true;
    let gaps = world
        .outputs(child)
        .filter(|output| **output == Output::Route(Route::Parent(None)));
    assert_eq!(gaps.count(), 0, "it was never without a parent");
    world.pass(SECOND);
    world.holds_together();
}

#[test]
fn an_uplink_decides_over_the_places_once_the_rooms_bitrate_is_known() {
    let mut world = World::hosted();
    let wide = Config {
        max_children: 100,
        ..config(2)
    };
    let mut member = Member::join(wide, RoomId::of(&genesis()), None, world.now).expect("a member");
    // Five megabits carry 36 of a room whose speakers send 32 kbit/s.
    member.set_uplink(5_000_000, world.now);
    assert_eq!(member.tree().capacity(), 100, "the bitrate is not known yet");
    world.members.push(member);
    world.connect(1, 0);
    assert_eq!(world.members[1].place().depth(), 1);
    assert_eq!(world.members[1].tree().capacity(), 36);

    world.members[0].set_uplink(5_000_000, world.now);
    assert_eq!(
        world.members[0].tree().capacity(),
        4,
        "it never offers more than it was told to"
    );
    world.members[0].set_uplink(200_000, world.now);
    assert_eq!(world.members[0].tree().capacity(), 1);
}

#[test]
fn an_orphan_that_its_standby_refuses_asks_others_and_not_the_same_again_at_once() {
    let mut world = grown(20, 4);
    let orphan = world
        .alive()
        .find(|at| world.members[*at].place().depth() == 2 && world.members[*at].standby().is_some())
        .expect("a listener with a standby");
    let parent = world.members[orphan].place().parent().expect("a parent");
    let standby = world.members[orphan].tree().standby().expect("a standby");
    // From here on the test plays all others.
    world.dials = false;
    world.links.clear();
    let before = world.seen.len();
    world.members[orphan].handle(Input::LinkDown { link: parent }, world.now);
    world.run();
    for _ in 0..3 {
        let full = refusal(Reason::Full, "no place");
        world.say(orphan, standby, Message::AttachRefused(full));
    }
    let outputs = || world.seen[before..].iter().map(|(_, output)| output);
    let asked = outputs().filter(|output| {
        matches!(output, Output::Send { to, message } if *to == standby
            && matches!(&**message, Message::Attach(attach) if attach.slot == Slot::Child))
    });
    assert_eq!(asked.count(), 1);
    let dials = outputs().any(|output| {
        matches!(
            output,
            Output::Dial {
                errand: Errand::Place,
                ..
            }
        )
    });
    assert!(dials, "its elders and the root are asked");
}

#[test]
fn a_relay_whose_line_is_strained_sends_some_of_its_children_below_and_takes_more_again_later() {
    let mut world = grown(30, 4);
    let capacity = |world: &World| world.members[0].tree().capacity();
    assert_eq!((world.members[0].children(), capacity(&world)), (4, 4));
    world.members[0].handle(Input::Strained, world.now);
    world.run();
    assert_eq!(capacity(&world), 3);
    world.pass(10 * SECOND);
    world.holds_together();
    assert_eq!(world.members[0].children(), 3, "one has found a place below");
    let lost = |at: usize| {
        world
            .outputs(at)
            .any(|output| *output == Output::Route(Route::Parent(None)))
    };
    assert!(world.alive().all(|at| !lost(at)), "nobody was without a parent");

    for _ in 0..10 {
        world.members[0].handle(Input::Strained, world.now);
        world.run();
    }
    assert_eq!(capacity(&world), 1, "never fewer");
    world.pass(20 * SECOND);
    world.holds_together();
    assert_eq!(capacity(&world), 1);
    world.pass(600 * SECOND);
    assert_eq!(capacity(&world), 4, "it carries them again");
    world.holds_together();
}

impl World {
    /// A member sleeps: it hears nothing and does nothing, and others give up on its links. They are what it finds
    /// broken when it wakes.
    fn sleep(&mut self, member: usize) -> Vec<Neighbour> {
        self.dead.insert(member);
        let owned = self.owners.iter().filter(|(_, owner)| **owner == member);
        let links: Vec<Neighbour> = owned.map(|(link, _)| *link).collect();
        for link in &links {
            if let Some((other, theirs)) = self.links.remove(link) {
                self.links.remove(&theirs);
                self.members[other].handle(Input::LinkDown { link: theirs }, self.now);
            }
        }
        self.run();
        links
    }

    fn wake(&mut self, member: usize, links: Vec<Neighbour>) {
        self.dead.remove(&member);
        // Whatever comes first.
        self.members[member].handle(Input::Timeout, self.now);
        for link in links {
            self.members[member].handle(Input::LinkDown { link }, self.now);
        }
        self.run();
    }
}

#[test]
fn a_member_that_slept_is_back_in_its_role_however_long_it_was() {
    for asleep in [31 * SECOND, 600 * SECOND] {
        let mut world = grown(20, 4);
        let sleeper = world
            .alive()
            .find(|at| !world.children(*at).is_empty() && world.members[*at].place().depth() == 2)
            .expect("a relay");
        let invite = Command::Invite(person(sleeper as u8 + 1));
        world.command(0, invite).expect("the host may");
        world.command(sleeper, Command::Accept).expect("it was invited");
        let links = world.sleep(sleeper);
        world.pass(asleep);
        world.holds_together();
        world.wake(sleeper, links);
        world.pass(5 * SECOND);
        assert_eq!(world.left(sleeper), None);
        assert_eq!(world.members[sleeper].role(), Role::Speaker);
        world.holds_together();
    }
}

#[test]
fn a_member_that_falls_asleep_while_it_looks_for_a_place_looks_on_when_it_wakes() {
    let mut world = grown(0, 4);
    world.grow(2, 0);
    let hosts = world.sleep(0);
    world.pass(10 * SECOND);
    assert_eq!(*world.members[1].place(), Place::Seeking);
    let links = world.sleep(1);
    world.pass(60 * SECOND);
    world.wake(0, hosts);
    world.wake(1, links);
    world.pass(5 * SECOND);
    assert_eq!(world.left(1), None);
    world.holds_together();
}

#[test]
fn who_brings_places_is_let_in_where_leaves_have_taken_all_and_a_leaf_moves_below_it() {
    let mut world = grown(0, 4);
    let leaves: Vec<usize> = (2..6).map(|seed| world.grow(seed, 0)).collect();
    assert_eq!(world.children(0), leaves);
    let relay = world.grow(6, 4);
    world.pass(10 * SECOND);
    assert_eq!(world.children(0).len(), 4);
    assert_eq!(world.children(relay).len(), 1);
    world.holds_together();
}

#[test]
fn a_leaf_leaves_the_last_half_of_the_places_to_relays_while_there_is_room_below() {
    let mut world = grown(3, 4);
    assert_eq!(world.children(0).len(), 3);
    let leaves: Vec<usize> = (5..10).map(|seed| world.grow(seed, 0)).collect();
    assert_eq!(world.children(0).len(), 3, "one place is kept");
    assert!(
        leaves
            .iter()
            .all(|leaf| world.members[*leaf].place().depth() == 2)
    );
    let relay = world.grow(10, 4);
    assert!(world.children(0).contains(&relay));
    world.holds_together();
}

#[test]
fn a_newcomer_that_brings_places_takes_that_of_a_leaf_that_has_just_come_and_of_no_other() {
    let mut world = grown(0, 4);
    let leaves: Vec<usize> = (2..6).map(|seed| world.grow(seed, 0)).collect();
    let relays = [6, 7].map(|seed| world.grow(seed, 4));
    world.pass(10 * SECOND);
    assert!(
        relays.iter().all(|relay| world.children(0).contains(relay)),
        "though there is room below the first of them"
    );
    assert_eq!(world.children(0).len(), 4);
    assert!(
        leaves
            .iter()
            .all(|leaf| world.members[*leaf].place().depth() <= 2)
    );
    world.pass(30 * SECOND);
    let late = world.grow(8, 4);
    assert_eq!(world.members[late].place().depth(), 2);
    world.holds_together();
}

#[test]
fn a_standby_that_was_the_parent_and_sends_it_elsewhere_late_stays_the_standby() {
    let mut world = grown(20, 4);
    let child = world
        .alive()
        .find(|at| world.members[*at].standby().is_some())
        .expect("a child with a standby");
    let standby = world.members[child].standby();
    let link = world.members[child].tree().standby().expect("a standby");
    let message = Message::Redirect(Redirect {
        candidates: vec![],
        leaving: false,
    });
    world.members[child].handle(Input::Message { link, message }, world.now);
    world.run();
    assert_eq!(world.members[child].standby(), standby);
    world.holds_together();
}
