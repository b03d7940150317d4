//! What happens in a world: who comes, how they are connected, and what goes wrong when.

use alloc::vec::Vec;
use core::time::Duration;

use super::link::Loss;
use crate::limits;

/// Most listeners at the start; those who come later need numbers too, and a number has three bytes.
const MOST_LISTENERS: u32 = 4_000_000;

/// Most speakers. A stage with more has no model here.
const MOST_SPEAKERS: u32 = 8;

/// A world before it runs. [`Scenario::default`] is a small calm room on a good network.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// Where all randomness comes from.
    pub seed: u64,
    /// Listeners at the start, beside those on the stage.
    pub listeners: u32,
    /// They come at random within this time: a short one is a flash crowd.
    pub arrive: Duration,
    /// How long the world runs.
    pub duration: Duration,
    /// Frames that were captured before this are played and not counted.
    pub warm_up: Duration,
    /// Share of listeners that nobody can dial: they have no address and take no children.
    pub unreachable: f64,
    /// Most children of a member; less where its uplink carries less.
    pub fan_out: usize,
    /// Most children of the host.
    pub host_fan_out: usize,
    /// What members can send. Empty means that nothing limits it.
    pub uplinks: Vec<Uplink>,
    /// How long packets travel.
    pub latency: Latency,
    /// Which datagrams get lost on each link, each direction by itself. A lost part of a control message is sent again.
    pub loss: Loss,
    /// Who talks, and how.
    pub stage: Stage,
    /// Whom newcomers ask.
    pub door: Door,
    /// Who comes and goes at random.
    pub churn: Churn,
    /// Who is killed on purpose.
    pub kills: Vec<Kill>,
    /// When the network is parted.
    pub partitions: Vec<Partition>,
    /// Who breaks the rules.
    pub villains: Vec<Villain>,
}

/// What a share of the members can send.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Uplink {
    /// Which share of the members, 0 to 1; what all shares leave over goes to the last.
    pub share: f64,
    /// Bits a second; 0 is without limit.
    pub bits: u64,
}

/// How long packets travel: places in a square, and a detour of each member's own to its first router.
///
/// The shape is that of F. Dabek et al., "Vivaldi: A Decentralized Network Coordinate System" (SIGCOMM 2004): points in
/// a plane with a height each reproduce the round-trip times between 1,740 hosts of the Internet with a median error of
/// 11 %. The heights, which stand for access links, are drawn from a log-normal distribution: many short ones, few
/// very long.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Latency {
    /// Side of the square, as one-way time.
    pub side: Duration,
    /// Median one-way time of an access link.
    pub access: Duration,
    /// Deviation of the logarithm of that time.
    pub spread: f64,
    /// Each packet takes up to so much longer, at random; it overtakes none.
    pub jitter: Duration,
    /// No packet is faster. The world's step, too: a larger one is faster to simulate.
    pub least: Duration,
}

/// Who talks, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stage {
    /// How many talk.
    pub speakers: u32,
    /// Whether the host is one of them.
    pub host_speaks: bool,
    /// Mean length of a spurt. Spurts and pauses are exponential: P. T. Brady, "A model for generating on-off speech
    /// patterns in two-way conversation" (Bell System Technical Journal, 1969).
    pub talk: Duration,
    /// Mean length of a pause.
    pub pause: Duration,
    /// Frames of 20 ms in a packet, 1 to 3.
    pub frames: u8,
    /// Bytes of a frame, at least 8.
    pub frame_bytes: usize,
    /// How often the host renames the room, so that the log grows; zero for never.
    pub renames: Duration,
}

/// Whom newcomers ask for a place first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// The host, whose addresses are in the room's link; then whoever the directory names.
    Host,
    /// Whoever the directory names: some members at random.
    Anyone,
}

/// Who comes and goes at random, after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Churn {
    /// Departures a minute, as a share of the first listeners.
    pub departures: f64,
    /// Share of the departures that say nothing: a crash, a laptop that is shut.
    pub crashes: f64,
    /// Arrivals a minute, as a share of the first listeners.
    pub arrivals: f64,
}

