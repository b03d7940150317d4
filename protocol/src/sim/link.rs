//! A bad network, one direction of one link at a time: delay, jitter, loss and partition.
//!
//! Invariants: a [`Link`] is a function of its [`Profile`], its number and the times it is offered
//! packets at; packets leave in the order they came, as on a real path whose jitter is a queue, unless
//! the profile asks that some be overtaken; loss, jitter and reordering draw from separate generators,
//! so that changing one leaves the others' pattern as it was. `offered = delivered + lost + cut`, always.
//!
//! Bursty loss is the two-state chain of E. N. Gilbert, "Capacity of a Burst-Noise Channel"
//! (Bell System Technical Journal, 1960), with a good state that loses nothing and a bad one that
//! loses everything; it is then given by its mean rate and its mean run alone.

use core::{fmt, ops::Range, str::FromStr, time::Duration};

use super::draws::SplitMix64;

/// No delay, jitter or partition bound in a profile may be longer than this. A longer one is a typing
/// error in every experiment thought of so far, and a bound keeps the arithmetic below free of overflow.
pub const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// How much later than its turn a packet comes that is overtaken: behind the next two of one speaker.
pub const OVERTAKEN: Duration = Duration::from_millis(50);

/// What one link does to packets. [`Profile::default`] does nothing at all.
///
/// As text: `delay=25ms,jitter=5ms,loss=5%,burst=3,reorder=1%,partition=2s..5s,seed=7`, each key at most
/// once, in any order, all optional. Durations take `us`, `ms` or `s`; loss and reorder are a percentage
/// or a fraction.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Profile {
    /// Mean time from one end to the other.
    pub delay: Duration,
    /// How far from `delay` a packet's time may lie, to either side, uniformly; never below zero.
    pub jitter: Duration,
    /// Which packets are lost.
    pub loss: Loss,
    /// Share of packets that others overtake, 0 to 1: each comes [`OVERTAKEN`] later than its turn.
    pub reorder: f64,
    /// A time during which nothing passes, counted from the caller's start; the end is exclusive.
    pub partition: Option<Range<Duration>>,
    /// Where all randomness comes from.
    pub seed: u64,
}

/// Which packets a link loses. The default loses none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Loss {
    /// Mean share of packets lost, 0 to 1.
    rate: f64,
    /// Mean number of packets lost in a row, at least 1; `None` draws each packet by itself.
    mean_run: Option<f64>,
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Hand it to the other end at this time, which is never before an earlier packet's that was not overtaken.
    Deliver(Duration),
    /// Forget it: the network lost it.
    Lost,
    /// Forget it: the link was partitioned.
    Cut,
}

/// What a link has done so far, in packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets asked about.
    pub offered: u64,
    /// Packets let through.
    pub delivered: u64,
    /// Packets dropped by the loss model.
    pub lost: u64,
    /// Packets dropped by a partition.
    pub cut: u64,
}

/// One direction of one link.
#[derive(Clone, Debug)]
pub struct Link {
    profile: Profile,
    losses: Losses,
    jitter_draws: SplitMix64,
    reorder_draws: SplitMix64,
    /// The latest delivery promised, which no later packet may undercut.
    newest: Duration,
    counters: Counters,
}

/// Which packets of one direction of one link are lost: the state that a [`Loss`] moves.
#[derive(Clone, Debug)]
pub(super) struct Losses {
    draws: SplitMix64,
    /// The chain's state: true while in a run of losses.
    losing: bool,
}

/// Why a profile's text or numbers were refused. The writer's fault; correct the value and try again.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// A part without `=`.
    #[error("`{0}` is not of the form key=value")]
    NotAPair(String),
    /// A key nobody knows.
    #[error("unknown key `{0}`: use delay, jitter, loss, burst, reorder, partition or seed")]
    UnknownKey(String),
    /// The same key twice.
    #[error("`{0}` is given twice")]
    Twice(&'static str),
    /// Not a duration, or longer than [`LONGEST`].
    #[error("`{0}` is not a duration: write a number and us, ms or s, at most a day")]
    Duration(String),
    /// Not a share of packets.
    #[error("`{0}` is not a share of packets: write 5% or 0.05, from 0 to 100 %")]
    Rate(String),
    /// Not a mean run of losses.
    #[error("`{0}` is not a mean run of lost packets: write a number from 1 up")]
    Run(String),
    /// No chain has this rate with runs this short: a link that loses nearly all loses in long runs.
    #[error("a loss of {rate} needs a mean run of at least {least}, and less than all lost; {run} was given")]
    Impossible {
        /// The share of packets lost that was asked for.
        rate: f64,
        /// The mean run that was asked for.
        run: f64,
        /// The shortest mean run this rate can have.
        least: f64,
    },
    /// A `burst` without a `loss`.
    #[error("burst needs a loss: add loss=5% or so")]
    RunWithoutLoss,
    /// Not a time range.
    #[error("`{0}` is not a partition: write FROM..TO, as 2s..5s, the first before the second")]
    Partition(String),
    /// Not a number.
    #[error("`{0}` is not a seed: write a whole number below 2^64")]
    Seed(String),
}

