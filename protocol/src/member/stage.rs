//! Notes on their way up to the chair, and what the chair makes of them on its way down: the queue of raised hands, and
//! the notes that are for everyone ([`super::chat`], [`super::mics`], [`super::appeals`]).
//!
//! Invariant: a note that passes here costs the chair no more than a request does, whoever floods it from below; and
//! nothing that came down is passed on before its signature was checked.

use alloc::{format, string::ToString};
use core::time::Duration;

use bytes::Bytes;

use crate::{
    limits,
    log::{ActionId, Change, Log},
    neighbour::Neighbour,
    person::Person,
    reason::Reason,
    signed::{Signed, Verified},
    stage::{HAND_LAPSE_MS, HAND_REFRESH_MS, HandList, Hands, Heard, Note, Saying, kind},
    text::Text,
    wire::message::{Message, Outcome, Refusal, Verdict},
};

use super::{CommandId, Event, Member, budget::Budget, refusal, shares::Shares};

/// Hands a second that are passed up in all, and as many saved up as [`BURST`].
const RATE: u32 = 8;

/// Notes passed up at once.
const BURST: u32 = 32;

/// The part of these that may come from one link: whoever floods leaves more than half to others.
const LINK_RATE: u32 = 3;

/// At once from one link: a crowd below a relay that raises its hands at one question.
const LINK_BURST: u32 = 12;

/// Hands that a relay passes up from one link at a time: a quarter of the queue, so that nobody below it fills the whole
/// in other names. A crowd of hundreds below one link has as many to choose from.
const LINK_HANDS: usize = limits::HANDS / 4;

/// Least time between two lists of the chair. Each goes to every member of the room.
const LIST_INTERVAL: Duration = Duration::from_millis(500);

/// How often the chair says again who waits, while anybody does: for those to whom its last list came before the entries
/// that make it the chair.
const LIST_AGAIN: Duration = Duration::from_secs(10);

/// How long after the history of its queue was given up a hand is raised again: until those above have followed too.
const RAISE_AGAIN: Duration = Duration::from_secs(2);

/// How often the chair looks for hands that nobody holds up.
const LAPSE_INTERVAL: Duration = Duration::from_secs(5);

/// Least time between two raisings of one hand, in milliseconds.
const HAND_APART_MS: u64 = 1_000;

/// What a member keeps of what is said beside the sound.
#[derive(Debug)]
pub(super) struct StageLife {
    hands: Hands,
    heard: Heard,
    /// The time of the newest note that this member has signed.
    last_at: u64,
    /// When to hold up one's own hand again, while it is up.
    hold_up: Option<Duration>,
    /// When the chair may sign the next list.
    list_after: Duration,
    /// When the chair looks for hands that nobody holds up.
    lapse_after: Duration,
    passed_up: Budget,
    /// On which links the hands came that are up, as far as this member heard of it.
    shares: Shares,
}

impl StageLife {
    pub(super) fn new(now: Duration) -> Self {
        Self {
            hands: Hands::default(),
            heard: Heard::default(),
            last_at: 0,
            hold_up: None,
            list_after: now,
            lapse_after: now,
            passed_up: Budget::new(RATE, BURST, now),
            shares: Shares::default(),
        }
    }

    /// This member takes the chair.
    pub(super) fn begin_chairing(&mut self) {
        self.hands.begin();
        self.shares.retain(|_| false);
    }

    /// The chair has refused a note that was passed up.
    pub(super) fn note_refused(&mut self, note: ActionId) {
        self.shares.refused(note);
    }

    /// What one link may send up.
    pub(super) fn link_budget(now: Duration) -> Budget {
        Budget::new(LINK_RATE, LINK_BURST, now)
    }
}

/// What a note about a hand says.
struct Hand {
    raised: bool,
    nick: Text,
    pass: Bytes,
}

impl Member {
    /// Raised hands, the one that waits longest first.
    #[must_use]
    pub fn hands(&self) -> &[crate::stage::Hand] {
        self.stage_life.hands.queue()
    }

    /// The person raises or lowers its own hand.
    pub(super) fn request_hand(
        &mut self,
        command: CommandId,
        raised: bool,
        now: Duration,
    ) -> Result<(), Refusal> {
        let me = self.config.key.person();
        let holds_up = !raised && self.stage_life.hold_up.is_some();
        if (holds_up || self.stage_life.hands.place(me).is_some()) == raised {
            let text = if raised {
                "your hand is up already"
            } else {
                "your hand is not up"
            };
            return Err(refusal(Reason::NoSuchSubject, text));
        }
        if raised {
            self.check_hand(me, now)?;
        } else {
            self.stage_life.hold_up = None;
        }
        let note = self.sign_hand(raised, now)?;
        let id = Note::id(&note);
        self.expect_verdict(id, command, now)?;
        if let Err(refusal) = self.bring_note(note, now) {
            self.finish_command(id, Err(refusal));
        }
        Ok(())
    }

