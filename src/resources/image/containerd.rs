//! A node's containerd: what it has, and what it is told to take in.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use futures::Stream;
use tokio::sync::{Mutex, OnceCell};

use crate::backend::docker::{Container, Docker, Error};

/// containerd knows an image by the digest of a manifest that the engine may never have had, so the
/// engine's id is written beside it when it is brought. Whoever loads another image under the same
/// name takes that mark away.
const MARK: &str = "dev.topo.image";

const CTR: [&str; 2] = ["ctr", "--namespace=k8s.io"];

/// The one that Kubernetes' containers are made from.
const SNAPSHOTTER: &str = "--snapshotter=overlayfs";

/// What topo brought onto one node: the engine's image id by containerd's name.
pub type Stock = BTreeMap<String, String>;

/// What a node had when it was asked.
pub struct Store {
    pub stock: Stock,
    /// Digests. What is unpacked without being here would be an image that its node cannot unpack again.
    pub blobs: HashSet<String>,
}

/// What nodes had when a run asked them: once for all images that are brought at the same time.
#[derive(Default)]
pub struct Stores(Mutex<HashMap<String, Arc<OnceCell<Arc<Store>>>>>);

impl Stores {
    pub async fn of(&self, docker: &Docker, node: &Container) -> Result<Arc<Store>, Error> {
        let cell = Arc::clone(self.0.lock().await.entry(node.id.clone()).or_default());
        let ask = || async {
            let (stock, blobs) =
                tokio::try_join!(stock(docker, &node.name), blobs(docker, &node.name))?;
            Ok(Arc::new(Store { stock, blobs }))
        };
        cell.get_or_try_init(ask).await.cloned()
    }

    /// They have been brought something.
    pub async fn forget(&self, nodes: &[&Container]) {
        let mut known = self.0.lock().await;
        for node in nodes {
            known.remove(&node.id);
        }
    }
}

pub async fn stock(docker: &Docker, node: &str) -> Result<Stock, Error> {
    let table = ctr(docker, node, &["images", "list"]).await?;
    Ok(marked(&table))
}

/// Of `ctr images list`: the name in the first column, the labels in the last.
fn marked(table: &str) -> Stock {
    let prefix = format!("{MARK}=");
    let pairs = table.lines().skip(1).filter_map(|line| {
        let name = line.split_whitespace().next()?;
        let labels = line.split_whitespace().next_back()?;
        let id = labels.split(',').find_map(|label| label.strip_prefix(&prefix))?;
        Some((name.to_owned(), id.to_owned()))
    });
    pairs.collect()
}

async fn blobs(docker: &Docker, node: &str) -> Result<HashSet<String>, Error> {
    let list = ctr(docker, node, &["content", "list", "--quiet"]).await?;
    Ok(list.lines().map(|line| line.trim().to_owned()).collect())
}

pub async fn import(
    docker: &Docker,
    node: &str,
    archive: impl Stream<Item = Result<Bytes, Error>> + Send,
) -> Result<(), Error> {
    let import = ["images", "import", "--all-platforms", "--digests", SNAPSHOTTER, "-"];
    docker.exec_with_stream(node, &[CTR.as_slice(), &import].concat(), archive).await?;
    Ok(())
}

/// Whether all of an image's blobs are there, and unpacked.
pub async fn is_whole(docker: &Docker, node: &str, full_name: &str) -> Result<bool, Error> {
    let only = format!("name==\"{full_name}\"");
    let ready = ctr(docker, node, &["images", "check", "--quiet", SNAPSHOTTER, &only]).await?;
    Ok(ready.lines().any(|line| line.trim() == full_name))
}

pub async fn mark(docker: &Docker, node: &str, full_name: &str, id: &str) -> Result<(), Error> {
    let mark = format!("{MARK}={id}");
    ctr(docker, node, &["images", "label", full_name, &mark]).await?;
    Ok(())
}

async fn ctr(docker: &Docker, node: &str, arguments: &[&str]) -> Result<String, Error> {
    docker.exec(node, &[CTR.as_slice(), arguments].concat()).await
}

/// containerd writes every name out whole.
pub fn full_name(name: &str) -> String {
    let (repository, suffix) = match name.rfind(['@', ':']).filter(|at| !name[*at..].contains('/'))
    {
        Some(at) => name.split_at(at),
        None => (name, ":latest"),
    };
    let has_host = repository
        .split_once('/')
        .is_some_and(|(host, _)| host.contains(['.', ':']) || host == "localhost");
    let prefix = match (has_host, repository.contains('/')) {
        (true, _) => "",
        (false, true) => "docker.io/",
        (false, false) => "docker.io/library/",
    };
    format!("{prefix}{repository}{suffix}")
}

#[cfg(test)]
mod tests {
    use super::{full_name, marked};

    #[test]
    fn only_what_topo_brought_counts() {
        let table = "REF TYPE DIGEST SIZE PLATFORMS LABELS
docker.io/lab/echo:1 application/x sha256:1 5.5 MiB linux/amd64 dev.topo.image=sha256:aa,io.cri-containerd.image=managed
docker.io/lab/old:1  application/x sha256:2 5.5 MiB linux/amd64 io.cri-containerd.image=managed
docker.io/lab/bare:1 application/x sha256:3 5.5 MiB linux/amd64 -
";
        let seen: Vec<_> = marked(table).into_iter().collect();
        assert_eq!(seen, [("docker.io/lab/echo:1".to_owned(), "sha256:aa".to_owned())]);
    }

    #[test]
    fn names_are_written_out_as_containerd_does() {
        for (short, full) in [
            ("nginx", "docker.io/library/nginx:latest"),
            ("lab/echo:1", "docker.io/lab/echo:1"),
            ("localhost/web:1", "localhost/web:1"),
            ("registry:5000/web", "registry:5000/web:latest"),
            ("quay.io/a/b:v1", "quay.io/a/b:v1"),
            ("nginx@sha256:ab", "docker.io/library/nginx@sha256:ab"),
        ] {
            assert_eq!(full_name(short), full);
        }
    }
}
