// SPDX-License-Identifier: GPL-2.0

//! What the checks of a series found, as a table and as data.

use std::fmt::Write;

use serde::Serialize;

/// How one check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It ran and found nothing.
    Pass,
    /// It found something.
    Fail,
    /// It could not run.
    Skip,
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Outcome::Pass => "pass",
            Outcome::Fail => "FAIL",
            Outcome::Skip => "skip",
        }
    }
}

/// One check on one base.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The version of the base.
    pub base: String,
    /// The name of the check.
    pub check: &'static str,
    /// How it ended.
    pub outcome: Outcome,
    /// What was checked, or why not.
    pub detail: String,
    /// One line each.
    pub findings: Vec<String>,
}

impl Row {
    /// A check that ran; it passed if there are no findings.
    pub fn ran(base: &str, check: &'static str, detail: String, findings: Vec<String>) -> Self {
        let outcome = match findings.as_slice() {
            [] => Outcome::Pass,
            _ => Outcome::Fail,
        };
        Self {
            base: base.to_owned(),
            check,
            outcome,
            detail,
            findings,
        }
    }

    /// A check that could not run, and why.
    pub fn skipped(base: &str, check: &'static str, why: String) -> Self {
        Self {
            outcome: Outcome::Skip,
            ..Self::ran(base, check, why, Vec::new())
        }
    }
}

/// The findings, then one line for each check.
pub fn text(rows: &[Row]) -> String {
    let mut text = String::new();
    for row in rows {
        for finding in &row.findings {
            let _ = writeln!(text, "{} {}: {finding}", row.base, row.check);
        }
    }
    if !text.is_empty() {
        text.push('\n');
    }
    let width = |of: fn(&Row) -> usize| rows.iter().map(of).max().unwrap_or(0);
    let base = width(|row| row.base.len());
    let check = width(|row| row.check.len());
    for row in rows {
        let _ = writeln!(
            text,
            "{:base$}  {:check$}  {}  {}",
            row.base,
            row.check,
            row.outcome.name(),
            row.detail
        );
    }
    text
}
