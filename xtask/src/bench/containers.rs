// SPDX-License-Identifier: GPL-2.0

//! What many containers cost: the memory that the kernel has for each, what it still has when they have
//! gone, and what it takes to make them, with the controller and without.
//!
//! Memory is looked at in a guest with several processors, since much of it is there once for each. What
//! is made is counted in instructions, by the processes' own clock: the kernel waits now and then.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use super::{counted, median_of, new_table};
use crate::exit::{Exit, Failure};
use crate::guest::{self, Console, Kernel, Limits, Script};
use crate::kernel::{Arch, Base, Config, build};
use crate::probe::{self, Accelerator};
use crate::progress::{Bar, Unit};
use crate::setup;
use crate::test::Selftests;

/// The program in the guest.
const PROGRAM: &str = "containers_bc";

/// The first rounds fill what the kernel keeps.
const WARM: u32 = 2;

/// Rounds without the controller, for comparison.
const WITHOUT: u32 = 3;

/// How much memory a guest needs, in KiB: by itself, and for each container, which has some 500.
const MEMORY: [u32; 2] = [512 << 10, 768];

/// From how much on something is thought to grow, if it grows by more than it varies: bytes, or
/// objects, for each container that was made and ended.
const GROWTH: f64 = 64.0;
const OBJECTS: f64 = 0.05;

/// What making a container may take with the controller, in proportion.
const TARGET: f64 = 1.10;

/// How many containers are made in a batch, and how many batches there are, where that is measured.
const BATCH: [u32; 2] = [20, 15];

/// The command line of `cargo xtask bench containers`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// How many containers there are at a time.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    count: u32,
    /// How often all of them are made and ended.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(8..=1000))]
    rounds: u32,
}

/// Whether the controller is in use.
type With = bool;

/// What the guest said, by the mode, the round, and whether the containers were there.
type Looks = BTreeMap<(With, u32, bool), Look>;

/// The memory at one time.
#[derive(Clone, Debug, Default)]
struct Look {
    /// Of `/proc/meminfo`, in KiB.
    amounts: BTreeMap<String, f64>,
    /// Objects of caches, and their size.
    slabs: BTreeMap<String, (f64, f64)>,
}

/// What is a part of what in the table.
const PARTS: [(&str, &[&str]); 5] = [
    ("slab", &["SReclaimable", "SUnreclaim"]),
    ("for each CPU", &["Percpu"]),
    ("kernel stacks", &["KernelStack"]),
    ("page tables", &["PageTables"]),
    ("all that is used", &["MemTotal", "MemAvailable"]),
];

impl Look {
    /// One part of the memory in use, in bytes.
    fn part(&self, (_, names): (&str, &[&str])) -> Option<f64> {
        let used = |name: &&str| {
            // What is available is not used.
            let sign = if *name == "MemAvailable" { -1.0 } else { 1.0 };
            Some(self.amounts.get(*name)? * sign)
        };
        let sum: Option<f64> = names.iter().map(used).sum();
        Some(sum? * 1024.0)
    }
}

/// What a container has of a kind of memory while it is there, in bytes.
#[derive(Debug, Serialize)]
struct Memory {
    what: &'static str,
    with: f64,
    without: f64,
}

/// What stays of a container that has gone.
#[derive(Debug, Serialize)]
struct Growth {
    what: String,
    /// `bytes` or `objects`.
    unit: &'static str,
    /// In the first rounds after those that do not count, and in the last ones: medians.
    first: f64,
    last: f64,
    /// How far apart those of a part are.
    spread: f64,
    /// For each container.
    each: f64,
    grows: bool,
}

/// Instructions for one container, by where they were counted.
#[derive(Debug, Serialize)]
struct Cost {
    what: &'static str,
    with: f64,
    without: f64,
    /// With the controller, in relation to without.
    ratio: f64,
    target: Option<f64>,
}

/// All of it.
#[derive(Debug, Serialize)]
struct Report {
    count: u32,
    rounds: u32,
    memory: Vec<Memory>,
    /// The parts, and those caches that grow.
    growth: Vec<Growth>,
    cost: Vec<Cost>,
    findings: Vec<String>,
}

