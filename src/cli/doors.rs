//! The ports of the gateway's own servers, which lead to nothing else.

use super::ports;
use super::session::Session;
use crate::backend::host::{self, Reach};
use crate::plan::World;
use crate::topology::Listen;
use crate::topology::gateway::{HTTP_PROXY_PORT, SSH_PORT};
use crate::view::PortStatus;

/// An sshd greets whoever comes. A proxy waits to be asked, so that it takes a moment to tell whether
/// anybody is there: it is tried only if everything is.
pub async fn look(session: &Session, world: &World, probe: bool) -> Vec<PortStatus> {
    let Some(gateway) = session.topology.as_ref().and_then(|topology| topology.gateway.as_ref())
    else {
        return Vec::new();
    };
    let ssh = gateway.ssh.as_ref().map(|ssh| ssh.listen.resolved());
    let proxy = gateway.http_proxy.as_ref().map(|proxy| proxy.listen.resolved());
    let (ssh, proxy) = tokio::join!(
        door(session, world, ssh, ("the gateway's sshd", SSH_PORT), true),
        door(session, world, proxy, ("the gateway's http proxy", HTTP_PROXY_PORT), probe),
    );
    ssh.into_iter().chain(proxy).collect()
}

async fn door(
    session: &Session,
    world: &World,
    listen: Option<Listen>,
    (server, inside): (&str, u16),
    is_tried: bool,
) -> Option<PortStatus> {
    let listen = listen?;
    let (reachable, detail) = if ports::is_gateway_stopped(world) {
        (Some(false), Some(ports::STOPPED.to_owned()))
    } else {
        let host = session.cx().uncarried_door(listen.addr).await.filter(|_| is_tried);
        let reach = match host {
            Some(host) => Some(host::reach(&host, listen.ports.first()).await),
            None => None,
        };
        match reach {
            None | Some(Reach::Holds) => (None, None),
            Some(Reach::Answers) => (Some(true), None),
            Some(fails) => (Some(false), Some(fails.of_a_door().to_owned())),
        }
    };
    Some(PortStatus {
        listen: listen.to_string(),
        to: server.to_owned(),
        address: ports::gateway_address(world).map(|address| format!("{address}:{inside}")),
        ready_pods: None,
        reachable,
        detail,
        direct: None,
    })
}
