// SPDX-License-Identifier: GPL-2.0

//! Installs what the machine lacks, saying what and why first.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::time::Duration;

use anyhow::Result;
use xshell::{Cmd, Shell, cmd};

use crate::doctor::{BINDGEN, Get, REQUIREMENTS, Requirement, State, VIRTME_NG, look};
use crate::emulator;
use crate::exit::{Exit, Failure, infrastructure};
use crate::lock::Lock;
use crate::progress::{Bar, Unit};
use crate::toolchain::{Version, program};
use crate::{cmd, paths};

/// When set to 1, nothing is installed; what is missing is reported instead.
const NO_INSTALL: &str = "BEANPOD_NO_INSTALL";

/// Installs what is missing; quick when nothing is.
///
/// # Errors
///
/// Something is missing and installing is forbidden (skipped), or an installation failed.
pub fn ensure() -> Result<()> {
    if missing().is_empty() {
        return Ok(());
    }
    // xtask/cargo.sh takes the same one.
    let _lock = Lock::exclusive("setup")?;
    let missing = missing();
    if missing.is_empty() {
        return Ok(());
    }
    if env::var_os(NO_INSTALL).is_some_and(|value| value == "1") {
        return report(&missing);
    }
    install(&missing)?;
    let still: Vec<_> = self::missing();
    let stops: Vec<_> = still.iter().filter(|need| !need.optional).collect();
    if stops.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = stops.iter().map(|need| need.name).collect();
    let what = format!("installed, but still not usable: {}", names.join(", "));
    Err(infrastructure(what).fix("cargo xtask doctor").into())
}

fn missing() -> Vec<&'static Requirement> {
    let needed = REQUIREMENTS.iter();
    needed
        .filter(|requirement| look(requirement).state != State::Found)
        .collect()
}

