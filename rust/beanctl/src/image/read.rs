// SPDX-License-Identifier: GPL-2.0

//! Reads all of an image, checks all that can be checked without restoring it, and keeps what users
//! want to know.

use std::fmt;
use std::io::{self, Read};
use std::mem::{replace, size_of};

use beanpod_image::{
    self as codec, Action, Buffer, Clocks, Deleted, External, Fd, Frame, Fs, Guard, Header, Kind,
    Limits, MAX_PAYLOAD, Malformed, Memory, Mm, ObjectId, Reader, Record, Regs, Rlimits, Shm,
    Stream, Task, Thread, Type, Vma,
};
use zerocopy::FromBytes;

use super::{
    Call, DeletedFile, Descriptor, ExternalFile, Image, Limit, Line, Mapping, Process,
    SharedMemory, Time, Vdso, names,
};
use crate::text;

/// How many signals there are.
const SIGNALS: usize = 64;

/// The most processes that the kernel restores.
const PROCESSES: usize = 1024;

/// The longest path, in bytes.
const PATH: usize = 4095;

/// The longest name of a mapping, in bytes.
const NAME: usize = 79;

/// How much memory is read at once, in bytes.
const PIECE: usize = 256 << 10;

/// Those of the kernel: nobody shall fill the memory of this machine with what none restores.
const LIMITS: Limits = Limits {
    records: 1 << 20,
    metadata: 256 << 20,
    data: u64::MAX,
};

/// Why an image was not read to its end.
#[derive(Debug)]
pub enum Problem {
    /// It cannot be read.
    Source(io::Error),
    /// It is not right.
    Wrong {
        /// Where, in bytes.
        at: u64,
        /// In which way.
        what: String,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(error) => write!(f, "{error}"),
            Self::Wrong { at, what } => write!(f, "byte {at}: {what}"),
        }
    }
}

impl From<codec::Error<io::Error>> for Problem {
    fn from(error: codec::Error<io::Error>) -> Self {
        match error {
            codec::Error::Source(error) => Self::Source(error),
            codec::Error::Malformed(fault) => fault.into(),
            codec::Error::Misuse => Self::Source(io::Error::other(error.to_string())),
        }
    }
}

impl From<codec::Fault> for Problem {
    fn from(fault: codec::Fault) -> Self {
        Self::Wrong {
            at: fault.at,
            what: fault.what.to_string(),
        }
    }
}

/// What an image defines for others to refer to.
enum Object {
    File(codec::File, String),
    External(String),
    Deleted(usize),
    Shm(usize),
    Mm(usize),
}

/// An address space.
struct Space {
    exe: Option<String>,
    heap: (u64, u64),
    stack: u64,
    memory: super::Memory,
    /// The first address and the one behind the last one of each mapping.
    ranges: Vec<(u64, u64)>,
    /// Whether a process has it.
    taken: bool,
}

/// Which records of a process came.
#[derive(Default)]
struct Seen {
    at: u64,
    space: usize,
    signals: bool,
    thread: bool,
    limits: bool,
    fs: bool,
    regs: bool,
}

/// An image that is being read.
#[derive(Default)]
struct Reading {
    image: Image,
    page: u64,
    objects: Vec<Object>,
    spaces: Vec<Space>,
    seen: Vec<Seen>,
}

/// What went into an [`Image`], and what came in its way.
type Outcome = (Image, Result<(), Problem>);

/// Reads an image to its end, or to the first thing that is wrong with it; what was there before is
/// returned too. Each record is told.
pub fn read(source: impl Read, mut each: impl FnMut(Line)) -> Outcome {
    let mut reading = Reading::default();
    let result = reading.all(source, &mut each);
    (reading.finish(), result)
}

