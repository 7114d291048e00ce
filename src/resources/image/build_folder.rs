//! A folder with a Dockerfile: a fingerprint of what of it a build may read.

use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};
use sha2::{Digest, Sha256};
use walkdir::WalkDir;

use crate::engine::Failure;
use crate::topology::Build;

const IGNORE: &str = ".dockerignore";
const DOCKERFILE: &str = "Dockerfile";

/// A build's folder without what its `.dockerignore` leaves out.
pub struct BuildFolder {
    root: PathBuf,
    /// Below the root, in an order that is always the same.
    paths: Vec<PathBuf>,
}

impl BuildFolder {
    pub fn read(build: &Build) -> Result<Self, Failure> {
        let folder = build.folder.path();
        let failed = |error: std::io::Error| unreadable(folder, &error);
        let root = fs::canonicalize(folder).map_err(failed)?;
        let ignored = Ignored::read(&root)?;
        let dockerfile = build.dockerfile.as_deref().unwrap_or(DOCKERFILE);
        let mut paths = Vec::new();
        for entry in WalkDir::new(&root).min_depth(1).sort_by_file_name() {
            let entry = entry.map_err(|error| unreadable(folder, &error))?;
            let Ok(path) = entry.path().strip_prefix(&root) else { continue };
            // The builder needs these two whatever is left out.
            if path == Path::new(dockerfile) || path == Path::new(IGNORE) || !ignored.holds(path) {
                paths.push(path.to_owned());
            }
        }
        Ok(Self { root, paths })
    }

    /// Another one as soon as the build would be given anything else.
    pub fn fingerprint(&self) -> Result<String, Failure> {
        let mut hash = Sha256::new();
        for path in &self.paths {
            let whole = self.root.join(path);
            add(&mut hash, path, &whole).map_err(|error| unreadable(&whole, &error))?;
        }
        Ok(format!("sha256:{:x}", hash.finalize()))
    }
}

fn add(hash: &mut Sha256, path: &Path, whole: &Path) -> std::io::Result<()> {
    let about = fs::symlink_metadata(whole)?;
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    part(path.as_os_str().as_bytes());
    part(&about.permissions().mode().to_le_bytes());
    if about.is_symlink() {
        part(fs::read_link(whole)?.as_os_str().as_bytes());
    } else if about.is_file() {
        part(&about.len().to_le_bytes());
        let mut file = fs::File::open(whole)?;
        let mut piece = vec![0; 1 << 16];
        loop {
            match file.read(&mut piece)? {
                0 => break,
                read => hash.update(&piece[..read]),
            }
        }
    }
    Ok(())
}

fn unreadable(path: &Path, error: &(dyn std::error::Error + 'static)) -> Failure {
    Failure::because(format!("cannot read `{}`", path.display()), error)
}

/// The rules of a `.dockerignore`: the last that names a path, or a folder above it, decides.
struct Ignored(Vec<(bool, GlobMatcher)>);

impl Ignored {
    fn read(root: &Path) -> Result<Self, Failure> {
        let file = root.join(IGNORE);
        match fs::read_to_string(&file) {
            Ok(text) => Self::of(&text).map_err(|error| unreadable(&file, &error)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self(Vec::new())),
            Err(error) => Err(unreadable(&file, &error)),
        }
    }

    fn of(text: &str) -> Result<Self, globset::Error> {
        let lines = text.lines().map(str::trim);
        let rules = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        let read = rules.map(|rule| {
            let (leaves_out, pattern) = match rule.strip_prefix('!') {
                Some(pattern) => (false, pattern.trim_start()),
                None => (true, rule),
            };
            let pattern = pattern.trim_start_matches("./").trim_matches('/');
            let glob =
                GlobBuilder::new(&without_braces(pattern)).literal_separator(true).build()?;
            Ok((leaves_out, glob.compile_matcher()))
        });
        read.collect::<Result<_, _>>().map(Self)
    }

    fn holds(&self, path: &Path) -> bool {
        let names = |glob: &GlobMatcher| {
            path.ancestors()
                .filter(|part| !part.as_os_str().is_empty())
                .any(|part| glob.is_match(part))
        };
        let last = self.0.iter().rev().find(|(_, glob)| names(glob));
        last.is_some_and(|(leaves_out, _)| *leaves_out)
    }
}

/// Braces mean nothing in a `.dockerignore`.
fn without_braces(pattern: &str) -> String {
    pattern.replace('{', "[{]").replace('}', "[}]")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left_out(rules: &str, path: &str) -> bool {
        Ignored::of(rules).expect("rules").holds(Path::new(path))
    }

    #[test]
    fn a_dockerignore_is_read_as_docker_does() {
        assert!(left_out("node_modules", "node_modules/a/b.js"));
        assert!(!left_out("node_modules", "web/node_modules/a.js"));
        assert!(left_out("**/node_modules", "web/node_modules/a.js"));
        assert!(left_out("*.md\n!README.md", "notes.md"));
        assert!(!left_out("*.md\n!README.md", "README.md"));
        assert!(!left_out("*.md", "docs/notes.md"));
        assert!(left_out("/docs/\n# a remark\n", "docs/notes.md"));
        assert!(!left_out("docs\n!docs/kept", "docs/kept/a"));
        assert!(left_out("!docs/kept\ndocs", "docs/kept/a"));
        assert!(left_out("a{b}", "a{b}"));
    }

    fn build(folder: &Path) -> Build {
        serde_yaml::from_str::<crate::topology::Image>(&format!(
            "{{name: web, build: \"{}\"}}",
            folder.display()
        ))
        .expect("an image")
        .build
        .expect("a build")
    }

    fn fingerprint(folder: &Path) -> String {
        BuildFolder::read(&build(folder)).and_then(|read| read.fingerprint()).expect("readable")
    }

    #[test]
    fn the_fingerprint_follows_what_the_builder_is_given() {
        let home = tempfile::tempdir().expect("a folder");
        let write =
            |name: &str, text: &str| fs::write(home.path().join(name), text).expect("written");
        write("Dockerfile", "FROM scratch");
        write(".dockerignore", "*.log\nDockerfile");
        write("page", "one");
        let first = fingerprint(home.path());
        write("noise.log", "changes nothing");
        assert_eq!(fingerprint(home.path()), first);
        write("page", "two");
        let second = fingerprint(home.path());
        assert_ne!(second, first);
        write("Dockerfile", "FROM scratch\nCOPY page /");
        assert_ne!(fingerprint(home.path()), second);
    }
}
