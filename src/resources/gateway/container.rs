//! How the gateway's container is made: what it may do, what it publishes, which files its volume has.

use std::collections::HashMap;

use crate::backend::docker::api::{
    ContainerCreateBody, HealthConfig, HostConfig, PortBinding, RestartPolicy,
    RestartPolicyNameEnum,
};
use crate::backend::docker::{Archived, Container, Labels, Network};
use crate::engine::Failure;
use crate::resources::base::context::Context;
use crate::resources::base::docker::published::{self, one_by_one};
use crate::topology::{Gateway, GatewayForwarding, PublishBy, Subnet, Topology};

/// Where the volume is.
pub const STATE: &str = "/var/lib/topo";

/// Where its scripts and settings are while it runs: a folder in memory.
pub const SETTINGS: &str = "/run/topo";
const HEALTH: &str = "/run/topo/health";
pub const UNTIL_HEALTHY: &str = "until sh /run/topo/health 2>/dev/null; do sleep 0.1; done";
/// Puts the forwards of its input in force.
pub const LOAD: [&str; 2] = ["sh", "/run/topo/load"];

/// Many times what its programs take, and little enough that they cannot take the machine along.
const PROCESSES: i64 = 1024;
const MEMORY: i64 = 512 << 20;

const SECOND: i64 = 1_000_000_000;

/// The programs that this gateway runs.
pub fn tools(gateway: &Gateway) -> Vec<&'static str> {
    let forwarder = match gateway.mode {
        GatewayForwarding::Dnat => "nft",
        GatewayForwarding::Proxy => "nginx",
    };
    let ssh = gateway.ssh.as_ref().map(|_| "sshd");
    let squid = gateway.http_proxy.as_ref().map(|_| "squid");
    [Some(forwarder), ssh, squid].into_iter().flatten().collect()
}

/// Only what the programs cannot do without: changing rules, dropping root, and what sshd does when
/// it lets somebody in and gives them a terminal.
pub fn capabilities(gateway: &Gateway) -> Vec<String> {
    let rules: &[&str] = match gateway.mode {
        GatewayForwarding::Dnat => &["NET_ADMIN"],
        GatewayForwarding::Proxy => &[],
    };
    let ssh: &[&str] = if gateway.ssh.is_some() { &["SYS_CHROOT", "AUDIT_WRITE"] } else { &[] };
    let drops_root = gateway.ssh.is_some() || gateway.http_proxy.is_some();
    let users: &[&str] = if drops_root { &["SETUID", "SETGID"] } else { &[] };
    [rules, ssh, users].concat().into_iter().map(str::to_owned).collect()
}

/// Set when the container is made: inside of it /proc/sys is read-only.
fn forwarding(topology: &Topology) -> HashMap<String, String> {
    let v6 = topology.network.has_ipv6().then_some("net.ipv6.conf.all.forwarding");
    let all = ["net.ipv4.ip_forward"].into_iter().chain(v6);
    all.map(|name| (name.to_owned(), "1".to_owned())).collect()
}

/// What a container of the gateway may take of its machine, as the plan shows it.
pub fn limits() -> String {
    format!("{} MiB of memory, {PROCESSES} processes", MEMORY >> 20)
}

/// What a gateway's container is made of beside what the file says.
pub struct Ground<'a> {
    pub entrypoint: &'a str,
    pub image: Option<&'a str>,
    pub labels: Labels,
    pub volume: &'a str,
    /// The network that it leads into, as the engine has it.
    pub network: Option<&'a Network>,
}

/// The network's subnets, and its addresses of the machine that the engine is on: its programs lead
/// into the first and not to the second.
fn environment(network: Option<&Network>) -> Vec<String> {
    let subnets = || network.iter().flat_map(|network| &network.subnets);
    let own: Vec<String> = subnets().map(|subnet| subnet.net.to_string()).collect();
    // An engine that was not told the machine's address does not tell it either.
    let machine = subnets()
        .map(|subnet| subnet.gateway.unwrap_or_else(|| Subnet::of(subnet.net).first_host()));
    let machine: Vec<String> = machine.map(|address| address.to_string()).collect();
    vec![format!("TOPO_NETWORK={}", own.join(" ")), format!("TOPO_HOST={}", machine.join(" "))]
}

