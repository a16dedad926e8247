// SPDX-License-Identifier: GPL-2.0

//! Makes an image, record by record, in the memory of the caller.

use core::{
    iter,
    mem::size_of, //
};

use zerocopy::{
    little_endian::U32,
    IntoBytes as _, //
};

use super::{
    body::{
        self,
        Body, //
    },
    checksum::Checksum,
    data::DataHead,
    end::End,
    error::{
        Malformed,
        WriteError, //
    },
    format::{
        record_size,
        RecordHeader,
        Type,
        DATA,
        MAGIC,
        MAX_PAYLOAD,
        RECORD_HEADER, //
    },
    frame::{
        Frame,
        Pages, //
    },
    header::Header,
    limits::{
        Limits,
        Totals, //
    },
    note::{
        Abort,
        Pad, //
    }, //
};

/// An image that is being written.
///
/// Each method encodes one record at the start of a buffer and returns its size in bytes; the
/// caller brings these bytes to the stream, then the raw data if some belong to the record.
#[derive(Debug)]
pub struct Writer {
    offset: u64,
    totals: Totals,
    /// Of the checksums of all records.
    chain: Checksum,
    page_shift: u32,
    data_crc: bool,
}

impl Writer {
    /// Starts an image: the magic, and the first record.
    ///
    /// # Errors
    ///
    /// There is no room, or the header is none that can be read.
    pub fn start(header: &Header, out: &mut [u8]) -> Result<(Self, usize), WriteError> {
        header.check()?;
        let mut writer = Self {
            offset: wide(MAGIC.len()),
            totals: Totals::default(),
            chain: Checksum::new(),
            page_shift: header.page_shift.get(),
            data_crc: header.data_crc(),
        };
        let no_room = WriteError::NoRoom(MAGIC.len() + record_size(size_of::<Header>()));
        let (magic, rest) = out.split_first_chunk_mut().ok_or(no_room)?;
        let size = writer
            .encode(header, &[], 0, rest)
            .map_err(|error| match error {
                WriteError::NoRoom(_) => no_room,
                invalid => invalid,
            })?;
        *magic = MAGIC;
        Ok((writer, MAGIC.len() + size))
    }

    /// A record of a structure, and the pieces of what follows it.
    ///
    /// If raw data belong to it, they are to follow at once, as many as its [`DataHead`] says.
    ///
    /// # Errors
    ///
    /// There is no room, or a reader would refuse the record.
    pub fn put<T: Body>(
        &mut self,
        body: &T,
        tail: &[&[u8]],
        out: &mut [u8],
    ) -> Result<usize, WriteError> {
        match T::TYPE {
            Type::Header => Err(WriteError::Invalid(Malformed::SecondHeader)),
            _ => self.encode(body, tail, 0, out),
        }
    }

    /// A frame; its pages are to follow. `crc` is their checksum if the header promises
    /// checksums of data, else zero.
    ///
    /// # Errors
    ///
    /// There is no room, or it is not a frame.
    pub fn frame(&mut self, frame: &Frame, crc: u32, out: &mut [u8]) -> Result<usize, WriteError> {
        let pages = Pages::new(frame, crc);
        pages.frame(self.page_shift)?;
        self.encode(&pages, &[], 0, out)
    }

    /// Zeros, if needed, so that the data of the next record start at a multiple of the size of
    /// pages. `payload` is the size of its payload in bytes. For images that are to be mapped.
    ///
    /// # Errors
    ///
    /// There is no room.
    pub fn align(&mut self, payload: usize, out: &mut [u8]) -> Result<usize, WriteError> {
        let page = 1u64 << self.page_shift;
        let data = self.offset.wrapping_add(wide(record_size(payload)));
        let mut gap = data.wrapping_neg() & (page - 1);
        if gap == 0 {
            return Ok(0);
        }
        // It is a multiple of `ALIGN`, which is too small for a record.
        if gap < wide(RECORD_HEADER) {
            gap += page;
        }
        // CAST: Not more than a page.
        let zeros = (gap - wide(RECORD_HEADER)) as usize;
        self.encode(&Pad {}, &[], zeros, out)
    }

    /// Where the next record goes in the stream, in bytes from the magic. Records are encoded one
    /// after the other, but in a file the data of several may be written at once.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// What was written so far, data included that are still to follow.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// The last record of an image whose writer cannot go on, with the reason, a printable text.
    ///
    /// # Errors
    ///
    /// There is no room, or the text is not printable.
    pub fn abort(mut self, reason: &str, out: &mut [u8]) -> Result<usize, WriteError> {
        self.encode(&Abort {}, &[reason.as_bytes()], 0, out)
    }

    /// The last record.
    ///
    /// # Errors
    ///
    /// There is no room.
    pub fn end(mut self, out: &mut [u8]) -> Result<(usize, Totals), WriteError> {
        let size = self.encode(&End::new(&self.totals, self.chain), &[], 0, out)?;
        Ok((size, self.totals))
    }

    /// A record of `body`, the pieces of `tail`, and `zeros`.
    fn encode<T: Body>(
        &mut self,
        body: &T,
        tail: &[&[u8]],
        zeros: usize,
        out: &mut [u8],
    ) -> Result<usize, WriteError> {
        let head = body.as_bytes();
        let len = tail
            .iter()
            .fold(head.len().saturating_add(zeros), |len, piece| {
                len.saturating_add(piece.len())
            });
        if len > MAX_PAYLOAD {
            let len = u32::try_from(len).unwrap_or(u32::MAX);
            return Err(Malformed::PayloadTooLong(len).into());
        }
        let size = record_size(len);
        let no_room = WriteError::NoRoom(size);
        let out = out.get_mut(..size).ok_or(no_room)?;
        let split = out.split_first_chunk_mut::<RECORD_HEADER>();
        let (header_room, payload) = split.ok_or(no_room)?;

        let mut rest = &mut *payload;
        for piece in iter::once(&head).chain(tail) {
            let (to, after) = rest.split_at_mut_checked(piece.len()).ok_or(no_room)?;
            to.copy_from_slice(piece);
            rest = after;
        }
        rest.fill(0);

        let flags = T::TYPE.flags();
        T::TYPE.check(flags, payload.get(head.len()..len).unwrap_or_default())?;
        let mut totals = self.totals;
        totals.add_record(wide(size), &Limits::NONE)?;
        if flags & DATA != 0 {
            let data = DataHead::decode(head, self.data_crc)?;
            totals.add_data(data.bytes.get(), &Limits::NONE)?;
        }

        let mut header = RecordHeader {
            number: T::TYPE.number().into(),
            flags,
            head: body::units::<T>(),
            // CAST: At most `MAX_PAYLOAD`.
            len: (len as u32).into(),
            seq: self.totals.records.into(),
            crc: U32::ZERO,
        };
        header.crc = header.checksum(payload).into();
        self.chain.update(header.crc.as_bytes());
        *header_room = zerocopy::transmute!(header);

        // Raw data and metadata together are the stream.
        let data = totals.data - self.totals.data;
        self.offset = self.offset.saturating_add(wide(size)).saturating_add(data);
        self.totals = totals;
        Ok(size)
    }
}

/// A size in memory as one in the stream.
const fn wide(bytes: usize) -> u64 {
    // CAST: `usize` is at most 64 bits.
    bytes as u64
}
