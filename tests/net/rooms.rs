//! Rooms to announce.
use majlis::{clock::unix_seconds, net::RoomChange};
use majlis_protocol::{
    announcement::{Announcement, Listing},
    log::{Act, Action, Log},
    person::PersonKey,
    room::{Genesis, RoomId},
    signed::{Signed, Verified},
    text::Text,
};
use tokio::sync::broadcast;

use super::{Node, PATIENCE};

/// A room and the key of its host.
pub(super) struct Room {
    key: PersonKey,
    genesis: Verified<Genesis>,
}

impl Room {
    pub(super) fn new(seed: u8) -> Self {
        Self::with_tags(seed, &[])
    }

    pub(super) fn with_tags(seed: u8, tags: &[&str]) -> Self {
        let key = PersonKey::from_seed(&[seed; 32]);
        let mut genesis = Genesis::new(key.person(), "Poems", [seed; 16]);
        genesis.tags = tags.iter().map(|tag| tag.parse().expect("a tag")).collect();
        let genesis = genesis.sign(&key).expect("valid");
        Self { key, genesis }
    }

    pub(super) fn id(&self) -> RoomId {
        RoomId::of(&self.genesis)
    }

    /// Its announcement, changed as a test needs it.
    pub(super) fn announcement(&self, change: impl FnOnce(&mut Announcement)) -> Signed<Announcement> {
        let mut announcement = Announcement::live(&self.genesis, unix_seconds());
        change(&mut announcement);
        let verified = Verified::sign(announcement, &self.key).expect("valid");
        verified.signed().clone()
    }

    /// The same as a room that starts an hour from now, with the log of its host.
    pub(super) fn planned(seed: u8) -> (Self, Log) {
        let key = PersonKey::from_seed(&[seed; 32]);
        let mut genesis = Genesis::new(key.person(), "Poems", [seed; 16]);
        genesis.starts = Some(unix_seconds() + 3_600);
        let genesis = genesis.sign(&key).expect("valid");
        let log = Log::new(genesis.clone());
        (Self { key, genesis }, log)
    }

    /// What is planned of it, or that it was called off, with the addresses of its host.
    pub(super) fn record(&self, log: &Log, host: &Node) -> Signed<Announcement> {
        let mut planned = Announcement::planned(log, unix_seconds()).expect("planned");
        let addresses = host.network.addresses();
        planned.addresses = addresses
            .iter()
            .map(|address| address.to_string().parse().expect("an address"))
            .collect();
        let verified = Verified::sign(planned, &self.key).expect("valid");
        verified.signed().clone()
    }

    /// Calls it off in its log.
    pub(super) fn cancel(&self, log: &mut Log) {
        let starts = self.genesis.starts.expect("planned");
        let reason = Text::clean("ill");
        let act = Act::Cancel { starts, reason };
        let action = Action::new(log.room(), self.key.person(), log.head(), 0, &act);
        let action = Verified::sign(action, &self.key).expect("valid");
        log.append(action.signed().clone(), &self.key, 0)
            .expect("its host may");
    }

    /// Its end, at an entry of the log.
    pub(super) fn end(&self, head: u32) -> Signed<Announcement> {
        let end = Announcement::end(&self.genesis, head, unix_seconds());
        let verified = Verified::sign(end, &self.key).expect("valid");
        verified.signed().clone()
    }

    /// Its announcement with the addresses of a member.
    pub(super) fn announced_by(
        &self,
        member: &Node,
        change: impl FnOnce(&mut Announcement),
    ) -> Signed<Announcement> {
        self.announcement(|announcement| {
            let addresses = member.network.addresses();
            announcement.addresses = addresses
                .iter()
                .map(|address| address.to_string().parse().expect("an address"))
                .collect();
            change(announcement);
        })
    }
}

/// Whether a node lists a room.
pub(super) async fn lists(node: &Node, room: RoomId) -> bool {
    let rooms = node.network.rooms(None).await;
    rooms.iter().any(|listing| listing.announcement().room == room)
}

/// The first change that is wanted.
pub(super) async fn change<T>(
    changes: &mut broadcast::Receiver<RoomChange>,
    mut wanted: impl FnMut(RoomChange) -> Option<T>,
) -> T {
    let search = async {
        loop {
            let change = changes.recv().await.expect("the network runs");
            if let Some(found) = wanted(change) {
                return found;
            }
        }
    };
    tokio::time::timeout(PATIENCE, search)
        .await
        .expect("the change comes")
}

/// The first listing of a room whose newest log entry has at least this sequence.
pub(super) async fn listed(
    changes: &mut broadcast::Receiver<RoomChange>,
    room: RoomId,
    head: u32,
) -> Box<Listing> {
    change(changes, |change| match change {
        RoomChange::Listed(listing)
            if listing.announcement().room == room && listing.announcement().head >= head =>
        {
            Some(listing)
        }
        _ => None,
    })
    .await
}

/// Waits until a node lists a room, by whatever way it hears of it.
pub(super) async fn until_listed(node: &Node, room: RoomId) {
    // Watched before the look, so that nothing is missed between the two.
    let mut changes = node.network.watch_rooms();
    if !lists(node, room).await {
        listed(&mut changes, room, 0).await;
    }
}
