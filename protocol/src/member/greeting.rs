//! Links and greetings: who is at the other end, proven before anything else is said.

use alloc::{boxed::Box, collections::VecDeque, vec::Vec};
use core::time::Duration;

use bytes::Bytes;

use crate::{
    identity::{Certificate, Profile},
    link::Address,
    log::{Beacon, Entry, Head},
    neighbour::Neighbour,
    person::{Peer, Person},
    reason::Reason,
    room::Genesis,
    signed::{Signed, StatementError, Verified},
    wire::message::{Alias, Candidate, Hello, Message, Refusal, Welcome},
};

use super::{
    GREETING_TIMEOUT, Left, Member, Route, Side, appeals, audience::Asking, budget, chat::ChatLife, passes,
    reactions::LinkReactions, stage::StageLife,
};

/// One control substream.
#[derive(Debug)]
pub(super) struct Link {
    peer: Peer,
    side: Side,
    stage: Stage,
    /// The newest entry that the other end claims to have.
    pub(super) claimed: u32,
    /// The last beacon that came on it, believed or not: what a tick goes on from.
    pub(super) beacon: Option<Box<Beacon>>,
    /// The last one that was sent on it.
    pub(super) told: Option<Box<Beacon>>,
    /// From when on it is asked again for what stands behind the beacon of somebody whom our log does not know. Such
    /// beacons cost their sender a key each.
    pub(super) doubt_after: Duration,
    /// What we asked for and have no answer to yet.
    pub(super) asked: Option<EntriesAsked>,
    /// The last entry of each batch that was sent on it ahead of its asking for more.
    pub(super) ahead: VecDeque<u32>,
    /// What may come up on it for the chair beside requests.
    pub(super) notes: budget::Budget,
    /// How many lines of chat may come up on it.
    pub(super) chat: budget::Budget,
    /// What reactions may come on it.
    pub(super) reactions: LinkReactions,
    /// How many names may be asked for on it.
    pub(super) audience: budget::Budget,
}

/// A request for what follows an entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct EntriesAsked {
    /// The entry.
    pub(super) after: u32,
    /// When to give up waiting.
    pub(super) deadline: Duration,
}

/// How far the greeting has come.
#[derive(Debug)]
enum Stage {
    /// The other end will say hello.
    AwaitHello { deadline: Duration },
    /// The other end will answer our hello.
    AwaitWelcome { deadline: Duration },
    /// Both ends know each other.
    Open(Introduced),
}

/// What the other end proved and told.
#[derive(Debug)]
struct Introduced {
    profile: Verified<Profile>,
}

impl Link {
    fn new(peer: Peer, side: Side, now: Duration) -> Self {
        let deadline = now + GREETING_TIMEOUT;
        let stage = match side {
            Side::Opener => Stage::AwaitWelcome { deadline },
            Side::Receiver => Stage::AwaitHello { deadline },
        };
        Self {
            peer,
            side,
            stage,
            claimed: 0,
            beacon: None,
            told: None,
            doubt_after: Duration::ZERO,
            asked: None,
            ahead: VecDeque::new(),
            notes: StageLife::link_budget(now),
            chat: ChatLife::link_budget(now),
            reactions: LinkReactions::new(now),
            audience: Asking::link_budget(now),
        }
    }

    pub(super) fn peer(&self) -> Peer {
        self.peer
    }

    /// Whether this end opened it.
    pub(super) fn is_ours(&self) -> bool {
        self.side == Side::Opener
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Open(_))
    }

    pub(super) fn person(&self) -> Option<Person> {
        self.profile().map(|profile| profile.person)
    }

    pub(super) fn profile(&self) -> Option<&Verified<Profile>> {
        match &self.stage {
            Stage::Open(introduced) => Some(&introduced.profile),
            _ => None,
        }
    }

    /// Until when the other end has to greet, or to answer.
    pub(super) fn deadline(&self) -> Option<Duration> {
        match self.stage {
            Stage::AwaitHello { deadline } | Stage::AwaitWelcome { deadline } => Some(deadline),
            Stage::Open(_) => self.asked.map(|asked| asked.deadline),
        }
    }
}

impl Member {
    pub(super) fn handle_link_up(&mut self, link: Neighbour, peer: Peer, side: Side, now: Duration) {
        self.links.insert(link, Link::new(peer, side, now));
        if self.links.len() > self.max_links() {
            return self.refuse(link, Reason::Full, "too many links", now);
        }
        if side == Side::Opener {
            let mut extensions = self.pass_extension();
            extensions.extend(self.appeal_extension(now));
            let hello = Hello {
                room: self.room,
                certificate: self.certificate.clone(),
                profile: self.profile.signed().clone(),
                alias: self.config.alias,
                head: self.head(),
                addresses: self.config.addresses.clone(),
                extensions,
            };
            self.send(link, Message::Hello(hello));
        }
    }

