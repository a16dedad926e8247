// SPDX-License-Identifier: GPL-2.0

//! The coordinator of a restore: it reads the image, makes the first task, gives the tasks their
//! groups, memory and registers when they wait, and lets them go when all of it was right.

use crate::{
    container::Container,
    external::Externals,
    ffi::{
        self,
        Cgroup,
        FileExt as _,
        Groups,
        MmExt as _,
        Shares,
        TaskExt,
        ARCH,
        PAGE_SHIFT, //
    },
    image::{
        self,
        Buffer,
        Kind,
        Limits,
        Malformed,
        Memory,
        Reader,
        Record,
        Type, //
    },
    incoming::Image,
    plan::{
        self,
        Object,
        Pipe,
        Plan,
        Process,
        Thread, //
    },
    rebuild::Rebuild,
    why::Why, //
};
use kernel::{
    cred::Credential,
    fs::File,
    mm::MmWithUser,
    prelude::*,
    sync::{
        aref::ARef,
        Arc, //
    },
    task::Task, //
};

/// What an image may have.
const LIMITS: Limits = Limits {
    records: 1 << 20,
    metadata: 256 << 20,
    data: u64::MAX,
};

/// How much content is copied at once, in bytes.
const PIECE: usize = 64 << 10;

/// How long the new tasks may take until they are frozen, in ms.
const PATIENCE: u32 = 10_000;

/// What is restored, for all of the new tasks.
pub(crate) struct Restore {
    /// What the image says.
    pub(crate) plan: Plan,
    /// The open files of the objects, by their index; none for an address space.
    files: KVVec<Option<ARef<File>>>,
}

impl Restore {
    /// The open file of an object.
    ///
    /// # Errors
    ///
    /// `EINVAL` if it is not one.
    pub(crate) fn file(&self, object: usize) -> Result<&File> {
        let file = self.files.get(object).and_then(Option::as_deref);
        file.ok_or(EINVAL)
    }
}

/// Restores a container into an empty cgroup, which is kept frozen, and returns it with the number
/// of its first process.
///
/// # Errors
///
/// `EBADMSG` if the image is not right, `EBUSY` if the cgroup is not empty, and those of everything
/// that is made. Then nothing is left.
pub(crate) fn restore(
    image: ARef<File>,
    cgroup: i32,
    externals: &Externals,
    why: &mut Why,
) -> Result<(Container, i32)> {
    let source = Image::new(image)?;
    let target = Cgroup::from_fd(cgroup)?;
    if !target.is_empty() {
        why.say(fmt!("the cgroup has tasks"));
        return Err(EBUSY);
    }
    // New tasks could not make others.
    if target.is_frozen() {
        why.say(fmt!("the cgroup is frozen"));
        return Err(EBUSY);
    }
    let mut buffer = KVBox::<Buffer>::zeroed(GFP_KERNEL)?;
    let (mut reader, header) =
        Reader::open(source, LIMITS, &mut buffer).map_err(|error| explain(error, why))?;
    if (header.arch.get(), header.page_shift.get()) != (ARCH, PAGE_SHIFT) {
        why.say(fmt!("an image of another machine"));
        return Err(EOPNOTSUPP);
    }

    let mut piece: KVVec<u8> = KVVec::from_elem(0, PIECE, GFP_KERNEL)?;
    let mut plan = Plan::default();
    let mut family = None;
    while let Some(record) = reader
        .next(&mut buffer)
        .map_err(|error| explain(error, why))?
    {
        if record.kind == Kind::Known(Type::Abort) {
            why.say(fmt!("the image ends early: {}", record.text()));
            return Err(EBADMSG);
        }
        let of_memory = matches!(record.kind, Kind::Known(Type::Pages | Type::Hole));
        if !of_memory {
            // Who has tasks needs no more; notes may be anywhere.
            let noted = matches!(
                record.kind,
                Kind::Unknown(_)
                    | Kind::Known(Type::Pad | Type::Release | Type::Identity | Type::Note)
            );
            if family.is_some() && !noted {
                why.say(fmt!("byte {}: metadata behind memory", record.at));
                return Err(EBADMSG);
            }
            plan.take(&record, why)?;
            continue;
        }
        let family = match &mut family {
            Some(family) => family,
            family => {
                let plan = core::mem::take(&mut plan);
                family.insert(Family::new(plan, (cgroup, &target), externals, why)?)
            }
        };
        if record.kind == Kind::Known(Type::Hole) {
            family.hole(&record, why)?;
            continue;
        }
        let frame = Frame::new(&record, &header, family, why)?;
        frame.fill(&mut reader, &mut piece, &target, why)?;
    }
    let family = match family {
        Some(family) => family,
        None => Family::new(plan, (cgroup, &target), externals, why)?,
    };
    family.release(target, why)
}

