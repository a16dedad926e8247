// SPDX-License-Identifier: GPL-2.0

//! `cargo xtask series`.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, Subcommand};
use serde::Serialize;

use super::check::{self, Subject};
use super::report::{self, Outcome, Row};
use super::{as_finding, compile, each, load, mail, refresh};
use crate::exit::{Exit, Failure};
use crate::kernel::{Base, Other, Series, fetch, sync};
use crate::{paths, toolchain};

/// What to do with a series.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Writes the series as mails, ready to be reviewed, signed off and sent.
    Build(Build),
    /// Proves that the series applies, is what the tests run on, and passes the kernel's checks; on
    /// every supported base unless one is chosen.
    Check(Check),
    /// Rewrites the hunks in the patches: counts, lines and context.
    Refresh(Refresh),
}

/// Options of `refresh`.
#[derive(Debug, Args)]
pub struct Refresh {
    /// Directory below `patches/`, or the path of such a directory.
    #[arg(default_value = "bc")]
    topic: String,
}

/// Options of `build`.
#[derive(Debug, Args)]
pub struct Build {
    /// Directory below `patches/`, or the path of such a directory.
    #[arg(default_value = "bc")]
    topic: String,
    /// Where the mails go; those of an earlier run are replaced [default: out/series/TOPIC].
    #[arg(long)]
    out: Option<PathBuf>,
    /// Adds your Signed-off-by; you certify the developer's certificate of origin by that.
    #[arg(long)]
    signoff: bool,
    /// Adds `Assisted-by: TEXT` to every patch (Documentation/process/coding-assistants.rst).
    #[arg(long, value_name = "TEXT")]
    assisted_by: Vec<String>,
    /// The number of this posting of the series.
    #[arg(long, default_value_t = 1)]
    reroll_count: u32,
    /// Asks for comments only.
    #[arg(long)]
    rfc: bool,
}

/// Options of `check`.
#[derive(Debug, Args)]
pub struct Check {
    /// Directory below `patches/`, or the path of such a directory.
    #[arg(default_value = "bc")]
    topic: String,
    /// Builds and boots every commit, on the primary base unless one is chosen.
    #[arg(long)]
    each: bool,
    /// Compiles the tip with gcc and for arm64, on the primary base unless one is chosen.
    #[arg(long)]
    compile: bool,
}

/// Runs a command: `build` on one base, `check` on several.
///
/// # Errors
///
/// What could not be done, or what was found.
pub fn run(command: &Command, base: &Base, bases: &[Base], json: bool) -> Result<()> {
    match command {
        Command::Build(build) => run_build(build, base, json),
        Command::Check(check) => run_check(check, bases, json),
        Command::Refresh(refresh) => run_refresh(refresh, base, json),
    }
}

/// A name is below this repository's `patches/`; a path may be any repository's.
fn topic_dir(topic: &str) -> PathBuf {
    match topic.contains('/') {
        true => topic.into(),
        false => paths::repo().join("patches").join(topic),
    }
}

/// What `build` made.
#[derive(Debug, Serialize)]
struct Posting {
    mails: Vec<PathBuf>,
    /// What no tool can do for who sends them, in lines.
    to_do: Vec<String>,
}

fn run_build(args: &Build, base: &Base, json: bool) -> Result<()> {
    let posting = posting(args, base)?;
    crate::print(json, &posting, &lines(&posting.mails))?;
    if !json {
        eprintln!("Left to do by hand:");
        for line in &posting.to_do {
            eprintln!("  {line}");
        }
    }
    Ok(())
}

fn lines(paths: &[PathBuf]) -> String {
    let lines: Vec<_> = paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    lines.join("\n")
}

fn posting(args: &Build, base: &Base) -> Result<Posting> {
    let base_tree = fetch::ensure(base)?;
    let (topic, composed) = load(&topic_dir(&args.topic), &base_tree)?;
    let out = match &args.out {
        Some(out) => std::path::absolute(out)?,
        None => topic.repo.join("out/series").join(&topic.name),
    };
    let options = mail::Options {
        identity: mail::identity(&topic.repo)?,
        date: mail::date(&topic.repo)?,
        signoff: args.signoff,
        assisted_by: args.assisted_by.clone(),
        reroll: args.reroll_count,
        rfc: args.rfc,
    };
    let mails = mail::build(&topic, &composed, &options, &out)?;
    let covered = topic.parts.iter().all(|part| part.cover.is_some());
    let named = topic.parts.iter().any(|part| !part.name.is_empty());
    let out = if named { out.join("PART") } else { out };
    let to_do = to_do(&options, covered, &base_tree, &out);
    Ok(Posting { mails, to_do })
}

