// SPDX-License-Identifier: GPL-2.0

//! How the rows of OpenVZ's files look.
//!
//! C header: [`kernel/cgroup/bc/internal.h`](srctree/kernel/cgroup/bc/internal.h)
//!
//! | file | what it holds |
//! |---|---|
//! | `proc.c` | the module, its files and who reads them |
//! | `layout.rs` | the order of rows, and their columns |
//! | `ffi.rs` | everything that is called in C |
//!
//! Not supported: what else OpenVZ has below `/proc/bc`.
//!
//! Reference: <https://docs.kernel.org/admin-guide/beancounters.html>

mod ffi;
mod layout;