/// Measures, and prints tables or JSON.
///
/// # Errors
///
/// A kernel cannot be built, or a guest does not do what it should.
pub fn run(args: &Args, base: &Base, json: bool) -> Result<ExitCode> {
    setup::ensure()?;
    let built = build::ensure(base, &Config::new(Arch::Qemu))?;
    let tests = Selftests::build(&built, "bc")?;
    if let Some(error) = tests.error {
        return Err(Failure::new(Exit::Findings, error.join("\n")).into());
    }
    let program = tests.output.path().join(PROGRAM);
    let kernel = Kernel::from(built);

    let mut script = Script::new("bench-containers", script(args)).file(PROGRAM, &program);
    script.memory = (MEMORY[0] + MEMORY[1] * args.count) >> 10;
    let limits = Limits {
        test: Duration::from_secs(600),
        ..Limits::default()
    };
    script.limits = limits.scaled(kernel.slowness());
    script.renewed_by = Some(|line| said(line).is_some());
    let total = u64::from(args.rounds + WITHOUT);
    let mut bar = Bar::new("making and ending", Unit::Count("rounds"), Some(total));
    let script = script.each_line(|line| {
        if let Some(Said::Memory((_, round, false), _)) = said(line) {
            bar.set(u64::from(round));
        }
    });
    let console = guest::run_plain(&kernel, script, probe::accelerator())?;
    bar.finish();
    checked(&console)?;
    let looks = looks(&console.output);

    eprintln!("counting instructions ...");
    let costs = cost(&measure(&kernel, &program)?)?;
    let report = Report::new(args, &looks, costs)?;
    if json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        report.show();
    }
    Ok(match report.findings.is_empty() {
        true => Exit::Pass,
        false => Exit::Findings,
    }
    .into())
}

fn script(args: &Args) -> String {
    format!(
        "exec ./{PROGRAM} -n {} -r {} -w {WITHOUT}\n",
        args.count, args.rounds
    )
}

/// Fails with what the program said last, if the guest is not as it should be.
fn checked(console: &Console) -> Result<()> {
    console.check().map_err(|error| {
        let lines: Vec<_> = console
            .output
            .lines()
            .filter(|line| said(line).is_none())
            .collect();
        error.context(lines[lines.len().saturating_sub(10)..].join("\n"))
    })
}

/// What making, loading and ending took: for each mode, the values of all batches.
type Costs = BTreeMap<With, BTreeMap<String, Vec<f64>>>;

/// Counts in a guest with one processor.
fn measure(kernel: &Kernel, program: &std::path::Path) -> Result<Costs> {
    let [count, batches] = BATCH;
    let text = format!("exec ./{PROGRAM} -c -n {count} -r {batches}\n");
    let script = counted("bench-containers-cost", text).file(PROGRAM, program);
    let console = guest::run_plain(kernel, script, Accelerator::Tcg)?;
    checked(&console)?;
    let mut costs = Costs::new();
    for line in console.output.lines() {
        if let Some(Said::Cost(with, values)) = said(line) {
            let steps = costs.entry(with).or_default();
            for (step, value) in values {
                steps.entry(step).or_default().push(value);
            }
        }
    }
    Ok(costs)
}

/// A line of the program.
#[derive(Debug, PartialEq)]
enum Said {
    Memory((With, u32, bool), BTreeMap<String, f64>),
    Slab((With, u32, bool), String, (f64, f64)),
    Cost(With, BTreeMap<String, f64>),
}

/// Reads a line: `memory with 3 rest MemAvailable=1 ...`, `slab with 3 loaded dentry 17 192`, or
/// `cost without make=1 ...`.
fn said(line: &str) -> Option<Said> {
    let mut words = line.trim_start_matches("# ").split_whitespace();
    let kind = words.next()?;
    let with = match words.next()? {
        "with" => true,
        "without" => false,
        _ => return None,
    };
    if kind == "cost" {
        return Some(Said::Cost(with, pairs(words)?));
    }
    let round = words.next()?.parse().ok()?;
    let loaded = match words.next()? {
        "loaded" => true,
        "rest" => false,
        _ => return None,
    };
    let at = (with, round, loaded);
    match kind {
        "memory" => Some(Said::Memory(at, pairs(words)?)),
        "slab" => {
            let name = words.next()?.to_owned();
            let numbers = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
            Some(Said::Slab(at, name, numbers))
        }
        _ => None,
    }
}

