//! Shares: what goes with which `via`, and the NFS set-ups that are known not to work.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use super::super::share::NfsClient;
use super::super::{DockerName, NfsSystem, NfsVersion, Owner, Proto, Share, Topology, Via};
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
        // What the rest is measured by is not known.
        if !rules.places.is_whole(&format!("{path}.via")) {
            continue;
        }
        belongs(&path, share, rules);
        volume(topology, &path, share, rules);
        folder(topology, &path, share, rules);
        reachable(topology, &path, share, rules);
        if share.via.foreign_server() {
            nfs(topology, &path, share, rules);
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
            "`via: server`, since a mount keeps the pod's own ids",
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
                format!("`{key}` cannot be used with `via: {}`", share.via),
            )
            .help(format!("write {wanted}, or remove `{key}`"));
        rules.report(problem);
    }
    if !external {
        return;
    }
    if share.server.is_none() && rules.places.is_whole(path) {
        let problem = rules
            .error("missing-key", &format!("{path}.via"), "`via: external` requires `server`")
            .write("`server: nas.local`, or its address");
        rules.report(problem);
    }
    if let Some(export) = share.path.as_ref().filter(|export| !export.written().starts_with('/')) {
        let problem = rules
            .error("host-path", &format!("{path}.path"), "an exported path must be absolute")
            .seen(export.written())
            .write("the path as the server exports it");
        rules.report(problem);
    }
}

/// A share's volume is the user's to keep; topo's own go with what they belong to.
fn volume(topology: &Topology, path: &str, share: &Share, rules: &mut Rules) {
    let Some(volume) = share.volume.as_ref().map(DockerName::as_str) else { return };
    let name = topology.name.as_str();
    let generation = volume.strip_prefix(&format!("topo-{name}."));
    let is_topos = volume == format!("{name}-nfs-clients")
        || volume == format!("topo-{name}-gateway")
        || generation.is_some_and(|number| number.bytes().all(|b| b.is_ascii_digit()));
    if is_topos {
        let what = format!("`{volume}` is a volume of topo's own, which `topo destroy` removes");
        let problem = rules
            .error("reserved-name", &format!("{path}.volume"), what)
            .write(format!("`{name}-{}`", share.name));
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
            .error("no-gateway", &at, "`via: ssh` requires the gateway's sshd")
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
                "`via: mount` cannot be used with an existing cluster",
            )
            .write("`via: server`, `ssh` or `external`")
            .related(rules.places.find("cluster.context"), "the existing cluster");
        rules.report(problem);
    }
}

/// What the path of a folder cannot hold by some ways: a mount's is parted by colons, and exports
/// files have escapes of their own, which not every server takes back as they were meant.
fn folder(topology: &Topology, path: &str, share: &Share, rules: &mut Rules) {
    let Some(folder) = &share.path else { return };
    let text = folder.path().to_string_lossy();
    let made = topology.cluster.as_ref().is_some_and(|cluster| !cluster.exists());
    let (what, instead) = match share.via {
        Via::Mount | Via::Auto if made && text.contains(':') => {
            ("a path with `:` cannot be mounted into nodes", "`via: server`, or rename the folder")
        }
        Via::Host | Via::Ssh if text.contains('\\') => {
            ("a path with a backslash cannot be exported", "`via: server`, or rename the folder")
        }
        _ => return,
    };
    let problem = rules
        .error("host-path", &format!("{path}.path"), what)
        .seen(folder.written())
        .write(instead);
    rules.report(problem);
}

/// Each is a set-up that ends in an error of mount.nfs that does not say why.
fn nfs(topology: &Topology, path: &str, share: &Share, rules: &mut Rules) {
    ports(path, share, rules);
    clients(topology, path, share, rules);
    transport(path, share, rules);
    versions(path, share, rules);
}

/// The kernel of a node asks from ports below 1024, a tunnel and the proxy of a desktop engine do not.
fn ports(path: &str, share: &Share, rules: &mut Rules) {
    let takes_high_ports = share.nfs.as_ref().is_none_or(|nfs| nfs.unprivileged_ports);
    let macos = share.nfs_system() == NfsSystem::Macos;
    let asks_from_high = share.via == Via::Ssh || macos || option(share, "noresvport").is_some();
    if takes_high_ports || !asks_from_high {
        return;
    }
    let fix = if macos {
        "`nfs.server.mount.require_resv_port = 0` in nfs.conf"
    } else {
        "the export's option `insecure`"
    };
    let problem = rules
        .error(
            "unprivileged-port-refused",
            &format!("{path}.nfs.unprivilegedPorts"),
            "mounts come from a port above 1023, which the server refuses: access denied by server",
        )
        .help(format!("set {fix}, and write `unprivilegedPorts: true`"));
    rules.report(problem);
}

