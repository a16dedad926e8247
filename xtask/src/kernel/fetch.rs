// SPDX-License-Identifier: GPL-2.0

//! Pristine kernel sources: from Debian's `linux-source-*` packages, or a developer's own tree.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use xshell::{Shell, cmd};

use super::{Base, version};
use crate::apt::{Candidate, Suite};
use crate::exit::{Exit, Failure, infrastructure};
use crate::lock::Lock;
use crate::progress::{Bar, Unit};
use crate::{cmd, paths, space};

/// How long it is remembered that a base is gone.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// The size of a kernel tree.
const TREE: u64 = 2 << 30;

/// The suites that may have a base, the most settled first.
fn suites(base: &Base) -> &'static [&'static str] {
    match base {
        Base::V7_3 => &["trixie-backports", "forky", "sid", "experimental"],
        Base::V7_2 => &["sid", "forky", "trixie-backports"],
        Base::Tree(_) => &[],
    }
}

/// The pristine tree of a base, fetched if the cache does not have it.
///
/// # Errors
///
/// As [`resolve`].
pub fn ensure(base: &Base) -> Result<PathBuf> {
    Ok(resolve(base)?.1)
}

/// The base that can be had, and its pristine tree: that asked for, or with a message the next
/// supported one when the archive has it no more.
///
/// # Errors
///
/// No supported base can be had, or the developer's path is no kernel tree.
pub fn resolve(base: &Base) -> Result<(Base, PathBuf)> {
    if let Base::Tree(path) = base {
        return Ok((base.clone(), own_tree(path)?));
    }
    first_of(base.clone(), fetch)
}

/// The first base that `fetch` has, beginning with `base`.
fn first_of(
    mut base: Base,
    fetch: impl Fn(&Base) -> Result<Option<PathBuf>>,
) -> Result<(Base, PathBuf)> {
    loop {
        if let Some(tree) = fetch(&base)? {
            return Ok((base, tree));
        }
        let gone = format!("the archive has no linux-source-{} any more", base.name());
        let Some(next) = base.next() else {
            let fix = "use a kernel tree of your own: --tree PATH";
            return Err(infrastructure(gone).fix(fix).into());
        };
        eprintln!("{gone}: using the next supported base, {}", next.name());
        base = next;
    }
}

fn own_tree(path: &Path) -> Result<PathBuf> {
    let no_tree = |_| {
        let what = format!("{} is not a kernel tree", path.display());
        Failure::new(Exit::Usage, what).fix("give the root of a kernel source tree to --tree")
    };
    version(path).map_err(no_tree)?;
    Ok(path.to_owned())
}

/// The file beside a fetched tree that holds its whole version.
fn stamp(base: &Base) -> PathBuf {
    let name = format!("{}.version", base.name());
    paths::cache().join("base").join(name)
}

fn fetch(base: &Base) -> Result<Option<PathBuf>> {
    let tree = paths::base_tree(&base.name());
    if stamp(base).exists() && tree.is_dir() {
        return Ok(Some(tree));
    }
    let _lock = Lock::exclusive(&format!("base-{}", base.name()))?;
    // Someone else may have fetched it meanwhile, and a tree put there by hand is as good.
    if tree.is_dir() {
        let found = version(&tree)?;
        if !found.starts_with(&format!("{}.", base.name())) {
            let what = format!("{} holds version {found}", tree.display());
            let fix = format!("remove {}", tree.display());
            return Err(infrastructure(what).fix(fix).into());
        }
        if !stamp(base).exists() {
            fs::write(stamp(base), format!("{found}\n"))?;
        }
        return Ok(Some(tree));
    }
    // Where another base can be had instead, this one is not looked up by every command.
    let gone = stamp(base).with_extension("gone");
    if base.next().is_some() && is_of_today(&gone) {
        return Ok(None);
    }
    let package = format!("linux-source-{}", base.name());
    let look = |name: &str| {
        let Some(suite) = Suite::open(name)? else {
            return Ok(None);
        };
        let candidate = suite.newest(&package)?;
        Ok(candidate.map(|candidate| (suite, candidate)))
    };
    let Some((suite, candidate)) = first_suite(suites(base), look)? else {
        fs::create_dir_all(gone.parent().context("a path in the cache")?)?;
        fs::write(&gone, "")?;
        return Ok(None);
    };
    eprintln!("found {package} {} in {}", candidate.version, suite.name());
    let downloads = paths::cache().join("download");
    // The package, the archive in it, and the tree.
    let size = 2 * candidate.size + TREE;
    space::need(&format!("unpacking {package}"), &downloads, size)?;
    fs::create_dir_all(&downloads)?;
    let dir = tempfile::tempdir_in(&downloads)?;
    let file = suite.download(&candidate, dir.path())?;
    extract(&file, &candidate, &tree)?;
    fs::write(stamp(base), format!("{}\n", candidate.version))?;
    Ok(Some(tree))
}

