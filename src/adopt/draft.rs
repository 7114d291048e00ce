//! The topology file of what was seen. What it cannot say is in comments, and nothing in it is guessed.

use std::net::IpAddr;

use kube::api::DynamicObject;
use serde_json::Value;

use super::rules::Lead;
use super::sight::{Cluster, Gateway, Node, Sight};
use crate::backend::docker::Container;
use crate::resources::{Publication, addresses_of_service, kind_nodes, publications};
use crate::topology::{Listen, MetallbVersion, PortRange, Proto};

/// More published ports than this have to be allowed by the file.
const LARGE: u32 = 499;
const API_SERVER: u16 = 6443;
const SSH: u16 = 22;
/// Networks of every engine, on which nothing can have an address of its own choice.
const DOCKERS_OWN: [&str; 3] = ["bridge", "host", "none"];
/// In every node that kind makes.
const MODULES: &str = "/lib/modules";

pub fn draft(sight: &Sight) -> String {
    let mut text = Text::default();
    text.line("# Written by `topo adopt` from what is live; nothing was changed. What topo did not make stays as it");
    text.line("# is: `topo diff` shows what topo would make, and what stands in its way.");
    text.line("apiVersion: topo/v1alpha1");
    text.line("kind: Topology");
    text.line(format!("name: {}", scalar(&sight.name)));
    network(&mut text, sight);
    if let Some(cluster) = &sight.cluster {
        of_cluster(&mut text, cluster);
        metallb(&mut text, cluster);
    }
    if let Some(gateway) = &sight.gateway {
        of_gateway(&mut text, sight, gateway);
    }
    if let Some(cluster) = &sight.cluster {
        volumes(&mut text, cluster);
    }
    text.0
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn line(&mut self, line: impl AsRef<str>) {
        self.0.push_str(line.as_ref());
        self.0.push('\n');
    }

    /// A key of the file, with what there is to say of it.
    fn section(&mut self, key: &str, about: &str) {
        self.line("");
        for line in about.lines() {
            self.line(format!("# {line}"));
        }
        self.line(format!("{key}:"));
    }
}

fn network(text: &mut Text, sight: &Sight) {
    let name = &sight.network.name;
    if DOCKERS_OWN.contains(&name.as_str()) {
        text.line("");
        text.line(format!(
            "# Docker's own network `{name}` cannot be used: what this file makes is on another."
        ));
        return;
    }
    text.section(
        "network",
        &format!("The Docker network `{name}`, used as it is and never removed."),
    );
    text.line(format!("  name: {}", scalar(name)));
    let subnets: Vec<String> =
        sight.network.subnets.iter().map(|subnet| subnet.net.to_string()).collect();
    match &subnets[..] {
        [] => {}
        [one] => text.line(format!("  subnet: {one}")),
        several => text.line(format!("  subnets: [{}]", quoted(several))),
    }
}

fn of_cluster(text: &mut Text, cluster: &Cluster) {
    let name = &cluster.name;
    let about = format!("The cluster `{name}` that kind made, used as it is and never removed.");
    text.section("cluster", &about);
    text.line(format!("  context: {}", scalar(&cluster.context)));
    text.line("  # Its nodes, which this file could only say of a cluster that topo makes:");
    for Node { container, binds } in &cluster.nodes {
        let role = if kind_nodes::is_control_plane(container) { "control plane" } else { "worker" };
        text.line(format!("  #   {}: {role}, image {}", container.name, container.image));
        for bind in binds.iter().filter(|bind| bind.inside != MODULES) {
            let only = if bind.read_only { ", read-only" } else { "" };
            text.line(format!("  #     the folder {} at {}{only}", bind.outside, bind.inside));
        }
        let ports = publications(container);
        for Publication { listen, inside } in ports.iter().filter(|it| it.inside != API_SERVER) {
            text.line(format!("  #     {listen} leads to its port {inside}"));
        }
    }
}

