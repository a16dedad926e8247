// SPDX-License-Identifier: GPL-2.0

//! The metadata of an image: everything but the content of memory, which is listed.

use crate::{
    external::Open,
    ffi::{
        self,
        FileExt as _,
        MmExt,
        Pages,
        TaskExt,
        ARCH,
        PAGE_SHIFT,
        PAGE_SIZE,
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
    plan,
    tree::{
        Process,
        Tree, //
    }, //
};
use kernel::{
    cred::Credential,
    fs::File,
    mm::MmWithUser,
    prelude::*,
    rbtree::RBTree,
    sync::{
        aref::ARef,
        Arc, //
    },
    task::Task, //
};
use zerocopy::FromZeros as _;

/// The most that a set of registers, or the auxiliary vector, has in bytes.
const SCRATCH: usize = 32 << 10;

/// Memory whose content is to be saved.
pub(crate) enum Memory {
    /// What is private in an address space.
    Private(Private),
    /// All of shared memory, or of a deleted file.
    Shared {
        /// What to read it from; its position is moved.
        file: ARef<File>,
        /// Its object.
        object: ObjectId,
    },
}

/// What is private in an address space.
pub(crate) struct Private {
    /// The address space.
    pub(crate) mm: ARef<MmWithUser>,
    /// Its object.
    pub(crate) object: ObjectId,
    /// Where it is.
    pub(crate) ranges: KVVec<Range>,
    /// What it was copied from, by the place in the list of all memory.
    pub(crate) origin: Option<usize>,
}

/// Addresses within one mapping.
pub(crate) struct Range {
    /// The first one.
    pub(crate) start: u64,
    /// The one behind the last.
    pub(crate) end: u64,
    /// Whether the origin maps the same there.
    pub(crate) inherited: bool,
}

impl Memory {
    /// The address space.
    pub(crate) fn mm(&self) -> Option<&MmWithUser> {
        match self {
            Self::Private(private) => Some(&private.mm),
            Self::Shared { .. } => None,
        }
    }
}

/// What was saved so far.
pub(crate) struct Saved {
    /// Goes on with the image.
    pub(crate) writer: Writer,
    /// The records.
    pub(crate) bytes: VVec<u8>,
    /// The content that is still to be saved.
    pub(crate) memory: KVec<Memory>,
}

/// Saves processes that were checked, and are at rest.
///
/// # Errors
///
/// `ENOMEM`, and `EAGAIN` if one of them has gone meanwhile.
pub(crate) fn save(tree: &Tree, open: &Open<'_>, note: &[u8]) -> Result<Saved> {
    let mut save = Save {
        saved: Saved::new()?,
        open,
        known: RBTree::new(),
        objects: 0,
        spaces: KVec::new(),
        pages: Pages::new()?,
        scratch: KVVec::from_elem(0, SCRATCH, GFP_KERNEL)?,
    };
    save.saved
        .put(&image::Release {}, &[ffi::release().as_bytes()])?;
    save.saved
        .put(&image::Identity { uuid: ffi::uuid() }, &[])?;
    if !note.is_empty() {
        save.saved.put(&image::Note {}, &[note])?;
    }
    let clocks = tree.iter().find_map(Process::thread).ok_or(ESRCH)?.clocks();
    // CAST: Clocks start at zero.
    let body = image::Clocks {
        monotonic: (clocks.monotonic as u64).into(),
        boottime: (clocks.boottime as u64).into(),
    };
    save.saved.put(&body, &[])?;
    for (index, process) in tree.iter().enumerate() {
        // CAST: There are few processes.
        save.process(process, index as u32 + 1)?;
    }
    Ok(save.saved)
}

impl Saved {
    fn new() -> Result<Self> {
        let mut bytes = VVec::from_elem(0, 256, GFP_KERNEL)?;
        let header = Header::new(ARCH, PAGE_SHIFT, 0);
        let (writer, size) = Writer::start(&header, &mut bytes).map_err(|_| EINVAL)?;
        bytes.truncate(size);
        Ok(Self {
            writer,
            bytes,
            memory: KVec::new(),
        })
    }

    /// Takes copies of the memory that is still to be saved: its tasks may go on.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, and those of reading a deleted file.
    pub(crate) fn detach(&mut self) -> Result {
        for memory in &mut self.memory {
            match memory {
                Memory::Private(private) => private.mm = private.mm.snapshot()?,
                Memory::Shared { file, .. } => *file = copy(file)?,
            }
        }
        Ok(())
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

/// Copies shared memory, or a file.
fn copy(file: &File) -> Result<ARef<File>> {
    // CAST: A small constant.
    let size = file.state().size.next_multiple_of(PAGE_SIZE as u64);
    let copy = ffi::shmem(size)?;
    let mut pages = Pages::new()?;
    let mut from = 0;
    let mut more = true;
    while more {
        more = pages.file(file, &mut from)?;
        pages.to_places_in(&copy)?;
        pages.put();
    }
    Ok(copy)
}

/// An address space that was saved.
struct Space {
    id: ObjectId,
    /// Its mappings, each with the family of its private pages.
    vmas: KVVec<(plan::Vma, u64)>,
    /// Its place in the list of all memory.
    memory: usize,
}

impl Space {
    /// Whether a mapping of a copy can have the same private pages.
    fn has(&self, vma: &plan::Vma, of: u64) -> bool {
        let first = self
            .vmas
            .partition_point(|(other, _)| other.end <= vma.start);
        self.vmas
            .get(first)
            .is_some_and(|(other, family)| of != 0 && *family == of && vma.is_of(other))
    }
}

/// How often another child of a process can take the place of the one that those after it are
/// copied from: with each time, the kernel needs one entry more for each mapping of those.
const LEVELS: usize = 16;

/// What children of a process may have pages of.
struct Spaces {
    /// Its own address space.
    own: Arc<Space>,
    /// That of a child: what the process has written to since, other children may still have.
    child: Option<Arc<Space>>,
    /// That of a later child, if it has less in common with the former. Those after it may be like
    /// it, since the process has written to something in between, or only it is different.
    later: Option<Arc<Space>>,
    /// How many pages the last child has in common with the former.
    usual: usize,
    /// How often a later one took its place.
    levels: usize,
}

/// How many pages the address space of a child has in common with what it may be a copy of.
#[derive(Clone, Copy, Default)]
struct InCommon {
    own: usize,
    child: usize,
    later: usize,
}

impl Spaces {
    fn new(own: Arc<Space>) -> Self {
        Self {
            own,
            child: None,
            later: None,
            usual: 0,
            levels: 0,
        }
    }

    /// What there is most in common with.
    fn origin(&self, in_common: InCommon) -> &Arc<Space> {
        let (mut origin, mut most) = (&self.own, in_common.own);
        for (space, nr) in [
            (&self.child, in_common.child),
            (&self.later, in_common.later),
        ] {
            if let Some(space) = space.as_ref().filter(|_| nr > most) {
                (origin, most) = (space, nr);
            }
        }
        origin
    }

    /// Notes the address space of the next child that has another.
    fn has_child(&mut self, space: &Arc<Space>, in_common: InCommon) {
        if self.child.is_none() {
            self.child = Some(space.clone());
            return;
        }
        let less = in_common.child < self.usual;
        self.usual = in_common.child;
        match self.later.take() {
            Some(later) if in_common.later > in_common.child => {
                self.usual = in_common.later;
                self.child = Some(later);
                self.levels += 1;
            }
            None if less && self.levels < LEVELS => self.later = Some(space.clone()),
            _ => {}
        }
    }
}

struct Save<'a> {
    saved: Saved,
    /// What is not saved.
    open: &'a Open<'a>,
    /// The objects so far, by what tells each from all others.
    known: RBTree<usize, ObjectId>,
    /// Their number.
    objects: usize,
    /// The address spaces of the processes so far; none of those that have ended.
    spaces: KVec<Option<Spaces>>,
    /// Room to compare some.
    pages: Pages,
    scratch: KVVec<u8>,
}

impl Save<'_> {
    /// The object of something, if it has one already.
    fn find(&self, key: usize) -> Option<ObjectId> {
        self.known.get(&key).copied()
    }

    /// The object of something, and whether it is new.
    fn object(&mut self, key: usize) -> Result<(ObjectId, bool)> {
        if let Some(id) = self.find(key) {
            return Ok((id, false));
        }
        if self.objects == plan::MOST {
            return Err(E2BIG);
        }
        self.objects += 1;
        // CAST: Memory ends before that.
        let id = ObjectId::new(self.objects as u32);
        self.known.try_create_and_insert(key, id, GFP_KERNEL)?;
        Ok((id, true))
    }

    /// An open file that a process with these credentials has.
    fn file(&mut self, file: &File, owner: &Credential) -> Result<ObjectId> {
        if let Some(id) = self.find(file.key()) {
            return Ok(id);
        }
        // What it is an open one of comes first, and who has opened it.
        let of = match (file.pipe_key(), file.deleted_key()) {
            _ if self.open.name(file).is_some() => ObjectId::NONE,
            (Some((key, _)), _) => self.pipe(key, file)?,
            (None, Some(key)) => self.deleted(key, file)?,
            (None, None) => ObjectId::NONE,
        };
        let cred = match file.opener(owner) {
            Some(cred) if self.open.name(file).is_none() => self.cred(cred)?,
            _ => ObjectId::NONE,
        };
        let (id, _) = self.object(file.key())?;
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
                of,
                cred,
            };
            let room = self.scratch.get_mut(..PATH_MAX).ok_or(EINVAL)?;
            let path = match of {
                ObjectId::NONE => file.path(room)?,
                _ => &[],
            };
            self.saved.put(&body, &[path])?;
        }
        Ok(id)
    }

    fn pipe(&mut self, key: usize, file: &File) -> Result<ObjectId> {
        let (id, new) = self.object(key)?;
        if new {
            let body = image::Pipe {
                id,
                size: file.pipe_size().into(),
            };
            self.saved.put(&body, &[])?;
            let mut nr = 0;
            while let Some((piece, packet)) = file.pipe_piece(nr, &mut self.scratch)? {
                let body = image::Piece {
                    packet: u32::from(packet).into(),
                    reserved: 0.into(),
                };
                self.saved.put(&body, &[piece])?;
                nr += 1;
            }
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

    /// How many pages an address space with these mappings has in common with another one, judged
    /// by the beginning of each mapping.
    fn in_common(
        &mut self,
        mm: &MmWithUser,
        vmas: &[(plan::Vma, u64)],
        space: Option<&Arc<Space>>,
    ) -> Result<usize> {
        let Some(space) = space else {
            return Ok(0);
        };
        let other = self.saved.memory.get(space.memory);
        let other = other.and_then(Memory::mm).ok_or(EINVAL)?;
        let mut nr = 0;
        for (vma, family) in vmas {
            if space.has(vma, *family) {
                nr += self.pages.in_common(mm, other, vma.start, vma.end)?;
            }
        }
        Ok(nr)
    }

    /// How many pages it has in common with each that it may be a copy of, if there are several.
    fn compare(
        &mut self,
        mm: &MmWithUser,
        vmas: &[(plan::Vma, u64)],
        parent: &Spaces,
    ) -> Result<InCommon> {
        if parent.child.is_none() {
            return Ok(InCommon::default());
        }
        Ok(InCommon {
            own: self.in_common(mm, vmas, Some(&parent.own))?,
            child: self.in_common(mm, vmas, parent.child.as_ref())?,
            later: self.in_common(mm, vmas, parent.later.as_ref())?,
        })
    }

    /// The address space of the next process, whose parent has these, and is told of it.
    fn mm(
        &mut self,
        mm: ARef<MmWithUser>,
        parent: Option<&mut Spaces>,
        owner: &Credential,
    ) -> Result<Arc<Space>> {
        let key = MmExt::raw(&*mm) as usize;
        if let (Some(parent), Some(id)) = (&parent, self.find(key)) {
            if parent.own.id == id {
                return Ok(parent.own.clone());
            }
        }
        // What the records of the mappings refer to comes first.
        let exe = match mm.exe() {
            Some(exe) => self.file(&exe, owner)?,
            None => ObjectId::NONE,
        };
        let mut vmas: KVVec<(plan::Vma, u64)> = KVVec::new();
        let mut ranges = KVVec::new();
        let mut guards = KVVec::new();
        let mut from = 0;
        while let Some((vma, _)) = mm.vma(from)? {
            from = vma.end;
            let object = match &vma.file {
                Some(file) if vma.has_name() => self.file(file, owner)?,
                Some(file) => self.shm(file)?,
                None => ObjectId::NONE,
            };
            let mut at = vma.start;
            while let Some(start) = mm.guard(&vma, &mut at)? {
                guards.push((vma.start, start, at), GFP_KERNEL)?;
            }
            let family = vma.family;
            let vma = plan::Vma {
                start: vma.start,
                end: vma.end,
                offset: vma.offset,
                kind: vma.kind,
                flags: vma.flags,
                // CAST: Memory ends before that.
                object: object.number().checked_sub(1).map(|index| index as usize),
                name: vma.name,
                inherited: false,
            };
            vmas.push((vma, family), GFP_KERNEL)?;
        }
        let (origin, in_common) = match &parent {
            Some(parent) => {
                let in_common = self.compare(&mm, &vmas, parent)?;
                (Some(parent.origin(in_common).clone()), in_common)
            }
            None => (None, InCommon::default()),
        };
        for (vma, family) in &mut vmas {
            vma.inherited = origin
                .as_ref()
                .is_some_and(|origin| origin.has(vma, *family));
            if ffi::Vma::can_be_private(vma.kind) {
                let range = Range {
                    start: vma.start,
                    end: vma.end,
                    inherited: vma.inherited,
                };
                ranges.push(range, GFP_KERNEL)?;
            }
        }
        let inherits = ranges.iter().any(|range: &Range| range.inherited);
        let origin = origin.filter(|_| inherits);

        let (id, _) = self.object(key)?;
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
            origin: origin.as_ref().map_or(ObjectId::NONE, |origin| origin.id),
        };
        let size = mm.auxv(&mut self.scratch);
        let auxv = self.scratch.get(..size).ok_or(E2BIG)?;
        self.saved.put(&body, &[auxv])?;
        let mut guards = guards.iter().peekable();
        for (vma, _) in &vmas {
            let body = image::Vma {
                // CAST: There are few objects.
                object: vma
                    .object
                    .map_or(ObjectId::NONE, |index| ObjectId::new(index as u32 + 1)),
                kind: vma.kind.into(),
                flags: vma.flags.into(),
                inherited: u32::from(vma.inherited).into(),
                start: vma.start.into(),
                end: vma.end.into(),
                offset: vma.offset.into(),
            };
            self.saved.put(&body, &[vma.name.as_bytes()])?;
            while let Some((_, start, end)) = guards.next_if(|(of, ..)| *of == vma.start) {
                let body = image::Guard {
                    start: (*start).into(),
                    end: (*end).into(),
                };
                self.saved.put(&body, &[])?;
            }
        }
        let memory = self.saved.memory.len();
        let private = Private {
            mm,
            object: id,
            ranges,
            origin: origin.map(|origin| origin.memory),
        };
        self.saved
            .memory
            .push(Memory::Private(private), GFP_KERNEL)?;
        let space = Arc::new(Space { id, vmas, memory }, GFP_KERNEL)?;
        if let Some(parent) = parent {
            parent.has_child(&space, in_common);
        }
        Ok(space)
    }

    /// The table of open files of a thread.
    fn files(&mut self, task: &Task) -> Result<ObjectId> {
        let (key, _) = task.files_key();
        if let Some(id) = self.find(key) {
            return Ok(id);
        }
        // What the descriptors refer to comes first.
        let cred = task.cred();
        let mut fds = KVVec::new();
        let mut from = 0;
        while let Some((fd, cloexec, file)) = task.file(from) {
            from = fd + 1;
            let body = image::Fd {
                fd: fd.into(),
                flags: u32::from(cloexec).into(),
                file: self.file(&file, &cred)?,
                reserved: 0.into(),
            };
            fds.push(body, GFP_KERNEL)?;
        }
        let (id, _) = self.object(key)?;
        let body = image::Files {
            id,
            reserved: 0.into(),
        };
        self.saved.put(&body, &[])?;
        for fd in &fds {
            self.saved.put(fd, &[])?;
        }
        Ok(id)
    }

    /// Where a thread is in the file system.
    fn fs(&mut self, task: &Task) -> Result<ObjectId> {
        let (key, _) = task.fs_key();
        if let Some(id) = self.find(key) {
            return Ok(id);
        }
        let (cwd, umask) = task.cwd()?;
        let cwd = self.file(&cwd, &task.cred())?;
        let (id, _) = self.object(key)?;
        let body = image::Fs {
            id,
            cwd,
            umask: umask.into(),
            reserved: 0.into(),
        };
        self.saved.put(&body, &[])?;
        Ok(id)
    }

    /// The credentials of a thread.
    fn cred(&mut self, cred: &Credential) -> Result<ObjectId> {
        // CAST: An address.
        let (id, new) = self.object(cred.as_ptr() as usize)?;
        if new {
            let (cred, groups) = ffi::cred(cred)?;
            let body = image::Cred {
                id,
                uid: cred.uid.into(),
                euid: cred.euid.into(),
                suid: cred.suid.into(),
                fsuid: cred.fsuid.into(),
                gid: cred.gid.into(),
                egid: cred.egid.into(),
                sgid: cred.sgid.into(),
                fsgid: cred.fsgid.into(),
                securebits: cred.securebits.into(),
                inheritable: cred.inheritable.into(),
                permitted: cred.permitted.into(),
                effective: cred.effective.into(),
                bounding: cred.bounding.into(),
                ambient: cred.ambient.into(),
            };
            self.saved.put(&body, &[groups.as_bytes()])?;
        }
        Ok(id)
    }

    /// The filters of a thread; the newest one, if there is any.
    fn filters(&mut self, task: &Task) -> Result<ObjectId> {
        if task.seccomp() != ffi::SECCOMP_FILTER {
            return Ok(ObjectId::NONE);
        }
        // As far as they are new; the others it has in common with somebody.
        let (mut new, mut newest) = (0, ObjectId::NONE);
        loop {
            match task.seccomp_filter(new, &mut []) {
                Err(error) if error == ENOENT => break,
                // CAST: An address.
                filter => match self.find(filter?.key as usize) {
                    Some(known) => {
                        newest = known;
                        break;
                    }
                    None => new += 1,
                },
            }
        }
        for newer in (0..new).rev() {
            let filter = task.seccomp_filter(newer, &mut self.scratch)?;
            // CAST: An address.
            let (id, _) = self.object(filter.key as usize)?;
            let body = image::Filter {
                id,
                older: newest,
                flags: filter.flags.into(),
                reserved: 0.into(),
            };
            // CAST: At most `FILTER`.
            let insns = self.scratch.get(..filter.size as usize).ok_or(E2BIG)?;
            self.saved.put(&body, &[insns])?;
            newest = id;
        }
        Ok(newest)
    }

    /// The address space of a process, if it has not ended, which is kept to be compared with those
    /// of its children.
    fn space(&mut self, process: &Process) -> Result<ObjectId> {
        let Some(thread) = process.thread() else {
            self.spaces.push(None, GFP_KERNEL)?;
            return Ok(ObjectId::NONE);
        };
        let mm = TaskExt::mm(thread).ok_or(EAGAIN)?;
        // It is looked at beside all others, and goes back.
        let slot = process.parent.and_then(|at| self.spaces.get_mut(at));
        let mut parent = slot.and_then(Option::take);
        let own = self.mm(mm, parent.as_mut(), &thread.cred())?;
        if let Some(slot) = process.parent.and_then(|at| self.spaces.get_mut(at)) {
            *slot = parent;
        }
        let id = own.id;
        self.spaces.push(Some(Spaces::new(own)), GFP_KERNEL)?;
        Ok(id)
    }

    fn process(&mut self, process: &Process, number: u32) -> Result {
        let mm = self.space(process)?;
        for thread in &process.threads {
            self.files(thread)?;
            self.fs(thread)?;
            self.cred(&thread.cred())?;
            self.filters(thread)?;
        }
        let state = &process.state;
        // CAST: There are few processes.
        let parent = process.parent.map_or(0, |parent| parent as u32 + 1);
        // CAST: Signed numbers are stored as they are.
        let body = image::Process {
            number: number.into(),
            parent: parent.into(),
            pid: (state.pid as u32).into(),
            pgrp: (state.pgrp as u32).into(),
            session: (state.session as u32).into(),
            exit_signal: (state.exit_signal as u32).into(),
            dumpable: state.dumpable.into(),
            oom_score_adj: (state.oom_score_adj as u32).into(),
            score_adj_min: (state.oom_score_adj_min as u32).into(),
            mm,
            flags: state.flags.into(),
            stop: state.stop.into(),
            stop_told: state.stop_told.into(),
            reserved: 0.into(),
        };
        self.saved.put(&body, &[])?;
        if let Some(thread) = process.thread() {
            let actions = thread.actions()?.map(|action| image::Action {
                handler: action.handler.into(),
                flags: action.flags.into(),
                restorer: action.restorer.into(),
                mask: action.mask.into(),
            });
            self.saved.put(&image::Actions {}, &[actions.as_bytes()])?;
            let rlimits = thread.rlimits();
            self.saved.put(&image::Rlimits {}, &[rlimits.as_bytes()])?;
            let timers = thread.itimers()?;
            let body = image::Itimers {
                left: timers.left.map(Into::into),
                interval: timers.interval.map(Into::into),
            };
            self.saved.put(&body, &[])?;
            self.timers(thread)?;
            self.pending(thread, true)?;
        }
        if process.leader.has_ended() {
            self.ended(&process.leader)?;
        }
        for thread in &process.threads {
            self.thread(thread)?;
        }
        Ok(())
    }

    fn timers(&mut self, task: &Task) -> Result {
        for timer in &task.timers()? {
            // CAST: Signed numbers are stored as they are.
            let body = image::Timer {
                id: (timer.id as u32).into(),
                clock: (timer.clock as u32).into(),
                notify: (timer.notify as u32).into(),
                signal: (timer.signal as u32).into(),
                thread: (timer.thread as u32).into(),
                flags: timer.flags.into(),
                value: timer.value.into(),
                left: timer.left.into(),
                interval: timer.interval.into(),
                overrun: (timer.overrun as u64).into(),
                overrun_last: (timer.overrun_last as u64).into(),
            };
            self.saved.put(&body, &[])?;
        }
        Ok(())
    }

    fn pending(&mut self, task: &Task, shared: bool) -> Result {
        let body = image::Pending {
            shared: u32::from(shared).into(),
            reserved: 0.into(),
        };
        for info in &task.pending(shared)? {
            self.saved.put(&body, &[info.words.as_bytes()])?;
        }
        Ok(())
    }

    /// A thread of which nothing is left but its number.
    fn ended(&mut self, task: &Task) -> Result {
        let mut body = image::Thread::new_zeroed();
        // CAST: A number.
        body.tid = (task.tid() as u32).into();
        body.ended = 1.into();
        body.status = task.status().into();
        body.comm = task.settings().comm;
        self.saved.put(&body, &[])
    }

    fn thread(&mut self, task: &Task) -> Result {
        let settings = task.settings();
        let mask = task.mask();
        let registered = task.registered();
        let restart = task.restart()?;
        let body = image::Thread {
            // CAST: Signed numbers are stored as they are.
            tid: (task.tid() as u32).into(),
            ended: 0.into(),
            status: 0.into(),
            personality: settings.personality.into(),
            files: self.files(task)?,
            fs: self.fs(task)?,
            cred: self.cred(&task.cred())?,
            death_signal: settings.death_signal.into(),
            no_new_privs: settings.no_new_privs.into(),
            timer_slack: settings.timer_slack.into(),
            comm: settings.comm,
            policy: settings.policy.into(),
            // CAST: As above.
            nice: (settings.nice as u32).into(),
            priority: settings.priority.into(),
            sched_flags: settings.sched_flags.into(),
            slice: settings.slice.into(),
            io_priority: settings.io_priority.into(),
            login: settings.login.into(),
            reserved: 0.into(),
            stack_flags: mask.stack_flags.into(),
            stack: mask.stack.into(),
            stack_size: mask.stack_size.into(),
            blocked: mask.blocked.into(),
            saved: mask.saved.into(),
            restore_saved: mask.restore_saved.into(),
            rseq_sig: registered.rseq_sig.into(),
            rseq: registered.rseq.into(),
            rseq_len: registered.rseq_len.into(),
            restart: restart.kind.into(),
            robust: registered.robust.into(),
            clear_tid: registered.clear_tid.into(),
            restart_address: restart.address.into(),
            restart_count: restart.count.into(),
            // CAST: As above.
            restart_left: (restart.left as u64).into(),
            restart_clock: restart.clock.into(),
            seccomp: task.seccomp().into(),
            filter: self.filters(task)?,
        };
        let size = task.affinity(&mut self.scratch);
        let affinity = self.scratch.get(..size).ok_or(E2BIG)?;
        self.saved.put(&body, &[affinity])?;
        for note in ffi::REGSETS {
            let size = task.regs(note, &mut self.scratch)?;
            let set = self.scratch.get(..size).ok_or(E2BIG)?;
            let body = image::Regs {
                note: note.into(),
                reserved: 0.into(),
            };
            self.saved.put(&body, &[set])?;
        }
        self.pending(task, false)
    }
}
