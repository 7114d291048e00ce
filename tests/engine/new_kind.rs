//! The kind that docs/design/planning.md shows is planned and carried out like every other.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use topo::engine::{Cancel, Driver, Events, Run};
use topo::plan::{Action, Cause, Plan, Request, SecretKey, plan};
use topo::resources::ResourceKind;

use crate::note::{self, Hands, Note, NoteKind};

const NOTES: &[Note] = &[
    Note { name: "milk", text: "two bottles", paper: "yellow" },
    Note { name: "bread", text: "rye", paper: "white" },
];

fn key() -> SecretKey {
    SecretKey::new(b"a key")
}

async fn planned(folder: &Path, notes: &[Note]) -> (Plan, Run<Hands>) {
    let hands = Hands { folder: folder.to_owned() };
    let world = hands.look().await.expect("a look");
    let desired = note::desired(notes);
    let plan = plan(&Request {
        topology: "shopping",
        desired: &desired,
        world: &world,
        tables: &|kind| (kind == NoteKind::TABLE.kind).then_some(&note::TABLE),
        places: &|_| None,
        key: &key(),
        replace: &[],
        take: &[],
    })
    .expect("a plan");
    let run = Run {
        driver: Arc::new(hands),
        plan: plan.clone(),
        desired,
        world,
        key: key(),
        parallelism: 2,
        timeout: None,
        events: Events::channel().0,
        cancel: Cancel::default(),
    };
    (plan, run)
}

/// What was done, and that it leaves nothing to do.
async fn apply(folder: &Path, notes: &[Note]) -> Vec<(String, Action, Option<Cause>)> {
    let (plan, run) = planned(folder, notes).await;
    assert!(run.carry_out().await.is_complete());
    assert!(planned(folder, notes).await.0.in_sync());
    let changed = plan.items.into_iter().filter(|item| item.action.changes_something());
    changed.map(|item| (item.id.to_string(), item.action, item.cause)).collect()
}

#[tokio::test]
async fn notes_are_made_mended_changed_replaced_and_removed() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let milk = |action, cause| vec![("note/milk".to_owned(), action, Some(cause))];
    assert_eq!(apply(folder, NOTES).await.len(), 2);
    assert_eq!(fs::read_to_string(folder.join("milk.note")).expect("there"), "two bottles");

    fs::write(folder.join("milk.note"), "oat milk!").expect("written");
    assert_eq!(apply(folder, NOTES).await, milk(Action::Update, Cause::Drift));

    let [milk_now, bread] = NOTES else { panic!("two notes") };
    let changed = |text, paper| {
        let bread = Note { name: bread.name, text: bread.text, paper: bread.paper };
        [Note { name: milk_now.name, text, paper }, bread]
    };
    let one = changed("one bottle", "yellow");
    assert_eq!(apply(folder, &one).await, milk(Action::Update, Cause::File));
    let green = changed("one bottle", "green");
    assert_eq!(apply(folder, &green).await, milk(Action::Replace, Cause::File));

    apply(folder, &[]).await;
    assert_eq!(fs::read_dir(folder).expect("a folder").count(), 0);
}

#[tokio::test]
async fn somebody_elses_note_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let theirs = folder.path().join("milk.note");
    fs::write(&theirs, "mine!").expect("written");
    let (plan, run) = planned(folder.path(), NOTES).await;
    assert_eq!(plan.summary().blocked, 1);
    assert!(!run.carry_out().await.is_complete());
    assert_eq!(fs::read_to_string(theirs).expect("there"), "mine!");
}

/// The page shows parts of the code that is compiled here, word for word.
#[test]
fn the_page_shows_this_code() {
    let page = include_str!("../../docs/design/planning.md");
    let code = include_str!("note.rs");
    let (_, section) = page.split_once("\n## Adding a kind\n").expect("the section");
    let shown: Vec<&str> = section
        .split("```rust\n")
        .skip(1)
        .filter_map(|rest| Some(rest.split_once("```")?.0))
        .collect();
    assert!(shown.len() >= 4, "{} parts are shown", shown.len());
    for part in shown {
        assert!(code.contains(part), "not in tests/engine/note.rs:\n{part}");
    }
}
