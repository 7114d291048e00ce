//! Which files are read and written, whose entries are, and what a killed program leaves.

use std::fs::{self, FileTimes};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use super::super::{Entry, FileLock, Kubeconfig, KubeconfigError, Mark, take_out, unfinished};

const NAME: &str = "kind-dev";

const THEIRS: &str = "\
clusters: [{name: kind-dev, cluster: {server: 'https://127.0.0.1:1'}}]
users: [{name: kind-dev, user: {token: t}}]
contexts: [{name: kind-dev, context: {cluster: kind-dev, user: kind-dev}}]
";

fn entry_at(port: u16) -> Entry {
    let own = format!(
        "clusters: [{{cluster: {{server: 'https://127.0.0.1:{port}', certificate-authority-data: QQ}}}}]
users: [{{user: {{client-certificate-data: Qg, client-key-data: Qw}}}}]
"
    );
    Entry::named(NAME, &serde_yaml::from_str(&own).expect("valid")).expect("whole")
}

fn entry() -> Entry {
    entry_at(4000)
}

struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Self(TempDir::new().expect("a folder"))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        fs::write(self.file(name), text).expect("written");
        self.file(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).expect("there")
    }

    /// With these files of the folder in the list, or with a home alone.
    fn kubeconfig(&self, files: &[&str]) -> Kubeconfig {
        let path = |name: &&str| {
            if name.is_empty() { String::new() } else { self.file(name).display().to_string() }
        };
        let list = files.iter().map(path).collect::<Vec<_>>().join(":");
        let home = self.0.path().display().to_string();
        Kubeconfig::of(&|name| match name {
            "KUBECONFIG" => (!files.is_empty()).then(|| list.clone()),
            _ => Some(home.clone()),
        })
        .expect("a file")
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).expect("a folder");
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

async fn merge(kubeconfig: &Kubeconfig, mine: &[Mark]) -> Result<(), KubeconfigError> {
    kubeconfig.merge(&entry(), mine, false, &|_| {}).await
}

#[tokio::test]
async fn the_first_file_that_exists_is_written_or_else_the_last() {
    let home = Home::new();
    merge(&home.kubeconfig(&["", "a", "b", "a"]), &[]).await.expect("merged");
    assert_eq!(home.names(), ["b"]);
    home.write("c", "current-context: prod\n");
    merge(&home.kubeconfig(&["none", "c", "other"]), &[]).await.expect("merged");
    assert!(home.read("c").contains(NAME));
    assert!(home.read("c").starts_with("current-context: prod\n"));
    home.write("d", "current-context: \"\" # none\n");
    merge(&home.kubeconfig(&["d"]), &[]).await.expect("merged");
    assert!(home.read("d").starts_with("current-context: kind-dev # none\n"));
    merge(&home.kubeconfig(&[]), &[]).await.expect("merged");
    assert!(home.read(".kube/config").ends_with("current-context: kind-dev\n"));
}

#[tokio::test]
async fn an_entry_is_changed_in_the_file_that_has_it() {
    let home = Home::new();
    home.write("a", "clusters: []\n");
    home.write("b", "current-context: prod\n");
    let both = home.kubeconfig(&["a", "b"]);
    let old = entry_at(3999);
    home.kubeconfig(&["b"]).merge(&old, &[], false, &|_| {}).await.expect("merged");
    merge(&both, &[old.mark()]).await.expect("merged");
    assert_eq!(
        home.read("a"),
        "clusters: []\n",
        "no context is made current: the second file has one"
    );
    assert!(home.read("b").contains(":4000") && !home.read("b").contains(":3999"));
    assert!(both.find(NAME, &[entry().mark()]).expect("read").is_whole());
}

#[tokio::test]
async fn what_the_user_did_to_the_entry_stays() {
    let home = Home::new();
    let kubeconfig = home.kubeconfig(&["config"]);
    merge(&kubeconfig, &[]).await.expect("merged");
    let namespaced = home
        .read("config")
        .replace("    user: kind-dev\n", "    user: kind-dev\n    namespace: web\n");
    home.write("config", &namespaced);
    merge(&kubeconfig, &[entry().mark()]).await.expect("merged");
    assert_eq!(home.read("config"), namespaced);
}

