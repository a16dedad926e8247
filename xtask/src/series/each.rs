// SPDX-License-Identifier: GPL-2.0

//! What takes a kernel build: every commit builds and boots, and clippy has nothing to say. What was
//! proven once for the same files, configuration and tools is not proven again.

use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::compose::{Composed, Tree};
use super::report::Row;
use super::topic::Topic;
use crate::exit::{self, Exit};
use crate::guest::{self, Console, Script};
use crate::kernel::{Base, Config, Series, Variant, build, config, sync};
use crate::ktap::strip_log_prefix;
use crate::{paths, toolchain};

/// What the guest prints when it is up.
const MARK: &str = "this commit boots";

/// Composes, builds and boots every commit where the series is at home.
///
/// # Errors
///
/// Whatever is not the series' fault.
pub fn commits(topic: &Topic, composed: &Composed, base: &Base, series: Series) -> Result<Row> {
    let config = Config::of(series, series.home());
    let wanted = config::wanted(&config, &composed.version)?;
    let count = topic.patches.len();
    let (mut findings, mut earlier) = (Vec::new(), 0);
    for (at, (patch, stage)) in topic.patches.iter().zip(&composed.stages).enumerate() {
        eprintln!("commit {} of {count}: {}", at + 1, patch.message.subject);
        let wanted = without_later_symbols(&wanted, stage, composed.tip());
        let proof = Proof::new("boots", composed, base, config, stage, &wanted)?;
        if proof.is_there() {
            earlier += 1;
            continue;
        }
        match boots(base, &config, stage, wanted) {
            Ok(found) if found.is_empty() => proof.keep(&patch.message.subject)?,
            Ok(found) => {
                findings.extend(
                    found
                        .into_iter()
                        .map(|found| format!("{}: {found}", patch.name)),
                );
            }
            Err(error) => findings.push(format!("{}: {}", patch.name, finding(error)?)),
        }
    }
    let place = config.arch.name();
    let detail = format!("{count} commits built and booted on {place}, {earlier} of them earlier");
    Ok(Row::ran(&composed.version, "each commit", detail, findings))
}

/// Builds and boots one stage; what went wrong in the guest.
fn boots(base: &Base, config: &Config, stage: &Tree, wanted: String) -> Result<Vec<String>> {
    let files = stage.iter();
    let overlay = files
        .map(|(path, file)| (path.clone(), file.content.to_vec()))
        .collect();
    let built = build::ensure_other(base, config, "each", &overlay, wanted)?;
    let kernel = guest::Kernel::from(built);
    let name = format!("series-each-{}", base.name());
    let run = guest::run(&kernel, Script::new(name, format!("echo '{MARK}'\n")))?;
    Ok(trouble(&run))
}

/// What a guest that only had to come up and go down did wrong.
fn trouble(run: &Console) -> Vec<String> {
    let verdict = run.verdict();
    let mut found = verdict.findings();
    if verdict.trouble.is_none() && !run.output.contains(MARK) {
        found.push("the guest's script printed nothing".to_owned());
    }
    let failed = run
        .console
        .lines()
        .map(|line| strip_log_prefix(line).trim());
    let failed = failed.filter(|line| line.starts_with("not ok "));
    found.extend(failed.map(|line| format!("a KUnit test failed: {line}")));
    if !found.is_empty() {
        found.push(format!("the console is in {}", run.log.display()));
    }
    found
}

/// Runs clippy on the Rust code of the tip.
///
/// # Errors
///
/// Whatever is not the series' fault.
pub fn clippy(composed: &Composed, base: &Base, series: Series) -> Result<Row> {
    let config = Config::of(series, series.home());
    let changed = super::check::changed(&composed.before, composed.tip());
    let rust: Vec<&PathBuf> = changed
        .map(|(path, _)| path)
        .filter(|path| path.extension().is_some_and(|suffix| suffix == "rs"))
        .collect();
    let detail = format!("{} files of the tip", rust.len());
    let row = |findings| Row::ran(&composed.version, "clippy", detail, findings);
    let wanted = config::wanted(&config, &composed.version)?;
    let proof = Proof::new("clippy", composed, base, config, composed.tip(), &wanted)?;
    if rust.is_empty() || proof.is_there() {
        return Ok(row(Vec::new()));
    }
    let driver = toolchain::rustc().and_then(|rustc| toolchain::rust_tool(&rustc, "clippy-driver"));
    if driver.is_none() {
        let why = "`clippy-driver` is missing: cargo xtask setup".to_owned();
        return Ok(Row::skipped(&composed.version, "clippy", why));
    }
    let findings = match build::clippy(base, &config, &stale(&rust)) {
        Ok(text) => diagnostics(&text, &rust),
        Err(error) => vec![finding(error)?],
    };
    if findings.is_empty() {
        proof.keep("the tip")?;
    }
    Ok(row(findings))
}

