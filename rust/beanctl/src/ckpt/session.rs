// SPDX-License-Identifier: GPL-2.0

//! An open `/dev/ckpt`, its verbs, and what to do when one of them is refused.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use nix::errno::Errno;
use nix::libc::c_ulong;

use super::external::Inside;
use super::uapi;
use crate::cgroup::Cgroup;
use crate::failure::{Exit, Failure};
use crate::interrupt;

/// Where the engine is.
const DEVICE: &str = "/dev/ckpt";

/// The most text about a refusal that is shown, in bytes.
const TEXT: usize = 64 << 10;

/// What is asked of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Check,
    Suspend,
    External,
    Note,
    Dump,
    Resume,
    Kill,
    Restore,
    Attach,
    Snapshot,
}

/// An open `/dev/ckpt`; when it is closed, the kernel undoes what is half done.
#[derive(Debug)]
pub struct Session(File);

impl Session {
    /// Starts a session.
    ///
    /// # Errors
    ///
    /// There is no such device, or the caller may not open it.
    pub fn open() -> Result<Self, Failure> {
        let opened = File::options().read(true).write(true).open(DEVICE);
        opened.map(Self).map_err(|error| {
            let what = format!("{DEVICE}: {error}");
            match error.kind() {
                io::ErrorKind::PermissionDenied => Failure::new(Exit::Failed, what)
                    .fix("run it as root, or with CAP_CHECKPOINT_RESTORE"),
                _ => Failure::new(Exit::Missing, what).fix("boot a kernel with CONFIG_CKPT=y"),
            }
        })
    }

    /// Whether the container could be saved: nothing if so, else what could not, a line for each.
    ///
    /// # Errors
    ///
    /// That could not be told.
    pub fn check(&self, cgroup: &Cgroup) -> Result<Vec<String>, Failure> {
        // SAFETY: The argument is a number.
        let checked = unsafe { uapi::check(self.0.as_raw_fd(), number(cgroup.fd())) };
        match checked {
            Err(Errno::EOPNOTSUPP) => Ok(self.why()),
            checked => self.judge(Verb::Check, &cgroup.name(), checked),
        }
    }

    /// Stops the container, for at most `timeout` ms of waiting, also beyond this session if it is
    /// to be `detached`.
    ///
    /// # Errors
    ///
    /// It did not come to rest, somebody else has it, or it is not the caller's to stop.
    pub fn suspend(&self, cgroup: &Cgroup, timeout: u32, detached: bool) -> Result<(), Failure> {
        let args = uapi::Suspend {
            cgroup: cgroup.fd(),
            timeout,
            flags: flags(detached),
            reserved: 0,
        };
        // SAFETY: The structure is what the kernel reads.
        let suspended = unsafe { uapi::suspend(self.0.as_raw_fd(), &args) };
        self.judge(Verb::Suspend, &cgroup.name(), suspended)
            .map(drop)
    }

    /// Takes over a container that was left suspended.
    ///
    /// # Errors
    ///
    /// It was not, or by somebody else.
    pub fn attach(&self, cgroup: &Cgroup) -> Result<(), Failure> {
        // SAFETY: The argument is a number.
        let attached = unsafe { uapi::attach(self.0.as_raw_fd(), number(cgroup.fd())) };
        self.judge(Verb::Attach, &cgroup.name(), attached).map(drop)
    }

    /// Calls the open file behind a descriptor by a name: that of a process before a dump, or,
    /// with `pid` 0, that of the caller before a restore.
    ///
    /// # Errors
    ///
    /// There is no such descriptor.
    pub fn external(&self, pid: i32, fd: RawFd, name: &str) -> Result<(), Failure> {
        let args = uapi::External {
            pid,
            fd,
            name: name.as_ptr().addr() as u64,
            // A command line is shorter.
            length: u32::try_from(name.len()).unwrap_or(u32::MAX),
            flags: 0,
        };
        // SAFETY: The structure is what the kernel reads, and the name outlives the call.
        let named = unsafe { uapi::external(self.0.as_raw_fd(), &args) };
        let what = match pid {
            0 => format!("fd {fd} as `{name}`"),
            pid => format!("pid {pid} fd {fd} as `{name}`"),
        };
        self.judge(Verb::External, &what, named).map(drop)
    }

    /// Gives names to open files of processes.
    ///
    /// # Errors
    ///
    /// One name has two files.
    pub fn name_all(&self, files: &[Inside]) -> Result<(), Failure> {
        for Inside { pid, fd, name } in files {
            self.external(*pid, *fd, name)?;
        }
        Ok(())
    }

