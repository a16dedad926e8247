// SPDX-License-Identifier: GPL-2.0

//! `beanctl bc export`: the numbers in the text format of Prometheus.

use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::Trees;
use super::rows::{self, Row};
use super::tree::{Group, Tree};
use super::value::Bound;
use crate::print;

/// The command line of `beanctl bc export`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    trees: Trees,
    /// Replaces this file as a whole; its name should end in .prom.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// One of the five numbers.
struct Metric {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    value: fn(&Row) -> Option<String>,
}

const METRICS: [Metric; 5] = [
    Metric {
        name: "beancounter_held",
        kind: "gauge",
        help: "What there is now, in the unit of the resource.",
        value: |row| Some(row.held.to_string()),
    },
    Metric {
        name: "beancounter_maxheld",
        kind: "gauge",
        help: "The most that there was, in the unit of the resource.",
        value: |row| row.maxheld.map(|number| number.to_string()),
    },
    Metric {
        name: "beancounter_barrier",
        kind: "gauge",
        help: "Strict requests are refused above it, in the unit of the resource.",
        value: |row| row.barrier.map(setting),
    },
    Metric {
        name: "beancounter_limit",
        kind: "gauge",
        help: "All requests that can be are refused above it, in the unit of the resource.",
        value: |row| row.limit.map(setting),
    },
    Metric {
        name: "beancounter_failcnt_total",
        kind: "counter",
        help: "How often the barrier or the limit of this cgroup refused a request.",
        value: |row| row.failcnt.map(|number| number.to_string()),
    },
];

/// Exports trees of cgroups.
///
/// # Errors
///
/// There is nothing to export, or the file cannot be written; it stays as it was then.
pub fn run(tree: &Tree, args: &Args) -> Result<()> {
    let groups = args.trees.groups(tree)?;
    let mut found = Vec::new();
    for group in &groups {
        found.push((group, rows::read(group)?));
    }
    if found.iter().all(|(_, rows)| rows.is_empty()) {
        let group = groups.first().cloned().unwrap_or_else(|| tree.top());
        return Err(tree.why_without(&group).into());
    }
    let text = text(&found)?;
    match &args.output {
        None => print(&text),
        Some(path) => replace(path, &text),
    }
}

fn text(found: &[(&Group, Vec<Row>)]) -> Result<String> {
    let mut out = String::new();
    for metric in &METRICS {
        let name = metric.name;
        writeln!(out, "# HELP {name} {}", metric.help)?;
        writeln!(out, "# TYPE {name} {}", metric.kind)?;
        for (group, rows) in found {
            let cgroup = label(group.name());
            for row in rows {
                if let Some(value) = (metric.value)(row) {
                    let resource = label(&row.resource);
                    writeln!(
                        out,
                        "{name}{{cgroup=\"{cgroup}\",resource=\"{resource}\"}} {value}"
                    )?;
                }
            }
        }
    }
    Ok(out)
}

fn setting(bound: Bound) -> String {
    match bound {
        Bound::At(number) => number.to_string(),
        Bound::Max => "+Inf".to_owned(),
    }
}

/// The value of a label. A name of a directory may have anything in it.
fn label(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
    out
}

