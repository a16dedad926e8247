// SPDX-License-Identifier: GPL-2.0

//! The composed source tree: a copy of a base with the files of the series laid over it.
//!
//! Files are compared by content, so that an unchanged one keeps its time and make leaves its
//! objects alone; a changed one always gets the current time, whatever the age of its source,
//! because make only compares times. Every write makes a new file and renames it into place.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, Metadata, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;

use anyhow::{Context, Result, bail};
use xshell::{Shell, cmd};

use super::{Base, Series, hash};
use crate::lock::Lock;
use crate::progress::{Bar, Unit};
use crate::{cmd, paths, series, space};

/// The files of the series, by path below the kernel tree's root.
pub type Overlay = BTreeMap<PathBuf, Vec<u8>>;

/// A source tree that is as it should be; it stays so while this value lives.
#[derive(Debug)]
pub struct Source {
    /// Its root.
    pub tree: PathBuf,
    /// Changes with every change of a file in it.
    pub fingerprint: u64,
    /// Changes with every change of a file that decides about configurations.
    pub kconfig: u64,
    _lock: Option<Lock>,
}

/// Brings the source tree of `base` up to date: with a series, or without for comparisons.
///
/// # Errors
///
/// The base or the cache cannot be read or written, or the series does not compose.
pub fn ensure(base: &Base, pristine: &Path, series: Option<Series>) -> Result<Source> {
    let name = match (base, series) {
        (_, Some(series)) => series.suffix(base.name()),
        (Base::Tree(_), None) => format!("{}-unpatched", base.name()),
        // The fetched tree is already what is wanted, and kbuild never writes to a source tree.
        (_, None) => {
            let files = walk(pristine, &never)?;
            return Ok(Source::new(pristine.to_owned(), &files, None));
        }
    };
    let overlay = match series {
        Some(series) => series::tip_files(&series.dir(), pristine)?,
        None => Overlay::new(),
    };
    lay(base, pristine, &name, &overlay)
}

/// Brings the source tree called `name` up to date: `base` with the files of `overlay`.
///
/// # Errors
///
/// The base or the cache cannot be read or written.
pub fn lay(base: &Base, pristine: &Path, name: &str, overlay: &Overlay) -> Result<Source> {
    let files = match base {
        Base::Tree(_) => developer_files(pristine)?,
        _ => walk(pristine, &never)?,
    };
    let tree = paths::source_tree(name);
    let manifest = paths::cache().join("tree").join(format!("{name}.manifest"));

    // Someone else may be building from the tree, or booting: wait only if it has to change.
    let plan = || Plan::new(pristine, &files, overlay, &tree, &manifest);
    let look = || {
        let plan = plan()?;
        Ok(plan.is_empty().then_some(plan.present))
    };
    let make = || {
        let plan = plan()?;
        let what = format!("composing {}", tree.display());
        space::need(&what, &tree, plan.size(&files))?;
        plan.apply(&tree)?;
        record(&manifest, &files, overlay, &walk(&tree, &never)?)
    };
    let (lock, present) = Lock::settle(&format!("tree-{name}"), look, make)?;
    Ok(Source::new(tree, &present, Some(lock)))
}

impl Source {
    fn new(tree: PathBuf, files: &Files, lock: Option<Lock>) -> Self {
        let kconfig: Vec<_> = files
            .iter()
            .filter(|(path, _)| decides_configuration(path))
            .collect();
        Self {
            tree,
            fingerprint: fingerprint(files),
            kconfig: hash(&kconfig),
            _lock: lock,
        }
    }
}

/// Whether Kconfig reads a file, or a script or makefile that it runs may.
fn decides_configuration(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    path.starts_with("scripts/")
        || ["Kconfig", "Makefile"]
            .iter()
            .any(|kind| name.starts_with(kind))
}

