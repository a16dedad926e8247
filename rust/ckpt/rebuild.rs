// SPDX-License-Identifier: GPL-2.0

//! What a task that is being restored does with itself, in the kernel, before it runs.

use crate::{
    ffi::{
        current,
        Vma, //
    },
    restore::Restore, //
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// Who a new task is.
pub(crate) struct Rebuild {
    /// What is restored.
    pub(crate) restore: Arc<Restore>,
    /// The index of the task.
    pub(crate) index: usize,
}

/// Rebuilds the current task, which is new: children first, as long as there is little to inherit
/// but the session and the clocks; then memory, files, and what depends on them; signals last.
///
/// # Errors
///
/// Whatever fails.
pub(crate) fn rebuild(what: &Rebuild) -> Result {
    let restore = &what.restore;
    let plan = &restore.plan;
    let task = plan.tasks.get(what.index).ok_or(EINVAL)?;

    current::close_files()?;
    if task.ids.session == task.ids.pid {
        current::lead()?;
    }
    if let (None, Some(clocks)) = (task.parent, &plan.clocks) {
        current::set_clocks(clocks)?;
    }
    for (index, child) in plan.tasks.iter().enumerate() {
        if child.parent != Some(what.index) {
            continue;
        }
        let rebuild = Rebuild {
            restore: restore.clone(),
            index,
        };
        child.parking.spawn(rebuild, child.ids.pid, None)?;
    }

    current::set_rlimits(&task.rlimits)?;
    current::renew_mm()?;
    current::set_ids(&task.ids)?;

    let mm = plan.mms.get(task.mm).ok_or(EINVAL)?;
    for vma in &mm.vmas {
        let file = match vma.object {
            Some(object) => Some(restore.file(object)?.into()),
            None => None,
        };
        Vma {
            start: vma.start,
            end: vma.end,
            offset: vma.offset,
            kind: vma.kind,
            flags: vma.flags,
            file,
            guarded: false,
            name: vma.name,
        }
        .map()?;
    }
    for (start, end) in &mm.guards {
        current::set_guard(*start, *end)?;
    }
    let exe = match mm.exe {
        Some(exe) => Some(restore.file(exe)?),
        None => None,
    };
    current::set_layout(&mm.layout, &mm.auxv, exe)?;

    for (fd, cloexec, object) in &task.fds {
        current::install(*fd, restore.file(*object)?, *cloexec)?;
    }
    let (cwd, umask) = task.fs.ok_or(EINVAL)?;
    current::set_fs(restore.file(cwd)?, umask)?;
    current::set_thread(&task.thread)?;
    current::set_signals(&task.signals, &task.actions)
}
