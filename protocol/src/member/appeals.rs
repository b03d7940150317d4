//! Appeals: the one message that a banned person may send to those who keep order, through whoever it asks to let it in.
//!
//! It comes in a `hello` that is refused all the same, goes up to the chair as a note, and from there to everyone; those
//! who keep order are shown it. Every member on its way judges it again.
//!
//! Invariant: one appeal for each ban, and few at a time from all.

use alloc::{collections::BTreeMap, string::ToString};
use core::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    extension::{self, Extension},
    limits,
    log::Role,
    neighbour::Neighbour,
    person::{Person, Signature},
    reason::Reason,
    signed::{Malformed, Signed, Verified, decode, encode},
    stage::{Note, Saying},
    text::Text,
    wire::message::{Hello, Message, Refusal},
};

use super::{Event, Member, budget::Budget, refusal};

/// What an appeal costs, of a token a second: one in ten seconds. Those who keep order read no faster.
const COST: u32 = 10;

/// Appeals at once, in tokens: four, of a ban that was a mistake about a group.
const BURST: u32 = 4 * COST;

/// What a member further down takes at once, where those that the chair let pass one by one come together.
const HOP_BURST: u32 = 2 * BURST;

/// What a member knows of appeals.
#[derive(Debug)]
pub(super) struct Appeals {
    /// What this person says, should it be banned.
    own: Option<Text>,
    /// Whose went up from here, each against the ban of which entry; and whose came down.
    passed: BTreeMap<Person, u32>,
    heard: BTreeMap<Person, u32>,
    up: Budget,
    room: Budget,
}

/// An appeal in a `hello`: what is not said there already.
#[derive(Debug, Serialize, Deserialize)]
struct Shown {
    at: u64,
    text: Text,
    signature: Signature,
}

/// An appeal whose signature holds.
struct Appeal {
    author: Person,
    /// The entry of the ban that it is about.
    ban: u32,
    text: Text,
}

impl Appeals {
    pub(super) fn new(now: Duration) -> Self {
        Self {
            own: None,
            passed: BTreeMap::new(),
            heard: BTreeMap::new(),
            up: Budget::new(1, BURST, now),
            room: Budget::new(1, HOP_BURST, now),
        }
    }
}

impl Member {
    /// Says something to those who keep order, should this person be banned: 1 to 180 bytes after cleaning. For members
    /// that have not joined yet.
    ///
    /// # Errors
    /// [`Malformed`] when it is empty or too long.
    pub fn appeal(&mut self, text: &str) -> Result<(), Malformed> {
        let text = Text::clean(text);
        let saying = Saying::Appeal { text: text.clone() };
        saying.check()?;
        self.appeals.own = Some(text);
        Ok(())
    }

    /// The appeal to show at the door.
    pub(super) fn appeal_extension(&mut self, now: Duration) -> Option<Extension> {
        let text = self.appeals.own.clone()?;
        let saying = Saying::Appeal { text: text.clone() };
        let note = self.sign_note(&saying, now).ok()?;
        let shown = Shown {
            at: note.peek().ok()?.at,
            text,
            signature: *note.signature(),
        };
        Some(Extension {
            kind: extension::APPEAL,
            body: encode(&shown),
        })
    }

