//! The container that puts the rules in force: what it runs, and what it may do.

use std::net::Ipv4Addr;

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::backend::docker::api::{
    ContainerCreateBody, HealthConfig, HostConfig, RestartPolicy, RestartPolicyNameEnum,
};
use crate::backend::docker::{Labels, Network};
use crate::engine::Failure;
use crate::resources::base::docker::own_image::short;
use crate::templates::Templates;
use crate::topology::{Listen, PortRange, PublishBy, Topology};

/// Runs what the container was given in its environment, with a word that says what to do.
const RUN: &str = "eval \"$TOPO_PUBLISH\"";
const SCRIPT: &str = "TOPO_PUBLISH";

/// Fails where what is in force is not what was put in force.
pub const CHECK: [&str; 5] = ["sh", "-c", RUN, "publish", "check"];
/// The same, and turns `route_localnet` off where nothing guards it any more.
const GUARD: [&str; 6] = ["CMD", "sh", "-c", RUN, "publish", "guard"];
pub const DOWN: [&str; 5] = ["sh", "-c", RUN, "publish", "down"];
pub const UNTIL_IN_FORCE: [&str; 3] =
    ["sh", "-c", "until sh -c 'eval \"$TOPO_PUBLISH\"' publish check; do sleep 0.1; done"];

/// Of what a container cannot change in /proc, all but /proc/sys/net, where `route_localnet` is.
const READ_ONLY: [&str; 13] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sysrq-trigger",
    "/proc/sys/abi",
    "/proc/sys/crypto",
    "/proc/sys/debug",
    "/proc/sys/dev",
    "/proc/sys/fs",
    "/proc/sys/kernel",
    "/proc/sys/sunrpc",
    "/proc/sys/user",
    "/proc/sys/vm",
];

const PROCESSES: i64 = 64;
const MEMORY: i64 = 64 << 20;
const SECOND: i64 = 1_000_000_000;

/// What is not written in the topology, and what of it the rules are made of.
pub struct Rules<'a> {
    pub bridge: &'a str,
    /// Its `route_localnet`, as it was.
    pub before: u64,
    pub to: Ipv4Addr,
    pub publications: Vec<(Listen, u16)>,
}

impl Rules<'_> {
    /// That lead nowhere, of a publisher whose bridge is not known.
    pub const NONE: Self =
        Self { bridge: "none", before: 0, to: Ipv4Addr::UNSPECIFIED, publications: Vec::new() };
}

/// The name of the table, of which a machine may have one a topology.
pub fn table(topology: &str) -> String {
    format!("topo-{topology}")
}

pub fn script(topology: &str, rules: &Rules, templates: &Templates) -> Result<String, Failure> {
    let (straight, moved): (Vec<_>, Vec<_>) =
        rules.publications.iter().partition(|(listen, inside)| listen.ports.first() == *inside);
    let element = |Listen { addr, ports, proto }: &Listen| format!("{addr} . {proto} . {ports}");
    let straight: Vec<String> = straight.iter().map(|(listen, _)| element(listen)).collect();
    let moved = moved.iter().flat_map(|(listen, inside)| {
        listen.ports.ports().zip(*inside..).filter_map(|(port, inside)| {
            let one = Listen { ports: PortRange::one(port)?, ..*listen };
            Some(format!("{} : {inside}", element(&one)))
        })
    });
    let values = json!({
        "table": table(topology),
        "bridge": rules.bridge,
        "before": rules.before,
        "to": rules.to,
        "straight": straight,
        "moved": moved.collect::<Vec<_>>(),
    });
    templates
        .render("publisher/publish", &values)
        .map_err(|error| Failure::because("cannot render the publisher's rules", &error))
}

/// As a person looks at it, before it is known where the rules lead.
pub fn example(topology: &Topology, templates: &Templates) -> Result<String, Failure> {
    let gateway = topology.gateway.iter();
    let publications = gateway.flat_map(|it| it.publications_by(PublishBy::Kernel)).collect();
    script(topology.name.as_str(), &Rules { publications, ..Rules::NONE }, templates)
}

/// Changes when the script or the rights do, so that those of a newer topo come into force.
pub fn fingerprint(topology: &str, templates: &Templates) -> Result<String, Failure> {
    let mut hash = Sha256::new();
    hash.update(READ_ONLY.join(","));
    hash.update(script(topology, &Rules::NONE, templates)?);
    Ok(short(hash))
}

