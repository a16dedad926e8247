// SPDX-License-Identifier: GPL-2.0

//! An image that is restored, taken apart. Whatever does not fit together is refused here, before
//! anything is made because of it.

use crate::{
    ffi::{
        self,
        Action,
        Clocks,
        Deleted,
        FileState,
        Ids,
        Layout,
        Name,
        Parking,
        Restart,
        Signals,
        Thread,
        PAGE_SIZE,
        PATH_MAX,
        REGSETS,
        RLIMITS,
        SIGNALS, //
    },
    image::{
        self,
        Kind,
        Malformed,
        ObjectId,
        Record,
        Type, //
    },
    why::Why, //
};
use kernel::{
    alloc::AllocError,
    prelude::*, //
};

/// The most objects, and mappings, and descriptors.
const MOST: usize = 1 << 16;

/// The most tasks.
const TASKS: usize = 1024;

/// An object.
pub(crate) enum Object {
    /// An open file, by its path, which ends with a zero.
    File(KVec<u8>, FileState),
    /// An open file that was deleted, by the index of that.
    Open(usize, FileState),
    /// A deleted file, by the path that it had, which ends with a zero.
    Deleted(KVec<u8>, Deleted),
    /// A file that is handed in, by its name.
    External(KVec<u8>),
    /// Shared memory of this size in bytes.
    Shm(u64),
    /// An address space, by its place among them.
    Mm(usize),
}

/// An address space.
pub(crate) struct Mm {
    /// Its executable.
    pub(crate) exe: Option<usize>,
    /// Where its parts are.
    pub(crate) layout: Layout,
    /// Its auxiliary vector.
    pub(crate) auxv: KVec<u8>,
    /// Its mappings, by ascending address.
    pub(crate) vmas: KVVec<Vma>,
    /// Its guard pages: the first address, and the one behind the last.
    pub(crate) guards: KVVec<(u64, u64)>,
    /// Whether a task has it.
    taken: bool,
}

/// A mapping.
pub(crate) struct Vma {
    /// The first address.
    pub(crate) start: u64,
    /// The address behind the last one.
    pub(crate) end: u64,
    /// Where it starts in its object, in bytes.
    pub(crate) offset: u64,
    /// What is mapped.
    pub(crate) kind: u32,
    /// `CKPT_VMA_*`.
    pub(crate) flags: u32,
    /// What is mapped.
    pub(crate) object: Option<usize>,
    /// What it is called.
    pub(crate) name: Name,
}

/// A task.
pub(crate) struct Task {
    /// The index of its parent.
    pub(crate) parent: Option<usize>,
    /// Its address space, by its place among them.
    pub(crate) mm: usize,
    /// Its numbers and settings.
    pub(crate) ids: Ids,
    /// How it takes signals.
    pub(crate) signals: Signals,
    /// What the signals do.
    pub(crate) actions: KBox<[Action; SIGNALS]>,
    /// What it has registered.
    pub(crate) thread: Thread,
    /// The call that it goes on with.
    pub(crate) restart: Restart,
    /// Its resource limits.
    pub(crate) rlimits: [u64; RLIMITS],
    /// Its working directory and its umask.
    pub(crate) fs: Option<(usize, u32)>,
    /// Its descriptors: the number, whether execve(2) closes it, and the file.
    pub(crate) fds: KVec<(u32, bool, usize)>,
    /// Its registers, by set.
    pub(crate) regs: KVec<(u32, KVec<u8>)>,
    /// Where it waits when it is there.
    pub(crate) parking: Parking,
    /// Which of its records came.
    seen: Seen,
}

#[derive(Default)]
struct Seen {
    signals: bool,
    thread: bool,
    rlimits: bool,
}

/// Everything that an image has, but for the content of memory.
#[derive(Default)]
pub(crate) struct Plan {
    /// By their numbers, less one.
    pub(crate) objects: KVVec<Object>,
    /// Parents first.
    pub(crate) tasks: KVec<Task>,
    /// Address spaces.
    pub(crate) mms: KVec<Mm>,
    /// What the clocks say.
    pub(crate) clocks: Option<Clocks>,
}

