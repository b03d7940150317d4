//! Acts of moderation among members in virtual time: what each does about them, and what whom they hit can still do.

use super::*;
use crate::{limits, log::Role, media::Tag};

const SECOND: Duration = Duration::from_secs(1);

fn mute(seed: u8) -> Command {
    Command::Mute {
        person: person(seed),
        reason: "noise".into(),
    }
}

fn unmute(seed: u8) -> Command {
    Command::Unmute {
        person: person(seed),
        reason: String::new(),
    }
}

fn kick(seed: u8) -> Command {
    Command::Kick {
        person: person(seed),
        reason: String::new(),
    }
}

fn ban(seed: u8) -> Command {
    Command::Ban {
        person: person(seed),
        lasts: None,
        reason: "spam".into(),
    }
}

fn unban(seed: u8) -> Command {
    Command::Unban {
        person: person(seed),
        reason: String::new(),
    }
}

impl World {
    fn host_does(&mut self, command: Command) {
        self.command(0, command).expect("the host may");
    }

    fn seat(&mut self, member: usize, seed: u8) -> Tag {
        self.host_does(Command::Invite(person(seed)));
        self.command(member, Command::Accept).expect("invited");
        self.members[0].log().expect("a log").state().stage()[&person(seed)].tag
    }

    /// A listener whose only link is to another member.
    fn below(&mut self, parent: usize, seed: u8) -> usize {
        let member = self.newcomer(seed);
        self.connect(member, parent);
        member
    }

    fn routes(&self, member: usize) -> Vec<Route> {
        let routes = self.outputs(member).filter_map(|output| match output {
            Output::Route(route) => Some(*route),
            _ => None,
        });
        routes.collect()
    }

    fn epochs(&self, member: usize) -> Vec<u32> {
        let stages = self.outputs(member).filter_map(|output| match output {
            Output::Stage(Some(stage)) => Some(stage.epoch),
            _ => None,
        });
        stages.collect()
    }

    fn refused_for(&self, member: usize) -> Option<Reason> {
        match self.left(member) {
            Some(Left::Refused(refusal)) => Some(refusal.reason),
            _ => None,
        }
    }
}

#[test]
fn a_mute_silences_a_speaker_at_every_member_and_a_new_epoch_begins_when_it_is_lifted() {
    let mut world = World::hosted();
    let (speaker, _) = world.joined(2);
    let (relay, _) = world.joined(3);
    let deep = world.below(relay, 4);
    let tag = world.seat(speaker, 2);
    world.host_does(mute(2));
    let entry = world.members[0].log().expect("a log").head().sequence;
    for member in [0, speaker, relay, deep] {
        assert!(world.routes(member).contains(&Route::Mute(tag)), "at {member}");
        let silenced = world.events(member).contains(&&Event::Silenced(person(2)));
        assert!(silenced, "what is buffered at {member} is not heard");
    }
    let refusal = world.command(speaker, unmute(2)).expect_err("not by oneself");
    assert_eq!(refusal.reason, Reason::NotAllowed);
    world.host_does(unmute(2));
    let since = entry + 1;
    for member in [0, speaker, relay, deep] {
        assert!(
            world.routes(member).contains(&Route::Unmute { tag, since }),
            "at {member}"
        );
    }
    let epochs = world.epochs(speaker);
    assert!(epochs.len() == 2 && epochs[1] > epochs[0], "{epochs:?}");
}

#[test]
fn a_newcomer_learns_who_is_muted_and_since_when_others_may_be_heard_again() {
    let mut world = World::hosted();
    let (muted, _) = world.joined(2);
    let (heard, _) = world.joined(3);
    let silent = world.seat(muted, 2);
    let tag = world.seat(heard, 3);
    world.host_does(mute(2));
    world.host_does(mute(3));
    world.host_does(unmute(3));
    let log = world.members[0].log().expect("a log").clone();
    let since = log.head().sequence;
    let room = RoomId::of(&genesis());
    let back = Member::join(config(4), room, Some(log), world.now).expect("a member");
    world.members.push(back);
    world.run();
    let routes = world.routes(3);
    assert!(routes.contains(&Route::Mute(silent)) && !routes.contains(&Route::Mute(tag)));
    assert!(routes.contains(&Route::Unmute { tag, since }));
}

