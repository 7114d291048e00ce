//! An image's archive on its way to nodes that have some of it already: read once, as `docker save`
//! writes it, and dealt out without the blobs that a node has. No layer is ever held whole.

use std::collections::HashSet;
use std::io::{self, ErrorKind, Read};

use bytes::Bytes;
use tar::{Archive, Entry, EntryType, Header};

use super::legacy::{self, Legacy};
use super::naming::{self, INDEX};

/// Contents are dealt out in pieces of this size at most.
const PIECE: u64 = 64 * 1024;
/// An archive is made of blocks of this size, and ends with two empty ones.
const BLOCK: u64 = 512;
const END: &[u8] = &[0; 2 * 512];

/// One that is dealt to.
pub struct Receiver<O> {
    /// Digests of the blobs that it need not be sent.
    pub has: HashSet<String>,
    pub outlet: O,
}

/// Where the pieces of an archive go.
pub trait Outlet {
    /// Whether it takes more. One that has stopped reading tells elsewhere why.
    fn put(&mut self, piece: &Bytes) -> bool;
}

/// How many bytes of files there were, and what became of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dealt {
    /// In the whole archive.
    pub whole: u64,
    /// Of these, what everybody had.
    pub needless: u64,
    /// Of these, what went to anybody.
    pub passed_on: u64,
    /// What went to each receiver.
    pub sent: Vec<u64>,
}

/// What is known of the image before its archive is read.
pub struct Known<'a> {
    /// Its layers, lowest first.
    pub diff_ids: &'a [String],
    /// Its name, where the archive does not tell it: what is meant by digest has no tag there.
    pub name: Option<&'a str>,
}

/// Deals out a whole archive, or fails: what is cut off never ends as if it were whole. `tell` hears
/// how far it has come.
pub fn deal<O: Outlet>(
    archive: impl Read,
    image: &Known<'_>,
    receivers: &mut [Receiver<O>],
    tell: impl FnMut(&Dealt),
) -> io::Result<Dealt> {
    let mut source = Source { archive, is_used_up: false };
    let mut dealer = Dealer::new(image, receivers, tell);
    for entry in Archive::new(&mut source).entries()? {
        dealer.pass(&mut entry?)?;
        if dealer.nobody_listens() {
            return Ok(dealer.dealt);
        }
    }
    if source.is_used_up {
        return Err(cut_off());
    }
    // The end mark is two blocks, of which one has been read.
    if io::copy(&mut source, &mut io::sink())? == 0 {
        return Err(cut_off());
    }
    dealer.finish()?;
    Ok(dealer.dealt)
}

fn cut_off() -> io::Error {
    io::Error::new(ErrorKind::UnexpectedEof, "the archive is cut off")
}

/// Knows whether it was read past its last byte, as happens where the end mark is missing.
struct Source<R> {
    archive: R,
    is_used_up: bool,
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.archive.read(buffer)?;
        self.is_used_up |= read == 0;
        Ok(read)
    }
}

struct Dealer<'a, O, T> {
    places: Vec<Place<'a, O>>,
    legacy: Legacy,
    name: Option<&'a str>,
    dealt: Dealt,
    tell: T,
}

/// A receiver, and how it stands with it.
struct Place<'a, O> {
    receiver: &'a mut Receiver<O>,
    listens: bool,
    /// Whether the file that is being read is for it.
    takes: bool,
    /// Whether something of the archive was kept from it.
    is_spared: bool,
}

impl<O: Outlet> Place<'_, O> {
    fn lacks(&self, digest: &str) -> bool {
        !self.receiver.has.contains(digest)
    }

    fn put(&mut self, piece: &Bytes) {
        self.listens = self.listens && self.receiver.outlet.put(piece);
    }
}

impl<'a, O: Outlet, T: FnMut(&Dealt)> Dealer<'a, O, T> {
    fn new(image: &Known<'a>, receivers: &'a mut [Receiver<O>], tell: T) -> Self {
        let dealt = Dealt { sent: vec![0; receivers.len()], ..Dealt::default() };
        let place = |receiver| Place { receiver, listens: true, takes: true, is_spared: false };
        let places = receivers.iter_mut().map(place).collect();
        Self { places, legacy: Legacy::new(image.diff_ids), name: image.name, dealt, tell }
    }

    fn nobody_listens(&self) -> bool {
        self.places.iter().all(|place| !place.listens)
    }

    fn pass<R: Read>(&mut self, entry: &mut Entry<'_, R>) -> io::Result<()> {
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let path = path.trim_start_matches("./");
        match entry.header().entry_type() {
            EntryType::Regular | EntryType::Continuous => self.file(path, entry),
            EntryType::Symlink => {
                let target = entry.link_name_bytes().unwrap_or_default();
                self.link(path, &String::from_utf8_lossy(&target))
            }
            // Folders say nothing that the files in them do not.
            _ => Ok(()),
        }
    }

