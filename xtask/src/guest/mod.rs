// SPDX-License-Identifier: GPL-2.0

//! Guests: a kernel is booted, a shell script runs in it, its output and its exit code come back.
//!
//! UML and QEMU differ in how they are started and in nothing else. A guest has two streams: the
//! kernel's console (the standard error of the process that is the guest) and the output of the
//! script (its standard output). Two marks in the latter tell when the script starts and how it
//! ended, so that boot, test and shutdown each have a time limit of their own.

pub mod initramfs;
pub mod qemu;
pub mod uml;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::rc::Rc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::exit::{Exit, Failure, infrastructure};
use crate::kernel::build::{self, Built};
use crate::kernel::sync::Source;
use crate::kernel::{Arch, Flavour};
use crate::ktap::{kernel_message, strip_log_prefix};
use crate::lock::Lock;
use crate::paths;
use crate::probe::{self, Accelerator};
use crate::splat::{self, Splat};

/// Where the files of a script are inside every guest.
pub const DIR: &str = "/run/beanpod";

/// The option of a kernel that looks for leaks.
const LEAK_DETECTOR: &str = "DEBUG_KMEMLEAK";

/// What is said about a panic comes within this time, then the guest is ended.
const PANIC_GRACE: Duration = Duration::from_secs(2);

/// How many lines an error shows of what was said about a guest that did not start.
const TAIL: usize = 20;

/// How long a stream may stay open after the guest's process has ended.
const DRAIN: Duration = Duration::from_secs(5);

/// A kernel to boot; nobody changes it while this value lives.
#[derive(Debug)]
pub struct Kernel {
    /// What it runs on.
    pub arch: Arch,
    /// The file that is booted.
    pub image: PathBuf,
    /// The build directory that has the `.config` of the image.
    pub build: PathBuf,
    /// Whether checks are built in that slow it down several times.
    pub slow: bool,
    /// Keeps the build tree as it is.
    _build: Lock,
    /// Keeps the sources, which the guest may see.
    _source: Option<Rc<Source>>,
}

impl From<Built> for Kernel {
    fn from(built: Built) -> Self {
        Self {
            arch: built.config.arch,
            image: built.image,
            build: built.build,
            slow: matches!(built.config.flavour, Flavour::Debug | Flavour::Kcsan),
            _build: built.lock,
            _source: Some(built.source),
        }
    }
}

impl Kernel {
    /// A kernel for QEMU that was built at some time, unless it is being built.
    ///
    /// # Errors
    ///
    /// The cache cannot be written.
    pub fn present(build: PathBuf) -> Result<Option<Self>> {
        let Some(lock) = Lock::try_shared(&build::lock_name(&build))? else {
            return Ok(None);
        };
        let image = build.join("arch/x86/boot/bzImage");
        Ok(image.is_file().then_some(Self {
            arch: Arch::Qemu,
            image,
            build,
            slow: false,
            _build: lock,
            _source: None,
        }))
    }

    /// Whether a boolean symbol was configured in.
    pub fn has(&self, symbol: &str) -> bool {
        let wanted = format!("CONFIG_{symbol}=y");
        fs::read_to_string(self.build.join(".config"))
            .is_ok_and(|config| config.lines().any(|line| line == wanted))
    }

    /// How much more time this kernel needs on this machine than natively.
    pub fn slowness(&self) -> u32 {
        let machine = match self.arch {
            Arch::Um => 1,
            Arch::Qemu => probe::accelerator().slowness(),
        };
        machine * if self.slow { 3 } else { 1 }
    }
}

/// How long each part of a run may take on a machine that runs natively.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From the start to the first line of the script.
    pub boot: Duration,
    /// The script, or each part of it; see [`Script::renewed_by`].
    pub test: Duration,
    /// From the end of the script to the end of the guest.
    pub shutdown: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            boot: Duration::from_secs(60),
            test: Duration::from_secs(300),
            shutdown: Duration::from_secs(30),
        }
    }
}

impl Limits {
    /// The same for a guest that is `factor` times slower.
    pub fn scaled(self, factor: u32) -> Self {
        Self {
            boot: self.boot * factor,
            test: self.test * factor,
            shutdown: self.shutdown * factor,
        }
    }
}

