// SPDX-License-Identifier: GPL-2.0

//! Brings a stream from one descriptor to another, to a file without a copy in this program.

use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, SpliceFFlags, fcntl, splice};
use nix::sys::stat::{SFlag, fstat};
use nix::unistd::{pipe2, read, write};

use crate::interrupt::retry;

/// How much is moved at once at most, in bytes.
const PIECE: usize = 1 << 20;

/// Which end of the stream failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// That which it comes from.
    Source(Errno),
    /// That which it goes to.
    Sink(Errno),
}

/// Moves all there is, tells the number of bytes each time, and returns it.
///
/// # Errors
///
/// Either end fails, or a signal ends the program, which is `EINTR`.
pub fn pump(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    mut moved: impl FnMut(u64),
) -> Result<u64, Failed> {
    let mut pump = Pump {
        from,
        to,
        total: 0,
        moved: &mut moved,
    };
    // What is spliced to a pipe are the pages of the container, not a copy: they must have been
    // read before it goes on or ends, which only the reader knows. So the pipe is our own.
    let kind = SFlag::from_bits_truncate(fstat(to).map_err(Failed::Sink)?.st_mode);
    let is_file = kind & SFlag::S_IFMT == SFlag::S_IFREG;
    let ended = is_file && !appends(to) && pump.splice_through_pipe()?;
    if !ended {
        pump.copy()?;
    }
    Ok(pump.total)
}

/// The kernel refuses to splice to a file that is appended to.
fn appends(fd: BorrowedFd<'_>) -> bool {
    let flags = fcntl(fd, FcntlArg::F_GETFL).map(OFlag::from_bits_truncate);
    flags.is_ok_and(|flags| flags.contains(OFlag::O_APPEND))
}

struct Pump<'a> {
    from: BorrowedFd<'a>,
    to: BorrowedFd<'a>,
    total: u64,
    moved: &'a mut dyn FnMut(u64),
}

impl Pump<'_> {
    /// To a file, with a pipe between; false if either end cannot be spliced.
    fn splice_through_pipe(&mut self) -> Result<bool, Failed> {
        let Ok((out, into)) = pipe2(OFlag::O_CLOEXEC) else {
            return Ok(false);
        };
        // It is only faster with a larger one.
        let _ = fcntl(&into, FcntlArg::F_SETPIPE_SZ(PIECE as i32));
        loop {
            let mut left = match retry(|| between(self.from, into.as_fd(), PIECE)) {
                Ok(0) => return Ok(true),
                Ok(bytes) => bytes,
                Err(Errno::EINVAL) if self.total == 0 => return Ok(false),
                Err(errno) => return Err(Failed::Source(errno)),
            };
            while left > 0 {
                match retry(|| between(out.as_fd(), self.to, left)) {
                    Ok(0) => return Err(Failed::Sink(Errno::EIO)),
                    Ok(bytes) => {
                        left -= bytes;
                        self.count(bytes);
                    }
                    Err(Errno::EINVAL) => {
                        self.drain(out.as_fd(), left)?;
                        return Ok(false);
                    }
                    Err(errno) => return Err(Failed::Sink(errno)),
                }
            }
        }
    }

    /// Through memory of this program.
    fn copy(&mut self) -> Result<(), Failed> {
        let mut buffer = vec![0; PIECE];
        loop {
            let bytes = retry(|| read(self.from, &mut buffer)).map_err(Failed::Source)?;
            if bytes == 0 {
                return Ok(());
            }
            self.write(&buffer[..bytes])?;
        }
    }

    /// What is in a pipe already, of which the file cannot be spliced to.
    fn drain(&mut self, pipe: BorrowedFd<'_>, mut left: usize) -> Result<(), Failed> {
        let mut buffer = vec![0; left];
        while left > 0 {
            let bytes = retry(|| read(pipe, &mut buffer[..left])).map_err(Failed::Sink)?;
            if bytes == 0 {
                return Err(Failed::Sink(Errno::EIO));
            }
            self.write(&buffer[..bytes])?;
            left -= bytes;
        }
        Ok(())
    }

    fn write(&mut self, mut bytes: &[u8]) -> Result<(), Failed> {
        while !bytes.is_empty() {
            match retry(|| write(self.to, bytes)).map_err(Failed::Sink)? {
                0 => return Err(Failed::Sink(Errno::EIO)),
                written => {
                    self.count(written);
                    bytes = &bytes[written..];
                }
            }
        }
        Ok(())
    }

    fn count(&mut self, bytes: usize) {
        self.total += bytes as u64;
        (self.moved)(self.total);
    }
}

fn between(from: BorrowedFd<'_>, to: BorrowedFd<'_>, bytes: usize) -> nix::Result<usize> {
    splice(from, None, to, None, bytes, SpliceFFlags::SPLICE_F_MOVE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{Read, Seek, Write};
    use std::thread;

    fn content() -> Vec<u8> {
        (0..3_000_001_u32)
            .map(|number| (number / 7) as u8)
            .collect()
    }

    fn source() -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&content()).unwrap();
        file.rewind().unwrap();
        file
    }

    #[test]
    fn to_every_kind_of_sink() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        for append in [false, true] {
            let to = File::options()
                .create(true)
                .append(append)
                .write(true)
                .open(&path)
                .unwrap();
            let mut last = 0;
            let moved = pump(source().as_fd(), to.as_fd(), |bytes| last = bytes).unwrap();
            assert_eq!(
                (moved, last),
                (content().len() as u64, content().len() as u64)
            );
            assert!(std::fs::read(&path).unwrap().ends_with(&content()));
        }
        let (reader, writer) = pipe2(OFlag::empty()).unwrap();
        let mut reader = File::from(reader);
        let read = thread::spawn(move || {
            let mut all = Vec::new();
            reader.read_to_end(&mut all).unwrap();
            all
        });
        pump(source().as_fd(), writer.as_fd(), |_| {}).unwrap();
        drop(writer);
        assert!(read.join().unwrap() == content());
    }

    #[test]
    fn from_what_cannot_be_spliced() {
        // A directory can neither be spliced nor read.
        let to = tempfile::tempfile().unwrap();
        let directory = File::open("/").unwrap();
        let failed = pump(directory.as_fd(), to.as_fd(), |_| {});
        assert_eq!(failed, Err(Failed::Source(Errno::EISDIR)));
    }

    #[test]
    fn the_end_that_failed_is_named() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let failed = pump(source().as_fd(), full.as_fd(), |_| {});
        assert_eq!(failed, Err(Failed::Sink(Errno::ENOSPC)));
        let (reader, writer) = pipe2(OFlag::empty()).unwrap();
        drop(reader);
        let failed = pump(source().as_fd(), writer.as_fd(), |_| {});
        assert_eq!(failed, Err(Failed::Sink(Errno::EPIPE)));
    }
}
