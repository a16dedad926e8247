// SPDX-License-Identifier: GPL-2.0

//! Configurations: fragments over `allnoconfig`, every symbol of them checked afterwards.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use xshell::Shell;

use super::sync::Source;
use super::{Arch, Config, Flavour, Other, Series, Variant, hash};
use crate::exit::{Exit, Failure};
use crate::progress::detail;
use crate::{cmd, paths, toolchain};

/// Symbol without `CONFIG_`, and its value; `n` when it is not set.
type Symbols = BTreeMap<String, String>;

/// The fragments of a configuration of a kernel version, later ones having the last word.
fn fragments(config: &Config, version: &str) -> Vec<PathBuf> {
    let dir = paths::repo().join("xtask/config");
    let arch = config.arch.name();
    let mut fragments = common(config.series, arch, version);
    let flavour = match config.flavour {
        Flavour::Unpatched | Flavour::Off => return fragments,
        Flavour::Default => None,
        Flavour::Debug => Some("debug"),
        Flavour::Kcsan => Some("kcsan"),
        Flavour::Peers => Some("peers"),
    };
    fragments.extend(of_series(config.series, config.arch == Arch::Um));
    if let Some(flavour) = flavour {
        fragments.push(dir.join(format!("{flavour}.config")));
        // What a flavour needs on one architecture only.
        let special = dir.join(format!("{arch}-{flavour}.config"));
        fragments.extend(special.exists().then_some(special));
    }
    fragments
}

/// The fragments of a series. KUnit runs under UML only, and the other kernels are the leaner for it.
fn of_series(series: Series, kunit: bool) -> Vec<PathBuf> {
    let unit = series.dir().join("kunit.config");
    let mut fragments = vec![series.dir().join(format!("{}.config", series.name()))];
    fragments.extend((kunit && unit.exists()).then_some(unit));
    fragments
}

/// The fragments that have nothing of the series itself, but what its tests and measures need.
fn common(series: Series, arch: &str, version: &str) -> Vec<PathBuf> {
    let dir = paths::repo().join("xtask/config");
    let mut fragments = vec![
        dir.join("common.config"),
        dir.join(format!("{arch}.config")),
    ];
    // What its tests need, everywhere and on one architecture only.
    let needed = [
        series.name().to_owned(),
        format!("{arch}-{}", series.name()),
    ];
    let needed = needed.map(|name| dir.join(format!("{name}.config")));
    fragments.extend(needed.into_iter().filter(|path| path.exists()));
    // What has another name on one base, `7.3` of version 7.3.4.
    let series: Vec<&str> = version.splitn(3, '.').take(2).collect();
    let special = dir.join(format!("{}.config", series.join(".")));
    fragments.extend(special.exists().then_some(special));
    fragments
}

/// The fragments of what is compiled only: everything that the series has is on.
fn fragments_of(series: Series, other: Other, version: &str) -> Vec<PathBuf> {
    let mut fragments = match other {
        Other::Gcc => common(series, Arch::Qemu.name(), version),
        Other::Arm64 => common(series, "arm64", version),
    };
    fragments.push(paths::repo().join("xtask/config/compile.config"));
    fragments.extend(of_series(series, true));
    fragments
}

/// The merged text of all fragments of a configuration of a kernel version.
///
/// # Errors
///
/// A fragment is missing or has a line that is no setting.
pub fn wanted(variant: &(impl Copy + Into<Variant>), version: &str) -> Result<String> {
    let fragments = match (*variant).into() {
        Variant::Guest(config) => fragments(&config, version),
        Variant::Other(series, other) => fragments_of(series, other, version),
    };
    let mut symbols = Symbols::new();
    for path in fragments {
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let fragment = parse(&text).with_context(|| path.display().to_string())?;
        symbols.extend(fragment);
    }
    Ok(render(&symbols))
}

