// SPDX-License-Identifier: GPL-2.0

//! The border to C, in both directions; nothing else in the engine names `bindings`.
//!
//! C header: [`kernel/ckpt/internal.h`](srctree/kernel/ckpt/internal.h)

use core::{
    marker::PhantomData,
    mem::{
        self,
        MaybeUninit, //
    },
    ptr::{
        self,
        NonNull, //
    },
};
use kernel::{
    bindings,
    cred::Credential,
    error::{
        from_err_ptr,
        to_result, //
    },
    fs::{
        File,
        LocalFile, //
    },
    iov::IovIterDest,
    mm::MmWithUser,
    pipe::PipeDest,
    prelude::*,
    sync::{
        aref::ARef,
        Arc, //
    },
    task::Task,
    types::Opaque, //
};

use crate::rebuild::{
    self,
    Rebuild, //
};

pub(crate) use bindings::{
    ckpt_action as Action,
    ckpt_clocks as Clocks,
    ckpt_cred as Cred,
    ckpt_deleted as Deleted,
    ckpt_file as FileState,
    ckpt_filter as Filter,
    ckpt_itimers as Itimers,
    ckpt_layout as Layout,
    ckpt_mask as Mask,
    ckpt_process as Process,
    ckpt_restart as Restart,
    ckpt_run as Run,
    ckpt_settings as Settings,
    ckpt_siginfo as Siginfo,
    ckpt_thread as Registered,
    ckpt_timer as Timer, //
};

/// How many signals there are.
pub(crate) const SIGNALS: usize = bindings::CKPT_SIGNALS as usize;
/// How many resource limits there are, each a pair of numbers.
pub(crate) const RLIMITS: usize = 2 * bindings::CKPT_RLIMITS as usize;
/// The size of what the kernel has of a siginfo_t, in bytes.
pub(crate) const SIGINFO: usize = bindings::CKPT_SIGINFO as usize;
/// The most that a filter of system calls has, in bytes.
pub(crate) const FILTER: usize = bindings::CKPT_FILTER as usize;
/// All flags of a filter.
pub(crate) const FILTER_FLAGS: u32 = bindings::ckpt_filter_flags_CKPT_FILTER_LOG;
/// Seccomp lets four system calls pass.
pub(crate) const SECCOMP_STRICT: u32 = bindings::SECCOMP_MODE_STRICT;
/// It asks filters.
pub(crate) const SECCOMP_FILTER: u32 = bindings::SECCOMP_MODE_FILTER;
/// All flags of a process.
pub(crate) const PROCESS_FLAGS: u32 = bindings::ckpt_process_flags_CKPT_PROCESS_FLAGS;
/// What tells a parent of a death.
// CAST: A small number.
pub(crate) const SIGCHLD: i32 = bindings::SIGCHLD as i32;
/// How many runs of pages are found at once at most.
pub(crate) const RUNS: usize = bindings::CKPT_RUNS as usize;
/// The size of a page in bytes.
pub(crate) const PAGE_SIZE: usize = kernel::page::PAGE_SIZE;
/// The binary logarithm of that.
pub(crate) const PAGE_SHIFT: u32 = kernel::page::PAGE_SHIFT as u32;
/// The longest path, with a final zero.
pub(crate) const PATH_MAX: usize = bindings::PATH_MAX as usize;
/// The architecture in ELF.
pub(crate) const ARCH: u32 = bindings::EM_X86_64;
/// The sets of registers that are saved, by the types of their notes.
pub(crate) const REGSETS: [u32; 2] = [bindings::NT_PRSTATUS, bindings::NT_X86_XSTATE];

/// CRC-32C without any inversion.
pub(crate) fn crc32c(seed: u32, bytes: &[u8]) -> u32 {
    // SAFETY: The slice is readable.
    unsafe { bindings::crc32c(seed, bytes.as_ptr().cast(), bytes.len()) }
}

/// Whether the caller may make images, or also restore.
///
/// # Errors
///
/// `EPERM`.
pub(crate) fn may(restore: bool) -> Result {
    // SAFETY: No requirements.
    to_result(unsafe { bindings::ckpt_may(restore) })
}

/// What the caller would hand down to new tasks, and must not.
pub(crate) fn confined() -> Option<&'static str> {
    // SAFETY: The texts are constants.
    unsafe { text(bindings::ckpt_confined()) }
}

/// Whether the caller is the user that has these credentials.
pub(crate) fn is_user(cred: &Credential) -> bool {
    // SAFETY: There is a reference.
    unsafe { bindings::ckpt_is_user(cred.as_ptr()) }
}

/// The release of this kernel.
pub(crate) fn release() -> &'static str {
    // SAFETY: The text is a constant.
    unsafe { text(bindings::ckpt_release()) }.unwrap_or("?")
}

/// A random UUID.
pub(crate) fn uuid() -> [u8; 16] {
    let mut uuid = [0; 16];
    // SAFETY: There is room for one.
    unsafe { bindings::generate_random_uuid(uuid.as_mut_ptr()) };
    uuid
}

/// The CRC-32C of the code that this kernel maps into every process.
pub(crate) fn vdso_crc() -> u32 {
    // SAFETY: No requirements.
    unsafe { bindings::ckpt_arch_vdso_crc() }
}

/// The size of a set of registers on this machine, in bytes; 0 if there is none.
pub(crate) fn regs_size(note: u32) -> usize {
    // SAFETY: No requirements.
    unsafe { bindings::ckpt_regs_size(note) }
}

/// A text of C.
///
/// # Safety
///
/// It is null, or a constant.
unsafe fn text(what: *const c_char) -> Option<&'static str> {
    if what.is_null() {
        return None;
    }
    // SAFETY: By the precondition.
    unsafe { CStr::from_char_ptr(what) }.to_str().ok()
}

/// A cgroup, with a reference.
pub(crate) struct Cgroup(NonNull<bindings::cgroup>);

// SAFETY: Cgroups belong to no thread.
unsafe impl Send for Cgroup {}

impl Cgroup {
    /// That of a descriptor of its directory.
    ///
    /// # Errors
    ///
    /// `EBADF` if it is none of cgroup v2.
    pub(crate) fn from_fd(fd: i32) -> Result<Self> {
        // SAFETY: No requirements.
        let cgroup = from_err_ptr(unsafe { bindings::ckpt_cgroup_get(fd) })?;
        NonNull::new(cgroup).map(Self).ok_or(EBADF)
    }

    /// Keeps it frozen.
    ///
    /// # Errors
    ///
    /// `EBUSY`, `ENODEV`, `EINVAL` if it is the root, `EDEADLK` if the caller is in it.
    pub(crate) fn hold(&self) -> Result {
        // SAFETY: There is a reference.
        to_result(unsafe { bindings::cgroup_freezer_hold(self.0.as_ptr()) })
    }

    /// Waits until its tasks are frozen.
    ///
    /// # Errors
    ///
    /// `ETIMEDOUT`, `EINTR`.
    pub(crate) fn wait(&self, jiffies: c_long) -> Result {
        // SAFETY: There is a reference.
        to_result(unsafe { bindings::cgroup_freezer_wait(self.0.as_ptr(), jiffies) })
    }

    /// Ends [`Self::hold`].
    pub(crate) fn release(&self) {
        // SAFETY: There is a reference.
        unsafe { bindings::cgroup_freezer_release(self.0.as_ptr()) };
    }

    /// Whether nobody is in it or below.
    pub(crate) fn is_empty(&self) -> bool {
        // SAFETY: There is a reference.
        unsafe { bindings::ckpt_cgroup_empty(self.0.as_ptr()) }
    }

    /// Whether the caller may see all of everybody in it and below.
    ///
    /// # Errors
    ///
    /// `EPERM` if not.
    pub(crate) fn may(&self) -> Result {
        // SAFETY: There is a reference.
        to_result(unsafe { bindings::ckpt_cgroup_may(self.0.as_ptr()) })
    }

    /// Whether somebody in it or below has the memory of a parent that waits in vfork(2).
    pub(crate) fn vforks(&self) -> bool {
        // SAFETY: There is a reference.
        unsafe { bindings::ckpt_cgroup_vforks(self.0.as_ptr()) }
    }

    /// Whether cgroup.freeze has it frozen.
    pub(crate) fn is_frozen(&self) -> bool {
        // SAFETY: There is a reference.
        unsafe { bindings::ckpt_cgroup_frozen(self.0.as_ptr()) }
    }

    /// Does something whose memory it is charged for, and not the caller.
    pub(crate) fn charged<T>(&self, f: impl FnOnce() -> T) -> T {
        let mut charge = bindings::ckpt_charge::default();
        // SAFETY: There is a reference.
        unsafe { bindings::ckpt_charge_begin(&mut charge, self.0.as_ptr()) };
        let result = f();
        // SAFETY: It was begun.
        unsafe { bindings::ckpt_charge_end(&mut charge) };
        result
    }

    /// Whether it was removed.
    pub(crate) fn is_gone(&self) -> bool {
        // SAFETY: There is a reference.
        unsafe { bindings::ckpt_cgroup_gone(self.0.as_ptr()) }
    }

    /// Whether a task is in it, and not below.
    pub(crate) fn has(&self, task: &Task) -> bool {
        // SAFETY: There are references to both.
        unsafe { bindings::ckpt_cgroup_has(self.0.as_ptr(), task.as_ptr()) }
    }

    /// Ends everybody in it and below.
    pub(crate) fn kill(&self) {
        // SAFETY: There is a reference.
        unsafe { bindings::ckpt_cgroup_kill(self.0.as_ptr()) };
    }

    /// The threads in it and below.
    ///
    /// # Errors
    ///
    /// `E2BIG` if there are more than `most`, `ENOMEM`.
    pub(crate) fn tasks(&self, most: usize) -> Result<KVec<ARef<Task>>> {
        let mut raw: KVVec<*mut bindings::task_struct> =
            KVVec::from_elem(ptr::null_mut(), most, GFP_KERNEL)?;
        // SAFETY: There is a reference, and room for `most`.
        let found = unsafe { bindings::ckpt_cgroup_tasks(self.0.as_ptr(), raw.as_mut_ptr(), most) };
        let found = usize::try_from(found).map_err(|_| E2BIG)?;
        // SAFETY: As many were listed with a reference each, which goes over.
        unsafe { owned(raw.get(..found).ok_or(EINVAL)?) }
    }
}

