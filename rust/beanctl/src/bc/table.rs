// SPDX-License-Identifier: GPL-2.0

//! Tables for people: no lines, the first column to the left and all others to the right.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

/// A table of these columns.
pub fn table<'a>(columns: impl IntoIterator<Item = &'a str>) -> Table {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(columns);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// Lets these columns of a table begin at the left too.
pub fn left(table: &mut Table, columns: &[usize]) {
    for &index in columns {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Left);
        }
    }
}

/// Names and what is to say of them, in lines that fit on a narrow terminal.
pub fn described<'a>(rows: impl IntoIterator<Item = [&'a str; 2]>) -> Table {
    const WIDTH: u16 = 80;
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(WIDTH);
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((2, 0));
    }
    table
}

/// It, one row in a line, without blanks at the ends.
pub fn text(table: &Table) -> String {
    let lines = table.lines();
    lines
        .map(|line| line.trim_end().to_owned() + "\n")
        .collect()
}
