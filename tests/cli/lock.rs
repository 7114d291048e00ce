//! `topo lock`, and what keeps to it.

use crate::{Machine, Ran, engine};

const FILE: &str = "\
name: dev
cluster: {}
metallb: { version: v0.15.3, pools: [{ name: dev, size: 20 }] }
images:
  - localhost/web@sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824
  - { name: quay.io/metallb/controller:v0.15.3, build: web }
  - { name: quay.io/metallb/speaker:v0.15.3, build: web }
manifests:
  - url: https://example.com/web.yaml
    sha256: 2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824
";

struct Locking {
    machine: Machine,
    engine: String,
}

impl Locking {
    fn new() -> Self {
        let machine = Machine::new();
        machine.write("dev.yaml", FILE);
        machine.folder("web");
        machine.write("web/Dockerfile", "FROM scratch\n");
        machine.program("kind", &Self::kind("0.32.0"));
        machine.write("bin/docker", "");
        Self { machine, engine: engine::with_claims(&[]) }
    }

    fn kind(version: &str) -> String {
        format!("#!/bin/sh\necho {version}\n")
    }

    fn topo(&self, args: &[&str]) -> Ran {
        self.machine.topo_on_path(args, &[("DOCKER_HOST", &self.engine)])
    }
}

#[test]
fn what_is_locked_is_kept_to_until_somebody_accepts_another() {
    let lock = Locking::new();
    insta::assert_snapshot!("missing", lock.topo(&["diff", "dev.yaml", "--locked"]).shown());
    assert_eq!(lock.topo(&["lock", "dev.yaml", "--check"]).code, 2);

    let ran = lock.topo(&["lock", "dev.yaml"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, "note: wrote `dev.lock`\n"));
    insta::assert_snapshot!("written", lock.machine.read("dev.lock"));
    assert_eq!(lock.topo(&["lock", "dev.yaml", "--check"]).code, 0);

    lock.machine.write("bin/kind", &Locking::kind("0.33.0"));
    insta::assert_snapshot!("check", lock.topo(&["lock", "dev.yaml", "--check"]).shown());
    insta::assert_snapshot!(
        "json",
        lock.topo(&["lock", "dev.yaml", "--check", "-o", "json"]).shown()
    );
    insta::assert_snapshot!("refused", lock.topo(&["diff", "dev.yaml", "--locked"]).shown());
    insta::assert_snapshot!("kept", lock.topo(&["lock", "dev.yaml"]).shown());
    assert!(lock.machine.read("dev.lock").contains("kind: v0.32.0\n"));
    insta::assert_snapshot!("unknown", lock.topo(&["lock", "dev.yaml", "--update=knd"]).shown());
    insta::assert_snapshot!("updated", lock.topo(&["lock", "dev.yaml", "--update=kind"]).shown());
    assert!(lock.machine.read("dev.lock").contains("kind: v0.33.0\n"));
    assert_eq!(lock.topo(&["lock", "dev.yaml", "--check"]).code, 0);

    // What the file no longer leads to is in nobody's way, and goes when it is locked again.
    let (without, _) = FILE.split_once("manifests:").expect("its last key");
    lock.machine.write("dev.yaml", without);
    assert_eq!(lock.topo(&["lock", "dev.yaml", "--check"]).code, 1);
    assert_eq!(lock.topo(&["diff", "dev.yaml", "--locked"]).code, 1);
    assert_eq!(lock.topo(&["lock", "dev.yaml"]).code, 0);
    assert!(!lock.machine.read("dev.lock").contains("manifest/"));
}

#[test]
fn a_lock_file_that_cannot_be_read_is_neither_used_nor_written_over() {
    let lock = Locking::new();
    lock.machine.write("dev.lock", "<<<<<<< HEAD\nversion: 1\n");
    insta::assert_snapshot!("torn", lock.topo(&["lock", "dev.yaml"]).shown());
    assert!(lock.machine.read("dev.lock").starts_with("<<<<<<<"));
    insta::assert_snapshot!("stdin", lock.topo(&["lock", "-"]).shown());
}
