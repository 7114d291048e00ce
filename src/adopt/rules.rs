//! The rules by which a container leads its ports on, as iptables and nft list them.

use std::net::IpAddr;

use crate::topology::{PortRange, Proto};

/// All that lead somewhere else.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Rules {
    pub leads: Vec<Lead>,
    /// Those that no forward of a topology file can stand for, each with the reason.
    pub others: Vec<(String, String)>,
}

/// Ports of the container that lead to as many of an address.
#[derive(Debug, PartialEq, Eq)]
pub struct Lead {
    pub proto: Proto,
    pub ports: PortRange,
    pub to: IpAddr,
    /// The first of them there.
    pub port: u16,
    /// As it was listed.
    pub rule: String,
}

impl Lead {
    fn does_the_same(&self, other: &Self) -> bool {
        let what = |it: &Self| (it.proto, it.ports, it.to, it.port);
        what(self) == what(other)
    }
}

/// Docker's own, for its resolver.
const RESOLVER: &str = "127.0.0.11";

impl Rules {
    /// Of `iptables-save -t nat`; `own` are the container's addresses.
    pub fn of_iptables(save: &str, own: &[IpAddr]) -> Self {
        let lines = save.lines().filter(|line| line.contains(" -j DNAT ") && !is_dockers(line));
        Self::of(lines, |line| {
            let mut parts = Parts::default();
            let words = words(line);
            let mut words = words.iter().map(String::as_str);
            while let Some(word) = words.next() {
                let mut value = || words.next().unwrap_or_default();
                match word {
                    "-A" => match value() {
                        "PREROUTING" => {}
                        chain => return Err(format!("it is in the chain {chain}")),
                    },
                    "-p" => parts.proto(value())?,
                    "--dport" => parts.ports(value(), ':')?,
                    "-d" => own_only(value(), own)?,
                    "--to-destination" => parts.to(value())?,
                    // The container has one interface, and what is said of a rule changes nothing.
                    "-m" | "-i" | "-j" | "--comment" => {
                        value();
                    }
                    other => return Err(format!("a forward has nothing like `{other}`")),
                }
            }
            parts.lead(line)
        })
    }

    /// Of `nft list ruleset`.
    pub fn of_nft(listing: &str, own: &[IpAddr]) -> Self {
        let lines = listing.lines().map(str::trim);
        let ways = ["dnat to ", "dnat ip to ", "dnat ip6 to "];
        let leads = |line: &&str| ways.iter().any(|way| line.contains(way));
        let lines = lines.filter(leads).filter(|line| !is_dockers(line));
        Self::of(lines, |line| {
            let mut parts = Parts::default();
            let words = words(line);
            let mut words = words.iter().map(String::as_str);
            while let Some(word) = words.next() {
                let mut value = || words.next().unwrap_or_default();
                match word {
                    "tcp" | "udp" => match value() {
                        "dport" => {
                            parts.proto(word)?;
                            parts.ports(value(), '-')?;
                        }
                        other => {
                            return Err(format!("a forward has nothing like `{word} {other}`"));
                        }
                    },
                    "ip" => match value() {
                        "daddr" => own_only(value(), own)?,
                        other => return Err(format!("a forward has nothing like `ip {other}`")),
                    },
                    "dnat" => match value() {
                        "to" => parts.to(value())?,
                        "ip" | "ip6" if value() == "to" => parts.to(value())?,
                        other => return Err(format!("a forward has nothing like `dnat {other}`")),
                    },
                    "iifname" | "comment" | "packets" | "bytes" => {
                        value();
                    }
                    "counter" => {}
                    other => return Err(format!("a forward has nothing like `{other}`")),
                }
            }
            parts.lead(line)
        })
    }

    /// With those that only nft knows: it lists the rules of iptables too, in its own words.
    pub fn and(mut self, nft: Self) -> Self {
        if self == Self::default() {
            return nft;
        }
        let is_new = |lead: &Lead| !self.leads.iter().any(|known| known.does_the_same(lead));
        let more: Vec<Lead> = nft.leads.into_iter().filter(is_new).collect();
        self.leads.extend(more);
        self
    }

