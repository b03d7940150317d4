//! For whom those around ask for passes: a queue for each neighbour, served in turn.
//!
//! Invariant: a neighbour that asks for many delays its own people alone. Each has as many places as are served in ten
//! seconds, and its people are served in the order in which it asked for them.

use alloc::{
    collections::{BTreeMap, VecDeque},
    vec::Vec,
};
use core::{ops::Bound, time::Duration};

use crate::{neighbour::Neighbour, person::Person};

/// Most people that one neighbour waits for: what one member passes up in the ten seconds after which they ask again.
const MOST: usize = 640;

/// How long an answer is waited for, a second less than until its owner asks again.
const ANSWER: Duration = Duration::from_secs(9);

/// The queues.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    by: BTreeMap<Neighbour, Queue>,
    /// Whose turn it was last.
    last: Option<Neighbour>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Person>,
    /// For whom was asked on, and when.
    asked: BTreeMap<Person, Duration>,
}

impl Wanted {
    /// Whether anybody waits to be asked for.
    pub(super) fn is_waiting(&self) -> bool {
        self.by.values().any(|queue| !queue.waiting.is_empty())
    }

    /// A neighbour asks for this person's pass.
    pub(super) fn note(&mut self, link: Neighbour, person: Person, now: Duration) {
        let queue = self.by.entry(link).or_default();
        let is_open = |asked: Duration| now < asked + ANSWER;
        if queue.waiting.contains(&person) || queue.asked.get(&person).copied().is_some_and(is_open) {
            return;
        }
        if queue.len() >= MOST {
            queue.asked.retain(|_, asked| is_open(*asked));
        }
        if queue.len() < MOST {
            queue.asked.remove(&person);
            queue.waiting.push_back(person);
        }
    }

    /// The next so many people to be served, one from each neighbour in turn.
    pub(super) fn next(&mut self, most: usize) -> Vec<(Neighbour, Person)> {
        let mut served = Vec::new();
        while served.len() < most
            && let Some(link) = self.turn()
            && let Some(person) = self.by.get_mut(&link).and_then(|queue| queue.waiting.pop_front())
        {
            served.push((link, person));
            self.last = Some(link);
        }
        served
    }

    /// Notes that the answer for a person who was served comes later.
    pub(super) fn note_asked(&mut self, link: Neighbour, person: Person, now: Duration) {
        if let Some(queue) = self.by.get_mut(&link) {
            queue.asked.insert(person, now);
        }
    }

    /// The answer has come: all who wait for it.
    pub(super) fn answered(&mut self, person: Person) -> Vec<Neighbour> {
        let queues = self.by.iter_mut();
        let waited = queues.filter_map(|(link, queue)| queue.asked.remove(&person).map(|_| *link));
        waited.collect()
    }

    /// A neighbour is gone.
    pub(super) fn forget(&mut self, link: Neighbour) {
        self.by.remove(&link);
    }

    /// Whose turn it is: the next one after the last for whom somebody waits.
    fn turn(&self) -> Option<Neighbour> {
        let after = self.last.map_or(Bound::Unbounded, Bound::Excluded);
        let others = self.by.range((after, Bound::Unbounded)).chain(&self.by);
        let mut waiting = others.filter(|(_, queue)| !queue.waiting.is_empty());
        waiting.next().map(|(link, _)| *link)
    }
}

impl Queue {
    fn len(&self) -> usize {
        self.waiting.len() + self.asked.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn person(n: usize) -> Person {
        let mut key = [0; 32];
        key[24..].copy_from_slice(&(n as u64).to_be_bytes());
        Person(key)
    }

    #[test]
    fn neighbours_are_served_in_turn_and_their_people_in_the_order_of_arrival() {
        let mut wanted = Wanted::default();
        for n in [5, 3, 4, 3] {
            wanted.note(Neighbour(1), person(n), SECOND);
        }
        wanted.note(Neighbour(2), person(9), SECOND);
        let served = |wanted: &mut Wanted, most| {
            let served = wanted.next(most).into_iter();
            served.map(|(link, who)| (link.0, who)).collect::<Vec<_>>()
        };
        assert_eq!(
            served(&mut wanted, 3),
            [(1, person(5)), (2, person(9)), (1, person(3))]
        );
        wanted.note(Neighbour(0), person(1), SECOND);
        wanted.note(Neighbour(2), person(8), SECOND);
        assert_eq!(served(&mut wanted, 2), [(2, person(8)), (0, person(1))]);
        assert_eq!(served(&mut wanted, 9), [(1, person(4))]);
        assert!(!wanted.is_waiting());
    }

    #[test]
    fn all_who_asked_for_one_have_the_answer_and_nobody_is_asked_for_twice_meanwhile() {
        let mut wanted = Wanted::default();
        for link in [1, 2] {
            wanted.note(Neighbour(link), person(1), SECOND);
        }
        for (link, who) in wanted.next(9) {
            wanted.note_asked(link, who, SECOND);
        }
        wanted.note(Neighbour(1), person(1), 9 * SECOND);
        assert!(!wanted.is_waiting(), "the answer is under way");
        assert_eq!(wanted.answered(person(1)), [Neighbour(1), Neighbour(2)]);
        assert_eq!(wanted.answered(person(1)), []);
        wanted.note(Neighbour(1), person(1), 9 * SECOND);
        assert!(wanted.is_waiting());
    }

    #[test]
    fn each_neighbour_is_bounded_by_itself_and_who_waits_in_vain_makes_room() {
        let mut wanted = Wanted::default();
        for n in 0..2 * MOST {
            wanted.note(Neighbour(1), person(n), SECOND);
        }
        wanted.note(Neighbour(2), person(9), SECOND);
        let served = wanted.next(4 * MOST);
        assert_eq!(served.len(), MOST + 1);
        for (link, who) in served {
            wanted.note_asked(link, who, SECOND);
        }
        wanted.note(Neighbour(1), person(4 * MOST), 2 * SECOND);
        assert!(!wanted.is_waiting(), "full");
        wanted.note(Neighbour(1), person(4 * MOST), 10 * SECOND);
        assert!(wanted.is_waiting());
        wanted.forget(Neighbour(1));
        assert!(!wanted.is_waiting());
    }
}