/// Says what is wrong with an image, and which error that is.
fn explain(error: image::Error<Error>, why: &mut Why) -> Error {
    match error {
        image::Error::Source(error) => {
            why.say(fmt!("the image cannot be read: {error:?}"));
            error
        }
        image::Error::Malformed(fault) => {
            why.say(format_args!("{fault}"));
            match fault.what {
                Malformed::Truncated => EPIPE,
                _ => EBADMSG,
            }
        }
        image::Error::Misuse => EINVAL,
    }
}

/// Where the content of a frame goes.
struct Frame {
    to: Target,
    position: u64,
    bytes: u64,
    /// Whether it has a checksum.
    checked: bool,
}

enum Target {
    Private(ARef<MmWithUser>),
    /// A file of this size.
    Shared(ARef<File>, u64),
}

impl Frame {
    fn new(
        record: &Record<'_>,
        header: &image::Header,
        family: &mut Family,
        why: &mut Why,
    ) -> Result<Self> {
        let frame = record.frame(header).map_err(|fault| {
            why.say(format_args!("{fault}"));
            EBADMSG
        })?;
        let restore = family.restore.clone();
        let to = match (frame.memory, restore.plan.memory(frame.object)) {
            (Memory::Private, Some((_, Object::Mm(mm)))) => {
                Target::Private(family.incomplete(*mm, record.at, why)?)
            }
            (Memory::Shared, Some((index, Object::Shm(size))))
                if frame.position + frame.bytes <= *size =>
            {
                Target::Shared(restore.file(index)?.into(), *size)
            }
            // The last page goes on behind the end of the file.
            (Memory::Shared, Some((index, Object::Deleted(_, state))))
                if (frame.position + frame.bytes - 1) >> PAGE_SHIFT
                    < state.size.div_ceil(1 << PAGE_SHIFT) =>
            {
                Target::Shared(restore.file(index)?.into(), state.size)
            }
            _ => {
                why.say(fmt!("byte {}: memory of no object", record.at));
                return Err(EBADMSG);
            }
        };
        Ok(Self {
            to,
            position: frame.position,
            bytes: frame.bytes,
            checked: header.data_crc(),
        })
    }

    /// Reads content to where it belongs, if that pays, and returns how many bytes: the rest is
    /// read otherwise, or found missing.
    fn read(&self, mm: &MmWithUser, reader: &mut Reader<Image>, why: &mut Why) -> Result<u64> {
        let mut done = 0;
        // CAST: A small constant.
        while !self.checked && self.bytes - done >= PIECE as u64 {
            let at = self.position + done;
            // CAST: What does not fit is read the next time.
            let most = (self.bytes - done).min(1 << 30) as usize;
            let read = mm.read(at, most, reader.source().file());
            let read = read.inspect_err(|error| {
                why.say(fmt!("memory at {at:#x} cannot be read: {error:?}"));
            })?;
            // CAST: `usize` is at most 64 bits.
            let took = reader.took_unseen(read as u64);
            took.map_err(|error| explain(error, why))?;
            // CAST: As above.
            done += read as u64;
            // Where the image ends.
            if read == 0 || !plan::aligned(done) {
                break;
            }
        }
        Ok(done)
    }

