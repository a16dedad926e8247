// SPDX-License-Identifier: GPL-2.0

//! The table of resources. A new one is a row here, a value of `enum bc_resource` in
//! [`include/linux/bc.h`](srctree/include/linux/bc.h), and the hooks that charge it.

use crate::ffi;
use kernel::{
    error::code::{
        EAGAIN,
        ENFILE,
        ENOLCK,
        ENOMEM,
        ENOSPC, //
    },
    prelude::*, //
};

/// How many resources there are.
pub(crate) const NR: usize = ffi::NR_RESOURCES;

/// What is particular to a resource.
pub(crate) struct Resource {
    /// Its row in [`RESOURCES`], and its index in everything that has one entry per resource.
    pub(crate) index: usize,
    /// Its name in every interface file; that of OpenVZ's user beancounters.
    pub(crate) name: &'static CStr,
    /// What a refused request returns.
    pub(crate) errno: Error,
    /// How many units a CPU may have in stock; 0 for what is not charged often.
    pub(crate) stock: i32,
}

const TABLE: [Resource; NR] = [
    // In the order of `enum bc_resource`.
    Resource {
        index: ffi::NUMPROC,
        name: c"numproc",
        errno: EAGAIN,
        stock: 0,
    },
    Resource {
        index: ffi::NUMFILE,
        name: c"numfile",
        errno: ENFILE,
        stock: 8,
    },
    Resource {
        index: ffi::NUMPTY,
        name: c"numpty",
        errno: ENOSPC,
        stock: 0,
    },
    Resource {
        index: ffi::NUMFLOCK,
        name: c"numflock",
        errno: ENOLCK,
        stock: 8,
    },
    Resource {
        index: ffi::NUMTCPSOCK,
        name: c"numtcpsock",
        errno: ENOMEM,
        stock: 8,
    },
    Resource {
        index: ffi::NUMOTHERSOCK,
        name: c"numothersock",
        errno: ENOMEM,
        stock: 8,
    },
    Resource {
        index: ffi::NUMSIGINFO,
        name: c"numsiginfo",
        errno: EAGAIN,
        stock: 8,
    },
    Resource {
        index: ffi::NUMIPTENT,
        name: c"numiptent",
        errno: ENOMEM,
        stock: 0,
    },
];

/// All resources, in the order in which the interface files show them.
pub(crate) static RESOURCES: [Resource; NR] = TABLE;

/// Processes and threads, until they were waited for.
pub(crate) static NUMPROC: &Resource = &RESOURCES[ffi::NUMPROC];

// Rows stand at their index.
const _: () = {
    let mut row = 0;
    while row < NR {
        assert!(TABLE[row].index == row);
        row += 1;
    }
};
