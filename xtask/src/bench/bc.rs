// SPDX-License-Identifier: GPL-2.0

//! What the controller costs, in instructions: patched and unpatched kernels do the same.
//!
//! A boot would repeat the one before to the instruction, so each begins to measure at another moment
//! between two ticks; medians over several boots, and the difference between two series of boots of
//! the same kernel, say how much hangs on it.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, ensure};
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use super::{counted, median};
use crate::exit::Exit;
use crate::guest::{self, Kernel};
use crate::kernel::{Arch, Base, Config, Flavour, build};
use crate::probe::Accelerator;
use crate::progress::{Bar, Unit};
use crate::{setup, workload};

/// The command line of `cargo xtask bench bc`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Boots of each state; the medians over them are compared.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    boots: u32,
    /// How often each operation is done in a boot.
    #[arg(long, value_name = "N", default_value_t = 2000)]
    iterations: u32,
}

/// Who measures in which kernel.
struct State {
    name: &'static str,
    flavour: Flavour,
    /// Shell that prepares it; the measuring process is the shell's child.
    prepare: &'static str,
}

/// The first is what the others are compared with; the second is the same, for the A/A band.
const STATES: [State; 7] = [
    State {
        name: "unpatched",
        flavour: Flavour::Unpatched,
        prepare: "",
    },
    State {
        name: "unpatched again",
        flavour: Flavour::Unpatched,
        prepare: "",
    },
    State {
        name: "option off",
        flavour: Flavour::Off,
        prepare: "",
    },
    State {
        name: "unused",
        flavour: Flavour::Default,
        prepare: "",
    },
    State {
        name: "used elsewhere",
        flavour: Flavour::Default,
        prepare: "container a; limit a",
    },
    State {
        name: "limited, depth 1",
        flavour: Flavour::Default,
        prepare: "container a; limit a; enter a",
    },
    State {
        name: "limited, depth 3",
        flavour: Flavour::Default,
        prepare: "container a/b/c; limit a; limit a/b; limit a/b/c; enter a/b/c",
    },
];

/// Functions for [`State::prepare`].
const PRELUDE: &str = "\
set -e
root=/sys/fs/cgroup
container() {
	path=$root
	for name in $(echo $1 | tr / ' '); do
		echo +bc >$path/cgroup.subtree_control
		path=$path/$name
		mkdir $path
	done
}
limit() {
	for resource in $(cut -d ' ' -f 1 $root/$1/bc.max); do
		echo $resource 10000 >$root/$1/bc.high
		echo $resource 11000 >$root/$1/bc.max
	done
}
enter() {
	echo $$ >$root/$1/cgroup.procs
}
";

/// Instructions of one operation in one state.
#[derive(Debug, Serialize)]
struct Cost {
    state: &'static str,
    operation: String,
    /// One value for each boot, sorted.
    boots: Vec<f64>,
    median: f64,
    /// More than the unpatched kernel.
    more: f64,
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

    let mut found: BTreeMap<(String, usize), Vec<f64>> = BTreeMap::new();
    let total = u64::from(args.boots) * STATES.len() as u64;
    let mut bar = Bar::new("measuring", Unit::Count("boots"), Some(total));
    for boot in 0..args.boots as usize {
        for turn in 0..STATES.len() {
            // Another order in each round, so that none is always the first.
            let at = (boot + turn) % STATES.len();
            let delay = delay(boot * STATES.len() + at);
            let script = format!(
                "{PRELUDE}{}\n./workload bench --iterations {} --delay {}\n",
                STATES[at].prepare,
                args.iterations,
                delay.as_micros()
            );
            for (operation, cost) in measure(&kernels[at], script, &workload)? {
                found.entry((operation, at)).or_default().push(cost);
            }
            bar.add(1);
        }
    }
    bar.finish();

    let costs = costs(found)?;
    if json {
        println!("{}", serde_json::to_string_pretty(&costs)?);
    } else {
        show(&costs, args.boots);
    }
    Ok(Exit::Pass.into())
}