fn metallb(text: &mut Text, cluster: &Cluster) {
    let Some(version) = &cluster.metallb else {
        if !cluster.pools.is_empty() {
            let pools: Vec<&str> = cluster.pools.iter().map(name).collect();
            text.line("");
            text.line(format!(
                "# Left out: the pools {}, of a MetalLB whose controller has not the labels",
                pools.join(", ")
            ));
            text.line("# `app=metallb,component=controller` that its manifest gives; topo cannot use that one.");
        }
        return;
    };
    text.section("metallb", &format!("MetalLB {version} runs there and is used as it is."));
    if version.parse::<MetallbVersion>().is_ok() {
        text.line(format!("  version: {version}"));
    }
    if cluster.pools.is_empty() {
        text.line("  pools: []");
        return;
    }
    text.line("  # `topo apply` stops at them until `--take pool/NAME` takes them over as they are. Without their lines");
    text.line("  # here they are left alone.");
    text.line("  pools:");
    for pool in &cluster.pools {
        of_pool(text, pool, &cluster.advertisements);
    }
}

fn of_pool(text: &mut Text, pool: &DynamicObject, advertisements: &[DynamicObject]) {
    let name = name(pool);
    let spec = &pool.data["spec"];
    let mut line =
        format!("    - {{ name: {}, addresses: [{}]", scalar(name), strings(&spec["addresses"]));
    if spec["autoAssign"] == false {
        line.push_str(", autoAssign: false");
    }
    if spec["avoidBuggyIPs"] == true {
        line.push_str(", avoidBuggyIPs: true");
    }
    text.line(line + " }");
    let known = ["addresses", "autoAssign", "avoidBuggyIPs"];
    let keys = spec.as_object().into_iter().flatten().map(|(key, _)| key.as_str());
    for key in keys.filter(|key| !known.contains(key)) {
        text.line(format!("      # The file has nothing for its `{key}`: {}", spec[key]));
    }
    let announces = |one: &&DynamicObject| {
        let pools = &one.data["spec"]["ipAddressPools"];
        pools.is_null() || pools.as_array().is_some_and(|all| all.iter().any(|of| of == name))
    };
    let announced = advertisements.iter().find(announces).map(self::name);
    match announced {
        Some(by) if by == name => {}
        Some(by) => text.line(format!(
            "      # Announced by the L2Advertisement `{by}`; topo would make its own, `{name}`."
        )),
        None => text.line("      # No L2Advertisement announces it; topo would make one."),
    }
}

fn of_gateway(text: &mut Text, sight: &Sight, gateway: &Gateway) {
    let Gateway { container, command, rules } = gateway;
    let (own_name, image) = (&container.name, &container.image);
    text.section(
        "gateway",
        &format!(
            "The container `{own_name}` forwards now; it runs `{command}` on {image}.\nA gateway of topo's is another container, by default on debian:bookworm-slim. It takes the place of that\none after `docker rm -f {own_name}`."
        ),
    );
    text.line(format!("  name: {}", scalar(own_name)));
    match container.addresses.get(&sight.network.name).map(|address| address.fixed) {
        Some(Some(address)) => text.line(format!("  address: {address}")),
        Some(None) => text.line("  # It has no fixed address."),
        None => {
            text.line(format!(
                "  # It is not on the network `{}`; topo's would be.",
                sight.network.name
            ));
        }
    }
    let leads: &[Lead] = rules.as_ref().map_or(&[], |rules| &rules.leads);
    let (published, own) = published(container, leads);
    let count: u32 = published.iter().map(|one| one.listen.ports.count()).sum();
    text.line(if published.is_empty() { "  publish: []" } else { "  publish:" });
    for publication in &published {
        text.line(format!("    - {}", listened(&publication.listen)));
    }
    if count > LARGE {
        text.line("  allowLargeRange: true");
    }
    for publication in own {
        text.line(format!("  # {publication}: the container's own, without a rule."));
        if publication.inside == SSH {
            let listen = listened(&publication.listen);
            text.line(format!("  # If that is its sshd: `ssh: {{ listen: {listen} }}`."));
        }
    }
    forwards(text, sight, gateway, &published);
    if let Some(cluster) = &sight.cluster {
        unforwarded(text, cluster, leads, &free(&published, leads));
    }
}