    /// Copies the content, as much at once as there is room for.
    fn fill(
        &self,
        reader: &mut Reader<Image>,
        room: &mut [u8],
        target: &Cgroup,
        why: &mut Why,
    ) -> Result {
        let mut at = self.position;
        let end = self.position + self.bytes;
        if let Target::Private(mm) = &self.to {
            at += self.read(mm, reader, why)?;
        }
        while at < end {
            let read = reader
                .read_data(room)
                .map_err(|error| explain(error, why))?;
            let bytes = room.get(..read).ok_or(EINVAL)?;
            let filled = match &self.to {
                Target::Private(mm) => mm.fill(at, bytes),
                Target::Shared(file, size) => {
                    // CAST: At most a piece.
                    let left = size.saturating_sub(at).min(bytes.len() as u64) as usize;
                    let bytes = bytes.get(..left).unwrap_or_default();
                    target.charged(|| file.write(bytes, at))
                }
            };
            if let Err(error) = filled {
                why.say(fmt!("memory at {at:#x} cannot be written: {error:?}"));
                return Err(error);
            }
            // CAST: At most a piece.
            at += read as u64;
        }
        Ok(())
    }
}

/// Makes a pipe, with what is in it.
fn fill_pipe(pipe: &Pipe) -> Result<ARef<File>> {
    let both = ffi::make_pipe(pipe.size)?;
    for (piece, packet) in &pipe.pieces {
        both.pipe_add(piece, *packet)?;
    }
    Ok(both)
}

/// The credentials of who had opened a file; they are made once.
fn opener<'a>(
    plan: &Plan,
    creds: &'a mut KVVec<Option<ARef<Credential>>>,
    index: Option<usize>,
    why: &mut Why,
) -> Result<Option<&'a Credential>> {
    let Some(index) = index else {
        return Ok(None);
    };
    let cred = creds.get_mut(index).ok_or(EINVAL)?;
    if let (None, Some(Object::Cred(saved, groups))) = (&cred, plan.objects.get(index)) {
        *cred = Some(ffi::opener(saved, groups).inspect_err(|error| {
            let user = saved.fsuid;
            why.say(fmt!("files cannot be opened as user {user}: {error:?}"));
        })?);
    }
    Ok(cred.as_deref())
}

/// Opens the files of all objects.
fn open(
    plan: &Plan,
    target: &Cgroup,
    externals: &Externals,
    why: &mut Why,
) -> Result<KVVec<Option<ARef<File>>>> {
    let mut files: KVVec<Option<ARef<File>>> =
        KVVec::with_capacity(plan.objects.len(), GFP_KERNEL)?;
    let mut creds = KVVec::from_elem(None, plan.objects.len(), GFP_KERNEL)?;
    for object in &plan.objects {
        let opener = match object {
            Object::File(.., opener) | Object::Open(.., opener) => {
                self::opener(plan, &mut creds, *opener, why)?
            }
            _ => None,
        };
        let mut fails = |path: &[u8], error: &Error| {
            let path = CStr::from_bytes_with_nul(path).ok();
            let path = path.and_then(|path| path.to_str().ok()).unwrap_or("?");
            why.say(fmt!("{path} cannot be opened: {error:?}"));
        };
        let file = match object {
            Object::File(path, state, _) => {
                Some(ffi::open(path, state, opener).inspect_err(|error| fails(path, error))?)
            }
            Object::Deleted(path, state) => {
                Some(ffi::make_deleted(path, state).inspect_err(|error| fails(path, error))?)
            }
            Object::Open(of, state, _) => {
                let other = files.get(*of).and_then(Option::as_deref).ok_or(EINVAL)?;
                let (what, file) = match plan.objects.get(*of) {
                    Some(Object::Pipe(_)) => ("a pipe", ffi::open_pipe(other, state, opener)),
                    _ => ("a deleted file", ffi::reopen(other, state, opener)),
                };
                Some(file.inspect_err(|error| {
                    why.say(fmt!("{what} cannot be opened: {error:?}"));
                })?)
            }
            Object::Pipe(pipe) => {
                let filled = target.charged(|| fill_pipe(pipe));
                Some(filled.inspect_err(|error| {
                    why.say(fmt!("a pipe of {} bytes: {error:?}", pipe.size));
                })?)
            }
            Object::External(name) => match externals.file(name) {
                Some(file) => Some(file.into()),
                None => {
                    let name = core::str::from_utf8(name).unwrap_or("?");
                    why.say(fmt!("{name}: a file that was not handed in"));
                    return Err(ENOENT);
                }
            },
            Object::Shm(size) => Some(ffi::shmem(*size)?),
            Object::Mm(_)
            | Object::Files(_)
            | Object::Fs(_)
            | Object::Cred(..)
            | Object::Filter(_) => None,
        };
        files.push(file, GFP_KERNEL)?;
    }
    Ok(files)
}