/// What `look` finds in the first of some suites that has it.
fn first_suite<T>(names: &[&str], look: impl Fn(&str) -> Result<Option<T>>) -> Result<Option<T>> {
    let mut unreadable = None;
    for name in names {
        match look(name) {
            Ok(None) => {}
            Ok(found) => return Ok(found),
            Err(error) => unreadable = Some(error),
        }
    }
    // A suite that could not be read might have had it, so it cannot be called gone.
    unreadable.map_or(Ok(None), Err)
}

/// Whether a file was written within the last day.
fn is_of_today(path: &Path) -> bool {
    let written = fs::metadata(path).and_then(|data| data.modified());
    written.is_ok_and(|time| time.elapsed().is_ok_and(|age| age < DAY))
}

/// Unpacks the sources of a package to `tree`, which appears only when it is complete.
fn extract(file: &Path, candidate: &Candidate, tree: &Path) -> Result<()> {
    let parent = tree.parent().context("a path in the cache")?;
    fs::create_dir_all(parent)?;
    let work = tempfile::tempdir_in(parent)?;
    let sh = Shell::new()?;
    let dir = work.path();
    cmd::run(cmd!(sh, "dpkg-deb --extract {file} {dir}")).ok()?;
    let archive = dir.join(format!("usr/src/{}.tar.xz", candidate.package));
    if !archive.is_file() {
        bail!("{} holds no {}", file.display(), archive.display());
    }
    // xz knows the unpacked size of its blocks, tar says how many records it has read.
    let list = cmd::run(cmd!(sh, "xz --robot --list {archive}")).ok()?;
    let mut bar = Bar::new(
        format!("unpacking {}", candidate.package),
        Unit::Bytes,
        unpacked_size(&list),
    );
    let target = dir.join("tree");
    fs::create_dir(&target)?;
    let unpack = cmd!(
        sh,
        "tar --extract --use-compress-program 'xz --threads=0' --file {archive}
         --directory {target} --strip-components=1 --no-same-owner
         --checkpoint=1000 --checkpoint-action=echo=%u"
    );
    cmd::run(unpack.env("LC_ALL", "C"))
        .limit(Duration::from_secs(1800))
        .each_line(|line| {
            let records = line
                .strip_prefix("tar: ")
                .and_then(|text| text.parse().ok());
            if let Some(records) = records {
                let records: u64 = records;
                bar.set(records * 20 * 512);
            }
        })
        .ok()?;
    bar.finish();
    version(&target)?;
    fs::rename(&target, tree).with_context(|| tree.display().to_string())
}

fn unpacked_size(list: &str) -> Option<u64> {
    let totals = list
        .lines()
        .find_map(|line| line.strip_prefix("totals\t"))?;
    totals.split('\t').nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unpacked_size_is_read_from_xz() {
        let list = "name\tx.tar.xz\nfile\t1\t8\t1000\t9000\t0.111\tCRC64\t0\n\
                    totals\t1\t8\t1000\t9000\t0.111\tCRC64\t0\t1\n";
        assert_eq!(unpacked_size(list), Some(9000));
        assert_eq!(unpacked_size(""), None);
    }

    #[test]
    fn a_base_that_is_gone_gives_the_next_one() {
        let found = first_of(Base::V7_3, |base| {
            Ok((*base == Base::V7_2).then(|| "tree".into()))
        });
        assert_eq!(found.unwrap(), (Base::V7_2, "tree".into()));
        let error = first_of(Base::V7_3, |_| Ok(None)).unwrap_err();
        assert!(error.to_string().contains("linux-source-7.2"), "{error}");
        assert!(first_of(Base::V7_3, |_| bail!("no network")).is_err());
    }

    #[test]
    fn a_suite_that_cannot_be_read_is_not_one_that_has_nothing() {
        let look = |name: &str| match name {
            "broken" => bail!("no network"),
            "full" => Ok(Some("found")),
            _ => Ok(None),
        };
        let first = |names: &[&str]| first_suite(names, look);
        assert_eq!(first(&["empty", "broken", "full"]).unwrap(), Some("found"));
        assert_eq!(first(&["empty", "empty"]).unwrap(), None);
        assert!(first(&["broken", "empty"]).is_err());
    }

    #[test]
    fn that_a_base_is_gone_is_forgotten_after_a_day() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("7.3.gone");
        assert!(!is_of_today(&path));
        let file = fs::File::create(&path).unwrap();
        assert!(is_of_today(&path));
        file.set_modified(std::time::SystemTime::now() - 2 * DAY)
            .unwrap();
        assert!(!is_of_today(&path));
    }

    #[test]
    fn a_path_that_is_no_kernel_tree_is_a_usage_error() {
        let dir = tempfile::tempdir().unwrap();
        let error = resolve(&Base::Tree(dir.path().into())).unwrap_err();
        assert_eq!(crate::exit::of(&error), Exit::Usage);
    }

    #[test]
    fn a_developers_tree_is_used_where_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let text = "VERSION = 7\nPATCHLEVEL = 4\nSUBLEVEL = 0\nEXTRAVERSION = -rc2\n";
        fs::write(dir.path().join("Makefile"), text).unwrap();
        let base = Base::Tree(dir.path().into());
        assert_eq!(ensure(&base).unwrap(), dir.path());
    }
}
