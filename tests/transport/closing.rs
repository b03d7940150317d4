//! A program that ends: its peers are told, and need not find out.

use libp2p::{Multiaddr, identity::Keypair};
use majlis::net::{self, Config};
use tokio::sync::oneshot;

use super::{IPV4, address, bare::Bare, within};

/// A link that holds back what is said last for longer than a program takes to end.
const SLOW: &str = "delay=100ms,seed=1";

/// Dials a peer, waits for the word, closes, and ends as a process does: whatever was still to be done is not.
fn dial_close_and_end(peer: Multiaddr, may_close: oneshot::Receiver<()>) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut config = Config::new(Keypair::generate_ed25519());
        config.mdns = false;
        config.listen = vec![address(IPV4)];
        config.link = Some(SLOW.parse().unwrap());
        let (network, _events) = net::start(config).await.unwrap();
        network.dial(None, vec![peer]).await.unwrap();
        may_close.await.unwrap();
        network.close().await;
    });
    runtime.shutdown_background();
}

#[tokio::test]
async fn who_closes_and_ends_at_once_has_told_its_peers() {
    let mut peer = Bare::new();
    let (_, at) = peer.listen(IPV4).await;
    let (close, may_close) = oneshot::channel();
    let ending = std::thread::spawn(move || dial_close_and_end(at, may_close));
    let (handshake, _) = peer.incoming().await;
    let (other, _connection) = within("a handshake", handshake).await.unwrap();
    let link = peer.hub.links(&other).pop().unwrap();
    close.send(()).unwrap();
    let ended = within("the end", async {
        loop {
            if let Err(ended) = link.recv().await {
                return ended.to_string();
            }
        }
    })
    .await;
    // Not found out by the idle timeout.
    assert!(ended.contains("closed by peer"), "{ended}");
    ending.join().unwrap();
}