    /// Has images that are started from now on carry a note, if the kernel can do that.
    ///
    /// # Errors
    ///
    /// The note is too long.
    pub fn note(&self, text: &str) -> Result<(), Failure> {
        let args = uapi::Note {
            text: text.as_ptr().addr() as u64,
            length: u32::try_from(text.len()).unwrap_or(u32::MAX),
            flags: 0,
        };
        // SAFETY: The structure is what the kernel reads, and the text outlives the call.
        match unsafe { uapi::note(self.0.as_raw_fd(), &args) } {
            Err(Errno::ENOTTY) => Ok(()),
            noted => self.judge(Verb::Note, "a note", noted).map(drop),
        }
    }

    /// Starts the image of the suspended container, which is written then.
    ///
    /// # Errors
    ///
    /// Something cannot be saved.
    pub fn dump(&self, cgroup: &Cgroup) -> Result<(), Failure> {
        // SAFETY: There is no argument.
        let dumped = unsafe { uapi::dump(self.0.as_raw_fd()) };
        self.judge(Verb::Dump, &cgroup.name(), dumped).map(drop)
    }

    /// Stops the container, after at most `timeout` ms of waiting, only until there are copies of
    /// its memory, and starts the image of what it was, which is written then.
    ///
    /// # Errors
    ///
    /// Those of a suspension and of a dump. The container goes on in any case.
    pub fn snapshot(&self, cgroup: &Cgroup, timeout: u32) -> Result<(), Failure> {
        let args = uapi::Suspend {
            cgroup: cgroup.fd(),
            timeout,
            ..uapi::Suspend::default()
        };
        // SAFETY: The structure is what the kernel reads.
        let taken = unsafe { uapi::snapshot(self.0.as_raw_fd(), &args) };
        self.judge(Verb::Snapshot, &cgroup.name(), taken).map(drop)
    }

    /// Lets the kernel write at most `most` bytes of the image, and returns how many; none at the
    /// end.
    ///
    /// # Errors
    ///
    /// They cannot be written, or not be read from the container.
    pub fn write(&self, to: BorrowedFd<'_>, most: u64) -> nix::Result<u64> {
        let mut args = uapi::Write {
            fd: to.as_raw_fd(),
            flags: 0,
            bytes: most,
        };
        // SAFETY: The structure is what the kernel reads and writes.
        unsafe { uapi::write(self.0.as_raw_fd(), &mut args) }?;
        Ok(args.bytes)
    }

    /// What to say when the image could not be read to its end.
    pub fn not_read(&self, errno: Errno) -> Failure {
        self.failure(Verb::Dump, "its image", errno)
    }

    /// Lets the suspended container go on.
    ///
    /// # Errors
    ///
    /// The session has none.
    pub fn resume(&self) -> Result<(), Failure> {
        // SAFETY: There is no argument.
        let resumed = unsafe { uapi::resume(self.0.as_raw_fd()) };
        self.judge(Verb::Resume, "the container", resumed).map(drop)
    }

    /// Ends the suspended container.
    ///
    /// # Errors
    ///
    /// The session has none.
    pub fn kill(&self) -> Result<(), Failure> {
        // SAFETY: There is no argument.
        let killed = unsafe { uapi::kill(self.0.as_raw_fd()) };
        self.judge(Verb::Kill, "the container", killed).map(drop)
    }

    /// Makes a suspended container from an image in an empty cgroup, and returns its first
    /// process, a child of the caller. One that is `detached` outlives the session.
    ///
    /// # Errors
    ///
    /// The image is not right, or something that it needs is not there. Nothing is left then.
    pub fn restore(
        &self,
        image: BorrowedFd<'_>,
        cgroup: &Cgroup,
        detached: bool,
    ) -> Result<i32, Failure> {
        let mut args = uapi::Restore {
            image: image.as_raw_fd(),
            cgroup: cgroup.fd(),
            flags: flags(detached),
            pid: 0,
        };
        // SAFETY: The structure is what the kernel reads and writes.
        let restored = unsafe { uapi::restore(self.0.as_raw_fd(), &mut args) };
        self.judge(Verb::Restore, &cgroup.name(), restored)?;
        Ok(args.pid)
    }

    /// The explanation of the last call, in lines.
    fn why(&self) -> Vec<String> {
        let mut text = vec![0; TEXT];
        let mut args = uapi::Why {
            text: text.as_mut_ptr().addr() as u64,
            size: TEXT as u32,
            length: 0,
        };
        // SAFETY: The structure is what the kernel reads and writes, the buffer as large as said.
        if unsafe { uapi::why(self.0.as_raw_fd(), &mut args) }.is_err() {
            return Vec::new();
        }
        text.truncate(args.length as usize);
        let text = String::from_utf8_lossy(&text);
        let mut lines: Vec<String> = text.lines().map(crate::text::printable).collect();
        if args.length as usize > TEXT {
            lines.push("...".to_owned());
        }
        lines
    }

