// SPDX-License-Identifier: GPL-2.0

//! What numbers in an image are called.

use nix::fcntl::OFlag;
use nix::sys::signal::Signal;
use nix::sys::stat::SFlag;

/// Resources, in the order of getrlimit(2).
pub const RESOURCES: [&str; 16] = [
    "cpu",
    "fsize",
    "data",
    "stack",
    "core",
    "rss",
    "nproc",
    "nofile",
    "memlock",
    "as",
    "locks",
    "sigpending",
    "msgqueue",
    "nice",
    "rtprio",
    "rttime",
];

/// A machine, as ELF numbers it.
pub fn architecture(number: u32) -> String {
    match number {
        62 => "x86_64".to_owned(),
        183 => "arm64".to_owned(),
        other => format!("machine {other}"),
    }
}

/// A signal, from 1.
pub fn signal(number: u32) -> String {
    const FIRST_OF_REAL_TIME: u32 = 32;

    let named = i32::try_from(number)
        .ok()
        .and_then(|number| Signal::try_from(number).ok());
    match named {
        Some(signal) => signal.as_str().trim_start_matches("SIG").to_owned(),
        None if number >= FIRST_OF_REAL_TIME => format!("RT{}", number - FIRST_OF_REAL_TIME),
        None => number.to_string(),
    }
}

/// The signals of a mask, whose bit 0 is signal 1.
pub fn signals(mask: u64) -> Vec<String> {
    (0..u64::BITS)
        .filter(|bit| mask >> bit & 1 != 0)
        .map(|bit| signal(bit + 1))
        .collect()
}

/// A clock.
pub fn clock(number: u32) -> String {
    match number {
        0 => "realtime".to_owned(),
        1 => "monotonic".to_owned(),
        2 => "process".to_owned(),
        3 => "thread".to_owned(),
        7 => "boottime".to_owned(),
        other => format!("clock {other}"),
    }
}

/// A scheduling policy.
pub fn policy(number: u32) -> Option<&'static str> {
    match number {
        0 => Some("other"),
        1 => Some("fifo"),
        2 => Some("rr"),
        3 => Some("batch"),
        5 => Some("idle"),
        _ => None,
    }
}

/// An I/O priority; none for that which follows from the nice value.
pub fn io_priority(number: u32) -> Option<String> {
    const LEVEL: u32 = 7;

    match number >> 13 {
        0 => None,
        1 => Some(format!("real time {}", number & LEVEL)),
        2 => Some(format!("best effort {}", number & LEVEL)),
        _ => Some("idle".to_owned()),
    }
}

/// The processors of a mask, as in /proc.
pub fn processors(mask: &[u8]) -> String {
    let set = |cpu: &usize| mask[cpu / 8] >> (cpu % 8) & 1 != 0;
    let cpus: Vec<usize> = (0..8 * mask.len()).filter(set).collect();
    let runs = cpus
        .chunk_by(|cpu, next| cpu + 1 == *next)
        .map(|run| match run {
            [first, .., last] => format!("{first}-{last}"),
            run => run.iter().map(usize::to_string).collect(),
        });
    runs.collect::<Vec<_>>().join(",")
}

/// The type of an inode.
pub fn file_type(mode: u32) -> &'static str {
    match SFlag::from_bits_truncate(mode) & SFlag::S_IFMT {
        SFlag::S_IFREG => "file",
        SFlag::S_IFDIR => "directory",
        SFlag::S_IFCHR => "character device",
        SFlag::S_IFBLK => "block device",
        SFlag::S_IFIFO => "pipe",
        SFlag::S_IFSOCK => "socket",
        SFlag::S_IFLNK => "link",
        _ => "anonymous",
    }
}

/// The flags of open(2), those that matter to a reader.
pub fn open_flags(flags: u32) -> Vec<&'static str> {
    // CAST: Bits stay bits.
    let flags = OFlag::from_bits_retain(flags as i32);
    let access = match flags & OFlag::O_ACCMODE {
        OFlag::O_WRONLY => "write",
        OFlag::O_RDWR => "read and write",
        _ => "read",
    };
    let others = [
        (OFlag::O_APPEND, "append"),
        (OFlag::O_NONBLOCK, "nonblock"),
        (OFlag::O_DIRECT, "direct"),
        (OFlag::O_SYNC, "sync"),
        (OFlag::O_PATH, "path"),
    ];
    let set = others.iter().filter(|(flag, _)| flags.contains(*flag));
    [access]
        .into_iter()
        .chain(set.map(|(_, name)| *name))
        .collect()
}

/// The kind of a mapping.
pub fn mapping(kind: u32) -> &'static str {
    match kind {
        0 => "private",
        1 => "private of a file",
        2 => "shared of a file",
        3 => "shared",
        4 => "vdso",
        _ => "unknown",
    }
}

/// The permissions of a mapping, as in /proc.
pub fn permissions(flags: u32, kind: u32) -> String {
    let bit = |bit: u32, letter: char| if flags & bit != 0 { letter } else { '-' };
    let shared = if matches!(kind, 2 | 3) { 's' } else { 'p' };
    [bit(1, 'r'), bit(2, 'w'), bit(4, 'x'), shared]
        .iter()
        .collect()
}

/// Whether all flags of a mapping have a meaning.
pub fn are_mapping_flags(flags: u32) -> bool {
    flags >> 16 == 0
}

/// What else is said of a mapping.
pub fn advice(flags: u32) -> Vec<&'static str> {
    const NAMES: [(u32, &str); 12] = [
        (8, "grows down"),
        (16, "noreserve"),
        (32, "dontfork"),
        (64, "wipeonfork"),
        (128, "dontdump"),
        (256, "hugepage"),
        (512, "nohugepage"),
        (1024, "sequential"),
        (2048, "random"),
        (4096, "mergeable"),
        (16384, "locked"),
        (32768, "locked on fault"),
    ];
    let set = NAMES.iter().filter(|(bit, _)| flags & bit != 0);
    // What is writable is accounted as a rule.
    let was_writable = (flags & (2 | 8192) == 8192).then_some("was writable");
    set.map(|(_, name)| *name).chain(was_writable).collect()
}

/// A UUID as it is written.
pub fn uuid(bytes: &[u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text += &format!("{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(signals(1 << 8 | 1 << 14 | 1 << 33), ["KILL", "TERM", "RT2"]);
        assert_eq!(
            (clock(7), clock(11)),
            ("boottime".into(), "clock 11".into())
        );
        assert_eq!(policy(3), Some("batch"));
        assert_eq!(policy(6), None);
        assert_eq!(io_priority(4), None);
        assert_eq!(io_priority(2 << 13 | 4).as_deref(), Some("best effort 4"));
        assert_eq!(io_priority(3 << 13 | 7).as_deref(), Some("idle"));
        assert_eq!(processors(&[0b1111_0110, 1, 0b10]), "1-2,4-8,17");
        assert_eq!(open_flags(0o2001), ["write", "append"]);
        assert_eq!(file_type(0o100_644), "file");
        assert_eq!(permissions(5, 1), "r-xp");
        assert_eq!(permissions(3, 3), "rw-s");
        assert_eq!(advice(1 | 16 | 8192), ["noreserve", "was writable"]);
        assert!(advice(1 | 2 | 8192).is_empty());
        assert_eq!(uuid(&[0x12; 16]), "12121212-1212-1212-1212-121212121212");
    }
}
