//! `[[keys]]`: the keys that seal.

use std::path::PathBuf;

use seal::KeyState;

use super::document::Place;
use super::form::{Choice, Text};
use super::names::{FileName, Identifier};
use super::section::Section;

/// One of `[[keys]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFile {
    /// What a sealed value names its key by.
    pub id: String,
    /// 32 bytes in base64.
    pub file: PathBuf,
    /// What it is used for.
    pub state: KeyState,
}

const KEY_STATE: Choice<KeyState> = Choice {
    words: &[
        ("announced", KeyState::Announced),
        ("active", KeyState::Active),
        ("retiring", KeyState::Retiring),
    ],
    later: &[],
};

impl KeyFile {
    /// Reads the section; the places are those of the id and of the state.
    pub(crate) fn read(section: &mut Section<'_>) -> (Self, Place, Place) {
        let id = section.required(
            "id",
            &Text(Identifier),
            "2026-11".to_owned(),
            "What a sealed value names its key by.",
        );
        let file = section.required(
            "file",
            &Text(FileName),
            PathBuf::from("keys/2026-11.key"),
            "32 bytes in base64; `cloakroom keys new` makes one. Relative to the folder of this file.",
        );
        let state = section.value(
            "state",
            &KEY_STATE,
            KeyState::Active,
            "`active`: seals and opens, and of several the first seals; `announced`: opens, and will be active soon; `retiring`: \
             opens what it once sealed.",
        );
        let file =
            section.existing("file", &file, &format!("`cloakroom keys new {}` makes one", file.display()));
        (Self { id, file, state }, section.place("id"), section.place("state"))
    }
}
