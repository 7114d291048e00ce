//! From a fault and what else the server said to a finding: its name, cause and remedy.

use std::io;
use std::time::Duration;

use super::check::Trial;
use super::evidence::{Admission, Evidence};
use super::fault::{Failed, Fault, Owner, Step};
use super::finding::{Finding, name};
use super::portmap::Registered;
use super::status::{
    ACCES, AUTH_TOOWEAK, BADHANDLE, DELAY, DQUOT, GRACE, INVAL, MINOR_VERS_MISMATCH, NOENT, NOSPC,
    NOTDIR, NOTSUPP, PERM, ROFS, SERVERFAULT, STALE, SYMLINK, Status, WRONGSEC,
};
use super::words;

/// What a fault comes down to.
struct Verdict {
    name: &'static str,
    cause: &'static str,
    fix: String,
    /// What else was seen that led to it.
    also: Option<String>,
}

fn verdict(name: &'static str, cause: &'static str, fix: impl Into<String>) -> Verdict {
    Verdict { name, cause, fix: fix.into(), also: None }
}

impl Verdict {
    fn also(mut self, seen: Option<String>) -> Self {
        self.also = seen;
        self
    }
}

pub fn name(trial: &Trial, limit: Duration, failed: &Failed, evidence: &Evidence) -> Finding {
    let Verdict { name, cause, fix, also } = judge(trial, failed, evidence);
    let left = failed.left_behind.as_ref();
    let left = left.map(|file| format!("the probe file `{file}` may have been left behind"));
    let seen = [Some(words::saw(trial, limit, failed)), also, left];
    let saw = seen.into_iter().flatten().collect::<Vec<_>>().join("; ");
    Finding { name, step: failed.step.as_str(), saw, cause, fix }
}

fn judge(trial: &Trial, failed: &Failed, evidence: &Evidence) -> Verdict {
    match &failed.fault {
        Fault::Unconnected { kind: io::ErrorKind::Unsupported, .. } => not_tried(),
        Fault::Unconnected { .. } | Fault::MountPortUnknown if failed.step.is_mount() => {
            mount_port(trial, evidence)
        }
        Fault::Unconnected { kind, .. } => unconnected(*kind),
        Fault::MountPortUnknown => mount_port(trial, evidence),
        Fault::Closed(_) => closed(trial, failed.step, evidence),
        Fault::Silent => silent(),
        Fault::Garbled(_) | Fault::Rejected(_) | Fault::OtherBytes => not_nfs(),
        Fault::OtherService if failed.step.is_mount() => mount_port(trial, evidence),
        Fault::OtherService => not_nfs(),
        Fault::Mismatch { .. } => version_not_served(trial),
        Fault::Unauthenticated(AUTH_TOOWEAK) => denied(trial, evidence),
        Fault::Unauthenticated(_) | Fault::Flavours(_) => kerberos_required(),
        Fault::Status(status) => refused(trial, failed.step, *status, evidence),
        Fault::NotThere { reached, beside, .. } => not_there(trial, reached, beside, evidence),
        Fault::NotAFolder => no_such_export(trial, evidence),
        Fault::Unreadable => not_readable(trial),
        Fault::WrongOwner { is, expected } => owner_mismatch(is, *expected),
        Fault::NoLockServices(_) => statd_missing(),
    }
}

fn refused(trial: &Trial, step: Step, status: Status, evidence: &Evidence) -> Verdict {
    let made = !matches!(
        step,
        Step::Mount | Step::Introduce | Step::LookUp | Step::Attributes | Step::Access
    );
    match status.code {
        MINOR_VERS_MISMATCH => minor_not_served(trial, evidence),
        WRONGSEC => kerberos_required(),
        DELAY | GRACE => busy(),
        ACCES | PERM if made => not_writable(trial),
        ACCES | PERM if step == Step::Mount && is_not_exported(trial, evidence) => {
            no_such_export(trial, evidence)
        }
        ACCES | PERM => denied(trial, evidence),
        ROFS => read_only(trial),
        NOSPC | DQUOT => no_space(),
        NOENT | NOTDIR | SYMLINK if !made => no_such_export(trial, evidence),
        NOTSUPP | SERVERFAULT | STALE | BADHANDLE => no_file_handles(trial),
        INVAL if step == Step::Mount => no_file_handles(trial),
        _ => server_error(),
    }
}

