//! What a room lets whom do, beside what roles allow: it begins with the policy of the genesis, and entries change it.

use alloc::{collections::BTreeSet, vec::Vec};

use serde::{Deserialize, Serialize};

use crate::{
    limits,
    log::action::Act,
    person::Person,
    reason::Reason,
    room::{Chat, Hands, Policy},
    text::Text,
};

/// How long after the door was shut the chair may still sign passes, in milliseconds of room clock: for those who came in
/// the moment before, eight hops below it.
pub const LOCK_GRACE_MS: u64 = 10_000;

/// What the guest list is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum GuestList {
    /// Nothing.
    Off,
    /// Only listed people come in.
    Enter,
    /// Only listed people come onto the stage.
    Speak,
}

/// The rules as they stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    hands: Hands,
    /// Room clock in milliseconds at which the room was locked.
    locked: Option<u64>,
    /// Room clock in milliseconds at which the room was closed to all but the guest list.
    listed: Option<u64>,
    guests: BTreeSet<Person>,
    guest_list: GuestList,
    speakers: u8,
    chat: Chat,
    slow_mode_s: u16,
    speaking_time: Option<SpeakingTime>,
    pins: Vec<Text>,
    is_recorded: bool,
}

/// For how long a speaker stays on the stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpeakingTime {
    /// In seconds.
    pub seconds: u16,
    /// Room clock in milliseconds when it was set: nobody's time is counted from before.
    pub since: u64,
}

impl Rules {
    pub(super) fn new(policy: &Policy) -> Self {
        Self {
            hands: policy.hands,
            locked: None,
            listed: None,
            guests: BTreeSet::new(),
            guest_list: GuestList::Off,
            speakers: limits::STAGE as u8,
            chat: policy.chat,
            slow_mode_s: 0,
            speaking_time: None,
            pins: Vec::new(),
            is_recorded: false,
        }
    }

    /// Who may raise a hand.
    #[must_use]
    pub fn hands(&self) -> Hands {
        self.hands
    }

    /// Room clock in milliseconds at which the room was locked; none for a room that is open.
    #[must_use]
    pub fn locked(&self) -> Option<u64> {
        self.locked
    }

    /// The guest list.
    #[must_use]
    pub fn guests(&self) -> &BTreeSet<Person> {
        &self.guests
    }

    /// What it is for.
    #[must_use]
    pub fn guest_list(&self) -> GuestList {
        self.guest_list
    }

    /// Most people on the stage.
    #[must_use]
    pub fn speakers(&self) -> u8 {
        self.speakers
    }

    /// Who may write in the chat.
    #[must_use]
    pub fn chat(&self) -> Chat {
        self.chat
    }

    /// How far apart the lines of one person must lie in the chat, in seconds; 0 for no slow mode.
    #[must_use]
    pub fn slow_mode_s(&self) -> u16 {
        self.slow_mode_s
    }

    /// For how long a speaker stays on the stage; none for as long as they like.
    #[must_use]
    pub fn speaking_time(&self) -> Option<SpeakingTime> {
        self.speaking_time
    }

    /// Pinned links, the first one first.
    #[must_use]
    pub fn pins(&self) -> &[Text] {
        &self.pins
    }

    /// Whether the host records the room.
    #[must_use]
    pub fn is_recorded(&self) -> bool {
        self.is_recorded
    }

    /// Whether hands may be raised.
    pub(super) fn check_hand(&self) -> Result<(), Reason> {
        match self.hands {
            Hands::Anyone => Ok(()),
            Hands::Nobody => Err(Reason::NotAllowed),
        }
    }

    /// Whether a person whom the log does not name may come in, with a pass of this time or none.
    pub(crate) fn check_entry(&self, person: Person, issued: Option<u64>) -> Result<(), Reason> {
        if self.guests.contains(&person) {
            return Ok(());
        }
        let is_late = |shut: u64| issued.is_none_or(|at| at > shut.saturating_add(LOCK_GRACE_MS));
        if self.listed.is_some_and(is_late) {
            return Err(Reason::NotListed);
        }
        if self.locked.is_some_and(is_late) {
            return Err(Reason::Locked);
        }
        Ok(())
    }

    /// Whether a person without an office may come onto the stage.
    pub(super) fn check_stage(&self, person: Person) -> Result<(), Reason> {
        if self.guest_list == GuestList::Speak && !self.guests.contains(&person) {
            Err(Reason::NotListed)
        } else {
            Ok(())
        }
    }

    /// Whether the chair may still sign a pass at this clock for someone whom the log does not name.
    pub(super) fn gives_passes(&self, clock: u64) -> bool {
        let mut shut = [self.locked, self.listed].into_iter().flatten();
        shut.all(|shut| clock <= shut.saturating_add(LOCK_GRACE_MS))
    }

    /// Whether an act would make the rules others.
    pub(super) fn would_change(&self, act: &Act) -> bool {
        match act {
            Act::Hands { who } => *who != self.hands,
            Act::Lock => self.locked.is_none(),
            Act::Unlock => self.locked.is_some(),
            Act::Guest { subject } => !self.guests.contains(subject),
            Act::Unguest { subject } => self.guests.contains(subject),
            Act::GuestList { list } => *list != self.guest_list,
            Act::Speakers { most } => *most != self.speakers,
            Act::Chat { who } => *who != self.chat,
            Act::SlowMode { seconds } => *seconds != self.slow_mode_s,
            Act::SpeakingTime { seconds } => *seconds != self.speaking_time.map_or(0, |time| time.seconds),
            Act::Pin { link } => !self.pins.contains(link),
            Act::Unpin { link } => self.pins.contains(link),
            Act::Record { on } => *on != self.is_recorded,
            _ => false,
        }
    }

    pub(super) fn apply(&mut self, act: &Act, clock: u64) {
        match act {
            Act::Hands { who } => self.hands = *who,
            Act::Lock => self.locked = Some(clock),
            Act::Unlock => self.locked = None,
            Act::Guest { subject } => _ = self.guests.insert(*subject),
            Act::Unguest { subject } => _ = self.guests.remove(subject),
            Act::GuestList { list } => {
                self.guest_list = *list;
                self.listed = (*list == GuestList::Enter).then_some(clock);
            }
            Act::Speakers { most } => self.speakers = *most,
            Act::Chat { who } => self.chat = *who,
            Act::SlowMode { seconds } => self.slow_mode_s = *seconds,
            Act::SpeakingTime { seconds } => {
                let time = SpeakingTime {
                    seconds: *seconds,
                    since: clock,
                };
                self.speaking_time = Some(time).filter(|time| time.seconds > 0);
            }
            Act::Pin { link } => self.pins.push(link.clone()),
            Act::Unpin { link } => self.pins.retain(|pin| pin != link),
            Act::Record { on } => self.is_recorded = *on,
            _ => {}
        }
    }
}
