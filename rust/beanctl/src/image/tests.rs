// SPDX-License-Identifier: GPL-2.0

//! Good images, and what is wrong with others.

use std::fs::File;
use std::io::{Seek, Write};
use std::mem::offset_of;
use std::path::Path;

use super::read::{Problem, read};
use super::{Descriptor, Ended, Ids, Image, Line, Open, Place, Process, Thread, Time};

#[path = "../../tests/sample/mod.rs"]
mod sample;

use beanpod_image::{self as codec, Type};
use sample::Fault::{Field, Fields, Frame, Many, Tail, Twice, Without};
use sample::{Fault, image};

fn of(bytes: &[u8]) -> Result<Image, Problem> {
    let (image, result) = read(bytes, |_| {});
    result.map(|()| image)
}

/// Where it is wrong, and in which way.
fn wrong(bytes: &[u8]) -> (u64, String) {
    match of(bytes) {
        Err(Problem::Wrong { at, what }) => (at, what),
        other => panic!("{other:?}"),
    }
}

fn lines(bytes: &[u8]) -> Vec<Line> {
    let mut lines = Vec::new();
    let (_, result) = read(bytes, |line| lines.push(line));
    result.unwrap();
    lines
}

#[test]
fn a_good_image() {
    let image = of(&image(Fault::None)).unwrap();
    assert_eq!(image.kernel.as_deref(), Some("7.3.4-sample"));
    assert_eq!(
        (image.architecture.as_str(), image.page_size),
        ("x86_64", 4096)
    );
    assert!(image.memory_checksums);
    assert_eq!(image.note, ["pids.max 100", "bc.max numfile \\u{1b}1200"]);
    assert_eq!(image.memory_bytes, 9 * 4096);
    let [first, _, second, ..] = &image.processes[..] else {
        panic!("{image:?}");
    };
    assert_eq!((first.pid, first.parent), (101, None));
    assert_eq!((second.pid, second.parent), (103, Some(101)));
    assert_eq!(first.executable.as_deref(), Some("/usr/bin/co\u{fc}nt"));
    assert_eq!(first.name, "co\\u{1b}nt");
    assert!(first.subreaper && !second.subreaper);
    assert_eq!(
        (first.stopped.as_deref(), &second.stopped),
        (Some("STOP"), &None)
    );
    let place = first.place.as_ref().unwrap();
    assert_eq!((place.cwd.as_str(), place.umask.as_str()), ("/tmp", "022"));
    assert_eq!(first.signals.handled, ["TERM"]);
    assert_eq!(first.signals.ignored, ["HUP"]);
    assert_eq!(first.signals.pending, ["TERM"]);
    let who = first.credentials.as_ref().unwrap();
    let user = Ids {
        real: 1000,
        effective: 0,
        saved: 1000,
        filesystem: 1000,
    };
    assert_eq!(
        (who.uid, who.gid.effective, &who.groups[..]),
        (user, 100, &[10, 27][..])
    );
    assert_eq!(who.capabilities.effective, "0x3");
    let [limit] = &first.limits[..] else {
        panic!("{:?}", first.limits);
    };
    assert_eq!(
        (limit.resource, limit.soft, limit.hard),
        ("nofile", Some(1024), None)
    );
    let files = descriptors(first.open.as_ref());
    let file = &files[0];
    assert_eq!(
        (file.fd, file.position, file.path.as_str()),
        (3, 42, "/tmp/out")
    );
    assert_eq!(file.flags, ["write", "append"]);
    assert_eq!(files[1].path, "/tmp/gone (deleted)");
    assert_eq!(files[2].path, "external `log`");
    let gone = &image.deleted_files[0];
    assert_eq!(
        (gone.number, gone.bytes, gone.stored_bytes),
        (5, 5000, 4096)
    );
    assert_eq!(
        (gone.permissions.as_str(), gone.uid, gone.gid),
        ("600", 1000, 100)
    );
    let time = |seconds, nanoseconds| Time {
        seconds,
        nanoseconds,
    };
    assert_eq!(gone.accessed, time(-1, 0));
    assert_eq!(gone.modified, time(1_800_000_000, 5));
    let pipe = &image.pipes[0];
    assert_eq!(
        (pipe.number, pipe.bytes, pipe.filled_bytes),
        (12, 65_536, 8)
    );
    let end = &descriptors(second.open.as_ref())[1];
    assert_eq!((end.path.as_str(), end.kind), ("pipe 12", "pipe"));
    let external = &image.external_files[0];
    assert_eq!((external.number, external.name.as_str()), (7, "log"));
    let clocks = image.clocks.unwrap();
    assert_eq!(
        (clocks.monotonic, clocks.boottime),
        (60_000_000_000, 61_000_000_000)
    );
}

fn descriptors(open: Option<&Open>) -> &[Descriptor] {
    match open {
        Some(Open::Descriptors(files)) => files,
        other => panic!("{other:?}"),
    }
}

