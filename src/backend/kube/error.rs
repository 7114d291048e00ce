//! What the Kubernetes API refuses, sorted by what can be done about it.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use kube::core::Status;

use crate::causes::causes;

#[derive(Debug, thiserror::Error)]
pub enum KubeError {
    #[error("the kubeconfig cannot be used")]
    Kubeconfig(#[from] kube::config::KubeconfigError),
    #[error(
        "`{0}` is not a valid proxy: write `http://HOST:PORT`, `https://HOST:PORT` or `socks5://HOST:PORT`"
    )]
    Proxy(String),
    #[error("the cluster at {server} does not answer")]
    Unreachable { server: String, source: Box<dyn Error + Send + Sync> },
    #[error("the cluster at {server} did not answer within {} s", .after.as_secs())]
    Stuck { server: String, after: Duration },
    #[error("{0}")]
    NotFound(String),
    #[error("{}", conflict_text(.message, .conflicts))]
    Conflict { message: String, conflicts: Vec<Conflict> },
    /// Not now: it is busy, or could not ask a webhook. The same request may be accepted later.
    #[error("{0}")]
    Later(String),
    /// Refused for good: invalid, forbidden, denied by a webhook.
    #[error("{0}")]
    Refused(String),
    #[error("the cluster's answer makes no sense")]
    Answer(#[source] kube::Error),
}

/// A field that another manager owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    pub manager: String,
    pub field: String,
}

impl KubeError {
    pub(super) fn from_call(server: &str, error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::from_status(*status),
            kube::Error::Service(why) => Self::unreachable(server, why),
            kube::Error::HyperError(why) => Self::unreachable(server, why.into()),
            kube::Error::ReadEvents(why) => Self::unreachable(server, why.into()),
            other => Self::Answer(other),
        }
    }

    fn unreachable(server: &str, source: Box<dyn Error + Send + Sync>) -> Self {
        Self::Unreachable { server: server.to_owned(), source }
    }

    fn from_status(status: Status) -> Self {
        if status.message.contains("failed calling webhook") || LATER.contains(&status.code) {
            return Self::Later(status.message);
        }
        // A path that is not served at all is answered in plain text, without a reason.
        if status.is_not_found() || status.code == 404 {
            return Self::NotFound(status.message);
        }
        if status.is_conflict() {
            let causes = status.details.map(|details| details.causes).unwrap_or_default();
            let conflicts = causes
                .into_iter()
                .filter(|cause| cause.reason == "FieldManagerConflict")
                .map(|cause| Conflict {
                    manager: cause.message.split('"').nth(1).unwrap_or("somebody").to_owned(),
                    field: cause.field.trim_start_matches('.').to_owned(),
                })
                .collect();
            return Self::Conflict { message: status.message, conflicts };
        }
        Self::Refused(status.message)
    }

    /// Whether the same call may well succeed in a moment.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Stuck { .. } | Self::Later(_) => true,
            Self::Refused(message) => PASSING.iter().any(|passing| message.contains(passing)),
            Self::Conflict { conflicts, .. } => conflicts.is_empty(),
            Self::Kubeconfig(_) | Self::Proxy(_) | Self::NotFound(_) | Self::Answer(_) => false,
        }
    }

    /// The error and what lies behind it, in one line.
    pub fn full(&self) -> String {
        causes(self).join(": ")
    }
}

/// Too many requests, and what gateways and servers answer that have no time.
const LATER: [u16; 4] = [429, 502, 503, 504];

/// What an API server says, under other codes, while it is starting or electing a leader.
const PASSING: &[&str] = &[
    "etcdserver: leader changed",
    "etcdserver: request timed out",
    "not yet ready to handle request",
    "apiserver is shutting down",
    "is forbidden: error looking up service account",
    "because it is being terminated",
];

fn conflict_text(message: &str, conflicts: &[Conflict]) -> String {
    if conflicts.is_empty() {
        return message.to_owned();
    }
    let fields: Vec<String> = conflicts.iter().map(ToString::to_string).collect();
    fields.join("; ")
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` belongs to `{}`", self.field, self.manager)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn error(status: serde_json::Value) -> KubeError {
        let status: Status = serde_json::from_value(status).expect("a status");
        KubeError::from_call("https://x", kube::Error::Api(Box::new(status)))
    }

    #[test]
    fn a_conflict_names_the_manager_and_the_field() {
        let error = error(json!({
            "code": 409, "reason": "Conflict", "message": "Apply failed with 1 conflict",
            "details": {"causes": [{
                "reason": "FieldManagerConflict",
                "message": "conflict with \"kubectl-edit\" using apps/v1",
                "field": ".spec.replicas",
            }]},
        }));
        assert_eq!(error.to_string(), "`spec.replicas` belongs to `kubectl-edit`");
        assert!(!error.is_passing());
    }

    #[test]
    fn a_webhook_that_cannot_be_called_passes_and_one_that_denies_does_not() {
        let calling = "Internal error occurred: failed calling webhook \"x\": connection refused";
        assert!(error(json!({"code": 500, "message": calling})).is_passing());
        let denied = "admission webhook \"x\" denied the request: overlaps";
        assert!(
            !error(json!({"code": 403, "reason": "Forbidden", "message": denied})).is_passing()
        );
    }
    #[test]
    fn a_busy_server_passes_whatever_it_says() {
        let busy = "Too many requests, please try again later.";
        assert!(error(json!({"code": 429, "message": busy})).is_passing());
        assert!(error(json!({"code": 503, "message": "no endpoints available"})).is_passing());
        assert!(!error(json!({"code": 422, "message": "is invalid"})).is_passing());
    }
}
