//! What the gateway's image is built from.

use serde_json::json;

use super::container::tools;
use crate::resources::base::docker::own_image::{ImageRole, OwnImage};
use crate::templates::{TemplateError, Templates};
use crate::topology::{Gateway, PublishBy};

pub const ROLE: ImageRole =
    ImageRole { whose: "the gateway's", key: "gateway.image", repository: "topo-gateway" };

pub fn own_image(gateway: &Gateway, templates: &Templates) -> Result<OwnImage, TemplateError> {
    OwnImage::of(ROLE, &gateway.image, |base| {
        let mut tools = tools(gateway);
        // The publisher is made of it too, and that sets rules in any mode.
        if gateway.publish_by == PublishBy::Kernel && !tools.contains(&"nft") {
            tools.push("nft");
        }
        let values = json!({ "base": base, "tools": tools });
        Ok(vec![
            ("Dockerfile", templates.render("gateway/Dockerfile", &values)?),
            ("install-tools", templates.render("gateway/install-tools", &values)?),
        ])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image_of(text: serde_json::Value) -> String {
        let gateway: Gateway = serde_json::from_value(text).expect("a gateway");
        own_image(&gateway, &Templates::new(None)).expect("renders").reference()
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
