//! A room with all its members in virtual time: real [`Member`]s and real media machines, joined by simulated links.
//!
//! Time goes on in steps as long as the fastest packet takes. Within a step no member can reach another, so members are
//! run one after the other, and shards of them at the same time by whoever has threads ([`World::run_on`]); what comes
//! of it is the same. Between steps the script acts, newcomers come and figures are taken.
//!
//! [`Member`]: crate::member::Member

use alloc::{collections::VecDeque, vec::Vec};

use super::{
    Report, Scenario, ScenarioError, Victim,
    churn::{Act, Script},
    draws::SplitMix64,
    report::Totals,
};
use crate::{member::Command, neighbour::Neighbour, room::Genesis, tree::Place};

mod calendar;
mod crowd;
mod ear;
mod mark;
mod node;
mod search;
mod shard;
mod sound;
mod space;
mod talk;
pub(super) mod tally;
#[cfg(test)]
mod tests;
mod villain;
mod wire;

use crowd::Crowd;
pub(super) use ear::{Cause, Causes, Heard};
pub(super) use node::Record;
use shard::nanos;
pub use shard::{Shard, Shared};
use tally::{News, Note};

/// The draws of the script's victims.
const VICTIMS: u64 = 0x7669_6374_696d;

/// How often the tree is looked at.
const SAMPLE: u64 = 1_000_000_000;

/// How long the directory goes on naming a member that is gone: provider records outlive their providers.
const STALE: u64 = 60_000_000_000;

/// One room in virtual time.
#[derive(Debug)]
pub struct World {
    shared: Shared,
    shards: Vec<Shard>,
    script: Script,
    /// How much of the script is done.
    done: usize,
    draws: SplitMix64,
    /// Listeners that have a place.
    audience: Crowd,
    /// Members that are gone and that the directory still names, and until when, oldest first.
    stale: VecDeque<(u64, u32)>,
    totals: Totals,
    now: u64,
}

impl World {
    /// A world that is about to begin.
    ///
    /// # Errors
    /// [`ScenarioError`] when the scenario's numbers make none.
    pub fn new(scenario: Scenario) -> Result<Self, ScenarioError> {
        Self::sharded(scenario, 1)
    }

    /// The same world in so many shards, at least one, that can be run at the same time. What comes of it is the same.
    ///
    /// # Errors
    /// [`ScenarioError`] when the scenario's numbers make no world.
    pub fn sharded(scenario: Scenario, shards: u32) -> Result<Self, ScenarioError> {
        let script = Script::of(&scenario)?;
        let host = space::key(scenario.seed, 0);
        let genesis = Genesis::new(host.person(), "A simulated room", [0x5a; 16])
            .sign(&host)
            .expect("a short title makes a genesis");
        let draws = SplitMix64::of(scenario.seed, VICTIMS);
        let shared = Shared::new(scenario, genesis, script.members);
        let shards = shards.max(1);
        Ok(Self {
            shards: (0..shards)
                .map(|index| Shard::new(index, shards, &shared))
                .collect(),
            audience: Crowd::new(script.members),
            totals: Totals::default(),
            stale: VecDeque::new(),
            done: 0,
            now: 0,
            shared,
            script,
            draws,
        })
    }

    /// Runs it to its end on the caller's thread.
    #[must_use]
    pub fn run(self) -> Report {
        self.run_on(|shards, shared| {
            for shard in shards {
                shard.step(shared);
            }
        })
    }

    /// Runs it to its end. `step` calls [`Shard::step`] once for each of the shards it is given, on whatever threads.
    #[must_use]
    pub fn run_on(mut self, mut step: impl FnMut(&mut [Shard], &Shared)) -> Report {
        let end = nanos(self.shared.scenario().duration);
        let mut sample = SAMPLE;
        while self.now < end {
            self.shared.until = self.now + self.shared.step();
            self.act();
            step(&mut self.shards, &self.shared);
            self.exchange();
            self.now = self.shared.until;
            self.take_notes();
            if self.now >= sample {
                sample += SAMPLE;
                self.look_at_the_tree();
            }
        }
        self.report()
    }

    /// Does what the script has for now.
    fn act(&mut self) {
        while let Some((_, act)) = self.script.acts.get(self.done).filter(|(at, _)| *at <= self.now) {
            self.done += 1;
            match *act {
                Act::Come(number) => self.at(number, |node, desk| node.come(desk)),
                Act::Depart(how) => {
                    if let Some(number) = self.audience.draw(&mut self.draws) {
                        self.at(number, |node, desk| node.end(how, desk));
                        self.take_notes();
                    }
                }
                Act::Kill(index) => self.kill(index),
                Act::Part(index) => self.part(index),
            }
        }
    }

