// SPDX-License-Identifier: GPL-2.0

//! Runtimes of containers for guests: the unmodified programs of the machine's release, unpacked in the
//! cache, with the libraries that they are linked to.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

use crate::apt::Suite;
use crate::exit::{Exit, Failure};
use crate::lock::Lock;
use crate::{cmd, emulator, paths};

/// Their packages; apt knows what these need.
const PACKAGES: [&str; 4] = ["conmon", "crun", "podman", "runc"];

/// Where the programs are in the packages.
const PROGRAMS: [&str; 4] = [
    "usr/bin/conmon",
    "usr/bin/crun",
    "usr/bin/podman",
    "usr/sbin/runc",
];

/// What loads them, by the name that they have for it.
const LOADER: &str = "lib64/ld-linux-x86-64.so.2";

/// Where libraries are in packages of Debian.
const LIBRARIES: [&str; 2] = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"];

/// The directory that they are unpacked in.
fn root() -> PathBuf {
    paths::tools().join("runtimes")
}

/// Whether they are here already.
pub fn present() -> bool {
    root().is_dir()
}

/// The files for a guest: programs under `bin`, libraries and the loader under `lib`; fetches the
/// packages if they are not here.
///
/// # Errors
///
/// They cannot be had (skipped), or are not what is expected.
pub fn files() -> Result<Vec<(String, PathBuf)>> {
    let _lock = Lock::exclusive("runtimes")?;
    if !present() {
        fetch().map_err(|error| {
            let what = format!("the packages of the runtimes cannot be had: {error:#}");
            Failure::new(Exit::Skipped, what).fix("check the network and the machine's apt sources")
        })?;
    }
    let root = root();
    let sh = Shell::new()?;
    let loader = inside(&root, LOADER)?;
    let path = LIBRARIES.map(|dir| root.join(dir).display().to_string());
    let path = path.join(":");
    let mut files = BTreeMap::new();
    let name = |path: &Path, below: &str| {
        let name = path.file_name().unwrap_or_default();
        format!("{below}/{}", name.to_string_lossy())
    };
    files.insert(name(Path::new(LOADER), "lib"), loader.clone());
    for program in PROGRAMS {
        let program = inside(&root, program)?;
        let list = cmd!(sh, "{loader} --library-path {path} --list {program}");
        for library in libraries(&cmd::run(list).ok()?)? {
            // Other ones than those of the packages would be the machine's.
            if !library.starts_with(&root) {
                let what = format!("{} is in no package", library.display());
                return Err(Failure::new(Exit::Skipped, what).into());
            }
            files.insert(name(&library, "lib"), library);
        }
        files.insert(name(&program, "bin"), program);
    }
    Ok(files.into_iter().collect())
}

/// A file of a package, which may be named by a link that is meant for another root.
fn inside(root: &Path, name: &str) -> Result<PathBuf> {
    let mut path = root.join(name);
    while let Ok(to) = fs::read_link(&path) {
        let above = path.parent().unwrap_or(root);
        path = match to.strip_prefix("/") {
            Ok(to) => root.join(to),
            Err(_) => above.join(to),
        };
    }
    if path.is_file() {
        return Ok(path);
    }
    let what = format!("the packages of the runtimes have no {name}");
    Err(Failure::new(Exit::Skipped, what).into())
}

/// The files among what the loader lists, which says the same as ldd.
pub fn libraries(said: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for line in said.lines() {
        let line = line.trim();
        if line.ends_with("not found") {
            let what = format!("a library is missing: {line}");
            return Err(Failure::new(Exit::Skipped, what).into());
        }
        let file = line.rsplit("=> ").next().unwrap_or(line);
        let file = file.split(" (").next().unwrap_or(file);
        if file.starts_with('/') {
            found.push(PathBuf::from(file));
        }
    }
    Ok(found)
}

/// Fetches and unpacks the packages.
fn fetch() -> Result<()> {
    let release = emulator::release()?;
    let suite = Suite::open(&release)?.with_context(|| format!("the mirror has no {release}"))?;
    let tools = paths::tools();
    fs::create_dir_all(&tools)?;
    let work = tempfile::tempdir_in(&tools)?;
    let unpacked = work.path().join("root");
    let sh = Shell::new()?;
    for file in suite.download_whole(&PACKAGES, &work.path().join("archives"))? {
        cmd::run(cmd!(sh, "dpkg-deb --extract {file} {unpacked}")).ok()?;
    }
    match fs::remove_dir_all(root()) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    fs::rename(unpacked, root())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn libraries_are_those_with_a_path() {
        let said = "\tlinux-vdso.so.1 (0x00007ff)\n\
                    \tlibnl-3.so.200 => /lib/x/libnl-3.so.200 (0x00007ff)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007ff)\n\
                    \t/lib64/ld-linux-x86-64.so.2 => /lib/y/ld.so (0x00007ff)\n";
        let expected = [
            "/lib/x/libnl-3.so.200",
            "/lib64/ld-linux-x86-64.so.2",
            "/lib/y/ld.so",
        ];
        assert_eq!(libraries(said).unwrap(), expected.map(PathBuf::from));
        assert!(libraries("\tlibnet.so.1 => not found\n").is_err());
    }

    #[test]
    fn a_link_stays_inside() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::write(root.join("a/b/file"), "").unwrap();
        symlink("/a/b/next", root.join("link")).unwrap();
        symlink("file", root.join("a/b/next")).unwrap();
        assert_eq!(inside(root, "link").unwrap(), root.join("a/b/file"));
        let error = inside(root, "nothing").unwrap_err();
        assert_eq!(crate::exit::of(&error), Exit::Skipped);
    }
}