#[test]
fn threads_have_what_is_their_own() {
    let image = of(&image(Fault::None)).unwrap();
    let [first, other] = &image.processes[0].threads[..] else {
        panic!("{image:?}");
    };
    assert_eq!(
        (first.tid, other.tid, other.name.as_str()),
        (101, 9001, "co\\u{1b}nt")
    );
    assert_eq!(first.call.as_ref().unwrap().left, Some(1_500_000_000));
    assert!(other.call.is_none());
    assert_eq!(other.blocked, ["USR1"]);
    assert_eq!(
        (first.pending.len(), &other.pending[..]),
        (0, &["USR2".to_owned()][..])
    );
    let settings = other.settings.as_ref().unwrap();
    assert_eq!((settings.nice, settings.policy), (5, "batch"));
    assert_eq!(settings.processors.as_deref(), Some("0,2-3"));
    assert_eq!(settings.io_priority.as_deref(), Some("best effort 4"));
    assert_eq!(settings.login, Some(1000));
    let settings = first.settings.as_ref().unwrap();
    assert_eq!((settings.nice, settings.policy), (0, "other"));
    assert_eq!(
        (&settings.processors, &settings.io_priority, settings.login),
        (&None, &None, None)
    );
}

#[test]
fn what_threads_share_is_told_once() {
    let of = |fault| of(&image(fault)).unwrap().processes;
    let processes = of(Fault::None);
    let alone = |thread: &Thread| {
        thread.open.is_none() && thread.place.is_none() && thread.credentials.is_none()
    };
    assert!(
        processes
            .iter()
            .flat_map(|process| &process.threads)
            .all(alone)
    );

    // The other thread has the table of the next process.
    let processes = of(Field(Type::Thread, 1, FILES, 14));
    let [first, _, second, ..] = &processes[..] else {
        panic!("{processes:?}");
    };
    assert!(first.open.is_none() && first.place.is_some() && first.credentials.is_some());
    let fds = |open| -> Vec<u32> { descriptors(open).iter().map(|file| file.fd).collect() };
    assert_eq!(fds(first.threads[0].open.as_ref()), [3, 4, 5]);
    assert_eq!(fds(first.threads[1].open.as_ref()), [0, 1]);
    assert!(matches!(second.open, Some(Open::Of(9001))));

    let processes = of(Field(Type::Thread, 1, FS, 15));
    let place = |umask: &str| {
        Some(Place {
            cwd: "/tmp".to_owned(),
            umask: umask.to_owned(),
        })
    };
    let [first, other] = &processes[0].threads[..] else {
        panic!("{processes:?}");
    };
    assert_eq!((&first.place, &other.place), (&place("022"), &place("077")));
    assert_eq!(
        (&processes[0].place, &processes[2].place),
        (&None, &place("077"))
    );

    let processes = of(Field(Type::Thread, 1, CRED, 16));
    let user = |thread: usize| {
        let who = processes[0].threads[thread].credentials.as_ref();
        who.unwrap().uid.real
    };
    assert_eq!((user(0), user(1)), (1000, 0));
    assert!(processes[0].credentials.is_none());
}

#[test]
fn what_has_ended_has_a_status() {
    let ended = |fault| {
        let image = of(&image(fault)).unwrap();
        let Process {
            ended,
            memory,
            threads,
            ..
        } = image.processes[1].clone();
        assert!(memory.is_none() && threads[0].settings.is_none());
        assert_eq!(threads[0].ended, ended);
        ended.unwrap()
    };
    assert_eq!(ended(Fault::None), Ended::Status(3));
    assert_eq!(
        ended(Field(Type::Thread, 2, 8, 0x8b)),
        Ended::Signal("SEGV".to_owned())
    );

    let image = of(&image(Fault::Ended)).unwrap();
    let first = &image.processes[0];
    assert!(first.ended.is_none() && first.memory.is_some());
    assert_eq!(first.threads[0].ended, Some(Ended::Status(0)));
    assert_eq!(first.threads[1].ended, None);
    assert_eq!(descriptors(first.open.as_ref()).len(), 3);
}

#[test]
fn several_processes_may_have_no_parent() {
    let image = of(&image(Field(Type::Process, 2, 4, 0))).unwrap();
    let parents: Vec<_> = image
        .processes
        .iter()
        .map(|process| process.parent)
        .collect();
    assert_eq!(parents[..3], [None, Some(101), None]);
}

#[test]
fn timers_have_a_time_that_is_left_or_set() {
    let timers = |fault| {
        let first = of(&image(fault)).unwrap().processes.swap_remove(0);
        let [real] = &first.interval_timers[..] else {
            panic!("{first:?}");
        };
        assert_eq!(
            (real.clock.as_str(), real.signal.as_deref()),
            ("real", Some("ALRM"))
        );
        assert_eq!(
            (real.left, real.interval),
            (Some(2_500_000_000), 4_000_000_000)
        );
        let [timer] = &first.timers[..] else {
            panic!("{first:?}");
        };
        (timer.id, timer.left, timer.until, timer.signal.clone())
    };
    let (id, time) = (Some(7), Some(1_800_000_000_000_000_000));
    let signal = Some("USR2".to_owned());
    assert_eq!(timers(Fault::None), (id, None, time, signal.clone()));
    assert_eq!(
        timers(Field(Type::Timer, 0, 20, 0)),
        (id, time, None, signal)
    );
    // It sends nothing.
    assert_eq!(timers(Field(Type::Timer, 0, 8, 1)), (id, None, time, None));
}

#[test]
fn a_time_by_the_clock_is_not_one_that_is_left() {
    let call = |fault| {
        let image = of(&image(fault)).unwrap();
        let call = image.processes[2].threads[0].call.clone().unwrap();
        (call.name, call.left, call.until)
    };
    let time = Some(1_800_000_000_000_000_000);
    assert_eq!(call(Fault::None), ("futex", None, time));
    assert_eq!(
        call(Field(Type::Thread, 3, CLOCK, 1)),
        ("futex", time, None)
    );
}

