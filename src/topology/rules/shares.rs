//! Shares: what goes with which `via`, and the NFS set-ups that are known not to work.

use std::collections::HashSet;

use super::super::{Nfs, NfsSystem, NfsVersion, Owner, Proto, Share, Topology, Via};
use super::Rules;

pub(super) fn check(topology: &Topology, rules: &mut Rules) {
    let shares = &topology.shares;
    rules.unique(
        "duplicate",
        "the share",
        shares.iter().enumerate().map(|(at, share)| (format!("shares.{at}.name"), &share.name)),
    );
    // Two shares of one name have one claim too; that is said once.
    let mut names = HashSet::new();
    let claims = shares.iter().enumerate().filter(|(_, share)| names.insert(&share.name)).map(
        |(at, share)| {
            let path = if rules.places.has(&format!("shares.{at}.claim.name")) {
                format!("shares.{at}.claim.name")
            } else {
                format!("shares.{at}.name")
            };
            (path, format!("{}/{}", share.claim.namespace, share.claim_name()))
        },
    );
    let claims: Vec<(String, String)> = claims.collect();
    rules.unique("duplicate", "the claim", claims);
    for (at, share) in shares.iter().enumerate() {
        let path = format!("shares.{at}");
        belongs(&path, share, rules);
        reachable(topology, &path, share, rules);
        if share.via.foreign_server() {
            nfs(&path, share, rules);
        }
    }
}

/// Keys that mean something with some `via` only.
fn belongs(path: &str, share: &Share, rules: &mut Rules) {
    let external = share.via == Via::External;
    let served = matches!(share.via, Via::Server | Via::Auto);
    let wrong = [
        ("server", share.server.is_some() && !external, "`via: external`"),
        ("volume", share.volume.is_some() && !served, "`via: server`"),
        (
            "nfs",
            share.nfs.is_some() && !share.via.foreign_server(),
            "`via: host`, `ssh` or `external`",
        ),
        (
            "owner",
            share.via == Via::Mount && matches!(share.owner, Owner::Ids { .. }),
            "`via: server`, since a mount knows the pod's own ids only",
        ),
        (
            "mountOptions",
            !share.mount_options.is_empty() && share.via == Via::Mount,
            "a `via` that speaks NFS",
        ),
    ];
    for (key, _, wanted) in wrong.into_iter().filter(|(_, wrong, _)| *wrong) {
        let problem = rules
            .misplaced(
                "exclusive-keys",
                &format!("{path}.{key}"),
                format!("`{key}` does not go with `via: {}`", share.via),
            )
            .write(format!("{wanted}, or no `{key}`"));
        rules.report(problem);
    }
    if !external {
        return;
    }
    if share.server.is_none() && rules.places.is_whole(path) {
        let problem = rules
            .error(
                "missing-key",
                &format!("{path}.via"),
                "`via: external` needs `server` beside it",
            )
            .write("`server: nas.local`, or its address");
        rules.report(problem);
    }
    if let Some(export) = share.path.as_ref().filter(|export| !export.written().starts_with('/')) {
        let problem = rules
            .error("host-path", &format!("{path}.path"), "an exported path begins with `/`")
            .seen(export.written())
            .write("the path as the server exports it");
        rules.report(problem);
    }
}

/// What a `via` needs of the rest of the topology.
fn reachable(topology: &Topology, path: &str, share: &Share, rules: &mut Rules) {
    if share.via == Via::Ssh
        && topology.gateway.as_ref().is_none_or(|gateway| gateway.ssh.is_none())
        && rules.places.is_whole("gateway")
    {
        let at = format!("{path}.via");
        let problem = rules
            .error("no-gateway", &at, "the tunnel ends at the gateway's sshd, and there is none")
            .write("`gateway: { ssh: { listen: 122 } }`");
        rules.report(problem);
    }
    if share.via == Via::Mount
        && topology.cluster.as_ref().is_some_and(super::super::Cluster::exists)
    {
        let problem = rules
            .error(
                "no-mount",
                &format!("{path}.via"),
                "a folder can be mounted only into nodes that topo makes",
            )
            .write("`via: server`, `ssh` or `external`")
            .related(rules.places.find("cluster.context"), "the cluster exists already");
        rules.report(problem);
    }
}

