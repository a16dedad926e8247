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
    resource::{
        Resource,
        Unit, //
    },
};
use kernel::prelude::*;

/// Charges one unit, to which the caller gives its reference, and fills the stock of this CPU where
/// that is allowed. May sleep.
///
/// # Errors
///
/// The errno of the resource; the refusal was reported.
pub(crate) fn refill(bc: &Bc, resource: &Resource) -> Result {
    charge_exactly(bc, None, resource, 1, Severity::Strict, true)?;
    bc.head.stock_fill(resource);
    Ok(())
}

/// Charges `nr` units that `other` is charged already, at the levels that it is not. May sleep.
///
/// # Errors
///
/// The errno of the resource; the refusal was reported if it is final.
pub(crate) fn charge_exactly(
    bc: &Bc,
    other: Option<&Bc>,
    resource: &Resource,
    nr: i64,
    severity: Severity,
    is_final: bool,
) -> Result {
    let Err(refusal) = bc.charge_apart_from(other, resource, nr, severity) else {
        return Ok(());
    };

    // What stands against the setting may be in the stocks of other CPUs, of the whole subtree.
    refusal.at.head.stock_recall(false);
    bc.charge_apart_from(other, resource, nr, severity)
        .map_err(|refusal| {
            if is_final {
                refusal.report(bc, resource, nr);
            }
            resource.errno
        })
}

/// How many units a CPU may have in stock as things are, of which it has `avail`. Charges the
/// others. Does not sleep.
pub(crate) fn advance(bc: &Bc, resource: &Resource, cpus: u32, avail: i32) -> i32 {
    let headroom = bc
        .levels()
        .map(|level| level.counter(resource).headroom())
        .min()
        .unwrap_or(UNLIMITED);
    let stock = limits::stock(resource.stock, headroom, cpus);
    let nr = stock.saturating_sub(avail);

    if nr <= 0 {
        return stock;
    }
    // Nobody asked for it: a refusal is not worth a report.
    if bc
        .charge(resource, i64::from(nr), Severity::Strict)
        .is_err()
    {
        return 0;
    }
    if resource.unit == Unit::Object {
        // CAST: It is above 0.
        bc.head.get_many(nr as u32);
    }
    stock
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

/// Gives back `nr` units that nobody uses.
pub(crate) fn release(bc: &Bc, resource: &Resource, nr: i64) {
    bc.uncharge(resource, nr);
    if resource.unit == Unit::Object {
        bc.head.put_many(nr);
    }
}
