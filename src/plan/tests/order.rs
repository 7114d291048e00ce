//! The graph, and the order of steps.

use super::*;

/// Runs the steps one by one, always the first that may run, and names them.
fn walk(plan: &Plan, desired: &[Resource], world: &World) -> Vec<String> {
    let mut graph = steps(plan, desired, world);
    let mut walked = Vec::new();
    let mut open: Vec<usize> = (0..graph.steps.len()).rev().collect();
    while let Some(at) = open.iter().rposition(|step| graph.waits_for[*step] == 0) {
        let step = open.remove(at);
        let Step { item, phase } = graph.steps[step];
        let word = if phase == Phase::Remove { "remove" } else { "make" };
        walked.push(format!("{word} {}", plan.items[item].id.name()));
        for then in std::mem::take(&mut graph.followers[step]) {
            graph.waits_for[then] -= 1;
        }
    }
    assert!(open.is_empty(), "these wait for one another: {open:?} of {:?}", graph.steps);
    walked
}

fn before(walked: &[String], first: &str, then: &str) -> bool {
    let at = |step: &str| {
        walked
            .iter()
            .position(|walked| walked == step)
            .unwrap_or_else(|| panic!("no {step} in {walked:?}"))
    };
    at(first) < at(then)
}

#[test]
fn needs_come_first_and_ids_decide_the_rest_whatever_the_order_of_the_file() {
    let resources = [
        want("box/d"),
        want("box/a").bond(uses("box/c")),
        want("box/c").bond(uses("box/d")),
        want("box/b"),
    ];
    let mut reversed = resources.to_vec();
    reversed.reverse();
    for resources in [&resources[..], &reversed] {
        let order = Graph::of(resources).and_then(|graph| graph.order()).expect("an order");
        let names: Vec<&str> = order.iter().map(Id::name).collect();
        assert_eq!(names, ["b", "d", "c", "a"]);
    }
}

#[test]
fn a_circle_is_shown_with_every_member_in_order() {
    let resources = [
        want("box/a").bond(uses("box/b")),
        want("box/b").field("colour", Want::After(id("box/c"), "paint")),
        want("box/c").bond(rests("box/a")),
        want("box/d").bond(uses("box/a")),
    ];
    let error = Graph::of(&resources).and_then(|graph| graph.order()).expect_err("a circle");
    assert_eq!(error.to_string(), "dependency cycle: box/a -> box/b -> box/c -> box/a");
    let alone = [want("box/a").bond(uses("box/a"))];
    let error = Graph::of(&alone).and_then(|graph| graph.order()).expect_err("a circle");
    assert_eq!(error, GraphError::Cycle(vec![id("box/a")]));
}

#[test]
fn a_circle_at_the_end_of_a_long_chain_is_found() {
    let chain = (0..20_000)
        .map(|at| want(&format!("box/{at:05}")).bond(uses(&format!("box/{:05}", at + 1))));
    let resources: Vec<Resource> =
        chain.chain([want("box/20000").bond(uses("box/19999"))]).collect();
    let error = Graph::of(&resources).and_then(|graph| graph.order()).expect_err("a circle");
    assert_eq!(error, GraphError::Cycle(vec![id("box/19999"), id("box/20000")]));
}

#[test]
fn a_need_that_nobody_meets_is_named_and_so_is_a_resource_asked_for_twice() {
    let error = Graph::of(&[want("box/a").bond(uses("box/b"))]).expect_err("missing");
    assert_eq!(error.to_string(), "`box/a` needs `box/b`, which is not in this topology");
    let error = Graph::of(&[want("box/a"), want("box/b"), want("box/a")]).expect_err("twice");
    assert_eq!(error, GraphError::Twice(id("box/a")));
}

#[test]
fn edges_are_listed_once_each_in_order() {
    let resources = [
        want("box/a"),
        want("box/b").bond(uses("box/a")).field("colour", Want::After(id("box/a"), "paint")),
    ];
    let graph = Graph::of(&resources).expect("a graph");
    assert_eq!(graph.edges().collect::<Vec<_>>(), [(&id("box/a"), &id("box/b"))]);
}

#[test]
fn a_replaced_one_waits_until_what_rests_on_it_is_gone() {
    let net = |shape: &str| want("box/net").field("shape", Want::is(shape));
    let gateway = want("box/gateway").bond(rests("box/net"));
    let world = world([("box/net", applied(&net("square"))), ("box/gateway", applied(&gateway))]);
    let desired = [net("round"), gateway];
    let walked = walk(&planned(&desired, &world), &desired, &world);
    assert_eq!(walked, ["remove gateway", "remove net", "make net", "make gateway"]);
}

