// SPDX-License-Identifier: GPL-2.0

//! The memory of subjects: no word of it is zero, and each is different.

use std::fs::{self, File};
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt;
use std::slice;

use anyhow::{Context, Result, bail};
use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap_anonymous};
use nix::unistd::Pid;

use super::MIB;
use super::kind::{Kind, Pages};

/// Where it is; nothing else of a small static program is near.
const ADDRESS: usize = 1 << 40;

/// The words of a page of 4 KiB.
const WORDS: usize = 512;

/// The pages of a MiB.
const PAGES: usize = MIB / 8 / WORDS;

/// How many pages of each MiB a child writes to.
const OWN: usize = 16;

/// Makes memory, and writes to all of it.
///
/// # Errors
///
/// There is not so much.
pub fn new(mib: u32, pages: Pages) -> Result<&'static mut [u64]> {
    let size = mib as usize * MIB;
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
    // SAFETY: It is all of that mapping, which stays and nothing else knows; zeros are words.
    let words = unsafe { slice::from_raw_parts_mut(memory.cast().as_ptr(), size / 8) };
    for (at, word) in words.iter_mut().enumerate() {
        *word = content(None, at);
    }
    Ok(words)
}

/// Writes to those pages that a child has of its own.
pub fn make_own(words: &mut [u64], child: Pid) {
    for (page, words) in words.chunks_mut(WORDS).enumerate() {
        if is_own(page) {
            for (word, value) in words.iter_mut().enumerate() {
                *value = content(Some(child), page * WORDS + word);
            }
        }
    }
}

/// Looks at the two ends of pages of a process, which may be a child.
///
/// # Errors
///
/// They are not what was written.
pub fn check(kind: Kind, pid: Pid, is_child: bool) -> Result<()> {
    let memory = File::open(format!("/proc/{pid}/mem"))?;
    let pages = kind.mib() as usize * PAGES;
    for page in (0..pages).step_by(kind.stride()) {
        let writer = (is_child && is_own(page)).then_some(pid);
        for word in [0, WORDS - 1] {
            let mut bytes = [0; 8];
            let at = page * WORDS + word;
            memory.read_exact_at(&mut bytes, (ADDRESS + at * 8) as u64)?;
            if u64::from_ne_bytes(bytes) != content(writer, at) {
                bail!("page {page} of process {pid} is not what it was");
            }
        }
    }
    Ok(())
}

/// The part of a process in all memory, in bytes: a page that several have counts for each in part.
///
/// # Errors
///
/// It is gone.
pub fn part(pid: Pid) -> Result<u64> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&path).with_context(|| path.clone())?;
    pss(&text).with_context(|| format!("{path} does not say"))
}

fn pss(text: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kib: u64 = value.strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

fn is_own(page: usize) -> bool {
    page % (PAGES / OWN) == 0
}

/// What a word of the memory is that the first process or a child wrote: never zero, and nowhere
/// the same.
fn content(child: Option<Pid>, at: usize) -> u64 {
    // CAST: The kernel's numbers are small, and positive.
    let writer = child.map_or(0, |pid| pid.as_raw() as u64);
    ((writer << 40) + at as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_neither_zero_nor_the_same() {
        let writers = [None, Some(Pid::from_raw(1)), Some(Pid::from_raw(4 << 20))];
        let words = writers.iter().flat_map(|&writer| {
            let all = 0..4 * WORDS;
            all.map(move |at| content(writer, at))
        });
        let mut words: Vec<_> = words.collect();
        assert!(!words.contains(&0));
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), writers.len() * 4 * WORDS);
    }

    #[test]
    fn a_child_writes_to_some_pages() {
        let mut words = vec![0; PAGES * WORDS];
        let child = Pid::from_raw(7);
        make_own(&mut words, child);
        let own = words.iter().filter(|&&word| word != 0).count();
        assert_eq!(own, OWN * WORDS);
        assert_eq!(words[WORDS - 1], content(Some(child), WORDS - 1));
        assert_eq!(words[WORDS], 0);
    }

    #[test]
    fn the_part_of_a_process_is_read() {
        let text =
            "55-7f ---p 0 00:00 0 [rollup]\nRss:   1772 kB\nPss:    215 kB\nPss_Anon: 1 kB\n";
        assert_eq!(pss(text), Some(215 << 10));
        assert_eq!(pss("Rss:   1772 kB\nPss_Anon: 1 kB\n"), None);
        assert!(part(Pid::this()).unwrap() > 0);
    }
}