/// What of a build directory clippy has to look at again: directories, or objects of `rust/`, which
/// belong to one crate.
fn stale(rust: &[&PathBuf]) -> Vec<String> {
    let target = |path: &&PathBuf| match path.strip_prefix("rust") {
        Ok(rest) => {
            let part = rest.iter().next().map(Path::new).unwrap_or(rest);
            format!("rust/{}", part.with_extension("o").display())
        }
        Err(_) => format!("{}/", path.parent().unwrap_or(Path::new("")).display()),
    };
    let targets: BTreeSet<String> = rust.iter().map(target).collect();
    targets.into_iter().collect()
}

/// Warnings in the output of a build that point into `files`.
pub(super) fn diagnostics(text: &str, files: &[&PathBuf]) -> Vec<String> {
    let mut found = Vec::new();
    let mut title = "";
    for line in text.lines() {
        if line.starts_with("warning") || line.starts_with("error") {
            title = line;
        }
        let Some(place) = line.trim_start().strip_prefix("--> ") else {
            continue;
        };
        let (path, line) = place.split_once(':').unwrap_or((place, ""));
        let file = files.iter().find(|file| Path::new(path).ends_with(file));
        if let Some(file) = file.filter(|_| !title.is_empty()) {
            found.push(format!("{}:{line}: {title}", file.display()));
        }
        // Further places of the same diagnostic are notes.
        title = "";
    }
    found
}

/// The text of an error that the series is to blame for; any other error as it came.
pub(super) fn finding(error: anyhow::Error) -> Result<String> {
    match exit::of(&error) {
        Exit::Findings => Ok(format!("{error:#}")),
        _ => Err(error),
    }
}

/// The fragments without the symbols that the series defines only after this stage; all others have
/// to survive as at the tip.
fn without_later_symbols(wanted: &str, stage: &Tree, tip: &Tree) -> String {
    let (now, then) = (symbols(stage), symbols(tip));
    let later = |line: &&str| {
        let name = line.strip_prefix("# ").unwrap_or(line);
        let name = name
            .strip_prefix("CONFIG_")
            .and_then(|name| name.split(['=', ' ']).next());
        name.is_some_and(|name| then.contains(name) && !now.contains(name))
    };
    let kept = wanted.lines().filter(|line| !later(line));
    kept.map(|line| format!("{line}\n")).collect()
}

/// The symbols that the Kconfig files of a tree define.
fn symbols(tree: &Tree) -> BTreeSet<String> {
    let kconfig = tree.iter().filter(|(path, _)| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with("Kconfig"))
    });
    let mut symbols = BTreeSet::new();
    for (_, file) in kconfig {
        for line in String::from_utf8_lossy(&file.content).lines() {
            let name = line
                .strip_prefix("config ")
                .or_else(|| line.strip_prefix("menuconfig "));
            symbols.extend(name.map(|name| name.trim().to_owned()));
        }
    }
    symbols
}

/// A hash of everything that is compiled: most of the files are the base's own.
fn sources(version: &str, base: &Base, files: &Tree) -> Result<u64> {
    let mut hasher = DefaultHasher::new();
    (version, base.name(), sync::own_state(base)?, files).hash(&mut hasher);
    Ok(hasher.finish())
}

/// The memory of a check that passed.
pub(super) struct Proof(PathBuf);

impl Proof {
    /// Depends on everything that the outcome depends on.
    pub(super) fn new(
        what: &str,
        composed: &Composed,
        base: &Base,
        variant: impl Into<Variant>,
        files: &Tree,
        wanted: &str,
    ) -> Result<Self> {
        let compiler = variant.into().compiler();
        let mut hasher = DefaultHasher::new();
        sources(&composed.version, base, files)?.hash(&mut hasher);
        let args = toolchain::make_args_with(compiler)?;
        (wanted, args, toolchain::identity_with(compiler)?).hash(&mut hasher);
        let name = format!("{what}-{:016x}", hasher.finish());
        Ok(Self(paths::cache().join("proven").join(name)))
    }

    pub(super) fn is_there(&self) -> bool {
        self.0.is_file()
    }

