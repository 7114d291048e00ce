//! Entries put into the text of a kubeconfig and taken out of it, every other byte left as it is.
//!
//! Each change is one edit of the text. The result is parsed again and must say what was meant
//! and, of everything else, what the text said before.

use std::ops::Range;

use serde_yaml::Value;

use super::tree::{self, Content, Node};

/// The lists that hold an entry's parts.
pub const LISTS: [&str; 3] = ["clusters", "contexts", "users"];
const CURRENT: &str = "current-context";

/// Why a text is left as it is, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct Refusal {
    pub line: usize,
    pub why: String,
}

impl Refusal {
    pub fn at(line: usize, why: impl Into<String>) -> Self {
        Self { line: line.max(1), why: why.into() }
    }
}

/// A kubeconfig that topo can read and edit.
pub struct Document<'a> {
    text: &'a str,
    root: Option<Node>,
}

impl<'a> Document<'a> {
    pub fn read(text: &'a str) -> Result<Self, Refusal> {
        let root = tree::parse(text)?.filter(|root| !root.is_null());
        if let Some(root) = &root {
            check(root)?;
        }
        Ok(Self { text, root })
    }

    /// The entry of this name in a list, by the line that it begins at and what it holds.
    pub fn entry(&self, list: &str, name: &str) -> Result<Option<&Node>, Refusal> {
        let mut named = self.items(list).iter().filter(|item| is_named(item, name));
        let first = named.next();
        match (first, named.next()) {
            (Some(first), Some(second)) => Err(Refusal::at(
                second.line,
                format!(
                    "`{list}` has two entries named `{name}`; the first is at line {}",
                    first.line
                ),
            )),
            _ => Ok(first),
        }
    }

    pub fn current_context(&self) -> Option<&str> {
        self.value(CURRENT).filter(|value| !is_empty(value))?.scalar()
    }

    /// Whether it has nothing that anyone could miss.
    pub fn says_nothing(&self) -> bool {
        let entries = self.root.iter().flat_map(Node::entries);
        !self.text.contains('#')
            && entries
                .map(|(key, value)| (key.scalar(), value))
                .all(|(key, value)| matches!(key, Some("apiVersion" | "kind")) || is_empty(value))
    }

    fn edited(&self, edit: Edit) -> String {
        let mut text = self.text.to_owned();
        text.replace_range(edit.range, &edit.text);
        text
    }

    fn value(&self, key: &str) -> Option<&Node> {
        self.root.as_ref()?.get(key)
    }

    fn items(&self, list: &str) -> &[Node] {
        match self.value(list).map(|list| &list.content) {
            Some(Content::List { items, .. }) => items,
            _ => &[],
        }
    }

    /// Everything but what was to be edited, in its order.
    fn others(&self, name: &str) -> Vec<(&str, &Node)> {
        let entries = self.root.iter().flat_map(Node::entries);
        entries
            .filter(|(key, _)| key.scalar() != Some(CURRENT))
            .flat_map(|(key, value)| {
                let key = key.scalar().unwrap_or_default();
                let rest = match &value.content {
                    _ if !LISTS.contains(&key) => std::slice::from_ref(value),
                    Content::List { items, .. } => items,
                    _ => &[],
                };
                let is_edited = move |node: &Node| LISTS.contains(&key) && is_named(node, name);
                rest.iter().filter(move |node| !is_edited(node)).map(move |node| (key, node))
            })
            .collect()
    }
}

