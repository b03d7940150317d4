//! One substream, and the count of those that are alive on its connection.

use std::{
    fmt, io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use futures::{AsyncRead, AsyncWrite};

/// A substream to a peer. Dropped without being closed, it is reset.
#[derive(Debug)]
pub struct Stream {
    inner: libp2p::Stream,
    _counted: Counted,
}

/// How many streams of a connection are alive or being opened.
#[derive(Debug, Clone, Default)]
pub(super) struct Count(Arc<AtomicUsize>);

/// One place in a [`Count`], given back when dropped.
pub(super) struct Counted(Count);

impl Stream {
    pub(super) fn new(inner: libp2p::Stream, counted: Counted) -> Self {
        Self {
            inner,
            _counted: counted,
        }
    }
}

impl Count {
    pub(super) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Takes a place, unless `max` are taken.
    pub(super) fn take(&self, max: usize) -> Option<Counted> {
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| {
                (taken < max).then_some(taken + 1)
            })
            .is_ok()
            .then(|| Counted(self.clone()))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "one of {}", self.0.get())
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_given_back_and_never_taken_beyond_the_bound() {
        let count = Count::default();
        let first = count.take(2).expect("free");
        let _second = count.take(2).expect("free");
        assert!(count.take(2).is_none());
        drop(first);
        assert_eq!(count.get(), 1);
        assert!(count.take(2).is_some());
    }
}
