//! The commands that need no engine, and what the others say without one.

use std::process::{Command, Stdio};

use crate::Machine;

const SMALL: &str = "\
apiVersion: topo/v1alpha1
kind: Topology
name: dev
cluster: { workers: 1 }
gateway:
  publish: [10000-10019]
";

#[test]
fn a_valid_file_is_said_to_be_valid() {
    let machine = Machine::new();
    machine.write("topo.yaml", SMALL);
    insta::assert_snapshot!(machine.topo(&["validate"]).shown());
    let json = machine.topo(&["validate", "-o", "json"]).stdout;
    assert_eq!(json, "{\"type\":\"problems\",\"valid\":true,\"problems\":[]}\n");
    let quiet = machine.topo(&["validate", "-q"]);
    assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str(), quiet.code), ("", "", 0));
}

#[test]
fn the_graph_is_drawn_in_every_format() {
    let machine = Machine::new();
    machine.write("topo.yaml", SMALL);
    insta::assert_snapshot!("graph", machine.topo(&["graph"]).shown());
    for (format, first) in
        [("dot", "digraph "), ("mermaid", "flowchart LR"), ("svg", "<svg "), ("html", "<!doctype")]
    {
        let ran = machine.topo(&["graph", "--format", format]);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{format}");
        assert!(ran.stdout.starts_with(first), "{}", ran.stdout);
        assert!(ran.stdout.contains("dev"), "{}", ran.stdout);
    }
    let document: serde_json::Value =
        serde_json::from_str(&machine.topo(&["graph", "-o", "json"]).stdout).expect("JSON");
    assert_eq!(document["format"], "topo.graph/v1");
}

#[test]
fn a_folder_beside_the_file_is_mounted_by_its_whole_path() {
    let machine = Machine::new();
    machine.folder("docs");
    machine.write(
        "topo.yaml",
        &format!("{SMALL}shares: [{{ name: docs, path: docs, via: mount }}]\n"),
    );
    let kind = machine.topo(&["render", "kind", "-f", "topo.yaml"]);
    let whole = machine.path().join("docs").display().to_string();
    assert!(
        kind.stdout.contains(&format!("hostPath: {whole}\n")),
        "{}{}",
        kind.stdout,
        kind.stderr
    );
}

#[test]
fn render_prints_one_part_alone_and_hides_secrets() {
    let machine = Machine::new();
    let manifests = "manifests:\n  - { path: db.yaml }\n";
    machine.write("topo.yaml", &format!("{SMALL}{manifests}"));
    machine.write(
        "db.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata: { name: db }\nstringData: { password: hunter2 }\n",
    );
    insta::assert_snapshot!("render-kind", machine.topo(&["render", "kind"]).shown());
    insta::assert_snapshot!("render-manifests", machine.topo(&["render", "manifests"]).shown());
    let open = machine.topo(&["render", "manifests", "--show-secrets"]);
    assert!(open.stdout.contains("password: hunter2"), "{}", open.stdout);
    let all = machine.topo(&["render"]).stdout;
    for title in ["# ---- kind\n", "# ---- manifests\n", "# ---- gateway/Dockerfile\n"] {
        assert!(all.contains(title), "{title} is not in\n{all}");
    }
    assert!(!all.contains("hunter2"), "{all}");
}

#[test]
fn the_schema_is_one() {
    let ran = Machine::new().topo(&["schema"]);
    let schema = serde_json::from_str(&ran.stdout).expect("the schema is JSON");
    jsonschema::meta::validate(&schema).expect("the schema is a JSON Schema");
}

#[test]
fn init_writes_a_valid_file_and_never_over_another() {
    let machine = Machine::new();
    let file = "Web_Shop/topo.yaml";
    insta::assert_snapshot!("init", machine.topo(&["init", file]).shown());
    assert_eq!(machine.topo(&["validate", file]).code, 0);
    let written = machine.read(file);
    assert!(written.contains("\nname: web-shop "), "{written}");
    assert_eq!(machine.read("Web_Shop/topology.schema.json"), machine.topo(&["schema"]).stdout);
    assert_eq!(machine.topo(&["init"]).code, 0);
    let name = machine.path().file_name().expect("a folder").to_string_lossy().to_lowercase();
    let here = machine.read("topo.yaml");
    assert!(here.contains(&format!("\nname: {} ", name.trim_matches('.'))), "{here}");
    insta::assert_snapshot!("init-again", machine.topo(&["init", file]).shown());
    assert_eq!(machine.read(file), written);
}

