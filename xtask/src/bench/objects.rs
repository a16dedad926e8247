// SPDX-License-Identifier: GPL-2.0

//! What a kernel pays that has the series and not its option: nothing, if each of its functions has
//! the instructions that it has without the series.
//!
//! All objects of both kernels are compared, not only those whose sources the series touches: headers
//! are everybody's.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::LazyLock;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use regex_lite::{Captures, Regex};
use serde::{Deserialize, Serialize};
use xshell::{Shell, cmd};

use crate::exit::Exit;
use crate::kernel::{Arch, Base, Config, Flavour, Series, build};
use crate::progress::{Bar, Unit};
use crate::{cmd, setup, toolchain};

/// `off.toml`: functions that the series changes for everybody.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    #[serde(default)]
    function: Vec<KnownFunction>,
}

/// A function that may differ.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct KnownFunction {
    /// The object in the build directory.
    object: PathBuf,
    name: String,
    /// Why it differs.
    reason: String,
}

/// A function that is not the same in both kernels.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Difference {
    object: PathBuf,
    function: String,
    how: How,
    /// Why, as the series' own list has it.
    reason: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum How {
    Added,
    Removed,
    Changed,
}

/// What was found.
#[derive(Debug, Serialize)]
struct Report {
    /// Objects that both kernels have.
    compared: usize,
    /// Of them, those that are the same to the byte.
    same_bytes: usize,
    differences: Vec<Difference>,
    /// Entries of the list that nothing needs.
    unused: Vec<String>,
}

/// Compares, and prints what differs.
///
/// # Errors
///
/// A kernel cannot be built, or a tool is missing.
pub fn run(base: &Base, json: bool) -> Result<ExitCode> {
    setup::ensure()?;
    let configs = [Flavour::Unpatched, Flavour::Off].map(|flavour| Config {
        flavour,
        ..Config::new(Arch::Qemu)
    });
    let built = build::ensure_all(base, &configs)?;
    let report = report(&built[0].build, &built[1].build)?;

    let failed = !report.unused.is_empty()
        || report
            .differences
            .iter()
            .any(|difference| difference.reason.is_none());
    if json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        show(&report);
    }
    let exit = if failed { Exit::Findings } else { Exit::Pass };
    Ok(exit.into())
}

fn report(unpatched: &Path, off: &Path) -> Result<Report> {
    let objdump = toolchain::objdump()?;
    let (before, after) = (objects(unpatched)?, objects(off)?);
    let both: Vec<_> = before.intersection(&after).collect();
    ensure!(!both.is_empty(), "the kernels have no object in common");
    let mut differences: Vec<_> = before
        .symmetric_difference(&after)
        .map(|object| Difference {
            object: object.clone(),
            function: "*".to_owned(),
            how: if before.contains(object) {
                How::Removed
            } else {
                How::Added
            },
            reason: None,
        })
        .collect();

    let mut same_bytes = 0;
    let mut bar = Bar::new("comparing", Unit::Count("objects"), Some(both.len() as u64));
    for object in &both {
        let files = [unpatched.join(object), off.join(object)];
        if fs::read(&files[0])? == fs::read(&files[1])? {
            same_bytes += 1;
        } else {
            let [before, after] = [
                functions(&objdump, &files[0])?,
                functions(&objdump, &files[1])?,
            ];
            differences.extend(differing(object, &before, &after));
        }
        bar.add(1);
    }
    bar.finish();

    let unused = explain(&mut differences, &known()?);
    Ok(Report {
        compared: both.len(),
        same_bytes,
        differences,
        unused,
    })
}

/// The list of the series.
fn known() -> Result<Known> {
    let file = Series::Bc.dir().join("off.toml");
    let text = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
    toml::from_str(&text).with_context(|| format!("reading {}", file.display()))
}

/// Gives differences their reasons; returns the entries that none needs.
fn explain(differences: &mut [Difference], known: &Known) -> Vec<String> {
    let mut unused = Vec::new();
    for entry in &known.function {
        let mut used = false;
        for difference in differences.iter_mut() {
            if difference.object == entry.object && difference.function == entry.name {
                difference.reason = Some(entry.reason.clone());
                used = true;
            }
        }
        if !used {
            unused.push(format!("{} of {}", entry.name, entry.object.display()));
        }
    }
    unused
}

