// SPDX-License-Identifier: GPL-2.0

//! The border to C, in both directions; nothing else in the controller names `bindings`.
//!
//! C header: [`kernel/cgroup/bc/internal.h`](srctree/kernel/cgroup/bc/internal.h)

use crate::{
    cgroup::Bc,
    files::{
        self,
        File, //
    },
    guarantee,
    limits::{
        Setting,
        Settings,
        Severity, //
    },
    numproc,
    pages,
    resource::{
        Resource,
        RESOURCES, //
    },
    stock, //
};
use core::{
    mem::offset_of,
    slice, //
};
use kernel::{
    bindings,
    error::to_result,
    prelude::*,
    seq_file::SeqFile,
    types::Opaque, //
};

/// How many resources C knows.
pub(crate) const NR_RESOURCES: usize = bindings::bc_resource_BC_NR_RESOURCES as usize;
/// Index of numproc.
pub(crate) const NUMPROC: usize = bindings::bc_resource_BC_NUMPROC as usize;
/// Index of numfile.
pub(crate) const NUMFILE: usize = bindings::bc_resource_BC_NUMFILE as usize;
/// Index of numpty.
pub(crate) const NUMPTY: usize = bindings::bc_resource_BC_NUMPTY as usize;
/// Index of numflock.
pub(crate) const NUMFLOCK: usize = bindings::bc_resource_BC_NUMFLOCK as usize;
/// Index of numtcpsock.
pub(crate) const NUMTCPSOCK: usize = bindings::bc_resource_BC_NUMTCPSOCK as usize;
/// Index of numothersock.
pub(crate) const NUMOTHERSOCK: usize = bindings::bc_resource_BC_NUMOTHERSOCK as usize;
/// Index of numsiginfo.
pub(crate) const NUMSIGINFO: usize = bindings::bc_resource_BC_NUMSIGINFO as usize;
/// Index of numiptent.
pub(crate) const NUMIPTENT: usize = bindings::bc_resource_BC_NUMIPTENT as usize;
/// Index of privvmpages.
pub(crate) const PRIVVMPAGES: usize = bindings::bc_resource_BC_PRIVVMPAGES as usize;
/// Index of lockedpages.
pub(crate) const LOCKEDPAGES: usize = bindings::bc_resource_BC_LOCKEDPAGES as usize;
/// Index of shmpages.
pub(crate) const SHMPAGES: usize = bindings::bc_resource_BC_SHMPAGES as usize;
/// Index of tcpsndbuf.
pub(crate) const TCPSNDBUF: usize = bindings::bc_resource_BC_TCPSNDBUF as usize;
/// Index of tcprcvbuf.
pub(crate) const TCPRCVBUF: usize = bindings::bc_resource_BC_TCPRCVBUF as usize;
/// Index of dgramrcvbuf.
pub(crate) const DGRAMRCVBUF: usize = bindings::bc_resource_BC_DGRAMRCVBUF as usize;

/// `struct bc_cgroup`.
///
/// # Invariants
///
/// It is the first field of a [`Bc`].
#[repr(transparent)]
pub(crate) struct Head(Opaque<bindings::bc_cgroup>);

// C gives pointers to either of the three for the others.
const _: () = assert!(offset_of!(bindings::bc_cgroup, css) == 0 && offset_of!(Bc, head) == 0);

impl Head {
    fn as_ptr(&self) -> *mut bindings::bc_cgroup {
        self.0.get()
    }

    /// `&bc->css`.
    fn css(&self) -> *mut bindings::cgroup_subsys_state {
        // SAFETY: Only the address of a field of a live object is taken.
        unsafe { &raw mut (*self.as_ptr()).css }
    }

    /// The cgroup above; none for the root.
    pub(crate) fn parent(&self) -> Option<&Bc> {
        // SAFETY: The core set `parent` before anyone could see the css, and it stays.
        let parent = unsafe { (*self.css()).parent };
        // SAFETY: A css holds a reference on its parent, so that the parent lives as long as
        // `self`; `css` is the first field of a `bc_cgroup` and that of a `Bc`.
        unsafe { parent.cast::<Bc>().as_ref() }
    }

    /// Takes `nr` references, one for each unit that goes into a stock or an object.
    pub(crate) fn get_many(&self, nr: u32) {
        // SAFETY: Who has a `&Head` has it from a css that something keeps, so the count is not 0.
        unsafe { bindings::css_get_many(self.css(), nr) };
    }

