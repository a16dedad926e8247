// SPDX-License-Identifier: GPL-2.0

//! Series of patches, composed from what the repository holds once; Documentation/toolkit/series.rst
//! describes the format.

mod allow;
mod check;
pub mod cli;
mod compile;
pub mod compose;
mod each;
mod git;
pub mod hunk;
pub mod layout;
mod mail;
mod refresh;
mod report;
pub mod topic;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::{Context, Result};

use crate::exit::{Exit, Failure};

pub use compose::Composed;
pub use topic::Topic;

/// A file of the kernel tree.
#[derive(Clone, Debug, Hash, PartialEq, Eq)]
pub struct File {
    /// Every byte of it; shared by the stages that do not change it.
    pub content: Rc<[u8]>,
    /// Whether git would give it mode 755.
    pub executable: bool,
}

impl File {
    /// Reads a file with its mode.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn read(path: &Path) -> Result<Self> {
        let read = || -> std::io::Result<Self> {
            Ok(Self {
                executable: fs::metadata(path)?.permissions().mode() & 0o111 != 0,
                content: fs::read(path)?.into(),
            })
        };
        read().with_context(|| path.display().to_string())
    }
}

/// Reads and composes what a topic has for a kernel tree; whatever does not fit is a finding, not a
/// failure of the machine.
///
/// # Errors
///
/// The first thing that does not fit, by patch and file.
pub fn load(topic_dir: &Path, base_tree: &Path) -> Result<(Topic, Composed)> {
    let load = || {
        let mut topic = Topic::load(topic_dir)?;
        let composed = compose::compose(&topic, base_tree)?;
        topic.truncate(composed.stages.len());
        Ok((topic, composed))
    };
    as_finding(topic_dir, load())
}

/// Blames an error that nothing else is to blame for on the topic.
fn as_finding<T>(topic_dir: &Path, result: Result<T>) -> Result<T> {
    result.map_err(|error| {
        if error.downcast_ref::<Failure>().is_some() {
            return error;
        }
        let what = format!("{}: {error:#}", topic_dir.display());
        Failure::new(Exit::Findings, what).into()
    })
}

/// Every file that the tip of a topic has different from the base or in addition to it, by its path
/// in the kernel tree. Says so when the mails cannot be made, and goes on: own files are edited
/// first, built and tested, and the hunks by which they grow follow.
///
/// # Errors
///
/// The topic cannot be read, or a hunk against the kernel's files does not fit.
pub fn tip_files(topic_dir: &Path, base_tree: &Path) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
    let compose = || {
        let topic = Topic::load(topic_dir)?;
        let tip = compose::tip(&topic, base_tree)?;
        if let Err(error) = compose::compose(&topic, base_tree) {
            eprintln!("note: the series cannot be mailed as it is: {error:#}");
        }
        Ok(tip)
    };
    let tip = as_finding(topic_dir, compose())?;
    Ok(tip
        .into_iter()
        .map(|(path, file)| (path, file.content.to_vec()))
        .collect())
}
