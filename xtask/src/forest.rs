// SPDX-License-Identifier: GPL-2.0

//! `cargo xtask forest`: trees of processes that are drawn by chance, saved and restored.
//!
//! The program `forest_ckpt` of the selftests goes through them in a guest, one seed after the other,
//! and makes the first tree smaller that is not as before. What was done is remembered for the same
//! kernel and program, so that `--resume` goes on with the trees that are left.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::exit::{Exit, Failure};
use crate::guest::{self, Console, Kernel, Limits, Outcome, Script};
use crate::kernel::{Arch, Base, Config, Flavour, Series, build};
use crate::memory::Memory;
use crate::probe;
use crate::progress::{Bar, Unit};
use crate::test::Selftests;

/// The program in the guest.
const PROGRAM: &str = "forest_ckpt";

/// How long one boot lasts, in minutes: a guest that is lost has done no more in vain.
const BOOT: u64 = 15;

/// What the program says about a tree with which nothing is wrong.
const AS_BEFORE: &str = "as before";

/// How lines start that are there for who reads the program's output as that of a test.
const FRAME: [&str; 5] = ["TAP version ", "1..", "ok ", "not ok ", "# Totals:"];

/// The command line of `cargo xtask forest`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Begins no other tree after this time; 10 minutes unless a number of trees is given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    minutes: Option<u64>,
    /// Goes through so many trees.
    #[arg(long, value_name = "N", conflicts_with = "minutes", value_parser = clap::value_parser!(u64).range(1..))]
    trees: Option<u64>,
    /// The first seed: another tree for each.
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// In a kernel with the debug checks.
    #[arg(long)]
    debug: bool,
    /// Goes on behind the last seed of those that were done with this kernel from the same first one on.
    #[arg(long)]
    resume: bool,
}

/// What is known about a kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    /// The seed that a run began with, and the one to go on with.
    first: u64,
    next: u64,
    /// How long it took.
    seconds: u64,
    /// How many there were in all trees.
    processes: u64,
    threads: u64,
    /// How many trees were saved by a snapshot.
    snapshots: u64,
    findings: Vec<Finding>,
}

/// A tree that is not as before, or a guest that is not as it should be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Finding {
    /// The trees that it takes.
    seed: u64,
    trees: u64,
    what: String,
    /// What the program says about it, or the kernel.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    report: Vec<String>,
}

/// What is printed for machines.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    state: &'a State,
    /// The command that shows the first finding again.
    #[serde(skip_serializing_if = "Option::is_none")]
    reproduce: Option<String>,
}

/// A tree that the program has gone through.
#[derive(Debug, PartialEq, Eq)]
struct Tree<'a> {
    seed: u64,
    processes: u64,
    threads: u64,
    snapshot: bool,
    /// By a word or two.
    what: &'a str,
}

impl<'a> Tree<'a> {
    /// Reads `seed N processes N threads N HOW: WHAT`.
    fn read(line: &'a str) -> Option<Self> {
        let (tree, what) = bare(line).split_once(": ")?;
        let words: Vec<&str> = tree.split_ascii_whitespace().collect();
        let [
            "seed",
            seed,
            "processes",
            processes,
            "threads",
            threads,
            how,
        ] = words.as_slice()
        else {
            return None;
        };
        Some(Self {
            seed: seed.parse().ok()?,
            processes: processes.parse().ok()?,
            threads: threads.parse().ok()?,
            snapshot: *how == "snapshot",
            what,
        })
    }

    fn is_as_before(&self) -> bool {
        self.what == AS_BEFORE
    }
}

impl State {
    fn new(first: u64) -> Self {
        let next = first;
        Self {
            first,
            next,
            ..Self::default()
        }
    }

    /// How many trees were gone through.
    fn trees(&self) -> u64 {
        self.next.wrapping_sub(self.first)
    }

