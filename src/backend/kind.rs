//! The `kind` program, which makes clusters. Everything else about them goes through the engine.

use std::env::consts::{ARCH, OS};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::docker::Docker;
use super::download::{DownloadError, Downloads};
use super::host::{ProcessError, Program, find_program};

/// The release that is downloaded where there is no `kind`.
pub const VERSION: &str = "v0.33.0";

/// Its files: for which system and processor, their names and SHA-256.
const FILES: [(&str, &str, &str, &str); 4] = [
    (
        "linux",
        "x86_64",
        "kind-linux-amd64",
        "aee6151561422756b764a4ae28e7f44cda5af5a9eead3cc9985112b1de8d8e0d",
    ),
    (
        "linux",
        "aarch64",
        "kind-linux-arm64",
        "20022bee6cfcd5086cb7234d218e3454e6090022f2a8f55d1fa7fcf42c3867a2",
    ),
    (
        "macos",
        "x86_64",
        "kind-darwin-amd64",
        "5a99f26f57246dc9319dd294803313197a0f34d33c525b3ea8b655db5916ece0",
    ),
    (
        "macos",
        "aarch64",
        "kind-darwin-arm64",
        "0c8c7dbe5e23594a198b786c4bc13dacc101fa6196b0cb0b23a1ca44e61f4b4f",
    ),
];

/// What to do where there is none.
pub const HINT: &str = "install kind (https://kind.sigs.k8s.io) and the docker command line, or name kind's file in TOPO_KIND";

#[derive(Debug, thiserror::Error)]
pub enum KindError {
    #[error("cannot find the `{program}` program on PATH")]
    Missing { program: &'static str },
    #[error("TOPO_KIND names `{}`, which is not there", .0.display())]
    Misnamed(PathBuf),
}

/// Where `kind` comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Here(PathBuf),
    /// It is fetched once, and kept.
    Release {
        url: String,
        sha256: &'static str,
    },
}

impl Source {
    /// `TOPO_KIND`, or `kind` on the path, or a release. kind itself calls `docker`, so that must be
    /// there too.
    pub fn find(variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, KindError> {
        let on_path = |program: &str| find_program(program, variable);
        on_path("docker").ok_or(KindError::Missing { program: "docker" })?;
        if let Some(named) = variable("TOPO_KIND").filter(|named| !named.is_empty()) {
            let named = PathBuf::from(named);
            return if named.is_file() {
                Ok(Self::Here(named))
            } else {
                Err(KindError::Misnamed(named))
            };
        }
        match on_path("kind") {
            Some(here) => Ok(Self::Here(here)),
            None => release(OS, ARCH).ok_or(KindError::Missing { program: "kind" }),
        }
    }

    /// `v0.33.0`, or what one that was built between releases calls itself.
    pub async fn version(self) -> Result<String, ProcessError> {
        match self {
            Self::Here(program) => Kind { program }.version().await,
            Self::Release { .. } => Ok(VERSION.to_owned()),
        }
    }

    /// `told` hears how many bytes have come, of how many.
    pub async fn fetch(
        self,
        downloads: &Downloads,
        told: impl Fn(u64, Option<u64>) + Send + 'static,
    ) -> Result<Kind, DownloadError> {
        let program = match self {
            Self::Here(program) => program,
            Self::Release { url, sha256 } => {
                let place = downloads.fetch(&url, sha256, told).await?;
                fs::set_permissions(&place, Permissions::from_mode(0o755))
                    .map_err(|source| DownloadError::Broken { place: place.clone(), source })?;
                place
            }
        };
        Ok(Kind { program })
    }
}

fn release(system: &str, processor: &str) -> Option<Source> {
    let (_, _, name, sha256) =
        FILES.into_iter().find(|file| (file.0, file.1) == (system, processor))?;
    let releases = "https://github.com/kubernetes-sigs/kind/releases/download";
    Some(Source::Release { url: format!("{releases}/{VERSION}/{name}"), sha256 })
}

/// A `kind` that can be run, and the `docker` that it calls.
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
    /// Its major and minor number; none of one that was built between releases.
    pub async fn release(&self) -> Option<(u32, u32)> {
        numbers(&self.version().await.ok()?)
    }

