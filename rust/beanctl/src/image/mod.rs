// SPDX-License-Identifier: GPL-2.0

//! What is in an image, in the words of users.

mod names;
mod read;
pub mod show;
pub mod verify;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, IsTerminal, Read, Seek};
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::Path;

use anyhow::Result;
use serde::Serialize;

use crate::failure::{Exit, Failure};

/// An image.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Image {
    /// The version of the format.
    pub version: u32,
    /// What it can be restored on.
    pub architecture: String,
    /// In bytes.
    pub page_size: u64,
    /// Whether all memory has checksums.
    pub memory_checksums: bool,
    /// The kernel that wrote it.
    pub kernel: Option<String>,
    /// Tells it from all others.
    pub uuid: Option<String>,
    /// The lines of what whoever had it made says: settings of the cgroup, if that was beanctl.
    pub note: Vec<String>,
    /// Parents first.
    pub processes: Vec<Process>,
    /// What several processes may have mapped.
    pub shared_memory: Vec<SharedMemory>,
    /// Files that were deleted while they were open.
    pub deleted_files: Vec<DeletedFile>,
    /// Pipes without a name.
    pub pipes: Vec<Pipe>,
    /// What is handed in when it is restored.
    pub external_files: Vec<ExternalFile>,
    /// What its clocks said.
    pub clocks: Option<Clocks>,
    /// How many optional records there are of types that are not known.
    pub other_records: BTreeMap<String, u64>,
    /// How many records there are.
    pub records: u32,
    /// The bytes of all records, without memory.
    pub metadata_bytes: u64,
    /// The bytes of memory that are stored.
    pub memory_bytes: u64,
}

/// A process.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Process {
    /// Its process ID.
    pub pid: u32,
    /// That of its parent in the container.
    pub parent: Option<u32>,
    /// Its process group.
    pub group: u32,
    /// Its session.
    pub session: u32,
    /// As in `ps`.
    pub name: String,
    /// How it has ended, if only its parent does not know yet.
    pub ended: Option<Ended>,
    /// The signal that has stopped it.
    pub stopped: Option<String>,
    /// Whether it adopts orphans.
    pub subreaper: bool,
    /// Whether it is the init of a pid namespace, which is restored with it.
    pub init: bool,
    /// The program.
    pub executable: Option<String>,
    /// How likely it is to be ended when memory is short.
    pub oom_score_adj: i32,
    /// The memory that it has mapped; none if it has ended, or has that of another.
    pub memory: Option<Memory>,
    /// The process that comes before and has its memory, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_of: Option<u32>,
    /// Where all of its threads are, if that is one place.
    #[serde(flatten)]
    pub place: Option<Place>,
    /// What all of its threads have open, if that is the same.
    #[serde(flatten)]
    pub open: Option<Open>,
    /// Who all of its threads are, if that is the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,
    /// What it does with signals.
    pub signals: Signals,
    /// Its resource limits that are not without limit.
    pub limits: Vec<Limit>,
    /// Its timers of setitimer(2) that are set.
    pub interval_timers: Vec<Timer>,
    /// Its timers of timer_create(2).
    pub timers: Vec<Timer>,
    /// The one with its number first.
    pub threads: Vec<Thread>,
}

/// A thread.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Thread {
    /// Its thread ID.
    pub tid: u32,
    /// As in `ps`.
    pub name: String,
    /// How it has ended.
    pub ended: Option<Ended>,
    /// How it runs, unless it has ended.
    #[serde(flatten)]
    pub settings: Option<Settings>,
    /// The signals that it blocks.
    pub blocked: Vec<String>,
    /// Those that wait for it, in the order in which they came.
    pub pending: Vec<String>,
    /// The call that it goes on with.
    pub call: Option<Call>,
    /// Where it is, unless all of its process are there.
    #[serde(flatten)]
    pub place: Option<Place>,
    /// What it has open, unless that is so for all of its process.
    #[serde(flatten)]
    pub open: Option<Open>,
    /// Who it is, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,
}

/// How a process or a thread has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Ended {
    /// By itself, with this status.
    Status(u32),
    /// By a signal.
    Signal(String),
}

/// How a thread runs.
#[derive(Clone, Debug, Serialize)]
pub struct Settings {
    /// Whether it can gain no privileges.
    pub no_new_privileges: bool,
    /// Which system calls it may make: none for all, else `strict`, or how many filters say it.
    pub seccomp: Option<String>,
    /// How little it is favoured.
    pub nice: i32,
    /// As in chrt(1).
    pub policy: &'static str,
    /// Its static priority.
    pub priority: u32,
    /// The processors that it may use, as in /proc; none: all.
    pub processors: Option<String>,
    /// None: as the nice value says.
    pub io_priority: Option<String>,
    /// The user who had logged in to start it; none: nobody.
    pub login: Option<u32>,
}

