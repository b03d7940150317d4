//! Where results go: one JSON object a line for programs, or text for people.
//!
//! Each line is flushed as it is written. A write that fails because the reader has gone is an
//! [`std::io::ErrorKind::BrokenPipe`], which callers take for the wish to stop.

use std::io::{self, Write};

use majlis::{
    clock,
    event::{Event, Stamped},
};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    printer::Print,
    show::{self, Foot, Show, Voice},
};

/// The face that a command shows.
#[derive(Debug)]
pub(crate) enum Face {
    /// For programs.
    Json,
    /// For people.
    People(Box<Show>),
}

impl Face {
    /// The face that was asked for.
    pub(crate) fn new(json: bool) -> Self {
        if json {
            Self::Json
        } else {
            Self::People(Box::new(Show::new()))
        }
    }

    /// The same face for someone who speaks with this.
    pub(crate) fn with_voice(self, voice: Voice) -> Self {
        match self {
            Self::Json => Self::Json,
            Self::People(show) => Self::People(Box::new(show.with_voice(voice))),
        }
    }

    /// The same face for someone who has a console.
    pub(crate) fn with_console(self) -> Self {
        match self {
            Self::Json => Self::Json,
            Self::People(show) => Self::People(Box::new(show.with_console())),
        }
    }

    /// Prints this.
    pub(crate) fn print(&mut self, print: Print) -> io::Result<()> {
        match (self, print) {
            (face, Print::Event(event)) => face.event(&event),
            (face, Print::Foot(foot)) => face.foot(foot),
            (face, Print::Pause { then, done }) => {
                face.foot(Foot::default())?;
                then();
                // Whoever waits for it may be gone.
                let _ = done.send(());
                Ok(())
            }
            (Self::People(show), Print::Text(text)) => show.text(&text),
            (Self::People(show), Print::Afresh) => show.afresh(),
            // Programs are told events alone.
            (Self::Json, Print::Text(_) | Print::Afresh) => Ok(()),
        }
    }

    /// Has this stand below all else.
    pub(crate) fn foot(&mut self, foot: Foot) -> io::Result<()> {
        match self {
            Self::Json => Ok(()),
            Self::People(show) => show.foot(foot),
        }
    }

    /// Tells an event of a room.
    pub(crate) fn event(&mut self, event: &Stamped) -> io::Result<()> {
        match self {
            Self::Json => line(event),
            Self::People(show) => show.event(&event.event),
        }
    }

    /// Tells an event that happens now.
    pub(crate) fn tell(&mut self, event: Event) -> io::Result<()> {
        self.event(&Stamped::now(event))
    }

    /// Tells of a room that another node has listed.
    pub(crate) fn listing(&mut self, listing: &Value) -> io::Result<()> {
        self.result("listing", listing, &show::listing(listing))
    }

    /// Tells of a room to come that another node knows to have been called off.
    pub(crate) fn cancelled(&mut self, cancelled: &Value) -> io::Result<()> {
        self.result("cancelled", cancelled, &show::cancelled(cancelled))
    }

    /// Tells that another node has a room no longer in its list.
    pub(crate) fn unlisted(&mut self, id: &str) -> io::Result<()> {
        self.result("unlisted", &json!({ "id": id }), &format!("gone: {id}"))
    }

    /// Tells a result of the program itself: as an event called `name` with the fields of `body`, or as `text`.
    pub(crate) fn result(&mut self, name: &str, body: &impl Serialize, text: &str) -> io::Result<()> {
        match self {
            Self::Json => line(&Outcome::now(name, body)),
            Self::People(show) => show.text(text),
        }
    }
}

/// A result of the program itself, in the shape of an event.
#[derive(Debug, Serialize)]
struct Outcome<'a, T> {
    event: &'a str,
    at_ms: u64,
    #[serde(flatten)]
    body: &'a T,
}

impl<'a, T: Serialize> Outcome<'a, T> {
    fn now(event: &'a str, body: &'a T) -> Self {
        Self {
            event,
            at_ms: clock::unix_millis(),
            body,
        }
    }
}

fn line(value: &impl Serialize) -> io::Result<()> {
    let text = serde_json::to_string(value)?;
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_an_event_with_its_own_fields() {
        let value = serde_json::to_value(Outcome::now("id", &json!({ "key": "k" }))).expect("an object");
        assert_eq!((&value["event"], &value["key"]), (&json!("id"), &json!("k")));
        assert!(
            value["at_ms"].as_u64().is_some_and(|at| at > 1_600_000_000_000),
            "{value}"
        );
    }
}
