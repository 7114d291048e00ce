//! Files at addresses of this machine, as a web server or a registry of images gives them out.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use serde_json::Value;

use crate::lab::Lab;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// What is served, by path.
#[derive(Default)]
pub struct Files(BTreeMap<String, File>);

struct File {
    kind: &'static str,
    content: Vec<u8>,
}

/// Serves until it is dropped.
pub struct Served {
    pub address: SocketAddr,
    ends: Arc<AtomicBool>,
    server: Option<JoinHandle<()>>,
}

impl Files {
    pub fn add(&mut self, path: &str, content: &str) {
        let file = File { kind: "text/plain", content: content.as_bytes().to_vec() };
        self.0.insert(path.to_owned(), file);
    }

    /// An image as a registry has it, taken from the lab's engine; answers its digest.
    pub fn add_image(&mut self, lab: &Lab, image: &str, name: &str) -> String {
        let folder = lab.own("registry");
        std::fs::create_dir(&folder).expect("a folder");
        let archive = lab.own("image.tar").display().to_string();
        lab.run("docker", &["save", "-o", &archive, image]);
        lab.run("tar", &["-xf", &archive, "-C", &folder.display().to_string()]);
        let index = std::fs::read(folder.join("index.json")).expect("an engine of release 25");
        let index: Value = serde_json::from_slice(&index).expect("JSON");
        let digest = index["manifests"][0]["digest"].as_str().expect("a digest").to_owned();
        for blob in std::fs::read_dir(folder.join("blobs/sha256")).expect("listed") {
            let blob = blob.expect("listed");
            let content = std::fs::read(blob.path()).expect("readable");
            let hash = blob.file_name().display().to_string();
            if digest.ends_with(&hash) {
                let file = File { kind: MANIFEST, content };
                self.0.insert(format!("/v2/{name}/manifests/{digest}"), file);
            } else {
                let file = File { kind: "application/octet-stream", content };
                self.0.insert(format!("/v2/{name}/blobs/sha256:{hash}"), file);
            }
        }
        self.add("/v2/", "");
        digest
    }

    pub fn serve(self) -> Served {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let ends = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&ends);
        let server = std::thread::spawn(move || {
            for client in listener.incoming() {
                if until.load(Ordering::Relaxed) {
                    break;
                }
                // One that goes away asks again if it wants to.
                let _ = self.answer(client.expect("a client"));
            }
        });
        Served { address, ends, server: Some(server) }
    }

    /// One request a connection. What is none, as when somebody tries TLS first, is told so.
    fn answer(&self, mut client: TcpStream) -> std::io::Result<()> {
        let mut request = [0; 8192];
        let length = client.read(&mut request)?;
        let request = String::from_utf8_lossy(&request[..length]);
        let mut words = request.split_whitespace();
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (status, file) = match self.0.get(path) {
            _ if !["GET", "HEAD"].contains(&method) => ("400 Bad Request", None),
            None => ("404 Not Found", None),
            file => ("200 OK", file),
        };
        let (kind, content) =
            file.map_or(("text/plain", &[][..]), |file| (file.kind, &file.content));
        let length = content.len();
        write!(client, "HTTP/1.1 {status}\r\nconnection: close\r\n")?;
        write!(client, "content-type: {kind}\r\ncontent-length: {length}\r\n\r\n")?;
        if method == "GET" { client.write_all(content) } else { Ok(()) }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        // So that it looks up from waiting.
        let _ = TcpStream::connect(self.address);
        if let Some(server) = self.server.take() {
            let _ = server.join();
        }
    }
}