#[tokio::test]
async fn anothers_entry_of_that_name_is_neither_overwritten_nor_removed() {
    let home = Home::new();
    let path = home.write("config", THEIRS);
    let kubeconfig = home.kubeconfig(&["config"]);
    let error = merge(&kubeconfig, &[entry_at(1).mark()]).await.expect_err("refused");
    assert!(matches!(error, KubeconfigError::Foreign { list: "clusters", line: 1, .. }), "{error}");
    kubeconfig.check(&Entry::stand_in(NAME), &[]).expect_err("refused before anything is made");
    let mine = [entry().mark()];
    let is_anothers = take_out(&path, NAME, &mine, (true, true), &|_| {}).await;
    assert!(is_anothers.expect("read"));
    assert_eq!(home.read("config"), THEIRS);
}

#[tokio::test]
async fn a_file_goes_with_the_entry_only_if_topo_made_it() {
    let home = Home::new();
    let mine = [entry().mark()];
    for (made, left) in [(true, &[][..]), (false, &["config"][..])] {
        home.write("config", "");
        merge(&home.kubeconfig(&["config"]), &[]).await.expect("merged");
        take_out(&home.file("config"), NAME, &mine, (true, made), &|_| {})
            .await
            .expect("taken out");
        assert_eq!(home.names(), left);
    }
}

#[tokio::test]
async fn mode_and_link_stay() {
    let home = Home::new();
    let real = home.write("real", "kind: Config\n");
    fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).expect("set");
    symlink("real", home.file("config")).expect("linked");
    merge(&home.kubeconfig(&["config"]), &[]).await.expect("merged");
    assert!(home.file("config").is_symlink());
    assert_eq!(fs::metadata(&real).expect("there").mode() & 0o777, 0o640);
    assert!(home.read("real").contains(NAME));
    let new = home.kubeconfig(&["new"]);
    merge(&new, &[]).await.expect("merged");
    assert_eq!(fs::metadata(home.file("new")).expect("there").mode() & 0o777, 0o600);
    assert_eq!(home.names(), ["config", "new", "real"]);
}

#[tokio::test]
async fn a_current_context_in_another_file_goes_with_the_entry() {
    let home = Home::new();
    home.write("a", "current-context: kind-dev\n");
    let mine = [entry().mark()];
    merge(&home.kubeconfig(&["b"]), &[]).await.expect("merged");
    for (known, left) in [(false, "current-context: kind-dev\n"), (true, "current-context: \"\"\n")]
    {
        take_out(&home.file("a"), NAME, &mine, (known, false), &|_| {}).await.expect("taken out");
        assert_eq!(home.read("a"), left);
    }
}

#[test]
fn what_cannot_be_written_is_known_before() {
    let home = Home::new();
    fs::create_dir(home.file("folder")).expect("made");
    home.write("file", "kind: Config\n");
    home.write("broken", "a: [\n");
    symlink("nothing", home.file("dangling")).expect("linked");
    let check = |kubeconfig: Kubeconfig| {
        let error = kubeconfig.check(&Entry::stand_in(NAME), &[]).err()?;
        assert!(error.hint().contains("KUBECONFIG"));
        Some(error.to_string())
    };
    let refused = [
        ("folder", "is a folder"),
        ("broken", "cannot edit"),
        ("dangling", "a link to nothing"),
        ("file/in", "cannot read"),
    ];
    for (name, why) in refused {
        let error = check(home.kubeconfig(&[name])).expect(name);
        assert!(error.contains(why), "{error}");
    }
    let null = Kubeconfig::of(&|name| (name == "KUBECONFIG").then(|| "/dev/null".to_owned()));
    assert!(check(null.expect("a file")).expect("refused").contains("a device"));
    assert_eq!(check(home.kubeconfig(&["file"])), None);
    assert_eq!(check(home.kubeconfig(&["not/yet/there"])), None);
    assert!(!home.file("not").exists());
}