    /// The person lowers the hand of another, or its own.
    pub(super) fn request_lower(
        &mut self,
        command: CommandId,
        person: Person,
        now: Duration,
    ) -> Result<(), Refusal> {
        if person == self.config.key.person() {
            return self.request_hand(command, false, now);
        }
        self.check_lower(self.config.key.person(), person, now)?;
        let note = self.sign_note(&Saying::Lower { person }, now)?;
        let id = Note::id(&note);
        self.expect_verdict(id, command, now)?;
        if let Err(refusal) = self.bring_note(note, now) {
            self.finish_command(id, Err(refusal));
        }
        Ok(())
    }

    /// Lowers this person's hand because it leaves.
    pub(super) fn lower_own_hand(&mut self, now: Duration) {
        let is_up = self.stage_life.hands.place(self.config.key.person()).is_some();
        if let Some(note) = is_up.then(|| self.sign_hand(false, now).ok()).flatten() {
            // Who leaves has nobody to tell that it was in vain; the hand goes down by itself.
            let _ = self.bring_note(note, now);
        }
    }

    /// A note on its way to the chair, or one for everyone on its way from there.
    pub(super) fn handle_note(&mut self, link: Neighbour, note: Signed<Note>, now: Duration) {
        let kind = note.peek().map(|note| note.kind);
        let is_for_the_chair = matches!(kind, Ok(kind::HAND | kind::LOWER));
        if self.way_to_chair() == Some(link) && !self.is_chair() && !is_for_the_chair {
            return self.take_note(link, &note, now);
        }
        let id = Note::id(&note);
        if !self.is_on_tree(link) {
            let outcome = Outcome::Refused(refusal(Reason::NotInTheRoom, "take a place first"));
            return self.send(link, Message::Verdict(Verdict { action: id, outcome }));
        }
        let outcome = if self.is_chair() {
            match self.hear_note(Some(link), &note, now) {
                Ok(place) => Outcome::Appended { sequence: place },
                Err(refusal) => Outcome::Refused(refusal),
            }
        } else {
            match self.pass_up(link, note, now) {
                Ok(()) => return,
                Err(refusal) => Outcome::Refused(refusal),
            }
        };
        self.send(link, Message::Verdict(Verdict { action: id, outcome }));
    }

    /// Something for everyone came down.
    fn take_note(&mut self, link: Neighbour, note: &Signed<Note>, now: Duration) {
        match note.peek().map(|note| note.kind) {
            Ok(kind::CHAT) => self.take_chat(link, note, now),
            Ok(kind::MICROPHONE) => self.take_mic(link, note, now),
            Ok(kind::APPEAL) => self.take_appeal(link, note, now),
            // Of a later version.
            _ => {}
        }
    }

    /// The queue as the chair has signed it.
    pub(super) fn handle_hand_list(&mut self, link: Neighbour, signed: Signed<HandList>, now: Duration) {
        let Some(chair) = self.log.as_ref().map(|log| (log.state().chair(), log.term())) else {
            return;
        };
        if self.is_chair() || self.way_to_chair() != Some(link) {
            return;
        }
        match self.stage_life.hands.check(signed, self.room, chair) {
            Ok(Some(list)) => self.take_hand_list(Some(link), list, now),
            Ok(None) => {}
            Err(error) => self.cut(link, Reason::Malformed, &error.to_string(), now),
        }
    }

    /// What an entry means for the hands: the chair lowers those that are answered, and those of people who were put out.
    pub(super) fn follow_stage(&mut self, change: &Change, now: Duration) {
        if !self.is_chair() {
            return;
        }
        match change {
            Change::Granted { person, .. } | Change::Expelled { person } => {
                self.stage_life.hands.lower(|who| who == *person);
            }
            Change::Rules => {
                let closed = self
                    .log
                    .as_ref()
                    .is_some_and(|log| log.state().rules().hands() == crate::room::Hands::Nobody);
                if closed {
                    self.stage_life.hands.lower(|_| true);
                }
            }
            Change::Ended => return,
            _ => {}
        }
        self.tell_hands_if_due(now);
    }

