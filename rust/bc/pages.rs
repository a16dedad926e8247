// SPDX-License-Identifier: GPL-2.0

//! Resources of pages: charged in any number to who has one reference for all of them, an address
//! space, an inode or a socket.

use crate::{
    cgroup::Bc,
    limits::Severity,
    resource::Resource,
    stock, //
};
use kernel::prelude::*;

/// Charges `nr` pages that were not in stock, and fills the stock of this CPU where that is
/// allowed. May sleep.
///
/// # Errors
///
/// The errno of the resource; the refusal was reported if it is final.
pub(crate) fn refill(
    bc: &Bc,
    resource: &Resource,
    nr: i64,
    severity: Severity,
    is_final: bool,
) -> Result {
    stock::charge_exactly(bc, None, resource, nr, severity, is_final)?;
    bc.head.stock_fill(resource);
    Ok(())
}

/// Charges `nr` pages that were not in stock, and fills the stock of this CPU where that is
/// allowed. Does not sleep: stock elsewhere may be what refuses them.
///
/// # Errors
///
/// The errno of the resource; the refusal was reported, and the stock is on its way back.
pub(crate) fn grant(bc: &Bc, resource: &Resource, nr: i64, severity: Severity) -> Result {
    bc.charge(resource, nr, severity).map_err(|refusal| {
        refusal.report(bc, resource, nr);
        refusal.at.head.stock_recall_later();
        resource.errno
    })?;
    bc.head.stock_fill(resource);
    Ok(())
}

/// Moves the charge of `nr` pages from one cgroup, or from nobody, to another one, or to nobody.
/// May sleep.
///
/// # Errors
///
/// The errno of the resource; the refusal was reported, and nothing moved.
pub(crate) fn transfer(
    from: Option<&Bc>,
    to: Option<&Bc>,
    resource: &Resource,
    nr: i64,
    severity: Severity,
) -> Result {
    if let Some(to) = to {
        stock::charge_exactly(to, from, resource, nr, severity, true)?;
    }
    if let Some(from) = from {
        from.uncharge_apart_from(to, resource, nr);
    }
    Ok(())
}
