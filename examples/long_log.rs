//! What a long log costs whoever joins late: two processes on loopback, a host whose log has grown for months, and a
//! newcomer. Linux alone, since it reads `/proc`.
//!
//! `cargo build --release --bins --examples && target/release/examples/long_log 10000` makes a home whose room has so many
//! entries, each a real act signed by its author and by the chair; opens the room again with `majlis host --room`; and
//! joins it with `majlis join`. It prints when the newcomer had its place, when it heard the first sound and when every
//! signature was checked, and the processor time that it had spent by then. A room with ten entries goes before, to compare.

#![expect(clippy::print_stdout, reason = "printing is what an example is for")]

mod measured;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use majlis::home::Home;
use majlis_protocol::{
    log::{self, Act, Action, Log},
    person::PersonKey,
    room::{Genesis, RoomId},
    signed::Verified,
    text::Text,
};
use measured::Running;

/// Room clock between two entries, in milliseconds.
const APART_MS: u64 = 900;

/// How long a newcomer stays after its first sound, so that what is done behind it is over.
const STAY: Duration = Duration::from_secs(8);

fn main() -> anyhow::Result<()> {
    let entries: u32 = std::env::args()
        .nth(1)
        .map_or(Ok(10_000), |count| count.parse())?;
    for entries in [10, entries] {
        let dir = tempfile::tempdir()?;
        let (room, bytes) = make_home(&dir.path().join("host"), entries)?;
        println!("{entries} entries, {bytes} bytes");
        join(dir.path(), room)?;
    }
    Ok(())
}

/// A home whose host's room has a log of so many entries; the room, and the bytes of the log.
fn make_home(home: &Path, entries: u32) -> anyhow::Result<(RoomId, usize)> {
    let home = Home::open(home)?;
    let host = home.person_key()?;
    let file = long_log(&host, entries)?;
    let room = log::verify(&file)?.log.room();
    home.room_log(room)?.append(&file)?;
    Ok((room, file.len()))
}

/// The records of a log in which one guest comes onto the stage, is muted and goes again and again.
fn long_log(host: &PersonKey, entries: u32) -> anyhow::Result<Vec<u8>> {
    let guest = PersonKey::from_seed(&[2; 32]);
    let genesis = Verified::sign(Genesis::new(host.person(), "A long meeting", [0; 16]), host)?;
    let mut file = log::record(genesis.signed());
    let mut log = Log::new(genesis);
    let (mut clock, mut invite, subject) = (0, [0; 32], guest.person());
    for n in 0..entries {
        clock += APART_MS;
        let reason = Text::clean("others wait");
        let (author, act) = match n % 5 {
            0 => (host, Act::Invite { subject }),
            1 => (&guest, Act::Accept { invite }),
            2 => (host, Act::Mute { subject, reason }),
            3 => (host, Act::Move { subject }),
            _ => (host, Act::Unmute { subject, reason }),
        };
        let action = Action::new(log.room(), author.person(), log.head(), clock, &act);
        let action = Verified::sign(action, author)?.signed().clone();
        let applied = log.append(action, host, clock)?;
        invite = applied.hash;
        file.extend(log::record(applied.entry.signed()));
    }
    Ok(file)
}

/// Opens the room, joins it, and prints what that cost.
fn join(dir: &Path, room: RoomId) -> anyhow::Result<()> {
    let room = room.to_string();
    let started = Instant::now();
    let mut host = Running::start(
        &dir.join("host"),
        &["host", "--room", &room, "--input", "tone:440", "--output", "none"],
    )?;
    let opened = host.event("room")?;
    println!(
        "  the host has its room open after {} ms, {:.2} s of processor time",
        started.elapsed().as_millis(),
        host.cpu_seconds()?
    );
    host.read_on();
    let link = opened["link"].as_str().context("a room has a link")?;
    let mut newcomer = Running::start(
        &dir.join("newcomer"),
        &["join", link, "--input", "none", "--output", "none"],
    )?;
    let joined = newcomer.event("joined")?;
    println!(
        "  joined: join_ms {}, confirmed {}, {:.2} s of processor time",
        joined["join_ms"],
        joined["confirmed"],
        newcomer.cpu_seconds()?
    );
    // Its parent is the chair: what is not confirmed yet is the log. A short one may be verified before anything is heard.
    let mut awaited = vec!["first_audio"];
    if joined["confirmed"] == false {
        awaited.push("verified");
    }
    while !awaited.is_empty() {
        let event = newcomer.one_of(&awaited)?;
        println!(
            "  {}: ms {}, {:.2} s of processor time",
            event["event"].as_str().unwrap_or_default(),
            event["ms"],
            newcomer.cpu_seconds()?
        );
        awaited.retain(|name| event["event"] != *name);
    }
    newcomer.read_on();
    std::thread::sleep(STAY);
    println!(
        "  {} s later: {:.2} s of processor time, {:.1} MB resident",
        STAY.as_secs(),
        newcomer.cpu_seconds()?,
        newcomer.resident_mb()?
    );
    drop(newcomer);
    let mut back = Running::start(
        &dir.join("newcomer"),
        &["join", link, "--input", "none", "--output", "none"],
    )?;
    let joined = back.event("joined")?;
    println!(
        "  back again: join_ms {}, confirmed {}",
        joined["join_ms"], joined["confirmed"]
    );
    Ok(())
}
