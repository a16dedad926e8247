// SPDX-License-Identifier: GPL-2.0

//! What only shows in the whole program: `beanctl ckpt`.

use std::fs::{self, File};
use std::io::Write;
use std::mem::offset_of;
use std::path::Path;
use std::process::{Command, Output, Stdio};

#[allow(dead_code, reason = "here it is enough that some images are good")]
mod sample;

use beanpod_image::Type;
use sample::{Fault, image};

fn beanctl(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_beanctl"));
    command.arg("ckpt").args(words).stdin(Stdio::null());
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs a verb with an image in a file.
fn with_image(image: &[u8], words: &[&str]) -> Output {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("image"), image).unwrap();
    let mut command = beanctl(words);
    command.arg("image").current_dir(dir.path());
    command.output().unwrap()
}

#[test]
fn a_good_image_is_right() {
    let output = with_image(&image(Fault::None), &["verify"]);
    assert_eq!(output.status.code(), Some(0));
    let said = text(&output.stdout);
    assert!(said.starts_with("image is right: 6 processes, "), "{said}");
    assert!(
        said.ends_with("36.00 KiB of memory with checksums\n"),
        "{said}"
    );
}

#[test]
fn a_damaged_image_is_told_with_its_place() {
    let mut damaged = image(Fault::None);
    damaged[70] ^= 1;
    let output = with_image(&damaged, &["verify"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        text(&output.stderr),
        "error: image: byte 56: the checksum of the record does not match\n  \
         fix: take another image, or make it anew\n"
    );
    let output = with_image(&damaged, &["verify", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&found["right"], &found["at"]), (&false.into(), &56.into()));
}

#[test]
fn an_image_may_come_through_a_pipe() {
    let mut command = beanctl(&["verify", "-"]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&image(Fault::None)).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert!(text(&output.stdout).starts_with("the standard input is right"));
}

#[test]
fn people_see_a_tree() {
    let output = with_image(&image(Fault::None), &["show"]);
    assert_eq!(output.status.code(), Some(0));
    let said = text(&output.stdout);
    for line in [
        "image: 6 processes, x86_64, kernel 7.3.4-sample, 36.00 KiB of memory, ",
        "\n  cgroup     pids.max 100\n  cgroup     bc.max numfile \\u{1b}1200\n\n",
        "\n101 co\\u{1b}nt  /usr/bin/co\u{fc}nt\n",
        "\n  102 co\\u{1b}nt  has ended, status 3\n",
        "\n  103 co\\u{1b}nt  /usr/bin/co\u{fc}nt\n",
        "    process    group 101, session 101, subreaper, stopped by STOP\n",
        "    runs as    user 1000 (effective 0, saved 1000, for files 1000), group 100, groups 10 27, \
         capabilities 0x3\n",
        "    directory  /tmp, umask 022\n",
        "    thread 101  co\\u{1b}nt\n      waits in   nanosleep, 1.5s left\n",
        "    thread 9001  co\\u{1b}nt\n      settings   nice 5, policy batch, processors 0,2-3, \
         I/O best effort 4, login of user 1000\n      blocks     USR1\n      pending    USR2\n",
        "    pending    TERM\n",
        "    timer      real, 2.5s left, then every 4s, sends ALRM\n",
        "    timer 7    realtime, until 1800000000s after 1970 began, sends USR2\n",
        "    handles    TERM\n",
        "    limits     nofile 1024:none\n",
        "    fd 3       /tmp/out (file at 42, write, append)\n",
        "    memory     28.00 KiB in 4 mappings, 16.00 KiB stored\n",
        "0x2000    8.00 KiB rw-p    8.00 KiB stored  [anon:pool]\n",
        "    fd 4       /tmp/gone (deleted) (file at 0, read)\n",
        "    fd 5       external `log`\n",
        "stored  [anon:pool]\n",
        " (4.00 KiB of guard pages)\n",
        "\n  104 co\\u{1b}nt  /usr/bin/co\u{fc}nt\n",
        "      memory     28.00 KiB in 4 mappings, 4.00 KiB stored, a copy of that of 101\n",
        "0x2000    8.00 KiB rw-p         0 B stored  [anon:pool]  (4.00 KiB inherited)\n",
        "\n    105 co\\u{1b}nt  /usr/bin/co\u{fc}nt\n",
        "\n      106 co\\u{1b}nt  /usr/bin/co\u{fc}nt\n",
        "          memory     that of 105\n",
        "\ndeleted file 5: /tmp/gone, 4.88 KiB, 4.00 KiB stored, mode 600 of 1000:100\n",
        "\npipe 12: 8 B in it, of 64.00 KiB\n",
        "      fd 1       pipe 12 (pipe, read)\n",
        "\nexternal file 7: `log`, to be handed in\n",
        "      waits in   futex, until 1800000000s after 1970 began\n",
        "    vdso       0x90000000, CRC-32C 0x00c0ffee\n",
        "\nclocks: monotonic 60s, boot time 61s\n",
        "\nshared memory 4: 8.00 KiB, 4.00 KiB stored\n",
    ] {
        assert!(said.contains(line), "{line:?} is not in:\n{said}");
    }
    assert!(!said.contains("identity"));
    let said = text(&with_image(&image(Fault::None), &["show", "--records"]).stdout);
    assert!(
        said.contains("          56       1  release            0     12            0  optional\n"),
        "{said}"
    );
}

#[test]
fn what_threads_do_not_share_is_shown_with_them() {
    let files = offset_of!(beanpod_image::Thread, files);
    let image = image(Fault::Field(Type::Thread, 1, files, 14));
    let said = text(&with_image(&image, &["show"]).stdout);
    for line in [
        "\n      fd 3       /tmp/out (file at 42, write, append)\n",
        "\n      pending    USR2\n      fd 0       /tmp/out (file at 42, write, append)\n",
        "\n      fds        those of 9001\n",
    ] {
        assert!(said.contains(line), "{line:?} is not in:\n{said}");
    }
}

#[test]
fn machines_see_the_same() {
    let output = with_image(&image(Fault::None), &["show", "--json", "--records"]);
    let shown: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let [first, ended, second] = [0, 1, 2].map(|index| &shown["processes"][index]);
    assert_eq!(second["parent"], 101);
    assert_eq!(first["memory"]["mappings"][1]["purpose"], "heap");
    assert_eq!(first["memory"]["vdso"]["crc"], "0x00c0ffee");
    assert_eq!(
        (&first["cwd"], &first["umask"]),
        (&"/tmp".into(), &"022".into())
    );
    assert_eq!(first["descriptors"][2]["path"], "external `log`");
    assert_eq!(first["credentials"]["uid"]["real"], 1000);
    assert_eq!(first["threads"][1]["policy"], "batch");
    assert_eq!(first["threads"][1]["pending"][0], "USR2");
    assert!(first["threads"][1].get("descriptors").is_none());
    assert_eq!(second["threads"][0]["call"]["name"], "futex");
    assert_eq!(ended["ended"]["status"], 3);
    assert!(ended["memory"].is_null());
    assert!(ended.get("memory_of").is_none());
    let [copy, sharing] = [3, 5].map(|index| &shown["processes"][index]);
    assert_eq!(copy["memory"]["copy_of"], 101);
    assert_eq!(copy["memory"]["mappings"][1]["inherited_bytes"], 4096);
    assert_eq!(sharing["memory_of"], 105);
    assert_eq!(shown["deleted_files"][0]["modified"]["nanoseconds"], 5);
    assert_eq!(shown["external_files"][0]["name"], "log");
    assert_eq!(shown["clocks"]["boottime"], 61_000_000_000_u64);
    assert_eq!(shown["note"][0], "pids.max 100");
    assert_eq!(shown["record_list"][1]["kind"], "release");
    assert_eq!(shown["uuid"], "abababab-abab-abab-abab-abababababab");
}

#[test]
fn a_reader_that_goes_away_has_seen_enough() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("image");
    fs::write(&path, image(Fault::None)).unwrap();
    let script = "\"$0\" ckpt show --records image | true; \"$0\" ckpt show image >/dev/null";
    let output = Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_beanctl")])
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert_eq!(text(&output.stderr), "");
    assert!(output.status.success());
}

