// SPDX-License-Identifier: GPL-2.0

//! `cargo xtask test`: the tiers, what each of them runs, and where.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{ErrorKind, IsTerminal, Write};
use std::mem;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use regex_lite::Regex;
use tempfile::TempDir;
use xshell::{Shell, cmd};

use crate::exit::{self, Exit, Failure};
use crate::guest::{self, Console, Kernel, Limits, Outcome, Script};
use crate::kernel::build::{self, Built};
use crate::kernel::{self, Arch, Base, Config, Flavour, Series};
use crate::ktap::{self, Node, Status};
use crate::lock::Lock;
use crate::report::{Report, Run};
use crate::{cmd, paths, probe, runtimes, toolchain, workload};

/// What can be tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tier {
    /// The crates of this repository, on this machine.
    Host,
    /// The unit tests that are built into the kernel.
    Kunit,
    /// The selftests of the controller.
    Bc,
    /// Runtimes of containers, with the controller.
    Runtimes,
    /// The selftests of the checkpoint engine.
    Ckpt,
}

impl Tier {
    const ALL: [Self; 5] = [
        Self::Host,
        Self::Kunit,
        Self::Bc,
        Self::Runtimes,
        Self::Ckpt,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Kunit => "kunit",
            Self::Bc => "bc",
            Self::Runtimes => "runtimes",
            Self::Ckpt => "ckpt",
        }
    }

    /// What the kernel is patched with.
    fn series(self) -> Series {
        match self {
            Self::Ckpt => Series::Ckpt,
            _ => Series::Bc,
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tier| tier.name() == name)
    }

    /// The machines that a tier uses unless some are named.
    fn usual(self, flavour: Flavour) -> &'static [Arch] {
        match (self, flavour) {
            // The unit tests are only built into the kernels for user-mode Linux.
            (Self::Host, _) | (Self::Kunit, Flavour::Kcsan) => &[],
            (Self::Kunit, _) => &[Arch::Um],
            (Self::Bc | Self::Runtimes, Flavour::Kcsan) => &[Arch::Qemu],
            (Self::Runtimes, _) => &[Arch::Um],
            (Self::Bc, _) => &[Arch::Um, Arch::Qemu],
            (Self::Ckpt, _) => &[Arch::Qemu],
        }
    }
}

/// The command line of `cargo xtask test`.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Args {
    /// Tiers (host, kunit, bc, runtimes, ckpt; all unless said), then a part of the names of the tests
    /// to run.
    #[arg(value_name = "TIER|FILTER")]
    words: Vec<String>,
    /// Where the kernel runs; several are possible.
    #[arg(long, value_enum)]
    on: Vec<Arch>,
    /// Runs the tests in a guest this many times, without a new boot.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    repeat: u32,
    /// In kernels with the debug checks: KASAN, lockdep, kmemleak and others.
    #[arg(long, conflicts_with = "kcsan")]
    debug: bool,
    /// In a kernel with the data race detector.
    #[arg(long)]
    kcsan: bool,
    /// Where the results go as JUnit XML, besides the logs.
    #[arg(long, value_name = "PATH")]
    junit: Option<PathBuf>,
}

/// One tier on one machine.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Job {
    tier: Tier,
    on: Option<Arch>,
}

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    jobs: Vec<Job>,
    /// The jobs are of tiers that were asked for.
    named: bool,
    filter: Option<String>,
    flavour: Flavour,
    repeat: u32,
}

impl Plan {
    fn new(args: &Args) -> Result<Self> {
        let usage = |what: String| anyhow::Error::from(Failure::new(Exit::Usage, what));
        let flavour = match (args.debug, args.kcsan) {
            (true, _) => Flavour::Debug,
            (_, true) => Flavour::Kcsan,
            _ => Flavour::Default,
        };
        if flavour == Flavour::Kcsan && args.on.contains(&Arch::Um) {
            return Err(usage(
                "user-mode Linux has no data race detector".to_owned(),
            ));
        }
        let mut tiers = Vec::new();
        let mut filter = None;
        for word in &args.words {
            match (Tier::named(word), &filter) {
                (Some(tier), None) if !tiers.contains(&tier) => tiers.push(tier),
                (Some(_), None) => {}
                (_, None) => filter = Some(word.clone()),
                (_, Some(filter)) => {
                    return Err(usage(format!(
                        "`{word}` comes after the filter `{filter}`, of which there is one, at the end"
                    )));
                }
            }
        }
        let named = !tiers.is_empty();
        if !named {
            // The host's tests run the same under every kernel and on every machine.
            let special = flavour != Flavour::Default || !args.on.is_empty();
            tiers.extend(Tier::ALL.into_iter().filter(|tier| match tier {
                Tier::Host => !special,
                // Their programs are large and slow.
                Tier::Runtimes => flavour == Flavour::Default,
                _ => true,
            }));
        }
        let mut jobs = Vec::new();
        for tier in tiers {
            if tier == Tier::Host {
                jobs.push(Job { tier, on: None });
                continue;
            }
            let usual = tier.usual(flavour);
            let machines = if args.on.is_empty() { usual } else { &args.on };
            // A tier that was not asked for goes where it is at home.
            let machines = machines.iter().filter(|arch| named || usual.contains(arch));
            for &arch in machines {
                tier.series().check(arch)?;
                let on = Some(arch);
                let job = Job { tier, on };
                if !jobs.contains(&job) {
                    jobs.push(job);
                }
            }
        }
        if jobs.is_empty() {
            let what = "the unit tests are only built into the kernels for user-mode Linux";
            return Err(usage(what.to_owned()));
        }
        Ok(Self {
            jobs,
            named,
            filter,
            flavour,
            repeat: args.repeat,
        })
    }

