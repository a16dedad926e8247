// SPDX-License-Identifier: GPL-2.0

//! `cargo xtask demo`: what each series is good for, shown in guests. What it shows is checked too:
//! a demonstration that shows something wrong fails.

mod bc;
mod ckpt;

use std::process::ExitCode;

use anyhow::Result;

use crate::kernel::{Base, Series};
use crate::setup;

/// The command line of `cargo xtask demo`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// bc: two containers side by side, a bomb in one of them. ckpt: processes that go on after the
    /// machine was booted again.
    #[arg(value_enum, default_value_t)]
    series: Series,
}

/// Sets up what is missing, and shows a series.
///
/// # Errors
///
/// The machine cannot do it, or what was to be shown did not happen.
pub fn run(args: &Args, base: &Base) -> Result<ExitCode> {
    setup::ensure()?;
    match args.series {
        Series::Bc => bc::run(base),
        Series::Ckpt => ckpt::run(base),
    }
}