fn to_do(options: &mail::Options, cover: bool, base_tree: &Path, out: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    if !options.signoff {
        lines.push(
            "No patch has a Signed-off-by yet: review them, then build again with --signoff."
                .into(),
        );
    }
    if options.assisted_by.is_empty() {
        lines.push("If a coding assistant took part, build again with --assisted-by TEXT.".into());
    }
    if !cover {
        lines.push("There is no cover letter.".into());
    }
    let script = base_tree.join("scripts/get_maintainer.pl");
    let quoted = |path: &Path| shell_words::quote(&path.to_string_lossy()).into_owned();
    let (script, out) = (quoted(&script), quoted(out));
    lines.push(format!("Recipients: {script} {out}/*.patch"));
    lines.push(format!("Sending:    git send-email {out}/*.patch"));
    lines
}

fn run_refresh(args: &Refresh, base: &Base, json: bool) -> Result<()> {
    let dir = topic_dir(&args.topic);
    let (changed, all) = as_finding(&dir, refresh::refresh(&dir, &fetch::ensure(base)?))?;
    let changed: Vec<PathBuf> = changed.into_iter().map(|name| dir.join(name)).collect();
    crate::print(json, &changed, &lines(&changed))?;
    if !all {
        eprintln!(
            "{} has overrides: only the counts were looked at",
            base.name()
        );
    }
    Ok(())
}

fn run_check(args: &Check, bases: &[Base], json: bool) -> Result<()> {
    let dir = topic_dir(&args.topic);
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    let series = Series::named(&name).ok_or_else(|| {
        let what = format!("no kernel is built with a series called `{name}`");
        Failure::new(Exit::Usage, what).fix("cargo xtask series check bc")
    })?;
    let mut bases = bases.iter().filter(|base| series.is_for(base)).peekable();
    if bases.peek().is_none() {
        let what = format!("the series `{name}` is not made for this kernel");
        let fix = format!("cargo xtask series check {name}");
        return Err(Failure::new(Exit::Usage, what).fix(fix).into());
    }
    // All of them first: a base that cannot be had should not end a run that took long.
    let mut trees: Vec<(Base, PathBuf)> = Vec::new();
    for base in bases {
        let found = fetch::resolve(base)?;
        // One that the archive has no more was replaced by the next.
        if !trees.contains(&found) {
            trees.push(found);
        }
    }
    let mut rows = Vec::new();
    let mut allow_lists = Vec::new();
    for (at, (base, tree)) in trees.iter().enumerate() {
        eprintln!("checking {} on {} ...", args.topic, base.name());
        let (topic, composed) = match load(&dir, tree) {
            Ok(loaded) => loaded,
            Err(error) => {
                let findings = vec![format!("{error:#}")];
                rows.push(Row::ran(&base.name(), "compose", String::new(), findings));
                continue;
            }
        };
        let detail = format!("{} files at the tip", composed.tip().len());
        rows.push(Row::ran(&composed.version, "compose", detail, Vec::new()));
        rows.push(check::messages(&topic, &composed.version));
        let subject = Subject::new(&topic, &composed, tree)?;
        rows.push(subject.git_am()?);
        rows.push(subject.patch()?);
        let source = sync::ensure(base, tree, Some(series))?;
        rows.push(subject.test_tree(&source.tree, !matches!(base, Base::Tree(_)))?);
        drop(source);
        rows.push(subject.rustfmt(&rustfmt())?);
        let (row, allow) = subject.checkpatch()?;
        rows.push(row);
        allow_lists.push(allow);
        rows.push(each::clippy(&composed, base, series)?);
        if args.compile && at == 0 {
            for other in [Other::Gcc, Other::Arm64] {
                rows.push(compile::tip(&composed, base, series, other)?);
            }
        }
        if args.each && at == 0 {
            rows.push(each::commits(&topic, &composed, base, series)?);
        }
    }
    if let [first, rest @ ..] = allow_lists.as_slice() {
        let unused = first.unused().filter(|entry| {
            rest.iter()
                .all(|allow| allow.unused().any(|other| other == *entry))
        });
        let unused: Vec<String> = unused
            .map(|entry| format!("covers nothing: {entry}"))
            .collect();
        let detail = "every entry is needed on some base".to_owned();
        rows.push(Row::ran("all", "checkpatch-allow", detail, unused));
    }
    crate::print(json, &rows, report::text(&rows).trim_end())?;
    conclude(&rows)
}

/// The formatter of the kernel's compiler, or the one on the PATH.
fn rustfmt() -> String {
    let found = toolchain::rustc().and_then(|rustc| toolchain::rust_tool(&rustc, "rustfmt"));
    found.map_or("rustfmt".into(), |path| path.display().to_string())
}