    /// Gives the references of `nr` units back.
    pub(crate) fn put_many(&self, nr: i64) {
        // SAFETY: Each unit that was taken out of a stock, or was never put into one, has a
        // reference. The memory stays for `self`: css are freed a grace period after their last
        // reference, and who does not have another one is in an RCU read side.
        // CAST: Stocks are `i32`.
        unsafe { bindings::css_put_many(self.css(), nr as u32) };
    }

    /// Gives each CPU an empty stock.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn stock_alloc(&self) -> Result {
        // SAFETY: The object is zeroed and nobody else sees it yet.
        to_result(unsafe { bindings::bc_stock_alloc(self.as_ptr()) })
    }

    /// Undoes [`Head::stock_alloc`]; the root has nothing to undo.
    pub(crate) fn stock_free(&mut self) {
        // SAFETY: By `&mut self` nobody else uses the stock, and it is not used afterwards: only
        // the destructor calls this.
        unsafe { bindings::bc_stock_free(self.as_ptr()) };
    }

    /// Charges to the stock of this CPU as much as is allowed.
    pub(crate) fn stock_fill(&self, resource: &Resource) {
        // SAFETY: Only `bc_refill()` comes here, with a cgroup that has a stock.
        // CAST: An index of the table, which is as long as the C enumeration.
        unsafe { bindings::bc_stock_fill(self.as_ptr(), resource.index as u32) };
    }

    /// Empties the stocks of this cgroup and all below; sleeps. `hotplug` says whether it may wait
    /// for CPUs that come or go.
    pub(crate) fn stock_recall(&self, hotplug: bool) {
        // SAFETY: The css stays for `&self`; cgroups without a stock are passed over.
        unsafe { bindings::bc_stock_recall(self.as_ptr(), hotplug) };
    }

    /// [`Head::stock_recall`] of another task, soon; does not sleep.
    pub(crate) fn stock_recall_later(&self) {
        // SAFETY: The css stays for `&self`, and only a level with a stock refuses.
        unsafe { bindings::bc_stock_recall_later(self.as_ptr()) };
    }

    /// What is in the stocks of this cgroup and all below.
    pub(crate) fn subtree_stock(&self, resource: &Resource) -> i64 {
        // SAFETY: The css stays for `&self`; cgroups without a stock are passed over.
        // CAST: As in `stock_fill()`; `long` is 64 bits wide wherever it matters.
        unsafe { bindings::bc_stock_sum(self.as_ptr(), resource.index as u32) as i64 }
    }

    /// What is in use of memory that only swap or a kill can set free, in pages; nothing where
    /// memory is not counted.
    pub(crate) fn memory_in_use(&self) -> Option<i64> {
        // SAFETY: The css stays for `&self`, and the only caller is in an RCU read side.
        let used = unsafe { bindings::bc_memory_in_use(self.as_ptr()) };
        (used >= 0).then_some(used as i64)
    }

    /// Wakes who polls `bc.events`.
    pub(crate) fn notify_events(&self) {
        // SAFETY: The core set the file up before the cgroup was visible.
        unsafe { bindings::cgroup_file_notify(&raw mut (*self.as_ptr()).events_file) };
    }

    /// Wakes who polls `bc.events.local`.
    pub(crate) fn notify_events_local(&self) {
        // SAFETY: The core set the file up before the cgroup was visible.
        unsafe { bindings::cgroup_file_notify(&raw mut (*self.as_ptr()).events_local_file) };
    }
}

kernel::declare_trace! {
    /// # Safety
    ///
    /// The cgroups are alive and the strings are NUL-terminated.
    #[expect(clippy::too_many_arguments, reason = "one per field of the event")]
    unsafe fn bc_refuse(
        charged: *mut bindings::cgroup,
        at: *mut bindings::cgroup,
        resource: *const c_char,
        setting: *const c_char,
        requested: i64,
        held: i64,
        barrier: i64,
        limit: i64,
    );
}

/// Whether anybody looks at what [`trace_refusal`] says.
pub(crate) fn refusals_are_traced() -> bool {
    // SAFETY: It only looks.
    unsafe { bindings::bc_refuse_traced() }
}

