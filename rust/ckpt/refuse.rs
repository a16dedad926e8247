// SPDX-License-Identifier: GPL-2.0

//! Whether a container can be saved, and what of it cannot.

use crate::{
    external::Open,
    ffi::{
        Cgroup,
        FileExt as _,
        MmExt as _,
        TaskExt as _,
        PATH_MAX, //
    },
    why::Why, //
};
use kernel::{
    fs::File,
    mm::MmWithUser,
    prelude::*,
    sync::aref::ARef,
    task::Task, //
};

/// Looks at all tasks, and says of each object that cannot be saved which it is and why.
///
/// # Errors
///
/// `EOPNOTSUPP` if there is one, `EPERM` if the caller may not look.
pub(crate) fn check(
    cgroup: &Cgroup,
    tasks: &[ARef<Task>],
    open: &Open<'_>,
    why: &mut Why,
) -> Result {
    let mut check = Check {
        buffer: KVec::from_elem(0, PATH_MAX, GFP_KERNEL)?,
        open,
        refused: false,
        why,
    };
    let Some(first) = tasks.first() else {
        check.why.say(fmt!("the cgroup has no tasks"));
        return Err(ESRCH);
    };
    for task in tasks {
        let pid = task.ids().pid;
        if !cgroup.has(task) {
            check.why.say(fmt!("pid {pid}: a cgroup below"));
            check.refused = true;
        }
        if task.clocks_differ(first) {
            check
                .why
                .say(fmt!("pid {pid}: a time namespace of its own"));
            check.refused = true;
        }
        let children = tasks.iter().filter(|task| task.ids().parent == pid);
        // CAST: There are few tasks.
        if task.children() > children.count() as u32 {
            check
                .why
                .say(fmt!("pid {pid}: a child outside of the container"));
            check.refused = true;
        }
        check.task(task)?;
    }
    match check.refused {
        true => Err(EOPNOTSUPP),
        false => Ok(()),
    }
}

struct Check<'a> {
    buffer: KVec<u8>,
    /// What is not saved.
    open: &'a Open<'a>,
    refused: bool,
    why: &'a mut Why,
}

impl Check<'_> {
    fn task(&mut self, task: &Task) -> Result {
        let pid = task.ids().pid;
        if let Err(error) = task.may() {
            self.why.say(fmt!("pid {pid}: no right to see all of it"));
            return Err(error);
        }
        let mut from = 0;
        while let Some(what) = task.refusal(&mut from) {
            self.why.say(fmt!("pid {pid}: {what}"));
            self.refused = true;
        }
        if task.restart().is_err() {
            self.why.say(fmt!("pid {pid}: a system call that waits"));
            self.refused = true;
        }
        let mut fd = 0;
        while let Some((found, _, file)) = task.file(fd) {
            self.file(&file, fmt!("pid {pid} fd {found}"));
            fd = found + 1;
        }
        match task.cwd() {
            Ok((cwd, _)) => self.file(&cwd, fmt!("pid {pid} working directory")),
            Err(error) => {
                self.why
                    .say(fmt!("pid {pid}: another root directory ({error:?})"));
                self.refused = true;
            }
        }
        if let Some(mm) = task.mm() {
            self.mm(pid, &mm)?;
        }
        Ok(())
    }

    fn mm(&mut self, pid: i32, mm: &MmWithUser) -> Result {
        if let Some(exe) = mm.exe() {
            self.file(&exe, fmt!("pid {pid} executable"));
            if exe.deleted_key().is_some() {
                self.why.say(fmt!("pid {pid}: a deleted executable"));
                self.refused = true;
            }
        }
        let mut from = 0;
        while let Some((vma, refusal)) = mm.vma(from)? {
            from = vma.end;
            if let Some(what) = refusal {
                self.why
                    .say(fmt!("pid {pid} memory at {:#x}: {what}", vma.start));
                self.refused = true;
            } else if let (Some(file), true) = (&vma.file, vma.has_name()) {
                self.file(file, fmt!("pid {pid} memory at {:#x}", vma.start));
            }
        }
        Ok(())
    }

    fn file(&mut self, file: &File, place: core::fmt::Arguments<'_>) {
        if self.open.name(file).is_some() {
            return;
        }
        let path = file.path(&mut self.buffer).unwrap_or(b"?");
        let what = match file.refusal() {
            Some(what) => what,
            None if path.first() != Some(&b'/') => "a file outside of the root directory",
            None => return,
        };
        let path = core::str::from_utf8(path).unwrap_or("?");
        self.why.say(fmt!("{place}: {what} ({path})"));
        self.refused = true;
    }
}