/// Enough of a file's state to see that it was touched.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
struct Mark {
    inode: u64,
    size: u64,
    mode: u32,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl From<&Metadata> for Mark {
    fn from(data: &Metadata) -> Self {
        Self {
            inode: data.ino(),
            size: data.size(),
            mode: data.mode(),
            modified: (data.mtime(), data.mtime_nsec()),
            changed: (data.ctime(), data.ctime_nsec()),
        }
    }
}

/// Files and symbolic links below a root, by path.
type Files = BTreeMap<String, Mark>;

fn never(_: &str) -> bool {
    false
}

/// Everything below `root` but what `skip` says, which is asked for directories too.
fn walk(root: &Path, skip: &dyn Fn(&str) -> bool) -> Result<Files> {
    let mut files = Files::new();
    let mut pending = vec![String::new()];
    while let Some(dir) = pending.pop() {
        let entries = match fs::read_dir(root.join(&dir)) {
            Err(error) if dir.is_empty() && error.kind() == std::io::ErrorKind::NotFound => break,
            entries => entries.with_context(|| root.join(&dir).display().to_string())?,
        };
        for entry in entries {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else {
                bail!("not a UTF-8 name: {}", entry.path().display());
            };
            let path = match dir.as_str() {
                "" => name,
                dir => format!("{dir}/{name}"),
            };
            if skip(&path) {
                continue;
            }
            let data = entry.metadata()?;
            if data.is_dir() {
                pending.push(path);
            } else {
                files.insert(path, Mark::from(&data));
            }
        }
    }
    Ok(files)
}

/// The source files of a developer's own tree, without what a build in it left behind.
fn developer_files(tree: &Path) -> Result<Files> {
    if !tree.join(".git").exists() {
        return walk(tree, &is_built);
    }
    let sh = Shell::new()?;
    let list = cmd::run(cmd!(
        sh,
        "git -C {tree} ls-files -z --cached --others --exclude-standard"
    ))
    .ok()?;
    let mut files = Files::new();
    for path in list.split('\0').filter(|path| !path.is_empty()) {
        // A file that is deleted but not yet committed is still listed.
        if let Ok(data) = fs::symlink_metadata(tree.join(path)) {
            if !data.is_dir() {
                files.insert(path.to_owned(), Mark::from(&data));
            }
        }
    }
    Ok(files)
}

/// What changes with every change of a file in a developer's own tree; nothing for the other bases,
/// which never change.
///
/// # Errors
///
/// The tree cannot be read.
pub fn own_state(base: &Base) -> Result<Option<u64>> {
    match base {
        Base::Tree(path) => Ok(Some(fingerprint(&developer_files(path)?))),
        _ => Ok(None),
    }
}

/// Whether kbuild makes a file or directory of this path.
fn is_built(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let suffix = name.rsplit_once('.').map_or("", |(_, suffix)| suffix);
    let generated = ["include/config", "include/generated", ".git", ".config"];
    generated.contains(&path)
        || (path.starts_with("arch/") && path.ends_with("/include/generated"))
        || matches!(suffix, "o" | "ko" | "a" | "cmd" | "mod" | "order" | "rmeta")
        || matches!(name, "Module.symvers" | "vmlinux" | "System.map")
}

/// Where the content of a file comes from.
#[derive(Clone, Debug)]
enum Content<'a> {
    File(PathBuf),
    Bytes(&'a [u8], u32),
}

/// What has to be done to a tree.
#[derive(Debug)]
struct Plan<'a> {
    write: Vec<(String, Content<'a>)>,
    remove: Vec<String>,
    /// The tree as it was found.
    present: Files,
}

impl<'a> Plan<'a> {
    fn new(
        from: &Path,
        files: &Files,
        overlay: &'a Overlay,
        tree: &Path,
        manifest: &Path,
    ) -> Result<Self> {
        let present = walk(tree, &never)?;
        let known = read_manifest(manifest);
        let mut write = Vec::new();
        let mut wanted: BTreeMap<&str, ()> = BTreeMap::new();
        for (path, bytes) in overlay {
            let Some(path) = path.to_str() else {
                bail!("not a UTF-8 name: {}", path.display());
            };
            wanted.insert(path, ());
            let mode = overlay_mode(files.get(path), bytes);
            let same = present
                .get(path)
                .is_some_and(|mark| executable(mark.mode) == executable(mode))
                && fs::read(tree.join(path)).is_ok_and(|found| found == *bytes);
            if !same {
                write.push((path.to_owned(), Content::Bytes(bytes, mode)));
            }
        }
        let mut compare = Vec::new();
        for (path, source) in files {
            if wanted.insert(path, ()).is_some() {
                continue;
            }
            let state = present.get(path).map(|mark| pair(source, mark));
            if state.is_none() || known.get(path.as_str()) != state.as_ref() {
                compare.push(path);
            }
        }
        let differ = Mutex::new(Vec::new());
        in_parallel(&compare, |path| {
            if !same_file(&from.join(path), &tree.join(path))? {
                let item = (path.to_string(), Content::File(from.join(path)));
                differ.lock().expect("no holder panics").push(item);
            }
            Ok(())
        })?;
        write.extend(differ.into_inner().expect("no holder panics"));
        let remove = present
            .keys()
            .filter(|path| !wanted.contains_key(path.as_str()));
        Ok(Self {
            write,
            remove: remove.cloned().collect(),
            present,
        })
    }

