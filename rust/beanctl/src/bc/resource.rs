// SPDX-License-Identifier: GPL-2.0

//! The table of resources: all names of OpenVZ's user beancounters.

use serde::Serialize;

/// What a resource is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// One by one.
    Items,
    /// Pages of memory.
    Pages,
    /// Bytes.
    Bytes,
}

impl Unit {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Items => "items",
            Self::Pages => "pages",
            Self::Bytes => "bytes",
        }
    }

    /// That of a resource; the names of those that are not known here follow the same rule.
    pub fn of(name: &str) -> Self {
        if name.ends_with("pages") {
            Self::Pages
        } else if name.ends_with("buf") || name.ends_with("size") {
            Self::Bytes
        } else {
            Self::Items
        }
    }
}

/// Where the numbers of a resource come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The controller `bc` counts it.
    Bc,
    /// The controller `bc` counts it, or else `pids`.
    BcOrPids,
    /// The controller `memory` does, in these files.
    Memory(&'static str),
}

/// What is to know of a resource.
#[derive(Debug)]
pub struct Resource {
    /// Its name in every file.
    pub name: &'static str,
    /// Who counts it.
    pub source: Source,
    /// What one of it is.
    pub counts: &'static str,
    /// How a program notices that it is refused.
    pub refusal: &'static str,
    /// Whose count grows.
    pub payer: &'static str,
    /// What to do then.
    pub hint: &'static str,
}

impl Resource {
    /// What it is counted in.
    pub fn unit(&self) -> Unit {
        Unit::of(self.name)
    }
}

/// The resource of this name.
pub fn find(name: &str) -> Option<&'static Resource> {
    RESOURCES.iter().find(|resource| resource.name == name)
}

