// SPDX-License-Identifier: GPL-2.0

//! In which order a barrier and a limit are changed, which are in two files.
//!
//! Between the two writes strict requests must be refused exactly as before or as afterwards: above
//! the same number, and counted at the same setting. Lenient ones are, in either order, as the limit
//! alone decides on them.

use super::value::Bound;

/// The two settings of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `bc.high`
    pub barrier: Bound,
    /// `bc.max`
    pub limit: Bound,
}

/// A change of the settings of one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its name.
    pub resource: String,
    /// What they are.
    pub before: Settings,
    /// What they shall be.
    pub after: Settings,
}

/// One write to one file; a line for each resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The name of the file.
    pub file: &'static str,
    /// The lines.
    pub text: String,
    /// What they undo.
    pub former: String,
}

impl Settings {
    /// Above what strict requests are refused, and whether by the limit, as it is where the two are
    /// equal.
    fn strict(self) -> (Bound, bool) {
        (self.barrier.min(self.limit), self.limit <= self.barrier)
    }
}

impl Change {
    /// Whether the limit may be changed before the barrier. Where it may not, the barrier may be
    /// changed before the limit, provided that the new barrier is not above the new limit, or is none.
    fn limit_first(&self) -> bool {
        let between = Settings {
            limit: self.after.limit,
            ..self.before
        };
        [self.before.strict(), self.after.strict()].contains(&between.strict())
    }
}

/// What has to be written, one after the other.
pub fn writes(changes: &[Change]) -> Vec<Write> {
    let (early, late): (Vec<_>, Vec<_>) = changes.iter().partition(|change| change.limit_first());
    let limit = |settings: &Settings| settings.limit;
    let barrier = |settings: &Settings| settings.barrier;
    [
        write("bc.max", &early, limit),
        write("bc.high", &changes.iter().collect::<Vec<_>>(), barrier),
        write("bc.max", &late, limit),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn write(file: &'static str, changes: &[&Change], of: fn(&Settings) -> Bound) -> Option<Write> {
    let lines = |which: fn(&Change) -> &Settings| {
        let line = |change: &&Change| format!("{} {}\n", change.resource, of(which(change)));
        changes.iter().map(line).collect::<String>()
    };
    (!changes.is_empty()).then(|| Write {
        file,
        text: lines(|change| &change.after),
        former: lines(|change| &change.before),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(barrier: Bound, limit: Bound) -> Settings {
        Settings { barrier, limit }
    }

    fn change(before: (u64, u64), after: (u64, u64)) -> Change {
        let of = |(barrier, limit)| settings(Bound::At(barrier), Bound::At(limit));
        Change {
            resource: "numfile".to_owned(),
            before: of(before),
            after: of(after),
        }
    }

    fn files(changes: &[Change]) -> Vec<&'static str> {
        writes(changes).iter().map(|write| write.file).collect()
    }

    #[test]
    fn the_right_one_refuses_at_any_moment() {
        // Raised, so that the old limit is not below the new barrier; lowered, the other way round.
        assert_eq!(files(&[change((10, 20), (30, 40))]), ["bc.max", "bc.high"]);
        assert_eq!(files(&[change((30, 40), (10, 20))]), ["bc.high", "bc.max"]);
        // Where they are equal the limit refuses, so the barrier must not be the lower one.
        assert_eq!(files(&[change((10, 10), (20, 20))]), ["bc.high", "bc.max"]);
        assert_eq!(files(&[change((20, 20), (10, 10))]), ["bc.max", "bc.high"]);
        // Some of each: all lines for a file that can be in one write are.
        let all = [
            change((10, 20), (30, 40)),
            change((30, 40), (10, 20)),
            change((20, 20), (10, 10)),
        ];
        let writes = writes(&all);
        let texts: Vec<_> = writes.iter().map(|write| write.text.as_str()).collect();
        assert_eq!(
            texts,
            [
                "numfile 40\nnumfile 10\n",
                "numfile 30\nnumfile 10\nnumfile 10\n",
                "numfile 20\n"
            ]
        );
        assert_eq!(writes[2].former, "numfile 40\n");
    }

    /// All that numbers can do to each other, with four of them and none.
    #[test]
    fn between_two_writes_it_is_as_before_or_as_after() {
        let bounds = || (0..4).map(Bound::At).chain([Bound::Max]);
        let all = || {
            bounds().flat_map(move |barrier| bounds().map(move |limit| settings(barrier, limit)))
        };
        let sensible = |s: &Settings| s.barrier <= s.limit || s.barrier == Bound::Max;
        for before in all() {
            for after in all().filter(sensible) {
                let change = Change {
                    resource: "numfile".to_owned(),
                    before,
                    after,
                };
                let mut now = before;
                for write in writes(std::slice::from_ref(&change)) {
                    match write.file {
                        "bc.high" => now.barrier = after.barrier,
                        _ => now.limit = after.limit,
                    }
                    let fine = [before.strict(), after.strict()];
                    assert!(fine.contains(&now.strict()), "{change:?}: {now:?}");
                }
                assert_eq!(now, after);
            }
        }
    }
}
