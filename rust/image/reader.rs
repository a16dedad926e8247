// SPDX-License-Identifier: GPL-2.0

//! Takes an image apart, record by record, and believes nothing.

use core::mem::take;

use zerocopy::{
    FromZeros as _,
    IntoBytes as _, //
};

use super::{
    checksum::Checksum,
    data::{
        DataHead,
        Progress, //
    },
    end::End,
    error::{
        Error,
        Fault,
        Malformed, //
    },
    format::{
        record_size,
        Buffer,
        Kind,
        RecordHeader,
        Type,
        ALIGN,
        DATA,
        FLAGS,
        MAGIC,
        OPTIONAL,
        RECORD_HEADER, //
    },
    header::Header,
    limits::{
        Limits,
        Totals, //
    },
    record::Record,
    source::Source, //
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before a record, or its data.
    Open,
    /// Behind the last record.
    Ended,
    /// Behind the last record of an image that was given up.
    Aborted,
    /// Somewhere, after an error.
    Failed,
}

/// An image that is being read.
///
/// Reading stops for good at the first error, and takes not one byte from the source beyond the
/// last record.
///
/// Raw data of a record are read before the next record, with [`read_data`](Self::read_data), or
/// from [`source`](Self::source) directly to where they belong, which is then told to the reader
/// by [`took`](Self::took) or [`took_unseen`](Self::took_unseen). The next record passes over what
/// was not read.
#[derive(Debug)]
pub struct Reader<S> {
    source: S,
    limits: Limits,
    /// How many bytes were taken from the source.
    offset: u64,
    totals: Totals,
    /// What of that was not pages and holes, of which whoever reads keeps nothing.
    kept: Totals,
    /// Of the checksums of all records.
    chain: Checksum,
    data: Progress,
    data_crc: bool,
    state: State,
}

impl<S: Source> Reader<S> {
    /// Starts to read an image, and returns its first record too.
    ///
    /// # Errors
    ///
    /// It is not an image, or one that needs what this reader does not know, or the source fails.
    pub fn open(
        source: S,
        limits: Limits,
        buffer: &mut Buffer,
    ) -> Result<(Self, Header), Error<S::Error>> {
        let mut reader = Self {
            source,
            limits,
            offset: 0,
            totals: Totals::default(),
            kept: Totals::default(),
            chain: Checksum::new(),
            data: Progress::none(),
            data_crc: false,
            state: State::Open,
        };
        let mut magic = [0; MAGIC.len()];
        reader.fill(&mut magic)?;
        check_magic(&magic).map_err(|what| Fault { at: 0, what })?;

        let record = reader.record(buffer)?;
        let header = if record.is(Type::Header) {
            Header::decode(record.head)
        } else {
            Err(Malformed::NoHeader(record.kind))
        };
        let header = header.map_err(|what| record.fault(what))?;
        reader.data_crc = header.data_crc();
        Ok((reader, header))
    }

