//! Datagrams over a substream, for paths that carry none: TCP, circuits, peers with another QUIC (SPEC.md section 10).
//!
//! Each datagram stands behind its length. The sender's queue is short and drops its oldest: late sound is worth less
//! than the sound that follows it.

use bytes::{Buf, Bytes, BytesMut};
use futures::{AsyncReadExt, AsyncWriteExt};
use majlis_protocol::{limits, wire::datagram::BadDatagram};

use crate::{net::Stream, queue::Queue};

/// Datagrams that wait for a substream that does not drain: a second of one speaker. More would be played too late.
const WAITING: usize = 50;

/// Bytes of the length before each datagram.
const LENGTH: usize = 2;

/// Sends datagrams on a substream of its own, which is opened in the background.
#[derive(Debug, Clone)]
pub(super) struct Sender {
    queue: Queue<Bytes>,
}

/// Reads datagrams from a substream that the other end opened.
pub(super) struct Receiver {
    stream: Stream,
    buffer: BytesMut,
}

impl Sender {
    /// A sender that waits for its substream. [`Sender::run`] drives it.
    pub(super) fn new() -> Self {
        Self {
            queue: Queue::new(WAITING),
        }
    }

    /// Whether there is no substream any more, or there never was one.
    pub(super) fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }

    /// Queues a datagram; the oldest one makes room.
    pub(super) fn send(&self, datagram: Bytes) {
        self.queue.push(datagram);
    }

    /// Whether less than half of the queue is used.
    pub(super) fn has_room(&self) -> bool {
        self.queue.len() < WAITING / 2
    }

    /// Datagrams that were dropped because the substream did not drain.
    pub(super) fn dropped(&self) -> u64 {
        self.queue.dropped()
    }

    /// Takes no more.
    pub(super) fn close(&self) {
        self.queue.close();
    }

    /// Writes what is queued until the queue is closed or the substream ends.
    pub(super) async fn run(self, mut stream: Stream) {
        while let Some(datagram) = self.queue.pop().await {
            let Ok(length) = u16::try_from(datagram.len()) else {
                continue;
            };
            let framed = [&length.to_be_bytes(), &datagram[..]].concat();
            let written = async {
                stream.write_all(&framed).await?;
                stream.flush().await
            };
            if written.await.is_err() {
                break;
            }
        }
        self.queue.close();
    }
}

impl Receiver {
    pub(super) fn new(stream: Stream) -> Self {
        Self {
            stream,
            buffer: BytesMut::with_capacity(4 * limits::DATAGRAM),
        }
    }

    /// The next datagram; `None` when the substream ends.
    ///
    /// # Errors
    /// [`BadDatagram`] when one is longer than any may be: nothing behind it can be read.
    pub(super) async fn next(&mut self) -> Option<Result<Bytes, BadDatagram>> {
        loop {
            if let Some(length) = self.buffer.first_chunk::<LENGTH>() {
                let length = usize::from(u16::from_be_bytes(*length));
                if length > limits::DATAGRAM {
                    return Some(Err(BadDatagram::TooLong));
                }
                if self.buffer.len() >= LENGTH + length {
                    self.buffer.advance(LENGTH);
                    return Some(Ok(self.buffer.split_to(length).freeze()));
                }
            }
            let mut chunk = [0; 2 * limits::DATAGRAM];
            let read = self.stream.read(&mut chunk).await.ok().filter(|read| *read > 0)?;
            self.buffer.extend_from_slice(&chunk[..read]);
        }
    }
}
