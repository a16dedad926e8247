// SPDX-License-Identifier: GPL-2.0

//! The image as it is read: first the metadata, then memory, which is looked at as late as that.

use crate::{
    ffi::Pages,
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
    iov::IovIterDest,
    prelude::*, //
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
    pub(crate) fn new(saved: Saved) -> Result<Self> {
        Ok(Self {
            writer: Some(saved.writer),
            bytes: saved.bytes,
            read: 0,
            pages: Pages::new()?,
            copied: 0,
            memory: saved.memory,
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
        let before = to.len();
        while !to.is_empty() {
            let copied = if let Some(bytes) = self.bytes.get(self.read..).filter(|b| !b.is_empty())
            {
                let copied = to.copy_to_iter(bytes);
                self.read += copied;
                copied
            } else if self.copied < self.pages.bytes() {
                let copied = self.pages.copy(self.copied, to);
                self.copied += copied;
                copied
            } else {
                match self.advance() {
                    Ok(true) => continue,
                    Ok(false) => break,
                    Err(error) if to.len() == before => return Err(error),
                    Err(_) => break,
                }
            };
            if copied == 0 {
                break;
            }
        }
        match before - to.len() {
            0 if before > 0 && !self.is_over() => Err(EFAULT),
            read => Ok(read),
        }
    }

    fn is_over(&self) -> bool {
        self.writer.is_none() && self.read == self.bytes.len() && self.copied == self.pages.bytes()
    }

    /// Makes the next record; false if there is none.
    fn advance(&mut self) -> Result<bool> {
        let Some(writer) = &mut self.writer else {
            return Ok(false);
        };
        while let Some(memory) = self.memory.get(self.piece) {
            let (found, kind, object) = match memory {
                Memory::Private { mm, object, ranges } => match ranges.get(self.range) {
                    Some(&(start, end)) => {
                        self.from = self.from.max(start);
                        let found = self.pages.scan(mm, &mut self.from, end)?;
                        if !found {
                            self.range += 1;
                            continue;
                        }
                        (true, image::Memory::Private, *object)
                    }
                    None => (false, image::Memory::Private, *object),
                },
                Memory::Shared { file, object } => {
                    let found = self.pages.shared(file, &mut self.from)?;
                    (found, image::Memory::Shared, *object)
                }
            };
            if !found {
                self.piece += 1;
                (self.range, self.from) = (0, 0);
                continue;
            }
            let frame = Frame {
                memory: kind,
                object,
                position: self.pages.position(),
                // CAST: At most a run.
                bytes: self.pages.bytes() as u64,
            };
            let mut room = [0; ROOM];
            let size = writer.frame(&frame, 0, &mut room).map_err(|_| EINVAL)?;
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
