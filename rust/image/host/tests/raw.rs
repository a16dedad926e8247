// SPDX-License-Identifier: GPL-2.0

//! A second encoder, after the description of the format and not after the codec, that also writes
//! what must not be.

use beanpod_image::{Header, COMPAT_DATA_CRC};

pub(crate) const X86_64: u32 = 62;
pub(crate) const PAGE: usize = 4096;

/// A record. What is `None` gets the value that it should have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Raw {
    pub(crate) number: u16,
    pub(crate) flags: u8,
    pub(crate) head: Vec<u8>,
    pub(crate) tail: Vec<u8>,
    pub(crate) data: Vec<u8>,
    pub(crate) units: Option<u8>,
    pub(crate) len: Option<u32>,
    pub(crate) seq: Option<u32>,
    pub(crate) padding: u8,
}

impl Raw {
    pub(crate) fn new(number: u16, flags: u8, head: &[u8], tail: &[u8]) -> Self {
        Self {
            number,
            flags,
            head: head.to_vec(),
            tail: tail.to_vec(),
            ..Self::default()
        }
    }

    /// The bytes of the record at index `seq`, without its data, and its checksum.
    pub(crate) fn encode(&self, seq: u32) -> (Vec<u8>, u32) {
        let payload = [&self.head[..], &self.tail[..]].concat();
        let units = self.units.unwrap_or((self.head.len() / 8) as u8);
        let len = self.len.unwrap_or(payload.len() as u32);
        let mut record = Vec::new();
        record.extend(self.number.to_le_bytes());
        record.extend([self.flags, units]);
        record.extend(len.to_le_bytes());
        record.extend(self.seq.unwrap_or(seq).to_le_bytes());
        record.extend([0; 4]);
        record.extend(&payload);
        record.resize(record.len().next_multiple_of(8), self.padding);
        let crc = crc32c::crc32c(&record);
        record[12..16].copy_from_slice(&crc.to_le_bytes());
        (record, crc)
    }
}

pub(crate) fn header() -> Raw {
    header_with(1, X86_64, 0, COMPAT_DATA_CRC, 12, 0)
}

pub(crate) fn header_with(
    version: u32,
    arch: u32,
    incompat: u64,
    compat: u64,
    shift: u32,
    reserved: u32,
) -> Raw {
    let mut head = Vec::new();
    head.extend(version.to_le_bytes());
    head.extend(arch.to_le_bytes());
    head.extend(incompat.to_le_bytes());
    head.extend(compat.to_le_bytes());
    head.extend(shift.to_le_bytes());
    head.extend(reserved.to_le_bytes());
    Raw::new(1, 0, &head, &[])
}

/// What `header()` encodes.
pub(crate) fn codec_header() -> Header {
    Header::new(X86_64, 12, COMPAT_DATA_CRC)
}

pub(crate) fn release(text: &[u8]) -> Raw {
    Raw::new(5, 1, &[], text)
}

pub(crate) fn identity(uuid: [u8; 16]) -> Raw {
    Raw::new(6, 1, &uuid, &[])
}

pub(crate) fn pages(memory: u32, object: u32, position: u64, data: &[u8]) -> Raw {
    with_data(16, 2, data, |head| {
        head.extend(object.to_le_bytes());
        head.extend(memory.to_le_bytes());
        head.extend(position.to_le_bytes());
    })
}

/// A record with data, whose structure goes on with what `more` adds.
pub(crate) fn with_data(
    number: u16,
    flags: u8,
    data: &[u8],
    more: impl FnOnce(&mut Vec<u8>),
) -> Raw {
    let mut head = Vec::new();
    head.extend((data.len() as u64).to_le_bytes());
    head.extend(crc32c::crc32c(data).to_le_bytes());
    head.extend([0; 4]);
    more(&mut head);
    Raw {
        data: data.to_vec(),
        ..Raw::new(number, flags, &head, &[])
    }
}

/// An image under construction.
pub(crate) struct Image {
    pub(crate) bytes: Vec<u8>,
    seq: u32,
    data: u64,
    chain: Vec<u8>,
}

impl Image {
    pub(crate) fn new() -> Self {
        Self {
            bytes: b"\x9eCKPT\r\n\x1a".to_vec(),
            seq: 0,
            data: 0,
            chain: Vec::new(),
        }
    }

    pub(crate) fn with(records: &[Raw]) -> Self {
        records.iter().fold(Self::new(), Self::add)
    }

    pub(crate) fn add(mut self, record: &Raw) -> Self {
        let (bytes, crc) = record.encode(self.seq);
        self.bytes.extend(bytes);
        self.bytes.extend(&record.data);
        self.seq += 1;
        self.data += record.data.len() as u64;
        self.chain.extend(crc.to_le_bytes());
        self
    }

    /// The last record, with the totals that it should have.
    pub(crate) fn end(&self) -> Raw {
        self.end_with(self.seq.into(), self.data, crc32c::crc32c(&self.chain))
    }

    pub(crate) fn end_with(&self, records: u64, data: u64, chain: u32) -> Raw {
        let mut head = Vec::new();
        head.extend(records.to_le_bytes());
        head.extend(data.to_le_bytes());
        head.extend(chain.to_le_bytes());
        head.extend([0; 4]);
        Raw::new(2, 0, &head, &[])
    }

    pub(crate) fn totals(&self) -> (u64, u64, u32) {
        (self.seq.into(), self.data, crc32c::crc32c(&self.chain))
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        let end = self.end();
        self.add(&end).bytes
    }
}

/// A header, these records, and an end.
pub(crate) fn image(records: &[Raw]) -> Vec<u8> {
    Image::with(&[header()]).add_all(records).finish()
}

impl Image {
    pub(crate) fn add_all(self, records: &[Raw]) -> Self {
        records.iter().fold(self, Self::add)
    }
}

/// Two pages, a note, and an unknown record with data.
pub(crate) fn small() -> Vec<Raw> {
    vec![
        release(b"7.3.4-beanpod"),
        pages(1, 1, 0x7fff_0000_0000, &[0x5a; PAGE]),
        with_data(0x8001, 3, b"sixteen of bytes", |_| ()),
        pages(2, 2, 0, &[0xa5; PAGE]),
    ]
}
