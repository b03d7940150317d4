//! What the member says happened, told to whoever listens, and what follows from it here.

use std::time::Duration;

use libp2p::{Multiaddr, PeerId};
use majlis_protocol::{
    log::Log,
    member::{self, Left},
    person::{Peer, Person},
};

use super::{Actor, Announcing, Event, LeftReason, RoomError, millis};

/// Most peers that are told of as not answering: more lines help nobody.
const MOST_UNANSWERED: usize = 8;

/// Most people whose names are remembered as told; beyond, they are told anew.
const MOST_NAMED: usize = 1_024;

/// How long nothing is said of a search: most end sooner.
const SEEKING_AFTER: Duration = Duration::from_millis(900);

/// How long a search may find nobody before it is told. The DHT takes some seconds.
const NOBODY_AFTER: Duration = Duration::from_secs(10);

impl Actor {
    pub(super) fn handle_event(&mut self, event: member::Event) {
        match event {
            member::Event::Joined {
                role,
                parent,
                depth,
                confirmed,
            } => {
                if self.open_sound() {
                    let join_ms = millis(self.started.elapsed());
                    let role = role.into();
                    let state = self.member.log().map(Log::state);
                    self.tell(Event::Joined {
                        room: self.link.room,
                        key: self.me,
                        title: state.map(|state| state.title().to_string()).unwrap_or_default(),
                        on_stage: state.map_or(0, |state| state.stage().len() as u32),
                        role,
                        parent,
                        depth,
                        join_ms,
                        confirmed,
                    });
                    if parent.is_none() && self.member.tree().capacity() == 0 {
                        let text = "nobody can take sound from here: --max-children or --uplink leaves no place for \
                                    anyone, and whoever joins is refused";
                        self.tell(Event::Warning { text: text.into() });
                    }
                    self.be_ready();
                    self.announcing = self
                        .member
                        .log()
                        .map(|log| Announcing::start(self.network.clone(), log));
                    self.announce_if_due();
                }
            }
            member::Event::Verified { entries } => {
                let ms = millis(self.started.elapsed());
                self.tell(Event::Verified { entries, ms });
            }
            member::Event::Parent { peer, depth, why } => {
                let reason = why.into();
                self.tell(Event::Parent { peer, depth, reason });
            }
            member::Event::Standby(peer) => self.tell(Event::Standby { peer }),
            member::Event::Child { peer, added } => {
                self.tell(Event::Child { peer, added });
                self.start_input_if_due();
            }
            member::Event::Entry {
                sequence,
                term,
                clock_ms,
                action,
                author,
                subject,
                title,
                link,
                reason,
                granted,
                lasts_ms,
                carried,
            } => {
                [Some(author), subject]
                    .into_iter()
                    .flatten()
                    .for_each(|person| self.introduce(person));
                self.tell(Event::Log {
                    seq: sequence,
                    term,
                    clock_ms,
                    action: action.into(),
                    author,
                    subject,
                    title: title.map(|title| title.to_string()),
                    link: link.map(|link| link.to_string()),
                    role: granted.map(Into::into),
                    lasts_ms,
                    reason: reason.map(|reason| reason.to_string()),
                    carried,
                });
            }
            member::Event::Lost {
                action,
                author,
                subject,
                reason,
            } => {
                let (action, reason) = (action.into(), reason.to_string());
                self.tell(Event::Lost {
                    action,
                    author,
                    subject,
                    reason,
                });
            }
            member::Event::Role { person, role } => {
                self.tell(Event::Role {
                    key: person,
                    role: role.into(),
                });
            }
            member::Event::Microphone { person, on } => {
                let shown = self.mics.mark(person, on, self.epoch.elapsed());
                self.tell_mics(shown);
            }
            member::Event::Stage { person, on } => {
                self.mics.forget(person);
                if let (false, Some(listening)) = (on, &self.listening) {
                    listening.end(person);
                }
                self.tell(Event::Stage { key: person, on });
            }
            member::Event::Muted { person, muted } => {
                self.tell(Event::Mute { key: person, muted });
                if muted && person == self.me {
                    self.be_muted();
                }
            }
            member::Event::Hand { person, nick, raised } => self.tell(Event::Hand {
                key: person,
                nick: nick.to_string(),
                raised,
            }),
            member::Event::Chat { person, nick, text } => self.tell(Event::Chat {
                key: person,
                nick: nick.to_string(),
                tag: person.tag(),
                text: text.to_string(),
            }),
            member::Event::Appeal { person, text } => self.tell(Event::Appeal {
                key: person,
                tag: person.tag(),
                text: text.to_string(),
            }),
            member::Event::Reactions(sum) => self.tell(Event::Reactions {
                counts: sum.counts().collect(),
            }),
            member::Event::Silenced(person) => {
                if let Some(listening) = &self.listening {
                    listening.remove(person);
                }
            }
            member::Event::Title(title) => {
                self.tell(Event::Title {
                    title: title.to_string(),
                });
                self.announce_if_due();
            }
            member::Event::Profile(profile) => {
                self.tell_name(profile.person, profile.nick.to_string());
            }
            member::Event::Chair { person, term } => {
                self.introduce(person);
                self.tell(Event::Chair { key: person, term });
            }
            member::Event::Exposed(person) => self.tell(Event::Exposed { key: person }),
            member::Event::Vacant => self.tell(Event::Vacant),
            member::Event::Root(peer) => self.tell(Event::Root { peer }),
            member::Event::Listeners(listeners) => {
                self.tell(Event::Listeners { listeners });
                self.start_input_if_due();
            }
            member::Event::Misbehaved { peer, reason } => {
                let text = format!("{peer} was cut off: {reason}");
                if self.ready.is_some() {
                    // Should it have been the only one to ask.
                    self.why_nobody = format!(": {text}");
                }
                self.tell(Event::Warning { text });
            }
            member::Event::UpdateNeeded => {
                let text = "the room uses what this program does not know: update it".into();
                self.tell(Event::Warning { text });
            }
            member::Event::Left(left) => self.handle_left(left),
        }
    }

