// SPDX-License-Identifier: GPL-2.0

//! How long it takes to save and restore a process, beside others that do the same or less. Under
//! `-icount shift=0` a nanosecond of the guest is one instruction.

mod sink;
mod subject;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use nix::sys::prctl::set_child_subreaper;

use sink::Sink;
use subject::Subject;
pub use subject::{Pages, run as subject};

use crate::clock;
use crate::criu::Criu;
use crate::device::Session;

/// CRIU with little to say, and without the cgroups, which are not saved by the engine either.
const CRIU: [&str; 2] = ["-v1", "--manage-cgroups=ignore"];

/// A MiB in bytes.
const MIB: usize = 1 << 20;

/// How much an image may have besides the memory of the subject, in MiB.
const METADATA: u32 = 1;

/// How long nothing is done before something is measured.
const REST: Duration = Duration::from_millis(50);

/// What to measure.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The memory of each process, in MiB.
    #[arg(required = true, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    mib: Vec<u32>,
    /// Its pages.
    #[arg(long, value_enum, default_value = "small")]
    pages: Vec<Pages>,
    /// How often, each time with another process.
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
    for &mib in &args.mib {
        for &pages in &args.pages {
            for _ in 0..args.rounds {
                round(args, mib, pages)?;
            }
        }
    }
    Ok(())
}

fn round(args: &Args, mib: u32, pages: Pages) -> Result<()> {
    let pages_name = pages.to_possible_value();
    let pages_name = pages_name.as_ref().map_or("", |value| value.get_name());
    let say = |who: &str, what: &str, sink: &str, value: u128| {
        println!("ckpt {mib} {pages_name} {who} {what} {sink} {value}");
    };
    let tmpfs = Sink::Tmpfs.name();
    let path = args.dir.join("image");
    let source = args.dir.join("source");
    fs::write(&source, vec![0xA5; mib as usize * MIB])?;
    for sink in Sink::ALL {
        let time = dd(&args.dd, mib, &source, sink, &path)?;
        say("dd", "write", sink.name(), time.as_nanos());
    }
    fs::remove_file(&source)?;

    let subject = Subject::start(mib, pages)?;
    // The first time the kernel's caches fill.
    save(&subject, Sink::Tmpfs, &path)?;
    for sink in Sink::ALL {
        let saved = save(&subject, sink, &path)?;
        say("ckpt", "frozen", sink.name(), saved.frozen.as_nanos());
        say("ckpt", "write", sink.name(), saved.write.as_nanos());
        say("ckpt", "bytes", sink.name(), saved.bytes.into());
    }
    let frozen = snapshot(&subject, &path)?;
    say("ckpt", "frozen", "snapshot", frozen.as_nanos());
    let restored = restore(&subject, &path)?;
    say("ckpt", "restore", tmpfs, restored.as_nanos());
    fs::remove_file(&path)?;

    if let Some(program) = &args.criu {
        let images = args.dir.join("criu");
        let criu = Criu::new(program, images.clone(), &CRIU)?;
        thread::sleep(REST);
        let start = clock::now()?;
        let frozen = criu.dump_running(subject.pid())?;
        let write = clock::now()? - start;
        say("criu", "frozen", tmpfs, frozen.as_nanos());
        say("criu", "write", tmpfs, write.as_nanos());
        say("criu", "bytes", tmpfs, size(&images)?.into());
        subject.end()?;
        thread::sleep(REST);
        let start = clock::now()?;
        criu.restore()?;
        let restored = clock::now()? - start;
        say("criu", "restore", tmpfs, restored.as_nanos());
        subject.check()?;
        fs::remove_dir_all(&images).with_context(|| images.display().to_string())?;
    }
    subject.remove()
}

/// The size of the files in a directory, in bytes.
fn size(dir: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir)? {
        bytes += entry?.metadata()?.len();
    }
    Ok(bytes)
}

/// What it took to save a process.
struct Saved {
    /// From the call that stops it until it goes on.
    frozen: Duration,
    /// From the call that begins the image until nothing of it is on its way any more.
    write: Duration,
    /// The size of the image.
    bytes: u64,
}

fn save(subject: &Subject, sink: Sink, path: &Path) -> Result<Saved> {
    let session = Session::open()?;
    let open = sink.open(path, reserve(subject.mib()))?;
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
        frozen: clock::now()? - start,
        write: written - suspended,
        bytes,
    })
}

/// Saves a snapshot, and returns how long the process was stopped for it.
fn snapshot(subject: &Subject, path: &Path) -> Result<Duration> {
    let session = Session::open()?;
    let open = Sink::Tmpfs.open(path, reserve(subject.mib()))?;
    thread::sleep(REST);
    let start = clock::now()?;
    session.snapshot(subject.cgroup())?;
    let frozen = clock::now()? - start;
    session.write(open.fd())?;
    open.finish()?;
    Ok(frozen)
}

/// Ends the process, makes it again, and returns how long the latter took.
fn restore(subject: &Subject, path: &Path) -> Result<Duration> {
    let session = Session::open()?;
    session.suspend(subject.cgroup())?;
    session.kill()?;
    subject.end()?;
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

/// The most that an image of a subject has, in bytes.
fn reserve(mib: u32) -> i64 {
    i64::from(mib + METADATA) << 20
}

/// How long `dd` takes to write as much as a subject has, without what it takes to start and to end.
fn dd(dd: &[String], mib: u32, source: &Path, sink: Sink, path: &Path) -> Result<Duration> {
    let write = |mib: u32| -> Result<Duration> {
        let open = sink.open(path, reserve(mib))?;
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
