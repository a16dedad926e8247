// SPDX-License-Identifier: GPL-2.0

//! The compilers and tools that kernels are built with, and the environment they run in.

use std::cmp::Ordering;
use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::Result;
use xshell::{Cmd, Shell, cmd};

use crate::exit::{Exit, Failure};
use crate::{cmd, paths};

/// Suffixes under which distributions install LLVM, the one tested most first.
const LLVM_SUFFIXES: [&str; 7] = ["-19", "-20", "-21", "-22", "-18", "-17", ""];

/// Where a distribution's programs are, whatever the caller's PATH prefers.
const SYSTEM_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What of the caller's environment reaches a kernel build. cargo and rustup add variables that
/// change which compiler runs, and a user's CFLAGS or ARCH would change what is built.
const KEPT: [&str; 10] = [
    "HOME",
    "USER",
    "LOGNAME",
    "TERM",
    "TMPDIR",
    "XDG_CACHE_HOME",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "RUSTUP_HOME",
];

/// A version, compared by its numbers; missing ones count as zero.
#[derive(Clone, Debug)]
pub struct Version {
    text: String,
    numbers: Vec<u64>,
}

impl Version {
    /// The first version in a program's answer: `19.1.7` of "Debian clang version 19.1.7 (3)".
    pub fn find(text: &str) -> Option<Self> {
        text.split(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | ',' | '_'))
            .find_map(Self::parse)
    }

    /// A word that begins as a version: `1.96.0+dfsg1`, `v1.25`, with at least one dot.
    fn parse(word: &str) -> Option<Self> {
        let word = word.strip_prefix(['v', 'V']).unwrap_or(word);
        let end = word
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(word.len());
        let text = word[..end].trim_end_matches('.');
        let numbers: Option<Vec<u64>> = text.split('.').map(|number| number.parse().ok()).collect();
        Some(Self {
            text: text.to_owned(),
            numbers: numbers.filter(|numbers| numbers.len() > 1)?,
        })
    }

    /// The upstream version of a Debian package's: no epoch, no revision.
    pub fn of_package(text: &str) -> Option<Self> {
        let text = text.split_once(':').map_or(text, |(_, rest)| rest);
        Self::parse(text.rsplit_once('-').map_or(text, |(upstream, _)| upstream))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let length = self.numbers.len().max(other.numbers.len());
        let number = |version: &Self, i: usize| version.numbers.get(i).copied().unwrap_or(0);
        (0..length)
            .map(|i| number(self, i).cmp(&number(other, i)))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Version {}

/// The oldest version of `tool` that the kernel accepts, by the names of
/// `scripts/min-tool-version.sh`: read from a fetched tree, else what 7.3 states.
pub fn minimum(tool: &str) -> Option<Version> {
    let stated = ["7.3", "7.2"].iter().find_map(|base| {
        let script = paths::base_tree(base).join("scripts/min-tool-version.sh");
        if !script.exists() {
            return None;
        }
        let sh = Shell::new().ok()?;
        let text = cmd::run(cmd!(sh, "sh {script} {tool}")).ok().ok()?;
        Version::find(&text)
    });
    let known = || match tool {
        "rustc" => Some("1.85.0"),
        "bindgen" => Some("0.71.1"),
        "llvm" => Some("17.0.1"),
        "gcc" => Some("8.1.0"),
        "binutils" => Some("2.30.0"),
        _ => None,
    };
    stated.or_else(|| known().and_then(Version::parse))
}

/// The directories in which programs are looked for: the system's before the caller's, since the
/// caller's may hold wrappers (of Python, of Rust) that answer differently from place to place.
pub fn search_path() -> OsString {
    let mut dirs: Vec<PathBuf> = env::split_paths(SYSTEM_PATH).collect();
    for dir in env::split_paths(&env::var_os("PATH").unwrap_or_default()) {
        if !dirs.contains(&dir) {
            dirs.push(dir);
        }
    }
    env::join_paths(dirs).unwrap_or_else(|_| SYSTEM_PATH.into())
}

/// A program on the search path.
pub fn program(name: &str) -> Option<PathBuf> {
    env::split_paths(&search_path())
        .map(|dir| dir.join(name))
        .find(|path| path.is_file())
}

/// What a program answers to `--version`, nothing when it does not run.
pub fn answer(program: &Path) -> Option<String> {
    let sh = Shell::new().ok()?;
    let output = cmd::run(isolated(cmd!(sh, "{program} --version")))
        .output()
        .ok()?;
    output.status.success().then_some(output.text)
}

/// The version of a program.
pub fn version(program: &Path) -> Option<Version> {
    Version::find(&answer(program)?)
}

/// An LLVM whose parts belong together.
#[derive(Clone, Debug)]
pub struct Llvm {
    /// `-19`, or nothing.
    pub suffix: &'static str,
    /// Its C compiler.
    pub clang: PathBuf,
    /// The directory of its libclang, when it is not the system's.
    pub lib: Option<PathBuf>,
}

/// The first complete LLVM that is new enough.
pub fn llvm() -> Option<Llvm> {
    let minimum = minimum("llvm");
    LLVM_SUFFIXES.iter().find_map(|suffix| {
        let parts = ["ld.lld", "llvm-ar", "llvm-nm", "llvm-objcopy"];
        if !parts
            .iter()
            .all(|part| program(&format!("{part}{suffix}")).is_some())
        {
            return None;
        }
        let clang = program(&format!("clang{suffix}"))?;
        if version(&clang) < minimum {
            return None;
        }
        let lib = PathBuf::from(format!("/usr/lib/llvm{suffix}/lib"));
        Some(Llvm {
            suffix,
            clang,
            lib: lib.is_dir().then_some(lib),
        })
    })
}

/// Where the sources of a compiler's library are.
fn library(sysroot: &Path) -> PathBuf {
    sysroot.join("lib/rustlib/src/rust/library/core/src/lib.rs")
}

/// The first Rust compiler that is new enough and has its library's sources, which the kernel
/// compiles itself.
pub fn rustc() -> Option<PathBuf> {
    let minimum = minimum("rustc");
    let mut candidates: Vec<PathBuf> = env::split_paths(&search_path())
        .map(|dir| dir.join("rustc"))
        .collect();
    // rustup's own wrapper on the PATH chooses a compiler by directory and environment.
    let rustup = env::var_os("RUSTUP_HOME").map(PathBuf::from);
    let home = || Some(PathBuf::from(env::var_os("HOME")?).join(".rustup"));
    if let Some(rustup) = rustup.or_else(home) {
        let toolchains = fs::read_dir(rustup.join("toolchains"))
            .into_iter()
            .flatten();
        let mut found: Vec<_> = toolchains
            .flatten()
            .map(|entry| entry.path().join("bin/rustc"))
            .collect();
        // Stable comes after nightly in the alphabet and is what the kernel asks for.
        found.sort();
        candidates.extend(found.into_iter().rev());
    }
    candidates.into_iter().find(|rustc| {
        let is_wrapper = fs::canonicalize(rustc)
            .is_ok_and(|path| path.file_name().is_some_and(|name| name == "rustup"));
        if !rustc.is_file() || is_wrapper || version(rustc) < minimum {
            return false;
        }
        let Ok(sh) = Shell::new() else { return false };
        let print = isolated(cmd!(sh, "{rustc} --print sysroot"));
        cmd::run(print)
            .ok()
            .is_ok_and(|sysroot| library(Path::new(sysroot.trim())).exists())
    })
}

/// The first bindgen that is new enough: this tool's own before any on the PATH.
pub fn bindgen() -> Option<PathBuf> {
    let minimum = minimum("bindgen");
    let own = paths::tools().join("bin/bindgen");
    let own = own.is_file().then_some(own);
    let found = [own, program("bindgen")];
    let found = found.into_iter().flatten();
    { found }.find(|bindgen| version(bindgen) >= minimum)
}

/// A companion of the Rust compiler, or the one on the PATH.
pub fn rust_tool(rustc: &Path, name: &str) -> Option<PathBuf> {
    let beside = rustc.with_file_name(name);
    if beside.is_file() {
        return Some(beside);
    }
    program(name)
}

fn missing(what: &str) -> anyhow::Error {
    Failure::new(Exit::Skipped, format!("{what} is missing"))
        .fix("cargo xtask setup")
        .into()
}

struct Toolchain {
    llvm: Llvm,
    rustc: PathBuf,
    bindgen: PathBuf,
}

/// The toolchain, looked for once; what was missing may have been installed since.
fn toolchain() -> Result<&'static Toolchain> {
    static FOUND: OnceLock<Toolchain> = OnceLock::new();
    if let Some(found) = FOUND.get() {
        return Ok(found);
    }
    let found = Toolchain {
        llvm: llvm().ok_or_else(|| missing("a complete LLVM (clang, lld) that is new enough"))?,
        rustc: rustc().ok_or_else(|| missing("a rustc with its library's sources"))?,
        bindgen: bindgen().ok_or_else(|| missing("a bindgen that is new enough"))?,
    };
    Ok(FOUND.get_or_init(|| found))
}

