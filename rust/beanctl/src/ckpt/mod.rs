// SPDX-License-Identifier: GPL-2.0

//! `beanctl ckpt`: saves and restores containers through `/dev/ckpt`, and shows their images.

mod dump;
mod estimate;
mod external;
mod memory;
mod output;
mod restore;
mod session;
mod settings;
mod speed;
mod target;
mod uapi;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;
use serde_json::json;

use crate::cgroup::Cgroup;
use crate::failure::{Exit, Failure};
use crate::{image, interrupt, print};
use estimate::Estimate;
use external::Inside;
use session::Session;
use target::Target;

const CHECK: &str = "\
Examples:
  beanctl ckpt check box
  beanctl ckpt check box --estimate
  beanctl ckpt check --pid 4321 --json";

const DUMP: &str = "\
Examples:
  beanctl ckpt dump box -o box.ckpt
  beanctl ckpt dump --pid 4321 -o - --leave-running | ssh backup 'cat > 4321.ckpt'
  beanctl ckpt dump box -o box.ckpt --snapshot
  beanctl ckpt dump box -o box.ckpt --external 4321:1=log";

const RESTORE: &str = "\
Examples:
  beanctl ckpt restore box.ckpt --cgroup box
  beanctl ckpt restore box.ckpt --cgroup box --detach --external log=3 3>>box.log
  beanctl ckpt restore - --cgroup box --suspended < box.ckpt

Without --detach and --suspended it ends as the first process does: with its code, or with 128 and
the number of the signal that killed it. SIGHUP, SIGINT and SIGTERM are passed on to it.";

const SUSPEND: &str = "\
Examples:
  beanctl ckpt suspend box      # and later
  beanctl ckpt resume box";

const SHOW: &str = "\
Examples:
  beanctl ckpt show box.ckpt
  beanctl ckpt show --json box.ckpt | jq '.processes[].executable'
  beanctl ckpt show --records box.ckpt";

const VERIFY: &str = "\
Examples:
  beanctl ckpt verify box.ckpt
  beanctl ckpt dump box --leave-running | tee box.ckpt | beanctl ckpt verify -";

/// The verbs.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Tells whether a container could be saved, or names what cannot; stops nothing.
    #[command(after_help = CHECK)]
    Check {
        #[command(flatten)]
        target: Target,
        /// Leaves out an open file that will have a name; several are possible.
        #[arg(long, value_name = "PID:FD=NAME")]
        external: Vec<Inside>,
        /// Also tells about how large the image will be, and how long the container will be
        /// stopped; that takes a part of a second.
        #[arg(long)]
        estimate: bool,
        /// Prints the result for machines.
        #[arg(long)]
        json: bool,
    },
    /// Saves a container as an image, and ends it.
    #[command(after_help = DUMP)]
    Dump(dump::Args),
    /// Makes a container from an image, and waits for its first process.
    #[command(after_help = RESTORE)]
    Restore(restore::Args),
    /// Stops a container until it is resumed; processes named by --pid stay in their new cgroup,
    /// whose path is printed.
    #[command(after_help = SUSPEND)]
    Suspend {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        patience: Patience,
    },
    /// Lets a container go on that was left suspended.
    Resume {
        /// The container: a directory of cgroup v2, or a path below its mount point.
        cgroup: PathBuf,
    },
    /// Ends a container that was left suspended.
    Kill {
        /// The container: a directory of cgroup v2, or a path below its mount point.
        cgroup: PathBuf,
    },
    /// Shows what is in an image.
    #[command(after_help = SHOW)]
    Show(image::show::Args),
    /// Reads all of an image, and says whether it is right, or what is wrong and where.
    #[command(after_help = VERIFY)]
    Verify(image::verify::Args),
}

/// How long a container may take to come to rest.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Patience {
    /// How long the processes may take to come to rest.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    timeout: u32,
}

impl Patience {
    /// In ms, as the kernel has it.
    fn timeout(self) -> u32 {
        self.timeout.saturating_mul(1000)
    }
}

/// Does what the command line says.
///
/// # Errors
///
/// It cannot be done.
pub fn run(command: &Command) -> Result<ExitCode> {
    match command {
        Command::Check {
            target,
            external,
            estimate,
            json,
        } => check(target, external, *estimate, *json)?,
        Command::Dump(args) => dump::run(args)?,
        Command::Restore(args) => return restore::run(args),
        Command::Suspend { target, patience } => suspend(target, *patience)?,
        Command::Resume { cgroup } => {
            let cgroup = Cgroup::open(cgroup)?;
            take_over(&cgroup)?.resume()?;
        }
        Command::Kill { cgroup } => {
            let cgroup = Cgroup::open(cgroup)?;
            take_over(&cgroup)?.kill()?;
        }
        Command::Show(args) => image::show::run(args)?,
        Command::Verify(args) => image::verify::run(args)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn check(target: &Target, external: &[Inside], estimate: bool, json: bool) -> Result<()> {
    let session = Session::open()?;
    session.name_all(external)?;
    interrupt::catch()?;
    let container = target.open()?;
    let cgroup = container.cgroup();
    let details = session.check(cgroup)?;
    let supported = details.is_empty();
    let cost = match estimate {
        true => cost(cgroup)?,
        false => None,
    };
    if json {
        let mut result = json!({ "supported": supported, "why": details });
        if estimate {
            result["estimate"] = json!(cost);
        }
        print(&format!("{result:#}\n"))?;
    } else {
        let mut text = String::new();
        if supported {
            text += &format!("{} can be saved\n", cgroup.name());
        }
        if let Some(cost) = cost {
            text += &cost.text()?;
        }
        print(&text)?;
    }
    if supported {
        return Ok(());
    }
    let what = format!("{} cannot be saved", cgroup.name());
    let mut failure = Failure::new(Exit::Failed, what).fix(
        "end or close what is named; an open file that leads out of the container can be left \
         out with --external PID:FD=NAME",
    );
    failure.details = details;
    Err(failure.into())
}

/// What saving it will cost. What was checked is told even if that cannot be.
fn cost(cgroup: &Cgroup) -> Result<Option<Estimate>> {
    match estimate::of(cgroup) {
        Ok(cost) => Ok(Some(cost)),
        Err(error) => {
            interrupt::check()?;
            eprintln!("warning: no estimate: {error:#}");
            Ok(None)
        }
    }
}

fn suspend(target: &Target, patience: Patience) -> Result<()> {
    let session = Session::open()?;
    interrupt::catch()?;
    let container = target.open()?;
    // Closed before the container goes: what is suspended cannot be moved back.
    let session = session;
    session.suspend(container.cgroup(), patience.timeout(), true)?;
    let name = container.cgroup().name();
    container.keep();
    print(&format!("{name}\n"))
}

fn take_over(cgroup: &Cgroup) -> Result<Session> {
    let session = Session::open()?;
    session.attach(cgroup)?;
    Ok(session)
}

/// A number of things.
pub fn plural(number: usize, one: &str, many: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        number => format!("{number} {many}"),
    }
}
