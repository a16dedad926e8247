// SPDX-License-Identifier: GPL-2.0

//! The rows of a cgroup: what `bc` counts and guarantees in it, and what `memory` and `pids` count
//! under the names of user beancounters, where they are enabled.

use anyhow::Result;
use serde::Serialize;

use super::keyed;
use super::resource::Unit;
use super::tree::Group;
use super::value::{Bound, page};

/// The five numbers of a resource; what its controller does not have is `None`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Its name.
    pub resource: String,
    /// What it is counted in.
    pub unit: Unit,
    /// The controller.
    pub controller: &'static str,
    /// What there is now.
    pub held: u64,
    /// The most that there was.
    pub maxheld: Option<u64>,
    /// Strict requests are refused above it.
    pub barrier: Option<Bound>,
    /// All requests that can be are refused above it.
    pub limit: Option<Bound>,
    /// How often one was.
    pub failcnt: Option<u64>,
}

impl Row {
    /// What an ordinary request is refused above.
    pub fn strict(&self) -> Option<Bound> {
        self.barrier.into_iter().chain(self.limit).min()
    }

    /// How much of that is held, 1 for all; nothing if nothing is refused, as by a guarantee.
    pub fn share(&self) -> Option<f64> {
        self.failcnt?;
        match self.strict()?.number()? {
            // What is forbidden, as swap often is, and not there, is not close to its limit.
            0 if self.held == 0 => Some(0.0),
            #[expect(clippy::cast_precision_loss, reason = "it is for a bar")]
            bound => Some(self.held as f64 / bound as f64),
        }
    }
}

/// All rows of a cgroup; none if it is gone.
///
/// # Errors
///
/// A file cannot be read, or understood.
pub fn read(group: &Group) -> Result<Vec<Row>> {
    let mut rows = counted(group)?;
    rows.extend(guaranteed(group, &rows)?);
    if !rows.iter().any(|row| row.resource == "numproc") {
        rows.splice(0..0, processes(group)?);
    }
    // `max` of its events also counts what reclaim made room for.
    let oom = ("memory.events.local", "oom");
    rows.extend(limited(group, "physpages", "memory", oom)?);
    let max = ("memory.swap.events", "max");
    rows.extend(limited(group, "swappages", "memory.swap", max)?);
    rows.extend(kernel(group)?);
    Ok(rows)
}

/// What `bc` counts, also under names that are not known here.
///
/// # Errors
///
/// As above.
pub fn counted(group: &Group) -> Result<Vec<Row>> {
    const FILE: &str = "bc.stat";
    let Some(text) = group.read(FILE)? else {
        return Ok(Vec::new());
    };
    let row = |line| -> Option<Row> {
        let (name, pairs) = keyed::nested(line).next()?;
        // For a moment more may have been given back than was counted.
        let held: i64 = pairs.get("held")?.parse().ok()?;
        Some(Row {
            resource: name.to_owned(),
            unit: Unit::of(name),
            controller: "bc",
            held: u64::try_from(held).unwrap_or(0),
            maxheld: Some(pairs.get("maxheld")?.parse().ok()?),
            barrier: Some(Bound::parse(pairs.get("barrier")?)?),
            limit: Some(Bound::parse(pairs.get("limit")?)?),
            failcnt: Some(pairs.get("failcnt")?.parse().ok()?),
        })
    };
    let rows = text
        .lines()
        .map(|line| row(line).ok_or_else(|| group.strange(FILE, line)));
    rows.collect()
}

/// The guarantees that were given: the barrier is what is guaranteed, and held what that is
/// compared with.
///
/// # Errors
///
/// As above.
pub fn guaranteed(group: &Group, counted: &[Row]) -> Result<Vec<Row>> {
    let held = |name: &str| counted.iter().find(|row| row.resource == name);
    let promised = ["privvmpages", "shmpages"].map(|name| held(name).map_or(0, |row| row.held));
    let mut rows = Vec::new();
    for (name, held) in [
        ("vmguarpages", Some(promised.iter().sum())),
        ("oomguarpages", in_use(group)?),
    ] {
        let Some(barrier) = guarantee(group, name)? else {
            continue;
        };
        let (Some(held), true) = (held, barrier > Bound::At(0)) else {
            continue;
        };
        rows.push(Row {
            resource: name.to_owned(),
            unit: Unit::of(name),
            controller: "bc",
            held,
            maxheld: None,
            barrier: Some(barrier),
            limit: Some(Bound::Max),
            failcnt: None,
        });
    }
    Ok(rows)
}

