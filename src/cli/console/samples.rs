//! A room as tests of the console see it.

use majlis::{
    event::Stats,
    room::{HandInfo, KeptOut, PersonInfo, RoomInfo, RulesInfo},
};
use majlis_protocol::{log::Role, person::Person, room::RoomId};

pub(super) const HOST: Person = Person([1; 32]);
pub(super) const SPEAKER: Person = Person([2; 32]);
pub(super) const LISTENER: Person = Person([3; 32]);
pub(super) const OUT: Person = Person([4; 32]);

/// Of somebody with another role than these, who is in the audience.
const OTHER: Person = Person([5; 32]);

/// A room with a host, a speaker, a listener whose hand is up and somebody who is banned, as whoever has this role sees
/// it; the host is the first of them.
pub(super) fn info(role: Role) -> RoomInfo {
    let mut people = vec![
        person(HOST, "amir", Role::Host),
        person(SPEAKER, "salma", Role::Speaker),
        person(LISTENER, "noor", Role::Listener),
    ];
    if role == Role::Host {
        people[0].me = true;
    } else {
        let mut me = person(OTHER, "omar", role);
        me.me = true;
        people.push(me);
    }
    RoomInfo {
        id: RoomId([9; 32]),
        link: RoomId([9; 32]).to_string().parse().expect("a bare id"),
        title: "Poems".into(),
        host: HOST,
        role: role.into(),
        parent: None,
        depth: 0,
        head: 1,
        term: 0,
        listeners: 1,
        microphone: false,
        muted: false,
        people,
        kept_out: vec![KeptOut {
            key: OUT,
            nick: None,
            tag: OUT.tag(),
            kicked: false,
            left_ms: None,
            reason: "spam".into(),
        }],
        hands: vec![HandInfo {
            place: 1,
            key: LISTENER,
            nick: "noor".into(),
            tag: LISTENER.tag(),
            waits_ms: 1_000,
        }],
        pins: Vec::new(),
        rules: RulesInfo {
            hands: "anyone",
            locked: false,
            guest_list: "off",
            guests: Vec::new(),
            speakers: 32,
            chat: "anyone",
            speaking_time_s: 0,
            slow_mode_s: 0,
        },
        recorded: false,
        stats: Stats::default(),
    }
}

fn person(key: Person, nick: &str, role: Role) -> PersonInfo {
    let on_stage = matches!(role, Role::Host | Role::Speaker);
    PersonInfo {
        key,
        nick: Some(nick.into()),
        tag: key.tag(),
        role: role.into(),
        on_stage,
        muted: false,
        mic: on_stage.then_some(false),
        turn_left_ms: None,
        invited: false,
        volume: 100,
        me: false,
    }
}
