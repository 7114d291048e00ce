//! What a script writes under headings: `@name`, then its lines.

use std::collections::HashMap;

use super::super::sight::{Dial, Look};
use crate::backend::docker::Docker;

pub type Sections = Vec<(String, String)>;

/// Runs a script, with arguments, in a container that topo made or in a node of its cluster.
pub async fn run(
    docker: &Docker,
    container: &str,
    script: &str,
    arguments: &[&str],
) -> Look<Sections> {
    let command = [&["sh", "-c", script, "topo"], arguments].concat();
    let output = docker.run(container, &command, futures::stream::empty()).await;
    let output = output.map_err(|error| error.to_string())?;
    let sections = read(&String::from_utf8_lossy(&output.stdout));
    if sections.iter().any(|(name, _)| name == "end") {
        return Ok(sections);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("the look into `{container}` was cut short: {}", said.trim()))
}

fn read(text: &str) -> Sections {
    let mut sections = Sections::new();
    for line in text.lines() {
        match (line.strip_prefix('@'), sections.last_mut()) {
            (Some(name), _) => sections.push((name.to_owned(), String::new())),
            (None, Some((_, body))) => {
                body.push_str(line);
                body.push('\n');
            }
            (None, None) => {}
        }
    }
    sections
}

/// By name; of several the last.
pub fn by_name(sections: &[(String, String)]) -> HashMap<&str, &str> {
    sections.iter().map(|(name, body)| (name.as_str(), body.as_str())).collect()
}

/// `124 ` or `1 bash: connect: Connection refused …`.
pub fn dial(text: &str) -> Dial {
    let (code, said) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    match code {
        "0" => Dial::Connected,
        // As `timeout` ends what it has ended, in coreutils and busybox.
        "124" | "143" => Dial::Silent,
        _ if said.contains("refused") => Dial::Refused,
        _ if said.contains("No route") || said.contains("unreachable") => Dial::NoRoute,
        _ if said.contains("timed out") => Dial::Silent,
        _ => Dial::Untried(said.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_read_by_its_headings() {
        let sections = read("stray\n@rules\na\nb\n@arp\n@end\n");
        let by_name = by_name(&sections);
        assert_eq!((by_name["rules"], by_name["arp"]), ("a\nb\n", ""));
        assert!(by_name.contains_key("end"));
    }

    #[test]
    fn a_dial_is_told_by_its_code_and_words() {
        assert_eq!(dial("0 \n"), Dial::Connected);
        assert_eq!(dial("124 \n"), Dial::Silent);
        let said = "1 dial: connect: Connection refused dial: line 1: /dev/tcp/10.0.0.1/80: Connection refused ";
        assert_eq!(dial(said), Dial::Refused);
        assert_eq!(dial("1 dial: connect: No route to host "), Dial::NoRoute);
        let without = dial("1 it has neither bash nor nc \n");
        assert_eq!(without, Dial::Untried("it has neither bash nor nc".to_owned()));
    }
}
