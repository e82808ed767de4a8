//! Which paths of a manifest are believed: none that could name anything outside the directory made for it, and no
//! two that any file system could take for one (security.md §3.5). PURE.

use std::collections::BTreeMap;

/// Bytes of a path; what is left of Linux' 4,096 belongs to the directory in front.
pub const PATH_MAX: usize = 1_024;
/// Bytes of one part of a path: what file systems allow.
pub const PART_MAX: usize = 255;
/// Parts of a path; deeper than any tree of tests.
pub const DEPTH_MAX: usize = 64;

/// Why a path is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Nothing can be called so.
    #[error("path `{}` {why}", path.escape_debug())]
    Bad {
        /// The path as it came.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Two paths are one, or one of them is also a directory, here or where case does not matter.
    #[error("paths `{}` and `{}` cannot both be files", first.escape_debug(), second.escape_debug())]
    Clash {
        /// The one that came first.
        first: String,
        /// The other.
        second: String,
    },
}

/// Refuses a path that is not plainly relative.
///
/// # Errors
/// [`PathError::Bad`].
pub fn check(path: &str) -> Result<(), PathError> {
    match fault(path) {
        None => Ok(()),
        Some(why) => Err(PathError::Bad { path: path.to_owned(), why }),
    }
}

fn fault(path: &str) -> Option<&'static str> {
    if path.is_empty() {
        return Some("is empty");
    }
    if path.len() > PATH_MAX {
        return Some("is too long");
    }
    if path.chars().any(char::is_control) {
        return Some("contains a control character");
    }
    if path.contains('\\') {
        return Some("contains a backslash");
    }
    if path.split('/').count() > DEPTH_MAX {
        return Some("is too deep");
    }
    path.split('/').find_map(|part| match part {
        "" => Some("is absolute or has an empty part"),
        "." | ".." => Some("has a part of dots"),
        _ if part.len() > PART_MAX => Some("has a part that is too long"),
        _ => None,
    })
}

/// The files of one tree as they come in, each checked against all before it.
#[derive(Debug, Default)]
pub struct Names {
    /// Folded path -> path as written, and whether it is a file.
    taken: BTreeMap<String, (String, bool)>,
}

impl Names {
    /// Takes one more file.
    ///
    /// # Errors
    /// Where the path itself is bad, or clashes with one before it.
    pub fn add(&mut self, path: &str) -> Result<(), PathError> {
        check(path)?;
        let parents = path.match_indices('/').map(|(end, _)| (&path[..end], false));
        // The nearest known parent has proven the rest.
        for (parent, _) in parents.collect::<Vec<_>>().into_iter().rev() {
            if !self.take(parent, false)? {
                break;
            }
        }
        self.take(path, true)?;
        Ok(())
    }

    /// How many files and directories there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.taken.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.taken.is_empty()
    }

    /// Whether the name is new.
    fn take(&mut self, path: &str, file: bool) -> Result<bool, PathError> {
        let folded = path.to_lowercase();
        match self.taken.get(&folded) {
            None => {
                self.taken.insert(folded, (path.to_owned(), file));
                Ok(true)
            }
            Some((known, false)) if !file && known == path => Ok(false),
            Some((known, _)) => Err(PathError::Clash { first: known.clone(), second: path.to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Zip-slip lists and what file systems elsewhere make of a name.
    #[test]
    fn hostile_paths_are_refused() {
        let long = "a".repeat(PART_MAX + 1);
        let deep = "a/".repeat(DEPTH_MAX) + "a";
        let longest = ["abcdefghi"; 110].join("/");
        for path in [
            "",
            "/",
            "/etc/passwd",
            "//a",
            "..",
            "../a",
            "a/..",
            "a/../b",
            "a/../../b",
            ".",
            "./a",
            "a/.",
            "a//b",
            "a/",
            "a\0",
            "a\0/b",
            "a\\b",
            "..\\a",
            "C:\\a",
            "\\\\host\\a",
            "a\nb",
            "a\rb",
            "\u{1b}[2J",
            "\u{7f}",
            "\u{85}",
            &long,
            &deep,
            &longest,
        ] {
            assert!(matches!(check(path), Err(PathError::Bad { .. })), "{path:?}");
        }
    }

    #[test]
    fn odd_but_honest_paths_are_taken() {
        for path in ["a", "a/b", "...", "..a", "a..", ".git/x", "a b", "-rf", "~", "C:", "é/ü", "a:b", "*"]
        {
            assert_eq!(check(path), Ok(()), "{path:?}");
        }
    }

    fn clash(paths: &[&str]) -> bool {
        let mut names = Names::default();
        paths.iter().any(|path| matches!(names.add(path), Err(PathError::Clash { .. })))
    }

    #[test]
    fn no_two_paths_may_be_one() {
        assert!(clash(&["a", "a"]));
        assert!(clash(&["a", "A"]));
        assert!(clash(&["a/x", "A/y"]));
        assert!(clash(&["a/b/x", "a/B/y"]));
        assert!(clash(&["a", "a/b"]));
        assert!(clash(&["a/b", "a"]));
        assert!(clash(&["A/b", "a"]));
        assert!(clash(&["a-b", "a", "a/b"]));
        assert!(clash(&["É", "é"]));
        assert!(!clash(&["a/b", "a/c", "a-b", "b/a", "b/b/a"]));
    }

    proptest! {
        #[test]
        fn what_is_taken_stays_below_its_root(path in "[./\\\\ab\u{0}]{0,10}") {
            if check(&path).is_ok() {
                let plain = |part| matches!(part, std::path::Component::Normal(_));
                prop_assert!(std::path::Path::new(&path).components().all(plain));
                prop_assert_eq!(std::path::Path::new(&path).components().count(), path.split('/').count());
            }
        }
    }
}
