//! Names, as the programs that they are given to allow them.

use std::fmt;
use std::str::FromStr;

use super::text::{Malformed, Text, text_type};

macro_rules! name_type {
    ($(#[$doc:meta])* $type:ident, $format:literal, $pattern:literal, $check:path) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $type(String);

        impl $type {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $type {
            type Err = Malformed;

            fn from_str(text: &str) -> Result<Self, Malformed> {
                $check(text)?;
                Ok(Self(text.to_owned()))
            }
        }

        impl Text for $type {
            const FORMAT: &'static str = $format;
            const PATTERN: &'static str = $pattern;
        }

        text_type!($type);
    };
}

name_type!(
    /// The topology's own name. Node names are built from it (`<name>-control-plane3`) and must fit a label's 63 characters.
    TopologyName, "topology-name", "^[a-z0-9]([a-z0-9-]{0,43}[a-z0-9])?$", topology_name
);
name_type!(
    /// A Kubernetes name of the strict kind: a DNS label (RFC 1123).
    Label, "dns-label", "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", label
);
name_type!(
    /// A Kubernetes name of the wide kind: a DNS subdomain (RFC 1123).
    Subdomain, "dns-subdomain", "^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$", subdomain
);
name_type!(
    /// A name of a Helm release, which begins the names of most of its objects.
    ReleaseName, "release-name", "^[a-z0-9]([a-z0-9-]{0,51}[a-z0-9])?$", release_name
);
name_type!(
    /// A name of a Docker container or network.
    DockerName, "docker-name", "^[a-zA-Z0-9][a-zA-Z0-9_.-]{1,62}$", docker_name
);
name_type!(
    /// A variable of the environment or of a template.
    VariableName, "variable-name", "^[A-Za-z_][A-Za-z0-9_]*$", variable_name
);
name_type!(
    /// The id of a resource, such as `share/docs`, or a shorthand of one.
    NeedId, "resource-id", "^[a-z]+/.+$", need_id
);

name_type!(
    /// A host by name or address.
    HostName, "host-name", "^[A-Za-z0-9:]([A-Za-z0-9.:-]*[A-Za-z0-9:])?$", host_name
);
name_type!(
    /// A host as ssh's own configuration or command line names it: `[user@]host`.
    SshHost, "ssh-host", r"^[A-Za-z0-9_\[][A-Za-z0-9_.:@%\[\]-]*$", ssh_host
);
name_type!(
    /// An absolute path inside a container.
    ContainerPath, "container-path", r"^/[^:\x00-\x1f]*$", container_path
);

impl Label {
    /// The namespace that Kubernetes takes when told none.
    pub fn default_namespace() -> Self {
        Self("default".to_owned())
    }
}

/// The kinds of resource that an id can begin with.
pub const RESOURCE_KINDS: [&str; 15] = [
    "network",
    "cluster",
    "node",
    "image",
    "metallb",
    "pool",
    "object",
    "gateway",
    "publisher",
    "port",
    "server",
    "share",
    "manifest",
    "tunnel",
    "connector",
];

const TOPOLOGY_NAME_LENGTH: usize = 45;
const LABEL_LENGTH: usize = 63;
/// Helm's own limit.
const RELEASE_NAME_LENGTH: usize = 53;
const SUBDOMAIN_LENGTH: usize = 253;

fn topology_name(text: &str) -> Result<(), Malformed> {
    dns(text, false)?;
    at_most(text, TOPOLOGY_NAME_LENGTH, "because node names are built from it")
}

fn label(text: &str) -> Result<(), Malformed> {
    dns(text, false)?;
    at_most(text, LABEL_LENGTH, "as a DNS label")
}

fn release_name(text: &str) -> Result<(), Malformed> {
    dns(text, false)?;
    at_most(text, RELEASE_NAME_LENGTH, "because names of objects are built from it")
}

fn subdomain(text: &str) -> Result<(), Malformed> {
    dns(text, true)?;
    if text.split('.').any(|part| part.is_empty() || part.starts_with('-') || part.ends_with('-')) {
        return Err(Malformed::new(
            "every part between dots must begin and end with a letter or a digit",
        ));
    }
    at_most(text, SUBDOMAIN_LENGTH, "as a DNS subdomain")
}

fn docker_name(text: &str) -> Result<(), Malformed> {
    let mut chars = text.chars();
    match chars.next() {
        None => return Err(Malformed::new("a name cannot be empty")),
        Some(first) if !first.is_ascii_alphanumeric() => {
            return Err(Malformed::new(format!(
                "a Docker name must begin with a letter or a digit, found {first:?}"
            )));
        }
        Some(_) => {}
    }
    if let Some(other) =
        chars.find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-')))
    {
        return Err(Malformed::new(format!(
            "a Docker name can only contain letters, digits, `_`, `.` and `-`, found {other:?}"
        )));
    }
    if text.len() < 2 {
        return Err(Malformed::new("a Docker name has at least two characters"));
    }
    at_most(text, LABEL_LENGTH, "because it is a host name too")
}

fn variable_name(text: &str) -> Result<(), Malformed> {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(Malformed::new("a variable's name cannot begin with a digit"));
    }
    if let Some(other) = text.chars().find(|c| !(c.is_ascii_alphanumeric() || *c == '_')) {
        return Err(Malformed::new(format!(
            "a variable's name can only contain letters, digits and `_`, found {other:?}"
        )));
    }
    if text.is_empty() { Err(Malformed::new("a name cannot be empty")) } else { Ok(()) }
}

fn need_id(text: &str) -> Result<(), Malformed> {
    let (kind, rest) = text.split_once('/').ok_or_else(|| {
        Malformed::instead(
            format!("`{text}` is not a valid id: the kind is missing"),
            format!("`KIND/{text}`, such as `share/{text}`"),
        )
    })?;
    if rest.is_empty() {
        return Err(Malformed::new(format!("the name after `{kind}/` is missing")));
    }
    if RESOURCE_KINDS.contains(&kind) {
        return Ok(());
    }
    Err(Malformed::instead(
        format!("unknown kind of resource `{kind}`"),
        super::nearest::or_all(kind, &RESOURCE_KINDS),
    ))
}

fn host_name(text: &str) -> Result<(), Malformed> {
    if let Some(other) =
        text.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '-')))
    {
        let right = text
            .split_once(":/")
            .map(|(host, path)| format!("`server: {host}` and `path: /{path}`"));
        let what = format!("a host's name or address cannot contain {other:?}");
        return Err(Malformed { what, instead: right });
    }
    let edge = |c: Option<char>| c.is_none_or(|c| matches!(c, '.' | '-'));
    if edge(text.chars().next()) || edge(text.chars().next_back()) {
        return Err(Malformed::instead(
            format!("`{text}` is not a valid host name or address"),
            "a name such as `nas.local`, or an address",
        ));
    }
    Ok(())
}