    /// Which jobs run one after the other, by their numbers; what is in different lanes runs at once.
    fn lanes(&self) -> Vec<Vec<usize>> {
        let mut lanes: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (at, job) in self.jobs.iter().enumerate() {
            // Each kernel under QEMU takes longer than all others together; no two lanes share one.
            let lane = match job.on {
                Some(Arch::Qemu) => Some(job.tier.series()),
                _ => None,
            };
            lanes.entry(lane).or_default().push(at);
        }
        lanes.into_values().collect()
    }

    /// What the results of a job are called.
    fn title(&self, job: &Job) -> String {
        match job.on {
            None => job.tier.name().to_owned(),
            Some(arch) => {
                let machine = self.config(Tier::Bc, arch).name();
                format!("{} on {machine}", job.tier.name())
            }
        }
    }

    fn config(&self, tier: Tier, arch: Arch) -> Config {
        Config {
            flavour: self.flavour,
            ..Config::of(tier.series(), arch)
        }
    }

    /// One of the results of a job, with its title and the command for it.
    fn named(&self, job: &Job, base: &Base, mut run: Run) -> Run {
        let words = mem::take(&mut run.name);
        run.name = [self.title(job), words].join(" ").trim_end().to_owned();
        run.reproduce = self.reproduce(job, base, only_failure(job.tier, &run.root).as_deref());
        run
    }

    /// The command that runs one job again, or only those of its tests that `filter` selects.
    fn reproduce(&self, job: &Job, base: &Base, filter: Option<&str>) -> String {
        let mut words = vec!["cargo", "xtask", "test", job.tier.name()];
        words.extend(filter.or(self.filter.as_deref()));
        if let Some(arch) = job.on {
            words.extend(["--on", arch.name()]);
        }
        match self.flavour {
            Flavour::Debug => words.push("--debug"),
            Flavour::Kcsan => words.push("--kcsan"),
            _ => {}
        }
        let repeat = self.repeat.to_string();
        if self.repeat > 1 && matches!(job.tier, Tier::Bc | Tier::Runtimes | Tier::Ckpt) {
            words.extend(["--repeat", &repeat]);
        }
        shell_words::join(words) + &base.arguments()
    }
}

/// Runs the tests, prints the results, and returns what the process exits with.
///
/// # Errors
///
/// The command line makes no sense; all else is a result.
pub fn run(args: &Args, base: &Base, json: bool) -> Result<ExitCode> {
    let plan = Plan::new(args)?;
    let mut report = Report::default();
    // Guests at once leave no processor without work while one of them boots, waits or sleeps.
    let found: Vec<Vec<Run>> = thread::scope(|scope| {
        let run = |lane: Vec<usize>| {
            let plan = &plan;
            scope.spawn(move || -> Vec<(usize, Vec<Run>)> {
                let run = |at| (at, run_job(plan, &plan.jobs[at], base));
                lane.into_iter().map(run).collect()
            })
        };
        let threads: Vec<_> = plan.lanes().into_iter().map(run).collect();
        let mut found: Vec<_> = threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("a lane does not panic"))
            .collect();
        found.sort_by_key(|(at, _)| *at);
        found.into_iter().map(|(_, runs)| runs).collect()
    });
    report.runs.extend(found.into_iter().flatten());

    if let (true, Some(filter)) = (report.runs.is_empty(), &plan.filter) {
        let what = format!("no test is called like `{filter}`");
        return Err(Failure::new(Exit::Findings, what).into());
    }
    report.write_junit(&paths::logs().join("junit.xml"))?;
    if let Some(path) = &args.junit {
        report.write_junit(path)?;
    }
    let mut out = anstream::stdout();
    if json {
        writeln!(out, "{}", report.json()?)?;
    } else {
        report.tree(&mut out)?;
        writeln!(out, "{}", report.summary())?;
    }
    out.flush()?;
    if let Some(command) = report.reproduce() {
        eprintln!("reproduce: {command}");
    }
    Ok(report.exit().into())
}

/// Runs one job.
fn run_job(plan: &Plan, job: &Job, base: &Base) -> Vec<Run> {
    eprintln!("test: {}", plan.title(job));
    let found = match job.on {
        None => host(plan).map(Vec::from_iter),
        // What has to be fetched is only fetched for who wants it.
        Some(_) if job.tier == Tier::Runtimes && !plan.named && !runtimes::present() => {
            Ok(without_runtimes(plan).into_iter().collect())
        }
        Some(arch) => in_guest(plan, job, arch, base),
    };
    let runs = found.unwrap_or_else(|error| vec![not_run(job.tier, &error)]);
    if runs.is_empty() {
        eprintln!("  {}: nothing here is called so", plan.title(job));
    }
    let named = runs.into_iter().map(|run| plan.named(job, base, run));
    named.collect()
}

/// The result of a job that could not even start.
fn not_run(tier: Tier, error: &anyhow::Error) -> Run {
    // A list, such as that of dropped symbols, has a line for each.
    let text = format!("{error:#}");
    let mut lines = text.lines().map(str::to_owned);
    let why = lines.next().unwrap_or_default();
    let mut node = Node::leaf("the start", Status::Error).because(why);
    node.diagnostics.extend(lines);
    let failure = error
        .chain()
        .find_map(|cause| cause.downcast_ref::<Failure>());
    if let Some(fix) = failure.and_then(|failure| failure.fix.as_ref()) {
        node.diagnostics.push(format!("fix: {fix}"));
    }
    let root = Node::group(tier.name(), vec![node]);
    let mut run = finished(root, Duration::ZERO, None);
    run.exit = exit::of(error);
    run
}

/// The program that tests the runtimes.
const RUNTIMES: &str = "test_runtimes";

