// SPDX-License-Identifier: GPL-2.0

//! Kernels: where their sources come from, how they are configured and built.

pub mod build;
pub mod config;
pub mod fetch;
pub mod sync;

use std::ffi::OsStr;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use xshell::{Cmd, Shell, cmd};

use crate::exit::{Exit, Failure};
use crate::paths;
use crate::toolchain::{self, Compiler};

/// The kernel that the series is applied to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Base {
    /// The primary base.
    #[default]
    V7_3,
    /// The older base, for the controller only.
    V7_2,
    /// A developer's own tree, which is only read.
    Tree(PathBuf),
}

impl Base {
    /// The name that the base's directories in the cache have.
    pub fn name(&self) -> String {
        match self {
            Base::V7_3 => "7.3".into(),
            Base::V7_2 => "7.2".into(),
            Base::Tree(path) => {
                // Two trees may have the same last name, so the whole path takes part.
                let last = path.file_name().unwrap_or(OsStr::new("root"));
                format!("{}-{:08x}", last.to_string_lossy(), hash(path) as u32)
            }
        }
    }

    /// The arguments that choose it, as they stand behind a command, with a space before them; none if
    /// it is the one that is taken unless said.
    pub fn arguments(&self) -> String {
        match self {
            Base::V7_3 => String::new(),
            Base::V7_2 => " --base 7.2".into(),
            Base::Tree(path) => {
                format!(" --tree {}", shell_words::quote(&path.to_string_lossy()))
            }
        }
    }

    /// The base to use when this one cannot be had any more.
    fn next(&self) -> Option<Base> {
        match self {
            Base::V7_3 => Some(Base::V7_2),
            Base::V7_2 | Base::Tree(_) => None,
        }
    }
}

/// The series that a kernel is built with. Each is sent by itself, so each has a source tree of its own,
/// the tip of what is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, clap::ValueEnum)]
pub enum Series {
    /// The controller.
    #[default]
    Bc,
    /// The checkpoint engine.
    Ckpt,
}

impl Series {
    /// The name of its directories.
    pub fn name(self) -> &'static str {
        match self {
            Series::Bc => "bc",
            Series::Ckpt => "ckpt",
        }
    }

    /// The series of this name.
    pub fn named(name: &str) -> Option<Self> {
        [Series::Bc, Series::Ckpt]
            .into_iter()
            .find(|series| series.name() == name)
    }

    /// The directory of its patches.
    pub fn dir(self) -> PathBuf {
        paths::repo().join("patches").join(self.name())
    }

    /// Whether it is made for a base.
    pub fn is_for(self, base: &Base) -> bool {
        (self, base) != (Series::Ckpt, &Base::V7_2)
    }

    /// Where the smallest kernel runs that can have it.
    pub fn home(self) -> Arch {
        match self {
            Series::Bc => Arch::Um,
            Series::Ckpt => Arch::Qemu,
        }
    }

    /// Whether the series can be built for this.
    ///
    /// # Errors
    ///
    /// It cannot.
    pub fn check(self, arch: Arch) -> Result<()> {
        if (self, arch) != (Series::Ckpt, Arch::Um) {
            return Ok(());
        }
        let what = "user-mode Linux has no registers that could be saved";
        Err(Failure::new(Exit::Usage, what).fix("say --on qemu").into())
    }

    /// The name of a tree or kernel that has the series; the first one is not mentioned.
    fn suffix(self, name: String) -> String {
        match self {
            Series::Bc => name,
            Series::Ckpt => format!("{name}-ckpt"),
        }
    }
}

/// Where a kernel runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Arch {
    /// User-mode Linux: a process of the host, boots in a fraction of a second.
    Um,
    /// QEMU x86_64.
    Qemu,
}

impl Arch {
    /// The name on the command line and in directory names.
    pub fn name(self) -> &'static str {
        match self {
            Arch::Um => "um",
            Arch::Qemu => "qemu",
        }
    }

    /// kbuild's name of the architecture.
    pub fn kbuild(self) -> &'static str {
        match self {
            Arch::Um => "um",
            Arch::Qemu => "x86_64",
        }
    }

    /// The make target of the bootable image, and where it lies in the build directory.
    fn image(self) -> (&'static str, &'static str) {
        match self {
            Arch::Um => ("linux", "linux"),
            Arch::Qemu => ("bzImage", "arch/x86/boot/bzImage"),
        }
    }
}

/// What kind of kernel is built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flavour {
    /// The patched kernel.
    #[default]
    Default,
    /// The same with the debug checks.
    Debug,
    /// The same with the data race detector, which excludes the address sanitizer.
    Kcsan,
    /// The base without the series.
    Unpatched,
    /// The patched kernel with the series' options off.
    Off,
    /// The patched kernel with what CRIU and its tests need.
    Peers,
}

/// One kernel configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// What it is patched with.
    pub series: Series,
    /// Where the kernel runs.
    pub arch: Arch,
    /// What kind of kernel it is.
    pub flavour: Flavour,
}

impl Config {
    /// A configuration of the default flavour, with the controller.
    pub fn new(arch: Arch) -> Self {
        Self::of(Series::Bc, arch)
    }

    /// A configuration of the default flavour.
    pub fn of(series: Series, arch: Arch) -> Self {
        Self {
            series,
            arch,
            flavour: Flavour::Default,
        }
    }

