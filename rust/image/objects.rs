// SPDX-License-Identifier: GPL-2.0

//! Objects that several records speak of: address spaces, open files, namespaces.
//!
//! The records that define objects number them from one, without gaps, in the order of the stream,
//! and an object is defined before a record refers to it. So a table that grows by one entry per
//! definition is all that is needed to resolve numbers, and no reference can be circular.

use core::fmt;

use zerocopy::little_endian::U32;
use zerocopy_derive::{
    FromBytes,
    Immutable,
    IntoBytes, //
};

use super::error::Malformed;

/// The number of an object in an image, as it is stored.
#[derive(Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
#[repr(transparent)]
pub struct ObjectId(U32);

impl ObjectId {
    /// The number of no object, where one may be missing.
    pub const NONE: Self = Self(U32::ZERO);

    /// The object of this number.
    pub const fn new(number: u32) -> Self {
        Self(U32::new(number))
    }

    /// Its number.
    pub const fn number(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.number())
    }
}

/// The objects that were defined so far, each with its `K`ind, in memory of the caller.
///
/// An index that it returns is below the number of definitions, and thus fits a table of what was
/// made of the objects.
#[derive(Debug)]
pub struct Objects<'a, K> {
    /// The first `defined` are `Some`.
    kinds: &'a mut [Option<K>],
    defined: u32,
}

impl<'a, K: Copy + PartialEq> Objects<'a, K> {
    /// No objects yet, and never more than `kinds` has room for.
    pub fn new(kinds: &'a mut [Option<K>]) -> Self {
        Self { kinds, defined: 0 }
    }

    /// How many there are.
    pub fn defined(&self) -> u32 {
        self.defined
    }

    /// Takes in the object that a record defines, and returns its index.
    ///
    /// # Errors
    ///
    /// [`Malformed::ObjectOrder`] if `id` is not the next one, [`Malformed::TooManyObjects`] if
    /// there is no room.
    pub fn define(&mut self, id: ObjectId, kind: K) -> Result<usize, Malformed> {
        let next = self.defined.checked_add(1);
        if next != Some(id.number()) {
            return Err(Malformed::ObjectOrder(id.number()));
        }
        // CAST: `usize` is at least 32 bits.
        let index = self.defined as usize;
        let room = self.kinds.get_mut(index);
        *room.ok_or(Malformed::TooManyObjects(self.defined))? = Some(kind);
        self.defined = id.number();
        Ok(index)
    }

    /// The index of an object that a record refers to, which must be a `kind`.
    ///
    /// # Errors
    ///
    /// [`Malformed::NoObject`] if it was not defined yet, [`Malformed::ObjectKind`] if it is
    /// something else.
    pub fn resolve(&self, id: ObjectId, kind: K) -> Result<usize, Malformed> {
        let missing = Malformed::NoObject(id.number());
        // CAST: `usize` is at least 32 bits.
        let index = id.number().checked_sub(1).ok_or(missing)? as usize;
        match self
            .kinds
            .get(index)
            .filter(|_| id.number() <= self.defined)
        {
            Some(Some(found)) if *found == kind => Ok(index),
            Some(Some(_)) => Err(Malformed::ObjectKind(id.number())),
            _ => Err(missing),
        }
    }
}
