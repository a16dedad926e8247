// SPDX-License-Identifier: GPL-2.0

//! Whether a container can be saved, and what of it cannot.

use crate::{
    external::Open,
    ffi::{
        self,
        Cgroup,
        FileExt as _,
        MmExt as _,
        TaskExt,
        Vma,
        PATH_MAX, //
    },
    plan,
    tree::{
        Process,
        Tree, //
    },
    why::Why, //
};
use kernel::{
    cred::Credential,
    fs::File,
    mm::MmWithUser,
    prelude::*,
    task::Task, //
};

/// When it is looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// The processes run.
    Running,
    /// They are frozen until the image was read.
    Frozen,
    /// They are frozen, and go on before their memory is saved.
    Snapshot,
}

/// Looks at all processes, and says of each object that cannot be saved which it is and why.
///
/// # Errors
///
/// `EOPNOTSUPP` if there is one, `EPERM` if the caller may not look.
pub(crate) fn check(
    cgroup: &Cgroup,
    tree: &Tree,
    open: &Open<'_>,
    when: When,
    why: &mut Why,
) -> Result {
    let mut check = Check {
        buffer: KVec::from_elem(0, PATH_MAX, GFP_KERNEL)?,
        open,
        filters: KVVec::new(),
        spaces: KVVec::new(),
        tables: KVVec::new(),
        places: KVVec::new(),
        pipes: pipes(tree, open, when)?,
        when,
        refused: false,
        why,
    };
    let Some(first) = tree.iter().find_map(Process::thread) else {
        check.why.say(fmt!("the cgroup has no tasks"));
        return Err(ESRCH);
    };
    check.pid_namespace(tree, first);
    for process in tree.iter() {
        let pid = process.state.pid;
        if process.strays > 0 {
            check.refuse(fmt!("pid {pid}: a child outside of the container"));
        }
        for (nr, thread) in process.threads.iter().enumerate() {
            if !cgroup.has(thread) {
                check.refuse(fmt!("pid {}: a cgroup below", thread.tid()));
            }
            if thread.clocks_differ(first) {
                check.refuse(fmt!("pid {}: a time namespace of its own", thread.tid()));
            }
            check.thread(thread, nr == 0)?;
        }
        check.space(tree, process)?;
    }
    check.groups(tree, first, false)?;
    check.groups(tree, first, true)?;
    check.shared();
    match check.refused {
        true => Err(EOPNOTSUPP),
        false => Ok(()),
    }
}

/// Something that several tasks, or files, can have.
struct Common {
    /// Tells it from all others.
    key: usize,
    /// A task that has it.
    tid: i32,
    /// How many have it.
    users: u32,
    /// How many of them were seen.
    seen: u32,
}

/// Takes in that one more has it; whether it is the first.
///
/// # Errors
///
/// `E2BIG` if there are more than an image can have, `ENOMEM`.
fn note(all: &mut KVVec<Common>, tid: i32, (key, users): (usize, u32)) -> Result<bool> {
    let full = all.len() == plan::MOST;
    match all.iter_mut().find(|known| known.key == key) {
        Some(known) => known.seen += 1,
        None if full => return Err(E2BIG),
        None => {
            let new = Common {
                key,
                tid,
                users,
                seen: 1,
            };
            all.push(new, GFP_KERNEL)?;
            return Ok(true);
        }
    }
    Ok(false)
}

/// An end of a pipe.
struct End {
    /// Its open file; who has it are descriptors.
    file: Common,
    /// The pipe, and in how many files that is open.
    pipe: (usize, u32),
}

/// The pipes of all processes; who has them is the files that nobody outside has.
///
/// # Errors
///
/// `E2BIG` if they have more ends than an image can have objects, `EINTR` if the caller is killed,
/// `ENOMEM`.
fn pipes(tree: &Tree, open: &Open<'_>, when: When) -> Result<KVVec<Common>> {
    let (mut tables, mut pipes) = (KVVec::new(), KVVec::new());
    let mut ends: KVVec<End> = KVVec::new();
    for thread in tree.iter().flat_map(|process| &process.threads) {
        if !note(&mut tables, 0, thread.files_key())? {
            continue;
        }
        let mut from = 0;
        while let Some((fd, _, file)) = thread.file(from) {
            from = fd + 1;
            let Some(pipe) = file.pipe_key().filter(|_| open.name(&file).is_none()) else {
                continue;
            };
            if kernel::current!().is_killed() {
                return Err(EINTR);
            }
            let full = ends.len() == plan::MOST;
            match ends.iter_mut().find(|end| end.file.key == file.key()) {
                Some(end) => end.file.seen += 1,
                None if full => return Err(E2BIG),
                None => {
                    let file = Common {
                        key: file.key(),
                        tid: thread.tid(),
                        // One is ours.
                        users: file.references().saturating_sub(1),
                        seen: 1,
                    };
                    ends.push(End { file, pipe }, GFP_KERNEL)?;
                }
            }
        }
    }
    for End { file, pipe } in &ends {
        // Who runs may be within a call, which is one more that has it.
        if when == When::Running || file.users <= file.seen {
            note(&mut pipes, file.tid, *pipe)?;
        }
    }
    Ok(pipes)
}

