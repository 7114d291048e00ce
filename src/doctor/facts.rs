//! What was seen, as plain data: of it alone the findings are made.

use crate::backend::docker::{Info, Snapshot};
use crate::backend::host::Route;
use crate::backend::host::kernel::Room;
use crate::resources::Health;
use crate::topology::{Cluster, Diagnostic, Topology};
use crate::trace::Trace;

/// What was seen, or why it could not be looked at.
pub type Look<T> = Result<T, String>;

pub struct Facts {
    pub machine: Machine,
    pub kernel: Kernel,
    pub engine: Look<Engine>,
    /// None where there is none to look at.
    pub file: Option<File>,
    pub live: Look<Live>,
}

/// This machine.
pub struct Machine {
    pub programs: Vec<Program>,
    /// By variable, without names and passwords.
    pub proxies: Vec<(&'static str, String)>,
    pub routes: Vec<Route>,
    /// Command lines, by process id.
    pub processes: Look<Vec<(u32, String)>>,
    pub firewall: Firewall,
}

pub struct Program {
    pub name: &'static str,
    /// In its own words, or why it cannot be run.
    pub version: Look<String>,
}

pub struct Firewall {
    /// `iptables -S FORWARD`
    pub forward: Look<String>,
    /// `nft list chains`
    pub chains: Look<String>,
    pub ufw: bool,
}

/// What this machine's kernel says, which is the engine's own only where both are one machine.
pub struct Kernel {
    /// As `uname -r` has it; none on other systems than Linux.
    pub release: Option<String>,
    /// As `uname -n` has it.
    pub name: Option<String>,
    pub inotify_instances: Look<u64>,
    pub inotify_watches: Look<u64>,
    /// Whether what crosses a bridge passes iptables too.
    pub bridge_netfilter: Option<bool>,
    /// How many files a program that is started from here may have open.
    pub open_files: Option<u64>,
    /// Where the engine keeps its data.
    pub disk: Look<Room>,
}

pub struct Engine {
    /// `unix:///var/run/docker.sock (from DOCKER_HOST)`
    pub at: String,
    /// The machine that it runs on, where it is not this one.
    pub remote: Option<String>,
    pub info: Info,
    pub snapshot: Snapshot,
}

/// The topology file.
pub struct File {
    pub path: String,
    pub problems: Vec<Diagnostic>,
    /// None where it cannot be read as one.
    pub topology: Option<Topology>,
    /// None where not all of its manifests could be read.
    pub balancing: Option<Balancing>,
    /// Manifests that could not be read here: not fetched yet, or built by a program that is missing.
    pub unread: Vec<String>,
}

/// What its manifests ask of a load balancer.
pub struct Balancing {
    /// The Services that ask for an address: `default/web`.
    pub asking: Vec<String>,
    /// Whether nothing in the file gives any.
    pub is_lacking: bool,
}

/// What is up of the topology.
pub struct Live {
    pub traces: Look<Vec<Trace>>,
    pub shares: Look<Vec<Health>>,
    /// Whether the gateway resolves the name of a node; none where that was not asked.
    pub resolves: Option<bool>,
}

impl Facts {
    pub fn topology(&self) -> Option<&Topology> {
        self.file.as_ref()?.topology.as_ref()
    }

    /// How many nodes topo makes for the file; one where no file says.
    pub fn nodes(&self) -> usize {
        match self.topology() {
            Some(topology) => {
                topology.cluster.as_ref().filter(|it| !it.exists()).map_or(0, Cluster::node_count)
            }
            None => 1,
        }
    }

    /// Why this machine's kernel is not the engine's; None where it is.
    pub fn elsewhere(&self) -> Option<String> {
        let Ok(engine) = &self.engine else { return Some("no engine answers".to_owned()) };
        match &engine.remote {
            Some(machine) => Some(format!("the engine runs on {machine}")),
            None if self.kernel.release.as_ref() == Some(&engine.info.kernel) => None,
            None => Some("the engine runs in a virtual machine".to_owned()),
        }
    }
}
