//! One resource in three states: what the file wants, what was recorded, what is seen.

use serde_json::Value;

use super::parts::{Part, parts};
use super::record::input_of;
use super::resource::field_of;
use super::seal::{MASK, masked};
use super::{
    Cause, Change, Effect, FieldName, Id, Origin, Record, Resource, SecretKey, Seen, Shown, Want,
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
        Want::Is(value) => Known::Value(value.clone()),
        Want::Auto => recorded
            .map_or_else(|| Known::Unknown(owner.clone()), |kept| Known::Value(kept.clone())),
        Want::After(giver, output) => {
            given(giver, output).map_or_else(|| Known::Unknown(giver.clone()), Known::Value)
        }
    }
}

/// What would change on a resource that is there and topo's own.
#[derive(Debug, Default, PartialEq)]
pub struct Difference {
    pub changes: Vec<Change>,
    pub cause: Option<Cause>,
    pub effect: Option<Effect>,
    /// A field that could only be changed by a replace, and whoever gives it: nothing is
    /// removed before it is known that it must be.
    pub undecided: Option<(FieldName, Id)>,
}

pub struct Comparison<'a> {
    pub resource: &'a Resource,
    pub record: &'a Record,
    pub seen: &'a Seen,
    pub key: &'a SecretKey,
    pub given: &'a dyn Fn(&Id, &str) -> Option<Value>,
    /// Why a resource will change, for those that cannot give their outputs yet.
    pub stirred: &'a dyn Fn(&Id) -> Option<Cause>,
    /// Where a key of the topology file stands: `topo.yaml:31:5`.
    pub places: &'a dyn Fn(&str) -> Option<String>,
}

