// SPDX-License-Identifier: GPL-2.0

//! Unified diffs, read and applied more strictly than `patch` and `git apply` do: nothing between
//! hunks is skipped, context must match exactly, and a hunk that has moved must fit in one place
//! only. A stage of a series that came out wrong by a guess would be found much later, if at all.

use std::fmt;
use std::path::{Component, Path, PathBuf};

use anyhow::{Result, bail, ensure};

/// One line of a hunk, with its newline unless the file ends without one.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Line {
    Keep(String),
    Remove(String),
    Add(String),
}

impl Line {
    fn text_mut(&mut self) -> &mut String {
        match self {
            Line::Keep(text) | Line::Remove(text) | Line::Add(text) => text,
        }
    }
}

/// A run of changed lines with its context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hunk {
    old_start: usize,
    new_start: usize,
    header: String,
    lines: Vec<Line>,
}

/// The hunks against one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileDiff {
    /// The file, relative to the root of the kernel tree.
    pub path: PathBuf,
    /// In the order of the file.
    pub hunks: Vec<Hunk>,
}

/// Which way to apply hunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the old side to the new.
    Apply,
    /// From the new side back to the old.
    Unapply,
}

/// Why a hunk could not be placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    header: String,
    direction: Direction,
    why: String,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match self.direction {
            Direction::Apply => "does not apply",
            Direction::Unapply => "does not un-apply",
        };
        write!(f, "hunk `{}` {verb}: {}", self.header, self.why)
    }
}

impl Hunk {
    /// The lines that must be there before, and those that are there after, going in `direction`.
    fn sides(&self, direction: Direction) -> (Vec<&[u8]>, Vec<&[u8]>) {
        let (mut from, mut to) = (Vec::new(), Vec::new());
        for line in &self.lines {
            match (line, direction) {
                (Line::Keep(text), _) => {
                    from.push(text.as_bytes());
                    to.push(text.as_bytes());
                }
                (Line::Remove(text), Direction::Apply) | (Line::Add(text), Direction::Unapply) => {
                    from.push(text.as_bytes());
                }
                (Line::Add(text), Direction::Apply) | (Line::Remove(text), Direction::Unapply) => {
                    to.push(text.as_bytes());
                }
            }
        }
        (from, to)
    }
}

/// Applies the hunks of one file to its content.
///
/// # Errors
///
/// A hunk that fits nowhere, or that is not at its stated line and fits in several places.
pub fn apply(
    content: &[u8],
    hunks: &[Hunk],
    direction: Direction,
) -> std::result::Result<Vec<u8>, Misfit> {
    let lines: Vec<&[u8]> = content.split_inclusive(|byte| *byte == b'\n').collect();
    let mut result: Vec<&[u8]> = Vec::with_capacity(lines.len());
    let sides: Vec<_> = hunks.iter().map(|hunk| hunk.sides(direction)).collect();
    let mut done = 0;
    let mut moved = 0;
    for (hunk, (from, to)) in hunks.iter().zip(&sides) {
        let misfit = |why: String| Misfit {
            header: hunk.header.clone(),
            direction,
            why,
        };
        let start = match direction {
            Direction::Apply => hunk.old_start,
            Direction::Unapply => hunk.new_start,
        };
        let stated = start as isize - 1 + moved;
        let places: Vec<usize> = lines[done..]
            .windows(from.len())
            .enumerate()
            .filter(|(_, window)| window == from)
            .map(|(at, _)| done + at)
            .collect();
        let place = match places.as_slice() {
            [only] => *only,
            [] => return Err(misfit(missing(&lines[done..], from))),
            several => match several.iter().find(|place| **place as isize == stated) {
                Some(place) => *place,
                None => {
                    let numbers: Vec<String> =
                        several.iter().map(|at| (at + 1).to_string()).collect();
                    return Err(misfit(format!(
                        "it is not at its line any more and fits at lines {}; give it more context",
                        numbers.join(", ")
                    )));
                }
            },
        };
        moved += place as isize - stated;
        result.extend(&lines[done..place]);
        result.extend(to);
        done = place + from.len();
        let at_end = done == lines.len();
        if to.last().is_some_and(|line| !line.ends_with(b"\n")) && !at_end {
            return Err(misfit(
                "it drops the newline of a line that is not the last".into(),
            ));
        }
        if at_end && to.iter().rev().skip(1).any(|line| !line.ends_with(b"\n")) {
            return Err(misfit(
                "a line without a newline is followed by another".into(),
            ));
        }
    }
    result.extend(&lines[done..]);
    Ok(result.concat())
}

/// Says what is most likely wrong with a hunk that fits nowhere.
fn missing(lines: &[&[u8]], from: &[&[u8]]) -> String {
    match from.iter().find(|line| !lines.contains(line)) {
        Some(line) => format!(
            "no line after the previous hunk reads `{}`",
            String::from_utf8_lossy(line).trim_end_matches('\n')
        ),
        None => "its lines are there, but not together".into(),
    }
}

