// SPDX-License-Identifier: GPL-2.0

//! `beanctl bc events`: refusals, with their causes where the trace can be read, or their counts.

mod counts;
mod trace;

use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::tree::Tree;
use super::{Trees, table};
use crate::{interrupt, print, text};
use counts::Counts;
use trace::Instance;

/// The command line of `beanctl bc events`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    trees: Trees,
    /// Tells of each refusal from now on, until it is interrupted.
    #[arg(short, long)]
    follow: bool,
    /// Tells how many there were, also where the causes could be told.
    #[arg(long, requires = "follow")]
    counts: bool,
    /// Prints it for machines; with --follow, one object in a line.
    #[arg(long)]
    json: bool,
    /// Where tracefs is mounted.
    #[arg(
        long,
        hide = true,
        value_name = "DIR",
        default_value = "/sys/kernel/tracing"
    )]
    tracefs: PathBuf,
}

/// Whether there is somebody left who reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    There,
    Gone,
}

/// Tells of refusals.
///
/// # Errors
///
/// They cannot be watched, or a signal ended it.
pub fn run(tree: &Tree, args: &Args) -> Result<()> {
    let counts = Counts::read(tree, &args.trees)?;
    if counts.is_empty() {
        let tops = args.trees.tops(tree)?;
        let group = tops.into_iter().next().unwrap_or_else(|| tree.top());
        return Err(tree.why_without(&group).into());
    }
    if !args.follow {
        return so_far(&counts, args.json);
    }
    interrupt::catch()?;
    let causes = match args.counts {
        true => Err("--counts was said".to_owned()),
        false => Instance::open(&args.tracefs),
    };
    match causes {
        Ok(instance) => {
            eprintln!("watching refusals and their causes");
            trace::follow(tree, &args.trees, instance, args.json)
        }
        Err(why) => {
            eprintln!("watching counts of refusals: {why}");
            counts::follow(tree, &args.trees, counts, args.json)
        }
    }
}

/// Prints how often each resource was refused; only those that were, for people.
fn so_far(counts: &Counts, json: bool) -> Result<()> {
    if json {
        return print(&format!(
            "{}\n",
            serde_json::to_string_pretty(&counts.all())?
        ));
    }
    let mut rows = counts.all();
    rows.retain(|row| row.high + row.max > 0);
    if rows.is_empty() {
        return print("nothing was refused so far\n");
    }
    let mut table = table::table(["cgroup", "resource", "by barrier", "by limit"]);
    table::left(&mut table, &[1]);
    for row in rows {
        table.add_row([
            text::printable(&row.cgroup),
            text::printable(&row.resource),
            row.high.to_string(),
            row.max.to_string(),
        ]);
    }
    print(&table::text(&table))
}

/// Prints one line at once.
fn say(line: &str) -> Result<Reader> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{line}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Reader::Gone),
        result => result
            .map(|()| Reader::There)
            .context("the standard output"),
    }
}

/// What a setting is called.
fn setting_name(file: &str) -> &'static str {
    match file {
        "high" => "barrier",
        _ => "limit",
    }
}
