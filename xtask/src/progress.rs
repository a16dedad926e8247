// SPDX-License-Identifier: GPL-2.0

//! Progress of long steps on standard error: a bar with an estimate on a terminal, elsewhere a
//! plain line now and then, so that a log stays readable.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

/// How often a plain line is printed at most.
const PLAIN_EVERY: Duration = Duration::from_secs(10);

static VERBOSE: AtomicBool = AtomicBool::new(false);

/// How many steps are under way.
static OPEN: AtomicUsize = AtomicUsize::new(0);

/// Sets whether commands and their details are shown (`--verbose`).
pub fn set_verbose(verbose: bool) {
    VERBOSE.store(verbose, Ordering::Relaxed);
}

/// Whether `--verbose` was given.
pub fn verbose() -> bool {
    VERBOSE.load(Ordering::Relaxed)
}

/// Prints a detail that only `--verbose` shows.
pub fn detail(text: impl std::fmt::Display) {
    if verbose() {
        eprintln!("{text}");
    }
}

/// What is being counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes, shown in binary multiples.
    Bytes,
    /// Things of the given plural name.
    Count(&'static str),
    /// Hundredths of something that has no better measure.
    Percent,
}

/// One long step under way; what is done within it shows no bar of its own.
#[derive(Debug)]
pub struct Bar {
    state: State,
    nested: bool,
    fancy: Option<ProgressBar>,
    printed: Instant,
}

/// What is known about a step; apart from the output so that the text can be tested.
#[derive(Clone, Debug)]
struct State {
    what: String,
    unit: Unit,
    done: u64,
    total: Option<u64>,
    started: Instant,
}

impl Bar {
    /// Starts a step of `total` units; without a total only what is done can be shown.
    pub fn new(what: impl Into<String>, unit: Unit, total: Option<u64>) -> Self {
        let what = what.into();
        let plain = !std::io::stderr().is_terminal() || std::env::var_os("CI").is_some();
        let nested = OPEN.fetch_add(1, Ordering::Relaxed) > 0;
        let fancy = (!plain && !nested).then(|| {
            let bar = match total {
                Some(total) => ProgressBar::new(total),
                None => ProgressBar::new_spinner(),
            };
            bar.set_style(style(unit, total.is_some()));
            bar.set_message(what.clone());
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        let now = Instant::now();
        let state = State {
            what,
            unit,
            done: 0,
            total,
            started: now,
        };
        if plain && !nested {
            eprintln!("{} ...", state.what);
        }
        Self {
            state,
            nested,
            fancy,
            printed: now,
        }
    }

    /// Says how much is done; a total that proves too small grows with it.
    pub fn set(&mut self, done: u64) {
        self.state.done = done;
        if self.state.total.is_some_and(|total| total < done) {
            self.total(done);
        }
        match &self.fancy {
            Some(bar) => bar.set_position(done),
            None if self.nested => {}
            None => {
                let now = Instant::now();
                if now.duration_since(self.printed) >= PLAIN_EVERY {
                    self.printed = now;
                    eprintln!("{}", self.state.line(self.state.started.elapsed()));
                }
            }
        }
    }

    /// Adds to what is done.
    pub fn add(&mut self, more: u64) {
        self.set(self.state.done + more);
    }

    /// Corrects the total.
    pub fn total(&mut self, total: u64) {
        if let Some(bar) = &self.fancy {
            if self.state.total.is_none() {
                bar.set_style(style(self.state.unit, true));
            }
            bar.set_length(total);
        }
        self.state.total = Some(total);
    }

    /// Prints a line, above the bar where there is one.
    pub fn say(&self, line: &str) {
        match &self.fancy {
            Some(bar) => bar.println(line),
            None => eprintln!("{line}"),
        }
    }

    /// Ends the step and says how long it took.
    pub fn finish(self) {
        if let Some(bar) = &self.fancy {
            bar.finish_and_clear();
        }
        if !self.nested {
            eprintln!("{}", self.state.last_line(self.state.started.elapsed()));
        }
    }
}

impl Drop for Bar {
    // A step that ends by an error must not leave a bar behind that goes on drawing.
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Ordering::Relaxed);
        if let Some(bar) = &self.fancy {
            bar.finish_and_clear();
        }
    }
}

