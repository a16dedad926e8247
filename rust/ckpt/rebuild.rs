// SPDX-License-Identifier: GPL-2.0

//! What a task that is being restored does with itself, in the kernel, before it runs.

use crate::{
    ffi::{
        current,
        Parking,
        Shares,
        Vma,
        SECCOMP_STRICT, //
    },
    plan::{
        self,
        Life,
        Mm,
        Object,
        Process, //
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
    /// The index of the thread.
    pub(crate) index: usize,
}

/// Rebuilds the current task, which is new.
///
/// # Errors
///
/// Whatever fails.
pub(crate) fn rebuild(what: &Rebuild) -> Result {
    let plan = &what.restore.plan;
    let thread = plan.threads.get(what.index).ok_or(EINVAL)?;
    let process = plan.processes.get(thread.process).ok_or(EINVAL)?;
    if process.threads.start == what.index {
        leader(what, process)?;
    }
    match &thread.life {
        Some(life) => live(what, life),
        None => {
            current::set_name(&thread.comm);
            Ok(())
        }
    }
}

/// What the first thread of a process does: children first, as long as there is little to inherit
/// but the clocks; then what all threads have, memory last; then children that share that, and the
/// other threads.
fn leader(what: &Rebuild, process: &Process) -> Result {
    let restore = &what.restore;
    let plan = &restore.plan;

    current::close_files()?;
    if what.index == 0 {
        // Whoever else is made inherits that.
        current::leave()?;
    }
    if let (0, Some(clocks)) = (what.index, &plan.clocks) {
        current::set_clocks(clocks)?;
    }
    current::set_process(&process.state)?;
    let thread = plan.threads.get(what.index).ok_or(EINVAL)?;
    // Before others are made, which inherit it: they stay of one session.
    if let Some(life) = &thread.life {
        current::set_login(life.settings.login)?;
    }
    for (index, other) in plan.processes.iter().enumerate() {
        // The first one makes those, too, whose parent is that of all.
        let sibling = thread.process == 0 && index != 0 && other.parent.is_none();
        let child = other.parent == Some(thread.process) && !other.shares(process);
        if child || sibling {
            let shares = Shares {
                parent: sibling,
                ..Shares::default()
            };
            what.spawn(other.threads.start, shares)?;
        }
    }

    let (Some(mm), Some(rlimits)) = (process.mm, &process.rlimits) else {
        return Ok(());
    };
    current::raise_rlimits(rlimits)?;
    let mm = plan.mms.get(mm).ok_or(EINVAL)?;
    if mm.owner == Some(thread.process) {
        memory(restore, mm, &thread.parking)?;
    }
    for other in &plan.processes {
        if other.parent == Some(thread.process) && other.shares(process) {
            let shares = Shares {
                memory: true,
                ..Shares::default()
            };
            what.spawn(other.threads.start, shares)?;
        }
    }
    thread.parking.mapped();
    if let Some(actions) = &process.actions {
        current::set_actions(actions)?;
    }

    // What the first thread has, and others share, they get from the start.
    if let Some(life) = &thread.life {
        what.files(life)?;
        what.fs(life)?;
    }
    for index in process.threads.clone().skip(1) {
        let mut shares = Shares {
            process: true,
            ..Shares::default()
        };
        let other = plan
            .threads
            .get(index)
            .and_then(|thread| thread.life.as_ref());
        if let (Some(life), Some(other)) = (&thread.life, other) {
            shares.files = life.files == other.files;
            shares.fs = life.fs == other.fs;
        }
        what.spawn(index, shares)?;
    }
    if let Some(timers) = &process.itimers {
        current::set_itimers(timers)?;
    }
    for timer in &process.timers {
        current::add_timer(timer)?;
    }
    // Nobody can be made by who has signals that wait.
    for info in &process.pending {
        current::add_pending(true, info)?;
    }
    Ok(())
}

/// Fills the address space, which is empty, or takes a copy, of which only what is inherited stays.
fn memory(restore: &Restore, mm: &Mm, parking: &Parking) -> Result {
    if let Some(origin) = mm.origin {
        let origin = restore.plan.mms.get(origin).ok_or(EINVAL)?;
        current::fork_mm(parking.origin()?)?;
        let inherited = mm.vmas.iter().filter(|vma| vma.inherited);
        let mut at = 0;
        for vma in inherited {
            current::unmap(at, vma.start)?;
            at = vma.end;
        }
        current::unmap(at, u64::MAX)?;
        for (start, end) in &origin.guards {
            let vmas = mm.vmas_from(*start).take_while(|vma| vma.start < *end);
            for vma in vmas.filter(|vma| vma.inherited) {
                current::unset_guard(vma.start.max(*start), vma.end.min(*end))?;
            }
        }
    }
    for vma in mm.vmas.iter().filter(|vma| !vma.inherited) {
        map(restore, vma)?;
    }
    for (start, end) in &mm.guards {
        current::set_guard(*start, *end)?;
    }
    let exe = match mm.exe {
        Some(exe) => Some(restore.file(exe)?),
        None => None,
    };
    current::set_layout(&mm.layout, &mm.auxv, exe)
}

/// Makes a mapping.
fn map(restore: &Restore, vma: &plan::Vma) -> Result {
    Vma {
        start: vma.start,
        end: vma.end,
        offset: vma.offset,
        kind: vma.kind,
        flags: vma.flags,
        file: match vma.object {
            Some(object) => Some(restore.file(object)?.into()),
            None => None,
        },
        guarded: false,
        family: 0,
        name: vma.name,
    }
    .map()
}

/// What a thread has for itself; signals last.
fn live(what: &Rebuild, life: &Life) -> Result {
    let plan = &what.restore.plan;
    let thread = plan.threads.get(what.index).ok_or(EINVAL)?;
    let process = plan.processes.get(thread.process).ok_or(EINVAL)?;
    if process.threads.start != what.index {
        let first = plan.threads.get(process.threads.start);
        let first = first.and_then(|first| first.life.as_ref());
        if first.is_none_or(|first| first.files != life.files) {
            current::close_files()?;
            what.files(life)?;
        }
        if first.is_none_or(|first| first.fs != life.fs) {
            what.fs(life)?;
        }
        // The first thread has done that before it made others.
        current::set_login(life.settings.login)?;
    }
    current::register(&life.registered)?;
    current::set_scheduling(&life.settings)?;
    current::set_affinity(&life.affinity)?;
    what.seccomp(life)?;
    // All that takes rights is done by now. This resets some of the settings.
    if let Some(Object::Cred(cred, groups)) = plan.objects.get(life.cred) {
        current::set_cred(cred, groups)?;
    }
    current::set_dumpable(process.state.dumpable);
    current::set_settings(&life.settings)?;
    for info in &life.pending {
        current::add_pending(false, info)?;
    }
    current::set_mask(&life.mask)
}

impl Rebuild {
    /// Makes another thread.
    fn spawn(&self, index: usize, shares: Shares) -> Result {
        let thread = self.restore.plan.threads.get(index).ok_or(EINVAL)?;
        let rebuild = Rebuild {
            restore: self.restore.clone(),
            index,
        };
        thread.parking.spawn(rebuild, thread.tid, None, shares)
    }

    /// Takes the descriptors that a thread has, from the one that owns them unless it is this one.
    /// Nobody waits for a later thread, so that all come to an end.
    fn files(&self, life: &Life) -> Result {
        let plan = &self.restore.plan;
        let files = plan.files.get(life.files).ok_or(EINVAL)?;
        match files.owner {
            Some(owner) if owner != self.index => {
                let owner = plan.threads.get(owner).ok_or(EINVAL)?;
                current::share_files(&*owner.parking.parked()?)
            }
            _ => files.fds.iter().try_for_each(|(fd, cloexec, object)| {
                current::install(*fd, self.restore.file(*object)?, *cloexec)
            }),
        }
    }

    /// Takes the filters of system calls: what an earlier thread has, too, from that one.
    fn seccomp(&self, life: &Life) -> Result {
        let plan = &self.restore.plan;
        if life.seccomp == SECCOMP_STRICT {
            return current::set_strict();
        }
        let mut own = KVec::new();
        let mut next = life.filter;
        while let Some(Object::Filter(filter)) = next.and_then(|index| plan.objects.get(index)) {
            if let Some(owner) = filter.owner.filter(|owner| *owner != self.index) {
                let owner = plan.threads.get(owner).ok_or(EINVAL)?;
                current::share_filters(&*owner.parking.parked()?, filter.depth)?;
                break;
            }
            own.push(filter, GFP_KERNEL)?;
            next = filter.older;
        }
        // The oldest first.
        own.iter()
            .rev()
            .try_for_each(|filter| current::add_filter(filter.flags, &filter.insns))
    }

    /// Goes where a thread is in the file system, likewise.
    fn fs(&self, life: &Life) -> Result {
        let plan = &self.restore.plan;
        let Some(Object::Fs(fs)) = plan.objects.get(life.fs) else {
            return Err(EINVAL);
        };
        match fs.owner {
            Some(owner) if owner != self.index => {
                let owner = plan.threads.get(owner).ok_or(EINVAL)?;
                current::share_fs(&*owner.parking.parked()?)
            }
            _ => current::set_fs(self.restore.file(fs.cwd)?, fs.umask),
        }
    }
}
