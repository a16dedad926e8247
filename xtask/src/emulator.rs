// SPDX-License-Identifier: GPL-2.0

//! QEMU: the machine's own, or a later one that is kept in the cache.
//!
//! The multi-threaded translator of QEMU 7.2 can keep the translation of an instruction that another
//! CPU was patching, so that a guest dies of a breakpoint that its kernel removed long before. A
//! distribution's release with such a QEMU has a later one among its backports.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use xshell::{Shell, cmd};

use crate::apt::Suite;
use crate::toolchain::{Version, program, version};
use crate::{cmd, paths};

/// Its name everywhere.
const QEMU: &str = "qemu-system-x86_64";

/// The least version that is trusted to let guests patch code that other CPUs run: later than the one
/// that was seen to fail; 10.0 was seen to work.
const SOUND: &str = "8.1";

/// What a QEMU of one's own consists of; the libraries are those of the machine's. The last ones hold
/// modules: it takes them from the machine's directory if it has none of that name, and does not
/// survive those of another build.
const PACKAGES: [&str; 8] = [
    "qemu-system-x86",
    "qemu-system-common",
    "qemu-system-data",
    "seabios",
    "qemu-system-gui",
    "qemu-system-modules-opengl",
    "qemu-system-modules-spice",
    "qemu-block-extra",
];

/// The directory with a QEMU of our own, which may be absent.
pub fn own() -> PathBuf {
    paths::tools().join("qemu")
}

/// The program; a bare name when there is none.
pub fn path() -> PathBuf {
    let own = own().join(QEMU);
    match own.is_file() {
        true => own,
        false => program(QEMU).unwrap_or_else(|| QEMU.into()),
    }
}

/// The version of what [`path`] names, if guests may patch their code under it.
pub fn sound() -> Option<Version> {
    version(&path()).filter(|found| Version::find(SOUND).is_some_and(|least| *found >= least))
}

/// Unpacks a later QEMU from the backports of the machine's release.
///
/// # Errors
///
/// There are none, or what they have does not run here.
pub fn install() -> Result<()> {
    let suite = format!("{}-backports", release()?);
    let suite = Suite::open(&suite)?.with_context(|| format!("the mirror has no {suite}"))?;
    let tools = paths::tools();
    fs::create_dir_all(&tools)?;
    let work = tempfile::tempdir_in(&tools)?;
    let root = work.path().join("root");
    let sh = Shell::new()?;
    for package in PACKAGES {
        let name = suite.name();
        let candidate = suite.newest(package)?;
        let candidate = candidate.with_context(|| format!("{name} has no {package}"))?;
        let file = suite.download(&candidate, work.path())?;
        cmd::run(cmd!(sh, "dpkg-deb --extract {file} {root}")).ok()?;
        fs::remove_file(file)?;
    }
    let wrapper = work.path().join(QEMU);
    fs::write(&wrapper, WRAPPER)?;
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755))?;
    if version(&wrapper).is_none() {
        bail!(
            "{} does not run here",
            root.join("usr/bin").join(QEMU).display()
        );
    }
    match fs::remove_dir_all(own()) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    fs::rename(work.keep(), own())?;
    Ok(())
}

/// Finds firmware and modules beside itself instead of in the system's directories.
const WRAPPER: &str = r#"#!/bin/sh
root=$(dirname "$0")/root/usr
export QEMU_MODULE_DIR="$(echo "$root"/lib/*/qemu)"
exec "$root/bin/qemu-system-x86_64" -L "$root/share/qemu" -L "$root/share/seabios" "$@"
"#;

/// The name of the machine's release.
///
/// # Errors
///
/// It is not said anywhere.
pub fn release() -> Result<String> {
    let text = fs::read_to_string("/etc/os-release").context("/etc/os-release")?;
    codename(&text).map(str::to_owned)
}

/// The name of a release, from `os-release`.
fn codename(text: &str) -> Result<&str> {
    text.lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .map(|name| name.trim_matches('"'))
        .context("/etc/os-release names no release")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn a_release_is_known_by_its_name() {
        let text = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_CODENAME=bookworm\n";
        assert_eq!(codename(text).unwrap(), "bookworm");
        assert_eq!(codename("VERSION_CODENAME=\"trixie\"\n").unwrap(), "trixie");
        assert!(codename("NAME=x\n").is_err());
    }

    #[test]
    fn the_wrapper_names_firmware_beside_itself() {
        let dir = tempfile::tempdir().unwrap();
        let bin = dir.path().join("root/usr/bin");
        fs::create_dir_all(&bin).unwrap();
        let executable = |path: &Path, text: &str| {
            fs::write(path, text).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        };
        executable(&bin.join(QEMU), "#!/bin/sh\necho \"$@\"\n");
        let wrapper = dir.path().join(QEMU);
        executable(&wrapper, WRAPPER);
        let sh = Shell::new().unwrap();
        let said = cmd::run(cmd!(sh, "{wrapper} -m 1G")).ok().unwrap();
        let root = dir.path().join("root/usr/share");
        let root = root.display();
        assert_eq!(
            said.trim(),
            format!("-L {root}/qemu -L {root}/seabios -m 1G")
        );
    }
}
