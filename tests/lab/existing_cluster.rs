//! topologies/existing-cluster.yaml: a cluster that somebody made with kind, with things of others
//! in it. Only what the file names is made, changed and removed.

use std::collections::BTreeSet;
use std::process::Command;

use crate::adopted;
use crate::lab::Lab;
use crate::listing::assert_same;

const FILE: &str = "topologies/existing-cluster.yaml";
const NETWORK: &str = "ext";
/// What a gateway by hand runs: it has all that topo's has.
const HAND_MADE: &str = "localhost/ext-hand:1";

#[test]
#[ignore = "needs the lab"]
fn of_an_existing_cluster_only_what_the_file_names_is_touched() {
    let lab = Lab::open("existing-cluster").of(&["ext"]);
    let made = HandMade::cluster(&lab);

    an_absent_context_is_told(&lab);
    made.exists(&lab);
    let before = objects(&lab);

    strangers_are_refused(&lab);
    applied_and_taken_out_by_name(&lab, &before);
    a_metallb_that_serves_is_used_and_stays(&lab);
    a_context_that_is_gone_holds_nobody_up(&lab);
}

/// The cluster and its network, which go with the scenario.
struct HandMade {
    kind: String,
}

impl HandMade {
    fn cluster(lab: &Lab) -> Self {
        let made = Self { kind: std::env::var("TOPO_KIND").expect("set by the lab") };
        made.remove();
        let subnet = ["--subnet", "172.21.128.0/17", "--ip-range", "172.21.128.0/20"];
        lab.run("docker", &[&["network", "create"], &subnet[..], &[NETWORK]].concat());
        made
    }

    /// As its owner makes it, with the images that the lab cannot pull.
    fn exists(&self, lab: &Lab) {
        let image = std::env::var("NODE_IMAGE").expect("set by the lab");
        let ended = Command::new(&self.kind)
            .args(["create", "cluster", "--name", "ext", "--image", &image, "--wait", "60s"])
            .env("HOME", lab.home.path())
            .env_remove("KUBECONFIG")
            .env("KIND_EXPERIMENTAL_DOCKER_NETWORK", NETWORK)
            .status();
        assert!(ended.expect("kind runs").success());
        let echo = std::env::var("ECHO_IMAGE").expect("set by the lab");
        let part = |part: &str| format!("quay.io/metallb/{part}:v0.16.1");
        let (controller, speaker) = (part("controller"), part("speaker"));
        let images = [echo.as_str(), &controller, &speaker];
        lab.run(&self.kind, &[&["load", "docker-image", "--name", "ext"], &images[..]].concat());
    }

    fn remove(&self) {
        let quietly = |program: &str, arguments: &[&str]| {
            let ended = Command::new(program).args(arguments).output();
            ended.is_ok_and(|ended| ended.status.success())
        };
        quietly(&self.kind, &["delete", "cluster", "--name", "ext"]);
        quietly("docker", &["rm", "-f", "ext-hand"]);
        quietly("docker", &["image", "rm", HAND_MADE]);
        quietly("docker", &["network", "rm", NETWORK]);
    }
}

impl Drop for HandMade {
    fn drop(&mut self) {
        self.remove();
    }
}

fn kubectl(lab: &Lab, arguments: &[&str]) -> String {
    lab.run("kubectl", &[&["--context", "kind-ext"], arguments].concat())
}

/// Everything in the cluster that is not made by itself, with what changes when it is written to.
fn objects(lab: &Lab) -> BTreeSet<String> {
    let kinds = "namespaces,services,deployments,daemonsets,configmaps,serviceaccounts,clusterroles,customresourcedefinitions,nodes";
    let wide = "jsonpath={range .items[*]}{.kind}/{.metadata.namespace}/{.metadata.name} {.metadata.uid}{\"\\n\"}{end}";
    kubectl(lab, &["get", "-A", kinds, "-o", wide]).lines().map(str::to_owned).collect()
}