    /// Takes a line of the program in; true when a tree was gone through and is as before. One that
    /// is not is done when all is said about it.
    fn take(&mut self, line: &str) -> bool {
        let Some(tree) = Tree::read(line) else {
            return false;
        };
        self.processes += tree.processes;
        self.threads += tree.threads;
        self.snapshots += u64::from(tree.snapshot);
        if tree.is_as_before() {
            self.next = tree.seed.wrapping_add(1);
        }
        tree.is_as_before()
    }
}

impl Finding {
    /// What it is about, and what it is.
    fn headline(&self) -> String {
        let (seed, what) = (self.seed, &self.what);
        match self.trees {
            1 => format!("seed {seed}: {what}"),
            trees => format!("{trees} trees from seed {seed}: {what}"),
        }
    }
}

impl Args {
    fn config(&self) -> Config {
        let flavour = match self.debug {
            true => Flavour::Debug,
            false => Flavour::Default,
        };
        Config {
            flavour,
            ..Config::of(Series::Ckpt, Arch::Qemu)
        }
    }

    /// What is left of the time, or of the trees; nothing when all is done.
    fn left(&self, state: &State) -> Option<Left> {
        if let Some(trees) = self.trees {
            let left = trees.saturating_sub(state.trees());
            return (left > 0).then_some(Left::Trees(left));
        }
        let all = 60 * self.minutes.unwrap_or(10);
        let left = all.saturating_sub(state.seconds);
        (left > 0).then_some(Left::Seconds(left))
    }

    /// How much of what was left at first is done, as the bar counts it.
    fn done(&self, began: &State, state: &State) -> u64 {
        match self.left(began) {
            Some(Left::Seconds(left)) => (100 * (state.seconds - began.seconds) / left).min(100),
            _ => state.trees() - began.trees(),
        }
    }

    /// The command that shows a finding again.
    fn reproduce(&self, base: &Base, finding: &Finding) -> String {
        let Finding { seed, trees, .. } = finding;
        let mut words = format!("cargo xtask forest --seed {seed} --trees {trees}");
        if self.debug {
            words += " --debug";
        }
        words + &base.arguments()
    }
}

/// What a run has still to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Trees(u64),
    Seconds(u64),
}

impl Left {
    /// The arguments of the program for one boot.
    fn words(self) -> String {
        match self {
            Self::Trees(trees) => format!("--trees {trees} --minutes {BOOT}"),
            Self::Seconds(seconds) => format!("--minutes {}", seconds.div_ceil(60).min(BOOT)),
        }
    }
}

/// Goes through the trees, and prints how many there were.
///
/// # Errors
///
/// The kernel or the program cannot be built, or the guest not be started.
pub fn run(args: &Args, base: &Base, json: bool) -> Result<ExitCode> {
    let built = build::ensure(base, &args.config())?;
    let tests = Selftests::build(&built, "ckpt")?;
    if let Some(error) = tests.error {
        return Err(Failure::new(Exit::Findings, error.join("\n")).into());
    }
    let program = tests.output.path().join(PROGRAM);
    let kernel = Kernel::from(built);
    let way = args.seed.to_string();
    let memory = Memory::new("forest", &kernel.image, &program, &way)?;
    let _lock = memory.lock()?;
    let mut state = State::new(args.seed);
    if args.resume {
        match memory.recall("leave `--resume` out")? {
            Some(before) => state = before,
            None => eprintln!("nothing was done with this kernel and program"),
        }
        eprintln!("going on with seed {}", state.next);
    }
    // What was found before has been told.
    let told = state.findings.len();

    let began = state.clone();
    let (unit, total) = match args.left(&began) {
        Some(Left::Seconds(_)) => (Unit::Percent, 100),
        Some(Left::Trees(trees)) => (Unit::Count("trees"), trees),
        None => (Unit::Count("trees"), 0),
    };
    let mut bar = Bar::new("restoring", unit, Some(total));
    let mut exit = Exit::Pass;
    while let Some(left) = args.left(&state) {
        let from = state.next;
        let console = go(&kernel, &program, left, &mut state, |state| {
            bar.set(args.done(&began, state));
            // A run that is stopped goes on from here; the next one is saved if this one is not.
            let _ = memory.keep(state);
        })?;
        exit = conclude(&mut state, &console, from)?;
        memory.keep(&state)?;
        if exit != Exit::Pass {
            bar.say(&format!("  read {}", console.log.display()));
            break;
        }
    }
    bar.finish();

    let finding = state.findings.get(told);
    let reproduce = finding.map(|finding| args.reproduce(base, finding));
    if json {
        let report = Report {
            state: &state,
            reproduce: reproduce.clone(),
        };
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        show(&state, told);
    }
    if let Some(command) = reproduce {
        eprintln!("reproduce: {command}");
    }
    Ok(exit.into())
}

