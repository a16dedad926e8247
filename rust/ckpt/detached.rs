// SPDX-License-Identifier: GPL-2.0

//! Containers that stay suspended without a session, and wait for another one of the same user.

use crate::{
    container::Container,
    ffi::{
        self,
        Cgroup, //
    }, //
};
use kernel::{
    cred::Credential,
    prelude::*,
    sync::{
        aref::ARef,
        global_lock, //
    }, //
};

struct Detached {
    container: Container,
    owner: ARef<Credential>,
}

/// # Invariants
///
/// There is room for as many more as were promised.
struct Table {
    detached: KVec<Detached>,
    promised: usize,
}

global_lock! {
    // SAFETY: The module initializes it before anybody can open the device.
    unsafe(uninit) static TABLE: Mutex<Table> = Table {
        // INVARIANT: Nothing was promised.
        detached: KVec::new(),
        promised: 0,
    };
}

/// Prepares the table.
///
/// # Safety
///
/// Called once, before anything else here.
pub(crate) unsafe fn init() {
    // SAFETY: By the precondition.
    unsafe { TABLE.init() };
}

/// Room for one container, so that leaving it cannot fail.
pub(crate) struct Promise(());

impl Promise {
    /// Promises room.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new() -> Result<Self> {
        let mut table = TABLE.lock();
        // Nobody can name a cgroup any more that was removed.
        table
            .detached
            .retain(|found| !found.container.cgroup().is_gone());
        let more = table.promised + 1;
        table.detached.reserve(more, GFP_KERNEL)?;
        // INVARIANT: Just reserved.
        table.promised = more;
        Ok(Self(()))
    }

    /// Leaves a container to whoever attaches to it next.
    pub(crate) fn leave(self, container: Container, owner: ARef<Credential>) {
        let mut table = TABLE.lock();
        let _ = table
            .detached
            .push_within_capacity(Detached { container, owner });
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        TABLE.lock().promised -= 1;
    }
}

/// Takes the container of a cgroup over.
///
/// # Errors
///
/// `ENOENT` if none was left there, `EPERM` if another user did.
pub(crate) fn attach(cgroup: &Cgroup) -> Result<Container> {
    let mut table = TABLE.lock();
    let mut left = table.detached.iter();
    let index = left
        .position(|found| found.container.cgroup() == cgroup)
        .ok_or(ENOENT)?;
    let found = table.detached.get(index).ok_or(ENOENT)?;
    if !ffi::is_user(&found.owner) {
        return Err(EPERM);
    }
    let found = table.detached.remove(index).map_err(|_| ENOENT)?;
    Ok(found.container)
}
