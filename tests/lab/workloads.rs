//! topologies/workloads.yaml: one of each kind of workload, forwards through nginx; a kustomization
//! and a chart; and workloads that do not come up, each told in the words of its pods.

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
    what_kustomize_builds_is_like_any_manifest(&example);
    what_helm_renders_is_like_any_manifest(&example);
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

fn what_kustomize_builds_is_like_any_manifest(example: &Example) {
    const ENTRY: &str = "  - kustomize: overlays/dev\n";
    const BEFORE: &str = "  - path: manifests/check.yaml.j2\n    wait: 60s\n";
    example.write("overlays/base/web.yaml", BASE);
    example.write("overlays/base/kustomization.yaml", "resources: [web.yaml]\n");
    let image = std::env::var("ECHO_IMAGE").expect("set by the lab");
    let (name, tag) = image.rsplit_once(':').expect("a tag");
    example.write(
        "overlays/dev/kustomization.yaml",
        &OVERLAY.replace("IMAGE", name).replace("TAG", tag),
    );
    example.change(BEFORE, &format!("{BEFORE}{ENTRY}"));
    example.apply();
    example.settles();
    let replicas =
        ["-n", "work", "get", "deployment/dev-idle", "-o", "jsonpath={.status.readyReplicas}"];
    assert_eq!(example.kubectl(&replicas), "2");

    example.kubectl(&["-n", "work", "scale", "deployment/dev-idle", "--replicas", "1"]);
    let said = example.diff(1).out;
    assert!(said.contains("object/apps/Deployment/work/dev-idle"), "{said}");
    example.change_in("overlays/dev/kustomization.yaml", "tier=dev", "tier=test");
    let said = example.apply().err;
    assert!(!said.contains("hunter2"), "{said}");
    assert_eq!(example.kubectl(&replicas), "2");
    let tier = ["-n", "work", "get", "configmap/dev-settings", "-o", "jsonpath={.data.tier}"];
    assert_eq!(example.kubectl(&tier), "test");

    example.change(ENTRY, "");
    example.apply();
    example.settles();
    let left = ["-n", "work", "get", "deployments,configmaps,secrets", "-o", "name"];
    assert!(!example.kubectl(&left).contains("/dev-"));
}

const BASE: &str = "apiVersion: apps/v1
kind: Deployment
metadata: { name: idle }
spec:
  selector: { matchLabels: { app: idle } }
  template:
    metadata: { labels: { app: idle } }
    spec:
      volumes: [{ name: token, secret: { secretName: token } }]
      containers: [{ name: web, image: web }]
";

/// What kustomize is used for: a namespace, a prefix, an image, replicas, generated settings.
const OVERLAY: &str = "resources: [../base]
namespace: work
namePrefix: dev-
images: [{ name: web, newName: IMAGE, newTag: TAG }]
replicas: [{ name: idle, count: 2 }]
configMapGenerator: [{ name: settings, literals: [tier=dev] }]
secretGenerator: [{ name: token, literals: [token=hunter2] }]
generatorOptions: { disableNameSuffixHash: true }
";

fn what_helm_renders_is_like_any_manifest(example: &Example) {
    const ENTRY: &str =
        "  - { chart: charts/web, namespace: apps, values: { replicas: 1, tier: dev } }\n";
    const BEFORE: &str = "  - path: manifests/check.yaml.j2\n    wait: 60s\n";
    example.write("charts/web/Chart.yaml", "apiVersion: v2\nname: web\nversion: 1.0.0\n");
    example.write("charts/web/templates/all.yaml", CHART);
    let image = |name: &str| std::env::var(name).expect("set by the lab");
    let values = format!("web: {}\nclient: {}\n", image("ECHO_IMAGE"), image("CLIENT_IMAGE"));
    example.write("charts/web/values.yaml", &values);
    example.change(BEFORE, &format!("{BEFORE}{ENTRY}"));
    let said = example.apply().err;
    assert!(said.contains("Pod apps/web-test of charts/web"), "{said}");
    example.settles();
    let read = |object: &str, path: &str| {
        example.kubectl(&["-n", "apps", "get", object, "-o", &format!("jsonpath={{{path}}}")])
    };
    let created = |object: &str| read(object, ".metadata.creationTimestamp");
    let ended = |object: &str| read(object, ".status.completionTime");
    assert!(ended("job/web-before") <= created("deployment/web"));
    assert!(created("deployment/web") <= created("job/web-after"));
    assert_eq!(read("job/web-after", ".status.succeeded"), "1");
    let all = example.kubectl(&["-n", "apps", "get", "pods,jobs", "-o", "name"]);
    assert!(!all.contains("web-test"), "{all}");

    let before = created("job/web-before");
    example.change("replicas: 1, tier: dev", "replicas: 2, tier: test");
    let said = example.diff(1).out;
    assert!(said.contains("spec.replicas: 1 -> 2"), "{said}");
    example.apply();
    example.settles();
    assert_eq!(read("deployment/web", ".status.readyReplicas"), "2");
    assert_ne!(created("job/web-before"), before, "a hook that changed runs again");

    example.change(&ENTRY.replace("replicas: 1, tier: dev", "replicas: 2, tier: test"), "");
    example.apply();
    example.settles();
    assert_eq!(example.kubectl(&["get", "namespace", "apps", "--ignore-not-found"]), "");
}

/// A hook of each sort around what is served.
const CHART: &str = r#"apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  replicas: {{ .Values.replicas }}
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec: { containers: [{ name: web, image: {{ .Values.web }} }] }
{{- range $name, $hook := dict "before" "pre-install" "after" "post-install" }}
---
apiVersion: batch/v1
kind: Job
metadata:
  name: web-{{ $name }}
  annotations: { helm.sh/hook: "{{ $hook }},pre-upgrade" }
spec:
  template:
    spec:
      restartPolicy: Never
      containers: [{ name: it, image: {{ $.Values.client }}, command: [echo, {{ $.Values.tier }}] }]
{{- end }}
---
apiVersion: v1
kind: Pod
metadata: { name: web-test, annotations: { helm.sh/hook: test } }
spec: { containers: [{ name: it, image: {{ .Values.client }}, command: [echo] }] }
"#;

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