    /// Drops the queue of a history that was given up. Whoever still asks for the word raises the hand again.
    pub(super) fn forget_hands(&mut self, now: Duration) {
        let me = self.config.key.person();
        let life = &mut self.stage_life;
        let is_up = life.hold_up.is_some() || life.hands.place(me).is_some();
        life.hold_up = is_up.then(|| now + RAISE_AGAIN);
        life.shares.retain(|_| false);
        for (hand, raised) in self.stage_life.hands.forget() {
            let (person, nick) = (hand.person, hand.nick);
            self.event(Event::Hand { person, nick, raised });
        }
    }

    /// Tells a new child who waits.
    pub(super) fn brief_hands(&mut self, child: Neighbour) {
        if let Some(list) = self.stage_life.hands.list() {
            let list = list.signed().clone();
            self.send(child, Message::Hands(list));
        }
    }

    /// When something here is due.
    pub(super) fn stage_due(&self) -> Option<Duration> {
        let life = &self.stage_life;
        let is_chair = self.is_chair();
        let tell = self.list_due();
        let lapse = (is_chair && !life.hands.queue().is_empty()).then_some(life.lapse_after);
        [tell, lapse, life.hold_up].into_iter().flatten().min()
    }

    pub(super) fn stage_if_due(&mut self, now: Duration) {
        if self.stage_life.hold_up.is_some_and(|due| due <= now) {
            self.hold_up(now);
        }
        if self.is_chair() && self.stage_life.lapse_after <= now {
            self.stage_life.lapse_after = now + LAPSE_INTERVAL;
            let clock = self.clock.now_ms(now);
            self.stage_life.hands.lapse(clock);
            self.keep_shares();
        }
        self.tell_hands_if_due(now);
    }

    /// Holds up this person's own hand, if it may be up.
    fn hold_up(&mut self, now: Duration) {
        let me = self.config.key.person();
        let may = self.check_hand(me, now).is_ok();
        // Whoever declines an invitation still has it up.
        let state = self.log.as_ref().map(Log::state);
        let is_invited = state.is_some_and(|state| state.invited().contains_key(&me));
        let goes_on = may || is_invited;
        self.stage_life.hold_up = goes_on.then(|| now + Duration::from_millis(HAND_REFRESH_MS));
        if let Some(note) = may.then(|| self.sign_hand(true, now).ok()).flatten() {
            // In vain now, it is held up again in time.
            let _ = self.bring_note(note, now);
        }
    }

    /// When the chair signs the next list: soon after the queue has changed, and again while anybody waits.
    fn list_due(&self) -> Option<Duration> {
        let (log, life) = (self.log.as_ref().filter(|_| self.is_chair())?, &self.stage_life);
        if life.hands.is_news(log.state().chair(), log.term()) {
            return Some(life.list_after);
        }
        let waits = !life.hands.queue().is_empty();
        waits.then(|| life.list_after + LIST_AGAIN)
    }

    /// What is kept of hands that went down is forgotten.
    fn keep_shares(&mut self) {
        let StageLife { shares, hands, .. } = &mut self.stage_life;
        shares.retain(|person| hands.place(person).is_some());
    }

    /// Makes a place in the full queue for one more hand from a link that has fewer than another.
    fn make_place(&mut self, link: Option<Neighbour>) {
        self.keep_shares();
        if self.stage_life.hands.queue().len() < limits::HANDS {
            return;
        }
        if let Some(out) = self.stage_life.shares.yields(link) {
            self.stage_life.hands.lower(|who| who == out);
            self.keep_shares();
        }
    }

    /// Whether one more hand from this link may be passed up: it has a part of the queue and leaves the others theirs.
    fn share_way_up(&mut self, link: Neighbour, note: &Signed<Note>, now: Duration) -> Result<(), Refusal> {
        let said = note.peek().ok().map(|note| (note.author, note.saying()));
        let Some((author, Ok(Saying::Hand { raised, .. }))) = said else {
            return Ok(());
        };
        let shares = &mut self.stage_life.shares;
        if !raised {
            shares.lowered(author, link);
            return Ok(());
        }
        shares.lapse(now.saturating_sub(Duration::from_millis(HAND_LAPSE_MS)));
        if !shares.knows(author) && shares.of(Some(link)) >= LINK_HANDS {
            return Err(refusal(Reason::Full, "too many hands are up: try again later"));
        }
        shares.note(author, Some(link), Note::id(note), now);
        Ok(())
    }

    /// Whether a person may raise a hand now.
    fn check_hand(&self, person: Person, now: Duration) -> Result<(), Refusal> {
        let Some(log) = &self.log else {
            return Err(refusal(Reason::NotInTheRoom, "not in the room yet"));
        };
        let clock = self.clock.now_ms(now);
        log.state().check_hand(person, clock).map_err(|reason| {
            let text = match reason {
                Reason::NoSuchSubject => "who is on the stage or invited to it needs no hand".to_string(),
                Reason::NotAllowed => "no hands may be raised in this room now".to_string(),
                reason => format!("{reason}"),
            };
            refusal(reason, &text)
        })
    }

