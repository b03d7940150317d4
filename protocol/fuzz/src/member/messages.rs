//! What neighbours say: well-formed messages, true and untrue.

use majlis_protocol::{
    identity::{Certificate, Profile},
    link::Address,
    log::{Action, ActionId, Beacon, Head, Tick},
    media::Tag,
    neighbour::Neighbour,
    person::{Peer, PersonKey},
    reason::Reason,
    room::RoomId,
    signed::{Signed, Statement, Verified},
    stage::{Note, Reactions, Saying},
    text::Text,
    wire::message::{
        Alias, Attach, Attached, Audience, AudienceWanted, Candidate, Entries, Hello, Message, Offer,
        Outcome, Position, Redirect, Refusal, Report, Slot, Verdict, Welcome, Wish,
    },
};

use super::{
    super::{
        log::{act, genesis, key},
        script::Script,
    },
    HOST, World, peer,
};

/// The greeting that an honest peer gives at this link: what the member waits for.
pub fn honest_greeting(world: &World, link: Neighbour) -> Message {
    let seed = world.seed_at(link);
    let room = RoomId::of(genesis());
    let certificate = certificate(seed, seed, room);
    let profile = profile(seed, 0, "guest");
    let alias = Alias(u16::from(seed));
    let head = world.chair.head();
    if world.opened(link) {
        return Message::Welcome(Welcome {
            genesis: genesis().signed().clone(),
            certificate,
            profile,
            alias,
            head,
            beacon: None,
            addresses: Vec::new(),
            extensions: Vec::new(),
        });
    }
    Message::Hello(Hello {
        room,
        certificate,
        profile,
        alias,
        head,
        addresses: Vec::new(),
        extensions: Vec::new(),
    })
}

/// A greeting with some of it of the script's choice.
pub fn greeting(world: &World, script: &mut Script<'_>) -> Message {
    let seed = world.stranger(script);
    let room = if script.below(16) == 1 {
        RoomId(script.array())
    } else {
        RoomId::of(genesis())
    };
    let certificate = certificate(seed, if script.below(8) == 1 { 9 } else { seed }, room);
    let profile = profile(seed, script.byte().into(), "liar");
    let alias = Alias(script.u16());
    let head = head(world, script);
    if script.flag() {
        return Message::Hello(Hello {
            room,
            certificate,
            profile,
            alias,
            head,
            addresses: addresses(script),
            extensions: Vec::new(),
        });
    }
    Message::Welcome(Welcome {
        genesis: genesis().signed().clone(),
        certificate,
        profile,
        alias,
        head,
        beacon: script.flag().then(|| beacon(world, script)),
        addresses: addresses(script),
        extensions: Vec::new(),
    })
}

/// Any message but a greeting.
pub fn message(world: &World, script: &mut Script<'_>) -> Message {
    match script.below(18) {
        0 => Message::Refuse(refusal(script)),
        1 => Message::EntriesWanted {
            after: script.number(),
        },
        2..=4 => entries(world, script),
        5 => Message::Beacon(beacon(world, script)),
        6 | 7 => request(world, script),
        8 => Message::Verdict(verdict(world, script)),
        9 => Message::Attach(Attach {
            slot: slot(script),
            wish: wish(script),
            redirects: script.below(4),
            capacity: script.u16(),
            extensions: Vec::new(),
        }),
        10 | 11 => Message::Attached(Attached {
            slot: slot(script),
            position: position(script),
        }),
        12 => Message::Redirect(Redirect {
            candidates: candidates(script),
            leaving: script.flag(),
        }),
        15 => Message::Position(position(script)),
        16 => Message::Report(report(script)),
        13 => Message::AttachRefused(refusal(script)),
        17 if script.flag() => Message::Tick(tick(world, script)),
        17 => beside_the_sound(world, script),
        14 if script.flag() => Message::Leave,
        14 => Message::Census {
            listeners: script.number(),
        },
        _ => Message::Profiles(
            (0..script.below(4))
                .map(|_| profile(1 + script.below(6), script.byte().into(), "someone"))
                .collect(),
        ),
    }
}