/// What to run in a guest, and what the guest has to look like.
pub struct Script<'a> {
    /// Names the logs.
    pub name: String,
    /// POSIX shell; it runs in [`DIR`], with busybox as `$BUSYBOX`.
    pub text: String,
    /// Files that are put into [`DIR`] under these names; programs have to be static.
    pub files: Vec<(String, PathBuf)>,
    /// Before scaling; see [`Kernel::slowness`].
    pub limits: Limits,
    /// Processors, where the kernel can have more than one.
    pub cpus: u32,
    /// Memory in MiB.
    pub memory: u32,
    /// Further words of the kernel's command line.
    pub cmdline: Vec<String>,
    /// Further arguments of QEMU.
    pub qemu: Vec<String>,
    /// A line of the console that counts as booted: the kernel runs tests of its own by then.
    pub booted_by: Option<&'a str>,
    /// Tells the lines of the script's output with which the limit for it starts anew.
    pub renewed_by: Option<fn(&str) -> bool>,
    /// Is called for every line that the script prints.
    pub each_line: Option<EachLine<'a>>,
}

/// What is called for every line.
pub type EachLine<'a> = Box<dyn FnMut(&str) + 'a>;

impl<'a> Script<'a> {
    /// A script for four processors and a GiB of memory, and with the usual limits.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            text: text.into(),
            files: Vec::new(),
            limits: Limits::default(),
            cpus: 4,
            memory: 1024,
            cmdline: Vec::new(),
            qemu: Vec::new(),
            booted_by: None,
            renewed_by: None,
            each_line: None,
        }
    }

    /// Adds a file.
    pub fn file(mut self, name: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        self.files.push((name.into(), path.into()));
        self
    }

    /// Calls `f` for every line that the script prints, as it comes.
    pub fn each_line(mut self, f: impl FnMut(&str) + 'a) -> Self {
        self.each_line = Some(Box::new(f));
        self
    }
}

/// What became of a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The script ended with this code, and the guest went down in time.
    Exited(u8),
    /// The kernel panicked.
    Panicked,
    /// The script was not reached in time.
    BootTimeout,
    /// The script did not end in time.
    TestTimeout,
    /// The guest did not go down in time after the script had ended.
    ShutdownTimeout,
    /// The guest went away without a word.
    Lost,
}

/// What a guest left behind.
#[derive(Debug)]
pub struct Console {
    /// How it ended.
    pub outcome: Outcome,
    /// What the script printed.
    pub output: String,
    /// What the kernel printed.
    pub console: String,
    /// The file with the whole console.
    pub log: PathBuf,
    /// How long all of it took.
    pub time: Duration,
}

/// What a run has shown, besides what the script's output says.
#[derive(Debug)]
pub struct Verdict {
    /// What the tool exits with if there is nothing else.
    pub exit: Exit,
    /// What befell the guest or its script.
    pub trouble: Option<String>,
    /// What the kernel reported about itself.
    pub splats: Vec<Splat>,
}

impl Verdict {
    /// All that is wrong, in lines.
    pub fn findings(&self) -> Vec<String> {
        let splats = self.splats.iter().map(Splat::headline);
        self.trouble.iter().cloned().chain(splats).collect()
    }
}

/// What a guest died of that its kernel could do nothing about.
const STALE_BREAKPOINT: &str = "the emulator ran a breakpoint that is not in memory any more; \
    multi-threaded QEMU 7.2 does so now and then: repeat the run, or use a later one";

impl Console {
    /// Judges the run: the one place that says when a guest has failed.
    pub fn verdict(&self) -> Verdict {
        let splats = splat::find(&self.console);
        let because = |exit, trouble: &str| (exit, Some(trouble.to_owned()));
        let limit = |of| because(Exit::TimeLimit, &format!("the time limit for {of} passed"));
        let (exit, trouble) = match self.outcome {
            // The script may not have seen what the kernel says about itself.
            Outcome::Exited(0) if !splats.is_empty() => (Exit::Findings, None),
            Outcome::Exited(0) => (Exit::Pass, None),
            Outcome::Exited(code) => {
                because(Exit::Findings, &format!("the script ended with {code}"))
            }
            // Only if nothing else was wrong before.
            Outcome::Panicked if splats.first().is_some_and(Splat::is_stale_breakpoint) => {
                because(Exit::Infrastructure, STALE_BREAKPOINT)
            }
            Outcome::Panicked => because(Exit::GuestCrash, "the guest's kernel panicked"),
            Outcome::Lost => because(Exit::GuestCrash, "the guest ended without saying why"),
            Outcome::BootTimeout => limit("booting"),
            Outcome::TestTimeout => limit("what runs in the guest"),
            Outcome::ShutdownTimeout => limit("shutting down"),
        };
        Verdict {
            exit,
            trouble,
            splats,
        }
    }

