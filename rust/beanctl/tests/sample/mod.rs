// SPDX-License-Identifier: GPL-2.0

//! A container of two processes, as the codec of the kernel writes it, for tests.

use std::collections::BTreeMap;

use beanpod_image::{
    Body, COMPAT_DATA_CRC, Clocks, Deleted, External, Fd, File, Frame, Fs, Guard, Header, Identity,
    Memory, Mm, ObjectId, Regs, Release, Rlimits, Shm, Signals, Task, Thread, Type, Vma, Writer,
};
use zerocopy::{FromZeros, IntoBytes};

const PAGE: u64 = 4096;

/// What can be otherwise than in a good image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// In a record of this type, by its index among them, the 4 bytes at this offset of the
    /// structure.
    Field(Type, usize, usize, u32),
    /// What follows the structure of a record.
    Tail(Type, usize, &'static [u8]),
    /// There is no record of this type.
    Without(Type),
    /// A record comes twice.
    Twice(Type, usize),
    /// A frame, by its index, is of this object and has this many pages.
    Frame(usize, u32, u64),
    /// There are more processes than the kernel takes.
    Many,
    /// There are no processes.
    Empty,
}

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
        match self.fault {
            Fault::Field(kind, of, at, value) if (kind, of) == (T::TYPE, nth) => {
                body.as_mut_bytes()[at..at + 4].copy_from_slice(&value.to_le_bytes());
            }
            Fault::Tail(kind, of, other) if (kind, of) == (T::TYPE, nth) => tail = other,
            Fault::Without(kind) if kind == T::TYPE => times = 0,
            Fault::Twice(kind, of) if (kind, of) == (T::TYPE, nth) => times = 2,
            _ => (),
        }
        let mut room = vec![0; 70_000];
        for _ in 0..times {
            let size = self.writer.put(&body, &[tail], &mut room).unwrap();
            self.bytes.extend_from_slice(&room[..size]);
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

    fn space(&mut self, id: u32, exe: ObjectId, maps: &[(u64, u64, u32, ObjectId)]) -> ObjectId {
        let mut body = Mm::new_zeroed();
        body.id = ObjectId::new(id);
        body.exe = exe;
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
            let name: &[u8] = if kind == 0 && start == 0x2000 {
                b"pool"
            } else {
                b""
            };
            self.put(&body, name);
        }
        body.id
    }

    fn task(&mut self, number: u32, parent: u32, mm: ObjectId, cwd: ObjectId) {
        let mut body = Task::new_zeroed();
        body.number = number.into();
        body.parent = parent.into();
        body.pid = (100 + number).into();
        body.pgrp = 101.into();
        body.session = 101.into();
        body.mm = mm;
        body.comm[..5].copy_from_slice(b"co\x1bnt");
        self.put(&body, &[]);

        let mut signals = Signals::new_zeroed();
        signals.blocked = (1 << 9).into();
        let mut actions = [[0_u64; 4]; 64];
        (actions[14][0], actions[0][0]) = (0x1234, 1);
        self.put(&signals, actions.as_bytes());
        let mut thread = Thread::new_zeroed();
        if number == 1 {
            (thread.restart, thread.restart_clock) = (1.into(), 1.into());
            thread.restart_left = 1_500_000_000.into();
        } else {
            (thread.restart, thread.restart_clock) = (3.into(), 2.into());
            thread.restart_count = (1 << 32).into();
            thread.restart_left = 1_800_000_000_000_000_000.into();
        }
        self.put(&thread, &[]);
        let mut limits = vec![u64::MAX; 32];
        limits[14] = 1024;
        self.put(&Rlimits {}, limits.as_bytes());
        let mut fs = Fs::new_zeroed();
        (fs.cwd, fs.umask) = (cwd, 0o022.into());
        self.put(&fs, &[]);
        let mut fd = Fd::new_zeroed();
        for (number, file) in [(3, 3), (4, 6), (5, 7)] {
            (fd.fd, fd.file) = (number.into(), ObjectId::new(file));
            self.put(&fd, &[]);
        }
        let mut regs = Regs::new_zeroed();
        regs.note = 1.into();
        self.put(&regs, &[0; 27 * 8]);
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
    let exe = out.file(1, 0o100_755, "/usr/bin/co\u{fc}nt");
    let cwd = out.file(2, 0o040_755, "/tmp");
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
    (file.id, file.deleted, file.mode) = (ObjectId::new(6), gone.id, 0o100_600.into());
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
    let processes = match fault {
        Fault::Empty => 0,
        Fault::Many => 1025,
        _ => 2,
    };
    for number in 1..=processes {
        let space = match number {
            1 => first,
            number => out.space(7 + number, exe, &maps[..1]),
        };
        out.task(number, number.min(2) - 1, space, cwd);
    }
    // One frame over two mappings that are adjacent.
    out.frame(Memory::Private, first, 0x1000, 3);
    out.frame(Memory::Private, first, 0x7fff_f000, 1);
    out.frame(Memory::Shared, shm, PAGE, 1);
    out.frame(Memory::Shared, gone.id, PAGE, 1);
    let (size, _) = out.writer.end(&mut room).unwrap();
    out.bytes.extend_from_slice(&room[..size]);
    out.bytes
}
