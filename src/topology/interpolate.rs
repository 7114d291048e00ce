//! `${VAR}` and `${VAR:-default}` in plain scalars.

use std::cell::RefCell;
use std::collections::HashSet;

use serde_json::Value;

use super::diagnostic::{Diagnostic, Severity};
use super::places::{Node, Places, Shape, Style};
use super::sensitive::Secret;
use super::text::Malformed;

/// What to do about a quoted value that a variable was meant to be filled into.
pub const UNQUOTE: &str = "remove the quotes: variables are filled into plain values only";

/// The variables of the environment, and which of them must not be shown.
pub struct Variables<'a> {
    pub lookup: &'a dyn Fn(&str) -> Option<String>,
    pub sensitive: Vec<String>,
}

/// Text with its variables filled in.
#[derive(Debug, PartialEq)]
enum Filled {
    Open(String),
    /// The value of a sensitive variable is in it.
    Secret(Secret),
}

/// Fills variables into every plain scalar; keys and quoted scalars stay as they are. Faulty ones are left as written.
/// Answers which variables were named.
pub fn interpolate(
    value: &mut Value,
    places: &mut Places,
    variables: &Variables,
    faults: &mut Vec<Diagnostic>,
) -> HashSet<String> {
    let named = RefCell::new(HashSet::new());
    let noted = |name: &str| {
        named.borrow_mut().insert(name.to_owned());
        (variables.lookup)(name)
    };
    let mut found = Vec::new();
    let noting = Variables { lookup: &noted, sensitive: variables.sensitive.clone() };
    visit(value, &mut places.root, &noting, &mut found);
    for (mark, malformed) in found {
        let fault = Diagnostic::new(Severity::Error, "variable", places.at(mark), malformed.what);
        faults.push(match malformed.instead {
            Some(instead) => fault.write(instead),
            None => fault,
        });
    }
    named.into_inner()
}

/// Warns of what looks like a variable and stays as it is written.
pub fn literal(value: &Value, places: &Places) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    scan(value, &places.root, &mut |text, node| {
        let (message, help) = match node.style {
            Style::Quoted => {
                let Some(reference) = reference_in(text) else { return };
                let help =
                    format!("{UNQUOTE}; for the text itself write `${reference}` without quotes");
                (format!("`{reference}` in quotes is not filled in"), help)
            }
            Style::Plain => {
                let is_shouted = |name: &&str| !name.contains(|c: char| c.is_ascii_lowercase());
                let Some(name) = bare(text).filter(is_shouted) else { return };
                let help = format!("write `${{{name}}}`, or `$${name}` for the text itself");
                (format!("`${name}` is not filled in"), help)
            }
            Style::Block | Style::Interpolated | Style::Secret => return,
        };
        let place = places.at(node.mark);
        found.push(
            Diagnostic::new(Severity::Warning, "literal-variable", place, message).help(help),
        );
    });
    found
}

fn scan<'a>(value: &'a Value, node: &'a Node, each: &mut impl FnMut(&'a str, &'a Node)) {
    match (value, &node.shape) {
        (Value::String(text), Shape::Scalar) if text.contains('$') => each(text, node),
        (Value::Array(items), Shape::List(nodes)) => {
            items.iter().zip(nodes).for_each(|(item, node)| scan(item, node, each));
        }
        (Value::Object(map), Shape::Map(entries)) => {
            for (at, (key, value)) in map.iter().enumerate() {
                if let Some(index) = node.entry_index(key, at) {
                    scan(value, &entries[index].value, each);
                }
            }
        }
        _ => {}
    }
}

/// The first `${NAME}` or `${NAME:-default}` of a text.
fn reference_in(text: &str) -> Option<&str> {
    let (start, _) = text.match_indices("${").next()?;
    let end = start + text[start..].find('}')?;
    let inside = &text[start + 2..end];
    is_name(inside.split_once(":-").map_or(inside, |(name, _)| name)).then(|| &text[start..=end])
}

