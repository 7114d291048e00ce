//! `topo render`

use clap::ValueEnum;

use super::args::FileOption;
use super::load;
use super::variables::variable;
use crate::backend::docker::{Docker, Snapshot, Surroundings, candidates};
use crate::backend::download::Downloads;
use crate::backend::host::{StateError, StateFolder};
use crate::backend::machine::Machine;
use crate::engine::Failure;
use crate::error::{Error, Exit};
use crate::plan::SecretKey;
use crate::resources::{self, Content, Ground, Ingredients, Objects, Part, Rendered, render};
use crate::templates;
use crate::topology::Topology;
use crate::view::View;

/// Print what topo would hand to other programs
///
/// The kind configuration, MetalLB's pools, the objects of the manifests, the gateway's files, what
/// shares need of the cluster and of NFS servers, the tunnels' ssh settings and the connector's, as
/// far as they are known before anything is made. Needs no cluster, and no engine: where one answers,
/// its networks are among the connector's routes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to print; everything if left out
    #[arg(value_enum, value_name = "WHAT")]
    what: Option<What>,
    #[command(flatten)]
    file: FileOption,
    /// Print Secrets and sensitive values too
    #[arg(long)]
    show_secrets: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum What {
    /// The configuration that kind is given
    Kind,
    /// MetalLB's pools and how they are announced
    Metallb,
    /// The objects of the manifests, templates filled in
    Manifests,
    /// What the gateway's image is built from, and the files put into it
    Gateway,
    /// Volumes and claims of shares
    Shares,
    /// The lines that this machine's exports file needs for shares
    Exports,
    /// The lines that this machine's nfs.conf needs for shares
    #[value(name = "nfs.conf")]
    NfsConf,
    /// What the NFS server's image is built from, and the files put into it
    Ganesha,
    /// The settings that each tunnel's ssh is run with
    SshConfig,
    /// The settings of docker-connector on the host
    Connector,
    /// The templates that a folder of your own can replace, as topo has them
    Templates,
}

pub async fn run(args: &Args, view: &mut dyn View) -> Result<Exit, Error> {
    if matches!(args.what, Some(What::Templates)) {
        for (name, text) in templates::built_in() {
            view.data(&format!("# ---- {name}\n{text}"));
        }
        return Ok(Exit::Done);
    }
    let loaded = if args.show_secrets {
        load::load_openly(&args.file.path(), view)?
    } else {
        load::load(&args.file.path(), view)?
    };
    let topology = &resources::settle(loaded.topology, &Ground::nowhere())?.topology;
    let downloads = Downloads::of(&load::environment);
    let place = |key: &str| load::place(&loaded.places, key);
    let objects = Objects::read(Some(topology), &downloads, &variable)
        .await
        .map_err(|objections| objections.failure(&place))?;
    objects.manifests.left_out.iter().for_each(|hook| view.note(hook));
    let machine = engines_machine().await?;
    let state = match StateFolder::of(topology.name.as_str(), &load::environment) {
        Err(StateError::Homeless) => None,
        state => Some(state.map_err(|error| {
            Error::because("cannot tell where the topology's state is", &error)
        })?),
    };
    let ingredients = Ingredients {
        topology,
        objects: &objects,
        templates: &load::templates(topology)?,
        claim: None,
        snapshot: &networks(topology, view).await,
        machine: machine.as_ref(),
        state: state.as_ref(),
        key: &SecretKey::new(b""),
    };

    let parts = args.what.and_then(What::part).map_or(Part::ALL.to_vec(), |part| vec![part]);
    let mut files = Vec::new();
    for part in parts {
        files.extend(render(&ingredients, part, args.show_secrets)?);
    }
    for file in &files {
        // A single file is printed alone, fit to be handed on by a pipe.
        view.data(&text(file, files.len() > 1)?);
    }
    Ok(Exit::Done)
}

/// Where the engine would be, as far as the environment names it.
async fn engines_machine() -> Result<Option<Machine>, Error> {
    let named = candidates(&Surroundings::read(load::environment))
        .map_err(|error| Error::because("cannot tell which Docker engine is meant", &error))?;
    match named.as_slice() {
        [endpoint] => Ok(Machine::of(endpoint).await),
        _ => Ok(None),
    }
}

fn text(file: &Rendered, titled: bool) -> Result<String, Failure> {
    let title = if titled { format!("# ---- {}\n", file.name) } else { String::new() };
    Ok(title
        + &match &file.content {
            Content::Text(text) => text.clone(),
            Content::Objects(objects) => objects
                .iter()
                .map(|object| {
                    serde_saphyr::to_string(object)
                        .map(|yaml| format!("---\n{yaml}"))
                        .map_err(|error| Failure::because("cannot write YAML", &error))
                })
                .collect::<Result<String, Failure>>()?,
        })
}

/// What the engine has, for the connector alone; nothing where none answers.
async fn networks(topology: &Topology, view: &mut dyn View) -> Snapshot {
    if topology.connector.is_none() {
        return Snapshot::default();
    }
    let look = async {
        let docker = Docker::connect(&Surroundings::read(load::environment)).await?;
        docker.snapshot().await
    };
    look.await.unwrap_or_else(|_| {
        view.note("no engine answers, so the connector's routes lack the networks that it has");
        Snapshot::default()
    })
}

impl What {
    /// None for what is not made of a topology.
    fn part(self) -> Option<Part> {
        match self {
            Self::Kind => Some(Part::Kind),
            Self::Metallb => Some(Part::Metallb),
            Self::Manifests => Some(Part::Manifests),
            Self::Gateway => Some(Part::Gateway),
            Self::Shares => Some(Part::Shares),
            Self::Exports => Some(Part::Exports),
            Self::NfsConf => Some(Part::NfsConf),
            Self::Ganesha => Some(Part::Ganesha),
            Self::SshConfig => Some(Part::SshConfig),
            Self::Connector => Some(Part::Connector),
            Self::Templates => None,
        }
    }
}
