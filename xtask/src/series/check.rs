// SPDX-License-Identifier: GPL-2.0

//! Whether a series is fit to be sent: the mails apply by two tools to what was composed, that is
//! what the tests ran on, and the kernel's own checks have nothing to say.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

use super::allow::{Allow, Finding};
use super::compose::{Composed, Tree};
use super::git::{Identity, Overlay, read_tree, write_tree};
use super::report::Row;
use super::topic::{Message, Topic};
use super::{File, mail, tip_files};
use crate::cmd::run;

/// Columns of a commit message, as checkpatch and the process documents want them.
const COLUMNS: usize = 75;

/// The longest series that a maintainer reads.
const MOST: usize = 15;

/// Series of this length need a cover letter.
const COVERED: usize = 3;

/// How many differing files of a tree are named.
const SHOWN: usize = 20;

/// A series on one base, with its mails.
pub struct Subject<'a> {
    topic: &'a Topic,
    composed: &'a Composed,
    base_tree: &'a Path,
    mails: Vec<PathBuf>,
    dir: tempfile::TempDir,
}

impl<'a> Subject<'a> {
    /// Writes the mails.
    ///
    /// # Errors
    ///
    /// A commit that changes nothing, or a failure of git.
    pub fn new(topic: &'a Topic, composed: &'a Composed, base_tree: &'a Path) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let options = mail::Options {
            identity: Identity::nobody(),
            date: 0,
            signoff: false,
            assisted_by: Vec::new(),
            reroll: 1,
            rfc: false,
        };
        let mut mails = mail::build(topic, composed, &options, &dir.path().join("mails"))?;
        if topic.cover.is_some() {
            mails.remove(0);
        }
        Ok(Self {
            topic,
            composed,
            base_tree,
            mails,
            dir,
        })
    }

    fn row(&self, check: &'static str, detail: String, findings: Vec<String>) -> Row {
        Row::ran(&self.composed.version, check, detail, findings)
    }

    /// The tree after each mail is what was composed, when git applies them.
    ///
    /// # Errors
    ///
    /// Git cannot run.
    pub fn git_am(&self) -> Result<Row> {
        let overlay = Overlay::new(&self.dir.path().join("am"))?;
        overlay.stage(&self.composed.before)?;
        overlay.commit_base()?;
        let Identity { name, email } = Identity::nobody();
        let (name, email) = (format!("user.name={name}"), format!("user.email={email}"));
        let findings = self.each_mail(overlay.dir(), |mail| {
            let am = overlay
                .git(&["-c", &name, "-c", &email, "am", "--quiet"])
                .arg(mail);
            let output = run(am).output()?;
            Ok((!output.status.success()).then_some(output.text))
        })?;
        Ok(self.row("git am", self.applied(), findings))
    }

    /// The same for `patch -p1 -F0`.
    ///
    /// # Errors
    ///
    /// `patch` cannot run.
    pub fn patch(&self) -> Result<Row> {
        let dir = self.dir.path().join("patch");
        write_tree(&dir, &self.composed.before)?;
        let sh = Shell::new()?;
        let findings = self.each_mail(&dir, |mail| {
            let dir = &dir;
            let patch = cmd!(
                sh,
                "patch -p1 -F0 --force --no-backup-if-mismatch -d {dir} -i {mail}"
            )
            .env("LC_ALL", "C");
            let output = run(patch).output()?;
            // A mail is written for exactly this base, so that not even a line may have moved.
            let exact = output.status.success() && !output.text.contains("offset");
            Ok((!exact).then_some(output.text))
        })?;
        Ok(self.row("patch -F0", self.applied(), findings))
    }

    fn applied(&self) -> String {
        let count = self.mails.len();
        format!("{count} patches, each tree as composed")
    }

    /// Applies mail after mail; stops at the first that fails or gives another tree.
    fn each_mail(
        &self,
        dir: &Path,
        apply: impl Fn(&Path) -> Result<Option<String>>,
    ) -> Result<Vec<String>> {
        for (at, mail) in self.mails.iter().enumerate() {
            let name = &self.topic.patches[at].name;
            if let Some(why) = apply(mail)? {
                return Ok(vec![format!("{name}: {}", why.trim_end())]);
            }
            let found = differences(&read_tree(dir)?, &self.composed.stages[at]);
            if !found.is_empty() {
                let found = found.into_iter().map(|found| format!("{name}: {found}"));
                return Ok(found.collect());
            }
        }
        Ok(Vec::new())
    }

    /// The tree that kernels are built from is the base with the tip laid over it, and nothing else.
    ///
    /// The series' files are compared by content and mode, all others by name, kind and size; their
    /// content is what the synchronisation of that tree has just compared.
    ///
    /// # Errors
    ///
    /// A directory or a file cannot be read.
    pub fn test_tree(&self, source_tree: &Path) -> Result<Row> {
        let base = self.base_tree;
        let tip = tip_files(&self.topic.dir, base)?;
        let mut findings = Vec::new();
        for (path, content) in &tip {
            let shown = path.display();
            match File::read(&source_tree.join(path)) {
                Ok(found) if *found.content != **content => {
                    findings.push(format!("{shown}: not as in the series"));
                }
                Ok(found) if found.executable != self.composed.tip()[path].executable => {
                    findings.push(format!("{shown}: another mode than in the series"));
                }
                Ok(_) => {}
                Err(error) => findings.push(format!("{error:#}")),
            }
        }
        let (base, source) = (names(base)?, names(source_tree)?);
        let untouched = |path: &&PathBuf| !tip.contains_key(*path);
        for path in base.keys().filter(untouched) {
            if source.get(path) != base.get(path) {
                findings.push(format!("{}: not as in the base", path.display()));
            }
        }
        for path in source.keys().filter(untouched) {
            if !base.contains_key(path) {
                findings.push(format!("{}: not from the series", path.display()));
            }
        }
        let more = findings.len().saturating_sub(SHOWN);
        findings.truncate(SHOWN);
        findings.extend((more > 0).then(|| format!("and {more} more")));
        let (ours, all) = (tip.len(), source.len());
        let detail = format!("{ours} files of the series by content, all {all} by name and size");
        Ok(self.row("test tree", detail, findings))
    }

    /// Runs the base's checkpatch on every mail.
    ///
    /// # Errors
    ///
    /// Perl cannot run, or the allow list is malformed.
    pub fn checkpatch(&self) -> Result<(Row, Allow)> {
        let list = self.topic.dir.join("checkpatch-allow");
        let allow = match fs::read_to_string(&list) {
            Ok(text) => Allow::parse(&text).with_context(|| list.display().to_string())?,
            Err(_) => Allow::default(),
        };
        let (sh, root) = (Shell::new()?, self.base_tree);
        // It writes a cache to where it runs, which must not be the base.
        sh.change_dir(self.dir.path());
        let script = root.join("scripts/checkpatch.pl");
        let mut findings = Vec::new();
        let mut allowed = 0;
        for (mail, patch) in self.mails.iter().zip(&self.topic.patches) {
            let name = &patch.name;
            let output = run(cmd!(
                sh,
                "perl {script} --root={root} --strict --no-signoff --terse --show-types --showfile
                 --no-summary --quiet {mail}"
            )
            .env("LC_ALL", "C"))
            .output()?;
            let mut seen = 0;
            for finding in output.text.lines().filter_map(Finding::parse) {
                seen += 1;
                if allow.covers(&finding) {
                    allowed += 1;
                    continue;
                }
                let path = finding.path.as_deref().unwrap_or("message");
                findings.push(format!(
                    "{name}: {path}:{}: {}:{}: {}",
                    finding.line, finding.level, finding.kind, finding.text
                ));
            }
            if seen == 0 && !output.status.success() {
                findings.push(format!("{name}: checkpatch failed: {}", output.text.trim()));
            }
        }
        let count = self.mails.len();
        let detail = format!("--strict, {count} mails, {allowed} allowed with a reason");
        Ok((self.row("checkpatch", detail, findings), allow))
    }

    /// Every Rust file that a commit changes is formatted.
    ///
    /// # Errors
    ///
    /// A file cannot be written.
    pub fn rustfmt(&self) -> Result<Row> {
        let sh = Shell::new()?;
        let rustfmt = env::var("RUSTFMT").unwrap_or_else(|_| "rustfmt".into());
        let version = match run(cmd!(sh, "{rustfmt} --version")).output() {
            Ok(output) if output.status.success() => output.text.trim().to_owned(),
            _ => {
                let why = format!("`{rustfmt}` is missing: rustup component add rustfmt");
                return Ok(Row::skipped(&self.composed.version, "rustfmt", why));
            }
        };
        let config = self.base_tree.join(".rustfmt.toml");
        let mut findings = Vec::new();
        let mut count = 0;
        let mut before = &self.composed.before;
        for (patch, stage) in self.topic.patches.iter().zip(&self.composed.stages) {
            for (path, file) in changed(before, stage) {
                if path.extension().is_none_or(|suffix| suffix != "rs") {
                    continue;
                }
                count += 1;
                let copy = self.dir.path().join("rustfmt.rs");
                fs::write(&copy, &file.content)?;
                // From standard input it leaves the other modules of the crate alone, but its
                // status does not tell of differences.
                let script =
                    r#"exec "$0" --edition=2021 --check --color=never --config-path "$1" <"$2""#;
                let output = run(cmd!(sh, "sh -c {script} {rustfmt} {config} {copy}")).output()?;
                if !output.status.success() || !output.text.is_empty() {
                    let (name, path) = (&patch.name, path.display());
                    findings.push(format!("{name}: {path}:\n{}", output.text.trim_end()));
                }
            }
            before = stage;
        }
        let detail = format!("{count} files of {} stages, {version}", self.mails.len());
        Ok(self.row("rustfmt", detail, findings))
    }
}

