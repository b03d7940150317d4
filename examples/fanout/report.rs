//! What is printed: a line a run, and a row of medians for each number of children and each mode.

use std::fmt;

use clap::ValueEnum as _;
use serde::Serialize;

use crate::{
    Mode,
    measure::{Run, What},
};

/// Prints for people, or as JSON.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Show {
    json: bool,
}

/// The medians of several runs.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Row {
    children: u32,
    mode: Mode,
    runs: usize,
    raw_micros: f64,
    relay_micros: f64,
    /// The one in terms of the other.
    ratio: f64,
    /// The same without what the node would have used without children.
    ratio_of_children: f64,
    delivered: f64,
    raw_p50_ms: f64,
    raw_p99_ms: f64,
    relay_p50_ms: f64,
    relay_p99_ms: f64,
    child_kib: f64,
}

impl Show {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Prints a run.
    pub(crate) fn run(self, run: Run) -> anyhow::Result<Run> {
        if self.json {
            println!("{}", serde_json::to_string(&run)?);
        } else {
            println!("    {run}");
        }
        Ok(run)
    }

    /// Prints the medians.
    pub(crate) fn rows(self, rows: &[Row]) -> anyhow::Result<()> {
        if !self.json {
            println!();
            println!(
                "| children | mode | raw µs | relay µs | ratio | of children | delivered | raw p50/p99 ms | relay p50/p99 ms | KiB a child |"
            );
            println!("|---|---|---|---|---|---|---|---|---|---|");
        }
        for row in rows {
            if self.json {
                println!("{}", serde_json::to_string(row)?);
            } else {
                println!("{row}");
            }
        }
        Ok(())
    }
}

impl Row {
    pub(crate) fn new(mode: Mode, children: u32, raw: &[Run], relay: &[Run]) -> Self {
        let raw_micros = median(raw, |run| run.micros);
        let relay_micros = median(relay, |run| run.micros);
        Self {
            children,
            mode,
            runs: relay.len(),
            raw_micros,
            relay_micros,
            ratio: relay_micros / raw_micros,
            ratio_of_children: median(relay, |run| run.micros - run.alone) / raw_micros,
            delivered: median(relay, |run| run.delivered),
            raw_p50_ms: median(raw, |run| run.p50_ms),
            raw_p99_ms: median(raw, |run| run.p99_ms),
            relay_p50_ms: median(relay, |run| run.p50_ms),
            relay_p99_ms: median(relay, |run| run.p99_ms),
            child_kib: median(relay, |run| run.child_kib),
        }
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.what {
            What::Raw => "raw",
            What::Relay => "relay",
        };
        write!(
            f,
            "{what:5} {} {} {:6.1} µs a packet ({:.1} without children), {:.2} % delivered, \
             delay p50 {:.2} p99 {:.2} ms, {:.0} KiB a child",
            self.children,
            name(self.mode),
            self.micros,
            self.alone,
            self.delivered * 100.0,
            self.p50_ms,
            self.p99_ms,
            self.child_kib,
        )
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "| {} | {} | {:.1} | {:.1} | {:.2} | {:.2} | {:.2} % | {:.2} / {:.2} | {:.2} / {:.2} | {:.0} |",
            self.children,
            name(self.mode),
            self.raw_micros,
            self.relay_micros,
            self.ratio,
            self.ratio_of_children,
            self.delivered * 100.0,
            self.raw_p50_ms,
            self.raw_p99_ms,
            self.relay_p50_ms,
            self.relay_p99_ms,
            self.child_kib,
        )
    }
}

/// The value in the middle; of an even number the upper one, of none no number.
fn median(runs: &[Run], value: impl Fn(&Run) -> f64) -> f64 {
    let mut values: Vec<f64> = runs.iter().map(value).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn name(mode: Mode) -> String {
    let value = mode.to_possible_value();
    value.map_or_else(String::new, |value| value.get_name().to_owned())
}
