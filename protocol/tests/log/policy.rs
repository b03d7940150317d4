//! Acts that set what the room lets people do, through a real chain: who may, what each leaves behind, and what changes
//! nothing.

use majlis_protocol::{
    limits,
    log::{Act, Change, Role},
    reason::Reason,
    room::Chat,
    text::Text,
};

use super::{Room, key, person};

const HOST: u8 = 1;
const CO_HOST: u8 = 2;
const MODERATOR: u8 = 3;
const SPEAKER: u8 = 4;
const LISTENER: u8 = 5;

/// A room with one of each role.
fn room() -> Room {
    let mut room = Room::open();
    for (subject, role) in [(CO_HOST, Role::CoHost), (MODERATOR, Role::Moderator)] {
        let subject = person(subject);
        room.does(&key(HOST), &Act::Grant { subject, role });
    }
    room.seat(&key(SPEAKER));
    room
}

fn refused(room: &mut Room, author: u8, act: &Act) -> Reason {
    let before = room.log.state().clone();
    let error = room.ask(&key(author), act).expect_err("refused");
    assert_eq!(
        *room.log.state(),
        before,
        "{act:?} was refused and changed something"
    );
    error.reason()
}

/// The act is allowed to the roles from `lowest` on, changes the rules once, and is refused by name to all others.
fn is_for(lowest: u8, act: &Act) {
    for author in [HOST, CO_HOST, MODERATOR, SPEAKER, LISTENER] {
        let mut room = room();
        if author > lowest {
            assert_eq!(
                refused(&mut room, author, act),
                Reason::NotAllowed,
                "{act:?} by {author}"
            );
            continue;
        }
        assert_eq!(room.does(&key(author), act).changes, [Change::Rules]);
        let again = refused(&mut room, HOST, act);
        assert_eq!(again, Reason::NoSuchSubject, "{act:?} changes nothing any more");
    }
}

#[test]
fn who_writes_in_the_chat_is_for_those_who_keep_order_to_say() {
    is_for(MODERATOR, &Act::Chat { who: Chat::Stage });
    is_for(MODERATOR, &Act::Chat { who: Chat::Nobody });
    let mut room = room();
    let may = |room: &Room| {
        [HOST, MODERATOR, SPEAKER, LISTENER].map(|who| room.log.state().check_chat(person(who), 0).is_ok())
    };
    assert_eq!(may(&room), [true; 4]);
    room.does(&key(HOST), &Act::Chat { who: Chat::Stage });
    assert_eq!(may(&room), [true, true, true, false]);
    room.does(&key(HOST), &Act::Chat { who: Chat::Nobody });
    assert_eq!(may(&room), [true, true, false, false]);
    room.does(&key(HOST), &Act::Chat { who: Chat::Anyone });
    assert_eq!(may(&room), [true; 4]);
}

#[test]
fn slow_mode_is_for_those_who_keep_order_to_set_and_holds_for_the_others() {
    is_for(MODERATOR, &Act::SlowMode { seconds: 30 });
    let mut room = room();
    let seconds = limits::SLOW_MODE_S;
    room.does(&key(MODERATOR), &Act::SlowMode { seconds });
    let apart = |who| room.log.state().check_chat(person(who), 0);
    assert_eq!(apart(SPEAKER), Ok(u64::from(seconds) * 1_000));
    assert_eq!(apart(LISTENER), Ok(u64::from(seconds) * 1_000));
    assert_eq!(apart(MODERATOR), Ok(limits::CHAT_APART_MS));
    assert_eq!(apart(HOST), Ok(limits::CHAT_APART_MS));
}

#[test]
fn who_is_kept_out_writes_nothing_whatever_the_policy() {
    let mut room = room();
    let kick = Act::Kick {
        subject: person(LISTENER),
        reason: Text::clean(""),
    };
    let out = room.does(&key(HOST), &kick).entry.clock;
    let state = room.log.state();
    assert_eq!(state.check_chat(person(LISTENER), out), Err(Reason::Kicked));
    let back = out + limits::KICK_MS;
    assert!(state.check_chat(person(LISTENER), back).is_ok());
}

fn pin(link: &str) -> Act {
    Act::Pin {
        link: Text::clean(link),
    }
}

fn unpin(link: &str) -> Act {
    Act::Unpin {
        link: Text::clean(link),
    }
}

#[test]
fn links_are_pinned_by_those_who_keep_order_in_order_and_not_twice() {
    is_for(MODERATOR, &pin("https://example.org/"));
    let mut room = room();
    let (first, second) = (pin("https://example.org/a"), pin("majlis:abc"));
    for act in [&first, &second] {
        room.does(&key(MODERATOR), act);
    }
    let pins = |room: &Room| room.log.state().rules().pins().to_vec();
    assert_eq!(
        pins(&room),
        [Text::clean("https://example.org/a"), Text::clean("majlis:abc")]
    );
    for author in [SPEAKER, LISTENER] {
        assert_eq!(
            refused(&mut room, author, &unpin("majlis:abc")),
            Reason::NotAllowed
        );
    }
    assert_eq!(
        refused(&mut room, HOST, &unpin("majlis:abcd")),
        Reason::NoSuchSubject
    );
    room.does(&key(CO_HOST), &unpin("https://example.org/a"));
    assert_eq!(pins(&room), [Text::clean("majlis:abc")]);
}

#[test]
fn so_many_links_are_pinned_and_no_more() {
    let mut room = room();
    for n in 0..limits::PINS {
        room.does(&key(HOST), &pin(&format!("https://example.org/{n}")));
    }
    let more = pin("https://example.org/more");
    assert_eq!(refused(&mut room, HOST, &more), Reason::Full);
    room.does(&key(HOST), &unpin("https://example.org/0"));
    room.does(&key(HOST), &more);
}

#[test]
fn a_speaking_time_is_set_by_those_who_keep_order_and_holds_for_speakers_alone() {
    is_for(MODERATOR, &Act::SpeakingTime { seconds: 60 });
    let mut room = room();
    room.seat(&key(MODERATOR));
    let until = |room: &Room, who| room.log.state().speaks_until(person(who));
    assert_eq!(until(&room, SPEAKER), None);
    let set = room
        .does(&key(HOST), &Act::SpeakingTime { seconds: 60 })
        .entry
        .clock;
    assert_eq!(
        until(&room, SPEAKER),
        Some(set + 60_000),
        "not from before it was set"
    );
    for who in [HOST, MODERATOR, LISTENER] {
        assert_eq!(until(&room, who), None);
    }
    let seated = room.seat(&key(LISTENER)).entry.clock;
    assert_eq!(until(&room, LISTENER), Some(seated + 60_000));
    room.does(&key(HOST), &Act::SpeakingTime { seconds: 0 });
    assert_eq!(until(&room, SPEAKER), None);
}
