// SPDX-License-Identifier: GPL-2.0

//! Figures of earlier commits, kept in the cache: what became dearer since?

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use xshell::{Shell, cmd};

use super::cost::Cost;
use crate::kernel::Base;
use crate::{cmd, paths};

/// How many commits are looked at.
const DEPTH: &str = "200";

/// What was measured at a commit.
#[derive(Debug, Deserialize, Serialize)]
pub struct Before {
    /// Its abbreviated name.
    pub commit: String,
    costs: Vec<Cost>,
}

impl Before {
    /// Instructions of an operation in a state, if that was measured.
    pub fn median(&self, operation: &str, state: &str) -> Option<f64> {
        self.costs
            .iter()
            .find(|cost| cost.operation == operation && cost.state == state)
            .map(|cost| cost.median)
    }
}

/// Where the figures of a commit are.
fn file(base: &Base, commit: &str) -> PathBuf {
    let name = format!("bc-{}-{commit}.json", base.name());
    paths::cache().join("bench").join(name)
}

/// Abbreviated names of the commits up to here, the newest first.
fn commits() -> Result<Vec<String>> {
    let sh = Shell::new()?;
    sh.change_dir(paths::repo());
    let said = cmd::run(cmd!(sh, "git log --format=%h --abbrev=12 -n {DEPTH}")).ok()?;
    Ok(said.lines().map(str::to_owned).collect())
}

/// Whether there is something that is not committed yet.
fn is_changed() -> Result<bool> {
    let sh = Shell::new()?;
    sh.change_dir(paths::repo());
    let said = cmd::run(cmd!(sh, "git status --porcelain --untracked-files=no")).ok()?;
    Ok(!said.trim().is_empty())
}

/// What was measured at the last commit before this, which is the present one if something is not
/// committed yet.
///
/// # Errors
///
/// This is no clone, or the figures cannot be read.
pub fn latest(base: &Base) -> Result<Option<Before>> {
    let same = usize::from(!is_changed()?);
    for commit in commits()?.iter().skip(same) {
        let file = file(base, commit);
        if !file.exists() {
            continue;
        }
        // Another version of this tool may have kept other things.
        if let Ok(before) = serde_json::from_str(&fs::read_to_string(&file)?) {
            return Ok(Some(before));
        }
    }
    Ok(None)
}

/// Keeps what was measured at this commit, unless something is not committed yet.
///
/// # Errors
///
/// This is no clone, or the cache cannot be written.
pub fn keep(base: &Base, costs: &[Cost]) -> Result<()> {
    if is_changed()? {
        return Ok(());
    }
    let commits = commits()?;
    let commit = commits.first().context("there is no commit yet")?;
    let file = file(base, commit);
    let kept = serde_json::json!({ "commit": commit, "costs": costs });
    fs::create_dir_all(file.parent().unwrap_or(&file))?;
    fs::write(&file, serde_json::to_string_pretty(&kept)?)
        .with_context(|| format!("writing {}", file.display()))
}
