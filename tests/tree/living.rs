//! A run of the failover example: what it told.

use std::{path::Path, process::Command};

use serde_json::Value;

use crate::{cli::program::Running, support::nodes::alone};

/// What a run told, event by event.
#[derive(Debug)]
pub(super) struct Run {
    events: Vec<Value>,
    /// Whether the example itself was content.
    pub(super) is_good: bool,
}

impl Run {
    /// Runs the example to its end, while no other real-time test runs.
    pub(super) fn of(args: &[&str]) -> Self {
        let _alone = alone();
        let example = Path::new(env!("CARGO_BIN_EXE_majlis")).with_file_name("examples/failover");
        assert!(
            example.exists(),
            "{} is not built: run the tests with `make test`, or build it with `cargo build --features testlink --examples`",
            example.display()
        );
        let mut command = Command::new(example);
        command.args(args).arg("--json");
        let mut running = Running::of(command);
        let (code, events, said) = running.finish();
        assert!(matches!(code, Some(0 | 1)), "it ended with {code:?}: {said}");
        let run = Self {
            events,
            is_good: code == Some(0),
        };
        assert!(
            run.all("total").count() == 1,
            "it did not come to its end: {said}"
        );
        run
    }

    /// All events of a name.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &Value> {
        self.events.iter().filter(move |event| event["event"] == name)
    }

    /// The totals.
    pub(super) fn total(&self) -> &Value {
        self.all("total").next().expect("it was seen when the run ended")
    }

    /// What each orphan of each kill came to: the kill, and the orphan.
    pub(super) fn orphans(&self) -> impl Iterator<Item = (&Value, &Value)> {
        let kills = self.all("reparented");
        kills.flat_map(|kill| list(&kill["orphans"]).map(move |orphan| (kill, orphan)))
    }

    /// A number of the totals.
    pub(super) fn number(&self, name: &str) -> u64 {
        number(&self.total()[name])
    }
}

pub(super) fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

pub(super) fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("no number: {value}"))
}