/// A guarantee of `bc.low`; nothing where the kernel has none.
///
/// # Errors
///
/// As above.
pub fn guarantee(group: &Group, name: &str) -> Result<Option<Bound>> {
    const FILE: &str = "bc.low";
    let Some(text) = group.read(FILE)? else {
        return Ok(None);
    };
    let Some((_, value)) = keyed::flat(&text).find(|(key, _)| *key == name) else {
        return Ok(None);
    };
    let bound = Bound::parse(value);
    bound
        .map(Some)
        .ok_or_else(|| group.strange(FILE, &format!("{name} {value}")))
}

/// What only swap or a kill sets free, and what was swapped out, in pages.
fn in_use(group: &Group) -> Result<Option<u64>> {
    if !group.file("memory.current").exists() {
        return Ok(None);
    }
    let Some(text) = group.read("memory.stat")? else {
        return Ok(None);
    };
    let bytes = |key| keyed::number(&text, key).unwrap_or(0);
    let swapped = single(group, "memory.swap.current")?.unwrap_or(0);
    Ok(Some(pages(bytes("anon") + bytes("shmem") + swapped)))
}

fn processes(group: &Group) -> Result<Option<Row>> {
    let Some(held) = single(group, "pids.current")? else {
        return Ok(None);
    };
    // A kernel without the local file counts at each level that refused in the other one.
    let failcnt = match group.number("pids.events.local", "max")? {
        None => group.number("pids.events", "max")?,
        failcnt => failcnt,
    };
    Ok(Some(Row {
        resource: "numproc".to_owned(),
        unit: Unit::Items,
        controller: "pids",
        held,
        maxheld: single(group, "pids.peak")?,
        barrier: None,
        limit: setting(group, "pids.max")?,
        failcnt,
    }))
}

/// What `memory` limits, in the files of this prefix; failcnt is this key of that file.
fn limited(
    group: &Group,
    resource: &str,
    prefix: &str,
    (events, key): (&str, &str),
) -> Result<Option<Row>> {
    let file = |what: &str| format!("{prefix}.{what}");
    let Some(held) = single(group, &file("current"))? else {
        return Ok(None);
    };
    Ok(Some(Row {
        resource: resource.to_owned(),
        unit: Unit::Pages,
        controller: "memory",
        held: pages(held),
        maxheld: single(group, &file("peak"))?.map(pages),
        barrier: setting(group, &file("high"))?.map(in_pages),
        limit: setting(group, &file("max"))?.map(in_pages),
        failcnt: group.number(events, key)?,
    }))
}

fn kernel(group: &Group) -> Result<Vec<Row>> {
    // The root has the statistics of the whole machine, but is not accounted.
    if !group.file("memory.current").exists() {
        return Ok(Vec::new());
    }
    let Some(text) = group.read("memory.stat")? else {
        return Ok(Vec::new());
    };
    let row = |name: &str, key| {
        Some(Row {
            resource: name.to_owned(),
            unit: Unit::Bytes,
            controller: "memory",
            held: keyed::number(&text, key)?,
            maxheld: None,
            barrier: None,
            limit: None,
            failcnt: None,
        })
    };
    let rows = [
        row("kmemsize", "kernel"),
        row("dcachesize", "slab_reclaimable"),
    ];
    Ok(rows.into_iter().flatten().collect())
}

/// The value of a file that has only one.
fn word<T>(group: &Group, file: &str, parse: impl Fn(&str) -> Option<T>) -> Result<Option<T>> {
    let Some(text) = group.read(file)? else {
        return Ok(None);
    };
    let word = text.trim_end();
    parse(word)
        .map(Some)
        .ok_or_else(|| group.strange(file, word))
}

fn single(group: &Group, file: &str) -> Result<Option<u64>> {
    word(group, file, |word| word.parse().ok())
}

fn setting(group: &Group, file: &str) -> Result<Option<Bound>> {
    word(group, file, Bound::parse)
}

fn pages(bytes: u64) -> u64 {
    bytes / page()
}

