// SPDX-License-Identifier: GPL-2.0

//! What runs inside a guest: containers, bombs, work and measured operations.
//!
//! It is linked statically, because a guest may have no libraries, and reports in lines of words that
//! the host tool reads.

mod bench;
mod bomb;
mod ckpt;
mod clock;
mod container;
mod criu;
mod device;
mod terminal;
mod work;
mod zdtm;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measures what an operation costs, in nanoseconds of the guest's clock.
    Bench {
        /// How often each operation is done, in rounds of 100.
        #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..))]
        iterations: u32,
        /// Microseconds to let pass first.
        #[arg(long, default_value_t = 0)]
        delay: u64,
        /// The operations; all of them unless said.
        operations: Vec<bench::Operation>,
    },
    /// Measures how long processes are frozen to be saved, and what saving and restoring takes, in
    /// nanoseconds of the guest's clock.
    Ckpt(ckpt::Args),
    /// Processes to be saved; they wait until SIGTERM tells them to end.
    CkptSubject {
        /// Of which kind: `16:small`, `16:huge`, `1000:threads`, `200:processes`.
        kind: ckpt::Kind,
    },
    /// Runs a command in a container: a cgroup and a pid namespace of its own.
    Container {
        /// The cgroup, as a path in the cgroup file system.
        cgroup: PathBuf,
        /// Gives it a cgroup and a mount namespace too, and mounts what is seen of cgroups there.
        #[arg(long)]
        enclosed: bool,
        /// The command that is the container's first process.
        #[arg(required = true, trailing_var_arg = true)]
        command: Vec<String>,
    },
    /// Opens files and keeps them until that was refused often enough.
    FileBomb {
        /// After how many refusals it stops.
        #[arg(long)]
        refusals: u32,
    },
    /// Makes processes that make processes until that was refused often enough. Only for the first
    /// process of a pid namespace, which takes all others with it.
    ForkBomb {
        /// After how many refusals it stops.
        #[arg(long)]
        refusals: u32,
    },
    /// Takes and uses memory, until it has all that it wants or gets no more.
    MemoryBomb {
        /// How much it wants.
        #[arg(long)]
        mib: u32,
    },
    /// Runs a command on a terminal for some time, and prints what it has drawn.
    Terminal {
        /// How high the terminal is.
        #[arg(long)]
        rows: u16,
        /// How wide it is.
        #[arg(long)]
        columns: u16,
        /// How long, in milliseconds.
        #[arg(long)]
        time: u64,
        /// The command and its arguments.
        #[arg(required = true, trailing_var_arg = true)]
        command: Vec<String>,
    },
    /// Makes processes and opens files in moderation.
    Work {
        /// How often.
        #[arg(long)]
        rounds: u32,
    },
    /// Runs programs of CRIU's test suite, and saves and restores each of them.
    Zdtm(zdtm::Run),
    /// Makes one attempt with one of them; for the above.
    #[command(hide = true)]
    ZdtmAttempt(zdtm::Attempt),
}

fn main() -> Result<ExitCode> {
    match Cli::parse().command {
        Command::Bench {
            iterations,
            delay,
            operations,
        } => bench::run(iterations, Duration::from_micros(delay), &operations)?,
        Command::Ckpt(args) => ckpt::run(&args)?,
        Command::CkptSubject { kind } => ckpt::subject(kind)?,
        Command::Container {
            cgroup,
            enclosed,
            command,
        } => return container::run(&cgroup, enclosed, &command),
        Command::FileBomb { refusals } => bomb::files(refusals)?,
        Command::ForkBomb { refusals } => bomb::processes(refusals)?,
        Command::MemoryBomb { mib } => bomb::memory(mib)?,
        Command::Terminal {
            rows,
            columns,
            time,
            command,
        } => terminal::run(rows, columns, Duration::from_millis(time), &command)?,
        Command::Work { rounds } => return work::run(rounds),
        Command::Zdtm(args) => zdtm::run(&args)?,
        Command::ZdtmAttempt(args) => return Ok(zdtm::attempt(&args)),
    }
    Ok(ExitCode::SUCCESS)
}
