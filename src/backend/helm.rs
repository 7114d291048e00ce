//! Helm, which fetches charts and renders their templates.

use std::path::{Path, PathBuf};
use std::{fs, io};

use super::download::{DownloadError, Downloads};
use super::host::{ProcessError, Program, find_program};

#[derive(Debug, thiserror::Error)]
pub enum HelmError {
    #[error("`helm` is not on PATH")]
    Missing,
    #[error(transparent)]
    Failed(#[from] ProcessError),
    #[error(transparent)]
    NotKept(#[from] DownloadError),
    #[error("the archive that `helm pull` wrote cannot be read")]
    Unreadable(#[from] io::Error),
}

#[derive(Debug)]
pub struct Helm {
    program: PathBuf,
}

/// What is rendered.
#[derive(Debug)]
pub struct Release<'a> {
    pub name: &'a str,
    pub namespace: &'a str,
    /// A folder or an archive.
    pub chart: &'a Path,
    /// Files with values, each over the ones before.
    pub files: Vec<&'a Path>,
    /// The version of the cluster, where it is known: `v1.34.0`.
    pub kubernetes: Option<&'a str>,
}

/// Where a chart comes from.
#[derive(Debug)]
pub struct Remote<'a> {
    /// An address, or a name in the repository.
    pub chart: &'a str,
    pub repo: Option<&'a str>,
    pub version: Option<&'a str>,
}

impl Helm {
    pub fn find(variable: &(impl Fn(&str) -> Option<String> + ?Sized)) -> Result<Self, HelmError> {
        find_program("helm", variable).map(|program| Self { program }).ok_or(HelmError::Missing)
    }

    /// As it says it itself: `v4.3.2`, and the commit.
    pub async fn version(&self) -> Result<String, HelmError> {
        let said = Program::new(&self.program).args(["version", "--short"]).run(|_| {}).await?;
        Ok(said.trim().to_owned())
    }

    /// The objects of the chart, hooks among them, as YAML. `values` are YAML, over those of the files.
    pub async fn template(
        &self,
        release: &Release<'_>,
        values: String,
    ) -> Result<String, HelmError> {
        let program = Program::new(&self.program)
            .args(["template", release.name])
            .arg(release.chart)
            .args(["--namespace", release.namespace, "--include-crds"]);
        let with = |program: Program, option: &str, value: &Path| program.arg(option).arg(value);
        let version = release.kubernetes.map(Path::new).into_iter();
        let program = version.fold(program, |program, it| with(program, "--kube-version", it));
        let files = release.files.iter();
        let program = files.fold(program, |program, file| with(program, "--values", file));
        Ok(program.args(["--values", "-"]).input(values).run(|_| {}).await?)
    }

    /// The archive of a chart, downloaded unless it is kept.
    pub async fn fetch(
        &self,
        remote: &Remote<'_>,
        sha256: &str,
        downloads: &Downloads,
    ) -> Result<PathBuf, HelmError> {
        if let Some(kept) = downloads.kept(sha256) {
            return Ok(kept);
        }
        let folder = tempfile::tempdir()?;
        let program = Program::new(&self.program).args(["pull", "--destination"]);
        let options = [("--repo", remote.repo), ("--version", remote.version)];
        let given = options.into_iter().filter_map(|(option, value)| Some([option, value?]));
        let program = program.arg(folder.path()).args(given.flatten());
        // A chart's name could begin like an option.
        program.args(["--", remote.chart]).run(|_| {}).await?;
        let archive = fs::read_dir(folder.path())?
            .next()
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))??;
        Ok(downloads.take(&archive.path(), remote.chart, sha256)?)
    }
}
