//! What the member says happened, told to whoever listens, and what follows from it here.

use majlis_protocol::member::{self, Left};

use super::{Actor, Announcing, Event, LeftReason, RoomError, millis};

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
                    self.tell(Event::Joined {
                        room: self.link.room,
                        key: self.me,
                        role,
                        parent,
                        depth,
                        join_ms,
                        confirmed,
                    });
                    self.be_ready();
                    self.announcing = self
                        .member
                        .log()
                        .map(|log| Announcing::start(self.network.clone(), log));
                    self.announce_if_due();
                }
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
                action,
                author,
                subject,
                reason,
                granted,
                lasts_ms,
                carried,
            } => {
                self.tell(Event::Log {
                    seq: sequence,
                    term,
                    action: action.into(),
                    author,
                    subject,
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
                let (key, nick, tag) = (profile.person, profile.nick.to_string(), profile.person.tag());
                self.tell(Event::Profile { key, nick, tag });
            }
            member::Event::Chair { person, term } => self.tell(Event::Chair { key: person, term }),
            member::Event::Exposed(person) => self.tell(Event::Exposed { key: person }),
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
