//! A parent that is not the host, and does with the sound what it likes. Whoever is below it loses nothing by it.

use std::collections::VecDeque;

use bytes::Bytes;
use majlis_protocol::{
    media::{FORGED_BOUND, Packet},
    wire::repair::{Known, Report},
};

use crate::support::{
    attacker::{altered, until},
    rogue::{Conduct, Rogue},
    scene::{self, Scene, Seated},
};

/// How many packets the relay alters, and how many it sends twice. Fewer than get it left.
const EACH: u64 = 60;

/// A relay below the host, a victim that takes its sound from it, and somebody below the victim.
async fn line(scene: &mut Scene) -> (Rogue, Seated, Seated) {
    let relay = Rogue::enter(&scene.link).await;
    let victim = scene.seat("victim", &relay.link()).await;
    assert_eq!(scene.at(victim).parent().await, Some(relay.peer()));
    let link = scene.at(victim).link();
    let below = scene.seat("below", &link).await;
    assert_eq!(
        scene.at(below).parent().await,
        Some(scene.at(victim).peer()),
        "it has places"
    );
    scene.at(victim).has_in_reserve(scene.host.node.peer()).await;
    (relay, victim, below)
}

/// Alters each packet, sends it, and sends it again; then forwards.
struct Spoils {
    left: u64,
    /// How often each is sent as it is meanwhile.
    copies: usize,
}

impl Conduct for Spoils {
    fn items(&mut self, packet: Bytes) -> Vec<Bytes> {
        if self.left == 0 {
            return vec![packet];
        }
        self.left -= 1;
        let mut items = vec![altered(&packet, packet.len() - 70)];
        items.extend(vec![packet; self.copies]);
        items
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_alters_sound_is_caught_and_what_is_genuine_is_heard() {
    scene::during(async |scene: &mut Scene| {
        let (relay, victim, _) = line(scene).await;
        let before = scene.at(victim).stats().await;
        relay.turn(Spoils {
            left: EACH,
            copies: 2,
        });
        until("all to be counted", async || {
            let stats = scene.at(victim).stats().await;
            stats.forged_dropped >= EACH && stats.duplicate_dropped >= before.duplicate_dropped + EACH
        })
        .await;
        let stats = scene.at(victim).stats().await;
        assert_eq!(
            (stats.forged_dropped, stats.duplicate_dropped),
            (EACH, before.duplicate_dropped + EACH),
            "{stats:?}"
        );
        assert_eq!(stats.parent, Some(relay.peer()), "so few are forgiven");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_goes_on_altering_sound_is_left_after_the_bound() {
    // Beside what is genuine, and in its place.
    for copies in [1, 0] {
        scene::during(async |scene: &mut Scene| {
            let (relay, victim, _) = line(scene).await;
            relay.turn(Spoils {
                left: u64::MAX,
                copies,
            });
            scene.moves(victim, scene.host.node.peer()).await;
            let forged = scene.at(victim).stats().await.forged_dropped;
            match copies {
                0 => assert!(forged > 0 && forged <= u64::from(FORGED_BOUND), "{forged}"),
                _ => assert_eq!(forged, u64::from(FORGED_BOUND)),
            }
        })
        .await;
    }
}

/// Says that it is there, and forwards nothing.
struct Withholds {
    /// Whether it says what it withholds.
    openly: bool,
}

impl Conduct for Withholds {
    fn items(&mut self, packet: Bytes) -> Vec<Bytes> {
        let packet = Packet::parse(packet).expect("the host's");
        let header = packet.header();
        let known = Known {
            tag: header.tag,
            epoch: header.epoch,
            newest: header.sequence + packet.frame_count() - 1,
            in_spurt: !header.end_of_spurt,
        };
        let report = Report {
            starving: false,
            promise_ms: 40,
            missed: 0,
            streams: if self.openly { vec![known] } else { vec![] },
        };
        vec![report.encode_heartbeat().expect("valid")]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_forwards_nothing_but_stays_connected_is_left() {
    for openly in [true, false] {
        scene::during(async |scene: &mut Scene| {
            let (relay, victim, _) = line(scene).await;
            relay.turn(Withholds { openly });
            scene.moves(victim, scene.host.node.peer()).await;
            assert!(relay.items() > 0, "it went on saying that it is there");
        })
        .await;
    }
}

/// Does not forward every tenth packet.
struct DropsEveryTenth {
    packets: u64,
}

impl Conduct for DropsEveryTenth {
    fn items(&mut self, packet: Bytes) -> Vec<Bytes> {
        self.packets += 1;
        let is_dropped = self.packets.is_multiple_of(10);
        if is_dropped { vec![] } else { vec![packet] }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_drops_every_tenth_packet_is_left() {
    scene::during(async |scene: &mut Scene| {
        let (relay, victim, _) = line(scene).await;
        relay.turn(DropsEveryTenth { packets: 0 });
        scene.moves(victim, scene.host.node.peer()).await;
        let repaired = scene.at(victim).stats().await.pulled_packets;
        assert!(repaired > 0, "what it dropped came from the host");
    })
    .await;
}

/// Forwards half a second of packets, and then those again and again in place of new ones.
#[derive(Default)]
struct Replays {
    kept: VecDeque<Bytes>,
}

impl Conduct for Replays {
    fn items(&mut self, packet: Bytes) -> Vec<Bytes> {
        if self.kept.len() < 25 {
            self.kept.push_back(packet.clone());
            return vec![packet];
        }
        self.kept.rotate_left(1);
        vec![self.kept[0].clone()]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_replays_old_packets_in_place_of_new_ones_is_left() {
    scene::during(async |scene: &mut Scene| {
        let (relay, victim, below) = line(scene).await;
        let before = scene.at(below).stats().await;
        relay.turn(Replays::default());
        scene.moves(victim, scene.host.node.peer()).await;
        assert!(scene.at(victim).stats().await.duplicate_dropped > 0);
        let stats = scene.at(below).stats().await;
        assert_eq!(
            stats.stale_dropped, before.stale_dropped,
            "nothing old was passed on"
        );
    })
    .await;
}