    async fn version(&self) -> Result<String, ProcessError> {
        let told = Program::new(&self.program).arg("version").arg("--quiet").run(|_| {}).await?;
        Ok(format!("v{}", told.trim()))
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
            .input(cluster.config)
            .outliving();
        engine.lead(program).run(tell).await?;
        Ok(())
    }
}

/// `v0.33.0`; one with more behind it is no release.
fn numbers(version: &str) -> Option<(u32, u32)> {
    let number = version.strip_prefix('v')?;
    let parts: Option<Vec<u32>> = number.split('.').map(|part| part.parse().ok()).collect();
    let [major, minor, _] = parts?.try_into().ok()?;
    Some((major, minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_release_has_numbers() {
        assert_eq!(numbers("v0.33.0"), Some((0, 33)));
        for other in ["v0.34.0-alpha+ab12cd", "v0.33", "vkind v0.33.0 go1.26", "v"] {
            assert_eq!(numbers(other), None, "{other}");
        }
    }

    /// A folder with these programs, as PATH.
    fn path(programs: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for program in programs {
            fs::write(folder.path().join(program), "").expect("written");
        }
        folder
    }

    fn find(path: &Path, named: Option<&Path>) -> Result<Source, KindError> {
        Source::find(&|name| match name {
            "PATH" => Some(path.display().to_string()),
            "TOPO_KIND" => named.map(|named| named.display().to_string()),
            _ => None,
        })
    }

    #[test]
    fn what_is_named_comes_before_the_path_and_that_before_a_release() {
        let both = path(&["docker", "kind"]);
        let named = both.path().join("docker");
        assert_eq!(find(both.path(), Some(&named)).expect("found"), Source::Here(named));
        let on_path = both.path().join("kind");
        assert_eq!(find(both.path(), None).expect("found"), Source::Here(on_path));
        let docker = path(&["docker"]);
        let found = find(docker.path(), None).expect("found");
        assert_eq!(Some(found), release(OS, ARCH));
    }

    #[test]
    fn what_cannot_work_is_told() {
        let (none, docker) = (path(&[]), path(&["docker"]));
        let error = find(none.path(), None).expect_err("kind calls docker").to_string();
        assert_eq!(error, "cannot find the `docker` program on PATH");
        let misnamed = find(docker.path(), Some(Path::new("/nowhere/kind")));
        assert!(matches!(misnamed, Err(KindError::Misnamed(_))));
        assert_eq!(release("windows", "x86_64"), None);
    }

    #[test]
    fn every_file_of_the_release_has_a_checksum_of_its_own() {
        let mut sums: Vec<&str> = FILES.iter().map(|file| file.3).collect();
        assert!(
            sums.iter().all(|sum| sum.len() == 64 && sum.bytes().all(|b| b.is_ascii_hexdigit()))
        );
        sums.sort_unstable();
        sums.dedup();
        assert_eq!(sums.len(), FILES.len());
    }

    #[tokio::test]
    async fn a_release_that_was_put_in_its_place_is_made_a_program() {
        let cache = tempfile::tempdir().expect("a folder");
        // SHA-256 of `hello`.
        let sha256 = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
        let place = cache.path().join("sha256").join(sha256);
        fs::create_dir_all(cache.path().join("sha256")).expect("made");
        fs::write(&place, "hello").expect("written");
        let folder = cache.path().display().to_string();
        let downloads = Downloads::of(&|name| (name == "TOPO_CACHE_DIR").then(|| folder.clone()));
        let release = Source::Release { url: "http://127.0.0.1:1/kind".to_owned(), sha256 };
        let kind = release.fetch(&downloads, |_, _| {}).await.expect("is there");
        assert_eq!(kind.program, place);
        let mode = fs::metadata(place).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o755);
    }
}
