// SPDX-License-Identifier: GPL-2.0

//! Reads all of an image, checks all that can be checked without restoring it, and keeps what users
//! want to know.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, Read};
use std::mem::{replace, size_of, take};

use beanpod_image::{
    self as codec, Action, Actions, Buffer, Clocks, Cred, Deleted, External, Fd, Files, Frame, Fs,
    Guard, Header, Hole, Itimers, Kind, Limits, MAX_PAYLOAD, Malformed, Memory, Mm, ObjectId,
    Pending, Piece, Reader, Record, Regs, Rlimits, Shm, Stream, Type, Vma,
};
use zerocopy::FromBytes;
use zerocopy::little_endian::U64;

use super::{
    Call, Capabilities, Credentials, DeletedFile, Descriptor, Ended, ExternalFile, Ids, Image,
    Limit, Line, Mapping, Open, Pipe, Place, Process, Settings, SharedMemory, Thread, Time, Timer,
    Vdso, names,
};
use crate::text;

/// How many signals there are.
const SIGNALS: u32 = 64;

/// The one that ends whatever gets it, and so waits for nobody.
const KILL: u32 = 9;

/// The size of what is known of a signal, in bytes.
const SIGINFO: usize = 48;

/// The most threads that the kernel restores; each process has one.
const THREADS: usize = 4096;

/// The most pieces of one pipe, timers of one process, and signals that wait for it or for one
/// thread.
const MOST: usize = 1 << 16;

/// The longest time, in ns.
const TIME: u64 = i64::MAX as u64;

/// The largest mask of processors, in bytes.
const PROCESSORS: usize = 1024;

/// The sets of registers that each thread has, as notes of a core dump.
const REGSETS: [u32; 2] = [1, 0x202];

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

/// Seccomp asks filters.
const FILTERED: u32 = 2;

const NO_NUMBER: &str = "a number that no process has";
const NO_SIGNAL: &str = "an unknown signal";

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
    Pipe(usize),
    Shm(usize),
    Mm(usize),
    Files(usize),
    Fs(usize),
    Cred(usize),
    /// How many filters of system calls are there with it.
    Filter(u32),
}

/// An address space.
struct Space {
    at: u64,
    exe: Option<String>,
    heap: (u64, u64),
    stack: u64,
    memory: super::Memory,
    /// Its mappings.
    areas: Vec<Area>,
    /// What it was copied from, which comes before it.
    origin: Option<usize>,
    /// Whether there were pages or holes of what was copied from it.
    copied: bool,
    /// The first process that has it.
    owner: Option<u32>,
}

/// Where a mapping is, and what it has to have in common with that of an origin.
struct Area {
    start: u64,
    end: u64,
    offset: u64,
    kind: u32,
    flags: u32,
    object: ObjectId,
    name: Vec<u8>,
    /// Whether it has the pages of that.
    inherited: bool,
}

impl Area {
    /// Whether a child can have it, with its pages, from a parent that has the other one.
    fn is_of(&self, other: &Self) -> bool {
        // A child does not have the pages of those, or not locked.
        const DONTFORK: u32 = 32;
        const WIPEONFORK: u32 = 64;
        const LOCKED: u32 = 16384 | 32768;

        let what = |area: &Self| (area.kind, area.flags, area.object);
        let from = |area: &Self| area.offset.wrapping_sub(area.start);
        matches!(self.kind, 0 | 1)
            && self.flags & (DONTFORK | WIPEONFORK | LOCKED) == 0
            && (other.start <= self.start && self.end <= other.end)
            && what(self) == what(other)
            && (self.object == ObjectId::NONE || from(self) == from(other))
            && self.name == other.name
    }
}

/// A table of descriptors.
#[derive(Default)]
struct Table {
    descriptors: Vec<Descriptor>,
    /// Of whom they are told.
    owner: Option<u32>,
}

impl Table {
    /// What a process or a thread has open. It is told once, as many may share it.
    fn of(&mut self, number: u32) -> Open {
        match self.owner {
            Some(owner) => Open::Of(owner),
            None => {
                self.owner = Some(number);
                Open::Descriptors(take(&mut self.descriptors))
            }
        }
    }
}

/// Which records of a process came.
struct Seen {
    at: u64,
    /// None if it has ended.
    space: Option<usize>,
    actions: bool,
    limits: bool,
    timers: bool,
    threads: Vec<SeenThread>,
}

/// A thread of a process.
struct SeenThread {
    at: u64,
    /// None if it has ended.
    life: Option<Life>,
}

