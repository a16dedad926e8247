// SPDX-License-Identifier: GPL-2.0

//! The rules that OpenVZ had for the settings of one container.
//!
//! The barrier of a rule is what strict requests are held to: the limit, where there is no barrier or
//! it is the higher of the two. A rule about what is unlimited, or does not exist, is not asked.

use super::resource::Unit;
use super::rows::Row;
use super::value::{Bound, page};

const KIB: u64 = 1024;

/// A rule that is broken.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    /// What should be.
    pub rule: String,
    /// What is.
    pub values: String,
    /// What would mend it: settings for `beanctl bc set`.
    pub settings: String,
}

/// A rule that was not asked.
#[derive(Debug, PartialEq, Eq)]
pub struct Skipped {
    /// It.
    pub rule: String,
    /// Why not.
    pub why: String,
}

/// The outcome for one cgroup.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What is broken.
    pub findings: Vec<Finding>,
    /// What was not asked.
    pub skipped: Vec<Skipped>,
    /// How many rules are kept.
    pub kept: usize,
}

/// One rule: a setting and the least that it should be.
struct Rule<'a> {
    text: String,
    resource: &'a str,
    which: Which,
    /// The least, and how it came about; or why there is none.
    least: Result<(u64, String), String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    Barrier,
    Limit,
    /// How far the limit is above the barrier.
    Gap,
}

/// Asks all rules.
pub fn examine(rows: &[Row]) -> Outcome {
    let config = Config { rows };
    let mut outcome = Outcome::default();
    for row in rows {
        outcome.order(row);
    }
    for name in ["vmguarpages", "oomguarpages"] {
        outcome.guarantee(&config, name);
    }
    for rule in config.rules() {
        outcome.ask(&config, rule);
    }
    outcome
}

struct Config<'a> {
    rows: &'a [Row],
}

impl Config<'_> {
    fn row(&self, name: &str) -> Result<&Row, String> {
        let row = self.rows.iter().find(|row| row.resource == name);
        row.ok_or_else(|| format!("{name} does not exist here"))
    }

    /// What a resource is held to.
    fn barrier(&self, name: &str) -> Result<u64, String> {
        let bound = self.row(name)?.strict();
        let bound = bound.ok_or_else(|| format!("{name} has no barrier here"))?;
        bound.number().ok_or_else(|| format!("{name} is unlimited"))
    }

    fn limit(&self, name: &str) -> Result<u64, String> {
        let limit = self.row(name)?.limit;
        let limit = limit.ok_or_else(|| format!("{name} has no limit here"))?;
        limit.number().ok_or_else(|| format!("{name} is unlimited"))
    }

    /// How many processes there are most of the time, as OpenVZ assumed.
    fn average(&self) -> Result<(u64, String), String> {
        let barrier = self.barrier("numproc")?;
        let average = (barrier / 2).max(1);
        Ok((average, format!("half of numproc.barrier = {barrier}")))
    }

    fn rules(&self) -> Vec<Rule<'_>> {
        let mut rules = vec![
            Rule {
                text: "dcachesize.limit >= 384 bytes * numfile.barrier".to_owned(),
                resource: "dcachesize",
                which: Which::Limit,
                least: self.barrier("numfile").map(|files| {
                    (
                        files.saturating_mul(384),
                        format!("numfile.barrier = {files}"),
                    )
                }),
            },
            Rule {
                text: "kmemsize.barrier >= 40 KiB * average processes + dcachesize.limit"
                    .to_owned(),
                resource: "kmemsize",
                which: Which::Barrier,
                least: self.average().and_then(|(average, from)| {
                    let names = self.limit("dcachesize")?;
                    let least = average.saturating_mul(40 * KIB).saturating_add(names);
                    Ok((least, format!("{from}, dcachesize.limit = {names}")))
                }),
            },
            Rule {
                text: "privvmpages.barrier >= vmguarpages.barrier".to_owned(),
                resource: "privvmpages",
                which: Which::Barrier,
                least: self
                    .barrier("vmguarpages")
                    .map(|pages| (pages, format!("vmguarpages.barrier = {pages}"))),
            },
            Rule {
                text: "numfile.barrier >= 32 * average processes".to_owned(),
                resource: "numfile",
                which: Which::Barrier,
                least: self
                    .average()
                    .map(|(average, from)| (average.saturating_mul(32), from)),
            },
            Rule {
                text:
                    "numfile.barrier >= numtcpsock.barrier + numothersock.barrier + numpty.barrier"
                        .to_owned(),
                resource: "numfile",
                which: Which::Barrier,
                least: self.sum(&["numtcpsock", "numothersock", "numpty"]),
            },
        ];
        // Without room between them, what must not be refused is refused as soon as what may be.
        for (name, least) in [("numflock", 1), ("privvmpages", 1)] {
            rules.push(Rule {
                text: format!("{name}.limit > {name}.barrier"),
                resource: name,
                which: Which::Gap,
                least: Ok((least, String::new())),
            });
        }
        for (name, sockets) in [
            ("tcpsndbuf", "numtcpsock"),
            ("tcprcvbuf", "numtcpsock"),
            ("othersockbuf", "numothersock"),
        ] {
            rules.push(Rule {
                text: format!("{name}.limit - {name}.barrier >= 2.5 KiB * {sockets}.barrier"),
                resource: name,
                which: Which::Gap,
                least: self.barrier(sockets).map(|number| {
                    let least = number.saturating_mul(5 * KIB / 2);
                    (least, format!("{sockets}.barrier = {number}"))
                }),
            });
        }
        for (name, kib) in [
            ("tcpsndbuf", 64),
            ("tcprcvbuf", 64),
            ("othersockbuf", 32),
            ("dgramrcvbuf", 32),
        ] {
            rules.push(Rule {
                text: format!("{name}.barrier >= {kib} KiB"),
                resource: name,
                which: Which::Barrier,
                least: Ok((kib * KIB, String::new())),
            });
        }
        rules
    }

    /// The sum over those of these that have a barrier.
    fn sum(&self, names: &[&str]) -> Result<(u64, String), String> {
        let (found, missing): (Vec<_>, Vec<_>) = names
            .iter()
            .map(|name| self.barrier(name).map(|barrier| (name, barrier)))
            .partition(Result::is_ok);
        if found.is_empty() {
            let missing: Vec<_> = missing.into_iter().filter_map(Result::err).collect();
            return Err(missing.join(", "));
        }
        let found: Vec<_> = found.into_iter().flatten().collect();
        let sum = found
            .iter()
            .fold(0_u64, |sum, (_, barrier)| sum.saturating_add(*barrier));
        let parts: Vec<_> = found
            .iter()
            .map(|(name, barrier)| format!("{name}.barrier = {barrier}"))
            .collect();
        Ok((sum, parts.join(", ")))
    }
}