struct Check<'a> {
    buffer: KVec<u8>,
    /// What is not saved.
    open: &'a Open<'a>,
    /// Filters of system calls.
    filters: KVVec<Common>,
    /// Address spaces, and how many processes have them.
    spaces: KVVec<Common>,
    /// Tables of open files.
    tables: KVVec<Common>,
    /// Places in the file system.
    places: KVVec<Common>,
    /// Pipes, and in how many files they are open.
    pipes: KVVec<Common>,
    when: When,
    refused: bool,
    why: &'a mut Why,
}

impl Check<'_> {
    fn refuse(&mut self, what: core::fmt::Arguments<'_>) {
        self.why.say(what);
        self.refused = true;
    }

    /// Unless it is the caller's, a pid namespace is saved as a whole.
    fn pid_namespace(&mut self, tree: &Tree, first: &Task) {
        if first.has_pidns_of_caller() {
            return;
        }
        if !tree.iter().any(|process| ffi::is_init(&process.state)) {
            self.refuse(fmt!("a pid namespace whose init is outside"));
        }
        if first.pidns_differs() {
            self.refuse(fmt!(
                "settings of a pid namespace that a new one does not have"
            ));
        }
        for process in tree.iter() {
            if process.parent.is_none() && !ffi::is_init(&process.state) {
                let pid = process.state.pid;
                self.refuse(fmt!(
                    "pid {pid}: it came into its pid namespace from outside"
                ));
            }
        }
    }

    fn thread(&mut self, task: &Task, first: bool) -> Result {
        let tid = task.tid();
        if let Err(error) = task.may() {
            self.why.say(fmt!("pid {tid}: no right to see all of it"));
            return Err(error);
        }
        let mut from = 0;
        while let Some(what) = task.refusal(first, &mut from) {
            self.refuse(fmt!("pid {tid}: {what}"));
        }
        self.seccomp(task)?;
        if task.restart().is_err() {
            self.refuse(fmt!("pid {tid}: a system call that waits"));
        }
        let cred = task.cred();
        if note(&mut self.tables, tid, task.files_key())? {
            let mut fd = 0;
            while let Some((found, _, file)) = task.file(fd) {
                self.file(&file, &cred, fmt!("pid {tid} fd {found}"));
                fd = found + 1;
            }
        }
        if note(&mut self.places, tid, task.fs_key())? {
            match task.cwd() {
                Ok((cwd, _)) => {
                    self.file(&cwd, &cred, fmt!("pid {tid} working directory"));
                }
                Err(error) => {
                    self.refuse(fmt!("pid {tid}: another root directory ({error:?})"));
                }
            }
        }
        Ok(())
    }

    fn seccomp(&mut self, task: &Task) -> Result {
        let tid = task.tid();
        match task.seccomp() {
            0 | ffi::SECCOMP_STRICT => return Ok(()),
            ffi::SECCOMP_FILTER => {}
            _ => {
                self.refuse(fmt!("pid {tid}: seccomp, which has ended it"));
                return Ok(());
            }
        }
        for newer in 0.. {
            match task.seccomp_filter(newer, &mut []) {
                Ok(filter) => {
                    // CAST: An address.
                    if !note(&mut self.filters, tid, (filter.key as usize, 0))? {
                        break;
                    }
                    if filter.listener {
                        self.refuse(fmt!("pid {tid}: a filter of seccomp with a listener"));
                    }
                }
                Err(error) if error == ENOENT => break,
                // One that has ended is not saved.
                Err(error) if error == ESRCH => break,
                Err(error) => {
                    self.refuse(fmt!("pid {tid}: a filter of seccomp ({error:?})"));
                    break;
                }
            }
        }
        Ok(())
    }

    /// Process groups, or sessions, that processes outside are in.
    fn groups(&mut self, tree: &Tree, of: &Task, session: bool) -> Result {
        let mut numbers = KVVec::with_capacity(tree.len(), GFP_KERNEL)?;
        for process in tree.iter() {
            let number = match session {
                true => process.state.session,
                false => process.state.pgrp,
            };
            numbers.push(number, GFP_KERNEL)?;
        }
        numbers.sort_unstable();
        for same in numbers.chunk_by(|number, next| number == next) {
            let number = same.first().copied().unwrap_or(0);
            let what = match session {
                true => "session",
                false => "process group",
            };
            if number == 0 {
                self.refuse(fmt!("a {what} of another pid namespace"));
            } else if ffi::members(of, number, session)? != same.len() {
                self.refuse(fmt!("{what} {number}: a process outside is in it"));
            }
        }
        Ok(())
    }

    /// Tables and places that tasks outside have, too.
    fn shared(&mut self) {
        let all = [
            (
                &self.spaces,
                "an address space that a process outside has, too",
            ),
            (
                &self.tables,
                "a table of open files that a process outside has, too",
            ),
            (
                &self.places,
                "a working directory that a process outside shares",
            ),
        ];
        for (all, what) in all {
            for common in all.iter().filter(|common| common.users > common.seen) {
                self.why.say(fmt!("pid {}: {what}", common.tid));
                self.refused = true;
            }
        }
    }

    /// The address space of a process: its own, or that of its parent.
    fn space(&mut self, tree: &Tree, process: &Process) -> Result {
        let pid = process.state.pid;
        let Some(thread) = process.thread() else {
            return Ok(());
        };
        let (key, users) = thread.mm_key();
        if note(&mut self.spaces, pid, (key, users))? {
            return match TaskExt::mm(thread) {
                Some(mm) => self.mm(pid, &mm, &thread.cred()),
                None => Ok(()),
            };
        }
        let parent = process.parent.and_then(|parent| tree.get(parent)?.thread());
        if parent.is_none_or(|parent| parent.mm_key().0 != key) {
            self.refuse(fmt!(
                "pid {pid}: an address space that it shares with others than its parent"
            ));
        }
        Ok(())
    }

    fn mm(&mut self, pid: i32, mm: &MmWithUser, cred: &Credential) -> Result {
        if let Some(exe) = mm.exe() {
            self.file(&exe, cred, fmt!("pid {pid} executable"));
            if exe.deleted_key().is_some() {
                self.refuse(fmt!("pid {pid}: a deleted executable"));
            }
        }
        let mut from = 0;
        while let Some((vma, refusal)) = mm.vma(from)? {
            from = vma.end;
            let at = vma.start;
            if let Some(what) = refusal {
                self.refuse(fmt!("pid {pid} memory at {at:#x}: {what}"));
            } else if vma.flags & Vma::LOCKED != 0 && mm.guard(&vma, &mut { at })?.is_some() {
                self.refuse(fmt!(
                    "pid {pid} memory at {at:#x}: guard pages in locked memory"
                ));
            } else if self.when == When::Snapshot && vma.is_lost_to_children() {
                self.refuse(fmt!(
                    "pid {pid} memory at {at:#x}: a snapshot has only what a child would get"
                ));
            } else if let (Some(file), true) = (&vma.file, vma.has_name()) {
                self.file(file, cred, fmt!("pid {pid} memory at {at:#x}"));
            }
        }
        Ok(())
    }

    fn file(&mut self, file: &File, owner: &Credential, place: core::fmt::Arguments<'_>) {
        if self.open.name(file).is_some() {
            return;
        }
        let path = file.path(&mut self.buffer).unwrap_or(b"?");
        let what = match (file.refusal(owner), file.pipe_key()) {
            (Some(what), _) => what,
            (None, Some((key, _))) => {
                let of = |pipe: &Common| pipe.key == key && pipe.users == pipe.seen;
                if self.pipes.iter().any(of) {
                    return;
                }
                "a pipe that is open outside, too"
            }
            (None, None) => return,
        };
        let path = core::str::from_utf8(path).unwrap_or("?");
        self.why.say(fmt!("{place}: {what} ({path})"));
        self.refused = true;
    }
}
