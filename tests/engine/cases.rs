//! One behaviour of the engine a test.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use topo::engine::{Event, Outcome, Report, StepPhase, Work};
use topo::plan::{Action, Bond, Id, Resource, Span, Table, Want};

use crate::fake::{Fake, Fault, HALF, Spot, id, want};

fn uses(name: &str) -> Bond {
    Bond::Uses(Id::new("box", name))
}

fn inside(name: &str) -> Bond {
    Bond::Inside(Id::new("box", name))
}

fn outcome<'a>(report: &'a Report, text: &str) -> &'a Outcome {
    let found = report.outcomes.iter().find(|(found, _)| *found == id(text));
    &found.unwrap_or_else(|| panic!("`{text}` is not in {:#?}", report.outcomes)).1
}

fn skipped(why: &str) -> Outcome {
    Outcome::Skipped(why.to_owned())
}

/// Two chains: `a <- b <- c` and `x <- y`.
fn two_chains() -> Vec<Resource> {
    vec![
        want("a"),
        want("b").bond(uses("a")),
        want("c").bond(uses("b")),
        want("x"),
        want("y").bond(uses("x")),
    ]
}

fn told(mut events: UnboundedReceiver<Event>) -> Vec<String> {
    let mut lines = Vec::new();
    while let Ok(event) = events.try_recv() {
        lines.extend(match event {
            Event::Step { id, action, phase, detail, .. } => Some(
                format!("{id} {action} {phase:?} {}", detail.unwrap_or_default())
                    .trim_end()
                    .to_owned(),
            ),
            Event::Failed { id, failure, .. } => Some(format!("{id} failed: {failure}")),
            Event::Progress { .. } | Event::Warning { .. } => None,
        });
    }
    lines
}

#[tokio::test]
async fn a_failure_skips_its_descendants_and_siblings_finish() {
    let fake = Fake::new();
    fake.fault(id("box/a"), Spot::BeforeChange, Fault::Fail);
    let (run, events) = fake.run(&two_chains());
    let report = run.carry_out().await;
    assert!(matches!(outcome(&report, "box/a"), Outcome::Failed(_)));
    assert_eq!(outcome(&report, "box/b"), &skipped("needs `box/a`, which failed"));
    assert_eq!(outcome(&report, "box/c"), &skipped("needs `box/a`, which failed"));
    assert_eq!(outcome(&report, "box/y"), &Outcome::Done(Action::Create));
    assert!(!report.is_complete() && !report.interrupted);
    let told = told(events);
    assert!(told.contains(&"box/a failed: `box/a` does not want to".to_owned()), "{told:?}");
    assert!(
        told.contains(&"box/c create Skipped needs `box/a`, which failed".to_owned()),
        "{told:?}"
    );
}

#[tokio::test]
async fn a_panic_is_the_failure_of_its_step_alone() {
    let fake = Fake::new();
    fake.fault(id("box/a"), Spot::AfterChange, Fault::Panic);
    fake.fault(id("box/x"), Spot::Wait, Fault::Panic);
    let report = fake.apply(&two_chains()).await;
    let Outcome::Failed(failure) = outcome(&report, "box/a") else { panic!("{report:#?}") };
    assert!(failure.to_string().ends_with("a mistake in topo: out of cheese"), "{failure}");
    assert_eq!(outcome(&report, "box/y"), &skipped("needs `box/x`, which failed"));
    assert_eq!(report.failures().count(), 2);
}

#[tokio::test]
async fn a_first_interrupt_finishes_what_runs_and_starts_nothing() {
    let fake = Fake::new();
    fake.interrupt_after(1, false);
    let report = fake.apply(&two_chains()).await;
    assert!(report.interrupted);
    assert_eq!(outcome(&report, "box/a"), &Outcome::Done(Action::Create));
    assert_eq!(outcome(&report, "box/x"), &Outcome::Done(Action::Create));
    assert_eq!(outcome(&report, "box/b"), &skipped("interrupted"));
    assert_eq!(report.failures().count(), 0);
}

