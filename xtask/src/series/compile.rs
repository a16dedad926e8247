// SPDX-License-Identifier: GPL-2.0

//! Whether the tip compiles with what no guest's kernel is built with: another C compiler, another
//! architecture. Of the kernel only the series' own part is made, and nothing is linked or booted.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::check;
use super::compose::Composed;
use super::each::{Proof, diagnostics, finding};
use super::report::Row;
use crate::kernel::{Base, Other, Series, Variant, build, config};
use crate::toolchain::{self, Compiler};

/// Parts of the tree that are no part of the kernel.
const APART: [&str; 3] = ["Documentation", "scripts", "tools"];

/// Compiles what of the tip the series adds or changes.
///
/// # Errors
///
/// Whatever is not the series' fault.
pub fn tip(composed: &Composed, base: &Base, series: Series, other: Other) -> Result<Row> {
    let version = &composed.version;
    let variant = Variant::from((series, other));
    let check = match other {
        Other::Gcc => "compile gcc",
        Other::Arm64 => "compile arm64",
    };
    if let Some(why) = lacking(variant)? {
        return Ok(Row::skipped(version, check, why));
    }
    let changed = check::changed(&composed.before, composed.tip());
    let files: Vec<&PathBuf> = changed
        .map(|(path, _)| path)
        .filter(|path| concerns(path, variant.arch()))
        .collect();
    let sources: Vec<&PathBuf> = files.iter().copied().filter(|path| is_code(path)).collect();
    let compiler = variant.compiler().path()?;
    let detail = format!(
        "{} files of the tip for {} with {}{}",
        sources.len(),
        variant.arch(),
        compiler.file_name().unwrap_or_default().to_string_lossy(),
        toolchain::version(&compiler).map_or(String::new(), |version| format!(" {version}")),
    );
    let row = |findings| Row::ran(version, check, detail, findings);
    let wanted = config::wanted(&(series, other), version)?;
    let what = format!("compile-{}", variant.name());
    let proof = Proof::new(&what, composed, base, variant, composed.tip(), &wanted)?;
    if files.is_empty() || proof.is_there() {
        return Ok(row(Vec::new()));
    }
    eprintln!("compiling {} ...", variant.name());
    let findings = match build::compile(base, series, other, &stale(&files)) {
        Ok(compiled) => {
            let mut findings = diagnostics(&compiled.text, &sources);
            findings.extend(warnings(&compiled.text, &sources));
            findings.extend(unread(&compiled.build, &sources)?);
            findings
        }
        Err(error) => vec![finding(error)?],
    };
    if findings.is_empty() {
        proof.keep("the tip")?;
    }
    Ok(row(findings))
}

/// Why something cannot be compiled on this machine.
fn lacking(variant: Variant) -> Result<Option<String>> {
    let setup = "cargo xtask setup";
    Ok(match variant.compiler() {
        Compiler::Gcc => toolchain::gcc().is_none().then(|| {
            let least =
                toolchain::minimum("gcc").map_or(String::new(), |least| format!(" {least}"));
            format!("`gcc`{least} or newer is missing, package gcc: {setup}")
        }),
        Compiler::Clang => {
            let clang = variant.compiler().path()?;
            // LLVM's name of the only other architecture.
            let has = names_target(&toolchain::clang_targets()?, "aarch64");
            (variant.arch() == "arm64" && !has).then(|| {
                let clang = clang.display();
                format!("`{clang}` has no target aarch64; that of package clang-19 has: {setup}")
            })
        }
    })
}

/// Whether `clang --print-targets` lists a target.
fn names_target(list: &str, target: &str) -> bool {
    list.lines()
        .any(|line| line.split_whitespace().next() == Some(target))
}

fn extension(path: &Path) -> &str {
    path.extension()
        .and_then(|name| name.to_str())
        .unwrap_or("")
}

/// What a compiler reads.
fn is_code(path: &Path) -> bool {
    matches!(extension(path), "c" | "h" | "rs" | "S")
}

/// What decides which objects a directory has.
fn is_list(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name == "Makefile" || name == "Kbuild")
}

