//! What left the file.

use super::*;

fn ids(plan: &Plan) -> Vec<&str> {
    plan.items.iter().map(|item| item.id.as_str()).collect()
}

#[test]
fn what_left_the_file_is_deleted_dependents_first_by_the_recorded_edges() {
    let (a, b, c) =
        (want("box/a"), want("box/b").bond(uses("box/a")), want("box/c").bond(rests("box/b")));
    let world = world([("box/a", applied(&a)), ("box/b", applied(&b)), ("box/c", applied(&c))]);
    let plan = planned(&[], &world);
    assert_eq!(ids(&plan), ["box/c", "box/b", "box/a"]);
    assert!(
        plan.items
            .iter()
            .all(|item| item.action == Action::Delete && item.cause == Some(Cause::File))
    );
}

#[test]
fn what_is_not_topos_is_never_deleted() {
    let world = world([("network/a", Seen::borrowed()), ("box/b", Seen::foreign("Ann's"))]);
    assert_eq!(planned(&[], &world).items, []);
}

#[test]
fn what_lives_in_another_that_goes_needs_no_removal_of_its_own() {
    let (cluster, object) = (want("vault/c"), want("box/o").bond(inside("vault/c")));
    let world = world([("vault/c", applied(&cluster)), ("box/o", applied(&object))]);
    assert_eq!(ids(&planned(&[], &world)), ["vault/c"]);
    assert_eq!(ids(&planned(&[cluster], &world)), ["vault/c", "box/o"]);
}

#[test]
fn what_left_a_parent_that_is_made_anew_goes_with_it() {
    let cluster = |shape: &str| want("vault/c").field("shape", Want::is(shape));
    let object = want("box/o").bond(inside("vault/c"));
    let world = world([("vault/c", applied(&cluster("square"))), ("box/o", applied(&object))]);
    assert_eq!(ids(&planned(&[cluster("round")], &world)), ["vault/c"]);
}

#[test]
fn deleting_something_precious_asks() {
    let plan = planned(&[], &world([("vault/a", applied(&want("vault/a")))]));
    assert_eq!(
        item(&plan, "vault/a").asks.as_deref(),
        Some("deletes `vault/a`: everything in it will be lost")
    );
}

#[test]
fn what_a_thing_that_is_gone_has_left_behind_goes_once_it_is_not_wanted() {
    let (net, gone) = (want("box/net"), want("vault/v").bond(rests("box/net")));
    let mut world = world([("box/net", applied(&net))]);
    world.remembered.insert(id("vault/v"), recorded(&gone, &[]));
    world.leftovers.insert(id("vault/v"));
    let plan = planned(&[], &world);
    assert_eq!(ids(&plan), ["vault/v", "box/net"]);
    assert_eq!((action(&plan, "vault/v"), &item(&plan, "vault/v").asks), (Action::Delete, &None));
    assert_eq!(action(&planned(&[net, gone], &world), "vault/v"), Action::Create);
}

#[test]
fn what_is_protected_stays_with_all_that_it_needs() {
    let (net, vault) = (want("box/net"), want("vault/v").bond(rests("box/net")));
    let child = want("box/child").bond(holds("vault/v")).bond(uses("box/net")).protect(true);
    let world = world([
        ("box/net", applied(&net)),
        ("vault/v", applied(&vault)),
        ("box/child", applied(&child)),
        ("box/free", applied(&want("box/free").bond(uses("box/net")))),
    ]);
    let plan = planned(&[], &world);
    for kept in ["box/net", "vault/v", "box/child"] {
        assert_eq!(action(&plan, kept), Action::Blocked, "{kept}");
    }
    assert_eq!(action(&plan, "box/free"), Action::Delete);
    assert_eq!(why(&plan, "vault/v"), "`box/child`, which needs it, stays");
}

#[test]
fn what_a_refused_replace_still_needs_stays() {
    let on = |net: &str| want("box/g").field("shape", Want::is(net)).bond(rests(net)).protect(true);
    let world = world([("box/old", applied(&want("box/old"))), ("box/g", applied(&on("box/old")))]);
    let plan = planned(&[want("box/new"), on("box/new")], &world);
    assert_eq!(action(&plan, "box/g"), Action::Blocked);
    assert_eq!(action(&plan, "box/old"), Action::Blocked);
}

