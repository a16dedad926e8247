// SPDX-License-Identifier: GPL-2.0

//! Refusals with their causes, by the tracepoint `bc:bc_refuse`. It is enabled in an instance of its
//! own, so that what others trace is left alone.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::unistd::read;
use serde::Serialize;

use super::super::Trees;
use super::super::tree::{Group, Tree};
use super::super::value::Bound;
use super::{Reader, say, setting_name};
use crate::cgroup::pid_of_me;
use crate::{interrupt, text};

/// What stands between the place and the fields of an event. Longer than the name of a task can be,
/// so that none can pass for it.
const MARK: &str = ": bc_refuse: cgroup=";

/// What stands where the kernel had to drop events.
const LOST: &str = " EVENTS]";

/// Settings of an instance; with the first, times are those of dmesg.
const SETUP: [(&str, &str); 2] = [("trace_clock", "mono"), ("events/bc/bc_refuse/enable", "1")];

/// An instance of tracefs, removed when this goes.
#[derive(Debug)]
pub struct Instance {
    dir: PathBuf,
    pipe: Option<File>,
}

/// One refusal, as the kernel tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Refusal<'a> {
    time: &'a str,
    cgroup: u64,
    resource: &'a str,
    requested: &'a str,
    held: &'a str,
    barrier: Bound,
    limit: Bound,
    refused_by: &'a str,
    at: u64,
    comm: &'a str,
    pid: Option<u32>,
}

/// It, for machines.
#[derive(Serialize)]
struct Shown<'a> {
    time: &'a str,
    cgroup: &'a str,
    resource: &'a str,
    requested: Option<i64>,
    held: Option<i64>,
    barrier: Bound,
    limit: Bound,
    refused_by: &'a str,
    at: &'a str,
    comm: &'a str,
    pid: Option<u32>,
}

impl Instance {
    /// Makes one, in which refusals are traced.
    ///
    /// # Errors
    ///
    /// The text says why it cannot be.
    pub fn open(tracefs: &Path) -> Result<Self, String> {
        let instances = tracefs.join("instances");
        if !instances.is_dir() {
            let what = "cannot be read, or tracefs is not mounted there";
            return Err(format!("{} {what}", tracefs.display()));
        }
        let dir = instances.join(format!("beanctl-{}", pid_of_me()));
        let error = |path: &Path, error: &io::Error| format!("{}: {error}", path.display());
        // Another program of this number was killed and could not do it.
        let _ = fs::remove_dir(&dir);
        fs::create_dir(&dir).map_err(|e| error(&dir, &e))?;
        let mut instance = Self { dir, pipe: None };
        for (file, value) in SETUP {
            let path = instance.dir.join(file);
            // Made by the kernel, or not there.
            let opened = File::options().write(true).open(&path);
            opened
                .and_then(|mut file| file.write_all(value.as_bytes()))
                .map_err(|e| error(&path, &e))?;
        }
        let path = instance.dir.join("trace_pipe");
        let pipe = File::open(&path).map_err(|e| error(&path, &e))?;
        instance.pipe = Some(pipe);
        Ok(instance)
    }

    /// What has come; waits until there is something. Nothing if it is over.
    fn read(&self) -> Result<Vec<u8>> {
        let mut buffer = vec![0; 64 * 1024];
        let Some(pipe) = &self.pipe else {
            return Ok(Vec::new());
        };
        let length = interrupt::retry(|| read(pipe.as_fd(), &mut buffer));
        interrupt::check()?;
        let length = length.with_context(|| self.dir.join("trace_pipe").display().to_string())?;
        buffer.truncate(length);
        Ok(buffer)
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // While it is read it cannot be removed.
        self.pipe = None;
        if let Err(error) = fs::remove_dir(&self.dir) {
            eprintln!("error: {} stays: {error}", self.dir.display());
        }
    }
}

/// Names of cgroups, by the kernel's numbers.
struct Names<'a> {
    tree: &'a Tree,
    known: HashMap<u64, Option<Group>>,
}

impl Names<'_> {
    fn find(&mut self, id: u64) -> Result<Option<&Group>> {
        if !self.known.contains_key(&id) {
            for group in self.tree.below(&self.tree.top())? {
                if let Some(id) = group.id() {
                    self.known.insert(id, Some(group));
                }
            }
            // It is gone by now. Numbers are not used again.
            self.known.entry(id).or_insert(None);
        }
        Ok(self.known.get(&id).and_then(Option::as_ref))
    }

    fn name(&mut self, id: u64) -> Result<String> {
        let group = self.find(id)?;
        Ok(group.map_or_else(|| format!("cgroup {id}"), |group| group.name().to_owned()))
    }
}

/// Prints refusals from now on.
///
/// # Errors
///
/// The trace cannot be read, or a signal came.
pub fn follow(tree: &Tree, trees: &Trees, instance: Instance, json: bool) -> Result<()> {
    let tops = trees.tops(tree)?;
    let everywhere = trees.cgroups.is_empty();
    let mut names = Names {
        tree,
        known: HashMap::new(),
    };
    let mut rest = Vec::new();
    loop {
        let bytes = instance.read()?;
        if bytes.is_empty() {
            return Ok(());
        }
        rest.extend(bytes);
        // A line may be in two pieces.
        let Some(end) = rest.iter().rposition(|byte| *byte == b'\n') else {
            continue;
        };
        let lines: Vec<u8> = rest.drain(..=end).collect();
        for line in String::from_utf8_lossy(&lines).lines() {
            if line.ends_with(LOST) {
                eprintln!("some refusals were too many: {}", text::printable(line));
            }
            let Some(refusal) = parse(line) else { continue };
            let mut concerned = everywhere;
            for id in [refusal.cgroup, refusal.at] {
                let group = names.find(id)?;
                concerned |= group.is_some_and(|group| tops.iter().any(|top| group.is_in(top)));
            }
            if !concerned {
                continue;
            }
            let (cgroup, at) = (names.name(refusal.cgroup)?, names.name(refusal.at)?);
            let line = match json {
                true => serde_json::to_string(&refusal.shown(&cgroup, &at))?,
                false => refusal.human(&cgroup, &at),
            };
            if say(&line)? == Reader::Gone {
                return Ok(());
            }
        }
    }
}

