//! kustomize, a program of its own or a part of kubectl: it builds the manifests of a folder.

use std::path::{Path, PathBuf};

use super::host::{ProcessError, Program, find_program};

#[derive(Debug, thiserror::Error)]
pub enum KustomizeError {
    #[error("neither `kustomize` nor `kubectl` is on PATH")]
    Missing,
    #[error(transparent)]
    Failed(#[from] ProcessError),
}

/// A program that builds kustomizations, and the command by which it does.
#[derive(Debug)]
pub struct Kustomize {
    program: PathBuf,
    command: &'static str,
}

impl Kustomize {
    /// `kustomize` comes first: what is inside of kubectl is often older.
    pub fn find(
        variable: &(impl Fn(&str) -> Option<String> + ?Sized),
    ) -> Result<Self, KustomizeError> {
        [("kustomize", "build"), ("kubectl", "kustomize")]
            .into_iter()
            .find_map(|(name, command)| {
                Some(Self { program: find_program(name, variable)?, command })
            })
            .ok_or(KustomizeError::Missing)
    }

    /// The objects of the kustomization in `folder`, as YAML, built with these variables in place of
    /// those of topo's own environment.
    pub async fn build(
        &self,
        folder: &Path,
        variables: &[(String, String)],
    ) -> Result<String, KustomizeError> {
        let program = Program::new(&self.program).arg(self.command).arg(folder);
        let set = |program: Program, (name, value): &(String, String)| program.env(name, value);
        Ok(variables.iter().fold(program, set).run(|_| {}).await?)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A folder with these programs, each a script.
    fn programs(scripts: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, script) in scripts {
            let program = folder.path().join(name);
            fs::write(&program, format!("#!/bin/sh\n{script}\n")).expect("written");
            fs::set_permissions(&program, Permissions::from_mode(0o755)).expect("set");
        }
        folder
    }

    async fn built(scripts: &[(&str, &str)]) -> Result<String, KustomizeError> {
        let path = programs(scripts);
        let path_variable = path.path().display().to_string();
        let kustomize = Kustomize::find(&|_: &str| Some(path_variable.clone()))?;
        kustomize.build(Path::new("/overlay"), &[("TIER".to_owned(), "dev".to_owned())]).await
    }

    #[tokio::test]
    async fn a_program_of_its_own_comes_before_kubectl() {
        let (kustomize, kubectl) = (("kustomize", "echo own $*"), ("kubectl", "echo $* $TIER"));
        assert_eq!(built(&[kustomize, kubectl]).await.expect("built"), "own build /overlay\n");
        assert_eq!(built(&[kubectl]).await.expect("built"), "kustomize /overlay dev\n");
        let missing = built(&[]).await.expect_err("there is none");
        assert_eq!(missing.to_string(), "neither `kustomize` nor `kubectl` is on PATH");
    }

    #[tokio::test]
    async fn what_cannot_be_built_is_told_in_the_programs_words() {
        let script = "echo 'Error: accumulating resources' >&2; exit 1";
        let told = built(&[("kustomize", script)]).await.expect_err("it failed").to_string();
        assert!(told.contains("build /overlay`"), "{told}");
        assert!(told.ends_with("\nError: accumulating resources"), "{told}");
    }
}
