//! Whose microphone is open: each person on the stage says so of itself, signed; the newest word holds.
//!
//! It goes up to the chair and comes down to everyone like a line of chat, and is kept while the stay lasts, so that
//! who comes later is told. A mark is for one stay: that of an earlier one counts for nothing.
//!
//! Invariant: at most one mark for each person on the stage.

use alloc::{collections::BTreeMap, format, string::ToString, vec::Vec};
use core::time::Duration;

use crate::{
    media::Tag,
    neighbour::Neighbour,
    person::Person,
    reason::Reason,
    signed::Signed,
    stage::{NOTE_WINDOW_MS, Note, Saying},
    wire::message::{Message, Refusal},
};

use super::{Event, Member, budget::Budget, refusal};

/// Marks of a whole room: one in two seconds, which goes to every member, and a stage full at once. More than that is
/// nobody who speaks.
const ROOM_RATE: u32 = 1;
const ROOM_BURST: u32 = 2 * crate::limits::STAGE as u32;
const COST: u32 = 2;

/// What a member further down takes at once, where those that the chair let pass one by one come together.
const HOP_BURST: u32 = 2 * ROOM_BURST;

/// Least time between two marks of one person, in milliseconds. Who opens and closes faster is shown as it is in the end.
const APART_MS: u64 = 500;

/// How long until a mark is said again that has not come down from the chair.
const AGAIN: Duration = Duration::from_secs(2);

/// What a member knows of microphones.
#[derive(Debug)]
pub(super) struct Mics {
    marks: BTreeMap<Person, Mark>,
    /// Whether the microphone here is open.
    own: bool,
    /// When to say so.
    say: Option<Duration>,
    /// When it was last said.
    said: Option<Duration>,
    /// What everyone in the room may still be sent.
    room: Budget,
}

#[derive(Debug)]
struct Mark {
    tag: Tag,
    at: u64,
    came: u64,
    on: bool,
    note: Signed<Note>,
}

impl Mics {
    pub(super) fn new(now: Duration) -> Self {
        Self {
            marks: BTreeMap::new(),
            own: false,
            say: None,
            said: None,
            room: Budget::new(ROOM_RATE, HOP_BURST, now),
        }
    }

    pub(super) fn due(&self) -> Option<Duration> {
        self.say
    }
}

impl Member {
    /// Whether a person on the stage says that its microphone is open. Nobody who has said nothing.
    #[must_use]
    pub fn microphone(&self, person: Person) -> bool {
        self.mics.marks.get(&person).is_some_and(|mark| mark.on)
    }

    /// The microphone here was opened or closed.
    pub(super) fn handle_microphone(&mut self, on: bool, now: Duration) {
        if self.mics.own != on {
            self.mics.own = on;
            self.say_mic_soon(now);
            self.mics_if_due(now);
        }
    }

    /// What an entry means for the marks: who leaves the stage has none.
    pub(super) fn forget_mic(&mut self, person: Person) {
        self.mics.marks.remove(&person);
    }

    pub(super) fn mics_if_due(&mut self, now: Duration) {
        if self.mics.say.is_none_or(|due| due > now) {
            return;
        }
        self.mics.say = None;
        let (me, on) = (self.config.key.person(), self.mics.own);
        let stay = self.log.as_ref().and_then(|log| log.state().stage().get(&me));
        let Some(tag) = stay.map(|stay| stay.tag).filter(|_| self.microphone(me) != on) else {
            return;
        };
        self.mics.say = Some(now + AGAIN);
        self.mics.said = Some(now);
        if let Ok(note) = self.sign_note(&Saying::Microphone { tag, on }, now) {
            // In vain now, it is said again in time.
            let _ = self.bring_note(note, now);
        }
    }

    /// Begins a stay, in which nothing was said yet.
    pub(super) fn say_mic_soon(&mut self, now: Duration) {
        let after = self.mics.said.map(|said| said + Duration::from_millis(APART_MS));
        self.mics.say = Some(after.map_or(now, |after| after.max(now)));
    }

