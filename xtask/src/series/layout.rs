// SPDX-License-Identifier: GPL-2.0

//! Which file of the repository is which file of the kernel tree.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use xshell::{Shell, cmd};

use crate::cmd;
use crate::exit::{Exit, Failure};

/// A directory of the repository and its place in the kernel tree.
struct Place {
    /// Below the root of the repository.
    from: &'static str,
    /// Below the root of the kernel tree.
    to: &'static str,
    /// The topic that every file here belongs to; none: whichever topic lists the file.
    topic: Option<&'static str>,
    /// What of the directory is for the kernel.
    takes: fn(&Path) -> bool,
}

/// The whole mapping, except for `patches/<topic>/files/`, which maps to the root.
const PLACES: &[Place] = &[
    Place {
        from: "rust/kernel",
        to: "rust/kernel",
        topic: None,
        takes: all,
    },
    Place {
        from: "rust/helpers",
        to: "rust/helpers",
        topic: None,
        takes: all,
    },
    Place {
        from: "rust/bc",
        to: "kernel/cgroup/bc",
        topic: Some("bc"),
        takes: kbuild,
    },
    Place {
        from: "rust/ckpt",
        to: "kernel/ckpt",
        topic: Some("ckpt"),
        takes: kbuild,
    },
    Place {
        from: "rust/image",
        to: "kernel/ckpt/image",
        topic: Some("ckpt"),
        takes: kbuild,
    },
    Place {
        from: "ktests/bc",
        to: "tools/testing/selftests/bc",
        topic: Some("bc"),
        takes: all,
    },
    Place {
        from: "ktests/ckpt",
        to: "tools/testing/selftests/ckpt",
        topic: Some("ckpt"),
        takes: all,
    },
    Place {
        from: "Documentation",
        to: "Documentation",
        topic: None,
        takes: not_toolkit,
    },
];

fn all(_: &Path) -> bool {
    true
}

/// Directories that are crates of the workspace too: only what kbuild reads.
fn kbuild(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    let suffix = path.extension().and_then(|suffix| suffix.to_str());
    !path.starts_with("tests")
        && !path.starts_with("host")
        && (matches!(name, Some("Makefile" | "Kconfig" | "Kconfig.test"))
            || matches!(suffix, Some("rs" | "c" | "h")))
}

fn not_toolkit(path: &Path) -> bool {
    !path.starts_with("toolkit")
}

/// A file of the repository that is meant for the kernel tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    /// Where it is, below the root of the repository.
    pub from: PathBuf,
    /// The topic that it belongs to by its place, if its place says so.
    pub topic: Option<String>,
}

impl Own {
    /// Its content and whether it is executable.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn read(&self, repo: &Path) -> Result<super::File> {
        super::File::read(&repo.join(&self.from))
    }
}

/// Where a file of the repository goes in the kernel tree, if anywhere.
pub fn kernel_path(from: &Path) -> Option<(PathBuf, Own)> {
    let own = |topic: Option<&str>| Own {
        from: from.to_owned(),
        topic: topic.map(str::to_owned),
    };
    if let Ok(rest) = from.strip_prefix("patches") {
        let mut parts = rest.components();
        let topic = parts.next()?.as_os_str().to_str()?;
        let path = parts.as_path().strip_prefix("files").ok()?;
        return Some((path.to_owned(), own(Some(topic))));
    }
    PLACES.iter().find_map(|place| {
        let rest = from.strip_prefix(place.from).ok()?;
        (place.takes)(rest).then(|| (Path::new(place.to).join(rest), own(place.topic)))
    })
}

/// Every file of the repository that is meant for the kernel tree, by its path there. What git
/// ignores does not count, what it does not track yet does.
///
/// # Errors
///
/// Git cannot list the repository, or two files claim one path.
pub fn own_files(repo: &Path) -> Result<BTreeMap<PathBuf, Own>> {
    let sh = Shell::new()?;
    let list = cmd::run(
        cmd!(
            sh,
            "git -C {repo} ls-files -z --cached --others --exclude-standard --deduplicate"
        )
        // A hook's index is not what the working tree holds.
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .env_remove("GIT_INDEX_FILE"),
    )
    .ok()?;
    let mut files: BTreeMap<PathBuf, Own> = BTreeMap::new();
    for from in list.split_terminator('\0').map(Path::new) {
        let Some((path, own)) = kernel_path(from) else {
            continue;
        };
        // Removed in the working tree but not in the index.
        if !repo.join(from).is_file() {
            continue;
        }
        if let Some(other) = files.insert(path.clone(), own) {
            let (from, other) = (from.display(), other.from.display());
            let what = format!(
                "{from} and {other} both claim the kernel's {}",
                path.display()
            );
            return Err(Failure::new(Exit::Findings, what).into());
        }
    }
    Ok(files)
}
