//! Control substreams: frames in and out, each in a task of its own, so that a slow neighbour stalls nobody.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::{
    AsyncReadExt, AsyncWriteExt,
    io::{ReadHalf, WriteHalf},
};
use libp2p::PeerId;
use majlis_protocol::{
    neighbour::Neighbour,
    signed::Malformed,
    wire::{frame::FrameReader, message::Message},
};
use tokio::{
    sync::{mpsc, oneshot},
    task::{AbortHandle, JoinSet},
    time,
};

use super::actor::Note;
use crate::net::{Hold, Network, Stream};

/// Frames that wait for a neighbour that does not read. Beyond, it is cut off: it would hear of the room too late.
const OUTGOING: usize = 256;

/// Bytes of those frames together. An honest neighbour waits for one batch of the log at a time; a crowd that asks and
/// does not read must not fill our memory with answers.
const OUTGOING_BYTES: usize = 1 << 20;

/// How long the last words on a closed link may take to go out. Longer only keeps substreams of those who do not read.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes read at once.
const CHUNK: usize = 8_192;

/// A control substream whose messages are read in order.
#[derive(Debug)]
pub(crate) struct Control {
    reading: Reading,
    writing: WriteHalf<Stream>,
}

/// The reading half of one.
#[derive(Debug)]
struct Reading {
    stream: ReadHalf<Stream>,
    frames: FrameReader,
}

/// A link in use: dropping it ends its tasks, once what was sent is out, or [`CLOSE_TIMEOUT`] later.
#[derive(Debug)]
pub(super) struct Link {
    outgoing: mpsc::Sender<Bytes>,
    /// Bytes in `outgoing`.
    waiting: Arc<AtomicUsize>,
    reader: AbortHandle,
    writer: AbortHandle,
    /// Goes with the link, which the writer notices even while it waits for the neighbour.
    _in_use: oneshot::Sender<()>,
    _hold: Hold,
}

/// The neighbour does not read what it is sent.
#[derive(Debug)]
pub(super) struct TooSlow;

impl Control {
    pub(crate) fn new(stream: Stream) -> Self {
        let (reading, writing) = stream.split();
        Self {
            reading: Reading {
                stream: reading,
                frames: FrameReader::default(),
            },
            writing,
        }
    }

    /// The next message, or that one was skipped which a later version knows; `None` when the substream has ended.
    pub(crate) async fn next(&mut self) -> Option<Result<Option<Message>, Malformed>> {
        self.reading.next().await
    }

    /// Sends one message and closes: for those who are turned away.
    pub(crate) async fn answer_and_close(mut self, message: &Message) {
        let Ok(frame) = message.encode() else { return };
        // The other end may be gone; then nobody misses the answer.
        let _ = self.writing.write_all(&frame).await;
        let _ = self.writing.close().await;
    }
}

impl Reading {
    async fn next(&mut self) -> Option<Result<Option<Message>, Malformed>> {
        loop {
            match self.frames.next_frame() {
                Ok(Some(frame)) => return Some(Message::decode(&frame)),
                Ok(None) => {
                    let mut chunk = [0; CHUNK];
                    let read = self.stream.read(&mut chunk).await.ok().filter(|read| *read > 0)?;
                    self.frames.push(&chunk[..read]);
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl Link {
    /// Starts the tasks of a link. Writers end in `writers`, so that leaving can wait for them.
    pub(super) fn start(
        number: Neighbour,
        (network, peer): (&Network, PeerId),
        control: Control,
        notes: mpsc::Sender<Note>,
        writers: &mut JoinSet<()>,
    ) -> Self {
        let (outgoing, frames) = mpsc::channel(OUTGOING);
        let waiting = Arc::new(AtomicUsize::new(0));
        let (in_use, closed) = oneshot::channel();
        let writing = write(control.writing, frames, Arc::clone(&waiting));
        let writer = writers.spawn(async move {
            let overdue = async {
                // Nothing is ever sent: this ends when the link is dropped.
                let _ = closed.await;
                time::sleep(CLOSE_TIMEOUT).await;
            };
            tokio::select! {
                () = writing => {}
                () = overdue => tracing::debug!(?number, "a neighbour does not read our last words"),
            }
        });
        let reader = tokio::spawn(read(number, control.reading, notes)).abort_handle();
        Self {
            outgoing,
            waiting,
            reader,
            writer,
            _in_use: in_use,
            _hold: network.hold(peer),
        }
    }

    /// Sends a message, unless too many wait.
    pub(super) fn send(&self, message: &Message) -> Result<(), TooSlow> {
        let frame = match message.encode() {
            Ok(frame) => frame,
            Err(error) => {
                tracing::error!(%error, "a message of ours does not fit a frame");
                return Ok(());
            }
        };
        let waiting = self.waiting.fetch_add(frame.len(), Ordering::Relaxed) + frame.len();
        if waiting > OUTGOING_BYTES {
            return Err(TooSlow);
        }
        self.outgoing.try_send(frame).map_err(|_| TooSlow)
    }

    /// Ends the link without last words, which would not be read either.
    pub(super) fn cut(self) {
        self.writer.abort();
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

async fn write(mut stream: WriteHalf<Stream>, mut frames: mpsc::Receiver<Bytes>, waiting: Arc<AtomicUsize>) {
    while let Some(frame) = frames.recv().await {
        if stream.write_all(&frame).await.is_err() {
            return;
        }
        waiting.fetch_sub(frame.len(), Ordering::Relaxed);
        // What is ready together leaves together.
        if frames.is_empty() && stream.flush().await.is_err() {
            return;
        }
    }
    // The other end may be gone already.
    let _ = stream.close().await;
}

async fn read(link: Neighbour, mut reading: Reading, notes: mpsc::Sender<Note>) {
    while let Some(read) = reading.next().await {
        let is_last = read.is_err();
        let note = match read {
            Ok(Some(message)) => Note::Message {
                link,
                message: Box::new(message),
            },
            Ok(None) => Note::Skipped { link },
            Err(error) => Note::Malformed { link, error },
        };
        if notes.send(note).await.is_err() || is_last {
            return;
        }
    }
    // The actor may be gone; then it needs no telling.
    let _ = notes.send(Note::LinkDown { link }).await;
}
