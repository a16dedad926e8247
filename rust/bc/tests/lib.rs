// SPDX-License-Identifier: GPL-2.0

//! `limits.rs` and `parse.rs` as the kernel compiles them, with properties that hold for all values.

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
