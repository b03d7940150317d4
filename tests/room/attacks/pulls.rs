//! A child that pulls everything, all the time.

use std::time::Instant;

use majlis_protocol::{
    limits,
    media::Packet,
    wire::{
        datagram::{Datagram, Item},
        repair::{Pull, Run},
    },
};

use crate::support::{
    attacker::until,
    scene::{self, Scene},
};

/// Packets of the host after each of which the child pulls.
const PACKETS: usize = 150;

/// Pulls for each of them.
const PULLS: usize = 20;

/// What one neighbour gets at most (SPEC.md section 10): answers a second, and at once.
const SHARE: (f64, u64) = (150.0, 50);

#[tokio::test(flavor = "multi_thread")]
async fn a_child_that_pulls_everything_all_the_time_gets_its_share_and_costs_others_nothing() {
    scene::during(async |scene: &mut Scene| {
        let greedy = scene.intruder().await;
        let link = greedy.attacker.network.links(greedy.at).pop().expect("QUIC");
        let before = scene.counts().await.answered_packets;
        let begun = Instant::now();
        let (mut heard, mut newest) = (0, 0);
        while heard < PACKETS {
            let datagram = Datagram::parse(link.recv().await.expect("the host speaks")).expect("the host's");
            for item in datagram.items {
                let Item::Media(packet) = item.expect("the host's") else {
                    continue;
                };
                let header = *Packet::parse(packet).expect("the host's").header();
                // What it pulled comes as well.
                if header.sequence <= newest {
                    continue;
                }
                newest = header.sequence;
                heard += 1;
                let run = Run {
                    tag: header.tag,
                    epoch: header.epoch,
                    first: header.sequence.saturating_sub(99),
                    frames: limits::PULL_FRAMES,
                };
                let everything = Pull {
                    live: true,
                    runs: vec![run],
                };
                let everything = everything.encode().expect("valid");
                for _ in 0..PULLS {
                    link.send(greedy.datagram(&[&everything])).expect("it fits");
                }
            }
        }
        until("an answer", async || {
            scene.counts().await.answered_packets > before
        })
        .await;
        let answered = scene.counts().await.answered_packets - before;
        let most = (SHARE.0 * begun.elapsed().as_secs_f64()).ceil() as u64 + SHARE.1;
        println!(
            "{} pulls for all there is: {answered} answers, at most {most}",
            heard * PULLS
        );
        assert!(answered <= most, "{answered} of {most}");
    })
    .await;
}
