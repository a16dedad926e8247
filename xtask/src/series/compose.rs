// SPDX-License-Identifier: GPL-2.0

//! From the repository to the tree after each commit.
//!
//! A file of the kernel goes forward from the base: each commit's hunks are applied in order. An own
//! file goes backward from the tip, which is what the repository holds: the growth of later commits
//! is un-applied from the last one down to the commit that adds the file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::File;
use super::hunk::{self, Direction, FileDiff};
use super::topic::{Override, Topic};
use crate::kernel;

/// The touched files that exist at one stage.
pub type Tree = BTreeMap<PathBuf, File>;

/// A series on one base.
#[derive(Clone, Debug)]
pub struct Composed {
    /// Version and patch level, as `7.3`.
    pub base: String,
    /// With the point release, as `7.3.4`.
    pub version: String,
    /// What the base has of the touched files.
    pub before: Tree,
    /// After each commit, in order.
    pub stages: Vec<Tree>,
}

impl Composed {
    /// For a topic on a kernel tree, without any file yet.
    fn empty(topic: &Topic, base_tree: &Path) -> Result<Self> {
        let version = kernel::version(base_tree)?;
        Ok(Self {
            base: series_of(&version),
            version,
            before: Tree::new(),
            stages: vec![Tree::new(); topic.patches.len()],
        })
    }

    /// After the last commit.
    pub fn tip(&self) -> &Tree {
        self.stages.last().unwrap_or(&self.before)
    }
}

/// Composes every stage of a topic on a kernel tree, of which only the touched files are read.
///
/// # Errors
///
/// Whatever does not fit, by patch and file.
pub fn compose(topic: &Topic, base_tree: &Path) -> Result<Composed> {
    let mut composed = Composed::empty(topic, base_tree)?;
    let none = BTreeMap::new();
    let overrides = topic.overrides.get(&composed.base).unwrap_or(&none);
    for (path, stages) in own_stages(topic, overrides)? {
        let exists = base_tree.join(&path).exists();
        ensure!(
            !exists,
            "{}: `new:` file is in the base already",
            path.display()
        );
        for (stage, file) in composed.stages.iter_mut().zip(stages) {
            stage.extend(file.map(|file| (path.clone(), file)));
        }
    }
    composed.stages.truncate(topic.made_for(&composed.base));
    forward(topic, overrides, base_tree, &mut composed)?;
    Ok(composed)
}

/// The last stage alone, which is what kernels are built from. It needs no growth to be un-applied: the
/// own files are the tip as they are, also while somebody is editing them. That is so on a base that
/// the whole topic is made for.
///
/// # Errors
///
/// A hunk against the kernel's files does not fit.
pub fn tip(topic: &Topic, base_tree: &Path) -> Result<Tree> {
    let mut composed = Composed::empty(topic, base_tree)?;
    if topic.made_for(&composed.base) < topic.patches.len() {
        return Ok(compose(topic, base_tree)?.tip().clone());
    }
    let none = BTreeMap::new();
    let overrides = topic.overrides.get(&composed.base).unwrap_or(&none);
    forward(topic, overrides, base_tree, &mut composed)?;
    let mut tip = composed.stages.pop().unwrap_or_default();
    for (path, own) in &topic.own {
        let mut file = own.read(&topic.repo)?;
        for (name, over) in overrides {
            if let Some(diff) = over.diffs.iter().find(|diff| diff.path == *path) {
                change(
                    &mut file,
                    &format!("override of {name}"),
                    diff,
                    Direction::Apply,
                )?;
            }
        }
        tip.insert(path.clone(), file);
    }
    Ok(tip)
}