impl Loss {
    /// Loses each packet with this probability, whatever happened to the one before.
    ///
    /// # Errors
    /// [`ProfileError::Rate`] unless `rate` lies in 0 to 1.
    pub fn uniform(rate: f64) -> Result<Self, ProfileError> {
        if !(0.0..=1.0).contains(&rate) {
            return Err(ProfileError::Rate(rate.to_string()));
        }
        Ok(Self { rate, mean_run: None })
    }

    /// Loses this share of packets in runs of `mean_run` on average.
    ///
    /// # Errors
    /// [`ProfileError::Rate`], [`ProfileError::Run`] for numbers out of range, and
    /// [`ProfileError::Impossible`] when no such chain exists (the run after a single good packet would
    /// have to begin with a probability above one).
    pub fn bursty(rate: f64, mean_run: f64) -> Result<Self, ProfileError> {
        let uniform = Self::uniform(rate)?;
        if !(mean_run.is_finite() && mean_run >= 1.0) {
            return Err(ProfileError::Run(mean_run.to_string()));
        }
        let least = (rate / (1.0 - rate)).max(1.0);
        if mean_run < least {
            return Err(ProfileError::Impossible {
                rate,
                run: mean_run,
                least,
            });
        }
        Ok(Self {
            mean_run: Some(mean_run),
            ..uniform
        })
    }

    /// Mean share of packets lost, 0 to 1.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// Mean number of packets lost in a row, where one was asked for.
    #[must_use]
    pub fn mean_run(&self) -> Option<f64> {
        self.mean_run
    }

    /// The probability that the next packet is lost, given what became of the last.
    fn next(&self, losing: bool) -> f64 {
        match self.mean_run {
            None => self.rate,
            Some(run) if losing => 1.0 - 1.0 / run,
            Some(run) => self.rate / (run * (1.0 - self.rate)),
        }
    }
}

impl Losses {
    /// Begun in the chain's long-run state, so that the mean rate holds from the first packet on.
    pub(super) fn new(loss: &Loss, seed: u64) -> Self {
        let mut draws = SplitMix64::new(seed);
        let losing = draws.chance(loss.rate);
        Self { draws, losing }
    }

    /// Whether the next packet is lost.
    pub(super) fn draw(&mut self, loss: &Loss) -> bool {
        self.losing = self.draws.chance(loss.next(self.losing));
        self.losing
    }
}

impl Link {
    /// A link that behaves as `profile` says. Links of one profile with different numbers lose different
    /// packets; the same number gives the same link again.
    #[must_use]
    pub fn new(profile: &Profile, number: u64) -> Self {
        let mut seeds = SplitMix64::new(profile.seed ^ SplitMix64::new(number).next());
        let losses = Losses::new(&profile.loss, seeds.next());
        let jitter_draws = SplitMix64::new(seeds.next());
        let reorder_draws = SplitMix64::new(seeds.next());
        Self {
            profile: profile.clone(),
            losses,
            jitter_draws,
            reorder_draws,
            newest: Duration::ZERO,
            counters: Counters::default(),
        }
    }

    /// What this link has done so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Decides over one packet sent at `now`.
    pub fn offer(&mut self, now: Duration) -> Verdict {
        self.counters.offered += 1;
        if self.is_cut(now) {
            self.counters.cut += 1;
            return Verdict::Cut;
        }
        if self.losses.draw(&self.profile.loss) {
            self.counters.lost += 1;
            return Verdict::Lost;
        }
        self.counters.delivered += 1;
        Verdict::Deliver(self.draw_delivery(now))
    }