/// The tracepoint `bc:bc_refuse`.
pub(crate) fn trace_refusal(
    charged: &Head,
    at: &Head,
    resource: &CStr,
    setting: &CStr,
    requested: i64,
    held: i64,
    settings: Settings,
) {
    // SAFETY: A css keeps its cgroup, and a `CStr` ends with a NUL.
    unsafe {
        bc_refuse(
            (*charged.css()).cgroup,
            (*at.css()).cgroup,
            resource.as_char_ptr(),
            setting.as_char_ptr(),
            requested,
            held,
            settings.high,
            settings.max,
        )
    };
}

/// There are so many guarantees more, or less.
pub(crate) fn guarantees_count(nr: c_int) {
    // SAFETY: A guarantee that goes has come before; both sleep where this may.
    unsafe { bindings::bc_guarantees_count(nr) }
}

/// There are so many settings for buffers of sockets more, or less.
pub(crate) fn sockbufs_count(nr: c_int) {
    // SAFETY: A setting that goes has come before; both sleep where this may.
    unsafe { bindings::bc_sockbufs_count(nr) }
}

/// The errno of a result, as C wants it.
fn errno(result: Result) -> c_int {
    match result {
        Ok(()) => 0,
        Err(err) => err.to_errno(),
    }
}

/// How hard a request is to refuse.
fn severity_of(severity: bindings::bc_severity) -> Severity {
    match severity {
        bindings::bc_severity_BC_FORCED => Severity::Forced,
        bindings::bc_severity_BC_LENIENT => Severity::Lenient,
        _ => Severity::Strict,
    }
}

/// A number of pages; no address space has more than fit.
fn pages_of(nr: c_ulong) -> i64 {
    i64::try_from(nr).unwrap_or(i64::MAX)
}

/// # Safety
///
/// `bc` is a cgroup that stays for `'a`.
unsafe fn bc<'a>(bc: *mut bindings::bc_cgroup) -> &'a Bc {
    // SAFETY: The caller says that it lives; all of them are allocated as a `Bc`, whose first field
    // it is, and are shared between CPUs through atomics only.
    unsafe { &*bc.cast::<Bc>() }
}

/// `css_alloc` of the controller.
///
/// # Safety
///
/// `parent` is null or an online css of the controller.
#[export]
pub(crate) unsafe extern "C" fn bc_css_alloc(
    parent: *mut bindings::cgroup_subsys_state,
) -> *mut bindings::cgroup_subsys_state {
    match Bc::new(parent.is_null()) {
        Ok(bc) => KBox::into_raw(bc).cast(),
        Err(err) => err.to_ptr(),
    }
}

/// `css_free` of the controller.
///
/// # Safety
///
/// `css` came from [`bc_css_alloc`], and its last reference is gone for a grace period.
#[export]
pub(crate) unsafe extern "C" fn bc_css_free(css: *mut bindings::cgroup_subsys_state) {
    // SAFETY: `bc_css_alloc()` made it from a `KBox`, and nobody else has it any more.
    drop(unsafe { KBox::from_raw(css.cast::<Bc>()) });
}

/// Shows an interface file.
///
/// # Safety
///
/// `m` and `bc` are those of a read of one of the controller's files.
#[export]
pub(crate) unsafe extern "C" fn bc_show(
    m: *mut bindings::seq_file,
    cgroup: *mut bindings::bc_cgroup,
    file: bindings::bc_file,
) {
    // SAFETY: The caller has `m` to itself, and the open file keeps the css.
    let (m, cgroup) = unsafe { (SeqFile::from_raw(m), bc(cgroup)) };
    let file = match file {
        bindings::bc_file_BC_FILE_CURRENT => File::Current,
        bindings::bc_file_BC_FILE_PEAK => File::Peak,
        bindings::bc_file_BC_FILE_HIGH => File::Setting(Setting::High),
        bindings::bc_file_BC_FILE_MAX => File::Setting(Setting::Max),
        bindings::bc_file_BC_FILE_LOW => File::Low,
        bindings::bc_file_BC_FILE_EVENTS => File::Events,
        bindings::bc_file_BC_FILE_EVENTS_LOCAL => File::EventsLocal,
        _ => File::Stat,
    };
    files::show(m, cgroup, file);
}