    fn file<R: Read>(&mut self, path: &str, entry: &mut Entry<'_, R>) -> io::Result<()> {
        let size = entry.size();
        self.dealt.whole += size;
        if let Some(name) = self.name.filter(|_| path == INDEX) {
            return self.index(name, entry);
        }
        let digest = blob(path).or_else(|| self.legacy.layer(path, size));
        self.takers(|place| digest.as_ref().is_none_or(|digest| place.lacks(digest)));
        for place in &mut self.places {
            place.is_spared |= !place.takes;
        }
        if self.places.iter().any(|place| place.takes) {
            self.put(header(EntryType::Regular, path, size)?.as_bytes().to_vec());
            self.content(path, entry)?;
            self.put(padding(size));
        } else {
            self.dealt.needless += size;
            (self.tell)(&self.dealt);
        }
        Ok(())
    }

    fn content<R: Read>(&mut self, path: &str, entry: &mut Entry<'_, R>) -> io::Result<()> {
        let mut left = entry.size();
        let mut noted = legacy::is_noted(path, left).then(Vec::new);
        while left > 0 && !self.nobody_listens() {
            let mut piece = Vec::new();
            let read = entry.take(PIECE.min(left)).read_to_end(&mut piece)? as u64;
            if read == 0 {
                return Err(cut_off());
            }
            if let Some(noted) = &mut noted {
                noted.extend_from_slice(&piece);
            }
            left -= read;
            self.dealt.passed_on += read;
            for (place, sent) in self.places.iter().zip(&mut self.dealt.sent) {
                *sent += if place.takes { read } else { 0 };
            }
            self.put(piece);
            (self.tell)(&self.dealt);
        }
        if let Some(content) = noted {
            self.legacy.note(path, content);
        }
        Ok(())
    }

    fn link(&mut self, path: &str, target: &str) -> io::Result<()> {
        let mut header = header(EntryType::Symlink, path, 0)?;
        header.set_link_name(target)?;
        header.set_cksum();
        self.legacy.link(path, target);
        self.takers(|_| true);
        self.put(header.as_bytes().to_vec());
        Ok(())
    }

    /// The description that newer archives have, with the name that it lacks.
    fn index<R: Read>(&mut self, name: &str, entry: &mut Entry<'_, R>) -> io::Result<()> {
        let size = entry.size();
        let mut index = Vec::new();
        entry.take(legacy::MOST_TEXT).read_to_end(&mut index)?;
        if (index.len() as u64) < size {
            return Err(cut_off());
        }
        self.takers(|_| true);
        self.dealt.passed_on += size;
        for sent in &mut self.dealt.sent {
            *sent += size;
        }
        self.text(INDEX, naming::named(&index, name)?)
    }

    /// A file that is put together here.
    fn text(&mut self, path: &str, content: Vec<u8>) -> io::Result<()> {
        let size = content.len() as u64;
        self.put(header(EntryType::Regular, path, size)?.as_bytes().to_vec());
        self.put(content);
        self.put(padding(size));
        Ok(())
    }

    /// Says for whom the next file is.
    fn takers(&mut self, takes: impl Fn(&Place<'a, O>) -> bool) {
        for place in &mut self.places {
            place.takes = takes(place);
        }
    }

    /// To everybody that takes the present file.
    fn put(&mut self, piece: Vec<u8>) {
        let piece = Bytes::from(piece);
        for place in self.places.iter_mut().filter(|place| place.takes && !piece.is_empty()) {
            place.put(&piece);
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        // In an older archive a layer is known by the file it is in and an image by its tag, so one
        // without that file or tag needs the newer kind of description beside it, which knows a
        // layer by its digest and an image by any name.
        let has_no_tag = self.name.is_some();
        self.takers(|place| place.is_spared || has_no_tag);
        if self.places.iter().any(|place| place.takes) && !self.legacy.is_oci() {
            for (path, content) in self.legacy.description(self.name)? {
                self.text(&path, content)?;
            }
        }
        let end = Bytes::from_static(END);
        for place in &mut self.places {
            place.put(&end);
        }
        Ok(())
    }
}

/// In the archives of today a blob is in a file of its digest's name.
fn blob(path: &str) -> Option<String> {
    let (algorithm, hash) = path.strip_prefix("blobs/")?.split_once('/')?;
    Some(format!("{algorithm}:{hash}"))
}

fn header(kind: EntryType, path: &str, size: u64) -> io::Result<Header> {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_path(path)?;
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header.set_cksum();
    Ok(header)
}

/// What a file is followed by, up to the next block.
fn padding(size: u64) -> Vec<u8> {
    (size..size.next_multiple_of(BLOCK)).map(|_| 0).collect()
}