#[tokio::test]
async fn what_was_removed_and_not_made_again_is_not_told_as_skipped() {
    let fake = Fake::new();
    fake.apply(&[want("a").field("shape", Want::is("round"))]).await;
    fake.interrupt_after(1, false);
    let (run, events) = fake.run(&[want("a").field("shape", Want::is("square"))]);
    let report = run.carry_out().await;
    assert_eq!(outcome(&report, "box/a"), &Outcome::Removed("interrupted".to_owned()));
    assert_eq!(report.lost, [id("box/a")]);
    assert!(report.interrupted && !report.changed_nothing());
    let told = told(events);
    assert_eq!(told.last().map(String::as_str), Some("box/a replace Removed interrupted"));
}

#[tokio::test]
async fn what_is_kept_for_others_is_not_told_as_removed() {
    let fake = Fake::new();
    fake.apply(&[want("kept")]).await;
    let (run, events) = fake.run(&[]);
    let report = run.carry_out().await;
    assert_eq!(outcome(&report, "box/kept"), &Outcome::Done(Action::None));
    assert!(report.is_complete() && report.changed_nothing());
    let told = told(events);
    assert_eq!(told.last().map(String::as_str), Some("box/kept none Done others use it"));
}

#[tokio::test]
async fn what_waits_for_its_place_when_the_interrupt_comes_is_not_started() {
    let fake = Fake::new();
    fake.interrupt_after(1, false);
    let desired: Vec<Resource> = (0..20).map(want).collect();
    let report = fake.apply(&desired).await;
    let done = report.outcomes.iter().filter(|(_, outcome)| matches!(outcome, Outcome::Done(_)));
    let skipped = report.outcomes.iter().filter(|(_, outcome)| *outcome == skipped("interrupted"));
    assert_eq!((done.count(), skipped.count()), (3, 17));
}

#[tokio::test]
async fn a_second_interrupt_drops_what_runs_even_if_it_hangs() {
    let fake = Fake::new();
    fake.fault(id("box/a"), Spot::BeforeChange, Fault::Hang);
    fake.fault(id("box/x"), Spot::Wait, Fault::Hang);
    let (run, mut events) = fake.run(&two_chains());
    let cancel = run.cancel.clone();
    let running = tokio::spawn(run.carry_out());
    tokio::time::sleep(Duration::from_millis(20)).await;
    cancel.finish();
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(!running.is_finished(), "the first interrupt waits for what runs");
    let mut said = Vec::new();
    while let Ok(event) = events.try_recv() {
        if let Event::Warning { id: None, message } = event {
            said.push(message);
        }
    }
    let what = "interrupted: waiting for `box/a`, `box/x` to finish; no other step is started; press Ctrl-C again to stop at once";
    assert_eq!(said, [what]);
    cancel.abort();
    let report = running.await.expect("ended");
    assert!(report.interrupted);
    assert_eq!(report.failures().count(), 2);
}

#[tokio::test]
async fn no_more_changes_run_at_once_than_asked_and_waits_do_not_count() {
    let mut fake = Fake::new();
    Arc::get_mut(&mut fake).expect("alone").slow = true;
    let desired: Vec<Resource> = (0..20).map(want).collect();
    assert!(fake.apply(&desired).await.is_complete());
    assert_eq!(fake.most_running(), 3);

    // Three waits that never end leave all three places free.
    let fake = Fake::new();
    for name in ["box/0", "box/1", "box/2"] {
        fake.fault(id(name), Spot::Wait, Fault::Hang);
    }
    let (run, mut events) = fake.run(&desired);
    let cancel = run.cancel.clone();
    let running = tokio::spawn(run.carry_out());
    let mut done = 0;
    while done < 17 {
        let event = events.recv().await.expect("still running");
        done += usize::from(matches!(event, Event::Step { phase: StepPhase::Done, .. }));
    }
    cancel.abort();
    assert_eq!(running.await.expect("ended").failures().count(), 3);
}

#[tokio::test]
async fn changes_that_are_gathered_into_one_do_not_count() {
    let mut fake = Fake::new();
    Arc::get_mut(&mut fake).expect("alone").slow = true;
    let desired: Vec<Resource> = (0..20).map(|at| want(format!("gathered-{at}"))).collect();
    assert!(fake.apply(&desired).await.is_complete());
    assert_eq!(fake.most_running(), 20);
}

