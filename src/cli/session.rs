//! A topology opened for a command: its file, its engine, its claim, and the plan made from them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::load::{self, STDIN};
use super::variables::variable;
use crate::backend::docker::{self, Docker, Snapshot, Surroundings};
use crate::backend::download::Downloads;
use crate::backend::host::{Kubeconfig, Lock, StateError, StateFolder};
use crate::engine::Failure;
use crate::error::Error;
use crate::plan::{Id, NotOne, Plan, PlanError, Request, Resource, SecretKey, World};
use crate::resources::{
    self, Claim, Claims, Context, Existing, Ground, Hands, Held, Ingredients, Inventory,
};
use crate::templates::Templates;
use crate::topology::{Cluster, Loaded, Places, Topology, TopologyName, nearest};
use crate::view::View;

/// The state folder's file with the key that secrets are hashed with.
const KEY: &str = "key";
const KEY_LENGTH: usize = 32;

/// How often a held lock is tried again.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// The command that holds the lock for a look at a time.
pub const WATCH: &str = "topo watch";

/// Which topology a command is about.
pub enum Which<'a> {
    File(PathBuf),
    /// Its file is gone; what is claimed on the engine speaks for it.
    Name(&'a str),
}

/// What a command means to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    Look,
    /// Holds the topology's lock until the session ends.
    Change,
}

pub struct Session {
    pub hands: Arc<Hands>,
    pub topology: Option<Arc<Topology>>,
    pub claims: Claims,
    /// Listed once for claims, plan and status.
    snapshot: Snapshot,
    /// The topology file as an absolute path, unless it came from standard input.
    file: Option<PathBuf>,
    places: Option<Places>,
    /// Another run has kept something of this topology here, if only what a destroy removes last.
    is_kept_here: bool,
}

/// A plan with what it was made from, which carrying it out needs again.
pub struct Planned {
    pub plan: Plan,
    pub desired: Vec<Resource>,
    pub world: World,
}

/// What a command is about, before the engine is looked at.
struct Subject {
    name: String,
    file: Option<PathBuf>,
    topology: Option<Topology>,
    places: Option<Places>,
    templates: Templates,
}

impl Subject {
    fn read(path: &Path, loaded: Loaded) -> Result<Self, Error> {
        let Loaded { topology, places, .. } = loaded;
        Ok(Self {
            name: topology.name.to_string(),
            file: Some(absolute(path)?),
            templates: load::templates(&topology)?,
            topology: Some(topology),
            places: Some(places),
        })
    }

    fn named(name: &str) -> Result<Self, Error> {
        topology_name(name)?;
        let (name, templates) = (name.to_owned(), Templates::new(None));
        Ok(Self { name, file: None, topology: None, places: None, templates })
    }

    fn kept(&self, purpose: Purpose) -> Result<Kept, Error> {
        let state = match StateFolder::of(&self.name, &load::environment) {
            // A look writes nothing, so it needs no place for that.
            Err(StateError::Homeless) if purpose == Purpose::Look => StateFolder::usual(&self.name),
            state => {
                state.map_err(|error| Error::because("cannot keep the topology's state", &error))?
            }
        };
        Ok(Kept { is_kept_here: state.is_there(), state, lock: None, purpose })
    }
}

/// What this machine keeps of it, and what for it is looked at.
struct Kept {
    state: StateFolder,
    /// Before this run kept anything.
    is_kept_here: bool,
    lock: Option<Lock>,
    purpose: Purpose,
}

impl Session {
    pub async fn open(
        which: Which<'_>,
        purpose: Purpose,
        command: &str,
        view: &mut dyn View,
    ) -> Result<Self, Error> {
        let subject = match which {
            Which::File(path) => Subject::read(&path, load::load(&path, view)?)?,
            Which::Name(name) => Subject::named(name)?,
        };
        let mut kept = subject.kept(purpose)?;
        if purpose == Purpose::Change {
            kept.lock = Some(take_lock(&kept.state, command, view).await?);
        }
        let (docker, snapshot) = reach_engine().await?;
        Self::of(subject, kept, docker, snapshot, view)
    }

    /// A look at what is up of a file that has been read, on an engine that has been listed.
    pub fn on(
        path: &Path,
        loaded: Loaded,
        docker: Docker,
        snapshot: Snapshot,
        view: &mut dyn View,
    ) -> Result<Self, Error> {
        let subject = Subject::read(path, loaded)?;
        let kept = subject.kept(Purpose::Look)?;
        Self::of(subject, kept, docker, snapshot, view)
    }

