//! A chain of members over simulated links, in virtual time: the first speaks, the last listens.
//!
//! Each member is the flow of a real one: it verifies, forwards, pulls what is missing from its parent and from the one
//! above that, and answers the pulls of those below.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use majlis_protocol::{
    media::{Check, Delivery, Flow, Own, TransmitKind},
    neighbour::Neighbour,
    sim::link::{Link, Profile, Verdict},
    wire::datagram::{Builder, Datagram, Item},
};

use crate::speaker::{ROOM, TAG, key};

/// Bits a second of a room for speech.
const BITRATE: u32 = 32_000;

/// What a datagram may have.
const DATAGRAM: usize = 1_200;

enum Event {
    Arrive { from: usize, to: usize, datagram: Bytes },
    Wake { node: usize },
}

pub(crate) struct Chain {
    flows: Vec<Flow>,
    wakes: Vec<Option<Duration>>,
    links: BTreeMap<(usize, usize), Link>,
    profile: Profile,
    pulls: bool,
    events: BTreeMap<(Duration, u64), Event>,
    number: u64,
    /// What has come to the listener, and when.
    heard: Vec<(Delivery, Duration)>,
}

impl Chain {
    pub(crate) fn new(links: u32, profile: &str, pulls: bool) -> anyhow::Result<Self> {
        let last = usize::try_from(links)?;
        let mut chain = Self {
            flows: (0..=last).map(|_| Flow::new(ROOM, BITRATE)).collect(),
            wakes: vec![None; last + 1],
            links: BTreeMap::new(),
            profile: profile.parse()?,
            pulls,
            events: BTreeMap::new(),
            number: 0,
            heard: Vec::new(),
        };
        for flow in &mut chain.flows {
            flow.grant(TAG, key().person())?;
        }
        for node in 1..=last {
            chain.attach(node);
        }
        Ok(chain)
    }

    /// The parent is the one above; the one above that is the standby.
    fn attach(&mut self, node: usize) {
        let (start, rtt) = (Duration::ZERO, self.profile.delay * 2);
        let parent = node - 1;
        self.flows[node].set_parent(Some(link(parent)), start);
        self.flows[node].set_rtt(link(parent), rtt);
        self.flows[parent].add_child(link(node), start);
        if let Some(standby) = node.checked_sub(2) {
            self.flows[node].set_standby(Some(link(standby)), start);
            self.flows[node].set_rtt(link(standby), rtt);
            self.flows[standby].add_standby_child(link(node), start);
        }
        (0..=node).for_each(|node| self.settle(node, start));
    }

    /// The delay that the listener's place in the tree asks for.
    pub(crate) fn delay_floor(&self) -> Duration {
        self.flows[self.flows.len() - 1].delay_floor()
    }

    pub(crate) fn speak(&mut self, own: Own, now: Duration) -> anyhow::Result<()> {
        let delivery = self.flows[0].commit_own(own, now)?;
        self.deliver(0, delivery, now);
        self.settle(0, now);
        Ok(())
    }

    /// Lets time pass, and returns what has come to the listener.
    pub(crate) fn run_until(&mut self, end: Duration) -> Vec<(Delivery, Duration)> {
        while let Some(entry) = self.events.first_entry() {
            let (now, _) = *entry.key();
            if now > end {
                break;
            }
            match entry.remove() {
                Event::Arrive { from, to, datagram } => self.arrive(from, to, datagram, now),
                Event::Wake { node } if self.wakes[node] == Some(now) => {
                    self.flows[node].handle_timeout(now);
                    self.settle(node, now);
                }
                Event::Wake { .. } => {}
            }
        }
        std::mem::take(&mut self.heard)
    }

    fn arrive(&mut self, from: usize, to: usize, datagram: Bytes, now: Duration) {
        let items: Vec<Item> = Datagram::parse(datagram)
            .into_iter()
            .flat_map(|datagram| datagram.items)
            .flatten()
            .collect();
        for item in items {
            let flow = &mut self.flows[to];
            match item {
                Item::Media(packet) => self.judge(from, to, packet, now),
                Item::Heartbeat(report) => flow.handle_heartbeat(link(from), &report, now),
                Item::Digest(report) => flow.handle_digest(link(from), &report, now),
                Item::Pull(pull) => flow.handle_pull(link(from), &pull, now),
                _ => {}
            }
        }
        self.settle(to, now);
    }

    fn judge(&mut self, from: usize, to: usize, packet: Bytes, now: Duration) {
        let Ok(Check::Verify(candidate)) = self.flows[to].check(link(from), packet, now) else {
            return;
        };
        let Ok(genuine) = candidate.verify() else { return };
        if let Ok(delivery) = self.flows[to].commit(genuine, now) {
            self.deliver(to, delivery, now);
        }
    }

    fn deliver(&mut self, node: usize, delivery: Delivery, now: Duration) {
        for to in &delivery.to {
            self.send(node, *to, delivery.packet.bytes(), now);
        }
        if node + 1 == self.flows.len() {
            self.heard.push((delivery, now));
        }
    }

    fn settle(&mut self, node: usize, now: Duration) {
        while let Some(transmit) = self.flows[node].poll_transmit() {
            if self.pulls || transmit.kind != TransmitKind::Pull {
                self.send(node, transmit.to, &transmit.item, now);
            }
        }
        // Nobody moves: the chain is what is measured.
        while self.flows[node].poll_signal().is_some() {}
        let due = self.flows[node].poll_timeout().map(|(due, _)| due);
        if due != self.wakes[node] {
            self.wakes[node] = due;
            if let Some(due) = due {
                self.push(due, Event::Wake { node });
            }
        }
    }

    fn send(&mut self, from: usize, to: Neighbour, item: &Bytes, now: Duration) {
        let Ok(to) = usize::try_from(to.0) else { return };
        let mut builder = Builder::new(0, DATAGRAM);
        if !builder.push(item) {
            return;
        }
        let profile = &self.profile;
        let number = (from * 1000 + to) as u64;
        let between = self
            .links
            .entry((from, to))
            .or_insert_with(|| Link::new(profile, number));
        if let Verdict::Deliver(at) = between.offer(now) {
            let datagram = builder.finish();
            self.push(at, Event::Arrive { from, to, datagram });
        }
    }

    fn push(&mut self, at: Duration, event: Event) {
        self.number += 1;
        self.events.insert((at, self.number), event);
    }
}

fn link(node: usize) -> Neighbour {
    Neighbour(node as u64)
}
