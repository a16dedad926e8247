// SPDX-License-Identifier: GPL-2.0

//! What only shows in the whole program: `beanctl bc` with a made-up tree of cgroups.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::pty::{OpenptyResult, Winsize, openpty};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction};
use nix::sys::termios::{Termios, tcgetattr};
use nix::unistd::Pid;

mod tree;

use tree::Sample;

/// More than anything here takes; how long it is says nothing.
const NEVER: Duration = Duration::from_secs(300);

fn beanctl(sample: &Sample, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_beanctl"));
    command.arg("bc").arg("--root").arg(sample.path());
    command.args(words).stdin(Stdio::null());
    command
}

fn run(sample: &Sample, words: &[&str]) -> Output {
    beanctl(sample, words).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What was said of the tree, which is in another place each time.
fn said(sample: &Sample, bytes: &[u8]) -> String {
    text(bytes).replace(&sample.path().display().to_string(), "TREE")
}

fn stdout(output: &Output) -> String {
    assert_eq!(text(&output.stderr), "");
    assert!(output.status.success(), "{:?}", output.status);
    text(&output.stdout)
}

#[test]
fn every_verb_has_help() {
    let sample = Sample::new();
    for verb in ["show", "set", "top", "events", "explain", "check", "export"] {
        let help = stdout(&run(&sample, &[verb, "--help"]));
        assert!(help.contains("Examples:"), "{help}");
        assert!(!help.contains("--root"), "{help}");
    }
}

#[test]
fn several_cgroups_are_shown_one_after_the_other() {
    let sample = Sample::new();
    let shown = stdout(&run(&sample, &["show", "idle", "/shop/db"]));
    insta::assert_snapshot!(shown, @r"
    /idle
    resource  held  maxheld  barrier  limit  failcnt
    numproc      0        0      max    max        0
    numfile      0       12      max    max        0

    /shop/db
    resource         held   maxheld  barrier  limit  failcnt
    numproc             5         9      max     40        2
    numfile           780       800      800    800       31
    privvmpages  3.91 MiB  7.81 MiB      max    max        0
    ");
    let all = stdout(&run(&sample, &["show", "--recursive"]));
    let names: Vec<_> = all.lines().filter(|line| line.starts_with('/')).collect();
    assert_eq!(names, ["/idle", "/shop", "/shop/db", "/shop/web"]);
}

#[test]
fn machines_are_shown_exact_numbers() {
    let sample = Sample::new();
    let shown = stdout(&run(&sample, &["show", "--json", "shop"]));
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let row = |name: &str| {
        let rows = shown[0]["resources"].as_array().unwrap();
        let row = rows.iter().find(|row| row["resource"] == name);
        row.unwrap().clone()
    };
    assert_eq!(shown[0]["cgroup"], "/shop");
    let privvmpages = row("privvmpages");
    assert_eq!(
        (&privvmpages["held"], &privvmpages["limit"]),
        (&51200.into(), &"max".into())
    );
    assert_eq!(privvmpages["unit"], "pages");
    let kmemsize = row("kmemsize");
    assert_eq!(
        (&kmemsize["limit"], &kmemsize["controller"]),
        (&serde_json::Value::Null, &"memory".into())
    );
}

#[test]
fn where_there_is_nothing_to_show_it_is_said_what_to_do() {
    let sample = Sample::new();
    // Its own cgroup is the root here.
    for verb in [&["show"] as &[_], &["check"], &["set", "/", "numfile=1"]] {
        let output = run(&sample, verb);
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(
            text(&output.stderr),
            "error: / is the root cgroup, which pays for nothing\n  fix: name a cgroup, or take \
             them all with --recursive\n"
        );
    }
    sample.write("cgroup.controllers", "memory\n");
    let output = run(&sample, &["set", "idle/../shop/none", "numfile=1"]);
    assert_eq!(output.status.code(), Some(2));
    for group in ["idle", "shop", "shop/db", "shop/web"] {
        sample.remove(&format!("{group}/bc.stat"));
    }
    sample.remove("shop/memory.current");
    sample.remove("shop/memory.swap.current");
    sample.remove("shop/pids.current");
    for verb in ["show", "check", "export", "top"] {
        let output = run(&sample, &[verb]);
        assert_eq!(output.status.code(), Some(4), "{verb}");
        assert!(text(&output.stderr).starts_with("error: this kernel has no controller `bc`\n"));
    }
}

#[test]
fn without_bc_the_rest_is_shown_with_a_note() {
    let sample = Sample::new();
    sample.write("cgroup.controllers", "memory pids\n");
    sample.remove("shop/bc.stat");
    let output = run(&sample, &["show", "shop"]);
    assert!(output.status.success());
    assert!(text(&output.stderr).starts_with("note: this kernel has no controller `bc`\n"));
    assert!(text(&output.stdout).contains("\nphyspages "));
}

#[test]
fn a_setting_is_written() {
    let sample = Sample::new();
    sample.write("shop/bc.high", "");
    sample.write("shop/bc.max", "");
    let words = ["set", "shop", "numfile=2000:3000", "privvmpages=1G:max"];
    let dry: Vec<_> = words.iter().copied().chain(["--dry-run"]).collect();
    let output = run(&sample, &dry);
    insta::assert_snapshot!(said(&sample, &output.stdout), @r"
    printf 'numfile 3000\nprivvmpages max\n' >TREE/shop/bc.max
    printf 'numfile 2000\nprivvmpages 262144\n' >TREE/shop/bc.high
    ");
    let read = |file: &str| fs::read_to_string(sample.path().join(file)).unwrap();
    assert_eq!(
        (read("shop/bc.high"), read("shop/bc.max")),
        Default::default()
    );
    assert_eq!(stdout(&run(&sample, &words)), "");
    assert_eq!(read("shop/bc.high"), "numfile 2000\nprivvmpages 262144\n");
    assert_eq!(read("shop/bc.max"), "numfile 3000\nprivvmpages max\n");
}

#[test]
fn a_wrong_wish_changes_nothing() {
    let sample = Sample::new();
    let read = || {
        let read = |file| fs::read_to_string(sample.path().join(file)).unwrap();
        [read("shop/bc.high"), read("shop/bc.max")]
    };
    let before = read();
    for (words, code, what) in [
        (
            &["numproc=5", "numfile=x"] as &[_],
            2,
            "error: numfile: `x` is no number\n",
        ),
        (
            &["numproc=5", "numproc=6"],
            2,
            "error: numproc is there twice\n",
        ),
        (
            &["numproc=5", "numpty=6"],
            4,
            "error: numpty: this kernel does not count it\n",
        ),
    ] {
        let words: Vec<_> = ["set", "shop"].iter().chain(words).copied().collect();
        let output = run(&sample, &words);
        assert_eq!(output.status.code(), Some(code));
        let said = text(&output.stderr);
        assert!(said.starts_with(what), "{said}");
    }
    assert_eq!(read(), before);
}

#[test]
fn findings_are_an_exit_code() {
    let sample = Sample::new();
    let output = run(&sample, &["check", "shop"]);
    assert_eq!(output.status.code(), Some(1));
    insta::assert_snapshot!(text(&output.stdout), @r"
    /shop: 1 rule is broken, 3 rules are kept
      rule: numfile.barrier >= 32 * average processes
        values: numfile.barrier = 1000, half of numproc.barrier = 100, at least 1600
        fix: beanctl bc set /shop numfile=1600
    ");
    let output = run(&sample, &["check", "shop", "--json"]);
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found[0]["findings"][0]["settings"], "numfile=1600");
    assert_eq!(run(&sample, &["check", "shop/db"]).status.code(), Some(0));
}

#[test]
fn a_resource_is_explained_also_without_cgroups() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_beanctl"));
    let words = ["bc", "--root", "/nowhere", "explain", "numfile"];
    let said = stdout(&command.args(words).output().unwrap());
    assert!(said.contains("ENFILE"), "{said}");
    let sample = Sample::new();
    let output = run(&sample, &["explain", "nothing"]);
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    assert!(said.starts_with("error: there is no resource `nothing`\n  fix: one of numproc, "));
}

#[test]
fn an_exported_file_is_for_others_to_read() {
    let sample = Sample::new();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bc.prom");
    let printed = stdout(&run(&sample, &["export", "shop"]));
    let output = beanctl(&sample, &["export", "shop", "--output"])
        .arg(&path)
        .output()
        .unwrap();
    assert_eq!(stdout(&output), "");
    assert_eq!(fs::read_to_string(&path).unwrap(), printed);
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
    let line = "beancounter_limit{cgroup=\"/shop/db\",resource=\"numfile\"} 800\n";
    assert!(printed.contains(line), "{printed}");
}

#[test]
fn counts_are_told_of_the_past() {
    let sample = Sample::new();
    insta::assert_snapshot!(stdout(&run(&sample, &["events"])), @r"
    cgroup    resource  by barrier  by limit
    /shop     numfile           17         0
    /shop/db  numfile            0        31
    /shop/db  numproc            0         2
    ");
    assert_eq!(
        stdout(&run(&sample, &["events", "idle"])),
        "nothing was refused so far\n"
    );
}

#[test]
fn counts_are_followed_where_there_is_no_trace() {
    let sample = Sample::new();
    heed_signals();
    let mut child = beanctl(&sample, &["events", "--follow", "--tracefs", "/nowhere"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut errors = BufReader::new(child.stderr.take().unwrap()).lines();
    let why =
        "watching counts of refusals: /nowhere cannot be read, or tracefs is not mounted there";
    assert_eq!(errors.next().unwrap().unwrap(), why);
    // Not half written when it is read.
    let new = "numproc.high 1\nnumproc.max 0\nnumfile.high 0\nnumfile.max 0\n";
    sample.write("new", new);
    let path = |name: &str| sample.path().join(name);
    fs::rename(path("new"), path("idle/bc.events.local")).unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(
        lines.next().unwrap().unwrap(),
        "/idle: numproc refused by the barrier once, 1 in all"
    );
    interrupt(&child, Signal::SIGINT);
    assert_eq!(child.wait().unwrap().code(), Some(128 + 2));
    assert_eq!(
        errors.next().unwrap().unwrap(),
        "error: interrupted by SIGINT"
    );
}

#[test]
fn a_snapshot_needs_no_terminal() {
    let sample = Sample::new();
    let shown = stdout(&run(&sample, &["top", "--once"]));
    assert!(shown.starts_with("resource "), "{shown}");
    let output = run(&sample, &["top"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        text(&output.stderr),
        "error: the standard input and output are no terminal\n  fix: beanctl bc top --once\n"
    );
}

/// What is started heeds signals, also where whoever runs the tests in the background ignores them.
fn heed_signals() {
    let heed = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    for signal in [Signal::SIGHUP, Signal::SIGINT] {
        // SAFETY: There is no handler, for which there would be requirements.
        unsafe { sigaction(signal, &heed) }.unwrap();
    }
}

fn interrupt(child: &Child, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
}

/// `beanctl bc top` in a terminal of its own.
struct Top {
    child: Child,
    keys: File,
    slave: File,
    before: Termios,
    shown: String,
    more: Receiver<String>,
    reader: JoinHandle<()>,
}

impl Top {
    fn start(sample: &Sample) -> Self {
        let size = Winsize {
            ws_row: 30,
            ws_col: 110,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        heed_signals();
        let OpenptyResult { master, slave } = openpty(Some(&size), None).unwrap();
        let before = tcgetattr(&slave).unwrap();
        let end = || Stdio::from(slave.try_clone().unwrap());
        let child = beanctl(sample, &["top", "--interval", "0.1"])
            .stdin(end())
            .stdout(end())
            .stderr(Stdio::null())
            .env("TERM", "xterm")
            .spawn()
            .unwrap();
        let keys = File::from(master);
        let mut screen = keys.try_clone().unwrap();
        let (send, more) = channel();
        let reader = thread::spawn(move || {
            let mut buffer = [0; 4096];
            // It is an error when the other end is closed.
            while let Ok(length @ 1..) = screen.read(&mut buffer) {
                let _ = send.send(text(&buffer[..length]));
            }
        });
        Self {
            child,
            keys,
            slave: File::from(slave),
            before,
            shown: String::new(),
            more,
            reader,
        }
    }

    fn until(&mut self, what: &str) {
        while !self.shown.contains(what) {
            let more = self.more.recv_timeout(NEVER);
            self.shown += &more.unwrap_or_else(|error| panic!("{error}: {}", self.shown));
        }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// How it ends; the terminal is as it was.
    fn end(mut self) -> ExitStatus {
        let status = self.child.wait().unwrap();
        assert_eq!(tcgetattr(&self.slave).unwrap(), self.before);
        drop(self.slave);
        self.reader.join().unwrap();
        self.shown.extend(self.more.iter());
        let (_, since) = self.shown.rsplit_once("\x1b[?1049h").unwrap();
        assert!(since.contains("\x1b[?1049l"), "{:?}", self.shown);
        // The cursor is back, if it was away.
        let visible = since.rfind("\x1b[?25h");
        assert!(visible >= since.rfind("\x1b[?25l"), "{:?}", self.shown);
        status
    }
}

#[test]
fn the_terminal_is_put_back_at_the_end() {
    let sample = Sample::new();
    let mut top = Top::start(&sample);
    top.until("/shop/db");
    assert_ne!(tcgetattr(&top.slave).unwrap(), top.before);
    assert!(!top.shown.contains("kmemsize"));
    top.press("a");
    top.until("kmemsize");
    top.press("q");
    assert_eq!(top.end().code(), Some(0));
}

#[test]
fn the_terminal_is_put_back_after_a_signal() {
    let sample = Sample::new();
    for (signal, code) in [(Signal::SIGTERM, 143), (Signal::SIGHUP, 129)] {
        let mut top = Top::start(&sample);
        top.until("/shop/db");
        interrupt(&top.child, signal);
        assert_eq!(top.end().code(), Some(code));
    }
}

#[test]
fn the_terminal_is_put_back_after_a_failure() {
    let sample = Sample::new();
    let mut top = Top::start(&sample);
    top.until("/shop/db");
    sample.write("shop/bc.stat", "nonsense\n");
    assert_eq!(top.end().code(), Some(1));
}

/// Runs a command that has its standard output already. What it complains of is not for this
/// program's own, where it would come into the middle of a result.
fn outcome(command: &mut Command) -> Output {
    let child = command.stderr(Stdio::piped()).spawn().unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn a_reader_that_goes_away_has_seen_enough() {
    let sample = Sample::new();
    for words in [&["show", "--recursive"] as &[_], &["export"], &["explain"]] {
        let (reader, writer) = nix::unistd::pipe().unwrap();
        drop(reader);
        let output = outcome(beanctl(&sample, words).stdout(writer));
        assert_eq!(output.status.code(), Some(0), "{words:?}");
    }
    // Nor is a full disk a success.
    let full = match File::options().write(true).open("/dev/full") {
        Err(error) if error.kind() == ErrorKind::NotFound => return,
        full => full.unwrap(),
    };
    let status = outcome(beanctl(&sample, &["export"]).stdout(full)).status;
    assert_eq!(status.code(), Some(1));
}
