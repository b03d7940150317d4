//! Options: as they were typed, and as they hold after the environment and the defaults had their say.
//!
//! What was not typed is `None` or empty here; [`NodeFlags::resolve`] is the one place that decides what holds then,
//! and it reads nothing but its arguments.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use anyhow::Context;
use clap::{Args, ValueEnum};
use majlis::{
    audio::{Input, Output},
    home::Home,
    net::TransportChoice,
    node::{Config, Uplink},
    room::{EventStream, Seat, Treatment},
};
use majlis_protocol::link::Address;
use tokio::sync::mpsc;

use super::show::Voice;

/// The variable that names a home where `--home` does not.
const HOME_VARIABLE: &str = "MAJLIS_HOME";

/// Where sound comes from unless `--input` says otherwise.
const DEFAULT_INPUT: &str = "mic";

/// Where sound goes unless `--output` says otherwise.
const DEFAULT_OUTPUT: &str = "speakers";

/// Options that only a node has a use for.
pub(crate) const OF_A_NODE: [&str; 8] = [
    "listen",
    "announce",
    "bootstrap",
    "transport",
    "mdns",
    "max_children",
    "uplink",
    "nick",
];

/// Options of whatever looks at a home and tells.
pub(crate) const OFFLINE: [&str; 2] = ["home", "json"];

/// Options of every command.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Options of all commands")]
pub(crate) struct NodeFlags {
    /// Keep the key and all else in DIR instead of this system's usual place (or MAJLIS_HOME); one process a home
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) home: Option<PathBuf>,
    /// Listen here, instead of on every interface; may be repeated
    #[arg(long, global = true, value_name = "MULTIADDR")]
    pub(crate) listen: Vec<Address>,
    /// Tell others to reach this node here, as behind a router that forwards a port; may be repeated
    #[arg(long, global = true, value_name = "MULTIADDR")]
    pub(crate) announce: Vec<Address>,
    /// Meet the network through this node; may be repeated
    #[arg(long, global = true, value_name = "MULTIADDR")]
    pub(crate) bootstrap: Vec<Address>,
    /// Talk over QUIC, over TCP, or over whichever works [default: any]
    #[arg(long, global = true, value_name = "any|quic|tcp", hide_possible_values = true)]
    pub(crate) transport: Option<Transport>,
    /// Find others on the local network by multicast [default: on, unless all sockets are on loopback]
    #[arg(long, global = true, value_name = "on|off", hide_possible_values = true)]
    pub(crate) mdns: Option<Switch>,
    /// Pass sound on to at most N others, 1000 at most; 0 to none [default: 8, or what the uplink carries]
    #[arg(long, global = true, value_name = "N")]
    pub(crate) max_children: Option<u32>,
    /// Pass sound on to no more others than this line carries up, for example 800kbit or 5mbit
    #[arg(long, global = true, value_name = "SPEED")]
    pub(crate) uplink: Option<Uplink>,
    /// What to be called; others see it together with a tag of your key
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) nick: Option<String>,
    /// Print one JSON object a line instead of text for people
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Say more on stderr; twice for more still
    #[arg(short, long = "verbose", global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// Options of the commands that are in a room.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct SeatFlags {
    /// What to speak with: mic, mic:NAME, file:PATH, tone:HERTZ or none [default: mic]
    ///
    /// A microphone is opened only on the stage and by you; a file or tone starts by itself once on the stage. A file is
    /// WAV, FLAC, MP3, Ogg Opus or Ogg Vorbis.
    #[arg(long, value_name = "INPUT", value_parser = input_word)]
    pub(crate) input: Option<String>,
    /// Start the file over at its end, instead of playing it once
    #[arg(long = "loop")]
    pub(crate) repeat: bool,
    /// Start the input once N others take sound from here
    #[arg(long, value_name = "N")]
    pub(crate) wait_listeners: Option<u32>,
    /// Where the room is heard: speakers, speakers:NAME, file:PATH or none [default: speakers]
    ///
    /// A file ends in .wav, or in .opus or .ogg for Ogg Opus.
    #[arg(long, value_name = "OUTPUT", value_parser = output_word)]
    pub(crate) output: Option<String>,
    /// Leave after this many seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) duration: Option<Duration>,
    // Last, since what follows would stand below its heading.
    #[command(flatten)]
    pub(crate) sound: SoundFlags,
}