    fn kill(&mut self, index: usize) {
        let kill = self.shared.scenario().kills[index];
        let mut victims = self.victims(kill.victim);
        for _ in 0..kill.count {
            let Some(place) = self.draws.index(victims.len()) else {
                break;
            };
            let number = victims.swap_remove(place);
            self.at(number, |node, desk| node.end(kill.how, desk));
            self.totals.killed += 1;
        }
        self.take_notes();
    }

    /// Who may be killed as one of these, in order of their numbers.
    fn victims(&self, victim: Victim) -> Vec<u32> {
        let on_stage = self.shared.scenario().on_stage();
        let fits = |number: u32, node: &node::Node| {
            let Some(member) = node.member() else { return false };
            let relays = number >= on_stage && member.children() > 0;
            match victim {
                Victim::Host => number == 0,
                Victim::Speaker => (1..on_stage).contains(&number),
                Victim::FirstTier => relays && member.place().depth() == 1,
                Victim::Relay => relays,
                Victim::Listener => number >= on_stage,
            }
        };
        let nodes = self.shards.iter().flat_map(Shard::nodes);
        let mut victims: Vec<u32> = nodes
            .filter(|(number, node)| fits(*number, node))
            .map(|(number, _)| number)
            .collect();
        victims.sort_unstable();
        victims
    }

    fn part(&mut self, index: usize) {
        let during = &self.shared.scenario().partitions[index].during;
        if nanos(during.end.saturating_sub(during.start)) < shard::IDLE {
            return;
        }
        for number in 0..self.script.members {
            self.at(number, |node, desk| node.lose_links_across(index, desk));
        }
    }

    /// Moves events to the shards whose members they happen to.
    fn exchange(&mut self) {
        for from in 0..self.shards.len() {
            for to in 0..self.shards.len() {
                let events = self.shards[from].take_outgoing(to);
                self.shards[to].receive(events);
            }
        }
    }

    /// Takes in what has happened to members: who has a place, and who is gone.
    fn take_notes(&mut self) {
        let mut notes: Vec<Note> = self.shards.iter_mut().flat_map(Shard::take_notes).collect();
        notes.sort_unstable();
        for note in notes {
            match note.what {
                News::Joined => self.note_joined(note.who),
                News::Ended => self.note_ended(note),
            }
        }
        while let Some((until, number)) = self.stale.pop_front() {
            if until > self.now {
                self.stale.push_front((until, number));
                break;
            }
            self.shared.listed.remove(number);
        }
    }

    fn note_joined(&mut self, number: u32) {
        if self.shared.body(number).reachable {
            self.shared.listed.add(number);
        }
        if number >= self.shared.scenario().on_stage() {
            self.audience.add(number);
        } else if number > 0 {
            let person = space::key(self.shared.scenario().seed, number).person();
            self.at(0, |node, desk| node.command(Command::Invite(person), desk));
        }
    }

    fn note_ended(&mut self, note: Note) {
        self.audience.remove(note.who);
        self.stale.push_back((note.at + STALE, note.who));
    }

    fn look_at_the_tree(&mut self) {
        let is_counted = self.now >= nanos(self.shared.scenario().warm_up);
        let totals = &mut self.totals;
        totals.depths_now.clear();
        for (number, node) in self.shards.iter().flat_map(Shard::nodes) {
            let Some(member) = node.member() else { continue };
            totals.member_seconds += u64::from(is_counted);
            if number == 0 || !matches!(member.place(), Place::Attached { .. }) {
                continue;
            }
            let depth = member.place().depth() as usize;
            totals.count_depth(depth, is_counted);
        }
        if !self.shared.scenario().villains.is_empty() {
            for number in self.shared.scenario().on_stage()..self.script.members {
                self.at(number, |node, desk| node.look_around(desk));
            }
        }
    }

    fn at<R>(&mut self, number: u32, work: impl FnOnce(&mut node::Node, &mut shard::Desk<'_>) -> R) -> R {
        let shard = number as usize % self.shards.len();
        let (node, mut desk) = self.shards[shard].at(number, self.now, &self.shared);
        let result = work(node, &mut desk);
        node.arm(&mut desk);
        result
    }

    fn report(mut self) -> Report {
        let on_stage = self.shared.scenario().on_stage();
        let honest: Vec<u32> = (on_stage..self.script.members)
            .filter(|number| space::deed(self.shared.scenario(), *number).is_none())
            .collect();
        let records: Vec<Record> = honest
            .into_iter()
            .map(|number| self.at(number, |node, desk| node.final_record(desk)))
            .collect();
        let tallies = self.shards.iter().map(Shard::tally);
        Report::new(self.shared.scenario(), &records, tallies, self.totals)
    }
}

/// A link's number as events hold it.
fn wire_number(link: Neighbour) -> u32 {
    u32::try_from(link.0).expect("the world numbers a member's links from 0")
}
