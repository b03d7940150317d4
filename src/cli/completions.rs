//! `majlis completions`: completions for a shell, on stdout.

use std::io::{self, Write};

use clap::{Args, Command};
use clap_complete::Shell;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  majlis completions bash > ~/.local/share/bash-completion/completions/majlis
  majlis completions fish > ~/.config/fish/completions/majlis.fish
  majlis completions zsh > \"${fpath[1]}/_majlis\"")]
pub(crate) struct CompletionsArgs {
    /// For which shell
    shell: Shell,
}

pub(crate) fn run(args: &CompletionsArgs, mut command: Command) -> anyhow::Result<()> {
    // Made in memory first: the generator would panic on a reader that has gone.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "majlis", &mut script);
    Ok(io::stdout().lock().write_all(&script)?)
}