    /// Decides over one packet by loss alone: true if it is lost. For callers that lose and delay at
    /// different places; each place has a link of its own and its counters count that half.
    pub fn offer_to_loss(&mut self) -> bool {
        self.counters.offered += 1;
        let lost = self.losses.draw(&self.profile.loss);
        if lost {
            self.counters.lost += 1;
        } else {
            self.counters.delivered += 1;
        }
        lost
    }

    /// Decides over one packet by delay, jitter and partition alone; `None` if it is cut off.
    pub fn offer_to_delay(&mut self, now: Duration) -> Option<Duration> {
        self.counters.offered += 1;
        if self.is_cut(now) {
            self.counters.cut += 1;
            return None;
        }
        self.counters.delivered += 1;
        Some(self.draw_delivery(now))
    }

    fn is_cut(&self, now: Duration) -> bool {
        self.profile
            .partition
            .as_ref()
            .is_some_and(|window| window.contains(&now))
    }

    fn draw_delivery(&mut self, now: Duration) -> Duration {
        let jitter = self.profile.jitter.min(LONGEST);
        let early = self.profile.delay.min(LONGEST).saturating_sub(jitter);
        let late = self.profile.delay.min(LONGEST).saturating_add(jitter);
        let spread = u64::try_from((late - early).as_nanos()).unwrap_or(u64::MAX);
        let drawn = early + Duration::from_nanos(self.jitter_draws.up_to(spread));
        if self.reorder_draws.chance(self.profile.reorder) {
            return self
                .newest
                .max(now.saturating_add(drawn))
                .saturating_add(OVERTAKEN);
        }
        self.newest = self.newest.max(now.saturating_add(drawn));
        self.newest
    }
}

impl FromStr for Profile {
    type Err = ProfileError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut given = Given::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (key, value) = part
                .split_once('=')
                .ok_or_else(|| ProfileError::NotAPair(part.to_owned()))?;
            given.set(key.trim(), value.trim())?;
        }
        given.into_profile()
    }
}

impl fmt::Display for Profile {
    /// The text that [`Profile::from_str`] reads back as the same profile.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            delay,
            jitter,
            loss,
            reorder,
            partition,
            seed,
        } = self;
        write!(f, "delay={}us,jitter={}us", Micros(*delay), Micros(*jitter))?;
        write!(f, ",loss={}", loss.rate)?;
        if let Some(run) = loss.mean_run {
            write!(f, ",burst={run}")?;
        }
        if *reorder > 0.0 {
            write!(f, ",reorder={reorder}")?;
        }
        if let Some(window) = partition {
            write!(
                f,
                ",partition={}us..{}us",
                Micros(window.start),
                Micros(window.end)
            )?;
        }
        write!(f, ",seed={seed}")
    }
}

/// A duration in microseconds with its nanoseconds as decimals, so that nothing is rounded away.
struct Micros(Duration);

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.0.as_micros(), self.0.subsec_nanos() % 1000)
    }
}

/// The keys of a profile's text as they were read; checked against each other only at the end, since
/// `burst` may come before `loss`.
#[derive(Default)]
struct Given {
    delay: Option<Duration>,
    jitter: Option<Duration>,
    rate: Option<f64>,
    run: Option<f64>,
    reorder: Option<f64>,
    partition: Option<Range<Duration>>,
    seed: Option<u64>,
}

impl Given {
    fn set(&mut self, key: &str, value: &str) -> Result<(), ProfileError> {
        match key {
            "delay" => once(&mut self.delay, "delay", duration(value)?),
            "jitter" => once(&mut self.jitter, "jitter", duration(value)?),
            "loss" => once(&mut self.rate, "loss", rate(value)?),
            "burst" => once(&mut self.run, "burst", run(value)?),
            "reorder" => once(&mut self.reorder, "reorder", rate(value)?),
            "partition" => once(&mut self.partition, "partition", partition(value)?),
            "seed" => {
                let seed = value.parse().map_err(|_| ProfileError::Seed(value.to_owned()))?;
                once(&mut self.seed, "seed", seed)
            }
            unknown => Err(ProfileError::UnknownKey(unknown.to_owned())),
        }
    }

