// SPDX-License-Identifier: GPL-2.0

//! Checkpoint and restore of containers.
//!
//! C headers: [`include/uapi/linux/ckpt.h`](srctree/include/uapi/linux/ckpt.h),
//! [`kernel/ckpt/internal.h`](srctree/kernel/ckpt/internal.h)
//!
//! | file | what it holds |
//! |---|---|
//! | `session.rs` | an open `/dev/ckpt`, and its verbs |
//! | `container.rs` | a container that is kept frozen |
//! | `detached.rs` | containers that stay suspended without a session |
//! | `external.rs` | files that are handed in |
//! | `why.rs` | the explanation of a failure |
//! | `tree.rs`, `tree.c` | who is whose child, and in which group and session |
//! | `refuse.rs`, `refuse.c` | what cannot be saved |
//! | `save.rs` | the metadata of an image |
//! | `stream.rs`, `stream.c` | the image as it is read |
//! | `plan.rs` | an image that is restored, taken apart and checked |
//! | `restore.rs` | the coordinator of a restore |
//! | `rebuild.rs`, `spawn.c` | the tasks that rebuild themselves |
//! | `image/` | the format of images |
//! | `cgroup.c`, `clocks.c`, `creds.c`, `seccomp.c`, `signals.c`, `timers.c` | the state of tasks |
//! | `task.c`, `regs.c`, `x86.c` | likewise |
//! | `mm.c`, `pages.c` | that of memory |
//! | `files.c`, `deleted.c`, `pipe.c` | that of files |
//! | `ffi.rs` | everything that is called in C |
//!
//! Reference: <https://docs.kernel.org/userspace-api/ckpt.html>

mod batch;
mod container;
mod detached;
mod external;
mod ffi;
pub mod image;
mod incoming;
mod plan;
mod rebuild;
mod refuse;
mod restore;
mod save;
mod session;
mod stream;
mod tree;
mod why;

use ffi::crc32c;
use kernel::{
    miscdevice::{
        MiscDeviceOptions,
        MiscDeviceRegistration, //
    },
    prelude::*, //
};
use session::Session;

module! {
    type: Ckpt,
    name: "ckpt",
    authors: ["The beanpod project"],
    description: "Checkpoint and restore of containers",
    license: "GPL",
}

#[pin_data]
struct Ckpt {
    #[pin]
    _device: MiscDeviceRegistration<Session>,
}

impl kernel::InPlaceModule for Ckpt {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        let options = MiscDeviceOptions { name: c"ckpt" };
        // SAFETY: The module is initialized once, and there is no device yet.
        unsafe { detached::init() };

        try_pin_init!(Self {
            _device <- MiscDeviceRegistration::register(options),
        })
    }
}
