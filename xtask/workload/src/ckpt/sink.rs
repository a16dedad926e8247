// SPDX-License-Identifier: GPL-2.0

//! Where bytes go.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::thread::{self, JoinHandle};

use anyhow::{Result, anyhow};
use nix::fcntl::{FallocateFlags, FcntlArg, OFlag, SpliceFFlags, fallocate, fcntl, splice};
use nix::unistd::pipe2;

/// The size of a pipe, the most that a user may have, in bytes.
const PIPE: i32 = 1 << 20;

/// A kind of place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sink {
    /// A file in a tmpfs.
    Tmpfs,
    /// The same, whose pages are there before anything is written.
    Reserved,
    /// A pipe whose reader throws everything away.
    Pipe,
    /// `/dev/null`.
    Null,
}

impl Sink {
    /// Each of them.
    pub const ALL: [Sink; 4] = [Sink::Tmpfs, Sink::Reserved, Sink::Pipe, Sink::Null];

    /// Its name in results.
    pub fn name(self) -> &'static str {
        match self {
            Sink::Tmpfs => "tmpfs",
            Sink::Reserved => "reserved",
            Sink::Pipe => "pipe",
            Sink::Null => "null",
        }
    }

    /// Opens it for at most `size` bytes, with a new file at `path` if it is one.
    ///
    /// # Errors
    ///
    /// It cannot be opened.
    pub fn open(self, path: &Path, size: u64) -> Result<Open> {
        let mut reader = None;
        let to = match self {
            Sink::Tmpfs => File::create(path)?.into(),
            Sink::Reserved => {
                let file = File::create(path)?;
                fallocate(&file, FallocateFlags::empty(), 0, size.try_into()?)?;
                file.into()
            }
            Sink::Null => File::options().write(true).open("/dev/null")?.into(),
            Sink::Pipe => {
                let (from, to) = pipe2(OFlag::O_CLOEXEC)?;
                fcntl(&to, FcntlArg::F_SETPIPE_SZ(PIPE))?;
                let null = File::options().write(true).open("/dev/null")?;
                reader = Some(thread::spawn(move || discard(&from, &null)));
                to
            }
        };
        Ok(Open { to, reader })
    }
}

/// An open sink.
pub struct Open {
    to: OwnedFd,
    reader: Option<JoinHandle<nix::Result<()>>>,
}

impl Open {
    /// What to write to.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.to.as_fd()
    }

    /// Waits until nobody needs any more what was written.
    ///
    /// # Errors
    ///
    /// The reader of the pipe fails.
    pub fn finish(self) -> Result<()> {
        drop(self.to);
        match self.reader.map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(read)) => Ok(read?),
            Some(Err(_)) => Err(anyhow!("the reader of the pipe panicked")),
        }
    }
}

fn discard(from: &OwnedFd, null: &File) -> nix::Result<()> {
    while splice(from, None, null, None, 1 << 20, SpliceFFlags::empty())? != 0 {}
    Ok(())
}
