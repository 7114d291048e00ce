//! What happens to a resource because of another.

use super::*;

fn cluster(shape: &str) -> Resource {
    want("vault/cluster").field("shape", Want::is(shape))
}

fn object() -> Resource {
    want("box/object").field("colour", Want::is("red")).bond(inside("vault/cluster"))
}

#[test]
fn two_changes_at_once_one_of_which_replaces_the_parent_of_the_other() {
    let changed = object().field("colour", Want::is("blue"));
    let world =
        world([("vault/cluster", applied(&cluster("square"))), ("box/object", applied(&object()))]);
    let plan = planned(&[cluster("round"), changed], &world);
    assert_eq!(action(&plan, "vault/cluster"), Action::Replace);
    assert_eq!(action(&plan, "box/object"), Action::Create);
    assert_eq!(why(&plan, "box/object"), "`vault/cluster` is recreated");
}

#[test]
fn what_is_on_a_changed_thing_is_touched_and_what_is_beside_it_is_not() {
    let inner = want("box/inner").bond(holds("box/object"));
    let beside = want("box/beside");
    let all = [cluster("square"), object(), inner.clone(), beside.clone()];
    let seen = |colour: &str| {
        world([
            ("vault/cluster", applied(&cluster("square"))),
            ("box/object", applied(&object()).field("colour", colour)),
            ("box/inner", applied(&inner)),
            ("box/beside", applied(&beside)),
        ])
    };
    assert!(planned(&all, &seen("red")).touched().is_empty());
    let touched = planned(&all, &seen("blue")).touched();
    assert_eq!(touched, [id("box/object"), id("box/inner")].into());
}

#[test]
fn children_of_an_absent_parent_are_created() {
    let plan = planned(&[cluster("round"), object()], &World::default());
    assert_eq!(action(&plan, "box/object"), Action::Create);
}

#[test]
fn children_of_a_stopped_parent_are_deferred_also_when_it_changes_too() {
    for (wanted, parent) in [("square", Action::Start), ("square with a lid", Action::Replace)] {
        let stopped = applied(&cluster("square")).state(State::Stopped);
        let plan = planned(&[cluster(wanted), object()], &world([("vault/cluster", stopped)]));
        assert_eq!(action(&plan, "vault/cluster"), parent);
        let child = if parent == Action::Start { Action::Deferred } else { Action::Create };
        assert_eq!(action(&plan, "box/object"), child);
    }
    let coloured = |colour: &str| cluster("square").field("colour", Want::is(colour));
    let stopped = applied(&coloured("red")).state(State::Stopped);
    let plan = planned(&[coloured("blue"), object()], &world([("vault/cluster", stopped)]));
    assert_eq!(action(&plan, "vault/cluster"), Action::Update);
    assert_eq!(action(&plan, "box/object"), Action::Deferred);
    assert_eq!(why(&plan, "box/object"), "`vault/cluster` is stopped");
}

#[test]
fn what_is_in_a_blind_place_is_never_missing_and_what_is_in_that_neither() {
    let mut world = world([("vault/cluster", applied(&cluster("square")))]);
    world.blind.insert(id("vault/cluster"), "connection refused".to_owned());
    let inner = want("box/inner").bond(inside("box/object"));
    let held = want("box/held").bond(holds("box/object"));
    let plan = planned(&[cluster("square"), object(), inner, held], &world);
    for child in ["box/object", "box/inner", "box/held"] {
        assert_eq!(action(&plan, child), Action::Deferred, "{child}");
    }
    assert_eq!(why(&plan, "box/object"), "`vault/cluster` cannot be inspected: connection refused");
    assert!(!plan.in_sync());
}

