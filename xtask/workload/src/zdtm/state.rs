// SPDX-License-Identifier: GPL-2.0

//! What the kernel shows of processes, as far as it must not change by being saved and restored.
//!
//! Numbers that the kernel gives by itself (of pipes, sockets, devices) are replaced by how many
//! others came before, so that it is still seen what is shared. Neighbouring mappings of the same
//! kind count as one: whether the kernel merges them depends on how they came about. A deleted
//! file has no name.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::{fmt, fs};

use anyhow::{Context, Result, bail};
use nix::fcntl::OFlag;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::cgroup::Cgroup;

/// The lines of `/proc/PID/status` that stay.
const STATUS: [&str; 18] = [
    "Name",
    "Umask",
    "PPid",
    "Uid",
    "Gid",
    "Groups",
    "NSpgid",
    "NSsid",
    "Threads",
    "SigPnd",
    "ShdPnd",
    "SigBlk",
    "SigIgn",
    "SigCgt",
    "CapEff",
    "CapBnd",
    "NoNewPrivs",
    "Seccomp",
];

/// The lines of `/proc/PID/fdinfo/FD` that stay.
const FDINFO: [&str; 3] = ["pos", "flags", "eventfd-count"];

/// The files of `/proc/PID` that stay as they are.
const FILES: [&str; 8] = [
    "cmdline",
    "coredump_filter",
    "environ",
    "limits",
    "loginuid",
    "oom_score_adj",
    "personality",
    "timerslack_ns",
];

/// One line for each fact.
pub struct State(BTreeSet<String>);

impl State {
    /// That of all processes of a cgroup, which run, or do not.
    ///
    /// # Errors
    ///
    /// One of them ends meanwhile.
    pub fn of(cgroup: &Cgroup, run: bool) -> Result<Self> {
        let mut lines = BTreeSet::new();
        let mut numbers = Numbers::default();
        for pid in cgroup.pids()? {
            let facts = facts(pid, run, &mut numbers).with_context(|| format!("process {pid}"))?;
            lines.extend(facts.iter().map(|fact| format!("process {pid} {fact}")));
        }
        Ok(Self(lines))
    }

    /// What is in only one of both, in lines.
    pub fn differences(&self, after: &Self) -> Vec<String> {
        let lost = self.0.difference(&after.0);
        let lost = lost.map(|fact| format!("lost: {fact}"));
        let new = after.0.difference(&self.0);
        let new = new.map(|fact| format!("new: {fact}"));
        lost.chain(new).collect()
    }
}

/// A line of signals that wait, without those of interval timers, which go on meanwhile.
fn without_timers(line: String) -> String {
    const TIMERS: [Signal; 3] = [Signal::SIGALRM, Signal::SIGVTALRM, Signal::SIGPROF];

    let Some((name, set)) = line.split_once(':') else {
        return line;
    };
    match (name, u64::from_str_radix(set.trim(), 16)) {
        ("SigPnd" | "ShdPnd", Ok(set)) => {
            let timers = TIMERS.iter().map(|signal| 1 << (*signal as u32 - 1));
            let timers: u64 = timers.sum();
            format!("{name}: {:016x}", set & !timers)
        }
        _ => line,
    }
}

/// All that is compared of one process.
fn facts(pid: Pid, run: bool, numbers: &mut Numbers) -> Result<Vec<String>> {
    let dir = Path::new("/proc").join(pid.to_string());
    let status = kept(&fs::read_to_string(dir.join("status"))?, &STATUS);
    let mut facts: Vec<_> = status.into_iter().map(without_timers).collect();
    for link in ["cwd", "root", "exe"] {
        // A zombie has none of them.
        if let Ok(target) = fs::read_link(dir.join(link)) {
            facts.push(format!(
                "{link} {}",
                numbers.replace(&target.to_string_lossy())
            ));
        }
    }
    // Those that ended and were not waited for are in no cgroup any more.
    for task in fs::read_dir(dir.join("task"))? {
        let children = fs::read_to_string(task?.path().join("children"))?;
        facts.extend(
            children
                .split_whitespace()
                .map(|pid| format!("child {pid}")),
        );
    }
    // Not every kernel has all of them, and which it has does not change.
    for file in FILES {
        for part in parts(&fs::read(dir.join(file)).unwrap_or_default()) {
            facts.push(format!("{file} {part}"));
        }
    }
    let auxv = fs::read(dir.join("auxv")).unwrap_or_default();
    facts.extend(auxv.chunks(16).map(|entry| format!("auxv {entry:02x?}")));
    let mut fds: Vec<u32> = Vec::new();
    for entry in fs::read_dir(dir.join("fd"))? {
        fds.push(entry?.file_name().to_string_lossy().parse()?);
    }
    fds.sort_unstable();
    for fd in fds {
        let target = fs::read_link(dir.join(format!("fd/{fd}")))?;
        let info = fs::read_to_string(dir.join(format!("fdinfo/{fd}")))?;
        let mut info = kept(&info, &FDINFO);
        // A test may write to its log between this look and being saved.
        if run && info.iter().any(|line| only_appends(line)) {
            info.retain(|line| !line.starts_with("pos: "));
        }
        facts.push(format!(
            "fd {fd} {} {}",
            numbers.replace(&target.to_string_lossy()),
            info.join(" ")
        ));
    }
    let maps = fs::read_to_string(dir.join("maps"))?;
    facts.extend(mappings(&maps)?.iter().map(Mapping::to_string));
    Ok(facts)
}

