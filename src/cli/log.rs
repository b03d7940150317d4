//! `majlis log`: reads and audits a room's log, offline.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use clap::Subcommand;
use majlis::{event::Event, home::LOG_FILE};
use majlis_protocol::log::{self, Report};
use serde_json::json;

use super::{face::Face, options::NodeFlags};

#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:
  majlis log show ~/.local/share/majlis/rooms/ROOM-ID/log
  majlis log verify log")]
pub(crate) enum LogCommand {
    /// Verify a log and print its entries
    #[command(after_help = "Example:\n  majlis log show ~/.local/share/majlis/rooms/ROOM-ID/log")]
    Show {
        /// The log of a room, in the home of a member: rooms/ROOM-ID/log
        file: PathBuf,
    },
    /// Verify every signature, link and right in a log
    #[command(after_help = "Example:\n  majlis log verify log && echo \"nobody bent the rules\"")]
    Verify {
        /// The log of a room, in the home of a member: rooms/ROOM-ID/log
        file: PathBuf,
    },
}

pub(crate) fn run(command: &LogCommand, flags: &NodeFlags) -> anyhow::Result<()> {
    let (LogCommand::Show { file } | LogCommand::Verify { file }) = command;
    let report = log::verify(&read(file)?)
        .map_err(|broken| anyhow::anyhow!("{} is not valid: {broken}", file.display()))?;
    let mut face = Face::new(flags.json);
    match command {
        LogCommand::Show { .. } => show(&report, &mut face),
        LogCommand::Verify { .. } => verified(&report, &mut face),
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
                action: entry.action.to_owned(),
                author: entry.author,
                subject: entry.subject,
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
    let entries = report.lines.len();
    let torn = if report.torn {
        "; a torn entry behind them was cut short by a crash"
    } else {
        ""
    };
    let body = json!({ "room": room.to_string(), "entries": entries, "torn": report.torn });
    let text = format!("valid: {entries} entries of room {room}{torn}");
    Ok(face.result("verified", &body, &text)?)
}
