//! What else the server says, asked once a trial has failed and only as far as it helps to name why.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;
use tokio::time::Instant;

use super::check::{Trial, connect, registered};
use super::dial::Dial;
use super::fault::{Failed, Fault, Step};
use super::mount3::{self, Exported, MOUNT};
use super::nfs4::{links_of_root, minor_is_served};
use super::portmap::Registered;
use super::status::{ACCES, AUTH_BADCRED, MINOR_VERS_MISMATCH, PERM};

/// What one service does not tell, such as a port mapper behind a firewall, takes no time from the
/// questions to another.
const EACH: Duration = Duration::from_secs(3);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Where the trial's connections come from, as the server sees it.
    pub source: Option<SocketAddr>,
    /// What `showmount -e` would show, where the mount service answers.
    pub exports: Option<Vec<Exported>>,
    /// Whether the export that the path lies in can be mounted, where the path itself can not.
    pub export_opens: bool,
    /// Where the port mapper says that the mount service is.
    pub mount: Option<Registered>,
    /// Whether the server has no export at all for this client, as Linux says before it is asked for
    /// a path.
    pub is_unknown_client: bool,
    /// How many links the root of the server's own tree has.
    pub links_of_root: Option<u32>,
    /// The minor versions of version 4 that are served.
    pub minors: Vec<u32>,
}

/// What an export's list of clients says of one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    Admitted,
    LeftOut,
    /// Names and groups, which only the server can resolve; or no list, or no such address.
    Unclear,
}

impl Evidence {
    pub async fn gather<D: Dial>(dial: &D, trial: &Trial, failed: &Failed) -> Self {
        let mut evidence = Self::default();
        let until = Instant::now() + EACH;
        let mount_is_lost = matches!(failed.step, Step::ConnectMount | Step::GreetMount);
        if mount_is_lost || (trial.mount_port.is_none() && is_about_admission(failed)) {
            evidence.mount = registered(dial, trial, MOUNT, until).await.ok();
        }
        if is_about_admission(failed) {
            let until = Instant::now() + EACH;
            let exports = evidence.ask_for_exports(dial, trial, failed.step, until);
            let ((), links) = tokio::join!(exports, links(dial, trial, until));
            let unknown = Fault::Unauthenticated(AUTH_BADCRED);
            evidence.is_unknown_client =
                failed.fault == unknown || links.as_ref().is_err_and(|fault| *fault == unknown);
            evidence.links_of_root = links.ok();
        }
        if matches!(&failed.fault, Fault::Status(status) if status.code == MINOR_VERS_MISMATCH) {
            evidence.minors = minors(dial, trial, until).await.unwrap_or_default();
        }
        evidence
    }

    async fn ask_for_exports<D: Dial>(
        &mut self,
        dial: &D,
        trial: &Trial,
        step: Step,
        until: Instant,
    ) {
        let told = self.mount.and_then(|mount| mount.tcp);
        let port = trial.mount_port.or(told).unwrap_or(mount3::USUAL_PORT);
        if let Ok(mut mount) = connect(dial, trial, port, until).await {
            self.source = dial.source(mount.stream());
            self.exports = mount3::exports(&mut mount).await.ok();
            let above = self.export_of(&trial.path).map(|export| export.path.clone());
            if let Some(above) = above.filter(|path| step == Step::Mount && *path != trial.path) {
                self.export_opens = mount3::mount(&mut mount, &above).await.is_ok();
                let _ = mount3::unmount(&mut mount, &above).await;
            }
        }
        if trial.tunnelled {
            // The port is one of the tunnel's own, which takes no low one.
            self.source = Some(SocketAddr::from(([127, 0, 0, 1], 1024)));
        }
    }

    /// Whether the server was asked from a port that only root can use.
    pub fn asks_from_low_port(&self) -> bool {
        self.source.is_some_and(|source| source.port() < 1024)
    }

    /// Whether the tree has nothing in it at all, also nothing that is hidden.
    pub fn exports_nothing(&self) -> bool {
        self.links_of_root.is_some_and(|links| links <= 2)
            && self.exports.iter().flatten().next().is_none()
    }

    /// The export that a path lies in: the longest that is the path or a folder above it.
    pub fn export_of(&self, path: &str) -> Option<&Exported> {
        let exports = self.exports.as_ref()?;
        let holding = exports.iter().filter(|export| holds(&export.path, path));
        holding.max_by_key(|export| export.path.len())
    }

    pub fn admission(&self, path: &str) -> Admission {
        match (self.export_of(path), self.source) {
            (Some(export), Some(source)) => admission(&export.clients, source.ip().to_canonical()),
            _ => Admission::Unclear,
        }
    }
}

