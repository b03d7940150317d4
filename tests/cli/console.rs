//! The console of `majlis host` and `majlis join`, by people at terminals.

use std::path::Path;

use super::program::{Running, majlis, succeeds};
use crate::support::tty::Tty;

/// What a key that is held and let go sends, where the terminal tells it (kitty keyboard protocol).
const SPACE_DOWN: &str = "\x1b[32;1:1u";
const SPACE_HELD: &str = "\x1b[32;1:2u";
const SPACE_UP: &str = "\x1b[32;1:3u";

const CTRL_C: &str = "\x03";
const CTRL_Z: &str = "\x1a";

fn host_at(home: &Path, tells_release: bool) -> (Tty, String) {
    let silent = ["--input", "none", "--output", "none"];
    let words = [&["host", "Evening talk", "--nick", "amir"], &silent[..]].concat();
    let mut host = Tty::start(majlis(home, &words), tells_release);
    host.until("\n    majlis:");
    host.until_row("? all keys");
    host.until_status("○ mic off | nobody speaks | 1 on stage, 0 listen | host: Evening talk");
    let screen = host.screen();
    let link = screen.lines().find_map(|line| line.strip_prefix("    majlis:"));
    let link = format!("majlis:{}", link.expect("a link").trim_end());
    (host, link)
}

fn guest_at(home: &Path, link: &str, nick: &str, tells_release: bool) -> Tty {
    let tone = ["--input", "tone:440", "--output", "none"];
    let words = [&["join", link, "--nick", nick], &tone[..]].concat();
    let mut guest = Tty::start(majlis(home, &words), tells_release);
    guest.until("you are in \"Evening talk\", as listener");
    guest.until_status("listening | nobody speaks");
    guest
}

/// Invites the first hand that is up, from where it was shown.
fn invite_first(host: &mut Tty, nick: &str) {
    host.until_status("1 hand");
    host.press("w1");
    host.until_row(&format!("1 {nick}#"));
    host.press("i");
    host.until(&format!("you invite {nick}#"));
}

#[test]
fn a_host_runs_a_room_by_keys() {
    let homes = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let [a, b, c] = homes.each_ref().map(tempfile::TempDir::path);
    let (mut host, link) = host_at(a, false);
    let mut guest = guest_at(b, &link, "noor", false);
    host.until_status("1 on stage, 1 listens");

    // A hand, with its number, is invited and accepts.
    guest.until_row("r raise hand");
    guest.press("r");
    guest.until("your hand is up");
    guest.until_row("r lower hand");
    host.until(" raises a hand; w shows the queue");
    invite_first(&mut host, "noor");
    host.until("\n  1  noor#");
    guest.until(" invites you to the stage: a accepts, d declines");
    guest.until_row("a accept  d decline");
    guest.press("a");
    guest.until("● you are live");
    guest.until_status("● live");
    host.until_status("2 on stage");
    host.until_status("noor#");

    // Muted and not, by a number of the list.
    host.press("o2");
    host.until_row("2 noor#");
    host.press("m");
    host.until("you mute noor#");
    guest.until("you are muted: nobody hears you");
    guest.until_status("✕ muted");
    guest.until("you are silent");
    guest.press("m");
    guest.until("! you are muted; a host, co-host or moderator must unmute you first");
    host.press("o2");
    host.until_row("m unmute");
    host.press("m");
    guest.until("you are muted no more");

    // A line of chat, typed and corrected; no letter of it is a key.
    guest.press("chello qx");
    guest.until_row("chat: hello qx");
    guest.press("\x7f\x7fall\r");
    guest.until("you: hello all");
    host.until(": hello all");
    guest.press("e1");
    host.until("👏 1");

    // A lock.
    host.press("l");
    host.until("you lock the room");
    host.until_status("| locked |");
    let mut late = Running::start(c, &["join", &link, "--input", "none", "--output", "none"]);
    assert_eq!(late.until("left")["reason"], "refused");
    host.press("l");
    host.until("you unlock the room");

    // Another name, which begins as the one that it has.
    host.press("t");
    host.until_row("title: Evening talk");
    host.press("\x15Poems\r");
    host.until_status("host: Poems");
    guest.until("calls the room \"Poems\"");

    // Put out with a reason, and let in again from the list.
    host.press("o2k");
    host.until_row("kick noor#");
    host.press("cool down\r");
    host.until("you kick noor#");
    guest.until("you were put out of the room");
    assert_eq!(guest.finish(), Some(1));
    host.until_status("1 on stage");
    host.press("p");
    host.until("kicked");
    host.press("2");
    host.until_row("u let in again");
    host.press("u");
    host.until("you unban noor#");

    // The end has to be meant.
    host.press("x");
    host.until_row("end the room for everyone, for good? y: yes");
    host.press("n");
    host.until_row("? all keys");
    host.press("x");
    host.until_row("y: yes");
    host.press("y");
    host.until("you end the room");
    assert_eq!(host.finish(), Some(0));
    assert!(!host.screen().contains("all keys"), "{}", host.screen());
}

