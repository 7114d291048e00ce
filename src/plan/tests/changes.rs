//! What the file, the record and the world say of one resource.

use serde_json::json;

use super::*;

fn a(colour: &str) -> Resource {
    want("box/a").field("colour", Want::is(colour))
}

fn change_of(plan: &Plan) -> (&Shown, &Shown, Cause) {
    let [change] = item(plan, "box/a").changes.as_slice() else {
        panic!("one change, not {:#?}", plan.items)
    };
    (&change.before, &change.after, change.cause)
}

fn text(value: &str) -> Shown {
    Shown::Value(value.into())
}

#[test]
fn what_was_never_made_is_created_for_the_file() {
    let plan = planned(&[a("red")], &World::default());
    assert_eq!(
        (action(&plan, "box/a"), item(&plan, "box/a").cause),
        (Action::Create, Some(Cause::File))
    );
}

#[test]
fn what_the_file_adds_has_its_place_in_it() {
    let desired = [want("box/a").origin(Origin::Line { file: "web.yaml".into(), line: 7 })];
    let plan = planned(&desired, &World::default());
    assert_eq!(item(&plan, "box/a").at.as_deref(), Some("web.yaml:7"));
}

#[test]
fn what_was_made_and_is_gone_is_created_for_drift() {
    let mut world = World::default();
    world.remembered.insert(id("box/a"), recorded(&a("red"), &[]));
    let plan = planned(&[a("red")], &world);
    assert_eq!(
        (action(&plan, "box/a"), item(&plan, "box/a").cause),
        (Action::Create, Some(Cause::Drift))
    );
}

#[test]
fn what_is_as_it_was_applied_stays() {
    let plan = planned(&[a("red")], &world([("box/a", applied(&a("red")).field("colour", "red"))]));
    assert!(plan.in_sync());
    assert_eq!(item(&plan, "box/a").changes, []);
}

#[test]
fn a_field_that_the_file_does_not_set_is_never_drift() {
    let seen = applied(&a("red")).field("weight", 7);
    assert!(planned(&[a("red")], &world([("box/a", seen)])).in_sync());
}

#[test]
fn the_file_changed_and_its_line_is_named() {
    let plan = planned(&[a("blue")], &world([("box/a", applied(&a("red")))]));
    assert_eq!(action(&plan, "box/a"), Action::Update);
    assert_eq!(change_of(&plan), (&text("red"), &text("blue"), Cause::File));
    assert_eq!(item(&plan, "box/a").changes[0].at.as_deref(), Some("topo.yaml:3:5"));
}

#[test]
fn the_world_drifted() {
    let seen = applied(&a("red")).field("colour", "green");
    let plan = planned(&[a("red")], &world([("box/a", seen)]));
    assert_eq!(action(&plan, "box/a"), Action::Update);
    assert_eq!(change_of(&plan), (&text("green"), &text("red"), Cause::Drift));
    assert_eq!(plan.summary().drifted, 1);
}

#[test]
fn both_at_once() {
    let seen = applied(&a("red")).field("colour", "green");
    let plan = planned(&[a("blue")], &world([("box/a", seen)]));
    assert_eq!(change_of(&plan), (&text("green"), &text("blue"), Cause::Both));
    assert_eq!(item(&plan, "box/a").cause, Some(Cause::Both));
}

#[test]
fn one_field_by_the_file_and_another_by_drift_are_both_too() {
    let was = a("red").field("weight", Want::is(1));
    let wanted = a("blue").field("weight", Want::is(1));
    let plan = planned(&[wanted], &world([("box/a", applied(&was).field("weight", 2))]));
    let causes: Vec<Cause> =
        item(&plan, "box/a").changes.iter().map(|change| change.cause).collect();
    assert_eq!(causes, [Cause::File, Cause::Drift]);
    assert_eq!(item(&plan, "box/a").cause, Some(Cause::Both));
}

