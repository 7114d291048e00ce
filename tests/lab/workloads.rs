//! topologies/workloads.yaml: one of each kind of workload, forwards through nginx; and workloads
//! that do not come up, each told in the words of its pods.

use crate::example::Example;
use crate::lab::Lab;

#[test]
#[ignore = "needs the lab"]
fn workloads() {
    let lab = Lab::open("workloads").of(&["workloads"]);
    let example = Example::of(&lab, "workloads");
    example.apply();
    let said = example.answers("http://127.0.0.1:12230/");
    assert!(said.starts_with("pod=pair-"), "{said}");
    let said = example.answers("http://127.0.0.1:12231/");
    assert!(said.starts_with("pod=numbered-"), "{said}");
    for node in ["workloads-control-plane", "workloads-worker"] {
        let url = format!("http://{}:18080/", example.address_of(node));
        let said = example.answers(&url);
        assert!(said.contains(&format!("node={node}")), "{said}");
    }
    let log = example.kubectl(&["-n", "work", "logs", "job/check"]);
    for service in ["inside", "at-nodes", "balanced"] {
        assert!(log.contains(&format!("{service} answers: pod=")), "{log}");
    }
    example.settles();
    nginx_needs_no_right_to_change_rules(&lab);
    the_client_is_told_by_the_proxy_protocol(&lab, &example);
    what_does_not_come_up_says_why(&lab, &example);
    example.destroy();
}

fn nginx_needs_no_right_to_change_rules(lab: &Lab) {
    let rights =
        lab.run("docker", &["inspect", "workloads-gw", "--format", "{{.HostConfig.CapAdd}}"]);
    assert_eq!(rights.trim(), "[]");
}

fn the_client_is_told_by_the_proxy_protocol(lab: &Lab, example: &Example) {
    let client = std::env::var("CLIENT_IMAGE").expect("set by the lab");
    let listen = "while :; do nc -l -p 9000 -q 1 </dev/null; done";
    let listener = ["run", "-d", "--name", "workloads-listener", "--network", "topo-workloads"];
    let rest = ["--ip", "172.26.77.7", &client, "sh", "-c", listen];
    lab.run("docker", &[&listener[..], &rest].concat());
    let id = lab.run("docker", &["inspect", "workloads-gw", "--format", "{{.Id}}"]);
    example.change(
        "    - { listen: 12230,",
        "    - { listen: 12232, to: { address: 172.26.77.7, port: 9000 }, proxyProtocol: true }
    - { listen: 12230,",
    );
    example.apply();
    Lab::eventually("a PROXY line", || {
        let _ = lab.get("http://127.0.0.1:12232/");
        let log = lab.run("docker", &["logs", "workloads-listener"]);
        if log.contains("PROXY TCP4 ") { Ok(()) } else { Err(log) }
    });
    let same = lab.run("docker", &["inspect", "workloads-gw", "--format", "{{.Id}}"]);
    assert_eq!(same, id, "a forward came without a new container");
    lab.run("docker", &["rm", "-f", "workloads-listener"]);
    example.change(
        "    - { listen: 12232, to: { address: 172.26.77.7, port: 9000 }, proxyProtocol: true }\n",
        "",
    );
    example.apply();
    example.settles();
}

fn what_does_not_come_up_says_why(lab: &Lab, example: &Example) {
    example.write("manifests/broken.yaml.j2", BROKEN);
    example.change(
        "  - path: manifests/check.yaml.j2\n    wait: 60s\n",
        "  - path: manifests/check.yaml.j2\n    wait: 60s\n  - path: manifests/broken.yaml.j2\n    wait: 5m\n",
    );
    // What is said to apply counts for more than what stands in the file.
    let ran = lab.expect(3, &["apply", "--yes", "--timeout", "30s", &example.path()]);
    for said in [
        "web: ErrImage",
        "Pending: 0/2 nodes are available",
        "Insufficient cpu",
        "Deployment default/crashes is not ready",
        "listen tcp: lookup tcp/nonsense: unknown port",
        "Unhealthy: Readiness probe failed",
        "CreateContainerConfigError: configmap \"absent\" not found",
        "FailedMount: ",
        "persistentvolumeclaim \"absent\" not found",
        "Job default/fails failed",
        "Job has reached the specified backoff limit",
        "run: StartError, exit code 128",
        "/nothing-here",
    ] {
        // What a pod may say in one of two ways, depending on when it is asked.
        let also = said.replace("ErrImage", "ImagePullBackOff");
        assert!(ran.err.contains(said) || ran.err.contains(&also), "{said} is not in {}", ran.err);
    }
    example.change("  - path: manifests/broken.yaml.j2\n    wait: 5m\n", "");
    example.apply();
    example.settles();
}

const BROKEN: &str = r#"apiVersion: apps/v1
kind: Deployment
metadata: { name: no-image }
spec:
  selector: { matchLabels: { app: no-image } }
  template:
    metadata: { labels: { app: no-image } }
    spec: { containers: [{ name: web, image: "registry.invalid/none:1" }] }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: too-big }
spec:
  selector: { matchLabels: { app: too-big } }
  template:
    metadata: { labels: { app: too-big } }
    spec:
      containers: [{ name: web, image: "{{ webImage }}", resources: { requests: { cpu: "1000" } } }]
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: crashes }
spec:
  selector: { matchLabels: { app: crashes } }
  template:
    metadata: { labels: { app: crashes } }
    spec:
      containers: [{ name: web, image: "{{ webImage }}", env: [{ name: PORT, value: nonsense }] }]
---
apiVersion: apps/v1
kind: StatefulSet
metadata: { name: never-ready }
spec:
  serviceName: none
  selector: { matchLabels: { app: never-ready } }
  template:
    metadata: { labels: { app: never-ready } }
    spec:
      containers:
        - name: web
          image: "{{ webImage }}"
          readinessProbe: { tcpSocket: { port: 9 }, periodSeconds: 1 }
---
apiVersion: apps/v1
kind: DaemonSet
metadata: { name: no-config }
spec:
  selector: { matchLabels: { app: no-config } }
  template:
    metadata: { labels: { app: no-config } }
    spec:
      containers:
        - { name: web, image: "{{ webImage }}", envFrom: [{ configMapRef: { name: absent } }] }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: no-mount }
spec:
  selector: { matchLabels: { app: no-mount } }
  template:
    metadata: { labels: { app: no-mount } }
    spec:
      volumes: [{ name: v, secret: { secretName: absent } }]
      containers: [{ name: web, image: "{{ webImage }}", volumeMounts: [{ name: v, mountPath: /v }] }]
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: no-claim }
spec:
  selector: { matchLabels: { app: no-claim } }
  template:
    metadata: { labels: { app: no-claim } }
    spec:
      volumes: [{ name: v, persistentVolumeClaim: { claimName: absent } }]
      containers: [{ name: web, image: "{{ webImage }}", volumeMounts: [{ name: v, mountPath: /v }] }]
---
apiVersion: batch/v1
kind: Job
metadata: { name: fails }
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers: [{ name: run, image: "{{ webImage }}", env: [{ name: PORT, value: nonsense }] }]
---
apiVersion: v1
kind: Pod
metadata: { name: alone }
spec:
  restartPolicy: Never
  containers: [{ name: run, image: "{{ webImage }}", command: [/nothing-here] }]
"#;
