//! The user's kubeconfig: one entry of topo's in files that belong to others.

mod entry;
mod lock;
mod splice;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

pub use entry::{Entry, Mark, Written};
use entry::{Whose, whose};
use lock::FileLock;
use splice::{Document, LISTS, Refusal};

#[derive(Debug, thiserror::Error)]
pub enum KubeconfigError {
    #[error("cannot read the kubeconfig `{}`", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write the kubeconfig `{}`", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("the kubeconfig `{}` is {what}, not a file", path.display())]
    NotAFile { path: PathBuf, what: &'static str },
    #[error("cannot edit the kubeconfig `{}`", path.display())]
    Refused { path: PathBuf, source: Refusal },
    #[error(
        "the kubeconfig `{}` has another cluster's `{name}` in its `{list}`, at line {line}",
        path.display()
    )]
    Foreign { path: PathBuf, name: String, list: &'static str, line: usize },
    #[error("cannot take the kubeconfig's lock `{}`", lock.display())]
    Locked { lock: PathBuf, source: io::Error },
}

impl KubeconfigError {
    pub fn hint(&self) -> String {
        const ELSEWHERE: &str = "`export KUBECONFIG=$HOME/.kube/topo`";
        match self {
            Self::Foreign { name, .. } => format!(
                "give the topology another `name`, remove that entry with `kubectl config delete-context {name}; kubectl config delete-cluster {name}; kubectl config delete-user {name}`, or use another file: {ELSEWHERE}"
            ),
            Self::Refused { .. } => format!("change that line, or use another file: {ELSEWHERE}"),
            Self::Locked { lock, .. } => {
                format!("if no kubectl is running, remove it: `rm -f {}`", lock.display())
            }
            Self::Read { .. } | Self::Write { .. } | Self::NotAFile { .. } => {
                format!("make it a file that you can write, or use another: {ELSEWHERE}")
            }
        }
    }
}

/// Hears what a change of a kubeconfig waits for.
pub type Tell<'a> = dyn Fn(String) + Sync + 'a;

/// The files that the user's kubectl reads. Of what several of them have, the first counts.
#[derive(Debug, Clone)]
pub struct Kubeconfig {
    files: Vec<PathBuf>,
}

/// What the files have under one name.
#[derive(Debug, Default)]
pub struct Found {
    parts: Vec<(&'static str, PathBuf, Whose)>,
}

impl Found {
    /// All of the entry is there, and is topo's.
    pub fn is_whole(&self) -> bool {
        self.parts.len() == LISTS.len() && !self.has_foreign()
    }

    pub fn has_foreign(&self) -> bool {
        self.parts.iter().any(|(_, _, whose)| matches!(whose, Whose::Foreign { .. }))
    }
}

impl Kubeconfig {
    /// The files of `$KUBECONFIG`, or `~/.kube/config`.
    pub fn of(variable: &dyn Fn(&str) -> Option<String>) -> Option<Self> {
        let set = |name| variable(name).filter(|value: &String| !value.is_empty());
        let mut files: Vec<PathBuf> = Vec::new();
        for path in std::env::split_paths(&set("KUBECONFIG").unwrap_or_default()) {
            if let Ok(path) = std::path::absolute(path)
                && !files.contains(&path)
            {
                files.push(path);
            }
        }
        if files.is_empty() {
            files.push(Path::new(&set("HOME")?).join(".kube/config"));
        }
        Some(Self { files })
    }

    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Where kubectl writes what no file has yet: the first that exists, or else the last.
    fn usual(&self) -> &PathBuf {
        let last = self.files.last().expect("there is one at least");
        self.files.iter().find(|file| file.exists()).unwrap_or(last)
    }

    /// What the files have under a name, where `mine` are the marks of topo's own entries.
    pub fn find(&self, name: &str, mine: &[Mark]) -> Result<Found, KubeconfigError> {
        let mut found = Found::default();
        for path in &self.files {
            let text = read(path)?;
            let refused = |source| KubeconfigError::Refused { path: path.clone(), source };
            let document = Document::read(&text).map_err(refused)?;
            for list in LISTS {
                let is_found = found.parts.iter().any(|(of, _, _)| *of == list);
                if !is_found
                    && let Some(whose) = whose(&document, list, name, mine).map_err(refused)?
                {
                    found.parts.push((list, path.clone(), whose));
                }
            }
        }
        Ok(found)
    }

    /// The files that an entry goes into, several where its parts are in several, and whether each
    /// is made for it.
    pub fn goes_into(
        &self,
        entry: &Entry,
        mine: &[Mark],
    ) -> Result<Vec<(PathBuf, bool)>, KubeconfigError> {
        let files = self.merged(entry, mine, false)?.into_keys();
        Ok(files.map(|path| (path.clone(), !path.exists())).collect())
    }

