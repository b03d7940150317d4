//! A room of any size in virtual time: `cargo run --release --example simulate -- examples/scenarios/1k.toml`.
//!
//! Runs the members and media machines that real nodes run, over simulated links, and prints what the listeners heard.
//! `--plot FILE.svg` draws how deep the tree is and how much was heard around the faults. The same file and seed print
//! the same figures, whatever the number of threads; only the last lines, about this machine, differ.

#![expect(clippy::print_stdout, reason = "printing is what an example is for")]

mod plot;
mod scenario;

use std::{path::PathBuf, thread, time::Instant};

use anyhow::Context;
use clap::Parser;
use majlis_protocol::sim::World;

/// Simulates a room and prints what its listeners heard.
#[derive(Debug, Parser)]
struct Arguments {
    /// The scenario, as TOML.
    scenario: PathBuf,
    /// Another seed than the scenario's.
    #[arg(long)]
    seed: Option<u64>,
    /// How many threads run it; the figures do not depend on it. More than one waste time where other programs keep the
    /// cores busy: all wait for the last one 500 times in each simulated second.
    #[arg(long, default_value_t = 1)]
    threads: u32,
    /// Where to draw the tree's depth and what was heard over time, as SVG.
    #[arg(long)]
    plot: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let path = &arguments.scenario;
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut scenario = scenario::parse(&text).with_context(|| format!("in {}", path.display()))?;
    scenario.seed = arguments.seed.unwrap_or(scenario.seed);
    let threads = arguments.threads;
    let faults = plot::faults(&scenario);

    let began = Instant::now();
    let world = World::sharded(scenario, threads)?;
    let report = world.run_on(|shards, shared| {
        let Some((first, others)) = shards.split_first_mut() else {
            return;
        };
        thread::scope(|scope| {
            for shard in others {
                scope.spawn(|| shard.step(shared));
            }
            first.step(shared);
        });
    });
    let took = began.elapsed();

    println!("{report}");
    println!(
        "this machine        {:.1} s, {:.2} million events a second, {threads} threads{}",
        took.as_secs_f64(),
        report.events as f64 / 1e6 / took.as_secs_f64(),
        peak_memory().map_or(String::new(), |mib| format!(", {mib} MiB at most"))
    );
    if let Some(path) = arguments.plot {
        std::fs::write(&path, plot::draw(&report, &faults))
            .with_context(|| format!("cannot write {}", path.display()))?;
        println!("drawn               {}", path.display());
    }
    Ok(())
}

/// The most memory this process has used, in MiB, where the system tells.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib / 1024)
}
