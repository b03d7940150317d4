//! Lies about places: false paths, free places that nobody gets, parents below their own children, and a crowd of
//! newcomers that want none.

use std::cell::Cell;

use futures::future::join_all;
use majlis::node::Config;
use majlis_protocol::{
    person::Peer,
    reason::Reason,
    wire::message::{Attach, Candidate, Message, Redirect},
};

use crate::support::{
    attacker::{Attacker, until},
    nodes::TestNode,
    rogue::{Conduct, Rogue},
    scene::{self, Scene},
};

/// Newcomers of the crowd: as many again as the host has places, emergency places included.
const CROWD: usize = 24;

/// How many looks in a row must find everyone in a place: a second of them.
const LOOKS: u32 = 50;

fn candidate(node: &TestNode) -> Candidate {
    Candidate {
        peer: node.node.peer(),
        addresses: node.node.addresses(),
    }
}

/// Gives whoever asks no place, and does not say so.
struct GivesNoPlace;

impl Conduct for GivesNoPlace {
    fn gives_places(&self) -> bool {
        false
    }
}

/// The path that a relay claims, of the host, its victim and itself.
type Lie = fn(Peer, Peer, Peer) -> Vec<Peer>;

#[tokio::test(flavor = "multi_thread")]
async fn a_parent_whose_path_turns_out_false_is_left_without_a_break() {
    // Through the one that it is told to, and one that does not end at its sender.
    let lies: [Lie; 2] = [
        |host, victim, relay| vec![host, victim, relay],
        |host, victim, _| vec![host, victim],
    ];
    for lie in lies {
        scene::during(async |scene: &mut Scene| {
            let relay = Rogue::enter(&scene.link).await;
            let victim = scene.seat("victim", &relay.link()).await;
            let link = scene.at(victim).link();
            scene.seat("below", &link).await;
            let host = scene.host.node.peer();
            scene.at(victim).has_in_reserve(host).await;
            let path = lie(host, scene.at(victim).peer(), relay.peer());
            relay.tell(|_| Message::Position(relay.position(path.clone())));
            scene.moves(victim, host).await;
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_claims_a_large_subtree_and_places_without_end_keeps_nobody_out() {
    let two_places = |config| Config {
        max_children: Some(2),
        ..config
    };
    scene::during_of(two_places, async |scene: &mut Scene| {
        let relay = Rogue::enter(&scene.link).await;
        relay.turn(GivesNoPlace);
        relay.tell_host(relay.claims(u32::MAX, u16::MAX)).await;
        until("the claim to be believed", async || {
            scene.counts().await.listeners > 1_000_000
        })
        .await;
        // The host is full with the listener and the liar, and sends newcomers to the liar first.
        let link = scene.link.clone();
        let newcomers = [scene.seat("one", &link).await, scene.seat("other", &link).await];
        for newcomer in newcomers {
            let parent = scene.at(newcomer).parent().await;
            assert!(parent.is_some_and(|parent| parent != relay.peer()), "{parent:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parent_that_wants_to_be_its_childs_child_is_refused() {
    scene::during(async |scene: &mut Scene| {
        let mut relay = Rogue::enter(&scene.link).await;
        let victim = scene.seat("victim", &relay.link()).await;
        relay.tell(|_| Message::Attach(Attach::join(8)));
        let refusal = relay.hears(|message| match message {
            Message::AttachRefused(refusal) => Some(refusal.reason),
            _ => None,
        });
        assert_eq!(refusal.await, Reason::Full);
        assert_eq!(scene.at(victim).parent().await, Some(relay.peer()));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_that_are_sent_to_each_other_do_not_become_each_others_parents() {
    scene::during(async |scene: &mut Scene| {
        let relay = Rogue::enter(&scene.link).await;
        let link = relay.link();
        let one = scene.seat("one", &link).await;
        let other = scene.seat("other", &link).await;
        let candidates = [one, other].map(|seated| candidate(&scene.at(seated).node));
        let [peer_of_one, _] = [one, other].map(|seated| scene.at(seated).peer());
        relay.tell(|child| {
            let is_one = Peer::from_peer_id_bytes(&child.to_bytes()) == Ok(peer_of_one);
            Message::Redirect(Redirect {
                candidates: vec![candidates[usize::from(is_one)].clone()],
                leaving: false,
            })
        });
        // At most one of the two finds its place with the other, which keeps the one that it has; when both refuse at the
        // same moment, both find theirs elsewhere.
        let [a, b] = [one, other].map(|seated| scene.at(seated).peer());
        let looks = Cell::new(0);
        until("both to have kept a place", async || {
            let parents = [scene.at(one).parent().await, scene.at(other).parent().await];
            assert_ne!(parents, [Some(b), Some(a)], "a loop");
            let are_placed = parents.iter().all(Option::is_some);
            looks.set(if are_placed { looks.get() + 1 } else { 0 });
            looks.get() == LOOKS
        })
        .await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_newcomers_keeps_nobody_out_and_takes_nothing_from_the_others() {
    scene::during(async |scene: &mut Scene| {
        let crowd = join_all((0..CROWD).map(|_| Attacker::start())).await;
        let link = &scene.link;
        let flood = join_all(crowd.into_iter().map(async |attacker| {
            let mut intruder = attacker.enter(link).await;
            intruder.wire.say(&Message::Attach(Attach::join(0))).await;
            let mut answer = None;
            intruder
                .hear_until("an answer", |message, _| {
                    answer = Some(match message {
                        Message::Attached(_) => true,
                        Message::Redirect(_) | Message::AttachRefused(_) => false,
                        _ => return false,
                    });
                    true
                })
                .await;
            (intruder, answer == Some(true))
        }));
        let flood = flood.await;
        let placed = flood.iter().filter(|(_, placed)| *placed).count();
        // One of the eight places is taken, the last four are kept for those who bring places, and no newcomer gets more.
        assert_eq!(placed, 3);
        let link = scene.link.clone();
        scene.seat("newcomer", &link).await;
        drop(flood);
    })
    .await;
}
