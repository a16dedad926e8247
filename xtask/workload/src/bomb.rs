// SPDX-License-Identifier: GPL-2.0

//! Programs that take all they can get.

use std::fs::File;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Result, bail};
use nix::errno::Errno;
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{ForkResult, fork, getpid};

/// What the processes of a bomb have in common.
#[derive(Default)]
struct Shared {
    made: AtomicU32,
    refused: AtomicU32,
}

/// Opens files until `refusals` opens were refused.
///
/// # Errors
///
/// An open fails for another reason than that there are too many.
pub fn files(refusals: u32) -> Result<()> {
    // As many as is allowed: in a container it may be for nobody to say that it is more.
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    let mut kept = Vec::new();
    let mut refused = 0;
    while refused < refusals {
        match File::open("/") {
            Ok(file) => kept.push(file),
            Err(error) if error.raw_os_error() == Some(Errno::ENFILE as i32) => refused += 1,
            Err(error) => bail!("open: {error}"),
        }
    }
    println!(
        "file-bomb made={} refused={refused} errno=ENFILE",
        kept.len()
    );
    Ok(())
}

/// Takes memory by the MiB and uses it, until it has `wanted` or is refused.
///
/// # Errors
///
/// It is refused for another reason than that there is too much.
pub fn memory(wanted: u32) -> Result<()> {
    const MIB: usize = 1 << 20;
    let size = NonZeroUsize::new(MIB).unwrap_or(NonZeroUsize::MIN);
    for got in 0..wanted {
        // SAFETY: A new mapping, which nothing else knows.
        let mapped = unsafe {
            mmap_anonymous(
                None,
                size,
                ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
                MapFlags::MAP_PRIVATE,
            )
        };
        match mapped {
            // SAFETY: It is as large, can be written, and is never unmapped.
            Ok(memory) => unsafe { memory.cast::<u8>().write_bytes(1, MIB) },
            Err(Errno::ENOMEM) => {
                println!("memory-bomb mib={got} errno=ENOMEM");
                return Ok(());
            }
            Err(error) => bail!("mmap: {error}"),
        }
    }
    println!("memory-bomb mib={wanted}");
    Ok(())
}

/// Makes processes until `refusals` forks were refused.
///
/// # Errors
///
/// It is not the first process of its pid namespace, or a fork fails for another reason than that
/// there are too many.
pub fn processes(refusals: u32) -> Result<()> {
    if getpid().as_raw() != 1 {
        bail!(
            "a fork bomb has to be the first process of a pid namespace, so that it can be ended"
        );
    }
    let size = NonZeroUsize::new(size_of::<Shared>()).unwrap_or(NonZeroUsize::MIN);
    // SAFETY: A new mapping, which nothing else knows.
    let shared = unsafe {
        mmap_anonymous(
            None,
            size,
            ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
            MapFlags::MAP_SHARED,
        )?
    };
    // SAFETY: It is large enough, zeroed, and never unmapped.
    let shared = unsafe { shared.cast::<Shared>().as_ref() };

    while shared.refused.load(Ordering::Relaxed) < refusals {
        // SAFETY: There is a single thread.
        match unsafe { fork() } {
            Ok(ForkResult::Child) => {}
            Ok(ForkResult::Parent { .. }) => {
                shared.made.fetch_add(1, Ordering::Relaxed);
            }
            Err(Errno::EAGAIN) => {
                shared.refused.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => bail!("fork: {error}"),
        }
    }
    // The others wait for the first process to take them along.
    while getpid().as_raw() != 1 {
        nix::unistd::pause();
    }
    println!(
        "fork-bomb made={} refused={} errno=EAGAIN",
        shared.made.load(Ordering::Relaxed),
        shared.refused.load(Ordering::Relaxed)
    );
    Ok(())
}
