// SPDX-License-Identifier: GPL-2.0

//! Feeds the reader with what a fuzzer makes of images:
//!
//! ```text
//! cd rust/image/host/fuzz
//! cargo run --release -- -max_len=20000 -runs=1000000
//! ```
//!
//! Checksums stop a fuzzer that knows nothing of them at the first record. This one changes the
//! records of an image, and mostly puts the image together again with indices, checksums and totals
//! that are right. It needs no corpus: it makes its own images to start from.

#![no_main]

use beanpod_image::{
    Error, Fault, Kind, Limits, Malformed, Reader, Totals, Type, COMPAT_DATA_CRC, MAX_PAYLOAD,
};
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use raw::{Image, Raw, PAGE};

#[expect(dead_code, reason = "the tests use more of it")]
#[path = "../tests/raw.rs"]
mod raw;

const LIMITS: Limits = Limits {
    records: 24,
    metadata: 64 << 10,
    data: 64 << 10,
};

/// What a reader found.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    records: Vec<Raw>,
    totals: Totals,
}

/// Reads an image, with its data or without.
fn read(bytes: &[u8], with_data: bool) -> Result<Found, Fault> {
    let fault = |error| match error {
        Error::Malformed(fault) => fault,
        Error::Source(never) => match never {},
        Error::Misuse => panic!("the reader says that it was misused"),
    };
    let mut buffer = [0; MAX_PAYLOAD];
    let (mut reader, header) = Reader::open(bytes, LIMITS, &mut buffer).map_err(fault)?;
    let mut records = Vec::new();
    while let Some(record) = reader.next(&mut buffer).map_err(fault)? {
        let totals = reader.totals();
        assert!(totals.records <= LIMITS.records);
        assert!(totals.metadata <= LIMITS.metadata && totals.data <= LIMITS.data);
        if record.kind == Kind::Known(Type::Pages) {
            let frame = record.frame(&header)?;
            assert!(frame.bytes == record.data && frame.bytes > 0);
            assert!(frame.position.checked_add(frame.bytes).is_some());
        }
        let mut raw = Raw::new(record.kind.number(), record.flags, record.head, record.tail);
        if with_data {
            raw.data = vec![0; record.data as usize];
            let read = reader.read_data(&mut raw.data).map_err(fault)?;
            assert_eq!(read, raw.data.len());
        }
        records.push(raw);
    }
    let totals = reader.finish().map_err(fault)?;
    Ok(Found { records, totals })
}

fuzz_target!(|bytes: &[u8]| {
    let whole = read(bytes, true);
    let skipped = read(bytes, false);
    match (&whole, &skipped) {
        (Ok(whole), Ok(skipped)) => assert_eq!(whole.totals, skipped.totals),
        // Only who reads data can see that they are wrong.
        (Err(fault), _) if fault.what == Malformed::DataChecksum => (),
        _ => assert_eq!(whole.as_ref().err(), skipped.as_ref().err()),
    }
    match whole {
        Err(fault) => assert!(fault.at <= bytes.len() as u64, "{fault}"),
        Ok(found) => {
            // What is accepted has no other encoding. The end may have grown.
            let records = parse(bytes);
            let (Some(header), Some(end)) = (records.first(), records.last()) else {
                panic!("an image has a header and an end");
            };
            let image = Image::new().add(header).add_all(&found.records);
            assert!(end.head.starts_with(&image.end().head));
            assert_eq!(image.add(end).bytes, bytes);
        }
    }
});

/// Something like a generator of random numbers.
struct Chance(u64);

impl Chance {
    fn new(seed: u32) -> Self {
        Self(u64::from(seed) << 1 | 1)
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % bound.max(1)
    }

    fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}

/// Records as far as `bytes` look like some, header and end included.
fn parse(bytes: &[u8]) -> Vec<Raw> {
    let mut rest = bytes.get(8..).unwrap_or_default();
    let mut piece = |len: usize| {
        let (piece, after) = rest.split_at(len.min(rest.len()));
        rest = after;
        piece
    };
    let mut records = Vec::new();
    while let Ok(header) = <[u8; 16]>::try_from(piece(16)) {
        let len = u32::from_le_bytes([header[4], header[5], header[6], header[7]]) as usize;
        let payload = piece(len.next_multiple_of(8));
        let payload = &payload[..len.min(payload.len())];
        let (head, tail) = payload.split_at((header[3] as usize * 8).min(payload.len()));
        let number = u16::from_le_bytes([header[0], header[1]]);
        let mut raw = Raw::new(number, header[2], head, tail);
        if raw.flags & 2 != 0 {
            let count = head.first_chunk().copied().map_or(0, u64::from_le_bytes);
            raw.data = piece(count.min(64 << 10) as usize).to_vec();
        }
        records.push(raw);
    }
    records
}