    /// The same for whoever needs a run without any finding.
    ///
    /// # Errors
    ///
    /// There is one.
    pub fn check(&self) -> Result<()> {
        let verdict = self.verdict();
        match verdict.exit {
            Exit::Pass => Ok(()),
            exit => Err(self.failure(exit, &verdict.findings()).into()),
        }
    }

    /// The failure of a program that went through nothing because something it needs is missing, as
    /// the selftests say it.
    pub fn skipped(&self) -> Option<Failure> {
        if self.outcome != Outcome::Exited(4) {
            return None;
        }
        let why = self.output.lines().find(|line| line.contains("SKIP"));
        let why = why.unwrap_or("the program skipped itself");
        Some(Failure::new(Exit::Skipped, why))
    }

    /// A failure that names the console's log.
    pub fn failure(&self, exit: Exit, findings: &[String]) -> Failure {
        Failure::new(exit, findings.join("\n       ")).fix(format!("read {}", self.log.display()))
    }
}

/// Boots `kernel`, runs `script` in it, and ends the guest.
///
/// # Errors
///
/// The guest cannot be started, or what should run it gives up before the kernel has said a word
/// (infrastructure); everything that happens later is an [`Outcome`].
pub fn run(kernel: &Kernel, mut script: Script<'_>) -> Result<Console> {
    let limits = script.limits.scaled(kernel.slowness());
    let dir = directory(&script.name)?;
    let marks = Marks::new();
    let files = gather(dir.path(), &script, &marks, kernel.has(LEAK_DETECTOR))?;
    let command = match kernel.arch {
        Arch::Um => uml::command(kernel, &script, dir.path(), &files)?,
        Arch::Qemu => qemu::command(kernel, &script, dir.path(), &files)?,
    };
    supervise(command, &mut script, limits, &marks, &paths::logs())
}

/// As [`run`], for QEMU without virtme-ng, with limits that are not scaled.
///
/// # Errors
///
/// As [`run`].
pub fn run_plain(
    kernel: &Kernel,
    mut script: Script<'_>,
    accelerator: Accelerator,
) -> Result<Console> {
    let dir = directory(&script.name)?;
    let marks = Marks::new();
    let files = gather(dir.path(), &script, &marks, kernel.has(LEAK_DETECTOR))?;
    let command = qemu::plain(kernel, &script, dir.path(), &files, accelerator)?;
    let limits = script.limits;
    supervise(command, &mut script, limits, &marks, &paths::logs())
}

/// A directory for the files of one guest, which goes away with the value.
fn directory(name: &str) -> Result<tempfile::TempDir> {
    let dir = paths::cache().join("guest");
    fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
    tempfile::Builder::new()
        .prefix(&format!("{name}-"))
        .tempdir_in(&dir)
        .with_context(|| dir.display().to_string())
}

/// Boots `kernel` with the terminal as its console and a shell on it.
///
/// # Errors
///
/// The guest cannot be started, or does not end as a guest does that is powered off.
pub fn run_interactive(kernel: &Kernel) -> Result<()> {
    let dir = directory("shell")?;
    let mut command = match kernel.arch {
        Arch::Um => uml::interactive(kernel, dir.path())?,
        Arch::Qemu => qemu::interactive(kernel, dir.path())?,
    };
    // The terminal's signals have to reach the guest, therefore it stays in this process group.
    let status = command
        .status()
        .map_err(|error| cannot_start(&command, &error))?;
    if status.success() {
        return Ok(());
    }
    // The process that is user-mode Linux is the kernel; QEMU ends well even after a panic.
    let exit = match (kernel.arch, status.code()) {
        (Arch::Qemu, Some(_)) => Exit::Infrastructure,
        _ => Exit::GuestCrash,
    };
    let what = format!("the guest's process ended with {status}");
    Err(Failure::new(exit, what).into())
}

fn cannot_start(command: &Command, error: &std::io::Error) -> anyhow::Error {
    let program = command.get_program().to_string_lossy();
    infrastructure(format!("cannot start `{program}`: {error}"))
        .fix("cargo xtask setup")
        .into()
}

/// Lines that a script's own output cannot contain by accident.
struct Marks {
    start: String,
    end: String,
}

