// SPDX-License-Identifier: GPL-2.0

//! What the guest says about the tests, and how it is shown.

use std::collections::BTreeMap;
use std::{fmt, mem};

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

/// Who saves and restores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// Nobody: a test that does not pass then tells nothing.
    Alone,
    /// The kernel's engine.
    Ckpt,
    /// CRIU.
    Criu,
}

impl Engine {
    const ALL: [Self; 3] = [Self::Alone, Self::Ckpt, Self::Criu];

    fn name(self) -> &'static str {
        match self {
            Self::Alone => "alone",
            Self::Ckpt => "ckpt",
            Self::Criu => "criu",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|engine| engine.name() == name)
    }
}

/// All attempts with a test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// What it is about.
    pub category: String,
    /// How each ended.
    #[serde(flatten)]
    pub outcomes: BTreeMap<Engine, Outcome>,
}

impl Row {
    /// Of a test that did not run yet.
    pub fn new(test: &Test) -> Self {
        Self {
            name: test.name.clone(),
            category: test.category.clone(),
            outcomes: BTreeMap::new(),
        }
    }

    /// Whether the kernel's engine did all that is asked of it: the test passes, or is refused by
    /// name.
    pub fn holds(&self) -> bool {
        let verdict = self.verdict(Engine::Ckpt);
        matches!(verdict, Some(Verdict::Pass | Verdict::Refused))
    }

    fn verdict(&self, engine: Engine) -> Option<Verdict> {
        self.outcomes.get(&engine).map(|outcome| outcome.verdict)
    }

    /// What went wrong, with the name of who did it where that is not the kernel's engine.
    fn why(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (engine, outcome) in &self.outcomes {
            let who = match engine {
                Engine::Ckpt => String::new(),
                _ => format!("{}: ", engine.name()),
            };
            let shown = outcome.why.iter().take(SHOWN);
            lines.extend(shown.map(|line| format!("{who}{line}")));
            if outcome.why.len() > SHOWN {
                lines.push(format!("{who}({} lines more)", outcome.why.len() - SHOWN));
            }
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
                let engine = Engine::named(engine);
                if let (Some(row), Some(engine), Some(verdict)) =
                    (row, engine, Verdict::named(verdict))
                {
                    let why = mem::take(&mut self.why);
                    row.outcomes.insert(engine, Outcome { verdict, why });
                }
            }
            _ => {}
        }
    }

    /// The guest is gone: the attempt that was under way did not survive it, or the last one of the
    /// kernel's engine had an effect later. Returns the test.
    pub fn crashed(
        &mut self,
        rows: &mut [Row],
        engines: &[Engine],
        because: &[String],
    ) -> Option<usize> {
        let current = self.current?;
        let outcomes = &mut rows[current].outcomes;
        let mut why = mem::take(&mut self.why);
        why.extend_from_slice(because);
        let verdict = Verdict::Crash;
        let under_way = engines.iter().find(|engine| !outcomes.contains_key(engine));
        let under_way = *under_way.unwrap_or(&Engine::Ckpt);
        outcomes.insert(under_way, Outcome { verdict, why });
        Some(current)
    }
}

/// The results as a table.
pub fn table(rows: &[Row], engines: &[Engine]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    let names = engines.iter().map(|engine| engine.name());
    table.set_header(["test", "category"].into_iter().chain(names).chain(["why"]));
    for row in rows {
        let mut cells = vec![row.name.clone(), row.category.clone()];
        cells.extend(engines.iter().map(|&engine| match row.verdict(engine) {
            Some(verdict) => verdict.to_string(),
            None => "-".to_owned(),
        }));
        cells.push(row.why().join("\n"));
        table.add_row(cells);
    }
    table
}

/// How many tests ended how, in a line for each engine.
pub fn summary(rows: &[Row], engines: &[Engine]) -> String {
    let lines = engines.iter().map(|&engine| {
        let count = |wanted| {
            let verdicts = rows.iter().map(|row| row.verdict(engine));
            verdicts.filter(|&verdict| verdict == wanted).count()
        };
        format!(
            "{}: {} pass, {} refused, {} fail, {} crash, {} not run",
            engine.name(),
            count(Some(Verdict::Pass)),
            count(Some(Verdict::Refused)),
            count(Some(Verdict::Fail)),
            count(Some(Verdict::Crash)),
            count(None)
        )
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The results as a tree, of which reports for other programs are made.
pub fn tree(rows: &[Row], engines: &[Engine]) -> Node {
    let groups = engines.iter().map(|engine| {
        let leaves = rows.iter().filter_map(|row| {
            let outcome = row.outcomes.get(engine)?;
            let mut node = Node::leaf(row.name.clone(), outcome.verdict.status());
            node.reason = outcome.why.first().cloned();
            node.diagnostics = outcome.why.clone();
            Some(node)
        });
        Node::group(engine.name(), leaves.collect())
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
        assert_eq!(rows[2].verdict(Engine::Ckpt), None);
        insta::assert_snapshot!(table(&rows, &Engine::ALL));
        insta::assert_snapshot!(summary(&rows, &Engine::ALL), @r"
        alone: 2 pass, 0 refused, 1 fail, 0 crash, 0 not run
        ckpt: 1 pass, 1 refused, 0 fail, 0 crash, 1 not run
        criu: 1 pass, 0 refused, 1 fail, 0 crash, 1 not run
        ");
        let count = tree(&rows, &[Engine::Alone, Engine::Ckpt]).count();
        assert_eq!((count.passed, count.failed, count.skipped), (3, 1, 1));
    }

    #[test]
    fn what_is_under_way_when_the_guest_dies_has_crashed_it() {
        let mut rows = rows(&["maps00", "fd"]);
        let mut reader = Reader::default();
        let died = |reader: &mut Reader, rows: &mut [Row]| {
            reader.crashed(
                rows,
                &[Engine::Alone, Engine::Ckpt],
                &["a panic".to_owned()],
            )
        };
        assert_eq!(died(&mut reader, &mut rows), None);
        read(
            &mut reader,
            "zdtm test fd\nzdtm result fd alone pass\n",
            &mut rows,
        );
        assert_eq!(died(&mut reader, &mut rows), Some(1));
        let ckpt = &rows[1].outcomes[&Engine::Ckpt];
        assert_eq!(ckpt.verdict, Verdict::Crash);
        assert_eq!(ckpt.why, ["a panic"]);
        assert!(!rows[1].holds());
    }
}
