// SPDX-License-Identifier: GPL-2.0

//! One parser for the Test Anything Protocol as kernels speak it.
//!
//! Two ways of nesting occur in practice and both are read here: indentation (KTAP and KUnit) and a
//! `# ` in front of every line (the runner of kselftest). A stream may be a kernel log, with a time
//! stamp in front of each line and unrelated messages in between.
//!
//! What a stream leaves out is as much a finding as a failed test: no plan, no tests, fewer or more
//! tests than planned, numbers out of order, a name that occurs twice, a subtest without a verdict.

use std::collections::HashSet;
use std::sync::LazyLock;

use regex_lite::Regex;
use serde::Serialize;

/// The verdict of one test or of a group of tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It held.
    Pass,
    /// It did not.
    Fail,
    /// It could not run here, and said why.
    Skip,
    /// It failed as its author expects; no finding.
    Xfail,
    /// It did not end in time.
    Timeout,
    /// It, or what it printed, is broken.
    Error,
}

impl Status {
    /// Whether a run with this verdict in it has failed.
    pub fn failed(self) -> bool {
        matches!(self, Self::Fail | Self::Timeout | Self::Error)
    }
}

/// A test, or a group of tests with a verdict of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Node {
    /// The name without number and directive.
    pub name: String,
    /// The verdict that was printed, [`Status::Error`] where none was.
    pub status: Status,
    /// What followed the directive: the reason of a skip, the limit of a timeout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What is wrong with the stream itself at this level.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
    /// Lines that are not part of the protocol, for a reader.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub diagnostics: Vec<String>,
    /// The parts of a group.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<Node>,
}

/// How many tests ended how; what [`Node::count`] returns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Tests that held, or failed as expected.
    pub passed: usize,
    /// Tests that did not, and groups that failed by themselves.
    pub failed: usize,
    /// Tests that could not run.
    pub skipped: usize,
}

impl Node {
    /// A test without parts.
    pub fn leaf(name: impl Into<String>, status: Status) -> Self {
        Self {
            name: name.into(),
            status,
            reason: None,
            problems: Vec::new(),
            diagnostics: Vec::new(),
            children: Vec::new(),
        }
    }

    /// A group whose verdict is that of its parts; it is a failure when there are none.
    pub fn group(name: impl Into<String>, children: Vec<Self>) -> Self {
        if children.is_empty() {
            return Self {
                problems: vec!["zero tests".to_owned()],
                ..Self::leaf(name, Status::Error)
            };
        }
        let status = if children.iter().any(Self::failed) {
            Status::Fail
        } else if children.iter().all(|child| child.status == Status::Skip) {
            Status::Skip
        } else {
            Status::Pass
        };
        Self {
            children,
            ..Self::leaf(name, status)
        }
    }

    /// Adds a reason to the verdict.
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// Whether this test, a part of it, or the stream that it came in has failed.
    pub fn failed(&self) -> bool {
        self.status.failed() || !self.problems.is_empty() || self.children.iter().any(Self::failed)
    }

    /// Whether the node failed for a reason that none of its parts shows.
    pub fn failed_itself(&self) -> bool {
        !self.problems.is_empty() || self.status.failed() && !self.children.iter().any(Self::failed)
    }

    /// Counts the tests below; a group counts only when it failed and no part of it did.
    pub fn count(&self) -> Count {
        let mut count = Count::default();
        self.walk(&mut Vec::new(), &mut |_, node| {
            if node.failed_itself() {
                count.failed += 1;
            } else if node.children.is_empty() {
                match node.status {
                    Status::Pass | Status::Xfail => count.passed += 1,
                    Status::Skip => count.skipped += 1,
                    Status::Fail | Status::Timeout | Status::Error => count.failed += 1,
                }
            }
        });
        count
    }

    /// Calls `f` with the names above each node, and the node, from the top down.
    pub fn walk<'a>(&'a self, above: &mut Vec<&'a str>, f: &mut impl FnMut(&[&'a str], &'a Self)) {
        f(above, self);
        above.push(&self.name);
        for child in &self.children {
            child.walk(above, f);
        }
        above.pop();
    }
}

