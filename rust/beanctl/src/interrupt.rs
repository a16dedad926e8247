// SPDX-License-Identifier: GPL-2.0

//! Signals that end the program, after it has put everything back.

use std::sync::atomic::{AtomicI32, Ordering};

use nix::errno::Errno;
use nix::libc::c_int;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::unistd::alarm;

use crate::failure::{Exit, Failure};

/// The signal that came; 0 if none.
static CAME: AtomicI32 = AtomicI32::new(0);

extern "C" fn note(signal: c_int) {
    if signal != Signal::SIGALRM as c_int {
        CAME.store(signal, Ordering::Relaxed);
    }
    // Between a check and a call that blocks it would be missed: once a second it comes again.
    alarm::set(1);
}

/// From now on the first signal interrupts system calls, and [`check`] tells of it; the second
/// ends the program at once, which the kernel cleans up behind. What is ignored, as under nohup(1),
/// stays so; all others are returned.
///
/// # Errors
///
/// None is known.
pub fn catch() -> nix::Result<SigSet> {
    let action = SigAction::new(
        SigHandler::Handler(note),
        SaFlags::SA_RESETHAND,
        SigSet::empty(),
    );
    let again = SigAction::new(SigHandler::Handler(note), SaFlags::empty(), SigSet::empty());
    // SAFETY: The handler does nothing but store a number and set the alarm.
    unsafe { sigaction(Signal::SIGALRM, &again) }?;
    let mut caught = SigSet::empty();
    for signal in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM] {
        // SAFETY: As above.
        let before = unsafe { sigaction(signal, &action) }?;
        if before.handler() == SigHandler::SigIgn {
            // SAFETY: It was so before.
            unsafe { sigaction(signal, &before) }?;
        } else {
            caught.add(signal);
        }
    }
    Ok(caught)
}

/// Whether to go on.
///
/// # Errors
///
/// A signal came.
pub fn check() -> Result<(), Failure> {
    match CAME.load(Ordering::Relaxed) {
        0 => Ok(()),
        number => {
            let name = Signal::try_from(number).map_or("a signal", Signal::as_str);
            // Numbers of signals are below 65.
            let number = u8::try_from(number).unwrap_or(u8::MAX);
            Err(Failure::new(
                Exit::Signal(number),
                format!("interrupted by {name}"),
            ))
        }
    }
}

/// Repeats a system call that a signal interrupted, unless the signal ends the program.
///
/// # Errors
///
/// Those of the call, and `EINTR` if the program is to end.
pub fn retry<T>(mut call: impl FnMut() -> nix::Result<T>) -> nix::Result<T> {
    loop {
        if check().is_err() {
            return Err(Errno::EINTR);
        }
        match call() {
            Err(Errno::EINTR) => (),
            result => return result,
        }
    }
}
