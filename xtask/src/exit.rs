// SPDX-License-Identifier: GPL-2.0

//! Exit codes with a fixed meaning, and the error that carries one.

use thiserror::Error;

/// What the process exits with; the numbers are an interface for scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Everything asked for was done and held.
    Pass = 0,
    /// A test failed or a check found something.
    Findings = 1,
    /// The command line was wrong.
    Usage = 2,
    /// Nothing was run because something it needs is missing.
    Skipped = 4,
    /// The machine, the network or a tool failed, not the code under test.
    Infrastructure = 123,
    /// A time limit passed.
    TimeLimit = 124,
    /// The guest kernel crashed.
    GuestCrash = 255,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An error that knows its exit code and what the user can do next.
#[derive(Debug, Error)]
#[error("{what}")]
pub struct Failure {
    /// The status that the process ends with.
    pub exit: Exit,
    /// What was wrong, and where.
    pub what: String,
    /// The command or action that would mend it.
    pub fix: Option<String>,
}

impl Failure {
    /// A failure without advice.
    pub fn new(exit: Exit, what: impl Into<String>) -> Self {
        Self {
            exit,
            what: what.into(),
            fix: None,
        }
    }

    /// Adds what to do next.
    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }
}

/// Shorthand for a [`Failure`] of the machine or one of its tools.
pub fn infrastructure(what: impl Into<String>) -> Failure {
    Failure::new(Exit::Infrastructure, what)
}

/// The exit code of any error: that of the outermost [`Failure`], else infrastructure.
pub fn of(error: &anyhow::Error) -> Exit {
    error
        .chain()
        .find_map(|cause| cause.downcast_ref::<Failure>())
        .map_or(Exit::Infrastructure, |failure| failure.exit)
}
