// SPDX-License-Identifier: GPL-2.0

//! The files of `patches/<topic>/`, read and checked against each other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::hunk::{self, FileDiff};
use super::layout::{self, Own};

/// The name of the cover letter in a topic's directory.
pub const COVER: &str = "0000-cover-letter.txt";

/// A subject and the text below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// One line.
    pub subject: String,
    /// Without surrounding blank lines, ends in a newline unless empty.
    pub body: String,
}

/// One commit of a series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    /// `NNNN-slug.patch`.
    pub name: String,
    /// What the commit says.
    pub message: Message,
    /// Own files that come into being here.
    pub new: Vec<PathBuf>,
    /// Changes to the kernel's files, and growth of own files.
    pub diffs: Vec<FileDiff>,
}

/// What differs in one commit on one base.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Override {
    /// Files whose hunks in the main patch do not count on this base.
    pub drop: Vec<PathBuf>,
    /// For a file of the kernel: instead of the main patch's hunks. For an own file: on top of it.
    pub diffs: Vec<FileDiff>,
}

/// Commits that are sent together: all of a topic, or one after the other where it is long.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// Nothing where there is one only.
    pub name: String,
    /// It asks for comments only.
    pub rfc: bool,
    /// The bases that it is made for; all if it names none.
    bases: Vec<String>,
    /// Which of the topic's patches.
    pub patches: Range<usize>,
    /// The cover letter, if there is one.
    pub cover: Option<Message>,
}

/// A series with everything that it is made of.
#[derive(Clone, Debug)]
pub struct Topic {
    /// The directory's name.
    pub name: String,
    /// `patches/<name>`.
    pub dir: PathBuf,
    /// The root of the repository.
    pub repo: PathBuf,
    /// In order.
    pub patches: Vec<Patch>,
    /// In order; together all patches.
    pub parts: Vec<Part>,
    /// The own files that the commits list, by their path in the kernel tree.
    pub own: BTreeMap<PathBuf, Own>,
    /// By base, then by the name of the patch.
    pub overrides: BTreeMap<String, BTreeMap<String, Override>>,
}

impl Topic {
    /// Reads `patches/<topic>` and checks that every own file is listed exactly once.
    ///
    /// # Errors
    ///
    /// The first thing that does not fit, named by file and line where there is one.
    pub fn load(dir: &Path) -> Result<Self> {
        let dir = dir
            .canonicalize()
            .with_context(|| format!("no topic at {}", dir.display()))?;
        let (Some(name), Some(repo)) = (
            dir.file_name().and_then(|name| name.to_str()),
            dir.parent().and_then(Path::parent),
        ) else {
            bail!("{} is not patches/<topic> of a repository", dir.display());
        };
        let mut patches = Vec::new();
        let (names, mut parts) = order(&dir)?;
        for name in names {
            let text = read(&dir.join(&name))?;
            patches.push(parse_patch(&name, &text).with_context(|| name.clone())?);
        }
        for part in &mut parts {
            part.cover = read_cover(&dir.join(cover_name(&part.name)))?;
        }
        let overrides = read_overrides(&dir, &patches)?;
        let mut topic = Self {
            name: name.to_owned(),
            repo: repo.to_owned(),
            own: BTreeMap::new(),
            patches,
            parts,
            overrides,
            dir: dir.clone(),
        };
        topic.own = topic.claim(layout::own_files(&topic.repo)?)?;
        Ok(topic)
    }

    /// How many patches there are for a base: a part that is not made for it ends the series there.
    pub fn made_for(&self, base: &str) -> usize {
        let made = |part: &&Part| part.bases.is_empty() || part.bases.iter().any(|one| one == base);
        let parts = self.parts.iter().take_while(made);
        parts.last().map_or(0, |part| part.patches.end)
    }

    /// Forgets the parts that begin after so many patches.
    pub fn truncate(&mut self, count: usize) {
        self.patches.truncate(count);
        self.parts.retain(|part| part.patches.start < count);
    }

    /// The number of the patch (from 0) that adds an own file.
    pub fn added_by(&self, path: &Path) -> Option<usize> {
        self.patches
            .iter()
            .position(|patch| patch.new.iter().any(|new| new == path))
    }

    /// Picks this topic's files; each must be listed by one commit, and nothing else may be listed.
    fn claim(&self, mut all: BTreeMap<PathBuf, Own>) -> Result<BTreeMap<PathBuf, Own>> {
        let mut own: BTreeMap<PathBuf, Own> = BTreeMap::new();
        let mut adds: BTreeMap<&Path, &str> = BTreeMap::new();
        for patch in &self.patches {
            for path in &patch.new {
                let (name, shown) = (&patch.name, path.display());
                if let Some(first) = adds.insert(path, name) {
                    bail!("{name}: `new: {shown}` is listed by {first} already");
                }
                match all.remove(path) {
                    Some(file) if file.topic.as_ref().is_none_or(|topic| *topic == self.name) => {
                        own.insert(path.clone(), file);
                    }
                    Some(file) => bail!(
                        "{name}: `new: {shown}` belongs to another topic ({})",
                        file.from.display()
                    ),
                    None => bail!("{name}: `new: {shown}`: the repository has no such file"),
                }
            }
        }
        let foreign = self.listed_by_others()?;
        for (path, file) in all {
            let mine = match &file.topic {
                Some(topic) => *topic == self.name,
                None => !foreign.contains(&path),
            };
            ensure!(
                !mine,
                "{} is listed by no commit: add `new: {}` to the patch in {} that adds it",
                file.from.display(),
                path.display(),
                self.dir.display()
            );
        }
        Ok(own)
    }

