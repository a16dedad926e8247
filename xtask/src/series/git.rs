// SPDX-License-Identifier: GPL-2.0

//! A throw-away git repository that holds only the files a series touches. Nothing of the user's
//! git configuration reaches it, so that it behaves the same for everyone.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use xshell::{Cmd, Shell, cmd};

use super::File;
use super::compose::Tree;
use crate::cmd::run;

/// A repository below a directory of its own.
pub struct Overlay {
    sh: Shell,
    dir: PathBuf,
}

impl Overlay {
    /// An empty repository in `dir`, which is made.
    ///
    /// # Errors
    ///
    /// The directory cannot be made or git fails.
    pub fn new(dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir)?;
        let overlay = Self {
            sh: Shell::new()?,
            dir: dir.to_owned(),
        };
        run(overlay.git(&["init", "--quiet", "--template=", "--initial-branch=series"])).ok()?;
        Ok(overlay)
    }

    /// The directory with the files.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Git in this repository with the given arguments; more may be added.
    pub fn git(&self, args: &[&str]) -> Cmd<'_> {
        let dir = &self.dir;
        let git = cmd!(self.sh, "git -C {dir} {args...}")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_DIR", self.dir.join(".git"))
            .env("GIT_WORK_TREE", &self.dir)
            .env("LC_ALL", "C")
            .env("TZ", "UTC");
        // Set when this runs inside a hook or under another tool; they would win over everything.
        [
            "GIT_INDEX_FILE",
            "GIT_OBJECT_DIRECTORY",
            "GIT_CONFIG_PARAMETERS",
            "GIT_CONFIG_COUNT",
        ]
        .into_iter()
        .fold(git, |git, name| git.env_remove(name))
    }

    /// Records all files as the state before the series.
    ///
    /// # Errors
    ///
    /// Git fails.
    pub fn commit_base(&self) -> Result<()> {
        let commit = self.git(&["commit", "--quiet", "--allow-empty", "--message=base"]);
        run(self.git(&["add", "--all", "--force"])).ok()?;
        run(Identity::nobody().applied(commit, 0)).ok()?;
        Ok(())
    }

    /// Makes the files those of `tree` and stages them; whether anything changed.
    ///
    /// # Errors
    ///
    /// A file cannot be written or git fails.
    pub fn stage(&self, tree: &Tree) -> Result<bool> {
        write_tree(&self.dir, tree)?;
        run(self.git(&["add", "--all", "--force"])).ok()?;
        let diff = run(self.git(&["diff", "--cached", "--quiet"])).output()?;
        Ok(!diff.status.success())
    }
}

/// Who a commit is by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// As in `From:`.
    pub name: String,
    /// Without the angle brackets.
    pub email: String,
}

impl Identity {
    /// For commits that nobody is going to see.
    pub fn nobody() -> Self {
        Self {
            name: "Nobody".into(),
            email: "nobody@example.invalid".into(),
        }
    }

    /// Makes a git command use this identity and date (seconds since 1970) for author and committer.
    pub fn applied<'a>(&self, git: Cmd<'a>, date: i64) -> Cmd<'a> {
        ["AUTHOR", "COMMITTER"].into_iter().fold(git, |git, role| {
            git.env(format!("GIT_{role}_NAME"), &self.name)
                .env(format!("GIT_{role}_EMAIL"), &self.email)
                .env(format!("GIT_{role}_DATE"), format!("@{date} +0000"))
        })
    }
}

/// Writes the files of `tree` below `dir`; those that are there already with this content are left.
///
/// # Errors
///
/// A file cannot be written.
pub fn write_tree(dir: &Path, tree: &Tree) -> Result<()> {
    for (path, file) in tree {
        let path = dir.join(path);
        let write = || -> std::io::Result<()> {
            if fs::read(&path).is_ok_and(|old| old == *file.content) {
                return Ok(());
            }
            fs::create_dir_all(path.parent().unwrap_or(dir))?;
            fs::write(&path, &file.content)?;
            let mode = if file.executable { 0o755 } else { 0o644 };
            fs::set_permissions(&path, fs::Permissions::from_mode(mode))
        };
        write().with_context(|| path.display().to_string())?;
    }
    Ok(())
}

/// Reads every file below `dir`, except what belongs to git.
///
/// # Errors
///
/// A file or directory cannot be read.
pub fn read_tree(dir: &Path) -> Result<Tree> {
    let mut tree = Tree::new();
    let mut left = vec![dir.to_owned()];
    while let Some(next) = left.pop() {
        for entry in fs::read_dir(&next).with_context(|| next.display().to_string())? {
            let path = entry?.path();
            if path == dir.join(".git") {
                continue;
            }
            if path.is_dir() {
                left.push(path);
                continue;
            }
            let file = File::read(&path)?;
            tree.insert(path.strip_prefix(dir)?.to_owned(), file);
        }
    }
    Ok(tree)
}
