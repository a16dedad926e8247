// SPDX-License-Identifier: GPL-2.0

//! A composed series as mails, made by `git format-patch` from an overlay repository.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use xshell::{Shell, cmd};

use super::Composed;
use super::git::{Identity, Overlay};
use super::topic::{Part, Topic};
use crate::cmd::run;
use crate::exit::{Exit, Failure};

/// What the mails say beside the commits themselves.
#[derive(Clone, Debug)]
pub struct Options {
    /// Author of every commit.
    pub identity: Identity,
    /// Of the cover letter, in seconds since 1970; commit N is N seconds later, so that mail programs
    /// keep the order.
    pub date: i64,
    /// Adds the identity's `Signed-off-by:`.
    pub signoff: bool,
    /// The texts of `Assisted-by:` trailers.
    pub assisted_by: Vec<String>,
    /// The version of the posting; 1 is not shown.
    pub reroll: u32,
    /// Says `RFC` in every subject.
    pub rfc: bool,
}

/// The identity that the user's git would commit with.
///
/// # Errors
///
/// Git knows none.
pub fn identity(repo: &Path) -> Result<Identity> {
    let sh = Shell::new()?;
    let ident = run(cmd!(
        sh,
        "git -C {repo} -c user.useConfigOnly=true var GIT_AUTHOR_IDENT"
    ))
    .output()?;
    let parsed = ident
        .text
        .split_once(" <")
        .and_then(|(name, rest)| Some((name, rest.split_once('>')?.0)))
        .filter(|(name, email)| !name.is_empty() && !email.is_empty());
    match parsed {
        Some((name, email)) if ident.status.success() => Ok(Identity {
            name: name.to_owned(),
            email: email.to_owned(),
        }),
        _ => Err(
            Failure::new(Exit::Skipped, "git does not know in whose name to write the mails")
                .fix("git config --global user.name 'YOUR NAME' && git config --global user.email 'YOU@YOUR.HOST'")
                .into(),
        ),
    }
}

/// `SOURCE_DATE_EPOCH`, or else the time of the newest commit.
///
/// # Errors
///
/// The variable is not a number, or there is neither a variable nor a commit.
pub fn date(repo: &Path) -> Result<i64> {
    if let Ok(epoch) = env::var("SOURCE_DATE_EPOCH") {
        return epoch.parse().map_err(|_| {
            let what = format!("SOURCE_DATE_EPOCH is not a number of seconds: {epoch}");
            Failure::new(Exit::Usage, what).into()
        });
    }
    let sh = Shell::new()?;
    let output = run(cmd!(sh, "git -C {repo} log -1 --format=%ct")).output()?;
    output.text.trim().parse().map_err(|_| {
        let what = format!(
            "no commit gives the mails their date: {}",
            output.text.trim()
        );
        let fix = "SOURCE_DATE_EPOCH=$(date +%s) cargo xtask series build";
        Failure::new(Exit::Skipped, what).fix(fix).into()
    })
}

/// Writes the mails into `out`, and those of a named part into a directory in it, in place of those of
/// an earlier run; returns their paths in order.
///
/// # Errors
///
/// A commit that changes nothing on this base, or a failure of git.
pub fn build(
    topic: &Topic,
    composed: &Composed,
    options: &Options,
    out: &Path,
) -> Result<Vec<PathBuf>> {
    let dir = tempfile::tempdir()?;
    let overlay = Overlay::new(&dir.path().join("linux"))?;
    overlay.stage(&composed.before)?;
    overlay.commit_base()?;
    let message = dir.path().join("message");
    for (at, (patch, tree)) in topic.patches.iter().zip(&composed.stages).enumerate() {
        let changed = overlay.stage(tree)?;
        ensure!(
            changed,
            "{} changes nothing on base {}",
            patch.name,
            composed.base
        );
        fs::write(
            &message,
            format!("{}\n\n{}", patch.message.subject, patch.message.body),
        )?;
        let mut commit = overlay
            .git(&["commit", "--quiet", "--cleanup=whitespace", "--file"])
            .arg(&message);
        for text in &options.assisted_by {
            commit = commit.arg(format!("--trailer=Assisted-by: {text}"));
        }
        if options.signoff {
            // As a trailer like the others, since it must be the last one.
            let Identity { name, email } = &options.identity;
            commit = commit.arg(format!("--trailer=Signed-off-by: {name} <{email}>"));
        }
        run(options
            .identity
            .applied(commit, options.date + at as i64 + 1))
        .ok()?;
    }
    let tip = run(overlay.git(&["rev-parse", "HEAD"])).ok()?;
    let mut mails = Vec::new();
    for part in &topic.parts {
        // The text of a cover letter belongs to a branch, so that a part has to be at its end.
        let last = format!("{}~{}", tip.trim(), topic.patches.len() - part.patches.end);
        run(overlay.git(&["update-ref", "HEAD", &last])).ok()?;
        mails.extend(format(
            part,
            composed,
            options,
            &overlay,
            &out.join(&part.name),
        )?);
    }
    Ok(mails)
}

