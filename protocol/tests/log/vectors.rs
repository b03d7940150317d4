//! `vectors/log.json`: a log with what people ask of a room, a beacon and a tick, made with fixed keys.
//!
//! To write it anew after the format was changed on purpose:
//! `cargo test -p majlis-protocol --test tests -- --ignored log::vectors::write`

use std::{fs, path::PathBuf};

use majlis_protocol::{
    log::{Act, ActionId, Beacon, Entry, GuestList, Log, NewestBeacon, Role, Tick},
    person::{Peer, Person, PersonKey},
    room::{Chat, Genesis, Hands, RoomId},
    signed::{Signed, Verified},
    text::Text,
    wire::{frame::FrameReader, message::Message},
};
use serde_json::{Value, json};

use super::{Room, key, person, title};

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors/log.json")
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

fn unhex(value: &Value) -> Vec<u8> {
    data_encoding::HEXLOWER
        .decode(value.as_str().expect("hex").as_bytes())
        .expect("hex")
}

/// The room of the vectors: every kind of entry but `decline`.
fn make() -> Value {
    let (host, guest) = (key(1), key(2));
    let mut room = Room::open();
    let mut entries = Vec::new();
    let mut log = |room: &mut Room, author: &PersonKey, act: &Act| {
        let applied = room.does(author, act);
        entries.push(json!({
            "name": act.name(),
            "sequence": applied.entry.sequence,
            "clock": applied.entry.clock,
            "author": hex(&author.person().0),
            "action_id": hex(&applied.id.0),
            "entry_id": hex(&applied.hash),
            "signed": hex(&applied.entry.signed().to_bytes()),
        }));
        applied.hash
    };
    log(&mut room, &host, &title("مجلس الجيران"));
    let invite = log(
        &mut room,
        &host,
        &Act::Invite {
            subject: guest.person(),
        },
    );
    log(&mut room, &guest, &Act::Accept { invite });
    let tag = room.log.state().stage()[&guest.person()].tag;
    let subject = guest.person();
    let reason = Text::clean("ضجيج");
    log(&mut room, &host, &Act::Mute { subject, reason });
    let reason = Text::clean("");
    log(&mut room, &host, &Act::Unmute { subject, reason });
    log(
        &mut room,
        &guest,
        &Act::Move {
            subject: guest.person(),
        },
    );
    for (author, act) in moderation(guest.person()) {
        let author = if author { &host } else { &guest };
        log(&mut room, author, &act);
    }
    for act in policy(person(3)) {
        log(&mut room, &host, &act);
    }
    let head = room.head();
    log(&mut room, &host, &Act::End);
    let mut beacon = Beacon::new(
        room.log.room(),
        host.person(),
        (0, 7),
        4_500,
        head,
        Peer(host.person().0),
    );
    beacon.fallback = Some(Peer(guest.person().0));
    let beacon = Verified::sign(beacon, &host).unwrap();
    let next = Beacon {
        number: 8,
        clock: 5_500,
        ..(*beacon).clone()
    };
    let next = Verified::sign(next, &host).unwrap();
    let tick = Tick::between(&beacon, &next).expect("only the time is new");
    json!({
        "about": "SPEC.md sections 5, 7, 8 and 11. All bytes are hex. `signed` is the statement as it travels: \
                  varint length, payload, signature. A seed is the secret key of RFC 8032. `frame` is the tick as a \
                  control frame, which makes `signed` of `beacon`.",
        "host": { "seed": hex(&host.to_seed()), "person": hex(&host.person().0) },
        "guest": { "seed": hex(&guest.to_seed()), "person": hex(&guest.person().0), "tag": hex(&tag.0) },
        "genesis": hex(&room.log.genesis().signed().to_bytes()),
        "room": hex(&room.log.room().0),
        "entries": entries,
        "beacon": {
            "term": 0, "number": 7, "clock": 4_500, "head": { "sequence": head.sequence, "hash": hex(&head.hash) },
            "signed": hex(&beacon.signed().to_bytes()),
        },
        "tick": {
            "number": 8, "clock": 5_500, "frame": hex(&Message::Tick(tick).encode().unwrap()),
            "signed": hex(&next.signed().to_bytes()),
        },
    })
}