/// The result where the packages of the runtimes are not here; nothing if the filter leaves them out.
fn without_runtimes(plan: &Plan) -> Option<Run> {
    if matches!(&plan.filter, Some(filter) if !RUNTIMES.contains(filter.as_str())) {
        return None;
    }
    let why = "they are not here; `cargo xtask test runtimes` fetches them";
    let node = Node::leaf("the packages", Status::Skip).because(why);
    let root = Node::group(Tier::Runtimes.name(), vec![node]);
    Some(finished(root, Duration::ZERO, None))
}

fn finished(root: Node, time: Duration, log: Option<PathBuf>) -> Run {
    Run {
        name: String::new(),
        root,
        time,
        log,
        reproduce: String::new(),
        exit: Exit::Pass,
    }
}

/// The name to filter by when a single one of a job's tests failed, or did not get to its end.
fn only_failure(tier: Tier, root: &Node) -> Option<String> {
    let mut names = BTreeSet::new();
    let mut note = |node: &Node| {
        // What stands for the guest, the build or a kernel's report has a space in its name.
        if node.failed() && !node.name.contains(char::is_whitespace) {
            names.insert(node.name.clone());
        }
    };
    for child in &root.children {
        // The host's tests are in their programs.
        if tier == Tier::Host || child.name.starts_with(ROUND) {
            child.children.iter().for_each(&mut note);
        } else {
            note(child);
        }
    }
    names.pop_first().filter(|_| names.is_empty())
}

/// The group that holds one of several rounds; its number follows.
const ROUND: &str = "round ";

/// Runs the tests of the workspace; nothing if the filter leaves none.
fn host(plan: &Plan) -> Result<Option<Run>> {
    let sh = Shell::new()?;
    sh.change_dir(paths::repo());
    // Neither may a snapshot change itself, nor a colour disturb the reader.
    let _update = sh.push_env("INSTA_UPDATE", "no");
    let _color = sh.push_env("CARGO_TERM_COLOR", "never");
    let (filter, cargo) = (&plan.filter, cmd::cargo());
    let log = paths::logs().join("host.log");
    let start = Instant::now();
    let command = cmd!(
        sh,
        "{cargo} test --workspace --locked --no-fail-fast -- {filter...}"
    );
    let output = cmd::run(command)
        .limit(Duration::from_secs(1800))
        .log(&log)
        .output()?;
    let mut root = libtest(&output.text);
    // Without a single test it is the compiler that failed, or cargo itself.
    if !output.status.success() && (root.children.is_empty() || !root.failed()) {
        let tail: Vec<&str> = output.text.lines().collect();
        let tail = &tail[tail.len().saturating_sub(30)..];
        root.problems
            .push(format!("cargo test ended with {}", output.status));
        root.diagnostics
            .extend(tail.iter().map(|&line| line.to_owned()));
        root.status = Status::Error;
    } else if root.children.is_empty() && plan.filter.is_some() {
        return Ok(None);
    }
    Ok(Some(finished(root, start.elapsed(), Some(log))))
}

/// Reads what the test harness of Rust prints for people; its machine format is not stable.
pub fn libtest(text: &str) -> Node {
    static RUNNING: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^\s+Running (?:unittests )?\S+ \(.*/([^/]+?)(?:-[0-9a-f]+)?\)$")
            .expect("a constant")
    });
    static TEST: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^test (.+) \.\.\. (ok|FAILED|ignored)(?:, (.*))?$").expect("a constant")
    });
    let mut groups: Vec<(String, Vec<Node>)> = Vec::new();
    let mut announced: Vec<usize> = Vec::new();
    let mut output_of: Option<String> = None;
    for line in text.lines() {
        let doctests = line.trim_start().strip_prefix("Doc-tests ");
        let program = RUNNING.captures(line).map(|found| found[1].to_owned());
        if let Some(name) = doctests.map(|name| format!("{name} examples")).or(program) {
            output_of = None;
            groups.push((name, Vec::new()));
            announced.push(0);
            continue;
        }
        let count = line.strip_prefix("running ").and_then(|rest| {
            let (count, _) = rest.split_once(" test")?;
            count.parse::<usize>().ok()
        });
        if let (Some(count), Some(announced)) = (count, announced.last_mut()) {
            *announced += count;
            continue;
        }
        let Some((_, tests)) = groups.last_mut() else {
            continue;
        };
        if let Some(found) = TEST.captures(line) {
            let status = match &found[2] {
                "ok" => Status::Pass,
                "ignored" => Status::Skip,
                _ => Status::Fail,
            };
            let name = found[1].trim_end_matches(" - should panic");
            let mut node = Node::leaf(name, status);
            node.reason = found.get(3).map(|reason| reason.as_str().to_owned());
            tests.push(node);
        } else if let Some(name) = line
            .strip_prefix("---- ")
            .and_then(|line| line.strip_suffix(" stdout ----"))
        {
            output_of = Some(name.to_owned());
        } else if line == "failures:" {
            output_of = None;
        } else if let Some(name) = &output_of {
            let test = tests.iter_mut().find(|test| test.name == *name);
            if let (Some(test), false) = (test, line.trim().is_empty()) {
                test.diagnostics.push(line.to_owned());
            }
        }
    }
    let groups = groups
        .into_iter()
        .zip(announced)
        .filter(|((_, tests), announced)| !tests.is_empty() || *announced > 0)
        .map(|((name, tests), announced)| {
            let seen = tests.len();
            let mut group = Node::group(name, tests);
            if seen != announced {
                let problem = format!("{announced} tests were announced, {seen} reported");
                group.problems.push(problem);
                group.status = Status::Error;
            }
            group
        })
        .collect();
    Node::group("host", groups)
}

