// SPDX-License-Identifier: GPL-2.0

//! Good images, and what is wrong with others.

use super::read::{Problem, read};
use super::{Image, Line, Time};

#[path = "../../tests/sample/mod.rs"]
mod sample;

use beanpod_image::Type;
use sample::Fault::{Field, Frame, Many, Tail, Twice, Without};
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
    assert_eq!(image.memory_bytes, 6 * 4096);
    let [first, second] = &image.processes[..] else {
        panic!("{image:?}");
    };
    assert_eq!((first.pid, first.parent), (101, None));
    assert_eq!((second.pid, second.parent), (102, Some(101)));
    assert_eq!(first.executable.as_deref(), Some("/usr/bin/co\u{fc}nt"));
    assert_eq!(first.name, "co\\u{1b}nt");
    assert_eq!(
        (first.cwd.as_deref(), first.umask.as_deref()),
        (Some("/tmp"), Some("022"))
    );
    assert_eq!(first.signals.handled, ["TERM"]);
    assert_eq!(first.signals.ignored, ["HUP"]);
    assert_eq!(first.signals.blocked, ["USR1"]);
    let [limit] = &first.limits[..] else {
        panic!("{:?}", first.limits);
    };
    assert_eq!(
        (limit.resource, limit.soft, limit.hard),
        ("nofile", Some(1024), None)
    );
    assert_eq!(first.call.as_ref().unwrap().left, Some(1_500_000_000));
    let file = &first.descriptors[0];
    assert_eq!(
        (file.fd, file.position, file.path.as_str()),
        (3, 42, "/tmp/out")
    );
    assert_eq!(file.flags, ["write", "append"]);
    assert_eq!(first.descriptors[1].path, "/tmp/gone (deleted)");
    assert_eq!(first.descriptors[2].path, "external `log`");
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
    let external = &image.external_files[0];
    assert_eq!((external.number, external.name.as_str()), (7, "log"));
    let clocks = image.clocks.unwrap();
    assert_eq!(
        (clocks.monotonic, clocks.boottime),
        (60_000_000_000, 61_000_000_000)
    );
}

#[test]
fn a_time_by_the_clock_is_not_one_that_is_left() {
    let call = |fault| {
        let image = of(&image(fault)).unwrap();
        let call = image.processes[1].call.clone().unwrap();
        (call.name, call.left, call.until)
    };
    let time = Some(1_800_000_000_000_000_000);
    assert_eq!(call(Fault::None), ("futex", None, time));
    assert_eq!(call(Field(Type::Thread, 1, 36, 1)), ("futex", time, None));
}

