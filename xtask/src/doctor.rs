// SPDX-License-Identifier: GPL-2.0

//! What the tool needs of the machine: one table, which `doctor` shows and `setup` works off.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::Serialize;
use xshell::{Shell, cmd};

use crate::emulator;
use crate::exit::{Exit, Failure};
use crate::guest::initramfs;
use crate::probe::{self, Kvm};
use crate::toolchain::{self, Version, program};
use crate::{cmd, paths};

/// The bindgen that is built here, because distributions ship older ones.
pub const BINDGEN: &str = "0.72.1";

/// The virtme-ng that is installed here.
pub const VIRTME_NG: &str = "1.42";

/// How a missing thing is had.
#[derive(Clone, Copy, Debug)]
pub enum Get {
    /// Packages of the distribution: the first group that apt knows whole, and new enough.
    Apt(&'static [&'static [&'static str]]),
    /// bindgen, from the Rust package registry.
    Bindgen,
    /// A later QEMU, from the backports of the distribution, in a directory of its own.
    Qemu,
    /// virtme-ng, from the Python package index, in an environment of its own.
    VirtmeNg,
}

/// What a look at the machine found.
#[derive(Debug)]
pub struct Found {
    version: Option<Version>,
}

/// Something the tool needs.
#[derive(Debug)]
pub struct Requirement {
    /// Its name.
    pub name: &'static str,
    /// What it is needed for.
    pub why: &'static str,
    /// How it is had.
    pub get: Get,
    /// The kernel's name for it where the kernel states a minimum.
    pub tool: Option<&'static str>,
    /// Without it something is slower or another way is taken.
    pub optional: bool,
    look: fn() -> Option<Found>,
}

const fn need(
    name: &'static str,
    why: &'static str,
    get: Get,
    look: fn() -> Option<Found>,
) -> Requirement {
    Requirement {
        name,
        why,
        get,
        tool: None,
        optional: false,
        look,
    }
}

impl Requirement {
    const fn at_least(mut self, tool: &'static str) -> Self {
        self.tool = Some(tool);
        self
    }

    const fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// The oldest version that will do.
    pub fn minimum(&self) -> Option<Version> {
        self.tool.and_then(toolchain::minimum)
    }
}

/// A table row for a program that is packaged under one name.
macro_rules! program {
    ($program:literal, $why:literal, $($package:literal),+) => {
        need($program, $why, Get::Apt(&[&[$($package),+]]), || run($program))
    };
}

/// A table row for a file that a development package brings.
macro_rules! file {
    ($name:literal, $why:literal, $path:literal, $($package:literal),+) => {
        need($name, $why, Get::Apt(&[&[$($package),+]]), || file($path))
    };
}

/// Everything the tool needs, in the order in which it is shown.
pub const REQUIREMENTS: &[Requirement] = &[
    program!("git", "applies the patch series", "git"),
    program!("make", "runs the kernel's build", "make"),
    program!("perl", "runs checkpatch", "perl"),
    program!("patch", "applies the patch series without git", "patch"),
    program!(
        "gcc",
        "builds test programs, and the kernel as a second compiler",
        "gcc"
    )
    .at_least("gcc"),
    program!("ld", "links test programs", "binutils").at_least("binutils"),
    file!(
        "C library",
        "headers and static library for test programs",
        "/usr/include/stdio.h",
        "libc6-dev"
    ),
    need(
        "clang and lld",
        "compile and link kernels with Rust",
        Get::Apt(&[
            &["clang-19", "lld-19", "llvm-19", "libclang-19-dev"],
            &["clang-20", "lld-20", "llvm-20", "libclang-20-dev"],
            &["clang-21", "lld-21", "llvm-21", "libclang-21-dev"],
            &["clang-18", "lld-18", "llvm-18", "libclang-18-dev"],
            &["clang", "lld", "llvm", "libclang-dev"],
        ]),
        clang,
    )
    .at_least("llvm"),
    need(
        "rustc",
        "compiles the kernel's Rust, with the sources of the core library",
        Get::Apt(RUST),
        rustc,
    )
    .at_least("rustc"),
    need("clippy", "checks the kernel's Rust", Get::Apt(RUST), || {
        rust_tool("clippy-driver")
    }),
    need(
        "rustfmt",
        "checks the format of the kernel's Rust",
        Get::Apt(RUST),
        || rust_tool("rustfmt"),
    ),
    need(
        "bindgen",
        "makes Rust declarations from the kernel's C headers",
        Get::Bindgen,
        bindgen,
    )
    .at_least("bindgen"),
    program!("flex", "builds Kconfig and objtool's decoders", "flex"),
    program!("bison", "builds Kconfig", "bison"),
    program!("bc", "computes the kernel's time constants", "bc"),
    program!("cpio", "packs initial file systems", "cpio"),
    program!("xz", "unpacks kernel sources", "xz-utils"),
    program!("zstd", "packs kernel images", "zstd"),
    program!(
        "rsync",
        "installs the kernel's headers for test programs",
        "rsync"
    ),
    program!("kmod", "installs modules", "kmod"),
    file!(
        "libelf",
        "lets objtool read objects",
        "/usr/include/libelf.h",
        "libelf-dev"
    ),
    file!(
        "OpenSSL",
        "lets the kernel's build handle certificates",
        "/usr/include/openssl/ssl.h",
        "libssl-dev"
    ),
    program!("python3", "runs scripts of the kernel's build", "python3"),
    file!(
        "mkfs.ext4",
        "makes the disk of a demonstration",
        "/sbin/mkfs.ext4",
        "e2fsprogs"
    ),
    need(
        "python3 venv",
        "holds virtme-ng apart from the system's Python",
        Get::Apt(&[&["python3-venv"]]),
        venv,
    )
    .optional(),
    program!(
        "qemu-system-x86_64",
        "boots x86_64 kernels",
        "qemu-system-x86"
    ),
    need(
        "QEMU 8.1",
        "lets guests patch their code; earlier ones now and then run what was there before",
        Get::Qemu,
        || {
            emulator::sound().map(|version| Found {
                version: Some(version),
            })
        },
    )
    .optional(),
    need(
        "static busybox",
        "is the user space of small guests",
        Get::Apt(&[&["busybox-static"]]),
        busybox,
    ),
    program!(
        "udevadm",
        "names virtme-ng's channels into the guest",
        "udev"
    )
    .optional(),
    need(
        "virtme-ng",
        "boots kernels on the host's files; without it a small initramfs is used",
        Get::VirtmeNg,
        virtme_ng,
    )
    .optional(),
    program!("ccache", "makes repeated kernel builds quick", "ccache").optional(),
];

/// Debian's stable releases carry a newer Rust under other names, for their browsers.
const RUST: &[&[&str]] = &[
    &[
        "rustc-web",
        "rust-web-src",
        "rust-web-clippy",
        "rustfmt-web",
    ],
    &["rustc", "rust-src", "rust-clippy", "rustfmt"],
];

fn run(name: &str) -> Option<Found> {
    let version = toolchain::version(&program(name)?);
    Some(Found { version })
}

fn file(path: &str) -> Option<Found> {
    let present = Path::new(path).exists();
    present.then_some(Found { version: None })
}

fn clang() -> Option<Found> {
    let llvm = toolchain::llvm()?;
    // bindgen loads the library, which is a package of its own.
    let lib = llvm.lib.as_deref().unwrap_or(Path::new("/usr/lib"));
    let entries = fs::read_dir(lib).into_iter().flatten().flatten();
    let is_libclang = |name: PathBuf| name.to_string_lossy().starts_with("libclang");
    let has_library = llvm.lib.is_none()
        || entries
            .map(|entry| PathBuf::from(entry.file_name()))
            .any(is_libclang);
    has_library.then(|| Found {
        version: toolchain::version(&llvm.clang),
    })
}

fn rustc() -> Option<Found> {
    let version = toolchain::version(&toolchain::rustc()?);
    Some(Found { version })
}

fn rust_tool(name: &str) -> Option<Found> {
    let tool = toolchain::rust_tool(&toolchain::rustc()?, name)?;
    // rustup puts a wrapper on the PATH for components that are not installed.
    let version = toolchain::version(&tool)?;
    Some(Found {
        version: Some(version),
    })
}

fn bindgen() -> Option<Found> {
    let version = toolchain::version(&toolchain::bindgen()?);
    Some(Found { version })
}

fn venv() -> Option<Found> {
    let python = program("python3")?;
    let sh = Shell::new().ok()?;
    let modules = cmd!(sh, "{python} -c 'import ensurepip, venv'");
    let output = cmd::run(modules).output().ok()?;
    output.status.success().then_some(Found { version: None })
}

fn virtme_ng() -> Option<Found> {
    let venv = paths::tools().join("venv");
    // Its own --version takes longer than all other looks together.
    let packages = fs::read_dir(venv.join("lib")).ok()?.flatten();
    let versions = packages.filter_map(|python| {
        let entries = fs::read_dir(python.path().join("site-packages")).ok()?;
        entries.flatten().find_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let version = name
                .strip_prefix("virtme_ng-")?
                .strip_suffix(".dist-info")?;
            Version::find(version)
        })
    });
    let version = versions.last()?;
    venv.join("bin/vng").is_file().then_some(Found {
        version: Some(version),
    })
}

