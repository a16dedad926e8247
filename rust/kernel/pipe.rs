// SPDX-License-Identifier: GPL-2.0

//! Pipes.
//!
//! C header: [`include/linux/pipe_fs_i.h`](srctree/include/linux/pipe_fs_i.h)

use crate::bindings;
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};

/// A pipe that is being filled.
///
/// # Invariants
///
/// It is locked for `'a`, and nobody else fills it meanwhile.
pub struct PipeDest<'a> {
    raw: NonNull<bindings::pipe_inode_info>,
    _locked: PhantomData<&'a mut bindings::pipe_inode_info>,
}

impl PipeDest<'_> {
    /// Takes a pipe from C.
    ///
    /// # Safety
    ///
    /// The pipe is locked for the whole lifetime of what this returns, and has only one.
    pub unsafe fn from_raw(raw: NonNull<bindings::pipe_inode_info>) -> Self {
        // INVARIANT: By the precondition.
        Self {
            raw,
            _locked: PhantomData,
        }
    }

    /// The C pipe, which is locked.
    pub fn as_raw(&mut self) -> *mut bindings::pipe_inode_info {
        self.raw.as_ptr()
    }
}
