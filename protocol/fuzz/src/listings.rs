//! The directory of rooms under announcements of any kind from anyone.
//!
//! It holds no more than it may, never loses a room of one's own, and answers what the asker can read.

use core::time::Duration;
use std::collections::BTreeSet;

use majlis_protocol::{
    announcement::{Announcement, Kind, Listing, Status},
    directory::{Bounds, Directory, Network, News, Source},
    log::{Act, Action, Log, Plan},
    person::Peer,
    room::{Genesis, RoomId, RoomTag, Visibility},
    signed::{Signed, Verified},
    text::Text,
    wire::directory::{Answer, Query},
};

use super::{log::key, script::Script};

/// Bounds that a short script reaches.
const BOUNDS: Bounds = Bounds {
    rooms: 5,
    per_peer: 2,
    per_network: 3,
    ends: 4,
    ends_per_peer: 2,
    plans: 5,
    plans_per_peer: 2,
    plans_per_network: 3,
    plans_per_host: 2,
};

/// Heads from here on are those of ends.
const ENDS_FROM: u8 = 0xe0;

/// Unix seconds when a script begins.
const EPOCH: u64 = 1_900_000_000;

struct World {
    directory: Directory,
    now: Duration,
    /// Rooms of our own.
    own: BTreeSet<RoomId>,
    /// Announcements that came, to come again.
    recent: Vec<Signed<Announcement>>,
    listed: bool,
}

/// A directory, driven by a script.
pub fn listings(data: &[u8]) -> bool {
    let mut script = Script::new(data);
    let mut world = World {
        directory: Directory::new(BOUNDS),
        now: Duration::ZERO,
        own: BTreeSet::new(),
        recent: Vec::new(),
        listed: false,
    };
    while !script.is_over() {
        world.step(&mut script);
        world.holds();
    }
    world.listed
}

impl World {
    fn step(&mut self, script: &mut Script<'_>) {
        match script.below(10) {
            0 => {
                self.now = self
                    .now
                    .saturating_add(Duration::from_secs(script.number().into()))
            }
            1 => self.forget(),
            2 => self.announce(script),
            3 => {
                let genesis = genesis(script);
                let room = RoomId::of(&genesis);
                let end = Announcement::end(&genesis, 0, EPOCH);
                let signed = Verified::sign(end, &key(host_of(&genesis))).expect("within its limits");
                if let Ok(end) = Listing::verify(signed.signed().clone(), EPOCH, None) {
                    let was_listed = self.directory.get(&room).is_some();
                    assert_eq!(self.directory.end(end, self.now), was_listed);
                    self.own.remove(&room);
                }
            }
            4 => self.ask(script),
            5 => {
                let room = RoomId::of(&genesis(script));
                let tag = script.flag().then(|| tag(script));
                if self.directory.pass_on(&room, tag.as_ref(), self.now) {
                    assert!(self.directory.genesis(&room).is_some());
                    assert!(
                        !self.directory.pass_on(&room, tag.as_ref(), self.now),
                        "passed on twice"
                    );
                }
            }
            6 if !self.recent.is_empty() => {
                let at = usize::from(script.byte()) % self.recent.len();
                self.hear(script, self.recent[at].clone());
            }
            7 => {
                let mut bytes = announcement(script, self.now).to_bytes().to_vec();
                script.spoil(&mut bytes);
                if let Ok(signed) = Signed::from_bytes(&bytes) {
                    self.hear(script, signed);
                }
            }
            _ => {
                let signed = announcement(script, self.now);
                if self.recent.len() < 16 {
                    self.recent.push(signed.clone());
                }
                self.hear(script, signed);
            }
        }
    }

    fn hear(&mut self, script: &mut Script<'_>, signed: Signed<Announcement>) {
        let source = source(script);
        let wall = EPOCH + self.now.as_secs() + u64::from(script.byte() / 64) * 300;
        let claimed = signed.peek().map(|claim| claim.room);
        let before = claimed
            .as_ref()
            .ok()
            .and_then(|room| self.directory.get(room))
            .cloned();
        let heard = match self
            .directory
            .handle_announcement(signed.clone(), source, wall, self.now)
        {
            Ok(heard) => heard,
            Err(refusal) => {
                let _fault = refusal.is_senders_fault();
                if let (Ok(room), Some(before)) = (claimed, before) {
                    assert_eq!(self.directory.get(&room), Some(&before), "{refusal}");
                }
                return;
            }
        };
        self.listed = true;
        assert_eq!(Ok(heard.room), claimed);
        if signed.peek().is_ok_and(|claim| claim.is_end()) {
            assert!(matches!(heard.news, News::End | News::Again));
            assert_eq!(heard.evicted, before.map(|_| heard.room));
            assert!(self.directory.get(&heard.room).is_none() && !self.own.contains(&heard.room));
            return;
        }
        if heard.news == News::End {
            assert!(self.directory.get(&heard.room).is_none());
            return;
        }
        let Some(listing) = self.directory.get(&heard.room) else {
            // What is planned is kept for longer than it is of use.
            assert_eq!(signed.peek().map(|claim| claim.kind), Ok(Kind::Scheduled));
            return;
        };
        assert_eq!(listing.announcement().signed(), &signed);
        assert_eq!(RoomId::of(listing.genesis()), heard.room);
        match (heard.news, before) {
            (News::Room, None) => {}
            (News::Newer, Some(before)) => assert!(listing.is_newer_than(&before)),
            (News::Again, Some(before)) => assert_eq!(listing, &before),
            (news, before) => panic!("{news:?} after {before:?}"),
        }
        if let Some(evicted) = heard.evicted {
            assert!(self.directory.get(&evicted).is_none() && !self.own.contains(&evicted));
        }
    }