impl Reading {
    fn all(&mut self, source: impl Read, each: &mut impl FnMut(Line)) -> Result<(), Problem> {
        let mut buffer: Box<Buffer> = Box::new([0; MAX_PAYLOAD]);
        let mut piece = vec![0; PIECE];
        let (mut reader, header) = Reader::open(Stream(source), LIMITS, &mut buffer)?;
        self.header(&header);
        each(Line {
            at: codec::MAGIC.len() as u64,
            index: 0,
            kind: Type::Header.name().to_owned(),
            structure: size_of::<Header>(),
            tail: 0,
            data: 0,
            optional: false,
        });
        while let Some(record) = reader.next(&mut buffer)? {
            each(line(&record));
            let taken = self.record(&record, &header);
            while reader.data_left() > 0 {
                reader.read_data(&mut piece)?;
            }
            // Data that are damaged say more than what does not fit because of that.
            taken?;
            self.totals(reader.totals());
        }
        self.totals(reader.totals());
        reader.finish()?;
        self.complete()
    }

    fn header(&mut self, header: &Header) {
        self.page = 1 << header.page_shift.get();
        self.image.version = header.version.get();
        self.image.architecture = names::architecture(header.arch.get());
        self.image.page_size = self.page;
        self.image.memory_checksums = header.data_crc();
    }

    fn totals(&mut self, totals: codec::Totals) {
        self.image.records = totals.records;
        self.image.metadata_bytes = totals.metadata;
        self.image.memory_bytes = totals.data;
    }

    fn record(&mut self, record: &Record<'_>, header: &Header) -> Result<(), Problem> {
        let Kind::Known(kind) = record.kind else {
            let kind = record.kind.to_string();
            *self.image.other_records.entry(kind).or_default() += 1;
            return Ok(());
        };
        match kind {
            // The reader has seen to them.
            Type::Header | Type::End | Type::Pad => Ok(()),
            Type::Abort => Err(wrong(
                record.at,
                format!("the image was given up: {}", text::printable(record.text())),
            )),
            Type::Release => {
                self.image.kernel = Some(text::printable(record.text()));
                Ok(())
            }
            Type::Identity => {
                let body: codec::Identity = record.body()?;
                self.image.uuid = Some(names::uuid(&body.uuid));
                Ok(())
            }
            Type::Pages => self.frame(record.at, &record.frame(header)?),
            Type::File => self.open_file(record),
            Type::Deleted => self.deleted(record),
            Type::External => {
                let body: External = record.body()?;
                unused(record.at, body.reserved.get())?;
                let name = text::printable(record.text());
                self.image.external_files.push(ExternalFile {
                    number: body.id.number(),
                    name: name.clone(),
                });
                self.define(record.at, body.id, Object::External(name))
            }
            Type::Clocks => self.clocks(record),
            Type::Shm => {
                let body: Shm = record.body()?;
                unused(record.at, body.reserved.get())?;
                let bytes = body.size.get();
                if bytes % self.page != 0 {
                    return Err(wrong(record.at, "shared memory that is not whole pages"));
                }
                self.image.shared_memory.push(SharedMemory {
                    number: body.id.number(),
                    bytes,
                    stored_bytes: 0,
                });
                let index = self.image.shared_memory.len() - 1;
                self.define(record.at, body.id, Object::Shm(index))
            }
            Type::Mm => self.space(record),
            Type::Vma => self.mapping(record),
            Type::Guard => self.guard(record),
            Type::Task => self.task(record),
            Type::Signals => self.signals(record),
            Type::Thread => self.thread(record),
            Type::Rlimits => self.limits(record),
            Type::Fs => self.fs(record),
            Type::Fd => self.descriptor(record),
            Type::Regs => {
                let body: Regs = record.body()?;
                unused(record.at, body.reserved.get())?;
                self.last(record.at)?.1.regs = true;
                Ok(())
            }
        }
    }

    fn define(&mut self, at: u64, id: ObjectId, object: Object) -> Result<(), Problem> {
        // The number of an object is that of its place, from 1.
        if self.objects.len() + 1 != id.number() as usize {
            return Err(malformed(at, Malformed::ObjectOrder(id.number())));
        }
        self.objects.push(object);
        Ok(())
    }

