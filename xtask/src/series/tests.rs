// SPDX-License-Identifier: GPL-2.0

//! A controller in miniature, cut into four commits, on a kernel of five files.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use xshell::{Shell, cmd};

use super::hunk::{self, Direction};
use super::{Composed, load, tip_files, topic};
use crate::cmd;
use crate::exit::{self, Exit};

/// A repository and a kernel tree in a directory of their own.
pub(super) struct Fixture {
    dir: TempDir,
}

const KCONFIG: &str = "\
config PIDS
\tbool \"pids\"

config MISC
\tbool \"misc\"
";

const FILE_TABLE: &str = "\
#include \"internal.h\"

int alloc(void)
{
\tcount++;
\treturn 0;
}

void free(void)
{
\tcount--;
}
";

/// `bc.rs` as it is at the tip: the lines of commits 2, 3 and 4 are in it.
const BC_RS: &str = "\
// SPDX-License-Identifier: GPL-2.0

//! The controller.

mod counter;
mod file;
mod proc;

/// Every resource.
const TABLE: &[&str] = &[
    \"numproc\",
    \"numfile\",
];
";

const SKELETON: &str = "\
Subject: cgroup/bc: Add the controller

It has no resource yet.
---
new: kernel/cgroup/bc/bc.rs
new: kernel/cgroup/bc/Makefile

--- a/init/Kconfig
+++ b/init/Kconfig
@@ -1,5 +1,8 @@
 config PIDS
 \tbool \"pids\"
 
+config BC
+\tbool \"bc\"
+
 config MISC
 \tbool \"misc\"
";

const COUNTER: &str = "\
Subject: cgroup/bc: Count processes
---
new: kernel/cgroup/bc/counter.rs

diff --git a/kernel/cgroup/bc/bc.rs b/kernel/cgroup/bc/bc.rs
--- a/kernel/cgroup/bc/bc.rs
+++ b/kernel/cgroup/bc/bc.rs
@@ -2,7 +2,9 @@
 
 //! The controller.
 
+mod counter;
 
 /// Every resource.
 const TABLE: &[&str] = &[
+    \"numproc\",
 ];
";

const FILE: &str = "\
Subject: cgroup/bc: Count files

Hook the place where files are made.
---
new: include/linux/bc.h
new: kernel/cgroup/bc/file.rs

--- a/fs/file_table.c
+++ b/fs/file_table.c
@@ -1,7 +1,9 @@
 #include \"internal.h\"
+#include <linux/bc.h>
 
 int alloc(void)
 {
+\tbc_charge();
 \tcount++;
 \treturn 0;
 }
@@ -9,4 +11,5 @@ int alloc(void)
 void free(void)
 {
 \tcount--;
+\tbc_uncharge();
 }
--- a/kernel/cgroup/bc/bc.rs
+++ b/kernel/cgroup/bc/bc.rs
@@ -3,8 +3,10 @@
 //! The controller.
 
 mod counter;
+mod file;
 
 /// Every resource.
 const TABLE: &[&str] = &[
     \"numproc\",
+    \"numfile\",
 ];
";

/// Touches `init/Kconfig` a second time, and adds a line to a file that ends without a newline.
const PROC: &str = "\
Subject: cgroup/bc: Show the table
---
new: kernel/cgroup/bc/proc.rs
new: tools/testing/selftests/bc/run.sh

--- a/init/Kconfig
+++ b/init/Kconfig
@@ -3,6 +3,7 @@
 
 config BC
 \tbool \"bc\"
+\tdepends on PROC_FS
 
 config MISC
 \tbool \"misc\"
--- a/kernel/cgroup/bc/bc.rs
+++ b/kernel/cgroup/bc/bc.rs
@@ -4,5 +4,6 @@
 
 mod counter;
 mod file;
+mod proc;
 
 /// Every resource.
--- a/kernel/Makefile
+++ b/kernel/Makefile
@@ -1,2 +1,3 @@
 obj-y += fork.o
-obj-y += exit.o
\\ No newline at end of file
+obj-y += exit.o
+obj-y += bc.o
\\ No newline at end of file
";

