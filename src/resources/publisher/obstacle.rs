//! Why rules of this machine's kernel cannot publish the ports: they would be another machine's rules,
//! or a program of this one has the ports.

use crate::backend::docker::{Info, Snapshot};
use crate::backend::host::{kernel, sockets};
use crate::engine::Failure;
use crate::resources::base::context::Context;
use crate::resources::base::docker::published::publications;
use crate::topology::{Listen, Proto, PublishBy, Topology};

use super::container;

pub async fn look(
    cx: &Context,
    topology: &Topology,
    snapshot: &Snapshot,
) -> Result<Option<String>, Failure> {
    if let Some(machine) = cx.machine().await {
        return Ok(Some(refused(&format!("the engine runs on {}", machine.host))));
    }
    let info = cx.docker.info().await.map_err(|error| {
        Failure::because("cannot ask the engine which machine it runs on", &error)
    })?;
    let network = snapshot.network(&topology.network_name());
    let no_bridge = || network.and_then(|network| container::bridge(network).err());
    let (name, release) = (kernel::name(), kernel::release());
    let elsewhere = not_of_this_machine(&info, (name.as_deref(), release.as_deref()));
    Ok(elsewhere.map(|why| refused(&why)).or_else(no_bridge).or_else(|| ports(topology, snapshot)))
}

fn refused(why: &str) -> String {
    format!(
        "{why}, and `publishBy: kernel` needs an engine in this machine's own network: write `publishBy: engine`"
    )
}

/// Why the networks of an engine that is reached here are not this machine's, if they are not. A
/// virtual machine has a name or a kernel of its own.
pub fn not_of_this_machine(
    info: &Info,
    (name, kernel): (Option<&str>, Option<&str>),
) -> Option<String> {
    if info.product.starts_with("Docker Desktop") || info.operating_system == "Docker Desktop" {
        return Some("the engine is Docker Desktop's, in a virtual machine".to_owned());
    }
    if info.is_podman {
        return Some("the engine is Podman".to_owned());
    }
    if info.is_rootless {
        return Some("the engine is rootless, with a network of its own".to_owned());
    }
    if info.remaps_users {
        return Some("the engine remaps users (`userns-remap`), so its containers cannot set rules of the machine".to_owned());
    }
    if (name, kernel) != (Some(info.name.as_str()), Some(info.kernel.as_str())) {
        return Some(format!(
            "the engine runs in `{}` (Linux {}), and not in the system that topo runs in",
            info.name, info.kernel
        ));
    }
    None
}

/// A program would go on listening, and nobody would reach it. What the gateway's own container
/// publishes until it is made without is none.
pub fn ports(topology: &Topology, snapshot: &Snapshot) -> Option<String> {
    let gateway = topology.gateway.as_ref()?;
    let own = snapshot.container(&topology.gateway_name()).map(publications).unwrap_or_default();
    gateway.publications_by(PublishBy::Kernel).find_map(|(listen, _)| {
        let Listen { addr, ports, proto } = listen;
        let is_own = |port: u16| {
            own.iter().any(|it| it.listen.proto == proto && it.listen.ports.contains(port))
        };
        let listeners =
            sockets::listeners_in(addr, ports.first()..=ports.last(), proto == Proto::Udp);
        let held = listeners.into_iter().find(|it| !is_own(it.at.port()))?;
        let who = match held.process {
            Some((pid, program)) => format!("`{program}` (pid {pid})"),
            None => "another user's program".to_owned(),
        };
        Some(format!("{who} listens on {}/{proto}: end it, or publish other ports", held.at))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_in_another_network_than_this_machines_is_refused() {
        let here = Info {
            name: "box".to_owned(),
            kernel: "6.1".to_owned(),
            operating_system: "Debian GNU/Linux 12 (bookworm)".to_owned(),
            ..Info::default()
        };
        let why =
            |info: Info| not_of_this_machine(&info, (Some("box"), Some("6.1"))).unwrap_or_default();
        assert_eq!(why(here.clone()), "");
        let desktop = Info { operating_system: "Docker Desktop".to_owned(), ..here.clone() };
        assert!(why(desktop).contains("Docker Desktop"));
        assert!(why(Info { is_rootless: true, ..here.clone() }).contains("rootless"));
        assert!(why(Info { remaps_users: true, ..here.clone() }).contains("userns-remap"));
        assert!(why(Info { name: "colima".to_owned(), ..here.clone() }).contains("`colima`"));
        assert!(why(Info { kernel: "6.2".to_owned(), ..here }).contains("Linux 6.2"));
    }
}
