// SPDX-License-Identifier: GPL-2.0

//! The command for operators of containers.

mod bc;
mod cgroup;
mod ckpt;
mod failure;
mod image;
mod interrupt;
mod text;

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

/// Shown below `--help`; the numbers are those of [`failure::Exit`].
const EXIT_CODES: &str = "\
Exit codes:
  0    it was done, or what was looked at is right
  1    it could not be done, or what was looked at is not right
  2    the command line was wrong
  4    this kernel has no /dev/ckpt or no controller bc, or none that knows this
  124  a time limit passed
  128+ the signal of this number ended it";

/// Saves, restores, limits and inspects containers.
#[derive(Debug, Parser)]
#[command(name = "beanctl", version, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Saves containers as images, restores them, and shows what is in an image.
    Ckpt {
        #[command(subcommand)]
        command: ckpt::Command,
    },
    /// Shows and limits the kernel objects that containers hold.
    Bc(bc::Args),
}

fn main() -> ExitCode {
    // The command line was wrong: clap prints what, and exits with 2.
    let result = match Cli::parse().command {
        Command::Ckpt { command } => ckpt::run(&command),
        Command::Bc(args) => bc::run(&args),
    };
    match result {
        Ok(code) => code,
        Err(error) => failure::report(&error),
    }
}

/// Prints a result. Who reads no further has seen enough.
///
/// # Errors
///
/// The standard output is full, or broken otherwise.
fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result.context("the standard output"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_container_is_named_in_one_way() {
        let parse = |words: &str| Cli::try_parse_from(words.split(' '));
        for right in [
            "beanctl ckpt check box",
            "beanctl ckpt check --pid 7 --json",
            "beanctl ckpt check box --estimate",
            "beanctl ckpt check --pid 7 --estimate --json",
            "beanctl ckpt dump box -o a --leave-running --timeout 3 --external 1:2=a",
            "beanctl ckpt dump box -o a --snapshot --leave-running",
            "beanctl ckpt dump --pid 7 -o a --snapshot --timeout 3 --external 1:2=a",
            "beanctl ckpt restore - --cgroup box --detach --external a=3 --external b=4",
            "beanctl ckpt restore image --cgroup box --no-settings --suspended",
            "beanctl ckpt suspend --pid 7",
            "beanctl bc show",
            "beanctl bc show box shop --json --recursive",
            "beanctl bc set box numfile=1000:1200 numproc=max --dry-run",
            "beanctl bc top --interval 0.5 box",
            "beanctl bc events --follow --counts",
        ] {
            assert!(parse(right).is_ok(), "{right}");
        }
        for wrong in [
            "beanctl ckpt check",
            "beanctl ckpt check box --pid 7",
            "beanctl ckpt check --pid 0",
            "beanctl ckpt dump box --external 1=a",
            "beanctl ckpt dump box --timeout -1",
            "beanctl ckpt restore image",
            "beanctl ckpt restore image --cgroup box --detach --suspended",
            "beanctl ckpt resume",
            "beanctl bc set box",
            "beanctl bc set box numfile",
            "beanctl bc top --interval 0",
            "beanctl bc events --counts",
            "beanctl bc explain numfile numproc",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