/// Findings win over checks that could not run.
fn conclude(rows: &[Row]) -> Result<()> {
    let names = |outcome| -> Vec<String> {
        let rows = rows.iter().filter(|row| row.outcome == outcome);
        rows.map(|row| format!("{} on {}", row.check, row.base))
            .collect()
    };
    let (failed, skipped) = (names(Outcome::Fail), names(Outcome::Skip));
    let failure = match (failed.as_slice(), skipped.as_slice()) {
        ([], []) => return Ok(()),
        ([], skipped) => Failure::new(Exit::Skipped, format!("not run: {}", skipped.join(", "))),
        (failed, _) => Failure::new(Exit::Findings, format!("failed: {}", failed.join(", "))),
    };
    Err(failure.into())
}

#[cfg(test)]
mod tests {
    use super::super::tests::Fixture;
    use super::*;
    use crate::exit;
    use xshell::{Shell, cmd};

    #[test]
    fn a_finding_weighs_more_than_a_check_that_did_not_run() {
        let pass = || Row::ran("7.3.4", "compose", String::new(), Vec::new());
        let fail = || Row::ran("7.3.4", "rustfmt", String::new(), vec!["x".into()]);
        let skip = || Row::skipped("7.2.9", "clippy", "missing".into());
        conclude(&[pass()]).unwrap();
        let error = conclude(&[pass(), skip()]).unwrap_err();
        assert_eq!(exit::of(&error), Exit::Skipped);
        assert_eq!(error.to_string(), "not run: clippy on 7.2.9");
        let error = conclude(&[pass(), skip(), fail()]).unwrap_err();
        assert_eq!(exit::of(&error), Exit::Findings);
        assert_eq!(error.to_string(), "failed: rustfmt on 7.3.4");
    }

    #[test]
    fn a_program_can_read_what_was_made() {
        let fixture = Fixture::new();
        let (repo, out) = (fixture.repo(), fixture.repo().join("mails"));
        let sh = Shell::new().unwrap();
        sh.change_dir(&repo);
        for [key, value] in [["name", "Test"], ["email", "test@example.org"]] {
            let set = cmd!(sh, "git config user.{key} {value}");
            crate::cmd::run(set).ok().unwrap();
        }
        let commit = cmd!(sh, "git commit --quiet --allow-empty --message one");
        crate::cmd::run(commit).ok().unwrap();
        let args = Build {
            topic: fixture.topic().display().to_string(),
            out: Some(out.clone()),
            signoff: false,
            assisted_by: Vec::new(),
            reroll_count: 1,
            rfc: false,
        };
        let base = Base::Tree(fixture.base("7.3"));
        let posting = serde_json::to_value(posting(&args, &base).unwrap()).unwrap();
        let mails = posting["mails"].as_array().unwrap();
        let mails: Vec<&Path> = mails
            .iter()
            .map(|mail| mail.as_str().unwrap().as_ref())
            .collect();
        assert_eq!(mails.len(), 4);
        for mail in mails {
            assert!(mail.starts_with(&out) && mail.is_file(), "{mail:?}");
        }
        assert_eq!(posting["to_do"].as_array().unwrap().len(), 5);
    }

    #[test]
    fn an_unsigned_series_says_so() {
        let options = |signoff| mail::Options {
            identity: super::super::git::Identity::nobody(),
            date: 0,
            signoff,
            assisted_by: Vec::new(),
            reroll: 1,
            rfc: false,
        };
        let lines = |signoff| {
            to_do(
                &options(signoff),
                true,
                Path::new("linux"),
                Path::new("out"),
            )
        };
        assert!(
            lines(false)
                .iter()
                .any(|line| line.contains("Signed-off-by yet"))
        );
        assert!(
            !lines(true)
                .iter()
                .any(|line| line.contains("Signed-off-by"))
        );
    }

    #[test]
    fn the_table_shows_findings_first() {
        let rows = [
            Row::ran("7.3.4", "git am", "8 patches".into(), Vec::new()),
            Row::ran(
                "7.3.4",
                "checkpatch",
                "--strict".into(),
                vec!["0001: long".into()],
            ),
            Row::skipped("7.2", "clippy", "missing".into()),
        ];
        assert_eq!(
            report::text(&rows),
            "7.3.4 checkpatch: 0001: long\n\n\
             7.3.4  git am      pass  8 patches\n\
             7.3.4  checkpatch  FAIL  --strict\n\
             7.2    clippy      skip  missing\n"
        );
    }
}
