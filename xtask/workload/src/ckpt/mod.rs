// SPDX-License-Identifier: GPL-2.0

//! How long it takes to save and restore processes, beside others that do the same or less. Under
//! `-icount shift=0` a nanosecond of the guest is one instruction.
//!
//! A line is printed for each figure, in nanoseconds or bytes:
//!
//! ```text
//! ckpt KIND WHO WHAT SINK VALUE
//! ```

mod kind;
mod memory;
mod program;
mod sink;
mod subject;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::prctl::set_child_subreaper;

pub use kind::Kind;
pub use program::run as subject;
use sink::Sink;
use subject::Subject;

use crate::clock;
use crate::criu::Criu;
use crate::device::Session;

/// CRIU with little to say, and without the cgroups, which are not saved by the engine either.
const CRIU: [&str; 2] = ["-v1", "--manage-cgroups=ignore"];

/// A MiB in bytes.
const MIB: usize = 1 << 20;

/// How much more room there is than was needed before, in bytes.
const SPARE: u64 = 1 << 20;

/// How long nothing is done before something is measured.
const REST: Duration = Duration::from_millis(50);

/// What to measure.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What is saved: `16:small` or `16:huge` for a process with 16 MiB of such pages, `1000:threads`
    /// for one with threads, `200:processes` for a family.
    #[arg(required = true)]
    kinds: Vec<Kind>,
    /// How often, each time with another subject.
    #[arg(long, default_value_t = 1)]
    rounds: u32,
    /// A directory in a tmpfs.
    #[arg(long, default_value = "/tmp")]
    dir: PathBuf,
    /// CRIU's program.
    #[arg(long)]
    criu: Option<PathBuf>,
    /// A dd and its first words.
    #[arg(required = true, last = true)]
    dd: Vec<String>,
}

/// Measures, and prints a line for each figure.
///
/// # Errors
///
/// Something cannot be done, or what was restored is not what was saved.
pub fn run(args: &Args) -> Result<()> {
    // What CRIU has restored becomes a child of this one when CRIU has ended.
    set_child_subreaper(true)?;
    for &kind in &args.kinds {
        for _ in 0..args.rounds {
            round(args, kind)?;
        }
    }
    Ok(())
}

/// Prints a figure: who did what, where to, and the value.
type Say<'a> = &'a dyn Fn(&str, &str, &str, u128);

fn round(args: &Args, kind: Kind) -> Result<()> {
    let say: Say<'_> = &|who, what, sink, value| {
        println!("ckpt {kind} {who} {what} {sink} {value}");
    };
    // There is nothing but memory to copy.
    if let Kind::Memory { mib, .. } = kind {
        copy(args, mib, say)?;
    }
    let subject = Subject::start(kind)?;
    say("subject", "memory", "none", subject.memory()?.into());
    by_engine(args, &subject, say)?;
    if let Some(program) = &args.criu {
        by_criu(program, args.dir.join("criu"), &subject, say)?;
    }
    subject.remove()
}

/// Has dd copy as much as a subject has.
fn copy(args: &Args, mib: u32, say: Say<'_>) -> Result<()> {
    let (source, path) = (args.dir.join("source"), args.dir.join("image"));
    fs::write(&source, vec![0xA5; mib as usize * MIB])?;
    for sink in Sink::ALL {
        let time = dd(&args.dd, mib, &source, sink, &path)?;
        say("dd", "write", sink.name(), time.as_nanos());
    }
    Ok(fs::remove_file(&source)?)
}

fn by_engine(args: &Args, subject: &Subject, say: Say<'_>) -> Result<()> {
    let path = args.dir.join("image");
    // The first time the kernel's caches fill, and it is seen how much there is to write.
    let size = save(subject, Sink::Tmpfs, &path, 0)?.bytes + SPARE;
    for sink in Sink::ALL {
        let saved = save(subject, sink, &path, size)?;
        say("ckpt", "stopped", sink.name(), saved.stopped.as_nanos());
        say("ckpt", "frozen", sink.name(), saved.frozen.as_nanos());
        say("ckpt", "write", sink.name(), saved.write.as_nanos());
        say("ckpt", "bytes", sink.name(), saved.bytes.into());
    }
    let frozen = snapshot(subject, &path)?;
    say("ckpt", "frozen", "snapshot", frozen.as_nanos());
    let restored = restore(subject, &path)?;
    let tmpfs = Sink::Tmpfs.name();
    say("ckpt", "memory", tmpfs, subject.memory()?.into());
    say("ckpt", "restore", tmpfs, restored.as_nanos());
    Ok(fs::remove_file(&path)?)
}

