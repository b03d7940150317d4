//! The log as a member keeps it: catching up, applying entries, passing them on, and what follows from each.

use alloc::{boxed::Box, string::ToString, vec, vec::Vec};
use core::time::Duration;

use crate::{
    identity::Profile,
    limits,
    log::{self, Applied, Beacon, BeaconError, Change, Entry, EntryError, Head, Log, Tick},
    neighbour::Neighbour,
    person::Person,
    reason::Reason,
    room::Genesis,
    signed::{Signed, Statement, Verified},
    wire::message::{Entries, Message},
};

use super::{Event, Left, Member, OnStage, Output, Route, greeting::EntriesAsked};

/// How long a neighbour may take to send entries. A batch of them on a slow line takes seconds; whoever takes longer
/// would hold up a newcomer that could ask others.
const ENTRIES_TIMEOUT: Duration = Duration::from_secs(10);

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

    /// Notes what a neighbour claims to have, and asks it for what is not here: what follows our head, or its history
    /// where it is another one.
    pub(super) fn want_entries(&mut self, link: Neighbour, theirs: Head, now: Duration) {
        let Some(log) = &self.log else { return };
        let ours = log.head().sequence;
        // Somebody who does not have the genesis yet names no hash.
        if log.holds(theirs) || theirs.sequence == 0 {
            return;
        }
        if let Some(neighbour) = self.links.get_mut(&link) {
            neighbour.claimed = neighbour.claimed.max(theirs.sequence);
        }
        if theirs.sequence > ours {
            self.ask_for_entries(link, now);
        } else {
            self.ask_for_branch(link, theirs.sequence, now);
        }
    }

    /// Asks a neighbour for what follows our head, unless its answer is under way.
    pub(super) fn ask_for_entries(&mut self, link: Neighbour, now: Duration) {
        let after = self.head().sequence;
        if !self.branches.is_at(link) {
            self.ask_for_entries_after(link, after, now);
        }
    }

    /// Asks a neighbour for what follows an entry, unless an answer is under way.
    pub(super) fn ask_for_entries_after(&mut self, link: Neighbour, after: u32, now: Duration) {
        let Some(neighbour) = self.links.get_mut(&link).filter(|link| link.asked.is_none()) else {
            return;
        };
        neighbour.asked = Some(EntriesAsked {
            after,
            deadline: now + ENTRIES_TIMEOUT,
        });
        self.send(link, Message::EntriesWanted { after });
    }

    pub(super) fn handle_entries_wanted(&mut self, link: Neighbour, after: u32, now: Duration) {
        let (Some(log), Some(neighbour)) = (&self.log, self.links.get(&link)) else {
            return;
        };
        let entries = log.entries_after(after, limits::ENTRIES_BATCH);
        let last = entries.last().map_or(after, |entry| entry.sequence);
        let entries = entries.iter().map(|entry| entry.signed().clone()).collect();
        let more = last < log.head().sequence;
        if last > after {
            self.conduct.of(neighbour.peer(), now).sent_entries(last);
        }
        self.send(link, Message::Entries(Entries { entries, more }));
    }

    pub(super) fn handle_entries(&mut self, link: Neighbour, entries: Entries, now: Duration) {
        let Entries { mut entries, more } = entries;
        let asked = self.links.get_mut(&link).and_then(|link| link.asked.take());
        let before = asked.map_or(self.head().sequence, |asked| asked.after);
        let (mut newest, mut news) = (0, None);
        let is_collected = self.branches.is_at(link);
        for at in 0..entries.len() {
            if is_collected {
                break;
            }
            let signed = entries[at].clone();
            let Some(log) = self.log.as_ref() else { return };
            let is_next = |entry: &Entry| {
                let head = log.head();
                (entry.previous, entry.sequence.checked_sub(1)) == (head.hash, Some(head.sequence))
            };
            let entry = signed.peek().ok();
            let sequence = entry.as_ref().map_or(0, |entry| entry.sequence);
            let next = entry.filter(is_next);
            let is_early = next
                .as_ref()
                .is_some_and(|entry| self.comes_too_early(entry, now));
            if is_early && log.check_entry(&signed).is_ok() && !self.is_taken_back(&entries[at..]) {
                let early = entries.split_off(at);
                return self.handle_early(link, early, now);
            }
            let had_chair = self.is_chair();
            let Some(log) = self.log.as_mut() else { return };
            match log.handle_entry(signed) {
                Ok(Some(applied)) => {
                    news = Some(applied.entry.sequence);
                    self.bringing = Some(link);
                    self.handle_applied(applied, now);
                    self.bringing = None;
                    if had_chair && self.take_back(now) {
                        // What whoever claimed it wrote further is none of the room's.
                        return self.offer_link(link, now);
                    }
                }
                Ok(None) => {}
                Err(error @ (EntryError::Fork { .. } | EntryError::Equivocation(_))) => {
                    if let EntryError::Equivocation(proof) = error {
                        self.note_liar(&proof, now);
                    }
                    self.begin_branch(link, now);
                    let entries = entries.split_off(at);
                    return self.collect(link, Entries { entries, more }, asked.is_some(), now);
                }
                Err(EntryError::Gap { .. }) => return self.ask_for_entries(link, now),
                Err(EntryError::UpdateNeeded { .. }) => return self.leave_for_update(),
                Err(error) => return self.cut(link, Reason::Malformed, &error.to_string(), now),
            }
            if self.left {
                return;
            }
            newest = newest.max(sequence);
        }
        if is_collected {
            return self.collect(link, Entries { entries, more }, asked.is_some(), now);
        }
        self.follow_exclusions(more, now);
        if self.left || !self.links.contains_key(&link) {
            return;
        }
        self.note_entries_of(link, newest, news.is_some(), now);
        if let Some(sequence) = news.filter(|_| self.place().parent() != Some(link)) {
            self.expect_entry_of_parent(sequence, now);
        }
        if more && self.head().sequence > before {
            self.ask_for_entries(link, now);
        } else if more && asked.is_some() {
            // Whoever says so and brings nothing would be asked for ever.
            return self.cut(link, Reason::Malformed, "more entries that do not come", now);
        } else if let Some(neighbour) = self.links.get_mut(&link).filter(|_| asked.is_some()) {
            // That was all it has, whatever it claimed.
            neighbour.claimed = 0;
        }
        self.offer_link(link, now);
    }

    /// Somebody says to have the chair, which is heard: it is told, and nothing else is done about it until it is heard
    /// no more.
    fn handle_early(&mut self, link: Neighbour, early: Vec<Signed<Entry>>, now: Duration) {
        let first = early.first().cloned();
        if let Some(way) = first.and_then(|first| self.pass_to_chair(&first, now))
            && way != link
        {
            let more = false;
            self.send(way, Message::Entries(Entries { entries: early, more }));
        }
        if let Some(neighbour) = self.links.get_mut(&link) {
            neighbour.claimed = 0;
        }
        self.offer_link(link, now);
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
        self.outputs
            .push_back(Output::Store(log::record(applied.entry.signed()).into()));
        self.clock.handle_entry(applied.entry.clock, now);
        let entries = vec![applied.entry.signed().clone()];
        let more = false;
        self.pass_on(&Message::Entries(Entries { entries, more }), self.bringing);
        self.tell_entry(&applied);
        self.note_back(&applied);
        for change in &applied.changes {
            self.handle_change(*change, now);
            self.follow_stage(change, now);
        }
        self.silence(&applied);
        self.want_pass(now);
        self.route(Route::Head(applied.entry.sequence));
        self.finish_command(applied.id, Ok(applied.entry.sequence));
        if applied.changes.contains(&Change::Ended) {
            return self.leave(Left::Ended);
        }
        if self.log.as_ref().is_some_and(|log| !log.state().has_chair()) {
            self.stop_chairing();
            self.succession.note_vacant(now);
        }
    }

    pub(super) fn tell_entry(&mut self, applied: &Applied) {
        self.event(Event::Entry {
            sequence: applied.entry.sequence,
            term: applied.entry.term,
            clock_ms: applied.entry.clock,
            action: applied.act.name(),
            author: applied.author(),
            subject: applied.subject(),
            title: applied.act.title().cloned(),
            link: applied.act.link().cloned(),
            reason: applied.act.reason().cloned(),
            granted: applied.act.granted(),
            lasts_ms: applied.act.lasts_ms(),
            carried: applied.carried,
        });
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
