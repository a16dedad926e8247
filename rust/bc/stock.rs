// SPDX-License-Identifier: GPL-2.0

//! How much goes into the per-CPU stocks. How they work is in
//! [`kernel/cgroup/bc/stock.c`](srctree/kernel/cgroup/bc/stock.c).

use crate::{
    cgroup::Bc,
    ffi,
    limits::{
        self,
        Severity,
        UNLIMITED, //
    },
    resource::Resource, //
};
use kernel::{
    prelude::*,
    sync::barrier::{
        smp_mb,
        Full, //
    }, //
};

/// How many units this CPU may have in stock for `bc` as things are.
fn allowed(bc: &Bc, resource: &Resource) -> i32 {
    let headroom = bc
        .levels()
        .map(|level| level.counter(resource).headroom())
        .min()
        .unwrap_or(UNLIMITED);
    limits::stock(resource.stock, headroom, ffi::stock_cpus())
}

/// Charges one unit, and fills the stock of this CPU where that is allowed. The caller's reference
/// goes into the unit; may sleep.
///
/// # Errors
///
/// The errno of the resource; the refusal was reported.
pub(crate) fn refill(bc: &Bc, resource: &Resource) -> Result {
    let nr = allowed(bc, resource);

    if nr > 0
        && bc
            .charge(resource, i64::from(nr) + 1, Severity::Strict)
            .is_ok()
    {
        fill(bc, resource, nr);
        return Ok(());
    }
    let Err(refusal) = bc.charge(resource, 1, Severity::Strict) else {
        return Ok(());
    };

    // What stands against the setting may be in the stocks of other CPUs, of the whole subtree.
    refusal.at.head.stock_recall(resource);
    bc.charge(resource, 1, Severity::Strict).map_err(|refusal| {
        refusal.report(bc, resource, 1);
        resource.errno
    })
}

/// Puts charged units into the stock, unless that is no longer allowed.
fn fill(bc: &Bc, resource: &Resource, nr: i32) {
    bc.head.get_many(nr);
    if !bc.head.stock_fill(resource, nr) {
        release(bc, resource, i64::from(nr));
        return;
    }
    // Pairs with the barrier in `bc_stock_recall()`: either it sees what was just filled, or the
    // setting that it is for is seen here.
    smp_mb(Full);
    if allowed(bc, resource) == 0 {
        bc.head.stock_recall(resource);
    }
}

/// Gives back `nr` units that nobody uses, each with its reference.
pub(crate) fn release(bc: &Bc, resource: &Resource, nr: i64) {
    bc.uncharge(resource, nr);
    bc.head.put_many(nr);
}
