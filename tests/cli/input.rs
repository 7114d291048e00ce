//! What is typed, as people type it: commands of other programs, and ways to name a file and its variables.

use crate::{Machine, Ran};

const SIZED: &str = "name: ${NAME:-dev}\ncluster: { workers: ${WORKERS} }\n";

/// How many nodes the cluster of the file has, control plane included.
fn nodes(ran: &Ran) -> usize {
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    ran.stdout.matches("role:").count()
}

#[test]
fn what_other_programs_call_a_command_leads_to_it() {
    let machine = Machine::new();
    for (typed, command) in [
        ("plan", "diff"),
        ("up", "apply"),
        ("down", "destroy"),
        ("delete", "destroy"),
        ("destroy-all", "destroy"),
        ("list", "ls"),
        ("ps", "status"),
        ("Plan", "diff"),
    ] {
        let ran = machine.topo(&[typed, "edge.yaml"]);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{typed}");
        let tip = format!("tip: use 'topo {command}' to ");
        assert!(ran.stderr.contains(&tip), "{typed}: {}", ran.stderr);
    }
    insta::assert_snapshot!("plan", machine.topo(&["plan"]).shown());
    insta::assert_snapshot!("file-as-command", machine.topo(&["edge.yaml"]).shown());
    let below = machine.topo(&["tunnel", "list"]);
    assert!(!below.stderr.contains("topo status"), "{}", below.stderr);
}

#[test]
fn topo_alone_says_what_to_do_next() {
    let machine = Machine::new();
    insta::assert_snapshot!("alone-without-file", machine.topo(&[]).shown());
    machine.write("topo.yaml", SIZED);
    insta::assert_snapshot!("alone-with-file", machine.topo(&[]).shown());
}

#[test]
fn a_file_is_named_by_a_variable_by_an_option_or_comes_on_standard_input() {
    let machine = Machine::new();
    machine.folder("team");
    machine.write("team/edge.yaml", "name: dev\ncluster: { workers: 3 }\n");
    let environment = [("TOPO_FILE", "team/edge.yaml")];
    assert_eq!(nodes(&machine.topo_with(&["render", "kind"], &environment)), 4);
    assert_eq!(machine.topo_with(&["validate"], &environment).code, 0);
    assert_eq!(nodes(&machine.topo(&["render", "kind", "-C", "team", "-f", "edge.yaml"])), 4);
    assert_eq!(nodes(&machine.topo(&["-C", "team", "render", "kind", "-f", "edge.yaml"])), 4);

    machine.write("topo.yaml", "name: dev\ncluster: {}\n");
    assert_eq!(nodes(&machine.topo_with(&["render", "kind", "-f", "topo.yaml"], &environment)), 1);
    let typed = "name: dev\ncluster: { workers: 1 }\n";
    assert_eq!(nodes(&machine.topo_reading(typed, &["render", "kind", "-f", "-"], &[])), 2);
    let wrong = machine.topo_reading("name: dev\nclutser: {}\n", &["validate", "-"], &[]);
    insta::assert_snapshot!("standard-input", wrong.shown());
    let nowhere = machine.topo(&["validate", "-C", "nowhere"]);
    insta::assert_snapshot!("chdir-nowhere", nowhere.shown());
}

#[test]
fn a_variable_on_the_command_line_wins_and_one_of_a_file_fills_up() {
    let machine = Machine::new();
    machine.write("topo.yaml", SIZED);
    machine.write("dev.env", "# ours\nWORKERS=3\nNAME='edge'\n");
    let kind = ["render", "kind"];
    let with = |more: &[&str], environment: &[(&str, &str)]| {
        nodes(&machine.topo_with(&[&kind[..], more].concat(), environment))
    };
    assert_eq!(with(&["--env-file", "dev.env"], &[]), 4);
    assert_eq!(with(&["--env-file", "dev.env"], &[("WORKERS", "2")]), 3);
    assert_eq!(with(&["--env-file", "dev.env", "--var", "WORKERS=1"], &[("WORKERS", "2")]), 2);
    let named = machine.topo(&["render", "kind", "--env-file", "dev.env"]).stdout;
    assert!(named.contains("name: edge"), "{named}");
    machine.write("bad.env", "WORKERS 3\n");
    insta::assert_snapshot!(
        "env-file",
        machine.topo(&["validate", "--env-file", "bad.env"]).shown()
    );
    insta::assert_snapshot!("var", machine.topo(&["validate", "--var", "WORKERS"]).shown());
}

#[test]
fn a_secret_of_a_file_of_variables_is_hidden_as_one_of_the_environment() {
    let machine = Machine::new();
    machine.write("dev.env", "TOKEN=hunter2\n");
    machine.write(
        "topo.yaml",
        "name: dev\nsensitive: [TOKEN]\ncluster: {}\nvars: { token: ${TOKEN} }\nmanifests: [{ path: a.yaml.j2 }]\n",
    );
    machine.write(
        "a.yaml.j2",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: a }\ndata: { a: \"{{ vars.token }}\" }\n",
    );
    let rendered = machine.topo(&["render", "manifests", "--env-file", "dev.env"]);
    assert_eq!(rendered.code, 0, "{}", rendered.stderr);
    assert!(rendered.stdout.contains("(sensitive)"), "{}", rendered.stdout);
    assert!(!rendered.stdout.contains("hunter2"), "{}", rendered.stdout);
}
