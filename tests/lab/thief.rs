//! A way to the engine on which all goes through unchanged. Just before the first container is made,
//! the image that it is made of is taken away, as by a topology that goes at that moment.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Command;
use std::sync::{Arc, OnceLock};

use crate::lab::Lab;

pub struct Thief {
    /// For `DOCKER_HOST`.
    pub host: String,
    taken: Arc<OnceLock<String>>,
}

impl Thief {
    pub fn on_the_way(lab: &Lab) -> Self {
        let engine = std::env::var("DOCKER_HOST").expect("set by the lab");
        let engine = engine.strip_prefix("unix://").expect("an engine of this machine").to_owned();
        let socket = lab.own("engine.sock");
        let listener = UnixListener::bind(&socket).expect("a socket");
        let taken = Arc::new(OnceLock::new());
        let takes = Arc::clone(&taken);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.expect("a client");
                let engine = UnixStream::connect(&engine).expect("the engine");
                let back = (engine.try_clone(), client.try_clone());
                let takes = Arc::clone(&takes);
                std::thread::spawn(move || there(client, engine, &takes));
                if let (Ok(mut engine), Ok(mut client)) = back {
                    std::thread::spawn(move || {
                        let _ = std::io::copy(&mut engine, &mut client);
                        let _ = client.shutdown(Shutdown::Write);
                    });
                }
            }
        });
        Self { host: format!("unix://{}", socket.display()), taken }
    }

    /// The image, if it came to that.
    pub fn taken(&self) -> Option<&str> {
        self.taken.get().map(String::as_str)
    }
}

fn there(mut client: UnixStream, mut engine: UnixStream, taken: &OnceLock<String>) {
    let mut said = vec![0; 65536];
    let mut request = String::new();
    while let Ok(length @ 1..) = client.read(&mut said) {
        let part = String::from_utf8_lossy(&said[..length]);
        if part.starts_with("POST ") {
            request.clear();
        }
        request.push_str(&part);
        let image = if request.contains("/containers/create?") { image_of(&request) } else { None };
        if let (None, Some(image)) = (taken.get(), image) {
            take(image);
            let _ = taken.set(image.to_owned());
        }
        if engine.write_all(&said[..length]).is_err() {
            break;
        }
    }
    let _ = engine.shutdown(Shutdown::Write);
}

/// Once it has come whole.
fn image_of(request: &str) -> Option<&str> {
    let (_, rest) = request.split_once("\"Image\":\"")?;
    rest.split_once('"').map(|(image, _)| image)
}

fn take(image: &str) {
    let ended = Command::new("docker").args(["rmi", image]).output().expect("docker runs");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
}
