// SPDX-License-Identifier: GPL-2.0

//! What `/dev/ckpt` takes to save and restore processes, beside CRIU, which does the same from user
//! space, and dd, which only writes as much.
//!
//! All of them run in one guest, whose clock counts instructions. What a copy takes has to be in
//! proportion: an instruction that copies a byte and repeats itself counts for every byte, unlike any
//! processor's, so that the guest's processor says that its own are slow, and the kernel copies by
//! words. A page is then 500 to 1400 instructions, by the copying function.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Error, Result, bail};
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
    /// Subjects of each kind; the medians over them are compared.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Processes with pages of 2 MiB as well.
    #[arg(long)]
    huge: bool,
    /// A process with so many threads as well, which wait in a futex.
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(2..=4096))]
    threads: Vec<u32>,
    /// A family of so many processes as well, with memory in common by copy-on-write.
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(2..=1024))]
    processes: Vec<u32>,
    /// The program of CRIU (4.1 or later) to compare with; its libraries are found by ldd.
    #[arg(long, value_name = "PATH")]
    criu: Option<PathBuf>,
}

/// What the guest needs besides three times the memory of the largest subject, in MiB.
const MEMORY: u32 = 768;

/// Where a guest looks for the libraries of a program.
const LIBRARIES: &str = "/lib64";

/// What is saved and restored. The guest knows it by the same names: `16:small`, `1000:threads`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(untagged)]
enum Kind {
    /// A process with memory.
    Memory {
        pages: Pages,
        /// How much, in MiB.
        mib: u32,
    },
    /// A process with threads.
    Threads { threads: u32 },
    /// A process and its children.
    Family { processes: u32 },
}

/// The pages of a process; huge ones come after all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum Pages {
    Small,
    Huge,
}

impl Kind {
    /// What there is of it, and its name.
    fn parts(self) -> (u32, &'static str) {
        match self {
            Kind::Memory { pages, mib } => match pages {
                Pages::Small => (mib, "small"),
                Pages::Huge => (mib, "huge"),
            },
            Kind::Threads { threads } => (threads, "threads"),
            Kind::Family { processes } => (processes, "processes"),
        }
    }

    /// What it is called in a table.
    fn text(self) -> String {
        match (self, self.parts()) {
            (Kind::Memory { .. }, (mib, pages)) => format!("{mib} MiB, {pages} pages"),
            (_, (count, name)) => format!("{count} {name}"),
        }
    }

    /// About the most memory that it or an image of it takes, in MiB.
    fn memory(self) -> u32 {
        match self {
            Kind::Memory { mib, .. } => mib,
            // A stack in the kernel and one outside.
            Kind::Threads { threads } => 1 + threads / 16,
            // A MiB that is in common, which not everybody preserves, and what a program has.
            Kind::Family { processes } => 2 * processes,
        }
    }

    /// What is shown of it.
    fn rows(self) -> Vec<&'static Row> {
        match self {
            Kind::Memory { .. } => ROWS.iter().collect(),
            Kind::Threads { .. } => TASKS.iter().collect(),
            Kind::Family { .. } => TASKS.iter().chain(&IN_COMMON).collect(),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, name) = self.parts();
        write!(f, "{count}:{name}")
    }
}

impl FromStr for Kind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (count, name) = text.split_once(':').context("a count, a colon, a name")?;
        let count = count.parse()?;
        let memory = |pages| Kind::Memory { pages, mib: count };
        Ok(match name {
            "small" => memory(Pages::Small),
            "huge" => memory(Pages::Huge),
            "threads" => Kind::Threads { threads: count },
            "processes" => Kind::Family { processes: count },
            _ => bail!("there are no {name}"),
        })
    }
}

impl Args {
    /// What is measured, in this order.
    fn kinds(&self) -> Vec<Kind> {
        let pages = match self.huge {
            true => &[Pages::Small, Pages::Huge][..],
            false => &[Pages::Small],
        };
        let memory = self.sizes.iter().flat_map(|&mib| {
            let all = pages.iter();
            all.map(move |&pages| Kind::Memory { pages, mib })
        });
        let threads = self.threads.iter();
        let threads = threads.map(|&threads| Kind::Threads { threads });
        let families = self.processes.iter();
        let families = families.map(|&processes| Kind::Family { processes });
        memory.chain(threads).chain(families).collect()
    }
}

/// Who did what: `ckpt`, `frozen`, `tmpfs`.
type What = (String, String, String);

/// The figures of one kind of subject, in nanoseconds or bytes.
type Figures = BTreeMap<What, Vec<f64>>;

