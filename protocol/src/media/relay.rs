//! The forward verdict: which packets a member takes, and to whom they go on (SPEC.md section 9).
//!
//! The checks stand in the order of their cost, and the signature is the last: `check` decides on what is known
//! already, `commit` looks again at what may have moved meanwhile and only then moves it. A packet that is not
//! genuine leaves no trace but in a counter.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    vec::Vec,
};
use core::time::Duration;

use bytes::Bytes;

use super::{
    Candidate, Check, Counters, Delivery, Dropped, Forged, Genuine, Own, Packet, Tag, Window,
    budget::Budget,
    hold::{Held, Hold},
};
use crate::{
    neighbour::Neighbour,
    person::{BadSignature, Person, Verifier},
    room::RoomId,
};

/// Forged packets after which a neighbour is left. An honest one sends none, since it verified what it sends and
/// the link lets no damage through; a hundred cost us a few milliseconds, once.
pub const FORGED_BOUND: u32 = 100;

/// The media of one room as one member sees it: the stage, the links, and what was heard already.
///
/// For each packet that comes: [`check`](Self::check), then [`Candidate::verify`] without holding the relay, then
/// [`commit`](Self::commit) or [`note_forged`](Self::note_forged). Time is any duration since a start of the
/// driver's choice, the same for every call.
#[derive(Debug)]
pub struct Relay {
    room: RoomId,
    bitrate: u32,
    head: u32,
    stage: BTreeMap<Tag, Stay>,
    parent: Option<Neighbour>,
    /// Who else may bring sound for a while, and until when.
    admitted: BTreeMap<Neighbour, Duration>,
    children: BTreeSet<Neighbour>,
    /// Where our own packets go besides the children.
    uplinks: BTreeSet<Neighbour>,
    hold: Hold,
    forged: BTreeMap<Neighbour, u32>,
    counters: Counters,
}

/// What the checks before the signature say of a packet that they do not drop.
enum Judged {
    Candidate(Candidate),
    Ahead { log: u32 },
}

/// One stay of one person on the stage.
#[derive(Debug)]
struct Stay {
    person: Person,
    verifier: Arc<Verifier>,
    /// The link of the speaker's own peer, where it is a neighbour.
    source: Option<Neighbour>,
    muted: bool,
    /// The oldest log entry that its packets may name: what names an older one was spoken before a mute was lifted.
    heard_since: u32,
    window: Window,
    budget: Budget,
}

impl Relay {
    /// A relay with an empty stage and no links, for a room whose genesis says `bitrate` (bit/s).
    #[must_use]
    pub fn new(room: RoomId, bitrate: u32) -> Self {
        Self {
            room,
            bitrate,
            head: 0,
            stage: BTreeMap::new(),
            parent: None,
            admitted: BTreeMap::new(),
            children: BTreeSet::new(),
            uplinks: BTreeSet::new(),
            hold: Hold::default(),
            forged: BTreeMap::new(),
            counters: Counters::default(),
        }
    }

