// SPDX-License-Identifier: GPL-2.0

//! How often each cgroup's own settings refused: all that can be told without the trace.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::AsFd;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::Serialize;

use super::super::tree::{Group, Tree, is_gone};
use super::super::{Trees, keyed};
use super::{Reader, say, setting_name};
use crate::{interrupt, text};

/// The file of a cgroup's own refusals.
const LOCAL: &str = "bc.events.local";

/// The file that also tells of those below it.
const ALL: &str = "bc.events";

/// How long to wait before new cgroups are looked for. A refusal is told of at once.
const PAUSE_MS: u16 = 1000;

/// How often a resource was refused in a cgroup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Count {
    /// The cgroup whose settings refused.
    pub cgroup: String,
    /// The resource.
    pub resource: String,
    /// By the barrier.
    pub high: u64,
    /// By the limit.
    pub max: u64,
}

/// The counts of all cgroups that are looked at, by cgroup and key.
#[derive(Clone, Debug, Default)]
pub struct Counts(BTreeMap<(String, String), u64>);

/// What one of them has grown by.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct News<'a> {
    cgroup: &'a str,
    resource: &'a str,
    refused_by: &'a str,
    times: u64,
    total: u64,
}

impl Counts {
    /// Reads all of them.
    ///
    /// # Errors
    ///
    /// A file cannot be read, or understood.
    pub fn read(tree: &Tree, trees: &Trees) -> Result<Self> {
        let mut counts = BTreeMap::new();
        for group in trees.groups(tree)? {
            for (key, value) in of_one(&group)? {
                counts.insert((group.name().to_owned(), key), value);
            }
        }
        Ok(Self(counts))
    }

    /// Whether no cgroup has any.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Them, in the order of the cgroups' names.
    pub fn all(&self) -> Vec<Count> {
        let mut all: Vec<Count> = Vec::new();
        for ((cgroup, key), &value) in &self.0 {
            let (resource, setting) = key.rsplit_once('.').unwrap_or((key, ""));
            // The keys of a resource are next to each other.
            if !all.last().is_some_and(|last| last.is_of(cgroup, resource)) {
                all.push(Count {
                    cgroup: cgroup.clone(),
                    resource: resource.to_owned(),
                    high: 0,
                    max: 0,
                });
            }
            let Some(count) = all.last_mut() else {
                continue;
            };
            match setting {
                "high" => count.high = value,
                "max" => count.max = value,
                _ => {}
            }
        }
        all
    }

    /// What is more than it was. A cgroup that was not there has begun with nothing.
    fn since<'a>(&'a self, before: &Self) -> Vec<News<'a>> {
        let news = self.0.iter().filter_map(|(place, &total)| {
            let before = before.0.get(place).copied().unwrap_or(0);
            // Less than before: it was removed and made again.
            let times = total.checked_sub(before).unwrap_or(total);
            let (cgroup, key) = place;
            let (resource, setting) = key.rsplit_once('.')?;
            (times > 0).then_some(News {
                cgroup,
                resource,
                refused_by: setting,
                times,
                total,
            })
        });
        news.collect()
    }
}

impl Count {
    fn is_of(&self, cgroup: &str, resource: &str) -> bool {
        self.cgroup == cgroup && self.resource == resource
    }
}

impl News<'_> {
    fn human(&self) -> String {
        let times = match self.times {
            1 => "once".to_owned(),
            times => format!("{times} times"),
        };
        format!(
            "{}: {} refused by the {} {times}, {} in all",
            text::printable(self.cgroup),
            text::printable(self.resource),
            setting_name(self.refused_by),
            self.total
        )
    }
}

/// The counts of one cgroup; none if it has no `bc`, or is gone.
fn of_one(group: &Group) -> Result<Vec<(String, u64)>> {
    let text = group.read(LOCAL)?.unwrap_or_default();
    let count = |line| {
        let (key, value) = keyed::flat(line).next()?;
        key.contains('.')
            .then_some((key.to_owned(), value.parse().ok()?))
    };
    let counts = text
        .lines()
        .map(|line| count(line).ok_or_else(|| group.strange(LOCAL, line)));
    counts.collect()
}

