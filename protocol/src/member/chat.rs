//! The room's chat: lines go up to the chair as their authors signed them, and come down to everyone in its order.
//!
//! Every member that passes a line on judges it again: its signature, that the log lets its author write, that its
//! author does not write too fast, and that all lines together stay within [`ROOM_RATE`].
//!
//! Invariant: whoever floods, from one key or from many, costs no link more than that, and no member more memory than
//! [`Heard`] holds twice.

use alloc::{collections::VecDeque, format, string::ToString, vec::Vec};
use core::time::Duration;

use crate::{
    limits,
    log::Role,
    neighbour::Neighbour,
    person::Person,
    reason::Reason,
    signed::Signed,
    stage::{Heard, Note, Saying},
    text::Text,
    wire::message::{Message, Refusal},
};

use super::{CommandId, Event, Member, budget::Budget, refusal};

/// Bytes of chat a second in a whole room, which goes to every member: a third of what all control may cost one. It is
/// some forty short lines a minute, for as long as people keep that up.
const ROOM_RATE: u32 = 128;

/// Bytes of chat at once: some twenty lines, of a room that greets its guest.
const ROOM_BURST: u32 = 4_096;

/// What of these only those on the stage and those who keep order may use, so that a crowd does not talk over them.
const RESERVED: u32 = ROOM_BURST / 4;

/// What a member further down takes at once: lines that the chair let pass one by one may come together, after a hold-up
/// of as long as the chair's own bucket takes to fill.
const HOP_BURST: u32 = 2 * ROOM_BURST;

/// How much later than the next one a line may come to the chair, in milliseconds. In the long run the times that they
/// name hold their author back.
const SLACK_MS: u64 = 2_000;

/// Bytes around a line of chat in a frame: length, version, kind, the signature and the length of the payload.
const AROUND: usize = 4 + 1 + 2 + 64 + 2;

/// Lines a second that are passed up in all, and at once.
const UP_RATE: u32 = 4;
const UP_BURST: u32 = 16;

/// The part of these that may come from one link: half, whoever floods.
const LINK_RATE: u32 = 2;
const LINK_BURST: u32 = 8;

/// Lines that are kept for a child that comes from a parent it has lost, and for how long: until it must have one again.
const KEPT: usize = 8;
const KEPT_FOR_MS: u64 = 10_000;

/// What a member keeps of the chat.
#[derive(Debug)]
pub(super) struct ChatLife {
    /// What came down, or as the chair what was let pass.
    heard: Heard,
    /// What went up from here.
    passed: Heard,
    /// Bytes that everyone in the room may still be sent.
    room: Budget,
    /// Lines that may still go up from here.
    up: Budget,
    recent: VecDeque<(u64, Signed<Note>)>,
}

/// A line whose signature holds, from somebody who may write it.
struct Line {
    author: Person,
    at: u64,
    nick: Text,
    text: Text,
}

impl ChatLife {
    pub(super) fn new(now: Duration) -> Self {
        Self {
            heard: Heard::default(),
            passed: Heard::default(),
            room: Budget::new(ROOM_RATE, HOP_BURST, now),
            up: Budget::new(UP_RATE, UP_BURST, now),
            recent: VecDeque::new(),
        }
    }

    /// What one link may send up.
    pub(super) fn link_budget(now: Duration) -> Budget {
        Budget::new(LINK_RATE, LINK_BURST, now)
    }
}

impl Member {
    /// The person writes a line.
    pub(super) fn request_chat(
        &mut self,
        command: CommandId,
        text: &str,
        now: Duration,
    ) -> Result<(), Refusal> {
        let text = Text::clean(text);
        if text.is_empty() || text.len() > limits::CHAT {
            return Err(refusal(Reason::Malformed, "a line of chat has 1 to 400 bytes"));
        }
        let (me, clock) = (self.config.key.person(), self.clock.now_ms(now));
        let apart = self.may_chat(me, clock)?;
        if !self.chat.heard.is_apart(me, clock, apart) {
            return Err(too_fast(apart));
        }
        let nick = self.profile.nick.clone();
        let note = self.sign_note(&Saying::Chat { nick, text }, now)?;
        let id = Note::id(&note);
        self.expect_verdict(id, command, now)?;
        if let Err(refusal) = self.bring_note(note, now) {
            self.finish_command(id, Err(refusal));
        }
        Ok(())
    }

    /// Whether a line may go up from this link. The parent judges it too, and so does the chair.
    pub(super) fn check_chat_up(
        &mut self,
        link: Neighbour,
        note: &Signed<Note>,
        now: Duration,
    ) -> Result<(), Refusal> {
        self.check_link(link, now)?;
        let line = self.judge_line(note, &self.chat.passed, false, now)?;
        if !self.chat.up.take(1, now) {
            return Err(refusal(Reason::TooMany, "too many write here: try again"));
        }
        let clock = self.clock.now_ms(now);
        self.chat.passed.note(line.author, line.at, clock);
        Ok(())
    }

