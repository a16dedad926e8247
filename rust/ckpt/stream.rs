// SPDX-License-Identifier: GPL-2.0

//! The image as it is read: first the metadata, then memory, which is looked at as late as that.

use crate::{
    ffi::{
        self,
        Found,
        Pages,
        TaskExt as _, //
    },
    image::{
        self,
        Frame,
        Writer,
        RECORD_HEADER, //
    },
    save::{
        Memory,
        Saved, //
    }, //
};
use kernel::{
    fs::File,
    iov::IovIterDest,
    pipe::PipeDest,
    prelude::*,
    sync::aref::ARef,
    task::Task, //
};

/// Room for the record of a frame, and for the last one.
const ROOM: usize = 2 * RECORD_HEADER + 64;

/// An image that is being read. The container must not run meanwhile.
pub(crate) struct Stream {
    /// None when the last record was written.
    writer: Option<Writer>,
    /// Records, of which `read` bytes were read.
    bytes: KVVec<u8>,
    read: usize,
    /// The pages behind them, of which `copied` bytes were read.
    pages: Pages,
    copied: usize,
    memory: KVec<Memory>,
    /// Whose image it is.
    tasks: KVec<ARef<Task>>,
    /// The piece of memory that is looked at, the range in it, and the place in that.
    piece: usize,
    range: usize,
    from: u64,
}

