//! This machine: programs, surroundings, routes, firewalls, and what its kernel allows.

use std::path::{Path, PathBuf};

use tokio::time::Instant;

use super::by;
use crate::backend::host::{self, ProcessError, Program, find_program, firewall, kernel};
use crate::backend::kind::Source;
use crate::backend::kube::shown_proxy;
use crate::doctor::facts::{self, Firewall, Kernel, Look, Machine};

const PROXIES: [&str; 6] =
    ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];

pub async fn look(variable: &(dyn Fn(&str) -> Option<String> + Sync), end: Instant) -> Machine {
    let on_path = |name: &str| find_program(name, variable).ok_or(not_on_path());
    let (docker, kind, kubectl, routes, processes, forward, chains) = tokio::join!(
        version("docker", on_path("docker"), &["--version"], end),
        version("kind", kind(variable), &["version", "--quiet"], end),
        version("kubectl", on_path("kubectl"), &["version", "--client"], end),
        by(end, async { Ok(host::routes().await) }),
        told(end, host::processes()),
        told(end, firewall::forward_rules()),
        told(end, firewall::chains()),
    );
    let proxy = |name: &&'static str| {
        let value = variable(name).filter(|value| !value.is_empty())?;
        Some((*name, shown_proxy(&value)))
    };
    Machine {
        programs: vec![docker, kind, kubectl],
        proxies: PROXIES.iter().filter_map(proxy).collect(),
        routes: routes.unwrap_or_default(),
        processes,
        firewall: Firewall { forward, chains, ufw: firewall::has_ufw() },
    }
}

/// `root` is where the engine keeps its data, if one answers.
pub fn kernel(root: Option<&Path>) -> Kernel {
    let setting = |name: &str| kernel::setting(name).map_err(|error| error.to_string());
    Kernel {
        release: kernel::release(),
        name: kernel::name(),
        inotify_instances: setting("fs/inotify/max_user_instances"),
        inotify_watches: setting("fs/inotify/max_user_watches"),
        bridge_netfilter: setting("net/bridge/bridge-nf-call-iptables").ok().map(|it| it != 0),
        open_files: kernel::open_files(),
        disk: match root {
            Some(root) => kernel::room(root).map_err(|error| error.to_string()),
            None => Err("no engine answers".to_owned()),
        },
    }
}

fn kind(variable: &(dyn Fn(&str) -> Option<String> + Sync)) -> Look<PathBuf> {
    match Source::find(&|name| variable(name)) {
        Ok(Source::Here(program)) => Ok(program),
        Ok(Source::Release { .. }) => Err(format!("{}; topo fetches its own", not_on_path())),
        Err(error) => Err(error.to_string()),
    }
}

fn not_on_path() -> String {
    "not on PATH".to_owned()
}

async fn version(
    name: &'static str,
    program: Look<PathBuf>,
    arguments: &[&str],
    end: Instant,
) -> facts::Program {
    let version = match program {
        Ok(program) => told(end, Program::new(program).args(arguments).run(|_| {})).await,
        Err(why) => Err(why),
    };
    let first = |text: String| text.lines().next().unwrap_or_default().to_owned();
    facts::Program { name, version: version.map(first) }
}

/// What a program says, or the last line of its complaints.
async fn told<T>(end: Instant, run: impl Future<Output = Result<T, ProcessError>>) -> Look<T> {
    by(end, async {
        run.await.map_err(|error| match error {
            ProcessError::Start { program, .. } => {
                format!("`{}` cannot be started", program.display())
            }
            ProcessError::Failed { ref last_lines, .. } => {
                last_lines.last().cloned().unwrap_or_else(|| error.to_string())
            }
            ProcessError::Lost { .. } => error.to_string(),
        })
    })
    .await
}
