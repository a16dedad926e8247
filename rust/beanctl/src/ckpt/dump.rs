// SPDX-License-Identifier: GPL-2.0

//! `beanctl ckpt dump`: the container goes into an image, and ends when that is complete, unless it
//! is to go on.

use std::io::stderr;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use nix::errno::Errno;

use super::external::Inside;
use super::memory;
use super::output::Output;
use super::session::Session;
use super::target::{Container, Target};
use super::{Patience, estimate, plural, settings, uapi};
use crate::cgroup::Cgroup;
use crate::failure::{Exit, Failure};
use crate::interrupt;

/// How much is written between two looks at the progress, in bytes.
const PIECE: u64 = 16 << 20;

/// What an image has besides memory, for each process, in bytes; more is no harm.
const PROCESS: u64 = 64 << 10;

/// What it has for each thread: above all the registers, which may be 11 KiB.
const THREAD: u64 = 12 << 10;

/// The command line of `beanctl ckpt dump`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    target: Target,
    /// Where the image goes; `-` is the standard output. A file is there when it is complete.
    #[arg(long, short, value_name = "FILE", default_value = "-")]
    output: PathBuf,
    /// Lets the container go on when the image is complete; else it is killed then.
    #[arg(long)]
    leave_running: bool,
    /// Stops the container only until there are copies of its memory: it goes on while the image
    /// is written, and afterwards, also without --leave-running.
    #[arg(long)]
    snapshot: bool,
    #[command(flatten)]
    patience: Patience,
    /// Calls an open file that leads out of the container by a name, by which it is handed in when
    /// the image is restored; several are possible.
    #[arg(long, value_name = "PID:FD=NAME")]
    external: Vec<Inside>,
}

/// Saves a container.
///
/// # Errors
///
/// It cannot be saved, or not written; then it goes on, and nothing is left of the image.
pub fn run(args: &Args) -> Result<()> {
    let output = Output::open(&args.output)?;
    let session = Session::open()?;
    session.name_all(&args.external)?;
    interrupt::catch()?;
    let container = args.target.open()?;
    // A cgroup that was made for this has no settings.
    if !container.was_moved() {
        note(&session, container.cgroup())?;
    }
    let processes = container.cgroup().all_processes()?;
    output.reserve(processes.into_iter().map(room).sum());
    match args.snapshot {
        true => snapshot(args, &session, container, output),
        false => dump(args, session, container, output),
    }
}

/// What an image has besides memory, about, in bytes.
pub fn metadata(processes: usize, threads: usize) -> u64 {
    PROCESS * processes as u64 + THREAD * threads as u64
}

/// How much a process will take in an image, about, in bytes.
fn room(pid: i32) -> u64 {
    memory::of(pid) + metadata(1, estimate::threads(pid).unwrap_or(1))
}

/// Has the image carry the settings of the cgroup.
fn note(session: &Session, cgroup: &Cgroup) -> Result<()> {
    let note = settings::of(cgroup)?;
    if note.len() > uapi::NOTE_MAX {
        let name = cgroup.name();
        eprintln!("warning: {name} has more settings than an image can have: they are not in it");
        return Ok(());
    }
    Ok(session.note(&note)?)
}

/// Stops the container until its image is written.
fn dump(args: &Args, session: Session, container: Container, output: Output) -> Result<()> {
    // Closed before the container goes: what is suspended cannot be moved back.
    let session = session;
    let cgroup = container.cgroup();
    let name = output.name();
    session.suspend(cgroup, args.patience.timeout(), false)?;
    let suspended = Instant::now();
    let processes = cgroup.all_processes()?.len();
    session.dump(cgroup)?;
    let bytes = write(&session, &output)?;
    // Who goes on need not wait for the disk; who has no image must not end.
    let frozen = if args.leave_running {
        session.resume()?;
        let frozen = suspended.elapsed();
        output.finish()?;
        frozen
    } else {
        output.finish()?;
        session.kill()?;
        suspended.elapsed()
    };
    drop(session);
    if !args.leave_running {
        container.bury()?;
    }
    eprintln!(
        "saved {} in {name}: {}, {:.1} s suspended, {}",
        plural(processes, "process", "processes"),
        HumanBytes(bytes),
        frozen.as_secs_f64(),
        if args.leave_running {
            "then continued"
        } else {
            "then killed"
        },
    );
    Ok(())
}

/// Stops the container until there are copies of its memory, from which the image is written.
fn snapshot(args: &Args, session: &Session, container: Container, output: Output) -> Result<()> {
    let name = output.name();
    let saved = container.cgroup().name();
    let called = Instant::now();
    session.snapshot(container.cgroup(), args.patience.timeout())?;
    let suspended = called.elapsed();
    // What was moved goes on where it was.
    drop(container);
    let continued = Instant::now();
    let bytes = HumanBytes(write(session, &output)?);
    output.finish()?;
    let written = continued.elapsed();
    eprintln!(
        "saved {saved} in {name}: {bytes}, {suspended:.1?} suspended, written in {written:.1?} while \
         it went on"
    );
    Ok(())
}

/// Writes the whole image, and returns how many bytes it has.
fn write(session: &Session, output: &Output) -> Result<u64> {
    let bar = progress();
    let written = loop {
        match interrupt::retry(|| session.write(output.as_fd(), PIECE)) {
            Ok(0) => break Ok(bar.position()),
            Ok(bytes) => bar.inc(bytes),
            Err(errno) => break Err(errno),
        }
    };
    bar.finish_and_clear();
    written.map_err(|errno| not_written(session, output, errno))
}

/// What to say when the image could not be written to its end.
fn not_written(session: &Session, output: &Output, errno: Errno) -> anyhow::Error {
    if let (Errno::EINTR, Err(interrupted)) = (errno, interrupt::check()) {
        return interrupted.into();
    }
    // These are never of where it goes to.
    if let Errno::ESRCH | Errno::EFAULT | Errno::EHWPOISON = errno {
        return session.not_read(errno).into();
    }
    let what = format!(
        "cannot write to {}: {} ({errno:?})",
        output.name(),
        errno.desc()
    );
    let failure = Failure::new(Exit::Failed, what);
    match errno {
        Errno::ENOSPC | Errno::EDQUOT => failure.fix("make room, or name another file"),
        Errno::EPIPE => failure.fix("see what the program behind the pipe has to say"),
        _ => failure,
    }
    .into()
}

/// A line on a terminal: what there is to come is not known before.
fn progress() -> ProgressBar {
    use std::io::IsTerminal;

    if !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner();
    let style =
        ProgressStyle::with_template("{spinner} saving: {bytes}, {bytes_per_sec}, {elapsed}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
