// SPDX-License-Identifier: GPL-2.0

//! Records about the image itself.

use zerocopy_derive::{
    FromBytes,
    Immutable,
    IntoBytes, //
};

use super::{
    body::Body,
    format::Type, //
};

/// The release of the kernel that wrote the image, as `uname -r` shows it, is the tail.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub struct Release {}

impl Body for Release {
    const TYPE: Type = Type::Release;
    const FIRST: usize = 0;
}

/// Tells this image from all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub struct Identity {
    /// A random UUID of this image, in the order of bytes in which UUIDs are written.
    pub uuid: [u8; 16],
}

impl Body for Identity {
    const TYPE: Type = Type::Identity;
    const FIRST: usize = 16;
}

/// What whoever had the image made says about it to whoever restores it; the tail, any bytes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub struct Note {}

impl Body for Note {
    const TYPE: Type = Type::Note;
    const FIRST: usize = 0;
}

/// The image ends here because its writer could not go on; the tail says why.
///
/// Whoever reads a pipe learns the reason, instead of an early end.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub struct Abort {}

impl Body for Abort {
    const TYPE: Type = Type::Abort;
    const FIRST: usize = 0;
}

/// Zeros, the tail, that move what follows.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub(super) struct Pad {}

impl Body for Pad {
    const TYPE: Type = Type::Pad;
    const FIRST: usize = 0;
}
