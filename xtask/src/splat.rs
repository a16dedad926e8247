// SPDX-License-Identifier: GPL-2.0

//! Finds what a kernel says about its own bugs in a console log: such a report fails a run even when
//! every test passed.
//!
//! All patterns are anchored at the start of a message, behind its time stamp, so that names of
//! configuration symbols and of tests that contain such words are left alone.

use std::sync::LazyLock;

use regex_lite::Regex;
use serde::Serialize;

use crate::ktap::{kernel_message, strip_log_prefix};

/// How many lines of one report are kept; the log has all of them.
const CONTEXT: usize = 60;

/// One report of a kernel about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Splat {
    /// Its first line, without the time stamp.
    pub title: String,
    /// The number of the first line in the log, from 1.
    pub line: usize,
    /// How often the same title came.
    pub times: usize,
    /// What followed the first line, up to the end of the trace.
    pub text: Vec<String>,
}

impl Splat {
    /// The name that the report has among results.
    pub fn headline(&self) -> String {
        format!("kernel: {}", self.title)
    }

    /// Whether a CPU ran into a breakpoint that is not in memory. Code that is patched while it runs
    /// has one for a moment; an emulator that translated just then can keep the translation.
    pub fn is_stale_breakpoint(&self) -> bool {
        let code = self
            .text
            .iter()
            .find_map(|line| line.strip_prefix("Code: "));
        // The byte in angle brackets is behind the breakpoint.
        let before = code
            .and_then(|code| code.split_once(" <"))
            .and_then(|(before, _)| before.split_whitespace().next_back());
        self.title.contains("int3") && before.is_some_and(|byte| byte != "cc")
    }
}

/// A report that is known not to be ours; without a reason it does not build.
pub struct Allowed {
    /// A regular expression that is matched against the title.
    pub title: &'static str,
    /// Why it is no finding, and when this entry can go.
    pub reason: &'static str,
}

/// The reports that do not fail a run.
pub const ALLOWED: &[Allowed] = &[];

const _: () = {
    let mut at = 0;
    while at < ALLOWED.len() {
        assert!(!ALLOWED[at].reason.is_empty(), "an entry needs a reason");
        at += 1;
    }
};

/// How the title of a report begins.
const TITLES: &[&str] = &[
    // Also KASAN, KCSAN, KFENCE, KMSAN, bad pages, workqueue lockups, sleeping in atomic context.
    r"BUG: ",
    r"BUG [\w-]+ \(.*\): ",
    r"kernel BUG at ",
    // Both a WARN() with its place and the reports of lockdep and of RCU.
    r"WARNING: ",
    r"Kernel panic - not syncing",
    r"(\S+: )?Oops( - \w+)?(: |\[)",
    r"(general protection fault|divide error|stack segment|invalid opcode|int3|double fault)[:,]",
    r"Unable to handle kernel ",
    r"Internal error: ",
    r"rcu: INFO: rcu\w* .*(stall|starved)",
    r"INFO: rcu\w* .*stall",
    r"rcu: rcu\w* kthread starved",
    r"(watchdog: )?BUG: soft lockup",
    r"(watchdog: .*|NMI watchdog: .*)?[Ww]atchdog detected hard LOCKUP",
    r"INFO: task .* blocked .*for more than \d+ seconds",
    r"INFO: (possible|trying to register non-static|inconsistent|suspicious|lockdep is turned off)",
    r"DEBUG_LOCKS_WARN_ON",
    r"UBSAN: ",
    r"kmemleak: [1-9]\d* new suspected memory leaks",
    r"unreferenced object 0x[0-9a-f]+",
    // A leak detector that gave up finds nothing.
    r"kmemleak: (Memory pool empty|Cannot (allocate a kmemleak|scan)|Kernel memory leak detector disabled)",
    // The controller's own.
    r"bc: -?\d+ \w+ left in a cgroup that is gone",
    r"(refcount_t|ODEBUG|list_(add|del) corruption|slab error|Slab corruption)[:. ]",
];

/// Reads a console log and returns the reports in it, one per title, in order.
pub fn find(log: &str) -> Vec<Splat> {
    find_except(log, ALLOWED)
}

