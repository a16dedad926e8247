// SPDX-License-Identifier: GPL-2.0

//! One resource of one cgroup.

use crate::limits::{
    Setting,
    Settings,
    Severity, //
};
use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};

/// How often each setting refused a request.
pub(crate) struct Refusals {
    high: Atomic<i64>,
    max: Atomic<i64>,
}

impl Refusals {
    /// Counts one.
    pub(crate) fn count(&self, by: Setting) {
        match by {
            Setting::High => self.high.add(1, Relaxed),
            Setting::Max => self.max.add(1, Relaxed),
        }
    }

    /// Those by the barrier.
    pub(crate) fn by_high(&self) -> i64 {
        self.high.load(Relaxed)
    }

    /// Those by the limit.
    pub(crate) fn by_max(&self) -> i64 {
        self.max.load(Relaxed)
    }

    /// All of them.
    pub(crate) fn all(&self) -> i64 {
        self.by_high().wrapping_add(self.by_max())
    }
}

/// The counter and its settings.
///
/// A request passes in two steps: it is reserved at every level, where a setting may refuse it, and
/// then committed at every level. What is shown is what was committed, so that neither the held
/// count nor the peak has ever seen a request that a higher level refused.
///
/// # Invariants
///
/// `held` is at most `reserved` while nobody is inside one of the methods.
#[repr(align(64))]
pub(crate) struct Counter {
    reserved: Atomic<i64>,
    held: Atomic<i64>,
    peak: Atomic<i64>,
    high: Atomic<i64>,
    max: Atomic<i64>,
    /// Refusals by the settings of this cgroup.
    pub(crate) local: Refusals,
    /// The same with those by the settings of its descendants.
    pub(crate) total: Refusals,
}

impl Counter {
    /// The settings as they are.
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            high: self.high.load(Relaxed),
            max: self.max.load(Relaxed),
        }
    }

    /// Changes a setting, and returns what it was; what is held already stays, even above it.
    pub(crate) fn set(&self, setting: Setting, value: i64) -> i64 {
        match setting {
            Setting::High => self.high.xchg(value, Relaxed),
            Setting::Max => self.max.xchg(value, Relaxed),
        }
    }

    /// What was granted, including what is in stock.
    pub(crate) fn held(&self) -> i64 {
        self.held.load(Relaxed)
    }

    /// The most that was ever held, including what was in stock then.
    pub(crate) fn peak(&self) -> i64 {
        self.peak.load(Relaxed)
    }

    /// How many strict requests for one more would pass here.
    pub(crate) fn headroom(&self) -> i64 {
        self.settings().headroom(self.reserved.load(Relaxed))
    }

    /// First step of a request.
    ///
    /// # Errors
    ///
    /// The setting that refuses it; nothing is changed then.
    pub(crate) fn reserve(&self, nr: i64, severity: Severity) -> Result<(), Setting> {
        let mut reserved = self.reserved.load(Relaxed);
        loop {
            let new = self.settings().request(reserved, nr, severity)?;
            match self.reserved.cmpxchg(reserved, new, Relaxed) {
                Ok(_) => return Ok(()),
                Err(now) => reserved = now,
            }
        }
    }

    /// Takes [`Counter::reserve`] back.
    pub(crate) fn cancel(&self, nr: i64) {
        self.reserved.fetch_sub(nr, Relaxed);
    }

    /// Second step of a request.
    pub(crate) fn commit(&self, nr: i64) {
        let held = self.held.fetch_add(nr, Relaxed).wrapping_add(nr);
        let mut peak = self.peak.load(Relaxed);
        while peak < held {
            match self.peak.cmpxchg(peak, held, Relaxed) {
                Ok(_) => break,
                Err(now) => peak = now,
            }
        }
    }

    /// Gives back what was committed.
    pub(crate) fn release(&self, nr: i64) {
        self.held.fetch_sub(nr, Relaxed);
        self.reserved.fetch_sub(nr, Relaxed);
    }
}
