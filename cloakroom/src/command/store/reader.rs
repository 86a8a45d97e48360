//! Reading a dump: line by line, bounded, and only what is whole, ours and of a version that we know.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use aws_lc_rs::digest::{Context, SHA256};
use seal::Keys;
use serde::Deserialize;

use super::Place;
use super::lines::{Content, End, FORMAT, Header, Line, NotOurs, VERSION, Written};

/// The most bytes of a line: the largest value of any engine of ours in base64, and the rest of the line.
const MAX_LINE: u64 = 32 << 20;

/// Why a dump cannot be used.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub(super) enum Unusable {
    #[error("{place} cannot be read")]
    Unreadable {
        place: String,
        #[source]
        cause: io::Error,
    },
    #[error("{place} is no dump of Cloakroom")]
    #[diagnostic(help("`cloakroom store dump` makes one"))]
    Foreign { place: String },
    #[error("{place} is a dump of version {found}, and this Cloakroom reads up to {VERSION}")]
    #[diagnostic(help("load it with the Cloakroom that made it, or a newer one"))]
    Newer { place: String, found: u32 },
    #[error("{place} ends in line {line}, before its end: it is not whole")]
    #[diagnostic(help(
        "if the dump was broken off, finish it with `cloakroom store dump --resume`; if it was cut on its way, copy it again"
    ))]
    CutOff { place: String, line: u64 },
    #[error("line {line} of {place} cannot be used: {why}")]
    #[diagnostic(help(
        "only the keys of the installation that made the dump open it: use a configuration with the same keys; if they are \
         the same, the file was changed: copy it again, or make another one"
    ))]
    NotOurs {
        place: String,
        line: u64,
        #[source]
        why: NotOurs,
    },
    #[error("line {line} of {place} is no line of a dump: {why}")]
    #[diagnostic(help("the file was changed: copy it again, or make another one"))]
    Malformed { place: String, line: u64, why: String },
    #[error("{place} was changed: {why}")]
    #[diagnostic(help("copy it again, or make another one"))]
    Changed { place: String, why: &'static str },
}

/// The lines of a dump.
pub(super) struct Reader {
    from: Box<dyn BufRead + Send>,
    place: String,
    header: Header,
    digest: Context,
    line: u64,
    offset: u64,
}

/// What is to come.
pub(super) enum Next {
    Line(Line),
    /// The end of the input, in the middle of a line or after one.
    Nothing,
}

#[derive(Deserialize)]
struct AnyHeader {
    header: Declared,
}

#[derive(Deserialize)]
struct Declared {
    format: String,
    version: u32,
}

impl Reader {
    /// Reads the header.
    pub(super) fn open(place: &Place) -> Result<Self, Unusable> {
        let (name, from): (_, Box<dyn BufRead + Send>) = match place {
            Place::Standard => ("standard input".to_owned(), Box::new(BufReader::new(io::stdin()))),
            Place::File(path) => (path.display().to_string(), Box::new(BufReader::new(file(path)?))),
        };
        Self::new(from, name)
    }

    fn new(from: Box<dyn BufRead + Send>, place: String) -> Result<Self, Unusable> {
        let nobodys = Header {
            format: String::new(),
            version: 0,
            dump: String::new(),
            made: 0,
            storage: String::new(),
            engine: String::new(),
        };
        let digest = Context::new(&SHA256);
        let mut reader = Self { from, place, header: nobodys, digest, line: 0, offset: 0 };
        let foreign = |reader: &Self| Unusable::Foreign { place: reader.place.clone() };
        let bytes = reader.bytes()?.ok_or_else(|| foreign(&reader))?;
        let any: AnyHeader = serde_json::from_slice(&bytes).map_err(|_| foreign(&reader))?;
        if any.header.format != FORMAT {
            return Err(foreign(&reader));
        }
        if any.header.version > VERSION {
            return Err(Unusable::Newer { place: reader.place, found: any.header.version });
        }
        let Ok(Line::Header(header)) = serde_json::from_slice(&bytes) else { return Err(foreign(&reader)) };
        reader.digest.update(&bytes);
        reader.header = header;
        Ok(reader)
    }

    /// What the file is.
    pub(super) const fn header(&self) -> &Header {
        &self.header
    }

    /// How many bytes were read.
    pub(super) const fn offset(&self) -> u64 {
        self.offset
    }

