//! What each packet costs its speaker, and what each costs a relay: `cargo bench -p majlis-protocol`.

#![allow(missing_docs, clippy::unwrap_used)]

use core::{hint::black_box, time::Duration};

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use majlis_protocol::{
    domain,
    media::{Check, Delivery, Draft, Flow, Genuine, Header, Packet, Relay, Tag},
    neighbour::Neighbour,
    person::PersonKey,
    room::RoomId,
};

const ROOM: RoomId = RoomId([7; 32]);
const TAG: Tag = Tag([1, 2, 3, 4]);
const PARENT: Neighbour = Neighbour(0);
/// The default fan-out.
const CHILDREN: u64 = 8;
/// One frame of speech at 32 kbit/s.
const FRAME: [u8; 80] = [0x5a; 80];
const TICK: Duration = Duration::from_millis(20);

fn key() -> PersonKey {
    PersonKey::from_seed(&[1; 32])
}

fn packet(key: &PersonKey, sequence: u32) -> Bytes {
    let header = Header {
        tag: TAG,
        epoch: 1,
        sequence,
        time: sequence,
        log: 0,
        level: 30,
        end_of_spurt: false,
    };
    let own = Draft {
        header,
        frames: &[&FRAME],
        redundant: &[],
    }
    .sign(ROOM, key)
    .unwrap();
    own.packet().bytes().clone()
}

fn relay() -> Relay {
    let mut relay = Relay::new(ROOM, 32_000);
    relay.grant(TAG, key().person()).unwrap();
    relay.set_parent(Some(PARENT));
    (1..=CHILDREN).for_each(|child| relay.add_child(Neighbour(child)));
    relay
}

fn forward(relay: &mut Relay, bytes: Bytes, now: Duration) -> Delivery {
    let Check::Verify(candidate) = relay.check(PARENT, bytes, now).unwrap() else {
        unreachable!("no log entry is missing");
    };
    let genuine = candidate.verify().unwrap();
    relay.commit(genuine, now).unwrap()
}

fn flow() -> Flow {
    let mut flow = Flow::new(ROOM, 32_000);
    flow.grant(TAG, key().person()).unwrap();
    flow.set_parent(Some(PARENT), Duration::ZERO);
    flow.set_standby(Some(Neighbour(100)), Duration::ZERO);
    (1..=CHILDREN).for_each(|child| flow.add_child(Neighbour(child), Duration::ZERO));
    (1..=4).for_each(|child| flow.add_standby_child(Neighbour(20 + child), Duration::ZERO));
    flow
}

fn genuine(flow: &mut Flow, bytes: Bytes, now: Duration) -> Genuine {
    let Check::Verify(candidate) = flow.check(PARENT, bytes, now).unwrap() else {
        unreachable!("no log entry is missing");
    };
    candidate.verify().unwrap()
}

fn speaker(c: &mut Criterion) {
    let mut group = c.benchmark_group("speaker");
    group.throughput(Throughput::Elements(1));
    let key = key();
    let message = [domain::MEDIA, &ROOM.0, &packet(&key, 0)].concat();
    group.bench_function("sign the bytes of a packet", |b| {
        b.iter(|| key.sign(black_box(&message)))
    });
    group.bench_function("encode and sign a packet", |b| {
        b.iter(|| packet(&key, black_box(9)))
    });
    group.finish();
}

fn relaying(c: &mut Criterion) {
    let mut group = c.benchmark_group("relay");
    group.throughput(Throughput::Elements(1));
    let key = key();
    let bytes = packet(&key, 0);
    let verifier = key.person().verifier().unwrap();
    group.bench_function("parse", |b| b.iter(|| Packet::parse(black_box(bytes.clone()))));
    let parsed = Packet::parse(bytes.clone()).unwrap();
    group.bench_function("verify", |b| {
        b.iter(|| parsed.verify(black_box(&ROOM), &verifier))
    });

    group.bench_function("forward: check, verify, commit to 8 children", |b| {
        let (mut relay, mut sequence) = (relay(), 0);
        b.iter_batched(
            || {
                sequence += 1;
                (packet(&key, sequence), TICK * sequence)
            },
            |(bytes, now)| forward(&mut relay, bytes, now),
            BatchSize::SmallInput,
        );
    });

    let mut heard = relay();
    let _heard = forward(&mut heard, bytes.clone(), TICK);
    let later = TICK * 100;
    group.bench_function("drop a duplicate", |b| {
        b.iter(|| heard.check(PARENT, black_box(bytes.clone()), later).unwrap_err());
    });
    group.bench_function("drop a stranger's", |b| {
        b.iter(|| {
            heard
                .check(Neighbour(99), black_box(bytes.clone()), later)
                .unwrap_err()
        });
    });
    group.finish();
}

/// What a flow does beside the signature.
fn flowing(c: &mut Criterion) {
    let mut group = c.benchmark_group("flow");
    group.throughput(Throughput::Elements(1));
    let key = key();
    let (mut checked, mut sequence) = (flow(), 0);
    group.bench_function("check", |b| {
        b.iter_batched(
            || {
                sequence += 1;
                (packet(&key, sequence), TICK * sequence)
            },
            |(bytes, now)| checked.check(PARENT, bytes, now).unwrap(),
            BatchSize::SmallInput,
        );
    });
    let (mut committed, mut sequence) = (flow(), 0);
    group.bench_function("commit to 8 children, and ask when to come again", |b| {
        b.iter_custom(|iterations| {
            let mut spent = Duration::ZERO;
            for _ in 0..iterations {
                sequence += 1;
                let now = TICK * sequence;
                committed.handle_timeout(now);
                while committed.poll_transmit().is_some() {}
                let genuine = genuine(&mut committed, packet(&key, sequence), now);
                let start = criterion::measurement::Measurement::start(&criterion::measurement::WallTime);
                let delivery = committed.commit(genuine, now).unwrap();
                let _due = black_box(committed.poll_timeout());
                spent += criterion::measurement::Measurement::end(&criterion::measurement::WallTime, start);
                drop(delivery);
            }
            spent
        });
    });
    group.finish();
}

criterion_group!(benches, speaker, relaying, flowing);
criterion_main!(benches);
