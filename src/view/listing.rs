//! The topologies of an engine, a line each.

use owo_colors::AnsiColors;
use serde::Serialize;

use super::table::{Row, table};

#[derive(Debug, Serialize)]
pub struct Listed {
    pub name: String,
    /// That it was applied from, where its claim can be read.
    pub file: Option<String>,
    pub containers: usize,
    pub running: usize,
    /// `127.0.0.1:10000-10009/tcp`
    pub publishes: Vec<String>,
}

pub fn render(listed: &[Listed], columns: Option<usize>) -> String {
    if listed.is_empty() {
        return "This engine has no topology\n".to_owned();
    }
    table(listed.iter().map(row).collect(), columns)
}

fn row(one: &Listed) -> Row {
    let Listed { name, file, containers, running, publishes } = one;
    let (state, paint) = match (containers, running) {
        (0, _) => ("no containers".to_owned(), AnsiColors::Yellow),
        (all, 0) => (format!("stopped ({all})"), AnsiColors::Yellow),
        (all, some) if all == some => (format!("running ({all})"), AnsiColors::Green),
        (all, some) => (format!("{some} of {all} running"), AnsiColors::Yellow),
    };
    let file = file.as_deref().unwrap_or("unknown").to_owned();
    let cells = vec![name.clone(), state, file, publishes.join(", ")];
    Row { cells, state: 1, paint, hint: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_state_its_file_and_its_ports() {
        let of = |name: &str, file: Option<&str>, (running, containers), publishes: &[&str]| {
            let (name, file) = (name.to_owned(), file.map(str::to_owned));
            let publishes = publishes.iter().map(|&one| one.to_owned()).collect();
            Listed { name, file, containers, running, publishes }
        };
        let listed = [
            of("dev", Some("/home/ada/dev/topo.yaml"), (3, 3), &["127.0.0.1:10000-10009"]),
            of("shop", Some("/home/ada/shop/topo.yaml"), (0, 2), &[]),
            of(
                "team-with-a-long-name",
                Some("-"),
                (2, 4),
                &["0.0.0.0:443", "127.0.0.1:20000-20199"],
            ),
            of("torn", None, (0, 0), &[]),
        ];
        let text = render(&listed, Some(80));
        insta::assert_snapshot!(anstream::adapter::strip_str(&text).to_string());
        assert_eq!(render(&[], None), "This engine has no topology\n");
    }
}
