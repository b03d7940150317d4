//! What a room leaves on the disk: its log, and the pass that lets this person in again.

use crate::{
    event::Event,
    home::{self, RoomLog},
};

use super::Actor;

impl Actor {
    /// Appends what could wait.
    pub(super) async fn store_rest(&mut self) {
        if !self.unstored.is_empty() {
            let records = std::mem::take(&mut self.unstored);
            self.store(records, false).await;
        }
    }

    /// Appends records to the log file, or puts them in the place of all it holds, on a thread that may wait for the
    /// disk.
    pub(super) async fn store(&mut self, records: Vec<u8>, is_anew: bool) {
        let Some(mut log) = self.log.take() else { return };
        let stored = tokio::task::spawn_blocking(move || {
            let result = if is_anew {
                log.replace(&records)
            } else {
                log.append(&records)
            };
            (log, result)
        });
        match stored.await {
            Ok((log, Ok(()))) => self.log = Some(log),
            Ok((log, Err(error))) => {
                self.log = Some(log);
                self.tell(Event::Warning {
                    text: format!("{error}; the room goes on, and what its log here lacks is tried again"),
                });
            }
            Err(error) => tracing::error!(%error, "the log's thread is gone"),
        }
    }

    /// Keeps what lets this person in again, on a thread that may wait for the disk. Without it the room takes this person
    /// for a new one, which matters only while it is locked.
    pub(super) fn keep_pass(&self, pass: Vec<u8>) {
        let Some(path) = self.log.as_ref().map(RoomLog::pass_path) else {
            return;
        };
        tokio::task::spawn_blocking(move || {
            if let Err(error) = home::keep_pass(&path, &pass) {
                tracing::warn!(%error, "the pass into the room is not kept");
            }
        });
    }
}
