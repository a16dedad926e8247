// SPDX-License-Identifier: GPL-2.0

//! The one way to run an external command: quoting by [`xshell`], plus a time limit, a log and an
//! error that names the command, its status and the end of its output.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use os_pipe::PipeReader;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, ioctl_fionread};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::exit::{Exit, Failure, infrastructure};

/// How many lines of a failed command's output its error shows.
const TAIL: usize = 20;

/// What a finished command left behind.
#[derive(Debug)]
pub struct Output {
    /// The status it ended with.
    pub status: ExitStatus,
    /// Standard output and error, interleaved as they came.
    pub text: String,
}

/// What is called for every line of output.
type EachLine<'a> = Box<dyn FnMut(&str) + 'a>;

/// A command with its limits; see [`run`].
pub struct Run<'a> {
    command: Command,
    shown: String,
    limit: Duration,
    log: Option<PathBuf>,
    each_line: Option<EachLine<'a>>,
}

/// Prepares a command made by [`xshell::cmd!`]; nothing runs before [`Run::output`] or [`Run::ok`].
pub fn run<'a>(cmd: xshell::Cmd<'_>) -> Run<'a> {
    let shown = cmd.to_string();
    Run {
        command: cmd.into(),
        shown,
        limit: Duration::from_secs(600),
        log: None,
        each_line: None,
    }
}

impl<'a> Run<'a> {
    /// Ends the command and its children after `limit` (ten minutes unless said).
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Keeps the whole output in `path`.
    pub fn log(mut self, path: impl Into<PathBuf>) -> Self {
        self.log = Some(path.into());
        self
    }

    /// Calls `f` for every line of output as it comes, without its newline.
    pub fn each_line(mut self, f: impl FnMut(&str) + 'a) -> Self {
        self.each_line = Some(Box::new(f));
        self
    }

    /// Runs to the end and returns what came, whatever the status.
    ///
    /// # Errors
    ///
    /// The program cannot be started (infrastructure) or its time limit passed.
    pub fn output(mut self) -> Result<Output> {
        let mut log = match &self.log {
            Some(path) => {
                if let Some(dir) = path.parent() {
                    fs::create_dir_all(dir)?;
                }
                Some(File::create(path).with_context(|| path.display().to_string())?)
            }
            None => None,
        };
        let (reader, writer) = os_pipe::pipe()?;
        self.command
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer)
            .process_group(0);
        die_with_parent(&mut self.command);
        let mut child = self
            .command
            .spawn()
            .map_err(|error| infrastructure(format!("cannot start `{}`: {error}", self.shown)))?;
        // The command holds the pipe's write ends; it must not stay open here.
        self.command = Command::new("true");

        let mut read = Vec::new();
        let mut seen = 0;
        let result = until_end(&child, reader, Instant::now() + self.limit, |bytes| {
            if let Some(log) = &mut log {
                log.write_all(bytes)?;
            }
            read.extend_from_slice(bytes);
            if let Some(each_line) = &mut self.each_line {
                while let Some(length) = read[seen..].iter().position(|byte| *byte == b'\n') {
                    let line = String::from_utf8_lossy(&read[seen..seen + length]);
                    each_line(line.trim_end_matches('\r'));
                    seen += length + 1;
                }
            }
            Ok(())
        });
        let ended = result.inspect_err(|_| kill_group(&mut child))?;
        if !ended {
            kill_group(&mut child);
            let what = format!("`{}` took longer than {:?}", self.shown, self.limit);
            return Err(Failure::new(Exit::TimeLimit, what).into());
        }
        if let (Some(each_line), false) = (&mut self.each_line, seen == read.len()) {
            each_line(&String::from_utf8_lossy(&read[seen..]));
        }
        let status = child.wait()?;
        let text = String::from_utf8_lossy(&read).into_owned();
        Ok(Output { status, text })
    }

    /// Runs to the end and returns the output of a success.
    ///
    /// # Errors
    ///
    /// As [`Run::output`]; a status other than 0 is an infrastructure failure that shows the end of
    /// the output.
    pub fn ok(self) -> Result<String> {
        let shown = self.shown.clone();
        let log = self.log.clone();
        let output = self.output()?;
        if output.status.success() {
            return Ok(output.text);
        }
        let lines: Vec<&str> = output.text.lines().collect();
        let tail = lines[lines.len().saturating_sub(TAIL)..].join("\n");
        let failure = infrastructure(format!("`{shown}` ended with {}:\n{tail}", output.status));
        Err(match log {
            Some(log) => failure.fix(format!("read {}", log.display())),
            None => failure,
        }
        .into())
    }
}

/// The cargo that built this tool: where there are several, another one may be too old.
pub fn cargo() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}

