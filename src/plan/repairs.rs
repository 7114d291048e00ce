//! What of a plan puts right what drifted, and can be done unasked.

use std::collections::{HashMap, HashSet};

use super::{Action, Cause, Id, Item, Plan, Resource};

/// A plan divided into what is repaired now and what is not.
#[derive(Debug, Default)]
pub struct Repairs {
    /// Nothing in it destroys anything or carries out a change of the file.
    pub plan: Plan,
    /// What would need more than that: a change of the file, a replace, a delete.
    pub left: Vec<Item>,
    /// Something is on its way to be ready, or could not be looked at yet.
    pub unsettled: bool,
}

impl Plan {
    /// Only of what `may` be repaired now, and only where all that it needs is in order or repaired
    /// with it.
    pub fn repairs(self, desired: &[Resource], may: impl Fn(&Id) -> bool) -> Repairs {
        let needs: HashMap<&Id, Vec<&Id>> =
            desired.iter().map(|resource| (&resource.id, resource.needs().collect())).collect();
        let unsettled = self.items.iter().any(is_unsettled);
        let mut chosen: HashSet<Id> = self
            .items
            .iter()
            .filter(|item| is_repair(item) && may(&item.id))
            .map(|item| item.id.clone())
            .collect();
        let in_order: HashSet<Id> = self
            .items
            .iter()
            .filter(|item| is_in_order(item))
            .map(|item| item.id.clone())
            .collect();
        loop {
            let can = |id: &Id| {
                let needed = needs.get(id).into_iter().flatten();
                needed.copied().all(|id| chosen.contains(id) || in_order.contains(id))
            };
            let stays: HashSet<Id> = chosen.iter().filter(|id| can(id)).cloned().collect();
            if stays.len() == chosen.len() {
                break;
            }
            chosen = stays;
        }

        let mut repairs = Repairs { unsettled, ..Repairs::default() };
        repairs.plan.topology = self.topology;
        for item in self.items {
            if chosen.contains(&item.id) || is_in_order(&item) {
                repairs.plan.items.push(item);
            } else if !is_repair(&item) && !is_unsettled(&item) {
                repairs.left.push(item);
            }
        }
        repairs
    }
}

fn is_in_order(item: &Item) -> bool {
    !item.action.changes_something() && item.waits.is_none()
}

fn is_unsettled(item: &Item) -> bool {
    item.waits.is_some() || item.action == Action::Deferred
}

fn is_repair(item: &Item) -> bool {
    matches!(item.action, Action::Create | Action::Update | Action::Start)
        && item.cause == Some(Cause::Drift)
        && item.asks.is_none()
        && item.goes_with.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Bond, Table, Want};

    static BOX: Table = Table::plain("box");

    fn id(name: &str) -> Id {
        Id::new("box", name)
    }

    fn item(name: &str, action: Action, cause: Option<Cause>) -> Item {
        Item { cause, ..Item::new(id(name), action) }
    }

    fn drifted(name: &str) -> Item {
        item(name, Action::Update, Some(Cause::Drift))
    }

    fn resource(name: &str, needs: &[&str]) -> Resource {
        let made = Resource::new(id(name), &BOX).field("size", Want::is(1));
        needs.iter().fold(made, |resource, needed| resource.bond(Bond::Uses(id(needed))))
    }

    fn names<'a>(items: impl IntoIterator<Item = &'a Item>) -> Vec<&'a str> {
        items.into_iter().map(|item| item.id.name()).collect()
    }

    fn repairs(items: Vec<Item>, desired: &[Resource]) -> Repairs {
        Plan { topology: "test".to_owned(), items }.repairs(desired, |_| true)
    }

    #[test]
    fn drift_is_repaired_and_a_changed_file_a_replace_and_a_delete_are_left() {
        let items = vec![
            drifted("moved"),
            item("stopped", Action::Start, Some(Cause::Drift)),
            item("gone", Action::Create, Some(Cause::Drift)),
            item("new", Action::Create, Some(Cause::File)),
            item("both", Action::Update, Some(Cause::Both)),
            item("another", Action::Replace, Some(Cause::Drift)),
            item("old", Action::Delete, Some(Cause::File)),
            Item { asks: Some("it is lost".to_owned()), ..drifted("dear") },
        ];
        let repairs = repairs(items, &[]);
        assert_eq!(names(&repairs.plan.items), ["moved", "stopped", "gone"]);
        assert_eq!(names(&repairs.left), ["new", "both", "another", "old", "dear"]);
        assert!(!repairs.unsettled);
    }

    #[test]
    fn what_needs_something_that_is_left_waits_for_it() {
        let desired = [
            resource("another", &[]),
            resource("in-it", &["another"]),
            resource("on-that", &["in-it"]),
            resource("well", &[]),
            resource("beside", &["well"]),
        ];
        let items = vec![
            item("another", Action::Replace, Some(Cause::Drift)),
            drifted("in-it"),
            drifted("on-that"),
            item("well", Action::None, None),
            drifted("beside"),
        ];
        assert_eq!(names(&repairs(items, &desired).plan.items), ["well", "beside"]);
    }

    #[test]
    fn what_is_not_ready_yet_is_not_waited_for() {
        let desired = [resource("slow", &[]), resource("in-it", &["slow"])];
        let slow = Item { waits: Some("0 of 1".to_owned()), ..item("slow", Action::None, None) };
        let repairs = repairs(vec![slow, drifted("in-it")], &desired);
        assert!(repairs.plan.items.is_empty() && repairs.left.is_empty() && repairs.unsettled);
    }

    #[test]
    fn only_what_may_be_repaired_now_is() {
        let plan = Plan { topology: "test".to_owned(), items: vec![drifted("a"), drifted("b")] };
        let repairs = plan.repairs(&[], |id| id.name() == "b");
        assert_eq!(names(&repairs.plan.items), ["b"]);
        assert!(repairs.left.is_empty());
    }
}