    fn sign_hand(&mut self, raised: bool, now: Duration) -> Result<Signed<Note>, Refusal> {
        let nick = self.profile.nick.clone();
        let is_shut = raised && self.shut_out(self.config.key.person(), None).is_some();
        let shown = self.pass().filter(|_| is_shut);
        let pass = shown.unwrap_or_default();
        self.sign_note(&Saying::Hand { raised, nick, pass }, now)
    }

    pub(super) fn sign_note(&mut self, saying: &Saying, now: Duration) -> Result<Signed<Note>, Refusal> {
        let me = self.config.key.person();
        let after = self.stage_life.last_at.saturating_add(1);
        let at = self.clock.now_ms(now).max(after);
        let note = Verified::sign(Note::new(self.room, me, at, saying), &self.config.key)
            .map_err(|error| refusal(Reason::Malformed, &format!("{error}")))?;
        self.stage_life.last_at = at;
        Ok(note.signed().clone())
    }

    /// Brings a note of this member's own to the chair.
    pub(super) fn bring_note(&mut self, note: Signed<Note>, now: Duration) -> Result<(), Refusal> {
        if self.is_chair() {
            let id = Note::id(&note);
            let place = self.hear_note(None, &note, now)?;
            self.finish_command(id, Ok(place));
            return Ok(());
        }
        let Some(way) = self.way_to_chair() else {
            return Err(refusal(
                Reason::NotInTheRoom,
                "no way to the chair now: try again",
            ));
        };
        self.send(way, Message::Note(note));
        Ok(())
    }

    /// Passes the note of somebody below on towards the chair.
    fn pass_up(&mut self, link: Neighbour, note: Signed<Note>, now: Duration) -> Result<(), Refusal> {
        let way = self.way_to_chair().filter(|way| *way != link);
        let Some(way) = way else {
            return Err(refusal(Reason::NotTheChair, "no way to the chair from here now"));
        };
        match note.peek().map(|note| note.kind) {
            Ok(kind::CHAT) => self.check_chat_up(link, &note, now)?,
            Ok(kind::APPEAL) => self.check_appeal_up(&note, now)?,
            _ => self.check_hand_up(link, now)?,
        }
        self.share_way_up(link, &note, now)?;
        self.relayed.note(Note::id(&note), link);
        self.send(way, Message::Note(note));
        Ok(())
    }

    /// Whether one more hand may go up from this link.
    fn check_hand_up(&mut self, link: Neighbour, now: Duration) -> Result<(), Refusal> {
        let of_link = self.links.get_mut(&link);
        let may =
            of_link.is_some_and(|link| link.notes.take(1, now)) && self.stage_life.passed_up.take(1, now);
        may.then_some(())
            .ok_or_else(|| refusal(Reason::TooMany, "slow down"))
    }

    /// Judges a note, as the chair; where its author stands in the queue of hands by it, 0 for nowhere.
    fn hear_note(
        &mut self,
        link: Option<Neighbour>,
        signed: &Signed<Note>,
        now: Duration,
    ) -> Result<u32, Refusal> {
        let malformed = |text: &str| refusal(Reason::Malformed, text);
        let note = signed.peek().map_err(|error| malformed(&error.to_string()))?;
        if note.room != self.room {
            return Err(refusal(Reason::UnknownRoom, "the note belongs to another room"));
        }
        match note.saying().map_err(|error| malformed(&error.to_string()))? {
            Saying::Hand { raised, nick, pass } => {
                self.hear_hand(link, signed, &note, Hand { raised, nick, pass }, now)
            }
            Saying::Chat { .. } => self.hear_chat(link, signed, now),
            Saying::Microphone { .. } => self.hear_mic(signed, now),
            Saying::Appeal { .. } => self.hear_appeal(signed, now),
            Saying::Lower { person } => self.hear_lower(signed, &note, person, now),
            Saying::Unknown { .. } => Err(refusal(
                Reason::Unsupported,
                "the chair does not know this kind of note",
            )),
        }
    }

