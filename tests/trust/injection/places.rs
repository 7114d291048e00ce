//! The places of a topology that take a text, and what is to be read of what topo renders of it.

use std::path::PathBuf;
use std::sync::OnceLock;

use serde_json::{Value, json};

use super::readers::{self, Readers};
use crate::lane::Lane;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Of the gateway's container.
    Name,
    /// The same where nginx forwards.
    NameByProxy,
    /// Where connections through sshd and squid may lead.
    Allowed,
    AuthorizedKey,
    /// What follows a key in its line.
    KeyComment,
    ExportedFolder,
    ExportClient,
    StateFolder,
    Jump,
    MountedFolder,
    NodeLabel,
    KubeadmPatch,
    ExternalFolder,
    MountOption,
    Variable,
    Environment,
    Manifest,
}

pub const EVERYWHERE: [Place; 17] = [
    Place::Name,
    Place::NameByProxy,
    Place::Allowed,
    Place::AuthorizedKey,
    Place::KeyComment,
    Place::ExportedFolder,
    Place::ExportClient,
    Place::StateFolder,
    Place::Jump,
    Place::MountedFolder,
    Place::NodeLabel,
    Place::KubeadmPatch,
    Place::ExternalFolder,
    Place::MountOption,
    Place::Variable,
    Place::Environment,
    Place::Manifest,
];

const NETWORK: &str = "192.0.2.0/24";
const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH";

impl Place {
    /// The environment holds no zero; a folder of that name has to be made first, below another.
    pub fn can_be_given(self, text: &str) -> bool {
        match self {
            Self::Environment | Self::StateFolder => !text.contains('\0'),
            Self::ExportedFolder | Self::MountedFolder => !text.contains(['\0', '/', '~']),
            _ => true,
        }
    }

    pub fn topology(self, lane: &Lane, text: &str) -> String {
        let gateway = |gateway: Value| json!({ "gateway": gateway });
        let key =
            |line: &str| gateway(json!({ "ssh": { "listen": 122, "authorizedKeys": [line] } }));
        let share = |share: Value| json!({ "cluster": {}, "shares": [share] });
        let services = |name: Option<&str>, allow: &str, mode: &str| {
            let mut wanted = json!({
                "mode": mode,
                "ssh": { "listen": 122, "authorizedKeys": [KEY] },
                "httpProxy": { "listen": 3128, "allow": [allow] },
            });
            if mode == "dnat" {
                wanted["ssh"]["allow"] = json!([allow]);
            }
            if let Some(name) = name {
                wanted["name"] = json!(name);
            }
            gateway(wanted)
        };
        let over_ssh = json!({ "name": "docs", "path": lane.home(), "via": "ssh" });
        let mut file = match self {
            Self::Name => services(Some(text), NETWORK, "dnat"),
            Self::NameByProxy => services(Some(text), NETWORK, "proxy"),
            Self::Allowed => services(None, text, "dnat"),
            Self::AuthorizedKey => key(text),
            Self::KeyComment => key(&format!("{KEY} {text}")),
            Self::ExportedFolder => {
                let _ = std::fs::create_dir_all(folder(lane, text));
                share(json!({ "name": "docs", "path": text, "via": "host" }))
            }
            Self::ExportClient => share(json!({
                "name": "docs", "path": lane.home(), "via": "host",
                "nfs": { "clients": [text, format!("{}.0/24", lane.net())] },
            })),
            Self::StateFolder => {
                let mut file = share(over_ssh);
                file["gateway"] = json!({ "ssh": { "listen": 122 } });
                file
            }
            Self::Jump => {
                let mut file = share(over_ssh);
                file["gateway"] = json!({ "ssh": { "listen": 122, "jump": text } });
                file
            }
            Self::MountedFolder => {
                let _ = std::fs::create_dir_all(folder(lane, text));
                let mount = json!({ "hostPath": text, "containerPath": "/x" });
                json!({ "cluster": { "mounts": [mount] } })
            }
            Self::NodeLabel => {
                json!({ "cluster": { "controlPlane": { "labels": { "example.com/x": text } } } })
            }
            Self::KubeadmPatch => {
                json!({ "cluster": {
                    "quickRestarts": false,
                    "kindConfig": { "kubeadmConfigPatches": [text] },
                } })
            }
            Self::ExternalFolder => share(json!({
                "name": "docs", "path": format!("/{text}"), "via": "external", "server": "nas.lan",
            })),
            Self::MountOption => share(json!({
                "name": "docs", "path": "/docs", "via": "external", "server": "nas.lan",
                "mountOptions": [text],
            })),
            Self::Variable => {
                write(lane, "x.yaml.j2", "{{ vars.x | tojson }}");
                json!({ "cluster": {}, "manifests": [{ "path": "x.yaml.j2" }], "vars": { "x": text } })
            }
            Self::Environment => {
                write(lane, "x.yaml.j2", "{{ vars.x | tojson }}");
                return from_the_environment(lane);
            }
            Self::Manifest => {
                write(lane, "x.yaml", &json!(text).to_string());
                json!({ "cluster": {}, "manifests": [{ "path": "x.yaml" }] })
            }
        };
        file["name"] = json!(lane.name);
        file["network"] = json!({ "subnet": format!("{}.0/24", lane.net()) });
        file.to_string()
    }

