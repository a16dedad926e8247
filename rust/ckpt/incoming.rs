// SPDX-License-Identifier: GPL-2.0

//! An image that is read, from a file, a pipe or a socket.

use crate::{
    ffi,
    image::Source, //
};
use kernel::{
    fs::File,
    prelude::*,
    sync::aref::ARef, //
};

/// How much of a file is read ahead, in bytes: most records are small.
const AHEAD: usize = 16 << 10;

/// An image that is read.
pub(crate) struct Image {
    file: ARef<File>,
    /// What was read ahead; nothing of what can be read only once.
    ahead: KVVec<u8>,
    /// How many bytes of that there are, and how many of those were taken.
    filled: usize,
    taken: usize,
}

impl Image {
    /// The image that starts where a file is.
    ///
    /// # Errors
    ///
    /// `EBADF` if it is not open for reading, `ENOMEM`.
    pub(crate) fn new(file: ARef<File>) -> Result<Self> {
        if !ffi::image_is_readable(&file) {
            return Err(EBADF);
        }
        let size = match ffi::image_is_file(&file) {
            true => AHEAD,
            false => 0,
        };
        Ok(Self {
            file,
            ahead: KVVec::from_elem(0, size, GFP_KERNEL)?,
            filled: 0,
            taken: 0,
        })
    }

    /// What the rest can be read from, by whoever tells the reader about it.
    pub(crate) fn file(&mut self) -> &File {
        // What was read ahead is read once more: those bytes are not taken.
        self.taken = self.filled;
        &self.file
    }
}

impl Source for Image {
    type Error = Error;

    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        if self.taken == self.filled {
            if into.len() >= self.ahead.len() {
                return ffi::image_read(&self.file, into, false);
            }
            self.taken = 0;
            self.filled = 0;
            self.filled = ffi::image_read(&self.file, &mut self.ahead, true)?;
        }
        let left = self.ahead.get(self.taken..self.filled).unwrap_or(&[]);
        let size = left.len().min(into.len());
        if let (Some(to), Some(from)) = (into.get_mut(..size), left.get(..size)) {
            to.copy_from_slice(from);
        }
        self.taken += size;
        ffi::image_took(&self.file, size);
        Ok(size)
    }
}
