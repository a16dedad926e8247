// SPDX-License-Identifier: GPL-2.0

//! Records of the state of a container: its files, memory and tasks.
//!
//! Files, pipes, shared memory objects, address spaces, tables of descriptors, places in the file
//! system, credentials and filters are objects. The mappings of an address space follow it, and so
//! do the descriptors of a table, what is in a pipe, the threads of a process, and what belongs to
//! a thread.

use zerocopy::little_endian::{
    U32,
    U64, //
};
use zerocopy_derive::{
    FromBytes,
    Immutable,
    IntoBytes, //
};

use super::{
    body::Body,
    format::Type,
    objects::ObjectId, //
};

macro_rules! record {
    (
        $(#[$doc:meta])*
        $name:ident, $bytes:literal { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
        #[repr(C)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl Body for $name {
            const TYPE: Type = Type::$name;
            const FIRST: usize = $bytes;
        }
    };
}

record! {
    /// An open file, or one that is mapped; its path is the tail, unless it was deleted or is an
    /// end of a pipe.
    File, 40 {
        /// This object.
        id: ObjectId,
        /// The flags of open(2).
        flags: U32,
        /// The type and the permissions of the inode.
        mode: U32,
        /// The number of a device.
        rdev: U32,
        /// Where reading and writing go on, in bytes.
        position: U64,
        /// The size of the file, in bytes.
        size: U64,
        /// The deleted file that is open, or the pipe; none for one that has a path.
        of: ObjectId,
        /// With whose rights it was opened; none for those of whoever restores.
        cred: ObjectId,
    }
}

record! {
    /// A file that was deleted while it was open; the tail is the path that it had. Its content is
    /// in frames.
    Deleted, 56 {
        /// This object.
        id: ObjectId,
        /// The type and the permissions of the inode.
        mode: U32,
        /// Its owner.
        uid: U32,
        /// Its group.
        gid: U32,
        /// Its size in bytes.
        size: U64,
        /// When it was read, in seconds since 1970, a signed number.
        atime: U64,
        /// When it was written, likewise.
        mtime: U64,
        /// The part of `atime` that is not whole seconds, in ns.
        atime_ns: U32,
        /// The part of `mtime` that is not whole seconds, in ns.
        mtime_ns: U32,
        /// Zero.
        reserved: U64,
    }
}

record! {
    /// A pipe without a name; what is in it follows, from what is read next.
    Pipe, 8 {
        /// This object.
        id: ObjectId,
        /// How much fits into it, in bytes.
        size: U32,
    }
}

record! {
    /// A piece of what is in the last pipe; the tail are its bytes.
    Piece, 8 {
        /// 1: it is a packet, which is read at once.
        packet: U32,
        /// Zero.
        reserved: U32,
    }
}

record! {
    /// A file that the container shares with others, who bring it; the tail is its name.
    External, 8 {
        /// This object.
        id: ObjectId,
        /// Zero.
        reserved: U32,
    }
}

record! {
    /// Memory that address spaces share and that has no name.
    Shm, 16 {
        /// This object.
        id: ObjectId,
        /// Zero.
        reserved: U32,
        /// Its size in bytes.
        size: U64,
    }
}

record! {
    /// An address space; the tail is its auxiliary vector.
    Mm, 120 {
        /// This object.
        id: ObjectId,
        /// The executable; a file.
        exe: ObjectId,
        /// Where the code starts.
        start_code: U64,
        /// Where the code ends.
        end_code: U64,
        /// Where the initialized data start.
        start_data: U64,
        /// Where the initialized data end.
        end_data: U64,
        /// Where the heap of brk(2) starts.
        start_brk: U64,
        /// Where the heap of brk(2) ends.
        brk: U64,
        /// Where the stack started.
        start_stack: U64,
        /// Where the arguments start.
        arg_start: U64,
        /// Where the arguments end.
        arg_end: U64,
        /// Where the environment starts.
        env_start: U64,
        /// Where the environment ends.
        env_end: U64,
        /// Where mmap(2) starts to look for room.
        mmap_base: U64,
        /// Where the code of the kernel is, with its data; zero if there is none.
        vdso: U64,
        /// CRC-32C of that code.
        vdso_crc: U32,
        /// An earlier address space, which this one is copied from at first: that of its parent, or
        /// of another child of that; none if it has no page of it.
        origin: ObjectId,
    }
}

record! {
    /// A mapping of the last address space; the tail is its name, if it has one.
    Vma, 40 {
        /// The file or shared memory object that is mapped; none for private memory of nothing.
        object: ObjectId,
        /// What is mapped: 0 nothing, privately; 1 a file, privately; 2 a file, shared; 3 a shared
        /// memory object; 4 the code of the kernel.
        kind: U32,
        /// 1 read, 2 write, 4 execute, 8 grows down, 16 no reserve, 32 not inherited, 64 zeros for
        /// children, 128 not in core dumps, 256 huge pages, 512 no huge pages, 1024 sequential,
        /// 2048 random, 4096 mergeable, 8192 accounted as writable, 16384 locked, 32768 only when
        /// a page comes.
        flags: U32,
        /// 1 if its private pages are those of the origin of its address space, but for what frames
        /// and holes say; a mapping of that has all of its addresses, and is alike.
        inherited: U32,
        /// Its first address.
        start: U64,
        /// The address behind its last one.
        end: U64,
        /// Where it starts in the object, in bytes.
        offset: U64,
    }
}

record! {
    /// Guard pages of the last mapping.
    Guard, 16 {
        /// The first address.
        start: U64,
        /// The address behind the last one.
        end: U64,
    }
}

record! {
    /// A range of addresses where an address space has no pages, unlike its origin. Holes are among
    /// the frames of their address space, which come behind all of those of its origin.
    Hole, 24 {
        /// The address space.
        object: ObjectId,
        /// Zero.
        reserved: U32,
        /// The first address.
        start: U64,
        /// The address behind the last one.
        end: U64,
    }
}

record! {
    /// The clocks of all processes.
    Clocks, 16 {
        /// CLOCK_MONOTONIC in ns.
        monotonic: U64,
        /// CLOCK_BOOTTIME in ns.
        boottime: U64,
    }
}

record! {
    /// A table of descriptors, which follow it.
    Files, 8 {
        /// This object.
        id: ObjectId,
        /// Zero.
        reserved: U32,
    }
}

record! {
    /// A descriptor of the last table.
    Fd, 16 {
        /// Its number.
        fd: U32,
        /// 1: closed by execve(2).
        flags: U32,
        /// The open file.
        file: ObjectId,
        /// Zero.
        reserved: U32,
    }
}

record! {
    /// Where threads are in the file system.
    Fs, 16 {
        /// This object.
        id: ObjectId,
        /// The working directory; a file.
        cwd: ObjectId,
        /// The umask.
        umask: U32,
        /// Zero.
        reserved: U32,
    }
}

record! {
    /// Who threads are, and what they may do; the tail are the supplementary groups, as 32-bit
    /// numbers.
    Cred, 80 {
        /// This object.
        id: ObjectId,
        /// The real user.
        uid: U32,
        /// The effective user.
        euid: U32,
        /// The saved user.
        suid: U32,
        /// The user for the file system.
        fsuid: U32,
        /// The real group.
        gid: U32,
        /// The effective group.
        egid: U32,
        /// The saved group.
        sgid: U32,
        /// The group for the file system.
        fsgid: U32,
        /// As PR_SET_SECUREBITS.
        securebits: U32,
        /// The capabilities that execve(2) may keep.
        inheritable: U64,
        /// Those that can be effective.
        permitted: U64,
        /// Those that are.
        effective: U64,
        /// Those that can be gained.
        bounding: U64,
        /// Those that execve(2) keeps.
        ambient: U64,
    }
}

record! {
    /// A filter of system calls; the tail are its instructions, as seccomp(2) has them.
    Filter, 16 {
        /// This object.
        id: ObjectId,
        /// The one that was there before it; none if it is the first.
        older: ObjectId,
        /// 1: what it forbids is logged.
        flags: U32,
        /// Zero.
        reserved: U32,
    }
}

record! {
    /// A process. Its threads follow, the one that has its number first.
    Process, 56 {
        /// Its number in the image, from 1.
        number: U32,
        /// The number of its parent in the image; zero for one that has none there.
        parent: U32,
        /// Its process ID.
        pid: U32,
        /// Its process group.
        pgrp: U32,
        /// Its session.
        session: U32,
        /// The signal that tells its parent of its death.
        exit_signal: U32,
        /// As PR_SET_DUMPABLE.
        dumpable: U32,
        /// As /proc/pid/oom_score_adj, a signed number.
        oom_score_adj: U32,
        /// Its address space; none for one that has ended.
        mm: ObjectId,
        /// 1: adopts orphans, as PR_SET_CHILD_SUBREAPER; 2: goes on after a stop, and its parent
        /// was not told yet; 4: the init of a pid namespace, whose numbers all of them are.
        flags: U32,
        /// The signal that has stopped it; zero if it runs.
        stop: U32,
        /// What its parent was not told of a stop yet, as a signal.
        stop_told: U32,
        /// How low it may set its `oom_score_adj` without a right, a signed number.
        score_adj_min: U32,
        /// Zero.
        reserved: U32,
    }
}

record! {
    /// What signals do to the last process; the tail is an array of [`Action`], one for each of
    /// them.
    Actions, 0 {
    }
}

/// What a signal does, as sigaction(2) has it.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub struct Action {
    /// Its handler.
    pub handler: U64,
    /// SA_*.
    pub flags: U64,
    /// Where the handler returns to.
    pub restorer: U64,
    /// Those that are blocked meanwhile.
    pub mask: U64,
}

