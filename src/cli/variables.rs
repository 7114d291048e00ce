//! The variables that fill `${NAME}` in a topology file: the environment's, and those that the command
//! line gives.

use std::collections::HashMap;
use std::path::Path;
use std::sync::OnceLock;

use super::load::environment;
use crate::engine::Failure;
use crate::error::Error;

/// The process has one command line, as it has one environment.
static GIVEN: OnceLock<Given> = OnceLock::new();

/// What the command line gives.
#[derive(Debug, Default)]
struct Given {
    /// Wins over the environment.
    named: HashMap<String, String>,
    /// Used where the environment has nothing.
    filed: HashMap<String, String>,
}

/// Takes what the command line gives, before any file is read.
pub fn give(named: &[(String, String)], files: &[impl AsRef<Path>]) -> Result<(), Error> {
    let mut given = Given { named: named.iter().cloned().collect(), ..Given::default() };
    for file in files {
        given.filed.extend(read(file.as_ref())?);
    }
    GIVEN.get_or_init(|| given);
    Ok(())
}

/// A variable of the topology file.
pub fn variable(name: &str) -> Option<String> {
    let given = GIVEN.get();
    let named = given.and_then(|given| given.named.get(name).cloned());
    named.or_else(|| environment(name)).or_else(|| given?.filed.get(name).cloned())
}

fn read(file: &Path) -> Result<Vec<(String, String)>, Error> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Error::because(format!("cannot read `{}`", file.display()), &error))?;
    let lines = text.lines().zip(1..).filter(|(line, _)| {
        let line = line.trim();
        !line.is_empty() && !line.starts_with('#')
    });
    lines
        .map(|(line, number)| {
            assignment(line.trim().trim_start_matches("export ")).map_err(|why| {
                let failure = Failure::new(format!("{}:{number}: {why}", file.display()));
                Error::refused(failure.hint("write one `NAME=VALUE` on each line"))
            })
        })
        .map(|read| read.map(|(name, value)| (name, unquoted(&value).to_owned())))
        .collect()
}

/// `NAME=VALUE`
pub fn assignment(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("`{text}` has no `=`"))?;
    let name: crate::topology::VariableName = name
        .trim()
        .parse()
        .map_err(|error| format!("`{name}` cannot be the name of a variable: {error}"))?;
    Ok((name.to_string(), value.to_owned()))
}

/// Without the quotes around the whole of it, as shells read such a file.
fn unquoted(value: &str) -> &str {
    let value = value.trim();
    let inside = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    inside('"').or_else(|| inside('\'')).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_variables_is_read_as_shells_read_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("dev.env");
        let text = "# ours\n\nWORKERS=2\nexport NAME=\"a b\"\n QUOTED='x=y' \nEMPTY=\n";
        std::fs::write(&file, text).expect("written");
        let pairs = [("WORKERS", "2"), ("NAME", "a b"), ("QUOTED", "x=y"), ("EMPTY", "")];
        let wanted: Vec<(String, String)> =
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        assert_eq!(read(&file).expect("read"), wanted);
    }

    #[test]
    fn what_is_no_assignment_is_refused() {
        for text in ["NAME", "=x", "1A=x", "A B=x"] {
            assert!(assignment(text).is_err(), "{text}");
        }
    }
}
