// SPDX-License-Identifier: GPL-2.0

//! The kinds of subjects. The host knows them by the same names.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Error, Result, bail};

/// What is saved and restored, of which there is so much or so many: `16:small`, `1000:threads`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A process with memory.
    Memory {
        /// How much, in MiB.
        mib: u32,
        /// Of which pages.
        pages: Pages,
    },
    /// A process with so many threads.
    Threads(u32),
    /// So many processes: one and its children, which have most of their memory in common.
    Family(u32),
}

/// Which pages its memory has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pages {
    /// Of 4 KiB.
    Small,
    /// Of 2 MiB, as far as the kernel has some.
    Huge,
}

impl Kind {
    /// How many processes it has.
    pub fn processes(self) -> u32 {
        match self {
            Kind::Memory { .. } | Kind::Threads(_) => 1,
            Kind::Family(count) => count,
        }
    }

    /// How many threads each process has.
    pub fn threads(self) -> u32 {
        match self {
            Kind::Memory { .. } | Kind::Family(_) => 1,
            Kind::Threads(count) => count,
        }
    }

    /// The memory that each process has written to or got from its parent, in MiB.
    pub fn mib(self) -> u32 {
        match self {
            Kind::Memory { mib, .. } => mib,
            Kind::Threads(_) => 0,
            Kind::Family(_) => 1,
        }
    }

    /// Of how many pages one is looked at: at least one in each MiB, nowhere at the same place; or
    /// all, where each process has other ones of its own.
    pub fn stride(self) -> usize {
        match self {
            Kind::Memory { .. } | Kind::Threads(_) => 255,
            Kind::Family(_) => 1,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, name) = match *self {
            Kind::Memory { mib, pages } => match pages {
                Pages::Small => (mib, "small"),
                Pages::Huge => (mib, "huge"),
            },
            Kind::Threads(count) => (count, "threads"),
            Kind::Family(count) => (count, "processes"),
        };
        write!(f, "{count}:{name}")
    }
}

impl FromStr for Kind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (count, name) = text.split_once(':').context("a count, a colon, a name")?;
        let count = match count.parse()? {
            count @ 1..=65_536 => count,
            count => bail!("{count} of them cannot be had"),
        };
        Ok(match name {
            "small" => Kind::Memory {
                mib: count,
                pages: Pages::Small,
            },
            "huge" => Kind::Memory {
                mib: count,
                pages: Pages::Huge,
            },
            "threads" => Kind::Threads(count),
            "processes" => Kind::Family(count),
            _ => bail!("there are small, huge, threads and processes"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_read_as_it_is_written() {
        for text in ["16:small", "1:huge", "1000:threads", "200:processes"] {
            let kind: Kind = text.parse().unwrap();
            assert_eq!(kind.to_string(), text);
        }
        let huge = "2:huge".parse::<Kind>().unwrap();
        let pages = Pages::Huge;
        assert_eq!(huge, Kind::Memory { mib: 2, pages });
    }

    #[test]
    fn what_is_no_kind_is_refused() {
        for text in [
            "16",
            "small",
            "0:small",
            "-1:small",
            "65537:threads",
            "2:pages",
        ] {
            assert!(text.parse::<Kind>().is_err(), "{text}");
        }
    }

    #[test]
    fn one_process_has_the_threads_and_a_family_the_processes() {
        let shape = |text: &str| {
            let kind: Kind = text.parse().unwrap();
            (kind.processes(), kind.threads(), kind.mib())
        };
        assert_eq!(shape("16:huge"), (1, 1, 16));
        assert_eq!(shape("1000:threads"), (1, 1000, 0));
        assert_eq!(shape("200:processes"), (200, 1, 1));
    }
}
