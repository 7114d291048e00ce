//! Scenarios on real parts: a Docker engine, kind, Kubernetes and MetalLB of the test lab.
//!
//! Each applies one of the topologies/ as a user would, and looks at the outcome with the user's
//! own tools. They run one after another, because they share the machine and the example's names.

#![expect(
    clippy::print_stderr,
    reason = "a scenario shows what topo printed, and how long it took"
)]

mod borrowed_network;
mod changes;
mod contract;
mod dev_gateway;
mod drift;
mod everything;
mod example;
mod existing_cluster;
mod far;
mod foreign;
mod ganesha;
mod ha;
mod http_proxy;
mod interrupted;
mod lab;
mod nested;
mod nfs;
mod node_port;
mod remote_engine;
mod routed_host;
mod share_faults;
mod share_server;
mod shares;
mod small;
mod tunnel;
mod two_teams;
mod workloads;
