//! What holds for every topology, every world and every misfortune.

use std::sync::Arc;

use proptest::prelude::*;
use topo::engine::Outcome;
use topo::plan::{Action, Id, Item, Resource, Want};

use crate::fake::{Fake, id};
use crate::generate::{befall, edited, faults, interruption, mishaps, nodes, topology};

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(future)
}

/// Applies until nothing is left to do. More than once is needed only where a plan could not see
/// everything; a deferred thing may hide another.
async fn converge(fake: &Arc<Fake>, desired: &[Resource]) {
    for _ in 0..=desired.len() {
        let deferred =
            fake.plan(desired).0.items.iter().any(|item| item.action == Action::Deferred);
        let report = fake.apply(desired).await;
        assert!(deferred || report.is_complete(), "{:#?}", report.outcomes);
        if fake.plan(desired).0.in_sync() {
            return;
        }
        assert!(deferred, "{:#?} by a plan that saw everything", left(fake, desired));
    }
    panic!("{:#?}", left(fake, desired));
}

fn left(fake: &Fake, desired: &[Resource]) -> Vec<Item> {
    let items = fake.plan(desired).0.items.into_iter();
    items.filter(|item| item.action != Action::None).collect()
}

/// What is there is what is wanted, field by field, and nothing more.
fn is_as_wanted(fake: &Fake, desired: &[Resource]) {
    let mut ids: Vec<_> = desired.iter().map(|resource| resource.id.clone()).collect();
    ids.sort_unstable();
    assert_eq!(fake.ids(), ids);
    for resource in desired {
        let live = fake.live(&resource.id).expect("there");
        for (name, want) in resource.fields.iter() {
            if let Want::Is(value) = want {
                assert_eq!(live.get(name), Some(value), "{}.{name}", resource.id);
            }
        }
    }
    assert_eq!(fake.complaints(), Vec::<String>::new());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn whatever_is_applied_leaves_nothing_to_do(
        (before, after) in nodes().prop_flat_map(edited),
        mishaps in mishaps(),
    ) {
        let (before, after) = (topology(&before), topology(&after));
        let fake = Fake::new();
        block_on(async {
            converge(&fake, &before).await;
            is_as_wanted(&fake, &before);
            befall(&fake, &mishaps);
            converge(&fake, &after).await;
            is_as_wanted(&fake, &after);
            fake.changes();
            assert!(fake.apply(&after).await.is_complete());
            assert_eq!(fake.changes(), []);
        });
    }

    #[test]
    fn what_goes_wrong_is_mended_by_another_apply_and_destroy_leaves_nothing(
        (before, after) in nodes().prop_flat_map(edited),
        mishaps in mishaps(),
        faults in faults(),
        interruption in interruption(),
    ) {
        let (before, after) = (topology(&before), topology(&after));
        let fake = Fake::new();
        block_on(async {
            let misfortune = || {
                for (node, spot, fault) in &faults {
                    fake.fault(id(&format!("box/{node}")), *spot, *fault);
                }
                if let Some((changes, twice)) = interruption {
                    fake.interrupt_after(changes, twice);
                }
            };
            misfortune();
            fake.apply(&before).await;
            befall(&fake, &mishaps);
            misfortune();
            fake.apply(&after).await;
            fake.mend();
            converge(&fake, &after).await;
            is_as_wanted(&fake, &after);

            befall(&fake, &mishaps);
            misfortune();
            fake.apply(&[]).await;
            fake.mend();
            converge(&fake, &[]).await;
            is_as_wanted(&fake, &[]);
        });
    }

    #[test]
    fn a_plan_does_not_depend_on_the_order_of_the_file(
        (before, after) in nodes().prop_flat_map(edited),
        mishaps in mishaps(),
        swaps in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 8),
    ) {
        let (before, after) = (topology(&before), topology(&after));
        let mut shuffled = after.clone();
        for (a, b) in swaps.iter().filter(|_| !after.is_empty()) {
            shuffled.swap(a.index(after.len()), b.index(after.len()));
        }
        let fake = Fake::new();
        block_on(converge(&fake, &before));
        befall(&fake, &mishaps);
        let json = |desired: &[Resource]| serde_json::to_string(&fake.plan(desired).0).expect("serialises");
        prop_assert_eq!(json(&after), json(&shuffled));
    }

    #[test]
    fn a_plan_carried_out_twice_comes_to_the_same(
        (before, after) in nodes().prop_flat_map(edited),
    ) {
        let (before, after) = (topology(&before), topology(&after));
        let fake = Fake::new();
        block_on(async {
            converge(&fake, &before).await;
            let (plan, world) = fake.plan(&after);
            for _ in 0..2 {
                let (run, _told) = fake.run_of(plan.clone(), &after, world.clone());
                run.carry_out().await;
            }
            converge(&fake, &after).await;
            let mut ids: Vec<_> = after.iter().map(|resource| resource.id.clone()).collect();
            ids.sort_unstable();
            assert_eq!(fake.ids(), ids);
        });
    }

    #[test]
    fn what_goes_was_shown_and_what_does_not_come_back_is_told(
        (before, after) in nodes().prop_flat_map(edited),
        faults in faults(),
    ) {
        let (before, after) = (topology(&before), topology(&after));
        let fake = Fake::new();
        block_on(converge(&fake, &before));
        let there = fake.ids();
        let (plan, world) = fake.plan(&after);
        for (node, spot, fault) in &faults {
            fake.fault(id(&format!("box/{node}")), *spot, *fault);
        }
        let report = block_on(fake.apply(&after));
        let is_wanted = |id: &Id| after.iter().any(|resource| resource.id == *id);
        let lives_in = |id: &Id, all: &[Id]| {
            let mut open = vec![id.clone()];
            let mut met = Vec::new();
            while let Some(id) = open.pop() {
                if all.contains(&id) {
                    return true;
                }
                if !met.contains(&id) {
                    open.extend(world.record(&id).into_iter().flat_map(|record| record.holders().cloned()));
                    met.push(id);
                }
            }
            false
        };
        let goes = |item: &&Item| matches!(item.action, Action::Delete | Action::Replace);
        let shown: Vec<Id> = plan.items.iter().filter(goes).map(|item| item.id.clone()).collect();
        // A removal that fails may have taken effect all the same.
        let failed = report.failures().map(|(id, _)| id.clone());
        let told: Vec<Id> = report.lost.iter().cloned().chain(failed).collect();
        for gone in there.iter().filter(|id| fake.live(id).is_none()) {
            prop_assert!(lives_in(gone, &shown), "{gone} went unseen: {:#?}", plan.items);
            if is_wanted(gone) {
                let item = plan.item(gone).expect("is wanted");
                prop_assert!(item.action == Action::Replace || item.goes_with.is_some(), "{item:#?}");
prop_assert!(lives_in(gone, &told), "{gone} is not told: {report:#?}");
            }
        }
        for lost in &report.lost {
            prop_assert!(there.contains(lost) && is_wanted(lost), "{lost} is not lost");
        }
    }

    #[test]
    fn what_is_skipped_names_a_failure_that_there_was(
        nodes in nodes(),
        faults in faults(),
    ) {
        let desired = topology(&nodes);
        let fake = Fake::new();
        for (node, spot, fault) in &faults {
            fake.fault(id(&format!("box/{node}")), *spot, *fault);
        }
        let report = block_on(fake.apply(&desired));
        let failed: Vec<String> = report
            .failures()
            .map(|(id, _)| format!("needs `{id}`, which failed"))
            .collect();
        for (_, outcome) in &report.outcomes {
            if let Outcome::Skipped(why) = outcome {
                prop_assert!(failed.contains(why), "{why} is none of {failed:?}");
            }
        }
        prop_assert_eq!(report.outcomes.len(), desired.len());
    }
}