impl PartialEq for Cgroup {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // SAFETY: The reference is given back.
        unsafe { bindings::ckpt_cgroup_put(self.0.as_ptr()) };
    }
}

/// A file from C, with its reference.
///
/// # Safety
///
/// It is an error pointer, null, or a file with a reference that goes over, and no light reference
/// to it was taken.
unsafe fn file(raw: *mut bindings::file) -> Result<Option<ARef<File>>> {
    let raw = NonNull::new(from_err_ptr(raw)?);
    // SAFETY: By the precondition.
    Ok(raw.map(|raw| unsafe { ARef::from_raw(raw.cast()) }))
}

/// Tasks from C, with their references, which are given back if there is no room for them.
///
/// # Errors
///
/// `ENOMEM`.
///
/// # Safety
///
/// Each has a reference, which goes over.
unsafe fn owned(raw: &[*mut bindings::task_struct]) -> Result<KVec<ARef<Task>>> {
    let mut tasks = KVec::with_capacity(raw.len(), GFP_KERNEL);
    for task in raw.iter().filter_map(|task| NonNull::new(*task)) {
        // SAFETY: By the precondition.
        let task: ARef<Task> = unsafe { ARef::from_raw(task.cast()) };
        if let Ok(tasks) = &mut tasks {
            tasks.push(task, GFP_KERNEL)?;
        }
    }
    Ok(tasks?)
}

/// What C lists, which says how many there are, whether or not there is room: first that, then into
/// room for as many. Whether these were all, since there may be more meanwhile.
fn listed<T: Clone>(
    value: T,
    mut list: impl FnMut(*mut T, usize) -> Result<usize>,
) -> Result<(KVVec<T>, bool)> {
    let most = list(ptr::null_mut(), 0)?;
    let mut all = KVVec::from_elem(value, most, GFP_KERNEL)?;
    let found = list(all.as_mut_ptr(), most)?;
    all.truncate(found.min(most));
    Ok((all, found <= most))
}

/// All of what was listed, or `EAGAIN`.
fn complete<T>((all, complete): (KVVec<T>, bool)) -> Result<KVVec<T>> {
    match complete {
        true => Ok(all),
        false => Err(EAGAIN),
    }
}

/// Whether a process is the init of a pid namespace below the caller's, which is restored with it.
pub(crate) fn is_init(process: &Process) -> bool {
    process.flags & bindings::ckpt_process_flags_CKPT_PROCESS_INIT != 0
}

/// How many processes are in a process group, or in a session, by the numbers that a task has.
///
/// # Errors
///
/// `EAGAIN` if that is gone.
pub(crate) fn members(of: &Task, number: i32, session: bool) -> Result<usize> {
    // SAFETY: There is a reference.
    let members = unsafe { bindings::ckpt_members(of.as_ptr(), number, session) };
    usize::try_from(members).map_err(|_| EAGAIN)
}

/// What is done with the state of a task.
pub(crate) trait TaskExt {
    /// The C task.
    fn raw(&self) -> *mut bindings::task_struct;

    /// Whether the caller may see all of it.
    ///
    /// # Errors
    ///
    /// `EPERM`.
    fn may(&self) -> Result {
        // SAFETY: There is a reference.
        to_result(unsafe { bindings::ckpt_task_may(self.raw()) })
    }

    /// Waits until it is off its CPU; false if it went on.
    fn settle(&self) -> bool {
        // SAFETY: There is a reference.
        unsafe { bindings::ckpt_task_settle(self.raw()) }
    }

    /// Whether it was killed after it came to rest.
    fn is_killed(&self) -> bool {
        // SAFETY: There is a reference.
        unsafe { bindings::ckpt_task_killed(self.raw()) }
    }

