// SPDX-License-Identifier: GPL-2.0

//! QEMU x86_64: through virtme-ng, which shows the host's root to the guest, or plain with an
//! initramfs where virtme-ng is absent.

use std::env;
use std::fs;
use std::iter;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::guest::{DIR, Kernel, Script, initramfs};
use crate::probe::{self, Accelerator};
use crate::{emulator, paths};

/// The command `vng`, unless `BEANPOD_PLAIN_QEMU` is set to something.
pub fn virtme_ng() -> Option<PathBuf> {
    if env::var_os("BEANPOD_PLAIN_QEMU").is_some_and(|value| !value.is_empty()) {
        return None;
    }
    let vng = paths::tools().join("venv/bin/vng");
    vng.is_file().then_some(vng)
}

/// The process of a guest that runs a script.
///
/// # Errors
///
/// The guest's files cannot be written.
pub fn command(
    kernel: &Kernel,
    script: &Script<'_>,
    dir: &Path,
    files: &[(String, PathBuf)],
) -> Result<Command> {
    let Some(vng) = virtme_ng() else {
        return plain(kernel, script, dir, files, probe::accelerator());
    };
    // The files must be together in one directory, which the guest mounts: its own /tmp hides the
    // host's, so that their own places may be out of its sight.
    let shared = dir.join("shared");
    for (name, from) in files {
        let to = shared.join(name);
        if let Some(above) = to.parent() {
            fs::create_dir_all(above).with_context(|| above.display().to_string())?;
        }
        fs::copy(from, &to).with_context(|| from.display().to_string())?;
    }
    let mut command = virtme(&vng, kernel, script.cpus, script.memory);
    command
        .arg("--verbose")
        .arg(format!("--rodir={DIR}={}", shared.display()));
    for word in words(script) {
        command.arg("--append").arg(word);
    }
    for argument in &script.qemu {
        command.arg(format!("--qemu-opts={argument}"));
    }
    command
        .arg("--exec")
        .arg(format!("{DIR}/busybox sh {DIR}/outer"));
    Ok(command)
}

/// The process of a guest with a shell on this terminal.
///
/// # Errors
///
/// The guest's files cannot be written.
pub fn interactive(kernel: &Kernel, dir: &Path) -> Result<Command> {
    if let Some(vng) = virtme_ng() {
        return Ok(virtme(&vng, kernel, 4, 2048));
    }
    let initrd = dir.join("initramfs.cpio");
    let init = initramfs::init("", "setsid -c sh -l </dev/ttyS0 >/dev/ttyS0 2>&1");
    let files = [("busybox".to_owned(), initramfs::busybox()?)];
    initramfs::write(&initrd, &init, &files)?;
    let mut command = base(kernel, &initrd, 4, 1024, probe::accelerator());
    command.args(["-serial", "mon:stdio"]);
    let mut cmdline = vec!["console=ttyS0 quiet panic=-1 kunit.enable=0"];
    cmdline.extend(to_boot(kernel));
    command.arg("-append").arg(cmdline.join(" "));
    Ok(command)
}

/// What guests that run a script are told besides.
fn words<'a>(script: &'a Script<'_>) -> impl Iterator<Item = &'a str> {
    let asked = script.cmdline.iter().map(String::as_str);
    asked.chain(["oops=panic"])
}

/// What a kernel has to be told so that it always boots.
fn to_boot(kernel: &Kernel) -> Vec<&'static str> {
    // With five levels of page tables, KASAN takes the lock of an interrupt for a wild address while
    // the boot CPU is identified: its features are forgotten for a moment.
    let levels = kernel.slow.then_some("no5lvl");
    // A boot of 7.3 can stand still where the first clock is chosen. By its source, the watchdog of
    // clocks waits for another CPU with its lock held, for a time taken from jiffies, which nobody
    // counts meanwhile; a CPU that waits for that lock with interrupts off never answers.
    iter::once("tsc=nowatchdog").chain(levels).collect()
}

/// What all guests under virtme-ng have in common.
fn virtme(vng: &Path, kernel: &Kernel, cpus: u32, memory: u32) -> Command {
    let mut command = Command::new(vng);
    // It looks for QEMU and for its own other half there.
    let rest = env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    let mut dirs = vec![emulator::own()];
    dirs.extend(vng.parent().map(PathBuf::from));
    dirs.extend(env::split_paths(&rest));
    command.env("PATH", env::join_paths(dirs).unwrap_or(rest));
    // Its working directory must exist in the guest too.
    command.current_dir("/");
    command
        .arg("--run")
        .arg(&kernel.image)
        .args(["--user", "root", "--force-9p", "--disable-microvm"])
        .arg(format!("--cpus={cpus}"))
        .arg(format!("--memory={memory}M"))
        // Without a value the 9p client of recent kernels refuses its source.
        .args(["--append", "root=/dev/root"])
        .arg("--qemu-opts=-nic none");
    for word in to_boot(kernel) {
        command.arg("--append").arg(word);
    }
    if probe::accelerator() == Accelerator::Tcg {
        command.arg("--disable-kvm");
    }
    command
}

/// The process of a guest without virtme-ng.
///
/// # Errors
///
/// The initramfs cannot be made.
pub fn plain(
    kernel: &Kernel,
    script: &Script<'_>,
    dir: &Path,
    files: &[(String, PathBuf)],
    accelerator: Accelerator,
) -> Result<Command> {
    let initrd = dir.join("initramfs.cpio");
    let init = initramfs::init("ttyS1", &format!("sh {DIR}/outer"));
    initramfs::write(&initrd, &init, files)?;
    let mut command = base(kernel, &initrd, script.cpus, script.memory, accelerator);
    for (id, descriptor) in [("console", 2), ("output", 1)] {
        command.arg("-chardev");
        command.arg(format!("file,id={id},path=/proc/self/fd/{descriptor}"));
        command.arg("-serial").arg(format!("chardev:{id}"));
    }
    let mut cmdline = vec!["console=ttyS0 earlyprintk=serial,ttyS0 panic=-1"];
    cmdline.extend(to_boot(kernel));
    cmdline.extend(words(script));
    command.arg("-append").arg(cmdline.join(" "));
    for argument in &script.qemu {
        command.args(argument.split_ascii_whitespace());
    }
    Ok(command)
}

fn base(
    kernel: &Kernel,
    initrd: &Path,
    cpus: u32,
    memory: u32,
    accelerator: Accelerator,
) -> Command {
    let mut command = Command::new(emulator::path());
    match accelerator {
        Accelerator::Kvm => command.args(["-accel", "kvm", "-cpu", "host"]),
        Accelerator::Tcg => command.args(["-accel", "tcg", "-cpu", "max"]),
    };
    command
        .args(["-display", "none", "-nodefaults", "-no-reboot"])
        .args(["-nic", "none"])
        .arg("-smp")
        .arg(cpus.to_string())
        .arg("-m")
        .arg(format!("{memory}M"))
        .arg("-kernel")
        .arg(&kernel.image)
        .arg("-initrd")
        .arg(initrd);
    command
}
