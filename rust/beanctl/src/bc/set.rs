// SPDX-License-Identifier: GPL-2.0

//! `beanctl bc set`: changes barriers and limits, all that are named or none.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::Result;
use nix::errno::Errno;

use super::order::{self, Change, Settings, Write};
use super::resource::{self, Source, Unit};
use super::rows::{self, Row};
use super::tree::{Group, Tree};
use super::value::{self, Bound};
use crate::failure::{Exit, Failure};
use crate::print;

/// The command line of `beanctl bc set`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// A directory of cgroup v2, or a path below its mount point.
    cgroup: PathBuf,
    /// What to set: a barrier and a limit, or one value for both.
    #[arg(required = true, value_name = "RESOURCE=BARRIER:LIMIT")]
    wishes: Vec<Wish>,
    /// Says what would be written, in which order, and writes nothing.
    #[arg(long)]
    dry_run: bool,
}

/// `RESOURCE=BARRIER:LIMIT`, as words.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wish {
    resource: String,
    barrier: String,
    limit: String,
}

impl FromStr for Wish {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let (resource, values) = word
            .split_once('=')
            .ok_or("say RESOURCE=BARRIER:LIMIT, such as numfile=1000:1200")?;
        let (barrier, limit) = values.split_once(':').unwrap_or((values, values));
        Ok(Self {
            resource: resource.to_owned(),
            barrier: barrier.to_owned(),
            limit: limit.to_owned(),
        })
    }
}

/// Sets them.
///
/// # Errors
///
/// One of them cannot be set; then none is.
pub fn run(tree: &Tree, args: &Args) -> Result<()> {
    let group = tree.find(&args.cgroup)?;
    let rows = rows::counted(&group)?;
    if rows.is_empty() {
        return Err(tree.why_without(&group).into());
    }
    let mut seen = BTreeSet::new();
    let mut changes: Vec<Change> = Vec::new();
    let mut guarantees = Vec::new();
    for wish in &args.wishes {
        if !seen.insert(&wish.resource) {
            let what = format!("{} is there twice", wish.resource);
            return Err(Failure::new(Exit::Usage, what).into());
        }
        match rows::guarantee(&group, &wish.resource)? {
            Some(before) => guarantees.push(guarantee(wish, before)?),
            None => changes.push(change(&group, &rows, wish)?),
        }
    }
    let mut writes = order::writes(&changes);
    writes.extend(guarantees);
    if args.dry_run {
        return print(
            &writes
                .iter()
                .map(|write| said(&group, write))
                .collect::<String>(),
        );
    }
    let write = |file: &str, text: &str| {
        // One write for all lines: the kernel takes all or none of them.
        let mut file = OpenOptions::new().write(true).open(group.file(file))?;
        file.write_all(text.as_bytes())
    };
    apply(&group, &writes, write)
}

/// The write of a guarantee, which is a barrier alone.
fn guarantee(wish: &Wish, before: Bound) -> Result<Write, Failure> {
    let name = &wish.resource;
    let usage = |what| Failure::new(Exit::Usage, format!("{name}: {what}"));
    if ![wish.barrier.as_str(), "max"].contains(&wish.limit.as_str()) {
        let what = "a guarantee has no limit".to_owned();
        return Err(usage(what).fix(format!("{name}={}", wish.barrier)));
    }
    let after = value::parse(&wish.barrier, Unit::of(name)).map_err(usage)?;
    Ok(Write {
        file: "bc.low",
        text: format!("{name} {after}\n"),
        former: format!("{name} {before}\n"),
    })
}

fn change(group: &Group, rows: &[Row], wish: &Wish) -> Result<Change, Failure> {
    let name = &wish.resource;
    let row = rows.iter().find(|row| row.resource == *name);
    let Some(row) = row else {
        return Err(unknown(group, rows, name));
    };
    let usage = |what| Failure::new(Exit::Usage, format!("{name}: {what}"));
    let read = |word: &str| value::parse(word, row.unit).map_err(usage);
    let after = Settings {
        barrier: read(&wish.barrier)?,
        limit: read(&wish.limit)?,
    };
    if after.barrier > after.limit && after.barrier != Bound::Max {
        let (barrier, limit) = (&wish.barrier, &wish.limit);
        let what = format!("the barrier {barrier} is above the limit {limit}");
        return Err(usage(what).fix(format!("{name}=BARRIER:LIMIT, the lower one first")));
    }
    Ok(Change {
        resource: name.clone(),
        before: Settings {
            barrier: row.barrier.unwrap_or(Bound::Max),
            limit: row.limit.unwrap_or(Bound::Max),
        },
        after,
    })
}