/// The objects that were compiled from one source each, by their paths in the build directory.
fn objects(build: &Path) -> Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    let mut dirs = vec![build.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).with_context(|| format!("reading {}", dir.display()))? {
            let entry = entry?;
            let path = entry.path();
            let inside = path.strip_prefix(build)?.to_owned();
            if entry.file_type()?.is_dir() {
                // Programs of the build, and not of the kernel.
                if !["scripts", "tools", "usr"]
                    .iter()
                    .any(|apart| inside.starts_with(apart))
                {
                    dirs.push(path);
                }
            } else if inside.extension().is_some_and(|kind| kind == "o") && is_compiled(&path)? {
                found.insert(inside);
            }
        }
    }
    Ok(found)
}

/// Whether a compiler has made an object: kbuild says how it was made, and from which source.
fn is_compiled(object: &Path) -> Result<bool> {
    let name = object.file_name().unwrap_or_default().to_string_lossy();
    let how = object.with_file_name(format!(".{name}.cmd"));
    Ok(how.exists() && fs::read_to_string(&how)?.contains("\nsource_"))
}

/// The instructions of each function, without addresses.
fn functions(objdump: &Path, object: &Path) -> Result<BTreeMap<String, String>> {
    let sh = Shell::new()?;
    let command = cmd!(
        sh,
        "{objdump} --disassemble --reloc --no-show-raw-insn {object}"
    );
    let text = cmd::run(command).limit(Duration::from_secs(120)).ok()?;
    Ok(split(&text))
}

/// A function as objdump has it: its name, and its lines by their addresses.
#[derive(Default)]
struct Listing<'a> {
    name: &'a str,
    lines: Vec<(u64, &'a str)>,
}

impl Listing<'_> {
    /// The lines without what says where they are. A jump within the function names the number of the
    /// line that it goes to, since how long a jump is depends on what is around the function.
    fn text(&self) -> String {
        static PLACES: LazyLock<Regex> = LazyLock::new(|| {
            Regex::new(r"0x([0-9a-f]+) <([^>]*)>|(R_\w+\s+\.[\w.]+)[+-]0x[0-9a-f]+")
                .expect("a constant")
        });
        let code = |line: &&(u64, &str)| !is_relocation(line.1);
        let numbers: BTreeMap<u64, usize> = self
            .lines
            .iter()
            .filter(code)
            .enumerate()
            .map(|(number, (address, _))| (*address, number))
            .collect();
        let place = |found: &Captures<'_>| match (found.get(1), found.get(3)) {
            // A table of data grows before what it is about.
            (_, Some(section)) => section.as_str().to_owned(),
            (Some(address), _) => {
                let address = u64::from_str_radix(address.as_str(), 16).ok();
                let number = address.and_then(|address| numbers.get(&address));
                number.map_or_else(|| format!("<{}>", &found[2]), |number| format!("#{number}"))
            }
            (None, None) => String::new(),
        };
        // What is behind the end is there for the next one to begin at a round address.
        let padding = |line: &&(u64, &str)| {
            let first = line.1.split_whitespace().find(|word| *word != "cs");
            first.is_some_and(|word| word.starts_with("nop") || word == "int3")
        };
        let length = self.lines.len() - self.lines.iter().rev().take_while(padding).count();
        let lines = self.lines[..length].iter();
        lines
            .map(|(_, line)| PLACES.replace_all(line, place) + "\n")
            .collect()
    }
}

fn is_relocation(line: &str) -> bool {
    line.starts_with("R_")
}

/// Reads what objdump says.
fn split(text: &str) -> BTreeMap<String, String> {
    let mut functions = BTreeMap::new();
    let mut now = Listing::default();
    for line in text.lines() {
        let head = line
            .strip_suffix(">:")
            .and_then(|line| line.split_once(" <"));
        if let Some((_, name)) = head {
            functions.insert(now.name.to_owned(), now.text());
            now = Listing {
                name,
                ..Listing::default()
            };
        } else if let Some((address, rest)) = line.trim().split_once(':')
            && let Ok(address) = u64::from_str_radix(address, 16)
        {
            now.lines.push((address, rest.trim()));
        }
    }
    functions.insert(now.name.to_owned(), now.text());
    // What was before the first one.
    functions.remove("");
    functions
}

