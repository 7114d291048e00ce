//! Where every value of a file stands.

use std::ops::Range;

use super::diagnostic::Place;

/// A value's place, with those of what it holds.
#[derive(Debug, Clone)]
pub struct Node {
    pub(super) mark: Mark,
    pub(super) style: Style,
    /// Something that it held was wrong and has been left out.
    pub(super) pruned: bool,
    /// The keys of what was left out, of those that it may have.
    pub(super) lost: Vec<Box<str>>,
    pub(super) shape: Shape,
}

/// What a file has at a path.
enum Found<'a> {
    Value(&'a Node),
    /// Something wrong, which has been left out.
    Lost,
    Nothing,
}

/// A stretch of the text.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Mark {
    pub line: u32,
    pub column: u32,
    pub start: u32,
    pub end: u32,
}

/// How a scalar is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Quoted,
    /// The text of a `|` or `>`.
    Block,
    /// Plain, and variables have been filled in.
    Interpolated,
    /// Plain, and a sensitive variable has been filled in.
    Secret,
}

#[derive(Debug, Clone)]
pub(super) enum Shape {
    Scalar,
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub key: Box<str>,
    pub key_mark: Mark,
    pub value: Node,
}

impl Mark {
    pub fn span(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    fn is_empty(self) -> bool {
        self.start >= self.end
    }
}

impl Node {
    /// The entry of `key`. Entries mostly stand in the order of the values, so `hint` is looked at first.
    pub(super) fn entry_index(&self, key: &str, hint: usize) -> Option<usize> {
        let Shape::Map(entries) = &self.shape else { return None };
        if entries.get(hint).is_some_and(|entry| *entry.key == *key) {
            return Some(hint);
        }
        entries.iter().position(|entry| *entry.key == *key)
    }

    /// What to point at for this value: itself, or the first thing in it when a block collection has no text of its own.
    pub(super) fn visible(&self) -> Mark {
        match &self.shape {
            Shape::Map(entries) if self.mark.is_empty() => {
                entries.first().map_or(self.mark, |entry| entry.key_mark)
            }
            Shape::List(items) if self.mark.is_empty() => {
                items.first().map_or(self.mark, Node::visible)
            }
            _ => self.mark,
        }
    }
}

/// The places of a whole file.
#[derive(Debug, Clone)]
pub struct Places {
    pub(super) file: String,
    pub(super) root: Node,
}

impl Places {
    /// The place of a value by its path, such as `gateway.ports.0.to.port`; of a missing one, that of the nearest thing around it.
    pub fn find(&self, path: &str) -> Place {
        let (mut node, mut mark, mut rest) = (&self.root, self.root.visible(), path);
        while !rest.is_empty() {
            match step(node, rest) {
                Some((next, key, tail)) => {
                    mark = match key {
                        // A block collection is best shown by its key.
                        Some(key) if next.mark.is_empty() => key,
                        _ => next.visible(),
                    };
                    (node, rest) = (next, tail);
                }
                None => break,
            }
        }
        self.at(mark)
    }

    /// The place of a key, by the path of its value.
    pub fn key(&self, path: &str) -> Place {
        let (mut node, mut mark, mut rest) = (&self.root, self.root.visible(), path);
        while let Some((next, key, tail)) = step(node, rest) {
            mark = key.unwrap_or_else(|| next.visible());
            (node, rest) = (next, tail);
        }
        self.at(mark)
    }

    /// Whether the file has a value at the path, be it right or wrong.
    pub fn has(&self, path: &str) -> bool {
        !matches!(self.look(path), Found::Nothing)
    }

    /// Whether nothing wrong had to be left out of the value at the path.
    pub(super) fn is_whole(&self, path: &str) -> bool {
        match self.look(path) {
            Found::Value(node) => whole(node),
            Found::Lost => false,
            Found::Nothing => true,
        }
    }

    pub(super) fn node(&self, path: &str) -> Option<&Node> {
        match self.look(path) {
            Found::Value(node) => Some(node),
            Found::Lost | Found::Nothing => None,
        }
    }

    fn look(&self, path: &str) -> Found<'_> {
        let (mut node, mut rest) = (&self.root, path);
        while !rest.is_empty() {
            let Some((next, _, tail)) = step(node, rest) else {
                let key = rest.split('.').next().unwrap_or(rest);
                let is_lost = node.lost.iter().any(|lost| **lost == *key);
                return if is_lost { Found::Lost } else { Found::Nothing };
            };
            (node, rest) = (next, tail);
        }
        Found::Value(node)
    }

    pub(super) fn at(&self, mark: Mark) -> Place {
        Place { file: self.file.clone(), line: mark.line, column: mark.column, span: mark.span() }
    }
}

fn whole(node: &Node) -> bool {
    !node.pruned
        && match &node.shape {
            Shape::Scalar => true,
            Shape::List(items) => items.iter().all(whole),
            Shape::Map(entries) => entries.iter().all(|entry| whole(&entry.value)),
        }
}

/// One step along a path. A key may hold dots itself, so the longest that fits the start of the path is taken.
fn step<'n, 'p>(node: &'n Node, path: &'p str) -> Option<(&'n Node, Option<Mark>, &'p str)> {
    let after = |length: usize| {
        path.get(length..)
            .and_then(|rest| if rest.is_empty() { Some(rest) } else { rest.strip_prefix('.') })
    };
    match &node.shape {
        Shape::Scalar => None,
        Shape::List(items) => {
            let digits = path.find('.').unwrap_or(path.len());
            let item = items.get(path[..digits].parse::<usize>().ok()?)?;
            Some((item, None, after(digits)?))
        }
        Shape::Map(entries) => entries
            .iter()
            .filter(|entry| path.starts_with(&*entry.key))
            .filter_map(|entry| Some((entry, after(entry.key.len())?)))
            .max_by_key(|(entry, _)| entry.key.len())
            .map(|(entry, rest)| (&entry.value, Some(entry.key_mark), rest)),
    }
}
