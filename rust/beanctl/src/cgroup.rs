// SPDX-License-Identifier: GPL-2.0

//! Directories of cgroup v2.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, fstatfs};
use nix::unistd::Pid;

use crate::failure::{Exit, Failure};

/// How long, and how often, the end of killed processes is waited for.
const PAUSE: Duration = Duration::from_millis(20);
const PAUSES: u32 = 500;

/// An open cgroup.
#[derive(Debug)]
pub struct Cgroup {
    path: PathBuf,
    directory: File,
}

impl Cgroup {
    /// Opens the cgroup at a path, or at one below the mount point of cgroup v2.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn open(path: &Path) -> Result<Self> {
        let path = resolve(path)?;
        let directory = File::open(&path).map_err(|error| {
            let what = format!("{}: {error}", path.display());
            Failure::new(Exit::Usage, what).fix("name a directory of cgroup v2 (systemd-cgls)")
        })?;
        let magic = fstatfs(&directory).with_context(|| path.display().to_string())?;
        if magic.filesystem_type() != CGROUP2_SUPER_MAGIC {
            let what = format!("{} is no cgroup v2", path.display());
            return Err(Failure::new(Exit::Usage, what)
                .fix("name a directory below /sys/fs/cgroup")
                .into());
        }
        Ok(Self { path, directory })
    }

    /// As [`open`](Self::open), but makes it if it is not there; true if so.
    ///
    /// # Errors
    ///
    /// It cannot be made.
    pub fn ensure(path: &Path) -> Result<(Self, bool)> {
        let path = resolve(path)?;
        let made = match fs::create_dir(&path) {
            Ok(()) => true,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => false,
            Err(error) => {
                let what = format!("cannot make {}: {error}", path.display());
                return Err(Failure::new(Exit::Failed, what)
                    .fix("the cgroup above it has to exist, and to be yours")
                    .into());
            }
        };
        match Self::open(&path) {
            Ok(cgroup) => Ok((cgroup, made)),
            Err(error) => {
                if made {
                    let _ = fs::remove_dir(&path);
                }
                Err(error)
            }
        }
    }

    /// The cgroup of a process.
    ///
    /// # Errors
    ///
    /// There is no such process.
    pub fn path_of(pid: i32) -> Result<PathBuf> {
        Self::said_by(&format!("/proc/{pid}/cgroup"), &format!("process {pid}"))
    }

    /// The cgroup of this process. Its number may be another one in `/proc` than it is here.
    ///
    /// # Errors
    ///
    /// `/proc` is not there, or it is in no cgroup v2.
    pub fn path_of_me() -> Result<PathBuf> {
        Self::said_by("/proc/self/cgroup", "this process")
    }

    fn said_by(file: &str, process: &str) -> Result<PathBuf> {
        let text = fs::read_to_string(file).map_err(|error| {
            let what = match error.kind() {
                ErrorKind::NotFound => format!("there is no {process}"),
                _ => format!("{file}: {error}"),
            };
            Failure::new(Exit::Failed, what).fix("see ps -e for the processes there are")
        })?;
        let path = text.lines().find_map(|line| line.strip_prefix("0::/"));
        let path = path.with_context(|| format!("{process} is in no cgroup v2"))?;
        Ok(mount_point()?.join(path))
    }

    /// Its path, for a text.
    pub fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// Its descriptor, open as long as this value lives.
    pub fn fd(&self) -> RawFd {
        self.directory.as_raw_fd()
    }

    /// Its processes, not those below it.
    ///
    /// # Errors
    ///
    /// It was removed.
    pub fn processes(&self) -> io::Result<Vec<i32>> {
        processes(&self.path)
    }

    /// Its processes, and those of all cgroups below it.
    ///
    /// # Errors
    ///
    /// It was removed.
    pub fn all_processes(&self) -> io::Result<BTreeSet<i32>> {
        let mut all: BTreeSet<i32> = self.processes()?.into_iter().collect();
        let mut left = vec![self.path.clone()];
        while let Some(path) = left.pop() {
            // What is removed meanwhile has none.
            for entry in fs::read_dir(path).into_iter().flatten().flatten() {
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    // The file of a threaded one cannot be read: its processes are those above it.
                    all.extend(processes(&entry.path()).unwrap_or_default());
                    left.push(entry.path());
                }
            }
        }
        Ok(all)
    }

    /// The cgroup above it.
    pub fn above(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }

    /// What one of its files says.
    ///
    /// # Errors
    ///
    /// There is no such file, or it cannot be read.
    pub fn read(&self, file: &str) -> io::Result<String> {
        fs::read_to_string(self.path.join(file))
    }

    /// Writes a line to one of its files.
    ///
    /// # Errors
    ///
    /// There is no such file, or the kernel does not take it.
    pub fn write(&self, file: &str, line: &str) -> io::Result<()> {
        write(&self.path.join(file), line)
    }

    /// Enables a controller for it, and for all beside it.
    ///
    /// # Errors
    ///
    /// The cgroup above has no such controller itself, or has processes.
    pub fn enable(&self, controller: &str) -> io::Result<()> {
        let control = self.above().join("cgroup.subtree_control");
        write(&control, &format!("+{controller}"))
    }

    /// Whether this process is in it, or below.
    ///
    /// # Errors
    ///
    /// `/proc` cannot be read.
    pub fn has_me(&self) -> Result<bool> {
        let mine = Self::path_of_me()?;
        let path = self.path.canonicalize().unwrap_or(self.path.clone());
        Ok(mine.starts_with(path))
    }

    /// Removes it when its processes, which were killed, are gone.
    ///
    /// # Errors
    ///
    /// Some are still there, or cgroups below it.
    pub fn remove(&self) -> Result<()> {
        let mut pauses = 0;
        loop {
            match fs::remove_dir(&self.path) {
                Ok(()) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
                Err(error) if error.kind() == ErrorKind::ResourceBusy && pauses < PAUSES => {
                    pauses += 1;
                    sleep(PAUSE);
                }
                Err(error) => {
                    return Err(error).with_context(|| format!("cannot remove {}", self.name()));
                }
            }
        }
    }
}

