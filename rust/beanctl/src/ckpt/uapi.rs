// SPDX-License-Identifier: GPL-2.0

//! The interface of `/dev/ckpt`, as `include/uapi/linux/ckpt.h` has it.

/// Flag of [`suspend`] and [`restore`]: the container stays suspended without the session.
pub const DETACH: u32 = 1 << 0;

/// The longest name of an [`External`], in bytes.
pub const NAME_MAX: usize = 255;

/// The longest [`Note`], in bytes.
pub const NOTE_MAX: usize = 32768;

/// `struct ckpt_suspend`, also for a snapshot, which has no flags
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Suspend {
    /// Descriptor of the directory of the cgroup.
    pub cgroup: i32,
    /// How long to wait, in ms.
    pub timeout: u32,
    /// [`DETACH`]
    pub flags: u32,
    /// 0
    pub reserved: u32,
}

/// `struct ckpt_restore`
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Restore {
    /// Descriptor to read the image from.
    pub image: i32,
    /// Descriptor of the directory of an empty cgroup.
    pub cgroup: i32,
    /// [`DETACH`]
    pub flags: u32,
    /// Returned: the first process.
    pub pid: i32,
}

/// `struct ckpt_why`
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Why {
    /// Address of a buffer.
    pub text: u64,
    /// Its size in bytes.
    pub size: u32,
    /// Returned: the length of the whole text in bytes.
    pub length: u32,
}

/// `struct ckpt_external`
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct External {
    /// The process of a descriptor; 0 for one of the caller's.
    pub pid: i32,
    /// The descriptor.
    pub fd: i32,
    /// Address of its name.
    pub name: u64,
    /// The length of the name in bytes.
    pub length: u32,
    /// 0
    pub flags: u32,
}

/// `struct ckpt_write`
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Write {
    /// Descriptor to write to.
    pub fd: i32,
    /// 0
    pub flags: u32,
    /// How many at most; returned: how many were written, 0 is the end.
    pub bytes: u64,
}

/// `struct ckpt_note`
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Note {
    /// Address of the bytes.
    pub text: u64,
    /// How many.
    pub length: u32,
    /// 0
    pub flags: u32,
}

/// The number of the device's ioctls.
pub const MAGIC: u8 = 0xBD;

