// SPDX-License-Identifier: GPL-2.0

//! How fast this machine is just now, measured in this very process: what an estimate goes by.

use std::ffi::c_void;
use std::fs::{self, File};
use std::io::Write;
use std::num::NonZeroUsize;
use std::ptr::NonNull;
use std::slice;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::libc;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap_anonymous, munmap};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, fork};

use super::memory;
use crate::interrupt;

/// The size of a page, in bytes.
pub const SMALL: usize = 4 << 10;

/// The size of a huge page, in bytes.
pub const HUGE: usize = 2 << 20;

/// How much memory is copied, and mapped by small and by huge pages, in bytes.
const SIZE_SMALL: usize = 16 << 20;
const SIZE_HUGE: usize = 64 << 20;

/// How often each thing is done: at least, and at most, which is as long as there is patience.
const ROUNDS: [usize; 2] = [3, 5];
const PATIENCE: Duration = Duration::from_millis(50);

/// What a page takes at least, in seconds: noise must not make it nothing.
const LEAST: f64 = 1e-9;

/// What things take, in seconds.
#[derive(Clone, Copy, Debug)]
pub struct Speed {
    /// To tell of a thread, as `/proc` does it: the engine has about as much to do.
    pub thread: f64,
    /// To tell of the mappings of a process, likewise.
    pub process: f64,
    /// To copy an address space that has next to no pages.
    pub space: f64,
    /// To copy the entry of a page.
    pub small: f64,
    /// To copy the entry of a huge page; none if none was to be had.
    pub huge: Option<f64>,
    /// To write a byte into a file in memory.
    pub byte: f64,
}

impl Speed {
    /// Measures all of that, huge pages only if they matter.
    ///
    /// # Errors
    ///
    /// There is no memory for it, or no room for another process.
    pub fn measure(huge: bool) -> Result<Self> {
        let thread = median(|| read("/proc/thread-self/status"))?;
        let process = median(|| read("/proc/self/maps"))?;
        let space = median(copy_space)?;
        let mut mapping = Mapping::new(SIZE_SMALL, MmapAdvise::MADV_NOHUGEPAGE)?;
        let small = mapping.entry(SMALL, space)?;
        let byte = median(|| write(mapping.bytes()))? / SIZE_SMALL as f64;
        drop(mapping);
        let huge = match huge {
            true => entry_of_huge(space)?.map(|huge| huge.max(small)),
            false => None,
        };
        Ok(Self {
            thread,
            process,
            space,
            small,
            huge,
            byte,
        })
    }
}

/// Private memory.
struct Mapping {
    start: NonNull<c_void>,
    len: usize,
    size: usize,
}

impl Mapping {
    fn new(size: usize, advice: MmapAdvise) -> Result<Self> {
        // More, so that it can begin where a huge page can.
        let len = size + HUGE;
        let room = NonZeroUsize::new(len).context("nothing to map")?;
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: Nothing is there yet.
        let start = unsafe { mmap_anonymous(None, room, access, MapFlags::MAP_PRIVATE) }
            .context("no memory to measure with")?;
        let mapping = Self { start, len, size };
        // SAFETY: It only changes what pages the memory gets. Not every kernel has huge ones.
        let _ = unsafe { madvise(start, len, advice) };
        Ok(mapping)
    }

    fn bytes(&mut self) -> &mut [u8] {
        let first = self.start.cast::<u8>();
        let skip = first.addr().get().next_multiple_of(HUGE) - first.addr().get();
        // SAFETY: All of it is mapped, and nobody else has it; a part less than a huge page is
        // skipped.
        unsafe { slice::from_raw_parts_mut(first.as_ptr().add(skip), self.size) }
    }

    /// Writes to each page: a child that has gone leaves them to be written to again.
    fn touch(&mut self, page: usize) {
        for byte in self.bytes().iter_mut().step_by(page) {
            *byte = byte.wrapping_add(1);
        }
    }

    /// What it takes to copy the entry of a page.
    fn entry(&mut self, page: usize, space: f64) -> Result<f64> {
        // It takes long to get the pages, but that is not asked.
        self.touch(page);
        let all = median(|| {
            self.touch(page);
            copy_space()
        })?;
        Ok(((all - space) / (self.size / page) as f64).max(LEAST))
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: It was mapped so, and borrows have ended.
        let _ = unsafe { munmap(self.start, self.len) };
    }
}

/// What it takes to copy the entry of a huge page, if the memory really gets them.
fn entry_of_huge(space: f64) -> Result<Option<f64>> {
    let before = memory::private("self")?.huge;
    let mut mapping = Mapping::new(SIZE_HUGE, MmapAdvise::MADV_HUGEPAGE)?;
    mapping.touch(HUGE);
    let got = memory::private("self")?.huge.saturating_sub(before);
    match got >= SIZE_HUGE as u64 {
        true => mapping.entry(HUGE, space).map(Some),
        false => Ok(None),
    }
}

/// The median of what something takes, in seconds.
fn median(mut once: impl FnMut() -> Result<Duration>) -> Result<f64> {
    let [least, most] = ROUNDS;
    let begun = Instant::now();
    let mut times = Vec::new();
    while times.len() < least || (times.len() < most && begun.elapsed() < PATIENCE) {
        times.push(once()?);
    }
    times.sort_unstable();
    Ok(times
        .get(times.len() / 2)
        .map_or(0.0, Duration::as_secs_f64))
}

fn read(path: &str) -> Result<Duration> {
    let begun = Instant::now();
    fs::read(path).context(path.to_owned())?;
    Ok(begun.elapsed())
}

/// Forks, as the engine does for a snapshot; of the child only the address space is of interest.
fn copy_space() -> Result<Duration> {
    let begun = Instant::now();
    // SAFETY: The child does nothing but end.
    match unsafe { fork() }.context("no room for another process")? {
        // SAFETY: It runs nothing that was there before.
        ForkResult::Child => unsafe { libc::_exit(0) },
        ForkResult::Parent { child } => {
            let took = begun.elapsed();
            match interrupt::retry(|| waitpid(child, None)) {
                // Where SIGCHLD is ignored nothing is left of it.
                Ok(_) | Err(Errno::ECHILD) => Ok(took),
                Err(errno) => Err(errno.into()),
            }
        }
    }
}

fn write(bytes: &[u8]) -> Result<Duration> {
    let mut file = File::from(memfd_create(c"beanctl", MFdFlags::MFD_CLOEXEC)?);
    let begun = Instant::now();
    file.write_all(bytes).context("no memory to measure with")?;
    Ok(begun.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_takes_some_time() {
        let speed = Speed::measure(true).unwrap();
        let Speed {
            thread,
            process,
            space,
            small,
            huge,
            byte,
        } = speed;
        for time in [thread, process, space, small, huge.unwrap_or(small), byte] {
            assert!(time > 0.0 && time.is_finite(), "{speed:?}");
        }
        assert_eq!(Speed::measure(false).unwrap().huge, None);
    }

    #[test]
    fn the_median_is_not_moved_by_one_that_was_late() {
        let mut times = [3, 1, 2, 90, 2].map(Duration::from_secs).into_iter();
        let median = median(|| times.next().context("too often")).unwrap();
        assert_eq!(median, 2.0);
    }
}