/// Writes the mails of one part.
fn format(
    part: &Part,
    composed: &Composed,
    options: &Options,
    overlay: &Overlay,
    out: &Path,
) -> Result<Vec<PathBuf>> {
    clear(out)?;
    let mut format = overlay.git(&[
        "format-patch",
        "--quiet",
        "--zero-commit",
        "--no-signature",
        "--no-renames",
        "--abbrev=12",
        "--diff-algorithm=myers",
    ]);
    if let Some(cover) = &part.cover {
        let text = format!(
            "{}\n\n{}\nbase: {}\n",
            cover.subject, cover.body, composed.version
        );
        run(overlay.git(&["config", "branch.series.description", &text])).ok()?;
        format = format.args(["--cover-letter", "--cover-from-description=subject"]);
    }
    if options.reroll > 1 {
        format = format.arg(format!("--reroll-count={}", options.reroll));
    }
    if options.rfc || part.rfc {
        format = format.arg("--rfc");
    }
    let range = format!("HEAD~{}", part.patches.len());
    let format = format.arg("--output-directory").arg(out).arg(range);
    run(options.identity.applied(format, options.date)).ok()?;
    let mails = mails(out)?;
    let expected = part.patches.len() + usize::from(part.cover.is_some());
    ensure!(
        mails.len() == expected,
        "git wrote {} mails, not {expected}",
        mails.len()
    );
    Ok(mails)
}

/// Whether a mail is a cover letter.
pub fn is_cover(mail: &Path) -> bool {
    let name = mail.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name.ends_with("0000-cover-letter.patch"))
}

/// The mails in a directory, in order.
fn mails(out: &Path) -> Result<Vec<PathBuf>> {
    let mut mails = Vec::new();
    for entry in fs::read_dir(out)? {
        let path = entry?.path();
        if path.extension().is_some_and(|suffix| suffix == "patch") {
            mails.push(path);
        }
    }
    mails.sort();
    Ok(mails)
}

