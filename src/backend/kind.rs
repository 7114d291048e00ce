//! The `kind` program, which makes clusters. Everything else about them goes through the engine.

use std::path::{Path, PathBuf};

use super::docker::Docker;
use super::host::{ProcessError, Program, find_program};

#[derive(Debug, thiserror::Error)]
pub enum KindError {
    #[error("cannot find the `{program}` program on PATH")]
    Missing { program: &'static str },
    #[error("TOPO_KIND names `{}`, which is not there", .0.display())]
    Misnamed(PathBuf),
}

/// A found `kind`, and the `docker` beside it that it calls.
#[derive(Debug, Clone)]
pub struct Kind {
    program: PathBuf,
}

/// What `kind create cluster` is told.
pub struct NewCluster<'a> {
    pub name: &'a str,
    pub config: &'a str,
    pub network: &'a str,
    /// Away from the user's own, which kind would switch to the new cluster.
    pub kubeconfig: &'a Path,
}

impl Kind {
    /// `TOPO_KIND`, or `kind` on the path. kind itself calls `docker`, so that must be there too.
    pub fn find(variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, KindError> {
        let on_path = |program: &'static str| {
            find_program(program, variable).ok_or(KindError::Missing { program })
        };
        let program = match variable("TOPO_KIND").filter(|named| !named.is_empty()) {
            Some(named) => PathBuf::from(named),
            None => on_path("kind")?,
        };
        if !program.is_file() {
            return Err(KindError::Misnamed(program));
        }
        on_path("docker")?;
        Ok(Self { program })
    }

    /// Makes a cluster; each line that kind writes is told as it comes.
    pub async fn create(
        &self,
        cluster: &NewCluster<'_>,
        engine: &Docker,
        tell: impl FnMut(&str) + Send,
    ) -> Result<(), ProcessError> {
        let program = Program::new(&self.program)
            .arg("create")
            .arg("cluster")
            .arg("--name")
            .arg(cluster.name)
            .arg("--config")
            .arg("-")
            .arg("--kubeconfig")
            .arg(cluster.kubeconfig)
            .env("KIND_EXPERIMENTAL_PROVIDER", "docker")
            .env("KIND_EXPERIMENTAL_DOCKER_NETWORK", cluster.network)
            .input(cluster.config);
        engine.lead(program).run(tell).await?;
        Ok(())
    }
}
