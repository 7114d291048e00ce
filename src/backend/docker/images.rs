//! Images: built, pulled, looked at and streamed out.

use std::collections::{BTreeMap, HashMap, VecDeque};

use anstream::adapter::strip_str;
use bollard::models::{BuildInfo, CreateImageInfo};
use bollard::query_parameters::{BuildImageOptions, CreateImageOptions, RemoveImageOptions};
use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt};

use super::{Archived, Docker, Error, Labels, Result};

/// How much of a failed build's log is shown.
const LOG_LINES: usize = 20;

pub struct BuildRequest<'a> {
    pub tag: &'a str,
    /// A tar archive with a Dockerfile at its top.
    pub context: Bytes,
    pub dockerfile: &'a str,
    pub args: HashMap<String, String>,
    pub labels: Labels,
}

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
    /// Builds with the engine's own builder, which needs nothing on this machine; each line of the
    /// log goes to `on_line`.
    pub async fn build_image(
        &self,
        request: BuildRequest<'_>,
        mut on_line: impl FnMut(&str),
    ) -> Result<()> {
        let tag = request.tag.to_owned();
        let options = BuildImageOptions {
            dockerfile: request.dockerfile.to_owned(),
            t: Some(tag.clone()),
            rm: true,
            forcerm: true,
            buildargs: (!request.args.is_empty()).then_some(request.args),
            labels: (!request.labels.is_empty()).then(|| request.labels.into_iter().collect()),
            ..BuildImageOptions::default()
        };
        let mut log = VecDeque::with_capacity(LOG_LINES);
        let body = bollard::body_full(request.context);
        let mut steps = self.api.build_image(options, None, Some(body));
        while let Some(step) = steps.next().await {
            let failed = |message: String| Error::Build {
                tag: tag.clone(),
                message,
                log: Vec::from(log.clone()).join("\n"),
            };
            let BuildInfo { stream, .. } = match step {
                Ok(info) => info,
                Err(bollard::errors::Error::DockerStreamError { error }) => {
                    return Err(failed(error));
                }
                Err(error) => return Err(error.into()),
            };
            // Package managers colour what they say and draw bars over one line.
            let plain = stream.as_deref().map(|text| strip_str(text).to_string());
            let lines = plain.iter().flat_map(|text| text.split(['\n', '\r']));
            for line in lines.map(str::trim).filter(|line| !line.is_empty()) {
                on_line(line);
                if log.len() == LOG_LINES {
                    log.pop_front();
                }
                log.push_back(line.to_owned());
            }
        }
        Ok(())
    }

    pub async fn inspect_image(&self, reference: &str) -> Result<ImageDetails> {
        let image = self.api.inspect_image(reference).await?;
        let config = image.config.unwrap_or_default();
        Ok(ImageDetails {
            id: image.id.unwrap_or_default(),
            tags: image.repo_tags.unwrap_or_default(),
            size: image.size.and_then(|size| size.try_into().ok()).unwrap_or_default(),
            layers: image.root_fs.and_then(|root| root.layers).unwrap_or_default(),
            labels: config.labels.unwrap_or_default().into_iter().collect(),
            entrypoint: config.entrypoint.unwrap_or_default(),
            command: config.cmd.unwrap_or_default(),
        })
    }

    /// Pulls an image; `on_progress` is told the sum over its layers.
    pub async fn pull_image(
        &self,
        reference: &str,
        mut on_progress: impl FnMut(Amount),
    ) -> Result<()> {
        let options =
            CreateImageOptions { from_image: Some(exact(reference)), ..Default::default() };
        let mut layers: BTreeMap<String, Amount> = BTreeMap::new();
        let mut news = self.api.create_image(Some(options), None, None);
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
        self.api.remove_image(reference, None::<RemoveImageOptions>, None).await?;
        Ok(())
    }

    /// Several images as one archive, shared layers once, as `docker save` writes it.
    pub fn export_images(&self, references: &[&str]) -> impl Stream<Item = Result<Bytes>> + use<> {
        self.api.export_images(references).map_err(Error::from)
    }
}

/// A build context out of files in memory.
pub fn build_context(files: &[Archived<'_>]) -> Result<Bytes> {
    super::containers::archive(files)
}

/// A reference without tag or digest means `latest`; the engine's pull would take every tag. Beside a
/// digest a tag says nothing, and the engine forgets it.
pub fn exact(reference: &str) -> String {
    let (tagged, digest) = match reference.split_once('@') {
        Some((tagged, digest)) => (tagged, Some(digest)),
        None => (reference, None),
    };
    let tag = tagged.rfind(':').filter(|at| !tagged[*at..].contains('/'));
    match (digest, tag) {
        (Some(digest), tag) => format!("{}@{digest}", &tagged[..tag.unwrap_or(tagged.len())]),
        (None, Some(_)) => tagged.to_owned(),
        (None, None) => format!("{tagged}:latest"),
    }
}

/// Whether two references name one image: `nginx:1` is `docker.io/library/nginx:1`.
pub(super) fn same_image(one: &str, other: &str) -> bool {
    familiar(one) == familiar(other)
}

fn familiar(reference: &str) -> &str {
    let rest = reference
        .strip_prefix("docker.io/")
        .or_else(|| reference.strip_prefix("index.docker.io/"))
        .unwrap_or(reference);
    rest.strip_prefix("library/").unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_reference_without_tag_or_digest_becomes_latest() {
        assert_eq!(exact("nginx"), "nginx:latest");
        assert_eq!(exact("localhost:5000/web"), "localhost:5000/web:latest");
        assert_eq!(exact("localhost:5000/web:1"), "localhost:5000/web:1");
        assert_eq!(exact("nginx@sha256:ab"), "nginx@sha256:ab");
        assert_eq!(exact("localhost:5000/web:1@sha256:ab"), "localhost:5000/web@sha256:ab");
    }

    #[test]
    fn docker_hub_has_long_and_short_names() {
        assert!(same_image("docker.io/library/nginx:1", "nginx:1"));
        assert!(same_image("docker.io/kindest/node:v1", "kindest/node:v1"));
        assert!(!same_image("quay.io/nginx:1", "nginx:1"));
    }
}
