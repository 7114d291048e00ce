//! A world in memory: it keeps what is made, refuses what a real one would refuse, and notes what
//! should never have been asked of it.

use std::collections::{BTreeMap, HashMap};
use std::future::{Future, pending};
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedReceiver;
use topo::engine::{Cancel, Deadline, Driver, Event, Events, Failure, Report, Run, Turn, Work};
use topo::plan::{
    Bond, Effect, Fields, Id, Outputs, Plan, Record, Request, Resource, SecretKey, Seen, Span,
    Stage, State, Table, Want, World, halt, plan,
};

pub static BOX: Table = Table {
    kind: "box",
    stops: true,
    effects: &[("shape", Effect::Replace), ("size", Effect::Unsettles)],
    ..Table::plain("box")
};

/// What a box whose name begins with `staged` comes to on its way.
pub const HALF: Stage = "half";

pub fn key() -> SecretKey {
    SecretKey::new(b"a key")
}

pub fn id(text: &str) -> Id {
    text.parse().expect("a valid id")
}

pub fn want(name: impl std::fmt::Display) -> Resource {
    Resource::new(Id::new("box", name), &BOX)
}

/// Where in a step something goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Spot {
    BeforeChange,
    /// Half made, and the others know it.
    AfterStage,
    AfterChange,
    Wait,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Fail,
    Panic,
    Hang,
    /// Goes on when the fake is told to.
    Halt,
    /// Fails when the fake is told to.
    HaltAndFail,
}

#[derive(Default)]
pub struct Fake {
    inside: Mutex<Inside>,
    pub slow: bool,
    pub halted: Notify,
}

#[derive(Default)]
struct Inside {
    things: BTreeMap<Id, Thing>,
    generation: u64,
    faults: HashMap<(Id, Spot), Fault>,
    /// After how many changes the run is interrupted, and whether twice.
    interrupt: Option<(usize, bool)>,
    changes: Vec<(Id, Work)>,
    looks: usize,
    running: usize,
    most_running: usize,
    complaints: Vec<String>,
}

struct Thing {
    record: Record,
    fields: Fields<Value>,
    outputs: Outputs,
    holds: Vec<Span>,
    stopped: bool,
}

impl Fake {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn fault(&self, id: Id, spot: Spot, fault: Fault) {
        self.inside().faults.insert((id, spot), fault);
    }

    pub fn mend(&self) {
        let mut inside = self.inside();
        inside.faults.clear();
        inside.interrupt = None;
    }

    pub fn interrupt_after(&self, changes: usize, twice: bool) {
        let mut inside = self.inside();
        inside.interrupt = Some((inside.changes.len() + changes, twice));
    }

    /// What was changed since this was last asked.
    pub fn changes(&self) -> Vec<(Id, Work)> {
        std::mem::take(&mut self.inside().changes)
    }

    pub fn looks(&self) -> usize {
        self.inside().looks
    }

    pub fn most_running(&self) -> usize {
        self.inside().most_running
    }

    /// What should never have been asked of a world.
    pub fn complaints(&self) -> Vec<String> {
        self.inside().complaints.clone()
    }

    pub fn ids(&self) -> Vec<Id> {
        self.inside().things.keys().cloned().collect()
    }

    pub fn live(&self, id: &Id) -> Option<Fields<Value>> {
        self.inside().things.get(id).map(|thing| thing.fields.clone())
    }

    pub fn edit(&self, id: &Id, field: &'static str, value: impl Into<Value>) {
        if let Some(thing) = self.inside().things.get_mut(id) {
            thing.fields.set(field, value.into());
        }
    }

    pub fn stop(&self, id: &Id) {
        if let Some(thing) = self.inside().things.get_mut(id) {
            thing.stopped = true;
        }
    }

    pub fn vanish(&self, id: &Id) {
        self.inside().remove(id);
    }

    /// What an observer sees: nothing of what is inside of something that stands still. A claim remembers those.
    pub fn world(&self) -> World {
        let inside = self.inside();
        let mut world = World::default();
        for (id, thing) in &inside.things {
            if inside.is_hidden(&thing.record) {
                world.remembered.insert(id.clone(), thing.record.clone());
                continue;
            }
            let mut seen = Seen::mine(thing.record.clone());
            seen.fields = thing.fields.clone();
            seen.outputs = thing.outputs.clone();
            seen.holds.clone_from(&thing.holds);
            if thing.stopped {
                seen.state = State::Stopped;
            }
            world.add(id.clone(), seen);
        }
        world
    }

