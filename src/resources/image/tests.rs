//! Archives as both kinds of engines write them, dealt out and taken in as containerd does.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{self, Read};

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tar::{Archive, Builder, EntryType, Header};

use super::archive::{Dealt, Known, Outlet, Receiver, deal};

const NAME: &str = "docker.io/lab/web:1";
const TAG: &str = "lab/web:1";

/// How an engine writes its archives.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Shape {
    /// From release 25 on.
    Oci,
    Legacy,
}

struct Image {
    archive: Vec<u8>,
    diff_ids: Vec<String>,
    config: String,
    has_tag: bool,
}

impl Image {
    fn of(shape: Shape, layers: &[Vec<u8>]) -> Self {
        Self::tagged(shape, layers, Some(TAG))
    }

    fn tagged(shape: Shape, layers: &[Vec<u8>], tag: Option<&str>) -> Self {
        let diff_ids: Vec<String> = layers.iter().map(|layer| digest(layer)).collect();
        let config = json!({ "os": "linux", "rootfs": { "type": "layers", "diff_ids": diff_ids } });
        let config = config.to_string().into_bytes();
        let files = match shape {
            Shape::Oci => oci_files(layers, &config, tag),
            Shape::Legacy => legacy_files(layers, &diff_ids, &config, tag),
        };
        let archive = packed(files);
        Self { archive, diff_ids, config: digest(&config), has_tag: tag.is_some() }
    }

    fn dealt_to(&self, has: &[HashSet<String>]) -> io::Result<(Dealt, Vec<Vec<u8>>)> {
        deal_out(self.archive.as_slice(), &self.known(), has)
    }

    fn known(&self) -> Known<'_> {
        Known { diff_ids: &self.diff_ids, name: (!self.has_tag).then_some(NAME) }
    }
}

fn deal_out(
    archive: impl Read,
    image: &Known<'_>,
    has: &[HashSet<String>],
) -> io::Result<(Dealt, Vec<Vec<u8>>)> {
    let receiver = |has: &HashSet<String>| Receiver { has: has.clone(), outlet: Belt::default() };
    let mut receivers: Vec<_> = has.iter().map(receiver).collect();
    let dealt = deal(archive, image, &mut receivers, |_| ())?;
    Ok((dealt, receivers.into_iter().map(|receiver| receiver.outlet.taken).collect()))
}

/// Takes everything, or stops after so many pieces.
#[derive(Default)]
struct Belt {
    taken: Vec<u8>,
    pieces: usize,
    most: Option<usize>,
}

impl Outlet for Belt {
    fn put(&mut self, piece: &Bytes) -> bool {
        self.pieces += 1;
        self.taken.extend_from_slice(piece);
        self.most.is_none_or(|most| self.pieces < most)
    }
}

enum Content {
    File(Vec<u8>),
    Link(String),
}

type Files = BTreeMap<String, Content>;

fn oci_files(layers: &[Vec<u8>], config: &[u8], tag: Option<&str>) -> Files {
    let mut files = Files::new();
    let mut blob = |content: &[u8]| {
        let digest = digest(content);
        let path = format!("blobs/{}", digest.replace(':', "/"));
        files.insert(path, Content::File(content.to_vec()));
        json!({ "digest": digest, "size": content.len() })
    };
    let described: Vec<Value> = layers.iter().map(|layer| blob(layer)).collect();
    let manifest = json!({ "schemaVersion": 2, "config": blob(config), "layers": described });
    let mut manifest = blob(manifest.to_string().as_bytes());
    if let Some(tag) = tag {
        let name = format!("docker.io/{tag}");
        manifest["annotations"] = json!({ "io.containerd.image.name": name });
    }
    let mut text = |path: &str, value: Value| {
        files.insert(path.to_owned(), Content::File(value.to_string().into_bytes()));
    };
    text("index.json", json!({ "manifests": [manifest] }));
    text("oci-layout", json!({ "imageLayoutVersion": "1.0.0" }));
    text(
        "manifest.json",
        json!([{ "Config": "", "RepoTags": tag.map(|tag| [tag]), "Layers": [] }]),
    );
    files
}

