//! What the NFS server's image is built from.

use serde_json::json;

use crate::resources::base::docker::own_image::{ImageRole, OwnImage};
use crate::templates::{TemplateError, Templates};
use crate::topology::NfsServer;

pub const ROLE: ImageRole =
    ImageRole { whose: "the NFS server's", key: "nfsServer.image", repository: "topo-nfs-server" };

pub fn own_image(server: &NfsServer, templates: &Templates) -> Result<OwnImage, TemplateError> {
    OwnImage::of(ROLE, &server.image, |base| {
        let values = json!({ "base": base });
        Ok(vec![
            ("Dockerfile", templates.render("nfs-server/Dockerfile", &values)?),
            ("install-tools", templates.render("nfs-server/install-tools", &values)?),
        ])
    })
}