/// What comes next in the stream.
enum Next<'a> {
    Bytes(&'a [u8]),
    /// Pages, from this byte on.
    Pages(&'a Pages, usize),
}

impl Stream {
    /// The image that starts with what was saved.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(saved: Saved, tasks: KVec<ARef<Task>>) -> Result<Self> {
        Ok(Self {
            writer: Some(saved.writer),
            bytes: saved.bytes,
            read: 0,
            pages: Pages::new()?,
            copied: 0,
            memory: saved.memory,
            tasks,
            piece: 0,
            range: 0,
            from: 0,
        })
    }

    /// Reads on, and returns how many bytes: none at the end.
    ///
    /// # Errors
    ///
    /// `EFAULT` if the buffer of the caller is none, and those of looking at memory.
    pub(crate) fn read(&mut self, to: &mut IovIterDest<'_>) -> Result<usize> {
        self.pour(|next| {
            let copied = match next {
                _ if to.is_empty() => return Ok(0),
                Next::Bytes(bytes) => to.copy_to_iter(bytes),
                Next::Pages(pages, offset) => pages.copy(offset, to),
            };
            match copied {
                0 => Err(EFAULT),
                copied => Ok(copied),
            }
        })
    }

    /// Passes at most `len` bytes on to a pipe, pages as they are, and returns how many.
    ///
    /// # Errors
    ///
    /// `EPIPE` if nobody reads, and those of looking at memory.
    pub(crate) fn splice(&mut self, pipe: &mut PipeDest<'_>, len: usize) -> Result<usize> {
        let mut left = len;
        self.pour(|next| {
            if left == 0 || ffi::pipe_room(pipe) == 0 {
                return Ok(0);
            }
            let passed = match next {
                Next::Bytes(bytes) => ffi::bytes_to_pipe(bytes.get(..left).unwrap_or(bytes), pipe)?,
                Next::Pages(pages, offset) => pages.to_pipe(offset, left, pipe)?,
            };
            left -= passed;
            Ok(passed)
        })
    }

    /// Writes at most `most` bytes to a file, and returns how many: none at the end.
    ///
    /// # Errors
    ///
    /// Those of write(2), `EINTR`, and those of looking at memory.
    pub(crate) fn write(&mut self, file: &File, most: usize) -> Result<usize> {
        let mut left = most;
        self.pour(|next| {
            if left == 0 {
                return Ok(0);
            }
            if kernel::current!().signal_pending() {
                return Err(EINTR);
            }
            let written = match next {
                Next::Bytes(bytes) => ffi::bytes_to_file(bytes.get(..left).unwrap_or(bytes), file)?,
                Next::Pages(pages, offset) => pages.to_file(offset, left, file)?,
            };
            left -= written;
            Ok(written)
        })
    }

    /// Passes on what comes, until `pass` takes nothing more. An error behind the first byte is
    /// that of the next call.
    fn pour(&mut self, mut pass: impl FnMut(Next<'_>) -> Result<usize>) -> Result<usize> {
        let mut total = 0;
        loop {
            let passed = match self.next() {
                Ok(None) => break,
                Ok(Some(next)) => pass(next),
                Err(error) => Err(error),
            };
            match passed {
                Ok(0) => break,
                Ok(passed) => {
                    total += passed;
                    self.skip(passed);
                }
                Err(error) if total == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(total)
    }

    /// What comes next, or nothing at the end.
    fn next(&mut self) -> Result<Option<Next<'_>>> {
        while self.read == self.bytes.len() && self.copied == self.pages.bytes() {
            if !self.advance()? {
                return Ok(None);
            }
        }
        let bytes = self.bytes.get(self.read..).unwrap_or(&[]);
        Ok(Some(match bytes.is_empty() {
            false => Next::Bytes(bytes),
            true => Next::Pages(&self.pages, self.copied),
        }))
    }

    /// Goes behind so many bytes of what came next.
    fn skip(&mut self, passed: usize) {
        if self.read < self.bytes.len() {
            self.read += passed;
        } else {
            self.copied += passed;
        }
    }

    /// Makes the next record; false if there is none.
    ///
    /// # Errors
    ///
    /// `ESRCH` if a task was killed, and those of looking at memory.
    fn advance(&mut self) -> Result<bool> {
        let Some(writer) = &mut self.writer else {
            return Ok(false);
        };
        // What came before was passed on already. A task that ends writes to its memory.
        if self.tasks.iter().any(|task| task.is_killed()) {
            return Err(ESRCH);
        }
        while let Some(memory) = self.memory.get(self.piece) {
            let next = match memory {
                Memory::Private(private) => match private.ranges.get(self.range) {
                    Some(range) => {
                        self.from = self.from.max(range.start);
                        let origin = private.origin.filter(|_| range.inherited);
                        let origin = origin.and_then(|origin| self.memory.get(origin));
                        let (mm, origin) = (&private.mm, origin.and_then(Memory::mm));
                        let found = self.pages.scan(mm, origin, &mut self.from, range.end)?;
                        let Some(found) = found else {
                            self.range += 1;
                            continue;
                        };
                        Some((found, image::Memory::Private, private.object))
                    }
                    None => None,
                },
                Memory::Shared { file, object } => {
                    let found = self.pages.file(file, &mut self.from)?;
                    found.then_some((Found::Pages, image::Memory::Shared, *object))
                }
            };
            let Some((found, memory, object)) = next else {
                self.piece += 1;
                (self.range, self.from) = (0, 0);
                continue;
            };
            let position = self.pages.position();
            let mut room = [0; ROOM];
            let size = match found {
                Found::Pages => {
                    let frame = Frame {
                        memory,
                        object,
                        position,
                        // CAST: At most a run.
                        bytes: self.pages.bytes() as u64,
                    };
                    writer.frame(&frame, 0, &mut room)
                }
                Found::Hole(bytes) => {
                    let hole = image::Hole {
                        object,
                        reserved: 0.into(),
                        start: position.into(),
                        end: (position + bytes).into(),
                    };
                    writer.put(&hole, &[], &mut room)
                }
            };
            let size = size.map_err(|_| EINVAL)?;
            Self::set(&mut self.bytes, &mut self.read, &room, size)?;
            self.copied = 0;
            return Ok(true);
        }
        self.pages.put();
        self.copied = 0;
        if let Some(writer) = self.writer.take() {
            let mut room = [0; ROOM];
            let (size, _) = writer.end(&mut room).map_err(|_| EINVAL)?;
            Self::set(&mut self.bytes, &mut self.read, &room, size)?;
        }
        Ok(true)
    }

    /// Replaces what was read by a new record.
    fn set(bytes: &mut KVVec<u8>, read: &mut usize, room: &[u8], size: usize) -> Result {
        bytes.clear();
        *read = 0;
        bytes.extend_from_slice(room.get(..size).ok_or(EINVAL)?, GFP_KERNEL)?;
        Ok(())
    }
}
