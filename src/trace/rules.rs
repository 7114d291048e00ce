//! Firewall rules that drop, by their counters before and after a probe.

use std::collections::BTreeMap;

/// Rules that drop or reject, each with how many packets it has counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Drops(BTreeMap<String, u64>);

impl Drops {
    /// Of `iptables-save -c`: `[3:180] -A FORWARD … -j DROP`, and `:FORWARD DROP [3:180]` of a chain
    /// whose policy is to drop.
    pub fn of_iptables(save: &str) -> Self {
        let rule = |line: &str| {
            if let Some(chain) = line.strip_prefix(':') {
                let (chain, counted) = chain.split_once(" DROP [")?;
                let packets = counted.split(':').next()?.parse().ok()?;
                return Some((format!("-P {chain} DROP"), packets));
            }
            let (counted, rule) = line.strip_prefix('[')?.split_once("] ")?;
            let drops = rule.contains("-j DROP") || rule.contains("-j REJECT");
            // Packets of no known connection, and what kube-proxy says of a Service without pods.
            let is_aside = rule.contains("INVALID") || rule.contains("has no endpoints");
            let packets = counted.split(':').next()?.parse().ok()?;
            (drops && !is_aside).then(|| (rule.to_owned(), packets))
        };
        Self(save.lines().filter_map(rule).collect())
    }

    /// Of `nft list ruleset`, in chains that see what is forwarded. A rule that iptables made with a
    /// part that this nft has no words for is shown with its counter alone.
    pub fn of_nft(listing: &str) -> Self {
        let mut drops = BTreeMap::new();
        let (mut table, mut chain) = (String::new(), String::new());
        let mut forwards = false;
        for line in listing.lines().map(str::trim) {
            if let Some(name) = line.strip_prefix("table ") {
                name.trim_end_matches(" {").clone_into(&mut table);
            } else if let Some(name) = line.strip_prefix("chain ") {
                name.trim_end_matches(" {").clone_into(&mut chain);
                forwards = false;
            } else if line.starts_with("type ") {
                forwards = line.contains(" hook forward ");
                if forwards && line.contains("policy drop") {
                    drops.insert(format!("table {table}, chain {chain}: policy drop"), 0);
                }
            } else if forwards && let Some((before, counted)) = line.split_once("counter packets ")
            {
                let (packets, rest) = counted.split_once(" bytes ").unwrap_or((counted, ""));
                let (_, verdict) = rest.split_once(' ').unwrap_or((rest, ""));
                let verdict = verdict.trim();
                let unnamed = if verdict.is_empty() { "a rule made by iptables" } else { "" };
                let drops_it = verdict.starts_with("drop") || verdict.starts_with("reject");
                if drops_it || !unnamed.is_empty() {
                    let parts = [before.trim(), verdict, unnamed];
                    let parts: Vec<&str> =
                        parts.into_iter().filter(|part| !part.is_empty()).collect();
                    let rule = format!("table {table}, chain {chain}: {}", parts.join(" "));
                    drops.insert(rule, packets.parse().unwrap_or_default());
                }
            }
        }
        Self(drops)
    }

    /// The first rule that has counted more than before, or that drops without counting.
    pub fn grown(&self, before: &Self) -> Option<String> {
        let grown = |(rule, packets): (&String, &u64)| {
            let more = *packets > before.0.get(rule).copied().unwrap_or_default();
            if rule.ends_with("policy drop") {
                return Some(rule.clone());
            }
            let more_by = packets - before.0.get(rule).copied().unwrap_or_default().min(*packets);
            let unit = if more_by == 1 { "packet" } else { "packets" };
            more.then(|| format!("{rule} ({more_by} {unit} during the probe)"))
        };
        self.0.iter().find_map(grown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAVE: &str = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [4:240]\n\
        [0:0] -A KUBE-FORWARD -m conntrack --ctstate INVALID -m nfacct --nfacct-name  ct_state_invalid_dropped_pkts -j DROP\n\
        [28:1754] -A FORWARD -m comment --comment \"kubernetes forwarding rules\" -j KUBE-FORWARD\n\
        [2:120] -A FORWARD -m conntrack --ctstate NEW -j REJECT --reject-with icmp-host-prohibited\n";

    #[test]
    fn a_rule_that_counts_more_after_the_probe_dropped_it() {
        let before = Drops::of_iptables(SAVE);
        assert_eq!(before.grown(&before), None);
        let after = SAVE.replace("[2:120]", "[5:300]");
        assert_eq!(
            Drops::of_iptables(&after).grown(&before).as_deref(),
            Some(
                "-A FORWARD -m conntrack --ctstate NEW -j REJECT --reject-with icmp-host-prohibited (3 packets during the probe)"
            )
        );
        let after = SAVE.replace("[4:240]", "[5:300]");
        assert_eq!(
            Drops::of_iptables(&after).grown(&before).as_deref(),
            Some("-P FORWARD DROP (1 packet during the probe)")
        );
    }

    #[test]
    fn nft_tells_rules_that_it_has_no_words_for_by_their_counters() {
        let listing = |packets: u32| {
            format!(
                "table ip nat {{\n\tchain OUTPUT {{\n\t\ttype nat hook output priority -100; policy accept;\n\t\tip daddr 127.0.0.11 counter packets 9 bytes 0 drop\n\t}}\n}}\ntable ip filter {{\n\tchain FORWARD {{\n\t\ttype filter hook forward priority filter; policy accept;\n\t\t counter packets {packets} bytes 240 \n\t\tct state new counter packets 7 bytes 1 accept\n\t}}\n}}\n"
            )
        };
        let (before, after) = (Drops::of_nft(&listing(4)), Drops::of_nft(&listing(6)));
        assert_eq!(before.grown(&before), None);
        assert_eq!(
            after.grown(&before).as_deref(),
            Some(
                "table ip filter, chain FORWARD: a rule made by iptables (2 packets during the probe)"
            )
        );
        let dropping = "table inet x {\n chain f {\n type filter hook forward priority 0; policy drop;\n }\n}\n";
        let dropping = Drops::of_nft(dropping);
        assert_eq!(
            dropping.grown(&dropping).as_deref(),
            Some("table inet x, chain f: policy drop")
        );
    }
}
