// SPDX-License-Identifier: GPL-2.0

//! Where an image comes from.

use core::convert::Infallible;

/// A stream of bytes that can be read once, from its start to its end.
pub trait Source {
    /// Why reading failed.
    type Error;

    /// Reads into the start of `into`, which is not empty, and returns how many bytes: as many as
    /// there are at the moment, at least one, and none at the end of the stream only.
    ///
    /// # Errors
    ///
    /// Whatever keeps the source from reading; the reader passes it on and stops.
    fn read(&mut self, into: &mut [u8]) -> Result<usize, Self::Error>;

    /// Passes over `bytes`, and returns how many there were of them. A source that can seek may
    /// seek, also beyond its end: what is read next tells.
    ///
    /// # Errors
    ///
    /// As for reading.
    fn skip(&mut self, bytes: u64) -> Result<u64, Self::Error> {
        let mut scratch = [0; 256];
        let mut left = bytes;
        while left > 0 {
            // CAST: The smaller of the two is at most 256.
            let (into, _) = scratch.split_at_mut(left.min(256) as usize);
            match self.read(into)? {
                0 => break,
                // CAST: `usize` is at most 64 bits.
                read => left = left.saturating_sub(read as u64),
            }
        }
        Ok(bytes.saturating_sub(left))
    }
}

/// An image in memory.
impl Source for &[u8] {
    type Error = Infallible;

    fn read(&mut self, into: &mut [u8]) -> Result<usize, Infallible> {
        let (now, later) = self.split_at(into.len().min(self.len()));
        if let Some(to) = into.get_mut(..now.len()) {
            to.copy_from_slice(now);
        }
        *self = later;
        Ok(now.len())
    }

    fn skip(&mut self, bytes: u64) -> Result<u64, Infallible> {
        let most = usize::try_from(bytes).unwrap_or(usize::MAX);
        let (skipped, later) = self.split_at(most.min(self.len()));
        *self = later;
        // CAST: `usize` is at most 64 bits.
        Ok(skipped.len() as u64)
    }
}