impl Fixture {
    pub(super) fn new() -> Self {
        let fixture = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        for (base, point) in [("7.3", "4"), ("7.2", "9")] {
            let makefile = format!(
                "# SPDX\nVERSION = 7\nPATCHLEVEL = {}\nSUBLEVEL = {point}\nEXTRAVERSION =\n",
                &base[2..]
            );
            fixture.base_file(base, "Makefile", &makefile);
            fixture.base_file(base, "init/Kconfig", KCONFIG);
            fixture.base_file(base, "fs/file_table.c", FILE_TABLE);
            fixture.base_file(base, "kernel/Makefile", "obj-y += fork.o\nobj-y += exit.o");
        }
        let repo = fixture.repo();
        fs::create_dir(&repo).unwrap();
        let sh = Shell::new().unwrap();
        cmd::run(cmd!(sh, "git -C {repo} init --quiet"))
            .ok()
            .unwrap();
        fixture.write(".gitignore", "*.o\n");
        fixture.write("rust/bc/bc.rs", BC_RS);
        fixture.write("rust/bc/Makefile", "obj-y += bc.o\n");
        fixture.write("rust/bc/Cargo.toml", "[package]\n");
        fixture.write("rust/bc/tests/host.rs", "// Only on the host.\n");
        fixture.write("rust/bc/bc.o", "ignored");
        fixture.write("rust/bc/counter.rs", "// Counter.\n");
        fixture.write("rust/bc/file.rs", "// File.\n");
        fixture.write("rust/bc/proc.rs", "// Proc.\n");
        fixture.write("ktests/bc/run.sh", "#!/bin/sh\n");
        cmd::run(cmd!(sh, "chmod +x {repo}/ktests/bc/run.sh"))
            .ok()
            .unwrap();
        fixture.write("patches/bc/files/include/linux/bc.h", "/* Hooks. */\n");
        fixture.write("Documentation/toolkit/series.rst", "Stays here.\n");
        fixture.write(
            "patches/bc/series",
            "# The slice.\n0001-skeleton.patch\n0002-counter.patch\n0003-file.patch # hook\n\
             0005-proc.patch\n",
        );
        fixture.write("patches/bc/0001-skeleton.patch", SKELETON);
        fixture.write("patches/bc/0002-counter.patch", COUNTER);
        fixture.write("patches/bc/0003-file.patch", FILE);
        fixture.write("patches/bc/0005-proc.patch", PROC);
        fixture
    }

    pub(super) fn repo(&self) -> PathBuf {
        self.dir.path().join("repo")
    }

    pub(super) fn base(&self, base: &str) -> PathBuf {
        self.dir.path().join("base").join(base)
    }

    pub(super) fn topic(&self) -> PathBuf {
        self.repo().join("patches/bc")
    }

    pub(super) fn write(&self, path: &str, text: &str) {
        write(&self.repo().join(path), text);
    }

    pub(super) fn base_file(&self, base: &str, path: &str, text: &str) {
        write(&self.base(base).join(path), text);
    }

    /// Replaces `from` in a file of the repository, which must contain it.
    fn edit(&self, path: &str, from: &str, to: &str) {
        let old = fs::read_to_string(self.repo().join(path)).unwrap();
        assert!(old.contains(from), "{path} has no {from:?}");
        self.write(path, &old.replacen(from, to, 1));
    }

    fn composed(&self, base: &str) -> Composed {
        load(&self.topic(), &self.base(base)).unwrap().1
    }

    /// The error of a composition that must fail.
    fn error(&self, base: &str) -> String {
        let error = load(&self.topic(), &self.base(base)).unwrap_err();
        assert_eq!(exit::of(&error), Exit::Findings, "{error:#}");
        format!("{error:#}")
    }
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// One file at one stage (from 1, 0 is the base).
fn at<'a>(composed: &'a Composed, stage: usize, path: &str) -> Option<&'a str> {
    let tree = match stage {
        0 => &composed.before,
        _ => &composed.stages[stage - 1],
    };
    let file = tree.get(Path::new(path))?;
    Some(std::str::from_utf8(&file.content).unwrap())
}

