//! The WebSocket of events: what `--json` prints, and each room's events with the room's id.
//!
//! A client that does not read is let go; it never holds a room back.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{
    extract::{
        State,
        ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code},
    },
    http::StatusCode,
    response::{IntoResponse, Response},
};
use majlis_protocol::room::RoomId;
use serde_json::Value;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};

use super::routes::{Context, refusal};
use crate::{
    event::Stamped,
    node::Node,
    room::{EventStream, RoomHandle},
};

/// Most bytes of a message from a client; none has anything to say.
const MESSAGE: usize = 1_024;

/// Events between the rooms and a client: some seconds of a lively stage.
const QUEUE: usize = 256;

/// How long a client may leave its socket full.
const SEND: Duration = Duration::from_secs(5);

/// How often to look for rooms that this node has entered since.
const NEW_ROOMS: Duration = Duration::from_millis(250);

/// Opens the stream.
pub(super) async fn open(State(context): State<Context>, upgrade: WebSocketUpgrade) -> Response {
    let Ok(place) = Arc::clone(&context.sockets).try_acquire_owned() else {
        return refusal(StatusCode::SERVICE_UNAVAILABLE, "too many WebSockets are open").into_response();
    };
    upgrade
        .max_message_size(MESSAGE)
        .max_frame_size(MESSAGE)
        .on_upgrade(async move |socket| {
            stream(socket, context).await;
            drop(place);
        })
}

async fn stream(mut socket: WebSocket, mut context: Context) {
    let (sender, mut events) = mpsc::channel(QUEUE);
    let gathering = gather(context.node.clone(), sender);
    tokio::pin!(gathering);
    let why = loop {
        tokio::select! {
            // It ends only with its receiver.
            () = &mut gathering => break None,
            // Nothing is ever sent: an error says that the server is gone.
            _ = context.end.changed() => break Some((close_code::AWAY, "the node is closing")),
            message = socket.recv() => match message {
                Some(Ok(Message::Close(_)) | Err(_)) | None => break None,
                Some(Ok(_)) => {}
            },
            Some(event) = events.recv() => match timeout(SEND, socket.send(Message::text(event))).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => break None,
                Err(_) => break Some((close_code::POLICY, "events were not read in time")),
            },
        }
    };
    if let Some((code, reason)) = why {
        let frame = CloseFrame {
            code,
            reason: reason.into(),
        };
        // The client may be the one that does not read.
        let _ = timeout(SEND, socket.send(Message::Close(Some(frame)))).await;
    }
}

/// Sends the events of a node and of all its rooms as text, those of the future included.
async fn gather(node: Node, sender: mpsc::Sender<String>) {
    if !send(&sender, Stamped::now(node.listening()), None).await {
        return;
    }
    let mut forwarding = JoinSet::new();
    let mut listings = node.watch_listings();
    let to_client = sender.clone();
    forwarding.spawn(async move {
        while let Some(event) = listings.next().await {
            if !send(&to_client, event, None).await {
                break;
            }
        }
    });
    let mut known = BTreeMap::new();
    let mut look = interval(NEW_ROOMS);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !sender.is_closed() {
        look.tick().await;
        let rooms: BTreeMap<RoomId, RoomHandle> =
            node.rooms().into_iter().map(|room| (room.id(), room)).collect();
        for (id, room) in &rooms {
            if !known.contains_key(id) {
                forwarding.spawn(forward(room.events(), *id, sender.clone()));
            }
        }
        // A room that was left and is entered again is a new one.
        known = rooms;
    }
}

async fn forward(mut events: EventStream, room: RoomId, sender: mpsc::Sender<String>) {
    while let Some(event) = events.next().await {
        if !send(&sender, event, Some(room)).await {
            break;
        }
    }
}

/// Whether someone still takes events.
async fn send(sender: &mpsc::Sender<String>, event: Stamped, room: Option<RoomId>) -> bool {
    sender.send(text(event, room)).await.is_ok()
}

fn text(event: Stamped, room: Option<RoomId>) -> String {
    let mut value = serde_json::to_value(event).expect("events are made of plain values");
    if let (Value::Object(fields), Some(room)) = (&mut value, room) {
        fields.insert("room".to_owned(), room.to_string().into());
    }
    value.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;

    #[test]
    fn a_rooms_event_says_of_which_room_it_is() {
        let room = RoomId([1; 32]);
        let value: Value =
            serde_json::from_str(&text(Stamped::now(Event::InputEnded), Some(room))).expect("JSON");
        assert_eq!(
            (&value["event"], &value["room"]),
            (&"input_ended".into(), &room.to_string().into())
        );
        let value: Value = serde_json::from_str(&text(Stamped::now(Event::InputEnded), None)).expect("JSON");
        assert_eq!(value.get("room"), None);
    }
}
