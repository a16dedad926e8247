// SPDX-License-Identifier: GPL-2.0

//! `beanctl ckpt restore`: an image becomes a container again, which is waited for like a command.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::signal::kill;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::external::Given;
use super::session::Session;
use super::settings;
use crate::cgroup::Cgroup;
use crate::failure::{Exit, Failure};
use crate::{image, interrupt, print};

/// The command line of `beanctl ckpt restore`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The image; `-` is the standard input.
    image: PathBuf,
    /// An empty cgroup for the container: a directory of cgroup v2, or a path below its mount point.
    /// It is made if it is not there, with the settings that the image has for it; one that is there
    /// keeps its own.
    #[arg(long, value_name = "PATH")]
    cgroup: PathBuf,
    /// Makes the cgroup without the settings that the image has for it.
    #[arg(long)]
    no_settings: bool,
    /// Does not wait for the first process, but prints its number.
    #[arg(long)]
    detach: bool,
    /// Leaves it suspended, for `beanctl ckpt resume`, and prints the number of its first process.
    #[arg(long, conflicts_with = "detach")]
    suspended: bool,
    /// What the image calls by this name is this descriptor of beanctl; several are possible.
    #[arg(long, value_name = "NAME=FD")]
    external: Vec<Given>,
}

/// Restores a container, and returns what its first process exits with.
///
/// # Errors
///
/// It cannot be restored; nothing is left of it then.
pub fn run(args: &Args) -> Result<ExitCode> {
    // Before this program opens something that has such a number then.
    for given in &args.external {
        check_open(given)?;
    }
    let image = open(&args.image)?;
    let session = Session::open()?;
    for Given { name, fd } in &args.external {
        session.external(0, *fd, name)?;
    }
    let signals = interrupt::catch()?;
    let cgroup = Made::ensure(&args.cgroup)?;
    if cgroup.made && !args.no_settings {
        set(&cgroup.cgroup, &args.image, &image)?;
    }
    // Closed before the cgroup goes, and the container with it unless it runs.
    let session = session;
    let pid = session.restore(image.as_fd(), &cgroup.cgroup, args.suspended)?;
    if args.suspended {
        cgroup.keep();
        print(&format!("{pid}\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    // They are for the container from here on, and come to the thread that passes them on.
    if !args.detach {
        signals.thread_block()?;
    }
    interrupt::check()?;
    session.resume()?;
    if args.detach {
        cgroup.keep();
        print(&format!("{pid}\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let first = Pid::from_raw(pid);
    thread::spawn(move || {
        while let Ok(signal) = signals.wait() {
            let _ = kill(first, signal);
        }
    });
    let code = wait(first)?;
    cgroup.remove_if_empty();
    Ok(code)
}

fn open(path: &Path) -> Result<File> {
    if path != Path::new("-") {
        return File::open(path).map_err(|error| {
            Failure::new(Exit::Failed, format!("{}: {error}", path.display()))
                .fix("name an image that beanctl ckpt dump has made")
                .into()
        });
    }
    let stdin = io::stdin();
    if stdin.is_terminal() {
        return Err(Failure::new(Exit::Usage, "no image comes from a terminal")
            .fix("name a file, or a pipe: ssh HOST beanctl ckpt dump ... | ...")
            .into());
    }
    Ok(stdin.as_fd().try_clone_to_owned()?.into())
}

/// Gives a new cgroup the settings that the image has for it.
fn set(cgroup: &Cgroup, path: &Path, image: &File) -> Result<()> {
    let note = image::note(path, image).map_err(|failure| {
        failure.fix("take another image; one of a newer kernel can be restored with --no-settings")
    })?;
    let Some(note) = note else {
        eprintln!(
            "warning: {} gets no settings, as an image that is no file cannot be looked at before; \
             make the cgroup first, with its settings, or restore from a file",
            cgroup.name()
        );
        return Ok(());
    };
    Ok(settings::apply(cgroup, &settings::parse(&note)?)?)
}

/// Whether the caller has given the descriptor that it names.
fn check_open(Given { name, fd }: &Given) -> Result<()> {
    // SAFETY: It is only asked whether it is open.
    let borrowed = unsafe { BorrowedFd::borrow_raw(*fd) };
    match fcntl(borrowed, FcntlArg::F_GETFD) {
        Ok(_) => Ok(()),
        Err(errno) => {
            let what = format!("fd {fd}, which is to be `{name}`: {}", errno.desc());
            Err(Failure::new(Exit::Usage, what)
                .fix(format!("open it: beanctl ckpt restore ... {fd}<>FILE"))
                .into())
        }
    }
}

/// Waits for the first process, and returns the code that tells of its end.
fn wait(pid: Pid) -> Result<ExitCode> {
    // A clone whose end is told by another signal than SIGCHLD is waited for as well.
    let flags = Some(WaitPidFlag::__WALL);
    loop {
        match waitpid(pid, flags) {
            Ok(WaitStatus::Exited(_, code)) => {
                return Ok(u8::try_from(code).unwrap_or(u8::MAX).into());
            }
            Ok(WaitStatus::Signaled(_, signal, _)) => {
                let number = u8::try_from(signal as i32).unwrap_or(u8::MAX);
                return Ok(Exit::Signal(number).into());
            }
            Ok(_) | Err(Errno::EINTR) => (),
            Err(errno) => return Err(errno).context(format!("cannot wait for pid {pid}")),
        }
    }
}

/// The cgroup of a new container; one that was made for it goes with it.
struct Made {
    cgroup: Cgroup,
    made: bool,
}

impl Made {
    fn ensure(path: &Path) -> Result<Self> {
        let (cgroup, made) = Cgroup::ensure(path)?;
        Ok(Self { cgroup, made })
    }

    fn keep(mut self) {
        self.made = false;
    }

    /// Other processes of the container may live on.
    fn remove_if_empty(mut self) {
        self.made &= self.cgroup.processes().is_ok_and(|there| there.is_empty());
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        if !self.made {
            return;
        }
        if let Err(error) = self.cgroup.remove() {
            eprintln!("warning: {error:#}");
        }
    }
}
