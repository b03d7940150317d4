//! The queue of raised hands: who asks for the word, in the order in which the chair heard it.
//!
//! The chair keeps it and signs each new list; everyone else follows the newest. A hand that its owner does not hold up
//! goes down by itself, since nobody tells the chair of a program that has died.
//!
//! Invariant: at most [`limits::HANDS`] hands, each person once, the one that waits longest first.

use alloc::{collections::BTreeMap, vec::Vec};

use serde::{Deserialize, Serialize};

use crate::{
    domain, limits,
    person::Person,
    reason::Reason,
    room::{RoomId, at_most},
    signed::{Malformed, Signed, Statement, StatementError, VERSION, Verified},
    text::Text,
};

/// How often a program says again that its hand is up, in milliseconds. A queue that is full costs the chair three
/// notes a second.
pub const HAND_REFRESH_MS: u64 = 20_000;

/// How long a hand stays up that nobody holds up, in milliseconds: two words of its owner may get lost.
pub const HAND_LAPSE_MS: u64 = 50_000;

/// How long after its hand was lowered by another a person cannot raise it, in milliseconds: until the list that says so
/// has reached its program, which holds it up meanwhile.
pub const LOWERED_MS: u64 = 3_000;

/// A raised hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hand {
    /// Whose.
    pub person: Person,
    /// Room clock in milliseconds when the chair heard of it.
    pub since: u64,
    /// What that person is called.
    pub nick: Text,
}

/// The queue as the chair signs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandList {
    /// Always 1.
    pub version: u8,
    /// The room.
    pub room: RoomId,
    /// Who wrote it, and signs.
    pub chair: Person,
    /// The term of the chair.
    pub term: u32,
    /// Rises with every list of one term.
    pub number: u32,
    /// Who waits, the one that waits longest first.
    pub hands: Vec<Hand>,
}

/// Why a list was not taken. Whoever sent it is at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandListError {
    /// It is malformed or forged.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// It is another room's.
    #[error("the queue of hands belongs to another room")]
    OtherRoom,
}

/// The queue, as a member knows it.
#[derive(Debug, Default)]
pub struct Hands {
    queue: Vec<Hand>,
    /// The newest list that was signed or came.
    list: Option<Verified<HandList>>,
    /// When each hand was last held up, by the room clock; for the chair alone.
    held_up: BTreeMap<Person, u64>,
    /// Whose hand another has lowered of late, and when; for the chair alone. At most [`limits::HANDS`].
    put_down: BTreeMap<Person, u64>,
}

impl Statement for HandList {
    const DOMAIN: &'static [u8] = domain::HANDS;
    const MAX: usize = limits::HAND_LIST;
    const NAME: &'static str = "queue of hands";

    fn version(&self) -> u8 {
        self.version
    }

    fn signer(&self) -> Person {
        self.chair
    }

    fn validate(&self) -> Result<(), Malformed> {
        if self.hands.len() > limits::HANDS {
            return Err(Malformed::TooMany {
                what: "hands",
                max: limits::HANDS,
            });
        }
        self.hands
            .iter()
            .try_for_each(|hand| at_most("nick", hand.nick.len(), limits::NICK))
    }
}

impl Hands {
    /// Who waits, the one that waits longest first.
    #[must_use]
    pub fn queue(&self) -> &[Hand] {
        &self.queue
    }

    /// The newest list, to be passed on.
    #[must_use]
    pub fn list(&self) -> Option<&Verified<HandList>> {
        self.list.as_ref()
    }

    /// A person's place in the queue, 1 for the first.
    #[must_use]
    pub fn place(&self, person: Person) -> Option<usize> {
        let at = self.queue.iter().position(|hand| hand.person == person)?;
        Some(at + 1)
    }

    /// Whether what is known here differs from the newest list of this chair and term: for the chair to sign one.
    #[must_use]
    pub fn is_news(&self, chair: Person, term: u32) -> bool {
        let told = self.list.as_ref().map_or(&[][..], |list| &list.hands);
        let is_old = self.list.is_some() && self.of(chair, term).is_none();
        told != self.queue || (is_old && !self.queue.is_empty())
    }

