//! What runs in a gateway's container: rendered here, and handed over when the container is made.
//!
//! Nothing of it lies in the gateway's volume, where root in the container could change it. The
//! entrypoint is an argument of the container's own, and writes the rest into a folder in memory.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::container::{SETTINGS, STATE, capabilities, tools};
use crate::resources::base::docker::own_image::short;
use crate::templates::{TemplateError, Templates};
use crate::topology::gateway::{HTTP_PROXY_PORT, SSH_PORT};
use crate::topology::{Gateway, GatewayForwarding, Subnet, Topology};

pub struct Scripts {
    entrypoint: String,
    /// What the entrypoint writes down at every start, by name.
    settings: Vec<(&'static str, String)>,
}

impl Scripts {
    pub fn of(
        topology: &Topology,
        gateway: &Gateway,
        templates: &Templates,
    ) -> Result<Self, TemplateError> {
        let recipe = Recipe { topology, gateway, templates };
        let settings = recipe.settings()?;
        let files: Vec<Value> =
            settings.iter().map(|(name, text)| json!({ "name": name, "text": text })).collect();
        Ok(Self { entrypoint: recipe.render("entrypoint", &[("files", json!(files))])?, settings })
    }

    pub fn entrypoint(&self) -> &str {
        &self.entrypoint
    }

    /// By name, as a person looks at them.
    pub fn files(self) -> Vec<(&'static str, String)> {
        std::iter::once(("entrypoint", self.entrypoint)).chain(self.settings).collect()
    }

    /// Changes when the scripts or the rights do, so that those of a newer topo come into an older
    /// gateway.
    pub fn fingerprint(&self, gateway: &Gateway) -> String {
        let mut hash = Sha256::new();
        hash.update(capabilities(gateway).join(","));
        hash.update(&self.entrypoint);
        short(hash)
    }
}

struct Recipe<'a> {
    topology: &'a Topology,
    gateway: &'a Gateway,
    templates: &'a Templates,
}

impl Recipe<'_> {
    fn settings(&self) -> Result<Vec<(&'static str, String)>, TemplateError> {
        let mut settings = vec![("load", self.load()?), ("health", self.render("health", &[])?)];
        if self.gateway.mode == GatewayForwarding::Proxy {
            settings.push(("nginx.conf", self.render("nginx.conf", &[])?));
        }
        if self.gateway.ssh.is_some() {
            let sshd = self.render("sshd_config", &[("port", json!(SSH_PORT))])?;
            settings.push(("sshd_config", sshd));
        }
        if let Some(proxy) = &self.gateway.http_proxy {
            let allow: Vec<String> = proxy.allow.iter().map(as_squid_has_it).collect();
            let values = [("port", json!(HTTP_PROXY_PORT)), ("allow", json!(allow))];
            settings.push(("squid.conf", self.render("squid.conf", &values)?));
        }
        Ok(settings)
    }

    fn load(&self) -> Result<String, TemplateError> {
        match self.gateway.mode {
            GatewayForwarding::Proxy => {
                self.render("load", &[("ipv6", json!(self.topology.network.has_ipv6()))])
            }
            GatewayForwarding::Dnat => {
                let v4 = self.rules("ip", "ipv4_addr", Subnet::is_ipv4)?;
                let v6 = self.rules("ip6", "ipv6_addr", |subnet| !subnet.is_ipv4())?;
                self.render("load", &[("v4", json!(v4)), ("v6", json!(v6))])
            }
        }
    }

    /// The kernel's rules of one family.
    fn rules(
        &self,
        family: &str,
        address: &str,
        is_of_it: fn(Subnet) -> bool,
    ) -> Result<String, TemplateError> {
        let allowed = self.gateway.ssh.iter().flat_map(|ssh| &ssh.allow).copied();
        let allowed: Vec<Subnet> = allowed.filter(|subnet| is_of_it(*subnet)).collect();
        let values =
            [("family", json!(family)), ("address", json!(address)), ("allow", json!(allowed))];
        self.render("rules.nft", &values)
    }

    fn render(&self, name: &str, own: &[(&str, Value)]) -> Result<String, TemplateError> {
        let mut values = json!({
            "state": STATE,
            "settings": SETTINGS,
            "tools": tools(self.gateway),
            "name": self.topology.gateway_name(),
        });
        for (key, value) in own {
            values[*key] = value.clone();
        }
        self.templates.render(&format!("gateway/{name}"), values)
    }
}