/// What compiles the kernel's C; its Rust has one compiler only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compiler {
    /// With LLVM's linker and tools.
    Clang,
    /// With the binutils.
    Gcc,
}

/// The C compiler of the system that is no clang, when it is new enough.
pub fn gcc() -> Option<PathBuf> {
    let minimum = minimum("gcc");
    program("gcc").filter(|gcc| version(gcc) >= minimum)
}

impl Compiler {
    /// Where it is.
    ///
    /// # Errors
    ///
    /// There is none that is new enough.
    pub fn path(self) -> Result<PathBuf> {
        match self {
            Compiler::Clang => Ok(toolchain()?.llvm.clang.clone()),
            Compiler::Gcc => gcc().ok_or_else(|| missing("a gcc that is new enough")),
        }
    }
}

/// The disassembler that comes with the C compiler in use.
///
/// # Errors
///
/// There is none.
pub fn objdump() -> Result<PathBuf> {
    let name = format!("llvm-objdump{}", toolchain()?.llvm.suffix);
    program(&name).ok_or_else(|| missing(&name))
}

/// The back ends of the C compiler in use, as it lists them.
///
/// # Errors
///
/// There is no such compiler, or it does not run.
pub fn clang_targets() -> Result<String> {
    let (sh, clang) = (Shell::new()?, Compiler::Clang.path()?);
    cmd::run(isolated(cmd!(sh, "{clang} --print-targets"))).ok()
}

