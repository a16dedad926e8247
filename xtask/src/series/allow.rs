// SPDX-License-Identifier: GPL-2.0

//! `checkpatch-allow`: findings of checkpatch that stay, each with its reason.

use std::cell::Cell;

use anyhow::{Context, Result, ensure};
use glob::Pattern;

/// A finding of checkpatch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file in the kernel tree; none for the commit message.
    pub path: Option<String>,
    /// In that file or in the mail.
    pub line: String,
    /// `WARNING`, `ERROR` or `CHECK`.
    pub level: String,
    /// As `LONG_LINE`.
    pub kind: String,
    /// The rest.
    pub text: String,
}

impl Finding {
    /// Reads a line of `checkpatch.pl --terse --show-types --showfile`.
    pub fn parse(line: &str) -> Option<Self> {
        let (place, rest) = line.split_once(": ")?;
        let (path, number) = place.rsplit_once(':')?;
        let (kinds, text) = rest.split_once(": ")?;
        let (level, kind) = kinds.split_once(':')?;
        matches!(level, "WARNING" | "ERROR" | "CHECK").then(|| Self {
            path: (!path.is_empty()).then(|| path.to_owned()),
            line: number.to_owned(),
            level: level.to_owned(),
            kind: kind.to_owned(),
            text: text.to_owned(),
        })
    }
}

/// One line of the list: `TYPE: path-glob: reason`; the path of a commit message is `-`.
#[derive(Debug)]
struct Entry {
    kind: String,
    path: Pattern,
    shown: String,
    used: Cell<bool>,
}

/// The whole list.
#[derive(Debug, Default)]
pub struct Allow(Vec<Entry>);

impl Allow {
    /// Reads a list; `#` begins a comment line.
    ///
    /// # Errors
    ///
    /// A line that is not an entry, or gives no reason.
    pub fn parse(text: &str) -> Result<Self> {
        let mut entries = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let mut parts = line.splitn(3, ": ");
            let (kind, path, reason) = (parts.next(), parts.next(), parts.next());
            let number = at + 1;
            ensure!(
                reason.is_some_and(|reason| !reason.trim().is_empty()),
                "line {number} is not `TYPE: path-glob: reason`"
            );
            let path = path.unwrap_or_default();
            entries.push(Entry {
                kind: kind.unwrap_or_default().to_owned(),
                path: Pattern::new(path).with_context(|| format!("line {number}: {path}"))?,
                shown: format!("line {number}: `{line}`"),
                used: Cell::new(false),
            });
        }
        Ok(Self(entries))
    }

    /// Whether a finding is allowed; remembers which entries were of use.
    pub fn covers(&self, finding: &Finding) -> bool {
        let path = finding.path.as_deref().unwrap_or("-");
        let mut covered = false;
        for entry in &self.0 {
            if entry.kind == finding.kind && entry.path.matches(path) {
                entry.used.set(true);
                covered = true;
            }
        }
        covered
    }

    /// Entries that covered nothing.
    pub fn unused(&self) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .filter(|entry| !entry.used.get())
            .map(|entry| entry.shown.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_read_with_and_without_a_file() {
        let finding = Finding::parse("fs/a.c:37: ERROR:SPACING: spaces required: '='").unwrap();
        assert_eq!(finding.path.as_deref(), Some("fs/a.c"));
        assert_eq!(
            (finding.line.as_str(), finding.kind.as_str()),
            ("37", "SPACING")
        );
        assert_eq!(finding.text, "spaces required: '='");
        let finding = Finding::parse(":1: WARNING:COMMIT_LOG_LONG_LINE: too long").unwrap();
        assert_eq!(finding.path, None);
        assert_eq!(Finding::parse("total: 1 errors, 0 warnings"), None);
        assert_eq!(
            Finding::parse("No codespell typos will be found - file 'x': No such"),
            None
        );
    }

    #[test]
    fn an_entry_covers_its_type_and_its_files() {
        let allow = Allow::parse(
            "# Why not.\n\nLONG_LINE: fs/*.c: a table\nFILE_PATH_CHANGES: -: later\nX: y: z\n",
        )
        .unwrap();
        let finding = |text: &str| Finding::parse(text).unwrap();
        assert!(allow.covers(&finding("fs/a.c:1: WARNING:LONG_LINE: x")));
        assert!(!allow.covers(&finding("fs/a.c:1: WARNING:SPACING: x")));
        assert!(!allow.covers(&finding("mm/a.c:1: WARNING:LONG_LINE: x")));
        assert!(allow.covers(&finding(":1: WARNING:FILE_PATH_CHANGES: x")));
        assert_eq!(allow.unused().collect::<Vec<_>>(), ["line 5: `X: y: z`"]);
    }

    #[test]
    fn an_entry_without_a_reason_is_refused() {
        for text in [
            "LONG_LINE: fs/*.c\n",
            "LONG_LINE: fs/*.c: \n",
            "LONG_LINE\n",
        ] {
            assert!(
                Allow::parse(text)
                    .unwrap_err()
                    .to_string()
                    .contains("line 1"),
                "{text}"
            );
        }
        assert!(Allow::parse("A: [: reason\n").is_err());
    }
}