#[test]
fn an_own_file_grows_back_from_its_tip() {
    let composed = Fixture::new().composed("7.3");
    let bc = |stage| at(&composed, stage, "kernel/cgroup/bc/bc.rs");
    let head = "// SPDX-License-Identifier: GPL-2.0\n\n//! The controller.\n\n";
    let table = "\n/// Every resource.\nconst TABLE: &[&str] = &[\n";
    assert_eq!(bc(0), None);
    assert_eq!(bc(1).unwrap(), format!("{head}{table}];\n"));
    assert_eq!(
        bc(2).unwrap(),
        format!("{head}mod counter;\n{table}    \"numproc\",\n];\n")
    );
    assert_eq!(
        bc(3).unwrap(),
        format!("{head}mod counter;\nmod file;\n{table}    \"numproc\",\n    \"numfile\",\n];\n")
    );
    assert_eq!(bc(4).unwrap(), BC_RS);
}

#[test]
fn files_exist_from_their_commit_on_with_their_mode() {
    let composed = Fixture::new().composed("7.3");
    let header = |stage| at(&composed, stage, "include/linux/bc.h");
    assert_eq!((header(2), header(3)), (None, Some("/* Hooks. */\n")));
    let script = Path::new("tools/testing/selftests/bc/run.sh");
    assert!(!composed.stages[2].contains_key(script));
    assert!(composed.stages[3][script].executable);
    assert!(!composed.stages[3][Path::new("include/linux/bc.h")].executable);
    let names: Vec<_> = composed
        .tip()
        .keys()
        .map(|path| path.to_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "fs/file_table.c",
            "include/linux/bc.h",
            "init/Kconfig",
            "kernel/Makefile",
            "kernel/cgroup/bc/Makefile",
            "kernel/cgroup/bc/bc.rs",
            "kernel/cgroup/bc/counter.rs",
            "kernel/cgroup/bc/file.rs",
            "kernel/cgroup/bc/proc.rs",
            "tools/testing/selftests/bc/run.sh",
        ]
    );
}

#[test]
fn a_kernel_file_goes_forward_through_every_commit() {
    let composed = Fixture::new().composed("7.3");
    let kconfig = |stage| at(&composed, stage, "init/Kconfig").unwrap();
    let with = KCONFIG.replace("config MISC", "config BC\n\tbool \"bc\"\n\nconfig MISC");
    assert_eq!(kconfig(0), KCONFIG);
    assert_eq!((kconfig(1), kconfig(3)), (with.as_str(), with.as_str()));
    let at_tip = with.replace("\"bc\"\n", "\"bc\"\n\tdepends on PROC_FS\n");
    assert_eq!(kconfig(4), at_tip);
    // Touched late, there from the start.
    assert_eq!(at(&composed, 1, "fs/file_table.c").unwrap(), FILE_TABLE);
}

#[test]
fn a_missing_newline_at_the_end_is_kept() {
    let composed = Fixture::new().composed("7.3");
    let makefile = |stage| at(&composed, stage, "kernel/Makefile").unwrap();
    assert_eq!(makefile(3), "obj-y += fork.o\nobj-y += exit.o");
    assert_eq!(
        makefile(4),
        "obj-y += fork.o\nobj-y += exit.o\nobj-y += bc.o"
    );
    let diffs = hunk::parse(PROC.split_once("run.sh\n").unwrap().1, 1).unwrap();
    let diff = diffs
        .iter()
        .find(|diff| diff.path == Path::new("kernel/Makefile"))
        .unwrap();
    let back = hunk::apply(makefile(4).as_bytes(), &diff.hunks, Direction::Unapply).unwrap();
    assert_eq!(back, makefile(3).as_bytes());
}

#[test]
fn the_tip_is_what_the_repository_holds() {
    let fixture = Fixture::new();
    let files = tip_files(&fixture.topic(), &fixture.base("7.3")).unwrap();
    assert_eq!(files[Path::new("kernel/cgroup/bc/bc.rs")], BC_RS.as_bytes());
    assert_eq!(files.len(), 10);
    for base in ["7.3", "7.2"] {
        let files = tip_files(&fixture.topic(), &fixture.base(base)).unwrap();
        let composed = fixture.composed(base);
        let tip = composed.tip().iter();
        let tip = tip.map(|(path, file)| (path.clone(), file.content.to_vec()));
        assert_eq!(files, tip.collect());
    }
}

