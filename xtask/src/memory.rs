// SPDX-License-Identifier: GPL-2.0

//! What a command remembers of what it has done with a kernel and a program, so that the next run goes
//! on there.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::kernel;
use crate::lock::Lock;
use crate::paths;

/// A file in the cache.
pub struct Memory(PathBuf);

impl Memory {
    /// What `command` remembers of a kernel and a program, when both are the same and it goes through
    /// them in the same `way`.
    ///
    /// # Errors
    ///
    /// One of them cannot be read.
    pub fn new(command: &str, image: &Path, program: &Path, way: &str) -> Result<Self> {
        let read = |path: &Path| fs::read(path).with_context(|| path.display().to_string());
        let key = kernel::hash(&[read(image)?, read(program)?, way.into()].concat());
        Ok(Self(
            paths::cache().join(format!("proven/{command}-{key:016x}")),
        ))
    }

    /// Keeps others from doing the same at the same time.
    ///
    /// # Errors
    ///
    /// The cache cannot be written.
    pub fn lock(&self) -> Result<Lock> {
        Lock::exclusive(&self.0.file_name().unwrap_or_default().to_string_lossy())
    }

    /// What was remembered; `instead` is what to do when that cannot be understood.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or has something else.
    pub fn recall<T: DeserializeOwned>(&self, instead: &str) -> Result<Option<T>> {
        let understand = || -> Result<Option<T>> {
            match fs::read_to_string(&self.0) {
                Ok(text) => Ok(Some(serde_json::from_str(&text)?)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error.into()),
            }
        };
        understand().with_context(|| format!("{}; {instead}", self.0.display()))
    }

    /// Remembers this instead of what there was; a run that is stopped meanwhile leaves one or the other.
    ///
    /// # Errors
    ///
    /// The cache cannot be written.
    pub fn keep<T: Serialize>(&self, state: &T) -> Result<()> {
        let write = || -> Result<()> {
            let directory = self.0.parent().unwrap_or(Path::new("."));
            fs::create_dir_all(directory)?;
            let mut file = tempfile::NamedTempFile::new_in(directory)?;
            serde_json::to_writer(&mut file, state)?;
            file.persist(&self.0)?;
            Ok(())
        };
        write().with_context(|| self.0.display().to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_recalled() {
        let dir = tempfile::tempdir().unwrap();
        let memory = Memory(dir.path().join("proven/x"));
        assert_eq!(memory.recall::<Vec<u64>>("start anew").unwrap(), None);
        memory.keep(&vec![1, 2]).unwrap();
        memory.keep(&vec![3]).unwrap();
        assert_eq!(memory.recall("start anew").unwrap(), Some(vec![3]));
        let files = fs::read_dir(dir.path().join("proven")).unwrap();
        assert_eq!(files.count(), 1);
    }

    #[test]
    fn what_cannot_be_understood_says_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let memory = Memory(dir.path().join("x"));
        fs::write(dir.path().join("x"), "[1, ").unwrap();
        let error = memory.recall::<Vec<u64>>("start anew").unwrap_err();
        assert!(error.to_string().ends_with("x; start anew"), "{error}");
    }

    #[test]
    fn another_way_is_something_else() {
        let dir = tempfile::tempdir().unwrap();
        let (image, program) = (dir.path().join("image"), dir.path().join("program"));
        fs::write(&image, "i").unwrap();
        fs::write(&program, "p").unwrap();
        let of = |way: &str| Memory::new("x", &image, &program, way).unwrap().0;
        assert_eq!(of("1"), of("1"));
        assert_ne!(of("1"), of("2"));
        assert!(Memory::new("x", &dir.path().join("none"), &program, "1").is_err());
    }
}