/// What topo cannot be sure to read as kubectl does.
fn check(root: &Node) -> Result<(), Refusal> {
    let Content::Map { entries, .. } = &root.content else {
        return Err(Refusal::at(root.line, "it is not a map"));
    };
    if let Some((key, _)) = entries.iter().find(|(key, _)| key.scalar() == Some("<<")) {
        return Err(Refusal::at(key.line, "a merge key (`<<`) fills the file in"));
    }
    for list in LISTS.into_iter().chain([CURRENT]) {
        let mut keys = entries.iter().filter(|(key, _)| key.scalar() == Some(list));
        let value = keys.next().map(|(_, value)| value);
        if let Some((key, _)) = keys.next() {
            return Err(Refusal::at(key.line, format!("the key `{list}` is defined twice")));
        }
        match value.map(|value| (value, &value.content)) {
            None => {}
            Some((value, Content::Alias(_))) => {
                return Err(Refusal::at(value.line, format!("`{list}` is an alias")));
            }
            Some((_, Content::Scalar { .. })) if list == CURRENT => {}
            Some((_, Content::List { items, .. })) if list != CURRENT => {
                items.iter().try_for_each(|item| check_item(list, item))?;
            }
            Some((value, _)) if list != CURRENT && value.is_null() => {}
            Some((value, _)) => {
                let kind = if list == CURRENT { "string" } else { "list" };
                return Err(Refusal::at(value.line, format!("`{list}` is not a {kind}")));
            }
        }
    }
    Ok(())
}

/// An entry whose name is written elsewhere could be the one that is looked for.
fn check_item(list: &str, item: &Node) -> Result<(), Refusal> {
    let is_alias = |node: &Node| matches!(node.content, Content::Alias(_));
    if is_alias(item) || item.get("<<").is_some() || item.get("name").is_some_and(is_alias) {
        let why = format!("an entry of `{list}` takes its name from an alias or a merge key");
        return Err(Refusal::at(item.line, why));
    }
    Ok(())
}

fn is_named(item: &Node, name: &str) -> bool {
    item.get("name").and_then(Node::scalar) == Some(name)
}

fn is_empty(value: &Node) -> bool {
    match &value.content {
        Content::Scalar { text, .. } => text.is_empty() || value.is_null(),
        Content::List { items, .. } => items.is_empty(),
        Content::Map { entries, .. } => entries.is_empty(),
        Content::Alias(_) => false,
    }
}

/// Puts each of the parts into its list, in the place of the entry of that name if there is one.
pub fn merge(
    text: &str,
    name: &str,
    parts: &[(&str, &Value)],
    make_current: bool,
) -> Result<String, Refusal> {
    let before = Document::read(text)?;
    let mut edited = match &before.root {
        Some(_) => text.to_owned(),
        None => begun(text),
    };
    for (list, part) in parts {
        let document = Document::read(&edited)?;
        let edit = match document.entry(list, name)? {
            Some(entry) => replaced(entry, part, &edited)?,
            None => added(&document, list, part)?,
        };
        edited = document.edited(edit);
    }
    if make_current {
        let document = Document::read(&edited)?;
        edited = document.edited(current(&document, name)?);
    }
    let after = reread(&before, &edited, name)?;
    for (list, part) in parts {
        let wanted = Document::read(&format!("{list}:\n- {}", block(part, 2, "\n")?)).and_then(
            |wanted| wanted.entry(list, name)?.cloned().ok_or_else(|| unfit(list, name)),
        )?;
        let is_there = after.entry(list, name)?.is_some_and(|entry| reads_alike(entry, &wanted));
        if !is_there {
            return Err(unfit(list, name));
        }
    }
    if make_current && after.current_context() != Some(name) {
        return Err(unfit(CURRENT, name));
    }
    Ok(edited)
}

/// Takes the entries of that name out of these lists, and leaves it the current context no longer
/// if it was.
pub fn remove(
    text: &str,
    name: &str,
    lists: &[&str],
    not_current: bool,
) -> Result<String, Refusal> {
    let before = Document::read(text)?;
    let mut edited = text.to_owned();
    for list in lists {
        let document = Document::read(&edited)?;
        if let Some(entry) = document.entry(list, name)? {
            let edit = taken_out(&document, list, entry)?;
            edited = document.edited(edit);
        }
    }
    let document = Document::read(&edited)?;
    if not_current && document.current_context() == Some(name) {
        edited = document.edited(current(&document, "")?);
    }
    let after = reread(&before, &edited, name)?;
    for list in lists {
        if after.entry(list, name)?.is_some() {
            return Err(unfit(list, name));
        }
    }
    Ok(edited)
}