/// One figure of the engine beside that of another one.
#[derive(Debug, Serialize)]
struct Comparison {
    #[serde(flatten)]
    kind: Kind,
    what: &'static str,
    /// `ms`, `MB/s` or `MiB`.
    unit: &'static str,
    ckpt: f64,
    /// The name of the other one, if there is one.
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
    /// The name of the other one; none if there is nothing to compare with.
    beside: &'static str,
    /// Who, what and where to; both are of the same unit.
    other: [&'static str; 3],
    target: fn(Kind) -> Option<Target>,
}

/// What CRIU has to show beside the time that the engine freezes a subject.
const CRIU: [&str; 3] = ["criu", "frozen", "tmpfs"];

/// As beanctl does: it knows how much it will be before it suspends anything.
const RESERVED: Row = Row {
    text: "frozen, to reserved tmpfs",
    what: "frozen",
    sink: "reserved",
    beside: "CRIU",
    other: CRIU,
    target: |kind| match kind {
        Kind::Memory { mib: 1, .. } => Some(Target::AtMost(0.2)),
        Kind::Memory { mib: 16, .. } => Some(Target::AtMost(0.5)),
        Kind::Memory { .. } => None,
        Kind::Threads { .. } | Kind::Family { .. } => Some(Target::AtMost(1.0 / 10.0)),
    },
};

/// It goes on before the image is written, wherever that goes to.
const SNAPSHOT: Row = Row {
    text: "frozen, snapshot",
    what: "frozen",
    sink: "snapshot",
    beside: "CRIU",
    other: CRIU,
    target: |kind| {
        let part = match kind {
            Kind::Memory {
                pages: Pages::Small,
                ..
            } => 6.0,
            Kind::Memory {
                pages: Pages::Huge, ..
            } => 20.0,
            Kind::Threads { .. } | Kind::Family { .. } => 10.0,
        };
        Some(Target::AtMost(1.0 / part))
    },
};

const RESTORE: Row = Row {
    text: "restore",
    what: "restore",
    sink: "tmpfs",
    beside: "CRIU",
    other: ["criu", "restore", "tmpfs"],
    target: |kind| match kind {
        Kind::Family { .. } => Some(Target::AtMost(1.0 / 3.0)),
        _ => None,
    },
};

/// What is shown of a process with memory.
const ROWS: [Row; 9] = [
    Row {
        text: "frozen, to tmpfs",
        what: "frozen",
        sink: "tmpfs",
        beside: "CRIU",
        other: CRIU,
        target: |_| None,
    },
    RESERVED,
    Row {
        text: "frozen, to a pipe",
        what: "frozen",
        sink: "pipe",
        beside: "CRIU",
        other: CRIU,
        target: |_| None,
    },
    Row {
        text: "frozen, to /dev/null",
        what: "frozen",
        sink: "null",
        beside: "CRIU",
        other: CRIU,
        target: |_| None,
    },
    SNAPSHOT,
    Row {
        text: "save to tmpfs",
        what: "write",
        sink: "tmpfs",
        beside: "dd to tmpfs",
        other: ["dd", "write", "tmpfs"],
        target: |_| Some(Target::AtLeast(0.8)),
    },
    Row {
        text: "save to a pipe",
        what: "write",
        sink: "pipe",
        beside: "dd to tmpfs",
        other: ["dd", "write", "tmpfs"],
        target: |_| Some(Target::AtLeast(5.0)),
    },
    Row {
        text: "save to a pipe",
        what: "write",
        sink: "pipe",
        beside: "dd to a pipe",
        other: ["dd", "write", "pipe"],
        target: |_| None,
    },
    RESTORE,
];

/// What is shown of many tasks.
const TASKS: [Row; 4] = [
    // Until the last one has come to rest, which is a part of what follows.
    Row {
        text: "stopped",
        what: "stopped",
        sink: "reserved",
        beside: "",
        other: [""; 3],
        target: |_| None,
    },
    RESERVED,
    SNAPSHOT,
    RESTORE,
];

/// What is shown besides of processes that have memory in common.
const IN_COMMON: [Row; 2] = [
    Row {
        text: "memory when restored",
        what: "memory",
        sink: "tmpfs",
        beside: "before",
        other: ["subject", "memory", "none"],
        target: |_| Some(Target::AtMost(1.1)),
    },
    Row {
        text: "memory when restored",
        what: "memory",
        sink: "tmpfs",
        beside: "CRIU",
        other: ["criu", "memory", "tmpfs"],
        target: |_| None,
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
            "Medians over {} subjects of each kind, under -icount: 1 ms is a million instructions.",
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
    let kinds: Vec<_> = args.kinds().iter().map(Kind::to_string).collect();
    let kinds = kinds.join(" ");
    let _ = writeln!(
        text,
        "./workload ckpt {options} --dir /images {kinds} -- $BUSYBOX dd"
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
    let kinds = args.kinds();
    let mut bar = Bar::new(
        "measuring",
        Unit::Count("subjects"),
        Some(kinds.len() as u64 * u64::from(args.rounds)),
    );
    let mut script = counted("bench-ckpt", script(args))
        .file("workload", workload)
        .each_line(|line| {
            if figure(line).is_some_and(|(_, what, _)| is_last(&what, criu.is_some())) {
                bar.add(1);
            }
        });
    script.files.extend(criu.into_iter().flatten().cloned());
    let largest = kinds.iter().map(|kind| kind.memory()).max().unwrap_or(1);
    script.memory = MEMORY + 3 * largest;
    script
        .qemu
        .extend(["-cpu", "max,erms=off,fsrm=off"].map(String::from));
    // Each subject is a part of its own.
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

/// Whether this is the last figure of a subject.
fn is_last((who, what, _): &What, criu: bool) -> bool {
    what == "restore" && (who == "criu") == criu
}

/// Reads `ckpt KIND WHO WHAT SINK VALUE`.
fn figure(line: &str) -> Option<(Kind, What, f64)> {
    let words: Vec<_> = line.split_whitespace().collect();
    let ["ckpt", kind, who, what, sink, value] = words[..] else {
        return None;
    };
    let what = (who.to_owned(), what.to_owned(), sink.to_owned());
    Some((kind.parse().ok()?, what, value.parse().ok()?))
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
    for (&kind, figures) in found {
        for row in kind.rows() {
            let Some(ckpt) = value(figures, ["ckpt", row.what, row.sink]) else {
                bail!("the guest did not measure: {} of {}", row.text, kind.text());
            };
            let (ckpt, unit) = converted(kind, row.what, ckpt);
            let other = value(figures, row.other).map(|other| converted(kind, row.what, other).0);
            let ratio = other.map(|other| ckpt / other);
            let target = (row.target)(kind);
            comparisons.push(Comparison {
                kind,
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

/// A figure of the guest as it is shown, and its unit.
fn converted(kind: Kind, what: &str, value: f64) -> (f64, &'static str) {
    match (what, kind) {
        // All write what the process has, so the same bytes count for each.
        ("write", Kind::Memory { mib, .. }) => (f64::from(mib) * 1_048_576_000.0 / value, "MB/s"),
        ("memory", _) => (value / 1_048_576.0, "MiB"),
        _ => (value / 1e6, "ms"),
    }
}

fn table(comparisons: &[Comparison]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header([
        "subject", "what", "ckpt", "beside", "", "ratio", "target", "",
    ]);
    let figure = |value: f64, unit| format!("{value:.2} {unit}");
    let mut last = None;
    for comparison in comparisons {
        // Once for all rows of a subject.
        let name = match last.replace(comparison.kind) == Some(comparison.kind) {
            true => String::new(),
            false => comparison.kind.text(),
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
        "ckpt 1:small dd write tmpfs 2000000",
        "ckpt 1:small dd write pipe 1000000",
        "ckpt 1:small ckpt frozen tmpfs 3000000",
        "ckpt 1:small ckpt frozen reserved 1000000",
        "ckpt 1:small ckpt frozen pipe 1000000",
        "ckpt 1:small ckpt frozen null 1000000",
        "ckpt 1:small ckpt frozen snapshot 4500000",
        "ckpt 1:small ckpt write tmpfs 2000000",
        "ckpt 1:small ckpt write pipe 1048576",
        "ckpt 1:small ckpt restore tmpfs 4000000",
        "ckpt 1:small criu frozen tmpfs 30000000",
    ];

    const SMALL: Kind = Kind::Memory {
        pages: Pages::Small,
        mib: 1,
    };

    #[test]
    fn a_line_of_the_workload_is_read() {
        let (kind, what, value) = figure(LINES[0]).unwrap();
        assert_eq!(kind, SMALL);
        assert_eq!(what, ("dd".into(), "write".into(), "tmpfs".into()));
        assert_eq!(value, 2e6);
        assert!(figure("ckpt 1:small dd write tmpfs").is_none());
        assert!(figure("ckpt 1:pages dd write tmpfs 1").is_none());
        assert!(figure("ckpt small dd write tmpfs 1").is_none());
        assert!(figure("bench open-close 12.5").is_none());
    }

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    fn kinds(words: &[&str]) -> Option<Vec<Kind>> {
        let words = ["ckpt"].iter().chain(words);
        let cli = <Cli as clap::Parser>::try_parse_from(words).ok()?;
        Some(cli.args.kinds())
    }

    fn texts(words: &[&str]) -> String {
        let texts: Vec<_> = kinds(words).unwrap().iter().map(Kind::to_string).collect();
        texts.join(" ")
    }

    #[test]
    fn threads_and_processes_are_only_there_if_asked_for() {
        assert_eq!(texts(&[]), "1:small 16:small 128:small 512:small");
        assert_eq!(
            texts(&["--sizes", "1,16", "--huge"]),
            "1:small 1:huge 16:small 16:huge"
        );
        assert_eq!(
            texts(&["--sizes", "1", "--processes", "200", "--threads", "10,1000"]),
            "1:small 10:threads 1000:threads 200:processes"
        );
        assert!(kinds(&["--threads", "1"]).is_none());
        assert!(kinds(&["--processes", "0"]).is_none());
    }

    #[test]
    fn a_kind_is_read_as_it_is_written() {
        let all = kinds(&["--huge", "--threads", "9", "--processes", "7"]).unwrap();
        for &kind in &all {
            assert_eq!(kind.to_string().parse::<Kind>().unwrap(), kind);
        }
        let texts: Vec<_> = all.iter().map(|kind| kind.text()).collect();
        assert_eq!(texts[1], "1 MiB, huge pages");
        assert_eq!(texts[8..], ["9 threads", "7 processes"]);
    }

    #[test]
    fn the_guest_is_told_all_kinds() {
        let cli = <Cli as clap::Parser>::parse_from(["ckpt", "--sizes", "1", "--threads", "9"]);
        let text = script(&cli.args);
        let line = "./workload ckpt --rounds 3 --dir /images 1:small 9:threads -- $BUSYBOX dd\n";
        assert!(text.ends_with(line), "{text}");
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

    const FAMILY: [&str; 8] = [
        "ckpt 200:processes subject memory none 20971520",
        "ckpt 200:processes ckpt stopped reserved 1000000",
        "ckpt 200:processes ckpt frozen reserved 3000000",
        "ckpt 200:processes ckpt frozen snapshot 2000000",
        "ckpt 200:processes ckpt memory tmpfs 41943040",
        "ckpt 200:processes ckpt restore tmpfs 10000000",
        "ckpt 200:processes criu frozen tmpfs 25000000",
        "ckpt 200:processes criu restore tmpfs 40000000",
    ];

    #[test]
    fn a_family_is_measured_by_its_memory_too() {
        let comparisons = compare(&found(&FAMILY)).unwrap();
        let shown: Vec<_> = comparisons
            .iter()
            .map(|row| (row.what, row.ckpt, row.ratio, row.met))
            .collect();
        assert_eq!(shown[0], ("stopped", 1.0, None, None));
        assert_eq!(shown[1].3, Some(false));
        assert_eq!(shown[2].3, Some(true));
        assert_eq!(shown[3], ("restore", 10.0, Some(0.25), Some(true)));
        // Nothing of it is in common any more.
        let memory = ("memory when restored", 40.0, Some(2.0), Some(false));
        assert_eq!(shown[4], memory);
        assert_eq!(comparisons[4].unit, "MiB");
        // CRIU did not say.
        assert_eq!(shown[5], ("memory when restored", 40.0, None, None));
    }

    #[test]
    fn threads_have_no_memory_in_common_and_no_target_for_the_restore() {
        let lines = FAMILY.map(|line| line.replace("200:processes", "1000:threads"));
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        let comparisons = compare(&found(&lines)).unwrap();
        assert_eq!(comparisons.len(), TASKS.len());
        assert_eq!(comparisons[3].target, None);
        let text = table(&comparisons).to_string();
        assert_eq!(text.matches("1000 threads").count(), 1, "{text}");
    }

    #[test]
    fn in_json_a_subject_is_described_by_fields() {
        let json = |lines: &[&str]| serde_json::to_value(compare(&found(lines)).unwrap()).unwrap();
        let memory = &json(&LINES)[0];
        assert_eq!(
            (&memory["mib"], &memory["pages"]),
            (&1.into(), &"small".into())
        );
        assert_eq!(json(&FAMILY)[0]["processes"], 200);
    }

    #[test]
    fn the_median_of_the_rounds_counts() {
        let mut lines = LINES.to_vec();
        lines.extend(["ckpt 1:small ckpt frozen tmpfs 9000000"; 2]);
        assert_eq!(compare(&found(&lines)).unwrap()[0].ckpt, 9.0);
    }

    #[test]
    fn what_the_engine_did_not_do_is_an_error() {
        assert!(compare(&found(&LINES[..2])).is_err());
        assert!(compare(&BTreeMap::new()).is_err());
    }
}
