//! The images of the nodes.

use super::super::Topology;
use super::Rules;

pub(super) fn check(topology: &Topology, rules: &mut Rules) {
    let path = |at: usize| {
        if rules.places.has(&format!("images.{at}.name")) {
            format!("images.{at}.name")
        } else {
            format!("images.{at}")
        }
    };
    let names: Vec<(String, String)> = topology
        .images
        .iter()
        .enumerate()
        .map(|(at, image)| (path(at), image.name.canonical()))
        .collect();
    rules.unique("duplicate", "the image", names);
    for (at, image) in topology.images.iter().enumerate() {
        if image.build.is_some() && image.name.digest().is_some() {
            let problem = rules
                .error(
                    "image-reference",
                    &format!("images.{at}.name"),
                    "an image that is built cannot be named by its digest",
                )
                .help(format!("`{}:TAG`", image.name.name()));
            rules.report(problem);
        }
    }
}
