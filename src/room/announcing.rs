//! Making a room findable: the announcement that its chair signs, and the provider records of its members.
//!
//! A task of its own talks to the network, so that the actor never waits for it. What it has put out it takes back
//! when the room is left: others list the room no more.

use std::time::{Duration, Instant};

use majlis_protocol::{
    announcement::Announcement,
    limits,
    link::Address,
    log::{Action, Log},
    person::{Person, PersonKey},
    room::Visibility,
    signed::{Malformed, Signed, Verified},
    text::Text,
};
use tokio::{sync::watch, task::JoinHandle, time};

use crate::{clock, net::Network};

/// How long an unchanged announcement stands before it is signed anew: well before it expires.
const RENEW: Duration = Duration::from_secs(limits::LIVE_ANNOUNCEMENT_S / 3);

/// How long a mere change of the number of listeners may wait. The number is a claim and an estimate, and each
/// announcement goes through the whole network.
const COUNT_PATIENCE: Duration = Duration::from_secs(30);

/// How long taking everything back may take when the room is left.
const WITHDRAW_TIMEOUT: Duration = Duration::from_secs(1);

/// What of a room is known outside.
#[derive(Debug)]
pub(super) struct Announcing {
    announcements: watch::Sender<Option<Signed<Announcement>>>,
    task: JoinHandle<()>,
    last: Option<(Claim, Instant)>,
    /// By its clock, when it was signed.
    issued: u64,
}

/// What an announcement says that may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claim {
    title: Text,
    head: u32,
    listeners: u32,
    addresses: Vec<Address>,
}

impl Announcing {
    /// Starts to provide a room that was joined. Private rooms are provided by nobody.
    pub(super) fn start(network: Network, log: &Log) -> Self {
        let genesis = log.genesis();
        let mut keys = Vec::new();
        if genesis.visibility != Visibility::Private {
            keys.push(log.room().key());
        }
        if genesis.visibility == Visibility::Public {
            keys.extend(genesis.tags.iter().map(majlis_protocol::room::RoomTag::key));
        }
        let (announcements, receiver) = watch::channel(None);
        let task = tokio::spawn(run(network, keys, receiver));
        Self {
            announcements,
            task,
            last: None,
            issued: 0,
        }
    }

    /// Announces a public room as its chair, if there is news or the last announcement is getting old.
    ///
    /// # Errors
    /// [`Malformed`] when the announcement breaks a limit.
    pub(super) fn announce_if_due(
        &mut self,
        log: &Log,
        listeners: u32,
        addresses: Vec<Address>,
        key: &PersonKey,
    ) -> Result<(), Malformed> {
        let (genesis, state, me) = (log.genesis(), log.state(), key.person());
        if state.chair() != me {
            // Whoever has the chair announces it now.
            self.last = None;
        }
        if genesis.visibility != Visibility::Public || state.chair() != me {
            return Ok(());
        }
        let title = log.state().title().clone();
        let claim = Claim {
            title,
            head: log.head().sequence,
            listeners,
            addresses,
        };
        if !is_due(self.last.as_ref(), &claim, Instant::now()) {
            return Ok(());
        }
        self.issued = clock::unix_seconds();
        let live = Announcement::live(genesis, self.issued);
        let live = match grant_of(log, me) {
            Some(grant) => live.by_co_host(me, &grant),
            None => live,
        };
        let announcement = Announcement {
            title: claim.title.clone(),
            head: claim.head,
            listeners: claim.listeners,
            addresses: claim.addresses.clone(),
            ..live
        };
        let announcement = Verified::sign(announcement, key)?;
        self.announcements
            .send_replace(Some(announcement.signed().clone()));
        self.last = Some((claim, Instant::now()));
        Ok(())
    }

    /// Announces that the room is to be listed no more, if it was announced from here, by its host, and nobody else has
    /// the chair now.
    ///
    /// # Errors
    /// [`Malformed`] when the announcement breaks a limit.
    pub(super) fn end(&mut self, log: &Log, key: &PersonKey) -> Result<(), Malformed> {
        let Some((claim, _)) = self.last.take() else {
            return Ok(());
        };
        let (host, me) = (log.state().host(), key.person());
        if host != me || log.state().chair() != me {
            return Ok(());
        }
        // Newer than what was said before, whichever way the clock was set meanwhile.
        let head = log.head().sequence.max(claim.head);
        let end = Announcement::end(log.genesis(), head, clock::unix_seconds().max(self.issued));
        let end = Verified::sign(end, key)?;
        self.announcements.send_replace(Some(end.signed().clone()));
        Ok(())
    }

    /// Takes everything back.
    pub(super) async fn withdraw(self) {
        drop(self.announcements);
        if time::timeout(WITHDRAW_TIMEOUT, self.task).await.is_err() {
            tracing::debug!("the network did not take the announcement back in time");
        }
    }
}

/// The action by which the host made a person a co-host; none for the host.
fn grant_of(log: &Log, person: Person) -> Option<Signed<Action>> {
    let office = log.state().officers().get(&person)?;
    log.entry(office.since)?.signed_action().ok()
}

/// Whether a claim is worth a new announcement.
fn is_due(last: Option<&(Claim, Instant)>, claim: &Claim, now: Instant) -> bool {
    let Some((announced, at)) = last else { return true };
    let age = now.saturating_duration_since(*at);
    let only_count = Claim {
        listeners: claim.listeners,
        ..announced.clone()
    } == *claim;
    age >= RENEW || !only_count || (announced != claim && age >= COUNT_PATIENCE)
}

async fn run(
    network: Network,
    keys: Vec<[u8; 32]>,
    mut announcements: watch::Receiver<Option<Signed<Announcement>>>,
) {
    for key in &keys {
        network.provide(*key).await;
    }
    while announcements.changed().await.is_ok() {
        let announcement = announcements.borrow_and_update().clone();
        if let Some(announcement) = announcement
            && let Err(error) = network.announce(announcement).await
        {
            tracing::warn!(%error, "the room was not announced");
        }
    }
    for key in &keys {
        network.stop_providing(*key).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(listeners: u32, head: u32) -> Claim {
        Claim {
            title: Text::clean("Poems"),
            head,
            listeners,
            addresses: Vec::new(),
        }
    }

    #[test]
    fn news_is_told_at_once_and_counts_wait() {
        let then = Instant::now();
        let last = Some((claim(1, 1), then));
        let due = |claim: &Claim, after: u64| is_due(last.as_ref(), claim, then + Duration::from_secs(after));
        assert!(is_due(None, &claim(1, 1), then));
        assert!(due(&claim(1, 2), 0), "a new entry");
        assert!(!due(&claim(2, 1), 29) && due(&claim(2, 1), 30), "another count");
        assert!(!due(&claim(1, 1), 199) && due(&claim(1, 1), 200), "nothing new");
    }
}