/// Reads `key=number` words, at least one.
fn pairs<'a>(words: impl Iterator<Item = &'a str>) -> Option<BTreeMap<String, f64>> {
    let pair = |word: &str| {
        let (key, value) = word.split_once('=')?;
        Some((key.to_owned(), value.parse().ok()?))
    };
    let pairs: Option<BTreeMap<_, _>> = words.map(pair).collect();
    pairs.filter(|pairs| !pairs.is_empty())
}

fn looks(output: &str) -> Looks {
    let mut looks = Looks::new();
    for line in output.lines() {
        match said(line) {
            Some(Said::Memory(at, amounts)) => looks.entry(at).or_default().amounts = amounts,
            Some(Said::Slab(at, name, numbers)) => {
                looks.entry(at).or_default().slabs.insert(name, numbers);
            }
            _ => {}
        }
    }
    looks
}

impl Report {
    fn new(args: &Args, looks: &Looks, cost: Vec<Cost>) -> Result<Self> {
        let Args { count, rounds } = *args;
        let mut memory = Vec::new();
        for part in PARTS {
            let of = |with, rounds| {
                each(looks, part, with, rounds, count)
                    .with_context(|| format!("the guest did not tell of: {}", part.0))
            };
            memory.push(Memory {
                what: part.0,
                with: of(true, WARM + 1..=rounds)?,
                without: of(false, rounds + 1..=rounds + WITHOUT)?,
            });
        }
        let growth = growth(looks, count, rounds)?;
        let mut findings = Vec::new();
        for part in growth.iter().filter(|part| part.grows) {
            let Growth {
                what, unit, each, ..
            } = part;
            findings.push(format!(
                "{what} grows by {each:.2} {unit} for each container"
            ));
        }
        for cost in &cost {
            if let Some(target) = cost.target.filter(|target| cost.ratio > *target) {
                let Cost { what, ratio, .. } = cost;
                findings.push(format!("to {what} takes {ratio:.3}, more than {target:.2}"));
            }
        }
        Ok(Self {
            count,
            rounds,
            memory,
            growth,
            cost,
            findings,
        })
    }

    fn show(&self) {
        println!("A container while it is there, in KiB:");
        let mut table = new_table(["memory", "with bc", "without", "more"]);
        for row in &self.memory {
            let kib = |bytes: f64| format!("{:.1}", bytes / 1024.0);
            let more = format!("{:+.1}", (row.with - row.without) / 1024.0);
            table.add_row([row.what.to_owned(), kib(row.with), kib(row.without), more]);
        }
        println!("{table}");

        println!(
            "\nAfter {} containers have gone, {} times:",
            self.count, self.rounds
        );
        let mut table = new_table(["what", "first", "last", "varies by", "for each", ""]);
        for row in &self.growth {
            let text = |value: f64| match row.unit {
                "bytes" => format!("{:.0} KiB", value / 1024.0),
                _ => format!("{value:.0}"),
            };
            table.add_row([
                row.what.clone(),
                text(row.first),
                text(row.last),
                text(row.spread),
                format!("{:+.2} {}", row.each, row.unit),
                if row.grows { "grows" } else { "" }.to_owned(),
            ]);
        }
        println!("{table}");

        println!("\nInstructions for one container:");
        let mut table = new_table(["to", "with bc", "without", "ratio", "target", ""]);
        for row in &self.cost {
            let verdict = match row.target {
                Some(target) if row.ratio > target => "miss",
                Some(_) => "pass",
                None => "",
            };
            table.add_row([
                row.what.to_owned(),
                format!("{:.0}", row.with),
                format!("{:.0}", row.without),
                format!("{:.3}", row.ratio),
                row.target
                    .map_or(String::new(), |most| format!("≤ {most:.2}")),
                verdict.to_owned(),
            ]);
        }
        println!("{table}");
        for finding in &self.findings {
            println!("finding: {finding}");
        }
    }
}

