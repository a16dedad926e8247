// SPDX-License-Identifier: GPL-2.0

//! Names for what leads out of a container: PID:FD=NAME when it is saved, NAME=FD when it is
//! restored.

use std::str::FromStr;

use super::uapi::NAME_MAX;

/// An open file of a container, and what the image calls it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inside {
    /// The process that has it open.
    pub pid: i32,
    /// The descriptor there.
    pub fd: i32,
    /// The name.
    pub name: String,
}

/// What an image calls so is this descriptor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// The name.
    pub name: String,
    /// A descriptor of this program.
    pub fd: i32,
}

impl FromStr for Inside {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || format!("`{text}` is not PID:FD=NAME, as in 4321:1=output");
        let (place, name) = text.split_once('=').ok_or_else(form)?;
        let (pid, fd) = place.split_once(':').ok_or_else(form)?;
        let pid = number(pid).filter(|pid| *pid > 0).ok_or_else(form)?;
        let fd = number(fd).ok_or_else(form)?;
        let name = check(name)?;
        Ok(Self { pid, fd, name })
    }
}

impl FromStr for Given {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || format!("`{text}` is not NAME=FD, as in output=1");
        // A name may have `=` in it.
        let (name, fd) = text.rsplit_once('=').ok_or_else(form)?;
        let fd = number(fd).ok_or_else(form)?;
        let name = check(name)?;
        Ok(Self { name, fd })
    }
}

/// A number without a sign.
fn number(text: &str) -> Option<i32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

fn check(name: &str) -> Result<String, String> {
    if name.is_empty() || name.len() > NAME_MAX {
        return Err(format!("a name has 1 to {NAME_MAX} characters"));
    }
    match name.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        true => Ok(name.to_owned()),
        false => Err("a name is printable ASCII".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_a_dump() {
        let output = Inside {
            pid: 4321,
            fd: 1,
            name: "output".to_owned(),
        };
        assert_eq!("4321:1=output".parse(), Ok(output));
        let inside: Inside = "1:0=a=b:c".parse().unwrap();
        assert_eq!(inside.name, "a=b:c");
        for wrong in [
            "",
            "1=a",
            "1:a=b",
            ":1=a",
            "1:=a",
            "1:2",
            "1:2=",
            "0:1=a",
            "-1:1=a",
            "1:-1=a",
            "+1:1=a",
            "1:99999999999=a",
            "1:2=\n",
        ] {
            assert!(wrong.parse::<Inside>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn at_a_restore() {
        let output = Given {
            name: "output".to_owned(),
            fd: 1,
        };
        assert_eq!("output=1".parse(), Ok(output));
        let given: Given = "a=b:c=17".parse().unwrap();
        assert_eq!((given.name.as_str(), given.fd), ("a=b:c", 17));
        for wrong in ["", "a", "a=", "=1", "a=b", "a=-1", "a= 1"] {
            assert!(wrong.parse::<Given>().is_err(), "{wrong:?}");
        }
    }
}
