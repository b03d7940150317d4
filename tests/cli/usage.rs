//! Wrong usage exits 2, and help speaks only of what there is.

use super::program::run;

/// The commands that exist.
const COMMANDS: [&str; 11] = [
    "host",
    "join",
    "rooms",
    "schedule",
    "node",
    "ctl",
    "log",
    "id",
    "doctor",
    "demo",
    "completions",
];

/// Words of commands and options that are designed but not built: no help may speak of them.
const NOT_BUILT: [&str; 2] = ["--reopen", "relay volunteer"];

fn code(args: &[&str]) -> (Option<i32>, String) {
    let home = tempfile::tempdir().unwrap();
    let output = run(home.path(), args);
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

fn help(args: &[&str]) -> String {
    let home = tempfile::tempdir().unwrap();
    let output = run(home.path(), &[args, &["--help"]].concat());
    assert_eq!(output.status.code(), Some(0), "{args:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn what_is_not_built_or_misspelt_exits_2() {
    for args in [
        &[][..],
        &["no-such-command"],
        &["host"],
        &["host", "T", "--no-such-option"],
        &["host", "T", "--at", "soon"],
        &[
            "host",
            "T",
            "--at",
            "2030-01-01T20:00",
            "--visibility",
            "unlisted",
        ],
        &["schedule", "T"],
        &["schedule", "cancel"],
        &["host", "T", "--uplink", "fast"],
        &["host", "T", "--uplink", "5"],
        &["host", "--room", "x"],
        &["host", "T", "--visibility", "private"],
        &["host", "T", "--tag", "two words"],
        &["host", "T", "--input", "microphone"],
        &["host", "T", "--input", "tone:loud"],
        &["host", "T", "--output", "file:x.mp3"],
        &["host", "T", "--leveling", "loud"],
        &["host", "T", "--input", "tone:440", "--noise-suppression", "on"],
        &["join", "a", "--input", "file:x.wav", "--echo-cancel", "on"],
        &["host", "--room", "x", "--music"],
        &["host", "T", "--duration", "soon"],
        &["host", "T", "--duration", "0"],
        &["host", "T", "--wait-listeners", "-1"],
        &["host", "T", "--transport", "carrier-pigeon"],
        &["host", "T", "--bootstrap", "example.org"],
        &["host", "T", "--max-children", "many"],
        &["join"],
        &["join", "a", "b"],
        &["join", "a", "--appeal", " "],
        &["ctl"],
        &["ctl", "mute"],
        &["ctl", "grant", "x"],
        &["ctl", "grant", "x", "host"],
        &["ctl", "ban", "x", "--for", "long"],
        &["ctl", "lock", "x"],
        &["ctl", "hand", "sideways"],
        &["ctl", "guests", "x"],
        &["ctl", "policy", "speakers", "none"],
        &["ctl", "chat"],
        &["ctl", "react", "🦀"],
        &["ctl", "policy", "slow-mode", "2h"],
        &["ctl", "people", "--audience", "--page", "0"],
        &["ctl", "people", "--page", "2"],
        &["ctl", "mic", "maybe"],
        &["ctl", "volume", "x", "401%"],
        &["ctl", "--room", "x", "info"],
        &["rooms", "--wait", "long"],
        &["rooms", "--tag", "two words"],
        &["rooms", "--watch", "--wait", "3"],
        &["log"],
        &["log", "show"],
        &["completions", "tcsh"],
        &["demo", "--fast"],
        &["id", "--verbose=3"],
    ] {
        let (code, said) = code(args);
        assert_eq!(code, Some(2), "{args:?}: {said}");
        assert!(!said.contains("panicked"), "{args:?}: {said}");
    }
}

#[test]
fn help_speaks_of_everything_there_is_and_of_nothing_else() {
    let all = help(&[]);
    for command in COMMANDS {
        assert!(all.contains(&format!("\n  {command} ")), "{command}: {all}");
    }
    let listed = all.lines().skip_while(|line| *line != "Commands:").skip(1);
    let listed = listed
        .take_while(|line| !line.is_empty())
        .filter(|line| !line.starts_with("   "));
    assert_eq!(
        listed.count(),
        COMMANDS.len() + 1,
        "one line a command, and `help`: {all}"
    );
    let texts = COMMANDS.map(|command| help(&[command])).into_iter().chain([all]);
    for text in texts.chain([help(&["log", "show"]), help(&["log", "verify"])]) {
        for word in NOT_BUILT {
            assert!(!text.contains(word), "{word:?} is not built: {text}");
        }
    }
}

#[test]
fn every_action_of_ctl_is_built() {
    let actions = [
        "info",
        "title",
        "end",
        "people",
        "invite",
        "accept",
        "decline",
        "leave-stage",
        "mic",
        "move",
        "tree",
        "grant",
        "revoke",
        "mute",
        "unmute",
        "kick",
        "ban",
        "unban",
        "chat",
        "react",
        "record",
        "volume",
    ];
    let text = help(&["ctl"]);
    for action in actions {
        assert!(text.contains(&format!("\n  {action} ")), "{action}: {text}");
    }
    let listed = text
        .lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let listed: Vec<_> = listed
        .filter(|line| line.trim_start().chars().all(|c| c != '-'))
        .collect();
    assert!(listed.len() >= actions.len(), "{listed:?}");
}