/// Somebody edits a line that a later commit has added: it is built and tested before the hunk follows.
#[test]
fn the_tip_needs_no_growth_to_be_unapplied() {
    let fixture = Fixture::new();
    let edited = format!("{BC_RS}\n// Edited.\n").replace("mod ", "mod  ");
    fixture.write("rust/bc/bc.rs", &edited);
    load(&fixture.topic(), &fixture.base("7.3")).unwrap_err();
    let files = tip_files(&fixture.topic(), &fixture.base("7.3")).unwrap();
    assert_eq!(
        files[Path::new("kernel/cgroup/bc/bc.rs")],
        edited.as_bytes()
    );
}

/// Git's own idea of the same hunks, stage by stage.
#[test]
fn git_apply_agrees_with_every_stage() {
    let fixture = Fixture::new();
    let composed = fixture.composed("7.3");
    let dir = tempfile::tempdir().unwrap();
    let sh = Shell::new().unwrap();
    sh.change_dir(dir.path());
    cmd::run(cmd!(sh, "git init --quiet")).ok().unwrap();
    for (path, file) in &composed.before {
        write(
            &dir.path().join(path),
            std::str::from_utf8(&file.content).unwrap(),
        );
    }
    for (stage, text) in composed.stages.iter().zip([SKELETON, COUNTER, FILE, PROC]) {
        let added = stage
            .iter()
            .filter(|(path, _)| !dir.path().join(path).exists());
        for (path, file) in added {
            write(
                &dir.path().join(path),
                std::str::from_utf8(&file.content).unwrap(),
            );
        }
        let patch = dir.path().join(".git/stage.patch");
        fs::write(&patch, text).unwrap();
        cmd::run(cmd!(sh, "git apply --whitespace=nowarn {patch}"))
            .ok()
            .unwrap();
        for (path, file) in stage {
            let theirs = fs::read(dir.path().join(path)).unwrap();
            assert_eq!(theirs, &*file.content, "{}", path.display());
        }
    }
}

#[test]
fn a_file_that_moved_is_still_found() {
    let fixture = Fixture::new();
    fixture.base_file(
        "7.3",
        "fs/file_table.c",
        &format!("// One.\n// Two.\n{FILE_TABLE}"),
    );
    fixture.edit("rust/bc/bc.rs", "GPL-2.0\n", "GPL-2.0\n// One.\n// Two.\n");
    let composed = fixture.composed("7.3");
    assert!(
        at(&composed, 4, "fs/file_table.c")
            .unwrap()
            .contains("count--;\n\tbc_uncharge();")
    );
    assert!(
        !at(&composed, 1, "kernel/cgroup/bc/bc.rs")
            .unwrap()
            .contains("mod counter")
    );
}

#[test]
fn a_hunk_that_fits_twice_away_from_its_line_is_refused() {
    let fixture = Fixture::new();
    let twice = FILE_TABLE.replace(
        "void free",
        "void other(void)\n{\n\tcount--;\n}\n\nvoid free",
    );
    fixture.base_file("7.3", "fs/file_table.c", &twice);
    let short = "Subject: x\n---\n--- a/fs/file_table.c\n+++ b/fs/file_table.c\n\
                 @@ -5,2 +5,3 @@\n \tcount--;\n+\tbc_uncharge();\n }\n";
    let rest = "Subject: x\n---\nnew: include/linux/bc.h\nnew: kernel/cgroup/bc/file.rs\n";
    fixture.write("patches/bc/0004-short.patch", short);
    fixture.edit("patches/bc/series", "0005", "0004-short.patch\n0005");
    fixture.edit("rust/bc/bc.rs", "mod file;\n", "");
    fixture.edit("rust/bc/bc.rs", "    \"numfile\",\n", "");
    fixture.edit("patches/bc/0005-proc.patch", " mod file;\n", "");
    fixture.edit(
        "patches/bc/0005-proc.patch",
        "@@ -4,5 +4,6 @@",
        "@@ -4,4 +4,5 @@",
    );
    fixture.write("patches/bc/0003-file.patch", rest);
    let error = fixture.error("7.3");
    assert!(
        error.contains("0004-short.patch: fs/file_table.c"),
        "{error}"
    );
    assert!(error.contains("fits at lines 11, 16"), "{error}");
    // At its very line it is what was meant.
    fixture.write(
        "patches/bc/0004-short.patch",
        &short.replace("-5,2 +5,3", "-16,2 +16,3"),
    );
    let composed = fixture.composed("7.3");
    let file = at(&composed, 4, "fs/file_table.c").unwrap();
    assert!(
        file.ends_with("void free(void)\n{\n\tcount--;\n\tbc_uncharge();\n}\n"),
        "{file}"
    );
    assert_eq!(file.matches("bc_uncharge").count(), 1);
}

