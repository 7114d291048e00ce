//! From what is wanted, recorded and seen to what would be done. Pure: it asks nobody.

use serde_json::Value;

use super::diff::{Comparison, Difference, Known, known, shown};
use super::removals::removals;
use super::resource::field_of;
use super::shelter::Shelter;
use super::{
    Action, Bond, Cause, Change, Effect, FieldName, Graph, GraphError, Id, IdMap, Item, Owner,
    Plan, Record, Resource, SecretKey, Seen, Shown, State, Table, Want, World,
};

/// Everything that a plan is made of.
pub struct Request<'a> {
    pub topology: &'a str,
    /// In any order; nothing at all to take everything down.
    pub desired: &'a [Resource],
    pub world: &'a World,
    /// What each kind tells of itself, for things that are no longer desired.
    pub tables: &'a dyn Fn(&str) -> Option<&'static Table>,
    /// Where a key of the topology file stands: `topo.yaml:31:5`.
    pub places: &'a dyn Fn(&str) -> Option<String>,
    pub key: &'a SecretKey,
    /// Replaced even if nothing about them changed.
    pub replace: &'a [Id],
    /// Taken over as they are, where topo did not make them.
    pub take: &'a [Id],
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    #[error(transparent)]
    Graph(#[from] GraphError),
    #[error(
        "`{id}` was written by a newer topo (record format {format}; this one reads up to {})",
        super::record::FORMAT
    )]
    Newer { id: Id, format: u32 },
}

pub fn plan(request: &Request) -> Result<Plan, PlanError> {
    refuse_newer_records(request.world)?;
    let order = Graph::of(request.desired)?.order()?;
    let mut planner = Planner {
        request,
        desired: request.desired.iter().map(|resource| (&resource.id, resource)).collect(),
        shelter: Shelter::over(request.desired, request.world),
        decided: IdMap::default(),
    };
    planner.decided.reserve(planner.desired.len());
    let mut items = Vec::with_capacity(planner.desired.len());
    for id in order {
        let resource = planner.desired[&id];
        let item = planner.decide(resource);
        let decision = planner.decision(&item, resource);
        planner.decided.insert(id, decision);
        items.push(item);
    }
    let leaving = removals(request, &planner.desired, &planner.decided);
    items.extend(leaving);
    for item in &mut items {
        planner.ask_for_what_is_in_use(item);
    }
    Ok(Plan { topology: request.topology.to_owned(), items })
}

fn refuse_newer_records(world: &World) -> Result<(), PlanError> {
    let seen = world.records();
    seen.chain(&world.remembered)
        .filter(|(_, record)| record.is_from_the_future())
        .min_by_key(|(id, _)| *id)
        .map_or(Ok(()), |(id, record)| {
            Err(PlanError::Newer { id: id.clone(), format: record.format })
        })
}

struct Planner<'a> {
    request: &'a Request<'a>,
    desired: IdMap<&'a Id, &'a Resource>,
    shelter: Shelter,
    decided: IdMap<Id, Decision>,
}

/// What later resources must know of one that was decided.
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each asked for by name")]
pub(super) struct Decision {
    action: Action,
    cause: Option<Cause>,
    /// It is there, and goes before it is made.
    vanishes: bool,
    /// Its outputs may come out otherwise than they are now.
    unsettled: bool,
    /// It stands still or could not be looked at, so what is in it is not to be seen.
    closed: bool,
    /// In its place is something of somebody else's.
    foreign: bool,
}

impl Decision {
    fn is_made_anew(&self) -> bool {
        matches!(self.action, Action::Create | Action::Replace)
    }

    pub(super) fn vanishes(&self) -> bool {
        self.vanishes
    }

    pub(super) fn is_blocked(&self) -> bool {
        self.action == Action::Blocked
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }
}