    /// What the other topics add; files in shared directories may be theirs.
    fn listed_by_others(&self) -> Result<BTreeSet<PathBuf>> {
        let mut listed = BTreeSet::new();
        for entry in fs::read_dir(self.dir.parent().expect("checked by load"))? {
            let dir = entry?.path();
            if dir == self.dir || !dir.join("series").is_file() {
                continue;
            }
            for name in order(&dir)?.0 {
                let text = read(&dir.join(&name))?;
                listed.extend(parse_patch(&name, &text).with_context(|| name.clone())?.new);
            }
        }
        Ok(listed)
    }
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| path.display().to_string())
}

/// The name of a part's cover letter in the topic's directory.
fn cover_name(part: &str) -> String {
    match part {
        "" => COVER.to_owned(),
        name => format!("cover-letter-{name}.txt"),
    }
}

fn read_cover(path: &Path) -> Result<Option<Message>> {
    match read(path) {
        Ok(text) => parse_cover(&text)
            .map(Some)
            .with_context(|| path.display().to_string()),
        Err(_) if !path.exists() => Ok(None),
        Err(error) => Err(error),
    }
}

/// The patches that `series` names, which must be all there are, numbered as they are ordered, and the
/// parts that its lines `[NAME RFC BASE...]` begin.
fn order(dir: &Path) -> Result<(Vec<String>, Vec<Part>)> {
    let text = read(&dir.join("series"))?;
    let shown = dir.join("series");
    let shown = shown.display();
    let (mut names, mut parts) = (Vec::new(), Vec::<Part>::new());
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        let title = line
            .strip_prefix('[')
            .and_then(|line| line.strip_suffix(']'));
        if let Some(title) = title {
            let mut words = title.split_ascii_whitespace().map(str::to_owned);
            let name = words.next().unwrap_or_default();
            let is_name = |name: &str| !name.is_empty() && name.chars().all(char::is_alphanumeric);
            ensure!(is_name(&name), "{shown}: `[{title}]` names no part");
            let other = parts.iter().all(|part| part.name != name);
            ensure!(other, "{shown}: there are two parts called {name}");
            let named = parts.iter().all(|part| !part.name.is_empty());
            ensure!(named, "{shown}: a patch stands before the first part");
            let (marks, bases) = words.partition(|word| word == "RFC");
            let rfc = !Vec::<String>::is_empty(&marks);
            parts.push(Part {
                name,
                rfc,
                bases,
                patches: names.len()..names.len(),
                cover: None,
            });
        } else if !line.is_empty() {
            if parts.is_empty() {
                parts.push(Part::default());
            }
            names.push(line.to_owned());
            if let Some(part) = parts.last_mut() {
                part.patches.end = names.len();
            }
        }
    }
    ensure!(!names.is_empty(), "{shown} names no patch");
    for name in &names {
        ensure!(
            is_patch_name(name),
            "{shown}: `{name}` is not NNNN-slug.patch"
        );
        ensure!(dir.join(name).is_file(), "{shown}: there is no {name}");
    }
    ensure!(
        names.windows(2).all(|pair| pair[0][..4] < pair[1][..4]),
        "{shown}: the numbers of the patches do not follow their order"
    );
    for name in patch_files(dir)? {
        ensure!(names.contains(&name), "{shown} does not name {name}");
    }
    for part in &parts {
        let name = &part.name;
        ensure!(!part.patches.is_empty(), "{shown}: part {name} is empty");
    }
    Ok((names, parts))
}

fn is_patch_name(name: &str) -> bool {
    name.len() > "0001-.patch".len()
        && name.as_bytes()[..4].iter().all(u8::is_ascii_digit)
        && name.as_bytes()[4] == b'-'
        && name.ends_with(".patch")
}

/// Every patch of a topic, those of its bases included.
///
/// # Errors
///
/// A directory cannot be read.
pub fn patch_files_below(dir: &Path) -> Result<Vec<String>> {
    let mut names = patch_files(dir)?;
    for base in bases(dir)? {
        let of_base = patch_files(&dir.join(&base))?;
        names.extend(of_base.into_iter().map(|name| format!("{base}/{name}")));
    }
    Ok(names)
}

