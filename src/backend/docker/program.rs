//! The `docker` program, for what it knows and the engine does not: who is logged in to which registry,
//! the builder with its cache, and the proxies that builds go through.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anstream::adapter::strip_str;

use super::{Archived, Docker, Error, Labels, Result, containers};
use crate::backend::host::{ProcessError, Program};
use crate::topology::{canonical_image, is_for_docker};

/// How much of a failed build's log is shown.
const LOG_LINES: usize = 20;

/// Said in the place of what the builder said.
const DISCREET: &str = "what the builder said is not shown: it was given sensitive arguments";

pub struct BuildRequest<'a> {
    pub tag: &'a str,
    pub context: BuildContext<'a>,
    pub args: BTreeMap<String, String>,
    pub labels: Labels,
    /// Nothing is told of what the builder says: that may have its arguments in it.
    pub discreet: bool,
}

/// What an image is built from.
pub enum BuildContext<'a> {
    Folder {
        folder: &'a Path,
        dockerfile: &'a Path,
    },
    /// Files of which one is `Dockerfile`.
    Files(Vec<Archived<'a>>),
}

impl Docker {
    pub fn has_program(&self) -> bool {
        self.program.is_some()
    }

    /// Pulls an image as the user, with what `docker login` has kept.
    pub async fn pull_image_as_user(
        &self,
        reference: &str,
        on_line: impl FnMut(&str) + Send,
    ) -> Result<()> {
        let program = self.program()?.arg("pull").arg(canonical_image(reference));
        match program.follow(on_line).await {
            Ok(()) => Ok(()),
            Err(ProcessError::Failed { last_lines, .. }) => {
                let words = last_lines.last().map(String::as_str).unwrap_or_default();
                let words = words.trim_start_matches("Error response from daemon: ");
                Err(Error::Failed(words.to_owned()))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Builds an image with the builder that `docker build` has; each line of the log goes to `on_line`.
    pub async fn build_image(
        &self,
        request: BuildRequest<'_>,
        mut on_line: impl FnMut(&str) + Send,
    ) -> Result<()> {
        let mut log = VecDeque::with_capacity(LOG_LINES);
        let is_told = |line: &str| !request.discreet && !line.is_empty();
        // Package managers color what they say and draw bars over one line.
        let tell = |line: &str| {
            let plain = strip_str(line).to_string();
            for line in plain.split('\r').map(str::trim).filter(|line| is_told(line)) {
                on_line(line);
                if log.len() == LOG_LINES {
                    log.pop_front();
                }
                log.push_back(line.to_owned());
            }
        };
        match build(self.program()?, &request)?.follow(tell).await {
            Ok(()) => Ok(()),
            Err(ProcessError::Failed { status, .. }) => Err(Error::Build {
                tag: request.tag.to_owned(),
                message: match log.pop_back() {
                    Some(last) => last,
                    None if request.discreet => DISCREET.to_owned(),
                    None => status.to_string(),
                },
                log: Vec::from(log).join("\n"),
            }),
            Err(error) => Err(error.into()),
        }
    }

    /// What a person would run to be in a container, with or without a terminal there.
    pub fn exec_program(
        &self,
        container: &str,
        terminal: bool,
        command: &[OsString],
    ) -> Result<Program> {
        let program = self.lead_alone(Program::new(self.path()?)).args(["exec", "--interactive"]);
        let program = if terminal { program.arg("--tty") } else { program };
        Ok(program.arg(container).args(command))
    }

    fn program(&self) -> Result<Program> {
        Ok(self.lead(Program::new(self.path()?)))
    }

    fn path(&self) -> Result<&PathBuf> {
        self.program.as_ref().ok_or(Error::NoProgram)
    }
}

fn build(program: Program, request: &BuildRequest<'_>) -> Result<Program> {
    let mut program = program
        .arg("build")
        // Nothing of a build that failed is left behind.
        .arg("--force-rm")
        .arg("--tag")
        .arg(request.tag)
        // A builder of its own would keep what it builds to itself.
        .env("BUILDX_BUILDER", "default")
        // They hold the time, which makes of every build another image.
        .env("BUILDX_NO_DEFAULT_ATTESTATIONS", "1");
    for (name, value) in &request.labels {
        program = program.arg("--label").arg(format!("{name}={value}"));
    }
    for (name, value) in &request.args {
        program = program.arg("--build-arg");
        program = if is_for_docker(name) {
            program.arg(format!("{name}={value}"))
        } else {
            // Whoever lists the machine's processes does not see it.
            program.arg(name).env(name, value)
        };
    }
    Ok(match &request.context {
        BuildContext::Folder { folder, dockerfile } => {
            program.arg("--file").arg(folder.join(dockerfile)).arg(*folder)
        }
        BuildContext::Files(files) => program.arg("-").input(containers::archive(files)?),
    })
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    use super::super::{Endpoint, open};
    use super::*;

    /// An engine that is not there, with a `docker` program that does what the script says.
    fn docker(folder: &Path, script: &str) -> Docker {
        let program = folder.join("docker");
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).expect("written");
        fs::set_permissions(&program, Permissions::from_mode(0o755)).expect("set");
        let host = "tcp://127.0.0.1:1".to_owned();
        let endpoint = Endpoint { host, certificates: None, named_by: String::new() };
        let api = open(&endpoint).expect("a client");
        Docker { api, endpoint, line: None, program: Some(program) }
    }

    fn request(context: BuildContext<'_>) -> BuildRequest<'_> {
        let args = [("VERSION", "se cret"), ("https_proxy", "http://p")];
        BuildRequest {
            tag: "web:1",
            context,
            args: args.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            labels: [("a".to_owned(), "b".to_owned())].into(),
            discreet: false,
        }
    }

    async fn built(script: &str, context: BuildContext<'_>) -> (Result<()>, Vec<String>) {
        let folder = tempfile::tempdir().expect("a folder");
        let mut lines = Vec::new();
        let docker = docker(folder.path(), script);
        let end = docker.build_image(request(context), |line| lines.push(line.to_owned())).await;
        (end, lines)
    }

    #[tokio::test]
    async fn a_folder_is_built_where_it_is_and_no_value_shows_in_the_arguments() {
        let (folder, dockerfile) = (PathBuf::from("/src/web"), PathBuf::from("Dev.dockerfile"));
        let context = BuildContext::Folder { folder: &folder, dockerfile: &dockerfile };
        let script = r#"echo "$DOCKER_HOST $VERSION $https_proxy"; echo "$*" >&2"#;
        let (end, mut lines) = built(script, context).await;
        end.expect("built");
        lines.sort();
        assert_eq!(
            lines,
            [
                "build --force-rm --tag web:1 --label a=b --build-arg VERSION --build-arg https_proxy=http://p --file /src/web/Dev.dockerfile /src/web",
                "tcp://127.0.0.1:1 se cret",
            ]
        );
    }

    #[tokio::test]
    async fn nothing_is_told_of_what_sensitive_arguments_may_be_in() {
        let folder = tempfile::tempdir().expect("a folder");
        let docker = docker(folder.path(), "echo \"$VERSION\" >&2; exit 1");
        let request = BuildRequest { discreet: true, ..request(BuildContext::Files(Vec::new())) };
        let mut lines = Vec::new();
        let end = docker.build_image(request, |line| lines.push(line.to_owned())).await;
        let told = end.expect_err("it failed").to_string();
        assert!(told.contains(DISCREET) && !told.contains("se cret"), "{told}");
        assert_eq!(lines, Vec::<String>::new());
    }

    #[tokio::test]
    async fn files_are_handed_in_as_an_archive() {
        let file = Archived { path: "Dockerfile", mode: 0o644, content: b"FROM scratch" };
        let (end, lines) = built("tar -xOf - Dockerfile", BuildContext::Files(vec![file])).await;
        end.expect("built");
        assert_eq!(lines, ["FROM scratch"]);
    }

    #[tokio::test]
    async fn a_build_that_fails_ends_with_its_last_words() {
        let script = "printf 'one\\n\\033[31mtwo\\033[0m\\rthree\\n'; exit 1";
        let (end, lines) = built(script, BuildContext::Files(Vec::new())).await;
        let told = end.expect_err("it failed").to_string();
        assert_eq!(told, "building `web:1` failed: three\none\ntwo");
        assert_eq!(lines, ["one", "two", "three"]);
    }

    #[tokio::test]
    async fn a_pull_that_is_refused_is_told_in_the_engines_words() {
        let folder = tempfile::tempdir().expect("a folder");
        let script = "echo \"Error response from daemon: denied: $2\" >&2; exit 1";
        let refused = docker(folder.path(), script).pull_image_as_user("web", |_| {}).await;
        let told = refused.expect_err("it failed").to_string();
        assert_eq!(told, "denied: docker.io/library/web:latest");
    }
}
