//! One screen of what is up.

use std::fmt::Write;

use owo_colors::{AnsiColors, OwoColorize};

use super::{Health, PoolStatus, PortStatus, ResourceStatus, ShareStatus, Status, TunnelStatus};
use crate::view::text::{tame, width, wrap};

const INDENT: &str = "  ";

/// Cells of one line, and the colour of the word that says how it is.
struct Row {
    cells: Vec<String>,
    /// Which cell is that word.
    state: usize,
    paint: AnsiColors,
    /// What to do about it, on lines of its own.
    hint: Option<String>,
}

pub fn render(status: &Status, columns: Option<usize>) -> String {
    let mut text = String::new();
    let mut section = |title: &str, rows: Vec<Row>| {
        if !rows.is_empty() {
            let gap = if text.is_empty() { "" } else { "\n" };
            let _ = write!(text, "{gap}{}\n{}", title.bold(), table(rows, columns));
        }
    };
    section("Resources", status.resources.iter().map(resource).collect());
    section("Ports", status.ports.iter().map(port).collect());
    section("Pools", status.pools.iter().map(pool).collect());
    section("Shares", status.shares.iter().map(share).collect());
    section("Tunnels", status.tunnels.iter().map(tunnel).collect());
    if text.is_empty() {
        return format!("There is nothing of `{}`\n", status.topology);
    }
    text
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
    text.push_str(&table(shown.into_iter().map(port).collect(), columns));
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
fn port(port: &PortStatus) -> Row {
    let (word, paint) = match port.reachable {
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

/// Columns as wide as their widest cell. Cells that do not fit beside the first go below them;
/// the last, which is free text, does so by itself.
fn table(rows: Vec<Row>, columns: Option<usize>) -> String {
    let widths = widths(&rows);
    let limit = columns.unwrap_or(usize::MAX);
    let beside = how_many_fit(&widths, limit);
    let mut text = String::new();
    for Row { cells, state, paint, hint } in rows {
        let mut below = Vec::new();
        let mut taken = INDENT.len();
        text.push_str(INDENT);
        for (at, cell) in cells.iter().enumerate().filter(|(_, cell)| !cell.is_empty()) {
            let cell = tame(cell);
            let start: usize =
                INDENT.len() + widths[..at].iter().map(|width| width + 2).sum::<usize>();
            if at < beside
                || (below.is_empty() && at + 1 == cells.len() && start + width(&cell) <= limit)
            {
                let blank = start - taken;
                let paint = if at == state { paint } else { AnsiColors::Default };
                let _ = write!(text, "{:blank$}{}", "", cell.color(paint));
                taken = start + width(&cell);
            } else {
                below.push(cell);
            }
        }
        text.push('\n');
        let room = columns.map(|columns| columns.saturating_sub(INDENT.len() * 2));
        let hint = hint.map(|hint| format!("hint: {}", tame(&hint)));
        for paragraph in [Some(below.join("  ")), hint].into_iter().flatten() {
            for line in wrap(&paragraph, room) {
                let _ = writeln!(text, "{INDENT}{INDENT}{line}");
            }
        }
    }
    text
}

fn widths(rows: &[Row]) -> Vec<usize> {
    let cells = rows.iter().map(|row| row.cells.len()).max().unwrap_or(0);
    let column = |at: usize| rows.iter().filter_map(move |row| row.cells.get(at));
    (0..cells).map(|at| column(at).map(|cell| width(cell)).max().unwrap_or(0)).collect()
}

/// How many of the columns but the last stand on one line; the name and the state always do.
fn how_many_fit(widths: &[usize], limit: usize) -> usize {
    let mut taken = INDENT.len();
    let but_last = &widths[..widths.len().saturating_sub(1)];
    let fit = but_last.iter().take_while(|width| {
        taken += *width + 2;
        taken - 2 <= limit
    });
    fit.count().max(2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::samples;

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
}