#[test]
fn memory_is_counted_where_it_is_mapped() {
    let image = of(&image(Fault::None)).unwrap();
    let memory = image.processes[0].memory.as_ref().unwrap();
    let stored: Vec<_> = memory
        .mappings
        .iter()
        .map(|mapping| (mapping.bytes, mapping.stored_bytes, mapping.purpose))
        .collect();
    let page = 4096;
    assert_eq!(
        stored,
        [
            (page, page, None),
            (2 * page, 2 * page, Some("heap")),
            (2 * page, 0, None),
            (2 * page, page, Some("stack")),
        ]
    );
    assert_eq!((memory.bytes, memory.stored_bytes), (7 * page, 4 * page));
    assert_eq!(memory.mappings[1].name.as_deref(), Some("pool"));
    assert_eq!(memory.mappings[3].guard_bytes, page);
    let vdso = memory.vdso.as_ref().unwrap();
    assert_eq!(
        (vdso.start.as_str(), vdso.crc.as_str()),
        ("0x90000000", "0x00c0ffee")
    );
    let shm = &image.shared_memory[0];
    assert_eq!(
        (shm.number, shm.bytes, shm.stored_bytes),
        (4, 2 * page, page)
    );
    let memory = image.processes[2].memory.as_ref().unwrap();
    assert_eq!((memory.stored_bytes, memory.copy_of), (0, None));
}

#[test]
fn a_copy_has_what_is_in_no_frame_and_no_hole() {
    let processes = of(&image(Fault::None)).unwrap().processes;
    let memory = |index: usize| {
        let memory = processes[index].memory.as_ref().unwrap();
        let inherited: Vec<_> = memory
            .mappings
            .iter()
            .map(|mapping| mapping.inherited_bytes / 4096)
            .collect();
        (memory.copy_of, memory.stored_bytes / 4096, inherited)
    };
    assert_eq!(memory(0), (None, 4, vec![0; 4]));
    assert_eq!(memory(3), (Some(101), 1, vec![1, 1, 0, 1]));
    assert_eq!(memory(4), (Some(104), 2, vec![0, 1, 0, 0]));
    assert!(processes[5].memory.is_none());
    let of: Vec<_> = processes.iter().map(|process| process.memory_of).collect();
    assert_eq!(of, [None, None, None, None, None, Some(105)]);
    assert_eq!(processes[5].executable, processes[4].executable);
}

#[test]
fn a_file_is_mapped_alike_at_another_offset() {
    // The mapping of the first process starts a page before that of the copy.
    let moved = Fields(&[(Type::Vma, 0, 16, 0), (Type::Vma, 4, 32, 0x1000)]);
    let image = of(&image(moved)).unwrap();
    let memory = image.processes[3].memory.as_ref().unwrap();
    assert_eq!(memory.mappings[0].inherited_bytes, 4096);
}

#[test]
fn a_copy_may_have_a_part_of_a_mapping() {
    // That of the first process has a page more before it, behind it, or both.
    for fault in [
        Field(Type::Vma, 3, 16, 0x7fff_d000),
        Field(Type::Vma, 3, 24, 0x8000_1000),
        Fields(&[
            (Type::Vma, 3, 16, 0x7fff_d000),
            (Type::Vma, 3, 24, 0x8000_1000),
        ]),
    ] {
        let processes = of(&image(fault)).unwrap().processes;
        let [of_first, of_copy] = [0, 3].map(|index: usize| {
            let mapping = &processes[index].memory.as_ref().unwrap().mappings[3];
            (mapping.bytes / 4096, mapping.inherited_bytes / 4096)
        });
        assert!(of_first.0 > 2, "{fault:?}");
        assert_eq!((of_first.1, of_copy), (0, (2, 1)), "{fault:?}");
    }
}

#[test]
fn every_record_is_told_but_the_last() {
    let image = image(Fault::None);
    let lines = lines(&image);
    assert_eq!((lines[0].at, lines[0].kind.as_str()), (8, "header"));
    assert_eq!(lines[1].at, 8 + 16 + 32);
    assert!(lines[1].optional && !lines[0].optional);
    assert!(
        lines
            .iter()
            .zip(0..)
            .all(|(line, index)| line.index == index)
    );
    assert_eq!(lines.iter().map(|line| line.data).sum::<u64>(), 9 * 4096);
    assert_eq!(lines.len() as u32 + 1, of(&image).unwrap().records);
}

#[test]
fn damage_anywhere_is_found() {
    let good = image(Fault::None);
    let lines = lines(&good);
    // All pages have the same content: some places in it are enough.
    let in_page = |at: usize| {
        let line = lines.iter().rfind(|line| line.at <= at as u64);
        line.is_some_and(|line| line.data > 0 && at as u64 >= line.at + 16 + 32)
    };
    for at in (0..good.len()).filter(|at| !in_page(*at) || at % 511 == 0) {
        let mut damaged = good.clone();
        damaged[at] ^= 1 << (at % 8);
        let (place, what) = wrong(&damaged);
        assert!(place <= good.len() as u64, "{at}: {place}: {what}");
    }
}

#[test]
fn an_image_that_is_cut_anywhere_is_too_short() {
    let good = image(Fault::None);
    for length in (0..good.len()).step_by(61) {
        let (place, what) = wrong(&good[..length]);
        assert_eq!(
            (place, what.as_str()),
            (length as u64, "the image ends early")
        );
    }
    let (_, what) = wrong(&[good.as_slice(), b"x"].concat());
    assert_eq!(what, "something follows the end of the image");
}