#[test]
fn an_override_replaces_the_hunks_of_its_files_on_its_base_only() {
    let fixture = Fixture::new();
    fixture.base_file(
        "7.2",
        "fs/file_table.c",
        &FILE_TABLE.replace("int alloc", "long alloc"),
    );
    let error = fixture.error("7.2");
    assert!(
        error.contains("0003-file.patch: fs/file_table.c: hunk `@@ -1,7 +1,9 @@`"),
        "{error}"
    );
    assert!(error.contains("reads `int alloc(void)`"), "{error}");
    fixture.write(
        "patches/bc/7.2/0003-file.patch",
        "The function returned long.\n---\n--- a/fs/file_table.c\n+++ b/fs/file_table.c\n\
         @@ -2,3 +2,4 @@\n \n long alloc(void)\n {\n+\tbc_charge();\n",
    );
    let composed = fixture.composed("7.2");
    let file = at(&composed, 3, "fs/file_table.c").unwrap();
    assert!(
        file.contains("long alloc(void)\n{\n\tbc_charge();\n"),
        "{file}"
    );
    assert!(!file.contains("bc_uncharge"), "{file}");
    // The main patch's hunks for other files still count.
    assert!(
        at(&composed, 3, "kernel/cgroup/bc/bc.rs")
            .unwrap()
            .contains("mod file;")
    );
    let primary = fixture.composed("7.3");
    assert!(
        at(&primary, 3, "fs/file_table.c")
            .unwrap()
            .contains("bc_uncharge")
    );
}

#[test]
fn an_override_can_drop_a_file_and_port_an_own_one() {
    let fixture = Fixture::new();
    fs::remove_file(fixture.base("7.2").join("fs/file_table.c")).unwrap();
    assert!(fixture.error("7.2").contains("has this file"));
    fixture.write(
        "patches/bc/7.2/0003-file.patch",
        "There is no table yet.\n---\ndrop: fs/file_table.c\n",
    );
    fixture.write(
        "patches/bc/7.2/0002-counter.patch",
        "The attribute had another name.\n---\n\
         --- a/kernel/cgroup/bc/bc.rs\n+++ b/kernel/cgroup/bc/bc.rs\n\
         @@ -1,3 +1,3 @@\n // SPDX-License-Identifier: GPL-2.0\n \n-//! The controller.\n+//! The old one.\n",
    );
    let composed = fixture.composed("7.2");
    let title = |stage| {
        at(&composed, stage, "kernel/cgroup/bc/bc.rs")
            .unwrap()
            .lines()
            .nth(2)
    };
    assert_eq!(title(1), Some("//! The controller."));
    assert_eq!(
        (title(2), title(4)),
        (Some("//! The old one."), Some("//! The old one."))
    );
    assert_eq!(at(&composed, 4, "fs/file_table.c"), None);
    fixture.write(
        "patches/bc/7.2/0003-file.patch",
        "Why.\n---\ndrop: fs/open.c\n",
    );
    assert!(fixture.error("7.2").contains("drop: fs/open.c"));
}

