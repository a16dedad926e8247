// SPDX-License-Identifier: GPL-2.0

//! Operations and what they cost. Under `-icount shift=0` a nanosecond of the guest is one instruction.

use std::ffi::c_void;
use std::fs;
use std::io::{Read, Write};
use std::mem;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::num::NonZero;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;
use std::ptr::{self, NonNull};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::libc;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mlock, mmap_anonymous, munlock, munmap};
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, setsockopt, socket, sockopt};
use nix::sys::stat::Mode;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork, getpid, getppid, pipe};

use crate::clock::now;

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Operation {
    /// Nothing of interest: shows what the measurement itself varies by.
    Getppid,
    /// open() and close().
    OpenClose,
    /// pipe() and two close().
    PipeClose,
    /// fork() of a child that exits at once, and wait().
    ForkExitWait,
    /// flock() and its undoing.
    Flock,
    /// A lock of fcntl() on some bytes, and its undoing.
    FcntlLock,
    /// socket() of TCP, and close().
    SocketTcp,
    /// socket() of the Unix family, and close().
    SocketUnix,
    /// connect(), accept() and two close().
    ConnectAccept,
    /// open() and close() of a pseudoterminal.
    PtyClose,
    /// sigqueue() to itself, and sigtimedwait().
    SigqueueWait,
    /// A message of 100 bytes through a pair of Unix sockets.
    UnixSendRecv,
    /// 100 bytes through a TCP connection.
    TcpSendRecv,
    /// mmap() and munmap() of private memory that nobody touches.
    MmapMunmap,
    /// mmap() and munmap() of private memory, and a byte written to each page.
    MmapTouchMunmap,
    /// A byte written to a page for the first time.
    PageFault,
    /// mlock() and munlock() of memory that is there.
    MlockMunlock,
    /// brk() up and down.
    Brk,
    /// mmap() and munmap() of shared memory, and a byte written to each page.
    SharedTouchMunmap,
    /// memfd_create(), a write and close().
    MemfdWriteClose,
}

/// How much memory is mapped, in pages.
const PAGES: usize = 16;
/// How many pages there are to be written to for the first time.
const FRESH: usize = 1 << 16;
/// Bytes of a page.
const PAGE: usize = 4096;
/// Bytes of a message.
const MESSAGE: usize = 100;
/// How long nothing is done before a round: several ticks.
const REST: Duration = Duration::from_millis(20);
/// How often an operation is done in a round. That is seldom enough for most rounds to be over before
/// the clock ticks, and often enough for each to have its share of what is done once for many: a stock
/// of the controller is of 8 objects.
const ROUND: u32 = 100;

impl Operation {
    /// How many objects that the controller counts it makes and destroys, or how often it asks for
    /// pages that are counted, or gives them back.
    ///
    /// # Errors
    ///
    /// The kernel does not say what is mapped.
    fn objects(self) -> Result<u32> {
        Ok(match self {
            Self::Getppid | Self::UnixSendRecv | Self::PageFault => 0,
            Self::OpenClose | Self::Flock | Self::FcntlLock | Self::SigqueueWait => 1,
            // Each of the two calls about memory has its own hooks.
            Self::MmapMunmap | Self::MmapTouchMunmap | Self::MlockMunlock | Self::Brk => 2,
            // The process; the pages of each mapping that is copied; all of them, given back at once.
            Self::ForkExitWait => 1 + private_mappings()? + 1,
            // A socket is a file as well, and so are a pseudoterminal and shared memory.
            Self::PipeClose
            | Self::SocketTcp
            | Self::SocketUnix
            | Self::PtyClose
            | Self::SharedTouchMunmap
            | Self::MemfdWriteClose => 2,
            // Each end asks for a page of a buffer, and gives it back.
            Self::TcpSendRecv => 4,
            // Two sockets, which are files as well.
            Self::ConnectAccept => 4,
        })
    }