/// Why a resource cannot be set here.
fn unknown(group: &Group, rows: &[Row], name: &str) -> Failure {
    let missing = |source| {
        let what = format!("{name}: this kernel does not count it");
        let names: Vec<_> = rows.iter().map(|row| row.resource.as_str()).collect();
        let fix = format!("it has {}", names.join(", "));
        match source {
            Source::BcOrPids => Failure::new(Exit::Missing, what)
                .fix(format!("write to {}", group.file("pids.max").display())),
            _ => Failure::new(Exit::Missing, what).fix(fix),
        }
    };
    match resource::find(name).map(|resource| (resource.source, name)) {
        Some((Source::Memory(_), "kmemsize" | "dcachesize")) => {
            let what = format!("{name}: it is a part of physpages, and has no limit of its own");
            Failure::new(Exit::Usage, what)
                .fix(format!("write to {}", group.file("memory.max").display()))
        }
        Some((Source::Memory(_), _)) => {
            let file = match name {
                "swappages" => "memory.swap.max",
                _ => "memory.max",
            };
            let what = format!("{name}: it belongs to the controller `memory`");
            Failure::new(Exit::Usage, what)
                .fix(format!("write bytes to {}", group.file(file).display()))
        }
        Some((source, _)) => missing(source),
        None => Failure::new(Exit::Usage, format!("there is no resource `{name}`"))
            .fix("beanctl bc explain lists them"),
    }
}

/// What a write would be in a shell.
fn said(group: &Group, write: &Write) -> String {
    let path = group.file(write.file);
    let lines = write.text.replace('\n', "\\n");
    format!("printf '{lines}' >{}\n", path.display())
}