impl Outcome {
    fn skip(&mut self, rule: String, why: String) {
        self.skipped.push(Skipped { rule, why });
    }

    /// A barrier is not above its limit. None at all is not meant to be below anything.
    fn order(&mut self, row: &Row) {
        let (Some(Bound::At(barrier)), Some(limit)) = (row.barrier, row.limit) else {
            return;
        };
        if Bound::At(barrier) <= limit {
            self.kept += 1;
            return;
        }
        let name = &row.resource;
        self.findings.push(Finding {
            rule: format!("{name}.barrier <= {name}.limit"),
            values: format!("{name}.barrier = {barrier}, {name}.limit = {limit}"),
            settings: format!("{name}={limit}:{barrier}"),
        });
    }

    /// A guarantee is a barrier alone.
    fn guarantee(&mut self, config: &Config<'_>, name: &str) {
        let rule = format!("{name}.limit = max");
        match config.row(name) {
            Err(why) => self.skip(rule, why),
            Ok(row) => match row.limit {
                Some(Bound::At(limit)) => self.findings.push(Finding {
                    rule,
                    values: format!("{name}.limit = {limit}"),
                    settings: match row.barrier {
                        Some(barrier) => format!("{name}={barrier}:max"),
                        None => format!("{name}=max"),
                    },
                }),
                _ => self.kept += 1,
            },
        }
    }

