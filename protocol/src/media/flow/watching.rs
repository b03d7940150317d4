//! How a flow looks at the clock: who is silent, what is overdue, and what is to be said about it.

use core::time::Duration;

use super::{Flow, Plight, Receiver, Role, Signal, Wake};
use crate::{
    media::{
        stream::{LAG, Stream},
        watch::{Complaint, STARVED_FOR},
    },
    wire::repair::Report,
};

/// How long the parent may lag so far: a stall passes, a path that is too slow does not.
const LAGGING_FOR: Duration = Duration::from_secs(2);

/// When the first pull of an alarm is repeated: it may be lost, and the audience's delay leaves no time to find out. Its
/// receiver answers nothing twice so soon.
const ALARM_TWICE: Duration = Duration::from_millis(20);

/// How often the pulls of an alarm are renewed. A live pull lasts more than twice as long.
const ALARM_AGAIN: Duration = Duration::from_millis(200);

/// The longest delay that repair may ask the audience for.
const DELAY_MOST: Duration = Duration::from_millis(500);

/// The least. A dead relay is suspected after 120 ms; the rest is the pull.
const DELAY_LEAST: Duration = Duration::from_millis(240);

impl Flow {
    /// How long the audience should hold sound back, so that a relay's death is repaired before it is heard: suspicion,
    /// two round trips to the standby, and a margin.
    #[must_use]
    pub fn delay_floor(&self) -> Duration {
        let rtt = self.standby().and_then(|link| self.rtts.get(&link));
        let suspicion_and_margin = Duration::from_millis(120 + 40);
        rtt.map_or(DELAY_LEAST, |rtt| {
            rtt.saturating_mul(2)
                .saturating_add(suspicion_and_margin)
                .clamp(DELAY_LEAST, DELAY_MOST)
        })
    }

    /// The earliest of all that is to be done.
    pub(super) fn due(&self) -> Option<(Duration, Wake)> {
        let alarm = self.is_alarming().then(|| {
            // One that has just begun is due at once.
            (self.alarm.unwrap_or(Duration::ZERO), Wake::Alarm)
        });
        let parent = self.parent.as_ref().map(|parent| (parent.due(), Wake::Parent));
        let standby = self
            .standby
            .as_ref()
            .map(|standby| (standby.due(), Wake::Standby));
        let starved = self
            .starved_since
            .map(|since| (since.saturating_add(STARVED_FOR), Wake::Starved));
        // The root is owed nothing by anyone that it could replace.
        let is_owed = self.joined.is_some();
        let streams = self.streams.values().flat_map(|stream| {
            let missing = stream.gaps.due().map(|due| (due, Wake::Missing));
            let owed = stream.owed_due().filter(|_| is_owed);
            let owed = owed.map(|due| (due, Wake::Overdue));
            let expiry = stream.ring.expiry().map(|due| (due, Wake::Expiry));
            [missing, owed, expiry].into_iter().flatten()
        });
        [alarm, parent, standby, starved]
            .into_iter()
            .flatten()
            .chain(streams)
            .chain(self.telling_due())
            .min()
    }

    /// Takes back so much of everybody's silence: our own driver was late.
    pub(super) fn forgive(&mut self, late: Duration, now: Duration) {
        if let Some(parent) = &mut self.parent {
            parent.forgive(late, now);
        }
        if let Some(standby) = &mut self.standby {
            standby.forgive(late, now);
        }
        for stream in self.streams.values_mut() {
            stream.forgive(late, now);
        }
    }

    pub(super) fn watch_parent(&mut self, now: Duration) {
        let Some(parent) = &mut self.parent else {
            return;
        };
        let link = parent.link;
        if parent.handle_timeout(now) {
            let why = Complaint::Silent;
            self.signal(Signal::Parting { link, why });
        }
    }

    pub(super) fn watch_standby(&mut self, now: Duration) {
        if let Some(standby) = &mut self.standby {
            let link = standby.link;
            if standby.handle_timeout(now) {
                self.signal(Signal::StandbySilent { link });
            }
        }
    }

