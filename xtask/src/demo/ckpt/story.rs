// SPDX-License-Identifier: GPL-2.0

//! What the guest's scripts say, whether it is what should have happened, and how it is told.

use std::collections::BTreeMap;

/// The digits that every schoolbook has.
const PI: &str = "31415926535897932384";

/// The words `key=value` by the word before them.
#[derive(Debug, Default)]
pub struct Facts {
    facts: BTreeMap<(String, String), String>,
    /// Lines of anything else.
    pub said: Vec<String>,
}

impl Facts {
    /// Reads the output of a script.
    pub fn read(output: &str) -> Self {
        let mut all = Self::default();
        for line in output.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let (heads, pairs): (Vec<&str>, Vec<&str>) =
                words.iter().partition(|word| !word.contains('='));
            if pairs.is_empty() || heads.is_empty() || heads.len() > 2 {
                all.said.push(line.to_owned());
                continue;
            }
            for (key, value) in pairs.iter().filter_map(|pair| pair.split_once('=')) {
                let key = (heads.join(" "), key.to_owned());
                all.facts.insert(key, value.to_owned());
            }
        }
        all
    }

    /// What was said, or `?`.
    fn text(&self, head: &str, key: &str) -> &str {
        let key = (head.to_owned(), key.to_owned());
        self.facts.get(&key).map_or("?", String::as_str)
    }

    fn number(&self, head: &str, key: &str) -> Option<u64> {
        self.text(head, key).parse().ok()
    }
}

/// Collects what is not as it should be.
#[derive(Default)]
struct Wrong(Vec<String>);

impl Wrong {
    fn unless(&mut self, right: bool, what: &str) {
        if !right {
            self.0.push(what.to_owned());
        }
    }
}

/// The first boot.
pub mod before {
    use super::{Facts, Wrong};
    use crate::demo::ckpt::bytes;

    /// What is not as it should be.
    pub fn wrong(facts: &Facts) -> Vec<String> {
        let mut wrong = Wrong::default();
        for program in ["counter", "pi"] {
            let size = facts.number(&format!("saved {program}"), "bytes");
            wrong.unless(size > Some(0), &format!("{program} was not saved"));
        }
        wrong.unless(
            facts.number("counter", "at") >= Some(30),
            "nothing was counted",
        );
        wrong.unless(
            facts.number("counter", "left") > Some(0),
            "the child of the counter was not asleep",
        );
        let (at, of) = (facts.number("pi", "at"), facts.number("pi", "of"));
        wrong.unless(
            at > Some(0) && at < of,
            "pi was not saved in the midst of its work",
        );
        wrong.unless(
            facts.number("undisturbed", "digits") == of && of.is_some(),
            "there is nothing to compare pi with",
        );
        wrong.0
    }

    /// Tells it.
    pub fn tell(facts: &Facts) {
        let left = facts.number("counter", "left").unwrap_or(0);
        println!(
            "  counter  pid {}: at {}, its child asleep for {:.1} s more; saved in {}, killed",
            facts.text("start counter", "pid"),
            facts.text("counter", "at"),
            left as f64 / 1e9,
            bytes(facts.number("saved counter", "bytes").unwrap_or(0)),
        );
        println!(
            "  python3  pid {}: at digit {} of {} of pi; saved in {}, killed",
            facts.text("start pi", "pid"),
            facts.text("pi", "at"),
            facts.text("pi", "of"),
            bytes(facts.number("saved pi", "bytes").unwrap_or(0)),
        );
    }
}

/// The second boot.
pub mod after {
    use super::{Facts, PI, Wrong};

