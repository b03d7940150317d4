//! Prints events on a thread of its own: a reader that has stopped reading stops nothing but the printing.
//!
//! Invariant: events are printed in the order in which they were told, each whole; who leaves does not wait for a reader
//! longer than [`PATIENCE`].

use std::{io, thread, time::Duration};

use majlis::event::{Event, Stamped};
use tokio::sync::{mpsc, oneshot};

use super::{face::Face, show::Foot};

/// How long the last events may wait for a reader.
pub(crate) const PATIENCE: Duration = Duration::from_secs(3);

/// What waits to be printed: what a lively room tells in some seconds.
const WAITING: usize = 256;

/// What is printed.
#[derive(Debug)]
pub(crate) enum Print {
    /// An event.
    Event(Box<Stamped>),
    /// A text for people, of one or more lines.
    Text(String),
    /// What stands below all else from now on.
    Foot(Foot),
    /// Others have written to the terminal: what stood below all else is somewhere above.
    Afresh,
    /// The foot goes, and then this is done: nothing is printed meanwhile.
    Pause {
        /// What.
        then: fn(),
        /// Told afterwards.
        done: oneshot::Sender<()>,
    },
}

/// A face that is shown from a thread.
#[derive(Debug)]
pub(crate) struct Printer {
    prints: mpsc::Sender<Print>,
    /// How the printing has ended.
    ended: oneshot::Receiver<io::Result<()>>,
}

impl Printer {
    /// Shows events on this face from now on.
    pub(crate) fn new(mut face: Face) -> Self {
        let (prints, mut waiting) = mpsc::channel(WAITING);
        let (end, ended) = oneshot::channel();
        thread::spawn(move || {
            let mut result = Ok(());
            while let (Ok(()), Some(print)) = (&result, waiting.blocking_recv()) {
                result = face.print(print);
            }
            result = result.and_then(|()| face.foot(Foot::default()));
            // Whoever told the events may be gone.
            let _ = end.send(result);
        });
        Self { prints, ended }
    }

    /// Where others may have something printed as well. It ends before [`Printer::finish`] is called.
    pub(crate) fn prints(&self) -> mpsc::Sender<Print> {
        self.prints.clone()
    }

    /// Waits until one more event can be told.
    ///
    /// # Errors
    /// Nobody reads any more: [`Printer::finish`] says why.
    pub(crate) async fn ready(&self) -> Result<mpsc::Permit<'_, Print>, NotRead> {
        self.prints.reserve().await.map_err(|_| NotRead)
    }

    /// Tells an event that happens now, and waits until it can be.
    ///
    /// # Errors
    /// As [`Printer::ready`].
    pub(crate) async fn tell(&self, event: Event) -> Result<(), NotRead> {
        self.print(Print::Event(Box::new(Stamped::now(event)))).await
    }

    /// Prints, once it can be.
    ///
    /// # Errors
    /// As [`Printer::ready`].
    pub(crate) async fn print(&self, print: Print) -> Result<(), NotRead> {
        self.ready().await?.send(print);
        Ok(())
    }

    /// Has this stand below all else. Where much waits to be printed it is left out: a newer one follows.
    /// Whether it was not.
    pub(crate) fn foot(&self, foot: Foot) -> bool {
        self.prints.try_send(Print::Foot(foot)).is_ok()
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
        drop(self.prints);
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
