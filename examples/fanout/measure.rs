//! One measurement: of the loop, or of a relay.

use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::{net::UdpSocket, time::sleep};

use crate::{
    Mode,
    feeder::{Room, Root, Way, feed},
    part::Part,
    speech::{Tally, now, until},
};

/// What passes between the beginning of the sound and the first thing that is measured: handshakes are done, paths are
/// probed for what they carry, and caches are warm.
const SETTLING: Duration = Duration::from_millis(1_500);

/// How long the last packets may be under way.
const LATE: Duration = Duration::from_millis(400);

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum What {
    /// The loop of `sendto`.
    Raw,
    /// A node.
    Relay,
}

/// What one relay, or one loop, did.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Run {
    pub(crate) what: What,
    pub(crate) mode: Mode,
    pub(crate) children: u32,
    /// Microseconds of processor time for each packet that was delivered.
    pub(crate) micros: f64,
    /// Of those, what the node would have used without children: it verifies, decodes, and keeps house.
    pub(crate) alone: f64,
    /// Share of the packets that were delivered, of those that should have been.
    pub(crate) delivered: f64,
    /// Median time from the feeder through the relay to a child, in milliseconds.
    pub(crate) p50_ms: f64,
    /// The same of the slowest in a hundred.
    pub(crate) p99_ms: f64,
    /// Memory that the children have cost, in KiB each.
    pub(crate) child_kib: f64,
}

/// Measures the loop.
pub(crate) async fn raw(mode: Mode, children: u32, span: Duration) -> anyhow::Result<Run> {
    let room = Room::new(mode.speakers())?;
    let mut receivers = Part::start(&["sockets", &children.to_string()])?;
    let ports = receivers.hear().await?;
    let mut raw = Part::start(&["raw"])?;
    let socket = UdpSocket::bind(("127.0.0.1", 0)).await?;
    socket.connect(("127.0.0.1", raw.hear().await?.parse()?)).await?;
    raw.say(&ports).await?;
    let sent = Tally::default();
    let way = Way::Raw(socket);
    let measuring = async {
        sleep(SETTLING).await;
        window(&raw, &mut receivers, &sent, span).await
    };
    let seen = tokio::select! {
        result = feed(&room, &way, mode, &sent) => { result?; anyhow::bail!("feeding has ended") }
        seen = measuring => seen?,
    };
    Ok(seen.run(What::Raw, mode, children))
}

/// Measures a relay.
pub(crate) async fn relay(mode: Mode, children: u32, span: Duration) -> anyhow::Result<Run> {
    let room = Room::new(mode.speakers())?;
    let mut root = Root::start(&room).await?;
    let link = root.link(&room)?.to_string();
    let mut relay = Part::start(&["relay", &link, &children.to_string()])?;
    let way = root.adopt(&room).await?;
    let sent = Tally::default();
    let measuring = async {
        let at = relay.hear().await?;
        sleep(SETTLING).await;
        let (used, started) = (relay.processor()?, Instant::now());
        sleep(SETTLING).await;
        let alone = (relay.processor()? - used).div_f64(started.elapsed().as_secs_f64());
        let memory = relay.memory()?;
        let room = room.id().to_string();
        let mut receivers = Part::start(&["receivers", &at, &room, &children.to_string()])?;
        receivers.hear().await?;
        sleep(SETTLING).await;
        let seen = window(&relay, &mut receivers, &sent, span).await?;
        let grown = relay.memory()?.saturating_sub(memory);
        anyhow::Ok(Run {
            alone: seen.micros(alone.mul_f64(span.as_secs_f64())),
            child_kib: grown as f64 / f64::from(children),
            ..seen.run(What::Relay, mode, children)
        })
    };
    tokio::select! {
        result = feed(&room, &way, mode, &sent) => { result?; anyhow::bail!("feeding has ended") }
        run = measuring => run,
    }
}

/// What was seen in one window of time.
struct Seen {
    used: Duration,
    sent: usize,
    delivered: u32,
    p50_us: u32,
    p99_us: u32,
}

async fn window(relay: &Part, receivers: &mut Part, sent: &Tally, span: Duration) -> anyhow::Result<Seen> {
    let from = now() + 100_000_000;
    let to = from + span.as_nanos() as u64;
    sent.open(from, to);
    receivers.say(&format!("{from} {to}")).await?;
    until(from).await;
    let used = relay.processor()?;
    until(to).await;
    let used = relay.processor()? - used;
    sleep(LATE).await;
    receivers.say("").await?;
    let answer = receivers.hear().await?;
    let mut numbers = answer.split_whitespace().map(str::parse::<u32>);
    let mut number = || numbers.next().unwrap_or(Ok(0));
    Ok(Seen {
        used,
        sent: sent.take().len(),
        delivered: number()?,
        p50_us: number()?,
        p99_us: number()?,
    })
}

impl Seen {
    /// Processor time for each packet.
    fn micros(&self, used: Duration) -> f64 {
        used.as_secs_f64() * 1e6 / f64::from(self.delivered.max(1))
    }

    fn run(&self, what: What, mode: Mode, children: u32) -> Run {
        Run {
            what,
            mode,
            children,
            micros: self.micros(self.used),
            alone: 0.0,
            delivered: f64::from(self.delivered) / (self.sent.max(1) as f64 * f64::from(children)),
            p50_ms: f64::from(self.p50_us) / 1e3,
            p99_ms: f64::from(self.p99_us) / 1e3,
            child_kib: 0.0,
        }
    }
}
