//! Standing still: everything that runs is stopped, what uses others before them.

use std::collections::{HashMap, HashSet};

use super::{Action, Bond, Id, Item, Plan, State, Table, World};

/// What of the world runs, is topo's own, and can be stopped.
pub fn halt(
    topology: &str,
    world: &World,
    tables: &dyn Fn(&str) -> Option<&'static Table>,
) -> Plan {
    let is_stopped = |id: &Id| {
        let stops = tables(id.kind()).is_some_and(|table| table.stops);
        stops && world.things.get(id).is_some_and(|seen| seen.state != State::Stopped)
    };
    let mut ids: Vec<&Id> = world.records().map(|(id, _)| id).filter(|id| is_stopped(id)).collect();
    ids.sort_unstable();
    let ways = Ways::of(world);
    let items = ids.iter().map(|id| {
        let used = ways.from(id);
        let used = ids.iter().filter(|other| *other != id && used.contains(*other));
        let bonds = used.map(|other| Bond::Uses((*other).clone())).collect();
        Item { bonds, ..Item::new((*id).clone(), Action::Stop) }
    });
    Plan { topology: topology.to_owned(), items: items.collect() }
}

/// What each thing needs, and what lives in it: a pod uses a share that its cluster knows nothing of.
struct Ways<'a>(HashMap<&'a Id, Vec<&'a Id>>);

impl<'a> Ways<'a> {
    fn of(world: &'a World) -> Self {
        let mut ways: HashMap<&Id, Vec<&Id>> = HashMap::new();
        for (id, record) in world.records().chain(&world.remembered) {
            for bond in &record.needs {
                ways.entry(id).or_default().push(bond.id());
                if bond.is_held() {
                    ways.entry(bond.id()).or_default().push(id);
                }
            }
        }
        Self(ways)
    }

    fn from(&self, id: &'a Id) -> HashSet<&'a Id> {
        let mut met = HashSet::new();
        let mut open = vec![id];
        while let Some(id) = open.pop() {
            if met.insert(id) {
                open.extend(self.0.get(id).into_iter().flatten().copied());
            }
        }
        met
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Phase, Record, Seen, Step, steps};

    static RUNS: Table = Table { stops: true, ..Table::plain("box") };
    static LIES: Table = Table::plain("thing");

    fn table(kind: &str) -> Option<&'static Table> {
        [&RUNS, &LIES].into_iter().find(|table| table.kind == kind)
    }

    fn seen(needs: Vec<Bond>) -> Seen {
        Seen::mine(Record { needs, ..Record::default() })
    }

    fn boxed(name: &str) -> Id {
        Id::new("box", name)
    }

    fn thing(name: &str) -> Id {
        Id::new("thing", name)
    }

    /// A gateway with a forward to a Service in a cluster, whose pods use a share of a server.
    fn world() -> World {
        let mut world = World::default();
        world.add(boxed("server"), seen(vec![]));
        world.add(boxed("cluster"), seen(vec![]));
        world.add(boxed("worker"), seen(vec![Bond::Holds(boxed("cluster"))]));
        world.add(boxed("gateway"), seen(vec![]));
        world.add(thing("share"), seen(vec![Bond::Uses(boxed("server"))]));
        let pod = vec![Bond::Inside(boxed("cluster")), Bond::Uses(thing("share"))];
        world.add(thing("pod"), seen(pod));
        let port = vec![Bond::Holds(boxed("gateway")), Bond::Uses(thing("pod"))];
        world.add(thing("port"), seen(port));
        world
    }

    #[test]
    fn what_runs_is_stopped_before_what_it_uses() {
        let world = world();
        let plan = halt("test", &world, &table);
        let names: Vec<&str> = plan.items.iter().map(|item| item.id.name()).collect();
        assert_eq!(names, ["cluster", "gateway", "server", "worker"]);

        let graph = steps(&plan, &[], &world);
        let stop = |name: &str| names.iter().position(|other| *other == name).expect("is there");
        assert!(graph.steps.iter().all(|Step { phase, .. }| *phase == Phase::Remove));
        let waits = |first: &str, then: &str| graph.followers[stop(first)].contains(&stop(then));
        assert!(waits("gateway", "cluster") && waits("gateway", "worker"));
        assert!(waits("cluster", "server") && waits("worker", "server"));
        assert_eq!(graph.waits_for[stop("gateway")], 0);
    }

    #[test]
    fn what_stands_still_and_what_is_not_topos_is_left() {
        let mut world = world();
        world.add(boxed("worker"), seen(vec![]).state(State::Stopped));
        world.add(boxed("gateway"), Seen::foreign("somebody's".to_owned()));
        let plan = halt("test", &world, &table);
        let names: Vec<&str> = plan.items.iter().map(|item| item.id.name()).collect();
        assert_eq!(names, ["cluster", "server"]);
    }
}
