//! Archives of images as engines before 25 write them: a folder a layer, named after what that layer
//! was as an image of its own. Which layer is in a folder shows in that name: it is a hash of what
//! the folder says of itself and of the layer's chain.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, ErrorKind};

use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::naming::{ANNOTATION, INDEX};
use crate::topology::canonical_image;

/// What is read of an archive is text of this size at most.
pub const MOST_TEXT: u64 = 4 * 1024 * 1024;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// Whether this file of an archive is a text that describes something.
pub fn is_noted(path: &str, size: u64) -> bool {
    let is_json = path.rsplit(['.', '/']).next() == Some("json");
    (is_json || path == "oci-layout") && size <= MOST_TEXT
}

/// What has been learnt of an archive while it went by.
#[derive(Default)]
pub struct Legacy {
    layers: Vec<Layer>,
    /// Texts by their path.
    texts: HashMap<String, Vec<u8>>,
    sizes: HashMap<String, u64>,
    /// Layers that are there under another path already.
    links: HashMap<String, String>,
}

struct Layer {
    diff_id: String,
    /// Of this layer and all below it.
    chain_id: String,
}

impl Legacy {
    pub fn new(diff_ids: &[String]) -> Self {
        let mut layers: Vec<Layer> = Vec::new();
        for diff_id in diff_ids {
            let chain_id = match layers.last() {
                Some(below) => digest(format!("{} {diff_id}", below.chain_id).as_bytes()),
                None => diff_id.clone(),
            };
            layers.push(Layer { diff_id: diff_id.clone(), chain_id });
        }
        Self { layers, ..Self::default() }
    }

    pub fn note(&mut self, path: &str, text: Vec<u8>) {
        self.texts.insert(path.to_owned(), text);
    }

    pub fn link(&mut self, path: &str, target: &str) {
        let target = target.trim_start_matches("../");
        self.links.insert(path.to_owned(), target.to_owned());
    }

    /// The digest of the layer in this file, if it is one. What describes it comes before it.
    pub fn layer(&mut self, path: &str, size: u64) -> Option<String> {
        let folder = path.strip_suffix("/layer.tar")?;
        self.sizes.insert(path.to_owned(), size);
        let about = self.texts.remove(&format!("{folder}/json"))?;
        let about: About = serde_json::from_slice(&about).ok()?;
        let is_it = |layer: &&Layer| {
            names(about.clone(), &layer.chain_id)
                .is_ok_and(|names| names.iter().any(|name| name == folder))
        };
        self.layers.iter().find(is_it).map(|layer| layer.diff_id.clone())
    }

    /// Whether the archive describes itself by digests.
    pub fn is_oci(&self) -> bool {
        self.texts.contains_key("oci-layout")
    }

    /// The files that describe the same image by digests, as newer engines add them. `name` is the
    /// one of an image without a tag.
    pub fn description(&self, name: Option<&str>) -> io::Result<Vec<(String, Vec<u8>)>> {
        let mut files = Vec::new();
        let mut manifests = Vec::new();
        for image in self.read::<Vec<Described>>("manifest.json")? {
            let manifest = self.manifest(&image)?;
            let (digest, size) = (digest(&manifest), manifest.len());
            let entry = json!({ "mediaType": MANIFEST, "digest": digest, "size": size });
            let tags = image.repo_tags.iter().flatten().map(|tag| canonical_image(tag));
            for name in tags.chain(name.map(str::to_owned)) {
                let mut entry = entry.clone();
                entry["annotations"] = json!({ ANNOTATION: name });
                manifests.push(entry);
            }
            files.push((format!("blobs/{}", digest.replace(':', "/")), manifest));
        }
        let index = json!({ "schemaVersion": 2, "manifests": manifests });
        let layout = json!({ "imageLayoutVersion": "1.0.0" });
        files.push((INDEX.to_owned(), index.to_string().into_bytes()));
        files.push(("oci-layout".to_owned(), layout.to_string().into_bytes()));
        Ok(files)
    }

