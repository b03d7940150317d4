//! A scenario as a TOML file. What a file leaves out is as in [`Scenario::default`].

use std::time::Duration;

use anyhow::Context;
use majlis_protocol::sim::{
    Churn, Deed, Door, How, Kill, Latency, Partition, Scenario, Stage, Uplink, Victim, Villain,
    link::{self, Loss},
};
use serde::{Deserialize, Deserializer, de::Error};

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    seed: Option<u64>,
    listeners: Option<u32>,
    arrive: Option<Span>,
    duration: Option<Span>,
    warm_up: Option<Span>,
    unreachable: Option<f64>,
    fan_out: Option<usize>,
    host_fan_out: Option<usize>,
    /// `"5%"`, in runs of `loss-burst` on average.
    loss: Option<String>,
    loss_burst: Option<f64>,
    door: Option<DoorName>,
    stage: StageTable,
    latency: LatencyTable,
    churn: ChurnTable,
    uplink: Vec<UplinkTable>,
    kill: Vec<KillTable>,
    partition: Vec<PartitionTable>,
    villain: Vec<VillainTable>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct StageTable {
    speakers: Option<u32>,
    host_speaks: Option<bool>,
    talk: Option<Span>,
    pause: Option<Span>,
    frames: Option<u8>,
    frame_bytes: Option<usize>,
    renames: Option<Span>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct LatencyTable {
    side: Option<Span>,
    access: Option<Span>,
    spread: Option<f64>,
    jitter: Option<Span>,
    least: Option<Span>,
}

/// Shares of the first listeners, a minute.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct ChurnTable {
    departures: Option<f64>,
    crashes: Option<f64>,
    arrivals: Option<f64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct UplinkTable {
    share: f64,
    rate: Rate,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct KillTable {
    at: Span,
    who: VictimName,
    #[serde(default = "one")]
    count: u32,
    #[serde(default = "crash")]
    how: HowName,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct PartitionTable {
    from: Span,
    to: Span,
    share: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct VillainTable {
    share: f64,
    kind: DeedName,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum DeedName {
    Withholds,
    Drops,
    Alters,
    Replays,
    LiesAboutPath,
    LiesAboutPlaces,
    Pulls,
    Floods,
    Loops,
    HidesLog,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum DoorName {
    Host,
    Anyone,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum VictimName {
    Host,
    Speaker,
    FirstTier,
    Relay,
    Listener,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum HowName {
    Leave,
    Crash,
}

/// A time such as `"150s"`.
#[derive(Debug, Clone, Copy)]
struct Span(Duration);

/// Bits a second, such as `"5mbit"`; `"unlimited"` is without limit.
#[derive(Debug, Clone, Copy)]
struct Rate(u64);

/// Reads a scenario.
pub(crate) fn parse(text: &str) -> anyhow::Result<Scenario> {
    let file: File = toml::from_str(text)?;
    let default = Scenario::default();
    let loss = loss(file.loss.as_deref(), file.loss_burst)?;
    let scenario = Scenario {
        seed: file.seed.unwrap_or(default.seed),
        listeners: file.listeners.unwrap_or(default.listeners),
        arrive: span(file.arrive, default.arrive),
        duration: span(file.duration, default.duration),
        warm_up: span(file.warm_up, default.warm_up),
        unreachable: file.unreachable.unwrap_or(default.unreachable),
        fan_out: file.fan_out.unwrap_or(default.fan_out),
        host_fan_out: file.host_fan_out.unwrap_or(default.host_fan_out),
        uplinks: file.uplink.iter().map(UplinkTable::uplink).collect(),
        latency: file.latency.over(default.latency),
        loss,
        stage: file.stage.over(default.stage),
        door: file.door.map_or(default.door, DoorName::door),
        churn: file.churn.over(default.churn),
        kills: file.kill.iter().map(KillTable::kill).collect(),
        partitions: file.partition.iter().map(PartitionTable::partition).collect(),
        villains: file.villain.iter().map(VillainTable::villain).collect(),
    };
    scenario.validate()?;
    Ok(scenario)
}

/// As the link emulator reads it.
fn loss(rate: Option<&str>, burst: Option<f64>) -> anyhow::Result<Loss> {
    let Some(rate) = rate else {
        return Ok(Loss::default());
    };
    let burst = burst.map_or(String::new(), |run| format!(",burst={run}"));
    let profile: link::Profile = format!("loss={rate}{burst}").parse().context("loss")?;
    Ok(profile.loss)
}

fn span(given: Option<Span>, default: Duration) -> Duration {
    given.map_or(default, |span| span.0)
}

fn one() -> u32 {
    1
}

fn crash() -> HowName {
    HowName::Crash
}

impl StageTable {
    fn over(self, default: Stage) -> Stage {
        Stage {
            speakers: self.speakers.unwrap_or(default.speakers),
            host_speaks: self.host_speaks.unwrap_or(default.host_speaks),
            talk: span(self.talk, default.talk),
            pause: span(self.pause, default.pause),
            frames: self.frames.unwrap_or(default.frames),
            frame_bytes: self.frame_bytes.unwrap_or(default.frame_bytes),
            renames: span(self.renames, default.renames),
        }
    }
}

impl LatencyTable {
    fn over(self, default: Latency) -> Latency {
        Latency {
            side: span(self.side, default.side),
            access: span(self.access, default.access),
            spread: self.spread.unwrap_or(default.spread),
            jitter: span(self.jitter, default.jitter),
            least: span(self.least, default.least),
        }
    }
}

impl ChurnTable {
    fn over(self, default: Churn) -> Churn {
        Churn {
            departures: self.departures.unwrap_or(default.departures),
            crashes: self.crashes.unwrap_or(default.crashes),
            arrivals: self.arrivals.unwrap_or(default.arrivals),
        }
    }
}

impl UplinkTable {
    fn uplink(&self) -> Uplink {
        Uplink {
            share: self.share,
            bits: self.rate.0,
        }
    }
}

impl KillTable {
    fn kill(&self) -> Kill {
        let victim = match self.who {
            VictimName::Host => Victim::Host,
            VictimName::Speaker => Victim::Speaker,
            VictimName::FirstTier => Victim::FirstTier,
            VictimName::Relay => Victim::Relay,
            VictimName::Listener => Victim::Listener,
        };
        let how = match self.how {
            HowName::Leave => How::Leave,
            HowName::Crash => How::Crash,
        };
        Kill {
            at: self.at.0,
            victim,
            count: self.count,
            how,
        }
    }
}

impl PartitionTable {
    fn partition(&self) -> Partition {
        Partition {
            during: self.from.0..self.to.0,
            share: self.share,
        }
    }
}

impl VillainTable {
    fn villain(&self) -> Villain {
        let deed = match self.kind {
            DeedName::Withholds => Deed::Withholds,
            DeedName::Drops => Deed::Drops,
            DeedName::Alters => Deed::Alters,
            DeedName::Replays => Deed::Replays,
            DeedName::LiesAboutPath => Deed::LiesAboutPath,
            DeedName::LiesAboutPlaces => Deed::LiesAboutPlaces,
            DeedName::Pulls => Deed::Pulls,
            DeedName::Floods => Deed::Floods,
            DeedName::Loops => Deed::Loops,
            DeedName::HidesLog => Deed::HidesLog,
        };
        Villain {
            share: self.share,
            deed,
        }
    }
}

impl DoorName {
    fn door(self) -> Door {
        match self {
            Self::Host => Door::Host,
            Self::Anyone => Door::Anyone,
        }
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        humantime::parse_duration(&text)
            .map(Self)
            .map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = || D::Error::custom(format!("`{text}` is no rate: write 500kbit, 5mbit or unlimited"));
        if text == "unlimited" {
            return Ok(Self(0));
        }
        let (number, bits) = [("kbit", 1_000), ("mbit", 1_000_000), ("gbit", 1_000_000_000)]
            .into_iter()
            .find_map(|(unit, bits)| Some((text.strip_suffix(unit)?, bits)))
            .ok_or_else(wrong)?;
        let number: u64 = number.parse().map_err(|_| wrong())?;
        Ok(Self(number * bits))
    }
}