/// What a container has of a part of the memory: the median over some rounds.
fn each(
    looks: &Looks,
    part: (&str, &[&str]),
    with: With,
    rounds: impl Iterator<Item = u32>,
    count: u32,
) -> Option<f64> {
    let of = |round: u32| {
        let loaded = looks.get(&(with, round, true))?.part(part)?;
        let rest = looks.get(&(with, round - 1, false))?.part(part)?;
        Some((loaded - rest) / f64::from(count))
    };
    median_of(rounds.map(of).collect::<Option<_>>()?)
}

/// What has become more from the first rounds to the last ones: all parts, and such caches.
fn growth(looks: &Looks, count: u32, rounds: u32) -> Result<Vec<Growth>> {
    let rests: Vec<&Look> = (WARM..=rounds)
        .map(|round| looks.get(&(true, round, false)))
        .collect::<Option<_>>()
        .context("the guest did not tell of every round")?;
    let third = rests.len() / 3;
    let rate = |what: &str, unit, least: f64, values: Vec<f64>| {
        let spread = |part: &[f64]| {
            let most = part.iter().copied().fold(f64::MIN, f64::max);
            most - part.iter().copied().fold(f64::MAX, f64::min)
        };
        let (early, late) = (&values[..third], &values[values.len() - third..]);
        let first = median_of(early.to_vec()).unwrap_or_default();
        let last = median_of(late.to_vec()).unwrap_or_default();
        // From the middle of the one third to that of the other.
        let containers = f64::from(count) * (values.len() - third) as f64;
        let spread = spread(early).max(spread(late));
        let each = (last - first) / containers;
        Growth {
            what: what.to_owned(),
            unit,
            first,
            last,
            spread,
            each,
            grows: each >= least && last - first > spread,
        }
    };
    let mut growth = Vec::new();
    for part in PARTS {
        let values: Option<Vec<_>> = rests.iter().map(|look| look.part(part)).collect();
        let values = values.with_context(|| format!("the guest did not tell of: {}", part.0))?;
        growth.push(rate(part.0, "bytes", GROWTH, values));
    }
    let caches: BTreeSet<&String> = rests.iter().flat_map(|look| look.slabs.keys()).collect();
    ensure!(!caches.is_empty(), "the guest did not tell of any cache");
    for cache in caches {
        let objects = |look: &&Look| look.slabs.get(cache).map_or(0.0, |(objects, _)| *objects);
        let name = format!("cache {cache}");
        let values = rests.iter().map(objects).collect();
        let row = rate(&name, "objects", OBJECTS, values);
        growth.extend(Some(row).filter(|row| row.grows));
    }
    Ok(growth)
}

