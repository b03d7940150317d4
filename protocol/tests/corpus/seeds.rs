//! Where fuzzing begins: the test vectors, one of everything that is valid, and each of them slightly wrong.

use std::{fs, path::PathBuf};

use bytes::Bytes;
use majlis_protocol::{
    announcement::Announcement,
    identity::{Certificate, Profile},
    link::{Address, RoomLink},
    log::{self, Act, Action, ActionId, Beacon, Entry, Head, Log, Plan},
    media::Tag,
    person::{Peer, Person, PersonKey},
    reason::Reason,
    room::{Genesis, RoomId},
    signed::{Signed, Statement, Verified},
    text::Text,
    wire::{
        datagram::Builder,
        directory::{Answer, Keeping, Query, encode_gossip},
        message::{
            Alias, Attach, Attached, Candidate, Entries, Hello, Message, Offer, Outcome, Position, Redirect,
            Refusal, Report as TreeReport, Slot, Verdict, Welcome,
        },
        repair::{Known, Pull, Report, Run},
    },
};
use serde_json::Value;

/// The seeds of a target.
pub(super) fn of(target: &str) -> Vec<Vec<u8>> {
    match target {
        "datagram" => with_mutants(datagrams()),
        "directory" => with_mutants(directory()),
        "frames" => with_mutants(frames()),
        "log_file" => with_mutants(log_files()),
        "names" => with_mutants(names()),
        "packet" => with_mutants(packets()),
        "statements" => with_mutants(statements()),
        "text" => with_mutants(texts()),
        "jitter" => scripts(&[&speech(), &gaps()]),
        "flow" => scripts(&[&repaired(), &bridged(), &answered()]),
        "relay" => scripts(&[&heard(), &replayed(), &held()]),
        "listings" => scripts(&[&listed(), &crowded(), &over(), &planned()]),
        "log_chain" => scripts(&[&titles(), &seats(), &policies()]),
        "member" => scripts(&[&hosted(), &joined()]),
        other => panic!("{other} has no seeds"),
    }
}

/// Each input, and itself with one byte changed, and cut short.
fn with_mutants(inputs: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut noise = Noise(1);
    inputs
        .into_iter()
        .flat_map(|input| {
            let mut changed = input.clone();
            if let Some(length) = core::num::NonZero::new(input.len()) {
                changed[noise.next() % length] ^= 1 << (noise.next() % 8);
            }
            let cut = input[..input.len() * 2 / 3].to_vec();
            // What is large adds little when it is spoiled twice.
            if input.len() > 600 {
                vec![input, changed]
            } else {
                vec![input, changed, cut]
            }
        })
        .collect()
}

/// Scripts that do something, and scripts of noise.
fn scripts(written: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut noise = Noise(2);
    let noisy = (0..6).map(|_| (0..300).map(|_| noise.next() as u8).collect());
    written
        .iter()
        .map(|script| script.to_vec())
        .chain(noisy)
        .collect()
}

/// The same noise each time (xorshift).
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize
    }
}

fn vectors(file: &str) -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("vectors")
        .join(file);
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn unhex(value: &Value) -> Vec<u8> {
    data_encoding::HEXLOWER
        .decode(value.as_str().expect("hex").as_bytes())
        .expect("hex")
}

fn packets() -> Vec<Vec<u8>> {
    let vectors = vectors("media.json");
    ["good", "malformed", "forged"]
        .iter()
        .flat_map(|list| vectors[*list].as_array().expect("a list"))
        .map(|vector| unhex(&vector["packet"]))
        .filter(|packet| packet.len() <= 400)
        .collect()
}

