//! What a room lets whom do, beside what roles allow: it begins with the policy of the genesis, and entries change it.

use crate::{
    log::action::Act,
    reason::Reason,
    room::{Hands, Policy},
};

/// The rules as they stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    hands: Hands,
}

impl Rules {
    pub(super) fn new(policy: &Policy) -> Self {
        Self { hands: policy.hands }
    }

    /// Who may raise a hand.
    #[must_use]
    pub fn hands(&self) -> Hands {
        self.hands
    }

    /// Whether hands may be raised.
    pub(super) fn check_hand(&self) -> Result<(), Reason> {
        match self.hands {
            Hands::Anyone => Ok(()),
            Hands::Nobody => Err(Reason::NotAllowed),
        }
    }

    /// Whether an act would make the rules others.
    pub(super) fn would_change(&self, act: &Act) -> bool {
        let mut changed = self.clone();
        changed.apply(act);
        changed != *self
    }

    pub(super) fn apply(&mut self, act: &Act) {
        if let Act::Hands { who } = act {
            self.hands = *who;
        }
    }
}
