//! What people see: a line for what happens, and on a terminal one more below them that shows who speaks and how
//! the sound is; or, where there is a console, its rows.
//!
//! On a terminal without control sequences and into a file there are plain lines only; then the state of the sound is a
//! line now and then. `NO_COLOR` takes colours away and nothing else.

mod deeds;
mod foot;
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

pub(crate) use foot::{Foot, fit};
use lines::Scene;
pub(crate) use lines::Voice;
pub(crate) use names::Names;
pub(crate) use status::Status;

/// How many `stats` events, one a second, lie between two plain lines of the sound's state.
const PLAIN_EVERY: u32 = 10;

/// Columns where the terminal does not tell: 80 are usual.
const COLUMNS: usize = 78;

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
    scene: Scene,
    status: Status,
    /// What stands below all else, for a console.
    foot: Foot,
    /// Whether it was said how many listen.
    counted: bool,
    /// `stats` events since the last plain line of the state.
    quiet_for: u32,
}

impl Show {
    /// The face for this process's stdout.
    pub(crate) fn new() -> Self {
        Self {
            out: stdout(),
            lively: is_lively(),
            status_shown: false,
            names: Names::default(),
            scene: Scene::default(),
            counted: false,
            status: Status::default(),
            foot: Foot::default(),
            quiet_for: 0,
        }
    }

    /// The face of someone who speaks with this.
    pub(crate) fn with_voice(mut self, voice: Voice) -> Self {
        self.scene.voice = voice;
        self
    }

    /// The face of someone who has a console, which shows the status.
    pub(crate) fn with_console(mut self) -> Self {
        self.scene.has_keys = true;
        self
    }

    /// Shows a text of one or more lines.
    pub(crate) fn text(&mut self, text: &str) -> io::Result<()> {
        if self.status_shown {
            clear_line()?;
            self.status_shown = false;
        }
        let foot = self.lift_foot()?;
        writeln!(self.out, "{text}")?;
        self.set_foot(foot)
    }

    /// Has this stand below all else from now on.
    pub(crate) fn foot(&mut self, foot: Foot) -> io::Result<()> {
        if self.foot == foot {
            return Ok(());
        }
        self.lift_foot()?;
        self.set_foot(foot)
    }

    /// Leaves the foot where it is, which others may have written over, and sets it below what they wrote.
    pub(crate) fn afresh(&mut self) -> io::Result<()> {
        let foot = std::mem::take(&mut self.foot);
        if !foot.rows.is_empty() {
            writeln!(self.out)?;
        }
        self.set_foot(foot)
    }

    /// Takes the foot off the screen, with the cursor where it began.
    fn lift_foot(&mut self) -> io::Result<Foot> {
        let foot = std::mem::take(&mut self.foot);
        io::stdout().write_all(foot.erase(columns()).as_bytes())?;
        Ok(foot)
    }

    /// Shows the foot at the cursor.
    fn set_foot(&mut self, foot: Foot) -> io::Result<()> {
        write!(self.out, "{foot}")?;
        self.foot = foot;
        self.out.flush()
    }

    /// Shows an event, as far as it is for people.
    pub(crate) fn event(&mut self, event: &Event) -> io::Result<()> {
        self.names.learn(event);
        self.follow(event);
        if matches!(event, Event::Left { .. }) {
            self.foot(Foot::default())?;
        }
        if let Some(line) = lines::line(event, &self.names, self.scene) {
            self.text(&line)?;
        }
        if let Event::Listeners { listeners } = event
            && self.scene.is_in
            && !self.counted
        {
            self.counted = true;
            self.text(&lines::listeners(*listeners))?;
        }
        if let Event::Room { link, .. } = event
            && self.lively
            && let Some(code) = qr::code(&link.to_string(), columns())
        {
            self.text(&code)?;
        }
        if self.status.learn(event) && !self.scene.has_keys {
            self.show_status(event)?;
        }
        Ok(())
    }

    /// Keeps what later lines depend on.
    fn follow(&mut self, event: &Event) {
        match event {
            Event::Joined { .. } => self.scene.is_in = true,
            Event::Vacant => self.scene.is_vacant = true,
            Event::Log {
                action,
                subject: Some(subject),
                ..
            } => {
                if action == "kick" || action == "ban" {
                    self.scene.put_out = Some(*subject);
                } else if self.scene.put_out == Some(*subject) {
                    self.scene.put_out = None;
                }
            }
            _ => {}
        }
    }

    fn show_status(&mut self, event: &Event) -> io::Result<()> {
        let ended = matches!(event, Event::Left { .. } | Event::Summary(_));
        if self.lively && !ended {
            clear_line()?;
            write!(self.out, "{}", self.status.line(&self.names, true, columns()))?;
            self.status_shown = true;
            return self.out.flush();
        }
        if matches!(event, Event::Stats(_)) && !self.lively {
            self.quiet_for += 1;
            if self.quiet_for.is_multiple_of(PLAIN_EVERY) {
                let line = self.status.line(&self.names, false, COLUMNS);
                return self.text(&line);
            }
        }
        Ok(())
    }
}

/// Whether stdout is a terminal that can rewrite what it shows.
pub(crate) fn is_lively() -> bool {
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb" || term.is_empty());
    io::stdout().is_terminal() && !is_dumb
}

/// Clears the line that the cursor is in. It goes past the stream that takes colours out, which would take it out too.
fn clear_line() -> io::Result<()> {
    io::stdout().write_all(CLEAR_LINE.as_bytes())
}

/// How many columns the terminal has now, with one spared: a line that fills the last wraps on some.
pub(crate) fn columns() -> usize {
    terminal_size::terminal_size().map_or(COLUMNS, |(width, _)| usize::from(width.0).saturating_sub(1))
}

impl std::fmt::Debug for Show {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Show")
            .field("lively", &self.lively)
            .finish_non_exhaustive()
    }
}

/// A text that a person should not miss.
pub(crate) fn warning(text: &str) -> String {
    lines::warning(text)
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