    /// Raises a hand, or holds it up; its place.
    ///
    /// # Errors
    /// [`Reason::Full`] when too many wait.
    pub fn raise(&mut self, person: Person, nick: Text, clock: u64) -> Result<usize, Reason> {
        let place = match self.place(person) {
            Some(place) => place,
            None if self.queue.len() >= limits::HANDS => return Err(Reason::Full),
            None => {
                self.queue.push(Hand {
                    person,
                    since: clock,
                    nick,
                });
                self.queue.len()
            }
        };
        self.held_up.insert(person, clock);
        Ok(place)
    }

    /// Lowers the hands of some.
    pub fn lower(&mut self, whose: impl Fn(Person) -> bool) {
        self.queue.retain(|hand| !whose(hand.person));
        let up = &self.queue;
        self.held_up
            .retain(|person, _| up.iter().any(|hand| hand.person == *person));
    }

    /// Lowers a hand for another than its owner.
    pub fn put_down(&mut self, person: Person, clock: u64) {
        self.lower(|who| who == person);
        self.put_down
            .retain(|_, at| clock < at.saturating_add(LOWERED_MS));
        if self.put_down.len() >= limits::HANDS {
            let oldest = self.put_down.iter().min_by_key(|(_, at)| **at);
            if let Some(oldest) = oldest.map(|(person, _)| *person) {
                self.put_down.remove(&oldest);
            }
        }
        self.put_down.insert(person, clock);
    }

    /// Whether another has lowered this person's hand a moment ago.
    #[must_use]
    pub fn was_put_down(&self, person: Person, clock: u64) -> bool {
        let at = self.put_down.get(&person);
        at.is_some_and(|at| clock < at.saturating_add(LOWERED_MS))
    }

    /// This member takes the chair: who holds up a hand, it hears from now on. What it heard in an earlier term is over.
    pub fn begin(&mut self) {
        self.held_up.clear();
    }

    /// Drops the queue of a history that was given up; the hands that are down by it.
    pub fn forget(&mut self) -> Vec<(Hand, bool)> {
        self.queue.clear();
        self.held_up.clear();
        let told = self.list.take().map(|list| list.hands.clone());
        let down = told.unwrap_or_default().into_iter();
        down.map(|hand| (hand, false)).collect()
    }

    /// Lowers the hands that nobody holds up. Those of a list of an earlier term count from the first look at them.
    pub fn lapse(&mut self, clock: u64) {
        for hand in &self.queue {
            self.held_up.entry(hand.person).or_insert(clock);
        }
        let late: Vec<Person> = self
            .held_up
            .iter()
            .filter(|(_, at)| clock > at.saturating_add(HAND_LAPSE_MS))
            .map(|(person, _)| *person)
            .collect();
        self.lower(|person| late.contains(&person));
    }

    /// The list for the chair to sign now.
    #[must_use]
    pub fn next_list(&self, room: RoomId, chair: Person, term: u32) -> HandList {
        HandList {
            version: VERSION,
            room,
            chair,
            term,
            number: self
                .of(chair, term)
                .map_or(1, |list| list.number.saturating_add(1)),
            hands: self.queue.clone(),
        }
    }

    /// Takes the list that this chair has signed; the hands that went up or down by it.
    pub fn take(&mut self, list: Verified<HandList>) -> Vec<(Hand, bool)> {
        let before = self.list.take().map(|list| list.hands.clone());
        let before = before.unwrap_or_default();
        self.queue = list.hands.clone();
        self.list = Some(list);
        let is_in = |hands: &[Hand], hand: &Hand| hands.iter().any(|other| other.person == hand.person);
        let down = before
            .iter()
            .filter(|hand| !is_in(&self.queue, hand))
            .map(|hand| (hand.clone(), false));
        let up = self
            .queue
            .iter()
            .filter(|hand| !is_in(&before, hand))
            .map(|hand| (hand.clone(), true));
        down.chain(up).collect()
    }