#[tokio::test]
async fn a_wait_ends_at_its_deadline_and_says_what_it_last_saw() {
    let fake = Fake::new();
    fake.fault(id("box/a"), Spot::Wait, Fault::Hang);
    let (mut run, _events) = fake.run(&[want("a")]);
    run.timeout = Some(Duration::from_millis(20));
    let report = run.carry_out().await;
    let Outcome::Failed(failure) = outcome(&report, "box/a") else { panic!("{report:#?}") };
    assert_eq!(
        failure.to_string(),
        "`box/a` waited 0.02 s for it to settle: last seen: 0 of 1 ready"
    );
}

#[tokio::test]
async fn what_is_given_reaches_who_needs_it_and_moves_with_it() {
    let giver = |size: u8| want("giver").field("size", Want::is(size));
    let taker = || want("taker").field("colour", Want::After(id("box/giver"), "address"));
    let fake = Fake::new();
    assert!(fake.apply(&[giver(1), taker()]).await.is_complete());
    let given =
        |fake: &Fake| fake.live(&id("box/taker")).and_then(|live| live.get("colour").cloned());
    assert_eq!(given(&fake), Some(1.into()));

    assert!(fake.apply(&[giver(2), taker()]).await.is_complete());
    assert_ne!(given(&fake), Some(1.into()));
    assert!(fake.plan(&[giver(2), taker()]).0.in_sync());
}

#[tokio::test]
async fn a_value_that_comes_out_as_it_was_changes_nothing() {
    let giver = |shape: u8| want("giver").field("size", Want::is(shape));
    let desired = [giver(1), want("taker").field("colour", Want::After(id("box/giver"), "size"))];
    let fake = Fake::new();
    assert!(fake.apply(&desired).await.is_complete());
    fake.stop(&id("box/giver"));
    fake.changes();
    let (plan, _) = fake.plan(&desired);
    assert_eq!(plan.item(&id("box/taker")).map(|item| item.action), Some(Action::Update));

    let report = fake.apply(&desired).await;
    assert_eq!(outcome(&report, "box/taker"), &Outcome::Done(Action::None));
    assert_eq!(fake.changes(), [(id("box/giver"), Work::Start)]);
}

#[tokio::test]
async fn what_runs_is_stopped_before_what_it_uses_and_started_after_it() {
    let desired = &two_chains()[..3];
    let fake = Fake::new();
    assert!(fake.apply(desired).await.is_complete());
    fake.changes();
    let report = fake.halt().await;
    assert!(report.is_complete());
    assert_eq!(outcome(&report, "box/a"), &Outcome::Done(Action::Stop));
    assert_eq!(fake.changes(), ["c", "b", "a"].map(|name| (Id::new("box", name), Work::Stop)));
    assert!(fake.halt().await.outcomes.is_empty());

    assert!(fake.apply(desired).await.is_complete());
    assert_eq!(fake.changes(), ["a", "b", "c"].map(|name| (Id::new("box", name), Work::Start)));
}

#[tokio::test]
async fn what_was_behind_a_stopped_parent_is_looked_for_once_and_left_as_it_is() {
    let children = (0..20).map(|at| want(format!("child-{at:02}")).bond(inside("parent")));
    let desired: Vec<Resource> = [want("parent")].into_iter().chain(children).collect();
    let fake = Fake::new();
    assert!(fake.apply(&desired).await.is_complete());
    fake.stop(&id("box/parent"));
    fake.changes();
    let report = fake.apply(&desired).await;
    assert!(report.is_complete());
    assert_eq!(outcome(&report, "box/child-00"), &Outcome::Done(Action::None));
    assert_eq!(fake.changes(), [(id("box/parent"), Work::Start)]);
    assert_eq!(fake.looks(), 1);
}

