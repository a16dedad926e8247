// SPDX-License-Identifier: GPL-2.0

//! The two kinds of files that controllers have: flat-keyed, a key and a value in a line, and
//! nested-keyed, a key and several named values in a line.

/// The lines of a flat-keyed file.
pub fn flat(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().filter_map(|line| line.split_once(' '))
}

/// The number that a flat-keyed file has for a key.
pub fn number(text: &str, key: &str) -> Option<u64> {
    let (_, value) = flat(text).find(|(name, _)| *name == key)?;
    value.parse().ok()
}

/// The lines of a nested-keyed file.
pub fn nested(text: &str) -> impl Iterator<Item = (&str, Pairs<'_>)> {
    text.lines().filter_map(|line| {
        let (key, rest) = line.split_once(' ')?;
        Some((key, Pairs(rest)))
    })
}

/// The named values of one line.
#[derive(Clone, Copy, Debug)]
pub struct Pairs<'a>(&'a str);

impl<'a> Pairs<'a> {
    /// The value of this name.
    pub fn get(self, name: &str) -> Option<&'a str> {
        let mut pairs = self.0.split_ascii_whitespace();
        pairs.find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keys_are_whole() {
        let text = "numfile.high 3\nnumfile.max 4\nfile.max x\n\nend";
        assert_eq!(number(text, "numfile.max"), Some(4));
        assert_eq!(number(text, "file.max"), None);
        assert_eq!(number(text, "max"), None);
        let text = "numfile held=12 maxheld=40 limit=max\n";
        let (key, pairs) = nested(text).next().unwrap();
        assert_eq!((key, pairs.get("held")), ("numfile", Some("12")));
        assert_eq!((pairs.get("limit"), pairs.get("max")), (Some("max"), None));
    }

    proptest! {
        #[test]
        fn what_was_written_is_found(rows in prop::collection::btree_map("[a-z]{1,9}", any::<u64>(), 0..9)) {
            let mut flat = String::new();
            let mut line = "numfile".to_owned();
            for (key, value) in &rows {
                flat += &format!("{key} {value}\n");
                line += &format!(" {key}={value}");
            }
            for (key, value) in &rows {
                prop_assert_eq!(number(&flat, key), Some(*value));
                let found = nested(&line).next().and_then(|(_, pairs)| pairs.get(key));
                prop_assert_eq!(found.map(str::to_owned), Some(value.to_string()));
            }
        }

        #[test]
        fn any_text_is_read(text in "\\PC*", key in "\\PC*") {
            let _ = number(&text, &key);
            nested(&text).for_each(|(_, pairs)| { let _ = pairs.get(&key); });
        }
    }
}
