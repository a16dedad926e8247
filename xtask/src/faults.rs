// SPDX-License-Identifier: GPL-2.0

//! `cargo xtask faults`: fails everything that the checkpoint engine asks the kernel for, one thing
//! at a time.
//!
//! The program `fault_ckpt` of the selftests does it in a guest with the debug checks: each verb is
//! repeated, and each time one more of its allocations, or of its accesses to its caller's memory,
//! succeeds before one fails. The program looks at the container afterwards, and this file at the
//! kernel's log. What was done is remembered for the same kernel and program, so that a run goes on
//! where the last one stopped.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use comfy_table::{CellAlignment, Table, presets};
use serde::{Deserialize, Serialize};

use crate::exit::{Exit, Failure};
use crate::guest::{self, Console, Kernel, Limits, Outcome, Script};
use crate::kernel::{Arch, Base, Config, Flavour, Series, build};
use crate::ktap;
use crate::lock::Lock;
use crate::memory::Memory;
use crate::probe;
use crate::progress::{Bar, Unit};
use crate::test::Selftests;

/// The program in the guest.
const PROGRAM: &str = "fault_ckpt";

/// What is repeated, and what of it fails; the program has the same names.
const VERBS: [&str; 7] = [
    "check", "suspend", "dump", "snapshot", "resume", "kill", "restore",
];
const KINDS: [&str; 3] = ["slab", "page", "user"];

/// How a line about a fault starts, in the program's output and in the kernel's log.
const FAULT: &str = "fault ";

/// The command line of `cargo xtask faults`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// What to go through; all unless said.
    #[arg(value_name = "VERB[:KIND[:NTH]]", value_parser = Choice::parse)]
    choices: Vec<Choice>,
    /// Stops after this time; the next run goes on from there.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    minutes: Option<u64>,
    /// Forgets what was done before.
    #[arg(long)]
    again: bool,
}

/// A part of what can be gone through.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Choice {
    verb: String,
    kind: Option<String>,
    /// One fault only.
    nth: Option<u64>,
}

impl Choice {
    fn parse(word: &str) -> Result<Self, String> {
        let mut words = word.split(':');
        let mut next = |known: &[&str]| match words.next() {
            Some(word) if known.contains(&word) => Ok(Some(word.to_owned())),
            Some(_) => Err(format!("one of {}", known.join(", "))),
            None => Ok(None),
        };
        let verb = next(&VERBS)?.unwrap_or_default();
        let kind = next(&KINDS)?;
        let nth = match words.next().map(str::parse) {
            None => None,
            Some(Ok(nth)) if nth > 0 => Some(nth),
            Some(_) => return Err("a fault has a number from 1 on".to_owned()),
        };
        match words.next() {
            None => Ok(Self { verb, kind, nth }),
            Some(_) => Err("VERB, VERB:KIND or VERB:KIND:NTH".to_owned()),
        }
    }

    fn has(&self, verb: &str, kind: &str) -> bool {
        self.verb == verb && self.kind.as_deref().is_none_or(|own| own == kind)
    }
}

/// What is known about one kind of faults in one verb.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Sweep {
    verb: String,
    kind: String,
    /// The fault to go on with, from 1.
    next: u64,
    /// Whether the verb has no more of them.
    complete: bool,
    /// How often it failed.
    failed: u64,
    /// How often it did without.
    survived: u64,
    /// The call stacks that something failed in, by number.
    stacks: BTreeSet<String>,
}

/// What is known about a kernel.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct State {
    sweeps: Vec<Sweep>,
    /// The functions of each call stack, from the innermost.
    stacks: BTreeMap<String, Vec<String>>,
    findings: Vec<String>,
}

/// What the program says about a fault.
#[derive(Debug, PartialEq, Eq)]
enum Said<'a> {
    /// The verb was cut short, or not; where, if that was seen.
    Done { failed: bool, stack: &'a str },
    /// There is no such fault.
    End,
    /// The time is over.
    Pending,
    /// Something is not as it should be afterwards.
    Finding,
}