#[test]
fn a_full_disk_is_no_success() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("image"), image(Fault::None)).unwrap();
    let mut command = beanctl(&["show", "image"]);
    command.current_dir(dir.path());
    command.stdout(File::options().write(true).open("/dev/full").unwrap());
    command.stderr(Stdio::piped());
    let output = command.spawn().unwrap().wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(
        said.contains("the standard output: No space left"),
        "{said}"
    );
}

#[test]
fn what_is_missing_is_named_with_a_way_out() {
    let output = beanctl(&["verify", "/nowhere/image"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(
        said.starts_with("error: /nowhere/image: No such file"),
        "{said}"
    );
    assert!(said.contains("\n  fix: "), "{said}");
}

#[test]
fn a_descriptor_that_is_not_open_is_no_external_file() {
    let words = ["restore", "-", "--cgroup", "box", "--external", "log=77"];
    let output = beanctl(&words).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    assert!(said.contains("fd 77, which is to be `log`"), "{said}");
}

#[test]
fn without_the_engine_nothing_is_left() {
    if Path::new("/dev/ckpt").exists() {
        return;
    }
    for how in [&[][..], &["--leave-running"], &["--snapshot"]] {
        let dir = tempfile::tempdir().unwrap();
        let mut command = beanctl(&["dump", "box", "-o", "image"]);
        let output = command.args(how).current_dir(dir.path()).output().unwrap();
        assert_eq!(output.status.code(), Some(4), "{how:?}");
        let said = text(&output.stderr);
        assert!(said.contains("CONFIG_CKPT"), "{said}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}

#[test]
fn every_verb_has_help() {
    let verbs = [
        "check", "dump", "restore", "suspend", "resume", "kill", "show", "verify",
    ];
    for verb in verbs {
        let output = beanctl(&[verb, "--help"]).output().unwrap();
        assert!(output.status.success(), "{verb}");
        assert!(
            text(&output.stdout).contains("Usage: beanctl ckpt "),
            "{verb}"
        );
    }
}
