//! A whole member under any sequence of inputs.
//!
//! The script plays every neighbour: honest ones, liars, and those that send noise. Half of the scripts drive a host,
//! half a member that joins. Strangers never hold the key of the room's chair; when the script is over an honest
//! neighbour comes, and whatever happened before, the member and it find together.

mod messages;
mod world;

use core::time::Duration;

use majlis_protocol::{
    log::Log,
    media::Complaint,
    member::{Command, CommandId, Input, Side},
    neighbour::Neighbour,
    person::Peer,
    signed::Malformed,
    stage::Reactions,
    tree::Errand,
};

use self::world::World;
use super::script::Script;

/// The seed of the host's key.
const HOST: u8 = 1;

/// The seed of the key of the member that joins.
const JOINER: u8 = 2;

/// Seeds of strangers' keys.
const STRANGERS: core::ops::Range<u8> = 3..7;

/// A member, driven by a script.
pub fn member(data: &[u8]) -> bool {
    let mut script = Script::new(data);
    let mut world = if script.flag() {
        World::host()
    } else {
        World::joiner()
    };
    while !script.is_over() && !world.has_left() {
        step(&mut world, &mut script);
        world.drain();
    }
    world.finish()
}

fn step(world: &mut World, script: &mut Script<'_>) {
    match script.below(20) {
        0 => _ = link_up(world, script),
        1 => {
            let link = pick(world, script);
            world.cut(link);
        }
        2 => {
            let (link, message) = (pick(world, script), messages::greeting(world, script));
            world.deliver(link, message);
        }
        3 => noise(world, script),
        4 => spoiled(world, script),
        5 => world.handle(Input::Malformed {
            link: pick(world, script),
            error: Malformed::Encoding { what: "noise" },
        }),
        6 => world.command(command(script)),
        // At most a minute: a host signs a beacon for each second.
        7 | 8 => world.wait(Duration::from_millis(u64::from(script.number()) * 10 % 60_000)),
        9 => other(world, script),
        10 => world.chair_acts(script),
        11 => world.chair_takes_requests(),
        // A greeting that fits: the link was opened for it. At times the member gets the place that it asks for.
        12 => {
            let link = link_up(world, script);
            let message = messages::honest_greeting(world, link);
            world.deliver(link, message);
            if script.flag() {
                world.give_place(link);
            }
        }
        _ => {
            let (link, message) = (pick(world, script), messages::message(world, script));
            world.deliver(link, message);
        }
    }
}

fn link_up(world: &mut World, script: &mut Script<'_>) -> Neighbour {
    let seed = world.stranger(script);
    let side = if script.flag() {
        Side::Opener
    } else {
        Side::Receiver
    };
    world.connect(seed, side)
}

/// One of the links that ever were.
fn pick(world: &World, script: &mut Script<'_>) -> Neighbour {
    world.link(script.byte())
}

/// A frame of any kind with any body.
fn noise(world: &mut World, script: &mut Script<'_>) {
    let link = pick(world, script);
    let kind = script.u16() & 0x801f;
    let length = usize::from(script.byte());
    world.deliver_frame(link, kind, script.bytes(length));
}

/// A message of which one byte was changed.
fn spoiled(world: &mut World, script: &mut Script<'_>) {
    let link = pick(world, script);
    let message = if script.flag() {
        messages::greeting(world, script)
    } else {
        messages::message(world, script)
    };
    let Ok(bytes) = message.encode() else { return };
    let mut bytes = bytes.to_vec();
    script.spoil(&mut bytes[5..]);
    let kind = u16::from_be_bytes([bytes[5], bytes[6]]);
    world.deliver_frame(link, kind, bytes.split_off(7).into());
}

fn other(world: &mut World, script: &mut Script<'_>) {
    let input = match script.below(12) {
        0 | 1 => Input::SoundAhead,
        2 | 3 => Input::NobodyFound {
            errand: match script.below(4) {
                0 => Errand::Move,
                1 => Errand::Standby,
                2 => Errand::Uplink,
                _ => Errand::Place,
            },
        },
        7 => Input::NobodyLeft,
        8 | 9 => Input::Parting {
            link: pick(world, script),
            complaint: match script.below(3) {
                0 => Complaint::Silent,
                1 => Complaint::Starved,
                _ => Complaint::Poor,
            },
        },
        10 => Input::StandbySilent {
            link: pick(world, script),
        },
        4 => Input::Forger {
            link: pick(world, script),
        },
        5 => Input::Addresses(messages::addresses(script)),
        6 if script.below(8) == 0 => {
            world.told_to_leave();
            Input::Leave
        }
        11 if script.below(4) == 0 => Input::Microphone { on: script.flag() },
        11 if script.below(4) == 0 => Input::Audience {
            id: CommandId(u64::MAX),
            page: script.below(3).into(),
        },
        _ => Input::Timeout,
    };
    world.handle(input);
}

fn command(script: &mut Script<'_>) -> Command {
    let person = super::log::key(1 + script.below(6)).person();
    match script.below(12) {
        0..=2 => Command::Title(String::from_utf8_lossy(&script.bytes(20)).into_owned()),
        3..=5 => Command::Invite(person),
        6 => Command::Accept,
        7 => Command::Decline,
        8 => Command::LeaveStage,
        9 | 10 => Command::Move(person),
        _ if script.below(8) == 0 => Command::End,
        _ => match script.below(4) {
            0 => Command::Say(String::from_utf8_lossy(&script.bytes(20)).into_owned()),
            1 => Command::Hand {
                raised: script.flag(),
            },
            2 => Command::React(Reactions::one("wow").expect("there is one")),
            _ => Command::SlowMode(script.byte().into()),
        },
    }
}

/// The peer that a person of this seed speaks through: another key, since the two are never mixed.
fn peer(seed: u8) -> Peer {
    Peer([seed; 32])
}

/// The room's log before anything was done in it.
fn empty_log() -> Log {
    Log::new(super::log::genesis().clone())
}
