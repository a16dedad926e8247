// SPDX-License-Identifier: GPL-2.0

//! Two CPUs charge in one container: from their stocks, and a counter that they share.
//!
//! What a line of a cache costs that two CPUs want is no number of instructions, and no guest has such
//! lines. So the controller's own C is compiled into a program for this machine, with
//! `xtask/contended/kernel.h` in the place of the kernel. Only ratios mean something.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use comfy_table::Table;
use regex_lite::Regex;
use serde::Serialize;
use xshell::{Shell, cmd};

use super::{median_of, new_table};
use crate::exit::{Exit, Failure};
use crate::toolchain::Compiler;
use crate::{cmd, paths, setup};

/// What a charge from stock may cost in proportion to a shared counter if two CPUs charge at once.
const TARGET: f64 = 0.2;

/// Nanoseconds of a charge and an uncharge.
#[derive(Debug, Serialize)]
struct Figure {
    threads: u32,
    /// By the slower of the CPUs, the median over the rounds.
    stock: f64,
    shared: f64,
    ratio: f64,
}

/// Measures, and prints a table or JSON.
///
/// # Errors
///
/// The program does not compile, or this machine cannot run it.
pub fn run(json: bool) -> Result<ExitCode> {
    if !cfg!(target_arch = "x86_64") {
        let what = "only x86_64 has the per-CPU instructions that are compared";
        return Err(Failure::new(Exit::Skipped, what).into());
    }
    setup::ensure()?;
    let dir = tempfile::tempdir()?;
    let program = dir.path().join("contended");
    compile(dir.path(), &program)?;
    let sh = Shell::new()?;
    let said = cmd::run(cmd!(sh, "{program}"))
        .limit(Duration::from_secs(300))
        .ok()?;

    let figures = figures(&said)?;
    if json {
        println!("{}", serde_json::to_string_pretty(&figures)?);
    } else {
        println!("{}", table(&figures));
        println!(
            "Nanoseconds of this machine for a charge and an uncharge; only the ratio counts."
        );
    }
    Ok(Exit::Pass.into())
}

/// Compiles the controller's own files with what stands for the kernel.
fn compile(dir: &Path, program: &Path) -> Result<()> {
    let repo = paths::repo();
    let ours = repo.join("xtask/contended");
    let (controller, headers) = (repo.join("rust/bc"), repo.join("patches/bc/files/include"));
    let sources = [ours.join("contended.c"), controller.join("stock.c")];
    let includes = [headers.join("linux/bc.h"), controller.join("internal.h")];

    // The kernel's headers are empty: all that they would declare was included before.
    for source in sources.iter().chain(&includes) {
        let text =
            fs::read_to_string(source).with_context(|| format!("reading {}", source.display()))?;
        for header in kernel_headers(&text) {
            let header = dir.join(header);
            fs::create_dir_all(header.parent().unwrap_or(dir))?;
            fs::write(header, "")?;
        }
    }
    let clang = Compiler::Clang.path()?;
    let kernel = ours.join("kernel.h");
    let [contended, stock] = sources;
    let sh = Shell::new()?;
    let command = cmd!(
        sh,
        "{clang} -O2 -Wall -Werror -pthread -D_GNU_SOURCE -DCONFIG_CGROUP_BC -include {kernel}
         -I {dir} -I {headers} -I {controller} {contended} {stock} -o {program}"
    );
    cmd::run(command).ok()?;
    Ok(())
}

/// The kernel's own headers among those that a file includes.
fn kernel_headers(text: &str) -> Vec<&str> {
    let include = Regex::new(r"(?m)^#include <((?:linux|trace)/[^>]+)>$").expect("a constant");
    let found = include.captures_iter(text).filter_map(|found| found.get(1));
    found
        .map(|found| found.as_str())
        .filter(|&header| header != "linux/bc.h")
        .collect()
}

/// Reads lines of `WHAT THREADS NANOSECONDS`.
fn figures(said: &str) -> Result<Vec<Figure>> {
    let mut found: BTreeMap<(u32, &str), Vec<f64>> = BTreeMap::new();
    for line in said.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        let [what, threads, nanoseconds] = words[..] else {
            continue;
        };
        let key = (threads.parse()?, what);
        found.entry(key).or_default().push(nanoseconds.parse()?);
    }
    let of = |threads, what| median_of(found.get(&(threads, what))?.clone());
    let figures: Vec<_> = (1..=2)
        .filter_map(|threads| {
            let (stock, shared) = (of(threads, "stock")?, of(threads, "shared")?);
            Some(Figure {
                threads,
                stock,
                shared,
                ratio: stock / shared,
            })
        })
        .collect();
    ensure!(figures.len() == 2, "the program measured nothing: {said}");
    Ok(figures)
}

fn table(figures: &[Figure]) -> Table {
    let mut table = new_table([
        "CPUs",
        "from stock",
        "shared counter",
        "ratio",
        "target",
        "",
    ]);
    for figure in figures {
        let (target, met) = match figure.threads {
            1 => (String::new(), ""),
            _ if figure.ratio <= TARGET => (format!("≤ {TARGET:.2}"), "pass"),
            _ => (format!("≤ {TARGET:.2}"), "miss"),
        };
        table.add_row([
            figure.threads.to_string(),
            format!("{:.2}", figure.stock),
            format!("{:.2}", figure.shared),
            format!("{:.3}", figure.ratio),
            target,
            met.to_owned(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_rounds_are_compared() {
        let said = "stock 1 4\nshared 1 8\nstock 2 5\nshared 2 50\nstock 1 9\nstock 1 3\n";
        let figures = figures(said).unwrap();
        assert_eq!((figures[0].stock, figures[0].ratio), (4.0, 0.5));
        assert_eq!(figures[1].ratio, 0.1);
        assert!(super::figures("stock 1 4\n").is_err());
    }

    #[test]
    fn only_headers_of_the_kernel_are_replaced() {
        let text = "#include <linux/bc.h>\n#include <linux/fs.h>\n#include <stdio.h>\n\
                    #include <trace/events/bc.h>\n#include \"internal.h\"\n";
        assert_eq!(kernel_headers(text), ["linux/fs.h", "trace/events/bc.h"]);
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn the_controller_compiles_as_a_program() {
        if let Err(error) = Compiler::Clang.path() {
            eprintln!("not tried: {error}");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        compile(dir.path(), &dir.path().join("contended")).unwrap();
    }
}