/// Writes an interface file.
///
/// # Safety
///
/// `text` has `len` bytes, and `cgroup` is that of a write to one of the controller's files.
#[export]
pub(crate) unsafe extern "C" fn bc_set(
    cgroup: *mut bindings::bc_cgroup,
    file: bindings::bc_file,
    text: *const c_char,
    len: usize,
) -> c_int {
    // SAFETY: The open file keeps the css, and kernfs the buffer.
    let (cgroup, text) = unsafe { (bc(cgroup), slice::from_raw_parts(text.cast::<u8>(), len)) };
    let setting = match file {
        bindings::bc_file_BC_FILE_HIGH => Setting::High,
        bindings::bc_file_BC_FILE_MAX => Setting::Max,
        bindings::bc_file_BC_FILE_LOW => return errno(files::set_low(cgroup, text)),
        _ => return EINVAL.to_errno(),
    };
    errno(files::set(cgroup, setting, text))
}

/// Whether what is charged to a cgroup is within its guarantee.
///
/// # Safety
///
/// `cgroup` stays for the caller, which is in an RCU read side or has a reference.
#[export]
pub(crate) unsafe extern "C" fn bc_guarantee_vm(cgroup: *mut bindings::bc_cgroup) -> bool {
    // SAFETY: By the safety requirements of this function.
    guarantee::holds_vm(unsafe { bc(cgroup) })
}

/// Whether what a cgroup uses is within its guarantee.
///
/// # Safety
///
/// `cgroup` stays for the caller, which is in an RCU read side.
#[export]
pub(crate) unsafe extern "C" fn bc_guarantee_oom(cgroup: *mut bindings::bc_cgroup) -> bool {
    // SAFETY: By the safety requirements of this function.
    guarantee::holds_oom(unsafe { bc(cgroup) })
}

/// Charges a task that is about to be made.
///
/// # Safety
///
/// `cgroup` is in the css_set of the new task, which the core keeps.
#[export]
pub(crate) unsafe extern "C" fn bc_numproc_fork(cgroup: *mut bindings::bc_cgroup) -> c_int {
    // SAFETY: By the safety requirements of this function.
    errno(numproc::fork(unsafe { bc(cgroup) }))
}

/// Uncharges a task.
///
/// # Safety
///
/// `cgroup` is in the css_set of the task, which the core keeps.
#[export]
pub(crate) unsafe extern "C" fn bc_numproc_exit(cgroup: *mut bindings::bc_cgroup) {
    // SAFETY: By the safety requirements of this function.
    numproc::exit(unsafe { bc(cgroup) })
}

/// Moves the charge of a task.
///
/// # Safety
///
/// Both are css of a migration, which the core keeps until it is over.
#[export]
pub(crate) unsafe extern "C" fn bc_numproc_move(
    from: *mut bindings::bc_cgroup,
    to: *mut bindings::bc_cgroup,
) {
    // SAFETY: By the safety requirements of this function.
    unsafe { numproc::move_task(bc(from), bc(to)) }
}

/// Charges a unit whose stock was empty.
///
/// # Safety
///
/// The caller has a reference on `cgroup`, which has a stock, and may sleep.
#[export]
pub(crate) unsafe extern "C" fn bc_refill(
    cgroup: *mut bindings::bc_cgroup,
    resource: bindings::bc_resource,
) -> c_int {
    // SAFETY: By the safety requirements of this function.
    let cgroup = unsafe { bc(cgroup) };
    errno(stock::refill(cgroup, &RESOURCES[resource as usize]))
}

/// Charges what is missing in the stock of this CPU, which has `avail`; how many it may have.
///
/// # Safety
///
/// The caller has a reference on `cgroup`, which has a stock.
#[export]
pub(crate) unsafe extern "C" fn bc_advance(
    cgroup: *mut bindings::bc_cgroup,
    resource: bindings::bc_resource,
    cpus: c_uint,
    avail: c_int,
) -> c_int {
    // SAFETY: By the safety requirements of this function.
    let cgroup = unsafe { bc(cgroup) };
    stock::advance(cgroup, &RESOURCES[resource as usize], cpus, avail)
}

/// Charges units, each with a reference, or none.
///
/// # Safety
///
/// The caller keeps `cgroup`, which has a stock.
#[export]
pub(crate) unsafe extern "C" fn bc_grant(
    cgroup: *mut bindings::bc_cgroup,
    resource: bindings::bc_resource,
    nr: c_uint,
    severity: bindings::bc_severity,
    is_final: bool,
) -> c_int {
    // SAFETY: By the safety requirements of this function.
    let cgroup = unsafe { bc(cgroup) };
    errno(stock::grant(
        cgroup,
        &RESOURCES[resource as usize],
        nr,
        severity_of(severity),
        is_final,
    ))
}