    fn of<'a>(
        lines: impl Iterator<Item = &'a str>,
        read: impl Fn(&str) -> Result<Lead, String>,
    ) -> Self {
        let mut rules = Self::default();
        for line in lines {
            match read(line) {
                Ok(lead) => rules.leads.push(lead),
                Err(why) => rules.others.push((line.to_owned(), why)),
            }
        }
        rules
    }
}

fn is_dockers(line: &str) -> bool {
    line.contains(RESOLVER)
}

/// What a rule matches and where it leads.
#[derive(Default)]
struct Parts {
    proto: Option<Proto>,
    ports: Option<PortRange>,
    to: Option<(IpAddr, Option<u16>)>,
}

impl Parts {
    fn proto(&mut self, text: &str) -> Result<(), String> {
        self.proto = Some(match text {
            "tcp" => Proto::Tcp,
            "udp" => Proto::Udp,
            other => return Err(format!("its protocol is {other}")),
        });
        Ok(())
    }

    fn ports(&mut self, text: &str, dash: char) -> Result<(), String> {
        if text.starts_with(['{', '@']) {
            return Err("its ports are a set".to_owned());
        }
        let (first, last) = text.split_once(dash).unwrap_or((text, text));
        let range = first.parse().ok().zip(last.parse().ok());
        let range = range.and_then(|(first, last)| PortRange::new(first, last));
        self.ports = Some(range.ok_or_else(|| format!("its ports are {text}"))?);
        Ok(())
    }

    fn to(&mut self, text: &str) -> Result<(), String> {
        let alone = text.parse().ok().map(|address| (address, None));
        let with_port = || {
            let (address, port) = text.rsplit_once(':')?;
            let address = address.trim_start_matches('[').trim_end_matches(']').parse().ok()?;
            Some((address, Some(port.parse().ok()?)))
        };
        // nft has the kind of key here, of what it looks up.
        if !text.contains(|c: char| c.is_ascii_digit()) {
            return Err("it leads by a map".to_owned());
        }
        self.to = Some(alone.or_else(with_port).ok_or_else(|| format!("it leads to {text}"))?);
        Ok(())
    }

    fn lead(self, rule: &str) -> Result<Lead, String> {
        let (Some(proto), Some(ports), Some((to, port))) = (self.proto, self.ports, self.to) else {
            return Err("it is for every port".to_owned());
        };
        if port.is_some() && ports.count() > 1 {
            return Err("several ports lead to one".to_owned());
        }
        let port = port.unwrap_or(ports.first());
        Ok(Lead { proto, ports, to, port, rule: rule.to_owned() })
    }
}

fn own_only(text: &str, own: &[IpAddr]) -> Result<(), String> {
    let address = text.strip_suffix("/32").unwrap_or(text).parse().ok();
    match address.filter(|address| own.contains(address)) {
        Some(_) => Ok(()),
        None => Err(format!("it is for packets to {text}")),
    }
}

