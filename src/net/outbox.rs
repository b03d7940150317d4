//! Events on their way to the program, which may be slow: the swarm never waits for it.
//!
//! Invariant: bounded by the peers that come and go between two looks of the program and [`STREAMS`] streams; no
//! `Disconnected` is told without its `Connected`, and none is lost.

use std::collections::VecDeque;

use super::NetEvent;

/// Streams that wait for the program. It takes them as they come; a longer queue is a program that hangs, and what
/// would be handed out then is too old to be answered within its deadline.
const STREAMS: usize = 256;

/// Events that the program has not taken yet.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    events: VecDeque<NetEvent>,
    streams: usize,
}

impl Outbox {
    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// The oldest event.
    pub(super) fn pop(&mut self) -> Option<NetEvent> {
        let event = self.events.pop_front()?;
        if matches!(event, NetEvent::Inbound { .. }) {
            self.streams -= 1;
        }
        Some(event)
    }

    /// Takes an event; false when it was dropped because too many streams wait.
    pub(super) fn push(&mut self, event: NetEvent) -> bool {
        match &event {
            NetEvent::Inbound { .. } if self.streams >= STREAMS => return false,
            NetEvent::Inbound { .. } => self.streams += 1,
            NetEvent::Listening { .. } => self
                .events
                .retain(|event| !matches!(event, NetEvent::Listening { .. })),
            NetEvent::Disconnected { peer } => {
                if self.take_back(*peer) {
                    return true;
                }
            }
            NetEvent::Connected { .. } => {}
        }
        self.events.push_back(event);
        true
    }

    /// Removes what waits to be told of a peer that has gone; true when its coming was not told either.
    fn take_back(&mut self, gone: libp2p::PeerId) -> bool {
        let mut untold = false;
        let streams = &mut self.streams;
        self.events.retain(|event| match event {
            NetEvent::Connected { peer, first, .. } if *peer == gone => {
                untold |= first;
                false
            }
            NetEvent::Inbound { peer, .. } if *peer == gone => {
                *streams -= 1;
                false
            }
            _ => true,
        });
        untold
    }
}

#[cfg(test)]
mod tests {
    use libp2p::{PeerId, swarm::ConnectionId};

    use super::*;

    fn connected(peer: PeerId, first: bool) -> NetEvent {
        NetEvent::Connected {
            peer,
            connection: ConnectionId::new_unchecked(1),
            address: "/ip4/127.0.0.1/tcp/1".parse().expect("an address"),
            dialled: true,
            first,
        }
    }

    #[test]
    fn a_peer_that_came_and_went_unseen_is_not_told() {
        let (mut outbox, passer, stayer) = (Outbox::default(), PeerId::random(), PeerId::random());
        for event in [
            connected(passer, true),
            connected(stayer, true),
            connected(passer, false),
            NetEvent::Disconnected { peer: passer },
        ] {
            assert!(outbox.push(event));
        }
        assert!(matches!(outbox.pop(), Some(NetEvent::Connected { peer, .. }) if peer == stayer));
        assert!(outbox.is_empty());
    }

    #[test]
    fn a_peer_whose_coming_was_told_is_told_to_have_gone() {
        let (mut outbox, peer) = (Outbox::default(), PeerId::random());
        outbox.push(connected(peer, true));
        outbox.pop();
        outbox.push(connected(peer, false));
        outbox.push(NetEvent::Disconnected { peer });
        assert!(matches!(outbox.pop(), Some(NetEvent::Disconnected { peer: gone }) if gone == peer));
        assert!(outbox.pop().is_none());
    }
}