fn legacy_files(
    layers: &[Vec<u8>],
    diff_ids: &[String],
    config: &[u8],
    tag: Option<&str>,
) -> Files {
    let mut files = Files::new();
    let mut paths: Vec<String> = Vec::new();
    let mut chain: Option<String> = None;
    let mut parent: Option<String> = None;
    for (at, (layer, diff_id)) in layers.iter().zip(diff_ids).enumerate() {
        let here = match &chain {
            Some(below) => digest(format!("{below} {diff_id}").as_bytes()),
            None => diff_id.clone(),
        };
        let mut about: BTreeMap<&str, Value> = BTreeMap::new();
        about.insert("created", json!("1970-01-01T00:00:00Z"));
        about.insert("container_config", json!({ "Cmd": null, "Image": "", "Hostname": "" }));
        if at + 1 == layers.len() {
            about.insert("config", json!({ "Cmd": ["sh", "-c", "a && b"], "Env": null }));
            about.insert("os", json!("linux"));
        }
        let mut named = about.clone();
        named.insert("layer_id", json!(here));
        if let Some(parent) = &parent {
            named.insert("parent", json!(format!("sha256:{parent}")));
            about.insert("parent", json!(parent));
        }
        let id = hash(&serde_json::to_vec(&named).expect("JSON"));
        about.insert("id", json!(id));
        about.insert("os", json!("linux"));
        files.insert(format!("{id}/VERSION"), Content::File(b"1.0".to_vec()));
        let about = serde_json::to_vec(&about).expect("JSON");
        files.insert(format!("{id}/json"), Content::File(about));
        let twin = diff_ids[..at].iter().position(|other| other == diff_id);
        let content = match twin {
            Some(twin) => Content::Link(format!("../{}", paths[twin])),
            None => Content::File(layer.clone()),
        };
        paths.push(format!("{id}/layer.tar"));
        files.insert(format!("{id}/layer.tar"), content);
        chain = Some(here);
        parent = Some(id);
    }
    let config_path = format!("{}.json", hash(config));
    let tags = tag.map(|tag| [tag]);
    let manifest = json!([{ "Config": config_path, "RepoTags": tags, "Layers": paths }]);
    files.insert(config_path, Content::File(config.to_vec()));
    files.insert("manifest.json".to_owned(), Content::File(manifest.to_string().into_bytes()));
    files
}

fn packed(files: Files) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = Header::new_ustar();
        header.set_mode(0o644);
        match content {
            Content::File(content) => {
                header.set_size(content.len() as u64);
                tar.append_data(&mut header, path, content.as_slice()).expect("packed");
            }
            Content::Link(target) => {
                header.set_entry_type(EntryType::Symlink);
                header.set_size(0);
                tar.append_link(&mut header, path, target).expect("packed");
            }
        }
    }
    tar.into_inner().expect("packed")
}

/// Blobs by digest.
type Blobs = HashMap<String, Vec<u8>>;

/// What a node makes of an archive: the digests of the image's config and layers, all of which it has.
fn take_in(archive: &[u8], blobs: &mut Blobs) -> Result<(String, Vec<String>), String> {
    let mut digests: HashMap<String, String> = HashMap::new();
    let mut links: HashMap<String, String> = HashMap::new();
    let mut read = Archive::new(archive);
    for entry in read.entries().expect("an archive") {
        let mut entry = entry.map_err(|error| error.to_string())?;
        let path = entry.path().expect("a path").display().to_string();
        if let Some(target) = entry.link_name().expect("a link") {
            links.insert(path, target.display().to_string().replace("../", ""));
            continue;
        }
        let mut content = Vec::new();
        entry.read_to_end(&mut content).map_err(|error| error.to_string())?;
        digests.insert(path, digest(&content));
        blobs.insert(digest(&content), content);
    }
    let text = |path: &str| -> Result<Value, String> {
        let digest = digests.get(path).ok_or_else(|| format!("{path} not found"))?;
        serde_json::from_slice(&blobs[digest]).map_err(|error| error.to_string())
    };
    let (config, layers) = if digests.contains_key("oci-layout") {
        let entry = &text("index.json")?["manifests"][0];
        assert_eq!(entry["annotations"]["io.containerd.image.name"], NAME);
        let manifest = blobs.get(entry["digest"].as_str().expect("a digest"));
        let manifest: Value =
            serde_json::from_slice(manifest.ok_or("manifest not found")?).expect("JSON");
        let described = |part: &Value| {
            let digest = part["digest"].as_str().expect("a digest").to_owned();
            let blob = blobs.get(&digest).ok_or(format!("{digest} not found"))?;
            assert_eq!(part["size"], blob.len());
            Ok::<_, String>(digest)
        };
        let layers = manifest["layers"].as_array().expect("layers").iter().map(described);
        (described(&manifest["config"])?, layers.collect::<Result<_, _>>()?)
    } else {
        let image = &text("manifest.json")?[0];
        assert_eq!(image["RepoTags"][0], TAG);
        let of = |path: &Value| {
            let path = path.as_str().expect("a path");
            let path = links.get(path).map_or(path, String::as_str);
            digests.get(path).cloned().ok_or(format!("{path} not found"))
        };
        let layers = image["Layers"].as_array().expect("layers").iter().map(of);
        (of(&image["Config"])?, layers.collect::<Result<_, _>>()?)
    };
    Ok((config, layers))
}

fn digest(content: &[u8]) -> String {
    format!("sha256:{}", hash(content))
}

fn hash(content: &[u8]) -> String {
    format!("{:x}", Sha256::digest(content))
}

fn shapes() -> impl Strategy<Value = Shape> {
    prop_oneof![Just(Shape::Oci), Just(Shape::Legacy)]
}

