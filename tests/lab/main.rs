//! Scenarios on real parts: a Docker engine, kind, Kubernetes and MetalLB of the test lab.
//!
//! Each applies one of the topologies/ as a user would, and looks at the outcome with the user's
//! own tools. They run one after another, because they share the engine and what it is compared
//! with; those of `beside` run beside the others.

#![expect(
    clippy::print_stderr,
    reason = "a scenario shows what topo printed, and how long it took"
)]

mod adopted;
mod beside;
mod borrowed_network;
mod changes;
mod contract;
mod dev_gateway;
mod drift;
mod dual_stack;
mod everything;
mod example;
mod existing_cluster;
mod foreign;
mod ganesha;
mod gateway;
mod hello;
mod http_proxy;
mod interrupted;
mod lab;
mod listing;
mod nested;
mod node_port;
mod published_by_kernel;
mod refuser;
mod routed_host;
mod served;
mod small;
mod stopped;
mod trace;
mod two_teams;
mod watched;
mod workloads;