impl Comparison<'_> {
    pub fn difference(&self) -> Difference {
        let mut difference = Difference::default();
        for (name, want) in self.resource.fields.iter() {
            self.field(name, want, &mut difference);
        }
        for (name, value) in self.record.fields.iter() {
            if self.resource.fields.get(name).is_none() {
                self.left_out(name, value, &mut difference);
            }
        }
        for drifted in &self.seen.drift {
            let (before, after) = (shown(&drifted.live), shown(&drifted.applied));
            let mut change = self.change(&drifted.path, before, after, Cause::Drift);
            change.by.clone_from(&drifted.by);
            difference.push(change, self.effect(&drifted.path));
        }
        difference
    }

    fn field(&self, name: &FieldName, want: &Want, difference: &mut Difference) {
        let recorded = self.record.fields.get(name);
        let live = self.seen.fields.get(name);
        // So it is with nearly every field of nearly every plan.
        if let Want::Is(wanted) = want
            && recorded == Some(wanted)
            && live.is_none_or(|live| live == wanted)
        {
            return;
        }
        // Chosen once: there is nothing to choose again about a thing that is there.
        if matches!(want, Want::Auto) && recorded.is_none() {
            return;
        }
        let before = live.or(recorded).map_or(Shown::Absent, shown);
        let wanted = match known(&self.resource.id, want, recorded, self.given) {
            Known::Value(value) => value,
            Known::Unknown(giver) => return self.unknown(name, want, before, giver, difference),
        };

        let recorded_parts = self.parts(name, recorded, &wanted);
        if !recorded_parts.is_empty() && recorded_parts.iter().all(|part| part.only_unsealed) {
            for part in &recorded_parts {
                difference.push(self.unsealed(part), Effect::InPlace);
            }
            return;
        }
        let another = !recorded_parts.is_empty();
        let moved = another && self.has_same_giver(name, want);
        let live_differs = live.is_some_and(|live| recorded.is_some_and(|was| was != live));
        let Some(cause) = cause_of(another && !moved, moved || live_differs) else { return };

        // What is wanted has come about by other hands: it only has to be recorded, and for
        // that nothing is removed.
        let effect = self.effect(name);
        let there_already = live == Some(&wanted);
        if there_already && effect == Effect::Replace {
            return;
        }
        if there_already {
            difference.push(self.change(name, before, shown(&wanted), cause), effect);
            return;
        }
        let parts = if live.is_some() { self.parts(name, live, &wanted) } else { recorded_parts };
        for part in parts {
            let before = match part.before {
                Some(_) if live.is_none() && self.is_in_the_clear(name) => Shown::Sensitive,
                before => before.map_or(Shown::Absent, shown),
            };
            let after = part.after.map_or(Shown::Absent, shown);
            difference.push(self.change(&part.path, before, after, cause), effect);
        }
    }

    fn parts<'v>(&self, name: &str, before: Option<&'v Value>, wanted: &'v Value) -> Vec<Part<'v>> {
        let there = |value: &&Value| !value.is_null();
        parts(name, before.filter(there), Some(wanted).filter(there), self.key)
    }

    /// A secret that is recorded anew, and for which nothing else is done.
    fn unsealed(&self, part: &Part) -> Change {
        let mut change = self.change(&part.path, Shown::Sensitive, Shown::Sensitive, Cause::File);
        change.forces_replace = false;
        change
    }

    /// Whether a record of a topo that sealed no field of this name may hold secrets there.
    fn is_in_the_clear(&self, name: &str) -> bool {
        !self.record.sealed && self.resource.table.guarded.contains(&name)
    }

    fn unknown(
        &self,
        name: &FieldName,
        want: &Want,
        before: Shown,
        giver: Id,
        difference: &mut Difference,
    ) {
        let cause = if self.has_same_giver(name, want) {
            (self.stirred)(&giver).unwrap_or(Cause::Drift)
        } else {
            Cause::File
        };
        let mut change = self.change(name, before, Shown::Unknown(giver.clone()), cause);
        let mut effect = self.effect(name);
        if effect == Effect::Replace {
            change.forces_replace = false;
            effect = Effect::InPlace;
            difference.undecided = Some((name.clone(), giver));
        }
        difference.push(change, effect);
    }

    /// A field that was applied and that the file no longer sets.
    fn left_out(&self, name: &FieldName, value: &Value, difference: &mut Difference) {
        let before = if self.is_in_the_clear(name) { Shown::Sensitive } else { shown(value) };
        let change = self.change(name, before, Shown::Absent, Cause::File);
        difference.push(change, self.effect(name));
    }

    /// Whether another resource gives the field, and gave it when it was applied: then it is that
    /// resource's doing if the value is another now, not the file's.
    fn has_same_giver(&self, name: &FieldName, want: &Want) -> bool {
        let Want::After(giver, output) = want else { return false };
        self.record.inputs.get(name).is_some_and(|input| *input == input_of(giver, output))
    }

    fn effect(&self, path: &str) -> Effect {
        self.resource.table.effect(path)
    }

    fn change(&self, written: &str, before: Shown, after: Shown, cause: Cause) -> Change {
        let path = self.resource.table.path_in_file(written);
        Change {
            at: place_of(&self.resource.origin, &path, self.places),
            path: path.into_owned(),
            field: field_of(written).to_owned(),
            before,
            after,
            forces_replace: self.effect(written) == Effect::Replace,
            cause,
            by: None,
        }
    }
}

impl Difference {
    fn push(&mut self, change: Change, effect: Effect) {
        self.cause = Some(change.cause.with(self.cause));
        self.effect = self.effect.max(Some(effect));
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

/// A value as it may be shown.
pub fn shown(value: &Value) -> Shown {
    if value.is_null() {
        return Shown::Absent;
    }
    match masked(value) {
        Value::String(text) if text == MASK => Shown::Sensitive,
        open => Shown::Value(open),
    }
}

/// The line of a field, or of the nearest thing around it that is written out.
pub fn place_of(
    origin: &Origin,
    field: &str,
    places: &dyn Fn(&str) -> Option<String>,
) -> Option<String> {
    match origin {
        Origin::Key(key) => {
            let mut path = format!("{key}.{}", field.replace('[', ".").replace(']', ""));
            loop {
                if let Some(place) = places(&path) {
                    return Some(place);
                }
                if path.len() <= key.len() {
                    return None;
                }
                path.truncate(path.rfind('.').unwrap_or_default().max(key.len()));
            }
        }
        Origin::Line { file, line } => Some(format!("{file}:{line}")),
        Origin::Nowhere => None,
    }
}
