// SPDX-License-Identifier: GPL-2.0

//! Beancounters: a cgroup v2 controller that counts and limits kernel objects per container.
//!
//! C headers: [`include/linux/bc.h`](srctree/include/linux/bc.h),
//! [`kernel/cgroup/bc/internal.h`](srctree/kernel/cgroup/bc/internal.h)
//!
//! | file | what it holds |
//! |---|---|
//! | `subsys.c` | the controller as the cgroup core sees it |
//! | `resource.rs` | the table of resources |
//! | `limits.rs` | the arithmetic of barriers, limits and stocks |
//! | `counter.rs` | one resource of one cgroup |
//! | `cgroup.rs` | charges through the levels of the hierarchy |
//! | `stock.rs`, `stock.c` | per-CPU stocks |
//! | `numproc.rs` | the resource that follows tasks |
//! | `pages.rs`, `mm.c` | the resources of pages, and the address spaces that have them |
//! | `guarantee.rs`, `guarantee.c` | what is not refused, and not taken away |
//! | `sockbuf.c` | what sockets have to send, and have received |
//! | `files.rs`, `parse.rs` | the interface files |
//! | `report.c`, `ubc/` | OpenVZ's files, which are a module |
//! | `ffi.rs` | everything that is called in C |
//!
//! Not supported: cgroup v1, threaded cgroups (their threads count at the domain cgroup).
//!
//! Reference: <https://docs.kernel.org/admin-guide/beancounters.html>

mod cgroup;
mod counter;
mod ffi;
mod files;
mod guarantee;
mod limits;
mod numproc;
mod pages;
mod parse;
mod resource;
mod stock;

/// What `module!` would define; `pr_*!` need it.
const __LOG_PREFIX: &[u8] = b"bc\0";
