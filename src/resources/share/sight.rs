//! What is there of shares: their volumes and claims, and what stands in their places.

use std::collections::BTreeMap;

use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::volume::{Pair, bound, kinds};
use super::{host, mount};
use crate::backend::kube::{Kube, KubeError, Target, Verdict};
use crate::plan::{Bond, Drifted, Id, Owner, Record, Seen, State, World};
use crate::resources::base::context::Context;
use crate::resources::base::kube::drift;
use crate::resources::base::kube::listing::{self, Listing};
use crate::resources::base::{ids, marks};
use crate::topology::Share;

/// Sees the volumes and claims of this topology's shares.
pub fn observe(cx: &Context, live: &Listing, world: &mut World) {
    let [volume_kind, claim_kind] = kinds();
    let mut found: BTreeMap<Id, [Option<&DynamicObject>; 2]> = BTreeMap::new();
    for (at, kind) in [volume_kind, claim_kind].iter().enumerate() {
        for object in live.of(kind) {
            let id = marks::kube_id(object).filter(|id| id.kind() == ids::SHARE);
            if let Some(id) = id.filter(|_| marks::is_mine(object, &cx.name)) {
                found.entry(id).or_default()[at] = Some(object);
            }
        }
    }
    let exported = cx.file.as_deref().map(host::entries).unwrap_or_default();
    for (id, [volume, claim]) in found {
        let record = volume.or(claim).and_then(marks::kube_record).unwrap_or_default();
        let mut seen = look_at(&cx.name, &id, record, volume, claim);
        if let Some(entry) = exported.get(id.name()) {
            seen.fields.set("exports", json!(entry));
        }
        world.add(id, seen);
    }
}

fn look_at(
    topology: &str,
    id: &Id,
    record: Record,
    volume: Option<&DynamicObject>,
    claim: Option<&DynamicObject>,
) -> Seen {
    let mut drifted = Vec::new();
    let is_whole = [volume, claim]
        .map(|object| object.is_some_and(|object| object.metadata.deletion_timestamp.is_none()));
    if is_whole != [true, true] {
        let what = match is_whole {
            [false, false] => "volume and claim are going",
            [false, true] => "the volume is gone or going",
            [true, _] => "the claim is gone or going",
        };
        let applied = record.fields.get("claim").cloned().unwrap_or_default();
        drifted.push(Drifted { path: "claim".into(), live: json!(what), applied, by: None });
    } else if let Some(pair) = Pair::of(topology, id, &record.fields) {
        let bodies = pair.bodies(&record.fields);
        for (part, body, object) in [("volume", &bodies[0], volume), ("claim", &bodies[1], claim)] {
            let Some(object) = object else { continue };
            drifted.extend(
                drift::drift(body, object)
                    .into_iter()
                    .map(|one| Drifted { path: format!("{part}.{}", one.path), ..one }),
            );
        }
    }
    let mut seen = Seen::mine(record);
    if let Verdict::NotYet(last) | Verdict::Failed(last) = bound(claim) {
        seen.state = State::Unready(last);
    }
    seen.drift = drifted;
    seen
}

/// Volumes and claims of others that stand where one of these belongs: named in a few lists.
pub async fn see_strangers(cx: &Context, kube: &Kube, world: &mut World) -> Result<(), KubeError> {
    let Some(topology) = cx.file.as_deref() else { return Ok(()) };
    let missing: Vec<&Share> = topology
        .shares
        .iter()
        .filter(|share| !world.things.contains_key(&ids::share(share.name.as_str())))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let [volume_kind, claim_kind] = kinds();
    let mut there = kube.marks_in(&volume_kind, None).await?;
    let mut namespaces: Vec<&str> =
        missing.iter().map(|share| share.claim.namespace.as_str()).collect();
    namespaces.sort_unstable();
    namespaces.dedup();
    for namespace in namespaces {
        there.extend(kube.marks_in(&claim_kind, Some(namespace)).await?);
    }
    for share in missing {
        let volume = mount::volume_name(topology.name.as_str(), share.name.as_str());
        let (namespace, name) = (share.claim.namespace.as_str(), share.claim_name());
        for (kind, namespace, name) in
            [(&volume_kind, None, volume.as_str()), (&claim_kind, Some(namespace), name)]
        {
            let target = Target { kind, namespace, name };
            let stranger = there.iter().find(|object| {
                object.metadata.name.as_deref() == Some(name)
                    && object.metadata.namespace.as_deref() == namespace
            });
            if let Some(stranger) = stranger {
                let whose = listing::foreign(stranger, &target);
                world.add(ids::share(share.name.as_str()), Seen::foreign(whose));
            }
        }
    }
    Ok(())
}

