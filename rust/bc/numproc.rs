// SPDX-License-Identifier: GPL-2.0

//! Processes and threads.
//!
//! Unlike objects they are not bound to the cgroup that made them: the count follows the task when
//! it is moved. The cgroup core keeps the cgroup of a task, so no reference is needed.

use crate::{
    cgroup::Bc,
    limits::Severity,
    resource::NUMPROC, //
};
use kernel::prelude::*;

/// A task is about to be made.
///
/// # Errors
///
/// `EAGAIN`; the refusal was reported.
pub(crate) fn fork(bc: &Bc) -> Result {
    bc.charge(NUMPROC, 1, Severity::Strict).map_err(|refusal| {
        refusal.report(bc, NUMPROC, 1);
        NUMPROC.errno
    })
}

/// A task was waited for, or could not be made after all.
pub(crate) fn exit(bc: &Bc) {
    bc.uncharge(NUMPROC, 1);
}

/// A task changes its cgroup. Policy does not stand in the way of organisation: this may exceed any
/// setting.
pub(crate) fn move_task(from: &Bc, to: &Bc) {
    // Nothing refuses a forced request.
    let _ = to.charge_apart_from(Some(from), NUMPROC, 1, Severity::Forced);
    from.uncharge_apart_from(Some(to), NUMPROC, 1);
}
