// SPDX-License-Identifier: GPL-2.0

//! `limits.rs`, `parse.rs` and `ubc/layout.rs` as the kernel compiles them, with properties that hold for
//! all values.

#[path = "../ubc/layout.rs"]
mod layout;
#[path = "../limits.rs"]
mod limits;
#[path = "../parse.rs"]
mod parse;

#[cfg(test)]
mod properties {
    use crate::limits::{stock, Setting, Settings, Severity, UNLIMITED};
    use crate::parse::{settings, Mistake};
    use proptest::prelude::*;

    const NAMES: [&str; 3] = ["numproc", "numfile", "numflock"];

    fn parse(text: &str) -> Result<[Option<i64>; 3], Mistake> {
        settings(text, |name| NAMES.iter().position(|n| *n == name))
    }

    prop_compose! {
        fn any_settings()(high in 0..=UNLIMITED, max in 0..=UNLIMITED) -> Settings {
            Settings { high, max }
        }
    }

    proptest! {
        #[test]
        fn what_passes_strictly_passes_leniently(
            s in any_settings(), held in 0..=UNLIMITED, nr in 1..1_000_000i64
        ) {
            if let Ok(held_then) = s.request(held, nr, Severity::Strict) {
                prop_assert_eq!(s.request(held, nr, Severity::Lenient), Ok(held_then));
            }
            prop_assert!(s.request(held, nr, Severity::Forced).is_ok());
        }

        #[test]
        fn a_granted_request_is_within_its_bound(
            s in any_settings(), held in 0..=UNLIMITED, nr in 1..1_000_000i64
        ) {
            match s.request(held, nr, Severity::Strict) {
                Ok(held_then) => prop_assert!(held_then <= s.high.min(s.max)),
                Err(Setting::High) => prop_assert!(s.high < s.max && held.saturating_add(nr) > s.high),
                Err(Setting::Max) => prop_assert!(s.max <= s.high && held.saturating_add(nr) > s.max),
            }
        }

        #[test]
        fn headroom_is_what_still_passes(s in any_settings(), held in 0..1_000_000i64) {
            let room = s.headroom(held);
            if room > 0 {
                prop_assert!(s.request(held, room, Severity::Strict).is_ok());
            }
            if held.saturating_add(room) < UNLIMITED {
                prop_assert!(s.request(held, room + 1, Severity::Strict).is_err());
            }
        }

        #[test]
        fn stocks_of_all_cpus_hold_back_half_of_what_is_left_at_most(
            default in 0..1024i32, headroom in 0..=UNLIMITED, cpus in 0..8192u32
        ) {
            let nr = stock(default, headroom, cpus);
            prop_assert!((0..=default).contains(&nr));
            prop_assert!(i128::from(nr) * i128::from(cpus) * 2 <= i128::from(headroom));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC*") {
            let _ = parse(&text);
        }

        #[test]
        fn what_was_written_is_what_is_read(
            values in proptest::array::uniform3(proptest::option::of(0..=UNLIMITED))
        ) {
            let text: String = NAMES.iter().zip(values).filter_map(|(name, value)| {
                value.map(|value| if value == UNLIMITED {
                    format!("{name} max\n")
                } else {
                    format!("{name} {value}\n")
                })
            }).collect();
            let expected = if text.is_empty() { Err(Mistake::Invalid) } else { Ok(values) };
            prop_assert_eq!(parse(&text), expected);
        }

        #[test]
        fn a_bad_line_anywhere_spoils_the_write(
            good in proptest::collection::vec((0..3usize, 0..=UNLIMITED), 0..6),
            at in 0..7usize,
            bad in prop_oneof!["numpty 1", "numfile", "numfile -1", "numfile 1 1", "numfile 1x"]
        ) {
            let mut lines: Vec<String> =
                good.iter().map(|(name, value)| format!("{} {value}", NAMES[*name])).collect();
            lines.insert(at.min(lines.len()), bad);
            prop_assert_eq!(parse(&lines.join("\n")), Err(Mistake::Invalid));
        }

        #[test]
        fn numbers_beyond_the_counter_are_out_of_range(extra in 1..=u64::MAX / 2) {
            let text = format!("numfile {}", u128::from(extra) + UNLIMITED as u128);
            prop_assert_eq!(parse(&text), Err(Mistake::Range));
        }
    }
}

/// What programs expect of OpenVZ's files.
#[cfg(test)]
mod grammar {
    use crate::layout::{self, File, Numbers};
    use crate::limits::UNLIMITED;
    use proptest::prelude::*;
    use regex_lite::Regex;
    use std::collections::BTreeMap;

    /// All that could be counted, in the order of OpenVZ's numbers.
    const NAMES: [&str; 21] = [
        "kmemsize",
        "lockedpages",
        "privvmpages",
        "shmpages",
        "numproc",
        "physpages",
        "vmguarpages",
        "oomguarpages",
        "numtcpsock",
        "numflock",
        "numpty",
        "numsiginfo",
        "tcpsndbuf",
        "tcprcvbuf",
        "othersockbuf",
        "dgramrcvbuf",
        "numothersock",
        "dcachesize",
        "numfile",
        "numiptent",
        "swappages",
    ];

    /// The first row of a container, and the others.
    const FIRST: &str = r"^ *([0-9]+):  ([a-z]+) *((?: +[0-9]+){5})$";
    const OTHER: &str = r"^ {10}  ([a-z]+) *((?: +[0-9]+){5})$";

