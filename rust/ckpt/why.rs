// SPDX-License-Identifier: GPL-2.0

//! The explanation of a failure, for people.

use core::fmt::Write;
use kernel::{
    alloc::flags,
    fmt,
    prelude::*, //
};

/// The most that is said, in bytes.
const MOST: usize = 64 << 10;

/// Lines that say what was wrong, and with what.
pub(crate) struct Why(KVVec<u8>);

impl Why {
    /// Nothing to say.
    pub(crate) const fn new() -> Self {
        Self(KVVec::new())
    }

    /// Says a line, or as much of it as there is room and memory for.
    pub(crate) fn say(&mut self, line: fmt::Arguments<'_>) {
        let _ = self.write_fmt(line).and_then(|()| self.write_char('\n'));
    }

    /// Everything that was said.
    pub(crate) fn text(&self) -> &[u8] {
        &self.0
    }
}

impl Write for Why {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.0.len() + text.len() > MOST {
            return Err(fmt::Error);
        }
        self.0
            .extend_from_slice(text.as_bytes(), flags::GFP_KERNEL)
            .map_err(|_| fmt::Error)
    }
}
