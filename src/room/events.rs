//! A room's events on their way to whoever listens.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::broadcast::{self, error::RecvError};

use super::{EVENTS, EventSender};
use crate::event::Stamped;

/// What happens, in order. A reader that falls 1,024 events behind misses the oldest.
#[derive(Debug)]
pub struct EventStream {
    receiver: broadcast::Receiver<Stamped>,
}

/// Where a handle gets streams from. It does not keep the room's events open.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// Subscribed before the first event, for the first who asks.
    first: Arc<Mutex<Option<EventStream>>>,
    sender: broadcast::WeakSender<Stamped>,
}

impl EventStream {
    /// A stream of what a sender sends from now on.
    pub(crate) fn of(sender: &EventSender) -> Self {
        Self {
            receiver: sender.subscribe(),
        }
    }

    /// The next event; `None` after the last. Safe to cancel.
    pub async fn next(&mut self) -> Option<Stamped> {
        loop {
            match self.receiver.recv().await {
                Ok(event) => return Some(event),
                Err(RecvError::Lagged(missed)) => tracing::warn!(missed, "events were not read in time"),
                Err(RecvError::Closed) => return None,
            }
        }
    }
}

impl Source {
    /// A channel of events, and where handles get theirs.
    pub(crate) fn channel() -> (EventSender, Self) {
        let (sender, receiver) = broadcast::channel(EVENTS);
        let first = Arc::new(Mutex::new(Some(EventStream { receiver })));
        let weak = sender.downgrade();
        (sender, Self { first, sender: weak })
    }

    pub(crate) fn stream(&self) -> EventStream {
        let first = self.first.lock().unwrap_or_else(PoisonError::into_inner).take();
        first.unwrap_or_else(|| match self.sender.upgrade() {
            Some(sender) => EventStream::of(&sender),
            // The room is over: a stream that ends at once.
            None => EventStream {
                receiver: broadcast::channel(1).1,
            },
        })
    }
}
