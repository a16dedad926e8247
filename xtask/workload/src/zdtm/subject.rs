// SPDX-License-Identifier: GPL-2.0

//! A test that runs: a daemon in a cgroup, which checks its state when it gets SIGTERM.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{io, thread};

use anyhow::{Context, Result, bail, ensure};
use nix::errno::Errno;
use nix::sys::signal::{self, Signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::cgroup::Cgroup;
use super::{Attempt, POLL};

/// How many lines of a test's own words are shown.
const SHOWN: usize = 8;

/// The test, its cgroup and its directory.
pub struct Subject {
    /// Where it runs.
    pub cgroup: Cgroup,
    /// Its first process, a child of this one.
    pub pid: Pid,
    scratch: PathBuf,
}

impl Subject {
    /// Starts it, and waits until it is ready.
    ///
    /// # Errors
    ///
    /// It cannot make its state.
    pub fn start(args: &Attempt) -> Result<Self> {
        let cgroup = Cgroup::at(&args.cgroup);
        let (scratch, procs) = (args.scratch.join("test"), cgroup.procs());
        fs::create_dir(&scratch).with_context(|| scratch.display().to_string())?;
        // A test may change the permissions of its program.
        let original = Path::new(&args.test[0]);
        let program = args
            .scratch
            .join(original.file_name().context("no program")?);
        fs::copy(original, &program).with_context(|| args.test[0].clone())?;
        let log = File::create(scratch.join("start.log"))?;
        let mut command = Command::new(&program);
        command
            .args(&args.test[1..])
            .args(["--pidfile=test.pid", "--outfile=test.out"])
            // It stays who it is: the engine refuses credentials that are not the caller's.
            .env("ZDTM_ROOTLESS", "1")
            .current_dir(&scratch)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        // SAFETY: Between fork and exec nothing is done but to write a file, in a single thread.
        unsafe { command.pre_exec(move || fs::write(&procs, "0")) };
        let status = command
            .status()
            .with_context(|| format!("cannot start {}", args.test[0]))?;
        let mut subject = Self {
            cgroup,
            pid: Pid::from_raw(0),
            scratch,
        };
        if !status.success() {
            let words = subject.words(&["start.log", "test.out.inprogress", "test.out"]);
            bail!("the start ended with {status}\n{words}");
        }
        let text = fs::read_to_string(subject.scratch.join("test.pid")).context("test.pid")?;
        subject.pid = Pid::from_raw(text.trim().parse().context("test.pid")?);
        Ok(subject)
    }

    /// Waits until nothing is left of it, after it was killed.
    ///
    /// # Errors
    ///
    /// It cannot be waited for.
    pub fn bury(&self) -> Result<()> {
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Err(Errno::ECHILD) => return Ok(()),
                Ok(WaitStatus::StillAlive) => thread::sleep(POLL),
                other => drop(other?),
            }
        }
    }

    /// Tells it to check its state; what it found wrong is the error.
    ///
    /// # Errors
    ///
    /// It ended without a word, or its verdict is not that it has passed.
    pub fn finish(&self) -> Result<()> {
        signal::kill(self.pid, Signal::SIGTERM).context("SIGTERM")?;
        let status = waitpid(self.pid, None).context("the test is no child")?;
        match fs::read_to_string(self.scratch.join("test.out")) {
            Ok(text) if passed(&text) => {}
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => bail!(
                "the test ended without PASS: {status:?}\n{}",
                self.words(&["test.out", "test.out.inprogress"])
            ),
        }
        self.cgroup.kill();
        self.bury()?;
        ensure!(
            self.cgroup.pids()?.is_empty(),
            "a process of it is no child"
        );
        Ok(())
    }

    /// The last lines of the first of some files that has any.
    fn words(&self, names: &[&str]) -> String {
        let texts = names
            .iter()
            .filter_map(|name| fs::read_to_string(self.scratch.join(name)).ok());
        let text = texts.into_iter().find(|text| !text.trim().is_empty());
        let text = text.unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(SHOWN)..].join("\n")
    }
}

/// Whether what a test wrote ends with the word PASS.
fn passed(text: &str) -> bool {
    text.lines()
        .last()
        .is_some_and(|line| line.split_whitespace().any(|word| word == "PASS"))
}

#[cfg(test)]
mod tests {
    use super::passed;

    #[test]
    fn the_last_line_decides() {
        assert!(passed("10:00:00.1:  5: PASS\n"));
        assert!(passed("ERR: x\n10:00:00.1:  5: PASS"));
        assert!(!passed("10:00:00.1:  5: PASS\nFAIL: maps00.c:12: PASSED\n"));
        assert!(!passed("SKIP: no such thing\n"));
        assert!(!passed(""));
    }
}
