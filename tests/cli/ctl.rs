//! `ctl` acts on the node of its home, and says the chair's reason when it may not.

use super::program::{fails, host, join, run, succeeds};

#[test]
fn a_room_is_steered_from_another_terminal() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (_host, link) = host(a.path(), &["--nick", "amir"]);
    let (mut member, joined) = join(b.path(), &link, &["--nick", "salma", "--input", "tone:440"]);

    let info = &succeeds(b.path(), &["ctl", "info"])[0];
    assert_eq!(
        (&info["event"], &info["title"], &info["role"]),
        (&"info".into(), &"A room".into(), &"listener".into())
    );
    let done = &succeeds(a.path(), &["ctl", "title", "Another name"])[0];
    assert_eq!(
        (&done["event"], &done["action"]),
        (&"done".into(), &"title".into())
    );
    member.until_that("log", |event| event["seq"] == done["seq"]);
    assert_eq!(succeeds(b.path(), &["ctl", "info"])[0]["title"], "Another name");

    let people = &succeeds(a.path(), &["ctl", "people"])[0]["people"];
    let salma = people
        .as_array()
        .unwrap()
        .iter()
        .find(|person| person["key"] == joined["key"])
        .expect("she is there");
    let name = format!("salma#{}", salma["tag"].as_str().unwrap());
    succeeds(a.path(), &["ctl", "invite", &name]);
    member.until_that("log", |event| event["action"] == "invite");
    succeeds(b.path(), &["ctl", "accept"]);
    member.until_that("microphone", |event| event["on"] == true);
    succeeds(b.path(), &["ctl", "mic", "off"]);
    member.until_that("microphone", |event| event["on"] == false);
    succeeds(a.path(), &["ctl", "move", joined["key"].as_str().unwrap()]);
    member.until_that("role", |event| event["role"] == "listener");
}

#[test]
fn a_moderator_mutes_kicks_and_bans_and_the_log_says_why() {
    let homes = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let [a, b, c] = homes.each_ref().map(tempfile::TempDir::path);
    let (mut host, link) = host(a, &[]);
    let (mut moderator, hers) = join(b, &link, &["--nick", "salma"]);
    let (mut noisy, his) = join(c, &link, &["--nick", "noise", "--input", "tone:440"]);
    let [hers, his] = [&hers, &his].map(|joined| joined["key"].as_str().unwrap());

    assert!(fails(c, &["ctl", "mute", hers]).contains("may not"));
    succeeds(a, &["ctl", "grant", hers, "moderator"]);
    moderator.until_that("role", |event| event["role"] == "moderator");
    succeeds(b, &["ctl", "invite", his]);
    noisy.until_that("log", |event| event["action"] == "invite");
    succeeds(c, &["ctl", "accept"]);
    noisy.until_that("microphone", |event| event["on"] == true);

    let done = &succeeds(b, &["ctl", "mute", his, "--reason", "a tone"])[0];
    let told = host.until_that("log", |event| event["seq"] == done["seq"]);
    assert_eq!(
        (
            &told["action"],
            &told["reason"],
            &told["author"],
            &told["subject"]
        ),
        (&"mute".into(), &"a tone".into(), &hers.into(), &his.into())
    );
    noisy.until_that("microphone", |event| event["on"] == false);
    let people = &succeeds(a, &["ctl", "people"])[0]["people"];
    let person = people.as_array().unwrap().iter().find(|one| one["key"] == his);
    assert_eq!(person.expect("on the stage")["muted"], true);
    assert!(fails(c, &["ctl", "mic", "on"]).contains("muted"));
    let said = fails(c, &["ctl", "unmute", his]);
    assert!(
        said.contains("may not") && said.contains("you are a speaker"),
        "{said}"
    );
    let said = fails(a, &["ctl", "leave-stage"]);
    assert!(said.contains("always on the stage"), "{said}");
    succeeds(b, &["ctl", "unmute", his]);
    noisy.until_that("mute", |event| event["muted"] == false);
    succeeds(c, &["ctl", "mic", "on"]);

    succeeds(b, &["ctl", "ban", his, "--for", "2h", "--reason", "again"]);
    assert_eq!(noisy.until("left")["reason"], "banned");
    let (code, _, said) = noisy.finish();
    assert!(code == Some(1) && said.contains("banned"), "{code:?}: {said}");
    let mut again =
        super::program::Running::start(c, &["join", &link, "--input", "none", "--output", "none"]);
    assert_eq!(again.until("left")["reason"], "banned");
    let (code, _, said) = again.finish();
    assert!(code == Some(1) && said.contains("again"), "{code:?}: {said}");
    let kept_out = &succeeds(a, &["ctl", "people"])[0]["kept_out"][0];
    assert_eq!(
        (&kept_out["key"], &kept_out["kicked"]),
        (&his.into(), &false.into())
    );
    assert!(kept_out["left_ms"].as_u64().unwrap() > 7_000_000, "{kept_out}");
    let tag = format!("#{}", kept_out["tag"].as_str().unwrap());
    assert!(fails(b, &["ctl", "unban", "#aaaaaaaa"]).contains("kept out"));
    succeeds(b, &["ctl", "unban", &tag]);
    let (mut back, joined) = join(c, &link, &[]);
    assert_eq!(joined["role"], "listener");
    succeeds(b, &["ctl", "kick", his]);
    assert_eq!(back.until("left")["reason"], "kicked");

    let log = a.join("rooms").join(super::program::id_of(&link)).join("log");
    let log = log.to_str().unwrap();
    succeeds(a, &["log", "verify", log]);
    let shown = String::from_utf8(run(a, &["log", "show", log]).stdout).unwrap();
    assert!(
        shown.contains(&format!("{hers} (moderator) ban {his} for 2 h: again")),
        "{shown}"
    );
}