fn datagrams() -> Vec<Vec<u8>> {
    let packets = packets();
    let bundle = |packets: &[Vec<u8>]| {
        let mut builder = Builder::new(7, 1_200);
        for packet in packets {
            assert!(builder.push(packet) || packet.is_empty() || packet.len() > 300);
        }
        builder.finish().to_vec()
    };
    let unknown = [&bundle(&packets[..1])[..], b"\x03\x51ab\x02\xf1c"].concat();
    let repair: Vec<Vec<u8>> = repairs().iter().map(|item| item.to_vec()).collect();
    let with_sound = [&packets[..1], &repair[1..]].concat();
    vec![
        bundle(&[]),
        bundle(&packets[..1]),
        bundle(&packets[..3]),
        unknown,
        bundle(&repair),
        bundle(&with_sound),
    ]
}

/// A heartbeat, a digest and two pulls.
fn repairs() -> Vec<Bytes> {
    let known = |tag, newest| Known {
        tag: Tag([0xaa, 0xbb, 0xcc, tag]),
        epoch: 7,
        newest,
        in_spurt: newest > 5,
    };
    let report = Report {
        starving: true,
        promise_ms: 40,
        missed: 3,
        streams: vec![known(0, 5), known(1, 70_000)],
    };
    let run = |tag, first, frames| Run {
        tag: Tag([0xaa, 0xbb, 0xcc, tag]),
        epoch: 7,
        first,
        frames,
    };
    let live = Pull {
        live: true,
        runs: vec![],
    };
    let pull = Pull {
        live: false,
        runs: vec![run(0, 3, 1), run(0, 5, 2), run(1, 69_990, 100)],
    };
    vec![
        report.encode_heartbeat().unwrap(),
        report.encode_digest().unwrap(),
        live.encode().unwrap(),
        pull.encode().unwrap(),
    ]
}

fn key(seed: u8) -> PersonKey {
    PersonKey::from_seed(&[seed; 32])
}

fn person(seed: u8) -> Person {
    key(seed).person()
}

fn address() -> Address {
    format!("/ip4/127.0.0.1/udp/4001/quic-v1/p2p/{}", Peer([2; 32]))
        .parse()
        .unwrap()
}

fn genesis() -> Verified<Genesis> {
    let mut genesis = Genesis::new(person(1), "مجلس الجيران", [5; 16]);
    genesis.description = Text::clean("tea and poems");
    genesis.language = "ar".into();
    genesis.tags = vec!["poetry".parse().unwrap(), "شعر".parse().unwrap()];
    genesis.sign(&key(1)).unwrap()
}

fn sign<T: Statement>(statement: T, seed: u8) -> Signed<T> {
    Verified::sign(statement, &key(seed)).unwrap().signed().clone()
}

fn certificate() -> Signed<Certificate> {
    sign(
        Certificate::new(person(2), Peer([2; 32]), RoomId::of(&genesis())),
        2,
    )
}

fn profile() -> Signed<Profile> {
    sign(Profile::new(person(2), "نورة", 3), 2)
}

fn action(act: &Act) -> Signed<Action> {
    let room = RoomId::of(&genesis());
    sign(Action::new(room, person(1), Head::genesis(room), 1_000, act), 1)
}

fn title() -> Act {
    Act::Title {
        title: Text::clean("أمسية"),
    }
}

fn entry() -> Signed<Entry> {
    let room = RoomId::of(&genesis());
    sign(
        Entry::new(room, Head::genesis(room), 0, person(1), 1_000, &action(&title())),
        1,
    )
}

fn beacon() -> Signed<Beacon> {
    let room = RoomId::of(&genesis());
    let beacon = Beacon::new(room, person(1), (0, 9), 9_000, Head::genesis(room), Peer([1; 32]));
    sign(beacon, 1)
}

fn announcement() -> Signed<Announcement> {
    let mut announcement = Announcement::live(&genesis(), 1_900_000_000);
    announcement.addresses = vec![address()];
    sign(announcement, 1)
}

fn refusal() -> Refusal {
    Refusal {
        reason: Reason::Full,
        text: Text::clean("no place is left"),
    }
}

