// SPDX-License-Identifier: GPL-2.0

//! `beanctl ckpt show`: what is in an image, for people and for machines.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use indicatif::{BinaryBytes, HumanBytes};
use serde::Serialize;

use super::read::read;
use super::{
    Call, Credentials, Descriptor, Ended, Ids, Image, Limit, Line, Mapping, Memory, Open, Place,
    Process, Settings, Thread, Timer, open, refused, title,
};
use crate::ckpt::plural;
use crate::print;

/// The command line of `beanctl ckpt show`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The image; `-` is the standard input.
    image: PathBuf,
    /// Prints it for machines.
    #[arg(long)]
    json: bool,
    /// Lists the records of the image too, with their places.
    #[arg(long)]
    records: bool,
}

/// What is printed for machines.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    image: &'a Image,
    #[serde(rename = "record_list", skip_serializing_if = "Option::is_none")]
    records: Option<&'a [Line]>,
}

/// Shows an image; one that is damaged up to there.
///
/// # Errors
///
/// It is not right, or cannot be read.
pub fn run(args: &Args) -> Result<()> {
    let mut lines = Vec::new();
    let (image, result) = read(open(&args.image)?, |line| {
        if args.records {
            lines.push(line);
        }
    });
    if args.json {
        let records = args.records.then_some(lines.as_slice());
        let shown = Shown {
            image: &image,
            records,
        };
        print(&format!("{}\n", serde_json::to_string_pretty(&shown)?))?;
    } else if image.version > 0 {
        let mut out = format!("{}: {}\n", title(&args.image), head(&image));
        for setting in &image.note {
            line(&mut out, "  ", "cgroup", setting)?;
        }
        tree(&mut out, &image)?;
        shared(&mut out, &image)?;
        table(&mut out, &lines)?;
        print(&out)?;
    }
    result.map_err(|problem| refused(&args.image, &problem).into())
}

fn head(image: &Image) -> String {
    let mut parts = vec![
        plural(image.processes.len(), "process", "processes"),
        image.architecture.clone(),
    ];
    parts.extend(
        image
            .kernel
            .as_ref()
            .map(|kernel| format!("kernel {kernel}")),
    );
    parts.push(format!("{} of memory", HumanBytes(image.memory_bytes)));
    parts.push(format!(
        "{} of other records",
        HumanBytes(image.metadata_bytes)
    ));
    parts.extend(image.uuid.as_ref().map(|uuid| format!("UUID {uuid}")));
    parts.join(", ")
}

/// Processes, each with its children below it.
fn tree(out: &mut String, image: &Image) -> Result<()> {
    let children = |parent| {
        let processes = image.processes.iter().rev();
        processes.filter(move |process| process.parent == parent)
    };
    let mut left: Vec<_> = children(None).map(|process| (process, 0)).collect();
    while let Some((parent, depth)) = left.pop() {
        process(out, &"  ".repeat(depth), parent)?;
        left.extend(children(Some(parent.pid)).map(|child| (child, depth + 1)));
    }
    Ok(())
}

fn process(out: &mut String, indent: &str, process: &Process) -> Result<()> {
    let what = match (&process.ended, &process.executable) {
        (Some(how), _) => ended(how),
        (None, Some(executable)) => executable.clone(),
        (None, None) => "no executable".to_owned(),
    };
    writeln!(out, "\n{indent}{} {}  {what}", process.pid, process.name)?;
    let indent = format!("{indent}    ");
    line(out, &indent, "process", &state(process))?;
    place(out, &indent, process.place.as_ref())?;
    credentials(out, &indent, process.credentials.as_ref())?;
    let signals = &process.signals;
    line(out, &indent, "handles", &signals.handled.join(" "))?;
    line(out, &indent, "ignores", &signals.ignored.join(" "))?;
    line(out, &indent, "pending", &signals.pending.join(" "))?;
    line(out, &indent, "limits", &limits(&process.limits))?;
    for each in process.interval_timers.iter().chain(&process.timers) {
        let number = each
            .id
            .map_or("timer".to_owned(), |id| format!("timer {id}"));
        line(out, &indent, &number, &timer(each))?;
    }
    match &process.threads[..] {
        [only] => thread(out, &indent, only)?,
        threads => {
            for each in threads {
                let how = each.ended.as_ref().map(ended);
                let parts: Vec<_> = [each.name.clone()].into_iter().chain(how).collect();
                let number = format!("thread {}", each.tid);
                line(out, &indent, &number, &parts.join(", "))?;
                thread(out, &format!("{indent}  "), each)?;
            }
        }
    }
    descriptors(out, &indent, process.open.as_ref())?;
    if let Some(other) = process.memory_of {
        line(out, &indent, "memory", &format!("that of {other}"))?;
    }
    match &process.memory {
        Some(mapped) => memory(out, &indent, mapped),
        None => Ok(()),
    }
}