/// A record of any type, mostly a good one.
fn generate(chance: &mut Chance) -> Raw {
    let byte = chance.below(256) as u8;
    match chance.below(8) {
        0 => raw::release(&vec![b'a' + byte % 26; 1 + chance.below(40)]),
        1 => raw::identity([byte; 16]),
        2 => Raw::new(4, 1, &[], &vec![0; chance.below(100)]),
        3 => Raw::new(0x8000 | u16::from(byte), 1, &[byte; 16], &[byte; 5]),
        4 => raw::with_data(0x9000, 3, &[byte; 24], |_| ()),
        5 => Raw::new(3, 0, &[], b"disk full"),
        _ => {
            let at = (chance.below(1 << 10) * PAGE) as u64;
            // At the upper end of an address space at times.
            let at = if chance.one_in(8) {
                at.wrapping_neg()
            } else {
                at
            };
            let id = 1 + chance.below(3) as u32;
            raw::pages(1 + chance.below(2) as u32, id, at, &[byte; PAGE])
        }
    }
}

/// Puts an image together, with totals that are right if `honest`.
fn seal(records: &[Raw], honest: bool) -> Vec<u8> {
    let mut image = Image::new();
    for record in records {
        let end = image.end();
        let honest = honest && record.number == 2;
        image = image.add(if honest { &end } else { record });
    }
    image.bytes
}

/// Lets the fuzzer change a field or a text.
fn change(bytes: &mut Vec<u8>, room: usize) {
    let size = bytes.len();
    bytes.resize(size + room, 0);
    let size = fuzzer_mutate(bytes, size, size + room);
    bytes.truncate(size);
}

/// Brings what a record says of its data in line with them.
fn settle(record: &mut Raw) {
    if let Some(count) = record.head.first_chunk_mut::<16>() {
        count[..8].copy_from_slice(&(record.data.len() as u64).to_le_bytes());
        count[8..12].copy_from_slice(&crc32c::crc32c(&record.data).to_le_bytes());
    }
}

fn mutate_records(records: &mut Vec<Raw>, chance: &mut Chance) {
    let at = chance.below(records.len());
    let other = chance.below(records.len());
    match chance.below(12) {
        0 => drop(records.remove(at)),
        1 => records.insert(other, records[at].clone()),
        2 => records.swap(at, other),
        3 | 4 => records.insert(at.max(1), generate(chance)),
        _ => {
            let record = &mut records[at];
            match chance.below(10) {
                0 => record.number ^= 1 << chance.below(16),
                1 => record.flags ^= 1 << chance.below(8),
                2 => record.units = Some(chance.below(256) as u8),
                3 => record.len = Some(chance.below(1 << 17) as u32),
                4 => record.seq = Some(chance.below(4) as u32),
                5 => record.padding = 1,
                6 => change(&mut record.tail, 16),
                7 => {
                    change(&mut record.data, 64);
                    if chance.one_in(2) {
                        settle(record);
                    }
                }
                _ => {
                    change(&mut record.head, 16);
                    if chance.one_in(2) {
                        let size = record.head.len().next_multiple_of(8);
                        record.head.resize(size, 0);
                    }
                }
            }
        }
    }
}

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let mut chance = Chance::new(seed);
    let mut records = parse(&data[..size]);
    if records.len() < 2 || chance.one_in(64) {
        let compat = [0, COMPAT_DATA_CRC][chance.below(2)];
        records = vec![raw::header_with(1, raw::X86_64, 0, compat, 12, 0)];
        for _ in 0..chance.below(4) {
            records.push(generate(&mut chance));
        }
        records.push(Raw::new(2, 0, &[0; 24], &[]));
    } else if chance.one_in(4) {
        // As others do.
        return fuzzer_mutate(data, size, max_size);
    } else {
        for _ in 0..=chance.below(3) {
            if records.is_empty() {
                break;
            }
            mutate_records(&mut records, &mut chance);
        }
    }
    let bytes = seal(&records, !chance.one_in(8));
    let size = bytes.len().min(max_size);
    data[..size].copy_from_slice(&bytes[..size]);
    size
});
