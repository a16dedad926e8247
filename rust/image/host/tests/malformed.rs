// SPDX-License-Identifier: GPL-2.0

//! One image for each cause of refusal.

use std::collections::BTreeSet;

use beanpod_image::Malformed::{self, *};
use beanpod_image::{
    Fault, Identity, Kind, Limits, ObjectId, Objects, Reader, Type, COMPAT_DATA_CRC, MAX_PAYLOAD,
};

use crate::raw::{
    header, header_with, identity, image, pages, release, small, with_data, Image, Raw, PAGE,
    X86_64,
};
use crate::walk::{only_fault, verify, verify_within, GENEROUS};

/// A cause and the place where it is to be found.
type Found = (&'static str, u64, Malformed);

const FIRST: u64 = 8;
const SECOND: u64 = FIRST + 16 + 32;

fn found(name: &'static str, fault: Fault) -> Found {
    (name, fault.at, fault.what)
}

fn refused(name: &'static str, bytes: &[u8]) -> Found {
    found(name, verify(bytes).expect_err(name))
}

/// An image with `record` behind the header.
fn second(name: &'static str, record: Raw) -> Found {
    refused(name, &image(&[record]))
}

/// An image of nothing but a header.
fn first(name: &'static str, header: Raw) -> Found {
    refused(name, &Image::with(&[header]).finish())
}

fn limited(name: &'static str, limits: Limits) -> Found {
    found(
        name,
        verify_within(&image(&small()), limits).expect_err(name),
    )
}

/// An image whose end has other totals.
fn ended(name: &'static str, change: impl Fn(&mut (u64, u64, u32))) -> Found {
    let image = Image::with(&[header()]);
    let mut totals = image.totals();
    change(&mut totals);
    let end = image.end_with(totals.0, totals.1, totals.2);
    refused(name, &image.add(&end).bytes)
}

fn object(name: &'static str, what: Malformed) -> Found {
    (name, 0, what)
}

fn stream() -> Vec<(Found, Found)> {
    let good = image(&[]);
    let mut foreign = good.clone();
    foreign[1] = b'X';
    let mut unix = good.clone();
    unix.remove(5);
    let mut seven = good.clone();
    seven[0] &= 0x7f;
    let mut damaged = good.clone();
    damaged[20] ^= 1;
    let trailing = [&good[..], &[0]].concat();
    let aborted = Image::with(&[header(), Raw::new(3, 0, &[], b"pid 3 fd 4: io_uring")]);
    let end = good.len() as u64;
    vec![
        (refused("foreign", &foreign), ("foreign", 0, NotAnImage)),
        (
            refused("ends of lines", &unix),
            ("ends of lines", 0, Mangled),
        ),
        (refused("eighth bit", &seven), ("eighth bit", 0, Mangled)),
        (refused("empty", &[]), ("empty", 0, Truncated)),
        (
            refused("cut", &good[..good.len() - 1]),
            ("cut", end - 1, Truncated),
        ),
        (
            refused("no end", &good[..SECOND as usize]),
            ("no end", SECOND, Truncated),
        ),
        (refused("damaged", &damaged), ("damaged", FIRST, Checksum)),
        (
            refused("trailing", &trailing),
            ("trailing", end, TrailingBytes),
        ),
        (
            refused("aborted", &aborted.bytes),
            ("aborted", SECOND + 16 + 24, Aborted),
        ),
    ]
}

fn headers() -> Vec<(Found, Found)> {
    let grown = |byte| {
        let mut raw = header();
        raw.head.extend([0, 0, 0, byte, 0, 0, 0, 0]);
        raw
    };
    let mut newer = grown(1);
    newer.head[12] = 1;
    let mut cut = header();
    cut.head.truncate(24);
    vec![
        (
            first("no header", release(b"7.3.4")),
            ("no header", FIRST, NoHeader(Kind::Known(Type::Release))),
        ),
        (
            second("two headers", header()),
            ("two headers", SECOND, SecondHeader),
        ),
        (
            first("version", header_with(2, X86_64, 0, 0, 12, 0)),
            ("version", FIRST, Version(2)),
        ),
        (
            first("feature", header_with(1, X86_64, 1 << 40, 0, 12, 0)),
            ("feature", FIRST, Feature(40)),
        ),
        (
            first("feature and its field", newer),
            ("feature and its field", FIRST, Feature(32)),
        ),
        (
            first("small pages", header_with(1, X86_64, 0, 0, 11, 0)),
            ("small pages", FIRST, PageShift(11)),
        ),
        (
            first("large pages", header_with(1, X86_64, 0, 0, 17, 0)),
            ("large pages", FIRST, PageShift(17)),
        ),
        (
            first("reserved", header_with(1, X86_64, 0, 0, 12, 1)),
            ("reserved", FIRST, Reserved),
        ),
        (
            first("field", grown(1)),
            ("field", FIRST, UnknownFields(Type::Header)),
        ),
        (first("cut", cut), ("cut", FIRST, ShortHead(Type::Header))),
    ]
}

fn records() -> Vec<(Found, Found)> {
    let text = || release(b"7.3.4");
    let at = |what| ("", SECOND, what);
    let long = MAX_PAYLOAD as u32 + 1;
    vec![
        (
            second(
                "",
                Raw {
                    len: Some(long),
                    ..text()
                },
            ),
            at(PayloadTooLong(long)),
        ),
        (
            second(
                "",
                Raw {
                    len: Some(u32::MAX),
                    ..text()
                },
            ),
            at(PayloadTooLong(u32::MAX)),
        ),
        (
            second(
                "",
                Raw {
                    seq: Some(2),
                    ..text()
                },
            ),
            at(Sequence(2)),
        ),
        (second("", Raw { flags: 5, ..text() }), at(UnknownFlags(4))),
        (
            second(
                "",
                Raw {
                    flags: 0xf1,
                    ..text()
                },
            ),
            at(UnknownFlags(0xf0)),
        ),
        (
            second("", Raw { flags: 0, ..text() }),
            at(WrongFlags(Type::Release, 0)),
        ),
        (
            second("", Raw { flags: 3, ..text() }),
            at(WrongFlags(Type::Release, 3)),
        ),
        (
            second("", Raw::new(0x7fff, 0, &[], &[])),
            at(UnknownType(0x7fff)),
        ),
        (second("", Raw::new(0, 0, &[], &[])), at(UnknownType(0))),
        (
            second(
                "",
                Raw {
                    padding: 1,
                    ..text()
                },
            ),
            at(NotZero),
        ),
        (second("", Raw::new(4, 1, &[], &[0, 0, 1])), at(NotZero)),
        (
            second(
                "",
                Raw {
                    units: Some(1),
                    ..text()
                },
            ),
            at(HeadTooLong),
        ),
        (
            second(
                "",
                Raw {
                    units: Some(255),
                    ..text()
                },
            ),
            at(HeadTooLong),
        ),
        (
            second(
                "",
                Raw {
                    tail: vec![0],
                    ..identity([7; 16])
                },
            ),
            at(UnexpectedTail),
        ),
        (second("", release(b"")), at(Text)),
        (second("", release(b"7.3\n")), at(Text)),
        (second("", release("7.3\u{e9}".as_bytes())), at(Text)),
    ]
}

fn data() -> Vec<(Found, Found)> {
    let at = |what| ("", SECOND, what);
    let plain = |record: Raw| {
        let image = Image::with(&[header_with(1, X86_64, 0, 0, 12, 0), record]);
        refused("", &image.finish())
    };
    let page = || pages(1, 1, 0, &[1; PAGE]);
    let changed = |offset: usize, byte: u8| {
        let mut raw = page();
        raw.head[offset] = byte;
        raw
    };
    let mut wrong = page();
    wrong.data[4095] ^= 0x80;
    // The checksum of no data is zero.
    let mut nothing = with_data(0x9000, 3, &[], |_| ());
    nothing.head[8] = 1;
    let mut short = page();
    short.head.truncate(24);
    vec![
        (
            second("", Raw::new(0x9000, 3, &[0; 8], &[])),
            at(NoDataHead),
        ),
        (
            second("", Raw::new(0x9000, 3, &[], &[0; 16])),
            at(NoDataHead),
        ),
        (
            second("", with_data(0x9000, 3, b"seven..", |_| ())),
            at(UnalignedData(7)),
        ),
        (plain(page()), at(UnexpectedDataCrc)),
        (second("", changed(12, 1)), at(Reserved)),
        (second("", wrong), at(DataChecksum)),
        (second("", nothing), at(DataChecksum)),
        (second("", short), at(ShortHead(Type::Pages))),
        (second("", pages(3, 1, 0, &[1; PAGE])), at(Memory(3))),
        (second("", pages(0, 1, 0, &[1; PAGE])), at(Memory(0))),
        (second("", pages(1, 0, 0, &[1; PAGE])), at(NoObject(0))),
        (second("", pages(1, 1, 0, &[])), at(FrameSize(0))),
        (
            second("", pages(1, 1, 0, &[1; PAGE / 2])),
            at(FrameSize(2048)),
        ),
        (
            second("", pages(1, 1, 2048, &[1; PAGE])),
            at(FramePosition(2048)),
        ),
        (
            second("", pages(1, 1, (PAGE as u64).wrapping_neg(), &[1; PAGE])),
            at(FramePosition((PAGE as u64).wrapping_neg())),
        ),
    ]
}

fn totals() -> Vec<(Found, Found)> {
    let meta = 16 + 32 + 32 + 48 + 32 + 48 + 16 + 24;
    let bytes = 2 * PAGE as u64 + 16;
    // Pages are passed on, and not kept.
    let kept = meta - 2 * 48;
    let exact = Limits {
        records: 4,
        metadata: kept,
        data: bytes,
    };
    verify_within(&image(&small()), exact).expect("an image may have its limits");
    let end = 8 + meta - 40 + bytes;
    let plain = Image::with(&[header()]);
    let mut last = plain.end();
    last.head[20] = 1;
    let reserved = plain.add(&last);
    let last_frame = end - PAGE as u64 - 48;
    let records = Limits {
        records: 3,
        ..exact
    };
    let metadata = Limits {
        metadata: kept - 1,
        ..exact
    };
    let less = Limits {
        data: bytes - 1,
        ..exact
    };
    let all = Limits { data: 0, ..exact };
    vec![
        (limited("", records), ("", end, TooManyRecords(3))),
        (limited("", metadata), ("", end, TooMuchMetadata(kept - 1))),
        (limited("", less), ("", last_frame, TooMuchData(bytes - 1))),
        (limited("", all), ("", SECOND + 32, TooMuchData(0))),
        (
            ended("", |totals| totals.0 += 1),
            ("", SECOND, EndRecords(2)),
        ),
        (ended("", |totals| totals.1 = 8), ("", SECOND, EndData(8))),
        (refused("", &reserved.bytes), ("", SECOND, Reserved)),
        (ended("", |totals| totals.2 ^= 1), ("", SECOND, EndChecksum)),
    ]
}

fn objects() -> Vec<(Found, Found)> {
    // What is in the room from before is nothing.
    let mut room = [Some('a'); 2];
    let mut objects = Objects::new(&mut room);
    let id = ObjectId::new;
    let first = objects.resolve(id(1), 'a').unwrap_err();
    assert_eq!(objects.define(id(1), 'a'), Ok(0));
    let again = objects.define(id(1), 'a').unwrap_err();
    let skipped = objects.define(id(3), 'a').unwrap_err();
    let none = objects.define(ObjectId::NONE, 'a').unwrap_err();
    let future = objects.resolve(id(2), 'a').unwrap_err();
    assert_eq!(objects.define(id(2), 'b'), Ok(1));
    assert_eq!(objects.resolve(id(2), 'b'), Ok(1));
    assert_eq!(objects.resolve(id(1), 'a'), Ok(0));
    let full = objects.define(id(3), 'a').unwrap_err();
    let kind = objects.resolve(id(1), 'b').unwrap_err();
    let zero = objects.resolve(ObjectId::NONE, 'a').unwrap_err();
    let far = objects.resolve(id(u32::MAX), 'a').unwrap_err();
    assert_eq!(objects.defined(), 2);
    vec![
        (object("first", first), ("first", 0, NoObject(1))),
        (object("again", again), ("again", 0, ObjectOrder(1))),
        (object("skipped", skipped), ("skipped", 0, ObjectOrder(3))),
        (object("none", none), ("none", 0, ObjectOrder(0))),
        (object("future", future), ("future", 0, NoObject(2))),
        (object("full", full), ("full", 0, TooManyObjects(2))),
        (object("kind", kind), ("kind", 0, ObjectKind(1))),
        (object("zero", zero), ("zero", 0, NoObject(0))),
        (object("far", far), ("far", 0, NoObject(u32::MAX))),
    ]
}

/// What only the one who wants a certain record finds.
fn wanted() -> Vec<(Found, Found)> {
    let bytes = image(&[release(b"7.3.4"), Raw::new(6, 1, &[7; 8], &[])]);
    let mut buffer = [0; MAX_PAYLOAD];
    let (mut reader, _) = Reader::open(&bytes[..], GENEROUS, &mut buffer).unwrap();
    let mut body = || {
        let record = reader
            .next(&mut buffer)
            .map_err(only_fault)
            .unwrap()
            .unwrap();
        record.body::<Identity>().unwrap_err()
    };
    vec![
        (
            found("other", body()),
            (
                "other",
                SECOND,
                Expected(Type::Identity, Kind::Known(Type::Release)),
            ),
        ),
        (
            found("short", body()),
            ("short", SECOND + 16 + 8, ShortHead(Type::Identity)),
        ),
    ]
}

fn cases() -> Vec<(Found, Found)> {
    [
        stream(),
        headers(),
        records(),
        data(),
        totals(),
        objects(),
        wanted(),
    ]
    .concat()
}

#[test]
fn each_cause_is_told_with_its_place() {
    for (found, expected) in cases() {
        assert_eq!(found, expected);
    }
}

macro_rules! names {
    ($($name:ident)*) => {
        const NAMES: &[&str] = &[$(stringify!($name)),*];

        /// The name of a cause; this does not build when a cause is missing.
        fn name(what: Malformed) -> &'static str {
            match what {
                $($name { .. } => stringify!($name),)*
            }
        }
    };
}

