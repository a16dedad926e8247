// SPDX-License-Identifier: GPL-2.0

//! Medians, what they are more than without the controller, and whether that is too much.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use comfy_table::{CellAlignment, Table, presets};
use serde::{Deserialize, Serialize};

use super::Operation;
use super::history::Before;
use super::state::STATES;
use crate::bench::median;

/// By operation and index of a state, a value for each boot.
pub type Measured = BTreeMap<Operation, BTreeMap<usize, Vec<f64>>>;

/// Instructions of one operation in one state.
#[derive(Debug, Deserialize, Serialize)]
pub struct Cost {
    pub operation: String,
    pub state: String,
    /// One value for each boot, sorted.
    pub boots: Vec<f64>,
    pub median: f64,
    /// More than the unpatched kernel.
    pub more: f64,
    /// The most that `more` may be, the A/A band of the operation included.
    pub most: Option<f64>,
    /// Whether it is.
    pub met: Option<bool>,
    /// More than the same was at the last commit that was measured.
    pub since: Option<f64>,
}

/// Medians and their differences.
///
/// # Errors
///
/// An operation was not measured in every state.
pub fn costs(measured: Measured, before: Option<&Before>) -> Result<Vec<Cost>> {
    let mut costs = Vec::new();
    for (operation, mut states) in measured {
        for boots in states.values_mut() {
            boots.sort_by(f64::total_cmp);
        }
        let name = &operation.name;
        let medians = (0..STATES.len())
            .map(|at| states.get(&at).map(|boots| median(boots)))
            .collect::<Option<Vec<_>>>()
            .with_context(|| format!("{name} was not measured in every state"))?;
        let unpatched = medians[0];
        let band = (STATES.iter().zip(&medians))
            .filter(|(state, _)| state.is_unpatched())
            .map(|(_, median)| (median - unpatched).abs())
            .fold(0.0, f64::max);

        for (at, boots) in states {
            let more = medians[at] - unpatched;
            let most = STATES[at]
                .target
                .most(name, operation.objects, unpatched)
                .map(|most| most + band);
            let state = STATES[at].name.to_owned();
            costs.push(Cost {
                since: before
                    .and_then(|before| before.median(name, &state))
                    .map(|median| medians[at] - median),
                operation: name.clone(),
                state,
                boots,
                median: medians[at],
                more,
                most,
                met: most.map(|most| more <= most),
            });
        }
    }
    Ok(costs)
}

/// All costs, for people; `before` is the commit that they are compared with.
pub fn table(costs: &[Cost], before: Option<&str>) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    let mut header: Vec<String> = [
        "operation",
        "state",
        "instructions",
        "least .. most",
        "more",
        "",
        "at most",
        "",
    ]
    .map(String::from)
    .to_vec();
    header.extend(before.map(|commit| format!("since {commit}")));
    table.set_header(header);

    for cost in costs {
        let (least, most) = (cost.boots[0], cost.boots[cost.boots.len() - 1]);
        let mut row = vec![
            cost.operation.clone(),
            cost.state.clone(),
            format!("{:.1}", cost.median),
            format!("{least:.1} .. {most:.1}"),
            format!("{:+.1}", cost.more),
            format!("{:+.2} %", percent(cost)),
            cost.most
                .map_or_else(String::new, |most| format!("{most:.1}")),
            match cost.met {
                None => "",
                Some(true) => "pass",
                Some(false) => "miss",
            }
            .to_owned(),
        ];
        if before.is_some() {
            row.push(
                cost.since
                    .map_or_else(String::new, |since| format!("{since:+.1}")),
            );
        }
        table.add_row(row);
    }
    for column in [2, 3, 4, 5, 6, 8] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// What `cost` is more than the unpatched kernel, of a hundred.
pub fn percent(cost: &Cost) -> f64 {
    100.0 * cost.more / (cost.median - cost.more)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(name: &str) -> Operation {
        Operation {
            name: name.to_owned(),
            objects: 2,
        }
    }

    fn measured(values: impl Fn(usize) -> Vec<f64>) -> Measured {
        let states = (0..STATES.len()).map(|at| (at, values(at))).collect();
        Measured::from([(operation("pipe-close"), states)])
    }

    #[test]
    fn differences_are_from_the_unpatched_kernel() {
        let costs = costs(measured(|at| vec![100.0 + at as f64, 90.0, 200.0]), None).unwrap();
        assert_eq!(costs[0].more, 0.0);
        assert_eq!(costs[3].median, 103.0);
        assert_eq!(costs[3].more, 3.0);
    }

    #[test]
    fn targets_are_beyond_the_band() {
        // Two objects may cost 16 instructions if nothing uses the controller, and the band is 1.
        for (more, met) in [(17.0, true), (17.5, false)] {
            let value = |at| 1000.0 + [0.0, 0.5, -1.0, more, 9.0, 0.0, 0.0, 0.0][at];
            let costs = costs(measured(|at| vec![value(at)]), None).unwrap();
            assert_eq!(costs[3].state, "unused");
            assert_eq!((costs[3].most, costs[3].met), (Some(17.0), Some(met)));
            assert_eq!(costs[4].met, None);
        }
    }

    #[test]
    fn a_state_without_a_value_is_an_error() {
        let states = BTreeMap::from([(0, vec![1.0])]);
        assert!(costs(Measured::from([(operation("pipe-close"), states)]), None).is_err());
    }
}
