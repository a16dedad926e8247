// SPDX-License-Identifier: GPL-2.0

//! `beanctl ckpt verify`: whether an image is right.

use std::path::PathBuf;

use anyhow::Result;
use indicatif::HumanBytes;
use serde_json::json;

use super::read::{Problem, read};
use super::{Image, open, refused, title};
use crate::ckpt::plural;
use crate::print;

/// The command line of `beanctl ckpt verify`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The image; `-` is the standard input.
    image: PathBuf,
    /// Prints the result for machines.
    #[arg(long)]
    json: bool,
}

/// Reads an image.
///
/// # Errors
///
/// It is not right, or cannot be read.
pub fn run(args: &Args) -> Result<()> {
    let path = &args.image;
    let (image, result) = read(open(path)?, |_| {});
    if args.json {
        let (at, what) = match &result {
            Ok(()) => (None, None),
            Err(Problem::Wrong { at, what }) => (Some(*at), Some(what.clone())),
            Err(Problem::Source(error)) => (None, Some(error.to_string())),
        };
        let found = json!({
            "right": result.is_ok(),
            "at": at,
            "what": what,
            "processes": image.processes.len(),
            "records": image.records,
            "metadata_bytes": image.metadata_bytes,
            "memory_bytes": image.memory_bytes,
            "memory_checksums": image.memory_checksums,
        });
        print(&format!("{found:#}\n"))?;
    }
    if let Err(problem) = result {
        return Err(refused(path, &problem).into());
    }
    match args.json {
        true => Ok(()),
        false => print(&format!("{} is right: {}\n", title(path), summary(&image))),
    }
}

/// What an image has, in a line.
fn summary(image: &Image) -> String {
    format!(
        "{}, {} of {}, {} of memory {}",
        plural(image.processes.len(), "process", "processes"),
        plural(image.records as usize, "record", "records"),
        HumanBytes(image.metadata_bytes),
        HumanBytes(image.memory_bytes),
        match image.memory_checksums {
            true => "with checksums",
            false => "without checksums of its own",
        },
    )
}