impl State {
    fn new() -> Self {
        let sweep = |(verb, kind): (&str, &str)| Sweep {
            verb: verb.to_owned(),
            kind: kind.to_owned(),
            next: 1,
            ..Sweep::default()
        };
        let all = VERBS
            .iter()
            .flat_map(|verb| KINDS.map(|kind| (*verb, kind)));
        Self {
            sweeps: all.map(sweep).collect(),
            ..Self::default()
        }
    }

    fn sweep(&mut self, verb: &str, kind: &str) -> Option<&mut Sweep> {
        let mut sweeps = self.sweeps.iter_mut();
        sweeps.find(|sweep| sweep.verb == verb && sweep.kind == kind)
    }

    /// Takes a line of the program in; true if it was about a fault.
    fn take(&mut self, line: &str) -> bool {
        let line = line.trim_start_matches("# ").trim_end();
        if let Some((number, functions)) = line
            .strip_prefix("stack ")
            .and_then(|line| line.split_once(' '))
        {
            let functions = functions.split(' ').map(str::to_owned).collect();
            self.stacks.insert(number.to_owned(), functions);
            return false;
        }
        let Some((verb, kind, nth, said)) = read(line) else {
            return false;
        };
        let finding = said == Said::Finding;
        let Some(sweep) = self.sweep(verb, kind) else {
            return false;
        };
        match said {
            Said::Done { failed, stack } => {
                sweep.next = nth + 1;
                sweep.failed += u64::from(failed);
                sweep.survived += u64::from(!failed);
                if stack.bytes().any(|digit| digit != b'0') {
                    sweep.stacks.insert(stack.to_owned());
                }
            }
            Said::End => sweep.complete = true,
            Said::Pending => {}
            Said::Finding => sweep.next = nth + 1,
        }
        if finding {
            self.findings.push(format!("{verb}:{kind}:{nth}"));
        }
        true
    }

    fn visited(&self) -> u64 {
        let sweeps = self.sweeps.iter();
        sweeps.map(|sweep| sweep.failed + sweep.survived).sum()
    }
}

/// Reads a line `fault VERB KIND NTH WHAT… [STACK]`.
fn read(line: &str) -> Option<(&str, &str, u64, Said<'_>)> {
    let mut words = line.strip_prefix(FAULT)?.splitn(4, ' ');
    let (verb, kind, nth) = (words.next()?, words.next()?, words.next()?.parse().ok()?);
    let said = match words.next()? {
        "end" => Said::End,
        "pending" => Said::Pending,
        "finding" => Said::Finding,
        rest => {
            let (what, stack) = rest.rsplit_once(' ')?;
            let failed = what != "survived";
            Said::Done { failed, stack }
        }
    };
    Some((verb, kind, nth, said))
}

/// Goes through the faults, and prints how many there were.
///
/// # Errors
///
/// The kernel or the program cannot be built, or the guest not be started.
pub fn run(args: &Args, base: &Base, json: bool) -> Result<ExitCode> {
    let _lock = Lock::exclusive("faults")?;
    let start = Instant::now();
    let config = Config {
        flavour: Flavour::Debug,
        ..Config::of(Series::Ckpt, Arch::Qemu)
    };
    let built = build::ensure(base, &config)?;
    let tests = Selftests::build(&built, "ckpt")?;
    if let Some(error) = tests.error {
        return Err(Failure::new(Exit::Findings, error.join("\n")).into());
    }
    let program = tests.output.path().join(PROGRAM);
    let kernel = Kernel::from(built);
    let memory = Memory::new("faults", &kernel.image, &program, "")?;
    let one = args.choices.iter().any(|choice| choice.nth.is_some());
    let known = match args.again || one {
        true => None,
        false => memory.recall("`--again` starts anew")?,
    };
    let mut state = known.unwrap_or_else(State::new);

    let mut bar = Bar::new("failing", Unit::Count("things"), None);
    let mut exit = Exit::Pass;
    loop {
        let left = args
            .minutes
            .map(|minutes| Duration::from_secs(60 * minutes).saturating_sub(start.elapsed()));
        let words = pending(&state, &args.choices);
        if words.is_empty() || left.is_some_and(|left| left.is_zero()) {
            break;
        }
        let before = words.clone();
        let console = go(&kernel, &program, &words, left, &mut state, &mut bar)?;
        let verdict = conclude(&mut state, &console);
        if !one {
            memory.keep(&state)?;
        }
        if verdict != Exit::Pass {
            exit = verdict;
        }
        // A guest that came to no fault at all would not come to one the next time.
        if one || verdict == Exit::Infrastructure || pending(&state, &args.choices) == before {
            break;
        }
    }
    bar.finish();

    if exit == Exit::Pass && !state.findings.is_empty() {
        exit = Exit::Findings;
    }
    if json {
        println!("{}", serde_json::to_string_pretty(&state)?);
    } else {
        show(&state);
    }
    if exit != Exit::Pass {
        let first = state.findings.iter().find_map(|finding| {
            let word = finding.split_whitespace().next()?;
            Choice::parse(word).ok().map(|_| word)
        });
        eprintln!(
            "reproduce: cargo xtask faults {}{}",
            first.unwrap_or_default(),
            base.arguments()
        );
    }
    Ok(exit.into())
}