fn ssh_host(text: &str) -> Result<(), Malformed> {
    let wrong =
        |what: String| Malformed::instead(what, "a host of your ssh configuration, or `user@host`");
    match text.chars().next() {
        None => return Err(wrong("the host is missing".to_owned())),
        Some(first) if !(first.is_ascii_alphanumeric() || matches!(first, '_' | '[')) => {
            return Err(wrong(format!("a host cannot begin with {first:?}")));
        }
        Some(_) => {}
    }
    match text.chars().find(|c| {
        !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ':' | '@' | '%' | '[' | ']' | '-'))
    }) {
        Some(other) => Err(wrong(format!("a host cannot contain {other:?}"))),
        None => Ok(()),
    }
}

fn container_path(text: &str) -> Result<(), Malformed> {
    if !text.starts_with('/') {
        return Err(Malformed::instead(
            "a path in a container must be absolute",
            format!("`/{}`", text.trim_start_matches("./")),
        ));
    }
    if text.split('/').any(|part| part == "..") {
        return Err(Malformed::new("a path in a container cannot contain `..`"));
    }
    match text.chars().find(|&c| c.is_control() || c == ':') {
        Some(other) => {
            Err(Malformed::new(format!("a path in a container cannot contain {other:?}")))
        }
        None => Ok(()),
    }
}

/// The rule that DNS labels and, with dots, DNS subdomains share.
fn dns(text: &str, dots: bool) -> Result<(), Malformed> {
    if text.is_empty() {
        return Err(Malformed::new("a name cannot be empty"));
    }
    let allowed =
        |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || (dots && c == '.');
    if let Some(other) = text.chars().find(|&c| !allowed(c)) {
        let what = format!(
            "a name can only contain a-z, 0-9{} and `-`, found {other:?}",
            if dots { ", `.`" } else { "" }
        );
        return Err(match dns_spelling(text, allowed) {
            Some(right) => Malformed::instead(what, format!("`{right}`")),
            None => Malformed::new(what),
        });
    }
    let edge = |c: Option<char>| c.is_some_and(|c| !c.is_ascii_alphanumeric());
    if edge(text.chars().next()) || edge(text.chars().next_back()) {
        return Err(Malformed::instead(
            "a name must begin and end with a letter or a digit",
            format!("`{}`", text.trim_matches(|c: char| !c.is_ascii_alphanumeric())),
        ));
    }
    Ok(())
}

fn dns_spelling(text: &str, allowed: impl Fn(char) -> bool) -> Option<String> {
    let spelled: String =
        text.to_lowercase().chars().map(|c| if allowed(c) { c } else { '-' }).collect();
    let trimmed = spelled.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    (!trimmed.is_empty()).then(|| trimmed.to_owned())
}

fn at_most(text: &str, most: usize, why: &str) -> Result<(), Malformed> {
    if text.len() <= most {
        return Ok(());
    }
    Err(Malformed::new(format!(
        "a name is limited to {most} characters {why}, found {}",
        text.len()
    )))
}
