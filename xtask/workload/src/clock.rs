// SPDX-License-Identifier: GPL-2.0

//! The clock that everything is measured with.

use std::time::Duration;

use anyhow::Result;
use nix::time::{ClockId, clock_gettime};

/// The time since some moment.
///
/// # Errors
///
/// The kernel has no such clock.
pub fn now() -> Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_MONOTONIC)?.into())
}
