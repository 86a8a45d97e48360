//! The change stream as Server-Sent Events (HTML, 9.2).
//!
//! ```text
//! id: 81234
//! event: change
//! data: base64 of key, version and kind
//!
//! id: 81235
//! event: gap
//! data: -
//!
//! : a heartbeat
//! ```
//!
//! The id is the position after the notice. An end point draws where its positions begin when it starts, so that one from
//! before a restart is not taken for one of its own.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use storage::{Change, Key, Kind, Notice, Position, Version};

use super::wire::{Damaged, decode, encode};

/// A line longer than this is none of ours, in bytes: a key has 510 at most, and base64 makes a third more of them.
const MAX_LINE: usize = 1024;

/// What nothing has happened looks like.
pub const HEARTBEAT_TEXT: &str = ":\n\n";

/// A notice as an event.
#[must_use]
pub fn event(position: Position, notice: &Notice) -> String {
    match notice {
        Notice::Gap => format!("id: {}\nevent: gap\ndata: -\n\n", position.0),
        Notice::Change(Change { key, version, kind, .. }) => {
            let data = STANDARD_NO_PAD.encode(encode(&(key, (version, kind))));
            format!("id: {}\nevent: change\ndata: {data}\n\n", position.0)
        }
    }
}

/// Takes events out of bytes as they come, however they are cut.
#[derive(Debug, Default)]
pub struct EventReader {
    line: Vec<u8>,
    position: Option<Position>,
    kind: Option<EventKind>,
    data: Option<Bytes>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EventKind {
    Change,
    Gap,
    /// Of a newer build, which does not count on being understood.
    Unknown,
}

impl EventReader {
    /// Takes more bytes, and appends the notices that are whole now.
    ///
    /// # Errors
    /// They are no change stream.
    pub fn take(&mut self, bytes: &[u8], notices: &mut Vec<Notice>) -> Result<(), Damaged> {
        for byte in bytes {
            if *byte != b'\n' {
                if self.line.len() == MAX_LINE {
                    return Err(Damaged("a line of the change stream is too long"));
                }
                self.line.push(*byte);
                continue;
            }
            let line = std::mem::take(&mut self.line);
            self.take_line(line.strip_suffix(b"\r").unwrap_or(&line), notices)?;
            // It is used again.
            self.line = line;
            self.line.clear();
        }
        Ok(())
    }

    fn take_line(&mut self, line: &[u8], notices: &mut Vec<Notice>) -> Result<(), Damaged> {
        if line.is_empty() {
            return self.end_event(notices);
        }
        let text = std::str::from_utf8(line).map_err(|_| Damaged("the change stream is no text"))?;
        let (field, value) = text.split_once(':').unwrap_or((text, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => {
                let position = value.parse().map_err(|_| Damaged("a position is no number"))?;
                self.position = Some(Position(position));
            }
            "event" => {
                self.kind = Some(match value {
                    "change" => EventKind::Change,
                    "gap" => EventKind::Gap,
                    _ => EventKind::Unknown,
                });
            }
            "data" if self.kind == Some(EventKind::Change) => {
                let data = STANDARD_NO_PAD.decode(value);
                self.data = Some(data.map_err(|_| Damaged("a change is no base64"))?.into());
            }
            // Comments, which have no name, and what may come later.
            _ => {}
        }
        Ok(())
    }

    fn end_event(&mut self, notices: &mut Vec<Notice>) -> Result<(), Damaged> {
        let (kind, data, position) = (self.kind.take(), self.data.take(), self.position.take());
        match kind {
            None | Some(EventKind::Unknown) => {}
            Some(EventKind::Gap) => notices.push(Notice::Gap),
            Some(EventKind::Change) => {
                let (Some(position), Some(data)) = (position, data) else {
                    return Err(Damaged("a change has no position or no data"));
                };
                let (key, (version, kind)): (Key, (Version, Kind)) = decode(&data)?;
                notices.push(Notice::Change(Change { position, key, version, kind }));
            }
        }
        Ok(())
    }
}
