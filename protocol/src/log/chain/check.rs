//! Every rule that an entry must keep to come next: its place, its act, its bounds, and the signatures at last.

use crate::{
    limits,
    log::{
        action::{Act, Action, ActionId, kind},
        chain::{EntryError, Log},
        entry::Entry,
        state::ActionError,
    },
    person::Person,
    reason::Reason,
    signed::{Attested, Signed, StatementError, Verified},
};

/// An action that passed the checks that need no signature.
pub(super) struct Candidate {
    /// As it stands in the entry.
    pub(super) signed: Signed<Action>,
    /// Who asked for the entry: whoever carries, or the author itself.
    pub(super) asks: Person,
    pub(super) deed: Deed,
}

/// What an entry does: its action, or the one that it carries.
pub(in crate::log) struct Deed {
    pub(in crate::log) action: Action,
    pub(in crate::log) id: ActionId,
    pub(in crate::log) act: Act,
    /// The action whose author answers for it, when another one stands in the entry.
    pub(in crate::log) carried: Option<Signed<Action>>,
}

/// An entry that passed every check, with its hash and its action.
pub(super) type Checked = (Attested<Entry>, [u8; 32], Candidate, Attested<Action>);

/// How it is known of an entry that its chair stands for it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// Its signatures are checked.
    Signatures,
    /// Its chair has signed a later one that covers it; its own signatures are checked behind.
    Cover,
}

