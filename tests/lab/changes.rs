//! Changes of the file, one at a time: `diff` says so with its line, `apply` does that and no more.
//! Before them, on the same cluster, a topo that was killed, and changes of the world.

use crate::lab::Lab;
use crate::small::{File, changed};
use crate::{drift, interrupted, stopped, watched};

#[test]
#[ignore = "needs the lab"]
fn interrupted_drift_and_changes_of_the_file() {
    let lab = Lab::open("changes").of(&["chg"]);
    let before = lab.listing();
    let mut file = File::new(&lab);
    interrupted::killed_in_kind_create_then_finished(&lab, &file);
    file.settled();
    file.answers(12300);

    drift::is_named_and_mended_and_nothing_else(&lab, &file);
    watched::drift_is_repaired_as_it_happens(&lab, &file);
    stopped::everything_stands_still_and_comes_back(&lab, &file);
    forwards(&lab, &mut file);
    images(&lab, &mut file);
    workers(&mut file);
    pools(&lab, &mut file);
    manifests(&mut file);
    metallb(&mut file);
    keys_while_the_gateway_stands_still(&lab, &mut file);

    file.change("publish: [12300-12309]", "publish: [12300-12319]");
    file.differs("± gateway/chg-gw", "file");
    let said = file.apply();
    assert!(said.contains("the forwards were away for"), "{said}");
    file.answers(12300);

    another_node_image_is_a_replace_that_asks(&lab, &mut file);
    a_cluster_deleted_by_hand_is_made_again_or_forgotten(&lab, &file);

    lab.is_as_before(&before);
}

/// Added, moved and removed, without touching the container or anything else.
fn forwards(lab: &Lab, file: &mut File) {
    let before = file.things();
    let first = "    - { listen: 12300, to: { service: web, port: 80 } }\n";
    let second = first.replace("12300", "12301");
    let third = first.replace("12300", "12303");
    file.change(first, &format!("{first}{second}{third}"));
    let said = file.differs("+ port/127.0.0.1:12301/tcp", "file");
    let line = format!("topo.yaml:{}", file.line_of("12301"));
    assert!(said.contains(&line), "`{line}` is not in {said}");
    lab.expect(0, &["apply", "--target", "port/127.0.0.1:12301/tcp", &file.path()]);
    file.answers(12301);
    assert!(lab.get("http://127.0.0.1:12303/").is_err(), "it was not asked for");
    file.differs("+ port/127.0.0.1:12303/tcp", "file");
    file.change(&third, "");
    file.settled();

    file.change("listen: 12301", "listen: 12302");
    file.differs("- port/127.0.0.1:12301/tcp", "file");
    file.apply();
    file.answers(12302);
    assert!(lab.get("http://127.0.0.1:12301/").is_err(), "the old place still answers");

    file.change(&second.replace("12301", "12302"), "");
    file.differs("- port/127.0.0.1:12302/tcp", "file");
    file.apply();
    assert!(lab.get("http://127.0.0.1:12302/").is_err(), "it still answers");
    file.answers(12300);
    assert!(changed(&before, &file.things()).is_empty());

    lab.expect(0, &["apply", "--yes", "--replace", "gateway/chg-gw", &file.path()]);
    file.answers(12300);
    assert!(changed(&before, &file.things()).iter().eq(["container chg-gw"]));
}