/// Whether a file has to do with what is compiled for an architecture.
fn concerns(path: &Path, arch: &str) -> bool {
    // The only one of them whose directory has another name.
    let arch = match arch {
        "x86_64" => "x86",
        arch => arch,
    };
    let mut parts = path.iter().map(|part| part.to_string_lossy());
    let apart = match parts.next().as_deref() {
        Some("arch") => parts.next().is_some_and(|part| part != arch),
        Some(top) => APART.contains(&top),
        None => true,
    };
    !apart && (is_code(path) || is_list(path))
}

/// What of a build directory has to be made again to see all files compiled: directories whose list of
/// objects is the series' or that have a crate of it, and the single objects of C files elsewhere.
fn stale(files: &[&PathBuf]) -> Vec<String> {
    let is_dir = |path: &&&PathBuf| is_list(path) || extension(path) == "rs";
    let apart = |path: &&&PathBuf| path.starts_with("rust") || path.parent() == Some(Path::new(""));
    let (rust, others): (Vec<&PathBuf>, Vec<_>) = files.iter().partition(apart);
    let dirs: BTreeSet<&Path> = others
        .iter()
        .filter(|path| is_dir(path))
        .filter_map(|path| path.parent())
        .collect();
    let mut stale: BTreeSet<String> = dirs
        .iter()
        .map(|dir| format!("{}/", dir.display()))
        .collect();
    for path in others {
        let covered = dirs.iter().any(|dir| path.starts_with(dir));
        match extension(path) {
            "c" | "S" if !covered => {
                stale.insert(path.with_extension("o").display().to_string());
            }
            // Some are included by the helpers alone.
            "h" => {
                stale.insert("rust/helpers/helpers.o".into());
            }
            _ => {}
        }
    }
    for path in rust {
        let crates = path.strip_prefix("rust").unwrap_or(path);
        match (crates.iter().next(), extension(path)) {
            (Some(part), "c") if part == "helpers" => {
                stale.insert("rust/helpers/helpers.o".into());
            }
            (Some(part), "rs" | "c") => {
                let object = Path::new("rust").join(part).with_extension("o");
                stale.insert(object.display().to_string());
            }
            _ => {}
        }
    }
    stale.into_iter().collect()
}

/// What a C compiler or objtool warns of in `files` or in their objects, each once.
fn warnings(text: &str, files: &[&PathBuf]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for line in text.lines() {
        let Some((place, what)) = line.split_once(": warning: ") else {
            continue;
        };
        let mut parts = place.split(':');
        let path = Path::new(parts.next().unwrap_or_default().trim());
        let is_of = |file: &&&PathBuf| {
            path.ends_with(file)
                || extension(path) == "o" && path.ends_with(file.with_extension("o"))
        };
        let Some(file) = files.iter().find(is_of) else {
            continue;
        };
        let mut place = file.display().to_string();
        for number in parts {
            place += &format!(":{number}");
        }
        let finding = format!("{place}: warning: {what}");
        if !found.contains(&finding) {
            found.push(finding);
        }
    }
    found
}

