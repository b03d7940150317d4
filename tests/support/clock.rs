//! Wall clocks that are wrong, for whole processes: libraries read the clock too, so a clock of our own would prove less.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use majlis::clock::unix_seconds;
use serde_json::Value;
use tempfile::TempDir;

/// How far from what was asked for a clock may be: the time that a process takes to start.
const TOLERANCE: u64 = 60;

/// Sets the wall clocks of processes. Needs a C compiler and Linux's way to preload a library.
pub(crate) struct WrongClock {
    library: PathBuf,
    _folder: TempDir,
}

/// What a wall clock shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shows {
    /// The time.
    Now,
    /// The first minute of 1970: a machine without a battery for its clock.
    Year1970,
    /// This time tomorrow.
    Tomorrow,
}

impl WrongClock {
    /// The means to set clocks, or none where there are not.
    pub(crate) fn at_hand() -> Option<Self> {
        if cfg!(not(target_os = "linux")) {
            println!("skipped: the wall clock of a process can be set on Linux alone");
            return None;
        }
        let folder = tempfile::tempdir().expect("a directory");
        let library = folder.path().join("clock.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/clock.c");
        let compile = |compiler: &&str| {
            Command::new(compiler)
                .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
                .args([&library, &source])
                .status()
                .ok()
        };
        let built = ["cc", "gcc", "clang"].iter().find_map(compile);
        let built = built.expect("a C compiler, which the build needs too");
        assert!(built.success(), "{} does not compile", source.display());
        Some(Self {
            library,
            _folder: folder,
        })
    }

    /// Sets the clock of a process that is to be started.
    pub(crate) fn set(&self, command: &mut Command, shows: Shows) {
        let shift = i128::from(shows.at(unix_seconds())) - i128::from(unix_seconds());
        command
            .env("LD_PRELOAD", &self.library)
            .env("MAJLIS_TEST_CLOCK", shift.to_string());
    }
}

impl Shows {
    /// The Unix seconds that it shows at a time.
    fn at(self, now: u64) -> u64 {
        match self {
            Self::Now => now,
            Self::Year1970 => 1,
            Self::Tomorrow => now + 86_400,
        }
    }

    /// Demands that an event was stamped by such a clock.
    pub(crate) fn assert_stamped(self, event: &Value) {
        let at = event["at_ms"].as_u64().expect("a number") / 1_000;
        let wanted = self.at(unix_seconds());
        assert!(at.abs_diff(wanted) < TOLERANCE, "{self:?}: {event}");
    }
}
