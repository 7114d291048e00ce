//! Where the API server of a cluster on another machine listens.
//!
//! Left to itself kind binds it to that machine's loopback, and looks for a free port on this one.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::{Value, json};

use crate::backend::docker::Snapshot;
use crate::backend::host::{self, Reach};
use crate::engine::{Failure, Turn};
use crate::plan::Fields;
use crate::resources::base::api_access::on_remote_loopback;
use crate::resources::base::claim::Claims;
use crate::resources::base::context::Context;
use crate::resources::base::docker::kind_nodes;
use crate::resources::base::docker::ownership::CLUSTER_LABEL;
use crate::resources::base::ids;
use crate::topology::Cluster;

/// Fields of the cluster, chosen when it is made.
pub const ADDRESS: &str = "apiServerAddress";
pub const PORT: &str = "apiServerPort";

/// The usual port of an API server, and how many after it are tried.
const FIRST_PORT: u16 = 6443;
const PORTS: u16 = 200;

/// Two that choose at the same moment see each other's choice, and choose again.
const CHOICES: usize = 5;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApiEndpoint {
    address: IpAddr,
    port: u16,
}

impl ApiEndpoint {
    /// Into kind's configuration.
    pub fn write_into(self, config: &mut Value) {
        let networking = &mut config["networking"];
        networking[ADDRESS] = json!(self.address);
        networking[PORT] = json!(self.port);
    }

    pub fn fields(self) -> Fields<Value> {
        Fields::new().with(ADDRESS, json!(self.address)).with(PORT, json!(self.port))
    }
}

/// For a cluster that is about to be made on another machine: what the file says, and the rest
/// chosen and claimed. On this machine kind chooses.
pub async fn choose(
    cx: &Context,
    turn: &Turn,
    file: &Cluster,
) -> Result<Option<ApiEndpoint>, Failure> {
    let Some(machine) = cx.machine().await else { return Ok(None) };
    let stated = |key| file.kind_config.as_ref()?.open().get("networking")?.get(key);
    let address = match stated(ADDRESS).and_then(Value::as_str) {
        Some(written) => written.parse().map_err(|_| no_address(written))?,
        None => machine.address().await.map_err(|error| {
            Failure::because(format!("cannot find the address of `{}`", machine.host), &error).hint(
                "write it: `cluster: { kindConfig: { networking: { apiServerAddress: … } } }`",
            )
        })?,
    };
    if address.is_loopback() {
        return Err(on_remote_loopback(&machine.host));
    }
    if let Some(port) = stated(PORT).and_then(Value::as_u64).and_then(|port| port.try_into().ok()) {
        return Ok(Some(ApiEndpoint { address, port }));
    }
    turn.say("choosing a port for its API server");
    let before = turn.value(PORT).and_then(Value::as_u64).and_then(|port| port.try_into().ok());
    claim_port(cx, turn, address, before).await.map(|port| Some(ApiEndpoint { address, port }))
}

/// The port is in the claim before it is used, where other topologies see it.
async fn claim_port(
    cx: &Context,
    turn: &Turn,
    address: IpAddr,
    before: Option<u16>,
) -> Result<u16, Failure> {
    for _ in 0..CHOICES {
        let snapshot = cx.snapshot().await?;
        let mut taken = published(cx, &snapshot).await?;
        taken.extend(claimed(&Claims::read(&snapshot), &cx.name));
        let port = first_free(address, before, &taken).await?;
        cx.change_claim(|claim| {
            let half_made = claim.records.entry(turn.id().clone()).or_default();
            half_made.fields.extend(ApiEndpoint { address, port }.fields());
        })
        .await?;
        if !claimed(&Claims::read(&cx.snapshot().await?), &cx.name).contains(&port) {
            return Ok(port);
        }
    }
    Err(Failure::new("another topology chooses the same port for its API server again and again")
        .hint("write one: `cluster: { kindConfig: { networking: { apiServerPort: 6443 } } }`"))
}

