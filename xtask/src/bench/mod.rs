// SPDX-License-Identifier: GPL-2.0

//! `cargo xtask bench`: what the series cost, and what they gain, mostly in instructions.
//!
//! QEMU counts a nanosecond of the guest for each instruction (`-icount shift=0`), so the guest's own
//! clock measures, and the machine's load does not matter.

mod bc;
mod ckpt;
mod containers;
mod contended;
mod objects;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use comfy_table::{CellAlignment, Table, presets};

use crate::guest::Script;
use crate::kernel::Base;

/// The command line of `cargo xtask bench`.
#[derive(Clone, Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
// Its name would be that of the controller's.
#[group(skip)]
pub struct Args {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    bc: bc::Args,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum What {
    /// What the controller costs, patched against unpatched kernels; also if nothing is said.
    Bc(bc::Args),
    /// How long a process is frozen to be saved, and how fast it is saved and restored.
    Ckpt(ckpt::Args),
    /// Two CPUs charge in one container: from stock, and a counter that they share.
    Contended,
    /// Whether the controller's series changes the code of a kernel without the controller.
    Objects,
    /// What many containers cost in memory, whether something stays of them, and what it takes to make
    /// them.
    Containers(containers::Args),
}

/// Measures, and prints a table or JSON.
///
/// # Errors
///
/// A kernel cannot be built, or a guest does not do what it should.
pub fn run(args: &Args, base: &Base, json: bool) -> Result<ExitCode> {
    match &args.what {
        None => bc::run(&args.bc, base, json),
        Some(What::Bc(args)) => bc::run(args, base, json),
        Some(What::Ckpt(args)) => ckpt::run(args, base, json),
        Some(What::Contended) => contended::run(json),
        Some(What::Objects) => objects::run(base, json),
        Some(What::Containers(args)) => containers::run(args, base, json),
    }
}

/// A script whose guest has a clock that counts instructions, and repeats itself.
fn counted<'a>(name: &str, text: String) -> Script<'a> {
    let mut script = Script::new(name, text);
    script.cpus = 1;
    script.qemu = ["-icount", "shift=0,sleep=off"].map(String::from).to_vec();
    // The counted clock, at the same addresses in every boot.
    script.cmdline = ["clocksource=tsc", "tsc=reliable", "nokaslr", "norandmaps"]
        .map(String::from)
        .to_vec();
    script.limits.boot = Duration::from_secs(300);
    script.limits.test = Duration::from_secs(900);
    script.limits.shutdown = Duration::from_secs(120);
    script
}

/// Of values in any order; nothing of none.
fn median_of(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    (!values.is_empty()).then(|| median(&values))
}

/// A table whose first column has names and the others numbers.
fn new_table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(header);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// Of sorted values, at least one.
fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        (sorted[middle - 1] + sorted[middle]) / 2.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    fn parse(words: &[&str]) -> Result<Args, clap::Error> {
        let words = ["bench"].iter().chain(words);
        Cli::try_parse_from(words).map(|cli| cli.args)
    }

    #[test]
    fn nothing_said_is_the_controller() {
        assert!(parse(&[]).unwrap().what.is_none());
        assert!(parse(&["--boots", "3"]).unwrap().what.is_none());
        let args = parse(&["bc", "--boots", "3"]).unwrap();
        assert!(matches!(args.what, Some(What::Bc(_))), "{args:?}");
        let args = parse(&["ckpt"]).unwrap();
        assert!(matches!(args.what, Some(What::Ckpt(_))), "{args:?}");
        assert!(parse(&["--boots", "3", "ckpt"]).is_err());
    }

    #[test]
    fn the_median_of_an_even_number_is_between_the_middle_two() {
        assert_eq!(median(&[1.0, 2.0, 4.0, 9.0]), 3.0);
    }
}
