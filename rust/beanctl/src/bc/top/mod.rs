// SPDX-License-Identifier: GPL-2.0

//! `beanctl bc top`: what is closest to its limit, in a tree of cgroups.

mod model;
mod screen;

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::tree::Tree;
use super::{NONE, Trees, rows, seconds, table};
use crate::failure::{Exit, Failure};
use crate::{interrupt, print, text};
use model::{Entry, Model, bar};
use screen::Screen;

/// The command line of `beanctl bc top`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    trees: Trees,
    /// How often it is looked.
    #[arg(short, long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    interval: Duration,
    /// Prints what there is now, and ends.
    #[arg(long)]
    once: bool,
    /// Also what has no limit.
    #[arg(short, long)]
    all: bool,
}

/// How long a signal may have to wait.
const PATIENCE: Duration = Duration::from_millis(200);

/// How wide a bar is in a snapshot.
const WIDTH: usize = 20;

/// Watches, or looks once.
///
/// # Errors
///
/// There is nothing to see, or no terminal to show it on.
pub fn run(tree: &Tree, args: &Args) -> Result<()> {
    let mut model = Model::new(args.all);
    let looked = look(tree, &args.trees)?;
    if looked.is_empty() {
        let tops = args.trees.tops(tree)?;
        let group = tops.into_iter().next().unwrap_or_else(|| tree.top());
        return Err(tree.why_without(&group).into());
    }
    model.update(looked);
    if args.once {
        return print(&snapshot(&model));
    }
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        let what = "the standard input and output are no terminal";
        return Err(Failure::new(Exit::Usage, what)
            .fix("beanctl bc top --once")
            .into());
    }
    interrupt::catch()?;
    // Whatever happens from here on, it is put back when this goes.
    let mut screen = Screen::open().context("the terminal")?;
    watch(tree, args, &mut model, &mut screen)
}

fn watch(tree: &Tree, args: &Args, model: &mut Model, screen: &mut Screen) -> Result<()> {
    let mut paused = false;
    loop {
        screen.draw(model, args.interval, paused)?;
        let until = Instant::now() + args.interval;
        let mut changed = false;
        while !changed {
            interrupt::check()?;
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            if !event::poll(left.min(PATIENCE)).context("the terminal")? {
                continue;
            }
            changed = true;
            match event::read().context("the terminal")? {
                Event::Key(key) if key.kind != KeyEventKind::Release => match command(&key) {
                    Some(Command::Quit) => return Ok(()),
                    Some(Command::Pause) => paused = !paused,
                    Some(Command::All) => model.toggle(),
                    Some(Command::Scroll(lines)) => model.scroll(lines),
                    None => {}
                },
                _ => {}
            }
        }
        if !changed && !paused {
            model.update(look(tree, &args.trees)?);
        }
    }
}

/// What a key does.
enum Command {
    Quit,
    Pause,
    All,
    Scroll(isize),
}

fn command(key: &KeyEvent) -> Option<Command> {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    Some(match key.code {
        KeyCode::Char('c') if control => Command::Quit,
        KeyCode::Char('q') | KeyCode::Esc => Command::Quit,
        KeyCode::Char('a') => Command::All,
        KeyCode::Char('p' | ' ') => Command::Pause,
        KeyCode::Up | KeyCode::Char('k') => Command::Scroll(-1),
        KeyCode::Down | KeyCode::Char('j') => Command::Scroll(1),
        KeyCode::PageUp => Command::Scroll(-10),
        KeyCode::PageDown => Command::Scroll(10),
        KeyCode::Home => Command::Scroll(isize::MIN),
        _ => return None,
    })
}

/// All rows of all cgroups.
fn look(tree: &Tree, trees: &Trees) -> Result<Vec<(String, rows::Row)>> {
    let mut all = Vec::new();
    for group in trees.groups(tree)? {
        for row in rows::read(&group)? {
            all.push((group.name().to_owned(), row));
        }
    }
    Ok(all)
}

fn snapshot(model: &Model) -> String {
    if model.visible().next().is_none() {
        return "nothing has a limit; --all shows what has none\n".to_owned();
    }
    let mut table = table::table(["resource", "", "", "held", "of", "failcnt", "cgroup"]);
    table::left(&mut table, &[1, 6]);
    for entry in model.visible() {
        table.add_row(cells(entry, WIDTH));
    }
    table::text(&table)
}

/// The columns of an entry, with a bar of this width.
fn cells(entry: &Entry, width: usize) -> [String; 7] {
    let row = &entry.row;
    [
        text::printable(&row.resource),
        row.share().map_or(String::new(), |share| bar(share, width)),
        entry.percent().map_or(NONE.to_owned(), |p| format!("{p}%")),
        super::value::human(row.held, row.unit),
        row.strict()
            .map_or(NONE.to_owned(), |bound| bound.human(row.unit)),
        row.failcnt.map_or(NONE.to_owned(), |n| n.to_string()),
        text::printable(&entry.cgroup),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::sample::Sample;
    use super::*;

    pub fn model(sample: &Sample, all: bool) -> Model {
        let trees = Trees {
            cgroups: Vec::new(),
        };
        let mut model = Model::new(all);
        model.update(look(&sample.tree(), &trees).unwrap());
        model
    }

    #[test]
    fn the_closest_comes_first() {
        let sample = Sample::new();
        insta::assert_snapshot!(snapshot(&model(&sample, false)));
        let all = snapshot(&model(&sample, true));
        assert!(all.lines().count() > 12, "{all}");
        assert!(all.contains("kmemsize"), "{all}");
    }

    #[test]
    fn without_limits_it_is_said() {
        let sample = Sample::new();
        let mut model = Model::new(false);
        let rows = rows::read(&sample.group("idle")).unwrap();
        model.update(rows.into_iter().map(|row| ("/idle".to_owned(), row)));
        let text = snapshot(&model);
        assert_eq!(text, "nothing has a limit; --all shows what has none\n");
    }

    #[test]
    fn the_screen_shows_the_same_with_keys() {
        let sample = Sample::new();
        let mut model = model(&sample, false);
        let draw = |model: &mut Model| screen::picture(model, 90, 12);
        insta::assert_snapshot!(draw(&mut model));

        // Three refusals since the last look, and one line further down.
        sample.counted("shop/web", &["numfile 32 200 500 max 3 0"]);
        let trees = Trees {
            cgroups: Vec::new(),
        };
        model.update(look(&sample.tree(), &trees).unwrap());
        model.scroll(1);
        insta::assert_snapshot!(draw(&mut model));
    }
}
