// SPDX-License-Identifier: GPL-2.0

//! What is on the screen: rows in the order of their closeness to the limit.

use std::cmp::Ordering;
use std::collections::HashMap;

use super::super::rows::Row;

/// A resource of a cgroup.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The cgroup's name.
    pub cgroup: String,
    /// Its numbers.
    pub row: Row,
    /// How many requests were refused since the last look.
    pub refused: u64,
}

/// All that can be shown, and where the screen is in it.
#[derive(Debug, Default)]
pub struct Model {
    entries: Vec<Entry>,
    all: bool,
    offset: usize,
}

impl Entry {
    /// How much of its limit is held, rounded down, so that 100 is reached when all is.
    pub fn percent(&self) -> Option<u32> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is between 0 and 999"
        )]
        let percent = |share: f64| (share * 100.0).min(999.0) as u32;
        self.row.share().map(percent)
    }
}

impl Model {
    /// Nothing, so far; `all` has rows without limits shown too.
    pub fn new(all: bool) -> Self {
        Self {
            all,
            ..Self::default()
        }
    }

    /// Takes what was seen.
    pub fn update(&mut self, rows: impl IntoIterator<Item = (String, Row)>) {
        let before: HashMap<_, _> = self
            .entries
            .drain(..)
            .map(|entry| ((entry.cgroup, entry.row.resource), entry.row.failcnt))
            .collect();
        self.entries = rows
            .into_iter()
            .map(|(cgroup, row)| {
                let place = (cgroup, row.resource.clone());
                let refused = match (row.failcnt, before.get(&place)) {
                    (Some(now), Some(Some(before))) => now.saturating_sub(*before),
                    // What was refused before it was looked at is no news.
                    _ => 0,
                };
                let (cgroup, _) = place;
                Entry {
                    cgroup,
                    row,
                    refused,
                }
            })
            .collect();
        self.entries.sort_by(order);
        self.scroll(0);
    }

    /// What is to be shown, the closest first.
    pub fn visible(&self) -> impl Iterator<Item = &Entry> {
        let shown = |entry: &&Entry| self.all || entry.row.share().is_some();
        self.entries.iter().filter(shown)
    }

    /// The first of them on the screen.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Shows, or hides, what has no limit.
    pub fn toggle(&mut self) {
        self.all = !self.all;
        self.scroll(0);
    }

    /// Moves the screen, as far as there is something.
    pub fn scroll(&mut self, lines: isize) {
        let last = self.visible().count().saturating_sub(1);
        self.offset = self.offset.saturating_add_signed(lines).min(last);
    }
}

fn order(one: &Entry, other: &Entry) -> Ordering {
    // What has no limit is less than anything.
    let share = |entry: &Entry| entry.row.share().unwrap_or(-1.0);
    share(other)
        .total_cmp(&share(one))
        .then_with(|| other.row.failcnt.cmp(&one.row.failcnt))
        .then_with(|| one.cgroup.cmp(&other.cgroup))
        .then_with(|| one.row.resource.cmp(&other.row.resource))
}

/// A bar for a share of 1, in eighths of a character. More than all is all.
pub fn bar(share: f64, width: usize) -> String {
    const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is as wide as a terminal"
    )]
    let eighths = (share.clamp(0.0, 1.0) * (width * 8) as f64) as usize;
    let mut bar = "█".repeat(eighths / 8);
    bar += PARTS[eighths % 8];
    bar
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_bar_is_full_when_all_is_held() {
        assert_eq!(bar(0.0, 4), "");
        assert_eq!(bar(0.5, 4), "██");
        assert_eq!(bar(0.99, 4), "███▉");
        assert_eq!(bar(1.0, 4), "████");
        assert_eq!(bar(7.0, 4), "████");
    }

    proptest! {
        #[test]
        fn more_has_no_shorter_bar(one in 0.0..2.0_f64, other in 0.0..2.0_f64, width in 0_usize..99) {
            let (less, more) = (one.min(other), one.max(other));
            let length = |share| bar(share, width).chars().count();
            prop_assert!(length(less) <= length(more));
            prop_assert!(length(more) <= width);
        }
    }
}
