// SPDX-License-Identifier: GPL-2.0

//! The cgroup that a test runs in.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result};
use nix::unistd::Pid;

use super::{GRACE, POLL};

/// Where cgroups are.
const ROOT: &str = "/sys/fs/cgroup";

/// A directory of the cgroup file system.
#[derive(Clone, Debug)]
pub struct Cgroup(PathBuf);

impl Cgroup {
    /// Makes a new one.
    ///
    /// # Errors
    ///
    /// It exists, or there is no cgroup v2.
    pub fn create(name: &str) -> Result<Self> {
        let path = Path::new(ROOT).join(name);
        fs::create_dir(&path).with_context(|| path.display().to_string())?;
        Ok(Self(path))
    }

    /// One that there is.
    pub fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Its directory.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The file that says and sets which processes it has.
    pub fn procs(&self) -> PathBuf {
        self.0.join("cgroup.procs")
    }

    /// Its directory, open.
    ///
    /// # Errors
    ///
    /// It is gone.
    pub fn open(&self) -> Result<impl AsFd> {
        File::open(&self.0).with_context(|| self.0.display().to_string())
    }

    /// Its processes, with those that nobody has waited for yet.
    ///
    /// # Errors
    ///
    /// It is gone.
    pub fn pids(&self) -> Result<Vec<Pid>> {
        let path = self.procs();
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let mut pids: Vec<Pid> = text
            .lines()
            .filter_map(|line| line.parse().ok().map(Pid::from_raw))
            .collect();
        pids.sort_unstable();
        Ok(pids)
    }

    /// Ends all that runs in it.
    pub fn kill(&self) {
        let _ = fs::write(self.0.join("cgroup.kill"), "1");
    }

    /// Removes it as soon as nothing runs in it any more; whether that came about.
    pub fn remove(self) -> bool {
        let start = Instant::now();
        while fs::remove_dir(&self.0).is_err() {
            if start.elapsed() > GRACE {
                return false;
            }
            thread::sleep(POLL);
        }
        true
    }
}
