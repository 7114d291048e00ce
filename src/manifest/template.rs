//! Manifests that are templates (`*.j2`), rendered with what the topology says.

use std::sync::Arc;

use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior};
use serde_json::Value;

use super::{Fault, Place, Secrets};

/// Steps of the template engine: seconds of work, and a hundred thousand objects of some lines each.
const MOST_STEPS: u64 = 50_000_000;

/// What templates may name.
pub struct Values {
    pub real: Value,
    /// The same with other values in the place of sensitive ones, if there are any.
    pub standing_in: Option<Value>,
}

impl From<Value> for Values {
    fn from(real: Value) -> Self {
        Self { real, standing_in: None }
    }
}

/// Renders a template. With sensitive values it is rendered a second time with others in their
/// place: so it shows where they are, whatever the template makes of them.
pub fn render(name: &Arc<str>, text: &str, values: &Values) -> Result<(String, Secrets), Fault> {
    let real = render_with(name, text, &values.real);
    let Some(standing_in) = &values.standing_in else {
        return real.map(|text| (text, Secrets::Nowhere));
    };
    match (real, render_with(name, text, standing_in)) {
        (Ok(real), Ok(other)) if real == other => Ok((real, Secrets::Nowhere)),
        (Ok(real), Ok(other)) => Ok((real, Secrets::Beside(other))),
        (Ok(real), Err(_)) => Ok((real, Secrets::Anywhere)),
        // What is wrong with a sensitive value would tell of it.
        (Err(_), Err(fault)) => Err(fault),
        (Err(fault), Ok(_)) => Err(Fault::new(
            fault.place,
            "a sensitive variable has a value that this template cannot use",
        )),
    }
}

fn render_with(name: &Arc<str>, text: &str, context: &Value) -> Result<String, Fault> {
    let mut environment = Environment::new();
    environment.set_fuel(Some(MOST_STEPS));
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment
        .template_from_named_str(name, text)
        .and_then(|template| template.render(Serde(context)))
        .map_err(|error| fault(name, text, &error, context))
}

fn fault(name: &Arc<str>, text: &str, error: &minijinja::Error, context: &Value) -> Fault {
    let mut place = match error.range() {
        Some(range) => Place::at(name, text, range.start),
        None => Place::start(name),
    };
    if let (None, Some(line)) = (error.range(), error.line()) {
        place.line = super::narrow(line);
    }
    let detail = error.detail().map_or_else(|| error.kind().to_string(), ToOwned::to_owned);
    if error.kind() == ErrorKind::OutOfFuel {
        return Fault::new(place, format!("the template takes more than {MOST_STEPS} steps"))
            .hint("a loop in it repeats too often or never ends");
    }
    let fault = Fault::new(place, detail);
    if error.kind() != ErrorKind::UndefinedError {
        return fault;
    }
    let known: Vec<String> = names(context);
    fault.hint(format!(
        "this name is not defined: a template may use {}, and `{{{{ x | default(\"…\") }}}}` where one may be absent",
        known.join(", ")
    ))
}

/// What a template may name, two levels deep: `vars.replicas`, `topology.name`.
fn names(context: &Value) -> Vec<String> {
    let Value::Object(fields) = context else { return Vec::new() };
    let mut names = Vec::new();
    for (name, value) in fields {
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                names.extend(inner.keys().map(|key| format!("`{name}.{key}`")));
            }
            _ => names.push(format!("`{name}`")),
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rendered(text: &str) -> Result<String, Fault> {
        let values = json!({"vars": {"replicas": 2}, "pools": []}).into();
        render(&"web.yaml.j2".into(), text, &values).map(|(text, _)| text)
    }

    #[test]
    fn a_sensitive_value_is_found_whatever_has_been_made_of_it() {
        let values = Values {
            real: json!({"vars": {"pin": 7, "word": "aGk="}}),
            standing_in: Some(json!({"vars": {"pin": 8, "word": "bHl="}})),
        };
        let render = |text| render(&"a.j2".into(), text, &values);
        let found = |text| render(text).expect("renders").1;
        assert_eq!(found("a: {{ vars.pin is defined }}"), Secrets::Nowhere);
        assert_eq!(found("a: {{ vars.pin + 1 }}"), Secrets::Beside("a: 9".to_owned()));
        assert_eq!(found("a: {{ {\"7\": 1}[vars.pin ~ \"\"] }}"), Secrets::Anywhere);
        let fault = render("a: {{ vars.word | int }}").expect_err("is no number");
        assert!(!fault.message.contains("aGk="), "{fault}");
    }

    #[test]
    fn values_come_out_as_they_are() {
        assert_eq!(
            rendered("a: {{ vars.replicas }}-x\n{% for p in pools %}{{ p }}{% endfor %}\n")
                .expect("renders"),
            "a: 2-x\n"
        );
    }

    #[test]
    fn an_undefined_name_says_where_and_what_there_is() {
        let fault = rendered("a: 1\nb: {{ vars.replica }}\n").expect_err("undefined");
        assert_eq!((fault.place.line, fault.place.column > 1), (2, true), "{fault}");
        assert!(fault.hint.expect("a hint").contains("`vars.replicas`, `pools`"));
    }

    #[test]
    fn a_broken_template_says_where() {
        let fault = rendered("a: 1\nb: {{ vars.\n").expect_err("broken");
        assert!(fault.place.line >= 2, "{fault}");
    }
}