    /// The next record, or none after the last one, which is compared with what was read.
    ///
    /// The types that are known and those that are not, but are optional, are returned alike.
    /// After [`Abort`](super::Abort), whose text is for the user, nothing but
    /// [`Malformed::Aborted`] comes.
    ///
    /// # Errors
    ///
    /// The image is malformed or too large, or the source fails.
    pub fn next<'b>(
        &mut self,
        buffer: &'b mut Buffer,
    ) -> Result<Option<Record<'b>>, Error<S::Error>> {
        if self.state == State::Ended {
            return Ok(None);
        }
        self.attempt(|reader| {
            if reader.state == State::Aborted {
                return Err(reader.fault(Malformed::Aborted).into());
            }
            reader.skip_data()?;
            let (totals, chain) = (reader.totals, reader.chain);
            let record = reader.record(buffer)?;
            match record.kind {
                Kind::Known(Type::Header) => Err(record.fault(Malformed::SecondHeader))?,
                Kind::Known(Type::End) => {
                    let end: End = record.body()?;
                    end.check(&totals, chain)
                        .map_err(|what| record.fault(what))?;
                    reader.state = State::Ended;
                    Ok(None)
                }
                Kind::Known(Type::Abort) => {
                    reader.state = State::Aborted;
                    Ok(Some(record))
                }
                _ => Ok(Some(record)),
            }
        })
    }

    /// Reads the next raw data of the last record into the start of `into`, and returns how many
    /// bytes: fewer than there is room for only if there are no more.
    ///
    /// # Errors
    ///
    /// The source ends or fails, or with the last byte the checksum is wrong.
    pub fn read_data(&mut self, into: &mut [u8]) -> Result<usize, Error<S::Error>> {
        self.attempt(|reader| {
            let left = usize::try_from(reader.data.left).unwrap_or(usize::MAX);
            let (into, _) = into.split_at_mut(left.min(into.len()));
            reader.fill(into)?;
            reader.see(into)?;
            Ok(into.len())
        })
    }

    /// How many bytes of the raw data of the last record were not taken yet.
    pub fn data_left(&self) -> u64 {
        self.data.left
    }

    /// The source, to take raw data from it, as many as are left at most.
    pub fn source(&mut self) -> &mut S {
        &mut self.source
    }

    /// Tells that these raw data were taken from the source.
    ///
    /// # Errors
    ///
    /// With the last byte the checksum is wrong, or there are not so many bytes left.
    pub fn took(&mut self, bytes: &[u8]) -> Result<(), Error<S::Error>> {
        self.attempt(|reader| {
            reader.advance(wide(bytes.len()))?;
            reader.see(bytes)
        })
    }

    /// Tells that so many bytes of raw data were taken from the source, whose checksum the caller
    /// does without.
    ///
    /// # Errors
    ///
    /// There are not so many bytes left.
    pub fn took_unseen(&mut self, bytes: u64) -> Result<(), Error<S::Error>> {
        self.attempt(|reader| {
            reader.advance(bytes)?;
            reader.data.unseen(bytes);
            Ok(())
        })
    }

    /// What was read so far; the data of the last record are counted at once.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// The source, which stands behind the last byte of the image if [`next`](Self::next) said so.
    pub fn into_source(self) -> S {
        self.source
    }

    /// Checks that the source ends where the image ends, as that of a file has to.
    ///
    /// # Errors
    ///
    /// It does not, or it fails, or the last record was not reached yet.
    pub fn finish(mut self) -> Result<Totals, Error<S::Error>> {
        if self.state != State::Ended {
            return Err(Error::Misuse);
        }
        match self.source.read(&mut [0]).map_err(Error::Source)? {
            0 => Ok(self.totals),
            _ => Err(self.fault(Malformed::TrailingBytes).into()),
        }
    }

    /// Does a step, the last one if it fails.
    fn attempt<T>(
        &mut self,
        step: impl FnOnce(&mut Self) -> Result<T, Error<S::Error>>,
    ) -> Result<T, Error<S::Error>> {
        if self.state == State::Failed {
            return Err(Error::Misuse);
        }
        let result = step(self);
        if result.is_err() {
            self.state = State::Failed;
        }
        result
    }

    /// Any record, with all checks that do not depend on what was before, but for its place.
    fn record<'b>(&mut self, buffer: &'b mut Buffer) -> Result<Record<'b>, Error<S::Error>> {
        let at = self.offset;
        let fault = |what| Fault { at, what };
        let seq = self.totals.records;

        let mut header = RecordHeader::new_zeroed();
        self.fill(header.as_mut_bytes())?;
        // CAST: `usize` is at least 32 bits.
        let len = header.len.get() as usize;
        let size = record_size(len);
        let payload = buffer.get_mut(..size - RECORD_HEADER);
        let payload = payload.ok_or(fault(Malformed::PayloadTooLong(header.len.get())))?;
        let passing = [Type::Pages, Type::Hole].map(Type::number);
        if !passing.contains(&header.number.get()) {
            self.kept
                .add_record(wide(size), &self.limits)
                .map_err(fault)?;
        }
        self.totals
            .add_record(wide(size), &Limits::NONE)
            .map_err(fault)?;
        self.fill(payload)?;

        // Of a damaged record nothing is true, so no other cause is named.
        if header.checksum(payload) != header.crc.get() {
            return Err(fault(Malformed::Checksum).into());
        }
        self.chain.update(header.crc.as_bytes());
        let record = parse(at, seq, &header, payload).map_err(fault)?;
        if record.flags & DATA == 0 {
            return Ok(record);
        }

        let head = DataHead::decode(record.head, self.data_crc).map_err(fault)?;
        let data = head.bytes.get();
        self.totals.add_data(data, &self.limits).map_err(fault)?;
        self.data = Progress::new(at, &head, self.data_crc);
        Ok(Record { data, ..record })
    }

    /// Passes over the data of the last record that were not read. If there are fewer, then there
    /// is no next record either.
    fn skip_data(&mut self) -> Result<(), Error<S::Error>> {
        let left = self.data.left;
        if left > 0 {
            let skipped = self.source.skip(left).map_err(Error::Source)?;
            self.offset = self.offset.saturating_add(skipped);
            self.data.unseen(left);
        }
        Ok(())
    }

    /// Counts data that were taken from the source elsewhere.
    fn advance(&mut self, bytes: u64) -> Result<(), Error<S::Error>> {
        if bytes > self.data.left {
            return Err(Error::Misuse);
        }
        self.offset = self.offset.saturating_add(bytes);
        Ok(())
    }

    /// Takes data into account.
    fn see(&mut self, bytes: &[u8]) -> Result<(), Error<S::Error>> {
        let at = self.data.at;
        Ok(self.data.seen(bytes).map_err(|what| Fault { at, what })?)
    }

    /// Fills `into` from the source.
    fn fill(&mut self, into: &mut [u8]) -> Result<(), Error<S::Error>> {
        let mut rest = into;
        while !rest.is_empty() {
            let read = self.source.read(rest).map_err(Error::Source)?;
            if read == 0 {
                return Err(self.fault(Malformed::Truncated).into());
            }
            self.offset = self.offset.saturating_add(wide(read));
            rest = take(&mut rest).get_mut(read..).unwrap_or_default();
        }
        Ok(())
    }

    /// Says that something is wrong where the source stands.
    fn fault(&self, what: Malformed) -> Fault {
        Fault {
            at: self.offset,
            what,
        }
    }
}