fn style(unit: Unit, total: bool) -> ProgressStyle {
    let template = match (unit, total) {
        (Unit::Bytes, true) => {
            "{msg} [{bar:25}] {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left"
        }
        (Unit::Bytes, false) => "{spinner} {msg}: {bytes}, {elapsed}",
        (Unit::Percent, true) => "{msg} [{bar:25}] {percent} %, {eta} left",
        (Unit::Count(_), true) => "{msg} [{bar:25}] {pos} of {len}, {percent} %, {eta} left",
        (_, false) => "{spinner} {msg}: {pos}, {elapsed}",
    };
    ProgressStyle::with_template(template)
        .expect("the templates are constant")
        .progress_chars("=> ")
}

impl State {
    fn amount(&self, number: u64) -> String {
        match self.unit {
            Unit::Bytes => HumanBytes(number).to_string(),
            Unit::Percent => format!("{number} %"),
            Unit::Count(_) => number.to_string(),
        }
    }

    fn noun(&self) -> String {
        match self.unit {
            Unit::Bytes | Unit::Percent => String::new(),
            Unit::Count(noun) => format!(" {noun}"),
        }
    }

    /// The plain form of the bar after `elapsed`.
    fn line(&self, elapsed: Duration) -> String {
        let what = &self.what;
        let done = self.amount(self.done);
        let noun = self.noun();
        let Some(total) = self.total.filter(|total| *total > 0) else {
            return format!("{what}: {done}{noun} after {}", duration(elapsed));
        };
        let percent = self.done * 100 / total;
        let mut line = match self.unit {
            Unit::Percent => format!("{what}: {percent} %"),
            _ => format!(
                "{what}: {done} of {}{noun} ({percent} %)",
                self.amount(total)
            ),
        };
        if self.done > 0 && self.done < total {
            let left = elapsed.as_secs_f64() * (total - self.done) as f64 / self.done as f64;
            line += &format!(", about {} left", duration(Duration::from_secs_f64(left)));
        }
        line
    }

    fn last_line(&self, elapsed: Duration) -> String {
        let what = &self.what;
        let took = duration(elapsed);
        match self.unit {
            Unit::Percent => format!("{what}: done in {took}"),
            _ => format!(
                "{what}: {}{} in {took}",
                self.amount(self.done),
                self.noun()
            ),
        }
    }
}

/// A duration for people: `0.4 s`, `12 s`, `3 min 05 s`.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..10 => format!("{:.1} s", duration.as_secs_f64()),
        10..60 => format!("{seconds} s"),
        _ => format!("{} min {:02} s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(unit: Unit, done: u64, total: Option<u64>) -> State {
        State {
            what: "building um".into(),
            unit,
            done,
            total,
            started: Instant::now(),
        }
    }

    #[test]
    fn a_plain_line_says_done_total_percent_and_estimate() {
        let state = state(Unit::Count("objects"), 250, Some(1000));
        assert_eq!(
            state.line(Duration::from_secs(60)),
            "building um: 250 of 1000 objects (25 %), about 3 min 00 s left"
        );
    }

    #[test]
    fn without_a_total_there_is_no_estimate() {
        let state = state(Unit::Count("objects"), 7, None);
        assert_eq!(
            state.line(Duration::from_secs(61)),
            "building um: 7 objects after 1 min 01 s"
        );
    }

    #[test]
    fn nothing_done_gives_no_estimate_and_no_division_by_zero() {
        assert_eq!(
            state(Unit::Bytes, 0, Some(2048)).line(Duration::ZERO),
            "building um: 0 B of 2.00 KiB (0 %)"
        );
        assert_eq!(
            state(Unit::Bytes, 0, Some(0)).line(Duration::ZERO),
            "building um: 0 B after 0.0 s"
        );
    }

    #[test]
    fn percentages_are_not_counted_twice() {
        let state = state(Unit::Percent, 50, Some(100));
        let took = Duration::from_secs(20);
        assert_eq!(state.line(took), "building um: 50 %, about 20 s left");
        assert_eq!(state.last_line(took), "building um: done in 20 s");
    }

    #[test]
    fn the_total_grows_with_what_is_done() {
        let mut bar = Bar::new("counting", Unit::Count("things"), Some(3));
        bar.set(2);
        bar.add(3);
        assert_eq!((bar.state.done, bar.state.total), (5, Some(5)));
    }
}
