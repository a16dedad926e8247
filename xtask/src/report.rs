// SPDX-License-Identifier: GPL-2.0

//! Results for people (a tree, coloured on a terminal), for programs (JSON) and for the collectors of
//! continuous integration (JUnit XML).

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use anyhow::{Context, Result};
use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};
use serde::Serialize;

use crate::exit::Exit;
use crate::ktap::{Count, Node, Status};

/// From how many tests on a run shows a group that passed as one line.
const COLLAPSE: usize = 100;

/// How many lines of a failed test's output the tree shows; all of them are in the log.
const SHOWN: usize = 40;

/// The results of one tier on one kind of machine.
#[derive(Debug, Serialize)]
pub struct Run {
    /// The tier and the machine, such as `bc on um`.
    pub name: String,
    /// What the tests reported, and what became of the machine that they ran on.
    pub root: Node,
    /// How long it took, with the start of the machine.
    #[serde(serialize_with = "seconds")]
    pub time: Duration,
    /// Where the whole console output is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<PathBuf>,
    /// The command that runs the same again, or only what failed.
    pub reproduce: String,
    /// What befell the machine, when that says more than the tests do.
    #[serde(skip)]
    pub exit: Exit,
}

fn seconds<S: serde::Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((time.as_secs_f64() * 1000.0).round() / 1000.0)
}

/// Everything that one command ran.
#[derive(Debug, Default)]
pub struct Report {
    /// In the order they ran.
    pub runs: Vec<Run>,
}

impl Run {
    /// The exit code that this run alone would lead to.
    pub fn exit(&self) -> Exit {
        if self.exit != Exit::Pass {
            return self.exit;
        }
        let mut timeout = false;
        self.root.walk(&mut Vec::new(), &mut |_, node| {
            timeout |= node.status == Status::Timeout;
        });
        let count = self.root.count();
        if timeout {
            Exit::TimeLimit
        } else if count.failed > 0 || self.root.failed() || count == Count::default() {
            Exit::Findings
        } else if count.passed == 0 {
            Exit::Skipped
        } else {
            Exit::Pass
        }
    }
}

impl Report {
    /// The sum over all runs.
    pub fn count(&self) -> Count {
        let mut sum = Count::default();
        for count in self.runs.iter().map(|run| run.root.count()) {
            sum.passed += count.passed;
            sum.failed += count.failed;
            sum.skipped += count.skipped;
        }
        sum
    }

    /// The run that decides the exit code: the first of the worst.
    fn worst(&self) -> Option<&Run> {
        let rank = |run: &&Run| match run.exit() {
            Exit::Pass => 0,
            Exit::Skipped => 1,
            Exit::Usage => 2,
            Exit::Findings => 3,
            Exit::Infrastructure => 4,
            Exit::TimeLimit => 5,
            Exit::GuestCrash => 6,
        };
        self.runs.iter().rev().max_by_key(rank)
    }

    /// The exit code of the whole: that of the worst run; skipped only when nothing ran at all.
    pub fn exit(&self) -> Exit {
        match self.worst().map(Run::exit) {
            None => Exit::Findings,
            Some(Exit::Skipped) if self.count().passed > 0 && self.count().failed == 0 => {
                Exit::Pass
            }
            Some(exit) => exit,
        }
    }

    /// `12 passed, 0 failed, 1 skipped`.
    pub fn summary(&self) -> String {
        let count = self.count();
        format!(
            "{} passed, {} failed, {} skipped",
            count.passed, count.failed, count.skipped
        )
    }

    /// The command that runs the worst failure again.
    pub fn reproduce(&self) -> Option<&str> {
        match self.exit() {
            Exit::Pass => None,
            Exit::Skipped if self.count().failed == 0 => None,
            _ => self.worst().map(|run| run.reproduce.as_str()),
        }
    }

    /// Writes the tree.
    ///
    /// # Errors
    ///
    /// `out` cannot be written to.
    pub fn tree(&self, out: &mut impl Write) -> io::Result<()> {
        for run in &self.runs {
            let bold = Style::new().bold();
            writeln!(
                out,
                "{bold}{}{bold:#} ({:.1} s)",
                run.name,
                run.time.as_secs_f64()
            )?;
            let mut tests = 0;
            run.root.walk(&mut Vec::new(), &mut |_, node| {
                tests += usize::from(node.children.is_empty());
            });
            remarks(out, &run.root, 1)?;
            for child in &run.root.children {
                branch(out, child, 1, tests > COLLAPSE)?;
            }
            if let (true, Some(log)) = (run.root.failed(), &run.log) {
                writeln!(out, "  log: {}", log.display())?;
            }
        }
        Ok(())
    }