fn messages() -> Vec<Message> {
    let room = RoomId::of(&genesis());
    let head = Head::genesis(room);
    vec![
        Message::Hello(Hello {
            room,
            certificate: certificate(),
            profile: profile(),
            alias: Alias(300),
            head,
            addresses: vec![address()],
            extensions: vec![],
        }),
        Message::Welcome(Welcome {
            genesis: genesis().signed().clone(),
            certificate: certificate(),
            profile: profile(),
            alias: Alias(1),
            head,
            beacon: Some(beacon()),
            addresses: vec![address()],
            extensions: vec![],
        }),
        Message::Refuse(refusal()),
        Message::EntriesWanted { after: 7 },
        Message::Entries(Entries {
            entries: vec![entry()],
            more: true,
        }),
        Message::Beacon(beacon()),
        Message::Request(action(&Act::End)),
        Message::Verdict(Verdict {
            action: ActionId([3; 32]),
            outcome: Outcome::Appended { sequence: 500 },
        }),
        Message::Verdict(Verdict {
            action: ActionId([3; 32]),
            outcome: Outcome::Refused(refusal()),
        }),
        Message::Attach(Attach::join(8)),
        Message::Attached(Attached {
            slot: Slot::Child,
            position: position(),
        }),
        Message::Redirect(Redirect {
            candidates: vec![candidate(1)],
            leaving: true,
        }),
        Message::Position(position()),
        Message::Report(TreeReport {
            members: 60,
            free: 7,
            offers: vec![Offer {
                candidate: candidate(2),
                free: 3,
                depth: 1,
            }],
        }),
        Message::AttachRefused(refusal()),
        Message::Leave,
        Message::Profiles(vec![profile(), profile()]),
        Message::Census { listeners: 70_000 },
    ]
}

fn candidate(seed: u8) -> Candidate {
    Candidate {
        peer: Peer([seed; 32]),
        addresses: vec![address()],
    }
}

fn position() -> Position {
    Position {
        path: vec![Peer([1; 32]), Peer([2; 32])],
        root: Some(candidate(1)),
        fallback: Some(candidate(2)),
        elders: vec![candidate(1), candidate(3)],
        siblings: vec![],
        has_room: false,
        room_above: true,
    }
}

/// A substream for each message, in pieces, and one with all of them.
fn frames() -> Vec<Vec<u8>> {
    let frames: Vec<Bytes> = messages()
        .iter()
        .map(|message| message.encode().unwrap())
        .collect();
    let mut streams: Vec<Vec<u8>> = frames.iter().map(|frame| [&[96], &frame[..]].concat()).collect();
    streams.push([&[12][..], &frames.concat()[..]].concat());
    streams
}

fn directory() -> Vec<Vec<u8>> {
    let query = Query {
        tag: "شعر".parse().ok(),
        room: Some(RoomId([3; 32])),
        after: Some(RoomId([1; 32])),
        limit: 64,
    };
    let answer = Answer {
        announcements: vec![announcement(), announcement()],
        more: true,
    };
    let keeping = Keeping {
        refused: Some(Reason::Full),
    };
    vec![
        [&[0], &Query::default().encode()[..]].concat(),
        [&[0], &query.encode()[..]].concat(),
        [&[1], &Answer::default().encode()[..]].concat(),
        [&[1], &answer.encode()[..]].concat(),
        [&[2], &encode_gossip(&announcement())[..]].concat(),
        [&[2], &encode_gossip(&called_off())[..]].concat(),
        [&[0], &keeping.encode()[..]].concat(),
    ]
}

/// The log of a room that was announced ahead, changed, and called off.
fn planned_log() -> Log {
    let genesis = Genesis {
        starts: Some(1_900_000_000),
        ..Genesis::new(person(1), "Poems", [3; 16])
    };
    let mut log = Log::new(genesis.sign(&key(1)).unwrap());
    let (starts, reason) = (1_900_000_060, Text::clean("ill"));
    let description = Text::clean("moved");
    let plan = Plan { starts, description };
    for act in [Act::Schedule { plan }, Act::Cancel { starts, reason }] {
        let action = Action::new(log.room(), person(1), log.head(), 0, &act);
        log.append(sign(action, 1), &key(1), 0).unwrap();
    }
    log
}

