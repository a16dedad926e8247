// SPDX-License-Identifier: GPL-2.0

//! What a program draws on a terminal.

use std::ffi::CString;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::pty::{ForkptyResult, Winsize, forkpty};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::{execvp, read};

use crate::clock::now;

/// Runs `command` on a pseudoterminal of this size, copies what it writes there in some time, and
/// kills it, so that it cannot tidy up.
///
/// # Errors
///
/// It cannot be started, ends before, or writes nothing.
pub fn run(rows: u16, columns: u16, time: Duration, command: &[String]) -> Result<()> {
    let size = Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    let words: Vec<CString> = command
        .iter()
        .map(|word| CString::new(word.as_str()))
        .collect::<Result<_, _>>()?;
    // SAFETY: There is a single thread.
    let (child, master) = match unsafe { forkpty(&size, None)? } {
        ForkptyResult::Child => {
            let error = execvp(&words[0], &words).unwrap_err();
            eprintln!("{}: {error}", command[0]);
            std::process::exit(127);
        }
        ForkptyResult::Parent { child, master } => (child, master),
    };
    let end = now()? + time;
    let mut drawn = Vec::new();
    loop {
        let left = end.saturating_sub(now()?);
        let wait = u16::try_from(left.as_millis()).unwrap_or(u16::MAX);
        let mut fds = [PollFd::new(master.as_fd(), PollFlags::POLLIN)];
        if left.is_zero() || poll(&mut fds, wait)? == 0 {
            break;
        }
        let mut buffer = [0; 4096];
        match read(&master, &mut buffer) {
            // A terminal that nobody has open any more.
            Ok(0) | Err(Errno::EIO) => {
                waitpid(child, None)?;
                bail!("it ended: {}", String::from_utf8_lossy(&drawn));
            }
            Ok(length) => drawn.extend_from_slice(&buffer[..length]),
            Err(error) => return Err(error.into()),
        }
    }
    kill(child, Signal::SIGKILL)?;
    waitpid(child, None)?;
    ensure!(!drawn.is_empty(), "it has drawn nothing");
    io::stdout().write_all(&drawn)?;
    Ok(())
}
