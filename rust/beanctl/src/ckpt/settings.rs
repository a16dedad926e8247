// SPDX-License-Identifier: GPL-2.0

//! The settings of a container's cgroup, which travel with its image: lines of the name of a file, a
//! blank, and a line of its content.

use std::io::ErrorKind;

use anyhow::{Context, Result};

use crate::cgroup::Cgroup;
use crate::failure::{Exit, Failure};
use crate::text::printable;

/// The longest value that is written, in bytes: most files take no longer one at once.
const VALUE: usize = 4096;

/// What to do without the settings of an image.
const WITHOUT: &str = "make the cgroup before, with the settings that it shall have, or leave out \
                       those of the image with --no-settings";

/// What a file of a new cgroup has in it.
#[derive(Clone, Copy, Debug)]
enum New {
    /// This line, or an empty one, or none.
    Line(&'static str),
    /// Lines of a name and this value.
    Each(&'static str),
}

/// The files that settings are in, in the order in which they are written: an idle cgroup takes no
/// weight, and a burst has to fit what there is in a period.
const FILES: &[(&str, New)] = &[
    ("cpu.weight", New::Line("100")),
    ("cpu.idle", New::Line("0")),
    ("cpu.max", New::Line("max 100000")),
    ("cpu.max.burst", New::Line("0")),
    ("cpuset.cpus", New::Line("")),
    ("cpuset.mems", New::Line("")),
    ("io.weight", New::Line("default 100")),
    ("io.bfq.weight", New::Line("default 100")),
    ("io.max", New::Line("")),
    ("memory.min", New::Line("0")),
    ("memory.low", New::Line("0")),
    ("memory.high", New::Line("max")),
    ("memory.max", New::Line("max")),
    ("memory.swap.high", New::Line("max")),
    ("memory.swap.max", New::Line("max")),
    ("memory.zswap.max", New::Line("max")),
    ("memory.oom.group", New::Line("0")),
    ("pids.max", New::Line("max")),
    ("bc.high", New::Each("max")),
    ("bc.max", New::Each("max")),
];

/// A line of a file of a cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    file: &'static str,
    value: String,
}

impl New {
    /// Whether a new cgroup has this line, too.
    fn has(self, line: &str) -> bool {
        match self {
            Self::Line(new) => line.is_empty() || line == new,
            Self::Each(new) => line.split_once(' ').is_none_or(|(_, value)| value == new),
        }
    }
}

/// The settings of a cgroup that a new one would not have, as a note.
///
/// # Errors
///
/// One of its files cannot be read.
pub fn of(cgroup: &Cgroup) -> Result<String> {
    let mut note = String::new();
    for (file, new) in FILES {
        let text = match cgroup.read(file) {
            // There is no such controller here, or the kernel has none, or it is the root.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            read => read.with_context(|| format!("{}/{file}", cgroup.name()))?,
        };
        for line in changed(&text, *new) {
            note += &format!("{file} {line}\n");
        }
    }
    Ok(note)
}

/// The lines of a file that a new cgroup would not have.
fn changed(text: &str, new: New) -> impl Iterator<Item = &str> {
    let lines = text.lines().map(str::trim_end);
    lines.filter(move |line| !new.has(line))
}

/// The settings of a note, which may come from anybody: only what [`of`] could have written is
/// taken.
///
/// # Errors
///
/// There is something else in it.
pub fn parse(note: &[u8]) -> Result<Vec<Setting>, Failure> {
    String::from_utf8_lossy(note).lines().map(setting).collect()
}

fn setting(line: &str) -> Result<Setting, Failure> {
    let (name, value) = line.split_once(' ').unwrap_or((line, ""));
    let refused = |why: &str| {
        let what = format!("`{}` of the image {why}", printable(name));
        Failure::new(Exit::Failed, what).fix(WITHOUT)
    };
    let known = FILES.iter().find(|(file, _)| *file == name);
    let (file, _) = known.ok_or_else(|| refused("is no setting of a cgroup that travels"))?;
    let printable = value.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    match value.len() {
        0 => Err(refused("has no value")),
        1..=VALUE if printable => Ok(Setting {
            file,
            value: value.to_owned(),
        }),
        1..=VALUE => Err(refused("has a value that is not printable ASCII")),
        _ => Err(refused("has a value that is too long")),
    }
}

/// Gives a new cgroup settings. Controllers that it lacks are enabled in the cgroup above.
///
/// # Errors
///
/// One of them cannot be set.
pub fn apply(cgroup: &Cgroup, settings: &[Setting]) -> Result<(), Failure> {
    settings.iter().try_for_each(|each| set(cgroup, each))
}

fn set(cgroup: &Cgroup, Setting { file, value }: &Setting) -> Result<(), Failure> {
    let refused = |why: &str| {
        let what = format!("cannot set {file} of {} to `{value}`: {why}", cgroup.name());
        Failure::new(Exit::Failed, what).fix(WITHOUT)
    };
    match cgroup.write(file, value) {
        Err(error) if error.kind() == ErrorKind::NotFound => (),
        written => return written.map_err(|error| refused(&error.to_string())),
    }
    let (controller, _) = file.split_once('.').unwrap_or((file, ""));
    cgroup.enable(controller).map_err(|error| {
        let above = cgroup.above().display();
        refused(&format!("cannot enable {controller} in {above}: {error}")).fix(format!(
            "echo +{controller} >cgroup.subtree_control in all cgroups above it, which must have no \
             processes of their own; or leave out the settings of the image with --no-settings"
        ))
    })?;
    cgroup
        .write(file, value)
        .map_err(|error| match error.kind() {
            ErrorKind::NotFound => refused("this kernel has no such file"),
            _ => refused(&error.to_string()),
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn setting(file: &'static str, value: &str) -> Setting {
        let value = value.to_owned();
        Setting { file, value }
    }

    #[test]
    fn what_a_new_cgroup_has_is_not_told() {
        let told = |file, text| {
            let (_, new) = FILES.iter().find(|(name, _)| *name == file).unwrap();
            changed(text, *new).collect::<Vec<_>>()
        };
        for (file, text) in [
            ("cpu.max", "max 100000\n"),
            ("cpuset.cpus", "\n"),
            ("io.weight", "default 100\n"),
            ("io.max", ""),
            ("memory.min", "0\n"),
            ("memory.max", "max\n"),
            ("bc.max", "numproc max\nnumfile max\n"),
        ] {
            assert_eq!(told(file, text), [""; 0], "{file}");
        }
        for (file, text, lines) in [
            ("cpu.max", "max 50000\n", &["max 50000"][..]),
            ("cpuset.cpus", "0-3,8\n", &["0-3,8"]),
            ("io.weight", "default 100\n8:16 200\n", &["8:16 200"]),
            (
                "io.max",
                "8:16 rbps=max wbps=1 riops=max wiops=max\n8:32 rbps=1 wbps=max\n",
                &[
                    "8:16 rbps=max wbps=1 riops=max wiops=max",
                    "8:32 rbps=1 wbps=max",
                ],
            ),
            ("memory.max", "0\n", &["0"]),
            ("bc.max", "numproc 9\nnumfile max\n", &["numproc 9"]),
        ] {
            assert_eq!(told(file, text), lines, "{file}");
        }
    }

    #[test]
    fn a_note_says_it_all_and_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let cgroup = Cgroup::sample(dir.path());
        assert_eq!(of(&cgroup).unwrap(), "");
        for (file, text) in [
            ("pids.max", "100\n"),
            ("cpu.max.burst", "10\n"),
            ("cpu.max", "50000 100000\n"),
            ("memory.max", "max\n"),
            ("memory.current", "4096\n"),
            ("bc.high", "numproc 9\nnumfile max\nnumpty 7\n"),
        ] {
            fs::write(dir.path().join(file), text).unwrap();
        }
        let note = of(&cgroup).unwrap();
        assert_eq!(
            note,
            "cpu.max 50000 100000\ncpu.max.burst 10\npids.max 100\nbc.high numproc 9\n\
             bc.high numpty 7\n"
        );
        let settings = [
            setting("cpu.max", "50000 100000"),
            setting("cpu.max.burst", "10"),
            setting("pids.max", "100"),
            setting("bc.high", "numproc 9"),
            setting("bc.high", "numpty 7"),
        ];
        assert_eq!(parse(note.as_bytes()).unwrap(), settings);
        assert_eq!(parse(b"").unwrap(), []);
    }

    #[test]
    fn what_is_no_setting_is_refused_by_its_name() {
        let long = [&b"pids.max "[..], &[b'1'; VALUE + 1]].concat();
        for (note, what) in [
            (
                &b"pids.max 1\ncgroup.procs 1\n"[..],
                "`cgroup.procs` of the image is no",
            ),
            (b"../pids.max 1\n", "`../pids.max` of the image is no"),
            (b"cgroup.kill 1\n", "`cgroup.kill` of the image is no"),
            (b"pids.max\x1b 1\n", "`pids.max\\u{1b}` of the image is no"),
            (b"\n", "`` of the image is no"),
            (b" 1\n", "`` of the image is no"),
            (b"\xff\xff", "`\u{fffd}\u{fffd}` of the image is no"),
            (b"pids.max\n", "`pids.max` of the image has no value"),
            (b"pids.max \n", "`pids.max` of the image has no value"),
            (b"pids.max 1\t2\n", "`pids.max` of the image has a value t"),
            (b"pids.max \xff\n", "`pids.max` of the image has a value t"),
            (b"pids.max 1\0\n", "`pids.max` of the image has a value t"),
            (&long, "`pids.max` of the image has a value that is too lo"),
        ] {
            let failure = parse(note).unwrap_err();
            assert!(failure.what.starts_with(what), "{}", failure.what);
            assert!(failure.fix.unwrap().contains("--no-settings"));
        }
        assert_eq!(parse(&long[..long.len() - 1]).unwrap().len(), 1);
    }

    #[test]
    fn settings_are_written_and_controllers_enabled() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("box");
        fs::create_dir(&path).unwrap();
        let cgroup = Cgroup::sample(&path);
        fs::write(path.join("pids.max"), "").unwrap();
        apply(&cgroup, &[setting("pids.max", "100")]).unwrap();
        assert_eq!(fs::read_to_string(path.join("pids.max")).unwrap(), "100");

        let settings = [setting("memory.zswap.max", "1")];
        let failure = apply(&cgroup, &settings).unwrap_err();
        let name = path.display();
        let above = dir.path().display();
        let what = format!("cannot set memory.zswap.max of {name} to `1`: ");
        let why = format!("cannot enable memory in {above}: No such file or directory");
        assert!(failure.what.starts_with(&(what.clone() + &why)));
        assert!(failure.fix.unwrap().starts_with("echo +memory >"));

        let control = dir.path().join("cgroup.subtree_control");
        fs::write(&control, "").unwrap();
        let failure = apply(&cgroup, &settings).unwrap_err();
        assert_eq!(failure.what, what + "this kernel has no such file");
        assert_eq!(fs::read_to_string(control).unwrap(), "+memory");
    }
}
