//! What is printed: text for people, or one JSON object a line for programs.

use std::{collections::BTreeMap, io::Write};

use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    live::scene::{Part, Scene},
    report::{Row, Total},
    strike::Strike,
    window::Window,
};

/// Where a run is shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Show {
    json: bool,
}

impl Show {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Everyone is there and at rest.
    pub(crate) fn ready(self, scene: &Scene) -> anyhow::Result<()> {
        let mut depths: BTreeMap<u64, usize> = BTreeMap::new();
        scene
            .here()
            .for_each(|member| *depths.entry(member.depth).or_default() += 1);
        let part = |part: Part| scene.here().filter(|member| member.part == part).count();
        let alone = scene
            .here()
            .filter(|member| member.depth > 1 && member.standby.is_none())
            .count();
        let members: Vec<Value> = scene
            .here()
            .map(|member| {
                json!({
                    "name": member.name, "part": member.part, "pid": member.pid, "peer": member.peer,
                    "depth": member.depth, "parent": member.parent, "standby": member.standby,
                    "children": member.children.last().map_or(0, |(_, count)| *count),
                })
            })
            .collect();
        let shape: Vec<String> = depths
            .iter()
            .map(|(depth, count)| format!("{count} at depth {depth}"))
            .collect();
        let (relays, nodes) = (part(Part::Relay), part(Part::Node));
        let text = format!(
            "{relays} relay processes and {nodes} nodes hear one speaker: {}; {alone} below the second hop without a standby",
            shape.join(", ")
        );
        self.line(
            "ready",
            &json!({ "members": members, "without_standby": alone }),
            &text,
        )
    }

    /// Someone was taken away.
    pub(crate) fn strike(self, strike: &Strike) -> anyhow::Result<()> {
        let victims: Vec<String> = strike
            .victims
            .iter()
            .map(|victim| {
                format!(
                    "{} (process {}, depth {})",
                    victim.name,
                    victim.pid.unwrap_or(0),
                    victim.depth
                )
            })
            .collect();
        let mut text = format!(
            "\nkill {}{}: {}, {} below",
            strike.number,
            if strike.attempt > 1 { " once more" } else { "" },
            victims.join(" and "),
            strike.behind.len()
        );
        for orphan in &strike.orphans {
            let standby = orphan.standby.as_deref().unwrap_or("none");
            text += &format!(
                "\n  {:<9} hung on {}, standby {standby}",
                orphan.name, orphan.parent
            );
        }
        self.line("kill", strike, &text)
    }

    /// What became of those who hung on it.
    pub(crate) fn reparented(self, strike: &Strike) -> anyhow::Result<()> {
        let lines: Vec<String> = strike
            .orphans
            .iter()
            .map(|orphan| match &orphan.found {
                Some(found) => {
                    let (parent, reason) = (&found.parent, &found.reason);
                    format!(
                        "  {:<9} -> {parent} by {reason} after {} ms",
                        orphan.name, found.ms
                    )
                }
                None => format!("  {:<9} has found nobody", orphan.name),
            })
            .collect();
        self.line("reparented", strike, &lines.join("\n"))
    }

    /// What was counted between two kills.
    pub(crate) fn window(self, window: &Window) -> anyhow::Result<()> {
        let sum = window.sum();
        let after = window.strike.as_ref().map(|strike| strike.number);
        let which = after.map_or("without a kill".to_owned(), |number| {
            format!("after kill {number}")
        });
        let mut text = format!(
            "{which}: {} lost and {} concealed behind it, {} and {} in all, {} repaired, longest gap {} ms",
            sum.lost_behind, sum.concealed_behind, sum.lost, sum.concealed, sum.repaired, sum.longest_gap_ms
        );
        if sum.stalls > 0 {
            text += &format!("; this machine stalled {} times", sum.stalls);
        }
        if window.is_void {
            text += ", so it is repeated";
        }
        let body = json!({ "after": after, "void": window.is_void, "sum": sum });
        self.line("window", &body, &text)
    }

    /// One row a listener.
    pub(crate) fn rows(self, rows: &[Row]) -> anyhow::Result<()> {
        if !self.json {
            writeln!(
                std::io::stdout().lock(),
                "\n{:<9} depth received expected lost missing concealed fec repaired late  gap ms stalls  moves",
                "listener"
            )?;
        }
        for row in rows {
            let counts = &row.counts;
            let moves: Vec<String> = row
                .moves
                .iter()
                .map(|taken| format!("{} ({})", taken.to.as_deref().unwrap_or("none"), taken.reason))
                .collect();
            let text = format!(
                "{:<9} {:>5} {:>8} {:>8} {:>4} {:>7} {:>9} {:>3} {:>8} {:>4} {:>7} {:>6}  {}{}",
                row.name,
                row.depth,
                counts.received,
                counts.expected,
                counts.lost,
                row.missing,
                counts.concealed,
                counts.fec,
                counts.repaired,
                counts.late,
                counts.longest_gap_ms,
                counts.stalls,
                moves.join(", "),
                row.left
                    .as_ref()
                    .map(|why| format!(" LEFT: {why}"))
                    .unwrap_or_default()
            );
            self.line("listener", row, &text)?;
        }
        Ok(())
    }

    /// The whole, and the verdict.
    pub(crate) fn total(self, total: &Total) -> anyhow::Result<()> {
        let times: Vec<String> = total
            .reparenting_ms
            .iter()
            .map(|ms| ms.map_or("never".to_owned(), |ms| format!("{ms}")))
            .collect();
        let (sum, host) = (&total.sum, &total.host);
        let verdict = if total.failures.is_empty() {
            "good".to_owned()
        } else {
            format!("NOT GOOD: {}", total.failures.join("; "))
        };
        let text = format!(
            "\n{} kills before {} listeners, of whom {} left by themselves
behind them {} frames lost, {} concealed; in all {} lost, {} missing, {} concealed of {} ({:.4} % played), {} repaired
until the last orphan had a parent: {} ms; longest gap {} ms
pull answers: {:.2} % of all packets
host: packets a frame {host}; at most {:.2}, {} s above its fan-out
host: more children than places for {} ms, at a stretch {} ms
left out of this: {} frames in windows in which the machine stalled; {} stalls in those that count
{verdict}",
            total.kills,
            total.listeners,
            total.gone,
            sum.lost_behind,
            sum.concealed_behind,
            sum.lost,
            total.missing,
            sum.concealed,
            total.expected,
            total.played * 100.0,
            sum.repaired,
            times.join(", "),
            sum.longest_gap_ms,
            total.pulled * 100.0,
            host.most,
            host.seconds_above,
            host.crowded_ms,
            host.longest_crowded_ms,
            total.left_out,
            sum.stalls,
        );
        self.line("total", total, &text)
    }

    /// A remark.
    pub(crate) fn remark(self, text: &str) -> anyhow::Result<()> {
        self.line("remark", &json!({ "text": text }), text)
    }

    fn line(self, event: &str, body: &impl Serialize, text: &str) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        if self.json {
            let mut body = serde_json::to_value(body)?;
            body["event"] = event.into();
            writeln!(out, "{body}")?;
        } else {
            writeln!(out, "{text}")?;
        }
        Ok(out.flush()?)
    }
}