/// The files that nothing in a build directory was made from, by kbuild's records of its objects:
/// that a file compiles is not shown by leaving it out.
fn unread(build: &Path, files: &[&PathBuf]) -> Result<Vec<String>> {
    let mut missing: Vec<(String, &PathBuf)> = files
        .iter()
        .map(|file| (format!("/{}", file.display()), *file))
        .collect();
    let mut left = vec![build.to_owned()];
    while let Some(dir) = left.pop() {
        for entry in fs::read_dir(&dir).with_context(|| dir.display().to_string())? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                left.push(entry.path());
            } else if extension(&entry.path()) == "cmd" {
                let record = fs::read(entry.path())?;
                let record = String::from_utf8_lossy(&record);
                missing.retain(|(file, _)| {
                    !record.split_whitespace().any(|word| word.ends_with(file))
                });
            }
        }
    }
    let say = |(_, file): (String, &PathBuf)| format!("{}: nothing compiled it", file.display());
    Ok(missing.into_iter().map(say).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(paths: &[&str]) -> Vec<PathBuf> {
        paths.iter().map(PathBuf::from).collect()
    }

    #[test]
    fn only_the_kernels_own_code_is_compiled() {
        let concerning = |arch| {
            [
                "Documentation/a.c",
                "Makefile",
                "arch/arm64/a.S",
                "arch/x86/kernel/a.c",
                "fs/a.c",
                "init/Kconfig",
                "kernel/bc/Makefile",
                "tools/testing/selftests/bc/a.c",
            ]
            .into_iter()
            .filter(|path| concerns(Path::new(path), arch))
            .collect::<Vec<_>>()
        };
        let (x86, arm64) = (concerning("x86_64"), concerning("arm64"));
        assert_eq!(
            x86,
            [
                "Makefile",
                "arch/x86/kernel/a.c",
                "fs/a.c",
                "kernel/bc/Makefile"
            ]
        );
        assert_eq!(
            arm64,
            ["Makefile", "arch/arm64/a.S", "fs/a.c", "kernel/bc/Makefile"]
        );
    }

    #[test]
    fn directories_with_a_list_or_a_crate_are_made_whole() {
        let files = paths(&[
            "Makefile",
            "fs/file_table.c",
            "kernel/cgroup/Makefile",
            "kernel/cgroup/cgroup.c",
            "kernel/cgroup/bc/bc.rs",
            "kernel/cgroup/bc/subsys.c",
            "kernel/fork.c",
            "lib/x/x.rs",
            "lib/x/internal.h",
            "rust/Makefile",
            "rust/kernel/bc.rs",
            "rust/ffi.rs",
        ]);
        let files: Vec<&PathBuf> = files.iter().collect();
        assert_eq!(
            stale(&files),
            [
                "fs/file_table.o",
                "kernel/cgroup/",
                "kernel/cgroup/bc/",
                "kernel/fork.o",
                "lib/x/",
                "rust/ffi.o",
                "rust/helpers/helpers.o",
                "rust/kernel.o"
            ]
        );
        let helper = paths(&["rust/helpers/cgroup.c"]);
        let helper: Vec<&PathBuf> = helper.iter().collect();
        assert_eq!(stale(&helper), ["rust/helpers/helpers.o"]);
    }

    #[test]
    fn warnings_are_heard_only_about_the_series() {
        let text = "  CC      kernel/bc/a.o\n\
                    In file included from /cache/tree/7.3/kernel/bc/a.c:3:\n\
                    /cache/tree/7.3/include/linux/bc.h:7:2: warning: unused variable 'x' [-Wunused]\n\
                    \x20   7 | int x;\n\
                    /cache/tree/7.3/include/linux/bc.h:7:2: warning: unused variable 'x' [-Wunused]\n\
                    ../../tree/7.3/kernel/bc/a.c:9: warning: \"X\" redefined\n\
                    /cache/tree/7.3/kernel/exit.c:7:2: warning: old habit\n\
                    kernel/bc/a.o: warning: objtool: f() falls through to next function g()\n\
                    kernel/exit.o: warning: objtool: h+0x1: unreachable instruction\n";
        let files = paths(&["include/linux/bc.h", "kernel/bc/a.c"]);
        let files: Vec<&PathBuf> = files.iter().collect();
        assert_eq!(
            warnings(text, &files),
            [
                "include/linux/bc.h:7:2: warning: unused variable 'x' [-Wunused]",
                "kernel/bc/a.c:9: warning: \"X\" redefined",
                "kernel/bc/a.c: warning: objtool: f() falls through to next function g()",
            ]
        );
    }

    #[test]
    fn a_file_that_is_left_out_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let kernel = dir.path().join("kernel");
        fs::create_dir(&kernel).unwrap();
        let record = "savedcmd_kernel/a.o := cc -o kernel/a.o /tree/kernel/a.c\n\
                      deps_kernel/a.o := \\\n  /tree/include/linux/a.h \\\n";
        fs::write(kernel.join(".a.o.cmd"), record).unwrap();
        fs::write(kernel.join("b.c"), "/tree/kernel/b.c").unwrap();
        let files = paths(&["include/linux/a.h", "kernel/a.c", "kernel/b.c"]);
        let files: Vec<&PathBuf> = files.iter().collect();
        let found = unread(dir.path(), &files).unwrap();
        assert_eq!(found, ["kernel/b.c: nothing compiled it"]);
    }

    #[test]
    fn a_target_is_named_in_the_list_of_clang() {
        let list = "  Registered Targets:\n    aarch64_be - AArch64 (big endian)\n    x86-64 - x\n";
        assert!(names_target(list, "x86-64"));
        assert!(!names_target(list, "aarch64"));
    }
}
