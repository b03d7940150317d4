//! How often this process itself was held up: then what its nodes count says nothing about the network.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::{Instant, MissedTickBehavior};

/// How often it looks at the clock.
const TICK: Duration = Duration::from_millis(20);

/// A tick that comes this late is a stall: half of what makes a child suspect its parent.
const STALL: Duration = Duration::from_millis(60);

/// Counts stalls of the runtime that all nodes of this process share, as long as this process runs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ticker(Arc<AtomicU64>);

impl Ticker {
    /// Starts to look at the clock.
    pub(crate) fn start() -> Self {
        let ticker = Self::default();
        let stalls = Arc::clone(&ticker.0);
        tokio::spawn(async move {
            let mut interval = tokio::time::interval(TICK);
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                let due = interval.tick().await;
                if Instant::now().saturating_duration_since(due) > STALL {
                    stalls.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        ticker
    }

    /// How many stalls there were.
    pub(crate) fn stalls(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