fn find_except(log: &str, allowed: &[Allowed]) -> Vec<Splat> {
    static TITLE: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(&format!("^(?:{})", TITLES.join("|"))).expect("a constant"));
    let allowed: Vec<Regex> = allowed
        .iter()
        .map(|entry| Regex::new(entry.title).expect("a constant"))
        .collect();
    // Where the kernel's messages have time stamps, the others are of the emulator and its helpers.
    let stamped = log.lines().any(|line| kernel_message(line).is_some());
    let message = |line| match stamped {
        true => kernel_message(line).unwrap_or_default(),
        false => strip_log_prefix(line),
    };
    let lines: Vec<&str> = log.lines().map(message).collect();
    let mut found: Vec<Splat> = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let title = lines[at].trim_end();
        at += 1;
        if !TITLE.is_match(title) {
            continue;
        }
        let start = at;
        while at < lines.len() && at - start < CONTEXT && !ends(lines[at]) {
            if TITLE.is_match(lines[at]) && !belongs(lines[at]) {
                break;
            }
            at += 1;
        }
        if allowed.iter().any(|entry| entry.is_match(title)) {
            continue;
        }
        if let Some(same) = found
            .iter_mut()
            .find(|splat| identity(&splat.title) == identity(title))
        {
            same.times += 1;
            continue;
        }
        found.push(Splat {
            title: title.to_owned(),
            line: start,
            times: 1,
            text: lines[start..at]
                .iter()
                .map(|line| line.trim_end().to_owned())
                .collect(),
        });
    }
    found
}

/// Whether a line closes a report.
fn ends(line: &str) -> bool {
    line.starts_with("---[ end ") || line.trim().trim_matches('=').is_empty()
}

/// Whether a line that looks like a title is the second half of a report that began before.
fn belongs(line: &str) -> bool {
    line.starts_with("Oops") || line.starts_with("invalid opcode")
}

