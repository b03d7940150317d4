//! The end of a speaker's time: the chair moves those to the audience who have had theirs, by an entry like any other.

use alloc::vec::Vec;
use core::time::Duration;

use crate::{
    log::{Act, Action},
    person::Person,
    signed::Verified,
};

use super::Member;

impl Member {
    /// As the chair, ends the turns that are over. It looks once a second, with its beacon.
    pub(super) fn end_turns(&mut self, now: Duration) {
        let Some(log) = self.log.as_ref().filter(|_| self.is_chair() && !self.left) else {
            return;
        };
        let (state, clock) = (log.state(), self.clock.now_ms(now));
        let is_over = |person: &Person| state.speaks_until(*person).is_some_and(|end| end <= clock);
        let over: Vec<Person> = state.stage().keys().copied().filter(is_over).collect();
        for subject in over {
            let head = self.head();
            let action = Action::new(
                self.room,
                self.config.key.person(),
                head,
                clock,
                &Act::Move { subject },
            );
            let Ok(action) = Verified::sign(action, &self.config.key) else {
                return;
            };
            // A log that is full takes no more: then nobody is moved by hand either.
            let _ = self.append(action.signed().clone(), now);
        }
    }
}
