// SPDX-License-Identifier: GPL-2.0

//! Where an image goes: a file that is there when it is complete, or something that is open.

use std::fs::{self, File};
use std::io::{self, IsTerminal, Seek};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::fcntl::{FallocateFlags, fallocate};
use tempfile::NamedTempFile;

use crate::failure::{Exit, Failure};

/// Where an image goes.
#[derive(Debug)]
pub enum Output {
    /// A file that has another name until it is complete, and is removed if it never is.
    New {
        /// It, so far.
        file: NamedTempFile,
        /// Its name then.
        path: PathBuf,
    },
    /// A pipe, a socket, a device, or what the caller has opened.
    Open {
        /// It.
        file: File,
        /// What it is called in messages.
        name: String,
    },
}

impl Output {
    /// The file of this name, or the standard output for `-`.
    ///
    /// # Errors
    ///
    /// It cannot be made, or is a terminal.
    pub fn open(path: &Path) -> Result<Self> {
        if path == Path::new("-") {
            let stdout = io::stdout();
            if stdout.is_terminal() {
                let what = "an image is nothing for a terminal";
                return Err(Failure::new(Exit::Usage, what)
                    .fix("name a file with -o FILE, or a program to read it: ... | ssh HOST ...")
                    .into());
            }
            return Ok(Self::Open {
                file: File::from(stdout.as_fd().try_clone_to_owned()?),
                name: "the standard output".to_owned(),
            });
        }
        let name = path.display().to_string();
        if fs::metadata(path).is_ok_and(|meta| !meta.is_file()) {
            let file = File::options().write(true).open(path).context(name.clone());
            return file.map(|file| Self::Open { file, name });
        }
        let above = path.parent().filter(|above| *above != Path::new(""));
        let file = tempfile::Builder::new()
            .prefix(".beanctl-")
            .tempfile_in(above.unwrap_or(Path::new(".")))
            .with_context(|| format!("cannot write {name}"))?;
        Ok(Self::New {
            file,
            path: path.to_owned(),
        })
    }

    /// What it is called in messages.
    pub fn name(&self) -> String {
        match self {
            Self::New { path, .. } => path.display().to_string(),
            Self::Open { name, .. } => name.clone(),
        }
    }

    /// Gets room for so many bytes, where that is possible, so that it need not be looked for while
    /// a container waits. What is not written to is given back at the end.
    pub fn reserve(&self, bytes: u64) {
        if let (Self::New { file, .. }, Ok(bytes)) = (self, i64::try_from(bytes)) {
            // Not every file system can; and where there is no room, less may be enough.
            let _ = fallocate(file.as_file(), FallocateFlags::empty(), 0, bytes);
        }
    }

    /// Brings what was written to the disk, where there is one, and gives it its name.
    ///
    /// # Errors
    ///
    /// The disk has failed, or is full.
    pub fn finish(self) -> Result<()> {
        let name = self.name();
        match self {
            Self::New { mut file, path } => {
                let end = file.as_file_mut().stream_position()?;
                file.as_file().set_len(end).context(name.clone())?;
                file.as_file().sync_all().context(name.clone())?;
                let file = file.persist(&path).context(name)?;
                drop(file);
                let above = path.parent().filter(|above| *above != Path::new(""));
                let above = above.unwrap_or(Path::new("."));
                File::open(above)
                    .and_then(|above| above.sync_all())
                    .with_context(|| above.display().to_string())
            }
            Self::Open { file, .. } if file.metadata().is_ok_and(|meta| meta.is_file()) => {
                file.sync_all().context(name)
            }
            Self::Open { .. } => Ok(()),
        }
    }
}

impl AsFd for Output {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::New { file, .. } => file.as_file().as_fd(),
            Self::Open { file, .. } => file.as_fd(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn a_file_is_there_when_it_is_complete() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("image");
        let names = || fs::read_dir(dir.path()).unwrap().count();
        fs::write(&path, "old").unwrap();

        let output = Output::open(&path).unwrap();
        File::from(output.as_fd().try_clone_to_owned().unwrap())
            .write_all(b"new")
            .unwrap();
        assert_eq!((fs::read(&path).unwrap(), names()), (b"old".to_vec(), 2));
        output.finish().unwrap();
        assert_eq!((fs::read(&path).unwrap(), names()), (b"new".to_vec(), 1));

        drop(Output::open(&path).unwrap());
        assert_eq!((fs::read(&path).unwrap(), names()), (b"new".to_vec(), 1));
    }

    #[test]
    fn room_that_is_not_needed_is_given_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("image");
        let output = Output::open(&path).unwrap();
        output.reserve(1 << 20);
        let mut file = File::from(output.as_fd().try_clone_to_owned().unwrap());
        assert!(file.metadata().unwrap().blocks() >= 2048);
        file.write_all(b"image").unwrap();
        output.finish().unwrap();
        let metadata = fs::metadata(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"image");
        assert!(metadata.blocks() < 2048);
    }

    #[test]
    fn a_directory_that_is_not_there_is_named() {
        let error = Output::open(Path::new("/nowhere/image")).unwrap_err();
        assert!(format!("{error:#}").contains("/nowhere/image"), "{error:#}");
    }

    #[test]
    fn what_is_no_file_is_written_to_directly() {
        let output = Output::open(Path::new("/dev/null")).unwrap();
        assert!(matches!(&output, Output::Open { name, .. } if name == "/dev/null"));
        output.finish().unwrap();
    }
}
