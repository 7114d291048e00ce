//! Reads the topology file for a command.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::backend::host::HostFiles;
use crate::engine::Failure;
use crate::error::{Error, Exit};
use crate::resources::Variables;
use crate::topology::{self, Input, Problems, Topology};
use crate::view::{Sources, View};

pub struct Loaded {
    pub topology: Topology,
    pub places: Places,
}

/// Where keys of the file stand; nowhere, if there is no file.
#[derive(Debug, Default)]
pub struct Places(Option<topology::Places>);

impl Places {
    /// As a plan shows it: `topo.yaml:31:5`.
    pub fn find(&self, key: &str) -> Option<String> {
        let places = self.0.as_ref().filter(|places| places.has(key))?;
        let place = places.find(key);
        Some(format!("{}:{}:{}", place.file, place.line, place.column))
    }
}

/// The topology, or everything that is wrong with its file, which the view has then shown.
pub fn load(path: &Path, variable: &Variables, view: &mut dyn View) -> Result<Loaded, Error> {
    let (sources, result) = check(path, variable)?;
    match result {
        Ok(loaded) => {
            view.hide(&loaded.secrets);
            if !loaded.warnings.is_empty() {
                view.problems(&sources, &loaded.warnings);
            }
            Ok(Loaded { topology: loaded.topology, places: Places(Some(loaded.places)) })
        }
        Err(problems) => {
            view.problems(&sources, &problems.0);
            Err(Error::shown(Exit::Refused))
        }
    }
}

/// What reading the file comes to, and its text to show what is wrong in it.
pub fn check(
    path: &Path,
    variable: &Variables,
) -> Result<(Sources, Result<topology::Loaded, Problems>), Error> {
    let bytes = std::fs::read(path).map_err(|error| unreadable(path, &error))?;
    let home = variable("HOME").map(PathBuf::from);
    let result = topology::load(&Input {
        path,
        bytes: &bytes,
        vars: &|name| variable(name),
        home: home.as_deref(),
        files: &HostFiles,
    });
    let sources = match String::from_utf8(bytes) {
        Ok(text) => Sources::default().with(path.display().to_string(), text),
        Err(_) => Sources::default(),
    };
    Ok((sources, result))
}

/// The environment of this process.
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    let failure = Failure::because(format!("cannot read `{}`", path.display()), error);
    Error::refused(match error.kind() {
        ErrorKind::NotFound => {
            failure.hint("name the topology file, or make one here with `topo init`")
        }
        ErrorKind::IsADirectory => failure
            .hint(format!("name a file in it, such as `{}`", path.join("topo.yaml").display())),
        _ => failure,
    })
}
