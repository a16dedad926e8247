// SPDX-License-Identifier: GPL-2.0

//! How a reader takes from its source.

use std::io;

use beanpod_image::{
    Checksum, Error, Fault, Limits, Malformed, Reader, Source, Stream, MAX_PAYLOAD,
};

use crate::raw::{header, image, pages, release, small, Image, Raw, PAGE};
use crate::walk::{only_fault, verify, walk, GENEROUS};

/// A source that gives one byte at a time and counts them, and fails in the end.
struct Drip<'a> {
    bytes: &'a [u8],
    given: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Dry;

impl Source for Drip<'_> {
    type Error = Dry;

    fn read(&mut self, into: &mut [u8]) -> Result<usize, Dry> {
        assert!(!into.is_empty());
        into[0] = *self.bytes.get(self.given).ok_or(Dry)?;
        self.given += 1;
        Ok(1)
    }
}

fn drip(bytes: &[u8]) -> Drip<'_> {
    Drip { bytes, given: 0 }
}

#[test]
fn the_checksum_is_crc32c() {
    let mut checksum = Checksum::new();
    assert_eq!(checksum.value(), 0);
    checksum.update(b"1234");
    checksum.update(b"56789");
    assert_eq!(checksum.value(), 0xe306_9283);
}

#[test]
fn errors_of_the_source_pass_through_and_are_final() {
    let bytes = image(&small());
    for cut in 0..SECOND {
        let mut buffer = [0; MAX_PAYLOAD];
        let opened = Reader::open(drip(&bytes[..cut]), GENEROUS, &mut buffer);
        assert_eq!(opened.err(), Some(Error::Source(Dry)));
    }
    let mut buffer = [0; MAX_PAYLOAD];
    let (mut reader, _) = Reader::open(drip(&bytes[..SECOND + 1]), GENEROUS, &mut buffer).unwrap();
    assert_eq!(reader.next(&mut buffer), Err(Error::Source(Dry)));
    assert_eq!(reader.next(&mut buffer), Err(Error::Misuse));
    assert_eq!(reader.read_data(&mut [0]), Err(Error::Misuse));
    assert_eq!(reader.took(&[]), Err(Error::Misuse));
    assert_eq!(reader.finish(), Err(Error::Misuse));
}

const SECOND: usize = 8 + 16 + 32;

#[test]
fn small_reads_are_put_together_and_none_goes_beyond_the_end() {
    let bytes = image(&small());
    let mut longer = bytes.clone();
    longer.extend(b"what comes next on the socket");
    let mut buffer = [0; MAX_PAYLOAD];
    let (mut reader, _) = Reader::open(drip(&longer), GENEROUS, &mut buffer).unwrap();
    while reader.next(&mut buffer).unwrap().is_some() {}
    assert_eq!(reader.next(&mut buffer), Ok(None));
    assert_eq!(reader.into_source().given, bytes.len());
}

#[test]
fn nothing_is_read_that_is_beyond_a_limit() {
    let bytes = image(&small());
    let frame = SECOND + 32;
    for (limits, given) in [
        (
            Limits {
                records: 1,
                ..GENEROUS
            },
            SECOND + 16,
        ),
        (
            Limits {
                metadata: 48,
                ..GENEROUS
            },
            SECOND + 16,
        ),
        (
            Limits {
                data: 8,
                ..GENEROUS
            },
            frame + 48,
        ),
    ] {
        let mut buffer = [0; MAX_PAYLOAD];
        let (mut reader, _) = Reader::open(drip(&bytes), limits, &mut buffer).unwrap();
        while reader.next(&mut buffer).is_ok() {}
        assert_eq!(reader.into_source().given, given);
    }
}

#[test]
fn data_that_are_not_read_are_passed_over() {
    let notes = [release(b"7.3.4"), release(b"7.3.5")];
    let records = [small(), notes.to_vec()].concat();
    let mut end = SECOND;
    let places: Vec<_> = records
        .iter()
        .map(|raw| {
            let at = end;
            end += raw.encode(0).0.len() + raw.data.len();
            (raw.number, at as u64)
        })
        .collect();

    let bytes = image(&records);
    let mut buffer = [0; MAX_PAYLOAD];
    for taken in [0, 1, 16, PAGE - 1] {
        let (mut reader, _) = Reader::open(&bytes[..], GENEROUS, &mut buffer).unwrap();
        let mut found = Vec::new();
        while let Some(record) = reader.next(&mut buffer).unwrap() {
            found.push((record.kind.number(), record.at));
            let wanted = taken.min(record.data as usize);
            assert_eq!(reader.read_data(&mut vec![0; taken]), Ok(wanted));
        }
        assert_eq!(found, places);
        assert_eq!(reader.finish().unwrap().data, 2 * PAGE as u64 + 16);
    }
}