pub fn body(topology: &Topology, gateway: &Gateway, ground: Ground) -> ContainerCreateBody {
    let bindings: Vec<(String, PortBinding)> = gateway
        .publications_by(PublishBy::Engine)
        .flat_map(|(listen, inside)| one_by_one(listen, inside))
        .map(|(addr, port, inside, proto)| {
            let binding =
                PortBinding { host_ip: Some(addr.to_string()), host_port: Some(port.to_string()) };
            (format!("{inside}/{proto}"), binding)
        })
        .collect();
    let mut by_inside: HashMap<String, Option<Vec<PortBinding>>> = HashMap::new();
    for (inside, binding) in bindings {
        by_inside.entry(inside).or_default().get_or_insert_default().push(binding);
    }
    ContainerCreateBody {
        image: ground.image.map(str::to_owned),
        env: Some(environment(ground.network)),
        hostname: Some(topology.gateway_name().into_owned()),
        entrypoint: Some(vec!["/bin/sh".to_owned(), "-c".to_owned(), ground.entrypoint.to_owned()]),
        cmd: Some(Vec::new()),
        // A finished image may name another one, and rules are root's.
        user: Some("0:0".to_owned()),
        labels: Some(ground.labels.into_iter().collect()),
        exposed_ports: Some(by_inside.keys().cloned().collect()),
        healthcheck: Some(HealthConfig {
            test: Some(vec!["CMD".to_owned(), "sh".to_owned(), HEALTH.to_owned()]),
            interval: Some(10 * SECOND),
            timeout: Some(5 * SECOND),
            retries: Some(3),
            start_period: Some(10 * SECOND),
            start_interval: Some(SECOND),
        }),
        stop_signal: Some("SIGTERM".to_owned()),
        host_config: Some(HostConfig {
            binds: Some(vec![format!("{}:{STATE}", ground.volume)]),
            pids_limit: Some(PROCESSES),
            memory: Some(MEMORY),
            port_bindings: Some(by_inside),
            cap_drop: Some(vec!["ALL".to_owned()]),
            cap_add: Some(capabilities(gateway)),
            security_opt: Some(vec!["no-new-privileges".to_owned()]),
            readonly_rootfs: Some(true),
            tmpfs: Some(
                ["/run", "/tmp"].map(|path| (path.to_owned(), "mode=1777".to_owned())).into(),
            ),
            sysctls: Some(forwarding(topology)),
            restart_policy: Some(RestartPolicy {
                name: Some(RestartPolicyNameEnum::UNLESS_STOPPED),
                maximum_retry_count: None,
            }),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

/// What the engine publishes of a gateway.
pub fn publications(gateway: &Gateway) -> Vec<String> {
    published::in_words(gateway.publications_by(PublishBy::Engine))
}

/// The same, as the engine tells it.
pub fn publications_live(container: &Container) -> Vec<String> {
    published::publications(container).iter().map(ToString::to_string).collect()
}

pub async fn write_keys(cx: &Context, container: &str, keys: &[String]) -> Result<(), Failure> {
    let text = keys.join("\n") + "\n";
    let file = Archived { path: "authorized_keys", mode: 0o644, content: text.as_bytes() };
    put(cx, container, &[file]).await
}

pub async fn put(cx: &Context, container: &str, files: &[Archived<'_>]) -> Result<(), Failure> {
    cx.docker.put_files(container, STATE, files).await.map_err(|error| {
        Failure::because(format!("cannot write into the volume of `{container}`"), &error)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn gateway(text: serde_json::Value) -> Gateway {
        serde_json::from_value(text).expect("a gateway")
    }

    #[test]
    fn only_what_is_needed_is_allowed() {
        let plain = gateway(json!({}));
        assert_eq!(capabilities(&plain), ["NET_ADMIN"]);
        let proxy = gateway(json!({ "mode": "proxy", "httpProxy": { "listen": 3128 } }));
        assert_eq!(capabilities(&proxy), ["SETUID", "SETGID"]);
        let ssh = gateway(json!({ "ssh": { "listen": 122 } }));
        assert_eq!(
            capabilities(&ssh),
            ["NET_ADMIN", "SYS_CHROOT", "AUDIT_WRITE", "SETUID", "SETGID"]
        );
    }

    #[test]
    fn publications_are_written_in_one_way() {
        let written = gateway(json!({
            "publish": ["10050-10099", "10000-10049", "127.0.0.1:10000/udp", "0.0.0.0:53"],
            "ssh": { "listen": 122 },
        }));
        assert_eq!(
            publications(&written),
            [
                "0.0.0.0:53/tcp",
                "127.0.0.1:122/tcp to 22",
                "127.0.0.1:10000-10099/tcp",
                "127.0.0.1:10000/udp"
            ]
        );
    }

    fn topology(gateway: Value) -> Topology {
        serde_json::from_value(json!({
            "apiVersion": "topo/v1alpha1", "kind": "Topology", "name": "dev", "gateway": gateway,
        }))
        .expect("a topology")
    }

    #[test]
    fn the_body_publishes_each_port_and_takes_every_other_right_away() {
        let topology = topology(json!({ "publish": ["10000-10001"], "ssh": { "listen": 122 } }));
        let gateway = topology.gateway.as_ref().expect("a gateway");
        let network = Network {
            subnets: vec![crate::backend::docker::Subnet {
                net: "172.22.0.0/16".parse().expect("a subnet"),
                range: None,
                gateway: None,
            }],
            ..Network::default()
        };
        let ground = Ground {
            entrypoint: "exec sleep inf",
            image: Some("gw:1"),
            labels: Labels::new(),
            volume: "state",
            network: Some(&network),
        };
        let body = body(&topology, gateway, ground);
        let host = body.host_config.expect("is set");
        let mut bound: Vec<String> = host.port_bindings.expect("is set").into_keys().collect();
        bound.sort();
        assert_eq!(bound, ["10000/tcp", "10001/tcp", "22/tcp"]);
        assert_eq!(host.cap_drop, Some(vec!["ALL".to_owned()]));
        assert_eq!(host.readonly_rootfs, Some(true));
        assert_eq!((host.pids_limit, host.memory), (Some(1024), Some(512 * 1024 * 1024)));
        let known = ["TOPO_NETWORK=172.22.0.0/16", "TOPO_HOST=172.22.0.1"].map(str::to_owned);
        assert_eq!(body.env, Some(known.to_vec()));
    }
}