impl Marks {
    fn new() -> Self {
        let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
        let nonce = format!("{:x}-{:x}", since.as_nanos(), std::process::id());
        Self {
            start: format!("beanpod-start-{nonce}"),
            end: format!("beanpod-end-{nonce}"),
        }
    }
}

/// Writes the script and the shell that surrounds it; returns all files that the guest shall have.
fn gather(
    dir: &Path,
    script: &Script<'_>,
    marks: &Marks,
    leaks: bool,
) -> Result<Vec<(String, PathBuf)>> {
    let Marks { start, end } = marks;
    // The code is read before anything else can change it; the end mark starts on a line of its own
    // wherever the script's output ended.
    let leaks = match leaks {
        true => leak_check("/sys/kernel/debug", "/dev/kmsg"),
        false => String::new(),
    };
    let outer = format!(
        r#"export BUSYBOX={DIR}/busybox
cd {DIR} || exit 1
echo {start}
"$BUSYBOX" sh ./script </dev/null 2>&1
code=$?
{leaks}echo {end} $code
exit $code
"#
    );
    let mut files = vec![("busybox".to_owned(), initramfs::busybox()?)];
    for (name, text) in [("outer", &outer), ("script", &script.text)] {
        let path = dir.join(name);
        fs::write(&path, text).with_context(|| path.display().to_string())?;
        files.push((name.to_owned(), path));
    }
    files.extend(script.files.iter().cloned());
    Ok(files)
}

/// Shell that has the leak detector look, and adds what it found to the kernel's log. That it cannot
/// look goes there too: it gives up for good when it runs out of memory.
fn leak_check(debugfs: &str, log: &str) -> String {
    // It reports what is older than five seconds and was missed twice.
    format!(
        r#"leaks={debugfs}/kmemleak
if (echo scan >$leaks) && "$BUSYBOX" sleep 6 && (echo scan >$leaks); then
	while IFS= read -r line; do
		echo "$line" >>{log}
	done <$leaks
else
	echo "kmemleak: Cannot scan for leaks" >>{log}
fi
"#
    )
}

/// Which of a guest's two streams something came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stream {
    Console,
    Output,
}

enum Event {
    Line(Stream, Vec<u8>),
    Closed,
    Ended,
}

/// How far a run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Boot,
    Test,
    Shutdown(u8),
}

/// Runs the guest's process to its end, or ends it.
fn supervise(
    mut command: Command,
    script: &mut Script<'_>,
    limits: Limits,
    marks: &Marks,
    logs: &Path,
) -> Result<Console> {
    fs::create_dir_all(logs).with_context(|| logs.display().to_string())?;
    let log = logs.join(format!("{}.console.log", script.name));
    let mut console_log = File::create(&log).with_context(|| log.display().to_string())?;
    let mut output_log = File::create(logs.join(format!("{}.output.log", script.name)))?;

    let start = Instant::now();
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    let mut guest = Guest::start(&mut command)?;
    // A guest that says more than can be read has to wait.
    let (sender, events) = mpsc::sync_channel(1024);
    if let Some(stdout) = guest.child.stdout.take() {
        pump(stdout, Stream::Output, sender.clone());
    }
    if let Some(stderr) = guest.child.stderr.take() {
        pump(stderr, Stream::Console, sender.clone());
    }
    guest.watch(sender);

    let mut watch = Watch::new(script, limits, marks, start);
    let mut open = 2;
    while open > 0 || !watch.ended {
        match next(&events, watch.deadline) {
            Some(Event::Line(Stream::Console, line)) => {
                console_log.write_all(&line)?;
                watch.console(&String::from_utf8_lossy(&line), Instant::now());
            }
            Some(Event::Line(Stream::Output, line)) => {
                output_log.write_all(&line)?;
                watch.output(&String::from_utf8_lossy(&line), Instant::now());
            }
            Some(Event::Closed) => open -= 1,
            Some(Event::Ended) => watch.ended(Instant::now()),
            None => break,
        }
    }
    let status = guest.kill()?;
    let outcome = watch.outcome();
    if outcome == Outcome::Lost && watch.is_silent() && status.code().is_some_and(|code| code != 0)
    {
        let program = Path::new(command.get_program()).display();
        let lines: Vec<&str> = watch.console.lines().collect();
        let tail = lines[lines.len().saturating_sub(TAIL)..].join("\n");
        let what = format!("no guest was started: `{program}` ended with {status}:\n{tail}");
        let fix = format!("read {}", log.display());
        return Err(infrastructure(what).fix(fix).into());
    }
    Ok(Console {
        outcome,
        output: watch.output,
        console: watch.console,
        log,
        time: start.elapsed(),
    })
}

