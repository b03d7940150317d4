//! The command line: what a person types, and what the program answers.
//!
//! Each subcommand has its file and sees the library's public face alone. Results go to stdout, errors to stderr
//! with what to do next. Exit codes: 0 done, 1 failed, 2 wrong usage.

mod aside;
mod completions;
mod console;
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

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, error::ErrorKind};
use tracing_subscriber::EnvFilter;

use options::{NodeFlags, OF_A_NODE, OFFLINE};

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
  majlis demo                    see that it works, on this machine alone
  majlis host \"Evening talk\"     open a room; it prints the link to pass on
  majlis join 'majlis:…'         listen in
  majlis rooms                   see what is open, and what is to come
  majlis schedule TITLE --start TIME   announce a room ahead
  majlis COMMAND --help          more on each, with examples";

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
    let matches = command().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    check(&cli.command);
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

/// The command line. Every command takes the options of a node, so that a script can give the same ones to all; the help
/// of each shows only those that it uses.
fn command() -> clap::Command {
    let mut command = Cli::command();
    command.build();
    for name in ["ctl", "log", "id", "doctor"] {
        command = command.mut_subcommand(name, |part| without(part, &OF_A_NODE));
    }
    let of_the_demo = [&OF_A_NODE[..], &OFFLINE[..1]].concat();
    let of_the_demo: Vec<_> = of_the_demo.into_iter().filter(|id| *id != "transport").collect();
    let command = command.mut_subcommand("demo", |part| without(part, &of_the_demo));
    let of_no_use = [&OF_A_NODE[..], &OFFLINE[..]].concat();
    command.mut_subcommand("completions", |part| without(part, &of_no_use))
}

/// Takes these options out of the help of a command and of all its own.
fn without(command: clap::Command, ids: &[&str]) -> clap::Command {
    let names: Vec<String> = command
        .get_subcommands()
        .map(|part| part.get_name().to_owned())
        .collect();
    let command = command.mut_args(|arg| {
        let hidden = ids.contains(&arg.get_id().as_str());
        if hidden { arg.hide(true) } else { arg }
    });
    names.iter().fold(command, |command, name| {
        command.mut_subcommand(name, |part| without(part, ids))
    })
}

/// Refuses what was typed in vain: nothing is ignored without a word.
fn check(command: &Command) {
    let seat = match command {
        Command::Host(args) => &args.seat,
        Command::Join(args) => &args.seat,
        _ => return,
    };
    if let Some(word) = seat.in_vain() {
        let why = format!("{word} on works on a microphone; a file or tone is sent as it is");
        Cli::command().error(ErrorKind::ArgumentConflict, why).exit();
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
        Command::Completions(args) => completions::run(&args, command()),
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
        .with_writer(|| aside::Traces)
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
    use super::*;

    /// A terminal's usual width.
    const COLUMNS: usize = 80;

    /// Every command with its way to it, `help` left out.
    fn all(command: &clap::Command, way: &str) -> Vec<(String, clap::Command)> {
        let parts = command.get_subcommands().filter(|part| part.get_name() != "help");
        parts
            .flat_map(|part| {
                let way = format!("{way} {}", part.get_name());
                let below = all(part, &way);
                [(way, part.clone())].into_iter().chain(below)
            })
            .collect()
    }

    fn after_help(command: &clap::Command) -> String {
        let help = command.get_after_help();
        help.map(ToString::to_string).unwrap_or_default()
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_shows_an_example() {
        for (way, part) in all(&command(), "majlis") {
            // What stands in a group is shown with the group.
            let grouped = way.starts_with("majlis ctl guests ") || way.starts_with("majlis ctl policy ");
            assert!(grouped || after_help(&part).contains(&way), "{way}");
        }
    }

    #[test]
    fn an_example_can_be_copied_from_a_terminal_of_80_columns() {
        let top = [("majlis".to_owned(), command())];
        for (way, part) in top.into_iter().chain(all(&command(), "majlis")) {
            // Lines of prose are as long as their paragraph: they are wrapped once, to the width that there is.
            let help = after_help(&part);
            let examples = help.lines().filter(|line| line.starts_with("  "));
            for example in examples {
                assert!(example.chars().count() <= COLUMNS, "{way}: {example}");
            }
            let mut prose = help.lines().filter(|line| !line.starts_with("  "));
            let is_broken = |line: &str| !line.is_empty() && !line.ends_with([':', '.']);
            assert_eq!(
                prose.find(|line| is_broken(line)),
                None,
                "{way}: it would be wrapped twice"
            );
        }
    }

    #[test]
    fn help_lists_the_options_that_a_command_uses() {
        let help = |name: &str| {
            let mut command = command();
            let part = command.find_subcommand_mut(name).expect("it is there");
            part.render_long_help().to_string()
        };
        for name in ["ctl", "log", "id", "doctor", "demo", "completions"] {
            assert!(!help(name).contains("--uplink"), "{name}");
        }
        for name in ["host", "join", "rooms", "node"] {
            assert!(help(name).contains("--uplink"), "{name}");
        }
        assert!(help("ctl").contains("--home") && !help("completions").contains("--home"));
        assert!(help("demo").contains("--transport"));
    }
}
