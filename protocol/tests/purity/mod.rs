//! `majlis-protocol` decides and does nothing: it reaches no runtime, network, device, clock or random source,
//! not even through what it depends on. Calls into the standard library are held by `protocol/clippy.toml`.

use std::process::Command;

/// Crates that wait, talk, listen, read the clock or ask the system for randomness. A name covers its family:
/// `libp2p` stands for `libp2p-core` too. `getrandom` also covers `rand` with its system features, which
/// all come down to it; a generator that is seeded by its caller is welcome.
const IMPURE: [&str; 18] = [
    "async-io",
    "async-std",
    "audiopus",
    "chrono",
    "cpal",
    "futures",
    "getrandom",
    "jiff",
    "libp2p",
    "mio",
    "polling",
    "quinn",
    "rustix",
    "smol",
    "socket2",
    "time",
    "tokio",
    "web-time",
];

#[test]
fn the_protocol_depends_on_no_runtime_network_clock_or_system_randomness() {
    let tree = dependency_tree();
    let names: Vec<&str> = tree.lines().filter_map(crate_name).collect();
    assert!(
        names.contains(&"ed25519-dalek"),
        "this is not the tree of the protocol:\n{tree}"
    );

    let found: Vec<&str> = names.into_iter().filter(|name| is_impure(name)).collect();
    assert!(
        found.is_empty(),
        "majlis-protocol must stay pure, yet it depends on {found:?}:\n{tree}"
    );
}

#[test]
fn a_family_is_known_by_its_first_name_and_a_namesake_is_spared() {
    for name in [
        "tokio",
        "tokio-util",
        "libp2p-core",
        "libp2p_swarm",
        "quinn-proto",
        "getrandom",
    ] {
        assert!(is_impure(name), "{name}");
    }
    for name in ["rand_core", "timeless", "instantiate", "ed25519-dalek", "miow"] {
        assert!(!is_impure(name), "{name}");
    }
}

/// What the crate links into every program, with all its own features on, indented as `cargo tree` prints it.
/// Only the lock file and packages already fetched for this build are read.
fn dependency_tree() -> String {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--package",
            "majlis-protocol",
            "--edges",
            "normal",
            "--all-features",
        ])
        .args([
            "--prefix",
            "indent",
            "--charset",
            "ascii",
            "--locked",
            "--offline",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("the cargo that built this test can be run");
    assert!(
        output.status.success(),
        "cargo tree failed:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("cargo prints UTF-8")
}

fn crate_name(line: &str) -> Option<&str> {
    line.trim_start_matches(['|', '`', '-', ' '])
        .split_whitespace()
        .next()
}

fn is_impure(name: &str) -> bool {
    IMPURE.iter().any(|impure| match name.strip_prefix(impure) {
        Some(rest) => rest.is_empty() || rest.starts_with(['-', '_']),
        None => false,
    })
}
