// SPDX-License-Identifier: GPL-2.0

//! `cargo xtask model`: what processes do by chance, compared with a model of the accounting.
//!
//! The program `model_bc` of the selftests does both in a guest, one seed after the other. What was
//! done is remembered for the same kernel and program, so that `--resume` goes on with the seeds that
//! are left.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use comfy_table::{CellAlignment, Table, presets};
use serde::{Deserialize, Serialize};

use crate::exit::{Exit, Failure};
use crate::guest::{self, Console, Kernel, Limits, Outcome, Script};
use crate::kernel::{Arch, Base, Config, Flavour, Series, build};
use crate::memory::Memory;
use crate::progress::{Bar, Unit};
use crate::test::Selftests;

/// The program in the guest.
const PROGRAM: &str = "model_bc";

/// How long one boot lasts: a guest that is lost has done no more in vain.
const BOOT: Duration = Duration::from_secs(900);

/// The command line of `cargo xtask model`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

/// Whose model.
#[derive(Clone, Debug, clap::Subcommand)]
enum What {
    /// Compares the beancounters with a model of what they count.
    Bc(Bc),
}

/// How the beancounters are compared.
#[derive(Clone, Debug, clap::Args)]
struct Bc {
    /// Begins no other seed after this time; 10 minutes unless a number of seeds is given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    minutes: Option<u64>,
    /// Goes through so many seeds.
    #[arg(long, value_name = "N", conflicts_with = "minutes", value_parser = clap::value_parser!(u64).range(1..))]
    seeds: Option<u64>,
    /// The first seed: other steps for another one.
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// One step after the other, or several at once; each seed is for both unless said.
    #[arg(long, value_enum)]
    mode: Option<Mode>,
    /// How many steps a seed has in each mode.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u64).range(10..=2000))]
    steps: u64,
    /// Where the kernel runs; QEMU has four processors.
    #[arg(long, value_enum, default_value_t = Arch::Um)]
    on: Arch,
    /// In a kernel with the debug checks.
    #[arg(long)]
    debug: bool,
    /// Goes on behind the last seed of those that were done with this kernel from the same first one on.
    #[arg(long)]
    resume: bool,
}

/// How the steps of a seed are done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Mode {
    /// Each result is foreseen.
    Sequential,
    /// Results are taken over and have to add up.
    Parallel,
}

impl Mode {
    const fn name(self) -> &'static str {
        match self {
            Self::Sequential => "sequential",
            Self::Parallel => "parallel",
        }
    }
}

/// What is known about a kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    /// The seed that a run began with, and the one to go on with.
    first: u64,
    next: u64,
    /// How long it took.
    seconds: u64,
    /// Seeds that were gone through in one mode.
    runs: u64,
    steps: u64,
    comparisons: u64,
    /// How many requests of each resource were refused.
    refusals: BTreeMap<String, u64>,
    findings: Vec<Finding>,
}

/// Something that is not as the model has it, or as a guest should be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Finding {
    seed: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mode: Option<String>,
    what: String,
    /// The fewest steps that still show it, and what they lead to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    steps: Vec<String>,
}