#[test]
fn a_hand_is_lowered_and_somebody_banned_from_the_console() {
    let homes = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let [a, b] = homes.each_ref().map(tempfile::TempDir::path);
    let (mut host, link) = host_at(a, false);
    let mut guest = guest_at(b, &link, "noor", false);
    guest.press("r");
    host.until_status("1 hand");
    // A digit alone picks a hand.
    host.press("1");
    host.until_row("d hand down");
    host.press("d");
    guest.until("your hand is down");
    host.until(" is down");
    host.until_that("no hand", |host| !host.status().contains("hand"));
    host.press("p2b");
    host.until_row("ban noor#");
    host.press("soon\r");
    host.until("'soon' is not a time");
    host.press("2h\r");
    host.until_row("; why:");
    host.press("noise\r");
    host.until_row("for 2 h? y: yes");
    host.press("y");
    host.until(" for 2 h (noise)");
    guest.until("you are banned from the room");
    assert_eq!(guest.finish(), Some(1));
    // Quitting asks; Ctrl-C does not.
    host.press("q");
    host.until_row("leave? your room");
    host.press("n");
    host.until_row("? all keys");
    host.press(CTRL_C);
    host.until("you have left");
    assert_eq!(host.finish(), Some(0));
}

#[test]
fn keys_that_a_role_may_not_use_are_not_offered_and_say_why() {
    let homes = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let [a, b] = homes.each_ref().map(tempfile::TempDir::path);
    let (mut host, link) = host_at(a, false);
    let mut guest = guest_at(b, &link, "noor", false);
    guest.press("?");
    guest.until("This terminal does not tell when Space is let go");
    assert!(!guest.screen().contains("end the room for everyone"));
    guest.press("i");
    guest.until("you are    listener");
    guest.press("l");
    guest.until("only hosts, co-hosts and moderators may, and you are a listener");
    guest.press("x");
    guest.until("only hosts may, and you are a listener");
    guest.press("a");
    guest.until("! nobody has invited you to the stage");
    guest.press("m");
    guest.until("! you are not on the stage: r raises your hand");
    guest.press("z");
    guest.until("no such key; ? shows all");
    guest.press("5");
    guest.until("no hand is up");
    // What is pasted are no keys.
    guest.press("\x1b[200~lock qy\x1b[201~");
    guest.until("! what is pasted goes into a line");
    guest.press("/\x1b[200~two\nlines\x1b[201~\r");
    guest.until("you: two lines");
    host.until(": two lines");
    host.press("s");
    host.until("a host is always on the stage");
    host.press("m");
    host.until("! this node has no input");
    guest.press("n");
    guest.until("\n  1  noor#");
    guest.press("q");
    guest.until_row("leave the room? y: yes");
    guest.press("y");
    guest.until("you have left");
    assert_eq!(guest.finish(), Some(0));
}