/// All of them.
pub static RESOURCES: [Resource; 21] = [
    Resource {
        name: "numproc",
        source: Source::BcOrPids,
        counts: "processes and threads, until they were waited for",
        refusal: "fork() and clone() fail with EAGAIN",
        payer: "the cgroup that the task is in; it moves with the task",
        hint: "look for zombies and for what forks without end: ps -eLo pid,ppid,stat,comm",
    },
    Resource {
        name: "numfile",
        source: Source::Bc,
        counts: "open files of every kind, until the last reference is closed",
        refusal: "open(), pipe(), socket(), accept() and others fail with ENFILE",
        payer: "the cgroup of the task that opened it, also when the descriptor is passed on or the \
                task is moved",
        hint: "look for a process that never closes what it opens: ls /proc/PID/fd",
    },
    Resource {
        name: "numflock",
        source: Source::Bc,
        counts: "locks of files that were applied, until they are unlocked",
        refusal: "flock() and fcntl() fail with ENOLCK",
        payer: "the cgroup of the task that took it",
        hint: "see /proc/locks for who holds them; leave the limit some above the barrier, because \
               an unlock in the middle of a range needs one more",
    },
    Resource {
        name: "numpty",
        source: Source::Bc,
        counts: "pairs of pseudoterminals, until both ends are closed",
        refusal: "opening /dev/ptmx fails with ENOSPC",
        payer: "the cgroup of the task that opened /dev/ptmx",
        hint: "end sessions of ssh, screen or tmux that nobody needs: ls /dev/pts",
    },
    Resource {
        name: "numsiginfo",
        source: Source::Bc,
        counts: "signals that are queued with their details, and POSIX timers",
        refusal: "sigqueue() and timer_create() fail with EAGAIN; other signals arrive without \
                  details",
        payer: "the cgroup of the task that the signal is for",
        hint: "a process does not take its signals: see SigQ and SigPnd in /proc/PID/status; leave the \
               limit above the barrier, because signals of the kernel and of kill() are refused by \
               the limit only",
    },
    Resource {
        name: "numtcpsock",
        source: Source::Bc,
        counts: "TCP sockets",
        refusal: "socket() fails with ENOMEM; a connection that comes in is dropped",
        payer: "the cgroup of the task that made it; for a connection that came in, that of the \
                listening socket",
        hint: "look for connections that are never closed: ss -tanp",
    },
    Resource {
        name: "numothersock",
        source: Source::Bc,
        counts: "sockets that are not TCP: unix, UDP, netlink, packet and others",
        refusal: "socket() and socketpair() fail with ENOMEM",
        payer: "the cgroup of the task that made it; who connects a Unix socket makes both ends",
        hint: "look for sockets that are never closed: ss -xuap",
    },
    Resource {
        name: "numiptent",
        source: Source::Bc,
        counts: "entries of iptables, ip6tables and arptables, rules of nftables",
        refusal: "iptables and nft fail with ENOMEM",
        payer: "the cgroup of the task that loaded the entries, or made the table of the rules",
        hint: "use sets (ipset, nft sets) in the place of one rule for each address",
    },
    Resource {
        name: "privvmpages",
        source: Source::Bc,
        counts: "private memory that can be written, whether it was touched or not",
        refusal: "mmap(), brk(), mremap() and fork() fail with ENOMEM; a stack that cannot grow is \
                  SIGSEGV",
        payer: "the cgroup of the process; it moves with the process",
        hint: "this is address space, not memory: programs that reserve much and use little need a \
               high value; limit memory with memory.max",
    },
    Resource {
        name: "lockedpages",
        source: Source::Bc,
        counts: "memory that is locked by mlock() and its kind",
        refusal: "mlock() fails with ENOMEM, mmap() with MAP_LOCKED with EAGAIN",
        payer: "the cgroup of the process; it moves with the process",
        hint: "see VmLck in /proc/PID/status; RLIMIT_MEMLOCK (ulimit -l) refuses as well",
    },
    Resource {
        name: "shmpages",
        source: Source::Bc,
        counts: "shared memory: tmpfs, System V segments, shared anonymous mappings",
        refusal: "mmap() and shmget() fail with ENOMEM, write() to tmpfs with ENOSPC; a page that \
                  cannot be had is SIGBUS",
        payer: "the cgroup of the task that made the file or the segment",
        hint: "remove what lies in tmpfs and segments that nobody attaches: df -t tmpfs, ipcs -m",
    },
    Resource {
        name: "vmguarpages",
        source: Source::Bc,
        counts: "a guarantee of private and shared memory, which bc.low has",
        refusal: "it refuses nothing: what is asked for up to it is granted also when \
                  vm.overcommit_memory=2 has nothing left to promise",
        payer: "nobody",
        hint: "keep the barrier of privvmpages at or above it; each cgroup above needs one as well",
    },
    Resource {
        name: "oomguarpages",
        source: Source::Bc,
        counts: "a guarantee of memory and swap, which bc.low has",
        refusal: "it refuses nothing: when the machine is out of memory, who uses no more than it is \
                  killed last",
        payer: "the cgroup that memory charges",
        hint: "the guarantees of all containers have to fit into the machine, and each cgroup above \
               needs one as well",
    },
    Resource {
        name: "physpages",
        source: Source::Memory(
            "memory.current, memory.peak, memory.high, memory.max, `oom' of memory.events.local",
        ),
        counts: "memory in use: of processes, of the page cache and of the kernel",
        refusal: "above the barrier the container is slowed down, at the limit it has to give memory \
                  back, and if it cannot, a process is killed",
        payer: "the cgroup of the task that touched the page first",
        hint: "raise memory.high or memory.max, or use less; memory.stat says for what it is used",
    },
    Resource {
        name: "swappages",
        source: Source::Memory(
            "memory.swap.current, memory.swap.peak, memory.swap.high, memory.swap.max, `max' of \
             memory.swap.events",
        ),
        counts: "memory that is swapped out",
        refusal: "nothing more is swapped out; memory has to do without",
        payer: "the cgroup that the page was charged to",
        hint: "raise memory.swap.max, or give the container more memory",
    },
    Resource {
        name: "kmemsize",
        source: Source::Memory("`kernel' of memory.stat"),
        counts: "memory that the kernel uses for the container",
        refusal: "it has no limit of its own: it is a part of physpages",
        payer: "the cgroup of the task that asked the kernel for it",
        hint: "limit physpages, or the objects that take it: numproc, numfile and others",
    },
    Resource {
        name: "tcpsndbuf",
        source: Source::Bc,
        counts: "buffers of what TCP sockets have to send",
        refusal: "send() waits, or fails with EAGAIN where it must not wait",
        payer: "the cgroup of the socket",
        hint: "look for peers that do not read: ss -tanm; nothing is counted until some cgroup has a \
               setting for buffers; leave the limit some pages for each of numtcpsock above the barrier",
    },
    Resource {
        name: "tcprcvbuf",
        source: Source::Bc,
        counts: "buffers of what TCP sockets have received",
        refusal: "what comes in is dropped, and the peer sends it again, later each time",
        payer: "the cgroup of the socket",
        hint: "look for programs that do not read: ss -tanm; nothing is counted until some cgroup has a \
               setting for buffers; leave the limit some pages for each of numtcpsock above the barrier",
    },
    Resource {
        name: "othersockbuf",
        source: Source::Bc,
        counts: "buffers of what other sockets have to send",
        refusal: "send() waits, or fails with EAGAIN where it must not wait",
        payer: "the cgroup of the socket",
        hint: "keep the limit 2.5 KiB for each of numothersock above the barrier",
    },
    Resource {
        name: "dgramrcvbuf",
        source: Source::Bc,
        counts: "buffers of datagrams of UDP that were received",
        refusal: "datagrams are dropped",
        payer: "the cgroup of the socket",
        hint: "a limit below 68 KiB refuses the largest datagrams even when nothing else is held; \
               nothing is counted until some cgroup has a setting for buffers",
    },
    Resource {
        name: "dcachesize",
        source: Source::Memory("`slab_reclaimable' of memory.stat, which is somewhat more"),
        counts: "names and inodes of files that the kernel remembers",
        refusal: "it has no limit of its own: what is not in use is given back when memory is short",
        payer: "the cgroup of the task that looked the name up first",
        hint: "limit physpages",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_for_one_resource_and_tells_its_unit() {
        for resource in &RESOURCES {
            assert!(std::ptr::eq(find(resource.name).unwrap(), resource));
        }
        let of = |unit| RESOURCES.iter().filter(|r| r.unit() == unit).count();
        assert_eq!(
            (of(Unit::Items), of(Unit::Pages), of(Unit::Bytes)),
            (8, 7, 6)
        );
        assert!(find("dummy").is_none());
    }
}
