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

/// The names under which findings are known.
pub mod name {
    pub const BUSY: &str = "server-busy";
    pub const EXPORT_EXCLUDES_CLIENT: &str = "export-excludes-client";
    pub const EXPORT_EXCLUDES_TUNNEL: &str = "export-excludes-tunnel";
    pub const FOLDER_NOT_READABLE: &str = "folder-not-readable";
    pub const FOLDER_NOT_WRITABLE: &str = "folder-not-writable";
    pub const HANGS_UP: &str = "hangs-up";
    pub const KERBEROS_REQUIRED: &str = "kerberos-required";
    pub const MOUNT_PORT_MOVES: &str = "mount-port-moves";
    pub const NO_FILE_HANDLES: &str = "no-file-handles";
    pub const NO_ROUTE: &str = "no-route";
    pub const NO_SPACE: &str = "no-space";
    pub const NO_SUCH_EXPORT: &str = "no-such-export";
    pub const NO_SUCH_HOST: &str = "no-such-host";
    pub const NOT_NFS: &str = "not-nfs";
    pub const NOT_TRIED: &str = "not-tried";
    pub const NOTHING_LISTENS: &str = "nothing-listens";
    pub const OWNER_MISMATCH: &str = "owner-mismatch";
    pub const READ_ONLY: &str = "read-only";
    pub const SERVER_ERROR: &str = "server-error";
    pub const SILENT: &str = "silent";
    pub const STATD_MISSING: &str = "statd-missing";
    pub const UDP_ONLY_PORT_FORWARDED: &str = "udp-only-port-forwarded";
    pub const UNPRIVILEGED_PORT_REFUSED: &str = "unprivileged-port-refused";
    pub const V3_NOT_SERVED: &str = "v3-not-served";
    pub const V4_NOT_SERVED: &str = "v4-not-served";
}
