// SPDX-License-Identifier: GPL-2.0

//! `/dev/ckpt`: a session and its calls; see `Documentation/userspace-api/ckpt.rst`.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use anyhow::{Context, Result, anyhow};
use nix::errno::Errno;
use nix::fcntl::{OFlag, SpliceFFlags, open, splice};
use nix::libc;
use nix::sys::stat::Mode;

/// The most that is spliced at once, in bytes.
const SPLICE: usize = 1 << 20;

/// How long a container may take to come to rest, in ms.
const TIMEOUT: u32 = 10_000;

#[repr(C)]
struct Suspend {
    cgroup: i32,
    timeout: u32,
    flags: u32,
    reserved: u32,
}

#[repr(C)]
struct Restore {
    image: i32,
    cgroup: i32,
    flags: u32,
    pid: i32,
}

#[repr(C)]
struct Why {
    text: u64,
    size: u32,
    length: u32,
}

#[repr(C)]
struct Write {
    fd: i32,
    flags: u32,
    bytes: u64,
}

nix::ioctl_write_ptr!(ckpt_suspend, 0xBD, 0x01, Suspend);
nix::ioctl_none!(ckpt_dump, 0xBD, 0x02);
nix::ioctl_none!(ckpt_resume, 0xBD, 0x03);
nix::ioctl_none!(ckpt_kill, 0xBD, 0x04);
nix::ioctl_readwrite!(ckpt_restore, 0xBD, 0x05, Restore);
nix::ioctl_readwrite!(ckpt_why, 0xBD, 0x06, Why);
nix::ioctl_readwrite!(ckpt_write, 0xBD, 0x08, Write);

/// An open `/dev/ckpt`.
pub struct Session(File);

impl Session {
    /// Opens one.
    ///
    /// # Errors
    ///
    /// There is no such device, or no right to use it.
    pub fn open() -> Result<Self> {
        let flags = OFlag::O_RDWR | OFlag::O_CLOEXEC;
        let fd = open("/dev/ckpt", flags, Mode::empty()).context("/dev/ckpt")?;
        Ok(Self(fd.into()))
    }

    /// Stops the container in the cgroup whose directory is open as `cgroup`.
    ///
    /// # Errors
    ///
    /// It does not come to rest, and those of the device, as for all calls.
    pub fn suspend(&self, cgroup: BorrowedFd<'_>) -> Result<()> {
        let args = Suspend {
            cgroup: cgroup.as_raw_fd(),
            timeout: TIMEOUT,
            flags: 0,
            reserved: 0,
        };
        // SAFETY: The structure is that of this call, and lives.
        self.done("suspend", unsafe { ckpt_suspend(self.fd(), &args) })
    }

    /// Begins an image of the container.
    pub fn dump(&self) -> Result<()> {
        // SAFETY: The call has no argument.
        self.done("dump", unsafe { ckpt_dump(self.fd()) })
    }

    /// Writes all of the image to a file, and returns its size in bytes.
    pub fn write_all(&self, to: BorrowedFd<'_>) -> Result<u64> {
        let mut total = 0;
        loop {
            let mut args = Write {
                fd: to.as_raw_fd(),
                flags: 0,
                bytes: 0,
            };
            // SAFETY: The structure is that of this call, and lives.
            self.done("write", unsafe { ckpt_write(self.fd(), &mut args) })?;
            if args.bytes == 0 {
                return Ok(total);
            }
            total += args.bytes;
        }
    }

    /// Splices all of the image into a pipe, and returns its size in bytes.
    pub fn splice_all(&self, to: BorrowedFd<'_>) -> Result<u64> {
        let mut total = 0;
        loop {
            let spliced = splice(&self.0, None, to, None, SPLICE, SpliceFFlags::empty());
            match spliced {
                Ok(0) => return Ok(total),
                Ok(bytes) => total += bytes as u64,
                Err(errno) => return Err(self.explain("splice", errno)),
            }
        }
    }

    /// Lets the container go on.
    pub fn resume(&self) -> Result<()> {
        // SAFETY: The call has no argument.
        self.done("resume", unsafe { ckpt_resume(self.fd()) })
    }

    /// Ends the container.
    pub fn kill(&self) -> Result<()> {
        // SAFETY: The call has no argument.
        self.done("kill", unsafe { ckpt_kill(self.fd()) })
    }

    /// Makes a suspended container from an image, in an empty cgroup, and returns its first process.
    pub fn restore(&self, image: BorrowedFd<'_>, cgroup: BorrowedFd<'_>) -> Result<i32> {
        let mut args = Restore {
            image: image.as_raw_fd(),
            cgroup: cgroup.as_raw_fd(),
            flags: 0,
            pid: 0,
        };
        // SAFETY: The structure is that of this call, and lives.
        self.done("restore", unsafe { ckpt_restore(self.fd(), &mut args) })?;
        Ok(args.pid)
    }

    fn fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }

    fn done(&self, call: &str, result: nix::Result<libc::c_int>) -> Result<()> {
        match result {
            Ok(_) => Ok(()),
            Err(errno) => Err(self.explain(call, errno)),
        }
    }

    /// What the device says about a call that has failed.
    fn explain(&self, call: &str, errno: Errno) -> anyhow::Error {
        let mut text = [0; 1024];
        let mut args = Why {
            text: text.as_mut_ptr() as u64,
            size: text.len() as u32,
            length: 0,
        };
        // SAFETY: The structure is that of this call, and lives as the buffer does.
        let explained = unsafe { ckpt_why(self.fd(), &mut args) };
        let length = explained.map_or(0, |_| text.len().min(args.length as usize));
        let text = String::from_utf8_lossy(&text[..length]);
        anyhow!("/dev/ckpt: {call}: {}: {}", errno.desc(), text.trim_end())
    }
}