/// Why a record is refused.
enum Refusal {
    Malformed(Malformed),
    What(&'static str),
    Kernel(Error),
}

impl From<image::Fault> for Refusal {
    fn from(fault: image::Fault) -> Self {
        Self::Malformed(fault.what)
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Kernel(error)
    }
}

impl From<AllocError> for Refusal {
    fn from(error: AllocError) -> Self {
        Self::Kernel(error.into())
    }
}

impl Plan {
    /// Takes a record in.
    ///
    /// # Errors
    ///
    /// `EBADMSG` if it does not fit, `ENOMEM`.
    pub(crate) fn take(&mut self, record: &Record<'_>, why: &mut Why) -> Result {
        let refusal = match self.record(record) {
            Ok(()) => return Ok(()),
            Err(refusal) => refusal,
        };
        let at = record.at;
        match refusal {
            Refusal::Malformed(what) => why.say(format_args!("byte {at}: {what}")),
            Refusal::What(what) => why.say(fmt!("byte {at}: {what}")),
            Refusal::Kernel(error) => return Err(error),
        }
        Err(EBADMSG)
    }

    /// Checks what can be seen only when all records are there, and whether this machine can do
    /// that.
    ///
    /// # Errors
    ///
    /// `EBADMSG`, `EOPNOTSUPP`.
    pub(crate) fn finish(&self, why: &mut Why) -> Result {
        if self.tasks.is_empty() {
            why.say(fmt!("an image without tasks"));
            return Err(EBADMSG);
        }
        if self.clocks.is_none() {
            why.say(fmt!("an image without clocks"));
            return Err(EBADMSG);
        }
        // Tasks may be within the code of the vDSO, and know where what is in it.
        let other = |mm: &Mm| mm.layout.vdso != 0 && mm.layout.vdso_crc != ffi::vdso_crc();
        if self.mms.iter().any(other) {
            why.say(fmt!("an image of a kernel with another vDSO"));
            return Err(EOPNOTSUPP);
        }
        for task in &self.tasks {
            let Seen {
                signals,
                thread,
                rlimits,
            } = task.seen;
            let regs = REGSETS
                .iter()
                .all(|note| task.regs.iter().any(|(n, _)| n == note));
            if !(signals && thread && rlimits && regs && task.fs.is_some()) {
                why.say(fmt!("pid {}: a record is missing", task.ids.pid));
                return Err(EBADMSG);
            }
            let fits = |(note, set): &(u32, KVec<u8>)| set.len() == ffi::regs_size(*note);
            if !task.regs.iter().all(fits) {
                why.say(fmt!("pid {}: registers of another processor", task.ids.pid));
                return Err(EOPNOTSUPP);
            }
        }
        Ok(())
    }

    /// The address space that a frame belongs to, or the shared memory object.
    pub(crate) fn memory(&self, object: ObjectId) -> Option<(usize, &Object)> {
        // CAST: `usize` is larger.
        let index = object.number().checked_sub(1)? as usize;
        Some((index, self.objects.get(index)?))
    }

    fn define(&mut self, id: ObjectId, object: Object) -> Result<(), Refusal> {
        // CAST: `MOST` is small.
        if id.number() as usize != self.objects.len() + 1 || self.objects.len() == MOST {
            return Err(Refusal::Malformed(Malformed::ObjectOrder(id.number())));
        }
        Ok(self.objects.push(object, GFP_KERNEL)?)
    }

    fn index(&self, id: ObjectId) -> Result<Option<usize>, Refusal> {
        if id == ObjectId::NONE {
            return Ok(None);
        }
        let found = self.memory(id).map(|(index, _)| index);
        found
            .map(Some)
            .ok_or(Refusal::Malformed(Malformed::NoObject(id.number())))
    }

    fn file(&self, id: ObjectId) -> Result<usize, Refusal> {
        match self.memory(id) {
            Some((index, Object::File(..) | Object::Open(..) | Object::External(_))) => Ok(index),
            Some(_) => Err(Refusal::Malformed(Malformed::ObjectKind(id.number()))),
            None => Err(Refusal::Malformed(Malformed::NoObject(id.number()))),
        }
    }

