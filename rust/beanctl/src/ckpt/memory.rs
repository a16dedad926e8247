// SPDX-License-Identifier: GPL-2.0

//! How much memory a process has, to know about how large its image will be.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;

use nix::errno::Errno;
use nix::libc::c_int;

/// The unit of `st_blocks`, in bytes.
const BLOCK: u64 = 512;

/// The memory of a process that an image has, in bytes: what is its own and what is shared without
/// a file, in memory or swapped out. It counts as 0 for one that is gone.
pub fn of(pid: i32) -> u64 {
    fs::read_to_string(format!("/proc/{pid}/status")).map_or(0, |status| parse(&status))
}

fn parse(status: &str) -> u64 {
    let fields = status.lines().filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        let counts = matches!(name, "RssAnon" | "RssShmem" | "VmSwap");
        let kib = value.trim().strip_suffix(" kB")?;
        counts.then(|| kib.parse::<u64>().ok())?
    });
    fields.sum::<u64>() << 10
}

/// The memory of an address space that is its own, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Private {
    /// All of it, but what is swapped out.
    pub all: u64,
    /// How much of that is in huge pages.
    pub huge: u64,
    /// How much there would be if those who have a page in common had a part of it each.
    pub part: u64,
    /// What is swapped out, with such parts.
    pub swap: u64,
}

/// The files without a name that processes have, with what is in them, in bytes: shared memory is
/// one, too.
pub type Nameless = BTreeMap<(u64, u64), u64>;

/// The memory of its own that a process, or `self`, has.
///
/// # Errors
///
/// It may not be seen, or the process is gone; see [`unless_gone`].
pub fn private(process: &str) -> io::Result<Private> {
    fs::read_to_string(format!("/proc/{process}/smaps_rollup")).map(|text| parse_rollup(&text))
}

/// Adds the files without a name that a process has open or mapped.
///
/// # Errors
///
/// They may not be seen.
pub fn nameless(pid: i32, found: &mut Nameless) -> io::Result<()> {
    for entries in ["fd", "map_files"] {
        let Some(entries) = unless_gone(fs::read_dir(format!("/proc/{pid}/{entries}")))? else {
            continue;
        };
        for entry in entries {
            let Some(entry) = unless_gone(entry)? else {
                break;
            };
            // Of others nothing is asked: their file systems may not answer.
            let target = unless_gone(fs::read_link(entry.path()))?;
            if !target.is_some_and(|path| path.as_os_str().as_bytes().ends_with(b" (deleted)")) {
                continue;
            }
            let Some(file) = unless_gone(fs::metadata(entry.path()))? else {
                continue;
            };
            if file.is_file() && file.nlink() == 0 {
                found.insert((file.dev(), file.ino()), file.blocks() * BLOCK);
            }
        }
    }
    Ok(())
}

/// What was asked of a process, or nothing if that is gone, or no longer has it.
///
/// # Errors
///
/// Any other one.
pub fn unless_gone<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) if error.raw_os_error() == Some(Errno::ESRCH as c_int) => Ok(None),
        Err(error) => Err(error),
    }
}

fn parse_rollup(text: &str) -> Private {
    let mut private = Private::default();
    for line in text.lines() {
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        let field = match name {
            "Anonymous" => &mut private.all,
            "AnonHugePages" => &mut private.huge,
            "Pss_Anon" => &mut private.part,
            "SwapPss" => &mut private.swap,
            _ => continue,
        };
        let kib = value.trim().strip_suffix(" kB");
        *field = kib.and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) << 10;
    }
    private
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_in_files_counts() {
        let status = "Name:\tRssAnon:\nVmRSS:\t 9 kB\nRssAnon:\t  4 kB\nRssFile:\t 7 kB\n\
                      RssShmem:\t  8 kB\nVmSwap:\t  16 kB\n";
        assert_eq!(parse(status), 28 << 10);
        assert_eq!(parse("Name:\tkthread\n"), 0);
    }

    #[test]
    fn every_process_has_some() {
        assert!(of(crate::cgroup::pid_of_me()) > 0);
        assert_eq!(of(i32::MAX), 0);
    }

    /// A family of two that has 16 MiB in common.
    const ROLLUP: &str = "\
55ae6a80d000-7ffd7c927000 ---p 00000000 00:00 0                          [rollup]
Rss:               35616 kB
Pss:               27293 kB
Pss_Dirty:         26112 kB
Pss_Anon:          26112 kB
Pss_File:           1181 kB
Pss_Shmem:             0 kB
Shared_Clean:       1448 kB
Shared_Dirty:      16384 kB
Private_Clean:        56 kB
Private_Dirty:     17920 kB
Referenced:        35616 kB
Anonymous:         34304 kB
KSM:                   0 kB
LazyFree:              0 kB
AnonHugePages:      4096 kB
ShmemPmdMapped:        0 kB
FilePmdMapped:         0 kB
Shared_Hugetlb:        0 kB
Private_Hugetlb:       0 kB
Swap:                 20 kB
SwapPss:              12 kB
Locked:                0 kB
";

    #[test]
    fn a_rollup_tells_what_is_private() {
        let private = Private {
            all: 34304 << 10,
            huge: 4 << 20,
            part: 26112 << 10,
            swap: 12 << 10,
        };
        assert_eq!(parse_rollup(ROLLUP), private);
        assert_eq!(parse_rollup("Anonymous: all\nSwap\n"), Private::default());
    }

    #[test]
    fn this_process_has_private_memory() {
        let private = private("self").unwrap();
        assert!(private.all >= private.part && private.part > 0);
    }

    #[test]
    fn a_file_that_was_deleted_counts_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, vec![1; 1 << 20]).unwrap();
        let file = fs::File::open(&path).unwrap();
        let again = file.try_clone().unwrap();
        let key = |file: &fs::File| file.metadata().map(|file| (file.dev(), file.ino()));
        let key = key(&again).unwrap();
        let me = crate::cgroup::pid_of_me();
        let mut found = Nameless::new();
        nameless(me, &mut found).unwrap();
        assert_eq!(found.get(&key), None);
        fs::remove_file(&path).unwrap();
        nameless(me, &mut found).unwrap();
        assert!(found[&key] <= 2 << 20, "{found:?}");
    }

    #[test]
    fn who_is_gone_has_nothing() {
        let gone = private(&i32::MAX.to_string());
        assert_eq!(unless_gone(gone).unwrap(), None);
        let mut found = Nameless::new();
        nameless(i32::MAX, &mut found).unwrap();
        assert!(found.is_empty());
        assert!(unless_gone::<()>(Err(ErrorKind::PermissionDenied.into())).is_err());
    }
}
