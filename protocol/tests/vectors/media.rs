//! `media.json`: packets that are heard, packets that are malformed and why, packets that are forged.

use majlis_protocol::{
    domain,
    media::{Draft, Header, Packet, Tag},
    person::{Person, PersonKey},
    room::RoomId,
};
use serde::{Deserialize, Serialize};

use super::{array, bytes, hex};

const SEED: [u8; 32] = [0x11; 32];
const ROOM: RoomId = RoomId([0x22; 32]);

/// Every reason for which a packet is malformed.
const REASONS: [&str; 14] = [
    "too-long",
    "too-short",
    "kind",
    "version",
    "flags",
    "sealed",
    "frame-count",
    "level",
    "range",
    "varint",
    "frame-length",
    "truncated",
    "offset",
    "left-over",
];

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Media {
    about: String,
    seed: String,
    key: String,
    person: String,
    room: String,
    good: Vec<Good>,
    malformed: Vec<Malformed>,
    forged: Vec<Forged>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Good {
    name: String,
    tag: String,
    epoch: u32,
    sequence: u32,
    time: u32,
    log: u32,
    level: u8,
    end_of_spurt: bool,
    frames: Vec<Frame>,
    redundant: Vec<Frame>,
    packet: String,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Frame {
    sequence: u32,
    time: u32,
    opus: String,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Malformed {
    reason: String,
    what: String,
    packet: String,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Forged {
    what: String,
    packet: String,
}

#[test]
fn the_media_vectors_are_what_their_generator_makes() {
    assert_eq!(super::load::<Media>("media.json"), generate());
}

#[test]
fn the_good_packets_are_heard_as_they_are_described() {
    let vectors = super::load::<Media>("media.json");
    let person: Person = vectors.person.parse().unwrap();
    assert_eq!(person, Person(array(&vectors.key)));
    assert_eq!(person, PersonKey::from_seed(&array(&vectors.seed)).person());
    let room = RoomId(array(&vectors.room));
    assert!(vectors.good.len() >= 3);
    for good in vectors.good {
        let packet = Packet::parse(bytes(&good.packet).into()).unwrap();
        assert_eq!(
            packet.verify(&room, &person.verifier().unwrap()),
            Ok(()),
            "{}",
            good.name
        );
        assert_eq!(describe(&good.name, &packet), good);
    }
}

#[test]
fn the_malformed_packets_are_refused_for_the_reason_given() {
    let vectors = super::load::<Media>("media.json");
    for malformed in &vectors.malformed {
        let reason = Packet::parse(bytes(&malformed.packet).into()).unwrap_err();
        assert_eq!(reason.name(), malformed.reason, "{}", malformed.what);
    }
    for reason in REASONS {
        assert!(
            vectors
                .malformed
                .iter()
                .any(|malformed| malformed.reason == reason),
            "{reason} is missing"
        );
    }
}

#[test]
fn the_forged_packets_are_laid_out_well_and_do_not_verify() {
    let vectors = super::load::<Media>("media.json");
    let verifier = Person(array(&vectors.key)).verifier().unwrap();
    assert!(!vectors.forged.is_empty());
    for forged in vectors.forged {
        let packet = Packet::parse(bytes(&forged.packet).into()).unwrap();
        assert!(
            packet.verify(&RoomId(array(&vectors.room)), &verifier).is_err(),
            "{}",
            forged.what
        );
    }
}

pub(super) fn generate() -> Media {
    let person = key().person();
    Media {
        about: "Media packets, SPEC.md section 9. All bytes are hexadecimal. `seed` is the secret seed of the \
                Ed25519 `key`; good and malformed packets bear its signature over majlis/1/media, the room and \
                the bytes before the signature. A malformed packet is refused for `reason` before its signature \
                is looked at. A forged packet is laid out well and does not verify."
            .into(),
        seed: hex(&SEED),
        key: hex(&person.0),
        person: person.to_string(),
        room: hex(&ROOM.0),
        good: good(),
        malformed: malformed(),
        forged: forged(),
    }
}

fn key() -> PersonKey {
    PersonKey::from_seed(&SEED)
}

fn header() -> Header {
    Header {
        tag: Tag([0xde, 0xad, 0xbe, 0xef]),
        epoch: 60,
        sequence: 1000,
        time: 1500,
        log: 7,
        level: 42,
        end_of_spurt: false,
    }
}

fn good() -> Vec<Good> {
    let one = |name: &str, header: Header, frames: &[&[u8]], redundant: &[(u8, &[u8])]| {
        let own = Draft {
            header,
            frames,
            redundant,
        }
        .sign(ROOM, &key())
        .unwrap();
        describe(name, own.packet())
    };
    let first = Header {
        sequence: 0,
        time: 0,
        log: 0,
        level: 127,
        ..header()
    };
    let last = Header {
        epoch: u32::MAX,
        sequence: u32::MAX,
        time: u32::MAX,
        log: u32::MAX,
        ..header()
    };
    let end = Header {
        end_of_spurt: true,
        level: 0,
        ..header()
    };
    vec![
        one("the first frame of an epoch, of one byte", first, &[&[0xf8]], &[]),
        one(
            "three frames that end a spurt",
            end,
            &[b"one", b"two", b"three"],
            &[],
        ),
        one(
            "redundant frames, near and far",
            header(),
            &[&[1; 80]],
            &[(1, &[2; 40]), (50, &[3; 127])],
        ),
        one(
            "a frame whose length takes two bytes",
            header(),
            &[&[4; 128]],
            &[],
        ),
        one("the longest packet", header(), &[&[5; 1000]], &[(2, &[6; 9])]),
        one("every number at its end", last, &[b"end"], &[]),
    ]
}

fn describe(name: &str, packet: &Packet) -> Good {
    let frame = |frame: majlis_protocol::media::Frame| Frame {
        sequence: frame.sequence,
        time: frame.time,
        opus: hex(&frame.opus),
    };
    let header = packet.header();
    Good {
        name: name.into(),
        tag: header.tag.to_string(),
        epoch: header.epoch,
        sequence: header.sequence,
        time: header.time,
        log: header.log,
        level: header.level,
        end_of_spurt: header.end_of_spurt,
        frames: packet.frames().map(frame).collect(),
        redundant: packet.redundant().map(frame).collect(),
        packet: hex(packet.bytes()),
    }
}

/// The body of a packet with the frame "one" and, nine frames back, the redundant frame "two".
fn body() -> Vec<u8> {
    let redundant: &[(u8, &[u8])] = &[(9, b"two")];
    let draft = Draft {
        header: header(),
        frames: &[b"one"],
        redundant,
    };
    let own = draft.sign(ROOM, &key()).unwrap();
    let bytes = own.packet().bytes();
    bytes[..bytes.len() - 64].to_vec()
}

/// Signs whatever it is given, as no program of ours would.
fn sign(body: &[u8]) -> String {
    let message = [domain::MEDIA, &ROOM.0, body].concat();
    hex(&[body, &key().sign(&message).to_bytes()].concat())
}

fn malformed() -> Vec<Malformed> {
    let frame = 23;
    let redundant = frame + 4;
    let one = |reason: &str, what: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let mut body = body();
        change(&mut body);
        Malformed {
            reason: reason.into(),
            what: what.into(),
            packet: sign(&body),
        }
    };
    vec![
        one("too-long", "1,101 bytes", &|b| b.resize(1101 - 64, 0)),
        one("too-short", "no frame", &|b| b.truncate(frame)),
        Malformed {
            reason: "too-short".into(),
            what: "nothing".into(),
            packet: String::new(),
        },
        one("kind", "kind 2", &|b| b[0] = 0x21),
        one("version", "version 2", &|b| b[0] = 0x12),
        one("flags", "bit 6", &|b| b[1] |= 0x40),
        one("flags", "bit 7", &|b| b[1] |= 0x80),
        one("sealed", "bit 5", &|b| b[1] |= 0x20),
        one("frame-count", "no primary frame", &|b| b[1] &= !3),
        one("level", "128", &|b| b[22] = 128),
        one("range", "the sequence of the second frame is 2^32", &|b| {
            b[1] = 2;
            b[10..14].copy_from_slice(&[0xff; 4]);
        }),
        one("range", "the time of the third frame is 2^32", &|b| {
            b[1] = 3;
            b[14..18].copy_from_slice(&0xffff_fffe_u32.to_be_bytes());
        }),
        one("varint", "3 in two bytes", &|b| {
            b.splice(frame..=frame, [0x83, 0x00]).for_each(drop)
        }),
        one("varint", "above 65,535", &|b| {
            b.splice(frame..=frame, [0xff, 0xff, 0x04]).for_each(drop)
        }),
        one("frame-length", "0", &|b| b[frame] = 0),
        one("frame-length", "1,001", &|b| {
            b.splice(frame..=frame, [0xe9, 0x07]).for_each(drop)
        }),
        one("truncated", "the last frame runs into the signature", &|b| {
            b.truncate(b.len() - 1)
        }),
        one("truncated", "the redundant frame is missing", &|b| {
            b.truncate(redundant)
        }),
        one("offset", "0", &|b| b[redundant] = 0),
        one("offset", "51", &|b| b[redundant] = 51),
        one("offset", "before the first sequence", &|b| {
            b[10..14].copy_from_slice(&[0, 0, 0, 8])
        }),
        one("offset", "before the first time", &|b| {
            b[14..18].copy_from_slice(&[0, 0, 0, 8])
        }),
        one("left-over", "one byte", &|b| b.push(0)),
    ]
}

fn forged() -> Vec<Forged> {
    let draft = Draft {
        header: header(),
        frames: &[b"one"],
        redundant: &[],
    };
    let of = |room, key: &PersonKey| draft.sign(room, key).unwrap().packet().bytes().to_vec();
    let genuine = of(ROOM, &key());
    let altered = |at: usize| {
        let mut altered = genuine.clone();
        altered[at] ^= 1;
        altered
    };
    let without_domain = [&genuine[..genuine.len() - 64], &key().sign(&genuine).to_bytes()].concat();
    [
        (
            "signed by another person",
            of(ROOM, &PersonKey::from_seed(&[0x33; 32])),
        ),
        ("signed for another room", of(RoomId([0x44; 32]), &key())),
        ("another tag", altered(2)),
        ("another level", altered(22)),
        ("another byte of sound", altered(24)),
        ("another byte of the signature", altered(genuine.len() - 1)),
        ("signed without domain and room", without_domain),
    ]
    .map(|(what, packet)| Forged {
        what: what.into(),
        packet: hex(&packet),
    })
    .into()
}