/// What the file would publish, and what leads to the container itself.
fn published(container: &Container, leads: &[Lead]) -> (Vec<Publication>, Vec<Publication>) {
    let all = publications(container);
    let anywhere = |listen: &Listen| {
        let listen = Listen { addr: IpAddr::from([0, 0, 0, 0]), ..*listen };
        all.iter().any(|other| other.listen == listen)
    };
    // Docker publishes on every address of both families at once.
    let is_twin = |one: &Publication| one.listen.addr.is_ipv6() && anywhere(&one.listen);
    let once = all.iter().copied().filter(|one| !is_twin(one));
    once.partition(|one| {
        let led = |lead: &Lead| lead.proto == one.listen.proto && inside(one).meets(lead.ports);
        one.inside == one.listen.ports.first() || leads.iter().any(led)
    })
}

/// The container's own ports.
fn inside(publication: &Publication) -> PortRange {
    let Publication { listen, inside } = publication;
    let last = inside.saturating_add(listen.ports.last() - listen.ports.first());
    PortRange::new(*inside, last).unwrap_or(listen.ports)
}

fn forwards(text: &mut Text, sight: &Sight, gateway: &Gateway, published: &[Publication]) {
    let rules = match &gateway.rules {
        Ok(rules) => rules,
        Err(why) => {
            text.line(format!("  # Its rules could not be read: {}", why.replace('\n', " ")));
            return;
        }
    };
    let mut lines = Vec::new();
    let mut unpublished = Vec::new();
    for lead in &rules.leads {
        let mut is_published = false;
        for publication in published.iter().filter(|it| it.listen.proto == lead.proto) {
            let (own, ports) = (inside(publication), lead.ports);
            let common =
                PortRange::new(own.first().max(ports.first()), own.last().min(ports.last()));
            let Some(common) = common else { continue };
            is_published = true;
            let host = publication.listen.ports.first() + (common.first() - own.first());
            let to = lead.port + (common.first() - ports.first());
            let count = common.last() - common.first();
            let (listen, to) = (PortRange::new(host, host + count), PortRange::new(to, to + count));
            let (Some(listen), Some(to)) = (listen, to) else { continue };
            let listen = listened(&Listen { ports: listen, ..publication.listen });
            lines.push(format!("    # {}", lead.rule));
            lines.push(format!("    - {{ listen: {listen}, to: {} }}", target(sight, lead, to)));
        }
        if !is_published {
            unpublished.push((lead.rule.as_str(), "its port is not published"));
        }
    }
    if !lines.is_empty() {
        text.line("  ports:");
        for line in lines {
            text.line(line);
        }
    }
    let others = rules.others.iter().map(|(rule, why)| (rule.as_str(), why.as_str()));
    for (rule, why) in unpublished.into_iter().chain(others) {
        text.line(format!("  # Left out, since {why}: {rule}"));
    }
}

/// A Service by its name, which is followed when its address changes.
fn target(sight: &Sight, lead: &Lead, ports: PortRange) -> String {
    let has = |service: &&DynamicObject, wanted: u16| {
        addresses_of_service(&service.data).any(|at| at.parse() == Ok(lead.to))
            && numbers(service).any(|(number, proto, _)| (number, proto) == (wanted, lead.proto))
    };
    let services = sight.cluster.iter().flat_map(|cluster| &cluster.services);
    let mut services = services.filter(|service| ports.ports().all(|port| has(service, port)));
    match services.next() {
        Some(service) => format!("{{ service: {}, port: {ports} }}", scalar(&full_name(service))),
        None => {
            format!("{{ address: {}, port: {ports} }}", scalar(&lead.to.to_string()))
        }
    }
}

