// SPDX-License-Identifier: GPL-2.0

//! The smallest thing that is a container.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use nix::sched::{CloneFlags, unshare};

/// Moves into `cgroup` and runs `command` as the first process of a pid namespace.
///
/// # Errors
///
/// The cgroup cannot be entered, or the command not be started.
pub fn run(cgroup: &Path, command: &[String]) -> Result<ExitCode> {
    fs::write(cgroup.join("cgroup.procs"), "0").with_context(|| cgroup.display().to_string())?;
    unshare(CloneFlags::CLONE_NEWPID)?;
    let status = Command::new(&command[0])
        .args(&command[1..])
        .status()
        .with_context(|| command.join(" "))?;
    Ok(ExitCode::from(
        status
            .code()
            .and_then(|code| u8::try_from(code).ok())
            .unwrap_or(255),
    ))
}
