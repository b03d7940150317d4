//! Worlds with villains: the honest hear everything, or as much as can be heard.

use super::*;
use crate::sim::{Deed, Villain};

/// Fifty listeners of four places each, of whom one in seven or so breaks the rules.
fn with(deed: Deed) -> Scenario {
    Scenario {
        listeners: 50,
        fan_out: 4,
        host_fan_out: 4,
        duration: 40 * SECOND,
        villains: vec![Villain { share: 0.15, deed }],
        stage: Stage {
            renames: 3 * SECOND,
            ..Stage::default()
        },
        ..quiet()
    }
}

/// Runs it. Of those who have a place, so many of a hundred thousand frames at least were in time, and nobody honest was
/// cut off by another.
fn assert_heard(deed: Deed, seed: u64, at_least: u64) -> Report {
    let report = run(Scenario { seed, ..with(deed) });
    let share = report.in_time * 100_000 / report.expected.max(1);
    assert!(
        (30..50).contains(&report.listeners),
        "{deed:?}, seed {seed}: {report}"
    );
    assert_eq!(
        (report.misbehaved, report.refused),
        (0, 0),
        "{deed:?}, seed {seed}: {report}"
    );
    assert!(share >= at_least, "{deed:?}, seed {seed}: {share}: {report}");
    report
}

/// Runs it with two seeds, in which everyone honest finds a place.
fn assert_all_hear(deed: Deed, at_least: u64) {
    for seed in 1..=2 {
        let report = assert_heard(deed, seed, at_least);
        assert_eq!(
            (report.without_place, report.gave_up),
            (0, 0),
            "{deed:?}, seed {seed}: {report}"
        );
    }
}

#[test]
fn who_passes_nothing_on_is_bridged_and_left() {
    assert_all_hear(Deed::Withholds, 100_000);
}

#[test]
fn what_a_parent_drops_is_pulled_elsewhere() {
    assert_all_hear(Deed::Drops, 100_000);
}

#[test]
fn who_alters_sound_is_cut_off_and_next_to_nothing_is_missed() {
    // Until a stream is overdue nothing says that what comes from there is never genuine.
    let report = assert_heard(Deed::Alters, 1, 99_900);
    assert!(report.caught > 0, "{report}");
}

#[test]
fn old_packets_do_not_pass_for_new_ones() {
    assert_all_hear(Deed::Replays, 99_900);
}

#[test]
fn a_false_path_takes_nothing_from_those_below() {
    assert_all_hear(Deed::LiesAboutPath, 100_000);
}

#[test]
fn places_that_are_not_there_take_nothing_from_those_who_have_one() {
    assert_heard(Deed::LiesAboutPlaces, 1, 100_000);
}

#[test]
fn who_pulls_everything_takes_nothing_from_others() {
    assert_all_hear(Deed::Pulls, 100_000);
}

#[test]
fn who_comes_again_and_again_takes_nothing_from_others() {
    assert_all_hear(Deed::Floods, 100_000);
}

#[test]
fn two_that_turn_to_each_other_draw_nobody_into_silence() {
    assert_all_hear(Deed::Loops, 100_000);
}

#[test]
fn entries_that_a_parent_hides_come_another_way_before_they_are_missed() {
    assert_all_hear(Deed::HidesLog, 100_000);
}