    pub(super) fn handle_hello(&mut self, link: Neighbour, hello: Hello, now: Duration) {
        let Some(Stage::AwaitHello { .. }) = self.links.get(&link).map(|link| &link.stage) else {
            return self.cut(link, Reason::Malformed, "an unexpected hello", now);
        };
        let Some(log) = self
            .log
            .as_ref()
            .filter(|_| hello.room == self.room && self.joined)
        else {
            return self.refuse(link, Reason::UnknownRoom, "not in that room", now);
        };
        if log.state().ended() {
            return self.refuse(link, Reason::Ended, "the room has ended", now);
        }
        let welcome = Welcome {
            genesis: log.genesis().signed().clone(),
            certificate: self.certificate.clone(),
            profile: self.profile.signed().clone(),
            alias: self.config.alias,
            head: log.head(),
            beacon: self.beacon.get().map(|beacon| beacon.signed().clone()),
            addresses: self.config.addresses.clone(),
            extensions: Vec::new(),
        };
        let introduction = Introduction {
            pass: passes::shown(&hello),
            appeal: appeals::shown(&hello),
            certificate: hello.certificate,
            profile: hello.profile,
            alias: hello.alias,
            addresses: hello.addresses,
        };
        if self.introduce(link, introduction, now) {
            self.send(link, Message::Welcome(welcome));
            self.want_entries(link, hello.head, now);
            self.offer_link(link, now);
        }
    }

    pub(super) fn handle_welcome(&mut self, link: Neighbour, welcome: Welcome, now: Duration) {
        let Some(Stage::AwaitWelcome { .. }) = self.links.get(&link).map(|link| &link.stage) else {
            return self.cut(link, Reason::Malformed, "an unexpected welcome", now);
        };
        if self.log.is_none() {
            match Genesis::verify_for(welcome.genesis, self.room) {
                Ok(genesis) => self.start_log(genesis, now),
                Err(error) => {
                    return self.cut(link, Reason::Malformed, &alloc::format!("genesis: {error}"), now);
                }
            }
        }
        let introduction = Introduction {
            pass: None,
            appeal: None,
            certificate: welcome.certificate,
            profile: welcome.profile,
            alias: welcome.alias,
            addresses: welcome.addresses,
        };
        if !self.introduce(link, introduction, now) {
            return;
        }
        if let Some(beacon) = welcome.beacon {
            self.handle_beacon(link, beacon, now);
        }
        self.want_entries(link, welcome.head, now);
        self.offer_link(link, now);
    }

    /// Whom we asked to let us in may say no, and that the room is over. Who is in the room hears of its end from the
    /// log alone, or any stranger could end it.
    pub(super) fn handle_refuse(&mut self, link: Neighbour, refusal: Refusal, now: Duration) {
        let asked = self
            .links
            .get(&link)
            .is_some_and(|link| matches!(link.stage, Stage::AwaitWelcome { .. }));
        if asked && refusal.reason == Reason::Ended && self.is_without_place() {
            return self.leave(Left::Ended);
        }
        if self.links.get(&link).is_some_and(Link::is_ours) {
            self.note_refusal(link, refusal.reason, now);
            self.tree.note_refused(refusal);
        }
        self.close(link, now);
    }

    /// Forgets a link that is gone, and everything that hung on it.
    pub(super) fn forget_link(&mut self, link: Neighbour, now: Duration) {
        let Some(gone) = self.links.remove(&link) else {
            return;
        };
        self.branches.forget(link);
        self.behind.forget(link);
        self.passes.forget(link);
        if let Some(person) = gone.person() {
            self.source_of(person);
        }
        if gone.is_open() {
            self.route(Route::Closed(link));
        }
        if gone.is_open() {
            self.tree.handle_gone(link, now);
        } else if gone.is_ours() {
            self.tree.handle_never_open(now);
        }
        self.follow_tree(now);
    }

    /// Gives up on whoever did not greet, or did not answer, in time. The next is asked.
    pub(super) fn cut_late(&mut self, link: Neighbour, now: Duration) {
        if !self.links.get(&link).is_some_and(Link::is_open) {
            return self.cut(link, Reason::NotInTheRoom, "no hello in time", now);
        }
        self.note_refusal(link, Reason::Refused, now);
        self.refuse(link, Reason::Expired, "no entries in time", now);
    }

