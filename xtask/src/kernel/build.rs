// SPDX-License-Identifier: GPL-2.0

//! Incremental builds, one directory per base and configuration.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Serialize;
use xshell::Shell;

use super::{Arch, Base, Config, Flavour, Other, Series, Variant, config, fetch, hash, sync};
use crate::exit::{Exit, Failure};
use crate::lock::Lock;
use crate::progress::{Bar, Unit, detail};
use crate::{cmd, paths, space, toolchain};

/// Proves in a build directory that its image belongs to the present input.
const STAMP: &str = ".beanpod-built";

/// The number of objects of the last complete build of a directory.
const COUNT: &str = ".beanpod-objects";

/// The size of a build directory without an image, with some room to spare.
const PARTS: u64 = 1 << 29;

/// How many lines of compiler errors a failure shows.
const SHOWN: usize = 30;

/// A kernel that is up to date, and stays so while this value lives: a guest boots from the build
/// tree, and under virtme-ng sees the host's files.
#[derive(Debug)]
pub struct Built {
    /// What boots: `linux` or `bzImage`.
    pub image: PathBuf,
    /// The source tree it was built from.
    pub source: Rc<sync::Source>,
    /// The build directory.
    pub build: PathBuf,
    /// Its configuration.
    pub config: Config,
    /// The base it was really built on.
    pub base: Base,
    /// The right to read the build directory.
    pub lock: Lock,
}

impl Serialize for Built {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut built = serializer.serialize_struct("Built", 5)?;
        built.serialize_field("base", &self.base.name())?;
        built.serialize_field("config", &self.config.name())?;
        built.serialize_field("source", &self.source.tree)?;
        built.serialize_field("build", &self.build)?;
        built.serialize_field("image", &self.image)?;
        built.end()
    }
}

/// A composed source tree, and what is to be built from it.
#[derive(Debug)]
struct Prepared {
    /// The base that was found, which may be the next one of that asked for.
    base: Base,
    /// The source tree.
    source: Rc<sync::Source>,
    /// The name of the build directory.
    name: String,
    variant: Variant,
    /// The text of the configuration's fragments.
    wanted: String,
}

/// Fetches and composes what is needed before `make`.
fn prepare(base: &Base, config: &Config) -> Result<Prepared> {
    Ok(prepare_all(base, &[*config])?.remove(0))
}

/// The same for several configurations, which have the same sources.
fn prepare_all(base: &Base, configs: &[Config]) -> Result<Vec<Prepared>> {
    let (base, pristine) = fetch::resolve(base)?;
    let version = super::version(&pristine)?;
    // A second lock on a tree that has changed meanwhile would wait for the first.
    let mut sources: HashMap<Option<Series>, Rc<sync::Source>> = HashMap::new();
    let mut prepared = Vec::new();
    for config in configs {
        let patched = config.flavour != Flavour::Unpatched;
        let series = patched.then_some(config.series);
        let source = match sources.entry(series) {
            Entry::Occupied(entry) => entry.get().clone(),
            Entry::Vacant(entry) => entry
                .insert(Rc::new(sync::ensure(&base, &pristine, series)?))
                .clone(),
        };
        prepared.push(Prepared {
            base: base.clone(),
            source,
            name: base.name(),
            variant: (*config).into(),
            wanted: config::wanted(config, &version)?,
        });
    }
    Ok(prepared)
}

impl Prepared {
    fn build(&self) -> PathBuf {
        paths::build_tree(&self.name, &self.variant.name())
    }

    fn configure(&self) -> Result<PathBuf> {
        config::write(&self.source, &self.build(), self.variant, &self.wanted)
    }

    fn lock_name(&self) -> String {
        lock_name(&self.build())
    }
}

/// The name of the lock on a build directory.
pub fn lock_name(build: &Path) -> String {
    let name = build.file_name().unwrap_or_default();
    format!("build-{}", name.to_string_lossy())
}