#[test]
fn a_growth_hunk_that_does_not_unapply_names_patch_and_file() {
    let fixture = Fixture::new();
    fixture.edit("rust/bc/bc.rs", "    \"numfile\",\n", "    \"numfiles\",\n");
    let error = fixture.error("7.3");
    assert!(
        error.contains("0003-file.patch: kernel/cgroup/bc/bc.rs"),
        "{error}"
    );
    assert!(error.contains("does not un-apply"), "{error}");
    assert!(error.contains("reads `    \"numfile\",`"), "{error}");
}

#[test]
fn every_own_file_is_listed_once() {
    let fixture = Fixture::new();
    fixture.write("rust/bc/forgotten.rs", "");
    let error = fixture.error("7.3");
    assert!(
        error.contains("rust/bc/forgotten.rs is listed by no commit"),
        "{error}"
    );
    fs::remove_file(fixture.repo().join("rust/bc/forgotten.rs")).unwrap();

    fixture.edit(
        "patches/bc/0005-proc.patch",
        "new: ",
        "new: include/linux/bc.h\nnew: ",
    );
    let error = fixture.error("7.3");
    assert!(
        error.contains("is listed by 0003-file.patch already"),
        "{error}"
    );

    fixture.edit(
        "patches/bc/0005-proc.patch",
        "include/linux/bc.h",
        "include/linux/none.h",
    );
    let error = fixture.error("7.3");
    assert!(
        error.contains("0005-proc.patch: `new: include/linux/none.h`"),
        "{error}"
    );
}

#[test]
fn a_shared_file_may_belong_to_another_topic() {
    let fixture = Fixture::new();
    fixture.write("rust/helpers/uaccess.c", "");
    assert!(
        fixture
            .error("7.3")
            .contains("rust/helpers/uaccess.c is listed by no commit")
    );
    fixture.write("patches/ckpt/series", "0001-helper.patch\n");
    fixture.write(
        "patches/ckpt/0001-helper.patch",
        "Subject: rust: Add a helper\n---\nnew: rust/helpers/uaccess.c\n",
    );
    assert_eq!(fixture.composed("7.3").tip().len(), 10);
    let other = load(&fixture.repo().join("patches/ckpt"), &fixture.base("7.3"))
        .unwrap()
        .1;
    assert_eq!(other.tip().len(), 1);
}

#[test]
fn an_own_file_cannot_grow_before_it_is_there() {
    let fixture = Fixture::new();
    let growth = COUNTER.split_once("diff --git").unwrap().1;
    fixture.edit(
        "patches/bc/series",
        "0001-skeleton.patch",
        "0000-early.patch\n0001-skeleton.patch",
    );
    fixture.write(
        "patches/bc/0000-early.patch",
        &format!("Subject: x\n---\ndiff --git{growth}"),
    );
    let error = fixture.error("7.3");
    assert!(error.contains("0000-early.patch"), "{error}");
    assert!(
        error.contains("before 0001-skeleton.patch adds it"),
        "{error}"
    );
}

#[test]
fn the_series_file_names_every_patch_in_order() {
    let fixture = Fixture::new();
    fixture.write("patches/bc/0009-stray.patch", "");
    assert!(
        fixture
            .error("7.3")
            .contains("does not name 0009-stray.patch")
    );
    fixture.edit("patches/bc/series", "# The slice.", "0009-stray.patch");
    assert!(fixture.error("7.3").contains("do not follow their order"));
    fixture.edit("patches/bc/series", "0009-stray.patch", "0008-none.patch");
    assert!(fixture.error("7.3").contains("there is no 0008-none.patch"));
}