    fn object(&self, at: u64, id: ObjectId) -> Result<&Object, Problem> {
        let index = (id.number() as usize).checked_sub(1);
        let object = index.and_then(|index| self.objects.get(index));
        object.ok_or(malformed(at, Malformed::NoObject(id.number())))
    }

    fn clocks(&mut self, record: &Record<'_>) -> Result<(), Problem> {
        // A time namespace takes half of what fits a signed number of ns, in whole seconds.
        const SECONDS: u64 = i64::MAX as u64 / 1_000_000_000 / 2;

        let body: Clocks = record.body()?;
        let clocks = super::Clocks {
            monotonic: body.monotonic.get(),
            boottime: body.boottime.get(),
        };
        if [clocks.monotonic, clocks.boottime]
            .iter()
            .any(|time| time / 1_000_000_000 >= SECONDS)
        {
            return Err(wrong(record.at, "a clock beyond its range"));
        }
        match self.image.clocks.replace(clocks) {
            None => Ok(()),
            Some(_) => Err(wrong(record.at, "the clocks once more")),
        }
    }

    fn open_file(&mut self, record: &Record<'_>) -> Result<(), Problem> {
        let at = record.at;
        let body: codec::File = record.body()?;
        unused(at, body.reserved.get())?;
        let path = match body.deleted {
            ObjectId::NONE if absolute(record.tail) => text::of_bytes(record.tail),
            ObjectId::NONE => return Err(wrong(at, "a file without an absolute path")),
            _ if !record.tail.is_empty() => {
                return Err(wrong(at, "a file that has a path and was deleted"));
            }
            deleted => match self.object(at, deleted)? {
                Object::Deleted(index) => {
                    format!("{} (deleted)", self.image.deleted_files[*index].path)
                }
                _ => return Err(malformed(at, Malformed::ObjectKind(deleted.number()))),
            },
        };
        self.define(at, body.id, Object::File(body, path))
    }

    fn deleted(&mut self, record: &Record<'_>) -> Result<(), Problem> {
        const PERMISSIONS: u32 = 0o7777;

        let at = record.at;
        let body: Deleted = record.body()?;
        unused(at, body.reserved.get())?;
        if !absolute(record.tail) {
            return Err(wrong(at, "a file that had no absolute path"));
        }
        let mode = body.mode.get();
        if mode & !PERMISSIONS != 0o100_000 {
            return Err(wrong(at, "a deleted file that is not a regular one"));
        }
        if i64::try_from(body.size.get()).is_err() {
            return Err(wrong(at, "a deleted file that is larger than any"));
        }
        let time = |seconds: u64, nanoseconds: u32| match nanoseconds < 1_000_000_000 {
            true => Ok(Time {
                // CAST: A signed number is stored as it is.
                seconds: seconds as i64,
                nanoseconds,
            }),
            false => Err(wrong(at, "a time with a second of nanoseconds, or more")),
        };
        self.image.deleted_files.push(DeletedFile {
            number: body.id.number(),
            path: text::of_bytes(record.tail),
            bytes: body.size.get(),
            stored_bytes: 0,
            permissions: format!("{:03o}", mode & PERMISSIONS),
            uid: body.uid.get(),
            gid: body.gid.get(),
            accessed: time(body.atime.get(), body.atime_ns.get())?,
            modified: time(body.mtime.get(), body.mtime_ns.get())?,
        });
        let index = self.image.deleted_files.len() - 1;
        self.define(at, body.id, Object::Deleted(index))
    }

    /// Where a file is, and its record if it has one.
    fn file(&self, at: u64, id: ObjectId) -> Result<(Option<codec::File>, String), Problem> {
        match self.object(at, id)? {
            Object::File(file, path) => Ok((Some(*file), path.clone())),
            Object::External(name) => Ok((None, format!("external `{name}`"))),
            _ => Err(malformed(at, Malformed::ObjectKind(id.number()))),
        }
    }