/// What is told of it.
fn called_off() -> Signed<Announcement> {
    sign(Announcement::planned(&planned_log(), 1_899_900_000).unwrap(), 1)
}

fn log_files() -> Vec<Vec<u8>> {
    let vectors = vectors("log.json");
    let record = |bytes: Vec<u8>| [&(bytes.len() as u32).to_be_bytes()[..], &bytes].concat();
    let genesis = record(unhex(&vectors["genesis"]));
    let entries = vectors["entries"].as_array().expect("a list");
    let entries: Vec<u8> = entries
        .iter()
        .flat_map(|entry| record(unhex(&entry["signed"])))
        .collect();
    let whole = [&genesis[..], &entries].concat();
    let zeroes = [&whole[..], &[0; 9]].concat();
    let mut other = Log::new(self::genesis());
    let applied = other.append(action(&title()), &key(1), 1_000).unwrap();
    let short = [
        log::record(other.genesis().signed()),
        log::record(applied.entry.signed()),
    ]
    .concat();
    let off = planned_log();
    let entries = off.entries_after(0, usize::MAX).iter();
    let planned = std::iter::once(log::record(off.genesis().signed()))
        .chain(entries.map(|entry| log::record(entry.signed())));
    vec![genesis, whole, zeroes, short, planned.flatten().collect()]
}

fn names() -> Vec<Vec<u8>> {
    let room = RoomId::of(&genesis());
    let link = RoomLink {
        room,
        via: vec![address(), "/dns/a%b&c#d/p2p/x".parse().unwrap()],
    };
    // Percent-encoded, these addresses are longer than a link may be.
    let long = format!("/dns/{}/p2p/x", "<".repeat(200));
    let texts = [
        format!("{room}?via={}", [long.as_str(); 5].join("&via=")),
        link.to_string(),
        format!("{link}&later=1#secret"),
        room.to_string(),
        room.to_string().to_uppercase(),
        person(1).to_string(),
        address().to_string(),
        "Rust-Lang".into(),
        "شِعر".into(),
    ];
    texts.into_iter().map(String::into_bytes).collect()
}

fn texts() -> Vec<Vec<u8>> {
    [
        "a\u{1b}[31;1mred\u{1b}[0m b\u{1b}]8;;http://h\u{1b}\\c\u{9b}2J",
        "  \u{202e}nimda\u{202c}\r\n\t\u{feff}ad\u{200b}min\u{3000} ",
        "می\u{200c}خواهم السَّلامُ عَلَيكُم क्\u{200d}ष 👩\u{200d}👩\u{200d}👧",
        "Z\u{300}\u{301}\u{200d}\u{302}\u{303}\u{304}\u{305} \u{200d} \u{1112}\u{1161}\u{11ab}",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect()
}

/// One of each kind in its envelope, and its bare payload.
fn statements() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    both(&mut seeds, 0, genesis().signed());
    both(&mut seeds, 1, &certificate());
    both(&mut seeds, 2, &profile());
    both(&mut seeds, 3, &action(&title()));
    both(&mut seeds, 3, &action(&Act::Invite { subject: person(2) }));
    both(&mut seeds, 4, &entry());
    both(&mut seeds, 5, &beacon());
    both(&mut seeds, 6, &announcement());
    seeds
}

fn both<T: Statement>(seeds: &mut Vec<Vec<u8>>, kind: u8, signed: &Signed<T>) {
    seeds.push([&[kind], &signed.to_bytes()[..]].concat());
    // 128 says that no envelope follows.
    seeds.push([&[128 + kind], &signed.payload()[..]].concat());
}

