//! The container end of docker-connector, by which a macOS host has routes to the engine's networks.
//!
//! The host's end needs root, so it is the user's: topo renders its settings, says which commands
//! put them in force, and looks whether the routes are there.

use serde_json::{Value, json};

use crate::backend::docker::api::{
    ContainerCreateBody, HostConfig, RestartPolicy, RestartPolicyNameEnum,
};
use crate::backend::docker::{Container, ContainerState, ImageDetails, Labels, Network, Snapshot};
use crate::backend::host;
use crate::engine::{Failure, Turn, Work};
use crate::plan::{
    Bond, Effect, Fields, Id, Origin, Outputs, Record, Resource, Seen, State, Table, Want, World,
};
use crate::resources::base::context::Context;
use crate::resources::base::docker::pulled;
use crate::resources::base::kind::{Ingredients, ResourceKind};
use crate::resources::base::objection::Objections;
use crate::resources::base::pins::Pin;
use crate::resources::base::rendered::{Part, Rendered};
use crate::resources::base::{ids, marks};
use crate::templates::{TemplateError, Templates};
use crate::topology::{Connector, Topology};

const TABLE: Table = Table {
    effects: &[
        ("image", Effect::Replace),
        ("addr", Effect::Replace),
        ("port", Effect::Replace),
        ("mtu", Effect::Replace),
    ],
    tells: &["image", "addr", "port"],
    stops: true,
    ..Table::plain(ids::CONNECTOR)
};

/// The network of the machine that the engine is on.
const HOST: &str = "host";

const IMAGE_HINT: &str =
    "name an image of docker-connector that the engine has or can pull in `connector.image`";

/// What puts the rendered settings in force on the host, as root.
const HOST_COMMANDS: &str = "on macOS, with `brew install wenjunxiao/brew/docker-connector`: \
`topo render connector | sudo tee \"$(brew --prefix)/etc/docker-connector.conf\"`, then \
`sudo brew services restart docker-connector`";

pub struct ConnectorKind;

impl ResourceKind for ConnectorKind {
    const TABLE: Table = TABLE;

    fn desired(from: &Ingredients) -> Result<Vec<Resource>, Objections> {
        Ok(desired(from.topology).into_iter().collect())
    }

    fn pins(topology: &Topology) -> Result<Vec<Pin>, Failure> {
        let image = topology.connector.as_ref().map(Connector::image);
        let pin = image.and_then(|image| Pin::image(&image, "connector.image"));
        Ok(pin.into_iter().collect())
    }

    fn rendered(
        from: &Ingredients,
        part: Part,
        _show_secrets: bool,
    ) -> Result<Vec<Rendered>, Failure> {
        if part != Part::Connector {
            return Ok(Vec::new());
        }
        let text = rendered(from.topology, from.templates, from.snapshot)
            .map_err(|error| Failure::because("cannot render the connector", &error))?;
        Ok(text.map(|text| Rendered::text("docker-connector.conf", text)).into_iter().collect())
    }

    async fn observe(cx: &Context, snapshot: &Snapshot, world: &mut World) -> Result<(), Failure> {
        observe(cx, snapshot, world).await;
        Ok(())
    }

    async fn change(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
        change(cx, turn).await
    }

    async fn wait(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
        wait(cx, turn).await
    }
}

fn container_name(id: &Id) -> String {
    format!("{}-connector", id.name())
}

fn desired(topology: &Topology) -> Option<Resource> {
    let connector = topology.connector.as_ref()?;
    let network = ids::network(topology);
    Some(
        Resource::new(ids::connector(topology), &TABLE)
            .field("image", Want::is(connector.image().as_str()))
            .field("addr", Want::is(connector.addr().to_string()))
            .field("port", Want::is(connector.port()))
            .field("mtu", Want::is(connector.mtu()))
            .field("subnet", Want::After(network.clone(), "subnet"))
            .bond(Bond::Uses(network))
            .origin(Origin::Key("connector".into())),
    )
}

