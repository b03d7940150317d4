//! A living relay tree, drawn while its relays are killed: real processes on loopback, each told of by its own events.
//!
//! `cargo run --example tree_demo` draws it in place on a terminal. On one without control sequences, into a file and
//! with `NO_COLOR` it prints the tree whenever somebody was killed and when all have found their place again.

mod draw;
#[path = "../live/mod.rs"]
mod live;

use std::{
    io::{IsTerminal, Write},
    time::Duration,
};

use clap::Parser;

use live::{
    cast::{Cast, now_ms},
    scene::{Part, Scene},
};

/// How often the tree is drawn anew.
const FRAME: Duration = Duration::from_millis(200);

/// The upper left corner, and clear from there (ECMA-48 CUP, ED).
const ANEW: &str = "\x1b[H\x1b[2J";

/// Draws a living relay tree while its relays are killed.
#[derive(Debug, Parser)]
#[command(name = "tree_demo")]
struct Options {
    /// Relay processes; those are killed
    #[arg(long, default_value_t = 7)]
    relays: usize,
    /// Listeners inside this process besides
    #[arg(long, default_value_t = 14)]
    nodes: usize,
    /// Children that each member takes
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    fan_out: u32,
    /// Relays to kill
    #[arg(long, default_value_t = 3)]
    kills: u32,
    /// Time between two kills
    #[arg(long, default_value = "8s", value_parser = humantime::parse_duration)]
    pause: Duration,
}

/// Where the tree is drawn.
struct Canvas {
    /// Whether it can be drawn in place, and in colours.
    lively: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let mut cast = Cast::new(options.fan_out, None, 1)?;
    let outcome = tokio::select! {
        outcome = play(&mut cast, &options) => outcome,
        _ = tokio::signal::ctrl_c() => Ok(()),
    };
    cast.close().await;
    outcome
}

async fn play(cast: &mut Cast, options: &Options) -> anyhow::Result<()> {
    let canvas = Canvas::new();
    let link = cast.open("tone:440").await?;
    cast.speak("host", true).await?;
    for number in 1..=options.relays {
        cast.relay(&format!("relay-{number:02}"), &link).await?;
        canvas.draw(cast, "growing")?;
    }
    for number in 1..=options.nodes {
        cast.node(&format!("node-{number:02}"), &link).await?;
        canvas.draw(cast, "growing")?;
    }
    canvas.say(cast, "grown")?;
    canvas.watch(cast, "grown", options.pause).await?;
    for kill in 1..=options.kills {
        let Some(victim) = busiest(&cast.scene()) else {
            break;
        };
        cast.strike(&victim, false).await?;
        let what = format!("kill {kill} of {}: {victim}", options.kills);
        canvas.say(cast, &what)?;
        canvas.watch(cast, &what, options.pause).await?;
        canvas.say(
            cast,
            &format!("{} later", humantime::format_duration(options.pause)),
        )?;
    }
    Ok(())
}

/// The relay process with most members below it.
fn busiest(scene: &Scene) -> Option<String> {
    let relays = scene.here().filter(|member| member.part == Part::Relay);
    let busiest = relays.max_by_key(|member| scene.below(&member.name).len())?;
    Some(busiest.name.clone())
}

impl Canvas {
    fn new() -> Self {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb" || term.is_empty());
        Self {
            lively: std::io::stdout().is_terminal() && !dumb && !set("NO_COLOR"),
        }
    }

    /// Draws the tree in place, where that can be done.
    fn draw(&self, cast: &Cast, what: &str) -> anyhow::Result<()> {
        if self.lively {
            let tree = draw::tree(&cast.scene(), now_ms(), true);
            write!(std::io::stdout().lock(), "{ANEW}{what}\n\n{tree}\n")?;
            std::io::stdout().flush()?;
        }
        Ok(())
    }

    /// Prints the tree once, where it is not drawn in place.
    fn say(&self, cast: &Cast, what: &str) -> anyhow::Result<()> {
        if !self.lively {
            let tree = draw::tree(&cast.scene(), now_ms(), false);
            writeln!(std::io::stdout().lock(), "{what}\n\n{tree}\n")?;
        }
        Ok(())
    }

    /// Draws the tree for a while.
    async fn watch(&self, cast: &Cast, what: &str, time: Duration) -> anyhow::Result<()> {
        let until = tokio::time::Instant::now() + time;
        while tokio::time::Instant::now() < until {
            self.draw(cast, what)?;
            tokio::time::sleep(FRAME).await;
        }
        Ok(())
    }
}