/// The notes, and how long it took.
async fn merge_noting(home: &Home) -> (Vec<String>, Duration) {
    let told = Mutex::new(Vec::new());
    let before = tokio::time::Instant::now();
    home.kubeconfig(&["config"])
        .merge(&entry(), &[entry().mark()], false, &|what| told.lock().expect("whole").push(what))
        .await
        .expect("merged");
    (told.into_inner().expect("whole"), before.elapsed())
}

#[tokio::test]
async fn what_a_topo_that_was_killed_left_is_swept_at_once() {
    let home = Home::new();
    let path = home.file("config");
    fs::write(FileLock::path_of(&path), "topo\n").expect("left");
    fs::write(unfinished(&path), "half a key").expect("left");
    let (told, took) = merge_noting(&home).await;
    assert!(told[0].contains("config.lock` was left by a killed program"), "{told:?}");
    assert!(took < Duration::from_secs(2));
    assert_eq!(home.names(), ["config"]);

    fs::write(FileLock::path_of(&path), "topo\n").expect("left");
    fs::write(unfinished(&path), "half a key").expect("left");
    fs::remove_file(&path).expect("removed");
    take_out(&path, NAME, &[], (true, true), &|_| {}).await.expect("taken out");
    assert!(home.names().is_empty(), "{:?}", home.names());
}

#[tokio::test]
async fn an_old_lock_without_rights_as_kubectl_leaves_it_is_gone_round() {
    let home = Home::new();
    let lock = home.write("config.lock", "");
    let old = SystemTime::now() - Duration::from_mins(1);
    let file = fs::File::options().write(true).open(&lock).expect("opened");
    file.set_times(FileTimes::new().set_modified(old)).expect("set");
    fs::set_permissions(&lock, fs::Permissions::from_mode(0o0)).expect("set");
    let (told, _) = merge_noting(&home).await;
    assert!(told[0].contains("was left by a killed program"), "{told:?}");
    assert_eq!(home.names(), ["config"]);
}

#[tokio::test]
async fn a_lock_that_is_held_is_waited_for_without_holding_up_anything_else() {
    let home = Home::new();
    let lock = home.write("config.lock", "");
    let release = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        fs::remove_file(&lock).expect("there still");
    };
    let ((told, took), ()) = tokio::join!(merge_noting(&home), release);
    assert!(told[0].contains("waiting for"), "{told:?}");
    assert!(took >= Duration::from_millis(300));
    assert_eq!(home.names(), ["config"]);
}

#[tokio::test]
async fn many_at_once_lose_nothing() {
    let home = Home::new();
    let names: Vec<String> = (0..8).map(|number| format!("kind-{number}")).collect();
    let own = "clusters: [{cluster: {server: s}}]\nusers: [{user: {}}]\n";
    let own = serde_yaml::from_str(own).expect("valid");
    let entries: Vec<Entry> =
        names.iter().map(|name| Entry::named(name, &own).expect("whole")).collect();
    let kubeconfig = home.kubeconfig(&["config"]);
    let merges = entries.iter().map(|entry| kubeconfig.merge(entry, &[], false, &|_| {}));
    futures::future::try_join_all(merges).await.expect("merged");
    for (name, entry) in names.iter().zip(&entries) {
        assert!(kubeconfig.find(name, &[entry.mark()]).expect("read").is_whole());
    }
    assert_eq!(home.names(), ["config"]);
}

#[test]
fn a_relative_path_is_known_by_its_whole_one() {
    let kubeconfig = Kubeconfig::of(&|name| (name == "KUBECONFIG").then(|| "here".to_owned()));
    assert!(kubeconfig.expect("a file").files()[0].is_absolute());
    assert!(Kubeconfig::of(&|_| None).is_none());
    let empty =
        Kubeconfig::of(&|name| Some(if name == "HOME" { "/home/me" } else { ":" }.to_owned()));
    assert_eq!(empty.expect("a file").files(), [Path::new("/home/me/.kube/config")]);
}
