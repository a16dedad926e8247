// SPDX-License-Identifier: GPL-2.0

//! `beanctl bc check`: what in the settings of a cgroup does not fit together.

use std::process::ExitCode;

use anyhow::Result;
use serde_json::json;

use super::Chosen;
use super::rows;
use super::rules::{self, Outcome};
use super::tree::{Group, Tree};
use crate::ckpt::plural;
use crate::failure::Exit;
use crate::print;

/// The command line of `beanctl bc check`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    chosen: Chosen,
    /// Also names the rules that do not apply, and why.
    #[arg(short, long)]
    verbose: bool,
    /// Prints the result for machines.
    #[arg(long, conflicts_with = "verbose")]
    json: bool,
}

/// Checks cgroups.
///
/// # Errors
///
/// There is nothing to check.
pub fn run(tree: &Tree, args: &Args) -> Result<ExitCode> {
    let groups = args.chosen.groups(tree)?;
    let mut found = Vec::new();
    for group in &groups {
        let rows = rows::read(group)?;
        if rows.iter().any(|row| row.controller == "bc") {
            found.push((group, rules::examine(&rows)));
        } else if !args.chosen.recursive {
            return Err(tree.why_without(group).into());
        }
    }
    if found.is_empty() {
        let group = groups.first().cloned().unwrap_or_else(|| tree.top());
        return Err(tree.why_without(&group).into());
    }
    if args.json {
        let found: Vec<_> = found
            .iter()
            .map(|(group, outcome)| machine(group, outcome))
            .collect();
        print(&format!("{:#}\n", json!(found)))?;
    } else {
        let text = |(group, outcome): &(&Group, Outcome)| human(group, outcome, args.verbose);
        print(&found.iter().map(text).collect::<String>())?;
    }
    let broken = found
        .iter()
        .any(|(_, outcome)| !outcome.findings.is_empty());
    Ok(match broken {
        true => Exit::Failed.into(),
        false => ExitCode::SUCCESS,
    })
}

fn human(group: &Group, outcome: &Outcome, verbose: bool) -> String {
    let name = group.printable();
    let kept = plural(outcome.kept, "rule is kept", "rules are kept");
    let mut out = match outcome.findings.len() {
        0 => format!("{name}: {kept}\n"),
        broken => {
            let broken = plural(broken, "rule is broken", "rules are broken");
            format!("{name}: {broken}, {kept}\n")
        }
    };
    for finding in &outcome.findings {
        out += &format!("  rule: {}\n", finding.rule);
        out += &format!("    values: {}\n", finding.values);
        out += &format!("    fix: beanctl bc set {name} {}\n", finding.settings);
    }
    if verbose {
        for skipped in &outcome.skipped {
            out += &format!("  skipped: {}: {}\n", skipped.rule, skipped.why);
        }
    }
    out
}

fn machine(group: &Group, outcome: &Outcome) -> serde_json::Value {
    let findings = outcome.findings.iter().map(|finding| {
        json!({
            "rule": finding.rule,
            "values": finding.values,
            "settings": finding.settings,
        })
    });
    let skipped = outcome
        .skipped
        .iter()
        .map(|skipped| json!({ "rule": skipped.rule, "why": skipped.why }));
    json!({
        "cgroup": group.name(),
        "findings": findings.collect::<Vec<_>>(),
        "skipped": skipped.collect::<Vec<_>>(),
        "kept": outcome.kept,
    })
}

#[cfg(test)]
mod tests {
    use super::super::sample::Sample;
    use super::*;

    #[test]
    fn a_finding_has_its_rule_its_values_and_a_way_out() {
        let sample = Sample::new();
        let mut text = String::new();
        for name in ["idle", "shop", "shop/db"] {
            let group = sample.group(name);
            let outcome = rules::examine(&rows::read(&group).unwrap());
            text += &human(&group, &outcome, true);
        }
        insta::assert_snapshot!(text);
    }
}