    /// Makes what the operation needs, and returns what does it once.
    fn prepare(self) -> Result<Box<dyn FnMut() -> Result<()>>> {
        Ok(match self {
            Self::Getppid => Box::new(|| {
                getppid();
                Ok(())
            }),
            Self::OpenClose => Box::new(|| {
                drop(open("/", OFlag::O_RDONLY, Mode::empty())?);
                Ok(())
            }),
            Self::PipeClose => Box::new(|| {
                drop(pipe()?);
                Ok(())
            }),
            Self::ForkExitWait => Box::new(fork_exit_wait),
            Self::Flock => {
                let file = tempfile::tempfile()?;
                Box::new(move || {
                    for operation in [libc::LOCK_EX, libc::LOCK_UN] {
                        // SAFETY: It has no pointers.
                        Errno::result(unsafe { libc::flock(file.as_raw_fd(), operation) })?;
                    }
                    Ok(())
                })
            }
            Self::FcntlLock => {
                let file = tempfile::tempfile()?;
                let mut range = libc::flock {
                    l_type: 0,
                    l_whence: libc::SEEK_SET as i16,
                    l_start: 10,
                    l_len: 10,
                    l_pid: 0,
                };
                Box::new(move || {
                    for kind in [libc::F_WRLCK, libc::F_UNLCK] {
                        range.l_type = kind as i16;
                        fcntl(&file, FcntlArg::F_SETLK(&range))?;
                    }
                    Ok(())
                })
            }
            Self::SocketTcp => Box::new(|| {
                let (family, kind) = (AddressFamily::Inet, SockType::Stream);
                drop(socket(family, kind, SockFlag::empty(), None)?);
                Ok(())
            }),
            Self::SocketUnix => Box::new(|| {
                drop(UnixDatagram::unbound()?);
                Ok(())
            }),
            Self::ConnectAccept => {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
                let address = listener.local_addr()?;
                Box::new(move || {
                    let client = TcpStream::connect(address)?;
                    let (server, _) = listener.accept()?;
                    // Nothing is left in TIME-WAIT, of which there would be more and more.
                    let linger = libc::linger {
                        l_onoff: 1,
                        l_linger: 0,
                    };
                    setsockopt(&client, sockopt::Linger, &linger)?;
                    drop(client);
                    drop(server);
                    Ok(())
                })
            }
            Self::PtyClose => Box::new(|| {
                let flags = OFlag::O_RDWR | OFlag::O_NOCTTY;
                drop(open("/dev/ptmx", flags, Mode::empty())?);
                Ok(())
            }),
            Self::SigqueueWait => {
                sigprocmask(SigmaskHow::SIG_BLOCK, Some(&SigSet::all()), None)?;
                Box::new(sigqueue_wait)
            }
            Self::UnixSendRecv => {
                let (from, to) = UnixDatagram::pair()?;
                Box::new(move || {
                    from.send(&[1; MESSAGE])?;
                    ensure!(to.recv(&mut [0; MESSAGE])? == MESSAGE, "lost a message");
                    Ok(())
                })
            }
            Self::TcpSendRecv => {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
                let mut from = TcpStream::connect(listener.local_addr()?)?;
                from.set_nodelay(true)?;
                let (mut to, _) = listener.accept()?;
                Box::new(move || {
                    from.write_all(&[1; MESSAGE])?;
                    Ok(to.read_exact(&mut [0; MESSAGE])?)
                })
            }
            Self::MmapMunmap => Box::new(|| {
                drop(Memory::of(PAGES)?);
                Ok(())
            }),
            Self::MmapTouchMunmap => Box::new(|| {
                Memory::of(PAGES)?.touch_all();
                Ok(())
            }),
            Self::PageFault => {
                let memory = Memory::of(FRESH)?;
                let mut pages = (0..FRESH).cycle();
                Box::new(move || {
                    memory.touch(pages.next().context("no page")?);
                    Ok(())
                })
            }
            Self::MlockMunlock => {
                let memory = Memory::of(PAGES)?;
                memory.touch_all();
                Box::new(move || memory.lock_and_unlock())
            }
            Self::Brk => Box::new(|| {
                let step = PAGES * PAGE;
                for step in [step as isize, -(step as isize)] {
                    // SAFETY: What is added is not used before it is taken away, and there is one
                    // thread.
                    let before = unsafe { libc::sbrk(step) };
                    ensure!(before.addr() != usize::MAX, "sbrk: {}", Errno::last());
                }
                Ok(())
            }),
            Self::SharedTouchMunmap => Box::new(|| {
                Memory::shared(PAGES)?.touch_all();
                Ok(())
            }),
            Self::MemfdWriteClose => Box::new(|| {
                let file = memfd_create(c"bench", MFdFlags::empty())?;
                let written = nix::unistd::write(&file, &[1; PAGES * PAGE])?;
                ensure!(written == PAGES * PAGE, "wrote {written} bytes");
                Ok(())
            }),
        })
    }
}

/// How many mappings this process has that are private and can be written to.
fn private_mappings() -> Result<u32> {
    let maps = fs::read_to_string("/proc/self/maps")?;
    let counted = maps.lines().filter(|line| {
        let access = line.split_whitespace().nth(1).unwrap_or_default();
        access.contains('w') && access.ends_with('p')
    });
    Ok(u32::try_from(counted.count())?)
}

