//! From a fault and what else the server said to a finding: its name, cause and remedy.

use std::io;
use std::time::Duration;

use super::check::Trial;
use super::evidence::{Admission, Evidence};
use super::fault::{Failed, Fault, Step};
use super::finding::Finding;
use super::portmap::Registered;
use super::status::{
    ACCES, AUTH_BADCRED, AUTH_TOOWEAK, BADHANDLE, DELAY, DQUOT, GRACE, INVAL, MINOR_VERS_MISMATCH,
    NOENT, NOSPC, NOTDIR, NOTSUPP, PERM, ROFS, SERVERFAULT, STALE, SYMLINK, Status, WRONGSEC,
};
use super::verdict::{
    Verdict, busy, kerberos_required, no_file_handles, no_space, not_nfs, not_readable, not_tried,
    not_writable, owner_mismatch, read_only, server_error, silent, statd_missing, unconnected,
    verdict, version_not_served,
};
use super::words;
use crate::finding::name;

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
        Fault::OtherService if failed.step.is_mount() => mount_port(trial, evidence),
        Fault::Garbled(_) | Fault::Rejected(_) | Fault::OtherBytes | Fault::OtherService => {
            not_nfs()
        }
        Fault::Mismatch { .. } => version_not_served(trial),
        Fault::Unauthenticated(AUTH_BADCRED | AUTH_TOOWEAK) => denied(trial, evidence),
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
        ACCES | PERM if evidence.export_opens => no_such_export(trial, evidence),
        ACCES | PERM => denied(trial, evidence),
        ROFS => read_only(trial),
        NOSPC | DQUOT => no_space(),
        NOENT | NOTDIR | SYMLINK if !made => no_such_export(trial, evidence),
        NOTSUPP | SERVERFAULT | STALE | BADHANDLE if step != Step::Introduce => {
            no_file_handles(trial)
        }
        INVAL if step == Step::Mount => no_file_handles(trial),
        _ => server_error(),
    }
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

fn minor_not_served(trial: &Trial, evidence: &Evidence) -> Verdict {
    let served: Vec<String> = evidence.minors.iter().map(|minor| format!("4.{minor}")).collect();
    let newest = served.last().cloned().unwrap_or_else(|| "3".to_owned());
    let also = (!served.is_empty()).then(|| format!("it serves {}", served.join(", ")));
    verdict(
        name::V4_NOT_SERVED,
        "The server supports version 4, but not this minor version of it.",
        format!("write `nfs: {{ version: {newest} }}` instead of {}", trial.version),
    )
    .also(also)
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

/// Version 4 has one tree. A server may hide from a client what it does not let it use.
fn not_there(trial: &Trial, reached: &str, beside: &[String], evidence: &Evidence) -> Verdict {
    let hidden = match evidence.export_of(&trial.path) {
        // Inside an export nothing is hidden.
        Some(export) => {
            reached.trim_end_matches('/').len() < export.path.trim_end_matches('/').len()
        }
        None => beside.is_empty(),
    };
    if hidden { denied(trial, evidence) } else { no_such_export(trial, evidence) }
}

fn no_such_export(trial: &Trial, evidence: &Evidence) -> Verdict {
    let exports = evidence.exports.iter().flatten();
    let paths: Vec<&str> = exports.map(|export| export.path.as_str()).collect();
    verdict(
        name::NO_SUCH_EXPORT,
        "The server exports no such folder, or does not show it to this client. Over version 4 the \
         path is the one in the server's own tree, which may begin elsewhere than on its disk.",
        format!("export `{}`, or write the path as the server shows it", trial.path),
    )
    .also(words::listed(&paths).map(|paths| format!("it exports {paths}")))
}

/// The server knows the export and does not let this client have it.
fn denied(trial: &Trial, evidence: &Evidence) -> Verdict {
    let low = evidence.asks_from_low_port();
    let hidden = evidence.exports.is_some() && evidence.export_of(&trial.path).is_none();
    match evidence.admission(&trial.path) {
        _ if evidence.exports_nothing() => verdict(
            name::NO_FILE_HANDLES,
            "The server runs and exports nothing to anybody: none of its exports could be made, as \
             where the file system has no file handles (overlay, FUSE), or none is written.",
            format!(
                "see in the server's log what became of `{}`; put the folder on ext4, xfs, btrfs or \
                 zfs, or use a Docker volume",
                trial.path
            ),
        ),
        Admission::LeftOut => left_out_by(trial, evidence),
        Admission::Admitted if evidence.is_unknown_client => behind_nat(trial, evidence),
        _ if evidence.is_unknown_client => left_out_by(trial, evidence),
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
        Admission::Unclear if trial.tunnelled || low || hidden => left_out_by(trial, evidence),
        Admission::Unclear => verdict(
            name::UNPRIVILEGED_PORT_REFUSED,
            "The server refuses this client: it wants requests from ports below 1024, which only \
             root has, or the export leaves the client out; its answer is the same for both.",
            format!("{ALLOW_HIGH_PORTS}; and see that the export names this client"),
        )
        .also(clients(trial, evidence)),
    }
}

/// In none of the server's exports, though one names the address that this client has for itself.
fn behind_nat(trial: &Trial, evidence: &Evidence) -> Verdict {
    verdict(
        name::EXPORT_EXCLUDES_CLIENT,
        "The export names this address, but the server sees another one: something in between \
         translates addresses, as Docker does with what leaves its networks.",
        format!(
            "export `{}` to the address of the machine that the cluster runs on, which `ip route \
             get` on it shows behind `src`",
            trial.path
        ),
    )
    .also(clients(trial, evidence))
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
            name_the_cluster(path),
        ),
        (false, false) => verdict(
            name::EXPORT_EXCLUDES_CLIENT,
            "The server does not let this client have the path: it exports it to others only, or \
             not at all.",
            name_the_cluster(path),
        ),
    };
    found.also(clients(trial, evidence))
}

fn name_the_cluster(path: &str) -> String {
    format!(
        "add the cluster's network to the clients of `{path}`; a server on another machine sees \
         the address of the cluster's machine instead"
    )
}

/// To whom the export goes, as the server says it.
fn clients(trial: &Trial, evidence: &Evidence) -> Option<String> {
    let Some(export) = evidence.export_of(&trial.path) else {
        let shown: Vec<&str> =
            evidence.exports.as_ref()?.iter().map(|export| export.path.as_str()).collect();
        let shown = words::listed(&shown).unwrap_or_else(|| "nothing".to_owned());
        return Some(format!("to this client it exports {shown}"));
    };
    let from =
        evidence.source.map(|source| format!(", and this is {}", source.ip().to_canonical()));
    let clients = words::listed(&export.clients).unwrap_or_else(|| "everybody".to_owned());
    let path = export.path.escape_debug();
    Some(format!("it exports `{path}` to {clients}{}", from.unwrap_or_default()))
}
