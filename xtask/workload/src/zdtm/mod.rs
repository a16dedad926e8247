// SPDX-License-Identifier: GPL-2.0

//! Programs of zdtm, the test suite of CRIU, under the checkpoint engine and under CRIU.
//!
//! A test prepares some state, is told to check it by SIGTERM, and writes its verdict. In between
//! it is saved, ended and restored here. A line is printed when a test begins, another when an
//! attempt with it ends, and before that as many as it takes to say why:
//!
//! ```text
//! zdtm test NAME
//! zdtm why TEXT
//! zdtm result NAME ENGINE VERDICT
//! ```

mod attempt;
mod cgroup;
mod state;
mod subject;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};

use attempt::Verdict;
use cgroup::Cgroup;

/// How often something that comes about by itself is looked at.
const POLL: Duration = Duration::from_millis(10);

/// How long what was killed may take to go away.
const GRACE: Duration = Duration::from_secs(10);

/// Who saves and restores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    /// Nobody: the test runs undisturbed.
    Alone,
    /// The device of the kernel.
    Ckpt,
    /// CRIU.
    Criu,
}

/// What is run.
#[derive(Debug, Args)]
pub struct Run {
    /// A file with a line for each test: its program and its arguments, with tabs between.
    tests: PathBuf,
    /// CRIU's program, to have it do the same.
    #[arg(long)]
    criu: Option<PathBuf>,
    /// Has the device take snapshots.
    #[arg(long)]
    snapshot: bool,
    /// Seconds that each attempt may take.
    #[arg(long)]
    limit: u64,
}

/// One attempt with one test.
#[derive(Debug, Args)]
pub struct Attempt {
    /// Who saves and restores.
    engine: Engine,
    /// The cgroup that the test runs in.
    cgroup: PathBuf,
    /// An empty directory for it.
    scratch: PathBuf,
    /// CRIU's program.
    #[arg(long)]
    criu: Option<PathBuf>,
    /// Has the device take a snapshot.
    #[arg(long)]
    snapshot: bool,
    /// The program of the test and its arguments.
    #[arg(required = true, trailing_var_arg = true)]
    test: Vec<String>,
}

/// Runs all tests.
///
/// # Errors
///
/// The list of tests cannot be read, or the machine lacks something that each of them needs.
pub fn run(args: &Run) -> Result<()> {
    let text = fs::read_to_string(&args.tests).with_context(|| args.tests.display().to_string())?;
    let mut engines = vec![Engine::Ckpt];
    engines.extend(args.criu.as_ref().map(|_| Engine::Criu));
    for line in text.lines() {
        let test: Vec<&str> = line.split('\t').collect();
        let Some(name) = test.first().and_then(|path| Path::new(path).file_name()) else {
            continue;
        };
        let name = name.to_string_lossy();
        println!("zdtm test {name}");
        if supervise(args, Engine::Alone, &name, &test)? != Verdict::Pass {
            continue;
        }
        for &engine in &engines {
            supervise(args, engine, &name, &test)?;
        }
    }
    Ok(())
}

/// Makes one attempt in a process of its own, which is ended after the limit, and says how it went.
fn supervise(args: &Run, engine: Engine, name: &str, test: &[&str]) -> Result<Verdict> {
    let word = engine.to_possible_value();
    let word = word.as_ref().map_or("", |value| value.get_name());
    // The kernel's log shall tell what was going on when something is found in it.
    let _ = fs::write("/dev/kmsg", format!("zdtm: {name} {word}\n"));
    let scratch = Path::new("/tmp/zdtm").join(format!("{name}-{word}"));
    fs::create_dir_all(&scratch).with_context(|| scratch.display().to_string())?;
    let cgroup = Cgroup::create(&format!("zdtm-{name}-{word}"))?;
    let mut command = Command::new("/proc/self/exe");
    command.args(["zdtm-attempt", word]);
    command.args([cgroup.path(), &scratch]);
    if let Some(criu) = &args.criu {
        command.arg("--criu").arg(criu);
    }
    if args.snapshot {
        command.arg("--snapshot");
    }
    let mut child = command.arg("--").args(test).spawn()?;
    let code = await_end(&mut child, Duration::from_secs(args.limit))?;
    let mut verdict = match code.and_then(|code| u8::try_from(code).ok()) {
        Some(code) => Verdict::from(code),
        None => {
            println!("zdtm why there was no end after {} s", args.limit);
            Verdict::Fail
        }
    };
    let _ = child.kill();
    cgroup.kill();
    if await_end(&mut child, GRACE)?.is_none() || !cgroup.remove() {
        println!("zdtm why something of it cannot be killed");
        verdict = Verdict::Fail;
    } else {
        fs::remove_dir_all(&scratch).with_context(|| scratch.display().to_string())?;
    }
    println!("zdtm result {name} {word} {verdict}");
    Ok(verdict)
}

/// The exit code of a child, -1 if a signal ended it; nothing if it goes on after the limit.
fn await_end(child: &mut Child, limit: Duration) -> Result<Option<i32>> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status.code().unwrap_or(-1)));
        }
        if start.elapsed() > limit {
            return Ok(None);
        }
        thread::sleep(POLL);
    }
}

/// Makes one attempt, and says why it went wrong.
pub fn attempt(args: &Attempt) -> ExitCode {
    let (verdict, why) = match attempt::run(args) {
        Ok(found) => found,
        Err(error) => (Verdict::Fail, vec![format!("{error:#}")]),
    };
    for line in why.iter().flat_map(|text| text.lines()) {
        println!("zdtm why {line}");
    }
    ExitCode::from(verdict as u8)
}
