// SPDX-License-Identifier: GPL-2.0

//! The image of a checkpoint: its framing, as `Documentation/userspace-api/ckpt-image.rst` defines
//! it.
//!
//! An image is one stream: eight bytes of magic, then records, the last of which is `End`.
//! [`Writer`] encodes records into buffers of its caller, [`Reader`] takes them from a [`Source`].
//! Neither seeks, allocates or panics, and neither trusts what it reads: a count is compared with
//! [`Limits`] before anything happens because of it, and whatever is not as the format says is
//! refused as one of [`Malformed`], with its place.
//!
//! What the records of tasks, memory and files mean is the business of those who write and read
//! them; a new kind of record is a row of the table in `format.rs` and a structure that implements
//! [`Body`].
//!
//! The tree is compiled into the kernel, and into a crate for programs. Its surroundings supply
//! `crc32c()`, which is to be the kernel's: it neither inverts the seed nor the result.

use super::crc32c;

mod body;
mod checksum;
mod data;
mod end;
mod error;
mod format;
mod frame;
mod header;
mod limits;
mod note;
mod objects;
mod reader;
mod record;
mod source;
mod state;
mod writer;

pub use body::Body;
pub use checksum::Checksum;
pub use data::DataHead;
pub use error::{
    Error,
    Fault,
    Malformed,
    WriteError, //
};
pub use format::{
    record_size,
    Buffer,
    Kind,
    Tail,
    Type,
    DATA,
    MAGIC,
    MAX_HEAD,
    MAX_PAYLOAD,
    OPTIONAL,
    RECORD_HEADER, //
};
pub use frame::{
    Frame,
    Memory, //
};
pub use header::{
    Header,
    COMPAT_DATA_CRC,
    VERSION, //
};
pub use limits::{
    Limits,
    Totals, //
};
pub use note::{
    Abort,
    Identity,
    Note,
    Release, //
};
pub use objects::{
    ObjectId,
    Objects, //
};
pub use reader::Reader;
pub use record::Record;
pub use source::Source;
pub use state::{
    Action,
    Actions,
    Clocks,
    Cred,
    Deleted,
    External,
    Fd,
    File,
    Files,
    Filter,
    Fs,
    Guard,
    Hole,
    Itimers,
    Mm,
    Pending,
    Piece,
    Pipe,
    Process,
    Regs,
    Rlimits,
    Shm,
    Thread,
    Timer,
    Vma, //
};
pub use writer::Writer;
