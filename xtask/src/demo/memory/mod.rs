// SPDX-License-Identifier: GPL-2.0

//! `cargo xtask demo memory`: a program that wants more memory than its container may have, once where
//! what is promised is limited and once where what is used is.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Result;

use crate::exit::Exit;
use crate::guest::{self, Kernel, Script};
use crate::kernel::{Arch, Base, Config, build};
use crate::workload;

/// What a container may have, in MiB.
const LIMIT: u64 = 64;

/// What the program wants, in MiB.
const WANTED: u64 = 128;

/// Builds the kernel and shows the two containers.
///
/// # Errors
///
/// The machine cannot do it, or what was to be shown did not happen.
pub fn run(base: &Base) -> Result<ExitCode> {
    let kernel = Kernel::from(build::ensure(base, &Config::new(Arch::Um))?);
    let workload = workload::build("workload")?;

    eprintln!("booting a guest with two containers ...");
    let script = include_str!("guest.sh");
    let script = format!("LIMIT={LIMIT} WANTED={WANTED}\n{script}");
    let script = Script::new("demo-memory", script).file("workload", workload);
    let console = guest::run(&kernel, script)?;
    let verdict = console.verdict();
    if !matches!(verdict.exit, Exit::Pass | Exit::Findings) {
        return console.check().map(|()| Exit::Pass.into());
    }
    let facts = Facts::read(&console.output);
    println!("{}", facts.story());

    let mut wrong = facts.wrong();
    wrong.extend(verdict.findings());
    if wrong.is_empty() {
        return Ok(Exit::Pass.into());
    }
    Err(console.failure(Exit::Findings, &wrong).into())
}

/// What a program said, and how it ended.
#[derive(Debug, Default)]
struct Program {
    /// How much it got, in MiB, if it lived to say so.
    got: Option<u64>,
    /// What it was told then.
    errno: Option<String>,
    status: Option<u64>,
}

/// What the guest's script said.
#[derive(Debug, Default)]
struct Facts {
    promised: Program,
    used: Program,
    /// Refusals that the controller has counted.
    failcnt: Option<u64>,
    /// Processes that were killed for want of memory.
    killed: Option<u64>,
}

impl Facts {
    fn read(output: &str) -> Self {
        let mut facts = Self::default();
        for line in output.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let pairs = words.iter().filter_map(|word| word.split_once('='));
            let pairs: BTreeMap<&str, &str> = pairs.collect();
            let number = |key| pairs.get(key).and_then(|value: &&str| value.parse().ok());
            match words[..] {
                ["program", name, ..] => {
                    let program = Program {
                        got: number("mib"),
                        errno: pairs.get("errno").map(|&name| name.to_owned()),
                        status: number("status"),
                    };
                    match name {
                        "promised" => facts.promised = program,
                        _ => facts.used = program,
                    }
                }
                ["stat", ..] => facts.failcnt = number("failcnt"),
                ["killed", count] => facts.killed = count.parse().ok(),
                _ => {}
            }
        }
        facts
    }

    fn story(&self) -> String {
        let told = |program: &Program| match (program.got, &program.errno) {
            (Some(got), Some(errno)) => {
                format!("got {got} MiB, was told {errno}, and ended as it wanted to")
            }
            (Some(got), None) => format!("got {got} MiB"),
            (None, _) => "was killed, and could say nothing".to_owned(),
        };
        format!(
            "\nA program wants {WANTED} MiB where there are {LIMIT}:\n  \
             privvmpages = {LIMIT} MiB   it {}\n  \
             memory.max  = {LIMIT} MiB   it {}",
            told(&self.promised),
            told(&self.used)
        )
    }

    /// Everything that is not as it should be.
    fn wrong(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let promised = &self.promised;
        let near = LIMIT / 2..=LIMIT;
        if !promised.got.is_some_and(|got| near.contains(&got)) {
            wrong.push(format!("bc let the program have {:?} MiB", promised.got));
        }
        if (promised.errno.as_deref(), promised.status) != (Some("ENOMEM"), Some(0)) {
            wrong.push(format!("where bc limits it ended with {promised:?}"));
        }
        if self.failcnt != Some(1) {
            wrong.push(format!("bc counted {:?} refusals, not 1", self.failcnt));
        }
        if self.used.got.is_some() || self.used.status == Some(0) {
            wrong.push(format!("where memory limits it ended with {:?}", self.used));
        }
        if self.killed != Some(1) {
            wrong.push(format!("memory killed {:?} processes, not 1", self.killed));
        }
        wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "\
program promised memory-bomb mib=61 errno=ENOMEM status=0
program used status=255
stat held=0 maxheld=16384 barrier=16384 limit=max failcnt=1
killed 1
";

    #[test]
    fn what_should_happen_is_not_wrong() {
        let facts = Facts::read(GOOD);
        assert_eq!(facts.wrong(), Vec::<String>::new());
        let story = facts.story();
        assert!(story.contains("got 61 MiB, was told ENOMEM"), "{story}");
        assert!(story.contains("was killed"), "{story}");
    }

    #[test]
    fn each_thing_that_should_not_happen_is() {
        for (from, to) in [
            ("mib=61", "mib=128"),
            ("mib=61 errno=ENOMEM", "mib=61"),
            ("errno=ENOMEM status=0", "errno=ENOMEM status=1"),
            ("used status=255", "used memory-bomb mib=128 status=0"),
            ("failcnt=1", "failcnt=0"),
            ("killed 1", "killed 0"),
        ] {
            assert!(GOOD.contains(from));
            let facts = Facts::read(&GOOD.replace(from, to));
            assert_ne!(facts.wrong(), Vec::<String>::new(), "{to}");
        }
    }
}