    fn is_empty(&self) -> bool {
        self.write.is_empty() && self.remove.is_empty()
    }

    /// How much is to be written, in whole blocks. What it replaces is there until it is done.
    fn size(&self, files: &Files) -> u64 {
        let sizes = self.write.iter().map(|(path, content)| match content {
            Content::File(_) => files.get(path).map_or(0, |mark| mark.size),
            Content::Bytes(bytes, _) => bytes.len() as u64,
        });
        sizes.map(|size| size.next_multiple_of(4096)).sum()
    }

    fn apply(&self, tree: &Path) -> Result<()> {
        for path in &self.remove {
            remove(tree, path)?;
        }
        let what = format!("composing {}", tree.display());
        let bar = (self.write.len() > 1000)
            .then(|| Bar::new(what, Unit::Count("files"), Some(self.write.len() as u64)));
        let bar = Mutex::new(bar);
        in_parallel(&self.write, |(path, content)| {
            place(content, &tree.join(path)).with_context(|| format!("cannot write {path}"))?;
            if let Some(bar) = bar.lock().expect("no holder panics").as_mut() {
                bar.add(1);
            }
            Ok(())
        })?;
        if let Some(bar) = bar.into_inner().expect("no holder panics") {
            bar.finish();
        }
        Ok(())
    }
}

fn executable(mode: u32) -> bool {
    mode & 0o100 != 0
}

/// A changed file keeps the base's mode; of a new one only scripts are executable.
fn overlay_mode(base: Option<&Mark>, bytes: &[u8]) -> u32 {
    match base {
        Some(mark) => mark.mode & 0o777,
        None if bytes.starts_with(b"#!") => 0o755,
        None => 0o644,
    }
}

/// Calls `f` for every item on all processors; the first error ends it.
fn in_parallel<T: Sync>(items: &[T], f: impl Fn(&T) -> Result<()> + Sync) -> Result<()> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let share = items.len().div_ceil(threads).max(1);
    thread::scope(|scope| {
        let workers: Vec<_> = items
            .chunks(share)
            .map(|chunk| scope.spawn(|| chunk.iter().try_for_each(&f)))
            .collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().expect("a worker panicked"))
    })
}

