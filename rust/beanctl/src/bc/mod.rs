// SPDX-License-Identifier: GPL-2.0

//! `beanctl bc`: shows and sets what the controller `bc` counts and limits.

mod check;
mod events;
mod explain;
mod export;
mod keyed;
mod order;
mod resource;
mod rows;
mod rules;
#[cfg(test)]
mod sample;
mod set;
mod show;
mod table;
mod top;
mod tree;
mod value;

use std::collections::HashSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Subcommand;

use tree::{Group, Tree};

const SHOW: &str = "\
Examples:
  beanctl bc show                  # where this shell is
  beanctl bc show box shop/web
  beanctl bc show --recursive --json | jq '.[] | select(.resources[].failcnt > 0).cgroup'

The rows physpages, swappages, kmemsize and dcachesize are those of the controller `memory`, and
numproc is that of `pids` if `bc` has none; they are left out where these are not enabled.";

const SET: &str = "\
Examples:
  beanctl bc set box numfile=1000:1200 numproc=100
  beanctl bc set box numfile=max
  beanctl bc set box numproc=max:100      # a limit, and no barrier

One value is for both, as it was with OpenVZ. `max` is unlimited. Memory may have a unit: K, M, G, T
(of bytes) or p (pages); without one it is in the unit of the resource.";

const TOP: &str = "\
Examples:
  beanctl bc top
  beanctl bc top shop --interval 0.5
  beanctl bc top --once --all";

const EVENTS: &str = "\
Examples:
  beanctl bc events                # how often, so far
  beanctl bc events --follow       # who is refused, and why
  beanctl bc events --follow --json shop | jq -r '.comm'

Why a request was refused is told by the kernel's trace, which root can read. For others, and with
--counts, it is told that one was.";

const EXPLAIN: &str = "\
Examples:
  beanctl bc explain               # lists all resources
  beanctl bc explain numfile";

const CHECK: &str = "\
Examples:
  beanctl bc check box
  beanctl bc check --recursive -v

The rules are those of OpenVZ for the configuration of one container. It exits with 1 if one is
broken.";

const EXPORT: &str = "\
Examples:
  beanctl bc export
  beanctl bc export --output /var/lib/prometheus/node-exporter/beancounters.prom

The file is replaced as a whole, as the textfile collector of the node exporter wants it.";

/// Shown for a number that a controller does not have.
const NONE: &str = "-";

/// The command line of `beanctl bc`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// A directory that is taken for the mount point of cgroup v2, and for the own cgroup.
    #[arg(long, hide = true, global = true, value_name = "DIR")]
    root: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

/// The verbs.
#[derive(Clone, Debug, Subcommand)]
enum Command {
    /// Shows what is held, the most that was, barrier, limit, and how often they refused.
    #[command(after_help = SHOW)]
    Show(show::Args),
    /// Sets barriers and limits, all that are named or none.
    #[command(after_help = SET)]
    Set(set::Args),
    /// Watches what is closest to its limit.
    #[command(after_help = TOP)]
    Top(top::Args),
    /// Tells how often requests were refused, or of each that is from now on.
    #[command(after_help = EVENTS)]
    Events(events::Args),
    /// Tells what a resource counts, who pays, how its refusal shows and what to do then.
    #[command(after_help = EXPLAIN)]
    Explain(explain::Args),
    /// Tells what in the settings does not fit together.
    #[command(after_help = CHECK)]
    Check(check::Args),
    /// Prints the numbers for Prometheus, or writes them into a file.
    #[command(after_help = EXPORT)]
    Export(export::Args),
}

/// Which cgroups are looked at, one by one.
#[derive(Clone, Debug, clap::Args)]
struct Chosen {
    /// Directories of cgroup v2, or paths below its mount point; the own cgroup unless some are
    /// named.
    #[arg(value_name = "CGROUP")]
    cgroups: Vec<PathBuf>,
    /// All below them too, or all there are if none is named.
    #[arg(short, long)]
    recursive: bool,
}

/// Which trees of cgroups are looked at.
#[derive(Clone, Debug, clap::Args)]
struct Trees {
    /// Directories of cgroup v2, or paths below its mount point, with all below them; all there are
    /// unless some are named.
    #[arg(value_name = "CGROUP")]
    cgroups: Vec<PathBuf>,
}

impl Chosen {
    fn groups(&self, tree: &Tree) -> Result<Vec<Group>> {
        if self.recursive {
            let trees = Trees {
                cgroups: self.cgroups.clone(),
            };
            return trees.groups(tree);
        }
        if self.cgroups.is_empty() {
            return Ok(vec![tree.own()]);
        }
        self.cgroups.iter().map(|name| tree.find(name)).collect()
    }
}

impl Trees {
    /// What was named.
    fn tops(&self, tree: &Tree) -> Result<Vec<Group>> {
        if self.cgroups.is_empty() {
            return Ok(vec![tree.top()]);
        }
        self.cgroups.iter().map(|name| tree.find(name)).collect()
    }

    /// It, and all below it; each once.
    fn groups(&self, tree: &Tree) -> Result<Vec<Group>> {
        let mut known = HashSet::new();
        let mut groups = Vec::new();
        for top in self.tops(tree)? {
            let below = tree.below(&top)?;
            groups.extend(
                below
                    .into_iter()
                    .filter(|group| known.insert(group.name().to_owned())),
            );
        }
        Ok(groups)
    }
}

/// A time that is given in seconds.
fn seconds(word: &str) -> Result<Duration, String> {
    let seconds: f64 = word.parse().map_err(|_| "say seconds, such as 2 or 0.5")?;
    if !(0.1..=3600.0).contains(&seconds) {
        return Err("say something between 0.1 and 3600 seconds".to_owned());
    }
    Ok(Duration::from_secs_f64(seconds))
}

/// Does what the command line says.
///
/// # Errors
///
/// It cannot be done.
pub fn run(args: &Args) -> Result<ExitCode> {
    let tree = Tree::open(args.root.as_deref());
    match &args.command {
        Command::Show(args) => show::run(&tree?, args)?,
        Command::Set(args) => set::run(&tree?, args)?,
        Command::Top(args) => top::run(&tree?, args)?,
        Command::Events(args) => events::run(&tree?, args)?,
        // It knows most of it without looking.
        Command::Explain(args) => explain::run(tree.ok().as_ref(), args)?,
        Command::Check(args) => return check::run(&tree?, args),
        Command::Export(args) => export::run(&tree?, args)?,
    }
    Ok(ExitCode::SUCCESS)
}