#[test]
fn a_microphone_is_open_while_a_key_is_held_whether_the_terminal_tells_its_end_or_not() {
    let homes = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let [a, b, c] = homes.each_ref().map(tempfile::TempDir::path);
    let (mut host, link) = host_at(a, true);
    for (home, nick, tells_release) in [(b, "noor", true), (c, "omar", false)] {
        let mut guest = guest_at(home, &link, nick, tells_release);
        guest.press("r");
        invite_first(&mut host, nick);
        guest.until_row("a accept");
        guest.press("a");
        guest.until_status("● live");
        guest.press("m");
        guest.until_status("○ mic off");
        if tells_release {
            guest.press(SPACE_DOWN);
            guest.until_status("● live");
            host.until(&format!("the microphone of {nick}#"));
            guest.press(SPACE_HELD);
            // It goes on as long as the key is held: what comes next is seen while live.
            guest.press("?");
            guest.until("This terminal tells when Space is let go");
            assert!(guest.status().contains("● live"), "{}", guest.status());
            guest.press(SPACE_UP);
        } else {
            guest.press(" ");
            guest.until_status("● live");
        }
        guest.until_status("○ mic off");
        guest.signal("TERM");
        assert_eq!(guest.finish(), Some(0));
    }
}

#[test]
fn the_terminal_is_as_it_was_however_the_program_ends_or_stops() {
    let home = tempfile::tempdir().unwrap();
    for tells_release in [true, false] {
        let (mut host, _) = host_at(home.path(), tells_release);
        assert!(host.is_raw());
        host.press("?");
        let says = if tells_release {
            "tells when"
        } else {
            "does not tell when"
        };
        host.until(&format!("This terminal {says} Space is let go"));
        // Nobody is there to have it go on: it is not stopped. Stopped from elsewhere, it goes on.
        for stop in [CTRL_Z, ""] {
            host.press(stop);
            if stop.is_empty() {
                host.signal("STOP");
                host.signal("CONT");
            }
            host.press("c");
            host.until_row("chat:");
            host.press("\x1b");
            host.until_row("? all keys");
            assert!(host.is_raw());
        }
        // In the middle of a line.
        host.press("chalf a li");
        host.until_row("chat: half a li");
        host.signal("TERM");
        host.until("you have left");
        assert_eq!(host.finish(), Some(0));
        assert!(!host.screen().contains("half a li"), "{}", host.screen());
    }
}

#[test]
fn two_rows_stand_below_the_events_while_these_scroll() {
    let homes = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let [a, b] = homes.each_ref().map(tempfile::TempDir::path);
    let (_host, link) = host_at(a, false);
    let silent = ["--input", "none", "--output", "none", "--nick", "noor"];
    let words = [&["join", link.as_str()], &silent[..]].concat();
    let mut guest = Tty::with_rows(majlis(b, &words), false, 10);
    guest.until_row("? all keys");
    // Each is a line above, and the rows below are there once.
    for n in 0..3 {
        succeeds(a, &["ctl", "title", &format!("Title {n}")]);
        guest.until_status(&format!("Title {n}"));
        guest.press("?");
        guest.until("the microphone closes");
    }
    guest.until_row("? all keys");
    let screen = guest.screen();
    assert_eq!(screen.matches("? all keys").count(), 1, "{screen}");
    assert_eq!(screen.matches("listener: Title").count(), 1, "{screen}");
}

#[test]
fn a_terminal_that_can_do_nothing_has_no_console_and_neither_has_json() {
    let home = tempfile::tempdir().unwrap();
    let words = ["host", "Evening talk", "--input", "none", "--output", "none"];
    let mut dumb = majlis(home.path(), &words);
    dumb.env("TERM", "dumb");
    let json = majlis(home.path(), &[&words[..], &["--json"]].concat());
    for (command, shows) in [
        (dumb, "you are in \"Evening talk\""),
        (json, "\"event\":\"joined\""),
    ] {
        let mut host = Tty::start(command, false);
        host.until(shows);
        assert!(!host.is_raw());
        host.signal("TERM");
        assert_eq!(host.finish(), Some(0));
        let screen = host.screen();
        assert!(!screen.contains("all keys"), "{screen}");
    }
}

#[test]
fn without_colours_the_console_is_the_same() {
    let home = tempfile::tempdir().unwrap();
    let words = ["host", "Evening talk", "--input", "none", "--output", "none"];
    for no_color in [false, true] {
        let mut command = majlis(home.path(), &words);
        command.env("NO_COLOR", if no_color { "1" } else { "" });
        let mut host = Tty::start(command, false);
        host.until_row("? all keys");
        host.press("l");
        host.until_status("| locked |");
        host.press(CTRL_C);
        assert_eq!(host.finish(), Some(0));
        assert_eq!(host.has_colours(), !no_color);
    }
}
