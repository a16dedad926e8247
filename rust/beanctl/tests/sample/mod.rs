// SPDX-License-Identifier: GPL-2.0

//! A container as the codec of the kernel writes it, for tests: a process of two threads, and its
//! children: one that has ended, one that has not, and one with a copy of its memory, whose child
//! has a copy of that in turn, and shares it with a child of its own.

use std::collections::BTreeMap;

use beanpod_image::{
    Actions, Body, COMPAT_DATA_CRC, Clocks, Cred, Deleted, External, Fd, File, Files, Frame, Fs,
    Guard, Header, Hole, Identity, Itimers, Memory, Mm, Note, ObjectId, Pending, Piece, Pipe,
    Process, Regs, Release, Rlimits, Shm, Thread, Timer, Type, Vma, Writer,
};
use zerocopy::{FromZeros, IntoBytes};

const PAGE: u64 = 4096;

/// As which user a thread has logged in that nobody has logged in for.
const NOBODY: u32 = u32::MAX;

const USR2: u32 = 12;
const TERM: u32 = 15;
const CHLD: u32 = 17;

/// What can be otherwise than in a good image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// In a record of this type, by its index among them, the 4 bytes at this offset of the
    /// structure.
    Field(Type, usize, usize, u32),
    /// The same of several.
    Fields(&'static [(Type, usize, usize, u32)]),
    /// What follows the structure of a record.
    Tail(Type, usize, &'static [u8]),
    /// There is no record of this type.
    Without(Type),
    /// A record comes twice.
    Twice(Type, usize),
    /// A frame, by its index, is of this object and has this many pages.
    Frame(usize, u32, u64),
    /// There are more of these than the kernel takes: pieces of a pipe, processes, threads, signals
    /// that wait for a thread, or timers.
    Many(Type),
    /// The first thread has ended, the other one of its process has not.
    Ended,
    /// The first thread has ended, its process has not, and there is no other thread.
    Dead,
    /// The process that has ended has no thread.
    Bare,
    /// There are no processes.
    Empty,
}

/// A mapping: its first address, the one behind the last, its kind, and its object.
type Map = (u64, u64, u32, ObjectId);

struct Out {
    writer: Writer,
    bytes: Vec<u8>,
    fault: Fault,
    /// How many records there are so far, by the numbers of their types.
    put: BTreeMap<u16, usize>,
}

impl Out {
    /// The index of the next record among those of its type.
    fn count(&mut self, kind: Type) -> usize {
        let count = self.put.entry(kind.number()).or_default();
        *count += 1;
        *count - 1
    }

    /// Adds a record, as the fault has it.
    fn put<T: Body>(&mut self, body: &T, tail: &[u8]) {
        let mut body = T::read_from_bytes(body.as_bytes()).unwrap();
        let nth = self.count(T::TYPE);
        let mut tail = tail;
        let mut times = 1;
        let mut set = |kind, of, at: usize, value: u32| {
            if (kind, of) == (T::TYPE, nth) {
                body.as_mut_bytes()[at..at + 4].copy_from_slice(&value.to_le_bytes());
            }
        };
        match self.fault {
            Fault::Field(kind, of, at, value) => set(kind, of, at, value),
            Fault::Fields(fields) => fields
                .iter()
                .for_each(|&(kind, of, at, value)| set(kind, of, at, value)),
            Fault::Tail(kind, of, other) if (kind, of) == (T::TYPE, nth) => tail = other,
            Fault::Without(kind) if kind == T::TYPE => times = 0,
            Fault::Twice(kind, of) if (kind, of) == (T::TYPE, nth) => times = 2,
            _ => (),
        }
        let mut room = vec![0; 256 + tail.len()];
        for _ in 0..times {
            let size = self.writer.put(&body, &[tail], &mut room).unwrap();
            self.bytes.extend_from_slice(&room[..size]);
        }
    }

    /// How many there are of what there may be too many of.
    fn many(&self, kind: Type, usual: u32, most: u32) -> u32 {
        match self.fault {
            Fault::Many(other) if other == kind => most + 1,
            _ => usual,
        }
    }

    fn frame(&mut self, memory: Memory, object: ObjectId, position: u64, pages: u64) {
        let nth = self.count(Type::Pages);
        let (object, pages) = match self.fault {
            Fault::Frame(of, object, pages) if of == nth => (ObjectId::new(object), pages),
            _ => (object, pages),
        };
        let content = vec![0x5a; usize::try_from(pages * PAGE).unwrap()];
        let frame = Frame {
            memory,
            object,
            position,
            bytes: pages * PAGE,
        };
        let mut room = [0; 64];
        let crc = crc32c::crc32c(&content);
        let size = self.writer.frame(&frame, crc, &mut room).unwrap();
        self.bytes.extend_from_slice(&room[..size]);
        self.bytes.extend_from_slice(&content);
    }

    fn file(&mut self, id: u32, mode: u32, path: &str) -> ObjectId {
        let mut body = File::new_zeroed();
        body.id = ObjectId::new(id);
        body.mode = mode.into();
        body.flags = 0o2001.into();
        body.position = 42.into();
        self.put(&body, path.as_bytes());
        body.id
    }

    fn space(&mut self, id: u32, exe: ObjectId, maps: &[Map]) -> ObjectId {
        self.copy(id, exe, maps, ObjectId::NONE, &[])
    }

    /// An address space that has inherited the mappings at these addresses.
    fn copy(
        &mut self,
        id: u32,
        exe: ObjectId,
        maps: &[Map],
        origin: ObjectId,
        inherited: &[u64],
    ) -> ObjectId {
        let mut body = Mm::new_zeroed();
        body.id = ObjectId::new(id);
        (body.exe, body.origin) = (exe, origin);
        body.start_brk = 0x2000.into();
        body.brk = 0x4000.into();
        body.start_stack = 0x7fff_f800.into();
        body.vdso = 0x9000_0000.into();
        body.vdso_crc = 0x00c0_ffee.into();
        self.put(&body, &[]);
        for &(start, end, kind, object) in maps {
            let mut body = Vma::new_zeroed();
            body.start = start.into();
            body.end = end.into();
            body.kind = kind.into();
            body.object = object;
            body.flags = 3.into();
            body.inherited = u32::from(inherited.contains(&start)).into();
            let name: &[u8] = if kind == 0 && start < 0x4000 {
                b"pool"
            } else {
                b""
            };
            self.put(&body, name);
        }
        body.id
    }

    /// A table of descriptors, a place in the file system, and credentials, numbered from this one.
    fn context(&mut self, id: u32, fds: &[(u32, u32)], umask: u32, user: u32) {
        let mut files = Files::new_zeroed();
        files.id = ObjectId::new(id);
        self.put(&files, &[]);
        let mut fd = Fd::new_zeroed();
        for &(number, file) in fds {
            (fd.fd, fd.file) = (number.into(), ObjectId::new(file));
            self.put(&fd, &[]);
        }
        let mut fs = Fs::new_zeroed();
        (fs.id, fs.cwd) = (ObjectId::new(id + 1), ObjectId::new(2));
        fs.umask = umask.into();
        self.put(&fs, &[]);
        let mut cred = Cred::new_zeroed();
        cred.id = ObjectId::new(id + 2);
        (cred.uid, cred.suid, cred.fsuid) = (user.into(), user.into(), user.into());
        (cred.effective, cred.gid, cred.egid) = (3.into(), 100.into(), 100.into());
        (cred.sgid, cred.fsgid) = (100.into(), 100.into());
        self.put(&cred, [10, 27].as_bytes());
    }

    fn process(&mut self, number: u32, parent: u32, mm: ObjectId) {
        let mut body = Process::new_zeroed();
        body.number = number.into();
        body.parent = parent.into();
        body.pid = (100 + number).into();
        (body.pgrp, body.session) = (101.into(), 101.into());
        (body.exit_signal, body.mm) = (CHLD.into(), mm);
        if number == 1 {
            body.flags = 1.into();
            body.stop = 19.into();
        }
        self.put(&body, &[]);
        if mm == ObjectId::NONE {
            return;
        }
        let mut actions = [[0_u64; 4]; 64];
        (actions[14][0], actions[0][0]) = (0x1234, 1);
        self.put(&Actions {}, actions.as_bytes());
        let mut limits = vec![u64::MAX; 32];
        limits[14] = 1024;
        self.put(&Rlimits {}, limits.as_bytes());
        let mut timers = Itimers::new_zeroed();
        (timers.left[0], timers.interval[0]) = (2_500_000_000.into(), 4_000_000_000.into());
        self.put(&timers, &[]);
        let mut timer = Timer::new_zeroed();
        (timer.id, timer.clock, timer.signal) = (7.into(), 0.into(), USR2.into());
        (timer.flags, timer.left) = (2.into(), 1_800_000_000_000_000_000.into());
        let nr = self.many(Type::Timer, 1, 1 << 16);
        (0..nr).for_each(|_| self.put(&timer, &[]));
        self.pending(1, TERM);
    }

    fn pending(&mut self, shared: u32, signal: u32) {
        let mut body = Pending::new_zeroed();
        body.shared = shared.into();
        let mut info = [0; 12];
        info[0] = signal;
        self.put(&body, info.as_bytes());
    }

    /// A thread with what [`Out::context`] has made from this number on, and a mask of processors.
    fn thread(&mut self, mut body: Thread, context: u32, processors: &[u8]) {
        body.comm[..5].copy_from_slice(b"co\x1bnt");
        if body.ended.get() != 0 {
            self.put(&body, &[]);
            return;
        }
        body.files = ObjectId::new(context);
        body.fs = ObjectId::new(context + 1);
        body.cred = ObjectId::new(context + 2);
        body.blocked = (1 << 9).into();
        self.put(&body, processors);
        let mut regs = Regs::new_zeroed();
        for (note, set) in [(1, [0; 27 * 8].as_slice()), (0x202, &[0; 64])] {
            regs.note = note.into();
            self.put(&regs, set);
        }
    }

    /// A process of two threads.
    fn first(&mut self, mm: ObjectId) {
        self.process(1, 0, mm);
        let mut thread = Thread::new_zeroed();
        thread.login = NOBODY.into();
        thread.tid = 101.into();
        thread.ended = u32::from(matches!(self.fault, Fault::Ended | Fault::Dead)).into();
        (thread.restart, thread.restart_clock) = (1.into(), 1.into());
        thread.restart_left = 1_500_000_000.into();
        self.thread(thread, 9, &[]);
        if self.fault == Fault::Dead {
            return;
        }
        let mut other = Thread::new_zeroed();
        (other.nice, other.policy) = (5.into(), 3.into());
        other.io_priority = (2 << 13 | 4).into();
        other.login = 1000.into();
        for tid in 0..self.many(Type::Thread, 2, 4096) - 1 {
            other.tid = (9001 + tid).into();
            self.thread(other, 9, &[0b1101]);
        }
        for _ in 0..self.many(Type::Pending, 1, 1 << 16) {
            self.pending(0, USR2);
        }
    }

    /// A process that has ended.
    fn second(&mut self) {
        self.process(2, 1, ObjectId::NONE);
        let mut thread = Thread::new_zeroed();
        thread.login = NOBODY.into();
        thread.tid = 102.into();
        (thread.ended, thread.status) = (1.into(), (3 << 8).into());
        if self.fault != Fault::Bare {
            self.thread(thread, 0, &[]);
        }
    }

    /// A process of one thread.
    fn other(&mut self, number: u32, parent: u32, mm: ObjectId) {
        self.process(number, parent, mm);
        let mut thread = Thread::new_zeroed();
        thread.login = NOBODY.into();
        thread.tid = (100 + number).into();
        (thread.restart, thread.restart_clock) = (3.into(), 2.into());
        thread.restart_count = (1 << 32).into();
        thread.restart_left = 1_800_000_000_000_000_000.into();
        self.thread(thread, 14, &[]);
    }
}

/// The image.
pub fn image(fault: Fault) -> Vec<u8> {
    let mut room = [0; 128];
    let header = Header::new(62, 12, COMPAT_DATA_CRC);
    let (writer, size) = Writer::start(&header, &mut room).unwrap();
    let mut out = Out {
        writer,
        bytes: room[..size].to_vec(),
        fault,
        put: BTreeMap::new(),
    };
    out.put(&Release {}, b"7.3.4-sample");
    out.put(&Identity { uuid: [0xab; 16] }, &[]);
    out.put(&Note {}, b"pids.max 100\nbc.max numfile \x1b1200\n");
    let exe = out.file(1, 0o100_755, "/usr/bin/co\u{fc}nt");
    out.file(2, 0o040_755, "/tmp");
    out.file(3, 0o100_644, "/tmp/out");
    let shm = ObjectId::new(4);
    let mut body = Shm::new_zeroed();
    (body.id, body.size) = (shm, (2 * PAGE).into());
    out.put(&body, &[]);
    let mut gone = Deleted::new_zeroed();
    (gone.id, gone.size) = (ObjectId::new(5), 5000.into());
    (gone.mode, gone.uid, gone.gid) = (0o100_600.into(), 1000.into(), 100.into());
    gone.atime = (-1_i64 as u64).into();
    (gone.mtime, gone.mtime_ns) = (1_800_000_000.into(), 5.into());
    out.put(&gone, b"/tmp/gone");
    let mut file = File::new_zeroed();
    (file.id, file.of, file.mode) = (ObjectId::new(6), gone.id, 0o100_600.into());
    out.put(&file, &[]);
    let mut external = External::new_zeroed();
    external.id = ObjectId::new(7);
    out.put(&external, b"log");
    let mut clocks = Clocks::new_zeroed();
    (clocks.monotonic, clocks.boottime) = (60_000_000_000.into(), 61_000_000_000.into());
    out.put(&clocks, &[]);
    let maps = [
        (0x1000, 0x2000, 1, exe),
        (0x2000, 0x4000, 0, ObjectId::NONE),
        (0x7fff_0000, 0x7fff_2000, 3, shm),
        (0x7fff_e000, 0x8000_0000, 0, ObjectId::NONE),
    ];
    let first = out.space(8, exe, &maps);
    let mut guard = Guard::new_zeroed();
    (guard.start, guard.end) = (0x7fff_e000.into(), 0x7fff_f000.into());
    out.put(&guard, &[]);
    out.context(9, &[(3, 3), (4, 6), (5, 7)], 0o022, 1000);
    let mut pipe = Pipe::new_zeroed();
    (pipe.id, pipe.size) = (ObjectId::new(12), 65_536.into());
    out.put(&pipe, &[]);
    let piece = Piece::new_zeroed();
    let nr = out.many(Type::Piece, 2, 1 << 16);
    (0..nr).for_each(|_| out.put(&piece, b"bean"));
    let mut end = File::new_zeroed();
    (end.id, end.of, end.mode) = (ObjectId::new(13), pipe.id, 0o010_600.into());
    out.put(&end, &[]);
    out.context(14, &[(0, 3), (1, 13)], 0o077, 0);
    let inherited = [maps[0].0, maps[1].0, maps[3].0];
    let copy = out.copy(17, exe, &maps, first, &inherited);
    // The first and the last one are as those of the copy, but it has none of their pages.
    let new = (0x4000, 0x5000, 0, ObjectId::NONE);
    let maps_of_copy = [maps[0], maps[1], new, maps[3]];
    let of_copy = out.copy(18, exe, &maps_of_copy, copy, &[maps[1].0]);
    if fault != Fault::Empty {
        out.first(first);
        out.second();
        let last = out.many(Type::Process, 3, 4096);
        for number in 3..=last {
            let space = out.space(16 + number, exe, &maps[..1]);
            out.other(number, 1, space);
        }
        out.other(last + 1, 1, copy);
        out.other(last + 2, last + 1, of_copy);
        out.other(last + 3, last + 2, of_copy);
    }
    // One frame over two mappings that are adjacent.
    out.frame(Memory::Private, first, 0x1000, 3);
    out.frame(Memory::Private, first, 0x7fff_f000, 1);
    out.frame(Memory::Shared, shm, PAGE, 1);
    out.frame(Memory::Shared, gone.id, PAGE, 1);
    let mut hole = Hole::new_zeroed();
    hole.object = copy;
    (hole.start, hole.end) = (0x3000.into(), 0x4000.into());
    out.put(&hole, &[]);
    out.frame(Memory::Private, copy, 0x7fff_f000, 1);
    // One frame over a mapping that is inherited and one that is not.
    out.frame(Memory::Private, of_copy, 0x3000, 2);
    let (size, _) = out.writer.end(&mut room).unwrap();
    out.bytes.extend_from_slice(&room[..size]);
    out.bytes
}
