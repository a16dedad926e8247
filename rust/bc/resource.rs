// SPDX-License-Identifier: GPL-2.0

//! The table of resources. A new one is a row here, a value of `enum bc_resource` in
//! [`include/linux/bc.h`](srctree/include/linux/bc.h), and the hooks that charge it.

use crate::{
    ffi,
    limits::UNLIMITED, //
};
use kernel::{
    error::code::{
        EAGAIN,
        ENFILE,
        ENOBUFS,
        ENOLCK,
        ENOMEM,
        ENOSPC, //
    },
    page::PAGE_SIZE,
    prelude::*, //
};

/// How many resources there are.
pub(crate) const NR: usize = ffi::NR_RESOURCES;

/// What a resource is counted in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Objects that live on their own. Each has a reference on the cgroup, also in stock.
    Object,
    /// Pages, of which something else has many, and one reference for all of them.
    Page,
    /// Pages of a buffer, which are the same, but shown and set in bytes.
    Byte,
}

/// What is particular to a resource.
pub(crate) struct Resource {
    /// Its row in [`RESOURCES`], and its index in everything that has one entry per resource.
    pub(crate) index: usize,
    /// Its name in every interface file; that of OpenVZ's user beancounters.
    pub(crate) name: &'static CStr,
    /// What a refused request returns.
    pub(crate) errno: Error,
    pub(crate) unit: Unit,
    /// How many units a CPU may have in stock; 0 for what is not charged often.
    pub(crate) stock: i32,
}

impl Resource {
    /// How users see a count or a setting; [`UNLIMITED`] stays what it is.
    pub(crate) fn shown(&self, nr: i64) -> i64 {
        match self.unit {
            Unit::Object | Unit::Page => nr,
            Unit::Byte => nr.saturating_mul(PAGE),
        }
    }

    /// What a setting is that a user has written, rounded down.
    pub(crate) fn counted(&self, written: i64) -> i64 {
        match self.unit {
            Unit::Byte if written != UNLIMITED => written / PAGE,
            _ => written,
        }
    }

    /// Whether a setting, as it is counted, has buffers of sockets counted at all.
    pub(crate) fn turns_on(&self, setting: i64) -> bool {
        self.unit == Unit::Byte && setting != UNLIMITED
    }
}

/// Bytes. CAST: It fits into everything.
const PAGE: i64 = PAGE_SIZE as i64;

const TABLE: [Resource; NR] = [
    // In the order of `enum bc_resource`.
    Resource {
        index: ffi::NUMPROC,
        name: c"numproc",
        errno: EAGAIN,
        unit: Unit::Object,
        stock: 0,
    },
    Resource {
        index: ffi::NUMFILE,
        name: c"numfile",
        errno: ENFILE,
        unit: Unit::Object,
        stock: 8,
    },
    Resource {
        index: ffi::NUMPTY,
        name: c"numpty",
        errno: ENOSPC,
        unit: Unit::Object,
        stock: 0,
    },
    Resource {
        index: ffi::NUMFLOCK,
        name: c"numflock",
        errno: ENOLCK,
        unit: Unit::Object,
        stock: 8,
    },
    Resource {
        index: ffi::NUMTCPSOCK,
        name: c"numtcpsock",
        errno: ENOMEM,
        unit: Unit::Object,
        stock: 8,
    },
    Resource {
        index: ffi::NUMOTHERSOCK,
        name: c"numothersock",
        errno: ENOMEM,
        unit: Unit::Object,
        stock: 8,
    },
    Resource {
        index: ffi::NUMSIGINFO,
        name: c"numsiginfo",
        errno: EAGAIN,
        unit: Unit::Object,
        stock: 8,
    },
    Resource {
        index: ffi::NUMIPTENT,
        name: c"numiptent",
        errno: ENOMEM,
        unit: Unit::Object,
        stock: 0,
    },
    Resource {
        index: ffi::PRIVVMPAGES,
        name: c"privvmpages",
        errno: ENOMEM,
        unit: Unit::Page,
        stock: 256,
    },
    Resource {
        index: ffi::LOCKEDPAGES,
        name: c"lockedpages",
        errno: ENOMEM,
        unit: Unit::Page,
        stock: 64,
    },
    Resource {
        index: ffi::SHMPAGES,
        name: c"shmpages",
        errno: ENOSPC,
        unit: Unit::Page,
        stock: 64,
    },
    Resource {
        index: ffi::TCPSNDBUF,
        name: c"tcpsndbuf",
        errno: ENOBUFS,
        unit: Unit::Byte,
        stock: 64,
    },
    Resource {
        index: ffi::TCPRCVBUF,
        name: c"tcprcvbuf",
        errno: ENOBUFS,
        unit: Unit::Byte,
        stock: 64,
    },
    Resource {
        index: ffi::DGRAMRCVBUF,
        name: c"dgramrcvbuf",
        errno: ENOBUFS,
        unit: Unit::Byte,
        stock: 64,
    },
];

/// All resources, in the order in which the interface files show them.
pub(crate) static RESOURCES: [Resource; NR] = TABLE;

/// Processes and threads, until they were waited for.
pub(crate) static NUMPROC: &Resource = &RESOURCES[ffi::NUMPROC];

/// What may become private memory.
pub(crate) static PRIVVMPAGES: &Resource = &RESOURCES[ffi::PRIVVMPAGES];

/// Shared memory.
pub(crate) static SHMPAGES: &Resource = &RESOURCES[ffi::SHMPAGES];

// Rows stand at their index.
const _: () = {
    let mut row = 0;
    while row < NR {
        assert!(TABLE[row].index == row);
        row += 1;
    }
};