/// The interface of a network on the engine's machine.
pub fn bridge(network: &Network) -> Result<String, String> {
    if network.driver != "bridge" {
        return Err(format!(
            "the network `{}` is a {} network, which this machine has no bridge of: write `publishBy: engine`",
            network.name, network.driver
        ));
    }
    let named = network.options.get("com.docker.network.bridge.name").cloned();
    let bridge =
        named.unwrap_or_else(|| format!("br-{}", network.id.get(..12).unwrap_or_default()));
    let is_plain = |c: char| c.is_ascii_alphanumeric() || ['-', '_', '.'].contains(&c);
    if bridge.chars().all(is_plain) {
        Ok(bridge)
    } else {
        Err(format!(
            "the bridge of the network `{}` has a name that rules cannot name",
            network.name
        ))
    }
}

/// Publishes whenever the engine runs.
pub fn publishing(image: &str, script: String, labels: Labels) -> ContainerCreateBody {
    let mut body = idle(image, script, labels);
    body.entrypoint = Some(["sh", "-c", RUN, "publish", "up"].map(str::to_owned).into());
    body.healthcheck = Some(HealthConfig {
        test: Some(GUARD.map(str::to_owned).into()),
        interval: Some(10 * SECOND),
        timeout: Some(5 * SECOND),
        retries: Some(1),
        ..HealthConfig::default()
    });
    body.host_config.get_or_insert_default().restart_policy = Some(RestartPolicy {
        name: Some(RestartPolicyNameEnum::UNLESS_STOPPED),
        maximum_retry_count: None,
    });
    body
}

/// Does nothing by itself, and ends with the engine.
pub fn idle(image: &str, script: String, labels: Labels) -> ContainerCreateBody {
    ContainerCreateBody {
        image: Some(image.to_owned()),
        env: Some(vec![format!("{SCRIPT}={script}")]),
        entrypoint: Some(vec!["sleep".to_owned(), "86400".to_owned()]),
        cmd: Some(Vec::new()),
        user: Some("0:0".to_owned()),
        labels: Some(labels.into_iter().collect()),
        stop_signal: Some("SIGTERM".to_owned()),
        host_config: Some(HostConfig {
            pids_limit: Some(PROCESSES),
            memory: Some(MEMORY),
            cap_drop: Some(vec!["ALL".to_owned()]),
            cap_add: Some(vec!["NET_ADMIN".to_owned()]),
            readonly_paths: Some(READ_ONLY.map(str::to_owned).into()),
            // The engine's own profiles deny every write below /proc/sys.
            security_opt: Some(
                ["no-new-privileges", "apparmor=unconfined", "label=disable"]
                    .map(str::to_owned)
                    .into(),
            ),
            readonly_rootfs: Some(true),
            tmpfs: Some([("/run".to_owned(), String::new())].into()),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_any_size_is_one_element_and_what_leads_elsewhere_one_a_port() {
        let at = |listen: &str, inside| (listen.parse().expect("a place to listen"), inside);
        let rules = Rules {
            bridge: "br-0123456789ab",
            before: 0,
            to: Ipv4Addr::new(172, 22, 0, 12),
            publications: vec![at("10000-39999", 10000), at("10000/udp", 10000), at("122", 22)],
        };
        let text = script("dev", &rules, &Templates::new(None)).expect("renders");
        let elements: Vec<&str> =
            text.lines().map(str::trim).filter(|line| line.starts_with("elements")).collect();
        assert_eq!(
            elements,
            [
                "elements = { 127.0.0.1 . tcp . 10000-39999, 127.0.0.1 . udp . 10000 }",
                "elements = { 127.0.0.1 . tcp . 122 : 22 }"
            ]
        );
        assert!(text.contains("@straight dnat to 172.22.0.12\n"), "{text}");
    }

    #[test]
    fn only_a_bridge_of_a_plain_name_is_published_on() {
        let network = |driver: &str, name: &str| Network {
            id: "0123456789abcdef".to_owned(),
            driver: driver.to_owned(),
            options: [("com.docker.network.bridge.name".to_owned(), name.to_owned())].into(),
            ..Network::default()
        };
        let unnamed = Network { options: Labels::new(), ..network("bridge", "") };
        assert_eq!(bridge(&unnamed).as_deref(), Ok("br-0123456789ab"));
        assert_eq!(bridge(&network("bridge", "docker0")).as_deref(), Ok("docker0"));
        assert!(bridge(&network("macvlan", "x")).is_err());
        assert!(bridge(&network("bridge", "x;reboot")).is_err());
    }
}
