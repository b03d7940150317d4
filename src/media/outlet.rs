//! The way from the media plane to its room: bounded, never waited for.
//!
//! Most signals repeat themselves while what they tell of lasts, so that one which finds the room busy may be lost. What
//! is said once is kept until the room has time for it.

use std::sync::{Mutex, PoisonError};

use tokio::sync::mpsc::{self, error::TrySendError};

use super::Signal;

/// Most signals that are kept for a busy room: a forger on each of more links than a room without places of its own has.
const KEPT: usize = 256;

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Outlet {
    signals: mpsc::Sender<Signal>,
    kept: Mutex<Vec<Signal>>,
}

impl Outlet {
    pub(super) fn new(signals: mpsc::Sender<Signal>) -> Self {
        let kept = Mutex::default();
        Self { signals, kept }
    }

    /// Tells the room, now or, where it must be told, later.
    pub(super) fn tell(&self, signal: Signal) {
        let Err(TrySendError::Full(signal)) = self.signals.try_send(signal) else {
            return;
        };
        tracing::debug!(?signal, "the room is busy");
        let is_said_once = matches!(signal, Signal::Forger(_) | Signal::First { .. });
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if is_said_once && kept.len() < KEPT {
            kept.push(signal);
        }
    }

    /// Tells the room what it had no time for. Call it now and then.
    pub(super) fn tell_again(&self) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|signal| matches!(self.signals.try_send(*signal), Err(TrySendError::Full(_))));
    }
}

#[cfg(test)]
mod tests {
    use majlis_protocol::neighbour::Neighbour;

    use super::*;

    #[test]
    fn a_forger_is_told_of_though_the_room_was_busy() {
        let (signals, mut room) = mpsc::channel(1);
        let outlet = Outlet::new(signals);
        let forger = Signal::Forger(Neighbour(7));
        outlet.tell(Signal::Ahead);
        outlet.tell(forger);
        outlet.tell(Signal::StandbySilent(Neighbour(8)));
        outlet.tell_again();
        assert_eq!(room.try_recv(), Ok(Signal::Ahead));
        outlet.tell_again();
        outlet.tell_again();
        assert_eq!(room.try_recv(), Ok(forger));
        assert!(
            room.try_recv().is_err(),
            "once, and what repeats itself not at all"
        );
    }

    #[test]
    fn a_room_that_is_gone_is_told_nothing_for_ever() {
        let (signals, room) = mpsc::channel(1);
        let outlet = Outlet::new(signals);
        outlet.tell(Signal::Ahead);
        outlet.tell(Signal::Forger(Neighbour(7)));
        drop(room);
        outlet.tell_again();
        assert!(outlet.kept.lock().expect("nobody panicked").is_empty());
    }
}
