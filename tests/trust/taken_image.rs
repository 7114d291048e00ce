//! The images of gateways are shared. One that goes takes the tag away just before another makes its
//! container, which is no reason to fail.

use std::sync::{Arc, OnceLock};

use crate::engine;
use crate::files::{File, base};
use crate::lane::Lane;
use crate::listing;
use crate::proxy::{Order, Watch};
use crate::rounds;

const BASE: &str = "topo-trust-base:taken";

#[test]
#[ignore = "needs the lab"]
fn an_image_that_is_taken_away_is_made_again() {
    rounds::one("taken-image", round);
}

fn round(lane: &Lane) -> Result<(), String> {
    let before = listing::of(lane);
    engine::docker(&["tag", &base(), BASE]);
    let file = File::built_on(BASE).write(lane);
    let taken = Arc::new(OnceLock::new());
    lane.topo_by(Order::Watch(thief(Arc::clone(&taken))), &["apply", &file])
        .ends(0, "the apply whose image was taken")?;
    let taken = taken.get().ok_or("no container was made")?;
    if !taken.starts_with("topo-gateway:") {
        return Err(format!("what was taken is {taken}"));
    }
    lane.topo(&["diff", &file]).ends(0, "the diff")?;

    lane.topo(&["destroy", "--yes", &file]).ends(0, "the destroy")?;
    let tags = engine::docker(&["images", "--format", "{{.Repository}}:{{.Tag}}"]);
    if tags.lines().any(|tag| tag == taken) {
        return Err(format!("{taken} is left"));
    }
    listing::same(&before, &listing::of(lane))
}

/// Takes the gateway's image away just before its container is made of it.
fn thief(taken: Arc<OnceLock<String>>) -> Watch {
    Box::new(move |call, body| {
        let is_gateways =
            call.what.starts_with("POST /containers/create") && call.what.ends_with("-gw");
        if let (true, Some(image)) = (is_gateways, image_of(body)) {
            taken.get_or_init(|| {
                engine::docker(&["rmi", &image]);
                image
            });
        }
    })
}

fn image_of(body: &[u8]) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    Some(body["Image"].as_str()?.to_owned())
}
