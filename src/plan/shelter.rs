//! What `protect: true` reaches: a resource cannot stay when what it stands on goes.

use std::collections::HashMap;

use super::{Bond, Id, Resource, World};

/// Resources that a protected one would be removed with, each with that protected one.
pub(super) struct Shelter(HashMap<Id, Id>);

impl Shelter {
    pub(super) fn over(desired: &[Resource], world: &World) -> Self {
        let mut shelter = Self(HashMap::new());
        if !desired.iter().any(|resource| resource.protect) {
            return shelter;
        }
        let bonds: HashMap<&Id, &[Bond]> =
            desired.iter().map(|resource| (&resource.id, resource.bonds.as_slice())).collect();
        for resource in desired.iter().filter(|resource| resource.protect) {
            if may_exist(resource, world) {
                shelter.spread(&resource.id, &bonds);
            }
        }
        shelter
    }

    pub(super) fn of(&self, id: &Id) -> Option<&Id> {
        self.0.get(id)
    }

    fn spread(&mut self, protected: &Id, bonds: &HashMap<&Id, &[Bond]>) {
        let mut open = vec![protected];
        while let Some(id) = open.pop() {
            for bond in bonds.get(id).copied().unwrap_or_default() {
                if bond.goes_along() && !self.0.contains_key(bond.id()) {
                    self.0.insert(bond.id().clone(), protected.clone());
                    open.push(bond.id());
                }
            }
        }
    }
}

/// Seen, remembered, or in a place that cannot be inspected.
fn may_exist(resource: &Resource, world: &World) -> bool {
    world.things.contains_key(&resource.id)
        || world.remembered.contains_key(&resource.id)
        || resource
            .bonds
            .iter()
            .any(|bond| matches!(bond, Bond::Inside(parent) if world.is_closed(parent)))
}
