//! One resource in three states: what the file wants, what was recorded, what is seen.

use serde_json::Value;

use super::{
    Cause, Change, Effect, FieldName, Fields, Id, Origin, Record, Resource, SecretKey, Seen, Shown,
    Want,
};

/// What a wanted field comes to, with what is known so far.
#[derive(Debug, Clone, PartialEq)]
pub enum Known {
    Value(Value),
    Unknown(Id),
}

/// The one function that plan and apply both ask, so that they cannot disagree:
/// `given` answers with the outputs that are known by then.
pub fn known(
    owner: &Id,
    want: &Want,
    recorded: Option<&Value>,
    given: &dyn Fn(&Id, &str) -> Option<Value>,
) -> Known {
    match want {
        Want::Is(value) | Want::Secret(value) => Known::Value(value.clone()),
        Want::Auto => recorded
            .map_or_else(|| Known::Unknown(owner.clone()), |kept| Known::Value(kept.clone())),
        Want::After(giver, output) => {
            given(giver, output).map_or_else(|| Known::Unknown(giver.clone()), Known::Value)
        }
    }
}

/// The fields of a resource as far as they are known; what is missing from it is not known yet.
pub fn resolve(
    resource: &Resource,
    record: Option<&Record>,
    given: &dyn Fn(&Id, &str) -> Option<Value>,
) -> Fields<Value> {
    resource
        .fields
        .iter()
        .filter_map(|(name, want)| {
            let recorded = record.and_then(|record| record.fields.get(name));
            match known(&resource.id, want, recorded, given) {
                Known::Value(value) => Some((name.clone(), value)),
                Known::Unknown(_) => None,
            }
        })
        .collect()
}

/// What would change on a resource that is there and topo's own.
#[derive(Debug, Default)]
pub struct Difference {
    pub changes: Vec<Change>,
    pub cause: Option<Cause>,
    pub effect: Option<Effect>,
}

pub struct Comparison<'a> {
    pub resource: &'a Resource,
    pub record: &'a Record,
    pub seen: &'a Seen,
    pub key: &'a SecretKey,
    pub given: &'a dyn Fn(&Id, &str) -> Option<Value>,
    /// Where a key of the topology file stands: `topo.yaml:31:5`.
    pub places: &'a dyn Fn(&str) -> Option<String>,
}

impl Comparison<'_> {
    pub fn difference(&self) -> Difference {
        let mut difference = Difference::default();
        for (name, want) in self.resource.fields.iter() {
            if let Some(change) = self.field(name, want) {
                difference.push(change, self.resource.table.effect(name));
            }
        }
        for (name, value) in self.record.fields.iter() {
            if self.resource.fields.get(name).is_none() {
                let change = self.change(name, Some(value).into(), Shown::Absent, Cause::File);
                difference.push(change, self.resource.table.effect(name));
            }
        }
        for drifted in &self.seen.drift {
            let mut change = self.change(
                &FieldName::Owned(drifted.path.clone()),
                shown_or_absent(&drifted.live),
                shown_or_absent(&drifted.applied),
                Cause::Drift,
            );
            change.by.clone_from(&drifted.by);
            difference.push(change, Effect::InPlace);
        }
        difference
    }

    fn field(&self, name: &FieldName, want: &Want) -> Option<Change> {
        let recorded = self.record.fields.get(name);
        let live = self.seen.fields.get(name);
        let wanted = match known(&self.resource.id, want, recorded, self.given) {
            Known::Value(value) => value,
            Known::Unknown(giver) => {
                let before = live.or(recorded).into();
                return Some(self.change(name, before, Shown::Unknown(giver), Cause::File));
            }
        };

        if let Want::Secret(_) = want {
            return self.secret(name, &wanted, recorded, live);
        }
        let file = self.asks_for_another(name, want, &wanted, recorded);
        let moved = matches!(want, Want::After(..)) && !file && recorded != Some(&wanted);
        let drift = moved || live.is_some_and(|live| recorded.is_some_and(|was| was != live));
        let cause = cause_of(file, drift)?;
        Some(self.change(name, live.or(recorded).into(), Shown::Value(wanted), cause))
    }

    fn secret(
        &self,
        name: &FieldName,
        wanted: &Value,
        recorded: Option<&Value>,
        live: Option<&Value>,
    ) -> Option<Change> {
        let recorded = recorded.and_then(Value::as_str);
        let file = recorded != Some(self.key.hash(wanted).as_str());
        let drift = live.is_some_and(|live| recorded != Some(self.key.hash(live).as_str()));
        let cause = cause_of(file, drift)?;
        let before = if recorded.is_some() { Shown::Sensitive } else { Shown::Absent };
        Some(self.change(name, before, Shown::Sensitive, cause))
    }

    /// Whether the file itself asks for something else than was applied. A value that another
    /// resource gives has changed by the file only if the file names another giver.
    fn asks_for_another(
        &self,
        name: &FieldName,
        want: &Want,
        wanted: &Value,
        recorded: Option<&Value>,
    ) -> bool {
        match want {
            Want::After(giver, output) => self
                .record
                .inputs
                .get(name)
                .is_none_or(|input| *input != format!("{giver}#{output}")),
            Want::Is(_) | Want::Secret(_) | Want::Auto => recorded != Some(wanted),
        }
    }

    fn change(&self, name: &FieldName, before: Shown, after: Shown, cause: Cause) -> Change {
        Change {
            path: name.to_string(),
            before,
            after,
            at: place_of(&self.resource.origin, name, self.places),
            forces_replace: self.resource.table.effect(name) == Effect::Replace,
            cause,
            by: None,
        }
    }
}

impl Difference {
    fn push(&mut self, change: Change, effect: Effect) {
        self.cause = Some(match self.cause {
            Some(cause) => cause.and(change.cause),
            None => change.cause,
        });
        self.effect = Some(match (self.effect, effect) {
            (Some(Effect::Replace), _) | (_, Effect::Replace) => Effect::Replace,
            (Some(Effect::Unsettles), _) | (_, Effect::Unsettles) => Effect::Unsettles,
            _ => Effect::InPlace,
        });
        self.changes.push(change);
    }
}

fn cause_of(file: bool, drift: bool) -> Option<Cause> {
    match (file, drift) {
        (true, true) => Some(Cause::Both),
        (true, false) => Some(Cause::File),
        (false, true) => Some(Cause::Drift),
        (false, false) => None,
    }
}

fn shown_or_absent(value: &Value) -> Shown {
    if value.is_null() { Shown::Absent } else { Shown::Value(value.clone()) }
}

/// The line of a field, or of the block it belongs to where the field is not written out.
pub fn place_of(
    origin: &Origin,
    field: &str,
    places: &dyn Fn(&str) -> Option<String>,
) -> Option<String> {
    match origin {
        Origin::Key(key) => places(&format!("{key}.{field}")).or_else(|| places(key)),
        Origin::Line { file, line } => Some(format!("{file}:{line}")),
        Origin::Nowhere => None,
    }
}
