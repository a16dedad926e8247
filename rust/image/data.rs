// SPDX-License-Identifier: GPL-2.0

//! Raw data behind a record: how many there are, and what they sum up to.

use zerocopy::{
    little_endian::{
        U32,
        U64, //
    },
    FromBytes as _, //
};
use zerocopy_derive::{
    FromBytes,
    Immutable,
    IntoBytes, //
};

use super::{
    checksum::Checksum,
    error::Malformed,
    format::ALIGN, //
};

/// What the payload of a record with [`DATA`](super::DATA) starts with, whatever its type, so that
/// a reader that does not know the type can pass over the data too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub struct DataHead {
    /// The size of the data in bytes, a multiple of eight.
    pub bytes: U64,
    /// The checksum of the data, with [`COMPAT_DATA_CRC`](super::COMPAT_DATA_CRC), or zero.
    pub crc: U32,
    /// Zero.
    pub reserved: U32,
}

impl DataHead {
    /// Of the record whose structure is `head`, in an image with checksums of data or without.
    pub(super) fn decode(head: &[u8], data_crc: bool) -> Result<Self, Malformed> {
        let (data, _) = Self::read_from_prefix(head).map_err(|_| Malformed::NoDataHead)?;
        let bytes = data.bytes.get();
        // CAST: A small constant.
        if bytes % ALIGN as u64 != 0 {
            return Err(Malformed::UnalignedData(bytes));
        }
        if data.crc != U32::ZERO && !data_crc {
            return Err(Malformed::UnexpectedDataCrc);
        }
        if data.reserved != U32::ZERO {
            return Err(Malformed::Reserved);
        }
        Ok(data)
    }
}

/// How far the data behind a record were read.
#[derive(Debug)]
pub(super) struct Progress {
    /// Where the record is.
    pub(super) at: u64,
    /// How many bytes there are still.
    pub(super) left: u64,
    /// What they must sum up to, if that can still be told.
    expected: Option<u32>,
    crc: Checksum,
}

impl Progress {
    /// No data.
    pub(super) const fn none() -> Self {
        Self {
            at: 0,
            left: 0,
            expected: None,
            crc: Checksum::new(),
        }
    }

    /// The data that `head` announces, of the record at `at`.
    pub(super) fn new(at: u64, head: &DataHead, data_crc: bool) -> Self {
        Self {
            at,
            left: head.bytes.get(),
            expected: data_crc.then_some(head.crc.get()),
            crc: Checksum::new(),
        }
    }

    /// These bytes were next.
    pub(super) fn seen(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        // CAST: `usize` is at most 64 bits.
        self.left = self.left.saturating_sub(bytes.len() as u64);
        if let Some(expected) = self.expected {
            self.crc.update(bytes);
            if self.left == 0 && self.crc.value() != expected {
                return Err(Malformed::DataChecksum);
            }
        }
        Ok(())
    }

    /// `bytes` of them were passed over.
    pub(super) fn unseen(&mut self, bytes: u64) {
        self.left = self.left.saturating_sub(bytes);
        self.expected = None;
    }
}
