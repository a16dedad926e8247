// SPDX-License-Identifier: GPL-2.0

//! What `/dev/ckpt` takes to save and restore a process, beside CRIU, which does the same from user
//! space, and dd, which only writes as much.
//!
//! All of them run in one guest, whose clock counts instructions. What a copy takes has to be in
//! proportion: an instruction that copies a byte and repeats itself counts for every byte, unlike any
//! processor's, so that the guest's processor says that its own are slow, and the kernel copies by
//! words. A page is then 500 to 1400 instructions, by the copying function.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;
use xshell::{Shell, cmd};

use super::{counted, median};
use crate::exit::{Exit, Failure};
use crate::guest::{self, DIR, Kernel};
use crate::kernel::{Arch, Base, Config, Flavour, Series, build};
use crate::probe::Accelerator;
use crate::progress::{Bar, Unit};
use crate::{cmd, runtimes, setup, workload};

/// The command line of `cargo xtask bench ckpt`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The memory of the processes that are saved, in MiB.
    #[arg(long, value_name = "MIB", value_delimiter = ',', default_value = "1,16,128,512",
          value_parser = clap::value_parser!(u32).range(1..=4096))]
    sizes: Vec<u32>,
    /// Processes of each size; the medians over them are compared.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Processes with pages of 2 MiB as well.
    #[arg(long)]
    huge: bool,
    /// The program of CRIU (4.1 or later) to compare with; its libraries are found by ldd.
    #[arg(long, value_name = "PATH")]
    criu: Option<PathBuf>,
}

/// What the guest needs besides two processes or images of the largest size, in MiB.
const MEMORY: u32 = 768;

/// Where a guest looks for the libraries of a program.
const LIBRARIES: &str = "/lib64";

/// One process of one kind: its memory in MiB, and its pages.
type Kind = (u32, String);

/// Who did what: `ckpt`, `frozen`, `tmpfs`.
type What = (String, String, String);

/// The figures of one kind of process, in nanoseconds or bytes.
type Figures = BTreeMap<What, Vec<f64>>;

/// One figure of the engine beside that of another one.
#[derive(Debug, Serialize)]
struct Comparison {
    /// The memory of the process, in MiB.
    mib: u32,
    /// `small` or `huge`.
    pages: String,
    what: &'static str,
    /// `ms` or `MB/s`.
    unit: &'static str,
    ckpt: f64,
    /// The name of the other one.
    beside: &'static str,
    /// Its figure; none if it did not run.
    other: Option<f64>,
    ratio: Option<f64>,
    /// What the ratio should be.
    target: Option<Target>,
    /// Whether it is.
    met: Option<bool>,
}

/// What a ratio should be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Target {
    AtMost(f64),
    AtLeast(f64),
}

impl Target {
    fn met(self, ratio: f64) -> bool {
        match self {
            Target::AtMost(most) => ratio <= most,
            Target::AtLeast(least) => ratio >= least,
        }
    }

    fn text(self) -> String {
        match self {
            Target::AtMost(most) => format!("≤ {most:.3}"),
            Target::AtLeast(least) => format!("≥ {least:.2}"),
        }
    }
}

