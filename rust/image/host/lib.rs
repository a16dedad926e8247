// SPDX-License-Identifier: GPL-2.0

//! Images of checkpoints, for programs: the codec that is in the kernel, and a source for it.

#![no_std]

#[path = "../mod.rs"]
mod image;
mod stream;

pub use image::*;
pub use stream::Stream;

/// As that of the kernel, which inverts nothing.
fn crc32c(seed: u32, bytes: &[u8]) -> u32 {
    !::crc32c::crc32c_append(!seed, bytes)
}