/// The name in a `$NAME` without braces, as shells take it.
pub fn bare(text: &str) -> Option<&str> {
    let (_, after) =
        text.split_once('$').filter(|(_, after)| !after.starts_with(['$', '{', '(']))?;
    let end = after.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(after.len());
    is_name(&after[..end]).then(|| &after[..end])
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn visit(
    value: &mut Value,
    node: &mut Node,
    variables: &Variables,
    faults: &mut Vec<(super::places::Mark, Malformed)>,
) {
    match value {
        Value::String(text) if node.style == Style::Plain && text.contains('$') => {
            match fill(text, variables) {
                Ok(Filled::Open(filled)) if filled != *text => {
                    *text = filled;
                    node.style = Style::Interpolated;
                }
                Ok(Filled::Open(_)) => {}
                Ok(Filled::Secret(secret)) => {
                    *value = Secret::mark(secret.reveal());
                    node.style = Style::Secret;
                }
                Err(malformed) => {
                    faults.push((node.mark, malformed));
                    node.style = Style::Interpolated;
                    node.pruned = true;
                }
            }
        }
        Value::Array(items) => {
            if let Shape::List(nodes) = &mut node.shape {
                for (item, node) in items.iter_mut().zip(nodes) {
                    visit(item, node, variables, faults);
                }
            }
        }
        Value::Object(map) => {
            for (at, (key, value)) in map.iter_mut().enumerate() {
                let Some(index) = node.entry_index(key, at) else { continue };
                if let Shape::Map(entries) = &mut node.shape {
                    visit(value, &mut entries[index].value, variables, faults);
                }
            }
        }
        _ => {}
    }
}

/// `text` with its variables filled in; `$$` is a dollar sign.
fn fill(text: &str, variables: &Variables) -> Result<Filled, Malformed> {
    let mut is_secret = false;
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        filled.push_str(&rest[..dollar]);
        rest = &rest[dollar + 1..];
        if let Some(tail) = rest.strip_prefix('$') {
            filled.push('$');
            rest = tail;
        } else if let Some(inside) = rest.strip_prefix('{') {
            let end = inside.find('}').ok_or_else(|| {
                Malformed::instead(
                    "missing `}` after `${`",
                    "`${NAME}`, or `$${` for the characters themselves",
                )
            })?;
            let (name, default) = reference(&inside[..end])?;
            match ((variables.lookup)(name), default) {
                (Some(value), default) if default.is_none() || !value.is_empty() => {
                    filled.push_str(&value);
                    is_secret |= variables.sensitive.iter().any(|secret| secret == name);
                }
                (_, Some(default)) => filled.push_str(default),
                (_, None) => return Err(not_set(name)),
            }
            rest = &inside[end + 1..];
        } else {
            filled.push('$');
        }
    }
    filled.push_str(rest);
    Ok(if is_secret { Filled::Secret(Secret::new(filled)) } else { Filled::Open(filled) })
}

/// The name of a variable, and its default.
fn reference(inside: &str) -> Result<(&str, Option<&str>), Malformed> {
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    if !is_name(name) {
        return Err(Malformed::instead(
            format!("`${{{inside}}}` is not a valid reference to a variable"),
            "`${NAME}` or `${NAME:-default}`",
        ));
    }
    if default.is_some_and(|default| default.contains("${")) {
        return Err(Malformed::instead(
            "a default cannot contain another variable",
            format!("`${{{name}:-default}}` with a plain default"),
        ));
    }
    Ok((name, default))
}

fn not_set(name: &str) -> Malformed {
    Malformed::instead(
        format!("the variable `{name}` is not set"),
        format!("`${{{name}:-…}}` with a default, or set the variable"),
    )
}

/// The value that plain text stands for when nothing says its type: a number or a boolean only if it is spelled just like one.
pub fn typed(text: &str) -> Option<Value> {
    let value: Value = serde_json::from_str(text).ok()?;
    let spelled = match &value {
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    (spelled == text).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn filled(text: &str) -> Result<String, String> {
        match fill_with(text) {
            Ok(Filled::Open(filled)) => Ok(filled),
            Ok(Filled::Secret(_)) => Err("a secret".to_owned()),
            Err(malformed) => Err(malformed.what),
        }
    }

    fn fill_with(text: &str) -> Result<Filled, Malformed> {
        let lookup = |name: &str| match name {
            "SET" => Some("value".to_owned()),
            "EMPTY" => Some(String::new()),
            "TOKEN" => Some("7".to_owned()),
            _ => None,
        };
        let sensitive = vec!["TOKEN".to_owned(), "UNSET".to_owned()];
        fill(text, &Variables { lookup: &lookup, sensitive })
    }

    #[test]
    fn text_with_a_sensitive_value_anywhere_in_it_is_secret_as_a_whole() {
        for (text, wanted) in [("${TOKEN}", "7"), ("${SET}-${TOKEN}-y", "value-7-y")] {
            let Ok(Filled::Secret(secret)) = fill_with(text) else { panic!("{text} is open") };
            assert_eq!(secret.reveal(), wanted);
        }
        assert_eq!(filled("${UNSET:-written in the file}").as_deref(), Ok("written in the file"));
    }

    #[test]
    fn variables_and_defaults_are_filled_in() {
        for (text, wanted) in [
            ("${SET}", "value"),
            ("a-${SET}-${SET}", "a-value-value"),
            ("${UNSET:-b}", "b"),
            ("${EMPTY:-b}", "b"),
            ("${EMPTY}", ""),
            ("${UNSET:-}", ""),
            ("$$", "$"),
            ("$${SET}", "${SET}"),
            ("$SET 5$ $(x)", "$SET 5$ $(x)"),
        ] {
            assert_eq!(filled(text).as_deref(), Ok(wanted), "{text}");
        }
    }

    #[test]
    fn what_does_not_name_a_variable_is_refused() {
        for text in
            ["${UNSET}", "${", "${SET", "${}", "${1}", "${a b}", "${SET-x}", "${UNSET:-${SET}}"]
        {
            assert!(filled(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_what_is_spelled_like_a_number_becomes_one() {
        for (text, number) in [
            ("3", true),
            ("0.5", true),
            ("true", true),
            ("03", false),
            ("1e5", false),
            ("", false),
            ("null", false),
            ("1.0.0", false),
        ] {
            assert_eq!(typed(text).is_some(), number, "{text}");
        }
    }

    proptest! {
        #[test]
        fn text_without_a_dollar_stays(text in "[^$]*") {
            prop_assert_eq!(filled(&text), Ok(text));
        }

        #[test]
        fn no_text_makes_it_panic(text in "[${}:A-]{0,20}") {
            let _ = filled(&text);
        }
    }
}