/// What is printed for machines.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    state: &'a State,
    /// The command that shows the last finding again.
    #[serde(skip_serializing_if = "Option::is_none")]
    reproduce: Option<String>,
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

    /// Takes a line of the program in; true when a seed was gone through in one of its modes.
    fn take(&mut self, line: &str) -> bool {
        let line = line.trim_start_matches("# ").trim_end();
        if let Some(rest) = line.strip_prefix("seed ") {
            return self.add(rest).is_some();
        }
        if let Some(rest) = line.strip_prefix("difference: seed ") {
            let mut words = rest.splitn(3, ' ');
            let seed = words.next().and_then(|seed| seed.parse().ok());
            self.findings.push(Finding {
                seed: seed.unwrap_or(self.next),
                mode: words.next().map(str::to_owned),
                what: words.next().unwrap_or_default().to_owned(),
                steps: Vec::new(),
            });
        } else if ["step ", "then", "of "]
            .iter()
            .any(|start| line.starts_with(start))
            && let Some(finding) = self.findings.last_mut()
        {
            finding.steps.push(line.to_owned());
        }
        false
    }

    /// Adds `SEED MODE steps N comparisons N refusals NAME N…`.
    fn add(&mut self, line: &str) -> Option<()> {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let [
            seed,
            mode,
            "steps",
            steps,
            "comparisons",
            comparisons,
            "refusals",
            refusals @ ..,
        ] = words.as_slice()
        else {
            return None;
        };
        let seed: u64 = seed.parse().ok()?;
        self.steps += steps.parse::<u64>().ok()?;
        self.comparisons += comparisons.parse::<u64>().ok()?;
        for pair in refusals.chunks_exact(2) {
            let number = pair[1].parse::<u64>().ok()?;
            *self.refusals.entry(pair[0].to_owned()).or_default() += number;
        }
        self.runs += 1;
        // The other mode of a seed that is gone on with is done once more at most.
        let last = *mode == Mode::Parallel.name();
        self.next = self.next.max(seed + u64::from(last));
        Some(())
    }
}

impl Bc {
    fn config(&self) -> Config {
        let flavour = match self.debug {
            true => Flavour::Debug,
            false => Flavour::Default,
        };
        Config {
            flavour,
            ..Config::of(Series::Bc, self.on)
        }
    }

    /// What is left of the time, or of the seeds; nothing when all is done.
    fn left(&self, state: &State) -> Option<Left> {
        if let Some(seeds) = self.seeds {
            let left = (state.first + seeds).saturating_sub(state.next);
            return (left > 0).then_some(Left::Seeds(left));
        }
        let all = Duration::from_secs(60 * self.minutes.unwrap_or(10));
        let left = all.saturating_sub(Duration::from_secs(state.seconds));
        (!left.is_zero()).then_some(Left::Time(left))
    }

    /// The command that shows a finding again.
    fn reproduce(&self, base: &Base, finding: &Finding) -> String {
        let seed = finding.seed;
        let mut words = format!("cargo xtask model bc --seed {seed} --seeds 1");
        if let Some(mode) = finding.mode.as_deref().or(self.mode.map(Mode::name)) {
            words += &format!(" --mode {mode}");
        }
        if self.steps != 200 {
            words += &format!(" --steps {}", self.steps);
        }
        words += &format!(" --on {}", self.on.name());
        if self.debug {
            words += " --debug";
        }
        words + &base.arguments()
    }
}

/// What a run has still to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Seeds(u64),
    Time(Duration),
}

