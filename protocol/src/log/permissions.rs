//! Who may do what to whom: one table, and nothing else decides (SPEC.md section 7).
//!
//! Roles are ranked. A rule lets one role do one thing to the room, to oneself, or to people of a lower rank; what
//! no rule allows is refused. Nobody ranks above the host, so no rule can reach the host.

use core::fmt;

use crate::{log::action::kind, reason::Reason};

/// What a person is in a room, lowest rank first. Whoever the log does not name is a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Role {
    /// In the audience.
    Listener,
    /// On the stage by an accepted invitation.
    Speaker,
    /// Signed the genesis; on the stage from the start, and nobody can change that.
    Host,
}

/// Whom a rule lets its role act upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whom {
    /// The room as such.
    Room,
    /// Only oneself.
    Oneself,
    /// Anyone of a lower rank.
    Below,
}

/// One row of the table: `by` may do `kind` to `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// The act.
    pub kind: u16,
    /// The role that may do it.
    pub by: Role,
    /// To whom.
    pub to: Whom,
}

/// Whom an act is about, seen from its author.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The room as such.
    Room,
    /// The author.
    Oneself,
    /// Somebody else, who has this role.
    Other(Role),
}

/// The table.
pub const RULES: &[Rule] = &[
    rule(kind::TITLE, Role::Host, Whom::Room),
    rule(kind::INVITE, Role::Host, Whom::Below),
    rule(kind::ACCEPT, Role::Listener, Whom::Oneself),
    rule(kind::DECLINE, Role::Listener, Whom::Oneself),
    rule(kind::MOVE, Role::Host, Whom::Below),
    rule(kind::MOVE, Role::Speaker, Whom::Oneself),
    rule(kind::END, Role::Host, Whom::Room),
];

/// Asks the table.
///
/// # Errors
/// [`Reason::NotAllowed`] when no rule lets this role do this to that target.
pub fn check(kind: u16, by: Role, to: Target) -> Result<(), Reason> {
    let reaches = |whom| match (whom, to) {
        (Whom::Room, Target::Room) | (Whom::Oneself, Target::Oneself) => true,
        (Whom::Below, Target::Other(role)) => role < by,
        _ => false,
    };
    let allowed = RULES
        .iter()
        .any(|rule| rule.kind == kind && rule.by == by && reaches(rule.to));
    if allowed { Ok(()) } else { Err(Reason::NotAllowed) }
}

const fn rule(kind: u16, by: Role, to: Whom) -> Rule {
    Rule { kind, by, to }
}

impl Role {
    /// Its name in events and listings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Listener => "listener",
            Self::Speaker => "speaker",
            Self::Host => "host",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use alloc::{vec, vec::Vec};

    use super::*;

    const ROLES: [Role; 3] = [Role::Listener, Role::Speaker, Role::Host];

    fn targets() -> Vec<Target> {
        let others = ROLES.map(Target::Other);
        [vec![Target::Room, Target::Oneself], others.to_vec()].concat()
    }

    /// The whole table as it is meant, written out: what is here is allowed, and nothing else is.
    #[test]
    fn the_table_allows_this_and_nothing_else() {
        use Role::{Host, Listener, Speaker};
        use Target::{Oneself, Other, Room};
        let allowed = [
            (kind::TITLE, Host, Room),
            (kind::INVITE, Host, Other(Listener)),
            (kind::INVITE, Host, Other(Speaker)),
            (kind::ACCEPT, Listener, Oneself),
            (kind::DECLINE, Listener, Oneself),
            (kind::MOVE, Host, Other(Listener)),
            (kind::MOVE, Host, Other(Speaker)),
            (kind::MOVE, Speaker, Oneself),
            (kind::END, Host, Room),
        ];
        for kind in (0x8000..0x8040).chain([0, 0x0040, 0x0041, 0xffff]) {
            for by in ROLES {
                for to in targets() {
                    let expected = if allowed.contains(&(kind, by, to)) {
                        Ok(())
                    } else {
                        Err(Reason::NotAllowed)
                    };
                    assert_eq!(check(kind, by, to), expected, "{kind:#06x} by {by} to {to:?}");
                }
            }
        }
    }

    #[test]
    fn no_rule_reaches_the_host() {
        for rule in RULES {
            for by in ROLES {
                assert!(check(rule.kind, by, Target::Other(Role::Host)).is_err());
            }
        }
    }
}