    fn of(
        subject: Subject,
        kept: Kept,
        docker: Docker,
        snapshot: Snapshot,
        view: &mut dyn View,
    ) -> Result<Self, Error> {
        let Subject { name, file, topology, places, templates } = subject;
        let Kept { state, is_kept_here, lock, purpose } = kept;
        let claims = Claims::read(&snapshot);
        let claim = claims.of(&name).cloned();
        let ground = Ground {
            claim: claim.as_ref(),
            snapshot: &snapshot,
            remote: docker.endpoint().remote_host(),
        };
        let topology = match topology {
            Some(topology) => Some(Arc::new(settle(topology, &ground, view)?)),
            None => None,
        };
        let key = secret_key(&state, purpose)?;
        let existing = match &topology {
            Some(topology) => Existing::named(topology),
            None => claim.as_ref().and_then(|claim| claim.existing.clone()),
        };
        let context = Context {
            inventory: inventory(&name, topology.as_deref(), existing.as_ref()).into(),
            existing,
            file: topology.clone(),
            docker,
            state,
            kubeconfig: Kubeconfig::of(&load::environment),
            key,
            templates,
            downloads: Downloads::of(&load::environment),
            variable: Arc::new(variable),
            held: Held::of(claim, lock),
            name,
        };
        let hands = Arc::new(Hands(context));
        Ok(Self { hands, topology, claims, snapshot, file, places, is_kept_here })
    }

    pub fn cx(&self) -> &Context {
        &self.hands.0
    }

    pub fn name(&self) -> &str {
        &self.cx().name
    }

    /// Whether any run has left word of this topology, on the engine or here.
    pub fn is_known(&self) -> bool {
        self.is_kept_here || self.claims.knows(self.name())
    }

    /// Of a name of which no run has left word.
    pub fn not_found(&self, command: &str) -> Error {
        let name = self.name();
        let failure = Failure::new(format!("no resources found for `{name}`"));
        let known: Vec<&str> = self.claims.topologies().collect();
        Error::refused(match nearest::to(name, known.iter().copied()) {
            Some(near) => failure.hint(format!("did you mean `topo {command} --name {near}`?")),
            None if known.is_empty() => failure.note("this engine has no topology"),
            None => failure.note(format!("this engine has {}", nearest::list(&known))),
        })
    }

    /// What the engine had when the session was opened.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// What another topology, another file or a newer topo has said about this name and its addresses.
    pub fn check_claims(&self, moved: bool) -> Result<(), Error> {
        if let Some(format) = self.claims.newer.get(self.name()) {
            return Err(Error::refused(
                Failure::new(format!(
                    "topology `{}` was applied by a newer topo (claim format {format})",
                    self.name()
                ))
                .hint("use the newer topo for this topology"),
            ));
        }
        if let Some((volume, why)) = self.claims.unreadable.get(self.name()) {
            return Err(Error::refused(
                Failure::new(format!(
                    "the claim of topology `{}`, the volume `{volume}`, cannot be read: {why}",
                    self.name()
                ))
                .hint("without it topo cannot tell what is its own; remove the volume and what the topology made by hand"),
            ));
        }
        let Some(claim) = self.claims.of(self.name()) else { return Ok(()) };
        let Some(file) = &self.file else { return Ok(()) };
        let has_path = |file: &Path| file != Path::new(STDIN);
        let is_other = Path::new(&claim.file) != file;
        if !moved && is_other && has_path(file) && has_path(Path::new(&claim.file)) {
            return Err(Error::refused(
                Failure::new(format!(
                    "topology `{}` was applied from another file, `{}`",
                    self.name(),
                    claim.file
                ))
                .hint("if the file has moved here, say so with `--moved`; otherwise give this topology another `name`"),
            ));
        }
        Ok(())
    }

    /// One look at the world.
    pub async fn look(&self) -> Result<World, Error> {
        let looked = resources::observe(self.cx(), &self.snapshot).await;
        looked.map_err(|failure| or_cut_off(failure.into(), &self.cx().docker))
    }

    /// After something has changed, so that the next plan is made from how it is now.
    pub async fn look_afresh(&mut self) -> Result<(), Error> {
        self.snapshot = self.cx().snapshot().await?;
        Ok(())
    }

    /// One look at the world, and what would be done about it.
    pub async fn plan(&self, wanted: Wanted<'_>) -> Result<Planned, Error> {
        self.make_plan(wanted).await.map_err(|error| or_cut_off(error, &self.cx().docker))
    }

