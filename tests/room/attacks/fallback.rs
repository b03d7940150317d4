//! Sound on substreams, for those who have no datagrams: what comes there is read as carefully.

use bytes::Bytes;
use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use majlis::net::Stream;
use majlis_protocol::{person::PersonKey, wire::message::Alias};

use crate::support::{
    attacker::{Attacker, Intruder, Says, datagram, until, within},
    scene::{self, Scene},
};

async fn over_tcp(scene: &Scene) -> (Intruder, Stream) {
    let intruder = Attacker::over_tcp().await.enter(&scene.link).await;
    let media = intruder.attacker.open_media(intruder.at).await;
    (intruder, media)
}

/// A datagram behind its length.
fn framed(datagram: &[u8]) -> Vec<u8> {
    let length = u16::try_from(datagram.len()).expect("short");
    [&length.to_be_bytes()[..], datagram].concat()
}

/// Writes bytes, and waits until a count has risen by so much.
async fn counted(media: &mut Stream, bytes: &[u8], rise: u64, count: impl AsyncFn() -> u64) {
    let before = count().await;
    let written = async {
        media.write_all(bytes).await.expect("open");
        media.flush().await.expect("open");
    };
    within("room to write", written).await;
    until("all to be counted", async || count().await >= before + rise).await;
    assert_eq!(count().await - before, rise);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_on_a_media_substream_is_counted_to_the_last_packet() {
    scene::during(async |scene: &mut Scene| {
        let (intruder, mut media) = over_tcp(scene).await;
        let says = Says {
            tag: scene.hosts_tag(),
            epoch: 1,
            sequence: 0,
            log: 0,
        };
        let packet = says.signed(&intruder.attacker.key, scene.link.room);
        let refused = async || scene.counts().await.refused_dropped;
        let here = framed(&intruder.datagram(&[&packet])).repeat(2_500);
        counted(&mut media, &here, 2_500, refused).await;
        let elsewhere = framed(&datagram(Alias(0xfffe), &[&packet])).repeat(2_500);
        counted(&mut media, &elsewhere, 2_500, refused).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forger_without_datagrams_is_caught_like_any_other() {
    scene::during(async |scene: &mut Scene| {
        let (mut intruder, mut media) = over_tcp(scene).await;
        intruder.attach().await;
        let says = scene.give_the_stage(&mut intruder).await;
        let other_key = PersonKey::from_seed(&[3; 32]);
        let forged: Vec<u8> = (0..80)
            .map(|n| says.at(n).signed(&other_key, scene.link.room))
            .flat_map(|packet| framed(&intruder.datagram(&[&packet])))
            .collect();
        counted(&mut media, &forged, 80, async || {
            scene.counts().await.forged_dropped
        })
        .await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_on_a_media_substream_is_malformed_and_a_length_beyond_the_limit_ends_it() {
    scene::during(async |scene: &mut Scene| {
        let malformed = async || scene.counts().await.malformed_dropped;
        let (intruder, mut media) = over_tcp(scene).await;
        let alias = intruder.welcome.alias.0.to_be_bytes();
        let mut garbage = framed(&[]).repeat(10);
        // An item that runs past the end of its datagram.
        garbage.extend(framed(&[&alias[..], &[9, 0x11]].concat()).repeat(10));
        counted(&mut media, &garbage, 20, malformed).await;

        for length in [1_201_u16, u16::MAX] {
            let mut media = intruder.attacker.open_media(intruder.at).await;
            counted(&mut media, &length.to_be_bytes(), 1, malformed).await;
            let mut rest = [0; 1];
            let end = within("the end of the substream", media.read(&mut rest)).await;
            assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
        }

        // Half a datagram is nothing yet, and never will be.
        let half = &framed(&datagram(Alias(0), &[&Bytes::from(vec![0x11; 200])]))[..50];
        counted(&mut media, half, 0, malformed).await;
        media.close().await.expect("ours");
    })
    .await;
}
