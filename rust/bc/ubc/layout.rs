// SPDX-License-Identifier: GPL-2.0

//! The order of rows and their columns: no kernel, so that it also runs on the developer's machine.

use core::fmt;

/// The place of a resource that OpenVZ has given up.
const DUMMY: &str = "dummy";

/// OpenVZ's resources in the order of its numbers.
const RESOURCES: [&str; 25] = [
    "kmemsize",
    "lockedpages",
    "privvmpages",
    "shmpages",
    DUMMY,
    "numproc",
    "physpages",
    "vmguarpages",
    "oomguarpages",
    "numtcpsock",
    "numflock",
    "numpty",
    "numsiginfo",
    "tcpsndbuf",
    "tcprcvbuf",
    "othersockbuf",
    "dgramrcvbuf",
    "numothersock",
    "dcachesize",
    "numfile",
    DUMMY,
    DUMMY,
    DUMMY,
    "numiptent",
    "swappages",
];

/// What is not in the older file.
const NEWER: &str = "swappages";

/// What a row is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum File {
    /// `/proc/user_beancounters`
    UserBeancounters,
    /// `/proc/bc/resources`
    Resources,
}

impl File {
    /// Whether there is a place for a resource.
    fn has(self, name: &str) -> bool {
        match self {
            File::UserBeancounters => name != NEWER,
            File::Resources => name != DUMMY,
        }
    }
}

/// Held, maxheld, barrier, limit and failcnt.
pub(crate) type Numbers = [u64; 5];

/// The first column: only the first row of a container has its id.
struct Uid(Option<u32>);

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(id) => write!(f, "{id:>9}:"),
            None => write!(f, "{:>10}", ""),
        }
    }
}

/// What stands above all rows; `line` gets each line.
pub(crate) fn header(mut line: impl FnMut(fmt::Arguments<'_>)) {
    line(format_args!("Version: 2.5\n"));
    line(format_args!(
        "{:>10}  {:<12} {:>20} {:>20} {:>20} {:>20} {:>20}\n",
        "uid", "resource", "held", "maxheld", "barrier", "limit", "failcnt",
    ));
}

/// The rows of a container; `numbers` has those of the resources that are counted, and `line` gets
/// each line.
pub(crate) fn rows(
    file: File,
    id: u32,
    numbers: impl Fn(&str) -> Option<Numbers>,
    mut line: impl FnMut(fmt::Arguments<'_>),
) {
    let mut id = Some(id);

    for name in RESOURCES.into_iter().filter(|name| file.has(name)) {
        let numbers = match name {
            // Programs know a container by its first row, and pass over dummies.
            DUMMY if id.is_some() => None,
            DUMMY => Some([0; 5]),
            name => numbers(name),
        };
        let Some([held, maxheld, barrier, limit, failcnt]) = numbers else {
            continue;
        };
        line(format_args!(
            "{}  {:<12} {:>20} {:>20} {:>20} {:>20} {:>20}\n",
            Uid(id.take()),
            name,
            held,
            maxheld,
            barrier,
            limit,
            failcnt,
        ));
    }
}