record! {
    /// The interval timers of the last process: by real time, by the time that it runs, and by that
    /// with what the kernel does for it.
    Itimers, 48 {
        /// What remains of each in ns; zero if it is not set.
        left: [U64; 3],
        /// How often it goes off afterwards in ns; zero if never.
        interval: [U64; 3],
    }
}

record! {
    /// A POSIX timer of the last process.
    Timer, 64 {
        /// Its number.
        id: U32,
        /// Its clock.
        clock: U32,
        /// What it does, as `sigev_notify`.
        notify: U32,
        /// Its signal.
        signal: U32,
        /// The thread that gets the signal; zero for any.
        thread: U32,
        /// 1: its signal waits; 2: `left` is a time of CLOCK_REALTIME.
        flags: U32,
        /// What the signal comes with.
        value: U64,
        /// What remains of its time in ns; zero if it is not set.
        left: U64,
        /// How often it goes off afterwards in ns; zero if never.
        interval: U64,
        /// How often it went off since its signal was sent, less one, a signed number.
        overrun: U64,
        /// As timer_getoverrun(2), a signed number.
        overrun_last: U64,
    }
}

record! {
    /// The resource limits of the last process; the tail are pairs of 64-bit numbers.
    Rlimits, 0 {
    }
}

record! {
    /// A thread of the last process; the tail is a mask of the processors that it may use, the
    /// first in the lowest bit of the first byte, or empty if that is all of them.
    Thread, 208 {
        /// Its thread ID.
        tid: U32,
        /// 1: it has ended, and of the rest only its status and its name count.
        ended: U32,
        /// What it has ended with, as wait(2) has it.
        status: U32,
        /// As personality(2).
        personality: U32,
        /// Its descriptors.
        files: ObjectId,
        /// Where it is in the file system.
        fs: ObjectId,
        /// Its credentials.
        cred: ObjectId,
        /// The signal that it gets when its parent ends.
        death_signal: U32,
        /// Whether it can gain no privileges.
        no_new_privs: U32,
        /// The clock of the sleep that goes on; for a futex 1 shared, 2 CLOCK_REALTIME.
        restart_clock: U32,
        /// The slack of its timers in ns.
        timer_slack: U64,
        /// Its name, filled up with zeros.
        comm: [u8; 16],
        /// Its scheduling policy, as sched_setscheduler(2).
        policy: U32,
        /// Its nice value, a signed number.
        nice: U32,
        /// Its static priority.
        priority: U32,
        /// 1: its children have neither its policy nor its nice value.
        sched_flags: U32,
        /// Its time slice in ns; zero for the default.
        slice: U64,
        /// Its I/O priority, as ioprio_set(2).
        io_priority: U32,
        /// The flags of the alternate stack of signals.
        stack_flags: U32,
        /// The alternate stack.
        stack: U64,
        /// Its size in bytes.
        stack_size: U64,
        /// The signals that are blocked.
        blocked: U64,
        /// Those that will be, when a call with a mask of its own has ended.
        saved: U64,
        /// Whether there is such a call.
        restore_saved: U32,
        /// The signature of the area of restartable sequences.
        rseq_sig: U32,
        /// That area; zero if there is none.
        rseq: U64,
        /// Its size in bytes.
        rseq_len: U32,
        /// The call that goes on: 0 none, 1 nanosleep(2), 2 poll(2), 3 futex(2).
        restart: U32,
        /// The list of robust futexes.
        robust: U64,
        /// What is cleared at its end.
        clear_tid: U64,
        /// The argument of the call in memory.
        restart_address: U64,
        /// How many of them; for a futex the value, plus 2^32 times the bits that wake it.
        restart_count: U64,
        /// What remains of its time in ns, a signed number; the largest is for ever. For a futex by
        /// CLOCK_REALTIME the time itself.
        restart_left: U64,
        /// As PR_GET_SECCOMP: 0 all system calls, 1 four of them, 2 those that filters let pass.
        seccomp: U32,
        /// Its newest filter; none without filters.
        filter: ObjectId,
        /// The user who had logged in to start it; 2^32 - 1 if nobody had, or if he is not known.
        login: U32,
        /// Zero.
        reserved: U32,
    }
}

record! {
    /// A signal that waits for the last thread, or its process; the tail are the first bytes of
    /// its siginfo_t.
    Pending, 8 {
        /// 1: any thread of the process takes it.
        shared: U32,
        /// Zero.
        reserved: U32,
    }
}

record! {
    /// Registers of the last thread; the tail is what a core dump has.
    Regs, 8 {
        /// The type of the note of a core dump.
        note: U32,
        /// Zero.
        reserved: U32,
    }
}
