//! From a kubeconfig to the way to its API server. kube's own reading takes `HTTPS_PROXY` for every
//! server, one of this machine included, and asks `NO_PROXY` about the proxy instead of the server.

use kube::Config;
use kube::config::{
    AuthInfo, Cluster, Context, ExecAuthCluster, Kubeconfig, KubeconfigError, NamedCluster,
};

use super::proxy::{self, Proxies};
use super::{CONNECT, KubeError};

/// The current context, where none is named.
pub(super) fn config(
    kubeconfig: &Kubeconfig,
    context: Option<&str>,
    proxies: &Proxies,
) -> Result<Config, KubeError> {
    let (context, cluster, mut user) = parts(kubeconfig, context)?;
    let about = ExecAuthCluster::try_from(cluster)?;
    let server = cluster.server.as_deref().ok_or(KubeconfigError::MissingClusterUrl)?;
    let mut config = Config::new(server.parse().map_err(KubeconfigError::ParseClusterUrl)?);
    config.proxy_url = match cluster.proxy_url.as_deref().filter(|written| !written.is_empty()) {
        Some(written) => Some(proxy::read(written)?),
        None => proxies.on_the_way_to(&config.cluster_url)?,
    };
    config.root_cert = about.certificate_authority_data.as_deref().map(certificates).transpose()?;
    if let Some(exec) = user.exec.as_mut().filter(|exec| exec.provide_cluster_info) {
        exec.cluster = Some(about);
    }
    config.auth_info = user;
    if let Some(namespace) = &context.namespace {
        config.default_namespace.clone_from(namespace);
    }
    config.accept_invalid_certs = cluster.insecure_skip_tls_verify.unwrap_or(false);
    config.disable_compression = cluster.disable_compression.unwrap_or(false);
    config.tls_server_name.clone_from(&cluster.tls_server_name);
    config.connect_timeout = Some(CONNECT);
    Ok(config)
}

fn parts<'a>(
    kubeconfig: &'a Kubeconfig,
    context: Option<&str>,
) -> Result<(&'a Context, &'a Cluster, AuthInfo), KubeconfigError> {
    let name = context.or(kubeconfig.current_context.as_deref());
    let name = name.ok_or(KubeconfigError::CurrentContextNotSet)?;
    let context = kubeconfig.contexts.iter().find(|context| context.name == name);
    let context = context
        .and_then(|context| context.context.as_ref())
        .ok_or_else(|| KubeconfigError::LoadContext(name.to_owned()))?;
    let is_its = |cluster: &&NamedCluster| cluster.name == context.cluster;
    let cluster = kubeconfig.clusters.iter().find(is_its);
    let cluster = cluster
        .and_then(|cluster| cluster.cluster.as_ref())
        .ok_or_else(|| KubeconfigError::LoadClusterOfContext(context.cluster.clone()))?;
    // One that is not there is nobody in particular, to kubectl as well.
    let user = kubeconfig.auth_infos.iter().find(|user| Some(&user.name) == context.user.as_ref());
    let user = user.and_then(|user| user.auth_info.clone()).unwrap_or_default();
    Ok((context, cluster, user))
}

/// Without what the context does not name.
pub(super) fn alone(mut kubeconfig: Kubeconfig, name: &str) -> Kubeconfig {
    kubeconfig.contexts.retain(|context| context.name == name);
    let context = kubeconfig.contexts.first().and_then(|context| context.context.clone());
    let Context { cluster, user, .. } = context.unwrap_or_default();
    kubeconfig.clusters.retain(|named| named.name == cluster);
    kubeconfig.auth_infos.retain(|named| Some(&named.name) == user.as_ref());
    kubeconfig.current_context = Some(name.to_owned());
    kubeconfig
}

fn certificates(pem: &[u8]) -> Result<Vec<Vec<u8>>, KubeconfigError> {
    let parts = pem::parse_many(pem).map_err(KubeconfigError::ParseCertificates)?;
    let is_certificate = |part: &pem::Pem| part.tag() == "CERTIFICATE";
    Ok(parts.into_iter().filter(is_certificate).map(pem::Pem::into_contents).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = "\
clusters:
  - { name: one, cluster: { server: 'https://127.0.0.1:1' } }
  - { name: two, cluster: { server: 'https://127.0.0.1:2' } }
users: [{ name: me, user: { token: mine } }, { name: you, user: { token: yours } }]
contexts:
  - { name: work, context: { cluster: one, user: me } }
  - { name: play, context: { cluster: two, user: you, namespace: shop } }
current-context: work
";

    #[test]
    fn a_context_alone_has_what_it_names_and_nothing_else() {
        let both = Kubeconfig::from_yaml(TWO).expect("a kubeconfig");
        let text = serde_yaml::to_string(&alone(both, "play")).expect("can be written");
        let read = Kubeconfig::from_yaml(&text).expect("a kubeconfig");
        assert_eq!(read.current_context.as_deref(), Some("play"));
        assert!(text.contains("yours") && text.contains("namespace: shop"), "{text}");
        assert!(!text.contains("mine") && !text.contains("127.0.0.1:1"), "{text}");
    }
}
