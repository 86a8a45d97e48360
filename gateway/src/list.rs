//! Lists in header values, with quoted strings in them (RFC 9110, 5.6).

use std::borrow::Cow;

/// A quoted string that does not end: whoever reads on would read something else than its sender meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unclosed;

/// The members of a list, split at `separator` outside of quoted strings, without the blanks around them. Empty
/// members are skipped, and nothing is allocated.
pub(crate) const fn members(text: &str, separator: char) -> Members<'_> {
    Members { rest: Some(text), separator }
}

/// The iterator behind [`members`].
#[derive(Debug, Clone)]
pub(crate) struct Members<'a> {
    rest: Option<&'a str>,
    separator: char,
}

impl<'a> Members<'a> {
    /// The text up to the next separator, which is taken off the rest.
    fn cut(&mut self) -> Option<Result<&'a str, Unclosed>> {
        let text = self.rest.take()?;
        let (mut quoted, mut escaped) = (false, false);
        let end = text.find(|character: char| {
            let was_escaped = std::mem::take(&mut escaped);
            match character {
                _ if was_escaped => false,
                '\\' if quoted => {
                    escaped = true;
                    false
                }
                '"' => {
                    quoted = !quoted;
                    false
                }
                character => character == self.separator && !quoted,
            }
        });
        if quoted {
            return Some(Err(Unclosed));
        }
        let (member, rest) = end.and_then(|end| text.split_at_checked(end)).unwrap_or((text, ""));
        self.rest = rest.strip_prefix(self.separator);
        Some(Ok(member))
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = Result<&'a str, Unclosed>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.cut()? {
                Ok(member) => match member.trim_matches([' ', '\t']) {
                    "" => {}
                    member => return Some(Ok(member)),
                },
                Err(unclosed) => return Some(Err(unclosed)),
            }
        }
    }
}

/// What a token or a quoted string says; `None` where it is neither. Allocates only for escapes.
pub(crate) fn unquote(text: &str) -> Option<Cow<'_, str>> {
    let Some(rest) = text.strip_prefix('"') else {
        return (!text.contains('"')).then_some(Cow::Borrowed(text));
    };
    let inside = rest.strip_suffix('"')?;
    if !inside.contains(['\\', '"']) {
        return Some(Cow::Borrowed(inside));
    }
    let mut said = String::with_capacity(inside.len());
    let mut characters = inside.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => said.push(characters.next()?),
            '"' => return None,
            character => said.push(character),
        }
    }
    Some(Cow::Owned(said))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(text: &str) -> Result<Vec<&str>, Unclosed> {
        members(text, ',').collect()
    }

    #[test]
    fn members_are_split_outside_of_quotes() {
        for (text, expected) in [
            ("", Ok(vec![])),
            ("a", Ok(vec!["a"])),
            ("a, b ,\tc", Ok(vec!["a", "b", "c"])),
            (",, a,", Ok(vec!["a"])),
            (r#"a="1,2", b"#, Ok(vec![r#"a="1,2""#, "b"])),
            (r#"a="1\",2", b"#, Ok(vec![r#"a="1\",2""#, "b"])),
            (r"a\,b", Ok(vec![r"a\", "b"])),
            (r#"a, b="1"#, Err(Unclosed)),
            (r#"a="1\", b"#, Err(Unclosed)),
        ] {
            assert_eq!(all(text), expected, "{text}");
        }
    }

    #[test]
    fn quotes_and_escapes_are_taken_off() {
        for (text, expected) in [
            ("a", Some("a")),
            (r#""a b""#, Some("a b")),
            (r#""""#, Some("")),
            (r#""a\"b\\""#, Some(r#"a"b\"#)),
            (r#"""#, None),
            (r#""a"#, None),
            (r#"a"b""#, None),
            (r#""a"b""#, None),
            (r#""a\""#, None),
        ] {
            assert_eq!(unquote(text).as_deref(), expected, "{text}");
        }
    }

    proptest! {
        /// What is quoted comes back, whatever stands around it.
        #[test]
        fn a_quoted_member_comes_back(said in "[a\",;\\\\ ]{0,8}", other in "[a-c]{1,3}") {
            let quoted = format!("\"{}\"", said.replace('\\', "\\\\").replace('"', "\\\""));
            let text = format!("{other},{quoted},{other}");
            let found = all(&text).unwrap();
            prop_assert_eq!(&found, &[&*other, &*quoted, &*other]);
            prop_assert_eq!(unquote(&quoted).unwrap(), said);
        }
    }
}