/// LoadBalancer Services that nothing leads to, as forwards on ports that are still free.
fn unforwarded(text: &mut Text, cluster: &Cluster, leads: &[Lead], free: &[String]) {
    let mut free = free.iter();
    let mut lines = Vec::new();
    for service in &cluster.services {
        for address in addresses_of_service(&service.data) {
            for (port, proto, name) in numbers(service) {
                let is_there = |lead: &Lead| {
                    let last = u32::from(lead.port) + lead.ports.count() - 1;
                    address.parse() == Ok(lead.to)
                        && lead.proto == proto
                        && (u32::from(lead.port)..=last).contains(&port.into())
                };
                if leads.iter().any(is_there) {
                    continue;
                }
                let listen = match proto {
                    Proto::Tcp => free.next().map_or("PORT", String::as_str),
                    Proto::Udp => "PORT/udp",
                };
                let service = scalar(&full_name(service));
                let named = name.map(|name| format!(" ({name})")).unwrap_or_default();
                lines.push(format!("  #   - {{ listen: {listen}, to: {{ service: {service}, port: {port} }} }}   # {address}{named}"));
            }
        }
    }
    if !lines.is_empty() {
        text.line("");
        text.line("  # Services with an address that no forward leads to:");
        for line in lines {
            text.line(line);
        }
    }
}

/// Published TCP ports of the host without a rule.
fn free(published: &[Publication], leads: &[Lead]) -> Vec<String> {
    let published = published.iter().filter(|one| one.listen.proto == Proto::Tcp);
    let ports = published.flat_map(|publication| {
        let own = inside(publication);
        publication.listen.ports.ports().zip(own.ports()).map(move |pair| (publication, pair))
    });
    let is_free = |inside: u16| {
        leads.iter().all(|lead| lead.proto != Proto::Tcp || !lead.ports.contains(inside))
    };
    let free = ports.filter(|(_, (_, inside))| is_free(*inside));
    free.filter_map(|(publication, (port, _))| {
        let ports = PortRange::one(port)?;
        Some(listened(&Listen { ports, ..publication.listen }))
    })
    .collect()
}

fn volumes(text: &mut Text, cluster: &Cluster) {
    if cluster.volumes.is_empty() {
        return;
    }
    text.line("");
    text.line("# Mounted over NFS, and left alone. As a share each would have a volume and a claim of topo's beside it, so");
    text.line("# its `name` must be another than that of a claim that is there.");
    text.line("# shares:");
    for volume in &cluster.volumes {
        let spec = &volume.data["spec"];
        let of = |path: &str| volume.data.pointer(path).and_then(Value::as_str).unwrap_or_default();
        let (server, path) = (of("/spec/nfs/server"), of("/spec/nfs/path"));
        let claim = spec["claimRef"].is_object().then(|| {
            format!(
                ", for the claim {}/{}",
                of("/spec/claimRef/namespace"),
                of("/spec/claimRef/name")
            )
        });
        let options = spec["mountOptions"]
            .as_array()
            .map(|_| format!(", mounted with {}", strings(&spec["mountOptions"])));
        text.line(format!(
            "#   # PersistentVolume {}: {server}:{path}{}{}",
            name(volume),
            claim.unwrap_or_default(),
            options.unwrap_or_default(),
        ));
        text.line(format!(
            "#   - {{ name: {}, via: external, server: {}, path: {} }}",
            scalar(name(volume)),
            scalar(server),
            scalar(path)
        ));
    }
}

fn name(object: &DynamicObject) -> &str {
    object.metadata.name.as_deref().unwrap_or_default()
}

fn full_name(service: &DynamicObject) -> String {
    match service.metadata.namespace.as_deref() {
        None | Some("default") => name(service).to_owned(),
        Some(namespace) => format!("{namespace}/{}", name(service)),
    }
}

