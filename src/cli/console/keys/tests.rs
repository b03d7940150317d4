//! Keys, one after the other, and what they come to.

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use majlis_protocol::log::Role;

use super::{
    super::samples::{self, LISTENER, OUT, SPEAKER},
    *,
};

/// What keys typed one after the other come to in the end; `⏎` is Enter, `⎋` Esc.
fn after(info: &RoomInfo, keys: &str) -> (Mode, Vec<Effect>) {
    let mut now = (Mode::Room, Vec::new());
    for character in keys.chars() {
        let key = match character {
            '⏎' => Key::Enter,
            '⎋' => Key::Esc,
            other => Key::Char(other),
        };
        now = press(now.0, key, info, false);
    }
    now
}

fn does(role: Role, keys: &str) -> Vec<Effect> {
    let (mode, effects) = after(&samples::info(role), keys);
    assert_eq!(mode, Mode::Room, "{keys}");
    effects
}

/// The one action that keys come to.
fn acts(role: Role, keys: &str) -> RoomAction {
    let mut effects = does(role, keys);
    match (effects.pop(), effects.pop()) {
        (Some(Effect::Act(action)), None) => action,
        other => panic!("{keys}: {other:?}"),
    }
}

fn says(role: Role, keys: &str) -> String {
    match after(&samples::info(role), keys).1.pop() {
        Some(Effect::Say(text)) => text,
        other => panic!("{keys}: {other:?}"),
    }
}

#[test]
fn one_key_does_what_concerns_oneself() {
    for keys in ["m", "M", "⏎"] {
        assert_eq!(does(Role::Host, keys), [Effect::Microphone], "{keys}");
    }
    assert_eq!(does(Role::Host, " "), [Effect::Talk]);
    assert_eq!(acts(Role::Listener, "r"), RoomAction::Hand { raised: true });
    assert_eq!(acts(Role::Listener, "a"), RoomAction::Accept);
    assert_eq!(acts(Role::Listener, "d"), RoomAction::Decline);
    assert_eq!(acts(Role::Speaker, "s"), RoomAction::LeaveStage);
    let mut info = samples::info(Role::Listener);
    info.hands[0].key = info.people[3].key;
    assert_eq!(
        after(&info, "r").1,
        [Effect::Act(RoomAction::Hand { raised: false })]
    );
}

#[test]
fn a_number_and_a_key_act_on_a_hand() {
    assert_eq!(acts(Role::Host, "1i"), RoomAction::Invite(LISTENER));
    assert_eq!(acts(Role::Moderator, "1d"), RoomAction::LowerHand(LISTENER));
    assert!(
        says(Role::Host, "2").starts_with("  1  noor#"),
        "there is one hand"
    );
    assert_eq!(after(&samples::info(Role::Host), "1⎋⎋").0, Mode::Room);
}

#[test]
fn a_list_and_a_number_and_a_key_act_on_a_person() {
    let reason = String::new();
    let mute = RoomAction::Mute {
        person: SPEAKER,
        reason,
    };
    assert_eq!(acts(Role::Host, "p2m"), mute);
    assert_eq!(acts(Role::Host, "o2a"), RoomAction::Move(SPEAKER));
    assert_eq!(acts(Role::Host, "w1i"), RoomAction::Invite(LISTENER));
    let unban = RoomAction::Unban {
        person: OUT,
        reason: String::new(),
    };
    assert_eq!(acts(Role::Host, "p4u"), unban);
    let grant = |role| RoomAction::Grant {
        person: LISTENER,
        role,
    };
    assert_eq!(acts(Role::Host, "p3g"), grant(Role::Moderator));
    assert_eq!(acts(Role::Host, "p3c"), grant(Role::CoHost));
    let info = says(Role::Listener, "i");
    assert!(
        info.contains("title      Poems") && info.contains("link       majlis:"),
        "{info}"
    );
    assert!(says(Role::Host, "p9").contains("no such number"));
    assert!(says(Role::Host, "p3z").contains("Esc goes back"));
}

#[test]
fn as_long_as_nobody_is_picked_a_list_is_in_nobodys_way() {
    assert_eq!(does(Role::Host, "pm"), [Effect::Microphone]);
    assert_eq!(acts(Role::Host, "pl"), RoomAction::Lock(true));
    assert!(matches!(
        after(&samples::info(Role::Host), "pc").0,
        Mode::Typing(_)
    ));
}