/// Reads a line of the trace; nothing if it is about something else.
fn parse(line: &str) -> Option<Refusal<'_>> {
    let (place, rest) = line.split_once(MARK)?;
    let (_, time) = place.rsplit_once(' ')?;
    // The name of the task is its own choice, and so may have anything in it. It comes last but one.
    let (fields, task) = rest.split_once(" comm=")?;
    let (comm, pid) = task.rsplit_once(" pid=").unwrap_or((task, ""));
    let mut fields = fields.split(' ');
    let cgroup = fields.next()?.parse().ok()?;
    let mut field = |name: &str| fields.next()?.strip_prefix(name)?.strip_prefix('=');
    Some(Refusal {
        time,
        cgroup,
        resource: field("resource")?,
        requested: field("requested")?,
        held: field("held")?,
        barrier: Bound::parse(field("barrier")?)?,
        limit: Bound::parse(field("limit")?)?,
        refused_by: field("refused_by")?,
        at: {
            let at = field("at")?.parse().ok()?;
            field("level")?;
            at
        },
        comm,
        pid: pid.parse().ok(),
    })
}

impl Refusal<'_> {
    fn human(&self, cgroup: &str, at: &str) -> String {
        let (cgroup, at) = (text::printable(cgroup), text::printable(at));
        let level = match at == cgroup {
            true => String::new(),
            false => format!(" of {at}"),
        };
        let pid = self.pid.map_or(String::new(), |pid| format!("{pid} "));
        format!(
            "[{}] {cgroup}: {} refused by the {}{level} to {pid}{}: {} asked for, {} held, \
             barrier {}, limit {}",
            self.time,
            self.resource,
            setting_name(self.refused_by),
            text::printable(self.comm),
            self.requested,
            self.held,
            self.barrier,
            self.limit
        )
    }

    fn shown<'a>(&'a self, cgroup: &'a str, at: &'a str) -> Shown<'a> {
        Shown {
            time: self.time,
            cgroup,
            resource: self.resource,
            requested: self.requested.parse().ok(),
            held: self.held.parse().ok(),
            barrier: self.barrier,
            limit: self.limit,
            refused_by: self.refused_by,
            at,
            comm: self.comm,
            pid: self.pid,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LINE: &str = "             tar-4711    [000] .....    12.345678: bc_refuse: cgroup=81 \
        resource=numfile requested=1 held=100 barrier=100 limit=9223372036854775807 refused_by=high \
        at=75 level=1 comm=tar pid=4711";

    #[test]
    fn a_refusal_says_all_that_the_kernel_does() {
        let refusal = parse(LINE).unwrap();
        assert_eq!(
            refusal.human("/a/b", "/a"),
            "[12.345678] /a/b: numfile refused by the barrier of /a to 4711 tar: 1 asked for, 100 \
             held, barrier 100, limit max"
        );
        assert!(
            refusal
                .human("/a", "/a")
                .contains("by the barrier to 4711 tar: ")
        );
        let shown = serde_json::to_value(refusal.shown("/a/b", "/a")).unwrap();
        assert_eq!(
            (&shown["limit"], &shown["pid"]),
            (&"max".into(), &4711.into())
        );
        assert_eq!((refusal.cgroup, refusal.at), (81, 75));
    }

    #[test]
    fn other_lines_are_passed_over() {
        for line in [
            "",
            "# tracer: nop",
            "CPU:0 [LOST 12 EVENTS]",
            "  tar-1 [000] ..... 1.0: sched_switch: prev_comm=x",
            "  tar-1 [000] ..... 1.0: bc_refuse: cgroup=x resource=",
        ] {
            assert_eq!(parse(line), None, "{line}");
        }
    }

    #[test]
    fn without_tracefs_it_is_said_why() {
        let dir = tempfile::tempdir().unwrap();
        let why = Instance::open(dir.path()).unwrap_err();
        assert!(why.ends_with("tracefs is not mounted there"), "{why}");
        // Nor may an instance stay when the kernel has no such event.
        fs::create_dir(dir.path().join("instances")).unwrap();
        let why = Instance::open(dir.path()).unwrap_err();
        assert!(why.contains("/instances/beanctl-"), "{why}");
    }

    proptest! {
        #[test]
        fn a_task_may_be_called_anything(comm in "[^\n]{0,15}", pid in 1_u32..4_000_000) {
            let line = LINE.replace("4711", &pid.to_string()).replace("tar", &comm);
            let refusal = parse(&line).unwrap();
            prop_assert_eq!((refusal.comm, refusal.pid), (comm.as_str(), Some(pid)));
            prop_assert_eq!(refusal.cgroup, 81);
        }

        #[test]
        fn any_line_is_read(line in "\\PC*") {
            let _ = parse(&line);
        }
    }
}