    /// A room of our own.
    fn announce(&mut self, script: &mut Script<'_>) {
        let genesis = genesis(script);
        let announcement = Announcement::live(&genesis, EPOCH);
        let host = key(host_of(&genesis));
        let signed = Verified::sign(announcement, &host).expect("within its limits");
        if let Ok(listing) = Listing::verify(signed.signed().clone(), EPOCH, None) {
            self.directory.announce(listing, self.now);
            self.own.insert(RoomId::of(&genesis));
        }
    }

    fn forget(&mut self) {
        let due = self.directory.poll_timeout();
        let gone = self.directory.handle_timeout(self.now);
        assert!(gone.is_empty() || due.is_some_and(|due| due <= self.now));
        assert!(self.directory.poll_timeout().is_none_or(|due| due > self.now));
        for room in gone {
            assert!(self.directory.get(&room).is_none());
        }
    }

    /// Everything is found, page by page.
    fn ask(&self, script: &mut Script<'_>) {
        let mut query = Query {
            tag: script.flag().then(|| tag(script)),
            limit: 1 + u16::from(script.below(4)),
            ..Query::default()
        };
        let (mut found, mut last) = (Vec::new(), None);
        loop {
            let answer = self.directory.answer(&query);
            assert_eq!(Answer::decode(&answer.encode()), Ok(answer.clone()));
            assert!(answer.announcements.len() <= usize::from(query.limit));
            for signed in &answer.announcements {
                let claim = signed.peek().expect("only what is valid is told");
                last = Some(claim.room);
                let is_open = claim.kind == Kind::Live && !claim.is_end();
                found.extend(Some(claim.room).filter(|_| is_open));
            }
            if !answer.more {
                break;
            }
            query.after = last;
        }
        let listed = self.directory.rooms(query.tag.as_ref());
        assert!(listed.map(|listing| listing.announcement().room).eq(found));
    }

    fn holds(&self) {
        let directory = &self.directory;
        assert!(
            directory.len() <= BOUNDS.rooms + self.own.len(),
            "{} rooms",
            directory.len()
        );
        assert!(
            self.own.iter().all(|room| directory.get(room).is_some()),
            "our own room is gone"
        );
        for plan in directory.plans(None) {
            let status = plan.status();
            assert!(matches!(status, Status::Planned(_) | Status::Cancelled { .. }));
        }
        assert!(directory.len_of_plans() <= BOUNDS.plans);
    }
}

fn source(script: &mut Script<'_>) -> Source {
    let id = [script.below(4); 32];
    Source {
        id,
        peer: script.flag().then_some(Peer(id)),
        network: match script.below(3) {
            0 => None,
            network => Some(Network::V4([network; 3])),
        },
    }
}

/// An announcement by a room's host, in most cases valid.
fn announcement(script: &mut Script<'_>, now: Duration) -> Signed<Announcement> {
    let genesis = genesis(script);
    let issued = (EPOCH + now.as_secs()).saturating_sub(u64::from(script.number()));
    let mut announcement = Announcement::live(&genesis, issued);
    let head = script.byte();
    announcement.head = head.into();
    if let Some(planned) = planned(&genesis, head, issued) {
        announcement = planned;
    } else if head >= ENDS_FROM {
        announcement.expires = announcement.issued;
    }
    if script.flag() {
        let peer = Peer([script.below(4); 32]);
        let address = format!("/ip4/127.0.0.1/udp/1/quic-v1/p2p/{peer}");
        announcement.addresses = vec![address.parse().expect("an address")];
    }
    let mut signer = key(host_of(&genesis));
    if script.below(16) == 1 {
        signer = key(9);
        announcement.chair = signer.person();
    }
    Verified::sign(announcement, &signer)
        .expect("within its limits")
        .signed()
        .clone()
}

/// What is planned of a room that begins with a start, if its script wants that: changed, or called off.
fn planned(genesis: &Verified<Genesis>, choice: u8, issued: u64) -> Option<Announcement> {
    let starts = genesis.starts.filter(|_| choice.is_multiple_of(2))?;
    let mut log = Log::new(genesis.clone());
    let moved = Plan {
        starts: starts + u64::from(choice) * 60,
        description: Text::clean("moved"),
    };
    let host = key(host_of(genesis));
    let acts = [
        Act::Cancel {
            starts: moved.starts,
            reason: Text::clean("ill"),
        },
        Act::Schedule { plan: moved },
    ];
    for act in acts.iter().skip(usize::from(choice < 128)).rev() {
        if choice < 64 {
            break;
        }
        let action = Action::new(log.room(), host.person(), log.head(), 0, act);
        let signed = Verified::sign(action, &host).expect("within its limits");
        log.append(signed.signed().clone(), &host, 0)
            .expect("the host may");
    }
    let planned = Announcement::planned(&log, issued)?;
    Verified::sign(planned.clone(), &host).is_ok().then_some(planned)
}

/// One of a few rooms.
fn genesis(script: &mut Script<'_>) -> Verified<Genesis> {
    let number = script.below(12);
    let host = key(1 + number % 3);
    let mut genesis = Genesis::new(host.person(), "room", [number; 16]);
    if number == 11 {
        genesis.visibility = Visibility::Unlisted;
    }
    if number % 4 == 2 {
        genesis.starts = Some(EPOCH + u64::from(number) * 1_000);
    }
    if number % 2 == 1 {
        genesis.tags = vec!["odd".parse().expect("a tag")];
    }
    genesis.sign(&host).expect("a valid genesis")
}

fn host_of(genesis: &Verified<Genesis>) -> u8 {
    1 + genesis.nonce[0] % 3
}

fn tag(script: &mut Script<'_>) -> RoomTag {
    let name = if script.flag() { "odd" } else { "other" };
    name.parse().expect("a tag")
}