/// Some members that end at one time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Kill {
    /// When.
    pub at: Duration,
    /// Who.
    pub victim: Victim,
    /// How many: so many, or all there are.
    pub count: u32,
    /// How.
    pub how: How,
}

/// Who is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Victim {
    /// The host.
    Host,
    /// Someone who talks, other than the host.
    Speaker,
    /// A listener that takes its sound from the root and has children.
    FirstTier,
    /// A listener that has children.
    Relay,
    /// Any listener.
    Listener,
}

/// How a member ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// It says goodbye.
    Leave,
    /// It stops without a word: its neighbours' connections die of idleness.
    Crash,
}

/// A time during which two parts of the network do not reach each other.
#[derive(Debug, Clone, PartialEq)]
pub struct Partition {
    /// When.
    pub during: core::ops::Range<Duration>,
    /// Share of the members in the smaller part. The host is in the other.
    pub share: f64,
}

/// Listeners that break the rules. They are no audience: what they hear is not counted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Villain {
    /// Share of the listeners.
    pub share: f64,
    /// What they do.
    pub deed: Deed,
}

/// What a villain does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// It passes no sound on, stays connected and says that all is well.
    Withholds,
    /// It drops every tenth packet.
    Drops,
    /// It alters the sound in every packet.
    Alters,
    /// It sends old packets in the place of new ones.
    Replays,
    /// It says that it stands right below the root.
    LiesAboutPath,
    /// It says that its subtree is large and has places without end, at members whom nobody knows.
    LiesAboutPlaces,
    /// It pulls everything from its parent and its standby, all the time.
    Pulls,
    /// It takes a place, vanishes, and comes for another one, again and again.
    Floods,
    /// Two that turn to each other again and again, and hide by lies about their paths that it makes a loop.
    Loops,
    /// It passes on neither log entries nor beacons.
    HidesLog,
}

/// A scenario that cannot be run. Correct the field and try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the scenario's {field} is not valid: {expected}")]
pub struct ScenarioError {
    /// Which field.
    pub field: &'static str,
    /// What it must be.
    pub expected: &'static str,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            seed: 1,
            listeners: 20,
            arrive: Duration::from_secs(2),
            duration: Duration::from_secs(20),
            warm_up: Duration::from_secs(5),
            unreachable: 0.0,
            fan_out: 8,
            host_fan_out: 8,
            uplinks: Vec::new(),
            latency: Latency::default(),
            loss: Loss::default(),
            stage: Stage::default(),
            door: Door::Host,
            churn: Churn::default(),
            kills: Vec::new(),
            partitions: Vec::new(),
            villains: Vec::new(),
        }
    }
}

impl Default for Latency {
    /// Round trips of 20 to 250 ms, about 100 in the median: a room with guests from two continents.
    fn default() -> Self {
        Self {
            side: Duration::from_millis(70),
            access: Duration::from_millis(6),
            spread: 0.7,
            jitter: Duration::from_millis(2),
            least: Duration::from_millis(2),
        }
    }
}

impl Default for Stage {
    /// One who talks four fifths of the time, 32 kbit/s in single frames.
    fn default() -> Self {
        Self {
            speakers: 1,
            host_speaks: true,
            talk: Duration::from_secs(2),
            pause: Duration::from_millis(500),
            frames: 1,
            frame_bytes: 80,
            renames: Duration::ZERO,
        }
    }
}

impl Default for Churn {
    /// Nobody comes or goes; of those who would, half would say goodbye.
    fn default() -> Self {
        Self {
            departures: 0.0,
            crashes: 0.5,
            arrivals: 0.0,
        }
    }
}

impl Scenario {
    /// Members on the stage from the start: the host, and those who talk beside it.
    #[must_use]
    pub fn on_stage(&self) -> u32 {
        let talking_host = u32::from(self.stage.host_speaks && self.stage.speakers > 0);
        1 + self.stage.speakers - talking_host
    }