/// Applies the hunks against the kernel's files.
fn forward(
    topic: &Topic,
    overrides: &BTreeMap<String, Override>,
    base_tree: &Path,
    composed: &mut Composed,
) -> Result<()> {
    let mut now = Tree::new();
    let patches = topic.patches.iter().take(composed.stages.len());
    for (at, patch) in patches.enumerate() {
        let over = overrides.get(&patch.name);
        let replaced = |path: &Path| {
            over.is_some_and(|over| {
                over.drop.iter().any(|drop| drop == path)
                    || over.diffs.iter().any(|diff| diff.path == path)
            })
        };
        if let Some(over) = over {
            for path in &over.drop {
                let known = patch.diffs.iter().any(|diff| diff.path == *path);
                let name = shown(&composed.base, &patch.name);
                ensure!(known, "{name}: `drop: {}`: no such hunks", path.display());
            }
        }
        let main = patch
            .diffs
            .iter()
            .filter(|diff| !replaced(&diff.path))
            .map(|diff| (patch.name.clone(), diff));
        let special = over
            .iter()
            .flat_map(|over| &over.diffs)
            .map(|diff| (shown(&composed.base, &patch.name), diff));
        for (name, diff) in main.chain(special) {
            if topic.own.contains_key(&diff.path) {
                continue;
            }
            if !now.contains_key(&diff.path) {
                let Some(file) = base_file(base_tree, &diff.path)? else {
                    bail!(
                        "{name}: {}: neither the base {} nor the repository has this file",
                        diff.path.display(),
                        composed.version
                    );
                };
                composed.before.insert(diff.path.clone(), file.clone());
                now.insert(diff.path.clone(), file);
            }
            let file = now.get_mut(&diff.path).expect("just inserted");
            change(file, &name, diff, Direction::Apply)
                .with_context(|| format!("on base {}", composed.version))?;
        }
        composed.stages[at].extend(now.iter().map(|(path, file)| (path.clone(), file.clone())));
    }
    // A file that a later commit touches first is part of the earlier stages too, as it was.
    for stage in &mut composed.stages {
        for (path, file) in &composed.before {
            stage.entry(path.clone()).or_insert_with(|| file.clone());
        }
    }
    Ok(())
}

fn shown(base: &str, name: &str) -> String {
    format!("{base}/{name}")
}

/// Every own file after each commit; none where it does not exist yet.
fn own_stages(
    topic: &Topic,
    overrides: &BTreeMap<String, Override>,
) -> Result<BTreeMap<PathBuf, Vec<Option<File>>>> {
    let mut all = BTreeMap::new();
    for (path, own) in &topic.own {
        let added = topic
            .added_by(path)
            .expect("the topic's own files are listed");
        let mut stages = vec![None; topic.patches.len()];
        let mut file = own.read(&topic.repo)?;
        for (at, patch) in topic.patches.iter().enumerate().rev() {
            let growth = patch.diffs.iter().find(|diff| diff.path == *path);
            if at < added {
                if growth.is_some() {
                    let adds = &topic.patches[added].name;
                    bail!(
                        "{}: {} grows before {adds} adds it",
                        patch.name,
                        path.display()
                    );
                }
                continue;
            }
            stages[at] = Some(file.clone());
            if let Some(diff) = growth {
                change(&mut file, &patch.name, diff, Direction::Unapply)?;
            }
        }
        for (at, patch) in topic.patches.iter().enumerate() {
            let port = overrides
                .get(&patch.name)
                .and_then(|over| over.diffs.iter().find(|diff| diff.path == *path));
            if let Some(diff) = port {
                let name = &patch.name;
                ensure!(
                    at >= added,
                    "override of {name}: {} is not there yet",
                    path.display()
                );
                for file in stages[at..].iter_mut().flatten() {
                    change(file, &format!("override of {name}"), diff, Direction::Apply)?;
                }
            }
        }
        all.insert(path.clone(), stages);
    }
    Ok(all)
}

fn change(file: &mut File, patch: &str, diff: &FileDiff, direction: Direction) -> Result<()> {
    match hunk::apply(&file.content, &diff.hunks, direction) {
        Ok(content) => {
            file.content = content.into();
            Ok(())
        }
        Err(misfit) => bail!("{patch}: {}: {misfit}", diff.path.display()),
    }
}

/// A file of the kernel, if there is one.
fn base_file(base_tree: &Path, path: &Path) -> Result<Option<File>> {
    let path = base_tree.join(path);
    path.is_file().then(|| File::read(&path)).transpose()
}

/// `7.3` of `7.3.4`: what directories of overrides are named after.
fn series_of(version: &str) -> String {
    version.splitn(3, '.').take(2).collect::<Vec<_>>().join(".")
}