    fn space(&mut self, record: &Record<'_>) -> Result<(), Problem> {
        let body: Mm = record.body()?;
        unused(record.at, body.reserved.get())?;
        let exe = match body.exe {
            ObjectId::NONE => None,
            exe => Some(self.file(record.at, exe)?.1),
        };
        self.spaces.push(Space {
            exe,
            heap: (body.start_brk.get(), body.brk.get()),
            stack: body.start_stack.get(),
            memory: super::Memory {
                vdso: (body.vdso.get() != 0).then(|| Vdso {
                    start: format!("{:#x}", body.vdso.get()),
                    crc: format!("{:#010x}", body.vdso_crc.get()),
                }),
                ..super::Memory::default()
            },
            ranges: Vec::new(),
            taken: false,
        });
        let index = self.spaces.len() - 1;
        self.define(record.at, body.id, Object::Mm(index))
    }

    fn mapping(&mut self, record: &Record<'_>) -> Result<(), Problem> {
        let at = record.at;
        let body: Vma = record.body()?;
        unused(at, body.reserved.get())?;
        let (start, end, offset) = (body.start.get(), body.end.get(), body.offset.get());
        let (kind, flags) = (body.kind.get(), body.flags.get());
        let (mut path, mut shared_memory) = (None, None);
        match (kind, body.object) {
            (0 | 4, ObjectId::NONE) if offset != 0 => {
                return Err(wrong(at, "a mapping of nothing that has an offset"));
            }
            (0 | 4, ObjectId::NONE) => (),
            (1 | 2, file) => path = Some(self.file(at, file)?.1),
            (3, shm) => match self.object(at, shm)? {
                Object::Shm(_) => shared_memory = Some(shm.number()),
                _ => return Err(malformed(at, Malformed::ObjectKind(shm.number()))),
            },
            _ => return Err(wrong(at, "a mapping of an unknown kind")),
        }
        if !names::are_mapping_flags(flags) {
            return Err(wrong(at, "a mapping with unknown flags"));
        }
        if record.tail.len() > NAME || record.tail.contains(&0) {
            return Err(wrong(
                at,
                "a mapping with a name that is too long, or has a zero",
            ));
        }
        let page = self.page;
        let Some(space) = self.spaces.last_mut() else {
            return Err(wrong(at, "a mapping of no address space"));
        };
        let before = space.ranges.last().map_or(0, |(_, end)| *end);
        let whole = [start, end, offset].iter().all(|bytes| bytes % page == 0);
        if start < before || start >= end || !whole {
            return Err(wrong(at, "a mapping that is none, or out of order"));
        }
        let purpose = match (start, end) {
            _ if (start..end).contains(&space.stack) => Some("stack"),
            _ if kind == 0 && start < space.heap.1 && space.heap.0 < end => Some("heap"),
            _ => None,
        };
        space.ranges.push((start, end));
        space.memory.bytes += end - start;
        space.memory.mappings.push(Mapping {
            start: format!("{start:#x}"),
            bytes: end - start,
            stored_bytes: 0,
            permissions: names::permissions(flags, kind),
            kind: names::mapping(kind),
            path,
            shared_memory,
            offset,
            guard_bytes: 0,
            name: (!record.tail.is_empty()).then(|| text::of_bytes(record.tail)),
            purpose,
            advice: names::advice(flags),
        });
        Ok(())
    }

    fn guard(&mut self, record: &Record<'_>) -> Result<(), Problem> {
        let body: Guard = record.body()?;
        let (start, end) = (body.start.get(), body.end.get());
        if [start, end].iter().any(|bytes| bytes % self.page != 0) {
            return Err(wrong(record.at, "guard pages that are not whole pages"));
        }
        let space = self.spaces.last_mut();
        let last = space.and_then(|space| {
            let mappings = &mut space.memory.mappings;
            space.ranges.last().zip(mappings.last_mut())
        });
        match last {
            Some((range, mapping)) if range.0 <= start && start < end && end <= range.1 => {
                // They may overlap.
                mapping.guard_bytes = mapping.guard_bytes.saturating_add(end - start);
                Ok(())
            }
            _ => Err(wrong(record.at, "guard pages outside of their mapping")),
        }
    }

