// SPDX-License-Identifier: GPL-2.0

//! CRIU's program.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::unistd::Pid;

/// How many lines of its log are shown.
const SHOWN: usize = 6;

/// CRIU with a directory for images and logs.
pub struct Criu {
    program: PathBuf,
    images: PathBuf,
    options: &'static [&'static str],
}

impl Criu {
    /// A program that keeps its images in the directory, and gets these options each time.
    ///
    /// # Errors
    ///
    /// The directory cannot be made.
    pub fn new(program: &Path, images: PathBuf, options: &'static [&'static str]) -> Result<Self> {
        fs::create_dir_all(&images).with_context(|| images.display().to_string())?;
        Ok(Self {
            program: program.to_owned(),
            images,
            options,
        })
    }

    /// Saves a tree of processes, and ends it.
    ///
    /// # Errors
    ///
    /// It cannot; the processes go on then.
    pub fn dump(&self, pid: Pid) -> Result<()> {
        self.run("dump", &["-t", &pid.to_string()]).map(drop)
    }

    /// Saves it, lets it go on, and returns how long it was frozen.
    ///
    /// # Errors
    ///
    /// It cannot, or says nothing about that.
    pub fn dump_running(&self, pid: Pid) -> Result<Duration> {
        let args = ["-t", &pid.to_string(), "--leave-running", "--display-stats"];
        let said = self.run("dump", &args)?;
        frozen(&said).with_context(|| format!("dump does not say how long it took:\n{said}"))
    }

    /// Restores it; its first process becomes the child of who reaps orphans.
    ///
    /// # Errors
    ///
    /// It cannot.
    pub fn restore(&self) -> Result<()> {
        self.run("restore", &["-d"]).map(drop)
    }

    /// Does something, and returns what it says besides its log.
    fn run(&self, verb: &str, args: &[&str]) -> Result<String> {
        // No pipe: a restored process might keep it open.
        let said = self.images.join(format!("{verb}.said"));
        let output = File::create(&said).with_context(|| said.display().to_string())?;
        let log = self.images.join(format!("{verb}.log"));
        let status = Command::new(&self.program)
            .arg(verb)
            .args(args)
            .arg("-D")
            .arg(&self.images)
            .arg("-o")
            .arg(&log)
            .args(self.options)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(Stdio::null())
            .status()
            .with_context(|| self.program.display().to_string())?;
        if status.success() {
            return Ok(fs::read_to_string(said)?);
        }
        let text = fs::read(&log).unwrap_or_default();
        bail!(
            "{verb} ended with {status}\n{}",
            complaints(&String::from_utf8_lossy(&text))
        );
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

/// The lines of a log that say what went wrong.
fn complaints(log: &str) -> String {
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("Error")).collect();
    lines[..lines.len().min(SHOWN)].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_log_the_errors_are_shown() {
        let log = "(00.1) Dumping\n(00.2) Error (criu/x.c:1): Can't\n(00.3) Unlock\n";
        assert_eq!(complaints(log), "(00.2) Error (criu/x.c:1): Can't");
    }

    #[test]
    fn freezing_and_being_frozen_both_count() {
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