/// Whether `target` exists and is the same file as `source` in kind, content and executability.
fn same_file(source: &Path, target: &Path) -> Result<bool> {
    let from = fs::symlink_metadata(source).with_context(|| source.display().to_string())?;
    let Ok(to) = fs::symlink_metadata(target) else {
        return Ok(false);
    };
    if from.file_type() != to.file_type() || from.size() != to.size() {
        return Ok(false);
    }
    if from.is_symlink() {
        return Ok(fs::read_link(source)? == fs::read_link(target)?);
    }
    Ok(executable(from.mode()) == executable(to.mode()) && fs::read(source)? == fs::read(target)?)
}

/// Writes a file beside its place and renames it there, with the current time.
fn place(content: &Content<'_>, target: &Path) -> Result<()> {
    let dir = target.parent().context("a path below the tree")?;
    fs::create_dir_all(dir)?;
    let name = target.file_name().context("a path below the tree")?;
    let temporary = dir.join(format!(".{}.beanpod", name.to_string_lossy()));
    let _ = fs::remove_file(&temporary);
    match content {
        Content::File(source) if source.is_symlink() => {
            symlink(fs::read_link(source)?, &temporary)?;
        }
        Content::File(source) => {
            fs::copy(source, &temporary)?;
        }
        Content::Bytes(bytes, mode) => {
            fs::write(&temporary, bytes)?;
            fs::set_permissions(&temporary, Permissions::from_mode(*mode))?;
        }
    }
    if target.is_dir() && !target.is_symlink() {
        fs::remove_dir_all(target)?;
    }
    fs::rename(&temporary, target)?;
    Ok(())
}

/// Removes a file and the directories that it leaves empty.
fn remove(tree: &Path, path: &str) -> Result<()> {
    let path = tree.join(path);
    fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
    for dir in path.ancestors().skip(1).take_while(|dir| *dir != tree) {
        if fs::remove_dir(dir).is_err() {
            break;
        }
    }
    Ok(())
}

fn fingerprint(files: &Files) -> u64 {
    hash(files)
}

/// The state in which a source file and its copy were found equal.
fn pair(source: &Mark, copy: &Mark) -> u64 {
    hash(&(source, copy))
}

/// Writes down which files come from the series, and the state of all others.
fn record(manifest: &Path, files: &Files, overlay: &Overlay, present: &Files) -> Result<()> {
    let mut text = String::new();
    for path in overlay.keys() {
        text += &format!("series {}\n", path.display());
    }
    for (path, source) in files {
        if let Some(copy) = present.get(path) {
            if !overlay.contains_key(Path::new(path)) {
                text += &format!("{:016x} {path}\n", pair(source, copy));
            }
        }
    }
    fs::write(manifest, text).with_context(|| manifest.display().to_string())
}

