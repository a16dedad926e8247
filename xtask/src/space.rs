// SPDX-License-Identifier: GPL-2.0

//! Room on the disk: asked for before a long step, which would otherwise fail at its end, and with
//! the message of whatever could not write first.

use std::path::Path;

use anyhow::{Context, Result};
use indicatif::HumanBytes;
use rustix::fs::statvfs;

use crate::exit::{Exit, Failure};

/// Makes sure that `bytes` more can be written below `dir`, which need not exist yet.
///
/// # Errors
///
/// There is less room (skipped).
pub fn need(what: &str, dir: &Path, bytes: u64) -> Result<()> {
    let there = dir.ancestors().find(|above| above.exists());
    let there = there.unwrap_or(Path::new("/"));
    let disk = statvfs(there).with_context(|| there.display().to_string())?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free >= bytes {
        return Ok(());
    }
    let what = format!(
        "{what} needs {} of disk space, and {} has {} left",
        HumanBytes(bytes),
        dir.display(),
        HumanBytes(free)
    );
    let fix = "cargo xtask clean, or set BEANPOD_CACHE to a directory with more room";
    Err(Failure::new(Exit::Skipped, what).fix(fix).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_little_room_is_said_before_it_is_used_up() {
        let dir = tempfile::tempdir().unwrap();
        let absent = dir.path().join("a/b");
        need("a test", &absent, 0).unwrap();
        let error = need("a test", &absent, u64::MAX).unwrap_err();
        assert_eq!(crate::exit::of(&error), Exit::Skipped);
        let text = error.to_string();
        let start = format!(
            "a test needs 16.00 EiB of disk space, and {} has ",
            absent.display()
        );
        assert!(text.starts_with(&start), "{text}");
        let failure: &Failure = error.downcast_ref().unwrap();
        assert!(failure.fix.as_ref().unwrap().contains("cargo xtask clean"));
    }
}