fn by_criu(program: &Path, images: PathBuf, subject: &Subject, say: Say<'_>) -> Result<()> {
    let tmpfs = Sink::Tmpfs.name();
    let criu = Criu::new(program, images.clone(), &CRIU)?;
    thread::sleep(REST);
    let start = clock::now()?;
    let frozen = criu.dump_running(subject.pid())?;
    let write = clock::now()? - start;
    say("criu", "frozen", tmpfs, frozen.as_nanos());
    say("criu", "write", tmpfs, write.as_nanos());
    say("criu", "bytes", tmpfs, size_of(&images)?.into());
    subject.finish()?;
    thread::sleep(REST);
    let start = clock::now()?;
    criu.restore()?;
    let restored = clock::now()? - start;
    subject.check()?;
    say("criu", "memory", tmpfs, subject.memory()?.into());
    say("criu", "restore", tmpfs, restored.as_nanos());
    fs::remove_dir_all(&images).with_context(|| images.display().to_string())
}

/// The size of the files in a directory, in bytes.
fn size_of(dir: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir)? {
        bytes += entry?.metadata()?.len();
    }
    Ok(bytes)
}

/// What it took to save a subject.
struct Saved {
    /// From the call that stops it until it returns.
    stopped: Duration,
    /// From the call that stops it until it goes on.
    frozen: Duration,
    /// From the call that begins the image until nothing of it is on its way any more.
    write: Duration,
    /// The size of the image.
    bytes: u64,
}

/// Saves it as at most so many bytes, for which there is room before it is stopped.
fn save(subject: &Subject, sink: Sink, path: &Path, size: u64) -> Result<Saved> {
    let session = Session::open()?;
    let open = sink.open(path, size)?;
    // All else comes to rest: a process that just went on has not left the freezer yet.
    thread::sleep(REST);
    let start = clock::now()?;
    session.suspend(subject.cgroup())?;
    let suspended = clock::now()?;
    session.begin()?;
    let bytes = match sink {
        Sink::Pipe => session.splice(open.fd())?,
        Sink::Tmpfs | Sink::Reserved | Sink::Null => session.write(open.fd())?,
    };
    // The pages in a pipe are the container's own.
    open.finish()?;
    let written = clock::now()?;
    session.resume()?;
    Ok(Saved {
        stopped: suspended - start,
        frozen: clock::now()? - start,
        write: written - suspended,
        bytes,
    })
}

/// Saves a snapshot, and returns how long the subject was stopped for it.
fn snapshot(subject: &Subject, path: &Path) -> Result<Duration> {
    let session = Session::open()?;
    let open = Sink::Tmpfs.open(path, 0)?;
    thread::sleep(REST);
    let start = clock::now()?;
    session.snapshot(subject.cgroup())?;
    let frozen = clock::now()? - start;
    session.write(open.fd())?;
    open.finish()?;
    Ok(frozen)
}

/// Ends the subject, makes it again, and returns how long the latter took.
fn restore(subject: &Subject, path: &Path) -> Result<Duration> {
    let session = Session::open()?;
    session.suspend(subject.cgroup())?;
    session.kill()?;
    subject.bury()?;
    let image = File::open(path).with_context(|| path.display().to_string())?;
    thread::sleep(REST);
    let start = clock::now()?;
    let pid = session.restore(&image, subject.cgroup())?;
    session.resume()?;
    let time = clock::now()? - start;
    ensure!(pid == subject.pid(), "another process was restored");
    subject.check()?;
    Ok(time)
}

/// How long `dd` takes to write as much as a subject has, without what it takes to start and to end.
fn dd(dd: &[String], mib: u32, source: &Path, sink: Sink, path: &Path) -> Result<Duration> {
    let write = |mib: u32| -> Result<Duration> {
        let open = sink.open(path, (u64::from(mib) << 20) + SPARE)?;
        let start = clock::now()?;
        let status = Command::new(&dd[0])
            .args(&dd[1..])
            .arg(format!("if={}", source.display()))
            .args(["bs=1M", &format!("count={mib}")])
            .stdout(open.fd().try_clone_to_owned()?)
            .stderr(Stdio::null())
            .status()
            .with_context(|| dd.join(" "))?;
        open.finish()?;
        ensure!(status.success(), "dd: {status}");
        Ok(clock::now()? - start)
    };
    let idle = write(0)?;
    Ok(write(mib)?.saturating_sub(idle))
}
