//! Findings that need no more than the fault to be known: cause and remedy of each.

use std::io;

use crate::topology::NfsVersion;

use super::check::Trial;
use super::fault::Owner;
use crate::finding::name;

/// What a fault comes down to.
pub struct Verdict {
    pub name: &'static str,
    pub cause: &'static str,
    pub fix: String,
    /// What else was seen that led to it.
    pub also: Option<String>,
}

pub fn verdict(name: &'static str, cause: &'static str, fix: impl Into<String>) -> Verdict {
    Verdict { name, cause, fix: fix.into(), also: None }
}

impl Verdict {
    pub fn also(mut self, seen: Option<String>) -> Self {
        self.also = seen;
        self
    }
}

pub fn unconnected(kind: io::ErrorKind) -> Verdict {
    match kind {
        io::ErrorKind::ConnectionRefused => verdict(
            name::NOTHING_LISTENS,
            "The machine answers, and nothing listens on that port, or its firewall refuses.",
            "start the NFS server; `nfs.port` names another port than 2049",
        ),
        io::ErrorKind::NotFound => verdict(
            name::NO_SUCH_HOST,
            "No name server that is asked from there knows the name.",
            "write the server's address, or a name that the cluster's nodes resolve",
        ),
        _ => verdict(
            name::NO_ROUTE,
            "There is no way to the server, or a firewall on it drops what comes.",
            "check the address, and that the cluster's nodes may reach it: routes, VPN, firewall",
        ),
    }
}

pub fn not_tried() -> Verdict {
    verdict(
        name::NOT_TRIED,
        "Nothing is known of the share: the place to try it from is not usable.",
        "start the container, or look at its log: `docker ps -a`, `docker logs NAME`",
    )
}

pub fn silent() -> Verdict {
    verdict(
        name::SILENT,
        "The connection stands, and the server keeps silent: it hangs (a disk that does not answer, \
         a server that is starting), or a firewall drops what follows.",
        "look at the server's log; restart it if it hangs",
    )
}

pub fn not_nfs() -> Verdict {
    verdict(
        name::NOT_NFS,
        "Whoever answers there does not speak NFS as the standards have it.",
        "check address and port: another service listens there",
    )
}

pub fn version_not_served(trial: &Trial) -> Verdict {
    if trial.version == NfsVersion::V3 {
        verdict(
            name::V3_NOT_SERVED,
            "The server has version 3 switched off, or never had it.",
            "write `nfs: { version: 4.2 }`, or switch version 3 on in the server",
        )
    } else {
        verdict(
            name::V4_NOT_SERVED,
            "The server has no version 4, as macOS has none, or it is switched off.",
            "write `nfs: { version: 3 }`, or switch version 4 on in the server",
        )
    }
}

pub fn kerberos_required() -> Verdict {
    verdict(
        name::KERBEROS_REQUIRED,
        "The export does not take user numbers as they are (sec=sys), but wants Kerberos.",
        "allow `sec=sys` in the export",
    )
}

pub fn no_file_handles(trial: &Trial) -> Verdict {
    verdict(
        name::NO_FILE_HANDLES,
        "The file system under the path has no file handles that outlast a restart, which NFS needs: \
         overlay (a container's own files) and FUSE (many desktop file shares) have none.",
        format!("put `{}` on ext4, xfs, btrfs or zfs, or use a Docker volume", trial.path),
    )
}

pub fn read_only(trial: &Trial) -> Verdict {
    verdict(
        name::READ_ONLY,
        "The export, or the file system below it, is read-only.",
        format!("export `{}` read-write (`rw`), or write `access: ro`", trial.path),
    )
}

pub fn not_writable(trial: &Trial) -> Verdict {
    let (user, group) = trial.user;
    verdict(
        name::FOLDER_NOT_WRITABLE,
        "The export can be used, but the folder's permissions do not let this user write; a server \
         that squashes users takes root for nobody.",
        format!(
            "let {user}:{group} write there, or squash every user to the folder's owner \
             (`all_squash,anonuid=…,anongid=…`, `-mapall=` on macOS)"
        ),
    )
}

pub fn not_readable(trial: &Trial) -> Verdict {
    let (user, group) = trial.user;
    verdict(
        name::FOLDER_NOT_READABLE,
        "The export can be used, but the folder's permissions do not let this user read it; a server \
         that squashes users takes root for nobody.",
        format!("let {user}:{group} read `{}`", trial.path),
    )
}

pub fn owner_mismatch(is: &Owner, (user, group): (u32, u32)) -> Verdict {
    let squash = format!("squash to {user}:{group}, or keep users as they are (`no_root_squash`)");
    if is.ids().is_some() {
        verdict(
            name::OWNER_MISMATCH,
            "The server makes other users of those who write.",
            format!("{squash}; `owner:` of the share says what is expected"),
        )
    } else {
        verdict(
            name::OWNER_MISMATCH,
            "The server gives owners as names, which clients here have no list of and take for \
             nobody.",
            "let the server give numbers (`Only_Numeric_Owners = true` in Ganesha, \
             `nfs4_disable_idmapping=Y` of Linux' nfsd), or use version 3",
        )
    }
}

pub fn no_space() -> Verdict {
    verdict(
        name::NO_SPACE,
        "The server's disk is full, or the user's quota is.",
        "make room on the server",
    )
}

pub fn busy() -> Verdict {
    verdict(
        name::BUSY,
        "After a start a server first waits for its former clients, up to 90 s, and opens no files \
         for new ones.",
        "try again in a minute",
    )
}

pub fn server_error() -> Verdict {
    verdict(
        name::SERVER_ERROR,
        "The server gives no reason that points further.",
        "its log may: `journalctl -u nfs-server`, or the log of its container",
    )
}

pub fn statd_missing() -> Verdict {
    verdict(
        name::STATD_MISSING,
        "Over version 3 locks go through services of their own, lockd and statd, on the server and \
         on every node, found by the port mapper; they cross no tunnel.",
        "mount with `nolock`, or use version 4, which locks by itself",
    )
}
