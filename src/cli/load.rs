//! Reads the topology file for a command, and shows what is wrong with it.

use std::path::{Path, PathBuf};

use crate::backend::host::Disk;
use crate::engine::Failure;
use crate::error::{Error, Exit};
use crate::resources::Variables;
use crate::topology::{self, Input, Loaded};
use crate::view::{Sources, View};

pub fn load(path: &Path, variable: &Variables, view: &mut dyn View) -> Result<Loaded, Error> {
    let bytes = std::fs::read(path).map_err(|error| unreadable(path, &error))?;
    let home = variable("HOME").map(PathBuf::from);
    let input = Input {
        path,
        bytes: &bytes,
        vars: &|name| variable(name),
        home: home.as_deref(),
        files: &Disk,
    };
    let sources =
        Sources::default().with(path.display().to_string(), String::from_utf8_lossy(&bytes));
    match topology::load(&input) {
        Ok(loaded) => {
            if !loaded.warnings.is_empty() {
                view.problems(&sources, &loaded.warnings);
            }
            Ok(loaded)
        }
        Err(problems) => {
            view.problems(&sources, &problems.0);
            Err(Error::shown(Exit::Refused))
        }
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    let failure = Failure::because(format!("cannot read `{}`", path.display()), error);
    Error::refused(if error.kind() == std::io::ErrorKind::NotFound {
        failure.hint("name the topology file, or go to its folder")
    } else {
        failure
    })
}
