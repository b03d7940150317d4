//! A member's links: control substreams that are late but whole, and datagrams that may get lost, both behind one uplink.

use alloc::vec::Vec;

use bytes::Bytes;

use super::{
    calendar::What,
    mark::Mark,
    shard::{Desk, IDLE},
    space::AROUND,
};
use crate::{limits, sim::link::Losses};

/// Bytes of datagrams that may wait for the uplink; what comes on top is dropped.
const QUEUE: u64 = 16_384;

/// A connection on which so much is lost in a row is as good as dead; the bound ends the drawing at a loss of 100 %.
const MOST_TRIES: u32 = 10;

/// Bytes of a datagram's alias.
const ALIAS: u64 = 2;

/// Bytes before an item: its length.
const LENGTH: u64 = 2;

/// A datagram item on its way out.
#[derive(Debug)]
pub(super) struct Sent {
    /// On which link.
    pub(super) to: u32,
    pub(super) item: Bytes,
    /// What held it up so far, if it is sound.
    pub(super) mark: Mark,
}

/// The links of one member, and what they share.
#[derive(Debug)]
pub(super) struct Wire {
    /// In order of their numbers.
    links: Vec<End>,
    next: u32,
    /// Bits a second; 0 is without limit.
    bits: u64,
    /// When the uplink has sent what waits.
    free: u64,
}

/// One end of a link.
#[derive(Debug)]
pub(super) struct End {
    /// Its number here.
    pub(super) number: u32,
    /// The other end's member, and its number there.
    pub(super) peer: u32,
    remote: u32,
    /// One-way time in nanoseconds.
    delay: u64,
    losses: Losses,
    /// When the newest datagram arrives, which no later one overtakes.
    newest: u64,
    /// The same for control.
    newest_control: u64,
}

impl Wire {
    pub(super) fn new(bits: u64) -> Self {
        Self {
            links: Vec::new(),
            next: 0,
            bits,
            free: 0,
        }
    }

    /// No links, and none with a number that one of these had.
    pub(super) fn after(&self) -> Self {
        Self {
            next: self.next,
            ..Self::new(self.bits)
        }
    }

    /// A number for a link to be.
    pub(super) fn number(&mut self) -> u32 {
        self.next += 1;
        self.next - 1
    }

    /// The links, in order.
    pub(super) fn links(&self) -> &[End] {
        &self.links
    }

    /// One-way time of a link in nanoseconds.
    pub(super) fn delay(&self, number: u32) -> Option<u64> {
        let place = self.place(number).ok()?;
        Some(self.links[place].delay)
    }

    /// Who is at the other end of a link.
    pub(super) fn peer(&self, number: u32) -> Option<u32> {
        let place = self.place(number).ok()?;
        Some(self.links[place].peer)
    }

    /// Whether this end of a link is open.
    pub(super) fn has(&self, number: u32) -> bool {
        self.place(number).is_ok()
    }

    /// Opens this end of a link.
    pub(super) fn open(&mut self, number: u32, peer: u32, remote: u32, desk: &mut Desk<'_>) {
        let end = End {
            number,
            peer,
            remote,
            delay: desk.shared.delay(desk.me, peer),
            losses: Losses::new(&desk.shared.scenario().loss, desk.draws.next()),
            newest: 0,
            newest_control: 0,
        };
        if let Err(place) = self.place(number) {
            self.links.insert(place, end);
        }
    }

    /// Forgets a link whose other end is gone. `false` when it was not there.
    pub(super) fn forget(&mut self, number: u32) -> bool {
        let place = self.place(number);
        if let Ok(place) = place {
            self.links.remove(place);
        }
        place.is_ok()
    }

    /// Closes a link, once what was sent on it is out.
    pub(super) fn close(&mut self, number: u32, desk: &mut Desk<'_>) {
        self.send_control(number, What::Down, 0, desk);
        self.forget(number);
    }

    /// Stops without a word: the other ends notice once their connections have been idle for too long.
    pub(super) fn crash(&mut self, desk: &mut Desk<'_>) {
        for end in core::mem::take(&mut self.links) {
            desk.post(end.peer, desk.now + IDLE + end.delay, end.remote, What::Down);
        }
    }

    /// Sends a control frame.
    pub(super) fn send_frame(&mut self, number: u32, frame: Bytes, desk: &mut Desk<'_>) {
        let bytes = frame.len() as u64;
        if self.send_control(number, What::Frame(frame), bytes, desk) && desk.is_counted() {
            desk.tally.control_bytes += bytes;
        }
    }

    /// Tells the other end that the substream is open.
    pub(super) fn send_open(&mut self, number: u32, desk: &mut Desk<'_>) {
        self.send_control(number, What::Open { number }, 0, desk);
    }

