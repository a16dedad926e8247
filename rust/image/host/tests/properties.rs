// SPDX-License-Identifier: GPL-2.0

//! What holds for all images.

use std::ops::Range;

use beanpod_image::{Frame, Identity, Malformed, Memory, ObjectId, Release, Writer, RECORD_HEADER};
use proptest::prelude::*;

use crate::raw::{codec_header, identity, image, pages, release, small, with_data, Raw, PAGE};
use crate::walk::verify;

fn any_text() -> impl Strategy<Value = String> {
    "[ -~]{1,80}"
}

/// A record that the writer can write.
fn known() -> impl Strategy<Value = Raw> {
    let frame = (
        1..=2u32,
        any::<u32>(),
        0..1u64 << 40,
        1..3usize,
        any::<u8>(),
    );
    prop_oneof![
        any_text().prop_map(|text| release(text.as_bytes())),
        any::<[u8; 16]>().prop_map(identity),
        frame.prop_map(|(memory, object, page, nr, byte)| {
            let at = page * PAGE as u64;
            pages(memory, object, at, &vec![byte; nr * PAGE])
        }),
    ]
}

/// A record that is not known, but optional.
fn unknown() -> impl Strategy<Value = Raw> {
    let bytes = |most| proptest::collection::vec(any::<u8>(), 0..most);
    prop_oneof![
        (0x100..=u16::MAX, bytes(64)).prop_map(|(number, tail)| Raw::new(number, 1, &[], &tail)),
        (0x100..=u16::MAX, bytes(64)).prop_map(|(number, mut data)| {
            data.resize(data.len().next_multiple_of(8), 0);
            with_data(number, 3, &data, |_| ())
        }),
    ]
}

fn any_records() -> impl Strategy<Value = Vec<Raw>> {
    proptest::collection::vec(prop_oneof![known(), unknown()], 0..8)
}

/// The codec's encoding of records that the second encoder has, each aligned first or not.
fn write(records: &[(Raw, bool)]) -> Vec<u8> {
    let mut room = vec![0; 256 << 10];
    let (mut writer, size) = Writer::start(&codec_header(), &mut room).unwrap();
    let mut image = room[..size].to_vec();
    for (raw, align) in records {
        if *align {
            let size = writer
                .align(raw.head.len() + raw.tail.len(), &mut room)
                .unwrap();
            image.extend(&room[..size]);
        }
        let word = |at: usize| u32::from_le_bytes(raw.head[at..][..4].try_into().unwrap());
        let size = match raw.number {
            5 => writer.put(&Release {}, &[&raw.tail], &mut room),
            6 => {
                let uuid = raw.head[..].try_into().unwrap();
                writer.put(&Identity { uuid }, &[], &mut room)
            }
            _ => {
                let frame = Frame {
                    memory: [Memory::Private, Memory::Shared][word(20) as usize - 1],
                    object: ObjectId::new(word(16)),
                    position: u64::from_le_bytes(raw.head[24..].try_into().unwrap()),
                    bytes: raw.data.len() as u64,
                };
                writer.frame(&frame, word(8), &mut room)
            }
        };
        image.extend(&room[..size.unwrap()]);
        if *align && !raw.data.is_empty() {
            assert_eq!(image.len() % PAGE, 0);
        }
        image.extend(&raw.data);
    }
    let (size, totals) = writer.end(&mut room).unwrap();
    image.extend(&room[..size]);
    assert_eq!(totals.metadata + totals.data + 8, image.len() as u64);
    image
}

/// Where the records of an image are, data included; the first is the magic.
fn pieces(records: &[Raw]) -> Vec<Range<usize>> {
    let mut at = 0;
    let mut piece = |size| {
        at += size;
        at - size..at
    };
    let mut pieces = vec![piece(8), piece(RECORD_HEADER + 32)];
    pieces.extend(
        records
            .iter()
            .map(|raw| piece(raw.encode(0).0.len() + raw.data.len())),
    );
    pieces.push(piece(RECORD_HEADER + 24));
    pieces
}