/// It has words of its own for the networks of all addresses.
fn as_squid_has_it(subnet: &Subnet) -> String {
    match (subnet.net().prefix_len(), subnet.is_ipv4()) {
        (0, true) => "ipv4".to_owned(),
        (0, false) => "ipv6".to_owned(),
        _ => subnet.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::topology::gateway::AuthorizedKey;

    fn topology(gateway: Value) -> Topology {
        serde_json::from_value(json!({
            "apiVersion": "topo/v1alpha1", "kind": "Topology", "name": "dev", "gateway": gateway,
        }))
        .expect("a topology")
    }

    fn scripts(topology: &Topology) -> Scripts {
        let gateway = topology.gateway.as_ref().expect("a gateway");
        Scripts::of(topology, gateway, &Templates::new(None)).expect("renders")
    }

    #[test]
    fn scripts_are_made_for_the_services_of_this_gateway_and_none_is_read_from_its_volume() {
        let topology = topology(json!({ "httpProxy": { "listen": 3128 } }));
        let scripts = scripts(&topology);
        let entrypoint = scripts.entrypoint.clone();
        let names: Vec<&str> = scripts.files().iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["entrypoint", "load", "health", "squid.conf"]);
        assert!(entrypoint.contains("keep squid") && entrypoint.contains("nft -f"));
        assert!(!entrypoint.contains("sshd") && !entrypoint.contains("nginx"));
        let from_the_volume: Vec<&str> =
            entrypoint.lines().filter(|line| line.contains("$state")).collect();
        assert_eq!(
            from_the_volume,
            [
                "[ -s \"$state/forwards\" ] || : >\"$state/forwards\"",
                "sh /run/topo/load <\"$state/forwards\""
            ]
        );
    }

    #[test]
    fn the_proxy_leads_into_the_network_and_where_the_file_says() {
        let topology =
            topology(json!({ "httpProxy": { "listen": 3128, "allow": ["192.0.2.0/24", "::/0"] } }));
        let files = scripts(&topology).files();
        let (_, squid) = files.iter().find(|(name, _)| *name == "squid.conf").expect("a squid");
        let access: Vec<&str> =
            squid.lines().filter(|line| line.starts_with("http_access")).collect();
        assert_eq!(
            access,
            [
                "http_access deny manager",
                "http_access deny to_localhost",
                "http_access deny link_local",
                "http_access deny self",
                "http_access allow allowed",
                "http_access deny host",
                "http_access allow network",
                "http_access deny all"
            ]
        );
        assert!(
            squid.contains("\nacl allowed dst 192.0.2.0/24\nacl allowed dst ipv6\n"),
            "{squid}"
        );
    }

    proptest! {
        /// Whatever a file may say, it stays in its line.
        #[test]
        fn no_name_of_a_file_breaks_out_of_its_line(name in "[a-zA-Z0-9][a-zA-Z0-9_.-]{1,40}|.{1,40}") {
            let files = |name: &str| {
                let gateway = json!({
                    "name": name,
                    "ssh": { "listen": 122, "allow": ["192.0.2.0/24"] },
                    "httpProxy": { "listen": 3128 },
                });
                let topology = serde_json::from_value::<Topology>(json!({
                    "apiVersion": "topo/v1alpha1", "kind": "Topology", "name": "dev", "gateway": gateway,
                }));
                topology.ok().map(|topology| scripts(&topology).files())
            };
            let plain = files("plain").expect("a topology");
            for ((file, text), (_, usual)) in files(&name).into_iter().flatten().zip(plain) {
                prop_assert_eq!(text.lines().count(), usual.lines().count(), "{}", file);
            }
        }

        #[test]
        fn no_key_of_a_file_breaks_out_of_its_line(key in "(ssh-ed25519|sk-ssh-a) (.|\n|\r|\u{0}){0,60}") {
            if let Ok(AuthorizedKey::Key(key)) = key.parse() {
                prop_assert!(!key.contains(['\n', '\r', '\0']), "{key:?}");
            }
        }
    }
}
