// SPDX-License-Identifier: GPL-2.0

//! Rewrites the hunks of a topic's patches: right counts first, so that hunks may be edited by hand,
//! then right lines and context, taken from the composed stages.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use super::compose;
use super::git::{Identity, Overlay};
use super::topic::{self, Topic};
use crate::cmd::run;

/// Rewrites what is not as it would be written; returns the names of the changed files, and whether
/// lines and context could be looked at too.
///
/// # Errors
///
/// The series does not compose even with right counts, or a file cannot be written.
pub fn refresh(dir: &Path, base_tree: &Path) -> Result<(Vec<String>, bool)> {
    let mut changed = Vec::new();
    for name in topic::patch_files_below(dir)? {
        rewrite(dir, &name, recount, &mut changed)?;
    }
    let topic = Topic::load(dir)?;
    let composed = compose::compose(&topic, base_tree)?;
    // Stages of a base with overrides are not what the main patches make.
    if topic.overrides.contains_key(&composed.base) {
        return Ok((changed, false));
    }
    let work = tempfile::tempdir()?;
    let overlay = Overlay::new(&work.path().join("linux"))?;
    overlay.stage(&composed.before)?;
    overlay.commit_base()?;
    for (patch, stage) in topic.patches.iter().zip(&composed.stages) {
        overlay.stage(stage)?;
        let diff = run(overlay.git(&[
            "diff",
            "--cached",
            "--no-color",
            "--no-renames",
            "--diff-filter=M",
            "--diff-algorithm=myers",
        ]))
        .ok()?;
        ensure!(
            !diff.contains('\u{fffd}'),
            "{}: a file is not UTF-8",
            patch.name
        );
        let commit = overlay.git(&["commit", "--quiet", "--allow-empty", "--message=stage"]);
        run(Identity::nobody().applied(commit, 0)).ok()?;
        let diff = bare(&diff);
        rewrite(
            dir,
            &patch.name,
            |text| with_diff(text, &diff),
            &mut changed,
        )?;
    }
    changed.sort();
    changed.dedup();
    Ok((changed, true))
}

fn rewrite(
    dir: &Path,
    name: &str,
    edit: impl Fn(&str) -> Result<String>,
    changed: &mut Vec<String>,
) -> Result<()> {
    let path = dir.join(name);
    let old = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let new = edit(&old).with_context(|| name.to_owned())?;
    if new != old {
        fs::write(&path, new).with_context(|| path.display().to_string())?;
        changed.push(name.to_owned());
    }
    Ok(())
}

/// A diff of git without the lines that say nothing here.
fn bare(diff: &str) -> String {
    let said = |line: &&str| !line.starts_with("diff --git ") && !line.starts_with("index ");
    diff.split_inclusive('\n').filter(said).collect()
}

/// The same patch with another diff.
fn with_diff(text: &str, diff: &str) -> Result<String> {
    let head = topic::without_diff(text)?.trim_end();
    Ok(match diff {
        "" => format!("{head}\n"),
        diff => format!("{head}\n\n{diff}"),
    })
}

/// Corrects the counts in the headers of hunks; a hunk ends where the next thing begins.
fn recount(text: &str) -> Result<String> {
    let head = topic::without_diff(text)?;
    let mut result = head.to_owned();
    let lines: Vec<&str> = text[head.len()..].split_inclusive('\n').collect();
    let begins = |at: usize| {
        let next = lines.get(at + 1);
        let file =
            lines[at].starts_with("--- a/") && next.is_some_and(|next| next.starts_with("+++ b/"));
        file || lines[at].starts_with("@@ -") || lines[at].starts_with("diff --git ")
    };
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at];
        at += 1;
        let Some(rest) = line.strip_prefix("@@ -") else {
            result.push_str(line);
            continue;
        };
        let Some((starts, function)) = starts(rest) else {
            bail!("not a hunk header: {}", line.trim_end());
        };
        let end = (at..lines.len())
            .find(|at| begins(*at))
            .unwrap_or(lines.len());
        let body = &lines[at..end];
        at = end;
        // Blank lines between this file's hunks and the next file are not context.
        let end = body.iter().rposition(|line| *line != "\n");
        let (body, blank) = body.split_at(end.map_or(0, |end| end + 1));
        let count = |side: char| {
            let of_side = |line: &&&str| match line.chars().next() {
                Some('\\') => false,
                Some(sign @ ('+' | '-')) => sign == side,
                _ => true,
            };
            body.iter().filter(of_side).count()
        };
        let (old, new) = (count('-'), count('+'));
        result += &format!("@@ -{},{old} +{},{new} @@{function}", starts.0, starts.1);
        result.extend(body.iter().chain(blank).copied());
    }
    Ok(result)
}

