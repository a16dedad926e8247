// SPDX-License-Identifier: GPL-2.0

//! The image as it is read: first the metadata, then memory, which is looked at as late as that.

use crate::{
    batch::Batch,
    ffi::{
        Gather,
        TaskExt as _, //
    },
    image::{
        self,
        Frame,
        ObjectId,
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
    /// None if a record could not be written, or all were.
    writer: Option<Writer>,
    /// Whether the last record was written.
    ended: bool,
    /// What is read.
    batch: Batch,
    gather: Gather,
    memory: KVec<Memory>,
    /// Whose image it is.
    tasks: KVec<ARef<Task>>,
    /// The piece of memory that is looked at, the range in it, and the place in that.
    piece: usize,
    range: usize,
    from: u64,
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
            ended: false,
            batch: Batch::new(saved.bytes, ROOM)?,
            gather: Gather::new()?,
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
        self.pour(|batch, _| batch.copy(to))
    }

    /// Passes at most `len` bytes on to a pipe, pages as they are, and returns how many.
    ///
    /// # Errors
    ///
    /// `EPIPE` if nobody reads, and those of looking at memory.
    pub(crate) fn splice(&mut self, pipe: &mut PipeDest<'_>, len: usize) -> Result<usize> {
        let mut left = len;
        self.pour(|batch, _| {
            let passed = batch.splice(left, pipe)?;
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
        self.pour(|batch, gather| {
            if left == 0 {
                return Ok(0);
            }
            if kernel::current!().signal_pending() {
                return Err(EINTR);
            }
            let written = batch.write(left, file, gather)?;
            left -= written;
            Ok(written)
        })
    }

    /// Passes on what comes, until `pass` takes nothing more. An error behind the first byte is
    /// that of the next call.
    fn pour(
        &mut self,
        mut pass: impl FnMut(&mut Batch, &mut Gather) -> Result<usize>,
    ) -> Result<usize> {
        let mut total = 0;
        loop {
            let passed = match self.fill() {
                Ok(false) => break,
                Ok(true) => pass(&mut self.batch, &mut self.gather),
                Err(error) => Err(error),
            };
            match passed {
                Ok(0) => break,
                Ok(passed) => total += passed,
                Err(error) if total == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(total)
    }

    /// Fills the batch if all of it was read; false if nothing more comes.
    fn fill(&mut self) -> Result<bool> {
        if !self.batch.is_read() {
            return Ok(true);
        }
        self.batch.clear();
        // An error behind the first record is that of the next call, too.
        match self.advance() {
            Err(error) if self.batch.is_empty() => Err(error),
            _ => Ok(!self.batch.is_empty()),
        }
    }

    /// Adds memory to the batch, as much as there is room for; or the end, if there is no more.
    ///
    /// # Errors
    ///
    /// `ESRCH` if a task was killed, and those of looking at memory.
    fn advance(&mut self) -> Result {
        while let Some(memory) = self.memory.get(self.piece) {
            let before = self.batch.pages.runs().len();
            let (more, memory, object) = match memory {
                Memory::Private(private) => {
                    let Some(range) = private.ranges.get(self.range) else {
                        self.next_piece()?;
                        continue;
                    };
                    self.from = self.from.max(range.start);
                    let origin = private.origin.filter(|_| range.inherited);
                    let origin = origin.and_then(|origin| self.memory.get(origin)?.mm());
                    let pages = &mut self.batch.pages;
                    let more = pages.scan(&private.mm, origin, &mut self.from, range.end)?;
                    if !more {
                        self.range += 1;
                    }
                    (more, image::Memory::Private, private.object)
                }
                Memory::Shared { file, object } => {
                    let more = self.batch.pages.file(file, &mut self.from)?;
                    (more, image::Memory::Shared, *object)
                }
            };
            self.put(before, memory, object)?;
            if more {
                return Ok(());
            }
            if matches!(memory, image::Memory::Shared) {
                self.next_piece()?;
            }
        }
        if self.ended || !self.batch.is_empty() {
            return Ok(());
        }
        alive(&self.tasks)?;
        let writer = self.writer.take().ok_or(EINVAL)?;
        let mut room = [0; ROOM];
        let (size, _) = writer.end(&mut room).map_err(|_| EINVAL)?;
        self.batch.push(room.get(..size).ok_or(EINVAL)?, 0)?;
        self.ended = true;
        Ok(())
    }

    /// Goes on with other memory.
    fn next_piece(&mut self) -> Result {
        alive(&self.tasks)?;
        self.piece += 1;
        (self.range, self.from) = (0, 0);
        Ok(())
    }

    /// Adds the records of the runs from this one on.
    fn put(&mut self, first: usize, memory: image::Memory, object: ObjectId) -> Result {
        // None is left if that fails: there is no image then.
        let mut writer = self.writer.take().ok_or(EINVAL)?;
        let mut nr = first;
        while let Some(run) = self.batch.pages.runs().get(nr) {
            let (position, bytes) = (run.position, run.bytes);
            let mut room = [0; ROOM];
            let (size, pages) = if run.hole {
                let hole = image::Hole {
                    object,
                    reserved: 0.into(),
                    start: position.into(),
                    end: (position + bytes).into(),
                };
                (writer.put(&hole, &[], &mut room), 0)
            } else {
                let frame = Frame {
                    memory,
                    object,
                    position,
                    bytes,
                };
                // CAST: At most the pages that there is room for.
                (writer.frame(&frame, 0, &mut room), bytes as usize)
            };
            let size = size.map_err(|_| EINVAL)?;
            self.batch.push(room.get(..size).ok_or(EINVAL)?, pages)?;
            nr += 1;
        }
        self.writer = Some(writer);
        Ok(())
    }
}

/// Fails if a task was killed: one that ends writes to its memory. It stays so, so that all of what
/// was passed on before is right as long as nobody was.
///
/// # Errors
///
/// `ESRCH`.
fn alive(tasks: &[ARef<Task>]) -> Result {
    match tasks.iter().any(|task| task.is_killed()) {
        true => Err(ESRCH),
        false => Ok(()),
    }
}
