//! The microphone as it is wanted: the newest wish counts, in the order in which they were made.

use majlis::room::{ActError, RoomHandle};
use tokio::sync::{mpsc, watch};

use super::Told;

/// Who wants what of the microphone.
#[derive(Debug)]
pub(super) struct Microphone {
    wishes: watch::Sender<bool>,
}

impl Microphone {
    /// The microphone of this room, which is closed; what goes wrong is told.
    pub(super) fn new(room: RoomHandle, tell: mpsc::Sender<Told>) -> Self {
        let (wishes, changes) = watch::channel(false);
        tokio::spawn(follow(room, changes, tell));
        Self { wishes }
    }

    pub(super) fn is_wanted(&self) -> bool {
        *self.wishes.borrow()
    }

    /// Wants it open or closed.
    pub(super) fn want(&self, on: bool) {
        self.wishes.send_replace(on);
    }

    /// It was opened or closed, by whatever.
    pub(super) fn is(&self, on: bool) {
        // Nothing is to be done for it.
        self.wishes.send_if_modified(|wish| {
            *wish = on;
            false
        });
    }
}

/// Brings each wish to the room; a newer one does not wait for the microphone to open.
async fn follow(room: RoomHandle, mut wishes: watch::Receiver<bool>, tell: mpsc::Sender<Told>) {
    while wishes.changed().await.is_ok() {
        loop {
            let on = *wishes.borrow_and_update();
            let done = tokio::select! {
                done = room.microphone(on) => done,
                newer = wishes.changed() => match newer {
                    Ok(()) => continue,
                    Err(_) => return,
                },
            };
            let told = match done {
                Ok(()) => break,
                // It did not open; the event that tells so is shown.
                Err(ActError::Device(_) | ActError::TurnedOff) => Told::Silent(None),
                Err(ActError::NotOnStage) => {
                    let text = "you are not on the stage: r raises your hand, a accepts an invitation";
                    Told::Silent(Some(text.to_owned()))
                }
                Err(error) => Told::Silent(Some(error.to_string())),
            };
            // Nobody waits for it once the console is gone.
            let _ = tell.send(told).await;
            break;
        }
    }
}