/// The settings of the host's end: a route to every IPv4 network that the engine has, or that this
/// file is about to give to it.
fn rendered(
    topology: &Topology,
    templates: &Templates,
    snapshot: &Snapshot,
) -> Result<Option<String>, TemplateError> {
    let Some(connector) = &topology.connector else { return Ok(None) };
    let written = topology.network.ipv4_subnet().map(|subnet| subnet.to_string());
    let values = json!({
        "addr": connector.addr(),
        "port": connector.port(),
        "mtu": connector.mtu(),
        "subnets": subnets(written, &snapshot.networks),
    });
    templates.render("connector/docker-connector.conf", values).map(Some)
}

/// The IPv4 subnets of the bridge networks, each once.
fn subnets(written: Option<String>, networks: &[Network]) -> Vec<String> {
    let bridges = networks.iter().filter(|network| network.driver == "bridge");
    let there = bridges.filter_map(|network| Some(network.v4()?.net.to_string()));
    let mut subnets: Vec<String> = there.chain(written).collect();
    subnets.sort_unstable();
    subnets.dedup();
    subnets
}

async fn observe(cx: &Context, snapshot: &Snapshot, world: &mut World) {
    for container in &snapshot.containers {
        let Some((id, record)) = marks::record(&cx.name, &container.labels) else { continue };
        if id.kind() == TABLE.kind && container.name == container_name(&id) {
            world.add(id, look_at(container, record).await);
        }
    }
    let Some(topology) = cx.file.as_deref().filter(|topology| topology.connector.is_some()) else {
        return;
    };
    let id = ids::connector(topology);
    let name = container_name(&id);
    if !world.things.contains_key(&id) && snapshot.container(&name).is_some() {
        world.add(id, Seen::foreign(format!(
            "a container named `{name}` exists that this topology did not make: remove it with `docker rm -f {name}`, or rename the topology"
        )));
    }
}

async fn look_at(container: &Container, record: Record) -> Seen {
    let state = match container.state {
        ContainerState::Created | ContainerState::Gone => State::Partial,
        ContainerState::Exited | ContainerState::Paused => State::Stopped,
        ContainerState::Restarting => State::Unready(container.status.clone()),
        ContainerState::Running => match missing_route(&record.fields).await {
            Some(subnet) => State::Unready(format!("this machine has no route to {subnet}")),
            None => State::Ready,
        },
    };
    let fields = Fields::new().with("image", json!(container.image));
    Seen { fields, ..Seen::mine(record).state(state) }
}

/// The topology's own network, if this machine has no route to it.
async fn missing_route(fields: &Fields<Value>) -> Option<String> {
    let subnet = fields.get("subnet").and_then(Value::as_str)?;
    let wanted: ipnet::IpNet = subnet.parse().ok()?;
    let routed = host::routes().await.iter().any(|route| route.net.contains(&wanted));
    (!routed).then(|| subnet.to_owned())
}

async fn change(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
    let name = container_name(turn.id());
    match turn.work {
        Work::Create => create(cx, turn, &name).await?,
        // Its labels hold the record and cannot be changed: a container as it should be is made.
        Work::Update => {
            cx.remove_container(&name).await?;
            create(cx, turn, &name).await?;
        }
        Work::Start => cx.start_container(&name).await?,
        Work::Stop => cx.stop_container(&name).await?,
        Work::Delete => cx.remove_container(&name).await?,
        Work::Keep => {}
    }
    Ok(Outputs::new())
}

async fn create(cx: &Context, turn: &Turn, name: &str) -> Result<(), Failure> {
    let gone = || Failure::new("the file has no connector any more");
    let resource = turn.resource.as_ref().ok_or_else(gone)?;
    let connector = cx.topology()?.connector.as_ref().ok_or_else(gone)?;
    let image = pulled::ensure(cx, turn, connector.image().as_str(), IMAGE_HINT).await?;
    let record = Record::of(resource, &turn.values);
    let body = body(connector, &image, marks::labels(&cx.name, turn.id(), &record));
    let made = cx.create_container(name, body, HOST, None).await;
    made.map_err(|error| Failure::because(format!("cannot make `{name}`"), &error))?;
    match cx.start_container(name).await {
        Ok(()) => Ok(()),
        Err(failure) => Err(cx.undo_container(name, failure).await),
    }
}

