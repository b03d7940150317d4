//! Who may do what to whom: one table, and nothing else decides (SPEC.md section 7).
//!
//! Roles are ranked. A rule lets one role do one thing to the room, to oneself, or to people of a lower rank; what
//! no rule allows is refused. Nobody ranks above the host, so no rule can reach the host. Two more rules of rank stand
//! beside the table: nobody gives away a role as high as their own, and nobody lifts what a higher role has laid upon a
//! person.

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
    /// Keeps order: on the stage or not.
    Moderator,
    /// Does what the host does, but end the room; makes moderators. On the stage or not.
    CoHost,
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
    rule(kind::TITLE, Role::CoHost, Whom::Room),
    rule(kind::INVITE, Role::Host, Whom::Below),
    rule(kind::INVITE, Role::CoHost, Whom::Below),
    rule(kind::INVITE, Role::CoHost, Whom::Oneself),
    rule(kind::INVITE, Role::Moderator, Whom::Below),
    rule(kind::ACCEPT, Role::CoHost, Whom::Oneself),
    rule(kind::ACCEPT, Role::Moderator, Whom::Oneself),
    rule(kind::ACCEPT, Role::Listener, Whom::Oneself),
    rule(kind::DECLINE, Role::CoHost, Whom::Oneself),
    rule(kind::DECLINE, Role::Moderator, Whom::Oneself),
    rule(kind::DECLINE, Role::Listener, Whom::Oneself),
    rule(kind::MOVE, Role::Host, Whom::Below),
    rule(kind::MOVE, Role::CoHost, Whom::Below),
    rule(kind::MOVE, Role::CoHost, Whom::Oneself),
    rule(kind::MOVE, Role::Moderator, Whom::Below),
    rule(kind::MOVE, Role::Moderator, Whom::Oneself),
    rule(kind::MOVE, Role::Speaker, Whom::Oneself),
    rule(kind::END, Role::Host, Whom::Room),
    rule(kind::GRANT, Role::Host, Whom::Below),
    rule(kind::GRANT, Role::CoHost, Whom::Below),
    rule(kind::REVOKE, Role::Host, Whom::Below),
    rule(kind::REVOKE, Role::CoHost, Whom::Below),
    rule(kind::REVOKE, Role::CoHost, Whom::Oneself),
    rule(kind::REVOKE, Role::Moderator, Whom::Oneself),
    rule(kind::MUTE, Role::Host, Whom::Below),
    rule(kind::MUTE, Role::CoHost, Whom::Below),
    rule(kind::MUTE, Role::Moderator, Whom::Below),
    rule(kind::UNMUTE, Role::Host, Whom::Below),
    rule(kind::UNMUTE, Role::CoHost, Whom::Below),
    rule(kind::UNMUTE, Role::Moderator, Whom::Below),
    rule(kind::KICK, Role::Host, Whom::Below),
    rule(kind::KICK, Role::CoHost, Whom::Below),
    rule(kind::KICK, Role::Moderator, Whom::Below),
    rule(kind::BAN, Role::Host, Whom::Below),
    rule(kind::BAN, Role::CoHost, Whom::Below),
    rule(kind::BAN, Role::Moderator, Whom::Below),
    rule(kind::UNBAN, Role::Host, Whom::Below),
    rule(kind::UNBAN, Role::CoHost, Whom::Below),
    rule(kind::UNBAN, Role::Moderator, Whom::Below),
    rule(kind::LINE, Role::Host, Whom::Room),
    rule(kind::CHAIR, Role::Host, Whom::Room),
    rule(kind::CHAIR, Role::CoHost, Whom::Room),
    rule(kind::CARRIED, Role::Host, Whom::Room),
    rule(kind::CARRIED, Role::CoHost, Whom::Room),
    rule(kind::EXPOSED, Role::Host, Whom::Room),
    rule(kind::EXPOSED, Role::CoHost, Whom::Room),
    rule(kind::EXPOSED, Role::Moderator, Whom::Room),
    rule(kind::HANDS, Role::Host, Whom::Room),
    rule(kind::HANDS, Role::CoHost, Whom::Room),
    rule(kind::HANDS, Role::Moderator, Whom::Room),
    rule(kind::LOCK, Role::Host, Whom::Room),
    rule(kind::LOCK, Role::CoHost, Whom::Room),
    rule(kind::LOCK, Role::Moderator, Whom::Room),
    rule(kind::UNLOCK, Role::Host, Whom::Room),
    rule(kind::UNLOCK, Role::CoHost, Whom::Room),
    rule(kind::UNLOCK, Role::Moderator, Whom::Room),
    rule(kind::GUEST, Role::Host, Whom::Below),
    rule(kind::GUEST, Role::CoHost, Whom::Below),
    rule(kind::UNGUEST, Role::Host, Whom::Below),
    rule(kind::UNGUEST, Role::CoHost, Whom::Below),
    rule(kind::GUEST_LIST, Role::Host, Whom::Room),
    rule(kind::GUEST_LIST, Role::CoHost, Whom::Room),
    rule(kind::SPEAKERS, Role::Host, Whom::Room),
    rule(kind::SPEAKERS, Role::CoHost, Whom::Room),
    rule(kind::SCHEDULE, Role::Host, Whom::Room),
    rule(kind::CANCEL, Role::Host, Whom::Room),
    rule(kind::RECORD, Role::Host, Whom::Room),
    rule(kind::CHAT, Role::Host, Whom::Room),
    rule(kind::CHAT, Role::CoHost, Whom::Room),
    rule(kind::CHAT, Role::Moderator, Whom::Room),
    rule(kind::SLOW_MODE, Role::Host, Whom::Room),
    rule(kind::SLOW_MODE, Role::CoHost, Whom::Room),
    rule(kind::SLOW_MODE, Role::Moderator, Whom::Room),
    rule(kind::SPEAKING_TIME, Role::Host, Whom::Room),
    rule(kind::SPEAKING_TIME, Role::CoHost, Whom::Room),
    rule(kind::SPEAKING_TIME, Role::Moderator, Whom::Room),
    rule(kind::PIN, Role::Host, Whom::Room),
    rule(kind::PIN, Role::CoHost, Whom::Room),
    rule(kind::PIN, Role::Moderator, Whom::Room),
    rule(kind::UNPIN, Role::Host, Whom::Room),
    rule(kind::UNPIN, Role::CoHost, Whom::Room),
    rule(kind::UNPIN, Role::Moderator, Whom::Room),
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

