//! Nodes on loopback with homes that vanish with them.

use std::time::Duration;

use majlis::{
    event::{Event, Stats},
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

/// Real-time tests run one at a time: sound that is judged must not starve for another test.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Keeps other real-time tests waiting, for a test of processes that does not wait itself. Not to be called on a thread
/// of a runtime.
pub(crate) fn alone() -> tokio::sync::MutexGuard<'static, ()> {
    ALONE.blocking_lock()
}

/// How often a run that the machine disturbed is repeated.
const RUNS: u32 = 3;

/// What a run of a real-time test came to.
pub(crate) enum Run {
    /// It holds.
    Good,
    /// It does not hold, for this reason; and this often the machine held a process up.
    Bad { why: String, stalls: u64 },
}

/// Runs a real-time test alone. A run that fails while the machine itself stalled is printed and repeated.
pub(crate) async fn in_real_time(test: impl AsyncFn() -> Run) {
    let _alone = ALONE.lock().await;
    for run in 1..=RUNS {
        match test().await {
            Run::Good => return,
            Run::Bad { why, stalls } if stalls > 0 && run < RUNS => {
                println!("run {run}: {stalls} stalls of the machine, repeated: {why}");
            }
            Run::Bad { why, stalls } => panic!("{why} ({stalls} stalls)"),
        }
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

/// Waits for the totals of a room that is about to end.
pub(crate) async fn summary(events: &mut EventStream) -> Stats {
    wait_for(events, "summary", |event| match event {
        Event::Summary(stats) => Some(stats.clone()),
        _ => None,
    })
    .await
}

/// Whether a listener of one speaker has accounted for all frames, or its counts stand still: then what is missing will
/// not come, and the totals say so.
#[derive(Default)]
pub(crate) struct Settling {
    last: Option<u64>,
    unchanged: u32,
}

impl Settling {
    /// Takes the counts of one more second: how many frames are expected by now, of how many in all.
    pub(crate) fn is_over(&mut self, expected: Option<u64>, all: u64) -> bool {
        self.unchanged = if expected == self.last {
            self.unchanged + 1
        } else {
            0
        };
        self.last = expected;
        expected == Some(all) || self.unchanged == 3
    }
}

/// Waits until a listener of one speaker has settled.
pub(crate) async fn settled(events: &mut EventStream, frames: u64) {
    let mut settling = Settling::default();
    wait_for(events, "steady counts", |event| match event {
        Event::Stats(stats) => {
            let expected = stats.streams.first().map(|stream| stream.expected);
            settling.is_over(expected, frames).then_some(())
        }
        _ => None,
    })
    .await;
}