/// Builds something else than the series' tip, in a source tree and a build directory called
/// `name`: `base` with the files of `overlay`, configured as the fragments' text `wanted` says.
///
/// # Errors
///
/// As [`ensure`].
pub fn ensure_other(
    base: &Base,
    config: &Config,
    name: &str,
    overlay: &sync::Overlay,
    wanted: String,
) -> Result<Built> {
    let (base, pristine) = fetch::resolve(base)?;
    let name = format!("{}-{name}", base.name());
    let source = Rc::new(sync::lay(&base, &pristine, &name, overlay)?);
    let prepared = Prepared {
        base,
        source,
        name,
        variant: (*config).into(),
        wanted,
    };
    finish(prepared, config)
}

/// Runs clippy on the composed tree; returns what it said about `stale`, as [`again`] has it.
///
/// # Errors
///
/// As [`configure`]; also a compiler error (findings).
pub fn clippy(base: &Base, config: &Config, stale: &[String]) -> Result<String> {
    let mut prepared = prepare(base, config)?;
    // Objects that were made with clippy and those made without exclude each other.
    prepared.name += "-clippy";
    let _lock = Lock::exclusive(&prepared.lock_name())?;
    again(&prepared, stale, &["CLIPPY=1"])
}

/// What compiling left behind, which stays so while this value lives.
#[derive(Debug)]
pub struct Compiled {
    /// What was said.
    pub text: String,
    /// The build directory.
    pub build: PathBuf,
    _source: Rc<sync::Source>,
    _lock: Lock,
}

/// Compiles parts of the composed tree for something that does not boot: `stale`, as [`again`] has it.
///
/// # Errors
///
/// As [`configure`]; also a compiler error (findings).
pub fn compile(base: &Base, series: Series, other: Other, stale: &[String]) -> Result<Compiled> {
    let (base, pristine) = fetch::resolve(base)?;
    let prepared = Prepared {
        source: Rc::new(sync::ensure(&base, &pristine, Some(series))?),
        name: base.name(),
        variant: (series, other).into(),
        wanted: config::wanted(&(series, other), &super::version(&pristine)?)?,
        base,
    };
    let lock = Lock::exclusive(&prepared.lock_name())?;
    let build = prepared.build();
    if !build.join(COUNT).exists() {
        space::need("compiling the series", &build, PARTS)?;
    }
    Ok(Compiled {
        text: again(&prepared, stale, &[])?,
        build,
        _source: prepared.source,
        _lock: lock,
    })
}