/// Words between blanks, or between quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut quoted = false;
    for piece in line.split('"') {
        if quoted {
            words.push(piece.to_owned());
        } else {
            words.extend(piece.split_whitespace().map(str::to_owned));
        }
        quoted = !quoted;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: [IpAddr; 1] = [IpAddr::V4(std::net::Ipv4Addr::new(172, 22, 0, 12))];

    /// Port, address and port there.
    fn leads(rules: &Rules) -> Vec<(u16, String, u16)> {
        let lead = |lead: &Lead| (lead.ports.first(), lead.to.to_string(), lead.port);
        rules.leads.iter().map(lead).collect()
    }

    #[test]
    fn the_same_rules_are_read_of_iptables_and_of_nft() {
        let iptables = Rules::of_iptables(include_str!("recorded/iptables"), &OWN);
        let nft = Rules::of_nft(include_str!("recorded/nft"), &OWN);
        let service = "172.22.255.201".to_owned();
        let other = "172.22.0.99".to_owned();
        assert_eq!(
            leads(&iptables),
            [(10001, service.clone(), 22), (10010, service, 80), (10005, other, 5432)]
        );
        assert_eq!(leads(&nft), leads(&iptables));
        let more = "tcp dport 10002 dnat to 172.22.255.201:443\n";
        let both = || Rules::of_iptables(include_str!("recorded/iptables"), &OWN);
        assert_eq!(leads(&both().and(Rules::of_nft(more, &OWN))).len(), 4);
        assert_eq!(both().and(Rules::of_nft(include_str!("recorded/nft"), &OWN)), iptables);
        assert_eq!(leads(&Rules::default().and(Rules::of_nft(more, &OWN))).len(), 1);
        let whys = |rules: &Rules| -> Vec<String> {
            rules.others.iter().map(|(_, why)| why.clone()).collect()
        };
        assert_eq!(whys(&iptables), ["a forward has nothing like `-s`"]);
        assert_eq!(whys(&nft), ["a forward has nothing like `ip saddr`"]);
    }

    #[test]
    fn what_nft_alone_can_say_is_read_or_said() {
        let of = |rule: &str| {
            let rules = Rules::of_nft(&format!("\t\t{rule}\n"), &OWN);
            match rules.others.first() {
                Some((_, why)) => why.clone(),
                None => format!("{:?}", leads(&rules)),
            }
        };
        assert_eq!(of("udp dport 53-54 dnat ip to 10.0.0.1"), "[(53, \"10.0.0.1\", 53)]");
        assert_eq!(of("tcp dport 80 dnat ip6 to [fd00::9]:81"), "[(80, \"fd00::9\", 81)]");
        assert_eq!(of("tcp dport { 80, 81 } dnat to 10.0.0.1:80"), "its ports are a set");
        assert_eq!(of("tcp dport @web dnat to 10.0.0.1"), "its ports are a set");
        assert_eq!(of("dnat ip to tcp dport map @m"), "it leads by a map");
        assert_eq!(of("tcp sport 9 dnat to 10.0.0.1"), "a forward has nothing like `tcp sport`");
        assert_eq!(of("ct status dnat counter packets 0 bytes 0 masquerade"), "[]");
    }

    #[test]
    fn a_rule_is_a_forward_only_if_a_forward_does_the_same() {
        let of = |rule: &str| {
            let rules = Rules::of_iptables(&format!("-A PREROUTING {rule}\n"), &OWN);
            match rules.others.first() {
                Some((_, why)) => why.clone(),
                None => format!("{:?}", leads(&rules)),
            }
        };
        let to = "-j DNAT --to-destination 10.0.0.1";
        assert_eq!(of(&format!("-p tcp --dport 80 {to}:8080")), "[(80, \"10.0.0.1\", 8080)]");
        assert_eq!(of(&format!("-p udp --dport 53:54 {to}")), "[(53, \"10.0.0.1\", 53)]");
        let own = format!("-d 172.22.0.12/32 -i eth0 -p tcp --dport 80 {to}");
        assert_eq!(of(&own), "[(80, \"10.0.0.1\", 80)]");
        assert_eq!(of(&format!("-p tcp --dport 80:81 {to}:8080")), "several ports lead to one");
        assert_eq!(
            of(&format!("-d 10.9.9.9/32 -p tcp --dport 80 {to}")),
            "it is for packets to 10.9.9.9/32"
        );
        assert_eq!(of(&format!("-p sctp --dport 80 {to}")), "its protocol is sctp");
        assert_eq!(of(&format!("-p tcp {to}")), "it is for every port");
        assert_eq!(
            of(&format!("! -i eth0 -p tcp --dport 80 {to}")),
            "a forward has nothing like `!`"
        );
        let range = "-p tcp --dport 80 -j DNAT --to-destination 10.0.0.1-10.0.0.9";
        assert_eq!(of(range), "it leads to 10.0.0.1-10.0.0.9");
        let chain = Rules::of_iptables(&format!("-A MINE -p tcp --dport 80 {to}\n"), &OWN);
        assert_eq!(chain.others[0].1, "it is in the chain MINE");
    }
}
