//! What a member does about acts of moderation: it drops what the muted say, and has no link with those who are kept
//! out.
//!
//! Invariant: nobody whom this member's log keeps out has an open link here, whoever opened it and whatever peer it
//! comes through.

use alloc::{format, string::String, vec::Vec};
use core::time::Duration;

use crate::{
    log::{Act, Applied, Exclusion, Stay},
    media::Tag,
    neighbour::Neighbour,
    person::Person,
    reason::Reason,
};

use super::{Event, Left, Member, Route, greeting::Link, refusal};

impl Member {
    /// Why a person is kept out now, and the words for it.
    pub(super) fn kept_out(&self, person: Person, now: Duration) -> Option<(Reason, String)> {
        let clock = self.clock.now_ms(now);
        let exclusion = self.log.as_ref()?.state().exclusion(person, clock)?;
        Some((exclusion.told(), words(exclusion)))
    }

    /// Tells the media plane what a stay may say, when it was muted or unmuted before this member came.
    pub(super) fn resume_mute(&mut self, person: Person, stay: Stay) {
        if stay.heard_since > stay.since {
            let (tag, since) = (stay.tag, stay.heard_since);
            self.route(Route::Unmute { tag, since });
        }
        let is_muted = |log: &crate::log::Log| log.state().mutes().contains_key(&person);
        if self.log.as_ref().is_some_and(is_muted) {
            self.route(Route::Mute(stay.tag));
        }
    }

    pub(super) fn handle_muted(&mut self, person: Person, tag: Tag) {
        self.route(Route::Mute(tag));
        self.event(Event::Muted { person, muted: true });
    }

    /// Whoever may speak again begins a new epoch: what was said into the mute is missed by nobody.
    pub(super) fn handle_unmuted(&mut self, person: Person, stay: Option<Stay>, now: Duration) {
        if let Some(stay) = stay {
            let (tag, since) = (stay.tag, stay.heard_since);
            self.route(Route::Unmute { tag, since });
        }
        self.event(Event::Muted { person, muted: false });
        if person == self.config.key.person() && self.joined {
            self.take_the_stage_if_granted(now);
        }
    }

    /// Tells who must not be heard to the end: another took the word from them.
    pub(super) fn silence(&mut self, applied: &Applied) {
        let by_another = |subject: &Person| *subject != applied.action.author;
        if let Act::Move { subject }
        | Act::Mute { subject, .. }
        | Act::Kick { subject, .. }
        | Act::Ban { subject, .. } = &applied.act
            && by_another(subject)
        {
            self.event(Event::Silenced(*subject));
        }
    }

    /// Closes every link with a person who is kept out, and leaves when it is this one. What put them out has been
    /// passed on to the children before, and proves to them by whom. `more` entries to come may still let this person
    /// in again.
    pub(super) fn follow_exclusions(&mut self, more: bool, now: Duration) {
        let me = self.config.key.person();
        let out = self.kept_out(me, now).filter(|_| !more);
        if let Some((reason, text)) = out.filter(|_| self.verify_all(now)) {
            return self.leave(Left::Refused(refusal(reason, &text)));
        }
        let people: Vec<(Neighbour, Person)> = self
            .links
            .iter()
            .filter_map(|(number, link)| Some((*number, link.person()?)))
            .collect();
        for (link, person) in people {
            if let Some((reason, text)) = self.kept_out(person, now) {
                self.refuse(link, reason, &text, now);
            }
        }
    }

    /// Refuses a link to a person who is kept out, and tells what became of its appeal; whether it was.
    pub(super) fn refuse_if_kept_out(
        &mut self,
        link: Neighbour,
        person: Person,
        told: Option<&str>,
        now: Duration,
    ) -> bool {
        let Some((reason, text)) = self.kept_out(person, now) else {
            return false;
        };
        if self.links.get(&link).is_some_and(Link::is_ours) {
            self.note_refusal(link, reason, now);
        }
        let text = told.map_or_else(|| text.clone(), |told| format!("{told}; {text}"));
        self.refuse(link, reason, &text, now);
        true
    }
}

/// What someone who is kept out is told, for people.
fn words(exclusion: &Exclusion) -> String {
    if exclusion.reason.is_empty() {
        format!("{}", exclusion.told())
    } else {
        format!("{}: {}", exclusion.told(), exclusion.reason)
    }
}
