//! A log that the parent is behind with: what it withholds is asked for elsewhere, and a parent that goes on
//! withholding it is left.
//!
//! Sound tells that there are entries, but a packet that waits for one is not verified yet: it makes a member ask, and
//! accuses nobody. A beacon of the chair that our log names, and an entry of it that came from somewhere else and was
//! checked, show what the parent must bring too; a beacon of anybody else binds the neighbour alone that sent it.

use core::time::Duration;

use crate::{media::Complaint, neighbour::Neighbour, wire::message::Message};

use super::Member;

/// Pause between two requests to one neighbour for the log because sound runs ahead of it. A few a second find an entry
/// before the sound that waits for it is too old; one for each packet would make the neighbour cut us off.
const AHEAD_PAUSE: Duration = Duration::from_millis(200);

/// How long only the parent has been asked when the standby is asked too. A round trip on most paths; more would let what
/// waits for the entry come too late for the audience's delay of 240 ms.
const PARENT_FIRST: Duration = Duration::from_millis(60);

/// How long a parent may bring nothing of what it owes. Entries go down a tree of any depth in less; a parent that is
/// itself behind a liar finds a better one meanwhile.
const WITHHELD_FOR: Duration = Duration::from_secs(2);

/// What was asked because of sound, and what the parent owes.
#[derive(Debug, Default)]
pub(super) struct Withheld {
    /// When the parent was last asked because sound ran ahead.
    parent_asked: Option<Duration>,
    /// The same for the standby.
    standby_asked: Option<Duration>,
    owed: Option<Owed>,
}

#[derive(Debug, Clone, Copy)]
struct Owed {
    by: Neighbour,
    /// The newest entry that it should have brought.
    sequence: u32,
    /// When it is left.
    until: Duration,
}

impl Withheld {
    /// When a parent that owes an entry is left.
    pub(super) fn due(&self) -> Option<Duration> {
        self.owed.map(|owed| owed.until)
    }

    /// Gives the parent so much longer: it was we who were not there.
    pub(super) fn forgive(&mut self, late: Duration) {
        if let Some(owed) = &mut self.owed {
            owed.until += late;
        }
    }
}

impl Member {
    /// Asks the parent for what the speakers know already, and then the standby; but not for every packet that says so.
    pub(super) fn handle_sound_ahead(&mut self, now: Duration) {
        let is_due = |asked: Option<Duration>| asked.is_none_or(|asked| now >= asked + AHEAD_PAUSE);
        if let Some(parent) = self.place().parent()
            && is_due(self.withheld.parent_asked)
        {
            self.withheld.parent_asked = Some(now);
            return self.ask_for_entries(parent, now);
        }
        let had_its_time = |asked: Duration| now >= asked + PARENT_FIRST;
        if let Some(standby) = self.tree.standby()
            && self.withheld.parent_asked.is_none_or(had_its_time)
            && is_due(self.withheld.standby_asked)
        {
            self.withheld.standby_asked = Some(now);
            self.ask_for_entries(standby, now);
        }
    }

    /// The chair's own word, or the parent's, shows that there is an entry: the parent should bring it, soon.
    pub(super) fn expect_entry(&mut self, sequence: u32, now: Duration) {
        let Some(by) = self.place().parent().filter(|_| !self.is_chair()) else {
            return;
        };
        let until = now + WITHHELD_FOR;
        match &mut self.withheld.owed {
            Some(owed) if owed.by == by => owed.sequence = owed.sequence.max(sequence),
            owed => *owed = Some(Owed { by, sequence, until }),
        }
    }

    /// Another than the parent brought an entry first. The parent may have it and need not say so: it is asked.
    pub(super) fn expect_entry_of_parent(&mut self, sequence: u32, now: Duration) {
        self.expect_entry(sequence, now);
        let after = sequence.saturating_sub(1);
        if let Some(parent) = self.place().parent() {
            self.send(parent, Message::EntriesWanted { after });
        }
    }

    /// A neighbour brought entries up to this one, some of which may have been `news`.
    pub(super) fn note_entries_of(&mut self, link: Neighbour, newest: u32, news: bool, now: Duration) {
        let Some(owed) = self.withheld.owed.as_mut().filter(|owed| owed.by == link) else {
            return;
        };
        if newest >= owed.sequence {
            self.withheld.owed = None;
        } else if news {
            // A long log takes its time.
            owed.until = now + WITHHELD_FOR;
        }
    }

    /// Looks at the clock: a parent that still owes what it was given time for is left, if there is another.
    pub(super) fn leave_who_withholds(&mut self, now: Duration) {
        let Some(owed) = self.withheld.owed.as_mut().filter(|owed| owed.until <= now) else {
            return;
        };
        let by = owed.by;
        owed.until = now + WITHHELD_FOR;
        if self.place().parent() != Some(by) {
            self.withheld.owed = None;
            return;
        }
        if let Some(standby) = self.tree.standby() {
            self.ask_for_entries(standby, now);
        }
        self.tree.handle_complaint(by, Complaint::Starved, now);
    }
}