    /// Checks that the numbers make a world.
    ///
    /// # Errors
    /// [`ScenarioError`] names the first field that does not.
    pub fn validate(&self) -> Result<(), ScenarioError> {
        let share = |value: f64| (0.0..=1.0).contains(&value);
        let rate = |value: f64| (0.0..=1_000.0).contains(&value);
        let (stage, latency) = (&self.stage, &self.latency);
        let frames = 1..=limits::PRIMARY_FRAMES;
        let shares: f64 = self.uplinks.iter().map(|uplink| uplink.share).sum();
        let checks = [
            (
                "listeners",
                self.listeners <= MOST_LISTENERS,
                "at most four million",
            ),
            ("duration", self.duration <= HOURS, "at most six hours"),
            ("warm-up", self.warm_up <= self.duration, "within the duration"),
            ("unreachable", share(self.unreachable), "a share from 0 to 1"),
            (
                "uplinks",
                self.uplinks.iter().all(|uplink| share(uplink.share)) && shares <= 1.001,
                "shares that make 1 together",
            ),
            (
                "latency",
                latency.side <= SECOND && latency.access <= SECOND && latency.jitter <= SECOND,
                "at most a second each",
            ),
            ("spread", (0.0..=2.0).contains(&latency.spread), "0 to 2"),
            (
                "least",
                (LEAST_STEP..=SECOND).contains(&latency.least),
                "100 microseconds to a second",
            ),
            ("speakers", stage.speakers <= MOST_SPEAKERS, "at most 8"),
            ("talk", stage.talk >= FRAME, "at least 20 ms"),
            (
                "frames",
                frames.contains(&usize::from(stage.frames)),
                "1 to 3 frames a packet",
            ),
            (
                "frame-bytes",
                (8..=300).contains(&stage.frame_bytes),
                "8 to 300 bytes a frame",
            ),
            (
                "churn",
                rate(self.churn.departures) && rate(self.churn.arrivals) && share(self.churn.crashes),
                "shares",
            ),
            (
                "villains",
                self.villains.iter().all(|villain| share(villain.share)),
                "a share from 0 to 1",
            ),
            (
                "partitions",
                self.partitions.iter().all(|cut| share(cut.share)),
                "a share from 0 to 1",
            ),
        ];
        match checks.into_iter().find(|(_, holds, _)| !holds) {
            Some((field, _, expected)) => Err(ScenarioError { field, expected }),
            None => Ok(()),
        }
    }
}

const FRAME: Duration = crate::media::FRAME_TIME;
const SECOND: Duration = Duration::from_secs(1);
const HOURS: Duration = Duration::from_secs(6 * 3600);

/// A shorter step would visit every member for nothing most of the time.
const LEAST_STEP: Duration = Duration::from_micros(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_a_world_and_wrong_numbers_are_named() {
        assert_eq!(Scenario::default().validate(), Ok(()));
        let wrong = |change: fn(&mut Scenario)| {
            let mut scenario = Scenario::default();
            change(&mut scenario);
            scenario.validate().expect_err("a number is wrong").field
        };
        assert_eq!(wrong(|scenario| scenario.unreachable = 1.5), "unreachable");
        assert_eq!(wrong(|scenario| scenario.unreachable = f64::NAN), "unreachable");
        assert_eq!(wrong(|scenario| scenario.stage.frames = 4), "frames");
        assert_eq!(wrong(|scenario| scenario.latency.least = Duration::ZERO), "least");
    }

    #[test]
    fn the_stage_holds_the_host_and_those_who_talk_beside_it() {
        let mut scenario = Scenario::default();
        assert_eq!(scenario.on_stage(), 1);
        scenario.stage.speakers = 3;
        assert_eq!(scenario.on_stage(), 3);
        scenario.stage.host_speaks = false;
        assert_eq!(scenario.on_stage(), 4);
    }
}