/// What to do by hand; an error only if the tool cannot work as it is.
fn report(missing: &[&'static Requirement]) -> Result<()> {
    for requirement in missing {
        eprintln!("missing: {} ({})", requirement.name, requirement.why);
    }
    let commands = commands(missing)?;
    let fix = commands.join(" && ");
    if missing.iter().all(|requirement| requirement.optional) {
        eprintln!("going on without; to have them: {fix}");
        return Ok(());
    }
    let names: Vec<_> = missing.iter().map(|requirement| requirement.name).collect();
    let what = format!(
        "missing, and {NO_INSTALL}=1 forbids installing: {}",
        names.join(", ")
    );
    Err(Failure::new(Exit::Skipped, what).fix(fix).into())
}

/// The commands that install what is missing.
fn commands(missing: &[&'static Requirement]) -> Result<Vec<String>> {
    let mut commands = Vec::new();
    let packages = packages(missing, &known(missing)?);
    let names: Vec<_> = packages.into_iter().flat_map(|(_, names)| names).collect();
    if !names.is_empty() {
        let sudo = if is_root() { "" } else { "sudo " };
        let names = names.join(" ");
        commands.push(format!(
            "{sudo}apt-get update && {sudo}apt-get install --no-install-recommends {names}"
        ));
    }
    let root = paths::tools();
    for requirement in missing {
        match requirement.get {
            Get::Apt(_) => {}
            // Several steps, which only the tool does.
            Get::Qemu => commands.push("cargo xtask setup".to_owned()),
            Get::Bindgen => commands.push(format!(
                "cargo install --locked --root {} bindgen-cli@{BINDGEN}",
                root.display()
            )),
            Get::VirtmeNg => {
                let venv = root.join("venv");
                let venv = venv.display();
                commands.push(format!(
                    "python3 -m venv {venv} && {venv}/bin/pip install virtme-ng=={VIRTME_NG}"
                ));
            }
        }
    }
    Ok(commands)
}

fn install(missing: &[&'static Requirement]) -> Result<()> {
    let wants_apt = |need: &&&'static Requirement| matches!(need.get, Get::Apt(_));
    let by_apt: Vec<&'static Requirement> = missing.iter().filter(wants_apt).copied().collect();
    if !by_apt.is_empty() {
        install_packages(&by_apt)?;
    }
    for requirement in missing {
        let result = match requirement.get {
            Get::Apt(_) => continue,
            Get::Bindgen => install_bindgen(),
            Get::Qemu => install_qemu(),
            Get::VirtmeNg => install_virtme_ng(),
        };
        match result {
            Err(error) if requirement.optional => {
                eprintln!("going on without {}: {error:#}", requirement.name);
            }
            result => result?,
        }
    }
    Ok(())
}

/// The versions that apt could install, by package.
type Known = BTreeMap<String, Version>;

fn known(missing: &[&'static Requirement]) -> Result<Known> {
    let names: Vec<&str> = missing
        .iter()
        .filter_map(|requirement| match requirement.get {
            Get::Apt(groups) => Some(groups),
            _ => None,
        })
        .flatten()
        .copied()
        .flatten()
        .copied()
        .collect();
    if names.is_empty() {
        return Ok(Known::new());
    }
    if program("apt-cache").is_none() {
        let what = "this machine has no apt, so nothing can be installed for you";
        let fix = "install what `cargo xtask doctor` lists";
        return Err(Failure::new(Exit::Skipped, what).fix(fix).into());
    }
    let sh = Shell::new()?;
    let policy = cmd!(sh, "apt-cache policy {names...}").env("LC_ALL", "C");
    Ok(read_policy(&cmd::run(policy).ok()?))
}

/// Reads `apt-cache policy`: a package's name, and its candidate version below it.
fn read_policy(text: &str) -> Known {
    let mut known = Known::new();
    let mut package = "";
    for line in text.lines() {
        if let Some(name) = line.strip_suffix(':').filter(|name| !name.contains(' ')) {
            package = name;
        } else if let Some(version) = line.trim().strip_prefix("Candidate: ") {
            if let Some(version) = candidate(version) {
                known.insert(package.to_owned(), version);
            }
        }
    }
    known
}

fn candidate(text: &str) -> Option<Version> {
    if text == "(none)" {
        return None;
    }
    // A version without a dot is as good as any where no minimum is stated.
    Version::of_package(text).or_else(|| Version::find("0.0"))
}

/// The packages to install for each requirement; the last group when apt knows none whole. Those of
/// a group that several requirements share stand with the first.
fn packages(
    missing: &[&'static Requirement],
    known: &Known,
) -> Vec<(&'static Requirement, Vec<&'static str>)> {
    let mut seen = Vec::new();
    let mut packages = Vec::new();
    for requirement in missing {
        let Get::Apt(groups) = requirement.get else {
            continue;
        };
        let group = groups
            .iter()
            .find(|group| suits(group, requirement, known))
            .or(groups.last());
        let mut names = group.map_or(vec![], |group| group.to_vec());
        names.retain(|name| !seen.contains(name));
        seen.extend(names.iter().copied());
        if !names.is_empty() {
            packages.push((*requirement, names));
        }
    }
    packages
}

/// Whether apt knows every package of a group, and the first is new enough.
fn suits(group: &[&str], requirement: &Requirement, known: &Known) -> bool {
    let minimum = requirement.minimum();
    group.iter().all(|name| known.contains_key(*name))
        && group
            .first()
            .is_some_and(|first| known.get(*first) >= minimum.as_ref())
}

fn is_root() -> bool {
    // SAFETY: The call has no preconditions and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// A command with the rights to install packages.
fn as_root<'a>(sh: &'a Shell, args: &[&str]) -> Result<Cmd<'a>> {
    if is_root() {
        return Ok(cmd!(sh, "env {args...}"));
    }
    let wanted = args.join(" ");
    if program("sudo").is_none() {
        let what = "installing packages needs root, and there is no sudo";
        let fix = format!("as root: {wanted}");
        return Err(Failure::new(Exit::Skipped, what).fix(fix).into());
    }
    // A question for the password would wait for ever in the background.
    if cmd::run(cmd!(sh, "sudo -n true")).ok().is_err() {
        let what = "installing packages needs sudo, which asks for a password";
        return Err(Failure::new(Exit::Skipped, what)
            .fix("run `sudo -v` and then the same command again")
            .into());
    }
    Ok(cmd!(sh, "sudo -n env {args...}"))
}

fn install_packages(missing: &[&'static Requirement]) -> Result<()> {
    let mut known = known(missing)?;
    let unknown = |known: &Known| {
        let packages = packages(missing, known);
        let names = packages.into_iter().flat_map(|(_, names)| names);
        names.filter(|name| !known.contains_key(*name)).count()
    };
    let sh = Shell::new()?;
    // Lists that are absent or old name packages that cannot be had any more.
    eprintln!("apt-get update: reads which packages there are");
    let update = as_root(
        &sh,
        &["apt-get", "-q", "-o", "Acquire::Retries=3", "update"],
    )?;
    let updated = cmd::run(update).output()?;
    if updated.status.success() {
        known = self::known(missing)?;
    } else if unknown(&known) > 0 {
        let what = format!("apt-get update failed:\n{}", updated.text.trim_end());
        let fix = "check the network and the machine's apt sources";
        return Err(infrastructure(what).fix(fix).into());
    }
    let packages = packages(missing, &known);
    for (requirement, names) in &packages {
        eprintln!("installing {}: {}", names.join(" "), requirement.why);
    }
    let names: Vec<&str> = packages.into_iter().flat_map(|(_, names)| names).collect();
    let mut args = vec![
        "DEBIAN_FRONTEND=noninteractive",
        "bash",
        "-c",
        APT_WITH_STATUS,
        "apt-get",
    ];
    args.extend(&names);
    let log = paths::logs().join("setup-apt.log");
    // The first half of the bar is the download, the second the installation.
    let mut bar = Bar::new("installing packages", Unit::Percent, Some(100));
    cmd::run(as_root(&sh, &args)?)
        .limit(Duration::from_secs(3600))
        .log(&log)
        .each_line(|line| {
            if let Some(percent) = apt_percent(line) {
                bar.set(percent);
            }
        })
        .ok()?;
    bar.finish();
    Ok(())
}

/// Installs packages with apt's status on standard output, between the messages of the packages. apt
/// makes the status channel non-blocking, and maintainer scripts fail when they write to such a one
/// while it is full, so it must not be the same pipe. Nor may they need a pseudo-terminal, which a
/// chroot may not have. Someone else's apt, such as that of automatic updates, is waited for.
const APT_WITH_STATUS: &str = "set -o pipefail
exec 4>&1
apt-get -y -q -o Acquire::Retries=3 -o APT::Status-Fd=3 -o Dpkg::Use-Pty=0 \\
  -o DPkg::Lock::Timeout=600 \\
  --no-install-recommends install \"$@\" 3>&1 >&4 2>&4 4>&- | cat";

/// How far apt is, from a line of its status.
fn apt_percent(line: &str) -> Option<u64> {
    let mut fields = line.split(':');
    let base = match fields.next()? {
        "dlstatus" => 0.0,
        "pmstatus" => 50.0,
        _ => return None,
    };
    let percent: f64 = fields.nth(1)?.parse().ok()?;
    Some((base + percent.clamp(0.0, 100.0) / 2.0) as u64)
}

fn install_bindgen() -> Result<()> {
    eprintln!("building bindgen {BINDGEN}: distributions ship older ones than the kernel accepts");
    let cargo = cmd::cargo();
    let root = paths::tools();
    fs::create_dir_all(&root)?;
    let sh = Shell::new()?;
    let package = format!("bindgen-cli@{BINDGEN}");
    let install = cmd!(
        sh,
        "{cargo} install --locked --force --root {root} {package}"
    );
    let mut bar = Bar::new("building bindgen", Unit::Count("crates"), Some(48));
    cmd::run(install.env("CARGO_TERM_COLOR", "never"))
        .limit(Duration::from_secs(1800))
        .log(paths::logs().join("setup-bindgen.log"))
        .each_line(|line| {
            if line.trim_start().starts_with("Compiling ") {
                bar.add(1);
            }
        })
        .ok()?;
    bar.finish();
    Ok(())
}

fn install_qemu() -> Result<()> {
    // The machine had none at all when it was looked at; what apt has installed since may do.
    if emulator::sound().is_some() {
        return Ok(());
    }
    eprintln!("unpacking a later QEMU: the machine's runs stale code when a guest patches itself");
    emulator::install()
}

fn install_virtme_ng() -> Result<()> {
    eprintln!("installing virtme-ng {VIRTME_NG}: boots kernels on the host's files");
    let python = program("python3").ok_or_else(|| infrastructure("python3 is missing"))?;
    let venv = paths::tools().join("venv");
    let sh = Shell::new()?;
    cmd::run(cmd!(sh, "{python} -m venv --clear {venv}")).ok()?;
    let pip = venv.join("bin/pip");
    let package = format!("virtme-ng=={VIRTME_NG}");
    let install = cmd!(
        sh,
        "{pip} --disable-pip-version-check install --no-input {package}"
    );
    cmd::run(install)
        .log(paths::logs().join("setup-virtme-ng.log"))
        .ok()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requirement(name: &str) -> &'static Requirement {
        REQUIREMENTS.iter().find(|need| need.name == name).unwrap()
    }

    fn known(packages: &[(&str, &str)]) -> Known {
        let lines = packages.iter().map(|(name, version)| {
            format!("{name}:\n  Installed: (none)\n  Candidate: {version}\n")
        });
        read_policy(&lines.collect::<String>())
    }

    fn chosen(name: &str, packages: &[(&str, &str)]) -> Vec<&'static str> {
        let missing = [requirement(name)];
        super::packages(&missing, &known(packages)).remove(0).1
    }

    #[test]
    fn the_first_group_that_apt_knows_whole_and_new_enough_is_taken() {
        let web = [
            "rustc-web",
            "rust-web-src",
            "rust-web-clippy",
            "rustfmt-web",
        ];
        let own = ["rustc", "rust-src", "rust-clippy", "rustfmt"];
        let at = |names: [&'static str; 4], version| names.map(|name| (name, version));
        let both = [at(web, "1.96.0+dfsg1-1~deb12u2"), at(own, "1.63.0+dfsg1-2")].concat();
        assert_eq!(chosen("rustc", &both), web);
        assert_eq!(chosen("rustc", &at(own, "1.85.0+dfsg3-1")), own);
        let partly = [&at(web, "1.96.0-1")[..3], &at(own, "1.85.0-1")].concat();
        assert_eq!(chosen("rustc", &partly), own);
        let old = [at(web, "1.60.0-1"), at(own, "1.85.0-1")].concat();
        assert_eq!(chosen("rustc", &old), own);
    }

    #[test]
    fn a_package_without_a_candidate_is_unknown() {
        assert!(known(&[("rustc-web", "(none)")]).is_empty());
        assert!(known(&[("bc", "20220101")]).contains_key("bc"));
    }

    #[test]
    fn a_group_shared_by_requirements_is_installed_once() {
        let missing = [requirement("rustc"), requirement("clippy")];
        let packages = super::packages(&missing, &known(&[]));
        let owners: Vec<_> = packages.iter().map(|(owner, _)| owner.name).collect();
        assert_eq!(owners, ["rustc"]);
    }

    #[test]
    fn apts_status_becomes_one_percentage() {
        assert_eq!(
            apt_percent("dlstatus:3:50.5:Retrieving file 3 of 9"),
            Some(25)
        );
        assert_eq!(
            apt_percent("pmstatus:bc:100:Installed bc (amd64)"),
            Some(100)
        );
        assert_eq!(apt_percent("Setting up bc (1.07.1-3) ..."), None);
    }
}