    fn ask(&mut self, config: &Config<'_>, rule: Rule<'_>) {
        let name = rule.resource;
        let value = match rule.which {
            Which::Barrier => config.barrier(name),
            Which::Limit => config.limit(name),
            Which::Gap => config.limit(name).and_then(|limit| {
                let barrier = config.barrier(name)?;
                Ok(limit.saturating_sub(barrier))
            }),
        };
        let (value, (least, from)) = match (value, rule.least) {
            (Err(why), _) | (_, Err(why)) => return self.skip(rule.text, why),
            (Ok(value), Ok(least)) => (value, least),
        };
        if value >= least {
            self.kept += 1;
            return;
        }
        // It exists, as its value does.
        let Ok(row) = config.row(name) else { return };
        let mut values = match rule.which {
            Which::Barrier => vec![format!("{name}.barrier = {value}")],
            Which::Limit => vec![format!("{name}.limit = {value}")],
            Which::Gap => {
                let show = |bound: Option<Bound>| bound.unwrap_or(Bound::Max);
                let (barrier, limit) = (show(row.strict()), show(row.limit));
                vec![
                    format!("{name}.barrier = {barrier}"),
                    format!("{name}.limit = {limit}"),
                ]
            }
        };
        if !from.is_empty() {
            values.push(from);
        }
        if least > 1 {
            values.push(format!("at least {least}"));
        }
        self.findings.push(Finding {
            rule: rule.text,
            values: values.join(", "),
            settings: raise(row, rule.which, least),
        });
    }
}