const FILES: usize = offset_of!(codec::Thread, files);
const FS: usize = offset_of!(codec::Thread, fs);
const CRED: usize = offset_of!(codec::Thread, cred);
const SECCOMP: usize = offset_of!(codec::Thread, seccomp);
const FILTERS: &str = "filters where there are none, or the other way";
const DEATH: usize = offset_of!(codec::Thread, death_signal);
const COMM: usize = offset_of!(codec::Thread, comm);
const POLICY: usize = offset_of!(codec::Thread, policy);
const PRIORITY: usize = offset_of!(codec::Thread, priority);
const SCHED_FLAGS: usize = offset_of!(codec::Thread, sched_flags);
const IO: usize = offset_of!(codec::Thread, io_priority);
const RESERVED_OF_THREAD: usize = offset_of!(codec::Thread, reserved);
const RESTART: usize = offset_of!(codec::Thread, restart);
const CLOCK: usize = offset_of!(codec::Thread, restart_clock);
const COUNT: usize = offset_of!(codec::Thread, restart_count);

/// What an image with a fault is refused for: the type of the record, its index among those, and
/// why.
#[rustfmt::skip]
const REFUSED: &[(Fault, Type, usize, &str)] = &[
    (Field(Type::File, 0, 0, 2), Type::File, 0, "object 2 is defined out of order"),
    (Tail(Type::File, 0, b"bin"), Type::File, 0, "a file without an absolute path"),
    (Tail(Type::File, 0, &[b'/'; 4096]), Type::File, 0, "a file without an absolute path"),
    (Tail(Type::File, 3, b"/gone"), Type::File, 3, "a file that can have no path, and has one"),
    (Field(Type::File, 3, 32, 3), Type::File, 3, "object 3 is used as what it is not"),
    (Field(Type::File, 3, 32, 7), Type::File, 3, "object 7 is not defined before it is used"),
    (Field(Type::File, 0, 36, 1), Type::File, 0, "object 1 is not defined before it is used"),
    (Field(Type::File, 3, 36, 3), Type::File, 3, "object 3 is used as what it is not"),
    (Tail(Type::Deleted, 0, b"a\0b"), Type::Deleted, 0, "a file that had no absolute path"),
    (Field(Type::Deleted, 0, 4, 0o040_700), Type::Deleted, 0,
        "a deleted file that is not a regular one"),
    (Field(Type::Deleted, 0, 20, 1 << 31), Type::Deleted, 0,
        "a deleted file that is larger than any"),
    (Field(Type::Deleted, 0, 40, 1_000_000_000), Type::Deleted, 0, SECOND),
    (Field(Type::Deleted, 0, 44, 1_000_000_000), Type::Deleted, 0, SECOND),
    (Field(Type::Deleted, 0, 0, 9), Type::Deleted, 0, "object 9 is defined out of order"),
    (Field(Type::Deleted, 0, 52, 1), Type::Deleted, 0, RESERVED),
    (Field(Type::Pipe, 0, 0, 13), Type::Pipe, 0, "object 13 is defined out of order"),
    (Field(Type::Piece, 0, 0, 2), Type::Piece, 0, "a piece of a pipe that cannot be"),
    (Tail(Type::Piece, 1, b""), Type::Piece, 1, "a piece of a pipe that cannot be"),
    (Field(Type::Piece, 0, 4, 1), Type::Piece, 0, RESERVED),
    (Without(Type::Pipe), Type::Piece, 0, "what is in a pipe, without that"),
    (Many(Type::Piece), Type::Piece, 1 << 16, "more than 65536 pieces of a pipe"),
    (Field(Type::External, 0, 0, 9), Type::External, 0, "object 9 is defined out of order"),
    (Field(Type::External, 0, 4, 1), Type::External, 0, RESERVED),
    (Field(Type::Clocks, 0, 4, 1 << 31), Type::Clocks, 0, "a clock beyond its range"),
    (Field(Type::Clocks, 0, 12, 1 << 30), Type::Clocks, 0, "a clock beyond its range"),
    (Twice(Type::Clocks, 0), Type::Clocks, 1, "the clocks once more"),
    (Field(Type::Shm, 0, 8, 1), Type::Shm, 0, "shared memory that is not whole pages"),
    (Field(Type::Shm, 0, 4, 1), Type::Shm, 0, RESERVED),
    (Field(Type::Mm, 0, 4, 5), Type::Mm, 0, "object 5 is used as what it is not"),
    (Field(Type::Mm, 0, 116, 1), Type::Mm, 0, "object 1 is used as what it is not"),
    (Field(Type::Mm, 1, 116, 17), Type::Mm, 1, "object 17 is not defined before it is used"),
    (Field(Type::Vma, 0, 0, 5), Type::Vma, 0, "object 5 is used as what it is not"),
    (Field(Type::Vma, 2, 0, 7), Type::Vma, 2, "object 7 is used as what it is not"),
    (Field(Type::Vma, 1, 4, 5), Type::Vma, 1, "a mapping of an unknown kind"),
    (Field(Type::Vma, 1, 8, 1 << 16), Type::Vma, 1, "a mapping with unknown flags"),
    (Field(Type::Vma, 1, 16, 0x1000), Type::Vma, 1, "a mapping that is none, or out of order"),
    (Field(Type::Vma, 1, 32, 0x1000), Type::Vma, 1, "a mapping of nothing that has an offset"),
    (Tail(Type::Vma, 1, &[b'a'; 80]), Type::Vma, 1, NAME),
    (Tail(Type::Vma, 1, b"a\0b"), Type::Vma, 1, NAME),
    (Field(Type::Guard, 0, 0, 0x7fff_d000), Type::Guard, 0, OUTSIDE),
    (Field(Type::Guard, 0, 0, 0x7fff_f000), Type::Guard, 0, OUTSIDE),
    (Field(Type::Guard, 0, 8, 0x8000_1000), Type::Guard, 0, OUTSIDE),
    (Field(Type::Guard, 0, 0, 0x7fff_e800), Type::Guard, 0,
        "guard pages that are not whole pages"),
    (Field(Type::Guard, 0, 8, 0x7fff_e800), Type::Guard, 0,
        "guard pages that are not whole pages"),
    (Without(Type::Vma), Type::Guard, 0, OUTSIDE),
    (Field(Type::Vma, 5, 12, 2), Type::Vma, 5, "a mapping that is inherited more than once"),
    (Field(Type::Vma, 1, 12, 1), Type::Vma, 1, "an inherited mapping without an origin"),
    (Field(Type::Mm, 1, 116, 0), Type::Vma, 4, "an inherited mapping without an origin"),
    (Field(Type::Vma, 10, 12, 1), Type::Vma, 10, OTHER),
    // It starts before that of the origin, or ends behind it.
    (Field(Type::Vma, 1, 16, 0x3000), Type::Vma, 5, OTHER),
    (Field(Type::Vma, 1, 24, 0x3000), Type::Vma, 5, OTHER),
    (Field(Type::Vma, 7, 16, 0x7fff_d000), Type::Vma, 7, OTHER),
    (Field(Type::Vma, 7, 24, 0x8000_1000), Type::Vma, 7, OTHER),
    // The copy has a part, but the copy of that all of it.
    (Field(Type::Vma, 5, 16, 0x3000), Type::Vma, 9, OTHER),
    (Field(Type::Vma, 5, 24, 0x3000), Type::Vma, 9, OTHER),
    // The origin has it as two.
    (Fields(&[(Type::Vma, 2, 0, 0), (Type::Vma, 2, 4, 0), (Type::Vma, 2, 16, 0x7fff_d000),
        (Type::Vma, 2, 24, 0x7fff_e000), (Type::Vma, 7, 16, 0x7fff_d000)]), Type::Vma, 7, OTHER),
    // Behind all mappings.
    (Fields(&[(Type::Vma, 7, 16, 0x8000_0000), (Type::Vma, 7, 24, 0x8000_1000)]), Type::Vma, 7,
        OTHER),
    (Field(Type::Vma, 0, 16, 0), Type::Vma, 4, OTHER),
    (Field(Type::Vma, 4, 32, 0x1000), Type::Vma, 4, OTHER),
    (Field(Type::Vma, 4, 0, 3), Type::Vma, 4, OTHER),
    (Field(Type::Vma, 0, 4, 2), Type::Vma, 4, OTHER),
    (Field(Type::Vma, 1, 4, 4), Type::Vma, 5, OTHER),
    (Field(Type::Vma, 5, 8, 1), Type::Vma, 5, OTHER),
    (Tail(Type::Vma, 5, b"other"), Type::Vma, 5, OTHER),
    // The first process has it, but not the copy that is the origin.
    (Fields(&[(Type::Vma, 5, 8, 1), (Type::Vma, 5, 12, 0)]), Type::Vma, 9, OTHER),
    // Children do not have those.
    (Fields(&[(Type::Vma, 0, 4, 2), (Type::Vma, 4, 4, 2)]), Type::Vma, 4, OTHER),
    (Field(Type::Vma, 6, 12, 1), Type::Vma, 6, OTHER),
    (Fields(&[(Type::Vma, 1, 4, 4), (Type::Vma, 5, 4, 4)]), Type::Vma, 5, OTHER),
    (Fields(&[(Type::Vma, 1, 8, 35), (Type::Vma, 5, 8, 35)]), Type::Vma, 5, OTHER),
    (Fields(&[(Type::Vma, 1, 8, 67), (Type::Vma, 5, 8, 67)]), Type::Vma, 5, OTHER),
    (Fields(&[(Type::Vma, 1, 8, 16387), (Type::Vma, 5, 8, 16387)]), Type::Vma, 5, OTHER),
    (Fields(&[(Type::Vma, 1, 8, 32771), (Type::Vma, 5, 8, 32771)]), Type::Vma, 5, OTHER),
    (Field(Type::Hole, 0, 0, 1), Type::Hole, 0, "object 1 is used as what it is not"),
    (Field(Type::Hole, 0, 0, 0), Type::Hole, 0, "object 0 is not defined before it is used"),
    (Field(Type::Hole, 0, 4, 1), Type::Hole, 0, RESERVED),
    (Field(Type::Hole, 0, 8, 0x3800), Type::Hole, 0, NO_HOLE),
    (Field(Type::Hole, 0, 16, 0x3800), Type::Hole, 0, NO_HOLE),
    (Field(Type::Hole, 0, 8, 0x4000), Type::Hole, 0, NO_HOLE),
    (Field(Type::Hole, 0, 0, 8), Type::Hole, 0, NOT_INHERITED),
    (Field(Type::Hole, 0, 16, 0x5000), Type::Hole, 0, NOT_INHERITED),
    (Fields(&[(Type::Hole, 0, 8, 0), (Type::Hole, 0, 16, 0x2000)]), Type::Hole, 0, NOT_INHERITED),
    // Of two that are adjacent, both are inherited, one of them, or the other.
    (Field(Type::Hole, 0, 8, 0x1000), Type::Hole, 0, NOT_INHERITED),
    (Fields(&[(Type::Hole, 0, 0, 18), (Type::Hole, 0, 16, 0x5000)]), Type::Hole, 0,
        NOT_INHERITED),
    (Fields(&[(Type::Hole, 0, 0, 18), (Type::Hole, 0, 8, 0x1000)]), Type::Hole, 0,
        NOT_INHERITED),
    // The origin has the same, but with other pages.
    (Field(Type::Vma, 5, 12, 0), Type::Hole, 0, NOT_INHERITED),
    (Fields(&[(Type::Hole, 0, 0, 18), (Type::Hole, 0, 8, 0x1000), (Type::Hole, 0, 16, 0x2000)]),
        Type::Hole, 0, NOT_INHERITED),
    // Behind all mappings.
    (Fields(&[(Type::Hole, 0, 8, 0x8000_0000), (Type::Hole, 0, 16, 0x8000_1000)]), Type::Hole, 0,
        NOT_INHERITED),
    // That of the other copy comes first.
    (Field(Type::Hole, 0, 0, 18), Type::Pages, 4, COPIED),
    (Frame(1, 18, 1), Type::Hole, 0, COPIED),
    (Frame(4, 8, 1), Type::Pages, 4, COPIED),
    // A copy of a copy is one of the first, too.
    (Frame(0, 18, 1), Type::Pages, 1, COPIED),
    (Without(Type::Mm), Type::Vma, 0, "a mapping of no address space"),
    (Field(Type::Files, 0, 0, 8), Type::Files, 0, "object 8 is defined out of order"),
    (Field(Type::Files, 0, 4, 1), Type::Files, 0, RESERVED),
    (Without(Type::Files), Type::Fd, 0, "a descriptor of no table"),
    (Field(Type::Fd, 1, 8, 5), Type::Fd, 1, "object 5 is used as what it is not"),
    (Field(Type::Fd, 1, 4, 2), Type::Fd, 1, "a descriptor with unknown flags"),
    (Field(Type::Fd, 1, 12, 1), Type::Fd, 1, RESERVED),
    (Twice(Type::Fd, 2), Type::Fd, 3, "descriptors out of order"),
    (Field(Type::Fs, 0, 0, 11), Type::Fs, 0, "object 11 is defined out of order"),
    (Field(Type::Fs, 0, 4, 4), Type::Fs, 0, "object 4 is used as what it is not"),
    (Field(Type::Fs, 0, 12, 1), Type::Fs, 0, RESERVED),
    (Field(Type::Cred, 0, 0, 12), Type::Cred, 0, "object 12 is defined out of order"),
    (Tail(Type::Cred, 0, &[0; 6]), Type::Cred, 0, "a part of a group"),
    (Field(Type::Process, 0, 0, 2), Type::Process, 0, "a process out of order"),
    (Many(Type::Process), Type::Process, 4095, "more than 4096 threads"),
    (Field(Type::Process, 0, 4, 1), Type::Process, 0, "a process before its parent"),
    (Field(Type::Process, 2, 4, 3), Type::Process, 2, "a process before its parent"),
    (Field(Type::Process, 2, 4, 2), Type::Process, 2, "a child of a process that has ended"),
    (Field(Type::Process, 2, 32, 4), Type::Process, 2, "object 4 is used as what it is not"),
    (Field(Type::Process, 2, 32, 8), Type::Mm, 3, "an address space of no process"),
    (Field(Type::Process, 5, 4, 4), Type::Process, 5,
        "an address space of another process than its parent"),
    (Field(Type::Process, 0, 32, 17), Type::Process, 0,
        "a copy of an address space that no earlier process has"),
    (Field(Type::Process, 2, 8, 0), Type::Process, 2, NUMBER),
    (Field(Type::Process, 2, 8, 1 << 31), Type::Process, 2, NUMBER),
    (Field(Type::Process, 2, 12, 0), Type::Process, 2, NUMBER),
    (Field(Type::Process, 2, 16, 1 << 31), Type::Process, 2, NUMBER),
    (Field(Type::Process, 2, 8, 101), Type::Process, 2, "a number of two threads"),
    (Field(Type::Process, 2, 8, 9001), Type::Process, 2, "a number of two threads"),
    (Field(Type::Process, 2, 16, 103), Type::Process, 2,
        "a process that leads a session, but no group"),
    (Field(Type::Process, 2, 36, 8), Type::Process, 2, "a process with unknown flags"),
    (Field(Type::Process, 0, 36, 4), Type::Process, 0,
        "a pid namespace that begins with another process"),
    (Field(Type::Process, 2, 36, 4), Type::Process, 2,
        "a pid namespace that begins with another process"),
    (Field(Type::Process, 2, 20, 65), Type::Process, 2, "an unknown signal"),
    (Field(Type::Process, 2, 40, 65), Type::Process, 2, "an unknown signal"),
    (Field(Type::Process, 2, 44, 65), Type::Process, 2, "an unknown signal"),
    (Field(Type::Process, 1, 40, 19), Type::Process, 1, STOPPED),
    (Field(Type::Process, 1, 4, 0), Type::Process, 1, STOPPED),
    (Field(Type::Process, 0, 52, 1), Type::Process, 0, RESERVED),
    (Field(Type::Process, 2, 32, 0), Type::Actions, 1, "a record of a process that has ended"),
    (Without(Type::Process), Type::Actions, 0, "a record of no process"),
    (Tail(Type::Actions, 0, &[0; 63 * 32]), Type::Actions, 0, "not one action for each signal"),
    (Twice(Type::Actions, 0), Type::Actions, 1, "the record `actions` of a process once more"),
    (Without(Type::Actions), Type::Process, 0, "pid 101 lacks a record `actions`"),
    (Tail(Type::Rlimits, 0, &[0; 31 * 8]), Type::Rlimits, 0, "not one limit for each resource"),
    (Twice(Type::Rlimits, 0), Type::Rlimits, 1, "the record `rlimits` of a process once more"),
    (Without(Type::Rlimits), Type::Process, 0, "pid 101 lacks a record `rlimits`"),
    (Field(Type::Itimers, 0, 4, 1 << 31), Type::Itimers, 0, "a timer beyond its range"),
    (Field(Type::Itimers, 0, 44, 1 << 31), Type::Itimers, 0, "a timer beyond its range"),
    (Twice(Type::Itimers, 0), Type::Itimers, 1, "the record `itimers` of a process once more"),
    (Without(Type::Itimers), Type::Process, 0, "pid 101 lacks a record `itimers`"),
    (Field(Type::Timer, 0, 0, 1 << 31), Type::Timer, 0, "a timer that cannot be"),
    (Field(Type::Timer, 0, 4, 1), Type::Timer, 0, "a timer that cannot be"),
    (Field(Type::Timer, 0, 20, 4), Type::Timer, 0, "a timer that cannot be"),
    (Field(Type::Timer, 0, 36, 1 << 31), Type::Timer, 0, "a timer beyond its range"),
    (Field(Type::Timer, 0, 44, 1 << 31), Type::Timer, 0, "a timer beyond its range"),
    (Field(Type::Timer, 0, 12, 65), Type::Timer, 0, "an unknown signal"),
    (Many(Type::Timer), Type::Timer, 1 << 16, "more than 65536 timers"),
    (Field(Type::Thread, 0, SECCOMP, 2), Type::Thread, 0, FILTERS),
    (Field(Type::Thread, 0, SECCOMP, 3), Type::Thread, 0, FILTERS),
    (Field(Type::Thread, 0, SECCOMP + 4, 1), Type::Thread, 0,
        "object 1 is used as what it is not"),
    (Field(Type::Thread, 0, 0, 102), Type::Thread, 0,
        "a first thread without the number of its process"),
    (Field(Type::Thread, 1, 0, 0), Type::Thread, 1, NUMBER),
    (Field(Type::Thread, 1, 0, 101), Type::Thread, 1, "a number of two threads"),
    (Many(Type::Thread), Type::Thread, 4096, "more than 4096 threads"),
    (Field(Type::Thread, 0, COMM + 12, u32::MAX), Type::Thread, 0,
        "a thread with a name that is too long"),
    (Field(Type::Thread, 1, 4, 1), Type::Thread, 1, "a thread that has ended, but leads nobody"),
    (Field(Type::Thread, 0, 4, 2), Type::Thread, 0, "a thread that has ended, and has not"),
    (Field(Type::Thread, 2, 4, 0), Type::Thread, 2, "a record of a process that has ended"),
    (Field(Type::Thread, 0, FILES, 10), Type::Thread, 0, "object 10 is used as what it is not"),
    (Field(Type::Thread, 0, FS, 9), Type::Thread, 0, "object 9 is used as what it is not"),
    (Field(Type::Thread, 0, CRED, 9), Type::Thread, 0, "object 9 is used as what it is not"),
    (Field(Type::Thread, 0, DEATH, 65), Type::Thread, 0, "an unknown signal"),
    (Field(Type::Thread, 0, POLICY, 6), Type::Thread, 0, "an unknown way of scheduling"),
    (Field(Type::Thread, 0, POLICY, 1), Type::Thread, 0, "an unknown way of scheduling"),
    (Field(Type::Thread, 0, PRIORITY, 1), Type::Thread, 0, "an unknown way of scheduling"),
    (Field(Type::Thread, 0, SCHED_FLAGS, 2), Type::Thread, 0, "an unknown way of scheduling"),
    (Field(Type::Thread, 0, IO, 4 << 13), Type::Thread, 0, "an unknown I/O priority"),
    (Tail(Type::Thread, 1, &[1; 1025]), Type::Thread, 1, "a mask of too many processors"),
    (Field(Type::Thread, 3, RESTART, 4), Type::Thread, 3, "an unknown call that goes on"),
    (Field(Type::Thread, 0, CLOCK, 0), Type::Thread, 0, "a nanosleep(2) by an unknown clock"),
    (Field(Type::Thread, 3, CLOCK, 4), Type::Thread, 3, "a futex(2) with unknown flags"),
    (Field(Type::Thread, 3, COUNT + 4, 0), Type::Thread, 3, "a futex(2) that nothing wakes"),
    (Field(Type::Thread, 3, RESTART, 2), Type::Thread, 3,
        "a poll(2) of more files than there can be"),
    (Field(Type::Thread, 0, RESERVED_OF_THREAD, 1), Type::Thread, 0, RESERVED),
    (Fault::Dead, Type::Process, 0, "pid 101 lacks a record `thread`"),
    (Fault::Bare, Type::Process, 1, "pid 102 lacks a record `thread`"),
    (Field(Type::Regs, 0, 4, 1), Type::Regs, 0, RESERVED),
    (Field(Type::Regs, 0, 0, 2), Type::Regs, 0, REGISTERS),
    (Twice(Type::Regs, 1), Type::Regs, 2, REGISTERS),
    (Without(Type::Regs), Type::Thread, 0, "pid 101 lacks a record `regs`"),
    (Without(Type::Thread), Type::Regs, 0, "a record of no thread"),
    (Field(Type::Thread, 3, 4, 1), Type::Regs, 4, "a record of no thread"),
    (Tail(Type::Pending, 0, &[0; 40]), Type::Pending, 0, "a signal without what is known of it"),
    (Tail(Type::Pending, 0, &[0; 48]), Type::Pending, 0, "a signal that cannot wait"),
    (Tail(Type::Pending, 0, KILL), Type::Pending, 0, "a signal that cannot wait"),
    (Field(Type::Pending, 0, 0, 0), Type::Pending, 0, "a record of no thread"),
    (Field(Type::Pending, 1, 0, 1), Type::Pending, 1,
        "a signal for a process behind its threads"),
    (Field(Type::Pending, 0, 0, 2), Type::Pending, 0, "a signal for nobody"),
    (Field(Type::Pending, 0, 4, 1), Type::Pending, 0, RESERVED),
    (Many(Type::Pending), Type::Pending, 1 + (1 << 16), "more than 65536 signals that wait"),
    (Frame(0, 8, 4), Type::Pages, 0, "memory at 0x4000, which is not mapped"),
    (Frame(0, 3, 3), Type::Pages, 0, "object 3 is used as what it is not"),
    (Frame(2, 4, 2), Type::Pages, 2, "memory behind the end of what it belongs to"),
    (Frame(2, 6, 1), Type::Pages, 2, "object 6 is used as what it is not"),
    (Frame(2, 8, 1), Type::Pages, 2, "object 8 is used as what it is not"),
    (Frame(3, 5, 2), Type::Pages, 3, "memory behind the end of what it belongs to"),
];
/// SIGKILL as it would wait.
const KILL: &[u8] = &{
    let mut info = [0; 48];
    info[0] = 9;
    info
};
const NUMBER: &str = "a number that no process has";
const STOPPED: &str = "a process that has ended, but is stopped or has no parent";
const REGISTERS: &str = "unknown registers, or the same once more";
const RESERVED: &str = "a reserved field is not zero";
const SECOND: &str = "a time with a second of nanoseconds, or more";
const NAME: &str = "a mapping with a name that is too long, or has a zero";
const OUTSIDE: &str = "guard pages outside of their mapping";
const OTHER: &str = "an inherited mapping that the origin does not have";
const NO_HOLE: &str = "a hole that is none, or not whole pages";
const NOT_INHERITED: &str = "a hole where no pages were inherited";
const COPIED: &str = "memory of an address space that was copied already";

