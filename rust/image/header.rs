// SPDX-License-Identifier: GPL-2.0

//! The first record: what all others presume.

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
    body::{
        self,
        Body, //
    },
    error::Malformed,
    format::Type, //
};

/// The version of the format. Features change it, versions are for when nothing else helps.
pub const VERSION: u32 = 1;

/// Compatible feature: the checksum of raw data is in their [`DataHead`](super::DataHead).
pub const COMPAT_DATA_CRC: u64 = 1 << 0;

/// Features that a reader has to know.
const INCOMPAT_KNOWN: u64 = 0;

/// The first record.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub struct Header {
    /// [`VERSION`]. It is at this place in all versions.
    pub version: U32,
    /// The ELF number of the architecture (`EM_X86_64` is 62).
    pub arch: U32,
    /// Features, as bits, without which the image cannot be understood.
    pub incompat: U64,
    /// Features, as bits, that a reader may not know.
    pub compat: U64,
    /// The binary logarithm of the size of a page in bytes.
    pub page_shift: U32,
    /// Zero.
    pub reserved: U32,
}

impl Body for Header {
    const TYPE: Type = Type::Header;
    const FIRST: usize = 32;
}

impl Header {
    /// For a machine with pages of `1 << page_shift` bytes, and with these compatible features.
    pub fn new(arch: u32, page_shift: u32, compat: u64) -> Self {
        Self {
            version: VERSION.into(),
            arch: arch.into(),
            incompat: INCOMPAT_KNOWN.into(),
            compat: compat.into(),
            page_shift: page_shift.into(),
            reserved: U32::ZERO,
        }
    }

    /// Whether raw data have checksums.
    pub fn data_crc(&self) -> bool {
        self.compat.get() & COMPAT_DATA_CRC != 0
    }

    /// From the structure of a record.
    ///
    /// What it needs is checked before what it contains, so that the answer is the reason.
    pub(super) fn decode(head: &[u8]) -> Result<Self, Malformed> {
        let header: Self = body::known(head)?;
        header.check()?;
        body::nothing_else::<Self>(head)?;
        Ok(header)
    }

    /// Whether it describes an image that this version of the format can have.
    pub(super) fn check(&self) -> Result<(), Malformed> {
        if self.version.get() != VERSION {
            return Err(Malformed::Version(self.version.get()));
        }
        let unknown = self.incompat.get() & !INCOMPAT_KNOWN;
        if unknown != 0 {
            return Err(Malformed::Feature(unknown.trailing_zeros()));
        }
        // From 4 KiB to 64 KiB, so that a pad of a page is one record.
        if !(12..=16).contains(&self.page_shift.get()) {
            return Err(Malformed::PageShift(self.page_shift.get()));
        }
        if self.reserved != U32::ZERO {
            return Err(Malformed::Reserved);
        }
        Ok(())
    }
}
