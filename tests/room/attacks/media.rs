//! Sound that is not what it says: forged, altered, replayed, late, elsewhere, malformed, or too much.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use majlis::event::Event;
use majlis_protocol::{
    media::{FORGED_BOUND, Packet, Tag, WINDOW},
    person::PersonKey,
    reason::Reason,
    room::RoomId,
    wire::{
        datagram::{Datagram, Item},
        message::Alias,
    },
};

use crate::support::{
    attacker::{Attacker, Says, altered, datagram, within},
    nodes::wait_for,
    scene::{self, Scene},
};

/// What a listener that may not speak would send as the host.
fn as_the_host(scene: &Scene, sequence: u32) -> Says {
    Says {
        tag: scene.hosts_tag(),
        epoch: u32::MAX,
        sequence,
        log: 0,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_sends_sound_as_the_host_is_refused() {
    scene::during(async |scene: &mut Scene| {
        let intruder = scene.intruder().await;
        let packets: Vec<Bytes> = (0..400)
            .map(|n| as_the_host(scene, n * 1_000_000).signed(&intruder.attacker.key, scene.link.room))
            .map(|packet| intruder.datagram(&[&packet]))
            .collect();
        let before = scene.counts().await;
        let refused = intruder
            .fire(&packets, async || scene.counts().await.refused_dropped)
            .await;
        assert_eq!(refused, 400);
        let after = scene.counts().await;
        assert_eq!(
            (before.forged_dropped, after.forged_dropped),
            (0, 0),
            "not worth a signature check"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_said_no_hello_and_an_unknown_alias_are_refused() {
    scene::during(async |scene: &mut Scene| {
        let intruder = scene.intruder().await;
        let packet = as_the_host(scene, 1).signed(&intruder.attacker.key, scene.link.room);
        let elsewhere = vec![datagram(Alias(0xfffe), &[&packet]); 40];
        let refused = async || scene.counts().await.refused_dropped;
        assert_eq!(intruder.fire(&elsewhere, refused).await, 40);

        let mut stranger = Attacker::start().await.enter(&scene.link).await;
        stranger.wire = stranger.attacker.open(stranger.at).await;
        let here = vec![stranger.datagram(&[&packet]); 40];
        assert_eq!(stranger.fire(&here, refused).await, 40);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_speakers_forged_altered_and_misdirected_packets_are_counted_and_silence_nobody() {
    scene::during(async |scene: &mut Scene| {
        let (intruder, says) = scene.speaker().await;
        let (key, room) = (&intruder.attacker.key, scene.link.room);
        let other_key = PersonKey::from_seed(&[3; 32]);
        let good = says.signed(key, room);
        let packets: Vec<Bytes> = (0..20)
            .flat_map(|n| {
                [
                    says.at(n).signed(&other_key, room),
                    // The last bytes are the signature, those before it the sound.
                    altered(&good, good.len() - 1 - n as usize * 3),
                    says.at(n).signed(key, RoomId([4; 32])),
                    // Would move the window so far that everything after it is stale.
                    says.at(u32::MAX - n).signed(&other_key, room),
                ]
            })
            .map(|packet| intruder.datagram(&[&packet]))
            .collect();
        let forged = intruder
            .fire(&packets, async || scene.counts().await.forged_dropped)
            .await;
        assert_eq!(forged, 80);

        // Not one of them moved anything: the speaker's own first words are still new.
        let before = scene.counts().await;
        let own: Vec<Bytes> = (0..8)
            .map(|n| intruder.datagram(&[&says.at(n).signed(key, room)]))
            .collect();
        let me = intruder.attacker.person();
        let received = async || {
            let stats = scene.there.info().await.expect("stays").stats;
            let mine = stats.streams.iter().find(|stream| stream.speaker == me);
            mine.map_or(0, |stream| stream.received)
        };
        assert_eq!(intruder.fire(&own, received).await, 8);
        let after = scene.counts().await;
        assert_eq!(
            before.stale_dropped + before.duplicate_dropped,
            after.stale_dropped + after.duplicate_dropped
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_speaker_that_goes_on_forging_is_cut_off_after_the_bound() {
    scene::during(async |scene: &mut Scene| {
        let (mut intruder, says) = scene.speaker().await;
        let other_key = PersonKey::from_seed(&[3; 32]);
        let packets: Vec<Bytes> = (0..160)
            .map(|n| intruder.datagram(&[&says.at(n).signed(&other_key, scene.link.room)]))
            .collect();
        let before = scene.counts().await;
        intruder
            .fire(&packets, async || {
                let counts = scene.counts().await;
                counts.forged_dropped + counts.refused_dropped
            })
            .await;
        let after = scene.counts().await;
        let bound = u64::from(FORGED_BOUND);
        assert_eq!(after.forged_dropped - before.forged_dropped, bound);
        assert_eq!(after.refused_dropped - before.refused_dropped, 160 - bound);
        assert_eq!(intruder.wire.hear_refusal().await, Some(Reason::Malformed));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_speakers_replays_are_duplicates_and_its_old_epochs_stale() {
    scene::during(async |scene: &mut Scene| {
        let (intruder, says) = scene.speaker().await;
        let (key, room) = (&intruder.attacker.key, scene.link.room);
        let newest = Says {
            epoch: 2_000,
            sequence: WINDOW + 100,
            ..says
        };
        let first = intruder.datagram(&[&newest.signed(key, room)]);
        let me = intruder.attacker.person();
        let heard = async || {
            let stats = scene.there.info().await.expect("stays").stats;
            stats.streams.iter().filter(|stream| stream.speaker == me).count() as u64
        };
        intruder.fire(std::slice::from_ref(&first), heard).await;

        let duplicates = async || scene.counts().await.duplicate_dropped;
        assert_eq!(intruder.fire(&vec![first; 40], duplicates).await, 40);
        let late: Vec<Bytes> = (0..40)
            .map(|n| match n % 2 {
                0 => Says {
                    epoch: 1_999,
                    sequence: n + WINDOW * 2,
                    ..says
                },
                _ => newest.at(n),
            })
            .map(|says| intruder.datagram(&[&says.signed(key, room)]))
            .collect();
        let stale = async || scene.counts().await.stale_dropped;
        assert_eq!(intruder.fire(&late, stale).await, 40);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_speaker_that_sends_too_much_is_held_to_its_budget() {
    scene::during(async |scene: &mut Scene| {
        let witness = scene.intruder().await;
        let (intruder, says) = scene.speaker().await;
        let me = says.tag;
        // Everything that the host passes on to a child, of this speaker.
        let link = witness.attacker.network.links(witness.at).pop().expect("QUIC");
        let passed = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&passed);
        let counting = tokio::spawn(async move {
            while let Ok(datagram) = link.recv().await {
                let passed = sequences_of(datagram, me).len() as u64;
                counter.fetch_add(passed, Ordering::Relaxed);
            }
        });
        let packets: Vec<Bytes> = (0..400)
            .map(|n| intruder.datagram(&[&says.at(n).signed(&intruder.attacker.key, scene.link.room)]))
            .collect();
        intruder
            .fire(&packets, async || {
                let dropped = scene.counts().await.overflow_dropped;
                dropped + passed.load(Ordering::Relaxed)
            })
            .await;
        let dropped = scene.counts().await.overflow_dropped;
        let passed = passed.load(Ordering::Relaxed);
        assert_eq!(dropped + passed, 400);
        assert!(passed >= 60, "a second of burst is allowed: {passed}");
        assert!(
            dropped > 0,
            "no machine takes so long that all of it is real time"
        );
        counting.abort();
    })
    .await;
}

/// The sequences of one speaker's packets in a datagram.
fn sequences_of(datagram: Bytes, tag: Tag) -> Vec<u32> {
    let items = Datagram::parse(datagram).expect("the host's").items;
    let packets = items.filter_map(|item| match item.expect("the host's") {
        Item::Media(packet) => Some(Packet::parse(packet).expect("the host's")),
        _ => None,
    });
    let headers = packets.map(|packet| *packet.header());
    headers
        .filter(|header| header.tag == tag)
        .map(|header| header.sequence)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_packets_that_come_together_those_that_are_genuine_and_new_leave_together() {
    scene::during(async |scene: &mut Scene| {
        let witness = scene.intruder().await;
        let (intruder, says) = scene.speaker().await;
        let (key, room) = (&intruder.attacker.key, scene.link.room);
        let up = intruder.attacker.network.links(intruder.at).pop().expect("QUIC");
        let down = witness.attacker.network.links(witness.at).pop().expect("QUIC");
        let next = async || loop {
            let datagram = within("a datagram", down.recv()).await.expect("the host stays");
            let sequences = sequences_of(datagram, says.tag);
            if !sequences.is_empty() {
                return sequences;
            }
        };
        let before = scene.counts().await;
        for first in (0..40).step_by(4) {
            let [one, two, three, four] = [0, 1, 2, 3].map(|n| says.at(first + n).signed(key, room));
            let altered = altered(&two, two.len() - 1);
            up.send(intruder.datagram(&[&one, &altered, &two, &two, &three, &four]))
                .expect("it fits");
            // A packet that came before is found to be a duplicate once the one before has left.
            let left = [next().await, next().await];
            assert_eq!(left, [[first, first + 1], [first + 2, first + 3]]);
        }
        let after = scene.counts().await;
        assert_eq!(after.forged_dropped - before.forged_dropped, 10);
        assert_eq!(after.duplicate_dropped - before.duplicate_dropped, 10);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sound_from_a_log_that_nobody_has_waits_a_little_and_is_dropped() {
    scene::during(async |scene: &mut Scene| {
        let (intruder, says) = scene.speaker().await;
        let packets: Vec<Bytes> = (0..60)
            .map(|n| {
                Says {
                    log: u32::MAX,
                    ..says
                }
                .at(n)
            })
            .map(|says| intruder.datagram(&[&says.signed(&intruder.attacker.key, scene.link.room)]))
            .collect();
        // Half a second after the last has come, all have gone.
        let link = intruder.attacker.network.links(intruder.at).pop().expect("QUIC");
        for few in packets.chunks(8) {
            few.iter()
                .for_each(|packet| link.send(packet.clone()).expect("it fits"));
            scene.counts().await;
        }
        wait_for(&mut scene.at_host, "all to be dropped", |event| match event {
            Event::Stats(stats) => (stats.overflow_dropped >= 60).then_some(()),
            _ => None,
        })
        .await;
        assert_eq!(scene.counts().await.overflow_dropped, 60);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_speakers_packets_on_somebody_elses_link_are_refused() {
    scene::during(async |scene: &mut Scene| {
        let (speaker, says) = scene.speaker().await;
        let thief = scene.intruder().await;
        let stolen: Vec<Bytes> = (0..80)
            .map(|n| thief.datagram(&[&says.at(n).signed(&speaker.attacker.key, scene.link.room)]))
            .collect();
        let refused = async || scene.counts().await.refused_dropped;
        assert_eq!(thief.fire(&stolen, refused).await, 80);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn truncated_newer_and_random_packets_of_a_speaker_are_malformed() {
    scene::during(async |scene: &mut Scene| {
        let (intruder, says) = scene.speaker().await;
        let good = says.signed(&intruder.attacker.key, scene.link.room);
        let changed = |at: usize, value: u8| {
            let mut bytes = good.to_vec();
            bytes[at] = value;
            Bytes::from(bytes)
        };
        let mut packets: Vec<Bytes> = (6..good.len()).map(|length| good.slice(..length)).collect();
        // Of a newer version; sealed; with a flag of later; without a frame; with a level that is none.
        packets.extend(
            [(0, 0x12), (1, 0x21), (1, 0x41), (1, 0x00), (22, 0xff)].map(|(at, value)| changed(at, value)),
        );
        packets.push([&good[..], &[0; 1]].concat().into());
        let mut datagrams: Vec<Bytes> = packets
            .iter()
            .map(|packet| intruder.datagram(&[packet]))
            .collect();
        // An empty datagram, half an alias, an empty item, a length beyond the end, a length in the longer form.
        let alias = intruder.welcome.alias.0.to_be_bytes();
        for rest in [&[0][..], &[5, 0x11], &[0x81, 0x00, 0x11], &[0x80]] {
            datagrams.push([&alias[..], rest].concat().into());
        }
        datagrams.extend([Bytes::new(), Bytes::from_static(&[0])]);
        let malformed = async || scene.counts().await.malformed_dropped;
        let sent = datagrams.len() as u64;
        assert_eq!(intruder.fire(&datagrams, malformed).await, sent);
    })
    .await;
}