/// Functions of which the kernels have not the same.
fn differing(
    object: &Path,
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
) -> Vec<Difference> {
    let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let how = |name| match (before.get(name), after.get(name)) {
        (Some(before), Some(after)) => (before != after).then_some(How::Changed),
        (Some(_), None) => Some(How::Removed),
        _ => Some(How::Added),
    };
    names
        .into_iter()
        .filter_map(|name| {
            Some(Difference {
                object: object.to_owned(),
                function: name.clone(),
                how: how(name)?,
                reason: None,
            })
        })
        .collect()
}

fn show(report: &Report) {
    for difference in &report.differences {
        let how = match difference.how {
            How::Added => "added",
            How::Removed => "removed",
            How::Changed => "changed",
        };
        let reason = difference.reason.as_deref();
        println!(
            "{how:8} {} of {}: {}",
            difference.function,
            difference.object.display(),
            reason.unwrap_or("NOT EXPECTED")
        );
    }
    for entry in &report.unused {
        println!("off.toml has an entry that nothing needs: {entry}");
    }
    println!(
        "{} objects compared, {} of them the same to the byte; {} functions differ",
        report.compared,
        report.same_bytes,
        report.differences.len()
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "\
a.o:\tfile format elf64-x86-64

Disassembly of section .text:

0000000000000000 <first>:
       0:      \tcallq\t0x40 <second>
       5:      \tje\t0xe <first+0xe>
       7:      \tmovq\t$0x0, %rdi
\t\t0000000000000007:  R_X86_64_32S\t.rodata.str1.1+0x1b
       e:      \tretq
       f:      \tnop

0000000000000040 <second>:
      40:      \tretq
";

    #[test]
    fn places_do_not_count() {
        // Everything is elsewhere, the jump is longer, and there is no padding.
        let after = BEFORE
            .replace("0x40 <", "0x60 <")
            .replace("0000000000000040", "0000000000000060")
            .replace("      40:", "      60:")
            .replace("+0x1b", "+0x2c")
            .replace("0xe <first+0xe>", "0x11 <first+0x11>")
            .replace("       7:", "       a:")
            .replace("07:  R", "0a:  R")
            .replace("       e:", "      11:")
            .replace("       f:      \tnop\n", "");
        let (before, after) = (split(BEFORE), split(&after));
        assert_eq!(before.keys().collect::<Vec<_>>(), ["first", "second"]);
        assert!(before["first"].contains("je\t#3\n"), "{}", before["first"]);
        assert_eq!(differing(Path::new("a.o"), &before, &after), []);
    }

    #[test]
    fn instructions_targets_and_functions_count() {
        for after in [
            BEFORE.replace("$0x0", "$0x1"),
            BEFORE.replace("0xe <first+0xe>", "0x7 <first+0x7>"),
            BEFORE.replace("0x40 <second>", "0x80 <fourth>"),
        ] {
            let after = after.replace("<second>:", "<third>:");
            let found = differing(Path::new("a.o"), &split(BEFORE), &split(&after));
            let found: Vec<_> = found
                .iter()
                .map(|difference| (difference.function.as_str(), difference.how))
                .collect();
            let expected = [
                ("first", How::Changed),
                ("second", How::Removed),
                ("third", How::Added),
            ];
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn what_is_listed_has_a_reason_and_is_needed() {
        let known: Known = toml::from_str(
            "[[function]]\nobject = 'a.o'\nname = 'first'\nreason = 'split off'\n\
             [[function]]\nobject = 'a.o'\nname = 'gone'\nreason = 'no more'\n",
        )
        .unwrap();
        let mut differences = differing(Path::new("a.o"), &split(""), &split(BEFORE));
        assert_eq!(explain(&mut differences, &known), ["gone of a.o"]);
        assert_eq!(differences[0].reason.as_deref(), Some("split off"));
        assert_eq!(differences[1].reason, None);
    }
}