    fn record(&mut self, record: &Record<'_>) -> Result<(), Refusal> {
        let Kind::Known(kind) = record.kind else {
            return Ok(());
        };
        match kind {
            Type::File => self.take_file(record),
            Type::Deleted => self.take_deleted(record),
            Type::External => {
                let body: image::External = record.body()?;
                zero(body.reserved.get())?;
                let mut name = KVec::new();
                name.extend_from_slice(record.tail, GFP_KERNEL)?;
                self.define(body.id, Object::External(name))
            }
            Type::Clocks => {
                let body: image::Clocks = record.body()?;
                if self.clocks.is_some() {
                    return Err(Refusal::What("clocks twice"));
                }
                // CAST: Whether they are times is seen when they are set.
                self.clocks = Some(Clocks {
                    monotonic: body.monotonic.get() as i64,
                    boottime: body.boottime.get() as i64,
                });
                Ok(())
            }
            Type::Guard => self.take_guard(record),
            Type::Shm => {
                let body: image::Shm = record.body()?;
                let size = body.size.get();
                zero(body.reserved.get())?;
                if !aligned(size) {
                    return Err(Refusal::What(
                        "the size of shared memory is not whole pages",
                    ));
                }
                self.define(body.id, Object::Shm(size))
            }
            Type::Mm => self.take_mm(record),
            Type::Vma => self.take_vma(record),
            Type::Task => self.take_task(record),
            Type::Signals => self.take_signals(record),
            Type::Thread => self.take_thread(record),
            Type::Rlimits => {
                let _: image::Rlimits = record.body()?;
                let task = last(&mut self.tasks)?;
                let mut words = record.tail.chunks_exact(8);
                if record.tail.len() != 8 * RLIMITS || task.seen.rlimits {
                    return Err(Refusal::What("not one limit for each resource"));
                }
                for (limit, word) in task.rlimits.iter_mut().zip(&mut words) {
                    *limit = word.try_into().map_or(0, u64::from_le_bytes);
                }
                task.seen.rlimits = true;
                Ok(())
            }
            Type::Fs => {
                let body: image::Fs = record.body()?;
                let cwd = self.file(body.cwd)?;
                let task = last(&mut self.tasks)?;
                if task.fs.is_some() {
                    return Err(Refusal::What("a working directory twice"));
                }
                task.fs = Some((cwd, body.umask.get()));
                Ok(())
            }
            Type::Fd => {
                let body: image::Fd = record.body()?;
                zero(body.reserved.get())?;
                let file = self.file(body.file)?;
                let task = last(&mut self.tasks)?;
                let fd = body.fd.get();
                if body.flags.get() > 1 || task.fds.len() == MOST {
                    return Err(Refusal::What(
                        "a descriptor with unknown flags, or too many",
                    ));
                }
                if task.fds.last().is_some_and(|(before, ..)| *before >= fd) {
                    return Err(Refusal::What("descriptors out of order"));
                }
                let entry = (fd, body.flags.get() == 1, file);
                Ok(task.fds.push(entry, GFP_KERNEL)?)
            }
            Type::Regs => {
                let body: image::Regs = record.body()?;
                zero(body.reserved.get())?;
                let task = last(&mut self.tasks)?;
                let note = body.note.get();
                if !REGSETS.contains(&note) || task.regs.iter().any(|(seen, _)| *seen == note) {
                    return Err(Refusal::What("unknown registers, or the same once more"));
                }
                let mut set = KVec::new();
                set.extend_from_slice(record.tail, GFP_KERNEL)?;
                Ok(task.regs.push((note, set), GFP_KERNEL)?)
            }
            _ => Ok(()),
        }
    }

    fn take_file(&mut self, record: &Record<'_>) -> Result<(), Refusal> {
        let body: image::File = record.body()?;
        zero(body.reserved.get())?;
        let state = FileState {
            position: body.position.get(),
            size: body.size.get(),
            flags: body.flags.get(),
            mode: body.mode.get(),
            rdev: body.rdev.get(),
        };
        let object = match self.index(body.deleted)? {
            None => Object::File(path(record.tail)?, state),
            Some(_) if !record.tail.is_empty() => {
                return Err(Refusal::What("a deleted file with a path"));
            }
            Some(index) if matches!(self.objects.get(index), Some(Object::Deleted(..))) => {
                Object::Open(index, state)
            }
            Some(_) => {
                let number = body.deleted.number();
                return Err(Refusal::Malformed(Malformed::ObjectKind(number)));
            }
        };
        self.define(body.id, object)
    }

    fn take_deleted(&mut self, record: &Record<'_>) -> Result<(), Refusal> {
        let body: image::Deleted = record.body()?;
        zero(body.reserved.get())?;
        // CAST: Signed numbers are stored as they are.
        let state = Deleted {
            size: body.size.get(),
            atime: body.atime.get() as i64,
            mtime: body.mtime.get() as i64,
            atime_ns: body.atime_ns.get(),
            mtime_ns: body.mtime_ns.get(),
            mode: body.mode.get(),
            uid: body.uid.get(),
            gid: body.gid.get(),
        };
        self.define(body.id, Object::Deleted(path(record.tail)?, state))
    }

