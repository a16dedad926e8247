// SPDX-License-Identifier: GPL-2.0

//! Good images, and what is wrong with others.

use super::read::{Problem, read};
use super::{Image, Line};

#[path = "../../tests/sample/mod.rs"]
mod sample;

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
    assert_eq!(image.clocks.unwrap().monotonic, 60_000_000_000);
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

#[test]
fn what_does_not_fit_together_is_told_with_its_place() {
    let good = lines(&image(Fault::None));
    for (fault, kind, nth, what) in [
        (
            Fault::ObjectOrder,
            "file",
            0,
            "object 2 is defined out of order",
        ),
        (
            Fault::CwdIsNoFile,
            "fs",
            0,
            "object 4 is used as what it is not",
        ),
        (
            Fault::MappingOrder,
            "vma",
            1,
            "a mapping that is none, or out of order",
        ),
        (
            Fault::NotMapped,
            "pages",
            0,
            "memory at 0x4000, which is not mapped",
        ),
        (
            Fault::BehindTheEnd,
            "pages",
            3,
            "memory behind the end of what it belongs to",
        ),
        (
            Fault::Guard,
            "guard",
            0,
            "guard pages outside of their mapping",
        ),
        (
            Fault::PathOfDeleted,
            "file",
            3,
            "a file that has a path and was deleted",
        ),
        (Fault::NoParent, "task", 1, "a process before its parent"),
        (
            Fault::Limits,
            "rlimits",
            0,
            "not one limit for each resource",
        ),
        (Fault::NoRegs, "task", 0, "pid 101 has no record `regs`"),
    ] {
        let mut of_kind = good.iter().filter(|line| line.kind == kind);
        let place = of_kind.nth(nth).unwrap().at;
        assert_eq!(wrong(&image(fault)), (place, what.to_owned()), "{fault:?}");
    }
    assert_eq!(
        wrong(&image(Fault::Descriptors)).1,
        "descriptors out of order"
    );
    assert_eq!(wrong(&image(Fault::Empty)).1, "an image without processes");
}

#[test]
fn what_was_before_the_damage_is_kept() {
    let good = image(Fault::None);
    let (image, result) = read(&good[..good.len() - 1], |_| {});
    assert!(result.is_err());
    assert_eq!(image.processes.len(), 2);
    assert_eq!(image.processes[0].memory.stored_bytes, 4 * 4096);
}
