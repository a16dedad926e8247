// SPDX-License-Identifier: GPL-2.0

//! `beanctl ckpt show`: what is in an image, for people and for machines.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use indicatif::{BinaryBytes, HumanBytes};
use serde::Serialize;

use super::read::read;
use super::{Descriptor, Image, Line, Mapping, Process, open, refused, title};
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
        for process in image.processes.iter().filter(|p| p.parent.is_none()) {
            tree(&mut out, &image, process, 0)?;
        }
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

/// A process with its children below it.
fn tree(out: &mut String, image: &Image, process: &Process, depth: usize) -> Result<()> {
    let indent = "  ".repeat(depth);
    writeln!(
        out,
        "\n{indent}{} {}  {}",
        process.pid,
        process.name,
        process.executable.as_deref().unwrap_or("no executable")
    )?;
    let detail = format!("{indent}    ");
    let ids = format!("group {}, session {}", process.group, process.session);
    writeln!(out, "{detail}process    {ids}{}", settings(process))?;
    if let (Some(cwd), Some(umask)) = (&process.cwd, &process.umask) {
        writeln!(out, "{detail}directory  {cwd}, umask {umask}")?;
    }
    if let Some(call) = &process.call {
        let left = match call.left {
            Some(left) => format!("{:?} left", nanoseconds(left)),
            None => call
                .until
                .map_or("without a time limit".to_owned(), |until| {
                    format!("until {:?} after 1970 began", nanoseconds(until))
                }),
        };
        writeln!(out, "{detail}waits in   {}, {left}", call.name)?;
    }
    for (what, signals) in [
        ("handles", &process.signals.handled),
        ("ignores", &process.signals.ignored),
        ("blocks", &process.signals.blocked),
    ] {
        if !signals.is_empty() {
            writeln!(out, "{detail}{what:<9}  {}", signals.join(" "))?;
        }
    }
    let limits: Vec<String> = process
        .limits
        .iter()
        .map(|limit| {
            let text = |limit: Option<u64>| limit.map_or("none".to_owned(), |l| l.to_string());
            format!(
                "{} {}:{}",
                limit.resource,
                text(limit.soft),
                text(limit.hard)
            )
        })
        .collect();
    if !limits.is_empty() {
        writeln!(out, "{detail}limits     {}", limits.join(", "))?;
    }
    for file in &process.descriptors {
        writeln!(out, "{detail}fd {:<7} {}", file.fd, descriptor(file))?;
    }
    writeln!(
        out,
        "{detail}memory     {} in {}, {} stored",
        BinaryBytes(process.memory.bytes),
        plural(process.memory.mappings.len(), "mapping", "mappings"),
        BinaryBytes(process.memory.stored_bytes)
    )?;
    if let Some(vdso) = &process.memory.vdso {
        writeln!(
            out,
            "{detail}vdso       {}, CRC-32C {}",
            vdso.start, vdso.crc
        )?;
    }
    for mapping in &process.memory.mappings {
        writeln!(out, "{detail}  {}", mapping_line(mapping))?;
    }
    let children = image
        .processes
        .iter()
        .filter(|child| child.parent == Some(process.pid));
    for child in children {
        tree(out, image, child, depth + 1)?;
    }
    Ok(())
}

fn nanoseconds(number: i64) -> Duration {
    Duration::from_nanos(number.max(0).unsigned_abs())
}

fn settings(process: &Process) -> String {
    let mut text = String::new();
    if process.no_new_privileges {
        text += ", no new privileges";
    }
    if process.oom_score_adj != 0 {
        text += &format!(", oom_score_adj {}", process.oom_score_adj);
    }
    text
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