fn read_manifest(manifest: &Path) -> HashMap<String, u64> {
    let text = fs::read_to_string(manifest).unwrap_or_default();
    text.lines()
        .filter_map(|line| {
            let (state, path) = line.split_once(' ')?;
            Some((path.to_owned(), u64::from_str_radix(state, 16).ok()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, SystemTime};

    struct Trees {
        dir: tempfile::TempDir,
    }

    impl Trees {
        fn new(base: &[(&str, &str)]) -> Self {
            let trees = Self {
                dir: tempfile::tempdir().unwrap(),
            };
            for (path, text) in base {
                trees.write("base", path, text);
            }
            trees
        }

        fn path(&self, tree: &str) -> PathBuf {
            self.dir.path().join(tree)
        }

        fn write(&self, tree: &str, path: &str, text: &str) {
            let path = self.path(tree).join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        fn read(&self, path: &str) -> String {
            fs::read_to_string(self.path("tree").join(path)).unwrap()
        }

        fn modified(&self, path: &str) -> SystemTime {
            let path = self.path("tree").join(path);
            fs::metadata(path).unwrap().modified().unwrap()
        }

        /// Sets a time that a rewritten file cannot have.
        fn age(&self, tree: &str, path: &str) -> SystemTime {
            let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
            let file = fs::File::options()
                .append(true)
                .open(self.path(tree).join(path));
            file.unwrap().set_modified(old).unwrap();
            old
        }

        /// Synchronises and returns the paths written and removed.
        fn sync(&self, overlay: &[(&str, &str)]) -> (Vec<String>, Vec<String>, u64) {
            let overlay = overlay
                .iter()
                .map(|(path, text)| (PathBuf::from(path), text.as_bytes().to_vec()))
                .collect();
            let (base, tree) = (self.path("base"), self.path("tree"));
            let manifest = self.path("manifest");
            let files = walk(&base, &never).unwrap();
            let plan = Plan::new(&base, &files, &overlay, &tree, &manifest).unwrap();
            plan.apply(&tree).unwrap();
            let present = walk(&tree, &never).unwrap();
            record(&manifest, &files, &overlay, &present).unwrap();
            let mut written: Vec<_> = plan.write.iter().map(|item| item.0.clone()).collect();
            written.sort();
            (written, plan.remove.clone(), fingerprint(&present))
        }
    }

    #[test]
    fn unchanged_files_keep_their_time_and_the_fingerprint() {
        let trees = Trees::new(&[("a.c", "a"), ("d/b.c", "b")]);
        let overlay = [("d/new.rs", "new"), ("a.c", "patched")];
        let (written, _, _) = trees.sync(&overlay);
        assert_eq!(written, ["a.c", "d/b.c", "d/new.rs"]);
        let old = trees.age("tree", "a.c");
        trees.age("tree", "d/b.c");
        let (_, _, first) = trees.sync(&overlay);
        let (written, removed, second) = trees.sync(&overlay);
        assert!(written.is_empty() && removed.is_empty());
        assert_eq!(first, second);
        assert_eq!(trees.modified("a.c"), old);
        assert_eq!(trees.modified("d/b.c"), old);
        assert_eq!(trees.read("a.c"), "patched");
    }

    #[test]
    fn only_changed_files_of_the_series_are_written() {
        let trees = Trees::new(&[("a.c", "a"), ("b.c", "b")]);
        trees.sync(&[("x.rs", "one"), ("y.rs", "same")]);
        let old = trees.age("tree", "y.rs");
        let (_, _, before) = trees.sync(&[("x.rs", "one"), ("y.rs", "same")]);
        let (written, _, after) = trees.sync(&[("x.rs", "two"), ("y.rs", "same")]);
        assert_eq!(written, ["x.rs"]);
        assert_ne!(before, after);
        assert_eq!(trees.modified("y.rs"), old);
        assert_eq!(trees.read("x.rs"), "two");
    }

    #[test]
    fn files_that_leave_the_series_are_restored_or_removed() {
        let trees = Trees::new(&[("a.c", "a")]);
        trees.sync(&[("a.c", "patched"), ("bc/x.rs", "x")]);
        // The source is older than any object made of the patched file.
        let old = trees.age("base", "a.c");
        let (written, removed, _) = trees.sync(&[]);
        assert_eq!(
            (written, removed),
            (vec!["a.c".into()], vec!["bc/x.rs".into()])
        );
        assert_eq!(trees.read("a.c"), "a");
        assert!(trees.modified("a.c") > old);
        assert!(!trees.path("tree").join("bc").exists());
    }

    #[test]
    fn a_write_into_the_tree_is_undone_and_never_reaches_the_base() {
        let trees = Trees::new(&[("a.c", "a")]);
        trees.sync(&[]);
        trees.write("tree", "a.c", "z");
        trees.write("tree", "stray.o", "o");
        assert_eq!(
            fs::read_to_string(trees.path("base").join("a.c")).unwrap(),
            "a"
        );
        let (written, removed, _) = trees.sync(&[]);
        assert_eq!(
            (written, removed),
            (vec!["a.c".into()], vec!["stray.o".into()])
        );
        assert_eq!(trees.read("a.c"), "a");
    }

    #[test]
    fn a_tree_without_a_manifest_is_compared_not_rewritten() {
        let trees = Trees::new(&[("a.c", "a"), ("b.c", "b")]);
        trees.sync(&[]);
        let old = trees.age("tree", "a.c");
        trees.write("tree", "b.c", "other");
        fs::remove_file(trees.path("manifest")).unwrap();
        let (written, _, _) = trees.sync(&[]);
        assert_eq!(written, ["b.c"]);
        assert_eq!(trees.modified("a.c"), old);
    }

    #[test]
    fn modes_and_links_are_copied() {
        let trees = Trees::new(&[("run.sh", "#!/bin/sh\n")]);
        let script = trees.path("base").join("run.sh");
        fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
        symlink("run.sh", trees.path("base").join("link")).unwrap();
        trees.sync(&[("test.sh", "#!/bin/sh\n"), ("x.rs", "x")]);
        let mode = |path: &str| {
            let path = trees.path("tree").join(path);
            fs::symlink_metadata(path).unwrap().mode()
        };
        assert!(executable(mode("run.sh")) && executable(mode("test.sh")));
        assert!(!executable(mode("x.rs")));
        let link = fs::read_link(trees.path("tree").join("link")).unwrap();
        assert_eq!(link, Path::new("run.sh"));
        assert!(
            trees
                .sync(&[("test.sh", "#!/bin/sh\n"), ("x.rs", "x")])
                .0
                .is_empty()
        );
        fs::set_permissions(&script, Permissions::from_mode(0o644)).unwrap();
        assert_eq!(trees.sync(&[("x.rs", "x")]).0, ["run.sh"]);
    }

    #[test]
    fn a_developers_git_tree_is_taken_as_git_sees_it() {
        let trees = Trees::new(&[
            (".gitignore", "*.o\n"),
            ("a.c", "a"),
            ("a.o", "o"),
            ("gone.c", "g"),
        ]);
        let base = trees.path("base");
        let sh = Shell::new().unwrap();
        for args in [["init", "--quiet"], ["add", "--all"]] {
            cmd::run(cmd!(sh, "git -C {base} {args...}")).ok().unwrap();
        }
        fs::remove_file(base.join("gone.c")).unwrap();
        trees.write("base", "new.c", "n");
        let files = developer_files(&base).unwrap();
        let paths: Vec<_> = files.keys().map(String::as_str).collect();
        assert_eq!(paths, [".gitignore", "a.c", "new.c"]);
    }

    #[test]
    fn a_developers_tree_is_taken_without_its_build_products() {
        let trees = Trees::new(&[
            ("Makefile", "all:"),
            ("kernel/a.c", "a"),
            ("kernel/a.o", "o"),
            ("kernel/.a.o.cmd", "cmd"),
            (".config", "CONFIG_A=y"),
            ("include/generated/x.h", "x"),
            ("arch/x86/include/generated/y.h", "y"),
            ("arch/x86/include/asm/z.h", "z"),
        ]);
        let files = developer_files(&trees.path("base")).unwrap();
        let paths: Vec<_> = files.keys().map(String::as_str).collect();
        assert_eq!(
            paths,
            ["Makefile", "arch/x86/include/asm/z.h", "kernel/a.c"]
        );
    }

    #[test]
    fn the_room_asked_for_is_that_of_what_is_written() {
        let trees = Trees::new(&[("a", "1"), ("b", &"x".repeat(5000))]);
        let (base, tree) = (trees.path("base"), trees.path("tree"));
        let files = walk(&base, &never).unwrap();
        let overlay = Overlay::from([("c".into(), b"new".to_vec())]);
        let manifest = trees.path("manifest");
        let plan = || Plan::new(&base, &files, &overlay, &tree, &manifest).unwrap();
        assert_eq!(plan().size(&files), 4 * 4096);
        plan().apply(&tree).unwrap();
        assert_eq!(plan().size(&files), 0);
    }
}
