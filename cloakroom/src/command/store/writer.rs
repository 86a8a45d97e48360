//! Writing a dump, and going on with one that was broken off.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Seek as _, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use aws_lc_rs::digest::{Context, SHA256};
use miette::{IntoDiagnostic as _, WrapErr as _, miette};
use seal::Keys;
use storage::Version;

use super::Place;
use super::lines::{Checkpoint, Header, Line, Written};
use super::reader::{Next, Reader};

/// A dump that is being written.
pub(super) struct Writer {
    to: BufWriter<Box<dyn Write + Send>>,
    /// The same file, to see to it that it is on the disk.
    file: Option<File>,
    digest: Context,
    dump: String,
    written: Written,
}

/// What was found of a dump that was broken off.
pub(super) enum Found {
    /// It goes on there.
    Part(Box<Writer>, Option<Vec<u8>>),
    /// Nothing is missing.
    Whole(Written),
}

impl Writer {
    /// Begins a dump. A file that is there is not touched.
    pub(super) fn create(place: &Place, header: Header) -> miette::Result<Self> {
        let (to, file): (Box<dyn Write + Send>, _) = match place {
            Place::Standard => (Box::new(io::stdout()), None),
            Place::File(path) => {
                let file = new_file(path)?;
                (Box::new(file.try_clone().into_diagnostic()?), Some(file))
            }
        };
        let digest = Context::new(&SHA256);
        let dump = header.dump.clone();
        let mut writer = Self { to: BufWriter::new(to), file, digest, dump, written: Written::default() };
        writer.write(&Line::Header(header))?;
        // So that a dump that was broken off in its first page can be gone on with.
        writer.to.flush().into_diagnostic()?;
        Ok(writer)
    }

    /// Goes on with the dump in `path`, which must be of the storage service `id`, from its last checkpoint.
    pub(super) fn resume(path: &Path, id: &str, keys: &Keys) -> miette::Result<Found> {
        let mut reader = Reader::open(&Place::File(path.to_owned()))?;
        if reader.header().storage != id {
            return Err(miette!(
                help = "name that one as `--storage`, or another file as `--to`",
                "{} is a dump of the storage `{}`, not of `{id}`",
                path.display(),
                reader.header().storage
            ));
        }
        let (mut offset, mut digest) = (reader.offset(), reader.digest());
        let (mut cursor, mut written) = (None, Written::default());
        while let Next::Line(line) = reader.next()? {
            match line {
                Line::Checkpoint(checkpoint) => {
                    (offset, digest) = (reader.offset(), reader.digest());
                    cursor = checkpoint.cursor();
                    written = checkpoint.written;
                }
                Line::End(_) => {
                    if let Some(super::lines::Content::End(end)) = reader.content(line, keys)? {
                        return Ok(Found::Whole(end.written));
                    }
                }
                Line::Header(_) | Line::Record(_) | Line::Tombstone(_) => {}
            }
        }
        let open = || -> io::Result<File> {
            let mut file = OpenOptions::new().write(true).open(path)?;
            file.set_len(offset)?;
            file.seek(SeekFrom::End(0))?;
            Ok(file)
        };
        let file =
            open().into_diagnostic().wrap_err_with(|| format!("{} cannot be written", path.display()))?;
        let dump = reader.header().dump.clone();
        let to: Box<dyn Write + Send> = Box::new(file.try_clone().into_diagnostic()?);
        let writer = Self { to: BufWriter::new(to), file: Some(file), digest, dump, written };
        Ok(Found::Part(Box::new(writer), cursor))
    }

    /// The name of the dump, to which its lines are bound.
    pub(super) fn dump(&self) -> &str {
        &self.dump
    }

    /// What is in it by now.
    pub(super) const fn written(&self) -> Written {
        self.written
    }

    /// A record that is not in it.
    pub(super) const fn leave_out(&mut self) {
        self.written.unreadable += 1;
    }

    /// Appends a line.
    pub(super) fn write(&mut self, line: &Line) -> miette::Result<()> {
        match line {
            Line::Record(_) => self.written.records += 1,
            Line::Tombstone(_) => self.written.tombstones += 1,
            Line::Header(_) | Line::Checkpoint(_) | Line::End(_) => {}
        }
        let mut bytes = serde_json::to_vec(line).into_diagnostic()?;
        bytes.push(b'\n');
        self.digest.update(&bytes);
        self.to.write_all(&bytes).into_diagnostic().wrap_err("the dump cannot be written")
    }

    /// A page is complete: whoever goes on with this dump begins behind it.
    pub(super) fn checkpoint(&mut self, cursor: &[u8]) -> miette::Result<()> {
        self.write(&Line::Checkpoint(Checkpoint::new(cursor, self.written)))?;
        self.to.flush().into_diagnostic().wrap_err("the dump cannot be written")
    }

    /// Says that this is all, and sees to it that it stays.
    pub(super) fn finish(mut self, counters: Version, keys: &Keys) -> miette::Result<()> {
        let digest = self.digest.clone().finish();
        let end =
            Line::of_end(self.written, counters, digest.as_ref(), &self.dump, keys).into_diagnostic()?;
        self.write(&end)?;
        self.to.flush().into_diagnostic().wrap_err("the dump cannot be written")?;
        self.file.map_or(Ok(()), |file| file.sync_all()).into_diagnostic()
    }
}

/// A file that only its owner can read.
fn new_file(path: &Path) -> miette::Result<File> {
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    opened.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => miette!(
            help = "take another name; or, if it is a dump that was broken off, go on with it by `--resume`",
            "{} exists, and is not written over",
            path.display()
        ),
        _ => miette!("{} cannot be made: {error}", path.display()),
    })
}