#[test]
fn data_may_go_directly_to_where_they_belong() {
    let bytes = image(&[pages(1, 1, 0, &[0x5a; PAGE])]);
    let mut buffer = [0; MAX_PAYLOAD];
    let mut page = [0; PAGE];

    let (mut reader, _) = Reader::open(&bytes[..], GENEROUS, &mut buffer).unwrap();
    let record = reader.next(&mut buffer).unwrap().unwrap();
    assert_eq!(reader.source().read(&mut page), Ok(PAGE));
    assert_eq!(page, [0x5a; PAGE]);
    reader.took(&page[..100]).unwrap();
    assert_eq!(reader.data_left(), record.data - 100);
    reader.took(&page[100..]).unwrap();
    assert_eq!(reader.next(&mut buffer), Ok(None));
    assert_eq!(reader.finish().unwrap().records, 3);

    // The same, but what arrived is not what was sent.
    let (mut reader, _) = Reader::open(&bytes[..], GENEROUS, &mut buffer).unwrap();
    let record = reader.next(&mut buffer).unwrap().unwrap();
    let at = record.at;
    page[0] = 0;
    let what = Malformed::DataChecksum;
    assert_eq!(
        reader.took(&page),
        Err(Error::Malformed(Fault { at, what }))
    );

    // Nobody looks.
    let (mut reader, _) = Reader::open(&bytes[..], GENEROUS, &mut buffer).unwrap();
    reader.next(&mut buffer).unwrap();
    reader.source().read(&mut page).unwrap();
    reader.took_unseen(100).unwrap();
    // What was not seen spoils the checksum, and so nobody compares it.
    reader.took(&page[100..]).unwrap();
    assert_eq!(reader.next(&mut buffer), Ok(None));
}

#[test]
fn more_than_there_is_cannot_be_taken() {
    let bytes = image(&[pages(1, 1, 0, &[0x5a; PAGE])]);
    let mut buffer = [0; MAX_PAYLOAD];
    for unseen in [false, true] {
        let (mut reader, _) = Reader::open(&bytes[..], GENEROUS, &mut buffer).unwrap();
        reader.next(&mut buffer).unwrap();
        let refused = match unseen {
            false => reader.took(&[0x5a; PAGE + 1]),
            true => reader.took_unseen(PAGE as u64 + 1),
        };
        assert_eq!(refused, Err(Error::Misuse));
        assert_eq!(reader.next(&mut buffer), Err(Error::Misuse));
    }
}

#[test]
fn only_an_image_that_was_read_to_its_end_is_finished() {
    let bytes = image(&[]);
    let mut buffer = [0; MAX_PAYLOAD];
    let (reader, header) = Reader::open(&bytes[..], GENEROUS, &mut buffer).unwrap();
    assert_eq!(header.arch.get(), 62);
    assert_eq!(reader.finish(), Err(Error::Misuse));
}

#[test]
fn the_reason_of_an_abort_can_be_read_and_nothing_after_it() {
    let abort = Raw::new(3, 0, &[], b"pid 12 fd 7: io_uring");
    let bytes = Image::with(&[header(), abort, release(b"7.3.4")]).finish();
    let mut buffer = [0; MAX_PAYLOAD];
    let (mut reader, _) = Reader::open(&bytes[..], GENEROUS, &mut buffer).unwrap();
    let record = reader.next(&mut buffer).unwrap().unwrap();
    assert_eq!(record.text(), "pid 12 fd 7: io_uring");
    let after = reader.next(&mut buffer).map_err(only_fault).unwrap_err();
    assert_eq!(after.what, Malformed::Aborted);
    assert_eq!(reader.next(&mut buffer), Err(Error::Misuse));
}

/// A reader that is interrupted before each byte.
struct Interrupted<R>(R, bool);

impl<R: io::Read> io::Read for Interrupted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.1 = !self.1;
        if self.1 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        self.0.read(&mut into[..1])
    }
}

#[test]
fn what_the_standard_library_reads_is_a_source() {
    let bytes = image(&small());
    let source = Stream(Interrupted(&bytes[..], false));
    assert_eq!(walk(source, GENEROUS).unwrap(), verify(&bytes).unwrap());

    let cut = Stream(&bytes[..bytes.len() - 1]);
    assert!(matches!(
        walk(cut, GENEROUS),
        Err(Error::Malformed(Fault {
            what: Malformed::Truncated,
            ..
        }))
    ));
}