    fn take_mm(&mut self, record: &Record<'_>) -> Result<(), Refusal> {
        let body: image::Mm = record.body()?;
        zero(body.reserved.get())?;
        let exe = match body.exe {
            ObjectId::NONE => None,
            exe => Some(self.file(exe)?),
        };
        let mut auxv = KVec::new();
        auxv.extend_from_slice(record.tail, GFP_KERNEL)?;
        let mm = Mm {
            exe,
            layout: Layout {
                start_code: body.start_code.get(),
                end_code: body.end_code.get(),
                start_data: body.start_data.get(),
                end_data: body.end_data.get(),
                start_brk: body.start_brk.get(),
                brk: body.brk.get(),
                start_stack: body.start_stack.get(),
                arg_start: body.arg_start.get(),
                arg_end: body.arg_end.get(),
                env_start: body.env_start.get(),
                env_end: body.env_end.get(),
                mmap_base: body.mmap_base.get(),
                vdso: body.vdso.get(),
                vdso_crc: body.vdso_crc.get(),
            },
            auxv,
            vmas: KVVec::new(),
            guards: KVVec::new(),
            taken: false,
        };
        self.define(body.id, Object::Mm(self.mms.len()))?;
        Ok(self.mms.push(mm, GFP_KERNEL)?)
    }

    fn take_vma(&mut self, record: &Record<'_>) -> Result<(), Refusal> {
        use crate::ffi::Vma as Kinds;

        let body: image::Vma = record.body()?;
        zero(body.reserved.get())?;
        let object = self.index(body.object)?;
        let vma = Vma {
            start: body.start.get(),
            end: body.end.get(),
            offset: body.offset.get(),
            kind: body.kind.get(),
            flags: body.flags.get(),
            object,
            name: Name::new(record.tail).ok_or(Refusal::What("a name that is too long"))?,
        };
        let fits = match (vma.kind, object.and_then(|index| self.objects.get(index))) {
            (Kinds::ANON | Kinds::VDSO, None) => vma.offset == 0,
            (
                Kinds::PRIVATE | Kinds::SHARED,
                Some(Object::File(..) | Object::Open(..) | Object::External(_)),
            ) => true,
            (Kinds::SHMEM, Some(Object::Shm(_))) => true,
            _ => false,
        };
        if !fits || vma.flags & !Kinds::FLAGS != 0 {
            return Err(Refusal::What("a mapping of an unknown kind"));
        }
        let mm = self
            .mms
            .last_mut()
            .ok_or(Refusal::What("a mapping of no address space"))?;
        let before = mm.vmas.last().map_or(0, |vma| vma.end);
        let sound = vma.start >= before && vma.start < vma.end;
        if !sound || ![vma.start, vma.end, vma.offset].into_iter().all(aligned) {
            return Err(Refusal::What("a mapping that is none, or out of order"));
        }
        if mm.vmas.len() == MOST {
            return Err(Refusal::What("too many mappings"));
        }
        Ok(mm.vmas.push(vma, GFP_KERNEL)?)
    }

    fn take_guard(&mut self, record: &Record<'_>) -> Result<(), Refusal> {
        let body: image::Guard = record.body()?;
        let (start, end) = (body.start.get(), body.end.get());
        let mm = self.mms.last_mut();
        let within = |vma: &Vma| vma.start <= start && start < end && end <= vma.end;
        match mm {
            Some(mm) if mm.vmas.last().is_some_and(within) && aligned(start) && aligned(end) => {
                if mm.guards.len() == MOST {
                    return Err(Refusal::What("too many guard pages"));
                }
                Ok(mm.guards.push((start, end), GFP_KERNEL)?)
            }
            _ => Err(Refusal::What("guard pages of no mapping")),
        }
    }

