// SPDX-License-Identifier: GPL-2.0

//! A container of two processes, as the codec of the kernel writes it, for tests.

use beanpod_image::{
    Body, COMPAT_DATA_CRC, Clocks, Deleted, External, Fd, File, Frame, Fs, Guard, Header, Identity,
    Memory, Mm, ObjectId, Regs, Release, Rlimits, Shm, Signals, Task, Thread, Vma, Writer,
};
use zerocopy::{FromZeros, IntoBytes};

const PAGE: u64 = 4096;

/// What can be otherwise than in a good image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// The executable has a number that is not the next one.
    ObjectOrder,
    /// The working directory is shared memory.
    CwdIsNoFile,
    /// A mapping is below the one before it.
    MappingOrder,
    /// A frame reaches beyond its mapping.
    NotMapped,
    /// A frame is behind the end of a deleted file.
    BehindTheEnd,
    /// Guard pages are not in their mapping.
    Guard,
    /// A file has a path, and was deleted.
    PathOfDeleted,
    /// The second process comes before its parent.
    NoParent,
    /// One limit is missing.
    Limits,
    /// A process has no registers.
    NoRegs,
    /// Two descriptors have the same number.
    Descriptors,
    /// There are no processes.
    Empty,
}

struct Out {
    writer: Writer,
    bytes: Vec<u8>,
}

impl Out {
    fn put<T: Body>(&mut self, body: &T, tail: &[u8]) {
        let mut room = vec![0; 70_000];
        let size = self.writer.put(body, &[tail], &mut room).unwrap();
        self.bytes.extend_from_slice(&room[..size]);
    }

    fn frame(&mut self, memory: Memory, object: ObjectId, position: u64, pages: u64) {
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

    fn task(&mut self, number: u32, parent: u32, mm: ObjectId, cwd: ObjectId, fault: Fault) {
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
        thread.restart = 1.into();
        thread.restart_left = 1_500_000_000.into();
        self.put(&thread, &[]);
        let mut limits = vec![u64::MAX; 32];
        limits[14] = 1024;
        if fault == Fault::Limits {
            limits.pop();
        }
        self.put(&Rlimits {}, limits.as_bytes());
        let mut fs = Fs::new_zeroed();
        (fs.cwd, fs.umask) = (cwd, 0o022.into());
        self.put(&fs, &[]);
        let mut fd = Fd::new_zeroed();
        for (number, file) in [(3, 3), (4, 6), (5, 7)] {
            (fd.fd, fd.file) = (number.into(), ObjectId::new(file));
            self.put(&fd, &[]);
        }
        if fault == Fault::Descriptors {
            self.put(&fd, &[]);
        }
        if fault != Fault::NoRegs {
            let mut regs = Regs::new_zeroed();
            regs.note = 1.into();
            self.put(&regs, &[0; 27 * 8]);
        }
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
    };
    out.put(&Release {}, b"7.3.4-sample");
    out.put(&Identity { uuid: [0xab; 16] }, &[]);
    let number = if fault == Fault::ObjectOrder { 2 } else { 1 };
    let exe = out.file(number, 0o100_755, "/usr/bin/co\u{fc}nt");
    let mut cwd = out.file(2, 0o040_755, "/tmp");
    out.file(3, 0o100_644, "/tmp/out");
    let shm = ObjectId::new(4);
    let mut body = Shm::new_zeroed();
    (body.id, body.size) = (shm, (2 * PAGE).into());
    out.put(&body, &[]);
    let mut gone = Deleted::new_zeroed();
    (gone.id, gone.size) = (ObjectId::new(5), 5000.into());
    out.put(&gone, b"/tmp/gone");
    let mut file = File::new_zeroed();
    (file.id, file.deleted, file.mode) = (ObjectId::new(6), gone.id, 0o100_600.into());
    let path: &[u8] = match fault {
        Fault::PathOfDeleted => b"/tmp/gone",
        _ => b"",
    };
    out.put(&file, path);
    let mut external = External::new_zeroed();
    external.id = ObjectId::new(7);
    out.put(&external, b"log");
    let mut clocks = Clocks::new_zeroed();
    (clocks.monotonic, clocks.boottime) = (60_000_000_000.into(), 61_000_000_000.into());
    out.put(&clocks, &[]);
    if fault == Fault::CwdIsNoFile {
        cwd = shm;
    }
    let second = match fault {
        Fault::MappingOrder => (0x1000, 0x2000, 0, ObjectId::NONE),
        _ => (0x2000, 0x4000, 0, ObjectId::NONE),
    };
    let maps = [
        (0x1000, 0x2000, 1, exe),
        second,
        (0x7fff_0000, 0x7fff_2000, 3, shm),
        (0x7fff_e000, 0x8000_0000, 0, ObjectId::NONE),
    ];
    let first = out.space(8, exe, &maps);
    let mut guard = Guard::new_zeroed();
    let at = if fault == Fault::Guard {
        0x1000
    } else {
        0x7fff_e000
    };
    (guard.start, guard.end) = (at.into(), (at + PAGE).into());
    out.put(&guard, &[]);
    if fault != Fault::Empty {
        out.task(1, 0, first, cwd, fault);
    }
    let parent = if fault == Fault::NoParent { 2 } else { 1 };
    let child = out.space(9, exe, &maps[..1]);
    if fault != Fault::Empty {
        out.task(2, parent, child, cwd, Fault::None);
    }
    // One frame over two mappings that are adjacent.
    let pages = if fault == Fault::NotMapped { 4 } else { 3 };
    out.frame(Memory::Private, first, 0x1000, pages);
    out.frame(Memory::Private, first, 0x7fff_f000, 1);
    out.frame(Memory::Shared, shm, PAGE, 1);
    let pages = if fault == Fault::BehindTheEnd { 2 } else { 1 };
    out.frame(Memory::Shared, gone.id, PAGE, pages);
    let (size, _) = out.writer.end(&mut room).unwrap();
    out.bytes.extend_from_slice(&room[..size]);
    out.bytes
}