    fn judge(
        &self,
        verb: Verb,
        what: &str,
        result: nix::Result<i32>,
    ) -> Result<Vec<String>, Failure> {
        match result {
            Ok(_) => Ok(Vec::new()),
            Err(errno) => Err(self.failure(verb, what, errno)),
        }
    }

    fn failure(&self, verb: Verb, what: &str, errno: Errno) -> Failure {
        if let (Errno::EINTR, Err(interrupted)) = (errno, interrupt::check()) {
            return interrupted;
        }
        let exit = match errno {
            Errno::ETIMEDOUT => Exit::TimeLimit,
            Errno::ENOTTY => Exit::Missing,
            _ => Exit::Failed,
        };
        let verb_text = match verb {
            Verb::Check => "check",
            Verb::Suspend => "suspend",
            Verb::External => "name",
            Verb::Note => "keep",
            Verb::Dump => "save",
            Verb::Resume => "resume",
            Verb::Kill => "kill",
            Verb::Restore => "restore into",
            Verb::Attach => "take over",
            Verb::Snapshot => "take a snapshot of",
        };
        Failure {
            details: self.why(),
            fix: advice(verb, errno).map(str::to_owned),
            ..Failure::new(
                exit,
                format!("cannot {verb_text} {what}: {} ({errno:?})", errno.desc()),
            )
        }
    }
}

/// A descriptor as the argument of an ioctl.
fn number(fd: RawFd) -> c_ulong {
    // An open one is not negative.
    fd as c_ulong
}

fn flags(detached: bool) -> u32 {
    if detached { uapi::DETACH } else { 0 }
}

/// What the user can do about an error.
fn advice(verb: Verb, errno: Errno) -> Option<&'static str> {
    use Verb::*;
    Some(match (verb, errno) {
        (Check | Dump, Errno::EOPNOTSUPP) => {
            "end or close what is named; for an open file that leads out of the container, use \
             --external PID:FD=NAME"
        }
        (Snapshot, Errno::EOPNOTSUPP) => {
            "end or close what is named; for memory that a child would not get, leave out \
             --snapshot; for an open file that leads out of the container, use --external \
             PID:FD=NAME"
        }
        (Snapshot, Errno::ENOMEM) => "leave out --snapshot: nothing is copied then",
        (Restore, Errno::EOPNOTSUPP) => "restore it on a machine that has what is named",
        (Suspend | Check | Snapshot, Errno::EBUSY) => {
            "somebody else has it suspended; if it was left so: beanctl ckpt resume CGROUP"
        }
        (Restore, Errno::EBUSY) => "name an empty cgroup, or one that does not exist yet",
        (Restore, Errno::EEXIST) => {
            "a process has one of the numbers of the image: end it, or restore in a PID namespace \
             of its own (unshare --pid --fork --mount-proc)"
        }
        (Restore, Errno::ESTALE) => "put back the file that is named as it was",
        (Restore, Errno::ENOENT | Errno::EACCES) => {
            "put back the file that is named, or hand it in: --external NAME=FD"
        }
        (Restore, Errno::EAGAIN | Errno::ENOMEM | Errno::ENFILE) => {
            "raise the limits of the cgroup and of those above it (pids.max, memory.max, bc.max); \
             --no-settings leaves out those that the image has for it"
        }
        (Restore, Errno::EBADMSG | Errno::EPIPE) => {
            "beanctl ckpt verify IMAGE says what is wrong with it; take another image"
        }
        (Restore, Errno::EPERM) => "restoring needs CAP_CHECKPOINT_RESTORE and CAP_SYS_ADMIN",
        (_, Errno::EPERM) => {
            "it needs CAP_CHECKPOINT_RESTORE, and the right to trace every process of the \
             container (CAP_SYS_PTRACE)"
        }
        (Suspend | Snapshot, Errno::ETIMEDOUT) => {
            "a process does not come to rest (ps -o pid,stat,wchan); wait longer with --timeout"
        }
        (Check | Suspend | Dump | Snapshot, Errno::ESRCH) => "name a cgroup that has processes",
        (Attach, Errno::ENOENT | Errno::ESRCH | Errno::EINVAL) => {
            "it was not left suspended: beanctl ckpt suspend does so, and restore --suspended"
        }
        (External | Check | Dump | Snapshot, Errno::EBADF) => {
            "ls -l /proc/PID/fd shows what is open"
        }
        (External, Errno::EEXIST) => "give each of them a name of its own",
        (Restore, Errno::EINVAL) => "name an image, not a session of /dev/ckpt",
        (_, Errno::ENOTTY) => "boot a newer kernel: its /dev/ckpt does not know this",
        _ => return None,
    })
}
