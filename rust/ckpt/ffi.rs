// SPDX-License-Identifier: GPL-2.0

//! The border to C, in both directions; nothing else in the engine names `bindings`.
//!
//! C header: [`kernel/ckpt/internal.h`](srctree/kernel/ckpt/internal.h)

use core::{
    mem::MaybeUninit,
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
    ckpt_deleted as Deleted,
    ckpt_file as FileState,
    ckpt_ids as Ids,
    ckpt_layout as Layout,
    ckpt_restart as Restart,
    ckpt_run as Run,
    ckpt_signals as Signals,
    ckpt_thread as Thread, //
};

/// How many signals there are.
pub(crate) const SIGNALS: usize = bindings::CKPT_SIGNALS as usize;
/// How many resource limits there are, each a pair of numbers.
pub(crate) const RLIMITS: usize = 2 * bindings::CKPT_RLIMITS as usize;
/// How many pages a run has at most.
pub(crate) const RUN: usize = bindings::CKPT_RUN as usize;
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
    /// `EBUSY`, `ENODEV`.
    pub(crate) fn hold(&self) -> Result {
        // SAFETY: There is a reference.
        to_result(unsafe { bindings::cgroup_freezer_hold(self.0.as_ptr()) })
    }

    /// Waits until its tasks are frozen.
    ///
    /// # Errors
    ///
    /// `ETIMEDOUT`, `ERESTARTSYS`.
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
        let mut tasks = KVec::with_capacity(found, GFP_KERNEL);
        for task in raw
            .iter()
            .take(found)
            .filter_map(|task| NonNull::new(*task))
        {
            // SAFETY: Each has a reference, which goes over.
            let task: ARef<Task> = unsafe { ARef::from_raw(task.cast()) };
            if let Ok(tasks) = &mut tasks {
                tasks.push(task, GFP_KERNEL)?;
            }
        }
        Ok(tasks?)
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

    /// The first thing from number `from` on that cannot be saved; `from` is moved behind it.
    fn refusal(&self, from: &mut u32) -> Option<&'static str> {
        // SAFETY: There is a reference; the texts are constants.
        unsafe { text(bindings::ckpt_refuse_task(self.raw(), from)) }
    }

    /// How many children it has.
    fn children(&self) -> u32 {
        // SAFETY: There is a reference.
        unsafe { bindings::ckpt_task_children(self.raw()) }
    }

    /// Its numbers and settings.
    fn ids(&self) -> Ids {
        let mut ids = Ids::default();
        // SAFETY: There is a reference.
        unsafe { bindings::ckpt_task_ids(self.raw(), &mut ids) };
        ids
    }

    /// How it takes signals.
    ///
    /// # Errors
    ///
    /// `ESRCH` if it is gone.
    fn signals(&self) -> Result<(Signals, [Action; SIGNALS])> {
        let mut signals = Signals::default();
        let mut actions = [Action::default(); SIGNALS];
        // SAFETY: There is a reference, and room for all actions.
        to_result(unsafe {
            bindings::ckpt_task_signals(self.raw(), &mut signals, actions.as_mut_ptr())
        })?;
        Ok((signals, actions))
    }

    /// What it has registered with the kernel.
    fn thread(&self) -> Thread {
        let mut thread = Thread::default();
        // SAFETY: There is a reference.
        unsafe { bindings::ckpt_task_thread(self.raw(), &mut thread) };
        thread
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
    /// All flags.
    pub(crate) const FLAGS: u32 = bindings::ckpt_vma_flags_CKPT_VMA_FLAGS;

    /// Whether a file with a name is mapped.
    pub(crate) fn has_name(&self) -> bool {
        self.kind == Self::PRIVATE || self.kind == Self::SHARED
    }

    /// Whether it can have private pages.
    pub(crate) fn is_private(&self) -> bool {
        self.kind == Self::ANON || self.kind == Self::PRIVATE
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
        let mut raw = MaybeUninit::<bindings::ckpt_vma>::zeroed();
        // SAFETY: There is a reference.
        match unsafe { bindings::ckpt_mm_vma(self.raw(), from, raw.as_mut_ptr()) } {
            0 => {}
            error if Error::from_errno(error) == ENOENT => return Ok(None),
            error => return Err(Error::from_errno(error)),
        }
        // SAFETY: It was zeroed, which is a value, and then written.
        let raw = unsafe { raw.assume_init() };
        let vma = Vma {
            start: raw.start,
            end: raw.end,
            offset: raw.offset,
            kind: raw.kind,
            flags: raw.flags,
            guarded: raw.guarded,
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
}

impl MmExt for MmWithUser {
    fn raw(&self) -> *mut bindings::mm_struct {
        self.as_raw()
    }
}

/// Adjacent pages, each with a reference.
pub(crate) struct Pages {
    pages: KVec<*mut bindings::page>,
    run: Run,
}

// SAFETY: Pages belong to no thread.
unsafe impl Send for Pages {}

impl Pages {
    /// No pages.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            pages: KVec::from_elem(ptr::null_mut(), RUN, GFP_KERNEL)?,
            run: Run::default(),
        })
    }

    /// Where they start.
    pub(crate) fn position(&self) -> u64 {
        self.run.position
    }

    /// Their size in bytes.
    pub(crate) fn bytes(&self) -> usize {
        // CAST: At most `RUN`.
        self.run.nr as usize * PAGE_SIZE
    }

    /// The next private ones of a mapping, between `from`, which is moved, and `end`; false if
    /// there are no more.
    ///
    /// # Errors
    ///
    /// Those of a page fault, and `EFAULT` if there is no such mapping.
    pub(crate) fn scan(&mut self, mm: &MmWithUser, from: &mut u64, end: u64) -> Result<bool> {
        self.put();
        // SAFETY: There is a reference, and room for `RUN` pages.
        let found = unsafe {
            bindings::ckpt_pages_scan(
                mm.as_raw(),
                from,
                end,
                self.pages.as_mut_ptr(),
                &mut self.run,
            )
        };
        self.found(found)
    }

    /// The next ones of shared memory or of a file from `from` on, which is moved; false if there
    /// are no more. The position of the file is moved.
    ///
    /// # Errors
    ///
    /// Those of reading it.
    pub(crate) fn file(&mut self, file: &File, from: &mut u64) -> Result<bool> {
        self.put();
        // SAFETY: There is a reference, and room for `RUN` pages.
        let found = unsafe {
            bindings::ckpt_pages_file(file.as_ptr(), from, self.pages.as_mut_ptr(), &mut self.run)
        };
        self.found(found)
    }

    fn found(&mut self, found: c_int) -> Result<bool> {
        match found {
            error if error < 0 => Err(Error::from_errno(error)),
            found => Ok(found > 0),
        }
    }

    /// Copies from `offset` on, and returns how many bytes: at most to the end of a page.
    pub(crate) fn copy(&self, offset: usize, to: &mut IovIterDest<'_>) -> usize {
        let within = offset % PAGE_SIZE;
        let size = PAGE_SIZE - within;
        match self.pages.get(offset / PAGE_SIZE) {
            Some(page) if offset < self.bytes() => {
                // SAFETY: The page has a reference.
                unsafe { bindings::ckpt_page_to_iter(*page, within, size, to.as_raw()) }
            }
            _ => 0,
        }
    }

    /// Passes the rest of a page from `offset` on, at most `len` bytes, to a pipe that has room,
    /// and returns how many bytes.
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
        let within = offset % PAGE_SIZE;
        let page = *self.pages.get(offset / PAGE_SIZE).ok_or(EINVAL)?;
        let size = len.min(PAGE_SIZE - within);
        // SAFETY: The page has a reference, and the pipe is locked.
        passed(unsafe { bindings::ckpt_page_to_pipe(page, within, size, pipe.as_raw()) })
    }

    /// Writes at most `len` bytes from `offset` on to a file, and returns how many.
    ///
    /// # Errors
    ///
    /// Those of write(2).
    pub(crate) fn to_file(&self, offset: usize, len: usize, file: &File) -> Result<usize> {
        let first = offset / PAGE_SIZE;
        let rest = self.pages.get(first..).ok_or(EINVAL)?;
        // SAFETY: That many bytes are left of pages that have references.
        passed(unsafe {
            bindings::ckpt_pages_to_file(
                rest.as_ptr().cast_mut(),
                offset % PAGE_SIZE,
                len.min(self.bytes() - offset),
                file.as_ptr(),
            )
        })
    }

    /// Gives them back.
    pub(crate) fn put(&mut self) {
        // SAFETY: As many have a reference.
        unsafe { bindings::ckpt_pages_put(self.pages.as_mut_ptr(), self.run.nr) };
        self.run.nr = 0;
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        self.put();
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

/// Writes to a file where it is, and returns how many bytes.
///
/// # Errors
///
/// Those of write(2).
pub(crate) fn bytes_to_file(bytes: &[u8], file: &File) -> Result<usize> {
    // SAFETY: The slice is readable, and there is a reference.
    passed(unsafe {
        bindings::ckpt_bytes_to_file(bytes.as_ptr().cast(), bytes.len(), file.as_ptr())
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

    /// Why it cannot be saved.
    fn refusal(&self) -> Option<&'static str> {
        // SAFETY: There is a reference; the texts are constants.
        unsafe { text(bindings::ckpt_refuse_file(self.raw())) }
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

/// Opens what was open; `path` ends with a zero.
///
/// # Errors
///
/// Those of open(2), and `ESTALE` if it is something else now.
pub(crate) fn open(path: &[u8], state: &FileState) -> Result<ARef<File>> {
    let path = CStr::from_bytes_with_nul(path).map_err(|_| EINVAL)?;
    // SAFETY: The path ends with a zero; the file is new.
    let file = unsafe { file(bindings::ckpt_file_open(path.as_char_ptr(), state)) }?;
    file.ok_or(ENOENT)
}

/// Opens a file that has no path once more.
///
/// # Errors
///
/// Those of open(2).
pub(crate) fn reopen(other: &File, state: &FileState) -> Result<ARef<File>> {
    // SAFETY: There is a reference; the file is new.
    let file = unsafe { file(bindings::ckpt_file_reopen(other.as_ptr(), state)) }?;
    file.ok_or(ENOENT)
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

    /// Takes an empty address space.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, `EINTR`.
    pub(crate) fn renew_mm() -> Result {
        // SAFETY: The task is new: it is alone in its group, and has not been in user space.
        to_result(unsafe { bindings::ckpt_mm_renew() })
    }

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

    /// Takes clocks of its own, which its children will have.
    ///
    /// # Errors
    ///
    /// `EINVAL` if they say what no clock says, `ENOSPC` if there are too many, `ENOMEM`.
    pub(crate) fn set_clocks(clocks: &Clocks) -> Result {
        // SAFETY: The task is new and alone.
        to_result(unsafe { bindings::ckpt_clocks_set(clocks) })
    }

    /// Leads a session, which its children will be in.
    ///
    /// # Errors
    ///
    /// `EPERM` if there is a process group of its number.
    pub(crate) fn lead() -> Result {
        // SAFETY: No requirements.
        to_result(unsafe { bindings::ckpt_task_lead() })
    }

    /// Takes settings.
    ///
    /// # Errors
    ///
    /// `EINVAL`, `EPERM`.
    pub(crate) fn set_ids(ids: &Ids) -> Result {
        // SAFETY: The argument is readable.
        to_result(unsafe { bindings::ckpt_task_set_ids(ids) })
    }

    /// Takes resource limits.
    ///
    /// # Errors
    ///
    /// `EINVAL`, `EPERM`.
    pub(crate) fn set_rlimits(limits: &[u64; RLIMITS]) -> Result {
        // SAFETY: The argument is readable.
        to_result(unsafe { bindings::ckpt_task_set_rlimits(limits.as_ptr()) })
    }

    /// Takes signal handlers and masks.
    ///
    /// # Errors
    ///
    /// `EINVAL`.
    pub(crate) fn set_signals(signals: &Signals, actions: &[Action; SIGNALS]) -> Result {
        // SAFETY: The arguments are readable.
        to_result(unsafe { bindings::ckpt_task_set_signals(signals, actions.as_ptr()) })
    }

    /// Registers things with the kernel.
    ///
    /// # Errors
    ///
    /// `EINVAL`.
    pub(crate) fn set_thread(thread: &Thread) -> Result {
        // SAFETY: The argument is readable.
        to_result(unsafe { bindings::ckpt_task_set_thread(thread) })
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

    /// Makes the task, as a child of the current one.
    ///
    /// # Errors
    ///
    /// Those of clone3(2).
    pub(crate) fn spawn(&self, what: Rebuild, pid: i32, cgroup: Option<i32>) -> Result {
        let arg = Arc::new(what, GFP_KERNEL)?.into_raw();
        let cgroup = cgroup.unwrap_or(-1);
        // SAFETY: The parking lives as long as `arg`, which has a reference to its owner. `arg`
        // goes to `ckpt_rebuild()`, and in the end to `ckpt_forget()`.
        let ret = unsafe { bindings::ckpt_spawn(self.0.get(), arg.cast_mut().cast(), pid, cgroup) };
        if ret < 0 {
            // SAFETY: There is no task that has it.
            drop(unsafe { Arc::from_raw(arg) });
        }
        to_result(ret)
    }

    /// Waits until the task has rebuilt itself.
    ///
    /// # Errors
    ///
    /// Why it could not, or `EINTR` if the caller is killed.
    pub(crate) fn wait(&self) -> Result {
        // SAFETY: By the invariant.
        to_result(unsafe { bindings::ckpt_parking_wait(self.0.get()) })
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
    pub(crate) fn release(&self, exit_signal: i32) {
        // SAFETY: By the invariant.
        unsafe { bindings::ckpt_parking_release(self.0.get(), exit_signal) };
    }

    /// Ends the task.
    pub(crate) fn kill(&self) {
        // SAFETY: By the invariant.
        unsafe { bindings::ckpt_parking_kill(self.0.get()) };
    }

    /// Waits for the end of the task, which was killed; `child` is one of the current task.
    pub(crate) fn bury(&self, child: bool) {
        // SAFETY: By the invariant.
        unsafe { bindings::ckpt_parking_bury(self.0.get(), child) };
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

/// Reads the next bytes of an image.
///
/// # Errors
///
/// Those of read(2). A call that has read a part of a stream cannot start again, so a signal is
/// `EINTR`.
pub(crate) fn read(image: &File, into: &mut [u8]) -> Result<usize> {
    // SAFETY: There is a reference, and the buffer is writable.
    let len =
        unsafe { bindings::ckpt_image_read(image.as_ptr(), into.as_mut_ptr().cast(), into.len()) };
    // CAST: An error number.
    usize::try_from(len).map_err(|_| match Error::from_errno(len as c_int) {
        error if error == ERESTARTSYS => EINTR,
        error => error,
    })
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