    fn take_task(&mut self, record: &Record<'_>) -> Result<(), Refusal> {
        let body: image::Task = record.body()?;
        zero(body.reserved.get())?;
        // CAST: `TASKS` is small.
        if body.number.get() as usize != self.tasks.len() + 1 || self.tasks.len() == TASKS {
            return Err(Refusal::What("a task out of order, or too many"));
        }
        // CAST: As above.
        let parent = (body.parent.get() as usize).checked_sub(1);
        if parent.is_some_and(|parent| parent >= self.tasks.len())
            || parent.is_none() != self.tasks.is_empty()
        {
            return Err(Refusal::What("a task without its parent"));
        }
        let mm = match self.memory(body.mm) {
            Some((_, Object::Mm(mm))) => *mm,
            _ => return Err(Refusal::Malformed(Malformed::NoObject(body.mm.number()))),
        };
        match self.mms.get_mut(mm) {
            Some(mm) if !mm.taken => mm.taken = true,
            _ => return Err(Refusal::What("an address space of two tasks")),
        }
        // CAST: Signed numbers are stored as they are.
        let ids = Ids {
            pid: body.pid.get() as i32,
            parent: 0,
            pgrp: body.pgrp.get() as i32,
            session: body.session.get() as i32,
            exit_signal: body.exit_signal.get() as i32,
            personality: body.personality.get(),
            timer_slack: body.timer_slack.get(),
            oom_score_adj: body.oom_score_adj.get() as i32,
            dumpable: body.dumpable.get(),
            no_new_privs: body.no_new_privs.get(),
            comm: body.comm,
        };
        let own = ids.session == ids.pid && ids.pgrp == ids.pid;
        let same = parent
            .and_then(|parent| self.tasks.get(parent))
            .is_some_and(|parent| (parent.ids.session, parent.ids.pgrp) == (ids.session, ids.pgrp));
        if ids.pid <= 0 || !(own || same) {
            return Err(Refusal::What("a process group that nobody leads"));
        }
        if ids.comm.last() != Some(&0) {
            return Err(Refusal::What("a name that is too long"));
        }
        let task = Task {
            parent,
            mm,
            ids,
            signals: Signals::default(),
            actions: KBox::new([Action::default(); SIGNALS], GFP_KERNEL)?,
            thread: Thread::default(),
            restart: Restart::default(),
            rlimits: [0; RLIMITS],
            fs: None,
            fds: KVec::new(),
            regs: KVec::new(),
            parking: Parking::new()?,
            seen: Seen::default(),
        };
        Ok(self.tasks.push(task, GFP_KERNEL)?)
    }

    fn take_signals(&mut self, record: &Record<'_>) -> Result<(), Refusal> {
        let body: image::Signals = record.body()?;
        zero(body.reserved.get())?;
        let task = last(&mut self.tasks)?;
        let size = size_of::<image::Action>();
        if record.tail.len() != SIGNALS * size || task.seen.signals {
            return Err(Refusal::What("not one action for each signal"));
        }
        task.signals = Signals {
            blocked: body.blocked.get(),
            saved: body.saved.get(),
            stack: body.stack.get(),
            stack_size: body.stack_size.get(),
            stack_flags: body.stack_flags.get(),
            restore_saved: body.restore_saved.get(),
        };
        let actions = task.actions.iter_mut();
        for (action, bytes) in actions.zip(record.tail.chunks_exact(size)) {
            if let Ok(stored) = image::Action::read_from_bytes(bytes) {
                *action = Action {
                    handler: stored.handler.get(),
                    flags: stored.flags.get(),
                    restorer: stored.restorer.get(),
                    mask: stored.mask.get(),
                };
            }
        }
        task.seen.signals = true;
        Ok(())
    }

    fn take_thread(&mut self, record: &Record<'_>) -> Result<(), Refusal> {
        let body: image::Thread = record.body()?;
        zero(body.reserved.get())?;
        let task = last(&mut self.tasks)?;
        if task.seen.thread {
            return Err(Refusal::What("a thread twice"));
        }
        task.thread = Thread {
            rseq: body.rseq.get(),
            rseq_len: body.rseq_len.get(),
            rseq_sig: body.rseq_sig.get(),
            robust: body.robust.get(),
            clear_tid: body.clear_tid.get(),
        };
        // CAST: A signed number is stored as it is.
        task.restart = Restart {
            kind: body.restart.get(),
            clock: body.restart_clock.get(),
            address: body.restart_address.get(),
            count: body.restart_count.get(),
            left: body.restart_left.get() as i64,
        };
        task.seen.thread = true;
        Ok(())
    }
}

/// Refuses a reserved field that is used.
fn zero(reserved: impl Into<u64>) -> Result<(), Refusal> {
    match reserved.into() {
        0 => Ok(()),
        _ => Err(Refusal::What("a reserved field that is not zero")),
    }
}

/// Whether there are whole pages.
fn aligned(bytes: u64) -> bool {
    // CAST: A small constant.
    bytes % PAGE_SIZE as u64 == 0
}

/// An absolute path, with a final zero.
fn path(path: &[u8]) -> Result<KVec<u8>, Refusal> {
    if path.first() != Some(&b'/') || path.len() >= PATH_MAX || path.contains(&0) {
        return Err(Refusal::What("a file without an absolute path"));
    }
    let mut text = KVec::with_capacity(path.len() + 1, GFP_KERNEL)?;
    text.extend_from_slice(path, GFP_KERNEL)?;
    text.push(0, GFP_KERNEL)?;
    Ok(text)
}

fn last(tasks: &mut KVec<Task>) -> Result<&mut Task, Refusal> {
    tasks.last_mut().ok_or(Refusal::What("a record of no task"))
}
