// SPDX-License-Identifier: GPL-2.0

//! The one way to run an external command: quoting by [`xshell`], plus a time limit, a log and an
//! error that names the command, its status and the end of its output.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

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

        let (sender, lines) = mpsc::channel();
        let pump = thread::spawn(move || {
            let mut reader = BufReader::new(reader);
            let mut line = Vec::new();
            while matches!(reader.read_until(b'\n', &mut line), Ok(n) if n > 0) {
                if sender.send(std::mem::take(&mut line)).is_err() {
                    break;
                }
            }
        });
        let end = Instant::now() + self.limit;
        let mut text = String::new();
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match lines.recv_timeout(left) {
                // However much it prints: time is up when it is up.
                Ok(line) if !left.is_zero() => {
                    if let Some(log) = &mut log {
                        log.write_all(&line)?;
                    }
                    let line = String::from_utf8_lossy(&line);
                    if let Some(each_line) = &mut self.each_line {
                        each_line(line.trim_end_matches(['\n', '\r']));
                    }
                    text.push_str(&line);
                }
                Err(RecvTimeoutError::Disconnected) => break,
                Ok(_) | Err(RecvTimeoutError::Timeout) => {
                    kill_group(&mut child);
                    let what = format!("`{}` took longer than {:?}", self.shown, self.limit);
                    return Err(Failure::new(Exit::TimeLimit, what).into());
                }
            }
        }
        let status = child.wait()?;
        let _ = pump.join();
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
    fn the_time_limit_ends_children_too() {
        let sh = Shell::new().unwrap();
        let error = run(cmd!(sh, "sh -c 'sleep 1000 & sleep 1000'"))
            .limit(Duration::from_millis(200))
            .output()
            .unwrap_err();
        assert_eq!(crate::exit::of(&error), Exit::TimeLimit);
    }
}
