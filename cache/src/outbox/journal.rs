//! What waits in the outbox, on the disk: neither a crash nor a restart forgets it.
//!
//! ```text
//! cloakroom outbox 1\n
//! length (4 bytes) | CRC-32 of the body (4 bytes) | body      an end that waits, or one that does not any more
//! ...
//! ```
//!
//! Each process appends to a file of its own in the folder, and takes over what it finds in those of others. A line that is
//! cut off, or is not what its sum says, is where a crash or a full disk stopped somebody: what is before it counts, and
//! nothing is appended behind it. When nothing waits there is no file. It holds handles, hashes and reasons, and no secret.
//!
//! All of this waits for the disk: it belongs on threads that may.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crc::{CRC_32_ISO_HDLC, Crc};
use session::Handle;

use super::due::{Line, Target, Waiting, decode};

const HEAD: &[u8] = b"cloakroom outbox 1\n";
const FINISHED: &str = "ends";
const UNFINISHED: &str = "unfinished";
/// No body is longer, in bytes: a reason, a name of at most 255 bytes, one of a realm, and numbers.
const MAX_BODY: usize = 1 << 16;
/// No file is read any further: the outbox is bounded well below this.
const MAX_FILE: u64 = 64 << 20;
/// How many lines more than twice of what waits a file may have before it is written anew.
const SLACK: usize = 1024;
const SUM: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

/// The file of this process.
#[derive(Debug)]
pub(crate) struct Journal {
    folder: PathBuf,
    path: PathBuf,
    file: Option<File>,
    lines: usize,
    /// What is at the end of the file is not known: nothing may be appended.
    is_torn: bool,
}

/// What the file of another process holds.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) path: PathBuf,
    pub(crate) ends: BTreeMap<Target, Waiting>,
    /// Whether it was read to its end.
    pub(crate) is_whole: bool,
}

impl Journal {
    /// A journal in this folder, which is made if it is not there. There is no file before something is to be written.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let name = Handle::random().map_err(io::Error::other)?;
        let path = folder.join(name.to_string()).with_extension(FINISHED);
        Ok(Self { folder: folder.to_owned(), path, file: None, lines: 0, is_torn: false })
    }

    /// Whether the next lines must not be appended, where so many ends wait.
    pub(crate) const fn must_begin_anew(&self, waiting: usize) -> bool {
        self.is_torn || self.file.is_none() || waiting == 0 || self.lines > 2 * waiting + SLACK
    }

    /// Writes lines behind those that are there. When this returns `Ok` they are on the disk.
    pub(crate) fn append(&mut self, lines: &Lines) -> io::Result<()> {
        let Some(file) = &mut self.file else { return self.replace(lines) };
        self.is_torn = true;
        file.write_all(&lines.bytes)?;
        file.sync_data()?;
        (self.is_torn, self.lines) = (false, self.lines + lines.count);
        Ok(())
    }

    /// Writes these lines in the place of all that is there. When this returns `Ok` they are on the disk; else the file is the
    /// one from before, or this one.
    pub(crate) fn replace(&mut self, lines: &Lines) -> io::Result<()> {
        self.is_torn = true;
        self.file = None;
        if lines.count == 0 {
            remove(&self.path)?;
        } else {
            let unfinished = self.path.with_extension(UNFINISHED);
            let mut file = OpenOptions::new();
            file.write(true).create(true).truncate(true).mode(0o600);
            let mut file = file.open(&unfinished)?;
            file.write_all(HEAD)?;
            file.write_all(&lines.bytes)?;
            file.sync_all()?;
            fs::rename(&unfinished, &self.path)?;
            File::open(&self.folder)?.sync_all()?;
            self.file = Some(file);
        }
        (self.is_torn, self.lines) = (false, lines.count);
        Ok(())
    }

    /// What other processes have written here, dead or alive.
    pub(crate) fn others(&self) -> io::Result<Vec<Found>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let is_finished = path.extension().is_some_and(|extension| extension == FINISHED);
            let is_other = path != self.path && is_finished;
            if is_other && let Some(other) = read_file(&path)? {
                found.push(other);
            }
        }
        Ok(found)
    }

    /// Removes what other processes left here that are gone, once what it held is written here.
    pub(crate) fn forget(&self, others: &[PathBuf]) -> io::Result<()> {
        others.iter().try_for_each(|path| remove(path))?;
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            // Of a crash; this one's is renamed before anybody else has a turn.
            if path.extension().is_some_and(|extension| extension == UNFINISHED) {
                remove(&path)?;
            }
        }
        Ok(())
    }
}

/// Lines that are to be written.
#[derive(Default)]
pub(crate) struct Lines {
    bytes: Vec<u8>,
    count: usize,
}

