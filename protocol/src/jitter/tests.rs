//! Virtual-time traces through the buffer, and properties over arbitrary ones.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

const EPOCH: u32 = 1_000;

/// One packet on its way: what it holds and when it arrives, in microseconds.
#[derive(Debug, Clone)]
struct Sent {
    at: i64,
    epoch: u32,
    sequence: u32,
    time: u32,
    frames: u32,
    copies: Vec<u8>,
    ends: bool,
    repaired: bool,
}

fn packet(sequence: u32, time: u32, at: i64) -> Sent {
    Sent {
        at,
        epoch: EPOCH,
        sequence,
        time,
        frames: 1,
        copies: vec![],
        ends: false,
        repaired: false,
    }
}

/// A continuous stream of `count` one-frame packets without jitter, 5 ms after capture.
fn steady(count: u32) -> Vec<Sent> {
    (0..count)
        .map(|n| packet(n, n, i64::from(n) * 20_000 + 5_000))
        .collect()
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn payload(sequence: u32) -> Bytes {
    Bytes::copy_from_slice(&sequence.to_be_bytes())
}

fn copy(sequence: u32) -> Bytes {
    Bytes::copy_from_slice(&[b"copy".as_slice(), &sequence.to_be_bytes()].concat())
}

fn deliver(buffer: &mut JitterBuffer, sent: &Sent, now: Duration) {
    let frames: Vec<Bytes> = (0..sent.frames)
        .map(|n| payload(sent.sequence.wrapping_add(n)))
        .collect();
    let copies = sent
        .copies
        .iter()
        .map(|&back| (back, copy(sent.sequence.wrapping_sub(u32::from(back)))));
    let redundant: Vec<(u8, Bytes)> = copies.collect();
    let arrival = Arrival {
        epoch: sent.epoch,
        sequence: sent.sequence,
        time: sent.time,
        frames: &frames,
        redundant: &redundant,
        end_of_spurt: sent.ends,
        repaired: sent.repaired,
    };
    buffer.handle_packet(&arrival, now);
}

/// Delivers everything at its time and polls every 20 ms from 7 ms on, until `until` milliseconds have passed.
fn run_until(buffer: &mut JitterBuffer, mut trace: Vec<Sent>, until: i64) -> Vec<Playout> {
    trace.sort_by_key(|sent| sent.at);
    let mut coming = trace.iter().peekable();
    let mut heard = vec![];
    for poll in (7_000..until * 1000).step_by(20_000) {
        while let Some(sent) = coming.next_if(|sent| sent.at <= poll) {
            deliver(buffer, sent, Duration::from_micros(sent.at as u64));
        }
        heard.push(buffer.poll_frame(Duration::from_micros(poll as u64)));
        assert!(buffer.buffered() <= MAX_BUFFERED);
    }
    heard
}

/// The same, until a second after the last arrival.
fn run(buffer: &mut JitterBuffer, trace: Vec<Sent>) -> Vec<Playout> {
    let last = trace.iter().map(|sent| sent.at).max().unwrap_or(0);
    run_until(buffer, trace, last / 1000 + 1_000)
}

fn stage() -> JitterBuffer {
    JitterBuffer::new(DelayGoal::Stage)
}

fn audience() -> JitterBuffer {
    JitterBuffer::new(DelayGoal::Audience { floor: ms(240) })
}

/// The sequences of the real frames that came out.
fn frames(heard: &[Playout]) -> Vec<u32> {
    let sequence = |playout: &Playout| match playout {
        Playout::Frame { sequence, .. } => Some(*sequence),
        _ => None,
    };
    heard.iter().filter_map(sequence).collect()
}

/// One letter a tick: frame, recovered, concealed, silence.
fn letters(heard: &[Playout]) -> String {
    let letter = |playout: &Playout| match playout {
        Playout::Frame { .. } => 'f',
        Playout::Recover { .. } => 'r',
        Playout::Conceal { .. } => 'c',
        Playout::Silence => '.',
    };
    heard.iter().map(letter).collect()
}

/// The same without the silence around it.
fn spurt(heard: &[Playout]) -> String {
    letters(heard).trim_matches('.').to_owned()
}

/// A small generator with a seed, so that every trace is the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

#[test]
fn without_jitter_every_frame_is_played_on_its_tick_and_nothing_adapts() {
    for (mut buffer, least) in [(stage(), STAGE_MIN), (audience(), AUDIENCE_MIN)] {
        let mut trace = steady(3_000);
        trace[2_999].ends = true;
        let heard = run(&mut buffer, trace);
        assert_eq!(spurt(&heard), "f".repeat(3_000));
        assert_eq!(frames(&heard), (0..3_000).collect::<Vec<_>>());
        let stats = buffer.stats();
        assert_eq!((stats.received, stats.lost, stats.concealed), (3_000, 0, 0));
        assert_eq!((stats.inserted, stats.removed, stats.skipped), (0, 0, 0));
        assert!(
            buffer.delay() >= least && buffer.delay() < least + TICK,
            "{:?}",
            buffer.delay()
        );
    }
}

#[test]
fn the_first_frame_waits_for_the_goals_least_delay() {
    let mut buffer = stage();
    deliver(&mut buffer, &packet(0, 0, 0), ms(100));
    assert_eq!(buffer.poll_frame(ms(105)), Playout::Silence);
    assert_eq!(
        buffer.poll_frame(ms(125)),
        Playout::Frame {
            epoch: EPOCH,
            sequence: 0,
            payload: payload(0)
        }
    );
}

#[test]
fn the_audiences_floor_is_held_between_its_bounds() {
    for (floor, delay) in [(0, 240), (300, 300), (9_000, 500)] {
        assert_eq!(
            JitterBuffer::new(DelayGoal::Audience { floor: ms(floor) }).delay(),
            ms(delay)
        );
    }
}

#[test]
fn a_gap_in_time_alone_is_silence_and_not_expected() {
    let mut trace = steady(20);
    trace[9].ends = true;
    trace[19].ends = true;
    for sent in &mut trace[10..] {
        sent.time += 30;
        sent.at += 600_000;
    }
    let mut buffer = stage();
    let heard = run(&mut buffer, trace);
    assert_eq!(
        spurt(&heard),
        format!("{0}{1}{0}", "f".repeat(10), ".".repeat(30))
    );
    assert_eq!((buffer.stats().expected(), buffer.stats().concealed), (20, 0));
}

#[test]
fn silence_without_an_end_mark_is_concealed_briefly_and_moves_nothing() {
    let mut trace = steady(20);
    trace[19].ends = true;
    for sent in &mut trace[10..] {
        sent.time += 30;
        sent.at += 600_000;
    }
    let mut buffer = stage();
    let heard = run(&mut buffer, trace);
    assert_eq!(
        spurt(&heard),
        format!("{0}ccccc{1}{0}", "f".repeat(10), ".".repeat(25))
    );
    let stats = buffer.stats();
    assert_eq!(
        (stats.lost, stats.concealed, stats.inserted, stats.removed),
        (0, 5, 0, 0)
    );
}

/// Speech without an end mark, of whose end the buffer is told with the poll at `told` milliseconds.
fn told_of_the_end_at(buffer: &mut JitterBuffer, trace: &[Sent], told: u64) -> Vec<Playout> {
    let mut coming = trace.iter().peekable();
    let mut heard = vec![];
    for poll in (7..1_000).step_by(20) {
        while let Some(sent) = coming.next_if(|sent| sent.at <= poll * 1000) {
            deliver(buffer, sent, Duration::from_micros(sent.at as u64));
        }
        if poll == told as i64 {
            buffer.handle_end();
        }
        heard.push(buffer.poll_frame(ms(poll as u64)));
    }
    heard
}

#[test]
fn an_end_that_others_told_of_is_no_gap() {
    // Told while frames are held, and two ticks after the last was played.
    for (told, concealed) in [(187, 0), (267, 2)] {
        let mut buffer = stage();
        let heard = told_of_the_end_at(&mut buffer, &steady(10), told);
        assert_eq!(
            spurt(&heard),
            format!("{}{}", "f".repeat(10), "c".repeat(concealed))
        );
        let stats = buffer.stats();
        assert_eq!((stats.lost, stats.concealed), (0, concealed as u64));
    }
}

#[test]
fn what_comes_after_an_end_is_heard_in_its_place() {
    let mut trace = steady(20);
    trace[19].ends = true;
    let mut buffer = stage();
    let heard = told_of_the_end_at(&mut buffer, &trace, 187);
    assert_eq!(spurt(&heard), "f".repeat(20));
    let stats = buffer.stats();
    assert_eq!((stats.concealed, stats.inserted, stats.removed), (0, 0, 0));
}

#[test]
fn a_lost_frame_is_recovered_from_the_next_ones_error_correction() {
    let mut trace = steady(20);
    trace[19].ends = true;
    trace.remove(10);
    let mut buffer = stage();
    let heard = run(&mut buffer, trace);
    assert_eq!(spurt(&heard), "ffffffffffrfffffffff");
    assert!(heard.contains(&Playout::Recover {
        epoch: EPOCH,
        sequence: 10,
        next: payload(11)
    }));
    let stats = buffer.stats();
    assert_eq!(
        (stats.received, stats.lost, stats.fec, stats.concealed, stats.late),
        (19, 1, 1, 0, 0)
    );
}

#[test]
fn of_a_burst_of_losses_the_last_is_recovered_and_the_others_are_concealed() {
    let mut trace = steady(40);
    trace[39].ends = true;
    trace.drain(10..14);
    let mut buffer = audience();
    let heard = run(&mut buffer, trace);
    assert_eq!(spurt(&heard), format!("{}cccr{}", "f".repeat(10), "f".repeat(26)));
    let stats = buffer.stats();
    assert_eq!(
        (stats.received, stats.lost, stats.fec, stats.concealed),
        (36, 4, 1, 3)
    );
}

#[test]
fn a_redundant_copy_is_played_and_counts_as_lost_and_recovered() {
    let mut trace = steady(20);
    trace[19].ends = true;
    trace[12].copies = vec![1, 2];
    trace.drain(10..12);
    let mut buffer = audience();
    let heard = run(&mut buffer, trace);
    assert_eq!(spurt(&heard), "f".repeat(20));
    assert!(heard.contains(&Playout::Frame {
        epoch: EPOCH,
        sequence: 10,
        payload: copy(10)
    }));
    let stats = buffer.stats();
    assert_eq!(
        (stats.received, stats.lost, stats.fec, stats.concealed),
        (18, 2, 2, 0)
    );
}

#[test]
fn the_original_replaces_a_copy_that_has_not_been_played() {
    let mut trace = steady(30);
    trace[29].ends = true;
    trace[12].copies = vec![1, 2];
    trace[10].at += 90_000;
    trace[11].at += 90_000;
    let mut buffer = audience();
    let heard = run(&mut buffer, trace);
    assert!(heard.contains(&Playout::Frame {
        epoch: EPOCH,
        sequence: 10,
        payload: payload(10)
    }));
    assert_eq!(
        (buffer.stats().received, buffer.stats().lost, buffer.stats().fec),
        (30, 0, 0)
    );
}

#[test]
fn a_pulled_frame_that_comes_in_time_is_received_and_repaired() {
    let mut trace = steady(50);
    trace[49].ends = true;
    for sent in &mut trace[20..25] {
        sent.at += 150_000;
        sent.repaired = true;
    }
    let mut buffer = audience();
    let heard = run(&mut buffer, trace);
    assert_eq!(spurt(&heard), "f".repeat(50));
    let stats = buffer.stats();
    assert_eq!((stats.received, stats.repaired, stats.lost), (50, 5, 0));
}

#[test]
fn a_frame_that_comes_after_its_tick_is_late_and_lost() {
    let mut trace = steady(50);
    trace[49].ends = true;
    trace[20].at += 200_000;
    trace[20].repaired = true;
    let mut buffer = stage();
    let heard = run(&mut buffer, trace);
    assert!(!frames(&heard).contains(&20));
    let stats = buffer.stats();
    assert_eq!((stats.received, stats.lost, stats.late, stats.fec), (49, 1, 1, 1));
    assert_eq!(stats.repaired, 0);
}

#[test]
fn duplicates_change_nothing() {
    let mut once = audience();
    let mut twice = audience();
    let mut trace = steady(100);
    trace.drain(40..42);
    let mut doubled = trace.clone();
    doubled.extend(trace.iter().map(|sent| Sent {
        at: sent.at + 30_000,
        repaired: true,
        ..sent.clone()
    }));
    doubled.extend(trace.iter().map(|sent| Sent {
        at: sent.at + 700_000,
        ..sent.clone()
    }));
    assert_eq!(
        run_until(&mut once, trace, 4_000),
        run_until(&mut twice, doubled, 4_000)
    );
    let twice = twice.stats().clone();
    assert_eq!(twice.duplicate, 196, "each twice more");
    assert_eq!(
        *once.stats(),
        Stats {
            duplicate: 0,
            ..twice
        }
    );
}

#[test]
fn reordered_packets_come_out_in_order() {
    let mut trace = steady(100);
    trace[99].ends = true;
    for pair in trace.chunks_mut(2) {
        pair[0].at += 31_000;
    }
    let mut buffer = audience();
    let heard = run(&mut buffer, trace);
    assert_eq!(frames(&heard), (0..100).collect::<Vec<_>>());
    assert_eq!((buffer.stats().lost, buffer.stats().reordered), (0, 50));
}

#[test]
fn packets_of_three_frames_play_like_single_ones() {
    let mut trace: Vec<Sent> = (0..50)
        .map(|n| packet(3 * n, 3 * n, i64::from(n) * 60_000 + 45_000))
        .collect();
    trace[49].ends = true;
    for sent in &mut trace {
        sent.frames = 3;
    }
    let mut buffer = stage();
    let heard = run(&mut buffer, trace);
    assert_eq!(spurt(&heard), "f".repeat(150));
}

#[test]
fn what_comes_before_the_first_frame_heard_is_never_counted() {
    let mut trace = steady(30);
    trace.iter_mut().take(5).for_each(|sent| sent.at += 400_000);
    trace[29].ends = true;
    let mut buffer = stage();
    let heard = run(&mut buffer, trace);
    assert_eq!(frames(&heard), (5..30).collect::<Vec<_>>());
    assert_eq!((buffer.stats().expected(), buffer.stats().late), (25, 0));
}

#[test]
fn the_tail_after_the_last_packet_is_not_lost() {
    let mut buffer = stage();
    let heard = run(&mut buffer, steady(30));
    assert_eq!(spurt(&heard), format!("{}ccccc", "f".repeat(30)));
    assert_eq!((buffer.stats().expected(), buffer.stats().lost), (30, 0));
}

#[test]
fn a_stall_is_waited_for_and_no_frame_is_lost() {
    let mut trace = steady(200);
    trace[199].ends = true;
    for sent in &mut trace[50..70] {
        sent.at = sent.at.max(70 * 20_000 + 5_000);
    }
    let mut buffer = stage();
    let heard = run(&mut buffer, trace);
    assert_eq!(frames(&heard), (0..200).collect::<Vec<_>>());
    assert_eq!(
        (buffer.stats().lost, buffer.stats().concealed),
        (0, MAX_CONCEALED_WAIT.into())
    );
}

#[test]
fn an_outage_without_repair_does_not_lengthen_the_delay() {
    let mut trace = steady(400);
    trace[399].ends = true;
    trace.drain(100..104);
    trace.drain(200..204);
    let mut buffer = stage();
    let heard = run(&mut buffer, trace);
    let stats = buffer.stats();
    assert_eq!((stats.received, stats.lost, stats.late), (392, 8, 0));
    assert_eq!(spurt(&heard).len(), 400, "{}", spurt(&heard));
    assert!(stats.delay < STAGE_MIN + TICK, "{stats:?}");
}

#[test]
fn the_longest_gap_is_what_a_listener_hears_of_an_outage() {
    let mut trace = steady(200);
    // A pause of the speaker, which is none.
    trace[49].ends = true;
    for sent in &mut trace[50..] {
        sent.time += 100;
        sent.at += 2_000_000;
    }
    trace[199].ends = true;
    trace.drain(100..125);
    let mut buffer = stage();
    run(&mut buffer, trace);
    let stats = buffer.stats();
    assert_eq!((stats.lost, stats.fec), (25, 1));
    assert_eq!(
        stats.longest_gap,
        24 * TICK,
        "all but what was recovered: {stats:?}"
    );
}

#[test]
fn uniform_jitter_is_covered_after_the_first_second_of_a_continuous_stream() {
    let mut dice = Dice(7);
    let mut trace = steady(1_500);
    trace[1_499].ends = true;
    for sent in &mut trace {
        sent.at += dice.below(100_000) as i64;
    }
    let mut buffer = stage();
    run(&mut buffer, trace.iter().take(100).cloned().collect());
    let before = buffer.stats().clone();
    let mut buffer = stage();
    let heard = run(&mut buffer, trace);
    let stats = buffer.stats();
    let lost = stats.lost - before.lost;
    assert!(
        lost * 100 <= 1_400 * 4,
        "{lost} lost after the first two seconds: {stats:?}"
    );
    assert!(
        stats.delay >= ms(70) && stats.delay <= ms(150),
        "{:?}",
        stats.delay
    );
    assert!(frames(&heard).is_sorted());
}

#[test]
fn the_delay_shrinks_again_in_silence_once_the_jitter_is_over() {
    let mut dice = Dice(3);
    let mut trace = vec![];
    for n in 0..3_000_u32 {
        let time = n + n / 100 * 20;
        let mut sent = packet(n, time, i64::from(time) * 20_000);
        sent.ends = n % 100 == 99;
        if n < 600 {
            sent.at += dice.below(160_000) as i64;
        }
        trace.push(sent);
    }
    let mut buffer = stage();
    run_until(&mut buffer, trace.clone(), 14_000);
    assert!(buffer.delay() > ms(120), "{:?}", buffer.delay());
    let mut buffer = stage();
    let heard = run(&mut buffer, trace);
    let stats = buffer.stats();
    assert!(stats.delay < STAGE_MIN + 2 * TICK, "{stats:?}");
    assert!(stats.removed > 0 && stats.skipped == 0, "{stats:?}");
    let quiet = letters(&heard[1_500..]);
    assert!(
        !quiet.contains('c') && !quiet.contains('r'),
        "speech is not touched: {quiet}"
    );
}

#[test]
fn a_drifting_clock_in_speech_is_absorbed_in_silence() {
    for ppm in [-200_i64, 200] {
        let mut trace = vec![];
        for n in 0..60_000_u32 {
            let time = n + n / 200 * 50;
            let true_time = i64::from(time) * 20_000;
            let mut sent = packet(n, time, 50_000 + true_time + true_time * ppm / 1_000_000);
            sent.ends = n % 200 == 199;
            trace.push(sent);
        }
        let mut buffer = stage();
        let heard = run(&mut buffer, trace);
        assert!(!letters(&heard).contains('c'), "{ppm}");
        let stats = buffer.stats();
        assert_eq!((stats.received, stats.lost, stats.skipped), (60_000, 0, 0));
        assert!(stats.delay < STAGE_MIN + 3 * TICK, "{ppm} ppm: {stats:?}");
        assert!(stats.inserted + stats.removed >= 10, "{ppm} ppm: {stats:?}");
    }
}

#[test]
fn a_drifting_clock_without_silence_never_exceeds_the_bound() {
    for ppm in [-200_i64, 200] {
        let arrival = |n: u32| 2_000_000 + i64::from(n) * 20_000 + i64::from(n) * 20_000 * ppm / 1_000_000;
        let mut buffer = stage();
        let heard = run(
            &mut buffer,
            (0..200_000).map(|n| packet(n, n, arrival(n))).collect(),
        );
        let stats = buffer.stats();
        assert!(stats.delay <= DELAY_MAX + TICK, "{ppm} ppm: {stats:?}");
        assert_eq!((stats.received, stats.lost), (200_000, 0), "{ppm} ppm");
        assert_eq!(frames(&heard).len() as u64 + stats.skipped, 200_000);
        assert!(stats.skipped + stats.concealed <= 60, "{ppm} ppm: {stats:?}");
    }
}

#[test]
fn a_newer_epoch_starts_anew_and_an_older_one_is_dropped() {
    let mut trace = steady(50);
    trace[49].ends = true;
    for (n, sent) in (0..).zip(&mut trace[25..]) {
        (sent.epoch, sent.sequence, sent.time) = (EPOCH + 9, n, n);
    }
    let mut old = packet(25, 25, 40 * 20_000);
    old.frames = 3;
    trace.push(old);
    let mut buffer = stage();
    let heard = run(&mut buffer, trace);
    let of_the_new =
        |playout: &&Playout| matches!(playout, Playout::Frame { epoch, .. } if *epoch == EPOCH + 9);
    assert_eq!(heard.iter().filter(of_the_new).count(), 25);
    assert_eq!(buffer.stats().lost, 0);
}

#[test]
fn numbers_wrap_around_without_a_trace() {
    let offset = u32::MAX - 20;
    let mut plain = steady(60);
    plain.drain(30..32);
    let mut wrapped = plain.clone();
    for sent in &mut wrapped {
        sent.sequence = sent.sequence.wrapping_add(offset);
        sent.time = sent.time.wrapping_add(offset);
    }
    let (mut a, mut b) = (stage(), stage());
    let heard = letters(&run(&mut a, plain));
    assert_eq!(heard, letters(&run(&mut b, wrapped)));
    assert!(heard.contains('r'));
    assert_eq!(a.stats(), b.stats());
}

#[test]
fn one_packet_with_a_leap_in_its_numbers_disturbs_nobody() {
    for (sequence, time) in [
        (1 << 30, 1 << 30),
        (u32::MAX, u32::MAX),
        (1_000, 22),
        (21, 50_000),
        (u32::MAX, 21),
    ] {
        let mut trace = steady(100);
        trace[99].ends = true;
        trace.push(packet(sequence, time, 20 * 20_000 + 6_000));
        let mut buffer = stage();
        let heard = run(&mut buffer, trace);
        assert_eq!(
            frames(&heard),
            (0..100).collect::<Vec<_>>(),
            "({sequence}, {time})"
        );
        assert_eq!(buffer.stats().lost, 0, "({sequence}, {time})");
    }
}

#[test]
fn a_speaker_who_leaps_ahead_for_good_is_heard_again_within_a_second() {
    for (sequence, time) in [
        (1 << 30, 1 << 30),
        (1 << 31, 1 << 31),
        (1 << 30, 0),
        (u32::MAX - 120, 0),
        (0, 1 << 29),
    ] {
        let mut trace = steady(200);
        for sent in &mut trace[100..] {
            sent.sequence = sent.sequence.wrapping_add(sequence);
            sent.time = sent.time.wrapping_add(time);
        }
        let mut buffer = stage();
        let heard = run(&mut buffer, trace);
        let after = frames(&heard).len() - 100;
        assert!(
            after >= 70,
            "({sequence}, {time}): {after} frames of 100 heard after the leap"
        );
        // At most what went by until the leap was believed: nothing is lost of what nobody said.
        assert!(
            buffer.stats().lost <= 30,
            "({sequence}, {time}): {:?}",
            buffer.stats()
        );
    }
}

#[test]
fn a_speaker_who_leaps_ahead_and_returns_is_heard_again() {
    let mut trace = steady(300);
    for sent in &mut trace[100..150] {
        sent.sequence += 1 << 30;
        sent.time += 1 << 30;
    }
    let mut buffer = stage();
    let heard = run(&mut buffer, trace);
    assert!(frames(&heard).ends_with(&(200..300).collect::<Vec<_>>()));
}

#[test]
fn a_listener_that_slept_counts_what_it_missed() {
    for slept in [250, 600, 2_000] {
        // Nothing came meanwhile; whoever polled got silence.
        let trace = steady(100 + slept + 100);
        let mut buffer = stage();
        run_until(&mut buffer, trace[..100].to_vec(), 2_007);
        let resumed = 100 + slept;
        for tick in 101..resumed {
            let _ = buffer.poll_frame(ms(7 + u64::from(tick) * 20));
        }
        for tick in resumed..resumed + 100 {
            deliver(&mut buffer, &trace[tick as usize], ms(5 + u64::from(tick) * 20));
            let _ = buffer.poll_frame(ms(7 + u64::from(tick) * 20));
        }
        let stats = buffer.stats();
        let counted = stats.lost + stats.received;
        let all = trace.len() as u64;
        // What the buffer still held when it fell asleep, and what it took to believe the new place.
        assert!(counted + 60 >= all && counted <= all, "{slept}: {stats:?}");
        let least = ms(u64::from(slept) * 20 - 200);
        assert!(stats.longest_gap >= least, "{slept}: {stats:?}");
    }
}

#[test]
fn a_path_that_becomes_longer_for_good_is_followed() {
    let mut trace = steady(400);
    for sent in &mut trace[200..] {
        sent.at += 900_000;
    }
    let mut buffer = stage();
    let heard = run(&mut buffer, trace);
    assert!(
        frames(&heard).ends_with(&(230..400).collect::<Vec<_>>()),
        "{:?}",
        buffer.stats()
    );
}

#[test]
fn a_mute_forgets_what_is_buffered_and_blames_nobody_for_what_was_held_back() {
    let mut buffer = audience();
    let trace = steady(400);
    run_until(&mut buffer, trace[..100].to_vec(), 2_007);
    let heard_before = buffer.stats().received;
    assert!(buffer.buffered() > 8);
    buffer.flush();
    assert_eq!(buffer.buffered(), 0);
    for tick in 100..110 {
        assert_eq!(buffer.poll_frame(ms(7 + tick * 20)), Playout::Silence);
    }
    deliver(&mut buffer, &trace[99], ms(2_210));
    assert_eq!(buffer.buffered(), 0, "what was forgotten does not come back");
    let mut played = vec![];
    for tick in 110..400 {
        if tick >= 200 {
            deliver(&mut buffer, &trace[tick as usize], ms(5 + tick * 20));
        }
        played.push(buffer.poll_frame(ms(7 + tick * 20)));
    }
    let played = frames(&played);
    assert_eq!(played.first(), Some(&200));
    let stats = buffer.stats();
    assert_eq!(
        (stats.lost, stats.received),
        (0, heard_before + played.len() as u64)
    );
}

#[test]
fn polls_that_come_late_and_all_at_once_move_nothing() {
    let mut buffer = audience();
    let mut heard = vec![];
    for tick in 0..500_u64 {
        deliver(
            &mut buffer,
            &packet(tick as u32, tick as u32, 0),
            ms(5 + tick * 20),
        );
        if tick % 50 < 40 {
            heard.push(buffer.poll_frame(ms(7 + tick * 20)));
        } else if tick % 50 == 49 {
            heard.extend((0..10).map(|_| buffer.poll_frame(ms(7 + tick * 20))));
        }
    }
    let played = frames(&heard);
    assert_eq!(played, (0..played.len() as u32).collect::<Vec<_>>());
    let stats = buffer.stats();
    assert_eq!(
        (stats.concealed, stats.inserted, stats.removed, stats.skipped),
        (0, 0, 0, 0),
        "{stats:?}"
    );
}

#[test]
fn a_buffer_that_nobody_polls_stays_bounded_and_catches_up() {
    let mut buffer = stage();
    let trace = steady(2_000);
    run_until(&mut buffer, trace[..50].to_vec(), 1_000);
    for (n, sent) in (50..1_500_u64).zip(&trace[50..]) {
        deliver(&mut buffer, sent, ms(5 + n * 20));
        assert!(buffer.buffered() <= MAX_BUFFERED);
    }
    let mut heard = vec![];
    for (n, sent) in (1_500..2_000_u64).zip(&trace[1_500..]) {
        deliver(&mut buffer, sent, ms(5 + n * 20));
        heard.push(buffer.poll_frame(ms(7 + n * 20)));
    }
    assert!(buffer.delay() <= DELAY_MAX + TICK);
    assert!(frames(&heard).len() > 450);
    assert_eq!(buffer.stats().lost, 0);
}

#[test]
fn another_goal_moves_the_playout_point_in_the_next_silence_only() {
    let mut trace = steady(200);
    trace[99].ends = true;
    trace[199].ends = true;
    for sent in &mut trace[100..] {
        sent.time += 40;
        sent.at += 800_000;
    }
    let mut buffer = stage();
    run_until(&mut buffer, trace[..50].to_vec(), 1_000);
    buffer.set_goal(DelayGoal::Audience { floor: ms(300) });
    let mut heard = vec![];
    let mut coming = trace[50..].iter().peekable();
    for poll in (1_007_000..6_000_000_i64).step_by(20_000) {
        while let Some(sent) = coming.next_if(|sent| sent.at <= poll) {
            deliver(&mut buffer, sent, Duration::from_micros(sent.at as u64));
        }
        heard.push(buffer.poll_frame(Duration::from_micros(poll as u64)));
    }
    let pause = spurt(&heard).chars().filter(|&letter| letter == '.').count();
    assert_eq!(pause, 40 + 14, "280 ms of silence were inserted");
    assert!(
        buffer.delay() >= ms(300) && buffer.delay() < ms(320),
        "{:?}",
        buffer.delay()
    );
    assert!(!letters(&heard).contains('c'));
}

#[test]
fn a_delay_that_is_too_long_in_mid_speech_asks_for_shorter_frames_and_is_left_alone_when_it_is_not() {
    let mut buffer = stage();
    let mut trace = steady(1_500);
    // The link was slow at first.
    for sent in &mut trace[..50] {
        sent.at += 80_000;
    }
    let mut paces = BTreeSet::new();
    let mut coming = trace.iter().peekable();
    for poll in (7_000..20_000_000_i64).step_by(20_000) {
        while let Some(sent) = coming.next_if(|sent| sent.at <= poll) {
            deliver(&mut buffer, sent, Duration::from_micros(sent.at as u64));
        }
        buffer.poll_frame(Duration::from_micros(poll as u64));
        paces.insert(match buffer.pace() {
            Pace::Keep => "keep",
            Pace::Shorten(_) => "shorten",
            Pace::Lengthen(_) => "lengthen",
        });
    }
    assert_eq!(paces, BTreeSet::from(["keep", "shorten"]));
    let Pace::Shorten(by) = buffer.pace() else {
        panic!("nobody has shortened anything: {:?}", buffer.pace());
    };
    assert!(by >= 3 * TICK && by + STAGE_MIN <= buffer.delay(), "{by:?}");
}

#[test]
fn sound_that_is_queued_counts_as_delay() {
    let mut buffer = stage();
    deliver(&mut buffer, &packet(0, 0, 0), ms(100));
    deliver(&mut buffer, &packet(1, 1, 0), ms(120));
    buffer.handle_tick(ms(115));
    assert!(matches!(buffer.next_frame(Duration::ZERO), Playout::Frame { .. }));
    assert_eq!(buffer.delay(), ms(15));
    // The frame was shortened by 8 ms: the next tick takes 12 ms of it, and as much of the next as is missing.
    buffer.handle_tick(ms(135));
    assert!(matches!(buffer.next_frame(Duration::ZERO), Playout::Frame { .. }));
    assert_eq!(buffer.delay(), ms(15));
    deliver(&mut buffer, &packet(2, 2, 0), ms(140));
    assert!(matches!(buffer.next_frame(ms(12)), Playout::Frame { .. }));
    assert_eq!(buffer.delay(), ms(7));
}

#[test]
fn losses_that_come_again_lengthen_the_stages_delay_by_the_packet_that_mends_them() {
    let mut buffer = stage();
    let mut trace = steady(1_000);
    trace.retain(|sent| sent.sequence % 25 != 24);
    run_until(&mut buffer, trace, 19_000);
    assert!(
        matches!(buffer.pace(), Pace::Lengthen(_)) || buffer.delay() >= STAGE_MIN + TICK,
        "{:?} {:?}",
        buffer.pace(),
        buffer.stats()
    );
}

/// A trace of honest packets: spurts and silences, loss, jitter, duplicates, pulls.
fn honest_trace() -> impl Strategy<Value = Vec<Sent>> {
    let fate = (0_u8..100, 0_i64..180, 0_u8..100, 0_u8..100, 1_u32..=3);
    (any::<u32>(), any::<u32>(), prop::collection::vec(fate, 1..250)).prop_map(|(sequence, time, fates)| {
        let (mut sent_frames, mut ticks, mut trace) = (0_u32, 0_u32, vec![]);
        for (loss, jitter, twin, pause, frames) in fates {
            let at = i64::from(ticks + frames) * 20_000 + jitter * 1_000;
            let mut sent = packet(sequence.wrapping_add(sent_frames), time.wrapping_add(ticks), at);
            sent.frames = frames;
            sent.ends = pause < 10;
            sent.copies = (1..=pause % 4).collect();
            sent_frames += frames;
            ticks += frames + if pause < 10 { 1 + u32::from(pause) * 5 } else { 0 };
            if loss < 10 {
                if loss < 5 {
                    continue;
                }
                sent.at += 100_000;
                sent.repaired = true;
            }
            if twin < 10 {
                trace.push(Sent {
                    at: sent.at + i64::from(twin) * 40_000,
                    ..sent.clone()
                });
            }
            trace.push(sent);
        }
        trace
    })
}

proptest! {
    #[test]
    fn every_honest_frame_is_played_once_in_order_or_counted(
        trace in honest_trace(),
        goal in prop_oneof![Just(DelayGoal::Stage), Just(DelayGoal::Audience { floor: ms(240) })],
    ) {
        let mut buffer = JitterBuffer::new(goal);
        let arrived: BTreeSet<u32> = trace
            .iter()
            .flat_map(|sent| (0..sent.frames).map(|n| sent.sequence.wrapping_add(n)))
            .collect();
        let heard = run(&mut buffer, trace);
        let stats = buffer.stats();
        let mut last: Option<u32> = None;
        let (mut originals, mut copies, mut recovered, mut concealed) = (0, 0, 0, 0);
        for playout in &heard {
            let sequence = match playout {
                Playout::Frame { sequence, payload: got, .. } => {
                    if *got == payload(*sequence) {
                        prop_assert!(arrived.contains(sequence));
                        originals += 1;
                    } else {
                        prop_assert_eq!(got, &copy(*sequence));
                        copies += 1;
                    }
                    *sequence
                }
                Playout::Recover { sequence, next, .. } => {
                    prop_assert_eq!(next, &payload(sequence.wrapping_add(1)));
                    recovered += 1;
                    *sequence
                }
                Playout::Conceal { .. } => {
                    concealed += 1;
                    continue;
                }
                Playout::Silence => continue,
            };
            if let Some(last) = last {
                let ahead = sequence.wrapping_sub(last);
                prop_assert!(ahead > 0 && ahead < 1 << 31, "{} after {}", sequence, last);
            }
            last = Some(sequence);
        }
        prop_assert_eq!(buffer.buffered(), 0);
        prop_assert_eq!(originals + stats.skipped, stats.received);
        prop_assert_eq!(copies + recovered, stats.fec);
        prop_assert_eq!(concealed, stats.concealed);
        prop_assert!(stats.late <= stats.lost && stats.fec <= stats.lost && stats.repaired <= stats.received);
        prop_assert_eq!(stats.received + stats.lost, stats.expected());
        // Everything between the first frame heard and the last that arrived is accounted for, once.
        if let Some(first) = frames(&heard).first() {
            let newest = arrived.iter().map(|sequence| sequence.wrapping_sub(*first)).filter(|ahead| *ahead < 1 << 31);
            prop_assert_eq!(stats.expected(), u64::from(newest.max().unwrap_or(0)) + 1);
            let came = arrived.iter().filter(|sequence| sequence.wrapping_sub(*first) < 1 << 31).count() as u64;
            prop_assert_eq!(stats.received + stats.late, came, "what came was played or was late: {:?}", stats);
        }
    }

    #[test]
    fn frames_that_all_come_in_time_are_all_played(
        jitter in prop::collection::vec(0_i64..230, 1..300),
        pauses in prop::collection::vec(0_u32..20, 300),
    ) {
        let mut time = 0;
        let mut trace = vec![];
        for (n, (jitter, pause)) in (0..).zip(jitter.iter().zip(pauses)) {
            let mut sent = packet(n, time, i64::from(time) * 20_000 + jitter * 1_000);
            sent.ends = pause == 0;
            time += if pause == 0 { 25 } else { 1 };
            trace.push(sent);
        }
        // The first to arrive sets the scale: let it be the earliest.
        trace[0].at = 0;
        let count = trace.len();
        let mut buffer = audience();
        let heard = run(&mut buffer, trace);
        prop_assert_eq!(frames(&heard), (0..count as u32).collect::<Vec<_>>());
        prop_assert_eq!(buffer.stats().lost, 0);
    }

    #[test]
    fn no_numbers_whatever_panic_or_grow_the_buffer(
        steps in prop::collection::vec(
            (any::<u32>(), any::<u32>(), 0_u32..6, prop::collection::vec(any::<u8>(), 0..3), 0_u8..16, any::<u64>()),
            1..400,
        ),
        near in any::<bool>(),
    ) {
        let mut buffer = stage();
        let mut now = Duration::ZERO;
        for (sequence, time, count, copies, choice, jump) in steps {
            let (sequence, time) = if near { (sequence % 400, time % 400) } else { (sequence, time) };
            let sent = Sent {
                at: 0,
                epoch: if choice == 0 { sequence } else { EPOCH },
                sequence,
                time,
                frames: count,
                copies,
                ends: choice & 1 == 0,
                repaired: choice & 2 == 0,
            };
            now = now.saturating_add(if jump % 50 == 0 {
                Duration::from_nanos(jump)
            } else {
                Duration::from_millis(jump % 40)
            });
            if choice == 3 {
                now = Duration::MAX;
            }
            if choice == 4 {
                buffer.flush();
            }
            deliver(&mut buffer, &sent, now);
            for _ in 0..choice % 3 {
                buffer.poll_frame(now);
            }
            prop_assert!(buffer.buffered() <= MAX_BUFFERED);
            let stats = buffer.stats();
            prop_assert!(stats.late <= stats.lost && stats.fec <= stats.lost && stats.repaired <= stats.received);
        }
    }
}
