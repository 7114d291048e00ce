//! What was seen, as the middle of a sentence: "while looking the path up, …".

use std::io;
use std::time::Duration;

use super::check::Trial;
use super::fault::{Failed, Fault, Step};
use super::status::{auth_stat, flavour};

pub fn saw(trial: &Trial, limit: Duration, failed: &Failed) -> String {
    let step = failed.step;
    match &failed.fault {
        Fault::Unconnected { kind, words } => unconnected(trial, limit, step, *kind, words),
        Fault::Silent => format!("no answer came within {}", seconds(limit)),
        Fault::Closed(how) => format!("the connection was closed {how}"),
        Fault::Garbled(what) => format!("the answer was {what}"),
        Fault::Mismatch { low, high } => {
            let service = if step.is_mount() { "the mount service" } else { "the server" };
            format!("{service} said that it supports {}", versions(*low, *high))
        }
        Fault::OtherService => "an RPC service answered that it is another one".to_owned(),
        Fault::Unauthenticated(code) => format!("the server answered {}", auth_stat(*code)),
        Fault::Rejected(why) => format!("the server answered that {why}"),
        Fault::Status(status) => format!("the server answered {status}"),
        Fault::NotThere { status, reached, beside } => {
            let reached = reached.escape_debug();
            match listed(beside) {
                None => {
                    format!("the server answered {status} in `{reached}`, and shows nothing there")
                }
                Some(names) => {
                    format!("the server answered {status} in `{reached}`, where it shows {names}")
                }
            }
        }
        Fault::NotAFolder => format!("`{}` turned out to be no folder", trial.path.escape_debug()),
        Fault::Flavours(flavours) => {
            let wanted: Vec<String> = flavours
                .iter()
                .take(SHOWN)
                .map(|number| format!("sec={}", flavour(*number)))
                .collect();
            format!("the server asked for {} instead of sec=sys", wanted.join(" or "))
        }
        Fault::OtherBytes => "other bytes came back than were written".to_owned(),
        Fault::Unreadable => {
            let (user, group) = trial.user;
            format!("the server granted user {user}:{group} no reading or listing")
        }
        Fault::WrongOwner { is, expected: (user, group) } => {
            let (by, of) = trial.user;
            format!("a file written by {by}:{of} belongs to {is}, not to {user}:{group}")
        }
        Fault::NoLockServices(missing) => missing.clone(),
        Fault::MountPortUnknown => {
            "no mount port was given, and no port mapper told one on port 111".to_owned()
        }
    }
}

fn unconnected(
    trial: &Trial,
    limit: Duration,
    step: Step,
    kind: io::ErrorKind,
    words: &str,
) -> String {
    let port = match (step, trial.mount_port) {
        (Step::ConnectMount, Some(port)) => format!("port {port}"),
        (Step::ConnectMount, None) => "the port that the port mapper told".to_owned(),
        _ => format!("port {}", trial.port),
    };
    match kind {
        io::ErrorKind::ConnectionRefused => format!("{port} refused the connection"),
        io::ErrorKind::TimedOut => {
            format!("nothing came back from {port} within {}", seconds(limit))
        }
        io::ErrorKind::NotFound => format!("the server's name was not found ({words})"),
        io::ErrorKind::Unsupported => format!("no connection could be tried: {words}"),
        _ => format!("{port} could not be reached ({words})"),
    }
}

/// More than these help nobody.
const SHOWN: usize = 8;

/// Names in backticks, as many as a person reads.
pub fn listed<S: AsRef<str>>(names: &[S]) -> Option<String> {
    if names.is_empty() {
        return None;
    }
    let shown: Vec<String> = names
        .iter()
        .take(SHOWN)
        .map(|name| format!("`{}`", name.as_ref().escape_debug()))
        .collect();
    let more = if names.len() > SHOWN { " and more" } else { "" };
    Some(format!("{}{more}", shown.join(", ")))
}

fn versions(low: u32, high: u32) -> String {
    if low == high { format!("version {low} only") } else { format!("versions {low} to {high}") }
}

fn seconds(limit: Duration) -> String {
    let tenths = limit.as_millis().div_ceil(100);
    if tenths.is_multiple_of(10) {
        format!("{} s", tenths / 10)
    } else {
        format!("{}.{} s", tenths / 10, tenths % 10)
    }
}
