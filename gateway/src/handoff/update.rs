//! What an application wants changed.

use dialects::apache::form;
use http::HeaderValue;
use session::{MAX_DEPTH, Millis, Patch, Revision, Value};

use super::json::Unread;
use super::{Format, json};

/// The update headers of one response, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// All changes, relative to the revision that the application saw. Where a name came again, the last change counts.
    pub patch: Patch,
    /// What could not be read, and so is not in the patch: for the log and the metric.
    pub notes: Vec<Note>,
}

/// Something in an update header that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("update header {header}: {problem}")]
pub struct Note {
    /// Which of the headers, counted from 1.
    pub header: usize,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with an update header, without what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// It is not read at all.
    #[error("{0}")]
    Form(form::FormError),
    /// One pair is not read.
    #[error("{0}")]
    Pair(form::Note),
    /// It is not read at all.
    #[error("it is no JSON object (byte {at}): send `{{\"name\": \"value\"}}`")]
    Json {
        /// Where reading ended, counted from 1.
        at: usize,
    },
    /// A name is no text, or empty.
    #[error("member {member} has no name, or one that is no UTF-8: name it in UTF-8")]
    Name {
        /// Which one, counted from 1.
        member: usize,
    },
    /// A value is nested too deep.
    #[error("member {member} is nested more than {MAX_DEPTH} levels deep: nest less")]
    Depth {
        /// Which one, counted from 1.
        member: usize,
    },
    /// `expiry` is no number.
    #[error("`expiry` is no number: send microseconds since 1970")]
    Expiry,
}

/// Reads the update headers of a response, in order, into one patch.
///
/// A header that cannot be read as a whole is left out, and told; so is a pair of a form. The others count. In a form an
/// empty value removes an entry, in JSON `null` does. `expiry` brings the end of the session nearer.
///
/// `limits` are for all headers together, so that an answer costs no more work for coming in many; a value nested in JSON
/// counts as a pair. A header for which nothing is left is left out, and what was tried counts.
#[must_use]
pub fn receive(values: &[HeaderValue], format: Format, seen: Revision, limits: form::Limits) -> Received {
    let mut left = limits;
    let mut received = Received { patch: Patch::new(seen), notes: Vec::new() };
    for (index, value) in values.iter().enumerate() {
        let header = index + 1;
        let mut note = |problem| received.notes.push(Note { header, problem });
        let read = match format {
            Format::Form => read_form(value.as_bytes(), &mut left, &mut received.patch, &mut note),
            Format::Json => read_json(value.as_bytes(), &mut left, &mut received.patch, &mut note),
        };
        if let Err(problem) = read {
            note(problem);
        }
    }
    received
}

fn read_form(
    text: &[u8],
    left: &mut form::Limits,
    patch: &mut Patch,
    note: &mut impl FnMut(Problem),
) -> Result<(), Problem> {
    let form = form::decode(text, *left).map_err(Problem::Form);
    left.bytes = left.bytes.saturating_sub(text.len());
    let pairs = text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()).count();
    left.pairs = left.pairs.saturating_sub(pairs);
    let form = form?;
    for (index, pair) in form.pairs.into_iter().enumerate() {
        match (pair.name(), &pair.value) {
            (Some(name), Some(value)) => patch.set(name, value.clone()),
            (Some(name), None) => patch.remove(name),
            (None, _) => note(Problem::Name { member: index + 1 }),
        }
    }
    if let Some(expiry) = form.expiry {
        bring_end(patch, expiry);
    }
    form.notes.into_iter().for_each(|pair| note(Problem::Pair(pair)));
    Ok(())
}

fn read_json(
    text: &[u8],
    left: &mut form::Limits,
    patch: &mut Patch,
    note: &mut impl FnMut(Problem),
) -> Result<(), Problem> {
    let limit = *left;
    left.bytes = limit.bytes.saturating_sub(text.len());
    if text.len() > limit.bytes {
        return Err(Problem::Form(form::FormError::TooLong { bytes: text.len(), limit: limit.bytes }));
    }
    let members = json::members(text, &mut left.pairs).map_err(|unread| match unread {
        Unread::Json(error) => Problem::Json { at: error.column() },
        Unread::TooMany => Problem::Form(form::FormError::TooManyPairs { limit: limit.pairs }),
    })?;
    for (index, (name, value)) in members.into_iter().enumerate() {
        let member = index + 1;
        match value {
            _ if name.is_empty() => note(Problem::Name { member }),
            value if form::is_expiry(name.as_bytes()) => match microseconds(value.as_ref()) {
                Some(expiry) => bring_end(patch, expiry),
                None => note(Problem::Expiry),
            },
            Some(value) if !value.is_at_most(MAX_DEPTH) => note(Problem::Depth { member }),
            Some(value) => patch.set(&name, value),
            None => patch.remove(&name),
        }
    }
    Ok(())
}

fn microseconds(value: Option<&Value>) -> Option<i64> {
    match value {
        None => Some(0),
        Some(value) => value.as_text()?.parse().ok(),
    }
}

/// Where several headers speak of the end, the last one counts. 0 says that there is none.
fn bring_end(patch: &mut Patch, microseconds: i64) {
    patch.ends = (microseconds != 0).then(|| Millis(u64::try_from(microseconds).unwrap_or_default() / 1000));
}