/// The files of `after` that are not the same in `before`.
pub fn changed<'a>(
    before: &'a Tree,
    after: &'a Tree,
) -> impl Iterator<Item = (&'a PathBuf, &'a File)> {
    after.iter().filter(|(path, file)| match before.get(*path) {
        Some(old) => !Rc::ptr_eq(&old.content, &file.content) && old != *file,
        None => true,
    })
}

/// What two trees do not have in common, in words.
fn differences(found: &Tree, wanted: &Tree) -> Vec<String> {
    let mut differences = Vec::new();
    for (path, file) in wanted {
        let other = found.get(path);
        let path = path.display();
        match other {
            None => differences.push(format!("{path} is missing")),
            Some(other) if other.content != file.content => {
                differences.push(format!("{path} has another content than composed"));
            }
            Some(other) if other.executable != file.executable => {
                differences.push(format!("{path} has another mode than composed"));
            }
            Some(_) => {}
        }
    }
    let extra = found.keys().filter(|path| !wanted.contains_key(*path));
    differences.extend(extra.map(|path| format!("{} is not in the composed tree", path.display())));
    differences
}

/// Kind and size of every file and link below `root`, by path.
fn names(root: &Path) -> Result<BTreeMap<PathBuf, (bool, u64)>> {
    let mut names = BTreeMap::new();
    let mut left = vec![root.to_owned()];
    while let Some(dir) = left.pop() {
        for entry in fs::read_dir(&dir).with_context(|| dir.display().to_string())? {
            let entry = entry?;
            let data = entry.metadata()?;
            if data.is_dir() {
                left.push(entry.path());
            } else {
                let path = entry.path().strip_prefix(root)?.to_owned();
                names.insert(path, (data.is_symlink(), data.len()));
            }
        }
    }
    Ok(names)
}

