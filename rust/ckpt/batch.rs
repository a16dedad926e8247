// SPDX-License-Identifier: GPL-2.0

//! A piece of an image in memory: records and pages, as they follow each other, of which some bytes
//! were read.

use crate::ffi::{
    self,
    Gather,
    Pages,
    RUNS, //
};
use kernel::{
    fs::File,
    iov::IovIterDest,
    pipe::PipeDest,
    prelude::*, //
};

/// Records and pages, of which some bytes were read.
pub(crate) struct Batch {
    /// All records.
    records: VVec<u8>,
    /// All pages.
    pub(crate) pages: Pages,
    /// How they follow each other.
    pieces: KVVec<Piece>,
    /// The piece that is read.
    at: Cursor,
}

/// So many bytes, which follow those of the last such piece.
#[derive(Clone, Copy)]
enum Piece {
    Record(usize),
    Pages(usize),
}

/// How much was read.
#[derive(Clone, Copy, Default)]
struct Cursor {
    /// Whole pieces.
    pieces: usize,
    /// Bytes of the next one.
    within: usize,
    /// Bytes of all records.
    records: usize,
    /// Bytes of all pages.
    pages: usize,
}

/// The rest of a piece: from which byte of all records or pages on, and how many.
enum Rest {
    Record(usize, usize),
    Pages(usize, usize),
}

impl Batch {
    /// Some records; and room for as many later ones as there can be runs of pages, each of at most
    /// so many bytes, so that adding them does not fail.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(mut records: VVec<u8>, most: usize) -> Result<Self> {
        let mut pieces = KVVec::with_capacity(2 * RUNS, GFP_KERNEL)?;
        let missing = (most * RUNS).saturating_sub(records.len());
        records.reserve(missing, GFP_KERNEL)?;
        pieces.push(Piece::Record(records.len()), GFP_KERNEL)?;
        Ok(Self {
            records,
            pages: Pages::new()?,
            pieces,
            at: Cursor::default(),
        })
    }

    /// Forgets all of it.
    pub(crate) fn clear(&mut self) {
        self.records.clear();
        self.pages.put();
        self.pieces.clear();
        self.at = Cursor::default();
    }

    /// Adds a record, and behind it so many bytes of the pages.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn push(&mut self, record: &[u8], pages: usize) -> Result {
        // Only when there is room for all of it.
        self.pieces.reserve(2, GFP_KERNEL)?;
        self.records.extend_from_slice(record, GFP_KERNEL)?;
        self.pieces.push(Piece::Record(record.len()), GFP_KERNEL)?;
        if pages > 0 {
            self.pieces.push(Piece::Pages(pages), GFP_KERNEL)?;
        }
        Ok(())
    }

    /// Whether nothing was added.
    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Whether all was read.
    pub(crate) fn is_read(&self) -> bool {
        self.at.pieces == self.pieces.len()
    }

    /// What comes next.
    fn rest(&self, at: &Cursor) -> Option<Rest> {
        Some(match *self.pieces.get(at.pieces)? {
            Piece::Record(size) => Rest::Record(at.records, size - at.within),
            Piece::Pages(size) => Rest::Pages(at.pages, size - at.within),
        })
    }

    /// So many bytes of records.
    fn record(&self, from: usize, size: usize) -> &[u8] {
        self.records.get(from..from + size).unwrap_or(&[])
    }

    /// Moves a cursor behind so many bytes.
    fn skip(&self, at: &mut Cursor, mut bytes: usize) {
        while let Some(&piece) = self.pieces.get(at.pieces).filter(|_| bytes > 0) {
            let (size, all) = match piece {
                Piece::Record(size) => (size, &mut at.records),
                Piece::Pages(size) => (size, &mut at.pages),
            };
            let passed = bytes.min(size - at.within);
            *all += passed;
            at.within += passed;
            bytes -= passed;
            if at.within == size {
                at.pieces += 1;
                at.within = 0;
            }
        }
    }

    /// So many bytes were read.
    fn took(&mut self, bytes: usize) -> usize {
        let mut at = self.at;
        self.skip(&mut at, bytes);
        self.at = at;
        bytes
    }

    /// Copies the next bytes, and returns how many: none if there is no room.
    ///
    /// # Errors
    ///
    /// `EFAULT`.
    pub(crate) fn copy(&mut self, to: &mut IovIterDest<'_>) -> Result<usize> {
        let copied = match self.rest(&self.at) {
            _ if to.is_empty() => return Ok(0),
            Some(Rest::Record(from, size)) => to.copy_to_iter(self.record(from, size)),
            Some(Rest::Pages(from, _)) => self.pages.copy(from, to),
            None => 0,
        };
        match copied {
            0 => Err(EFAULT),
            copied => Ok(self.took(copied)),
        }
    }

    /// Passes at most `most` bytes to a pipe, pages as they are, and returns how many: none if
    /// there is no room.
    ///
    /// # Errors
    ///
    /// `EPIPE` if nobody reads, `ENOMEM`.
    pub(crate) fn splice(&mut self, most: usize, pipe: &mut PipeDest<'_>) -> Result<usize> {
        let passed = match self.rest(&self.at) {
            _ if most == 0 || ffi::pipe_room(pipe) == 0 => 0,
            Some(Rest::Record(from, size)) => {
                ffi::bytes_to_pipe(self.record(from, size.min(most)), pipe)?
            }
            Some(Rest::Pages(from, size)) => self.pages.to_pipe(from, size.min(most), pipe)?,
            None => 0,
        };
        Ok(self.took(passed))
    }

    /// Writes at most `most` bytes to a file, many at once, and returns how many.
    ///
    /// # Errors
    ///
    /// Those of write(2).
    pub(crate) fn write(&mut self, most: usize, file: &File, gather: &mut Gather) -> Result<usize> {
        let written = gather.write(file, |collection| {
            let mut at = self.at;
            let mut left = most;
            while let Some(rest) = self.rest(&at).filter(|_| left > 0) {
                let added = match rest {
                    Rest::Record(from, size) => {
                        collection.add_bytes(&self.records, from, size.min(left))
                    }
                    Rest::Pages(from, size) => {
                        collection.add_page(&self.pages, from, size.min(left))
                    }
                };
                if added == 0 {
                    break;
                }
                self.skip(&mut at, added);
                left -= added;
            }
        })?;
        Ok(self.took(written))
    }
}