/// Boots a guest and lets the program do a part of what is left; calls `passed` behind each tree that
/// is as before.
fn go(
    kernel: &Kernel,
    program: &Path,
    left: Left,
    state: &mut State,
    mut passed: impl FnMut(&State),
) -> Result<Console> {
    let text = format!("./{PROGRAM} --seed {} {}\n", state.next, left.words());
    let name = format!("forest-{}", state.first);
    let mut script = Script::new(name, text).file(PROGRAM, program);
    script.cmdline.push("kunit.enable=0".to_owned());
    // For one tree that waits in vain, or for its parts being taken away.
    let limits = Limits {
        test: Duration::from_secs(600),
        ..Limits::default()
    };
    script.limits = limits.scaled(kernel.slowness());
    script.renewed_by = Some(|line| Tree::read(line).is_some() || bare(line).starts_with("tree: "));
    let (start, before) = (Instant::now(), state.seconds);
    let seconds = |start: Instant| before + start.elapsed().as_secs();
    let script = script.each_line(|line| {
        if state.take(line) {
            state.seconds = seconds(start);
            passed(state);
        }
    });
    // Nothing but the program is needed, and it boots the sooner.
    let console = guest::run_plain(kernel, script, probe::accelerator())?;
    state.seconds = seconds(start);
    Ok(console)
}

/// Takes in how a guest has ended that began with the seed `from`.
fn conclude(state: &mut State, console: &Console, from: u64) -> Result<Exit> {
    let verdict = console.verdict();
    if let Some(skipped) = console.skipped() {
        return Err(skipped.into());
    }
    // No tree is to blame.
    if verdict.exit == Exit::Infrastructure || console.outcome == Outcome::BootTimeout {
        let failure = console.failure(verdict.exit, &verdict.findings());
        return Err(failure.into());
    }
    let said = about_the_last(&console.output);
    let wrong = said.iter().find_map(|line| Tree::read(line));
    let found = wrong.is_some();
    let over = matches!(
        console.outcome,
        Outcome::Exited(0) | Outcome::ShutdownTimeout
    );
    let mut findings = Vec::new();
    if let Some(tree) = wrong {
        findings.push(Finding {
            seed: tree.seed,
            trees: 1,
            what: tree.what.to_owned(),
            report: said.clone(),
        });
    }
    // The next run goes on behind the tree that was under way.
    if found || !over {
        state.next = state.next.wrapping_add(1);
    }
    // That tree alone may not be enough, so all of this boot until then.
    let trees = state.next.wrapping_sub(from);
    let mut add = |what: String, report: Vec<String>| {
        findings.push(Finding {
            seed: from,
            trees: trees.max(1),
            what,
            report,
        });
    };
    for splat in &verdict.splats {
        add(splat.headline(), splat.text.clone());
    }
    match verdict.trouble {
        // What the program found has been told by itself.
        Some(trouble) if !found || !matches!(console.outcome, Outcome::Exited(_)) => {
            add(trouble, if found { Vec::new() } else { said });
        }
        None if trees == 0 => add("the program went through no tree".to_owned(), said),
        _ => {}
    }
    let exit = match verdict.exit {
        Exit::Pass if !findings.is_empty() => Exit::Findings,
        exit => exit,
    };
    state.findings.extend(findings);
    Ok(exit)
}

