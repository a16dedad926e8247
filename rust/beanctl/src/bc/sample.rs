// SPDX-License-Identifier: GPL-2.0

//! The made-up tree of cgroups that tests look at.

use std::path::Path;

use super::tree::{Group, Tree};

#[path = "../../tests/tree/mod.rs"]
mod files;

pub use files::Sample;

impl Sample {
    /// It, as the verbs see it.
    pub fn tree(&self) -> Tree {
        Tree::open(Some(self.path())).unwrap()
    }

    /// One of its cgroups.
    pub fn group(&self, name: &str) -> Group {
        self.tree().find(Path::new(name)).unwrap()
    }
}
