// SPDX-License-Identifier: GPL-2.0

//! CRIU's program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use nix::unistd::Pid;

/// What it does only when told to, and the kernel's engine without a word.
const OPTIONS: [&str; 3] = ["--link-remap", "--file-locks", "--tcp-established"];

/// How many lines of its log are shown.
const SHOWN: usize = 6;

/// CRIU with a directory for images and logs.
pub struct Criu {
    program: PathBuf,
    images: PathBuf,
}

impl Criu {
    /// A program that keeps its images in the directory.
    ///
    /// # Errors
    ///
    /// The directory cannot be made.
    pub fn new(program: &Path, images: PathBuf) -> Result<Self> {
        fs::create_dir_all(&images).with_context(|| images.display().to_string())?;
        Ok(Self {
            program: program.to_owned(),
            images,
        })
    }

    /// Saves a tree of processes, and ends it.
    ///
    /// # Errors
    ///
    /// It cannot; the processes go on then.
    pub fn dump(&self, pid: Pid) -> Result<()> {
        self.run("dump", &["-t", &pid.to_string()])
    }

    /// Restores it; its first process becomes the child of who reaps orphans.
    ///
    /// # Errors
    ///
    /// It cannot.
    pub fn restore(&self) -> Result<()> {
        self.run("restore", &["-d"])
    }

    fn run(&self, verb: &str, args: &[&str]) -> Result<()> {
        let log = self.images.join(format!("{verb}.log"));
        let status = Command::new(&self.program)
            .arg(verb)
            .args(args)
            .arg("-D")
            .arg(&self.images)
            .arg("-o")
            .arg(&log)
            .arg("-v4")
            .args(OPTIONS)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .with_context(|| self.program.display().to_string())?;
        if status.success() {
            return Ok(());
        }
        let text = fs::read(&log).unwrap_or_default();
        bail!(
            "{verb} ended with {status}\n{}",
            complaints(&String::from_utf8_lossy(&text))
        );
    }
}

/// The lines of a log that say what went wrong.
fn complaints(log: &str) -> String {
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("Error")).collect();
    lines[..lines.len().min(SHOWN)].join("\n")
}

#[cfg(test)]
mod tests {
    use super::complaints;

    #[test]
    fn of_a_log_the_errors_are_shown() {
        let log = "(00.1) Dumping\n(00.2) Error (criu/x.c:1): Can't\n(00.3) Unlock\n";
        assert_eq!(complaints(log), "(00.2) Error (criu/x.c:1): Can't");
    }
}