/// Every act of moderation once, each by the host (true) or the guest.
fn moderation(guest: Person) -> Vec<(bool, Act)> {
    let (subject, reason) = (person(3), Text::clean("ضجيج"));
    vec![
        (
            true,
            Act::Grant {
                subject: guest,
                role: Role::Moderator,
            },
        ),
        (
            false,
            Act::Kick {
                subject,
                reason: reason.clone(),
            },
        ),
        (
            false,
            Act::Ban {
                subject,
                lasts_ms: Some(3_600_000),
                reason,
            },
        ),
        (
            true,
            Act::Unban {
                subject,
                reason: Text::clean("a mistake"),
            },
        ),
        (
            true,
            Act::Revoke {
                subject: guest,
                reason: Text::clean(""),
            },
        ),
    ]
}

/// Every act about what the room lets people do, by the host.
fn policy(subject: Person) -> Vec<Act> {
    vec![
        Act::Hands { who: Hands::Nobody },
        Act::Lock,
        Act::Unlock,
        Act::Guest { subject },
        Act::GuestList {
            list: GuestList::Speak,
        },
        Act::Unguest { subject },
        Act::Speakers { most: 7 },
        Act::Chat { who: Chat::Stage },
        Act::SlowMode { seconds: 30 },
        Act::SpeakingTime { seconds: 600 },
        Act::Record { on: true },
        Act::Pin {
            link: Text::clean("https://example.org/مجلس"),
        },
        Act::Unpin {
            link: Text::clean("https://example.org/مجلس"),
        },
    ]
}

#[test]
#[ignore = "writes vectors/log.json; run it when the format was changed on purpose"]
fn write() {
    let text = serde_json::to_string_pretty(&make()).unwrap();
    fs::create_dir_all(path().parent().unwrap()).unwrap();
    fs::write(path(), text + "\n").unwrap();
}

#[test]
fn the_vectors_are_what_this_crate_writes() {
    let text = fs::read_to_string(path()).expect("vectors/log.json");
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), make());
}

#[test]
fn the_vectors_are_accepted_from_their_bytes_alone() {
    let vectors: Value = serde_json::from_str(&fs::read_to_string(path()).unwrap()).unwrap();
    let genesis = Signed::<Genesis>::from_bytes(&unhex(&vectors["genesis"]))
        .unwrap()
        .verify()
        .unwrap();
    let room = RoomId(unhex(&vectors["room"]).try_into().unwrap());
    assert_eq!(RoomId::of(&genesis), room);

    let mut log = Log::new(genesis);
    let entries = vectors["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 12 + policy(person(3)).len());
    for vector in entries {
        let entry = Signed::<Entry>::from_bytes(&unhex(&vector["signed"])).unwrap();
        let applied = log.handle_entry(entry).unwrap().expect("a new entry");
        assert_eq!(vector["name"], applied.act.name());
        assert_eq!(vector["sequence"], applied.entry.sequence);
        assert_eq!(vector["entry_id"], hex(&applied.hash));
        assert_eq!(
            applied.id,
            ActionId(unhex(&vector["action_id"]).try_into().unwrap())
        );
        assert_eq!(vector["author"], hex(&applied.author().0));
        if vector["name"] == "accept" {
            assert_eq!(
                vectors["guest"]["tag"],
                hex(&log.state().stage()[&person(2)].tag.0)
            );
        }
    }
    assert!(log.state().ended());

    let beacon = Signed::<Beacon>::from_bytes(&unhex(&vectors["beacon"]["signed"])).unwrap();
    let mut newest = NewestBeacon::default();
    let beacon = newest
        .handle(beacon, room, log.state().chair())
        .unwrap()
        .expect("the first");
    assert_eq!(vectors["beacon"]["number"], beacon.number);
    assert_eq!(vectors["beacon"]["head"]["sequence"], beacon.head.sequence);

    let mut frames = FrameReader::default();
    frames.push(&unhex(&vectors["tick"]["frame"]));
    let frame = frames.next_frame().unwrap().expect("whole");
    let Ok(Some(Message::Tick(tick))) = Message::decode(&frame) else {
        panic!("no tick");
    };
    let next = tick.onto(beacon);
    assert_eq!(vectors["tick"]["signed"], hex(&next.to_bytes()));
    assert_eq!(vectors["tick"]["clock"], next.verify().unwrap().clock);
}
