//! Kills relays of a living room with SIGKILL while someone speaks, and counts frame by frame what its listeners lost.
//!
//! Real processes and real sockets on loopback: a host, relays as processes of their own, the other listeners as nodes
//! inside this one. Nothing is measured by what it judges: who hangs below whom and what was heard is what each
//! listener's own events say; the time is this process's.
//!
//! `cargo run --features testlink --example failover -- --help` says what can be done; `examples/README.md` has more.

mod gather;
#[path = "../live/mod.rs"]
mod live;
mod options;
mod pushes;
mod report;
mod show;
mod strike;
mod window;

use std::{io::Write, process::ExitCode, time::Duration};

use clap::Parser;

use live::{
    cast::{Cast, PATIENCE, now_ms},
    ticker::Ticker,
};
use options::Options;
use pushes::Pushes;
use report::Total;
use show::Show;
use strike::{Dice, Strike};
use window::{Snapshot, Window};

/// How often a stretch of time, and the kill that it began with, is done anew because the machine stalled in it.
const ATTEMPTS: u32 = 3;

/// Longest that the tree may take to come to rest between two kills, beyond the pause.
const RESTING: Duration = Duration::from_secs(15);

/// Frames that every listener must have heard before anything is counted: the first second sets delays.
const HEARD_FIRST: u64 = 50;

/// `stats` events, one a second, that everyone tells after the last word: more than the largest delay.
const LAST_WORDS: u64 = 2;

#[tokio::main]
async fn main() -> ExitCode {
    match live_and_die(&Options::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // If stderr is gone, the exit code still says it.
            let _ = writeln!(std::io::stderr(), "failover: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether the run was good enough.
async fn live_and_die(options: &Options) -> anyhow::Result<bool> {
    options.check()?;
    let mut cast = Cast::new(options.fan_out, options.network(), options.seed)?;
    let outcome = tokio::select! {
        outcome = run(&mut cast, options) => outcome,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    };
    cast.close().await;
    Ok(outcome?.failures.is_empty())
}

/// The whole run, from an empty room to the verdict.
async fn run(cast: &mut Cast, options: &Options) -> anyhow::Result<Total> {
    let show = Show::new(options.json);
    gather::gather(cast, options).await?;
    show.ready(&cast.scene())?;
    begin(cast, options).await?;
    let began_ms = now_ms();
    let windows = strike_all(cast, options, show).await?;
    let ended_ms = now_ms();
    let scene = cast.scene();
    let rows = report::rows(&scene, &windows, began_ms, options.speaker());
    let host = scene.member("host");
    let until = host.and_then(|host| host.struck).unwrap_or(ended_ms);
    let pushes = host.map(|host| Pushes::of(host, options.fan_out, (began_ms, until)));
    let total = Total::of(&rows, &windows, pushes.unwrap_or_default(), &scene, options);
    show.rows(&rows)?;
    show.total(&total)?;
    Ok(total)
}

/// Lets the speaker speak, and waits until everyone hears it.
async fn begin(cast: &mut Cast, options: &Options) -> anyhow::Result<()> {
    cast.speak(options.speaker(), true).await?;
    cast.must("everyone hears the speaker", |scene| {
        let mut listeners = scene.here().filter(|member| member.listens());
        listeners.all(|member| member.counts.received >= HEARD_FIRST)
    })
    .await?;
    let scene = cast.scene();
    let emulated = scene.members().all(|member| member.has_emulator);
    anyhow::ensure!(
        options.network().is_none() || emulated,
        "the majlis program beside this example was built without the feature testlink: build both with it"
    );
    Ok(())
}

/// The time before the first kill, each kill with the time after it, and the last words.
async fn strike_all(cast: &mut Cast, options: &Options, show: Show) -> anyhow::Result<Vec<Window>> {
    let mut dice = Dice(options.seed);
    let mut windows = Windows::from(cast, show);
    for attempt in 1..=ATTEMPTS {
        tokio::time::sleep(options.pause).await;
        if !windows.close(cast, None, attempt < ATTEMPTS)? {
            break;
        }
    }
    for number in 1..=options.strikes() {
        for attempt in 1..=ATTEMPTS {
            let Some(victims) = strike::choose(&cast.scene(), options, dice.next()) else {
                show.remark("nobody is left of whom much could be learnt")?;
                break;
            };
            let mut strike = Strike::at(cast, &victims, (number, attempt), options.leave).await?;
            show.strike(&strike)?;
            strike.follow(cast).await;
            show.reparented(&strike)?;
            tokio::time::sleep(options.pause).await;
            // The next kill is to find a tree at rest, as this one did.
            gather::rest(cast, options.fan_out, RESTING).await;
            let may_repeat = attempt < ATTEMPTS && !options.host;
            if !windows.close(cast, Some(strike), may_repeat)? {
                break;
            }
        }
    }
    fall_silent(cast, options).await?;
    windows.close(cast, None, false)?;
    Ok(windows.closed)
}

/// Windows without a frame between them that none counts.
struct Windows {
    closed: Vec<Window>,
    open_since: Snapshot,
    ticker: Ticker,
    show: Show,
}

impl Windows {
    fn from(cast: &Cast, show: Show) -> Self {
        let ticker = Ticker::start();
        Self {
            closed: Vec::new(),
            open_since: Snapshot::of(&cast.scene(), &ticker),
            ticker,
            show,
        }
    }

    /// Ends a window and begins the next; whether it is to be repeated.
    fn close(&mut self, cast: &Cast, strike: Option<Strike>, may_repeat: bool) -> anyhow::Result<bool> {
        let scene = cast.scene();
        let now = Snapshot::of(&scene, &self.ticker);
        let mut window = Window::between(&self.open_since, &now, &scene, strike);
        window.is_void = may_repeat && window.stalls > 0 && window.hurt();
        self.show.window(&window)?;
        let is_void = window.is_void;
        self.open_since = now;
        self.closed.push(window);
        Ok(is_void)
    }
}

/// Ends what is said, and waits until everyone has told of the last word.
async fn fall_silent(cast: &mut Cast, options: &Options) -> anyhow::Result<()> {
    cast.speak(options.speaker(), false).await?;
    let told: Vec<(String, u64)> = {
        let scene = cast.scene();
        scene
            .here()
            .map(|member| (member.name.clone(), member.told))
            .collect()
    };
    let all_told = |scene: &live::scene::Scene| {
        told.iter().all(|(name, told)| {
            let member = scene.member(name).filter(|member| member.is_here());
            member.is_none_or(|member| member.told >= told + LAST_WORDS)
        })
    };
    cast.until(PATIENCE.min(Duration::from_secs(20)), all_told).await;
    Ok(())
}
