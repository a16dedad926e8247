// SPDX-License-Identifier: GPL-2.0

//! The container that a command is about: a cgroup, or processes that are brought into one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::cgroup::{self, Cgroup};
use crate::failure::{Exit, Failure};

/// Names a container on the command line.
#[derive(Clone, Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub struct Target {
    /// The container: a directory of cgroup v2, or a path below its mount point.
    #[arg(value_name = "CGROUP")]
    cgroup: Option<PathBuf>,
    /// The container: this process and its descendants, which are moved into a cgroup of their own,
    /// and back when they go on.
    #[arg(long, value_name = "PID", value_parser = clap::value_parser!(i32).range(1..))]
    pid: Option<i32>,
}

/// A container that was found, or made; processes that were moved are moved back at the end.
#[derive(Debug)]
pub struct Container {
    cgroup: Cgroup,
    moved: Option<Moved>,
}

/// Where processes were before.
#[derive(Debug)]
struct Moved {
    /// Where those go that did not exist then.
    home: PathBuf,
    homes: BTreeMap<i32, PathBuf>,
}

impl Target {
    /// Finds the container, or makes it.
    ///
    /// # Errors
    ///
    /// It is not there, or this very program is in it.
    pub fn open(&self) -> Result<Container> {
        let container = match (&self.cgroup, self.pid) {
            (_, Some(pid)) => return gather(pid),
            (Some(path), None) => Container {
                cgroup: Cgroup::open(path)?,
                moved: None,
            },
            (None, None) => return Err(Failure::new(Exit::Usage, "no container is named").into()),
        };
        if container.cgroup.has_me()? {
            return Err(me(&format!("in {}", container.cgroup.name())));
        }
        Ok(container)
    }
}

impl Container {
    /// Its cgroup.
    pub fn cgroup(&self) -> &Cgroup {
        &self.cgroup
    }

    /// Whether its processes were moved into a cgroup that was made for them.
    pub fn was_moved(&self) -> bool {
        self.moved.is_some()
    }

    /// Leaves the processes where they are.
    pub fn keep(mut self) {
        self.moved = None;
    }

    /// Removes a cgroup that was made, after the processes were killed.
    ///
    /// # Errors
    ///
    /// They do not go away.
    pub fn bury(mut self) -> Result<()> {
        match self.moved.take() {
            Some(_) => self.cgroup.remove(),
            None => Ok(()),
        }
    }

    /// Moves the processes back, and removes the cgroup.
    fn put_back(&self, moved: &Moved) -> Result<()> {
        // Those that are born meanwhile are among the next.
        loop {
            let there = self.cgroup.processes()?;
            if there.is_empty() {
                return self.cgroup.remove();
            }
            for pid in there {
                let home = moved.homes.get(&pid).unwrap_or(&moved.home);
                match cgroup::enter(home, pid) {
                    Err(error) if alive(pid) => {
                        let what = format!("cannot move pid {pid} to {}", home.display());
                        return Err(error).context(what);
                    }
                    _ => {}
                }
            }
        }
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let Some(moved) = self.moved.take() else {
            return;
        };
        if let Err(error) = self.put_back(&moved) {
            eprintln!("warning: {} stays: {error:#}", self.cgroup.name());
        }
    }
}

/// Moves a process and its descendants into a new cgroup beside its own.
fn gather(pid: i32) -> Result<Container> {
    let home = Cgroup::path_of(pid)?;
    if family(pid)?.contains(&cgroup::pid_of_me()) {
        return Err(me(&format!("a descendant of pid {pid}")));
    }
    let name = format!("beanctl-{pid}");
    // The root has nothing beside it.
    let path = match home.parent() {
        Some(above) if is_cgroup(above) => above.join(&name),
        _ => home.join(&name),
    };
    let (cgroup, made) = Cgroup::ensure(&path)?;
    if !made {
        let what = format!("{} is there already", cgroup.name());
        return Err(Failure::new(Exit::Failed, what)
            .fix(format!(
                "save that cgroup itself, or remove it: rmdir {}",
                cgroup.name()
            ))
            .into());
    }
    let mut container = Container {
        cgroup,
        moved: Some(Moved {
            home,
            homes: BTreeMap::new(),
        }),
    };
    // A child of one that was moved is there already; those of the others are in the next round.
    loop {
        let there: BTreeSet<i32> = container.cgroup.processes()?.into_iter().collect();
        let outside: Vec<i32> = family(pid)?.difference(&there).copied().collect();
        if outside.is_empty() {
            return Ok(container);
        }
        for pid in outside {
            let Ok(home) = Cgroup::path_of(pid) else {
                continue;
            };
            match cgroup::enter(&path, pid) {
                Err(error) if alive(pid) => {
                    let what = format!("cannot move pid {pid} to {}", path.display());
                    return Err(error).context(what);
                }
                _ => {}
            }
            if let Some(moved) = &mut container.moved {
                moved.homes.insert(pid, home);
            }
        }
    }
}

fn is_cgroup(path: &Path) -> bool {
    path.join("cgroup.procs").exists()
}

/// A process and its descendants that live.
fn family(first: i32) -> Result<BTreeSet<i32>> {
    let mut parents = BTreeMap::new();
    for entry in fs::read_dir("/proc").context("/proc")? {
        let name = entry?.file_name();
        let pid = name.to_str().and_then(|name| name.parse::<i32>().ok());
        let Some((pid, (state, parent))) = pid.and_then(|pid| Some((pid, stat(pid)?))) else {
            continue;
        };
        if !is_dead(state) {
            parents.insert(pid, parent);
        }
    }
    let mut family = BTreeSet::new();
    if parents.contains_key(&first) {
        family.insert(first);
    }
    loop {
        let before = family.len();
        let children = parents
            .iter()
            .filter(|(_, parent)| family.contains(*parent))
            .map(|(pid, _)| *pid)
            .collect::<Vec<_>>();
        family.extend(children);
        if family.len() == before {
            return Ok(family);
        }
    }
}

fn alive(pid: i32) -> bool {
    stat(pid).is_some_and(|(state, _)| !is_dead(state))
}

fn is_dead(state: char) -> bool {
    matches!(state, 'Z' | 'X')
}

/// The state and the parent of a process.
fn stat(pid: i32) -> Option<(char, i32)> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse_stat(text: &str) -> Option<(char, i32)> {
    // The name may have anything in it.
    let (_, rest) = text.rsplit_once(") ")?;
    let mut words = rest.split(' ');
    Some((
        words.next()?.chars().next()?,
        words.next()?.parse::<i32>().ok()?,
    ))
}

fn me(how: &str) -> anyhow::Error {
    let what = format!("beanctl itself is {how}, and would suspend itself");
    Failure::new(Exit::Usage, what)
        .fix("run it from outside of the container")
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        assert_eq!(parse_stat("7 (a) R 1 (b) S 4 7 7 0"), Some(('S', 4)));
        assert_eq!(parse_stat("7 (a"), None);
    }

    #[test]
    fn a_family_has_children_and_no_dead() {
        let me = cgroup::pid_of_me();
        let mut child = std::process::Command::new("sleep")
            .arg("1000")
            .spawn()
            .unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let found = family(me).unwrap();
        child.kill().unwrap();
        assert!(found.contains(&me) && found.contains(&pid), "{found:?}");
        child.wait().unwrap();
        assert!(!family(me).unwrap().contains(&pid));
        assert_eq!(family(i32::MAX).unwrap(), BTreeSet::new());
    }
}