    /// Whether the entry could be written now: what stands in the way, before anything is made.
    pub fn check(&self, entry: &Entry, mine: &[Mark]) -> Result<(), KubeconfigError> {
        self.merged(entry, mine, true)?.keys().try_for_each(|path| check_writable(path))
    }

    /// Puts an entry in, each part where one of its name is. The current context changes only if
    /// there is none, or if asked to.
    pub async fn merge(
        &self,
        entry: &Entry,
        mine: &[Mark],
        make_current: bool,
        tell: &Tell<'_>,
    ) -> Result<(), KubeconfigError> {
        let mut locks: BTreeMap<PathBuf, FileLock> = BTreeMap::new();
        loop {
            let merged = self.merged(entry, mine, make_current)?;
            match merged.keys().find(|path| !locks.contains_key(*path)) {
                Some(path) => locks.insert(path.clone(), lock(path, tell).await?),
                None => return merged.iter().try_for_each(|(path, text)| write(path, text)),
            };
        }
    }

    /// The files that change, with what each says then.
    fn merged(
        &self,
        entry: &Entry,
        mine: &[Mark],
        make_current: bool,
    ) -> Result<BTreeMap<PathBuf, String>, KubeconfigError> {
        let name = &entry.name;
        let found = self.find(name, mine)?;
        let mark = entry.mark();
        let mut parts: BTreeMap<&PathBuf, Vec<_>> = BTreeMap::new();
        for (list, part) in entry.parts() {
            match found.parts.iter().find(|(of, _, _)| *of == list) {
                None => parts.entry(self.usual()).or_default().push((list, part)),
                Some((_, path, Whose::Foreign { line })) => {
                    let (path, name) = (path.clone(), name.clone());
                    return Err(KubeconfigError::Foreign { path, name, list, line: *line });
                }
                Some((_, path, Whose::Mine { digest })) if !mark.has(list, digest) => {
                    parts.entry(path).or_default().push((list, part));
                }
                Some(_) => {}
            }
        }
        let current = make_current || !self.has_current()?;
        if current {
            parts.entry(self.usual()).or_default();
        }
        let mut merged = BTreeMap::new();
        for (path, parts) in parts {
            let refused = |source| KubeconfigError::Refused { path: path.clone(), source };
            let before = read(path)?;
            let is_current = current && path == self.usual();
            let text = splice::merge(&before, name, &parts, is_current).map_err(refused)?;
            if text != before {
                merged.insert(path.clone(), text);
            }
        }
        Ok(merged)
    }

