// SPDX-License-Identifier: GPL-2.0

//! What the standard library can read, as a source of images.

// Here only: the codec itself must not find it.
extern crate std;

use std::io::{Error, ErrorKind, Read};

use crate::Source;

/// A file, a pipe or a socket as the source of an image.
#[derive(Debug)]
pub struct Stream<R>(
    /// What to read.
    pub R,
);

impl<R: Read> Source for Stream<R> {
    type Error = Error;

    fn read(&mut self, into: &mut [u8]) -> Result<usize, Error> {
        loop {
            match self.0.read(into) {
                Err(error) if error.kind() == ErrorKind::Interrupted => (),
                result => return result,
            }
        }
    }
}
