//! What the NFS server of this machine must be told: a line of its exports file, and on macOS its
//! settings. Only rendered and compared: what needs root is for the person to run.

use std::path::Path;

use crate::topology::{Access, NfsSystem};

/// One export of this machine's server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export<'a> {
    pub path: &'a Path,
    pub system: NfsSystem,
    /// Addresses, networks or names that may mount it.
    pub clients: Vec<String>,
    pub access: Access,
    /// Whose files its writers make; the client's own where there is none.
    pub squash: Option<(u32, u32)>,
    /// The fixed port of mountd, where version 3 needs one.
    pub mount_port: Option<u16>,
}

impl Export<'_> {
    /// The line of the exports file.
    pub fn line(&self) -> String {
        match self.system {
            NfsSystem::Linux => self.linux(),
            NfsSystem::Macos => self.macos(),
        }
    }

    fn linux(&self) -> String {
        let access = match self.access {
            Access::Rw => "rw",
            Access::Ro => "ro",
        };
        let squash = match self.squash {
            Some((uid, gid)) => format!("all_squash,anonuid={uid},anongid={gid}"),
            None => "no_root_squash".to_owned(),
        };
        // Pods and tunnels come from ports above 1023.
        let options = format!("{access},insecure,no_subtree_check,{squash}");
        let clients: Vec<String> =
            self.clients.iter().map(|client| format!("{client}({options})")).collect();
        format!("{} {}", escaped(self.path), clients.join(" "))
    }

    fn macos(&self) -> String {
        let mut words = vec![quoted(self.path), "-alldirs".to_owned()];
        words.extend((self.access == Access::Ro).then(|| "-ro".to_owned()));
        words.push(match self.squash {
            Some((uid, gid)) => format!("-mapall={uid}:{gid}"),
            None => "-maproot=root".to_owned(),
        });
        // A network has a form of its own there.
        for client in &self.clients {
            match client.split_once('/') {
                Some((network, length)) => words.push(format!("-network {network}/{length}")),
                None => words.push(client.clone()),
            }
        }
        words.join(" ")
    }

    /// The lines of nfs.conf that macOS needs; Linux needs none for these exports.
    pub fn settings(&self) -> Vec<String> {
        match (self.system, self.mount_port) {
            (NfsSystem::Macos, port) => [
                Some("nfs.server.mount.require_resv_port = 0".to_owned()),
                port.map(|port| format!("nfs.server.mount.port = {port}")),
            ]
            .into_iter()
            .flatten()
            .collect(),
            (NfsSystem::Linux, Some(port)) => vec!["[mountd]".to_owned(), format!("port={port}")],
            (NfsSystem::Linux, None) => Vec::new(),
        }
    }
}

/// As exports(5) of Linux wants it: what would end the path, or begin a comment, in octal.
fn escaped(path: &Path) -> String {
    path.to_string_lossy()
        .chars()
        .map(|c| match c {
            ' ' | '\t' | '"' | '#' | '\\' => format!("\\{:03o}", u32::from(c)),
            other => other.to_string(),
        })
        .collect()
}

/// As exports(5) of macOS wants it.
fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    if text.contains([' ', '\t', '"', '#', '\\', '\'']) {
        format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
    } else {
        text.into_owned()
    }
}

/// The entry for this path among the lines of exports files, in one way of writing it.
pub fn entry_of(path: &Path, files: &[String]) -> Option<String> {
    let path = path.to_string_lossy();
    files.iter().flat_map(|text| entries(text)).find_map(|words| {
        let (first, rest) = words.split_first()?;
        (*first == *path).then(|| {
            let mut rest = rest.to_vec();
            rest.sort_unstable();
            rest.join(" ")
        })
    })
}

/// The words of each entry, unquoted; comments and broken lines are no more.
fn entries(text: &str) -> Vec<Vec<String>> {
    let joined = text.replace("\\\n", " ");
    joined.lines().map(words).filter(|words| !words.is_empty()).collect()
}

fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut is_open, mut quoted) = (Vec::new(), String::new(), false, false);
    let mut rest = line.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '"' => {
                quoted = !quoted;
                is_open = true;
            }
            '\\' => {
                is_open = true;
                word.push(unescaped(&mut rest));
            }
            '#' if !quoted => break,
            c if c.is_whitespace() && !quoted => {
                if is_open {
                    words.push(std::mem::take(&mut word));
                }
                is_open = false;
            }
            c => {
                is_open = true;
                word.push(c);
            }
        }
    }
    if is_open {
        words.push(word);
    }
    words
}

/// What stands behind a backslash: three octal digits, or the character itself.
fn unescaped(rest: &mut std::iter::Peekable<std::str::Chars>) -> char {
    let digits: String = rest.clone().take(3).collect();
    let code = u8::from_str_radix(&digits, 8).ok().filter(|_| digits.len() == 3);
    match code {
        Some(code) => {
            rest.nth(2);
            char::from(code)
        }
        None => rest.next().unwrap_or('\\'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn export(path: &str, system: NfsSystem) -> Export<'_> {
        Export {
            path: Path::new(path),
            system,
            clients: vec!["172.22.0.0/16".to_owned()],
            access: Access::Rw,
            squash: Some((501, 20)),
            mount_port: None,
        }
    }

    #[test]
    fn each_system_has_a_line_of_its_own() {
        assert_eq!(
            export("/docs", NfsSystem::Linux).line(),
            "/docs 172.22.0.0/16(rw,insecure,no_subtree_check,all_squash,anonuid=501,anongid=20)"
        );
        let kept = Export {
            squash: None,
            access: Access::Ro,
            clients: vec!["127.0.0.1".to_owned()],
            ..export("/docs", NfsSystem::Linux)
        };
        assert_eq!(kept.line(), "/docs 127.0.0.1(ro,insecure,no_subtree_check,no_root_squash)");
        let mac = Export {
            clients: vec!["localhost".to_owned()],
            mount_port: Some(20048),
            ..export("/Users/me/docs", NfsSystem::Macos)
        };
        assert_eq!(mac.line(), "/Users/me/docs -alldirs -mapall=501:20 localhost");
        assert_eq!(
            mac.settings(),
            ["nfs.server.mount.require_resv_port = 0", "nfs.server.mount.port = 20048"]
        );
    }

    #[test]
    fn awkward_paths_stay_one_path() {
        for path in ["/a b", "/a#b", "/a\"b", "/a\\b", "/grün/文", "/a\tb", "/it's", "/a\\040b"] {
            for system in [NfsSystem::Linux, NfsSystem::Macos] {
                let line = export(path, system).line();
                assert!(!line.contains('\n'));
                let found = entry_of(Path::new(path), std::slice::from_ref(&line));
                assert!(found.is_some(), "{path} in {line}");
                assert_eq!(words(&line)[0], path, "{line}");
            }
        }
        assert_eq!(
            export("/my docs#1", NfsSystem::Linux).line().split(' ').next(),
            Some("/my\\040docs\\0431")
        );
    }

    #[test]
    fn an_entry_is_the_same_however_it_is_written() {
        let ours = export("/docs", NfsSystem::Linux).line();
        let spread = ours.replacen(' ', " \\\n   ", 1) + " # mine";
        let path = Path::new("/docs");
        let files =
            |text: &str| vec!["# nothing here\n".to_owned(), format!("/other *(ro)\n{text}\n")];
        assert_eq!(entry_of(path, &files(&ours)), entry_of(path, &files(&spread)));
        let changed = ours.replace("rw,", "ro,");
        assert_ne!(entry_of(path, &files(&ours)), entry_of(path, &files(&changed)));
        assert_eq!(entry_of(path, &files("/docs2 *(rw)")), None);
    }
}