/// Whether a line of `/proc/PID/fdinfo/FD` has the flags of a file that is only written, at its end.
fn only_appends(line: &str) -> bool {
    let flags = line.strip_prefix("flags: ");
    let flags = flags.and_then(|flags| i32::from_str_radix(flags, 8).ok());
    let flags = flags.map(OFlag::from_bits_truncate);
    flags.is_some_and(|flags| {
        flags.contains(OFlag::O_APPEND) && flags & OFlag::O_ACCMODE == OFlag::O_WRONLY
    })
}

/// The lines with these keys, with a single space in place of any white space.
fn kept(text: &str, keys: &[&str]) -> Vec<String> {
    let lines = text.lines().filter(|line| {
        line.split_once(':')
            .is_some_and(|(key, _)| keys.contains(&key))
    });
    lines
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

/// The lines of a text, or the strings that it consists of, if each ends with a zero.
fn parts(text: &[u8]) -> Vec<String> {
    let end = if text.contains(&0) { 0 } else { b'\n' };
    let parts = text.split(|&byte| byte == end);
    parts
        .filter(|part| !part.is_empty())
        .map(|part| String::from_utf8_lossy(part).escape_debug().to_string())
        .collect()
}

/// The kernel's numbers of what has no name, in the order of their first appearance.
#[derive(Default)]
struct Numbers(HashMap<String, usize>);

impl Numbers {
    /// The target of a link: `pipe:[4711]` becomes `pipe:[0]`, a deleted file loses its name.
    fn replace(&mut self, target: &str) -> String {
        if let Some(kind) = target
            .strip_suffix(']')
            .and_then(|rest| rest.split_once(":["))
            .filter(|(_, number)| number.bytes().all(|byte| byte.is_ascii_digit()))
            .map(|(kind, _)| kind)
        {
            let next = self.0.len();
            let number = self.0.entry(target.to_owned()).or_insert(next);
            return format!("{kind}:[{number}]");
        }
        name(target).to_owned()
    }
}

/// A path; that of a deleted file is how it happened to be called, and no part of what it is.
fn name(path: &str) -> &str {
    match path.strip_suffix(" (deleted)") {
        Some(_) => "(deleted)",
        None => path,
    }
}

/// A mapping of memory.
#[derive(Debug, PartialEq, Eq)]
struct Mapping {
    start: u64,
    end: u64,
    permissions: String,
    offset: u64,
    device: String,
    inode: String,
    name: String,
}

impl Mapping {
    /// Reads a line of `/proc/PID/maps`.
    fn read(line: &str) -> Option<Self> {
        let mut words = line.splitn(6, ' ');
        let (start, end) = words.next()?.split_once('-')?;
        Some(Self {
            start: u64::from_str_radix(start, 16).ok()?,
            end: u64::from_str_radix(end, 16).ok()?,
            permissions: words.next()?.to_owned(),
            offset: u64::from_str_radix(words.next()?, 16).ok()?,
            device: words.next()?.to_owned(),
            inode: words.next()?.to_owned(),
            name: name(words.next().unwrap_or_default().trim()).to_owned(),
        })
    }

    /// Whether it goes on where the other ends.
    fn continues(&self, other: &Self) -> bool {
        let same = |mapping: &Self| {
            let Self {
                permissions,
                device,
                inode,
                name,
                ..
            } = mapping;
            [permissions, device, inode, name].map(String::clone)
        };
        let offset = match self.inode.as_str() {
            "0" => 0,
            _ => other.offset + (other.end - other.start),
        };
        self.start == other.end && same(self) == same(other) && self.offset == offset
    }
}

impl fmt::Display for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            start,
            end,
            permissions,
            offset,
            name,
            ..
        } = self;
        write!(f, "map {start:x}-{end:x} {permissions} {offset:x} {name}")
    }
}

