//! Nodes on loopback with homes that vanish with them.

use std::time::Duration;

use majlis::{
    event::Event,
    node::{Config, Node},
    room::EventStream,
};
use tempfile::TempDir;

/// How long a test waits for what must happen. It only decides how long a failure takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A node and its home.
pub(crate) struct TestNode {
    pub(crate) node: Node,
    pub(crate) home: TempDir,
}

impl TestNode {
    /// A node on 127.0.0.1 over QUIC and TCP.
    pub(crate) async fn start(nick: &str) -> Self {
        Self::with(nick, |config| config).await
    }

    /// A node on loopback with other settings.
    pub(crate) async fn with(nick: &str, change: impl FnOnce(Config) -> Config) -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let config = Config {
            nick: Some(nick.into()),
            ..Config::at(home.path()).on_loopback()
        };
        let node = Node::start(change(config)).await.expect("a node on loopback");
        Self { node, home }
    }
}

/// Waits for the first event that fits.
pub(crate) async fn wait_for<T>(
    events: &mut EventStream,
    what: &str,
    mut fits: impl FnMut(&Event) -> Option<T>,
) -> T {
    let waiting = async {
        loop {
            let event = events
                .next()
                .await
                .unwrap_or_else(|| panic!("the room ended before {what}"))
                .event;
            if let Some(found) = fits(&event) {
                return found;
            }
        }
    };
    tokio::time::timeout(PATIENCE, waiting)
        .await
        .unwrap_or_else(|_| panic!("no {what} in {PATIENCE:?}"))
}
