//! The log as a member keeps it: applying entries, passing them on, and what follows from each; and the chair's beacon.

use alloc::{boxed::Box, string::ToString, vec, vec::Vec};
use core::{ops::RangeInclusive, time::Duration};

use crate::{
    identity::Profile,
    limits,
    log::{self, Act, Applied, Beacon, BeaconError, Change, Entry, Log, Tick},
    neighbour::Neighbour,
    person::Person,
    reason::Reason,
    room::Genesis,
    signed::{Signed, Statement, Verified},
    wire::message::{Entries, Message},
};

use super::{Event, Left, Member, OnStage, Output, Route, entries::ENTRIES_TIMEOUT};

/// Profiles that fit one frame, each as large as a person may make it: 70 bytes are its envelope.
const PROFILES_AT_ONCE: usize = limits::CONTROL_FRAME / (<Profile as Statement>::MAX + 70);

impl Member {
    /// Begins the log with its genesis.
    pub(super) fn start_log(&mut self, genesis: Verified<Genesis>, now: Duration) {
        self.outputs
            .push_back(Output::Store(log::record(genesis.signed()).into()));
        self.resume_log(Log::new(genesis), now);
    }

    /// Goes on with a log that is stored already.
    pub(super) fn resume_log(&mut self, log: Log, now: Duration) {
        self.clock.handle_entry(log.state().clock(), now);
        let stage: Vec<_> = log
            .state()
            .stage()
            .iter()
            .map(|(person, stay)| (*person, *stay))
            .collect();
        let (head, bitrate) = (log.head().sequence, log.genesis().audio.bitrate);
        self.log = Some(log);
        self.limit_places(now);
        self.route(Route::Bitrate(bitrate));
        for (person, stay) in stage {
            let tag = stay.tag;
            self.route(Route::Grant { tag, person });
            self.resume_mute(person, stay);
            self.source_of(person);
        }
        self.route(Route::Head(head));
    }

    /// A neighbour says of a beacon only what is new since the last one that it sent.
    pub(super) fn handle_tick(&mut self, link: Neighbour, tick: Tick, now: Duration) {
        let before = self.links.get(&link).and_then(|link| link.beacon.as_deref());
        match before.map(|before| tick.onto(before)) {
            Some(beacon) => self.handle_beacon(link, beacon, now),
            None => self.cut(link, Reason::Malformed, "a tick without a beacon before it", now),
        }
    }

    pub(super) fn handle_beacon(&mut self, link: Neighbour, signed: Signed<Beacon>, now: Duration) {
        if let (Some(link), Ok(beacon)) = (self.links.get_mut(&link), signed.peek()) {
            link.beacon = Some(Box::new(beacon));
        }
        let Some(log) = &self.log else { return };
        let state = log.state();
        let (chair, term) = (state.chair(), log.term());
        let is_of_the_chair = |beacon: Beacon| (beacon.chair, beacon.term) == (chair, term);
        if !signed.peek().is_ok_and(is_of_the_chair) {
            return self.handle_foreign_beacon(link, signed, now);
        }
        if self.is_chair() || !state.has_chair() {
            return;
        }
        match self.beacon.handle(signed, self.room, chair) {
            Ok(Some(beacon)) => {
                let beacon = beacon.clone();
                self.clock.handle_beacon(&beacon, now);
                self.chair_heard = now;
                self.succession.note_heard(link);
                self.send_unsent(now);
                self.want_entries(link, beacon.head, now);
                if beacon.head.sequence > self.head().sequence {
                    self.expect_entry(beacon.head.sequence, now);
                }
                self.pass_beacon_on(Some(link));
                if !beacon.is_farewell() {
                    self.tree.set_roots(beacon.root, beacon.fallback, now);
                    self.tree.set_fallback(beacon.fallback, now);
                    self.count_listeners();
                }
                self.handle_farewell(&beacon, now);
            }
            Ok(None) => {}
            Err(error) => self.cut(link, Reason::Malformed, &error.to_string(), now),
        }
    }

    /// Passes the newest beacon on along the tree.
    pub(super) fn pass_beacon_on(&mut self, from: Option<Neighbour>) {
        for to in self.onward(from) {
            self.tell_beacon(to);
        }
    }

    /// Sends a neighbour the newest beacon: only what is new in it, where the one before was sent as well and that is no
    /// more than the time.
    fn tell_beacon(&mut self, to: Neighbour) {
        let (Some(beacon), Some(link)) = (self.beacon.get(), self.links.get_mut(&to)) else {
            return;
        };
        let before = link.told.replace(Box::new((**beacon).clone()));
        let tick = before.and_then(|before| Tick::between(&before, beacon));
        let whole = || Message::Beacon(beacon.signed().clone());
        let message = tick.map_or_else(whole, Message::Tick);
        self.send(to, message);
    }