/// Two seconds of speech at the stage's delay.
fn speech() -> Vec<u8> {
    [&[1, 0, 0][..], &[15, 1].repeat(100)].concat()
}

/// Speech with losses, copies, silence and a repeated packet.
fn gaps() -> Vec<u8> {
    let spurt = [
        15, 1, 15, 1, 4, 1, 1, 15, 5, 2, 12, 1, 1, 11, 0x21, 15, 0x11, 10, 3,
    ];
    [&[0, 0, 9, 9][..], &spurt.repeat(12)].concat()
}

/// A packet of stay 0, as the relay's script reads it: person, tag, epoch, sequence, time, log, level, end, frame,
/// frames, room, and from whom.
fn packet(sequence: u8, from: u8) -> [u8; 13] {
    [19, 0, 0, 0, sequence, 0, 0, 40, 0, 20, 0, 0, from]
}

/// A parent, a child and a stay; what it says is heard.
fn heard() -> Vec<u8> {
    let stage = [40, 0, 0, 0, 3, 1, 1, 5, 2];
    let said: Vec<u8> = (1..6).flat_map(|n| packet(n * 16, 1)).collect();
    [&stage[..], &said].concat()
}

/// A packet of stay 0, as the flow's script reads it: person, tag, epoch, sequence, end of spurt, frames, from whom.
fn pushed(sequence: u8, from: u8) -> [u8; 8] {
    [23, 0, 0, 0, sequence, 0, 0, from]
}

/// A stay, a parent, a standby and a child; and packets 0 and 1.
fn placed() -> Vec<u8> {
    let stage = [0, 0, 0, 2, 1, 1, 3, 1, 2, 4, 3];
    [&stage[..], &pushed(0, 1), &pushed(1, 1)].concat()
}

/// A packet is lost, pulled from the parent and then from the standby, which brings it.
fn repaired() -> Vec<u8> {
    [&placed()[..], &pushed(3, 1), &[10, 20, 10, 120], &pushed(2, 2)].concat()
}

/// The parent falls silent; the standby brings the next packets, a digest tells of more, and it becomes the parent.
fn bridged() -> Vec<u8> {
    let digest = [16, 2, 0, 0, 9, 1, 0, 39, 0];
    let said: Vec<u8> = (2..6).flat_map(|sequence| pushed(sequence, 2)).collect();
    [
        &placed()[..],
        &[10, 130],
        &said,
        &digest,
        &[10, 250, 10, 250, 2, 1, 2, 10, 200],
    ]
    .concat()
}

/// One that keeps us in reserve pulls what we have and what we will have.
fn answered() -> Vec<u8> {
    let pull = [17, 4, 0, 0, 0, 30, 1];
    [&placed()[..], &[5, 4], &pull, &pushed(2, 1), &[10, 250], &pull].concat()
}

/// The same again, and under another person's signature.
fn replayed() -> Vec<u8> {
    let mut forged = packet(96, 1);
    forged[1] = 1;
    [
        &heard()[..],
        &[15, 2, 1, 15, 0, 1],
        &forged,
        &[2, 0],
        &packet(112, 1),
    ]
    .concat()
}

/// Sound that is ahead of the log, and the entry that it waits for.
fn held() -> Vec<u8> {
    let mut ahead = packet(16, 1);
    ahead[6] = 128;
    [&heard()[..9], &ahead, &[7, 1, 10], &packet(32, 1)].concat()
}

/// A room as the directory's script reads it: announced by its host and handed over by a peer of some network.
fn room(number: u8, from: u8) -> [u8; 9] {
    [9, number, 0, number, 0, 0, from, 1, from % 3]
}

/// A room is heard of, asked for, passed on and forgotten.
fn listed() -> Vec<u8> {
    let later = [5, 3, 0, 4, 0, 2, 0, 255, 0, 0, 2, 89, 1, 4, 0, 2];
    [&room(3, 1)[..], &[0], &later].concat()
}

