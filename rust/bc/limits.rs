// SPDX-License-Identifier: GPL-2.0

//! The arithmetic of barriers, limits and stocks: no state, no kernel, so that it also runs on the
//! developer's machine.

/// The value of a setting that refuses nothing.
pub(crate) const UNLIMITED: i64 = i64::MAX;

/// How hard a request is to refuse, decided by the site that makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Severity {
    /// An ordinary request: kept below the barrier, and the limit.
    Strict,
    /// Its refusal would hurt, such as the growth of a stack: kept below the limit only.
    Lenient,
    /// Cannot be refused, such as a migration.
    Forced,
}

/// The setting that refused a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Setting {
    /// The barrier, `bc.high`.
    High,
    /// The limit, `bc.max`.
    Max,
}

/// The two settings of one resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) high: i64,
    pub(crate) max: i64,
}

impl Settings {
    /// Both of them as something else.
    pub(crate) fn map(self, value: impl Fn(i64) -> i64) -> Self {
        Self {
            high: value(self.high),
            max: value(self.max),
        }
    }

    /// The value that a request may not pass, and whose it is.
    fn bound(self, severity: Severity) -> (i64, Setting) {
        match severity {
            Severity::Strict if self.high < self.max => (self.high, Setting::High),
            Severity::Strict | Severity::Lenient => (self.max, Setting::Max),
            Severity::Forced => (UNLIMITED, Setting::Max),
        }
    }

    /// What is held after a request for `nr` more than `held`, or the setting that refuses it.
    pub(crate) fn request(self, held: i64, nr: i64, severity: Severity) -> Result<i64, Setting> {
        let (bound, setting) = self.bound(severity);
        // What no counter can hold, nobody has.
        match held.checked_add(nr) {
            Some(held) if held <= bound => Ok(held),
            _ => Err(setting),
        }
    }

    /// How many strict requests for one more would still pass.
    pub(crate) fn headroom(self, held: i64) -> i64 {
        let (bound, _) = self.bound(Severity::Strict);
        bound.saturating_sub(held).max(0)
    }
}

/// How many units one CPU may have in stock: `default`, less as what is left below the lowest
/// setting shrinks, and none when all `cpus` together could hold back half of it.
///
/// The formula is that of OpenVZ's precharge.
pub(crate) fn stock(default: i32, headroom: i64, cpus: u32) -> i32 {
    if cpus == 0 {
        return 0;
    }
    let share = headroom / (2 * i64::from(cpus));
    // CAST: The smaller of the two is at most an `i32`.
    share.min(i64::from(default)) as i32
}

#[cfg(any(test, CONFIG_CGROUP_BC_KUNIT_TEST))]
#[cfg_attr(not(test), kernel::prelude::kunit_tests(bc_limits))]
mod tests {
    use super::*;

    const BOTH: Settings = Settings { high: 10, max: 12 };

    #[test]
    fn a_strict_request_stops_at_the_barrier() {
        assert_eq!(BOTH.request(9, 1, Severity::Strict), Ok(10));
        assert_eq!(BOTH.request(10, 1, Severity::Strict), Err(Setting::High));
    }

    #[test]
    fn a_lenient_request_stops_at_the_limit() {
        assert_eq!(BOTH.request(11, 1, Severity::Lenient), Ok(12));
        assert_eq!(BOTH.request(12, 1, Severity::Lenient), Err(Setting::Max));
    }

    #[test]
    fn a_forced_request_passes_both() {
        assert_eq!(BOTH.request(12, 5, Severity::Forced), Ok(17));
    }

    #[test]
    fn a_limit_without_a_barrier_limits() {
        let limit = Settings {
            high: UNLIMITED,
            max: 3,
        };
        assert_eq!(limit.request(3, 1, Severity::Strict), Err(Setting::Max));
    }

    #[test]
    fn a_barrier_above_the_limit_does_not_weaken_it() {
        let turned = Settings { high: 20, max: 10 };
        assert_eq!(turned.request(10, 1, Severity::Strict), Err(Setting::Max));
    }

    #[test]
    fn without_settings_nothing_is_refused() {
        let none = Settings {
            high: UNLIMITED,
            max: UNLIMITED,
        };
        assert_eq!(
            none.request(UNLIMITED - 1, 1, Severity::Strict),
            Ok(UNLIMITED)
        );
        assert_eq!(
            none.request(UNLIMITED, 1, Severity::Strict),
            Err(Setting::Max)
        );
        assert_eq!(none.headroom(5), UNLIMITED - 5);
    }

    #[test]
    fn headroom_ends_at_the_lower_setting() {
        assert_eq!(BOTH.headroom(4), 6);
        assert_eq!(BOTH.headroom(11), 0);
    }

    #[test]
    fn stock_shrinks_to_nothing_near_a_limit() {
        assert_eq!(stock(8, UNLIMITED, 4), 8);
        assert_eq!(stock(8, 40, 4), 5);
        assert_eq!(stock(8, 7, 4), 0);
        assert_eq!(stock(8, 0, 4), 0);
        assert_eq!(stock(0, UNLIMITED, 4), 0);
        assert_eq!(stock(8, UNLIMITED, 0), 0);
    }
}
