//! The signals on which the program leaves in good order: interrupt, terminate, hang up.

use std::io;

/// The signals of this process from now on.
#[derive(Debug)]
pub(crate) struct Signals {
    #[cfg(unix)]
    streams: [tokio::signal::unix::Signal; 3],
}

#[cfg(unix)]
impl Signals {
    /// Catches the signals from now on.
    pub(crate) fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let streams = [
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        ];
        Ok(Self { streams })
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.streams;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

#[cfg(not(unix))]
impl Signals {
    /// Catches the signals from now on.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {})
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            // Without the handler the system itself ends the process.
            std::future::pending::<()>().await;
        }
    }
}

/// That the program goes on after it was stopped.
#[derive(Debug)]
pub(crate) struct Continued {
    #[cfg(unix)]
    stream: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Continued {
    /// Notices it from now on.
    pub(crate) fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        // POSIX names it, and tokio does not.
        let kind = SignalKind::from_raw(rustix::process::Signal::CONT.as_raw());
        Ok(Self {
            stream: signal(kind)?,
        })
    }

    /// Waits for the next time.
    pub(crate) async fn next(&mut self) {
        self.stream.recv().await;
    }
}

#[cfg(not(unix))]
impl Continued {
    /// Notices it from now on.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {})
    }

    /// Nothing stops a program here.
    pub(crate) async fn next(&mut self) {
        std::future::pending::<()>().await;
    }
}