/// Puts the two beside each other.
fn cost(costs: &Costs) -> Result<Vec<Cost>> {
    let value = |with: With, steps: &[&str]| {
        let steps: Option<f64> = steps
            .iter()
            .map(|&step| median_of(costs.get(&with)?.get(step)?.clone()))
            .sum();
        steps.context("the guest did not tell of the cost")
    };
    let rows: [(_, &[_], _); 4] = [
        ("make", &["make"], Some(TARGET)),
        ("load", &["load"], None),
        ("end", &["end"], None),
        ("do all of it", &["make", "load", "end"], None),
    ];
    let mut compared = Vec::new();
    for (what, steps, target) in rows {
        let (with, without) = (value(true, steps)?, value(false, steps)?);
        compared.push(Cost {
            what,
            with,
            without,
            ratio: with / without,
            target,
        });
    }
    Ok(compared)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;

    const ARGS: Args = Args {
        count: 100,
        rounds: 11,
    };

    /// What a guest says whose containers have 2 KiB each with the controller and 1 KiB without, and
    /// leave so many bytes and objects.
    fn guest(bytes: f64, objects: f64) -> Looks {
        let mut output = String::new();
        let mut say = |mode: &str, round: u32, when: &str, kib: f64| {
            let gone = f64::from(100 * round);
            let all = kib + gone * bytes / 1024.0;
            let _ = writeln!(
                output,
                "# memory {mode} {round} {when} MemTotal=1e7 MemAvailable={} SReclaimable=10 SUnreclaim={all} \
                 KernelStack=7 PageTables=8 Percpu=9",
                1e6 - all
            );
            let objects = 1000.0 + gone * objects;
            let _ = writeln!(output, "# slab {mode} {round} {when} dentry {objects} 192");
        };
        say("with", 0, "rest", 0.0);
        for round in 1..=11 {
            say("with", round, "loaded", 200.0);
            say("with", round, "rest", 0.0);
        }
        say("without", 11, "rest", 0.0);
        for round in 12..=14 {
            say("without", round, "loaded", 100.0);
            say("without", round, "rest", 0.0);
        }
        looks(&output)
    }

    fn costs(with: f64, without: f64) -> Costs {
        let steps = |make| {
            [("make", make), ("load", 50.0), ("end", 10.0)]
                .map(|(step, value)| (step.to_owned(), vec![value]))
                .into()
        };
        [(true, steps(with)), (false, steps(without))].into()
    }

    fn report(bytes: f64, objects: f64, ratio: f64) -> Report {
        let costs = costs(100.0 * ratio, 100.0);
        let cost = cost(&costs).unwrap();
        Report::new(&ARGS, &guest(bytes, objects), cost).unwrap()
    }

    #[test]
    fn the_lines_of_the_guest_are_read() {
        let Some(Said::Memory(at, amounts)) = said("# memory with 3 rest Percpu=12 Slab=4") else {
            panic!();
        };
        assert_eq!(at, (true, 3, false));
        assert_eq!(amounts["Percpu"], 12.0);
        assert_eq!(
            said("# slab without 1 loaded dentry 17 192"),
            Some(Said::Slab((false, 1, true), "dentry".into(), (17.0, 192.0)))
        );
        assert!(matches!(
            said("# cost with make=1 load=2"),
            Some(Said::Cost(true, _))
        ));
        for line in [
            "# memory with 3 rest",
            "# slab with 1 loaded dentry",
            "ok 1 memory",
        ] {
            assert_eq!(said(line), None, "{line}");
        }
    }

    #[test]
    fn what_a_container_has_is_told_with_and_without() {
        let report = report(0.0, 0.0, 1.05);
        assert!(report.findings.is_empty(), "{:?}", report.findings);
        let slab = &report.memory[0];
        assert_eq!((slab.with, slab.without), (2048.0, 1024.0));
        let all = &report.memory[4];
        assert_eq!((all.with, all.without), (2048.0, 1024.0));
        let used = &report.growth[4];
        assert_eq!((used.first, used.last), (9e6 * 1024.0, 9e6 * 1024.0));
        assert_eq!(report.memory[1].with, 0.0);
        assert_eq!(report.growth.len(), PARTS.len());
        report.show();
    }

    #[test]
    fn what_stays_of_each_container_is_a_finding() {
        let grown = report(100.0, 0.0, 1.0).findings;
        assert_eq!(grown.len(), 2, "{grown:?}");
        assert!(
            grown[0].starts_with("slab grows by 100.00 bytes"),
            "{grown:?}"
        );
        let grown = report(0.0, 0.1, 1.0).findings;
        assert_eq!(
            grown,
            ["cache dentry grows by 0.10 objects for each container"]
        );
    }

    #[test]
    fn what_varies_does_not_grow() {
        let mut looks = guest(100.0, 0.0);
        // One of the last rounds is like one of the first.
        let early = looks[&(true, 2, false)].clone();
        looks.insert((true, 10, false), early);
        assert!(
            growth(&looks, 100, 11)
                .unwrap()
                .iter()
                .all(|row| !row.grows)
        );
    }

    #[test]
    fn what_takes_longer_than_the_target_is_a_finding() {
        let slow = report(0.0, 0.0, 1.11).findings;
        assert_eq!(slow, ["to make takes 1.110, more than 1.10"]);
    }

    #[test]
    fn a_guest_that_told_too_little_is_an_error() {
        let mut looks = guest(0.0, 0.0);
        looks.remove(&(true, 5, true));
        assert!(Report::new(&ARGS, &looks, Vec::new()).is_err());
        let mut looks = guest(0.0, 0.0);
        looks.remove(&(true, 5, false));
        assert!(growth(&looks, 100, 11).is_err());
        assert!(cost(&Costs::new()).is_err());
    }
}