/// Compares, and prints what was done.
///
/// # Errors
///
/// The kernel or the program cannot be built, or the guest not be started.
pub fn run(args: &Args, base: &Base, json: bool) -> Result<ExitCode> {
    let What::Bc(args) = &args.what;
    let built = build::ensure(base, &args.config())?;
    let tests = Selftests::build(&built, "bc")?;
    if let Some(error) = tests.error {
        return Err(Failure::new(Exit::Findings, error.join("\n")).into());
    }
    let program = tests.output.path().join(PROGRAM);
    let kernel = Kernel::from(built);
    let way = format!("{:?} {} {}", args.mode, args.steps, args.seed);
    let memory = Memory::new("model", &kernel.image, &program, &way)?;
    let _lock = memory.lock()?;
    let mut state = State::new(args.seed);
    if args.resume {
        match memory.recall("leave `--resume` out")? {
            Some(before) => state = before,
            None => eprintln!("nothing was done with this kernel and program: starting"),
        }
    }
    // What was found before has been told.
    let told = state.findings.len();

    let (unit, total) = match args.seeds {
        Some(seeds) => (Unit::Count("seeds"), seeds),
        None => (Unit::Percent, 100),
    };
    let mut bar = Bar::new("comparing", unit, Some(total));
    let mut exit = Exit::Pass;
    while let Some(left) = args.left(&state) {
        let console = go(args, &kernel, &program, left, &mut state, &memory, &mut bar)?;
        exit = conclude(&mut state, &console, told)?;
        memory.keep(&state)?;
        if exit != Exit::Pass {
            break;
        }
    }
    bar.finish();

    let finding = state.findings.get(told..).and_then(<[Finding]>::last);
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

/// Boots a guest and lets the program do a part of what is left.
fn go(
    args: &Bc,
    kernel: &Kernel,
    program: &Path,
    left: Left,
    state: &mut State,
    memory: &Memory,
    bar: &mut Bar,
) -> Result<Console> {
    let until = match left {
        Left::Seeds(seeds) => format!("-n {seeds} -t {}", BOOT.as_secs()),
        Left::Time(time) => format!("-t {}", time.min(BOOT).as_secs().max(1)),
    };
    let mode = args
        .mode
        .map_or(String::new(), |mode| format!(" -m {}", mode.name()));
    let (next, steps) = (state.next, args.steps);
    let text = format!("./{PROGRAM} -s {next} {until} -l {steps}{mode}\n");
    let name = format!("model-bc-{}", state.first);
    let mut script = Script::new(name, text).file(PROGRAM, program);
    script.cmdline.push("kunit.enable=0".to_owned());
    // For one seed, with the steps being left out.
    script.limits = Limits::default();
    script.renewed_by = Some(|line| {
        let line = line.trim_start_matches("# ");
        line.starts_with("seed ") || line.starts_with("difference: ")
    });
    let (start, before) = (Instant::now(), state.seconds);
    let seconds = |start: Instant| before + start.elapsed().as_secs();
    let script = script.each_line(|line| {
        if !state.take(line) {
            return;
        }
        if args.mode == Some(Mode::Sequential) {
            // Nothing else comes of this seed.
            state.next += 1;
        }
        state.seconds = seconds(start);
        match args.seeds {
            Some(_) => bar.set(state.next - state.first),
            None => {
                let all = 60 * args.minutes.unwrap_or(10);
                bar.set((100 * state.seconds / all).min(100));
            }
        }
        // A run that is stopped goes on from here; the next one is saved if this one is not.
        let _ = memory.keep(state);
    });
    let console = guest::run(kernel, script)?;
    state.seconds = seconds(start);
    Ok(console)
}

/// Takes in how a guest has ended.
fn conclude(state: &mut State, console: &Console, told: usize) -> Result<Exit> {
    let verdict = console.verdict();
    if let Some(skipped) = console.skipped() {
        return Err(skipped.into());
    }
    // Whether the program has told what was wrong.
    let found = state.findings.len() > told;
    let seed = state.next;
    let mut add = |what: String| {
        state.findings.push(Finding {
            seed,
            what,
            ..Finding::default()
        });
    };
    verdict
        .splats
        .iter()
        .for_each(|splat| add(splat.headline()));
    match &verdict.trouble {
        Some(trouble) if !found || !matches!(console.outcome, Outcome::Exited(_)) => {
            add(trouble.clone());
            let tail: Vec<&str> = console.output.lines().rev().take(20).collect();
            for line in tail.iter().rev() {
                eprintln!("  {line}");
            }
        }
        _ => {}
    }
    if verdict.exit != Exit::Pass {
        eprintln!("  read {}", console.log.display());
        // The next run goes on behind it.
        let behind = state.findings.last().map_or(0, |finding| finding.seed + 1);
        state.next = state.next.max(behind);
    }
    Ok(verdict.exit)
}

/// Prints what was done, for people.
fn show(state: &State, told: usize) {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["resource", "refusals"]);
    for (name, number) in &state.refusals {
        table.add_row([name.clone(), number.to_string()]);
    }
    if let Some(column) = table.column_mut(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    println!("{table}");
    println!(
        "{} seeds from {}, {} runs, {} steps, {} comparisons.",
        state.next - state.first,
        state.first,
        state.runs,
        state.steps,
        state.comparisons
    );
    for finding in &state.findings[told.min(state.findings.len())..] {
        println!("finding: seed {} {}", finding.seed, finding.what);
        for step in &finding.steps {
            println!("  {step}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bc(words: &[&str]) -> Bc {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            args: Args,
        }
        let words = ["model", "bc"].iter().chain(words);
        let line = <Line as clap::Parser>::try_parse_from(words).unwrap();
        let What::Bc(args) = line.args.what;
        args
    }

    const DONE: &str = "# seed 7 parallel steps 420 comparisons 9000 refusals numproc 3 numfile 11";

    #[test]
    fn what_the_program_says_is_added_up() {
        let mut state = State::new(7);
        assert!(state.take(&DONE.replace("parallel", "sequential")));
        assert_eq!(state.next, 7);
        assert!(state.take(DONE));
        assert_eq!((state.next, state.runs, state.steps), (8, 2, 840));
        assert_eq!(state.comparisons, 18000);
        assert_eq!(state.refusals["numfile"], 22);
        for line in ["# seed 8", "# seed x parallel steps", "ok 1 model", ""] {
            assert!(!state.take(line), "{line}");
        }
        assert_eq!(state.next, 8);
    }

    #[test]
    fn a_difference_comes_with_its_steps() {
        let mut state = State::new(1);
        for line in [
            "# difference: seed 5 parallel step 80: numfile held of t is 2, expected 1",
            "# of 200 steps 2 are left after 31 runs:",
            "# step 1: one makes a cgroup c1 in t: Success",
            "# then: numfile held of t is 2, expected 1",
            "not ok 1 model",
        ] {
            assert!(!state.take(line));
        }
        let finding = &state.findings[0];
        assert_eq!(
            (finding.seed, finding.mode.as_deref()),
            (5, Some("parallel"))
        );
        assert!(finding.what.starts_with("step 80: numfile held"));
        assert_eq!(finding.steps.len(), 3);
        let line = bc(&["--minutes", "3", "--on", "qemu"]).reproduce(&Base::V7_2, finding);
        assert_eq!(
            line,
            "cargo xtask model bc --seed 5 --seeds 1 --mode parallel --on qemu --base 7.2"
        );
        let words: Vec<&str> = line.split(' ').skip(4).take(8).collect();
        assert_eq!((bc(&words).seed, bc(&words).seeds), (5, Some(1)));
    }

    #[test]
    fn a_run_ends_with_its_time_or_its_seeds() {
        let mut state = State::new(3);
        assert_eq!(
            bc(&[]).left(&state),
            Some(Left::Time(Duration::from_secs(600)))
        );
        state.seconds = 90;
        assert_eq!(
            bc(&["--minutes", "2"]).left(&state),
            Some(Left::Time(Duration::from_secs(30)))
        );
        assert_eq!(bc(&["--minutes", "1"]).left(&state), None);
        state.next = 5;
        assert_eq!(bc(&["--seeds", "4"]).left(&state), Some(Left::Seeds(2)));
        assert_eq!(bc(&["--seeds", "2"]).left(&state), None);
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

    #[test]
    fn a_guest_that_is_lost_is_a_finding_of_its_seed() {
        let mut state = State::new(4);
        let lost = console(Outcome::Panicked, "", "");
        assert_eq!(conclude(&mut state, &lost, 0).unwrap(), Exit::GuestCrash);
        assert_eq!((state.findings[0].seed, state.next), (4, 5));
        let splat = console(Outcome::Exited(0), "", "[    1.0] BUG: x\n");
        assert_eq!(conclude(&mut state, &splat, 1).unwrap(), Exit::Findings);
        assert_eq!(state.findings.len(), 2);
        assert_eq!(
            conclude(&mut state, &console(Outcome::Exited(0), "", ""), 2).unwrap(),
            Exit::Pass
        );
    }

    #[test]
    fn what_the_program_told_is_not_told_twice() {
        let mut state = State::new(1);
        state.take("# difference: seed 1 sequential step 2: x");
        let failed = console(Outcome::Exited(1), "", "");
        assert_eq!(conclude(&mut state, &failed, 0).unwrap(), Exit::Findings);
        assert_eq!((state.findings.len(), state.next), (1, 2));
        let skipped = console(Outcome::Exited(4), "1..0 # SKIP no controller", "");
        let error = conclude(&mut state, &skipped, 0).unwrap_err();
        assert_eq!(crate::exit::of(&error), Exit::Skipped);
    }
}
