// SPDX-License-Identifier: GPL-2.0

//! CRC-32C in its usual form, as in iSCSI and ext4: the register starts as ones, the result is
//! inverted.

use super::crc32c;

/// The checksum of bytes that come in pieces.
#[derive(Clone, Copy, Debug)]
pub struct Checksum(u32);

impl Checksum {
    /// Of nothing yet.
    pub const fn new() -> Self {
        Self(!0)
    }

    /// Goes on with `bytes`.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0 = crc32c(self.0, bytes);
    }

    /// Of all bytes so far.
    pub const fn value(self) -> u32 {
        !self.0
    }
}

impl Default for Checksum {
    fn default() -> Self {
        Self::new()
    }
}
