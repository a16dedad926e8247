// SPDX-License-Identifier: GPL-2.0

//! What a subject does itself: it makes what it consists of, says that it is ready, and waits until
//! SIGTERM tells it to end. It ends well only if all of it does.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Scope};

use anyhow::{Result, ensure};
use nix::fcntl::OFlag;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, dup2_stdout, fork, pause, pipe2};

use super::kind::{Kind, Pages};
use super::memory;

/// The stack of a thread, in bytes.
const STACK: usize = 64 << 10;

/// The subject.
///
/// # Errors
///
/// There are not so much memory or so many tasks, or some of them do not end as they should.
pub fn run(kind: Kind) -> Result<()> {
    // Before there are threads, since they get the mask.
    told().thread_block()?;
    match kind {
        Kind::Memory { mib, pages } => {
            memory::new(mib, pages)?;
            rest()
        }
        Kind::Threads(count) => threads(count),
        Kind::Family(count) => family(kind.mib(), count),
    }
}

/// What tells it to end.
fn told() -> SigSet {
    SigSet::from(Signal::SIGTERM)
}

/// Says that all is there, and waits until it is told to end.
fn rest() -> Result<()> {
    let mut output = std::io::stdout();
    output.write_all(b"ready\n")?;
    output.flush()?;
    hide_output()?;
    told().wait()?;
    Ok(())
}

/// A pipe could not be saved, and its end is what is waited for.
fn hide_output() -> Result<()> {
    let null = File::options().write(true).open("/dev/null")?;
    Ok(dup2_stdout(&null)?)
}

/// All threads but the first wait at a gate.
fn threads(count: u32) -> Result<()> {
    let gate = Gate::default();
    thread::scope(|scope| {
        let rested = gather(scope, &gate, count - 1).and_then(|()| rest());
        // In any case: the scope ends with its threads.
        gate.open();
        rested
    })
}

/// Starts threads, and waits until all of them are at the gate.
fn gather<'a>(scope: &'a Scope<'a, '_>, gate: &'a Gate, count: u32) -> Result<()> {
    for _ in 0..count {
        let thread = thread::Builder::new().stack_size(STACK);
        thread.spawn_scoped(scope, || gate.pass())?;
    }
    gate.await_all(count);
    Ok(())
}

/// Where threads wait, each in a futex.
#[derive(Default)]
struct Gate {
    state: Mutex<State>,
    arrived: Condvar,
    opened: Condvar,
}

#[derive(Default)]
struct State {
    waiting: u32,
    open: bool,
}

impl Gate {
    fn pass(&self) {
        let mut state = self.lock();
        state.waiting += 1;
        self.arrived.notify_one();
        drop(self.opened.wait_while(state, |state| !state.open));
    }

    fn await_all(&self, count: u32) {
        let waiting = |state: &mut State| state.waiting < count;
        drop(self.arrived.wait_while(self.lock(), waiting));
    }

    fn open(&self) {
        self.lock().open = true;
        self.opened.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All processes but the first are its children.
fn family(mib: u32, count: u32) -> Result<()> {
    let memory = memory::new(mib, Pages::Small)?;
    let mut children = Vec::new();
    let rested = grow(&mut children, memory, count - 1).and_then(|()| rest());
    let ended = end(&children);
    rested.and(ended)
}

/// Makes children, and waits until each has pages of its own.
fn grow(children: &mut Vec<Pid>, memory: &mut [u64], count: u32) -> Result<()> {
    let (from, to) = pipe2(OFlag::O_CLOEXEC)?;
    for _ in 0..count {
        // SAFETY: There is no other thread that could hold a lock.
        match unsafe { fork()? } {
            ForkResult::Parent { child } => children.push(child),
            ForkResult::Child => {
                drop(from);
                child(memory, to)
            }
        }
    }
    drop(to);
    // Until nobody has the other end.
    File::from(from).read_to_end(&mut Vec::new())?;
    Ok(())
}

/// A child, which SIGTERM ends. Closing the pipe says that it is ready.
fn child(memory: &mut [u64], ready: OwnedFd) -> ! {
    let begun = hide_output().and_then(|()| Ok(told().thread_unblock()?));
    if begun.is_err() {
        process::exit(1);
    }
    memory::make_own(memory, Pid::this());
    drop(ready);
    loop {
        pause();
    }
}

/// Ends the children.
fn end(children: &[Pid]) -> Result<()> {
    for &child in children {
        kill(child, Signal::SIGTERM)?;
    }
    for &child in children {
        let status = waitpid(child, None)?;
        let told = matches!(status, WaitStatus::Signaled(_, Signal::SIGTERM, _));
        ensure!(told, "a child ended otherwise: {status:?}");
    }
    Ok(())
}