    /// The name in directories and reports: `um`, `qemu-debug`, `qemu-ckpt`.
    pub fn name(&self) -> String {
        let arch = self.arch.name();
        self.series.suffix(match self.flavour {
            Flavour::Default => arch.into(),
            Flavour::Debug => format!("{arch}-debug"),
            Flavour::Kcsan => format!("{arch}-kcsan"),
            Flavour::Unpatched => format!("{arch}-unpatched"),
            Flavour::Off => format!("{arch}-off"),
            Flavour::Peers => format!("{arch}-peers"),
        })
    }
}

/// What the series is compiled for besides, to see that it can be; nothing of it boots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Other {
    /// x86_64, with gcc for the C code.
    Gcc,
    /// arm64, with the clang that compiles for all others.
    Arm64,
}

/// Whatever has a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// A kernel for guests.
    Guest(Config),
    /// Something that is compiled only.
    Other(Series, Other),
}

impl From<Config> for Variant {
    fn from(config: Config) -> Self {
        Self::Guest(config)
    }
}

impl From<(Series, Other)> for Variant {
    fn from((series, other): (Series, Other)) -> Self {
        Self::Other(series, other)
    }
}

impl Variant {
    /// The name in directories and reports.
    pub fn name(self) -> String {
        match self {
            Variant::Guest(config) => config.name(),
            Variant::Other(series, Other::Gcc) => series.suffix("gcc".into()),
            Variant::Other(series, Other::Arm64) => series.suffix("arm64".into()),
        }
    }

    /// kbuild's name of the architecture.
    pub fn arch(self) -> &'static str {
        match self {
            Variant::Guest(config) => config.arch.kbuild(),
            Variant::Other(_, Other::Gcc) => Arch::Qemu.kbuild(),
            Variant::Other(_, Other::Arm64) => "arm64",
        }
    }

    /// What compiles the C code.
    pub fn compiler(self) -> Compiler {
        match self {
            Variant::Guest(_) | Variant::Other(_, Other::Arm64) => Compiler::Clang,
            Variant::Other(_, Other::Gcc) => Compiler::Gcc,
        }
    }
}

/// The version that a kernel tree's Makefile states: `7.3.4`.
///
/// # Errors
///
/// The directory is no kernel tree.
pub fn version(tree: &Path) -> Result<String> {
    let makefile = tree.join("Makefile");
    let text = fs::read_to_string(&makefile)
        .with_context(|| format!("cannot read {}", makefile.display()))?;
    let value = |name: &str| {
        text.lines().find_map(|line| {
            let (key, value) = line.split_once('=')?;
            (key.trim() == name).then(|| value.trim().to_owned())
        })
    };
    let (Some(version), Some(patchlevel), Some(sublevel)) =
        (value("VERSION"), value("PATCHLEVEL"), value("SUBLEVEL"))
    else {
        let what = format!("{} is not a kernel tree", tree.display());
        return Err(Failure::new(Exit::Usage, what).into());
    };
    let extra = value("EXTRAVERSION").unwrap_or_default();
    Ok(format!("{version}.{patchlevel}.{sublevel}{extra}"))
}

/// A `make` in a kernel tree with the toolchain, separate output and nothing of the caller's
/// environment that could change the result.
///
/// # Errors
///
/// A part of the toolchain is missing.
pub fn make<'a>(sh: &'a Shell, source: &Path, build: &Path, variant: Variant) -> Result<Cmd<'a>> {
    let args = toolchain::make_args_with(variant.compiler())?;
    let output = format!("O={}", build.display());
    let arch = format!("ARCH={}", variant.arch());
    let make = cmd!(
        sh,
        "make --no-print-directory -C {source} {output} {arch} {args...}"
    );
    toolchain::isolate(make)
}

/// A hash for noticing changes, not for defence.
pub fn hash(value: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_arch_and_flavour() {
        let name = |arch, flavour| {
            let series = Series::Bc;
            let config = Config {
                series,
                arch,
                flavour,
            };
            config.name()
        };
        assert_eq!(name(Arch::Um, Flavour::Default), "um");
        assert_eq!(name(Arch::Qemu, Flavour::Kcsan), "qemu-kcsan");
        assert_eq!(name(Arch::Qemu, Flavour::Off), "qemu-off");
        assert_eq!(Config::of(Series::Ckpt, Arch::Qemu).name(), "qemu-ckpt");
    }

    #[test]
    fn trees_of_the_same_last_name_differ() {
        let one = Base::Tree("/a/linux".into()).name();
        let two = Base::Tree("/b/linux".into()).name();
        assert!(one.starts_with("linux-"));
        assert_ne!(one, two);
    }

    #[test]
    fn the_version_comes_from_the_makefile() {
        let dir = tempfile::tempdir().unwrap();
        let text = "VERSION = 7\nPATCHLEVEL = 3\nSUBLEVEL = 4\nEXTRAVERSION = -rc1\nNAME = x\n";
        fs::write(dir.path().join("Makefile"), text).unwrap();
        assert_eq!(version(dir.path()).unwrap(), "7.3.4-rc1");
        fs::write(dir.path().join("Makefile"), "all:\n").unwrap();
        let error = version(dir.path()).unwrap_err();
        assert_eq!(crate::exit::of(&error), Exit::Usage);
    }
}
