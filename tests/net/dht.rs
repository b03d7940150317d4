//! Members are found by the room's key, through peers that know nothing of the room.

use majlis::net::Provider;

use super::*;

const KEY: [u8; 32] = [7; 32];

/// Looks until somebody is found: what others provide needs a moment to arrive.
async fn find(node: &Node, key: [u8; 32]) -> Provider {
    let search = async {
        loop {
            let mut found = node.network.providers(key).await;
            if let Some(provider) = found.recv().await {
                return provider;
            }
        }
    };
    timeout(PATIENCE, search).await.expect("a provider is found")
}

#[tokio::test]
async fn two_peers_are_enough() {
    let (member, seeker) = (Node::listening(&[QUIC4]).await, Node::listening(&[QUIC4]).await);
    // Provided while nobody is there to be told.
    member.network.provide(KEY).await;
    seeker.dial(&member).await;
    let (peer, addresses) = find(&seeker, KEY).await;
    assert_eq!(peer, member.peer());
    assert!(!addresses.is_empty());
}

#[tokio::test]
async fn a_member_is_found_and_reached_through_a_third() {
    for address in [QUIC4, QUIC6, TCP4] {
        let meeting = Node::with(&[address], |config| config.community = true).await;
        let bootstrap = meeting.network.addresses();
        let start = async || Node::with(&[address], |config| config.bootstrap.clone_from(&bootstrap)).await;
        let (member, seeker) = (start().await, start().await);
        member.network.provide(KEY).await;
        let (peer, addresses) = find(&seeker, KEY).await;
        assert_eq!(peer, member.peer());
        let reached = seeker.network.dial(Some(peer), addresses).await;
        assert_eq!(reached, Ok(member.peer()), "{address}");
    }
}

#[tokio::test]
async fn nobody_is_found_under_another_key_and_the_search_ends() {
    let (member, seeker) = (Node::listening(&[QUIC4]).await, Node::listening(&[QUIC4]).await);
    member.network.provide(KEY).await;
    seeker.dial(&member).await;
    find(&seeker, KEY).await;
    let mut found = seeker.network.providers([8; 32]).await;
    let end = timeout(PATIENCE, found.recv()).await.expect("the search ends");
    assert_eq!(end, None);
    // A node alone ends its search too, and does not find itself.
    let alone = Node::listening(&[QUIC4]).await;
    alone.network.provide(KEY).await;
    let mut found = alone.network.providers(KEY).await;
    let end = timeout(PATIENCE, found.recv()).await.expect("the search ends");
    assert_eq!(end, None);
}

#[tokio::test]
async fn what_is_no_longer_provided_is_not_found_at_the_member_itself() {
    let (member, seeker) = (Node::listening(&[QUIC4]).await, Node::listening(&[QUIC4]).await);
    member.network.provide(KEY).await;
    member.network.stop_providing(KEY).await;
    seeker.dial(&member).await;
    let mut found = seeker.network.providers(KEY).await;
    let end = timeout(PATIENCE, found.recv()).await.expect("the search ends");
    assert_eq!(end, None);
}

#[tokio::test]
async fn peers_met_before_are_found_again_without_any_bootstrap() {
    let (mut host, guest) = (Node::listening(&[QUIC4]).await, Node::listening(&[QUIC4]).await);
    guest.dial(&host).await;
    let mut known = Vec::new();
    let remember = async {
        while known.is_empty() {
            known = guest.network.known_peers().await;
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, remember).await.expect("the peer is remembered");
    assert_eq!(known, [host.address()]);
    let guest = Node::with(&[QUIC4], |config| config.known_peers = known).await;
    host.connected(guest.peer()).await;
}

#[tokio::test]
async fn a_bootstrap_peer_that_comes_later_is_found() {
    let gone = Node::listening(&[QUIC4]).await;
    let (keypair, address) = {
        let mut listen = gone.address();
        listen.pop();
        (Keypair::generate_ed25519(), listen)
    };
    gone.network.close().await;
    drop(gone);
    let mut guest = Node::with(&[QUIC4], |config| config.bootstrap = vec![address.clone()]).await;
    let host = Node::with(&[], |config| {
        config.keypair = keypair;
        config.listen = vec![address];
    })
    .await;
    guest.connected(host.peer()).await;
}

#[tokio::test]
async fn a_peer_is_reached_while_it_is_still_looked_for_where_it_was_before() {
    let host = Node::listening(&[QUIC4]).await;
    // Nobody answers there, and nobody says so.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let port = silent.local_addr().expect("bound").port();
    let former = format!("/ip4/127.0.0.1/udp/{port}/quic-v1/p2p/{}", host.peer());
    let known = vec![former.parse().expect("an address")];
    let guest = Node::with(&[QUIC4], |config| config.known_peers = known).await;
    guest.dial(&host).await;
}