    fn frame(&mut self, at: u64, frame: &Frame) -> Result<(), Problem> {
        let end = frame.position + frame.bytes;
        match (frame.memory, self.object(at, frame.object)?) {
            (Memory::Private, &Object::Mm(index)) => {
                let space = &mut self.spaces[index];
                space.memory.stored_bytes += frame.bytes;
                // Mappings may be adjacent, and a frame part of several.
                let first = space
                    .ranges
                    .partition_point(|(_, end)| *end <= frame.position);
                let mut from = frame.position;
                for (range, mapping) in space.ranges[first..]
                    .iter()
                    .zip(&mut space.memory.mappings[first..])
                {
                    if from == end || range.0 > from {
                        break;
                    }
                    let to = end.min(range.1);
                    mapping.stored_bytes += to - from;
                    from = to;
                }
                match from == end {
                    true => Ok(()),
                    false => Err(wrong(
                        at,
                        format!("memory at {from:#x}, which is not mapped"),
                    )),
                }
            }
            (Memory::Shared, &Object::Shm(index)) => {
                let shm = &mut self.image.shared_memory[index];
                shm.stored_bytes += frame.bytes;
                within(at, end, shm.bytes)
            }
            (Memory::Shared, &Object::Deleted(index)) => {
                let file = &mut self.image.deleted_files[index];
                file.stored_bytes += frame.bytes;
                within(at, end, file.bytes.next_multiple_of(self.page))
            }
            _ => Err(malformed(at, Malformed::ObjectKind(frame.object.number()))),
        }
    }

    fn task(&mut self, record: &Record<'_>) -> Result<(), Problem> {
        let at = record.at;
        let body: Task = record.body()?;
        unused(at, body.reserved.get())?;
        if body.number.get() as usize != self.seen.len() + 1 {
            return Err(wrong(at, "a process out of order"));
        }
        if self.seen.len() == PROCESSES {
            return Err(wrong(at, format!("more than {PROCESSES} processes")));
        }
        let parent = match (body.parent.get() as usize).checked_sub(1) {
            None if self.seen.is_empty() => None,
            None => return Err(wrong(at, "a second process without a parent")),
            Some(index) => match self.image.processes.get(index) {
                Some(parent) => Some(parent),
                None => return Err(wrong(at, "a process before its parent")),
            },
        };
        let space = match self.object(at, body.mm)? {
            Object::Mm(index) => *index,
            _ => return Err(malformed(at, Malformed::ObjectKind(body.mm.number()))),
        };
        if replace(&mut self.spaces[space].taken, true) {
            return Err(wrong(at, "an address space of two processes"));
        }
        let (pid, ids) = (body.pid.get(), (body.session.get(), body.pgrp.get()));
        let same = parent.is_some_and(|parent| (parent.session, parent.group) == ids);
        if !(1..=i32::MAX as u32).contains(&pid) || !(same || ids == (pid, pid)) {
            return Err(wrong(at, "a process group that nobody leads"));
        }
        if body.comm.last() != Some(&0) {
            return Err(wrong(at, "a process with a name that is too long"));
        }
        let name = body.comm.split(|byte| *byte == 0).next();
        let parent = parent.map(|parent| parent.pid);
        self.seen.push(Seen {
            at,
            space,
            ..Seen::default()
        });
        self.image.processes.push(Process {
            pid,
            parent,
            group: ids.1,
            session: ids.0,
            name: text::of_bytes(name.unwrap_or_default()),
            no_new_privileges: body.no_new_privs.get() != 0,
            // CAST: A signed number is stored as it is.
            oom_score_adj: body.oom_score_adj.get() as i32,
            ..Process::default()
        });
        Ok(())
    }

