// SPDX-License-Identifier: GPL-2.0

//! What the guest says about the tests, and how it is shown.

use std::fmt;

use comfy_table::{Table, presets};
use serde::Serialize;

use super::list::Test;
use crate::ktap::{Node, Status};

/// How many lines of a reason the table shows.
const SHOWN: usize = 4;

/// How an attempt with a test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The test found everything as it had left it.
    Pass,
    /// What it has is not supported, which was said by name.
    Refused,
    /// It found something else.
    Fail,
    /// The guest's kernel did not survive it.
    Crash,
}

impl Verdict {
    fn named(name: &str) -> Option<Self> {
        match name {
            "pass" => Some(Self::Pass),
            "refused" => Some(Self::Refused),
            "fail" => Some(Self::Fail),
            _ => None,
        }
    }

    fn status(self) -> Status {
        match self {
            Self::Pass => Status::Pass,
            Self::Refused => Status::Skip,
            Self::Fail => Status::Fail,
            Self::Crash => Status::Error,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pass => "pass",
            Self::Refused => "refused",
            Self::Fail => "FAIL",
            Self::Crash => "CRASH",
        })
    }
}

/// An attempt with a test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// How it ended.
    pub verdict: Verdict,
    /// Why, in lines.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub why: Vec<String>,
}

/// All attempts with a test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// What it is about.
    pub category: String,
    /// Without being saved: a test that does not pass then tells nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alone: Option<Outcome>,
    /// By the kernel's engine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ckpt: Option<Outcome>,
    /// By CRIU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub criu: Option<Outcome>,
}

impl Row {
    /// Of a test that did not run yet.
    pub fn new(test: &Test) -> Self {
        Self {
            name: test.name.clone(),
            category: test.category.clone(),
            alone: None,
            ckpt: None,
            criu: None,
        }
    }

    /// Whether the engine did all that is asked of it: the test passes, or is refused by name.
    pub fn holds(&self) -> bool {
        let verdict = self.ckpt.as_ref().map(|outcome| outcome.verdict);
        matches!(verdict, Some(Verdict::Pass | Verdict::Refused))
    }

    fn slot(&mut self, engine: &str) -> Option<&mut Option<Outcome>> {
        match engine {
            "alone" => Some(&mut self.alone),
            "ckpt" => Some(&mut self.ckpt),
            "criu" => Some(&mut self.criu),
            _ => None,
        }
    }

    /// What went wrong, with the name of who did it where that is not the kernel's engine.
    fn why(&self) -> Vec<String> {
        let engines = [
            ("alone: ", &self.alone),
            ("", &self.ckpt),
            ("criu: ", &self.criu),
        ];
        let mut lines = Vec::new();
        for (engine, outcome) in engines {
            let why = outcome.iter().flat_map(|outcome| &outcome.why);
            let mut shown: Vec<_> = why.map(|line| format!("{engine}{line}")).collect();
            if shown.len() > SHOWN {
                let more = shown.len() - SHOWN;
                shown.truncate(SHOWN);
                shown.push(format!("{engine}({more} lines more)"));
            }
            lines.extend(shown);
        }
        lines
    }
}

/// Reads what the guest prints.
#[derive(Default)]
pub struct Reader {
    /// The test that is under way.
    current: Option<usize>,
    /// Lines that say why, until the verdict comes.
    why: Vec<String>,
}

impl Reader {
    /// Whether a line is the first one of a test.
    pub fn begins(line: &str) -> bool {
        line.starts_with("zdtm test ")
    }

    /// Takes a line.
    pub fn line(&mut self, line: &str, rows: &mut [Row]) {
        let Some((verb, rest)) = line
            .strip_prefix("zdtm ")
            .and_then(|line| line.split_once(' '))
        else {
            return;
        };
        let words: Vec<&str> = rest.split(' ').collect();
        match (verb, &words[..]) {
            ("test", [name]) => self.current = rows.iter().position(|row| row.name == *name),
            ("why", _) => self.why.push(rest.to_owned()),
            ("result", [name, engine, verdict]) => {
                let row = rows.iter_mut().find(|row| row.name == *name);
                let slot = row.and_then(|row| row.slot(engine));
                if let (Some(slot), Some(verdict)) = (slot, Verdict::named(verdict)) {
                    let why = std::mem::take(&mut self.why);
                    *slot = Some(Outcome { verdict, why });
                }
            }
            _ => {}
        }
    }

    /// The guest is gone: what was under way did not survive it. Returns that test.
    pub fn crashed(
        &mut self,
        rows: &mut [Row],
        engines: &[&str],
        because: &[String],
    ) -> Option<usize> {
        let current = self.current?;
        let row = &mut rows[current];
        let mut why = std::mem::take(&mut self.why);
        why.extend_from_slice(because);
        let verdict = Verdict::Crash;
        for engine in engines {
            if let Some(slot @ None) = row.slot(engine) {
                *slot = Some(Outcome { verdict, why });
                break;
            }
        }
        Some(current)
    }
}