    fn has_current(&self) -> Result<bool, KubeconfigError> {
        for path in &self.files {
            let text = read(path)?;
            let document = Document::read(&text)
                .map_err(|source| KubeconfigError::Refused { path: path.clone(), source })?;
            if document.current_context().is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Takes topo's entry of a name out of a file, and says whether another's is left there. With
/// `known`, topo wrote there or what is written there leads to an entry of topo's; with `made`, the
/// file was not there before.
pub async fn take_out(
    path: &Path,
    name: &str,
    mine: &[Mark],
    (known, made): (bool, bool),
    tell: &Tell<'_>,
) -> Result<bool, KubeconfigError> {
    let before = without(path, name, mine, known)?;
    let is_left_over = [FileLock::path_of(path), unfinished(path)].iter().any(|file| file.exists());
    let is_of_no_use = |after: &str| made && path.exists() && says_nothing(after);
    if before.is_as_it_was && !is_of_no_use(&before.after) && !(is_left_over && known) {
        return Ok(before.is_anothers);
    }
    let _lock = lock(path, tell).await?;
    let now = without(path, name, mine, known)?;
    if is_of_no_use(&now.after) {
        fs::remove_file(path)
            .map_err(|source| KubeconfigError::Write { path: path.to_owned(), source })?;
    } else if !now.is_as_it_was {
        write(path, &now.after)?;
    }
    Ok(now.is_anothers)
}

/// A file without topo's entry.
struct Without {
    after: String,
    is_as_it_was: bool,
    is_anothers: bool,
}

fn without(
    path: &Path,
    name: &str,
    mine: &[Mark],
    known: bool,
) -> Result<Without, KubeconfigError> {
    let refused = |source| KubeconfigError::Refused { path: path.to_owned(), source };
    let text = read(path)?;
    let document = Document::read(&text).map_err(refused)?;
    let of = |list| whose(&document, list, name, mine).map_err(refused);
    let (cluster, context, user) = (of("clusters")?, of("contexts")?, of("users")?);
    let is_mine = |part: &Option<Whose>| matches!(part, Some(Whose::Mine { .. }));
    let is_foreign = |part: &Option<Whose>| matches!(part, Some(Whose::Foreign { .. }));
    let is_anothers = [&cluster, &context, &user].into_iter().any(is_foreign);
    // A context is only a pair of names: it is whose they lead to.
    let leads_to_mine = (known || is_mine(&cluster) || is_mine(&user)) && !is_anothers;
    let parts = [
        ("clusters", is_mine(&cluster)),
        ("contexts", context.is_some() && leads_to_mine),
        ("users", is_mine(&user)),
    ];
    let lists: Vec<&str> = parts.iter().filter(|(_, mine)| *mine).map(|(list, _)| *list).collect();
    let after = splice::remove(&text, name, &lists, leads_to_mine).map_err(refused)?;
    Ok(Without { is_as_it_was: after == text, after, is_anothers })
}

fn says_nothing(text: &str) -> bool {
    Document::read(text).is_ok_and(|document| document.says_nothing())
}

/// The lock, and with it the removal of what a killed topo left beside the file.
async fn lock(path: &Path, tell: &Tell<'_>) -> Result<FileLock, KubeconfigError> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)
            .map_err(|source| KubeconfigError::Write { path: path.to_owned(), source })?;
    }
    let lock = FileLock::take(path, tell).await?;
    let _ = fs::remove_file(unfinished(path));
    Ok(lock)
}

/// The text of a file, empty where there is none.
fn read(path: &Path) -> Result<String, KubeconfigError> {
    let failed = |source| KubeconfigError::Read { path: path.to_owned(), source };
    let not_a_file = |what| KubeconfigError::NotAFile { path: path.to_owned(), what };
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => return Err(not_a_file("a folder")),
        Ok(metadata) if !metadata.is_file() => return Err(not_a_file("a device or a pipe")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let is_link = path.is_symlink();
            return if is_link { Err(not_a_file("a link to nothing")) } else { Ok(String::new()) };
        }
        metadata => metadata.map(drop).map_err(failed)?,
    }
    fs::read_to_string(path).map_err(failed)
}

/// Whether a file can be written, and made if it is not there, with a lock and a new one beside it.
fn check_writable(path: &Path) -> Result<(), KubeconfigError> {
    let failed = |error: rustix::io::Errno| KubeconfigError::Write {
        path: path.to_owned(),
        source: error.into(),
    };
    if path.exists() {
        access(path, Access::READ_OK | Access::WRITE_OK).map_err(failed)?;
    }
    let folders = [path.to_owned(), target(path)];
    for folder in folders.iter().filter_map(|path| path.ancestors().skip(1).find(|at| at.exists()))
    {
        access(folder, Access::WRITE_OK | Access::EXEC_OK).map_err(failed)?;
        // Any file lets itself be written, but nothing be made in it.
        fs::read_dir(folder)
            .map_err(|source| KubeconfigError::Write { path: path.to_owned(), source })?;
    }
    Ok(())
}

/// Through links, so that the user's link stays one.
fn target(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// What is written before it takes the file's place. It has one name, so that the next topo finds
/// what a killed one left: it holds a key.
fn unfinished(path: &Path) -> PathBuf {
    let target = target(path);
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    target.with_file_name(format!(".{name}.topo"))
}

/// At once or not at all, with the rights and the owner that the file has.
fn write(path: &Path, text: &str) -> Result<(), KubeconfigError> {
    let new = unfinished(path);
    let written = replace(&target(path), &new, text.as_bytes());
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written.map_err(|source| KubeconfigError::Write { path: path.to_owned(), source })
}

fn replace(target: &Path, new: &Path, content: &[u8]) -> io::Result<()> {
    let before = fs::metadata(target).ok();
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(new)?;
    if let Some(before) = &before {
        let made = file.metadata()?;
        if (made.uid(), made.gid()) != (before.uid(), before.gid())
            && fchown(&file, Some(before.uid()), Some(before.gid())).is_err()
        {
            return overwrite(target, new, content);
        }
        file.set_permissions(Permissions::from_mode(before.mode() & 0o7777))?;
    }
    file.write_all(content)?;
    file.sync_all()?;
    match fs::rename(new, target) {
        // A file that is mounted by itself has no other take its place.
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
            overwrite(target, new, content)
        }
        renamed => renamed,
    }?;
    File::open(target.parent().unwrap_or(Path::new("/")))?.sync_all()
}

/// As kubectl writes.
fn overwrite(target: &Path, new: &Path, content: &[u8]) -> io::Result<()> {
    fs::remove_file(new)?;
    let mut file = OpenOptions::new().write(true).open(target)?;
    file.write_all(content)?;
    file.set_len(content.len() as u64)?;
    file.sync_all()
}