/// The arguments of every kernel `make` that choose its tools, whatever the architecture.
///
/// # Errors
///
/// A part of the toolchain is missing.
pub fn make_args() -> Result<Vec<String>> {
    make_args_with(Compiler::Clang)
}

/// The same with a C compiler of choice.
///
/// # Errors
///
/// A part of the toolchain is missing.
pub fn make_args_with(compiler: Compiler) -> Result<Vec<String>> {
    let Toolchain {
        llvm,
        rustc,
        bindgen,
    } = toolchain()?;
    let llvm_arg = match (compiler, llvm.suffix) {
        (Compiler::Gcc, _) => None,
        (Compiler::Clang, "") => Some("LLVM=1".to_owned()),
        (Compiler::Clang, suffix) => Some(format!("LLVM={suffix}")),
    };
    let mut args: Vec<String> = llvm_arg.into_iter().collect();
    args.extend([
        format!("RUSTC={}", rustc.display()),
        format!("BINDGEN={}", bindgen.display()),
    ]);
    for (variable, name) in [
        ("RUSTDOC", "rustdoc"),
        ("RUSTFMT", "rustfmt"),
        ("CLIPPY_DRIVER", "clippy-driver"),
    ] {
        if let Some(path) = rust_tool(rustc, name) {
            args.push(format!("{variable}={}", path.display()));
        }
    }
    let path = compiler.path()?;
    if let Some(ccache) = program("ccache") {
        // Not for HOSTCC: kbuild gives that to rustc as the name of one program, the linker.
        args.push(format!("CC={} {}", ccache.display(), path.display()));
    } else if compiler == Compiler::Gcc {
        args.push(format!("CC={}", path.display()));
    }
    // The same input gives the same kernel, on whatever machine and day it is built.
    args.extend(
        [
            "KBUILD_BUILD_TIMESTAMP=1970-01-01",
            "KBUILD_BUILD_USER=beanpod",
            "KBUILD_BUILD_HOST=beanpod",
        ]
        .map(String::from),
    );
    Ok(args)
}

