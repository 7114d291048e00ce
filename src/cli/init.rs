//! `topo init`

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::builder::PossibleValuesParser;

use crate::engine::Failure;
use crate::error::{Error, Exit};
use crate::view::View;

/// Write a topology file to start from
///
/// Without `--from`, a small one with comments. What exists already is never written over.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to write it
    #[arg(value_name = "FILE", default_value = "topo.yaml")]
    file: PathBuf,
    /// Start from one of topo's examples, with the manifests it names
    #[arg(long, value_name = "EXAMPLE", value_parser = PossibleValuesParser::new(NAMES))]
    from: Option<String>,
}

/// A topology that comes with topo, and the files it names.
struct Example {
    name: &'static str,
    text: &'static str,
    files: &'static [(&'static str, &'static str)],
}

macro_rules! examples {
    ($($name:literal: [$($file:literal),* $(,)?]),+ $(,)?) => {
        const NAMES: &[&str] = &[$($name),+];

        const EXAMPLES: &[Example] = &[$(Example {
            name: $name,
            text: include_str!(concat!("../../topologies/", $name, ".yaml")),
            files: &[$(($file, include_str!(concat!("../../topologies/", $file)))),*],
        }),+];
    };
}

examples! {
    "hello": ["manifests/hello.yaml.j2"],
    "dev-gateway": ["manifests/fedora-dev.yaml.j2"],
    "remote-engine": ["manifests/far-web.yaml.j2"],
    "share-ssh": ["manifests/share-ssh.yaml.j2", "docs/hello.txt"],
    "everything": [
        "manifests/web.yaml.j2",
        "manifests/everything.yaml.j2",
        "manifests/workloads.yaml.j2",
        "manifests/check.yaml.j2",
    ],
    "existing-cluster": ["manifests/hello.yaml.j2"],
    "ha": ["manifests/hello.yaml.j2"],
    "http-proxy": ["manifests/web.yaml.j2"],
    "nested": ["manifests/nested.yaml.j2", "nested/Dockerfile"],
    "node-port": ["manifests/node-port.yaml.j2"],
    "routed-host": ["manifests/web.yaml.j2"],
    "two-teams-a": ["manifests/hello.yaml.j2"],
    "two-teams-b": ["manifests/hello.yaml.j2"],
    "workloads": ["manifests/workloads.yaml.j2", "manifests/check.yaml.j2"],
    "share-external": ["manifests/writers.yaml.j2"],
    "share-host": ["manifests/writers.yaml.j2", "docs/hello.txt"],
    "share-mount": ["manifests/writers.yaml.j2", "docs/hello.txt"],
    "share-server": ["manifests/writers.yaml.j2", "docs/hello.txt"],
}

const STARTER: &str = include_str!("../../templates/topo.yaml");

pub fn run(args: &Args, view: &mut dyn View) -> Result<Exit, Error> {
    let example =
        args.from.as_deref().and_then(|name| EXAMPLES.iter().find(|example| example.name == name));
    let folder = args.file.parent().unwrap_or(Path::new(""));
    let mut files = vec![(args.file.clone(), example.map_or(STARTER, |example| example.text))];
    for (name, text) in example.map_or(&[][..], |example| example.files) {
        files.push((folder.join(name), text));
    }

    if let Some((taken, _)) = files.iter().find(|(path, _)| path.exists()) {
        return Err(Error::refused(
            Failure::new(format!("`{}` exists already, and nothing was written", taken.display()))
                .hint("name another file, as in `topo init other/topo.yaml`"),
        ));
    }
    for (path, text) in &files {
        write(path, text).map_err(|error| {
            Error::because(format!("cannot write `{}`", path.display()), &error)
        })?;
        view.note(&format!("wrote `{}`", path.display()));
    }
    let file = args.file.display();
    view.note(&format!(
        "`topo apply {file}` makes it, `topo diff {file}` shows what that would do"
    ));
    Ok(Exit::Done)
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::File::create_new(path)?.write_all(text.as_bytes())
}
