//! Images: pulled, looked at and streamed out.

use std::collections::BTreeMap;
use std::pin::pin;

use bollard::models::CreateImageInfo;
use bollard::query_parameters::{CreateImageOptions, RemoveImageOptions};
use bytes::Bytes;
use futures::{Stream, TryStreamExt};

use super::patience::{change, lively, look};
use super::{Docker, Labels, Result};
use crate::topology::canonical_image;

/// How far a download has come, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amount {
    pub done: u64,
    pub total: u64,
}

#[derive(Debug, Clone, Default)]
pub struct ImageDetails {
    pub id: String,
    pub tags: Vec<String>,
    /// `linux/arm64` or `linux/arm/v7`: which of an image's platforms the engine has.
    pub platform: Option<String>,
    /// In bytes, as the engine counts them.
    pub size: u64,
    /// The layers' diff ids, lowest first.
    pub layers: Vec<String>,
    pub labels: Labels,
    /// The program that it always runs, and what it is told by default.
    pub entrypoint: Vec<String>,
    pub command: Vec<String>,
}

impl Docker {
    pub async fn inspect_image(&self, reference: &str) -> Result<ImageDetails> {
        let image = look(self.api.inspect_image(reference)).await?;
        let platform = platform([image.os, image.architecture, image.variant]);
        let config = image.config.unwrap_or_default();
        Ok(ImageDetails {
            id: image.id.unwrap_or_default(),
            tags: image.repo_tags.unwrap_or_default(),
            platform,
            size: image.size.and_then(|size| size.try_into().ok()).unwrap_or_default(),
            layers: image.root_fs.and_then(|root| root.layers).unwrap_or_default(),
            labels: config.labels.unwrap_or_default().into_iter().collect(),
            entrypoint: config.entrypoint.unwrap_or_default(),
            command: config.cmd.unwrap_or_default(),
        })
    }

    /// What its registry has under this name now, as anybody may ask.
    pub async fn registry_digest(&self, reference: &str) -> Result<Option<String>> {
        let name = canonical_image(reference);
        let served = look(self.api.inspect_registry_image(&name, None)).await?;
        Ok(served.descriptor.digest)
    }

    /// Pulls an image as anybody may, which tells how far it has come: `on_progress` hears the sum
    /// over its layers.
    pub async fn pull_image(
        &self,
        reference: &str,
        mut on_progress: impl FnMut(Amount),
    ) -> Result<()> {
        // Without a tag the engine would take every tag there is.
        let from_image = Some(canonical_image(reference));
        let options = CreateImageOptions { from_image, ..Default::default() };
        let mut layers: BTreeMap<String, Amount> = BTreeMap::new();
        let mut news = pin!(lively(|| self.api.clone().create_image(Some(options), None, None)));
        while let Some(CreateImageInfo { id, status, progress_detail, .. }) =
            news.try_next().await?
        {
            // Unpacking counts the same bytes a second time.
            if status.as_deref() != Some("Downloading") {
                continue;
            }
            let (Some(id), Some(detail)) = (id, progress_detail) else { continue };
            let bytes = |count: Option<i64>| count.unwrap_or_default().try_into().unwrap_or(0);
            layers.insert(id, Amount { done: bytes(detail.current), total: bytes(detail.total) });
            on_progress(layers.values().fold(Amount::default(), |sum, layer| Amount {
                done: sum.done + layer.done,
                total: sum.total + layer.total,
            }));
        }
        Ok(())
    }

    /// Takes the tag away, and the image with its last tag, unless something uses it.
    pub async fn remove_image(&self, reference: &str) -> Result<()> {
        change(self.api.remove_image(reference, None::<RemoveImageOptions>, None)).await.map(drop)
    }

    /// Several images as one archive, shared layers once, as `docker save` writes it.
    pub fn export_images(&self, references: &[&str]) -> impl Stream<Item = Result<Bytes>> + use<> {
        lively(|| self.api.export_images(references))
    }
}

fn platform([os, architecture, variant]: [Option<String>; 3]) -> Option<String> {
    let given = |part: Option<String>| part.filter(|part| !part.is_empty());
    let parts = [given(os)?, given(architecture)?].into_iter().chain(given(variant));
    Some(parts.collect::<Vec<String>>().join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platform_has_a_variant_where_there_is_one() {
        let of = |parts: [&str; 3]| platform(parts.map(|part| Some(part.to_owned())));
        assert_eq!(of(["linux", "amd64", ""]).as_deref(), Some("linux/amd64"));
        assert_eq!(of(["linux", "arm", "v7"]).as_deref(), Some("linux/arm/v7"));
        assert_eq!(of(["", "", ""]), None);
        assert_eq!(platform([None, None, None]), None);
    }
}
