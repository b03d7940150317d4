//! Whose microphone is shown as open: whoever says so, and whoever is heard, whatever they say.
//!
//! A mark and the sound it is about take different ways, so that the last words of a spurt may be heard after the mark
//! that closes it. Only sound behind that shows someone against their own word.

use std::{collections::BTreeMap, time::Duration};

use majlis_protocol::person::Person;

/// How long after a mark sound of before may still be heard: the longest delay of a listener, and as much for its way.
const GRACE: Duration = Duration::from_millis(1_500);

/// How long after their last sound someone is shown who says that the microphone is closed.
const FADE: Duration = Duration::from_secs(2);

/// The microphones of those on the stage.
#[derive(Debug, Default)]
pub(super) struct Mics {
    shown: BTreeMap<Person, Shown>,
}

#[derive(Debug, Default)]
struct Shown {
    marked: bool,
    marked_at: Duration,
    heard: Option<Duration>,
    is_on: bool,
}

impl Mics {
    /// Whether a microphone is open, as far as is known.
    pub(super) fn is_on(&self, person: Person) -> bool {
        self.shown.get(&person).is_some_and(|shown| shown.is_on)
    }

    /// Someone on the stage said so; what is to be told anew.
    pub(super) fn mark(&mut self, person: Person, on: bool, now: Duration) -> Option<(Person, bool)> {
        let shown = self.shown.entry(person).or_default();
        (shown.marked, shown.marked_at) = (on, now);
        if !on {
            shown.heard = None;
        }
        self.update(person, now)
    }

    /// Someone on the stage was heard.
    pub(super) fn heard(&mut self, person: Person, now: Duration) -> Option<(Person, bool)> {
        let shown = self.shown.entry(person).or_default();
        if shown.marked || now >= shown.marked_at + GRACE {
            shown.heard = Some(now);
        }
        self.update(person, now)
    }

    /// Someone left the stage, or came onto it.
    pub(super) fn forget(&mut self, person: Person) {
        self.shown.remove(&person);
    }

    /// What is to be told because time has passed.
    pub(super) fn fade(&mut self, now: Duration) -> Vec<(Person, bool)> {
        let people: Vec<Person> = self.shown.keys().copied().collect();
        let changed = people.into_iter().filter_map(|person| self.update(person, now));
        changed.collect()
    }

    fn update(&mut self, person: Person, now: Duration) -> Option<(Person, bool)> {
        let shown = self.shown.get_mut(&person)?;
        let is_heard = shown.heard.is_some_and(|heard| now < heard + FADE);
        let on = shown.marked || is_heard;
        let changed = on != shown.is_on;
        shown.is_on = on;
        changed.then_some((person, on))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHO: Person = Person([1; 32]);
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_mark_is_shown_and_the_last_words_before_it_change_nothing() {
        let mut mics = Mics::default();
        assert!(!mics.is_on(WHO));
        assert_eq!(mics.mark(WHO, true, SECOND), Some((WHO, true)));
        assert_eq!(mics.mark(WHO, true, SECOND), None);
        assert_eq!(mics.heard(WHO, 9 * SECOND), None);
        assert_eq!(mics.mark(WHO, false, 9 * SECOND), Some((WHO, false)));
        assert_eq!(mics.heard(WHO, 10 * SECOND), None);
        assert!(!mics.is_on(WHO));
    }

    #[test]
    fn who_is_heard_is_shown_whatever_they_say_and_no_longer_than_that() {
        let mut mics = Mics::default();
        mics.mark(WHO, true, SECOND);
        mics.mark(WHO, false, 2 * SECOND);
        assert_eq!(mics.heard(WHO, 4 * SECOND), Some((WHO, true)));
        assert_eq!(mics.fade(5 * SECOND), []);
        assert_eq!(mics.fade(6 * SECOND), [(WHO, false)]);
        let other = Person([2; 32]);
        assert_eq!(mics.heard(other, 9 * SECOND), Some((other, true)));
        mics.forget(other);
        assert!(!mics.is_on(other));
    }
}