/// With the host's own network and the right to make a tunnel in it, and nothing more.
fn body(connector: &Connector, image: &ImageDetails, labels: Labels) -> ContainerCreateBody {
    ContainerCreateBody {
        image: Some(connector.image().to_string()),
        cmd: command(connector, image),
        labels: Some(labels.into_iter().collect()),
        host_config: Some(HostConfig {
            cap_add: Some(vec!["NET_ADMIN".to_owned()]),
            restart_policy: Some(RestartPolicy {
                name: Some(RestartPolicyNameEnum::ALWAYS),
                maximum_retry_count: None,
            }),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

/// The program takes the same settings as the host's end. Where they are the usual ones it runs as
/// its image says; otherwise they come after the name of the program, wherever the image has it.
fn command(connector: &Connector, image: &ImageDetails) -> Option<Vec<String>> {
    let usual = Connector::default();
    let settings = [
        ("-addr", connector.addr().to_string(), usual.addr().to_string()),
        ("-port", connector.port().to_string(), usual.port().to_string()),
        ("-mtu", connector.mtu().to_string(), usual.mtu().to_string()),
    ];
    let changed = settings.into_iter().filter(|(_, value, usual)| value != usual);
    let arguments: Vec<String> =
        changed.flat_map(|(flag, value, _)| [flag.to_owned(), value]).collect();
    if arguments.is_empty() {
        return None;
    }
    let program = image.command.first().filter(|_| image.entrypoint.is_empty()).cloned();
    Some(program.into_iter().chain(arguments).collect())
}

/// The container's end is up when it stays up. Whether the host's end answers shows in the routes,
/// and what is missing there only a person can add.
async fn wait(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
    let name = container_name(turn.id());
    let snapshot = cx.snapshot().await?;
    let running = snapshot.container(&name).is_some_and(Container::is_running);
    if !running {
        let said = cx.docker.last_lines(&name, 20).await.unwrap_or_default();
        let failure = Failure::new(format!("`{name}` does not stay up"));
        return Err(match said.trim() {
            "" => failure,
            said => failure.caused_by(said),
        });
    }
    if let Some(subnet) = missing_route(&turn.values).await {
        turn.warn(format!("this machine has no route to {subnet} yet; {HOST_COMMANDS}"));
    }
    Ok(Outputs::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topology(connector: Value) -> Topology {
        serde_json::from_value(json!({
            "apiVersion": "topo/v1alpha1", "kind": "Topology", "name": "dev",
            "network": { "subnet": "172.22.0.0/16" }, "connector": connector,
        }))
        .expect("a topology")
    }

    fn network(name: &str, driver: &str, subnets: &[&str]) -> Network {
        let subnets = subnets.iter().map(|net| crate::backend::docker::Subnet {
            net: net.parse().expect("a subnet"),
            range: None,
            gateway: None,
        });
        Network {
            name: name.to_owned(),
            driver: driver.to_owned(),
            subnets: subnets.collect(),
            ..Network::default()
        }
    }

    #[test]
    fn every_bridge_has_one_route_and_only_of_ipv4() {
        let snapshot = Snapshot {
            networks: vec![
                network("kind", "bridge", &["fc00:f853::/64", "172.18.0.0/16"]),
                network("topo-dev", "bridge", &["172.22.0.0/16"]),
                network("host", "host", &[]),
                network("far", "overlay", &["10.0.9.0/24"]),
                network("six", "bridge", &["fd00::/64"]),
            ],
            ..Snapshot::default()
        };
        let topology = topology(json!({ "mtu": 1300 }));
        let text = rendered(&topology, &Templates::new(None), &snapshot).expect("renders");
        insta::assert_snapshot!(text.expect("is asked for"));
    }

    #[test]
    fn other_settings_follow_the_program_wherever_the_image_names_it() {
        let connector = |value: Value| topology(value).connector.expect("a connector");
        let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let by_command = ImageDetails { command: words(&["receiver"]), ..Default::default() };
        let by_entrypoint = ImageDetails { entrypoint: words(&["receiver"]), ..Default::default() };
        assert_eq!(command(&connector(json!({})), &by_command), None);
        let other = connector(json!({ "port": 2600 }));
        assert_eq!(command(&other, &by_command), Some(words(&["receiver", "-port", "2600"])));
        assert_eq!(command(&other, &by_entrypoint), Some(words(&["-port", "2600"])));
    }
}
