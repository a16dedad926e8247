// SPDX-License-Identifier: GPL-2.0

//! A made-up tree of cgroups: a shop with a database and a web server, and a container that only has
//! beancounters.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

/// The tree, in a directory that goes with it.
#[derive(Debug)]
pub struct Sample {
    dir: TempDir,
}

impl Sample {
    /// All of it.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let sample = Self { dir };
        sample.write("cgroup.controllers", "cpuset memory pids bc\n");
        sample.write("cgroup.subtree_control", "memory pids bc\n");
        sample.write(
            "memory.stat",
            "kernel 99999999\nslab_reclaimable 88888888\n",
        );

        sample.cgroup("idle", "");
        sample.counted(
            "idle",
            &["numproc 0 0 max max 0 0", "numfile 0 12 max max 0 0"],
        );

        sample.cgroup("shop", "memory pids bc");
        sample.counted(
            "shop",
            &[
                "numproc 37 60 100 120 0 0",
                "numfile 812 1000 1000 1200 17 0",
                "privvmpages 51200 60000 65536 max 0 0",
            ],
        );
        sample.memory("shop");
        sample.cgroup("shop/db", "");
        sample.counted(
            "shop/db",
            &[
                "numproc 5 9 max 40 0 2",
                "numfile 780 800 800 800 0 31",
                "privvmpages 1000 2000 max max 0 0",
            ],
        );
        sample.cgroup("shop/web", "");
        sample.counted(
            "shop/web",
            &[
                "numproc 32 40 max max 0 0",
                "numfile 32 200 500 max 0 0",
                "privvmpages 50200 50500 max 100000 0 0",
            ],
        );
        sample
    }

    /// Its top.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Makes a file what it shall be.
    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).unwrap();
    }

    /// Takes a file away.
    #[allow(dead_code, reason = "not all tests do")]
    pub fn remove(&self, name: &str) {
        fs::remove_file(self.path().join(name)).unwrap();
    }

    /// Makes a cgroup that hands these controllers on.
    pub fn cgroup(&self, name: &str, controllers: &str) {
        fs::create_dir(self.path().join(name)).unwrap();
        self.write(
            &format!("{name}/cgroup.controllers"),
            "cpuset memory pids bc\n",
        );
        self.write(&format!("{name}/cgroup.subtree_control"), controllers);
        self.write(&format!("{name}/cgroup.events"), "populated 1\nfrozen 0\n");
        self.write(&format!("{name}/cgroup.procs"), "");
    }

    /// Makes the files of `bc`. A row is a name, held, maxheld, barrier, limit, and how often either
    /// of them refused.
    pub fn counted(&self, name: &str, rows: &[&str]) {
        let [mut stat, mut events, mut high, mut max] = [const { String::new() }; 4];
        for row in rows {
            let words: Vec<_> = row.split(' ').collect();
            let [resource, held, maxheld, barrier, limit, by_high, by_max] = words[..] else {
                panic!("{row}");
            };
            let number = |word: &str| word.parse::<u64>().unwrap();
            let failcnt = number(by_high) + number(by_max);
            stat += &format!(
                "{resource} held={held} maxheld={maxheld} barrier={barrier} limit={limit} \
                 failcnt={failcnt}\n"
            );
            events += &format!("{resource}.high {by_high}\n{resource}.max {by_max}\n");
            high += &format!("{resource} {barrier}\n");
            max += &format!("{resource} {limit}\n");
        }
        self.write(&format!("{name}/bc.stat"), &stat);
        self.write(&format!("{name}/bc.events"), &events);
        self.write(&format!("{name}/bc.events.local"), &events);
        self.write(&format!("{name}/bc.high"), &high);
        self.write(&format!("{name}/bc.max"), &max);
    }

    fn memory(&self, name: &str) {
        for (file, text) in [
            ("memory.current", "314572800\n"),
            ("memory.peak", "400000000\n"),
            ("memory.high", "max\n"),
            ("memory.max", "536870912\n"),
            (
                "memory.events.local",
                "low 0\nhigh 0\nmax 500\noom 2\noom_kill 1\n",
            ),
            ("memory.swap.current", "0\n"),
            ("memory.swap.peak", "4096\n"),
            ("memory.swap.high", "max\n"),
            ("memory.swap.max", "0\n"),
            ("memory.swap.events", "high 0\nmax 3\nfail 3\n"),
            (
                "memory.stat",
                "anon 300000000\nkernel 7340032\nslab_reclaimable 1048576\n",
            ),
            ("pids.current", "37\n"),
            ("pids.peak", "61\n"),
            ("pids.max", "max\n"),
            ("pids.events", "max 9\n"),
            ("pids.events.local", "max 4\n"),
        ] {
            self.write(&format!("{name}/{file}"), text);
        }
    }
}
