// SPDX-License-Identifier: GPL-2.0

//! Locks between several runs of this tool that use the same cache.
//!
//! Whoever takes several takes them in this order, so that no two runs wait for each other: the
//! cache, the trial of faults, a base, a suite of the archive, a source tree, a build tree.

use std::fs::{self, File};

use anyhow::{Context, Result};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::exit::infrastructure;
use crate::paths;

/// The lock on the whole cache: shared by all that use it, exclusive for what empties it.
pub const CACHE: &str = "cache";

/// How often something is made again because another run changed it at once.
const ATTEMPTS: usize = 5;

/// A lock, held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Waits for the right to change what `name` stands for.
    ///
    /// # Errors
    ///
    /// The cache cannot be written.
    pub fn exclusive(name: &str) -> Result<Self> {
        Self::take(
            name,
            FlockOperation::NonBlockingLockExclusive,
            FlockOperation::LockExclusive,
        )
    }

    /// Waits for the right to read what `name` stands for.
    ///
    /// # Errors
    ///
    /// The cache cannot be written.
    pub fn shared(name: &str) -> Result<Self> {
        Self::take(
            name,
            FlockOperation::NonBlockingLockShared,
            FlockOperation::LockShared,
        )
    }

    /// The right to read what `name` stands for, unless it is being changed.
    ///
    /// # Errors
    ///
    /// The cache cannot be written.
    pub fn try_shared(name: &str) -> Result<Option<Self>> {
        let file = open(name)?;
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The right to read what `name` stands for, in the state that `look` finds good; `make` brings
    /// it there, unless someone else has done so meanwhile. An exclusive lock cannot become a shared
    /// one without a moment in between, in which another run may make something else, so there is a
    /// second look.
    ///
    /// # Errors
    ///
    /// The cache cannot be written, what the two functions say, or nothing that was made is found
    /// good (infrastructure).
    pub fn settle<T>(
        name: &str,
        mut look: impl FnMut() -> Result<Option<T>>,
        mut make: impl FnMut() -> Result<()>,
    ) -> Result<(Self, T)> {
        for _ in 0..ATTEMPTS {
            let lock = Self::shared(name)?;
            if let Some(found) = look()? {
                return Ok((lock, found));
            }
            drop(lock);
            let _lock = Self::exclusive(name)?;
            make()?;
        }
        let what = format!("{name} never stays as it was made: is something else changing it?");
        Err(infrastructure(what).into())
    }

    fn take(name: &str, at_once: FlockOperation, waiting: FlockOperation) -> Result<Self> {
        let file = open(name)?;
        match flock(&file, at_once) {
            Err(Errno::WOULDBLOCK) => {
                eprintln!("waiting for another cargo xtask (lock: {name}) ...");
                rustix::io::retry_on_intr(|| flock(&file, waiting))?;
            }
            result => result?,
        }
        Ok(Self { _file: file })
    }
}

fn open(name: &str) -> Result<File> {
    let dir = paths::cache().join("lock");
    fs::create_dir_all(&dir)
        .with_context(|| format!("cannot create the cache {}", dir.display()))?;
    let path = dir.join(name);
    File::create(&path).with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::{self, Exit};

    /// A lock of this test alone: an absolute name leaves the cache's directory.
    fn name(dir: &tempfile::TempDir) -> String {
        dir.path().join("lock").display().to_string()
    }

    fn may_change(name: &str) -> bool {
        flock(
            open(name).unwrap(),
            FlockOperation::NonBlockingLockExclusive,
        )
        .is_ok()
    }

    #[test]
    fn readers_share_and_keep_writers_out() {
        let dir = tempfile::tempdir().unwrap();
        let name = name(&dir);
        let first = Lock::shared(&name).unwrap();
        let second = Lock::try_shared(&name).unwrap();
        assert!(second.is_some());
        drop(first);
        assert!(!may_change(&name));
        drop(second);
        let writer = Lock::exclusive(&name).unwrap();
        assert!(Lock::try_shared(&name).unwrap().is_none());
        drop(writer);
        assert!(may_change(&name));
    }

    #[test]
    fn what_is_settled_was_looked_at_by_a_reader() {
        let dir = tempfile::tempdir().unwrap();
        let name = name(&dir);
        let mut made = 0;
        // Another run spoils what was made at first, before this one is a reader.
        let mut good = [false, false, true].into_iter();
        let look = || {
            let good = good.next().unwrap();
            assert_eq!(good, Lock::try_shared(&name).unwrap().is_some() && good);
            Ok(good.then_some("state"))
        };
        let make = || {
            assert!(Lock::try_shared(&name).unwrap().is_none());
            made += 1;
            Ok(())
        };
        let (lock, state) = Lock::settle(&name, look, make).unwrap();
        assert_eq!((state, made), ("state", 2));
        assert!(!may_change(&name));
        assert!(Lock::try_shared(&name).unwrap().is_some());
        drop(lock);
        assert!(may_change(&name));
    }

    #[test]
    fn what_never_becomes_good_is_given_up() {
        let dir = tempfile::tempdir().unwrap();
        let result = Lock::settle(&name(&dir), || Ok(None::<()>), || Ok(()));
        assert_eq!(exit::of(&result.unwrap_err()), Exit::Infrastructure);
    }

    #[test]
    fn what_is_good_is_not_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let name = name(&dir);
        let make = || panic!("made");
        let (_lock, ()) = Lock::settle(&name, || Ok(Some(())), make).unwrap();
    }
}