impl Planner<'_> {
    fn decide(&self, resource: &Resource) -> Item {
        let mut item = Item::new(resource.id.clone(), Action::None);
        item.bonds.clone_from(&resource.bonds);
        let seen = self.request.world.things.get(&resource.id);
        if self.request.take.contains(&item.id) && self.request.world.record(&item.id).is_none() {
            self.take_over(resource, seen, &mut item);
        } else if let Some(whose) = self.in_the_way(resource, seen) {
            item.block(whose);
        } else if let Some(parent) = self.foreign_parent(resource) {
            item.block(format!("it belongs in `{parent}`, which is blocked"));
        } else if let Some((parent, decision)) = self.parent_made_anew(resource, Bond::is_held)
            && !self.outlives_its_holders(resource)
        {
            made_with_parent(resource, seen, parent, decision, &mut item);
        } else if let Some(why) = self.out_of_sight(resource, seen) {
            item.action = Action::Deferred;
            item.why = Some(why);
        } else {
            match seen.map(|seen| (seen, &seen.owner)) {
                None => self.absent(resource, &mut item),
                Some((seen, Owner::Mine(record))) => {
                    self.compare(resource, record, seen, &mut item);
                    self.guard(resource, seen, &mut item);
                }
                Some((seen, Owner::Foreign(_) | Owner::Borrowed)) => {
                    self.borrow(resource, seen, &mut item);
                }
            }
        }
        if matches!(item.action, Action::Create | Action::Replace)
            && let Some(why) = self.request.world.impossible.get(&resource.id)
        {
            item.block(why);
        }
        if item.action == Action::Create {
            item.values = self.values(resource);
        }
        item
    }

    fn values(&self, resource: &Resource) -> Vec<(String, Shown)> {
        let table = resource.table;
        let told = table.tells.iter().filter_map(|path| {
            let value = self.value_at(resource, path)?;
            Some((table.path_in_file(path).into_owned(), value))
        });
        let target = resource
            .leads_to
            .iter()
            .map(|target| ("to".to_owned(), Shown::Value(target.as_ref().into())));
        target.chain(told).collect()
    }

    fn value_at(&self, resource: &Resource, path: &str) -> Option<Shown> {
        let want = resource.fields.get(field_of(path))?;
        let given = |giver: &Id, output: &str| self.given(giver, output);
        match known(&resource.id, want, None, &given) {
            Known::Unknown(giver) => Some(Shown::Unknown(giver)),
            Known::Value(value) => {
                let mut inside = path.split('.').skip(1);
                let part = inside.try_fold(&value, |value, key| value.get(key))?;
                (!part.is_null()).then(|| shown(part))
            }
        }
    }

    /// Whether it is there and nothing that it was made in, and still belongs in, goes: then its
    /// being made in another does not take it away. What leaves a holder that goes is a move all
    /// the same, so that it is shown, guarded and ordered as one.
    fn outlives_its_holders(&self, resource: &Resource) -> bool {
        let belongs_in =
            |holder: &Id| resource.bonds.iter().any(|bond| bond.is_held() && bond.id() == holder);
        let vanishes =
            |holder: &Id| self.decided.get(holder).is_some_and(|decision| decision.vanishes);
        let world = self.request.world;
        let hidden = || world.hidden_in(&resource.id).and(world.remembered.get(&resource.id));
        world.record(&resource.id).or_else(hidden).is_some_and(|record| {
            !record.holders().any(|holder| belongs_in(holder) && vanishes(holder))
        })
    }

    fn decision(&self, item: &Item, resource: &Resource) -> Decision {
        let world = self.request.world;
        let seen = world.things.get(&item.id);
        let is_there = seen.is_some() || world.hidden_in(&item.id).is_some();
        let unsettled = match item.action {
            Action::None | Action::Blocked => false,
            Action::Update => item
                .changes
                .iter()
                .any(|change| resource.table.effect(&change.field) == Effect::Unsettles),
            _ => true,
        };
        Decision {
            action: item.action,
            cause: item.cause,
            vanishes: item.action == Action::Replace || (item.action == Action::Create && is_there),
            unsettled: unsettled || seen.is_some_and(|seen| seen.state == State::Stopped),
            closed: item.action == Action::Deferred
                || world.blind.contains_key(&item.id)
                || seen.is_some_and(|seen| seen.state == State::Stopped),
            foreign: item.action == Action::Blocked && world.record(&item.id).is_none(),
        }
    }

    /// Whose it is, where something that is not topo's stands in the place of the resource.
    fn in_the_way(&self, resource: &Resource, seen: Option<&Seen>) -> Option<String> {
        let Some(Owner::Foreign(whose)) = seen.map(|seen| &seen.owner) else { return None };
        let vanishes = self
            .parent_made_anew(resource, |bond| matches!(bond, Bond::Inside(_)))
            .is_some_and(|(_, decision)| decision.action == Action::Replace);
        (!resource.table.lookup && !vanishes).then(|| whose.clone())
    }

    fn foreign_parent<'r>(&self, resource: &'r Resource) -> Option<&'r Id> {
        let is_foreign = |id: &&Id| self.decided.get(*id).is_some_and(|parent| parent.foreign);
        resource.bonds.iter().filter(|bond| bond.is_held()).map(Bond::id).find(is_foreign)
    }

    /// A need, over a bond of that sort, that is about to be made, first or again.
    fn parent_made_anew<'r>(
        &self,
        resource: &'r Resource,
        sort: impl Fn(&Bond) -> bool,
    ) -> Option<(&'r Id, &Decision)> {
        resource.bonds.iter().filter(|bond| sort(bond)).find_map(|bond| {
            let decision = self.decided.get(bond.id())?;
            decision.is_made_anew().then(|| (bond.id(), decision))
        })
    }

    /// Why the resource cannot be looked at now: what it is inside of, or was made inside of, is
    /// stopped or does not answer.
    fn out_of_sight(&self, resource: &Resource, seen: Option<&Seen>) -> Option<String> {
        if seen.is_some() {
            return None;
        }
        let closed = resource.bonds.iter().find_map(|bond| {
            let parent = bond.id();
            let decision = self.decided.get(parent)?;
            let hidden = match bond {
                Bond::Inside(_) => decision.closed,
                Bond::Holds(_) => decision.action == Action::Deferred,
                Bond::Uses(_) | Bond::Rests(_) => false,
            };
            hidden.then_some(parent)
        });
        let closed = closed.or_else(|| self.request.world.hidden_in(&resource.id));
        closed.map(|place| self.why_closed(resource, place))
    }

    fn why_closed(&self, resource: &Resource, place: &Id) -> String {
        let world = self.request.world;
        let stopped = world.things.get(place).is_some_and(|seen| seen.state == State::Stopped);
        match world.blind.get(place) {
            _ if stopped => format!("`{place}` is stopped"),
            Some(why) if *place == resource.id => format!("it cannot be inspected: {why}"),
            Some(why) => format!("`{place}` cannot be inspected: {why}"),
            None => format!("`{place}` cannot be seen yet"),
        }
    }

    fn absent(&self, resource: &Resource, item: &mut Item) {
        if resource.table.lookup {
            item.action = Action::Deferred;
            item.why = Some("it does not exist, and nothing in this file makes it".to_owned());
            return;
        }
        item.action = Action::Create;
        if self.request.world.remembered.contains_key(&resource.id) {
            item.cause = Some(Cause::Drift);
        } else {
            item.cause = Some(Cause::File);
            item.at = super::diff::place_of(&resource.origin, "", self.request.places);
        }
    }

    /// Used as it is, unless it could serve only after a replace.
    fn borrow(&self, resource: &Resource, seen: &Seen, item: &mut Item) {
        if self.request.replace.contains(&resource.id) {
            item.block("it is not topo's and is used as it is, so it is not replaced");
            return;
        }
        let unfit: Vec<Change> = resource
            .fields
            .iter()
            .filter(|(name, _)| resource.table.effect(name) == Effect::Replace)
            .filter_map(|(name, want)| match (want, seen.fields.get(name)) {
                (Want::Is(wanted), Some(live)) if wanted != live => Some(Change {
                    path: resource.table.path_in_file(name).into_owned(),
                    field: name.to_string(),
                    before: shown(live),
                    after: shown(wanted),
                    at: super::diff::place_of(&resource.origin, name, self.request.places),
                    forces_replace: true,
                    cause: Cause::File,
                    by: None,
                }),
                _ => None,
            })
            .collect();
        if unfit.is_empty() {
            item.waits = what_is_wrong(&seen.state);
            return;
        }
        item.cause = Some(Cause::File);
        item.changes = unfit;
        item.block(format!(
            "it is not topo's, so it is used as it is or not at all: let the file say what it has ({})",
            forcing(item)
        ));
    }

    /// Marked as topo's and otherwise left as it is but for what the file says of it: it is never
    /// removed to be made again, and nothing about it is chosen anew.
    fn take_over(&self, resource: &Resource, seen: Option<&Seen>, item: &mut Item) {
        let (seen, whose) = match seen.map(|seen| (seen, &seen.owner)) {
            Some((seen, Owner::Foreign(whose))) => (seen, whose),
            Some(_) => return item.block("it is used as it is, so there is nothing to take over"),
            None => return item.block("it was not found, so there is nothing to take over"),
        };
        if seen.uids.is_empty() {
            return item.block(format!("it cannot be taken over: {whose}"));
        }
        if let Some((parent, _)) = self.parent_made_anew(resource, Bond::is_held) {
            return item.block(format!("it cannot be taken over: `{parent}` is recreated"));
        }
        let mut wants = resource.fields.iter();
        if let Some((open, _)) = wants.find(|(_, want)| matches!(want, Want::Auto)) {
            return item.block(format!(
                "it cannot be taken over while the file leaves its `{open}` to topo: write what it has"
            ));
        }
        let is_set = |name: &FieldName| resource.fields.get(name).is_some();
        let fields = seen.fields.iter().filter(|(name, _)| is_set(name));
        let fields = fields.map(|(name, live)| (name.clone(), live.clone())).collect();
        let found = Record { fields, ..Record::default() };
        let Difference { changes, effect, undecided, .. } = self.difference(resource, &found, seen);
        item.changes = changes;
        if effect == Some(Effect::Replace) || undecided.is_some() {
            return item.block(format!(
                "it cannot be taken over as it is, only replaced ({})",
                forcing(item)
            ));
        }
        item.action = Action::Update;
        item.cause = Some(Cause::File);
        item.takes_over.clone_from(&seen.uids);
        item.why = Some("topo did not make it, and takes it over".to_owned());
        item.asks = Some(format!(
            "takes over `{}`: from now on it is changed with the file, and deleted with the topology",
            item.id
        ));
    }

    fn difference(&self, resource: &Resource, record: &Record, seen: &Seen) -> Difference {
        Comparison {
            resource,
            record,
            seen,
            key: self.request.key,
            given: &|giver, output| self.given(giver, output),
            stirred: &|giver| self.stirred(giver),
            places: self.request.places,
        }
        .difference()
    }

    fn compare(&self, resource: &Resource, record: &Record, seen: &Seen, item: &mut Item) {
        if seen.state == State::Partial {
            item.action = Action::Replace;
            item.cause = Some(Cause::Drift);
            item.why = Some("it was left half-made by a run that was cut off".to_owned());
            return;
        }
        let Difference { changes, mut cause, effect, undecided } =
            self.difference(resource, record, seen);
        let stopped = seen.state == State::Stopped;
        if stopped {
            cause = Some(Cause::Drift.with(cause));
        }

        if let Some((why, because)) = self.reason_to_replace(resource, record) {
            item.action = Action::Replace;
            item.why = Some(why);
            cause = Some(because.with(cause));
        } else if effect == Some(Effect::Replace) {
            item.action = Action::Replace;
        } else if let Some((field, giver)) = undecided {
            item.action = Action::Deferred;
            item.why = Some(format!(
                "whether it can stay is known only when `{giver}` has given its `{field}`"
            ));
        } else if stopped {
            item.action = if effect.is_some() { Action::Update } else { Action::Start };
            item.why = Some("it is stopped".to_owned());
        } else if let Some(why) = self.known_later(&changes) {
            item.action = Action::Deferred;
            item.why = Some(why);
            return;
        } else if effect.is_some() {
            item.action = Action::Update;
        } else {
            item.waits = what_is_wrong(&seen.state);
        }
        item.changes = changes;
        item.cause = cause;
    }

    /// Why nothing can be said of changes that are others' doing: those cannot be seen now, and
    /// nothing is known to change them.
    fn known_later(&self, changes: &[Change]) -> Option<String> {
        let why = |change: &Change| match &change.after {
            Shown::Unknown(giver) if change.cause == Cause::Drift => {
                let seen = self.request.world.things.get(giver);
                self.out_of_sight(self.desired.get(giver)?, seen)
            }
            _ => None,
        };
        let whys: Option<Vec<String>> = changes.iter().map(why).collect();
        whys?.into_iter().next()
    }

    /// Replaced because a person says so, because what it rests on has to go, or because its place
    /// is another than before.
    fn reason_to_replace(&self, resource: &Resource, record: &Record) -> Option<(String, Cause)> {
        if self.request.replace.contains(&resource.id) {
            return Some(("asked for by --replace".to_owned(), Cause::File));
        }
        if let Some(why) = moved(resource, record) {
            return Some((why, Cause::File));
        }
        let (parent, decision) = self.parent_made_anew(resource, Bond::goes_along)?;
        let why = format!("`{parent}`, which it is on, is recreated");
        Some((why, decision.cause.unwrap_or(Cause::File)))
    }

    /// Why the outputs of a resource come out otherwise: it changes, or what it uses does, as a pool
    /// that takes a Service its address.
    fn stirred(&self, giver: &Id) -> Option<Cause> {
        let cause_of = |id: &Id| self.decided.get(id)?.cause;
        let used = || self.desired.get(giver)?.bonds.iter().find_map(|bond| cause_of(bond.id()));
        cause_of(giver).or_else(used)
    }

    /// Outputs of a resource that will not change them; those of others are not known yet.
    fn given(&self, giver: &Id, output: &str) -> Option<Value> {
        if self.decided.get(giver).is_some_and(|decision| decision.unsettled) {
            return None;
        }
        self.request.world.output(giver, output).cloned()
    }

    /// What loses something asks first; what is protected is refused. What was left half-made
    /// holds nothing yet.
    fn guard(&self, resource: &Resource, seen: &Seen, item: &mut Item) {
        if item.action != Action::Replace || seen.state == State::Partial {
            return;
        }
        if resource.protect {
            item.block(format!(
                "it would have to be replaced ({}), and it is protected: remove `protect: true` first",
                forcing(item)
            ));
        } else if let Some(kept) = self.shelter.of(&resource.id) {
            item.block(format!(
                "it would have to be replaced ({}), and `{kept}`, which would go with it, is protected",
                forcing(item)
            ));
        } else if (resource.table.precious)(&resource.id) {
            item.asks = Some(format!("replaces `{}`: everything in it will be lost", resource.id));
        }
    }

    /// What gives up something that others are using asks first. Those that leave too lose nothing.
    fn ask_for_what_is_in_use(&self, item: &mut Item) {
        if !matches!(item.action, Action::Update | Action::Replace | Action::Delete)
            || item.asks.is_some()
        {
            return;
        }
        let world = self.request.world;
        let Some(seen) = world.things.get(&item.id) else { return };
        let kept = self.desired.get(&item.id).map_or(&[][..], |resource| &resource.takes);
        let losers: Vec<String> = seen
            .in_use
            .iter()
            .filter(|(span, _)| item.action != Action::Update || !span.lies_in(kept))
            .filter(|(_, user)| self.desired.contains_key(user) || world.record(user).is_none())
            .map(|(_, user)| format!("`{user}`"))
            .collect();
        if !losers.is_empty() {
            item.asks = Some(format!(
                "changes `{}`: an address in use is taken from {}",
                item.id,
                losers.join(", ")
            ));
        }
    }
}

