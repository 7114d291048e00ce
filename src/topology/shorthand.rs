//! What somebody meant who wrote one scalar where a map belongs, as other tools take it: `web:80`,
//! `8080:80`, `./data:/data:ro`. It is not read; it is what the error says to write.

use std::net::IpAddr;

use super::manifest::Url;
use super::port::{ListenSpec, PortRange};
use super::{
    AddressRange, DockerName, InterfaceAddress, Label, MetallbVersion, ServiceRef, Subnet,
};

/// The map that is likely meant, for the type that the schema calls `definition`.
pub fn map(definition: &str, text: &str) -> Option<String> {
    match definition {
        "Network" if is::<Subnet>(text) => Some(format!("{{ subnet: {} }}", quoted(text))),
        "Network" if is::<DockerName>(text) => Some(format!("{{ name: {text} }}")),
        "Group" if is::<Label>(text) => Some(format!("{{ name: {text}, count: 1 }}")),
        "Mount" => mount(text),
        "PortMapping" => port_mapping(text),
        "Metallb" if is::<MetallbVersion>(text) => Some(format!("{{ version: {text} }}")),
        "Pool" if is::<AddressRange>(text) => {
            Some(format!("{{ name: default, addresses: [{text}] }}"))
        }
        "Manifest" if is::<Url>(text) => Some(format!("{{ url: {text}, sha256: … }}")),
        "Manifest" => Some(format!("{{ path: {} }}", quoted(text))),
        "Ssh" | "HttpProxy" if is::<ListenSpec>(text) => {
            Some(format!("{{ listen: {} }}", quoted(text)))
        }
        "Expose" => Some("{ via: ssh }".to_owned()),
        "Port" => forward(text),
        "Target" => target(text),
        "Share" => share(text),
        "Claim" if is::<Label>(text) => Some(format!("{{ name: {text} }}")),
        "Connector" if is::<InterfaceAddress>(text) => {
            Some(format!("{{ addr: {} }}", quoted(text)))
        }
        _ => None,
    }
}

fn is<T: std::str::FromStr>(text: &str) -> bool {
    text.parse::<T>().is_ok()
}

/// Within a map in braces these would begin or end something else.
fn quoted(text: &str) -> String {
    if text.contains(['[', ']', '{', '}', ',', ' ']) {
        format!("\"{text}\"")
    } else {
        text.to_owned()
    }
}

fn mount(text: &str) -> Option<String> {
    let (here, inside) = text.split_once(':')?;
    let (inside, options) = inside.split_once(':').unwrap_or((inside, ""));
    let read_only =
        if options.split(',').any(|option| option == "ro") { ", readOnly: true" } else { "" };
    let whole = !here.is_empty() && inside.starts_with('/');
    whole.then(|| {
        format!("{{ hostPath: {}, containerPath: {}{read_only} }}", quoted(here), quoted(inside))
    })
}

/// `[ADDRESS:]HERE:THERE[/udp]`, as `docker run --publish` has it.
struct Published<'a> {
    addr: Option<&'a str>,
    here: &'a str,
    there: &'a str,
    udp: bool,
}

fn published(text: &str) -> Option<Published<'_>> {
    let udp = text.ends_with("/udp");
    let text = text.trim_end_matches("/udp").trim_end_matches("/tcp");
    let (before, there) = text.rsplit_once(':')?;
    let (addr, here) = match before.rsplit_once(':') {
        Some((addr, here)) => (Some(addr), here),
        None => (None, before),
    };
    let bare = |addr: &str| addr.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    let right = is::<PortRange>(here) && is::<PortRange>(there) && addr.is_none_or(bare);
    right.then_some(Published { addr, here, there, udp })
}

fn port_mapping(text: &str) -> Option<String> {
    let Published { addr, here, there, udp } = published(text)?;
    let addr = addr.map(|addr| format!(", listenAddress: \"{}\"", addr.trim_matches(['[', ']'])));
    let udp = if udp { ", protocol: udp" } else { "" };
    Some(format!("{{ hostPort: {here}, containerPort: {there}{}{udp} }}", addr.unwrap_or_default()))
}

fn forward(text: &str) -> Option<String> {
    let (listen, there) = if let Some(Published { addr, here, there, udp }) = published(text) {
        let addr = addr.map(|addr| format!("{addr}:")).unwrap_or_default();
        let udp = if udp { "/udp" } else { "" };
        (format!("{addr}{here}{udp}"), there)
    } else {
        let listen: ListenSpec = text.parse().ok()?;
        (text.to_owned(), if listen.ports.count() == 1 { "80" } else { return None })
    };
    Some(format!("{{ listen: {}, to: {{ service: NAME, port: {there} }} }}", quoted(&listen)))
}

fn target(text: &str) -> Option<String> {
    if is::<PortRange>(text) {
        return Some(format!("{{ nodePort: {text} }}` or `{{ service: NAME, port: {text} }}"));
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return is::<ServiceRef>(text).then(|| format!("{{ service: {text}, port: 80 }}"));
    };
    let bare = host.trim_matches(['[', ']']);
    if is::<IpAddr>(bare) {
        return Some(format!("{{ address: \"{bare}\", port: {port} }}"));
    }
    is::<ServiceRef>(host).then(|| format!("{{ service: {host}, port: {port} }}"))
}

/// The folder, under its own name.
fn share(text: &str) -> Option<String> {
    let folder = text.trim_end_matches('/').rsplit('/').next()?;
    let name: String = folder
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    let name = name.trim_matches('-');
    is::<Label>(name).then(|| format!("{{ name: {name}, path: {} }}", quoted(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_other_tools_take_is_written_as_the_map_it_means() {
        for (definition, text, wanted) in [
            ("Target", "web:80", Some("{ service: web, port: 80 }")),
            ("Target", "shop/web:http", Some("{ service: shop/web, port: http }")),
            ("Target", "172.22.0.7:80", Some("{ address: \"172.22.0.7\", port: 80 }")),
            ("Target", "[fd00::7]:80", Some("{ address: \"fd00::7\", port: 80 }")),
            ("Target", "not a service", None),
            ("Port", "20002:80", Some("{ listen: 20002, to: { service: NAME, port: 80 } }")),
            (
                "Port",
                "[::1]:53:53/udp",
                Some("{ listen: \"[::1]:53/udp\", to: { service: NAME, port: 53 } }"),
            ),
            ("PortMapping", "8080:80", Some("{ hostPort: 8080, containerPort: 80 }")),
            (
                "PortMapping",
                "127.0.0.1:53:53/udp",
                Some(
                    "{ hostPort: 53, containerPort: 53, listenAddress: \"127.0.0.1\", protocol: udp }",
                ),
            ),
            ("Mount", "./a:/b:ro", Some("{ hostPath: ./a, containerPath: /b, readOnly: true }")),
            ("Mount", "./a", None),
            (
                "Share",
                "~/docs/My Studio/",
                Some("{ name: my-studio, path: \"~/docs/My Studio/\" }"),
            ),
            ("Manifest", "web.yaml", Some("{ path: web.yaml }")),
            ("Ssh", "122", Some("{ listen: 122 }")),
        ] {
            assert_eq!(map(definition, text).as_deref(), wanted, "{text}");
        }
    }
}
