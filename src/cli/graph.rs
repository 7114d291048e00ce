//! `topo graph`

use std::collections::HashMap;

use clap::ValueEnum;

use super::session::{Planned, Purpose, Session, Wanted, Which};
use super::{FileArgs, load, offline, status};
use crate::backend::download::Downloads;
use crate::error::{Error, Exit};
use crate::plan::{
    self, Action, GraphError, Id, Item, PlanError, Request, Resource, SecretKey, World,
};
use crate::resources;
use crate::topology::Loaded;
use crate::view::graph::{Format, Mark, Picture, Tint, Told};
use crate::view::{Health, ResourceStatus, View};

/// Draw which resource needs which
///
/// Pictures are drawn by topo itself: `topo graph --format svg > topology.svg`. Needs no engine and no
/// cluster, unless `--live` or `--plan` asks how things are.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    file: FileArgs,
    /// What to draw it as
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "text")]
    format: FormatName,
    /// Mark each resource with how it is now
    #[arg(long)]
    live: bool,
    /// Mark each resource with what `topo apply` would do to it
    #[arg(long, conflicts_with = "live")]
    plan: bool,
    /// Draw every Kubernetes object, not one box for each manifest
    #[arg(long)]
    objects: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FormatName {
    /// A tree for the terminal, of every object
    Text,
    /// For Graphviz
    Dot,
    /// For Markdown on GitHub and GitLab
    Mermaid,
    /// A drawing
    Svg,
    /// A page to zoom, search and click in
    Html,
}

/// A picture of every resource, and the manifest that each object is of.
pub struct Drawn {
    pub picture: Picture,
    pub manifests: HashMap<Id, Id>,
}

/// What the marks of a picture tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marks {
    Live,
    Plan,
}

pub async fn run(args: &Args, view: &mut dyn View) -> Result<Exit, Error> {
    let marks = if args.plan { Marks::Plan } else { Marks::Live };
    let drawn = if args.live || args.plan {
        let which = Which::File(args.file.path());
        let session = Session::open(which, Purpose::Look, "topo graph", view).await?;
        session.check_claims(true)?;
        marked(&session, &session.plan(Wanted::default()).await?, marks).await?
    } else {
        from_file(args, view).await?
    };
    let Drawn { picture, manifests } = drawn;
    let whole = args.objects || args.format == FormatName::Text;
    let picture = if whole { picture } else { picture.with_manifests(&manifests) };
    view.graph(&picture, args.format.into());
    Ok(Exit::Done)
}

async fn from_file(args: &Args, view: &mut dyn View) -> Result<Drawn, Error> {
    let Loaded { topology, places, .. } = load::load(&args.file.path(), view)?;
    let name = topology.name.to_string();
    let place = |key: &str| load::place(&places, key);
    let desired = offline::desired(topology.clone(), &Downloads::of(&load::environment))
        .await?
        .map_err(|objections| objections.failure(&place))?;
    let told = told(&name, &desired.resources, &place)?;
    let of = |id: &Id| told.get(id).cloned().unwrap_or_default();
    Ok(Drawn {
        picture: Picture::of(name, &desired.resources, of).map_err(PlanError::from)?,
        manifests: resources::members_of_manifests(&topology, &desired.objects),
    })
}

/// What the file says of each: as it would be created where nothing is yet.
fn told(
    topology: &str,
    desired: &[Resource],
    places: &dyn Fn(&str) -> Option<String>,
) -> Result<HashMap<Id, Told>, PlanError> {
    let created = plan::plan(&Request {
        topology,
        desired,
        world: &World::default(),
        tables: &resources::table,
        places,
        key: &SecretKey::new(b""),
        replace: &[],
        take: &[],
    })?;
    Ok(created.items.iter().map(|item| (item.id.clone(), Told::of(item))).collect())
}

/// With how each resource is, or what would be done to it, of one look.
pub async fn marked(session: &Session, planned: &Planned, marks: Marks) -> Result<Drawn, Error> {
    let Planned { plan, desired, world } = planned;
    let mut desired = desired.clone();
    let told = told(session.name(), &desired, &|key| session.place(key))?;
    let items: HashMap<&Id, &Item> = plan.items.iter().map(|item| (&item.id, item)).collect();
    let of = |id: &Id| {
        let told = told.get(id).cloned().unwrap_or_default();
        let mark = items.get(id).map(|item| match marks {
            Marks::Plan => will_be(item),
            Marks::Live => is_now(status::resource(item, world)),
        });
        Told { mark, ..told }
    };
    let picture = {
        let kept = desired.len();
        desired.extend(leaving(&plan.items, &desired));
        Picture::of(session.name(), &desired, of).or_else(|error| match error {
            // What leaves may have needed what needs the like of it now.
            GraphError::Cycle(_) => {
                desired[kept..].iter_mut().for_each(|gone| gone.bonds.clear());
                Picture::of(session.name(), &desired, of)
            }
            other => Err(other),
        })
    };
    let manifests = match &session.topology {
        Some(topology) => {
            resources::members_of_manifests(topology, &*session.cx().objects().await?)
        }
        None => HashMap::new(),
    };
    Ok(Drawn { picture: picture.map_err(PlanError::from)?, manifests })
}

/// What is there and no longer asked for, with its needs of what is drawn.
fn leaving(items: &[Item], desired: &[Resource]) -> Vec<Resource> {
    let is_desired = |id: &Id| desired.iter().any(|resource| resource.id == *id);
    let goes = |item: &&Item| item.action == Action::Delete && !is_desired(&item.id);
    let gone: Vec<&Item> = items.iter().filter(goes).collect();
    let is_drawn = |id: &Id| is_desired(id) || gone.iter().any(|item| item.id == *id);
    let drawn = gone.iter().filter_map(|item| {
        let mut resource = Resource::new(item.id.clone(), resources::table(item.id.kind())?);
        resource.bonds = item.bonds.iter().filter(|bond| is_drawn(bond.id())).cloned().collect();
        Some(resource)
    });
    drawn.collect()
}

fn will_be(item: &Item) -> Mark {
    let tint = match item.action {
        Action::None | Action::Deferred => Tint::Quiet,
        Action::Create => Tint::Good,
        Action::Update | Action::Start | Action::Stop => Tint::Uneasy,
        Action::Replace | Action::Delete | Action::Blocked => Tint::Bad,
    };
    let word = if item.action == Action::None { "unchanged" } else { item.action.word() };
    Mark { word, tint, why: item.why.clone() }
}

fn is_now(now: ResourceStatus) -> Mark {
    let tint = match now.state {
        Health::Ready => Tint::Good,
        Health::Degraded | Health::Stopped => Tint::Uneasy,
        Health::Missing => Tint::Bad,
        Health::Unknown => Tint::Quiet,
    };
    Mark { word: now.state.word(), tint, why: now.detail }
}

impl From<FormatName> for Format {
    fn from(name: FormatName) -> Self {
        match name {
            FormatName::Text => Self::Text,
            FormatName::Dot => Self::Dot,
            FormatName::Mermaid => Self::Mermaid,
            FormatName::Svg => Self::Svg,
            FormatName::Html => Self::Html,
        }
    }
}
