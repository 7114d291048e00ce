//! The name of an image: as containerd writes it, and in the description of its archive.

use std::io::{self, ErrorKind};

use serde_json::{Value, json};

pub const INDEX: &str = "index.json";

/// What containerd takes an image's name from.
pub const ANNOTATION: &str = "io.containerd.image.name";

/// The same description, with a name for what it describes without one.
pub fn named(index: &[u8], name: &str) -> io::Result<Vec<u8>> {
    let broken = |why: &str| {
        io::Error::new(ErrorKind::InvalidData, format!("`{INDEX}` of the archive {why}"))
    };
    let mut index: Value = serde_json::from_slice(index)
        .map_err(|error| broken(&format!("cannot be read: {error}")))?;
    let manifests = index["manifests"].as_array_mut();
    for manifest in manifests.ok_or_else(|| broken("describes no image"))? {
        let annotations = &mut manifest["annotations"];
        if annotations.is_null() {
            *annotations = json!({});
        }
        if let Some(annotations) = annotations.as_object_mut() {
            annotations.entry(ANNOTATION).or_insert_with(|| json!(name));
        }
    }
    Ok(index.to_string().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_name_keeps_it_and_what_has_none_gets_one() {
        let index = json!({ "manifests": [
            { "digest": "sha256:1" },
            { "digest": "sha256:2", "annotations": { "x": "y" } },
            { "digest": "sha256:3", "annotations": { ANNOTATION: "web:1" } },
        ] });
        let index = named(index.to_string().as_bytes(), "web@sha256:9").expect("readable");
        let index: Value = serde_json::from_slice(&index).expect("readable");
        let names = [0, 1, 2].map(|at| index["manifests"][at]["annotations"][ANNOTATION].clone());
        assert_eq!(names, ["web@sha256:9", "web@sha256:9", "web:1"]);
        assert_eq!(index["manifests"][1]["annotations"]["x"], "y");
        assert!(named(b"{}", "web").is_err() && named(b"no", "web").is_err());
    }
}
