// SPDX-License-Identifier: GPL-2.0

//! Where things live: the repository and the cache.

use std::env;
use std::path::{Path, PathBuf};

/// The root of the repository that this tool was built from.
pub fn repo() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask is a directory of the repository")
}

/// Everything that can be made again: `${XDG_CACHE_HOME:-~/.cache}/beanpod`, or `BEANPOD_CACHE`.
pub fn cache() -> PathBuf {
    if let Some(dir) = env::var_os("BEANPOD_CACHE").filter(|dir| !dir.is_empty()) {
        return dir.into();
    }
    let base = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home =
        || PathBuf::from(env::var_os("HOME").unwrap_or_else(|| "/tmp".into())).join(".cache");
    base.filter(|dir| dir.is_absolute())
        .unwrap_or_else(home)
        .join("beanpod")
}

/// A pristine kernel tree as its distributor ships it, never written to.
pub fn base_tree(base: &str) -> PathBuf {
    cache().join("base").join(base)
}

/// The composed source tree that kernels are built from.
pub fn source_tree(base: &str) -> PathBuf {
    cache().join("tree").join(base)
}

/// The build directory (`O=`) of one base and configuration.
pub fn build_tree(base: &str, config: &str) -> PathBuf {
    cache().join("build").join(format!("{base}-{config}"))
}

/// Tools that are not distribution packages: `bindgen`, the Python environment of virtme-ng.
pub fn tools() -> PathBuf {
    cache().join("tools")
}

/// Build logs and guest consoles; kept for the reader, overwritten by the next run of the same name.
pub fn logs() -> PathBuf {
    cache().join("logs")
}
