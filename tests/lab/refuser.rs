//! A way to the engine on which all goes through but for programs that shall be run in containers,
//! as an engine's authorization plugin refuses them.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};

use crate::lab::Lab;

const REFUSAL: &str = "{\"message\":\"exec is refused\"}\n";

/// For `DOCKER_HOST`.
pub fn on_the_way(lab: &Lab) -> String {
    let engine = std::env::var("DOCKER_HOST").expect("set by the lab");
    let engine = engine.strip_prefix("unix://").expect("an engine of this machine").to_owned();
    let socket = lab.own("refuser.sock");
    let listener = UnixListener::bind(&socket).expect("a socket");
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let client = client.expect("a client");
            let engine = UnixStream::connect(&engine).expect("the engine");
            std::thread::spawn(move || carry(client, engine));
        }
    });
    format!("unix://{}", socket.display())
}

fn carry(mut client: UnixStream, mut engine: UnixStream) {
    let (mut answers, mut answered) =
        (engine.try_clone().expect("a way back"), client.try_clone().expect("a way back"));
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut answers, &mut answered);
        let _ = answered.shutdown(Shutdown::Both);
    });
    let mut said = vec![0; 65536];
    while let Ok(length @ 1..) = client.read(&mut said) {
        let head = String::from_utf8_lossy(&said[..length]);
        let asked = head.lines().next().unwrap_or_default();
        if asked.starts_with("POST ") && asked.contains("/exec") {
            let answer = format!(
                "HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{REFUSAL}",
                REFUSAL.len()
            );
            let _ = client.write_all(answer.as_bytes());
            let _ = client.shutdown(Shutdown::Both);
            break;
        }
        if engine.write_all(&said[..length]).is_err() {
            break;
        }
    }
    let _ = engine.shutdown(Shutdown::Write);
}
