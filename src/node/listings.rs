//! The list of public rooms in the words of events.

use majlis_protocol::{announcement, link::RoomLink};
use tokio::sync::broadcast::{self, error::RecvError};

use crate::{
    event::{Event, Listing, Stamped},
    net::RoomChange,
};

/// Changes in the list of public rooms: [`Event::Listing`] and [`Event::Unlisted`].
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
        live: announcement.kind == announcement::Kind::Live,
        starts: genesis.starts,
        listeners: announcement.listeners,
    }
}
