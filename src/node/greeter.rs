//! Greeting: peers that open a substream say which room they mean, and are shown to it.

use std::{sync::Arc, time::Duration};

use libp2p::PeerId;
use majlis_protocol::{
    member::GREETING_TIMEOUT,
    reason::Reason,
    text::Text,
    wire::message::{Message, Refusal},
};
use tokio::{
    sync::{Semaphore, mpsc},
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

/// How long an answer to someone who is turned away may take to be read.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// Handles what the network brings until it is closed.
pub(super) async fn run(mut events: mpsc::Receiver<NetEvent>, plane: Plane, rooms: Rooms) {
    let greetings = Arc::new(Semaphore::new(GREETINGS));
    while let Some(event) = events.recv().await {
        match event {
            NetEvent::Connected { peer, .. } => plane.receive_from(peer),
            NetEvent::Inbound {
                peer,
                protocol,
                stream,
            } if protocol == MEDIA_PROTOCOL => {
                let plane = plane.clone();
                tokio::spawn(async move { plane.serve_fallback(peer, stream).await });
            }
            NetEvent::Inbound {
                peer,
                protocol,
                stream,
            } if protocol == ROOM_PROTOCOL => {
                let Ok(permit) = Arc::clone(&greetings).try_acquire_owned() else {
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

/// Reads the hello of a peer and shows it to its room.
async fn greet(peer: PeerId, stream: Stream, rooms: &Rooms) {
    let mut control = Control::new(stream);
    let Ok(Some(first)) = time::timeout(GREETING_TIMEOUT, control.next()).await else {
        return;
    };
    let (reason, text) = match first {
        Ok(Message::Hello(hello)) => match rooms.arrivals(hello.room) {
            Some(arrivals) => {
                let arrival = Arrival {
                    peer,
                    control,
                    hello: Message::Hello(hello),
                };
                if let Err(unheard) = arrivals.try_send(arrival) {
                    let control = unheard.into_inner().control;
                    return turn_away(control, Reason::TooMany, "many are arriving: try again").await;
                }
                return;
            }
            None => (Reason::UnknownRoom, "this node is not in that room".to_owned()),
        },
        Ok(_) => (Reason::NotInTheRoom, "say hello first".to_owned()),
        Err(error) => (Reason::Malformed, error.to_string()),
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
