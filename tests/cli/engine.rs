//! An engine that has nothing but a few volumes or containers, or that takes every call and answers none.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};

use serde_json::{Value, json};

/// For `DOCKER_HOST`.
pub fn with_claims(topologies: &[&str]) -> String {
    let volumes: Vec<Value> = topologies.iter().map(|topology| claim(topology)).collect();
    with(json!({ "Volumes": volumes, "Warnings": null }), json!([]))
}

/// The same of an engine with these containers, as it lists them.
pub fn with_containers(containers: Value) -> String {
    with(json!({ "Volumes": [], "Warnings": null }), containers)
}

fn with(volumes: Value, containers: Value) -> String {
    let (host, listener) = listen();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A client that goes away is no matter.
            let _ = answer(stream, &volumes, &containers);
        }
    });
    host
}

/// With word of each connection that it takes.
pub fn silent() -> (String, Receiver<TcpStream>) {
    let (host, listener) = listen();
    let (tell, told) = channel();
    std::thread::spawn(move || {
        listener.incoming().flatten().try_for_each(|stream| tell.send(stream))
    });
    (host, told)
}

fn listen() -> (String, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    (format!("tcp://{}", listener.local_addr().expect("an address")), listener)
}

fn claim(topology: &str) -> Value {
    let claim = json!({
        "format": 1, "topology": topology, "generation": 1, "file": "/topo.yaml", "creating": false,
    });
    json!({
        "Name": format!("topo-{topology}.1"), "Driver": "local", "Mountpoint": "/v",
        "Scope": "local", "Options": null,
        "Labels": { "dev.topo.topology": topology, "dev.topo.claim": claim.to_string() },
    })
}

fn answer(mut stream: TcpStream, volumes: &Value, containers: &Value) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let body = if first.contains("/version") {
        json!({ "Version": "26.1.0", "ApiVersion": "1.45", "MinAPIVersion": "1.24" })
    } else if first.contains("/volumes") {
        volumes.clone()
    } else if first.contains("/containers/json") {
        containers.clone()
    } else {
        json!([])
    };
    let body = body.to_string();
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}
