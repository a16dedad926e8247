// SPDX-License-Identifier: GPL-2.0

//! Removes what can be made again.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result};
use indicatif::HumanBytes;
use serde::Serialize;

use crate::paths;

/// What was removed.
#[derive(Debug, Serialize)]
pub struct Freed {
    bytes: u64,
}

impl Freed {
    /// One line for people.
    pub fn text(&self) -> String {
        format!("freed {}", HumanBytes(self.bytes))
    }
}

/// Removes the build and composed trees, or with `all` everything that the tool ever stored. The
/// caller has the cache for itself.
///
/// # Errors
///
/// Something cannot be removed.
pub fn run(all: bool) -> Result<Freed> {
    let cache = paths::cache();
    let parts: &[&str] = if all {
        // Not the locks: another process may hold one.
        &[
            "apt",
            "base",
            "build",
            "ccache",
            "download",
            "guest",
            "logs",
            "probe.json",
            "proven",
            "tools",
            "tree",
        ]
    } else {
        &["build", "tree"]
    };
    let mut bytes = 0;
    for part in parts {
        let path = cache.join(part);
        bytes += size(&path);
        let removed = if path.is_file() {
            fs::remove_file(&path)
        } else {
            fs::remove_dir_all(&path)
        };
        match removed {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {}", path.display()));
            }
            _ => {}
        }
    }
    Ok(Freed { bytes })
}

/// The size of a file, or of all files below a directory.
fn size(path: &Path) -> u64 {
    let Ok(data) = fs::symlink_metadata(path) else {
        return 0;
    };
    if !data.is_dir() {
        return data.len();
    }
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| size(&entry.path())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_counts_files_below() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("a")).unwrap();
        fs::write(dir.path().join("a/b"), vec![1; 100_000]).unwrap();
        assert_eq!(size(dir.path()), 100_000);
        assert_eq!(size(&dir.path().join("absent")), 0);
    }
}