fn an_absent_context_is_told(lab: &Lab) {
    let ran = lab.expect(2, &["apply", FILE]);
    assert!(ran.err.contains("no kubeconfig has the context `kind-ext`"), "{}", ran.err);
}

/// What stands where the file's own would be is named, with what to do, and untouched.
fn strangers_are_refused(lab: &Lab) {
    kubectl(lab, &["create", "deployment", "hello", "--image=nginx:1"]);
    let version = || {
        let path = "jsonpath={.metadata.resourceVersion}{.spec.template.spec.containers[0].image}";
        kubectl(lab, &["get", "deployment/hello", "-o", path])
    };
    Lab::eventually("the Deployment to be at rest", || {
        let one = version();
        std::thread::sleep(std::time::Duration::from_secs(1));
        if one == version() { Ok(()) } else { Err(one) }
    });
    let before = version();
    let ran = lab.expect(2, &["apply", "--yes", FILE]);
    let told = "Deployment default/hello exists and was made by `kubectl";
    assert!(ran.err.contains(told), "{}", ran.err);
    assert!(ran.err.contains("remove it, or give the one in the manifest another name"));
    assert_eq!(version(), before);
    kubectl(lab, &["delete", "deployment/hello", "--wait"]);
}

fn applied_and_taken_out_by_name(lab: &Lab, before: &BTreeSet<String>) {
    lab.expect(0, &["apply", FILE]);
    answers(lab);
    lab.expect(0, &["diff", FILE]);
    it_is_looked_into_by_its_context(lab);
    a_folder_is_served_to_it(lab);
    let image = lab.run("docker", &["inspect", "ext-gw", "--format", "{{.Image}}"]);
    lab.run("docker", &["tag", image.trim(), HAND_MADE]);
    let list = kubectl(lab, &["-n", "default", "get", "configmap/topo-ext", "-o", "name"]);
    assert_eq!(list.trim(), "configmap/topo-ext");
    assert!(!kubectl(lab, &["get", "namespaces", "-o", "name"]).contains("topo-system"));

    // As cloud-provider-kind leaves its Services when it ends.
    let finalizers =
        r#"{"metadata": {"finalizers": ["service.kubernetes.io/load-balancer-cleanup"]}}"#;
    kubectl(lab, &["patch", "service/hello", "--type=merge", "-p", finalizers]);

    // Its file gone: the claim knows the context.
    let ran = lab.expect(0, &["destroy", "--yes", "--name", "ext"]);
    assert!(ran.err.contains("docker volume rm ext-docs"), "{}", ran.err);
    lab.run("docker", &["volume", "rm", "ext-docs"]);
    assert_same(before, &objects(lab));
}

fn it_is_looked_into_by_its_context(lab: &Lab) {
    let kubeconfig = lab.own("alone.config");
    std::fs::write(&kubeconfig, lab.expect(0, &["kubeconfig", FILE]).out).expect("written");
    let kubeconfig = kubeconfig.display().to_string();
    let contexts = ["--kubeconfig", &kubeconfig, "config", "get-contexts", "-o", "name"];
    assert_eq!(lab.run("kubectl", &contexts), "kind-ext\n");
    lab.run("kubectl", &["--kubeconfig", &kubeconfig, "get", "nodes"]);
    lab.expect(0, &["logs", "--file", FILE, "Deployment/hello"]);
    let ran = lab.topo(&["exec", "-f", FILE, "Deployment/hello", "no-such-program"]);
    assert!(ran.code != 2 && ran.err.contains("no-such-program"), "{} {}", ran.code, ran.err);
}

