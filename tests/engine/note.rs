//! A kind of resource, whole and small: a note is a file in a folder, with what was applied beside it.

#![allow(clippy::unused_async, reason = "the shape that every kind has")]

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use topo::backend::docker::Snapshot;
use topo::engine::{Driver, Failure, Turn, Work};
use topo::plan::{Effect, Fields, Id, Outputs, Record, Resource, Seen, Table, Want, World};
use topo::resources::{Context, Ingredients, Objections, ResourceKind};
use topo::topology::Topology;

/// What the file says of a note.
pub struct Note {
    pub name: &'static str,
    pub text: &'static str,
    pub paper: &'static str,
}

pub const TABLE: Table = Table {
    // Another text is written over the old one; other paper is another note.
    effects: &[("paper", Effect::Replace)],
    ..Table::plain("note")
};

pub struct NoteKind;

impl ResourceKind for NoteKind {
    const TABLE: Table = TABLE;

    fn desired(from: &Ingredients) -> Result<Vec<Resource>, Objections> {
        Ok(desired(notes(from.topology)))
    }

    async fn observe(cx: &Context, _: &Snapshot, world: &mut World) -> Result<(), Failure> {
        observe(&cx.state.file(FOLDER), world)
    }

    async fn change(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
        change(&cx.state.file(FOLDER), turn).await
    }

    async fn wait(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
        wait(&cx.state.file(FOLDER), turn).await
    }
}

/// In the topology's folder.
const FOLDER: &str = "notes";

/// A kind of topo's own has a key of the file; this one is handed its notes by the test.
fn notes(_: &Topology) -> &[Note] {
    &[]
}

pub fn id(name: &str) -> Id {
    Id::new(TABLE.kind, name)
}

pub fn desired(notes: &[Note]) -> Vec<Resource> {
    let resource = |note: &Note| {
        Resource::new(id(note.name), &TABLE)
            .field("text", Want::is(note.text))
            .field("paper", Want::is(note.paper))
    };
    notes.iter().map(resource).collect()
}

/// All of them at once. Whose each is comes from the record beside it.
pub fn observe(folder: &Path, world: &mut World) -> Result<(), Failure> {
    let failed = |error| Failure::because("cannot list the notes", &error);
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_none_or(|extension| extension != "note") {
            continue;
        }
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let text = fs::read_to_string(&path).map_err(failed)?;
        let record = fs::read(record_of(&path)).ok();
        let seen = match record.and_then(|record| serde_json::from_slice::<Record>(&record).ok()) {
            Some(record) => {
                let paper = record.fields.get("paper").cloned().unwrap_or_default();
                let mut seen = Seen::mine(record);
                seen.fields = Fields::new().with("text", json!(text)).with("paper", paper);
                seen.outputs = outputs(&path);
                seen
            }
            None => Seen::foreign(format!("`{}` is not topo's; move it away", path.display())),
        };
        world.add(id(&name), seen);
    }
    Ok(())
}

pub async fn change(folder: &Path, turn: &Turn) -> Result<Outputs, Failure> {
    let failed = |error| Failure::because(format!("cannot write `{}`", turn.id()), &error);
    let path = path_of(folder, turn);
    match turn.work {
        Work::Create | Work::Update => {
            let resource = turn.resource.as_ref().expect("what is made is wanted");
            let record = json!(Record::of(resource, &turn.values));
            // The record first: a note without one would be taken for somebody else's.
            tokio::fs::write(record_of(&path), record.to_string()).await.map_err(failed)?;
            tokio::fs::write(&path, turn.text("text").unwrap_or_default()).await.map_err(failed)?;
        }
        Work::Delete => {
            for file in [path.clone(), record_of(&path)] {
                tokio::fs::remove_file(file).await.map_err(failed)?;
            }
        }
        Work::Start | Work::Stop | Work::Keep => {}
    }
    Ok(Outputs::new())
}

/// A note works as soon as it is there. What was created answers with all that it gives.
pub async fn wait(folder: &Path, turn: &Turn) -> Result<Outputs, Failure> {
    let path = path_of(folder, turn);
    match tokio::fs::metadata(&path).await {
        Ok(_) => Ok(outputs(&path)),
        Err(error) => Err(Failure::because("the note did not stay", &error)),
    }
}

fn outputs(path: &Path) -> Outputs {
    Outputs::new().with("path", json!(path))
}

fn path_of(folder: &Path, turn: &Turn) -> PathBuf {
    folder.join(turn.id().name()).with_extension("note")
}

fn record_of(note: &Path) -> PathBuf {
    note.with_extension("record")
}

/// In topo itself this is `resources::Hands`, which picks the kind by its name.
pub struct Hands {
    pub folder: PathBuf,
}

impl Driver for Hands {
    async fn change(&self, turn: &Turn) -> Result<Outputs, Failure> {
        change(&self.folder, turn).await
    }

    async fn wait(&self, turn: &Turn) -> Result<Outputs, Failure> {
        wait(&self.folder, turn).await
    }

    async fn look(&self) -> Result<World, Failure> {
        let mut world = World::default();
        observe(&self.folder, &mut world)?;
        Ok(world)
    }
}
