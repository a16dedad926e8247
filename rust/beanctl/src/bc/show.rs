// SPDX-License-Identifier: GPL-2.0

//! `beanctl bc show`: the five numbers of each resource, as user beancounters showed them.

use anyhow::Result;
use serde::Serialize;

use super::rows::{self, Row};
use super::table;
use super::tree::{Group, Tree};
use super::value::human;
use super::{Chosen, NONE};
use crate::print;

/// The command line of `beanctl bc show`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    chosen: Chosen,
    /// Prints it for machines; numbers are in the unit of the resource.
    #[arg(long)]
    json: bool,
}

/// What is printed for machines.
#[derive(Serialize)]
struct Shown<'a> {
    cgroup: &'a str,
    resources: Vec<Row>,
}

/// Shows cgroups.
///
/// # Errors
///
/// There is nothing to show.
pub fn run(tree: &Tree, args: &Args) -> Result<()> {
    let groups = args.chosen.groups(tree)?;
    let mut shown = Vec::new();
    for group in &groups {
        let rows = rows::read(group)?;
        if !rows.is_empty() {
            shown.push((group, rows));
        } else if !args.chosen.recursive {
            return Err(tree.why_without(group).into());
        }
    }
    let Some((_, first)) = shown.first() else {
        let group = groups.first().cloned().unwrap_or_else(|| tree.top());
        return Err(tree.why_without(&group).into());
    };
    if !args.chosen.recursive && !first.iter().any(|row| row.controller == "bc") {
        // Not wrong, but perhaps not what was meant.
        let why = tree.why_without(shown[0].0);
        eprintln!("note: {why}");
        if let Some(fix) = why.fix {
            eprintln!("  fix: {fix}");
        }
    }
    if args.json {
        let shown = shown.into_iter().map(|(group, resources)| Shown {
            cgroup: group.name(),
            resources,
        });
        let shown: Vec<_> = shown.collect();
        return print(&format!("{}\n", serde_json::to_string_pretty(&shown)?));
    }
    let parts: Vec<_> = shown
        .iter()
        .map(|(group, rows)| of_one(group, rows))
        .collect();
    print(&parts.join("\n"))
}

fn of_one(group: &Group, rows: &[Row]) -> String {
    let columns = ["resource", "held", "maxheld", "barrier", "limit", "failcnt"];
    let mut table = table::table(columns);
    for row in rows {
        let unit = row.unit;
        let number = |number: Option<u64>| number.map_or(NONE.to_owned(), |n| human(n, unit));
        let failcnt = row.failcnt.map_or(NONE.to_owned(), |n| n.to_string());
        let bound = |bound: Option<super::value::Bound>| {
            bound.map_or(NONE.to_owned(), |bound| bound.human(unit))
        };
        table.add_row([
            crate::text::printable(&row.resource),
            human(row.held, unit),
            number(row.maxheld),
            bound(row.barrier),
            bound(row.limit),
            failcnt,
        ]);
    }
    format!("{}\n{}", group.printable(), table::text(&table))
}

#[cfg(test)]
mod tests {
    use super::super::sample::Sample;
    use super::*;

    #[test]
    fn people_see_a_table() {
        let sample = Sample::new();
        let group = sample.group("shop");
        let rows = rows::read(&group).unwrap();
        insta::assert_snapshot!(of_one(&group, &rows));
    }
}
