// SPDX-License-Identifier: GPL-2.0

//! The metadata of an image: everything but the content of memory, which is listed.

use crate::{
    external::Open,
    ffi::{
        self,
        FileExt as _,
        MmExt,
        TaskExt as _,
        ARCH,
        PAGE_SHIFT,
        PATH_MAX, //
    },
    image::{
        self,
        record_size,
        Body,
        Header,
        ObjectId,
        Writer, //
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

/// The most that a set of registers, or the auxiliary vector, has in bytes.
const SCRATCH: usize = 32 << 10;

/// Memory whose content is to be saved.
pub(crate) enum Memory {
    /// What is private in an address space, in these ranges of addresses.
    Private {
        /// The address space.
        mm: ARef<MmWithUser>,
        /// Its object.
        object: ObjectId,
        /// The first address of each mapping, and the one behind its last.
        ranges: KVec<(u64, u64)>,
    },
    /// All of shared memory, or of a deleted file.
    Shared {
        /// What to read it from; its position is moved.
        file: ARef<File>,
        /// Its object.
        object: ObjectId,
    },
}

/// What was saved so far.
pub(crate) struct Saved {
    /// Goes on with the image.
    pub(crate) writer: Writer,
    /// The records.
    pub(crate) bytes: KVVec<u8>,
    /// The content that is still to be saved.
    pub(crate) memory: KVec<Memory>,
}

/// Saves tasks that were checked, and are at rest.
///
/// # Errors
///
/// `ENOMEM`, and `EAGAIN` if one of them has gone meanwhile.
pub(crate) fn save(tasks: &[ARef<Task>], open: &Open<'_>, why: &mut Why) -> Result<Saved> {
    let mut save = Save {
        saved: Saved::new()?,
        open,
        known: KVec::new(),
        scratch: KVVec::from_elem(0, SCRATCH, GFP_KERNEL)?,
    };
    save.saved
        .put(&image::Release {}, &[ffi::release().as_bytes()])?;
    save.saved
        .put(&image::Identity { uuid: ffi::uuid() }, &[])?;
    let order = order(tasks, why)?;
    let clocks = tasks.first().ok_or(ESRCH)?.clocks();
    // CAST: Clocks start at zero.
    let body = image::Clocks {
        monotonic: (clocks.monotonic as u64).into(),
        boottime: (clocks.boottime as u64).into(),
    };
    save.saved.put(&body, &[])?;
    for (at, (index, parent)) in order.iter().enumerate() {
        let task = tasks.get(*index).ok_or(EINVAL)?;
        // CAST: There are few tasks.
        save.task(task, at as u32 + 1, *parent)?;
    }
    Ok(save.saved)
}

/// The indices of tasks, parents first, each with the number of its parent, or zero.
fn order(tasks: &[ARef<Task>], why: &mut Why) -> Result<KVec<(usize, u32)>> {
    let mut ids = KVec::with_capacity(tasks.len(), GFP_KERNEL)?;
    for task in tasks {
        ids.push(task.ids(), GFP_KERNEL)?;
    }
    let mut order: KVec<(usize, u32)> = KVec::with_capacity(tasks.len(), GFP_KERNEL)?;
    for (index, task) in ids.iter().enumerate() {
        if ids.iter().any(|other| other.pid == task.parent) {
            continue;
        }
        if (task.session, task.pgrp) != (task.pid, task.pid) {
            why.say(fmt!("pid {}: a session of a process outside", task.pid));
            return Err(EOPNOTSUPP);
        }
        if !order.is_empty() {
            why.say(fmt!(
                "pid {}: a second process without a parent inside",
                task.pid
            ));
            return Err(EOPNOTSUPP);
        }
        order.push((index, 0), GFP_KERNEL)?;
    }
    let mut at = 0;
    while let Some((parent, _)) = order.get(at).copied() {
        at += 1;
        let above = ids.get(parent).ok_or(EINVAL)?;
        for (index, task) in ids.iter().enumerate() {
            if index == parent || task.parent != above.pid {
                continue;
            }
            let own = task.session == task.pid && task.pgrp == task.pid;
            if !own && (task.session, task.pgrp) != (above.session, above.pgrp) {
                why.say(fmt!("pid {}: a process group of its own", task.pid));
                return Err(EOPNOTSUPP);
            }
            // CAST: There are few tasks.
            order.push((index, at as u32), GFP_KERNEL)?;
        }
    }
    match order.len() == tasks.len() {
        true => Ok(order),
        false => Err(EAGAIN),
    }
}

impl Saved {
    fn new() -> Result<Self> {
        let mut bytes = KVVec::from_elem(0, 256, GFP_KERNEL)?;
        let header = Header::new(ARCH, PAGE_SHIFT, 0);
        let (writer, size) = Writer::start(&header, &mut bytes).map_err(|_| EINVAL)?;
        bytes.truncate(size);
        Ok(Self {
            writer,
            bytes,
            memory: KVec::new(),
        })
    }

    /// Adds a record.
    fn put<T: Body>(&mut self, body: &T, tail: &[&[u8]]) -> Result {
        let tails: usize = tail.iter().map(|piece| piece.len()).sum();
        let at = self.bytes.len();
        let size = record_size(size_of::<T>() + tails);
        self.bytes.extend_with(size, 0, GFP_KERNEL)?;
        let room = self.bytes.get_mut(at..).ok_or(EINVAL)?;
        self.writer.put(body, tail, room).map_err(|_| E2BIG)?;
        Ok(())
    }
}

struct Save<'a> {
    saved: Saved,
    /// What is not saved.
    open: &'a Open<'a>,
    /// What tells each object from all others, by ascending number.
    known: KVec<usize>,
    scratch: KVVec<u8>,
}

impl Save<'_> {
    /// The object of something, and whether it is new.
    fn object(&mut self, key: usize) -> Result<(ObjectId, bool)> {
        let (index, new) = match self.known.iter().position(|known| *known == key) {
            Some(index) => (index, false),
            None => {
                self.known.push(key, GFP_KERNEL)?;
                (self.known.len() - 1, true)
            }
        };
        // CAST: Memory ends before that.
        Ok((ObjectId::new(index as u32 + 1), new))
    }

    fn file(&mut self, file: &File) -> Result<ObjectId> {
        let deleted = match file.deleted_key() {
            Some(key) if self.open.name(file).is_none() => self.deleted(key, file)?,
            _ => ObjectId::NONE,
        };
        let (id, new) = self.object(file.key())?;
        if !new {
            return Ok(id);
        }
        if let Some(name) = self.open.name(file) {
            let body = image::External {
                id,
                reserved: 0.into(),
            };
            self.saved.put(&body, &[name])?;
        } else {
            let state = file.state();
            let body = image::File {
                id,
                flags: state.flags.into(),
                mode: state.mode.into(),
                rdev: state.rdev.into(),
                position: state.position.into(),
                size: state.size.into(),
                deleted,
                reserved: 0.into(),
            };
            let room = self.scratch.get_mut(..PATH_MAX).ok_or(EINVAL)?;
            let path = match deleted {
                ObjectId::NONE => file.path(room)?,
                _ => &[],
            };
            self.saved.put(&body, &[path])?;
        }
        Ok(id)
    }

    fn deleted(&mut self, key: usize, file: &File) -> Result<ObjectId> {
        let (id, new) = self.object(key)?;
        if new {
            let state = file.deleted();
            // CAST: Signed numbers are stored as they are.
            let body = image::Deleted {
                id,
                mode: state.mode.into(),
                uid: state.uid.into(),
                gid: state.gid.into(),
                size: state.size.into(),
                atime: (state.atime as u64).into(),
                mtime: (state.mtime as u64).into(),
                atime_ns: state.atime_ns.into(),
                mtime_ns: state.mtime_ns.into(),
                reserved: 0.into(),
            };
            let room = self.scratch.get_mut(..PATH_MAX).ok_or(EINVAL)?;
            self.saved.put(&body, &[file.path(room)?])?;
            let memory = Memory::Shared {
                file: file.content()?,
                object: id,
            };
            self.saved.memory.push(memory, GFP_KERNEL)?;
        }
        Ok(id)
    }

    fn shm(&mut self, file: &ARef<File>) -> Result<ObjectId> {
        let (id, new) = self.object(file.key())?;
        if new {
            let body = image::Shm {
                id,
                reserved: 0.into(),
                size: file.state().size.into(),
            };
            self.saved.put(&body, &[])?;
            let memory = Memory::Shared {
                file: file.clone(),
                object: id,
            };
            self.saved.memory.push(memory, GFP_KERNEL)?;
        }
        Ok(id)
    }

    fn mm(&mut self, mm: ARef<MmWithUser>) -> Result<ObjectId> {
        // What the records of the mappings refer to comes first.
        let exe = match mm.exe() {
            Some(exe) => self.file(&exe)?,
            None => ObjectId::NONE,
        };
        let mut vmas = KVVec::new();
        let mut ranges = KVec::new();
        let mut guards = KVVec::new();
        let mut from = 0;
        while let Some((vma, _)) = mm.vma(from)? {
            from = vma.end;
            let object = match &vma.file {
                Some(file) if vma.has_name() => self.file(file)?,
                Some(file) => self.shm(file)?,
                None => ObjectId::NONE,
            };
            if vma.is_private() {
                ranges.push((vma.start, vma.end), GFP_KERNEL)?;
            }
            let body = image::Vma {
                object,
                kind: vma.kind.into(),
                flags: vma.flags.into(),
                reserved: 0.into(),
                start: vma.start.into(),
                end: vma.end.into(),
                offset: vma.offset.into(),
            };
            let mut at = vma.start;
            while let Some(start) = mm.guard(&vma, &mut at)? {
                guards.push((vmas.len(), start, at), GFP_KERNEL)?;
            }
            vmas.push((body, vma.name), GFP_KERNEL)?;
        }

        let (id, _) = self.object(MmExt::raw(&*mm) as usize)?;
        let layout = mm.layout();
        let body = image::Mm {
            id,
            exe,
            start_code: layout.start_code.into(),
            end_code: layout.end_code.into(),
            start_data: layout.start_data.into(),
            end_data: layout.end_data.into(),
            start_brk: layout.start_brk.into(),
            brk: layout.brk.into(),
            start_stack: layout.start_stack.into(),
            arg_start: layout.arg_start.into(),
            arg_end: layout.arg_end.into(),
            env_start: layout.env_start.into(),
            env_end: layout.env_end.into(),
            mmap_base: layout.mmap_base.into(),
            vdso: layout.vdso.into(),
            vdso_crc: layout.vdso_crc.into(),
            reserved: 0.into(),
        };
        let size = mm.auxv(&mut self.scratch);
        let auxv = self.scratch.get(..size).ok_or(E2BIG)?;
        self.saved.put(&body, &[auxv])?;
        let mut guards = guards.iter().peekable();
        for (index, (vma, name)) in vmas.iter().enumerate() {
            self.saved.put(vma, &[name.as_bytes()])?;
            while let Some((_, start, end)) = guards.next_if(|(of, ..)| *of == index) {
                let body = image::Guard {
                    start: (*start).into(),
                    end: (*end).into(),
                };
                self.saved.put(&body, &[])?;
            }
        }
        let memory = Memory::Private {
            mm,
            object: id,
            ranges,
        };
        self.saved.memory.push(memory, GFP_KERNEL)?;
        Ok(id)
    }

    fn task(&mut self, task: &Task, number: u32, parent: u32) -> Result {
        let mm = self.mm(task.mm().ok_or(EAGAIN)?)?;
        let (cwd, umask) = task.cwd()?;
        let cwd = self.file(&cwd)?;
        let mut fds = KVec::new();
        let mut from = 0;
        while let Some((fd, cloexec, file)) = task.file(from) {
            from = fd + 1;
            let body = image::Fd {
                fd: fd.into(),
                flags: u32::from(cloexec).into(),
                file: self.file(&file)?,
                reserved: 0.into(),
            };
            fds.push(body, GFP_KERNEL)?;
        }

        let ids = task.ids();
        // CAST: Signed numbers are stored as they are.
        let body = image::Task {
            number: number.into(),
            parent: parent.into(),
            pid: (ids.pid as u32).into(),
            pgrp: (ids.pgrp as u32).into(),
            session: (ids.session as u32).into(),
            exit_signal: (ids.exit_signal as u32).into(),
            personality: ids.personality.into(),
            dumpable: ids.dumpable.into(),
            mm,
            oom_score_adj: (ids.oom_score_adj as u32).into(),
            no_new_privs: ids.no_new_privs.into(),
            reserved: 0.into(),
            timer_slack: ids.timer_slack.into(),
            comm: ids.comm,
        };
        self.saved.put(&body, &[])?;
        self.signals(task)?;
        self.thread(task)?;
        let rlimits = task.rlimits();
        self.saved.put(&image::Rlimits {}, &[rlimits.as_bytes()])?;
        let body = image::Fs {
            cwd,
            umask: umask.into(),
        };
        self.saved.put(&body, &[])?;
        for fd in &fds {
            self.saved.put(fd, &[])?;
        }
        for note in ffi::REGSETS {
            let size = task.regs(note, &mut self.scratch)?;
            let set = self.scratch.get(..size).ok_or(E2BIG)?;
            let body = image::Regs {
                note: note.into(),
                reserved: 0.into(),
            };
            self.saved.put(&body, &[set])?;
        }
        Ok(())
    }

    fn signals(&mut self, task: &Task) -> Result {
        let (signals, actions) = task.signals()?;
        let body = image::Signals {
            blocked: signals.blocked.into(),
            saved: signals.saved.into(),
            restore_saved: signals.restore_saved.into(),
            stack_flags: signals.stack_flags.into(),
            stack: signals.stack.into(),
            stack_size: signals.stack_size.into(),
            reserved: 0.into(),
        };
        let actions = actions.map(|action| image::Action {
            handler: action.handler.into(),
            flags: action.flags.into(),
            restorer: action.restorer.into(),
            mask: action.mask.into(),
        });
        self.saved.put(&body, &[actions.as_bytes()])
    }

    fn thread(&mut self, task: &Task) -> Result {
        let thread = task.thread();
        let restart = task.restart()?;
        let body = image::Thread {
            rseq: thread.rseq.into(),
            rseq_len: thread.rseq_len.into(),
            rseq_sig: thread.rseq_sig.into(),
            robust: thread.robust.into(),
            clear_tid: thread.clear_tid.into(),
            restart: restart.kind.into(),
            restart_clock: restart.clock.into(),
            restart_address: restart.address.into(),
            restart_count: restart.count.into(),
            // CAST: A signed number is stored as it is.
            restart_left: (restart.left as u64).into(),
            reserved: 0.into(),
        };
        self.saved.put(&body, &[])
    }
}
