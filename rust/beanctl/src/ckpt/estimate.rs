// SPDX-License-Identifier: GPL-2.0

//! `beanctl ckpt check --estimate`: what saving a container will cost, told before anything is
//! stopped.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io;

use anyhow::{Context, Result};
use indicatif::HumanBytes;
use serde::Serialize;

use super::dump::metadata;
use super::memory::{self, Nameless, Private, unless_gone};
use super::plural;
use super::speed::{HUGE, SMALL, Speed};
use crate::cgroup::Cgroup;
use crate::interrupt;

/// What there is to save.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct Counts {
    processes: usize,
    threads: usize,
    /// What is a process's own, in memory, for each of them.
    private_bytes: u64,
    /// How much of that is in huge pages.
    huge_bytes: u64,
    /// How much of it is there for others, too, and saved once.
    common_bytes: u64,
    /// Shared memory and deleted files.
    shared_bytes: u64,
    /// What is a process's own, but swapped out.
    swap_bytes: u64,
}

/// What saving it will cost, about.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    #[serde(flatten)]
    counts: Counts,
    image_bytes: u64,
    /// How long the processes are stopped until all was copied.
    dump_stopped_seconds: f64,
    /// How long they are with --snapshot.
    snapshot_stopped_seconds: f64,
    /// There are huge pages, but it could not be measured what they take.
    huge_as_small: bool,
}

/// Looks at the processes of a container, and measures this machine.
///
/// # Errors
///
/// They may not be looked at, or this machine cannot be measured.
pub fn of(cgroup: &Cgroup) -> Result<Estimate> {
    let counts = count(cgroup.all_processes()?)?;
    let speed = Speed::measure(counts.huge_bytes > 0).context("cannot measure this machine")?;
    Ok(estimate(counts, &speed))
}

/// Counts what processes have. Those that end meanwhile have nothing, or what they had before.
fn count(processes: BTreeSet<i32>) -> Result<Counts> {
    let mut counts = Counts::default();
    let mut files = Nameless::new();
    let mut part = 0;
    for pid in processes {
        interrupt::check()?;
        let name = || format!("cannot see the memory of pid {pid}, as root can");
        let Some(threads) = unless_gone(threads(pid)).with_context(name)? else {
            continue;
        };
        let private = memory::private(&pid.to_string());
        let private: Private = unless_gone(private).with_context(name)?.unwrap_or_default();
        memory::nameless(pid, &mut files).with_context(name)?;
        counts.processes += 1;
        counts.threads += threads;
        counts.private_bytes += private.all;
        counts.huge_bytes += private.huge;
        counts.swap_bytes += private.swap;
        part += private.part;
    }
    counts.common_bytes = counts.private_bytes.saturating_sub(part);
    counts.shared_bytes = files.values().sum();
    Ok(counts)
}

/// How many threads a process has.
///
/// # Errors
///
/// It is gone.
pub fn threads(pid: i32) -> io::Result<usize> {
    Ok(fs::read_dir(format!("/proc/{pid}/task"))?.count())
}

/// What so much costs on a machine that is so fast.
fn estimate(counts: Counts, speed: &Speed) -> Estimate {
    let processes = counts.processes as f64;
    let pages = |bytes: u64, size: usize| bytes as f64 / size as f64;
    let once = counts.private_bytes.saturating_sub(counts.common_bytes);
    let content = once + counts.shared_bytes + counts.swap_bytes;
    let small = counts.private_bytes.saturating_sub(counts.huge_bytes) + counts.swap_bytes;
    let huge = match speed.huge {
        Some(huge) => pages(counts.huge_bytes, HUGE) * huge,
        None => pages(counts.huge_bytes, SMALL) * speed.small,
    };
    let objects = counts.threads as f64 * speed.thread + processes * speed.process;
    let spaces = processes * speed.space + pages(small, SMALL) * speed.small + huge;
    Estimate {
        counts,
        image_bytes: content + metadata(counts.processes, counts.threads),
        dump_stopped_seconds: two_digits(objects + content as f64 * speed.byte),
        snapshot_stopped_seconds: two_digits(
            objects + spaces + counts.shared_bytes as f64 * speed.byte,
        ),
        huge_as_small: counts.huge_bytes > 0 && speed.huge.is_none(),
    }
}