#[test]
fn a_long_topic_has_parts_and_a_base_may_have_the_first_only() {
    let fixture = Fixture::new();
    let topic = topic::Topic::load(&fixture.topic()).unwrap();
    assert_eq!((topic.parts.len(), topic.made_for("7.2")), (1, 4));

    fixture.edit("patches/bc/series", "0001-skeleton", "[one]\n0001-skeleton");
    fixture.edit("patches/bc/series", "0003-file", "[two 7.3 7.4]\n0003-file");
    fixture.write("patches/bc/cover-letter-two.txt", "bc: Two\n\nWhy.\n");
    let topic = topic::Topic::load(&fixture.topic()).unwrap();
    let shown: Vec<_> = topic
        .parts
        .iter()
        .map(|part| {
            (
                part.name.as_str(),
                part.patches.clone(),
                part.cover.is_some(),
            )
        })
        .collect();
    assert_eq!(shown, [("one", 0..2, false), ("two", 2..4, true)]);
    assert_eq!((topic.made_for("7.2"), topic.made_for("7.3")), (2, 4));

    // There is no less to it than the whole has after its second patch.
    let (whole, first) = (fixture.composed("7.3"), fixture.composed("7.2"));
    assert_eq!((whole.stages.len(), first.stages.len()), (4, 2));
    let own = Path::new("kernel/cgroup/bc/bc.rs");
    assert_eq!(first.tip()[own], whole.stages[1][own]);
    let tip = super::compose::tip(&topic, &fixture.base("7.2")).unwrap();
    assert_eq!(&tip, first.tip());

    let names = [
        "0001-skeleton.patch\n[one]",
        "[one]\n[one]",
        "[two words]\n[]",
    ];
    for (lines, wanted) in names
        .into_iter()
        .zip(["before the first", "two parts", "no part"])
    {
        fixture.write("patches/bc/series", lines);
        let error = topic::Topic::load(&fixture.topic()).unwrap_err();
        assert!(format!("{error:#}").contains(wanted), "{error:#}");
    }
}

#[test]
fn malformed_patches_are_refused_by_line() {
    let cases = [
        (
            "--- a/x\n+++ b/x\n@@ -1,3 +1,3 @@\n a\n-b\n+c\n",
            "line 3: the hunk is shorter",
        ),
        (
            "--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n+d\n",
            "line 7: not a part of a diff",
        ),
        (
            "--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n a\n-b\n-c\n",
            "line 6: does not belong",
        ),
        (
            "--- a/x\n+++ b/y\n@@ -1 +1 @@\n-b\n+c\n",
            "line 1: the header must name one file",
        ),
        (
            "--- /dev/null\n+++ b/y\n@@ -0,0 +1 @@\n+c\n",
            "listed with `new:`",
        ),
        (
            "--- a/../x\n+++ b/../x\n@@ -1 +1 @@\n-b\n+c\n",
            "is not in the tree",
        ),
        ("@@ -1 +1 @@\n-b\n+c\n", "line 1: a hunk without"),
        ("old mode 100644\nnew mode 100755\n", "line 1: not a part"),
        ("--- a/x\n+++ b/x\n", "x has no hunk"),
        ("--- a/x\n+++ b/x\n@@ -1,0 +2 @@\n+c\n", "needs context"),
        ("--- a/x\n+++ b/x\n@@ -1 +1 @@\n b\n", "changes nothing"),
    ];
    for (text, wanted) in cases {
        let error = hunk::parse(text, 1).unwrap_err().to_string();
        assert!(error.contains(wanted), "{text:?}: {error}");
    }
}

#[test]
fn a_message_has_a_subject_and_a_body() {
    let fixture = Fixture::new();
    let topic = topic::Topic::load(&fixture.topic()).unwrap();
    let message = &topic.patches[0].message;
    assert_eq!(message.subject, "cgroup/bc: Add the controller");
    assert_eq!(message.body, "It has no resource yet.\n");
    assert_eq!(topic.patches[1].message.body, "");
    fixture.edit("patches/bc/0001-skeleton.patch", "Subject: ", "");
    assert!(
        fixture
            .error("7.3")
            .contains("line 1 is not `Subject: ...`")
    );
}

#[test]
fn a_base_is_named_without_its_point_release() {
    let fixture = Fixture::new();
    let composed = fixture.composed("7.2");
    assert_eq!(
        (composed.base.as_str(), composed.version.as_str()),
        ("7.2", "7.2.9")
    );
    let makefile = "VERSION = 7\nPATCHLEVEL = 4\nSUBLEVEL = 0\nEXTRAVERSION = -rc1\n";
    fixture.base_file("7.3", "Makefile", makefile);
    let composed = fixture.composed("7.3");
    assert_eq!(
        (composed.base.as_str(), composed.version.as_str()),
        ("7.4", "7.4.0-rc1")
    );
}
