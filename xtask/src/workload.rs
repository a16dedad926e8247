// SPDX-License-Identifier: GPL-2.0

//! Builds the programs of the workspace that run inside guests: `xtask/workload`, `rust/beanctl`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use xshell::{Shell, cmd};

use crate::{cmd, paths};

/// Builds the program of a package without need of libraries, and returns its path.
///
/// # Errors
///
/// It does not compile, or the C library is not there in its static form.
pub fn build(package: &str) -> Result<PathBuf> {
    let sh = Shell::new()?;
    sh.change_dir(paths::repo());
    let cargo = cmd::cargo();
    let target = paths::cache().join("guest").join("workload");
    // A target is named so that the flags are for it and not for what runs at compile time.
    let triple = "x86_64-unknown-linux-gnu";
    let _flags = sh.push_env("RUSTFLAGS", "-C target-feature=+crt-static");
    let command = cmd!(
        sh,
        "{cargo} build --quiet --locked --release --package {package} --target {triple} --target-dir {target}"
    );
    cmd::run(command).limit(Duration::from_secs(600)).ok()?;
    Ok(target.join(triple).join("release").join(package))
}
