//! What is wrong, for a person to read and mend.

use serde::Serialize;

/// Something that is known to bite, as it was met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// As the troubleshooting page lists it.
    pub name: &'static str,
    /// What was seen, as a sentence without its end.
    pub saw: String,
    /// Why that matters.
    pub why: String,
    /// What to do, with the command where there is one.
    pub fix: String,
}

impl Finding {
    pub fn new(
        name: &'static str,
        saw: impl Into<String>,
        why: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self { name, saw: saw.into(), why: why.into(), fix: fix.into() }
    }
}

/// The names under which findings are known, each with an entry on the troubleshooting page.
pub mod name {
    macro_rules! names {
        ($($constant:ident = $name:literal;)*) => {
            $(pub const $constant: &str = $name;)*
            #[cfg(test)]
            pub const ALL: &[&str] = &[$($name),*];
        };
    }

    names! {
        ADDRESSES_MOVED = "addresses-moved";
        ADDRESS_ANSWERED_TWICE = "address-answered-twice";
        ADDRESS_NOT_IN_POOLS = "address-not-in-pools";
        ADDRESS_TAKEN = "address-taken";
        API_SILENT = "api-silent";
        BUSY = "server-busy";
        CGROUP_V1 = "cgroup-v1";
        DESKTOP_FREEZES = "desktop-freezes";
        DOCKER_RULES_MISSING = "docker-rules-missing";
        DROPPED_IN_GATEWAY = "dropped-in-gateway";
        DROPPED_ON_NODE = "dropped-on-node";
        EMBEDDED_DNS_LOST = "embedded-dns-lost";
        ENGINE_ELSEWHERE = "engine-elsewhere";
        ENGINE_NOT_FORWARDING = "engine-not-forwarding";
        ENGINE_TOO_OLD = "engine-too-old";
        ENGINE_UNREACHABLE = "engine-unreachable";
        ENGINE_WITHOUT_PROXY = "engine-without-proxy";
        EXPORT_EXCLUDES_CLIENT = "export-excludes-client";
        EXPORT_EXCLUDES_TUNNEL = "export-excludes-tunnel";
        FIREWALL_BYPASSED = "firewall-bypassed";
        FOLDER_NOT_READABLE = "folder-not-readable";
        FOLDER_NOT_WRITABLE = "folder-not-writable";
        FORWARD_NOT_IN_FORCE = "forward-not-in-force";
        FORWARD_REJECTED = "forward-rejected";
        GATEWAY_MISSING = "gateway-missing";
        GATEWAY_STOPPED = "gateway-stopped";
        HANGS_UP = "hangs-up";
        HANGS_UP_AT_ONCE = "hangs-up-at-once";
        INOTIFY_LIMIT = "inotify-limit";
        INVALID_FILE = "invalid-file";
        IP_FORWARD_OFF = "ip-forward-off";
        KERBEROS_REQUIRED = "kerberos-required";
        KINDCCM_IN_THE_WAY = "kindccm-in-the-way";
        KUBE_PROXY_BEHIND = "kube-proxy-behind";
        KUBE_PROXY_MISSING = "kube-proxy-missing";
        LITTLE_DISK = "little-disk";
        LITTLE_MEMORY = "little-memory";
        METALLB_NOT_READY = "metallb-not-ready";
        MOUNT_PORT_MOVES = "mount-port-moves";
        NETWORK_POLICY = "network-policy";
        NFT_DROPS_FORWARD = "nft-drops-forward";
        NOBODY_HAS_ADDRESS = "nobody-has-address";
        NODES_EXCLUDED = "nodes-excluded";
        NODE_STOPPED = "node-stopped";
        NOTHING_LISTENS = "nothing-listens";
        NOT_ADVERTISED = "not-advertised";
        NOT_NFS = "not-nfs";
        NOT_TRIED = "not-tried";
        NO_ADDRESS = "no-address";
        NO_DOCKER_PROGRAM = "no-docker-program";
        NO_FILE_HANDLES = "no-file-handles";
        NO_LOAD_BALANCER = "no-load-balancer";
        NO_LOCAL_PODS = "no-local-pods";
        NO_READY_PODS = "no-ready-pods";
        NO_ROUTE = "no-route";
        NO_SPACE = "no-space";
        NO_SUCH_EXPORT = "no-such-export";
        NO_SUCH_HOST = "no-such-host";
        NO_SUCH_PORT = "no-such-port";
        NO_SUCH_TARGET_PORT = "no-such-target-port";
        NO_USERLAND_PROXY = "no-userland-proxy";
        OPEN_FILES_LIMIT = "open-files-limit";
        OWNER_MISMATCH = "owner-mismatch";
        POD_NOT_LISTENING = "pod-not-listening";
        POD_ON_IPV6_ONLY = "pod-on-ipv6-only";
        POD_ON_LOOPBACK = "pod-on-loopback";
        POOL_MISSING = "pool-missing";
        PORT_HELD = "port-held";
        PORT_NOT_PUBLISHED = "port-not-published";
        PROXY_NOT_RUNNING = "proxy-not-running";
        PROXY_ON_LOOPBACK = "proxy-on-loopback";
        READ_ONLY = "read-only";
        ROOTLESS_LIMITS = "rootless-limits";
        ROUTE_OVERLAPS = "route-overlaps";
        SELECTOR_MATCHES_NOTHING = "selector-matches-nothing";
        SELECTOR_TOO_WIDE = "selector-too-wide";
        SERVER_ERROR = "server-error";
        SERVICE_MISSING = "service-missing";
        SERVICE_NOT_REACHABLE = "service-not-reachable";
        SHARE_NOT_READY = "share-not-ready";
        SILENT = "silent";
        SLOW_STORAGE_DRIVER = "slow-storage-driver";
        SOURCE_RANGES = "source-ranges";
        SPEAKER_MISSING = "speaker-missing";
        STALE_TARGET = "stale-target";
        STATD_MISSING = "statd-missing";
        TWO_LOAD_BALANCERS = "two-load-balancers";
        UDP_ONLY_PORT_FORWARDED = "udp-only-port-forwarded";
        UNEXPLAINED = "unexplained";
        UNPRIVILEGED_PORT_REFUSED = "unprivileged-port-refused";
        V3_NOT_SERVED = "v3-not-served";
        V4_NOT_SERVED = "v4-not-served";
        WRONG_PROTOCOL = "wrong-protocol";
    }
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn every_name_has_its_entry_on_the_troubleshooting_page() {
        let page = include_str!("../docs/troubleshooting.md");
        for name in name::ALL {
            assert!(page.contains(&format!("\n| **{name}** |")), "{name} has no entry");
        }
    }
}
