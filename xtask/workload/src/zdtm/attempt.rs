// SPDX-License-Identifier: GPL-2.0

//! One attempt: a test is started, saved, ended, restored, and asked for its verdict.

use std::fmt;
use std::fs::{self, File};
use std::io::Seek;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::prctl;

use super::state::State;
use super::subject::Subject;
use super::{Attempt, Engine};
use crate::criu::Criu;
use crate::device::{Failed, Session};

/// What CRIU does only when told to, and the kernel's engine without a word; and all that it says.
const CRIU: [&str; 4] = ["--link-remap", "--file-locks", "--tcp-established", "-v4"];

/// How an attempt ended; the numbers are exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The test found everything as it had left it.
    Pass = 0,
    /// It did not, or did not get so far.
    Fail = 1,
    /// It has something that is not supported, was not saved for that, and did not notice.
    Refused = 3,
}

impl From<u8> for Verdict {
    fn from(code: u8) -> Self {
        match code {
            0 => Self::Pass,
            3 => Self::Refused,
            _ => Self::Fail,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Refused => "refused",
        })
    }
}

/// What became of a test before it is asked.
enum Saved {
    /// It was not to be.
    No,
    /// It has something that is not supported, and goes on.
    Refused(Failed),
    /// It was restored; what else than before the kernel shows of it.
    Yes(Vec<String>),
}

/// Makes the attempt; returns the verdict, and lines that say why.
///
/// # Errors
///
/// The test fails, and the error says at what.
pub fn run(args: &Attempt) -> Result<(Verdict, Vec<String>)> {
    // What the test leaves behind, and what is restored without a parent, comes here.
    prctl::set_child_subreaper(true)?;
    close_on_exec()?;
    let subject = Subject::start(args)?;
    let saved = match args.engine {
        Engine::Alone => Saved::No,
        Engine::Ckpt => by_ckpt(&subject, args.snapshot)?,
        Engine::Criu => {
            let program = args.criu.as_deref().unwrap_or(Path::new("criu"));
            by_criu(
                &Criu::new(program, args.scratch.join("images"), &CRIU)?,
                &subject,
            )?
        }
    };
    match (subject.finish(), saved) {
        (Ok(()), Saved::No) => Ok((Verdict::Pass, Vec::new())),
        (Ok(()), Saved::Refused(refusal)) => {
            ensure!(!refusal.why.trim().is_empty(), "{refusal}without a word");
            Ok((Verdict::Refused, vec![refusal.why]))
        }
        (Ok(()), Saved::Yes(differences)) if differences.is_empty() => {
            Ok((Verdict::Pass, Vec::new()))
        }
        (Ok(()), Saved::Yes(differences)) => Ok((Verdict::Fail, differences)),
        (Err(error), Saved::No) => Err(error),
        (Err(error), Saved::Refused(refusal)) => Err(error.context(format!("after {refusal}"))),
        (Err(error), Saved::Yes(mut differences)) => {
            differences.insert(0, format!("{error:#}"));
            Ok((Verdict::Fail, differences))
        }
    }
}

/// Saves, ends and restores by the device.
fn by_ckpt(subject: &Subject, snapshot: bool) -> Result<Saved> {
    let mut image = tempfile::tempfile()?;
    let cgroup = subject.cgroup.open()?;
    let mut session = Session::open().context("/dev/ckpt")?;
    let save = if snapshot { snapped } else { suspended };
    let before = match save(subject, cgroup.as_fd(), &mut session, &mut image) {
        Ok(before) => before?,
        Err(failed) if failed.errno == Errno::EOPNOTSUPP => return Ok(Saved::Refused(failed)),
        Err(failed) => return Err(failed.into()),
    };
    session.kill()?;
    drop(session);
    subject.bury()?;

    let session = Session::open().context("/dev/ckpt")?;
    image.rewind()?;
    let pid = session.restore(&image, cgroup.as_fd())?;
    ensure!(pid == subject.pid, "process {} became {pid}", subject.pid);
    let after = State::of(&subject.cgroup, snapshot)?;
    session.resume()?;
    Ok(Saved::Yes(before.differences(&after)))
}

/// Saves it while it is suspended; returns what it was then.
fn suspended(
    subject: &Subject,
    cgroup: BorrowedFd<'_>,
    session: &mut Session,
    image: &mut File,
) -> Result<Result<State>, Failed> {
    session.suspend(cgroup)?;
    // From here on nothing changes any more.
    let before = State::of(&subject.cgroup, false);
    session.dump(image)?;
    Ok(before)
}

/// Takes a snapshot, and suspends it when all of the image is there; returns what it was before.
fn snapped(
    subject: &Subject,
    cgroup: BorrowedFd<'_>,
    session: &mut Session,
    image: &mut File,
) -> Result<Result<State>, Failed> {
    let before = State::of(&subject.cgroup, true);
    session.snapshot(cgroup)?;
    session.read(image)?;
    session.suspend(cgroup)?;
    Ok(before)
}

/// The same by CRIU.
fn by_criu(criu: &Criu, subject: &Subject) -> Result<Saved> {
    let before = State::of(&subject.cgroup, true)?;
    criu.dump(subject.pid)?;
    subject.bury()?;
    criu.restore()?;
    let after = State::of(&subject.cgroup, true)?;
    Ok(Saved::Yes(before.differences(&after)))
}

/// Keeps what is open here out of the test, which would have to be saved with it.
fn close_on_exec() -> Result<()> {
    let fds: Vec<i32> = fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|&fd| fd > 2)
        .collect();
    for fd in fds {
        // SAFETY: It is borrowed for one call, which fails if it is not open any more.
        let fd = unsafe { BorrowedFd::borrow_raw(fd) };
        match fcntl(fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)) {
            Ok(_) | Err(Errno::EBADF) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}
