//! Rooms that are to come: announced by their host, kept by community nodes, waited for by those who have the link.

use std::time::Duration;

use majlis_protocol::{
    announcement::{self, Status},
    limits,
    link::{Address, RoomLink},
    reason::Reason,
    room::{RoomId, RoomTag},
    text::Text,
};
use tokio::{
    sync::{
        broadcast::{self, error::RecvError},
        mpsc,
    },
    time,
};

use super::{Node, addresses, listings};
use crate::{
    event::{Cancelled, Event},
    home::Home,
    net::{Kept, RoomChange},
    planning::{PlanError, PlannedRoom},
    room::RoomError,
};

/// How long a node that has just come waits for its first neighbours to say what they know of a room: a handshake, a
/// question and an answer, on a bad line.
const FIRST_ANSWERS: Duration = Duration::from_secs(3);

/// What community nodes say to the record of a room.
#[derive(Debug)]
pub struct KeeperStream {
    kept: broadcast::Receiver<Kept>,
    room: RoomId,
    head: u32,
}

/// What one of them says.
#[derive(Debug, Clone)]
pub struct Keeper {
    /// Which, as it is shown.
    pub peer: String,
    /// Where it is reached, if we reached it there.
    pub address: Option<Address>,
    /// Why it does not keep the record; none when it does.
    pub refused: Option<Reason>,
}

impl KeeperStream {
    /// The next answer; `None` when the node has closed. Safe to cancel.
    pub async fn next(&mut self) -> Option<Keeper> {
        loop {
            match self.kept.recv().await {
                Ok(kept) if (kept.room, kept.head) == (self.room, self.head) => {
                    return Some(Keeper {
                        peer: kept.peer.to_string(),
                        address: kept.address.and_then(|address| address.to_string().parse().ok()),
                        refused: kept.refused,
                    });
                }
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    }
}

impl Node {
    /// The home of this node.
    #[must_use]
    pub fn home(&self) -> &Home {
        &self.shared.home
    }

    /// Announces what is planned of a room of this home, or that it was called off: to everybody who is there, and to
    /// community nodes to keep. Goes on until the node closes.
    ///
    /// # Errors
    /// [`PlanError`] when the room is planned no more, or this node announces too many.
    pub async fn announce_ahead(&self, room: &PlannedRoom) -> Result<KeeperStream, PlanError> {
        let record = room.announcement(addresses(&self.shared.network))?;
        let head = record.peek()?.head;
        let kept = self.shared.network.watch_keepers();
        self.shared.network.announce(record).await?;
        Ok(KeeperStream {
            kept,
            room: room.id(),
            head,
        })
    }

    /// The public rooms, or those with a tag, that were to come and were called off.
    pub async fn cancelled(&self, tag: Option<&RoomTag>) -> Vec<Cancelled> {
        let rooms = self.shared.network.rooms(tag.cloned()).await;
        rooms.iter().filter_map(listings::cancelled).collect()
    }

    /// Waits for a room that could not be joined to open, if it is one that is to come; returns the link to try then. What
    /// it waits for is told, each time that it is another.
    ///
    /// # Errors
    /// `why` it could not be joined, when nothing is known of a room to come; [`RoomError::Cancelled`] when it will not.
    pub async fn until_open(
        &self,
        link: &RoomLink,
        why: RoomError,
        tell: &mpsc::Sender<Event>,
    ) -> Result<RoomLink, RoomError> {
        if !why.may_be_early() {
            return Err(why);
        }
        let mut changes = self.shared.network.watch_rooms();
        let known = match self.known(link.room).await {
            Some(known) => Some(known),
            None => time::timeout(FIRST_ANSWERS, next_of(&mut changes, link.room))
                .await
                .ok()
                .flatten(),
        };
        let Some(mut known) = known else {
            return Err(why);
        };
        let mut told = None;
        loop {
            let announced = &known.announcement().addresses;
            let is_news = told.is_some() || announced.iter().any(|address| !link.via.contains(address));
            match known.status() {
                Status::Planned(plan) => {
                    let (title, starts) = (known.announcement().title.to_string(), plan.starts);
                    if told.as_ref() != Some(&(title.clone(), starts)) {
                        told = Some((title.clone(), starts));
                        let id = link.room;
                        // Whoever does not listen still waits.
                        let _ = tell.send(Event::Waiting { id, title, starts }).await;
                    }
                }
                Status::Cancelled { reason, .. } => return Err(cancelled(&known, reason)),
                Status::Live if is_news => return Ok(with_addresses(link, announced)),
                Status::Live | Status::Ended => return Err(why),
            }
            known = next_of(&mut changes, link.room).await.ok_or(why_gone(&known))?;
        }
    }

    async fn known(&self, room: RoomId) -> Option<announcement::Listing> {
        let rooms = self.shared.network.rooms(None).await;
        rooms
            .into_iter()
            .find(|listing| listing.announcement().room == room)
    }
}

/// What is said of a room next; `None` when it is listed no more.
async fn next_of(
    changes: &mut broadcast::Receiver<RoomChange>,
    room: RoomId,
) -> Option<announcement::Listing> {
    loop {
        match changes.recv().await {
            Ok(RoomChange::Listed(listing) | RoomChange::Cancelled(listing))
                if listing.announcement().room == room =>
            {
                return Some(*listing);
            }
            Ok(RoomChange::Gone(gone)) if gone != room => {}
            Ok(RoomChange::Gone(_)) | Err(RecvError::Closed) => return None,
            Ok(_) | Err(RecvError::Lagged(_)) => {}
        }
    }
}

fn cancelled(listing: &announcement::Listing, reason: &Text) -> RoomError {
    RoomError::Cancelled {
        title: listing.announcement().title.to_string(),
        why: if reason.is_empty() {
            String::new()
        } else {
            format!(": {reason}")
        },
    }
}

fn why_gone(listing: &announcement::Listing) -> RoomError {
    RoomError::NotOpened {
        title: listing.announcement().title.to_string(),
    }
}

/// The link, with where the room was announced to be in front of what it had.
fn with_addresses(link: &RoomLink, announced: &[Address]) -> RoomLink {
    let mut via = announced.to_vec();
    via.extend(
        link.via
            .iter()
            .filter(|address| !announced.contains(address))
            .cloned(),
    );
    via.truncate(limits::ADDRESSES);
    RoomLink { via, ..link.clone() }
}
