//! The QUIC transport on real sockets, all of them on loopback.

#[cfg(feature = "testlink")]
mod bad_network;
mod bare;
#[cfg(feature = "testlink")]
mod closing;
mod datagrams;
mod express;
mod hostile;
mod listening;
mod node;
mod stock_peers;
mod substreams;
mod swarm;

use std::time::Duration;

use libp2p::Multiaddr;
use tokio::time::timeout;

/// How long anything may take before a test is said to have failed. Nothing here takes a tenth of it on
/// an idle machine; a busy one may.
const PATIENCE: Duration = Duration::from_secs(60);

/// Listening here takes any free port.
const IPV4: &str = "/ip4/127.0.0.1/udp/0/quic-v1";
const IPV6: &str = "/ip6/::1/udp/0/quic-v1";

/// What `future` gives, or a failed test that names what was waited for.
async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

fn address(text: &str) -> Multiaddr {
    text.parse().unwrap()
}

/// Asks again and again until `holds`, for what no event announces.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    within(what, async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