    /// As the chair, lets a mark pass to everyone.
    pub(super) fn hear_mic(&mut self, signed: &Signed<Note>, now: Duration) -> Result<u32, Refusal> {
        let clock = self.clock.now_ms(now);
        let note = signed
            .peek()
            .map_err(|error| refusal(Reason::Malformed, &error.to_string()))?;
        if note.at.abs_diff(clock) > NOTE_WINDOW_MS {
            return Err(refusal(Reason::Expired, "the mark names another time"));
        }
        let before = self.mics.marks.get(&note.author);
        if before.is_some_and(|mark| clock < mark.came.saturating_add(APART_MS)) {
            return Err(refusal(Reason::TooMany, "slow down"));
        }
        let mark = self.judge_mic(signed, now)?;
        if !self.mics.room.take_above(COST, HOP_BURST - ROOM_BURST, now) {
            return Err(refusal(Reason::TooMany, "too many open and close"));
        }
        self.pass_mic(None, note.author, mark, now);
        Ok(0)
    }

    /// A mark came down.
    pub(super) fn take_mic(&mut self, link: Neighbour, signed: &Signed<Note>, now: Duration) {
        match self.judge_mic(signed, now) {
            Ok(mark) => {
                let author = signed.peek().map(|note| note.author);
                if let Some(author) = author.ok().filter(|_| self.mics.room.take(COST, now)) {
                    self.pass_mic(Some(link), author, mark, now);
                }
            }
            // No honest neighbour passes on what is malformed or forged; all else may have been right where it was.
            Err(why) if why.reason == Reason::Malformed => {
                self.cut(link, Reason::Malformed, "a mark that is none", now);
            }
            Err(_) => {}
        }
    }

    /// Tells a new child whose microphones are open, or were.
    pub(super) fn brief_mics(&mut self, child: Neighbour) {
        let marks: Vec<_> = self.mics.marks.values().map(|mark| mark.note.clone()).collect();
        for note in marks {
            self.send(child, Message::Note(note));
        }
    }

    fn pass_mic(&mut self, from: Option<Neighbour>, person: Person, mark: Mark, now: Duration) {
        let (on, note) = (mark.on, mark.note.clone());
        let is_news = self.microphone(person) != on;
        self.mics.marks.insert(person, mark);
        if is_news {
            self.event(Event::Microphone { person, on });
        }
        if person == self.config.key.person() {
            self.mics.say = None;
            if on != self.mics.own {
                self.say_mic_soon(now);
            }
        }
        self.pass_on(&Message::Note(note), from);
    }

    /// Judges a mark, in the order of cost.
    fn judge_mic(&self, signed: &Signed<Note>, now: Duration) -> Result<Mark, Refusal> {
        let malformed = |text: &str| refusal(Reason::Malformed, text);
        let note = signed.peek().map_err(|error| malformed(&error.to_string()))?;
        if note.room != self.room {
            return Err(malformed("the mark belongs to another room"));
        }
        let Ok(Saying::Microphone { tag, on }) = note.saying() else {
            return Err(malformed("no mark of a microphone"));
        };
        let stage = self.log.as_ref().map(|log| log.state().stage());
        let stay = stage.and_then(|stage| stage.get(&note.author));
        if stay.is_none_or(|stay| stay.tag != tag) {
            let text = "only who is on the stage has a microphone there";
            return Err(refusal(Reason::NoSuchSubject, text));
        }
        let clock = self.clock.now_ms(now);
        if note.at > clock.saturating_add(NOTE_WINDOW_MS) {
            return Err(refusal(Reason::Expired, "the mark names a later time"));
        }
        let before = self.mics.marks.get(&note.author);
        if before.is_some_and(|mark| mark.tag == tag && note.at <= mark.at) {
            return Err(refusal(Reason::Duplicate, &format!("{}", Reason::Duplicate)));
        }
        signed
            .clone()
            .verify()
            .map_err(|error| malformed(&error.to_string()))?;
        Ok(Mark {
            tag,
            at: note.at,
            came: clock,
            on,
            note: signed.clone(),
        })
    }
}