    /// Takes the appeal of a person at the door, who is not let in; what became of it, for that person. `None` for who
    /// is not banned.
    pub(super) fn take_appeal_at_the_door(
        &mut self,
        person: Person,
        body: &Bytes,
        now: Duration,
    ) -> Option<&'static str> {
        let clock = self.clock.now_ms(now);
        let exclusion = self.log.as_ref()?.state().exclusion(person, clock)?;
        if exclusion.is_kick {
            return None;
        }
        let shown: Shown = decode(body, "appeal").ok()?;
        let saying = Saying::Appeal { text: shown.text };
        let note = Note::new(self.room, person, shown.at, &saying);
        let note = Signed::from_parts(encode(&note), shown.signature);
        let result = if self.is_chair() {
            self.hear_appeal(&note, now).map(drop)
        } else {
            self.check_appeal_up(&note, now).and_then(|()| {
                let way = self.way_to_chair();
                let way = way.ok_or_else(|| refusal(Reason::NotTheChair, "no way to the chair"))?;
                self.send(way, Message::Note(note.clone()));
                Ok(())
            })
        };
        Some(match result.map_err(|refusal| refusal.reason) {
            Ok(()) => "your appeal is on its way to those who keep order",
            Err(Reason::Duplicate) => "you have appealed against this already",
            Err(Reason::TooMany) => "too many appeal now: try again in a minute",
            Err(_) => "your appeal could not be passed on: try again in a minute",
        })
    }

    /// Whether an appeal may go up from here.
    pub(super) fn check_appeal_up(&mut self, note: &Signed<Note>, now: Duration) -> Result<(), Refusal> {
        let appeal = self.judge_appeal(note, &self.appeals.passed, now)?;
        if self.way_to_chair().is_none() || !self.appeals.up.take(COST, now) {
            return Err(refusal(Reason::TooMany, "too many appeal now"));
        }
        self.forget_old_appeals(now);
        self.appeals.passed.insert(appeal.author, appeal.ban);
        Ok(())
    }

    /// As the chair, lets an appeal pass to everyone.
    pub(super) fn hear_appeal(&mut self, note: &Signed<Note>, now: Duration) -> Result<u32, Refusal> {
        let appeal = self.judge_appeal(note, &self.appeals.heard, now)?;
        if !self.appeals.room.take_above(COST, HOP_BURST - BURST, now) {
            return Err(refusal(Reason::TooMany, "too many appeal now"));
        }
        self.pass_appeal(None, note, appeal, now);
        Ok(0)
    }

    /// An appeal came down.
    pub(super) fn take_appeal(&mut self, link: Neighbour, note: &Signed<Note>, now: Duration) {
        match self.judge_appeal(note, &self.appeals.heard, now) {
            Ok(appeal) => {
                if self.appeals.room.take(COST, now) {
                    self.pass_appeal(Some(link), note, appeal, now);
                }
            }
            // No honest neighbour passes on what is malformed or forged; all else may have been right where it was.
            Err(why) if why.reason == Reason::Malformed => {
                self.cut(link, Reason::Malformed, "an appeal that is none", now);
            }
            Err(_) => {}
        }
    }

    fn pass_appeal(&mut self, from: Option<Neighbour>, note: &Signed<Note>, appeal: Appeal, now: Duration) {
        self.forget_old_appeals(now);
        self.appeals.heard.insert(appeal.author, appeal.ban);
        if self.role() >= Role::Moderator {
            let (person, text) = (appeal.author, appeal.text);
            self.event(Event::Appeal { person, text });
        }
        self.pass_on(&Message::Note(note.clone()), from);
    }

    /// Judges an appeal, in the order of cost.
    fn judge_appeal(
        &self,
        signed: &Signed<Note>,
        seen: &BTreeMap<Person, u32>,
        now: Duration,
    ) -> Result<Appeal, Refusal> {
        let malformed = |text: &str| refusal(Reason::Malformed, text);
        let note = signed.peek().map_err(|error| malformed(&error.to_string()))?;
        if note.room != self.room {
            return Err(malformed("the appeal belongs to another room"));
        }
        let Ok(Saying::Appeal { text }) = note.saying() else {
            return Err(malformed("no appeal"));
        };
        let clock = self.clock.now_ms(now);
        let state = self.log.as_ref().map(crate::log::Log::state);
        let exclusion = state.and_then(|state| state.exclusion(note.author, clock));
        let Some(ban) = exclusion.filter(|exclusion| !exclusion.is_kick) else {
            return Err(refusal(Reason::NoSuchSubject, "only the banned appeal"));
        };
        if seen.get(&note.author) == Some(&ban.entry) {
            return Err(refusal(Reason::Duplicate, "there was an appeal against this ban"));
        }
        let verified: Verified<Note> = signed
            .clone()
            .verify()
            .map_err(|error| malformed(&error.to_string()))?;
        Ok(Appeal {
            author: verified.author,
            ban: ban.entry,
            text,
        })
    }

    /// Forgets appeals against bans that are over, before there are as many as there can be bans.
    fn forget_old_appeals(&mut self, now: Duration) {
        let clock = self.clock.now_ms(now);
        let Some(state) = self.log.as_ref().map(crate::log::Log::state) else {
            return;
        };
        for seen in [&mut self.appeals.passed, &mut self.appeals.heard] {
            if seen.len() >= limits::BANS {
                seen.retain(|person, _| state.exclusion(*person, clock).is_some());
            }
        }
    }
}

/// The appeal that a hello shows.
pub(super) fn shown(hello: &Hello) -> Option<Bytes> {
    let mut extensions = hello.extensions.iter();
    let appeal = extensions.find(|extension| extension.kind == extension::APPEAL)?;
    Some(appeal.body.clone())
}