/// What is still to be done, as the program wants to be told.
fn pending(state: &State, choices: &[Choice]) -> Vec<String> {
    let mut words = Vec::new();
    for Sweep {
        verb,
        kind,
        next,
        complete,
        ..
    } in &state.sweeps
    {
        let mut chosen = choices.iter().filter(|choice| choice.has(verb, kind));
        let first = chosen.next();
        match first.and_then(|choice| choice.nth) {
            Some(nth) => words.push(format!("{verb}:{kind}:{nth}:{nth}")),
            None if *complete || (first.is_none() && !choices.is_empty()) => {}
            None => words.push(format!("{verb}:{kind}:{next}")),
        }
    }
    words
}

/// Boots a guest and lets the program fail what is pending.
fn go(
    kernel: &Kernel,
    program: &Path,
    words: &[String],
    left: Option<Duration>,
    state: &mut State,
    bar: &mut Bar,
) -> Result<Console> {
    let seconds = left.map_or(String::new(), |left| {
        format!("-s {} ", left.as_secs().max(1))
    });
    let text = format!("./{PROGRAM} {seconds}{}\n", words.join(" "));
    let mut script = Script::new("faults", text).file(PROGRAM, program);
    // The faults are counted for all tasks together, without a lock.
    script.cpus = 1;
    // For one fault, or the leak detector's work.
    let limits = Limits {
        test: Duration::from_secs(120),
        ..Limits::default()
    };
    script.limits = limits.scaled(kernel.slowness());
    script.renewed_by = Some(|line| line.contains(FAULT));
    let script = script.each_line(|line| {
        if state.take(line) {
            bar.set(state.visited());
        }
    });
    // Nothing but the program asks the kernel for anything, and it boots the sooner.
    guest::run_plain(kernel, script, probe::accelerator())
}

/// Takes in how a guest has ended, and what its kernel had to say, by the fault that it came with.
fn conclude(state: &mut State, console: &Console) -> Exit {
    let verdict = console.verdict();
    let lines: Vec<_> = console.console.lines().collect();
    let during = |line: usize| {
        let before = lines.iter().take(line).rev();
        let said = before.map(|line| ktap::kernel_message(line).unwrap_or_default());
        said.filter_map(|line| line.strip_prefix(FAULT))
            .next()
            .map_or_else(
                || "before the first fault".to_owned(),
                |fault| fault.trim_end().replace(' ', ":"),
            )
    };
    for splat in &verdict.splats {
        let finding = format!("{} {}", during(splat.line), splat.headline());
        state.findings.push(finding);
    }
    if let Some(trouble) = &verdict.trouble {
        // What the program found has been told by itself, and does not end the guest.
        if !matches!(console.outcome, Outcome::Exited(_)) || state.findings.is_empty() {
            let at = during(lines.len());
            state.findings.push(format!("{at} {trouble}"));
            // The next guest goes on behind it.
            let words: Vec<_> = at.split(':').collect();
            if let ([verb, kind, nth], false) =
                (&words[..], matches!(console.outcome, Outcome::Exited(_)))
            {
                let nth = nth.parse::<u64>().unwrap_or_default();
                if let Some(sweep) = state.sweep(verb, kind) {
                    sweep.next = sweep.next.max(nth + 1);
                }
            }
        }
        eprintln!("  {trouble}; read {}", console.log.display());
    }
    verdict.exit
}