    pub fn variables(self, lane: &Lane, text: &str) -> Vec<(&'static str, String)> {
        match self {
            Self::Environment => vec![("TOPO_TRUST_TEXT", text.to_owned())],
            Self::StateFolder => vec![("XDG_STATE_HOME", folder(lane, text).display().to_string())],
            _ => Vec::new(),
        }
    }

    /// What `topo render` is asked for.
    pub fn rendered(self) -> &'static str {
        match self {
            Self::Name
            | Self::NameByProxy
            | Self::Allowed
            | Self::AuthorizedKey
            | Self::KeyComment => "gateway",
            Self::ExportedFolder | Self::ExportClient => "exports",
            Self::StateFolder | Self::Jump => "ssh-config",
            Self::MountedFolder | Self::NodeLabel | Self::KubeadmPatch => "kind",
            Self::ExternalFolder | Self::MountOption => "shares",
            Self::Variable | Self::Environment | Self::Manifest => "manifests",
        }
    }
    /// What the program that reads it takes it for.
    pub fn read(
        self,
        lane: &Lane,
        programs: &Readers,
        text: &str,
        rendered: &str,
    ) -> Result<String, String> {
        let kind = |path: &str| readers::object(rendered, |one| one["kind"] == "Cluster", path);
        let volume =
            |path: &str| readers::object(rendered, |one| one["kind"] == "PersistentVolume", path);
        match self {
            Self::Name | Self::NameByProxy => programs.gateway(rendered, Some(text), NETWORK),
            Self::Allowed => programs.gateway(rendered, None, text),
            Self::AuthorizedKey => readers::key(text),
            Self::KeyComment => readers::key(&format!("{KEY} {text}")),
            Self::ExportedFolder => programs.exported(rendered, &folder(lane, text)),
            Self::ExportClient => programs.exported(rendered, lane.home()),
            Self::StateFolder => readers::ssh(lane, rendered, "identityfile"),
            Self::Jump => readers::jump(lane, rendered),
            Self::MountedFolder => kind("/nodes/0/extraMounts/0/hostPath"),
            Self::NodeLabel => kind("/nodes/0/labels/example.com~1x"),
            Self::KubeadmPatch => kind("/kubeadmConfigPatches/2"),
            Self::ExternalFolder => volume("/spec/nfs/path"),
            Self::MountOption => volume("/spec/mountOptions/0"),
            Self::Variable | Self::Environment | Self::Manifest => {
                readers::object(rendered, |one| one["kind"] == "ConfigMap", "/data/x")
            }
        }
    }

    /// What it must take it for.
    pub fn meaning(self, lane: &Lane, programs: &Readers, text: &str) -> String {
        let path = |path: PathBuf| path.components().collect::<PathBuf>().display().to_string();
        match self {
            Self::Name | Self::NameByProxy | Self::Allowed => plain(lane, programs),
            Self::AuthorizedKey | Self::KeyComment => readers::ONE_KEY.to_owned(),
            Self::ExportedFolder | Self::MountedFolder => path(folder(lane, text)),
            Self::ExportClient => path(lane.home().to_owned()),
            Self::StateFolder => {
                path(folder(lane, text).join("topo").join(&lane.name).join("tunnels/docs/key"))
            }
            Self::ExternalFolder => format!("/{text}"),
            Self::Jump
            | Self::NodeLabel
            | Self::KubeadmPatch
            | Self::MountOption
            | Self::Variable
            | Self::Environment
            | Self::Manifest => text.to_owned(),
        }
    }
}

/// What squid reads of a gateway with a plain name.
fn plain(lane: &Lane, programs: &Readers) -> String {
    static READ: OnceLock<String> = OnceLock::new();
    let read = || {
        let file = lane.write(&Place::Name.topology(lane, "plain"));
        let rendered = lane.topo(&["render", "gateway", "-f", &file]);
        programs.gateway(&rendered.out, Some("plain"), NETWORK).expect("is taken")
    };
    READ.get_or_init(read).clone()
}

fn folder(lane: &Lane, text: &str) -> PathBuf {
    lane.own(text)
}

/// A manifest in which something stands as the value of a ConfigMap.
fn write(lane: &Lane, name: &str, value: &str) {
    let text =
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: x }}\ndata:\n  x: {value}\n");
    std::fs::write(lane.own(name), text).expect("written");
}

/// Variables are filled into plain values, which JSON has not.
fn from_the_environment(lane: &Lane) -> String {
    let name = &lane.name;
    format!(
        "name: {name}\ncluster: {{}}\nmanifests: [{{ path: x.yaml.j2 }}]\nvars:\n  x: ${{TOPO_TRUST_TEXT}}\n"
    )
}
