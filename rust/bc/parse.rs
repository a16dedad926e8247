// SPDX-License-Identifier: GPL-2.0

//! What is written to `bc.high` and `bc.max`: lines of a resource's name and a value. No kernel, so
//! that it also runs on the developer's machine.

use crate::limits::UNLIMITED;

/// Why a write was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mistake {
    /// An unknown name, a missing or extra word, or not a number.
    Invalid,
    /// A number that no counter can reach.
    Range,
}

/// One setting: decimal digits, or `max`.
fn value(word: &str) -> Result<i64, Mistake> {
    if word == "max" {
        return Ok(UNLIMITED);
    }
    if word.is_empty() || !word.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Mistake::Invalid);
    }
    // Nothing but digits: the one way to fail is to be too long.
    word.parse().map_err(|_| Mistake::Range)
}

/// The settings that `text` asks for, by the index that `lookup` gives a name.
///
/// All lines are understood or none: container runtimes write a whole file at once. A later line
/// for the same name wins; blank lines are passed over, but some line there must be.
pub(crate) fn settings<const NR: usize>(
    text: &str,
    lookup: impl Fn(&str) -> Option<usize>,
) -> Result<[Option<i64>; NR], Mistake> {
    let mut settings = [None; NR];
    let mut empty = true;

    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let Some(name) = words.next() else { continue };
        let word = words.next().ok_or(Mistake::Invalid)?;
        if words.next().is_some() {
            return Err(Mistake::Invalid);
        }
        let slot = lookup(name).and_then(|i| settings.get_mut(i));
        *slot.ok_or(Mistake::Invalid)? = Some(value(word)?);
        empty = false;
    }
    if empty {
        return Err(Mistake::Invalid);
    }
    Ok(settings)
}

#[cfg(any(test, CONFIG_CGROUP_BC_KUNIT_TEST))]
#[cfg_attr(not(test), kernel::prelude::kunit_tests(bc_parse))]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<[Option<i64>; 2], Mistake> {
        settings(text, |name| {
            ["numproc", "numfile"].iter().position(|n| *n == name)
        })
    }

    #[test]
    fn one_line_sets_one_resource() {
        assert_eq!(parse("numfile 100\n"), Ok([None, Some(100)]));
        assert_eq!(parse("  numproc\tmax"), Ok([Some(UNLIMITED), None]));
    }

    #[test]
    fn several_lines_set_several() {
        assert_eq!(parse("numfile 1\n\nnumproc 2\n"), Ok([Some(2), Some(1)]));
        assert_eq!(parse("numfile 1\nnumfile 2\n"), Ok([None, Some(2)]));
    }

    #[test]
    fn one_bad_line_spoils_all() {
        assert_eq!(parse("numfile 1\nnumpty 2\n"), Err(Mistake::Invalid));
    }

    #[test]
    fn only_a_name_and_a_value_make_a_line() {
        for text in [
            "",
            "\n",
            "numfile",
            "100",
            "numfile 1 2",
            "numfile 1 numproc 2",
        ] {
            assert_eq!(parse(text), Err(Mistake::Invalid));
        }
    }

    #[test]
    fn only_plain_decimals_and_max_are_values() {
        for word in ["-1", "+1", "0x10", "1k", "1.5", "maximum", "MAX"] {
            assert_eq!(value(word), Err(Mistake::Invalid));
        }
    }

    #[test]
    fn a_value_beyond_the_counter_is_out_of_range() {
        assert_eq!(value("9223372036854775807"), Ok(UNLIMITED));
        assert_eq!(value("9223372036854775808"), Err(Mistake::Range));
        assert_eq!(value("99999999999999999999999"), Err(Mistake::Range));
    }
}
