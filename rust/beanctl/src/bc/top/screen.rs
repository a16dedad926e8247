// SPDX-License-Identifier: GPL-2.0

//! The terminal: taken over, drawn on, and put back.

use std::io;
use std::ops::RangeInclusive;
use std::time::Duration;

use anyhow::{Context, Result};
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Row, Table};
use ratatui::{DefaultTerminal, Frame};

use super::cells;
use super::model::{Entry, Model};

/// How wide all columns but the bar and the name of the cgroup are, with the gaps.
const NUMBERS: u16 = 60;

/// How wide a bar may be; it has half of what is left.
const BAR: RangeInclusive<u16> = 6..=30;

/// From which share on it looks like trouble, in percent.
const CLOSE: u32 = 80;
const FULL: u32 = 100;

/// The keys, and what they do.
const KEYS: [(&str, &str); 4] = [
    ("q", "quit"),
    ("a", "all/limited"),
    ("p", "pause"),
    ("↑↓ PgUp PgDn Home", "scroll"),
];

/// The terminal, while it is ours.
pub struct Screen(DefaultTerminal);

impl Screen {
    /// Takes it over; a panic puts it back too.
    pub fn open() -> io::Result<Self> {
        match ratatui::try_init() {
            Ok(terminal) => Ok(Self(terminal)),
            Err(error) => {
                // It may have come half way.
                let _ = ratatui::try_restore();
                Err(error)
            }
        }
    }

    /// Shows what there is.
    pub fn draw(&mut self, model: &Model, interval: Duration, paused: bool) -> Result<()> {
        self.0
            .draw(|frame| draw(frame, model, interval, paused))
            .context("the terminal")?;
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing.
        let _ = ratatui::try_restore();
    }
}

fn draw(frame: &mut Frame, model: &Model, interval: Duration, paused: bool) {
    let areas = Layout::vertical([
        Constraint::Length(1),
        Constraint::Min(1),
        Constraint::Length(1),
    ]);
    let [head, body, keys] = areas.areas(frame.area());

    let visible = model.visible().count();
    let state = match paused {
        true => "paused".to_owned(),
        false => format!("every {interval:?}"),
    };
    let first = model.offset() + usize::from(visible > 0);
    let title = format!("beancounters, closest to the limit first: {first}/{visible}, {state}");
    frame.render_widget(Line::styled(title, Modifier::BOLD), head);

    let columns = ["resource", "", "", "held", "of", "failcnt", "new", "cgroup"];
    let rows = model.visible().skip(model.offset());
    let rows = rows.take(usize::from(body.height));
    let bar = (body.width.saturating_sub(NUMBERS) / 2).clamp(*BAR.start(), *BAR.end());
    let rows = rows.map(|entry| row(entry, usize::from(bar)));
    let widths = [
        Constraint::Length(12),
        Constraint::Length(bar),
        Constraint::Length(5),
        Constraint::Length(11),
        Constraint::Length(11),
        Constraint::Length(8),
        Constraint::Length(6),
        Constraint::Fill(1),
    ];
    let header = columns.into_iter().enumerate().map(|(index, name)| {
        let line = Line::raw(name);
        Cell::from(match is_number(index) {
            true => line.right_aligned(),
            false => line,
        })
    });
    let header = Row::new(header).style(Modifier::UNDERLINED);
    frame.render_widget(Table::new(rows, widths).header(header), body);

    let mut line = Line::default();
    for (key, what) in KEYS {
        line.push_span(Span::styled(format!(" {key} "), Modifier::REVERSED));
        line.push_span(format!(" {what}  "));
    }
    frame.render_widget(line, keys);
}

fn is_number(column: usize) -> bool {
    (2..=6).contains(&column)
}

fn row(entry: &Entry, width: usize) -> Row<'static> {
    let [resource, bar, percent, held, of, failcnt, cgroup] = cells(entry, width);
    let color = match entry.percent() {
        Some(FULL..) => Style::from(Color::Red),
        Some(CLOSE..) => Style::from(Color::Yellow),
        Some(_) => Style::from(Color::Green),
        None => Style::default(),
    };
    let new = match entry.refused {
        0 => String::new(),
        number => format!("+{number}"),
    };
    let number = |text: String| Line::raw(text).right_aligned();
    Row::new([
        Line::raw(resource),
        Line::styled(bar, color),
        number(percent),
        number(held),
        number(of),
        number(failcnt),
        number(new).style(Style::from(Color::Red).add_modifier(Modifier::BOLD)),
        Line::raw(cgroup),
    ])
}

/// What a terminal of this size shows.
#[cfg(test)]
pub fn picture(model: &Model, width: u16, height: u16) -> String {
    let backend = ratatui::backend::TestBackend::new(width, height);
    let mut terminal = ratatui::Terminal::new(backend).unwrap();
    let interval = Duration::from_secs(1);
    terminal
        .draw(|frame| draw(frame, model, interval, false))
        .unwrap();
    terminal.backend().to_string()
}
