// SPDX-License-Identifier: GPL-2.0

//! Numbers of resources: as the kernel writes them, as people read and write them.

use std::fmt;

use indicatif::BinaryBytes;
use nix::unistd::{SysconfVar, sysconf};
use serde::{Serialize, Serializer};

use super::resource::Unit;

/// The largest number that the kernel takes; as a setting it is none at all.
const TOP: u64 = i64::MAX as u64;

/// A setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bound {
    /// What goes beyond this is refused.
    At(u64),
    /// Nothing is refused.
    Max,
}

impl Bound {
    /// A number of the kernel's.
    pub fn new(number: u64) -> Self {
        match number {
            TOP.. => Self::Max,
            number => Self::At(number),
        }
    }

    /// As an interface file has it.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "max" => Some(Self::Max),
            word => word.parse().ok().map(Self::new),
        }
    }

    /// The number, if it is one.
    pub fn number(self) -> Option<u64> {
        match self {
            Self::At(number) => Some(number),
            Self::Max => None,
        }
    }

    /// For people.
    pub fn human(self, unit: Unit) -> String {
        match self {
            Self::At(number) => human(number, unit),
            Self::Max => "max".to_owned(),
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(number) => number.fmt(f),
            Self::Max => f.write_str("max"),
        }
    }
}

impl Serialize for Bound {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::At(number) => serializer.serialize_u64(*number),
            Self::Max => serializer.serialize_str("max"),
        }
    }
}

/// How large a page is.
pub fn page() -> u64 {
    let size = sysconf(SysconfVar::PAGE_SIZE).ok().flatten();
    size.and_then(|size| u64::try_from(size).ok())
        .unwrap_or(4096)
}

/// A number for people: items as they are, memory as memory.
pub fn human(number: u64, unit: Unit) -> String {
    match unit {
        Unit::Items => number.to_string(),
        Unit::Pages => BinaryBytes(number.saturating_mul(page())).to_string(),
        Unit::Bytes => BinaryBytes(number).to_string(),
    }
}

/// Reads what a person writes for a setting: a number in the resource's own unit, memory also with
/// `K`, `M`, `G`, `T` (of bytes) or `p` (pages), or `max`.
///
/// # Errors
///
/// It is nothing of that; the text says what.
pub fn parse(word: &str, unit: Unit) -> Result<Bound, String> {
    if word == "max" {
        return Ok(Bound::Max);
    }
    let digits = word.trim_end_matches(|c: char| !c.is_ascii_digit());
    let suffix = &word[digits.len()..];
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("`{word}` is no number"));
    }
    let large = || format!("`{word}` is too large: there are 63 bits");
    let number: u64 = digits.parse().map_err(|_| large())?;
    let factor = match suffix.to_ascii_lowercase().as_str() {
        "" => None,
        "k" => Some(1 << 10),
        "m" => Some(1 << 20),
        "g" => Some(1 << 30),
        "t" => Some(1 << 40),
        "p" => Some(page()),
        _ => {
            return Err(format!(
                "`{suffix}` of `{word}` is no unit: K, M, G, T or p"
            ));
        }
    };
    let number = match (factor, unit) {
        (None, _) => number,
        (Some(_), Unit::Items) => {
            return Err(format!("`{word}` has a unit, but items have none"));
        }
        (Some(factor), unit) => {
            let bytes = number.checked_mul(factor).ok_or_else(large)?;
            match unit {
                Unit::Pages if bytes % page() != 0 => {
                    let page = page();
                    return Err(format!("`{word}` is not a number of pages of {page} bytes"));
                }
                Unit::Pages => bytes / page(),
                _ => bytes,
            }
        }
    };
    // The largest is written `max`, so that none is unlimited by mistake.
    match number {
        TOP.. => Err(large()),
        number => Ok(Bound::At(number)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn memory_has_units_and_items_have_none() {
        assert_eq!(parse("1000", Unit::Items), Ok(Bound::At(1000)));
        assert_eq!(parse("max", Unit::Items), Ok(Bound::Max));
        assert_eq!(parse("3", Unit::Pages), Ok(Bound::At(3)));
        assert_eq!(parse("3p", Unit::Pages), Ok(Bound::At(3)));
        assert_eq!(parse("2M", Unit::Pages), Ok(Bound::At((2 << 20) / page())));
        assert_eq!(parse("2P", Unit::Bytes), Ok(Bound::At(2 * page())));
        assert_eq!(parse("5k", Unit::Bytes), Ok(Bound::At(5 << 10)));
        assert_eq!(parse("1T", Unit::Bytes), Ok(Bound::At(1 << 40)));
        for (word, unit, why) in [
            ("1k", Unit::Items, "items have none"),
            ("1q", Unit::Bytes, "is no unit"),
            ("1kk", Unit::Bytes, "is no unit"),
            ("1k", Unit::Pages, "not a number of pages"),
            ("", Unit::Items, "is no number"),
            ("k", Unit::Bytes, "is no number"),
            ("-1", Unit::Items, "is no number"),
            ("+1", Unit::Items, "is no number"),
            ("1.5M", Unit::Bytes, "is no number"),
            ("9223372036854775807", Unit::Items, "too large"),
            ("99999999999999999999", Unit::Items, "too large"),
            ("9000000000G", Unit::Bytes, "too large"),
        ] {
            let error = parse(word, unit).unwrap_err();
            assert!(error.contains(why), "{word}: {error}");
        }
    }

    #[test]
    fn people_read_memory_as_memory() {
        assert_eq!(human(1234, Unit::Items), "1234");
        assert_eq!(human(1536, Unit::Bytes), "1.50 KiB");
        assert_eq!(Bound::At((3 << 20) / page()).human(Unit::Pages), "3.00 MiB");
        assert_eq!(Bound::Max.human(Unit::Pages), "max");
    }

    proptest! {
        #[test]
        fn what_the_kernel_writes_is_read(number in 0..TOP) {
            let bound = Bound::At(number);
            prop_assert_eq!(Bound::parse(&bound.to_string()), Some(bound));
            prop_assert_eq!(parse(&bound.to_string(), Unit::Items), Ok(bound));
        }

        #[test]
        fn any_word_is_read_or_refused(word in "\\PC*") {
            for unit in [Unit::Items, Unit::Pages, Unit::Bytes] {
                if let Ok(bound) = parse(&word, unit) {
                    prop_assert!(bound == Bound::Max || bound < Bound::At(TOP));
                }
            }
        }
    }
}
