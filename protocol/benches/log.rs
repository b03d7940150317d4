//! What a long log costs whoever joins late: `cargo bench -p majlis-protocol --bench log`.
//!
//! The log holds [`ENTRIES`] entries of ordinary acts, each signed by its author and by the chair. *Verify* is all of it
//! as a newcomer or `majlis log verify` does it; *fold* the state alone, of entries that were verified before.

#![allow(missing_docs, clippy::unwrap_used)]

use core::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use majlis_protocol::{
    log::{self, Act, Action, Log},
    person::PersonKey,
    room::Genesis,
    signed::Verified,
    text::Text,
};

const ENTRIES: u32 = 10_000;

/// Room clock between two entries: two hours and a half in all.
const APART_MS: u64 = 900;

fn long_log() -> Log {
    let [host, guest] = [1, 2].map(|seed| PersonKey::from_seed(&[seed; 32]));
    let genesis = Genesis::new(host.person(), "A long meeting", [0; 16]);
    let mut log = Log::new(Verified::sign(genesis, &host).unwrap());
    let mut clock = 0;
    let mut does = |log: &mut Log, author: &PersonKey, act: &Act| {
        clock += APART_MS;
        let action = Action::new(log.room(), author.person(), log.head(), clock, act);
        let action = Verified::sign(action, author).unwrap();
        log.append(action.signed().clone(), &host, clock).unwrap().hash
    };
    let subject = guest.person();
    while log.head().sequence + 4 <= ENTRIES {
        let invite = does(&mut log, &host, &Act::Invite { subject });
        does(&mut log, &guest, &Act::Accept { invite });
        let reason = Text::clean("others wait");
        does(&mut log, &host, &Act::Mute { subject, reason });
        does(&mut log, &host, &Act::Move { subject });
        let reason = Text::clean("");
        if log.head().sequence < ENTRIES {
            does(&mut log, &host, &Act::Unmute { subject, reason });
        }
    }
    log
}

fn long_logs(criterion: &mut Criterion) {
    let log = long_log();
    let entries = log.entries_after(0, usize::MAX);
    let mut file = log::record(log.genesis().signed());
    for entry in entries {
        file.extend(log::record(entry.signed()));
    }
    let mut group = criterion.benchmark_group("log");
    group.throughput(Throughput::Elements(entries.len() as u64));
    group.sample_size(10);
    group.bench_function("verify", |bench| {
        bench.iter(|| log::verify(black_box(&file)).unwrap());
    });
    // A history that has nothing of its own is folded from its beginning.
    group.bench_function("fold", |bench| bench.iter(|| log.judge(black_box(&[])).unwrap()));
    group.finish();
}

criterion_group!(benches, long_logs);
criterion_main!(benches);
