// SPDX-License-Identifier: GPL-2.0

//! Builds, tests and prepares the beanpod patch series.

mod cmd;
mod exit;
mod paths;

fn main() {}