    pub fn plan(&self, desired: &[Resource]) -> (Plan, World) {
        let world = self.world();
        let plan = plan(&Request {
            topology: "test",
            desired,
            world: &world,
            tables: &|kind| (kind == "box").then_some(&BOX),
            places: &|_| None,
            key: &key(),
            replace: &[],
            take: &[],
        });
        (plan.expect("a plan"), world)
    }

    pub fn run(self: &Arc<Self>, desired: &[Resource]) -> (Run<Self>, UnboundedReceiver<Event>) {
        let (plan, world) = self.plan(desired);
        self.run_of(plan, desired, world)
    }

    pub fn run_of(
        self: &Arc<Self>,
        plan: Plan,
        desired: &[Resource],
        world: World,
    ) -> (Run<Self>, UnboundedReceiver<Event>) {
        let (events, told) = Events::channel();
        let run = Run {
            driver: Arc::clone(self),
            plan,
            desired: desired.to_vec(),
            world,
            key: key(),
            parallelism: 3,
            timeout: None,
            events,
            cancel: Cancel::default(),
        };
        (run, told)
    }

    pub async fn halt(self: &Arc<Self>) -> Report {
        let world = self.world();
        let plan = halt("test", &world, &|kind| (kind == "box").then_some(&BOX));
        self.run_of(plan, &[], world).0.carry_out().await
    }

    pub async fn apply(self: &Arc<Self>, desired: &[Resource]) -> Report {
        self.run(desired).0.carry_out().await
    }

    async fn meet(&self, turn: &Turn, spot: Spot) -> Result<(), Failure> {
        let fault = self.inside().faults.remove(&(turn.id().clone(), spot));
        match fault {
            None => Ok(()),
            Some(Fault::Fail) => Err(Failure::new(format!("`{}` does not want to", turn.id()))),
            // As a panic, but without the panic hook's lines in the tests' output.
            Some(Fault::Panic) => resume_unwind(Box::new("out of cheese")),
            Some(Fault::Hang) => pending().await,
            Some(Fault::Halt) => {
                self.halted.notified().await;
                Ok(())
            }
            Some(Fault::HaltAndFail) => {
                self.halted.notified().await;
                Err(Failure::new(format!("`{}` gives up", turn.id())))
            }
        }
    }

    async fn take_time(&self) {
        if self.slow {
            tokio::time::sleep(Duration::from_millis(2)).await;
        } else {
            tokio::task::yield_now().await;
        }
    }
}

/// Counts itself out, also when the step is dropped where it stands.
struct Running<'a>(&'a Fake);

impl<'a> Running<'a> {
    fn new(fake: &'a Fake) -> Self {
        let mut inside = fake.inside();
        inside.running += 1;
        inside.most_running = inside.most_running.max(inside.running);
        Self(fake)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.inside().running -= 1;
    }
}

impl Driver for Fake {
    async fn change(&self, turn: &Turn) -> Result<Outputs, Failure> {
        let _running = Running::new(self);
        self.take_time().await;
        self.meet(turn, Spot::BeforeChange).await?;
        if turn.work == Work::Delete && turn.id().name().starts_with("kept") {
            turn.keep("others use it");
            return Ok(Outputs::new());
        }
        let outputs = self.inside().change(turn)?;
        if turn.id().name().starts_with("staged") {
            turn.reached(HALF);
            self.meet(turn, Spot::AfterStage).await?;
        }
        if turn.id().name().starts_with("telling") {
            turn.remark("as good as new");
        }
        let interrupt = {
            let inside = self.inside();
            inside.interrupt.filter(|(after, _)| inside.changes.len() >= *after)
        };
        match interrupt {
            Some((_, true)) => turn.cancel.abort(),
            Some((_, false)) => turn.cancel.finish(),
            None => {}
        }
        self.take_time().await;
        self.meet(turn, Spot::AfterChange).await?;
        Ok(outputs)
    }

    async fn wait(&self, turn: &Turn) -> Result<Outputs, Failure> {
        let deadline = Deadline::new(turn, Duration::from_mins(1), "it to settle");
        deadline.saw("0 of 1 ready");
        deadline.until(self.meet(turn, Spot::Wait)).await?;
        Ok(self
            .inside()
            .things
            .get(turn.id())
            .map(|thing| thing.outputs.clone())
            .unwrap_or_default())
    }

    fn gathers(&self, turn: &Turn) -> bool {
        turn.id().name().starts_with("gathered")
    }

    fn look(&self) -> impl Future<Output = Result<World, Failure>> + Send {
        self.inside().looks += 1;
        let world = self.world();
        async move { Ok(world) }
    }
}