#[test]
fn what_leaves_a_stopped_parent_is_not_missing_and_is_not_moved_on_a_guess() {
    let mut world = world([("vault/cluster", applied(&cluster("square")).state(State::Stopped))]);
    let inner = want("box/inner").bond(inside("box/object"));
    for resource in [object(), inner.clone()] {
        world.remembered.insert(resource.id.clone(), recorded(&resource, &[]));
    }
    let desired = [cluster("square"), want("box/object"), want("box/inner")];
    let plan = planned(&desired, &world);
    for hidden in ["box/object", "box/inner"] {
        assert_eq!(action(&plan, hidden), Action::Deferred, "{hidden}");
        assert_eq!(why(&plan, hidden), "`vault/cluster` is stopped", "{hidden}");
    }
    let late = |world: &World| {
        decide_late(&LateRequest {
            item: item(&plan, "box/object"),
            resource: Some(&desired[1]),
            world,
            key: &key(),
            given: &|_, _| None,
        })
    };
    let why = "it is stopped".to_owned();
    assert_eq!(late(&world), Err(Refusal::Closed(id("vault/cluster"), why)));
    world.things.insert(id("vault/cluster"), applied(&cluster("square")));
    assert_eq!(late(&world), Ok(Action::Create));
    world.add(id("box/object"), applied(&object()));
    assert!(matches!(late(&world), Err(Refusal::WouldReplace { .. })));
}

#[test]
fn what_rests_on_a_replaced_one_is_replaced_for_its_reason() {
    let net = |shape: &str| want("box/net").field("shape", Want::is(shape));
    let gateway = want("box/gateway").bond(rests("box/net"));
    let port = want("box/port").bond(holds("box/gateway"));
    let seen = [&net("square"), &gateway, &port].map(applied);
    let [n, g, p] = seen;
    let world = world([("box/net", n), ("box/gateway", g), ("box/port", p)]);
    let plan = planned(&[net("round"), gateway, port], &world);
    assert_eq!(action(&plan, "box/gateway"), Action::Replace);
    assert_eq!(item(&plan, "box/gateway").cause, Some(Cause::File));
    assert_eq!(why(&plan, "box/gateway"), "`box/net`, which it is on, is recreated");
    assert_eq!(action(&plan, "box/port"), Action::Create);
}

#[test]
fn what_only_uses_a_replaced_one_stays() {
    let net = |shape: &str| want("box/net").field("shape", Want::is(shape));
    let user = want("box/user").bond(uses("box/net"));
    let world = world([("box/net", applied(&net("square"))), ("box/user", applied(&user))]);
    assert_eq!(action(&planned(&[net("round"), user], &world), "box/user"), Action::None);
}

#[test]
fn what_moves_to_another_holder_is_replaced() {
    let held = |by: &str| want("box/port").bond(holds(by));
    let holders = [want("box/one"), want("box/two")];
    let world = world([
        ("box/one", applied(&holders[0])),
        ("box/two", applied(&holders[1])),
        ("box/port", applied(&held("box/one"))),
    ]);
    let [one, two] = holders;
    let plan = planned(&[one, two, held("box/two")], &world);
    assert_eq!(action(&plan, "box/port"), Action::Replace);
    assert_eq!(why(&plan, "box/port"), "it was made in `box/one`, and belongs elsewhere now");
}

#[test]
fn what_shall_no_longer_rest_on_another_is_replaced() {
    let was = want("box/gateway").bond(rests("box/net"));
    let world = world([("box/net", applied(&want("box/net"))), ("box/gateway", applied(&was))]);
    let plan = planned(&[want("box/net"), want("box/gateway")], &world);
    assert_eq!(why(&plan, "box/gateway"), "it was made on `box/net`, and belongs elsewhere now");
}

#[test]
fn what_was_not_made_in_an_absent_parent_does_not_vanish_with_it() {
    let object = want("box/object");
    let inner = want("box/inner").bond(inside("box/object"));
    let left = want("box/left").bond(inside("box/object"));
    let world = world([
        ("box/object", applied(&object)),
        ("box/inner", applied(&inner)),
        ("box/left", applied(&left)),
    ]);
    let moved = object.bond(inside("vault/cluster"));
    let plan = planned(&[cluster("round"), moved, inner], &world);
    assert_eq!(action(&plan, "box/object"), Action::Replace);
    assert_eq!(action(&plan, "box/inner"), Action::Create);
    assert_eq!(plan.item(&id("box/left")), None, "it goes with what it is in");
}