/// Reads a unified diff; `diff --git` and `index` lines are optional, everything else must be hunks.
///
/// # Errors
///
/// Anything that is not understood is refused with its line number (counted from `first`).
pub fn parse(text: &str, first: usize) -> Result<Vec<FileDiff>> {
    let mut diffs: Vec<FileDiff> = Vec::new();
    let mut rest = text
        .split_inclusive('\n')
        .enumerate()
        .map(|(at, line)| (first + at, line))
        .peekable();
    while let Some((at, line)) = rest.next() {
        if line.trim().is_empty() || line.starts_with("diff --git ") || line.starts_with("index ") {
            continue;
        }
        if let Some(old) = line.strip_prefix("--- ") {
            let new = match rest.next() {
                Some((_, line)) => line.strip_prefix("+++ "),
                None => None,
            };
            let Some(new) = new else {
                bail!("line {at}: `---` is not followed by a `+++` line");
            };
            let path = same_path(at, old, new)?;
            ensure!(
                diffs.iter().all(|diff| diff.path != path),
                "line {at}: {} has hunks in two places",
                path.display()
            );
            diffs.push(FileDiff {
                path,
                hunks: Vec::new(),
            });
        } else if line.starts_with("@@ ") {
            let Some(diff) = diffs.last_mut() else {
                bail!("line {at}: a hunk without a `---` and a `+++` line");
            };
            let mut hunk = Hunk::header(at, line)?;
            let (mut old, mut new) = hunk.counts(at)?;
            while old > 0 || new > 0 {
                let Some((at, line)) = rest.next() else {
                    bail!("line {at}: the hunk is shorter than its header says");
                };
                let line = parse_line(line).filter(|line| match line {
                    Line::Keep(_) => old > 0 && new > 0,
                    Line::Remove(_) => old > 0,
                    Line::Add(_) => new > 0,
                });
                let Some(line) = line else {
                    bail!("line {at}: does not belong to a hunk of the length its header says");
                };
                old -= usize::from(!matches!(line, Line::Add(_)));
                new -= usize::from(!matches!(line, Line::Remove(_)));
                hunk.lines.push(line);
                if rest.next_if(|(_, line)| line.starts_with("\\ ")).is_some() {
                    let text = hunk.lines.last_mut().expect("just pushed").text_mut();
                    text.truncate(text.trim_end_matches('\n').len());
                }
            }
            let (before, after) = hunk.sides(Direction::Apply);
            ensure!(
                !before.is_empty() && !after.is_empty(),
                "line {at}: a hunk needs context; a new file is listed with `new:` instead"
            );
            ensure!(before != after, "line {at}: the hunk changes nothing");
            diff.hunks.push(hunk);
        } else {
            bail!("line {at}: not a part of a diff: {}", line.trim_end());
        }
    }
    for diff in &diffs {
        ensure!(
            !diff.hunks.is_empty(),
            "{} has no hunk",
            diff.path.display()
        );
    }
    Ok(diffs)
}

/// A line of a hunk; editors strip the blank of empty context lines, which is harmless.
fn parse_line(line: &str) -> Option<Line> {
    match line.as_bytes().first()? {
        b'\n' => Some(Line::Keep("\n".into())),
        b' ' => Some(Line::Keep(line[1..].into())),
        b'-' => Some(Line::Remove(line[1..].into())),
        b'+' => Some(Line::Add(line[1..].into())),
        _ => None,
    }
}

impl Hunk {
    fn header(at: usize, line: &str) -> Result<Self> {
        let ranges = ranges(line);
        let Some(((old_start, _), (new_start, _))) = ranges else {
            bail!("line {at}: not a hunk header: {}", line.trim_end());
        };
        Ok(Self {
            old_start,
            new_start,
            header: line.trim_end().to_owned(),
            lines: Vec::new(),
        })
    }

    fn counts(&self, at: usize) -> Result<(usize, usize)> {
        let Some(((_, old), (_, new))) = ranges(&self.header) else {
            bail!("line {at}: not a hunk header");
        };
        Ok((old, new))
    }
}

/// `@@ -1,2 +3,4 @@` as `((1, 2), (3, 4))`.
fn ranges(header: &str) -> Option<((usize, usize), (usize, usize))> {
    let range = |text: &str| -> Option<(usize, usize)> {
        match text.split_once(',') {
            Some((start, count)) => Some((start.parse().ok()?, count.parse().ok()?)),
            None => Some((text.parse().ok()?, 1)),
        }
    };
    let (old, rest) = header.strip_prefix("@@ -")?.split_once(" +")?;
    let (new, _) = rest.split_once(" @@")?;
    Some((range(old)?, range(new)?))
}

/// The path that both header lines name, without the first component.
fn same_path(at: usize, old: &str, new: &str) -> Result<PathBuf> {
    let strip = |text: &str, prefix: &str| -> Option<PathBuf> {
        let name = text.split(['\t', '\n']).next()?.trim_end();
        Some(PathBuf::from(name.strip_prefix(prefix)?))
    };
    match (strip(old, "a/"), strip(new, "b/")) {
        (Some(old), Some(new)) if old == new => {
            ensure!(
                is_inside(&old),
                "line {at}: {} is not in the tree",
                old.display()
            );
            Ok(old)
        }
        _ => bail!(
            "line {at}: the header must name one file as a/PATH and b/PATH (new files are listed with \
             `new:`; removing and renaming are not supported)"
        ),
    }
}

/// Whether a path stays below the root that it is relative to.
pub fn is_inside(path: &Path) -> bool {
    let mut components = path.components().peekable();
    components.peek().is_some() && components.all(|part| matches!(part, Component::Normal(_)))
}