    /// Checks a list that came. `Ok(None)` says that it is not newer than ours, or not of this chair and term, which the
    /// log may yet bring.
    ///
    /// # Errors
    /// [`HandListError`] names the rule that it breaks.
    pub fn check(
        &self,
        signed: Signed<HandList>,
        room: RoomId,
        (chair, term): (Person, u32),
    ) -> Result<Option<Verified<HandList>>, HandListError> {
        let claim = signed.peek().map_err(StatementError::from)?;
        if claim.room != room {
            return Err(HandListError::OtherRoom);
        }
        let newest = self.of(chair, term).map(|list| list.number);
        if (claim.chair, claim.term) != (chair, term) || Some(claim.number) <= newest {
            return Ok(None);
        }
        Ok(Some(signed.verify()?))
    }

    /// The newest list, if it is of this chair and term.
    fn of(&self, chair: Person, term: u32) -> Option<&Verified<HandList>> {
        let list = self.list.as_ref();
        list.filter(|list| (list.chair, list.term) == (chair, term))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::person::PersonKey;

    const ROOM: RoomId = RoomId([3; 32]);

    fn person(n: u8) -> Person {
        Person([n; 32])
    }

    fn raise(hands: &mut Hands, n: u8, clock: u64) -> Result<usize, Reason> {
        hands.raise(person(n), Text::clean("x"), clock)
    }

    fn sign(hands: &Hands, key: &PersonKey, term: u32) -> Verified<HandList> {
        Verified::sign(hands.next_list(ROOM, key.person(), term), key).expect("within the limits")
    }

    #[test]
    fn who_raised_first_is_first_and_holding_up_changes_no_place() {
        let mut hands = Hands::default();
        assert_eq!(raise(&mut hands, 1, 10), Ok(1));
        assert_eq!(raise(&mut hands, 2, 20), Ok(2));
        assert_eq!(raise(&mut hands, 1, 30), Ok(1));
        assert_eq!((hands.queue()[0].since, hands.place(person(2))), (10, Some(2)));
        hands.lower(|who| who == person(1));
        assert_eq!((hands.place(person(1)), hands.place(person(2))), (None, Some(1)));
    }

    #[test]
    fn a_hand_that_nobody_holds_up_goes_down() {
        let mut hands = Hands::default();
        raise(&mut hands, 1, 0).expect("a place");
        raise(&mut hands, 2, 0).expect("a place");
        raise(&mut hands, 2, HAND_REFRESH_MS).expect("held up");
        hands.lapse(HAND_LAPSE_MS);
        assert_eq!(hands.queue().len(), 2);
        hands.lapse(HAND_LAPSE_MS + 1);
        assert_eq!(hands.place(person(2)), Some(1));
        assert_eq!(hands.queue().len(), 1);
    }

    #[test]
    fn a_hand_that_another_lowered_stays_down_for_a_moment_and_as_many_are_remembered_as_can_be_up() {
        let mut hands = Hands::default();
        raise(&mut hands, 1, 10).expect("a place");
        hands.put_down(person(1), 20);
        assert_eq!(hands.place(person(1)), None);
        assert!(hands.was_put_down(person(1), 19 + LOWERED_MS) && !hands.was_put_down(person(2), 20));
        assert!(!hands.was_put_down(person(1), 20 + LOWERED_MS));
        for n in 0..u8::MAX {
            hands.put_down(person(n), 30 + u64::from(n));
        }
        assert_eq!(hands.put_down.len(), limits::HANDS);
        assert!(hands.was_put_down(person(u8::MAX - 1), 300));
    }

    #[test]
    fn the_queue_is_bounded_and_its_longest_list_can_be_signed() {
        let (mut hands, key) = (Hands::default(), PersonKey::from_seed(&[7; 32]));
        let nick = Text::clean(&"م".repeat(limits::NICK / 2));
        for n in 0..limits::HANDS as u8 {
            hands.raise(person(n), nick.clone(), u64::MAX).expect("a place");
        }
        assert_eq!(raise(&mut hands, 200, 0), Err(Reason::Full));
        let list = sign(&hands, &key, u32::MAX);
        assert!(list.signed().payload().len() <= limits::HAND_LIST);
    }

    #[test]
    fn a_chair_that_comes_back_hears_anew_who_holds_up_a_hand() {
        let mut hands = Hands::default();
        raise(&mut hands, 1, 0).expect("a place");
        // Another chair heard it meanwhile.
        hands.begin();
        hands.lapse(4 * HAND_LAPSE_MS);
        assert_eq!(hands.place(person(1)), Some(1));
        hands.lapse(5 * HAND_LAPSE_MS + 1);
        assert_eq!(hands.place(person(1)), None);
    }

    #[test]
    fn each_term_has_its_own_lists_and_a_lower_one_counts_where_it_holds() {
        let (one, two) = (PersonKey::from_seed(&[7; 32]), PersonKey::from_seed(&[8; 32]));
        let mut member = Hands::default();
        raise(&mut member, 1, 5).expect("a place");
        assert!(member.is_news(two.person(), 1));
        member.take(sign(&member, &two, 1));
        assert!(!member.is_news(two.person(), 1));
        assert!(
            member.is_news(one.person(), 2),
            "whoever comes next says it again"
        );
        let lower = sign(&Hands::default(), &one, 0);
        let taken = member.check(lower.signed().clone(), ROOM, (one.person(), 0));
        assert_eq!(taken, Ok(Some(lower)));
        let down = member.forget();
        assert_eq!((down.len(), down[0].1), (1, false));
        assert!(member.queue().is_empty() && !member.is_news(one.person(), 2));
    }

    #[test]
    fn only_a_newer_list_of_the_chair_is_taken() {
        let (chair, other) = (PersonKey::from_seed(&[7; 32]), PersonKey::from_seed(&[8; 32]));
        let mut at_chair = Hands::default();
        raise(&mut at_chair, 1, 5).expect("a place");
        let first = sign(&at_chair, &chair, 0);
        at_chair.take(first.clone());
        raise(&mut at_chair, 2, 6).expect("a place");
        at_chair.lower(|who| who == person(1));
        let second = sign(&at_chair, &chair, 0);

        let mut member = Hands::default();
        let check = |member: &Hands, list: &Verified<HandList>| {
            member.check(list.signed().clone(), ROOM, (chair.person(), 0))
        };
        let taken = check(&member, &first).expect("honest").expect("news");
        assert_eq!(member.take(taken).len(), 1);
        assert_eq!(check(&member, &first), Ok(None), "again");
        let taken = check(&member, &second).expect("honest").expect("news");
        let changes = member.take(taken);
        assert_eq!((changes[0].0.person, changes[0].1), (person(1), false));
        assert_eq!((changes[1].0.person, changes[1].1), (person(2), true));
        assert_eq!(check(&member, &first), Ok(None), "older");
        assert_eq!(
            check(&member, &sign(&member, &other, 9)),
            Ok(None),
            "not the chair"
        );
        assert_eq!(
            check(&member, &sign(&member, &chair, 9)),
            Ok(None),
            "not of this term"
        );

        let mut bytes = sign(&at_chair, &chair, 4).signed().to_bytes().to_vec();
        *bytes.last_mut().expect("a signature") ^= 1;
        let forged = Signed::from_bytes(&bytes).expect("an envelope");
        assert!(matches!(
            member.check(forged, ROOM, (chair.person(), 4)),
            Err(HandListError::Statement(StatementError::Signature(_)))
        ));
        let elsewhere = sign(&at_chair, &chair, 4).signed().clone();
        assert_eq!(
            member.check(elsewhere, RoomId([4; 32]), (chair.person(), 4)),
            Err(HandListError::OtherRoom)
        );
    }
}