#[test]
fn a_protected_child_shelters_what_it_would_go_with() {
    let shares = object().protect(true);
    let world =
        world([("vault/cluster", applied(&cluster("square"))), ("box/object", applied(&shares))]);
    let plan = planned(&[cluster("round"), shares.clone()], &world);
    assert_eq!(action(&plan, "vault/cluster"), Action::Blocked);
    assert!(why(&plan, "vault/cluster").contains("`box/object`"));
    assert_eq!(action(&plan, "box/object"), Action::None);

    let mut closed = world.clone();
    closed.things.remove(&id("box/object"));
    closed.blind.insert(id("vault/cluster"), "stopped".to_owned());
    assert_eq!(
        action(&planned(&[cluster("round"), shares], &closed), "vault/cluster"),
        Action::Blocked
    );
}

#[test]
fn what_belongs_in_a_foreign_thing_is_blocked_with_it() {
    let plan =
        planned(&[cluster("round"), object()], &world([("vault/cluster", Seen::foreign("Ann's"))]));
    assert_eq!(action(&plan, "box/object"), Action::Blocked);
    assert_eq!(why(&plan, "box/object"), "it belongs in `vault/cluster`, which is blocked");
}

#[test]
fn a_foreign_thing_vanishes_with_what_it_is_inside_of_but_not_with_a_holder() {
    let held = want("box/held").bond(holds("vault/cluster"));
    let world = world([
        ("vault/cluster", applied(&cluster("square"))),
        ("box/object", Seen::foreign("Ann's")),
        ("box/held", Seen::foreign("Ann's")),
    ]);
    let plan = planned(&[cluster("round"), object(), held], &world);
    assert_eq!(action(&plan, "box/object"), Action::Create);
    assert_eq!(action(&plan, "box/held"), Action::Blocked);
}

#[test]
fn what_is_looked_up_in_a_place_that_is_made_first_is_deferred() {
    let service = want("found/service").bond(inside("vault/cluster"));
    let plan = planned(&[cluster("round"), service], &World::default());
    assert_eq!(action(&plan, "found/service"), Action::Deferred);
}

#[test]
fn taking_an_address_from_one_that_uses_it_asks_and_names_it() {
    let pool = |last: u8| {
        want("box/pool").field("size", Want::is(last)).takes(Span::new("v4", 1, last.into()))
    };
    let service = want("box/service");
    let mut seen = applied(&pool(9));
    seen.holds.push(Span::new("v4", 1, 9));
    seen.in_use.push((Span::new("v4", 2, 2), id("box/kept")));
    seen.in_use.push((Span::new("v4", 8, 8), id("box/service")));
    let world = world([("box/pool", seen), ("box/service", applied(&service))]);

    let plan = planned(&[pool(5), service.clone()], &world);
    let asks = item(&plan, "box/pool").asks.as_deref().unwrap_or_default();
    assert!(asks.contains("`box/service`") && !asks.contains("`box/kept`"), "{asks}");
    assert_eq!(item(&planned(&[pool(20), service], &world), "box/pool").asks, None);

    let plan = planned(&[pool(5)], &world);
    assert_eq!(action(&plan, "box/service"), Action::Delete);
    assert_eq!(item(&plan, "box/pool").asks, None, "what leaves too loses nothing");
}

#[test]
fn what_did_not_answer_is_neither_missing_nor_unchanged() {
    let desired = [want("box/gateway"), want("box/port").bond(holds("box/gateway"))];
    let mut world = world([("box/gateway", applied(&desired[0]))]);
    world.remembered.insert(id("box/port"), recorded(&desired[1], &[]));
    world.blind.insert(id("box/port"), "exec is refused".to_owned());
    let plan = planned(&desired, &world);
    assert_eq!(action(&plan, "box/gateway"), Action::None);
    assert_eq!(action(&plan, "box/port"), Action::Deferred);
    assert_eq!(why(&plan, "box/port"), "it cannot be inspected: exec is refused");

    let late = |world: &World| {
        decide_late(&LateRequest {
            item: item(&plan, "box/port"),
            resource: Some(&desired[1]),
            world,
            key: &key(),
            given: &|_, _| None,
        })
    };
    assert_eq!(late(&world), Err(Refusal::Unseen(id("box/port"), "exec is refused".to_owned())));
    world.blind.clear();
    assert_eq!(late(&world), Ok(Action::Create));
    world.add(id("box/port"), applied(&desired[1]));
    assert_eq!(late(&world), Ok(Action::None));
}
