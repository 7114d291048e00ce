//! What the NFS server's image is built from.

use serde_json::json;

use crate::resources::base::docker::own_image::{Kind, Picture};
use crate::templates::{TemplateError, Templates};
use crate::topology::NfsServer;

pub const KIND: Kind =
    Kind { whose: "the NFS server's", key: "nfsServer.image", repository: "topo-nfs-server" };

pub fn picture(server: &NfsServer, templates: &Templates) -> Result<Picture, TemplateError> {
    Picture::of(KIND, &server.image, |base| {
        let values = json!({ "base": base });
        Ok(vec![
            ("Dockerfile", templates.render("nfs-server/Dockerfile", &values)?),
            ("install-tools", templates.render("nfs-server/install-tools", &values)?),
        ])
    })
}
