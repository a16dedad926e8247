// SPDX-License-Identifier: GPL-2.0

//! An image that is restored, taken apart. Whatever does not fit together is refused here, before
//! anything is made because of it.

use crate::{
    ffi::{
        self,
        Action,
        Clocks,
        Cred,
        Deleted,
        FileState,
        Itimers,
        Layout,
        Mask,
        Name,
        Parking,
        Registered,
        Restart,
        Settings,
        Siginfo,
        Timer,
        FILTER,
        FILTER_FLAGS,
        PAGE_SIZE,
        PATH_MAX,
        PROCESS_FLAGS,
        REGSETS,
        RLIMITS,
        SECCOMP_FILTER,
        SIGINFO,
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
use core::ops::Range;
use kernel::{
    alloc::AllocError,
    prelude::*,
    sync::aref::ARef,
    task::Task, //
};

/// The most objects, and mappings, and whatever else is listed.
pub(crate) const MOST: usize = 1 << 16;

/// The most processes, and the most threads.
pub(crate) const TASKS: usize = 4096;

/// The most filters of a thread.
const FILTERS: u32 = 1 << 13;

/// The largest mask of processors, in bytes.
const AFFINITY: usize = 1024;

/// An object.
pub(crate) enum Object {
    /// An open file, by its path, which ends with a zero.
    File(KVec<u8>, FileState, Option<usize>),
    /// An open file that was deleted, or an end of a pipe, by the index of that.
    Open(usize, FileState, Option<usize>),
    /// A pipe.
    Pipe(Pipe),
    /// A deleted file, by the path that it had, which ends with a zero.
    Deleted(KVec<u8>, Deleted),
    /// A file that is handed in, by its name.
    External(KVec<u8>),
    /// Shared memory of this size in bytes.
    Shm(u64),
    /// An address space, by its place among them.
    Mm(usize),
    /// A table of descriptors, likewise.
    Files(usize),
    /// A place in the file system: the working directory, and the umask.
    Fs(Fs),
    /// Credentials, and supplementary groups.
    Cred(Cred, KVec<u32>),
    /// A filter of system calls.
    Filter(Filter),
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
    /// What it is a copy of, by its place among the address spaces.
    pub(crate) origin: Option<usize>,
    /// The index of the first process that has it, which makes it.
    pub(crate) owner: Option<usize>,
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
    /// Whether it begins with the pages of the origin of its address space.
    pub(crate) inherited: bool,
}

impl Mm {
    /// Its mappings from an address on.
    pub(crate) fn vmas_from(&self, at: u64) -> impl Iterator<Item = &Vma> {
        let first = self.vmas.partition_point(|vma| vma.end <= at);
        self.vmas.get(first..).unwrap_or(&[]).iter()
    }

    /// Whether it has inherited all of a range of addresses, in one mapping.
    pub(crate) fn has_inherited(&self, start: u64, end: u64) -> bool {
        let vma = self.vmas_from(start).next();
        vma.is_some_and(|vma| vma.inherited && vma.start <= start && end <= vma.end)
    }
}

impl Vma {
    /// Whether a child can have it, with its pages, from a parent that has `other`. If only a part
    /// of it were there, several mappings would become.
    pub(crate) fn is_of(&self, other: &Self) -> bool {
        let from = |vma: &Self| vma.offset.wrapping_sub(vma.start);
        ffi::Vma::go_to_children(self.kind, self.flags)
            && self.flags & ffi::Vma::LOCKED == 0
            && (other.start <= self.start && self.end <= other.end)
            && (self.kind, self.flags, self.object) == (other.kind, other.flags, other.object)
            && (self.object.is_none() || from(self) == from(other))
            && self.name.as_bytes() == other.name.as_bytes()
    }
}

/// A pipe.
pub(crate) struct Pipe {
    /// How much fits into it, in bytes.
    pub(crate) size: u32,
    /// What is in it, and whether that is a packet.
    pub(crate) pieces: KVVec<(KVec<u8>, bool)>,
}

/// A table of descriptors.
#[derive(Default)]
pub(crate) struct Files {
    /// The number, whether execve(2) closes it, and the file.
    pub(crate) fds: KVVec<(u32, bool, usize)>,
    /// The first thread that has it, which makes it.
    pub(crate) owner: Option<usize>,
}

/// A place in the file system.
pub(crate) struct Fs {
    /// The working directory.
    pub(crate) cwd: usize,
    /// The umask.
    pub(crate) umask: u32,
    /// The first thread that is there.
    pub(crate) owner: Option<usize>,
}

/// A filter of system calls.
pub(crate) struct Filter {
    /// The object of the one that was there before it.
    pub(crate) older: Option<usize>,
    /// How many older ones there are.
    pub(crate) depth: u32,
    /// `CKPT_FILTER_*`.
    pub(crate) flags: u32,
    /// Its instructions.
    pub(crate) insns: KVVec<u8>,
    /// The first thread that has it, which makes it.
    pub(crate) owner: Option<usize>,
}

/// A process.
pub(crate) struct Process {
    /// The index of its parent.
    pub(crate) parent: Option<usize>,
    /// Its address space, by its place among them; none if it has ended.
    pub(crate) mm: Option<usize>,
    /// Its state.
    pub(crate) state: ffi::Process,
    /// What the signals do.
    pub(crate) actions: Option<KBox<[Action; SIGNALS]>>,
    /// Its resource limits.
    pub(crate) rlimits: Option<[u64; RLIMITS]>,
    /// Its interval timers.
    pub(crate) itimers: Option<Itimers>,
    /// Its POSIX timers.
    pub(crate) timers: KVVec<Timer>,
    /// The signals that wait for any of its threads.
    pub(crate) pending: KVec<Siginfo>,
    /// The indices of its threads; the first is that with its number.
    pub(crate) threads: Range<usize>,
}

impl Process {
    /// Whether it has the address space of its parent.
    pub(crate) fn shares(&self, parent: &Self) -> bool {
        self.mm.is_some() && self.mm == parent.mm
    }
}

/// A thread.
pub(crate) struct Thread {
    /// The index of its process.
    pub(crate) process: usize,
    /// Its number.
    pub(crate) tid: i32,
    /// What it has, unless it has ended.
    pub(crate) life: Option<Life>,
    /// Its name, filled up with zeros.
    pub(crate) comm: [u8; 16],
    /// Where it waits when it is there.
    pub(crate) parking: Parking,
}

/// What a thread has that has not ended.
pub(crate) struct Life {
    /// Its descriptors, by their place among those.
    pub(crate) files: usize,
    /// The object of its place in the file system.
    pub(crate) fs: usize,
    /// The object of its credentials.
    pub(crate) cred: usize,
    /// Which system calls it may make, as PR_GET_SECCOMP.
    pub(crate) seccomp: u32,
    /// The object of its newest filter.
    pub(crate) filter: Option<usize>,
    /// Its settings.
    pub(crate) settings: Settings,
    /// The processors that it may use.
    pub(crate) affinity: KVec<u8>,
    /// Which signals it blocks.
    pub(crate) mask: Mask,
    /// What it has registered.
    pub(crate) registered: Registered,
    /// The call that it goes on with.
    pub(crate) restart: Restart,
    /// Its registers, by set.
    pub(crate) regs: KVec<(u32, KVec<u8>)>,
    /// The signals that wait for it.
    pub(crate) pending: KVec<Siginfo>,
}

/// Everything that an image has, but for the content of memory.
#[derive(Default)]
pub(crate) struct Plan {
    /// By their numbers, less one.
    pub(crate) objects: KVVec<Object>,
    /// Parents first.
    pub(crate) processes: KVec<Process>,
    /// In the order of their processes.
    pub(crate) threads: KVVec<Thread>,
    /// Address spaces.
    pub(crate) mms: KVec<Mm>,
    /// Tables of descriptors.
    pub(crate) files: KVec<Files>,
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
        if self.processes.is_empty() {
            why.say(fmt!("an image without processes"));
            return Err(EBADMSG);
        }
        if self.clocks.is_none() {
            why.say(fmt!("an image without clocks"));
            return Err(EBADMSG);
        }
        if self.mms.iter().any(|mm| mm.owner.is_none()) {
            why.say(fmt!("an address space of no process"));
            return Err(EBADMSG);
        }
        // Tasks may be within the code of the vDSO, and know where what is in it.
        let other = |mm: &Mm| mm.layout.vdso != 0 && mm.layout.vdso_crc != ffi::vdso_crc();
        if self.mms.iter().any(other) {
            why.say(fmt!("an image of a kernel with another vDSO"));
            return Err(EOPNOTSUPP);
        }
        for process in &self.processes {
            let pid = process.state.pid;
            let mut threads = self.threads_of(process);
            let alive = threads.clone().any(|thread| thread.life.is_some());
            let first = threads.next().map_or(0, |thread| thread.tid);
            let has = |what: bool| what == alive;
            if first != pid || !alive && threads.next().is_some() {
                why.say(fmt!("pid {pid}: not the threads of a process"));
                return Err(EBADMSG);
            }
            if ![
                process.mm.is_some(),
                process.actions.is_some(),
                process.rlimits.is_some(),
                process.itimers.is_some(),
            ]
            .into_iter()
            .all(has)
            {
                why.say(fmt!("pid {pid}: a record is missing, or is one too many"));
                return Err(EBADMSG);
            }
            // Whoever has ended has no children, and nobody stops it.
            let idle =
                process.state.stop == 0 && process.pending.is_empty() && process.timers.is_empty();
            if !alive && (!idle || process.parent.is_none()) {
                why.say(fmt!("pid {pid}: it has ended, and yet it has not"));
                return Err(EBADMSG);
            }
        }
        if self.tids_clash()? {
            why.say(fmt!("a number of two threads"));
            return Err(EBADMSG);
        }
        for thread in &self.threads {
            let Some(life) = &thread.life else {
                continue;
            };
            let tid = thread.tid;
            let regs = REGSETS
                .iter()
                .all(|note| life.regs.iter().any(|(n, _)| n == note));
            if !regs {
                why.say(fmt!("pid {tid}: registers are missing"));
                return Err(EBADMSG);
            }
            let fits = |(note, set): &(u32, KVec<u8>)| set.len() == ffi::regs_size(*note);
            if !life.regs.iter().all(fits) {
                why.say(fmt!("pid {tid}: registers of another processor"));
                return Err(EOPNOTSUPP);
            }
        }
        Ok(())
    }

    /// Whether two threads have the same number.
    fn tids_clash(&self) -> Result<bool> {
        let mut tids = KVVec::with_capacity(self.threads.len(), GFP_KERNEL)?;
        for thread in &self.threads {
            tids.push(thread.tid, GFP_KERNEL)?;
        }
        tids.sort_unstable();
        Ok(tids.array_windows().any(|[tid, next]| tid == next))
    }

    /// The threads of a process, that with its number first.
    pub(crate) fn threads_of(&self, process: &Process) -> core::slice::Iter<'_, Thread> {
        let threads = self.threads.get(process.threads.clone());
        threads.unwrap_or_default().iter()
    }

    /// The address space that a frame belongs to, or the shared memory object.
    pub(crate) fn memory(&self, object: ObjectId) -> Option<(usize, &Object)> {
        // CAST: `usize` is larger.
        let index = object.number().checked_sub(1)? as usize;
        Some((index, self.objects.get(index)?))
    }

    /// The task of the first thread of a process, when it is there.
    ///
    /// # Errors
    ///
    /// `ESRCH` if it is not.
    pub(crate) fn leader(&self, process: &Process) -> Result<ARef<Task>> {
        let first = self.threads_of(process).next();
        first.and_then(|thread| thread.parking.task()).ok_or(ESRCH)
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
            Type::Pipe => {
                let body: image::Pipe = record.body()?;
                let pipe = Pipe {
                    size: body.size.get(),
                    pieces: KVVec::new(),
                };
                self.define(body.id, Object::Pipe(pipe))
            }
            Type::Piece => self.take_piece(record),
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
            Type::Files => {
                let body: image::Files = record.body()?;
                zero(body.reserved.get())?;
                self.define(body.id, Object::Files(self.files.len()))?;
                Ok(self.files.push(Files::default(), GFP_KERNEL)?)
            }
            Type::Fd => {
                let body: image::Fd = record.body()?;
                zero(body.reserved.get())?;
                let file = self.file(body.file)?;
                let fd = body.fd.get();
                let files = self.files.last_mut();
                let files = files.ok_or(Refusal::What("a descriptor of no table"))?;
                if body.flags.get() > 1 || files.fds.len() == MOST {
                    return Err(Refusal::What(
                        "a descriptor with unknown flags, or too many",
                    ));
                }
                if files.fds.last().is_some_and(|(before, ..)| *before >= fd) {
                    return Err(Refusal::What("descriptors out of order"));
                }
                let entry = (fd, body.flags.get() == 1, file);
                Ok(files.fds.push(entry, GFP_KERNEL)?)
            }
            Type::Fs => {
                let body: image::Fs = record.body()?;
                zero(body.reserved.get())?;
                let fs = Fs {
                    cwd: self.file(body.cwd)?,
                    umask: body.umask.get(),
                    owner: None,
                };
                self.define(body.id, Object::Fs(fs))
            }
            Type::Cred => self.take_cred(record),
            Type::Filter => self.take_filter(record),
            Type::Process => self.take_process(record),
            Type::Actions => self.take_actions(record),
            Type::Rlimits => {
                let _: image::Rlimits = record.body()?;
                let process = last(&mut self.processes)?;
                let mut words = record.tail.chunks_exact(8);
                if record.tail.len() != 8 * RLIMITS || process.rlimits.is_some() {
                    return Err(Refusal::What("not one limit for each resource"));
                }
                let mut limits = [0; RLIMITS];
                for (limit, word) in limits.iter_mut().zip(&mut words) {
                    *limit = word.try_into().map_or(0, u64::from_le_bytes);
                }
                process.rlimits = Some(limits);
                Ok(())
            }
            Type::Itimers => {
                let body: image::Itimers = record.body()?;
                let process = last(&mut self.processes)?;
                let timers = Itimers {
                    left: body.left.map(|time| time.get()),
                    interval: body.interval.map(|time| time.get()),
                };
                match process.itimers.replace(timers) {
                    None => Ok(()),
                    Some(_) => Err(Refusal::What("timers twice")),
                }
            }
            Type::Timer => self.take_timer(record),
            Type::Thread => self.take_thread(record),
            Type::Regs => {
                let body: image::Regs = record.body()?;
                zero(body.reserved.get())?;
                let life = self.life()?;
                let note = body.note.get();
                if !REGSETS.contains(&note) || life.regs.iter().any(|(seen, _)| *seen == note) {
                    return Err(Refusal::What("unknown registers, or the same once more"));
                }
                let mut set = KVec::new();
                set.extend_from_slice(record.tail, GFP_KERNEL)?;
                Ok(life.regs.push((note, set), GFP_KERNEL)?)
            }
            Type::Pending => self.take_pending(record),
            _ => Ok(()),
        }
    }

    fn take_file(&mut self, record: &Record<'_>) -> Result<(), Refusal> {
        let body: image::File = record.body()?;
        let opener = self.index(body.cred)?;
        let is_cred = |index| matches!(self.objects.get(index), Some(Object::Cred(..)));
        if !opener.is_none_or(is_cred) {
            return Err(Refusal::Malformed(Malformed::ObjectKind(
                body.cred.number(),
            )));
        }
        let state = FileState {
            position: body.position.get(),
            size: body.size.get(),
            flags: body.flags.get(),
            mode: body.mode.get(),
            rdev: body.rdev.get(),
        };
        let object = match self.index(body.of)? {
            None => Object::File(path(record.tail)?, state, opener),
            Some(_) if !record.tail.is_empty() => {
                return Err(Refusal::What("a file with a path that can have none"));
            }
            Some(index) => match self.objects.get(index) {
                Some(Object::Deleted(..) | Object::Pipe(_)) => Object::Open(index, state, opener),
                _ => return Err(Refusal::Malformed(Malformed::ObjectKind(body.of.number()))),
            },
        };
        self.define(body.id, object)
    }

    fn take_piece(&mut self, record: &Record<'_>) -> Result<(), Refusal> {
        let body: image::Piece = record.body()?;
        zero(body.reserved.get())?;
        let Some(Object::Pipe(pipe)) = self.objects.last_mut() else {
            return Err(Refusal::What("what is in a pipe, without that"));
        };
        // What is more than that does not fit.
        if body.packet.get() > 1 || record.tail.is_empty() || pipe.pieces.len() == MOST {
            return Err(Refusal::What("nothing in a pipe, or too much"));
        }
        let mut bytes = KVec::new();
        bytes.extend_from_slice(record.tail, GFP_KERNEL)?;
        let piece = (bytes, body.packet.get() == 1);
        Ok(pipe.pieces.push(piece, GFP_KERNEL)?)
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
        let origin = match (body.origin, self.memory(body.origin)) {
            (ObjectId::NONE, _) => None,
            (_, Some((_, Object::Mm(mm)))) => Some(*mm),
            (id, _) => return Err(Refusal::Malformed(Malformed::NoObject(id.number()))),
        };
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
            origin,
            owner: None,
        };
        self.define(body.id, Object::Mm(self.mms.len()))?;
        Ok(self.mms.push(mm, GFP_KERNEL)?)
    }

    fn take_vma(&mut self, record: &Record<'_>) -> Result<(), Refusal> {
        use crate::ffi::Vma as Kinds;

        let body: image::Vma = record.body()?;
        let object = self.index(body.object)?;
        let vma = Vma {
            start: body.start.get(),
            end: body.end.get(),
            offset: body.offset.get(),
            kind: body.kind.get(),
            flags: body.flags.get(),
            object,
            name: Name::new(record.tail).ok_or(Refusal::What("a name that is too long"))?,
            inherited: match body.inherited.get() {
                0 => false,
                1 => true,
                _ => return Err(Refusal::What("a mapping that is inherited more than once")),
            },
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
        let (mm, others) = self
            .mms
            .split_last_mut()
            .ok_or(Refusal::What("a mapping of no address space"))?;
        let before = mm.vmas.last().map_or(0, |vma| vma.end);
        let sound = vma.start >= before && vma.start < vma.end;
        if !sound || ![vma.start, vma.end, vma.offset].into_iter().all(aligned) {
            return Err(Refusal::What("a mapping that is none, or out of order"));
        }
        let origin = || others.get(mm.origin?)?.vmas_from(vma.start).next();
        if vma.inherited && !origin().is_some_and(|other| vma.is_of(other)) {
            return Err(Refusal::What("a mapping that the origin does not have"));
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

    fn take_process(&mut self, record: &Record<'_>) -> Result<(), Refusal> {
        let body: image::Process = record.body()?;
        zero(body.reserved.get())?;
        let count = self.processes.len();
        // CAST: `TASKS` is small.
        if body.number.get() as usize != count + 1 || count == TASKS {
            return Err(Refusal::What("a process out of order, or too many"));
        }
        // CAST: As above.
        let parent = (body.parent.get() as usize).checked_sub(1);
        if count == 0 && parent.is_some() || parent.is_some_and(|parent| parent >= count) {
            return Err(Refusal::What("a process without its parent"));
        }
        let ended = |parent: &Process| parent.mm.is_none();
        if parent
            .and_then(|parent| self.processes.get(parent))
            .is_some_and(ended)
        {
            return Err(Refusal::What("a child of a process that has ended"));
        }
        let mm = match (body.mm, self.memory(body.mm)) {
            (ObjectId::NONE, _) => None,
            (_, Some((_, Object::Mm(mm)))) => Some(*mm),
            _ => return Err(Refusal::Malformed(Malformed::NoObject(body.mm.number()))),
        };
        let of_parent = parent.and_then(|parent| self.processes.get(parent)?.mm);
        let origin = mm.and_then(|mm| self.mms.get(self.mms.get(mm)?.origin?));
        if origin.is_some_and(|origin| origin.owner.is_none()) {
            return Err(Refusal::What("a copy of an address space of nobody"));
        }
        match mm.and_then(|mm| self.mms.get_mut(mm)) {
            Some(of) if of.owner.is_some() && of_parent != mm => {
                return Err(Refusal::What("an address space of two strangers"));
            }
            Some(of) => of.owner = of.owner.or(Some(count)),
            None => {}
        }
        // CAST: Signed numbers are stored as they are.
        let state = ffi::Process {
            pid: body.pid.get() as i32,
            parent: 0,
            pgrp: body.pgrp.get() as i32,
            session: body.session.get() as i32,
            exit_signal: body.exit_signal.get() as i32,
            oom_score_adj: body.oom_score_adj.get() as i32,
            oom_score_adj_min: body.score_adj_min.get() as i32,
            dumpable: body.dumpable.get(),
            flags: body.flags.get(),
            stop: body.stop.get(),
            stop_told: body.stop_told.get(),
        };
        if [state.pid, state.pgrp, state.session]
            .iter()
            .any(|number| *number <= 0)
        {
            return Err(Refusal::What("a number that no process has"));
        }
        // Who leads a session leads its own group.
        let leads_alone = state.session == state.pid && state.pgrp != state.pid;
        if leads_alone || state.flags & !PROCESS_FLAGS != 0 {
            return Err(Refusal::What("a process that cannot be"));
        }
        if ffi::is_init(&state) && (count > 0 || state.pid != 1) {
            return Err(Refusal::What(
                "a pid namespace that begins with another process",
            ));
        }
        let mut before = self.processes.iter();
        if parent.is_none() && before.any(|first| ffi::is_init(&first.state)) {
            return Err(Refusal::What(
                "a process that came into its pid namespace from outside",
            ));
        }
        let threads = self.threads.len()..self.threads.len();
        let process = Process {
            parent,
            mm,
            state,
            actions: None,
            rlimits: None,
            itimers: None,
            timers: KVVec::new(),
            pending: KVec::new(),
            threads,
        };
        Ok(self.processes.push(process, GFP_KERNEL)?)
    }

    fn take_cred(&mut self, record: &Record<'_>) -> Result<(), Refusal> {
        let body: image::Cred = record.body()?;
        let words = record.tail.chunks_exact(4);
        if !words.remainder().is_empty() {
            return Err(Refusal::What("half a group"));
        }
        let mut groups = KVec::with_capacity(words.len(), GFP_KERNEL)?;
        for word in words {
            let group = word.try_into().map_or(0, u32::from_le_bytes);
            groups.push(group, GFP_KERNEL)?;
        }
        let cred = Cred {
            uid: body.uid.get(),
            euid: body.euid.get(),
            suid: body.suid.get(),
            fsuid: body.fsuid.get(),
            gid: body.gid.get(),
            egid: body.egid.get(),
            sgid: body.sgid.get(),
            fsgid: body.fsgid.get(),
            securebits: body.securebits.get(),
            inheritable: body.inheritable.get(),
            permitted: body.permitted.get(),
            effective: body.effective.get(),
            bounding: body.bounding.get(),
            ambient: body.ambient.get(),
        };
        self.define(body.id, Object::Cred(cred, groups))
    }

    fn take_filter(&mut self, record: &Record<'_>) -> Result<(), Refusal> {
        let body: image::Filter = record.body()?;
        zero(body.reserved.get())?;
        let older = self.index(body.older)?;
        let depth = match older.map(|older| self.objects.get(older)) {
            None => 0,
            Some(Some(Object::Filter(older))) => older.depth + 1,
            Some(_) => {
                return Err(Refusal::Malformed(Malformed::ObjectKind(
                    body.older.number(),
                )))
            }
        };
        // The kernel has fewer.
        if depth >= FILTERS || body.flags.get() & !FILTER_FLAGS != 0 {
            return Err(Refusal::What("too many filters, or one with unknown flags"));
        }
        // Eight bytes each.
        let whole = record.tail.len() % 8 == 0;
        if !whole || record.tail.is_empty() || record.tail.len() > FILTER {
            return Err(Refusal::What(
                "a filter without instructions, or with too many",
            ));
        }
        let mut insns = KVVec::new();
        insns.extend_from_slice(record.tail, GFP_KERNEL)?;
        let filter = Filter {
            older,
            depth,
            flags: body.flags.get(),
            insns,
            owner: None,
        };
        self.define(body.id, Object::Filter(filter))
    }

    /// A thread has a filter, and all that are older.
    fn own_filters(&mut self, newest: Option<usize>, thread: usize) -> Result<(), Refusal> {
        let mut next = newest;
        while let Some(index) = next {
            match self.objects.get_mut(index) {
                Some(Object::Filter(filter)) if filter.owner.is_none() => {
                    filter.owner = Some(thread);
                    next = filter.older;
                }
                Some(Object::Filter(_)) => break,
                _ => return Err(Refusal::What("a filter that is none")),
            }
        }
        Ok(())
    }

    fn take_actions(&mut self, record: &Record<'_>) -> Result<(), Refusal> {
        let _: image::Actions = record.body()?;
        let process = last(&mut self.processes)?;
        let size = size_of::<image::Action>();
        if record.tail.len() != SIGNALS * size || process.actions.is_some() {
            return Err(Refusal::What("not one action for each signal"));
        }
        let mut actions = KBox::new([Action::default(); SIGNALS], GFP_KERNEL)?;
        for (action, bytes) in actions.iter_mut().zip(record.tail.chunks_exact(size)) {
            if let Ok(stored) = image::Action::read_from_bytes(bytes) {
                *action = Action {
                    handler: stored.handler.get(),
                    flags: stored.flags.get(),
                    restorer: stored.restorer.get(),
                    mask: stored.mask.get(),
                };
            }
        }
        process.actions = Some(actions);
        Ok(())
    }

    fn take_timer(&mut self, record: &Record<'_>) -> Result<(), Refusal> {
        let body: image::Timer = record.body()?;
        let process = last(&mut self.processes)?;
        if process.timers.len() == MOST {
            return Err(Refusal::What("too many timers"));
        }
        // CAST: Signed numbers are stored as they are.
        let timer = Timer {
            id: body.id.get() as i32,
            clock: body.clock.get() as i32,
            notify: body.notify.get() as i32,
            signal: body.signal.get() as i32,
            thread: body.thread.get() as i32,
            flags: body.flags.get(),
            value: body.value.get(),
            left: body.left.get(),
            interval: body.interval.get(),
            overrun: body.overrun.get() as i64,
            overrun_last: body.overrun_last.get() as i64,
        };
        Ok(process.timers.push(timer, GFP_KERNEL)?)
    }

    fn take_thread(&mut self, record: &Record<'_>) -> Result<(), Refusal> {
        let body: image::Thread = record.body()?;
        let index = self.threads.len();
        // CAST: A signed number is stored as it is.
        let tid = body.tid.get() as i32;
        if tid <= 0 || index == TASKS {
            return Err(Refusal::What("a number that no thread has, or too many"));
        }
        if body.comm.last() != Some(&0) {
            return Err(Refusal::What("a name that is too long"));
        }
        let (life, parking) = match body.ended.get() {
            0 => (Some(self.take_life(&body, record.tail)?), Parking::new()?),
            1 => (None, Parking::of_ended(body.status.get())?),
            _ => return Err(Refusal::What("a thread that has ended, and has not")),
        };
        let count = self.processes.len();
        let process = last(&mut self.processes)?;
        if life.is_none() && !process.threads.is_empty() {
            return Err(Refusal::What("a thread that has ended, but leads nobody"));
        }
        process.threads.end += 1;
        let thread = Thread {
            process: count - 1,
            tid,
            life,
            comm: body.comm,
            parking,
        };
        Ok(self.threads.push(thread, GFP_KERNEL)?)
    }

    fn take_life(&mut self, body: &image::Thread, affinity: &[u8]) -> Result<Life, Refusal> {
        let index = self.threads.len();
        let no = |id: ObjectId| Refusal::Malformed(Malformed::NoObject(id.number()));
        let files = match self.memory(body.files) {
            Some((_, Object::Files(files))) => *files,
            _ => return Err(no(body.files)),
        };
        let fs = self.index(body.fs)?.ok_or_else(|| no(body.fs))?;
        match self.objects.get_mut(fs) {
            Some(Object::Fs(fs)) => fs.owner = fs.owner.or(Some(index)),
            _ => return Err(no(body.fs)),
        }
        let cred = self.index(body.cred)?.ok_or_else(|| no(body.cred))?;
        if !matches!(self.objects.get(cred), Some(Object::Cred(..))) {
            return Err(no(body.cred));
        }
        if let Some(files) = self.files.get_mut(files) {
            files.owner = files.owner.or(Some(index));
        }
        zero(body.reserved.get())?;
        let seccomp = body.seccomp.get();
        let filter = self.index(body.filter)?;
        if seccomp > SECCOMP_FILTER || filter.is_some() != (seccomp == SECCOMP_FILTER) {
            return Err(Refusal::What(
                "filters where there are none, or the other way",
            ));
        }
        self.own_filters(filter, index)?;
        if affinity.len() > AFFINITY {
            return Err(Refusal::What("too many processors"));
        }
        let mut cpus = KVec::new();
        cpus.extend_from_slice(affinity, GFP_KERNEL)?;
        Ok(Life {
            files,
            fs,
            cred,
            seccomp,
            filter,
            // CAST: Signed numbers are stored as they are.
            settings: Settings {
                personality: body.personality.get(),
                no_new_privs: body.no_new_privs.get(),
                timer_slack: body.timer_slack.get(),
                death_signal: body.death_signal.get(),
                comm: body.comm,
                policy: body.policy.get(),
                nice: body.nice.get() as i32,
                priority: body.priority.get(),
                sched_flags: body.sched_flags.get(),
                slice: body.slice.get(),
                io_priority: body.io_priority.get(),
                login: body.login.get(),
            },
            affinity: cpus,
            mask: Mask {
                blocked: body.blocked.get(),
                saved: body.saved.get(),
                stack: body.stack.get(),
                stack_size: body.stack_size.get(),
                stack_flags: body.stack_flags.get(),
                restore_saved: body.restore_saved.get(),
            },
            registered: Registered {
                rseq: body.rseq.get(),
                rseq_len: body.rseq_len.get(),
                rseq_sig: body.rseq_sig.get(),
                robust: body.robust.get(),
                clear_tid: body.clear_tid.get(),
            },
            // CAST: As above.
            restart: Restart {
                kind: body.restart.get(),
                clock: body.restart_clock.get(),
                address: body.restart_address.get(),
                count: body.restart_count.get(),
                left: body.restart_left.get() as i64,
            },
            regs: KVec::new(),
            pending: KVec::new(),
        })
    }

    /// What the last thread of the last process has.
    fn life(&mut self) -> Result<&mut Life, Refusal> {
        let process = self.processes.len();
        let thread = self.threads.last_mut();
        thread
            .filter(|thread| thread.process + 1 == process)
            .and_then(|thread| thread.life.as_mut())
            .ok_or(Refusal::What("a record of no thread"))
    }

    fn take_pending(&mut self, record: &Record<'_>) -> Result<(), Refusal> {
        let body: image::Pending = record.body()?;
        zero(body.reserved.get())?;
        if record.tail.len() != SIGINFO {
            return Err(Refusal::What("a signal without what is known of it"));
        }
        let mut info = Siginfo::default();
        for (word, bytes) in info.words.iter_mut().zip(record.tail.chunks_exact(8)) {
            *word = bytes.try_into().map_or(0, u64::from_le_bytes);
        }
        let pending = match body.shared.get() {
            0 => &mut self.life()?.pending,
            1 => {
                let process = last(&mut self.processes)?;
                if process.mm.is_none() || !process.threads.is_empty() {
                    return Err(Refusal::What("a signal for a process out of order"));
                }
                &mut process.pending
            }
            _ => return Err(Refusal::What("a signal for nobody")),
        };
        if pending.len() == MOST {
            return Err(Refusal::What("too many signals"));
        }
        Ok(pending.push(info, GFP_KERNEL)?)
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
pub(crate) fn aligned(bytes: u64) -> bool {
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

fn last(processes: &mut KVec<Process>) -> Result<&mut Process, Refusal> {
    let none = Refusal::What("a record of no process");
    processes.last_mut().ok_or(none)
}
