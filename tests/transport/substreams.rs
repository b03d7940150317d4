//! Substreams between two transports of ours.

use std::{future::poll_fn, io, pin::Pin};

use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::core::muxing::StreamMuxer;
use majlis::net::quic::{Connection, Stream};

use super::{
    IPV4, IPV6,
    bare::{self, Bare},
    node::{Node, connect},
    within,
};

async fn open(connection: &mut Connection) -> Stream {
    within(
        "a substream to open",
        poll_fn(|cx| Pin::new(&mut *connection).poll_outbound(cx)),
    )
    .await
    .unwrap()
}

async fn accept(connection: &mut Connection) -> Stream {
    within(
        "a substream to come",
        poll_fn(|cx| Pin::new(&mut *connection).poll_inbound(cx)),
    )
    .await
    .unwrap()
}

#[tokio::test]
async fn libp2p_protocols_run_both_ways() {
    for on in [IPV4, IPV6] {
        let [(mut dialler, _), (mut listener, _)] = connect(Node::ours(), Node::ours(), on).await;
        dialler.pinged(listener.peer).await;
        listener.pinged(dialler.peer).await;
    }
}

#[tokio::test]
async fn a_substream_carries_more_than_any_window_and_both_halves_end_cleanly() {
    let (dialler, mut listener) = (Bare::new(), Bare::new());
    let (mut near, mut far) = bare::connect(&dialler, &mut listener).await;
    // Five times the window of a connection, so that both sides must read for it to pass.
    let sent: Vec<u8> = (0..20_u32 << 20).map(|at| (at % 251) as u8).collect();
    let mut up = open(&mut near).await;
    let writing = async {
        up.write_all(&sent).await.unwrap();
        up.close().await.unwrap();
        up.close().await.expect("closing twice is allowed");
        let mut answer = String::new();
        up.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let reading = async {
        let mut down = accept(&mut far).await;
        let mut received = Vec::new();
        down.read_to_end(&mut received).await.unwrap();
        down.write_all(b"all of it").await.unwrap();
        down.close().await.unwrap();
        received
    };
    let (answer, received) = within("20 MiB to pass", futures::future::join(writing, reading)).await;
    assert_eq!(answer, "all of it");
    assert!(received == sent, "what arrived is not what was sent");
}

#[tokio::test]
async fn a_dropped_substream_tells_its_writer() {
    let (dialler, mut listener) = (Bare::new(), Bare::new());
    let (mut near, mut far) = bare::connect(&dialler, &mut listener).await;
    let mut up = open(&mut near).await;
    up.write_all(b"knock").await.unwrap();
    drop(accept(&mut far).await);
    let refused = within("the writer to be told", async {
        loop {
            if let Err(error) = up.write_all(&[0; 1024]).await {
                return error;
            }
        }
    })
    .await;
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn closing_the_connection_ends_its_substreams() {
    let (dialler, mut listener) = (Bare::new(), Bare::new());
    let (mut near, mut far) = bare::connect(&dialler, &mut listener).await;
    let mut up = open(&mut near).await;
    up.write_all(b"knock").await.unwrap();
    let mut down = accept(&mut far).await;
    within(
        "our end to close",
        poll_fn(|cx| Pin::new(&mut near).poll_close(cx)),
    )
    .await
    .unwrap();
    let mut rest = Vec::new();
    assert!(
        within("the other end to learn of it", down.read_to_end(&mut rest))
            .await
            .is_err()
    );
    let next = within(
        "no more substreams",
        poll_fn(|cx| Pin::new(&mut far).poll_inbound(cx)),
    )
    .await;
    assert!(next.is_err());
}