/// Reads the settings of a fragment or a `.config`.
fn parse(text: &str) -> Result<Symbols> {
    let mut symbols = Symbols::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        let unset = line
            .strip_prefix("# CONFIG_")
            .and_then(|rest| rest.strip_suffix(" is not set"));
        let (symbol, value) = if let Some(symbol) = unset {
            (symbol, "n")
        } else if line.is_empty() || line.starts_with('#') {
            continue;
        } else {
            match line
                .strip_prefix("CONFIG_")
                .and_then(|rest| rest.split_once('='))
            {
                Some(setting) => setting,
                None => bail!("line {} is no setting: {line}", number + 1),
            }
        };
        symbols.insert(symbol.to_owned(), value.to_owned());
    }
    Ok(symbols)
}

/// Whether something in a configuration is built as a module.
pub fn has_modules(text: &str) -> bool {
    text.lines().any(|line| line.ends_with("=m"))
}

fn render(symbols: &Symbols) -> String {
    let line = |(symbol, value): (&String, &String)| match value.as_str() {
        "n" => format!("# CONFIG_{symbol} is not set\n"),
        value => format!("CONFIG_{symbol}={value}\n"),
    };
    symbols.iter().map(line).collect()
}

/// A symbol that is not as a fragment wants it.
#[derive(Debug, PartialEq, Eq)]
struct Dropped {
    symbol: String,
    wanted: String,
    got: String,
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            symbol,
            wanted,
            got,
        } = self;
        write!(f, "CONFIG_{symbol}: wanted {wanted}, got {got}")
    }
}

fn dropped(wanted: &Symbols, got: &Symbols) -> Vec<Dropped> {
    let mut dropped = Vec::new();
    for (symbol, value) in wanted {
        let found = got.get(symbol).map_or("n", String::as_str);
        if found != value {
            dropped.push(Dropped {
                symbol: symbol.clone(),
                wanted: value.clone(),
                got: found.to_owned(),
            });
        }
    }
    dropped
}

/// Makes the `.config` of a build directory from the text of the fragments; returns its path.
///
/// # Errors
///
/// A symbol of a fragment did not survive (findings), or kbuild failed.
pub fn write(source: &Source, build: &Path, variant: Variant, text: &str) -> Result<PathBuf> {
    let target = build.join(".config");
    let stamp = build.join(".beanpod-configured");
    let key = key(source, variant, text)?;
    let stamped = |target: &Path| {
        Some(format!(
            "{key:016x} {:016x}\n",
            hash(&fs::read(target).ok()?)
        ))
    };
    if stamped(&target).is_some_and(|now| fs::read_to_string(&stamp).is_ok_and(|was| was == now)) {
        return Ok(target);
    }
    fs::create_dir_all(build).with_context(|| build.display().to_string())?;
    let fragment = build.join(".beanpod-fragment");
    let candidate = build.join(".beanpod-config");
    fs::write(&fragment, text)?;

    let sh = Shell::new()?;
    for goal in ["allnoconfig", "olddefconfig"] {
        let make = super::make(&sh, &source.tree, build, variant)?
            .arg(goal)
            .env("KCONFIG_ALLCONFIG", &fragment)
            .env("KCONFIG_CONFIG", &candidate);
        let text = cmd::run(make).ok()?;
        detail(text.trim_end());
    }
    let got = fs::read_to_string(&candidate)?;
    check(text, &got, &variant, &source.tree)?;
    // kbuild starts over from a newer file, so an equal one must keep its time.
    if fs::read_to_string(&target).ok().as_deref() != Some(&got) {
        fs::rename(&candidate, &target)?;
    }
    let text = stamped(&target).context("the configuration was just written")?;
    fs::write(&stamp, text)?;
    Ok(target)
}

/// Everything that a configuration depends on.
fn key(source: &Source, variant: Variant, wanted: &str) -> Result<u64> {
    let args = toolchain::make_args_with(variant.compiler())?;
    let tools = toolchain::identity_with(variant.compiler())?;
    Ok(hash(&(&source.tree, source.kconfig, wanted, args, tools)))
}

