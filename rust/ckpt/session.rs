// SPDX-License-Identifier: GPL-2.0

//! An open `/dev/ckpt`: one container at a time, and what is done with it.

use crate::{
    container::{
        self,
        Container, //
    },
    detached::Promise,
    external::{
        Externals,
        What, //
    },
    ffi::{
        self,
        Cgroup,
        FileExt as _,
        TaskExt as _, //
    },
    refuse::{
        self,
        When, //
    },
    restore,
    save::{
        self,
        Saved, //
    },
    stream::Stream,
    tree::Tree,
    why::Why, //
};
use core::mem;
use kernel::{
    fs::{
        File,
        Kiocb, //
    },
    ioctl::{
        _IO,
        _IOW,
        _IOWR, //
    },
    iov::IovIterDest,
    miscdevice::{
        MiscDevice,
        MiscDeviceRegistration, //
    },
    new_mutex,
    pipe::PipeDest,
    prelude::*,
    sync::{
        aref::ARef,
        Mutex, //
    },
    task::Task,
    transmute::{
        AsBytes,
        FromBytes, //
    },
    uaccess::UserSlice,
    uapi, //
};

const MAGIC: u32 = uapi::CKPT_IOC_MAGIC;
const CHECK: u32 = _IOW::<i32>(MAGIC, 0);
const SUSPEND: u32 = _IOW::<uapi::ckpt_suspend>(MAGIC, 1);
const DUMP: u32 = _IO(MAGIC, 2);
const RESUME: u32 = _IO(MAGIC, 3);
const KILL: u32 = _IO(MAGIC, 4);
const RESTORE: u32 = _IOWR::<uapi::ckpt_restore>(MAGIC, 5);
const WHY: u32 = _IOWR::<uapi::ckpt_why>(MAGIC, 6);
const ATTACH: u32 = _IOW::<i32>(MAGIC, 7);
const WRITE: u32 = _IOWR::<uapi::ckpt_write>(MAGIC, 8);
const EXTERNAL: u32 = _IOW::<uapi::ckpt_external>(MAGIC, 9);
const SNAPSHOT: u32 = _IOW::<uapi::ckpt_suspend>(MAGIC, 10);
const NOTE: u32 = _IOW::<uapi::ckpt_note>(MAGIC, 11);

/// Why an image ends early, or does not begin.
const KILLED: &str = "a process was killed while it was saved";

/// An argument of an ioctl.
#[repr(transparent)]
struct Arg<T>(T);

// SAFETY: The structures of the UAPI have integers only, for which all bits are values.
unsafe impl FromBytes for Arg<uapi::ckpt_suspend> {}
// SAFETY: As above.
unsafe impl FromBytes for Arg<uapi::ckpt_restore> {}
// SAFETY: As above.
unsafe impl FromBytes for Arg<uapi::ckpt_why> {}
// SAFETY: As above.
unsafe impl FromBytes for Arg<uapi::ckpt_write> {}
// SAFETY: As above.
unsafe impl FromBytes for Arg<uapi::ckpt_external> {}
// SAFETY: As above.
unsafe impl FromBytes for Arg<uapi::ckpt_note> {}
// SAFETY: The structures of the UAPI have no padding.
unsafe impl AsBytes for Arg<uapi::ckpt_restore> {}
// SAFETY: As above.
unsafe impl AsBytes for Arg<uapi::ckpt_why> {}
// SAFETY: As above.
unsafe impl AsBytes for Arg<uapi::ckpt_write> {}

fn get<T>(arg: usize) -> Result<T>
where
    Arg<T>: FromBytes,
{
    let slice = UserSlice::new(UserPtr::from_addr(arg), size_of::<T>());
    let Arg(value) = slice.reader().read::<Arg<T>>()?;
    Ok(value)
}

fn put<T>(arg: usize, value: T) -> Result
where
    Arg<T>: AsBytes,
{
    let slice = UserSlice::new(UserPtr::from_addr(arg), size_of::<T>());
    slice.writer().write(&Arg(value))
}

/// The container of a session.
enum State {
    /// There is none.
    Idle,
    /// It is frozen.
    Suspended(Container),
    /// It is frozen, and its image is read.
    Dumping(Container, Stream),
    /// It goes on, and the image of what it was is read.
    Snapshot(Stream),
}

/// What a session has.
struct Work {
    state: State,
    externals: Externals,
    /// What the next images say besides.
    note: KVec<u8>,
    why: Why,
}

/// An open `/dev/ckpt`.
#[pin_data]
pub(crate) struct Session {
    /// Nothing while somebody works with it: nobody waits for others, least of all under the lock
    /// of a pipe.
    #[pin]
    work: Mutex<Option<Work>>,
}

impl Session {
    /// Does something with what the session has, which nobody else does meanwhile.
    ///
    /// # Errors
    ///
    /// `EBUSY` if somebody does.
    fn with<T>(&self, f: impl FnOnce(&mut Work) -> Result<T>) -> Result<T> {
        let mut work = self.work.lock().take().ok_or(EBUSY)?;
        let result = f(&mut work);
        *self.work.lock() = Some(work);
        result
    }
}