/// Whom the export lets in.
fn clients(topology: &Topology, path: &str, share: &Share, rules: &mut Rules) {
    let clients = share.nfs.as_ref().map_or(&[][..], |nfs| &nfs.clients);
    let at = format!("{path}.nfs.clients");
    for (index, _) in clients.iter().enumerate().filter(|(_, client)| client.is_everybody()) {
        let problem = rules
            .error(
                "export-to-the-world",
                &format!("{at}.{index}"),
                "the export is open to every machine",
            )
            .write("the addresses that need it, or `127.0.0.1` for a tunnel");
        rules.report(problem);
    }
    if clients.is_empty() || !rules.places.is_whole(&at) {
        return;
    }
    let admits = |who: IpNet| clients.iter().any(|client| admits(client, who));
    match (share.via, topology.network.ipv4_subnet()) {
        (Via::Ssh, _) if !admits(IpAddr::from(Ipv4Addr::LOCALHOST).into()) => {
            let problem = rules
                .error(
                    "export-excludes-tunnel",
                    &at,
                    "the tunnel's end, 127.0.0.1, is not among the export's clients",
                )
                .write("`clients: [127.0.0.1]`");
            rules.report(problem);
        }
        (Via::Host, Some(subnet))
            if share.nfs_system() == NfsSystem::Linux && !admits(subnet.net()) =>
        {
            let problem = rules
                .error(
                    "export-excludes-client",
                    &at,
                    format!("the nodes' subnet {subnet} is not among the export's clients"),
                )
                .help(format!("write `clients: [{subnet}]`, or remove `clients`"));
            rules.report(problem);
        }
        _ => {}
    }
}

fn transport(path: &str, share: &Share, rules: &mut Rules) {
    if share.via != Via::Ssh {
        return;
    }
    let over_udp = ["mountproto", "proto"].into_iter().find_map(|name| {
        let (at, value) = share.mount_option(name)?;
        value.starts_with("udp").then_some(at)
    });
    let at = match over_udp.or_else(|| option(share, "udp")) {
        Some(at) => format!("{path}.mountOptions.{at}"),
        None if share.nfs.as_ref().is_some_and(|nfs| nfs.mount_protocol == Proto::Udp) => {
            format!("{path}.nfs.mountProtocol")
        }
        None => return,
    };
    let problem = rules
        .error("udp-only-port-forwarded", &at, "ssh carries TCP only, and this uses UDP")
        .write("`tcp`, with the server's fixed TCP port");
    rules.report(problem);
}

fn versions(path: &str, share: &Share, rules: &mut Rules) {
    let three = share.nfs_version() == NfsVersion::V3;
    if share.nfs_system() == NfsSystem::Macos && !three {
        let at = option(share, "vers").or_else(|| option(share, "nfsvers"));
        let at = at.map_or_else(
            || format!("{path}.nfs.version"),
            |at| format!("{path}.mountOptions.{at}"),
        );
        let problem = rules
            .error(
                "v4-not-served",
                &at,
                "macOS serves NFS versions 2 and 3 only: Protocol not supported",
            )
            .write("`version: \"3\"`");
        rules.report(problem);
    }
    if !three {
        return;
    }
    let written = !share.mount_options.is_empty();
    if written && option(share, "nolock").is_none() {
        let problem = rules
            .error(
                "statd-missing",
                &format!("{path}.mountOptions"),
                "version 3 locks files through rpc.statd, which is not running on nodes",
            )
            .help("add `nolock` to `mountOptions`, or use version 4");
        rules.report(problem);
    }
    if share.via != Via::Ssh {
        return;
    }
    let nfs = share.nfs.as_ref();
    if written && option(share, "mountport").is_none() {
        let problem = rules
            .error(
                "mount-port-moves",
                &format!("{path}.mountOptions"),
                "version 3 without `mountport` asks the server's port mapper, which a tunnel does not carry",
            )
            .help("add `mountport=20048` to `mountOptions`, or the port that the server's mountd is fixed to");
        rules.report(problem);
    } else if !written
        && nfs.is_some_and(|nfs| nfs.mount_port.is_none() && nfs.system == Some(NfsSystem::Linux))
    {
        let problem = rules
            .error(
                "mount-port-moves",
                &format!("{path}.nfs"),
                "version 3 requires mountd, whose port changes at every start on Linux",
            )
            .write(
                "`mountPort: 20048`, and `port=20048` under `[mountd]` in the server's nfs.conf",
            );
        rules.report(problem);
    }
}

/// Where among the mount options this one is.
fn option(share: &Share, name: &str) -> Option<usize> {
    share.mount_option(name).map(|(at, _)| at)
}

/// Whether an entry of an exports file may let in somebody there, as far as its text can tell: most
/// names could be anybody's.
fn admits(client: &NfsClient, who: IpNet) -> bool {
    let is_loopback = who.addr().is_loopback();
    match client.network() {
        Some(net) => net.contains(&who) || who.contains(&net),
        None if is_loopback => client.as_str() == "localhost" || client.is_everybody(),
        None => client.as_str() != "localhost",
    }
}