/// A room ends, and is told of once more; ends of others come until the first is forgotten.
fn over() -> Vec<u8> {
    let end = |number, from| [9, number, 0, 0xe5, 0, 0, from, 1, 0, 0];
    let ends: Vec<u8> = (4..10).flat_map(|n| end(n, n % 3)).collect();
    [
        &room(3, 1)[..],
        &[0],
        &end(3, 1),
        &[6, 0, 2, 1, 0, 0, 4, 0, 2],
        &ends,
        &[5, 3, 0],
    ]
    .concat()
}

/// A room is planned, moved and called off, each told of once more; others are planned, and one opens.
fn planned() -> Vec<u8> {
    let record = |number, choice, from| [9, number, 0, choice, 0, 0, from, 1, 0, 0];
    let again = |at| [6, at, 2, 1, 0, 0];
    [
        &record(2, 0, 1)[..],
        &record(2, 64, 2),
        &again(0),
        &record(2, 130, 1),
        &again(0),
        &again(1),
        &record(6, 2, 1),
        &record(10, 66, 2),
        &record(6, 65, 3),
        &again(3),
        &[4, 0, 3, 5, 6, 0, 0, 255, 0, 1, 0, 0, 1, 4, 1, 1, 2],
    ]
    .concat()
}

/// More rooms than there is space for, and one of our own.
fn crowded() -> Vec<u8> {
    let rooms: Vec<u8> = (0..11)
        .flat_map(|n| [&room(n, n % 4)[..], &[0]].concat())
        .collect();
    [&[2, 5][..], &rooms, &[4, 0, 1, 3, 5]].concat()
}

/// Titles by the host.
fn titles() -> Vec<u8> {
    let title = b"\x64\x00\x00\x00a new title!\x0f\x00";
    title.repeat(4)
}

/// The host invites, the guest accepts, and is moved to the audience.
fn seats() -> Vec<u8> {
    let by = |author: u8, act: &[u8]| [&[100, 0, author][..], act, &[15, 0]].concat();
    [
        by(0, &[1, 1]),
        by(1, &[5]),
        by(0, &[9, 1]),
        by(0, &[1, 2]),
        by(2, &[8]),
    ]
    .concat()
}

/// The host says of everything there is what the room lets people do, and says it again.
fn policies() -> Vec<u8> {
    let by_host = |what: u8, how: &[u8]| [&[100, 0, 0, 10, 1, 1, what][..], how, &[15, 0]].concat();
    let all: [(u8, &[u8]); 12] = [
        (0, &[1]),
        (1, &[]),
        (2, &[]),
        (3, &[]),
        (5, &[2]),
        (4, &[]),
        (6, &[6]),
        (7, &[1]),
        (8, &[0, 60]),
        (9, &[3]),
        (10, &[3]),
        (11, &[0, 30]),
    ];
    let once: Vec<u8> = all.iter().flat_map(|(what, how)| by_host(*what, how)).collect();
    once.repeat(2)
}

/// A host that two strangers greet; one of them asks for a place, and a title is given.
fn hosted() -> Vec<u8> {
    let title = [6, 0, 104, 105];
    [&[1, 12, 0, 0, 0, 13, 0, 9, 1, 12, 1, 0, 0, 7, 200][..], &title].concat()
}

/// A member that finds the host, catches up with a title, takes a place, and hears a beacon, a census and an entry.
fn joined() -> Vec<u8> {
    let titled = [10, 0, 0, 104, 105];
    let heard = [13, 0, 5, 0, 13, 0, 14, 0, 9, 13, 0, 2, 0, 9, 0, 0];
    [
        &[0][..],
        &titled,
        &[12, 4, 1, 13, 0, 2, 0, 9, 0, 0, 1, 12, 4, 1, 1, 7, 100],
        &heard,
    ]
    .concat()
}