/// A place in the file system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The working directory.
    pub cwd: String,
    /// In octal.
    pub umask: String,
}

/// Who somebody is, and what he may do.
#[derive(Clone, Debug, Serialize)]
pub struct Credentials {
    /// The user.
    pub uid: Ids,
    /// The group.
    pub gid: Ids,
    /// The supplementary groups.
    pub groups: Vec<u32>,
    /// As PR_GET_SECUREBITS.
    pub securebits: u32,
    /// As in /proc.
    pub capabilities: Capabilities,
}

/// A user or a group in all its roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Ids {
    /// The real one.
    pub real: u32,
    /// The effective one.
    pub effective: u32,
    /// The saved one.
    pub saved: u32,
    /// The one for the file system.
    pub filesystem: u32,
}

/// Sets of capabilities, in hexadecimal.
#[derive(Clone, Debug, Serialize)]
pub struct Capabilities {
    /// Those that execve(2) may keep.
    pub inheritable: String,
    /// Those that can be effective.
    pub permitted: String,
    /// Those that are.
    pub effective: String,
    /// Those that can be gained.
    pub bounding: String,
    /// Those that execve(2) keeps.
    pub ambient: String,
}

/// What is open.
#[derive(Clone, Debug, Serialize)]
pub enum Open {
    /// By ascending number.
    #[serde(rename = "descriptors")]
    Descriptors(Vec<Descriptor>),
    /// The table of a process or a thread that comes before, which has it too.
    #[serde(rename = "descriptors_of")]
    Of(u32),
}

/// An address space.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Memory {
    /// The size of all mappings.
    pub bytes: u64,
    /// How much of that is in the image.
    pub stored_bytes: u64,
    /// The process whose memory it was copied from, if there are pages left that both have.
    pub copy_of: Option<u32>,
    /// The code of the kernel in it.
    pub vdso: Option<Vdso>,
    /// By ascending address.
    pub mappings: Vec<Mapping>,
}

/// The code that the kernel maps into a process.
#[derive(Clone, Debug, Serialize)]
pub struct Vdso {
    /// Its first address, in hexadecimal.
    pub start: String,
    /// Its CRC-32C, in hexadecimal: it is restored where that is the same.
    pub crc: String,
}

/// A mapping.
#[derive(Clone, Debug, Serialize)]
pub struct Mapping {
    /// Its first address, in hexadecimal.
    pub start: String,
    /// Its size.
    pub bytes: u64,
    /// How much of it is in the image.
    pub stored_bytes: u64,
    /// As in /proc.
    pub permissions: String,
    /// What kind of mapping.
    pub kind: &'static str,
    /// The file.
    pub path: Option<String>,
    /// The number of the shared memory.
    pub shared_memory: Option<u32>,
    /// Where it starts in there.
    pub offset: u64,
    /// How much of it are guard pages.
    pub guard_bytes: u64,
    /// How much of it is as in the memory that it was copied from.
    pub inherited_bytes: u64,
    /// As PR_SET_VMA_ANON_NAME has it.
    pub name: Option<String>,
    /// Heap or stack.
    pub purpose: Option<&'static str>,
    /// As madvise(2), mmap(2) and mprotect(2) have made it.
    pub advice: Vec<&'static str>,
}

/// Memory without a name.
#[derive(Clone, Debug, Serialize)]
pub struct SharedMemory {
    /// Its number in the image.
    pub number: u32,
    /// Its size.
    pub bytes: u64,
    /// How much of it is in the image.
    pub stored_bytes: u64,
}

/// A file without a name.
#[derive(Clone, Debug, Serialize)]
pub struct DeletedFile {
    /// Its number in the image.
    pub number: u32,
    /// Where it was.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// How much of it is in the image.
    pub stored_bytes: u64,
    /// In octal.
    pub permissions: String,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// When it was read.
    pub accessed: Time,
    /// When it was written.
    pub modified: Time,
}

/// A pipe.
#[derive(Clone, Debug, Serialize)]
pub struct Pipe {
    /// Its number in the image.
    pub number: u32,
    /// How much fits into it.
    pub bytes: u32,
    /// How much is in it.
    pub filled_bytes: u64,
}

/// A point in time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Time {
    /// Since 1970.
    pub seconds: i64,
    /// What it has beyond whole seconds.
    pub nanoseconds: u32,
}

/// A file that is not in the image.
#[derive(Clone, Debug, Serialize)]
pub struct ExternalFile {
    /// Its number in the image.
    pub number: u32,
    /// What it is called when it is handed in.
    pub name: String,
}

/// The clocks of a container.
#[derive(Clone, Debug, Serialize)]
pub struct Clocks {
    /// CLOCK_MONOTONIC in ns.
    pub monotonic: u64,
    /// CLOCK_BOOTTIME in ns.
    pub boottime: u64,
}

