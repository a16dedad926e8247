// SPDX-License-Identifier: GPL-2.0

//! An open `/dev/ckpt`: one container at a time, and what is done with it.

use crate::{
    container::{
        self,
        Container, //
    },
    ffi::{
        self,
        Cgroup, //
    },
    refuse,
    restore,
    save,
    stream::Stream,
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
    prelude::*,
    sync::Mutex,
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

/// An argument of an ioctl.
#[repr(transparent)]
struct Arg<T>(T);

// SAFETY: The structures of the UAPI have integers only, for which all bits are values.
unsafe impl FromBytes for Arg<uapi::ckpt_suspend> {}
// SAFETY: As above.
unsafe impl FromBytes for Arg<uapi::ckpt_restore> {}
// SAFETY: As above.
unsafe impl FromBytes for Arg<uapi::ckpt_why> {}
// SAFETY: The structures of the UAPI have no padding.
unsafe impl AsBytes for Arg<uapi::ckpt_restore> {}
// SAFETY: As above.
unsafe impl AsBytes for Arg<uapi::ckpt_why> {}

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

/// The container of a session. Whatever it is when the session ends, it is undone.
enum State {
    /// There is none.
    Idle,
    /// It is frozen.
    Suspended(Container),
    /// It is frozen, and its image is read.
    Dumping(Container, Stream),
}

struct Inner {
    state: State,
    why: Why,
}

/// An open `/dev/ckpt`.
#[pin_data]
pub(crate) struct Session {
    #[pin]
    inner: Mutex<Inner>,
}

#[vtable]
impl MiscDevice for Session {
    type Ptr = Pin<KBox<Self>>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Self::Ptr> {
        ffi::may(false)?;
        let inner = Inner {
            state: State::Idle,
            why: Why::new(),
        };
        KBox::pin_init(
            pin_init!(Self {
                inner <- new_mutex!(inner),
            }),
            GFP_KERNEL,
        )
    }

    fn read_iter(kiocb: Kiocb<'_, Self::Ptr>, iov: &mut IovIterDest<'_>) -> Result<usize> {
        match &mut kiocb.file().inner.lock().state {
            State::Dumping(_, stream) => stream.read(iov),
            _ => Err(ENODATA),
        }
    }

    fn ioctl(me: Pin<&Self>, file: &File, cmd: u32, arg: usize) -> Result<isize> {
        let inner = &mut *me.inner.lock();
        if cmd != WHY {
            inner.why.clear();
        }
        match cmd {
            // CAST: A descriptor is passed as it is.
            CHECK => inner.check(arg as i32),
            SUSPEND => inner.suspend(&get(arg)?),
            DUMP => inner.dump(),
            RESUME => inner.finish(Container::resume),
            KILL => inner.finish(Container::kill),
            RESTORE => inner.restore(file, arg),
            WHY => inner.explain(arg),
            _ => Err(ENOTTY),
        }?;
        Ok(0)
    }
}

impl Inner {
    fn check(&mut self, cgroup: i32) -> Result {
        let cgroup = Cgroup::from_fd(cgroup)?;
        refuse::check(&cgroup, &container::tasks(&cgroup)?, &mut self.why)
    }

    fn suspend(&mut self, args: &uapi::ckpt_suspend) -> Result {
        if args.flags != 0 || args.reserved != 0 {
            return Err(EINVAL);
        }
        let State::Idle = self.state else {
            return Err(EBUSY);
        };
        let container = Container::freeze(Cgroup::from_fd(args.cgroup)?, args.timeout)?;
        self.state = State::Suspended(container);
        Ok(())
    }

    fn dump(&mut self) -> Result {
        let container = match &self.state {
            State::Idle => return Err(ENOENT),
            State::Suspended(container) | State::Dumping(container, _) => container,
        };
        let tasks = container.tasks()?;
        refuse::check(container.cgroup(), &tasks, &mut self.why)?;
        let stream = Stream::new(save::save(&tasks, &mut self.why)?)?;
        self.state = match mem::replace(&mut self.state, State::Idle) {
            State::Suspended(container) | State::Dumping(container, _) => {
                State::Dumping(container, stream)
            }
            State::Idle => State::Idle,
        };
        Ok(())
    }

    fn finish(&mut self, how: fn(Container)) -> Result {
        match mem::replace(&mut self.state, State::Idle) {
            State::Idle => Err(ENOENT),
            State::Suspended(container) | State::Dumping(container, _) => {
                how(container);
                Ok(())
            }
        }
    }

    fn restore(&mut self, session: &File, arg: usize) -> Result {
        let mut args: uapi::ckpt_restore = get(arg)?;
        if args.flags != 0 || args.pid != 0 {
            return Err(EINVAL);
        }
        let State::Idle = self.state else {
            return Err(EBUSY);
        };
        ffi::may(true)?;
        let image = ffi::fget(args.image)?;
        // A session is read under its lock, which is taken here; two could wait for each other.
        if ffi::same_kind(session, &image) {
            return Err(EINVAL);
        }
        let (container, pid) = restore::restore(image, args.cgroup, &mut self.why)?;
        args.pid = pid;
        put(arg, args)?;
        self.state = State::Suspended(container);
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