/// Takes the time stamp, the caller and the level of a kernel log line away.
pub fn strip_log_prefix(line: &str) -> &str {
    static PREFIX: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^(<\d+>)?(\[ *\d+\.\d+\] ?(\[ *[TC]\d+\] ?)?)?").expect("a constant")
    });
    let line = line.trim_end_matches(['\r', '\n']);
    // The one space after the stamp belongs to the prefix, all further ones are indentation.
    let end = PREFIX.find(line).map_or(0, |found| found.end());
    &line[end..]
}

/// What the kernel says in a line, without the prefix; nothing in a line that is not the kernel's. It
/// may stand behind what a program printed without a newline.
pub fn kernel_message(line: &str) -> Option<&str> {
    static STAMP: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\[ *\d+\.\d+\] ?(\[ *[TC]\d+\] ?)?").expect("a constant"));
    let line = line.trim_end_matches(['\r', '\n']);
    STAMP.find(line).map(|found| &line[found.end()..])
}

/// What one line means at its level.
#[derive(Debug, PartialEq, Eq)]
enum Line<'a> {
    Version,
    Plan(usize, Option<&'a str>),
    Subtest,
    BailOut(&'a str),
    Result {
        ok: bool,
        number: Option<usize>,
        rest: &'a str,
    },
    Other,
}

/// Splits a line into what nests it and what it says.
fn classify(line: &str) -> (&str, Line<'_>) {
    // A comment line of a nested stream ("# # Subtest") and a nested line ("# ok 1") look alike up
    // to here, therefore every split is tried, the deepest first.
    let mut ends = vec![0];
    loop {
        let end = ends[ends.len() - 1];
        let rest = &line[end..];
        if rest.starts_with("# ") && !rest.starts_with("# Subtest") || rest.starts_with("  ") {
            ends.push(end + 2);
        } else {
            break;
        }
    }
    for &end in ends.iter().rev() {
        let what = meaning(&line[end..]);
        if what != Line::Other {
            return (&line[..end], what);
        }
    }
    ("", Line::Other)
}

fn meaning(text: &str) -> Line<'_> {
    static RESULT: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"^(ok|not ok)(?: +(\d+))?(?: +(.*))?$").expect("a constant"));
    static PLAN: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^1\.\.(\d+)\s*(?:# *(?i:skip\S*) *(.*))?$").expect("a constant")
    });
    if text.starts_with("KTAP version ") || text.starts_with("TAP version ") {
        return Line::Version;
    }
    if text.starts_with("# Subtest:") {
        return Line::Subtest;
    }
    if let Some(reason) = text.strip_prefix("Bail out!") {
        return Line::BailOut(reason.trim());
    }
    if let Some(found) = PLAN.captures(text) {
        if let Ok(count) = found[1].parse() {
            return Line::Plan(count, found.get(2).map(|reason| reason.as_str()));
        }
    }
    match RESULT.captures(text) {
        Some(found) => Line::Result {
            ok: &found[1] == "ok",
            number: found.get(2).and_then(|number| number.as_str().parse().ok()),
            rest: found.get(3).map_or("", |rest| rest.as_str()),
        },
        None => Line::Other,
    }
}

/// Reads name, directive and reason behind `ok 1`.
fn verdict(ok: bool, rest: &str) -> (String, Status, Option<String>) {
    static DIRECTIVE: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?:^|\s)# *((?i:skip|todo)\w*|XFAIL|TIMEOUT|ERROR)\b:? *(.*)$")
            .expect("a constant")
    });
    let plain = if ok { Status::Pass } else { Status::Fail };
    let name = |text: &str| text.trim().trim_start_matches("- ").trim().to_owned();
    let Some(found) = DIRECTIVE.captures(rest) else {
        // The kselftest runner says how a program ended: "# exit=1".
        let (before, reason) = match rest.split_once(" # ") {
            Some((before, reason)) if !ok => (before, Some(reason.trim().to_owned())),
            _ => (rest, None),
        };
        return (name(before), plain, reason);
    };
    let directive = found[1].to_ascii_uppercase();
    let status = match directive.as_str() {
        "XFAIL" => Status::Xfail,
        "TIMEOUT" => Status::Timeout,
        "ERROR" => Status::Error,
        directive if directive.starts_with("SKIP") => Status::Skip,
        // What is still to do may fail, and is welcome to pass.
        _ if ok => Status::Pass,
        _ => Status::Xfail,
    };
    let start = found.get(0).map_or(0, |all| all.start());
    let before = name(&rest[..start]);
    let reason = found[2].trim();
    // kselftest.h puts the directive before the name.
    if before.is_empty() {
        return (name(reason), status, None);
    }
    let reason = (!reason.is_empty()).then(|| reason.to_owned());
    (before, status, reason)
}