/// A changed image costs what changed in it: its base is on the nodes already.
fn images(lab: &Lab, file: &mut File) {
    let id = || lab.run("docker", &["images", "--quiet", "localhost/chg:1"]).trim().to_owned();
    std::fs::create_dir(lab.own("word")).expect("a folder");
    file.put("word/Dockerfile", "ARG BASE\nFROM ${BASE}\nCOPY word /\nCMD [\"cat\", \"/word\"]\n");
    file.put("word/word", "first");
    let built = "  - name: localhost/chg:1
    build: word
    args:
      BASE: ${GATEWAY_BASE}
";
    file.change("images:\n", &format!("images:\n{built}"));
    file.differs("+ image/localhost/chg:1", "file");
    let said = file.apply();
    assert!(said.contains("onto 2 nodes, ") && !said.contains(" MB of "), "{said}");
    assert_eq!(word_of_a_pod(file), "first");

    let first = id();
    file.put("word/word", "second");
    file.differs("~ image/localhost/chg:1", "file");
    let said = file.apply();
    assert!(said.contains("onto 2 nodes, 0.1 MB of "), "{said}");
    assert_eq!(word_of_a_pod(file), "second");

    file.change(built, "");
    file.differs("- image/localhost/chg:1", "file");
    file.apply();
    assert_eq!(id(), "", "the tag of what topo built has gone");
    lab.run("docker", &["rmi", &first]);
}

fn word_of_a_pod(file: &File) -> String {
    let of_the_node = ["--image-pull-policy=Never", "--restart=Never"];
    file.kubectl(&[&["run", "word", "--image=localhost/chg:1"], &of_the_node[..]].concat());
    let ended = "--for=jsonpath={.status.phase}=Succeeded";
    file.kubectl(&["wait", ended, "pod/word", "--timeout=60s"]);
    let said = file.kubectl(&["logs", "word"]);
    file.kubectl(&["delete", "pod/word"]);
    said
}

fn workers(file: &mut File) {
    let nodes = |file: &File| file.kubectl(&["get", "nodes", "-o", "name"]).lines().count();
    file.change("workers: 1", "workers: 2");
    file.differs("+ node/chg-worker2", "file");
    file.apply();
    assert_eq!(nodes(file), 3);

    file.change("workers: 2", "workers: 1");
    file.differs("- node/chg-worker2", "file");
    file.apply();
    assert_eq!(nodes(file), 2);
}

fn pools(lab: &Lab, file: &mut File) {
    file.change(".200-172.20.127.209", ".200-172.20.127.219");
    let said = file.differs("~ pool/main", "file");
    let line = format!("topo.yaml:{}", file.line_of("name: main"));
    assert!(said.contains(&line), "`{line}` is not in {said}");
    file.apply();

    file.change(".200-172.20.127.219", ".200-172.20.127.214");
    file.differs("~ pool/main", "file");
    file.apply();

    // web has the first address, and would lose it.
    file.change(".200-172.20.127.214", ".205-172.20.127.214");
    let ran = lab.expect(2, &["apply", &file.path()]);
    assert!(ran.err.contains("default/web (172.20.127.200)"), "{}", ran.err);
    follows(lab, file);

    file.change("name: main", "name: other");
    file.differs("- pool/main", "file");
    let said = follows(lab, file);
    assert!(said.contains("in no pool for"), "{said}");
}

/// MetalLB gives another address in its own time, which the same apply waits for.
#[track_caller]
fn follows(lab: &Lab, file: &File) -> String {
    let ran = lab.expect(0, &["apply", "--yes", &file.path()]);
    file.answers(12300);
    file.settled();
    format!("{}{}", ran.out, ran.err)
}

fn manifests(file: &mut File) {
    file.change_extra("blue", "green");
    let said = file.differs("~ object/core/ConfigMap/default/extra", "file");
    assert!(said.contains("blue") && said.contains("green"), "{said}");
    file.apply();
    let colour = file.kubectl(&["get", "configmap/extra", "-o", "jsonpath={.data.colour}"]);
    assert_eq!(colour, "green");

    file.change("  - path: extra.yaml\n", "");
    file.differs("- object/core/ConfigMap/default/extra", "file");
    file.apply();
    assert!(!file.kubectl(&["get", "configmaps", "-o", "name"]).contains("extra"));
}

