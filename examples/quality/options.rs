//! What to do, as it was typed.

use std::{path::PathBuf, time::Duration};

use clap::{Parser, ValueEnum};

/// How well speech is heard through bad links, offline and faster than real time.
///
/// Speech is encoded, signed, and sent down a chain of relays over simulated links; the listener at its end repairs,
/// buffers, decodes and mixes it with the code that a room uses. Prints a table over loss, one line a share; with --out
/// the sound is kept, and examples/quality/reference.py scores it.
#[derive(Debug, Clone, Parser)]
#[command(name = "quality")]
pub(crate) struct Options {
    /// Folder of WAV files with speech [default: $MAJLIS_SPEECH, or assets/speech]
    #[arg(long, value_name = "DIR")]
    pub(crate) speech: Option<PathBuf>,
    /// Shares of packets that each link loses, in percent
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "0,1,3,5,10,20",
        value_name = "PERCENT"
    )]
    pub(crate) loss: Vec<f64>,
    /// Mean number of packets that are lost in a row; without it each is lost by itself
    #[arg(long, value_name = "PACKETS")]
    pub(crate) burst: Option<f64>,
    /// Links between the speaker and the listener
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=8))]
    pub(crate) links: u32,
    /// Delay of each link, each way
    #[arg(long, default_value = "20ms", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub(crate) delay: Duration,
    /// How much earlier or later than that a packet comes, uniformly
    #[arg(long, default_value = "0ms", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub(crate) jitter: Duration,
    /// Share of packets that others overtake on each link, in percent
    #[arg(long, default_value_t = 0.0, value_name = "PERCENT")]
    pub(crate) reorder: f64,
    /// Whether missing packets are pulled
    #[arg(long, default_value = "on", value_name = "WHETHER")]
    pub(crate) pulls: Switch,
    /// Whether frames are sent twice: never, when the listener reports loss, or always
    #[arg(long, default_value = "reported", value_name = "WHEN")]
    pub(crate) redundancy: When,
    /// Whom the delay is for
    #[arg(long, default_value = "audience", value_name = "WHOM")]
    pub(crate) listener: Listener,
    /// How often each file is sent, with other losses each time
    #[arg(long, default_value_t = 3, value_name = "COUNT")]
    pub(crate) seeds: u32,
    /// Repeat each file until it lasts so long
    #[arg(long, default_value = "0s", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub(crate) at_least: Duration,
    /// Parts in a million by which the speaker's clock runs fast; negative for slow
    #[arg(
        long,
        default_value_t = 0.0,
        allow_negative_numbers = true,
        value_name = "PPM"
    )]
    pub(crate) drift: f64,
    /// Folder for the sound that was heard
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Switch {
    On,
    Off,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    Never,
    Reported,
    /// One copy of each frame
    One,
    /// Two copies
    Two,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Listener {
    Audience,
    Stage,
}

impl Options {
    /// A link that loses so much, in percent, as the simulator reads it.
    pub(crate) fn link(&self, loss: f64, seed: u64) -> String {
        let (delay, jitter) = (self.delay.as_micros(), self.jitter.as_micros());
        let reorder = self.reorder;
        let mut text =
            format!("delay={delay}us,jitter={jitter}us,loss={loss}%,reorder={reorder}%,seed={seed}");
        if let (Some(burst), true) = (self.burst, loss > 0.0) {
            text.push_str(&format!(",burst={burst}"));
        }
        text
    }

    /// Where the speech is.
    pub(crate) fn speech(&self) -> PathBuf {
        let named = std::env::var_os("MAJLIS_SPEECH").filter(|named| !named.is_empty());
        let shipped = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/assets/speech"));
        let fallback = || named.map_or_else(shipped, PathBuf::from);
        self.speech.clone().unwrap_or_else(fallback)
    }
}
