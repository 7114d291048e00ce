//! What was found in the cluster, and whose it is.

use std::sync::Arc;

use kube::api::DynamicObject;

use crate::backend::kube::Target;
use crate::manifest::Kind;
use crate::plan::{Id, Seen};
use crate::resources::base::marks;

/// What was found in the cluster, by kind.
#[derive(Default)]
pub struct Listing {
    by_kind: Vec<(Arc<Kind>, Vec<DynamicObject>)>,
}

impl Listing {
    pub fn new(by_kind: Vec<(Arc<Kind>, Vec<DynamicObject>)>) -> Self {
        Self { by_kind }
    }

    pub fn of(&self, kind: &Kind) -> impl Iterator<Item = &DynamicObject> {
        let group = self.by_kind.iter().find(|(of, _)| of.is(&kind.group, &kind.name));
        group.into_iter().flat_map(|(_, objects)| objects)
    }

    pub fn all(&self) -> impl Iterator<Item = (&Kind, &DynamicObject)> {
        self.by_kind
            .iter()
            .flat_map(|(kind, objects)| objects.iter().map(move |one| (&**kind, one)))
    }

    pub fn with_id(&self, id: &Id) -> impl Iterator<Item = (&Kind, &DynamicObject)> {
        self.all().filter(move |(_, object)| marks::kube_id(object).as_ref() == Some(id))
    }
}

/// An object that stands where one of this topology belongs, and that may be taken over unless it is
/// another topology's.
pub fn stranger(there: &DynamicObject, target: &Target<'_>, id: &Id) -> Seen {
    let whose = foreign(there, target);
    match there.metadata.uid.clone().filter(|_| marks::topology(there).is_none()) {
        Some(uid) => {
            let mut seen = Seen::foreign(format!("{whose}; `--take {id}` takes it over as it is"));
            seen.uids = vec![uid];
            seen
        }
        None => Seen::foreign(whose),
    }
}

/// Whose an object is that stands where one of this topology belongs, and what to do.
pub fn foreign(there: &DynamicObject, target: &Target<'_>) -> String {
    let whose = if let Some(topology) = marks::topology(there) {
        format!("belongs to topology `{topology}`")
    } else {
        // Controllers write of it too, but only how it is.
        let managers = there.metadata.managed_fields.iter().flatten();
        let maker = managers
            .filter(|entry| entry.subresource.is_none())
            .min_by_key(|entry| entry.time.clone())
            .and_then(|entry| entry.manager.as_deref());
        format!("was made by `{}`", maker.unwrap_or("somebody else"))
    };
    let place = target.namespace.map(|namespace| format!("{namespace}/")).unwrap_or_default();
    format!(
        "{} {place}{} exists and {whose}; remove it, or give the one in the manifest another name",
        target.kind.name, target.name
    )
}