#[test]
fn a_field_that_left_the_file_is_shown_as_going() {
    let plan = planned(&[want("box/a")], &world([("box/a", applied(&a("red")))]));
    assert_eq!(change_of(&plan), (&text("red"), &Shown::Absent, Cause::File));
}

#[test]
fn drift_that_the_observer_found_names_who_did_it() {
    let mut seen = applied(&a("red"));
    seen.drift.push(Drifted {
        path: "labels.team".to_owned(),
        live: json!("them"),
        applied: json!(null),
        by: Some("kubectl-edit".to_owned()),
    });
    let plan = planned(&[a("red")], &world([("box/a", seen)]));
    assert_eq!(action(&plan, "box/a"), Action::Update);
    assert_eq!(change_of(&plan), (&text("them"), &Shown::Absent, Cause::Drift));
    assert_eq!(item(&plan, "box/a").changes[0].by.as_deref(), Some("kubectl-edit"));
}

#[test]
fn drift_inside_a_field_that_forces_a_replace_forces_it() {
    let mut seen = applied(&a("red"));
    let (live, applied) = (json!(1), json!(2));
    seen.drift.push(Drifted { path: "shape.corners".to_owned(), live, applied, by: None });
    let plan = planned(&[a("red")], &world([("box/a", seen)]));
    assert_eq!(action(&plan, "box/a"), Action::Replace);
}

#[test]
fn a_field_can_force_a_replace() {
    let shaped = |shape: &str| want("box/a").field("shape", Want::is(shape));
    let plan = planned(&[shaped("round")], &world([("box/a", applied(&shaped("square")))]));
    assert_eq!(action(&plan, "box/a"), Action::Replace);
    assert!(item(&plan, "box/a").changes[0].forces_replace);
}

#[test]
fn what_came_about_by_other_hands_is_not_replaced() {
    let shaped = |shape: &str| want("box/a").field("shape", Want::is(shape));
    let seen = applied(&shaped("square")).field("shape", "round");
    assert!(planned(&[shaped("round")], &world([("box/a", seen)])).in_sync());
}

fn secret(value: &str) -> Value {
    key().seal(value)
}

/// A box whose `config` has a secret deep inside.
fn locked(value: Value) -> Resource {
    want("box/a")
        .field("config", Want::Is(json!({ "args": ["open", value], "outer": [{ "n": 1 }] })))
}

#[test]
fn a_secret_is_compared_by_its_seal_and_never_shown() {
    let seen = applied(&locked(secret("hunter2")));
    let world = world([("box/a", seen)]);
    assert!(planned(&[locked(secret("hunter2"))], &world).in_sync());

    let plan = planned(&[locked(secret("swordfish"))], &world);
    assert_eq!(change_of(&plan), (&Shown::Sensitive, &Shown::Sensitive, Cause::File));
    assert_eq!(item(&plan, "box/a").changes[0].path, "config.args[1]");
    let json = serde_json::to_string(&plan).expect("serialises");
    assert!(!json.contains("hmac"), "{json}");
}

#[test]
fn not_even_the_seal_of_a_secret_that_left_the_file_is_shown() {
    let plan = planned(&[want("box/a")], &world([("box/a", applied(&locked(secret("x"))))]));
    assert!(!serde_json::to_string(&plan).expect("serialises").contains("hmac"));
}

#[test]
fn what_an_earlier_topo_recorded_in_the_clear_is_sealed_and_never_shown() {
    let mut record = recorded(&locked(json!("hunter2")), &[]);
    record.sealed = false;
    let world = world([("box/a", Seen::mine(record))]);
    for (wanted, changes) in [
        (locked(secret("hunter2")), 1),
        (locked(secret("swordfish")), 1),
        (locked(json!("open now")), 1),
        (want("box/a").field("config", Want::Is(json!({ "outer": "hunter2 was here" }))), 2),
        (want("box/a"), 1),
    ] {
        let plan = planned(&[wanted], &world);
        let item = item(&plan, "box/a");
        assert_eq!((item.action, item.changes.len()), (Action::Update, changes), "{item:#?}");
        assert!(item.changes.iter().all(|change| change.before == Shown::Sensitive), "{item:#?}");
    }
}