/// What people say beside the sound, true or not.
fn beside_the_sound(world: &World, script: &mut Script<'_>) -> Message {
    let seed = world.stranger(script);
    let text = Text::clean(&String::from_utf8_lossy(&script.bytes(6)));
    let saying = match script.below(8) {
        0 => Saying::Hand {
            raised: script.flag(),
            nick: text,
            pass: script.bytes(3).to_vec().into(),
        },
        1 | 2 => Saying::Chat {
            nick: Text::clean("x"),
            text,
        },
        3 => Saying::Microphone {
            tag: Tag::of(&genesis().host.0),
            on: script.flag(),
        },
        4 => Saying::Appeal { text },
        5 => return Message::Reactions(Reactions::one("clap").expect("there is one")),
        6 => {
            return Message::AudienceWanted(AudienceWanted {
                number: script.number(),
                skip: script.number(),
                most: script.byte(),
            });
        }
        _ => {
            let named = |script: &mut Script<'_>| profile(1 + script.below(6), 0, "someone");
            return Message::Audience(Audience {
                number: script.number(),
                next: script.flag().then(|| script.number()),
                people: (0..script.below(4)).map(|_| named(script)).collect(),
            });
        }
    };
    let signer = key(seed);
    let at = world.clock_ms() + u64::from(script.byte()) * 100;
    let note = Note::new(RoomId::of(genesis()), signer.person(), at, &saying);
    Message::Note(sign(note, &signer))
}

/// A place that is given, by someone with this path.
pub fn attached(slot: Slot, path: Vec<Peer>) -> Message {
    let position = Position {
        path,
        ..Position::default()
    };
    Message::Attached(Attached { slot, position })
}

fn slot(script: &mut Script<'_>) -> Slot {
    if script.flag() { Slot::Child } else { Slot::Standby }
}

fn wish(script: &mut Script<'_>) -> Wish {
    match script.below(5) {
        0 => Wish::Join,
        1 => Wish::Orphan,
        2 => Wish::Told,
        3 => Wish::Stage,
        _ => Wish::Better,
    }
}

fn candidates(script: &mut Script<'_>) -> Vec<Candidate> {
    (0..script.below(5)).map(|_| candidate(script)).collect()
}

fn candidate(script: &mut Script<'_>) -> Candidate {
    Candidate {
        peer: peer(script.below(8)),
        addresses: addresses(script),
    }
}

fn position(script: &mut Script<'_>) -> Position {
    Position {
        path: (0..=script.below(3)).map(|_| peer(script.below(8))).collect(),
        root: script.flag().then(|| candidate(script)),
        fallback: script.flag().then(|| candidate(script)),
        elders: candidates(script),
        siblings: candidates(script),
        has_room: script.flag(),
        room_above: script.flag(),
    }
}

fn report(script: &mut Script<'_>) -> Report {
    let offer = |script: &mut Script<'_>| Offer {
        candidate: candidate(script),
        free: script.u16(),
        depth: script.byte(),
    };
    Report {
        members: script.number(),
        free: script.number(),
        offers: (0..script.below(5)).map(|_| offer(script)).collect(),
    }
}

/// Addresses as they stand in messages: few, and valid.
pub fn addresses(script: &mut Script<'_>) -> Vec<Address> {
    (0..script.below(3))
        .map(|n| format!("/ip4/127.0.0.{n}/udp/{}/quic-v1", script.u16()))
        .map(|text| text.parse().expect("an address"))
        .collect()
}

