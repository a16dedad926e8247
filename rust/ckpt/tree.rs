// SPDX-License-Identifier: GPL-2.0

//! The processes of a container, and who is whose child.

use crate::{
    ffi::{
        self,
        TaskExt as _, //
    },
    plan,
    why::Why, //
};
use core::ops::Deref;
use kernel::{
    prelude::*,
    sync::aref::ARef,
    task::Task, //
};

/// A process.
pub(crate) struct Process {
    /// The thread that has its number, which may have ended.
    pub(crate) leader: ARef<Task>,
    /// Its threads that have not ended: the leader first, then by ascending number. There are none
    /// if it was not waited for.
    pub(crate) threads: KVec<ARef<Task>>,
    /// Its state.
    pub(crate) state: ffi::Process,
    /// The index of its parent, unless that is outside.
    pub(crate) parent: Option<usize>,
    /// How many children it has that are outside.
    pub(crate) strays: usize,
}

/// The processes of a container, parents first.
pub(crate) struct Tree(KVec<Process>);

impl Deref for Tree {
    type Target = [Process];

    fn deref(&self) -> &[Process] {
        &self.0
    }
}

impl Tree {
    /// The processes that threads belong to, and those of their children that were not waited for.
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP` if the caller's namespace has no number for one of them, `E2BIG` if there are
    /// more than an image can have, `ENOMEM`, and `EAGAIN` if they become more or less meanwhile.
    pub(crate) fn new(tasks: &[ARef<Task>], why: &mut Why) -> Result<Self> {
        let same = |first: &ARef<Task>| tasks.iter().all(|task| task.has_pidns_of(first));
        if !tasks.first().is_none_or(same) {
            why.say(fmt!("processes of several pid namespaces"));
            return Err(EOPNOTSUPP);
        }
        let mut processes = living(tasks)?;
        let living = processes.len();
        let number = |process: &Process| process.state.pid;
        for index in 0..living {
            let leader = processes.get(index).ok_or(EINVAL)?.leader.clone();
            for child in leader.children()? {
                let pid = child.tid();
                // Numbers of another namespace say nothing here.
                let within = child.has_pidns_of(&leader);
                let known = processes.get(..living).filter(|_| within);
                if known.is_some_and(|known| known.binary_search_by_key(&pid, number).is_ok()) {
                    continue;
                }
                let leads = child.leader().as_ptr() == child.as_ptr();
                if within && child.has_ended() && leads {
                    processes.push(Process::new(child, KVec::new()), GFP_KERNEL)?;
                } else if let Some(process) = processes.get_mut(index) {
                    process.strays += 1;
                }
            }
        }
        // One that was collected meanwhile has no number.
        if processes.iter().any(|process| process.state.pid == 0) {
            return Err(EAGAIN);
        }
        // Those that have ended are threads in an image, too.
        let ended = |process: &&Process| process.leader.has_ended();
        if tasks.len() + processes.iter().filter(ended).count() > plan::TASKS {
            return Err(E2BIG);
        }
        processes.sort_unstable_by_key(number);
        sorted(processes).map(Self)
    }
}

impl Process {
    fn new(leader: ARef<Task>, threads: KVec<ARef<Task>>) -> Self {
        Self {
            state: leader.process(),
            leader,
            threads,
            parent: None,
            strays: 0,
        }
    }

    /// A thread that has not ended.
    pub(crate) fn thread(&self) -> Option<&Task> {
        self.threads.first().map(Deref::deref)
    }
}

/// The processes that threads belong to, by ascending number.
fn living(tasks: &[ARef<Task>]) -> Result<KVec<Process>> {
    let mut threads = KVVec::with_capacity(tasks.len(), GFP_KERNEL)?;
    for task in tasks {
        let leader = task.leader();
        threads.push((leader.tid(), task.tid(), leader, task), GFP_KERNEL)?;
    }
    threads.sort_unstable_by_key(|(pid, tid, ..)| (*pid, tid != pid, *tid));

    let mut processes: KVec<Process> = KVec::new();
    for (_, _, leader, thread) in threads {
        let same = |process: &&mut Process| process.leader.as_ptr() == leader.as_ptr();
        match processes.last_mut().filter(same) {
            Some(process) => process.threads.push(thread.clone(), GFP_KERNEL)?,
            None => {
                let mut threads = KVec::with_capacity(1, GFP_KERNEL)?;
                threads.push(thread.clone(), GFP_KERNEL)?;
                processes.push(Process::new(leader, threads), GFP_KERNEL)?;
            }
        }
    }
    Ok(processes)
}

/// Brings processes, which are sorted by their numbers, into an order in which parents are first,
/// siblings by ascending number.
fn sorted(processes: KVec<Process>) -> Result<KVec<Process>> {
    let count = processes.len();
    // By parent, zero for none, which is nobody's number here.
    let mut children = KVVec::with_capacity(count, GFP_KERNEL)?;
    for (index, process) in processes.iter().enumerate() {
        let parent = process.state.parent;
        let inside = processes.binary_search_by_key(&parent, |process| process.state.pid);
        let parent = inside.map_or(0, |_| parent);
        children.push((parent, index), GFP_KERNEL)?;
    }
    children.sort_unstable();

    let mut order: KVVec<(usize, Option<usize>)> = KVVec::with_capacity(count, GFP_KERNEL)?;
    let mut at = 0;
    let (mut parent, mut pid) = (None, 0);
    loop {
        let from = children.partition_point(|(of, _)| *of < pid);
        let these = children.get(from..).ok_or(EINVAL)?;
        for (_, index) in these.iter().take_while(|(of, _)| *of == pid) {
            order.push((*index, parent), GFP_KERNEL)?;
        }
        let Some((index, _)) = order.get(at) else {
            break;
        };
        pid = processes.get(*index).ok_or(EINVAL)?.state.pid;
        parent = Some(at);
        at += 1;
    }

    let mut places: KVVec<Option<Process>> = KVVec::with_capacity(count, GFP_KERNEL)?;
    for process in processes {
        places.push(Some(process), GFP_KERNEL)?;
    }
    let mut tree = KVec::with_capacity(count, GFP_KERNEL)?;
    for (index, parent) in order {
        let mut process = places.get_mut(index).and_then(Option::take).ok_or(EAGAIN)?;
        process.parent = parent;
        tree.push(process, GFP_KERNEL)?;
    }
    match tree.len() == count {
        true => Ok(tree),
        false => Err(EAGAIN),
    }
}