fn busybox() -> Option<Found> {
    // Where guests look for it, and static as they need it.
    initramfs::busybox().ok().map(|_| Found { version: None })
}

/// How a requirement is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It is there.
    Found,
    /// It is there, but older than the kernel accepts.
    Old,
    /// It is not there.
    Missing,
}

/// One row of the report.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// What is needed.
    pub name: String,
    /// Whether it is there.
    pub state: State,
    /// The version found, if it has one.
    pub version: Option<String>,
    /// The oldest version that will do, if the kernel states one.
    pub minimum: Option<String>,
    /// Whether the tool works without it.
    pub optional: bool,
    /// What it is for.
    pub why: String,
}

impl Row {
    /// Whether something has to be done before the tool can work.
    pub fn stops(&self) -> bool {
        self.state != State::Found && !self.optional
    }
}

/// Looks for one requirement.
pub fn look(requirement: &Requirement) -> Row {
    let minimum = requirement.minimum();
    let found = (requirement.look)();
    let state = match &found {
        None => State::Missing,
        Some(Found {
            version: Some(version),
        }) if Some(version) < minimum.as_ref() => State::Old,
        Some(_) => State::Found,
    };
    let version = found.and_then(|found| found.version);
    Row {
        name: requirement.name.into(),
        state,
        version: version.map(|version| version.to_string()),
        minimum: minimum.map(|version| version.to_string()),
        optional: requirement.optional,
        why: requirement.why.into(),
    }
}