    /// Sends datagram items, in order. What is ready together for one neighbour leaves together, and is lost together.
    pub(super) fn send_items(&mut self, mut items: &mut [Sent], desk: &mut Desk<'_>) {
        while let Some(&Sent { to: number, .. }) = items.first() {
            let (mut bytes, mut count) = (ALIAS, 0);
            for sent in items.iter().take_while(|sent| sent.to == number) {
                let size = LENGTH + sent.item.len() as u64;
                if count > 0 && bytes + size > limits::DATAGRAM as u64 {
                    break;
                }
                bytes += size;
                count += 1;
            }
            let (datagram, rest) = items.split_at_mut(count);
            self.send_datagram(number, datagram, bytes, desk);
            items = rest;
        }
    }

    fn send_datagram(&mut self, number: u32, items: &mut [Sent], bytes: u64, desk: &mut Desk<'_>) {
        let Ok(place) = self.place(number) else { return };
        let waiting = self.waiting(desk.now);
        if waiting + bytes > QUEUE {
            desk.tally.dropped += 1;
            return;
        }
        if desk.is_counted() {
            let me = desk.me;
            items
                .iter()
                .for_each(|sent| desk.tally.count_sent(me, &sent.item));
        }
        let departs = self.depart(bytes + AROUND, desk.now);
        let end = &mut self.links[place];
        let is_lost = end.losses.draw(&desk.shared.scenario().loss);
        if is_lost || desk.shared.parted(desk.me, end.peer, desk.now).is_some() {
            return;
        }
        let at = end.newest.max(departs + end.delay + desk.jitter());
        end.newest = at;
        for Sent { item, mark, .. } in items {
            desk.post(end.peer, at, end.remote, What::Item(core::mem::take(item), *mark));
        }
    }

    /// Sends something that arrives for sure and in order, unless the link dies. `false` when there is no such link.
    fn send_control(&mut self, number: u32, what: What, bytes: u64, desk: &mut Desk<'_>) -> bool {
        let Ok(place) = self.place(number) else {
            return false;
        };
        let departs = self.depart(bytes + AROUND, desk.now);
        let end = &mut self.links[place];
        let mut at = departs + end.delay + desk.jitter();
        let packets = 1 + bytes / limits::DATAGRAM as u64;
        for _ in 0..packets {
            at += retransmissions(end.delay, desk);
        }
        if let Some(parted) = desk.shared.parted(desk.me, end.peer, desk.now) {
            if parted.end - parted.start >= IDLE {
                // The link dies of it, and both ends are told.
                return true;
            }
            at = at.max(parted.end + 2 * end.delay);
        }
        at = at.max(end.newest_control);
        end.newest_control = at;
        desk.post(end.peer, at, end.remote, what);
        true
    }

    /// When what is sent now has left. Control waits in memory as long as it must.
    fn depart(&mut self, bytes: u64, now: u64) -> u64 {
        if self.bits == 0 {
            return now;
        }
        self.free = self.free.max(now) + bytes * 8 * 1_000_000_000 / self.bits;
        self.free
    }

    /// Bytes that wait for the uplink.
    fn waiting(&self, now: u64) -> u64 {
        let time = u128::from(self.free.saturating_sub(now));
        u64::try_from(time * u128::from(self.bits) / 8_000_000_000).unwrap_or(u64::MAX)
    }

    fn place(&self, number: u32) -> Result<usize, usize> {
        self.links.binary_search_by_key(&number, |end| end.number)
    }
}

/// How long one packet of a control message is late because it was lost: one to two round trips each time.
fn retransmissions(delay: u64, desk: &mut Desk<'_>) -> u64 {
    let rate = desk.shared.scenario().loss.rate();
    let mut late = 0;
    let mut tries = 0;
    while tries < MOST_TRIES && desk.draws.chance(rate) {
        late += 2 * delay + desk.draws.up_to(2 * delay);
        tries += 1;
    }
    late
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_waits_for_what_was_sent_before() {
        let mut wire = Wire::new(8_000_000);
        assert_eq!(wire.depart(1_000, 5), 1_000_005);
        assert_eq!(wire.depart(1_000, 6), 2_000_005);
        assert_eq!(wire.waiting(5), 2_000);
        assert_eq!(wire.waiting(1_500_005), 500);
        assert_eq!(wire.waiting(3_000_000), 0);
        assert_eq!(wire.depart(1_000, 3_000_000), 4_000_000);
    }

    #[test]
    fn an_uplink_without_limit_holds_nothing_up() {
        let mut wire = Wire::new(0);
        assert_eq!(wire.depart(1 << 40, 7), 7);
        assert_eq!(wire.waiting(7), 0);
    }
}