    async fn make_plan(&self, wanted: Wanted<'_>) -> Result<Planned, Error> {
        if wanted.force_conflicts {
            self.cx().force_conflicts();
        }
        let world = resources::observe(self.cx(), &self.snapshot).await?;
        let desired = match (&self.topology, wanted.nothing) {
            (Some(topology), false) => {
                let objects = self.cx().objects().await?;
                resources::desired(&Ingredients {
                    topology,
                    objects: &objects,
                    templates: &self.cx().templates,
                    claim: self.claims.of(self.name()),
                    snapshot: &self.snapshot,
                    machine: self.cx().machine().await,
                    state: Some(&self.cx().state),
                    key: &self.cx().key,
                })
                .map_err(|objections| objections.failure(&|key| self.place(key)))?
            }
            _ => Vec::new(),
        };
        let found = |typed: &String| Id::find(typed, desired.iter().map(|resource| &resource.id));
        let replace = wanted.replace.iter().map(found).collect::<Result<Vec<Id>, NotOne>>()?;
        let take = wanted.take.iter().map(found).collect::<Result<Vec<Id>, NotOne>>()?;
        let mut plan = crate::plan::plan(&Request {
            topology: self.name(),
            desired: &desired,
            world: &world,
            tables: &resources::table,
            places: &|key| self.place(key),
            key: &self.cx().key,
            replace: &replace,
            take: &take,
        })
        .map_err(|error| self.unplanned(error, &desired))?;
        resources::explain(self.cx(), &mut plan, &desired, &world).await?;
        if !wanted.target.is_empty() {
            let targets = wanted
                .target
                .iter()
                .map(|typed| Id::find(typed, plan.items.iter().map(|item| &item.id)))
                .collect::<Result<Vec<Id>, NotOne>>()?;
            plan = plan.only(&targets, &desired, &world);
        }
        Ok(Planned { plan, desired, world })
    }

    /// Says what a person should know before the plan is carried out.
    pub async fn warn(&self, plan: &Plan, view: &mut dyn View) -> Result<(), Error> {
        let warnings = resources::foresee(self.cx(), plan, &self.snapshot).await;
        for warning in warnings.map_err(Error::refused)? {
            view.warning(&warning);
        }
        let objects = self.cx().objects().await?;
        let topology = self.topology.as_deref();
        if let Some(warning) = topology.and_then(|it| resources::unbalanced(it, &objects, plan)) {
            view.warning(&warning);
        }
        objects.manifests.left_out.iter().for_each(|hook| view.note(hook));
        Ok(())
    }

    fn unplanned(&self, error: PlanError, desired: &[Resource]) -> Error {
        match (error, &self.topology) {
            (PlanError::Graph(error), Some(topology)) => {
                let objections = resources::of_graph(error, desired, topology);
                Error::refused(objections.failure(&|key| self.place(key)))
            }
            (error, _) => error.into(),
        }
    }

    /// `topo.yaml:31:5`, of a key that the file has.
    pub fn place(&self, key: &str) -> Option<String> {
        load::place(self.places.as_ref()?, key)
    }

    /// What containers of others hold of that which this topology would take.
    pub fn refuse_held_by_others(&self) -> Result<(), Error> {
        let Some(topology) = &self.topology else { return Ok(()) };
        let named = resources::named(topology);
        let held = resources::held_by_others(topology, &named, &self.snapshot);
        if held.is_empty() {
            return Ok(());
        }
        let mut failure = Failure::new("an address or port is already in use");
        failure.causes = held;
        Err(Error::refused(
            failure.hint("stop that container, or write other addresses and ports in the file"),
        ))
    }

    /// Writes the claim that must be there before the first change. Addresses of what has left the
    /// file stay reserved until it is gone.
    pub async fn stake(&self, desired: &[Resource], world: &World) -> Result<(), Error> {
        let (Some(topology), Some(file)) = (&self.topology, &self.file) else { return Ok(()) };
        let file = file.display().to_string();
        let mut claim = self.cx().claim().await.unwrap_or_else(|| Claim::new(self.name(), &file));
        claim.file = file;
        claim.existing = self.cx().identified().await?;
        let lasts = |by: &Id| {
            world.things.contains_key(by) || desired.iter().any(|resource| resource.id == *by)
        };
        claim.reserved.retain(|held| lasts(&held.by));
        claim.reserved.extend(resources::named(topology));
        for reservation in resources::settled(topology, desired) {
            claim.reserved.retain(|held| held.by != reservation.by);
            claim.reserved.push(reservation);
        }
        claim.reserved.sort_unstable();
        claim.reserved.dedup();
        claim.vias = resources::ways(topology);
        Ok(self.cx().stake(&claim).await?)
    }
}