/// Options of how a microphone's sound is treated, and that of others. A room for music has them off.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Sound")]
pub(crate) struct SoundFlags {
    /// Take what the loudspeaker plays out of the microphone's sound [default: on, off in a room for music]
    #[arg(long, value_name = "on|off", hide_possible_values = true)]
    pub(crate) echo_cancel: Option<Switch>,
    /// Hold down steady noise in the microphone's sound [default: likewise]
    #[arg(long, value_name = "on|off", hide_possible_values = true)]
    pub(crate) noise_suppression: Option<Switch>,
    /// Raise a soft voice at the microphone [default: likewise]
    #[arg(long, value_name = "on|off", hide_possible_values = true)]
    pub(crate) auto_gain: Option<Switch>,
    /// Cut off rumble below the voice at the microphone [default: likewise]
    #[arg(long, value_name = "on|off", hide_possible_values = true)]
    pub(crate) high_pass: Option<Switch>,
    /// Send next to nothing in silence [default: on for a microphone, off for a file or tone and in a room for music]
    #[arg(long, value_name = "on|off", hide_possible_values = true)]
    pub(crate) dtx: Option<Switch>,
    /// Bring all speakers to one loudness; off, one who speaks alone is heard sample for sample [default: on]
    #[arg(long, value_name = "on|off", hide_possible_values = true)]
    pub(crate) leveling: Option<Switch>,
}

/// What to talk over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Transport {
    /// Whichever works.
    Any,
    /// QUIC alone.
    Quic,
    /// TCP alone.
    Tcp,
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Switch {
    /// On.
    On,
    /// Off.
    Off,
}

impl NodeFlags {
    /// The home that holds: typed, else in the environment, else this system's usual place.
    pub(crate) fn home(&self) -> anyhow::Result<PathBuf> {
        match choose_home(self.home.clone(), std::env::var_os(HOME_VARIABLE)) {
            Some(home) => Ok(home),
            None => Ok(Home::default_path()?),
        }
    }

    /// The configuration of a node in `home`: what was typed, over the library's defaults.
    pub(crate) fn resolve(&self, home: PathBuf) -> Config {
        let texts = |addresses: &[Address]| addresses.iter().map(Address::to_string).collect::<Vec<_>>();
        let mut config = Config::at(home);
        if !self.listen.is_empty() {
            config.listen = texts(&self.listen);
        }
        config.announce = texts(&self.announce);
        config.bootstrap = texts(&self.bootstrap);
        config.transport = self.transport.map_or(config.transport, TransportChoice::from);
        config.mdns = self.mdns.map_or(config.mdns, |switch| switch == Switch::On);
        config.max_children = self.max_children.or(config.max_children);
        config.uplink = self.uplink.or(config.uplink);
        config.nick = self.nick.clone().or(config.nick);
        config
    }
}

impl NodeFlags {
    /// The options that were typed and are for a node alone.
    pub(crate) fn of_the_node(&self) -> Vec<&'static str> {
        [
            ("--listen", !self.listen.is_empty()),
            ("--announce", !self.announce.is_empty()),
            ("--bootstrap", !self.bootstrap.is_empty()),
            ("--transport", self.transport.is_some()),
            ("--mdns", self.mdns.is_some()),
            ("--max-children", self.max_children.is_some()),
            ("--uplink", self.uplink.is_some()),
            ("--nick", self.nick.is_some()),
        ]
        .into_iter()
        .filter_map(|(word, was_typed)| was_typed.then_some(word))
        .collect()
    }
}