impl Log {
    /// Every check of the entry that comes next: its place, its act, and the signatures at last.
    pub(super) fn check_next(
        &self,
        entry: &Entry,
        signed: Signed<Entry>,
        proof: Proof,
    ) -> Result<Checked, EntryError> {
        self.check_place(entry, &signed)?;
        let candidate = self.examine(entry.signed_action()?, entry.clock)?;
        let hash = Entry::hash(&signed);
        match self.check_act(&candidate, entry.clock) {
            // Only a program that knows a kind can judge it, and the chair that wrote it down did.
            Ok(()) | Err(ActionError::Unsupported { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        self.check_bounds(&candidate, &hash, Entry::size(&signed))?;
        // Whose word counts from here on, and where the log ends, is not taken on trust.
        let is_decisive = matches!(candidate.deed.act, Act::Chair { .. } | Act::Unknown { .. });
        let (entry, action) = if proof == Proof::Cover && !is_decisive {
            let answers = candidate.deed.carried.as_ref().unwrap_or(&candidate.signed);
            let action = answers.clone().attested().map_err(ActionError::from)?;
            (signed.attested()?, action)
        } else {
            let entry = verify_entry(signed)?;
            (entry.into(), verify_actions(&candidate)?.into())
        };
        Ok((entry, hash, candidate, action))
    }

    /// Whether an entry is the next of this chain, by everything but its action.
    fn check_place(&self, entry: &Entry, signed: &Signed<Entry>) -> Result<(), EntryError> {
        let (head, sequence) = (self.head(), entry.sequence);
        if sequence - 1 > head.sequence {
            return Err(EntryError::Gap {
                after: head.sequence,
                sequence,
            });
        }
        if entry.previous != head.hash {
            verify_entry(signed.clone())?;
            return Err(EntryError::Fork { sequence });
        }
        let action = entry.signed_action()?.peek().map_err(ActionError::from)?;
        let (writer, right) = if action.kind == kind::CHAIR {
            (action.author, self.term().saturating_add(1))
        } else {
            (self.state.chair(), self.term())
        };
        if entry.chair != writer || (action.kind != kind::CHAIR && !self.state.has_chair()) {
            return Err(EntryError::NotTheChair);
        }
        if entry.term != right {
            let term = entry.term;
            return Err(EntryError::Term {
                sequence,
                term,
                right,
            });
        }
        if entry.clock < self.state.clock() {
            return Err(EntryError::Fell { sequence });
        }
        if entry.clock > limits::CLOCK_MS {
            return Err(EntryError::TooLate { sequence });
        }
        Ok(())
    }

    /// Every check of an action that needs neither its signature nor the state of the room.
    pub(super) fn examine(&self, signed: Signed<Action>, clock_ms: u64) -> Result<Candidate, ActionError> {
        let action = signed.peek()?;
        if action.room != self.room {
            return Err(ActionError::WrongRoom);
        }
        self.state
            .check_freshness(ActionId::of(&signed), &action, clock_ms)?;
        let asks = action.author;
        let deed = Deed::of(&signed)?;
        if deed.carried.is_some() {
            if deed.action.room != self.room {
                return Err(ActionError::WrongRoom);
            }
            self.state.check_carried(deed.id, &deed.action, clock_ms)?;
        }
        Ok(Candidate { signed, asks, deed })
    }

    /// Whether the room lets its author do this now.
    pub(super) fn check_act(&self, candidate: &Candidate, clock_ms: u64) -> Result<(), ActionError> {
        let Deed {
            act, action, carried, ..
        } = &candidate.deed;
        if let Some(carried) = carried {
            let action = carried.to_bytes();
            self.state
                .check(candidate.asks, &Act::Carried { action }, clock_ms)
                .map_err(ActionError::Refused)?;
        }
        if let Act::Exposed { entry } = act {
            self.check_proof(entry)?;
        }
        self.state
            .check(action.author, act, clock_ms)
            .map_err(|reason| match act {
                Act::Unknown { kind, .. } if reason == Reason::Unsupported => {
                    ActionError::Unsupported { kind: *kind }
                }
                _ => ActionError::Refused(reason),
            })
    }

    /// Whether an entry proves that its chair told two stories: another one of the same term stands here at its place. Its
    /// signature is checked here, as that of the entry around it is not yet: a proof is looked at once a room.
    fn check_proof(&self, proof: &[u8]) -> Result<(), ActionError> {
        let signed: Signed<Entry> = Signed::from_bytes(proof)?;
        let entry = signed.peek()?;
        let ours = self.entry(entry.sequence);
        let contradicts = ours.is_some_and(|ours| {
            (ours.room, ours.term, ours.chair) == (entry.room, entry.term, entry.chair)
                && ours.signed().payload() != signed.payload()
        });
        if !contradicts || self.state.exposed().contains(&entry.chair) {
            return Err(ActionError::Refused(Reason::NoSuchSubject));
        }
        match signed.verify() {
            Ok(_) => Ok(()),
            Err(_) => Err(ActionError::Signature),
        }
    }

    /// Whether the act may stand in an entry of this hash and size.
    pub(super) fn check_bounds(
        &self,
        candidate: &Candidate,
        hash: &[u8; 32],
        size: usize,
    ) -> Result<(), ActionError> {
        let act = &candidate.deed.act;
        self.state.check_tag(act, hash).map_err(ActionError::Refused)?;
        let most = if candidate.asks == self.state.host() {
            limits::LOG
        } else {
            limits::LOG - limits::LOG_OF_THE_HOST
        };
        if self.size.saturating_add(size) > most && *act != Act::End {
            return Err(ActionError::Refused(Reason::Full));
        }
        Ok(())
    }
}

impl Deed {
    /// What an action that stands in an entry does.
    pub(in crate::log) fn of(signed: &Signed<Action>) -> Result<Self, ActionError> {
        let action = signed.peek()?;
        let act = action.act()?;
        let Act::Carried { action: inner } = &act else {
            return Ok(Self {
                id: ActionId::of(signed),
                action,
                act,
                carried: None,
            });
        };
        let inner = Signed::from_bytes(inner)?;
        let action: Action = inner.peek()?;
        let act = action.act()?;
        if !act.restricts() {
            return Err(ActionError::Refused(Reason::NotAllowed));
        }
        Ok(Self {
            id: ActionId::of(&inner),
            action,
            act,
            carried: Some(inner),
        })
    }
}

pub(in crate::log) fn verify_entry(signed: Signed<Entry>) -> Result<Verified<Entry>, EntryError> {
    signed.verify().map_err(|error| match error {
        StatementError::Malformed(malformed) => malformed.into(),
        StatementError::Signature(_) => EntryError::Signature,
    })
}

/// Checks the signatures of an action and of what it carries; the action whose author answers for it.
pub(super) fn verify_actions(candidate: &Candidate) -> Result<Verified<Action>, ActionError> {
    verify_signed(&candidate.signed, candidate.deed.carried.as_ref())
}

pub(in crate::log) fn verify_signed(
    signed: &Signed<Action>,
    carried: Option<&Signed<Action>>,
) -> Result<Verified<Action>, ActionError> {
    let action = verify_action(signed.clone())?;
    match carried {
        Some(carried) => verify_action(carried.clone()),
        None => Ok(action),
    }
}

fn verify_action(signed: Signed<Action>) -> Result<Verified<Action>, ActionError> {
    signed.verify().map_err(|error| match error {
        StatementError::Malformed(malformed) => malformed.into(),
        StatementError::Signature(_) => ActionError::Signature,
    })
}
