//! Labels of nodes, and what kubelet may set of them by itself.

/// Those with a prefix of Kubernetes' own that kubelet takes all the same.
const ALLOWED: [&str; 10] = [
    "kubernetes.io/hostname",
    "kubernetes.io/arch",
    "kubernetes.io/os",
    "beta.kubernetes.io/arch",
    "beta.kubernetes.io/os",
    "beta.kubernetes.io/instance-type",
    "failure-domain.beta.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
];
const ALLOWED_DOMAINS: [&str; 2] = ["kubelet.kubernetes.io", "node.kubernetes.io"];

/// Whether kubelet refuses to start with it, as with `node-role.kubernetes.io/worker`.
pub fn is_reserved(key: &str) -> bool {
    let Some((prefix, _)) = key.split_once('/') else { return false };
    let below = |domain: &str| {
        prefix == domain || prefix.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
    };
    (below("kubernetes.io") || below("k8s.io"))
        && !ALLOWED.contains(&key)
        && !ALLOWED_DOMAINS.into_iter().any(below)
}

/// A label as Kubernetes takes it: `[prefix/]name`, and a value of 63 characters at most.
pub fn check(key: &str, value: &str) -> Result<(), String> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    if let Some(prefix) = prefix {
        prefix
            .parse::<super::Subdomain>()
            .map_err(|fault| format!("invalid prefix of the label `{key}`: {fault}"))?;
    }
    if name.is_empty() {
        return Err(format!("invalid label `{key}`: the name after `/` is missing"));
    }
    qualified(name).map_err(|fault| format!("invalid label `{key}`: {fault}"))?;
    if value.is_empty() {
        Ok(())
    } else {
        qualified(value).map_err(|fault| format!("invalid value `{value}`: {fault}"))
    }
}

/// Letters of both cases, digits, and `-`, `_`, `.` between.
fn qualified(text: &str) -> Result<(), String> {
    const LENGTH: usize = 63;
    if text.len() > LENGTH {
        return Err(format!("it is limited to {LENGTH} characters, found {}", text.len()));
    }
    if let Some(other) =
        text.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')))
    {
        return Err(format!(
            "it can only contain letters, digits, `-`, `_` and `.`, found {other:?}"
        ));
    }
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    if edge(text.chars().next()) && edge(text.chars().next_back()) {
        Ok(())
    } else {
        Err("it must begin and end with a letter or a digit".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubelet_sets_no_role() {
        for key in ["node-role.kubernetes.io/worker", "kubernetes.io/role", "x.k8s.io/a"] {
            assert!(is_reserved(key), "{key}");
        }
        for key in
            ["role", "example.com/role", "topology.kubernetes.io/zone", "node.kubernetes.io/x"]
        {
            assert!(!is_reserved(key), "{key}");
        }
    }
}
