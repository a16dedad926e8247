// SPDX-License-Identifier: GPL-2.0

//! `cargo xtask demo`: what each series is good for, shown in guests. What it shows is checked too:
//! a demonstration that shows something wrong fails.

mod bc;
mod ckpt;
mod memory;
mod top;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;

use crate::exit::{Exit, Failure};
use crate::kernel::Base;
use crate::setup;

/// The command line of `cargo xtask demo`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// What is shown.
    #[arg(value_enum, default_value_t)]
    what: What,
    /// Where `top` goes as a picture, instead of to the terminal.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum What {
    /// Two containers side by side, a bomb in one of them.
    #[default]
    Bc,
    /// A program that wants too much memory: refused in one container, killed in the other.
    Memory,
    /// Processes that go on after the machine was booted again.
    Ckpt,
    /// The screen of `beanctl bc top`.
    Top,
}

/// Sets up what is missing, and shows a series.
///
/// # Errors
///
/// The machine cannot do it, or what was to be shown did not happen.
pub fn run(args: &Args, base: &Base) -> Result<ExitCode> {
    if args.svg.is_some() && args.what != What::Top {
        let failure = Failure::new(Exit::Usage, "only `top` is a picture");
        return Err(failure.fix("cargo xtask demo top --svg FILE").into());
    }
    setup::ensure()?;
    match args.what {
        What::Bc => bc::run(base),
        What::Memory => memory::run(base),
        What::Ckpt => ckpt::run(base),
        What::Top => top::run(base, args.svg.as_deref()),
    }
}
