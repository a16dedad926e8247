// SPDX-License-Identifier: GPL-2.0

//! `beanctl bc explain`: what there is to know of a resource.

use anyhow::Result;

use super::resource::{RESOURCES, Resource, Source, find};
use super::tree::Tree;
use super::{rows, table};
use crate::failure::{Exit, Failure};
use crate::print;

/// The command line of `beanctl bc explain`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Its name; all are listed unless one is said.
    resource: Option<String>,
}

/// What the running kernel has.
#[derive(Debug, Default)]
struct Here {
    /// Names that `bc` counts or guarantees; nothing if no cgroup has it enabled.
    counted: Option<Vec<String>>,
    memory: bool,
    pids: bool,
}

/// Explains one, or lists all.
///
/// # Errors
///
/// There is no such resource.
pub fn run(tree: Option<&Tree>, args: &Args) -> Result<()> {
    let here = tree.map(Here::look).transpose()?.unwrap_or_default();
    let Some(name) = &args.resource else {
        return print(&list(&here));
    };
    let Some(resource) = find(name) else {
        let names: Vec<_> = RESOURCES.iter().map(|resource| resource.name).collect();
        let what = format!("there is no resource `{name}`");
        let fix = format!("one of {}", names.join(", "));
        return Err(Failure::new(Exit::Usage, what).fix(fix).into());
    };
    print(&one(resource, &here))
}

impl Here {
    fn look(tree: &Tree) -> Result<Self> {
        let top = tree.top();
        let controllers = top.read("cgroup.controllers")?.unwrap_or_default();
        let has = |name| {
            controllers
                .split_ascii_whitespace()
                .any(|word| word == name)
        };
        let mut counted = None;
        if has("bc") {
            // Any cgroup will do: they all have the same.
            for group in tree.below(&top)? {
                let rows = rows::counted(&group)?;
                if !rows.is_empty() {
                    let guarantees = group.read("bc.low")?.unwrap_or_default();
                    let names = guarantees.lines().filter_map(|line| line.split(' ').next());
                    let names = names.map(str::to_owned);
                    counted = Some(
                        rows.into_iter()
                            .map(|row| row.resource)
                            .chain(names)
                            .collect(),
                    );
                    break;
                }
            }
        } else {
            counted = Some(Vec::new());
        }
        Ok(Self {
            counted,
            memory: has("memory"),
            pids: has("pids"),
        })
    }

    /// Who has the numbers here.
    fn of(&self, resource: &Resource) -> &'static str {
        let counted = self.counted.as_ref();
        let counted = counted.map(|names| names.iter().any(|name| name == resource.name));
        match (resource.source, counted) {
            (Source::Memory(_), _) if self.memory => "memory",
            (Source::Memory(_), _) => "no",
            (_, Some(true)) => "bc",
            (Source::BcOrPids, _) if self.pids => "pids",
            (_, Some(false)) => "no",
            (_, None) => "?",
        }
    }
}

fn list(here: &Here) -> String {
    let mut table = table::table(["resource", "unit", "here", "what is counted"]);
    table::left(&mut table, &[1, 2, 3]);
    for resource in &RESOURCES {
        let unit = resource.unit().name();
        table.add_row([resource.name, unit, here.of(resource), resource.counts]);
    }
    table::text(&table)
}

fn one(resource: &Resource, here: &Here) -> String {
    let here = match here.of(resource) {
        "bc" => "the controller `bc` counts it",
        "pids" => "the controller `pids` counts it",
        "memory" => "the controller `memory` counts it",
        "no" => "this kernel does not have it",
        _ => "cannot be told: no cgroup that is seen has the controller `bc`",
    };
    let mut lines = vec![
        ["counts", resource.counts],
        ["unit", resource.unit().name()],
        ["refusal", resource.refusal],
        ["payer", resource.payer],
        ["hint", resource.hint],
        ["here", here],
    ];
    if let Source::Memory(files) = resource.source {
        lines.push(["files", files]);
    }
    let text = table::text(&table::described(lines));
    format!(
        "{}
{text}",
        resource.name
    )
}

#[cfg(test)]
mod tests {
    use super::super::sample::Sample;
    use super::*;

    #[test]
    fn what_is_here_is_told_from_what_is_not() {
        let sample = Sample::new();
        let here = Here::look(&sample.tree()).unwrap();
        insta::assert_snapshot!(list(&here));
        let text: String = ["numfile", "physpages", "numpty"]
            .map(|name| one(find(name).unwrap(), &here))
            .concat();
        insta::assert_snapshot!(text);
    }

    #[test]
    fn without_bc_processes_are_those_of_pids() {
        let sample = Sample::new();
        sample.write("cgroup.controllers", "pids\n");
        let here = Here::look(&sample.tree()).unwrap();
        let of = |name| here.of(find(name).unwrap());
        assert_eq!(
            (of("numproc"), of("numfile"), of("physpages")),
            ("pids", "no", "no")
        );
    }

    #[test]
    fn what_no_cgroup_shows_is_left_open() {
        let sample = Sample::new();
        for group in ["idle", "shop", "shop/db", "shop/web"] {
            sample.remove(&format!("{group}/bc.stat"));
        }
        let here = Here::look(&sample.tree()).unwrap();
        assert_eq!(here.of(find("numfile").unwrap()), "?");
    }
}