/// Settings for a resource under which a rule is kept, and which are no stricter than those it has.
fn raise(row: &Row, which: Which, least: u64) -> String {
    let name = &row.resource;
    let up = |bound: Option<Bound>, to: u64| bound.unwrap_or(Bound::Max).max(Bound::new(to));
    let (barrier, limit) = match which {
        Which::Gap => {
            let barrier = row.strict().unwrap_or(Bound::Max);
            let least = match row.unit {
                // A page or an item is enough for the rule, and of no use.
                Unit::Pages => least.max(KIB * KIB / page()),
                Unit::Items => least.max(8),
                Unit::Bytes => least,
            };
            let to = barrier.number().unwrap_or(0).saturating_add(least);
            (barrier, up(row.limit, to))
        }
        Which::Barrier | Which::Limit => (up(row.barrier, least), up(row.limit, least)),
    };
    match barrier == limit {
        true => format!("{name}={limit}"),
        false => format!("{name}={barrier}:{limit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn row(name: &str, barrier: Option<Bound>, limit: Option<Bound>) -> Row {
        Row {
            resource: name.to_owned(),
            unit: Unit::of(name),
            controller: "bc",
            held: 0,
            maxheld: None,
            barrier,
            limit,
            failcnt: None,
        }
    }

    fn rows(settings: &[(&str, &str, &str)]) -> Vec<Row> {
        let bound = |word: &str| Some(Bound::parse(word).unwrap());
        let row =
            |(name, barrier, limit): &(&str, &str, &str)| row(name, bound(barrier), bound(limit));
        settings.iter().map(row).collect()
    }

    fn found(settings: &[(&str, &str, &str)]) -> Vec<String> {
        let outcome = examine(&rows(settings));
        let text = |f: &Finding| format!("{}: {}: {}", f.rule, f.values, f.settings);
        outcome.findings.iter().map(text).collect()
    }

    #[test]
    fn what_is_unlimited_breaks_no_rule() {
        let names = super::super::resource::RESOURCES.iter().map(|r| r.name);
        let all: Vec<_> = names.map(|name| (name, "max", "max")).collect();
        assert!(found(&all).is_empty());
        assert_eq!(examine(&[]).findings, []);
    }

    #[test]
    fn each_rule_can_be_broken_and_kept() {
        for (settings, want) in [
            (
                &[("numfile", "1200", "1000")] as &[_],
                "numfile.barrier <= numfile.limit: numfile.barrier = 1200, numfile.limit = 1000: \
                 numfile=1000:1200",
            ),
            (
                &[("numproc", "100", "120"), ("numfile", "500", "max")],
                "numfile.barrier >= 32 * average processes: numfile.barrier = 500, half of \
                 numproc.barrier = 100, at least 1600: numfile=1600:max",
            ),
            (
                &[
                    ("numfile", "100", "100"),
                    ("numtcpsock", "50", "50"),
                    ("numpty", "max", "60"),
                ],
                "numfile.barrier >= numtcpsock.barrier + numothersock.barrier + numpty.barrier: \
                 numfile.barrier = 100, numtcpsock.barrier = 50, numpty.barrier = 60, at least 110: \
                 numfile=110",
            ),
            (
                &[("numflock", "100", "100")],
                "numflock.limit > numflock.barrier: numflock.barrier = 100, numflock.limit = 100: \
                 numflock=100:108",
            ),
            (
                &[("privvmpages", "max", "1000")],
                "privvmpages.limit > privvmpages.barrier: privvmpages.barrier = 1000, \
                 privvmpages.limit = 1000: privvmpages=1000:1256",
            ),
            (
                &[
                    ("privvmpages", "1000", "max"),
                    ("vmguarpages", "2000", "max"),
                ],
                "privvmpages.barrier >= vmguarpages.barrier: privvmpages.barrier = 1000, \
                 vmguarpages.barrier = 2000, at least 2000: privvmpages=2000:max",
            ),
            (
                &[("oomguarpages", "5", "6")],
                "oomguarpages.limit = max: oomguarpages.limit = 6: oomguarpages=5:max",
            ),
            (
                &[
                    ("tcpsndbuf", "100000", "110000"),
                    ("numtcpsock", "10", "10"),
                ],
                "tcpsndbuf.limit - tcpsndbuf.barrier >= 2.5 KiB * numtcpsock.barrier: \
                 tcpsndbuf.barrier = 100000, tcpsndbuf.limit = 110000, numtcpsock.barrier = 10, at \
                 least 25600: tcpsndbuf=100000:125600",
            ),
            (
                &[("dgramrcvbuf", "1000", "max")],
                "dgramrcvbuf.barrier >= 32 KiB: dgramrcvbuf.barrier = 1000, at least 32768: \
                 dgramrcvbuf=32768:max",
            ),
            (
                &[("dcachesize", "1000", "1000"), ("numfile", "10", "10")],
                "dcachesize.limit >= 384 bytes * numfile.barrier: dcachesize.limit = 1000, \
                 numfile.barrier = 10, at least 3840: dcachesize=3840",
            ),
            (
                &[
                    ("kmemsize", "100", "100"),
                    ("numproc", "1", "1"),
                    ("dcachesize", "5000", "5000"),
                ],
                "kmemsize.barrier >= 40 KiB * average processes + dcachesize.limit: \
                 kmemsize.barrier = 100, half of numproc.barrier = 1, dcachesize.limit = 5000, at \
                 least 45960: kmemsize=45960",
            ),
        ] {
            assert_eq!(found(settings), [want]);
        }
    }

    #[test]
    fn what_does_not_exist_is_skipped_by_name() {
        let outcome = examine(&rows(&[
            ("numfile", "5000", "5000"),
            ("numproc", "100", "100"),
        ]));
        assert_eq!(outcome.findings, []);
        let why = |rule: &str| {
            let skipped = outcome.skipped.iter().find(|s| s.rule.starts_with(rule));
            skipped.map(|skipped| skipped.why.as_str())
        };
        assert_eq!(
            why("dcachesize.limit"),
            Some("dcachesize does not exist here")
        );
        assert_eq!(
            why("numfile.barrier >= numtcpsock"),
            Some(
                "numtcpsock does not exist here, numothersock does not exist here, numpty does not \
                 exist here"
            )
        );
        assert_eq!(why("numfile.barrier >= 32"), None);
    }

    fn bound() -> impl Strategy<Value = Bound> {
        prop_oneof![(0_u64..200_000).prop_map(Bound::At), Just(Bound::Max)]
    }

    proptest! {
        /// What is advised for one rule mends it; the advice for the others may be needed too.
        #[test]
        fn following_the_advice_ends_the_findings(
            settings in prop::collection::vec((bound(), bound()), 21)
        ) {
            let names = super::super::resource::RESOURCES.iter().map(|r| r.name);
            let mut rows: Vec<_> = names
                .zip(settings)
                .map(|(name, (barrier, limit))| row(name, Some(barrier), Some(limit)))
                .collect();
            // Each rule may be broken once more by the advice for each of the others.
            for _ in 0..1000 {
                let outcome = examine(&rows);
                let Some(finding) = outcome.findings.first() else { break };
                let (name, values) = finding.settings.split_once('=').unwrap();
                let (barrier, limit) = values.split_once(':').unwrap_or((values, values));
                let row = rows.iter_mut().find(|row| row.resource == name).unwrap();
                row.barrier = Bound::parse(barrier);
                row.limit = Bound::parse(limit);
                let rule = &finding.rule;
                let again = examine(&rows).findings.iter().any(|f| f.rule == *rule);
                prop_assert!(!again, "{finding:?}");
            }
            prop_assert_eq!(examine(&rows).findings, []);
        }
    }
}
