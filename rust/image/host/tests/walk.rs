// SPDX-License-Identifier: GPL-2.0

//! Reads images as a careful program does: every record, all data, up to the end of the stream.

use std::convert::Infallible;

use beanpod_image::{Error, Fault, Kind, Limits, Malformed, Reader, Source, Type, MAX_PAYLOAD};

use crate::raw::Raw;

pub(crate) const GENEROUS: Limits = Limits {
    records: 1 << 10,
    metadata: 1 << 20,
    data: 1 << 20,
};

/// The records of an image without its header and its end, as they would be encoded again.
pub(crate) fn walk<S: Source>(source: S, limits: Limits) -> Result<Vec<Raw>, Error<S::Error>> {
    let mut buffer = [0; MAX_PAYLOAD];
    let (mut reader, header) = Reader::open(source, limits, &mut buffer)?;
    let mut records = Vec::new();
    while let Some(record) = reader.next(&mut buffer)? {
        if record.kind == Kind::Known(Type::Pages) {
            record.frame(&header)?;
        }
        assert_eq!(record.data, reader.data_left());
        let mut raw = Raw::new(record.kind.number(), record.flags, record.head, record.tail);
        // In pieces that divide nothing, and never more than there is.
        let mut piece = [0; 1021];
        loop {
            let read = reader.read_data(&mut piece)?;
            raw.data.extend(&piece[..read]);
            if read < piece.len() {
                break;
            }
        }
        assert_eq!(raw.data.len() as u64, record.data);
        records.push(raw);
    }
    let totals = reader.finish()?;
    assert_eq!(totals.records as usize, records.len() + 2);
    Ok(records)
}

pub(crate) fn verify(bytes: &[u8]) -> Result<Vec<Raw>, Fault> {
    verify_within(bytes, GENEROUS)
}

pub(crate) fn verify_within(bytes: &[u8], limits: Limits) -> Result<Vec<Raw>, Fault> {
    walk(bytes, limits).map_err(only_fault)
}

pub(crate) fn only_fault(error: Error<Infallible>) -> Fault {
    match error {
        Error::Malformed(fault) => fault,
        Error::Source(never) => match never {},
        Error::Misuse => panic!("misuse"),
    }
}

pub(crate) fn refusal(bytes: &[u8]) -> Malformed {
    verify(bytes).expect_err("should have been refused").what
}