impl Estimate {
    /// It for people, in lines.
    ///
    /// # Errors
    ///
    /// None is known.
    pub fn text(&self) -> Result<String> {
        let counts = &self.counts;
        let tasks = plural(counts.threads, "thread", "threads");
        let mut private = HumanBytes(counts.private_bytes).to_string();
        if counts.huge_bytes > 0 {
            write!(private, ", {} in huge pages", HumanBytes(counts.huge_bytes))?;
        }
        if counts.common_bytes > 0 {
            let common = HumanBytes(counts.common_bytes);
            write!(private, ", {common} in common with others, saved once")?;
        }
        let mut swap = HumanBytes(counts.swap_bytes).to_string();
        if counts.swap_bytes > 0 {
            swap += ", which a dump has to read first: that is not in its time";
        }
        let dump = time(self.dump_stopped_seconds);
        let mut snapshot = format!("about {}", time(self.snapshot_stopped_seconds));
        if self.huge_as_small {
            snapshot += ", with huge pages taken for small ones: there was none to measure";
        }
        let lines = [
            ("processes", format!("{}, {tasks}", counts.processes)),
            ("private memory", private),
            ("shared memory", HumanBytes(counts.shared_bytes).to_string()),
            ("swapped out", swap),
            ("image", format!("about {}", size(self.image_bytes))),
            (
                "dump stops it",
                format!("about {dump}, if the image is taken as fast as by memory"),
            ),
            ("with --snapshot", snapshot),
        ];
        let mut out = "estimated, from what there is and how fast this machine is:\n".to_owned();
        for (name, value) in lines {
            writeln!(out, "  {name:<17}{value}")?;
        }
        Ok(out)
    }
}

fn time(seconds: f64) -> String {
    in_unit(seconds * 1e6, 1000.0, &["µs", "ms", "s"])
}

