// SPDX-License-Identifier: GPL-2.0

//! Charges that find nothing in stock, and how much goes there. How stocks work is in
//! [`kernel/cgroup/bc/stock.c`](srctree/kernel/cgroup/bc/stock.c).

use crate::{
    cgroup::Bc,
    limits::{
        self,
        Severity,
        UNLIMITED, //
    },
    resource::Resource, //
};
use kernel::prelude::*;

/// Charges one unit, to which the caller gives its reference, and fills the stock of this CPU where
/// that is allowed. May sleep.
///
/// # Errors
///
/// The errno of the resource; the refusal was reported.
pub(crate) fn refill(bc: &Bc, resource: &Resource) -> Result {
    let Err(refusal) = bc.charge(resource, 1, Severity::Strict) else {
        bc.head.stock_fill(resource);
        return Ok(());
    };

    // What stands against the setting may be in the stocks of other CPUs, of the whole subtree.
    refusal.at.head.stock_recall(false);
    bc.charge(resource, 1, Severity::Strict).map_err(|refusal| {
        refusal.report(bc, resource, 1);
        resource.errno
    })
}

/// Charges as many units as a CPU may have in stock as things are, each with its reference; how
/// many they are. Does not sleep.
pub(crate) fn advance(bc: &Bc, resource: &Resource, cpus: u32) -> i32 {
    let headroom = bc
        .levels()
        .map(|level| level.counter(resource).headroom())
        .min()
        .unwrap_or(UNLIMITED);
    let nr = limits::stock(resource.stock, headroom, cpus);

    // Nobody asked for it: a refusal is not worth a report.
    if nr == 0
        || bc
            .charge(resource, i64::from(nr), Severity::Strict)
            .is_err()
    {
        return 0;
    }
    // CAST: No stock is negative.
    bc.head.get_many(nr as u32);
    nr
}

/// Charges `nr` units, each with a reference, or none. Does not sleep.
///
/// Stock elsewhere may be what refuses it. Who is not `final` calls [`make_room`] and comes again,
/// and until then nobody has refused anything.
///
/// # Errors
///
/// The errno of the resource; the refusal was reported if it is final.
pub(crate) fn grant(
    bc: &Bc,
    resource: &Resource,
    nr: u32,
    severity: Severity,
    is_final: bool,
) -> Result {
    if let Err(refusal) = bc.charge(resource, i64::from(nr), severity) {
        if is_final {
            refusal.report(bc, resource, i64::from(nr));
            if resource.stock > 0 {
                refusal.at.head.stock_recall_later();
            }
        }
        return Err(resource.errno);
    }
    bc.head.get_many(nr);
    if resource.stock > 0 {
        bc.head.stock_fill(resource);
    }
    Ok(())
}

/// Recalls the stocks below the highest level that has nothing left. May sleep.
pub(crate) fn make_room(bc: &Bc, resource: &Resource) {
    let full = bc
        .levels()
        .filter(|level| level.counter(resource).headroom() == 0)
        .last();
    if let Some(level) = full {
        level.head.stock_recall(false);
    }
}

/// Gives back `nr` units that nobody uses, each with its reference.
pub(crate) fn release(bc: &Bc, resource: &Resource, nr: i64) {
    bc.uncharge(resource, nr);
    bc.head.put_many(nr);
}