impl SeatFlags {
    /// The seat in a room. `started` is when the arguments had been read; `events` takes the room's events from when it is
    /// looked for.
    pub(crate) fn resolve(
        &self,
        started: std::time::Instant,
        events: mpsc::Sender<EventStream>,
    ) -> anyhow::Result<Seat> {
        let input: Input = self.input.as_deref().unwrap_or(DEFAULT_INPUT).parse()?;
        let output: Output = self.output.as_deref().unwrap_or(DEFAULT_OUTPUT).parse()?;
        Ok(Seat {
            input,
            output,
            repeat: self.repeat,
            treatment: self.sound.treatment(),
            wait_listeners: self.wait_listeners.unwrap_or(0),
            started,
            events: Some(events),
        })
    }

    /// The first option that was typed for a microphone where there is none.
    pub(crate) fn in_vain(&self) -> Option<&'static str> {
        let is_microphone = matches!(self.voice(false), Voice::Microphone { .. });
        let on = |switch: Option<Switch>| switch == Some(Switch::On);
        let for_a_microphone = [
            ("--echo-cancel", on(self.sound.echo_cancel)),
            ("--noise-suppression", on(self.sound.noise_suppression)),
            ("--auto-gain", on(self.sound.auto_gain)),
            ("--high-pass", on(self.sound.high_pass)),
        ];
        let typed = for_a_microphone.into_iter().find(|(_, was_typed)| *was_typed);
        typed.filter(|_| !is_microphone).map(|(word, _)| word)
    }

    /// What the person speaks with; `enter` says whether the Enter key can open a microphone.
    pub(crate) fn voice(&self, enter: bool) -> Voice {
        match self.input.as_deref().unwrap_or(DEFAULT_INPUT) {
            "none" => Voice::None,
            word if word == "mic" || word.starts_with("mic:") => Voice::Microphone { enter },
            _ => Voice::ByItself,
        }
    }
}

impl SoundFlags {
    fn treatment(&self) -> Treatment {
        let is_on = |switch: Switch| switch == Switch::On;
        let mut treatment = Treatment::default();
        treatment.high_pass = self.high_pass.map(is_on);
        treatment.echo_cancel = self.echo_cancel.map(is_on);
        treatment.noise_suppression = self.noise_suppression.map(is_on);
        treatment.auto_gain = self.auto_gain.map(is_on);
        treatment.discontinuous = self.dtx.map(is_on);
        treatment.leveling = self.leveling.is_none_or(is_on);
        treatment
    }
}

impl Transport {
    /// The word that was typed.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Quic => "quic",
            Self::Tcp => "tcp",
        }
    }
}

impl From<Transport> for TransportChoice {
    fn from(transport: Transport) -> Self {
        match transport {
            Transport::Any => Self::Any,
            Transport::Quic => Self::Quic,
            Transport::Tcp => Self::Tcp,
        }
    }
}

/// An empty variable or flag names no home.
fn choose_home(typed: Option<PathBuf>, variable: Option<OsString>) -> Option<PathBuf> {
    let named = |path: &PathBuf| !path.as_os_str().is_empty();
    typed
        .filter(named)
        .or_else(|| variable.map(PathBuf::from).filter(named))
}

fn input_word(word: &str) -> anyhow::Result<String> {
    word.parse::<Input>()?;
    Ok(word.to_owned())
}

fn output_word(word: &str) -> anyhow::Result<String> {
    word.parse::<Output>()?;
    Ok(word.to_owned())
}

