//! What a trial found, for a person to read.

use std::fmt;

/// Why a share cannot be used as it is meant to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// As the troubleshooting page lists it.
    pub name: &'static str,
    /// What was being done: "looking the path up".
    pub step: &'static str,
    pub saw: String,
    pub cause: &'static str,
    /// What to do, as a hint says it.
    pub fix: String,
}

/// The remedy stands by itself, in `fix`.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: while {}, {}. {}", self.name, self.step, self.saw, self.cause)
    }
}

impl std::error::Error for Finding {}

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
        BUSY = "server-busy";
        EXPORT_EXCLUDES_CLIENT = "export-excludes-client";
        EXPORT_EXCLUDES_TUNNEL = "export-excludes-tunnel";
        FOLDER_NOT_READABLE = "folder-not-readable";
        FOLDER_NOT_WRITABLE = "folder-not-writable";
        HANGS_UP = "hangs-up";
        KERBEROS_REQUIRED = "kerberos-required";
        MOUNT_PORT_MOVES = "mount-port-moves";
        NO_FILE_HANDLES = "no-file-handles";
        NO_ROUTE = "no-route";
        NO_SPACE = "no-space";
        NO_SUCH_EXPORT = "no-such-export";
        NO_SUCH_HOST = "no-such-host";
        NOT_NFS = "not-nfs";
        NOT_TRIED = "not-tried";
        NOTHING_LISTENS = "nothing-listens";
        OWNER_MISMATCH = "owner-mismatch";
        READ_ONLY = "read-only";
        SERVER_ERROR = "server-error";
        SILENT = "silent";
        STATD_MISSING = "statd-missing";
        UDP_ONLY_PORT_FORWARDED = "udp-only-port-forwarded";
        UNPRIVILEGED_PORT_REFUSED = "unprivileged-port-refused";
        V3_NOT_SERVED = "v3-not-served";
        V4_NOT_SERVED = "v4-not-served";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_its_entry_on_the_troubleshooting_page() {
        let page = include_str!("../../../docs/troubleshooting.md");
        for name in name::ALL {
            assert!(page.contains(&format!("\n| **{name}** |")), "{name} has no entry");
        }
    }

    #[test]
    fn a_finding_reads_as_sentences() {
        let finding = Finding {
            name: name::SILENT,
            step: "looking the path up",
            saw: "no answer came within 5 s".to_owned(),
            cause: "The server hangs.",
            fix: "restart it".to_owned(),
        };
        assert_eq!(
            finding.to_string(),
            "silent: while looking the path up, no answer came within 5 s. The server hangs."
        );
    }
}