    fn hear_hand(
        &mut self,
        link: Option<Neighbour>,
        signed: &Signed<Note>,
        note: &Note,
        hand: Hand,
        now: Duration,
    ) -> Result<u32, Refusal> {
        let Hand { raised, nick, pass } = hand;
        let clock = self.clock.now_ms(now);
        let is_up = self.stage_life.hands.place(note.author).is_some();
        // Lowering is always welcome, and so is holding up.
        let apart = if raised && !is_up { HAND_APART_MS } else { 0 };
        self.stage_life
            .heard
            .check(note.author, note.at, clock, apart)
            .map_err(|reason| refusal(reason, &format!("{reason}")))?;
        if raised {
            self.check_hand(note.author, now)?;
            if self.stage_life.hands.was_put_down(note.author, clock) {
                let text = "your hand was lowered a moment ago: wait a little";
                return Err(refusal(Reason::TooMany, text));
            }
            // Who would not be let in is not in the room, or can prove it to nobody.
            if let Some(reason) = self.shut_out(note.author, Some(&pass)) {
                return Err(refusal(reason, &format!("{reason}")));
            }
        }
        signed
            .clone()
            .verify()
            .map_err(|error| refusal(Reason::Malformed, &error.to_string()))?;
        self.stage_life.heard.note(note.author, note.at, clock);
        let place = if raised {
            if !is_up {
                self.make_place(link);
            }
            let raised = self.stage_life.hands.raise(note.author, nick, clock);
            let full = |reason| refusal(reason, "too many hands are up: try again later");
            let place = raised.map_err(full)?;
            let id = Note::id(signed);
            self.stage_life.shares.note(note.author, link, id, now);
            place
        } else {
            self.stage_life.hands.lower(|who| who == note.author);
            0
        };
        self.tell_hands_if_due(now);
        Ok(u32::try_from(place).unwrap_or(u32::MAX))
    }

    /// Judges, as the chair, that somebody lowers the hand of another.
    fn hear_lower(
        &mut self,
        signed: &Signed<Note>,
        note: &Note,
        person: Person,
        now: Duration,
    ) -> Result<u32, Refusal> {
        let clock = self.clock.now_ms(now);
        let heard = self.stage_life.heard.check(note.author, note.at, clock, 0);
        heard.map_err(|reason| refusal(reason, &format!("{reason}")))?;
        self.check_lower(note.author, person, now)?;
        let verified = signed.clone().verify();
        verified.map_err(|error| refusal(Reason::Malformed, &error.to_string()))?;
        self.stage_life.heard.note(note.author, note.at, clock);
        self.stage_life.hands.put_down(person, clock);
        self.keep_shares();
        self.tell_hands_if_due(now);
        Ok(0)
    }

    /// Whether one person may lower the hand of another now, and it is up.
    fn check_lower(&self, by: Person, of: Person, now: Duration) -> Result<(), Refusal> {
        let Some(log) = &self.log else {
            return Err(refusal(Reason::NotInTheRoom, "not in the room yet"));
        };
        log.state()
            .check_lower(by, of, self.clock.now_ms(now))
            .map_err(|reason| refusal(reason, &format!("{reason}")))?;
        if self.stage_life.hands.place(of).is_none() {
            return Err(refusal(Reason::NoSuchSubject, "that hand is not up"));
        }
        Ok(())
    }

    /// Signs the queue anew and sends it down, when it changed and the last list is old enough.
    fn tell_hands_if_due(&mut self, now: Duration) {
        let Some(log) = &self.log else { return };
        let life = &self.stage_life;
        if self.list_due().is_none_or(|due| due > now) {
            return;
        }
        let list = life.hands.next_list(self.room, log.state().chair(), log.term());
        self.stage_life.list_after = now + LIST_INTERVAL;
        if let Ok(list) = Verified::sign(list, &self.config.key) {
            self.take_hand_list(None, list, now);
        }
    }

    /// Follows a list, tells what changed, and passes it on.
    fn take_hand_list(&mut self, link: Option<Neighbour>, list: Verified<HandList>, now: Duration) {
        let me = self.config.key.person();
        let signed = list.signed().clone();
        let mut is_down = false;
        for (hand, raised) in self.stage_life.hands.take(list) {
            is_down |= hand.person == me && !raised;
            let (person, nick) = (hand.person, hand.nick);
            self.event(Event::Hand { person, nick, raised });
        }
        self.stage_life.hold_up = match (self.stage_life.hands.place(me), self.stage_life.hold_up) {
            (Some(_), None) => Some(now + Duration::from_millis(HAND_REFRESH_MS)),
            (None, _) if is_down => None,
            // Up, or not yet again.
            (_, due) => due,
        };
        self.pass_on(&Message::Hands(signed), link);
    }

    /// Remembers who waits for the chair's answer to a note.
    pub(super) fn expect_verdict(
        &mut self,
        id: ActionId,
        command: CommandId,
        now: Duration,
    ) -> Result<(), Refusal> {
        self.expect(id, super::command::Pending::of_note(command, now))
    }
}