/// Builds a kernel and runs a tier in it, once for each boot that it needs; nothing if the filter leaves
/// none of its tests.
fn in_guest(plan: &Plan, job: &Job, arch: Arch, base: &Base) -> Result<Vec<Run>> {
    let config = plan.config(job.tier, arch);
    // Before a kernel is built in vain.
    let runtimes = match job.tier {
        Tier::Runtimes => Some(Selftests::of_runtimes()?),
        _ => None,
    };
    let built = build::ensure(base, &config)?;
    let name = format!(
        "{}-{}-{}",
        job.tier.name(),
        built.base.name(),
        config.name()
    );
    if arch == Arch::Qemu {
        eprintln!("  accelerator: {}", probe::accelerator().name());
    }
    match job.tier {
        Tier::Kunit => kunit(plan, &Kernel::from(built), name).map(Vec::from_iter),
        tier => {
            let tests = match runtimes {
                Some(tests) => tests,
                None => Selftests::build(&built, tier.name())?.with_beanctl(tier)?,
            };
            selftests(plan, tier, &Kernel::from(built), tests, &name)
        }
    }
}

/// Boots a kernel that tests itself on the way up.
fn kunit(plan: &Plan, kernel: &Kernel, name: String) -> Result<Option<Run>> {
    if !kernel.has("KUNIT") {
        let what = "no unit tests are built into this kernel";
        return Err(Failure::new(Exit::Usage, what).fix("say --on um").into());
    }
    let mut script = Script::new(name, "exit 0");
    script.booted_by = Some("KTAP version ");
    script.cmdline = vec!["kunit.enable=1".to_owned(), "kunit.autorun=1".to_owned()];
    if let Some(filter) = &plan.filter {
        // With a dot in it, the kernel takes the second part for the name of a test.
        script.cmdline.push(format!("kunit.filter_glob=*{filter}*"));
    }
    let console = guest::run(kernel, script)?;
    let root = ktap::parse("kunit", &console.console);
    let none = root.children.is_empty() && root.problems == ["zero tests planned"];
    let filtered = none && plan.filter.is_some() && console.outcome == Outcome::Exited(0);
    let run = conclude(root, console);
    // A kernel's report about itself counts even then.
    Ok((!filtered || !run.root.children.is_empty()).then_some(run))
}

/// Runs the programs of a directory of selftests.
fn selftests(
    plan: &Plan,
    tier: Tier,
    kernel: &Kernel,
    tests: Selftests,
    name: &str,
) -> Result<Vec<Run>> {
    let mut boots: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let chosen = |program: &&String| match &plan.filter {
        Some(filter) => program.contains(filter.as_str()),
        None => true,
    };
    for program in tests.programs.iter().filter(chosen) {
        let words = tests.boot_words(program)?;
        boots.entry(words).or_default().push(program.clone());
    }
    let mut runs = Vec::new();
    for (words, programs) in &boots {
        let name = [name, words].join(" ");
        let name = name.trim_end().replace([' ', '=', ',', '/'], "-");
        // What keeps one guest from starting does not undo what another has found.
        let mut run = boot(plan, tier, kernel, &tests, words, programs, name)
            .unwrap_or_else(|error| not_run(tier, &error));
        run.name.clone_from(words);
        runs.push(run);
    }
    if let (Some(run), Some(error)) = (runs.first_mut(), tests.error) {
        let mut node = Node::leaf("the build", Status::Error).because("make failed");
        node.diagnostics = error;
        run.root.children.insert(0, node);
        run.root.status = Status::Fail;
    }
    Ok(runs)
}

/// Runs programs in one guest, whose command line has further words.
fn boot(
    plan: &Plan,
    tier: Tier,
    kernel: &Kernel,
    tests: &Selftests,
    words: &str,
    programs: &[String],
    name: String,
) -> Result<Run> {
    let limit = tests.timeout * kernel.slowness();
    let mut script = Script::new(name, selftest_script(programs, plan.repeat, limit));
    for program in programs {
        let path = tests.output.path().join(program);
        if path.is_file() {
            script = script.file(program, path);
        }
    }
    for (name, path) in &tests.others {
        script = script.file(name, path);
    }
    script = with_modules(script, kernel)?;
    // Each program has its own limit in the guest; this one is for a guest that is stuck.
    script.limits.test = tests.timeout + Limits::default().shutdown;
    script.renewed_by = Some(|line| line.trim_start_matches("# ").starts_with("Subtest: "));
    script.cmdline.push("kunit.enable=0".to_owned());
    let words = words.split_ascii_whitespace().map(str::to_owned);
    script.cmdline.extend(words);
    if std::io::stderr().is_terminal() {
        script = script.each_line(|line| {
            if line.starts_with("ok ") || line.starts_with("not ok ") {
                eprintln!("  {line}");
            }
        });
    }
    let console = guest::run(kernel, script)?;
    let mut root = ktap::parse(tier.name(), &console.output);
    if root.status == Status::Skip && plan.filter.is_none() {
        // The kernel was built to have what they test.
        root.problems.push("every test was skipped".to_owned());
    }
    Ok(conclude(root, console))
}

