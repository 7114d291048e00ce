//! From what a person types to the container or the workload that is meant.

use super::session::Session;
use crate::engine::Failure;
use crate::error::Error;
use crate::plan::{Id, NotOne, World};
use crate::resources::{self, Container, Site};

/// How many of those that could have been meant are named.
const MOST_NAMED: usize = 8;

/// Where a command of this topology can look. A container comes before an object of its name.
pub async fn find(session: &Session, typed: &str) -> Result<Site, Error> {
    let containers = containers(session);
    let stopped = stopped_plane(&containers).map(|plane| plane.id.clone());
    let mut sites: Vec<Site> = containers.into_iter().map(Site::Container).collect();
    if let Some(site) = pick(typed, &sites)? {
        return Ok(site);
    }
    if let Some(plane) = stopped {
        let name = session.name();
        let failure = Failure::new(format!(
            "`{typed}` is not a container of `{name}`, and what is in its cluster cannot be inspected: `{plane}` is stopped"
        ));
        return Err(Error::refused(failure.hint(START)));
    }
    let world = session.look().await?;
    let mut workloads: Vec<Site> =
        world.things.keys().filter_map(resources::workload).map(Site::Workload).collect();
    workloads.sort_unstable_by(|a, b| a.id().cmp(b.id()));
    if let Some(site) = pick(typed, &workloads)? {
        return Ok(site);
    }
    sites.extend(workloads);
    Err(not_found(typed, &sites, &world))
}

/// Those that are there, by id.
pub fn containers(session: &Session) -> Vec<Container> {
    resources::containers(session.name(), session.snapshot())
}

/// A node without which no object can be looked at.
pub fn stopped_plane(containers: &[Container]) -> Option<&Container> {
    let nodes = || containers.iter().filter(|container| container.is_node());
    nodes().find(|node| !node.is_running).filter(|_| !nodes().any(|node| node.is_running))
}

const START: &str = "`topo start` starts it";

/// Said of what has to run, and does not.
pub fn stopped(container: &Container) -> Error {
    Error::refused(Failure::new(format!("`{}` is stopped", container.id)).hint(START))
}

/// The first few by name, the rest by number.
pub fn list<'a>(ids: impl Iterator<Item = &'a Id>) -> Option<String> {
    let mut names: Vec<String> = ids.map(|id| format!("`{id}`")).collect();
    if names.len() > MOST_NAMED {
        let more = names.len() - MOST_NAMED;
        names.truncate(MOST_NAMED);
        names.push(format!("{more} more"));
    }
    (!names.is_empty()).then(|| names.join(", "))
}

/// The one that is meant, if any is.
fn pick(typed: &str, among: &[Site]) -> Result<Option<Site>, Error> {
    match Id::find(typed, among.iter().map(Site::id)) {
        Ok(id) => Ok(among.iter().find(|site| *site.id() == id).cloned()),
        Err(NotOne::None { .. }) => Ok(None),
        Err(several @ NotOne::Several { .. }) => Err(several.into()),
    }
}

/// Of what is neither: which it could have been, and what else goes by that name.
fn not_found(typed: &str, sites: &[Site], world: &World) -> Error {
    let all = sites.iter().map(Site::id).chain(world.things.keys());
    let mut failure = match Id::find(typed, all) {
        Ok(id) => Failure::new(format!("`{id}` is not a container or a workload")),
        Err(NotOne::Several { .. }) => {
            Failure::new(format!("nothing called `{typed}` is a container or a workload"))
        }
        Err(none @ NotOne::None { .. }) => Failure::new(none.to_string()),
    };
    let unseen = world.blind.iter();
    failure.notes.extend(unseen.map(|(id, why)| format!("`{id}` cannot be inspected: {why}")));
    Error::refused(match list(sites.iter().map(Site::id)) {
        Some(list) => failure.hint(format!("what there is: {list}")),
        None => failure,
    })
}
#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::Reads;

    fn container(id: &str, is_running: bool) -> Container {
        let id: Id = id.parse().expect("valid");
        Container { name: id.name().to_owned(), id, is_running, reads: Reads::Log }
    }

    #[test]
    fn a_cluster_is_stopped_when_none_of_its_nodes_runs() {
        let all = |running: [bool; 3]| {
            ["gateway/dev-gw", "node/dev-control-plane", "node/dev-worker"]
                .iter()
                .zip(running)
                .map(|(id, running)| container(id, running))
                .collect::<Vec<_>>()
        };
        let stopped = |running| stopped_plane(&all(running)).map(|node| node.name.clone());
        assert_eq!(stopped([true, false, false]).as_deref(), Some("dev-control-plane"));
        assert_eq!(stopped([false, true, false]), None);
        assert_eq!(stopped_plane(&[container("gateway/dev-gw", false)]), None);
    }

    #[test]
    fn the_first_are_listed_and_the_rest_counted() {
        let ids: Vec<Id> =
            (0..10).map(|at| format!("node/n{at}").parse().expect("valid")).collect();
        let listed = list(ids.iter()).expect("some");
        assert!(listed.ends_with("`node/n7`, 2 more"), "{listed}");
        assert_eq!(list([].into_iter()), None);
    }
}
