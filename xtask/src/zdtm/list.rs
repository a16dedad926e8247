// SPDX-License-Identifier: GPL-2.0

//! Lists of tests: a line for each, with its name, its category, the kind of its arguments and the
//! flavours that it can run in.

use std::path::{Path, PathBuf};

use glob::Pattern;

use crate::exit::{Exit, Failure};

/// Where the programs are in the directory of the suite.
const PLACES: [&str; 2] = ["static", "transition"];

/// The flavour that is run: without namespaces of its own.
const HOST: &str = "h";

/// One test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Test {
    /// The name of its program.
    pub name: String,
    /// What it is about.
    pub category: String,
    /// What it wants to be told besides where its verdict goes.
    pub arguments: Vec<String>,
}

impl Test {
    /// Reads a line; nothing if the test needs namespaces of its own.
    fn read(line: &str) -> Result<Option<Self>, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [name, category, kind, flavours] = words[..] else {
            return Err(format!("`{line}` has not four words"));
        };
        if !flavours.split('+').any(|flavour| flavour == HOST) {
            return Ok(None);
        }
        let arguments: &[&str] = match (kind, name) {
            ("nofile", _) => &[],
            ("file", _) => &["--filename=file"],
            ("dir", _) => &["--dirname=dir"],
            ("dirfile", _) => &["--dirname=dir", "--filename=file"],
            ("tst", "cmdlinenv00") => &["--arg1=arg1", "--arg2=arg2", "--arg3=arg3"],
            ("tst", "env00") => &["--envname=ENV_00_TEST"],
            ("tst", "fifo-rowo-pair") => &["--name_master=master", "--name_slave=slave"],
            ("tst", "shm-hugetlb") => &["--shmem_size=4194304"],
            ("tst", "shm-unaligned") => &["--shmem_size=5000"],
            ("tst", "umask00") => &["--mask=0345"],
            ("tst", _) => return Err(format!("the arguments of {name} are not known")),
            _ => return Err(format!("`{kind}` is no kind of arguments")),
        };
        Ok(Some(Self {
            name: name.to_owned(),
            category: category.to_owned(),
            arguments: arguments.iter().map(|&word| word.to_owned()).collect(),
        }))
    }

    /// Its program, if it was built.
    pub fn program(&self, suite: &Path) -> Option<PathBuf> {
        let paths = PLACES.map(|place| suite.join(place).join(&self.name));
        paths.into_iter().find(|path| path.is_file())
    }
}

/// Reads a list, and keeps the tests with a name that one of the patterns matches; all if there is
/// none.
///
/// # Errors
///
/// A line is not as it should be, or no test is left (usage).
pub fn read(text: &str, path: &Path, patterns: &[Pattern]) -> Result<Vec<Test>, Failure> {
    let usage = |what| Failure::new(Exit::Usage, format!("{}: {what}", path.display()));
    let mut tests = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let test =
            Test::read(line).map_err(|what| usage(format!("line {}: {what}", number + 1)))?;
        tests.extend(test);
    }
    if !patterns.is_empty() {
        tests.retain(|test| patterns.iter().any(|pattern| pattern.matches(&test.name)));
    }
    match tests.is_empty() {
        true => Err(usage("no test of it is left".to_owned())),
        false => Ok(tests),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str, patterns: &[&str]) -> Result<Vec<String>, String> {
        let patterns: Vec<_> = patterns
            .iter()
            .map(|text| Pattern::new(text).unwrap())
            .collect();
        let tests = read(text, Path::new("list"), &patterns).map_err(|failure| failure.what)?;
        Ok(tests.into_iter().map(|test| test.name).collect())
    }

    #[test]
    fn tests_are_chosen_by_flavour_and_by_name() {
        let text = "# comment\n\nmaps00 memory file h+ns+uns\nmaps01\tmemory\tnofile\th\n\
             utsname uts nofile ns+uns\nfd files nofile h\n";
        assert_eq!(names(text, &[]).unwrap(), ["maps00", "maps01", "fd"]);
        assert_eq!(
            names(text, &["maps*", "utsname"]).unwrap(),
            ["maps00", "maps01"]
        );
        let error = names(text, &["utsname"]).unwrap_err();
        assert_eq!(error, "list: no test of it is left");
    }

    #[test]
    fn what_is_wrong_with_a_line_is_said_with_its_number() {
        let error = |line: &str| names(&format!("# list\n{line}\n"), &[]).unwrap_err();
        assert_eq!(
            error("maps00 memory"),
            "list: line 2: `maps00 memory` has not four words"
        );
        assert_eq!(
            error("a b what h"),
            "list: line 2: `what` is no kind of arguments"
        );
        assert_eq!(
            error("a b tst h"),
            "list: line 2: the arguments of a are not known"
        );
    }

    #[test]
    fn arguments_come_from_the_kind() {
        let arguments = |line: &str| Test::read(line).unwrap().unwrap().arguments;
        assert!(arguments("fd files nofile h").is_empty());
        assert_eq!(arguments("cwd00 files dir h"), ["--dirname=dir"]);
        assert_eq!(arguments("umask00 creds-attrs tst h+ns"), ["--mask=0345"]);
    }

    #[test]
    fn the_list_of_the_repository_is_right() {
        let path = crate::paths::repo().join(super::super::LIST);
        let text = std::fs::read_to_string(&path).unwrap();
        let tests = read(&text, &path, &[]).unwrap();
        let names: std::collections::BTreeSet<_> = tests.iter().map(|test| &test.name).collect();
        assert_eq!(names.len(), tests.len());
    }
}
