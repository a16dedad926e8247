// SPDX-License-Identifier: GPL-2.0

//! The description of the format against the codec.

use beanpod_image::{Type, DATA, MAGIC, OPTIONAL};

use crate::raw::{header_with, pages, release, Image, Raw, PAGE, X86_64};
use crate::walk::verify;

const TEXT: &str = include_str!("../../../../Documentation/userspace-api/ckpt-image.rst");

fn hex(words: &str) -> Vec<u8> {
    words
        .split_ascii_whitespace()
        .map_while(|word| u8::from_str_radix(word, 16).ok())
        .collect()
}

/// The dump of the example, with its page.
fn example() -> Vec<u8> {
    let (_, dump) = TEXT.split_once("An example\n").unwrap();
    let mut image = Vec::new();
    for line in dump.lines().filter(|line| line.starts_with("    ")) {
        let (offset, bytes) = line.trim_start().split_once("  ").unwrap();
        let offset = usize::from_str_radix(offset, 16).unwrap();
        if offset != image.len() {
            assert_eq!(offset, image.len() + PAGE);
            image.resize(offset, 0x5a);
        }
        image.extend(hex(bytes));
    }
    image
}

#[test]
fn the_example_is_an_image() {
    let frame = Raw {
        // Without a checksum.
        head: {
            let mut head = pages(1, 1, 0x7f00_0000_1000, &[0x5a; PAGE]).head;
            head[8..12].fill(0);
            head
        },
        ..pages(1, 1, 0, &[0x5a; PAGE])
    };
    let records = [release(b"7.3.4"), frame];
    assert_eq!(verify(&example()), Ok(records.to_vec()));

    let header = header_with(1, X86_64, 0, 0, 12, 0);
    let image = Image::with(&[header]).add_all(&records);
    assert_eq!(image.finish(), example());
}

#[test]
fn the_types_are_those_of_the_table() {
    let (_, types) = TEXT.split_once("\nTypes\n=====\n").unwrap();
    let (types, _) = types.split_once("Numbers from").unwrap();
    let mut rows = types.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let number: u16 = words.next()?.parse().ok()?;
        let (name, flag) = (words.next()?, words.next()?);
        Some((number, name, flag))
    });
    for kind in Type::ALL {
        let (number, name, flag) = rows.next().unwrap();
        assert_eq!((number, name), (kind.number(), kind.name()));
        assert_eq!(flag == "OPTIONAL", kind.flags() & OPTIONAL != 0);
        assert_eq!(flag == "DATA", kind.flags() & DATA != 0);
    }
    assert_eq!(rows.next(), None);
}

#[test]
fn the_magic_is_the_one_described() {
    let (_, magic) = TEXT.split_once("magic: ``").unwrap();
    assert_eq!(hex(magic.split_once("``").unwrap().0), MAGIC);
}
