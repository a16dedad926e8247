// SPDX-License-Identifier: GPL-2.0

//! CRIU, which does the same from user space.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::unistd::Pid;

/// A program and a directory for its images.
pub struct Criu {
    program: PathBuf,
    images: PathBuf,
}

impl Criu {
    /// With a new directory for images below `dir`.
    ///
    /// # Errors
    ///
    /// It cannot be made.
    pub fn new(program: &Path, dir: &Path) -> Result<Self> {
        let images = dir.join("criu");
        fs::create_dir(&images).with_context(|| images.display().to_string())?;
        Ok(Self {
            program: program.to_owned(),
            images,
        })
    }

    /// Saves a process that goes on afterwards, and returns how long it was frozen.
    ///
    /// # Errors
    ///
    /// CRIU fails, or says nothing about that.
    pub fn dump(&self, pid: Pid) -> Result<Duration> {
        let pid = pid.to_string();
        let said = self.run("dump", &["--tree", &pid, "--leave-running"])?;
        frozen(&said).context("CRIU does not say how long the process was frozen")
    }

    /// Restores the process, which nobody of this program's is the parent of.
    ///
    /// # Errors
    ///
    /// CRIU fails.
    pub fn restore(&self) -> Result<()> {
        self.run("restore", &["--restore-detached"]).map(drop)
    }

    /// The size of the images in bytes.
    ///
    /// # Errors
    ///
    /// They cannot be looked at.
    pub fn bytes(&self) -> Result<u64> {
        let mut bytes = 0;
        for entry in fs::read_dir(&self.images)? {
            bytes += entry?.metadata()?.len();
        }
        Ok(bytes)
    }

    /// Removes the images.
    ///
    /// # Errors
    ///
    /// They stay.
    pub fn remove(self) -> Result<()> {
        fs::remove_dir_all(&self.images).with_context(|| self.images.display().to_string())
    }

    fn run(&self, action: &str, args: &[&str]) -> Result<String> {
        // A detached process keeps what it got, so nothing waits for the end of a pipe.
        let said = self.images.join(format!("{action}.said"));
        let log = self.images.join(format!("{action}.log"));
        let output = File::create(&said)?;
        let status = Command::new(&self.program)
            .arg(action)
            .arg("--images-dir")
            .arg(&self.images)
            .arg("--log-file")
            .arg(&log)
            .args(["-v1", "--display-stats", "--manage-cgroups=ignore"])
            .args(args)
            .stdin(std::process::Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .status()
            .with_context(|| self.program.display().to_string())?;
        let said = fs::read_to_string(said)?;
        let log = fs::read_to_string(log).unwrap_or_default();
        ensure!(
            status.success(),
            "criu {action}: {status}\n{}\n{}",
            said.trim_end(),
            log.trim_end()
        );
        Ok(said)
    }
}

/// How long the process was being frozen and was frozen, of what `--display-stats` shows.
fn frozen(said: &str) -> Option<Duration> {
    let value = |name: &str| -> Option<u64> {
        let rest = said.lines().find_map(|line| line.strip_prefix(name))?;
        rest.strip_suffix(" us")?.trim().parse().ok()
    };
    let micros = value("Freezing time:")? + value("Frozen time:")?;
    Some(Duration::from_micros(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_times_count() {
        let said = "Displaying dump stats:\nFreezing time: 1200 us\nFrozen time: 34 us\n\
                    Memory dump time: 5 us\n";
        assert_eq!(frozen(said), Some(Duration::from_micros(1234)));
    }

    #[test]
    fn a_missing_or_odd_time_is_none() {
        assert_eq!(frozen("Frozen time: 34 us\n"), None);
        assert_eq!(frozen("Freezing time: 1 s\nFrozen time: 34 us\n"), None);
    }
}
