//! Small worlds, judged by their reports.

mod villains;

use alloc::vec;
use core::time::Duration;

use super::*;
use crate::sim::{Churn, How, Kill, Moment, Partition, Stage, Uplink, link::Loss};

const SECOND: Duration = Duration::from_secs(1);

/// Thirty listeners below a host.
fn quiet() -> Scenario {
    Scenario {
        listeners: 30,
        host_fan_out: 8,
        duration: 12 * SECOND,
        warm_up: 4 * SECOND,
        ..Scenario::default()
    }
}

fn run(scenario: Scenario) -> Report {
    World::new(scenario).expect("a valid scenario").run()
}

fn kill(victim: Victim, how: How, count: u32) -> Vec<Kill> {
    let at = 6 * SECOND;
    vec![Kill {
        at,
        victim,
        count,
        how,
    }]
}

/// Everything is as it must be when nothing goes wrong but what the test asked for.
fn assert_no_fault(report: &Report) {
    assert_eq!(
        (report.misbehaved, report.refused, report.without_place),
        (0, 0, 0),
        "{report}"
    );
}

#[test]
fn on_a_good_network_everyone_joins_and_hears_every_frame_in_time() {
    let report = run(quiet());
    assert_no_fault(&report);
    assert_eq!((report.listeners, report.gave_up), (30, 0));
    assert!(report.frames > 200, "{report}");
    assert_eq!(report.expected, report.in_time, "{report}");
    assert_eq!(report.soon, report.in_time, "{report}");
    assert!((2..=3).contains(&report.depth.max), "{report}");
    assert_eq!(report.lost.max, 0);
    assert!(report.host_packets_a_frame <= 8.0, "the host's fan-out: {report}");
    assert!(report.joining.max < 2_000, "{report}");
    let over_time: u64 = report.timeline.iter().map(|moment| moment.expected).sum();
    assert_eq!(over_time, report.expected);
    assert!(
        report
            .timeline
            .iter()
            .all(|moment| moment.in_time == moment.expected)
    );
}

#[test]
fn three_speakers_take_the_stage_and_are_all_heard() {
    let stage = Stage {
        speakers: 3,
        frames: 3,
        ..Stage::default()
    };
    let report = run(Scenario { stage, ..quiet() });
    assert_no_fault(&report);
    assert!(report.frames > 600, "{report}");
    assert_eq!(report.expected, report.in_time, "{report}");
}

#[test]
fn lost_datagrams_are_pulled_in_time_and_control_gets_through() {
    let loss = Loss::uniform(0.05).expect("a share");
    let report = run(Scenario { loss, ..quiet() });
    assert_no_fault(&report);
    assert!(report.ratio() > 0.99, "{report}");
}

#[test]
fn who_leaves_or_crashes_is_expected_to_hear_until_then_and_no_further() {
    for how in [How::Leave, How::Crash] {
        let report = run(Scenario {
            kills: kill(Victim::Listener, how, 10),
            ..quiet()
        });
        assert_no_fault(&report);
        assert_eq!(report.killed, 10);
        assert_eq!(report.expected, report.in_time, "{how:?}: {report}");
        let whole = run(quiet());
        assert!(report.expected < whole.expected, "{how:?}: {report}");
    }
}

#[test]
fn when_the_host_crashes_sound_goes_on_by_way_of_its_heir() {
    let report = run(Scenario {
        kills: kill(Victim::Host, How::Crash, 1),
        duration: 60 * SECOND,
        stage: Stage {
            speakers: 1,
            host_speaks: false,
            ..Stage::default()
        },
        ..quiet()
    });
    assert_eq!(report.killed, 1);
    assert_eq!(report.gave_up, 0, "{report}");
    assert!(report.ratio() > 0.95, "{report}");
    let before = |moment: &&Moment| moment.at < 5 * SECOND;
    assert!(
        report
            .timeline
            .iter()
            .filter(before)
            .all(|moment| moment.in_time == moment.expected),
        "{report}"
    );
}

#[test]
fn churn_lets_members_come_and_go_and_those_who_stay_hear_everything() {
    let report = run(Scenario {
        churn: Churn {
            departures: 2.0,
            crashes: 0.5,
            arrivals: 2.0,
        },
        ..quiet()
    });
    assert_no_fault(&report);
    assert!(report.listeners > 33, "{report}");
    assert!(report.ratio() > 0.99, "{report}");
}

#[test]
fn a_partition_silences_the_smaller_part_while_it_lasts() {
    let report = run(Scenario {
        partitions: vec![Partition {
            during: 6 * SECOND..8 * SECOND,
            share: 0.5,
        }],
        ..quiet()
    });
    assert_no_fault(&report);
    let within = |from: u64, until: u64| {
        let range = Duration::from_secs(from)..Duration::from_secs(until);
        let moments = report.timeline.iter().filter(|moment| range.contains(&moment.at));
        moments.fold((0, 0), |(expected, in_time), moment| {
            (expected + moment.expected, in_time + moment.in_time)
        })
    };
    let (expected, in_time) = within(6, 8);
    assert!(
        in_time * 10 > expected * 2 && in_time * 10 < expected * 8,
        "{in_time} of {expected}"
    );
    let (expected, in_time) = within(0, 5);
    assert_eq!(expected, in_time, "{report}");
    let (expected, in_time) = within(10, 12);
    assert!(in_time * 100 > expected * 95, "{in_time} of {expected}: {report}");
}

#[test]
fn members_with_small_uplinks_give_few_places_and_all_hear_everything() {
    let uplinks = vec![Uplink {
        share: 1.0,
        bits: 2_000_000,
    }];
    let report = run(Scenario { uplinks, ..quiet() });
    // 70 % of two megabits carry five places at the three speakers that places are counted for.
    assert_eq!(report.without_place, 0, "{report}");
    assert!(report.host_packets_a_frame <= 5.0, "{report}");
    assert_eq!(report.dropped, 0, "{report}");
    assert_eq!(report.expected, report.in_time, "{report}");
}

#[test]
fn the_same_seed_gives_the_same_report_in_any_number_of_shards_and_another_seed_another() {
    let scenario = |seed| Scenario {
        seed,
        loss: Loss::bursty(0.02, 3.0).expect("a share"),
        churn: Churn {
            departures: 1.0,
            crashes: 0.5,
            arrivals: 1.0,
        },
        kills: kill(Victim::Listener, How::Crash, 2),
        ..quiet()
    };
    let first = run(scenario(1));
    assert_eq!(run(scenario(1)), first);
    for shards in [2, 5] {
        let world = World::sharded(scenario(1), shards).expect("valid");
        assert_eq!(world.run(), first, "{shards} shards");
    }
    assert_ne!(run(scenario(2)), first);
}
