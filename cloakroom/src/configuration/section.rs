//! Reads one table of the file, and remembers what was asked of it.
//!
//! Each key is declared once, in the call that reads it: name, form, default, description. A call never fails. A
//! wrong value is noted as a [`Problem`] and the default is used in its place, so that one run finds all mistakes;
//! whoever started the reading looks at the problems before using anything.

use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::document::{Document, Place};
use super::form::{Form, Wrong};
use super::problem::Problem;
use super::shape::{Default, Key, Many, Table};

/// More `[[tables]]` of one kind than this are refused.
const MAX_TABLES: usize = 1000;

/// One table, being read.
pub(crate) struct Section<'d> {
    document: &'d Document<'d>,
    /// Nothing: the file does not have it, and all its keys have their defaults.
    given: Option<&'d DeTable<'d>>,
    /// Where to point when something is missing.
    place: Place,
    /// Something in here is not built yet and was reported; what belongs to it is not reported again.
    excused: bool,
    /// Every key and table that was asked for.
    asked: Vec<&'static str>,
    shape: Table,
}

impl<'d> Section<'d> {
    pub(crate) fn new(
        document: &'d Document<'d>,
        given: Option<&'d DeTable<'d>>,
        place: Place,
        path: String,
        many: Many,
        text: &'static str,
    ) -> Self {
        let shape = Table { path, many, text, keys: Vec::new(), tables: Vec::new(), later: Vec::new() };
        Self { document, given, place, excused: false, asked: Vec::new(), shape }
    }

    /// A key with a default.
    pub(crate) fn value<F: Form>(
        &mut self,
        name: &'static str,
        form: &F,
        default: F::Value,
        text: &'static str,
    ) -> F::Value {
        let says = Default::Value(form.write(&default));
        self.declare(name, form, says, text).unwrap_or(default)
    }

    /// A key whose default is what holds elsewhere; `says` names that place.
    pub(crate) fn following<F: Form>(
        &mut self,
        name: &'static str,
        form: &F,
        default: F::Value,
        says: &'static str,
        text: &'static str,
    ) -> F::Value {
        let says = Default::Follows { value: form.write(&default), says };
        self.declare(name, form, says, text).unwrap_or(default)
    }

    /// A key that may be left out, and then there is no such thing.
    pub(crate) fn optional<F: Form>(
        &mut self,
        name: &'static str,
        form: &F,
        example: F::Value,
        text: &'static str,
    ) -> Option<F::Value> {
        let says = Default::Nothing(form.write(&example));
        self.declare(name, form, says, text)
    }

    /// A key that must be there. The example stands in for it when it is not, until the problem is seen.
    pub(crate) fn required<F: Form>(
        &mut self,
        name: &'static str,
        form: &F,
        example: F::Value,
        text: &'static str,
    ) -> F::Value {
        let written = form.write(&example);
        if self.find(name).is_none() && !self.document.describing && !self.excused {
            let table = self.title();
            let cure = format!("add a line such as `{name} = {written}`");
            self.document.wrong(&self.place, format!("{table} has no `{name}`"), cure);
        }
        self.declare(name, form, Default::Required(written), text).unwrap_or(example)
    }

    /// A name of a file, made absolute; `cure` says how to come by the file.
    pub(crate) fn existing(&self, name: &str, file: &Path, cure: &str) -> PathBuf {
        let path = self.document.folder.join(file);
        if self.document.look_for_files
            && self.given(name)
            && let Err(error) = std::fs::File::open(&path)
        {
            let message = format!("`{name}`: cannot read {}: {error}", path.display());
            self.wrong(name, message, cure.to_owned());
        }
        path
    }

