// SPDX-License-Identifier: GPL-2.0

//! Guarantees: what a container may rely on, in pages. They count nothing themselves, and refuse
//! nothing.
//!
//! A guarantee holds as long as the cgroup holds no more than that, and so at every level above:
//! what the levels above do not have they cannot give.

use crate::{
    cgroup::Bc,
    resource::{
        PRIVVMPAGES,
        SHMPAGES, //
    },
};
use kernel::{
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
};

/// How many guarantees there are.
pub(crate) const NR: usize = 2;

/// What is guaranteed.
#[derive(Clone, Copy)]
pub(crate) enum Guarantee {
    /// `vmguarpages`: private and shared memory may be asked for, whatever the machine has promised
    /// to others.
    Vm,
    /// `oomguarpages`: memory in use is taken away last when the machine has none left.
    Oom,
}

/// All of them, in the order in which `bc.low` shows them.
pub(crate) const ALL: [Guarantee; NR] = [Guarantee::Vm, Guarantee::Oom];

impl Guarantee {
    /// Its name in `bc.low`.
    pub(crate) fn name(self) -> &'static CStr {
        match self {
            Guarantee::Vm => c"vmguarpages",
            Guarantee::Oom => c"oomguarpages",
        }
    }
}

/// Those of one cgroup.
pub(crate) struct Guarantees([Atomic<i64>; NR]);

impl Guarantees {
    /// How many pages are guaranteed; 0 unless somebody said otherwise.
    pub(crate) fn get(&self, guarantee: Guarantee) -> i64 {
        self.0[guarantee as usize].load(Relaxed)
    }

    /// Changes one, and returns what it was.
    pub(crate) fn set(&self, guarantee: Guarantee, pages: i64) -> i64 {
        self.0[guarantee as usize].xchg(pages, Relaxed)
    }

    /// How many of them are there.
    pub(crate) fn count(&self) -> usize {
        ALL.iter().filter(|one| self.get(**one) > 0).count()
    }
}

/// Whether what is charged to a cgroup has to be granted by the machine.
pub(crate) fn holds_vm(bc: &Bc) -> bool {
    bc.levels().all(|level| {
        let held = level.held(PRIVVMPAGES).saturating_add(level.held(SHMPAGES));
        held <= level.guarantees.get(Guarantee::Vm)
    })
}

/// Whether the processes of a cgroup are to be spared.
pub(crate) fn holds_oom(bc: &Bc) -> bool {
    bc.levels().all(|level| {
        let guaranteed = level.guarantees.get(Guarantee::Oom);
        // Also who uses nothing yet has none if there is none.
        guaranteed > 0
            && level
                .head
                .memory_in_use()
                .is_some_and(|used| used <= guaranteed)
    })
}