/// An open file.
#[derive(Clone, Debug, Serialize)]
pub struct Descriptor {
    /// Its number.
    pub fd: u32,
    /// What it is; nothing of one that is handed in.
    pub kind: &'static str,
    /// Where it is.
    pub path: String,
    /// The number of the open file in the image: several descriptors may have the same.
    pub file: u32,
    /// Where reading and writing go on.
    pub position: u64,
    /// How it was opened.
    pub flags: Vec<&'static str>,
    /// Whether execve(2) closes it.
    pub close_on_exec: bool,
}

/// What a process does with signals.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Signals {
    /// Those that are ignored.
    pub ignored: Vec<String>,
    /// Those that have a handler.
    pub handled: Vec<String>,
    /// Those that wait for any of its threads, in the order in which they came.
    pub pending: Vec<String>,
}

/// A resource limit.
#[derive(Clone, Debug, Serialize)]
pub struct Limit {
    /// As in setrlimit(2).
    pub resource: &'static str,
    /// None: no limit.
    pub soft: Option<u64>,
    /// None: no limit.
    pub hard: Option<u64>,
}

/// A timer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Timer {
    /// Its number, if it has one.
    pub id: Option<u32>,
    /// What it goes by.
    pub clock: String,
    /// What it sends.
    pub signal: Option<String>,
    /// What remains of its time in ns.
    pub left: Option<u64>,
    /// When it goes off by the real-time clock, in ns since 1970; with neither it is not set.
    pub until: Option<u64>,
    /// How often it goes off afterwards in ns; zero if never.
    pub interval: u64,
}

/// A system call that goes on.
#[derive(Clone, Debug, Serialize)]
pub struct Call {
    /// Its name.
    pub name: &'static str,
    /// What remains of its time in ns.
    pub left: Option<i64>,
    /// When it ends by the real-time clock, in ns since 1970; with neither it is for ever.
    pub until: Option<i64>,
}

/// A record.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// Where it is in the image, in bytes.
    pub at: u64,
    /// Its index.
    pub index: u32,
    /// Its type.
    pub kind: String,
    /// The size of its structure in bytes.
    pub structure: usize,
    /// The size of what follows that.
    pub tail: usize,
    /// The bytes of memory behind it.
    pub data: u64,
    /// Whether it can be passed over.
    pub optional: bool,
}

/// The bytes of an image: of a file, or of the standard input for `-`.
///
/// # Errors
///
/// It cannot be opened.
fn open(path: &Path) -> Result<Box<dyn Read>> {
    const BUFFER: usize = 256 << 10;

    if path != Path::new("-") {
        let file = File::open(path).map_err(|error| {
            Failure::new(Exit::Failed, format!("{}: {error}", path.display()))
                .fix("name an image that beanctl ckpt dump has made")
        })?;
        return Ok(Box::new(BufReader::with_capacity(BUFFER, file)));
    }
    let stdin = io::stdin();
    if stdin.is_terminal() {
        return Err(Failure::new(Exit::Usage, "no image comes from a terminal")
            .fix("name a file, or a pipe")
            .into());
    }
    Ok(Box::new(BufReader::with_capacity(BUFFER, stdin)))
}

/// A file from some position on, which it keeps.
struct Ahead<'a> {
    file: &'a File,
    at: u64,
}

impl Read for Ahead<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(into, self.at)?;
        self.at = self.at.saturating_add(read as u64);
        Ok(read)
    }
}

/// The note of the image that a file has from its position on, which stays where it is; nothing for
/// a pipe and the like.
///
/// # Errors
///
/// It is no image, or cannot be read.
pub fn note(path: &Path, file: &File) -> Result<Option<Vec<u8>>, Failure> {
    let source = |error| refused(path, &read::Problem::Source(error));
    let kind = file.metadata().map_err(source)?.file_type();
    if !kind.is_file() && !kind.is_block_device() {
        return Ok(None);
    }
    let mut position = file;
    let at = position.stream_position().map_err(source)?;
    let note = read::note(BufReader::new(Ahead { file, at }));
    note.map(Some).map_err(|problem| refused(path, &problem))
}

/// What an image is called in messages.
fn title(path: &Path) -> String {
    match path == Path::new("-") {
        true => "the standard input".to_owned(),
        false => path.display().to_string(),
    }
}

/// The error for an image that is not right.
fn refused(path: &Path, problem: &read::Problem) -> Failure {
    let failure = Failure::new(Exit::Failed, format!("{}: {problem}", title(path)));
    match problem {
        read::Problem::Source(_) => failure,
        read::Problem::Wrong { .. } => failure.fix("take another image, or make it anew"),
    }
}