/// A Service's ports, each with its name.
fn numbers(service: &DynamicObject) -> impl Iterator<Item = (u16, Proto, Option<&str>)> {
    let ports = service.data.pointer("/spec/ports").and_then(Value::as_array);
    ports.into_iter().flatten().filter_map(|port| {
        let proto = match port["protocol"].as_str()? {
            "TCP" => Proto::Tcp,
            "UDP" => Proto::Udp,
            _ => return None,
        };
        Some((port["port"].as_u64()?.try_into().ok()?, proto, port["name"].as_str()))
    })
}

/// As `publish` and `listen` take it.
fn listened(listen: &Listen) -> String {
    let text = listen.to_string();
    let text = text.trim_end_matches("/tcp");
    let text = text.strip_prefix("127.0.0.1:").unwrap_or(text);
    if text.starts_with('[') { format!("\"{text}\"") } else { text.to_owned() }
}

fn strings(values: &Value) -> String {
    let values = values.as_array().into_iter().flatten().filter_map(Value::as_str);
    quoted(&values.map(str::to_owned).collect::<Vec<String>>())
}

fn quoted(values: &[String]) -> String {
    values.iter().map(|value| scalar(value)).collect::<Vec<String>>().join(", ")
}

/// With quotes where YAML would read something else.
fn scalar(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || ".-_/:".contains(c);
    let reads_as_text = serde_yaml::from_str::<Value>(text).is_ok_and(|value| value == text);
    if reads_as_text && text.chars().all(is_plain) { text.to_owned() } else { format!("{text:?}") }
}

#[cfg(test)]
mod tests {
    use bollard::models::{ContainerSummary, Network};
    use serde::de::DeserializeOwned;

    use super::*;
    use crate::adopt::rules::Rules;
    use crate::backend::docker::binds;
    use crate::topology::{Input, load};

    macro_rules! recorded {
        ($name:literal) => {
            include_str!(concat!("recorded/", $name))
        };
    }

    fn read<T: DeserializeOwned>(text: &str) -> T {
        serde_json::from_str(text).expect("as it was recorded")
    }

    /// The set-up of a person with `docker run`, kind, kubectl and a script of iptables rules.
    fn by_hand() -> Sight {
        let containers: Vec<ContainerSummary> = read(recorded!("containers.json"));
        let mut containers: Vec<Container> = containers.into_iter().map(Container::from).collect();
        containers.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        let [control_plane, gateway, worker] = &containers[..] else { panic!("three containers") };
        let metallb: Vec<DynamicObject> = read(recorded!("metallb.json"));
        let (pools, advertisements) = metallb.into_iter().partition(|object| {
            object.types.as_ref().is_some_and(|types| types.kind == "IPAddressPool")
        });
        let network: Network = read(recorded!("network.json"));
        let own = [IpAddr::from([172, 22, 0, 12])];
        Sight {
            name: "dev".to_owned(),
            network: network.into(),
            cluster: Some(Cluster {
                name: "dev".to_owned(),
                context: "kind-dev".to_owned(),
                nodes: vec![
                    Node {
                        container: control_plane.clone(),
                        binds: binds(read(recorded!("dev-control-plane.json"))),
                    },
                    Node { container: worker.clone(), binds: Vec::new() },
                ],
                metallb: Some("v0.16.1".to_owned()),
                pools,
                advertisements,
                services: read(recorded!("services.json")),
                volumes: read(recorded!("volumes.json")),
            }),
            gateway: Some(Gateway {
                container: gateway.clone(),
                command: "sleep infinity".to_owned(),
                rules: Ok(Rules::of_iptables(recorded!("iptables"), &own)),
            }),
        }
    }

    fn is_valid(text: &str) {
        let loaded = load(&Input {
            path: "topo.yaml".as_ref(),
            folder: "/home/ada/dev".as_ref(),
            bytes: text.as_bytes(),
            vars: &|_| None,
            home: None,
            files: &crate::backend::host::Disk,
        });
        assert_eq!(
            loaded.map(|loaded| loaded.warnings).map_err(|it| it.0),
            Ok(Vec::new()),
            "{text}"
        );
    }