/// The edited text, if everything else in it is as it was.
fn reread<'a>(before: &Document, edited: &'a str, name: &str) -> Result<Document<'a>, Refusal> {
    let after = Document::read(edited)?;
    let (old, mut new) = (before.others(name), after.others(name));
    if before.root.is_none() {
        new.retain(|(key, _)| !matches!(*key, "apiVersion" | "kind"));
    }
    let differing =
        old.iter().zip(&new).find(|(old, new)| old.0 != new.0 || !old.1.says_the_same_as(new.1));
    match differing {
        Some((old, _)) => Err(Refusal::at(
            old.1.line,
            format!("this value would change with the entry `{name}`; write it in another way"),
        )),
        None if old.len() != new.len() => Err(unfit("clusters", name)),
        None => Ok(after),
    }
}

fn unfit(what: &str, name: &str) -> Refusal {
    Refusal::at(
        1,
        format!("`{name}` cannot be changed in `{what}` without changing more than that"),
    )
}

/// Whether both hold the same texts, in whatever style.
fn reads_alike(one: &Node, other: &Node) -> bool {
    match (&one.content, &other.content) {
        (Content::Scalar { text, .. }, Content::Scalar { text: other, .. }) => text == other,
        (Content::Map { entries, .. }, Content::Map { entries: others, .. }) => {
            entries.len() == others.len()
                && entries.iter().zip(others).all(|(one, other)| {
                    reads_alike(&one.0, &other.0) && reads_alike(&one.1, &other.1)
                })
        }
        (Content::List { items, .. }, Content::List { items: others, .. }) => {
            items.len() == others.len()
                && items.iter().zip(others).all(|(one, other)| reads_alike(one, other))
        }
        _ => false,
    }
}

/// One stretch of a text, and what comes in its place.
struct Edit {
    range: Range<usize>,
    text: String,
}

fn edit(range: Range<usize>, text: impl Into<String>) -> Edit {
    Edit { range, text: text.into() }
}

fn insert(at: usize, text: impl Into<String>) -> Edit {
    edit(at..at, text)
}

/// A text that said nothing, with what begins a kubeconfig.
fn begun(text: &str) -> String {
    let end = line_end(text);
    format!("{}apiVersion: v1{end}kind: Config{end}", whole_lines(text, end))
}

fn replaced(entry: &Node, part: &Value, text: &str) -> Result<Edit, Refusal> {
    let Content::Map { flow, .. } = entry.content else {
        return Err(Refusal::at(entry.line, "this entry is not a map"));
    };
    if entry.has_anchor() {
        return Err(Refusal::at(entry.line, "an alias elsewhere may repeat this entry"));
    }
    if flow {
        return Ok(edit(entry.range.clone(), json(part)));
    }
    let end = line_end(text);
    let mut new = block(part, column(text, entry.range.start), end)?;
    if text[entry.range.clone()].ends_with('\n') {
        new.push_str(end);
    }
    Ok(edit(entry.range.clone(), new))
}