/// Few and short contents, so that some layers are there twice.
fn layers() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let layer = (0u8..5, prop_oneof![0usize..4, 500usize..520, Just(70_000)])
        .prop_map(|(byte, length)| vec![byte; length]);
    prop::collection::vec(layer, 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_node_ends_up_with_the_whole_image_and_is_sent_no_layer_that_it_has(
        shape in shapes(),
        layers in layers(),
        has_tag in any::<bool>(),
        had in prop::collection::vec(prop::collection::vec(any::<bool>(), 6), 1..4),
    ) {
        let image = Image::tagged(shape, &layers, has_tag.then_some(TAG));
        let mut nodes: Vec<Blobs> = had
            .iter()
            .map(|had| {
                let there = layers.iter().zip(had).filter(|(_, had)| **had);
                there.map(|(layer, _)| (digest(layer), layer.clone())).collect()
            })
            .collect();
        let has: Vec<HashSet<String>> =
            nodes.iter().map(|blobs| blobs.keys().cloned().collect()).collect();
        let (dealt, archives) = image.dealt_to(&has).expect("dealt");
        let all: BTreeMap<String, u64> =
            layers.iter().map(|layer| (digest(layer), layer.len() as u64)).collect();
        for (at, archive) in archives.iter().enumerate() {
            let (config, of_node) = take_in(archive, &mut nodes[at]).expect("taken in");
            prop_assert_eq!(&config, &image.config);
            prop_assert_eq!(&of_node, &image.diff_ids);
            let spared: u64 =
                all.iter().filter(|(digest, _)| has[at].contains(*digest)).map(|it| it.1).sum();
            prop_assert_eq!(dealt.sent[at], dealt.whole - spared);
        }
        prop_assert_eq!(dealt.passed_on, dealt.whole - dealt.needless);
    }

    #[test]
    fn what_is_cut_off_is_an_error(
        shape in shapes(),
        layers in layers(),
        has_tag in any::<bool>(),
        has_all in any::<bool>(),
        place in any::<prop::sample::Index>(),
    ) {
        let image = Image::tagged(shape, &layers, has_tag.then_some(TAG));
        let has = if has_all { image.diff_ids.iter().cloned().collect() } else { HashSet::new() };
        // Nothing is missing before the second block of the end mark.
        let end = image.archive.len() - 512;
        let rest = &image.archive[..place.index(end + 1)];
        prop_assert!(deal_out(rest, &image.known(), &[has]).is_err());
    }

    #[test]
    fn whatever_comes_ends(
        shape in shapes(),
        layers in layers(),
        has_tag in any::<bool>(),
        spoilt in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
    ) {
        let mut image = Image::tagged(shape, &layers, has_tag.then_some(TAG));
        for (place, byte) in spoilt {
            *place.get_mut(&mut image.archive) = byte;
        }
        let has = image.diff_ids.iter().cloned().collect();
        let _ = image.dealt_to(&[HashSet::new(), has]);
    }
}

#[test]
fn an_error_of_the_engine_is_told_as_it_was() {
    struct Fails;
    impl Read for Fails {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("connection reset"))
        }
    }
    let image = Image::of(Shape::Oci, &[vec![1; 3000]]);
    let archive = image.archive[..2000].chain(Fails);
    let error = deal_out(archive, &image.known(), &[HashSet::new()]).expect_err("an error");
    assert_eq!(error.to_string(), "connection reset");
}

#[test]
fn one_that_stops_reading_holds_up_nobody_and_when_all_have_the_rest_is_not_read() {
    struct Counts<'a>(&'a [u8], usize);
    impl Read for &mut Counts<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let read = self.0.read(buffer)?;
            self.1 += read;
            Ok(read)
        }
    }
    let image = Image::of(Shape::Oci, &[vec![1; 1_000_000], vec![2; 1_000_000]]);
    let receiver =
        |most| Receiver { has: HashSet::new(), outlet: Belt { most, ..Belt::default() } };
    let mut archive = Counts(&image.archive, 0);
    let mut receivers = [receiver(Some(3)), receiver(None)];
    deal(&mut archive, &image.known(), &mut receivers, |_| ()).expect("dealt");
    assert_eq!(receivers[0].outlet.pieces, 3);
    take_in(&receivers[1].outlet.taken, &mut Blobs::new()).expect("whole");

    let mut archive = Counts(&image.archive, 0);
    deal(&mut archive, &image.known(), &mut [receiver(Some(3))], |_| ()).expect("left off");
    assert!(archive.1 < 500_000, "{} bytes read", archive.1);
}

#[test]
fn a_folder_that_does_not_say_which_layer_it_holds_is_sent() {
    let layers = [vec![1; 3000], vec![2; 3000]];
    let image = Image::of(Shape::Legacy, &layers);
    let other = [digest(&layers[1]), digest(&layers[0])];
    let has = other.iter().cloned().collect();
    let known = Known { diff_ids: &other, name: None };
    let (dealt, archives) = deal_out(image.archive.as_slice(), &known, &[has]).expect("dealt");
    assert_eq!(dealt.sent[0], dealt.whole);
    take_in(&archives[0], &mut Blobs::new()).expect("whole");
}
