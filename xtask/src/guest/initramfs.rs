// SPDX-License-Identifier: GPL-2.0

//! An initramfs with Debian's static busybox and the files of a script: all the user space that UML
//! and plain QEMU need.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use cpio::newc::{self, Builder};

use crate::exit::{Exit, Failure};
use crate::guest::DIR;

const DIRECTORY: u32 = 0o040_755;
const CHARACTER_DEVICE: u32 = 0o020_600;
const EXECUTABLE: u32 = 0o100_755;

/// A static busybox of the host.
///
/// # Errors
///
/// There is none.
pub fn busybox() -> Result<PathBuf> {
    ["/bin/busybox", "/usr/bin/busybox", "/sbin/busybox"]
        .iter()
        .map(PathBuf::from)
        .find(|path| is_static(path))
        .ok_or_else(|| {
            Failure::new(Exit::Skipped, "no statically linked busybox is installed")
                .fix("cargo xtask setup")
                .into()
        })
}

/// Whether a program asks for no dynamic linker.
fn is_static(path: &Path) -> bool {
    // An ELF file names its dynamic linker near its start.
    const HEAD: usize = 4096;
    fs::read(path).is_ok_and(|bytes| {
        let head = &bytes[..bytes.len().min(HEAD)];
        head.starts_with(b"\x7fELF") && !head.windows(8).any(|part| part == b"ld-linux")
    })
}

/// The first program of the guest: `then` runs with everything mounted, and with `/dev/<terminal>`
/// as its standard output and error unless it is empty.
pub fn init(terminal: &str, then: &str) -> String {
    let output = if terminal.is_empty() {
        String::new()
    } else {
        // Newlines shall stay what they are.
        format!("stty -F /dev/{terminal} raw -echo\nexec >/dev/{terminal} 2>&1\n")
    };
    format!(
        "#!{DIR}/busybox sh\n\
         {DIR}/busybox mkdir -p /bin /sbin /proc /sys /dev /tmp /root /etc\n\
         {DIR}/busybox --install -s /bin\n\
         export PATH=/bin:/sbin HOME=/root TERM=\"${{TERM:-linux}}\"\n\
         mount -t proc proc /proc\n\
         mount -t sysfs sysfs /sys\n\
         mount -t devtmpfs devtmpfs /dev\n\
         mkdir -p /dev/pts /dev/shm\n\
         mount -t devpts devpts /dev/pts\n\
         mount -t tmpfs -o mode=1777 tmpfs /dev/shm\n\
         mount -t tmpfs -o mode=1777 tmpfs /tmp\n\
         mount -t cgroup2 cgroup2 /sys/fs/cgroup\n\
         [ -d /sys/kernel/debug ] && mount -t debugfs debugfs /sys/kernel/debug\n\
         [ -d /sys/kernel/tracing ] && mount -t tracefs tracefs /sys/kernel/tracing\n\
         ip link set dev lo up 2>/dev/null\n\
         echo root:x:0:0:root:/root:/bin/sh > /etc/passwd\n\
         echo nobody:x:65534:65534:nobody:/:/bin/sh >> /etc/passwd\n\
         {output}\
         {then}\n\
         sync\n\
         poweroff -f\n"
    )
}

/// Writes an initramfs whose [`DIR`] holds `files` to `path`.
///
/// # Errors
///
/// A file cannot be read or the archive not be written.
pub fn write(path: &Path, init: &str, files: &[(String, PathBuf)]) -> Result<()> {
    let mut archive = Archive::default();
    let mut above = PathBuf::new();
    for part in Path::new(DIR.trim_start_matches('/')) {
        above.push(part);
        archive.add(Builder::new(&above.to_string_lossy()).mode(DIRECTORY), b"")?;
    }
    archive.add(Builder::new("dev").mode(DIRECTORY), b"")?;
    let console = Builder::new("dev/console").mode(CHARACTER_DEVICE);
    archive.add(console.rdev_major(5).rdev_minor(1), b"")?;
    archive.add(Builder::new("init").mode(EXECUTABLE), init.as_bytes())?;
    let mut directories = Vec::new();
    for (name, from) in files {
        let inside = Path::new(DIR.trim_start_matches('/')).join(name);
        for directory in Path::new(name)
            .ancestors()
            .skip(1)
            .filter(|directory| !directory.as_os_str().is_empty())
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
        {
            if !directories.contains(&directory) {
                directories.push(directory);
                let directory = Path::new(DIR.trim_start_matches('/')).join(directory);
                let entry = Builder::new(&directory.to_string_lossy()).mode(DIRECTORY);
                archive.add(entry, b"")?;
            }
        }
        let contents = fs::read(from).with_context(|| from.display().to_string())?;
        let entry = Builder::new(&inside.to_string_lossy()).mode(EXECUTABLE);
        archive.add(entry, &contents)?;
    }
    let bytes = newc::trailer(archive.bytes)?;
    fs::write(path, bytes).with_context(|| path.display().to_string())
}

#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
    inode: u32,
}

impl Archive {
    fn add(&mut self, entry: Builder, contents: &[u8]) -> Result<()> {
        // Entries with the same inode would be taken for hard links.
        self.inode += 1;
        let entry = entry.ino(self.inode).nlink(1);
        let mut writer = entry.write(&mut self.bytes, contents.len().try_into()?);
        std::io::Write::write_all(&mut writer, contents)?;
        writer.finish()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn the_archive_has_every_file_once_and_its_directories_first() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "contents").unwrap();
        let out = dir.path().join("out");
        let files = [
            ("one".to_owned(), file.clone()),
            ("a/b/two".to_owned(), file.clone()),
            ("a/b/three".to_owned(), file),
        ];
        write(&out, "#!init", &files).unwrap();

        let bytes = fs::read(&out).unwrap();
        let mut rest = bytes.as_slice();
        let mut seen = Vec::new();
        loop {
            let mut reader = newc::Reader::new(rest).unwrap();
            if reader.entry().is_trailer() {
                break;
            }
            let name = reader.entry().name().to_owned();
            let mode = reader.entry().mode();
            let mut contents = String::new();
            reader.read_to_string(&mut contents).unwrap();
            seen.push(format!("{mode:o} {name} {contents}"));
            rest = reader.finish().unwrap();
        }
        insta::assert_snapshot!(seen.join("\n"), @r"
        40755 run 
        40755 run/beanpod 
        40755 dev 
        20600 dev/console 
        100755 init #!init
        100755 run/beanpod/one contents
        40755 run/beanpod/a 
        40755 run/beanpod/a/b 
        100755 run/beanpod/a/b/two contents
        100755 run/beanpod/a/b/three contents
        ");
    }

    #[test]
    fn a_dynamic_program_is_not_static() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, b"\x7fELF....../lib64/ld-linux-x86-64.so.2").unwrap();
        assert!(!is_static(&file));
        fs::write(&file, b"\x7fELF......").unwrap();
        assert!(is_static(&file));
        fs::write(&file, b"#!/bin/sh").unwrap();
        assert!(!is_static(&file));
    }
}
