//! How the server's container is made: what it exports, which folders it has, what it may do.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::squash::squash;
use crate::backend::docker::Labels;
use crate::backend::docker::api::{
    ContainerCreateBody, HealthConfig, HostConfig, Mount, MountType, RestartPolicy,
    RestartPolicyNameEnum,
};
use crate::engine::Failure;
use crate::plan::Fields;
use crate::resources::base::docker::own_image::short;
use crate::templates::{TemplateError, Templates};
use crate::topology::{Access, Topology, Via};

/// Where topo's files are in the container; an image has this folder.
pub const FILES: &str = "/etc";
const OWN: &str = "topo";
pub const CONFIG: &str = "/etc/topo/ganesha.conf";
pub const UNTIL_HEALTHY: &str = "until sh /etc/topo/health 2>/dev/null; do sleep 0.05; done";

const SECOND: i64 = 1_000_000_000;

/// Opening files by their handles, acting as whoever asks, and doing for root what root may with
/// files of others.
const CAPABILITIES: [&str; 7] =
    ["DAC_READ_SEARCH", "DAC_OVERRIDE", "CHOWN", "FOWNER", "FSETID", "SETUID", "SETGID"];

/// Where the server writes down which clients may reclaim files and locks from the next one: in a
/// volume, since the next one is another container.
const CLIENTS: &str = "/var/lib/nfs/ganesha";

/// How long a client keeps files and locks without a word, in seconds. Ganesha looks whether its
/// grace period can end each half of it.
const LEASE: u32 = 8;
/// How long new opens and locks wait at most for clients that reclaim theirs, in seconds. Longer
/// than a lease, since it begins while the server before still serves.
const GRACE: u32 = 12;
/// How long a file that is opened or locked may have to wait after a start, in seconds.
pub const NEW_OPENS_WAIT: u32 = GRACE + LEASE / 2;

pub fn clients_volume(server: &str) -> String {
    format!("{server}-clients")
}

/// What one share is to the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    pub source: Source,
    pub access: Access,
    /// The user and group whose files all writers make; none where each makes its own.
    pub squash: Option<(u32, u32)>,
}

/// Where the files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Folder(String),
    Volume(String),
}

pub type Exports = BTreeMap<String, Export>;

/// The shares that the server serves.
pub fn exports(topology: &Topology) -> Result<Exports, Failure> {
    let served = topology.shares.iter().filter(|share| share.via == Via::Server);
    let mut exports = Exports::new();
    for share in served {
        let source = match (&share.volume, &share.path) {
            (Some(volume), _) => Source::Volume(volume.to_string()),
            (None, Some(path)) => Source::Folder(path.path().display().to_string()),
            (None, None) => continue,
        };
        let export = Export { source, access: share.access, squash: squash(share)? };
        exports.insert(share.name.to_string(), export);
    }
    Ok(exports)
}

/// The fields of a server that say what it exports, one for each share.
const FIELD: &str = "shares.";

pub fn fields(exports: &Exports) -> impl Iterator<Item = (String, Value)> {
    exports.iter().map(|(name, export)| (format!("{FIELD}{name}"), json!(export.to_string())))
}

/// Read back from fields, wanted or recorded.
pub fn exports_of(fields: &Fields<Value>) -> Exports {
    fields
        .iter()
        .filter_map(|(field, value)| {
            let name = field.strip_prefix(FIELD)?;
            Some((name.to_owned(), value.as_str()?.parse().ok()?))
        })
        .collect()
}

/// `/home/me/docs, rw, as 1000:1000`
impl fmt::Display for Export {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Source::Folder(path) => f.write_str(path)?,
            Source::Volume(name) => write!(f, "volume {name}")?,
        }
        let access = if self.access == Access::Ro { "ro" } else { "rw" };
        match self.squash {
            Some((uid, gid)) => write!(f, ", {access}, as {uid}:{gid}"),
            None => write!(f, ", {access}, as {KEPT}"),
        }
    }
}

const KEPT: &str = "in the pod";

#[derive(Debug)]
pub struct Unreadable;

