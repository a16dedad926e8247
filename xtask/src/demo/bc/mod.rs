// SPDX-License-Identifier: GPL-2.0

//! `cargo xtask demo bc`: two containers side by side in a guest, a bomb in one of them.

mod words;

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Result;
use comfy_table::{CellAlignment, Table, presets};

use crate::exit::Exit;
use crate::guest::{self, Kernel, Script};
use crate::kernel::{Arch, Base, Config, build};
use crate::workload;
use words::{Bomb, Facts, Stat};

/// What the containers are called in the script, and what they do.
const CONTAINERS: [(&str, &str); 2] = [("quiet", "works"), ("bomb", "is full of bombs")];

/// Builds the kernel and shows the two containers.
///
/// # Errors
///
/// The machine cannot do it, or what was to be shown did not happen.
pub fn run(base: &Base) -> Result<ExitCode> {
    let kernel = Kernel::from(build::ensure(base, &Config::new(Arch::Qemu))?);
    let workload = workload::build("workload")?;

    eprintln!("booting a guest with two containers ...");
    let script = Script::new("demo", include_str!("guest.sh")).file("workload", workload);
    let console = guest::run(&kernel, script)?;
    let verdict = console.verdict();
    if !matches!(verdict.exit, Exit::Pass | Exit::Findings) {
        return console.check().map(|()| Exit::Pass.into());
    }
    let facts = Facts::read(&console.output);
    show(&facts);

    let mut wrong = facts.wrong();
    wrong.extend(verdict.findings());
    if wrong.is_empty() {
        println!("\nBoth bombs were refused at their barriers; the neighbour did all of its work.");
        return Ok(Exit::Pass.into());
    }
    Err(console.failure(Exit::Findings, &wrong).into())
}

fn show(facts: &Facts) {
    println!();
    if let Some(work) = &facts.work {
        println!(
            "quiet: {} rounds of work, {} failed",
            work.rounds, work.failed
        );
    }
    for Bomb {
        name,
        made,
        refused,
        errno,
    } in &facts.bombs
    {
        println!("bomb:  {name} got {made}, then was refused {refused} times with {errno}");
    }

    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header([
        "container",
        "resource",
        "held",
        "maxheld",
        "barrier",
        "limit",
        "failcnt",
    ]);
    for (name, what) in CONTAINERS {
        for Stat { resource, values } in facts.stats.get(name).into_iter().flatten() {
            let mut row = vec![format!("{name} ({what})"), resource.clone()];
            row.extend(values.iter().map(|(_, value)| value.clone()));
            table.add_row(row);
        }
    }
    right_align(&mut table, 2..7);
    println!("\nAfter all of their processes have gone:\n{table}");

    let mut causes: BTreeMap<[&str; 5], u64> = BTreeMap::new();
    for refusal in &facts.refusals {
        let word = |key| refusal.get(key).map_or("?", String::as_str);
        let container = facts.name_of(word("cgroup"));
        let at = facts.name_of(word("at"));
        let setting = if word("refused_by") == "high" {
            "barrier"
        } else {
            "limit"
        };
        *causes
            .entry([container, word("comm"), word("resource"), setting, at])
            .or_default() += 1;
    }
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["who", "program", "wanted", "refused by the", "of", "times"]);
    for (cause, times) in causes {
        let mut row: Vec<String> = cause.iter().map(|word| (*word).to_owned()).collect();
        row.push(times.to_string());
        table.add_row(row);
    }
    right_align(&mut table, 5..6);
    println!("\nWhat refused what:\n{table}");
}

fn right_align(table: &mut Table, columns: std::ops::Range<usize>) {
    for column in columns {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}