    /// A beacon that is not of the chair and term that our log shows: of a former chair, which is heard no more; or of
    /// one that our log has not seen yet, and then its history is asked for.
    fn handle_foreign_beacon(&mut self, link: Neighbour, signed: Signed<Beacon>, now: Duration) {
        let Some(log) = &self.log else { return };
        let beacon = match signed.verify() {
            Ok(beacon) => beacon,
            Err(error) => return self.cut(link, Reason::Malformed, &error.to_string(), now),
        };
        if beacon.room != self.room {
            return self.cut(link, Reason::Malformed, &BeaconError::WrongRoom.to_string(), now);
        }
        let state = log.state();
        let is_known = state.was_chair(beacon.chair) || state.rank(beacon.chair).is_some();
        if !is_known && log.holds(beacon.head) {
            return self.cut(
                link,
                Reason::Malformed,
                &BeaconError::NotTheChair.to_string(),
                now,
            );
        }
        if log.holds(beacon.head) || !(is_known || self.may_doubt(link, now)) {
            return;
        }
        self.want_entries(link, beacon.head, now);
        // Whoever tells of it has it. Of anybody else it is expected once an entry of it was checked.
        if beacon.head.sequence > self.head().sequence && self.place().parent() == Some(link) {
            self.expect_entry(beacon.head.sequence, now);
        }
    }

    /// Whether a neighbour may be asked once more what stands behind a beacon whose signer our log does not know.
    fn may_doubt(&mut self, link: Neighbour, now: Duration) -> bool {
        let Some(link) = self.links.get_mut(&link).filter(|link| link.doubt_after <= now) else {
            return false;
        };
        link.doubt_after = now + ENTRIES_TIMEOUT;
        true
    }

    pub(super) fn handle_profiles(&mut self, link: Neighbour, profiles: Vec<Signed<Profile>>) {
        if self.place().parent() != Some(link) && !self.is_without_place() {
            return;
        }
        for signed in profiles {
            // Only names that will be shown are worth a signature check.
            let is_news = signed.peek().is_ok_and(|profile| {
                self.is_on_stage(profile.person)
                    && self
                        .profiles
                        .get(&profile.person)
                        .is_none_or(|known| profile.revision > known.revision)
            });
            if let Some(profile) = is_news.then(|| signed.verify().ok()).flatten() {
                self.learn_profile(profile);
            }
        }
    }

    pub(super) fn handle_census(&mut self, link: Neighbour, listeners: u32) {
        if self.place().parent() == Some(link) && self.listeners != listeners {
            self.listeners = listeners;
            self.event(Event::Listeners(listeners));
            self.send_to_children(&Message::Census { listeners });
        }
    }

    /// Stores an entry, passes it on and does what follows from it.
    pub(super) fn handle_applied(&mut self, applied: Applied, now: Duration) {
        let record = log::record(applied.entry.signed()).into();
        let waits = self.bringing.is_none_or(|bringing| !bringing.more);
        self.outputs.push_back(if waits {
            Output::Store(record)
        } else {
            Output::StoreLater(record)
        });
        self.clock.handle_entry(applied.entry.clock, now);
        if self.is_log_verified() {
            let entries = vec![applied.entry.signed().clone()];
            let more = false;
            let from = self.bringing.map(|bringing| bringing.link);
            self.pass_on(&Message::Entries(Entries { entries, more }), from);
            self.tell_entry(&applied);
        } else {
            self.behind.hold(applied.entry.sequence);
        }
        self.note_back(&applied);
        let is_covered = self.bringing.is_some_and(|bringing| bringing.is_covered);
        let at_once = |change: &&Change| !is_covered || matches!(change, Change::Chair { .. });
        for change in applied.changes.iter().filter(at_once) {
            self.handle_change(*change, now);
            self.follow_stage(change, now);
        }
        if !is_covered {
            self.silence(&applied);
            self.want_pass(now);
            self.route(Route::Head(applied.entry.sequence));
        }
        self.finish_command(applied.id, Ok(applied.entry.sequence));
        if applied.changes.contains(&Change::Ended) && self.verify_all(now) {
            return self.leave(Left::Ended);
        }
        if self.log.as_ref().is_some_and(|log| !log.state().has_chair()) {
            self.stop_chairing();
            self.succession.note_vacant(now);
        }
    }

    pub(super) fn tell_entry(&mut self, applied: &Applied) {
        self.event(told(
            &applied.entry,
            applied.author(),
            &applied.act,
            applied.carried,
        ));
    }

    /// Tells of entries that were applied before, as it was not known yet who had done it.
    pub(super) fn tell_entries(&mut self, sequences: RangeInclusive<u32>) {
        let Some(log) = &self.log else { return };
        let entries = sequences.filter_map(|sequence| log.entry(sequence));
        let events = entries.filter_map(|entry| {
            let (action, act) = log::deed(entry).ok()?;
            let carried = entry.signed_action().is_ok_and(|outer| outer != action);
            Some(Output::Event(told(
                entry,
                action.peek().ok()?.author,
                &act,
                carried,
            )))
        });
        self.outputs.extend(events);
    }