/// Whether a role may give this one away: nobody gives what is as high as their own.
///
/// # Errors
/// [`Reason::NotAllowed`] when it is.
pub fn check_grant(by: Role, role: Role) -> Result<(), Reason> {
    if role < by {
        Ok(())
    } else {
        Err(Reason::NotAllowed)
    }
}

/// Whether a role may lift or change what somebody of another role has laid upon a person: a moderator does not undo
/// what the host did.
///
/// # Errors
/// [`Reason::NotAllowed`] when the other ranked higher.
pub fn check_lift(by: Role, laid_by: Role) -> Result<(), Reason> {
    if by >= laid_by {
        Ok(())
    } else {
        Err(Reason::NotAllowed)
    }
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
            Self::Moderator => "moderator",
            Self::CoHost => "co-host",
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

    const ROLES: [Role; 5] = [
        Role::Listener,
        Role::Speaker,
        Role::Moderator,
        Role::CoHost,
        Role::Host,
    ];

    fn targets() -> Vec<Target> {
        let others = ROLES.map(Target::Other);
        [vec![Target::Room, Target::Oneself], others.to_vec()].concat()
    }

    /// The whole table as it is meant, written out: a line of what is allowed to whom, by each role from the lowest.
    fn meant(kind: u16, by: Role) -> &'static [Target] {
        use Role::{CoHost, Host, Listener, Moderator, Speaker};
        use Target::{Oneself, Other, Room};
        const SELF: &[Target] = &[Oneself];
        const ROOM: &[Target] = &[Room];
        const BELOW_MODERATOR: &[Target] = &[Other(Listener), Other(Speaker)];
        const BELOW_CO_HOST: &[Target] = &[Other(Listener), Other(Speaker), Other(Moderator)];
        const BELOW_HOST: &[Target] = &[Other(Listener), Other(Speaker), Other(Moderator), Other(CoHost)];
        const SELF_AND_BELOW_MODERATOR: &[Target] = &[Oneself, Other(Listener), Other(Speaker)];
        const SELF_AND_BELOW_CO_HOST: &[Target] =
            &[Oneself, Other(Listener), Other(Speaker), Other(Moderator)];
        match (kind, by) {
            (kind::TITLE | kind::CHAIR | kind::CARRIED, CoHost | Host)
            | (kind::END | kind::LINE | kind::SCHEDULE | kind::CANCEL | kind::RECORD, Host) => ROOM,
            (kind::EXPOSED, Moderator | CoHost | Host) => ROOM,
            (
                kind::HANDS
                | kind::LOCK
                | kind::UNLOCK
                | kind::CHAT
                | kind::SLOW_MODE
                | kind::SPEAKING_TIME
                | kind::PIN
                | kind::UNPIN,
                Moderator | CoHost | Host,
            ) => ROOM,
            (kind::GUEST_LIST | kind::SPEAKERS, CoHost | Host) => ROOM,
            (kind::GUEST | kind::UNGUEST, Host) => BELOW_HOST,
            (kind::GUEST | kind::UNGUEST, CoHost) => BELOW_CO_HOST,
            (kind::ACCEPT | kind::DECLINE, Listener | Moderator | CoHost) => SELF,
            (kind::MOVE, Speaker) | (kind::REVOKE, Moderator) => SELF,
            (kind::MOVE, Moderator) => SELF_AND_BELOW_MODERATOR,
            (kind::INVITE | kind::MOVE | kind::REVOKE, CoHost) => SELF_AND_BELOW_CO_HOST,
            (kind::INVITE | kind::MOVE | kind::GRANT | kind::REVOKE, Host) => BELOW_HOST,
            (kind::GRANT, CoHost) => BELOW_CO_HOST,
            (kind::INVITE, Moderator) => BELOW_MODERATOR,
            (kind::MUTE | kind::UNMUTE | kind::KICK | kind::BAN | kind::UNBAN, by) => match by {
                Host => BELOW_HOST,
                CoHost => BELOW_CO_HOST,
                Moderator => BELOW_MODERATOR,
                Listener | Speaker => &[],
            },
            _ => &[],
        }
    }

    #[test]
    fn the_table_allows_what_is_meant_and_nothing_else() {
        for kind in (0x8000..0x8040).chain([0, 0x0040, 0x0041, 0x0042, 0xffff]) {
            for by in ROLES {
                for to in targets() {
                    let expected = if meant(kind, by).contains(&to) {
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
    fn nobody_gives_a_role_as_high_as_their_own_or_lifts_what_a_higher_one_did() {
        for by in ROLES {
            for other in ROLES {
                assert_eq!(check_grant(by, other).is_ok(), other < by, "{by} gives {other}");
                assert_eq!(check_lift(by, other).is_ok(), other <= by, "{by} lifts {other}'s");
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