/// Each is a set-up that ends in an error of mount.nfs that does not say why.
fn nfs(path: &str, share: &Share, rules: &mut Rules) {
    let nfs = share.nfs.clone().unwrap_or_default();
    let tunnelled = share.via == Via::Ssh;
    let at = |key: &str| format!("{path}.nfs.{key}");
    let option = |name: &str| {
        share.mount_options.iter().position(|option| {
            option.as_str() == name || option.as_str().starts_with(&format!("{name}="))
        })
    };
    let option_path = |index: usize| format!("{path}.mountOptions.{index}");
    let value = |index: usize| {
        share.mount_options[index].as_str().split_once('=').map_or("", |(_, value)| value)
    };

    if !nfs.unprivileged_ports {
        let fix = match nfs.system {
            Some(NfsSystem::Macos) => "nfs.server.mount.require_resv_port = 0 in nfs.conf",
            _ => "the export's option `insecure`",
        };
        let problem = rules
            .error("unprivileged-port-refused", &at("unprivilegedPorts"), "pods and tunnels come from ports above 1023, and the server refuses them: access denied by server")
            .write(fix);
        rules.report(problem);
    }
    if tunnelled
        && !nfs.clients.is_empty()
        && !nfs.clients.iter().any(|client| admits_loopback(client.as_str()))
    {
        let problem = rules
            .error(
                "export-excludes-tunnel",
                &at("clients"),
                "the server sees the end of the tunnel, 127.0.0.1, and the export leaves it out",
            )
            .write("`clients: [127.0.0.1]`");
        rules.report(problem);
    }
    let wide =
        nfs.clients.iter().position(|client| matches!(client.as_str(), "*" | "0.0.0.0/0" | "::/0"));
    if let Some(index) = wide {
        let problem = rules
            .error(
                "export-to-the-world",
                &at(&format!("clients.{index}")),
                "the export is open to every machine",
            )
            .write("the addresses that need it, or 127.0.0.1 for a tunnel");
        rules.report(problem);
    }
    let udp = option("mountproto")
        .into_iter()
        .chain(option("proto"))
        .find(|index| value(*index).starts_with("udp"));
    if let Some(index) = udp.filter(|_| tunnelled) {
        udp_only(&option_path(index), rules);
    } else if nfs.mount_protocol == Proto::Udp && tunnelled {
        udp_only(&at("mountProtocol"), rules);
    }
    versions(path, share, &nfs, rules);
}

fn udp_only(path: &str, rules: &mut Rules) {
    let problem = rules
        .error(
            "udp-only-port-forwarded",
            path,
            "ssh carries TCP only, and mountd is asked over UDP",
        )
        .write("`tcp`, and the server's fixed TCP port");
    rules.report(problem);
}

fn versions(path: &str, share: &Share, nfs: &Nfs, rules: &mut Rules) {
    let option = |name: &str| {
        share.mount_options.iter().enumerate().find_map(|(at, option)| {
            let (key, value) = option.as_str().split_once('=').unwrap_or((option.as_str(), ""));
            (key == name).then_some((at, value))
        })
    };
    let asked = option("vers").or_else(|| option("nfsvers"));
    let version_path = match asked {
        Some((at, _)) => format!("{path}.mountOptions.{at}"),
        None => format!("{path}.nfs.version"),
    };
    let version = asked.and_then(|(_, value)| value.parse::<NfsVersion>().ok()).or(nfs.version);
    let macos = nfs.system == Some(NfsSystem::Macos);
    if macos && version.is_some_and(|version| version > NfsVersion::V3) {
        let problem = rules
            .error(
                "v4-not-served",
                &version_path,
                "macOS serves NFS 2 and 3 only: Protocol not supported",
            )
            .write("version 3");
        rules.report(problem);
    }
    let three = version == Some(NfsVersion::V3) || (version.is_none() && macos);
    if three && !share.mount_options.is_empty() && option("nolock").is_none() {
        let problem = rules
            .error(
                "statd-missing",
                &format!("{path}.mountOptions"),
                "version 3 locks through rpc.statd, which nodes do not run",
            )
            .write("`nolock` among the options, or version 4");
        rules.report(problem);
    }
    if three
        && share.via == Via::Ssh
        && nfs.mount_port.is_none()
        && nfs.system == Some(NfsSystem::Linux)
    {
        let problem = rules
            .error(
                "mount-port-moves",
                &format!("{path}.nfs"),
                "version 3 needs mountd too, whose port on Linux is another after every start",
            )
            .write(
                "`mountPort: 20048`, with the same `port` under [mountd] in the server's nfs.conf",
            );
        rules.report(problem);
    }
}

/// Whether an entry of an exports file lets 127.0.0.1 in, as far as its text can tell: names may.
fn admits_loopback(client: &str) -> bool {
    if client.starts_with('-') {
        return false;
    }
    if let Ok(addr) = client.parse::<std::net::IpAddr>() {
        return addr.is_loopback();
    }
    match client.parse::<ipnet::IpNet>() {
        Ok(net) => net.contains(&std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)),
        Err(_) => matches!(client, "localhost" | "*"),
    }
}