/// Reads a positive number of seconds, with or without a fraction.
pub(crate) fn seconds(word: &str) -> anyhow::Result<Duration> {
    let usage = "write a number of seconds above 0, for example 90 or 2.5";
    let seconds: f64 = word.parse().context(usage)?;
    let duration = Duration::try_from_secs_f64(seconds).context(usage)?;
    // Beyond a century the clock's own arithmetic would be in the way.
    let century = Duration::from_secs(100 * 365 * 24 * 3600);
    anyhow::ensure!(!duration.is_zero() && duration < century, usage);
    Ok(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(flags: &NodeFlags) -> Config {
        flags.resolve("home".into())
    }

    #[test]
    fn what_is_not_typed_stays_as_the_library_has_it() {
        let (config, default) = (resolved(&NodeFlags::default()), Config::at("home"));
        assert_eq!(format!("{config:?}"), format!("{default:?}"));
    }

    #[test]
    fn what_is_typed_replaces_the_default() {
        let address = "/ip4/127.0.0.1/udp/0/quic-v1";
        let flags = NodeFlags {
            listen: vec![address.parse().expect("an address")],
            bootstrap: vec!["/ip4/192.0.2.1/tcp/1".parse().expect("an address")],
            mdns: Some(Switch::Off),
            max_children: Some(3),
            uplink: Some("5mbit".parse().expect("a speed")),
            nick: Some("salma".into()),
            ..NodeFlags::default()
        };
        let config = resolved(&flags);
        assert_eq!(config.listen, [address]);
        assert_eq!(config.bootstrap, ["/ip4/192.0.2.1/tcp/1"]);
        assert!(config.announce.is_empty());
        assert!(!config.mdns);
        assert_eq!(
            (config.max_children, config.nick.as_deref()),
            (Some(3), Some("salma"))
        );
        assert_eq!(config.uplink.map(Uplink::bits_per_second), Some(5_000_000));
    }

    #[test]
    fn a_typed_home_goes_before_the_environment_and_an_empty_one_counts_for_nothing() {
        let home = |typed: Option<&str>, variable: Option<&str>| {
            choose_home(typed.map(Into::into), variable.map(Into::into))
        };
        assert_eq!(home(Some("a"), Some("b")), Some("a".into()));
        assert_eq!(home(None, Some("b")), Some("b".into()));
        assert_eq!(home(Some(""), Some("")), None);
        assert_eq!(home(None, None), None);
    }

    #[test]
    fn a_seat_has_a_microphone_and_speakers_unless_told_otherwise() {
        let now = std::time::Instant::now();
        let seat = SeatFlags::default()
            .resolve(now, mpsc::channel(1).0)
            .expect("the defaults are valid");
        assert!(matches!(seat.input, Input::Mic(None)) && matches!(seat.output, Output::Speakers(None)));
        assert_eq!((seat.repeat, seat.wait_listeners, seat.started), (false, 0, now));
        assert!(seat.treatment.leveling && seat.treatment.echo_cancel.is_none());
        assert_eq!(
            SeatFlags::default().voice(true),
            Voice::Microphone { enter: true }
        );

        let typed = SeatFlags {
            input: Some("tone:440".into()),
            output: Some("none".into()),
            repeat: true,
            wait_listeners: Some(2),
            ..SeatFlags::default()
        };
        let seat = typed.resolve(now, mpsc::channel(1).0).expect("valid");
        assert!(matches!(seat.input, Input::Tone(_)) && matches!(seat.output, Output::None));
        assert_eq!((seat.repeat, seat.wait_listeners), (true, 2));
        assert_eq!(typed.voice(true), Voice::ByItself);
    }

    #[test]
    fn what_is_for_a_microphone_is_typed_in_vain_for_a_file() {
        let flags = |input: &str, switch: Switch| SeatFlags {
            input: Some(input.into()),
            sound: SoundFlags {
                noise_suppression: Some(switch),
                leveling: Some(Switch::Off),
                ..SoundFlags::default()
            },
            ..SeatFlags::default()
        };
        assert_eq!(
            flags("tone:440", Switch::On).in_vain(),
            Some("--noise-suppression")
        );
        assert_eq!(flags("tone:440", Switch::Off).in_vain(), None);
        assert_eq!(flags("mic:USB", Switch::On).in_vain(), None);
        let seat = flags("mic", Switch::Off).resolve(std::time::Instant::now(), mpsc::channel(1).0);
        let treatment = seat.expect("valid").treatment;
        assert_eq!(
            (treatment.noise_suppression, treatment.leveling),
            (Some(false), false)
        );
    }

    #[test]
    fn a_duration_is_a_positive_number_of_seconds() {
        assert_eq!(seconds("2.5").expect("valid"), Duration::from_millis(2500));
        for word in ["", "0", "-1", "NaN", "inf", "1e300", "5s"] {
            let error = seconds(word).expect_err(word).to_string();
            assert!(error.contains("write a number of seconds"), "{word}: {error}");
        }
    }
}
