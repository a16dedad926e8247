// SPDX-License-Identifier: GPL-2.0

//! `cargo xtask demo top`: what `beanctl bc top` shows of some containers in a guest, as a picture too.
//!
//! It runs on a terminal as for anybody, and what it draws is read by what a terminal would make of it.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anstyle::{Ansi256Color, AnsiColor, Color, RgbColor, Style};
use anyhow::{Context, Result};
use vt100::{Cell, Parser};

use crate::exit::Exit;
use crate::guest::{self, Kernel, Script};
use crate::kernel::{Arch, Base, Config, build};
use crate::workload;

/// The size of the terminal.
const ROWS: u16 = 17;
const COLUMNS: u16 = 100;

/// Builds the kernel, shows the screen, and writes a picture of it if asked to.
///
/// # Errors
///
/// The machine cannot do it, or what was drawn is not what it should be.
pub fn run(base: &Base, svg: Option<&Path>) -> Result<ExitCode> {
    let kernel = Kernel::from(build::ensure(base, &Config::new(Arch::Um))?);
    let text = format!(
        "ROWS={ROWS}\nCOLUMNS={COLUMNS}\n{}",
        include_str!("guest.sh")
    );
    let mut script = Script::new("demo-top", text)
        .file("workload", workload::build("workload")?)
        .file("beanctl", workload::build("beanctl")?);
    script.cmdline.push("kunit.enable=0".to_owned());
    let console = guest::run(&kernel, script)?;
    console.check().context(console.output.clone())?;

    let mut terminal = Parser::new(ROWS, COLUMNS, 0);
    terminal.process(console.output.as_bytes());
    let drawn = styled(&terminal);
    let wrong = wrong(&terminal.screen().contents());
    if !wrong.is_empty() {
        anstream::println!("{drawn}");
        return Err(console.failure(Exit::Findings, &wrong).into());
    }
    match svg {
        Some(path) => {
            fs::write(path, picture(&drawn)).with_context(|| path.display().to_string())?;
        }
        None => anstream::println!("{drawn}"),
    }
    Ok(Exit::Pass.into())
}

/// What is missing on the screen.
fn wrong(text: &str) -> Vec<String> {
    let parts = [
        ("the title", "beancounters, closest to the limit first"),
        ("a container", "/shop/web"),
        ("a bar", "█"),
        ("something that is refused", " +"),
        ("the keys", " q "),
    ];
    let missing = parts.iter().filter(|(_, part)| !text.contains(part));
    missing
        .map(|(what, _)| format!("{what} is not on the screen"))
        .collect()
}

/// The screen as text with colours, without the blanks at the ends of its lines.
fn styled(terminal: &Parser) -> String {
    let screen = terminal.screen();
    let (rows, columns) = screen.size();
    let mut text = String::new();
    for row in 0..rows {
        let cells = (0..columns).filter_map(|column| screen.cell(row, column));
        // What looks the same is in one piece.
        let mut pieces: Vec<(Style, String)> = Vec::new();
        for cell in cells {
            let (style, contents) = (style(cell), cell.contents());
            let contents = if contents.is_empty() { " " } else { &contents };
            match pieces.last_mut() {
                Some((last, piece)) if *last == style => *piece += contents,
                _ => pieces.push((style, contents.to_owned())),
            }
        }
        if let Some((style, piece)) = pieces.last_mut() {
            if *style == Style::new() {
                piece.truncate(piece.trim_end().len());
            }
        }
        for (style, piece) in pieces {
            let _ = write!(text, "{style}{piece}{style:#}");
        }
        text.push('\n');
    }
    text
}

fn style(cell: &Cell) -> Style {
    let mut style = Style::new()
        .fg_color(color(cell.fgcolor()))
        .bg_color(color(cell.bgcolor()));
    if cell.bold() {
        style = style.bold();
    }
    if cell.underline() {
        style = style.underline();
    }
    if cell.inverse() {
        style = style.invert();
    }
    style
}

fn color(color: vt100::Color) -> Option<Color> {
    match color {
        vt100::Color::Default => None,
        vt100::Color::Idx(index) => Some(
            Ansi256Color(index)
                .into_ansi()
                .map_or(Ansi256Color(index).into(), AnsiColor::into),
        ),
        vt100::Color::Rgb(red, green, blue) => Some(RgbColor(red, green, blue).into()),
    }
}

fn picture(drawn: &str) -> String {
    let svg = anstyle_svg::Term::new().render_svg(drawn);
    format!("<!-- SPDX-License-Identifier: GPL-2.0 -->\n{svg}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terminal(drawn: &str) -> Parser {
        let mut terminal = Parser::new(2, 20, 0);
        terminal.process(drawn.as_bytes());
        terminal
    }

    #[test]
    fn what_is_drawn_anywhere_comes_to_its_place() {
        let drawn = styled(&terminal(
            "\x1b[2;3Hb\x1b[1;1H\x1b[31ma\x1b[0m \x1b[7m q \x1b[0m",
        ));
        let expected = "\u{1b}[31ma\u{1b}[0m \u{1b}[7m q \u{1b}[0m\n  b\n";
        assert_eq!(drawn, expected);
    }

    #[test]
    fn a_picture_has_the_text_and_its_colours() {
        let svg = picture(&styled(&terminal("\x1b[33m<\x1b[0m")));
        assert!(svg.starts_with("<!-- SPDX"), "{svg}");
        assert!(svg.contains("&lt;"), "{svg}");
        assert!(svg.contains("fg-yellow"), "{svg}");
    }

    #[test]
    fn a_screen_without_something_is_wrong() {
        assert_eq!(wrong("").len(), 5);
        let whole = "beancounters, closest to the limit first\nnumfile ███ +3 /shop/web\n q  quit";
        assert!(wrong(whole).is_empty());
    }
}