/// What the chair wrote, or something that someone else did.
fn entries(world: &World, script: &mut Script<'_>) -> Message {
    let after = script.below(8);
    let mut entries: Vec<_> = world
        .chair
        .entries_after(after.into(), 8_192)
        .iter()
        .map(|entry| entry.signed().clone())
        .take(usize::from(script.byte()))
        .collect();
    if script.below(8) == 1
        && let Some(entry) = entries.last()
    {
        let mut bytes = entry.to_bytes().to_vec();
        script.spoil(&mut bytes);
        entries.extend(Signed::from_bytes(&bytes));
    }
    Message::Entries(Entries {
        entries,
        more: script.flag(),
    })
}

/// A beacon: the chair's own, which is true, or a stranger's.
fn beacon(world: &World, script: &mut Script<'_>) -> Signed<Beacon> {
    if !world.is_host() && script.below(4) != 1 {
        return world.honest_beacon();
    }
    let signer = key(world.stranger(script));
    let named = if script.flag() {
        genesis().host
    } else {
        signer.person()
    };
    let beacon = Beacon::new(
        RoomId::of(genesis()),
        signer.person(),
        (script.number(), script.number()),
        script.u64(),
        head(world, script),
        peer(script.below(8)),
    );
    let signed = sign(beacon, &signer);
    if named == signer.person() {
        return signed;
    }
    // Another's name over the same signature: the first key in the payload is the chair's, behind version and room.
    let mut bytes = signed.to_bytes().to_vec();
    let at = bytes.len() - 64 - signed.payload().len() + 33;
    bytes[at..at + 32].copy_from_slice(&named.0);
    Signed::from_bytes(&bytes).expect("an envelope")
}

/// What is new in the beacon that follows the chair's last one, true or not.
fn tick(world: &World, script: &mut Script<'_>) -> Tick {
    let before = world.honest_beacon().verify().expect("the chair's");
    let next = Beacon {
        number: before.number.wrapping_add(script.below(3).into()),
        clock: script.u64(),
        ..(*before).clone()
    };
    let next = sign(next, &key(HOST)).verify().expect("the chair's");
    let mut tick = Tick::between(&before, &next).expect("only the time is new");
    tick.clock ^= u64::from(script.flag());
    tick
}

/// An action that asks the chair for something.
fn request(world: &World, script: &mut Script<'_>) -> Message {
    let author = key(world.stranger(script));
    let log = world.log();
    let act = act(script, log, &author);
    let room = RoomId::of(genesis());
    let action = Action::new(
        room,
        author.person(),
        log.head(),
        world.clock_ms() + u64::from(script.byte()) * 100,
        &act,
    );
    Message::Request(sign(action, &author))
}

fn verdict(world: &World, script: &mut Script<'_>) -> Verdict {
    let action = match world.requests.last() {
        Some(request) if script.flag() => ActionId::of(request),
        _ => ActionId(script.array()),
    };
    let outcome = if script.flag() {
        Outcome::Appended {
            sequence: script.number(),
        }
    } else {
        Outcome::Refused(refusal(script))
    };
    Verdict { action, outcome }
}

fn refusal(script: &mut Script<'_>) -> Refusal {
    Refusal {
        reason: Reason::from(u16::from(script.byte())),
        text: Text::clean(&String::from_utf8_lossy(&script.bytes(8))),
    }
}

fn head(world: &World, script: &mut Script<'_>) -> Head {
    match script.below(3) {
        0 => world.chair.head(),
        _ => Head {
            sequence: script.number(),
            hash: [script.byte(); 32],
        },
    }
}

fn certificate(person: u8, at: u8, room: RoomId) -> Signed<Certificate> {
    let signer = key(person);
    sign(Certificate::new(signer.person(), peer(at), room), &signer)
}

fn profile(person: u8, revision: u64, nick: &str) -> Signed<Profile> {
    let signer = key(person);
    sign(Profile::new(signer.person(), nick, revision), &signer)
}

pub fn sign<T: Statement>(statement: T, key: &PersonKey) -> Signed<T> {
    Verified::sign(statement, key)
        .expect("within its limits")
        .signed()
        .clone()
}
