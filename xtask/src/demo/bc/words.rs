// SPDX-License-Identifier: GPL-2.0

//! What the guest's script of the demonstration says, and whether it is what should have happened.

use std::collections::BTreeMap;

/// The words `key=value` of a line.
type Words = BTreeMap<String, String>;

/// What a bomb reports of itself.
#[derive(Debug)]
pub struct Bomb {
    pub name: String,
    pub made: u64,
    pub refused: u64,
    pub errno: String,
}

/// What the neighbour reports of itself.
#[derive(Debug)]
pub struct Work {
    pub rounds: u64,
    pub failed: u64,
}

/// A line of `bc.stat`.
#[derive(Debug)]
pub struct Stat {
    pub resource: String,
    /// In the order of the file.
    pub values: Vec<(String, String)>,
}

impl Stat {
    fn get(&self, key: &str) -> Option<u64> {
        let (_, value) = self.values.iter().find(|(name, _)| name == key)?;
        value.parse().ok()
    }
}

/// All that was said.
#[derive(Debug, Default)]
pub struct Facts {
    /// The neighbour.
    pub work: Option<Work>,
    /// The bombs, in the order in which they ended.
    pub bombs: Vec<Bomb>,
    /// `bc.stat` by container, and of the cgroup above them, after their end.
    pub stats: BTreeMap<String, Vec<Stat>>,
    /// The fields of the tracepoint.
    pub refusals: Vec<Words>,
    ids: BTreeMap<String, String>,
}

impl Facts {
    /// Reads the output of the script; lines of anything else are passed over.
    pub fn read(output: &str) -> Self {
        let mut facts = Self::default();
        for line in output.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let pairs = pairs(&words);
            let map: Words = pairs.iter().cloned().collect();
            let number = |key: &str| map.get(key).and_then(|value| value.parse().ok());
            match words[..] {
                ["id", name, id] => {
                    facts.ids.insert(id.to_owned(), name.to_owned());
                }
                ["quiet", "work", ..] => {
                    if let (Some(rounds), Some(failed)) = (number("rounds"), number("failed")) {
                        facts.work = Some(Work { rounds, failed });
                    }
                }
                ["bomb", name, ..] => {
                    if let (Some(made), Some(refused)) = (number("made"), number("refused")) {
                        facts.bombs.push(Bomb {
                            name: name.to_owned(),
                            made,
                            refused,
                            errno: map.get("errno").cloned().unwrap_or_default(),
                        });
                    }
                }
                ["stat", container, resource, ..] => {
                    let stats = facts.stats.entry(container.to_owned()).or_default();
                    stats.push(Stat {
                        resource: resource.to_owned(),
                        values: pairs,
                    });
                }
                ["refusal", ..] => facts.refusals.push(map),
                _ => {}
            }
        }
        facts
    }

    /// The container with a cgroup id, or the id.
    pub fn name_of<'a>(&'a self, id: &'a str) -> &'a str {
        self.ids.get(id).map_or(id, String::as_str)
    }

    /// Everything that is not as it should be.
    pub fn wrong(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        match &self.work {
            Some(Work { failed: 0, rounds }) if *rounds > 0 => {}
            Some(work) => wrong.push(format!(
                "{} of {} rounds of the neighbour's work failed",
                work.failed, work.rounds
            )),
            None => wrong.push("the neighbour did not report its work".to_owned()),
        }
        for (name, resource) in [("fork-bomb", "numproc"), ("file-bomb", "numfile")] {
            let Some(bomb) = self.bombs.iter().find(|bomb| bomb.name == name) else {
                wrong.push(format!("the {name} did not report"));
                continue;
            };
            let Some(stat) = self.stat("bomb", resource) else {
                wrong.push(format!("there is no row for {resource} of the bomb"));
                continue;
            };
            let failcnt = stat.get("failcnt").unwrap_or(0);
            if bomb.refused == 0 || failcnt < bomb.refused {
                wrong.push(format!(
                    "the {name} was refused {} times, but failcnt is {failcnt}",
                    bomb.refused
                ));
            }
            if stat.get("maxheld") != stat.get("barrier") {
                wrong.push(format!(
                    "the peak of {resource} is not at the bomb's barrier"
                ));
            }
            let traced = self.refusals.iter().filter(|refusal| {
                refusal.get("resource").map(String::as_str) == Some(resource)
                    && refusal.get("cgroup").map(|id| self.name_of(id)) == Some("bomb")
            });
            let traced = traced.count() as u64;
            if traced != failcnt {
                wrong.push(format!(
                    "{traced} refusals of {resource} were traced, but {failcnt} counted"
                ));
            }
        }
        for container in ["quiet", "bomb", "above"] {
            for resource in ["numproc", "numfile"] {
                let stat = self.stat(container, resource);
                let held = stat.and_then(|stat| stat.get("held"));
                if held != Some(0) {
                    wrong.push(format!("{container} still holds {held:?} {resource}"));
                }
                if container == "quiet" && stat.and_then(|stat| stat.get("failcnt")) != Some(0) {
                    wrong.push(format!("the neighbour was refused {resource}"));
                }
            }
        }
        wrong
    }

    fn stat(&self, container: &str, resource: &str) -> Option<&Stat> {
        let stats = self.stats.get(container)?;
        stats.iter().find(|stat| stat.resource == resource)
    }
}

fn pairs(words: &[&str]) -> Vec<(String, String)> {
    let pair = |word: &&str| {
        let (key, value) = word.split_once('=')?;
        Some((key.to_owned(), value.to_owned()))
    };
    words.iter().filter_map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "\
id quiet 81
id bomb 92
quiet work rounds=3 failed=0
bomb fork-bomb made=9 refused=1 errno=EAGAIN
bomb file-bomb made=9 refused=2 errno=ENFILE
stat quiet numproc held=0 maxheld=2 barrier=10 limit=12 failcnt=0
stat quiet numfile held=0 maxheld=7 barrier=20 limit=22 failcnt=0
stat bomb numproc held=0 maxheld=10 barrier=10 limit=12 failcnt=1
stat bomb numfile held=0 maxheld=20 barrier=20 limit=22 failcnt=2
refusal cgroup=92 resource=numproc requested=1 refused_by=high at=92
refusal cgroup=92 resource=numfile requested=1 refused_by=high at=92
refusal cgroup=92 resource=numfile requested=1 refused_by=high at=92
stat above numproc held=0 maxheld=12 barrier=max limit=max failcnt=0
stat above numfile held=0 maxheld=27 barrier=max limit=max failcnt=0
";

    fn wrong(from: &str, to: &str) -> Vec<String> {
        assert!(GOOD.contains(from));
        Facts::read(&GOOD.replace(from, to)).wrong()
    }

    #[test]
    fn what_should_happen_is_not_wrong() {
        assert_eq!(Facts::read(GOOD).wrong(), Vec::<String>::new());
    }

    #[test]
    fn each_thing_that_should_not_happen_is() {
        for (from, to) in [
            ("failed=0", "failed=1"),
            ("quiet work", "silence"),
            ("bomb fork-bomb", "dud fork-bomb"),
            ("refused=2", "refused=3"),
            ("maxheld=20", "maxheld=21"),
            (
                "refusal cgroup=92 resource=numproc",
                "refusal cgroup=81 resource=numproc",
            ),
            ("stat bomb numfile held=0", "stat bomb numfile held=1"),
            ("limit=22 failcnt=0", "limit=22 failcnt=4"),
            ("stat above numproc", "stat nowhere numproc"),
        ] {
            assert_ne!(wrong(from, to), Vec::<String>::new(), "{to}");
        }
    }
}