#[test]
fn what_the_chair_refuses_exits_1_with_its_reason() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (_host, link) = host(a.path(), &[]);
    let (_member, joined) = join(b.path(), &link, &[]);
    for args in [
        &["ctl", "title", "Mine now"][..],
        &["ctl", "end"],
        &["ctl", "accept"],
        &["ctl", "mic", "on"],
        &["ctl", "invite", joined["key"].as_str().unwrap()],
    ] {
        let said = fails(b.path(), args);
        assert!(said.trim().len() > "majlis: ".len() + 5, "{args:?}: {said}");
    }
    let said = fails(a.path(), &["ctl", "invite", "nobody#aaaaaaaa"]);
    assert!(said.contains("ctl people"), "{said}");
    let said = fails(a.path(), &["ctl", "title", ""]);
    assert!(said.contains("title"), "{said}");
}

#[test]
fn without_a_node_or_a_room_it_says_how_to_get_one() {
    let home = tempfile::tempdir().unwrap();
    let said = fails(home.path(), &["ctl", "info"]);
    assert!(said.contains("no node runs") && said.contains("--home"), "{said}");

    let mut node = super::program::Running::start(home.path(), &["node"]);
    node.until("listening");
    let said = fails(home.path(), &["ctl", "info"]);
    assert!(said.contains("in no room"), "{said}");
    let room = format!("ae{}", "a".repeat(51));
    let said = fails(home.path(), &["ctl", "--room", &room, "info"]);
    assert!(said.contains("not in that room"), "{said}");

    // What a killed node leaves behind leads nowhere.
    drop(node);
    let said = fails(home.path(), &["ctl", "info"]);
    assert!(said.contains("no node runs"), "{said}");
}

#[test]
fn people_read_text_where_programs_read_json() {
    let home = tempfile::tempdir().unwrap();
    let (_host, link) = host(home.path(), &["--nick", "amir"]);
    let output = run(home.path(), &["ctl", "info"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains(&link) && !text.contains('{') && !text.contains('\u{1b}'),
        "{text}"
    );
    let output = run(home.path(), &["ctl", "people"]);
    assert!(String::from_utf8(output.stdout).unwrap().contains("amir#"));
}