/// Adds what the guest itself has to say to the results of its tests.
fn conclude(mut root: Node, console: Console) -> Run {
    let verdict = console.verdict();
    for splat in verdict.splats {
        let mut node = Node::leaf(splat.headline(), Status::Fail);
        if splat.times > 1 {
            node = node.because(format!("{} times", splat.times));
        }
        node.diagnostics = splat.text;
        root.children.push(node);
    }
    if let Some(trouble) = verdict.trouble {
        let mut node = Node::leaf("the guest", Status::Error).because(trouble);
        let tail: Vec<&str> = console.console.lines().collect();
        let tail = &tail[tail.len().saturating_sub(20)..];
        node.diagnostics = tail.iter().map(|line| line.trim_end().to_owned()).collect();
        root.children.push(node);
    }
    if root.children.iter().any(Node::failed) && !root.status.failed() {
        root.status = Status::Fail;
    }
    let mut run = finished(root, console.time, Some(console.log));
    // Findings are among the tests, where one may have been a time limit.
    run.exit = match verdict.exit {
        Exit::Findings => Exit::Pass,
        exit => exit,
    };
    run
}

/// Goes before the words of the kernel's command line that a program needs, in a comment of its source.
const BOOT: &str = " * Boot with: ";

/// The programs of one directory of selftests, built for every guest.
pub struct Selftests {
    /// Where their sources are.
    dir: PathBuf,
    /// Where they are.
    pub output: TempDir,
    /// Those that there should be.
    pub programs: Vec<String>,
    /// What they need besides, by its name in the guest.
    others: Vec<(String, PathBuf)>,
    /// How long one may take on a machine that runs natively.
    timeout: Duration,
    /// What `make` had to say, if it failed.
    pub error: Option<Vec<String>>,
}

impl Selftests {
    /// Builds what is out of date.
    ///
    /// # Errors
    ///
    /// The directory is not there, or the cache cannot be written.
    pub fn build(kernel: &Built, topic: &str) -> Result<Self> {
        let source = &kernel.source.tree;
        let dir = source.join("tools/testing/selftests").join(topic);
        let makefile = fs::read_to_string(dir.join("Makefile"))
            .with_context(|| dir.join("Makefile").display().to_string())?;
        let mut programs = programs(&makefile, "TEST_GEN_PROGS");
        let mut built = programs.clone();
        built.extend(self::programs(&makefile, "TEST_GEN_PROGS_EXTENDED"));
        for entry in fs::read_dir(&dir).with_context(|| dir.display().to_string())? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if let Some(program) = name
                .strip_suffix(".c")
                .filter(|name| name.starts_with("test_"))
            {
                programs.insert(program.to_owned());
            }
        }
        let timeout = fs::read_to_string(dir.join("settings"))
            .ok()
            .and_then(|settings| {
                let line = settings
                    .lines()
                    .find_map(|line| line.strip_prefix("timeout="))?;
                line.trim().parse().ok()
            })
            .unwrap_or(45);

