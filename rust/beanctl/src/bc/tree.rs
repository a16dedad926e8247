// SPDX-License-Identifier: GPL-2.0

//! The tree of cgroups that is looked at. For tests it may be any directory that looks like one.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::libc;

use super::keyed;
use crate::cgroup::{Cgroup, mount_point};
use crate::failure::{Exit, Failure};

/// The tree below a mount point of cgroup v2.
#[derive(Debug)]
pub struct Tree {
    top: PathBuf,
    own: PathBuf,
}

/// One cgroup.
#[derive(Clone, Debug)]
pub struct Group {
    path: PathBuf,
    name: String,
}

impl Tree {
    /// The tree that this process sees, or another one, whose top stands for its own cgroup then.
    ///
    /// # Errors
    ///
    /// cgroup v2 is not mounted.
    pub fn open(root: Option<&Path>) -> Result<Self> {
        let (top, own) = match root {
            Some(root) => (root.to_owned(), root.to_owned()),
            None => (mount_point()?, Cgroup::path_of_me()?),
        };
        Ok(Self { top, own })
    }

    /// Its top; inside a container that is the container itself.
    pub fn top(&self) -> Group {
        self.group(self.top.clone())
    }

    /// The cgroup of this process.
    pub fn own(&self) -> Group {
        self.group(self.own.clone())
    }

    /// The cgroup of this name: a path, or the part of it below the top, as it is printed.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn find(&self, name: &Path) -> Result<Group> {
        let below = self.top.join(name.strip_prefix("/").unwrap_or(name));
        let path = match name.is_absolute() && is_cgroup(name) {
            true => name.to_owned(),
            false => below,
        };
        if is_cgroup(&path) {
            return Ok(self.group(path));
        }
        let what = match path.exists() {
            true => format!("{} is no cgroup v2", path.display()),
            false => format!("there is no cgroup {}", path.display()),
        };
        let fix = format!("name a directory below {}", self.top.display());
        Err(Failure::new(Exit::Usage, what).fix(fix).into())
    }

    /// A cgroup and all below it, each before its own and in the order of their names.
    ///
    /// # Errors
    ///
    /// A directory cannot be read; those that are removed meanwhile are left out.
    pub fn below(&self, group: &Group) -> Result<Vec<Group>> {
        let mut groups = vec![group.clone()];
        let mut next = 0;
        while let Some(group) = groups.get(next) {
            next += 1;
            let mut children = group.children()?;
            children.sort();
            let children: Vec<_> = children.into_iter().map(|path| self.group(path)).collect();
            groups.splice(next..next, children);
        }
        Ok(groups)
    }

    fn group(&self, path: PathBuf) -> Group {
        let name = match path.strip_prefix(&self.top) {
            Ok(below) => format!("/{}", below.display()),
            Err(_) => path.display().to_string(),
        };
        Group { path, name }
    }

    /// Why a cgroup has no files of `bc`.
    pub fn why_without(&self, group: &Group) -> Failure {
        let name = group.printable();
        if !is_cgroup(&group.path) {
            return Failure::new(Exit::Failed, format!("{name} is gone"));
        }
        let top = self.top();
        let offered = |group: &Group| group.lists("cgroup.controllers");
        if !offered(&top) {
            return if top.is_root() {
                let what = "this kernel has no controller `bc`";
                Failure::new(Exit::Missing, what)
                    .fix("boot one with CONFIG_CGROUP_BC=y, and without cgroup_disable=bc")
            } else {
                let what = "this container was not given the controller `bc`";
                Failure::new(Exit::Missing, what).fix(
                    "outside of it, echo +bc to cgroup.subtree_control of each cgroup above it",
                )
            };
        }
        if group.is_root() {
            let what = format!("{name} is the root cgroup, which pays for nothing");
            return Failure::new(Exit::Failed, what)
                .fix("name a cgroup, or take them all with --recursive");
        }
        if group.path == top.path || offered(group) {
            let what = format!("{name} counts at the cgroup above it: it is threaded");
            return Failure::new(Exit::Failed, what).fix("name the cgroup that is its domain");
        }
        // The highest that does not hand it on is the one to begin with.
        let above = group.path.ancestors().skip(1);
        let above = above.take_while(|path| path.starts_with(&self.top));
        let closed = above.filter(|path| !self.group(path.to_path_buf()).hands_on());
        let first = closed.last().unwrap_or(&self.top);
        let fix = format!("echo +bc >{}/cgroup.subtree_control", first.display());
        Failure::new(Exit::Failed, format!("`bc` is not enabled in {name}")).fix(fix)
    }
}

impl Group {
    /// Its path below the top of the tree.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its name, for a terminal.
    pub fn printable(&self) -> String {
        crate::text::printable(&self.name)
    }