impl Inside {
    fn change(&mut self, turn: &Turn) -> Result<Outputs, Failure> {
        self.changes.push((turn.id().clone(), turn.work));
        match turn.work {
            Work::Delete => self.delete(turn.id()),
            Work::Stop => {
                let thing = self.things.get_mut(turn.id()).expect("only what is there is stopped");
                thing.stopped = true;
            }
            Work::Create | Work::Update | Work::Start => {
                let resource = turn.resource.clone().expect("only what is wanted is made");
                self.make(turn, &resource)?;
            }
            Work::Keep => {
                self.complain(format!("{} cannot be told to {:?}", turn.id(), turn.work));
            }
        }
        Ok(Outputs::new())
    }

    fn make(&mut self, turn: &Turn, resource: &Resource) -> Result<(), Failure> {
        if let Some((field, giver)) = turn.missing.first() {
            self.complain(format!("{} has no {field} from {giver}", turn.id()));
        }
        for needed in resource.needs() {
            if self.things.get(needed).is_none_or(|thing| thing.stopped) {
                self.complain(format!("{} is made before {needed} is up", turn.id()));
            }
        }
        let in_the_way = self.things.iter().find(|(other, thing)| {
            *other != turn.id()
                && thing.holds.iter().any(|held| resource.takes.iter().any(|span| span.meets(held)))
        });
        if let Some((other, _)) = in_the_way {
            return Err(Failure::new(format!("`{other}` holds what `{}` takes", turn.id())));
        }

        let mut values = turn.values.clone();
        for (name, want) in resource.fields.iter() {
            if matches!(want, Want::Auto) && values.get(name).is_none() {
                values.set(name.clone(), format!("chosen {}", self.generation).into());
            }
        }
        if let Some(complaint) = wrong(turn, self.things.get(turn.id()), &values) {
            self.complain(complaint);
        }
        let before = self.things.get(turn.id());
        let settled = turn.work == Work::Update
            && before
                .is_some_and(|was| !was.stopped && was.fields.get("size") == values.get("size"));
        let outputs = match before {
            Some(before) if settled => before.outputs.clone(),
            _ => {
                self.generation += 1;
                Outputs::new().with("address", Value::from(self.generation))
            }
        };
        let record = Record::of(resource, &values);
        let holds = resource.takes.clone();
        let thing = Thing { record, fields: values, outputs, holds, stopped: false };
        self.things.insert(turn.id().clone(), thing);
        Ok(())
    }

    /// What only uses another may stay without it; what rests on it may not, unless it vanishes
    /// with what it is in.
    fn delete(&mut self, id: &Id) {
        self.remove(id);
        let rests = |thing: &Thing| {
            let needs = &thing.record.needs;
            needs.contains(&Bond::Rests(id.clone())) && !needs.iter().any(Bond::is_held)
        };
        if let Some((resting, _)) = self.things.iter().find(|(_, thing)| rests(thing)) {
            let complaint = format!("{id} is removed under {resting}");
            self.complain(complaint);
        }
    }

    /// With all that lives in it.
    fn remove(&mut self, id: &Id) {
        self.things.remove(id);
        let held: Vec<Id> = self
            .things
            .iter()
            .filter(|(_, thing)| thing.record.holders().any(|holder| holder == id))
            .map(|(held, _)| held.clone())
            .collect();
        for held in held {
            self.remove(&held);
        }
    }

    fn is_hidden(&self, record: &Record) -> bool {
        record.needs.iter().any(|bond| match bond {
            Bond::Inside(parent) => self
                .things
                .get(parent)
                .is_some_and(|parent| parent.stopped || self.is_hidden(&parent.record)),
            // What holds it cannot be seen, so it cannot either.
            Bond::Holds(holder) => {
                self.things.get(holder).is_some_and(|holder| self.is_hidden(&holder.record))
            }
            Bond::Uses(_) | Bond::Rests(_) => false,
        })
    }

    fn complain(&mut self, complaint: String) {
        self.complaints.push(complaint);
    }
}

/// What a step asks of a thing that no real one could do.
fn wrong(turn: &Turn, before: Option<&Thing>, values: &Fields<Value>) -> Option<String> {
    let id = turn.id();
    match (turn.work, before) {
        // Seen when the plan was made, so it was to vanish with what it lived in.
        (Work::Create, Some(_)) if turn.state.is_some() => {
            Some(format!("{id} is created while it is still there"))
        }
        (Work::Update | Work::Start, None) => Some(format!("{id} is not there to {:?}", turn.work)),
        (Work::Update, Some(before)) if before.fields.get("shape") != values.get("shape") => {
            Some(format!("{id} cannot change its shape"))
        }
        (Work::Update, Some(before)) if before.stopped && turn.state != Some(State::Stopped) => {
            Some(format!("{id} was not told that it stands still"))
        }
        _ => None,
    }
}