fn absolute(file: &Path) -> Result<PathBuf, Error> {
    if file == Path::new(STDIN) {
        return Ok(file.to_owned());
    }
    std::fs::canonicalize(file)
        .map_err(|error| Error::because(format!("cannot find `{}`", file.display()), &error))
}

/// An engine that is cut off fails whatever is asked, which says little of why.
fn or_cut_off(mut error: Error, docker: &Docker) -> Error {
    if let (Some(failure), Some(why)) = (&mut error.failure, docker.cut_off()) {
        failure.causes.push(why);
    }
    error
}

/// The engine that this environment names, and what it has.
pub async fn reach_engine() -> Result<(Docker, Snapshot), Error> {
    let docker = Docker::connect(&Surroundings::read(load::environment))
        .await
        .map_err(|error| unreached(&error))?;
    let snapshot = docker.snapshot().await.map_err(|error| {
        let failed = Error::because("cannot list what the engine has", &error);
        or_cut_off(failed, &docker)
    })?;
    Ok((docker, snapshot))
}

fn unreached(error: &docker::Error) -> Error {
    let mut failure = Failure::because("cannot reach a Docker engine", error);
    failure.hint = error.hint();
    Error::refused(failure)
}

/// Where topo keeps its list of what it applied.
fn inventory(name: &str, topology: Option<&Topology>, existing: Option<&Existing>) -> Inventory {
    let usual = Cluster::default();
    let made = topology.and_then(|topology| topology.cluster.as_ref()).unwrap_or(&usual);
    let namespace =
        existing.map_or(made.inventory_namespace(), |existing| &existing.inventory_namespace);
    Inventory::new(name, namespace, existing.is_none())
}

/// What a plan is asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted<'a> {
    /// Take fields of objects over from other managers.
    pub force_conflicts: bool,
    /// Take everything down.
    pub nothing: bool,
    /// Only these and what they need; everything where there are none.
    pub target: &'a [String],
    pub replace: &'a [String],
    pub take: &'a [String],
}

/// The topology with every choice made that the file leaves open.
fn settle(topology: Topology, ground: &Ground, view: &mut dyn View) -> Result<Topology, Error> {
    let settled = resources::settle(topology, ground).map_err(Error::refused)?;
    for choice in &settled.chosen {
        view.note(choice);
    }
    Ok(settled.topology)
}

/// A name that was given in place of a file.
pub fn topology_name(name: &str) -> Result<TopologyName, Error> {
    name.parse().map_err(|error| {
        let failure = Failure::new(format!("`{name}` cannot be the name of a topology: {error}"));
        Error::refused(failure.hint("write the `name` that stands in the topology file"))
    })
}

/// What a topo that was cut off had started may still be at work, and holds the lock: it is waited
/// for, and so is a watch, which never holds it for long. Another topo that is running is not.
async fn take_lock(state: &StateFolder, command: &str, view: &mut dyn View) -> Result<Lock, Error> {
    let mut said = false;
    loop {
        match state.lock(command) {
            Ok(lock) => return Ok(lock),
            Err(StateError::Held { holder, .. }) if holder.ends_with(WATCH) => {}
            Err(StateError::Held { holder, outlived: true, .. }) => {
                if !said {
                    view.note(&format!("waiting for what an earlier topo ({holder}) left at work"));
                    said = true;
                }
            }
            Err(error) => {
                let hint = "wait until it has ended, or end it; the next `topo apply` finishes what it was doing";
                return Err(Error::refused(Failure::new(error.to_string()).hint(hint)));
            }
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Made at the first change. Without it what was sealed cannot be compared, and is sealed again.
fn secret_key(state: &StateFolder, purpose: Purpose) -> Result<SecretKey, Error> {
    if let Some(key) = state.read(KEY).filter(|key| key.len() == KEY_LENGTH) {
        return Ok(SecretKey::new(&key));
    }
    let mut key = [0; KEY_LENGTH];
    getrandom::fill(&mut key)
        .map_err(|error| Error::because("the system gives no random numbers", &error))?;
    if purpose == Purpose::Change {
        state
            .write(KEY, &key)
            .map_err(|error| Error::because("cannot keep the topology's state", &error))?;
    }
    Ok(SecretKey::new(&key))
}
