//! `rooms` shows what is open: from a passing node, or from the one that runs in the home.

use std::collections::BTreeSet;

use serde_json::Value;

use super::program::{Running, community, host, id_of, succeeds};

fn ids(events: &[Value]) -> Vec<&str> {
    let listings = events.iter().filter(|event| event["event"] == "listing");
    listings.map(|listing| listing["id"].as_str().unwrap()).collect()
}

#[test]
fn a_newcomer_sees_public_rooms_and_never_an_unlisted_one() {
    let homes: Vec<_> = (0..4).map(|_| tempfile::tempdir().unwrap()).collect();
    let (_node, meeting) = community(homes[0].path());
    let (_hidden, hidden_link) = host(
        homes[1].path(),
        &["--bootstrap", &meeting, "--visibility", "unlisted"],
    );
    let (_open, link) = host(homes[2].path(), &["--bootstrap", &meeting, "--tag", "poems"]);
    let mut list = Running::start(homes[3].path(), &["rooms", "--watch", "--bootstrap", &meeting]);
    let listing = list.until("listing");
    assert_eq!(listing["id"], id_of(&link), "and not the hidden one");
    assert_eq!(
        (&listing["title"], &listing["live"]),
        (&"A room".into(), &true.into())
    );
    assert_eq!(listing["tags"], serde_json::json!(["poems"]));
    assert!(
        listing["starts"].is_null() && listing["listeners"].is_u64(),
        "{listing}"
    );
    assert_eq!(id_of(listing["link"].as_str().unwrap()), id_of(&link));
    assert!(listing["host"].as_str().unwrap().starts_with("12D3KooW"));

    list.signal("TERM");
    let (code, rest, said) = list.finish();
    assert_eq!(code, Some(0), "{said}");
    assert!(!ids(&rest).contains(&id_of(&hidden_link)), "{rest:?}");
}

#[test]
fn the_running_node_of_a_home_is_asked() {
    let homes: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    let (mut node, meeting) = community(homes[0].path());
    let (_one, poems) = host(homes[1].path(), &["--bootstrap", &meeting, "--tag", "poems"]);
    let (_other, talk) = host(homes[2].path(), &["--bootstrap", &meeting, "--tag", "شعر"]);
    let mut open = BTreeSet::new();
    while open.len() < 2 {
        open.insert(node.until("listing")["id"].as_str().unwrap().to_owned());
    }
    // The home is held by the node: no passing one could open it.
    let asked = |args: &[&str]| {
        let events = succeeds(homes[0].path(), &[&["rooms"], args].concat());
        let mut ids: Vec<String> = ids(&events).into_iter().map(str::to_owned).collect();
        ids.sort();
        ids
    };
    let mut all = vec![id_of(&poems).to_owned(), id_of(&talk).to_owned()];
    all.sort();
    assert_eq!(asked(&[]), all);
    assert_eq!(asked(&["--tag", "Poems"]), [id_of(&poems)]);
    assert_eq!(asked(&["--tag", "شعر"]), [id_of(&talk)]);
    assert!(asked(&["--tag", "nothing", "--wait", "0.1"]).is_empty());
}

#[test]
fn a_room_that_ended_or_was_left_by_its_host_is_unlisted_at_once() {
    let homes: Vec<_> = (0..4).map(|_| tempfile::tempdir().unwrap()).collect();
    let (_node, meeting) = community(homes[0].path());
    let (mut ends, ended) = host(homes[1].path(), &["--bootstrap", &meeting]);
    let (mut leaves, left) = host(homes[2].path(), &["--bootstrap", &meeting]);
    let mut list = Running::start(homes[3].path(), &["rooms", "--watch", "--bootstrap", &meeting]);
    let mut open = BTreeSet::new();
    while open.len() < 2 {
        open.insert(list.until("listing")["id"].as_str().unwrap().to_owned());
    }
    assert!(open.contains(id_of(&ended)) && open.contains(id_of(&left)));

    succeeds(homes[1].path(), &["ctl", "end"]);
    assert_eq!(list.until("unlisted")["id"], id_of(&ended));
    ends.finish();
    leaves.signal("TERM");
    assert_eq!(list.until("unlisted")["id"], id_of(&left));
    leaves.finish();
}

#[test]
fn where_there_are_none_people_are_told_so() {
    let home = tempfile::tempdir().unwrap();
    let output = super::program::run(home.path(), &["rooms", "--wait", "0.2"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(
        String::from_utf8(output.stdout)
            .unwrap()
            .contains("no rooms found")
    );
}
