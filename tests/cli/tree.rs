//! `ctl tree` shows the relay tree as a node knows it, to programs and to people.

use serde_json::Value;

use super::program::{Running, host, join, run, succeeds};

/// On a busy machine TCP may win the race, and there is nothing to measure on it.
const QUIC: [&str; 4] = ["--transport", "quic", "--listen", "/ip4/127.0.0.1/udp/0/quic-v1"];

/// What a node says of the tree, once it fits.
fn tree_that(home: &std::path::Path, fits: impl Fn(&Value) -> bool) -> Value {
    let started = std::time::Instant::now();
    loop {
        let tree = succeeds(home, &["ctl", "tree"])[0].clone();
        if fits(&tree) {
            return tree;
        }
        assert!(started.elapsed() < super::program::PATIENCE, "{tree}");
    }
}

#[test]
fn each_node_shows_the_way_up_and_what_hangs_below() {
    let homes: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    let (root, link) = host(homes[0].path(), &["--nick", "amir", "--max-children", "1"]);
    let (_relay, at_relay) = join(
        homes[1].path(),
        &link,
        &[&["--nick", "salma", "--max-children", "2"][..], &QUIC].concat(),
    );
    let (_leaf, at_leaf) = join(
        homes[2].path(),
        &link,
        &[&["--nick", "noor", "--max-children", "0"][..], &QUIC].concat(),
    );
    // The host has one place, so the second comes to hang below the first.
    let children = |tree: &Value| tree["children"].as_array().map_or(0, Vec::len);
    let relay = tree_that(homes[1].path(), |tree| children(tree) == 1);
    assert_eq!((&at_relay["depth"], &at_leaf["depth"]), (&1.into(), &2.into()));
    assert_eq!(relay["event"], "tree");
    let amir = &relay["parent"];
    assert_eq!((&relay["root"], &relay["depth"]), (&amir["peer"], &1.into()));
    assert_eq!(relay["path"], Value::from(vec![amir["peer"].clone()]));
    assert_eq!((&amir["nick"], &amir["members"]), (&"amir".into(), &Value::Null));
    assert!(
        amir["rtt_ms"].as_f64() > Some(0.0) && amir["loss"].as_f64() >= Some(0.0),
        "{amir}"
    );
    assert_eq!((&relay["capacity"], &relay["members"]), (&2.into(), &2.into()));
    assert_eq!(relay["children"][0]["nick"], "noor");

    let leaf = tree_that(homes[2].path(), |tree| !tree["parent"].is_null());
    assert_eq!(
        leaf["path"],
        Value::from(vec![amir["peer"].clone(), relay["peer"].clone()])
    );
    assert_eq!((&leaf["capacity"], children(&leaf)), (&0.into(), 0));
    assert_eq!(leaf["parent"]["peer"], relay["peer"]);

    // Who is two hops away is known to the root by number alone.
    let top = tree_that(homes[0].path(), |tree| tree["members"] == 3);
    assert_eq!((&top["root"], &top["depth"]), (&top["peer"], &0.into()));
    assert_eq!((&top["parent"], &top["standby"]), (&Value::Null, &Value::Null));
    assert_eq!((children(&top), &top["children"][0]["members"]), (1, &2.into()));
    root.signal("TERM");
}

#[test]
fn people_see_a_drawing_with_names_and_measures() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (_root, link) = host(a.path(), &["--nick", "amir"]);
    let (_member, _) = join(b.path(), &link, &[&["--nick", "salma"][..], &QUIC].concat());
    let text = |home| String::from_utf8(run(home, &["ctl", "tree"]).stdout).unwrap();
    let (up, down) = (text(b.path()), text(a.path()));
    assert!(
        up.starts_with("amir#") && up.contains("root, parent") && up.contains("└─ you"),
        "{up}"
    );
    assert!(
        up.contains("0 of 8 places taken") && up.contains("ms round trip"),
        "{up}"
    );
    assert!(
        down.starts_with("you ") && down.contains("1 of 8 places taken"),
        "{down}"
    );
    assert!(down.contains("└─ salma#") && !down.contains('\u{1b}'), "{down}");
}

#[test]
fn an_uplink_says_how_many_places_there_are() {
    let home = tempfile::tempdir().unwrap();
    let capacity = |args: &[&str]| {
        let (mut node, _): (Running, _) = host(home.path(), args);
        let tree = succeeds(home.path(), &["ctl", "tree"])[0].clone();
        node.signal("TERM");
        node.finish();
        tree["capacity"].as_u64()
    };
    assert_eq!(capacity(&[]), Some(8));
    assert_eq!(capacity(&["--uplink", "5mbit"]), Some(36));
    assert_eq!(capacity(&["--uplink", "5mbit", "--max-children", "6"]), Some(6));
    assert_eq!(capacity(&["--uplink", "300kbit", "--max-children", "6"]), Some(2));
    assert_eq!(capacity(&["--max-children", "0"]), Some(0));
}
