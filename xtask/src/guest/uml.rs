// SPDX-License-Identifier: GPL-2.0

//! Guests that are processes of the host: `ARCH=um`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::guest::{DIR, Kernel, Script, initramfs};
use crate::paths;

/// The process of a guest that runs a script.
///
/// # Errors
///
/// The initramfs cannot be made.
pub fn command(
    kernel: &Kernel,
    script: &Script<'_>,
    dir: &Path,
    files: &[(String, PathBuf)],
) -> Result<Command> {
    let initrd = dir.join("initramfs.cpio");
    let init = initramfs::init("tty1", &format!("sh {DIR}/outer"));
    initramfs::write(&initrd, &init, files)?;
    let mut command = base(kernel, &initrd, script.cpus, script.memory)?;
    // The first terminal is the kernel's console, the second has the script's output.
    command.args(["con0=null,fd:2", "con1=null,fd:1", "con=null"]);
    command.args(["console=tty0", "loglevel=8"]);
    command.args(&script.cmdline);
    Ok(command)
}

/// The process of a guest with a shell on this terminal.
///
/// # Errors
///
/// The initramfs cannot be made.
pub fn interactive(kernel: &Kernel, dir: &Path) -> Result<Command> {
    let initrd = dir.join("initramfs.cpio");
    // A session of its own gives the shell job control.
    let init = initramfs::init("", "setsid -c sh -l </dev/tty0 >/dev/tty0 2>&1");
    let files = [("busybox".to_owned(), initramfs::busybox()?)];
    initramfs::write(&initrd, &init, &files)?;
    let mut command = base(kernel, &initrd, 4, 1024)?;
    command.args(["con0=fd:0,fd:1", "con=null", "console=tty0", "quiet"]);
    command.arg("kunit.enable=0");
    Ok(command)
}

fn base(kernel: &Kernel, initrd: &Path, cpus: u32, memory: u32) -> Result<Command> {
    let state = paths::cache().join("guest").join("uml");
    fs::create_dir_all(&state).with_context(|| state.display().to_string())?;
    let mut command = Command::new(&kernel.image);
    command
        .arg(format!("mem={memory}M"))
        .arg(format!("initrd={}", initrd.display()))
        .arg(format!("uml_dir={}/", state.display()))
        .args(["root=/dev/ram0", "rdinit=/init", "panic=-1", "noreboot"]);
    if kernel.has("SMP") {
        command.arg(format!("ncpus={cpus}"));
    }
    Ok(command)
}