fn unconnected(kind: io::ErrorKind) -> Verdict {
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

fn not_tried() -> Verdict {
    verdict(
        name::NOT_TRIED,
        "Nothing is known of the share: the place to try it from is not usable.",
        "start the container, or look at its log: `docker ps -a`, `docker logs NAME`",
    )
}

fn closed(trial: &Trial, step: Step, evidence: &Evidence) -> Verdict {
    let left_out = evidence.admission(&trial.path) == Admission::LeftOut;
    match step {
        Step::GreetMount => mount_port(trial, evidence),
        _ if trial.tunnelled && (left_out || step != Step::Greet) => left_out_by(trial, evidence),
        _ if trial.tunnelled => verdict(
            name::HANGS_UP,
            "A tunnel takes every connection, and closes it when nothing listens at its far end.",
            "start the NFS server where the tunnel ends, on the port that the tunnel leads to",
        ),
        _ => verdict(
            name::HANGS_UP,
            "Something takes the connection and hangs up: a proxy or a published port with nothing \
             behind it, or a server that rejects this client.",
            "see that the server runs and takes connections from the cluster's network",
        ),
    }
}

fn silent() -> Verdict {
    verdict(
        name::SILENT,
        "The connection stands, and the server keeps silent: it hangs (a disk that does not answer, \
         a server that is starting), or a firewall drops what follows.",
        "look at the server's log; restart it if it hangs",
    )
}

fn not_nfs() -> Verdict {
    verdict(
        name::NOT_NFS,
        "Whoever answers there does not speak NFS as the standards have it.",
        "check address and port: another service listens there",
    )
}

fn version_not_served(trial: &Trial) -> Verdict {
    if trial.version == crate::topology::NfsVersion::V3 {
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

fn minor_not_served(trial: &Trial, evidence: &Evidence) -> Verdict {
    let served: Vec<String> = evidence.minors.iter().map(|minor| format!("4.{minor}")).collect();
    let newest = served.last().cloned().unwrap_or_else(|| "3".to_owned());
    let also = (!served.is_empty()).then(|| format!("it serves {}", served.join(", ")));
    verdict(
        name::V4_NOT_SERVED,
        "The server speaks version 4, but not this minor version of it.",
        format!("write `nfs: {{ version: {newest} }}` instead of {}", trial.version),
    )
    .also(also)
}

fn kerberos_required() -> Verdict {
    verdict(
        name::KERBEROS_REQUIRED,
        "The export does not take user numbers as they are (sec=sys), but wants Kerberos.",
        "allow `sec=sys` in the export",
    )
}

/// The mount service is not where it should be, while NFS answers.
fn mount_port(trial: &Trial, evidence: &Evidence) -> Verdict {
    const MOVES: &str = "mountd takes another port each time it starts, unless it is given one.";
    let keep = "give mountd a fixed port (`[mountd] port=` in /etc/nfs.conf, \
                `nfs.server.mount.port` on macOS)";
    match evidence.mount {
        Some(Registered { tcp: Some(now), .. }) if trial.mount_port != Some(now) => verdict(
            name::MOUNT_PORT_MOVES,
            MOVES,
            format!("{keep} and write it as `nfs.mountPort`; forward that one"),
        )
        .also(Some(format!("the port mapper says that it is on TCP port {now} now"))),
        Some(Registered { tcp: Some(_), .. }) => verdict(
            name::NOTHING_LISTENS,
            "The mount service is registered on this very port, which does not reach as far as \
             here: it is not forwarded, or a firewall refuses it.",
            "forward the mount port over TCP, or open it in the firewall",
        ),
        Some(Registered { udp: Some(udp), .. }) => verdict(
            name::UDP_ONLY_PORT_FORWARDED,
            "mountd's ports for UDP and TCP are different ones, and only TCP crosses a tunnel.",
            "give mountd a fixed TCP port, forward that one, and mount with `mountproto=tcp`",
        )
        .also(Some(format!("the port mapper knows it over UDP only, on port {udp}"))),
        Some(_) => verdict(
            name::NOTHING_LISTENS,
            "The server runs no mount service, which version 3 needs.",
            "start mountd, or write `nfs: { version: 4.2 }`",
        )
        .also(Some("the port mapper knows of no mount service".to_owned())),
        None => verdict(
            name::MOUNT_PORT_MOVES,
            "NFS answers, and the mount service does not: mountd takes another port each time it \
             starts unless it is given one, and its TCP port is not its UDP port.",
            format!("{keep}, write it as `nfs.mountPort`, and forward its TCP port"),
        ),
    }
}

fn is_not_exported(trial: &Trial, evidence: &Evidence) -> bool {
    evidence.exports.is_some() && evidence.export_of(&trial.path).is_none()
}

/// Version 4 has one tree. A server may hide from a client what it does not let it use.
fn not_there(trial: &Trial, reached: &str, beside: &[String], evidence: &Evidence) -> Verdict {
    let hidden = match evidence.export_of(&trial.path) {
        // Inside an export nothing is hidden.
        Some(export) => {
            reached.trim_end_matches('/').len() < export.path.trim_end_matches('/').len()
        }
        None => evidence.exports.is_none() && beside.is_empty(),
    };
    if hidden { denied(trial, evidence) } else { no_such_export(trial, evidence) }
}

fn no_such_export(trial: &Trial, evidence: &Evidence) -> Verdict {
    let exports = evidence.exports.iter().flatten();
    let paths: Vec<&str> = exports.map(|export| export.path.as_str()).collect();
    verdict(
        name::NO_SUCH_EXPORT,
        "The server exports no folder under this path. Over version 4 the path is the one in the \
         server's own tree, which may begin elsewhere than on its disk.",
        format!("export `{}`, or write the path as the server shows it", trial.path),
    )
    .also(words::listed(&paths).map(|paths| format!("it exports {paths}")))
}

/// The server knows the export and does not let this client have it.
fn denied(trial: &Trial, evidence: &Evidence) -> Verdict {
    let low = evidence.from_low_port();
    match evidence.admission(&trial.path) {
        Admission::LeftOut => left_out_by(trial, evidence),
        Admission::Admitted if low => verdict(
            name::NO_FILE_HANDLES,
            "The export admits this client and its port, and the server refuses all the same, as \
             Linux does where the file system has no file handles (overlay, FUSE).",
            "export a folder on ext4, xfs, btrfs or zfs; the server's log has its reason",
        ),
        Admission::Admitted => verdict(
            name::UNPRIVILEGED_PORT_REFUSED,
            "The export admits this client, but wants requests from ports below 1024, and a tunnel \
             or a program without root has none.",
            ALLOW_HIGH_PORTS,
        )
        .also(clients(trial, evidence)),
        Admission::Unclear if trial.tunnelled || low => left_out_by(trial, evidence),
        Admission::Unclear => verdict(
            name::UNPRIVILEGED_PORT_REFUSED,
            "The server refuses this client: it wants requests from ports below 1024, which only \
             root has, or the export leaves the client out; its answer is the same for both.",
            format!("{ALLOW_HIGH_PORTS}; and see that the export names this client"),
        )
        .also(clients(trial, evidence)),
    }
}

const ALLOW_HIGH_PORTS: &str = "let the server take ports above 1023: `insecure` in /etc/exports on \
    Linux, `nfs.server.mount.require_resv_port = 0` in /etc/nfs.conf on macOS, \
    `PrivilegedPort = false` in Ganesha";

fn left_out_by(trial: &Trial, evidence: &Evidence) -> Verdict {
    let path = &trial.path;
    let certain = evidence.admission(path) == Admission::LeftOut;
    let found = match (trial.tunnelled, certain) {
        (true, true) => verdict(
            name::EXPORT_EXCLUDES_TUNNEL,
            "What comes through a tunnel comes from 127.0.0.1 for the server, and the export does \
             not name that.",
            format!("export `{path}` to 127.0.0.1, with ports above 1023 allowed"),
        ),
        (true, false) => verdict(
            name::EXPORT_EXCLUDES_TUNNEL,
            "What comes through a tunnel comes from 127.0.0.1 and a port above 1023 for the server: \
             its export leaves that address out, or it takes ports below 1024 only.",
            format!("export `{path}` to 127.0.0.1; {ALLOW_HIGH_PORTS}"),
        ),
        (false, true) => verdict(
            name::EXPORT_EXCLUDES_CLIENT,
            "The export does not name the address that the cluster comes from.",
            format!("add the cluster's network to the clients of `{path}`"),
        ),
        (false, false) => verdict(
            name::EXPORT_EXCLUDES_CLIENT,
            "The server does not let this client have the export: its list of clients leaves the \
             client out.",
            format!("add the cluster's network to the clients of `{path}`"),
        ),
    };
    found.also(clients(trial, evidence))
}

/// To whom the export goes, as the server says it.
fn clients(trial: &Trial, evidence: &Evidence) -> Option<String> {
    let export = evidence.export_of(&trial.path)?;
    let from =
        evidence.source.map(|source| format!(", and this is {}", source.ip().to_canonical()));
    let clients = words::listed(&export.clients).unwrap_or_else(|| "everybody".to_owned());
    let path = export.path.escape_debug();
    Some(format!("it exports `{path}` to {clients}{}", from.unwrap_or_default()))
}

fn no_file_handles(trial: &Trial) -> Verdict {
    verdict(
        name::NO_FILE_HANDLES,
        "The file system under the path has no file handles that outlast a restart, which NFS needs: \
         overlay (a container's own files) and FUSE (many desktop file shares) have none.",
        format!("put `{}` on ext4, xfs, btrfs or zfs, or use a Docker volume", trial.path),
    )
}

fn read_only(trial: &Trial) -> Verdict {
    verdict(
        name::READ_ONLY,
        "The export, or the file system below it, is read-only.",
        format!("export `{}` read-write (`rw`), or write `access: ro`", trial.path),
    )
}

fn not_writable(trial: &Trial) -> Verdict {
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

fn not_readable(trial: &Trial) -> Verdict {
    let (user, group) = trial.user;
    verdict(
        name::FOLDER_NOT_READABLE,
        "The export can be used, but the folder's permissions do not let this user read it; a server \
         that squashes users takes root for nobody.",
        format!("let {user}:{group} read `{}`", trial.path),
    )
}

fn owner_mismatch(is: &Owner, (user, group): (u32, u32)) -> Verdict {
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

fn no_space() -> Verdict {
    verdict(
        name::NO_SPACE,
        "The server's disk is full, or the user's quota is.",
        "make room on the server",
    )
}

fn busy() -> Verdict {
    verdict(
        name::BUSY,
        "After a start a server first waits for its former clients, up to 90 s, and opens no files \
         for new ones.",
        "try again in a minute",
    )
}

fn server_error() -> Verdict {
    verdict(
        name::SERVER_ERROR,
        "The server gives no reason that points further.",
        "its log may: `journalctl -u nfs-server`, or the log of its container",
    )
}

fn statd_missing() -> Verdict {
    verdict(
        name::STATD_MISSING,
        "Over version 3 locks go through services of their own, lockd and statd, on the server and \
         on every node, found by the port mapper; they cross no tunnel.",
        "mount with `nolock`, or use version 4, which locks by itself",
    )
}
