// SPDX-License-Identifier: GPL-2.0

//! `cargo xtask demo ckpt`: programs are saved on a disk and killed, the guest is booted again, and
//! they go on where they were.

mod story;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use indicatif::HumanBytes;
use xshell::{Shell, cmd};

use crate::exit::{Exit, Failure};
use crate::guest::{self, Console, Kernel, Script, qemu};
use crate::kernel::{Arch, Base, Config, Series, build};
use crate::{cmd, paths, workload};
use story::{Facts, after, before};

/// The size of the disk in bytes; only what is written takes room.
const DISK: u64 = 256 << 20;

/// Builds the kernel and shows the programs.
///
/// # Errors
///
/// The machine cannot do it, or what was to be shown did not happen.
pub fn run(base: &Base) -> Result<ExitCode> {
    if qemu::virtme_ng().is_none() {
        let what = "the programs of the demonstration need the host's libraries and Python";
        return Err(Failure::new(Exit::Skipped, what)
            .fix("run it without BEANPOD_PLAIN_QEMU, after cargo xtask setup")
            .into());
    }
    let config = Config::of(Series::Ckpt, Arch::Qemu);
    let kernel = Kernel::from(build::ensure(base, &config)?);
    let demo = Demo::prepare()?;

    eprintln!("booting a guest, in which two programs are saved and killed ...");
    let console = guest::run(&kernel, demo.script("before", include_str!("before.sh")))?;
    let first = Facts::read(&console.output);
    println!("\nFirst boot");
    conclude(&console, &first, before::wrong(&first))?;
    before::tell(&first);

    eprintln!("\nbooting it again, from the same disk ...");
    let console = guest::run(&kernel, demo.script("after", include_str!("after.sh")))?;
    let second = Facts::read(&console.output);
    println!("\nSecond boot");
    conclude(&console, &second, after::wrong(&first, &second))?;
    after::tell(&first, &second);
    println!("\nBoth went on where they were, as if nothing had happened.");
    Ok(Exit::Pass.into())
}

/// What the guests are given.
struct Demo {
    disk: PathBuf,
    files: Vec<(&'static str, PathBuf)>,
}

impl Demo {
    fn prepare() -> Result<Self> {
        let dir = paths::cache().join("guest/demo-ckpt");
        fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
        let sources = paths::repo().join("xtask/src/demo/ckpt");
        let sh = Shell::new()?;
        let (source, counter) = (sources.join("counter.c"), dir.join("counter"));
        cmd::run(cmd!(sh, "cc -O2 -Wall -Werror -o {counter} {source}")).ok()?;
        let disk = dir.join("disk");
        make_disk(&sh, &disk)?;
        Ok(Self {
            disk,
            files: vec![
                ("counter", counter),
                ("pi.py", sources.join("pi.py")),
                ("beanctl", workload::build("beanctl")?),
            ],
        })
    }

    fn script(&self, name: &str, text: &str) -> Script<'_> {
        let text = [include_str!("common.sh"), text].concat();
        let mut script = Script::new(format!("demo-ckpt-{name}"), text);
        for (name, path) in &self.files {
            script = script.file(*name, path);
        }
        let disk = self.disk.display();
        script.qemu = vec![format!("-drive if=virtio,format=raw,file={disk}")];
        script
    }
}

/// A new disk with an ext4.
fn make_disk(sh: &Shell, path: &Path) -> Result<()> {
    let file = File::create(path).with_context(|| path.display().to_string())?;
    file.set_len(DISK)?;
    cmd::run(cmd!(sh, "/sbin/mkfs.ext4 -q -F {path}"))
        .ok()
        .map(drop)
}

/// Fails if something was not as it should be in a boot.
fn conclude(console: &Console, facts: &Facts, mut wrong: Vec<String>) -> Result<()> {
    let verdict = console.verdict();
    if !matches!(verdict.exit, Exit::Pass | Exit::Findings) {
        return console.check();
    }
    wrong.extend(verdict.findings());
    if wrong.is_empty() {
        return Ok(());
    }
    // What the programs in the guest had to say about it.
    wrong.extend(facts.said.iter().cloned());
    Err(console.failure(Exit::Findings, &wrong).into())
}

/// A number of bytes for people.
fn bytes(number: u64) -> String {
    HumanBytes(number).to_string()
}
