// SPDX-License-Identifier: GPL-2.0

//! What only shows in the whole program.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;

/// The program with a cache of its own.
fn xtask(cache: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command
        .env("BEANPOD_CACHE", cache)
        .env("BEANPOD_NO_INSTALL", "1")
        .stdin(Stdio::null());
    command
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A directory that passes for a kernel tree.
fn tree() -> TempDir {
    let tree = tempfile::tempdir().unwrap();
    let makefile = "VERSION = 7\nPATCHLEVEL = 3\nSUBLEVEL = 0\n";
    fs::write(tree.path().join("Makefile"), makefile).unwrap();
    tree
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let (cache, tree) = (tempfile::tempdir().unwrap(), tree());
    let (reader, writer) = os_pipe::pipe().unwrap();
    drop(reader);
    let mut command = xtask(cache.path());
    command.args(["kernel", "fetch", "--tree"]).arg(tree.path());
    let output = command.stdout(writer).output().unwrap();
    assert_eq!(stderr(&output), "");
    assert_eq!(output.status.signal(), Some(libc::SIGPIPE));

    // Standard error may be what is closed.
    let (reader, writer) = os_pipe::pipe().unwrap();
    drop(reader);
    let mut command = xtask(cache.path());
    command.args(["kernel", "fetch", "--tree", "/nowhere"]);
    let status = command.stderr(writer).status().unwrap();
    assert_eq!(status.signal(), Some(libc::SIGPIPE));
}

#[test]
fn a_failure_ends_with_a_command_for_the_shell() {
    let cache = tempfile::tempdir().unwrap();
    let mut command = xtask(cache.path());
    command.args(["kernel", "fetch", "--tree", "/no where"]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let text = stderr(&output);
    let last = text.lines().last();
    assert_eq!(
        last,
        Some("reproduce: cargo xtask kernel fetch --tree '/no where'")
    );
}

#[test]
fn clean_waits_for_whoever_uses_the_cache() {
    let cache = tempfile::tempdir().unwrap();
    let image = cache.path().join("build/7.3-um/linux");
    for dir in [image.parent().unwrap(), &cache.path().join("lock")] {
        fs::create_dir_all(dir).unwrap();
    }
    fs::write(&image, "kernel").unwrap();
    let other = File::create(cache.path().join("lock/cache")).unwrap();
    flock(&other, FlockOperation::LockShared).unwrap();

    let mut command = xtask(cache.path());
    command
        .arg("clean")
        .stderr(Stdio::piped())
        .stdout(Stdio::null());
    let mut clean = command.spawn().unwrap();
    let mut line = String::new();
    let mut stderr = BufReader::new(clean.stderr.take().unwrap());
    stderr.read_line(&mut line).unwrap();
    assert!(line.starts_with("waiting for another"), "{line}");
    assert!(image.exists());
    drop(other);
    assert!(clean.wait().unwrap().success());
    assert!(!image.exists());
}