/// The directories of overrides.
fn bases(dir: &Path) -> Result<Vec<String>> {
    let mut bases = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if let Ok(name) = entry.file_name().into_string() {
            if name != "files" && entry.path().is_dir() {
                bases.push(name);
            }
        }
    }
    bases.sort();
    Ok(bases)
}

fn patch_files(dir: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| dir.display().to_string())? {
        if let Ok(name) = entry?.file_name().into_string() {
            if name.ends_with(".patch") {
                names.push(name);
            }
        }
    }
    names.sort();
    Ok(names)
}

/// Splits at the line `---`; the second part comes with the number of its first line.
fn split(text: &str) -> (&str, &str, usize) {
    let mut start = 0;
    for (at, line) in text.split_inclusive('\n').enumerate() {
        if line.trim_end() == "---" {
            return (&text[..start], &text[start + line.len()..], at + 2);
        }
        start += line.len();
    }
    (text, "", 0)
}

/// Takes the lines `key: PATH` that precede the diff.
fn listed<'a>(text: &'a str, first: &mut usize, key: &str) -> Result<(Vec<PathBuf>, &'a str)> {
    let mut paths = Vec::new();
    let mut rest = text;
    while let Some(line) = rest.split_inclusive('\n').next() {
        if let Some(path) = line
            .strip_prefix(key)
            .and_then(|line| line.strip_prefix(": "))
        {
            let path = PathBuf::from(path.trim());
            ensure!(
                hunk::is_inside(&path),
                "line {first}: {} is not in the tree",
                path.display()
            );
            ensure!(
                !paths.contains(&path),
                "line {first}: {} is listed twice",
                path.display()
            );
            paths.push(path);
        } else if !line.trim().is_empty() {
            break;
        }
        rest = &rest[line.len()..];
        *first += 1;
    }
    Ok((paths, rest))
}

/// A patch up to where its diff begins.
///
/// # Errors
///
/// A line of the lists that precede the diff is malformed.
pub fn without_diff(text: &str) -> Result<&str> {
    let (_, tail, mut first) = split(text);
    let mut rest = tail;
    for key in ["new", "drop"] {
        (_, rest) = listed(rest, &mut first, key)?;
    }
    Ok(&text[..text.len() - rest.len()])
}

fn parse_patch(name: &str, text: &str) -> Result<Patch> {
    let (head, tail, mut first) = split(text);
    let Some(head) = head.strip_prefix("Subject: ") else {
        bail!("line 1 is not `Subject: ...`");
    };
    ensure!(first > 0, "a line `---` must end the message");
    let message = parse_message(head)?;
    let (new, diff) = listed(tail, &mut first, "new")?;
    let diffs = hunk::parse(diff, first)?;
    ensure!(!new.is_empty() || !diffs.is_empty(), "changes nothing");
    for diff in &diffs {
        let path = diff.path.display();
        ensure!(
            !new.contains(&diff.path),
            "{path} is new and grows in the same commit"
        );
    }
    Ok(Patch {
        name: name.to_owned(),
        message,
        new,
        diffs,
    })
}

fn parse_cover(text: &str) -> Result<Message> {
    parse_message(text.strip_prefix("Subject: ").unwrap_or(text))
}

fn parse_message(text: &str) -> Result<Message> {
    let (subject, body) = text.split_once('\n').unwrap_or((text, ""));
    ensure!(!subject.trim().is_empty(), "the subject is empty");
    ensure!(
        body.lines()
            .next()
            .is_none_or(|line| line.trim().is_empty()),
        "line 2 must be blank: a subject is one line"
    );
    let mut body = body.trim_matches('\n').trim_end().to_owned();
    if !body.is_empty() {
        body.push('\n');
    }
    Ok(Message {
        subject: subject.trim().to_owned(),
        body,
    })
}

fn read_overrides(
    dir: &Path,
    patches: &[Patch],
) -> Result<BTreeMap<String, BTreeMap<String, Override>>> {
    let mut overrides = BTreeMap::new();
    for base in bases(dir)? {
        let path = dir.join(&base);
        let mut of_base = BTreeMap::new();
        for name in patch_files(&path)? {
            let shown = format!("{base}/{name}");
            let known = patches.iter().any(|patch| patch.name == name);
            ensure!(known, "{shown}: the series has no patch of this name");
            let text = read(&path.join(&name))?;
            let parsed = parse_override(&text).context(shown)?;
            of_base.insert(name, parsed);
        }
        overrides.insert(base, of_base);
    }
    Ok(overrides)
}

/// An override says why it is needed where a patch has its message.
fn parse_override(text: &str) -> Result<Override> {
    let (why, tail, mut first) = split(text);
    ensure!(first > 0, "a line `---` must end the reason");
    ensure!(!why.trim().is_empty(), "does not say why this base differs");
    let (drop, diff) = listed(tail, &mut first, "drop")?;
    let diffs = hunk::parse(diff, first)?;
    ensure!(!drop.is_empty() || !diffs.is_empty(), "changes nothing");
    Ok(Override { drop, diffs })
}
