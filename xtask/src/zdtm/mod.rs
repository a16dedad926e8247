// SPDX-License-Identifier: GPL-2.0

//! `cargo xtask zdtm`: the tests of CRIU, saved and restored by the kernel's engine, and by CRIU
//! beside it.
//!
//! Neither the tests nor CRIU are here: both come from a directory in which CRIU was built. What is
//! done with each of them in the guest is in `xtask/workload/src/zdtm`.

mod list;
mod results;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use glob::Pattern;
use serde::Serialize;

use crate::exit::{Exit, Failure};
use crate::guest::{self, Console, Kernel, Outcome as End, Script};
use crate::kernel::{Arch, Base, Config, Flavour, Series, build};
use crate::progress::{Bar, Unit};
use crate::report::{Report, Run};
use crate::{paths, setup, workload};
use list::Test;
use results::{Engine, Outcome, Reader, Row, Verdict};

/// The tests that are run unless others are named.
const LIST: &str = "xtask/config/zdtm.list";

/// How long one attempt with a test may take on a machine that runs natively.
const LIMIT: Duration = Duration::from_secs(60);

/// The command line of `cargo xtask zdtm`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The directory `test/zdtm` of CRIU's sources, in which its tests were built.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The tests: on each line a name, a category, the kind of its arguments (nofile, file, dir,
    /// dirfile or tst), and flavours (h, ns, uns; those with h are run).
    /// xtask/config/zdtm.list unless said.
    #[arg(long, value_name = "FILE")]
    list: Option<PathBuf>,
    /// CRIU's program, which then does the same beside.
    #[arg(long, value_name = "PATH")]
    criu: Option<PathBuf>,
    /// Saves the tests by snapshots, and ends them when the image was read.
    #[arg(long)]
    snapshot: bool,
    /// Where the results go as JUnit XML, besides the logs.
    #[arg(long, value_name = "PATH")]
    junit: Option<PathBuf>,
    /// Patterns such as `maps*`, of which a test's name has to match one.
    #[arg(value_name = "PATTERN")]
    patterns: Vec<Pattern>,
}

/// Runs the tests, prints the results, and returns what the process exits with.
///
/// # Errors
///
/// A file is missing, the kernel cannot be built, or no guest be started.
pub fn run(args: &Args, base: &Base, json: bool) -> Result<ExitCode> {
    let suite = present(&args.dir)?;
    let criu = args.criu.as_deref().map(present).transpose()?;
    let list = args
        .list
        .clone()
        .unwrap_or_else(|| paths::repo().join(LIST));
    let list = present(&list)?;
    let text = fs::read_to_string(&list).with_context(|| list.display().to_string())?;
    let tests = list::read(&text, &list, &args.patterns)?;
    setup::ensure()?;
    if guest::qemu::virtme_ng().is_none() {
        let failure = Failure::new(
            Exit::Skipped,
            "the tests are files of this machine, which a guest only sees under virtme-ng",
        );
        return Err(failure.fix("cargo xtask setup").into());
    }
    let config = Config {
        flavour: Flavour::Peers,
        ..Config::of(Series::Ckpt, Arch::Qemu)
    };
    let kernel = Kernel::from(build::ensure(base, &config)?);
    let mut session = Session {
        workload: workload::build("workload")?,
        name: name(&config, args.snapshot),
        rows: tests.iter().map(Row::new).collect(),
        findings: Vec::new(),
        time: Duration::ZERO,
        kernel,
        tests,
        suite,
        criu,
        snapshot: args.snapshot,
    };
    session.run()?;
    session.show(args, json)
}

/// The path of a file that has to be there, as the guest sees it.
fn present(path: &Path) -> Result<PathBuf> {
    path.canonicalize().map_err(|error| {
        Failure::new(Exit::Usage, format!("{}: {error}", path.display()))
            .fix("Documentation/toolkit/zdtm.rst says what has to be there")
            .into()
    })
}

/// What the logs are called.
fn name(config: &Config, snapshot: bool) -> String {
    let how = if snapshot { "zdtm-snapshot" } else { "zdtm" };
    format!("{how}-{}", config.name())
}

/// How many tests have come to an end, but for the one that is under way.
fn done(rows: &[Row]) -> u64 {
    rows.iter().filter(|row| !row.outcomes.is_empty()).count() as u64
}

/// What is run, and what came of it.
struct Session {
    kernel: Kernel,
    workload: PathBuf,
    name: String,
    suite: PathBuf,
    criu: Option<PathBuf>,
    snapshot: bool,
    tests: Vec<Test>,
    /// In the order of the tests.
    rows: Vec<Row>,
    /// What kernels reported about themselves, and where to read more.
    findings: Vec<String>,
    time: Duration,
}

