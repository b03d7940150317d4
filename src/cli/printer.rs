//! Prints events on a thread of its own: a reader that has stopped reading stops nothing but the printing.
//!
//! Invariant: events are printed in the order in which they were told, each whole; who leaves does not wait for a reader
//! longer than [`PATIENCE`].

use std::{io, thread, time::Duration};

use majlis::event::{Event, Stamped};
use tokio::sync::{mpsc, oneshot};

use super::face::Face;

/// How long the last events may wait for a reader.
pub(crate) const PATIENCE: Duration = Duration::from_secs(3);

/// Events that wait to be printed: what a lively room tells in some seconds.
const WAITING: usize = 256;

/// A face that is shown from a thread.
#[derive(Debug)]
pub(crate) struct Printer {
    events: mpsc::Sender<Stamped>,
    /// How the printing has ended.
    ended: oneshot::Receiver<io::Result<()>>,
}

impl Printer {
    /// Shows events on this face from now on.
    pub(crate) fn new(mut face: Face) -> Self {
        let (events, mut waiting) = mpsc::channel(WAITING);
        let (end, ended) = oneshot::channel();
        thread::spawn(move || {
            let mut result = Ok(());
            while let (Ok(()), Some(event)) = (&result, waiting.blocking_recv()) {
                result = face.event(&event);
            }
            // Whoever told the events may be gone.
            let _ = end.send(result);
        });
        Self { events, ended }
    }

    /// Waits until one more event can be told.
    ///
    /// # Errors
    /// Nobody reads any more: [`Printer::finish`] says why.
    pub(crate) async fn ready(&self) -> Result<mpsc::Permit<'_, Stamped>, NotRead> {
        self.events.reserve().await.map_err(|_| NotRead)
    }

    /// Tells an event that happens now, and waits until it can be.
    ///
    /// # Errors
    /// As [`Printer::ready`].
    pub(crate) async fn tell(&self, event: Event) -> Result<(), NotRead> {
        self.ready().await?.send(Stamped::now(event));
        Ok(())
    }

    /// Waits until all that was told is printed, after what was to be done came to `result`.
    ///
    /// # Errors
    /// That of `result`, or else what kept it from being printed; that it takes longer than [`PATIENCE`], too.
    pub(crate) async fn finish(self, result: anyhow::Result<()>) -> anyhow::Result<()> {
        match (result, self.print_all().await) {
            // Why nobody reads any more.
            (Err(error), Err(printing)) if error.is::<NotRead>() => Err(printing.into()),
            (Ok(()), printed) => Ok(printed?),
            (result, _) => result,
        }
    }

    async fn print_all(self) -> io::Result<()> {
        drop(self.events);
        match tokio::time::timeout(PATIENCE, self.ended).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(io::Error::other("the printing has ended by itself")),
            Err(_) => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "nobody reads what is printed",
            )),
        }
    }
}

/// What is told is not read any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("nobody reads what is printed")]
pub(crate) struct NotRead;