#[test]
fn what_does_not_fit_together_is_told_with_its_place() {
    for &(fault, kind, nth, what) in REFUSED {
        let image = image(fault);
        let mut places = Vec::new();
        let (_, result) = read(image.as_slice(), |line| {
            if line.kind == kind.name() {
                places.push(line.at);
            }
        });
        match result {
            Err(Problem::Wrong { at, what: found }) => {
                assert_eq!(
                    (Some(&at), found.as_str()),
                    (places.get(nth), what),
                    "{fault:?}"
                );
            }
            other => panic!("{fault:?}: {other:?}"),
        }
    }
}

#[test]
fn what_is_missing_from_all_of_the_image_is_told() {
    let without = |fault| wrong(&image(fault));
    assert_eq!(
        without(Fault::Empty),
        (0, "an image without processes".to_owned())
    );
    assert_eq!(
        without(Without(Type::Clocks)),
        (0, "an image without clocks".to_owned())
    );
}

/// What an image in a file has as a note, behind something else.
fn note(image: &[u8]) -> Result<Option<Vec<u8>>, String> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&[b"else", image].concat()).unwrap();
    file.seek(std::io::SeekFrom::Start(4)).unwrap();
    let note = super::note(Path::new("image"), &file);
    assert_eq!(file.stream_position().unwrap(), 4);
    note.map_err(|failure| failure.what)
}