impl Lines {
    pub(crate) fn push(&mut self, body: &[u8]) {
        let Some(length) = u32::try_from(body.len()).ok().filter(|_| body.len() <= MAX_BODY) else {
            tracing::error!(bytes = body.len(), "an end is too long to be written down");
            return;
        };
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(&SUM.checksum(body).to_le_bytes());
        self.bytes.extend_from_slice(body);
        self.count += 1;
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").field("count", &self.count).finish_non_exhaustive()
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// None if it has just gone.
fn read_file(path: &Path) -> io::Result<Option<Found>> {
    let mut bytes = Vec::new();
    match File::open(path) {
        Ok(file) => file.take(MAX_FILE).read_to_end(&mut bytes)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let (ends, is_whole) = read(&bytes);
    Ok(Some(Found { path: path.to_owned(), ends, is_whole }))
}

/// What waits after all whole lines at the front, and whether there is nothing else.
fn read(bytes: &[u8]) -> (BTreeMap<Target, Waiting>, bool) {
    let mut ends = BTreeMap::new();
    let Some(mut rest) = bytes.strip_prefix(HEAD) else { return (ends, false) };
    while let Some((body, behind)) = next(rest) {
        rest = behind;
        match decode(body) {
            Ok(Line::Waits(target, waiting)) => drop(ends.insert(target, waiting)),
            Ok(Line::Done(target)) => drop(ends.remove(&target)),
            // Its sum is right: a newer build wrote it.
            Err(error) => tracing::error!(%error, "a line of the outbox is not understood, and left out"),
        }
    }
    (ends, rest.is_empty())
}

fn next(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok().filter(|length| *length <= MAX_BODY)?;
    let (body, behind) = rest.split_at_checked(length)?;
    (SUM.checksum(body) == u32::from_le_bytes(*sum)).then_some((body, behind))
}

#[cfg(test)]
mod tests {
    use session::{Ending, Late, Millis, Why};
    use storage::{Burial, Version};

    use super::*;
    use crate::end_where::End;
    use crate::outbox::due::{Unseen, encode_done, encode_waiting};
    use crate::scope::Scope;

    fn ending() -> Ending {
        Ending { from: Some("192.0.2.7".parse().unwrap()), ..Ending::new(Millis(7), Why::Logout, "ada") }
    }

    /// One of each kind.
    fn ends() -> Vec<(Target, Waiting)> {
        let (one, other) = (Handle::from_bytes([1; 16]), Handle::from_bytes([2; 16]));
        let burial = Burial { until: Some(Millis(9)), ending: ending(), expected: Some(Version(3)) };
        let unseen = Unseen { ending: ending(), realm: "shop".into(), is_everywhere: true, from: None };
        let late = Some(Late { issued: Millis(1), until: Millis(2) });
        let all = End { ending: ending(), before: Some(Millis(5)), late };
        vec![
            (Target::Session(one), Waiting::Burial(burial)),
            (Target::Session(other), Waiting::Carried(ending(), Millis(8))),
            (Target::Ticket(one, [0xfe; 32]), Waiting::Unseen(unseen)),
            (Target::Scope(Scope::Person([3; 32])), Waiting::All(all)),
        ]
    }

    fn lines(ends: &[(Target, Waiting)]) -> Lines {
        let mut lines = Lines::default();
        ends.iter().for_each(|(target, waiting)| lines.push(&encode_waiting(target, waiting)));
        lines
    }

    #[test]
    fn what_was_written_is_read_and_what_is_done_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(folder.path()).unwrap();
        journal.append(&lines(&ends()[..1])).unwrap();
        journal.append(&lines(&ends()[1..])).unwrap();
        let mut done = Lines::default();
        done.push(&encode_done(&ends()[1].0));
        journal.append(&done).unwrap();
        let others = Journal::open(folder.path()).unwrap().others().unwrap();
        let expected: BTreeMap<_, _> = [0, 2, 3].map(|index| ends().swap_remove(index)).into();
        assert_eq!(others.len(), 1);
        assert_eq!((&others[0].ends, others[0].is_whole), (&expected, true));
        // Nobody else may read it, and nothing is there when nothing waits.
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(fs::metadata(&others[0].path).unwrap().permissions().mode() & 0o777, 0o600);
        journal.replace(&Lines::default()).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn wherever_a_file_is_cut_off_what_is_before_counts_and_nothing_else() {
        let all = ends();
        let mut bytes = HEAD.to_vec();
        let mut whole = vec![bytes.len()];
        for end in &all {
            bytes.extend(lines(std::slice::from_ref(end)).bytes);
            whole.push(bytes.len());
        }
        for length in 0..=bytes.len() {
            let (found, is_whole) = read(&bytes[..length]);
            let count = whole.iter().filter(|end| **end <= length).count().saturating_sub(1);
            assert_eq!(found, all[..count].iter().cloned().collect(), "{length}");
            assert_eq!(is_whole, whole.contains(&length), "{length}");
        }
    }

    #[test]
    fn no_bit_that_turned_ends_anybody_else() {
        let all: BTreeMap<_, _> = ends().into_iter().collect();
        let bytes = [HEAD, &lines(&ends()).bytes].concat();
        for bit in 0..bytes.len() * 8 {
            let mut turned = bytes.clone();
            turned[bit / 8] ^= 1 << (bit % 8);
            let (found, is_whole) = read(&turned);
            assert!(!is_whole, "{bit}");
            assert!(found.iter().all(|(target, waiting)| all.get(target) == Some(waiting)), "{bit}");
        }
    }

    #[test]
    fn a_journal_that_cannot_be_written_says_so_and_is_whole_once_it_can() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("outbox");
        let mut journal = Journal::open(&folder).unwrap();
        journal.append(&lines(&ends()[..1])).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        assert!(!journal.must_begin_anew(2));
        journal.replace(&lines(&ends()[..2])).unwrap_err();
        assert!(journal.must_begin_anew(2));
        fs::create_dir(&folder).unwrap();
        journal.replace(&lines(&ends())).unwrap();
        assert!(!journal.must_begin_anew(4));
        assert_eq!(read_file(&journal.path).unwrap().unwrap().ends.len(), 4);
    }
}
