//! Worlds with villains: the honest hear everything that anybody honest beside them can bring.

use super::*;
use crate::sim::{Deed, Villain};

/// Forty listeners of four places each, of whom one in twelve or so breaks the rules.
fn with(deed: Deed, seed: u64) -> Scenario {
    Scenario {
        seed,
        listeners: 40,
        fan_out: 4,
        host_fan_out: 4,
        duration: 20 * SECOND,
        villains: vec![Villain { share: 0.08, deed }],
        stage: Stage {
            renames: 3 * SECOND,
            ..Stage::default()
        },
        ..quiet()
    }
}

/// Runs two worlds. Everyone honest finds a place and stays, and nobody honest is cut off by another. Where all have
/// somebody honest for their parent or their standby, nothing is lost. Where some
/// stood between villains, they and those below them lose what is said until they have turned elsewhere: it takes a
/// second or two, of the sixteen that count.
fn assert_heard(deed: Deed) -> [Report; 2] {
    let reports = [1, 3].map(|seed| run(with(deed, seed)));
    for report in &reports {
        assert!((30..40).contains(&report.listeners), "{deed:?}: {report}");
        assert_no_fault(report);
        assert_eq!(report.gave_up, 0, "{deed:?}: {report}");
        let may_lose = report.cornered > 0 && spoils_sound(deed);
        if may_lose {
            assert!(report.ratio() > 0.97, "{deed:?}: {report}");
        } else {
            assert_eq!(report.in_time, report.expected, "{deed:?}: {report}");
        }
    }
    reports
}

/// Whether a villain's children can hear nothing by it, or nothing in time.
fn spoils_sound(deed: Deed) -> bool {
    matches!(
        deed,
        Deed::Withholds | Deed::Alters | Deed::Replays | Deed::HidesLog
    )
}

#[test]
fn who_passes_nothing_on_is_bridged_and_left() {
    assert_heard(Deed::Withholds);
}

#[test]
fn what_a_parent_drops_is_pulled_elsewhere() {
    assert_heard(Deed::Drops);
}

#[test]
fn who_alters_sound_is_cut_off() {
    let reports = assert_heard(Deed::Alters);
    assert!(reports.iter().any(|report| report.caught > 0));
}

#[test]
fn old_packets_do_not_pass_for_new_ones() {
    assert_heard(Deed::Replays);
}

#[test]
fn a_false_path_takes_nothing_from_those_below() {
    assert_heard(Deed::LiesAboutPath);
}

#[test]
fn places_that_are_not_there_keep_nobody_out() {
    assert_heard(Deed::LiesAboutPlaces);
}

#[test]
fn who_pulls_everything_takes_nothing_from_others() {
    assert_heard(Deed::Pulls);
}

#[test]
fn who_comes_again_and_again_takes_nothing_from_others() {
    assert_heard(Deed::Floods);
}

#[test]
fn two_that_turn_to_each_other_draw_nobody_into_silence() {
    assert_heard(Deed::Loops);
}

#[test]
fn entries_that_a_parent_hides_come_another_way_before_they_are_missed() {
    assert_heard(Deed::HidesLog);
}