#[test]
fn the_note_is_read_ahead() {
    let text = b"pids.max 100\nbc.max numfile \x1b1200\n".to_vec();
    let good = image(Fault::None);
    assert_eq!(note(&good), Ok(Some(text.clone())));
    // What is behind it does not matter here.
    assert_eq!(note(&good[..200]), Ok(Some(text.clone())));
    assert_eq!(note(&image(Twice(Type::Note, 0))), Ok(Some(text.clone())));
    assert_eq!(note(&image(Without(Type::Identity))), Ok(Some(text)));
    assert_eq!(note(&image(Without(Type::Note))), Ok(Some(Vec::new())));

    let cut = note(&good[..100]).unwrap_err();
    assert!(cut.starts_with("image: byte "), "{cut}");
    let mut damaged = good;
    damaged[70] ^= 1;
    let what = "image: byte 56: the checksum of the record does not match";
    assert_eq!(note(&damaged), Err(what.to_owned()));

    let null = File::open("/dev/null").unwrap();
    let note = super::note(Path::new("null"), &null);
    assert!(note.is_ok_and(|note| note.is_none()));
}

#[test]
fn what_was_before_the_damage_is_kept() {
    let good = image(Fault::None);
    let (image, result) = read(&good[..good.len() - 1], |_| {});
    assert!(result.is_err());
    assert_eq!(image.processes.len(), 6);
    let memory = image.processes[0].memory.as_ref().unwrap();
    assert_eq!(memory.stored_bytes, 4 * 4096);
}
