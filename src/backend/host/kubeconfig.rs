//! The user's kubeconfig: one entry of topo's in a file that belongs to others.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_yaml::{Mapping, Value};

use super::write_atomically;

#[derive(Debug, thiserror::Error)]
pub enum KubeconfigError {
    #[error("cannot read `{}`", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write `{}`", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("`{}` is not a kubeconfig: {why}", path.display())]
    Malformed { path: PathBuf, why: String },
    #[error("`{}` is locked by another program (`{}` exists)", path.display(), lock.display())]
    Locked { path: PathBuf, lock: PathBuf },
}

/// The file that the user's kubectl reads first.
#[derive(Debug, Clone)]
pub struct Kubeconfig {
    path: PathBuf,
}

/// The three lists that hold an entry's parts.
const LISTS: [&str; 3] = ["clusters", "contexts", "users"];

impl Kubeconfig {
    /// The first file of `$KUBECONFIG`, or `~/.kube/config`.
    pub fn of(variable: &dyn Fn(&str) -> Option<String>) -> Option<Self> {
        let named = variable("KUBECONFIG").and_then(|list| {
            std::env::split_paths(&list).find(|path| !path.as_os_str().is_empty())
        });
        let path = match named {
            Some(path) => path,
            None => Path::new(&variable("HOME")?).join(".kube/config"),
        };
        Some(Self { path })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The API server that the entry of this name leads to.
    pub fn server(&self, name: &str) -> Result<Option<String>, KubeconfigError> {
        let document = self.read()?;
        let has = |list: &str| entry(&document, list, name).is_some();
        if !LISTS.iter().all(|list| has(list)) {
            return Ok(None);
        }
        Ok(entry(&document, "clusters", name)
            .and_then(|entry| entry.get("cluster")?.get("server")?.as_str())
            .map(str::to_owned))
    }

    /// Puts an entry in, or in the place of the one of the same name. The current context changes
    /// only if there is none, or if asked to.
    pub fn merge(
        &self,
        name: &str,
        from: &Value,
        make_current: bool,
    ) -> Result<(), KubeconfigError> {
        self.edit(|document| {
            for list in LISTS {
                let Some(new) =
                    from.get(list).and_then(Value::as_sequence).and_then(|all| all.first())
                else {
                    return Err(format!("the cluster's own has no `{list}`"));
                };
                let mut new = new.clone();
                set(&mut new, "name", name);
                if list == "contexts"
                    && let Some(context) = new.get_mut("context")
                {
                    set(context, "cluster", name);
                    set(context, "user", name);
                }
                let entries = list_of(document, list)?;
                entries.retain(|entry| named(entry) != Some(name));
                entries.push(new);
            }
            let current =
                document.get("current-context").and_then(Value::as_str).unwrap_or_default();
            if make_current || current.is_empty() {
                document.insert("current-context".into(), name.into());
            }
            document.entry("apiVersion".into()).or_insert_with(|| "v1".into());
            document.entry("kind".into()).or_insert_with(|| "Config".into());
            Ok(())
        })
    }

    /// Takes the entry out, and leaves everything else as it is.
    pub fn remove(&self, name: &str) -> Result<(), KubeconfigError> {
        if !self.path.exists() {
            return Ok(());
        }
        let document = self.read()?;
        if LISTS.iter().all(|list| entry(&document, list, name).is_none()) {
            return Ok(());
        }
        self.edit(|document| {
            for list in LISTS {
                list_of(document, list)?.retain(|entry| named(entry) != Some(name));
            }
            if document.get("current-context").and_then(Value::as_str) == Some(name) {
                document.insert("current-context".into(), "".into());
            }
            Ok(())
        })?;
        // A file that says nothing any more was there for this entry alone.
        if self.read()?.iter().all(|(key, value)| says_nothing(key, value)) {
            let path = self.path.clone();
            fs::remove_file(&path).map_err(|source| KubeconfigError::Write { path, source })?;
        }
        Ok(())
    }

    fn read(&self) -> Result<Mapping, KubeconfigError> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(source) => return Err(KubeconfigError::Read { path: self.path.clone(), source }),
        };
        let malformed = |why| KubeconfigError::Malformed { path: self.path.clone(), why };
        if text.trim().is_empty() {
            return Ok(Mapping::new());
        }
        match serde_yaml::from_str(&text).map_err(|error| malformed(error.to_string()))? {
            Value::Mapping(document) => Ok(document),
            Value::Null => Ok(Mapping::new()),
            _ => Err(malformed("it is not a map".to_owned())),
        }
    }

    /// Under the lock file that kubectl and kind respect too.
    fn edit(
        &self,
        change: impl FnOnce(&mut Mapping) -> Result<(), String>,
    ) -> Result<(), KubeconfigError> {
        let failed = |source| KubeconfigError::Write { path: self.path.clone(), source };
        // Through a link, so that the user's link stays one.
        let target = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        let _lock = FileLock::take(&target)?;
        let mut document = self.read()?;
        change(&mut document)
            .map_err(|why| KubeconfigError::Malformed { path: self.path.clone(), why })?;
        let text = serde_yaml::to_string(&document)
            .map_err(|error| failed(io::Error::other(error.to_string())))?;
        write_atomically(&target, text.as_bytes(), 0o600).map_err(failed)
    }
}