/// Calls `each` with what the child writes until it has ended, or until `deadline`; which of both it
/// was. What the child leaves running may hold the pipe for ever: only what is in it is read then.
fn until_end(
    child: &Child,
    mut pipe: PipeReader,
    deadline: Instant,
    mut each: impl FnMut(&[u8]) -> Result<()>,
) -> Result<bool> {
    let process = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    let mut buffer = vec![0; 1 << 16];
    let mut closed = false;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        // However much it prints: time is up when it is up.
        if left.is_zero() {
            return Ok(false);
        }
        let mut waited = [
            PollFd::new(&process, PollFlags::IN),
            PollFd::new(&pipe, PollFlags::IN),
        ];
        let waited = &mut waited[..if closed { 1 } else { 2 }];
        match poll(waited, Some(&Timespec::try_from(left)?)) {
            Err(Errno::INTR) => continue,
            result => result?,
        };
        if !waited[0].revents().is_empty() {
            let mut rest = Vec::new();
            let length = ioctl_fionread(&pipe)?;
            pipe.take(length).read_to_end(&mut rest)?;
            each(&rest)?;
            return Ok(true);
        }
        if waited.get(1).is_some_and(|pipe| !pipe.revents().is_empty()) {
            let length = pipe.read(&mut buffer)?;
            closed = length == 0;
            each(&buffer[..length])?;
        }
    }
}

/// Has the command ended when this process ends: in a process group of its own it does not see Ctrl-C.
fn die_with_parent(command: &mut Command) {
    // SAFETY: The call is safe between fork and exec, where only such are.
    unsafe {
        command.pre_exec(
            || match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            },
        )
    };
}

/// Ends a child that [`run`] started, with everything that it started itself.
fn kill_group(child: &mut Child) {
    // SAFETY: The child was made leader of its own process group, and is not reaped yet, so that the
    // id cannot belong to anyone else.
    unsafe { libc::kill(-(child.id() as libc::pid_t), libc::SIGKILL) };
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;
    use xshell::{Shell, cmd};

    #[test]
    fn output_and_status_are_kept() {
        let sh = Shell::new().unwrap();
        let output = run(cmd!(sh, "sh -c 'echo out; echo err >&2; exit 3'"))
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(3));
        assert_eq!(output.text, "out\nerr\n");
    }

    #[test]
    fn a_failure_shows_the_command_and_the_end_of_its_output() {
        let sh = Shell::new().unwrap();
        let error = run(cmd!(sh, "sh -c 'echo gone; exit 1'")).ok().unwrap_err();
        assert!(error.to_string().contains("gone"), "{error}");
        assert_eq!(crate::exit::of(&error), Exit::Infrastructure);
    }

    #[test]
    fn what_a_command_leaves_running_is_not_waited_for() {
        let sh = Shell::new().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let pid = dir.path().join("pid");
        let mut lines = Vec::new();
        let shell = "echo one; sleep 1000 & echo $! >$0; printf two";
        let output = run(cmd!(sh, "sh -c {shell} {pid}"))
            .each_line(|line| lines.push(line.to_owned()))
            .output()
            .unwrap();
        assert_eq!(output.text, "one\ntwo");
        assert_eq!(lines, ["one", "two"]);
        let pid = fs::read_to_string(pid).unwrap();
        // That of the shell: a small system has no other.
        let kill = format!("kill {}", pid.trim());
        cmd!(sh, "sh -c {kill}").quiet().run().unwrap();
    }

    #[test]
    fn a_command_may_close_its_output_before_it_ends() {
        let sh = Shell::new().unwrap();
        let shell = "echo one; exec >&- 2>&-; sleep 0.1; exit 5";
        let output = run(cmd!(sh, "sh -c {shell}")).output().unwrap();
        assert_eq!(
            (output.text.as_str(), output.status.code()),
            ("one\n", Some(5))
        );
    }

    #[test]
    fn much_output_comes_whole_and_does_not_stop_the_clock() {
        let sh = Shell::new().unwrap();
        let mut count = 0;
        let output = run(cmd!(sh, "seq 100000"))
            .each_line(|_| count += 1)
            .output();
        assert_eq!(output.unwrap().text.lines().count(), 100_000);
        assert_eq!(count, 100_000);
        let limited = run(cmd!(sh, "yes"))
            .limit(Duration::from_millis(100))
            .output();
        assert_eq!(crate::exit::of(&limited.unwrap_err()), Exit::TimeLimit);
    }

    #[test]
    fn the_time_limit_ends_children_too() {
        let sh = Shell::new().unwrap();
        let error = run(cmd!(sh, "sh -c 'sleep 1000 & sleep 1000'"))
            .limit(Duration::from_millis(200))
            .output()
            .unwrap_err();
        assert_eq!(crate::exit::of(&error), Exit::TimeLimit);
    }
}
