//! What is wrong in a configuration file: where, why, and what would be right.
//!
//! A problem keeps the one line that it is about and nothing else of the file, and a value that might be a
//! password is blotted out of that line before it is kept: what is printed here ends up in logs.

use std::fmt;
use std::ops::Range;

use miette::{LabeledSpan, MietteError, MietteSpanContents, Severity, SourceCode, SourceSpan, SpanContents};

/// How much of a very long line is shown on each side of the fault, in characters.
const CONTEXT: usize = 100;

/// One thing that is wrong, or unwise, at one place of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file as the caller named it.
    pub file: String,
    /// Counted from one.
    pub line: usize,
    /// Counted from one, in characters.
    pub column: usize,
    /// What is wrong, with the key and its value.
    pub message: String,
    /// What would be right.
    pub cure: String,
    /// A warning does not keep Cloakroom from starting.
    pub warning: bool,
    shown: Line,
}

impl Problem {
    /// A problem at `place`, a range of bytes in `text`.
    pub(crate) fn at(file: &str, text: &str, place: &Range<usize>, message: String, cure: String) -> Self {
        let start = floor(text, place.start);
        let end = floor(text, place.end).max(start);
        let (before, rest) = text.split_at_checked(start).unwrap_or((text, ""));
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let before_on_line = before.get(line_start..).unwrap_or("");
        let line_end = rest.find('\n').unwrap_or(rest.len());
        let (on_line, _) = rest.split_at_checked(line_end).unwrap_or((rest, ""));
        let (marked, after) = on_line.split_at_checked(end - start).unwrap_or((on_line, ""));
        Self {
            file: file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before_on_line.chars().count() + 1,
            message,
            cure,
            warning: false,
            shown: Line::new(before.matches('\n').count(), before_on_line, marked, after),
        }
    }

    /// The same as a warning: worth knowing, not in the way.
    pub(crate) fn into_warning(mut self) -> Self {
        self.warning = true;
        self
    }

    /// Blots out the value behind the marked key: it is none of ours and may be a password.
    pub(crate) fn without_value(mut self) -> Self {
        let after = self.shown.text.get(self.shown.marked.end..).unwrap_or("");
        if let Some(equals) = after.find('=') {
            self.shown.text.truncate(self.shown.marked.end + equals);
            self.shown.text.push_str("= \u{2026}");
        }
        self
    }

    /// Blots out the marked value itself.
    pub(crate) fn without_mark(mut self) -> Self {
        let Range { start, end } = self.shown.marked;
        let stars = "*".repeat(3);
        self.shown.text.replace_range(start..end, &stars);
        self.shown.marked = start..start + stars.len();
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, message, .. } = self;
        write!(formatter, "{file}:{line}:{column}: {message}")
    }
}

impl std::error::Error for Problem {}

impl miette::Diagnostic for Problem {
    fn severity(&self) -> Option<Severity> {
        Some(if self.warning { Severity::Warning } else { Severity::Error })
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.shown)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let label = LabeledSpan::new_with_span(Some(self.cure.clone()), self.shown.marked.clone());
        Some(Box::new(std::iter::once(label)))
    }
}

/// Everything that is wrong in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    file: String,
    list: Vec<Problem>,
}

impl Problems {
    pub(crate) fn new(file: &str, list: Vec<Problem>) -> Self {
        Self { file: file.to_owned(), list }
    }

    /// In the order in which they stand in the file.
    pub fn list(&self) -> &[Problem] {
        &self.list
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, list } = self;
        match list.len() {
            1 => write!(formatter, "{file} has a mistake"),
            count => write!(formatter, "{file} has {count} mistakes"),
        }
    }
}

impl std::error::Error for Problems {}

impl miette::Diagnostic for Problems {
    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn miette::Diagnostic> + 'a>> {
        Some(Box::new(self.list.iter().map(|problem| problem as &dyn miette::Diagnostic)))
    }
}

/// The line that a problem shows, fit for a terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    /// Counted from zero, as the drawing wants it.
    number: usize,
    text: String,
    marked: Range<usize>,
}

impl Line {
    fn new(number: usize, before: &str, marked: &str, after: &str) -> Self {
        let skipped = before.chars().count().saturating_sub(CONTEXT);
        let mut text: String = before.chars().skip(skipped).map(printable).collect();
        let start = text.len();
        text.extend(marked.chars().take(CONTEXT).map(printable));
        let end = text.len();
        text.extend(after.trim_end().chars().take(CONTEXT).map(printable));
        Self { number, text, marked: start..end }
    }
}

impl SourceCode for Line {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        lines_before: usize,
        lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let inner = self.text.read_span(span, lines_before, lines_after)?;
        Ok(Box::new(MietteSpanContents::new(
            inner.data(),
            *inner.span(),
            inner.line() + self.number,
            inner.column(),
            inner.line_count(),
        )))
    }
}

/// A control character in the file must not reach the terminal.
fn printable(character: char) -> char {
    match character {
        '\t' => ' ',
        character if character.is_control() => '\u{fffd}',
        character => character,
    }
}

/// The nearest boundary of a character at or before `index`.
fn floor(text: &str, index: usize) -> usize {
    text.floor_char_boundary(index)
}