/// What a thread has.
struct Life {
    table: usize,
    place: usize,
    cred: usize,
    /// How many filters of system calls it has; none if it has no filters.
    filters: Option<u32>,
    regs: Vec<u32>,
}

impl Seen {
    fn lives(&self) -> impl Iterator<Item = &Life> {
        self.threads
            .iter()
            .filter_map(|thread| thread.life.as_ref())
    }

    /// A record that did not come, and where it belongs.
    fn missing(&self) -> Option<(u64, Type)> {
        let alive = self.space.is_some();
        let fits = |thread: &SeenThread| thread.life.is_some() == alive;
        let parts = [
            (self.actions == alive, Type::Actions),
            (self.limits == alive, Type::Rlimits),
            (self.timers == alive, Type::Itimers),
            (self.threads.iter().any(fits), Type::Thread),
        ];
        let part = parts.iter().find(|(seen, _)| !seen);
        let bare = |thread: &&SeenThread| {
            let life = thread.life.as_ref();
            life.is_some_and(|life| life.regs.len() < REGSETS.len())
        };
        let thread = || self.threads.iter().find(bare);
        part.map(|(_, kind)| (self.at, *kind))
            .or_else(|| thread().map(|thread| (thread.at, Type::Regs)))
    }
}

/// An image that is being read.
#[derive(Default)]
struct Reading {
    image: Image,
    page: u64,
    objects: Vec<Object>,
    /// How many there are of the last pipe.
    pieces: usize,
    spaces: Vec<Space>,
    tables: Vec<Table>,
    places: Vec<Place>,
    creds: Vec<Credentials>,
    seen: Vec<Seen>,
    /// Those of processes and threads.
    numbers: BTreeSet<u32>,
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

/// The note of an image, which is among its first records; it is read no further.
pub fn note(source: impl Read) -> Result<Vec<u8>, Problem> {
    let mut buffer: Box<Buffer> = Box::new([0; MAX_PAYLOAD]);
    let (mut reader, _) = Reader::open(Stream(source), LIMITS, &mut buffer)?;
    while let Some(record) = reader.next(&mut buffer)? {
        match record.kind {
            Kind::Known(Type::Note) => return Ok(record.tail.to_vec()),
            Kind::Known(Type::Release | Type::Identity | Type::Pad) => (),
            Kind::Unknown(_) if record.data == 0 => (),
            _ => break,
        }
    }
    Ok(Vec::new())
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
            Type::Note => {
                let note = String::from_utf8_lossy(record.tail);
                self.image.note.extend(note.lines().map(text::printable));
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
            Type::Pipe => {
                let body: codec::Pipe = record.body()?;
                self.image.pipes.push(Pipe {
                    number: body.id.number(),
                    bytes: body.size.get(),
                    filled_bytes: 0,
                });
                let index = self.image.pipes.len() - 1;
                self.pieces = 0;
                self.define(record.at, body.id, Object::Pipe(index))
            }
            Type::Piece => self.piece(record),
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
            Type::Hole => self.hole(record),
            Type::Files => {
                let body: Files = record.body()?;
                unused(record.at, body.reserved.get())?;
                self.tables.push(Table::default());
                let index = self.tables.len() - 1;
                self.define(record.at, body.id, Object::Files(index))
            }
            Type::Fd => self.descriptor(record),
            Type::Fs => self.fs(record),
            Type::Cred => self.cred(record),
            Type::Filter => self.filter(record),
            Type::Process => self.process(record),
            Type::Actions => self.actions(record),
            Type::Rlimits => self.limits(record),
            Type::Itimers => self.interval_timers(record),
            Type::Timer => self.timer(record),
            Type::Thread => self.thread(record),
            Type::Regs => self.regs(record),
            Type::Pending => self.pending(record),
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
        match body.cred {
            ObjectId::NONE => {}
            cred => match self.object(at, cred)? {
                Object::Cred(_) => {}
                _ => return Err(malformed(at, Malformed::ObjectKind(cred.number()))),
            },
        }
        let path = match body.of {
            ObjectId::NONE if absolute(record.tail) => text::of_bytes(record.tail),
            ObjectId::NONE => return Err(wrong(at, "a file without an absolute path")),
            _ if !record.tail.is_empty() => {
                return Err(wrong(at, "a file that can have no path, and has one"));
            }
            of => match self.object(at, of)? {
                Object::Deleted(index) => {
                    format!("{} (deleted)", self.image.deleted_files[*index].path)
                }
                Object::Pipe(_) => format!("pipe {}", of.number()),
                _ => return Err(malformed(at, Malformed::ObjectKind(of.number()))),
            },
        };
        self.define(at, body.id, Object::File(body, path))
    }

    fn piece(&mut self, record: &Record<'_>) -> Result<(), Problem> {
        let at = record.at;
        let body: Piece = record.body()?;
        unused(at, body.reserved.get())?;
        let Some(&Object::Pipe(index)) = self.objects.last() else {
            return Err(wrong(at, "what is in a pipe, without that"));
        };
        if body.packet.get() > 1 || record.tail.is_empty() {
            return Err(wrong(at, "a piece of a pipe that cannot be"));
        }
        if self.pieces == MOST {
            return Err(wrong(at, format!("more than {MOST} pieces of a pipe")));
        }
        self.pieces += 1;
        // CAST: `u64` is not smaller.
        self.image.pipes[index].filled_bytes += record.tail.len() as u64;
        Ok(())
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
        let origin = match body.origin {
            ObjectId::NONE => None,
            origin => Some(self.mm(record.at, origin)?),
        };
        let exe = match body.exe {
            ObjectId::NONE => None,
            exe => Some(self.file(record.at, exe)?.1),
        };
        self.spaces.push(Space {
            at: record.at,
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
            areas: Vec::new(),
            origin,
            copied: false,
            owner: None,
        });
        let index = self.spaces.len() - 1;
        self.define(record.at, body.id, Object::Mm(index))
    }

    /// Which address space an object is.
    fn mm(&self, at: u64, id: ObjectId) -> Result<usize, Problem> {
        match self.object(at, id)? {
            Object::Mm(index) => Ok(*index),
            _ => Err(malformed(at, Malformed::ObjectKind(id.number()))),
        }
    }

    fn mapping(&mut self, record: &Record<'_>) -> Result<(), Problem> {
        let at = record.at;
        let body: Vma = record.body()?;
        let inherited = match body.inherited.get() {
            0 => false,
            1 => true,
            _ => return Err(wrong(at, "a mapping that is inherited more than once")),
        };
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
        let Some((space, others)) = self.spaces.split_last_mut() else {
            return Err(wrong(at, "a mapping of no address space"));
        };
        let before = space.areas.last().map_or(0, |area| area.end);
        let whole = [start, end, offset].iter().all(|bytes| bytes % page == 0);
        if start < before || start >= end || !whole {
            return Err(wrong(at, "a mapping that is none, or out of order"));
        }
        let purpose = match (start, end) {
            _ if (start..end).contains(&space.stack) => Some("stack"),
            _ if kind == 0 && start < space.heap.1 && space.heap.0 < end => Some("heap"),
            _ => None,
        };
        let area = Area {
            start,
            end,
            offset,
            kind,
            flags,
            object: body.object,
            name: record.tail.to_vec(),
            inherited,
        };
        if inherited {
            let origin = space.origin.and_then(|origin| others.get(origin));
            let Some(Space { areas, .. }) = origin else {
                return Err(wrong(at, "an inherited mapping without an origin"));
            };
            let first = areas.partition_point(|other| other.end <= start);
            if !areas.get(first).is_some_and(|other| area.is_of(other)) {
                return Err(wrong(
                    at,
                    "an inherited mapping that the origin does not have",
                ));
            }
        }
        space.areas.push(area);
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
            inherited_bytes: if inherited { end - start } else { 0 },
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
            space.areas.last().zip(mappings.last_mut())
        });
        match last {
            Some((area, mapping)) if area.start <= start && start < end && end <= area.end => {
                // They may overlap.
                mapping.guard_bytes = mapping.guard_bytes.saturating_add(end - start);
                Ok(())
            }
            _ => Err(wrong(record.at, "guard pages outside of their mapping")),
        }
    }

    fn hole(&mut self, record: &Record<'_>) -> Result<(), Problem> {
        let at = record.at;
        let body: Hole = record.body()?;
        unused(at, body.reserved.get())?;
        let (start, end) = (body.start.get(), body.end.get());
        let index = self.mm(at, body.object)?;
        if start >= end || [start, end].iter().any(|bytes| bytes % self.page != 0) {
            return Err(wrong(at, "a hole that is none, or not whole pages"));
        }
        let space = self.filled(at, index)?;
        let first = space.areas.partition_point(|area| area.end <= start);
        let mapping = space.memory.mappings.get_mut(first);
        match space.areas.get(first).zip(mapping) {
            Some((area, mapping)) if area.inherited && area.start <= start && end <= area.end => {
                // They may overlap, and be where there are pages.
                mapping.inherited_bytes = mapping.inherited_bytes.saturating_sub(end - start);
                Ok(())
            }
            _ => Err(wrong(at, "a hole where no pages were inherited")),
        }
    }

    /// An address space that gets pages or holes. What it was copied from gets no more.
    fn filled(&mut self, at: u64, index: usize) -> Result<&mut Space, Problem> {
        if self.spaces[index].copied {
            return Err(wrong(
                at,
                "memory of an address space that was copied already",
            ));
        }
        let mut origin = self.spaces[index].origin;
        while let Some(before) = origin {
            let space = &mut self.spaces[before];
            origin = match replace(&mut space.copied, true) {
                false => space.origin,
                true => None,
            };
        }
        Ok(&mut self.spaces[index])
    }

    fn frame(&mut self, at: u64, frame: &Frame) -> Result<(), Problem> {
        let end = frame.position + frame.bytes;
        match (frame.memory, self.object(at, frame.object)?) {
            (Memory::Private, &Object::Mm(index)) => {
                let space = self.filled(at, index)?;
                space.memory.stored_bytes += frame.bytes;
                // Mappings may be adjacent, and a frame part of several.
                let first = space
                    .areas
                    .partition_point(|area| area.end <= frame.position);
                let mut from = frame.position;
                for (area, mapping) in space.areas[first..]
                    .iter()
                    .zip(&mut space.memory.mappings[first..])
                {
                    if from == end || area.start > from {
                        break;
                    }
                    let to = end.min(area.end);
                    mapping.stored_bytes += to - from;
                    // If it has inherited any.
                    mapping.inherited_bytes = mapping.inherited_bytes.saturating_sub(to - from);
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

    fn process(&mut self, record: &Record<'_>) -> Result<(), Problem> {
        const SUBREAPER: u32 = 1;
        const INIT: u32 = 4;
        const FLAGS: u32 = 7;

        let at = record.at;
        let body: codec::Process = record.body()?;
        unused(at, body.reserved.get())?;
        if body.number.get() as usize != self.seen.len() + 1 {
            return Err(wrong(at, "a process out of order"));
        }
        let parent = self.parent(at, body.parent.get())?;
        let space = match body.mm {
            ObjectId::NONE => None,
            _ => Some(self.taken(at, &body)?),
        };
        let (pid, group, session) = (body.pid.get(), body.pgrp.get(), body.session.get());
        if ![group, session].into_iter().all(is_number) {
            return Err(wrong(at, NO_NUMBER));
        }
        if session == pid && group != pid {
            return Err(wrong(at, "a process that leads a session, but no group"));
        }
        let flags = body.flags.get();
        if flags & !FLAGS != 0 {
            return Err(wrong(at, "a process with unknown flags"));
        }
        let of_namespace = self.image.processes.first().is_some_and(|first| first.init);
        if parent.is_none() && of_namespace {
            return Err(wrong(
                at,
                "a process that came into its pid namespace from outside",
            ));
        }
        if flags & INIT != 0 && (!self.seen.is_empty() || pid != 1) {
            return Err(wrong(
                at,
                "a pid namespace that begins with another process",
            ));
        }
        let stop = body.stop.get();
        if [body.exit_signal.get(), stop, body.stop_told.get()]
            .iter()
            .any(|signal| *signal > SIGNALS)
        {
            return Err(wrong(at, NO_SIGNAL));
        }
        if space.is_none() && (stop != 0 || parent.is_none()) {
            return Err(wrong(
                at,
                "a process that has ended, but is stopped or has no parent",
            ));
        }
        self.number(at, pid)?;
        self.seen.push(Seen {
            at,
            space,
            actions: false,
            limits: false,
            timers: false,
            threads: Vec::new(),
        });
        self.image.processes.push(Process {
            pid,
            parent,
            group,
            session,
            stopped: (stop != 0).then(|| names::signal(stop)),
            subreaper: flags & SUBREAPER != 0,
            init: flags & INIT != 0,
            // CAST: A signed number is stored as it is.
            oom_score_adj: body.oom_score_adj.get() as i32,
            ..Process::default()
        });
        Ok(())
    }

    /// The process ID of a parent by its number in the image.
    fn parent(&self, at: u64, number: u32) -> Result<Option<u32>, Problem> {
        let Some(index) = (number as usize).checked_sub(1) else {
            return Ok(None);
        };
        match self.image.processes.get(index).zip(self.seen.get(index)) {
            Some((parent, seen)) if seen.space.is_some() => Ok(Some(parent.pid)),
            Some(_) => Err(wrong(at, "a child of a process that has ended")),
            None => Err(wrong(at, "a process before its parent")),
        }
    }

    /// The address space that a process takes: one of its own, or that of its parent.
    fn taken(&mut self, at: u64, body: &codec::Process) -> Result<usize, Problem> {
        let index = self.mm(at, body.mm)?;
        let origin = self.spaces[index].origin;
        if origin.is_some_and(|origin| self.spaces[origin].owner.is_none()) {
            return Err(wrong(
                at,
                "a copy of an address space that no earlier process has",
            ));
        }
        let parent = (body.parent.get() as usize).checked_sub(1);
        let of_parent = parent.and_then(|parent| self.seen.get(parent)?.space);
        let owner = &mut self.spaces[index].owner;
        if owner.is_some() && of_parent != Some(index) {
            return Err(wrong(
                at,
                "an address space of another process than its parent",
            ));
        }
        owner.get_or_insert(body.pid.get());
        Ok(index)
    }

    /// Takes a number that no other process or thread has.
    fn number(&mut self, at: u64, number: u32) -> Result<(), Problem> {
        if !is_number(number) {
            return Err(wrong(at, NO_NUMBER));
        }
        if self.numbers.len() == THREADS {
            return Err(wrong(at, format!("more than {THREADS} threads")));
        }
        match self.numbers.insert(number) {
            true => Ok(()),
            false => Err(wrong(at, "a number of two threads")),
        }
    }

    /// The process that a record belongs to.
    fn last(&mut self, at: u64) -> Result<(&mut Process, &mut Seen), Problem> {
        let last = self.image.processes.last_mut().zip(self.seen.last_mut());
        last.ok_or_else(|| wrong(at, "a record of no process"))
    }

    /// The same, which has not ended.
    fn living(&mut self, at: u64) -> Result<(&mut Process, &mut Seen), Problem> {
        let (process, seen) = self.last(at)?;
        match seen.space {
            Some(_) => Ok((process, seen)),
            None => Err(wrong(at, "a record of a process that has ended")),
        }
    }

    /// The thread that a record belongs to.
    fn last_thread(&mut self, at: u64) -> Result<(&mut Thread, &mut Life), Problem> {
        let (process, seen) = self.last(at)?;
        let thread = process.threads.last_mut();
        let life = seen.threads.last_mut().and_then(|seen| seen.life.as_mut());
        let last = thread.zip(life);
        last.ok_or_else(|| wrong(at, "a record of no thread"))
    }

    fn actions(&mut self, record: &Record<'_>) -> Result<(), Problem> {
        let _: Actions = record.body()?;
        let size = size_of::<Action>();
        if record.tail.len() != SIGNALS as usize * size {
            return Err(wrong(record.at, "not one action for each signal"));
        }
        let (process, seen) = self.living(record.at)?;
        once(record, &mut seen.actions)?;
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
        let body: codec::Thread = record.body()?;
        let (process, seen) = self.last(at)?;
        let (pid, first) = (process.pid, seen.threads.is_empty());
        let tid = body.tid.get();
        match first {
            true if tid != pid => {
                return Err(wrong(
                    at,
                    "a first thread without the number of its process",
                ));
            }
            true => (),
            false => self.number(at, tid)?,
        }
        if body.comm.last() != Some(&0) {
            return Err(wrong(at, "a thread with a name that is too long"));
        }
        let (mut thread, life) = match body.ended.get() {
            0 => {
                self.living(at)?;
                (lively(record, &body)?, Some(self.life(at, &body)?))
            }
            1 if first => (Thread::default(), None),
            1 => return Err(wrong(at, "a thread that has ended, but leads nobody")),
            _ => return Err(wrong(at, "a thread that has ended, and has not")),
        };
        let filters = life.as_ref().and_then(|life| life.filters);
        if let Some(settings) = &mut thread.settings {
            settings.seccomp = match (body.seccomp.get(), filters) {
                (0, _) => None,
                (_, None) => Some("strict".to_owned()),
                (_, Some(1)) => Some("1 filter".to_owned()),
                (_, Some(filters)) => Some(format!("{filters} filters")),
            };
        }
        let name = body.comm.split(|byte| *byte == 0).next();
        thread.tid = tid;
        thread.name = text::of_bytes(name.unwrap_or_default());
        thread.ended = life.is_none().then(|| ended(body.status.get()));

        let (process, seen) = self.last(at)?;
        if first {
            process.name.clone_from(&thread.name);
        }
        if seen.space.is_none() {
            process.ended.clone_from(&thread.ended);
        }
        process.threads.push(thread);
        seen.threads.push(SeenThread { at, life });
        Ok(())
    }

    /// What a thread refers to.
    fn life(&self, at: u64, body: &codec::Thread) -> Result<Life, Problem> {
        let other = |id: ObjectId| Err(malformed(at, Malformed::ObjectKind(id.number())));
        let table = match self.object(at, body.files)? {
            Object::Files(index) => *index,
            _ => return other(body.files),
        };
        let place = match self.object(at, body.fs)? {
            Object::Fs(index) => *index,
            _ => return other(body.fs),
        };
        let cred = match self.object(at, body.cred)? {
            Object::Cred(index) => *index,
            _ => return other(body.cred),
        };
        let filters = match body.filter {
            ObjectId::NONE => None,
            newest => match self.object(at, newest)? {
                Object::Filter(nr) => Some(*nr),
                _ => return other(newest),
            },
        };
        if body.seccomp.get() > FILTERED || filters.is_some() != (body.seccomp.get() == FILTERED) {
            return Err(wrong(at, "filters where there are none, or the other way"));
        }
        Ok(Life {
            table,
            place,
            cred,
            filters,
            regs: Vec::new(),
        })
    }

    fn regs(&mut self, record: &Record<'_>) -> Result<(), Problem> {
        let body: Regs = record.body()?;
        unused(record.at, body.reserved.get())?;
        let note = body.note.get();
        let (_, life) = self.last_thread(record.at)?;
        if !REGSETS.contains(&note) || life.regs.contains(&note) {
            return Err(wrong(record.at, "unknown registers, or the same once more"));
        }
        life.regs.push(note);
        Ok(())
    }

    fn pending(&mut self, record: &Record<'_>) -> Result<(), Problem> {
        let at = record.at;
        let body: Pending = record.body()?;
        unused(at, body.reserved.get())?;
        if record.tail.len() != SIGINFO {
            return Err(wrong(at, "a signal without what is known of it"));
        }
        // Its number comes first.
        let signal = record.tail.first_chunk();
        let signal = signal.map_or(0, |number| u32::from_le_bytes(*number));
        if !(1..=SIGNALS).contains(&signal) || signal == KILL {
            return Err(wrong(at, "a signal that cannot wait"));
        }
        let pending = match body.shared.get() {
            0 => &mut self.last_thread(at)?.0.pending,
            1 => {
                let (process, seen) = self.living(at)?;
                if !seen.threads.is_empty() {
                    return Err(wrong(at, "a signal for a process behind its threads"));
                }
                &mut process.signals.pending
            }
            _ => return Err(wrong(at, "a signal for nobody")),
        };
        if pending.len() == MOST {
            return Err(wrong(at, format!("more than {MOST} signals that wait")));
        }
        pending.push(names::signal(signal));
        Ok(())
    }

    fn limits(&mut self, record: &Record<'_>) -> Result<(), Problem> {
        let _: Rlimits = record.body()?;
        if record.tail.len() != names::RESOURCES.len() * 16 {
            return Err(wrong(record.at, "not one limit for each resource"));
        }
        let (process, seen) = self.living(record.at)?;
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
        unused(record.at, body.reserved.get())?;
        self.places.push(Place {
            cwd: self.file(record.at, body.cwd)?.1,
            umask: format!("{:03o}", body.umask.get()),
        });
        let index = self.places.len() - 1;
        self.define(record.at, body.id, Object::Fs(index))
    }

    fn cred(&mut self, record: &Record<'_>) -> Result<(), Problem> {
        let body: Cred = record.body()?;
        let groups = record.tail.chunks_exact(4);
        if !groups.remainder().is_empty() {
            return Err(wrong(record.at, "a part of a group"));
        }
        let set = |set: U64| format!("{:#x}", set.get());
        self.creds.push(Credentials {
            uid: Ids {
                real: body.uid.get(),
                effective: body.euid.get(),
                saved: body.suid.get(),
                filesystem: body.fsuid.get(),
            },
            gid: Ids {
                real: body.gid.get(),
                effective: body.egid.get(),
                saved: body.sgid.get(),
                filesystem: body.fsgid.get(),
            },
            groups: groups
                .map(|group| group.try_into().map_or(0, u32::from_le_bytes))
                .collect(),
            securebits: body.securebits.get(),
            capabilities: Capabilities {
                inheritable: set(body.inheritable),
                permitted: set(body.permitted),
                effective: set(body.effective),
                bounding: set(body.bounding),
                ambient: set(body.ambient),
            },
        });
        let index = self.creds.len() - 1;
        self.define(record.at, body.id, Object::Cred(index))
    }

    fn filter(&mut self, record: &Record<'_>) -> Result<(), Problem> {
        const LOG: u32 = 1;
        const INSTRUCTION: usize = 8;
        const MOST: usize = 4096;

        let at = record.at;
        let body: codec::Filter = record.body()?;
        unused(at, body.reserved.get())?;
        let older = match body.older {
            ObjectId::NONE => 0,
            older => match self.object(at, older)? {
                Object::Filter(nr) => *nr,
                _ => return Err(malformed(at, Malformed::ObjectKind(older.number()))),
            },
        };
        let whole = record.tail.len() % INSTRUCTION == 0;
        if !whole || !(1..=MOST).contains(&(record.tail.len() / INSTRUCTION)) {
            return Err(wrong(at, "a filter without instructions, or with too many"));
        }
        if body.flags.get() & !LOG != 0 {
            return Err(wrong(at, "a filter with unknown flags"));
        }
        self.define(at, body.id, Object::Filter(older + 1))
    }

    fn interval_timers(&mut self, record: &Record<'_>) -> Result<(), Problem> {
        const KINDS: [(&str, &str); 3] = [
            ("real", "ALRM"),
            ("virtual", "VTALRM"),
            ("profiling", "PROF"),
        ];

        let body: Itimers = record.body()?;
        let (process, seen) = self.living(record.at)?;
        once(record, &mut seen.timers)?;
        for ((kind, left), interval) in KINDS.into_iter().zip(body.left).zip(body.interval) {
            let (left, interval) = (left.get(), interval.get());
            if left.max(interval) > TIME {
                return Err(wrong(record.at, "a timer beyond its range"));
            }
            if left > 0 {
                process.interval_timers.push(Timer {
                    id: None,
                    clock: kind.0.to_owned(),
                    signal: Some(kind.1.to_owned()),
                    left: Some(left),
                    until: None,
                    interval,
                });
            }
        }
        Ok(())
    }

    fn timer(&mut self, record: &Record<'_>) -> Result<(), Problem> {
        const REALTIME: u32 = 0;
        const SILENT: u32 = 1;
        const ABSOLUTE: u32 = 2;
        const FLAGS: u32 = 3;

        let at = record.at;
        let body: codec::Timer = record.body()?;
        let (id, clock, flags) = (body.id.get(), body.clock.get(), body.flags.get());
        let absolute = flags & ABSOLUTE != 0;
        if i32::try_from(id).is_err() || flags & !FLAGS != 0 || absolute && clock != REALTIME {
            return Err(wrong(at, "a timer that cannot be"));
        }
        let (left, interval) = (body.left.get(), body.interval.get());
        if left.max(interval) > TIME {
            return Err(wrong(at, "a timer beyond its range"));
        }
        let signal = Some(body.signal.get()).filter(|_| body.notify.get() != SILENT);
        if signal.is_some_and(|signal| !(1..=SIGNALS).contains(&signal)) {
            return Err(wrong(at, NO_SIGNAL));
        }
        let time = Some(left).filter(|left| *left > 0);
        let (process, _) = self.living(at)?;
        if process.timers.len() == MOST {
            return Err(wrong(at, format!("more than {MOST} timers")));
        }
        process.timers.push(Timer {
            id: Some(id),
            clock: names::clock(clock),
            signal: signal.map(names::signal),
            left: time.filter(|_| !absolute),
            until: time.filter(|_| absolute),
            interval,
        });
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
        let Some(table) = self.tables.last_mut() else {
            return Err(wrong(record.at, "a descriptor of no table"));
        };
        let before = table.descriptors.last();
        if before.is_some_and(|before| before.fd >= descriptor.fd) {
            return Err(wrong(record.at, "descriptors out of order"));
        }
        table.descriptors.push(descriptor);
        Ok(())
    }

    /// What can only be checked at the end.
    fn complete(&self) -> Result<(), Problem> {
        for (process, seen) in self.image.processes.iter().zip(&self.seen) {
            if let Some((at, kind)) = seen.missing() {
                let what = format!("pid {} lacks a record `{}`", process.pid, kind.name());
                return Err(wrong(at, what));
            }
        }
        if self.image.processes.is_empty() {
            return Err(wrong(0, "an image without processes"));
        }
        if self.image.clocks.is_none() {
            return Err(wrong(0, "an image without clocks"));
        }
        match self.spaces.iter().find(|space| space.owner.is_none()) {
            Some(space) => Err(wrong(space.at, "an address space of no process")),
            None => Ok(()),
        }
    }

    /// The image, its processes with their memory and files.
    fn finish(mut self) -> Image {
        for (process, seen) in self.image.processes.iter_mut().zip(&self.seen) {
            if let Some(index) = seen.space {
                let space = &self.spaces[index];
                process.executable.clone_from(&space.exe);
                process.memory_of = space.owner.filter(|owner| *owner != process.pid);
                process.memory = process.memory_of.is_none().then(|| super::Memory {
                    copy_of: space.origin.and_then(|origin| self.spaces[origin].owner),
                    ..space.memory.clone()
                });
            }
            let table = same(seen.lives().map(|life| life.table));
            let place = same(seen.lives().map(|life| life.place));
            let cred = same(seen.lives().map(|life| life.cred));
            process.open = table.map(|table| self.tables[table].of(process.pid));
            process.place = place.map(|place| self.places[place].clone());
            process.credentials = cred.map(|cred| self.creds[cred].clone());
            for (thread, seen) in process.threads.iter_mut().zip(&seen.threads) {
                let Some(life) = &seen.life else {
                    continue;
                };
                if table.is_none() {
                    thread.open = Some(self.tables[life.table].of(thread.tid));
                }
                if place.is_none() {
                    thread.place = Some(self.places[life.place].clone());
                }
                if cred.is_none() {
                    thread.credentials = Some(self.creds[life.cred].clone());
                }
            }
        }
        self.image
    }
}

/// What all of them are, if that is the same.
fn same(mut indices: impl Iterator<Item = usize>) -> Option<usize> {
    let first = indices.next()?;
    indices.all(|index| index == first).then_some(first)
}

/// Whether a process or a thread can have a number.
fn is_number(number: u32) -> bool {
    i32::try_from(number).is_ok_and(|number| number > 0)
}

/// What a thread has ended with, as wait(2) has it.
fn ended(status: u32) -> Ended {
    match status & 0x7f {
        0 => Ended::Status(status >> 8 & 0xff),
        signal => Ended::Signal(names::signal(signal)),
    }
}

/// A thread that has not ended, but for its name.
fn lively(record: &Record<'_>, body: &codec::Thread) -> Result<Thread, Problem> {
    let at = record.at;
    if body.death_signal.get() > SIGNALS {
        return Err(wrong(at, NO_SIGNAL));
    }
    unused(at, body.reserved.get())?;
    Ok(Thread {
        settings: Some(settings(at, body, record.tail)?),
        blocked: names::signals(body.blocked.get()),
        call: call(at, body)?,
        ..Thread::default()
    })
}

fn settings(at: u64, body: &codec::Thread, processors: &[u8]) -> Result<Settings, Problem> {
    const IDLE: u32 = 3;

    let priority = body.priority.get();
    let range = match body.policy.get() {
        1 | 2 => 1..=99,
        _ => 0..=0,
    };
    let policy = names::policy(body.policy.get())
        .filter(|_| range.contains(&priority) && body.sched_flags.get() <= 1)
        .ok_or_else(|| wrong(at, "an unknown way of scheduling"))?;
    if body.io_priority.get() >> 13 > IDLE {
        return Err(wrong(at, "an unknown I/O priority"));
    }
    if processors.len() > PROCESSORS {
        return Err(wrong(at, "a mask of too many processors"));
    }
    Ok(Settings {
        no_new_privileges: body.no_new_privs.get() != 0,
        seccomp: None,
        // CAST: A signed number is stored as it is.
        nice: body.nice.get() as i32,
        policy,
        priority,
        processors: (!processors.is_empty()).then(|| names::processors(processors)),
        io_priority: names::io_priority(body.io_priority.get()),
        login: Some(body.login.get()).filter(|user| *user != u32::MAX),
    })
}

/// The call that a thread goes on with.
fn call(at: u64, body: &codec::Thread) -> Result<Option<Call>, Problem> {
    let (clock, count) = (body.restart_clock.get(), body.restart_count.get());
    let name = match body.restart.get() {
        0 => return Ok(None),
        1 if clock != 1 && clock != 7 => {
            return Err(wrong(at, "a nanosleep(2) by an unknown clock"));
        }
        1 => "nanosleep",
        2 if count > i32::MAX as u64 => {
            return Err(wrong(at, "a poll(2) of more files than there can be"));
        }
        2 => "poll",
        3 if clock > 3 => return Err(wrong(at, "a futex(2) with unknown flags")),
        3 if count >> 32 == 0 => return Err(wrong(at, "a futex(2) that nothing wakes")),
        3 => "futex",
        _ => return Err(wrong(at, "an unknown call that goes on")),
    };
    // CAST: A signed number is stored as it is.
    let time = Some(body.restart_left.get() as i64).filter(|time| *time != i64::MAX);
    // By the real-time clock nothing is left, but an end is set.
    let (left, until) = match body.restart.get() == 3 && clock & 2 != 0 {
        true => (None, time),
        false => (time, None),
    };
    Ok(Some(Call { name, left, until }))
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
