// SPDX-License-Identifier: GPL-2.0

//! `beanctl ckpt dump`: the container goes into an image, and ends when that is complete.

use std::io::stderr;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use nix::errno::Errno;

use super::external::Inside;
use super::output::Output;
use super::pump::{Failed, pump};
use super::session::Session;
use super::target::Target;
use super::{Patience, plural};
use crate::failure::{Exit, Failure};
use crate::interrupt;

/// The command line of `beanctl ckpt dump`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    target: Target,
    /// Where the image goes; `-` is the standard output. A file is there when it is complete.
    #[arg(long, short, value_name = "FILE", default_value = "-")]
    output: PathBuf,
    /// Lets the container go on; else it is killed when the image is complete.
    #[arg(long)]
    leave_running: bool,
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
    // Closed before the container goes: what is suspended cannot be moved back.
    let session = session;
    let cgroup = container.cgroup();
    let name = output.name();

    session.suspend(cgroup, args.patience.timeout(), false)?;
    let frozen = Instant::now();
    let processes = cgroup.processes()?.len();
    session.dump(cgroup)?;
    let bytes = write(&session, &output)?;
    // A container of which there is no image goes on: nothing but this line may come before it.
    output.finish()?;
    if args.leave_running {
        session.resume()?;
    } else {
        session.kill()?;
    }
    let frozen = frozen.elapsed();
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

/// Writes the whole image, and returns how many bytes it has.
fn write(session: &Session, output: &Output) -> Result<u64> {
    let bar = progress();
    let written = pump(session.as_fd(), output.as_fd(), |bytes| {
        bar.set_position(bytes);
    });
    bar.finish_and_clear();
    written.map_err(|failed| match failed {
        Failed::Source(errno) => session.not_read(errno).into(),
        Failed::Sink(errno) => {
            if let (Errno::EINTR, Err(interrupted)) = (errno, interrupt::check()) {
                return interrupted.into();
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
    })
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
