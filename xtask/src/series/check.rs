// SPDX-License-Identifier: GPL-2.0

//! Whether a series is fit to be sent: the mails apply by two tools to what was composed, that is
//! what the tests ran on, and the kernel's own checks have nothing to say.

use std::collections::BTreeMap;
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
        mails.retain(|mail| !mail::is_cover(mail));
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
    /// content is what the synchronisation of that tree has just compared. A developer's own tree has
    /// build products too, so that there only the series' files count (`whole` is false).
    ///
    /// # Errors
    ///
    /// A directory or a file cannot be read.
    pub fn test_tree(&self, source_tree: &Path, whole: bool) -> Result<Row> {
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
        let mut detail = format!("{} files of the series by content", tip.len());
        if whole {
            let (base, source) = (names(base)?, names(source_tree)?);
            detail += &format!(", all {} by name and size", source.len());
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
        }
        let more = findings.len().saturating_sub(SHOWN);
        findings.truncate(SHOWN);
        findings.extend((more > 0).then(|| format!("and {more} more")));
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
    pub fn rustfmt(&self, rustfmt: &str) -> Result<Row> {
        let sh = Shell::new()?;
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
    let mut counts = Vec::new();
    for part in &topic.parts {
        let count = part.patches.len();
        let shown = match part.name.as_str() {
            "" => format!("{count} patches"),
            name => format!("{name}: {count} patches"),
        };
        if count > MOST {
            findings.push(format!(
                "{shown}; more than {MOST} are split into several series"
            ));
        }
        match &part.cover {
            None if count >= COVERED => findings.push(format!("{shown} need a cover letter")),
            Some(cover) => lint(cover, "cover letter", &mut findings),
            None => {}
        }
        counts.push(shown);
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
    let counts = counts.join(", ");
    let detail = format!("{counts} of at most {MOST}, at most {COLUMNS} columns");
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

#[cfg(test)]
mod tests {
    use super::super::load;
    use super::super::report::Outcome;
    use super::super::tests::Fixture;
    use super::*;

    /// Runs `f` on the series of a fixture on base 7.3.
    fn with<T>(fixture: &Fixture, f: impl FnOnce(&Subject<'_>) -> T) -> T {
        let base = fixture.base("7.3");
        let (topic, composed) = load(&fixture.topic(), &base).unwrap();
        f(&Subject::new(&topic, &composed, &base).unwrap())
    }

    #[test]
    fn a_sound_series_applies_by_both_tools() {
        with(&Fixture::new(), |subject| {
            for row in [subject.git_am().unwrap(), subject.patch().unwrap()] {
                assert_eq!(row.findings, [""; 0], "{}", row.check);
                assert_eq!(row.outcome, Outcome::Pass);
            }
        });
    }

    /// Every way in which a mail can be another patch than what was composed.
    #[test]
    fn a_mail_that_gives_another_tree_is_found() {
        let cases = [
            // Another addition applies everywhere.
            (
                "+\tbc_charge();",
                "+\tbc_change();",
                true,
                "another content",
            ),
            // A wrong line number is within what `git am` corrects and `patch -F0` only reports.
            ("@@ -1,7 +1,9 @@", "@@ -2,7 +2,9 @@", false, "offset"),
            // Fuzz would let this pass.
            (" \treturn 0;", " \treturn 1;", true, "0003-file.patch"),
        ];
        for (from, to, by_git, wanted) in cases {
            with(&Fixture::new(), |subject| {
                let mail = &subject.mails[2];
                let text = fs::read_to_string(mail).unwrap();
                assert!(text.contains(from), "{text}");
                fs::write(mail, text.replace(from, to)).unwrap();
                let row = subject.patch().unwrap();
                assert_eq!(row.outcome, Outcome::Fail, "{from}");
                assert!(row.findings[0].contains(wanted), "{:?}", row.findings);
                let git = subject.git_am().unwrap();
                assert_eq!(git.outcome == Outcome::Fail, by_git, "{:?}", git.findings);
            });
        }
    }

    #[test]
    fn a_mode_that_a_mail_loses_is_found() {
        with(&Fixture::new(), |subject| {
            let mail = &subject.mails[3];
            let text = fs::read_to_string(mail).unwrap();
            fs::write(
                mail,
                text.replace("new file mode 100755", "new file mode 100644"),
            )
            .unwrap();
            let row = subject.git_am().unwrap();
            let wanted = "0005-proc.patch: tools/testing/selftests/bc/run.sh has another mode";
            assert!(row.findings[0].starts_with(wanted), "{:?}", row.findings);
        });
    }

    #[test]
    fn the_test_tree_is_the_base_and_the_series_and_nothing_else() {
        let fixture = Fixture::new();
        let tree = fixture.base("composed");
        write_tree(&tree, &read_tree(&fixture.base("7.3")).unwrap()).unwrap();
        with(&fixture, |subject| {
            write_tree(&tree, subject.composed.tip()).unwrap();
            assert_eq!(subject.test_tree(&tree, true).unwrap().findings, [""; 0]);
            let text = |path: &str| fs::read_to_string(tree.join(path)).unwrap();

            let source = text("kernel/cgroup/bc/bc.rs");
            fixture.base_file("composed", "kernel/cgroup/bc/bc.rs", "edited");
            let row = subject.test_tree(&tree, true).unwrap();
            assert_eq!(
                row.findings,
                ["kernel/cgroup/bc/bc.rs: not as in the series"]
            );
            fixture.base_file("composed", "kernel/cgroup/bc/bc.rs", &source);

            let makefile = text("Makefile");
            fixture.base_file("composed", "Makefile", "edited");
            fixture.base_file("composed", "kernel/cgroup/bc/stray.rs", "");
            let row = subject.test_tree(&tree, true).unwrap();
            assert_eq!(
                row.findings,
                [
                    "Makefile: not as in the base",
                    "kernel/cgroup/bc/stray.rs: not from the series"
                ]
            );
            fixture.base_file("composed", "Makefile", &makefile);
            fs::remove_file(tree.join("kernel/cgroup/bc/stray.rs")).unwrap();

            fs::remove_file(tree.join("init/Kconfig")).unwrap();
            let row = subject.test_tree(&tree, true).unwrap();
            assert!(
                row.findings[0].contains("init/Kconfig"),
                "{:?}",
                row.findings
            );
        });
    }

    /// A stand-in that finds fault with one line, as the script would say it.
    const CHECKPATCH: &str = "\
while (<>) { $found = 1 if /bc_charge/ }
print \"fs/file_table.c:6: CHECK:MACRO_ARG: not nice\\n:3: WARNING:LOG: message\\n\" if $found;
exit $found;
";

    #[test]
    fn checkpatch_findings_need_a_reason() {
        let fixture = Fixture::new();
        // Options come first, as for the real one.
        let script = format!("@ARGV = grep {{ !/^--/ }} @ARGV;\n{CHECKPATCH}");
        fixture.base_file("7.3", "scripts/checkpatch.pl", &script);
        with(&fixture, |subject| {
            let (row, _) = subject.checkpatch().unwrap();
            assert_eq!(
                row.findings,
                [
                    "0003-file.patch: fs/file_table.c:6: CHECK:MACRO_ARG: not nice",
                    "0003-file.patch: message:3: WARNING:LOG: message",
                ]
            );
        });
        let list = "MACRO_ARG: fs/*: as its neighbours\nLOG: -: a quotation\nX: *: never\n";
        fixture.write("patches/bc/checkpatch-allow", list);
        with(&fixture, |subject| {
            let (row, allow) = subject.checkpatch().unwrap();
            assert_eq!((row.outcome, row.findings.len()), (Outcome::Pass, 0));
            assert!(row.detail.contains("2 allowed"), "{}", row.detail);
            assert_eq!(allow.unused().count(), 1);
        });
        fixture.base_file("7.3", "scripts/checkpatch.pl", "die \"no such option\\n\";");
        with(&fixture, |subject| {
            let (row, _) = subject.checkpatch().unwrap();
            assert_eq!(row.findings.len(), 4);
            assert!(
                row.findings[0].contains("no such option"),
                "{:?}",
                row.findings
            );
        });
    }

    #[test]
    fn every_rust_file_of_every_stage_is_checked() {
        let fixture = Fixture::new();
        // As rustfmt does for standard input: differences, and status 0.
        fixture.write(
            "fmt",
            "#!/bin/sh\n! grep -q counter || echo Diff in stdin\n",
        );
        let program = format!("sh {}", fixture.repo().join("fmt").display());
        let wrapper = fixture.repo().join("rustfmt");
        fixture.write("rustfmt", &format!("#!/bin/sh\nexec {program}\n"));
        let sh = Shell::new().unwrap();
        run(cmd!(sh, "chmod +x {wrapper}")).ok().unwrap();
        with(&fixture, |subject| {
            let row = subject.rustfmt(wrapper.to_str().unwrap()).unwrap();
            let patches: Vec<_> = row.findings.iter().map(|found| &found[..4]).collect();
            // bc.rs mentions it from the second commit on.
            assert_eq!(patches, ["0002", "0003", "0005"]);
            assert!(
                row.detail.starts_with("7 files of 4 stages"),
                "{}",
                row.detail
            );
            let row = subject.rustfmt("no-such-rustfmt").unwrap();
            assert_eq!(row.outcome, Outcome::Skip);
        });
    }

    #[test]
    fn messages_have_the_form_that_maintainers_expect() {
        let fixture = Fixture::new();
        let load = || Topic::load(&fixture.topic()).unwrap();
        let mut topic = load();
        let row = messages(&topic, "7.3");
        let wanted = [
            "4 patches need a cover letter",
            "0002-counter.patch: the body is empty: say what is wrong without it",
            "0005-proc.patch: the body is empty: say what is wrong without it",
        ];
        assert_eq!(row.findings, wanted);
        topic.parts[0].cover = Some(topic.patches[0].message.clone());
        for patch in &mut topic.patches {
            patch.message.body = "Why.\n".into();
        }
        assert_eq!(messages(&topic, "7.3").findings, [""; 0]);

        let message = &mut topic.patches[0].message;
        message.subject = format!("bc: {}.", "x".repeat(80));
        message.body = format!(
            "{long}\n  {long}\nLink: http://{long}\n\nSigned-off-by: A <a@b.example>\n",
            long = "y".repeat(76)
        );
        topic.patches[1].message.subject = "Count processes".into();
        assert_eq!(
            messages(&topic, "7.3").findings,
            [
                "0001-skeleton.patch: the subject has 85 columns",
                "0001-skeleton.patch: the subject ends with a full stop",
                "0001-skeleton.patch: line 1 of the body has 76 columns",
                "0001-skeleton.patch: `Signed-off-by: A <a@b.example>`: `series build --signoff` \
                 adds that of who sends the mails",
                "0002-counter.patch: the subject does not begin with `subsystem: `",
            ]
        );
        let patch = topic.patches[3].clone();
        topic.patches.resize(16, patch);
        topic.parts[0].patches.end = 16;
        assert!(messages(&topic, "7.3").findings[0].starts_with("16 patches; more than 15"));
    }
}