/// What the program says behind the last tree that is as before.
fn about_the_last(output: &str) -> Vec<String> {
    let mut said = Vec::new();
    for line in output.lines() {
        if Tree::read(line).is_some_and(|tree| tree.is_as_before()) {
            said.clear();
        } else if !FRAME.iter().any(|start| line.starts_with(start)) {
            said.push(bare(line).to_owned());
        }
    }
    said
}

/// A line of the program without what makes it a comment.
fn bare(line: &str) -> &str {
    let line = line.trim_end();
    line.strip_prefix("# ").unwrap_or(line)
}

/// Prints what was done, for people.
fn show(state: &State, told: usize) {
    println!(
        "{} trees from seed {}, {} processes, {} threads, {} snapshots.",
        state.trees(),
        state.first,
        state.processes,
        state.threads,
        state.snapshots
    );
    for finding in &state.findings[told.min(state.findings.len())..] {
        println!("finding: {}", finding.headline());
        for line in &finding.report {
            println!("  {line}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forest(words: &[&str]) -> Args {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            args: Args,
        }
        let words = ["forest"].iter().chain(words);
        <Line as clap::Parser>::try_parse_from(words).unwrap().args
    }

    fn console(outcome: Outcome, output: &str, console: &str) -> Console {
        Console {
            outcome,
            output: output.to_owned(),
            console: console.to_owned(),
            log: "x.log".into(),
            time: Duration::ZERO,
        }
    }

    const PASSED: &str = "# seed 7 processes 3 threads 5 snapshot: as before";

    const FAILED: &str = "TAP version 13\n1..1\n\
        # seed 7 processes 3 threads 5 snapshot: as before\n\
        #   process 2: umask() is 18, not 63\n\
        # seed 8 processes 4 threads 4 suspended: find\n\
        # of 4 processes 2 are left after 31 runs:\n\
        # tree: seed 8, 2 processes, suspended\n\
        # process 0:\n\
        # process 1, made by 0, child of 0: umask\n\
        #   thread 1:\n\
        # then: find\n\
        # see forest_ckpt --seed 8\n\
        not ok 1 forest\n\
        # Totals: pass:0 fail:1 xfail:0 xpass:0 skip:0 error:0\n";

    #[test]
    fn what_the_program_says_is_added_up() {
        let mut state = State::new(7);
        assert!(state.take(PASSED));
        assert_eq!((state.next, state.trees()), (8, 1));
        assert!(state.take("# seed 8 processes 2 threads 2 suspended: as before"));
        let State {
            processes,
            threads,
            snapshots,
            ..
        } = state;
        assert_eq!((processes, threads, snapshots), (5, 7, 1));
        for line in [
            "# seed 9 processes 2 threads 2 suspended: restoring",
            "# seed x processes 2 threads 2 suspended: as before",
            "# tree: seed 9, 2 processes, suspended",
            "ok 1 forest",
            "",
        ] {
            assert!(!state.take(line), "{line}");
        }
        assert_eq!(state.next, 9);
    }

    #[test]
    fn a_tree_that_is_not_as_before_comes_with_the_whole_report() {
        let mut state = State::new(7);
        FAILED.lines().for_each(|line| _ = state.take(line));
        let failed = console(Outcome::Exited(1), FAILED, "");
        assert_eq!(conclude(&mut state, &failed, 7).unwrap(), Exit::Findings);
        let [finding] = state.findings.as_slice() else {
            panic!("{:?}", state.findings);
        };
        assert_eq!(finding.headline(), "seed 8: find");
        assert_eq!(
            finding.report.first().map(String::as_str),
            Some("  process 2: umask() is 18, not 63")
        );
        assert_eq!(
            finding.report.last().map(String::as_str),
            Some("see forest_ckpt --seed 8")
        );
        assert_eq!(finding.report.len(), 9);
        // The next run goes on behind it.
        assert_eq!((state.next, state.trees()), (9, 2));
        let line = forest(&["--minutes", "3", "--debug"]).reproduce(&Base::V7_3, finding);
        assert_eq!(line, "cargo xtask forest --seed 8 --trees 1 --debug");
        let words: Vec<&str> = line.split(' ').skip(3).collect();
        let again = forest(&words);
        assert_eq!((again.seed, again.trees, again.debug), (8, Some(1), true));
    }

    #[test]
    fn a_run_ends_with_its_time_or_its_trees() {
        let mut state = State::new(u64::MAX);
        assert_eq!(forest(&[]).left(&state), Some(Left::Seconds(600)));
        state.seconds = 90;
        let left = |words: &[&str], state: &State| forest(words).left(state);
        assert_eq!(left(&["--minutes", "2"], &state), Some(Left::Seconds(30)));
        assert_eq!(left(&["--minutes", "1"], &state), None);
        state.next = 1;
        assert_eq!(left(&["--trees", "4"], &state), Some(Left::Trees(2)));
        assert_eq!(left(&["--trees", "2"], &state), None);
        assert_eq!(Left::Seconds(61).words(), "--minutes 2");
        assert_eq!(Left::Seconds(100_000).words(), "--minutes 15");
        assert_eq!(Left::Trees(4).words(), "--trees 4 --minutes 15");
    }

    #[test]
    fn the_bar_counts_from_where_a_run_goes_on() {
        let began = State {
            next: 11,
            seconds: 60,
            ..State::new(1)
        };
        let now = State {
            next: 21,
            seconds: 90,
            ..State::new(1)
        };
        assert_eq!(forest(&["--trees", "100"]).done(&began, &now), 10);
        assert_eq!(forest(&["--minutes", "2"]).done(&began, &now), 50);
        let late = State {
            seconds: 200,
            ..now
        };
        assert_eq!(forest(&["--minutes", "2"]).done(&began, &late), 100);
    }

    #[test]
    fn what_the_kernel_says_is_a_finding_of_the_whole_boot() {
        let mut state = State::new(5);
        state.next = 7;
        assert!(state.take(PASSED));
        let splat = console(Outcome::Exited(0), PASSED, "[    1.0] BUG: x\n");
        assert_eq!(conclude(&mut state, &splat, 6).unwrap(), Exit::Findings);
        assert_eq!(state.next, 8);
        assert_eq!(
            state.findings[0].headline(),
            "2 trees from seed 6: kernel: BUG: x"
        );
    }

    #[test]
    fn a_guest_that_is_lost_is_a_finding_up_to_the_tree_under_way() {
        let mut state = State::new(7);
        assert!(state.take(PASSED));
        let output = format!("{PASSED}\n# it takes long\n");
        let lost = console(Outcome::Panicked, &output, "");
        assert_eq!(conclude(&mut state, &lost, 7).unwrap(), Exit::GuestCrash);
        assert_eq!((state.findings[0].seed, state.findings[0].trees), (7, 2));
        assert_eq!(state.findings[0].report, ["it takes long"]);
        assert_eq!(state.next, 9);
    }

    #[test]
    fn a_guest_without_trees_is_none_that_passes() {
        let mut state = State::new(1);
        let passed = console(Outcome::Exited(0), "ok 1 forest\n", "");
        assert_eq!(conclude(&mut state, &passed, 1).unwrap(), Exit::Findings);
        assert_eq!((state.findings.len(), state.next), (1, 1));
        for (outcome, output, exit) in [
            (
                Outcome::Exited(4),
                "1..0 # SKIP there is no /dev/ckpt",
                Exit::Skipped,
            ),
            (Outcome::BootTimeout, "", Exit::TimeLimit),
        ] {
            let error = conclude(&mut state, &console(outcome, output, ""), 1).unwrap_err();
            assert_eq!(crate::exit::of(&error), exit);
        }
        assert_eq!((state.findings.len(), state.next), (1, 1));
    }
}
