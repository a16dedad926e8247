// SPDX-License-Identifier: GPL-2.0

//! The structures in records, and how they grow.
//!
//! A structure only ever grows at its end, as those of extensible system calls do: what an old
//! reader does not know must be zero, and zero must mean what there was before the field.

use core::mem::size_of;

use zerocopy::{
    FromBytes,
    Immutable,
    IntoBytes, //
};

use super::{
    error::Malformed,
    format::{
        Type,
        ALIGN,
        MAX_HEAD, //
    }, //
};

/// The structure at the start of the payload of a type of records.
///
/// Its fields are of [`zerocopy::little_endian`], or bytes, and there is no padding between them.
pub trait Body: FromBytes + IntoBytes + Immutable {
    /// The type of the records.
    const TYPE: Type;

    /// The size of the structure in the first version of the format that had it, in bytes.
    const FIRST: usize;
}

/// The size of the structure in the units of the header of a record.
pub(super) const fn units<T: Body>() -> u8 {
    const {
        assert!(size_of::<T>() % ALIGN == 0 && size_of::<T>() <= MAX_HEAD);
    }
    // CAST: `MAX_HEAD` is what fits.
    (size_of::<T>() / ALIGN) as u8
}

/// The known fields of the structure in `head`, zero where an older writer had none.
///
/// # Errors
///
/// [`Malformed::ShortHead`] if not even the first version of the structure is there.
pub(super) fn known<T: Body>(head: &[u8]) -> Result<T, Malformed> {
    const {
        assert!(T::FIRST % ALIGN == 0 && T::FIRST <= size_of::<T>());
    }
    if head.len() < T::FIRST {
        return Err(Malformed::ShortHead(T::TYPE));
    }
    let mut body = T::new_zeroed();
    for (to, from) in body.as_mut_bytes().iter_mut().zip(head) {
        *to = *from;
    }
    Ok(body)
}

/// Checks that nothing stands in `head` beyond the fields that are known.
///
/// # Errors
///
/// [`Malformed::UnknownFields`] if a newer writer used one of its own.
pub(super) fn nothing_else<T: Body>(head: &[u8]) -> Result<(), Malformed> {
    if head.iter().skip(size_of::<T>()).any(|byte| *byte != 0) {
        return Err(Malformed::UnknownFields(T::TYPE));
    }
    Ok(())
}