fn in_pages(bytes: Bound) -> Bound {
    match bytes {
        Bound::At(bytes) => Bound::At(pages(bytes)),
        Bound::Max => Bound::Max,
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::Sample;
    use super::*;

    fn names(sample: &Sample, group: &str) -> Vec<String> {
        let rows = read(&sample.group(group)).unwrap();
        let name = |row: &Row| format!("{}.{}", row.controller, row.resource);
        rows.iter().map(name).collect()
    }

    fn row(sample: &Sample, group: &str, name: &str) -> Row {
        let rows = read(&sample.group(group)).unwrap();
        rows.into_iter().find(|row| row.resource == name).unwrap()
    }

    #[test]
    fn only_what_is_enabled_has_rows() {
        let sample = Sample::new();
        assert!(names(&sample, "/").is_empty());
        assert_eq!(names(&sample, "idle"), ["bc.numproc", "bc.numfile"]);
        let all = [
            "bc.numproc",
            "bc.numfile",
            "bc.privvmpages",
            "memory.physpages",
            "memory.swappages",
            "memory.kmemsize",
            "memory.dcachesize",
        ];
        assert_eq!(names(&sample, "shop"), all);
        sample.remove("shop/bc.stat");
        assert_eq!(names(&sample, "shop")[0], "pids.numproc");
    }

    #[test]
    fn numbers_come_from_their_controllers() {
        let sample = Sample::new();
        let numfile = row(&sample, "shop", "numfile");
        assert_eq!((numfile.held, numfile.maxheld), (812, Some(1000)));
        assert_eq!(numfile.strict(), Some(Bound::At(1000)));
        assert_eq!(numfile.share(), Some(0.812));
        let physpages = row(&sample, "shop", "physpages");
        assert_eq!(physpages.held, (300 << 20) / page());
        assert_eq!(physpages.barrier, Some(Bound::Max));
        assert_eq!(physpages.limit, Some(Bound::At((512 << 20) / page())));
        assert_eq!(physpages.failcnt, Some(2));
        let kmemsize = row(&sample, "shop", "kmemsize");
        assert_eq!((kmemsize.held, kmemsize.limit), (7 << 20, None));
        assert_eq!(kmemsize.share(), None);
        sample.remove("shop/bc.stat");
        let numproc = row(&sample, "shop", "numproc");
        assert_eq!((numproc.held, numproc.failcnt), (37, Some(4)));
    }

    #[test]
    fn a_guarantee_that_was_given_has_a_row() {
        let sample = Sample::new();
        let stat = "privvmpages held=30 maxheld=40 barrier=max limit=max failcnt=0\n\
                    shmpages held=5 maxheld=6 barrier=max limit=max failcnt=0\n";
        sample.write("shop/bc.stat", stat);
        sample.write("shop/bc.low", "vmguarpages 100\noomguarpages 0\n");
        let given = row(&sample, "shop", "vmguarpages");
        assert_eq!((given.held, given.barrier), (35, Some(Bound::At(100))));
        assert_eq!((given.limit, given.share()), (Some(Bound::Max), None));
        assert!(!names(&sample, "shop").contains(&"bc.oomguarpages".to_owned()));

        sample.write("shop/bc.low", "vmguarpages 0\noomguarpages max\n");
        let stat = format!("anon {}\nshmem {}\n", 3 * page(), page());
        sample.write("shop/memory.stat", &stat);
        sample.write("shop/memory.swap.current", &format!("{}\n", 2 * page()));
        assert_eq!(row(&sample, "shop", "oomguarpages").held, 6);
        // What it is compared with is not known where memory is not counted.
        sample.write("idle/bc.low", "vmguarpages 0\noomguarpages 5\n");
        assert_eq!(names(&sample, "idle"), ["bc.numproc", "bc.numfile"]);
        sample.write("idle/bc.low", "vmguarpages many\n");
        let error = read(&sample.group("idle")).unwrap_err().to_string();
        assert!(
            error.ends_with("`vmguarpages many` is not understood"),
            "{error}"
        );
    }

    #[test]
    fn a_resource_of_a_later_kernel_has_a_row() {
        let sample = Sample::new();
        let line = "newpages held=-1 maxheld=2 barrier=0 limit=max failcnt=9 minheld=1\n";
        sample.write("idle/bc.stat", line);
        let new = row(&sample, "idle", "newpages");
        assert_eq!((new.unit, new.held), (Unit::Pages, 0));
        assert_eq!(new.share(), Some(0.0));
        let line = "newpages held=1 maxheld=2 barrier=0 limit=max failcnt=9\n";
        sample.write("idle/bc.stat", line);
        let new = row(&sample, "idle", "newpages");
        assert_eq!(new.share(), Some(f64::INFINITY));
    }

    #[test]
    fn what_is_not_understood_is_told_with_its_file() {
        let sample = Sample::new();
        sample.write("idle/bc.stat", "numfile held=x\n");
        let error = read(&sample.group("idle")).unwrap_err().to_string();
        assert!(
            error.ends_with("/idle/bc.stat: `numfile held=x` is not understood"),
            "{error}"
        );
    }
}