/// One stream that is being read: the outermost, or that of a test which has parts.
#[derive(Default)]
struct Level {
    prefix: String,
    version: bool,
    subtest: bool,
    plan: Option<usize>,
    skip_all: Option<String>,
    numbered: usize,
    children: Vec<Node>,
    problems: Vec<String>,
    pending: Vec<String>,
    /// The stream nested in this one, complete, that waits for its verdict.
    nested: Option<Box<Level>>,
}

impl Level {
    fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
            ..Self::default()
        }
    }

    fn started(&self) -> bool {
        self.version || self.plan.is_some() || !self.children.is_empty()
    }

    /// Adds what can only be said at the end of the stream.
    fn finish(&mut self) {
        let count = self.children.len();
        match self.plan {
            // KUnit cannot know the number of parameters that a generator will make.
            None if self.subtest && self.prefix.len() >= 8 && count > 0 => {}
            None if self.started() => self.problems.push("no plan".to_owned()),
            None => {}
            Some(0) if self.skip_all.is_some() => {}
            Some(0) if count == 0 => self.problems.push("zero tests planned".to_owned()),
            Some(plan) if plan != count => self
                .problems
                .push(format!("{plan} tests planned, {count} seen")),
            Some(_) => {}
        }
        if count == 0 && self.plan.is_none() {
            self.problems.push("zero tests".to_owned());
        }
        let mut seen = HashSet::new();
        for child in &self.children {
            if !seen.insert(child.name.as_str()) {
                self.problems
                    .push(format!("the name `{}` occurs twice", child.name));
            }
        }
    }

    fn result(&mut self, ok: bool, number: Option<usize>, rest: &str) {
        let (name, status, reason) = verdict(ok, rest);
        let mut node = Node {
            reason,
            diagnostics: std::mem::take(&mut self.pending),
            ..Node::leaf(name, status)
        };
        if node.name.is_empty() {
            node.problems.push("a test without a name".to_owned());
        }
        self.numbered += 1;
        if let Some(number) = number {
            if number != self.numbered {
                node.problems
                    .push(format!("number {number} where {} was due", self.numbered));
                self.numbered = number;
            }
        }
        if let Some(mut nested) = self.nested.take() {
            nested.finish();
            node.diagnostics.append(&mut nested.pending);
            node.children = nested.children;
            // A test that was skipped or did not get to its end has said all there is to say.
            if matches!(status, Status::Pass | Status::Fail | Status::Xfail) {
                node.problems.append(&mut nested.problems);
            } else {
                node.diagnostics.append(&mut nested.problems);
            }
            if let Some(reason) = nested.skip_all.filter(|_| node.status == Status::Pass) {
                node.status = Status::Skip;
                node.reason = Some(reason);
            }
            if node.status == Status::Pass && node.children.iter().any(Node::failed) {
                node.problems
                    .push("reported ok although a part of it failed".to_owned());
            }
        }
        self.children.push(node);
    }
}

/// Closes the innermost stream; its verdict, if there is any, comes in the stream around it.
fn pop(stack: &mut Vec<Level>) {
    let Some(mut inner) = stack.pop() else { return };
    let Some(outer) = stack.last_mut() else {
        stack.push(inner);
        return;
    };
    abandon(&mut inner);
    if let Some(mut orphan) = outer.nested.replace(Box::new(inner)) {
        orphan.finish();
        outer.children.push(without_verdict(*orphan));
    }
}

/// Turns a nested stream that never got its verdict into a failed test of the stream around it.
fn abandon(level: &mut Level) {
    if let Some(mut orphan) = level.nested.take() {
        orphan.finish();
        level.children.push(without_verdict(*orphan));
    }
}

fn without_verdict(level: Level) -> Node {
    let name = level
        .pending
        .iter()
        .chain(level.children.iter().flat_map(|child| &child.diagnostics))
        .find_map(|line| line.strip_prefix("# Subtest: "))
        .unwrap_or("(unfinished)")
        .to_owned();
    let mut problems = level.problems;
    problems.push("its verdict is missing: the output ends or goes on elsewhere".to_owned());
    Node {
        problems,
        diagnostics: level.pending,
        children: level.children,
        ..Node::leaf(name, Status::Error)
    }
}