/// Whether the server may have refused because of who asks and from where. Servers of version 4 may
/// pretend to those that there is nothing.
fn is_about_admission(failed: &Failed) -> bool {
    match &failed.fault {
        Fault::Status(status) => {
            matches!(status.code, ACCES | PERM) && failed.step != Step::Create
                || failed.step == Step::Mount
        }
        Fault::Closed(_) | Fault::Unauthenticated(_) | Fault::NotThere { .. } => true,
        _ => false,
    }
}

fn holds(export: &str, path: &str) -> bool {
    let (export, path) = (export.trim_end_matches('/'), path.trim_end_matches('/'));
    path.strip_prefix(export).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn admission(clients: &[String], source: IpAddr) -> Admission {
    if clients.is_empty() {
        return Admission::Admitted;
    }
    let each: Vec<Admission> = clients.iter().map(|client| admits(client, source)).collect();
    if each.contains(&Admission::Admitted) {
        Admission::Admitted
    } else if each.contains(&Admission::Unclear) {
        Admission::Unclear
    } else {
        Admission::LeftOut
    }
}

/// One client as an export names it: `*`, an address, a network with a length or a mask, or a name.
fn admits(client: &str, source: IpAddr) -> Admission {
    let yes = |yes| if yes { Admission::Admitted } else { Admission::LeftOut };
    if matches!(client, "*" | "(everyone)") {
        return Admission::Admitted;
    }
    if client == "localhost" {
        return yes(source.is_loopback());
    }
    if let Ok(address) = client.parse::<IpAddr>() {
        return yes(address == source);
    }
    let network = client.parse().ok().or_else(|| {
        let (address, mask) = client.split_once('/')?;
        IpNet::with_netmask(address.parse().ok()?, mask.parse().ok()?).ok()
    });
    network.map_or(Admission::Unclear, |network: IpNet| yes(network.contains(&source)))
}

async fn links<D: Dial>(dial: &D, trial: &Trial, until: Instant) -> Result<u32, Fault> {
    let mut nfs = connect(dial, trial, trial.port, until).await?;
    links_of_root(&mut nfs).await
}

/// Over one connection, since the first refusal does not end it.
async fn minors<D: Dial>(dial: &D, trial: &Trial, until: Instant) -> Result<Vec<u32>, Fault> {
    let mut nfs = connect(dial, trial, trial.port, until).await?;
    let mut served = Vec::new();
    for minor in 0..=2 {
        if minor_is_served(&mut nfs, minor).await? {
            served.push(minor);
        }
    }
    Ok(served)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(clients: &[&str], source: &str) -> Admission {
        let clients: Vec<String> = clients.iter().map(ToString::to_string).collect();
        admission(&clients, source.parse().expect("an address"))
    }

    #[test]
    fn an_export_admits_by_address_network_mask_and_wildcard() {
        for clients in [
            &[][..],
            &["*"],
            &["10.0.0.1", "172.22.0.9"],
            &["172.22.0.0/16"],
            &["172.22.0.0/255.255.0.0"],
            &["host.example", "172.22.0.9"],
        ] {
            assert_eq!(of(clients, "172.22.0.9"), Admission::Admitted, "{clients:?}");
        }
        assert_eq!(of(&["localhost"], "127.0.0.1"), Admission::Admitted);
    }

    #[test]
    fn an_export_leaves_out_whom_it_does_not_name() {
        for clients in [&["172.22.0.0/16"][..], &["10.0.0.1"], &["172.22.0.0/255.255.0.0"]] {
            assert_eq!(of(clients, "127.0.0.1"), Admission::LeftOut, "{clients:?}");
        }
        assert_eq!(of(&["localhost"], "172.22.0.9"), Admission::LeftOut);
    }

    #[test]
    fn names_cannot_be_judged_from_here() {
        assert_eq!(of(&["*.example", "@trusted"], "127.0.0.1"), Admission::Unclear);
    }

    #[test]
    fn a_path_lies_in_the_longest_export_above_it() {
        let export = |path: &str| Exported { path: path.to_owned(), clients: Vec::new() };
        let exports = ["/", "/srv", "/srv/docs", "/srv/do"].map(export);
        let evidence = Evidence { exports: Some(exports.to_vec()), ..Evidence::default() };
        let found = |path| evidence.export_of(path).map(|export| export.path.as_str());
        assert_eq!(found("/srv/docs/a"), Some("/srv/docs"));
        assert_eq!(found("/srv/docs2"), Some("/srv"));
        assert_eq!(found("/home"), Some("/"));
    }
}
