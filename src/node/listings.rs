//! The list of public rooms in the words of events.

use majlis_protocol::{
    announcement::{self, Status},
    link::RoomLink,
    text::Text,
};
use tokio::sync::broadcast::{self, error::RecvError};

use crate::{
    event::{Cancelled, Event, Listing, Stamped},
    net::RoomChange,
};

/// Changes in the list of public rooms: [`Event::Listing`], [`Event::Unlisted`] and [`Event::Cancelled`].
#[derive(Debug)]
pub struct ListingStream {
    changes: broadcast::Receiver<RoomChange>,
}

impl ListingStream {
    pub(super) fn new(changes: broadcast::Receiver<RoomChange>) -> Self {
        Self { changes }
    }

    /// The next change; `None` when the node has closed. Safe to cancel.
    pub async fn next(&mut self) -> Option<Stamped> {
        loop {
            match self.changes.recv().await {
                Ok(RoomChange::Listed(listing)) => {
                    return Some(Stamped::now(Event::Listing(shown(&listing))));
                }
                Ok(RoomChange::Cancelled(listing)) => {
                    if let Some(cancelled) = cancelled(&listing) {
                        return Some(Stamped::now(Event::Cancelled(cancelled)));
                    }
                }
                Ok(RoomChange::Gone(id)) => return Some(Stamped::now(Event::Unlisted { id })),
                Err(RecvError::Lagged(missed)) => tracing::warn!(missed, "listings were not read in time"),
                Err(RecvError::Closed) => return None,
            }
        }
    }
}

/// A proven announcement as people and programs see it.
pub(super) fn shown(listing: &announcement::Listing) -> Listing {
    let (announcement, genesis) = (listing.announcement(), listing.genesis());
    Listing {
        id: announcement.room,
        link: RoomLink {
            room: announcement.room,
            via: announcement.addresses.clone(),
        },
        title: announcement.title.to_string(),
        host: genesis.host,
        tags: genesis.tags.iter().map(ToString::to_string).collect(),
        description: listing.description().to_string(),
        language: genesis.language.clone(),
        live: *listing.status() == Status::Live,
        starts: match listing.status() {
            Status::Planned(plan) => Some(plan.starts),
            _ => None,
        },
        listeners: announcement.listeners,
        revision: announcement.head,
    }
}

/// The same of one that was called off; `None` for every other.
pub(super) fn cancelled(listing: &announcement::Listing) -> Option<Cancelled> {
    let Status::Cancelled { starts, reason } = listing.status() else {
        return None;
    };
    let (announcement, genesis) = (listing.announcement(), listing.genesis());
    Some(Cancelled {
        id: announcement.room,
        title: announcement.title.to_string(),
        host: genesis.host,
        tags: genesis.tags.iter().map(ToString::to_string).collect(),
        starts: *starts,
        reason: Some(reason)
            .filter(|reason| !reason.is_empty())
            .map(Text::to_string),
    })
}