/// The results as a table.
pub fn table(rows: &[Row], criu: bool) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    let mut header = vec!["test", "category", "alone", "ckpt"];
    header.extend(criu.then_some("criu"));
    header.push("why");
    table.set_header(header);
    let word = |outcome: &Option<Outcome>| match outcome {
        Some(outcome) => outcome.verdict.to_string(),
        None => "-".to_owned(),
    };
    for row in rows {
        let mut cells = vec![row.name.clone(), row.category.clone(), word(&row.alone)];
        cells.push(word(&row.ckpt));
        cells.extend(criu.then(|| word(&row.criu)));
        cells.push(row.why().join("\n"));
        table.add_row(cells);
    }
    table
}

/// `ckpt: 20 pass, 3 refused, 1 fail`, for each engine, and how many tests fail by themselves.
pub fn summary(rows: &[Row], criu: bool) -> String {
    let count = |engine: fn(&Row) -> &Option<Outcome>, wanted: Verdict| {
        let found = rows.iter().filter_map(|row| engine(row).as_ref());
        found.filter(|outcome| outcome.verdict == wanted).count()
    };
    let mut engines: Vec<(&str, fn(&Row) -> &Option<Outcome>)> = vec![("ckpt", |row| &row.ckpt)];
    if criu {
        engines.push(("criu", |row| &row.criu));
    }
    let mut lines: Vec<String> = Vec::new();
    for (name, engine) in engines {
        let of = |verdict| count(engine, verdict);
        lines.push(format!(
            "{name}: {} pass, {} refused, {} fail, {} crash",
            of(Verdict::Pass),
            of(Verdict::Refused),
            of(Verdict::Fail),
            of(Verdict::Crash)
        ));
    }
    let alone = rows.len() - count(|row| &row.alone, Verdict::Pass);
    lines.push(format!(
        "{} tests, {alone} of them fail by themselves",
        rows.len()
    ));
    lines.join("\n")
}

/// The results as a tree, of which reports for other programs are made.
pub fn tree(rows: &[Row], criu: bool) -> Node {
    let mut engines: Vec<(&str, fn(&Row) -> &Option<Outcome>)> =
        vec![("alone", |row| &row.alone), ("ckpt", |row| &row.ckpt)];
    if criu {
        engines.push(("criu", |row| &row.criu));
    }
    let groups = engines.into_iter().map(|(name, engine)| {
        let leaves = rows.iter().filter_map(|row| {
            let outcome = engine(row).as_ref()?;
            let mut node = Node::leaf(row.name.clone(), outcome.verdict.status());
            node.reason = outcome.why.first().cloned();
            node.diagnostics = outcome.why.clone();
            Some(node)
        });
        Node::group(name, leaves.collect())
    });
    Node::group("zdtm", groups.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(names: &[&str]) -> Vec<Row> {
        let test = |name: &&str| Test {
            name: (*name).to_owned(),
            category: "memory".to_owned(),
            arguments: Vec::new(),
        };
        names.iter().map(test).map(|test| Row::new(&test)).collect()
    }

    fn read(reader: &mut Reader, text: &str, rows: &mut [Row]) {
        text.lines().for_each(|line| reader.line(line, rows));
    }

    const OUTPUT: &str = "zdtm test maps00
zdtm result maps00 alone pass
zdtm result maps00 ckpt pass
zdtm why restore ended with exit status: 1
zdtm result maps00 criu fail
something else
zdtm test pipe00
zdtm result pipe00 alone pass
zdtm why pid 12 fd 4: pipe
zdtm why pid 12 fd 5: pipe
zdtm result pipe00 ckpt refused
zdtm result pipe00 criu pass
zdtm test aio00
zdtm why ERR: no aio
zdtm result aio00 alone fail
";

    #[test]
    fn verdicts_and_reasons_are_read() {
        let mut rows = rows(&["maps00", "pipe00", "aio00"]);
        read(&mut Reader::default(), OUTPUT, &mut rows);
        let holds: Vec<_> = rows.iter().map(Row::holds).collect();
        assert_eq!(holds, [true, true, false]);
        assert_eq!(rows[2].ckpt, None);
        insta::assert_snapshot!(table(&rows, true));
        insta::assert_snapshot!(summary(&rows, true), @r"
        ckpt: 1 pass, 1 refused, 0 fail, 0 crash
        criu: 1 pass, 0 refused, 1 fail, 0 crash
        3 tests, 1 of them fail by themselves
        ");
        let count = tree(&rows, false).count();
        assert_eq!((count.passed, count.failed, count.skipped), (3, 1, 1));
    }

    #[test]
    fn what_is_under_way_when_the_guest_dies_has_crashed_it() {
        let mut rows = rows(&["maps00", "fd"]);
        let mut reader = Reader::default();
        let died = |reader: &mut Reader, rows: &mut [Row]| {
            reader.crashed(rows, &["alone", "ckpt"], &["a panic".to_owned()])
        };
        assert_eq!(died(&mut reader, &mut rows), None);
        read(
            &mut reader,
            "zdtm test fd\nzdtm result fd alone pass\n",
            &mut rows,
        );
        assert_eq!(died(&mut reader, &mut rows), Some(1));
        let ckpt = rows[1].ckpt.as_ref().unwrap();
        assert_eq!(ckpt.verdict, Verdict::Crash);
        assert_eq!(ckpt.why, ["a panic"]);
        assert!(!rows[1].holds());
    }
}
