// SPDX-License-Identifier: GPL-2.0

//! Files that a container shares with others: they are called by a name in the image, and whoever
//! restores it hands them in.

use crate::{
    ffi::{
        FileExt as _,
        TaskExt as _, //
    },
    why::Why, //
};
use kernel::{
    fs::File,
    prelude::*,
    sync::aref::ARef,
    task::Task, //
};

/// The most names in a session.
const MOST: usize = 1024;

/// What a name stands for.
pub(crate) enum What {
    /// What this process of the container has open as this descriptor.
    Of(i32, u32),
    /// A file that is handed in.
    File(ARef<File>),
}

struct External {
    name: KVec<u8>,
    what: What,
}

/// The names that were given in a session.
pub(crate) struct Externals(KVec<External>);

impl Externals {
    /// None.
    pub(crate) const fn new() -> Self {
        Self(KVec::new())
    }

    /// Gives a name.
    ///
    /// # Errors
    ///
    /// `EINVAL` if it is not printable ASCII, `EEXIST` if it was given already, `E2BIG`, `ENOMEM`.
    pub(crate) fn add(&mut self, name: KVec<u8>, what: What) -> Result {
        if name.is_empty() || !name.iter().all(|byte| matches!(byte, b' '..=b'~')) {
            return Err(EINVAL);
        }
        if self.0.iter().any(|known| *known.name == *name) {
            return Err(EEXIST);
        }
        if self.0.len() == MOST {
            return Err(E2BIG);
        }
        Ok(self.0.push(External { name, what }, GFP_KERNEL)?)
    }

    /// The file that was handed in under a name.
    pub(crate) fn file(&self, name: &[u8]) -> Option<&File> {
        let external = self.0.iter().find(|known| *known.name == *name)?;
        match &external.what {
            What::File(file) => Some(file),
            What::Of(..) => None,
        }
    }

    /// The open files of tasks that have a name.
    ///
    /// # Errors
    ///
    /// `EBADF` if a process does not have such a descriptor, `ENOMEM`.
    pub(crate) fn open(&self, tasks: &[ARef<Task>], why: &mut Why) -> Result<Open<'_>> {
        let mut open = KVec::new();
        for external in &self.0 {
            let What::Of(pid, fd) = external.what else {
                continue;
            };
            let file = tasks
                .iter()
                .find(|task| task.outer_tid() == pid)
                .and_then(|task| task.file(fd));
            match file {
                Some((found, _, file)) if found == fd => {
                    open.push((file.key(), &*external.name), GFP_KERNEL)?;
                }
                _ => {
                    why.say(fmt!("pid {pid} fd {fd}: nothing that could have a name"));
                    return Err(EBADF);
                }
            }
        }
        Ok(Open(open))
    }
}

/// What tells each open file that has a name from all others, and the name.
pub(crate) struct Open<'a>(KVec<(usize, &'a [u8])>);

impl Open<'_> {
    /// The name of a file.
    pub(crate) fn name(&self, file: &File) -> Option<&[u8]> {
        let found = self.0.iter().find(|(key, _)| *key == file.key());
        found.map(|(_, name)| *name)
    }
}
