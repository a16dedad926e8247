// SPDX-License-Identifier: GPL-2.0

//! The smallest thing that is a container.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

/// Moves into `cgroup` and runs `command` as the first process of a pid namespace, which sees nothing
/// of the cgroups around its own if it is `enclosed`.
///
/// # Errors
///
/// The cgroup cannot be entered, or the command not be started.
pub fn run(cgroup: &Path, enclosed: bool, command: &[String]) -> Result<ExitCode> {
    fs::write(cgroup.join("cgroup.procs"), "0").with_context(|| cgroup.display().to_string())?;
    if enclosed {
        enclose().context("the container's view of cgroups")?;
    }
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

/// Makes the own cgroup the root of all that is seen.
fn enclose() -> nix::Result<()> {
    const NONE: Option<&str> = None;
    const CGROUPS: &str = "/sys/fs/cgroup";
    unshare(CloneFlags::CLONE_NEWCGROUP | CloneFlags::CLONE_NEWNS)?;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(NONE, "/", NONE, private, NONE)?;
    // The same file system cannot be mounted twice in one place, whatever is seen of it.
    umount2(CGROUPS, MntFlags::MNT_DETACH)?;
    let (kind, flags) = (Some("cgroup2"), MsFlags::empty());
    mount(kind, CGROUPS, kind, flags, NONE)
}
