//! Two processes that find each other, and one that hears the other, wherever they run.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

use super::{
    clock::{Shows, WrongClock},
    ear,
    nodes::Run,
};
use crate::cli::program::Running;

/// Seconds of speech.
const SECONDS: usize = 4;

/// Its frames.
const FRAMES: u64 = (SECONDS * 50) as u64;

/// How often a newcomer looks for the room, each time with a key of its own: which of two dials the other is decided
/// by their keys.
const LOOKS: usize = 4;

/// Which of the two machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Where the room is.
    Host,
    /// Where it is found and heard.
    Guest,
}

/// How a room is joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// By the link that the list shows.
    Link,
    /// By its bare id.
    Id,
}

/// A talk to be held.
pub(crate) struct Talk<'a> {
    /// What it proves, for the output.
    pub(crate) name: &'a str,
    /// Makes the command of a program at an end, with a home and words.
    pub(crate) program: &'a dyn Fn(End, &Path, &[&str]) -> Command,
    /// More words for both ends.
    pub(crate) words: &'a [&'a str],
    /// Whether the guest is told of the host, instead of finding it by itself.
    pub(crate) is_introduced: bool,
    /// How the room is joined.
    pub(crate) by: By,
    /// What the clocks show, host's and guest's.
    pub(crate) clocks: Option<(&'a WrongClock, Shows, Shows)>,
}

impl Talk<'_> {
    /// Opens a room, lists it, joins it, and compares what was heard with what was said, sample for sample.
    pub(crate) fn hold(&self) -> Run {
        let homes = [(); 2].map(|()| tempfile::tempdir().expect("a directory"));
        let [said, heard] = ["said.wav", "heard.wav"].map(|name| homes[0].path().join(name));
        let samples = ear::clip(&ear::speech()[0], SECONDS, &said);

        let input = format!("file:{}", said.display());
        let words = ["host", "Poems", "--input", &input, "--output", "none"];
        let mut host = self.start(
            End::Host,
            &homes[0],
            &[&words[..], &["--wait-listeners", "1"]].concat(),
        );
        let address = host.until("listening")["addresses"][0].clone();
        let room = host.until("room");
        let listing = self.look(&room, &address);

        let link = listing[if self.by == By::Id { "id" } else { "link" }].clone();
        let output = format!("file:{}", heard.display());
        let mut words = vec!["join", text(&link), "--input", "none", "--output", &output];
        // Levelled it would be another sound than the one that was said.
        words.extend(["--leveling", "off"]);
        let mut guest = self.start(End::Guest, &homes[1], &self.introduced(&words, &address));
        let first = guest.until("first_audio")["seq"].clone();
        self.assert_clocks(&host.until("input_ended"), &settled(&mut guest));
        self.end(&homes[0]);
        let (guest, host) = (summary(guest), summary(host));

        let stalls = [&guest, &host].map(|end| end["stalls"].as_u64().expect("a number"));
        let stream = &guest["streams"][0];
        let counts = ["received", "lost", "concealed"].map(|name| stream[name].as_u64());
        println!(
            "{}: heard {} frames, lost {}",
            self.name, stream["received"], stream["lost"]
        );
        let why = if first != 0 || counts != [Some(FRAMES), Some(0), Some(0)] {
            format!("first frame {first}, {guest}")
        } else {
            let reference = ear::decode(&ear::encode(&samples));
            match ear::judge(&reference, &ear::read(&heard)) {
                Ok(()) => return Run::Good,
                Err(why) => why,
            }
        };
        Run::Bad {
            why,
            stalls: stalls.iter().sum(),
        }
    }

    /// Lists the rooms as newcomers until this one is there, and says how long that took.
    fn look(&self, room: &Value, address: &Value) -> Value {
        let mut last = Value::Null;
        for _ in 0..LOOKS {
            let home = tempfile::tempdir().expect("a directory");
            let begun = Instant::now();
            let mut list = self.start(
                End::Guest,
                &home,
                &self.introduced(&["rooms", "--watch"], address),
            );
            last = list.until_that("listing", |listing| listing["id"] == room["id"]);
            println!("{}: listed after {:?}", self.name, rounded(begun.elapsed()));
            assert_eq!(last["title"], "Poems");
            list.signal("TERM");
            let (code, _, said) = list.finish();
            assert_eq!(code, Some(0), "{said}");
        }
        last
    }

    fn start(&self, end: End, home: &TempDir, words: &[&str]) -> Running {
        Running::of(self.command(end, home, &[words, &["--json"]].concat()))
    }

    fn command(&self, end: End, home: &TempDir, words: &[&str]) -> Command {
        let mut command = (self.program)(end, home.path(), &[words, self.words].concat());
        if let Some((clock, host, guest)) = self.clocks {
            clock.set(&mut command, if end == End::Host { host } else { guest });
        }
        command
    }

    /// The guest's words, with the host's address if it is told.
    fn introduced<'b>(&self, words: &[&'b str], address: &'b Value) -> Vec<&'b str> {
        let mut words = words.to_vec();
        if self.is_introduced {
            words.extend(["--bootstrap", text(address)]);
        }
        words
    }

    fn assert_clocks(&self, of_host: &Value, of_guest: &Value) {
        if let Some((_, host, guest)) = self.clocks {
            host.assert_stamped(of_host);
            guest.assert_stamped(of_guest);
        }
    }

    /// Ends the room for everyone.
    fn end(&self, home: &TempDir) {
        let output = self.command(End::Host, home, &["ctl", "end"]).output();
        let output = output.expect("the program was built");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
    }
}

/// Waits until the guest has accounted for every frame, or its counts have stood still for three seconds: then what is
/// missing will not come, and the totals say so.
fn settled(guest: &mut Running) -> Value {
    let (mut last, mut unchanged) = (Value::Null, 0);
    loop {
        let stats = guest.until("stats");
        let expected = &stats["streams"][0]["expected"];
        unchanged = if *expected == last { unchanged + 1 } else { 0 };
        if *expected == FRAMES || unchanged == 3 {
            return stats;
        }
        last = expected.clone();
    }
}

/// The totals of a program that ends by itself.
fn summary(mut program: Running) -> Value {
    let (code, events, said) = program.finish();
    assert_eq!(code, Some(0), "{said}");
    let last = events.into_iter().rfind(|event| event["event"] == "summary");
    last.expect("the totals come last")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}

fn rounded(time: Duration) -> Duration {
    Duration::from_millis(time.as_millis() as u64)
}