/// The new tasks, which end when this is dropped, unless they were let go.
struct Family {
    restore: Arc<Restore>,
    /// How many of the processes have their address spaces.
    begun: usize,
    gone: bool,
}

impl Family {
    /// Opens all files, and makes the first task, which makes the others.
    fn new(
        plan: Plan,
        (cgroup, target): (i32, &Cgroup),
        externals: &Externals,
        why: &mut Why,
    ) -> Result<Self> {
        plan.finish(why)?;
        let files = open(&plan, target, externals, why)?;
        let family = Self {
            restore: Arc::new(Restore { plan, files }, GFP_KERNEL)?,
            begun: 0,
            gone: false,
        };
        let plan = &family.restore.plan;
        let first = plan.threads.first().ok_or(EINVAL)?;
        let rebuild = Rebuild {
            restore: family.restore.clone(),
            index: 0,
        };
        let spawned = ffi::undisturbed(|| {
            let process = plan.processes.first();
            let shares = Shares {
                init: process.is_some_and(|process| ffi::is_init(&process.state)),
                ..Shares::default()
            };
            first
                .parking
                .spawn(rebuild, first.tid, Some(cgroup), shares)
        });
        if let Err(error) = spawned {
            why.say(fmt!("pid {} cannot be made: {error:?}", first.tid));
            return Err(error);
        }
        Ok(family)
    }

    /// The address space that a process makes, when it is there.
    fn mm_of(&self, process: usize, why: &mut Why) -> Result<ARef<MmWithUser>> {
        let plan = &self.restore.plan;
        let process = plan.processes.get(process).ok_or(EINVAL)?;
        let first = plan.threads_of(process).next().ok_or(EINVAL)?;
        first.parking.mm().inspect_err(|error| {
            why.say(fmt!("pid {} cannot be rebuilt: {error:?}", first.tid));
        })
    }

    /// Has the processes up to the number `end` make their address spaces, and their children,
    /// before anybody waits for those. What their memory is copied from is complete by then.
    fn begin(&mut self, end: usize, why: &mut Why) -> Result {
        let restore = self.restore.clone();
        let plan = &restore.plan;
        for (index, process) in plan.processes.iter().enumerate().take(end).skip(self.begun) {
            let mm = process.mm.and_then(|mm| plan.mms.get(mm));
            let made = mm.filter(|mm| mm.owner == Some(index));
            let origin = made.and_then(|mm| plan.mms.get(mm.origin?)?.owner);
            if let (Some(origin), Some(first)) = (origin, plan.threads_of(process).next()) {
                first.parking.tell(&*self.mm_of(origin, why)?);
            }
            if mm.is_some() {
                self.mm_of(index, why)?;
            }
            self.begun = index + 1;
        }
        Ok(())
    }