/// The shares that a workload in the cluster needs, by the claims that its pods name: it goes
/// before them.
pub fn held_by(world: &World, workload: &DynamicObject) -> Vec<Bond> {
    let namespace = workload.metadata.namespace.as_deref().unwrap_or_default();
    let spec = &workload.data["spec"];
    let pods = [spec, &spec["template"]["spec"], &spec["jobTemplate"]["spec"]["template"]["spec"]];
    let volumes = pods.into_iter().filter_map(|pod| pod["volumes"].as_array()).flatten();
    let claims: Vec<String> = volumes
        .filter_map(|volume| volume["persistentVolumeClaim"]["claimName"].as_str())
        .map(|claim| format!("{namespace}/{claim}"))
        .collect();
    let is_named = |seen: &Seen| {
        let Owner::Mine(record) = &seen.owner else { return false };
        let claim = record.fields.get("claim").and_then(Value::as_str);
        claim.is_some_and(|claim| claims.iter().any(|named| named == claim))
    };
    let shares = world.things.iter().filter(|(id, seen)| id.kind() == ids::SHARE && is_named(seen));
    let mut held: Vec<Id> = shares.map(|(id, _)| id.clone()).collect();
    held.sort_unstable();
    held.into_iter().map(Bond::Uses).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Fields;

    fn record() -> Record {
        let fields = Fields::new()
            .with("claim", json!("default/docs"))
            .with("path", json!("/docs"))
            .with("server", json!("172.22.0.9"))
            .with("access", json!("rw"))
            .with("size", json!("10Gi"))
            .with("mountOptions", json!(["hard"]));
        Record { fields, ..Record::default() }
    }

    /// Volume and claim as they were applied.
    fn pair() -> [DynamicObject; 2] {
        let record = record();
        let pair = Pair::of("dev", &ids::share("docs"), &record.fields).expect("a claim");
        pair.bodies(&record.fields).map(|mut body| {
            let mut owned = json!({});
            own(&body["spec"], &mut owned);
            body["metadata"]["managedFields"] = json!([{
                "manager": "topo", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1",
                "fieldsV1": { "f:spec": owned },
            }]);
            body["status"] = json!({ "phase": "Bound" });
            serde_json::from_value(body).expect("an object")
        })
    }

    fn own(value: &Value, owned: &mut Value) {
        for (name, value) in value.as_object().into_iter().flatten() {
            let mut inner = json!({});
            own(value, &mut inner);
            owned[format!("f:{name}")] = inner;
        }
    }

    fn seen(volume: Option<&DynamicObject>, claim: Option<&DynamicObject>) -> Seen {
        look_at("dev", &ids::share("docs"), record(), volume, claim)
    }

    #[test]
    fn what_is_as_it_was_applied_is_no_drift() {
        let [volume, claim] = pair();
        let seen = seen(Some(&volume), Some(&claim));
        assert_eq!(seen.drift, []);
        assert_eq!(seen.state, State::Ready);
    }

    #[test]
    fn options_that_somebody_else_set_are_drift_of_the_volume() {
        let [mut volume, claim] = pair();
        volume.data["spec"]["mountOptions"] = json!(["soft"]);
        let managed = volume.metadata.managed_fields.as_mut().expect("are there");
        let fields = &mut managed[0].fields_v1.as_mut().expect("are there").0;
        fields["f:spec"].as_object_mut().expect("a map").remove("f:mountOptions");
        let drift = seen(Some(&volume), Some(&claim)).drift;
        assert_eq!(drift.len(), 1);
        assert_eq!(drift[0].path, "volume.spec.mountOptions");
        assert_eq!(drift[0].applied, json!(["hard"]));
    }

    #[test]
    fn half_a_share_has_to_be_made_anew() {
        let [volume, claim] = pair();
        for half in [seen(Some(&volume), None), seen(None, Some(&claim))] {
            assert_eq!(
                super::super::TABLE.effect(&half.drift[0].path),
                crate::plan::Effect::Replace
            );
        }
    }

    #[test]
    fn a_workload_goes_before_the_shares_whose_claims_it_names() {
        let mut world = World::default();
        world.add(ids::share("docs"), Seen::mine(record()));
        let workload = |namespace: &str| -> DynamicObject {
            serde_json::from_value(json!({
                "metadata": { "name": "web", "namespace": namespace },
                "spec": { "template": { "spec": { "volumes": [
                    { "name": "docs", "persistentVolumeClaim": { "claimName": "docs" } },
                ] } } },
            }))
            .expect("an object")
        };
        assert_eq!(held_by(&world, &workload("default")), [Bond::Uses(ids::share("docs"))]);
        assert_eq!(held_by(&world, &workload("elsewhere")), []);
    }
}