impl Session {
    /// Boots guests until no test is left: each that dies takes the test along that was under way.
    fn run(&mut self) -> Result<()> {
        let mut bar = Bar::new("zdtm", Unit::Count("tests"), Some(self.tests.len() as u64));
        let mut left = Vec::new();
        for (at, test) in self.tests.iter().enumerate() {
            match test.program(&self.suite) {
                Some(program) => left.push((at, program)),
                None => {
                    let why = vec![format!(
                        "{} was not built in {}",
                        test.name,
                        self.suite.display()
                    )];
                    let verdict = Verdict::Fail;
                    let outcome = Outcome { verdict, why };
                    self.rows[at].outcomes.insert(Engine::Alone, outcome);
                    bar.add(1);
                }
            }
        }
        let engines = self.engines();
        let mut boot = 0;
        while !left.is_empty() {
            boot += 1;
            let mut reader = Reader::default();
            let console = self.boot(boot, &left, &mut reader, &mut bar)?;
            self.time += console.time;
            let verdict = console.verdict();
            let findings = verdict.findings();
            if !findings.is_empty() {
                self.findings.extend_from_slice(&findings);
                self.findings
                    .push(format!("console: {}", console.log.display()));
            }
            bar.set(done(&self.rows));
            if let End::Exited(code) = console.outcome {
                // What stopped it is the last that it said.
                let last = console.output.lines().last().filter(|_| code != 0);
                self.findings.extend(last.map(str::to_owned));
                break;
            }
            let Some(fatal) = reader.crashed(&mut self.rows, engines, &findings) else {
                return Err(console.failure(verdict.exit, &findings).into());
            };
            left.retain(|&(at, _)| at > fatal);
        }
        bar.finish();
        Ok(())
    }

    /// One guest with the tests that are left.
    fn boot(
        &mut self,
        boot: usize,
        left: &[(usize, PathBuf)],
        reader: &mut Reader,
        bar: &mut Bar,
    ) -> Result<Console> {
        let lines = left.iter().map(|(at, program)| {
            let words = [
                &[program.display().to_string()][..],
                &self.tests[*at].arguments,
            ]
            .concat();
            words.join("\t") + "\n"
        });
        let file = tempfile::NamedTempFile::new()?;
        fs::write(file.path(), lines.collect::<String>())?;
        // The limit in the guest is the one that counts; that of the guest is for a stuck one.
        let attempts = self.engines().len() as u32;
        let limit = LIMIT * self.kernel.slowness();
        let prepare = include_str!("guest.sh");
        let mut command = format!("{prepare}./workload zdtm tests --limit {}", limit.as_secs());
        if let Some(criu) = &self.criu {
            let criu = criu.display().to_string();
            command += &format!(" --criu {}", shell_words::quote(&criu));
        }
        if self.snapshot {
            command += " --snapshot";
        }
        let mut script = Script::new(format!("{}-{boot}", self.name), command)
            .file("workload", &self.workload)
            .file("tests", file.path());
        script.limits.test = LIMIT * (attempts + 1);
        script.renewed_by = Some(Reader::begins);
        script.cmdline.push("kunit.enable=0".to_owned());
        script.memory = 2048;
        let rows = &mut self.rows;
        guest::run(
            &self.kernel,
            script.each_line(|line| {
                reader.line(line, rows);
                if Reader::begins(line) {
                    bar.set(done(rows));
                }
            }),
        )
    }

    /// Who has to do with the tests.
    fn engines(&self) -> &'static [Engine] {
        match self.criu {
            Some(_) => &[Engine::Alone, Engine::Ckpt, Engine::Criu],
            None => &[Engine::Alone, Engine::Ckpt],
        }
    }

    /// Prints the results, and says what to exit with.
    fn show(self, args: &Args, json: bool) -> Result<ExitCode> {
        let engines = self.engines();
        let command = crate::reproduce(std::env::args_os().skip(1));
        let report = Report {
            runs: vec![Run {
                name: self.name.clone(),
                root: results::tree(&self.rows, engines),
                time: self.time,
                log: None,
                reproduce: command.trim_start_matches("reproduce: ").to_owned(),
                exit: Exit::Pass,
            }],
        };
        report.write_junit(&paths::logs().join("zdtm.xml"))?;
        if let Some(path) = &args.junit {
            report.write_junit(path)?;
        }
        if json {
            #[derive(Serialize)]
            struct Whole {
                tests: Vec<Row>,
                findings: Vec<String>,
            }
            let whole = Whole {
                tests: self.rows.clone(),
                findings: self.findings.clone(),
            };
            println!("{}", serde_json::to_string_pretty(&whole)?);
        } else {
            println!("{}", results::table(&self.rows, engines));
            println!("{}", results::summary(&self.rows, engines));
        }
        for finding in &self.findings {
            eprintln!("error: {finding}");
        }
        if self.findings.is_empty() && self.rows.iter().all(Row::holds) {
            return Ok(Exit::Pass.into());
        }
        eprintln!("{command}");
        Ok(Exit::Findings.into())
    }
}