    /// As the chair, lets a line pass to everyone.
    pub(super) fn hear_chat(
        &mut self,
        link: Option<Neighbour>,
        note: &Signed<Note>,
        now: Duration,
    ) -> Result<u32, Refusal> {
        if let Some(link) = link {
            self.check_link(link, now)?;
        }
        let line = self.judge_line(note, &self.chat.heard, true, now)?;
        let stands_out = self
            .log
            .as_ref()
            .is_some_and(|log| log.state().role(line.author) >= Role::Speaker);
        // The chair's bucket is the smaller half of the one that it has as any member.
        let reserve = HOP_BURST - ROOM_BURST + if stands_out { 0 } else { RESERVED };
        if !self.chat.room.take_above(size(note), reserve, now) {
            return Err(refusal(
                Reason::TooMany,
                "too many write at once: try again in a moment",
            ));
        }
        self.pass_line(None, note, line, now);
        Ok(0)
    }

    /// Tells a new child what was just written, which it may have missed.
    pub(super) fn brief_chat(&mut self, child: Neighbour, now: Duration) {
        let clock = self.clock.now_ms(now);
        let recent = self.chat.recent.iter();
        let fresh: Vec<_> = recent
            .filter(|(came, _)| came.saturating_add(KEPT_FOR_MS) >= clock)
            .map(|(_, note)| note.clone())
            .collect();
        for note in fresh {
            self.send(child, Message::Note(note));
        }
    }

    /// A line came down.
    pub(super) fn take_chat(&mut self, link: Neighbour, note: &Signed<Note>, now: Duration) {
        match self.judge_line(note, &self.chat.heard, false, now) {
            Ok(line) => {
                if self.chat.room.take(size(note), now) {
                    self.pass_line(Some(link), note, line, now);
                }
            }
            // No honest neighbour passes on what is malformed or forged; all else may have been right where it was.
            Err(why) if why.reason == Reason::Malformed => {
                self.cut(link, Reason::Malformed, "a line of chat that is none", now);
            }
            Err(_) => {}
        }
    }

    /// Shows a line, and sends it to those who do not have it yet.
    fn pass_line(&mut self, from: Option<Neighbour>, note: &Signed<Note>, line: Line, now: Duration) {
        let clock = self.clock.now_ms(now);
        self.chat.heard.note(line.author, line.at, clock);
        if self.chat.recent.len() >= KEPT {
            self.chat.recent.pop_front();
        }
        self.chat.recent.push_back((clock, note.clone()));
        self.event(Event::Chat {
            person: line.author,
            nick: line.nick,
            text: line.text,
        });
        self.pass_on(&Message::Note(note.clone()), from);
    }

    /// Lines come from neighbours on the tree, of whom a member has few, and not from whoever says hello.
    fn check_link(&mut self, link: Neighbour, now: Duration) -> Result<(), Refusal> {
        let is_near = self.place().parent() == Some(link) || self.tree.children().any(|child| child == link);
        if !is_near {
            return Err(refusal(Reason::NotInTheRoom, "take a place in the room first"));
        }
        let of_link = self.links.get_mut(&link);
        let may = of_link.is_some_and(|link| link.chat.take(1, now));
        may.then_some(())
            .ok_or_else(|| refusal(Reason::TooMany, "slow down"))
    }

    /// Judges a line, in the order of cost. All hold its author to the times that its lines name. The chair also to
    /// when they come, but for [`SLACK_MS`]; all others to half of that time, since lines may be held up on their way.
    fn judge_line(
        &self,
        signed: &Signed<Note>,
        heard: &Heard,
        strict: bool,
        now: Duration,
    ) -> Result<Line, Refusal> {
        let malformed = |text: &str| refusal(Reason::Malformed, text);
        let note = signed.peek().map_err(|error| malformed(&error.to_string()))?;
        if note.room != self.room {
            return Err(malformed("the line belongs to another room"));
        }
        let Ok(Saying::Chat { nick, text }) = note.saying() else {
            return Err(malformed("no line of chat"));
        };
        let clock = self.clock.now_ms(now);
        let apart = self.may_chat(note.author, clock)?;
        let slack = if strict {
            SLACK_MS.min(apart / 2)
        } else {
            apart / 2
        };
        let in_time = apart - slack;
        heard
            .check(note.author, note.at, clock, in_time)
            .map_err(|reason| match reason {
                Reason::TooMany => too_fast(apart),
                reason => refusal(reason, &format!("{reason}")),
            })?;
        if !heard.is_apart(note.author, note.at, apart) {
            return Err(too_fast(apart));
        }
        signed
            .clone()
            .verify()
            .map_err(|error| malformed(&error.to_string()))?;
        Ok(Line {
            author: note.author,
            at: note.at,
            nick,
            text,
        })
    }

    /// Whether a person may write now, and how far apart its lines must lie, in milliseconds.
    fn may_chat(&self, person: Person, clock: u64) -> Result<u64, Refusal> {
        let Some(log) = &self.log else {
            return Err(refusal(Reason::NotInTheRoom, "not in the room yet"));
        };
        log.state().check_chat(person, clock).map_err(|reason| {
            let text = match reason {
                Reason::NotAllowed => "this room does not let you write in its chat now".to_string(),
                reason => format!("{reason}"),
            };
            refusal(reason, &text)
        })
    }
}

fn size(note: &Signed<Note>) -> u32 {
    u32::try_from(note.payload().len() + AROUND).unwrap_or(u32::MAX)
}

fn too_fast(apart_ms: u64) -> Refusal {
    let text = match apart_ms / 1_000 {
        1 => "one line a second: wait a moment".to_string(),
        seconds => format!("slow mode: one line in {seconds} s"),
    };
    refusal(Reason::TooMany, &text)
}