/// Prints what was done, for people.
fn show(state: &State) {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header([
        "verb",
        "kind",
        "faults",
        "failed",
        "survived",
        "call stacks",
        "",
    ]);
    for verb in VERBS {
        let mut stacks = BTreeSet::new();
        for sweep in state.sweeps.iter().filter(|sweep| sweep.verb == verb) {
            stacks.extend(&sweep.stacks);
            table.add_row([
                verb.to_owned(),
                sweep.kind.clone(),
                (sweep.failed + sweep.survived).to_string(),
                sweep.failed.to_string(),
                sweep.survived.to_string(),
                sweep.stacks.len().to_string(),
                match sweep.complete {
                    true => "complete".to_owned(),
                    false => format!("goes on at {}", sweep.next),
                },
            ]);
        }
        let total = stacks.len().to_string();
        table.add_row([verb, "all", "", "", "", &total, ""]);
    }
    for column in 2..6 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    println!("{table}");
    let all: BTreeSet<_> = state
        .sweeps
        .iter()
        .flat_map(|sweep| &sweep.stacks)
        .collect();
    println!(
        "{} faults in {} different call stacks.",
        state.visited(),
        all.len()
    );
    for finding in &state.findings {
        println!("finding: {finding}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_names_a_verb_a_kind_and_a_fault() {
        let choice = Choice::parse("dump:slab:7").unwrap();
        assert_eq!(
            (choice.nth, choice.kind.as_deref()),
            (Some(7), Some("slab"))
        );
        assert!(choice.has("dump", "slab") && !choice.has("dump", "page"));
        assert!(Choice::parse("dump").unwrap().has("dump", "page"));
        for wrong in ["", "dumb", "dump:slob", "dump:slab:0", "dump:slab:1:2"] {
            assert!(Choice::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_the_program_says_is_remembered() {
        let mut state = State::new();
        let lines = [
            "# stack 00000000000000aa kmem_cache_alloc ckpt_x",
            "# fault dump slab 1 Cannot allocate memory 00000000000000aa",
            "# fault dump slab 2 survived 0000000000000000",
            "# fault dump slab 3 finding",
            "# fault dump page 1 end",
            "# fault dump user 5 pending",
            "ok 1 dump_slab",
        ];
        let about = lines.map(|line| state.take(line));
        assert_eq!(about, [false, true, true, true, true, true, false]);
        let sweep = state.sweep("dump", "slab").unwrap().clone();
        assert_eq!((sweep.next, sweep.failed, sweep.survived), (4, 1, 1));
        assert_eq!(sweep.stacks.len(), 1);
        assert_eq!(state.findings, ["dump:slab:3"]);
        let functions = &state.stacks["00000000000000aa"];
        assert_eq!(functions, &["kmem_cache_alloc", "ckpt_x"]);
        let choices = [Choice::parse("dump").unwrap()];
        assert_eq!(pending(&state, &choices), ["dump:slab:4", "dump:user:1"]);
        let choices = [Choice::parse("dump:page:9").unwrap()];
        assert_eq!(pending(&state, &choices), ["dump:page:9:9"]);
    }

    #[test]
    fn a_report_of_the_kernel_belongs_to_the_fault_before_it() {
        let mut state = State::new();
        let console = Console {
            outcome: Outcome::Panicked,
            output: String::new(),
            console: "[    1.0] fault dump slab 4\n[    1.1] fault dump slab 5\n\
                      [    1.2] BUG: x\n[    1.3] Kernel panic - not syncing: x\n"
                .to_owned(),
            log: "x.log".into(),
            time: Duration::ZERO,
        };
        assert_eq!(conclude(&mut state, &console), Exit::GuestCrash);
        assert_eq!(state.findings[0], "dump:slab:5 kernel: BUG: x");
        assert_eq!(state.sweep("dump", "slab").unwrap().next, 6);
    }
}