/// The form of the messages and of the series as a whole; the same on every base.
pub fn messages(topic: &Topic, base: &str) -> Row {
    let mut findings = Vec::new();
    let count = topic.patches.len();
    if count > MOST {
        findings.push(format!(
            "{count} patches; more than {MOST} are split into several series"
        ));
    }
    match &topic.cover {
        None if count >= COVERED => findings.push(format!("{count} patches need a cover letter")),
        Some(cover) => lint(cover, "cover letter", &mut findings),
        None => {}
    }
    for patch in &topic.patches {
        lint(&patch.message, &patch.name, &mut findings);
        if patch.message.body.is_empty() {
            findings.push(format!(
                "{}: the body is empty: say what is wrong without it",
                patch.name
            ));
        }
        let trailer = |line: &&str| line.starts_with("Signed-off-by:");
        if let Some(line) = patch.message.body.lines().find(trailer) {
            let advice = "`series build --signoff` adds that of who sends the mails";
            findings.push(format!("{}: `{line}`: {advice}", patch.name));
        }
    }
    let detail = format!("{count} patches of at most {MOST}, at most {COLUMNS} columns");
    Row::ran(base, "messages", detail, findings)
}

fn lint(message: &Message, name: &str, findings: &mut Vec<String>) {
    let Message { subject, body } = message;
    let columns = subject.chars().count();
    if columns > COLUMNS {
        findings.push(format!("{name}: the subject has {columns} columns"));
    }
    if subject.ends_with('.') {
        findings.push(format!("{name}: the subject ends with a full stop"));
    }
    if !subject.contains(": ") {
        findings.push(format!(
            "{name}: the subject does not begin with `subsystem: `"
        ));
    }
    for (at, line) in body.lines().enumerate() {
        // A quotation cannot be wrapped, and neither can an address.
        let whole = line.starts_with(' ') || line.contains("://");
        let columns = line.chars().count();
        if columns > COLUMNS && !whole {
            findings.push(format!(
                "{name}: line {} of the body has {columns} columns",
                at + 1
            ));
        }
    }
}