/// What decides the output of the toolchain: versions, not places.
///
/// # Errors
///
/// A part of the toolchain is missing.
pub fn identity() -> Result<String> {
    identity_with(Compiler::Clang)
}

/// The same with a C compiler of choice.
///
/// # Errors
///
/// A part of the toolchain is missing.
pub fn identity_with(compiler: Compiler) -> Result<String> {
    let Toolchain {
        llvm,
        rustc,
        bindgen,
    } = toolchain()?;
    let linker = match compiler {
        Compiler::Clang => program(&format!("ld.lld{}", llvm.suffix)),
        Compiler::Gcc => program("ld"),
    };
    let compiler = compiler.path()?;
    let programs = [&compiler, rustc, bindgen].into_iter().chain(&linker);
    let answers = programs.filter_map(|path| answer(path));
    Ok(answers.collect::<Vec<_>>().join(""))
}

/// Runs a command in the environment of kernel builds: see [`KEPT`].
///
/// # Errors
///
/// A part of the toolchain is missing.
pub fn isolate(cmd: Cmd<'_>) -> Result<Cmd<'_>> {
    let llvm = &toolchain()?.llvm;
    let mut cmd = isolated(cmd)
        // Scripts of the kernel must not leave compiled modules in a pristine tree.
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("CCACHE_DIR", paths::cache().join("ccache"))
        .env("CCACHE_BASEDIR", paths::cache())
        .env("CCACHE_MAXSIZE", "5G")
        // Headers that kbuild has just generated are as good as old ones: their content counts.
        .env("CCACHE_SLOPPINESS", "include_file_ctime,include_file_mtime");
    if let Some(lib) = &llvm.lib {
        cmd = cmd.env("LIBCLANG_PATH", lib);
    }
    Ok(cmd)
}

fn isolated(cmd: Cmd<'_>) -> Cmd<'_> {
    let kept = KEPT
        .iter()
        .filter_map(|name| Some((name, env::var_os(name)?)));
    cmd.env_clear()
        .envs(kept)
        .env("LC_ALL", "C")
        .env("PATH", search_path())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> String {
        Version::find(text).map_or("nothing".into(), |version| version.to_string())
    }

    #[test]
    fn versions_are_found_in_what_programs_answer() {
        assert_eq!(found("Debian clang version 19.1.7 (3~deb12u1)"), "19.1.7");
        assert_eq!(found("rustc 1.96.0 (9a8b7c6d5 2026-05-01)"), "1.96.0");
        assert_eq!(found("bindgen 0.72.1"), "0.72.1");
        assert_eq!(found("gcc (Debian 12.2.0-14+deb12u1) 12.2.0"), "12.2.0");
        assert_eq!(found("v1.24"), "1.24");
        assert_eq!(found("*** Zstandard CLI (64-bit) v1.5.4, by Y"), "1.5.4");
        assert_eq!(found("no version"), "nothing");
    }

    #[test]
    fn versions_compare_by_number_with_missing_parts_as_zero() {
        let version = |text| Version::parse(text).unwrap();
        assert!(version("1.9.0") < version("1.85.0"));
        assert!(version("17.0.1") > version("17.0"));
        assert_eq!(version("4.3"), version("4.3.0"));
    }

    #[test]
    fn package_versions_lose_epoch_and_revision() {
        let version = |text| Version::of_package(text).unwrap().to_string();
        assert_eq!(version("1:19.1.7-3~deb12u1"), "19.1.7");
        assert_eq!(version("1.96.0+dfsg1-1~deb12u2"), "1.96.0");
        assert_eq!(version("7.3.4-1~bpo13+1"), "7.3.4");
    }

    #[test]
    fn the_callers_compiler_settings_do_not_leak() {
        let sh = Shell::new().unwrap();
        let _guard = sh.push_env("RUSTUP_TOOLCHAIN", "nightly");
        let _guard = sh.push_env("CFLAGS", "-O0");
        let text = cmd::run(isolated(cmd!(sh, "env"))).ok().unwrap();
        assert!(text.contains("LC_ALL=C"), "{text}");
        for name in ["RUSTUP_TOOLCHAIN", "CFLAGS", "CARGO_", "LD_LIBRARY_PATH"] {
            assert!(!text.contains(name), "{name} in {text}");
        }
    }
}
