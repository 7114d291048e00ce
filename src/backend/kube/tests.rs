//! Which way calls take: past a proxy, or through it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{Access, Kube, KubeError, Proxies};

/// A server that counts who comes, and gives everybody the same answer.
struct Server {
    place: String,
    visits: Arc<AtomicUsize>,
}

impl Server {
    async fn answering(answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let place = listener.local_addr().expect("an address").to_string();
        let visits = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&visits);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Self { place, visits }
    }

    fn visits(&self) -> usize {
        self.visits.load(Ordering::SeqCst)
    }
}

const REFUSAL: &str = "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n";
const VERSION: &str = concat!(
    "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json\r\n\r\n",
    r#"{"major":"1","minor":"34","gitVersion":"v1.34.0","gitCommit":"","gitTreeState":"","#,
    r#""buildDate":"","goVersion":"","compiler":"","platform":""}"#
);

fn access(cluster: serde_json::Value) -> Access {
    let kubeconfig = json!({
        "current-context": "far",
        "contexts": [{ "name": "far", "context": { "cluster": "far" } }],
        "clusters": [{ "name": "far", "cluster": cluster }],
    });
    Access::Given(Box::new(serde_json::from_value(kubeconfig).expect("a kubeconfig")))
}

async fn version(access: &Access, proxy: &str, no_proxy: &str) -> Result<String, KubeError> {
    let proxies = Proxies::read(|name| match name {
        "HTTP_PROXY" | "HTTPS_PROXY" => Some(proxy.to_owned()),
        "NO_PROXY" => Some(no_proxy.to_owned()),
        _ => None,
    });
    Kube::connect(access, &proxies)?.version().await
}

#[tokio::test]
async fn a_server_of_this_machine_is_asked_past_the_proxy() {
    let (proxy, server) = (Server::answering(REFUSAL).await, Server::answering(VERSION).await);
    let access = access(json!({ "server": format!("http://{}", server.place) }));
    for scheme in ["", "http://", "https://", "socks5://", "socks5h://", "ftp://"] {
        for no_proxy in ["", "other.example", "broken,,"] {
            let proxy = format!("{scheme}{}", proxy.place);
            assert_eq!(version(&access, &proxy, no_proxy).await.expect("answers"), "v1.34.0");
        }
    }
    assert_eq!((proxy.visits(), server.visits()), (0, 18));
}

#[tokio::test]
async fn another_machines_server_is_asked_through_the_proxy_unless_it_is_excepted() {
    let proxy = Server::answering(REFUSAL).await;
    let access = access(json!({ "server": "https://192.0.2.7:6443" }));
    let told = version(&access, &proxy.place, "127.0.0.1").await.expect_err("refused");
    assert_eq!(proxy.visits(), 1);
    assert!(told.to_string().contains(&format!("(through the proxy http://{})", proxy.place)));
    assert!(matches!(told, KubeError::Unreachable { .. }), "{told:?}");

    let direct = Kube::connect(&access, &Proxies::default()).expect("a client");
    assert_eq!(direct.server, "https://192.0.2.7:6443/");
}

#[tokio::test]
async fn the_kubeconfigs_own_proxy_is_used_for_every_server() {
    let (named, inherited) = (Server::answering(REFUSAL).await, Server::answering(REFUSAL).await);
    let access = access(json!({
        "server": "https://127.0.0.1:6443",
        "proxy-url": format!("socks5://{}", named.place),
    }));
    assert!(version(&access, &inherited.place, "*").await.is_err());
    assert_eq!((named.visits(), inherited.visits()), (1, 0));
}
