//! What a room looks like from this node: its counts, its people, its place.

use std::{cmp::Reverse, collections::BTreeSet};

use majlis_protocol::{
    identity::Profile,
    log::{Exclusion, GuestList, Log, State},
    person::{Peer, Person},
    room::{Chat, Hands},
    signed::Verified,
    stage::Hand,
};

use super::{
    Actor, AudiencePage, HandInfo, KeptOut, ListenerInfo, Listening, PersonInfo, RoomInfo, RulesInfo,
    Speaking, Stats, TreeInfo, listening,
};

impl Actor {
    pub(super) fn stats(&self) -> Stats {
        let media = self.media.stats();
        let playback = self.listening.as_ref().map(Listening::stats).unwrap_or_default();
        let verdicts = media.verdicts;
        Stats {
            depth: self.member.place().depth(),
            parent: self.member.parent(),
            standby: self.member.standby(),
            children: u32::try_from(self.member.children()).unwrap_or(u32::MAX),
            listeners: self.member.listeners(),
            streams: listening::stream_stats(&playback),
            sent_packets: media.sent,
            pulled_packets: verdicts.pulled,
            answered_packets: verdicts.pulled_out,
            forged_dropped: verdicts.forged,
            refused_dropped: verdicts.refused + self.plane.unknown_room(),
            muted_dropped: verdicts.muted,
            stale_dropped: verdicts.stale,
            duplicate_dropped: verdicts.duplicate,
            overflow_dropped: verdicts.budget
                + verdicts.held_overflow
                + verdicts.held_expired
                + media.outgoing_dropped
                + playback.overflow_dropped,
            malformed_dropped: verdicts.malformed + self.plane.malformed(),
            sent_frames: self.speaking.as_ref().map_or(0, Speaking::sent),
            copies: self.speaking.as_ref().map_or(0, Speaking::copies),
            stalls: playback.stalls,
            #[cfg(feature = "testlink")]
            emulator_dropped: media.pushes_lost,
        }
    }

    pub(super) fn info(&mut self) -> Option<RoomInfo> {
        let clock_ms = self.member.clock_ms(self.epoch.elapsed());
        let log = self.member.log()?;
        let state = log.state();
        Some(RoomInfo {
            id: self.link.room,
            link: self.link.clone(),
            title: state.title().to_string(),
            host: state.host(),
            role: self.member.role().into(),
            parent: self.member.parent(),
            depth: self.member.place().depth(),
            head: log.head().sequence,
            term: log.term(),
            listeners: self.member.listeners(),
            microphone: self.speaking.as_ref().is_some_and(Speaking::is_on),
            muted: state.mutes().contains_key(&self.me),
            people: self.people(log, clock_ms),
            kept_out: self.kept_out(log.state(), clock_ms),
            hands: hands(self.member.hands(), clock_ms),
            pins: state.rules().pins().iter().map(ToString::to_string).collect(),
            rules: rules(log.state()),
            recorded: state.rules().is_recorded(),
            stats: self.stats(),
        })
    }

    pub(super) fn tree(&self) -> TreeInfo {
        let id = self.network.local_peer();
        let me = Peer::from_peer_id_bytes(&id.to_bytes()).expect("a node's libp2p key is an Ed25519 key");
        TreeInfo::of(&self.member, me, &self.network)
    }

    /// Who is kept out, with what is left of it.
    fn kept_out(&self, state: &State, clock_ms: u64) -> Vec<KeptOut> {
        let one = |(person, exclusion): (&Person, &Exclusion)| KeptOut {
            key: *person,
            nick: self.nick_of(*person),
            tag: person.tag(),
            kicked: exclusion.is_kick,
            left_ms: exclusion.until.map(|until| until.saturating_sub(clock_ms)),
            reason: exclusion.reason.to_string(),
        };
        state.exclusions(clock_ms).map(one).collect()
    }

    /// What a person is called, as far as it is known here.
    pub(super) fn nick_of(&self, person: Person) -> Option<String> {
        let known = self
            .member
            .profile(person)
            .or_else(|| self.member.people().find(|profile| profile.person == person));
        let hand = || self.member.hands().iter().find(|hand| hand.person == person);
        known
            .map(|profile| profile.nick.to_string())
            .or_else(|| hand().map(|hand| hand.nick.to_string()))
            .or_else(|| self.named.get(&person).cloned())
    }

    /// The people on the stage first, the host before the others, then those who keep order, then those invited, then the others at the ends of our links.
    fn people(&self, log: &Log, clock_ms: u64) -> Vec<PersonInfo> {
        let state = log.state();
        let mut keys: Vec<Person> = state.stage().keys().copied().collect();
        keys.sort_by_key(|person| Reverse(state.role(*person)));
        keys.extend(state.officers().keys().chain(state.invited().keys()));
        keys.extend(self.member.people().map(|profile| profile.person));
        keys.push(self.me);
        let mut seen = BTreeSet::new();
        keys.retain(|key| seen.insert(*key));
        let person = |key: Person| PersonInfo {
            key,
            nick: self.nick_of(key),
            tag: key.tag(),
            role: state.role(key).into(),
            on_stage: state.stage().contains_key(&key),
            muted: state.mutes().contains_key(&key),
            mic: state.stage().contains_key(&key).then(|| self.mics.is_on(key)),
            turn_left_ms: state.speaks_until(key).map(|end| end.saturating_sub(clock_ms)),
            invited: state.invited().contains_key(&key),
            volume: self.volumes.of(key),
            me: key == self.me,
        };
        keys.into_iter().map(person).collect()
    }
}

/// A page of the audience, as the member found it.
pub(super) fn audience(page: u32, (people, more): (Vec<Verified<Profile>>, bool)) -> AudiencePage {
    let one = |profile: &Verified<Profile>| ListenerInfo {
        key: profile.person,
        nick: profile.nick.to_string(),
        tag: profile.person.tag(),
    };
    let people = people.iter().map(one).collect();
    AudiencePage { page, people, more }
}

/// The queue of hands, with how long each waits.
fn hands(queue: &[Hand], clock_ms: u64) -> Vec<HandInfo> {
    let one = |(at, hand): (usize, &Hand)| HandInfo {
        place: at + 1,
        key: hand.person,
        nick: hand.nick.to_string(),
        tag: hand.person.tag(),
        waits_ms: clock_ms.saturating_sub(hand.since),
    };
    queue.iter().enumerate().map(one).collect()
}

fn rules(state: &State) -> RulesInfo {
    let rules = state.rules();
    RulesInfo {
        hands: match rules.hands() {
            Hands::Anyone => "anyone",
            Hands::Nobody => "nobody",
        },
        locked: rules.locked().is_some(),
        guest_list: match rules.guest_list() {
            GuestList::Off => "off",
            GuestList::Enter => "enter",
            GuestList::Speak => "speak",
        },
        guests: rules.guests().iter().copied().collect(),
        speakers: rules.speakers(),
        chat: match rules.chat() {
            Chat::Anyone => "anyone",
            Chat::Stage => "stage",
            Chat::Nobody => "nobody",
        },
        slow_mode_s: rules.slow_mode_s(),
        speaking_time_s: rules.speaking_time().map_or(0, |time| time.seconds),
    }
}