#[vtable]
impl MiscDevice for Session {
    type Ptr = Pin<KBox<Self>>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Self::Ptr> {
        ffi::may(false)?;
        let work = Work {
            state: State::Idle,
            externals: Externals::new(),
            note: KVec::new(),
            why: Why::new(),
        };
        KBox::pin_init(
            pin_init!(Self {
                work <- new_mutex!(Some(work)),
            }),
            GFP_KERNEL,
        )
    }

    fn release(me: Self::Ptr, file: &File) {
        let work = me.work.lock().take();
        if let Some(container) = work.and_then(|mut work| work.state.take()) {
            container.leave(ARef::from(file.cred()));
        }
    }

    fn read_iter(kiocb: Kiocb<'_, Self::Ptr>, iov: &mut IovIterDest<'_>) -> Result<usize> {
        kiocb
            .file()
            .with(|work| work.pass(|stream| stream.read(iov)))
    }

    fn splice_read(me: Pin<&Self>, mut pipe: PipeDest<'_>, len: usize) -> Result<usize> {
        me.with(|work| work.pass(|stream| stream.splice(&mut pipe, len)))
    }

    fn ioctl(me: Pin<&Self>, file: &File, cmd: u32, arg: usize) -> Result<isize> {
        me.with(|work| {
            if cmd != WHY {
                work.why = Why::new();
            }
            match cmd {
                // CAST: A descriptor is passed as it is.
                CHECK => work.check(arg as i32),
                SUSPEND => work.suspend(&get(arg)?),
                DUMP => work.dump(),
                RESUME => work.finish(Container::resume),
                KILL => work.finish(Container::kill),
                RESTORE => work.restore(arg),
                WHY => work.explain(arg),
                // CAST: As above.
                ATTACH => work.attach(arg as i32),
                WRITE => work.write(arg),
                EXTERNAL => work.external(&get(arg)?, file),
                SNAPSHOT => work.snapshot(&get(arg)?),
                NOTE => work.note(&get(arg)?),
                _ => Err(ENOTTY),
            }
        })?;
        Ok(0)
    }
}

impl State {
    /// Takes the container, and leaves none. A snapshot is none.
    fn take(&mut self) -> Option<Container> {
        match mem::replace(self, Self::Idle) {
            Self::Suspended(container) | Self::Dumping(container, _) => Some(container),
            other => {
                *self = other;
                None
            }
        }
    }

    fn container(&self) -> Result<&Container> {
        match self {
            Self::Idle | Self::Snapshot(_) => Err(ENOENT),
            Self::Suspended(container) | Self::Dumping(container, _) => Ok(container),
        }
    }

    fn stream(&mut self) -> Result<&mut Stream> {
        match self {
            Self::Dumping(_, stream) | Self::Snapshot(stream) => Ok(stream),
            _ => Err(ENODATA),
        }
    }

    fn must_be_idle(&self) -> Result {
        match self {
            Self::Idle | Self::Snapshot(_) => Ok(()),
            _ => Err(EBUSY),
        }
    }
}

/// Room for a container that is to stay when the session is closed.
fn promise(flags: u32) -> Result<Option<Promise>> {
    match flags {
        0 => Ok(None),
        uapi::CKPT_DETACH => Ok(Some(Promise::new()?)),
        _ => Err(EINVAL),
    }
}

/// Saves the metadata of a container, and returns its tasks, too.
fn save(
    container: &Container,
    (externals, note): (&Externals, &[u8]),
    when: When,
    why: &mut Why,
) -> Result<(Saved, KVec<ARef<Task>>)> {
    let tasks = container.tasks()?;
    let tree = Tree::new(&tasks, why)?;
    let open = externals.open(&tasks, why)?;
    refuse::check(container.cgroup(), &tree, &open, when, why)?;
    Ok((save::save(&tree, &open, note)?, tasks))
}

impl Work {
    fn check(&mut self, cgroup: i32) -> Result {
        let cgroup = Cgroup::from_fd(cgroup)?;
        let tasks = container::tasks(&cgroup)?;
        let tree = Tree::new(&tasks, &mut self.why)?;
        let open = self.externals.open(&tasks, &mut self.why)?;
        refuse::check(&cgroup, &tree, &open, When::Running, &mut self.why)
    }

    fn suspend(&mut self, args: &uapi::ckpt_suspend) -> Result {
        if args.reserved != 0 {
            return Err(EINVAL);
        }
        let promise = promise(args.flags)?;
        self.state.must_be_idle()?;
        let container = Container::freeze(Cgroup::from_fd(args.cgroup)?, args.timeout)?;
        self.keep(container, promise);
        Ok(())
    }

    fn attach(&mut self, cgroup: i32) -> Result {
        self.state.must_be_idle()?;
        self.state = State::Suspended(Container::attach(&Cgroup::from_fd(cgroup)?)?);
        Ok(())
    }