#[test]
fn whoever_is_put_out_is_told_why() {
    let kick = |reason: &str| RoomAction::Kick {
        person: SPEAKER,
        reason: reason.into(),
    };
    assert_eq!(acts(Role::Host, "p2kcool down⏎"), kick("cool down"));
    assert_eq!(acts(Role::Host, "p2k⏎"), kick(""));
    assert_eq!(does(Role::Host, "p2k⎋"), []);
    let ban = |lasts| RoomAction::Ban {
        person: SPEAKER,
        lasts,
        reason: "noise".into(),
    };
    assert_eq!(acts(Role::Host, "p2b⏎noise⏎y"), ban(None));
    assert_eq!(
        acts(Role::Host, "p2b2h⏎noise⏎y"),
        ban(Some(Duration::from_secs(7_200)))
    );
    assert_eq!(does(Role::Host, "p2b⏎noise⏎n"), [], "it has to be meant");
    assert!(says(Role::Host, "p2bsoon⏎").contains("not a time"));
}

#[test]
fn what_a_role_may_not_do_is_not_begun_and_says_why() {
    for keys in ["l", "p2m", "p2k", "p2b", "1i", "1d", "p4u"] {
        let why = says(Role::Listener, keys);
        assert!(
            why.contains("only hosts, co-hosts and moderators may"),
            "{keys}: {why}"
        );
    }
    assert!(says(Role::Moderator, "x").contains("only hosts may, and you are a moderator"));
    assert!(says(Role::Moderator, "t").contains("only hosts and co-hosts may"));
    assert!(says(Role::Host, "s").contains("always on the stage"));
    assert!(says(Role::Listener, "z").contains('?'));
}

#[test]
fn lines_titles_reactions_and_the_lock_go_to_the_room() {
    for key in ["c", "/"] {
        let say = acts(Role::Listener, &format!("{key}welcome, all ? 1⏎"));
        assert_eq!(say, RoomAction::Say("welcome, all ? 1".into()));
    }
    assert_eq!(does(Role::Listener, "c⏎"), []);
    // The title of the room stands there, to be changed.
    assert_eq!(
        acts(Role::Host, "t and songs⏎"),
        RoomAction::Title("Poems and songs".into())
    );
    assert_eq!(does(Role::Host, "t⏎"), []);
    let clap = Reactions::one("clap").expect("there is one");
    assert_eq!(acts(Role::Listener, "e1"), RoomAction::React(clap));
    assert!(says(Role::Listener, "e9").contains("no such reaction"));
    assert_eq!(acts(Role::Moderator, "l"), RoomAction::Lock(true));
    let mut info = samples::info(Role::Moderator);
    info.rules.locked = true;
    assert_eq!(after(&info, "l").1, [Effect::Act(RoomAction::Lock(false))]);
}

#[test]
fn what_cannot_be_undone_waits_for_a_yes_and_control_c_does_not() {
    assert_eq!(acts(Role::Host, "xy"), RoomAction::End);
    assert_eq!(does(Role::Host, "qy"), [Effect::Leave]);
    for keys in ["xn", "x⏎", "q⎋", "qq"] {
        assert_eq!(does(Role::Host, keys), [], "{keys}");
    }
    let info = samples::info(Role::Host);
    for before in ["", "c", "x", "p2", "p2b"] {
        let (mode, _) = after(&info, before);
        let (_, effects) = press(mode, Key::Ctrl('c'), &info, false);
        assert_eq!(effects, [Effect::Leave], "{before}");
    }
}

#[test]
fn keys_are_known_however_a_terminal_spells_them() {
    let key = |code, modifiers| Key::of(&KeyEvent::new(code, modifiers));
    let none = KeyModifiers::NONE;
    assert_eq!(key(KeyCode::Char('ه'), none), Some(Key::Char('ه')));
    assert_eq!(key(KeyCode::Char('a'), KeyModifiers::SHIFT), Some(Key::Char('A')));
    assert_eq!(
        key(KeyCode::Char('C'), KeyModifiers::CONTROL),
        Some(Key::Ctrl('c'))
    );
    assert_eq!(key(KeyCode::Char('x'), KeyModifiers::ALT), None);
    assert_eq!(key(KeyCode::Up, none), None);
}
