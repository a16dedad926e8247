// SPDX-License-Identifier: GPL-2.0

//! How much an image has, and how much it may have.

use super::error::Malformed;

/// What a reader accepts at most; what is beyond is refused before it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Records, `Header` and `End` included, but for pages and holes.
    pub records: u32,
    /// Bytes of metadata: headers of these records, payloads, and what pads them.
    pub metadata: u64,
    /// Bytes of raw data.
    pub data: u64,
}

impl Limits {
    /// Whatever the format allows.
    pub const NONE: Self = Self {
        records: u32::MAX,
        metadata: u64::MAX,
        data: u64::MAX,
    };
}

/// What was read or written so far.
///
/// # Invariants
///
/// For a reader, no total of what is limited is above its limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Records.
    pub records: u32,
    /// Bytes of metadata: headers of records, payloads, and what pads them.
    pub metadata: u64,
    /// Bytes of raw data.
    pub data: u64,
}

impl Totals {
    /// One more record, with `bytes` of metadata.
    pub(super) fn add_record(&mut self, bytes: u64, limits: &Limits) -> Result<(), Malformed> {
        let records = sum(self.records.into(), 1, limits.records.into());
        let metadata = sum(self.metadata, bytes, limits.metadata);
        // CAST: Not more than the limit, which is a `u32`.
        self.records = records.ok_or(Malformed::TooManyRecords(limits.records))? as u32;
        self.metadata = metadata.ok_or(Malformed::TooMuchMetadata(limits.metadata))?;
        Ok(())
    }

    /// `bytes` of raw data more.
    pub(super) fn add_data(&mut self, bytes: u64, limits: &Limits) -> Result<(), Malformed> {
        let data = sum(self.data, bytes, limits.data);
        self.data = data.ok_or(Malformed::TooMuchData(limits.data))?;
        Ok(())
    }
}

/// The sum, if it is within `limit`.
fn sum(total: u64, more: u64, limit: u64) -> Option<u64> {
    total.checked_add(more).filter(|total| *total <= limit)
}