#[test]
fn a_muted_person_who_comes_back_is_still_muted() {
    let mut world = World::hosted();
    let (speaker, at_host) = world.joined(2);
    world.seat(speaker, 2);
    world.host_does(mute(2));
    world.cut(at_host);
    let (back, _) = world.joined(2);
    let state = world.members[back].log().expect("a log").state();
    assert!(state.mutes().contains_key(&person(2)));
    assert!(
        world
            .routes(back)
            .iter()
            .any(|route| matches!(route, Route::Mute(_)))
    );
}

#[test]
fn a_moderator_below_a_relay_bans_through_it_and_everyone_closes_on_the_banned() {
    let mut world = World::hosted();
    let (relay, _) = world.joined(2);
    let moderator = world.below(relay, 3);
    let banned = world.below(relay, 4);
    world.host_does(Command::Grant {
        person: person(3),
        role: Role::Moderator,
    });
    assert_eq!(world.members[moderator].role(), Role::Moderator);
    world.command(moderator, ban(4)).expect("a moderator may");
    assert_eq!(world.refused_for(banned), Some(Reason::Banned));
    let Some(Left::Refused(refusal)) = world.left(banned) else {
        panic!("it left");
    };
    assert!(refusal.text.as_str().ends_with(": spam"), "{refusal:?}");
    assert!(
        world.members[relay]
            .people()
            .all(|profile| profile.person != person(4))
    );
    assert_eq!((world.left(relay), world.left(moderator)), (None, None));
}

#[test]
fn a_banned_key_is_let_in_by_no_member_whatever_its_peer() {
    let mut world = World::hosted();
    let (relay, _) = world.joined(2);
    world.host_does(ban(4));
    for (at, peer) in [(0, 4), (relay, 4), (0, 44), (relay, 45)] {
        let member = world.members.len();
        let config = Config {
            peer: Peer([peer; 32]),
            ..config(4)
        };
        let room = RoomId::of(&genesis());
        world
            .members
            .push(Member::join(config, room, None, world.now).expect("a member"));
        world.run();
        world.connect(member, at);
        assert!(!world.members[member].joined, "let in by {at}");
        world.members[member].handle(Input::NobodyLeft, world.now);
        world.run();
        assert_eq!(world.refused_for(member), Some(Reason::Banned), "by {at}");
    }
}

#[test]
fn a_banned_relay_loses_its_children_too() {
    let mut world = World::hosted();
    let (relay, _) = world.joined(2);
    let deep = world.below(relay, 3);
    world.host_does(ban(2));
    assert_eq!(world.refused_for(relay), Some(Reason::Banned));
    assert_eq!(world.members[deep].parent(), None);
    assert_eq!(world.left(deep), None);
    world.connect(deep, 0);
    assert_eq!(world.members[deep].parent(), Some(Peer([1; 32])));
}

#[test]
fn a_kicked_person_is_let_in_again_after_a_minute_and_is_a_listener() {
    let mut world = World::hosted();
    let (speaker, _) = world.joined(2);
    world.seat(speaker, 2);
    world.host_does(Command::Grant {
        person: person(2),
        role: Role::CoHost,
    });
    world.host_does(kick(2));
    assert_eq!(world.refused_for(speaker), Some(Reason::Kicked));
    let (soon, _) = world.joined(2);
    assert!(!world.members[soon].joined);
    world.pass(Duration::from_millis(limits::KICK_MS) + SECOND);
    let (later, _) = world.joined(2);
    assert!(world.members[later].joined);
    assert_eq!(world.members[later].role(), Role::Listener);
    assert!(world.epochs(later).is_empty(), "the stage is lost");
}

#[test]
fn who_was_banned_and_let_in_again_is_not_put_out_by_the_old_entry() {
    let mut world = World::hosted();
    world.host_does(ban(2));
    world.host_does(unban(2));
    let (guest, _) = world.joined(2);
    assert_eq!(world.left(guest), None);
    assert!(world.members[guest].joined);
}

#[test]
fn who_is_put_out_can_ask_for_nothing_more() {
    let mut world = World::hosted();
    let (banned, at_host) = world.joined(2);
    let log = world.members[banned].log().expect("a log").clone();
    world.host_does(ban(2));
    assert!(!world.owners.contains_key(&at_host), "the link is closed");
    let (relay, at_host) = world.joined(3);
    let action = Action::new(log.room(), person(2), log.head(), 0, &Act::End);
    let action = Verified::sign(action, &key(2)).expect("valid");
    let before = world.members[0].log().expect("a log").head();
    world.say(0, at_host, Message::Request(action.signed().clone()));
    assert_eq!(world.members[0].log().expect("a log").head(), before);
    assert_eq!(world.left(relay), None);
}
