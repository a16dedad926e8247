// SPDX-License-Identifier: GPL-2.0

//! `cargo xtask fuzz`: hostile images, for the engine in a guest with the debug checks, and for the
//! codec on this machine.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;
use xshell::{Shell, cmd};

use crate::exit::{Exit, Failure};
use crate::guest::{self, Kernel, Limits, Script};
use crate::kernel::{Arch, Base, Config, Flavour, Series, build};
use crate::lock::Lock;
use crate::progress::{Bar, Unit};
use crate::test::Selftests;
use crate::{cmd, paths, probe};

/// The program in the guest.
const PROGRAM: &str = "fuzz_ckpt";

/// Images in one boot: the leak detector looks at its end, and fewer are to be repeated then.
const BOOT: u64 = 1000;

/// The command line of `cargo xtask fuzz`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

/// What is to bear the images.
#[derive(Clone, Debug, clap::Subcommand)]
enum What {
    /// Restores images that were tampered with; nothing may be left of them.
    Ckpt {
        /// How many images.
        #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u64).range(1..))]
        count: u64,
        /// The number of the first one.
        #[arg(long, value_name = "N", default_value_t = 0)]
        first: u64,
        /// Other images for another number.
        #[arg(long, value_name = "N", default_value_t = 1)]
        seed: u64,
    },
    /// Reads what libFuzzer makes of images with the codec, compiled for this machine.
    Image {
        /// How many images.
        #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
        runs: u64,
        /// Other images for another number.
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=u64::from(u32::MAX)))]
        seed: u64,
    },
}

/// What was done, and what was wrong.
#[derive(Debug, Default, Serialize)]
struct Report {
    images: u64,
    /// Of those that the engine restored, the number of images that it took for good.
    accepted: u64,
    findings: Vec<String>,
    /// The command that shows the first finding again.
    #[serde(skip_serializing_if = "Option::is_none")]
    reproduce: Option<String>,
}

/// Runs the fuzzer, and prints what it did.
///
/// # Errors
///
/// Something cannot be built, or the guest not be started.
pub fn run(args: &Args, base: &Base, json: bool) -> Result<ExitCode> {
    let _lock = Lock::exclusive("fuzz")?;
    let (report, exit) = match args.what {
        What::Ckpt { count, first, seed } => engine(base, first, count, seed)?,
        What::Image { runs, seed } => codec(runs, seed)?,
    };
    if json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("{} images, {} accepted", report.images, report.accepted);
        for finding in &report.findings {
            println!("finding: {finding}");
        }
    }
    if let Some(command) = &report.reproduce {
        eprintln!("reproduce: {command}");
    }
    Ok(exit.into())
}

/// Has the engine restore images, a part of them in each boot.
fn engine(base: &Base, first: u64, count: u64, seed: u64) -> Result<(Report, Exit)> {
    let config = Config {
        flavour: Flavour::Debug,
        ..Config::of(Series::Ckpt, Arch::Qemu)
    };
    let built = build::ensure(base, &config)?;
    let tests = Selftests::build(&built, "ckpt")?;
    if let Some(error) = tests.error {
        return Err(Failure::new(Exit::Findings, error.join("\n")).into());
    }
    let kernel = Kernel::from(built);
    let mut report = Report::default();
    let mut bar = Bar::new("restoring", Unit::Count("images"), Some(count));
    let end = first + count;
    for from in (first..end).step_by(BOOT as usize) {
        let most = BOOT.min(end - from);
        let text = format!("./{PROGRAM} -s {seed} -f {from} -n {most}\n");
        let program = tests.output.path().join(PROGRAM);
        let mut script = Script::new("fuzz-ckpt", text).file(PROGRAM, program);
        let limits = Limits {
            test: Duration::from_secs(120),
            ..Limits::default()
        };
        script.limits = limits.scaled(kernel.slowness());
        script.renewed_by = Some(|line| said(line).is_some());
        let mut last = from;
        let script = script.each_line(|line| match said(line) {
            Some(Said::Made(number)) => last = number,
            Some(Said::Done { accepted }) => {
                report.images += 1;
                report.accepted += u64::from(accepted);
                bar.set(report.images);
            }
            None => {}
        });
        let console = guest::run_plain(&kernel, script, probe::accelerator())?;
        let verdict = console.verdict();
        if verdict.exit != Exit::Pass {
            let findings = verdict.findings().into_iter();
            let findings = findings.map(|finding| format!("at image {last}: {finding}"));
            report.findings.extend(findings);
            let log = console.log.display();
            report.findings.push(format!("the guest's log is {log}"));
            // The image alone may not be enough, so all of this boot until then.
            let count = last - from + 1;
            report.reproduce = Some(format!(
                "cargo xtask fuzz ckpt --seed {seed} --first {from} --count {count}{}",
                base.arguments()
            ));
            bar.finish();
            return Ok((report, verdict.exit));
        }
    }
    bar.finish();
    Ok((report, Exit::Pass))
}