/// What a thread does not have in common with the others.
fn thread(out: &mut String, indent: &str, thread: &Thread) -> Result<()> {
    let waits = thread.call.as_ref().map_or(String::new(), call);
    let settings = thread.settings.as_ref().map_or(String::new(), settings);
    place(out, indent, thread.place.as_ref())?;
    credentials(out, indent, thread.credentials.as_ref())?;
    line(out, indent, "waits in", &waits)?;
    line(out, indent, "settings", &settings)?;
    line(out, indent, "blocks", &thread.blocked.join(" "))?;
    line(out, indent, "pending", &thread.pending.join(" "))?;
    descriptors(out, indent, thread.open.as_ref())
}

/// A line about something, if there is anything to say.
fn line(out: &mut String, indent: &str, what: &str, text: &str) -> Result<()> {
    if !text.is_empty() {
        writeln!(out, "{indent}{what:<9}  {text}")?;
    }
    Ok(())
}

fn ended(how: &Ended) -> String {
    match how {
        Ended::Status(status) => format!("has ended, status {status}"),
        Ended::Signal(signal) => format!("has ended by {signal}"),
    }
}

fn state(process: &Process) -> String {
    let mut text = format!("group {}, session {}", process.group, process.session);
    if process.init {
        text += ", init of a pid namespace";
    }
    if process.subreaper {
        text += ", subreaper";
    }
    if let Some(signal) = &process.stopped {
        text += &format!(", stopped by {signal}");
    }
    if process.oom_score_adj != 0 {
        text += &format!(", oom_score_adj {}", process.oom_score_adj);
    }
    text
}

/// What is not as it is by default.
fn settings(settings: &Settings) -> String {
    let mut parts = Vec::new();
    if settings.no_new_privileges {
        parts.push("no new privileges".to_owned());
    }
    parts.extend(
        settings
            .seccomp
            .as_ref()
            .map(|how| format!("seccomp {how}")),
    );
    if settings.nice != 0 {
        parts.push(format!("nice {}", settings.nice));
    }
    match (settings.policy, settings.priority) {
        ("other", _) => (),
        (policy, 0) => parts.push(format!("policy {policy}")),
        (policy, priority) => parts.push(format!("policy {policy} {priority}")),
    }
    let processors = settings.processors.as_ref();
    parts.extend(processors.map(|list| format!("processors {list}")));
    let io = settings.io_priority.as_ref();
    parts.extend(io.map(|priority| format!("I/O {priority}")));
    parts.extend(settings.login.map(|user| format!("login of user {user}")));
    parts.join(", ")
}

fn place(out: &mut String, indent: &str, place: Option<&Place>) -> Result<()> {
    let text = place.map(|place| format!("{}, umask {}", place.cwd, place.umask));
    line(out, indent, "directory", &text.unwrap_or_default())
}

fn credentials(out: &mut String, indent: &str, credentials: Option<&Credentials>) -> Result<()> {
    let Some(who) = credentials else {
        return Ok(());
    };
    let mut text = format!("user {}, group {}", ids(&who.uid), ids(&who.gid));
    if !who.groups.is_empty() {
        let groups: Vec<_> = who.groups.iter().map(u32::to_string).collect();
        text += &format!(", groups {}", groups.join(" "));
    }
    let capabilities = &who.capabilities.effective;
    if capabilities != "0x0" {
        text += &format!(", capabilities {capabilities}");
    }
    line(out, indent, "runs as", &text)
}

fn ids(ids: &Ids) -> String {
    let Ids {
        real,
        effective,
        saved,
        filesystem,
    } = ids;
    match [effective, saved, filesystem].iter().all(|id| *id == real) {
        true => real.to_string(),
        false => format!("{real} (effective {effective}, saved {saved}, for files {filesystem})"),
    }
}

fn timer(timer: &Timer) -> String {
    let [left, until] = [timer.left, timer.until].map(|time| time.map(Duration::from_nanos));
    let mut text = format!("{}, {}", timer.clock, end(left, until, "not set"));
    if timer.interval > 0 {
        text += &format!(", then every {:?}", Duration::from_nanos(timer.interval));
    }
    if let Some(signal) = &timer.signal {
        text += &format!(", sends {signal}");
    }
    text
}

fn call(call: &Call) -> String {
    let time = |time: i64| Duration::from_nanos(time.max(0).unsigned_abs());
    let [left, until] = [call.left, call.until].map(|end| end.map(time));
    format!(
        "{}, {}",
        call.name,
        end(left, until, "without a time limit")
    )
}

/// When something ends.
fn end(left: Option<Duration>, until: Option<Duration>, never: &str) -> String {
    match (left, until) {
        (Some(left), _) => format!("{left:?} left"),
        (None, Some(until)) => format!("until {until:?} after 1970 began"),
        (None, None) => never.to_owned(),
    }
}

fn limits(limits: &[Limit]) -> String {
    let text = |limit: Option<u64>| limit.map_or("none".to_owned(), |l| l.to_string());
    let limits = limits.iter().map(|limit| {
        let (soft, hard) = (text(limit.soft), text(limit.hard));
        format!("{} {soft}:{hard}", limit.resource)
    });
    limits.collect::<Vec<_>>().join(", ")
}

