// SPDX-License-Identifier: GPL-2.0

//! A container that is kept frozen.

use crate::{
    detached::{
        self,
        Promise, //
    },
    ffi::{
        self,
        Cgroup,
        TaskExt as _, //
    },
    plan, //
};
use kernel::{
    cred::Credential,
    prelude::*,
    sync::aref::ARef,
    task::Task,
    time::{
        delay::fsleep,
        Delta,
        Instant,
        Monotonic, //
    }, //
};

/// A container that is kept frozen, and goes on when this is dropped.
///
/// # Invariants
///
/// The cgroup is held.
pub(crate) struct Container {
    cgroup: Cgroup,
    /// It was restored and never ran: it ends when this is dropped.
    unborn: bool,
    /// It stays as it is when its session is closed.
    detach: Option<Promise>,
}

impl Container {
    /// Freezes a container. Whoever is in vfork(2) then, which lasts until execve(2), is let go for
    /// a moment, again and again for half of the time: the rest is to freeze it for good.
    ///
    /// # Errors
    ///
    /// `ETIMEDOUT` if that takes more than so many milliseconds, `EPERM` if the caller has no right
    /// over one of the tasks, `EINTR`, and those of [`Cgroup::hold`].
    pub(crate) fn freeze(cgroup: Cgroup, timeout: u32) -> Result<Self> {
        // Whoever comes later is brought by somebody who has rights over the cgroup.
        cgroup.may()?;
        let begun: Instant<Monotonic> = Instant::now();
        let passed = || u32::try_from(begun.elapsed().as_millis_ceil()).unwrap_or(u32::MAX);
        loop {
            cgroup.hold()?;
            let left = timeout.saturating_sub(passed());
            if let Err(error) = cgroup.wait(ffi::jiffies(left)) {
                cgroup.release();
                return Err(error);
            }
            if !cgroup.vforks() || passed() >= timeout / 2 {
                break;
            }
            cgroup.release();
            if kernel::current!().signal_pending() {
                return Err(EINTR);
            }
            fsleep(Delta::from_millis(1));
        }
        // INVARIANT: It was held last.
        Ok(Self {
            cgroup,
            unborn: false,
            detach: None,
        })
    }

    /// Holds a cgroup whose tasks are about to run for the first time.
    ///
    /// # Errors
    ///
    /// Those of [`Cgroup::hold`].
    pub(crate) fn unborn(cgroup: Cgroup) -> Result<Self> {
        cgroup.hold()?;
        // INVARIANT: Just held.
        Ok(Self {
            cgroup,
            unborn: true,
            detach: None,
        })
    }

    /// Takes over what another session has left in a cgroup.
    ///
    /// # Errors
    ///
    /// Those of [`detached::attach`], and `ENOMEM`.
    pub(crate) fn attach(cgroup: &Cgroup) -> Result<Self> {
        let promise = Promise::new()?;
        let mut container = detached::attach(cgroup)?;
        container.detach = Some(promise);
        Ok(container)
    }

    /// Stays suspended when it is left.
    pub(crate) fn stay(&mut self, promise: Promise) {
        self.detach = Some(promise);
    }

    /// Its session is closed.
    pub(crate) fn leave(mut self, owner: ARef<Credential>) {
        if let Some(promise) = self.detach.take() {
            promise.leave(self, owner);
        }
    }

    /// Waits until the tasks are frozen.
    ///
    /// # Errors
    ///
    /// `ETIMEDOUT`.
    pub(crate) fn wait(&self, timeout: u32) -> Result {
        self.cgroup.wait(ffi::jiffies(timeout))
    }

    /// Lets it go on.
    pub(crate) fn resume(mut self) {
        self.unborn = false;
    }

    /// Ends it.
    pub(crate) fn kill(mut self) {
        self.unborn = true;
    }

    /// The cgroup that it is.
    pub(crate) fn cgroup(&self) -> &Cgroup {
        &self.cgroup
    }

    /// Its threads, which are at rest.
    ///
    /// # Errors
    ///
    /// `E2BIG`, `ENOMEM`, or `EAGAIN` if one of them went on: it was killed.
    pub(crate) fn tasks(&self) -> Result<KVec<ARef<Task>>> {
        let tasks = tasks(&self.cgroup)?;
        match tasks.iter().all(|task| task.settle()) {
            true => Ok(tasks),
            false => Err(EAGAIN),
        }
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if self.unborn {
            self.cgroup.kill();
        }
        self.cgroup.release();
    }
}

/// The threads of a cgroup, whatever they do.
///
/// # Errors
///
/// `E2BIG`, `ENOMEM`.
pub(crate) fn tasks(cgroup: &Cgroup) -> Result<KVec<ARef<Task>>> {
    cgroup.tasks(plan::TASKS)
}
