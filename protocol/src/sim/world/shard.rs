//! Some of the world's members and all that is to happen to them: what one thread can step by itself.

use alloc::vec::Vec;
use core::time::Duration;

use super::{
    calendar::{Calendar, Event, What},
    crowd::Crowd,
    node::Node,
    sound::Wishes,
    space::{self, Body},
    tally::{Note, Tally},
};
use crate::{
    room::{Genesis, RoomId},
    signed::Verified,
    sim::{Scenario, draws::SplitMix64},
    wire::frame::FrameReader,
};

/// How long a connection may be idle before its end takes it for dead, in nanoseconds: as the node configures QUIC.
pub(super) const IDLE: u64 = 3_000_000_000;

/// How often a member may be woken within one step before it is taken to be stuck at a deadline.
const MOST_WAKES: u32 = 100_000;

/// What all shards may look at while a step runs.
#[derive(Debug)]
pub struct Shared {
    scenario: Scenario,
    genesis: Verified<Genesis>,
    room: RoomId,
    bodies: Vec<Body>,
    /// Members that the directory names: those with a place that can be dialled, and for a while those that had one.
    pub(super) listed: Crowd,
    /// Nanoseconds of a step.
    step: u64,
    /// Where the step ends that is to run.
    pub(super) until: u64,
}

/// Every `of`-th member of a world, from `index` on.
#[derive(Debug)]
pub struct Shard {
    index: u32,
    of: u32,
    nodes: Vec<Node>,
    seats: Vec<Seat>,
    calendar: Calendar,
    /// Events for members of other shards, by shard.
    outgoing: Vec<Vec<Event>>,
    tally: Tally,
    wishes: Wishes,
    reader: FrameReader,
}

/// What a member keeps whether it is there or not.
#[derive(Debug)]
struct Seat {
    draws: SplitMix64,
    /// How many events it caused.
    count: u32,
}

/// Where a member does its work: the time, its draws, and the ways out.
pub(super) struct Desk<'a> {
    pub(super) now: u64,
    pub(super) me: u32,
    pub(super) shared: &'a Shared,
    pub(super) draws: &'a mut SplitMix64,
    pub(super) tally: &'a mut Tally,
    pub(super) wishes: &'a mut Wishes,
    pub(super) reader: &'a mut FrameReader,
    /// How many events this member caused.
    count: &'a mut u32,
    index: u32,
    of: u32,
    calendar: &'a mut Calendar,
    outgoing: &'a mut [Vec<Event>],
}

impl Shared {
    pub(super) fn new(scenario: Scenario, genesis: Verified<Genesis>, members: u32) -> Self {
        let bodies = (0..members).map(|number| Body::draw(&scenario, number)).collect();
        Self {
            room: RoomId::of(&genesis),
            genesis,
            bodies,
            listed: Crowd::new(members),
            step: nanos(scenario.latency.least),
            until: 0,
            scenario,
        }
    }

    pub(super) fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    pub(super) fn genesis(&self) -> &Verified<Genesis> {
        &self.genesis
    }

    pub(super) fn room(&self) -> RoomId {
        self.room
    }

    pub(super) fn step(&self) -> u64 {
        self.step
    }

    /// Whether there is such a member, now or ever.
    pub(super) fn knows(&self, number: u32) -> bool {
        (number as usize) < self.bodies.len()
    }

    /// A member's body. Everyone who can be named has one.
    pub(super) fn body(&self, number: u32) -> &Body {
        &self.bodies[number as usize]
    }

    /// One-way time between two, jitter aside.
    pub(super) fn delay(&self, from: u32, to: u32) -> u64 {
        self.body(from).delay(self.body(to), self.step)
    }

    /// The partition that keeps two apart now, in nanoseconds.
    pub(super) fn parted(&self, from: u32, to: u32, now: u64) -> Option<core::ops::Range<u64>> {
        let cuts = self.scenario.partitions.iter().enumerate();
        cuts.map(|(index, cut)| (index, nanos(cut.during.start)..nanos(cut.during.end)))
            .find(|(index, during)| during.contains(&now) && self.are_apart(*index, from, to))
            .map(|(_, during)| during)
    }

    /// Whether a partition has two in different parts.
    pub(super) fn are_apart(&self, partition: usize, from: u32, to: u32) -> bool {
        let is_apart = |number| space::is_apart(&self.scenario, partition, number);
        is_apart(from) != is_apart(to)
    }

    /// Frames captured from here on are not counted: they may not have arrived when the world ends.
    pub(super) fn count_until(&self) -> u64 {
        nanos(self.scenario.duration).saturating_sub(1_000_000_000)
    }
}