    /// The process that a record belongs to.
    fn last(&mut self, at: u64) -> Result<(&mut Process, &mut Seen), Problem> {
        let last = self.image.processes.last_mut().zip(self.seen.last_mut());
        last.ok_or_else(|| wrong(at, "a record of no process"))
    }

    fn signals(&mut self, record: &Record<'_>) -> Result<(), Problem> {
        let body: codec::Signals = record.body()?;
        unused(record.at, body.reserved.get())?;
        let size = size_of::<Action>();
        if record.tail.len() != SIGNALS * size {
            return Err(wrong(record.at, "not one action for each signal"));
        }
        let (process, seen) = self.last(record.at)?;
        once(record, &mut seen.signals)?;
        process.signals.blocked = names::signals(body.blocked.get());
        for (number, bytes) in (1..).zip(record.tail.chunks_exact(size)) {
            let action = Action::read_from_bytes(bytes);
            match action.map_or(0, |action| action.handler.get()) {
                0 => (),
                1 => process.signals.ignored.push(names::signal(number)),
                _ => process.signals.handled.push(names::signal(number)),
            }
        }
        Ok(())
    }

    fn thread(&mut self, record: &Record<'_>) -> Result<(), Problem> {
        let at = record.at;
        let body: Thread = record.body()?;
        unused(at, body.reserved.get())?;
        let (clock, count) = (body.restart_clock.get(), body.restart_count.get());
        let name = match body.restart.get() {
            0 => None,
            1 if clock != 1 && clock != 7 => {
                return Err(wrong(at, "a nanosleep(2) by an unknown clock"));
            }
            1 => Some("nanosleep"),
            2 if count > i32::MAX as u64 => {
                return Err(wrong(at, "a poll(2) of more files than there can be"));
            }
            2 => Some("poll"),
            3 if clock > 3 => return Err(wrong(at, "a futex(2) with unknown flags")),
            3 if count >> 32 == 0 => return Err(wrong(at, "a futex(2) that nothing wakes")),
            3 => Some("futex"),
            _ => return Err(wrong(at, "an unknown call that goes on")),
        };
        // CAST: A signed number is stored as it is.
        let time = Some(body.restart_left.get() as i64).filter(|time| *time != i64::MAX);
        // By the real-time clock nothing is left, but an end is set.
        let (left, until) = match body.restart.get() == 3 && clock & 2 != 0 {
            true => (None, time),
            false => (time, None),
        };
        let (process, seen) = self.last(at)?;
        once(record, &mut seen.thread)?;
        process.call = name.map(|name| Call { name, left, until });
        Ok(())
    }

    fn limits(&mut self, record: &Record<'_>) -> Result<(), Problem> {
        let _: Rlimits = record.body()?;
        if record.tail.len() != names::RESOURCES.len() * 16 {
            return Err(wrong(record.at, "not one limit for each resource"));
        }
        let (process, seen) = self.last(record.at)?;
        once(record, &mut seen.limits)?;
        let mut words = record.tail.chunks_exact(8).map(|word| {
            let limit = word.try_into().map_or(u64::MAX, u64::from_le_bytes);
            (limit != u64::MAX).then_some(limit)
        });
        for resource in names::RESOURCES {
            let [soft, hard] = [(); 2].map(|()| words.next().flatten());
            if soft.is_some() || hard.is_some() {
                process.limits.push(Limit {
                    resource,
                    soft,
                    hard,
                });
            }
        }
        Ok(())
    }

    fn fs(&mut self, record: &Record<'_>) -> Result<(), Problem> {
        let body: Fs = record.body()?;
        let cwd = self.file(record.at, body.cwd)?.1;
        let (process, seen) = self.last(record.at)?;
        once(record, &mut seen.fs)?;
        process.cwd = Some(cwd);
        process.umask = Some(format!("{:03o}", body.umask.get()));
        Ok(())
    }