/// What the program in the guest says about an image.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    /// It is about to be restored.
    Made(u64),
    /// It was.
    Done { accepted: bool },
}

/// Reads `image NUMBER:…` or `was NUMBER …`.
fn said(line: &str) -> Option<Said> {
    let line = line.trim_start_matches("# ").trim_end();
    if let Some(rest) = line.strip_prefix("image ") {
        let (number, _) = rest.split_once(':')?;
        return number.parse().ok().map(Said::Made);
    }
    let (number, what) = line.strip_prefix("was ")?.split_once(' ')?;
    number.parse::<u64>().ok()?;
    let accepted = what == "accepted";
    Some(Said::Done { accepted })
}

/// Has the codec read images.
fn codec(runs: u64, seed: u64) -> Result<(Report, Exit)> {
    let sh = Shell::new()?;
    // The compiler's flags for the fuzzer are in a file that counts in this directory only.
    sh.change_dir(paths::repo().join("rust/image/host/fuzz"));
    let (cargo, artifacts) = (cmd::cargo(), paths::logs().join("fuzz-image-"));
    std::fs::create_dir_all(paths::logs())?;
    let (runs_word, seed_word) = (format!("-runs={runs}"), format!("-seed={seed}"));
    let artifacts = format!("-artifact_prefix={}", artifacts.display());
    let command = cmd!(
        sh,
        "{cargo} run --release --locked -- -max_len=20000 -print_final_stats=1 {runs_word} {seed_word} {artifacts}"
    )
    .env_remove("CARGO_TARGET_DIR")
    .env_remove("RUSTFLAGS");
    let log = paths::logs().join("fuzz-image.log");
    let mut bar = Bar::new("reading", Unit::Count("images"), Some(runs));
    let output = cmd::run(command)
        .limit(Duration::from_secs(86_400))
        .log(&log)
        .each_line(|line| {
            if let Some(done) = executed(line) {
                bar.set(done);
            }
        })
        .output()?;
    bar.finish();
    let mut report = Report {
        images: output.text.lines().filter_map(executed).max().unwrap_or(0),
        ..Report::default()
    };
    if output.status.success() && report.images >= runs {
        return Ok((report, Exit::Pass));
    }
    // Without a single image it is the compiler that failed.
    if report.images == 0 {
        let lines: Vec<&str> = output.text.lines().collect();
        let tail = lines[lines.len().saturating_sub(20)..].join("\n");
        let what = format!("the fuzzer was not built or did not start:\n{tail}");
        let fix = format!("read {}", log.display());
        return Err(crate::exit::infrastructure(what).fix(fix).into());
    }
    let what = format!("the fuzzer ended with {}", output.status);
    report.findings.push(what);
    let saved = output
        .text
        .lines()
        .filter(|line| line.contains("Test unit written"));
    report.findings.extend(saved.map(str::to_owned));
    report.reproduce = Some(format!(
        "cargo xtask fuzz image --runs {runs} --seed {seed}"
    ));
    Ok((report, Exit::Findings))
}

/// How many images a line of libFuzzer speaks of: `#1024 NEW …`, or the last one.
fn executed(line: &str) -> Option<u64> {
    if let Some(count) = line.strip_prefix("stat::number_of_executed_units:") {
        return count.trim().parse().ok();
    }
    let rest = line.strip_prefix('#')?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_the_guest_are_read() {
        assert_eq!(said("# image 7: type 20 head 3->4"), Some(Said::Made(7)));
        let done = |accepted| Some(Said::Done { accepted });
        assert_eq!(said("# was 7 accepted"), done(true));
        assert_eq!(said("# was 7 Bad message"), done(false));
        assert_eq!(said("# was it accepted"), None);
        assert_eq!(said("ok 1 tampered_images"), None);
    }

    #[test]
    fn the_lines_of_the_fuzzer_are_read() {
        assert_eq!(executed("#1024\tNEW    cov: 12 ft: 13"), Some(1024));
        assert_eq!(executed("stat::number_of_executed_units: 50"), Some(50));
        assert_eq!(executed("INFO: Seed: 1"), None);
    }
}