    /// Checks an introduction, and opens the link. `false` when it was refused.
    fn introduce(&mut self, link: Neighbour, introduction: Introduction, now: Duration) -> bool {
        let Some(peer) = self.links.get(&link).map(Link::peer) else {
            return false;
        };
        let clock = self.log.is_some().then(|| self.clock.now_ms(now));
        let certificate = match Certificate::verify_for(introduction.certificate, peer, self.room, clock) {
            Ok(certificate) => certificate,
            Err(error) => {
                self.cut(link, Reason::BadCertificate, &alloc::format!("{error}"), now);
                return false;
            }
        };
        let profile = introduction.profile.verify().and_then(|profile| {
            if profile.person == certificate.person {
                Ok(profile)
            } else {
                Err(StatementError::Signature("profile"))
            }
        });
        let profile = match profile {
            Ok(profile) => profile,
            Err(error) => {
                self.cut(link, Reason::BadCertificate, &alloc::format!("{error}"), now);
                return false;
            }
        };
        let appeal = introduction.appeal.as_ref();
        let told = appeal.and_then(|body| self.take_appeal_at_the_door(certificate.person, body, now));
        if self.refuse_if_kept_out(link, certificate.person, told, now) {
            return false;
        }
        let comes = self.links.get(&link).is_some_and(|link| !link.is_ours());
        let shut_out = self.shut_out(certificate.person, introduction.pass.as_ref());
        if let Some(reason) = shut_out.filter(|_| comes) {
            self.refuse(link, reason, &alloc::format!("{reason}"), now);
            return false;
        }
        let mut ours = false;
        if let Some(known) = self.links.get_mut(&link) {
            ours = known.side == Side::Opener;
            known.stage = Stage::Open(Introduced {
                profile: profile.clone(),
            });
        }
        self.close_older_links(link, now);
        self.route(Route::Open {
            link,
            peer,
            alias: introduction.alias,
        });
        self.source_of(certificate.person);
        self.learn_profile(profile);
        let candidate = Candidate {
            peer,
            addresses: introduction.addresses,
        };
        self.tree.handle_open(link, candidate, ours, now);
        true
    }

    /// A peer has one link that it opened: a newer one takes the place of those before, so that whoever lost its
    /// connection is back at once, and nobody fills the room alone.
    fn close_older_links(&mut self, link: Neighbour, now: Duration) {
        let Some(newest) = self.links.get(&link).filter(|link| link.side == Side::Receiver) else {
            return;
        };
        let is_older = |other: &Link| other.side == Side::Receiver && other.peer == newest.peer;
        let older: Vec<Neighbour> = self
            .links
            .iter()
            .filter(|(number, other)| **number != link && is_older(other))
            .map(|(number, _)| *number)
            .collect();
        for number in older {
            self.refuse(
                number,
                Reason::TooMany,
                "a newer link of yours took its place",
                now,
            );
        }
    }

    /// What a message costs its sender. The log, and the beacon of each entry in it, are free once: they are only as
    /// long as the chair has made them, and whoever forges one is cut off at the first.
    pub(super) fn cost(&self, link: Neighbour, from: &Link, message: &Message) -> u32 {
        let head = self.head().sequence;
        let is_next = |entry: &Signed<Entry>| {
            entry
                .peek()
                .is_ok_and(|entry| Some(entry.sequence) == head.checked_add(1))
        };
        let last_told = self.beacon.get().map_or(0, |beacon| beacon.head.sequence);
        let tells_news = |beacon: &Signed<Beacon>| {
            let told = beacon.peek().map_or(0, |beacon| beacon.head.sequence);
            told > last_told && told <= head
        };
        match message {
            Message::Entries(_) if from.asked.is_some() => budget::FREE,
            Message::Entries(batch) if batch.entries.first().is_some_and(is_next) => budget::FREE,
            Message::Beacon(beacon) if tells_news(beacon) => budget::FREE,
            Message::EntriesWanted { after }
                if from.ahead.contains(after)
                    || self.branches.is_told_on(link, *after)
                    || self.is_first_asking(from.peer, *after) =>
            {
                budget::FREE
            }
            Message::Hello(_)
            | Message::Welcome(_)
            | Message::Beacon(_)
            | Message::Tick(_)
            | Message::Request(_)
            | Message::Note(_)
            | Message::Hands(_) => budget::SIGNED,
            _ => budget::PLAIN,
        }
    }

    /// Whether a peer asks for entries that it was not sent on its asking before.
    pub(super) fn is_first_asking(&self, peer: Peer, after: u32) -> bool {
        after < self.head().sequence && after >= self.conduct.entries_sent(peer)
    }

    pub(super) fn head(&self) -> Head {
        self.log.as_ref().map_or(
            Head {
                sequence: 0,
                hash: [0; 32],
            },
            crate::log::Log::head,
        )
    }
}

/// What both greetings say of their sender.
struct Introduction {
    /// That it was in the room before.
    pass: Option<Bytes>,
    /// What it says should it be banned.
    appeal: Option<Bytes>,
    certificate: Signed<Certificate>,
    profile: Signed<Profile>,
    alias: Alias,
    addresses: Vec<Address>,
}
