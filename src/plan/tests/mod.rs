//! The planner against worlds that are written down here, one case a test.

mod bonds;
mod changes;
mod order;
mod removal;

use serde_json::Value;

use super::*;

/// Made of a `shape` that is only changed by a replace, a `size` that unsettles, and the rest in place.
static BOX: Table = Table {
    kind: "box",
    effects: &[("shape", Effect::Replace), ("size", Effect::Unsettles)],
    guarded: &["config"],
    names: &[("config.outer", "outer")],
    ..BOX_LIKE
};
static VAULT: Table =
    Table { kind: "vault", effects: &[("shape", Effect::Replace)], precious: |_| true, ..BOX_LIKE };
static NETWORK: Table =
    Table { kind: "network", effects: &[("shape", Effect::Replace)], ..BOX_LIKE };
static FOUND: Table = Table { kind: "found", lookup: true, ..BOX_LIKE };
const BOX_LIKE: Table = Table::plain("box");

fn id(text: &str) -> Id {
    text.parse().expect("a valid id")
}

fn want(text: &str) -> Resource {
    let id = id(text);
    let table = table_of(id.kind()).expect("a kind of these tests");
    Resource::new(id, table).origin(Origin::Key(text.into()))
}

fn table_of(kind: &str) -> Option<&'static Table> {
    [&BOX, &VAULT, &NETWORK, &FOUND].into_iter().find(|table| table.kind == kind)
}

fn key() -> SecretKey {
    SecretKey::new(b"a key")
}

/// The record that applying this resource leaves, with what was not in the file given here.
fn recorded(resource: &Resource, given: &[(&'static str, Value)]) -> Record {
    let mut values: Fields<Value> = resource
        .fields
        .iter()
        .filter_map(|(name, want)| match want {
            Want::Is(value) => Some((name.clone(), value.clone())),
            Want::Auto | Want::After(..) => None,
        })
        .collect();
    values.extend(given.iter().cloned());
    Record::of(resource, &values)
}

/// The resource as it is seen right after it was applied.
fn applied(resource: &Resource) -> Seen {
    Seen::mine(recorded(resource, &[]))
}

fn world(things: impl IntoIterator<Item = (&'static str, Seen)>) -> World {
    let mut world = World::default();
    for (text, seen) in things {
        world.add(id(text), seen);
    }
    world
}

fn try_plan(desired: &[Resource], world: &World, replace: &[Id]) -> Result<Plan, PlanError> {
    plan(&Request {
        topology: "test",
        desired,
        world,
        tables: &table_of,
        places: &|path| (path == "box/a.colour").then(|| "topo.yaml:3:5".to_owned()),
        key: &key(),
        replace,
        take: &[],
    })
}

fn planned(desired: &[Resource], world: &World) -> Plan {
    try_plan(desired, world, &[]).expect("a plan")
}

fn item<'a>(plan: &'a Plan, text: &str) -> &'a Item {
    plan.item(&id(text)).unwrap_or_else(|| panic!("`{text}` is not in {:#?}", plan.items))
}

fn action(plan: &Plan, text: &str) -> Action {
    item(plan, text).action
}

fn why<'a>(plan: &'a Plan, text: &str) -> &'a str {
    item(plan, text).why.as_deref().unwrap_or_default()
}

fn uses(text: &str) -> Bond {
    Bond::Uses(id(text))
}

fn rests(text: &str) -> Bond {
    Bond::Rests(id(text))
}

fn holds(text: &str) -> Bond {
    Bond::Holds(id(text))
}

fn inside(text: &str) -> Bond {
    Bond::Inside(id(text))
}
