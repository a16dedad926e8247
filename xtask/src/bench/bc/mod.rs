// SPDX-License-Identifier: GPL-2.0

//! What the controller costs, in instructions: patched and unpatched kernels do the same.
//!
//! A boot would repeat the one before to the instruction, so each begins to measure at another moment
//! between two ticks; medians over several boots, and the difference between two series of boots of
//! the same kernel, say how much hangs on it.

mod cost;
mod history;
mod plot;
mod state;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use self::cost::Measured;
use self::state::{PRELUDE, STATES};
use super::counted;
use crate::exit::Exit;
use crate::guest::{self, Kernel};
use crate::kernel::{Arch, Base, Config, build};
use crate::probe::Accelerator;
use crate::progress::{Bar, Unit};
use crate::{setup, workload};

/// The command line of `cargo xtask bench bc`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Boots of each state; the medians over them are compared.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    boots: u32,
    /// How often each operation is done in a boot, in rounds of 100.
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..))]
    iterations: u32,
    /// Where a picture of the costs goes, as SVG.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Only these operations, by the names that the table gives them.
    #[arg(long = "operation", value_name = "NAME")]
    operations: Vec<String>,
}

/// Measures, and prints a table or JSON.
///
/// # Errors
///
/// A kernel cannot be built, or a guest does not do what it should.
pub fn run(args: &Args, base: &Base, json: bool) -> Result<ExitCode> {
    setup::ensure()?;
    let workload = workload::build("workload")?;
    let configs = STATES.map(|state| Config {
        flavour: state.flavour,
        ..Config::new(Arch::Qemu)
    });
    let kernels = build::ensure_all(base, &configs)?;
    let kernels: Vec<_> = kernels.into_iter().map(Kernel::from).collect();

    let mut measured = Measured::default();
    let total = u64::from(args.boots) * STATES.len() as u64;
    let mut bar = Bar::new("measuring", Unit::Count("boots"), Some(total));
    for boot in 0..args.boots as usize {
        for turn in 0..STATES.len() {
            // Another order in each round, so that none is always the first.
            let at = (boot + turn) % STATES.len();
            let delay = delay(boot * STATES.len() + at);
            let script = format!(
                "{PRELUDE}{}\n./workload bench --iterations {} --delay {} {}\n",
                STATES[at].prepare,
                args.iterations,
                delay.as_micros(),
                args.operations.join(" "),
            );
            for (operation, instructions) in measure(&kernels[at], script, &workload)? {
                measured
                    .entry(operation)
                    .or_default()
                    .entry(at)
                    .or_default()
                    .push(instructions);
            }
            bar.add(1);
        }
    }
    bar.finish();

    let before = history::latest(base)?;
    let costs = cost::costs(measured, before.as_ref())?;
    // Figures of a part would hide the others from the next comparison.
    if args.operations.is_empty() {
        history::keep(base, &costs)?;
    }
    if let Some(file) = &args.svg {
        plot::draw(&costs, file).with_context(|| format!("drawing {}", file.display()))?;
    }
    if json {
        println!("{}", serde_json::to_string_pretty(&costs)?);
    } else {
        let before = before.as_ref().map(|before| before.commit.as_str());
        println!("{}", cost::table(&costs, before));
        println!(
            "Medians over {} boots, under -icount. The most by which a kernel that has the same code \
             differs from `{}` is the A/A band; it is added to what is allowed.",
            args.boots, STATES[0].name
        );
    }
    Ok(Exit::Pass.into())
}

/// When a boot begins to measure: the golden ratio spreads any number of them evenly over a tick of
/// the slowest clock that kernels have.
fn delay(nr: usize) -> Duration {
    let turn = (nr as f64 * 0.618_034).fract();
    Duration::from_millis(10).mul_f64(turn)
}

/// What is done, and how many counted objects it makes and destroys.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Operation {
    name: String,
    objects: u32,
}

/// One boot; operations and their instructions in the order of the workload.
fn measure(kernel: &Kernel, text: String, workload: &Path) -> Result<Vec<(Operation, f64)>> {
    let script = counted("bench", text).file("workload", workload);
    let console = guest::run_plain(kernel, script, Accelerator::Tcg)?;
    console.check()?;
    let found: Vec<_> = console.output.lines().filter_map(figure).collect();
    ensure!(!found.is_empty(), "the workload measured nothing");
    Ok(found)
}

/// Reads `bench OPERATION INSTRUCTIONS OBJECTS`.
fn figure(line: &str) -> Option<(Operation, f64)> {
    let words: Vec<_> = line.split_whitespace().collect();
    let ["bench", name, instructions, objects] = words[..] else {
        return None;
    };
    let operation = Operation {
        name: name.to_owned(),
        objects: objects.parse().ok()?,
    };
    Some((operation, instructions.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_workload_is_read() {
        let (operation, instructions) = figure("bench open-close 12.5 1").unwrap();
        assert_eq!(operation.name, "open-close");
        assert_eq!((instructions, operation.objects), (12.5, 1));
        assert_eq!(figure("bench open-close 12.5"), None);
        assert_eq!(figure("work rounds=1 failed=0"), None);
    }

    #[test]
    fn boots_begin_all_over_a_tick() {
        let mut tenths: Vec<_> = (0..35).map(|nr| delay(nr).as_micros() / 1000).collect();
        tenths.sort_unstable();
        tenths.dedup();
        assert_eq!(tenths, (0..10).collect::<Vec<_>>());
    }
}