    fn into_profile(self) -> Result<Profile, ProfileError> {
        let loss = match (self.rate, self.run) {
            (None, None) => Loss::default(),
            (None, Some(_)) => return Err(ProfileError::RunWithoutLoss),
            (Some(rate), None) => Loss::uniform(rate)?,
            (Some(rate), Some(run)) => Loss::bursty(rate, run)?,
        };
        Ok(Profile {
            delay: self.delay.unwrap_or_default(),
            jitter: self.jitter.unwrap_or_default(),
            loss,
            reorder: self.reorder.unwrap_or_default(),
            partition: self.partition,
            seed: self.seed.unwrap_or_default(),
        })
    }
}

fn once<T>(slot: &mut Option<T>, key: &'static str, value: T) -> Result<(), ProfileError> {
    if slot.is_some() {
        return Err(ProfileError::Twice(key));
    }
    *slot = Some(value);
    Ok(())
}

fn duration(text: &str) -> Result<Duration, ProfileError> {
    let wrong = || ProfileError::Duration(text.to_owned());
    // `s` last: it ends the other two as well.
    let (number, nanos) = [("us", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000)]
        .into_iter()
        .find_map(|(unit, nanos)| Some((text.strip_suffix(unit)?, nanos)))
        .ok_or_else(wrong)?;
    // In whole nanoseconds throughout, since a product of floats would round.
    let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(decimals) || decimals.len() > 9 {
        return Err(wrong());
    }
    let whole: u64 = whole.parse().map_err(|_| wrong())?;
    let tenths = 10_u64.pow(u32::try_from(decimals.len()).map_err(|_| wrong())?);
    let decimals: u64 = decimals.parse().map_err(|_| wrong())?;
    let nanos = whole
        .checked_mul(nanos)
        .ok_or_else(wrong)?
        .checked_add(decimals * nanos / tenths)
        .ok_or_else(wrong)?;
    let duration = Duration::from_nanos(nanos);
    if duration > LONGEST {
        Err(wrong())
    } else {
        Ok(duration)
    }
}

fn rate(text: &str) -> Result<f64, ProfileError> {
    let wrong = || ProfileError::Rate(text.to_owned());
    let rate = match text.strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().map_err(|_| wrong())? / 100.0,
        None => text.parse().map_err(|_| wrong())?,
    };
    if (0.0..=1.0).contains(&rate) {
        Ok(rate)
    } else {
        Err(wrong())
    }
}

fn run(text: &str) -> Result<f64, ProfileError> {
    let wrong = || ProfileError::Run(text.to_owned());
    let run: f64 = text.parse().map_err(|_| wrong())?;
    if run.is_finite() && run >= 1.0 {
        Ok(run)
    } else {
        Err(wrong())
    }
}

