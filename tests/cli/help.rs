//! Help and usage are part of the product.

use crate::Machine;

const COMMANDS: [&str; 26] = [
    "apply",
    "diff",
    "destroy",
    "stop",
    "start",
    "status",
    "ls",
    "logs",
    "exec",
    "ssh",
    "open",
    "kubeconfig",
    "trace",
    "doctor",
    "watch",
    "tunnel",
    "graph",
    "validate",
    "lock",
    "render",
    "schema",
    "init",
    "adopt",
    "completions",
    "man",
    "version",
];

#[test]
fn help_names_every_command() {
    let ran = Machine::new().topo(&["--help"]);
    for command in COMMANDS {
        let line = format!("\n  {command} ");
        assert!(ran.stdout.contains(&line), "`{command}` is missing:\n{}", ran.stdout);
    }
    insta::assert_snapshot!("help", ran.shown());
}

#[test]
fn help_of_every_command() {
    for command in COMMANDS {
        let ran = Machine::new().topo(&[command, "--help"]);
        assert!(ran.stdout.lines().all(|line| line.chars().count() <= 80), "{}", ran.stdout);
        insta::assert_snapshot!(format!("help-{command}"), ran.shown());
    }
}

#[test]
fn wrong_usage_ends_with_2_and_says_what_is_right() {
    let machine = Machine::new();
    insta::assert_snapshot!("unknown-command", machine.topo(&["aply"]).shown());
    insta::assert_snapshot!("unknown-flag", machine.topo(&["diff", "--targets", "x"]).shown());
    insta::assert_snapshot!(
        "no-parallelism",
        machine.topo(&["apply", "--parallelism", "0"]).shown()
    );
    insta::assert_snapshot!("two-files", machine.topo(&["diff", "a.yaml", "-f", "b.yaml"]).shown());
}
