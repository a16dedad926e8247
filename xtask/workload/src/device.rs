// SPDX-License-Identifier: GPL-2.0

//! `/dev/ckpt`; see Documentation/userspace-api/ckpt.rst.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::fcntl::{SpliceFFlags, splice};
use nix::unistd::Pid;
use thiserror::Error;

/// How long a container may take to come to rest, in milliseconds.
const TIMEOUT: u32 = 60_000;

/// The most that is spliced at once, in bytes.
const SPLICE: usize = 1 << 20;

/// `struct ckpt_suspend`
#[repr(C)]
struct Suspend {
    cgroup: i32,
    timeout: u32,
    flags: u32,
    reserved: u32,
}

impl Suspend {
    fn of(cgroup: BorrowedFd<'_>) -> Self {
        Self {
            cgroup: cgroup.as_raw_fd(),
            timeout: TIMEOUT,
            flags: 0,
            reserved: 0,
        }
    }
}

/// `struct ckpt_restore`
#[repr(C)]
struct Restore {
    image: i32,
    cgroup: i32,
    flags: u32,
    pid: i32,
}

/// `struct ckpt_why`
#[repr(C)]
struct Why {
    text: u64,
    size: u32,
    length: u32,
}

/// `struct ckpt_write`
#[repr(C)]
struct Write {
    fd: i32,
    flags: u32,
    bytes: u64,
}

/// The calls of the device.
mod call {
    nix::ioctl_write_ptr!(suspend, 0xbd, 1, super::Suspend);
    nix::ioctl_none!(dump, 0xbd, 2);
    nix::ioctl_none!(resume, 0xbd, 3);
    nix::ioctl_none!(kill, 0xbd, 4);
    nix::ioctl_readwrite!(restore, 0xbd, 5, super::Restore);
    nix::ioctl_readwrite!(why, 0xbd, 6, super::Why);
    nix::ioctl_readwrite!(write, 0xbd, 8, super::Write);
    nix::ioctl_write_ptr!(snapshot, 0xbd, 10, super::Suspend);
}

/// A call that failed.
#[derive(Debug, Error)]
#[error("{verb}: {errno}\n{why}")]
pub struct Failed {
    /// Which one.
    pub verb: &'static str,
    /// What it returned.
    pub errno: Errno,
    /// The explanation, in lines.
    pub why: String,
}

/// One open of the device.
pub struct Session(File);

impl Session {
    /// Opens the device.
    ///
    /// # Errors
    ///
    /// There is none in this kernel.
    pub fn open() -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/ckpt")?;
        Ok(Self(file))
    }

    /// Stops a container.
    ///
    /// # Errors
    ///
    /// The kernel refuses, or a task does not come to rest.
    pub fn suspend(&self, cgroup: BorrowedFd<'_>) -> Result<(), Failed> {
        let arg = Suspend::of(cgroup);
        // SAFETY: It is what the call reads.
        let ret = unsafe { call::suspend(self.0.as_raw_fd(), &arg) };
        self.checked("suspend", ret).map(drop)
    }

    /// Begins an image of a container, which is stopped only meanwhile.
    ///
    /// # Errors
    ///
    /// The kernel refuses, or a task does not come to rest.
    pub fn snapshot(&self, cgroup: BorrowedFd<'_>) -> Result<(), Failed> {
        let arg = Suspend::of(cgroup);
        // SAFETY: It is what the call reads.
        let ret = unsafe { call::snapshot(self.0.as_raw_fd(), &arg) };
        self.checked("snapshot", ret).map(drop)
    }

    /// Begins an image of the suspended container.
    ///
    /// # Errors
    ///
    /// The kernel refuses.
    pub fn begin(&self) -> Result<(), Failed> {
        // SAFETY: The call has no argument.
        let ret = unsafe { call::dump(self.0.as_raw_fd()) };
        self.checked("dump", ret).map(drop)
    }

    /// Lets the kernel write all of an image that was begun, and returns its size in bytes.
    ///
    /// # Errors
    ///
    /// The image cannot be written.
    pub fn write(&self, image: BorrowedFd<'_>) -> Result<u64, Failed> {
        let mut total = 0;
        loop {
            let mut arg = Write {
                fd: image.as_raw_fd(),
                flags: 0,
                bytes: u64::MAX,
            };
            // SAFETY: It is what the call reads and writes.
            let ret = unsafe { call::write(self.0.as_raw_fd(), &mut arg) };
            self.checked("write", ret)?;
            match arg.bytes {
                0 => return Ok(total),
                bytes => total += bytes,
            }
        }
    }

    /// Passes all of an image that was begun to a pipe, and returns its size in bytes.
    ///
    /// # Errors
    ///
    /// Nobody reads.
    pub fn splice(&self, pipe: BorrowedFd<'_>) -> Result<u64, Failed> {
        let mut total = 0;
        loop {
            let ret = splice(&self.0, None, pipe, None, SPLICE, SpliceFFlags::empty());
            match self.checked("splice", ret)? {
                0 => return Ok(total),
                bytes => total += bytes as u64,
            }
        }
    }

    /// Saves the suspended container.
    ///
    /// # Errors
    ///
    /// The kernel refuses, or the image cannot be written.
    pub fn dump(&mut self, image: &mut File) -> Result<(), Failed> {
        self.begin()?;
        self.read(image)
    }

    /// Reads all of an image that was begun.
    ///
    /// # Errors
    ///
    /// The image cannot be written.
    pub fn read(&mut self, image: &mut File) -> Result<(), Failed> {
        let errno = |error: io::Error| Errno::from_raw(error.raw_os_error().unwrap_or(0));
        let copied = io::copy(&mut self.0, image).map_err(errno);
        self.checked("read", copied).map(drop)
    }

    /// Ends the suspended container.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn kill(&self) -> Result<(), Failed> {
        // SAFETY: The call has no argument.
        let ret = unsafe { call::kill(self.0.as_raw_fd()) };
        self.checked("kill", ret).map(drop)
    }

    /// Makes a suspended container from an image; returns its first process.
    ///
    /// # Errors
    ///
    /// The kernel refuses.
    pub fn restore(&self, image: &File, cgroup: BorrowedFd<'_>) -> Result<Pid, Failed> {
        let mut arg = Restore {
            image: image.as_raw_fd(),
            cgroup: cgroup.as_raw_fd(),
            flags: 0,
            pid: 0,
        };
        // SAFETY: It is what the call reads and writes.
        let ret = unsafe { call::restore(self.0.as_raw_fd(), &mut arg) };
        self.checked("restore", ret)?;
        Ok(Pid::from_raw(arg.pid))
    }

    /// Lets the suspended container go on.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn resume(&self) -> Result<(), Failed> {
        // SAFETY: The call has no argument.
        let ret = unsafe { call::resume(self.0.as_raw_fd()) };
        self.checked("resume", ret).map(drop)
    }

    fn checked<T>(&self, verb: &'static str, ret: nix::Result<T>) -> Result<T, Failed> {
        ret.map_err(|errno| Failed {
            verb,
            errno,
            why: self.why(),
        })
    }

    /// What the kernel says about the last call.
    fn why(&self) -> String {
        let mut text = vec![0; 64 << 10];
        let mut arg = Why {
            text: text.as_mut_ptr() as u64,
            size: text.len() as u32,
            length: 0,
        };
        // SAFETY: It is what the call reads and writes, and the buffer is as large as it says.
        if unsafe { call::why(self.0.as_raw_fd(), &mut arg) }.is_err() {
            return String::new();
        }
        text.truncate(arg.length as usize);
        String::from_utf8_lossy(&text).into_owned()
    }
}
