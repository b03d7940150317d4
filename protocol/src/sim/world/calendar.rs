//! What is to happen, by the step of the world in which it does.
//!
//! Time goes on in steps no longer than the fastest packet takes, so nothing that one member does reaches another
//! within the same step. A step's events therefore need no order among members, only one for each member: time, then
//! sender, then the sender's own count. That order does not depend on how members are spread over shards.

use alloc::{collections::BTreeMap, vec::Vec};

use bytes::Bytes;

use super::mark::Mark;

/// Steps that have a place of their own; events beyond wait in a tree. With a step of 2 ms these are 4 s, which holds
/// everything but the slowest timers.
const NEAR: u64 = 2_048;

/// Something that happens to a member.
#[derive(Debug)]
pub(super) struct Event {
    /// When, in nanoseconds.
    pub(super) at: u64,
    /// To whom.
    pub(super) to: u32,
    /// Who caused it.
    pub(super) from: u32,
    /// How many that one had caused before.
    pub(super) count: u32,
    /// On which link, as the receiver numbers it.
    pub(super) link: u32,
    pub(super) what: What,
}

/// What happens.
#[derive(Debug)]
pub(super) enum What {
    /// One of the member's own deadlines is near: look at it in this step.
    Wake,
    /// A datagram item came, and what held it up.
    Item(Bytes, Mark),
    /// A control frame came.
    Frame(Bytes),
    /// A link's other end closed it, or has been silent for too long.
    Down,
    /// Somebody dials, in a search of this number.
    Knock { search: u32 },
    /// Whom we dialled answers, and calls the link so.
    Answer { search: u32, number: u32 },
    /// Who dialled opens the substream, and calls the link so.
    Open { number: u32 },
}

/// The events of one shard.
#[derive(Debug)]
pub(super) struct Calendar {
    /// Nanoseconds of a step.
    step: u64,
    /// The step that is taken next.
    next: u64,
    near: Vec<Vec<Event>>,
    far: BTreeMap<u64, Vec<Event>>,
}

impl Event {
    /// The order of events: a member's are together, and each has its own place.
    pub(super) fn key(&self) -> (u32, u64, u32, u32) {
        (self.to, self.at, self.from, self.count)
    }
}

impl Calendar {
    pub(super) fn new(step: u64) -> Self {
        Self {
            step,
            next: 0,
            near: (0..NEAR).map(|_| Vec::new()).collect(),
            far: BTreeMap::new(),
        }
    }

    /// Notes an event. One that is late comes in the next step.
    pub(super) fn push(&mut self, event: Event) {
        let step = (event.at / self.step).max(self.next);
        if step - self.next < NEAR {
            self.near[place(step)].push(event);
        } else {
            self.far.entry(step).or_default().push(event);
        }
    }

    /// Takes out the next step's events, in order. Their memory goes with them: kept for the step a round ahead, each of
    /// thousands of steps would hold as much as the fullest ever needed.
    pub(super) fn take(&mut self) -> Vec<Event> {
        let mut events = core::mem::take(&mut self.near[place(self.next)]);
        if let Some(far) = self.far.remove(&self.next) {
            events.extend(far);
        }
        self.next += 1;
        events.sort_unstable_by_key(Event::key);
        events
    }
}

fn place(step: u64) -> usize {
    (step % NEAR) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wake(at: u64, to: u32, from: u32, count: u32) -> Event {
        Event {
            at,
            to,
            from,
            count,
            link: 0,
            what: What::Wake,
        }
    }

    #[test]
    fn an_event_is_no_larger_than_a_cache_line() {
        assert!(size_of::<Event>() <= 64, "{}", size_of::<Event>());
    }

    #[test]
    fn events_come_in_their_step_and_in_order() {
        let mut calendar = Calendar::new(10);
        for event in [
            wake(25, 1, 0, 0),
            wake(7, 2, 9, 1),
            wake(7, 2, 9, 0),
            wake(3, 2, 1, 5),
            wake(10 * (NEAR + 5), 3, 0, 0),
            wake(9, 1, 0, 0),
        ] {
            calendar.push(event);
        }
        let first = calendar.take();
        let keys: Vec<_> = first.iter().map(Event::key).collect();
        assert_eq!(keys, [(1, 9, 0, 0), (2, 3, 1, 5), (2, 7, 9, 0), (2, 7, 9, 1)]);
        assert!(calendar.take().is_empty());
        assert_eq!(calendar.take().len(), 1);
        let later: usize = (3..NEAR + 5).map(|_| calendar.take().len()).sum();
        assert_eq!(later, 0);
        assert_eq!(calendar.take().len(), 1);
    }

    #[test]
    fn a_late_event_comes_in_the_next_step() {
        let mut calendar = Calendar::new(10);
        assert!(calendar.take().is_empty());
        calendar.push(wake(1, 0, 0, 0));
        assert_eq!(calendar.take().len(), 1);
    }
}