    fn descriptor(&mut self, record: &Record<'_>) -> Result<(), Problem> {
        let body: Fd = record.body()?;
        unused(record.at, body.reserved.get())?;
        if body.flags.get() > 1 {
            return Err(wrong(record.at, "a descriptor with unknown flags"));
        }
        let (file, path) = self.file(record.at, body.file)?;
        let descriptor = Descriptor {
            fd: body.fd.get(),
            kind: file.map_or("", |file| names::file_type(file.mode.get())),
            path,
            file: body.file.number(),
            position: file.map_or(0, |file| file.position.get()),
            flags: file.map_or(Vec::new(), |file| names::open_flags(file.flags.get())),
            close_on_exec: body.flags.get() & 1 != 0,
        };
        let (process, _) = self.last(record.at)?;
        let before = process.descriptors.last();
        if before.is_some_and(|before| before.fd >= descriptor.fd) {
            return Err(wrong(record.at, "descriptors out of order"));
        }
        process.descriptors.push(descriptor);
        Ok(())
    }

    /// What can only be checked at the end.
    fn complete(&self) -> Result<(), Problem> {
        for (process, seen) in self.image.processes.iter().zip(&self.seen) {
            let parts = [
                (seen.signals, Type::Signals),
                (seen.thread, Type::Thread),
                (seen.limits, Type::Rlimits),
                (seen.fs, Type::Fs),
                (seen.regs, Type::Regs),
            ];
            if let Some((_, kind)) = parts.iter().find(|(seen, _)| !seen) {
                let what = format!("pid {} has no record `{}`", process.pid, kind.name());
                return Err(wrong(seen.at, what));
            }
        }
        match self.image.processes.is_empty() {
            true => Err(wrong(0, "an image without processes")),
            false if self.image.clocks.is_none() => Err(wrong(0, "an image without clocks")),
            false => Ok(()),
        }
    }

    /// The image, its processes with their memory.
    fn finish(mut self) -> Image {
        for (process, seen) in self.image.processes.iter_mut().zip(&self.seen) {
            let space = &self.spaces[seen.space];
            process.executable.clone_from(&space.exe);
            process.memory = space.memory.clone();
        }
        self.image
    }
}

/// Whether it can be the path of a file.
fn absolute(path: &[u8]) -> bool {
    path.first() == Some(&b'/') && path.len() <= PATH && !path.contains(&0)
}

/// Refuses a field that has no meaning yet, and has something in it.
fn unused(at: u64, reserved: impl Into<u64>) -> Result<(), Problem> {
    match reserved.into() {
        0 => Ok(()),
        _ => Err(malformed(at, Malformed::Reserved)),
    }
}

/// Refuses what a process has twice.
fn once(record: &Record<'_>, seen: &mut bool) -> Result<(), Problem> {
    match replace(seen, true) {
        false => Ok(()),
        true => {
            let what = format!("the record `{}` of a process once more", record.kind);
            Err(wrong(record.at, what))
        }
    }
}

/// Whether a frame of something ends with it.
fn within(at: u64, end: u64, bytes: u64) -> Result<(), Problem> {
    match end <= bytes {
        true => Ok(()),
        false => Err(wrong(at, "memory behind the end of what it belongs to")),
    }
}

fn line(record: &Record<'_>) -> Line {
    Line {
        at: record.at,
        index: record.seq,
        kind: record.kind.to_string(),
        structure: record.head.len(),
        tail: record.tail.len(),
        data: record.data,
        optional: record.is_optional(),
    }
}

fn wrong(at: u64, what: impl Into<String>) -> Problem {
    Problem::Wrong {
        at,
        what: what.into(),
    }
}

fn malformed(at: u64, what: Malformed) -> Problem {
    codec::Fault { at, what }.into()
}