#[test]
fn what_left_the_file_while_it_cannot_be_seen_is_remembered_and_said() {
    let cluster = want("vault/c");
    let object = want("box/o").bond(inside("vault/c"));
    let mut world = world([("vault/c", applied(&cluster).state(State::Stopped))]);
    world.remembered.insert(id("box/o"), recorded(&object, &[]));

    let plan = planned(std::slice::from_ref(&cluster), &world);
    assert_eq!(action(&plan, "box/o"), Action::Deferred);
    assert_eq!(
        why(&plan, "box/o"),
        "it left the file, and `vault/c` cannot be inspected: it is stopped"
    );

    // Nothing needs the parent any more: it is not started, and what is in it goes with it.
    let plan = planned(&[], &world);
    assert_eq!(ids(&plan), ["vault/c"]);
    assert_eq!(action(&plan, "vault/c"), Action::Delete);
}

#[test]
fn nothing_is_taken_from_under_what_cannot_be_seen() {
    let cluster = want("vault/c");
    let object = want("box/o").bond(inside("vault/c")).bond(rests("box/net"));
    let mut world = world([
        ("vault/c", applied(&cluster).state(State::Stopped)),
        ("box/net", applied(&want("box/net"))),
    ]);
    world.remembered.insert(id("box/o"), recorded(&object, &[]));
    let plan = planned(&[cluster], &world);
    assert_eq!(action(&plan, "box/net"), Action::Deferred);
    assert_eq!(why(&plan, "box/net"), "`box/o`, which needs it, cannot be looked at yet");
}

#[test]
fn what_is_in_a_borrowed_place_that_does_not_answer_is_not_forgotten() {
    let mut world = world([("network/existing", Seen::borrowed())]);
    world.blind.insert(id("network/existing"), "connection refused".to_owned());
    let object = want("box/o").bond(inside("network/existing"));
    world.remembered.insert(id("box/o"), recorded(&object, &[]));
    let plan = planned(&[], &world);
    assert_eq!(action(&plan, "box/o"), Action::Deferred);
    assert!(!plan.in_sync());
}

#[test]
fn what_is_remembered_and_gone_needs_nothing() {
    let mut world = world([("vault/c", applied(&want("vault/c")))]);
    world.remembered.insert(id("box/o"), recorded(&want("box/o").bond(inside("vault/c")), &[]));
    assert!(planned(&[want("vault/c")], &world).in_sync());
}

#[test]
fn records_that_need_one_another_are_removed_all_the_same() {
    let (a, b) = (want("box/a").bond(uses("box/b")), want("box/b").bond(uses("box/a")));
    let world = world([("box/a", applied(&a)), ("box/b", applied(&b))]);
    let plan = planned(&[], &world);
    assert_eq!(plan.summary().delete, 2);
    let graph = steps(&plan, &[], &world);
    assert_eq!(graph.waits_for, [0, 0]);
}

#[test]
fn what_left_the_file_and_did_not_answer_is_said_unless_it_goes_with_its_holder() {
    let gateway = want("box/gateway");
    let mut world = world([("box/gateway", applied(&gateway))]);
    let port = want("box/port").bond(holds("box/gateway"));
    world.remembered.insert(id("box/port"), recorded(&port, &[]));
    world.blind.insert(id("box/port"), "exec is refused".to_owned());
    let plan = planned(std::slice::from_ref(&gateway), &world);
    assert_eq!(action(&plan, "box/port"), Action::Deferred);
    let said = "it left the file, and cannot be inspected: exec is refused";
    assert_eq!(why(&plan, "box/port"), said);
    assert_eq!(ids(&planned(&[], &world)), ["box/gateway"]);
}

#[test]
fn what_cannot_be_made_is_not_removed_and_nothing_that_is_on_it() {
    let shaped = |shape: &str| want("network/n").field("shape", Want::is(shape));
    let on_it = || want("vault/v").bond(rests("network/n"));
    let mut world =
        world([("network/n", applied(&shaped("square"))), ("vault/v", applied(&on_it()))]);
    let desired = [shaped("round"), on_it()];
    assert_eq!(action(&planned(&desired, &world), "vault/v"), Action::Replace);

    world.impossible.insert(id("network/n"), "others have that shape".to_owned());
    let plan = planned(&desired, &world);
    assert_eq!(action(&plan, "network/n"), Action::Blocked);
    assert_eq!(why(&plan, "network/n"), "others have that shape");
    assert_eq!(action(&plan, "vault/v"), Action::None);
    assert!(planned(&[shaped("square"), on_it()], &world).in_sync());

    let plan = planned(
        &[want("network/new")],
        &World { impossible: [(id("network/new"), "no".to_owned())].into(), ..World::default() },
    );
    assert_eq!(action(&plan, "network/new"), Action::Blocked);
}
