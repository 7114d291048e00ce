//! A YAML text as a tree that knows where each of its values is written.

use std::borrow::Cow;
use std::ops::Range;

use granit_parser::{Event, Options, Parser, ScalarStyle, Span, StrInput, StructureStyle, Tag};

use super::splice::Refusal;

#[derive(Debug, Clone)]
pub struct Node {
    /// Its bytes, from the first to the last of its content; those of a value that is left out are none.
    pub range: Range<usize>,
    pub line: usize,
    anchor: usize,
    tag: Option<String>,
    pub content: Content,
}

#[derive(Debug, Clone)]
pub enum Content {
    Scalar { text: String, plain: bool },
    Alias(usize),
    List { flow: bool, items: Vec<Node> },
    Map { flow: bool, entries: Vec<(Node, Node)> },
}

impl Node {
    pub fn scalar(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    pub fn is_null(&self) -> bool {
        match &self.content {
            Content::Scalar { text, plain: true } => {
                matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL")
            }
            _ => false,
        }
    }

    pub fn entries(&self) -> &[(Self, Self)] {
        match &self.content {
            Content::Map { entries, .. } => entries,
            _ => &[],
        }
    }

    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|(name, _)| name.scalar() == Some(key)).map(|(_, value)| value)
    }

    /// Whether an alias elsewhere may mean it, or something in it.
    pub fn has_anchor(&self) -> bool {
        self.anchor != 0
            || match &self.content {
                Content::Scalar { .. } | Content::Alias(_) => false,
                Content::List { items, .. } => items.iter().any(Self::has_anchor),
                Content::Map { entries, .. } => {
                    entries.iter().any(|(key, value)| key.has_anchor() || value.has_anchor())
                }
            }
    }

    /// Whether both say the same, wherever each is written.
    pub fn says_the_same_as(&self, other: &Self) -> bool {
        let all = |mine: &[Self], theirs: &[Self]| {
            mine.len() == theirs.len()
                && mine.iter().zip(theirs).all(|(one, other)| one.says_the_same_as(other))
        };
        self.anchor == other.anchor
            && self.tag == other.tag
            && match (&self.content, &other.content) {
                (
                    Content::Scalar { text, plain },
                    Content::Scalar { text: theirs, plain: as_plain },
                ) => text == theirs && plain == as_plain,
                (Content::Alias(id), Content::Alias(other)) => id == other,
                (Content::List { items, .. }, Content::List { items: theirs, .. }) => {
                    all(items, theirs)
                }
                (Content::Map { entries, .. }, Content::Map { entries: theirs, .. }) => {
                    entries.len() == theirs.len()
                        && entries.iter().zip(theirs).all(|(one, other)| {
                            one.0.says_the_same_as(&other.0) && one.1.says_the_same_as(&other.1)
                        })
                }
                _ => false,
            }
    }

    fn new(span: &Span, anchor: usize, tag: Option<String>, content: Content) -> Self {
        let range = span.byte_range().unwrap_or_default();
        Self { range, line: span.start.line(), anchor, tag, content }
    }

    /// Where the file ends in a block scalar without a line break, kubectl's parser adds none.
    fn drop_line_break_that_is_missing(&mut self, file: &str) {
        if let Content::Scalar { text, .. } = &mut self.content
            && !file[..self.range.end].ends_with('\n')
        {
            text.truncate(text.trim_end_matches('\n').len());
        }
    }

    /// A block collection has no end of its own: it ends where the last of what it holds does.
    fn closed_at(mut self, span: &Span) -> Self {
        let (flow, first, last) = match &self.content {
            Content::List { flow, items } => (*flow, items.first(), items.last()),
            Content::Map { flow, entries } => {
                (*flow, entries.first().map(|(key, _)| key), entries.last().map(|(_, value)| value))
            }
            Content::Scalar { .. } | Content::Alias(_) => (true, None, None),
        };
        if flow {
            self.range.end = span.byte_range().unwrap_or_default().end;
        } else if let (Some(first), Some(last)) = (first, last) {
            self.range = first.range.start..last.range.end;
            self.line = first.line;
        }
        self
    }
}

/// The one document of a text, if there is one.
pub fn parse(text: &str) -> Result<Option<Node>, Refusal> {
    let mut options = Options::default();
    options.set_emit_comments(false);
    let mut reader = Reader { text, parser: Parser::new_from_str_with_options(text, options) };
    let mut root = None;
    while let Some((event, span)) = reader.next()? {
        match event {
            Event::DocumentStart(..) if root.is_some() => {
                return Err(Refusal::at(span.start.line(), "a second YAML document begins"));
            }
            Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(..)
            | Event::DocumentEnd => {}
            event => root = Some(reader.node(event, &span)?),
        }
    }
    Ok(root)
}

struct Reader<'a> {
    text: &'a str,
    parser: Parser<'a, StrInput<'a>>,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, Refusal> {
        self.parser.next_event().transpose().map_err(|error| {
            let why = format!("it is not valid YAML: {}", error.info());
            Refusal::at(error.marker().line(), why)
        })
    }

    fn node(&mut self, event: Event, span: &Span) -> Result<Node, Refusal> {
        let tag = |tag: Option<Cow<Tag>>| tag.map(|tag| tag.to_string());
        let is_flow = |style| style == StructureStyle::Flow;
        Ok(match event {
            Event::Scalar(text, style, anchor, of) => {
                let plain = style == ScalarStyle::Plain;
                let content = Content::Scalar { text: text.into_owned(), plain };
                let mut node = Node::new(span, anchor, tag(of), content);
                if matches!(style, ScalarStyle::Literal | ScalarStyle::Folded) {
                    // The parser has looked at the indentation of the next line already.
                    node.range.end = self.text[..node.range.end].trim_end_matches(' ').len();
                    node.drop_line_break_that_is_missing(self.text);
                }
                node
            }
            Event::Alias(id) => Node::new(span, 0, None, Content::Alias(id)),
            Event::SequenceStart(style, anchor, of) => {
                let (items, end) = self.children()?;
                let content = Content::List { flow: is_flow(style), items };
                Node::new(span, anchor, tag(of), content).closed_at(&end)
            }
            Event::MappingStart(style, anchor, of) => {
                let (nodes, end) = self.children()?;
                let mut nodes = nodes.into_iter();
                let entries = std::iter::from_fn(|| nodes.next().zip(nodes.next())).collect();
                let content = Content::Map { flow: is_flow(style), entries };
                Node::new(span, anchor, tag(of), content).closed_at(&end)
            }
            _ => return Err(Refusal::at(span.start.line(), "it is not valid YAML")),
        })
    }

    /// What a collection holds, and where it ends.
    fn children(&mut self) -> Result<(Vec<Node>, Span), Refusal> {
        let mut nodes = Vec::new();
        loop {
            match self.next()? {
                Some((Event::SequenceEnd | Event::MappingEnd, span)) => return Ok((nodes, span)),
                Some((event, span)) => nodes.push(self.node(event, &span)?),
                None => return Err(Refusal::at(1, "it ends too early")),
            }
        }
    }
}