        let sh = Shell::new()?;
        let args = toolchain::make_args()?;
        // make goes by times alone: what came from another tree or by other flags is kept apart.
        let mut hasher = DefaultHasher::new();
        (source, &args, toolchain::identity()?).hash(&mut hasher);
        let output = paths::cache()
            .join("guest/selftests")
            .join(format!("{topic}-{:016x}", hasher.finish()));
        fs::create_dir_all(&output).with_context(|| output.display().to_string())?;
        let _lock = Lock::exclusive(&format!("selftests-{topic}"))?;
        let mut headers = None;
        if makefile.contains("KHDR_INCLUDES") {
            // Those that this kernel has for programs, as the Makefile above these would see to.
            let make = kernel::make(&sh, source, &kernel.build, kernel.config.into())?;
            cmd::run(make.args(["--silent", "headers"])).ok()?;
            let path = kernel.build.join("usr/include");
            headers = Some(format!("KHDR_INCLUDES=-isystem {}", path.display()));
        }
        let command = cmd!(
            sh,
            "make --silent --keep-going --no-print-directory -C {dir} OUTPUT={output} USERLDFLAGS=-static {headers...} {args...}"
        );
        let made = cmd::run(toolchain::isolate(command)?)
            .log(paths::logs().join(format!("selftests-{topic}.log")))
            .output()?;
        let error = (!made.status.success()).then(|| {
            // Nothing that an earlier build left may pass for what could not be built now.
            for program in &programs {
                let source = dir.join(format!("{program}.c"));
                if !up_to_date(&output.join(program), &source) {
                    let _ = fs::remove_file(output.join(program));
                }
            }
            made.text.lines().map(str::to_owned).collect()
        });
        // Copies, which another run cannot make anew while a guest is given them. What the Makefile
        // no longer names was built by an earlier one.
        let copies = tempfile::tempdir()?;
        for program in &built {
            match fs::copy(output.join(program), copies.path().join(program)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        Ok(Self {
            dir,
            output: copies,
            programs: programs.into_iter().collect(),
            others: Vec::new(),
            timeout: Duration::from_secs(timeout),
            error,
        })
    }

    /// The test of the runtimes, with all that it needs.
    fn of_runtimes() -> Result<Self> {
        let mut others = runtimes::files()?;
        let dir = paths::repo().join("rust/beanctl/tests/guest");
        let output = tempfile::tempdir()?;
        fs::copy(dir.join("runtimes.sh"), output.path().join(RUNTIMES))?;
        others.push(("beanctl-harness.sh".to_owned(), dir.join("harness.sh")));
        for package in ["beanctl", "workload"] {
            others.push((package.to_owned(), workload::build(package)?));
        }
        Ok(Self {
            dir,
            output,
            programs: vec![RUNTIMES.to_owned()],
            others,
            timeout: Duration::from_secs(300),
            error: None,
        })
    }

    /// Adds the test of the command for operators, which goes to no kernel tree.
    fn with_beanctl(mut self, tier: Tier) -> Result<Self> {
        const NAME: &str = "test_beanctl";
        let scripts = paths::repo().join("rust/beanctl/tests/guest");
        let script = scripts.join(tier.name()).with_extension("sh");
        fs::copy(&script, self.output.path().join(NAME))
            .with_context(|| script.display().to_string())?;
        self.programs.push(NAME.to_owned());
        let mut add = |name: &str, path| self.others.push((name.to_owned(), path));
        add("beanctl-harness.sh", scripts.join("harness.sh"));
        add("beanctl", workload::build("beanctl")?);
        if tier == Tier::Bc {
            // It makes containers.
            add("workload", workload::build("workload")?);
        }
        Ok(self)
    }

    /// What a program needs on the kernel's command line; mostly nothing.
    fn boot_words(&self, program: &str) -> Result<String> {
        let path = self.dir.join(format!("{program}.c"));
        let text = match fs::read_to_string(&path) {
            // The Makefile names it in vain: it is missing, which the guest will say.
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            text => text.with_context(|| path.display().to_string())?,
        };
        let words = text.lines().find_map(|line| line.strip_prefix(BOOT));
        Ok(words.unwrap_or_default().trim().to_owned())
    }
}

fn up_to_date(made: &Path, from: &Path) -> bool {
    let time = |path: &Path| fs::metadata(path).and_then(|meta| meta.modified());
    match (time(made), time(from)) {
        (Ok(made), Ok(from)) => made >= from,
        _ => false,
    }
}

/// The programs that a list in a selftest's Makefile names.
fn programs(makefile: &str, list: &str) -> BTreeSet<String> {
    makefile
        .replace("\\\n", " ")
        .lines()
        .filter_map(|line| {
            let (name, value) = line.split_once('=')?;
            let name = name.trim_end_matches(['+', ':', ' ', '\t']);
            (name == list).then(|| value.to_owned())
        })
        .flat_map(|value| {
            value
                .split_ascii_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect()
}

/// Gives a guest the modules of its kernel, beside the programs that load them.
///
/// # Errors
///
/// There should be some, and are not.
pub fn with_modules<'a>(mut script: Script<'a>, kernel: &Kernel) -> Result<Script<'a>> {
    for module in build::modules(&kernel.build)? {
        let name = module.file_name().unwrap_or_default();
        script = script.file(name.to_string_lossy(), &module);
    }
    Ok(script)
}

/// The shell that runs programs one after the other, each as one test with its output nested.
pub fn selftest_script(programs: &[String], repeat: u32, limit: Duration) -> String {
    let limit = limit.as_secs().max(1);
    let count = programs.len();
    let list = programs.join(" ");
    // SIGXCPU tells a program that was too slow from one that was killed. What a program leaves
    // behind in its session is ended, so that it can neither hold the pipe nor disturb the next. The
    // name comes first, for the case that the guest does not live to see the verdict.
    let mut script = format!(
        r##"status=/tmp/beanpod.status
one() {{
	if [ ! -x "./$2" ]; then
		echo "not ok $1 $2 # ERROR the program is missing"
		return 1
	fi
	echo "# # Subtest: $2"
	{{
		"$BUSYBOX" setsid "$BUSYBOX" timeout -s XCPU -k 5 {limit} "./$2" &
		pid=$!
		wait $pid
		echo $? >$status
		kill -KILL -- -$pid 2>/dev/null
	}} 2>&1 | while IFS= read -r line || [ -n "$line" ]; do
		printf '# %s\n' "$line"
	done
	read -r code <$status
	case $code in
	0) echo "ok $1 $2" ;;
	4) echo "ok $1 $2 # SKIP" ;;
	137 | 152) echo "not ok $1 $2 # TIMEOUT {limit} seconds" ; return 1 ;;
	*) echo "not ok $1 $2 # exit=$code" ; return 1 ;;
	esac
}}
all() {{
	echo "TAP version 13"
	echo "1..{count}"
	number=0
	failed=0
	for program in {list}; do
		number=$((number + 1))
		one $number $program || failed=1
	done
	return $failed
}}
"##
    );
    if repeat == 1 {
        script += "all\n";
    } else {
        script += &format!(
            r#"echo "TAP version 13"
echo "1..{repeat}"
round=0
while [ $round -lt {repeat} ]; do
	round=$((round + 1))
	{{
		all
		echo $? >$status.round
	}} | while IFS= read -r line; do
		printf '# %s\n' "$line"
	done
	read -r code <$status.round
	if [ $code = 0 ]; then
		echo "ok $round {ROUND}$round"
	else
		echo "not ok $round {ROUND}$round"
	fi
done
"#
        );
    }
    script += "exit 0\n";
    script
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::config;
    use crate::ktap::Count;

    fn plan(words: &[&str]) -> Result<Plan> {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            args: Args,
        }
        let words = ["test"].iter().chain(words);
        Plan::new(&<Line as clap::Parser>::try_parse_from(words)?.args)
    }

    fn jobs(words: &[&str]) -> String {
        let plan = plan(words).unwrap();
        let titles: Vec<_> = plan.jobs.iter().map(|job| plan.title(job)).collect();
        titles.join(", ")
    }

    #[test]
    fn tiers_and_machines() {
        assert_eq!(
            jobs(&[]),
            "host, kunit on um, bc on um, bc on qemu, runtimes on um, ckpt on qemu"
        );
        assert_eq!(jobs(&["bc"]), "bc on um, bc on qemu");
        assert_eq!(jobs(&["kunit", "host"]), "kunit on um, host");
        assert_eq!(jobs(&["bc", "--on", "qemu"]), "bc on qemu");
        assert_eq!(
            jobs(&["--on", "um"]),
            "kunit on um, bc on um, runtimes on um"
        );
        assert_eq!(jobs(&["runtimes"]), "runtimes on um");
        assert_eq!(jobs(&["runtimes", "--on", "qemu"]), "runtimes on qemu");
        assert_eq!(jobs(&["--on", "qemu"]), "bc on qemu, ckpt on qemu");
        assert_eq!(jobs(&["--kcsan"]), "bc on qemu-kcsan, ckpt on qemu-kcsan");
        assert_eq!(
            jobs(&["--debug"]),
            "kunit on um-debug, bc on um-debug, bc on qemu-debug, ckpt on qemu-debug"
        );
        assert_eq!(jobs(&["bc", "--kcsan"]), "bc on qemu-kcsan");
        let twice = ["bc", "--on", "um", "--on", "qemu", "--on", "um"];
        assert_eq!(jobs(&twice), "bc on um, bc on qemu");
        assert_eq!(plan(&["bc", "numfile"]).unwrap().filter.unwrap(), "numfile");
        for wrong in [
            &["a", "b"] as &[_],
            &["a", "bc"],
            &["--kcsan", "--on", "um"],
            &["kunit", "--kcsan"],
            &["ckpt", "--on", "um"],
        ] {
            let error = plan(wrong).unwrap_err();
            assert_eq!(exit::of(&error), Exit::Usage, "{wrong:?}");
        }
        assert!(plan(&["--repeat", "0"]).is_err());
    }

    #[test]
    fn what_has_a_kernel_of_its_own_runs_beside_the_others() {
        let lanes = |words: &[&str]| plan(words).unwrap().lanes();
        assert_eq!(lanes(&[]), [vec![0, 1, 2, 4], vec![3], vec![5]]);
        assert_eq!(lanes(&["bc"]), [vec![0], vec![1]]);
        assert_eq!(lanes(&["ckpt"]), [vec![0]]);
    }

    #[test]
    fn without_their_packages_the_runtimes_are_skipped() {
        let run = without_runtimes(&plan(&[]).unwrap()).unwrap();
        assert_eq!(run.exit(), Exit::Skipped);
        assert!(run.root.children[0].reason.is_some());
        assert!(without_runtimes(&plan(&["runtimes"]).unwrap()).is_some());
        assert!(without_runtimes(&plan(&["numfile"]).unwrap()).is_none());
    }

    #[test]
    fn the_reproducing_command_is_one_that_does_it() {
        let words = ["bc", "--on", "qemu", "--debug", "--repeat", "3"];
        let plan = plan(&words).unwrap();
        let line = plan.reproduce(&plan.jobs[0], &Base::V7_2, Some("test_bc_x"));
        assert_eq!(
            line,
            "cargo xtask test bc test_bc_x --on qemu --debug --repeat 3 --base 7.2"
        );
        let words: Vec<&str> = line
            .trim_end_matches(" --base 7.2")
            .split(' ')
            .skip(3)
            .collect();
        let again = super::tests::plan(&words).unwrap();
        assert_eq!(again.jobs, plan.jobs);
        assert_eq!(again.filter.as_deref(), Some("test_bc_x"));

        let tree = Base::Tree("/my trees/it's linux".into());
        let line = plan.reproduce(&plan.jobs[0], &tree, Some("a|b*"));
        let words = shell_words::split(&line).unwrap();
        assert_eq!(words[3..5], ["bc", "a|b*"]);
        assert_eq!(words[words.len() - 1], "/my trees/it's linux");
    }

    #[test]
    fn a_single_failure_becomes_the_filter() {
        let of = |text: &str| only_failure(Tier::Bc, &ktap::parse("t", text));
        assert_eq!(
            of("TAP version 13\n1..2\nok 1 a\nnot ok 2 b\n").as_deref(),
            Some("b")
        );
        assert_eq!(of("TAP version 13\n1..2\nnot ok 1 a\nnot ok 2 b\n"), None);
        let cut =
            "TAP version 13\n1..3\nok 1 a\n# # Subtest: b\n# TAP version 13\n# 1..2\n# ok 1 x";
        assert_eq!(of(cut).as_deref(), Some("b"));
        assert_eq!(of("TAP version 13\n1..2\nok 1 a\n"), None);
    }

    #[test]
    fn what_cargo_test_prints() {
        let root = libtest(include_str!("../tests/data/libtest.log"));
        insta::assert_json_snapshot!(root);
        assert_eq!(
            only_failure(Tier::Host, &root).as_deref(),
            Some("records::wrap")
        );
        let count = root.count();
        assert_eq!((count.passed, count.failed, count.skipped), (3, 1, 1));
        assert!(libtest("error: could not compile `xtask`\n").failed());
    }

    #[test]
    fn a_test_program_that_ends_early_has_failed() {
        let whole = "     Running unittests src/a.rs (target/debug/deps/a-1f)\n\nrunning 2 tests\n\
             test one ... ok\ntest two ... ok\n";
        assert!(!libtest(whole).failed());
        assert!(libtest(whole.trim_end_matches("test two ... ok\n")).failed());
    }

    #[test]
    fn a_makefile_names_its_programs() {
        let makefile = "# TEST_GEN_PROGS = no\nTEST_GEN_PROGS := a \\\n\tb\nTEST_GEN_PROGS += c\n\
             TEST_GEN_FILES = d\n$(TEST_GEN_PROGS): x\n";
        let programs: Vec<_> = programs(makefile, "TEST_GEN_PROGS").into_iter().collect();
        assert_eq!(programs, ["a", "b", "c"]);
    }

    /// Runs the guest's script on this machine, in a directory with some programs.
    fn selftests(programs: &[(&str, &str)], repeat: u32, limit: Duration) -> Node {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in programs.iter().filter(|(_, text)| !text.is_empty()) {
            let path = dir.path().join(name);
            fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let names: Vec<_> = programs
            .iter()
            .map(|(name, _)| (*name).to_owned())
            .collect();
        let status = dir.path().join("status");
        let script = selftest_script(&names, repeat, limit)
            .replace("/tmp/beanpod.status", &status.display().to_string());
        let sh = Shell::new().unwrap();
        sh.change_dir(dir.path());
        let busybox = guest::initramfs::busybox().unwrap();
        let _busybox = sh.push_env("BUSYBOX", &busybox);
        let output = cmd::run(cmd!(sh, "{busybox} sh -c {script}")).ok().unwrap();
        ktap::parse("bc", &output)
    }

    const GOOD: &str = "echo TAP version 13; echo 1..2; echo ok 1 a; echo ok 2 b";
    const LONG: Duration = Duration::from_secs(600);

    #[test]
    fn the_script_reports_every_end_of_a_program() {
        let root = selftests(
            &[
                ("good", GOOD),
                (
                    "fails",
                    "echo TAP version 13; echo 1..1; echo not ok 1 a; exit 1",
                ),
                ("skips", "echo '1..0 # SKIP no controller'; exit 4"),
                (
                    "crashes",
                    "echo TAP version 13; echo 1..2; echo ok 1 a; kill -SEGV $$",
                ),
                ("silent", "exit 0"),
                ("missing", ""),
                ("leaves", &format!("sleep 1000 & {GOOD}")),
                (
                    "unfinished",
                    "echo TAP version 13; echo 1..1; printf 'ok 1 a'",
                ),
            ],
            1,
            LONG,
        );
        let seen: Vec<_> = root
            .children
            .iter()
            .map(|node| {
                let reason = node.reason.as_deref().unwrap_or_default();
                format!(
                    "{} {:?} {reason} {:?}",
                    node.name, node.status, node.problems
                )
            })
            .collect();
        insta::assert_snapshot!(seen.join("\n"), @r#"
        good Pass  []
        fails Fail exit=1 []
        skips Skip  []
        crashes Fail exit=139 ["2 tests planned, 1 seen"]
        silent Pass  ["zero tests"]
        missing Error the program is missing []
        leaves Pass  []
        unfinished Pass  []
        "#);
        assert_eq!(
            root.count(),
            Count {
                passed: 6,
                failed: 4,
                skipped: 1
            }
        );
    }

    #[test]
    fn a_program_that_hangs_is_ended() {
        let hangs = "echo TAP version 13; echo 1..2; echo ok 1 a; sleep 1000";
        let root = selftests(&[("hangs", hangs), ("good", GOOD)], 1, Duration::ZERO);
        assert_eq!(root.children[0].status, Status::Timeout);
        assert_eq!(root.children[0].children[0].name, "a");
    }

    #[test]
    fn rounds_nest() {
        let root = selftests(&[("good", GOOD)], 2, LONG);
        assert!(!root.failed(), "{root:?}");
        assert_eq!(root.count().passed, 4);
        let root = selftests(&[("good", GOOD), ("bad", "exit 1")], 2, LONG);
        assert_eq!(root.children.len(), 2);
        assert_eq!(only_failure(Tier::Bc, &root).as_deref(), Some("bad"));
    }

    #[test]
    fn a_dropped_symbol_is_named_and_is_a_finding() {
        let error = config::check(
            "CONFIG_PROVE_LOCKING=y\nCONFIG_KASAN=y\n",
            "CONFIG_KASAN=y\n",
            &Config::new(Arch::Um),
            Path::new("tree"),
        )
        .unwrap_err();
        let plan = plan(&["bc", "--on", "um", "--debug"]).unwrap();
        let report = Report {
            runs: vec![plan.named(&plan.jobs[0], &Base::V7_3, not_run(Tier::Bc, &error))],
        };
        let mut out = anstream::StripStream::new(Vec::new());
        report.tree(&mut out).unwrap();
        let text = String::from_utf8(out.into_inner()).unwrap();
        assert!(
            text.contains("|   CONFIG_PROVE_LOCKING: wanted y, got n\n"),
            "{text}"
        );
        assert!(!text.contains("KASAN"), "{text}");
        assert_eq!(report.exit(), Exit::Findings);
        assert_eq!(
            report.reproduce(),
            Some("cargo xtask test bc --on um --debug")
        );
    }

    #[test]
    fn a_splat_fails_tests_that_passed() {
        let console = |console: &str, outcome| Console {
            outcome,
            output: String::new(),
            console: console.to_owned(),
            log: "x".into(),
            time: Duration::ZERO,
        };
        let good = || ktap::parse("t", "TAP version 13\n1..1\nok 1 a\n");
        let run = conclude(good(), console("[ 0.1] fine\n", Outcome::Exited(0)));
        assert_eq!(run.exit(), Exit::Pass);
        let run = conclude(good(), console("[ 0.1] BUG: x\n", Outcome::Exited(0)));
        assert_eq!(run.exit(), Exit::Findings);
        assert_eq!(only_failure(Tier::Bc, &run.root), None);
        let run = conclude(good(), console("", Outcome::Panicked));
        assert_eq!(run.exit(), Exit::GuestCrash);
        let stale = "[ 0.1] Oops: int3: 0000 [#1] SMP\n[ 0.1] Code: 00 0f <1f> 44\n";
        let run = conclude(good(), console(stale, Outcome::Panicked));
        assert_eq!(run.exit(), Exit::Infrastructure);
        let earlier = format!("[ 0.1] BUG: x\n{stale}");
        let run = conclude(good(), console(&earlier, Outcome::Panicked));
        assert_eq!(run.exit(), Exit::GuestCrash);
        let run = conclude(good(), console("", Outcome::TestTimeout));
        assert_eq!(run.exit(), Exit::TimeLimit);
        let run = conclude(good(), console("", Outcome::Exited(1)));
        assert_eq!(run.exit(), Exit::Findings);
    }
}
