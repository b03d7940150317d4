//! What a long log costs whoever joins late: `cargo bench -p majlis-protocol --bench log`.
//!
//! The log holds [`ENTRIES`] entries of ordinary acts, each signed by its author and by the chair.
//!
//! - *verify*: all of it with every signature, as `majlis log verify` does it;
//! - *fold*: all of it in the batches in which it travels, each believed on its chair's word: what a newcomer does before
//!   it has its place;
//! - *judge*: another history, which parts from ours ten entries before the end; and one by a stranger.

#![allow(missing_docs, clippy::unwrap_used)]

use core::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use majlis_protocol::{
    limits,
    log::{self, Act, Action, Cover, Entry, Head, Log},
    person::PersonKey,
    room::Genesis,
    signed::{Signed, Verified},
    text::Text,
};

const ENTRIES: u32 = 10_000;

/// Room clock between two entries: two hours and a half in all.
const APART_MS: u64 = 900;

fn key(seed: u8) -> PersonKey {
    PersonKey::from_seed(&[seed; 32])
}

/// A guest comes onto the stage, is muted and goes, again and again.
fn long_log() -> Log {
    let [host, guest] = [1, 2].map(key);
    let genesis = Genesis::new(host.person(), "A long meeting", [0; 16]);
    let mut log = Log::new(Verified::sign(genesis, &host).unwrap());
    let (mut clock, mut invite, subject) = (0, [0; 32], guest.person());
    for n in 0..ENTRIES {
        clock += APART_MS;
        let reason = Text::clean("others wait");
        let (author, act) = match n % 5 {
            0 => (&host, Act::Invite { subject }),
            1 => (&guest, Act::Accept { invite }),
            2 => (&host, Act::Mute { subject, reason }),
            3 => (&host, Act::Move { subject }),
            _ => (&host, Act::Unmute { subject, reason }),
        };
        let action = Action::new(log.room(), author.person(), log.head(), clock, &act);
        let action = Verified::sign(action, author).unwrap().signed().clone();
        invite = log.append(action, &host, clock).unwrap().hash;
    }
    log
}

/// The log as a member sends it.
fn batches(log: &Log) -> Vec<Vec<Signed<Entry>>> {
    let (mut batches, mut after) = (Vec::new(), 0);
    while after < log.head().sequence {
        let batch = log.entries_after(after, limits::ENTRIES_BATCH).iter();
        let batch: Vec<_> = batch.map(|entry| entry.signed().clone()).collect();
        after += batch.len() as u32;
        batches.push(batch);
    }
    batches
}

fn fold(log: &Log, batches: &[Vec<Signed<Entry>>]) -> Log {
    let mut log = Log::new(log.genesis().clone());
    for batch in batches {
        let cover = Cover::of(batch);
        for entry in batch {
            log.handle_covered(entry.clone(), &cover).unwrap();
        }
    }
    log
}

/// How somebody goes on ten entries before the end of a log.
fn other_history(log: &Log, by: &PersonKey) -> Signed<Entry> {
    let sequence = log.head().sequence - 10;
    let hash = log.hash_at(sequence).unwrap();
    let (head, clock) = (Head { sequence, hash }, log.state().clock());
    let title = Text::clean("another");
    let action = Action::new(log.room(), by.person(), head, clock, &Act::Title { title });
    let action = Verified::sign(action, by).unwrap();
    let entry = Entry::new(log.room(), head, log.term(), by.person(), clock, action.signed());
    Verified::sign(entry, by).unwrap().signed().clone()
}

fn long_logs(criterion: &mut Criterion) {
    let log = long_log();
    let mut file = log::record(log.genesis().signed());
    for entry in log.entries_after(0, usize::MAX) {
        file.extend(log::record(entry.signed()));
    }
    let batches = batches(&log);
    let mut group = criterion.benchmark_group("log");
    group.throughput(Throughput::Elements(u64::from(ENTRIES)));
    group.sample_size(10);
    group.bench_function("verify", |bench| {
        bench.iter(|| log::verify(black_box(&file)).unwrap());
    });
    group.bench_function("fold", |bench| bench.iter(|| fold(&log, black_box(&batches))));
    group.finish();

    let mut group = criterion.benchmark_group("judge");
    let near = [other_history(&log, &key(1))];
    group.bench_function("near", |bench| {
        bench.iter(|| log.judge(black_box(&near)).unwrap())
    });
    let strangers = [other_history(&log, &key(9))];
    group.bench_function("stranger", |bench| {
        bench.iter(|| log.judge(black_box(&strangers)).unwrap_err());
    });
    group.finish();
}

criterion_group!(benches, long_logs);
criterion_main!(benches);