#[test]
fn what_is_only_sealed_again_is_never_a_reason_to_replace() {
    let shaped = |shape: Value| want("box/a").field("shape", Want::Is(json!([shape])));
    let elsewhere = SecretKey::new(b"of another machine").seal("hunter2");
    for recorded in [json!("hunter2"), elsewhere] {
        let world = world([("box/a", applied(&shaped(recorded)))]);
        let plan = planned(&[shaped(secret("hunter2"))], &world);
        assert_eq!(action(&plan, "box/a"), Action::Update);
        assert!(!item(&plan, "box/a").changes[0].forces_replace);
        let rotated = planned(&[shaped(secret("swordfish"))], &world_of("hunter2", shaped));
        assert_eq!(action(&rotated, "box/a"), Action::Replace);
    }
}

fn world_of(value: &str, shaped: impl Fn(Value) -> Resource) -> World {
    world([("box/a", applied(&shaped(secret(value))))])
}

#[test]
fn a_change_inside_of_a_field_has_the_path_and_the_line_that_the_file_has() {
    let deep = |n: u8| want("box/a").field("config", Want::Is(json!({ "outer": [{ "n": n }] })));
    let world = world([("box/a", applied(&deep(1)))]);
    let places = |path: &str| (path == "box/a.outer.0").then(|| "topo.yaml:7:3".to_owned());
    let desired = [deep(2)];
    let request = Request {
        topology: "test",
        desired: &desired,
        world: &world,
        tables: &table_of,
        places: &places,
        key: &key(),
        replace: &[],
        take: &[],
    };
    let plan = plan(&request).expect("a plan");
    let change = &item(&plan, "box/a").changes[0];
    assert_eq!(change.path, "outer[0].n");
    assert_eq!((&change.before, &change.after), (&Shown::Value(1.into()), &Shown::Value(2.into())));
    assert_eq!(change.at.as_deref(), Some("topo.yaml:7:3"));
}

#[test]
fn a_choice_of_topo_is_kept() {
    let auto = want("box/a").field("shape", Want::Auto);
    let kept = Seen::mine(recorded(&auto, &[("shape", json!("round"))]));
    assert!(planned(std::slice::from_ref(&auto), &world([("box/a", kept.clone())])).in_sync());

    let drifted = kept.clone().field("shape", "square");
    let plan = planned(std::slice::from_ref(&auto), &world([("box/a", drifted)]));
    assert_eq!(change_of(&plan), (&text("square"), &text("round"), Cause::Drift));

    let named = want("box/a").field("shape", Want::is("round"));
    assert!(planned(&[named], &world([("box/a", kept)])).in_sync());
}

#[test]
fn a_choice_that_was_never_made_changes_nothing_that_is_there() {
    let newer = want("box/a").field("shape", Want::Auto);
    assert!(planned(&[newer], &world([("box/a", applied(&want("box/a")))])).in_sync());
}

/// `box/a` takes its `colour` from `box/giver`, whose `size` unsettles what it gives.
fn after(size: u8) -> [Resource; 2] {
    let giver = want("box/giver").field("size", Want::is(size));
    [giver, want("box/a").field("colour", Want::After(id("box/giver"), "paint"))]
}

fn given(paint_now: &str, paint_then: &str) -> World {
    let [giver, taker] = after(1);
    let seen = Seen::mine(recorded(&taker, &[("colour", json!(paint_then))]));
    world([("box/giver", applied(&giver).output("paint", paint_now)), ("box/a", seen)])
}

#[test]
fn a_given_value_that_is_known_and_the_same_changes_nothing() {
    assert!(planned(&after(1), &given("red", "red")).in_sync());
}

#[test]
fn a_given_value_that_moved_is_drift_in_place() {
    let plan = planned(&after(1), &given("blue", "red"));
    assert_eq!(action(&plan, "box/a"), Action::Update);
    assert_eq!(change_of(&plan), (&text("red"), &text("blue"), Cause::Drift));
    assert_eq!(action(&plan, "box/giver"), Action::None);
}

