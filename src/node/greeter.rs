//! Greeting: peers that open a substream say which room they mean, and are shown to it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use libp2p::PeerId;
use majlis_protocol::{
    member::GREETING_TIMEOUT,
    reason::Reason,
    text::Text,
    wire::message::{Message, Refusal},
};
use tokio::{
    sync::{
        OwnedSemaphorePermit, Semaphore,
        mpsc::{self, error::TrySendError},
    },
    time,
};

use super::Rooms;
use crate::{
    media::Plane,
    net::{MEDIA_PROTOCOL, NetEvent, ROOM_PROTOCOL, Stream},
    room::{Arrival, Control},
};

/// Substreams whose hello is awaited at a time. Beyond, they are reset: a crowd that says nothing waits outside.
const GREETINGS: usize = 256;

/// Those of one peer. Nobody joins more rooms of one host in the same moment; with more, a few peers that say nothing
/// would keep everybody else waiting.
const GREETINGS_PER_PEER: usize = 8;

/// How long an answer to someone who is turned away may take to be read.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// Who is being greeted.
struct Greetings {
    all: Arc<Semaphore>,
    peers: BTreeMap<PeerId, Arc<Semaphore>>,
}

/// Handles what the network brings until it is closed.
pub(super) async fn run(mut events: mpsc::Receiver<NetEvent>, plane: Plane, rooms: Rooms) {
    let mut greetings = Greetings::new();
    while let Some(event) = events.recv().await {
        match event {
            NetEvent::Connected { peer, .. } => plane.receive_from(peer),
            NetEvent::Inbound {
                peer,
                protocol,
                stream,
            } if protocol == MEDIA_PROTOCOL => plane.serve_fallback(peer, stream),
            NetEvent::Inbound {
                peer,
                protocol,
                stream,
            } if protocol == ROOM_PROTOCOL => {
                let Some(permit) = greetings.begin(peer) else {
                    tracing::debug!(%peer, "too many are being greeted");
                    continue;
                };
                let rooms = rooms.clone();
                tokio::spawn(async move {
                    greet(peer, stream, &rooms).await;
                    drop(permit);
                });
            }
            _ => {}
        }
    }
}

impl Greetings {
    fn new() -> Self {
        Self {
            all: Arc::new(Semaphore::new(GREETINGS)),
            peers: BTreeMap::new(),
        }
    }

    /// A place to be greeted in, until it is dropped; `None` when too many wait.
    fn begin(&mut self, peer: PeerId) -> Option<[OwnedSemaphorePermit; 2]> {
        // Permits hold their semaphore: whom nobody else holds is not being greeted.
        self.peers.retain(|_, greeted| Arc::strong_count(greeted) > 1);
        let all = Arc::clone(&self.all).try_acquire_owned().ok()?;
        let greeted = self
            .peers
            .entry(peer)
            .or_insert_with(|| Arc::new(Semaphore::new(GREETINGS_PER_PEER)));
        let own = Arc::clone(greeted).try_acquire_owned().ok()?;
        Some([all, own])
    }
}

/// Reads the hello of a peer and shows it to its room.
async fn greet(peer: PeerId, stream: Stream, rooms: &Rooms) {
    let mut control = Control::new(stream);
    let Ok(Some(first)) = time::timeout(GREETING_TIMEOUT, control.next()).await else {
        return;
    };
    let (reason, text) = match first {
        Ok(Some(Message::Hello(hello))) => match rooms.arrivals(hello.room) {
            Some(arrivals) => {
                let arrival = Arrival {
                    peer,
                    control,
                    hello: Message::Hello(hello),
                };
                return match arrivals.try_send(arrival) {
                    Ok(()) => {}
                    Err(TrySendError::Full(arrival)) => {
                        turn_away(arrival.control, Reason::TooMany, "many are arriving: try again").await;
                    }
                    Err(TrySendError::Closed(arrival)) => {
                        turn_away(
                            arrival.control,
                            Reason::UnknownRoom,
                            "this node has left that room",
                        )
                        .await;
                    }
                };
            }
            None => (Reason::UnknownRoom, "this node is not in that room".to_owned()),
        },
        Ok(_) => (Reason::NotInTheRoom, "say hello first".to_owned()),
        Err(error) => (error.reason(), error.to_string()),
    };
    turn_away(control, reason, &text).await;
}

async fn turn_away(control: Control, reason: Reason, text: &str) {
    let message = Message::Refuse(Refusal {
        reason,
        text: Text::clean(text),
    });
    if time::timeout(ANSWER_TIMEOUT, control.answer_and_close(&message))
        .await
        .is_err()
    {
        tracing::debug!("a peer that was turned away does not read");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_says_nothing_waits_in_a_few_places_and_takes_none_from_others() {
        let (mut greetings, crowd) = (Greetings::new(), PeerId::random());
        let held: Vec<_> = (0..GREETINGS).filter_map(|_| greetings.begin(crowd)).collect();
        assert_eq!(held.len(), GREETINGS_PER_PEER);
        assert!(greetings.begin(PeerId::random()).is_some());
        drop(held);
        assert!(greetings.begin(crowd).is_some());
        assert_eq!(greetings.peers.len(), 1, "who was greeted is forgotten");
    }

    #[test]
    fn everybody_together_is_bounded() {
        let mut greetings = Greetings::new();
        let held: Vec<_> = (0..2 * GREETINGS)
            .filter_map(|_| greetings.begin(PeerId::random()))
            .collect();
        assert_eq!(held.len(), GREETINGS);
    }
}