fn memory(out: &mut String, indent: &str, memory: &Memory) -> Result<()> {
    let mut summary = format!(
        "{} in {}, {} stored",
        BinaryBytes(memory.bytes),
        plural(memory.mappings.len(), "mapping", "mappings"),
        BinaryBytes(memory.stored_bytes)
    );
    if let Some(other) = memory.copy_of {
        summary += &format!(", a copy of that of {other}");
    }
    line(out, indent, "memory", &summary)?;
    if let Some(vdso) = &memory.vdso {
        let code = format!("{}, CRC-32C {}", vdso.start, vdso.crc);
        line(out, indent, "vdso", &code)?;
    }
    for mapping in &memory.mappings {
        writeln!(out, "{indent}  {}", mapping_line(mapping))?;
    }
    Ok(())
}

fn descriptors(out: &mut String, indent: &str, open: Option<&Open>) -> Result<()> {
    match open {
        None => Ok(()),
        Some(Open::Of(number)) => line(out, indent, "fds", &format!("those of {number}")),
        Some(Open::Descriptors(files)) => files.iter().try_for_each(|file| {
            let number = format!("fd {}", file.fd);
            line(out, indent, &number, &descriptor(file))
        }),
    }
}

fn descriptor(file: &Descriptor) -> String {
    if file.kind.is_empty() {
        return file.path.clone();
    }
    let mut text = format!("{} ({}", file.path, file.kind);
    if file.kind == "file" {
        text += &format!(" at {}", file.position);
    }
    for flag in &file.flags {
        text += &format!(", {flag}");
    }
    if file.close_on_exec {
        text += ", close on exec";
    }
    text + ")"
}

fn mapping_line(mapping: &Mapping) -> String {
    let what = match (&mapping.path, mapping.shared_memory, mapping.purpose) {
        (Some(path), ..) => path.clone(),
        _ if mapping.name.is_some() => {
            format!("[anon:{}]", mapping.name.as_deref().unwrap_or_default())
        }
        (_, Some(number), _) => format!("shared memory {number}"),
        (_, _, Some(purpose)) => format!("[{purpose}]"),
        _ if mapping.kind == "vdso" => "[vdso]".to_owned(),
        _ => String::new(),
    };
    let mut notes = mapping.advice.join(", ");
    if mapping.guard_bytes > 0 {
        notes += &format!(" ({} of guard pages)", BinaryBytes(mapping.guard_bytes));
    }
    if mapping.inherited_bytes > 0 {
        notes += &format!(" ({} inherited)", BinaryBytes(mapping.inherited_bytes));
    }
    let line = format!(
        "{:>18} {:>11} {} {:>11} stored  {what} {notes}",
        mapping.start,
        BinaryBytes(mapping.bytes).to_string(),
        mapping.permissions,
        BinaryBytes(mapping.stored_bytes).to_string()
    );
    line.trim_end().to_owned()
}

fn shared(out: &mut String, image: &Image) -> Result<()> {
    writeln!(out)?;
    for shm in &image.shared_memory {
        writeln!(
            out,
            "shared memory {}: {}, {} stored",
            shm.number,
            BinaryBytes(shm.bytes),
            BinaryBytes(shm.stored_bytes)
        )?;
    }
    for file in &image.deleted_files {
        writeln!(
            out,
            "deleted file {}: {}, {}, {} stored, mode {} of {}:{}",
            file.number,
            file.path,
            BinaryBytes(file.bytes),
            BinaryBytes(file.stored_bytes),
            file.permissions,
            file.uid,
            file.gid
        )?;
    }
    for pipe in &image.pipes {
        writeln!(
            out,
            "pipe {}: {} in it, of {}",
            pipe.number,
            BinaryBytes(pipe.filled_bytes),
            BinaryBytes(pipe.bytes.into())
        )?;
    }
    for file in &image.external_files {
        writeln!(
            out,
            "external file {}: `{}`, to be handed in",
            file.number, file.name
        )?;
    }
    if let Some(clocks) = &image.clocks {
        let [monotonic, boottime] = [clocks.monotonic, clocks.boottime].map(Duration::from_nanos);
        writeln!(
            out,
            "clocks: monotonic {monotonic:?}, boot time {boottime:?}"
        )?;
    }
    for (kind, number) in &image.other_records {
        writeln!(out, "{number} of type {kind}, not shown")?;
    }
    Ok(())
}

fn table(out: &mut String, lines: &[Line]) -> Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    let [at, index, kind] = ["byte", "record", "type"];
    let [structure, tail, data] = ["structure", "tail", "data"];
    writeln!(
        out,
        "\n{at:>12} {index:>7}  {kind:<10} {structure:>9} {tail:>6} {data:>12}"
    )?;
    for line in lines {
        let Line {
            at,
            index,
            kind,
            structure,
            tail,
            data,
            optional,
        } = line;
        let note = if *optional { "  optional" } else { "" };
        writeln!(
            out,
            "{at:>12} {index:>7}  {kind:<10} {structure:>9} {tail:>6} {data:>12}{note}"
        )?;
    }
    Ok(())
}
