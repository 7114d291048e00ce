//! The topologies of the rounds: as much as there is without a cluster.

use std::fmt::Write as _;
use std::net::TcpListener;
use std::process::Command;
use std::sync::OnceLock;

use crate::engine;
use crate::lane::Lane;

/// Built once, and given as it is: no round waits for a build.
const IMAGE: &str = "topo-trust-gateway:1";

/// Stands in for docker-connector, which the lab has not.
const CONNECTOR: &str = "topo-trust-connector:1";

/// A gateway's own image under a name of this target's.
pub fn image() -> &'static str {
    static MADE: OnceLock<()> = OnceLock::new();
    MADE.get_or_init(|| {
        if !is_there(IMAGE) {
            build();
        }
        if !is_there(CONNECTOR) {
            stand_in();
        }
    });
    IMAGE
}

fn is_there(image: &str) -> bool {
    let there = Command::new("docker").args(["image", "inspect", image]).output();
    there.is_ok_and(|there| there.status.success())
}

fn stand_in() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let program = "RUN printf '#!/bin/sh\\nexec sleep infinity\\n' >/bin/connector && chmod +x /bin/connector";
    let text = format!("FROM {}\n{program}\nENTRYPOINT [\"connector\"]\n", base());
    std::fs::write(folder.path().join("Dockerfile"), text).expect("written");
    engine::docker(&["build", "-q", "-t", CONNECTOR, &folder.path().display().to_string()]);
}

fn build() {
    let lane = Lane::open("image", 250);
    let text = format!(
        "name: {}\nnetwork: {{ subnet: {}.0/24 }}\ngateway:\n  image: {{ base: \"{}\" }}\n",
        lane.name,
        lane.net(),
        base()
    );
    let file = lane.write(&text);
    let name = lane.name.as_str();
    lane.topo(&["apply", "--yes", &file]).ends(0, "the image's apply").expect("an image");
    let built = engine::docker(&["inspect", "-f", "{{.Image}}", &format!("{name}-gw")]);
    engine::docker(&["tag", &built, IMAGE]);
    lane.topo(&["destroy", "--yes", &file]).ends(0, "the image's destroy").expect("gone");
}

pub fn base() -> String {
    std::env::var("GATEWAY_BASE").expect("bring the lab up first: `tests/lab/lab env`")
}

/// Ports of this machine that answer, so that no forward is waited for.
fn answering() -> [u16; 2] {
    static PORTS: OnceLock<[u16; 2]> = OnceLock::new();
    *PORTS.get_or_init(|| [(); 2].map(|()| listen()))
}

fn listen() -> u16 {
    let listener = TcpListener::bind("0.0.0.0:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || listener.incoming().for_each(drop));
    port
}

/// What a file says that rounds change.
#[derive(Debug, Clone)]
pub struct File {
    /// The first of three forwards leads elsewhere.
    pub is_moved: bool,
    /// How many ports are published.
    pub published: u16,
    pub image: Option<String>,
    /// One forward and the connector have left the file.
    pub is_less: bool,
}

impl File {
    pub fn new() -> Self {
        Self { is_moved: false, published: 3, image: None, is_less: false }
    }

    /// A forward leads elsewhere: changed in place.
    pub fn moved() -> Self {
        Self { is_moved: true, ..Self::new() }
    }

    /// More ports are published: another gateway.
    pub fn wider() -> Self {
        Self { published: 5, ..Self::new() }
    }

    pub fn lesser() -> Self {
        Self { is_less: true, ..Self::new() }
    }

    /// The image is built on this base.
    pub fn built_on(base: &str) -> Self {
        Self { image: Some(format!("{{ base: \"{base}\" }}")), ..Self::new() }
    }

    pub fn write(&self, lane: &Lane) -> String {
        let (net, first) = (lane.net(), lane.port());
        let image = self.image.clone().unwrap_or_else(|| image().to_owned());
        let [port, other] = answering();
        let last = first + self.published - 1;
        let mut text = format!(
            "name: {name}\nnetwork: {{ subnet: {net}.0/24 }}\ngateway:\n  address: {net}.12\n  image: {image}\n  publish: [{first}-{last}]\n  ports:\n",
            name = lane.name,
        );
        let mut forwards =
            vec![(first, if self.is_moved { other } else { port }), (first + 1, port)];
        if !self.is_less {
            forwards.push((first + 2, other));
        }
        for (listen, port) in forwards {
            let to = format!("{{ address: {net}.1, port: {port} }}");
            let _ = writeln!(text, "    - {{ listen: {listen}, to: {to} }}");
        }
        if !self.is_less {
            let addr = format!("192.168.25{}.1/24", lane.number % 10);
            let _ = writeln!(text, "connector: {{ addr: {addr}, image: {CONNECTOR} }}");
        }
        lane.write(&text)
    }
}