/// Compares every symbol of the fragments with the final configuration.
///
/// # Errors
///
/// A symbol was dropped or changed (findings).
pub fn check(
    wanted: &str,
    got: &str,
    variant: &(impl Copy + Into<Variant>),
    source: &Path,
) -> Result<()> {
    let dropped = dropped(&parse(wanted)?, &parse(got)?);
    if dropped.is_empty() {
        return Ok(());
    }
    let list: Vec<_> = dropped.iter().map(ToString::to_string).collect();
    let what = format!(
        "the configuration {} of {} lost symbols of its fragments:\n  {}",
        (*variant).into().name(),
        source.display(),
        list.join("\n  ")
    );
    let fix = "add what they depend on to the same fragment, or take them out";
    Err(Failure::new(Exit::Findings, what).fix(fix).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_fragments_have_the_last_word() {
        let mut symbols = parse("CONFIG_A=y\nCONFIG_B=\"x y\"\n# a comment\n\n").unwrap();
        symbols.extend(parse("# CONFIG_A is not set\nCONFIG_C=12\n").unwrap());
        assert_eq!(
            render(&symbols),
            "# CONFIG_A is not set\nCONFIG_B=\"x y\"\nCONFIG_C=12\n"
        );
    }

    #[test]
    fn a_module_is_told_from_what_is_built_in() {
        assert!(has_modules("CONFIG_A=y\nCONFIG_B=m\n"));
        assert!(!has_modules(
            "CONFIG_A=y\nCONFIG_B=\"m\"\n# CONFIG_M is not set\n"
        ));
    }

    #[test]
    fn a_line_that_is_no_setting_is_an_error() {
        let error = parse("CONFIG_A=y\nA=y\n").unwrap_err();
        assert_eq!(error.to_string(), "line 2 is no setting: A=y");
        assert!(parse("CONFIG_A\n").is_err());
    }

    #[test]
    fn dropped_and_changed_symbols_are_listed_with_both_values() {
        let wanted = "CONFIG_GONE=y\nCONFIG_MOD=y\n# CONFIG_OFF is not set\nCONFIG_N=8\n\
                      # CONFIG_ABSENT is not set\nCONFIG_KEPT=y\nCONFIG_X=n\n";
        let got = "CONFIG_MOD=m\nCONFIG_OFF=y\nCONFIG_N=4\nCONFIG_KEPT=y\nCONFIG_OTHER=y\n";
        let config = Config::new(Arch::Um);
        let error = check(wanted, got, &config, Path::new("tree")).unwrap_err();
        assert_eq!(crate::exit::of(&error), Exit::Findings);
        assert_eq!(
            error.to_string(),
            "the configuration um of tree lost symbols of its fragments:\n  \
             CONFIG_GONE: wanted y, got n\n  \
             CONFIG_MOD: wanted y, got m\n  \
             CONFIG_N: wanted 8, got 4\n  \
             CONFIG_OFF: wanted n, got y"
        );
    }

    #[test]
    fn a_configuration_that_kept_all_passes() {
        let text = "CONFIG_A=y\n# CONFIG_B is not set\n";
        check(
            text,
            "CONFIG_A=y\n",
            &Config::new(Arch::Um),
            Path::new("tree"),
        )
        .unwrap();
    }

    #[test]
    fn the_fragments_of_the_repository_merge() {
        for other in [Other::Gcc, Other::Arm64] {
            let text = super::wanted(&(Series::Bc, other), "7.3.4").unwrap();
            assert!(text.contains("CONFIG_CGROUP_BC_KUNIT_TEST=y"), "{text}");
        }
        for arch in [Arch::Um, Arch::Qemu] {
            for flavour in [Flavour::Default, Flavour::Debug, Flavour::Kcsan] {
                for version in ["7.3.4", "7.2", "6.12.1-rc1"] {
                    let config = Config {
                        flavour,
                        ..Config::new(arch)
                    };
                    super::wanted(&config, version).unwrap();
                }
            }
        }
    }
}
