//! Which proxy a call to an API server goes through. The rules are those of kubectl, so that whoever
//! reaches a cluster with it reaches it with topo.

use std::net::IpAddr;

use http::Uri;
use http::uri::{Authority, Scheme};
use ipnet::IpNet;

use super::KubeError;

/// The proxies that the surroundings name, and where none is used.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    http: Option<String>,
    https: Option<String>,
    direct: Vec<Direct>,
}

/// What `NO_PROXY` names.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Direct {
    Everything,
    Net(IpNet),
    Address { address: IpAddr, port: Option<u16> },
    Host { name: String, port: Option<u16>, only_below: bool },
}

impl Proxies {
    /// Reads `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`, in upper or lower case. `ALL_PROXY` is not
    /// among what kubectl reads.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let either = |name: &str| {
            [name.to_owned(), name.to_lowercase()]
                .iter()
                .find_map(|name| variable(name).filter(|value| !value.is_empty()))
        };
        let direct = either("NO_PROXY").unwrap_or_default();
        Self {
            http: either("HTTP_PROXY"),
            https: either("HTTPS_PROXY"),
            direct: direct.split(',').filter_map(Direct::read).collect(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.http.is_none() && self.https.is_none()
    }

    /// The same with networks that this machine is on itself.
    pub fn past(mut self, networks: impl IntoIterator<Item = IpNet>) -> Self {
        self.direct.extend(networks.into_iter().map(Direct::Net));
        self
    }

    pub(super) fn on_the_way_to(&self, server: &Uri) -> Result<Option<Uri>, KubeError> {
        let is_plain = server.scheme() == Some(&Scheme::HTTP);
        let proxy = if is_plain { &self.http } else { &self.https };
        let Some(proxy) = proxy.as_deref().filter(|_| !self.is_direct(server, is_plain)) else {
            return Ok(None);
        };
        read(proxy).map(Some)
    }

    fn is_direct(&self, server: &Uri, is_plain: bool) -> bool {
        let host = server.host().unwrap_or_default().trim_matches(['[', ']']).to_lowercase();
        let port = server.port_u16().unwrap_or(if is_plain { 80 } else { 443 });
        match host.parse::<IpAddr>().map(|address| address.to_canonical()) {
            Ok(address) if address.is_loopback() => true,
            Ok(address) => self.direct.iter().any(|direct| direct.is_address(address, port)),
            Err(_) if host == "localhost" => true,
            Err(_) => self.direct.iter().any(|direct| direct.is_host(&host, port)),
        }
    }
}

impl Direct {
    fn read(entry: &str) -> Option<Self> {
        let entry = entry.trim().to_lowercase();
        if entry == "*" {
            return Some(Self::Everything);
        }
        if let Ok(net) = entry.parse() {
            return Some(Self::Net(net));
        }
        let (host, port) = match entry.rsplit_once(':') {
            Some((host, port)) if is_whole(host) => (host, Some(port.parse().ok()?)),
            _ => (entry.as_str(), None),
        };
        if let Ok(address) = host.trim_matches(['[', ']']).parse() {
            return Some(Self::Address { address, port });
        }
        let below = host.strip_prefix("*.").or_else(|| host.strip_prefix('.'));
        let name = below.unwrap_or(host);
        let only_below = below.is_some();
        (!name.is_empty()).then(|| Self::Host { name: name.to_owned(), port, only_below })
    }

    fn is_address(&self, target: IpAddr, target_port: u16) -> bool {
        match self {
            Self::Everything => true,
            Self::Net(net) => net.contains(&target),
            Self::Address { address, port } => {
                address.to_canonical() == target && port.is_none_or(|port| port == target_port)
            }
            Self::Host { .. } => false,
        }
    }

    fn is_host(&self, target: &str, target_port: u16) -> bool {
        match self {
            Self::Everything => true,
            Self::Host { name, port, only_below } => {
                let is_below =
                    target.strip_suffix(name.as_str()).is_some_and(|rest| rest.ends_with('.'));
                (is_below || (target == name && !only_below))
                    && port.is_none_or(|port| port == target_port)
            }
            Self::Net(_) | Self::Address { .. } => false,
        }
    }
}

/// Whether a colon behind it begins a port: a bare IPv6 address has colons of its own.
fn is_whole(host: &str) -> bool {
    !host.contains(':') || (host.starts_with('[') && host.ends_with(']'))
}

/// A proxy as `HTTPS_PROXY` and the kubeconfig's `proxy-url` name it, with its scheme and port.
pub(super) fn read(written: &str) -> Result<Uri, KubeError> {
    let whole = match written.split_once("://") {
        // The name is resolved by the proxy in either case.
        Some(("socks5h", rest)) => format!("socks5://{rest}"),
        Some(_) => written.to_owned(),
        None => format!("http://{written}"),
    };
    let refused = || KubeError::Proxy(shown(&whole));
    let uri: Uri = whole.parse().map_err(|_| refused())?;
    let usual_port = match uri.scheme_str() {
        Some("http") => 80,
        Some("https") => 443,
        Some("socks5") => 1080,
        _ => return Err(refused()),
    };
    let authority = uri.authority().filter(|authority| !authority.host().is_empty());
    let authority = authority.ok_or_else(refused)?;
    let with_port = match authority.port() {
        Some(_) => authority.clone(),
        None => Authority::try_from(format!("{authority}:{usual_port}")).map_err(|_| refused())?,
    };
    let scheme = uri.scheme_str().unwrap_or_default();
    Uri::builder()
        .scheme(scheme)
        .authority(with_port)
        .path_and_query("/")
        .build()
        .map_err(|_| refused())
}