#[test]
fn a_value_of_an_unsettled_giver_is_unknown_for_the_givers_reason() {
    let plan = planned(&after(2), &given("red", "red"));
    assert_eq!(action(&plan, "box/giver"), Action::Update);
    assert_eq!(change_of(&plan), (&text("red"), &Shown::Unknown(id("box/giver")), Cause::File));
    let json = serde_json::to_value(&item(&plan, "box/a").changes[0]).expect("serialises");
    assert_eq!(json["after"], json!({ "unknown": "box/giver" }));

    let mut stopped = given("red", "red");
    stopped.things.get_mut(&id("box/giver")).expect("there").state = State::Stopped;
    let plan = planned(&after(1), &stopped);
    assert_eq!(action(&plan, "box/giver"), Action::Start);
    assert_eq!(change_of(&plan), (&text("red"), &Shown::Unknown(id("box/giver")), Cause::Drift));
}

#[test]
fn what_a_giver_out_of_sight_gives_is_not_taken_for_another() {
    let [giver, taker] = after(1);
    let desired = [want("vault/cluster"), giver.bond(inside("vault/cluster")), taker.clone()];
    let mut seen = given("red", "red");
    seen.things.remove(&id("box/giver"));
    seen.add(id("vault/cluster"), applied(&desired[0]));
    seen.blind.insert(id("vault/cluster"), "connection refused".to_owned());
    let plan = planned(&desired, &seen);
    let taker_now = item(&plan, "box/a");
    assert_eq!((taker_now.action, &taker_now.changes), (Action::Deferred, &Vec::new()));
    let why = "`vault/cluster` cannot be inspected: connection refused";
    assert_eq!(taker_now.why.as_deref(), Some(why));

    let late = |paint: &str| {
        let paint = json!(paint);
        decide_late(&LateRequest {
            item: taker_now,
            resource: Some(&taker),
            world: &seen,
            key: &key(),
            given: &|_, _| Some(paint.clone()),
        })
    };
    assert_eq!(late("red"), Ok(Action::None));
    assert_eq!(late("blue"), Ok(Action::Update));

    // What the file changes is changed all the same.
    let [cluster, giver, _] = desired;
    let plan = planned(&[cluster, giver, taker.clone().field("size", Want::is(2))], &seen);
    assert_eq!(action(&plan, "box/a"), Action::Update);
}

#[test]
fn another_giver_of_the_same_value_changes_nothing() {
    let [giver, taker] = after(1);
    let seen = Seen::mine(recorded(&want("box/a").field("colour", Want::is("red")), &[]));
    let world = world([("box/giver", applied(&giver).output("paint", "red")), ("box/a", seen)]);
    assert!(planned(&[giver, taker], &world).in_sync());
}

#[test]
fn nothing_is_replaced_for_a_value_that_is_not_known_yet() {
    let [giver, _] = after(2);
    let taker = want("box/a").field("shape", Want::After(id("box/giver"), "paint"));
    let seen = Seen::mine(recorded(&taker, &[("shape", json!("round"))]));
    let giver_was = want("box/giver").field("size", Want::is(1));
    let world =
        world([("box/giver", applied(&giver_was).output("paint", "round")), ("box/a", seen)]);
    let plan = planned(&[giver, taker], &world);
    assert_eq!(action(&plan, "box/a"), Action::Deferred);
    assert!(why(&plan, "box/a").contains("box/giver"), "{}", why(&plan, "box/a"));
}

#[test]
fn what_stands_still_is_started_and_what_also_changed_is_updated() {
    let stopped = |resource: &Resource| applied(resource).state(State::Stopped);
    let plan = planned(&[a("red")], &world([("box/a", stopped(&a("red")))]));
    assert_eq!(
        (action(&plan, "box/a"), item(&plan, "box/a").cause),
        (Action::Start, Some(Cause::Drift))
    );

    let plan = planned(&[a("blue")], &world([("box/a", stopped(&a("red")))]));
    assert_eq!(
        (action(&plan, "box/a"), item(&plan, "box/a").cause),
        (Action::Update, Some(Cause::Both))
    );
}

