//! The file that is being read: its text, and what was found to be wrong in it.

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::path::Path;

use toml::de::DeTable;

use super::problem::Problem;
use super::section::Section;
use super::shape::Many;

/// More mistakes than this in one file are counted as one more.
const MAX_PROBLEMS: usize = 50;
/// Where something stands in the file, in bytes.
pub(crate) type Place = Range<usize>;

/// The file that is being read.
pub(crate) struct Document<'d> {
    name: &'d str,
    text: &'d str,
    /// What relative names of files start from.
    pub(crate) folder: &'d Path,
    /// Whether the files that are named must be there.
    pub(crate) look_for_files: bool,
    /// Every table is visited, also those that are left out.
    pub(crate) describing: bool,
    problems: RefCell<Vec<Problem>>,
    left_out: Cell<usize>,
}

impl<'d> Document<'d> {
    pub(crate) fn new(name: &'d str, text: &'d str, folder: &'d Path) -> Self {
        Self {
            name,
            text,
            folder,
            look_for_files: false,
            describing: false,
            problems: RefCell::new(Vec::new()),
            left_out: Cell::new(0),
        }
    }

    /// An empty file of which every table is visited, to learn what there is.
    pub(crate) fn describing() -> Self {
        Self { describing: true, ..Self::new("", "", Path::new("")) }
    }

    /// Makes a file that is named but is not there a problem.
    pub(crate) fn looking_for_files(self) -> Self {
        Self { look_for_files: true, ..self }
    }

    /// The file itself as a section.
    pub(crate) fn root(&'d self, table: &'d DeTable<'d>) -> Section<'d> {
        Section::new(self, Some(table), 0..0, String::new(), Many::One, "")
    }

    /// As messages call it.
    pub(crate) fn name(&self) -> &'d str {
        self.name
    }

    pub(crate) fn wrong(&self, place: &Place, message: impl Into<String>, cure: impl Into<String>) {
        self.push(Problem::at(self.name, self.text, place, message.into(), cure.into()));
    }

    pub(crate) fn warn(&self, place: &Place, message: impl Into<String>, cure: impl Into<String>) {
        self.push(Problem::at(self.name, self.text, place, message.into(), cure.into()).into_warning());
    }

    /// A problem that is not noted yet.
    pub(crate) fn problem(&self, place: &Place, message: String, cure: String) -> Problem {
        Problem::at(self.name, self.text, place, message, cure)
    }

    /// The line of a place, counted from one.
    pub(crate) fn line(&self, place: &Place) -> usize {
        self.text.get(..place.start).unwrap_or("").matches('\n').count() + 1
    }

    /// What was found, in the order of the file.
    pub(crate) fn into_problems(self) -> Vec<Problem> {
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|problem| (problem.line, problem.column));
        let left_out = self.left_out.get();
        if left_out > 0 {
            let cure = "mend the others first".to_owned();
            problems.push(Problem::at(
                self.name,
                self.text,
                &(0..0),
                format!("{left_out} more mistakes are not shown"),
                cure,
            ));
        }
        problems
    }

    pub(crate) fn push(&self, problem: Problem) {
        let mut problems = self.problems.borrow_mut();
        if problems.len() < MAX_PROBLEMS {
            problems.push(problem);
        } else {
            self.left_out.set(self.left_out.get() + 1);
        }
    }

    /// What stands in the file at `place`, short enough for a message.
    pub(crate) fn excerpt(&self, place: &Place) -> String {
        let text = self.text.get(place.clone()).unwrap_or("");
        let line = text.lines().next().unwrap_or("");
        let short: String = line.chars().filter(|character| !character.is_control()).take(60).collect();
        if short.len() < text.len() { format!("{short}\u{2026}") } else { short }
    }
}