#[tokio::test]
async fn what_turns_out_to_need_a_replace_is_left_alone_and_said() {
    let child = |shape: u8| want("child").field("shape", Want::is(shape)).bond(inside("parent"));
    let fake = Fake::new();
    assert!(fake.apply(&[want("parent"), child(1)]).await.is_complete());
    fake.stop(&id("box/parent"));
    let report = fake.apply(&[want("parent"), child(2)]).await;
    let Outcome::Failed(failure) = outcome(&report, "box/child") else { panic!("{report:#?}") };
    assert_eq!(
        failure.message,
        "`box/child` would have to be replaced, which the plan could not show: its `shape` is another now"
    );
    assert!(failure.hint.is_some());
    assert!(fake.apply(&[want("parent"), child(2)]).await.is_complete());
}

#[tokio::test]
async fn what_left_the_file_behind_a_stopped_parent_is_removed_by_the_next_apply() {
    let fake = Fake::new();
    assert!(
        fake.apply(&[want("parent"), want("child").bond(inside("parent"))]).await.is_complete()
    );
    fake.stop(&id("box/parent"));
    let report = fake.apply(&[want("parent")]).await;
    assert!(matches!(outcome(&report, "box/child"), Outcome::Failed(_)));
    assert!(fake.apply(&[want("parent")]).await.is_complete());
    assert_eq!(fake.ids(), [id("box/parent")]);
}

#[tokio::test]
async fn what_is_blocked_fails_with_its_reason_and_is_not_touched() {
    let shaped = |shape: u8| want("a").field("shape", Want::is(shape)).protect(true);
    let fake = Fake::new();
    assert!(fake.apply(&[shaped(1)]).await.is_complete());
    fake.changes();
    let report = fake.apply(&[shaped(2), want("b").bond(uses("a"))]).await;
    let Outcome::Failed(failure) = outcome(&report, "box/a") else { panic!("{report:#?}") };
    assert!(failure.message.contains("protected"), "{failure}");
    assert_eq!(outcome(&report, "box/b"), &skipped("needs `box/a`, which failed"));
    assert_eq!(fake.changes(), []);
}

#[tokio::test]
async fn destroy_goes_on_past_failures_and_leaves_what_they_stand_on() {
    let fake = Fake::new();
    assert!(fake.apply(&two_chains()).await.is_complete());
    fake.fault(id("box/c"), Spot::BeforeChange, Fault::Fail);
    fake.fault(id("box/y"), Spot::BeforeChange, Fault::Fail);
    let report = fake.apply(&[]).await;
    assert_eq!(report.failures().count(), 2);
    assert_eq!(outcome(&report, "box/b"), &skipped("`box/c`, which needs it, is still there"));
    assert_eq!(fake.ids().len(), 5);
    assert!(fake.apply(&[]).await.is_complete());
    assert_eq!(fake.ids(), []);
}

#[tokio::test]
async fn a_replace_that_fails_halfway_is_told_once() {
    let shaped = |shape: u8| want("a").field("shape", Want::is(shape));
    let fake = Fake::new();
    assert!(fake.apply(&[shaped(1)]).await.is_complete());
    fake.fault(id("box/a"), Spot::BeforeChange, Fault::Fail);
    let (run, events) = fake.run(&[shaped(2)]);
    assert_eq!(run.carry_out().await.failures().count(), 1);
    assert_eq!(told(events), ["box/a replace Started", "box/a failed: `box/a` does not want to"]);
}

#[tokio::test]
async fn every_step_that_was_told_to_start_is_told_to_end() {
    let fake = Fake::new();
    let (run, events) = fake.run(&[want("a")]);
    assert!(run.carry_out().await.is_complete());
    assert_eq!(told(events), ["box/a create Started", "box/a create Waiting", "box/a create Done"]);
}

#[tokio::test]
async fn what_came_of_a_step_is_told_with_its_end() {
    let fake = Fake::new();
    let (run, events) = fake.run(&[want("telling")]);
    assert!(run.carry_out().await.is_complete());
    assert_eq!(
        told(events).last().map(String::as_str),
        Some("box/telling create Done as good as new")
    );
}

#[tokio::test]
async fn frees_come_before_takes() {
    let pool = |name: &str, first: u128, last: u128| {
        want(name)
            .field("range", Want::is(format!("{first}-{last}")))
            .takes(Span::new("v4", first, last))
    };
    let fake = Fake::new();
    assert!(fake.apply(&[pool("z", 1, 9), pool("a", 20, 29)]).await.is_complete());
    assert!(fake.apply(&[pool("z", 1, 4), pool("a", 5, 29)]).await.is_complete());
    assert!(fake.apply(&[pool("b", 1, 29)]).await.is_complete());
    assert_eq!(fake.complaints(), Vec::<String>::new());
}