    /// Finds what is overdue, gives up what is past playing, and forgets what is past keeping.
    pub(super) fn watch_streams(&mut self, now: Duration) {
        let mut lost = 0;
        for stream in self.streams.values_mut() {
            stream.handle_timeout(now);
            let given_up = stream.gaps.give_up(now);
            if !stream.is_own() && !stream.by_source {
                lost += given_up;
            }
        }
        if lost > 0 {
            self.note_quality(lost, lost, now);
        }
    }

    pub(super) fn watch_starvation(&mut self, now: Duration) {
        self.note_starvation(now);
        let is_long = |since: &Duration| now >= since.saturating_add(STARVED_FOR);
        if let (Some(link), Some(_)) = (self.parent(), self.starved_since.filter(is_long)) {
            self.starved_since = Some(now);
            let why = Complaint::Starved;
            self.signal(Signal::Parting { link, why });
        }
    }

    /// Notes since when the parent is alive and does not bring what it should.
    pub(super) fn note_starvation(&mut self, now: Duration) {
        let is_overdue = || self.streams.values().any(Stream::is_overdue);
        let starves = self
            .parent
            .as_ref()
            .is_some_and(|parent| !parent.suspected && (parent.starving || is_overdue()));
        self.starved_since = starves.then(|| self.starved_since.unwrap_or(now));
    }

    /// Notes how many frames came down or should have, and how many of them the first push did not bring.
    pub(super) fn note_quality(&mut self, frames: u32, missed: u32, now: Duration) {
        let Some(parent) = &self.parent else {
            return;
        };
        let (link, is_suspected) = (parent.link, parent.suspected);
        // Of one that may be gone it is the silence that counts.
        if self.tally.note(frames, missed, now) && !is_suspected {
            let why = Complaint::Poor;
            self.signal(Signal::Parting { link, why });
        }
    }

    /// A packet was pushed: tells when the line does not carry it to so many.
    pub(super) fn note_strain(&mut self, now: Duration) {
        let is_child = |receiver: &&Receiver| matches!(receiver.role, Role::Child(_));
        let children = self.receivers.values().filter(is_child).count();
        if children > 0 && self.strain.note_push(children, now) {
            self.signal(Signal::Strained);
        }
    }

    /// Compares what the parent has pushed with what the standby says it has.
    pub(super) fn note_lag(&mut self, report: &Report, now: Duration) {
        let Some(link) = self.parent() else {
            return;
        };
        let lags = report.streams.iter().any(|known| {
            let stream = self.streams.get(&known.tag);
            known.in_spurt
                && stream
                    .is_some_and(|stream| !stream.is_own() && !stream.by_source && stream.lag(known) >= LAG)
        });
        if !lags {
            self.lagging_since = None;
            return;
        }
        let since = *self.lagging_since.get_or_insert(now);
        if now >= since.saturating_add(LAGGING_FOR) {
            self.lagging_since = Some(now);
            let why = Complaint::Poor;
            self.signal(Signal::Parting { link, why });
        }
    }

    /// Whether what should come down to us does not, from anyone.
    pub(super) fn is_starving(&self, now: Duration) -> bool {
        self.joined.is_some() && self.streams.values().any(|stream| stream.is_starved(now))
    }

    /// Whether the standby is to bring what the parent does not.
    pub(super) fn is_alarming(&self) -> bool {
        self.standby.is_some() && self.plight() != Plight::Fed
    }

    /// Whether the alarm asks the standby now, first or again.
    pub(super) fn take_alarm(&mut self, now: Duration) -> bool {
        if !self.is_alarming() {
            self.alarm = None;
            return false;
        }
        if self.alarm.is_some_and(|next| now < next) {
            return false;
        }
        let wait = if self.alarm.is_none() {
            ALARM_TWICE
        } else {
            ALARM_AGAIN
        };
        self.alarm = Some(now.saturating_add(wait));
        true
    }

    fn signal(&mut self, signal: Signal) {
        if !self.signals.contains(&signal) {
            self.signals.push_back(signal);
        }
    }
}
