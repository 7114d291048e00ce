//! The images of the nodes.

use super::super::{Cluster, Guarded, Image, Topology, VariableName, is_for_docker};
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
    if topology.cluster.as_ref().is_some_and(Cluster::exists) && !topology.images.is_empty() {
        let problem = rules
            .misplaced(
                "existing-cluster",
                "images",
                "`images` is not supported for an existing cluster",
            )
            .help("remove `images`, and push them to a registry that the cluster pulls from")
            .related(rules.places.find("cluster.context"), "the existing cluster");
        rules.report(problem);
    }
    for (at, image) in topology.images.iter().enumerate() {
        if image.build.is_some() && image.name.digest().is_some() {
            let problem = rules
                .error(
                    "image-reference",
                    &format!("images.{at}.name"),
                    "an image that is built cannot have a digest in its name",
                )
                .write(format!("`{}:TAG`", image.name.name()));
            rules.report(problem);
        }
        arguments(at, image, rules);
        for (name, _) in secret_args(image).filter(|(name, _)| is_for_docker(name)) {
            let problem = rules
                .error(
                    "sensitive-argument",
                    &format!("images.{at}.args.{name}"),
                    format!("`{name}` cannot have a sensitive value: the `docker` program would use it for itself, so it could only be passed where every process of this machine can read it"),
                )
                .help(if name.to_uppercase().ends_with("_PROXY") {
                    "put the proxy into `proxies` of ~/.docker/config.json, which `docker build` passes on by itself"
                } else {
                    "give the argument another name"
                });
            rules.report(problem);
        }
    }
}

/// They are handed on as variables of the environment.
fn arguments(at: usize, image: &Image, rules: &mut Rules) {
    for (name, value) in image.build.iter().flat_map(|build| &build.args) {
        let path = format!("images.{at}.args.{name}");
        if let Err(fault) = name.parse::<VariableName>() {
            let problem = rules.misplaced("build-argument", &path, fault.what);
            rules.report(problem);
        } else if value.open().as_str().is_some_and(|value| value.contains('\0')) {
            let problem =
                rules.error("build-argument", &path, "a build argument cannot contain '\\0'");
            rules.report(problem);
        }
    }
}

fn secret_args(image: &Image) -> impl Iterator<Item = (&String, &Guarded)> {
    let args = image.build.iter().flat_map(|build| &build.args);
    args.filter(|(_, value)| value.is_secret())
}