/// Tells an image from another file, and from one that a transfer spoiled.
fn check_magic(magic: &[u8; MAGIC.len()]) -> Result<(), Malformed> {
    if *magic == MAGIC {
        return Ok(());
    }
    match (magic, &MAGIC) {
        ([_, name @ .., _, _, _], [_, ours @ .., _, _, _]) if name == ours => {
            Err(Malformed::Mangled)
        }
        _ => Err(Malformed::NotAnImage),
    }
}

/// The record of an intact header and payload at index `seq`.
fn parse<'b>(
    at: u64,
    seq: u32,
    header: &RecordHeader,
    payload: &'b [u8],
) -> Result<Record<'b>, Malformed> {
    if header.seq.get() != seq {
        return Err(Malformed::Sequence(header.seq.get()));
    }
    if header.flags & !FLAGS != 0 {
        return Err(Malformed::UnknownFlags(header.flags & !FLAGS));
    }
    // CAST: `usize` is at least 32 bits.
    let split = payload.split_at_checked(header.len.get() as usize);
    let (used, padding) = split.ok_or(Malformed::PayloadTooLong(header.len.get()))?;
    if padding.iter().any(|byte| *byte != 0) {
        return Err(Malformed::NotZero);
    }
    let split = used.split_at_checked(usize::from(header.head) * ALIGN);
    let (head, tail) = split.ok_or(Malformed::HeadTooLong)?;

    let kind = Kind::from_number(header.number.get());
    match kind {
        Kind::Known(kind) => kind.check(header.flags, tail)?,
        Kind::Unknown(_) if header.flags & OPTIONAL != 0 => (),
        Kind::Unknown(number) => return Err(Malformed::UnknownType(number)),
    }
    Ok(Record {
        at,
        seq,
        kind,
        flags: header.flags,
        head,
        tail,
        data: 0,
    })
}

/// A size in memory as one in the stream.
const fn wide(bytes: usize) -> u64 {
    // CAST: `usize` is at most 64 bits.
    bytes as u64
}
