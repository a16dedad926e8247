// SPDX-License-Identifier: GPL-2.0

//! Operations and what they cost. Under `-icount shift=0` a nanosecond of the guest is one instruction.

use std::time::Duration;

use anyhow::{Result, ensure};
use clap::ValueEnum;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork, getppid, pipe};

use crate::clock::now;

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Operation {
    /// Nothing of interest: shows what the measurement itself varies by.
    Getppid,
    /// open() and close().
    OpenClose,
    /// pipe() and two close().
    PipeClose,
    /// fork() of a child that exits at once, and wait().
    ForkExitWait,
}

impl Operation {
    fn once(self) -> Result<()> {
        match self {
            Self::Getppid => {
                getppid();
            }
            Self::OpenClose => drop(open("/", OFlag::O_RDONLY, Mode::empty())?),
            Self::PipeClose => drop(pipe()?),
            // SAFETY: There is a single thread.
            Self::ForkExitWait => match unsafe { fork()? } {
                ForkResult::Child => std::process::exit(0),
                ForkResult::Parent { child } => {
                    let status = waitpid(child, None)?;
                    ensure!(status == WaitStatus::Exited(child, 0), "lost a child");
                }
            },
        }
        Ok(())
    }
}

/// Measures `operations`, all if there are none, and prints a line for each. What the kernel does by
/// the clock falls elsewhere among them after another `delay`.
///
/// # Errors
///
/// An operation fails.
pub fn run(iterations: u32, delay: Duration, operations: &[Operation]) -> Result<()> {
    let begin = now()? + delay;
    while now()? < begin {}
    let all = Operation::value_variants();
    let operations = if operations.is_empty() {
        all
    } else {
        operations
    };
    for operation in operations {
        // Caches of the kernel, and of the emulator, fill in the first round.
        for _ in 0..iterations / 10 + 1 {
            operation.once()?;
        }
        let start = now()?;
        for _ in 0..iterations {
            operation.once()?;
        }
        let end = now()?;
        let name = operation.to_possible_value();
        let name = name.as_ref().map_or("", |value| value.get_name());
        println!(
            "bench {name} {:.2}",
            (end - start).as_nanos() as f64 / f64::from(iterations)
        );
    }
    Ok(())
}