#[test]
fn a_tunnel_that_is_not_there_is_told_from_one_that_is_down() {
    let machine = Machine::new();
    let ran = machine.topo(&["tunnel", "status", "--name", "dev"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    insta::assert_snapshot!(
        "tunnel-none",
        machine.topo(&["tunnel", "run", "--name", "dev"]).shown()
    );
    insta::assert_snapshot!(
        "tunnel-unknown",
        machine.topo(&["tunnel", "stop", "--name", "dev", "docs"]).shown()
    );
    insta::assert_snapshot!(
        "tunnel-of-no-topology",
        machine.topo(&["tunnel", "status", "--name", "Dev"]).shown()
    );
}

#[test]
fn the_settings_of_a_tunnel_are_rendered() {
    let machine = Machine::new();
    machine.write(
        "topo.yaml",
        "name: dev\ncluster: {}\ngateway:\n  ssh: { listen: 0.0.0.0:122, jump: bastion }\n  expose: { via: ssh }\n  publish: [10000-10001]\nshares:\n  - { name: docs, path: ., via: ssh, nfs: { system: linux, version: \"3\", mountPort: 20048 } }\n",
    );
    let far = [("DOCKER_HOST", "tcp://192.0.2.7:2376"), ("XDG_STATE_HOME", "/state")];
    insta::assert_snapshot!(
        "render-ssh-config",
        machine.topo_with(&["render", "ssh-config"], &far).shown()
    );
}

#[test]
fn init_offers_every_topology_of_the_repository_with_its_files() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/topologies");
    let names: Vec<String> = std::fs::read_dir(folder)
        .expect("the folder is there")
        .filter_map(|entry| {
            let name = entry.expect("an entry").file_name().into_string().expect("a name");
            name.strip_suffix(".yaml").map(str::to_owned)
        })
        .collect();
    assert!(!names.is_empty());
    for name in names {
        let machine = Machine::new();
        let ran = machine.topo(&["init", "--from", &name]);
        assert_eq!(ran.code, 0, "{name}: {}", ran.stderr);
        let ran = machine.topo(&["validate"]);
        assert_eq!(ran.code, 0, "{name}: {}", ran.stderr);
    }
}

#[test]
fn completions_and_manual_pages_are_written() {
    let machine = Machine::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let ran = machine.topo(&["completions", shell]);
        assert_eq!(ran.code, 0);
        assert!(ran.stdout.contains("validate"), "{shell}");
    }
    assert!(machine.topo(&["man"]).stdout.contains(".TH topo 1"));
    assert!(machine.topo(&["man", "apply"]).stdout.contains(".TH topo-apply 1"));
    insta::assert_snapshot!("man-unknown", machine.topo(&["man", "aply"]).shown());
}

#[test]
fn without_an_engine_nothing_is_changed() {
    let machine = Machine::new();
    machine.write("topo.yaml", SMALL);
    for command in ["apply", "diff", "destroy"] {
        let ran = machine.topo(&[command]);
        assert_eq!(ran.code, 2, "{}", ran.stderr);
        assert!(ran.stderr.starts_with("error: cannot reach a Docker engine\n"), "{}", ran.stderr);
        assert_eq!(ran.stdout, "");
    }
}

#[test]
fn a_look_needs_no_home_and_an_apply_says_that_it_does() {
    let machine = Machine::new();
    machine.write("topo.yaml", SMALL);
    for (command, why) in [("diff", "cannot reach a Docker engine"), ("apply", "set HOME or")] {
        let ran = machine.topo_with(&[command], &[("HOME", "")]);
        assert_eq!(ran.code, 2, "{}", ran.stderr);
        assert!(ran.stderr.contains(why), "{command}: {}", ran.stderr);
    }
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let mut topo = Command::new(env!("CARGO_BIN_EXE_topo"))
        .arg("schema")
        .env_clear()
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("topo can be started");
    drop(topo.stdout.take());
    let output = topo.wait_with_output().expect("topo ends");
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}
