// SPDX-License-Identifier: GPL-2.0

//! What can be wrong, one name for each cause.

use core::fmt;

use super::format::{
    Kind,
    Type,
    MAX_PAYLOAD,
    OPTIONAL, //
};

/// Why an image is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// The magic is another.
    NotAnImage,
    /// The magic was one, before something took the image for a text and changed it.
    Mangled,
    /// The stream ends before its end.
    Truncated,
    /// The first record is not the header.
    NoHeader(Kind),
    /// There is another header.
    SecondHeader,
    /// The version, of which only one is known.
    Version(u32),
    /// The number of an incompatible feature that is not known.
    Feature(u32),
    /// The binary logarithm of the size of pages is that of no machine.
    PageShift(u32),
    /// A field that has no meaning yet is not zero.
    Reserved,
    /// The payload of a record would have that many bytes.
    PayloadTooLong(u32),
    /// The checksum of a record does not match it.
    Checksum,
    /// A record claims this index, which is not its own.
    Sequence(u32),
    /// Flags of a record that have no meaning.
    UnknownFlags(u8),
    /// The number of a type that is not known, of a record that is not optional.
    UnknownType(u16),
    /// Flags of a record that do not belong to its type.
    WrongFlags(Type, u8),
    /// The bytes that fill up a payload, or a pad, are not zero.
    NotZero,
    /// The structure in a payload would be longer than the payload.
    HeadTooLong,
    /// The structure of a type is shorter than it ever was.
    ShortHead(Type),
    /// The structure of a type has fields that are not known, and not zero.
    UnknownFields(Type),
    /// Something follows the structure of a record that has no tail.
    UnexpectedTail,
    /// A text is empty, or not printable ASCII.
    Text,
    /// A record of one type is where another is needed.
    Expected(Type, Kind),
    /// Data follow a record that does not say how many.
    NoDataHead,
    /// The size of data in bytes, which is not a multiple of eight.
    UnalignedData(u64),
    /// Data have a checksum in an image without.
    UnexpectedDataCrc,
    /// The checksum of data does not match them.
    DataChecksum,
    /// The number of a kind of memory that is not known.
    Memory(u32),
    /// The size of a frame in bytes, which is nothing, or not whole pages.
    FrameSize(u64),
    /// The address of a frame, which is not that of a page, or too high for its size.
    FramePosition(u64),
    /// An object has this number, which is not the next one.
    ObjectOrder(u32),
    /// A record refers to an object that was not defined before.
    NoObject(u32),
    /// A record refers to this object as if it were of another kind.
    ObjectKind(u32),
    /// More records than this limit.
    TooManyRecords(u32),
    /// More bytes of metadata than this limit.
    TooMuchMetadata(u64),
    /// More bytes of data than this limit.
    TooMuchData(u64),
    /// More objects than this limit.
    TooManyObjects(u32),
    /// The writer gave up.
    Aborted,
    /// The last record tells of this number of records, and there were others.
    EndRecords(u64),
    /// The last record tells of this many bytes of data, and there were others.
    EndData(u64),
    /// Records were added, removed or exchanged.
    EndChecksum,
    /// Something follows the last record.
    TrailingBytes,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use Malformed::*;

        match *self {
            NotAnImage => write!(f, "not an image of a checkpoint"),
            Mangled => write!(f, "the image was transferred as a text, which spoiled it"),
            Truncated => write!(f, "the image ends early"),
            NoHeader(kind) => write!(f, "the first record is not the header, but {kind}"),
            SecondHeader => write!(f, "a second header"),
            Version(version) => write!(f, "version {version} of the format is not known"),
            Feature(bit) => write!(f, "incompatible feature {bit} is not known"),
            PageShift(shift) => write!(f, "no machine has pages of 2^{shift} bytes"),
            Reserved => write!(f, "a reserved field is not zero"),
            PayloadTooLong(len) => {
                write!(f, "a record of {len} bytes, more than {MAX_PAYLOAD}")
            }
            Checksum => write!(f, "the checksum of the record does not match"),
            Sequence(seq) => write!(f, "a record that was number {seq} somewhere else"),
            UnknownFlags(flags) => write!(f, "a record with unknown flags {flags:#x}"),
            UnknownType(number) => {
                write!(f, "a record of type {number}, which is not known")
            }
            WrongFlags(kind, flags) => {
                let optional = if flags & OPTIONAL != 0 { "" } else { "not " };
                write!(f, "a record of type {}, ", kind.name())?;
                write!(f, "{optional}optional, with flags {flags:#x}")
            }
            NotZero => write!(f, "padding is not zero"),
            HeadTooLong => write!(f, "the structure is longer than its record"),
            ShortHead(kind) => {
                write!(f, "the structure of type {} is cut short", kind.name())
            }
            UnknownFields(kind) => {
                write!(
                    f,
                    "the structure of type {} has unknown fields",
                    kind.name()
                )
            }
            UnexpectedTail => write!(f, "the record is longer than its structure"),
            Text => write!(f, "a text is empty or not printable"),
            Expected(wanted, found) => {
                write!(f, "{found} where {} is needed", wanted.name())
            }
            NoDataHead => write!(f, "data of unknown size"),
            UnalignedData(bytes) => {
                write!(f, "{bytes} bytes of data, not a multiple of eight")
            }
            UnexpectedDataCrc => {
                write!(f, "a checksum of data in an image without such checksums")
            }
            DataChecksum => write!(f, "the checksum of the data does not match"),
            Memory(number) => write!(f, "memory of kind {number}, which is not known"),
            FrameSize(bytes) => write!(f, "{bytes} bytes of memory are not whole pages"),
            FramePosition(at) => write!(f, "no pages can be at {at:#x}"),
            ObjectOrder(id) => write!(f, "object {id} is defined out of order"),
            NoObject(id) => write!(f, "object {id} is not defined before it is used"),
            ObjectKind(id) => write!(f, "object {id} is used as what it is not"),
            TooManyRecords(limit) => write!(f, "more than {limit} records"),
            TooMuchMetadata(limit) => write!(f, "more than {limit} bytes of metadata"),
            TooMuchData(limit) => write!(f, "more than {limit} bytes of data"),
            TooManyObjects(limit) => write!(f, "more than {limit} objects"),
            Aborted => write!(f, "the image was not finished"),
            EndRecords(records) => write!(f, "not the {records} records that were written"),
            EndData(bytes) => write!(f, "not the {bytes} bytes of data that were written"),
            EndChecksum => write!(f, "records were added, removed or exchanged"),
            TrailingBytes => write!(f, "something follows the end of the image"),
        }
    }
}

