//! A node's containerd: what it has, and what it is told to take in.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use futures::Stream;
use tokio::sync::{Mutex, OnceCell};

use crate::backend::docker::{Container, Docker, Error, ImageDetails};
use crate::topology::canonical_image;

/// containerd knows an image by the digest of a manifest that the engine may never have had, so the
/// engine's id is written beside it when it is brought, with that digest: whoever loads another image
/// under the same name leaves the mark where it is.
const MARK: &str = "dev.topo.image";

const CTR: [&str; 2] = ["ctr", "--namespace=k8s.io"];

/// The one that Kubernetes' containers are made from.
const SNAPSHOTTER: &str = "--snapshotter=overlayfs";

/// What topo brought onto one node: the engine's image id by containerd's name.
pub type Stock = BTreeMap<String, String>;

/// An image that is brought onto nodes.
pub struct Parcel<'a> {
    pub name: &'a str,
    pub image: &'a ImageDetails,
}

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

/// Of `ctr images list`: name, type and digest in the first columns, the labels in the last.
fn marked(table: &str) -> Stock {
    let prefix = format!("{MARK}=");
    let pairs = table.lines().skip(1).filter_map(|line| {
        let mut columns = line.split_whitespace();
        let (name, digest) = (columns.next()?, columns.nth(1)?);
        let mark = columns.next_back()?.split(',').find_map(|label| label.strip_prefix(&prefix))?;
        let (id, marked) = mark.split_once('@')?;
        (marked == digest).then(|| (name.to_owned(), id.to_owned()))
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
    platform: Option<&str>,
    archive: impl Stream<Item = Result<Bytes, Error>> + Send,
) -> Result<(), Error> {
    let which = which(platform);
    let import = ["images", "import", &which, "--digests", SNAPSHOTTER, "-"];
    docker.exec_with_stream(node, &[CTR.as_slice(), &import].concat(), archive).await?;
    Ok(())
}

/// An engine that keeps images in containerd has the index of all of an image's platforms and the
/// content of one, which need not be the node's own.
fn which(platform: Option<&str>) -> String {
    platform
        .map_or_else(|| "--all-platforms".to_owned(), |platform| format!("--platform={platform}"))
}

/// Marks an image if all of its blobs are there and unpacked, and answers whether they are.
pub async fn mark_if_whole(
    docker: &Docker,
    node: &str,
    parcel: &Parcel<'_>,
) -> Result<bool, Error> {
    let name = canonical_image(parcel.name);
    let only = format!("name==\"{name}\"");
    let table = ctr(docker, node, &["images", "check", SNAPSHOTTER, &only]).await?;
    let Some(digest) = whole(&table, &name) else { return Ok(false) };
    let mark = format!("{MARK}={}@{digest}", parcel.image.id);
    ctr(docker, node, &["images", "label", &name, &mark]).await?;
    Ok(true)
}

/// The image's digest. Of `ctr images check`: name, type, digest and `complete (7/7)` in the first columns, whether it is
/// unpacked in the last.
fn whole(table: &str, full_name: &str) -> Option<String> {
    table.lines().find_map(|line| {
        let mut columns = line.split_whitespace();
        let is_it = columns.next()? == full_name;
        let digest = columns.nth(1)?;
        let is_whole = columns.next()? == "complete" && columns.next_back()? == "true";
        (is_it && is_whole).then(|| digest.to_owned())
    })
}

async fn ctr(docker: &Docker, node: &str, arguments: &[&str]) -> Result<String, Error> {
    docker.exec(node, &[CTR.as_slice(), arguments].concat()).await
}

#[cfg(test)]
mod tests {
    use super::{marked, which, whole};

    #[test]
    fn a_node_takes_in_the_platform_that_the_engine_has() {
        assert_eq!(which(Some("linux/arm/v7")), "--platform=linux/arm/v7");
        assert_eq!(which(None), "--all-platforms");
    }

    #[test]
    fn only_what_topo_brought_counts() {
        let table = "REF TYPE DIGEST SIZE PLATFORMS LABELS
docker.io/lab/echo:1 application/x sha256:1 5.5 MiB linux/amd64 dev.topo.image=sha256:aa@sha256:1,io.cri-containerd.image=managed
docker.io/lab/other:1 application/x sha256:4 5.5 MiB linux/amd64 dev.topo.image=sha256:bb@sha256:5,io.cri-containerd.image=managed
docker.io/lab/old:1  application/x sha256:2 5.5 MiB linux/amd64 io.cri-containerd.image=managed
docker.io/lab/bare:1 application/x sha256:3 5.5 MiB linux/amd64 -
";
        let seen: Vec<_> = marked(table).into_iter().collect();
        assert_eq!(seen, [("docker.io/lab/echo:1".to_owned(), "sha256:aa".to_owned())]);
    }

    #[test]
    fn an_image_is_whole_with_all_blobs_and_unpacked() {
        let table = "REF TYPE DIGEST STATUS SIZE UNPACKED
a:1 application/x sha256:1 complete (7/7) 452.8 MiB/452.8 MiB true
b:1 application/x sha256:2 incomplete (6/7) 371.7 MiB/452.8 MiB true
c:1 application/x sha256:3 complete (7/7) 452.8 MiB/452.8 MiB false
d:1 application/x sha256:4 unavailable (0/?) 0.0 B/? false
";
        let found = ["a:1", "b:1", "c:1", "d:1", "e:1"].map(|name| whole(table, name));
        assert_eq!(found, [Some("sha256:1".to_owned()), None, None, None, None]);
    }
}