/// Writes one after the other; after a failure, all that was written is written back.
fn apply(
    group: &Group,
    writes: &[Write],
    mut to: impl FnMut(&str, &str) -> io::Result<()>,
) -> Result<()> {
    for (done, write) in writes.iter().enumerate() {
        let Err(error) = to(write.file, &write.text) else {
            continue;
        };
        let lines = write.text.trim_end().replace('\n', ", ");
        let path = group.file(write.file);
        let what = format!("cannot set {lines} in {}: {error}", path.display());
        let mut failure = Failure::new(Exit::Failed, what);
        for write in writes[..done].iter().rev() {
            if let Err(error) = to(write.file, &write.former) {
                let lines = write.text.trim_end().replace('\n', ", ");
                let path = group.file(write.file);
                let left = format!("{lines} stays in {}: {error}", path.display());
                failure.details.push(left);
            }
        }
        return Err(match Errno::from_raw(error.raw_os_error().unwrap_or(0)) {
            Errno::EACCES | Errno::EPERM | Errno::EROFS => {
                failure.fix("be root, or the one to whom the cgroup was delegated")
            }
            _ => failure,
        }
        .into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::sample::Sample;
    use super::*;
    use std::cell::RefCell;

    fn changes(sample: &Sample, group: &str, words: &[&str]) -> Result<Vec<Change>, Failure> {
        let group = sample.group(group);
        let rows = rows::counted(&group).unwrap();
        let wish = |word: &&str| change(&group, &rows, &word.parse().unwrap());
        words.iter().map(wish).collect()
    }

    #[test]
    fn one_value_is_for_both() {
        let sample = Sample::new();
        let of = |word| changes(&sample, "shop", &[word]).map(|changes| changes[0].after);
        let at = |barrier, limit| Settings { barrier, limit };
        let (low, high) = (Bound::At(1000), Bound::At(1200));
        assert_eq!(of("numfile=1000:1200").unwrap(), at(low, high));
        assert_eq!(of("numfile=1000").unwrap(), at(low, low));
        assert_eq!(of("numfile=max").unwrap(), at(Bound::Max, Bound::Max));
        assert_eq!(of("numfile=max:1000").unwrap(), at(Bound::Max, low));
        let pages = Bound::At((4 << 20) / value::page());
        assert_eq!(of("privvmpages=4M:max").unwrap(), at(pages, Bound::Max));
    }

    #[test]
    fn a_wrong_wish_is_told_with_its_name() {
        let sample = Sample::new();
        for (word, exit, what) in [
            (
                "numfile=1k",
                Exit::Usage,
                "numfile: `1k` has a unit, but items have none",
            ),
            ("numfile=", Exit::Usage, "numfile: `` is no number"),
            ("numfile=1:2:3", Exit::Usage, "numfile: `2:3` is no number"),
            (
                "numfile=9:8",
                Exit::Usage,
                "numfile: the barrier 9 is above the limit 8",
            ),
            ("numfiles=9", Exit::Usage, "there is no resource `numfiles`"),
            (
                "numpty=9",
                Exit::Missing,
                "numpty: this kernel does not count it",
            ),
            (
                "tcpsndbuf=9",
                Exit::Missing,
                "tcpsndbuf: this kernel does not count it",
            ),
            (
                "physpages=9",
                Exit::Usage,
                "physpages: it belongs to the controller `memory`",
            ),
            (
                "kmemsize=9",
                Exit::Usage,
                "kmemsize: it is a part of physpages, and has no limit of its own",
            ),
        ] {
            let failure = changes(&sample, "shop", &["numproc=5", word]).unwrap_err();
            assert_eq!((failure.what.as_str(), failure.exit), (what, exit));
        }
    }

    #[test]
    fn a_guarantee_is_a_barrier_alone() {
        let of = |word: &str| guarantee(&word.parse().unwrap(), Bound::At(7));
        let write = of("vmguarpages=4M").unwrap();
        let pages = (4 << 20) / value::page();
        assert_eq!(
            (write.file, write.text),
            ("bc.low", format!("vmguarpages {pages}\n"))
        );
        assert_eq!(write.former, "vmguarpages 7\n");
        assert_eq!(of("oomguarpages=5:max").unwrap().text, "oomguarpages 5\n");
        let failure = of("oomguarpages=5:6").unwrap_err();
        assert_eq!(failure.what, "oomguarpages: a guarantee has no limit");
    }

    #[test]
    fn a_write_that_fails_takes_the_others_back() {
        let sample = Sample::new();
        let group = sample.group("shop");
        let changes = changes(&sample, "shop", &["numfile=500:600", "numproc=200:300"]).unwrap();
        let writes = order::writes(&changes);
        assert_eq!(writes.len(), 3);

        let log = RefCell::new(Vec::new());
        let failing_at = |number| {
            log.borrow_mut().clear();
            apply(&group, &writes, |file, text| {
                log.borrow_mut().push(format!("{file}: {text}"));
                match log.borrow().len() == number {
                    true => Err(io::Error::from_raw_os_error(13)),
                    false => Ok(()),
                }
            })
        };
        failing_at(99).unwrap();
        let all = log.borrow().clone();
        let want = [
            "bc.max: numproc 300\n",
            "bc.high: numfile 500\nnumproc 200\n",
            "bc.max: numfile 600\n",
        ];
        assert_eq!(all, want);

        let error = failing_at(3).unwrap_err();
        let file = group.file("bc.max");
        let what = format!(
            "cannot set numfile 600 in {}: Permission denied (os error 13)",
            file.display()
        );
        assert_eq!(error.to_string(), what);
        assert_eq!(log.borrow()[..3], want);
        let back = [
            "bc.high: numfile 1000\nnumproc 100\n",
            "bc.max: numproc 120\n",
        ];
        assert_eq!(log.borrow()[3..], back);
        let failure: &Failure = error.downcast_ref().unwrap();
        assert!(failure.details.is_empty());
        assert!(failure.fix.is_some());
    }

    #[test]
    fn what_cannot_be_taken_back_is_told() {
        let sample = Sample::new();
        let group = sample.group("shop");
        let changes = changes(&sample, "shop", &["numfile=500:600"]).unwrap();
        let mut left = 1;
        let error = apply(&group, &order::writes(&changes), |_, _| {
            left -= 1;
            match left < 0 {
                true => Err(io::Error::from_raw_os_error(19)),
                false => Ok(()),
            }
        });
        let error = error.unwrap_err();
        let failure: &Failure = error.downcast_ref().unwrap();
        assert_eq!(failure.details.len(), 1);
        assert!(failure.details[0].starts_with("numfile 500 stays in "));
    }
}
