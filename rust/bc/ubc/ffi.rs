// SPDX-License-Identifier: GPL-2.0

//! The border to C; nothing else of the module names `bindings`.
//!
//! C header: [`kernel/cgroup/bc/internal.h`](srctree/kernel/cgroup/bc/internal.h)

use crate::layout::{
    self,
    File, //
};
use kernel::{
    bindings,
    prelude::*,
    seq_file::SeqFile, //
};

/// Shows what stands above all rows.
///
/// # Safety
///
/// `m` is that of a read.
#[export]
pub(crate) unsafe extern "C" fn ubc_show_header(m: *mut bindings::seq_file) {
    // SAFETY: The caller has `m` to itself.
    let m = unsafe { SeqFile::from_raw(m) };
    layout::header(|line| m.call_printf(line));
}

/// Shows the rows of a cgroup.
///
/// # Safety
///
/// `m` is that of a read, and the first `nr` rows of `report` have names.
#[export]
pub(crate) unsafe extern "C" fn ubc_show_rows(
    m: *mut bindings::seq_file,
    report: *const bindings::bc_report,
    file: bindings::ubc_file,
) {
    // SAFETY: The caller has both to itself.
    let (m, report) = unsafe { (SeqFile::from_raw(m), &*report) };
    let file = match file {
        bindings::ubc_file_UBC_USER_BEANCOUNTERS => File::UserBeancounters,
        _ => File::Resources,
    };
    let numbers = |name: &str| {
        let rows = report.rows.iter().take(report.nr as usize);
        let mut named = rows.filter(|row| {
            // SAFETY: The names are constants, and the caller says that they are there.
            let named = unsafe { CStr::from_char_ptr(row.name) };
            named.to_bytes() == name.as_bytes()
        });
        let row = named.next()?;
        Some([row.held, row.maxheld, row.barrier, row.limit, row.failcnt])
    };
    layout::rows(file, report.id, numbers, |line| m.call_printf(line));
}