/// `<file>.lock`, made only if it is not there: client-go's way.
struct FileLock(PathBuf);

impl FileLock {
    fn take(target: &Path) -> Result<Self, KubeconfigError> {
        let mut name = target.as_os_str().to_owned();
        name.push(".lock");
        let lock = PathBuf::from(name);
        for _ in 0..50 {
            match fs::OpenOptions::new().write(true).create_new(true).open(&lock) {
                Ok(_) => return Ok(Self(lock)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    std::thread::sleep(std::time::Duration::from_millis(100));
                }
                Err(source) => {
                    return Err(KubeconfigError::Write { path: target.to_owned(), source });
                }
            }
        }
        Err(KubeconfigError::Locked { path: target.to_owned(), lock })
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn says_nothing(key: &Value, value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => {
            text.is_empty() || matches!(key.as_str(), Some("apiVersion" | "kind"))
        }
        Value::Sequence(list) => list.is_empty(),
        Value::Mapping(map) => map.is_empty(),
        _ => false,
    }
}

fn named(entry: &Value) -> Option<&str> {
    entry.get("name")?.as_str()
}

fn entry<'a>(document: &'a Mapping, list: &str, name: &str) -> Option<&'a Value> {
    document.get(list)?.as_sequence()?.iter().find(|entry| named(entry) == Some(name))
}

fn list_of<'a>(document: &'a mut Mapping, list: &str) -> Result<&'a mut Vec<Value>, String> {
    let entries = document.entry(list.into()).or_insert_with(|| Value::Sequence(Vec::new()));
    if entries.is_null() {
        *entries = Value::Sequence(Vec::new());
    }
    entries.as_sequence_mut().ok_or_else(|| format!("its `{list}` is not a list"))
}

fn set(map: &mut Value, key: &str, value: &str) {
    if let Value::Mapping(map) = map {
        map.insert(key.into(), value.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINE: &str = "
clusters: [{name: kind-dev, cluster: {server: 'https://127.0.0.1:4000'}}]
users: [{name: kind-dev, user: {token: t}}]
contexts: [{name: kind-dev, context: {cluster: kind-dev, user: kind-dev}}]
current-context: kind-dev
";

    fn kubeconfig(folder: &Path, content: Option<&str>) -> Kubeconfig {
        let path = folder.join("config");
        if let Some(content) = content {
            fs::write(&path, content).expect("written");
        }
        Kubeconfig { path }
    }

    fn mine() -> Value {
        serde_yaml::from_str(MINE).expect("valid")
    }

    #[test]
    fn the_first_entry_becomes_the_current_context() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = kubeconfig(folder.path(), None);
        config.merge("kind-dev", &mine(), false).expect("merged");
        let text = fs::read_to_string(config.path()).expect("there");
        assert!(text.contains("current-context: kind-dev"), "{text}");
        assert_eq!(
            config.server("kind-dev").expect("readable").as_deref(),
            Some("https://127.0.0.1:4000")
        );
    }

    #[test]
    fn what_is_the_users_stays_and_comes_back_after_a_removal() {
        let folder = tempfile::tempdir().expect("a folder");
        let theirs = "apiVersion: v1
kind: Config
clusters: [{name: prod, cluster: {server: 'https://prod', extra: kept}}]
contexts: [{name: prod, context: {cluster: prod, user: prod}}]
users: [{name: prod, user: {}}]
current-context: prod
";
        let config = kubeconfig(folder.path(), Some(theirs));
        config.merge("kind-dev", &mine(), false).expect("merged");
        config.merge("kind-dev", &mine(), false).expect("merged again");
        config.remove("kind-dev").expect("removed");
        let after: Value =
            serde_yaml::from_str(&fs::read_to_string(config.path()).expect("there")).expect("yaml");
        let before: Value = serde_yaml::from_str(theirs).expect("yaml");
        assert_eq!(after, before);
    }

    #[test]
    fn a_file_that_was_there_for_one_entry_goes_with_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = kubeconfig(folder.path(), None);
        config.merge("kind-dev", &mine(), false).expect("merged");
        config.remove("kind-dev").expect("removed");
        assert!(!config.path().exists());
    }

    #[test]
    fn a_file_that_is_no_kubeconfig_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = kubeconfig(folder.path(), Some("- a\n- b\n"));
        config.merge("kind-dev", &mine(), false).expect_err("refused");
        assert_eq!(fs::read_to_string(config.path()).expect("there"), "- a\n- b\n");
    }
}