/// Removes the mails of an earlier run, which may have had other names.
fn clear(out: &Path) -> Result<()> {
    fs::create_dir_all(out).with_context(|| out.display().to_string())?;
    for mail in mails(out)? {
        fs::remove_file(mail)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::load;
    use super::super::tests::Fixture;
    use super::*;

    fn options() -> Options {
        Options {
            identity: Identity {
                name: "Test Submitter".into(),
                email: "submitter@example.org".into(),
            },
            date: 1_700_000_000,
            signoff: false,
            assisted_by: Vec::new(),
            reroll: 1,
            rfc: false,
        }
    }

    fn built(fixture: &Fixture, options: &Options, out: &str) -> Vec<(String, String)> {
        let base = fixture.base("7.3");
        let (topic, composed) = load(&fixture.topic(), &base).unwrap();
        let mails = build(&topic, &composed, options, &fixture.repo().join(out)).unwrap();
        let read = |path: PathBuf| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(path).unwrap())
        };
        mails.into_iter().map(read).collect()
    }

    #[test]
    fn the_mails_of_a_series() {
        let fixture = Fixture::new();
        let cover = "cgroup: Add beancounters\n\nWhat for.\n\n# Not a comment.\n";
        fixture.write("patches/bc/0000-cover-letter.txt", cover);
        let mut text = String::new();
        for (name, mail) in built(&fixture, &options(), "out") {
            text += &format!("==> {name} <==\n{mail}");
        }
        insta::assert_snapshot!(text);
    }

    #[test]
    fn the_same_input_gives_the_same_bytes() {
        let fixture = Fixture::new();
        let first = built(&fixture, &options(), "out");
        assert_eq!(first, built(&fixture, &options(), "other"));
        // An earlier run in the same place leaves nothing.
        fixture.write("out/0009-old.patch", "");
        assert_eq!(first, built(&fixture, &options(), "out"));
        assert_eq!(fs::read_dir(fixture.repo().join("out")).unwrap().count(), 4);
    }

    #[test]
    fn trailers_come_last_and_the_signature_last_of_all() {
        let fixture = Fixture::new();
        for (_, mail) in built(&fixture, &options(), "out") {
            assert!(!mail.contains("Signed-off-by") && !mail.contains("Assisted-by"));
        }
        let signed = Options {
            identity: Identity {
                name: "T\u{e9}st Submitter".into(),
                ..options().identity
            },
            signoff: true,
            assisted_by: vec!["LLM sparse".into()],
            reroll: 2,
            rfc: true,
            ..options()
        };
        for (name, mail) in built(&fixture, &signed, "out") {
            let end = "\n\nAssisted-by: LLM sparse\n\
                       Signed-off-by: T\u{e9}st Submitter <submitter@example.org>\n---\n";
            assert!(mail.contains(end), "{mail}");
            assert!(
                name.starts_with("v2-000") && mail.contains("Subject: [RFC PATCH v2"),
                "{mail}"
            );
        }
    }

    #[test]
    fn each_part_has_mails_of_its_own() {
        let fixture = Fixture::new();
        let series = fs::read_to_string(fixture.topic().join("series")).unwrap();
        let series = series.replace("0001-", "[one]\n0001-");
        let series = series.replace("0005-", "[two RFC]\n0005-");
        fixture.write("patches/bc/series", &series);
        fixture.write("patches/bc/cover-letter-two.txt", "bc: Two\n\nWhy.\n");
        let base = fixture.base("7.3");
        let (topic, composed) = load(&fixture.topic(), &base).unwrap();
        let out = fixture.repo().join("out");
        let mails = build(&topic, &composed, &options(), &out).unwrap();
        let shown: Vec<_> = mails.iter().map(|mail| mail.strip_prefix(&out)).collect();
        let shown: Vec<_> = shown
            .into_iter()
            .map(|mail| mail.unwrap().to_str())
            .collect();
        let shown: Vec<_> = shown.into_iter().map(|mail| &mail.unwrap()[..9]).collect();
        assert_eq!(
            shown,
            [
                "one/0001-",
                "one/0002-",
                "one/0003-",
                "two/0000-",
                "two/0001-"
            ]
        );
        let cover = fs::read_to_string(&mails[3]).unwrap();
        assert!(
            is_cover(&mails[3]) && cover.contains("RFC PATCH 0/1] bc: Two"),
            "{cover}"
        );
    }

    #[test]
    fn a_commit_without_a_change_is_refused() {
        let fixture = Fixture::new();
        fixture.write(
            "patches/bc/0006-none.patch",
            "Subject: x\n---\n--- a/init/Kconfig\n\
            +++ b/init/Kconfig\n@@ -1,2 +1,3 @@\n config PIDS\n+\thelp\n \tbool \"pids\"\n",
        );
        fixture.write(
            "patches/bc/7.3/0006-none.patch",
            "Has it.\n---\ndrop: init/Kconfig\n",
        );
        let series = fs::read_to_string(fixture.topic().join("series")).unwrap();
        fixture.write("patches/bc/series", &format!("{series}0006-none.patch\n"));
        let base = fixture.base("7.3");
        let (topic, composed) = load(&fixture.topic(), &base).unwrap();
        let out = fixture.repo().join("out");
        let error = build(&topic, &composed, &options(), &out)
            .unwrap_err()
            .to_string();
        assert_eq!(error, "0006-none.patch changes nothing on base 7.3");
    }
}