/// The mappings of a process, neighbours of the same kind together.
fn mappings(maps: &str) -> Result<Vec<Mapping>> {
    let mut mappings: Vec<Mapping> = Vec::new();
    for line in maps.lines() {
        let Some(next) = Mapping::read(line) else {
            bail!("no mapping: {line}");
        };
        match mappings.last_mut() {
            Some(last) if next.continues(last) => last.end = next.end,
            _ => mappings.push(next),
        }
    }
    Ok(mappings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn maps(text: &str) -> Vec<String> {
        mappings(text)
            .unwrap()
            .iter()
            .map(Mapping::to_string)
            .collect()
    }

    #[test]
    fn neighbours_of_the_same_kind_are_one() {
        let text = "1000-2000 rw-p 00000000 00:00 0 \n2000-3000 rw-p 00000000 00:00 0 \n\
             3000-4000 r--p 00000000 00:00 0 \n5000-6000 r--p 00000000 00:00 0 \n";
        let expected = [
            "map 1000-3000 rw-p 0 ",
            "map 3000-4000 r--p 0 ",
            "map 5000-6000 r--p 0 ",
        ];
        assert_eq!(maps(text), expected);
    }

    #[test]
    fn of_a_file_only_what_follows_in_it_too() {
        let text = "1000-2000 r--p 00000000 00:15 7                      /a b\n\
             2000-3000 r--p 00001000 00:15 7                      /a b\n\
             3000-4000 r--p 00000000 00:15 7                      /a b\n";
        assert_eq!(
            maps(text),
            ["map 1000-3000 r--p 0 /a b", "map 3000-4000 r--p 0 /a b"]
        );
    }

    #[test]
    fn deleted_files_have_no_name() {
        let text = "1000-2000 rw-s 00000000 00:01 9        /dev/zero (deleted)\n";
        assert_eq!(maps(text), ["map 1000-2000 rw-s 0 (deleted)"]);
        assert!(mappings("what\n").is_err());
    }

    #[test]
    fn what_is_shared_is_seen_whatever_its_number() {
        let replace = |targets: &[&str]| {
            let mut numbers = Numbers::default();
            targets
                .iter()
                .map(|target| numbers.replace(target))
                .collect::<Vec<_>>()
        };
        let before = replace(&[
            "pipe:[70]",
            "pipe:[71]",
            "pipe:[70]",
            "anon_inode:[eventfd]",
        ]);
        let expected = ["pipe:[0]", "pipe:[1]", "pipe:[0]", "anon_inode:[eventfd]"];
        assert_eq!(before, expected);
        assert_eq!(
            before,
            replace(&["pipe:[5]", "pipe:[3]", "pipe:[5]", "anon_inode:[eventfd]"])
        );
        assert_ne!(
            before,
            replace(&["pipe:[5]", "pipe:[3]", "pipe:[3]", "anon_inode:[eventfd]"])
        );
    }

    #[test]
    fn only_what_stays_is_kept() {
        let text = "pos:\t12\nflags:\t0100002\nmnt_id:\t25\n";
        assert_eq!(kept(text, &FDINFO), ["pos: 12", "flags: 0100002"]);
    }

    #[test]
    fn where_a_log_ends_is_told_by_its_flags() {
        assert!(only_appends("flags: 0102001"));
        for other in [
            "flags: 0100001",
            "flags: 0102002",
            "pos: 0102001",
            "flags: x",
        ] {
            assert!(!only_appends(other), "{other}");
        }
    }

    #[test]
    fn files_have_lines_or_strings() {
        assert_eq!(parts(b"a=1\nb=2\0c\0"), ["a=1\\nb=2", "c"]);
        assert_eq!(parts(b"a 1\nb 2\n"), ["a 1", "b 2"]);
        assert!(parts(b"").is_empty());
    }

    #[test]
    fn differences_have_a_side() {
        let state = |facts: &[&str]| State(facts.iter().map(|&fact| fact.to_owned()).collect());
        let found = state(&["a", "b"]).differences(&state(&["b", "c"]));
        assert_eq!(found, ["lost: a", "new: c"]);
        assert!(state(&["a"]).differences(&state(&["a"])).is_empty());
    }

    #[test]
    fn timers_go_on() {
        let line = |text: &str| without_timers(text.to_owned());
        assert_eq!(
            line("ShdPnd:\t0000000006002001"),
            "ShdPnd: 0000000000000001"
        );
        assert_eq!(
            line("SigBlk:\t0000000000002000"),
            "SigBlk:\t0000000000002000"
        );
    }
}
