// SPDX-License-Identifier: GPL-2.0

//! Readers and writers of different age.

use beanpod_image::{
    Body, Identity, Kind, Malformed, Reader, Type, Writer, DATA, MAX_HEAD, MAX_PAYLOAD, OPTIONAL,
};
use proptest::prelude::*;
use zerocopy::little_endian::U64;
use zerocopy_derive::{FromBytes, Immutable, IntoBytes};

use crate::raw::{codec_header, image, with_data, Raw};
use crate::walk::{refusal, verify, GENEROUS};

/// An identity as a later version might have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Later {
    uuid: [u8; 16],
    more: U64,
}

impl Body for Later {
    const TYPE: Type = Type::Identity;
    const FIRST: usize = 16;
}

const UUID: [u8; 16] = *b"0123456789abcdef";

/// What a reader that knows `R` makes of what a writer that knows `W` wrote.
fn exchange<W: Body, R: Body>(body: W) -> Result<R, Malformed> {
    let mut stream = [0; 256];
    let (mut writer, mut size) = Writer::start(&codec_header(), &mut stream).unwrap();
    size += writer.put(&body, &[], &mut stream[size..]).unwrap();
    size += writer.end(&mut stream[size..]).unwrap().0;

    let mut buffer = [0; MAX_PAYLOAD];
    let (mut reader, _) = Reader::open(&stream[..size], GENEROUS, &mut buffer).unwrap();
    let record = reader.next(&mut buffer).unwrap().unwrap();
    record.body().map_err(|fault| fault.what)
}

#[test]
fn a_structure_may_be_longer_than_known_if_that_says_nothing() {
    let [plain, more] = [0, 1 << 63].map(|more| Later {
        uuid: UUID,
        more: more.into(),
    });
    assert_eq!(
        exchange::<Later, Identity>(plain),
        Ok(Identity { uuid: UUID })
    );
    let unknown = Malformed::UnknownFields(Type::Identity);
    assert_eq!(exchange::<Later, Identity>(more), Err(unknown));
    assert_eq!(exchange::<Later, Later>(more), Ok(more));
}

#[test]
fn what_an_older_writer_did_not_know_is_zero() {
    let later = exchange::<Identity, Later>(Identity { uuid: UUID });
    let expected = Later {
        uuid: UUID,
        more: U64::ZERO,
    };
    assert_eq!(later, Ok(expected));
}

#[test]
fn each_byte_of_an_unknown_field_counts() {
    for at in 16..MAX_HEAD {
        let mut head = vec![0; MAX_HEAD];
        head[at] = 1;
        let bytes = image(&[Raw::new(6, OPTIONAL, &head, &[])]);
        let mut buffer = [0; MAX_PAYLOAD];
        let (mut reader, _) = Reader::open(&bytes[..], GENEROUS, &mut buffer).unwrap();
        let record = reader.next(&mut buffer).unwrap().unwrap();
        let what = record.body::<Identity>().map_err(|fault| fault.what);
        assert_eq!(what, Err(Malformed::UnknownFields(Type::Identity)));
    }
}

#[test]
fn the_table_of_types_is_its_own_inverse() {
    for kind in Type::ALL {
        assert_eq!(Type::from_number(kind.number()), Some(*kind));
        assert!(kind.number() != 0 && kind.number() < 0x8000);
        assert_eq!(Kind::from_number(kind.number()), Kind::Known(*kind));
    }
    assert!(Type::ALL.is_sorted_by_key(|kind| kind.number()));
    assert_eq!(Type::from_number(0), None);
    assert_eq!(Kind::from_number(0x9000), Kind::Unknown(0x9000));
}

fn unknown_number() -> impl Strategy<Value = u16> {
    any::<u16>().prop_filter("known", |number| Type::from_number(*number).is_none())
}

proptest! {
    #[test]
    fn unknown_types_are_passed_over_only_if_they_are_optional(
        number in unknown_number(),
        head in proptest::collection::vec(any::<u64>(), 0..8),
        tail in proptest::collection::vec(any::<u8>(), 0..40),
        data in proptest::option::of(proptest::collection::vec(any::<u64>(), 0..64)),
    ) {
        let head: Vec<u8> = head.iter().flat_map(|word| word.to_le_bytes()).collect();
        let mut record = match data {
            None => Raw::new(number, OPTIONAL, &head, &tail),
            Some(data) => {
                let data: Vec<u8> = data.iter().flat_map(|word| word.to_le_bytes()).collect();
                with_data(number, OPTIONAL | DATA, &data, |start| start.extend(head))
            }
        };
        record.tail = tail;
        let bytes = image(&[record.clone()]);
        prop_assert_eq!(verify(&bytes), Ok(vec![record.clone()]));

        record.flags &= !OPTIONAL;
        prop_assert_eq!(refusal(&image(&[record])), Malformed::UnknownType(number));
    }
}