    /// Everything for a program to read.
    ///
    /// # Errors
    ///
    /// None that is known: every part can be represented.
    pub fn json(&self) -> Result<String> {
        #[derive(Serialize)]
        struct Whole<'a> {
            summary: Count,
            exit: u8,
            #[serde(skip_serializing_if = "Option::is_none")]
            reproduce: Option<&'a str>,
            runs: &'a [Run],
        }
        let whole = Whole {
            summary: self.count(),
            exit: self.exit() as u8,
            reproduce: self.reproduce(),
            runs: &self.runs,
        };
        Ok(serde_json::to_string_pretty(&whole)?)
    }

    /// One test suite per run, one test case per test.
    ///
    /// # Errors
    ///
    /// None that is known: every part can be represented.
    pub fn junit(&self) -> Result<String> {
        let mut report = quick_junit::Report::new("beanpod");
        for run in &self.runs {
            let mut suite = TestSuite::new(run.name.as_str());
            suite.set_time(run.time);
            if let Some(log) = &run.log {
                suite.add_property(("console-log", log.display().to_string().as_str()));
            }
            run.root.walk(&mut Vec::new(), &mut |above, node| {
                if node.children.is_empty() || node.failed_itself() {
                    let mut case = TestCase::new(node.name.as_str(), junit_status(node));
                    if !above.is_empty() {
                        case.set_classname(above.join("."));
                    }
                    suite.add_test_case(case);
                }
            });
            report.add_test_suite(suite);
        }
        Ok(report.to_string()?)
    }

    /// Writes [`Report::junit`] to a file.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn write_junit(&self, path: &Path) -> Result<()> {
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
        }
        fs::write(path, self.junit()?).with_context(|| path.display().to_string())
    }
}

fn junit_status(node: &Node) -> TestCaseStatus {
    let mut status = match node.status {
        Status::Pass | Status::Xfail if node.problems.is_empty() => {
            return TestCaseStatus::success();
        }
        Status::Skip if node.problems.is_empty() => TestCaseStatus::skipped(),
        Status::Fail => TestCaseStatus::non_success(NonSuccessKind::Failure),
        _ => TestCaseStatus::non_success(NonSuccessKind::Error),
    };
    let mut message: Vec<&str> = node.reason.iter().map(String::as_str).collect();
    message.extend(node.problems.iter().map(String::as_str));
    if !message.is_empty() {
        status.set_message(message.join("; "));
    }
    if !node.diagnostics.is_empty() {
        status.set_description(node.diagnostics.join("\n"));
    }
    status
}

/// One test with everything below it.
fn branch(out: &mut impl Write, node: &Node, depth: usize, collapse: bool) -> io::Result<()> {
    let (word, color) = match node.status {
        _ if !node.problems.is_empty() => ("ERROR", AnsiColor::Red),
        Status::Pass => ("ok", AnsiColor::Green),
        Status::Fail => ("FAIL", AnsiColor::Red),
        Status::Skip => ("skip", AnsiColor::Yellow),
        Status::Xfail => ("xfail", AnsiColor::Yellow),
        Status::Timeout => ("TIMEOUT", AnsiColor::Red),
        Status::Error => ("ERROR", AnsiColor::Red),
    };
    let style = Style::new().fg_color(Some(color.into()));
    let indent = depth * 2;
    write!(out, "{:indent$}{style}{word:<5}{style:#} {}", "", node.name)?;
    if let Some(reason) = &node.reason {
        write!(out, " ({reason})")?;
    }
    let count = node.count();
    let clean = !node.failed() && count.skipped == 0 && !node.children.is_empty();
    if collapse && clean {
        return writeln!(out, ": {} passed", count.passed);
    }
    writeln!(out)?;
    remarks(out, node, depth + 1)?;
    for child in &node.children {
        branch(out, child, depth + 1, collapse)?;
    }
    Ok(())
}