impl core::error::Error for Malformed {}

/// What is wrong with an image, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The place in the stream, in bytes from the magic: the start of the record that is wrong,
    /// or where the stream ends that should go on.
    pub at: u64,
    /// What is wrong there.
    pub what: Malformed,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {}: {}", self.at, self.what)
    }
}

impl core::error::Error for Fault {}

/// Why a reader stopped; it does not go on after that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error<E> {
    /// The source failed.
    Source(E),
    /// The image is refused.
    Malformed(Fault),
    /// The caller's mistake: it went on after an error or before the end, or took more data from
    /// the source than there were.
    Misuse,
}

impl<E> From<Fault> for Error<E> {
    fn from(fault: Fault) -> Self {
        Self::Malformed(fault)
    }
}

impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(error) => write!(f, "cannot read the image: {error}"),
            Self::Malformed(fault) => fault.fmt(f),
            Self::Misuse => write!(f, "the reader of the image was misused"),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for Error<E> {}

/// Why a record was not written; the writer is as it was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteError {
    /// The buffer has less than these bytes.
    NoRoom(usize),
    /// A reader would refuse it.
    Invalid(Malformed),
}

impl From<Malformed> for WriteError {
    fn from(what: Malformed) -> Self {
        Self::Invalid(what)
    }
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRoom(bytes) => write!(f, "a record needs {bytes} bytes"),
            Self::Invalid(what) => what.fmt(f),
        }
    }
}

impl core::error::Error for WriteError {}