#[test]
fn what_is_not_ready_is_waited_for_and_not_in_sync() {
    let seen = applied(&a("red")).state(State::Unready("0 of 1 ready".to_owned()));
    let plan = planned(&[a("red")], &world([("box/a", seen)]));
    assert_eq!(action(&plan, "box/a"), Action::None);
    assert_eq!(item(&plan, "box/a").waits.as_deref(), Some("0 of 1 ready"));
    assert!(!plan.in_sync());
}

#[test]
fn what_was_left_half_made_is_made_again_unasked_even_if_protected_and_precious() {
    let vault = want("vault/a").protect(true);
    let plan = planned(
        &[vault],
        &world([("vault/a", Seen::mine(Record::default()).state(State::Partial))]),
    );
    assert_eq!(
        (action(&plan, "vault/a"), item(&plan, "vault/a").asks.as_deref()),
        (Action::Replace, None)
    );
}

#[test]
fn replace_is_asked_for_by_name() {
    let world = world([("box/a", applied(&a("red")))]);
    let plan = try_plan(&[a("red")], &world, &[id("box/a")]).expect("a plan");
    assert_eq!(action(&plan, "box/a"), Action::Replace);
    assert_eq!(why(&plan, "box/a"), "asked for by --replace");
}

#[test]
fn replacing_something_precious_asks() {
    let vault = |shape: &str| want("vault/a").field("shape", Want::is(shape));
    let plan = planned(&[vault("round")], &world([("vault/a", applied(&vault("square")))]));
    assert_eq!(action(&plan, "vault/a"), Action::Replace);
    assert_eq!(
        item(&plan, "vault/a").asks.as_deref(),
        Some("replaces `vault/a`: everything in it will be lost")
    );
}

#[test]
fn what_is_protected_is_not_replaced() {
    let shaped = |shape: &str| want("box/a").field("shape", Want::is(shape)).protect(true);
    let plan = planned(&[shaped("round")], &world([("box/a", applied(&shaped("square")))]));
    assert_eq!(action(&plan, "box/a"), Action::Blocked);
    assert!(why(&plan, "box/a").contains("(shape)"), "{}", why(&plan, "box/a"));
}

#[test]
fn what_is_somebody_elses_blocks_before_any_diff() {
    let plan = planned(
        &[a("red")],
        &world([("box/a", Seen::foreign("a container of Ann's is called so"))]),
    );
    assert_eq!(action(&plan, "box/a"), Action::Blocked);
    assert_eq!(why(&plan, "box/a"), "a container of Ann's is called so");
}

fn taken(wanted: Resource, seen: Option<Seen>) -> Item {
    let id = wanted.id.clone();
    let things = seen.map(|seen| ("box/a", seen));
    let request = Request {
        topology: "test",
        desired: &[wanted],
        world: &world(things),
        tables: &table_of,
        places: &|_| None,
        key: &key(),
        replace: &[],
        take: std::slice::from_ref(&id),
    };
    item(&plan(&request).expect("a plan"), "box/a").clone()
}

#[test]
fn what_was_made_by_hand_is_taken_over_as_it_is_and_after_a_yes() {
    let stranger = || {
        let mut seen = Seen::foreign("Ann's").field("colour", "red").field("shape", "round");
        seen.uids = vec!["1".to_owned()];
        seen
    };
    let item = taken(a("red"), Some(stranger()));
    assert_eq!((item.action, item.changes.len()), (Action::Update, 0));
    assert_eq!(item.takes_over, ["1"]);
    let asks = item.asks.unwrap_or_default();
    assert!(asks.starts_with("takes over `box/a`"), "{asks}");

    let item = taken(a("blue"), Some(stranger()));
    assert_eq!((item.action, item.changes.len()), (Action::Update, 1), "what the file says");
    let item = taken(a("red"), Some(applied(&a("red"))));
    assert_eq!((item.action, item.takes_over), (Action::None, Vec::new()), "it is topo's by now");
}