/// Prints what is refused from `counts` on.
///
/// # Errors
///
/// A file cannot be read, or a signal came.
pub fn follow(tree: &Tree, trees: &Trees, mut counts: Counts, json: bool) -> Result<()> {
    loop {
        // Opened and read before the counts are: what comes later wakes.
        let files = watched(tree, trees)?;
        let now = Counts::read(tree, trees)?;
        for news in now.since(&counts) {
            let line = match json {
                true => serde_json::to_string(&news)?,
                false => news.human(),
            };
            if say(&line)? == Reader::Gone {
                return Ok(());
            }
        }
        counts = now;
        interrupt::check()?;
        wait(&files)?;
        interrupt::check()?;
    }
}

/// The files that tell of all refusals: those of the highest cgroups that have one.
fn watched(tree: &Tree, trees: &Trees) -> Result<Vec<File>> {
    let mut highest: Vec<Group> = Vec::new();
    let mut files = Vec::new();
    for group in trees.groups(tree)? {
        if highest.iter().any(|above| group.is_in(above)) {
            continue;
        }
        let path = group.file(ALL);
        // A change is one since the last reading.
        let opened = File::open(&path).and_then(|file| {
            std::io::read_to_string(&file)?;
            Ok(file)
        });
        match opened {
            Ok(file) => {
                files.push(file);
                highest.push(group);
            }
            Err(error) if is_gone(&error) => {}
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        }
    }
    Ok(files)
}

/// Until one of them changes, or for a while.
fn wait(files: &[File]) -> Result<()> {
    let flags = PollFlags::POLLPRI;
    let mut fds: Vec<_> = files
        .iter()
        .map(|file| PollFd::new(file.as_fd(), flags))
        .collect();
    match poll(&mut fds, PollTimeout::from(PAUSE_MS)) {
        // The caller asks whether that was a signal to end.
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(error) => Err(error).context("poll"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::sample::Sample;
    use super::*;

    fn trees(names: &[&str]) -> Trees {
        Trees {
            cgroups: names.iter().map(Into::into).collect(),
        }
    }

    #[test]
    fn counts_are_those_of_each_level() {
        let sample = Sample::new();
        let counts = Counts::read(&sample.tree(), &trees(&["shop"])).unwrap();
        let found: Vec<_> = counts
            .all()
            .into_iter()
            .filter(|count| count.high + count.max > 0)
            .map(|count| (count.cgroup, count.resource, count.high, count.max))
            .collect();
        let want = [
            ("/shop", "numfile", 17, 0),
            ("/shop/db", "numfile", 0, 31),
            ("/shop/db", "numproc", 0, 2),
        ]
        .map(|(cgroup, resource, high, max)| (cgroup.to_owned(), resource.to_owned(), high, max));
        assert_eq!(found, want);
    }

    #[test]
    fn what_has_grown_is_news() {
        let sample = Sample::new();
        let tree = sample.tree();
        let before = Counts::read(&tree, &trees(&[])).unwrap();
        assert_eq!(before.since(&before), []);
        sample.write("shop/bc.events.local", "numfile.high 18\nnumfile.max 0\n");
        sample.cgroup("new", "");
        sample.counted("new", &["numproc 1 1 1 1 0 5"]);
        let now = Counts::read(&tree, &trees(&[])).unwrap();
        let news: Vec<_> = now.since(&before).iter().map(News::human).collect();
        assert_eq!(
            news,
            [
                "/new: numproc refused by the limit 5 times, 5 in all",
                "/shop: numfile refused by the barrier once, 18 in all"
            ]
        );
    }

    #[test]
    fn one_file_watches_a_tree() {
        let sample = Sample::new();
        let watched = |names: &[&str]| watched(&sample.tree(), &trees(names)).unwrap().len();
        assert_eq!(watched(&[]), 2);
        assert_eq!(watched(&["shop"]), 1);
        assert_eq!(watched(&["shop/db", "shop/web"]), 2);
    }
}