impl FromStr for Export {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        // From the end: a path may hold anything.
        let mut parts = text.rsplitn(3, ", ");
        let owner = parts.next().and_then(|part| part.strip_prefix("as ")).ok_or(Unreadable)?;
        let access = match parts.next() {
            Some("rw") => Access::Rw,
            Some("ro") => Access::Ro,
            _ => return Err(Unreadable),
        };
        let source = parts.next().ok_or(Unreadable)?;
        let source = match source.strip_prefix("volume ") {
            Some(volume) => Source::Volume(volume.to_owned()),
            None => Source::Folder(source.to_owned()),
        };
        let squash = match owner.split_once(':') {
            Some((uid, gid)) => {
                let number = |text: &str| text.parse().map_err(|_| Unreadable);
                Some((number(uid)?, number(gid)?))
            }
            None if owner == KEPT => None,
            None => return Err(Unreadable),
        };
        Ok(Self { source, access, squash })
    }
}

/// The path at which a share is mounted.
pub fn mount_path(share: &str) -> String {
    format!("/{share}")
}

/// Where a share's files are in the container.
pub fn folder(share: &str) -> String {
    format!("/shares/{share}")
}

/// Part of every file handle that clients hold: the same for the same files, so that handles
/// outlive the container, and another for others, so that none leads to a file it was not given for.
fn export_ids(exports: &Exports) -> BTreeMap<&str, u16> {
    let mut taken = BTreeSet::from([0]);
    exports
        .iter()
        .map(|(name, export)| {
            let digest = Sha256::digest(format!("{name}\n{:?}", export.source));
            let mut id = u16::from_be_bytes([digest[0], digest[1]]);
            while !taken.insert(id) {
                id = id.wrapping_add(1);
            }
            (name.as_str(), id)
        })
        .collect()
}

/// The server's settings.
pub fn config(
    exports: &Exports,
    subnet: &str,
    templates: &Templates,
) -> Result<String, TemplateError> {
    let ids = export_ids(exports);
    let rendered: Vec<Value> = exports
        .iter()
        .map(|(name, export)| {
            json!({
                "id": ids.get(name.as_str()),
                "name": name,
                "folder": folder(name),
                "readOnly": export.access == Access::Ro,
                "squash": export.squash.map(|(uid, gid)| json!({ "uid": uid, "gid": gid })),
            })
        })
        .collect();
    let values = json!({ "exports": rendered, "subnet": subnet, "lease": LEASE, "grace": GRACE });
    templates.render("nfs-server/ganesha.conf", values)
}

/// Topo's files in the container, by their names below [`FILES`].
pub fn files(
    exports: &Exports,
    subnet: &str,
    templates: &Templates,
) -> Result<Vec<(String, String)>, TemplateError> {
    let mut files = scripts(templates)?;
    files.push(("ganesha.conf", config(exports, subnet, templates)?));
    Ok(files.into_iter().map(|(name, text)| (format!("{OWN}/{name}"), text)).collect())
}

fn scripts(templates: &Templates) -> Result<Vec<(&'static str, String)>, TemplateError> {
    let values = json!({ "folder": format!("{FILES}/{OWN}") });
    ["entrypoint", "health"]
        .into_iter()
        .map(|name| Ok((name, templates.render(&format!("nfs-server/{name}"), &values)?)))
        .collect()
}

/// Changes when scripts, settings or rights do, so that those of a newer topo come into an older server.
pub fn fingerprint(templates: &Templates) -> Result<String, TemplateError> {
    let mut hash = Sha256::new();
    hash.update(CAPABILITIES.join(","));
    hash.update(CLIENTS);
    for (name, text) in scripts(templates)? {
        hash.update(name);
        hash.update(text);
    }
    hash.update(config(&Exports::new(), "", templates)?);
    Ok(short(hash))
}

/// Tells whether the settings in a container are those that were put there.
pub fn digest(config: &[u8]) -> String {
    let mut hash = Sha256::new();
    hash.update(config);
    short(hash)
}