/// What is compared with what.
struct Row {
    text: &'static str,
    what: &'static str,
    sink: &'static str,
    beside: &'static str,
    /// Who, what and where to; time against time, or bytes a second against the same.
    other: [&'static str; 3],
    target: fn(mib: u32, pages: &str) -> Option<Target>,
}

const ROWS: [Row; 9] = [
    Row {
        text: "frozen, to tmpfs",
        what: "frozen",
        sink: "tmpfs",
        beside: "CRIU",
        other: ["criu", "frozen", "tmpfs"],
        target: |_, _| None,
    },
    // As beanctl does: it knows how much it will be before it suspends anything.
    Row {
        text: "frozen, to reserved tmpfs",
        what: "frozen",
        sink: "reserved",
        beside: "CRIU",
        other: ["criu", "frozen", "tmpfs"],
        target: |mib, _| match mib {
            1 => Some(Target::AtMost(0.2)),
            16 => Some(Target::AtMost(0.5)),
            _ => None,
        },
    },
    Row {
        text: "frozen, to a pipe",
        what: "frozen",
        sink: "pipe",
        beside: "CRIU",
        other: ["criu", "frozen", "tmpfs"],
        target: |_, _| None,
    },
    Row {
        text: "frozen, to /dev/null",
        what: "frozen",
        sink: "null",
        beside: "CRIU",
        other: ["criu", "frozen", "tmpfs"],
        target: |_, _| None,
    },
    // It goes on before the image is written, wherever that goes to.
    Row {
        text: "frozen, snapshot",
        what: "frozen",
        sink: "snapshot",
        beside: "CRIU",
        other: ["criu", "frozen", "tmpfs"],
        target: |_, pages| match pages {
            "huge" => Some(Target::AtMost(1.0 / 20.0)),
            _ => Some(Target::AtMost(1.0 / 6.0)),
        },
    },
    Row {
        text: "save to tmpfs",
        what: "write",
        sink: "tmpfs",
        beside: "dd to tmpfs",
        other: ["dd", "write", "tmpfs"],
        target: |_, _| Some(Target::AtLeast(0.8)),
    },
    Row {
        text: "save to a pipe",
        what: "write",
        sink: "pipe",
        beside: "dd to tmpfs",
        other: ["dd", "write", "tmpfs"],
        target: |_, _| Some(Target::AtLeast(5.0)),
    },
    Row {
        text: "save to a pipe",
        what: "write",
        sink: "pipe",
        beside: "dd to a pipe",
        other: ["dd", "write", "pipe"],
        target: |_, _| None,
    },
    Row {
        text: "restore",
        what: "restore",
        sink: "tmpfs",
        beside: "CRIU",
        other: ["criu", "restore", "tmpfs"],
        target: |_, _| None,
    },
];

/// Measures, and prints a table or JSON.
///
/// # Errors
///
/// The kernel or CRIU is not there, or the guest does not do what it should.
pub fn run(args: &Args, base: &Base, json: bool) -> Result<ExitCode> {
    let criu = args.criu.as_deref().map(criu).transpose()?;
    setup::ensure()?;
    let workload = workload::build("workload")?;
    let config = Config {
        flavour: match criu {
            Some(_) => Flavour::Peers,
            None => Flavour::Default,
        },
        ..Config::of(Series::Ckpt, Arch::Qemu)
    };
    let built = build::ensure(base, &config)?;
    let found = measure(args, &Kernel::from(built), &workload, criu.as_deref())?;

    let comparisons = compare(&found)?;
    if json {
        println!("{}", serde_json::to_string_pretty(&comparisons)?);
    } else {
        println!("{}", table(&comparisons));
        println!(
            "Medians over {} processes, under -icount: 1 ms is a million instructions.",
            args.rounds
        );
    }
    Ok(Exit::Pass.into())
}

/// The files of CRIU for the guest: the program, and its libraries under `lib`.
fn criu(program: &Path) -> Result<Vec<(String, PathBuf)>> {
    if !program.is_file() {
        let what = format!("{} is no program", program.display());
        return Err(Failure::new(Exit::Usage, what).into());
    }
    let sh = Shell::new()?;
    let said = cmd::run(cmd!(sh, "ldd {program}")).ok()?;
    let mut files = vec![("criu".to_owned(), program.to_owned())];
    for library in runtimes::libraries(&said)? {
        let name = library.file_name().context("a library without a name")?;
        files.push((format!("lib/{}", name.to_string_lossy()), library));
    }
    Ok(files)
}

/// What is run in the guest.
fn script(args: &Args) -> String {
    let mut text = "set -e\nulimit -l unlimited\n".to_owned();
    let mut options = format!("--rounds {}", args.rounds);
    if args.huge {
        options += " --pages small --pages huge";
    }
    if args.criu.is_some() {
        let _ = writeln!(text, "mkdir -p {LIBRARIES}\ncp lib/* {LIBRARIES}");
        let _ = writeln!(text, "export LD_LIBRARY_PATH={LIBRARIES}");
        let _ = write!(options, " --criu {DIR}/criu");
    }
    // As much as is needed, and not the half of the memory that is usual.
    let _ = writeln!(
        text,
        "mkdir /images\nmount -t tmpfs -o size=100% tmpfs /images"
    );
    let sizes: Vec<_> = args.sizes.iter().map(u32::to_string).collect();
    let sizes = sizes.join(" ");
    let _ = writeln!(
        text,
        "./workload ckpt {options} --dir /images {sizes} -- $BUSYBOX dd"
    );
    text
}

/// Boots a guest, and returns what it has found.
fn measure(
    args: &Args,
    kernel: &Kernel,
    workload: &Path,
    criu: Option<&[(String, PathBuf)]>,
) -> Result<BTreeMap<Kind, Figures>> {
    let kinds = args.sizes.len() as u64 * if args.huge { 2 } else { 1 };
    let mut bar = Bar::new(
        "measuring",
        Unit::Count("processes"),
        Some(kinds * u64::from(args.rounds)),
    );
    let mut script = counted("bench-ckpt", script(args))
        .file("workload", workload)
        .each_line(|line| {
            if figure(line).is_some_and(|(_, what, _)| is_last(&what, criu.is_some())) {
                bar.add(1);
            }
        });
    script.files.extend(criu.into_iter().flatten().cloned());
    let largest = args.sizes.iter().copied().max().unwrap_or(1);
    script.memory = MEMORY + 3 * largest;
    script
        .qemu
        .extend(["-cpu", "max,erms=off,fsrm=off"].map(String::from));
    // Each process is a part of its own.
    script.limits.test = Duration::from_secs(1800);
    script.renewed_by = Some(|line| figure(line).is_some());
    let console = guest::run_plain(kernel, script, Accelerator::Tcg)?;
    bar.finish();
    if let Err(error) = console.check() {
        let last = console.output.lines().rev().take(20).collect::<Vec<_>>();
        let last: Vec<_> = last
            .into_iter()
            .rev()
            .filter(|line| figure(line).is_none())
            .collect();
        return Err(error.context(last.join("\n")));
    }

    let mut found: BTreeMap<Kind, Figures> = BTreeMap::new();
    for (kind, what, value) in console.output.lines().filter_map(figure) {
        let figures = found.entry(kind).or_default();
        figures.entry(what).or_default().push(value);
    }
    Ok(found)
}

/// Whether this is the last figure of a process.
fn is_last((who, what, _): &What, criu: bool) -> bool {
    what == "restore" && (who == "criu") == criu
}

/// Reads `ckpt MIB PAGES WHO WHAT SINK VALUE`.
fn figure(line: &str) -> Option<(Kind, What, f64)> {
    let words: Vec<_> = line.split_whitespace().collect();
    let ["ckpt", mib, pages, who, what, sink, value] = words[..] else {
        return None;
    };
    let kind = (mib.parse().ok()?, pages.to_owned());
    let what = (who.to_owned(), what.to_owned(), sink.to_owned());
    Some((kind, what, value.parse().ok()?))
}

/// The median of one kind of figure.
fn value(figures: &Figures, [who, what, sink]: [&str; 3]) -> Option<f64> {
    let key = (who.to_owned(), what.to_owned(), sink.to_owned());
    let mut values = figures.get(&key)?.clone();
    values.sort_by(f64::total_cmp);
    Some(median(&values))
}

/// Puts figures beside each other.
fn compare(found: &BTreeMap<Kind, Figures>) -> Result<Vec<Comparison>> {
    let mut comparisons = Vec::new();
    // Huge pages after all others.
    let kinds: BTreeSet<_> = found
        .keys()
        .map(|(mib, pages)| (pages == "huge", *mib, pages))
        .collect();
    for (_, mib, pages) in kinds {
        let figures = &found[&(mib, pages.clone())];
        for row in &ROWS {
            // All write what the process has, so the same bytes count for each.
            let (unit, convert): (_, fn(f64, u32) -> f64) = match row.what {
                "write" => ("MB/s", |ns, mib| f64::from(mib) * 1_048_576_000.0 / ns),
                _ => ("ms", |ns, _| ns / 1e6),
            };
            let Some(ckpt) = value(figures, ["ckpt", row.what, row.sink]) else {
                bail!("the guest did not measure: {} of {mib} MiB", row.text);
            };
            let ckpt = convert(ckpt, mib);
            let other = value(figures, row.other).map(|ns| convert(ns, mib));
            let ratio = other.map(|other| ckpt / other);
            let target = (row.target)(mib, pages);
            comparisons.push(Comparison {
                mib,
                pages: pages.clone(),
                what: row.text,
                unit,
                ckpt,
                beside: row.beside,
                other,
                ratio,
                target,
                met: target.zip(ratio).map(|(target, ratio)| target.met(ratio)),
            });
        }
    }
    if comparisons.is_empty() {
        bail!("the guest measured nothing");
    }
    Ok(comparisons)
}

fn table(comparisons: &[Comparison]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header([
        "process", "what", "ckpt", "beside", "", "ratio", "target", "",
    ]);
    let figure = |value: f64, unit| format!("{value:.2} {unit}");
    let mut last = None;
    for comparison in comparisons {
        let kind = (comparison.mib, &comparison.pages);
        // Once for all rows of a process.
        let name = match last.replace(kind) == Some(kind) {
            true => String::new(),
            false => format!("{} MiB, {} pages", kind.0, kind.1),
        };
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        table.add_row([
            name,
            comparison.what.to_owned(),
            figure(comparison.ckpt, comparison.unit),
            comparison.beside.to_owned(),
            or_none(comparison.other.map(|other| figure(other, comparison.unit))),
            or_none(comparison.ratio.map(|ratio| format!("{ratio:.3}"))),
            comparison.target.map_or_else(String::new, Target::text),
            match comparison.met {
                Some(true) => "pass".to_owned(),
                Some(false) => "miss".to_owned(),
                None => String::new(),
            },
        ]);
    }
    for column in [2, 4, 5, 6] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(lines: &[&str]) -> BTreeMap<Kind, Figures> {
        let mut found: BTreeMap<Kind, Figures> = BTreeMap::new();
        for line in lines {
            let (kind, what, value) = figure(line).unwrap();
            let figures = found.entry(kind).or_default();
            figures.entry(what).or_default().push(value);
        }
        found
    }

    const LINES: [&str; 11] = [
        "ckpt 1 small dd write tmpfs 2000000",
        "ckpt 1 small dd write pipe 1000000",
        "ckpt 1 small ckpt frozen tmpfs 3000000",
        "ckpt 1 small ckpt frozen reserved 1000000",
        "ckpt 1 small ckpt frozen pipe 1000000",
        "ckpt 1 small ckpt frozen null 1000000",
        "ckpt 1 small ckpt frozen snapshot 4500000",
        "ckpt 1 small ckpt write tmpfs 2000000",
        "ckpt 1 small ckpt write pipe 1048576",
        "ckpt 1 small ckpt restore tmpfs 4000000",
        "ckpt 1 small criu frozen tmpfs 30000000",
    ];

    #[test]
    fn a_line_of_the_workload_is_read() {
        let (kind, what, value) = figure(LINES[0]).unwrap();
        assert_eq!(kind, (1, "small".to_owned()));
        assert_eq!(what, ("dd".into(), "write".into(), "tmpfs".into()));
        assert_eq!(value, 2e6);
        assert!(figure("ckpt 1 small dd write tmpfs").is_none());
        assert!(figure("bench open-close 12.5").is_none());
    }

    #[test]
    fn figures_are_compared_with_their_targets() {
        let comparisons = compare(&found(&LINES)).unwrap();
        assert_eq!(comparisons.len(), ROWS.len());
        let shown: Vec<_> = comparisons
            .iter()
            .map(|row| (row.ckpt, row.ratio, row.met))
            .collect();
        assert_eq!(shown[0], (3.0, Some(0.1), None));
        assert_eq!(shown[1].2, Some(true));
        assert_eq!(shown[4], (4.5, Some(0.15), Some(true)));
        assert_eq!(shown[5].1, Some(1.0));
        assert_eq!(shown[5].2, Some(true));
        // A MiB in so many nanoseconds is 1000 MB in a second.
        assert_eq!(shown[6].0, 1000.0);
        assert_eq!(shown[6].2, Some(false));
        assert_eq!(shown[8], (4.0, None, None));
        let text = table(&comparisons).to_string();
        assert!(text.contains("miss"), "{text}");
    }

    #[test]
    fn a_snapshot_of_huge_pages_has_to_be_shorter() {
        let lines = LINES.map(|line| line.replace("small", "huge"));
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        let snapshot = &compare(&found(&lines)).unwrap()[4];
        assert_eq!(snapshot.what, "frozen, snapshot");
        assert_eq!(snapshot.target, Some(Target::AtMost(0.05)));
        assert_eq!(snapshot.met, Some(false));
    }

    #[test]
    fn the_median_of_the_rounds_counts() {
        let mut lines = LINES.to_vec();
        lines.extend(["ckpt 1 small ckpt frozen tmpfs 9000000"; 2]);
        assert_eq!(compare(&found(&lines)).unwrap()[0].ckpt, 9.0);
    }

    #[test]
    fn what_the_engine_did_not_do_is_an_error() {
        assert!(compare(&found(&LINES[..2])).is_err());
        assert!(compare(&BTreeMap::new()).is_err());
    }
}