#[test]
fn one_that_goes_lets_go_of_what_it_used_before_that_is_changed() {
    let server = |size: &str| want("box/a-server").field("size", Want::is(size));
    let share = |name: &str, shape: &str| {
        want(name).field("shape", Want::is(shape)).bond(uses("box/a-server"))
    };
    let world = world([
        ("box/a-server", applied(&server("two"))),
        ("box/leaves", applied(&share("box/leaves", "square"))),
        ("box/replaced", applied(&share("box/replaced", "square"))),
    ]);
    let desired = [server("one"), share("box/replaced", "round")];
    let walked = walk(&planned(&desired, &world), &desired, &world);
    assert!(before(&walked, "remove leaves", "make a-server"), "{walked:?}");
    assert!(before(&walked, "remove replaced", "make a-server"), "{walked:?}");
    assert!(before(&walked, "make a-server", "make replaced"), "{walked:?}");
}

#[test]
fn one_that_moves_off_a_leaving_one_is_removed_before_it_by_the_recorded_edge() {
    let on = |net: &str| want("box/gateway").field("shape", Want::is(net)).bond(rests(net));
    let world = world([
        ("box/a-old", applied(&want("box/a-old"))),
        ("box/gateway", applied(&on("box/a-old"))),
    ]);
    let desired = [want("box/new"), on("box/new")];
    let walked = walk(&planned(&desired, &world), &desired, &world);
    assert!(before(&walked, "remove gateway", "remove a-old"), "{walked:?}");
}

#[test]
fn one_that_moves_out_of_a_replaced_holder_is_removed_before_it_whatever_their_names() {
    let moves = |old_id: &'static str| {
        let old = |shape: &str| want(old_id).field("shape", Want::is(shape));
        let port = |holder: &str| want("box/port").bond(holds(holder));
        let rule = want("box/rule").bond(inside("box/port"));
        let world = world([
            (old_id, applied(&old("square"))),
            ("box/port", applied(&port(old_id))),
            ("box/rule", applied(&rule)),
        ]);
        let desired = [old("round"), want("box/new"), port("box/new")];
        let plan = planned(&desired, &world);
        assert_eq!(action(&plan, "box/port"), Action::Replace);
        walk(&plan, &desired, &world)
    };
    for old in ["box/a-old", "box/z-old"] {
        let walked = moves(old);
        let remove_old = format!("remove {}", id(old).name());
        assert!(before(&walked, "remove port", &remove_old), "{walked:?}");
        assert!(before(&walked, "make new", "make port"), "{walked:?}");
    }
}

#[test]
fn what_was_made_in_a_stopped_holder_that_goes_is_made_elsewhere_only_after_it_is_gone() {
    let holder = want("box/z-holder");
    let mut world = world([("box/z-holder", applied(&holder).state(State::Stopped))]);
    let hidden = want("box/object").bond(inside("box/z-holder"));
    world.remembered.insert(id("box/object"), recorded(&hidden, &[]));
    let desired = [want("box/object")];
    let walked = walk(&planned(&desired, &world), &desired, &world);
    assert_eq!(walked, ["remove z-holder", "make object"]);
}

#[test]
fn a_replaced_one_lets_go_of_what_it_leaves_by_going() {
    let net = |size: u8| want("box/a-net").field("size", Want::is(size));
    let gateway = want("box/gateway").field("shape", Want::is("square")).bond(uses("box/a-net"));
    let world = world([("box/a-net", applied(&net(1))), ("box/gateway", applied(&gateway))]);
    let desired = [net(2), want("box/gateway").field("shape", Want::is("round"))];
    let walked = walk(&planned(&desired, &world), &desired, &world);
    assert_eq!(walked, ["remove gateway", "make a-net", "make gateway"]);
}

#[test]
fn what_vanishes_with_its_holder_is_still_gone_before_what_it_needs() {
    let (cluster, server) = (want("vault/c"), want("box/a-server"));
    let volume = want("box/volume").bond(inside("vault/c")).bond(uses("box/a-server"));
    let world = world([
        ("vault/c", applied(&cluster)),
        ("box/a-server", applied(&server)),
        ("box/volume", applied(&volume)),
    ]);
    let walked = walk(&planned(&[], &world), &[], &world);
    assert_eq!(walked, ["remove c", "remove a-server"]);
}

fn pool(name: &str, first: u128, last: u128) -> Resource {
    let bounds = format!("{first}-{last}");
    want(&format!("box/{name}"))
        .field("range", Want::is(bounds))
        .takes(Span::new("v4", first, last))
}

fn held(resource: &Resource) -> Seen {
    let mut seen = applied(resource);
    seen.holds.clone_from(&resource.takes);
    seen
}