async fn first_free(
    address: IpAddr,
    before: Option<u16>,
    taken: &BTreeSet<u16>,
) -> Result<u16, Failure> {
    let candidates = before.into_iter().chain(FIRST_PORT..FIRST_PORT + PORTS);
    for port in candidates.filter(|port| !taken.contains(port)) {
        if matches!(host::reach(&address.to_string(), port).await, Reach::Refused | Reach::Silent) {
            return Ok(port);
        }
    }
    let last = FIRST_PORT + PORTS - 1;
    Err(Failure::new(format!("every port from {FIRST_PORT} to {last} of {address} is taken"))
        .hint("write a free one: `cluster: { kindConfig: { networking: { apiServerPort: … } } }`"))
}

/// Ports of that machine that containers have, and that stopped clusters will want again.
async fn published(cx: &Context, snapshot: &Snapshot) -> Result<BTreeSet<u16>, Failure> {
    let running = snapshot.containers.iter().flat_map(|container| &container.ports);
    let mut ports: BTreeSet<u16> = running.map(|published| published.port).collect();
    let own: BTreeSet<&str> =
        kind_nodes::containers(snapshot, &cx.name).map(|node| node.name.as_str()).collect();
    let stopped = snapshot.containers.iter().filter(|container| {
        container.labels.contains_key(CLUSTER_LABEL)
            && !container.is_running()
            && !own.contains(container.name.as_str())
    });
    for node in stopped {
        let bound = cx.docker.bound_ports(&node.id).await;
        ports.extend(bound.map_err(|error| {
            Failure::because(format!("cannot look at `{}`", node.name), &error)
        })?);
    }
    Ok(ports)
}

/// The ports that clusters of other topologies have or are about to have.
fn claimed(claims: &Claims, but: &str) -> BTreeSet<u16> {
    let others = claims.current.values().filter(|claim| claim.topology != but);
    others
        .filter_map(|claim| claim.records.get(&ids::cluster(&claim.topology)))
        .filter_map(|record| record.fields.get(PORT)?.as_u64()?.try_into().ok())
        .collect()
}

fn no_address(written: &str) -> Failure {
    Failure::new(format!("`apiServerAddress: {written}` is no address"))
        .hint("kind takes an address there, not a name: `192.0.2.10`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Record;
    use crate::resources::base::claim::Claim;

    #[test]
    fn an_endpoint_is_written_beside_what_the_file_says() {
        let endpoint = ApiEndpoint { address: IpAddr::from([192, 0, 2, 7]), port: 6444 };
        let mut config = json!({ "networking": { "ipFamily": "ipv4" } });
        endpoint.write_into(&mut config);
        assert_eq!(
            config["networking"],
            json!({ "ipFamily": "ipv4", "apiServerAddress": "192.0.2.7", "apiServerPort": 6444 })
        );
        let mut plain = json!({ "kind": "Cluster" });
        endpoint.write_into(&mut plain);
        assert_eq!(plain["networking"]["apiServerPort"], 6444);
    }

    #[test]
    fn ports_of_other_topologies_are_taken_and_ones_own_is_not() {
        let claim = |name: &str, port: u16| {
            let mut claim = Claim::new(name, "/topo.yaml");
            let fields = ApiEndpoint { address: IpAddr::from([192, 0, 2, 7]), port }.fields();
            claim.records.insert(ids::cluster(name), Record { fields, ..Record::default() });
            (name.to_owned(), claim)
        };
        let claims = Claims {
            current: [claim("one", 6443), claim("two", 6444)].into(),
            ..Claims::default()
        };
        assert_eq!(claimed(&claims, "two"), [6443].into());
    }

    #[tokio::test]
    async fn the_port_from_before_goes_first_and_one_that_answers_is_passed_over() {
        let here = IpAddr::from([127, 0, 0, 1]);
        let listener = tokio::net::TcpListener::bind((here, 0)).await.expect("a free port");
        let held = listener.local_addr().expect("is bound").port();
        tokio::spawn(async move { while listener.accept().await.is_ok() {} });
        let first = first_free(here, Some(held), &BTreeSet::new()).await.expect("one is free");
        assert_ne!(first, held);
        let unused = tokio::net::TcpListener::bind((here, 0)).await.expect("a free port");
        let free = unused.local_addr().expect("is bound").port();
        drop(unused);
        assert_eq!(first_free(here, Some(free), &BTreeSet::new()).await, Ok(free));
    }
}