/// Charges pages that were not in stock.
///
/// # Safety
///
/// The caller keeps `cgroup`, which has a stock, and may sleep.
#[export]
pub(crate) unsafe extern "C" fn bc_refill_pages(
    cgroup: *mut bindings::bc_cgroup,
    resource: bindings::bc_resource,
    nr: c_ulong,
    severity: bindings::bc_severity,
) -> c_int {
    // SAFETY: By the safety requirements of this function.
    let cgroup = unsafe { bc(cgroup) };
    errno(pages::refill(
        cgroup,
        &RESOURCES[resource as usize],
        pages_of(nr),
        severity_of(severity),
        severity != bindings::bc_severity_BC_TEST,
    ))
}

/// Charges pages that were not in stock, and does not sleep.
///
/// # Safety
///
/// The caller keeps `cgroup`, which has a stock.
#[export]
pub(crate) unsafe extern "C" fn bc_grant_pages(
    cgroup: *mut bindings::bc_cgroup,
    resource: bindings::bc_resource,
    nr: c_ulong,
    severity: bindings::bc_severity,
) -> c_int {
    // SAFETY: By the safety requirements of this function.
    let cgroup = unsafe { bc(cgroup) };
    errno(pages::grant(
        cgroup,
        &RESOURCES[resource as usize],
        pages_of(nr),
        severity_of(severity),
    ))
}

/// Moves the charge of pages from one cgroup to another; either may be null, for nobody.
///
/// # Safety
///
/// The caller keeps both, and may sleep.
#[export]
pub(crate) unsafe extern "C" fn bc_transfer_pages(
    from: *mut bindings::bc_cgroup,
    to: *mut bindings::bc_cgroup,
    resource: bindings::bc_resource,
    nr: c_ulong,
    severity: bindings::bc_severity,
) -> c_int {
    // SAFETY: By the safety requirements of this function; each is null or the head of a `Bc`.
    let (from, to) = unsafe { (from.cast::<Bc>().as_ref(), to.cast::<Bc>().as_ref()) };
    errno(pages::transfer(
        from,
        to,
        &RESOURCES[resource as usize],
        pages_of(nr),
        severity_of(severity),
    ))
}

/// Has the CPUs give back what stands in the way of a request.
///
/// # Safety
///
/// The caller has a reference on `cgroup`, and may sleep.
#[export]
pub(crate) unsafe extern "C" fn bc_make_room(
    cgroup: *mut bindings::bc_cgroup,
    resource: bindings::bc_resource,
) {
    // SAFETY: By the safety requirements of this function.
    let cgroup = unsafe { bc(cgroup) };
    stock::make_room(cgroup, &RESOURCES[resource as usize]);
}

/// Gives units and their references back.
///
/// # Safety
///
/// The caller has `nr` units of `cgroup`, and is in an RCU read side or has another reference.
#[export]
pub(crate) unsafe extern "C" fn bc_release(
    cgroup: *mut bindings::bc_cgroup,
    resource: bindings::bc_resource,
    nr: c_long,
) {
    // SAFETY: By the safety requirements of this function.
    let cgroup = unsafe { bc(cgroup) };
    stock::release(cgroup, &RESOURCES[resource as usize], nr as i64);
}

/// Adds what the controller counts to a report.
///
/// # Safety
///
/// The caller has a reference on `cgroup`, and `report` with so many rows left to itself.
#[export]
pub(crate) unsafe extern "C" fn bc_report_counted(
    cgroup: *mut bindings::bc_cgroup,
    report: *mut bindings::bc_report,
) {
    // SAFETY: By the safety requirements of this function.
    let (cgroup, report) = unsafe { (bc(cgroup), &mut *report) };

    for resource in &RESOURCES {
        let counter = cgroup.counter(resource);
        let settings = counter.settings();

        report.rows[report.nr as usize] = bindings::bc_row {
            name: resource.name.as_char_ptr(),
            // CAST: Only what is held can be negative, for a moment: more was given back than was
            // counted.
            held: resource.shown(cgroup.held(resource)).max(0) as u64,
            maxheld: resource.shown(counter.peak()) as u64,
            barrier: resource.shown(settings.high) as u64,
            limit: resource.shown(settings.max) as u64,
            failcnt: counter.local.all() as u64,
        };
        report.nr += 1;
    }
}