fn partition(text: &str) -> Result<Range<Duration>, ProfileError> {
    let wrong = || ProfileError::Partition(text.to_owned());
    let (from, to) = text.split_once("..").ok_or_else(wrong)?;
    let window = duration(from).map_err(|_| wrong())?..duration(to).map_err(|_| wrong())?;
    if window.is_empty() {
        Err(wrong())
    } else {
        Ok(window)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn profile(text: &str) -> Profile {
        text.parse().unwrap()
    }

    /// Mean run of `true` in a sequence.
    fn mean_run(losses: &[bool]) -> f64 {
        let lost = losses.iter().filter(|lost| **lost).count();
        let runs = losses
            .iter()
            .zip(core::iter::once(&false).chain(losses))
            .filter(|(now, before)| **now && !**before);
        lost as f64 / runs.count() as f64
    }

    #[test]
    fn a_profile_of_nothing_delivers_everything_at_once() {
        let mut link = Link::new(&Profile::default(), 0);
        for at in 0..1000 {
            assert_eq!(link.offer(MS * at), Verdict::Deliver(MS * at));
        }
        assert_eq!(
            link.counters(),
            Counters {
                offered: 1000,
                delivered: 1000,
                lost: 0,
                cut: 0
            }
        );
    }

    #[test]
    fn a_profile_is_read_from_text() {
        let read = profile("delay=25ms, jitter=5ms,loss=5%,burst=3,partition=2s..5.5s,seed=7");
        let expected = Profile {
            delay: MS * 25,
            jitter: MS * 5,
            loss: Loss::bursty(0.05, 3.0).unwrap(),
            reorder: 0.0,
            partition: Some(MS * 2000..MS * 5500),
            seed: 7,
        };
        assert_eq!(read, expected);
        assert_eq!(profile(""), Profile::default());
        assert_eq!(profile("loss=0.5").loss, profile("loss=50%").loss);
        assert_eq!(profile("delay=250us").delay, MS / 4);
    }

    #[test]
    fn wrong_text_is_refused_with_the_part_that_is_wrong() {
        for (text, says) in [
            ("delay", "`delay` is not of the form key=value"),
            ("speed=3", "unknown key `speed`"),
            ("seed=1,seed=2", "`seed` is given twice"),
            ("delay=25", "`25` is not a duration"),
            ("delay=-1ms", "`-1ms` is not a duration"),
            ("delay=.ms", "`.ms` is not a duration"),
            ("delay=9999999999999999999999s", "is not a duration"),
            ("delay=25h", "`25h` is not a duration"),
            ("delay=90000s", "`90000s` is not a duration"),
            ("loss=5", "`5` is not a share of packets"),
            ("loss=NaN", "`NaN` is not a share of packets"),
            ("loss=101%", "`101%` is not a share of packets"),
            ("loss=5%,burst=0.5", "`0.5` is not a mean run"),
            ("burst=3", "burst needs a loss"),
            ("loss=90%,burst=2", "needs a mean run of at least 9"),
            ("loss=100%,burst=2", "less than all lost"),
            ("partition=5s..2s", "`5s..2s` is not a partition"),
            ("partition=5s", "`5s` is not a partition"),
            ("seed=-1", "`-1` is not a seed"),
        ] {
            let error = text.parse::<Profile>().expect_err(text).to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn a_partition_cuts_exactly_its_window() {
        let mut link = Link::new(&profile("partition=100ms..200ms,delay=10ms"), 0);
        let passed: Vec<u32> = (0..300)
            .filter(|at| link.offer(MS * *at) != Verdict::Cut)
            .collect();
        assert_eq!(passed, (0..100).chain(200..300).collect::<Vec<_>>());
        assert_eq!(link.counters().cut, 100);
    }

    #[test]
    fn total_loss_loses_every_packet_and_zero_loss_none() {
        let mut all = Link::new(&profile("loss=100%"), 3);
        let mut none = Link::new(&profile("loss=0%"), 3);
        assert!((0..1000).all(|_| all.offer_to_loss()));
        assert!((0..1000).all(|_| !none.offer_to_loss()));
    }

    #[test]
    fn uniform_loss_has_its_rate_and_short_runs() {
        let mut link = Link::new(&profile("loss=5%,seed=1"), 0);
        let losses: Vec<bool> = (0..200_000).map(|_| link.offer_to_loss()).collect();
        let rate = link.counters().lost as f64 / 200_000.0;
        assert!((0.047..0.053).contains(&rate), "{rate}");
        let run = mean_run(&losses);
        assert!(
            (1.02..1.09).contains(&run),
            "independent losses at 5 % run 1.05 long, not {run}"
        );
    }

    #[test]
    fn bursty_loss_has_its_rate_and_its_mean_run() {
        let mut link = Link::new(&profile("loss=5%,burst=3,seed=1"), 0);
        let losses: Vec<bool> = (0..200_000).map(|_| link.offer_to_loss()).collect();
        let rate = link.counters().lost as f64 / 200_000.0;
        assert!((0.045..0.055).contains(&rate), "{rate}");
        let run = mean_run(&losses);
        assert!((2.8..3.2).contains(&run), "{run}");
    }

    #[test]
    fn the_first_packet_is_lost_as_often_as_any_other() {
        let bursty = profile("loss=20%,burst=5");
        let lost = (0..10_000)
            .filter(|number| Link::new(&bursty, *number).offer_to_loss())
            .count();
        assert!((1850..2150).contains(&lost), "{lost} of 10000 at 20 %");
    }

    #[test]
    fn jitter_does_not_change_which_packets_are_lost() {
        let mut calm = Link::new(&profile("loss=10%,seed=9"), 4);
        let mut shaky = Link::new(&profile("loss=10%,seed=9,delay=30ms,jitter=20ms"), 4);
        for at in 0..1000 {
            let lost = |verdict| verdict == Verdict::Lost;
            assert_eq!(lost(calm.offer(MS * at)), lost(shaky.offer(MS * at)));
        }
    }

    #[test]
    fn an_overtaken_packet_comes_behind_the_two_after_it_and_the_others_come_in_turn() {
        let mut link = Link::new(&profile("delay=10ms,reorder=10%,seed=3"), 0);
        let late = |at: u32| match link.offer(MS * 20 * at) {
            Verdict::Deliver(came) => came - MS * 20 * at,
            other => panic!("{other:?}"),
        };
        let late: Vec<Duration> = (0..2000).map(late).collect();
        let overtaken = late.iter().filter(|late| **late == MS * 10 + OVERTAKEN).count();
        assert!((150..250).contains(&overtaken), "{overtaken} of 2000 at 10 %");
        assert_eq!(
            late.iter().filter(|late| **late == MS * 10).count(),
            2000 - overtaken
        );
    }

    #[test]
    fn two_links_of_one_profile_lose_different_packets() {
        let shared = profile("loss=50%,seed=9");
        let pattern = |number| {
            let mut link = Link::new(&shared, number);
            (0..64).map(|_| link.offer_to_loss()).collect::<Vec<_>>()
        };
        assert_ne!(pattern(0), pattern(1));
        assert_eq!(pattern(0), pattern(0));
    }

    prop_compose! {
        fn profiles()(
            delay in 0_u64..1_000_000_000,
            jitter in 0_u64..1_000_000_000,
            rate in 0.0..0.5_f64,
            run in proptest::option::of(1.0..20.0_f64),
            reorder in 0.0..0.5_f64,
            window in proptest::option::of((0_u64..1_000_000_000, 1_u64..1_000_000_000)),
            seed: u64,
        ) -> Profile {
            Profile {
                delay: Duration::from_nanos(delay),
                jitter: Duration::from_nanos(jitter),
                loss: run.map_or_else(|| Loss::uniform(rate), |run| Loss::bursty(rate, run)).unwrap(),
                reorder,
                partition: window.map(|(from, long)| Duration::from_nanos(from)..Duration::from_nanos(from + long)),
                seed,
            }
        }
    }

    proptest! {
        // A failing case prints its profile, whose text holds the seed and reads back as it is.

        #[test]
        fn packets_keep_their_order_and_their_bounds(profile in profiles(), gaps in prop::collection::vec(0_u64..50_000_000, 1..300)) {
            let profile = Profile { reorder: 0.0, ..profile };
            let mut link = Link::new(&profile, 0);
            let mut now = Duration::ZERO;
            let mut newest = Duration::ZERO;
            for gap in gaps {
                now += Duration::from_nanos(gap);
                if let Verdict::Deliver(at) = link.offer(now) {
                    prop_assert!(at >= newest, "{profile}: overtook at {now:?}");
                    prop_assert!(at >= now + profile.delay.saturating_sub(profile.jitter), "{profile}: early at {now:?}");
                    prop_assert!(at <= now + profile.delay + profile.jitter, "{profile}: late at {now:?}");
                    newest = at;
                }
            }
        }

        #[test]
        fn every_packet_is_counted_once_and_a_rerun_decides_alike(profile in profiles(), number: u64) {
            let mut first = Link::new(&profile, number);
            let mut second = Link::new(&profile, number);
            let mut seen = Counters::default();
            for at in 0..500 {
                let verdict = first.offer(MS * at);
                prop_assert_eq!(verdict, second.offer(MS * at), "{}", &profile);
                seen.offered += 1;
                match verdict {
                    Verdict::Deliver(_) => seen.delivered += 1,
                    Verdict::Lost => seen.lost += 1,
                    Verdict::Cut => seen.cut += 1,
                }
            }
            prop_assert_eq!(seen, first.counters(), "{}", &profile);
        }

        #[test]
        fn a_profile_survives_its_text(profile in profiles()) {
            let text = profile.to_string();
            prop_assert_eq!(text.parse::<Profile>(), Ok(profile), "{}", text);
        }

        #[test]
        fn no_text_can_panic(text in ".{0,80}") {
            let _ = text.parse::<Profile>();
        }

        #[test]
        fn no_text_of_the_right_letters_can_panic(text in "(delay|jitter|loss|burst|reorder|partition|seed|,|=|[0-9.]{1,25}|%|us|ms|s|\\.\\.|e9|inf| ){0,12}") {
            let _ = text.parse::<Profile>();
        }
    }
}