fn join(image: &[u8], pieces: &[Range<usize>]) -> Vec<u8> {
    let parts: Vec<_> = pieces.iter().map(|piece| &image[piece.clone()]).collect();
    parts.concat()
}

#[test]
fn an_image_is_refused_wherever_it_is_cut() {
    let bytes = image(&small());
    for cut in 0..bytes.len() {
        let fault = verify(&bytes[..cut]).unwrap_err();
        assert_eq!((fault.at, fault.what), (cut as u64, Malformed::Truncated));
    }
}

#[test]
fn an_image_is_refused_whichever_bit_is_flipped() {
    let mut bytes = image(&small());
    for at in 0..bytes.len() {
        for bit in 0..8 {
            bytes[at] ^= 1 << bit;
            assert!(verify(&bytes).is_err(), "byte {at} bit {bit}");
            bytes[at] ^= 1 << bit;
        }
    }
    assert!(verify(&bytes).is_ok());
}

proptest! {
    #[test]
    fn what_was_written_is_what_is_read(
        records in proptest::collection::vec((known(), any::<bool>()), 0..8)
    ) {
        let image = write(&records);
        let read = verify(&image);
        let read = read.map(|all| all.into_iter().filter(|raw| raw.number != 4).collect::<Vec<_>>());
        let written: Vec<_> = records.into_iter().map(|(raw, _)| raw).collect();
        prop_assert_eq!(read, Ok(written));
    }

    #[test]
    fn both_encoders_write_the_same(records in proptest::collection::vec(known(), 0..8)) {
        let plain: Vec<_> = records.iter().cloned().map(|raw| (raw, false)).collect();
        prop_assert_eq!(write(&plain), image(&records));
    }

    #[test]
    fn what_is_accepted_is_encoded_in_one_way_only(records in any_records()) {
        let bytes = image(&records);
        let read = verify(&bytes).unwrap();
        prop_assert_eq!(image(&read), bytes);
        prop_assert_eq!(read, records);
    }

    #[test]
    fn removed_doubled_and_exchanged_records_are_found(
        records in any_records(), a in any::<prop::sample::Index>(), b in any::<prop::sample::Index>()
    ) {
        let bytes = image(&records);
        let pieces = pieces(&records);
        prop_assert_eq!(join(&bytes, &pieces), &bytes[..]);
        let (a, b) = (a.index(pieces.len()), b.index(pieces.len()));

        let mut removed = pieces.clone();
        removed.remove(a);
        prop_assert!(verify(&join(&bytes, &removed)).is_err());

        let mut doubled = pieces.clone();
        doubled.insert(b, pieces[a].clone());
        prop_assert!(verify(&join(&bytes, &doubled)).is_err());

        let mut swapped = pieces.clone();
        swapped.swap(a, b);
        let swapped = join(&bytes, &swapped);
        prop_assert_eq!(verify(&swapped).is_err(), swapped != bytes);
    }

    #[test]
    fn two_images_do_not_make_a_third(
        one in any_records(), other in any_records(),
        from in any::<prop::sample::Index>(), to in any::<prop::sample::Index>()
    ) {
        let (one, other) = (image(&one), image(&other));
        let spliced = [&one[..from.index(one.len())], &other[to.index(other.len())..]].concat();
        let is_one = spliced == one || spliced == other;
        prop_assert_eq!(verify(&spliced).is_ok(), is_one);
    }

    #[test]
    fn a_damaged_image_is_refused(
        records in any_records(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), 1..=u8::MAX), 1..6)
    ) {
        let bytes = image(&records);
        let mut damaged = bytes.clone();
        for (at, mask) in damage {
            let at = at.index(damaged.len());
            damaged[at] ^= mask;
        }
        prop_assert_eq!(verify(&damaged).is_err(), damaged != bytes);
    }

    #[test]
    fn any_bytes_are_refused_without_harm(
        bytes in proptest::collection::vec(any::<u8>(), 0..400), magic in any::<bool>()
    ) {
        let mut stream = if magic { b"\x9eCKPT\r\n\x1a".to_vec() } else { Vec::new() };
        stream.extend(bytes);
        prop_assert!(verify(&stream).is_err());
    }
}
