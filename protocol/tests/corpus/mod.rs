//! The fuzz targets on their corpus, so that what fuzzing once found stays found.
//!
//! `protocol/fuzz/corpus/` has a folder for each target. Files named `seed-…` are made by
//! `cargo test -p majlis-protocol --test tests -- --ignored corpus::write`. Those named `fuzzed-…` are what a run of the
//! fuzzer kept of the machines' scripts, and those named `found-…` once broke something.

mod seeds;
#[path = "../../fuzz/src/lib.rs"]
mod targets;

use std::{collections::BTreeMap, fs, panic, path::PathBuf};

use self::targets::{TARGETS, Target};

/// Most bytes of all files together: what every clone carries.
const MOST: u64 = 300_000;

#[test]
fn no_input_of_the_corpus_breaks_a_target() {
    let mut broken = Vec::new();
    for (name, target) in TARGETS {
        for (file, input) in inputs(name) {
            if run(*target, &input).is_none() {
                broken.push(format!("{name}/{file}"));
            }
        }
    }
    assert!(
        broken.is_empty(),
        "what they say stands above, in this order: {broken:?}"
    );
}

#[test]
fn every_target_has_inputs_that_reach_behind_its_first_checks() {
    for (name, target) in TARGETS {
        let inputs = inputs(name);
        let reached = inputs
            .iter()
            .filter(|(_, input)| run(*target, input) == Some(true))
            .count();
        assert!(reached >= 3, "{name}: {reached} of {} inputs", inputs.len());
    }
}

#[test]
fn the_corpus_is_small_and_has_no_folder_without_a_target() {
    let mut bytes = 0;
    for folder in fs::read_dir(corpus()).unwrap() {
        let folder = folder.unwrap();
        let name = folder.file_name().into_string().unwrap();
        assert!(TARGETS.iter().any(|(target, _)| *target == name), "{name}");
        let sizes = fs::read_dir(folder.path())
            .unwrap()
            .map(|file| file.unwrap().metadata().unwrap().len());
        bytes += sizes.sum::<u64>();
    }
    assert!(bytes <= MOST, "{bytes} bytes");
}

#[test]
fn the_seeds_are_those_that_would_be_written_today() {
    let mut stale = Vec::new();
    for (name, _) in TARGETS {
        let written: BTreeMap<_, _> = inputs(name)
            .into_iter()
            .filter(|(file, _)| file.starts_with("seed-"))
            .collect();
        let made: BTreeMap<_, _> = (0..)
            .zip(seeds::of(name))
            .map(|(at, seed): (usize, _)| (format!("seed-{at:02}"), seed))
            .collect();
        if written != made {
            stale.push(*name);
        }
    }
    assert!(
        stale.is_empty(),
        "run `cargo test -p majlis-protocol --test tests -- --ignored corpus::write` for {stale:?}"
    );
}

#[test]
fn every_target_has_a_binary() {
    let manifest = include_str!("../../fuzz/Cargo.toml");
    let binaries: Vec<&str> = manifest
        .split("[[bin]]\nname = \"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect();
    assert_eq!(
        binaries,
        TARGETS.iter().map(|(name, _)| *name).collect::<Vec<_>>()
    );
    for name in binaries {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("fuzz/fuzz_targets/{name}.rs"));
        let source = fs::read_to_string(&path).unwrap();
        assert!(source.contains(&format!("majlis_fuzz::{name}(data)")), "{name}");
    }
}

#[test]
#[ignore = "writes the seeds of protocol/fuzz/corpus; run it when a format or a script was changed on purpose"]
fn write() {
    for (name, _) in TARGETS {
        let folder = corpus().join(name);
        fs::create_dir_all(&folder).unwrap();
        for (file, _) in inputs(name) {
            if file.starts_with("seed-") {
                fs::remove_file(folder.join(file)).unwrap();
            }
        }
        for (at, seed) in seeds::of(name).into_iter().enumerate() {
            fs::write(folder.join(format!("seed-{at:02}")), seed).unwrap();
        }
    }
}

/// Whether an input got past the first checks; `None` when it broke a property.
fn run(target: Target, input: &[u8]) -> Option<bool> {
    panic::catch_unwind(|| target(input)).ok()
}

/// The corpus of a target, by file name.
fn inputs(target: &str) -> Vec<(String, Vec<u8>)> {
    let mut inputs: Vec<_> = fs::read_dir(corpus().join(target))
        .unwrap_or_else(|error| panic!("{target}: {error}"))
        .map(|file| file.unwrap())
        .map(|file| {
            (
                file.file_name().into_string().unwrap(),
                fs::read(file.path()).unwrap(),
            )
        })
        .collect();
    inputs.sort();
    inputs
}

fn corpus() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus")
}
