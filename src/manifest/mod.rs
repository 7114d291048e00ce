//! Manifests: from the text of files to Kubernetes objects, as lean as a hundred thousand of them
//! have to be.
//!
//! Of every object only its name, its hash, a few facts and its place in the text are kept; the
//! body is parsed again for the few that are sent. Nothing here touches the network, and only
//! [`files`] reads the disk.

mod canon;
mod facts;
pub mod files;
pub mod kinds;
mod read;
mod scalar;
mod split;
pub mod template;
mod yaml;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde_json::Value;

pub use facts::{Definition, Facts, Hook};
pub use kinds::{Kind, Kinds};
pub use read::read;

/// One text with objects in it, as it was read or rendered.
#[derive(Debug, Clone, Default)]
pub struct Source {
    /// How a person names it: a path or a URL.
    pub name: Arc<str>,
    pub text: String,
    /// Which of the topology's manifests it belongs to.
    pub entry: usize,
    pub secrets: Secrets,
    /// The namespace of the Helm release that it is of: its objects may be hooks.
    pub release: Option<Arc<str>>,
}

/// Where a text holds values of sensitive variables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Secrets {
    #[default]
    Nowhere,
    /// Where it differs from this one, in which other values stand in for them.
    Beside(String),
    /// It cannot be told where.
    Anywhere,
}

/// Every object of every source, in the order of the sources.
#[derive(Debug, Default)]
pub struct Manifests {
    pub sources: Vec<Source>,
    pub objects: Vec<Object>,
    /// Those of the objects that are hooks, by their place among all.
    pub hooks: BTreeMap<usize, Hook>,
    /// The hooks of charts that belong to other things than an installation, each as a person reads it.
    pub left_out: Vec<String>,
}

/// What is kept of an object.
#[derive(Debug)]
pub struct Object {
    pub kind: Arc<Kind>,
    /// `None` for objects of the whole cluster.
    pub namespace: Option<Arc<str>>,
    pub name: Box<str>,
    /// SHA-256 of its canonical JSON.
    pub hash: [u8; 32],
    /// It holds what must not be shown: a Secret, or the value of a sensitive variable.
    pub secret: bool,
    pub facts: Facts,
    pub source: usize,
    bytes: Range<usize>,
    /// Its place in the list that the document is, and in those inside of it.
    items: Box<[u32]>,
}

impl Object {
    pub fn hash(&self) -> String {
        self.hash.iter().fold("sha256:".to_owned(), |mut text, byte| {
            use fmt::Write;
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

/// `Deployment default/web`
impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.kind.name)?;
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        f.write_str(&self.name)
    }
}

impl Manifests {
    /// The object as it is sent: parsed anew, with the namespace that it ends up in.
    pub fn body(&self, object: &Object) -> Value {
        let source = &self.sources[object.source];
        read::body(&source.text[object.bytes.clone()], object)
    }

    /// The line of every object, in one pass over the texts.
    pub fn lines(&self) -> Vec<u32> {
        let mut at = (usize::MAX, 0, 1);
        let line = |object: &Object| {
            let (source, offset, line) = at;
            let start = Place::start_of(&self.sources[object.source], &object.bytes);
            let (from, line) = if source == object.source { (offset, line) } else { (0, 1) };
            let newlines = |text: &str| text.bytes().filter(|byte| *byte == b'\n').count();
            // The items of a list share their document's place.
            let line = line + newlines(&self.sources[object.source].text[from..start]);
            at = (object.source, start, line);
            narrow(line)
        };
        self.objects.iter().map(line).collect()
    }

    pub fn place(&self, object: &Object) -> Place {
        Place::of(&self.sources[object.source], &object.bytes)
    }
}

/// Where in a text something stands; lines and columns count from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub file: Arc<str>,
    pub line: u32,
    pub column: u32,
}

impl Place {
    fn of(source: &Source, document: &Range<usize>) -> Self {
        Self::at(&source.name, &source.text, Self::start_of(source, document))
    }

    /// The first line of a document that says something, where people look for an object.
    fn start_of(source: &Source, document: &Range<usize>) -> usize {
        let blank: usize = source.text[document.clone()]
            .split_inclusive('\n')
            .take_while(|line| split::is_silent(line) || line.starts_with('%'))
            .map(str::len)
            .sum();
        document.start + blank
    }

    fn at(file: &Arc<str>, text: &str, offset: usize) -> Self {
        let before = &text[..offset];
        let line = 1 + before.bytes().filter(|byte| *byte == b'\n').count();
        let column = 1 + before.chars().rev().take_while(|c| *c != '\n').count();
        Self { file: file.clone(), line: narrow(line), column: narrow(column) }
    }

    fn start(file: &Arc<str>) -> Self {
        Self { file: file.clone(), line: 1, column: 1 }
    }
}

fn narrow(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// What is wrong in a manifest, where, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub struct Fault {
    pub place: Place,
    pub message: String,
    pub hint: Option<String>,
}

impl Fault {
    fn new(place: Place, message: impl Into<String>) -> Self {
        Self { place, message: message.into(), hint: None }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