    /// One of its files, whether it is there or not.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The number that the kernel knows it by.
    pub fn id(&self) -> Option<u64> {
        fs::metadata(&self.path).ok().map(|meta| meta.ino())
    }

    /// Whether it is this one, or below it.
    pub fn is_in(&self, other: &Self) -> bool {
        self.path.starts_with(&other.path)
    }

    /// Whether there is nothing above it, also outside of what is seen.
    fn is_root(&self) -> bool {
        !self.file("cgroup.events").exists()
    }

    fn hands_on(&self) -> bool {
        self.lists("cgroup.subtree_control")
    }

    fn lists(&self, file: &str) -> bool {
        let text = fs::read_to_string(self.file(file)).unwrap_or_default();
        text.split_ascii_whitespace().any(|word| word == "bc")
    }

    /// What a file holds; nothing if it or the cgroup is not there.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn read(&self, name: &str) -> Result<Option<String>> {
        let path = self.file(name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(error).with_context(|| path.display().to_string()),
        }
    }

    /// What is wrong with a file whose contents are not understood.
    pub fn strange(&self, file: &str, line: &str) -> anyhow::Error {
        let line = crate::text::printable(line);
        let what = format!("{}: `{line}` is not understood", self.file(file).display());
        Failure::new(Exit::Failed, what).into()
    }

    /// The number under a key of a flat-keyed file, if the file and the key are there.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn number(&self, file: &str, key: &str) -> Result<Option<u64>> {
        let text = self.read(file)?;
        Ok(text.and_then(|text| keyed::number(&text, key)))
    }

    fn children(&self) -> Result<Vec<PathBuf>> {
        let context = || self.path.display().to_string();
        let entries = match fs::read_dir(&self.path) {
            Err(error) if is_gone(&error) => return Ok(Vec::new()),
            entries => entries.with_context(context)?,
        };
        let mut children = Vec::new();
        for entry in entries {
            let entry = match entry {
                Err(error) if is_gone(&error) => continue,
                entry => entry.with_context(context)?,
            };
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                children.push(entry.path());
            }
        }
        Ok(children)
    }
}

/// Whether a file is not there, or its cgroup was removed while it was open.
pub fn is_gone(error: &io::Error) -> bool {
    error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(libc::ENODEV)
}

fn is_cgroup(path: &Path) -> bool {
    path.join("cgroup.controllers").exists()
}

#[cfg(test)]
mod tests {
    use super::super::sample::Sample;
    use super::*;

    fn why(tree: &Tree, group: &Group) -> (String, Option<String>) {
        let failure = tree.why_without(group);
        (failure.what, failure.fix)
    }

    #[test]
    fn a_cgroup_is_found_by_what_it_is_called() {
        let sample = Sample::new();
        let tree = sample.tree();
        let inner = sample.path().join("shop/db");
        for name in ["shop/db", "/shop/db", inner.to_str().unwrap()] {
            assert_eq!(tree.find(Path::new(name)).unwrap().name(), "/shop/db");
        }
        assert_eq!(tree.find(Path::new("/")).unwrap().name(), "/");
        let error = tree.find(Path::new("shop/none")).unwrap_err().to_string();
        assert!(error.starts_with("there is no cgroup "), "{error}");
        let names: Vec<_> = tree.below(&tree.top()).unwrap();
        let names: Vec<_> = names.iter().map(Group::name).collect();
        assert_eq!(names, ["/", "/idle", "/shop", "/shop/db", "/shop/web"]);
    }

    #[test]
    fn where_there_is_no_bc_the_reason_is_said() {
        let sample = Sample::new();
        let tree = sample.tree();
        let root = sample.path().display().to_string();
        let (what, _) = why(&tree, &tree.top());
        assert_eq!(what, "/ is the root cgroup, which pays for nothing");

        sample.write("shop/cgroup.subtree_control", "memory\n");
        sample.write("shop/db/cgroup.controllers", "memory\n");
        let db = tree.find(Path::new("shop/db")).unwrap();
        let (what, fix) = why(&tree, &db);
        assert_eq!(what, "`bc` is not enabled in /shop/db");
        let want = format!("echo +bc >{root}/shop/cgroup.subtree_control");
        assert_eq!(fix, Some(want));
        sample.write("cgroup.subtree_control", "memory\n");
        let want = format!("echo +bc >{root}/cgroup.subtree_control");
        assert_eq!(why(&tree, &db).1, Some(want));

        sample.write("cgroup.controllers", "memory pids\n");
        assert_eq!(why(&tree, &db).0, "this kernel has no controller `bc`");
        sample.write("cgroup.events", "populated 1\n");
        let (what, _) = why(&tree, &db);
        assert_eq!(what, "this container was not given the controller `bc`");
    }
}