#[test]
fn memory_is_counted_where_it_is_mapped() {
    let image = of(&image(Fault::None)).unwrap();
    let memory = &image.processes[0].memory;
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
    assert_eq!(image.processes[1].memory.stored_bytes, 0);
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
    assert_eq!(lines.iter().map(|line| line.data).sum::<u64>(), 6 * 4096);
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

/// What an image with a fault is refused for: the type of the record, its index among those, and
/// why.
#[rustfmt::skip]
const REFUSED: &[(Fault, Type, usize, &str)] = &[
    (Field(Type::File, 0, 0, 2), Type::File, 0, "object 2 is defined out of order"),
    (Tail(Type::File, 0, b"bin"), Type::File, 0, "a file without an absolute path"),
    (Tail(Type::File, 0, &[b'/'; 4096]), Type::File, 0, "a file without an absolute path"),
    (Tail(Type::File, 3, b"/gone"), Type::File, 3, "a file that has a path and was deleted"),
    (Field(Type::File, 3, 32, 3), Type::File, 3, "object 3 is used as what it is not"),
    (Field(Type::File, 3, 32, 7), Type::File, 3, "object 7 is not defined before it is used"),
    (Field(Type::File, 0, 36, 1), Type::File, 0, RESERVED),
    (Tail(Type::Deleted, 0, b"a\0b"), Type::Deleted, 0, "a file that had no absolute path"),
    (Field(Type::Deleted, 0, 4, 0o040_700), Type::Deleted, 0,
        "a deleted file that is not a regular one"),
    (Field(Type::Deleted, 0, 20, 1 << 31), Type::Deleted, 0,
        "a deleted file that is larger than any"),
    (Field(Type::Deleted, 0, 40, 1_000_000_000), Type::Deleted, 0, SECOND),
    (Field(Type::Deleted, 0, 44, 1_000_000_000), Type::Deleted, 0, SECOND),
    (Field(Type::Deleted, 0, 0, 9), Type::Deleted, 0, "object 9 is defined out of order"),
    (Field(Type::Deleted, 0, 52, 1), Type::Deleted, 0, RESERVED),
    (Field(Type::External, 0, 0, 9), Type::External, 0, "object 9 is defined out of order"),
    (Field(Type::External, 0, 4, 1), Type::External, 0, RESERVED),
    (Field(Type::Clocks, 0, 4, 1 << 31), Type::Clocks, 0, "a clock beyond its range"),
    (Field(Type::Clocks, 0, 12, 1 << 30), Type::Clocks, 0, "a clock beyond its range"),
    (Twice(Type::Clocks, 0), Type::Clocks, 1, "the clocks once more"),
    (Field(Type::Shm, 0, 8, 1), Type::Shm, 0, "shared memory that is not whole pages"),
    (Field(Type::Shm, 0, 4, 1), Type::Shm, 0, RESERVED),
    (Field(Type::Mm, 0, 4, 5), Type::Mm, 0, "object 5 is used as what it is not"),
    (Field(Type::Mm, 0, 116, 1), Type::Mm, 0, RESERVED),
    (Field(Type::Vma, 0, 0, 5), Type::Vma, 0, "object 5 is used as what it is not"),
    (Field(Type::Vma, 2, 0, 7), Type::Vma, 2, "object 7 is used as what it is not"),
    (Field(Type::Vma, 1, 4, 5), Type::Vma, 1, "a mapping of an unknown kind"),
    (Field(Type::Vma, 1, 8, 1 << 14), Type::Vma, 1, "a mapping with unknown flags"),
    (Field(Type::Vma, 1, 12, 1), Type::Vma, 1, RESERVED),
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
    (Without(Type::Mm), Type::Vma, 0, "a mapping of no address space"),
    (Field(Type::Task, 0, 0, 2), Type::Task, 0, "a process out of order"),
    (Many, Type::Task, 1024, "more than 1024 processes"),
    (Field(Type::Task, 1, 4, 0), Type::Task, 1, "a second process without a parent"),
    (Field(Type::Task, 1, 4, 2), Type::Task, 1, "a process before its parent"),
    (Field(Type::Task, 1, 32, 8), Type::Task, 1, "an address space of two processes"),
    (Field(Type::Task, 1, 8, 0), Type::Task, 1, "a process group that nobody leads"),
    (Field(Type::Task, 1, 8, 1 << 31), Type::Task, 1, "a process group that nobody leads"),
    (Field(Type::Task, 1, 12, 102), Type::Task, 1, "a process group that nobody leads"),
    (Field(Type::Task, 0, 68, u32::MAX), Type::Task, 0, "a process with a name that is too long"),
    (Field(Type::Task, 0, 44, 1), Type::Task, 0, RESERVED),
    (Tail(Type::Signals, 0, &[0; 63 * 32]), Type::Signals, 0, "not one action for each signal"),
    (Field(Type::Signals, 0, 40, 1), Type::Signals, 0, RESERVED),
    (Twice(Type::Signals, 0), Type::Signals, 1, "the record `signals` of a process once more"),
    (Field(Type::Thread, 1, 32, 4), Type::Thread, 1, "an unknown call that goes on"),
    (Field(Type::Thread, 0, 36, 0), Type::Thread, 0, "a nanosleep(2) by an unknown clock"),
    (Field(Type::Thread, 1, 36, 4), Type::Thread, 1, "a futex(2) with unknown flags"),
    (Field(Type::Thread, 1, 52, 0), Type::Thread, 1, "a futex(2) that nothing wakes"),
    (Field(Type::Thread, 1, 32, 2), Type::Thread, 1,
        "a poll(2) of more files than there can be"),
    (Field(Type::Thread, 0, 64, 1), Type::Thread, 0, RESERVED),
    (Twice(Type::Thread, 0), Type::Thread, 1, "the record `thread` of a process once more"),
    (Tail(Type::Rlimits, 0, &[0; 31 * 8]), Type::Rlimits, 0, "not one limit for each resource"),
    (Twice(Type::Rlimits, 0), Type::Rlimits, 1, "the record `rlimits` of a process once more"),
    (Field(Type::Fs, 0, 0, 4), Type::Fs, 0, "object 4 is used as what it is not"),
    (Twice(Type::Fs, 0), Type::Fs, 1, "the record `fs` of a process once more"),
    (Without(Type::Task), Type::Signals, 0, "a record of no process"),
    (Field(Type::Fd, 1, 8, 5), Type::Fd, 1, "object 5 is used as what it is not"),
    (Field(Type::Fd, 1, 4, 2), Type::Fd, 1, "a descriptor with unknown flags"),
    (Field(Type::Fd, 1, 12, 1), Type::Fd, 1, RESERVED),
    (Twice(Type::Fd, 2), Type::Fd, 3, "descriptors out of order"),
    (Field(Type::Regs, 0, 4, 1), Type::Regs, 0, RESERVED),
    (Frame(0, 8, 4), Type::Pages, 0, "memory at 0x4000, which is not mapped"),
    (Frame(0, 3, 3), Type::Pages, 0, "object 3 is used as what it is not"),
    (Frame(2, 4, 2), Type::Pages, 2, "memory behind the end of what it belongs to"),
    (Frame(2, 6, 1), Type::Pages, 2, "object 6 is used as what it is not"),
    (Frame(2, 8, 1), Type::Pages, 2, "object 8 is used as what it is not"),
    (Frame(3, 5, 2), Type::Pages, 3, "memory behind the end of what it belongs to"),
    (Without(Type::Regs), Type::Task, 0, "pid 101 has no record `regs`"),
];
const RESERVED: &str = "a reserved field is not zero";
const SECOND: &str = "a time with a second of nanoseconds, or more";
const NAME: &str = "a mapping with a name that is too long, or has a zero";
const OUTSIDE: &str = "guard pages outside of their mapping";

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

#[test]
fn what_was_before_the_damage_is_kept() {
    let good = image(Fault::None);
    let (image, result) = read(&good[..good.len() - 1], |_| {});
    assert!(result.is_err());
    assert_eq!(image.processes.len(), 2);
    assert_eq!(image.processes[0].memory.stored_bytes, 4 * 4096);
}
