//! The command line: what a person types, and what the program answers.
//!
//! Each subcommand has its file and sees the library's public face alone. Results go to stdout, errors to stderr
//! with what to do next. Exit codes: 0 done, 1 failed, 2 wrong usage.

mod completions;
mod ctl;
mod demo;
mod doctor;
mod face;
mod host;
mod id;
mod join;
mod log;
mod node;
mod options;
mod printer;
mod rooms;
mod schedule;
mod show;
mod signals;
mod start;
mod stay;

use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use options::NodeFlags;

/// How long threads may take to end after everything else has: a loudspeaker that hangs must not keep the program.
const LAST_THREADS: Duration = Duration::from_secs(2);

/// Audio rooms without a server: people on a stage talk, others find the room and listen.
#[derive(Debug, Parser)]
#[command(name = "majlis", version, after_help = EXAMPLES)]
struct Cli {
    #[command(flatten)]
    node: NodeFlags,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  majlis demo                             see and hear that it works, on this machine alone
  majlis host \"Evening talk\"              open a room; it prints the link to pass on
  majlis join 'majlis:…'                  listen in
  majlis rooms                            see what is open, and what is to come
  majlis schedule TITLE --start TIME      announce a room ahead
  majlis COMMAND --help                   more on each, with examples";

#[derive(Debug, Subcommand)]
enum Command {
    /// Open a room and stay in it
    Host(host::HostArgs),
    /// Join a room and stay in it
    Join(join::JoinArgs),
    /// List the rooms that are open, and those to come
    Rooms(rooms::RoomsArgs),
    /// Announce a room ahead, change what was announced, or call it off
    Schedule(schedule::ScheduleArgs),
    /// Run a community node: it helps others to find rooms and each other, and plays no sound
    Node(node::NodeArgs),
    /// Act in the room of the node that runs in this home
    Ctl(ctl::CtlArgs),
    /// Read or audit a room's log, offline
    #[command(subcommand)]
    Log(log::LogCommand),
    /// Show who you are to others
    Id(id::IdArgs),
    /// Check what works on this machine
    Doctor(doctor::DoctorArgs),
    /// Hold a room on this machine: one speaks, others listen, and a table says how well they heard
    Demo(demo::DemoArgs),
    /// Print completions for a shell
    Completions(completions::CompletionsArgs),
}

/// The whole program.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    let started = Instant::now();
    trace(cli.node.verbose);
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&anyhow::anyhow!("this system starts no threads: {error}")),
    };
    let result = runtime.block_on(run(cli, started));
    runtime.shutdown_timeout(LAST_THREADS);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if reader_has_gone(&error) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

async fn run(cli: Cli, started: Instant) -> anyhow::Result<()> {
    let flags = cli.node;
    match cli.command {
        Command::Host(args) => host::run(args, &flags, started).await,
        Command::Join(args) => join::run(args, &flags, started).await,
        Command::Rooms(args) => rooms::run(args, &flags).await,
        Command::Schedule(args) => schedule::run(args, &flags).await,
        Command::Node(args) => node::run(args, &flags).await,
        Command::Ctl(args) => ctl::run(args, &flags).await,
        Command::Log(command) => log::run(&command, &flags),
        Command::Id(args) => id::run(args, &flags),
        Command::Doctor(args) => doctor::run(args, &flags),
        Command::Demo(args) => demo::run(args, &flags).await,
        Command::Completions(args) => completions::run::<Cli>(&args),
    }
}

/// Sends what the library traces to stderr: warnings always, more with each `-v`.
fn trace(verbose: u8) {
    let filter = match verbose {
        0 => "majlis=warn",
        1 => "majlis=info",
        2 => "majlis=debug,libp2p=info",
        _ => "majlis=trace,libp2p=debug,quinn=debug",
    };
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(verbose > 1)
        .init();
}

/// Whoever read our output needs no more of it: that is no failure.
fn reader_has_gone(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn failed(error: &anyhow::Error) -> ExitCode {
    // If stderr is gone too, the exit code still says it.
    let _ = writeln!(anstream::stderr(), "majlis: {error}");
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_shows_an_example() {
        for command in Cli::command().get_subcommands() {
            let help = command
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            assert!(help.contains("majlis "), "{}", command.get_name());
        }
    }
}