    #[test]
    fn a_set_up_made_by_hand_is_written_whole() {
        let text = draft(&by_hand());
        is_valid(&text);
        insta::assert_snapshot!(text);
    }

    #[test]
    fn what_is_offered_in_comments_is_valid() {
        let text = draft(&by_hand());
        let text = text
            .replace("  #   - { listen:", "    - { listen:")
            .replace("\n# shares:", "\nshares:");
        let text = text.replace("\n#   - { name:", "\n  - { name:");
        is_valid(&text);
        assert_eq!(text.matches("\n    - { listen:").count(), 4, "{text}");
        assert!(text.contains("\nshares:\n"), "{text}");
    }

    #[test]
    fn a_cluster_or_a_gateway_is_written_alone() {
        let cluster = draft(&Sight { gateway: None, ..by_hand() });
        is_valid(&cluster);
        assert!(!cluster.contains("gateway:"), "{cluster}");
        let gateway = draft(&Sight { cluster: None, ..by_hand() });
        is_valid(&gateway);
        assert!(gateway.contains("to: { address: 172.22.255.201, port: 22 }"), "{gateway}");
    }

    #[test]
    fn a_cluster_without_metallb_gets_no_section_for_it() {
        let mut sight = by_hand();
        let cluster = sight.cluster.as_mut().expect("a cluster");
        cluster.metallb = None;
        let of_helm = draft(&sight);
        is_valid(&of_helm);
        assert!(of_helm.contains("# Left out: the pools dev, of a MetalLB"), "{of_helm}");
        sight.cluster.as_mut().expect("a cluster").pools.clear();
        let without = draft(&sight);
        is_valid(&without);
        assert!(!without.to_lowercase().contains("metallb"), "{without}");
    }

    #[test]
    fn a_network_that_no_file_can_name_is_left_out() {
        let mut sight = Sight { cluster: None, ..by_hand() };
        sight.network.name = "bridge".to_owned();
        let text = draft(&sight);
        is_valid(&text);
        assert!(!text.contains("network:"), "{text}");
        assert!(text.contains("# Docker's own network `bridge` cannot be used"), "{text}");
    }

    /// A container on the same ports for both, of a Service that has only one of them.
    #[test]
    fn a_service_is_named_only_for_the_protocol_that_it_has() {
        let mut sight = by_hand();
        let gateway = sight.gateway.as_mut().expect("a gateway");
        let rules = gateway.rules.as_mut().expect("they were read");
        rules.leads.retain(|lead| lead.ports.first() == 10001);
        rules.leads[0].proto = Proto::Udp;
        let text = draft(&sight);
        assert!(!text.contains("\n    - { listen: 0.0.0.0:10001"), "{text}");
        assert!(text.contains("its port is not published"), "{text}");
        assert!(text.contains("port: 22 } }   # 172.22.255.201 (ssh)"), "{text}");
    }

    #[test]
    fn what_is_not_seen_is_said_and_not_guessed() {
        let mut sight = by_hand();
        let cluster = sight.cluster.as_mut().expect("a cluster");
        cluster.advertisements.clear();
        cluster.pools[0].data["spec"]["serviceAllocation"] = serde_json::json!({ "priority": 1 });
        let gateway = sight.gateway.as_mut().expect("a gateway");
        gateway.rules = Err("iptables-save: not found".to_owned());
        let text = draft(&sight);
        is_valid(&text);
        for said in [
            "# No L2Advertisement announces it; topo would make one.",
            "# The file has nothing for its `serviceAllocation`: {\"priority\":1}",
            "# Its rules could not be read: iptables-save: not found",
        ] {
            assert!(text.contains(said), "{said}\n{text}");
        }
        assert!(!text.contains("ports:\n"), "{text}");
    }
}
