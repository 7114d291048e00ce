//! The gateway's image: built on a base, or the user's own.

use std::collections::HashMap;

use serde_json::json;
use sha2::{Digest, Sha256};

use super::super::{Context, pulled};
use super::layout::{short, tools};
use crate::backend::docker::{
    AbsentIsFine, Archived, BuildRequest, Container, Error, Image, ImageDetails, Snapshot,
    build_context,
};
use crate::engine::{Failure, Turn};
use crate::templates::{TemplateError, Templates};
use crate::topology::{Gateway, GatewayImage};

const REPOSITORY: &str = "topo-gateway";

const READY_HINT: &str =
    "name an image that the engine has or can pull, or `{ base: … }` to have one built";

/// The reference of the image; one that is built is named after what it is built from.
pub fn reference(gateway: &Gateway, templates: &Templates) -> Result<String, TemplateError> {
    match &gateway.image {
        GatewayImage::Ready(image) => Ok(image.to_string()),
        GatewayImage::Base(base) => {
            let mut hash = Sha256::new();
            for (name, text) in recipe(base.as_str(), gateway, templates)? {
                hash.update(name);
                hash.update(text);
            }
            Ok(format!("{REPOSITORY}:{}", short(hash)))
        }
    }
}

/// What it is built from; nothing where it is the user's own.
pub fn files(
    gateway: &Gateway,
    templates: &Templates,
) -> Result<Vec<(&'static str, String)>, TemplateError> {
    match &gateway.image {
        GatewayImage::Ready(_) => Ok(Vec::new()),
        GatewayImage::Base(base) => Ok(recipe(base.as_str(), gateway, templates)?.into()),
    }
}

fn recipe(
    base: &str,
    gateway: &Gateway,
    templates: &Templates,
) -> Result<[(&'static str, String); 2], TemplateError> {
    let values = json!({ "base": base, "tools": tools(gateway) });
    Ok([
        ("Dockerfile", templates.render("gateway/Dockerfile", &values)?),
        ("install-tools", templates.render("gateway/install-tools", &values)?),
    ])
}

/// Makes sure that the engine has the image.
pub async fn ensure(cx: &Context, turn: &Turn, gateway: &Gateway) -> Result<(), Failure> {
    let failed = |error: &TemplateError| Failure::because("cannot make the gateway's image", error);
    let wanted = reference(gateway, &cx.templates).map_err(|error| failed(&error))?;
    let there = cx.docker.inspect_image(&wanted).await.if_present();
    let there =
        there.map_err(|error| Failure::because("cannot look for the gateway's image", &error))?;
    if there.is_some_and(|there| is_it(&gateway.image, &wanted, &there)) {
        return Ok(());
    }
    match &gateway.image {
        GatewayImage::Ready(image) => {
            pulled::ensure(cx, turn, image.as_str(), READY_HINT).await.map(drop)
        }
        GatewayImage::Base(base) => {
            let recipe = recipe(base.as_str(), gateway, &cx.templates);
            let recipe = recipe.map_err(|error| failed(&error))?;
            build(cx, turn, &wanted, &recipe).await
        }
    }
}

/// Whoever gives the tag of an image that topo built to another one does not give it this label.
const BUILT: &str = "dev.topo.built";

fn is_it(asked: &GatewayImage, wanted: &str, there: &ImageDetails) -> bool {
    match asked {
        GatewayImage::Ready(_) => true,
        GatewayImage::Base(_) => there.labels.get(BUILT).is_some_and(|built| built == wanted),
    }
}

/// The name that the container's image was asked for by. The engine forgets it once the name means
/// another image; if that was built alike, as by a topology that came at the same moment, all is well.
pub fn name_of<'a>(container: &'a Container, snapshot: &'a Snapshot) -> &'a str {
    let built = |image: &'a Image| image.labels.get(BUILT).map(String::as_str);
    let runs = snapshot.images.iter().find(|image| image.id == container.image_id);
    let name = runs.and_then(built).filter(|_| container.image.starts_with("sha256:"));
    let is_alike = |name: &&str| snapshot.image(name).is_none_or(|now| built(now) == Some(*name));
    name.filter(is_alike).unwrap_or(&container.image)
}

async fn build(
    cx: &Context,
    turn: &Turn,
    tag: &str,
    recipe: &[(&str, String)],
) -> Result<(), Failure> {
    let failed = |error: &Error| Failure::because("cannot build the gateway's image", error);
    let files: Vec<Archived> = recipe
        .iter()
        .map(|(name, text)| Archived { path: name, mode: 0o644, content: text.as_bytes() })
        .collect();
    let request = BuildRequest {
        tag,
        context: build_context(&files).map_err(|error| failed(&error))?,
        dockerfile: "Dockerfile",
        args: HashMap::new(),
        labels: [(BUILT.to_owned(), tag.to_owned())].into(),
    };
    cx.docker
        .build_image(request, |line| turn.say(format!("building its image: {line}")))
        .await
        .map_err(|error| {
            failed(&error).hint(
                "the base must be there or be pulled, and its package manager must reach its servers; or name a finished image with `gateway.image`",
            )
        })
}

/// Takes away the tag of an image that topo built, unless another gateway runs on it.
pub async fn forget(cx: &Context, image: &str) -> Result<(), Failure> {
    if !image.starts_with(&format!("{REPOSITORY}:")) {
        return Ok(());
    }
    let snapshot = cx.snapshot().await?;
    if snapshot.containers.iter().any(|container| container.image == image) {
        return Ok(());
    }
    let removed = cx.docker.remove_image(image).await.if_present();
    removed.map_err(|error| Failure::because(format!("cannot remove `{image}`"), &error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image_of(text: serde_json::Value) -> String {
        let gateway: Gateway = serde_json::from_value(text).expect("a gateway");
        reference(&gateway, &Templates::new(None)).expect("renders")
    }

    #[test]
    fn a_built_image_is_named_after_what_it_is_built_from() {
        let debian = image_of(json!({ "image": { "base": "debian:bookworm-slim" } }));
        assert!(debian.starts_with("topo-gateway:"));
        assert_eq!(debian, image_of(json!({ "publish": ["10000-10099"] })));
        assert_ne!(debian, image_of(json!({ "image": { "base": "alpine:3.22" } })));
        assert_ne!(debian, image_of(json!({ "ssh": { "listen": 122 } })));
    }

    #[test]
    fn a_finished_image_keeps_its_name() {
        assert_eq!(image_of(json!({ "image": "my/gw:1" })), "my/gw:1");
    }
}