fn added(document: &Document, list: &str, part: &Value) -> Result<Edit, Refusal> {
    let Document { text, root: Some(root) } = document else {
        return Err(Refusal::at(1, "it is empty"));
    };
    let Content::Map { flow, entries } = &root.content else {
        return Err(Refusal::at(root.line, "it is not a map"));
    };
    let end = line_end(text);
    let found = entries.iter().find(|(key, _)| key.scalar() == Some(list));
    let Some((key, value)) = found else {
        let indent = " ".repeat(column(text, root.range.start));
        let value = format!("{end}{indent}- {}", block(part, indent.len() + 2, end)?);
        return new_key(document, list, &value, &format!("[{}]", json(part)));
    };
    match &value.content {
        Content::List { flow: true, items } if let Some(last) = items.last() => {
            Ok(insert(last.range.end, format!(", {}", json(part))))
        }
        Content::List { flow: false, items } if let Some(last) = items.last() => {
            let indent = column(text, dash(text, after_colon(text, key)?, &items[0])?);
            let new = format!("{}- {}{end}", " ".repeat(indent), block(part, indent + 2, end)?);
            Ok(insert_line(text, end_of_line(text, last.range.end), &new))
        }
        // Whatever is between the brackets is a comment.
        Content::List { flow: true, .. } if *flow || !is_blank(inside(text, value)) => {
            Ok(insert(value.range.start + 1, json(part)))
        }
        _ if *flow && value.range.is_empty() => {
            Ok(insert(after_colon(text, key)?, format!(" [{}]", json(part))))
        }
        _ if *flow => Ok(edit(value.range.clone(), format!("[{}]", json(part)))),
        _ => {
            let colon = after_colon(text, key)?;
            let value_end = value.range.end.max(colon);
            let line = end_of_line(text, value_end);
            let indent = column(text, key.range.start);
            let new = format!("{}- {}{end}", " ".repeat(indent), block(part, indent + 2, end)?);
            let rest = text[value_end..line].trim_end_matches(['\r', '\n']);
            Ok(edit(colon..line, format!("{rest}{end}{new}")))
        }
    }
}

/// A key that the file does not have yet, after the others.
fn new_key(document: &Document, key: &str, block: &str, flow: &str) -> Result<Edit, Refusal> {
    let Document { text, root: Some(root) } = document else {
        return Err(Refusal::at(1, "it is empty"));
    };
    let end = line_end(text);
    if let Content::Map { flow: true, entries } = &root.content {
        return Ok(match entries.last() {
            Some((_, value)) => insert(value.range.end, format!(", \"{key}\": {flow}")),
            None => insert(root.range.start + 1, format!("\"{key}\": {flow}")),
        });
    }
    let indent = " ".repeat(column(text, root.range.start));
    let new = format!("{indent}{key}:{block}{end}");
    Ok(insert_line(text, end_of_line(text, root.range.end), &new))
}

fn current(document: &Document, name: &str) -> Result<Edit, Refusal> {
    let quoted = format!("\"{name}\"");
    let text = document.text;
    let root = document.root.as_ref().ok_or_else(|| Refusal::at(1, "it is empty"))?;
    let found = root.entries().iter().find(|(key, _)| key.scalar() == Some(CURRENT));
    let in_flow = matches!(root.content, Content::Map { flow: true, .. });
    let written = if in_flow || name.is_empty() { &quoted } else { name };
    Ok(match found {
        None => new_key(document, CURRENT, &format!(" {name}"), &quoted)?,
        Some((key, value)) if value.range.is_empty() => {
            insert(after_colon(text, key)?, format!(" {written}"))
        }
        Some((_, value)) => edit(value.range.clone(), written),
    })
}

fn taken_out(document: &Document, list: &str, entry: &Node) -> Result<Edit, Refusal> {
    let (text, items) = (document.text, document.items(list));
    let root = document.root.as_ref().map_or(&[][..], Node::entries);
    let found = root.iter().find(|(key, _)| key.scalar() == Some(list));
    let (Some((key, value)), Some(at)) =
        (found, items.iter().position(|item| item.range == entry.range))
    else {
        return Err(Refusal::at(entry.line, "this entry is in no list"));
    };
    let previous = at.checked_sub(1).and_then(|at| items.get(at));
    let next = items.get(at + 1);
    if matches!(value.content, Content::List { flow: true, .. }) {
        return Ok(taken_out_of_flow(text, value, previous, entry, next));
    }
    let from = previous.map_or_else(|| after_colon(text, key), |item| Ok(item.range.end))?;
    let start = start_of_line(text, dash(text, from, entry)?);
    let end = end_of_line(text, entry.range.end);
    if items.len() > 1 {
        return Ok(edit(start..end, ""));
    }
    let colon = after_colon(text, key)?;
    Ok(edit(colon..end, format!(" []{}", &text[colon..start])))
}

