//! Who could have done what somebody may not: the table of roles in words, for those it has refused.

use majlis_protocol::{
    log::{
        Role, kind,
        permissions::{RULES, Whom},
    },
    person::Person,
};

use crate::room::RoomAction;

/// Why a person of this role may not do this, and who may.
pub(super) fn hint(action: &RoomAction, me: Person, role: Role) -> String {
    let (kind, subject) = kind_of(action);
    match (action, role) {
        (RoomAction::LeaveStage, Role::Host) => {
            return "a host is always on the stage; `majlis ctl mic off` closes the microphone, and Ctrl-C leaves"
                .to_owned();
        }
        (RoomAction::LeaveStage, Role::Listener) => return "you are not on the stage".to_owned(),
        (RoomAction::Accept | RoomAction::Decline, Role::Host | Role::Speaker) => {
            return "you are on the stage already".to_owned();
        }
        _ => {}
    }
    let could: Vec<Role> = [Role::Host, Role::CoHost, Role::Moderator]
        .into_iter()
        .filter(|role| {
            RULES
                .iter()
                .any(|rule| rule.kind == kind && rule.by == *role && rule.to != Whom::Oneself)
        })
        .collect();
    let who = listed(&could);
    match subject {
        _ if !could.contains(&role) => format!("only {who} may, and you are a {role}"),
        Some(subject) if subject == me => "nobody does that to themselves".to_owned(),
        _ => format!("you are a {role}, and each acts only on those of a lower role"),
    }
}

/// "hosts, co-hosts and moderators".
fn listed(roles: &[Role]) -> String {
    let names: Vec<String> = roles.iter().map(|role| format!("{role}s")).collect();
    match names.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, before)) => format!("{} and {last}", before.join(", ")),
        None => "nobody".to_owned(),
    }
}

/// What an action is in the table, and whom it is about.
fn kind_of(action: &RoomAction) -> (u16, Option<Person>) {
    match action {
        RoomAction::Title(_) => (kind::TITLE, None),
        RoomAction::Invite(person) => (kind::INVITE, Some(*person)),
        RoomAction::Accept => (kind::ACCEPT, None),
        RoomAction::Decline => (kind::DECLINE, None),
        RoomAction::LeaveStage => (kind::MOVE, None),
        RoomAction::Move(person) => (kind::MOVE, Some(*person)),
        RoomAction::End => (kind::END, None),
        RoomAction::Record { .. } => (kind::RECORD, None),
        RoomAction::Line(_) => (kind::LINE, None),
        RoomAction::Hands(_) => (kind::HANDS, None),
        RoomAction::Lock(_) => (kind::LOCK, None),
        RoomAction::Guest { person, .. } => (kind::GUEST, Some(*person)),
        RoomAction::GuestList(_) => (kind::GUEST_LIST, None),
        RoomAction::Speakers(_) => (kind::SPEAKERS, None),
        RoomAction::Grant { person, .. } => (kind::GRANT, Some(*person)),
        RoomAction::Revoke { person, .. } => (kind::REVOKE, Some(*person)),
        RoomAction::Mute { person, .. } => (kind::MUTE, Some(*person)),
        RoomAction::Unmute { person, .. } => (kind::UNMUTE, Some(*person)),
        RoomAction::Kick { person, .. } => (kind::KICK, Some(*person)),
        RoomAction::Ban { person, .. } => (kind::BAN, Some(*person)),
        RoomAction::Unban { person, .. } => (kind::UNBAN, Some(*person)),
        _ => (0, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: Person = Person([1; 32]);
    const OTHER: Person = Person([2; 32]);

    fn mute(person: Person) -> RoomAction {
        RoomAction::Mute {
            person,
            reason: String::new(),
        }
    }

    #[test]
    fn who_is_refused_learns_who_could() {
        assert_eq!(
            hint(&mute(OTHER), ME, Role::Listener),
            "only hosts, co-hosts and moderators may, and you are a listener"
        );
        assert_eq!(
            hint(&RoomAction::End, ME, Role::CoHost),
            "only hosts may, and you are a co-host"
        );
    }

    #[test]
    fn who_may_do_it_to_others_learns_why_not_to_this_one() {
        assert!(hint(&mute(ME), ME, Role::Host).contains("themselves"));
        assert!(hint(&mute(OTHER), ME, Role::Moderator).contains("lower role"));
        let leaves = hint(&RoomAction::LeaveStage, ME, Role::Host);
        assert!(leaves.contains("always on the stage"), "{leaves}");
    }
}
