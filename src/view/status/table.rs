//! One screen of what is up.

use std::fmt::Write;

use owo_colors::{AnsiColors, OwoColorize};

use super::{Health, PoolStatus, PortStatus, ResourceStatus, ShareStatus, Status, TunnelStatus};
use crate::view::table::{Row, table};
use crate::view::text::INDENT;

pub fn render(status: &Status, columns: Option<usize>) -> String {
    let mut text = String::new();
    if let Some(holder) = &status.at_work {
        let _ = writeln!(text, "{}\n", format_args!("Being changed now by {holder}").yellow());
    }
    let mut section = |title: &str, rows: Vec<Row>| {
        if !rows.is_empty() {
            let gap = if text.is_empty() || text.ends_with("\n\n") { "" } else { "\n" };
            let _ = write!(text, "{gap}{}\n{}", title.bold(), table(rows, columns));
        }
    };
    section("Resources", status.resources.iter().map(resource).collect());
    let is_closed = status.is_gateway_stopped();
    section("Ports", status.ports.iter().map(|one| port(one, is_closed)).collect());
    section("Pools", status.pools.iter().map(pool).collect());
    section("Shares", status.shares.iter().map(share).collect());
    section("Tunnels", status.tunnels.iter().map(tunnel).collect());
    section("Cluster", status.context.iter().map(|context| context_of(context)).collect());
    if text.is_empty() {
        return format!("No resources found for `{}`\n", status.topology);
    }
    if status.is_stopped() {
        text.push_str("\nIt is stopped: `topo start` brings it back\n");
    }
    text
}

fn context_of(context: &str) -> Row {
    let cells = vec![format!("kubectl --context {context}")];
    Row { cells, state: 0, paint: AnsiColors::Default, hint: None }
}

/// The forwards at the end of an apply: of many only those that somebody should look at.
pub fn ports_in_short(ports: &[PortStatus], columns: Option<usize>) -> String {
    const FEW: usize = 20;
    if ports.is_empty() {
        return String::new();
    }
    let shown: Vec<&PortStatus> =
        ports.iter().filter(|port| ports.len() <= FEW || port.reachable == Some(false)).collect();
    let left_out = ports.len() - shown.len();
    let mut text = format!("{}\n", "Ports".bold());
    text.push_str(&table(shown.into_iter().map(|one| port(one, false)).collect(), columns));
    if left_out > 0 {
        let others = if left_out == ports.len() { "" } else { " others" };
        let _ = writeln!(text, "{INDENT}{left_out}{others}: `topo status` shows each");
    }
    text.push('\n');
    text
}

fn resource(resource: &ResourceStatus) -> Row {
    let detail = resource.detail.clone().unwrap_or_default();
    let cells = vec![resource.id.to_string(), resource.state.word().to_owned(), detail];
    Row { cells, state: 1, paint: color(resource.state), hint: None }
}

/// `127.0.0.1:10001/tcp  answers  service default/web:80  172.22.255.201:80  2 pods`
fn port(port: &PortStatus, is_gateway_stopped: bool) -> Row {
    let (word, paint) = match port.reachable {
        Some(false) if is_gateway_stopped => ("stopped", AnsiColors::Yellow),
        Some(false) if port.address.is_none() => ("pending", AnsiColors::Yellow),
        Some(true) => ("answers", AnsiColors::Green),
        Some(false) => ("silent", AnsiColors::Red),
        None if port.ready_pods.is_some_and(|pods| pods > 0) => ("ready", AnsiColors::Green),
        None => ("untried", AnsiColors::Default),
    };
    let pods = match port.ready_pods {
        Some(1) => "1 pod".to_owned(),
        Some(pods) => format!("{pods} pods"),
        None => String::new(),
    };
    let works = port.reachable != Some(false);
    let direct = port.direct.as_ref().filter(|_| works).map(|_| "direct".to_owned());
    let rest = [Some(pods), direct, port.detail.clone()];
    let rest: Vec<String> = rest.into_iter().flatten().filter(|part| !part.is_empty()).collect();
    let address = port.address.clone().unwrap_or_else(|| "no address".to_owned());
    let cells =
        vec![port.listen.clone(), word.to_owned(), port.to.clone(), address, rest.join(", ")];
    Row { cells, state: 1, paint, hint: None }
}

fn pool(pool: &PoolStatus) -> Row {
    let cells = vec![
        pool.name.clone(),
        pool.used.map_or_else(|| "use unknown".to_owned(), |used| format!("{used} used")),
        pool.free.map_or_else(String::new, |free| format!("{free} free")),
        pool.addresses.join(", "),
    ];
    let paint = if pool.free == Some(0) { AnsiColors::Yellow } else { AnsiColors::Default };
    Row { cells, state: 2, paint, hint: None }
}

fn share(share: &ShareStatus) -> Row {
    let cells = vec![
        share.name.clone(),
        share.state.word().to_owned(),
        format!("via {}", share.via),
        share.source.clone(),
        share.claim.clone().unwrap_or_default(),
        share.detail.clone().unwrap_or_default(),
    ];
    Row { cells, state: 1, paint: color(share.state), hint: share.hint.clone() }
}

fn tunnel(tunnel: &TunnelStatus) -> Row {
    let detail = tunnel.detail.clone().unwrap_or_default();
    let cells = vec![tunnel.name.clone(), tunnel.state.word().to_owned(), detail];
    Row { cells, state: 1, paint: color(tunnel.state), hint: None }
}

fn color(health: Health) -> AnsiColors {
    match health {
        Health::Ready => AnsiColors::Green,
        Health::Degraded | Health::Stopped => AnsiColors::Yellow,
        Health::Missing => AnsiColors::Red,
        Health::Unknown => AnsiColors::Default,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::samples;
    use crate::view::text::width;

    #[test]
    fn status_on_a_terminal_of_80_columns() {
        let text = anstream::adapter::strip_str(&render(&samples::status(), Some(80))).to_string();
        assert!(text.lines().all(|line| width(line) <= 80), "{text}");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn status_in_color_and_as_wide_as_it_likes() {
        insta::assert_snapshot!(render(&samples::status(), None).replace('\u{1b}', "␛"));
    }

    #[test]
    fn behind_a_stopped_gateway_no_port_is_at_fault() {
        let mut status = samples::status();
        let gateway = ResourceStatus {
            id: "gateway/dev-gw".parse().expect("an id"),
            state: Health::Stopped,
            detail: None,
        };
        status.resources = vec![gateway];
        status.ports.truncate(1);
        status.ports[0].reachable = Some(false);
        let text = anstream::adapter::strip_str(&render(&status, None)).to_string();
        let port = text.lines().find(|line| line.contains("10001")).expect("a port");
        assert!(port.contains("stopped"), "{port}");
    }
}
