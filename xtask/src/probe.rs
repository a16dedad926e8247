// SPDX-License-Identifier: GPL-2.0

//! Which accelerator works: that KVM can be opened, and even that it makes a virtual machine, does not
//! say that a guest gets anywhere. Only a guest that has booted in time does.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use xshell::{Shell, cmd};

use crate::guest::{self, Kernel, Limits, Outcome, Script};
use crate::progress::detail;
use crate::{cmd, emulator, paths};

/// How long a guest may take under KVM from start to end; under TCG it takes a quarter of that.
const LIMIT: Duration = Duration::from_secs(20);

/// What executes the guest's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accelerator {
    /// The processor.
    Kvm,
    /// QEMU's own translator.
    Tcg,
}

impl Accelerator {
    /// How much more time a guest is given than natively.
    pub fn slowness(self) -> u32 {
        match self {
            Self::Kvm => 1,
            Self::Tcg => 4,
        }
    }

    /// The name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kvm => "KVM",
            Self::Tcg => "TCG",
        }
    }
}

/// What is known about KVM on this machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kvm {
    /// A guest booted within this many seconds.
    Works(f64),
    /// It cannot be used, and why.
    Broken(String),
    /// There is no kernel yet to try it with.
    NotProbed,
}

/// The accelerator for guests of QEMU: KVM only where a guest has booted with it in time.
pub fn accelerator() -> Accelerator {
    match kvm() {
        Kvm::Works(_) => Accelerator::Kvm,
        Kvm::Broken(_) | Kvm::NotProbed => Accelerator::Tcg,
    }
}

/// What is known about KVM; tries it once per host kernel and version of QEMU.
pub fn kvm() -> Kvm {
    static KNOWN: std::sync::Mutex<Option<Kvm>> = std::sync::Mutex::new(None);
    let mut known = KNOWN.lock().unwrap_or_else(|error| error.into_inner());
    if let Some(kvm) = &*known {
        return kvm.clone();
    }
    let kvm = find_out().unwrap_or_else(|error| Kvm::Broken(format!("{error:#}")));
    if kvm != Kvm::NotProbed {
        *known = Some(kvm.clone());
    }
    kvm
}

#[derive(Serialize, Deserialize)]
struct Cached {
    host: String,
    qemu: String,
    kvm: Kvm,
}

fn find_out() -> Result<Kvm> {
    let device = Path::new("/dev/kvm");
    if let Err(error) = fs::File::options().read(true).write(true).open(device) {
        return Ok(Kvm::Broken(format!("{}: {error}", device.display())));
    }
    let sh = Shell::new()?;
    let host = cmd::run(cmd!(sh, "uname -r")).ok()?.trim().to_owned();
    let program = emulator::path();
    let version = cmd::run(cmd!(sh, "{program} --version")).ok()?;
    let version = version.lines().next().unwrap_or_default().to_owned();
    let path = paths::cache().join("probe.json");
    let cached = fs::read(&path)
        .ok()
        .and_then(|bytes| serde_json::from_slice::<Cached>(&bytes).ok());
    if let Some(cached) = cached {
        if cached.host == host && cached.qemu == version {
            return Ok(cached.kvm);
        }
    }
    let Some(kernel) = any_kernel()? else {
        return Ok(Kvm::NotProbed);
    };
    let kvm = boot(&kernel, Accelerator::Kvm)?;
    if let (Kvm::Broken(_), Kvm::Broken(why)) = (&kvm, boot(&kernel, Accelerator::Tcg)?) {
        detail(format!(
            "not probed: the kernel does not boot at all: {why}"
        ));
        return Ok(Kvm::NotProbed);
    }
    let cached = Cached {
        host,
        qemu: version,
        kvm,
    };
    fs::write(&path, serde_json::to_vec_pretty(&cached)?)
        .with_context(|| path.display().to_string())?;
    Ok(cached.kvm)
}

/// Any kernel for QEMU that has been built, the ordinary one first.
fn any_kernel() -> Result<Option<Kernel>> {
    let Ok(builds) = fs::read_dir(paths::cache().join("build")) else {
        return Ok(None);
    };
    let mut builds: Vec<PathBuf> = builds
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|build| {
            let name = build.file_name().and_then(OsStr::to_str);
            name.is_some_and(|name| name.contains("-qemu"))
        })
        .collect();
    builds.sort_by_key(|build| (build.as_os_str().len(), build.clone()));
    for build in builds {
        if let Some(kernel) = Kernel::present(build)? {
            return Ok(Some(kernel));
        }
    }
    Ok(None)
}

/// Boots a kernel and lets it power off at once.
fn boot(kernel: &Kernel, accelerator: Accelerator) -> Result<Kvm> {
    let mut script = Script::new(format!("probe-{}", accelerator.name()), "exit 0");
    script.limits = Limits {
        boot: LIMIT,
        test: LIMIT,
        shutdown: LIMIT,
    };
    script.cpus = 1;
    script.memory = 512;
    script.cmdline.push("kunit.enable=0".to_owned());
    let console = match guest::run_plain(kernel, script, accelerator) {
        Ok(console) => console,
        Err(error) => return Ok(Kvm::Broken(format!("{error:#}"))),
    };
    let seconds = console.time.as_secs_f64();
    Ok(match console.outcome {
        Outcome::Exited(0) if console.time <= LIMIT => Kvm::Works(seconds),
        Outcome::Exited(0) => Kvm::Broken(format!("a guest took {seconds:.0} s")),
        _ => {
            let trouble = console.verdict().trouble.unwrap_or_default();
            let last = console.console.lines().next_back().unwrap_or_default();
            Kvm::Broken(format!("{trouble}: {last}"))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_survives_the_cache() {
        for kvm in [Kvm::Works(1.5), Kvm::Broken("x".to_owned()), Kvm::NotProbed] {
            let text = serde_json::to_string(&kvm).unwrap();
            assert_eq!(serde_json::from_str::<Kvm>(&text).unwrap(), kvm);
        }
    }

    #[test]
    fn only_translation_is_slow() {
        assert_eq!(Accelerator::Kvm.slowness(), 1);
        assert!(Accelerator::Tcg.slowness() > 1);
    }
}
