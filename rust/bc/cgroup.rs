// SPDX-License-Identifier: GPL-2.0

//! A cgroup of the controller, and charges through the levels of the hierarchy.

use crate::{
    counter::Counter,
    ffi::{
        self,
        Head, //
    },
    guarantee::Guarantees,
    limits::{
        Setting,
        Severity,
        UNLIMITED, //
    },
    resource::{
        Resource,
        NR,
        RESOURCES, //
    },
};
use core::{
    iter,
    ptr, //
};
use kernel::prelude::*;

/// A cgroup of the controller.
///
/// # Invariants
///
/// The memory of a parent outlives that of its children.
#[repr(C)]
pub(crate) struct Bc {
    /// What C knows of it; first, because C has pointers to it.
    pub(crate) head: Head,
    counters: [Counter; NR],
    /// What it may rely on.
    pub(crate) guarantees: Guarantees,
}

/// A refused request: the level that refused, and which of its settings.
pub(crate) struct Refusal<'a> {
    pub(crate) at: &'a Bc,
    setting: Setting,
}

impl Bc {
    /// A cgroup without settings that holds nothing.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(is_root: bool) -> Result<KBox<Self>> {
        let bc = KBox::<Self>::new_uninit(GFP_KERNEL | __GFP_ZERO)?;
        // SAFETY: The allocation is zeroed, which is a valid value of each field: C zeroes its
        // `struct bc_cgroup` alike, and the counters are integers.
        let bc = unsafe { bc.assume_init() };

        for counter in &bc.counters {
            counter.set(Setting::High, UNLIMITED);
            counter.set(Setting::Max, UNLIMITED);
        }
        if !is_root {
            bc.head.stock_alloc()?;
        }
        Ok(bc)
    }

    /// The counter of a resource.
    pub(crate) fn counter(&self, resource: &Resource) -> &Counter {
        &self.counters[resource.index]
    }

    /// This cgroup and its ancestors without the root, which pays for nothing.
    pub(crate) fn levels(&self) -> impl Iterator<Item = &Bc> {
        let mut next = Some(self);
        iter::from_fn(move || {
            let level = next?;
            next = Some(level.head.parent()?);
            Some(level)
        })
    }

    /// Whether this is one of the levels that `bc` is charged at.
    fn is_at_or_above(&self, bc: &Bc) -> bool {
        bc.levels().any(|level| ptr::eq(level, self))
    }

    /// The levels that `other` is not charged at: those below the first that both have.
    fn levels_apart_from<'a>(&'a self, other: Option<&'a Bc>) -> impl Iterator<Item = &'a Bc> {
        self.levels()
            .take_while(move |level| !other.is_some_and(|other| level.is_at_or_above(other)))
    }

    /// Charges `nr` units at every level, or at none.
    ///
    /// # Errors
    ///
    /// Who refused; [`Refusal::report`] tells it to the user.
    pub(crate) fn charge(
        &self,
        resource: &Resource,
        nr: i64,
        severity: Severity,
    ) -> Result<(), Refusal<'_>> {
        self.charge_apart_from(None, resource, nr, severity)
    }

    /// Charges `nr` units that `other` is charged already: the levels of both never notice.
    ///
    /// # Errors
    ///
    /// As those of [`Bc::charge`].
    pub(crate) fn charge_apart_from<'a>(
        &'a self,
        other: Option<&'a Bc>,
        resource: &Resource,
        nr: i64,
        severity: Severity,
    ) -> Result<(), Refusal<'a>> {
        for level in self.levels_apart_from(other) {
            if let Err(setting) = level.counter(resource).reserve(nr, severity) {
                for reserved in self.levels().take_while(|below| !ptr::eq(*below, level)) {
                    reserved.counter(resource).cancel(nr);
                }
                return Err(Refusal { at: level, setting });
            }
        }
        for level in self.levels_apart_from(other) {
            level.counter(resource).commit(nr);
        }
        Ok(())
    }

    /// Gives `nr` units back at every level.
    pub(crate) fn uncharge(&self, resource: &Resource, nr: i64) {
        self.uncharge_apart_from(None, resource, nr);
    }

    /// Gives `nr` units back that `other` is charged now.
    pub(crate) fn uncharge_apart_from(&self, other: Option<&Bc>, resource: &Resource, nr: i64) {
        for level in self.levels_apart_from(other) {
            level.counter(resource).release(nr);
        }
    }

    /// What is held here and below: what was granted, but for what is in the stocks of the subtree.
    ///
    /// Exact while nobody charges or uncharges.
    pub(crate) fn held(&self, resource: &Resource) -> i64 {
        let granted = self.counter(resource).held();
        if resource.stock == 0 {
            return granted;
        }
        granted
            .saturating_sub(self.head.subtree_stock(resource))
            .max(0)
    }
}

impl Drop for Bc {
    fn drop(&mut self) {
        // Nobody can give anything back any more.
        for resource in &RESOURCES {
            let held = self.counter(resource).held();
            if held != 0 {
                pr_warn!("{} {} left in a cgroup that is gone\n", held, resource.name);
            }
        }
        // CAST: They are two.
        ffi::guarantees_count(-(self.guarantees.count() as c_int));
        for resource in &RESOURCES {
            let settings = self.counter(resource).settings();
            for value in [settings.high, settings.max] {
                ffi::sockbufs_count(-c_int::from(resource.turns_on(value)));
            }
        }
        self.head.stock_free();
    }
}

impl Refusal<'_> {
    /// Counts the refusal where it happened, wakes who watches, and leaves a trace of its cause.
    pub(crate) fn report(&self, charged: &Bc, resource: &Resource, nr: i64) {
        let counter = self.at.counter(resource);

        counter.local.count(self.setting);
        self.at.head.notify_events_local();
        for level in self.at.levels() {
            level.counter(resource).total.count(self.setting);
            level.head.notify_events();
        }
        if !ffi::refusals_are_traced() {
            return;
        }
        ffi::trace_refusal(
            &charged.head,
            &self.at.head,
            resource.name,
            match self.setting {
                Setting::High => c"high",
                Setting::Max => c"max",
            },
            resource.shown(nr),
            resource.shown(self.at.held(resource)),
            counter.settings().map(|value| resource.shown(value)),
        );
    }
}