/// When a boot begins to measure: the golden ratio spreads any number of them evenly over a tick of
/// the slowest clock that kernels have.
fn delay(nr: usize) -> Duration {
    let turn = (nr as f64 * 0.618_034).fract();
    Duration::from_millis(10).mul_f64(turn)
}

/// One boot; operations and their costs in the order of the workload.
fn measure(
    kernel: &Kernel,
    text: String,
    workload: &std::path::Path,
) -> Result<Vec<(String, f64)>> {
    let script = counted("bench", text).file("workload", workload);
    let console = guest::run_plain(kernel, script, Accelerator::Tcg)?;
    console.check()?;
    let found: Vec<_> = console.output.lines().filter_map(cost).collect();
    ensure!(!found.is_empty(), "the workload measured nothing");
    Ok(found)
}

/// Reads `bench OPERATION COST`.
fn cost(line: &str) -> Option<(String, f64)> {
    let mut words = line.split_whitespace();
    let ("bench", operation, cost) = (words.next()?, words.next()?, words.next()?) else {
        return None;
    };
    Some((operation.to_owned(), cost.parse().ok()?))
}

/// Medians and their differences.
fn costs(found: BTreeMap<(String, usize), Vec<f64>>) -> Result<Vec<Cost>> {
    let mut costs: Vec<Cost> = Vec::new();
    for ((operation, at), mut boots) in found {
        boots.sort_by(f64::total_cmp);
        let median = median(&boots);
        // The first state of an operation comes first, by the order of the map.
        let unpatched = costs
            .iter()
            .find(|cost| cost.operation == operation)
            .map_or(median, |cost| cost.median);
        costs.push(Cost {
            state: STATES[at].name,
            operation,
            boots,
            median,
            more: median - unpatched,
        });
    }
    ensure!(
        costs.len() % STATES.len() == 0,
        "not every operation was measured in every state"
    );
    Ok(costs)
}

fn show(costs: &[Cost], boots: u32) {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header([
        "operation",
        "state",
        "instructions",
        "more",
        "least .. most",
    ]);
    for cost in costs {
        let (least, most) = (cost.boots[0], cost.boots[cost.boots.len() - 1]);
        table.add_row([
            cost.operation.clone(),
            cost.state.to_owned(),
            format!("{:.1}", cost.median),
            format!("{:+.1}", cost.more),
            format!("{least:.1} .. {most:.1}"),
        ]);
    }
    for column in 2..5 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    println!("{table}");
    println!(
        "Medians over {boots} boots, under -icount. What `{}` has more than `{}` is the A/A band.",
        STATES[1].name, STATES[0].name
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_workload_is_read() {
        assert_eq!(
            cost("bench open-close 12.5"),
            Some(("open-close".to_owned(), 12.5))
        );
        assert_eq!(cost("work rounds=1 failed=0"), None);
    }

    #[test]
    fn differences_are_from_the_unpatched_kernel() {
        let found = (0..STATES.len())
            .map(|at| {
                (
                    ("pipe".to_owned(), at),
                    vec![100.0 + at as f64, 90.0, 200.0],
                )
            })
            .collect();
        let costs = costs(found).unwrap();
        assert_eq!(costs[0].more, 0.0);
        assert_eq!(costs[3].median, 103.0);
        assert_eq!(costs[3].more, 3.0);
    }

    #[test]
    fn a_state_without_a_value_is_an_error() {
        let found = BTreeMap::from([(("pipe".to_owned(), 0), vec![1.0])]);
        assert!(costs(found).is_err());
    }

    #[test]
    fn boots_begin_all_over_a_tick() {
        let mut tenths: Vec<_> = (0..35).map(|nr| delay(nr).as_micros() / 1000).collect();
        tenths.sort_unstable();
        tenths.dedup();
        assert_eq!(tenths, (0..10).collect::<Vec<_>>());
    }
}