/// What happens next, until the deadline; nothing after it, however much the guest still has to say.
fn next(events: &Receiver<Event>, deadline: Instant) -> Option<Event> {
    let left = deadline.saturating_duration_since(Instant::now());
    match left.is_zero() {
        true => None,
        false => events.recv_timeout(left).ok(),
    }
}

/// What is known about a run while it goes on, and until when it may.
struct Watch<'w, 's> {
    script: &'w mut Script<'s>,
    limits: Limits,
    marks: &'w Marks,
    phase: Phase,
    panicked: bool,
    ended: bool,
    deadline: Instant,
    console: String,
    output: String,
}

impl<'w, 's> Watch<'w, 's> {
    fn new(script: &'w mut Script<'s>, limits: Limits, marks: &'w Marks, now: Instant) -> Self {
        Self {
            script,
            limits,
            marks,
            phase: Phase::Boot,
            panicked: false,
            ended: false,
            deadline: now + limits.boot,
            console: String::new(),
            output: String::new(),
        }
    }

    /// Gives the run so much time from now on, but a guest that is dead no more than it has: the
    /// streams may overtake each other and the end.
    fn allow(&mut self, limit: Duration, now: Instant) {
        let next = now + limit;
        self.deadline = if self.panicked || self.ended {
            self.deadline.min(next)
        } else {
            next
        };
    }

    fn console(&mut self, line: &str, now: Instant) {
        self.console.push_str(line);
        let line = kernel_message(line).unwrap_or_else(|| strip_log_prefix(line));
        if line.starts_with("Kernel panic - not syncing") && !self.panicked {
            self.panicked = true;
            self.allow(PANIC_GRACE, now);
        }
        let booted_by = self.script.booted_by;
        if self.phase == Phase::Boot && booted_by.is_some_and(|mark| line.starts_with(mark)) {
            self.phase = Phase::Test;
            self.allow(self.limits.test, now);
        }
    }

    fn output(&mut self, line: &str, now: Instant) {
        let line = line.trim_end_matches(['\n', '\r']);
        if line.contains(&self.marks.start) {
            self.output.clear();
            if self.phase == Phase::Boot {
                self.phase = Phase::Test;
                self.allow(self.limits.test, now);
            }
            return;
        }
        let (line, code) = match line.split_once(&self.marks.end) {
            Some((before, code)) => (before, code.trim().parse().ok()),
            None => (line, None),
        };
        if self.phase == Phase::Test && (code.is_none() || !line.is_empty()) {
            self.output.push_str(line);
            self.output.push('\n');
            if self.script.renewed_by.is_some_and(|renews| renews(line)) {
                self.allow(self.limits.test, now);
            }
            if let Some(each_line) = &mut self.script.each_line {
                each_line(line);
            }
        }
        if let Some(code) = code {
            self.phase = Phase::Shutdown(code);
            self.allow(self.limits.shutdown, now);
        }
    }

    fn ended(&mut self, now: Instant) {
        self.ended = true;
        self.allow(DRAIN, now);
    }

    /// Whether nothing came from a kernel.
    fn is_silent(&self) -> bool {
        self.phase == Phase::Boot
            && !self
                .console
                .lines()
                .any(|line| kernel_message(line).is_some())
    }

    fn outcome(&self) -> Outcome {
        match self.phase {
            _ if self.panicked => Outcome::Panicked,
            Phase::Shutdown(code) if self.ended => Outcome::Exited(code),
            Phase::Shutdown(_) => Outcome::ShutdownTimeout,
            _ if self.ended => Outcome::Lost,
            Phase::Boot => Outcome::BootTimeout,
            Phase::Test => Outcome::TestTimeout,
        }
    }
}

fn pump(stream: impl Read + Send + 'static, which: Stream, sender: SyncSender<Event>) {
    thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        while matches!(reader.read_until(b'\n', &mut line), Ok(n) if n > 0) {
            if sender
                .send(Event::Line(which, std::mem::take(&mut line)))
                .is_err()
            {
                return;
            }
        }
        let _ = sender.send(Event::Closed);
    });
}

/// The process groups of the guests that run, for the signal handler; 0 where there is none.
static RUNNING: [AtomicI32; GUESTS] = [const { AtomicI32::new(0) }; GUESTS];

/// How many guests may run at once.
const GUESTS: usize = 4;