    /// The first thing from number `from` on that cannot be saved; `from` is moved behind it. What
    /// all threads of a process have is only said of the `first`.
    fn refusal(&self, first: bool, from: &mut u32) -> Option<&'static str> {
        // SAFETY: There is a reference; the texts are constants.
        unsafe { text(bindings::ckpt_refuse_task(self.raw(), first, from)) }
    }

    /// The thread that has the number of its process.
    fn leader(&self) -> ARef<Task> {
        // SAFETY: There is a reference.
        let leader = unsafe { bindings::ckpt_task_leader(self.raw()) };
        // SAFETY: It is a task, with a reference of its own, which goes over.
        unsafe { ARef::from_raw(NonNull::new_unchecked(leader).cast()) }
    }

    /// Its number in its own pid namespace; zero if it is gone.
    fn tid(&self) -> i32 {
        // SAFETY: There is a reference.
        unsafe { bindings::ckpt_task_tid(self.raw()) }
    }

    /// Its number in the caller's pid namespace; zero if that has none.
    fn outer_tid(&self) -> i32 {
        // SAFETY: There is a reference.
        unsafe { bindings::ckpt_task_outer_tid(self.raw()) }
    }

    /// Whether it is in the same pid namespace as another task.
    fn has_pidns_of(&self, other: &Task) -> bool {
        // SAFETY: There are references to both.
        unsafe { bindings::ckpt_task_in_pidns(self.raw(), other.as_ptr()) }
    }

    /// Whether its pid namespace has settings that a new one would not have.
    fn pidns_differs(&self) -> bool {
        // SAFETY: There is a reference.
        unsafe { bindings::ckpt_pidns_differs(self.raw()) }
    }

    /// Has its pid namespace give out numbers above this one, as long as there are any.
    fn pass_number(&self, number: i32) {
        // SAFETY: There is a reference.
        unsafe { bindings::ckpt_pidns_pass(self.raw(), number) };
    }

    /// Whether it is in the caller's pid namespace.
    fn has_pidns_of_caller(&self) -> bool {
        // SAFETY: There is a reference.
        unsafe { bindings::ckpt_task_in_pidns(self.raw(), ptr::null_mut()) }
    }

    /// Whether it has ended.
    fn has_ended(&self) -> bool {
        // SAFETY: There is a reference.
        unsafe { bindings::ckpt_task_ended(self.raw()) }
    }

    /// What it has ended with, as wait(2) has it.
    fn status(&self) -> u32 {
        // SAFETY: There is a reference.
        unsafe { bindings::ckpt_task_status(self.raw()) }
    }

    /// The children of the process that it leads, those too that were not waited for.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, and `EAGAIN` if there are more and more.
    fn children(&self) -> Result<KVec<ARef<Task>>> {
        let (raw, all) = listed(ptr::null_mut(), |room, size| {
            // SAFETY: There is a reference, and room for `size`.
            let found = unsafe { bindings::ckpt_children(self.raw(), room, size) };
            usize::try_from(found).map_err(|_| EAGAIN)
        })?;
        // SAFETY: Each was listed with a reference, which goes over.
        let children = unsafe { owned(&raw) };
        match all {
            true => children,
            false => Err(EAGAIN),
        }
    }

    /// The state of its process.
    fn process(&self) -> Process {
        let mut process = Process::default();
        // SAFETY: There is a reference.
        unsafe { bindings::ckpt_task_process(self.raw(), &mut process) };
        process
    }

    /// Its settings.
    fn settings(&self) -> Settings {
        let mut settings = Settings::default();
        // SAFETY: There is a reference.
        unsafe { bindings::ckpt_task_settings(self.raw(), &mut settings) };
        settings
    }

    /// A mask of the processors that it may use into `into`, and its size: none if that is all.
    fn affinity(&self, into: &mut [u8]) -> usize {
        // SAFETY: There is a reference, and the buffer is writable.
        unsafe { bindings::ckpt_task_affinity(self.raw(), into.as_mut_ptr().cast(), into.len()) }
    }

    /// Which signals it blocks, and its alternate stack.
    fn mask(&self) -> Mask {
        let mut mask = Mask::default();
        // SAFETY: There is a reference.
        unsafe { bindings::ckpt_task_mask(self.raw(), &mut mask) };
        mask
    }

    /// What signals do.
    ///
    /// # Errors
    ///
    /// `ESRCH` if it is gone.
    fn actions(&self) -> Result<[Action; SIGNALS]> {
        let mut actions = [Action::default(); SIGNALS];
        // SAFETY: There is a reference, and room for all actions.
        to_result(unsafe { bindings::ckpt_task_actions(self.raw(), actions.as_mut_ptr()) })?;
        Ok(actions)
    }

    /// The signals that wait for it, or for any thread of its process.
    ///
    /// # Errors
    ///
    /// `ESRCH` if it is gone, `ENOMEM`, and `EAGAIN` if there are more and more.
    fn pending(&self, shared: bool) -> Result<KVVec<Siginfo>> {
        complete(listed(Siginfo::default(), |room, size| {
            // SAFETY: There is a reference, and room for `size`.
            let found = unsafe { bindings::ckpt_task_pending(self.raw(), shared, room, size) };
            usize::try_from(found).map_err(|_| ESRCH)
        })?)
    }

    /// The interval timers of its process.
    ///
    /// # Errors
    ///
    /// `ESRCH` if it is gone.
    fn itimers(&self) -> Result<Itimers> {
        let mut timers = Itimers::default();
        // SAFETY: There is a reference.
        to_result(unsafe { bindings::ckpt_task_itimers(self.raw(), &mut timers) })?;
        Ok(timers)
    }

    /// The POSIX timers of its process, in the order in which they were made.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, and `EAGAIN` if there are more and more.
    fn timers(&self) -> Result<KVVec<Timer>> {
        let mut timers = complete(listed(Timer::default(), |room, size| {
            // SAFETY: There is a reference, and room for `size`.
            Ok(unsafe { bindings::ckpt_task_timers(self.raw(), room, size) })
        })?)?;
        // The kernel has the last one first.
        timers.reverse();
        Ok(timers)
    }

    /// Its credentials.
    fn cred(&self) -> ARef<Credential> {
        // SAFETY: There is a reference to the task, which always has credentials; the reference to
        // those goes over.
        unsafe {
            let cred = bindings::get_task_cred(self.raw());
            ARef::from_raw(NonNull::new_unchecked(cred.cast_mut()).cast())
        }
    }

    /// Which system calls it may make, as PR_GET_SECCOMP.
    fn seccomp(&self) -> u32 {
        // SAFETY: There is a reference.
        unsafe { bindings::ckpt_seccomp_mode(self.raw()) }
    }

    /// The filter that has `newer` newer ones, with its instructions, as far as they fit, into
    /// `into`.
    ///
    /// # Errors
    ///
    /// `ENOENT` if there are not so many, `EMEDIUMTYPE` if it has no instructions, `ESRCH` if the
    /// task has ended.
    fn seccomp_filter(&self, newer: u32, into: &mut [u8]) -> Result<Filter> {
        let mut filter = Filter::default();
        let (room, size) = (into.as_mut_ptr().cast(), into.len());
        // SAFETY: There is a reference, and room for `size`.
        to_result(unsafe {
            bindings::ckpt_seccomp_filter(self.raw(), newer, &mut filter, room, size)
        })?;
        Ok(filter)
    }

    /// What it has registered with the kernel.
    fn registered(&self) -> Registered {
        let mut registered = Registered::default();
        // SAFETY: There is a reference.
        unsafe { bindings::ckpt_task_thread(self.raw(), &mut registered) };
        registered
    }

    /// What tells its table of open files from all others, and how many tasks have that.
    fn files_key(&self) -> (usize, u32) {
        let mut users = 0;
        // SAFETY: There is a reference.
        let key = unsafe { bindings::ckpt_files_key(self.raw(), &mut users) };
        // CAST: An address.
        (key as usize, users)
    }

    /// What tells where it is in the file system from all others, and how many tasks share that.
    fn fs_key(&self) -> (usize, u32) {
        let mut users = 0;
        // SAFETY: There is a reference.
        let key = unsafe { bindings::ckpt_fs_key(self.raw(), &mut users) };
        // CAST: An address.
        (key as usize, users)
    }

    /// Has its process, whose threads are parked, stop before it runs.
    ///
    /// # Errors
    ///
    /// `ESRCH` if it is gone.
    fn stop(&self, signal: u32) -> Result {
        // SAFETY: There is a reference.
        to_result(unsafe { bindings::ckpt_task_stop(self.raw(), signal) })
    }

    /// Its process has stopped; its parent is to be told of this signal, or of none.
    fn stopped(&self, told: u32) {
        // SAFETY: There is a reference.
        unsafe { bindings::ckpt_task_stopped(self.raw(), told) };
    }

    /// Lets its process get no signals for children that stop; whether it had got them.
    fn hush(&self) -> bool {
        // SAFETY: There is a reference.
        unsafe { bindings::ckpt_task_hush(self.raw()) }
    }

    /// Ends [`Self::hush`].
    fn unhush(&self) {
        // SAFETY: There is a reference.
        unsafe { bindings::ckpt_task_unhush(self.raw()) };
    }

    /// Has it be told of the death of its parent, by this signal.
    fn set_death_signal(&self, signal: u32) {
        // SAFETY: There is a reference, and the task is parked.
        unsafe { bindings::ckpt_task_set_death_signal(self.raw(), signal) };
    }

    /// Gives it resource limits that it has allowed for.
    ///
    /// # Errors
    ///
    /// `ESRCH` if it is gone.
    fn set_rlimits(&self, limits: &[u64; RLIMITS]) -> Result {
        // SAFETY: There is a reference, and the task is parked; the argument is readable.
        to_result(unsafe { bindings::ckpt_task_set_rlimits(self.raw(), limits.as_ptr()) })
    }

    /// Has its parent be told of its death, by this signal.
    fn set_exit_signal(&self, signal: i32) {
        // SAFETY: There is a reference.
        unsafe { bindings::ckpt_task_set_exit_signal(self.raw(), signal) };
    }

    /// The call that it goes on with.
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP` if it cannot be saved.
    fn restart(&self) -> Result<Restart> {
        let mut restart = Restart::default();
        // SAFETY: There is a reference.
        to_result(unsafe { bindings::ckpt_task_restart(self.raw(), &mut restart) })?;
        Ok(restart)
    }

    /// What its clocks say.
    fn clocks(&self) -> Clocks {
        let mut clocks = Clocks::default();
        // SAFETY: There is a reference.
        unsafe { bindings::ckpt_clocks(self.raw(), &mut clocks) };
        clocks
    }

    /// Whether it, or its children, have other clocks than another task.
    fn clocks_differ(&self, other: &Task) -> bool {
        // SAFETY: There are references to both.
        unsafe { bindings::ckpt_clocks_differ(self.raw(), other.as_ptr()) }
    }

    /// Its resource limits.
    fn rlimits(&self) -> [u64; RLIMITS] {
        let mut limits = [0; RLIMITS];
        // SAFETY: There is a reference, and room for all limits.
        unsafe { bindings::ckpt_task_rlimits(self.raw(), limits.as_mut_ptr()) };
        limits
    }

    /// A set of registers into `into`, and its size.
    ///
    /// # Errors
    ///
    /// `ENODEV` if there is no such set.
    fn regs(&self, note: u32, into: &mut [u8]) -> Result<usize> {
        // SAFETY: There is a reference, and the buffer is writable.
        let size =
            unsafe { bindings::ckpt_regs(self.raw(), note, into.as_mut_ptr().cast(), into.len()) };
        // CAST: An error number.
        usize::try_from(size).map_err(|_| Error::from_errno(size as c_int))
    }

    /// Its address space.
    fn mm(&self) -> Option<ARef<MmWithUser>> {
        // SAFETY: There is a reference.
        let mm = NonNull::new(unsafe { bindings::ckpt_mm_get(self.raw()) })?;
        // SAFETY: It has a reference to its users, which goes over.
        Some(unsafe { ARef::from_raw(mm.cast()) })
    }

    /// What tells its address space from all others, and how many processes have that.
    fn mm_key(&self) -> (usize, u32) {
        let mut users = 0;
        // SAFETY: There is a reference.
        let key = unsafe { bindings::ckpt_mm_key(self.raw(), &mut users) };
        // CAST: An address.
        (key as usize, users)
    }

    /// Its first open file from `fd` on, with the number and whether execve(2) closes it.
    fn file(&self, mut fd: u32) -> Option<(u32, bool, ARef<File>)> {
        let mut cloexec = false;
        // SAFETY: There is a reference.
        let raw = unsafe { bindings::ckpt_file_next(self.raw(), &mut fd, &mut cloexec) };
        // SAFETY: The file has a reference, taken in the table of another task.
        let file = unsafe { file(raw) }.ok()??;
        Some((fd, cloexec, file))
    }

    /// Its working directory and its umask.
    ///
    /// # Errors
    ///
    /// `EXDEV` if it has another root than the caller.
    fn cwd(&self) -> Result<(ARef<File>, u32)> {
        let mut umask = 0;
        // SAFETY: There is a reference; the file is new.
        let cwd = unsafe { file(bindings::ckpt_fs_cwd(self.raw(), &mut umask)) }?;
        Ok((cwd.ok_or(ENOENT)?, umask))
    }
}

impl TaskExt for Task {
    fn raw(&self) -> *mut bindings::task_struct {
        self.as_ptr()
    }
}

/// The name of a mapping, filled up with zeros, at least one.
#[derive(Clone, Copy)]
pub(crate) struct Name([c_char; Self::MOST]);

impl Name {
    const MOST: usize = bindings::CKPT_VMA_NAME as usize;

    /// The name that is `bytes`; none if that is too long, or has a zero.
    pub(crate) fn new(bytes: &[u8]) -> Option<Self> {
        let mut name = [0; Self::MOST];
        let room = name.get_mut(..Self::MOST - 1)?.get_mut(..bytes.len())?;
        room.copy_from_slice(bytes);
        (!bytes.contains(&0)).then_some(Self(name))
    }

    /// The name without the zeros.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.split(|byte| *byte == 0).next().unwrap_or(&[])
    }
}

/// A mapping.
pub(crate) struct Vma {
    /// Its first address.
    pub(crate) start: u64,
    /// The address behind its last one.
    pub(crate) end: u64,
    /// Where it starts in its file, in bytes.
    pub(crate) offset: u64,
    /// What is mapped.
    pub(crate) kind: u32,
    /// `CKPT_VMA_*`.
    pub(crate) flags: u32,
    /// The file that is mapped.
    pub(crate) file: Option<ARef<File>>,
    /// Whether it may have guard pages.
    pub(crate) guarded: bool,
    /// The same for whatever fork(2) has made of it; zero if it never had private pages.
    pub(crate) family: u64,
    /// What it is called.
    pub(crate) name: Name,
}

impl Vma {
    /// Private memory of nothing.
    pub(crate) const ANON: u32 = bindings::ckpt_vma_kind_CKPT_VMA_ANON;
    /// Private, of a file.
    pub(crate) const PRIVATE: u32 = bindings::ckpt_vma_kind_CKPT_VMA_PRIVATE;
    /// Shared, of a file.
    pub(crate) const SHARED: u32 = bindings::ckpt_vma_kind_CKPT_VMA_SHARED;
    /// Shared, of nothing.
    pub(crate) const SHMEM: u32 = bindings::ckpt_vma_kind_CKPT_VMA_SHMEM;
    /// Of the kernel.
    pub(crate) const VDSO: u32 = bindings::ckpt_vma_kind_CKPT_VMA_VDSO;
    /// Children do not have it as it is.
    const NOT_FORKED: u32 =
        bindings::ckpt_vma_flags_CKPT_VMA_DONTFORK | bindings::ckpt_vma_flags_CKPT_VMA_WIPEONFORK;
    /// Its pages stay in memory, which children do not inherit.
    pub(crate) const LOCKED: u32 =
        bindings::ckpt_vma_flags_CKPT_VMA_LOCKED | bindings::ckpt_vma_flags_CKPT_VMA_ONFAULT;
    /// All flags.
    pub(crate) const FLAGS: u32 = bindings::ckpt_vma_flags_CKPT_VMA_FLAGS;

    /// Whether a file with a name is mapped.
    pub(crate) fn has_name(&self) -> bool {
        self.kind == Self::PRIVATE || self.kind == Self::SHARED
    }

    /// Whether one of this kind can have private pages.
    pub(crate) fn can_be_private(kind: u32) -> bool {
        kind == Self::ANON || kind == Self::PRIVATE
    }

    /// Whether it has private pages that a child does not get.
    pub(crate) fn is_lost_to_children(&self) -> bool {
        Self::can_be_private(self.kind) && !Self::go_to_children(self.kind, self.flags)
    }

    /// Whether a mapping has private pages that a child gets, too.
    pub(crate) fn go_to_children(kind: u32, flags: u32) -> bool {
        (kind == Self::ANON || kind == Self::PRIVATE) && flags & Self::NOT_FORKED == 0
    }

    /// Maps it into the address space of the current task.
    ///
    /// # Errors
    ///
    /// Those of mmap(2).
    pub(crate) fn map(&self) -> Result {
        let raw = bindings::ckpt_vma {
            start: self.start,
            end: self.end,
            offset: self.offset,
            kind: self.kind,
            flags: self.flags,
            guarded: self.guarded,
            family: self.family,
            name: self.name.0,
            file: self
                .file
                .as_ref()
                .map_or(ptr::null_mut(), |file| file.as_ptr()),
            refusal: ptr::null(),
        };
        // SAFETY: The file has a reference for as long as that.
        to_result(unsafe { bindings::ckpt_mm_map(&raw) })
    }
}

/// What is done with an address space.
pub(crate) trait MmExt {
    /// The C address space.
    fn raw(&self) -> *mut bindings::mm_struct;

    /// Where its parts are.
    fn layout(&self) -> Layout {
        let mut layout = Layout::default();
        // SAFETY: There is a reference.
        unsafe { bindings::ckpt_mm_layout(self.raw(), &mut layout) };
        layout
    }

    /// A copy that stays as it is when its tasks go on.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    fn snapshot(&self) -> Result<ARef<MmWithUser>> {
        // SAFETY: There is a reference.
        let copy = NonNull::new(unsafe { bindings::ckpt_mm_snapshot(self.raw()) });
        // SAFETY: It has a reference to its users, which goes over.
        Ok(unsafe { ARef::from_raw(copy.ok_or(ENOMEM)?.cast()) })
    }

    /// Its auxiliary vector into `into`, and its size.
    fn auxv(&self, into: &mut [u8]) -> usize {
        // SAFETY: There is a reference, and the buffer is writable.
        unsafe { bindings::ckpt_mm_auxv(self.raw(), into.as_mut_ptr().cast(), into.len()) }
    }

    /// Its executable.
    fn exe(&self) -> Option<ARef<File>> {
        // SAFETY: There is a reference; the file has one.
        unsafe { file(bindings::ckpt_mm_exe(self.raw())) }.ok()?
    }

    /// Its first mapping that ends after `from`, and why it cannot be saved.
    ///
    /// # Errors
    ///
    /// `EINTR`.
    fn vma(&self, from: u64) -> Result<Option<(Vma, Option<&'static str>)>> {
        let mut raw = MaybeUninit::<bindings::ckpt_vma>::uninit();
        // SAFETY: There is a reference.
        match unsafe { bindings::ckpt_mm_vma(self.raw(), from, raw.as_mut_ptr()) } {
            0 => {}
            error if Error::from_errno(error) == ENOENT => return Ok(None),
            error => return Err(Error::from_errno(error)),
        }
        // SAFETY: All of it was written, as there is a mapping.
        let raw = unsafe { raw.assume_init() };
        let vma = Vma {
            start: raw.start,
            end: raw.end,
            offset: raw.offset,
            kind: raw.kind,
            flags: raw.flags,
            guarded: raw.guarded,
            family: raw.family,
            name: Name(raw.name),
            // SAFETY: The file has a reference, or there is none.
            file: unsafe { file(raw.file) }?,
        };
        // SAFETY: A constant.
        Ok(Some((vma, unsafe { text(raw.refusal) })))
    }

    /// The start of the next guard pages of a mapping, from `at` on, which is moved to their end.
    ///
    /// # Errors
    ///
    /// `EINTR`, and `EFAULT` if there is no such mapping.
    fn guard(&self, vma: &Vma, at: &mut u64) -> Result<Option<u64>> {
        let mut start = 0;
        if !vma.guarded || *at == vma.end {
            return Ok(None);
        }
        // SAFETY: There is a reference.
        match unsafe { bindings::ckpt_pages_guard(self.raw(), at, vma.end, &mut start) } {
            0 => Ok(None),
            found if found > 0 => Ok(Some(start)),
            error => Err(Error::from_errno(error)),
        }
    }

    /// Has no private pages of its own between two addresses of one mapping.
    ///
    /// # Errors
    ///
    /// `EFAULT` if there is none, `EINTR`.
    fn drop_pages(&self, start: u64, end: u64) -> Result {
        // SAFETY: There is a reference.
        to_result(unsafe { bindings::ckpt_mm_drop(self.raw(), start, end) })
    }

    /// Writes into private memory.
    ///
    /// # Errors
    ///
    /// `EFAULT` if there is none.
    fn fill(&self, address: u64, bytes: &[u8]) -> Result {
        // SAFETY: There is a reference, and the slice is readable.
        to_result(unsafe {
            bindings::ckpt_pages_fill(self.raw(), address, bytes.as_ptr().cast(), bytes.len())
        })
    }

    /// Reads into private memory, from where an image is, and returns how many bytes: fewer than
    /// `size` where that ends, or if there are many.
    ///
    /// # Errors
    ///
    /// `EFAULT` if there is none, and those of [`image_read`].
    fn read(&self, address: u64, size: usize, image: &File) -> Result<usize> {
        // SAFETY: There are references.
        image_passed(unsafe {
            bindings::ckpt_pages_read(self.raw(), address, size, image.as_ptr())
        })
    }
}

impl MmExt for MmWithUser {
    fn raw(&self) -> *mut bindings::mm_struct {
        self.as_raw()
    }
}

/// Pages that were found in memory, each with a reference, in runs.
///
/// # Invariants
///
/// As many pages as are counted have a reference, and as many runs are valid.
pub(crate) struct Pages(KVBox<bindings::ckpt_found>);

// SAFETY: Pages belong to no thread.
unsafe impl Send for Pages {}

impl Pages {
    /// No pages.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new() -> Result<Self> {
        // INVARIANT: There are none.
        Ok(Self(KVBox::zeroed(GFP_KERNEL)?))
    }

    /// Adjacent ones, and holes, in the order in which they were found.
    pub(crate) fn runs(&self) -> &[Run] {
        // CAST: A small number.
        self.0.runs.get(..self.0.nr_runs as usize).unwrap_or(&[])
    }

    /// Adds the next private ones of a mapping, between `from`, which is moved, and `end`, or
    /// places where only the origin has some. What the origin has, too, is left out. True if there
    /// may be more, without room for them.
    ///
    /// # Errors
    ///
    /// Those of a page fault, and `EFAULT` if there is no such mapping.
    pub(crate) fn scan(
        &mut self,
        mm: &MmWithUser,
        origin: Option<&MmWithUser>,
        from: &mut u64,
        end: u64,
    ) -> Result<bool> {
        let origin = origin.map_or(ptr::null_mut(), |origin| origin.as_raw());
        // SAFETY: There are references.
        found(unsafe { bindings::ckpt_pages_scan(mm.as_raw(), origin, from, end, &mut *self.0) })
    }

    /// About how many private pages at the beginning of a mapping, which both have between two
    /// addresses, are the same ones.
    ///
    /// # Errors
    ///
    /// `EFAULT` if there is no such mapping.
    pub(crate) fn in_common(
        &mut self,
        mm: &MmWithUser,
        other: &MmWithUser,
        start: u64,
        end: u64,
    ) -> Result<usize> {
        // SAFETY: There are references, and what is found is none of the pages here.
        let nr = unsafe {
            bindings::ckpt_pages_in_common(mm.as_raw(), other.as_raw(), start, end, &mut *self.0)
        };
        to_result(nr.min(0))?;
        // CAST: It is not negative.
        Ok(nr as usize)
    }

    /// Adds the next ones of shared memory or of a file from `from` on, which is moved, likewise.
    /// The position of the file is moved.
    ///
    /// # Errors
    ///
    /// Those of reading it.
    pub(crate) fn file(&mut self, file: &File, from: &mut u64) -> Result<bool> {
        // SAFETY: There is a reference.
        found(unsafe { bindings::ckpt_pages_file(file.as_ptr(), from, &mut *self.0) })
    }

    /// Their number.
    fn count(&self) -> usize {
        // CAST: A small number.
        self.0.nr_pages as usize
    }

    /// The page with a byte of them, and which byte of the page that is.
    fn page(&self, offset: usize) -> Option<(*mut bindings::page, usize)> {
        let pages = self.0.pages.get(..self.count())?;
        Some((*pages.get(offset / PAGE_SIZE)?, offset % PAGE_SIZE))
    }

    /// Copies from `offset` on, and returns how many bytes: at most to the end of a page.
    pub(crate) fn copy(&self, offset: usize, to: &mut IovIterDest<'_>) -> usize {
        self.page(offset).map_or(0, |(page, at)| {
            // SAFETY: The page has a reference.
            unsafe { bindings::ckpt_page_to_iter(page, at, PAGE_SIZE - at, to.as_raw()) }
        })
    }

    /// Passes at most `len` bytes from `offset` on to a pipe, as long as that has room, and returns
    /// how many.
    ///
    /// # Errors
    ///
    /// `EPIPE`.
    pub(crate) fn to_pipe(
        &self,
        offset: usize,
        len: usize,
        pipe: &mut PipeDest<'_>,
    ) -> Result<usize> {
        let pages = self.0.pages.get(..self.count()).ok_or(EINVAL)?;
        let rest = pages.get(offset / PAGE_SIZE..).ok_or(EINVAL)?;
        let at = offset % PAGE_SIZE;
        let size = len.min((rest.len() * PAGE_SIZE).saturating_sub(at));
        // SAFETY: The pages have references, and the pipe is locked.
        passed(unsafe {
            bindings::ckpt_pages_to_pipe(rest.as_ptr().cast_mut(), at, size, pipe.as_raw())
        })
    }

    /// Writes all of them to their places in another file.
    ///
    /// # Errors
    ///
    /// Those of write(2).
    pub(crate) fn to_places_in(&self, file: &File) -> Result {
        let places = self.runs().iter().filter(|run| !run.hole);
        let places =
            places.flat_map(|run| (run.position..run.position + run.bytes).step_by(PAGE_SIZE));
        for (page, at) in self.0.pages.iter().take(self.count()).zip(places) {
            // SAFETY: The page has a reference.
            to_result(unsafe { bindings::ckpt_page_to_file(*page, file.as_ptr(), at) })?;
        }
        Ok(())
    }

    /// Gives them back.
    pub(crate) fn put(&mut self) {
        // SAFETY: By the invariant.
        unsafe { bindings::ckpt_pages_put(self.0.pages.as_mut_ptr(), self.0.nr_pages) };
        // INVARIANT: There are none.
        self.0.nr_pages = 0;
        self.0.nr_runs = 0;
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        self.put();
    }
}

/// Whether there may be more, or why not.
fn found(more: c_int) -> Result<bool> {
    to_result(more.min(0))?;
    Ok(more > 0)
}

/// Bytes and pages that are written together.
pub(crate) struct Gather(KBox<bindings::ckpt_gather>);

// SAFETY: There is nothing in it but for the time of a write.
unsafe impl Send for Gather {}

impl Gather {
    /// An empty one.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(KBox::zeroed(GFP_KERNEL)?))
    }

    /// Writes to a file where it is what `collect` collects, and returns how many bytes.
    ///
    /// # Errors
    ///
    /// Those of write(2).
    pub(crate) fn write<'a>(
        &mut self,
        file: &File,
        collect: impl FnOnce(&mut Collection<'_, 'a>),
    ) -> Result<usize> {
        self.0.nr = 0;
        self.0.size = 0;
        collect(&mut Collection(&mut self.0, PhantomData));
        // SAFETY: There is a reference, and what was collected is still borrowed.
        passed(unsafe { bindings::ckpt_gather_write(&mut *self.0, file.as_ptr()) })
    }
}

/// What was collected, which is borrowed.
pub(crate) struct Collection<'c, 'a>(&'c mut bindings::ckpt_gather, PhantomData<&'a [u8]>);

impl<'a> Collection<'_, 'a> {
    /// Adds at most `len` bytes from `offset` on, and returns how many: none if there is no room.
    pub(crate) fn add_bytes(&mut self, bytes: &'a VVec<u8>, offset: usize, len: usize) -> usize {
        let Some(rest) = bytes.get(offset..).filter(|rest| !rest.is_empty()) else {
            return 0;
        };
        let len = len.min(rest.len());
        // SAFETY: So many bytes are readable, and come from vmalloc().
        unsafe { bindings::ckpt_gather_bytes(self.0, rest.as_ptr().cast(), len) }
    }

    /// Adds the rest of a page from `offset` on, at most `len` bytes, likewise.
    pub(crate) fn add_page(&mut self, pages: &'a Pages, offset: usize, len: usize) -> usize {
        pages.page(offset).map_or(0, |(page, at)| {
            // SAFETY: The page has a reference.
            unsafe { bindings::ckpt_gather_page(self.0, page, at, len) }
        })
    }
}

/// How many bytes were passed on, or why none were.
fn passed(bytes: c_long) -> Result<usize> {
    // CAST: An error number.
    usize::try_from(bytes).map_err(|_| Error::from_errno(bytes as c_int))
}

/// How many buffers there is room for in a pipe.
pub(crate) fn pipe_room(pipe: &mut PipeDest<'_>) -> u32 {
    // SAFETY: The pipe is locked.
    unsafe { bindings::ckpt_pipe_room(pipe.as_raw()) }
}

/// Passes at most a page of bytes to a pipe that has room, and returns how many.
///
/// # Errors
///
/// `EPIPE`, `ENOMEM`.
pub(crate) fn bytes_to_pipe(bytes: &[u8], pipe: &mut PipeDest<'_>) -> Result<usize> {
    // SAFETY: The slice is readable, and the pipe is locked.
    passed(unsafe {
        bindings::ckpt_bytes_to_pipe(bytes.as_ptr().cast(), bytes.len(), pipe.as_raw())
    })
}

/// What is done with an open file.
pub(crate) trait FileExt {
    /// The C file.
    fn raw(&self) -> *mut bindings::file;

    /// Tells it from all others.
    fn key(&self) -> usize {
        self.raw() as usize
    }

    /// Why it cannot be saved, as a file that a process with these credentials has.
    fn refusal(&self, owner: &Credential) -> Option<&'static str> {
        // SAFETY: There are references; the texts are constants.
        unsafe { text(bindings::ckpt_refuse_file(self.raw(), owner.as_ptr())) }
    }

    /// With whose rights it was opened, if that needed some, and the caller knows who that is.
    fn opener<'a>(&'a self, owner: &'a Credential) -> Option<&'a Credential> {
        // SAFETY: There are references, to the credentials of the file as long as that is there.
        unsafe {
            let cred = bindings::ckpt_file_opener(self.raw(), owner.as_ptr());
            let known = !cred.is_null() && bindings::ckpt_cred_known(cred);
            known.then(|| Credential::from_ptr(cred))
        }
    }

    /// Whether it is of the same kind of device as another.
    fn has_operations_of(&self, other: &File) -> bool {
        // SAFETY: There are references, and the operations of an open file stay.
        unsafe { (*self.raw()).f_op == (*other.raw()).f_op }
    }

    /// Its flags, position and kind.
    fn state(&self) -> FileState {
        let mut state = FileState::default();
        // SAFETY: There is a reference.
        unsafe { bindings::ckpt_file_state(self.raw(), &mut state) };
        state
    }

    /// Tells the deleted file that it is from all others; none if it was not deleted.
    fn deleted_key(&self) -> Option<usize> {
        // SAFETY: There is a reference.
        match unsafe { bindings::ckpt_deleted_key(self.raw()) } {
            0 => None,
            // CAST: An address.
            key => Some(key as usize),
        }
    }

    /// What the deleted file is like.
    fn deleted(&self) -> Deleted {
        let mut state = Deleted::default();
        // SAFETY: There is a reference.
        unsafe { bindings::ckpt_deleted_state(self.raw(), &mut state) };
        state
    }

    /// A file to read the content of the deleted one from.
    ///
    /// # Errors
    ///
    /// Those of open(2).
    fn content(&self) -> Result<ARef<File>> {
        // SAFETY: There is a reference; the file is new.
        unsafe { file(bindings::ckpt_deleted_content(self.raw())) }?.ok_or(ENOENT)
    }

    /// How many references there are to it.
    fn references(&self) -> u32 {
        // SAFETY: There is a reference.
        unsafe { bindings::ckpt_file_references(self.raw()) }
    }

    /// Tells the pipe that it is an end of from all others, and in how many files that is open;
    /// none if it is no pipe, or one with a name.
    fn pipe_key(&self) -> Option<(usize, u32)> {
        let mut files = 0;
        // SAFETY: There is a reference.
        match unsafe { bindings::ckpt_pipe_key(self.raw(), &mut files) } {
            0 => None,
            // CAST: An address.
            key => Some((key as usize, files)),
        }
    }

    /// How much fits into the pipe that it is an end of, in bytes.
    fn pipe_size(&self) -> u32 {
        // SAFETY: There is a reference.
        unsafe { bindings::ckpt_pipe_size(self.raw()) }
    }

    /// The piece of this number of what is in the pipe, in `buffer`, and whether it is a packet;
    /// none behind the last one.
    ///
    /// # Errors
    ///
    /// `E2BIG` if there is not so much room, and those of reading what was spliced.
    fn pipe_piece<'a>(&self, nr: u32, buffer: &'a mut [u8]) -> Result<Option<(&'a [u8], bool)>> {
        let mut packet = false;
        // SAFETY: There is a reference, and the buffer is writable.
        let size = passed(unsafe {
            let room = buffer.as_mut_ptr().cast();
            bindings::ckpt_pipe_piece(self.raw(), nr, room, buffer.len(), &mut packet)
        })?;
        let piece = buffer.get(..size).filter(|piece| !piece.is_empty());
        Ok(piece.map(|piece| (piece, packet)))
    }

    /// Adds a piece to what is in the pipe.
    ///
    /// # Errors
    ///
    /// `EAGAIN` or `ENOSPC` if it does not fit.
    fn pipe_add(&self, piece: &[u8], packet: bool) -> Result {
        // SAFETY: There is a reference, and the slice is readable.
        to_result(unsafe {
            bindings::ckpt_pipe_add(self.raw(), piece.as_ptr().cast(), piece.len(), packet)
        })
    }

    /// Its path, or what that was before it was deleted, in `buffer`.
    ///
    /// # Errors
    ///
    /// `ENAMETOOLONG`.
    fn path<'a>(&self, buffer: &'a mut [u8]) -> Result<&'a [u8]> {
        // SAFETY: There is a reference, and the buffer is writable.
        let len = unsafe {
            bindings::ckpt_file_path(self.raw(), buffer.as_mut_ptr().cast(), buffer.len())
        };
        // CAST: An error number.
        let len = usize::try_from(len).map_err(|_| Error::from_errno(len as c_int))?;
        buffer.get(..len).ok_or(ENAMETOOLONG)
    }

    /// Writes at an offset.
    ///
    /// # Errors
    ///
    /// Those of write(2).
    fn write(&self, bytes: &[u8], at: u64) -> Result {
        // SAFETY: There is a reference, and the slice is readable.
        to_result(unsafe {
            bindings::ckpt_file_write(self.raw(), bytes.as_ptr().cast(), bytes.len(), at)
        })
    }
}

impl FileExt for File {
    fn raw(&self) -> *mut bindings::file {
        let file: &LocalFile = self;
        file.as_ptr()
    }
}

/// Credentials for C, where null are those of the current task.
fn raw_cred(cred: Option<&Credential>) -> *const bindings::cred {
    cred.map_or(ptr::null(), Credential::as_ptr)
}

/// Users, groups and capabilities, as the caller's namespace has them, and supplementary groups.
///
/// # Errors
///
/// `ENOMEM`, and `EAGAIN` if there are more and more.
pub(crate) fn cred(of: &Credential) -> Result<(Cred, KVVec<u32>)> {
    let mut cred = Cred::default();
    let groups = complete(listed(0, |room, size| {
        // SAFETY: There is a reference, and room for `size`.
        Ok(unsafe { bindings::ckpt_cred(of.as_ptr(), &mut cred, room, size) })
    })?)?;
    Ok((cred, groups))
}

/// The credentials of who had opened a file, to open it again.
///
/// # Errors
///
/// `EINVAL`, `ENOMEM`, and `EPERM` if the caller could not take his users and groups.
pub(crate) fn opener(cred: &Cred, groups: &[u32]) -> Result<ARef<Credential>> {
    // SAFETY: The arguments are readable.
    let raw = unsafe { bindings::ckpt_cred_opener(cred, groups.as_ptr(), groups.len()) };
    let raw = NonNull::new(from_err_ptr(raw.cast_mut())?).ok_or(ENOMEM)?;
    // SAFETY: It is new, and the reference goes over.
    Ok(unsafe { ARef::from_raw(raw.cast()) })
}

/// Opens what was open, with the rights of `opener` or those of the caller; `path` ends with a
/// zero.
///
/// # Errors
///
/// Those of open(2), and `ESTALE` if it is something else now.
pub(crate) fn open(
    path: &[u8],
    state: &FileState,
    opener: Option<&Credential>,
) -> Result<ARef<File>> {
    let path = CStr::from_bytes_with_nul(path).map_err(|_| EINVAL)?;
    let (path, opener) = (path.as_char_ptr(), raw_cred(opener));
    // SAFETY: The path ends with a zero, there is a reference; the file is new.
    let file = unsafe { file(bindings::ckpt_file_open(path, state, opener)) }?;
    file.ok_or(ENOENT)
}

/// Opens a file that has no path once more.
///
/// # Errors
///
/// Those of open(2).
pub(crate) fn reopen(
    other: &File,
    state: &FileState,
    opener: Option<&Credential>,
) -> Result<ARef<File>> {
    let (other, opener) = (other.as_ptr(), raw_cred(opener));
    // SAFETY: There are references; the file is new.
    let file = unsafe { file(bindings::ckpt_file_reopen(other, state, opener)) }?;
    file.ok_or(ENOENT)
}

/// Makes a pipe in which so many bytes fit, as a file that is both of its ends.
///
/// # Errors
///
/// `ENFILE`, `ENOMEM`, and `EPERM` if the caller may not make one as large as that.
pub(crate) fn make_pipe(size: u32) -> Result<ARef<File>> {
    // SAFETY: The file is new.
    unsafe { file(bindings::ckpt_pipe_make(size)) }?.ok_or(ENOMEM)
}

/// Opens an end of a pipe.
///
/// # Errors
///
/// `EINVAL`, `ENFILE`.
pub(crate) fn open_pipe(
    both: &File,
    state: &FileState,
    opener: Option<&Credential>,
) -> Result<ARef<File>> {
    let (both, opener) = (both.as_ptr(), raw_cred(opener));
    // SAFETY: There are references; the file is new.
    unsafe { file(bindings::ckpt_pipe_open(both, state, opener)) }?.ok_or(ENOENT)
}

/// Makes a deleted file, without its content; `path` ends with a zero.
///
/// # Errors
///
/// Those of open(2), and `EINVAL` if there is no such file.
pub(crate) fn make_deleted(path: &[u8], state: &Deleted) -> Result<ARef<File>> {
    let path = CStr::from_bytes_with_nul(path).map_err(|_| EINVAL)?;
    // SAFETY: The path ends with a zero; the file is new.
    let file = unsafe { file(bindings::ckpt_deleted_make(path.as_char_ptr(), state)) }?;
    file.ok_or(ENOENT)
}

/// Sets what depends on the content of a deleted file being there.
///
/// # Errors
///
/// `EINVAL`, and those of utimensat(2).
pub(crate) fn finish_deleted(file: &File, state: &Deleted) -> Result {
    // SAFETY: There is a reference.
    to_result(unsafe { bindings::ckpt_deleted_finish(file.as_ptr(), state) })
}

/// Makes memory to share.
///
/// # Errors
///
/// `EINVAL`, `ENOMEM`.
pub(crate) fn shmem(size: u64) -> Result<ARef<File>> {
    // SAFETY: The file is new.
    unsafe { file(bindings::ckpt_file_shmem(size)) }?.ok_or(ENOMEM)
}

/// What the current task, which is being restored, does with itself.
pub(crate) mod current {
    use super::*;

    /// Maps the code of the kernel, and says where what is.
    ///
    /// # Errors
    ///
    /// `EINVAL` if that cannot be.
    pub(crate) fn set_layout(layout: &Layout, auxv: &[u8], exe: Option<&File>) -> Result {
        let exe = exe.map_or(ptr::null_mut(), |exe| exe.as_ptr());
        // SAFETY: The task is new, and the arguments are readable.
        to_result(unsafe {
            bindings::ckpt_mm_set_layout(layout, auxv.as_ptr().cast(), auxv.len(), exe)
        })
    }

    /// Closes all files.
    ///
    /// # Errors
    ///
    /// `EBUSY` if the table is shared.
    pub(crate) fn close_files() -> Result {
        // SAFETY: No requirements.
        to_result(unsafe { bindings::ckpt_files_clear() })
    }

    /// Takes a file as `fd`.
    ///
    /// # Errors
    ///
    /// `EBADF`, `ENOMEM`.
    pub(crate) fn install(fd: u32, file: &File, cloexec: bool) -> Result {
        // SAFETY: There is a reference.
        to_result(unsafe { bindings::ckpt_file_install(fd, file.as_ptr(), cloexec) })
    }

    /// Goes to a directory.
    ///
    /// # Errors
    ///
    /// `ENOTDIR`, `EINVAL`.
    pub(crate) fn set_fs(cwd: &File, umask: u32) -> Result {
        // SAFETY: There is a reference.
        to_result(unsafe { bindings::ckpt_fs_set(cwd.as_ptr(), umask) })
    }

    /// Makes guard pages.
    ///
    /// # Errors
    ///
    /// Those of madvise(2).
    pub(crate) fn set_guard(start: u64, end: u64) -> Result {
        // SAFETY: No requirements.
        to_result(unsafe { bindings::ckpt_mm_guard(start, end) })
    }

    /// Makes them pages as all others.
    ///
    /// # Errors
    ///
    /// Those of madvise(2).
    pub(crate) fn unset_guard(start: u64, end: u64) -> Result {
        // SAFETY: No requirements.
        to_result(unsafe { bindings::ckpt_mm_unguard(start, end) })
    }

    /// Unmaps what is between two addresses.
    ///
    /// # Errors
    ///
    /// Those of munmap(2).
    pub(crate) fn unmap(start: u64, end: u64) -> Result {
        // SAFETY: The task does not run in user space.
        to_result(unsafe { bindings::ckpt_mm_unmap(start, end) })
    }

    /// Takes an address space that begins as that of a child of this one would.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn fork_mm(origin: &MmWithUser) -> Result {
        // SAFETY: There is a reference, and the task is new and alone.
        to_result(unsafe { bindings::ckpt_mm_fork(origin.as_raw()) })
    }

    /// Takes clocks of its own, which its children will have.
    ///
    /// # Errors
    ///
    /// `EINVAL` if they say what no clock says, `ENOSPC` if there are too many, `ENOMEM`.
    pub(crate) fn set_clocks(clocks: &Clocks) -> Result {
        // SAFETY: The task is new and alone.
        to_result(unsafe { bindings::ckpt_clocks_set(clocks) })
    }

    /// Takes the state of its process.
    ///
    /// # Errors
    ///
    /// `EINVAL`, `EPERM`.
    pub(crate) fn set_process(process: &Process) -> Result {
        // SAFETY: The argument is readable.
        to_result(unsafe { bindings::ckpt_task_set_process(process) })
    }

    /// Can be looked at by others as [`Process::dumpable`] says; in its own address space.
    pub(crate) fn set_dumpable(dumpable: u32) {
        // SAFETY: No requirements.
        unsafe { bindings::ckpt_task_set_dumpable(dumpable) };
    }

    /// Takes a name, which ends with a zero.
    pub(crate) fn set_name(comm: &[u8; 16]) {
        // SAFETY: The argument is readable.
        unsafe { bindings::ckpt_task_set_name(comm.as_ptr().cast()) };
    }

    /// Becomes one of those that a user has started since he logged in, or of nobody's.
    ///
    /// # Errors
    ///
    /// `EINVAL`, `EPERM`, `EOPNOTSUPP` if the kernel does not know who logs in.
    pub(crate) fn set_login(login: u32) -> Result {
        // SAFETY: No requirements.
        to_result(unsafe { bindings::ckpt_task_set_login(login) })
    }

    /// Takes a policy and priorities.
    ///
    /// # Errors
    ///
    /// `EINVAL`, `EPERM`.
    pub(crate) fn set_scheduling(settings: &Settings) -> Result {
        // SAFETY: The argument is readable.
        to_result(unsafe { bindings::ckpt_task_set_scheduling(settings) })
    }

    /// Takes the other settings.
    ///
    /// # Errors
    ///
    /// `EINVAL`, `EPERM`.
    pub(crate) fn set_settings(settings: &Settings) -> Result {
        // SAFETY: The argument is readable.
        to_result(unsafe { bindings::ckpt_task_set_settings(settings) })
    }

    /// Runs on these processors only, or on all.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there is none of them.
    pub(crate) fn set_affinity(mask: &[u8]) -> Result {
        // SAFETY: The argument is readable.
        to_result(unsafe { bindings::ckpt_task_set_affinity(mask.as_ptr().cast(), mask.len()) })
    }

    /// Takes the table of open files of another task, which is parked.
    ///
    /// # Errors
    ///
    /// `ESRCH` if it was killed.
    pub(crate) fn share_files(with: &Task) -> Result {
        // SAFETY: There is a reference.
        to_result(unsafe { bindings::ckpt_files_share(with.as_ptr()) })
    }

    /// Is where another task is in the file system, which is parked.
    ///
    /// # Errors
    ///
    /// `ESRCH` if it was killed.
    pub(crate) fn share_fs(with: &Task) -> Result {
        // SAFETY: There is a reference.
        to_result(unsafe { bindings::ckpt_fs_share(with.as_ptr()) })
    }

    /// Raises resource limits, as far as it may, to no less than these.
    ///
    /// # Errors
    ///
    /// `EINVAL`, and `EPERM` if it may not have these.
    pub(crate) fn raise_rlimits(limits: &[u64; RLIMITS]) -> Result {
        // SAFETY: The argument is readable.
        to_result(unsafe { bindings::ckpt_task_raise_rlimits(limits.as_ptr()) })
    }

    /// Leaves the session and the process group of the caller, with all signals for them.
    ///
    /// # Errors
    ///
    /// `EINTR` if it was killed.
    pub(crate) fn leave() -> Result {
        // SAFETY: No requirements.
        to_result(unsafe { bindings::ckpt_task_leave() })
    }

    /// Takes what signals do.
    ///
    /// # Errors
    ///
    /// `EINVAL`.
    pub(crate) fn set_actions(actions: &[Action; SIGNALS]) -> Result {
        // SAFETY: The argument is readable.
        to_result(unsafe { bindings::ckpt_task_set_actions(actions.as_ptr()) })
    }

    /// Gets a signal that waits, or its process does. All signals are blocked, and their actions
    /// set.
    ///
    /// # Errors
    ///
    /// `EINVAL`, and `EAGAIN` if there are too many.
    pub(crate) fn add_pending(shared: bool, info: &Siginfo) -> Result {
        // SAFETY: The argument is readable.
        to_result(unsafe { bindings::ckpt_task_add_pending(shared, info) })
    }

    /// Blocks signals, and takes an alternate stack.
    ///
    /// # Errors
    ///
    /// `EINVAL`.
    pub(crate) fn set_mask(mask: &Mask) -> Result {
        // SAFETY: The argument is readable.
        to_result(unsafe { bindings::ckpt_task_set_mask(mask) })
    }

    /// Takes credentials, and supplementary groups.
    ///
    /// # Errors
    ///
    /// `EINVAL`, and `EPERM` if the caller could not take them.
    pub(crate) fn set_cred(cred: &Cred, groups: &[u32]) -> Result {
        // SAFETY: The arguments are readable.
        to_result(unsafe { bindings::ckpt_cred_set(cred, groups.as_ptr(), groups.len()) })
    }

    /// Makes four system calls only.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there are filters.
    pub(crate) fn set_strict() -> Result {
        // SAFETY: No requirements.
        to_result(unsafe { bindings::ckpt_seccomp_strict() })
    }

    /// Adds a filter of system calls.
    ///
    /// # Errors
    ///
    /// Those of seccomp(2).
    pub(crate) fn add_filter(flags: u32, insns: &[u8]) -> Result {
        // SAFETY: The argument is readable.
        to_result(unsafe { bindings::ckpt_seccomp_add(flags, insns.as_ptr().cast(), insns.len()) })
    }

    /// Takes the filters of another task, which is parked, up to that which has `older` older ones.
    ///
    /// # Errors
    ///
    /// `ENOENT` if there are not so many, `ESRCH` if it was killed, `EINVAL`.
    pub(crate) fn share_filters(with: &Task, older: u32) -> Result {
        // SAFETY: There is a reference.
        to_result(unsafe { bindings::ckpt_seccomp_share(with.as_ptr(), older) })
    }

    /// Sets interval timers.
    ///
    /// # Errors
    ///
    /// `EINVAL`.
    pub(crate) fn set_itimers(timers: &Itimers) -> Result {
        // SAFETY: The argument is readable.
        to_result(unsafe { bindings::ckpt_task_set_itimers(timers) })
    }

    /// Makes a POSIX timer.
    ///
    /// # Errors
    ///
    /// Those of timer_create(2) and timer_settime(2).
    pub(crate) fn add_timer(timer: &Timer) -> Result {
        // SAFETY: The argument is readable.
        to_result(unsafe { bindings::ckpt_task_add_timer(timer) })
    }

    /// Registers things with the kernel.
    ///
    /// # Errors
    ///
    /// `EINVAL`.
    pub(crate) fn register(registered: &Registered) -> Result {
        // SAFETY: The argument is readable.
        to_result(unsafe { bindings::ckpt_task_set_thread(registered) })
    }
}

/// What a new task shares with the one that makes it.
#[derive(Clone, Copy, Default)]
pub(crate) struct Shares {
    /// It is another thread of the same process.
    pub(crate) process: bool,
    /// They have one table of open files.
    pub(crate) files: bool,
    /// They are at the same place in the file system.
    pub(crate) fs: bool,
    /// They have the same parent.
    pub(crate) parent: bool,
    /// Not even their pid namespace: it is the init of a new one.
    pub(crate) init: bool,
    /// They have the same address space, as threads do anyway.
    pub(crate) memory: bool,
}

/// Who leads a process group or a session: a number, and the new process that has it. If there is
/// none, it is that of a process that is gone.
pub(crate) type Lead<'a> = (i32, Option<&'a Task>);

/// New processes, and the groups and sessions that they get.
pub(crate) struct Groups<'a> {
    groups: KVVec<bindings::ckpt_group>,
    /// The numbers of processes that are gone.
    ghosts: KVec<(i32, Ghost)>,
    tasks: PhantomData<&'a Task>,
}

/// The number of a process that is gone, and which nobody got.
struct Ghost(NonNull<bindings::pid>);

impl Drop for Ghost {
    fn drop(&mut self) {
        // SAFETY: Nobody has got it.
        unsafe { bindings::ckpt_pid_free(self.0.as_ptr()) };
    }
}

impl<'a> Groups<'a> {
    /// No processes.
    pub(crate) const fn new() -> Self {
        Self {
            groups: KVVec::new(),
            ghosts: KVec::new(),
            tasks: PhantomData,
        }
    }

    /// Adds a process.
    ///
    /// # Errors
    ///
    /// `EEXIST` if another one has the number of one that is gone, `EINVAL`, `ENOMEM`.
    pub(crate) fn add(&mut self, task: &'a Task, pgrp: Lead<'a>, session: Lead<'a>) -> Result {
        let group = bindings::ckpt_group {
            task: task.as_ptr(),
            pgrp: self.pid(task, pgrp)?,
            session: self.pid(task, session)?,
            left: [ptr::null_mut(); _],
        };
        Ok(self.groups.push(group, GFP_KERNEL)?)
    }

    fn pid(&mut self, of: &Task, (number, process): Lead<'a>) -> Result<*mut bindings::pid> {
        if let Some(process) = process {
            // SAFETY: There is a reference.
            return Ok(unsafe { bindings::ckpt_pid_of(process.as_ptr()) });
        }
        if let Some((_, ghost)) = self.ghosts.iter().find(|(known, _)| *known == number) {
            return Ok(ghost.0.as_ptr());
        }
        self.ghosts.reserve(1, GFP_KERNEL)?;
        // SAFETY: There is a reference.
        let pid = from_err_ptr(unsafe { bindings::ckpt_pid_new(of.as_ptr(), number) })?;
        let ghost = Ghost(NonNull::new(pid).ok_or(ENOMEM)?);
        self.ghosts.push((number, ghost), GFP_KERNEL)?;
        Ok(pid)
    }

    /// Puts them into their groups and sessions.
    ///
    /// # Errors
    ///
    /// `ESRCH` if one of them was killed; then nothing has changed.
    pub(crate) fn set(mut self) -> Result {
        // SAFETY: There are references to all tasks; each ghost is that of some process.
        to_result(unsafe {
            bindings::ckpt_groups_set(self.groups.as_mut_ptr(), self.groups.len())
        })?;
        // They belong to their processes now.
        self.ghosts.into_iter().for_each(mem::forget);
        Ok(())
    }
}

/// A task that is being restored, and where it waits.
///
/// # Invariants
///
/// It was initialized, and does not move.
pub(crate) struct Parking(KBox<Opaque<bindings::ckpt_parking>>);

// SAFETY: What it has is for several tasks.
unsafe impl Send for Parking {}
// SAFETY: As above: completions, and fields that are written before one of them.
unsafe impl Sync for Parking {}

impl Parking {
    /// One for a task that is to come.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new() -> Result<Self> {
        let parking = KBox::new(Opaque::uninit(), GFP_KERNEL)?;
        // SAFETY: There is room for it, at an address that stays.
        unsafe { bindings::ckpt_parking_init(parking.get()) };
        // INVARIANT: Just initialized, in a box.
        Ok(Self(parking))
    }

    /// One for a task that ends by itself, with this status, when it has made its children and its
    /// other threads.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn of_ended(status: u32) -> Result<Self> {
        let parking = Self::new()?;
        // SAFETY: By the invariant.
        unsafe { bindings::ckpt_parking_end(parking.0.get(), status) };
        Ok(parking)
    }

    /// Makes the task, as a child or a thread of the current one, in a cgroup or in that of the
    /// current one.
    ///
    /// # Errors
    ///
    /// Those of clone3(2).
    pub(crate) fn spawn(
        &self,
        what: Rebuild,
        pid: i32,
        cgroup: Option<i32>,
        shares: Shares,
    ) -> Result {
        let arg = Arc::new(what, GFP_KERNEL)?.into_raw();
        let cgroup = cgroup.unwrap_or(-1);
        let mut flags = 0;
        for (share, flag) in [
            (shares.process, bindings::ckpt_spawn_flags_CKPT_SPAWN_THREAD),
            (shares.files, bindings::ckpt_spawn_flags_CKPT_SPAWN_FILES),
            (shares.fs, bindings::ckpt_spawn_flags_CKPT_SPAWN_FS),
            (shares.parent, bindings::ckpt_spawn_flags_CKPT_SPAWN_SIBLING),
            (shares.init, bindings::ckpt_spawn_flags_CKPT_SPAWN_INIT),
            (shares.memory, bindings::ckpt_spawn_flags_CKPT_SPAWN_MEMORY),
        ] {
            if share {
                flags |= flag;
            }
        }
        // SAFETY: The parking lives as long as `arg`, which has a reference to its owner. `arg`
        // goes to `ckpt_rebuild()`, and in the end to `ckpt_forget()`.
        let ret = unsafe {
            bindings::ckpt_spawn(self.0.get(), arg.cast_mut().cast(), pid, cgroup, flags)
        };
        if ret < 0 {
            // SAFETY: There is no task that has it.
            drop(unsafe { Arc::from_raw(arg) });
        }
        to_result(ret)
    }

    /// The current task, which is this one, has its address space, but for what is in its pages.
    pub(crate) fn mapped(&self) {
        // SAFETY: By the invariant.
        unsafe { bindings::ckpt_parking_mapped(self.0.get()) };
    }

    /// The address space of the task, when it has it.
    ///
    /// # Errors
    ///
    /// Why it has none, or `EINTR` if the caller is killed.
    pub(crate) fn mm(&self) -> Result<ARef<MmWithUser>> {
        // SAFETY: By the invariant.
        let mm = from_err_ptr(unsafe { bindings::ckpt_parking_mm(self.0.get()) })?;
        let mm = NonNull::new(mm).ok_or(ESRCH)?;
        // SAFETY: It has a reference to its users, which goes over.
        Ok(unsafe { ARef::from_raw(mm.cast()) })
    }

    /// Gives the task, which waits for it, the address space that its own is a copy of.
    pub(crate) fn tell(&self, origin: &MmWithUser) {
        // SAFETY: By the invariant; there is a reference.
        unsafe { bindings::ckpt_parking_tell(self.0.get(), origin.as_raw()) };
    }

    /// Waits, as the task itself, for what [`Self::tell`] gives.
    ///
    /// # Errors
    ///
    /// `EINTR` if it is killed.
    pub(crate) fn origin(&self) -> Result<&MmWithUser> {
        // SAFETY: By the invariant.
        let mm = from_err_ptr(unsafe { bindings::ckpt_parking_origin(self.0.get()) })?;
        // SAFETY: The parking has a reference to its users.
        Ok(unsafe { MmWithUser::from_raw(mm) })
    }

    /// Waits until the task has rebuilt itself, or has ended as it should.
    ///
    /// # Errors
    ///
    /// Why it could not, or `EINTR` if the caller is killed.
    pub(crate) fn wait(&self) -> Result {
        // SAFETY: By the invariant.
        to_result(unsafe { bindings::ckpt_parking_wait(self.0.get()) })
    }

    /// The task, when it has rebuilt itself.
    ///
    /// # Errors
    ///
    /// Those of [`Self::wait`].
    pub(crate) fn parked(&self) -> Result<ARef<Task>> {
        self.wait()?;
        self.task().ok_or(ESRCH)
    }

    /// The number that the task's maker has for it.
    pub(crate) fn number(&self) -> i32 {
        // SAFETY: By the invariant; it is set before anybody asks for it.
        unsafe { (*self.0.get()).pid }
    }

    /// The task, if there is one.
    pub(crate) fn task(&self) -> Option<ARef<Task>> {
        // SAFETY: By the invariant; the task is set before anybody asks for it.
        let task = NonNull::new(unsafe { (*self.0.get()).task })?;
        // SAFETY: The parking has a reference.
        Some(unsafe { &*task.as_ptr().cast::<Task>() }.into())
    }

    /// Sets registers of the task, which waits.
    ///
    /// # Errors
    ///
    /// Those of ptrace(2).
    pub(crate) fn set_regs(&self, note: u32, bytes: &[u8]) -> Result {
        let task = self.task().ok_or(ESRCH)?;
        // SAFETY: There is a reference, the task is off its CPU, and the slice is readable.
        to_result(unsafe {
            bindings::ckpt_set_regs(task.as_ptr(), note, bytes.as_ptr().cast(), bytes.len())
        })
    }

    /// Sets the call that the task, which waits, goes on with.
    ///
    /// # Errors
    ///
    /// `EINVAL`.
    pub(crate) fn set_restart(&self, restart: &Restart) -> Result {
        let task = self.task().ok_or(ESRCH)?;
        // SAFETY: There is a reference, and the task waits.
        to_result(unsafe { bindings::ckpt_task_set_restart(task.as_ptr(), restart) })
    }

    /// Lets the task go on.
    pub(crate) fn release(&self) {
        // SAFETY: By the invariant.
        unsafe { bindings::ckpt_parking_release(self.0.get()) };
    }

    /// Ends the process of the task, and waits until that makes no others any more.
    pub(crate) fn kill(&self) {
        // SAFETY: By the invariant.
        unsafe { bindings::ckpt_parking_kill(self.0.get()) };
    }

    /// Waits until nothing is left of the process, which was killed, as was its parent.
    pub(crate) fn bury(&self) {
        // SAFETY: By the invariant.
        unsafe { bindings::ckpt_parking_bury(self.0.get()) };
    }
}

impl Drop for Parking {
    fn drop(&mut self) {
        // SAFETY: By the invariant; nobody else has it any more.
        unsafe { bindings::ckpt_parking_destroy(self.0.get()) };
    }
}

/// Rebuilds the current task.
///
/// # Safety
///
/// `arg` is what [`Parking::spawn`] passed, and was not forgotten yet.
#[no_mangle]
unsafe extern "C" fn ckpt_rebuild(arg: *mut c_void) -> c_int {
    // SAFETY: By the precondition.
    let what = unsafe { &*arg.cast::<Rebuild>() };
    match rebuild::rebuild(what) {
        Ok(()) => 0,
        Err(error) => error.to_errno(),
    }
}

/// The task needs its argument no more.
///
/// # Safety
///
/// As for [`ckpt_rebuild`].
#[no_mangle]
unsafe extern "C" fn ckpt_forget(arg: *mut c_void) {
    // SAFETY: By the precondition, it came from `Arc::into_raw()`.
    drop(unsafe { Arc::<Rebuild>::from_raw(arg.cast()) });
}

/// Reads the next bytes of an image; with `ahead` they stay the next ones, until it is told that
/// they were taken.
///
/// # Errors
///
/// Those of read(2). A call that has read a part of a stream cannot start again, so a signal is
/// `EINTR`.
pub(crate) fn image_read(image: &File, into: &mut [u8], ahead: bool) -> Result<usize> {
    let (to, size) = (into.as_mut_ptr().cast(), into.len());
    // SAFETY: There is a reference, and the buffer is writable.
    image_passed(unsafe { bindings::ckpt_image_read(image.as_ptr(), to, size, ahead) })
}

/// How many bytes of an image were read, or why none were.
fn image_passed(bytes: c_long) -> Result<usize> {
    passed(bytes).map_err(|error| match error {
        error if error == ERESTARTSYS => EINTR,
        error => error,
    })
}

/// Whether an image can be read.
pub(crate) fn image_is_readable(image: &File) -> bool {
    // SAFETY: There is a reference.
    unsafe { bindings::ckpt_image_is_readable(image.as_ptr()) }
}

/// Whether an image can be read ahead.
pub(crate) fn image_is_file(image: &File) -> bool {
    // SAFETY: There is a reference.
    unsafe { bindings::ckpt_image_is_file(image.as_ptr()) }
}

/// So many of the bytes that were read ahead were taken.
pub(crate) fn image_took(image: &File, size: usize) {
    // SAFETY: There is a reference.
    unsafe { bindings::ckpt_image_took(image.as_ptr(), size) };
}

/// A file by its descriptor in the caller's table.
///
/// # Errors
///
/// `EBADF`.
pub(crate) fn fget(fd: i32) -> Result<ARef<File>> {
    let fd = u32::try_from(fd).map_err(|_| EBADF)?;
    let file = LocalFile::fget(fd)?;
    // SAFETY: An ioctl has the device's descriptor only, and takes no light reference of others.
    Ok(unsafe { LocalFile::assume_no_fdget_pos(file) })
}

/// Blocks all signals but SIGKILL while `f` runs: a task that has pending ones cannot be cloned,
/// and what waits for others must not give up halfway.
pub(crate) fn undisturbed<T>(f: impl FnOnce() -> T) -> T {
    // SAFETY: No requirements.
    let before = unsafe { bindings::ckpt_signals_block() };
    let result = f();
    // SAFETY: What was blocked before.
    unsafe { bindings::ckpt_signals_unblock(before) };
    result
}

/// Milliseconds in jiffies.
pub(crate) fn jiffies(milliseconds: u32) -> c_long {
    // CAST: Above the largest wait there is no difference.
    kernel::time::msecs_to_jiffies(milliseconds).min(c_long::MAX as c_ulong) as c_long
}