    pub(super) fn handle_change(&mut self, change: Change, now: Duration) {
        let me = self.config.key.person();
        match change {
            Change::Granted { person, tag } => {
                self.route(Route::Grant { tag, person });
                self.source_of(person);
                self.event(Event::Stage { person, on: true });
                self.share_profile(person);
                if person == me && self.joined {
                    self.take_the_stage(tag, now);
                }
            }
            Change::Revoked { person, tag } => {
                self.route(Route::Revoke(tag));
                self.event(Event::Stage { person, on: false });
                self.forget_mic(person);
                if person == me {
                    self.outputs.push_back(Output::Stage(None));
                    self.tree.set_on_stage(false, now);
                }
            }
            Change::Title => {
                if let Some(title) = self.log.as_ref().map(|log| log.state().title().clone()) {
                    self.event(Event::Title(title));
                }
            }
            Change::Role { person, role } => self.event(Event::Role { person, role }),
            Change::Muted { person, tag } => self.handle_muted(person, tag),
            Change::Unmuted { person, stay } => self.handle_unmuted(person, stay, now),
            Change::Chair { person, term } => {
                self.event(Event::Chair { person, term });
                self.handle_chair(now);
            }
            Change::Exposed { person } => self.event(Event::Exposed(person)),
            // Followed once all that came with it has been applied: the next entry may lift it.
            Change::Expelled { .. } | Change::Ended => {}
            Change::Rules => {}
            Change::Invited { .. } | Change::Uninvited { .. } => {}
        }
    }

    /// Tells the media plane on which link this person's own sound comes up.
    pub(super) fn source_of(&mut self, person: Person) {
        let Some(stay) = self.log.as_ref().and_then(|log| log.state().stage().get(&person)) else {
            return;
        };
        let tag = stay.tag;
        let link = self
            .links
            .iter()
            .filter(|(_, link)| link.person() == Some(person))
            .map(|(n, _)| *n)
            .next_back();
        self.route(Route::Source { tag, link });
    }

    /// A program that (re)joins while its person is on the stage goes on speaking.
    pub(super) fn take_the_stage_if_granted(&mut self, now: Duration) {
        let me = self.config.key.person();
        if let Some(tag) = self
            .log
            .as_ref()
            .and_then(|log| log.state().stage().get(&me))
            .map(|stay| stay.tag)
        {
            self.take_the_stage(tag, now);
        }
    }

    fn take_the_stage(&mut self, tag: crate::media::Tag, now: Duration) {
        let seconds = u32::try_from(self.clock.now_ms(now) / 1000).unwrap_or(u32::MAX);
        let epoch = seconds.max(self.last_epoch.saturating_add(1));
        self.last_epoch = epoch;
        self.say_mic_soon(now);
        self.tree.set_on_stage(true, now);
        self.outputs
            .push_back(Output::Stage(Some(OnStage { tag, epoch })));
    }

    /// Keeps a name that will be shown: of people on the stage.
    pub(super) fn learn_profile(&mut self, profile: Verified<Profile>) {
        let person = profile.person;
        if !self.is_on_stage(person) || self.profiles.get(&person) == Some(&profile) {
            return;
        }
        self.profiles.insert(person, profile.clone());
        self.event(Event::Profile(profile));
        self.share_profile(person);
    }

    /// Tells the children what someone on the stage is called.
    fn share_profile(&mut self, person: Person) {
        let at_the_other_end = self.links.values().find(|link| link.person() == Some(person));
        let profile = at_the_other_end
            .and_then(|link| link.profile())
            .or_else(|| self.profile(person))
            .cloned();
        if let Some(profile) = profile {
            if self.profiles.insert(person, profile.clone()).as_ref() != Some(&profile) {
                self.event(Event::Profile(profile.clone()));
            }
            self.send_to_children(&Message::Profiles(vec![profile.signed().clone()]));
        }
    }

    /// Tells a new child what those on the tree know: the newest beacon, the stage's names, the census.
    pub(super) fn brief(&mut self, child: Neighbour, now: Duration) {
        self.tell_beacon(child);
        let stage = self.log.iter().flat_map(|log| log.state().stage().keys());
        let profiles: Vec<_> = stage
            .filter_map(|person| self.profile(*person))
            .map(|profile| profile.signed().clone())
            .collect();
        for batch in profiles.chunks(PROFILES_AT_ONCE) {
            self.send(child, Message::Profiles(batch.to_vec()));
        }
        let listeners = self.listeners;
        self.send(child, Message::Census { listeners });
        self.brief_hands(child);
        self.brief_chat(child, now);
        self.brief_mics(child);
    }

    pub(super) fn is_on_stage(&self, person: Person) -> bool {
        self.log
            .as_ref()
            .is_some_and(|log| log.state().stage().contains_key(&person))
    }
}

/// What is told of an entry.
fn told(entry: &Entry, author: Person, act: &Act, carried: bool) -> Event {
    Event::Entry {
        sequence: entry.sequence,
        term: entry.term,
        clock_ms: entry.clock,
        action: act.name(),
        author,
        subject: act.subject(author),
        title: act.title().cloned(),
        link: act.link().cloned(),
        reason: act.reason().cloned(),
        granted: act.granted(),
        lasts_ms: act.lasts_ms(),
        carried,
    }
}
