// SPDX-License-Identifier: GPL-2.0

//! The writer against the second encoder, and its refusals.

use beanpod_image::{
    record_size, Frame, Header, Identity, Malformed, Memory, ObjectId, Release, WriteError, Writer,
    MAX_PAYLOAD, RECORD_HEADER,
};

use crate::raw::{codec_header, header, identity, image, pages, release, Image, Raw, PAGE, X86_64};
use crate::walk::verify;

const FRAME: Frame = Frame {
    memory: Memory::Private,
    object: ObjectId::new(1),
    position: 0x1000,
    bytes: PAGE as u64,
};

fn start(out: &mut [u8]) -> (Writer, usize) {
    Writer::start(&codec_header(), out).unwrap()
}

#[test]
fn both_encoders_agree() {
    let mut out = vec![0xee; 16 << 10];
    let (mut writer, mut at) = start(&mut out);
    at += writer
        .put(&Release {}, &[b"7.3.", b"4", b""], &mut out[at..])
        .unwrap();
    let uuid = [7; 16];
    at += writer.put(&Identity { uuid }, &[], &mut out[at..]).unwrap();
    let page = [0x5a; PAGE];
    at += writer
        .frame(&FRAME, crc32c::crc32c(&page), &mut out[at..])
        .unwrap();
    out[at..][..PAGE].copy_from_slice(&page);
    at += PAGE;
    assert_eq!(writer.offset(), at as u64);
    let totals = writer.totals();
    assert_eq!((totals.records, totals.data), (4, PAGE as u64));
    let (size, totals) = writer.end(&mut out[at..]).unwrap();
    at += size;
    assert_eq!(totals.records, 5);
    assert_eq!(totals.data, PAGE as u64);
    assert_eq!(totals.metadata + totals.data + 8, at as u64);

    let second = image(&[
        release(b"7.3.4"),
        identity(uuid),
        pages(1, 1, 0x1000, &page),
    ]);
    assert_eq!(out[..at], second);
}

#[test]
fn an_abort_ends_an_image() {
    let mut out = [0; 256];
    let (writer, at) = start(&mut out);
    let size = writer.abort("disk full", &mut out[at..]).unwrap();
    let second = Image::with(&[header(), Raw::new(3, 0, &[], b"disk full")]);
    assert_eq!(out[..at + size], second.bytes);
}

#[test]
fn data_can_be_brought_to_a_page() {
    let frame = record_size(32);
    // With every distance from a page: the notes are of all sizes.
    for note in 1..=PAGE {
        let text = vec![b'x'; note];
        let mut out = vec![0; 32 << 10];
        let (mut writer, mut at) = start(&mut out);
        at += writer.put(&Release {}, &[&text], &mut out[at..]).unwrap();
        let pad = writer.align(32, &mut out[at..]).unwrap();
        assert!(pad == 0 || pad >= RECORD_HEADER);
        assert!(pad < PAGE + RECORD_HEADER);
        at += pad;
        assert_eq!((at + frame) % PAGE, 0);
        assert_eq!(writer.align(32, &mut out[at..]), Ok(0));
        if note % 97 == 0 {
            let page = [1; PAGE];
            at += writer
                .frame(&FRAME, crc32c::crc32c(&page), &mut out[at..])
                .unwrap();
            out[at..][..PAGE].copy_from_slice(&page);
            at += PAGE;
            // The writer has counted the data, too.
            assert_eq!(writer.align(PAGE - RECORD_HEADER, &mut out[at..]), Ok(0));
            at += writer.end(&mut out[at..]).unwrap().0;
            verify(&out[..at]).unwrap();
        }
    }
}

#[test]
fn the_largest_pages_can_be_aligned_to() {
    let mut out = vec![0; 256 << 10];
    let header = Header::new(X86_64, 16, 0);
    for note in 1..48 {
        let (mut writer, mut at) = Writer::start(&header, &mut out).unwrap();
        let text = vec![b'x'; note];
        at += writer.put(&Release {}, &[&text], &mut out[at..]).unwrap();
        for _ in 0..3 {
            // What is left to the boundary differs by the size of the payload.
            at += writer.align(8 * note, &mut out[at..]).unwrap();
            assert_eq!((at + record_size(8 * note)) % (64 << 10), 0);
        }
    }
}

#[test]
fn too_little_room_is_told_and_changes_nothing() {
    let mut out = [0; 512];
    let needed = 8 + 16 + 32;
    for room in 0..needed {
        let result = Writer::start(&codec_header(), &mut out[..room]);
        assert_eq!(result.err(), Some(WriteError::NoRoom(needed)));
    }
    let (mut writer, mut at) = start(&mut out);
    for room in 0..16 + 8 {
        let result = writer.put(&Release {}, &[b"7.3.4"], &mut out[at..][..room]);
        assert_eq!(result, Err(WriteError::NoRoom(24)));
    }
    at += writer
        .put(&Release {}, &[b"7.3.4"], &mut out[at..][..24])
        .unwrap();
    at += writer.end(&mut out[at..]).unwrap().0;
    assert_eq!(verify(&out[..at]), Ok(vec![release(b"7.3.4")]));
}

#[test]
fn what_a_reader_would_refuse_is_not_written() {
    let invalid = |what| Err(WriteError::Invalid(what));
    let mut out = vec![0; 128 << 10];
    let nine = Writer::start(&Header::new(X86_64, 9, 0), &mut out);
    assert_eq!(nine.map(|_| 0), invalid(Malformed::PageShift(9)));

    let (mut writer, start) = start(&mut out);
    let out = &mut out[start..];
    let uuid = [0; 16];
    for (result, what) in [
        (
            writer.put(&codec_header(), &[], out),
            Malformed::SecondHeader,
        ),
        (writer.put(&Release {}, &[], out), Malformed::Text),
        (
            writer.put(&Release {}, &[b"a\x1b[2J"], out),
            Malformed::Text,
        ),
        (
            writer.put(&Identity { uuid }, &[b"a"], out),
            Malformed::UnexpectedTail,
        ),
        (
            writer.put(&Release {}, &[&[b'x'; MAX_PAYLOAD], b"x"], out),
            Malformed::PayloadTooLong(MAX_PAYLOAD as u32 + 1),
        ),
        (
            writer.frame(
                &Frame {
                    bytes: 100,
                    ..FRAME
                },
                0,
                out,
            ),
            Malformed::FrameSize(100),
        ),
        (
            writer.frame(
                &Frame {
                    position: 1,
                    ..FRAME
                },
                0,
                out,
            ),
            Malformed::FramePosition(1),
        ),
    ] {
        assert_eq!(result, invalid(what));
    }
    assert!(writer
        .put(&Release {}, &[&[b'x'; MAX_PAYLOAD]], out)
        .is_ok());

    let plain = Header::new(X86_64, 12, 0);
    let (mut writer, _) = Writer::start(&plain, out).unwrap();
    let result = writer.frame(&FRAME, 1, out);
    assert_eq!(result, invalid(Malformed::UnexpectedDataCrc));
    assert!(writer.frame(&FRAME, 0, out).is_ok());
}

#[test]
fn reasons_are_checked_as_all_texts() {
    let mut out = [0; 256];
    let (writer, at) = start(&mut out);
    let result = writer.abort("first\nsecond", &mut out[at..]);
    assert_eq!(result, Err(WriteError::Invalid(Malformed::Text)));
}