nix::ioctl_write_int!(
    /// `CKPT_CHECK`
    check, MAGIC, 0x00
);
nix::ioctl_write_ptr!(
    /// `CKPT_SUSPEND`
    suspend, MAGIC, 0x01, Suspend
);
nix::ioctl_none!(
    /// `CKPT_DUMP`
    dump, MAGIC, 0x02
);
nix::ioctl_none!(
    /// `CKPT_RESUME`
    resume, MAGIC, 0x03
);
nix::ioctl_none!(
    /// `CKPT_KILL`
    kill, MAGIC, 0x04
);
nix::ioctl_readwrite!(
    /// `CKPT_RESTORE`
    restore, MAGIC, 0x05, Restore
);
nix::ioctl_readwrite!(
    /// `CKPT_WHY`
    why, MAGIC, 0x06, Why
);
nix::ioctl_write_int!(
    /// `CKPT_ATTACH`
    attach, MAGIC, 0x07
);
nix::ioctl_readwrite!(
    /// `CKPT_WRITE`
    write, MAGIC, 0x08, Write
);
nix::ioctl_write_ptr!(
    /// `CKPT_EXTERNAL`
    external, MAGIC, 0x09, External
);
nix::ioctl_write_ptr!(
    /// `CKPT_SNAPSHOT`
    snapshot, MAGIC, 0x0a, Suspend
);
nix::ioctl_write_ptr!(
    /// `CKPT_NOTE`
    note, MAGIC, 0x0b, Note
);

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::{offset_of, size_of};
    use std::process::Command;

    /// What the header says: lines of a name and a number, for each of the expressions.
    fn header(expressions: &[&str]) -> Vec<u64> {
        let dir = tempfile::tempdir().unwrap();
        let lines: String = expressions
            .iter()
            .map(|what| format!("printf(\"%llu\\n\", (unsigned long long)({what}));\n"))
            .collect();
        let text = format!(
            "#include <stddef.h>\n#include <stdio.h>\n#include \"linux/ckpt.h\"\n\
             int main(void) {{\n{lines}return 0;\n}}\n"
        );
        let (source, program) = (dir.path().join("a.c"), dir.path().join("a"));
        std::fs::write(&source, text).unwrap();
        let uapi = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../patches/ckpt/files/include/uapi"
        );
        let mut cc = Command::new("cc");
        cc.args(["-I", uapi, "-o"]).arg(&program).arg(&source);
        assert!(cc.status().unwrap().success());
        let output = Command::new(program).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| line.parse().unwrap()).collect()
    }

    macro_rules! same {
        ($($c:expr => $rust:expr,)*) => {
            let ours = [$(u64::try_from($rust).unwrap()),*];
            let theirs = header(&[$($c),*]);
            let names = [$($c),*];
            assert_eq!(theirs.len(), ours.len());
            for ((name, ours), theirs) in names.iter().zip(ours).zip(theirs) {
                assert_eq!(ours, theirs, "{name}");
            }
        };
    }

    #[test]
    fn structures_and_numbers_are_those_of_the_header() {
        use nix::{request_code_none, request_code_readwrite, request_code_write};
        same! {
            "sizeof(struct ckpt_suspend)" => size_of::<Suspend>(),
            "offsetof(struct ckpt_suspend, cgroup)" => offset_of!(Suspend, cgroup),
            "offsetof(struct ckpt_suspend, timeout)" => offset_of!(Suspend, timeout),
            "offsetof(struct ckpt_suspend, flags)" => offset_of!(Suspend, flags),
            "offsetof(struct ckpt_suspend, reserved)" => offset_of!(Suspend, reserved),
            "sizeof(struct ckpt_restore)" => size_of::<Restore>(),
            "offsetof(struct ckpt_restore, image)" => offset_of!(Restore, image),
            "offsetof(struct ckpt_restore, cgroup)" => offset_of!(Restore, cgroup),
            "offsetof(struct ckpt_restore, flags)" => offset_of!(Restore, flags),
            "offsetof(struct ckpt_restore, pid)" => offset_of!(Restore, pid),
            "sizeof(struct ckpt_why)" => size_of::<Why>(),
            "offsetof(struct ckpt_why, text)" => offset_of!(Why, text),
            "offsetof(struct ckpt_why, size)" => offset_of!(Why, size),
            "offsetof(struct ckpt_why, length)" => offset_of!(Why, length),
            "CKPT_CHECK" => request_code_write!(MAGIC, 0x00, 4),
            "CKPT_SUSPEND" => request_code_write!(MAGIC, 0x01, size_of::<Suspend>()),
            "CKPT_DUMP" => request_code_none!(MAGIC, 0x02),
            "CKPT_RESUME" => request_code_none!(MAGIC, 0x03),
            "CKPT_KILL" => request_code_none!(MAGIC, 0x04),
            "CKPT_RESTORE" => request_code_readwrite!(MAGIC, 0x05, size_of::<Restore>()),
            "CKPT_WHY" => request_code_readwrite!(MAGIC, 0x06, size_of::<Why>()),
            "CKPT_ATTACH" => request_code_write!(MAGIC, 0x07, 4),
            "sizeof(struct ckpt_write)" => size_of::<Write>(),
            "offsetof(struct ckpt_write, fd)" => offset_of!(Write, fd),
            "offsetof(struct ckpt_write, flags)" => offset_of!(Write, flags),
            "offsetof(struct ckpt_write, bytes)" => offset_of!(Write, bytes),
            "CKPT_WRITE" => request_code_readwrite!(MAGIC, 0x08, size_of::<Write>()),
            "sizeof(struct ckpt_external)" => size_of::<External>(),
            "offsetof(struct ckpt_external, pid)" => offset_of!(External, pid),
            "offsetof(struct ckpt_external, fd)" => offset_of!(External, fd),
            "offsetof(struct ckpt_external, name)" => offset_of!(External, name),
            "offsetof(struct ckpt_external, length)" => offset_of!(External, length),
            "offsetof(struct ckpt_external, flags)" => offset_of!(External, flags),
            "CKPT_EXTERNAL" => request_code_write!(MAGIC, 0x09, size_of::<External>()),
            "CKPT_SNAPSHOT" => request_code_write!(MAGIC, 0x0a, size_of::<Suspend>()),
            "sizeof(struct ckpt_note)" => size_of::<Note>(),
            "offsetof(struct ckpt_note, text)" => offset_of!(Note, text),
            "offsetof(struct ckpt_note, length)" => offset_of!(Note, length),
            "offsetof(struct ckpt_note, flags)" => offset_of!(Note, flags),
            "CKPT_NOTE" => request_code_write!(MAGIC, 0x0b, size_of::<Note>()),
            "CKPT_DETACH" => DETACH,
            "CKPT_NAME_MAX" => NAME_MAX,
            "CKPT_NOTE_MAX" => NOTE_MAX,
        }
    }
}
