// SPDX-License-Identifier: GPL-2.0

//! A program that behaves, and says whether it could do all it wanted.

use std::fs::File;
use std::io;
use std::process::ExitCode;

use anyhow::Result;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};

/// How many files it has open at once.
const FILES: usize = 20;

/// Does its work `rounds` times, and reports what succeeded.
///
/// # Errors
///
/// A child gets lost.
pub fn run(rounds: u32) -> Result<ExitCode> {
    let mut failed = 0;
    for _ in 0..rounds {
        if !round()? {
            failed += 1;
        }
    }
    println!("work rounds={rounds} failed={failed}");
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// One process that opens some files; whether that was possible.
fn round() -> Result<bool> {
    // SAFETY: There is a single thread.
    match unsafe { fork() } {
        Ok(ForkResult::Child) => {
            let files: io::Result<Vec<File>> = (0..FILES).map(|_| File::open("/")).collect();
            std::process::exit(i32::from(files.is_err()));
        }
        Ok(ForkResult::Parent { child }) => {
            Ok(waitpid(child, None)? == WaitStatus::Exited(child, 0))
        }
        Err(_) => Ok(false),
    }
}
