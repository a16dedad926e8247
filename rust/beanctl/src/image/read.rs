// SPDX-License-Identifier: GPL-2.0

//! Reads all of an image, checks all that can be checked without restoring it, and keeps what users
//! want to know.

use std::fmt;
use std::io::{self, Read};
use std::mem::size_of;

use beanpod_image::{
    self as codec, Action, Buffer, Clocks, Deleted, External, Fd, Frame, Fs, Guard, Header, Kind,
    Limits, MAX_PAYLOAD, Malformed, Memory, Mm, ObjectId, Reader, Record, Regs, Rlimits, Shm,
    Stream, Task, Thread, Type, Vma,
};
use zerocopy::FromBytes;

use super::{
    Call, DeletedFile, Descriptor, Image, Limit, Line, Mapping, Process, SharedMemory, names,
};
use crate::text;

/// How many signals there are.
const SIGNALS: usize = 64;

/// What is said instead of a file that this program does not know.
const NOT_SHOWN: &str = "something that is not shown";

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
    /// Of a type that is not shown.
    Other,
}

/// An address space.
struct Space {
    exe: Option<String>,
    heap: (u64, u64),
    stack: u64,
    memory: super::Memory,
    /// The first address and the one behind the last one of each mapping.
    ranges: Vec<(u64, u64)>,
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
    /// Some records are of types that are not shown: they may define objects.
    others: bool,
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
            self.other(record);
            return Ok(());
        };
        match kind {
            Type::Abort => Err(wrong(
                record.at,
                format!("the image was given up: {}", text::printable(record.text())),
            )),
            Type::Pad => Ok(()),
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
                let name = text::printable(record.text());
                self.define(record.at, body.id, Object::External(name))
            }
            Type::Clocks => {
                let body: Clocks = record.body()?;
                self.image.clocks = Some(super::Clocks {
                    monotonic: body.monotonic.get(),
                    boottime: body.boottime.get(),
                });
                Ok(())
            }
            Type::Shm => {
                let body: Shm = record.body()?;
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
                let _: Regs = record.body()?;
                self.last(record.at)?.1.regs = true;
                Ok(())
            }
            // One that came with a later engine: the codec knows it, this program does not show it.
            _ => {
                self.other(record);
                self.others = true;
                Ok(())
            }
        }
    }

    fn other(&mut self, record: &Record<'_>) {
        let kind = record.kind.to_string();
        *self.image.other_records.entry(kind).or_default() += 1;
    }

    fn define(&mut self, at: u64, id: ObjectId, object: Object) -> Result<(), Problem> {
        // The number of an object is that of its place, from 1.
        let others = self.others && id.number() <= LIMITS.records;
        while others && self.objects.len() + 1 < id.number() as usize {
            self.objects.push(Object::Other);
        }
        if self.objects.len() + 1 != id.number() as usize {
            return Err(malformed(at, Malformed::ObjectOrder(id.number())));
        }
        self.objects.push(object);
        Ok(())
    }

    fn object(&self, at: u64, id: ObjectId) -> Result<&Object, Problem> {
        let index = (id.number() as usize).checked_sub(1);
        let object = index.and_then(|index| self.objects.get(index));
        let other = (self.others && index.is_some()).then_some(&Object::Other);
        object
            .or(other)
            .ok_or(malformed(at, Malformed::NoObject(id.number())))
    }

    fn open_file(&mut self, record: &Record<'_>) -> Result<(), Problem> {
        let at = record.at;
        let body: codec::File = record.body()?;
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
                Object::Other => NOT_SHOWN.to_owned(),
                _ => return Err(malformed(at, Malformed::ObjectKind(deleted.number()))),
            },
        };
        self.define(at, body.id, Object::File(body, path))
    }

    fn deleted(&mut self, record: &Record<'_>) -> Result<(), Problem> {
        let body: Deleted = record.body()?;
        if !absolute(record.tail) {
            return Err(wrong(record.at, "a file that had no absolute path"));
        }
        self.image.deleted_files.push(DeletedFile {
            number: body.id.number(),
            path: text::of_bytes(record.tail),
            bytes: body.size.get(),
            stored_bytes: 0,
        });
        let index = self.image.deleted_files.len() - 1;
        self.define(record.at, body.id, Object::Deleted(index))
    }

    /// Where a file is, and its record if it has one.
    fn file(&self, at: u64, id: ObjectId) -> Result<(Option<codec::File>, String), Problem> {
        match self.object(at, id)? {
            Object::File(file, path) => Ok((Some(*file), path.clone())),
            Object::External(name) => Ok((None, format!("external `{name}`"))),
            Object::Other => Ok((None, NOT_SHOWN.to_owned())),
            _ => Err(malformed(at, Malformed::ObjectKind(id.number()))),
        }
    }

    fn space(&mut self, record: &Record<'_>) -> Result<(), Problem> {
        let body: Mm = record.body()?;
        let exe = match body.exe {
            ObjectId::NONE => None,
            exe => Some(self.file(record.at, exe)?.1),
        };
        self.spaces.push(Space {
            exe,
            heap: (body.start_brk.get(), body.brk.get()),
            stack: body.start_stack.get(),
            memory: super::Memory::default(),
            ranges: Vec::new(),
        });
        let index = self.spaces.len() - 1;
        self.define(record.at, body.id, Object::Mm(index))
    }

    fn mapping(&mut self, record: &Record<'_>) -> Result<(), Problem> {
        let at = record.at;
        let body: Vma = record.body()?;
        let (start, end, offset) = (body.start.get(), body.end.get(), body.offset.get());
        let (kind, flags) = (body.kind.get(), body.flags.get());
        let (mut path, mut shared_memory) = (None, None);
        match (kind, body.object) {
            (0 | 4, ObjectId::NONE) => (),
            (1 | 2, file) => path = Some(self.file(at, file)?.1),
            (3, shm) => match self.object(at, shm)? {
                Object::Shm(_) | Object::Other => shared_memory = Some(shm.number()),
                _ => return Err(malformed(at, Malformed::ObjectKind(shm.number()))),
            },
            _ => return Err(wrong(at, "a mapping of an unknown kind")),
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
        let Some(space) = self.spaces.last_mut() else {
            return Err(wrong(record.at, "guard pages of no address space"));
        };
        let last = space.ranges.last().zip(space.memory.mappings.last_mut());
        match last {
            Some((range, mapping)) if range.0 <= start && start < end && end <= range.1 => {
                mapping.guard_bytes += end - start;
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
            (_, Object::Other) => Ok(()),
            _ => Err(malformed(at, Malformed::ObjectKind(frame.object.number()))),
        }
    }

    fn task(&mut self, record: &Record<'_>) -> Result<(), Problem> {
        let at = record.at;
        let body: Task = record.body()?;
        if body.number.get() as usize != self.seen.len() + 1 {
            return Err(wrong(at, "a process out of order"));
        }
        let parent = match (body.parent.get() as usize).checked_sub(1) {
            None => None,
            Some(index) => match self.image.processes.get(index) {
                Some(parent) => Some(parent.pid),
                None => return Err(wrong(at, "a process before its parent")),
            },
        };
        let space = match self.object(at, body.mm)? {
            Object::Mm(index) => *index,
            _ => return Err(malformed(at, Malformed::ObjectKind(body.mm.number()))),
        };
        let name = body.comm.split(|byte| *byte == 0).next();
        self.seen.push(Seen {
            at,
            space,
            ..Seen::default()
        });
        self.image.processes.push(Process {
            pid: body.pid.get(),
            parent,
            group: body.pgrp.get(),
            session: body.session.get(),
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
        let size = size_of::<Action>();
        if record.tail.len() != SIGNALS * size {
            return Err(wrong(record.at, "not one action for each signal"));
        }
        let (process, seen) = self.last(record.at)?;
        seen.signals = true;
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
        let body: Thread = record.body()?;
        let name = match body.restart.get() {
            0 => None,
            1 => Some("nanosleep"),
            2 => Some("poll"),
            3 => Some("futex"),
            _ => return Err(wrong(record.at, "an unknown call that goes on")),
        };
        // CAST: A signed number is stored as it is.
        let left = body.restart_left.get() as i64;
        let (process, seen) = self.last(record.at)?;
        seen.thread = true;
        // A time by the real-time clock is none that is left.
        let by_clock = body.restart.get() == 3 && body.restart_clock.get() & 2 != 0;
        process.call = name.map(|name| Call {
            name,
            left: (left != i64::MAX && !by_clock).then_some(left),
        });
        Ok(())
    }

    fn limits(&mut self, record: &Record<'_>) -> Result<(), Problem> {
        let _: Rlimits = record.body()?;
        if record.tail.len() != names::RESOURCES.len() * 16 {
            return Err(wrong(record.at, "not one limit for each resource"));
        }
        let (process, seen) = self.last(record.at)?;
        seen.limits = true;
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
        seen.fs = true;
        process.cwd = Some(cwd);
        process.umask = Some(format!("{:03o}", body.umask.get()));
        Ok(())
    }

    fn descriptor(&mut self, record: &Record<'_>) -> Result<(), Problem> {
        let body: Fd = record.body()?;
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
    path.first() == Some(&b'/') && !path.contains(&0)
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