impl Shard {
    pub(super) fn new(index: u32, of: u32, shared: &Shared) -> Self {
        let numbers = (index..)
            .step_by(of as usize)
            .take_while(|number| shared.knows(*number));
        let seats: Vec<Seat> = numbers
            .map(|number| Seat {
                draws: SplitMix64::of(shared.scenario.seed, u64::from(number)),
                count: 0,
            })
            .collect();
        Self {
            index,
            of,
            nodes: seats.iter().map(|_| Node::default()).collect(),
            seats,
            calendar: Calendar::new(shared.step),
            outgoing: (0..of).map(|_| Vec::new()).collect(),
            tally: Tally::new(),
            wishes: Wishes::default(),
            reader: FrameReader::default(),
        }
    }

    /// Runs one step: everything that happens to the members here before [`Shared`] says it ends. Shards of one world
    /// may do this at the same time.
    pub fn step(&mut self, shared: &Shared) {
        let mut coming = self.calendar.take().into_iter().peekable();
        while let Some(first) = coming.peek() {
            let number = first.to;
            let (node, mut desk) = self.at(number, first.at, shared);
            let mut wakes = 0;
            loop {
                let due = node.due();
                match coming.next_if(|event| event.to == number && event.at <= due) {
                    Some(event) => {
                        desk.now = desk.now.max(event.at);
                        node.handle(event, &mut desk);
                    }
                    None if due < shared.until => {
                        desk.now = desk.now.max(due);
                        node.handle_timeout(&mut desk);
                        wakes += 1;
                        assert!(wakes < MOST_WAKES, "member {number} is stuck at its deadline");
                    }
                    None => break,
                }
                desk.tally.events += 1;
            }
            node.arm(&mut desk);
        }
    }

    /// A member, and its desk at a time.
    pub(super) fn at<'a>(
        &'a mut self,
        number: u32,
        now: u64,
        shared: &'a Shared,
    ) -> (&'a mut Node, Desk<'a>) {
        let place = (number / self.of) as usize;
        let seat = &mut self.seats[place];
        let desk = Desk {
            now,
            me: number,
            shared,
            draws: &mut seat.draws,
            tally: &mut self.tally,
            wishes: &mut self.wishes,
            reader: &mut self.reader,
            count: &mut seat.count,
            index: self.index,
            of: self.of,
            calendar: &mut self.calendar,
            outgoing: &mut self.outgoing,
        };
        (&mut self.nodes[place], desk)
    }

    /// The members here, with their numbers.
    pub(super) fn nodes(&self) -> impl Iterator<Item = (u32, &Node)> {
        (self.index..).step_by(self.of as usize).zip(&self.nodes)
    }

    pub(super) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Takes out what the world has to know.
    pub(super) fn take_notes(&mut self) -> Vec<Note> {
        core::mem::take(&mut self.tally.notes)
    }

    /// Takes out the events for another shard.
    pub(super) fn take_outgoing(&mut self, shard: usize) -> Vec<Event> {
        self.outgoing
            .get_mut(shard)
            .map(core::mem::take)
            .unwrap_or_default()
    }

    /// Takes in events of another shard.
    pub(super) fn receive(&mut self, events: Vec<Event>) {
        for event in events {
            self.calendar.push(event);
        }
    }
}

impl Desk<'_> {
    /// The time as machines take it.
    pub(super) fn time(&self) -> Duration {
        Duration::from_nanos(self.now)
    }

    /// Whether the warm-up is over, before which nothing is counted.
    pub(super) fn is_counted(&self) -> bool {
        self.time() >= self.shared.scenario.warm_up
    }

    /// Lets something happen to a member.
    pub(super) fn post(&mut self, to: u32, at: u64, link: u32, what: What) {
        let event = Event {
            at,
            to,
            from: self.me,
            count: *self.count,
            link,
            what,
        };
        *self.count += 1;
        debug_assert!(
            to == self.me || at >= self.shared.until,
            "what a member does reaches others in a later step"
        );
        let shard = to % self.of;
        match self.outgoing.get_mut(shard as usize) {
            Some(outgoing) if shard != self.index => outgoing.push(event),
            _ => self.calendar.push(event),
        }
    }

    /// How much longer than others a packet travels.
    pub(super) fn jitter(&mut self) -> u64 {
        let most = nanos(self.shared.scenario.latency.jitter);
        if most == 0 { 0 } else { self.draws.up_to(most) }
    }

    /// Some members that the directory names, other than this one.
    pub(super) fn name_members(&mut self, count: usize) -> Vec<u32> {
        let listed = &self.shared.listed;
        let mut named = Vec::new();
        // With few members the same ones are drawn again; a bounded number of draws finds most of them.
        for _ in 0..2 * count {
            let Some(number) = listed.draw(self.draws) else {
                break;
            };
            if number != self.me && !named.contains(&number) {
                named.push(number);
            }
            if named.len() == count {
                break;
            }
        }
        named
    }
}

/// A time of the scenario, which lasts hours at most.
pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