/// Makes what `make prepare` makes, and `stale`: directories, which end in a slash, and objects. As
/// nothing is said about what is up to date, they are removed before.
fn again(prepared: &Prepared, stale: &[String], args: &[&str]) -> Result<String> {
    prepared.configure()?;
    let mut args: Vec<String> = args.iter().map(ToString::to_string).collect();
    args.push("prepare".into());
    for path in stale {
        let there = prepared.build().join(path);
        let removed = match path.ends_with('/') {
            true => fs::remove_dir_all(&there),
            false => fs::remove_file(&there),
        };
        match removed {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    // All of rust/ is made before anything else is, and cannot be asked for by name.
    let goals = stale.iter().filter(|path| !path.starts_with("rust/"));
    args.extend(goals.cloned());
    // How much of the directories is out of date only make knows.
    run(prepared, &args, None)
}

/// Composes the source tree and writes the configuration; returns the path of the `.config`.
///
/// # Errors
///
/// The base cannot be had, the series does not compose, the cache cannot be written, or a symbol was
/// dropped (findings).
pub fn configure(base: &Base, config: &Config) -> Result<PathBuf> {
    let prepared = prepare(base, config)?;
    let _lock = Lock::exclusive(&prepared.lock_name())?;
    prepared.configure()
}

/// Makes sure that the kernel is built from the present sources, and returns at once when it is.
///
/// # Errors
///
/// As [`configure`]; also a compiler error (findings).
pub fn ensure(base: &Base, config: &Config) -> Result<Built> {
    finish(prepare(base, config)?, config)
}

/// The same for several kernels that are to be compared: their sources are the same, whatever is
/// edited meanwhile.
///
/// # Errors
///
/// As [`ensure`].
pub fn ensure_all(base: &Base, configs: &[Config]) -> Result<Vec<Built>> {
    let prepared = prepare_all(base, configs)?;
    let both = prepared.into_iter().zip(configs);
    both.map(|(prepared, config)| finish(prepared, config))
        .collect()
}

fn finish(prepared: Prepared, config: &Config) -> Result<Built> {
    let build = prepared.build();
    let (target, image) = config.arch.image();
    let image = build.join(image);
    let key = key(&prepared)?;
    let stamp = build.join(STAMP);
    let look = || {
        let good =
            fs::read_to_string(&stamp).is_ok_and(|text| Some(text) == stamp_text(&key, &image));
        Ok(good.then_some(()))
    };
    let make = || {
        if look()?.is_some() {
            return Ok(());
        }
        let _ = fs::remove_file(&stamp);
        if !build.join(COUNT).exists() {
            let size = usual_size(config.flavour);
            space::need("building a kernel", &build, size)?;
        }
        prepared.configure()?;
        let left = expected(&build, config.arch);
        let mut targets = vec![target.to_owned()];
        // They are no part of the image.
        targets.extend(config::has_modules(&prepared.wanted).then(|| "modules".to_owned()));
        run(&prepared, &targets, left)?;
        let Some(text) = stamp_text(&key, &image) else {
            bail!("make succeeded without {}", image.display());
        };
        Ok(fs::write(&stamp, text)?)
    };
    let (lock, ()) = Lock::settle(&prepared.lock_name(), look, make)?;
    detail(format_args!("{} is up to date", image.display()));
    Ok(Built {
        image,
        build,
        config: *config,
        base: prepared.base,
        source: prepared.source,
        lock,
    })
}

/// The modules that were built in a directory; there may be none.
///
/// # Errors
///
/// There have to be some, and the list of them cannot be read.
pub fn modules(build: &Path) -> Result<Vec<PathBuf>> {
    let read = |name: &str| {
        let path = build.join(name);
        fs::read_to_string(&path).with_context(|| path.display().to_string())
    };
    // An earlier configuration may have left a list.
    if !config::has_modules(&read(".config")?) {
        return Ok(Vec::new());
    }
    let order = read("modules.order")?;
    let module = |line| build.join(line).with_extension("ko");
    Ok(order.lines().map(module).collect())
}

/// Everything that the image depends on.
fn key(prepared: &Prepared) -> Result<String> {
    let source = &prepared.source;
    let wanted = &prepared.wanted;
    let args = toolchain::make_args_with(prepared.variant.compiler())?;
    let tools = toolchain::identity_with(prepared.variant.compiler())?;
    let key = hash(&(&source.tree, source.fingerprint, wanted, args, tools));
    Ok(format!("{key:016x}"))
}

/// The stamp for an image as it is now; nothing when there is no image.
fn stamp_text(key: &str, image: &Path) -> Option<String> {
    let data = fs::metadata(image).ok()?;
    let (size, seconds, nanos) = (data.size(), data.mtime(), data.mtime_nsec());
    Some(format!("{key} {size} {seconds}.{nanos}\n"))
}

/// A first guess of how many objects a kernel has, before one was built here.
fn usual_count(arch: Arch) -> u64 {
    match arch {
        Arch::Um => 700,
        Arch::Qemu => 1500,
    }
}

/// The size of a build directory, with some room to spare.
fn usual_size(flavour: Flavour) -> u64 {
    match flavour {
        Flavour::Debug | Flavour::Kcsan => 2 << 30,
        Flavour::Default | Flavour::Unpatched | Flavour::Off | Flavour::Peers => 1 << 30,
    }
}

/// How many objects are left to build, as well as that can be known before `make` has looked.
fn expected(build: &Path, arch: Arch) -> Option<u64> {
    let present = objects(build);
    let stated = fs::read_to_string(build.join(COUNT))
        .ok()
        .and_then(|text| text.trim().parse().ok());
    let all = stated.unwrap_or(usual_count(arch));
    // After a complete build only a few are out of date, and which ones only make knows.
    all.checked_sub(present).filter(|left| *left > all / 50)
}

/// The number of objects that kbuild has a record of in a build directory.
fn objects(dir: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(dir) else {
        return 0;
    };
    let count = |entry: fs::DirEntry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => objects(&entry.path()),
        _ => u64::from(entry.file_name().as_encoded_bytes().ends_with(b".o.cmd")),
    };
    entries.flatten().map(count).sum()
}

/// The object that a line of kbuild's output announces: `  CC      kernel/fork.o`.
fn announced(line: &str) -> Option<&str> {
    let mut words = line.strip_prefix("  ")?.split_whitespace();
    let verb = words.next()?;
    let object = words.next_back()?;
    let is_verb = verb.bytes().all(|byte| byte.is_ascii_uppercase());
    (is_verb && object.ends_with(".o")).then_some(object)
}

/// Runs `make` with its progress; returns all that it said.
fn run(prepared: &Prepared, args: &[String], left: Option<u64>) -> Result<String> {
    let build = prepared.build();
    let name = build.file_name().unwrap_or_default();
    let name = name.to_string_lossy().into_owned();
    let log = paths::logs().join(format!("build-{name}.log"));
    let jobs = thread::available_parallelism().map_or(1, usize::from);
    let sh = Shell::new()?;
    let make = super::make(&sh, &prepared.source.tree, &build, prepared.variant)?
        .arg(format!("-j{jobs}"))
        .args(args);
    detail(&make);
    let mut bar = Bar::new(format!("building {name}"), Unit::Count("objects"), left);
    let mut seen = HashSet::new();
    let output = cmd::run(make)
        .limit(Duration::from_secs(3 * 3600))
        .log(&log)
        .each_line(|line| {
            if let Some(object) = announced(line) {
                seen.insert(object.to_owned());
                bar.set(seen.len() as u64);
            }
        })
        .output()?;
    if !output.status.success() {
        drop(bar);
        let what = format!("building {name} failed:\n{}", errors(&output.text));
        let fix = format!("read {}", log.display());
        return Err(Failure::new(Exit::Findings, what).fix(fix).into());
    }
    bar.finish();
    let count = objects(&build);
    fs::write(build.join(COUNT), format!("{count}\n"))?;
    Ok(output.text)
}

/// The first errors in a build's output, with the lines that belong to them.
fn errors(text: &str) -> String {
    let starts = |line: &&str| {
        let line = line.trim_start();
        line.starts_with("error") || line.contains(": error:") || line.contains("undefined ")
    };
    let lines: Vec<_> = text.lines().collect();
    let first = lines.iter().position(starts);
    let made = || lines.iter().position(|line| line.contains("*** "));
    let from = first
        .or_else(made)
        .unwrap_or(lines.len().saturating_sub(SHOWN));
    // Other jobs go on for a while and announce their objects in between.
    let shown = lines[from..]
        .iter()
        .filter(|line| announced(line).is_none());
    shown.take(SHOWN).copied().collect::<Vec<_>>().join("\n")
}

/// Writes `rust-project.json` into the repository, for editors: kbuild describes the crates of the
/// tree, and those that live here are pointed at the repository's files.
///
/// # Errors
///
/// As [`configure`], or kbuild cannot describe the crates.
pub fn rust_project(base: &Base, config: &Config) -> Result<PathBuf> {
    let prepared = prepare(base, config)?;
    let _lock = Lock::exclusive(&prepared.lock_name())?;
    prepared.configure()?;
    let (source, build) = (&prepared.source.tree, &prepared.build());
    let sh = Shell::new()?;
    let make = super::make(&sh, source, build, prepared.variant)?.arg("rust-analyzer");
    cmd::run(make).ok()?;
    let described = build.join("rust-project.json");
    let text = fs::read_to_string(&described)
        .with_context(|| format!("cannot read {}", described.display()))?;
    let mut project: serde_json::Value = serde_json::from_str(&text)?;
    for (linux, ours) in [
        ("kernel/cgroup/bc", "rust/bc"),
        ("kernel/ckpt", "rust/ckpt"),
    ] {
        let ours = paths::repo().join(ours);
        if ours.is_dir() {
            let linux = fs::canonicalize(source)?.join(linux);
            redirect(
                &mut project,
                &linux.to_string_lossy(),
                &ours.to_string_lossy(),
            );
        }
    }
    let target = paths::repo().join("rust-project.json");
    fs::write(&target, serde_json::to_string_pretty(&project)?)?;
    Ok(target)
}

/// Replaces a directory by another in every path of a description.
fn redirect(value: &mut serde_json::Value, from: &str, to: &str) {
    use serde_json::Value;
    match value {
        Value::String(path) => {
            let rest = path.strip_prefix(from);
            if let Some(rest) = rest.filter(|rest| rest.is_empty() || rest.starts_with('/')) {
                *path = format!("{to}{rest}");
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| redirect(item, from, to)),
        Value::Object(map) => map.values_mut().for_each(|item| redirect(item, from, to)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_counted_from_kbuilds_lines() {
        assert_eq!(announced("  CC      kernel/fork.o"), Some("kernel/fork.o"));
        assert_eq!(announced("  RUSTC L rust/core.o"), Some("rust/core.o"));
        assert_eq!(announced("  UPD     include/config/x.h"), None);
        assert_eq!(announced("kernel/fork.c:1: bad thing.o"), None);
        assert_eq!(announced("    note: see fork.o"), None);
    }

    #[test]
    fn a_failure_shows_the_first_error_not_the_end() {
        let text = "  CC      a.o\na.c:3:5: error: use of undeclared identifier 'x'\n    3 | x;\n  \
                    CC      b.o\nmake[3]: *** [a.o] Error 1\n";
        assert_eq!(
            errors(text),
            "a.c:3:5: error: use of undeclared identifier 'x'\n    3 | x;\nmake[3]: *** [a.o] Error 1"
        );
        assert_eq!(
            errors("  CC      a.o\nerror[E0425]: cannot find value `x`\n --> a.rs:1\n"),
            "error[E0425]: cannot find value `x`\n --> a.rs:1"
        );
        assert!(errors("one\nmake: *** No rule to make target 'x'.  Stop.\n").contains("No rule"));
    }

    #[test]
    fn modules_are_those_of_the_configuration() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text| fs::write(dir.path().join(name), text).unwrap();
        write("modules.order", "kernel/a/one.o\nfs/two.o\n");
        write(".config", "CONFIG_MODULES=y\n");
        assert_eq!(modules(dir.path()).unwrap(), Vec::<PathBuf>::new());
        write(".config", "CONFIG_MODULES=y\nCONFIG_ONE=m\n");
        let expected = ["kernel/a/one.ko", "fs/two.ko"].map(|path| dir.path().join(path));
        assert_eq!(modules(dir.path()).unwrap(), expected);
        fs::remove_file(dir.path().join("modules.order")).unwrap();
        assert!(modules(dir.path()).is_err());
    }

    #[test]
    fn what_is_left_is_estimated_from_the_last_build() {
        let dir = tempfile::tempdir().unwrap();
        let build = dir.path();
        assert_eq!(expected(build, Arch::Um), Some(usual_count(Arch::Um)));
        fs::write(build.join(COUNT), "3\n").unwrap();
        fs::create_dir(build.join("kernel")).unwrap();
        fs::write(build.join("kernel/.fork.o.cmd"), "").unwrap();
        assert_eq!(expected(build, Arch::Um), Some(2));
        fs::write(build.join("kernel/.exit.o.cmd"), "").unwrap();
        fs::write(build.join(".init.o.cmd"), "").unwrap();
        assert_eq!(expected(build, Arch::Um), None);
    }

    #[test]
    fn a_stamp_belongs_to_one_image_and_one_key() {
        let dir = tempfile::tempdir().unwrap();
        let image = dir.path().join("linux");
        assert_eq!(stamp_text("k", &image), None);
        fs::write(&image, "one").unwrap();
        let first = stamp_text("k", &image);
        assert_eq!(stamp_text("k", &image), first);
        assert_ne!(stamp_text("l", &image), first);
        fs::write(&image, "longer").unwrap();
        assert_ne!(stamp_text("k", &image), first);
    }

    #[test]
    fn only_whole_directory_names_are_redirected() {
        let mut value = serde_json::json!({
            "root_module": "/t/kernel/ckpt/lib.rs",
            "other": ["/t/kernel/ckpt2/x.rs", "/t/kernel/ckpt", 3],
        });
        redirect(&mut value, "/t/kernel/ckpt", "/r");
        assert_eq!(
            value,
            serde_json::json!({"root_module": "/r/lib.rs", "other": ["/t/kernel/ckpt2/x.rs", "/r", 3]})
        );
    }
}
