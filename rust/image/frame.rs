// SPDX-License-Identifier: GPL-2.0

//! Pages of memory. A frame says by itself where its pages belong, so that frames may come in any
//! order, from several writers too, but that an address space which others were copied from is
//! complete before theirs. A page of zeros is in no frame, unless there would be something else.

use zerocopy::little_endian::{
    U32,
    U64, //
};
use zerocopy_derive::{
    FromBytes,
    Immutable,
    IntoBytes, //
};

use super::{
    body::Body,
    data::DataHead,
    error::Malformed,
    format::Type,
    objects::ObjectId, //
};

/// What the pages of a frame are the memory of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// An address space; the position is a virtual address.
    Private,
    /// A shared memory object, or a deleted file; the position is an offset in it.
    Shared,
}

impl Memory {
    const fn number(self) -> u32 {
        match self {
            Self::Private => 1,
            Self::Shared => 2,
        }
    }

    const fn from_number(number: u32) -> Option<Self> {
        match number {
            1 => Some(Self::Private),
            2 => Some(Self::Shared),
            _ => None,
        }
    }
}

/// Adjacent pages of one object, whose content is the data of the record.
///
/// # Invariants
///
/// For one that was read: an object, at least one page, and the whole is at a multiple of the size
/// of pages and ends before 2^64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What kind of object has the pages.
    pub memory: Memory,
    /// Which object.
    pub object: ObjectId,
    /// Where the pages start, in bytes.
    pub position: u64,
    /// How many there are, in bytes.
    pub bytes: u64,
}

/// A frame as it is stored.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub(super) struct Pages {
    data: DataHead,
    object: ObjectId,
    memory: U32,
    position: U64,
}

impl Body for Pages {
    const TYPE: Type = Type::Pages;
    const FIRST: usize = 32;
}

impl Pages {
    /// With `crc` as the checksum of the data.
    pub(super) fn new(frame: &Frame, crc: u32) -> Self {
        Self {
            data: DataHead {
                bytes: frame.bytes.into(),
                crc: crc.into(),
                reserved: U32::ZERO,
            },
            object: frame.object,
            memory: frame.memory.number().into(),
            position: frame.position.into(),
        }
    }

    /// What it says, if that is possible with pages of `1 << page_shift` bytes.
    pub(super) fn frame(&self, page_shift: u32) -> Result<Frame, Malformed> {
        let number = self.memory.get();
        let frame = Frame {
            memory: Memory::from_number(number).ok_or(Malformed::Memory(number))?,
            object: self.object,
            position: self.position.get(),
            bytes: self.data.bytes.get(),
        };
        if frame.object == ObjectId::NONE {
            return Err(Malformed::NoObject(0));
        }
        let whole_pages = |bytes: u64| bytes.trailing_zeros() >= page_shift;
        if frame.bytes == 0 || !whole_pages(frame.bytes) {
            return Err(Malformed::FrameSize(frame.bytes));
        }
        if !whole_pages(frame.position) || frame.position.checked_add(frame.bytes).is_none() {
            return Err(Malformed::FramePosition(frame.position));
        }
        // INVARIANT: What was just checked.
        Ok(frame)
    }
}
