//! The templates of everything that topo renders: built in, and each replaceable by the user's own.

use std::path::PathBuf;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, ErrorKind, UndefinedBehavior};
use serde::Serialize;

macro_rules! embedded {
    ($($name:literal),* $(,)?) => {
        const EMBEDDED: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../templates/", $name)))),*];
    };
}

embedded![
    "gateway/Dockerfile",
    "gateway/entrypoint",
    "gateway/health",
    "gateway/install-tools",
    "gateway/nginx.conf",
    "gateway/rules.nft",
    "gateway/squid.conf",
    "gateway/sshd_config",
    "nfs-server/Dockerfile",
    "nfs-server/entrypoint",
    "nfs-server/ganesha.conf",
    "nfs-server/health",
    "nfs-server/install-tools",
    "tunnel/launchd.plist",
    "tunnel/ssh_config",
    "tunnel/systemd.service",
];

#[derive(Debug, thiserror::Error)]
#[error("cannot render the template {name}: {reason:#}")]
pub struct TemplateError {
    name: String,
    reason: minijinja::Error,
}

#[derive(Debug, Clone)]
pub struct Templates(Environment<'static>);

impl Templates {
    /// The built-in templates; a file of the same name in `own` goes before the built-in one.
    pub fn new(own: Option<PathBuf>) -> Self {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        let lines_of_their_own = SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .keep_trailing_newline(true)
            .build();
        environment.set_syntax(lines_of_their_own.unwrap_or_default());
        environment.set_loader(move |name| {
            if let Some(path) = own.as_ref().map(|folder| folder.join(name)) {
                match std::fs::read_to_string(&path) {
                    Ok(text) => return Ok(Some(text)),
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                    Err(error) => {
                        let what = format!("cannot read {}", path.display());
                        return Err(minijinja::Error::new(ErrorKind::InvalidOperation, what)
                            .with_source(error));
                    }
                }
            }
            let built_in = EMBEDDED.iter().find(|(known, _)| *known == name);
            Ok(built_in.map(|(_, text)| (*text).to_owned()))
        });
        Self(environment)
    }

    pub fn render(&self, name: &str, values: impl Serialize) -> Result<String, TemplateError> {
        self.0
            .get_template(name)
            .and_then(|template| template.render(Serde(values)))
            .map_err(|reason| TemplateError { name: name.to_owned(), reason })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_file_of_the_users_goes_before_the_built_in_template() {
        let own = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(own.path().join("gateway")).expect("made");
        std::fs::write(own.path().join("gateway/Dockerfile"), "FROM {{ base }}-mine\n")
            .expect("written");
        let values = json!({ "base": "debian", "tools": ["nft"] });
        let built_in = Templates::new(None).render("gateway/Dockerfile", &values);
        assert!(built_in.expect("renders").contains("FROM debian\n"));
        let mine =
            Templates::new(Some(own.path().to_owned())).render("gateway/Dockerfile", &values);
        assert_eq!(mine.expect("renders"), "FROM debian-mine\n");
    }

    #[test]
    fn a_value_that_is_not_given_is_an_error_that_names_the_template() {
        let error =
            Templates::new(None).render("gateway/Dockerfile", json!({})).expect_err("fails");
        assert!(error.to_string().contains("gateway/Dockerfile"), "{error}");
    }
}
