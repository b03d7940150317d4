//! `majlis demo` proves that it works, and notices when it does not.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use crate::{
    cli::program::{Running, signal},
    support::ear,
};

/// Each demo is nine processes that keep real time: one at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a demo to its end: its exit code and its verdicts.
fn verdicts(demo: &mut Running) -> (Option<i32>, Vec<Value>, String) {
    let (code, events, said) = demo.finish();
    let heard = events
        .into_iter()
        .filter(|event| event["event"] == "heard")
        .collect();
    (code, heard, said)
}

#[test]
fn everyone_hears_their_own_room() {
    let _alone = alone();
    let home = tempfile::tempdir().unwrap();
    let keep = home.path().join("kept");
    let mut demo = Running::start(home.path(), &["demo", "--keep", keep.to_str().unwrap()]);
    let (code, heard, said) = verdicts(&mut demo);
    assert_eq!(code, Some(0), "{said} {heard:?}");
    assert_eq!(heard.len(), 4);
    for row in heard {
        assert_eq!(row["heard"], true, "{row}");
        assert!(row["match"].as_f64() >= Some(0.95), "{row}");
        let wav = std::path::PathBuf::from(row["wav"].as_str().unwrap());
        assert!(wav.starts_with(&keep), "{row}");
        // The speech alone takes more than six seconds.
        assert!(ear::read(&wav).len() > 6 * 48_000, "{row}");
    }
}

#[test]
fn a_listener_that_is_killed_has_not_heard() {
    let _alone = alone();
    let home = tempfile::tempdir().unwrap();
    let mut demo = Running::start(home.path(), &["demo"]);
    let victim = demo.until_that("process", |event| event["name"] == "by-id");
    demo.until("hearing");
    signal(u32::try_from(victim["pid"].as_u64().unwrap()).unwrap(), "KILL");
    let (code, heard, said) = verdicts(&mut demo);
    assert_eq!(code, Some(1), "{said} {heard:?}");
    for row in &heard {
        assert_eq!(row["heard"], row["name"] != "by-id", "{row}");
    }
    assert_eq!(heard.len(), 4);
}

#[test]
fn a_listener_in_the_wrong_room_has_not_heard() {
    let _alone = alone();
    let home = tempfile::tempdir().unwrap();
    let mut demo = Running::start(home.path(), &["demo", "--wrong-room"]);
    let (code, heard, said) = verdicts(&mut demo);
    assert_eq!(code, Some(1), "{said} {heard:?}");
    for row in &heard {
        let astray = row["name"] == "from-the-list";
        assert_eq!(row["heard"], !astray, "{row}");
        if astray {
            // It lost nothing: what it heard was simply not its room.
            assert_eq!(row["received"], row["expected"], "{row}");
        }
    }
    assert_eq!(heard.len(), 4);
}