    type Counted = BTreeMap<&'static str, Numbers>;

    fn header() -> Vec<String> {
        let mut lines = Vec::new();
        layout::header(|line| lines.push(line.to_string()));
        lines
    }

    fn rows(file: File, id: u32, counted: &Counted) -> Vec<String> {
        let mut lines = Vec::new();
        let numbers = |name: &str| counted.get(name).copied();
        layout::rows(file, id, numbers, |line| lines.push(line.to_string()));
        lines
    }

    /// The id and the rows of a container, which is all that there is.
    fn parse(lines: &[String]) -> Option<(u32, Vec<(String, Numbers)>)> {
        let (first, other) = (Regex::new(FIRST).unwrap(), Regex::new(OTHER).unwrap());
        let mut id = None;
        let mut rows = Vec::new();
        for line in lines {
            let line = line.strip_suffix('\n').unwrap();
            let (name, numbers) = if let Some(found) = first.captures(line) {
                assert_eq!(id.replace(found[1].parse().unwrap()), None, "{line}");
                (found[2].to_owned(), found[3].to_owned())
            } else {
                assert!(id.is_some(), "{line}");
                let found = other.captures(line).unwrap_or_else(|| panic!("{line}"));
                (found[1].to_owned(), found[2].to_owned())
            };
            // No column leans on the next one.
            let columns = line.len() - 5 * 21;
            for column in 0..5 {
                let at = columns + 21 * column;
                let field = &line[at..at + 21];
                assert!(field.starts_with(' ') && !field.ends_with(' '), "{line}");
            }
            let numbers: Vec<u64> = numbers
                .split_ascii_whitespace()
                .map(|word| word.parse().unwrap())
                .collect();
            rows.push((name, numbers.try_into().unwrap()));
        }
        id.map(|id| (id, rows))
    }

    fn any_counted() -> impl Strategy<Value = Counted> {
        let numbers = proptest::array::uniform5(0..=UNLIMITED.unsigned_abs());
        let all = proptest::collection::vec(proptest::option::of(numbers), NAMES.len());
        all.prop_map(|all| {
            let named = NAMES.into_iter().zip(all);
            named
                .filter_map(|(name, numbers)| Some((name, numbers?)))
                .collect()
        })
    }

    #[test]
    fn the_header_names_the_columns() {
        let [version, header] = header().try_into().unwrap();
        assert_eq!(version, "Version: 2.5\n");
        let words: Vec<_> = header.split_ascii_whitespace().collect();
        let expected = [
            "uid", "resource", "held", "maxheld", "barrier", "limit", "failcnt",
        ];
        assert_eq!(words, expected);
        assert_eq!(header.len(), rows(File::Resources, 1, &all())[0].len());
    }

    fn all() -> Counted {
        NAMES
            .into_iter()
            .map(|name| (name, [1, 2, 3, 4, 5]))
            .collect()
    }

    #[test]
    fn a_row_has_its_columns_at_their_places() {
        let counted = Counted::from([
            ("kmemsize", [1, 22, 333, UNLIMITED.unsigned_abs(), 0]),
            ("numothersock", [7, 8, 9, 10, 11]),
        ]);
        let expected = [
            concat!(
                "      123:  kmemsize                        1                   22",
                "                  333  9223372036854775807                    0\n",
            ),
            concat!(
                "            numothersock                    7                    8",
                "                    9                   10                   11\n",
            ),
        ];
        assert_eq!(rows(File::Resources, 123, &counted), expected);
    }

    #[test]
    fn the_older_file_has_dummies_and_no_swap() {
        let names = |file| -> Vec<_> {
            let (_, rows) = parse(&rows(file, 1, &all())).unwrap();
            rows.into_iter().map(|(name, _)| name).collect()
        };
        let old = names(File::UserBeancounters);
        let dummies = old.iter().enumerate().filter(|(_, name)| *name == "dummy");
        assert_eq!(
            dummies.map(|(at, _)| at).collect::<Vec<_>>(),
            [4, 20, 21, 22]
        );
        assert_eq!((old.len(), old[23].as_str()), (24, "numiptent"));
        assert_eq!(names(File::Resources), NAMES);
    }

    #[test]
    fn nothing_that_is_counted_is_nothing_that_is_shown() {
        assert!(rows(File::UserBeancounters, 1, &Counted::new()).is_empty());
    }

    proptest! {
        #[test]
        fn what_is_counted_is_what_is_read(id in 0..=u32::MAX, counted in any_counted()) {
            for file in [File::UserBeancounters, File::Resources] {
                let lines = rows(file, id, &counted);
                let kept = |name: &&str| file == File::Resources || *name != "swappages";
                let expected: Vec<_> = NAMES
                    .into_iter()
                    .filter(kept)
                    .filter_map(|name| Some((name.to_owned(), *counted.get(name)?)))
                    .collect();
                let Some((got, mut rows)) = parse(&lines) else {
                    prop_assert!(expected.is_empty());
                    continue;
                };
                prop_assert_eq!(got, id);
                prop_assert_ne!(rows[0].0.as_str(), "dummy");
                for (_, numbers) in rows.iter().filter(|(name, _)| name == "dummy") {
                    prop_assert_eq!(numbers, &[0; 5]);
                    prop_assert_eq!(file, File::UserBeancounters);
                }
                rows.retain(|(name, _)| name != "dummy");
                prop_assert_eq!(rows, expected);
            }
        }
    }
}