    /// The next line.
    pub(super) fn next(&mut self) -> Result<Next, Unusable> {
        let Some(bytes) = self.bytes()? else { return Ok(Next::Nothing) };
        let line: Line = serde_json::from_slice(&bytes).map_err(|error| self.malformed(error.to_string()))?;
        match &line {
            Line::Header(_) => return Err(self.malformed("it is a second header".to_owned())),
            // It says what everything before it must be.
            Line::End(_) => {}
            Line::Record(_) | Line::Tombstone(_) | Line::Checkpoint(_) => self.digest.update(&bytes),
        }
        Ok(Next::Line(line))
    }

    /// What the line holds that was read last.
    pub(super) fn content(&self, line: Line, keys: &Keys) -> Result<Option<Content>, Unusable> {
        line.open(&self.header.dump, keys).map_err(|why| Unusable::NotOurs {
            place: self.place.clone(),
            line: self.line,
            why,
        })
    }

    /// What everything before the end must have for a digest.
    pub(super) fn digest(&self) -> Context {
        self.digest.clone()
    }

    /// Whether `end` is that of what was read, which had so much in it. Nothing may follow it.
    pub(super) fn finish(&mut self, end: &End, read: Written) -> Result<(), Unusable> {
        let changed = |why| Unusable::Changed { place: self.place.clone(), why };
        if !end.is_of(self.digest().finish().as_ref()) {
            return Err(changed("its lines are not those that its end speaks of"));
        }
        if (end.written.records, end.written.tombstones) != (read.records, read.tombstones) {
            return Err(changed("it has more or fewer records than its end says"));
        }
        let mut more = [0; 1];
        let rest = self.from.read(&mut more).map_err(|cause| unreadable(&self.place, cause))?;
        if rest > 0 { Err(changed("something follows its end")) } else { Ok(()) }
    }

    /// It ends where it must not.
    pub(super) fn cut_off(&self) -> Unusable {
        Unusable::CutOff { place: self.place.clone(), line: self.line }
    }

    fn malformed(&self, why: String) -> Unusable {
        Unusable::Malformed { place: self.place.clone(), line: self.line, why }
    }

    /// The next whole line, with its end; none after the last one.
    fn bytes(&mut self) -> Result<Option<Vec<u8>>, Unusable> {
        self.line += 1;
        let mut bytes = Vec::new();
        let read = self.from.by_ref().take(MAX_LINE).read_until(b'\n', &mut bytes);
        read.map_err(|cause| unreadable(&self.place, cause))?;
        if bytes.last() != Some(&b'\n') {
            if bytes.len() as u64 >= MAX_LINE {
                return Err(self.malformed("it is too long".to_owned()));
            }
            return Ok(None);
        }
        self.offset += bytes.len() as u64;
        Ok(Some(bytes))
    }
}

/// Reads all of a file before anything is done with it: whether it is whole, ours, and as it was written.
pub(super) fn verify(path: &Path, keys: &Keys) -> Result<(Header, End), Unusable> {
    let mut reader = Reader::open(&Place::File(path.to_owned()))?;
    let mut read = Written::default();
    loop {
        let Next::Line(line) = reader.next()? else { return Err(reader.cut_off()) };
        match line {
            Line::Record(_) => read.records += 1,
            Line::Tombstone(_) => read.tombstones += 1,
            Line::Header(_) | Line::Checkpoint(_) => {}
            Line::End(_) => {
                if let Some(Content::End(end)) = reader.content(line, keys)? {
                    reader.finish(&end, read)?;
                    return Ok((reader.header, end));
                }
            }
        }
    }
}

/// The lines of a verified file from a byte on, where a line begins.
pub(super) fn from(path: &Path, header: Header, offset: u64) -> Result<Reader, Unusable> {
    let place = path.display().to_string();
    let mut from = file(path)?;
    from.seek(SeekFrom::Start(offset)).map_err(|cause| unreadable(&place, cause))?;
    let digest = Context::new(&SHA256);
    Ok(Reader { from: Box::new(BufReader::new(from)), place, header, digest, line: 0, offset })
}

fn file(path: &Path) -> Result<File, Unusable> {
    File::open(path).map_err(|cause| unreadable(&path.display().to_string(), cause))
}

fn unreadable(place: &str, cause: io::Error) -> Unusable {
    Unusable::Unreadable { place: place.to_owned(), cause }
}
