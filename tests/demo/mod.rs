//! `majlis demo` proves that it works, and notices when it does not.

use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use crate::{
    cli::program::{Running, signal},
    support::ear,
};

/// Each demo is eleven processes that keep real time: one at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A demo that came to its end: what it told.
struct Held {
    code: Option<i32>,
    events: Vec<Value>,
    said: String,
    kept: tempfile::TempDir,
}

/// A demo that nobody disturbs; several tests look at it.
static UNDISTURBED: LazyLock<Held> = LazyLock::new(|| {
    let _alone = alone();
    let (home, kept) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let keep = kept.path().to_str().unwrap();
    let mut demo = Running::start(home.path(), &["demo", "--keep", keep]);
    Held::of(&mut demo, kept)
});

impl Held {
    fn of(demo: &mut Running, kept: tempfile::TempDir) -> Self {
        let (code, events, said) = demo.finish();
        Self {
            code,
            events,
            said,
            kept,
        }
    }

    fn all(&self, name: &str) -> Vec<&Value> {
        self.events
            .iter()
            .filter(|event| event["event"] == name)
            .collect()
    }

    /// Those of the last take: earlier ones were spoilt by the machine.
    fn last(&self, name: &str) -> &Value {
        self.all(name)
            .last()
            .unwrap_or_else(|| panic!("no `{name}`: {}", self.said))
    }

    /// The verdicts: all listeners but the relay that was killed.
    fn heard(&self) -> Vec<&Value> {
        let heard = self.all("heard");
        assert_eq!(heard.len(), 5, "{} {heard:?}", self.said);
        heard
    }
}

fn started(home: &std::path::Path, args: &[&str]) -> Running {
    Running::start(home, &[&["demo"], args].concat())
}

fn pid(process: &Value) -> u32 {
    u32::try_from(process["pid"].as_u64().unwrap()).unwrap()
}

#[test]
fn everyone_hears_all_of_their_own_room() {
    let demo = &*UNDISTURBED;
    assert_eq!(demo.code, Some(0), "{} {:?}", demo.said, demo.events);
    for row in demo.heard() {
        assert_eq!(row["heard"], true, "{row}");
        assert_eq!((&row["lost"], &row["concealed"]), (&0.into(), &0.into()), "{row}");
        assert!(row["match"].as_f64() >= Some(0.95), "{row}");
        let wav = std::path::PathBuf::from(row["wav"].as_str().unwrap());
        assert!(wav.starts_with(demo.kept.path()), "{row}");
        // The speech alone takes more than six seconds.
        assert!(ear::read(&wav).len() > 6 * 48_000, "{row}");
    }
}

#[test]
fn a_relay_is_killed_and_those_who_hung_on_it_move() {
    let demo = &*UNDISTURBED;
    let (tree, killed) = (demo.last("tree"), demo.last("killed"));
    let members = tree["members"].as_array().unwrap();
    let listeners = members.iter().filter(|member| {
        let name = member["name"].as_str().unwrap();
        name != "host" && !name.starts_with("relay-")
    });
    for listener in listeners {
        assert!(listener["depth"].as_u64() >= Some(2), "{tree}");
        assert!(listener["standby"].is_string(), "{tree}");
    }
    let victim = &killed["name"];
    assert!(victim == "relay-1" || victim == "relay-2", "{killed}");
    let orphans = killed["children"].as_array().unwrap();
    assert!(!orphans.is_empty(), "{killed}");
    for row in demo.heard() {
        assert_ne!(row["name"], *victim, "whoever was killed is not judged");
        let moved_to = row["moved_to"].as_array().unwrap();
        if orphans.contains(&row["name"]) {
            assert!(moved_to.first().is_some_and(|first| first != victim), "{row}");
        }
    }
}

#[test]
fn a_listener_that_is_killed_has_not_heard() {
    let _alone = alone();
    let home = tempfile::tempdir().unwrap();
    let mut demo = started(home.path(), &[]);
    let victim = demo.until_that("process", |event| event["name"] == "by-id");
    demo.until("hearing");
    signal(pid(&victim), "KILL");
    let demo = Held::of(&mut demo, home);
    assert_eq!(demo.code, Some(1), "{} {:?}", demo.said, demo.events);
    for row in demo.heard() {
        assert_eq!(row["heard"], row["name"] != "by-id", "{row}");
    }
}

#[test]
fn a_listener_in_the_wrong_room_has_not_heard() {
    let _alone = alone();
    let home = tempfile::tempdir().unwrap();
    let mut demo = started(home.path(), &["--wrong-room"]);
    let demo = Held::of(&mut demo, home);
    assert_eq!(demo.code, Some(1), "{} {:?}", demo.said, demo.events);
    for row in demo.heard() {
        let astray = row["name"] == "from-the-list";
        assert_eq!(row["heard"], !astray, "{row}");
        if astray {
            // It lost nothing: what it heard was simply not its room.
            assert_eq!(row["received"], row["expected"], "{row}");
        }
    }
}

#[test]
fn a_demo_whose_speaker_dies_has_failed() {
    let _alone = alone();
    let home = tempfile::tempdir().unwrap();
    let mut demo = started(home.path(), &[]);
    let host = demo.until_that("process", |event| event["name"] == "host");
    demo.until("hearing");
    signal(pid(&host), "KILL");
    let demo = Held::of(&mut demo, home);
    assert_eq!(demo.code, Some(1), "{} {:?}", demo.said, demo.events);
    assert!(demo.said.contains("host"), "{}", demo.said);
    assert!(demo.all("heard").is_empty(), "{:?}", demo.events);
}
