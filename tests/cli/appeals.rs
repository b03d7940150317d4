//! A banned person's one message, by processes of which only the host's relay is asked.

use super::program::{Running, host, id_of, join, succeeds};

#[test]
fn a_banned_person_appeals_through_a_relay_and_those_who_keep_order_read_it() {
    let homes = [(); 4].map(|()| tempfile::tempdir().unwrap());
    let [a, b, c, d] = homes.each_ref().map(tempfile::TempDir::path);
    let (mut host, link) = host(a, &["--max-children", "2"]);
    let silent = ["join", &link, "--input", "none", "--output", "none"];
    let mut relay = Running::start(b, &silent);
    let address = relay.until("listening")["addresses"][0]
        .as_str()
        .unwrap()
        .to_owned();
    relay.until("joined");
    let (mut moderator, hers) = join(c, &link, &[]);
    succeeds(a, &["ctl", "grant", hers["key"].as_str().unwrap(), "moderator"]);
    let at_relay = format!("majlis:{}?via={address}", id_of(&link));
    let (mut noisy, his) = join(d, &at_relay, &[]);
    let his = his["key"].as_str().unwrap();
    moderator.until_that("role", |event| event["role"] == "moderator");
    succeeds(c, &["ctl", "ban", his, "--reason", "noise"]);
    assert_eq!(noisy.until("left")["reason"], "banned");
    noisy.finish();

    let appeal = [
        "join",
        &at_relay,
        "--input",
        "none",
        "--output",
        "none",
        "--appeal",
        "it was my brother",
    ];
    let mut back = Running::start(d, &appeal);
    assert_eq!(back.until("left")["reason"], "banned");
    let (code, _, said) = back.finish();
    assert!(code == Some(1) && said.contains("on its way"), "{code:?}: {said}");
    for process in [&mut host, &mut moderator] {
        let told = process.until("appeal");
        assert_eq!(
            (&told["key"], &told["text"]),
            (&his.into(), &"it was my brother".into())
        );
    }
    let (_, _, said) = Running::start(d, &appeal).finish();
    assert!(said.contains("already"), "{said}");
    succeeds(c, &["ctl", "unban", his]);
    let (_, joined) = join(d, &at_relay, &["--appeal", "thank you"]);
    assert_eq!(joined["role"], "listener");
}
