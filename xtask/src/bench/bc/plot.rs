// SPDX-License-Identifier: GPL-2.0

//! The costs as a picture: a group of bars for each operation, a bar for each state.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::cost::{Cost, percent};
use super::state::STATES;

/// States that are not drawn: what all are compared with.
const SKIPPED: usize = 1;
/// Pixels of a bar, and of what is around all of them.
const BAR: usize = 9;
const MARGIN: usize = 110;
const WIDTH: u32 = 1000;
/// How wide the names are at the most.
const NAMES: u32 = 150;

/// Draws what each operation costs more, in percent of the unpatched kernel.
///
/// # Errors
///
/// The file cannot be written.
pub fn draw(costs: &[Cost], file: &Path) -> Result<()> {
    let operations: Vec<_> = costs
        .chunk_by(|a, b| a.operation == b.operation)
        .map(|group| group[0].operation.clone())
        .collect();
    let states = STATES.len() - SKIPPED;
    let group = states + 1;
    let height = operations.len() * group * BAR + MARGIN;
    let percents = || costs.iter().map(percent);
    let least = percents().fold(-1.0, f64::min);
    let most = percents().fold(1.0, f64::max);

    let area = SVGBackend::new(file, (WIDTH, height as u32)).into_drawing_area();
    let failed = |error: &dyn std::fmt::Display| anyhow!("{error}");
    area.fill(&WHITE).map_err(|error| failed(&error))?;
    let mut chart = ChartBuilder::on(&area)
        .caption(
            "Instructions more than the unpatched kernel, in percent",
            ("sans-serif", 18),
        )
        .margin(10)
        .x_label_area_size(30)
        .y_label_area_size(NAMES)
        .build_cartesian_2d(
            least * 1.05..most * 1.05,
            (operations.len() * group) as f64..0.0,
        )
        .map_err(|error| failed(&error))?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .y_labels(0)
        .x_label_formatter(&|x| format!("{x:.0} %"))
        .draw()
        .map_err(|error| failed(&error))?;

    // Each name is in the middle of its group, where the chart's own labels would not be.
    let names = TextStyle::from(("sans-serif", 12)).pos(Pos::new(HPos::Right, VPos::Center));
    for (at, name) in operations.iter().enumerate() {
        let middle = (at as f64 + 0.5) * group as f64;
        let (_, y) = chart.backend_coord(&(0.0, middle));
        let place = (NAMES as i32, y);
        area.draw(&Text::new(name.as_str(), place, names.clone()))
            .map_err(|error| failed(&error))?;
    }
    for (at, state) in STATES.iter().enumerate().skip(SKIPPED) {
        let colour = Palette99::pick(at).mix(0.9);
        let bars = costs
            .iter()
            .filter(|cost| cost.state == state.name)
            .zip(0..)
            .map(|(cost, operation)| {
                let top = (operation * group + at - SKIPPED) as f64 + 0.5;
                Rectangle::new([(0.0, top), (percent(cost), top + 0.9)], colour.filled())
            });
        chart
            .draw_series(bars)
            .map_err(|error| failed(&error))?
            .label(state.name)
            .legend(move |(x, y)| Rectangle::new([(x, y - 4), (x + 12, y + 4)], colour.filled()));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.9))
        .border_style(BLACK)
        .draw()
        .map_err(|error| failed(&error))?;
    area.present().map_err(|error| failed(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_and_operation_is_in_the_picture() {
        let operations: Vec<_> = (0..17).map(|nr| format!("operation-{nr}")).collect();
        let costs: Vec<_> = operations
            .iter()
            .flat_map(|operation| STATES.iter().map(move |state| (operation, state)))
            .map(|(operation, state)| Cost {
                operation: operation.clone(),
                state: state.name.to_owned(),
                boots: vec![102.0],
                median: 102.0,
                more: 2.0,
                most: None,
                met: None,
                since: None,
            })
            .collect();
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("costs.svg");
        draw(&costs, &file).unwrap();
        let svg = std::fs::read_to_string(file).unwrap();
        let states = STATES.iter().skip(SKIPPED).map(|state| state.name);
        for text in operations.iter().map(String::as_str).chain(states) {
            let lines = svg.lines().filter(|line| line.trim() == text);
            assert_eq!(lines.count(), 1, "{text}\n{svg}");
        }
    }
}