/// Puts `new` where `old` is.
fn replace_running(old: i32, new: i32) -> bool {
    let replace = |slot: &AtomicI32| {
        let order = Ordering::SeqCst;
        slot.compare_exchange(old, new, order, order).is_ok()
    };
    RUNNING.iter().any(replace)
}

/// The process of a guest, which is the leader of a process group.
struct Guest {
    child: Child,
    reaped: bool,
}

impl Guest {
    fn start(command: &mut Command) -> Result<Self> {
        // SAFETY: Between fork and exec only a system call is made.
        unsafe {
            command.pre_exec(|| {
                // Whatever ends this tool ends the guest.
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                Ok(())
            })
        };
        let child = command
            .spawn()
            .map_err(|error| cannot_start(command, &error))?;
        let guest = Self {
            child,
            reaped: false,
        };
        ensure!(
            replace_running(0, guest.child.id() as i32),
            "{GUESTS} guests run already"
        );
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGPIPE] {
            // SAFETY: The handler only calls functions that are safe in a signal handler.
            unsafe { libc::signal(signal, end_guest as *const () as libc::sighandler_t) };
        }
        Ok(guest)
    }

    /// Sends an event when the process ends, and leaves it for [`Guest::kill`] to reap, so that its
    /// process group cannot become anyone else's before.
    fn watch(&self, sender: SyncSender<Event>) {
        let id = self.child.id();
        thread::spawn(move || {
            loop {
                // SAFETY: All zeroes are a valid siginfo_t, which the call may write to.
                let result = unsafe {
                    let mut info: libc::siginfo_t = std::mem::zeroed();
                    libc::waitid(libc::P_PID, id, &mut info, libc::WEXITED | libc::WNOWAIT)
                };
                let interrupted = std::io::Error::last_os_error().raw_os_error();
                if result == 0 || interrupted != Some(libc::EINTR) {
                    break;
                }
            }
            let _ = sender.send(Event::Ended);
        });
    }

    /// Ends the guest with all of its processes; returns how the first of them ended.
    fn kill(&mut self) -> Result<ExitStatus> {
        // SAFETY: The child leads its own process group and is not reaped before the next line.
        unsafe { libc::kill(-(self.child.id() as libc::pid_t), libc::SIGKILL) };
        let status = self.child.wait();
        self.reaped = true;
        replace_running(self.child.id() as i32, 0);
        Ok(status?)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if !self.reaped {
            let _ = self.kill();
        }
    }
}