names! {
    NotAnImage Mangled Truncated NoHeader SecondHeader Version Feature PageShift Reserved
    PayloadTooLong Checksum Sequence UnknownFlags UnknownType WrongFlags NotZero HeadTooLong
    ShortHead UnknownFields UnexpectedTail Text Expected NoDataHead UnalignedData
    UnexpectedDataCrc DataChecksum Memory FrameSize FramePosition ObjectOrder NoObject ObjectKind
    TooManyRecords TooMuchMetadata TooMuchData TooManyObjects Aborted EndRecords EndData
    EndChecksum TrailingBytes
}

#[test]
fn each_cause_has_a_case_and_its_own_words() {
    let cases = cases();
    let tried: BTreeSet<_> = cases.iter().map(|(found, _)| name(found.2)).collect();
    assert_eq!(tried, NAMES.iter().copied().collect());

    let words: BTreeSet<_> = cases.iter().map(|(found, _)| found.2.to_string()).collect();
    let causes: BTreeSet<_> = cases
        .iter()
        .map(|(found, _)| format!("{:?}", found.2))
        .collect();
    assert_eq!(words.len(), causes.len());
}

#[test]
fn rearranged_records_are_found_although_each_is_right() {
    // The indices and checksums of the records are recomputed, those in the end are not.
    let all = small();
    let original = Image::with(&[header()]).add_all(&all);
    let end = original.end();
    let end = |records: &[Raw]| {
        let forged = Image::with(&[header()]).add_all(records);
        verify(&forged.add(&end).bytes).map_err(|fault| fault.what)
    };
    assert!(end(&all).is_ok());

    let mut swapped = all.clone();
    swapped.swap(1, 3);
    assert_eq!(end(&swapped), Err(EndChecksum));
    let mut changed = all.clone();
    changed[0].tail[0] = b'8';
    assert_eq!(end(&changed), Err(EndChecksum));
    assert_eq!(end(&all[1..]), Err(EndRecords(5)));
    let doubled = [&all[..], &all[..1]].concat();
    assert_eq!(end(&doubled), Err(EndRecords(5)));
    let mut exchanged = all.clone();
    exchanged[1] = release(b"a record instead of a frame");
    assert_eq!(end(&exchanged), Err(EndData(2 * PAGE as u64 + 16)));
}

#[test]
fn unknown_compatible_features_are_none_of_our_business() {
    let header = header_with(1, X86_64, 0, COMPAT_DATA_CRC | 1 << 63, 12, 0);
    assert!(verify(&Image::with(&[header]).finish()).is_ok());
}