/// The first lines in a header after its `@@ -`, and what comes after its `@@`.
fn starts(rest: &str) -> Option<((usize, usize), &str)> {
    let (old, rest) = rest.split_once(" +")?;
    let (new, function) = rest.split_once(" @@")?;
    let start = |range: &str| range.split(',').next()?.parse().ok();
    Some(((start(old)?, start(new)?), function))
}

#[cfg(test)]
mod tests {
    use super::super::tests::Fixture;
    use super::*;

    fn refreshed(fixture: &Fixture) -> Vec<String> {
        refresh(&fixture.topic(), &fixture.base("7.3")).unwrap().0
    }

    #[test]
    fn what_is_right_is_left_alone() {
        let fixture = Fixture::new();
        let first = refreshed(&fixture);
        assert!(
            first.contains(&"0002-counter.patch".to_owned()),
            "{first:?}"
        );
        assert_eq!(refreshed(&fixture), [""; 0]);
    }

    #[test]
    fn wrong_counts_lines_and_context_are_mended() {
        let fixture = Fixture::new();
        refreshed(&fixture);
        let path = fixture.topic().join("0003-file.patch");
        let right = fs::read_to_string(&path).unwrap();
        let wrong = right.replace("@@ -1,7 +1,9 @@", "@@ -1,1 +1,1 @@").replace(
            "@@ -9,4 +11,5 @@ int alloc(void)\n void free(void)\n {\n",
            "@@ -9 +9 @@\n {\n",
        );
        assert!(wrong.matches("@@ -9 +9 @@").count() == 1);
        // What stands between two files is not a part of either.
        let wrong = wrong.replace("--- a/kernel", "\n--- a/kernel");
        fs::write(&path, &wrong).unwrap();
        assert_eq!(refreshed(&fixture), ["0003-file.patch"]);
        assert_eq!(fs::read_to_string(&path).unwrap(), right);
    }

    #[test]
    fn an_own_file_that_moved_under_a_hunk_moves_the_hunk() {
        let fixture = Fixture::new();
        refreshed(&fixture);
        let path = fixture.repo().join("rust/bc/bc.rs");
        let tip = fs::read_to_string(&path).unwrap();
        fs::write(&path, tip.replacen('\n', "\n// One more.\n", 1)).unwrap();
        let changed = refreshed(&fixture);
        assert_eq!(
            changed,
            ["0002-counter.patch", "0003-file.patch", "0005-proc.patch"]
        );
        let text = fs::read_to_string(fixture.topic().join("0002-counter.patch")).unwrap();
        assert!(text.contains("@@ -3,7 +3,9 @@"), "{text}");
    }

    #[test]
    fn a_base_with_overrides_only_gets_its_counts_right() {
        let fixture = Fixture::new();
        let text = "Why.\n---\n--- a/fs/file_table.c\n+++ b/fs/file_table.c\n\
                    @@ -1 +1 @@\n #include \"internal.h\"\n+#include \"bc.h\"\n \n";
        fixture.write("patches/bc/7.3/0003-file.patch", text);
        let (changed, all) = refresh(&fixture.topic(), &fixture.base("7.3")).unwrap();
        assert_eq!(
            (changed.as_slice(), all),
            (["7.3/0003-file.patch".to_owned()].as_slice(), false)
        );
        let path = fixture.topic().join("7.3/0003-file.patch");
        assert!(
            fs::read_to_string(path)
                .unwrap()
                .contains("@@ -1,2 +1,3 @@\n")
        );
    }

    #[test]
    fn a_removed_line_that_looks_like_a_header_is_still_a_line() {
        let text =
            "Subject: x\n---\n--- a/x.lua\n+++ b/x.lua\n@@ -1 +1 @@\n--- a comment\n+++ b\n c\n";
        let wanted = text.replace("-1 +1", "-1,2 +1,2");
        assert_eq!(recount(text).unwrap(), wanted);
    }
}