    /// An address space that gets pages, or holes.
    fn incomplete(&mut self, mm: usize, at: u64, why: &mut Why) -> Result<ARef<MmWithUser>> {
        let restore = self.restore.clone();
        let mms = &restore.plan.mms;
        let owner = mms.get(mm).and_then(|mm| mm.owner).ok_or(EINVAL)?;
        self.begin(owner + 1, why)?;
        let begun = |other: &plan::Mm| other.owner.is_some_and(|owner| owner < self.begun);
        if mms
            .iter()
            .any(|other| other.origin == Some(mm) && begun(other))
        {
            why.say(fmt!("byte {at}: memory that was copied already"));
            return Err(EBADMSG);
        }
        self.mm_of(owner, why)
    }

    /// Leaves out what an address space does not have of its origin.
    fn hole(&mut self, record: &Record<'_>, why: &mut Why) -> Result {
        let hole: image::Hole = record.body().map_err(|fault| {
            why.say(format_args!("{fault}"));
            EBADMSG
        })?;
        let (start, end, at) = (hole.start.get(), hole.end.get(), record.at);
        let restore = self.restore.clone();
        let mm = match restore.plan.memory(hole.object) {
            Some((_, Object::Mm(mm))) if hole.reserved.get() == 0 => *mm,
            _ => {
                why.say(fmt!("byte {at}: a hole in no address space"));
                return Err(EBADMSG);
            }
        };
        let inherits = |mm: &plan::Mm| mm.has_inherited(start, end);
        let whole = plan::aligned(start) && plan::aligned(end) && start < end;
        if !whole || !restore.plan.mms.get(mm).is_some_and(inherits) {
            why.say(fmt!("byte {at}: a hole where nothing was copied"));
            return Err(EBADMSG);
        }
        let mm = self.incomplete(mm, at, why)?;
        mm.drop_pages(start, end).inspect_err(|error| {
            why.say(fmt!("memory at {start:#x} cannot be left out: {error:?}"));
        })
    }

    /// Waits until all tasks have rebuilt themselves.
    fn settle(&mut self, why: &mut Why) -> Result {
        self.begin(usize::MAX, why)?;
        for thread in &self.restore.plan.threads {
            if let Err(error) = thread.parking.wait() {
                why.say(fmt!("pid {} cannot be rebuilt: {error:?}", thread.tid));
                return Err(error);
            }
        }
        self.group(why)?;
        self.pass_numbers()
    }

    /// Has a new pid namespace give nobody a number of before; it does not know what came last.
    fn pass_numbers(&self) -> Result {
        let plan = &self.restore.plan;
        let first = plan.processes.first();
        let Some(init) = first.filter(|first| ffi::is_init(&first.state)) else {
            return Ok(());
        };
        let groups = plan.processes.iter();
        let groups = groups.map(|process| process.state.pgrp.max(process.state.session));
        let last = plan.threads.iter().map(|thread| thread.tid).max();
        plan.leader(init)?
            .pass_number(last.max(groups.max()).unwrap_or(0));
        Ok(())
    }

    /// Puts the processes into their process groups and sessions.
    fn group(&self, why: &mut Why) -> Result {
        let plan = &self.restore.plan;
        let mut leaders = KVVec::with_capacity(plan.processes.len(), GFP_KERNEL)?;
        for process in &plan.processes {
            leaders.push((process, plan.leader(process)?), GFP_KERNEL)?;
        }
        let lead = |number| {
            let mut leaders = leaders.iter();
            let leader = leaders.find(|(process, _)| process.state.pid == number);
            (number, leader.map(|(_, task)| &**task))
        };
        let mut groups = Groups::new();
        for (process, task) in &leaders {
            let (pgrp, session) = (process.state.pgrp, process.state.session);
            groups
                .add(task, lead(pgrp), lead(session))
                .inspect_err(|error| {
                    let pid = process.state.pid;
                    why.say(fmt!(
                        "pid {pid}: group {pgrp}, session {session}: {error:?}"
                    ));
                })?;
        }
        groups.set()
    }

