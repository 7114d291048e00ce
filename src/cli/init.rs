//! `topo init`

use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use clap::builder::PossibleValuesParser;

use super::schema;
use crate::engine::Failure;
use crate::error::{Error, Exit};
use crate::topology::TopologyName;
use crate::view::View;

/// Write a topology file to start from
///
/// Without `--from`, a small one with comments: it is named after its folder, and its ports are
/// free. The schema for editors is written beside it. An existing file is never overwritten.
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
const SCHEMA_FILE: &str = "topology.schema.json";
/// By it a YAML language server finds the schema.
const MODELINE: &str = "# yaml-language-server: $schema=topology.schema.json\n";

pub fn run(args: &Args, view: &mut dyn View) -> Result<Exit, Error> {
    let example =
        args.from.as_deref().and_then(|name| EXAMPLES.iter().find(|example| example.name == name));
    let folder = args.file.parent().unwrap_or(Path::new(""));
    let text = example.map_or_else(|| starter(&args.file), |example| example.text.to_owned());
    let mut files = vec![(args.file.clone(), MODELINE.to_owned() + &text)];
    for (name, text) in example.map_or(&[][..], |example| example.files) {
        files.push((folder.join(name), (*text).to_owned()));
    }
    let schema = folder.join(SCHEMA_FILE);
    if !schema.exists() {
        files.push((schema, schema::text()?));
    }

    if let Some((taken, _)) = files.iter().find(|(path, _)| path.exists()) {
        return Err(Error::refused(
            Failure::new(format!("`{}` already exists; nothing was written", taken.display()))
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
        "`topo diff {file}` shows what it would create, `topo apply {file}` creates it"
    ));
    Ok(Exit::Done)
}

fn starter(file: &Path) -> String {
    let (first, last) = free_ports();
    STARTER
        .replace("NAME", &name_after(file))
        .replace("FIRST", &first.to_string())
        .replace("LAST", &last.to_string())
}

/// The name of the file's folder as far as a topology can have it.
fn name_after(file: &Path) -> String {
    let file = std::path::absolute(file).unwrap_or_default();
    let folder = file.parent().and_then(Path::file_name).unwrap_or_default();
    let name = folder.to_string_lossy().to_lowercase();
    let valid: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(45).collect();
    let valid = valid.trim_matches('-');
    let fits = valid.parse::<TopologyName>().is_ok();
    if fits { valid.to_owned() } else { "dev".to_owned() }
}

/// The first of the usual blocks of ports on which nothing listens here.
fn free_ports() -> (u16, u16) {
    let is_free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    let mut blocks = (10000..20000).step_by(20).map(|first| (first, first + 19));
    blocks.find(|(first, last)| (*first..=*last).all(is_free)).unwrap_or((10000, 10019))
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::File::create_new(path)?.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topology_is_named_after_its_folder_as_far_as_it_can_be() {
        let named = |folder: &str| name_after(&Path::new(folder).join("topo.yaml"));
        assert_eq!(named("/src/web-shop"), "web-shop");
        assert_eq!(named("/src/Web Shop_2!"), "web-shop-2");
        assert_eq!(named("/src/日本"), "dev");
        assert_eq!(named("/"), "dev");
        assert!(named(&format!("/{}", "a.".repeat(80))).len() <= 45);
    }
}