/// `staged` can be half made for a long time; `early` needs no more of it, `late` needs it whole.
fn staged() -> Vec<Resource> {
    vec![
        want("staged"),
        want("early").bond(inside("staged")).from_stage(id("box/staged"), HALF),
        want("then").bond(uses("early")),
        want("late").bond(inside("staged")),
    ]
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..500 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("never came: {what}");
}

#[tokio::test]
async fn what_needs_a_stage_does_not_wait_for_the_end() {
    let fake = Fake::new();
    fake.fault(id("box/staged"), Spot::AfterStage, Fault::Halt);
    let running = tokio::spawn(fake.run(&staged()).0.carry_out());
    until("what needs half of it, and what needs that", || fake.ids().contains(&id("box/then")))
        .await;
    assert!(!fake.ids().contains(&id("box/late")));
    fake.halted.notify_one();
    let report = running.await.expect("ended");
    assert!(report.is_complete(), "{report:#?}");
    assert!(fake.ids().contains(&id("box/late")));
    assert_eq!(fake.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn what_went_ahead_is_called_back_when_the_other_fails() {
    let fake = Fake::new();
    fake.fault(id("box/staged"), Spot::AfterStage, Fault::HaltAndFail);
    fake.fault(id("box/early"), Spot::Wait, Fault::Hang);
    let running = tokio::spawn(fake.run(&staged()).0.carry_out());
    until("what went ahead", || fake.ids().contains(&id("box/early"))).await;
    fake.halted.notify_one();
    let report = running.await.expect("ended, though one hung");
    assert!(matches!(outcome(&report, "box/staged"), Outcome::Failed(_)));
    for left in ["box/early", "box/then", "box/late"] {
        assert_eq!(outcome(&report, left), &skipped("needs `box/staged`, which failed"), "{left}");
    }
}

#[tokio::test]
async fn a_stage_that_is_never_announced_is_met_by_the_end() {
    let fake = Fake::new();
    let desired =
        vec![want("plain"), want("early").bond(uses("plain")).from_stage(id("box/plain"), HALF)];
    assert!(fake.apply(&desired).await.is_complete());
    assert_eq!(fake.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn what_is_only_changed_waits_for_the_end() {
    let fake = Fake::new();
    assert!(fake.apply(&staged()).await.is_complete());
    fake.stop(&id("box/staged"));
    fake.fault(id("box/staged"), Spot::AfterStage, Fault::Halt);
    fake.changes();
    let running = tokio::spawn(fake.run(&staged()).0.carry_out());
    until("the start", || !fake.changes().is_empty()).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(fake.looks(), 0, "what is hidden in it is looked for when it is whole");
    fake.halted.notify_one();
    assert!(running.await.expect("ended").is_complete());
}

#[tokio::test]
async fn what_waits_for_something_from_elsewhere_is_pending_and_holds_nothing_up() {
    static FOUND: Table = Table { lookup: true, ..Table::plain("found") };
    let found = Id::new("found", "it");
    let desired = [
        Resource::new(found.clone(), &FOUND),
        want("taker")
            .field("address", Want::After(found.clone(), "address"))
            .bond(Bond::Uses(found)),
        want("after").bond(uses("taker")),
    ];
    let fake = Fake::new();
    let report = fake.apply(&desired).await;
    let why = "`found/it` does not exist, and nothing in this file makes it".to_owned();
    assert_eq!(outcome(&report, "box/taker"), &Outcome::Pending(why));
    assert_eq!(outcome(&report, "found/it"), &Outcome::Done(Action::Deferred));
    assert_eq!(outcome(&report, "box/after"), &Outcome::Done(Action::Create));
    assert!(report.is_complete());
    assert_eq!(fake.changes(), [(id("box/after"), Work::Create)]);
    let (plan, _) = fake.plan(&desired);
    assert!(!plan.in_sync());
}