/// Gives a file new contents. Whoever reads it sees all of the old or all of the new ones.
fn replace(path: &Path, text: &str) -> Result<()> {
    let name = || path.display().to_string();
    let above = path.parent().filter(|above| *above != Path::new(""));
    // The collector is another user; what does not end in .prom is nothing to it.
    let mut file = tempfile::Builder::new()
        .prefix(".beanctl-")
        .permissions(Permissions::from_mode(0o644))
        .tempfile_in(above.unwrap_or(Path::new(".")))
        .with_context(name)?;
    file.write_all(text.as_bytes()).with_context(name)?;
    // Whatever the umask is, and as the old file was, if there is one.
    let mode = fs::metadata(path).map_or(0o644, |meta| meta.permissions().mode());
    file.as_file()
        .set_permissions(Permissions::from_mode(mode & 0o777))
        .with_context(name)?;
    file.persist(path).with_context(name)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::sample::Sample;
    use super::*;
    use prometheus_parse::{Scrape, Value};
    use proptest::prelude::*;

    fn exported(sample: &Sample) -> String {
        let tree = sample.tree();
        let groups = tree.below(&tree.top()).unwrap();
        let read = |group| (group, rows::read(group).unwrap());
        text(&groups.iter().map(read).collect::<Vec<_>>()).unwrap()
    }

    fn parsed(text: &str) -> Scrape {
        Scrape::parse(text.lines().map(|line| Ok(line.to_owned()))).unwrap()
    }

    #[test]
    fn a_parser_of_others_reads_every_number() {
        let sample = Sample::new();
        let text = exported(&sample);
        let scrape = parsed(&text);
        let samples = text.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(scrape.samples.len(), samples);
        assert_eq!(scrape.docs.len(), METRICS.len());
        let value = |metric: &str, cgroup: &str, resource: &str| {
            let found = scrape.samples.iter().find(|sample| {
                sample.metric == metric
                    && sample.labels.get("cgroup") == Some(cgroup)
                    && sample.labels.get("resource") == Some(resource)
            })?;
            match found.value {
                Value::Gauge(value) | Value::Counter(value) => Some(value),
                _ => None,
            }
        };
        assert_eq!(value("beancounter_held", "/shop", "numfile"), Some(812.0));
        assert_eq!(
            value("beancounter_limit", "/shop", "privvmpages"),
            Some(f64::INFINITY)
        );
        assert_eq!(
            value("beancounter_failcnt_total", "/shop/db", "numfile"),
            Some(31.0)
        );
        assert_eq!(value("beancounter_limit", "/shop", "kmemsize"), None);
        assert_eq!(value("beancounter_held", "/", "numfile"), None);
    }

    #[test]
    fn a_metric_is_described_once_before_its_values() {
        let text = exported(&Sample::new());
        let mut seen = Vec::new();
        for line in text.lines() {
            match line.strip_prefix("# HELP ") {
                Some(help) => seen.push(help.split(' ').next().unwrap().to_owned()),
                None => {
                    let name = line.trim_start_matches("# TYPE ");
                    assert!(name.starts_with(seen.last().unwrap()), "{line}");
                }
            }
        }
        assert_eq!(seen, METRICS.map(|metric| metric.name));
    }

    #[test]
    fn a_name_with_anything_in_it_stays_in_its_label() {
        let sample = Sample::new();
        let name = "a\"} 1\nb\\n{c=\"d\"";
        sample.cgroup(name, "");
        sample.counted(name, &["numfile 1 1 1 1 0 0"]);
        let text = exported(&sample);
        let line =
            "beancounter_held{cgroup=\"/a\\\"} 1\\nb\\\\n{c=\\\"d\\\"\",resource=\"numfile\"} 1";
        assert!(text.lines().any(|found| found == line), "{text}");
    }

    #[test]
    fn the_file_is_replaced_or_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bc.prom");
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        replace(&path, "one").unwrap();
        assert_eq!(mode(), 0o644);
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        replace(&path, "two").unwrap();
        assert_eq!(
            (fs::read_to_string(&path).unwrap().as_str(), mode()),
            ("two", 0o640)
        );
        let error = replace(&dir.path().join("no/bc.prom"), "three").unwrap_err();
        assert!(format!("{error:#}").contains("no/bc.prom"), "{error:#}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    /// Undoes what the format asks for.
    fn unescaped(label: &str) -> String {
        let mut out = String::new();
        let mut chars = label.chars();
        while let Some(c) = chars.next() {
            match c {
                '\\' => match chars.next() {
                    Some('n') => out.push('\n'),
                    Some(c) => out.push(c),
                    None => panic!("{label}"),
                },
                '"' | '\n' => panic!("{label}"),
                c => out.push(c),
            }
        }
        out
    }

    proptest! {
        #[test]
        fn a_label_says_what_it_is_of(text in any::<String>()) {
            prop_assert_eq!(unescaped(&label(&text)), text);
        }
    }
}
