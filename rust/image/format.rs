// SPDX-License-Identifier: GPL-2.0

//! The constants of the format, the header of a record, and the table of all types of records.

use core::{
    fmt,
    mem::size_of, //
};

use zerocopy::{
    little_endian::{
        U16,
        U32, //
    },
    IntoBytes as _, //
};
use zerocopy_derive::{
    FromBytes,
    Immutable,
    IntoBytes, //
};

use super::{
    checksum::Checksum,
    error::Malformed, //
};

/// The first bytes of an image.
///
/// What mangles binary files changes them: what strips the eighth bit the first byte, what
/// converts ends of lines the pair of CR and LF, and what takes ^Z for the end of a text stops.
pub const MAGIC: [u8; 8] = *b"\x9eCKPT\r\n\x1a";

/// The size of the header of a record in bytes.
pub const RECORD_HEADER: usize = size_of::<RecordHeader>();

/// The most that the payload of a record may have, in bytes, padding included.
pub const MAX_PAYLOAD: usize = 64 << 10;

/// The most that the structure at the start of a payload may have, in bytes.
pub const MAX_HEAD: usize = u8::MAX as usize * ALIGN;

/// Records, and the structures in them, start at multiples of this many bytes.
pub(super) const ALIGN: usize = 8;

/// Room for the payload of any record.
pub type Buffer = [u8; MAX_PAYLOAD];

/// Flag of a record: whoever does not know its type may pass over it.
pub const OPTIONAL: u8 = 1 << 0;

/// Flag of a record: raw data follow, and the payload starts with a
/// [`DataHead`](super::DataHead) that says how many.
pub const DATA: u8 = 1 << 1;

/// All flags that have a meaning.
pub(super) const FLAGS: u8 = OPTIONAL | DATA;

/// How many bytes a record takes with a payload of `payload` bytes; raw data are not part of it.
pub const fn record_size(payload: usize) -> usize {
    RECORD_HEADER
        .saturating_add(payload)
        .saturating_add(ALIGN - 1)
        & !(ALIGN - 1)
}

/// What every record starts with.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub(super) struct RecordHeader {
    /// The number of a [`Type`].
    pub(super) number: U16,
    /// [`OPTIONAL`], [`DATA`].
    pub(super) flags: u8,
    /// The size of the structure at the start of the payload, in units of [`ALIGN`] bytes.
    pub(super) head: u8,
    /// The size of the payload in bytes, without the zeros that fill it up to [`ALIGN`].
    pub(super) len: U32,
    /// The index of the record in the image.
    pub(super) seq: U32,
    /// The checksum of this header with zero in this field, of the payload and of its padding.
    pub(super) crc: U32,
}

impl RecordHeader {
    /// The checksum that belongs into `crc`.
    pub(super) fn checksum(&self, payload: &[u8]) -> u32 {
        let bare = Self {
            crc: U32::ZERO,
            ..*self
        };
        let mut crc = Checksum::new();
        crc.update(bare.as_bytes());
        crc.update(payload);
        crc.value()
    }
}

/// What may follow the structure in the payload of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// Nothing.
    None,
    /// Any bytes: what they mean is the matter of the type.
    Bytes,
    /// Nothing but zeros.
    Zeros,
    /// One or more characters of printable ASCII, so that they can be shown to anybody.
    Text,
}

impl Tail {
    /// Whether `bytes` are such a tail.
    fn check(self, bytes: &[u8]) -> Result<(), Malformed> {
        let printable = |byte: &u8| matches!(byte, b' '..=b'~');
        match self {
            Tail::None if !bytes.is_empty() => Err(Malformed::UnexpectedTail),
            Tail::Zeros if bytes.iter().any(|byte| *byte != 0) => Err(Malformed::NotZero),
            Tail::Text if bytes.is_empty() || !bytes.iter().all(printable) => Err(Malformed::Text),
            _ => Ok(()),
        }
    }
}