/// A title without what differs from boot to boot: addresses, process ids, times.
fn identity(title: &str) -> String {
    static NUMBERS: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"0x[0-9a-f]+|\b[0-9a-f]{16}\b|\d+").expect("a constant"));
    NUMBERS.replace_all(title, "N").into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn titles(log: &str) -> Vec<String> {
        find(log).into_iter().map(|splat| splat.title).collect()
    }

    #[test]
    fn a_breakpoint_that_is_not_in_memory_is_the_emulators() {
        let stale = |code: &str| {
            let log = format!("[    1.0] Oops: int3: 0000 [#1] SMP\n[    1.1] Code: {code}\n");
            find(&log)[0].is_stale_breakpoint()
        };
        assert!(stale("5a 01 00 00 0f <1f> 44 00 00 4c"));
        assert!(!stale("5a 01 00 00 cc <1f> 44 00 00 4c"));
        assert!(!stale("Unable to access opcode bytes at 0x0."));
        assert!(!find("[    1.0] BUG: x\n[    1.1] Code: 0f <1f>\n")[0].is_stale_breakpoint());
    }

    #[test]
    fn every_kind_is_seen() {
        for line in [
            "BUG: kernel NULL pointer dereference, address: 0000000000000000",
            "BUG: KASAN: slab-use-after-free in bc_charge+0x12/0x40",
            "BUG: KCSAN: data-race in bc_charge / bc_uncharge",
            "BUG: sleeping function called from invalid context at kernel/locking/mutex.c:1",
            "BUG: scheduling while atomic: init/1/0x00000002",
            "BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 31s!",
            "BUG: Bad page state in process init  pfn:00010",
            "BUG kmalloc-64 (Tainted: G    B): Poison overwritten",
            "watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [init:1]",
            "watchdog: Watchdog detected hard LOCKUP on cpu 0",
            "kernel BUG at kernel/cgroup/bc/core.c:10!",
            "WARNING: CPU: 0 PID: 1 at kernel/cgroup/cgroup.c:1 css_put+0x1/0x2",
            "WARNING: kernel/cgroup/cgroup.c:1 at css_put+0x1/0x2, CPU#0: init/1",
            "WARNING: possible circular locking dependency detected",
            "WARNING: suspicious RCU usage",
            "Oops: 0000 [#1] SMP NOPTI",
            "Oops: general protection fault, probably for non-canonical address",
            "general protection fault, probably for non-canonical address 0xdead: 0000 [#1]",
            "Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100",
            "rcu: INFO: rcu_preempt self-detected stall on CPU",
            "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
            "rcu: INFO: rcu_sched detected expedited stalls on CPUs/tasks: {",
            "rcu: rcu_preempt kthread starved for 2100 jiffies! g1 f0x0",
            "INFO: task sh:12 blocked for more than 120 seconds.",
            "INFO: task sh:12 blocked in I/O wait for more than 120 seconds.",
            "kmemleak: Cannot allocate a kmemleak_object structure",
            "kmemleak: Memory pool empty, consider increasing CONFIG_DEBUG_KMEMLEAK_MEM_POOL_SIZE",
            "bc: -3 privvmpages left in a cgroup that is gone",
            "INFO: trying to register non-static key.",
            "UBSAN: array-index-out-of-bounds in kernel/cgroup/bc/core.c:1:2",
            "kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)",
            "unreferenced object 0xffff888003a5d000 (size 64):",
        ] {
            assert_eq!(titles(line), [line], "without a time stamp");
            assert_eq!(titles(&format!("[    1.234567] {line}\r\n")), [line]);
            assert_eq!(titles(&format!("<4>[    1.2][    T1] {line}")), [line]);
        }
    }

    #[test]
    fn harmless_lines_are_left_alone() {
        for line in [
            "CONFIG_DEBUG_BUGVERBOSE=y",
            "ok 3 test_warning_on_oops",
            "# WARNING: a remark of a test",
            "Kernel command line: oops=panic panic=-1 panic_on_warn=0",
            "x86/cpu: Spectre V2 : WARNING: unprivileged eBPF is enabled",
            "kmemleak: Kernel memory leak detector initialized (mem pool available: 15739)",
            "kmemleak: 0 new suspected memory leaks",
            "kmemleak: Cannot allocate a scan area, scanning the full object",
            "rcu: \tRCU lockdep checking is enabled.",
            "Lock dependency validator: Copyright (c) 2006 Red Hat, Inc., Ingo Molnar",
            "kasan: KernelAddressSanitizer initialized",
            "kcsan: enabled early",
            "rcu: \tMax phase no-delay instances is 400.",
            "bug: not a kernel's",
            "systemd: BUG: quoted in the middle",
        ] {
            assert_eq!(titles(&format!("[    1.234567] {line}")), [""; 0], "{line}");
        }
    }

    #[test]
    fn a_report_keeps_its_trace_and_comes_once() {
        let log = "[ 1.0] fine\n\
             [ 1.1] ------------[ cut here ]------------\n\
             [ 1.1] WARNING: CPU: 0 PID: 7 at kernel/x.c:5 f+0x1/0x2\n\
             [ 1.1] Call Trace:\n\
             [ 1.1]  g+0x1/0x2\n\
             [ 1.1] ---[ end trace 0000000000000000 ]---\n\
             [ 1.2] ok 1 fine\n\
             [ 1.3] WARNING: CPU: 1 PID: 9 at kernel/x.c:5 f+0x1/0x2\n\
             [ 1.3] ---[ end trace 0000000000000000 ]---\n\
             [ 1.4] BUG: KASAN: x in y\n";
        let found = find(log);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].line, found[0].times), (3, 2));
        assert_eq!(found[0].text, ["Call Trace:", " g+0x1/0x2"]);
        assert_eq!(found[1].title, "BUG: KASAN: x in y");
    }

    #[test]
    fn what_others_write_to_the_console_is_left_alone() {
        let log =
            "WARNING: of the emulator\n[    0.1] Linux version\n[    0.2] BUG: the kernel's\n";
        assert_eq!(titles(log), ["BUG: the kernel's"]);
        assert_eq!(find(log)[0].line, 3);
    }

    #[test]
    fn a_report_behind_a_programs_output_is_seen() {
        let log = "[    0.1] Linux version\nsome output[   12.3] BUG: x\r\n[   12.4] Call Trace:\n\
             no newline[   13.000001][  T123] WARNING: y\n";
        assert_eq!(titles(log), ["BUG: x", "WARNING: y"]);
        assert_eq!((find(log)[0].line, find(log)[0].text.len()), (2, 1));
        let quoted = "[    0.1] Linux version\nsome output BUG: not the kernel's\n";
        assert_eq!(titles(quoted), [""; 0]);
    }

    #[test]
    fn an_allowed_report_is_passed_over_alone() {
        let allowed = [Allowed {
            title: r"^WARNING: CPU: \d+ PID: \d+ at drivers/",
            reason: "this test",
        }];
        let log = "WARNING: CPU: 0 PID: 1 at drivers/a.c:1 f\n---[ end trace 0 ]---\n\
             WARNING: CPU: 0 PID: 1 at kernel/a.c:1 f\n";
        let found = find_except(log, &allowed);
        assert_eq!(found.len(), 1);
        assert!(found[0].title.contains("kernel/a.c"));
    }

    #[test]
    fn the_list_of_allowed_reports_is_valid() {
        for entry in ALLOWED {
            assert!(Regex::new(entry.title).is_ok(), "{}", entry.title);
        }
    }
}