/// Reads a whole output; the node returned is named `name` and holds all of its tests.
pub fn parse(name: &str, text: &str) -> Node {
    let mut stack: Vec<Level> = vec![Level::new("")];
    let mut done: Vec<Level> = Vec::new();
    let mut bail_out = None;
    for line in text.lines() {
        let line = strip_log_prefix(line);
        let (prefix, what) = classify(line);
        let opens = matches!(what, Line::Version | Line::Plan(..) | Line::Subtest);
        let known = stack.iter().any(|level| level.prefix == prefix);
        let deeper = stack
            .last()
            .is_some_and(|top| prefix.len() > top.prefix.len() && prefix.starts_with(&top.prefix));
        if what == Line::Other || !known && !opens || !known && !deeper && stack.len() == 1 {
            let top = stack.last_mut().expect("the outermost level stays");
            let text = line.strip_prefix(&top.prefix).unwrap_or(line).trim_end();
            if !text.is_empty() {
                top.pending.push(text.to_owned());
            }
            continue;
        }
        while stack.len() > 1
            && stack
                .last()
                .is_some_and(|top| top.prefix != prefix && !prefix.starts_with(&top.prefix))
        {
            pop(&mut stack);
        }
        if stack.last().is_some_and(|top| top.prefix != prefix) {
            stack.push(Level::new(prefix));
        }
        let outermost = stack.len() == 1;
        let top = stack.last_mut().expect("the outermost level stays");
        match what {
            Line::Version if outermost && top.started() => {
                // The next document, such as that of a test module loaded later.
                abandon(top);
                top.finish();
                let mut next = Level::new("");
                next.version = true;
                done.push(std::mem::replace(top, next));
            }
            Line::Version if top.version => {
                top.problems.push("a second version line".to_owned());
            }
            Line::Version => {
                top.version = true;
                if outermost {
                    // A boot log in front of the tests says nothing about the first of them.
                    top.pending.clear();
                }
            }
            Line::Subtest => {
                top.subtest = true;
                top.pending.push(line[prefix.len()..].to_owned());
            }
            Line::Plan(..) if top.plan.is_some() => {
                top.problems.push("a second plan".to_owned());
            }
            Line::Plan(count, skip) => {
                top.plan = Some(count);
                top.skip_all = skip.map(str::to_owned);
            }
            Line::BailOut(reason) => {
                top.problems.push(format!("bail out: {reason}"));
                bail_out = Some(reason.to_owned());
            }
            Line::Result { ok, number, rest } => top.result(ok, number, rest),
            Line::Other => {}
        }
    }
    while stack.len() > 1 {
        pop(&mut stack);
    }
    let mut last = stack.pop().expect("the outermost level stays");
    abandon(&mut last);
    if last.started() || done.is_empty() {
        last.finish();
    }
    done.push(last);

    let mut skip_all = None;
    let mut children = Vec::new();
    let mut problems = Vec::new();
    let mut diagnostics = Vec::new();
    for mut level in done {
        if level.plan == Some(level.children.len()) {
            // Nor does what a kernel logs after the last.
            level.pending.retain(|line| line.starts_with('#'));
        }
        children.extend(level.children);
        problems.extend(level.problems);
        diagnostics.extend(level.pending);
        skip_all = skip_all.or(level.skip_all);
    }
    let mut root = Node {
        problems,
        diagnostics,
        ..if children.is_empty() {
            Node::leaf(name, Status::Pass)
        } else {
            Node::group(name, children)
        }
    };
    if !root.problems.is_empty() {
        root.status = Status::Error;
    } else if let (Some(reason), true) = (skip_all, root.children.is_empty()) {
        root.status = Status::Skip;
        root.reason = Some(reason);
    }
    if let Some(reason) = bail_out {
        root.reason = Some(format!("bail out: {reason}"));
    }
    root
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let mut all = Vec::new();
        parse("t", text).walk(&mut Vec::new(), &mut |_, node| {
            all.extend(node.problems.iter().cloned());
        });
        all
    }

    #[test]
    fn a_flat_stream() {
        let root = parse(
            "t",
            "TAP version 13\n1..3\nok 1 one\nnot ok 2 - two\nok 3 three # SKIP no such file\n",
        );
        let seen: Vec<_> = root
            .children
            .iter()
            .map(|child| (child.name.as_str(), child.status, child.reason.as_deref()))
            .collect();
        assert_eq!(
            seen,
            [
                ("one", Status::Pass, None),
                ("two", Status::Fail, None),
                ("three", Status::Skip, Some("no such file")),
            ]
        );
        assert_eq!(
            root.count(),
            Count {
                passed: 1,
                failed: 1,
                skipped: 1
            }
        );
        assert!(root.failed());
    }

    #[test]
    fn every_directive() {
        let root = parse(
            "t",
            "KTAP version 1\n1..9\nok 1 a # SKIP r\nnot ok 2 b # TODO r\nnot ok 3 c # XFAIL r\n\
             not ok 4 d # TIMEOUT 45 seconds\nnot ok 5 e # ERROR r\nok 6 # SKIP f\n\
             not ok 7 g # exit=1\nok 8 # XFAIL h\nok 9 i # todo\n",
        );
        insta::assert_snapshot!(
            root.children
                .iter()
                .map(|node| format!("{} {:?} {:?}", node.name, node.status, node.reason))
                .collect::<Vec<_>>()
                .join("\n"),
            @r#"
        a Skip Some("r")
        b Xfail Some("r")
        c Xfail Some("r")
        d Timeout Some("45 seconds")
        e Error Some("r")
        f Skip None
        g Fail Some("exit=1")
        h Xfail None
        i Pass None
        "#
        );
    }

    #[test]
    fn a_plan_may_come_last() {
        assert_eq!(problems("TAP version 13\nok 1 a\nok 2 b\n1..2\n"), [""; 0]);
    }

    #[test]
    fn a_name_may_hold_a_hash_and_a_dash() {
        let root = parse("t", "TAP version 13\n1..2\nok 1 - issue #12\nok 2 a - b\n");
        assert_eq!(root.children[0].name, "issue #12");
        assert_eq!(root.children[1].name, "a - b");
    }

    #[test]
    fn kunit_in_a_kernel_log() {
        let root = parse("kunit", include_str!("../tests/data/kunit.log"));
        insta::assert_json_snapshot!(root);
        assert!(!root.failed());
    }

    #[test]
    fn the_runner_of_kselftest() {
        let root = parse("bc", include_str!("../tests/data/kselftest.log"));
        insta::assert_json_snapshot!(root);
        assert_eq!(
            root.count(),
            Count {
                passed: 2,
                failed: 2,
                skipped: 2
            }
        );
    }

    #[test]
    fn two_levels_of_hashes() {
        let root = parse(
            "t",
            "TAP version 13\n1..1\n# TAP version 13\n# 1..1\n# # TAP version 13\n# # 1..1\n\
             # # # a remark\n# # ok 1 in\n# ok 1 mid\nok 1 out\n",
        );
        assert_eq!(root.children[0].children[0].children[0].name, "in");
        assert_eq!(
            root.children[0].children[0].children[0].diagnostics,
            ["# a remark"]
        );
        assert!(!root.failed(), "{root:?}");
    }

    #[test]
    fn two_spaces_nest() {
        let root = parse(
            "t",
            "KTAP version 1\n1..1\n  KTAP version 1\n  1..2\n  ok 1 a\n  not ok 2 b\nnot ok 1 g\n",
        );
        assert_eq!(root.children.len(), 1);
        assert_eq!(root.children[0].children.len(), 2);
        assert_eq!(
            root.count(),
            Count {
                passed: 1,
                failed: 1,
                skipped: 0
            }
        );
    }

    #[test]
    fn a_remark_that_looks_like_a_result_is_a_remark() {
        let root = parse("t", "TAP version 13\n1..1\n# ok that went well\nok 1 a\n");
        assert!(!root.failed());
        assert_eq!(root.children[0].diagnostics, ["# ok that went well"]);
    }

    #[test]
    fn nothing_at_all_fails() {
        assert_eq!(problems(""), ["zero tests"]);
        assert_eq!(problems("Hello\n"), ["zero tests"]);
        assert!(parse("t", "").failed());
    }

    #[test]
    fn a_missing_plan_fails() {
        assert_eq!(problems("TAP version 13\nok 1 a\n"), ["no plan"]);
        assert_eq!(
            problems("TAP version 13\n1..1\n# TAP version 13\n# ok 1 a\nok 1 g\n"),
            ["no plan"]
        );
    }

    #[test]
    fn zero_tests_fail_unless_skipped() {
        assert_eq!(problems("TAP version 13\n1..0\n"), ["zero tests planned"]);
        let skipped = parse("t", "TAP version 13\n1..0 # SKIP no controller\n");
        assert_eq!(skipped.status, Status::Skip);
        assert_eq!(skipped.reason.as_deref(), Some("no controller"));
        assert!(!skipped.failed());
    }

    #[test]
    fn truncation_fails() {
        assert_eq!(
            problems("TAP version 13\n1..2\nok 1 a\n"),
            ["2 tests planned, 1 seen"]
        );
        assert_eq!(
            problems("TAP version 13\n1..1\nok 1 a\nok 2 b\n"),
            ["1 tests planned, 2 seen"]
        );
        let cut = parse(
            "t",
            "KTAP version 1\n1..2\n    KTAP version 1\n    # Subtest: s\n    1..2\n    ok 1 a\n",
        );
        assert_eq!(cut.children[0].name, "s");
        assert_eq!(
            cut.children[0].problems,
            [
                "2 tests planned, 1 seen",
                "its verdict is missing: the output ends or goes on elsewhere"
            ]
        );
        assert!(cut.failed());
    }

    #[test]
    fn duplicates_fail_at_one_level_only() {
        assert_eq!(
            problems("TAP version 13\n1..2\nok 1 a\nok 2 a\n"),
            ["the name `a` occurs twice"]
        );
        assert_eq!(
            problems(
                "TAP version 13\n1..2\n# TAP version 13\n# 1..1\n# ok 1 a\nok 1 g\n\
                 # TAP version 13\n# 1..1\n# ok 1 a\nok 2 h\n"
            ),
            [""; 0]
        );
    }

    #[test]
    fn numbers_out_of_order_fail() {
        assert_eq!(
            problems("TAP version 13\n1..2\nok 2 a\nok 1 b\n"),
            ["number 2 where 1 was due", "number 1 where 3 was due"]
        );
    }

    #[test]
    fn bailing_out_fails() {
        let root = parse("t", "TAP version 13\n1..2\nok 1 a\nBail out! no memory\n");
        assert!(root.failed());
        assert_eq!(root.reason.as_deref(), Some("bail out: no memory"));
    }

    #[test]
    fn a_group_cannot_pass_over_a_failed_part() {
        assert_eq!(
            problems("TAP version 13\n1..1\n# TAP version 13\n# 1..1\n# not ok 1 a\nok 1 g\n"),
            ["reported ok although a part of it failed"]
        );
    }

    #[test]
    fn a_group_that_failed_alone_counts() {
        let root = parse(
            "t",
            "TAP version 13\n1..1\n# TAP version 13\n# 1..1\n# ok 1 a\nnot ok 1 g # exit=139\n",
        );
        assert_eq!(
            root.count(),
            Count {
                passed: 1,
                failed: 1,
                skipped: 0
            }
        );
    }

    #[test]
    fn several_documents_add_up() {
        let root = parse(
            "t",
            "KTAP version 1\n1..1\nok 1 a\n[ 1.5] noise\nKTAP version 1\n1..1\nok 1 b\n",
        );
        assert!(!root.failed(), "{root:?}");
        assert_eq!(root.children.len(), 2);
        assert_eq!(
            problems("KTAP version 1\n1..2\nok 1 a\nKTAP version 1\n1..1\nok 1 b\n"),
            ["2 tests planned, 1 seen"]
        );
    }

    #[test]
    fn prefixes_of_the_kernel_log() {
        assert_eq!(strip_log_prefix("[    0.123456] ok 1 a\r\n"), "ok 1 a");
        assert_eq!(strip_log_prefix("[    0.123456]     1..2"), "    1..2");
        assert_eq!(strip_log_prefix("[    0.1][    T1] BUG: x"), "BUG: x");
        assert_eq!(strip_log_prefix("<4>[    0.1] x"), "x");
        assert_eq!(strip_log_prefix("[not a time] x"), "[not a time] x");
    }
}
