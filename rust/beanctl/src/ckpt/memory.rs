// SPDX-License-Identifier: GPL-2.0

//! How much memory a process has, to know about how large its image will be.

use std::fs;

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
}
