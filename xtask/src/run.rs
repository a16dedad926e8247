// SPDX-License-Identifier: GPL-2.0

//! `cargo xtask run`: a shell, or one command, in a guest with the patched kernel.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;

use crate::exit::Exit;
use crate::guest::{self, Console, Kernel, Outcome, Script};
use crate::kernel::{Arch, Base, Config, Series, build};

/// The command line of `cargo xtask run`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The series that the kernel is patched with.
    #[arg(long, value_enum, default_value_t)]
    series: Series,
    /// Where the kernel runs.
    #[arg(long, value_enum, default_value = "qemu")]
    on: Arch,
    /// A further word of the kernel's command line; several are possible.
    #[arg(long, value_name = "WORD", requires = "command")]
    append: Vec<String>,
    /// The number of processors.
    #[arg(long, value_name = "N", default_value_t = 4, requires = "command")]
    cpus: u32,
    /// The memory in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 1024, requires = "command")]
    memory: u32,
    /// The command and its arguments; a shell on this terminal unless said.
    #[arg(last = true, value_name = "CMD")]
    command: Vec<String>,
}

/// Boots the kernel and returns the exit code of what ran in it.
///
/// # Errors
///
/// The kernel cannot be built or the guest not be started.
pub fn run(args: &Args, base: &Base) -> Result<ExitCode> {
    args.series.check(args.on)?;
    let config = Config::of(args.series, args.on);
    let kernel = Kernel::from(build::ensure(base, &config)?);
    if args.command.is_empty() {
        guest::run_interactive(&kernel)?;
        return Ok(Exit::Pass.into());
    }
    let mut script = Script::new(format!("run-{}", config.name()), line(&args.command));
    script.cmdline.push("kunit.enable=0".to_owned());
    script.cmdline.extend(args.append.iter().cloned());
    script.cpus = args.cpus;
    script.memory = args.memory;
    // How long a command may take is for the user to say: Ctrl-C ends the guest.
    script.limits.test = Duration::from_secs(86_400);
    let console = guest::run(&kernel, script.each_line(|line| println!("{line}")))?;
    let (code, lines) = conclude(&console);
    for line in lines {
        eprintln!("{line}");
    }
    Ok(code.into())
}

/// The code to exit with, and what to say about one that is not 0.
fn conclude(console: &Console) -> (u8, Vec<String>) {
    let verdict = console.verdict();
    let mut lines = Vec::new();
    if verdict.exit != Exit::Pass {
        let findings = verdict.findings().into_iter();
        lines.extend(findings.map(|finding| format!("error: {finding}")));
        lines.push(format!("console: {}", console.log.display()));
        lines.push(crate::reproduce(std::env::args_os().skip(1)));
    }
    let code = match console.outcome {
        Outcome::Exited(code) if code != 0 => code,
        _ => verdict.exit as u8,
    };
    (code, lines)
}

/// One word is a line of shell; several are the words of one command, as they are.
fn line(command: &[String]) -> String {
    match command {
        [line] => line.clone(),
        words => shell_words::join(words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_ends_with_the_command_that_does_it_again() {
        let run = |outcome, console: &str| {
            conclude(&Console {
                outcome,
                output: String::new(),
                console: console.to_owned(),
                log: "x.log".into(),
                time: Duration::ZERO,
            })
        };
        assert_eq!(run(Outcome::Exited(0), ""), (0, Vec::new()));
        for (outcome, console, expected) in [
            (Outcome::Exited(3), "", 3),
            (Outcome::Exited(0), "[    0.1] BUG: x\n", 1),
            (Outcome::TestTimeout, "", 124),
            (Outcome::Panicked, "", 255),
        ] {
            let (code, lines) = run(outcome, console);
            assert_eq!(code, expected);
            let last = lines.last().unwrap();
            assert!(last.starts_with("reproduce: cargo xtask "), "{lines:?}");
        }
    }

    #[test]
    fn one_word_is_shell_and_several_are_words() {
        let line = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
            super::line(&words)
        };
        assert_eq!(line(&["ls /; exit 3"]), "ls /; exit 3");
        assert_eq!(line(&["echo", "it's", "$a b"]), r"echo 'it'\''s' '$a b'");
    }
}
