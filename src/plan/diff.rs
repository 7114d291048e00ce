//! One resource in three states: what the file wants, what was recorded, what is seen.

use serde_json::Value;

use super::record::input_of;
use super::resource::field_of;
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
        Want::Is(value) | Want::Secret(value) => Known::Value(value.clone()),
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
            let secret =
                matches!(self.resource.fields.get(field_of(&drifted.path)), Some(Want::Secret(_)));
            let show = |value: &Value| if secret { Shown::Sensitive } else { shown(value) };
            let (before, after) = (show(&drifted.live), show(&drifted.applied));
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

        let (file, drift) = if matches!(want, Want::Secret(_)) {
            let recorded = recorded.and_then(Value::as_str);
            let differs = |value: &Value| recorded != Some(self.key.hash(value).as_str());
            (differs(&wanted), live.is_some_and(differs))
        } else {
            let another = recorded != Some(&wanted);
            let moved = another && self.has_same_giver(name, want);
            let live_differs = live.is_some_and(|live| recorded.is_some_and(|was| was != live));
            (another && !moved, moved || live_differs)
        };
        let Some(cause) = cause_of(file, drift) else { return };

        // What is wanted has come about by other hands: it only has to be recorded, and for
        // that nothing is removed.
        let effect = self.effect(name);
        let there_already = live == Some(&wanted);
        if there_already && effect == Effect::Replace {
            return;
        }
        let (before, after) = match want {
            Want::Secret(_) if before == Shown::Absent => (before, Shown::Sensitive),
            Want::Secret(_) => (Shown::Sensitive, Shown::Sensitive),
            Want::Is(_) | Want::Auto | Want::After(..) => (before, shown(&wanted)),
        };
        difference.push(self.change(name, before, after, cause), effect);
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
        let change = self.change(name, shown(value), Shown::Absent, Cause::File);
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

    fn change(&self, path: &str, before: Shown, after: Shown, cause: Cause) -> Change {
        Change {
            path: path.to_owned(),
            before,
            after,
            at: place_of(&self.resource.origin, path, self.places),
            forces_replace: self.effect(path) == Effect::Replace,
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

/// A live or recorded value as it may be shown.
fn shown(value: &Value) -> Shown {
    if value.is_null() {
        Shown::Absent
    } else if SecretKey::made(value) {
        Shown::Sensitive
    } else {
        Shown::Value(value.clone())
    }
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
