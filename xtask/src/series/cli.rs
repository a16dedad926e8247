// SPDX-License-Identifier: GPL-2.0

//! `cargo xtask series`.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, Subcommand};

use super::check::{self, Subject};
use super::report::{self, Outcome, Row};
use super::{load, mail};
use crate::exit::{Exit, Failure};
use crate::paths;

/// Composes and checks the patch series.
#[derive(Debug, Args)]
pub struct Series {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Write the series as mails, ready to be reviewed, signed off and sent.
    Build(Build),
    /// Prove that the series applies, is what the tests ran on, and passes the kernel's checks.
    Check(Check),
}

#[derive(Debug, Args)]
struct Build {
    /// Directory below `patches/`, or the path of such a directory.
    #[arg(default_value = "bc")]
    topic: String,
    /// The kernel that the series is for.
    #[arg(long, default_value = "7.3")]
    base: String,
    /// Where the mails go; those of an earlier run are replaced [default: out/series/TOPIC].
    #[arg(long)]
    out: Option<PathBuf>,
    /// Add your Signed-off-by; you certify the developer's certificate of origin by that.
    #[arg(long)]
    signoff: bool,
    /// Add `Assisted-by: TEXT` to every patch (Documentation/process/coding-assistants.rst).
    #[arg(long, value_name = "TEXT")]
    assisted_by: Vec<String>,
    /// The number of this posting of the series.
    #[arg(long, short = 'v', default_value_t = 1)]
    reroll_count: u32,
    /// Ask for comments only.
    #[arg(long)]
    rfc: bool,
}

#[derive(Debug, Args)]
struct Check {
    /// Directory below `patches/`, or the path of such a directory.
    #[arg(default_value = "bc")]
    topic: String,
    /// A kernel to check on; may be given several times.
    #[arg(long, default_values = ["7.3", "7.2"])]
    base: Vec<String>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// Runs a verb to its exit code.
///
/// # Errors
///
/// What the verb could not do; findings of `check` are not an error.
pub fn run(series: &Series) -> Result<Exit> {
    match &series.verb {
        Verb::Build(build) => run_build(build),
        Verb::Check(check) => run_check(check),
    }
}

/// A name is below this repository's `patches/`; a path may be any repository's.
fn topic_dir(topic: &str) -> PathBuf {
    match topic.contains('/') {
        true => topic.into(),
        false => paths::repo().join("patches").join(topic),
    }
}

fn base_tree(base: &str) -> Result<PathBuf> {
    let tree = paths::base_tree(base);
    if !tree.join("Makefile").is_file() {
        let what = format!("there is no kernel {base} in {}", tree.display());
        let fix = format!("cargo xtask kernel fetch --base {base}");
        return Err(Failure::new(Exit::Skipped, what).fix(fix).into());
    }
    Ok(tree)
}

fn run_build(args: &Build) -> Result<Exit> {
    let base_tree = base_tree(&args.base)?;
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
    for mail in mail::build(&topic, &composed, &options, &out)? {
        println!("{}", mail.display());
    }
    for line in to_do(&options, topic.cover.is_some(), &base_tree, &out) {
        eprintln!("{line}");
    }
    Ok(Exit::Pass)
}

/// What no tool can do for who sends the mails.
fn to_do(options: &mail::Options, cover: bool, base_tree: &Path, out: &Path) -> Vec<String> {
    let mut lines = vec!["Left to do by hand:".to_owned()];
    if !options.signoff {
        lines.push(
            "  No patch has a Signed-off-by yet: review them, then build again with --signoff."
                .into(),
        );
    }
    if options.assisted_by.is_empty() {
        lines
            .push("  If a coding assistant took part, build again with --assisted-by TEXT.".into());
    }
    if !cover {
        lines.push("  There is no cover letter.".into());
    }
    let script = base_tree.join("scripts/get_maintainer.pl");
    let (script, out) = (script.display(), out.display());
    lines.push(format!("  Recipients: {script} {out}/*.patch"));
    lines.push(format!("  Sending:    git send-email {out}/*.patch"));
    lines
}

fn run_check(args: &Check) -> Result<Exit> {
    let dir = topic_dir(&args.topic);
    let rustfmt = env::var("RUSTFMT").unwrap_or_else(|_| "rustfmt".into());
    let mut rows = Vec::new();
    let mut allow_lists = Vec::new();
    for base in &args.base {
        eprintln!("checking {} on {base} ...", args.topic);
        let base_tree = base_tree(base)?;
        let (topic, composed) = match load(&dir, &base_tree) {
            Ok(loaded) => loaded,
            Err(error) => {
                rows.push(Row::ran(
                    base,
                    "compose",
                    String::new(),
                    vec![format!("{error:#}")],
                ));
                continue;
            }
        };
        let detail = format!("{} files at the tip", composed.tip().len());
        rows.push(Row::ran(&composed.version, "compose", detail, Vec::new()));
        rows.push(check::messages(&topic, &composed.version));
        let subject = Subject::new(&topic, &composed, &base_tree)?;
        rows.push(subject.git_am()?);
        rows.push(subject.patch()?);
        rows.push(match paths::source_tree(base) {
            tree if tree.is_dir() => subject.test_tree(&tree)?,
            tree => {
                let why = format!("there is no {}", tree.display());
                Row::skipped(&composed.version, "test tree", why)
            }
        });
        rows.push(subject.rustfmt(&rustfmt)?);
        let (row, allow) = subject.checkpatch()?;
        rows.push(row);
        allow_lists.push(allow);
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
    if args.json {
        println!("{}", serde_json::to_string_pretty(&rows)?);
    } else {
        print!("{}", report::text(&rows));
    }
    Ok(exit_of(&rows))
}

/// Findings win over checks that could not run.
fn exit_of(rows: &[Row]) -> Exit {
    let any = |outcome| rows.iter().any(|row| row.outcome == outcome);
    match (any(Outcome::Fail), any(Outcome::Skip)) {
        (true, _) => Exit::Findings,
        (false, true) => Exit::Skipped,
        (false, false) => Exit::Pass,
    }
}