    /// What became of the packets so far.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(super) fn counters_mut(&mut self) -> &mut Counters {
        &mut self.counters
    }

    /// Whose stay this is, while it is on the stage.
    pub(super) fn person(&self, tag: Tag) -> Option<Person> {
        Some(self.stage.get(&tag)?.person)
    }

    /// Whether sound of this stay is taken.
    pub(super) fn is_heard(&self, tag: Tag) -> bool {
        self.stage.get(&tag).is_some_and(|stay| !stay.muted)
    }

    /// The link of the speaker's own peer, where it is a neighbour.
    pub(super) fn source(&self, tag: Tag) -> Option<Neighbour> {
        self.stage.get(&tag)?.source
    }

    /// Whether it is one that [`admit`](Self::admit) lets bring sound now.
    pub(super) fn is_admitted(&self, neighbour: Neighbour, now: Duration) -> bool {
        self.admitted.get(&neighbour).is_some_and(|&until| now < until)
    }

    /// Whether any sound may come from there, or might a moment ago.
    pub(super) fn listens_to(&self, neighbour: Neighbour) -> bool {
        self.parent == Some(neighbour)
            || self.admitted.contains_key(&neighbour)
            || self.stage.values().any(|stay| stay.source == Some(neighbour))
    }

    /// Takes a packet that came from a neighbour through every check that costs less than its signature.
    ///
    /// # Errors
    /// [`Dropped`] says why it goes no further; it is counted.
    pub fn check(&mut self, from: Neighbour, bytes: Bytes, now: Duration) -> Result<Check, Dropped> {
        let verdict = self.judge(from, &bytes, now);
        match verdict {
            Ok(Judged::Candidate(candidate)) => Ok(Check::Verify(candidate)),
            Ok(Judged::Ahead { log }) => {
                self.hold(Held {
                    from,
                    bytes,
                    log,
                    since: now,
                });
                Ok(Check::Held)
            }
            Err(dropped) => Err(self.dropped(dropped)),
        }
    }

    /// Delivers a packet whose signature holds, unless the stage, the budget or the window has moved since it was
    /// checked so that it no longer may pass.
    ///
    /// # Errors
    /// [`Dropped`] says why it goes no further; it is counted.
    pub fn commit(&mut self, genuine: Genuine, now: Duration) -> Result<Delivery, Dropped> {
        let Genuine { from, packet, person } = genuine;
        let source = self.take(&packet, person, now)?;
        self.counters.delivered += 1;
        let elsewhere = |child: &Neighbour| *child != from && Some(*child) != source;
        let to = self.children.iter().copied().filter(elsewhere).collect();
        Ok(Delivery {
            packet,
            speaker: person,
            to,
            repaired: false,
        })
    }

    /// Delivers a packet that was signed here: to the children, and to the links that lead to where sound enters the
    /// tree. When it comes back from there it is a duplicate.
    ///
    /// # Errors
    /// [`Dropped`] when our stay is over, or we send more than the room allows; it is counted.
    pub fn commit_own(&mut self, own: Own, now: Duration) -> Result<Delivery, Dropped> {
        if own.room() != self.room {
            return Err(self.dropped(Dropped::Refused));
        }
        let speaker = own.person();
        self.take(own.packet(), speaker, now)?;
        self.counters.own += 1;
        let to = self.uplinks.union(&self.children).copied().collect();
        Ok(Delivery {
            packet: own.into_packet(),
            speaker,
            to,
            repaired: false,
        })
    }

    /// Counts a forged packet. Returns the neighbour that sent it when that was one too many: leave it. Nothing
    /// more is taken from it.
    #[must_use = "a neighbour that sends forged packets is to be left"]
    pub fn note_forged(&mut self, forged: Forged) -> Option<Neighbour> {
        let Forged { from } = forged;
        self.counters.forged += 1;
        if !self.listens_to(from) {
            return None;
        }
        let count = self.forged.entry(from).or_default();
        *count = count.saturating_add(1);
        (*count == FORGED_BOUND).then_some(from)
    }

    /// Drops the held packets that have waited too long for their log entry, and counts them. They also go when others
    /// come; this is for whoever reads the counters.
    pub fn expire_held(&mut self, now: Duration) {
        self.counters.held_expired += self.hold.expire(now);
    }

    /// Takes out the held packets whose log entry has come, in the order they came: give each to
    /// [`check`](Self::check) again.
    pub fn take_released(&mut self, now: Duration) -> Vec<(Neighbour, Bytes)> {
        self.expire_held(now);
        self.hold.release(self.head)
    }

    /// Says how many bits a second one speaker may send, once the genesis is known.
    pub fn set_bitrate(&mut self, bitrate: u32) {
        self.bitrate = bitrate;
    }

    /// Says which log entry is the newest that was applied here. Grants and revocations up to it come first; then
    /// take out the released packets.
    pub fn set_head(&mut self, sequence: u32) {
        self.head = sequence;
    }

    /// Opens the stage to a stay. Granting it again to the same person changes nothing.
    ///
    /// # Errors
    /// [`BadSignature`] when the person's key is no key: nobody can speak with it.
    pub fn grant(&mut self, tag: Tag, person: Person) -> Result<(), BadSignature> {
        if self.stage.get(&tag).is_some_and(|stay| stay.person == person) {
            return Ok(());
        }
        let stay = Stay {
            person,
            verifier: Arc::new(person.verifier()?),
            source: None,
            muted: false,
            heard_since: 0,
            window: Window::default(),
            budget: Budget::new(self.bitrate),
        };
        self.stage.insert(tag, stay);
        Ok(())
    }

    /// Ends a stay: nothing of it passes from now on, not even what is being verified at this moment.
    pub fn revoke(&mut self, tag: Tag) {
        self.stage.remove(&tag);
    }

    /// Refuses what a stay says until it is unmuted, also what is being verified at this moment.
    pub fn mute(&mut self, tag: Tag) {
        if let Some(stay) = self.stage.get_mut(&tag) {
            stay.muted = true;
        }
    }

    /// Takes what a stay says again, as far as it names the log entry `since` or a later one.
    pub fn unmute(&mut self, tag: Tag, since: u32) {
        if let Some(stay) = self.stage.get_mut(&tag) {
            stay.muted = false;
            stay.heard_since = since;
        }
    }

    /// Says from whom sound comes down.
    pub fn set_parent(&mut self, parent: Option<Neighbour>) {
        self.parent = parent;
    }

    /// Lets a neighbour bring sound until a time, beside the parent: one that was the parent, or is asked for what is
    /// missing. A longer time stays.
    pub fn admit(&mut self, neighbour: Neighbour, until: Duration) {
        let known = self.admitted.entry(neighbour).or_default();
        *known = until.max(*known);
    }

    /// Says which link is that of the speaker's own peer: their sound may come up on it, and is not sent back on
    /// it. Without effect for a stay that is not on the stage.
    pub fn set_source(&mut self, tag: Tag, source: Option<Neighbour>) {
        if let Some(stay) = self.stage.get_mut(&tag) {
            stay.source = source;
        }
    }

    /// Adds a neighbour that takes its sound from us.
    pub fn add_child(&mut self, child: Neighbour) {
        self.children.insert(child);
    }

    /// Takes away a child. It may still be a speaker's own link.
    pub fn remove_child(&mut self, child: Neighbour) {
        self.children.remove(&child);
    }

    /// Sends our own packets on a link as well.
    pub fn add_uplink(&mut self, uplink: Neighbour) {
        self.uplinks.insert(uplink);
    }

    /// Sends our own packets on a link no longer, unless it is a child's.
    pub fn remove_uplink(&mut self, uplink: Neighbour) {
        self.uplinks.remove(&uplink);
    }

    /// Forgets a neighbour that is gone, whatever it was to us.
    pub fn forget(&mut self, neighbour: Neighbour) {
        self.children.remove(&neighbour);
        self.uplinks.remove(&neighbour);
        self.admitted.remove(&neighbour);
        self.forged.remove(&neighbour);
        self.hold.forget(neighbour);
        if self.parent == Some(neighbour) {
            self.parent = None;
        }
        for stay in self
            .stage
            .values_mut()
            .filter(|stay| stay.source == Some(neighbour))
        {
            stay.source = None;
        }
    }

    /// The checks before the signature, in SPEC.md's order.
    fn judge(&self, from: Neighbour, bytes: &Bytes, now: Duration) -> Result<Judged, Dropped> {
        if !self.may_come(from, bytes, now) {
            return Err(Dropped::Refused);
        }
        let packet = Packet::parse(bytes.clone())?;
        let log = packet.header().log;
        let stay = match self.stage.get(&packet.header().tag) {
            _ if log > self.head => return Ok(Judged::Ahead { log }),
            None => return Err(Dropped::Refused),
            Some(stay) => stay,
        };
        stay.allows(&packet, now)?;
        let (person, verifier) = (stay.person, Arc::clone(&stay.verifier));
        Ok(Judged::Candidate(Candidate {
            from,
            packet,
            room: self.room,
            person,
            verifier,
        }))
    }

    /// Whether sound with this tag may come from there: down from the parent or one that is admitted, up from the
    /// speaker's own peer.
    fn may_come(&self, from: Neighbour, bytes: &[u8], now: Duration) -> bool {
        let trusted = self.forged.get(&from).is_none_or(|&count| count < FORGED_BOUND);
        let down = self.parent == Some(from) || self.is_admitted(from, now);
        let up = || Packet::peek_tag(bytes).and_then(|tag| self.stage.get(&tag)?.source);
        trusted && (down || up() == Some(from))
    }

    /// The last step: looks again, and only then moves the window and the budget. Returns the speaker's own link.
    fn take(&mut self, packet: &Packet, person: Person, now: Duration) -> Result<Option<Neighbour>, Dropped> {
        let taken = match self.stage.get_mut(&packet.header().tag) {
            Some(stay) if stay.person == person => stay.take(packet, now).map(|()| stay.source),
            _ => Err(Dropped::Refused),
        };
        taken.map_err(|dropped| self.dropped(dropped))
    }

    fn hold(&mut self, held: Held) {
        self.expire_held(held.since);
        self.counters.held_overflow += u64::from(self.hold.push(held));
    }

    fn dropped(&mut self, dropped: Dropped) -> Dropped {
        self.counters.count(dropped);
        dropped
    }
}

impl Stay {
    fn allows(&self, packet: &Packet, now: Duration) -> Result<(), Dropped> {
        if self.muted || packet.header().log < self.heard_since {
            return Err(Dropped::Muted);
        }
        if !self.budget.allows(packet.frame_count(), packet.opus_bytes(), now) {
            return Err(Dropped::Budget);
        }
        let header = packet.header();
        Ok(self.window.check(header.epoch, header.sequence)?)
    }

    fn take(&mut self, packet: &Packet, now: Duration) -> Result<(), Dropped> {
        self.allows(packet, now)?;
        self.window
            .insert(packet.header().epoch, packet.header().sequence)?;
        self.budget.spend(packet.frame_count(), packet.opus_bytes(), now);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