    fn manifest(&self, image: &Described) -> io::Result<Vec<u8>> {
        let config = self.text(&image.config)?;
        let diff_ids = self.read::<Config>(&image.config)?.rootfs.diff_ids;
        if diff_ids.len() != image.layers.len() {
            return Err(broken("manifest.json", "names other layers than the image has"));
        }
        let layers: Vec<Value> = diff_ids
            .iter()
            .zip(&image.layers)
            .map(|(diff_id, path)| {
                let size = self.size(path)?;
                Ok(json!({ "mediaType": LAYER, "digest": diff_id, "size": size }))
            })
            .collect::<io::Result<_>>()?;
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": { "mediaType": CONFIG, "digest": digest(config), "size": config.len() },
            "layers": layers,
        });
        Ok(manifest.to_string().into_bytes())
    }

    fn size(&self, path: &str) -> io::Result<u64> {
        let path = self.links.get(path).map_or(path, String::as_str);
        self.sizes.get(path).copied().ok_or_else(|| broken(path, "is missing"))
    }

    fn text(&self, path: &str) -> io::Result<&[u8]> {
        self.texts.get(path).map(Vec::as_slice).ok_or_else(|| broken(path, "is missing"))
    }

    fn read<'a, T: Deserialize<'a>>(&'a self, path: &str) -> io::Result<T> {
        serde_json::from_slice(self.text(path)?)
            .map_err(|error| broken(path, &format!("cannot be read: {error}")))
    }
}

/// An image in `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Described {
    config: String,
    repo_tags: Option<Vec<String>>,
    /// By their paths, lowest first.
    layers: Vec<String>,
}

#[derive(Deserialize)]
struct Config {
    rootfs: RootFs,
}

#[derive(Deserialize)]
struct RootFs {
    diff_ids: Vec<String>,
}

/// What a folder says of its layer, key by key as it is written.
type About = BTreeMap<String, Box<RawValue>>;

/// What the folder of a layer is named if this is its chain. The engine made the name before it knew
/// the operating system for all layers but the highest.
fn names(mut about: About, chain_id: &str) -> serde_json::Result<[String; 2]> {
    about.remove("id");
    about.insert("layer_id".to_owned(), to_raw_value(chain_id)?);
    if let Some(parent) = about.get_mut("parent") {
        let name: String = serde_json::from_str(parent.get())?;
        *parent = to_raw_value(&format!("sha256:{name}"))?;
    }
    let highest = serde_json::to_vec(&about)?;
    about.remove("os");
    let lower = serde_json::to_vec(&about)?;
    Ok([hash(&highest), hash(&lower)])
}

fn digest(content: &[u8]) -> String {
    format!("sha256:{}", hash(content))
}

fn hash(content: &[u8]) -> String {
    format!("{:x}", Sha256::digest(content))
}

fn broken(path: &str, why: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("`{path}` of the archive {why}"))
}

#[cfg(test)]
mod tests {
    use super::Legacy;

    /// As an engine of release 20.10 says it of a layer that is not the highest.
    const EMPTY: &str = r#"{"Hostname":"","Domainname":"","User":"","AttachStdin":false,"AttachStdout":false,"AttachStderr":false,"Tty":false,"OpenStdin":false,"StdinOnce":false,"Env":null,"Cmd":null,"Image":"","Volumes":null,"WorkingDir":"","Entrypoint":null,"OnBuild":null,"Labels":null}"#;

    #[test]
    fn layers_are_told_apart_in_an_archive_of_an_older_engine() {
        let diff_ids = [
            "sha256:8b119aa2d2f6df810e5d46da4f6704473a768ffa845e15a5d4151dbcae22c446",
            "sha256:7233dc71a750f122f2d68767479361db24dec7e8cee10dea0473b844f4ef6bbd",
        ]
        .map(str::to_owned);
        let lowest = "aba90a3ab43ee1404d76a661bd7a057c96ac5645f21f842aeb74bab89b820b5a";
        let second = "fa0718ae769b1325fbebc598c4574cd5a82cb3b9b0cefb93b7039bde318576a0";
        let mut legacy = Legacy::new(&diff_ids);
        let mut layer_in = |folder: &str, parent: &str| {
            let about = format!(
                r#"{{"id":"{folder}",{parent}"created":"1970-01-01T00:00:00Z","container_config":{EMPTY},"os":"linux"}}"#
            );
            legacy.note(&format!("{folder}/json"), about.into_bytes());
            legacy.layer(&format!("{folder}/layer.tar"), 1)
        };
        let below = format!(r#""parent":"{lowest}","#);
        assert_eq!(layer_in(second, &below).as_ref(), Some(&diff_ids[1]));
        assert_eq!(layer_in(lowest, "").as_ref(), Some(&diff_ids[0]));
        assert_eq!(layer_in(lowest, &below), None);
    }
}
