// SPDX-License-Identifier: GPL-2.0

//! The last record: totals, by which a complete image is told from a cut or a rearranged one.

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
    checksum::Checksum,
    error::Malformed,
    format::Type,
    limits::Totals, //
};

/// The last record.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub(super) struct End {
    /// The number of records before this one.
    records: U64,
    /// The size of all raw data in bytes.
    data: U64,
    /// The checksum of the checksums of all records before this one, each as stored.
    chain: U32,
    /// Zero.
    reserved: U32,
}

impl Body for End {
    const TYPE: Type = Type::End;
    const FIRST: usize = 24;
}

impl End {
    /// After records that sum up to `totals`, and whose checksums have the checksum `chain`.
    pub(super) fn new(totals: &Totals, chain: Checksum) -> Self {
        Self {
            records: u64::from(totals.records).into(),
            data: totals.data.into(),
            chain: chain.value().into(),
            reserved: U32::ZERO,
        }
    }

    /// Compares what the writer wrote with what was read.
    pub(super) fn check(&self, totals: &Totals, chain: Checksum) -> Result<(), Malformed> {
        if self.records.get() != u64::from(totals.records) {
            return Err(Malformed::EndRecords(self.records.get()));
        }
        if self.data.get() != totals.data {
            return Err(Malformed::EndData(self.data.get()));
        }
        if self.chain.get() != chain.value() {
            return Err(Malformed::EndChecksum);
        }
        if self.reserved != U32::ZERO {
            return Err(Malformed::Reserved);
        }
        Ok(())
    }
}
