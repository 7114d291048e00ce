//! topologies/http-proxy.yaml: one published port for every LoadBalancer address.

use crate::example::Example;
use crate::lab::Lab;

#[test]
#[ignore = "needs the lab"]
fn http_proxy() {
    let lab = Lab::open("http-proxy").of(&["http-proxy"]);
    let example = Example::of(&lab, "http-proxy");
    example.apply();
    through(&lab, "3128", "http://172.26.255.201/");
    example.settles();

    // Another Service has no forward and needs none.
    example.kubectl(&[
        "expose",
        "deployment/web",
        "--name=more",
        "--port=8000",
        "--target-port=8080",
        "--type=LoadBalancer",
    ]);
    let address = Lab::eventually("an address", || {
        let path = "jsonpath={.status.loadBalancer.ingress[0].ip}";
        let address = example.kubectl(&["get", "service/more", "-o", path]);
        if address.is_empty() { Err("none yet".to_owned()) } else { Ok(address) }
    });
    through(&lab, "3128", &format!("http://{address}:8000/"));
    example.settles();

    the_gateway_may_do_only_what_it_must(&lab);
    example.change("listen: 3128", "listen: 12229");
    let diff = example.diff(1);
    assert!(diff.out.contains("± gateway/http-proxy-gw"), "{}", diff.out);
    example.apply();
    through(&lab, "12229", "http://172.26.255.201/");

    // squid killed comes back by itself.
    lab.run("docker", &["exec", "http-proxy-gw", "sh", "-c", "kill $(cat /run/squid.pid)"]);
    through(&lab, "12229", "http://172.26.255.201/");
    example.settles();
    example.destroy();
}

/// Plain HTTP, where the proxy asks for the page, and CONNECT, where it only opens the way.
fn through(lab: &Lab, port: &str, url: &str) {
    let proxy = format!("http://127.0.0.1:{port}");
    for how in [&["-x", &proxy][..], &["--proxytunnel", "-x", &proxy]] {
        let said = Lab::eventually(url, || {
            let ran = lab.try_run("curl", &[&["-sS", "--max-time", "3", url], how].concat());
            let whole = ran.code == 0 && ran.out.starts_with("pod=web-");
            if whole { Ok(ran.out) } else { Err(format!("{}{}", ran.out, ran.err)) }
        });
        assert!(said.contains("node="), "{said}");
    }
}

fn the_gateway_may_do_only_what_it_must(lab: &Lab) {
    let format = "{{.HostConfig.Privileged}} {{.HostConfig.CapAdd}} {{.HostConfig.CapDrop}} {{.HostConfig.ReadonlyRootfs}}";
    let rights = lab.run("docker", &["inspect", "http-proxy-gw", "--format", format]);
    assert!(rights.starts_with("false [") && rights.trim().ends_with("[ALL] true"), "{rights}");
    assert!(!rights.contains("SYS_ADMIN") && !rights.contains("NET_RAW"), "{rights}");
}
