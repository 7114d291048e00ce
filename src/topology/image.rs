//! `images`: what every node must have before anything is applied.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize};

use super::host_path::HostPath;
use super::image_ref::ImageRef;
use super::sensitive::Guarded;
use super::text::{string_or_map, string_or_map_schema};

/// An image on every node. The short form is its reference alone.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Image {
    pub name: ImageRef,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build: Option<Build>,
}

/// How an image is built before it is put on the nodes.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Build {
    pub folder: HostPath,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dockerfile: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub args: BTreeMap<String, Guarded>,
}

/// Whether the `docker` program itself would take this variable to heart, were it to find a build
/// argument there: then it can only be given among its arguments, which every process may read.
pub fn is_for_docker(variable: &str) -> bool {
    let variable = variable.to_uppercase();
    ["DOCKER_", "BUILDKIT_", "BUILDX_"].iter().any(|prefix| variable.starts_with(prefix))
        || variable.ends_with("_PROXY")
        || ["PATH", "HOME"].contains(&variable.as_str())
}

/// An image with more to say of it than its reference.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "Image", extend("dependentRequired" = { "dockerfile": ["build"], "args": ["build"] }))]
struct LongForm {
    /// The image's reference.
    name: ImageRef,
    /// The folder it is built from first.
    build: Option<HostPath>,
    /// The Dockerfile, relative to the folder. Default: `Dockerfile`.
    #[schemars(length(min = 1))]
    dockerfile: Option<String>,
    /// Build arguments.
    #[serde(default)]
    #[schemars(extend("additionalProperties" = { "type": "string", "writeOnly": true }))]
    args: BTreeMap<String, Guarded>,
}

impl From<LongForm> for Image {
    fn from(long: LongForm) -> Self {
        let LongForm { name, build, dockerfile, args } = long;
        Self { name, build: build.map(|folder| Build { folder, dockerfile, args }) }
    }
}

impl From<ImageRef> for Image {
    fn from(name: ImageRef) -> Self {
        Self { name, build: None }
    }
}

impl<'de> Deserialize<'de> for Image {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        string_or_map::<Self, ImageRef, LongForm, D>(deserializer)
    }
}

impl JsonSchema for Image {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ImageEntry".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        string_or_map_schema::<ImageRef, LongForm>(generator)
    }
}