    fn keep(&mut self, mut container: Container, promise: Option<Promise>) {
        if let Some(promise) = promise {
            container.stay(promise);
        }
        self.state = State::Suspended(container);
    }

    fn dump(&mut self) -> Result {
        // An image that was begun is over.
        if let Some(container) = self.state.take() {
            self.state = State::Suspended(container);
        }
        let container = self.state.container()?;
        let with = (&self.externals, &*self.note);
        let (saved, tasks) = save(container, with, When::Frozen, &mut self.why)?;
        let stream = Stream::new(saved, tasks)?;
        if let Some(container) = self.state.take() {
            self.state = State::Dumping(container, stream);
        }
        Ok(())
    }

    fn snapshot(&mut self, args: &uapi::ckpt_suspend) -> Result {
        if args.reserved != 0 || args.flags != 0 {
            return Err(EINVAL);
        }
        self.state.must_be_idle()?;
        let container = Container::freeze(Cgroup::from_fd(args.cgroup)?, args.timeout)?;
        let with = (&self.externals, &*self.note);
        let (mut saved, tasks) = save(&container, with, When::Snapshot, &mut self.why)?;
        saved.detach()?;
        if tasks.iter().any(|task| task.is_killed()) {
            self.why.say(fmt!("{KILLED}"));
            return Err(ESRCH);
        }
        container.resume();
        self.state = State::Snapshot(Stream::new(saved, KVec::new())?);
        Ok(())
    }

    /// Passes a part of the image on.
    fn pass(&mut self, how: impl FnOnce(&mut Stream) -> Result<usize>) -> Result<usize> {
        let passed = how(self.state.stream()?);
        if passed == Err(ESRCH) {
            self.why = Why::new();
            self.why.say(fmt!("{KILLED}"));
        }
        passed
    }

    fn write(&mut self, arg: usize) -> Result {
        let mut args: uapi::ckpt_write = get(arg)?;
        if args.flags != 0 || args.bytes == 0 {
            return Err(EINVAL);
        }
        let file = ffi::fget(args.fd)?;
        let most = usize::try_from(args.bytes).unwrap_or(usize::MAX);
        // CAST: A size.
        args.bytes = self.pass(|stream| stream.write(&file, most))? as u64;
        put(arg, args)
    }

    fn finish(&mut self, how: fn(Container)) -> Result {
        how(self.state.take().ok_or(ENOENT)?);
        Ok(())
    }

    fn restore(&mut self, arg: usize) -> Result {
        let mut args: uapi::ckpt_restore = get(arg)?;
        if args.pid != 0 {
            return Err(EINVAL);
        }
        let promise = promise(args.flags)?;
        self.state.must_be_idle()?;
        ffi::may(true)?;
        if let Some(what) = ffi::confined() {
            self.why.say(fmt!("{what}"));
            return Err(EPERM);
        }
        let image = ffi::fget(args.image)?;
        let (container, pid) =
            restore::restore(image, args.cgroup, &self.externals, &mut self.why)?;
        args.pid = pid;
        put(arg, args)?;
        self.keep(container, promise);
        Ok(())
    }

    fn external(&mut self, args: &uapi::ckpt_external, session: &File) -> Result {
        if args.flags != 0 || args.length > uapi::CKPT_NAME_MAX {
            return Err(EINVAL);
        }
        let what = match (args.pid, u32::try_from(args.fd)) {
            (0, _) => {
                let file = ffi::fget(args.fd)?;
                // Neither it nor the container that it holds would ever be let go.
                if file.has_operations_of(session) {
                    self.why.say(fmt!("a session cannot be handed in"));
                    return Err(EINVAL);
                }
                What::File(file)
            }
            (pid, Ok(fd)) => What::Of(pid, fd),
            _ => return Err(EBADF),
        };
        let address = UserPtr::from_addr(usize::try_from(args.name)?);
        let mut name = KVec::new();
        // CAST: It is short.
        UserSlice::new(address, args.length as usize).read_all(&mut name, GFP_KERNEL)?;
        self.externals.add(name, what)
    }

    fn note(&mut self, args: &uapi::ckpt_note) -> Result {
        if args.flags != 0 || args.length > uapi::CKPT_NOTE_MAX {
            return Err(EINVAL);
        }
        let address = UserPtr::from_addr(usize::try_from(args.text)?);
        let mut note = KVec::new();
        // CAST: It is short.
        UserSlice::new(address, args.length as usize).read_all(&mut note, GFP_KERNEL)?;
        self.note = note;
        Ok(())
    }

    fn explain(&self, arg: usize) -> Result {
        let mut args: uapi::ckpt_why = get(arg)?;
        let text = self.why.text();
        // CAST: There is not so much to say.
        args.length = text.len() as u32;
        let (address, size) = (usize::try_from(args.text)?, args.size as usize);
        if let Some(text) = text.get(..size.min(text.len())) {
            UserSlice::new(UserPtr::from_addr(address), text.len())
                .writer()
                .write_slice(text)?;
        }
        put(arg, args)
    }
}