/// Moves a process.
///
/// # Errors
///
/// Either of them is gone, or the cgroup is suspended.
pub fn enter(cgroup: &Path, pid: i32) -> io::Result<()> {
    write(&cgroup.join("cgroup.procs"), &pid.to_string())
}

/// Writes a line to a file that is there, at once.
fn write(file: &Path, line: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(file)?;
    file.write_all(line.as_bytes())
}

/// This very process.
pub fn pid_of_me() -> i32 {
    Pid::this().as_raw()
}

fn processes(path: &Path) -> io::Result<Vec<i32>> {
    let text = fs::read_to_string(path.join("cgroup.procs"))?;
    Ok(text.lines().filter_map(|line| line.parse().ok()).collect())
}

fn resolve(path: &Path) -> Result<PathBuf> {
    Ok(match path.is_absolute() {
        true => path.to_owned(),
        false => mount_point()?.join(path),
    })
}

/// Where cgroup v2 is mounted.
///
/// # Errors
///
/// It is not.
pub fn mount_point() -> Result<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").context("/proc/self/mountinfo")?;
    let found = mounts.lines().find_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        (kind.split(' ').next()? == "cgroup2").then(|| mount.split(' ').nth(4))?
    });
    let Some(found) = found else {
        return Err(Failure::new(Exit::Missing, "cgroup v2 is not mounted")
            .fix("mount -t cgroup2 none /sys/fs/cgroup")
            .into());
    };
    Ok(PathBuf::from(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Cgroup {
        /// A directory that stands for one.
        pub fn sample(path: &Path) -> Self {
            Self {
                path: path.to_owned(),
                directory: File::open(path).unwrap(),
            }
        }
    }

    #[test]
    fn all_processes_are_also_those_below() {
        let dir = tempfile::tempdir().unwrap();
        let below = dir.path().join("a/b");
        fs::create_dir_all(&below).unwrap();
        fs::create_dir(dir.path().join("threaded")).unwrap();
        fs::write(dir.path().join("cgroup.procs"), "7\n").unwrap();
        fs::write(dir.path().join("a/cgroup.procs"), "").unwrap();
        fs::write(below.join("cgroup.procs"), "9\n8\n").unwrap();
        let cgroup = Cgroup::sample(dir.path());
        assert_eq!(cgroup.processes().unwrap(), [7]);
        assert_eq!(cgroup.all_processes().unwrap(), BTreeSet::from([7, 8, 9]));
        drop(dir);
        assert!(cgroup.all_processes().is_err());
    }
}
