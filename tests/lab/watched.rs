//! `topo watch` beside somebody who works in the cluster: what drifts is put back as it happens, and
//! nothing else is touched.

use std::process::Child;
use std::time::{Duration, Instant};

use crate::lab::Lab;
use crate::small::{File, changed};

/// Sooner than the look that comes by itself, so that it was heard and not met by chance.
const SOON: Duration = Duration::from_secs(20);

pub fn drift_is_repaired_as_it_happens(lab: &Lab, file: &File) {
    let before = file.things();
    let watch = Watch(Some(lab.begin(&["watch", "--http", "12399", &file.path()], &[])));
    // What nobody hears of while it begins would have to wait for the next look.
    std::thread::sleep(Duration::from_secs(4));

    let map = lab.get("http://127.0.0.1:12399/").expect("the map");
    assert!(map.contains("gateway/chg-gw") && map.contains("\"state\":\"ready\""), "{map}");
    let news =
        lab.try_run("curl", &["-sN", "--max-time", "2", "http://127.0.0.1:12399/events"]).out;
    assert!(news.starts_with("data: {") && news.contains("\"log\":["), "{news}");

    move_the_service(file, "172.20.127.207");
    soon(lab, "the forward follows its Service");
    lab.run("docker", &["stop", "-t", "1", "chg-gw"]);
    soon(lab, "the gateway is started");
    file.kubectl(&["label", "--overwrite", "deployment/web", "tier=back"]);
    let tier = ["get", "deployment/web", "-o", "jsonpath={.metadata.labels.tier}"];
    put_back("the label", || file.kubectl(&tier) == "front");
    file.kubectl(&["delete", "configmap/extra"]);
    put_back("the ConfigMap", || {
        file.kubectl(&["get", "configmaps", "-o", "name"]).contains("extra")
    });
    move_the_service(file, "172.20.127.200");
    soon(lab, "the forward follows it back");
    file.kubectl(&["annotate", "service/web", "metallb.io/loadBalancerIPs-"]);
    // Another topo may work while one watches.
    lab.expect(0, &["apply", &file.path()]);

    end(lab, watch, file);
    file.settled();
    let mended = changed(&before, &file.things());
    let may = ["container chg-gw", "Service web", "Deployment web", "ConfigMap extra"];
    let beside: Vec<_> = mended.iter().filter(|name| !may.contains(&name.as_str())).collect();
    assert!(beside.is_empty(), "changed beside it: {beside:?}");
}

/// Does not outlive a scenario that fails.
struct Watch(Option<Child>);

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(watch) = &mut self.0 {
            let _ = watch.kill();
            let _ = watch.wait();
        }
    }
}

/// As the Service's owner does, who is not asked about forwards.
fn move_the_service(file: &File, address: &str) {
    let annotation = format!("metallb.io/loadBalancerIPs={address}");
    file.kubectl(&["annotate", "--overwrite", "service/web", &annotation]);
    let ingress = ["get", "service/web", "-o", "jsonpath={.status.loadBalancer.ingress[0].ip}"];
    Lab::eventually("MetalLB to move the Service", || match file.kubectl(&ingress) {
        ip if ip == address => Ok(()),
        other => Err(other),
    });
}

#[track_caller]
fn soon(lab: &Lab, what: &str) {
    put_back(what, || lab.get("http://127.0.0.1:12300/").is_ok());
}

#[track_caller]
fn put_back(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    Lab::eventually(what, || if is_so() { Ok(()) } else { Err("not yet".to_owned()) });
    eprintln!("watch: {what} after {:.1} s", began.elapsed().as_secs_f64());
    assert!(began.elapsed() < SOON, "{what} only after {:?}", began.elapsed());
}

fn end(lab: &Lab, mut watch: Watch, file: &File) {
    let watch = watch.0.take().expect("it was begun");
    lab.run("kill", &["-INT", &watch.id().to_string()]);
    let ran = lab.end(watch, &["watch", &file.path()]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    for word in ["watching", "drift      port/127.0.0.1:12300/tcp", "repaired   gateway/chg-gw"] {
        assert!(ran.out.contains(word), "`{word}` is not in {}", ran.out);
    }
}
