//! A bounded queue between what must not wait (a sound thread, a forwarder) and the rest: when it is full the oldest item goes,
//! and is counted. Neither side ever waits for the other to make room.

use core::sync::atomic::{AtomicU64, Ordering};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Both ends of a queue; clones are the same queue.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    shared: Arc<Shared<T>>,
}

#[derive(Debug)]
struct Shared<T> {
    state: Mutex<State<T>>,
    capacity: usize,
    dropped: AtomicU64,
    news: Notify,
}

#[derive(Debug)]
struct State<T> {
    items: VecDeque<T>,
    closed: bool,
}

impl<T> Queue<T> {
    /// A queue for at most `capacity` items, at least one.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(State {
                    items: VecDeque::new(),
                    closed: false,
                }),
                capacity: capacity.max(1),
                dropped: AtomicU64::new(0),
                news: Notify::new(),
            }),
        }
    }

    /// How many items wait.
    pub(crate) fn len(&self) -> usize {
        self.lock().items.len()
    }

    /// How many items were dropped because the queue was full.
    pub(crate) fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// Whether it takes no more items.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Appends an item; the oldest one makes room when the queue is full. Nothing happens once it is closed.
    pub(crate) fn push(&self, item: T) {
        let mut state = self.lock();
        if state.closed {
            return;
        }
        if state.items.len() >= self.shared.capacity {
            state.items.pop_front();
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
        state.items.push_back(item);
        drop(state);
        self.shared.news.notify_one();
    }

    /// Takes the oldest item, if there is one.
    pub(crate) fn try_pop(&self) -> Option<T> {
        self.lock().items.pop_front()
    }

    /// Waits for the oldest item; `None` once the queue is closed and empty. Safe to cancel: an item is
    /// taken only when it is returned. For one reader at a time.
    pub(crate) async fn pop(&self) -> Option<T> {
        loop {
            {
                let mut state = self.lock();
                if let Some(item) = state.items.pop_front() {
                    return Some(item);
                }
                if state.closed {
                    return None;
                }
            }
            // A push between the look and this line leaves a permit, so it is not missed.
            self.shared.news.notified().await;
        }
    }

    /// Keeps only the items that `keep` says so of.
    pub(crate) fn retain(&self, keep: impl FnMut(&T) -> bool) {
        self.lock().items.retain(keep);
    }

    /// Takes no more items; what is in it can still be taken out.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.shared.news.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // No code that can panic runs under the lock but `keep`, and a half-done `retain` is still a queue.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_drops_the_oldest_and_counts_it() {
        let queue = Queue::new(3);
        for item in 0..5 {
            queue.push(item);
        }
        assert_eq!(queue.dropped(), 2);
        assert_eq!([queue.try_pop(), queue.try_pop()], [Some(2), Some(3)]);
    }

    #[tokio::test]
    async fn a_reader_gets_what_was_pushed_before_and_after_it_waits() {
        let queue = Queue::new(8);
        queue.push(1);
        assert_eq!(queue.pop().await, Some(1));
        let writer = queue.clone();
        let (item, ()) = tokio::join!(queue.pop(), async move {
            tokio::task::yield_now().await;
            writer.push(2);
        });
        assert_eq!(item, Some(2));
    }

    #[tokio::test]
    async fn a_closed_queue_gives_what_it_holds_and_then_ends() {
        let queue = Queue::new(8);
        queue.push(1);
        queue.close();
        queue.push(2);
        assert_eq!(queue.pop().await, Some(1));
        assert_eq!(queue.pop().await, None);
    }
}