    /// Gives the threads their registers, and lets them run into the freezer.
    fn release(mut self, target: Cgroup, why: &mut Why) -> Result<(Container, i32)> {
        self.settle(why)?;
        let plan = &self.restore.plan;
        for thread in &plan.threads {
            let Some(life) = &thread.life else {
                continue;
            };
            let tid = thread.tid;
            if !thread.parking.task().is_some_and(|task| task.settle()) {
                why.say(fmt!("pid {tid} was killed"));
                return Err(ESRCH);
            }
            for (note, set) in &life.regs {
                thread.parking.set_regs(*note, set).inspect_err(|error| {
                    why.say(fmt!("pid {tid}: registers {note:#x}: {error:?}"));
                })?;
            }
            thread
                .parking
                .set_restart(&life.restart)
                .inspect_err(|error| {
                    why.say(fmt!("pid {tid}: the call that it goes on with: {error:?}"));
                })?;
        }
        for (index, object) in self.restore.plan.objects.iter().enumerate() {
            if let Object::Deleted(_, state) = object {
                let file = self.restore.file(index)?;
                ffi::finish_deleted(file, state).inspect_err(|error| {
                    why.say(fmt!("object {}: a deleted file: {error:?}", index + 1));
                })?;
            }
        }
        let container = Container::unborn(target)?;
        let moved = |thread: &Thread| {
            let task = thread.life.as_ref().and_then(|_| thread.parking.task());
            task.is_some_and(|task| !container.cgroup().has(&task))
        };
        if plan.threads.iter().any(moved) {
            why.say(fmt!("a process was moved out of the cgroup"));
            return Err(EBUSY);
        }
        let stops = Stops::new(plan)?;
        for process in &plan.processes {
            let leader = plan.leader(process)?;
            if let Some(rlimits) = &process.rlimits {
                leader.set_rlimits(rlimits)?;
            }
            // What the parent outside gets is not the matter of an image.
            leader.set_exit_signal(match process.parent {
                Some(_) => process.state.exit_signal,
                None => ffi::SIGCHLD,
            });
        }
        for thread in &plan.threads {
            if let (Some(life), Some(task)) = (&thread.life, thread.parking.task()) {
                task.set_death_signal(life.settings.death_signal);
                thread.parking.release();
            }
        }
        let first = plan
            .threads
            .first()
            .map_or(0, |thread| thread.parking.number());
        ffi::undisturbed(|| container.wait(PATIENCE))?;
        stops.finish();
        self.gone = true;
        Ok((container, first))
    }
}

/// Processes that are stopped by a signal, and do so once more on their way to user space. Their
/// parents were told when it happened, or will be told by wait(2).
struct Stops {
    /// The stopped ones, and of which signal their parents were not told.
    stopped: KVec<(ARef<Task>, u32)>,
    /// Parents that would be told.
    hushed: KVec<ARef<Task>>,
}

impl Stops {
    fn new(plan: &Plan) -> Result<Self> {
        let mut stops = Self {
            stopped: KVec::new(),
            hushed: KVec::new(),
        };
        let stopped = |process: &&Process| process.state.stop != 0;
        for process in plan.processes.iter().filter(stopped) {
            let parent = process.parent.and_then(|parent| plan.processes.get(parent));
            if let Some(parent) = parent {
                stops.hushed.reserve(1, GFP_KERNEL)?;
                let parent = plan.leader(parent)?;
                if parent.hush() {
                    stops.hushed.push(parent, GFP_KERNEL)?;
                }
            }
            let task = plan.leader(process)?;
            task.stop(process.state.stop)?;
            let told = process.state.stop_told;
            stops.stopped.push((task, told), GFP_KERNEL)?;
        }
        Ok(stops)
    }

    /// All of them have stopped.
    fn finish(self) {
        for (task, told) in &self.stopped {
            task.stopped(*told);
        }
        for parent in &self.hushed {
            parent.unhush();
        }
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        if self.gone {
            return;
        }
        let plan = &self.restore.plan;
        ffi::undisturbed(|| {
            // Parents first: they make no more children and threads then.
            for thread in &plan.threads {
                thread.parking.kill();
            }
            for process in &plan.processes {
                if let Some(first) = plan.threads.get(process.threads.start) {
                    first.parking.bury();
                }
            }
        });
    }
}
