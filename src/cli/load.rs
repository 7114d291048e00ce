//! Reads the topology file for a command, and shows what is wrong with it.

use std::ffi::OsStr;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use super::variables::variable;
use crate::backend::host::Disk;
use crate::engine::Failure;
use crate::error::{Error, Exit};
use crate::templates::Templates;
use crate::topology::{self, Input, Loaded, Places, Problems, Topology};
use crate::view::{Sources, View};

/// The file that is read from standard input.
pub const STDIN: &str = "-";

/// The topology, or everything that is wrong with its file, which the view has then shown.
pub fn load(path: &Path, view: &mut dyn View) -> Result<Loaded, Error> {
    let loaded = load_openly(path, view)?;
    view.hide(&loaded.secrets);
    Ok(loaded)
}

/// As `load`, for a command that was asked to show secrets.
pub fn load_openly(path: &Path, view: &mut dyn View) -> Result<Loaded, Error> {
    let (sources, result) = check(path)?;
    match result {
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

/// The templates of topo's, and in place of some the user's own.
pub fn templates(topology: &Topology) -> Result<Templates, Error> {
    let Some(own) = &topology.templates else { return Ok(Templates::new(None)) };
    Templates::with_own(own.path()).map_err(|error| {
        let failure = Failure::new(error.to_string());
        Error::refused(failure.hint("`topo render templates` prints the templates that topo has"))
    })
}

/// What reading the file comes to, and its text to show what is wrong in it.
pub fn check(path: &Path) -> Result<(Sources, Result<Loaded, Problems>), Error> {
    let bytes = bytes(path).map_err(|error| unreadable(path, &error))?;
    let home = environment("HOME").map(PathBuf::from);
    let absolute = std::path::absolute(path).map_err(|error| unreadable(path, &error))?;
    let path = Path::new(name(path));
    let result = topology::load(&Input {
        path,
        folder: absolute.parent().unwrap_or(path),
        bytes: &bytes,
        vars: &variable,
        home: home.as_deref(),
        files: &Disk,
    });
    let sources = match String::from_utf8(bytes) {
        Ok(text) => Sources::default().with(path.display().to_string(), text),
        // Places in it count bytes that no text has.
        Err(_) => Sources::default(),
    };
    Ok((sources, result))
}

fn bytes(path: &Path) -> std::io::Result<Vec<u8>> {
    if path != Path::new(STDIN) {
        return std::fs::read(path);
    }
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What a file is called where something is said of it.
pub fn name(path: &Path) -> &OsStr {
    if path == Path::new(STDIN) { OsStr::new("<stdin>") } else { path.as_os_str() }
}

/// `topo.yaml:31:5`, of a key that the file has.
pub fn place(places: &Places, key: &str) -> Option<String> {
    places.has(key).then(|| {
        let place = places.key(key);
        format!("{}:{}:{}", place.file, place.line, place.column)
    })
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