#[test]
fn a_pool_is_shrunk_while_a_service_moves_out_of_it_and_frees_come_before_takes() {
    let service = |pool: &str| want("box/service").field("pool", Want::is(pool)).bond(uses(pool));
    let world = world([
        ("box/z-pool", held(&pool("z-pool", 1, 9))),
        ("box/b-pool", held(&pool("b-pool", 20, 29))),
        ("box/service", applied(&service("box/z-pool"))),
    ]);

    // The addresses go from one pool to the other, so the first must let go of them.
    let desired = [pool("z-pool", 1, 4), pool("b-pool", 5, 29), service("box/b-pool")];
    let walked = walk(&planned(&desired, &world), &desired, &world);
    assert_eq!(walked, ["make z-pool", "make b-pool", "make service"]);

    // Nobody takes them: the service lets go first.
    let desired = [pool("z-pool", 1, 4), pool("b-pool", 20, 29), service("box/b-pool")];
    let walked = walk(&planned(&desired, &world), &desired, &world);
    assert!(before(&walked, "make service", "make z-pool"), "{walked:?}");
}

#[test]
fn a_renamed_pool_frees_its_addresses_before_they_are_taken() {
    let world = world([("box/old", held(&pool("old", 1, 9)))]);
    let desired = [pool("new", 1, 9)];
    let walked = walk(&planned(&desired, &world), &desired, &world);
    assert_eq!(walked, ["remove old", "make new"]);
}

#[test]
fn pools_that_pass_their_addresses_around_in_a_circle_wait_for_nobody() {
    let world = world([
        ("box/a", held(&pool("a", 1, 9))),
        ("box/b", held(&pool("b", 10, 19))),
        ("box/c", held(&pool("c", 20, 29))),
    ]);
    let desired = [pool("a", 10, 19), pool("b", 20, 29), pool("c", 1, 9)];
    assert_eq!(walk(&planned(&desired, &world), &desired, &world).len(), 3);
}

#[test]
fn a_wide_span_waits_for_every_one_that_it_meets() {
    let world = world([
        ("box/wide", held(&pool("wide", 1, 100))),
        ("box/in", held(&pool("in", 200, 210))),
        ("box/on", held(&pool("on", 205, 300))),
    ]);
    let desired = [pool("wide", 202, 290)];
    let walked = walk(&planned(&desired, &world), &desired, &world);
    assert!(before(&walked, "remove in", "make wide") && before(&walked, "remove on", "make wide"));
}

#[test]
fn only_the_targets_and_all_they_wait_for() {
    let net = |shape: &str| want("box/net").field("shape", Want::is(shape));
    let gateway = want("box/gateway").bond(rests("box/net"));
    let other = want("box/other").bond(uses("box/net"));
    let world = world([("box/net", applied(&net("square"))), ("box/gateway", applied(&gateway))]);
    let desired = [net("round"), gateway, other];
    let named = |target: &str| {
        let plan = planned(&desired, &world).only(&[id(target)], &desired, &world);
        plan.items.iter().map(|item| item.id.name().to_owned()).collect::<Vec<_>>()
    };
    // The network cannot be removed under the gateway, though the gateway needs the network.
    assert_eq!(named("box/net"), ["net", "gateway"]);
    assert_eq!(named("box/other"), ["net", "gateway", "other"]);
}

#[test]
fn only_a_leaving_target_takes_along_what_needs_it() {
    let (a, b) = (want("box/a"), want("box/b").bond(uses("box/a")));
    let world =
        world([("box/a", applied(&a)), ("box/b", applied(&b)), ("box/c", applied(&want("box/c")))]);
    let plan = planned(&[], &world).only(&[id("box/a")], &[], &world);
    let names: Vec<&str> = plan.items.iter().map(|item| item.id.name()).collect();
    assert_eq!(names, ["b", "a"]);
}

#[test]
fn what_is_taken_out_of_a_stopped_holder_waits_until_that_is_started() {
    let gateway = want("box/gateway");
    let port = want("box/a-port").bond(holds("box/gateway"));
    let world = world([
        ("box/gateway", applied(&gateway).state(State::Stopped)),
        ("box/a-port", applied(&port)),
    ]);
    let desired = [gateway];
    let plan = planned(&desired, &world);
    assert_eq!(action(&plan, "box/gateway"), Action::Start);
    assert_eq!(walk(&plan, &desired, &world), ["make gateway", "remove a-port"]);

    // Of the port alone, the gateway is a part: otherwise there is nothing to take it out of.
    let only = plan.only(&[id("box/a-port")], &desired, &world);
    assert_eq!(walk(&only, &desired, &world), ["make gateway", "remove a-port"]);
}
