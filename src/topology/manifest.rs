//! `manifests`: Kubernetes objects, applied as a chain.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::duration::Duration;
use super::host_path::HostPath;
use super::name::{Label, NeedId, ReleaseName};
use super::sensitive::Guarded;
use super::text::{Malformed, Text, text_type};

/// One link of the chain: a file, a folder, what kustomize or Helm makes of one, or a pinned address.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [
    { "required": ["path"], "properties": { "kustomize": false, "chart": false, "url": false, "sha256": false } },
    { "required": ["kustomize"], "properties": { "path": false, "chart": false, "url": false, "sha256": false } },
    { "required": ["chart"], "properties": { "path": false, "kustomize": false, "url": false } },
    { "required": ["url", "sha256"], "properties": { "path": false, "kustomize": false, "chart": false } },
], "dependentRequired" = {
    "repo": ["chart"], "version": ["chart"], "release": ["chart"],
    "namespace": ["chart"], "values": ["chart"], "valuesFiles": ["chart"],
}))]
pub struct Manifest {
    /// A file or a folder; names that end in `.j2` are templates, rendered with `vars`, `topology`, `network`, `pools` and `gateway`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<HostPath>,
    /// Instead of `path`: a folder with a kustomization, built by the `kustomize` or `kubectl` on PATH.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kustomize: Option<HostPath>,
    /// Instead of `path`: a Helm chart, rendered by the `helm` on PATH: a folder or an archive, an `oci://` or `https://` address, or a name in `repo`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chart: Option<HostPath>,
    /// The chart repository that has the chart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repo: Option<Url>,
    /// The version of a chart from a repository or a registry.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub version: Option<String>,
    /// The name of the chart's release. Default: the last part of `chart`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseName>,
    /// The namespace of the chart's release, created where no manifest has it. Default: `default`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Label>,
    /// Values for the chart, over those of `valuesFiles`; they may be sensitive.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, Guarded>,
    /// Files of values for the chart, each over the ones before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values_files: Vec<HostPath>,
    /// Instead of `path`: an https address, fetched once and kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<Url>,
    /// The checksum of what is fetched, a manifest or the archive of a chart, so that it cannot change unseen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Sha256>,
    /// How long its objects may take to become ready; `0s` does not wait.
    #[serde(default = "two_minutes")]
    pub wait: Duration,
    /// Resources it needs beside those that follow from its objects, by id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<NeedId>,
}

/// Where a manifest's text comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Source<'a> {
    Path(&'a HostPath),
    Kustomize(&'a HostPath),
    Chart(&'a HostPath),
    Url { url: &'a Url, sha256: &'a Sha256 },
}

impl Manifest {
    /// `None` only for a value that did not come from a loaded file, which has exactly one.
    pub fn source(&self) -> Option<Source<'_>> {
        match (&self.path, &self.kustomize, &self.chart, &self.url, &self.sha256) {
            (Some(path), None, None, None, None) => Some(Source::Path(path)),
            (None, Some(folder), None, None, None) => Some(Source::Kustomize(folder)),
            (None, None, Some(chart), None, _) => Some(Source::Chart(chart)),
            (None, None, None, Some(url), Some(sha256)) => Some(Source::Url { url, sha256 }),
            _ => None,
        }
    }

    /// Whether its chart is not on this machine.
    pub fn chart_is_remote(&self) -> bool {
        let is_address = |chart: &HostPath| chart.written().contains("://");
        self.repo.is_some() || self.chart.as_ref().is_some_and(is_address)
    }

    /// Of a chart's release.
    pub fn namespace(&self) -> Label {
        self.namespace.clone().unwrap_or_else(Label::default_namespace)
    }

    /// Of a chart; `None` where its last part cannot be the name of a release.
    pub fn release(&self) -> Option<ReleaseName> {
        let last = || self.chart.as_ref()?.path().file_name().and_then(OsStr::to_str)?.parse().ok();
        self.release.clone().or_else(last)
    }
}

impl<'a> Source<'a> {
    /// As the file writes it.
    pub fn written(self) -> &'a str {
        match self {
            Self::Path(path) | Self::Kustomize(path) | Self::Chart(path) => path.written(),
            Self::Url { url, .. } => url.as_str(),
        }
    }
}

fn two_minutes() -> Duration {
    Duration::from_secs(120)
}

/// An address on the web.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Url(String);

impl Url {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Url {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let rest = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"))
            .ok_or_else(|| {
                Malformed::instead(
                    "a URL must begin with `https://` or `http://`",
                    "`path:` for a file of this machine",
                )
            })?;
        if rest.is_empty() || rest.starts_with('/') {
            return Err(Malformed::new("the URL has no host"));
        }
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(Malformed::new("a URL cannot contain spaces"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl Text for Url {
    const FORMAT: &'static str = "url";
    const PATTERN: &'static str = r"^https?://[^/\s]\S*$";
}
text_type!(Url);

/// The digest of a file's content.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Sha256(String);

impl Sha256 {
    /// 64 hexadecimal digits in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Sha256 {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        const DIGITS: usize = 64;
        if text.len() == DIGITS
            && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        {
            return Ok(Self(text.to_owned()));
        }
        Err(Malformed::instead(
            format!("`{text}` is not a valid SHA-256 checksum"),
            "64 hexadecimal digits in lower case, as `sha256sum` prints them",
        ))
    }
}

impl Text for Sha256 {
    const FORMAT: &'static str = "sha256";
    const PATTERN: &'static str = "^[0-9a-f]{64}$";
}
text_type!(Sha256);
