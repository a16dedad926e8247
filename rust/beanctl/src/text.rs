// SPDX-License-Identifier: GPL-2.0

//! Texts of others, which may come from a hostile image, on their way to a terminal.

/// The text, with what would command a terminal escaped.
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_control() {
            true => out.extend(c.escape_default()),
            false => out.push(c),
        }
    }
    out
}

/// As [`printable`], of bytes that are a text as a rule.
pub fn of_bytes(bytes: &[u8]) -> String {
    printable(&String::from_utf8_lossy(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_not_commanded() {
        assert_eq!(of_bytes(b"a\x1b[2Jb\n"), "a\\u{1b}[2Jb\\n");
        assert_eq!(of_bytes("gr\u{fc}n".as_bytes()), "gr\u{fc}n");
        assert_eq!(of_bytes(b"\xff"), "\u{fffd}");
    }
}