    /// What is not as it should be.
    pub fn wrong(first: &Facts, facts: &Facts) -> Vec<String> {
        let mut wrong = Wrong::default();
        let boots = [first, facts].map(|facts| facts.text("boot", "id"));
        wrong.unless(
            boots[0] != boots[1] && !boots.contains(&"?"),
            "it is the same boot",
        );
        let at = first.number("counter", "at");
        wrong.unless(
            facts.number("found", "counter") == at && at.is_some(),
            "the counter went on behind its image",
        );
        wrong.unless(
            facts.number("found", "pi") == first.number("pi", "at"),
            "pi went on behind its image",
        );
        wrong.unless(
            facts.text("counter", "code") == "0" && facts.text("counter", "kinds") == "8",
            "the memory of the counter is damaged, or it did not end well",
        );
        wrong.unless(
            facts.number("counter", "at") > at,
            "the counter did not go on",
        );
        wrong.unless(
            facts.text("numbers", "gaps") == "0"
                && facts.number("numbers", "lines") == facts.number("counter", "at"),
            "numbers are missing, or came twice",
        );
        wrong.unless(
            facts.text("counter", "woke") == "1",
            "the child of the counter did not sleep to the end",
        );
        wrong.unless(
            facts.text("pi", "code") == "0"
                && facts.number("pi", "digits") == first.number("pi", "of"),
            "pi did not get to its end",
        );
        wrong.unless(
            facts.text("pi", "same") == "yes",
            "an undisturbed run has other digits",
        );
        wrong.unless(
            facts.text("pi", "first") == PI,
            "the digits are not those of pi",
        );
        wrong.0
    }

    /// Tells it.
    pub fn tell(first: &Facts, facts: &Facts) {
        let at = first.number("counter", "at").unwrap_or(0);
        println!(
            "  counter  went on with {} and counted to {}, without a gap; its child woke up in \
             time;\n           {} kinds of memory and files have the content they should have",
            at + 1,
            facts.text("counter", "at"),
            facts.text("counter", "kinds"),
        );
        println!(
            "  python3  went on after digit {} and found all {}; an undisturbed run has the same",
            first.text("pi", "at"),
            facts.text("pi", "digits"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "\
boot id=a
start counter pid=20001
start pi pid=21001
saved counter bytes=1000
counter at=31 left=12000000000
saved pi bytes=2000
pi at=340 of=1000
undisturbed digits=1000
";

    const AFTER: &str = "\
boot id=b
found counter=31 pi=340
counter code=0 at=90 kinds=8 woke=1
numbers lines=90 gaps=0
pi code=0 digits=1000 same=yes first=31415926535897932384
";

    #[test]
    fn what_should_happen_is_not_wrong() {
        let (first, second) = (Facts::read(BEFORE), Facts::read(AFTER));
        assert_eq!(before::wrong(&first), Vec::<String>::new());
        assert_eq!(after::wrong(&first, &second), Vec::<String>::new());
        assert!(first.said.is_empty() && second.said.is_empty());
    }

    #[test]
    fn each_thing_that_should_not_happen_is() {
        for (from, to) in [
            ("saved counter bytes=1000", "saved counter bytes=0"),
            ("saved pi", "lost pi"),
            ("counter at=31", "counter at=3"),
            ("left=12000000000", "left="),
            ("pi at=340", "pi at=1000"),
            ("undisturbed digits=1000", "undisturbed digits=10"),
        ] {
            assert!(BEFORE.contains(from));
            let facts = Facts::read(&BEFORE.replace(from, to));
            assert_eq!(before::wrong(&facts).len(), 1, "{to}");
        }
        for (from, to) in [
            ("boot id=b", "boot id=a"),
            ("found counter=31", "found counter=32"),
            ("pi=340", "pi=341"),
            ("counter code=0", "counter code=1"),
            ("kinds=8", "kinds=7"),
            ("woke=1", "woke=0"),
            ("gaps=0", "gaps=1"),
            ("lines=90", "lines=91"),
            ("pi code=0", "pi code=137"),
            ("digits=1000", "digits=999"),
            ("same=yes", "same=no"),
            ("first=3", "first=4"),
        ] {
            assert!(AFTER.contains(from));
            let facts = Facts::read(&AFTER.replace(from, to));
            assert_eq!(after::wrong(&Facts::read(BEFORE), &facts).len(), 1, "{to}");
        }
        let silent = Facts::read("");
        assert!(!before::wrong(&silent).is_empty());
        assert!(!after::wrong(&silent, &silent).is_empty());
    }

    #[test]
    fn what_is_no_fact_is_kept() {
        let facts =
            Facts::read("error: cannot save it: no (EOPNOTSUPP)\n  pid 7 fd 3: a=b c d e\n");
        assert_eq!(facts.said.len(), 2);
    }
}