    pub(super) fn keep(&self, of: &str) -> Result<()> {
        let write = || -> std::io::Result<()> {
            fs::create_dir_all(self.0.parent().unwrap_or(Path::new("/")))?;
            fs::write(&self.0, format!("{of}\n"))
        };
        write().with_context(|| self.0.display().to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::super::File;
    use super::*;
    use crate::guest::Outcome;
    use std::time::Duration;

    fn tree(files: &[(&str, &str)]) -> Tree {
        let file = |text: &str| File {
            content: text.as_bytes().into(),
            executable: false,
        };
        files
            .iter()
            .map(|(path, text)| (path.into(), file(text)))
            .collect()
    }

    #[test]
    fn a_stage_is_not_asked_for_symbols_that_come_later() {
        let stage = tree(&[
            ("init/Kconfig", "config A\n\tbool\n"),
            ("x.c", "config C\n"),
        ]);
        let tip = tree(&[
            ("init/Kconfig", "config A\n\tbool\n\nmenuconfig B\n\tbool\n"),
            ("kernel/bc/Kconfig.test", "config C\n\tbool\n"),
        ]);
        let wanted = "CONFIG_A=y\nCONFIG_B=y\n# CONFIG_C is not set\nCONFIG_BASE=y\n";
        assert_eq!(
            without_later_symbols(wanted, &stage, &tip),
            "CONFIG_A=y\nCONFIG_BASE=y\n"
        );
        assert_eq!(without_later_symbols(wanted, &tip, &tip), wanted);
    }

    #[test]
    fn clippy_is_heard_only_about_the_series() {
        let text = "  CLIPPY L kernel/cgroup/bc/bc.o\n\
                    warning: needless borrow\n   --> ../../tree/7.3/kernel/cgroup/bc/bc.rs:3:9\n    |\n\
                    3 | f(&x)\n   --> ../../tree/7.3/kernel/cgroup/bc/bc.rs:1:1\n\
                    warning: old habit\n  --> ../../tree/7.3/rust/kernel/lib.rs:1:1\n\
                    warning: 2 warnings emitted\n";
        let file = PathBuf::from("kernel/cgroup/bc/bc.rs");
        assert_eq!(
            diagnostics(text, &[&file]),
            ["kernel/cgroup/bc/bc.rs:3:9: warning: needless borrow"]
        );
    }

    #[test]
    fn clippy_looks_again_at_what_holds_the_files() {
        let paths = [
            "kernel/cgroup/bc/a.rs",
            "kernel/cgroup/bc/b.rs",
            "rust/kernel/x/y.rs",
        ];
        let paths = paths.map(PathBuf::from);
        let paths: Vec<&PathBuf> = paths.iter().collect();
        assert_eq!(stale(&paths), ["kernel/cgroup/bc/", "rust/kernel.o"]);
    }

    #[test]
    fn a_proof_belongs_to_all_files_of_a_developers_tree() {
        let dir = tempfile::tempdir().unwrap();
        let other = dir.path().join("mm/other.c");
        fs::create_dir(other.parent().unwrap()).unwrap();
        fs::write(&other, "int x;\n").unwrap();
        let base = Base::Tree(dir.path().into());
        let files = tree(&[("kernel/bc.c", "int y;\n")]);
        let before = sources("7.3.4", &base, &files).unwrap();
        assert_eq!(sources("7.3.4", &base, &files).unwrap(), before);
        fs::write(&other, "int longer;\n").unwrap();
        assert_ne!(sources("7.3.4", &base, &files).unwrap(), before);
        let fetched = sources("7.3.4", &Base::V7_3, &files).unwrap();
        assert_eq!(sources("7.3.4", &Base::V7_3, &files).unwrap(), fetched);
        assert_ne!(sources("7.3.4", &Base::V7_3, &tree(&[])).unwrap(), fetched);
    }

    #[test]
    fn a_guest_that_is_not_right_is_found_out() {
        let trouble = |outcome, output: &str, console: &str| {
            trouble(&Console {
                outcome,
                output: output.to_owned(),
                console: console.to_owned(),
                log: "boot.log".into(),
                time: Duration::ZERO,
            })
        };
        let output = format!("{MARK}\n");
        assert_eq!(trouble(Outcome::Exited(0), &output, "ok 1 bc\n"), [""; 0]);
        let wrong = [
            trouble(Outcome::Exited(0), "", ""),
            trouble(Outcome::Exited(1), &output, ""),
            trouble(Outcome::Panicked, &output, ""),
            trouble(Outcome::BootTimeout, "", ""),
            trouble(
                Outcome::Exited(0),
                &output,
                "[    0.1]     not ok 2 charge\n",
            ),
            trouble(
                Outcome::Exited(0),
                &output,
                "[    1.0] WARNING: CPU: 0 PID: 1 at fs/a.c:3 f+0x1/0x2\n",
            ),
        ];
        for found in wrong {
            assert_eq!(found.len(), 2, "{found:?}");
            assert_eq!(found[1], "the console is in boot.log");
        }
    }
}
