// SPDX-License-Identifier: GPL-2.0

//! What is saved and restored: a process that has written to its memory, and waits.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use nix::errno::Errno;
use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap_anonymous};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, pause, setsid};

/// Where its memory is; nothing else of a small static program is near.
const ADDRESS: usize = 1 << 40;

/// The words of a page of 4 KiB.
const WORDS: u64 = 512;

/// Which pages its memory has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Pages {
    /// Of 4 KiB.
    Small,
    /// Of 2 MiB, as far as the kernel has some.
    Huge,
}

/// A running subject, in a cgroup of its own.
pub struct Subject {
    pid: Pid,
    mib: u32,
    path: PathBuf,
    cgroup: File,
}

impl Subject {
    /// Starts one, and waits until its memory is written.
    ///
    /// # Errors
    ///
    /// The cgroup cannot be made, or the process ends.
    pub fn start(mib: u32, pages: Pages) -> Result<Self> {
        let path = Path::new("/sys/fs/cgroup/subject").to_owned();
        fs::create_dir(&path).with_context(|| path.display().to_string())?;
        let procs = path.join("cgroup.procs");
        let pages = pages.to_possible_value();
        let mut command = Command::new("/proc/self/exe");
        command
            .args(["ckpt-subject", &mib.to_string()])
            .args(pages.as_ref().map(|value| value.get_name()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let enter = move || {
            setsid()?;
            fs::write(&procs, "0")
        };
        // SAFETY: There is no other thread that could hold a lock.
        unsafe { command.pre_exec(enter) };
        // It is waited for by its number, since a restored one is no child of the standard library.
        let mut child = command.spawn().context("the subject cannot be started")?;
        let mut said = String::new();
        if let Some(mut output) = child.stdout.take() {
            output.read_to_string(&mut said)?;
        }
        ensure!(said == "ready\n", "the subject ends before it is ready");
        Ok(Self {
            // CAST: The kernel's numbers are small.
            pid: Pid::from_raw(child.id() as i32),
            mib,
            cgroup: File::open(&path)?,
            path,
        })
    }

    /// Its process.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// The memory that it has written to, in MiB.
    pub fn mib(&self) -> u32 {
        self.mib
    }

    /// The directory of its cgroup.
    pub fn cgroup(&self) -> BorrowedFd<'_> {
        self.cgroup.as_fd()
    }

    /// Ends it, and keeps its cgroup.
    ///
    /// # Errors
    ///
    /// It stays.
    pub fn end(&self) -> Result<()> {
        match kill(self.pid, Signal::SIGKILL) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(errno) => return Err(errno.into()),
        }
        match waitpid(self.pid, None) {
            Ok(_) | Err(Errno::ECHILD) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Ends it, and removes its cgroup.
    ///
    /// # Errors
    ///
    /// It stays.
    pub fn remove(self) -> Result<()> {
        self.end()?;
        fs::remove_dir(&self.path).with_context(|| self.path.display().to_string())
    }

    /// Looks at the memory of what was restored: the two ends of a page in each MiB.
    ///
    /// # Errors
    ///
    /// It is not what the subject wrote.
    pub fn check(&self) -> Result<()> {
        let memory = File::open(format!("/proc/{}/mem", self.pid))?;
        for mib in 0..u64::from(self.mib) {
            let page = (mib << 8) + mib % 256;
            for word in [0, WORDS - 1] {
                let mut bytes = [0; 8];
                let at = page * WORDS + word;
                memory.read_exact_at(&mut bytes, ADDRESS as u64 + at * 8)?;
                if u64::from_ne_bytes(bytes) != content(at) {
                    bail!("page {page} of the subject is not what it was");
                }
            }
        }
        Ok(())
    }
}

/// What a word of the memory is: never zero, and nowhere the same.
fn content(at: u64) -> u64 {
    (at + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// The subject itself: writes to `mib` MiB of memory, says so, and waits.
///
/// # Errors
///
/// There is not so much memory.
pub fn run(mib: u32, pages: Pages) -> Result<()> {
    let size = mib as usize * (1 << 20);
    // SAFETY: A new mapping, at a place that was empty.
    let memory = unsafe {
        mmap_anonymous(
            NonZeroUsize::new(ADDRESS),
            NonZeroUsize::new(size).context("a subject without memory")?,
            ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
            MapFlags::MAP_PRIVATE | MapFlags::MAP_FIXED_NOREPLACE,
        )?
    };
    let advice = match pages {
        Pages::Small => MmapAdvise::MADV_NOHUGEPAGE,
        Pages::Huge => MmapAdvise::MADV_HUGEPAGE,
    };
    // SAFETY: It is all of that mapping, and its content stays.
    unsafe { madvise(memory, size, advice)? };
    let words = memory.cast::<u64>();
    for at in 0..size / 8 {
        // SAFETY: Within that mapping, which nothing else knows.
        unsafe { words.add(at).write(content(at as u64)) };
    }

    let mut output = std::io::stdout();
    output.write_all(b"ready\n")?;
    output.flush()?;
    // A pipe could not be saved, and its end is what is waited for.
    let null = File::options().write(true).open("/dev/null")?;
    nix::unistd::dup2_stdout(&null)?;
    drop(null);
    loop {
        pause();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_neither_zero_nor_the_same() {
        let mut words: Vec<_> = (0..4 * WORDS).map(content).collect();
        assert!(!words.contains(&0));
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len() as u64, 4 * WORDS);
    }
}