/// In place: the pool and the address stay, and the new release serves them.
fn metallb(file: &mut File) {
    file.change("version: v0.15.3", "version: v0.16.1");
    let said = file.differs("~ metallb/metallb", "file");
    let line = format!("topo.yaml:{}", file.line_of("v0.16.1"));
    assert!(said.contains(&line) && said.contains("v0.15.3"), "{said}");
    file.apply();
    let images = "jsonpath={.items[*].spec.template.spec.containers[0].image}";
    let workloads = ["-n", "metallb-system", "get", "deployments,daemonsets", "-o", images];
    let running = file.kubectl(&workloads);
    assert_eq!(
        running.split(' ').collect::<Vec<_>>(),
        ["quay.io/metallb/controller:v0.16.1", "quay.io/metallb/speaker:v0.16.1"]
    );
    file.answers(12300);
}

/// Other keys are written while it stands still, and it is started.
fn keys_while_the_gateway_stands_still(lab: &Lab, file: &mut File) {
    let key = std::fs::read_to_string(lab.key().with_extension("pub")).expect("a key");
    file.change(
        "  publish:",
        &format!("  ssh: {{ listen: 12399, authorizedKeys: [\"{}\"] }}\n  publish:", key.trim()),
    );
    file.apply();
    lab.run("docker", &["stop", "-t", "1", "chg-gw"]);
    file.change(
        "authorizedKeys: [",
        "authorizedKeys: [\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHRvcG8gZXhhbXBsZSBvZiBhIHB1YmxpYyBrZXkgMzJi other\", ",
    );
    file.differs("~ gateway/chg-gw", "file and drift");
    file.apply();
    file.answers(12300);
    let keys =
        lab.run("docker", &["exec", "chg-gw", "sh", "-c", "cat /var/lib/topo/authorized_keys"]);
    assert_eq!(keys.lines().count(), 2, "{keys}");
}

fn another_node_image_is_a_replace_that_asks(lab: &Lab, file: &mut File) {
    file.change("${NODE_IMAGE}", "${NODE_IMAGE_OLD}");
    let said = file.differs("± cluster/chg", "file");
    let line = format!("topo.yaml:{}", file.line_of("NODE_IMAGE_OLD"));
    assert!(said.contains(&line) && said.contains("forces replacement"), "{said}");
    let before = file.things();
    let ran = lab.expect(2, &["apply", &file.path()]);
    assert!(ran.err.contains("replaces `cluster/chg`"), "{}", ran.err);
    assert!(changed(&before, &file.things()).is_empty());

    file.apply();
    file.answers(12300);
    let image = lab.run("docker", &["inspect", "chg-worker", "--format", "{{.Config.Image}}"]);
    assert_eq!(image.trim(), std::env::var("NODE_IMAGE_OLD").expect("set by the lab"));
}

/// As a user of kind does it.
fn a_cluster_deleted_by_hand_is_made_again_or_forgotten(lab: &Lab, file: &File) {
    let kind = std::env::var("TOPO_KIND").expect("set by the lab");
    let clusters = || lab.run(&kind, &["get", "clusters"]);
    let delete = || lab.run(&kind, &["delete", "cluster", "--name", "chg"]);
    assert!(clusters().lines().any(|name| name == "chg"));

    delete();
    file.differs("+ cluster/chg", "drift");
    file.apply();
    file.answers(12300);
    assert!(clusters().lines().any(|name| name == "chg"));

    // A file that has moved says so, or is refused; then what is left goes.
    delete();
    let moved = lab.own("moved.yaml");
    std::fs::rename(lab.own("topo.yaml"), &moved).expect("moved");
    let moved = moved.display().to_string();
    let ran = lab.expect(2, &["destroy", "--yes", &moved]);
    assert!(ran.err.contains("--moved"), "{}", ran.err);
    lab.expect(0, &["destroy", "--yes", "--moved", &moved]);

    // kind took its entry out, and left the file that topo had made with nothing in it.
    assert!(!lab.home.path().join(".kube/config").exists());
}