    pub(super) fn handle_left(&mut self, left: Left) {
        let reason = match (&left, &self.leaving) {
            (Left::Interrupted, Some((reason, _))) => *reason,
            (Left::Interrupted, None) => LeftReason::Interrupted,
            (Left::Ended, _) => LeftReason::Ended,
            (Left::Unreachable, _) => LeftReason::Unreachable,
            (Left::Refused(refusal), _) => refusal.reason.into(),
        };
        self.left = Some(reason);
        let why = std::mem::take(&mut self.why_nobody);
        self.fail(match left {
            Left::Ended => RoomError::Ended,
            Left::Unreachable => RoomError::Unreachable { why },
            Left::Refused(refusal) => RoomError::Refused(refusal),
            Left::Interrupted => RoomError::Closed,
        });
    }

    /// Tells what a person is called who is about to be told of, as far as it is known here and was not told.
    fn introduce(&mut self, person: Person) {
        if let Some(nick) = self.nick_of(person) {
            self.tell_name(person, nick);
        }
    }

    fn tell_name(&mut self, key: Person, nick: String) {
        if self.named.get(&key) == Some(&nick) {
            return;
        }
        if self.named.len() >= MOST_NAMED {
            self.named.clear();
        }
        self.named.insert(key, nick.clone());
        let tag = key.tag();
        self.tell(Event::Profile { key, nick, tag });
    }

    /// The room is not reached at once: whoever waits is told that it is looked for.
    pub(super) fn tell_seeking(&mut self) {
        let lasts = self.epoch.elapsed() >= SEEKING_AFTER;
        if self.ready.is_some() && lasts && !std::mem::replace(&mut self.is_sought, true) {
            self.tell(Event::Seeking { room: self.link.room });
        }
    }

    /// Somebody who may be in the room that is looked for does not answer. It is said once of each.
    pub(super) fn tell_no_answer(&mut self, peer: PeerId, addresses: &[Multiaddr], why: &str) {
        let is_news =
            self.ready.is_some() && self.unanswered.len() < MOST_UNANSWERED && self.unanswered.insert(peer);
        let Ok(key) = Peer::from_peer_id_bytes(&peer.to_bytes()) else {
            return;
        };
        if is_news {
            self.tell(Event::NoAnswer {
                peer: key,
                addresses: addresses.iter().map(ToString::to_string).collect(),
                reason: why.to_owned(),
            });
        }
    }

    /// A search for the room found nobody to call. It is said once, when it has lasted.
    pub(super) fn tell_nobody_known(&mut self, why: &str) {
        let lasts = self.epoch.elapsed() >= NOBODY_AFTER;
        if self.ready.is_some()
            && why.is_empty()
            && lasts
            && !std::mem::replace(&mut self.is_unheard_of, true)
        {
            self.tell(Event::NobodyKnown { room: self.link.room });
        }
    }

    pub(super) fn announce_if_due(&mut self) {
        let (Some(announcing), Some(log)) = (&mut self.announcing, self.member.log()) else {
            return;
        };
        let addresses = crate::node::addresses(&self.network);
        if let Err(error) = announcing.announce_if_due(log, self.member.listeners(), addresses, &self.key) {
            tracing::error!(%error, "the room cannot be announced");
        }
    }

    pub(super) fn end_announcing(&mut self) {
        let (Some(announcing), Some(log)) = (&mut self.announcing, self.member.log()) else {
            return;
        };
        if let Err(error) = announcing.end(log, &self.key) {
            tracing::error!(%error, "the end of the room cannot be announced");
        }
    }

    fn be_ready(&mut self) {
        let host = self.member.log().map_or(self.me, |log| log.state().host());
        if let Some(ready) = self.ready.take() {
            let _ = ready.send(Ok(host));
        }
    }

    pub(super) fn fail(&mut self, error: RoomError) {
        if let Some(ready) = self.ready.take() {
            let _ = ready.send(Err(error));
        }
    }
}