/// What is wrong with a node itself, and what it printed.
fn remarks(out: &mut impl Write, node: &Node, depth: usize) -> io::Result<()> {
    let indent = depth * 2;
    for problem in &node.problems {
        writeln!(out, "{:indent$}! {problem}", "")?;
    }
    if node.failed_itself() {
        let dim = Style::new().dimmed();
        let hidden = node.diagnostics.len().saturating_sub(SHOWN);
        if hidden > 0 {
            writeln!(out, "{:indent$}{dim}| ({hidden} lines more){dim:#}", "")?;
        }
        for line in &node.diagnostics[hidden..] {
            writeln!(out, "{:indent$}{dim}| {line}{dim:#}", "")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ktap;

    fn report() -> Report {
        let run = |name: &str, root: Node| Run {
            name: name.to_owned(),
            root,
            time: Duration::from_millis(1234),
            log: Some("logs/x.log".into()),
            reproduce: format!("cargo xtask test {name}"),
            exit: Exit::Pass,
        };
        let good = "TAP version 13\n1..2\nok 1 a\nok 2 b # SKIP <no> \"file\"\n";
        Report {
            runs: vec![
                run("good", ktap::parse("good", good)),
                run(
                    "bc on um",
                    ktap::parse("bc", include_str!("../tests/data/kselftest.log")),
                ),
            ],
        }
    }

    #[test]
    fn what_could_not_start_is_not_a_pass() {
        let mut report = report();
        report.runs.truncate(1);
        assert_eq!(report.exit(), Exit::Pass);
        let mut missing = Node::leaf("the start", Status::Error);
        missing.diagnostics.push("no emulator".to_owned());
        report.runs.push(Run {
            name: "bc on qemu".to_owned(),
            root: Node::group("bc", vec![missing]),
            time: Duration::ZERO,
            log: None,
            reproduce: "cargo xtask test bc".to_owned(),
            exit: Exit::Skipped,
        });
        assert_ne!(report.exit(), Exit::Pass);
        assert_eq!(report.reproduce(), Some("cargo xtask test bc"));
    }

    fn plain(report: &Report) -> String {
        let mut out = anstream::StripStream::new(Vec::new());
        report.tree(&mut out).unwrap();
        String::from_utf8(out.into_inner()).unwrap()
    }

    #[test]
    fn the_tree() {
        insta::assert_snapshot!(plain(&report()));
    }

    #[test]
    fn long_runs_collapse_what_passed() {
        let leaves = (0..=COLLAPSE).map(|n| Node::leaf(n.to_string(), Status::Pass));
        let mut report = report();
        report.runs.truncate(1);
        report.runs[0].root = Node::group("t", vec![Node::group("g", leaves.collect())]);
        assert_eq!(plain(&report), "good (1.2 s)\n  ok    g: 101 passed\n");
    }

    #[test]
    fn json() {
        insta::assert_snapshot!(report().json().unwrap());
    }

    #[test]
    fn junit() {
        insta::assert_snapshot!(report().junit().unwrap());
    }

    #[test]
    fn the_worst_run_decides() {
        let mut report = report();
        // A program ran into its limit.
        assert_eq!(report.exit(), Exit::TimeLimit);
        assert_eq!(report.reproduce(), Some("cargo xtask test bc on um"));
        assert_eq!(report.summary(), "3 passed, 2 failed, 3 skipped");
        report.runs[0].exit = Exit::GuestCrash;
        assert_eq!(report.exit(), Exit::GuestCrash);
        assert_eq!(report.reproduce(), Some("cargo xtask test good"));
        report.runs.truncate(1);
        report.runs[0].exit = Exit::Pass;
        assert_eq!(report.exit(), Exit::Pass);
        assert_eq!(report.reproduce(), None);
    }

    #[test]
    fn nothing_run_is_a_failure_and_all_skipped_is_a_skip() {
        let mut report = report();
        report.runs.truncate(1);
        report.runs[0].root = Node::group("t", vec![Node::leaf("a", Status::Skip)]);
        assert_eq!(report.exit(), Exit::Skipped);
        report.runs[0].root = Node::group("t", vec![]);
        assert_eq!(report.exit(), Exit::Findings);
        assert_eq!(Report::default().exit(), Exit::Findings);
    }
}
