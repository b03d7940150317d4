//! Application streams: opened, refused, bounded, and what keeps a connection.

use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::StreamProtocol;
use majlis::net::{MEDIA_PROTOCOL, OpenError, ROOM_PROTOCOL, STREAMS_PER_CONNECTION};

use super::*;

async fn pair(address: &str) -> (Node, Node) {
    let (host, guest) = (
        Node::listening(&[address]).await,
        Node::listening(&[address]).await,
    );
    guest.dial(&host).await;
    (host, guest)
}

#[tokio::test]
async fn what_is_written_on_one_side_is_read_on_the_other() {
    for address in [QUIC4, TCP4] {
        let (mut host, guest) = pair(address).await;
        for protocol in [ROOM_PROTOCOL, MEDIA_PROTOCOL] {
            let mut stream = guest
                .network
                .open(host.peer(), protocol)
                .await
                .expect("it is spoken");
            stream.write_all(b"salam").await.expect("open");
            stream.flush().await.expect("open");
            let (peer, mut inbound) = host.inbound().await;
            assert_eq!(peer, guest.peer());
            let mut read = [0; 5];
            inbound.read_exact(&mut read).await.expect("open");
            assert_eq!(&read, b"salam");
        }
    }
}

#[tokio::test]
async fn a_stream_that_cannot_be_says_why() {
    let (host, guest) = pair(QUIC4).await;
    let unknown = StreamProtocol::new("/majlis/unknown/1");
    let error = guest.network.open(host.peer(), unknown.clone()).await;
    assert_eq!(error.err(), Some(OpenError::Unsupported(unknown)));
    let error = guest.network.open(PeerId::random(), ROOM_PROTOCOL).await;
    assert_eq!(error.err(), Some(OpenError::NotConnected));
    guest.network.close().await;
    let error = guest.network.open(host.peer(), ROOM_PROTOCOL).await;
    assert_eq!(error.err(), Some(OpenError::Closed));
}

#[tokio::test]
async fn a_peer_that_opens_streams_and_says_nothing_is_stopped_and_heard_again_later() {
    let (mut host, guest) = pair(QUIC4).await;
    let (mut opened, mut received) = (Vec::new(), Vec::new());
    for _ in 0..STREAMS_PER_CONNECTION {
        opened.push(
            guest
                .network
                .open(host.peer(), ROOM_PROTOCOL)
                .await
                .expect("within the bound"),
        );
        received.push(host.inbound().await.1);
    }
    let error = guest.network.open(host.peer(), ROOM_PROTOCOL).await;
    assert_eq!(error.err(), Some(OpenError::TooMany));
    // The host is full too, though it opened none itself.
    let error = host.network.open(guest.peer(), ROOM_PROTOCOL).await;
    assert_eq!(error.err(), Some(OpenError::TooMany));

    drop((opened, received));
    guest
        .network
        .open(host.peer(), ROOM_PROTOCOL)
        .await
        .expect("there is room again");
}

#[tokio::test]
async fn disconnecting_ends_streams_on_both_sides() {
    let (mut host, mut guest) = pair(QUIC4).await;
    let mut stream = guest
        .network
        .open(host.peer(), ROOM_PROTOCOL)
        .await
        .expect("it is spoken");
    let (_, mut inbound) = host.inbound().await;
    guest.network.disconnect(host.peer()).await;
    guest.disconnected(host.peer()).await;
    host.disconnected(guest.peer()).await;
    let mut byte = [0];
    for stream in [&mut stream, &mut inbound] {
        let end = timeout(PATIENCE, stream.read(&mut byte)).await.expect("it ends");
        assert!(!matches!(end, Ok(read) if read > 0));
    }
}
