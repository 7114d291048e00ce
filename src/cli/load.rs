//! Reads the topology file for a command.

use std::path::Path;

use crate::error::Error;
use crate::resources::Variables;
use crate::topology::Topology;
use crate::view::View;

pub struct Loaded {
    pub topology: Topology,
    pub places: Places,
}

/// Where keys of the file stand.
#[derive(Debug, Default)]
pub struct Places;

impl Places {
    pub fn find(&self, _key: &str) -> Option<String> {
        None
    }
}

pub fn load(path: &Path, _variable: &Variables, _view: &mut dyn View) -> Result<Loaded, Error> {
    let failed = |error: &(dyn std::error::Error + 'static)| {
        Error::because(format!("cannot read `{}`", path.display()), error)
    };
    let text = std::fs::read_to_string(path).map_err(|error| failed(&error))?;
    let topology = serde_yaml::from_str(&text).map_err(|error| failed(&error))?;
    Ok(Loaded { topology, places: Places })
}
