//! The templates of everything that topo renders: built in, and each replaceable by the user's own.

use std::path::{Path, PathBuf};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, ErrorKind, UndefinedBehavior};
use serde::Serialize;

use crate::topology::nearest;

macro_rules! embedded {
    ($($name:literal),* $(,)?) => {
        const EMBEDDED: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../templates/", $name)))),*];
    };
}

embedded![
    "connector/docker-connector.conf",
    "gateway/Dockerfile",
    "gateway/entrypoint",
    "gateway/health",
    "gateway/install-tools",
    "gateway/load",
    "gateway/nginx.conf",
    "gateway/rules.nft",
    "gateway/squid.conf",
    "gateway/sshd_config",
    "nfs-server/Dockerfile",
    "nfs-server/entrypoint",
    "nfs-server/ganesha.conf",
    "nfs-server/health",
    "nfs-server/install-tools",
    "publisher/publish",
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

/// What is wrong with a folder of the user's own templates.
#[derive(Debug, thiserror::Error)]
pub enum OwnError {
    #[error("`{path}` takes the place of no template of topo's{near}")]
    Unknown { path: String, near: String },
    #[error("cannot read the templates in `{folder}`: {reason}")]
    Unreadable { folder: String, reason: std::io::Error },
    #[error("cannot read the template {path}: {reason:#}")]
    Broken { path: String, reason: minijinja::Error },
}

/// The built-in templates as they are written, by name.
pub fn built_in() -> &'static [(&'static str, &'static str)] {
    EMBEDDED
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

    /// With a folder of the user's own, each file of which must be one that topo would use, and a
    /// template: a name that is misspelt would otherwise change nothing without a word.
    pub fn with_own(own: &Path) -> Result<Self, OwnError> {
        let templates = Self::new(Some(own.to_owned()));
        for name in names_in(own)? {
            let path = own.join(&name).display().to_string();
            if EMBEDDED.iter().all(|(known, _)| *known != name) {
                let near = nearest::to(&name, EMBEDDED.iter().map(|(known, _)| *known));
                let near = near.map_or_else(String::new, |near| format!(": `{near}` is one"));
                return Err(OwnError::Unknown { path, near });
            }
            let read = templates.0.get_template(&name);
            read.map_err(|reason| OwnError::Broken { path, reason })?;
        }
        Ok(templates)
    }

    pub fn render(&self, name: &str, values: impl Serialize) -> Result<String, TemplateError> {
        self.0
            .get_template(name)
            .and_then(|template| template.render(Serde(values)))
            .map_err(|reason| TemplateError { name: name.to_owned(), reason })
    }
}

/// The files below a folder, as their names are written from there.
fn names_in(folder: &Path) -> Result<Vec<String>, OwnError> {
    let mut names = Vec::new();
    let mut open = vec![PathBuf::new()];
    while let Some(inner) = open.pop() {
        let unreadable = |reason| OwnError::Unreadable {
            folder: folder.join(&inner).display().to_string(),
            reason,
        };
        for entry in std::fs::read_dir(folder.join(&inner)).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let name = inner.join(entry.file_name());
            if entry.path().is_dir() {
                open.push(name);
            } else {
                names.push(name.to_string_lossy().into_owned());
            }
        }
    }
    names.sort_unstable();
    Ok(names)
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
    fn a_template_that_topo_does_not_know_or_cannot_read_is_an_error() {
        let own = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(own.path().join("gateway")).expect("made");
        std::fs::write(own.path().join("gateway/Dockerfle"), "FROM x\n").expect("written");
        let error = Templates::with_own(own.path()).expect_err("is refused");
        assert!(error.to_string().ends_with("topo's: `gateway/Dockerfile` is one"), "{error}");

        let right = own.path().join("gateway/Dockerfile");
        std::fs::rename(own.path().join("gateway/Dockerfle"), &right).expect("renamed");
        Templates::with_own(own.path()).expect("is taken");
        std::fs::write(&right, "FROM {{ base\n").expect("written");
        let error = Templates::with_own(own.path()).expect_err("is refused");
        assert!(error.to_string().contains("gateway/Dockerfile: syntax error"), "{error}");
    }

    #[test]
    fn a_value_that_is_not_given_is_an_error_that_names_the_template() {
        let error =
            Templates::new(None).render("gateway/Dockerfile", json!({})).expect_err("fails");
        assert!(error.to_string().contains("gateway/Dockerfile"), "{error}");
    }
}
