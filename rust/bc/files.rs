// SPDX-License-Identifier: GPL-2.0

//! The interface files: flat-keyed, but for the nested-keyed `bc.stat`; one line per resource.

use crate::{
    cgroup::Bc,
    ffi,
    guarantee,
    limits::{
        Setting,
        UNLIMITED, //
    },
    parse::{
        self,
        Mistake, //
    },
    resource::{
        Resource,
        RESOURCES, //
    }, //
};
use kernel::{
    error::code::ERANGE,
    fmt,
    prelude::*,
    seq_file::SeqFile,
    seq_print, //
};

/// What a file shows.
#[derive(Clone, Copy)]
pub(crate) enum File {
    Current,
    Peak,
    Setting(Setting),
    Low,
    Events,
    EventsLocal,
    Stat,
}

/// A setting as the user writes it.
struct Value(i64);

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            UNLIMITED => f.write_str("max"),
            value => fmt::Display::fmt(&value, f),
        }
    }
}

/// Writes the whole of a file.
pub(crate) fn show(m: &SeqFile, bc: &Bc, file: File) {
    if let File::Low = file {
        for one in guarantee::ALL {
            seq_print!(m, "{} {}\n", one.name(), Value(bc.guarantees.get(one)));
        }
        return;
    }
    for resource in &RESOURCES {
        show_one(m, bc, file, resource);
    }
}

fn show_one(m: &SeqFile, bc: &Bc, file: File, resource: &Resource) {
    let name = resource.name;
    let counter = bc.counter(resource);
    let settings = counter.settings();
    let shown = |nr| resource.shown(nr);
    let setting = |nr| Value(resource.shown(nr));

    match file {
        File::Current => seq_print!(m, "{} {}\n", name, shown(bc.held(resource))),
        File::Peak => seq_print!(m, "{} {}\n", name, shown(counter.peak())),
        File::Setting(Setting::High) => seq_print!(m, "{} {}\n", name, setting(settings.high)),
        File::Setting(Setting::Max) => seq_print!(m, "{} {}\n", name, setting(settings.max)),
        File::Low => {}
        File::Events | File::EventsLocal => {
            let refusals = match file {
                File::Events => &counter.total,
                _ => &counter.local,
            };
            seq_print!(m, "{}.high {}\n", name, refusals.by_high());
            seq_print!(m, "{}.max {}\n", name, refusals.by_max());
        }
        File::Stat => {
            seq_print!(
                m,
                "{} held={} maxheld={} barrier={} limit={} failcnt={}\n",
                name,
                shown(bc.held(resource)),
                shown(counter.peak()),
                setting(settings.high),
                setting(settings.max),
                counter.local.all()
            );
        }
    }
}

/// The values that `text` has for things of these names.
fn values<const NR: usize>(text: &[u8], names: [&CStr; NR]) -> Result<[Option<i64>; NR]> {
    let text = core::str::from_utf8(text).map_err(|_| EINVAL)?;
    let row = |name: &str| names.iter().position(|n| n.to_bytes() == name.as_bytes());
    parse::settings(text, row).map_err(|mistake| match mistake {
        Mistake::Invalid => EINVAL,
        Mistake::Range => ERANGE,
    })
}

/// Changes guarantees to what was written; all of it or nothing.
///
/// # Errors
///
/// As those of [`set`].
pub(crate) fn set_low(bc: &Bc, text: &[u8]) -> Result {
    let values = values(text, guarantee::ALL.map(|one| one.name()))?;

    for (one, value) in guarantee::ALL.into_iter().zip(values) {
        let Some(value) = value else { continue };
        // Before anybody can take it back, and not before nobody has it any more.
        ffi::guarantees_count(c_int::from(value > 0));
        let before = bc.guarantees.set(one, value);
        ffi::guarantees_count(-c_int::from(before > 0));
    }
    Ok(())
}

/// Changes settings to what was written; all of it or nothing.
///
/// # Errors
///
/// `EINVAL` for what is not understood, `ERANGE` for a number that is too large.
pub(crate) fn set(bc: &Bc, setting: Setting, text: &[u8]) -> Result {
    let values = values(text, RESOURCES.each_ref().map(|resource| resource.name))?;

    let mut lowered = false;
    for (resource, value) in RESOURCES.iter().zip(values) {
        let Some(value) = value else { continue };
        let value = resource.counted(value);
        // Before it refuses anything, and not before it does no longer.
        ffi::sockbufs_count(c_int::from(resource.turns_on(value)));
        let before = bc.counter(resource).set(setting, value);
        ffi::sockbufs_count(-c_int::from(resource.turns_on(before)));
        lowered |= resource.stock > 0 && value < before;
    }
    // What is in stock was charged below the former settings.
    if lowered {
        bc.head.stock_recall(true);
    }
    Ok(())
}
