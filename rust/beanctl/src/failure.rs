// SPDX-License-Identifier: GPL-2.0

//! Exit codes with a fixed meaning, and the error that carries one.

use std::process::ExitCode;

use thiserror::Error;

/// What the process exits with; the numbers are an interface for scripts, and those of
/// `cargo xtask`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It could not be done, or what was looked at is not right.
    Failed,
    /// The command line was wrong.
    Usage,
    /// The kernel has no `/dev/ckpt` or no controller `bc`, or none that knows this.
    Missing,
    /// A time limit passed.
    TimeLimit,
    /// This signal ended it.
    Signal(u8),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Missing => 4,
            Exit::TimeLimit => 124,
            // As the shell has it.
            Exit::Signal(number) => number.saturating_add(128),
        })
    }
}

/// An error that knows its exit code, its details, and what the user can do next.
#[derive(Debug, Error)]
#[error("{what}")]
pub struct Failure {
    /// The status that the process ends with.
    pub exit: Exit,
    /// What was wrong, and where.
    pub what: String,
    /// One line for each object that is concerned.
    pub details: Vec<String>,
    /// What would mend it.
    pub fix: Option<String>,
}

impl Failure {
    /// A failure without details or advice.
    pub fn new(exit: Exit, what: impl Into<String>) -> Self {
        Self {
            exit,
            what: what.into(),
            details: Vec::new(),
            fix: None,
        }
    }

    /// Adds what to do next.
    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }
}

/// Prints an error, and returns the code for it.
pub fn report(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error:#}");
    let failure = error.chain().find_map(|cause| cause.downcast_ref());
    let Some(Failure {
        exit, details, fix, ..
    }) = failure
    else {
        return Exit::Failed.into();
    };
    for line in details {
        eprintln!("  {line}");
    }
    if let Some(fix) = fix {
        eprintln!("  fix: {fix}");
    }
    (*exit).into()
}