/// By a server on the network where its nodes are.
fn a_folder_is_served_to_it(lab: &Lab) {
    let text = std::fs::read_to_string(FILE).expect("the topology");
    let server = "nfsServer:\n  image: ${LAB_NFS_SERVER_IMAGE}\n";
    let share = "shares: [{ name: docs, volume: ext-docs, via: server }]\n";
    let file = "topologies/.existing-cluster-share.yaml";
    std::fs::write(file, format!("{text}{server}{share}")).expect("written");
    let applied = lab.topo(&["apply", "--moved", file]);
    let again = lab.topo(&["diff", file]);
    let status = lab.topo(&["status", file]);
    std::fs::remove_file(file).expect("removed");
    assert_eq!((applied.code, again.code), (0, 0));
    let line = status.out.lines().find(|line| line.contains("via server"));
    assert!(line.is_some_and(|line| line.contains(" ready ")), "{}", status.out);
    assert!(!applied.err.contains("could not be tried"), "{}", applied.err);
    Lab::eventually("the claim", || {
        let phase = kubectl(lab, &["get", "pvc/docs", "-o", "jsonpath={.status.phase}"]);
        if phase == "Bound" { Ok(()) } else { Err(phase) }
    });
}

#[track_caller]
fn answers(lab: &Lab) {
    let said = Lab::eventually("the pod", || lab.get("http://127.0.0.1:12350/"));
    assert!(said.starts_with("pod=hello-"), "{said}");
}

fn a_metallb_that_serves_is_used_and_stays(lab: &Lab) {
    kubectl(lab, &["apply", "-f", &lab.metallb_manifest().display().to_string()]);
    let metallb = &["-n", "metallb-system"];
    let on = |arguments: &[&str]| kubectl(lab, &[metallb, arguments].concat());
    let wait = ["wait", "--for=condition=Ready", "pod", "--all", "--timeout=120s"];
    Lab::eventually("MetalLB", || {
        let ran =
            lab.try_run("kubectl", &[&["--context", "kind-ext"], &metallb[..], &wait].concat());
        if ran.code == 0 { Ok(()) } else { Err(ran.err) }
    });
    let before = objects(lab);

    on(&["set", "image", "deployment/controller", "controller=quay.io/metallb/controller:v0.12.1"]);
    let ran = lab.expect(2, &["apply", FILE]);
    assert!(ran.err.contains("a MetalLB v0.12.1") && ran.err.contains("v0.15.3"), "{}", ran.err);
    on(&["set", "image", "deployment/controller", "controller=quay.io/metallb/controller:v0.16.1"]);
    on(&["rollout", "status", "deployment/controller", "--timeout=120s"]);

    let pool = "apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: { name: ext, namespace: metallb-system }\nspec: { addresses: [172.21.255.1-172.21.255.2] }\n";
    let file = lab.own("pool.yaml");
    std::fs::write(&file, pool).expect("written");
    let file = file.display().to_string();
    Lab::eventually("the pool of somebody else", || {
        let ran = lab.try_run("kubectl", &["--context", "kind-ext", "apply", "-f", &file]);
        if ran.code == 0 { Ok(()) } else { Err(ran.err) }
    });
    let ran = lab.expect(2, &["apply", FILE]);
    assert!(ran.err.contains("IPAddressPool metallb-system/ext exists"), "{}", ran.err);
    let addresses = on(&["get", "ipaddresspool/ext", "-o", "jsonpath={.spec.addresses[0]}"]);
    assert_eq!(addresses, "172.21.255.1-172.21.255.2");
    let ran = lab.expect(1, &["diff", "--take", "pool/ext", FILE]);
    assert!(ran.out.contains("leaves its `addresses` to topo"), "{}", ran.out);
    adopted::is_taken_over_as_it_is(lab, NETWORK, HAND_MADE);

    lab.expect(0, &["apply", FILE]);
    answers(lab);
    lab.expect(0, &["diff", FILE]);
    lab.expect(0, &["destroy", "--yes", FILE]);
    assert_same(&before, &objects(lab));
}

fn a_context_that_is_gone_holds_nobody_up(lab: &Lab) {
    lab.expect(0, &["apply", FILE]);
    kubectl(lab, &["config", "delete-context", "kind-ext"]);
    lab.expect(2, &["diff", FILE]);
    let ran = lab.expect(0, &["destroy", "--yes", FILE]);
    assert!(ran.err.contains("`kind-ext` is in no kubeconfig any more"), "{}", ran.err);
}