fn taken_out_of_flow(
    text: &str,
    list: &Node,
    previous: Option<&Node>,
    entry: &Node,
    next: Option<&Node>,
) -> Edit {
    let has_comment = |range: Range<usize>| text[range].contains('#');
    let range = match (previous, next) {
        (None, None) if !has_comment(list.range.start..entry.range.start) => {
            list.range.start + 1..list.range.end - 1
        }
        (_, Some(next)) if !has_comment(entry.range.end..next.range.start) => {
            entry.range.start..next.range.start
        }
        (Some(previous), None) if !has_comment(previous.range.end..entry.range.start) => {
            previous.range.end..entry.range.end
        }
        // YAML takes a comma that nothing follows.
        _ => entry.range.clone(),
    };
    edit(range, "")
}

/// Where the `-` of an item is, which begins a line after `from`.
fn dash(text: &str, from: usize, item: &Node) -> Result<usize, Refusal> {
    let mut at = end_of_line(text, from);
    while at < item.range.start {
        let line = &text[at..item.range.start];
        let indent = line.len() - line.trim_start_matches(' ').len();
        if line[indent..].starts_with('-') {
            return Ok(at + indent);
        }
        at = end_of_line(text, at + 1);
    }
    Err(Refusal::at(item.line, "this list is written in an unusual way"))
}

fn after_colon(text: &str, key: &Node) -> Result<usize, Refusal> {
    let rest = &text[key.range.end..];
    let blanks = rest.len() - rest.trim_start_matches([' ', '\t']).len();
    if rest[blanks..].starts_with(':') {
        return Ok(key.range.end + blanks + 1);
    }
    Err(Refusal::at(key.line, "this key is written in an unusual way"))
}

/// A part as the lines of a block, the first where it is put and the others below it.
fn block(part: &Value, indent: usize, end: &str) -> Result<String, Refusal> {
    let text = serde_yaml::to_string(part).map_err(|error| Refusal::at(1, error.to_string()))?;
    Ok(text.lines().collect::<Vec<_>>().join(&format!("{end}{}", " ".repeat(indent))))
}

fn json(part: &Value) -> String {
    serde_json::to_string(part).unwrap_or_default()
}

fn insert_line(text: &str, at: usize, line: &str) -> Edit {
    let is_cut_short = at > 0 && !text[..at].ends_with('\n');
    let end = if is_cut_short { line_end(text) } else { "" };
    insert(at, format!("{end}{line}"))
}

fn inside<'a>(text: &'a str, brackets: &Node) -> &'a str {
    &text[brackets.range.start + 1..brackets.range.end - 1]
}

fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

/// After the line break of the line that holds what ends at `at`.
fn end_of_line(text: &str, at: usize) -> usize {
    if at > 0 && text[..at].ends_with('\n') {
        return at;
    }
    text[at..].find('\n').map_or(text.len(), |offset| at + offset + 1)
}

fn start_of_line(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |line| line + 1)
}

fn column(text: &str, at: usize) -> usize {
    let line = &text[start_of_line(text, at)..at];
    line.trim_start_matches('\u{feff}').chars().count()
}

fn line_end(text: &str) -> &'static str {
    if text.find('\n').is_some_and(|at| text[..at].ends_with('\r')) { "\r\n" } else { "\n" }
}

fn whole_lines(text: &str, end: &str) -> String {
    let is_cut_short = !text.is_empty() && !text.ends_with('\n');
    format!("{text}{}", if is_cut_short { end } else { "" })
}