/// Without the name and the password that it may hold.
pub fn shown(proxy: &str) -> String {
    let (scheme, rest) = proxy.split_once("://").unwrap_or(("", proxy));
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    if scheme.is_empty() { host.to_owned() } else { format!("{scheme}://{host}") }
        .trim_end_matches('/')
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXY: &str = "http://proxy.example:3128/";

    fn proxies(variables: &[(&str, &str)]) -> Proxies {
        Proxies::read(|name| {
            let set = variables.iter().find(|(set, _)| *set == name);
            set.map(|(_, value)| (*value).to_owned())
        })
    }

    fn chosen(variables: &[(&str, &str)], server: &str) -> Option<String> {
        let server: Uri = server.parse().expect("a server");
        let proxy = proxies(variables).on_the_way_to(&server).expect("a proxy");
        proxy.map(|proxy| proxy.to_string())
    }

    fn is_direct(no_proxy: &str, server: &str) -> bool {
        let variables = [("HTTPS_PROXY", "proxy.example:3128"), ("NO_PROXY", no_proxy)];
        chosen(&variables, server).is_none()
    }

    #[test]
    fn a_proxy_is_read_in_every_form() {
        let server = "https://k8s.example:6443";
        for (written, read) in [
            ("http://proxy.example:3128", PROXY),
            ("proxy.example:3128", PROXY),
            ("http://proxy.example:3128/", PROXY),
            ("proxy.example", "http://proxy.example:80/"),
            ("https://proxy.example", "https://proxy.example:443/"),
            ("socks5://proxy.example", "socks5://proxy.example:1080/"),
            ("socks5h://proxy.example:1081", "socks5://proxy.example:1081/"),
            ("http://me:pass@proxy.example:3128", "http://me:pass@proxy.example:3128/"),
        ] {
            for name in ["HTTPS_PROXY", "https_proxy"] {
                assert_eq!(chosen(&[(name, written)], server).as_deref(), Some(read), "{written}");
            }
        }
        assert_eq!(chosen(&[("HTTP_PROXY", PROXY)], server), None);
        assert_eq!(chosen(&[("ALL_PROXY", PROXY)], server), None);
        assert_eq!(
            chosen(&[("HTTP_PROXY", PROXY)], "http://k8s.example:8080").as_deref(),
            Some(PROXY)
        );
    }

    #[test]
    fn what_cannot_be_a_proxy_is_told_without_its_password() {
        for written in ["ftp://me:pass@proxy.example", "http://", "http://me:pass@pr oxy"] {
            let proxies = proxies(&[("HTTPS_PROXY", written)]);
            let server = "https://k8s.example".parse().expect("a server");
            let told = proxies.on_the_way_to(&server).expect_err("refused").to_string();
            assert!(!told.contains("pass"), "{told}");
        }
    }

    #[test]
    fn this_machine_is_never_reached_through_a_proxy() {
        for server in [
            "https://127.0.0.1:6443",
            "https://127.7.7.7:6443",
            "https://localhost:6443",
            "https://LOCALHOST",
            "https://[::1]:6443",
            "https://[::ffff:127.0.0.1]:6443",
        ] {
            for written in ["http://proxy.example:3128", "ftp://no", "not a proxy"] {
                assert_eq!(chosen(&[("HTTPS_PROXY", written)], server), None, "{server}");
            }
        }
    }

    #[test]
    fn networks_of_this_machine_are_reached_past_every_proxy() {
        let proxies =
            proxies(&[("HTTPS_PROXY", PROXY)]).past(["172.18.0.0/16".parse().expect("a network")]);
        let proxy = |server: &str| proxies.on_the_way_to(&server.parse().expect("a server"));
        assert_eq!(proxy("https://172.18.0.2:6443").expect("reads"), None);
        assert!(proxy("https://172.19.0.2:6443").expect("reads").is_some());
    }

    #[test]
    fn no_proxy_is_about_the_server() {
        let server = "https://api.k8s.example:6443";
        for no_proxy in [
            "*",
            "k8s.example",
            ".k8s.example",
            "*.k8s.example",
            "api.k8s.example",
            "API.K8S.example",
            "api.k8s.example:6443",
            ".example:6443",
            "other, ,k8s.example,",
        ] {
            assert!(is_direct(no_proxy, server), "{no_proxy}");
        }
        for no_proxy in [
            "",
            ",",
            ":6443",
            "proxy.example",
            ".api.k8s.example",
            "*.api.k8s.example",
            "8s.example",
            "api.k8s.example:443",
            "api.k8s.example:https",
            "10.0.0.0/8",
        ] {
            assert!(!is_direct(no_proxy, server), "{no_proxy}");
        }
    }

    #[test]
    fn no_proxy_names_addresses_and_networks() {
        for (no_proxy, server) in [
            ("10.0.0.0/8", "https://10.1.2.3:6443"),
            ("10.1.2.0/8", "https://10.1.2.3:6443"),
            ("10.1.2.3", "https://10.1.2.3:6443"),
            ("10.1.2.3:6443", "https://10.1.2.3:6443"),
            ("10.1.2.3:443", "https://10.1.2.3"),
            ("fd00::/8", "https://[fd00::7]:6443"),
            ("fd00::7", "https://[fd00::7]:6443"),
            ("[fd00::7]:6443", "https://[fd00::7]:6443"),
        ] {
            assert!(is_direct(no_proxy, server), "{no_proxy} {server}");
        }
        for (no_proxy, server) in [
            ("10.0.0.0/16", "https://10.1.2.3:6443"),
            ("10.1.2.3:443", "https://10.1.2.3:6443"),
            (".2.3", "https://10.1.2.3:6443"),
            ("[fd00::7]:443", "https://[fd00::7]:6443"),
        ] {
            assert!(!is_direct(no_proxy, server), "{no_proxy} {server}");
        }
    }
}
