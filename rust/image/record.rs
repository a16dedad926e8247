// SPDX-License-Identifier: GPL-2.0

//! A record that was read.

use super::{
    body::{
        self,
        Body, //
    },
    error::{
        Fault,
        Malformed, //
    },
    format::{
        Kind,
        Type, //
    },
    frame::{
        Frame,
        Pages, //
    },
    header::Header, //
};

/// A record that was read: its checksum and its place are right, and it is as its type says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Where it is in the stream, in bytes from the magic.
    pub at: u64,
    /// Its index in the image.
    pub seq: u32,
    /// Its type.
    pub kind: Kind,
    /// Its flags.
    pub flags: u8,
    /// The structure at the start of its payload.
    pub head: &'a [u8],
    /// The rest of its payload.
    pub tail: &'a [u8],
    /// How many bytes of raw data follow.
    pub data: u64,
}

impl<'a> Record<'a> {
    /// Its structure, in the version that this reader knows.
    ///
    /// # Errors
    ///
    /// The record is of another type ([`Malformed::Expected`]), its structure is too short
    /// ([`Malformed::ShortHead`]), or has fields that are unknown and not zero
    /// ([`Malformed::UnknownFields`]).
    pub fn body<T: Body>(&self) -> Result<T, Fault> {
        self.decode().map_err(|what| self.fault(what))
    }

    fn decode<T: Body>(&self) -> Result<T, Malformed> {
        if self.kind != Kind::Known(T::TYPE) {
            return Err(Malformed::Expected(T::TYPE, self.kind));
        }
        let body = body::known(self.head)?;
        body::nothing_else::<T>(self.head)?;
        Ok(body)
    }

    /// Its tail as a text; the empty one if the type has another kind of tail.
    pub fn text(&self) -> &'a str {
        core::str::from_utf8(self.tail).unwrap_or_default()
    }

    /// Where the pages belong that follow it.
    ///
    /// # Errors
    ///
    /// As [`Record::body`], and the memory is of no object ([`Malformed::NoObject`]), of a kind
    /// that is not known ([`Malformed::Memory`]), or not whole pages ([`Malformed::FrameSize`],
    /// [`Malformed::FramePosition`]).
    pub fn frame(&self, header: &Header) -> Result<Frame, Fault> {
        let frame = |pages: Pages| pages.frame(header.page_shift.get());
        self.decode()
            .and_then(frame)
            .map_err(|what| self.fault(what))
    }

    /// Whether whoever does not need it may pass over it.
    pub fn is_optional(&self) -> bool {
        self.flags & super::OPTIONAL != 0
    }

    /// Says that this record is what is wrong.
    pub const fn fault(&self, what: Malformed) -> Fault {
        Fault { at: self.at, what }
    }

    /// Whether it is one of this type.
    pub(super) fn is(&self, kind: Type) -> bool {
        self.kind == Kind::Known(kind)
    }
}
