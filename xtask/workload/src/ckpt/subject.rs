// SPDX-License-Identifier: GPL-2.0

//! A subject from outside: what is saved and restored.

use std::fs::{self, File};
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, setsid};

use super::kind::Kind;
use super::memory;

/// A running subject, in a cgroup of its own.
pub struct Subject {
    kind: Kind,
    /// Its first process.
    pid: Pid,
    path: PathBuf,
    cgroup: File,
}

impl Subject {
    /// Starts one, and waits until it is ready.
    ///
    /// # Errors
    ///
    /// The cgroup cannot be made, or the process ends.
    pub fn start(kind: Kind) -> Result<Self> {
        let path = Path::new("/sys/fs/cgroup/subject").to_owned();
        fs::create_dir(&path).with_context(|| path.display().to_string())?;
        let procs = path.join("cgroup.procs");
        let mut command = Command::new("/proc/self/exe");
        command
            .args(["ckpt-subject", &kind.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let enter = move || {
            setsid()?;
            fs::write(&procs, "0")
        };
        // SAFETY: There is no other thread that could hold a lock.
        unsafe { command.pre_exec(enter) };
        // It is waited for by its number, since a restored one is no child of the standard library.
        let mut child = command.spawn().context("the subject cannot be started")?;
        let mut said = String::new();
        if let Some(mut output) = child.stdout.take() {
            output.read_to_string(&mut said)?;
        }
        ensure!(said == "ready\n", "the subject ends before it is ready");
        let subject = Self {
            kind,
            // CAST: The kernel's numbers are small.
            pid: Pid::from_raw(child.id() as i32),
            cgroup: File::open(&path)?,
            path,
        };
        subject.check().context("before anything was done")?;
        Ok(subject)
    }

    /// Its first process.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// The directory of its cgroup.
    pub fn cgroup(&self) -> BorrowedFd<'_> {
        self.cgroup.as_fd()
    }

    /// Tells it to end, and keeps its cgroup.
    ///
    /// # Errors
    ///
    /// Some of it did not end as it should.
    pub fn finish(&self) -> Result<()> {
        kill(self.pid, Signal::SIGTERM).context("SIGTERM")?;
        let status = waitpid(self.pid, None).context("the subject is no child")?;
        let well = matches!(status, WaitStatus::Exited(_, 0));
        ensure!(well, "the subject did not end well: {status:?}");
        self.bury()
    }

    /// Waits until nothing is left of it, after it was killed.
    ///
    /// # Errors
    ///
    /// It cannot be waited for.
    pub fn bury(&self) -> Result<()> {
        loop {
            // There are no other children, and orphans become some.
            match waitpid(None, None) {
                Ok(_) => {}
                Err(Errno::ECHILD) => return Ok(()),
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Tells it to end, and removes its cgroup.
    ///
    /// # Errors
    ///
    /// Some of it did not end as it should, or stays.
    pub fn remove(self) -> Result<()> {
        self.finish()?;
        fs::remove_dir(&self.path).with_context(|| self.path.display().to_string())
    }

    /// Looks whether all of it is there: its processes, their threads, and their memory.
    ///
    /// # Errors
    ///
    /// It is not what it should be.
    pub fn check(&self) -> Result<()> {
        let processes = self.processes()?;
        expect("processes", processes.len(), self.kind.processes())?;
        for pid in processes {
            let threads = fs::read_dir(format!("/proc/{pid}/task"))?.count();
            expect("threads", threads, self.kind.threads())?;
            memory::check(self.kind, pid, pid != self.pid)?;
        }
        Ok(())
    }

    /// How much memory it takes, in bytes.
    ///
    /// # Errors
    ///
    /// It is gone.
    pub fn memory(&self) -> Result<u64> {
        self.processes()?.into_iter().map(memory::part).sum()
    }

    /// The first process and its children, in whichever cgroup they are: CRIU leaves them in its own.
    fn processes(&self) -> Result<Vec<Pid>> {
        let path = format!("/proc/{0}/task/{0}/children", self.pid);
        let children = fs::read_to_string(&path).with_context(|| path.clone())?;
        let mut pids = vec![self.pid];
        for pid in children.split_whitespace() {
            pids.push(Pid::from_raw(pid.parse()?));
        }
        Ok(pids)
    }
}

fn expect(what: &str, found: usize, wanted: u32) -> Result<()> {
    ensure!(
        found == wanted as usize,
        "the subject has {found} {what}, not {wanted}"
    );
    Ok(())
}