/// Anonymous memory, unmapped when it is dropped.
struct Memory {
    start: NonNull<c_void>,
    pages: usize,
}

impl Memory {
    fn of(pages: usize) -> Result<Self> {
        Self::map(pages, MapFlags::MAP_PRIVATE | MapFlags::MAP_NORESERVE)
    }

    fn shared(pages: usize) -> Result<Self> {
        Self::map(pages, MapFlags::MAP_SHARED)
    }

    fn map(pages: usize, flags: MapFlags) -> Result<Self> {
        let length = NonZero::new(pages * PAGE).context("no pages")?;
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: Without an address it takes the place of nothing.
        let start = unsafe { mmap_anonymous(None, length, access, flags)? };
        Ok(Self { start, pages })
    }

    /// Writes to a page.
    fn touch(&self, page: usize) {
        assert!(page < self.pages);
        // SAFETY: The page is within the mapping, and nobody else uses it.
        unsafe {
            self.start
                .byte_add(page * PAGE)
                .cast::<u8>()
                .write_volatile(1)
        };
    }

    fn touch_all(&self) {
        (0..self.pages).for_each(|page| self.touch(page));
    }

    fn lock_and_unlock(&self) -> Result<()> {
        // SAFETY: It stays mapped as long as `self`, and locking changes nothing of what it holds.
        unsafe {
            mlock(self.start, self.pages * PAGE)?;
            munlock(self.start, self.pages * PAGE)?;
        }
        Ok(())
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: It is what `of()` has mapped, and nobody has a pointer into it.
        // Nothing is to be done about a failure, which would show in what is measured.
        let _ = unsafe { munmap(self.start, self.pages * PAGE) };
    }
}

fn fork_exit_wait() -> Result<()> {
    // SAFETY: There is a single thread.
    match unsafe { fork()? } {
        ForkResult::Child => std::process::exit(0),
        ForkResult::Parent { child } => {
            let status = waitpid(child, None)?;
            ensure!(status == WaitStatus::Exited(child, 0), "lost a child");
        }
    }
    Ok(())
}

/// The signal is blocked, so that it waits to be collected.
fn sigqueue_wait() -> Result<()> {
    let signal = libc::SIGRTMIN();
    let value = libc::sigval {
        sival_ptr: ptr::null_mut(),
    };
    // SAFETY: The set is initialised by what follows, and all pointers are to live objects.
    unsafe {
        let mut set: libc::sigset_t = mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, signal);
        Errno::result(libc::sigqueue(getpid().as_raw(), signal, value))?;
        let none: libc::timespec = mem::zeroed();
        let got = libc::sigtimedwait(&raw const set, ptr::null_mut(), &raw const none);
        ensure!(got == signal, "lost a signal");
    }
    Ok(())
}

/// Measures `operations`, all if there are none, and prints a line for each: the median over rounds.
///
/// A tick of the clock, what a kernel thread does at that time, and what RCU has put off, are as much
/// as dozens of operations; how much of it falls among them is chance, and another `delay` changes it.
///
/// # Errors
///
/// An operation fails.
pub fn run(iterations: u32, delay: Duration, operations: &[Operation]) -> Result<()> {
    let begin = now()? + delay;
    while now()? < begin {}
    let all = Operation::value_variants();
    let operations = if operations.is_empty() {
        all
    } else {
        operations
    };
    for operation in operations {
        let mut once = operation.prepare()?;
        // Caches of the kernel, and of the emulator, fill in the first round.
        for _ in 0..iterations / 10 + 1 {
            once()?;
        }
        let rounds = iterations.div_ceil(ROUND);
        let mut measured = (0..rounds)
            .map(|_| round(&mut once))
            .collect::<Result<Vec<_>>>()?;
        measured.sort_unstable();
        let median = measured[measured.len() / 2];
        let name = operation.to_possible_value();
        let name = name.as_ref().map_or("", |value| value.get_name());
        println!(
            "bench {name} {:.2} {}",
            median.as_nanos() as f64 / f64::from(ROUND),
            operation.objects()?
        );
    }
    Ok(())
}

/// How long one round takes.
fn round(once: &mut dyn FnMut() -> Result<()>) -> Result<Duration> {
    // What the last one has left to RCU is done meanwhile.
    thread::sleep(REST);
    let start = now()?;
    for _ in 0..ROUND {
        once()?;
    }
    Ok(now()? - start)
}
