//! `majlis log`: reads and audits a room's log, offline.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use majlis::{event::Event, home::LOG_FILE};
use majlis_protocol::{
    log::{self, Broken, BrokenReason, Report},
    room::RoomId,
};
use serde_json::json;

use super::{face::Face, options::NodeFlags};

#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:
  majlis log show ROOM-ID                a room that this home has been in
  majlis log verify log")]
pub(crate) enum LogCommand {
    /// Verify a log and print its entries
    #[command(after_help = "Examples:
  majlis log show ROOM-ID
  majlis log show ~/.local/share/majlis/rooms/ROOM-ID/log --json

Times count from the opening of the room, by its own clock. Nobody's calendar is trusted, so a log holds no dates.")]
    Show(LogArgs),
    /// Verify every signature, link and right in a log
    #[command(after_help = "Example:
  majlis log verify log && echo \"nobody bent the rules\"

It exits 1, and names the first entry that is wrong, where a rule is broken, and also where the file ends in the middle of an entry. A log that was cut between two entries is valid: nothing in it can say what would have followed.")]
    Verify(LogArgs),
}

#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    /// The log of a room: its file, the folder it is in, or the id of a room that this home has been in
    #[arg(value_name = "FILE|FOLDER|ROOM-ID")]
    file: PathBuf,
}

pub(crate) fn run(command: &LogCommand, flags: &NodeFlags) -> anyhow::Result<()> {
    let (LogCommand::Show(LogArgs { file }) | LogCommand::Verify(LogArgs { file })) = command;
    let file = find(file, flags)?;
    let report = log::verify(&read(&file)?).map_err(|broken| refused(&file, &broken))?;
    let mut face = Face::new(flags.json);
    match command {
        LogCommand::Show(_) => show(&report, &mut face)?,
        LogCommand::Verify(_) => verified(&report, &mut face)?,
    }
    anyhow::ensure!(
        !report.torn,
        "{} is valid as far as it goes, {}; it ends in the middle of the next one: it was cut, by a crash or by someone",
        file.display(),
        entries(&report)
    );
    Ok(())
}

/// The file that is meant: as it was given, in a folder, or of a room of this home.
fn find(given: &Path, flags: &NodeFlags) -> anyhow::Result<PathBuf> {
    if given.is_dir() {
        return Ok(given.join("log"));
    }
    match given.to_str().map(str::parse::<RoomId>) {
        Some(Ok(room)) if !given.exists() => {
            let folder = flags.home()?.join("rooms").join(room.to_string());
            Ok(folder.join("log"))
        }
        _ => Ok(given.to_owned()),
    }
}

/// What is wrong with a file, in words that say whether it was ever a log.
fn refused(file: &Path, broken: &Broken) -> anyhow::Error {
    let file = file.display();
    match broken.reason {
        BrokenReason::NoGenesis | BrokenReason::TooLong { .. } | BrokenReason::Malformed(_)
            if broken.record == 0 =>
        {
            anyhow::anyhow!(
                "{file} is no room log: it does not begin as one ({})",
                broken.reason
            )
        }
        _ if broken.record == 0 => anyhow::anyhow!("{file} is not valid: the genesis, {broken}"),
        _ => anyhow::anyhow!("{file} is not valid: entry {}, {broken}", broken.record),
    }
}

fn entries(report: &Report) -> String {
    match report.lines.len() {
        1 => "1 entry".to_owned(),
        entries => format!("{entries} entries"),
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LOG_FILE + 1).read_to_end(&mut bytes))
        .map_err(|error| anyhow::anyhow!("cannot read {}: {error}", path.display()))?;
    anyhow::ensure!(
        bytes.len() as u64 <= LOG_FILE,
        "{} is larger than any room log",
        path.display()
    );
    Ok(bytes)
}

fn show(report: &Report, face: &mut Face) -> anyhow::Result<()> {
    let genesis = report.log.genesis();
    let room = report.log.room();
    let body = json!({ "room": room.to_string(), "title": genesis.title.as_str(), "host": genesis.host.to_string() });
    let text = format!("room  {room}\ntitle {}\nhost  {}", genesis.title, genesis.host);
    face.result("genesis", &body, &text)?;
    for entry in &report.lines {
        match face {
            Face::Json => face.tell(Event::Log {
                seq: entry.sequence,
                term: entry.term,
                clock_ms: entry.clock_ms,
                action: entry.action.to_owned(),
                author: entry.author,
                subject: entry.subject,
                title: entry.title.as_ref().map(ToString::to_string),
                link: entry.link.as_ref().map(ToString::to_string),
                role: entry.granted.map(Into::into),
                lasts_ms: entry.lasts_ms,
                reason: entry.reason.as_ref().map(ToString::to_string),
                carried: entry.carried,
            })?,
            Face::People(show) => show.text(&entry.to_string())?,
        }
    }
    Ok(())
}

fn verified(report: &Report, face: &mut Face) -> anyhow::Result<()> {
    let room = report.log.room();
    let body = json!({ "room": room.to_string(), "entries": report.lines.len(), "torn": report.torn });
    match face {
        // What is not whole is told as an error.
        Face::People(_) if report.torn => Ok(()),
        _ => Ok(face.result(
            "verified",
            &body,
            &format!("valid: {} of room {room}", entries(report)),
        )?),
    }
}