/// The state of the machine, one row for each requirement and one for the accelerator.
pub fn rows() -> Vec<Row> {
    let mut rows: Vec<_> = REQUIREMENTS.iter().map(look).collect();
    rows.push(accelerator(&probe::kvm()));
    rows
}

/// What runs guests, which is a matter of trying.
fn accelerator(kvm: &Kvm) -> Row {
    let (name, because) = match kvm {
        Kvm::Works(seconds) => ("KVM", format!("a guest booted in {seconds:.1} s")),
        Kvm::Broken(reason) => {
            let reason = reason.lines().next().unwrap_or_default();
            ("TCG", format!("KVM does not work: {reason}"))
        }
        Kvm::NotProbed => ("TCG", "KVM is tried once there is a kernel".into()),
    };
    Row {
        name: "accelerator".into(),
        state: State::Found,
        version: Some(name.into()),
        minimum: None,
        optional: true,
        why: format!("runs QEMU's guests; {because}"),
    }
}

/// Shows the state of the machine.
///
/// # Errors
///
/// Something that the tool cannot work without is missing (skipped).
pub fn run_doctor(json: bool) -> Result<()> {
    let rows = rows();
    crate::print(json, &rows, table(&rows).trim_end())?;
    let missing: Vec<_> = rows.iter().filter(|row| row.stops()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = missing.iter().map(|row| row.name.as_str()).collect();
    let what = format!("missing or too old: {}", names.join(", "));
    Err(Failure::new(Exit::Skipped, what)
        .fix("cargo xtask setup")
        .into())
}

fn table(rows: &[Row]) -> String {
    let mut text = String::new();
    let mut line = |name: &str, state: &str, version: &str, minimum: &str, why: &str| {
        text += &format!("{name:<20}{state:<10}{version:<12}{minimum:<10}{why}\n");
    };
    line("NEEDED", "STATE", "VERSION", "MINIMUM", "FOR");
    for row in rows {
        let state = match (row.state, row.optional) {
            (State::Found, _) => "found",
            (State::Old, _) => "too old",
            (State::Missing, false) => "MISSING",
            (State::Missing, true) => "absent",
        };
        let version = row.version.as_deref().unwrap_or("-");
        let minimum = row.minimum.as_deref().unwrap_or("-");
        line(&row.name, state, version, minimum, &row.why);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_requirement_is_found_old_or_missing() {
        const NOTHING: Get = Get::Apt(&[]);
        let state = |found| look(&need("x", "test", NOTHING, found).at_least("llvm")).state;
        assert_eq!(state(|| None), State::Missing);
        assert_eq!(
            state(|| Some(Found {
                version: Version::find("3.0")
            })),
            State::Old
        );
        assert_eq!(
            state(|| Some(Found {
                version: Version::find("99.0")
            })),
            State::Found
        );
    }

    #[test]
    fn only_what_is_needed_and_missing_stops() {
        let row = |state, optional| Row {
            name: "x".into(),
            state,
            version: None,
            minimum: None,
            optional,
            why: "test".into(),
        };
        assert!(row(State::Missing, false).stops());
        assert!(row(State::Old, false).stops());
        assert!(!row(State::Missing, true).stops());
        assert!(!row(State::Found, false).stops());
    }

    #[test]
    fn the_accelerator_is_named_with_its_reason() {
        let broken = accelerator(&Kvm::Broken("the guest\nhung".into()));
        assert_eq!(broken.version.as_deref(), Some("TCG"));
        assert!(broken.why.ends_with("KVM does not work: the guest"));
        assert!(!broken.stops());
        let works = accelerator(&Kvm::Works(3.21));
        assert_eq!(works.version.as_deref(), Some("KVM"));
        assert!(works.why.ends_with("in 3.2 s"), "{}", works.why);
    }

    #[test]
    fn the_table_names_every_requirement_once() {
        let mut names: Vec<_> = REQUIREMENTS.iter().map(|need| need.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