/// Ends the guests, then the tool by the signal's usual effect.
extern "C" fn end_guest(signal: libc::c_int) {
    // SAFETY: All three calls are allowed in a signal handler; each group is that of a child that is
    // not reaped yet.
    unsafe {
        for slot in &RUNNING {
            let group = slot.load(Ordering::SeqCst);
            if group > 0 {
                libc::kill(-group, libc::SIGKILL);
            }
        }
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit;

    fn marks() -> Marks {
        Marks {
            start: "START".to_owned(),
            end: "END".to_owned(),
        }
    }

    /// Runs a shell in the place of a guest: 1 is the script's output and 2 the console.
    fn fake(shell: &str, limits: Limits) -> Console {
        try_fake(shell, limits).unwrap()
    }

    fn try_fake(shell: &str, limits: Limits) -> Result<Console> {
        let marks = marks();
        let mut command = Command::new("sh");
        command.args(["-c", shell]);
        let mut script = Script::new("test", "");
        let logs = tempfile::tempdir().unwrap();
        let console = supervise(command, &mut script, limits, &marks, logs.path())?;
        assert_eq!(fs::read_to_string(&console.log).unwrap(), console.console);
        Ok(console)
    }

    fn patient() -> Limits {
        Limits::default()
    }

    #[test]
    fn output_console_and_code_come_back() {
        let shell = "echo bios; echo START; echo '[ 0.1] kernel' >&2; echo one; printf two; \
                     echo END 3; echo late";
        let console = fake(shell, patient());
        assert_eq!(console.outcome, Outcome::Exited(3));
        assert_eq!(console.output, "one\ntwo\n");
        assert_eq!(console.console, "[ 0.1] kernel\n");
    }

    #[test]
    fn a_guest_without_an_end_is_lost() {
        let console = fake("echo START; echo one", patient());
        assert_eq!(console.outcome, Outcome::Lost);
        assert_eq!(console.output, "one\n");
        assert_eq!(fake("exit 0", patient()).outcome, Outcome::Lost);
    }

    #[test]
    fn what_never_was_a_guest_has_not_crashed() {
        let error = try_fake("echo 'qemu: no firmware' >&2; exit 1", patient()).unwrap_err();
        assert_eq!(exit::of(&error), Exit::Infrastructure);
        let text = error.to_string();
        assert!(
            text.contains("exit status: 1") && text.ends_with("qemu: no firmware"),
            "{text}"
        );
        // A kernel was there, or the process did not give up by itself.
        for shell in [
            "echo '[    0.000000] Linux version' >&2; exit 1",
            "echo START; exit 1",
            "kill -SEGV $$",
        ] {
            assert_eq!(fake(shell, patient()).outcome, Outcome::Lost, "{shell}");
        }
    }

    #[test]
    fn the_verdict_on_a_run() {
        let verdict = |outcome, console: &str| {
            let console = Console {
                outcome,
                output: String::new(),
                console: console.to_owned(),
                log: "x.log".into(),
                time: Duration::ZERO,
            };
            let verdict = console.verdict();
            assert_eq!(console.check().is_ok(), verdict.exit == Exit::Pass);
            (verdict.exit, verdict.findings())
        };
        let bug = "[    0.1] BUG: x\n";
        let strings = |findings: &[&str]| findings.iter().map(ToString::to_string).collect();
        assert_eq!(verdict(Outcome::Exited(0), ""), (Exit::Pass, vec![]));
        assert_eq!(
            verdict(Outcome::Exited(0), bug),
            (Exit::Findings, strings(&["kernel: BUG: x"]))
        );
        assert_eq!(
            verdict(Outcome::Exited(3), ""),
            (Exit::Findings, strings(&["the script ended with 3"]))
        );
        assert_eq!(
            verdict(Outcome::Panicked, bug),
            (
                Exit::GuestCrash,
                strings(&["the guest's kernel panicked", "kernel: BUG: x"])
            )
        );
        assert_eq!(verdict(Outcome::Lost, "").0, Exit::GuestCrash);
        for timeout in [
            Outcome::BootTimeout,
            Outcome::TestTimeout,
            Outcome::ShutdownTimeout,
        ] {
            let (exit, findings) = verdict(timeout, "");
            assert_eq!((exit, findings.len()), (Exit::TimeLimit, 1), "{timeout:?}");
        }
    }

    #[test]
    fn a_guest_that_hangs_is_ended() {
        let limits = Limits {
            boot: Duration::from_millis(100),
            ..patient()
        };
        let console = fake("sleep 1000000", limits);
        assert_eq!(console.outcome, Outcome::BootTimeout);
    }

    #[test]
    fn a_guest_that_chatters_is_ended_all_the_same() {
        let limits = Limits {
            test: Duration::from_millis(300),
            ..patient()
        };
        let console = fake("echo START; exec yes", limits);
        assert_eq!(console.outcome, Outcome::TestTimeout);

        let (sender, events) = mpsc::sync_channel(2);
        for _ in 0..2 {
            sender.send(Event::Closed).unwrap();
        }
        assert!(next(&events, Instant::now() + SECOND * 1000).is_some());
        assert!(next(&events, Instant::now()).is_none());
    }

    #[test]
    fn a_panic_ends_the_guest() {
        let panic = "echo '[    1.2] Kernel panic - not syncing: x' >&2";
        let limits = Limits {
            boot: Duration::from_secs(1_000_000),
            test: Duration::from_secs(1_000_000),
            shutdown: Duration::from_secs(1_000_000),
        };
        let console = fake(&format!("echo START; {panic}; sleep 1000000"), limits);
        assert_eq!(console.outcome, Outcome::Panicked);
    }

    /// Calls `f` with a run that has just started, and with the time of the start.
    fn watched(change: impl FnOnce(&mut Script<'_>), f: impl FnOnce(Watch<'_, '_>, Instant)) {
        let mut script = Script::new("test", "");
        change(&mut script);
        let marks = marks();
        let now = Instant::now();
        let limits = Limits {
            boot: Duration::from_secs(10),
            test: Duration::from_secs(100),
            shutdown: Duration::from_secs(1000),
        };
        f(Watch::new(&mut script, limits, &marks, now), now);
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn each_part_has_its_limit() {
        watched(
            |_| {},
            |mut watch, start| {
                assert_eq!(watch.deadline, start + SECOND * 10);
                assert_eq!(watch.outcome(), Outcome::BootTimeout);
                watch.output("START", start + SECOND);
                assert_eq!(watch.deadline, start + SECOND * 101);
                watch.output("one", start + SECOND * 50);
                assert_eq!(watch.deadline, start + SECOND * 101);
                assert_eq!(watch.outcome(), Outcome::TestTimeout);
                watch.output("two END 0", start + SECOND * 60);
                assert_eq!(watch.deadline, start + SECOND * 1060);
                assert_eq!(watch.outcome(), Outcome::ShutdownTimeout);
                assert_eq!(watch.output, "one\ntwo \n");
                watch.ended(start + SECOND * 61);
                assert_eq!(watch.outcome(), Outcome::Exited(0));
            },
        );
    }

    #[test]
    fn a_limit_may_start_anew_with_each_part() {
        watched(
            |script| script.renewed_by = Some(|line| line.starts_with("part")),
            |mut watch, start| {
                watch.output("START", start);
                watch.output("part 1", start + SECOND * 90);
                assert_eq!(watch.deadline, start + SECOND * 190);
                watch.output("other", start + SECOND * 95);
                assert_eq!(watch.deadline, start + SECOND * 190);
            },
        );
    }

    #[test]
    fn the_kernel_may_say_that_it_has_booted() {
        watched(
            |script| script.booted_by = Some("KTAP version"),
            |mut watch, start| {
                watch.console("[    0.1] KTAP version 1\n", start + SECOND);
                assert_eq!(watch.deadline, start + SECOND * 101);
                watch.output("START", start + SECOND * 90);
                assert_eq!(watch.deadline, start + SECOND * 101);
                assert_eq!(watch.outcome(), Outcome::TestTimeout);
            },
        );
    }

    #[test]
    fn a_dead_guest_gets_no_more_time() {
        watched(
            |_| {},
            |mut watch, start| {
                // This stream was faster than the other.
                watch.console("[    1.2] Kernel panic - not syncing: x\n", start);
                watch.output("START", start + SECOND);
                watch.output("END 0", start + SECOND);
                assert_eq!(watch.deadline, start + PANIC_GRACE);
                watch.ended(start + SECOND);
                assert_eq!(watch.outcome(), Outcome::Panicked);
            },
        );
        watched(
            |_| {},
            |mut watch, start| {
                watch.ended(start);
                watch.output("START", start + SECOND);
                assert_eq!(watch.deadline, start + DRAIN);
                assert_eq!(watch.outcome(), Outcome::Lost);
            },
        );
    }

    #[test]
    fn processes_that_a_guest_leaves_are_ended() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pid");
        let shell = format!(
            "echo START; sleep 1000 >/dev/null 2>&1 & echo $! > {}; echo END 0",
            file.display()
        );
        assert_eq!(fake(&shell, patient()).outcome, Outcome::Exited(0));
        let pid = fs::read_to_string(&file).unwrap();
        // It is killed by now, but may take its time to go.
        while fs::read_to_string(format!("/proc/{}/stat", pid.trim()))
            .is_ok_and(|stat| !stat.contains(") Z"))
        {
            thread::yield_now();
        }
    }

    #[test]
    fn a_leak_check_that_cannot_be_done_is_a_finding() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let busybox = dir.path().join("busybox");
        // It does not wait.
        std::os::unix::fs::symlink("/bin/true", &busybox).unwrap();
        let said = |debugfs: &Path| {
            fs::write(&log, "").unwrap();
            let shell = leak_check(&debugfs.display().to_string(), &log.display().to_string());
            let mut command = Command::new("sh");
            command.args(["-c", &shell]).env("BUSYBOX", &busybox);
            assert!(command.stderr(Stdio::null()).status().unwrap().success());
            fs::read_to_string(&log).unwrap()
        };
        // This one only says again what it was told.
        let there = dir.path();
        fs::write(there.join("kmemleak"), "").unwrap();
        assert_eq!(said(there), "scan\n");
        let found = crate::splat::find(&said(&there.join("absent")));
        assert_eq!(found[0].title, "kmemleak: Cannot scan for leaks");
    }

    #[test]
    fn limits_grow_with_slowness() {
        let limits = Limits::default().scaled(12);
        assert_eq!(limits.boot, Duration::from_secs(720));
        assert_eq!(limits.test, Duration::from_secs(3600));
        assert_eq!(limits.shutdown, Duration::from_secs(360));
    }

    #[test]
    fn names_of_marks_differ_from_run_to_run() {
        assert_ne!(Marks::new().start, Marks::new().start);
    }
}