#[test]
fn what_cannot_be_taken_over_as_it_is_is_not_changed() {
    let stranger = || {
        let mut seen = Seen::foreign("Ann's").field("shape", "round");
        seen.uids = vec!["1".to_owned()];
        Some(seen)
    };
    for (wanted, seen, why) in [
        (a("red"), None, "not found"),
        (a("red"), Some(Seen::borrowed()), "used as it is"),
        (a("red"), Some(Seen::foreign("Ann's")), "cannot be taken over: Ann's"),
        (want("box/a").field("shape", Want::is("square")), stranger(), "only replaced (shape)"),
        (want("box/a").field("shape", Want::Auto), stranger(), "leaves its `shape` to topo"),
    ] {
        let item = taken(wanted, seen);
        assert_eq!((item.action, &item.asks), (Action::Blocked, &None), "{why}");
        let said = item.why.unwrap_or_default();
        assert!(said.contains(why), "{said}");
    }
}

#[test]
fn what_existed_is_used_as_it_is_where_the_observer_says_that_it_serves() {
    let plan = |seen| planned(&[want("network/a")], &world([("network/a", seen)]));
    assert!(plan(Seen::borrowed()).in_sync());
    let unfit = plan(Seen::foreign("it has no subnet"));
    assert_eq!(action(&unfit, "network/a"), Action::Blocked);
    assert_eq!(why(&unfit, "network/a"), "it has no subnet");
}

#[test]
fn a_borrowed_thing_that_could_serve_only_after_a_replace_is_refused() {
    let wanted =
        want("network/a").field("shape", Want::is("round")).field("colour", Want::is("red"));
    let seen = Seen::borrowed().field("shape", "square").field("colour", "blue");
    let plan = planned(&[wanted], &world([("network/a", seen)]));
    assert_eq!(action(&plan, "network/a"), Action::Blocked);
    assert_eq!(item(&plan, "network/a").changes.len(), 1, "its colour is its owner's business");

    let seen = Seen::borrowed();
    let plan = try_plan(&[want("network/a")], &world([("network/a", seen)]), &[id("network/a")]);
    assert_eq!(action(&plan.expect("a plan"), "network/a"), Action::Blocked);
}

#[test]
fn what_is_only_looked_up_is_never_made() {
    let plan = planned(&[want("found/a")], &World::default());
    assert_eq!(action(&plan, "found/a"), Action::Deferred);
    assert!(planned(&[want("found/a")], &world([("found/a", Seen::foreign("Ann's"))])).in_sync());
}

#[test]
fn a_record_of_a_newer_topo_stops_everything() {
    let newer = Record { format: FORMAT + 1, ..recorded(&a("red"), &[]) };
    let seen = try_plan(&[a("red")], &world([("box/a", Seen::mine(newer.clone()))]), &[]);
    assert_eq!(
        seen.expect_err("refused"),
        PlanError::Newer { id: id("box/a"), format: FORMAT + 1 }
    );

    let mut world = World::default();
    world.remembered.insert(id("box/a"), newer);
    assert!(try_plan(&[], &world, &[]).is_err());
}

#[test]
fn a_record_survives_its_label() {
    let resource = want("box/a")
        .field("colour", Want::After(id("box/giver"), "paint"))
        .field("password", Want::Is(secret("hunter2")))
        .bond(inside("vault/v"))
        .protect(true);
    let record = recorded(&resource, &[("colour", json!("red"))]);
    let label = serde_json::to_string(&record).expect("serialises");
    assert!(!label.contains("hunter2"));
    assert_eq!(serde_json::from_str::<Record>(&label).expect("reads"), record);
    assert_eq!(record.needs, [inside("vault/v"), uses("box/giver")]);
}
