//! The engine itself, past every proxy: what is in it, and what a person does to it by hand.

use std::io::{BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::proxy::{Head, pass};

/// The lab's engine.
pub fn socket() -> PathBuf {
    let host = std::env::var("DOCKER_HOST").expect("bring the lab up first: `tests/lab/lab env`");
    host.strip_prefix("unix://").expect("an engine of this machine").into()
}

/// What the engine answers to a call without a body.
pub fn ask(method: &str, path: &str) -> Value {
    let mut line = UnixStream::connect(socket()).expect("the engine answers");
    let request = format!("{method} {path} HTTP/1.0\r\nHost: engine\r\n\r\n");
    line.write_all(request.as_bytes()).expect("asked");
    let mut from = BufReader::new(line);
    let head = Head::read(&mut from).expect("an answer").expect("one");
    let mut body = Vec::new();
    pass(head.body_of_answer(method), &mut from, &mut body).expect("all of it");
    serde_json::from_slice(&body).unwrap_or_default()
}

/// Everything of one sort, by the list call that gives it.
pub fn list(path: &str, key: Option<&str>) -> Vec<Value> {
    let answer = ask("GET", path);
    let list = key.map_or(&answer, |key| &answer[key]);
    list.as_array().cloned().unwrap_or_default()
}

pub fn containers() -> Vec<Value> {
    list("/containers/json?all=true", None)
}

pub fn networks() -> Vec<Value> {
    list("/networks", None)
}

pub fn volumes() -> Vec<Value> {
    list("/volumes", Some("Volumes"))
}

pub fn images() -> Vec<Value> {
    list("/images/json", None)
}

/// A program of the user's on that engine; it must succeed.
#[track_caller]
pub fn docker(arguments: &[&str]) -> String {
    let ended = Command::new("docker").args(arguments).output().expect("docker runs");
    let complaint = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "docker {}: {complaint}", arguments.join(" "));
    String::from_utf8_lossy(&ended.stdout).trim().to_owned()
}
