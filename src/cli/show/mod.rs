//! What people see: a line for what happens, and on a terminal one more below them that shows who speaks and how
//! the sound is.
//!
//! On a terminal without control sequences, into a file, and with `NO_COLOR`, there are plain lines only; then the
//! state of the sound is a line now and then.

mod lines;
mod names;
mod qr;
pub(crate) mod room;
mod status;
pub(crate) mod tree;

use std::io::{self, IsTerminal, Write};

use anstream::{AutoStream, stdout};
use majlis::event::Event;
use serde_json::Value;

use names::Names;
use status::Status;

/// How many `stats` events, one a second, lie between two plain lines of the sound's state.
const PLAIN_EVERY: u32 = 10;

/// Back to the start of the line, and clear to its end (ECMA-48 EL).
const CLEAR_LINE: &str = "\r\x1b[K";

/// The text face: remembers names and the state of the sound.
pub(crate) struct Show {
    out: AutoStream<io::Stdout>,
    /// Whether the terminal can rewrite its last line.
    lively: bool,
    /// Whether the last line is the status, to be rewritten.
    status_shown: bool,
    names: Names,
    status: Status,
    /// `stats` events since the last plain line of the state.
    quiet_for: u32,
}

impl Show {
    /// The face for this process's stdout.
    pub(crate) fn new() -> Self {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb" || term.is_empty());
        Self {
            out: stdout(),
            lively: io::stdout().is_terminal() && !dumb && !set("NO_COLOR"),
            status_shown: false,
            names: Names::default(),
            status: Status::default(),
            quiet_for: 0,
        }
    }

    /// Shows a text of one or more lines.
    pub(crate) fn text(&mut self, text: &str) -> io::Result<()> {
        if self.status_shown {
            write!(self.out, "{CLEAR_LINE}")?;
            self.status_shown = false;
        }
        writeln!(self.out, "{text}")?;
        self.out.flush()
    }

    /// Shows an event, as far as it is for people.
    pub(crate) fn event(&mut self, event: &Event) -> io::Result<()> {
        self.names.learn(event);
        if let Some(line) = lines::line(event, &self.names) {
            self.text(&line)?;
        }
        if let Event::Room { link, .. } = event
            && self.lively
            && let Some(code) = qr::code(&link.to_string())
        {
            self.text(&code)?;
        }
        if self.status.learn(event) {
            self.show_status(event)?;
        }
        Ok(())
    }

    fn show_status(&mut self, event: &Event) -> io::Result<()> {
        let ended = matches!(event, Event::Left { .. } | Event::Summary(_));
        if self.lively && !ended {
            write!(self.out, "{CLEAR_LINE}{}", self.status.line(&self.names, true))?;
            self.status_shown = true;
            return self.out.flush();
        }
        if matches!(event, Event::Stats(_)) && !self.lively {
            self.quiet_for += 1;
            if self.quiet_for.is_multiple_of(PLAIN_EVERY) {
                let line = self.status.line(&self.names, false);
                return self.text(&line);
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for Show {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Show")
            .field("lively", &self.lively)
            .finish_non_exhaustive()
    }
}

/// A room that was called off as a line, from its JSON form.
pub(crate) fn cancelled(room: &Value) -> String {
    let reason = room["reason"].as_str().map(|reason| format!(": {reason}"));
    format!(
        "cancelled: {}  (was to start {}){}",
        room["title"].as_str().unwrap_or_default(),
        lines::time(room["starts"].as_u64().unwrap_or_default()),
        reason.unwrap_or_default()
    )
}

/// A listing as a text of two lines, from its JSON form.
pub(crate) fn listing(listing: &Value) -> String {
    let text = |name: &str| listing[name].as_str().unwrap_or_default();
    let tags: String = listing["tags"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(|tag| format!("  #{tag}"))
        .collect();
    let state = match (listing["live"].as_bool(), listing["starts"].as_u64()) {
        (Some(true), _) => format!("{} listening", listing["listeners"].as_u64().unwrap_or(0)),
        (_, Some(starts)) => format!("starts {}", lines::start(starts)),
        _ => "not open".to_owned(),
    };
    format!("{}  ({state}){tags}\n    {}", text("title"), text("link"))
}
