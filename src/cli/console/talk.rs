//! Push-to-talk: how long a held key is held.
//!
//! Some terminals say when a key is let go (the kitty keyboard protocol). Others only repeat one that is held, after a
//! while: there a key counts as let go when no repetition comes any more.

use std::time::{Duration, Instant};

/// How long after the first press a repetition may take: keyboards begin to repeat after 250 to 660 ms, and few later. What
/// is said meanwhile is not cut; who only taps the key is heard as long.
pub(super) const FIRST: Duration = Duration::from_millis(900);

/// How long after a repetition the next one may take: they come each 30 to 90 ms, and late over a slow line.
pub(super) const NEXT: Duration = Duration::from_millis(300);

/// A key that is held, or is not.
#[derive(Debug, Default)]
pub(super) struct Talk {
    held: Option<Held>,
}

#[derive(Debug, Clone, Copy)]
struct Held {
    /// When it counts as let go; never, where the terminal says so.
    until: Option<Instant>,
}

impl Talk {
    pub(super) fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// The key was pressed or repeats. Whether it is held only from now on.
    pub(super) fn press(&mut self, tells_release: bool, now: Instant) -> bool {
        let wait = if self.is_held() { NEXT } else { FIRST };
        let is_repetition = self.is_held();
        let before = self.held.and_then(|held| held.until);
        // A repetition that comes early does not shorten the wait for the next one.
        let until = (now + wait).max(before.unwrap_or(now));
        self.held = Some(Held {
            until: (!tells_release).then_some(until),
        });
        !is_repetition
    }

    /// The key was let go, or something that ends it all the same happened. Whether it was held.
    pub(super) fn release(&mut self) -> bool {
        self.held.take().is_some()
    }

    /// When the key counts as let go, if nothing comes.
    pub(super) fn due(&self) -> Option<Instant> {
        self.held.and_then(|held| held.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_the_terminal_tells_a_key_is_held_until_it_is_let_go() {
        let (mut talk, now) = (Talk::default(), Instant::now());
        assert!(talk.press(true, now) && !talk.press(true, now));
        assert_eq!(talk.due(), None);
        assert!(talk.release() && !talk.release());
    }

    #[test]
    fn elsewhere_it_is_held_as_long_as_it_repeats() {
        let (mut talk, start) = (Talk::default(), Instant::now());
        assert!(talk.press(false, start));
        assert_eq!(talk.due(), Some(start + FIRST));
        // The first repetition, early, and then one after the other.
        let at = |ms| start + Duration::from_millis(ms);
        assert!(!talk.press(false, at(250)));
        assert_eq!(talk.due(), Some(start + FIRST));
        assert!(!talk.press(false, at(880)));
        assert_eq!(talk.due(), Some(at(880) + NEXT));
        assert!(talk.release());
        assert_eq!((talk.due(), talk.is_held()), (None, false));
    }
}