/// Where it was made is written in its bonds, so another place is another thing.
pub(super) fn moved(resource: &Resource, record: &Record) -> Option<String> {
    let stays =
        |was: &Bond| resource.bonds.iter().any(|bond| bond.id() == was.id() && bond.goes_along());
    let left = record.needs.iter().find(|was| was.goes_along() && !stays(was))?;
    let word = if left.is_held() { "in" } else { "on" };
    Some(format!("it was made {word} `{}`, and belongs elsewhere now", left.id()))
}

fn made_with_parent(
    resource: &Resource,
    seen: Option<&Seen>,
    parent: &Id,
    decision: &Decision,
    item: &mut Item,
) {
    item.cause = decision.cause;
    if resource.table.lookup {
        item.action = Action::Deferred;
        item.why = Some(format!("it is looked for in `{parent}`, which is not there yet"));
    } else {
        item.action = Action::Create;
        item.goes_with = seen.map(|_| parent.clone());
        item.why = seen.map(|_| format!("`{parent}` is recreated"));
    }
}

fn what_is_wrong(state: &State) -> Option<String> {
    match state {
        State::Ready => None,
        State::Unready(last) => Some(last.clone()),
        State::Stopped => Some("it is stopped, and it is not topo's to start".to_owned()),
        State::Partial => Some("it is not whole".to_owned()),
    }
}

/// Why it would be replaced: the fields that force it, or what was said of it.
fn forcing(item: &Item) -> String {
    let fields: Vec<&str> = item
        .changes
        .iter()
        .filter(|change| change.forces_replace)
        .map(|change| change.path.as_str())
        .collect();
    match &item.why {
        Some(why) if fields.is_empty() => why.clone(),
        _ => fields.join(", "),
    }
}
