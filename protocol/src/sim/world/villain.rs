//! Members that break the rules: an honest member's driver, with what goes out of it spoiled.
//!
//! Everything a villain does it does on its own links and with its own key: it drops, alters, repeats and claims, and asks
//! for more than it needs. It cannot sign for others.

use alloc::{boxed::Box, collections::VecDeque, vec, vec::Vec};

use bytes::{Bytes, BytesMut};

use super::{shard::Desk, space, wire::Sent};
use crate::{
    limits,
    media::{Packet, Tag},
    person::Peer,
    sim::Deed,
    wire::{
        message::{Attached, Candidate, Message, Offer, Position, Redirect, Report},
        repair::{Pull, Run},
    },
};

/// Of so many packets one is dropped by [`Deed::Drops`].
const DROPPED: u64 = 10;

/// Packets that [`Deed::Replays`] keeps; from then on it sends them in the place of new ones.
const KEPT: usize = 50;

/// How often [`Deed::Pulls`] pulls everything, in nanoseconds: more often than anybody reads it.
const PULLS: u64 = 5_000_000;

/// How often each of two that are [`Deed::Loops`] turns to the other.
const LOOPS: u64 = 2_000_000_000;

/// Places, and members, that [`Deed::LiesAboutPlaces`] invents.
const INVENTED: u16 = 60_000;

/// What a villain keeps for its deed.
#[derive(Debug)]
pub(super) struct Villain {
    deed: Deed,
    /// Packets that passed through here.
    count: u64,
    /// The first ones, to be sent again.
    kept: VecDeque<Bytes>,
    /// The newest frame of a stream that it has heard.
    newest: Option<(Tag, u32, u32)>,
    due: u64,
}

/// What a villain does of itself.
#[derive(Debug)]
pub(super) enum Act {
    /// Sends this to parent and standby.
    Pull(Bytes),
    /// Crashes and comes anew.
    ComeAnew,
    /// Does as if its parent had said this.
    Hear(Box<Message>),
}

impl Villain {
    pub(super) fn new(deed: Deed) -> Self {
        Self {
            deed,
            count: 0,
            kept: VecDeque::new(),
            newest: None,
            due: u64::MAX,
        }
    }

    pub(super) fn due(&self) -> u64 {
        self.due
    }

    /// It has a place, and may begin.
    pub(super) fn note_joined(&mut self, now: u64) {
        if matches!(self.deed, Deed::Pulls | Deed::Floods | Deed::Loops) {
            self.due = now + 1;
        }
    }

    /// It hears what others hear.
    pub(super) fn hear(&mut self, packet: &Packet) {
        let header = packet.header();
        self.newest = Some((header.tag, header.epoch, header.sequence));
    }

    /// Spoils datagram items on their way out.
    pub(super) fn spoil_items(&mut self, items: &mut Vec<Sent>) {
        match self.deed {
            Deed::Withholds => items.retain(|sent| !is_media(&sent.item)),
            Deed::Drops => items.retain(|sent| {
                self.count += u64::from(is_media(&sent.item));
                !is_media(&sent.item) || !self.count.is_multiple_of(DROPPED)
            }),
            Deed::Alters => {
                let media = items.iter_mut().filter(|sent| is_media(&sent.item));
                media.for_each(|sent| sent.item = altered(&sent.item));
            }
            Deed::Replays => {
                let media = items.iter_mut().filter(|sent| is_media(&sent.item));
                media.for_each(|sent| self.replay(&mut sent.item));
            }
            _ => {}
        }
    }

    /// Spoils a control message on its way out; `None` when it is not sent.
    pub(super) fn spoil(&self, message: &Message, desk: &Desk<'_>) -> Option<Message> {
        let me = space::peer(desk.shared.scenario().seed, desk.me);
        Some(match (self.deed, message.clone()) {
            (Deed::LiesAboutPath | Deed::Loops, Message::Position(position)) => {
                Message::Position(shortened(position, me))
            }
            (Deed::LiesAboutPath | Deed::Loops, Message::Attached(attached)) => Message::Attached(Attached {
                position: shortened(attached.position, me),
                ..attached
            }),
            (Deed::LiesAboutPlaces, Message::Report(_)) => Message::Report(invented(me, desk)),
            (Deed::LiesAboutPlaces, Message::Position(position)) => Message::Position(Position {
                has_room: true,
                room_above: true,
                ..position
            }),
            (Deed::HidesLog, Message::Entries(_) | Message::Beacon(_) | Message::Tick(_)) => return None,
            (_, message) => message,
        })
    }

    /// What it does when its deadline has come.
    pub(super) fn act(&mut self, desk: &Desk<'_>) -> Option<Act> {
        match self.deed {
            Deed::Pulls => {
                self.due = desk.now + PULLS;
                self.everything().map(Act::Pull)
            }
            Deed::Floods => Some(Act::ComeAnew),
            Deed::Loops => {
                self.due = desk.now + LOOPS;
                let candidates = vec![space::candidate(desk.shared.scenario().seed, desk.me ^ 1)];
                let leaving = false;
                let redirect = Message::Redirect(Redirect { candidates, leaving });
                Some(Act::Hear(Box::new(redirect)))
            }
            _ => None,
        }
    }

    /// Sends what is old in the place of what is new.
    fn replay(&mut self, item: &mut Bytes) {
        self.count += 1;
        if self.kept.len() < KEPT {
            self.kept.push_back(item.clone());
        } else if let Some(old) = self.kept.get(self.count as usize % KEPT) {
            *item = old.clone();
        }
    }

    /// A pull of all that anybody may still have.
    fn everything(&self) -> Option<Bytes> {
        let (tag, epoch, newest) = self.newest?;
        let first = newest.saturating_sub(u32::from(limits::PULL_FRAMES) - 1);
        let run = Run {
            tag,
            epoch,
            first,
            frames: limits::PULL_FRAMES,
        };
        let pull = Pull {
            live: true,
            runs: vec![run],
        };
        pull.encode().ok()
    }
}

fn is_media(item: &[u8]) -> bool {
    item.first().is_some_and(|first| first >> 4 == 1)
}

/// A packet with another sound in it, under the speaker's signature.
fn altered(item: &Bytes) -> Bytes {
    let mut bytes = BytesMut::from(&item[..]);
    let middle = bytes.len() / 2;
    if let Some(byte) = bytes.get_mut(middle) {
        *byte ^= 1;
    }
    bytes.freeze()
}

/// A position right below the root.
fn shortened(mut position: Position, me: Peer) -> Position {
    position.path.truncate(1);
    position.path.retain(|peer| *peer != me);
    position.path.push(me);
    position
}

/// A subtree of sixty thousand with as many free places, at members whom nobody knows.
fn invented(me: Peer, desk: &Desk<'_>) -> Report {
    let nobody = |place: u32| space::candidate(desk.shared.scenario().seed, u32::MAX - place);
    let myself = Candidate {
        peer: me,
        ..space::candidate(desk.shared.scenario().seed, desk.me)
    };
    let offers = [myself, nobody(0), nobody(1), nobody(2)].map(|candidate| Offer {
        candidate,
        free: INVENTED,
        depth: 0,
    });
    Report {
        members: INVENTED.into(),
        free: INVENTED.into(),
        offers: offers.into(),
    }
}