macro_rules! types {
    ($(
        $(#[$doc:meta])*
        $variant:ident = $number:literal, $name:literal, $flags:expr, $tail:ident;
    )*) => {
        /// The types of records that this version of the format has.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u16)]
        pub enum Type {
            $($(#[$doc])* $variant = $number,)*
        }

        impl Type {
            /// Every type, by ascending number.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The type of this number.
            pub const fn from_number(number: u16) -> Option<Self> {
                match number {
                    $($number => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// How people call it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// The flags that each record of the type has.
            pub const fn flags(self) -> u8 {
                match self {
                    $(Self::$variant => $flags,)*
                }
            }

            /// What may follow the structure of the type.
            pub const fn tail(self) -> Tail {
                match self {
                    $(Self::$variant => Tail::$tail,)*
                }
            }
        }
    };
}

// The one place where a type is added. A number is never used for anything else again; numbers
// from 0x8000 on are for private use, 0 is no type. What a type's structure is, `Body` says.
types! {
    // type      number  name        flags          tail
    /// What the rest of the image presumes; the first record.
    Header     = 1,      "header",   0,             None;
    /// Totals; the last record.
    End        = 2,      "end",      0,             None;
    /// Why the image ends here, unfinished.
    Abort      = 3,      "abort",    0,             Text;
    /// Moves what follows to a boundary of pages.
    Pad        = 4,      "pad",      OPTIONAL,      Zeros;
    /// The release of the kernel that wrote the image.
    Release    = 5,      "release",  OPTIONAL,      Text;
    /// Tells this image from all others.
    Identity   = 6,      "identity", OPTIONAL,      None;
    /// What is said about the image by whoever had it made.
    Note       = 7,      "note",     OPTIONAL,      Bytes;
    /// Memory, whose content follows.
    Pages      = 16,     "pages",    DATA,          None;
    /// An open file, or one that is mapped.
    File       = 17,     "file",     0,             Bytes;
    /// Memory that is shared.
    Shm        = 18,     "shm",      0,             None;
    /// An address space.
    Mm         = 19,     "mm",       0,             Bytes;
    /// A mapping.
    Vma        = 20,     "vma",      0,             Bytes;
    /// Guard pages.
    Guard      = 21,     "guard",    0,             None;
    /// A file that was deleted while it was open.
    Deleted    = 22,     "deleted",  0,             Bytes;
    /// A file that others bring.
    External   = 23,     "external", 0,             Text;
    /// The clocks of the container.
    Clocks     = 24,     "clocks",   0,             None;
    /// A pipe.
    Pipe       = 25,     "pipe",     0,             None;
    /// A piece of what is in a pipe.
    Piece      = 26,     "piece",    0,             Bytes;
    /// Where an address space has no pages, unlike the one that it was copied from.
    Hole       = 27,     "hole",     0,             None;
    /// A process.
    Process    = 32,     "process",  0,             None;
    /// What signals do.
    Actions    = 33,     "actions",  0,             Bytes;
    /// A thread.
    Thread     = 34,     "thread",   0,             Bytes;
    /// Resource limits.
    Rlimits    = 35,     "rlimits",  0,             Bytes;
    /// Where threads are in the file system.
    Fs         = 36,     "fs",       0,             None;
    /// A descriptor.
    Fd         = 37,     "fd",       0,             None;
    /// Registers of a thread.
    Regs       = 38,     "regs",     0,             Bytes;
    /// A table of descriptors.
    Files      = 39,     "files",    0,             None;
    /// A signal that waits.
    Pending    = 40,     "pending",  0,             Bytes;
    /// Interval timers.
    Itimers    = 41,     "itimers",  0,             None;
    /// Credentials.
    Cred       = 42,     "cred",     0,             Bytes;
    /// A POSIX timer.
    Timer      = 43,     "timer",    0,             None;
    /// A filter of system calls.
    Filter     = 44,     "filter",   0,             Bytes;
}

impl Type {
    /// Its number in the header of a record.
    pub const fn number(self) -> u16 {
        // CAST: The discriminants are `u16`.
        self as u16
    }

    /// Checks what this type says about a record.
    pub(super) fn check(self, flags: u8, tail: &[u8]) -> Result<(), Malformed> {
        if flags != self.flags() {
            return Err(Malformed::WrongFlags(self, flags));
        }
        self.tail().check(tail)
    }
}

/// The type of a record that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One that the table has.
    Known(Type),
    /// Another, but an optional one.
    Unknown(u16),
}

impl Kind {
    /// The kind of this number.
    pub fn from_number(number: u16) -> Self {
        Type::from_number(number).map_or(Self::Unknown(number), Self::Known)
    }

    /// The number in the header of a record.
    pub const fn number(self) -> u16 {
        match self {
            Self::Known(kind) => kind.number(),
            Self::Unknown(number) => number,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(kind) => f.write_str(kind.name()),
            Self::Unknown(number) => write!(f, "type {number}"),
        }
    }
}