    /// Names that are settled and that this version does not understand yet; `what` they belong to.
    pub(crate) fn later(&mut self, names: &[&'static str], what: &str) {
        for name in names {
            self.shape.later.push(name);
            let Some((key, _)) = self.find(name) else { continue };
            if !self.excused {
                let message = format!("`{name}` is not built yet: it belongs to {what}");
                self.document.push(self.key_problem(&key.span(), message, "remove it for now".to_owned()));
            }
        }
    }

    /// A name that only a build with this cargo feature understands.
    #[cfg_attr(feature = "otel", expect(dead_code, reason = "this build understands all names"))]
    pub(crate) fn unbuilt(&mut self, name: &'static str, feature: &str) {
        self.asked.push(name);
        let Some((key, _)) = self.find(name) else { return };
        if !self.excused {
            let message = format!("`{name}` is not in this build of Cloakroom");
            let cure = format!("build it with `cargo build --release --features {feature}`, or remove it");
            self.document.push(self.key_problem(&key.span(), message, cure));
        }
    }

    /// A table that may be left out without a difference.
    pub(crate) fn table<T>(
        &mut self,
        name: &'static str,
        text: &'static str,
        read: impl FnOnce(&mut Section<'d>) -> T,
    ) -> T {
        self.asked.push(name);
        let value = self.find(name).map(|(_, value)| value);
        self.descend(name, value, Many::One, text, read)
    }

    /// A table that turns something on.
    pub(crate) fn optional_table<T>(
        &mut self,
        name: &'static str,
        text: &'static str,
        read: impl FnOnce(&mut Section<'d>) -> T,
    ) -> Option<T> {
        self.asked.push(name);
        let value = self.find(name).map(|(_, value)| value);
        if value.is_none() && !self.document.describing {
            return None;
        }
        let read = self.descend(name, value, Many::Optional, text, read);
        value.map(|_| read)
    }

    /// `[[name]]`, any number of times.
    pub(crate) fn tables<T>(
        &mut self,
        name: &'static str,
        text: &'static str,
        mut read: impl FnMut(&mut Section<'d>) -> T,
    ) -> Vec<T> {
        self.asked.push(name);
        let Some((key, value)) = self.find(name) else {
            if self.document.describing {
                self.descend(name, None, Many::List, text, read);
            }
            return Vec::new();
        };
        let Some(array) = value.get_ref().as_array() else {
            let message = format!("`{name}` may stand several times, and is written as a list of tables");
            self.document.push(self.key_problem(&key.span(), message, format!("say `[[{name}]]`")));
            return Vec::new();
        };
        if array.len() > MAX_TABLES {
            let message = format!("there are {} `[[{name}]]`", array.len());
            self.document.wrong(&key.span(), message, format!("at most {MAX_TABLES} are possible"));
        }
        let mut found = Vec::new();
        for element in array.iter().take(MAX_TABLES) {
            found.push(self.descend(name, Some(element), Many::List, text, &mut read));
        }
        found
    }

    /// What has no effect under these circumstances does not count as effective.
    pub(crate) fn without_effect(&mut self, names: &[&str]) {
        for key in self.shape.keys.iter_mut().filter(|key| names.contains(&key.name)) {
            key.effective = None;
        }
        self.shape.tables.retain(|table| self.document.describing || !names.contains(&table.name()));
    }

    /// The file that this is a section of.
    pub(crate) fn document(&self) -> &'d Document<'d> {
        self.document
    }

    /// Whether the file has this key.
    pub(crate) fn given(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// Whether something in here is not built yet: what belongs to it is not worth a word.
    pub(crate) const fn is_excused(&self) -> bool {
        self.excused
    }

    /// Whether the file has this key, with a value that is right.
    pub(crate) fn is_read(&self, name: &str) -> bool {
        self.given(name) && self.shape.keys.iter().any(|key| key.name == name && key.effective.is_some())
    }

    /// Where the key stands, or else the section.
    pub(crate) fn place(&self, name: &str) -> Place {
        self.find(name).map_or_else(|| self.place.clone(), |(_, value)| self.inside(value))
    }

    /// Notes that the value of a key is wrong, or that it is missing.
    pub(crate) fn wrong(&self, name: &str, message: impl Into<String>, cure: impl Into<String>) {
        self.document.wrong(&self.place(name), message, cure);
    }

    /// Notes that the value of a key is unwise.
    pub(crate) fn warn(&self, name: &str, message: impl Into<String>, cure: impl Into<String>) {
        self.document.warn(&self.place(name), message, cure);
    }

    /// Ends the reading: what nobody asked for is unknown.
    pub(crate) fn finish(self) -> Table {
        if let (Some(table), false) = (self.given, self.excused) {
            for key in table.keys() {
                if !self.knows(key.get_ref()) {
                    self.unknown(key);
                }
            }
        }
        self.shape
    }

    fn declare<F: Form>(
        &mut self,
        name: &'static str,
        form: &F,
        default: Default,
        text: &'static str,
    ) -> Option<F::Value> {
        self.asked.push(name);
        let value = self.find(name).and_then(|(key, value)| match form.read(value) {
            Ok(read) => Some(read),
            Err(wrongs) => {
                for wrong in wrongs {
                    self.report(name, key, value, wrong);
                }
                None
            }
        });
        let effective = match (&value, &default) {
            (Some(value), _) => Some(form.write(value)),
            (None, Default::Value(default) | Default::Follows { value: default, .. }) => {
                Some(default.clone())
            }
            (None, Default::Required(_) | Default::Nothing(_)) => None,
        };
        let place = self.find(name).map(|(key, _)| key.span().start);
        self.shape.keys.push(Key { name, kind: form.kind(), default, text, effective, place });
        value
    }

    fn report(&mut self, name: &str, key: &Spanned<impl Sized>, value: &Spanned<DeValue<'_>>, wrong: Wrong) {
        let Wrong { place, problem, cure, later, secret } = wrong;
        if later {
            if self.excused {
                return;
            }
            self.excused = true;
        }
        let document = self.document;
        let shown = match &place {
            _ if secret => format!("`{name}`"),
            Some(element) => format!("`{}` in `{name}`", document.excerpt(element)),
            None => format!("`{name} = {}`", document.excerpt(&value.span())),
        };
        let place = place.unwrap_or_else(|| self.inside(value));
        // An empty value has nothing to underline.
        let place = if place.is_empty() { key.span() } else { place };
        let problem = document.problem(&place, format!("{shown} {problem}"), cure);
        document.push(if secret { problem.without_mark() } else { problem });
    }

    fn descend<T>(
        &mut self,
        name: &str,
        value: Option<&'d Spanned<DeValue<'d>>>,
        many: Many,
        text: &'static str,
        read: impl FnOnce(&mut Section<'d>) -> T,
    ) -> T {
        let given = value.and_then(|value| self.as_table(name, value));
        let place = value.map_or_else(|| self.place.clone(), Spanned::span);
        let path = match self.shape.path.as_str() {
            "" => name.to_owned(),
            outer => format!("{outer}.{name}"),
        };
        let mut section = Section::new(self.document, given, place, path, many, text);
        // What should be a table and is none was reported; what it lacks is not worth a word.
        section.excused = self.excused || value.is_some() && given.is_none();
        let read = read(&mut section);
        self.shape.tables.push(section.finish());
        read
    }

    fn as_table(&self, name: &str, value: &'d Spanned<DeValue<'d>>) -> Option<&'d DeTable<'d>> {
        let found = value.get_ref();
        if found.as_table().is_none() {
            let (problem, cure) = match found {
                DeValue::Array(_) => (format!("`{name}` may stand only once"), format!("say `[{name}]`")),
                _ => (
                    format!("`{name}` is a table, not {}", super::form::name_of(found)),
                    format!("say `[{name}]`, and its keys below"),
                ),
            };
            self.document.wrong(&value.span(), problem, cure);
        }
        found.as_table()
    }

    fn unknown(&self, key: &Spanned<impl AsRef<str>>) {
        let name = key.get_ref().as_ref();
        let table = self.title();
        let shown = self.document.excerpt(&key.span());
        let message = format!("`{shown}` is not a key of {table}");
        let near = |known: &&&str| {
            let distance = strsim::damerau_levenshtein(known, &name.to_lowercase());
            (distance <= known.len().div_ceil(3)).then_some(distance)
        };
        let closest = self.asked.iter().filter(|known| near(known).is_some()).min_by_key(near);
        let inner = self.shape.tables.iter().find(|inner| inner.keys.iter().any(|key| key.name == name));
        let cure = match (closest, inner) {
            (_, Some(inner)) => format!("it belongs to `[{}]`", inner.path),
            (Some(known), None) => format!("did you mean `{known}`?"),
            (None, None) => format!("{table} knows {}", super::form::enumerate(&self.asked, "and")),
        };
        self.document.push(self.key_problem(&key.span(), message, cure));
    }

    /// A problem with a key whose value is none of ours: it is not shown.
    fn key_problem(&self, place: &Place, message: String, cure: String) -> Problem {
        self.document.problem(place, message, cure).without_value()
    }

    fn knows(&self, name: &str) -> bool {
        self.asked.contains(&name) || self.shape.later.contains(&name)
    }

    fn title(&self) -> String {
        match (self.shape.many, self.shape.path.as_str()) {
            (_, "") => "the top of the file".to_owned(),
            (Many::List, path) => format!("`[[{path}]]`"),
            (_, path) => format!("`[{path}]`"),
        }
    }

    fn find(&self, name: &str) -> Option<(&'d Spanned<std::borrow::Cow<'d, str>>, &'d Spanned<DeValue<'d>>)> {
        self.given?.get_key_value(name)
    }

    /// The place of a value, without its quotes where that is possible.
    fn inside(&self, value: &Spanned<DeValue<'_>>) -> Place {
        let place = value.span();
        match value.get_ref() {
            DeValue::String(text) if !text.is_empty() && place.len() == text.len() + 2 => {
                place.start + 1..place.end - 1
            }
            _ => place,
        }
    }
}
