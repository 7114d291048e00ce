//! Node addresses that stay: Docker gives addresses in the order in which containers start, and
//! etcd's members know one another by address, so three control planes started in another order
//! never come back. So each node is given the address that it has as a fixed one, while it runs.

use std::net::IpAddr;

use crate::backend::docker::{Address, Docker, Error, Network, Snapshot};
use crate::engine::{Failure, Turn};
use crate::resources::base::context::Context;
use crate::resources::base::docker::kind_nodes;
use crate::resources::base::marks;

pub async fn all(cx: &Context, turn: &Turn, network: &str) -> Result<(), Failure> {
    let snapshot = cx.snapshot().await?;
    for node in kind_nodes::containers(&snapshot, &cx.name) {
        if let Outcome::Impossible = pin(cx, &snapshot, &node.name, network).await? {
            warn(turn, network);
            return Ok(());
        }
    }
    Ok(())
}

pub async fn one(cx: &Context, turn: &Turn, node: &str, network: &str) -> Result<(), Failure> {
    let snapshot = cx.snapshot().await?;
    if let Outcome::Impossible = pin(cx, &snapshot, node, network).await? {
        warn(turn, network);
    }
    Ok(())
}

/// Whether it has its address for good now.
pub async fn keeps_address(cx: &Context, name: &str, network: &str) -> Result<bool, Failure> {
    let snapshot = cx.snapshot().await?;
    pin(cx, &snapshot, name, network).await.map(|outcome| matches!(outcome, Outcome::Fixed))
}

fn warn(turn: &Turn, network: &str) {
    turn.warn(format!(
        "the network `{network}` was made without a subnet of its own, so nodes cannot keep their addresses on it: after a restart of the engine several control planes may not find one another"
    ));
}

enum Outcome {
    /// As it should be: pinned now, or before.
    Fixed,
    Impossible,
}

async fn pin(
    cx: &Context,
    snapshot: &Snapshot,
    node: &str,
    network: &str,
) -> Result<Outcome, Failure> {
    let there = snapshot.network(network);
    let address = snapshot.container(node).and_then(|node| node.addresses.get(network));
    let (Some(there), Some(address)) = (there, address) else { return Ok(Outcome::Fixed) };
    let wanted: Vec<IpAddr> = [address.v4, address.v6].into_iter().flatten().collect();
    if wanted.is_empty() || is_fixed(address) {
        return Ok(Outcome::Fixed);
    }
    if !takes_fixed_addresses(cx, there, node, &wanted).await {
        return Ok(Outcome::Impossible);
    }
    reattach(&cx.docker, network, node, &wanted).await?;
    Ok(Outcome::Fixed)
}

/// What moving a container onto an address asks of the engine.
trait Attach {
    fn detach(&self, network: &str, node: &str) -> impl Future<Output = Result<(), Error>> + Send;

    /// At these addresses, or where there are none at one that the engine chooses.
    fn attach(
        &self,
        network: &str,
        node: &str,
        fixed: &[IpAddr],
    ) -> impl Future<Output = Result<(), Error>> + Send;
}

impl Attach for Docker {
    async fn detach(&self, network: &str, node: &str) -> Result<(), Error> {
        self.disconnect_network(network, node).await
    }

    async fn attach(&self, network: &str, node: &str, fixed: &[IpAddr]) -> Result<(), Error> {
        self.connect_network(network, node, fixed).await
    }
}

/// Takes a node off its network and puts it there again at fixed addresses. One that the engine
/// refuses these is put back all the same, since without a network it is lost to its cluster.
async fn reattach(
    engine: &impl Attach,
    network: &str,
    node: &str,
    wanted: &[IpAddr],
) -> Result<(), Failure> {
    let failed = |error| Failure::because(format!("cannot pin the address of `{node}`"), &error);
    engine.detach(network, node).await.map_err(failed)?;
    let Err(refused) = engine.attach(network, node, wanted).await else { return Ok(()) };
    let failure = failed(refused);
    Err(match engine.attach(network, node, &[]).await {
        Ok(()) => failure,
        Err(error) => failure
            .caused_by(format!("`{node}` is off the network `{network}` now: {error}"))
            .hint(format!("`docker network connect {network} {node}` puts it back")),
    })
}

fn is_fixed(address: &Address) -> bool {
    address.v4.is_some() && address.fixed == address.v4
}

/// A network of topo's own was made for it. Of another it is known only by asking for what the node
/// has: the engine refuses either the fixed address or, past that, that the node is there already.
async fn takes_fixed_addresses(
    cx: &Context,
    network: &Network,
    node: &str,
    addresses: &[IpAddr],
) -> bool {
    if network.labels.contains_key(marks::TOPOLOGY) {
        return true;
    }
    let asked = cx.docker.connect_network(&network.id, node, addresses).await;
    !asked.is_err_and(|error| error.is_for_want_of_a_subnet())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// An engine with one node, which refuses fixed addresses, or everything.
    struct Engine {
        address: Mutex<Option<IpAddr>>,
        takes_fixed: bool,
        takes_any: bool,
    }

    const BEFORE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(172, 22, 0, 3));
    const CHOSEN: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(172, 22, 0, 9));

    impl Engine {
        fn new(takes_fixed: bool, takes_any: bool) -> Self {
            Self { address: Mutex::new(Some(BEFORE)), takes_fixed, takes_any }
        }

        fn address(&self) -> Option<IpAddr> {
            *self.address.lock().expect("no test panics with it")
        }
    }

    impl Attach for Engine {
        async fn detach(&self, _: &str, _: &str) -> Result<(), Error> {
            *self.address.lock().expect("no test panics with it") = None;
            Ok(())
        }

        async fn attach(&self, _: &str, _: &str, fixed: &[IpAddr]) -> Result<(), Error> {
            let takes_it = if fixed.is_empty() { self.takes_any } else { self.takes_fixed };
            if !takes_it {
                return Err(Error::AddressTaken("it is in use".to_owned()));
            }
            let address = fixed.first().copied().unwrap_or(CHOSEN);
            *self.address.lock().expect("no test panics with it") = Some(address);
            Ok(())
        }
    }

    async fn pinned(engine: &Engine) -> Result<(), Failure> {
        reattach(engine, "kind", "dev-worker", &[BEFORE]).await
    }

    #[tokio::test]
    async fn a_node_keeps_its_address() {
        let engine = Engine::new(true, true);
        assert_eq!(pinned(&engine).await, Ok(()));
        assert_eq!(engine.address(), Some(BEFORE));
    }

    #[tokio::test]
    async fn a_node_that_is_refused_its_address_stays_on_its_network() {
        let engine = Engine::new(false, true);
        let failure = pinned(&engine).await.expect_err("it is refused");
        assert!(failure.to_string().contains("cannot pin the address"), "{failure}");
        assert_eq!(engine.address(), Some(CHOSEN));
    }

    #[tokio::test]
    async fn a_node_that_cannot_be_put_back_is_told_of() {
        let engine = Engine::new(false, false);
        let failure = pinned(&engine).await.expect_err("it is refused");
        assert!(failure.causes.iter().any(|cause| cause.contains("is off the network `kind`")));
        let hint = "`docker network connect kind dev-worker` puts it back";
        assert_eq!(failure.hint.as_deref(), Some(hint));
    }
}
