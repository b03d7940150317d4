//! What the network half counts, each refusal under its reason.

use std::sync::atomic::{AtomicU64, Ordering};

use majlis_protocol::{
    announcement::ListingError,
    directory::{Heard, News, Refusal},
    signed::StatementError,
};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counts since the network started.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Stats {
            $($(#[$doc])* pub $name: u64,)*
        }

        /// The counters behind [`Stats`], written by the driver and read by the handles.
        #[derive(Debug, Default)]
        pub(super) struct Counters {
            $(pub(super) $name: Counter,)*
        }

        impl Counters {
            /// What they show now.
            pub(super) fn read(&self) -> Stats {
                Stats { $($name: self.$name.0.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counters! {
    /// Peers we are connected with now.
    peers,
    /// Connections that are open now.
    connections,
    /// Connections closed because another with the same peer is better.
    surplus_closed,
    /// Streams of others reset because their connection had too many.
    streams_refused,
    /// Streams of others reset because the program did not take them in time.
    streams_overflow,
    /// Rooms that are listed now.
    rooms,
    /// Rooms to come that are listed now.
    plans,
    /// Announcements that told of a room or of something new about it.
    announcements_news,
    /// Announcements that were known already.
    announcements_again,
    /// Announcements older than the one known.
    announcements_older,
    /// Announcements whose bytes, fields or lengths are wrong.
    announcements_malformed,
    /// Announcements with a wrong signature, or signed by another than the host.
    announcements_forged,
    /// Announcements of rooms that are not public.
    announcements_not_public,
    /// Announcements from the past or the future, not handed over by a member.
    announcements_stale,
    /// Announcements on the topic of a tag that their room does not have.
    announcements_wrong_topic,
    /// Announcements of a newer version of the protocol.
    announcements_newer_version,
    /// Announcements not looked at because their sender had sent too many.
    announcements_over_budget,
    /// Announcements for which the directory had no place.
    announcements_overflow,
    /// Questions of others that were answered.
    questions_answered,
    /// Questions of others that were one too many.
    questions_refused,
    /// Records that their hosts gave us to keep, as a community node.
    records_kept,
    /// Those that we did not take.
    records_refused,
}

impl Counters {
    /// Counts what became of an announcement.
    pub(super) fn count_announcement(&self, result: &Result<Heard, Refusal>) {
        let counter = match result {
            Ok(heard) if heard.news == News::Again => &self.announcements_again,
            Ok(_) => &self.announcements_news,
            Err(Refusal::Older) => &self.announcements_older,
            Err(Refusal::Budget) => &self.announcements_over_budget,
            Err(Refusal::Full) => &self.announcements_overflow,
            Err(Refusal::Listing(ListingError::Stale)) => &self.announcements_stale,
            Err(Refusal::Listing(ListingError::NotPublic)) => &self.announcements_not_public,
            Err(Refusal::Listing(
                ListingError::NotTheHost | ListingError::Statement(StatementError::Signature(_)),
            )) => &self.announcements_forged,
            Err(refusal) if !refusal.is_senders_fault() => &self.announcements_newer_version,
            Err(_) => &self.announcements_malformed,
        };
        counter.increase();
    }
}

/// One counter.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn increase(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn set(&self, value: usize) {
        self.0.store(value as u64, Ordering::Relaxed);
    }
}
