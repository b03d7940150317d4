//! What can be done with a person who was picked by a number: one table of keys.

use majlis::room::{RoomAction, RoomInfo};
use majlis_protocol::{log::Role, person::Person};

/// A deed, with the key that does it and what it is called.
pub(super) struct Deed {
    pub(super) key: char,
    pub(super) name: &'static str,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Invite,
    Mute,
    Unmute,
    Move,
    Lower,
    Moderator,
    CoHost,
    Revoke,
    Kick,
    Ban,
    Unban,
}

/// All of them. Two that share a key never fit the same person.
static DEEDS: [Deed; 11] = [
    deed('i', "invite", What::Invite),
    deed('m', "mute", What::Mute),
    deed('m', "unmute", What::Unmute),
    deed('a', "to the audience", What::Move),
    deed('d', "hand down", What::Lower),
    deed('g', "make moderator", What::Moderator),
    deed('c', "make co-host", What::CoHost),
    deed('r', "take the role back", What::Revoke),
    deed('k', "kick", What::Kick),
    deed('b', "ban", What::Ban),
    deed('u', "let in again", What::Unban),
];

/// What a person is in the room now.
#[derive(Debug, Default, Clone, Copy)]
struct Standing {
    on_stage: bool,
    muted: bool,
    invited: bool,
    hand: bool,
    office: bool,
    moderator: bool,
    kept_out: bool,
    me: bool,
}

const fn deed(key: char, name: &'static str, what: What) -> Deed {
    Deed { key, name, what }
}

impl Deed {
    pub(super) fn is(&self, what: What) -> bool {
        self.what == what
    }

    /// What it is in the room. Reasons and times are asked for where they are needed.
    pub(super) fn action(&self, person: Person) -> RoomAction {
        let reason = String::new();
        match self.what {
            What::Invite => RoomAction::Invite(person),
            What::Mute => RoomAction::Mute { person, reason },
            What::Unmute => RoomAction::Unmute { person, reason },
            What::Move => RoomAction::Move(person),
            What::Lower => RoomAction::LowerHand(person),
            What::Moderator => RoomAction::Grant {
                person,
                role: Role::Moderator,
            },
            What::CoHost => RoomAction::Grant {
                person,
                role: Role::CoHost,
            },
            What::Revoke => RoomAction::Revoke { person, reason },
            What::Kick => RoomAction::Kick { person, reason },
            What::Ban => RoomAction::Ban {
                person,
                lasts: None,
                reason,
            },
            What::Unban => RoomAction::Unban { person, reason },
        }
    }

    /// Whether it fits what the person is now.
    fn fits(&self, is: Standing) -> bool {
        match self.what {
            What::Unban => is.kept_out,
            _ if is.kept_out => false,
            What::Invite => !is.on_stage && !is.invited,
            What::Mute => is.on_stage && !is.muted,
            What::Unmute => is.muted,
            What::Move => is.on_stage || is.invited,
            What::Lower => is.hand,
            What::Moderator => !is.office,
            What::CoHost => !is.office || is.moderator,
            What::Revoke => is.office,
            What::Kick | What::Ban => !is.me,
        }
    }
}

/// What this person may do with that one now, as far as is known here.
pub(super) fn offered(info: &RoomInfo, person: Person) -> Vec<&'static Deed> {
    let is = standing(info, person);
    let fits = |deed: &&Deed| deed.fits(is) && info.may(&deed.action(person));
    DEEDS.iter().filter(fits).collect()
}

/// The deed that a key means for a person: the one that fits, else the one that the room will say why not of.
pub(super) fn meant(info: &RoomInfo, person: Person, key: char) -> Option<&'static Deed> {
    let is = standing(info, person);
    let mut of_key = DEEDS.iter().filter(|deed| deed.key == key);
    of_key
        .clone()
        .find(|deed| deed.fits(is))
        .or_else(|| of_key.next())
}

fn standing(info: &RoomInfo, person: Person) -> Standing {
    let hand = info.hands.iter().any(|hand| hand.key == person);
    let kept_out = info.kept_out.iter().any(|out| out.key == person);
    let known = info.people.iter().find(|one| one.key == person);
    let of_hand = Standing {
        hand,
        kept_out,
        ..Standing::default()
    };
    known.map_or(of_hand, |one| Standing {
        on_stage: one.on_stage,
        muted: one.muted,
        invited: one.invited,
        office: matches!(one.role.0, Role::Moderator | Role::CoHost),
        moderator: one.role.0 == Role::Moderator,
        me: one.me,
        ..of_hand
    })
}

#[cfg(test)]
mod tests {
    use super::{
        super::samples::{self, HOST, LISTENER, OUT, SPEAKER},
        *,
    };

    fn keys(role: Role, of: Person) -> String {
        let info = samples::info(role);
        offered(&info, of).iter().map(|deed| deed.key).collect()
    }

    #[test]
    fn what_fits_and_may_be_done_is_offered() {
        assert_eq!(keys(Role::Host, SPEAKER), "magckb");
        assert_eq!(keys(Role::Host, LISTENER), "idgckb");
        assert_eq!(keys(Role::Host, OUT), "u");
        assert_eq!(keys(Role::Moderator, LISTENER), "idkb");
        assert_eq!(keys(Role::Listener, SPEAKER), "");
        assert_eq!(keys(Role::CoHost, HOST), "", "nobody reaches the host");
    }

    #[test]
    fn a_key_means_what_fits_the_person_and_else_what_the_room_refuses() {
        let mut info = samples::info(Role::Host);
        let name = |info: &RoomInfo, of| meant(info, of, 'm').map(|deed| deed.name);
        assert_eq!(name(&info, SPEAKER), Some("mute"));
        assert_eq!(name(&info, LISTENER), Some("mute"));
        info.people.iter_mut().for_each(|one| one.muted = true);
        assert_eq!(name(&info, SPEAKER), Some("unmute"));
        assert!(meant(&info, SPEAKER, 'z').is_none());
    }
}