pub fn body(
    name: &str,
    image: Option<&str>,
    exports: &Exports,
    labels: Labels,
) -> ContainerCreateBody {
    ContainerCreateBody {
        image: image.map(str::to_owned),
        hostname: Some(name.to_owned()),
        entrypoint: Some(vec!["/bin/sh".to_owned(), format!("{FILES}/{OWN}/entrypoint")]),
        cmd: Some(Vec::new()),
        // A finished image may name another one, and handles are root's to open.
        user: Some("0:0".to_owned()),
        labels: Some(labels.into_iter().collect()),
        healthcheck: Some(HealthConfig {
            test: Some(vec!["CMD".to_owned(), "sh".to_owned(), format!("{FILES}/{OWN}/health")]),
            interval: Some(10 * SECOND),
            timeout: Some(5 * SECOND),
            retries: Some(3),
            start_period: Some(10 * SECOND),
            start_interval: Some(SECOND),
        }),
        host_config: Some(HostConfig {
            mounts: Some(
                exports
                    .iter()
                    .map(|(name, export)| mount(name, export))
                    .chain([clients_mount(name)])
                    .collect(),
            ),
            cap_drop: Some(vec!["ALL".to_owned()]),
            cap_add: Some(CAPABILITIES.map(str::to_owned).to_vec()),
            security_opt: Some(vec!["no-new-privileges".to_owned()]),
            restart_policy: Some(RestartPolicy {
                name: Some(RestartPolicyNameEnum::UNLESS_STOPPED),
                maximum_retry_count: None,
            }),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

fn mount(name: &str, export: &Export) -> Mount {
    let (typ, source) = match &export.source {
        Source::Folder(path) => (MountType::BIND, path),
        Source::Volume(volume) => (MountType::VOLUME, volume),
    };
    Mount {
        typ: Some(typ),
        source: Some(source.clone()),
        target: Some(folder(name)),
        read_only: Some(export.access == Access::Ro),
        ..Mount::default()
    }
}

fn clients_mount(server: &str) -> Mount {
    Mount {
        typ: Some(MountType::VOLUME),
        source: Some(clients_volume(server)),
        target: Some(CLIENTS.to_owned()),
        ..Mount::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn export(folder: &str, access: Access, squash: Option<(u32, u32)>) -> Export {
        Export { source: Source::Folder(folder.to_owned()), access, squash }
    }

    fn two() -> Exports {
        [
            ("docs".to_owned(), export("/home/me/my docs", Access::Rw, Some((1000, 100)))),
            ("sets".to_owned(), export("/srv/sets", Access::Ro, None)),
        ]
        .into()
    }

    #[test]
    fn the_settings_serve_each_share_to_the_network_alone() {
        let text = config(&two(), "172.22.0.0/16", &Templates::new(None)).expect("renders");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn an_export_keeps_its_id_whatever_comes_and_goes_beside_it() {
        let both = two();
        let ids = export_ids(&both);
        let mut one = both.clone();
        one.remove("docs");
        assert_eq!(export_ids(&one)["sets"], ids["sets"]);
        let mut moved = both.clone();
        moved.insert("docs".to_owned(), export("/elsewhere", Access::Rw, None));
        assert_ne!(export_ids(&moved)["docs"], ids["docs"]);
        assert!(!ids.values().any(|id| *id == 0));
    }

    #[test]
    fn what_is_exported_is_read_back_from_its_fields() {
        let mut exports = two();
        exports.insert("odd".to_owned(), export("/a, rw, as 1:2", Access::Ro, None));
        let volume = Source::Volume("vault".to_owned());
        let vault = Export { source: volume, access: Access::Rw, squash: Some((0, 0)) };
        assert_eq!(vault.to_string(), "volume vault, rw, as 0:0");
        exports.insert("vault".to_owned(), vault);
        let mut fields: Fields<Value> = Fields::new().with("image", json!("topo-nfs-server:1"));
        for (name, value) in super::fields(&exports) {
            fields.set(name, value);
        }
        assert_eq!(exports_of(&fields), exports);
    }

    #[test]
    fn a_path_of_any_letters_is_one_mount() {
        let exports: Exports = [("a".to_owned(), export("/a:b,c \"d", Access::Ro, None))].into();
        let host = body("dev-nfs", Some("image"), &exports, Labels::new()).host_config;
        let mounts = host.and_then(|host| host.mounts).expect("are set");
        assert_eq!(mounts[0].source.as_deref(), Some("/a:b,c \"d"));
        assert_eq!(mounts[0].target.as_deref(), Some("/shares/a"));
        assert_eq!(mounts[0].read_only, Some(true));
        assert_eq!(mounts[1].source.as_deref(), Some("dev-nfs-clients"));
    }
}