fn size(bytes: u64) -> String {
    in_unit(bytes as f64, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB"])
}

/// A number in the largest unit of which there is one, with two digits; each unit is so many of
/// the one before.
fn in_unit(mut number: f64, step: f64, units: &[&str]) -> String {
    let mut units = units.iter().peekable();
    while let Some(unit) = units.next() {
        let shown = two_digits(number);
        if shown < step || units.peek().is_none() {
            let places = usize::from(shown < 10.0);
            return format!("{shown:.places$} {unit}");
        }
        number /= step;
    }
    String::new()
}

fn two_digits(number: f64) -> f64 {
    format!("{number:.1e}").parse().unwrap_or(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Write as _;

    use nix::sys::memfd::{MFdFlags, memfd_create};

    const MIB: u64 = 1 << 20;

    const SPEED: Speed = Speed {
        thread: 10e-6,
        process: 40e-6,
        space: 60e-6,
        small: 20e-9,
        huge: Some(500e-9),
        byte: 1e-9,
    };

    const COUNTS: Counts = Counts {
        processes: 3,
        threads: 14,
        private_bytes: 1024 * MIB,
        huge_bytes: 512 * MIB,
        common_bytes: 256 * MIB,
        shared_bytes: 16 * MIB,
        swap_bytes: 0,
    };

    #[test]
    fn a_dump_reads_what_a_snapshot_only_maps() {
        let Estimate {
            image_bytes,
            dump_stopped_seconds,
            snapshot_stopped_seconds,
            huge_as_small,
            ..
        } = estimate(COUNTS, &SPEED);
        assert_eq!(image_bytes, 784 * MIB + metadata(3, 14));
        // 140 + 120 us of objects, and 784 MiB.
        assert_eq!(dump_stopped_seconds, 0.82);
        // Also three spaces, 131072 small pages, 256 huge ones, and 16 MiB.
        assert_eq!(snapshot_stopped_seconds, 0.02);
        assert!(!huge_as_small);
    }

    #[test]
    fn huge_pages_are_taken_for_small_ones_if_there_is_none() {
        let speed = Speed {
            huge: None,
            ..SPEED
        };
        let found = estimate(COUNTS, &speed);
        assert!(found.huge_as_small);
        // 2.6 ms more.
        assert_eq!(found.snapshot_stopped_seconds, 0.022);
        let counts = Counts {
            huge_bytes: 0,
            ..COUNTS
        };
        let found = estimate(counts, &speed);
        assert!(!found.huge_as_small);
        assert_eq!(found.snapshot_stopped_seconds, 0.022);
    }

    #[test]
    fn what_is_swapped_out_is_mapped_and_saved() {
        let counts = Counts {
            swap_bytes: 1024 * MIB,
            ..Counts::default()
        };
        let found = estimate(counts, &SPEED);
        assert_eq!(found.image_bytes, 1024 * MIB);
        assert_eq!(found.dump_stopped_seconds, 1.1);
        assert_eq!(found.snapshot_stopped_seconds, 0.0052);
    }

    #[test]
    fn nothing_costs_nothing() {
        let found = estimate(Counts::default(), &SPEED);
        assert_eq!((found.image_bytes, found.dump_stopped_seconds), (0, 0.0));
        assert!(found.text().unwrap().contains("about 0.0 µs"));
    }

    #[test]
    fn people_see_lines() {
        let text = estimate(COUNTS, &SPEED).text().unwrap();
        assert_eq!(
            text,
            "\
estimated, from what there is and how fast this machine is:
  processes        3, 14 threads
  private memory   1.00 GiB, 512.00 MiB in huge pages, 256.00 MiB in common with others, saved once
  shared memory    16.00 MiB
  swapped out      0 B
  image            about 780 MiB
  dump stops it    about 820 ms, if the image is taken as fast as by memory
  with --snapshot  about 20 ms
"
        );
    }

    #[test]
    fn machines_see_units() {
        let shown = serde_json::to_value(estimate(COUNTS, &SPEED)).unwrap();
        assert_eq!(shown["processes"], 3);
        assert_eq!(shown["huge_bytes"], 512 * MIB);
        assert_eq!(shown["dump_stopped_seconds"], 0.82);
        assert_eq!(shown["huge_as_small"], false);
    }

    #[test]
    fn two_digits_are_enough() {
        for (seconds, text) in [
            (0.0, "0.0 µs"),
            (1.24e-6, "1.2 µs"),
            (9.96e-6, "10 µs"),
            (183.4e-6, "180 µs"),
            (999.6e-6, "1.0 ms"),
            (0.0183, "18 ms"),
            (1.83, "1.8 s"),
            (1234.0, "1200 s"),
        ] {
            assert_eq!(time(seconds), text);
        }
        assert_eq!(size(192 << 10), "190 KiB");
        assert_eq!(size(7 << 30), "7.0 GiB");
    }

    #[test]
    fn who_has_ended_is_no_error() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let ended = i32::try_from(child.id()).unwrap();
        let me = crate::cgroup::pid_of_me();
        let counts = count(BTreeSet::from([me, i32::MAX])).unwrap();
        assert_eq!(counts.processes, 1);
        assert!(counts.threads > 0 && counts.private_bytes > 0);
        // It has still to be waited for.
        count(BTreeSet::from([ended])).unwrap();
        child.wait().unwrap();
        assert_eq!(count(BTreeSet::from([ended])).unwrap(), Counts::default());
    }

    #[test]
    fn memory_is_found_where_it_is() {
        let memory = vec![1_u8; 32 << 20];
        let mut shared = File::from(memfd_create(c"test", MFdFlags::empty()).unwrap());
        shared.write_all(&memory).unwrap();
        let found = count(BTreeSet::from([crate::cgroup::pid_of_me()])).unwrap();
        assert!(found.private_bytes >= 32 * MIB, "{found:?}");
        assert!(found.shared_bytes >= 32 * MIB, "{found:?}");
        drop(memory);
    }
}
