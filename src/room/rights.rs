//! Who may do what, as faces need it: asked beforehand, and in words for those whom the table of roles has refused.

use majlis_protocol::{
    log::{
        Role, kind,
        permissions::{self, RULES, Target, Whom},
    },
    person::Person,
    reason::Reason,
};

use super::{ActError, RoomAction, RoomHandle, RoomInfo};

impl RoomInfo {
    /// Whether the table of roles lets this person do this, as far as is known here. The room's rules may still refuse it,
    /// and so may what its subject is at the time.
    #[must_use]
    pub fn may(&self, action: &RoomAction) -> bool {
        may(action, self.role.0, |person| self.role_of(person))
    }

    /// Why this person may not do this, and who may; `None` where roles have no part in it.
    #[must_use]
    pub fn why_not(&self, action: &RoomAction) -> Option<String> {
        let me = self.people.iter().find(|one| one.me)?.key;
        let hint = hint(action, me, self.role.0)?;
        Some(format!("{}: {hint}", Reason::NotAllowed))
    }

    /// Whoever is not named is in the audience.
    fn role_of(&self, person: Person) -> Role {
        let known = self.people.iter().find(|one| one.key == person);
        known.map_or(Role::Listener, |known| known.role.0)
    }
}

impl RoomHandle {
    /// What to tell the person whose action was refused so: what the chair says, and who may where this person may not.
    pub async fn explain(&self, action: &RoomAction, error: &ActError) -> String {
        let is_of_roles = matches!(error, ActError::Refused(why) if why.reason == Reason::NotAllowed);
        let hint = match self.info().await.filter(|_| is_of_roles) {
            Some(info) => hint(action, self.me, info.role.0),
            None => None,
        };
        match hint {
            Some(hint) => format!("{error}: {hint}"),
            None => error.to_string(),
        }
    }
}

fn may(action: &RoomAction, role: Role, role_of: impl Fn(Person) -> Role) -> bool {
    let Some((kind, subject)) = kind_of(action) else {
        return true;
    };
    let target = match (subject, action) {
        (Some(person), _) => Target::Other(role_of(person)),
        (None, RoomAction::Accept | RoomAction::Decline | RoomAction::LeaveStage) => Target::Oneself,
        (None, _) => Target::Room,
    };
    let gives = match action {
        RoomAction::Grant { role: given, .. } => permissions::check_grant(role, *given),
        _ => Ok(()),
    };
    permissions::check(kind, role, target).and(gives).is_ok()
}

/// Why a person of this role may not do this, and who may; `None` where the table does not speak of it.
fn hint(action: &RoomAction, me: Person, role: Role) -> Option<String> {
    let (kind, subject) = kind_of(action)?;
    match (action, role) {
        (RoomAction::LeaveStage, Role::Host) => {
            let text = "a host is always on the stage; `majlis ctl mic off` closes the microphone, and Ctrl-C leaves";
            return Some(text.to_owned());
        }
        (RoomAction::LeaveStage, Role::Listener) => return Some("you are not on the stage".to_owned()),
        (RoomAction::Accept | RoomAction::Decline, Role::Host | Role::Speaker) => {
            return Some("you are on the stage already".to_owned());
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
    Some(match subject {
        _ if !could.contains(&role) => format!("only {who} may, and you are a {role}"),
        Some(subject) if subject == me => "nobody does that to themselves".to_owned(),
        _ => format!("you are a {role}, and each acts only on those of a lower role"),
    })
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

/// What an action is in the table, and whom it is about; `None` for what roles have no part in.
fn kind_of(action: &RoomAction) -> Option<(u16, Option<Person>)> {
    Some(match action {
        RoomAction::Title(_) => (kind::TITLE, None),
        // Whoever could answer a hand with an invitation may lower it.
        RoomAction::Invite(person) | RoomAction::LowerHand(person) => (kind::INVITE, Some(*person)),
        RoomAction::Accept => (kind::ACCEPT, None),
        RoomAction::Decline => (kind::DECLINE, None),
        RoomAction::LeaveStage => (kind::MOVE, None),
        RoomAction::Move(person) => (kind::MOVE, Some(*person)),
        RoomAction::End => (kind::END, None),
        RoomAction::Record { .. } => (kind::RECORD, None),
        RoomAction::Line(_) => (kind::LINE, None),
        RoomAction::Hands(_) => (kind::HANDS, None),
        RoomAction::Chat(_) => (kind::CHAT, None),
        RoomAction::SlowMode(_) => (kind::SLOW_MODE, None),
        RoomAction::SpeakingTime(_) => (kind::SPEAKING_TIME, None),
        RoomAction::Pin { pinned: true, .. } => (kind::PIN, None),
        RoomAction::Pin { .. } => (kind::UNPIN, None),
        RoomAction::Lock(true) => (kind::LOCK, None),
        RoomAction::Lock(false) => (kind::UNLOCK, None),
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
        // What leaves nothing in the log, but to lower the hand of another.
        _ => return None,
    })
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

    fn why(action: &RoomAction, role: Role) -> String {
        hint(action, ME, role).expect("a matter of roles")
    }

    #[test]
    fn who_is_refused_learns_who_could() {
        let pin = RoomAction::Pin {
            link: String::new(),
            pinned: true,
        };
        for action in [mute(OTHER), RoomAction::LowerHand(OTHER), pin] {
            assert_eq!(
                why(&action, Role::Listener),
                "only hosts, co-hosts and moderators may, and you are a listener"
            );
        }
        assert_eq!(
            why(&RoomAction::End, Role::CoHost),
            "only hosts may, and you are a co-host"
        );
    }

    #[test]
    fn where_roles_have_no_part_nobody_is_named_who_could() {
        for action in [RoomAction::Say(String::new()), RoomAction::Hand { raised: true }] {
            assert_eq!(hint(&action, ME, Role::Listener), None);
            assert!(may(&action, Role::Listener, |_| Role::Listener));
        }
    }

    #[test]
    fn what_the_table_refuses_is_known_beforehand() {
        let by = |role, action: &RoomAction| may(action, role, |_| Role::Moderator);
        let grant = |role| RoomAction::Grant { person: OTHER, role };
        assert!(by(Role::CoHost, &mute(OTHER)) && !by(Role::Moderator, &mute(OTHER)));
        assert!(by(Role::CoHost, &grant(Role::Moderator)) && !by(Role::CoHost, &grant(Role::CoHost)));
        assert!(by(Role::Moderator, &RoomAction::Lock(true)) && !by(Role::Speaker, &RoomAction::Lock(true)));
        assert!(by(Role::Speaker, &RoomAction::LeaveStage) && !by(Role::Host, &RoomAction::LeaveStage));
        assert!(by(Role::Listener, &RoomAction::Accept) && !by(Role::Speaker, &RoomAction::Accept));
    }

    #[test]
    fn who_may_do_it_to_others_learns_why_not_to_this_one() {
        assert!(why(&mute(ME), Role::Host).contains("themselves"));
        assert!(why(&mute(OTHER), Role::Moderator).contains("lower role"));
        let leaves = why(&RoomAction::LeaveStage, Role::Host);
        assert!(leaves.contains("always on the stage"), "{leaves}");
    }
}
