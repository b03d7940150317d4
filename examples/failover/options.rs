//! What to do, as it was typed.

use std::time::Duration;

use clap::Parser;

/// Kills relays of a living room, one after the other, and counts what its listeners lost.
///
/// A host, relay processes and nodes inside this process make a room on loopback. Relays with others below them are
/// killed while someone speaks; each listener's own counts say what was heard. Exits 1 when anything was lost.
#[derive(Debug, Clone, Parser)]
#[command(name = "failover")]
pub(crate) struct Options {
    /// Listeners, the relay processes included
    #[arg(long, default_value_t = 60)]
    pub(crate) nodes: usize,
    /// Children that each member takes
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) fan_out: u32,
    /// Listeners that are processes of their own; those are killed
    #[arg(long, default_value_t = 12)]
    pub(crate) relays: usize,
    /// Relays to kill
    #[arg(long, default_value_t = 5)]
    pub(crate) kills: u32,
    /// Time between two kills
    #[arg(long, default_value = "10s", value_parser = humantime::parse_duration)]
    pub(crate) pause: Duration,
    /// Delay of every link, each way (needs the feature testlink)
    #[arg(long, value_name = "TIME")]
    pub(crate) delay: Option<String>,
    /// Share of datagrams that every link loses, such as 2% (needs the feature testlink)
    #[arg(long, value_name = "SHARE")]
    pub(crate) loss: Option<String>,
    /// Decides over victims and over what links lose
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// What is said: tone:HERTZ, or file:PATH.wav over and over
    #[arg(long, default_value = "tone:440")]
    pub(crate) input: String,
    /// Ask relays to leave, as Ctrl-C does, instead of killing them
    #[arg(long)]
    pub(crate) leave: bool,
    /// Kill the parent and the standby of one listener at once
    #[arg(long, conflicts_with = "leave")]
    pub(crate) both: bool,
    /// Kill the host, once, while somebody else speaks
    #[arg(long, conflicts_with_all = ["leave", "both"])]
    pub(crate) host: bool,
    /// Print one JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
}

impl Options {
    /// The bad network that was asked for, as the link emulator reads it, without a seed.
    pub(crate) fn network(&self) -> Option<String> {
        let delay = self.delay.as_ref().map(|delay| format!("delay={delay}"));
        let loss = self.loss.as_ref().map(|loss| format!("loss={loss}"));
        let parts: Vec<String> = delay.into_iter().chain(loss).collect();
        (!parts.is_empty()).then(|| parts.join(","))
    }

    /// How often to strike.
    pub(crate) fn strikes(&self) -> u32 {
        if self.host { 1 } else { self.kills }
    }

    /// Who speaks.
    pub(crate) fn speaker(&self) -> &'static str {
        if self.host { "speaker" } else { "host" }
    }

    /// Whether it can be done at all.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        anyhow::ensure!(self.relays <= self.nodes, "there are more relays than listeners");
        anyhow::ensure!(
            cfg!(feature = "testlink") || self.network().is_none(),
            "a bad network needs the feature: cargo run --features testlink --example failover -- …"
        );
        Ok(())
    }
}
